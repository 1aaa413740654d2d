#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/backup.h"

enum { STRETCH = 1024 * 1024, PART = 64 * 1024 };

int server_backup_tell(const struct server_backup_watch *watch, const char *what, uint64_t done, struct error *err)
{
    if (watch && watch->tell && !watch->tell(watch->context, what, done))
        return error_set(err, ERROR_INTERRUPTED, "interrupted");
    return 0;
}

static int failed(const char *path, struct error *err)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return error_set(err, ERROR_STORE_FULL, "no room for %s", path);
    return error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
}

/* By the kernel where it can (and may share the blocks), else by hand. -1 with errno. */
static ssize_t copy_some(int in, int out)
{
    char part[PART];
    ssize_t len = copy_file_range(in, NULL, out, NULL, STRETCH, 0);
    if (len > 0 || (len < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP))
        return len;
    len = read(in, part, sizeof part);
    for (ssize_t done = 0; len > 0 && done < len;) {
        ssize_t written = write(out, part + done, (size_t)(len - done));
        if (written < 0 && errno != EINTR)
            return -1;
        done += written > 0 ? written : 0;
    }
    return len;
}

int server_backup_copy_file(const char *from, const char *to, bool over, uint64_t *bytes, struct error *err)
{
    int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0)
        return failed(from, err);
    int out = open(to, O_WRONLY | O_CREAT | (over ? O_TRUNC : O_EXCL) | O_NOFOLLOW | O_CLOEXEC, 0600);
    int code = out < 0 ? failed(to, err) : 0;
    ssize_t len = 1;
    while (!code && len > 0) {
        len = copy_some(in, out);
        if (len < 0)
            code = failed(to, err);
        else
            *bytes += (uint64_t)len;
    }
    if (out >= 0 && close(out) != 0 && !code)
        code = failed(to, err);
    (void)close(in);
    return code;
}

int server_backup_make_folder(const char *path, struct error *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : failed(path, err);
}

bool server_backup_wants(const char *name)
{
    static const char *const ours[] = {"pawl.db", "pawl.db-wal", "pawl.db-shm", "pawl.db-journal", "pawl.db.part",
                                       "reserve", "lock", "address", "backup.lock", "tokens.lock",
                                       SERVER_BACKUP_SEAL};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(name, ours[i]) == 0)
            return false;
    return true;
}
