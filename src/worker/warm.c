#include "worker/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    ANSWER_MS = 10000,          /* then the interpreter is taken for dead */
    IDLE_MS = 60 * 1000,
    AGE_MS = 30 * 60 * 1000,    /* what it has loaded may have been replaced on the disk */
    RETRY_MS = 60 * 1000,       /* after it died before its first task */
    OTHER_KEY_MS = 5 * 1000,    /* unused for so long, it makes room for another key's */
    GATE_FDS = 4
};

struct worker_warm {
    struct worker_watch link;   /* its descriptor 1 is the other end */
    struct worker_spawn_area area;
    struct worker_leaf leaf;
    struct arena arena;         /* what area.request points to */
    int32_t pid;                /* 0: none */
    struct buf key;             /* of this one */
    struct buf wanted;          /* of the task at hand */
    int64_t started_ms;         /* boot */
    int64_t used_ms;            /* boot */
    int64_t retry_ms;           /* boot: none is started before */
    uint32_t starting;          /* attempts that wait for it */
    bool served;                /* it has started a task */
};

extern const unsigned char worker_embed_warm_py[];
extern const size_t worker_embed_warm_py_len;

/* ---- which interpreter a task wants ---- */

/* What an interpreter, or the C library under it, reads once, at its start. */
static bool shapes_interpreter(const char *item)
{
    static const char *const names[] = {"PYTHON", "LD_",    "LC_",   "MALLOC_", "LANG=",           "LANGUAGE=", "TZ=",
                                        "TZDIR=", "HOME=", "PATH=", "LOCPATH=", "GLIBC_TUNABLES=", "OPENSSL_",
                                        "PYENV_"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_starts_with(item, names[i]))
            return true;
    return false;
}

