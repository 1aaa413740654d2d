/* Preloaded into the daemon or a worker: kills the process at one exact call into the C library, or makes that call
 * fail. The program needs no hooks for it: every durable or visible step is a call.
 *
 *     PAWL_FAULT=WHO:FUNCTION:N:WHAT        serve:fdatasync:3:kill-after
 *
 * WHO is the process's first argument (serve, run, worker). N counts that process's calls of FUNCTION from 1; N+ means
 * that call and all later ones. WHAT is kill-before, kill-after (SIGKILL around the call), or the number of an errno:
 * the call then does nothing and fails with it. A file named by PAWL_FAULT_MARK is made when the point is met. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum what { NOTHING, KILL_BEFORE, KILL_AFTER, FAIL };

static char function[32];
static enum what what;
static int failure;             /* errno */
static long target;
static bool onwards;
static atomic_long calls;

static bool is_process(const char *who)
{
    char line[4096] = {0};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    ssize_t len = fd < 0 ? -1 : (ssize_t)syscall(SYS_read, fd, line, sizeof line - 1);
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
    size_t first = len > 0 ? strlen(line) : 0;
    return len > (ssize_t)first + 1 && strcmp(line + first + 1, who) == 0;
}

__attribute__((constructor)) static void setup(void)
{
    const char *text = getenv("PAWL_FAULT");
    char who[16], name[32], number[24], wanted[24];
    if (!text || sscanf(text, "%15[^:]:%31[^:]:%23[^:]:%23s", who, name, number, wanted) != 4 || !is_process(who))
        return;
    target = strtol(number, NULL, 10);
    onwards = strchr(number, '+') != NULL;
    failure = (int)strtol(wanted, NULL, 10);
    what = strcmp(wanted, "kill-before") == 0 ? KILL_BEFORE : strcmp(wanted, "kill-after") == 0 ? KILL_AFTER : FAIL;
    memcpy(function, name, sizeof function);
}

static void mark(void)
{
    const char *path = getenv("PAWL_FAULT_MARK");
    long fd = path ? syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
}

static void end_here(void)
{
    mark();
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* What has to happen at this call. Counts it. */
static enum what meet(const char *name)
{
    if (what == NOTHING || strcmp(name, function) != 0)
        return NOTHING;
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (number != target && !(onwards && number > target))
        return NOTHING;
    if (what == KILL_BEFORE)
        end_here();
    if (what == FAIL) {
        mark();
        errno = failure;
    }
    return what;
}

static void *find(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

#define POINT(type, failed, name, parameters, arguments)                          \
    type name parameters                                                          \
    {                                                                             \
        static type(*real) parameters;                                            \
        if (!real)                                                                \
            *(void **)&real = find(#name);                                        \
        enum what here = meet(#name);                                             \
        if (here == FAIL)                                                         \
            return failed;                                                        \
        type result = real arguments;                                             \
        if (here == KILL_AFTER)                                                   \
            end_here();                                                           \
        return result;                                                            \
    }

POINT(int, -1, fdatasync, (int fd), (fd))
POINT(int, -1, fsync, (int fd), (fd))
POINT(int, -1, ftruncate64, (int fd, off64_t len), (fd, len))
POINT(ssize_t, -1, pwrite64, (int fd, const void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
POINT(ssize_t, -1, pread64, (int fd, void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
POINT(ssize_t, -1, write, (int fd, const void *bytes, size_t len), (fd, bytes, len))
POINT(ssize_t, -1, writev, (int fd, const struct iovec *list, int count), (fd, list, count))
POINT(ssize_t, -1, send, (int fd, const void *bytes, size_t len, int flags), (fd, bytes, len, flags))
POINT(ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
POINT(ssize_t, -1, recv, (int fd, void *bytes, size_t len, int flags), (fd, bytes, len, flags))
POINT(int, -1, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
POINT(int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
POINT(int, -1, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags), (fd, address, len, flags))
POINT(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
POINT(int, -1, epoll_create1, (int flags), (flags))
POINT(int, -1, epoll_ctl, (int fd, int op, int watched, struct epoll_event *event), (fd, op, watched, event))
POINT(int, -1, eventfd, (unsigned value, int flags), (value, flags))
POINT(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
POINT(int, -1, rename, (const char *from, const char *to), (from, to))
POINT(int, -1, unlink, (const char *path), (path))
POINT(int, -1, waitid, (idtype_t type, id_t id, siginfo_t *status, int options), (type, id, status, options))
POINT(void *, NULL, malloc, (size_t size), (size))
POINT(void *, NULL, realloc, (void *old, size_t size), (old, size))

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
    return meet("calloc") == FAIL ? NULL : real(count, size);
}

#define OPEN(name)                                                                \
    int name(const char *path, int flags, ...)                                    \
    {                                                                             \
        static int (*real)(const char *, int, ...);                               \
        if (!real)                                                                \
            *(void **)&real = find(#name);                                        \
        va_list list;                                                             \
        va_start(list, flags);                                                    \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;   \
        va_end(list);                                                             \
        enum what here = meet("open");                                            \
        if (here == FAIL)                                                         \
            return -1;                                                            \
        int fd = real(path, flags, mode);                                         \
        if (here == KILL_AFTER)                                                   \
            end_here();                                                           \
        return fd;                                                                \
    }

OPEN(open)
OPEN(open64)

/* Answers with an errno instead of setting it. */
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    static int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                       char *const[], char *const[]);
    if (!real)
        *(void **)&real = find("posix_spawn");
    enum what here = meet("posix_spawn");
    if (here == FAIL)
        return failure;
    int result = real(pid, path, actions, attributes, argv, envp);
    if (here == KILL_AFTER)
        end_here();
    return result;
}

/* clone3 has no function of its own. What follows it runs in the child too, so "after" is no point here. */
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    if (!real)
        *(void **)&real = find("syscall");
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_clone3 && meet("clone3") == FAIL)
        return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
