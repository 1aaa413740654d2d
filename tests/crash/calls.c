/* The calls that faults.c decides about, each in front of the real one. With -DWITHOUT_MEMORY those of memory are left
 * to a sanitizer. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

struct sqlite3;
struct sqlite3_stmt;

static void *find(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* how: what a failing call returns; it may set errno on its way */
#define CALL(type, how, point, name, parameters, arguments)                       \
    type name parameters                                                          \
    {                                                                             \
        static type(*real) parameters;                                            \
        if (!real)                                                                \
            *(void **)&real = find(#name);                                        \
        enum fault_what here = fault_meet(FAULT_##point);                         \
        if (here == FAULT_FAIL)                                                   \
            return how;                                                           \
        type result = real arguments;                                             \
        if (here == FAULT_KILL_AFTER)                                             \
            fault_end_here();                                                     \
        return result;                                                            \
    }
#define MINUS_ONE (errno = fault_errno(), -1)
#define POINT(type, name, parameters, arguments) CALL(type, MINUS_ONE, name, name, parameters, arguments)
#define ALSO(type, point, name, parameters, arguments) CALL(type, MINUS_ONE, point, name, parameters, arguments)
#define SQLITE(name, parameters, arguments) CALL(int, fault_errno(), name, name, parameters, arguments)

POINT(int, fdatasync, (int fd), (fd))
POINT(int, fsync, (int fd), (fd))
POINT(int, ftruncate, (int fd, off_t len), (fd, len))
ALSO(int, ftruncate, ftruncate64, (int fd, off64_t len), (fd, len))
CALL(int, fault_errno(), posix_fallocate, posix_fallocate, (int fd, off_t at, off_t len), (fd, at, len))
POINT(ssize_t, pread, (int fd, void *bytes, size_t len, off_t at), (fd, bytes, len, at))
ALSO(ssize_t, pread, pread64, (int fd, void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
POINT(ssize_t, pwrite, (int fd, const void *bytes, size_t len, off_t at), (fd, bytes, len, at))
ALSO(ssize_t, pwrite, pwrite64, (int fd, const void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
CALL(void *, (errno = fault_errno(), MAP_FAILED), mmap, mmap,
     (void *at, size_t len, int protection, int flags, int fd, off_t offset), (at, len, protection, flags, fd, offset))
CALL(void *, (errno = fault_errno(), MAP_FAILED), mmap, mmap64,
     (void *at, size_t len, int protection, int flags, int fd, off64_t offset),
     (at, len, protection, flags, fd, offset))
POINT(int, mkdir, (const char *path, mode_t mode), (path, mode))
ALSO(int, mkdir, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode))
POINT(int, rename, (const char *from, const char *to), (from, to))
POINT(int, unlink, (const char *path), (path))
ALSO(int, unlink, unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
POINT(int, flock, (int fd, int operation), (fd, operation))

POINT(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
POINT(ssize_t, recv, (int fd, void *bytes, size_t len, int flags), (fd, bytes, len, flags))
POINT(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
POINT(int, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
POINT(int, bind, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
POINT(int, listen, (int fd, int backlog), (fd, backlog))
POINT(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
POINT(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags), (fd, address, len, flags))

POINT(int, pipe2, (int fds[2], int flags), (fds, flags))
POINT(int, epoll_create1, (int flags), (flags))
POINT(int, epoll_wait, (int fd, struct epoll_event *events, int max, int ms), (fd, events, max, ms))
POINT(int, eventfd, (unsigned value, int flags), (value, flags))
POINT(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
POINT(int, timerfd_create, (int clock, int flags), (clock, flags))
POINT(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags))
POINT(int, waitid, (idtype_t type, id_t id, siginfo_t *status, int options), (type, id, status, options))
CALL(int, fault_errno(), pthread_create, pthread_create,
     (pthread_t *thread, const pthread_attr_t *how, void *(*begin)(void *), void *context),
     (thread, how, begin, context))
CALL(int, fault_errno(), posix_spawn, posix_spawn,
     (pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
      char *const argv[], char *const envp[]),
     (pid, path, actions, how, argv, envp))

SQLITE(sqlite3_open_v2, (const char *path, struct sqlite3 **db, int flags, const char *vfs), (path, db, flags, vfs))
SQLITE(sqlite3_exec,
       (struct sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *context, char **error),
       (db, sql, row, context, error))
SQLITE(sqlite3_prepare_v3,
       (struct sqlite3 *db, const char *sql, int len, unsigned flags, struct sqlite3_stmt **statement,
        const char **rest),
       (db, sql, len, flags, statement, rest))
SQLITE(sqlite3_step, (struct sqlite3_stmt *statement), (statement))
SQLITE(sqlite3_wal_checkpoint_v2, (struct sqlite3 *db, const char *name, int mode, int *frames, int *done),
       (db, name, mode, frames, done))

int epoll_ctl(int fd, int op, int watched, struct epoll_event *event)
{
    static int (*real)(int, int, int, struct epoll_event *);
    if (!real)
        *(void **)&real = find("epoll_ctl");
    enum fault_what here = op == EPOLL_CTL_ADD ? fault_meet(FAULT_epoll_ctl) : FAULT_NOTHING;
    if (here == FAULT_FAIL)
        return MINUS_ONE;
    int result = real(fd, op, watched, event);
    if (here == FAULT_KILL_AFTER)
        fault_end_here();
    return result;
}

/* Reading and writing fails for files; a pipe or an event descriptor has nothing that could fail. Kills are for all. */
static enum fault_what meet_file(enum fault_name name, int fd)
{
    struct stat status;
    int before = errno;
    bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    errno = before;
    return is_file || fault_kills() ? fault_meet(name) : FAULT_NOTHING;
}

#define FILE_POINT(name, parameters, arguments)                                   \
    ssize_t name parameters                                                       \
    {                                                                             \
        static ssize_t(*real) parameters;                                         \
        if (!real)                                                                \
            *(void **)&real = find(#name);                                        \
        enum fault_what here = meet_file(FAULT_##name, fd);                       \
        if (here == FAULT_FAIL)                                                   \
            return MINUS_ONE;                                                     \
        ssize_t result = real arguments;                                          \
        if (here == FAULT_KILL_AFTER)                                             \
            fault_end_here();                                                     \
        return result;                                                            \
    }

FILE_POINT(read, (int fd, void *bytes, size_t len), (fd, bytes, len))
FILE_POINT(write, (int fd, const void *bytes, size_t len), (fd, bytes, len))
FILE_POINT(writev, (int fd, const struct iovec *list, int count), (fd, list, count))

/* Between the daemon and a worker, or to a client. */
static bool is_unix(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int before = errno;
    bool yes = getsockname(fd, (struct sockaddr *)&address, &len) == 0 && address.ss_family == AF_UNIX;
    errno = before;
    return yes;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    static ssize_t (*real)(int, const void *, size_t, int);
    if (!real)
        *(void **)&real = find("send");
    enum fault_what here = fault_meet(is_unix(fd) ? FAULT_tell : FAULT_send);
    if (here == FAULT_FAIL)
        return MINUS_ONE;
    ssize_t result = real(fd, bytes, len, flags);
    if (here == FAULT_KILL_AFTER)
        fault_end_here();
    return result;
}

#define WITH_MODE(flags) (((flags) & (O_CREAT | O_TMPFILE)) != 0)

#define OPEN(name, first, last)                                                   \
    int name first                                                                \
    {                                                                             \
        static int(*real) first;                                                  \
        if (!real)                                                                \
            *(void **)&real = find(#name);                                        \
        va_list list;                                                             \
        va_start(list, flags);                                                    \
        mode_t mode = WITH_MODE(flags) ? va_arg(list, mode_t) : 0;                \
        va_end(list);                                                             \
        enum fault_what here = fault_meet(FAULT_open);                            \
        if (here == FAULT_FAIL)                                                   \
            return MINUS_ONE;                                                     \
        int fd = real last;                                                       \
        if (here == FAULT_KILL_AFTER)                                             \
            fault_end_here();                                                     \
        return fd;                                                                \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))
OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode))

#ifndef WITHOUT_MEMORY
CALL(void *, (errno = fault_errno(), NULL), malloc, malloc, (size_t size), (size))
CALL(void *, (errno = fault_errno(), NULL), realloc, realloc, (void *old, size_t size), (old, size))

/* calloc is what dlsym itself calls: answered from here until the real one is known. */
void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t, size_t);
    static char early[4096];
    static size_t used;
    static bool finding;
    if (!real && finding) {
        void *piece = early + used;
        used += (count * size + 15) & ~(size_t)15;
        return used <= sizeof early ? piece : NULL;
    }
    if (!real) {
        finding = true;
        *(void **)&real = find("calloc");
        finding = false;
    }
    return fault_meet(FAULT_calloc) == FAULT_FAIL ? (errno = fault_errno(), NULL) : real(count, size);
}
#endif