static bool make_key(struct buf *key, const struct worker_attempt *attempt)
{
    const struct worker_plan *plan = &attempt->plan;
    struct stat st;
    buf_clear(key);
    if (plan->program[0] != '/' || stat(plan->program, &st) != 0)
        return false;
    const int64_t file[] = {(int64_t)st.st_dev, (int64_t)st.st_ino, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
    buf_add(key, file, sizeof file);
    buf_add(key, plan->program, strlen(plan->program) + 1);
    buf_add(key, plan->name, strlen(plan->name) + 1);
    for (char **item = plan->envp; *item; item++)
        if (shapes_interpreter(*item))
            buf_add(key, *item, strlen(*item) + 1);
    return true;
}

/* ---- its life ---- */

static void end(struct worker_warm *warm)
{
    if (warm->pid)
        (void)kill(warm->pid, SIGKILL);
}

static void on_gone(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    (void)events;
    char text[512];
    ssize_t len = recv(watch->fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len > 1) {
        text[len] = '\0';
        log_debug("the warm interpreter says: %s", text);
    }
    if (len <= 0)
        worker_watch_close(worker, watch); /* its end comes as a SIGCHLD */
}

static char **environment_of(struct arena *arena, const struct worker_attempt *attempt)
{
    size_t count = 0;
    while (attempt->plan.envp[count])
        count++;
    char **envp = arena_array(arena, count + 1, sizeof *envp);
    char **at = envp;
    for (size_t i = 0; i < count; i++)
        if (shapes_interpreter(attempt->plan.envp[i]))
            *at++ = arena_strdup(arena, attempt->plan.envp[i]);
    return envp;
}

static bool spawn(struct worker *worker, const struct worker_attempt *attempt, int out_fd)
{
    static const char boot[] = "exec(__import__('os').read(1,1<<17),{'__name__':'pawl'})";
    struct worker_warm *warm = worker->warm;
    struct error err = {0};
    struct worker_spawn_failure failure;
    char **argv = arena_array(&warm->arena, 4, sizeof *argv);
    argv[0] = arena_strdup(&warm->arena, attempt->plan.name);
    argv[1] = arena_strdup(&warm->arena, "-c");
    argv[2] = arena_strdup(&warm->arena, boot);
    if (worker->cgroup.path && (warm->leaf.fd < 0 || warm->leaf.killed)
        && worker_leaf_open(&worker->cgroup, worker->options->slots, &warm->leaf, &err) != 0) {
        log_debug("no warm interpreter: %s", err.text);
        return false;
    }
    const struct worker_spawn_request request = {
        .program = arena_strdup(&warm->arena, attempt->plan.program),
        .argv = argv,
        .envp = environment_of(&warm->arena, attempt),
        .workdir = "/",
        .out_fd = out_fd,
        .cgroup_fd = worker->cgroup.path ? warm->leaf.fd : -1,
    };
    warm->pid = worker_spawn(&warm->area, &request, &failure);
    if (warm->pid < 0)
        warm->pid = 0;
    return warm->pid != 0;
}

static bool start(struct worker *worker, const struct worker_attempt *attempt, int64_t now_ms)
{
    struct worker_warm *warm = worker->warm;
    int ends[2];
    if (now_ms < warm->retry_ms || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    warm->retry_ms = now_ms + RETRY_MS;
    warm->served = false;
    /* The code is the first thing it reads, so it may be there before the interpreter is. */
    bool begun = send(ends[0], worker_embed_warm_py, worker_embed_warm_py_len, MSG_NOSIGNAL | MSG_DONTWAIT)
                     == (ssize_t)worker_embed_warm_py_len
                 && spawn(worker, attempt, ends[1]);
    (void)close(ends[1]);
    if (!begun) {
        (void)close(ends[0]);
        arena_fini(&warm->arena);
        return false;
    }
    warm->link.on_ready = on_gone;
    (void)worker_watch_add(worker, &warm->link, ends[0], EPOLLIN);
    buf_clear(&warm->key);
    buf_add(&warm->key, warm->wanted.bytes, warm->wanted.len);
    warm->started_ms = warm->used_ms = now_ms;
    return true;
}

/* An interpreter for this task lives when this returns true. One that is to go is ended; the task that noticed starts
 * cold, the next one finds its place free. */
static bool have(struct worker *worker, const struct worker_attempt *attempt)
{
    struct worker_warm *warm = worker->warm;
    int64_t now_ms = clock_boot_ms();
    if (!make_key(&warm->wanted, attempt))
        return false;
    if (!warm->pid)
        return start(worker, attempt, now_ms);
    if (warm->link.fd < 0)
        return false; /* it has died and is not reaped yet */
    bool same = warm->key.len == warm->wanted.len && memcmp(warm->key.bytes, warm->wanted.bytes, warm->key.len) == 0;
    if (same && now_ms < warm->started_ms + AGE_MS)
        return true;
    if (!warm->starting && (same || now_ms > warm->used_ms + OTHER_KEY_MS)) {
        warm->retry_ms = 0;
        end(warm);
    }
    return false;
}

/* ---- a task ---- */

static uint32_t count_of(char *const *list)
{
    uint32_t count = 0;
    while (list[count])
        count++;
    return count;
}

/* The whole of it, each string with its NUL, in a file without a name. -1: cannot be made. */
static int write_body(const struct worker_attempt *attempt)
{
    const struct worker_plan *plan = &attempt->plan;
    const uint32_t counts[] = {count_of(plan->argv), count_of(plan->envp)};
    struct buf body = BUF_INIT;
    buf_add(&body, counts, sizeof counts);
    buf_add(&body, attempt->job.workdir, strlen(attempt->job.workdir) + 1);
    buf_add(&body, plan->program, strlen(plan->program) + 1);
    for (char **item = plan->argv; *item; item++)
        buf_add(&body, *item, strlen(*item) + 1);
    for (char **item = plan->envp; *item; item++)
        buf_add(&body, *item, strlen(*item) + 1);
    int fd = memfd_create("pawl-task", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, body.bytes, body.len) != (ssize_t)body.len) {
        (void)close(fd);
        fd = -1;
    }
    buf_fini(&body);
    return fd;
}

static bool send_fds(int link_fd, const int *fds, size_t count)
{
    char control[CMSG_SPACE(GATE_FDS * sizeof(int))] = {0};
    struct iovec word = {.iov_base = "t", .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &word, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    return sendmsg(link_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void leave(struct worker *worker, struct worker_attempt *attempt)
{
    worker_watch_close(worker, &attempt->gate);
    attempt->phase = PHASE_RUNNING;
    attempt->deadline_ms = 0;
    worker->warm->starting--;
}

static void start_cold(struct worker *worker, struct worker_attempt *attempt)
{
    leave(worker, attempt);
    worker_watch_close(worker, &attempt->pipe);
    worker_process_start_cold(worker, attempt);
}

/* It may have been killed since, and reaped as a stranger. It has executed nothing of the task's yet. */
static bool is_our_child(int32_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void on_gate(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    (void)events;
    struct worker_attempt *attempt = (struct worker_attempt *)(void *)((char *)watch
                                                                       - offsetof(struct worker_attempt, gate));
    int32_t pid = 0;
    ssize_t len = recv(watch->fd, &pid, sizeof pid, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len != (ssize_t)sizeof pid || pid <= 0 || !is_our_child(pid)) {
        log_debug("a warm start failed (%d): started cold", pid);
        start_cold(worker, attempt);
        return;
    }
    worker->warm->served = true;
    worker->warm->used_ms = clock_boot_ms();
    worker_process_adopt(worker, attempt, pid);
    (void)send(watch->fd, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    leave(worker, attempt);
    worker_attempt_began(worker, attempt);
}

/* Only as far as what a task would be told differently, or could not be undone. */
static bool is_usable(const struct worker *worker, const struct worker_attempt *attempt)
{
    struct stat st;
    return attempt->job.warm && attempt->job.kind == JOB_PYTHON && !attempt->code_path && !worker->posix_spawn
           && !worker->ending && stat(attempt->job.workdir, &st) == 0 && S_ISDIR(st.st_mode)
           && access(attempt->job.workdir, X_OK) == 0;
}

static struct worker_warm *make(void)
{
    struct worker_warm *warm = mem_new(struct worker_warm);
    warm->link.fd = -1;
    warm->leaf = WORKER_LEAF_INIT;
    return warm;
}

bool worker_warm_start(struct worker *worker, struct worker_attempt *attempt)
{
    if (!is_usable(worker, attempt))
        return false;
    if (!worker->warm)
        worker->warm = make();
    int gate[2];
    if (!have(worker, attempt) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gate) != 0)
        return false;
    int out_fd = worker_process_open_output(worker, attempt);
    int body_fd = write_body(attempt);
    const int fds[GATE_FDS] = {gate[1], out_fd, body_fd, worker->cgroup.path ? attempt->slot->leaf.fd : -1};
    bool sent = out_fd >= 0 && body_fd >= 0 && send_fds(worker->warm->link.fd, fds, worker->cgroup.path ? 4 : 3);
    (void)close(gate[1]);
    if (out_fd >= 0)
        (void)close(out_fd);
    if (body_fd >= 0)
        (void)close(body_fd);
    if (!sent) {
        (void)close(gate[0]);
        worker_watch_close(worker, &attempt->pipe);
        return false;
    }
    attempt->gate.on_ready = on_gate;
    (void)worker_watch_add(worker, &attempt->gate, gate[0], EPOLLIN);
    attempt->phase = PHASE_STARTING;
    attempt->deadline_ms = clock_boot_ms() + ANSWER_MS;
    worker_wake_at(worker, attempt->deadline_ms);
    worker->warm->starting++;
    return true;
}

void worker_warm_drop(struct worker *worker, struct worker_attempt *attempt)
{
    leave(worker, attempt);
}

void worker_warm_late(struct worker *worker)
{
    log_warn("the warm interpreter does not answer: it is ended, and its tasks start without it");
    end(worker->warm);
}

bool worker_warm_reaped(struct worker *worker, int32_t pid)
{
    struct worker_warm *warm = worker->warm;
    if (!warm || !pid || warm->pid != pid)
        return false;
    worker_watch_close(worker, &warm->link);
    warm->pid = 0;
    arena_fini(&warm->arena);
    if (warm->served)
        warm->retry_ms = 0;
    else if (!worker->ending)
        log_info("the warm interpreter ended before its first task; there is none for a while");
    for (uint32_t i = 0; i < worker->options->slots; i++) {
        struct worker_attempt *attempt = worker->slots[i].attempt;
        if (attempt && attempt->phase == PHASE_STARTING)
            start_cold(worker, attempt);
    }
    return true;
}

int32_t worker_warm_pid(const struct worker *worker)
{
    return worker->warm ? worker->warm->pid : 0;
}

struct worker_mark worker_warm_mark(const struct worker *worker)
{
    return (struct worker_mark){.started_boot_ms = worker->warm->started_ms, .leader = worker->warm->pid};
}

void worker_warm_deadlines(struct worker *worker, int64_t now_ms)
{
    struct worker_warm *warm = worker->warm;
    if (!warm || !warm->pid)
        return;
    int64_t until_ms = warm->used_ms + IDLE_MS;
    if (now_ms >= until_ms && !warm->starting)
        end(warm);
    else
        worker_wake_at(worker, until_ms > now_ms ? until_ms : now_ms + ANSWER_MS);
}

void worker_warm_free(struct worker *worker)
{
    struct worker_warm *warm = worker->warm;
    if (!warm)
        return;
    end(warm);
    while (warm->pid && waitpid(warm->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    worker_watch_close(worker, &warm->link);
    worker_leaf_close(&warm->leaf);
    worker_spawn_fini(&warm->area);
    arena_fini(&warm->arena);
    buf_fini(&warm->key);
    buf_fini(&warm->wanted);
    mem_free(warm);
    worker->warm = NULL;
}
