/* See store_dir.h. The path is walked by descriptors, so that what was checked is what is used. */
#include "store/store_dir.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    MODE_OURS = 0700,
    LOCK_MODE = 0600,
    OTHERS_MAY_WRITE = 022,
    OTHERS_MAY = 077,
    LOCK_LOOK_MS = 10,
    LOCK_DEAD_MS = 3000     /* how long a dead holder is waited for */
};

static const char *const subfolders[] = {"logs", "work", "workers"};
/* Any of these says that a directory is pawl's. */
static const char *const marks[] = {"lock", "pawl.db", "logs", "local"};

/* statfs(2) and linux/magic.h. Two machines can have such a directory at once; locks and shared memory maps do not
 * reach from one to the other. */
static const struct {
    unsigned long magic;
    const char *name;
} networks[] = {
    {0x6969, "NFS"},      {0x517b, "SMB"},        {0xff534d42, "CIFS"},  {0xfe534d42, "SMB2"},
    {0x01021997, "9P"},   {0x00c36400, "Ceph"},   {0x0bd00bd0, "Lustre"}, {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},  {0x73757245, "Coda"},   {0x564c, "NCP"},       {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"}, {0x20030528, "OrangeFS"}, {0xaad7aaea, "PanFS"}, {0x786f4256, "a VirtualBox folder"},
};

const char *store_dir_network_name(unsigned long magic)
{
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++)
        if (networks[i].magic == (magic & 0xffffffff))
            return networks[i].name;
    return NULL;
}

static int check_local(int fd, const char *path, struct error *err)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return error_set(err, ERROR_IO, "cannot tell the file system of %s: %s", path, strerror(errno));
    const char *network = store_dir_network_name((unsigned long)fs.f_type);
    if (network)
        return error_set(err, ERROR_IO,
                         "%s is on a network file system (%s), where the store's locks do not hold; choose a "
                         "directory on a disk of this machine",
                         path, network);
    return 0;
}

/* Makes `name` in a directory so that a power loss does not take it back. */
static int make_folder(int parent, const char *name)
{
    if (mkdirat(parent, name, MODE_OURS) != 0)
        return errno == EEXIST ? 0 : -1;
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) /* may be entered and written, not read: then it cannot be synced */
        return errno == EACCES ? 0 : -1;
    int failed = fsync(fd);
    (void)close(fd);
    return failed;
}

