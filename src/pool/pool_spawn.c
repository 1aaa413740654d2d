/* Starts a worker. Its lock comes first: whoever sees a socket without a lock, or a lock that is free, sees something
 * dead. The worker inherits the lock's open file, so that the lock is free exactly when the worker is gone.
 *
 * A crash between any two steps leaves files whose lock is free, or a worker that nobody talks to, which the next
 * daemon meets. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "pool/pool_model.h"
#include "worker/leftover.h"

enum {
    CHILD_LISTEN_FD = 3,
    CHILD_LOCK_FD = 4,
    PARENT_FD_MIN = 10,      /* above the child's numbers, so that no dup2 overwrites what another one needs */
    BACKLOG = 8,
    ARGS_MAX = 24,
    NUMBER_BYTES = 24,
};

struct birth {
    struct uuid id;
    char id_text[UUID_TEXT_LEN + 1];
    int lock_fd, listen_fd, log_fd;
};

int pool_socket_address(const struct pool *pool, struct uuid id, char *path, size_t size)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    int len = snprintf(path, size, "/proc/self/fd/%d/%s.sock", pool->dir_fd, text);
    return len > 0 && (size_t)len < size ? 0 : ENAMETOOLONG;
}

/* The same open file with a number that the child does not use. */
static int move_up(int fd)
{
    if (fd < 0 || fd >= PARENT_FD_MIN)
        return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, PARENT_FD_MIN);
    int why = errno;
    (void)close(fd);
    errno = why;
    return moved;
}

