/* Logs of attempts on their way between files and rows. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "state/log_path.h"
#include "store/store_rows.h"

static void read_part(int fd, off_t from, size_t len, struct buf *out)
{
    size_t before = out->len;
    ssize_t got = pread(fd, buf_extend(out, len), len, from);
    out->len = before + (got > 0 ? (size_t)got : 0);
}

void store_read_log(const char *dir, struct uuid run_id, uint32_t task, uint32_t number, struct buf *out)
{
    enum { HALF = LIMIT_LOG_KEPT_BYTES_MAX / 2 };
    struct buf path = BUF_INIT;
    struct stat file;
    state_log_path(&path, dir, run_id, task, number);
    int fd = open(buf_text(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode)) {
        off_t size = file.st_size, skip = size > 2 * HALF ? size - 2 * HALF : 0;
        read_part(fd, 0, skip ? HALF : (size_t)size, out);
        if (skip) {
            buf_printf(out, "\n... %lld bytes are left out here ...\n", (long long)skip);
            read_part(fd, size - HALF, HALF, out);
        }
    }
    if (fd >= 0)
        (void)close(fd);
    buf_fini(&path);
}

static int failed(const char *path, struct error *err)
{
    bool full = errno == ENOSPC || errno == EDQUOT;
    return error_set(err, full ? ERROR_STORE_FULL : ERROR_IO, "%s: %s", path, strerror(errno));
}

/* The run's folder and the one above it. */
static int make_folders(const char *dir, struct uuid run_id, struct error *err)
{
    struct buf path = BUF_INIT;
    state_log_folder(&path, dir, run_id);
    char *folder = buf_take(&path);
    char *above = mem_strndup(folder, (size_t)(strrchr(folder, '/') - folder));
    int code = 0;
    if (mkdir(above, 0700) != 0 && errno != EEXIST)
        code = failed(above, err);
    if (!code && mkdir(folder, 0700) != 0 && errno != EEXIST)
        code = failed(folder, err);
    mem_free(above);
    mem_free(folder);
    return code;
}

int store_write_log(const char *dir, struct uuid run_id, uint32_t task, uint32_t number, const char *bytes, size_t len,
                    struct error *err)
{
    struct buf path = BUF_INIT;
    state_log_path(&path, dir, run_id, task, number);
    char *name = buf_take(&path);
    int code = make_folders(dir, run_id, err);
    int fd = code ? -1 : open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (!code && fd < 0)
        code = failed(name, err);
    for (size_t done = 0; !code && done < len;) {
        ssize_t written = write(fd, bytes + done, len - done);
        if (written < 0 && errno != EINTR)
            code = failed(name, err);
        done += written > 0 ? (size_t)written : 0;
    }
    if (fd >= 0 && close(fd) != 0 && !code)
        code = failed(name, err);
    mem_free(name);
    return code;
}