/* One step of the walk: the folder below *fd takes its place. */
static int enter(int *fd, const char *name, const char *path, struct error *err)
{
    int code = 0;
    int next = openat(*fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (next < 0 && errno == ENOENT) {
        code = check_local(*fd, path, err);
        if (!code && make_folder(*fd, name) == 0)
            next = openat(*fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    if (!code && next < 0)
        code = error_set(err, ERROR_IO, "cannot use %s as data directory: %s: %s", path, name, strerror(errno));
    (void)close(*fd);
    *fd = next;
    return code;
}

/* Opens the directory, making what is missing of its path. */
static int walk(const char *path, int *ret_fd, struct error *err)
{
    int fd = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int code = fd < 0 ? error_set(err, ERROR_IO, "cannot open %s: %s", path, strerror(errno)) : 0;
    for (const char *at = path; !code;) {
        char name[NAME_MAX + 1];
        at += strspn(at, "/");
        size_t len = strcspn(at, "/");
        if (len == 0)
            break;
        if (len > NAME_MAX) {
            (void)close(fd);
            return error_set(err, ERROR_IO, "cannot use %s as data directory: %s", path, strerror(ENAMETOOLONG));
        }
        memcpy(name, at, len);
        name[len] = '\0';
        code = enter(&fd, name, path, err);
        at += len;
    }
    if (!code)
        *ret_fd = fd;
    return code;
}

static bool is_ours_or_empty(int fd)
{
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (faccessat(fd, marks[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir) {
        if (copy >= 0)
            (void)close(copy);
        return false;
    }
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(dir));)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    (void)closedir(dir);
    return empty;
}

/* fd: open for reading, since O_PATH cannot change a mode. */
static int check_owner(int fd, const char *path, struct error *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_set(err, ERROR_IO, "cannot look at %s: %s", path, strerror(errno));
    unsigned mode = status.st_mode & 07777;
    if (status.st_uid != geteuid())
        return error_set(err, ERROR_IO, "%s belongs to another user (uid %u, this process has %u)", path,
                         status.st_uid, geteuid());
    if (mode & OTHERS_MAY_WRITE)
        return error_set(err, ERROR_IO, "others may write to %s (mode %04o); chmod 700 it, or choose another", path,
                         mode);
    if (!(mode & OTHERS_MAY))
        return 0;
    if (!is_ours_or_empty(fd))
        return error_set(err, ERROR_IO,
                         "%s can be read by others (mode %04o) and holds files that are not pawl's; chmod 700 it, or "
                         "choose a directory of its own",
                         path, mode);
    if (fchmod(fd, MODE_OURS) != 0)
        return error_set(err, ERROR_IO, "cannot close %s to others: %s", path, strerror(errno));
    return 0;
}

static int make_subfolders(int fd, const char *path, struct error *err)
{
    for (size_t i = 0; i < sizeof subfolders / sizeof subfolders[0]; i++) {
        struct stat status;
        if (make_folder(fd, subfolders[i]) != 0 || fstatat(fd, subfolders[i], &status, 0) != 0)
            return error_set(err, ERROR_IO, "cannot make %s/%s: %s", path, subfolders[i], strerror(errno));
        if (!S_ISDIR(status.st_mode))
            return error_set(err, ERROR_IO, "%s/%s is no directory", path, subfolders[i]);
    }
    return 0;
}

/* Who stands in the way of a lock on the first byte; 0: nobody. */
static pid_t holder_of(int lock_fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fcntl(lock_fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return (pid_t)lock.l_len;
}

static int write_pid(int fd)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    assert(len > 0 && (size_t)len < sizeof text);
    if (ftruncate(fd, 0) != 0)
        return -1;
    return pwrite(fd, text, (size_t)len, 0) == len ? 0 : -1;
}

/* 0 or -1 and errno. A child that the last holder was about to start when it was killed has the lock until its exec:
 * a holder that is dead is waited for. */
static int lock_file(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = getpid()};
    for (int waited_ms = 0; fcntl(fd, F_OFD_SETLK, &lock) != 0; waited_ms += LOCK_LOOK_MS) {
        int why = errno;
        pid_t holder = why == EAGAIN || why == EACCES ? holder_of(fd) : 0;
        bool is_dead = holder > 0 && kill(holder, 0) != 0 && errno == ESRCH;
        errno = why;
        if (!is_dead || waited_ms >= LOCK_DEAD_MS)
            return -1;
        (void)poll(NULL, 0, LOCK_LOOK_MS);
    }
    return 0;
}

static int take_lock(int dir_fd, const char *path, int *ret_fd, struct error *err)
{
    int code = 0;
    int fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, LOCK_MODE);
    if (fd < 0 || lock_file(fd) != 0) {
        bool taken = fd >= 0 && (errno == EAGAIN || errno == EACCES);
        if (taken)
            code = error_set(err, ERROR_STORE_LOCKED, "%s is in use by process %d", path, (int)holder_of(fd));
        else
            code = error_set(err, ERROR_IO, "cannot lock %s: %s", path, strerror(errno));
    } else if (write_pid(fd) != 0 && errno != ENOSPC) { /* a full disk must not keep the daemon from starting */
        code = error_set(err, ERROR_IO, "cannot write %s/lock: %s", path, strerror(errno));
    }
    if (code && fd >= 0)
        (void)close(fd);
    if (!code)
        *ret_fd = fd;
    return code;
}

/* The absolute path of an open directory; the caller frees it. */
static char *path_of(int fd)
{
    char link[64], target[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, target, sizeof target);
    if (len == (ssize_t)sizeof target)
        errno = ENAMETOOLONG;
    return len > 0 && (size_t)len < sizeof target ? mem_strndup(target, (size_t)len) : NULL;
}

int store_dir_open(const char *path, struct store_dir *ret_dir, struct error *err)
{
    int walked = -1, fd = -1, lock_fd = -1;
    char *absolute = NULL;
    int code = *path ? walk(path, &walked, err) : error_set(err, ERROR_IO, "the data directory has no name");
    if (code)
        goto out;
    fd = openat(walked, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    absolute = path_of(walked);
    if (fd < 0 || !absolute) {
        code = error_set(err, ERROR_IO, "cannot read %s: %s", path, strerror(errno));
        goto out;
    }
    code = check_local(fd, absolute, err);
    if (!code)
        code = check_owner(fd, absolute, err);
    if (!code)
        code = take_lock(fd, absolute, &lock_fd, err);
    if (!code)
        code = make_subfolders(fd, absolute, err);
    if (!code) {
        *ret_dir = (struct store_dir){absolute, lock_fd};
        absolute = NULL;
        lock_fd = -1;
    }
out:
    if (lock_fd >= 0)
        (void)close(lock_fd);
    if (fd >= 0)
        (void)close(fd);
    if (walked >= 0)
        (void)close(walked);
    mem_free(absolute);
    return code;
}

void store_dir_close(struct store_dir *dir)
{
    if (dir->path)
        (void)close(dir->lock_fd); /* what the file says means nothing without the lock */
    mem_free(dir->path);
    *dir = (struct store_dir){0};
}

pid_t store_dir_holder(const char *path)
{
    char *name = mem_printf("%s/lock", path);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    mem_free(name);
    if (fd < 0)
        return 0;
    pid_t holder = holder_of(fd);
    (void)close(fd);
    return holder;
}
