/* The worker's loop and its life: what it takes over from its process, what it watches, when it ends. */
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/files.h"
#include "worker/model.h"
#include "worker/warm.h"

enum {
    EVENTS_MAX = 64,
    FIRST_DAEMON_MS = 30000,   /* the daemon that started us has that long to connect */
    ENDING_MAX_MS = 10000      /* then we go, whatever cannot be killed */
};

int worker_watch_add(struct worker *worker, struct worker_watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    watch->fd = fd;
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    log_error("cannot watch a descriptor: %s", strerror(errno));
    return ERROR_IO;
}

void worker_watch_change(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);
}

void worker_watch_remove(struct worker *worker, struct worker_watch *watch)
{
    if (watch->fd >= 0)
        (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
}

void worker_watch_close(struct worker *worker, struct worker_watch *watch)
{
    int fd = watch->fd;
    worker_watch_remove(worker, watch);
    if (fd >= 0)
        (void)close(fd);
}

void worker_wake_at(struct worker *worker, int64_t time_ms)
{
    if (worker->timer_ms && worker->timer_ms <= time_ms)
        return;
    const struct itimerspec when = {
        .it_value = {.tv_sec = time_ms / 1000, .tv_nsec = time_ms % 1000 * 1000000 + 1},
    };
    worker->timer_ms = time_ms;
    (void)timerfd_settime(worker->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void worker_end(struct worker *worker)
{
    if (worker->ending)
        return;
    worker->ending = true;
    worker->untold = !worker->options->die_with_parent && worker_attempt_any_began(worker);
    worker->idle_since_ms = clock_boot_ms();
    worker_attempt_kill_all(worker);
}

static void on_signals(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    (void)events;
    struct signalfd_siginfo info[8];
    ssize_t len = read(watch->fd, info, sizeof info);
    for (size_t i = 0; len > 0 && i < (size_t)len / sizeof info[0]; i++) {
        if (info[i].ssi_signo == SIGCHLD)
            worker->children_ended = true;
        else
            worker_end(worker);
    }
}

static void on_timer(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    (void)events;
    uint64_t times;
    ssize_t len = read(watch->fd, &times, sizeof times);
    (void)len;
    worker->timer_ms = 0;
    worker->timer_fired = true;
}

/* Dispositions are inherited by programs: all become the default, so that the tasks' are too. The signals we handle
 * come through a descriptor, the others stay blocked (a closed socket answers with EPIPE). */
static void take_signals(sigset_t *ret_handled)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigdelset(&blocked, fatal[i]);
    (void)sigprocmask(SIG_SETMASK, &blocked, NULL);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (number != SIGKILL && number != SIGSTOP && sigismember(&blocked, number) == 1)
            (void)sigaction(number, &standard, NULL);
    sigemptyset(ret_handled);
    sigaddset(ret_handled, SIGCHLD);
    sigaddset(ret_handled, SIGTERM);
}

/* glibc's posix_spawn, by which the pool starts a worker, leaves its own two signals ignored, and what is ignored
 * stays so over an exec: tasks would get that, too. glibc's sigaction refuses them. */
static void reset_library_signals(void)
{
    const struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        uint64_t mask;
    } by_default = {0};
    for (int number = 32; number <= 33; number++)
        (void)syscall(SYS_rt_sigaction, number, &by_default, NULL, sizeof by_default.mask);
}

static void take_process(const struct worker_options *options)
{
    int null_fd = open("/dev/null", O_RDWR); /* inherited: it is the tasks' stdin */
    if (null_fd >= 0) {
        (void)dup2(null_fd, STDIN_FILENO);
        (void)dup2(null_fd, STDOUT_FILENO);
        if (fcntl(STDERR_FILENO, F_GETFD) < 0)
            (void)dup2(null_fd, STDERR_FILENO);
        if (null_fd > STDERR_FILENO)
            (void)close(null_fd);
    }
    (void)syscall(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, 4u /* CLOSE_RANGE_CLOEXEC */);
    (void)fcntl(options->listen_fd, F_SETFL, fcntl(options->listen_fd, F_GETFL) | O_NONBLOCK);
    reset_library_signals();
    (void)prctl(PR_SET_NAME, "pawl-worker");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (options->die_with_parent)
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static int open_loop(struct worker *worker, struct error *err)
{
    sigset_t handled;
    take_signals(&handled);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int signal_fd = signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK);
    int timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    worker->signals.on_ready = on_signals;
    worker->timer.on_ready = on_timer;
    if (worker->epoll_fd < 0 || signal_fd < 0 || timer_fd < 0
        || worker_watch_add(worker, &worker->signals, signal_fd, EPOLLIN) != 0
        || worker_watch_add(worker, &worker->timer, timer_fd, EPOLLIN) != 0)
        return error_set(err, ERROR_IO, "cannot start the loop: %s", strerror(errno));
    worker_link_listen(worker);
    return 0;
}

/* A cgroup is used when a child can really be born into it. */
static int try_cgroup(struct worker *worker, struct error *err)
{
    struct worker_leaf *first = &worker->slots[0].leaf;
    char *path = worker_cgroup_path(worker->options->id, err);
    if (!path)
        return ERROR_IO;
    /* Recorded before it is made: whoever cleans up after us must know of it. */
    int code = worker_record_set_cgroup(worker->record, path, err);
    if (!code)
        code = worker_cgroup_open(&worker->cgroup, path, err);
    mem_free(path);
    if (code)
        return code;
    code = worker_leaf_open(&worker->cgroup, 0, first, err);
    if (!code) {
        int failed = worker_spawn_probe(first->fd);
        if (failed)
            code = error_set(err, ERROR_IO, "no process can be started in the cgroup %s: %s", worker->cgroup.path,
                             strerror(failed));
    }
    if (code) {
        worker_leaf_close(first);
        worker_cgroup_close(&worker->cgroup);
    }
    return code;
}

static void choose_isolation(struct worker *worker)
{
    const struct worker_options *options = worker->options;
    struct error err = {0};
    worker->cgroup.fd = -1;
    worker->posix_spawn = options->spawn == WORKER_SPAWN_POSIX;
    if (!worker->posix_spawn) {
        int failed = worker_spawn_probe(-1);
        worker->posix_spawn = failed != 0;
        if (failed)
            log_warn("clone3 does not work here (%s): tasks are started by posix_spawn, without a cgroup, and do not "
                     "die at once when their worker is killed", strerror(failed));
    }
    if (options->isolation == WORKER_ISOLATION_AUTO && !worker->posix_spawn && try_cgroup(worker, &err) != 0) {
        (void)worker_record_set_cgroup(worker->record, NULL, NULL);
        log_debug("what tasks leave behind is ended as far as it can be found: %s", err.text);
    }
}

static int prepare(struct worker *worker, const struct worker_options *options, struct error *err)
{
    struct worker_proc self = {0};
    worker->options = options;
    worker->pid = getpid();
    worker->boot_id = worker_procs_boot_id();
    (void)worker_proc_read(worker->pid, &self);
    worker->start_ticks = self.start_ticks;
    worker->slots = mem_new_array(struct worker_slot, options->slots);
    worker->free_slots = mem_new_array(uint32_t, options->slots);
    for (uint32_t i = options->slots; i-- > 0;) {
        worker->slots[i].leaf = WORKER_LEAF_INIT;
        worker->free_slots[worker->free_count++] = i;
    }
    take_process(options);
    int code = open_loop(worker, err);
    if (code)
        return code;
    char *path = worker_file(options->dir, options->id, "run");
    code = worker_record_make(path, options->slots, worker->boot_id, &worker->record, err);
    mem_free(path);
    if (!code)
        choose_isolation(worker);
    return code;
}

static void clean_up(struct worker *worker)
{
    worker_link_close(worker);
    worker_http_free(worker);
    worker_attempt_kill_all(worker);
    worker_attempt_free_gone(worker);
    worker_warm_free(worker);
    for (uint32_t i = 0; i < worker->options->slots; i++) {
        worker_spawn_fini(&worker->slots[i].area);
        worker_leaf_close(&worker->slots[i].leaf);
    }
    worker_cgroup_close(&worker->cgroup);
    worker_record_close(worker->record);
    worker_place_fini(&worker->place);
    buf_fini(&worker->link.in);
    buf_fini(&worker->link.out);
    worker_watch_close(worker, &worker->signals);
    worker_watch_close(worker, &worker->timer);
    worker_watch_close(worker, &worker->listen);
    if (worker->epoll_fd >= 0)
        (void)close(worker->epoll_fd);
    mem_free(worker->slots);
    mem_free(worker->free_slots);
    mem_free(worker);
}

/* Whether there is a reason to go on; sets when to ask again. */
static bool goes_on(struct worker *worker)
{
    const struct worker_options *options = worker->options;
    int64_t now_ms = clock_boot_ms();
    if (worker->ending) {
        worker_wake_at(worker, worker->idle_since_ms + ENDING_MAX_MS);
        return worker_attempt_any_runs(worker) && now_ms < worker->idle_since_ms + ENDING_MAX_MS;
    }
    if (worker->oldest) {
        worker->idle_since_ms = 0;
        if (worker->lease_ms && worker_attempt_any_runs(worker)) {
            if (now_ms >= worker->lease_ms) {
                log_warn("the node's lease has ended: what runs here may be started elsewhere and is killed");
                worker_end(worker);
                return goes_on(worker);
            }
            worker_wake_at(worker, worker->lease_ms);
        }
        return true;
    }
    if (worker->quitting)
        return false;
    if (worker_link_is_up(worker)) {
        worker->idle_since_ms = 0;
        return true;
    }
    if (!worker->idle_since_ms)
        worker->idle_since_ms = now_ms;
    int64_t patience_ms = options->idle_exit_ms;
    if (!worker->met_daemon && patience_ms < FIRST_DAEMON_MS)
        patience_ms = FIRST_DAEMON_MS;
    if (now_ms >= worker->idle_since_ms + patience_ms)
        return false;
    worker_wake_at(worker, worker->idle_since_ms + patience_ms);
    return true;
}

static void check_deadlines(struct worker *worker)
{
    if (!worker->timer_fired)
        return; /* none has passed */
    worker->timer_fired = false;
    int64_t now_ms = clock_boot_ms();
    worker_attempt_deadlines(worker, now_ms);
    worker_http_deadlines(worker, now_ms);
    worker_warm_deadlines(worker, now_ms);
}

static int sooner(int wait_ms, int64_t left_ms)
{
    if (left_ms <= 0)
        return 0;
    return wait_ms < 0 || left_ms < wait_ms ? (int)left_ms : wait_ms;
}

/* How long what can wait may still wait; -1: nothing does. */
static int patience_ms(const struct worker *worker)
{
    int wait_ms = worker->link.patient_since_ms ? WORKER_PATIENCE_MS : -1;
    if (worker->young_count == 0 && worker->waiting_count == 0)
        return wait_ms;
    int64_t now_ms = clock_boot_ms();
    if (worker->young_count)
        wait_ms = sooner(wait_ms, worker->young_due_ms - now_ms);
    if (worker->waiting_count)
        wait_ms = sooner(wait_ms, worker->waiting_due_ms - now_ms);
    return wait_ms;
}

static void turn(struct worker *worker)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, patience_ms(worker));
    for (int i = 0; i < count; i++) {
        struct worker_watch *watch = events[i].data.ptr;
        if (watch->fd >= 0)
            watch->on_ready(worker, watch, events[i].events);
    }
    if (worker->children_ended) {
        worker->children_ended = false;
        worker_process_reap(worker);
    }
    worker_attempt_serve_waiting(worker);
    worker_process_watch_young(worker);
    check_deadlines(worker);
    worker_http_end_turn(worker);
    worker_attempt_serve_waiting(worker);
    worker_link_flush(worker);
    worker_attempt_free_gone(worker);
}

int worker_main(const struct worker_options *options)
{
    struct error err = {0};
    struct worker *worker = mem_new(struct worker);
    worker->epoll_fd = -1;
    worker->listen.fd = worker->signals.fd = worker->timer.fd = worker->link.watch.fd = -1;
    int code = prepare(worker, options, &err);
    if (code)
        log_error("the worker cannot work: %s", err.text);
    while (!code && goes_on(worker))
        turn(worker);
    /* A worker that could not end everything leaves its record to whoever looks for the rest. One that was ended has
     * killed what nobody may know of: its files tell the daemon, this one or the next, that it died. */
    bool untold = worker->untold, clean = code || (!untold && !worker_attempt_any_runs(worker));
    clean_up(worker);
    if (clean)
        worker_files_remove(options->dir, options->id, true);
    return code || untold ? 1 : 0;
}
