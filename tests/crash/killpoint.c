/* Preloaded into the daemon or a worker: kills the process by SIGKILL at one exact call into the C library.
 *
 *     PAWL_KILL_AT=WHO:FUNCTION:WHEN:N      serve:fdatasync:after:3
 *
 * WHO is the process's first argument (serve, worker); WHEN is before or after the call; N counts that process's calls
 * of FUNCTION from 1. A file named by PAWL_KILL_MARK is made just before the end, so that the campaign knows the
 * point was met. The library needs no hook in the program: every durable or visible step is a call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char function[32];
static bool after;
static long target;
static atomic_long calls;

static bool is_process(const char *who)
{
    char line[4096] = {0};
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        (void)close(fd);
    size_t first = len > 0 ? strlen(line) : 0;
    return len > (ssize_t)first + 1 && strcmp(line + first + 1, who) == 0;
}

__attribute__((constructor)) static void setup(void)
{
    const char *text = getenv("PAWL_KILL_AT");
    char who[16], when[8];
    if (!text || sscanf(text, "%15[^:]:%31[^:]:%7[^:]:%ld", who, function, when, &target) != 4 || !is_process(who))
        function[0] = '\0';
    after = strcmp(when, "after") == 0;
}

static void end_here(void)
{
    const char *mark = getenv("PAWL_KILL_MARK");
    if (mark)
        (void)!open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* Whether this call is the one; counts it. */
static bool is_point(const char *name)
{
    return function[0] && strcmp(name, function) == 0 && atomic_fetch_add(&calls, 1) + 1 == target;
}

#define POINT(type, name, parameters, arguments)                                  \
    type name parameters                                                          \
    {                                                                             \
        static type(*real) parameters;                                            \
        if (!real)                                                                \
            *(void **)&real = dlsym(RTLD_NEXT, #name);                            \
        bool here = is_point(#name);                                              \
        if (here && !after)                                                       \
            end_here();                                                           \
        type result = real arguments;                                             \
        if (here)                                                                 \
            end_here();                                                           \
        return result;                                                            \
    }

POINT(int, fdatasync, (int fd), (fd))
POINT(int, fsync, (int fd), (fd))
POINT(int, ftruncate64, (int fd, off64_t len), (fd, len))
POINT(ssize_t, pwrite64, (int fd, const void *bytes, size_t len, off64_t at), (fd, bytes, len, at))
POINT(ssize_t, write, (int fd, const void *bytes, size_t len), (fd, bytes, len))
POINT(ssize_t, send, (int fd, const void *bytes, size_t len, int flags), (fd, bytes, len, flags))
POINT(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
POINT(ssize_t, recv, (int fd, void *bytes, size_t len, int flags), (fd, bytes, len, flags))
POINT(int, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
POINT(int, rename, (const char *from, const char *to), (from, to))
POINT(int, unlink, (const char *path), (path))
POINT(int, waitid, (idtype_t type, id_t id, siginfo_t *status, int options), (type, id, status, options))
POINT(int, posix_spawn,
      (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
       char *const argv[], char *const envp[]),
      (pid, path, actions, attributes, argv, envp))

/* clone3 has no function of its own; the call after it runs in the child too, so only "before" is a point. */
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_clone3 && is_point("clone3") && !after)
        end_here();
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