static int open_file(const struct pool *pool, const struct birth *birth, const char *suffix, int flags)
{
    char name[UUID_TEXT_LEN + 8];
    (void)snprintf(name, sizeof name, "%s.%s", birth->id_text, suffix);
    return move_up(openat(pool->dir_fd, name, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

static int open_listener(const struct pool *pool, const struct birth *birth)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = move_up(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd < 0)
        return -1;
    errno = pool_socket_address(pool, birth->id, address.sun_path, sizeof address.sun_path);
    if (errno || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0) {
        int why = errno;
        (void)close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

static struct uuid make_id(void)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        random[0] = random[1] = (uint64_t)clock_boot_us(); /* never for 16 bytes: getrandom(2) */
    return uuid_make_v7(clock_wall_ms(), random);
}

static int open_files(const struct pool *pool, struct birth *birth, struct error *err)
{
    const char *what = "lock";
    birth->lock_fd = open_file(pool, birth, "lock", O_RDWR | O_EXCL);
    bool ok = birth->lock_fd >= 0 && flock(birth->lock_fd, LOCK_EX | LOCK_NB) == 0;
    if (ok) {
        what = "log";
        birth->log_fd = open_file(pool, birth, "log", O_WRONLY | O_APPEND);
        ok = birth->log_fd >= 0;
    }
    if (ok) {
        what = "socket";
        birth->listen_fd = open_listener(pool, birth);
        ok = birth->listen_fd >= 0;
    }
    return ok ? 0 : error_set(err, ERROR_IO, "cannot make its %s in %s: %s", what, pool->dir, strerror(errno));
}

static void close_files(struct birth *birth)
{
    const int fds[] = {birth->lock_fd, birth->listen_fd, birth->log_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
}

struct args {
    const char *list[ARGS_MAX];
    size_t count;
    char numbers[6][NUMBER_BYTES];
    size_t number_count;
};

static void add_arg(struct args *args, const char *name, const char *value)
{
    assert(args->count + 2 < ARGS_MAX);
    args->list[args->count++] = name;
    if (value)
        args->list[args->count++] = value;
}

static void add_number(struct args *args, const char *name, int64_t value)
{
    char *text = args->numbers[args->number_count++];
    (void)snprintf(text, NUMBER_BYTES, "%lld", (long long)value);
    add_arg(args, name, text);
}

static void make_args(const struct pool *pool, const struct birth *birth, struct args *args)
{
    const struct pool_options *options = &pool->options;
    add_arg(args, "pawl", "worker");
    add_arg(args, "--id", birth->id_text);
    add_arg(args, "--dir", pool->dir);
    add_number(args, "--listen-fd", CHILD_LISTEN_FD);
    add_number(args, "--lock-fd", CHILD_LOCK_FD);
    add_number(args, "--slots", options->slots);
    add_number(args, "--grace-ms", options->grace_ms);
    add_number(args, "--idle-exit-ms", options->idle_exit_ms);
    if (options->die_with_parent)
        add_arg(args, "--die-with-parent", NULL);
    if (options->best_effort)
        add_arg(args, "--best-effort", NULL);
    if (options->posix_spawn)
        add_arg(args, "--posix-spawn", NULL);
}

/* The daemon may have raised its own limit for its connections; programs that use select() must not inherit that. A
 * worker starts nothing before it is told to, so this is in time. */
static void limit_files(pid_t pid, uint64_t files_max)
{
    struct rlimit limit;
    if (!files_max || prlimit(pid, RLIMIT_NOFILE, NULL, &limit) != 0 || limit.rlim_max < files_max)
        return;
    limit.rlim_cur = files_max;
    (void)prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
}

/* An errno value, or 0 and the child's pid. Descriptors not named here are CLOEXEC. */
static int spawn_process(const struct pool *pool, const struct birth *birth, pid_t *ret_pid)
{
    struct args args = {0};
    make_args(pool, birth, &args);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int why = posix_spawn_file_actions_init(&files);
    if (why)
        return why;
    why = posix_spawnattr_init(&how);
    if (why)
        goto out;
    (void)posix_spawnattr_setsigmask(&how, &none);
    (void)posix_spawnattr_setsigdefault(&how, &all);
    (void)posix_spawnattr_setflags(&how,
                                   POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    why = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!why)
        why = posix_spawn_file_actions_adddup2(&files, birth->log_fd, STDOUT_FILENO);
    if (!why)
        why = posix_spawn_file_actions_adddup2(&files, birth->log_fd, STDERR_FILENO);
    if (!why)
        why = posix_spawn_file_actions_adddup2(&files, birth->listen_fd, CHILD_LISTEN_FD);
    if (!why)
        why = posix_spawn_file_actions_adddup2(&files, birth->lock_fd, CHILD_LOCK_FD);
    if (!why)
        why = posix_spawn(ret_pid, pool->exe, &files, &how, (char *const *)args.list, environ);
    if (why == 0)
        limit_files(*ret_pid, pool->options.files_max);
    (void)posix_spawnattr_destroy(&how);
out:
    (void)posix_spawn_file_actions_destroy(&files);
    return why;
}

static int watch_process(struct pool_link *link, pid_t pid)
{
    link->pid = (int32_t)pid;
    link->pid_fd = pidfd_open(pid, 0);
    if (link->pid_fd >= 0 && pool_watch_fd(link->pool, link->pid_fd, &link->process_watch))
        return 0;
    return errno;
}

int pool_spawn(struct pool *pool, int64_t now_ms, struct error *err)
{
    struct birth birth = {.id = make_id(), .lock_fd = -1, .listen_fd = -1, .log_fd = -1};
    uuid_format(birth.id, birth.id_text);
    pid_t pid = 0;
    int code = open_files(pool, &birth, err);
    if (!code) {
        int why = spawn_process(pool, &birth, &pid);
        if (why)
            code = error_set(err, ERROR_IO, "cannot execute %s: %s", pool->exe, strerror(why));
    }
    close_files(&birth);
    if (code) {
        worker_leftover_remove(pool->dir, birth.id, false);
        return code;
    }
    struct pool_link *link = pool_link_new(pool, birth.id);
    link->born_ms = now_ms;
    int why = watch_process(link, pid);
    if (why) {
        /* Nothing would tell of its end: it must not begin. It is our child and has done nothing yet. */
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
        link->phase = POOL_GONE;
        worker_leftover_remove(pool->dir, birth.id, false);
        return error_set(err, ERROR_IO, "cannot watch a process: %s", strerror(why));
    }
    pool_link_meet(link, now_ms);
    return 0;
}
