/* Attempts that are processes.
 *
 *     start    code file, program, leaf, pipe, record, spawn
 *     stop     TERM to the whole tree, grace, KILL; or KILL at once
 *     exit     the kernel's word for the first process, then until nothing is left:
 *                what it left behind has a moment to end by itself (or the rest of the grace), then KILL until gone
 *                nothing is left, but the pipe is open: somebody out of reach holds it; a moment, then it is closed
 *     finish
 *
 * SIGCHLD, the leaf's and the pipe's events lead on; deadlines are only for those that do not come. Strangers are
 * processes that lost their parent and came to us, since we are a subreaper: reaped by pid, never by accident. */
#include "worker/model.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "worker/files.h"
#include "worker/warm.h"

enum {
    LINGER_MS = 250,       /* what an attempt left behind may end by itself; a logger at the end of a pipe does */
    DRAIN_MS = 500,        /* after everything has ended */
    KILL_AGAIN_MS = 100,
    QUICK_MS = 1000,       /* an attempt as short as that is looked at by the pids that were given out meanwhile */
    QUICK_PIDS = 512,
    DRAIN_READS = 64
};

static uint32_t slot_index(const struct worker *worker, const struct worker_attempt *attempt)
{
    return (uint32_t)(attempt->slot - worker->slots);
}

static struct worker_record_slot *record_slot(struct worker *worker, const struct worker_attempt *attempt)
{
    return &worker->record->slot[slot_index(worker, attempt)];
}

static bool has_leaf(const struct worker *worker)
{
    return worker->cgroup.path;
}

/* ---- its output ---- */

static void on_output(struct worker *worker, struct worker_watch *watch, uint32_t events);
static void look(struct worker *worker, struct worker_attempt *attempt);

static void watch_output(struct worker *worker, struct worker_attempt *attempt)
{
    if (!attempt->young)
        return;
    attempt->young = false;
    worker->young_count--;
    attempt->pipe.on_ready = on_output;
    (void)worker_watch_add(worker, &attempt->pipe, attempt->pipe.fd, EPOLLIN);
}

void worker_process_watch_young(struct worker *worker)
{
    if (worker->young_count == 0)
        return;
    int64_t now_ms = clock_boot_ms();
    if (now_ms < worker->young_due_ms)
        return;
    worker->young_due_ms = now_ms + WORKER_PATIENCE_MS;
    for (uint32_t i = 0; i < worker->options->slots; i++) {
        struct worker_attempt *attempt = worker->slots[i].attempt;
        if (!attempt || !attempt->young)
            continue;
        int64_t due_ms = attempt->started_boot_ms + WORKER_PATIENCE_MS;
        if (due_ms <= now_ms)
            watch_output(worker, attempt);
        else if (due_ms < worker->young_due_ms)
            worker->young_due_ms = due_ms;
    }
}

static void close_output(struct worker *worker, struct worker_attempt *attempt)
{
    if (!attempt->young) {
        worker_watch_close(worker, &attempt->pipe);
        return;
    }
    attempt->young = false;
    worker->young_count--;
    (void)close(attempt->pipe.fd);
    attempt->pipe.fd = -1;
}

static void take_output(struct worker *worker, struct worker_attempt *attempt, int fd)
{
    attempt->pipe.fd = fd;
    attempt->young = true;
    int64_t due_ms = attempt->started_boot_ms + WORKER_PATIENCE_MS;
    if (worker->young_count++ == 0 || due_ms < worker->young_due_ms)
        worker->young_due_ms = due_ms;
}

static void finish(struct worker *worker, struct worker_attempt *attempt)
{
    close_output(worker, attempt);
    worker_watch_remove(worker, &attempt->leaf);
    *record_slot(worker, attempt) = (struct worker_record_slot){0};
    worker_attempt_finish(worker, attempt);
}

/* Returns false at the end of the output. */
static bool read_pipe(struct worker *worker, struct worker_attempt *attempt)
{
    ssize_t len;
    do
        len = read(attempt->pipe.fd, worker->read_buffer, sizeof worker->read_buffer);
    while (len < 0 && errno == EINTR);
    if (len > 0)
        worker_attempt_output(worker, attempt, worker->read_buffer, (size_t)len);
    return len > 0 || (len < 0 && errno == EAGAIN);
}

/* What is in the pipe now; a writer that never stops does not keep us. */
static void drain_pipe(struct worker *worker, struct worker_attempt *attempt)
{
    for (int i = 0; i < DRAIN_READS && attempt->pipe.fd >= 0; i++) {
        errno = 0;
        if (!read_pipe(worker, attempt))
            close_output(worker, attempt);
        else if (errno == EAGAIN)
            break;
    }
}

static void on_output(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    (void)events;
    struct worker_attempt *attempt = (struct worker_attempt *)(void *)((char *)watch
                                                                       - offsetof(struct worker_attempt, pipe));
    if (read_pipe(worker, attempt))
        return;
    worker_watch_close(worker, watch);
    if (attempt->phase == PHASE_LEAVING)
        look(worker, attempt);
}

static void on_leaf(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    (void)events;
    look(worker, (struct worker_attempt *)(void *)((char *)watch - offsetof(struct worker_attempt, leaf)));
}

static bool write_code(struct worker *worker, struct worker_attempt *attempt)
{
    const struct job *job = &attempt->job;
    char *folder = worker_file(worker->options->dir, worker->options->id, "tmp");
    attempt->code_path = arena_printf(&attempt->arena, "%s/%llu.py", folder, (unsigned long long)job->key.fence);
    (void)mkdir(folder, 0700);
    mem_free(folder);
    int fd = open(attempt->code_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t done = 0;
    while (fd >= 0 && done < job->code_len) {
        ssize_t len = write(fd, job->code + done, job->code_len - done);
        if (len < 0 && errno != EINTR)
            break;
        done += len > 0 ? (size_t)len : 0;
    }
    int saved = errno;
    if (fd >= 0)
        (void)close(fd);
    if (done < job->code_len)
        worker_attempt_fail(attempt, FAILURE_EXEC, "cannot write the script to %s: %s", attempt->code_path,
                            strerror(saved));
    return done == job->code_len;
}

static void explain(struct worker_attempt *attempt, enum worker_spawn_step step, int error)
{
    static const char *const doing[] = {
        [SPAWN_STEP_NONE] = "",
        [SPAWN_STEP_START] = "no process: ",
        [SPAWN_STEP_SESSION] = "no session: ",
        [SPAWN_STEP_OUTPUT] = "no output: ",
        [SPAWN_STEP_USER] = "",
        [SPAWN_STEP_WORKDIR] = "",
        [SPAWN_STEP_EXEC] = "",
    };
    _Static_assert(sizeof doing / sizeof doing[0] == SPAWN_STEP_EXEC + 1, "a text for each step");
    const char *name = attempt->plan.name;
    if (step == SPAWN_STEP_WORKDIR)
        worker_attempt_fail(attempt, FAILURE_EXEC, "cannot start '%s' in workdir '%s': %s", name,
                            attempt->job.workdir, strerror(error));
    else if (step == SPAWN_STEP_USER)
        worker_attempt_fail(attempt, FAILURE_EXEC, "cannot start '%s': the worker cannot become user %u: %s", name,
                            attempt->user.uid, strerror(error));
    else if (step == SPAWN_STEP_EXEC && error == ENOENT)
        /* The program was found just before. */
        worker_attempt_fail(attempt, FAILURE_EXEC, "cannot start '%s': its interpreter: %s", name, strerror(error));
    else
        worker_attempt_fail(attempt, FAILURE_EXEC, "cannot start '%s': %s%s", name, doing[step], strerror(error));
}

static int32_t spawn(struct worker *worker, struct worker_attempt *attempt, int out_fd,
                     struct worker_spawn_failure *ret_failure)
{
    const struct worker_spawn_request request = {
        .program = attempt->plan.program,
        .further = attempt->plan.further,
        .argv = attempt->plan.argv,
        .envp = attempt->plan.envp,
        .workdir = attempt->job.workdir,
        .out_fd = out_fd,
        .user = attempt->job.user.other ? &attempt->user : NULL,
        .cgroup_fd = has_leaf(worker) ? attempt->slot->leaf.fd : -1,
    };
    if (worker->posix_spawn)
        return worker_spawn_posix(&attempt->slot->area, &request, ret_failure);
    return worker_spawn(&attempt->slot->area, &request, ret_failure);
}

static void write_record(struct worker *worker, struct worker_attempt *attempt)
{
    struct worker_record_slot *record = record_slot(worker, attempt);
    record->mark = (struct worker_mark){
        .run_id = attempt->job.key.run_id,
        .fence = attempt->job.key.fence,
        .started_boot_ms = clock_boot_ms(),
    };
    record->busy = 1;
}

int worker_process_open_output(struct worker *worker, struct worker_attempt *attempt)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    write_record(worker, attempt);
    attempt->pipe.on_ready = on_output;
    (void)worker_watch_add(worker, &attempt->pipe, ends[0], EPOLLIN);
    return ends[1];
}

void worker_process_adopt(struct worker *worker, struct worker_attempt *attempt, int32_t pid)
{
    attempt->pid = pid;
    attempt->slot->area.failure.step = SPAWN_STEP_NONE;
    record_slot(worker, attempt)->mark.leader = pid;
}

/* Starts the planned program with a new pipe. The record is written first: a process without a record would be lost
 * when we are killed between the two. */
static bool launch(struct worker *worker, struct worker_attempt *attempt)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        worker_attempt_fail(attempt, FAILURE_EXEC, "cannot start '%s': no pipe: %s", attempt->plan.name,
                            strerror(errno));
        return false;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    if (attempt->job.user.other)
        (void)fchmod(ends[1], 0622); /* /dev/stderr is opened anew by who writes there; only its own processes see it */
    write_record(worker, attempt);
    struct worker_spawn_failure failure;
    int32_t pid = spawn(worker, attempt, ends[1], &failure);
    if (pid < 0 && attempt->plan.direct && failure.step == SPAWN_STEP_EXEC) {
        worker_plan_shell(&attempt->arena, &attempt->job, &attempt->plan);
        pid = spawn(worker, attempt, ends[1], &failure);
    }
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        explain(attempt, failure.step, failure.error);
        return false;
    }
    attempt->pid = pid;
    record_slot(worker, attempt)->mark.leader = pid;
    take_output(worker, attempt, ends[0]);
    return true;
}

static void prepare_user(struct worker_attempt *attempt)
{
    const struct job_user *user = &attempt->job.user;
    uint32_t *groups = arena_array(&attempt->arena, user->group_count + 1u, sizeof *groups);
    if (user->group_count)
        memcpy(groups, user->groups, user->group_count * sizeof *groups);
    attempt->user = (struct worker_spawn_user){user->uid, user->gid, groups, user->group_count};
}

static bool prepare(struct worker *worker, struct worker_attempt *attempt)
{
    struct error err = {0};
    struct worker_leaf *leaf = &attempt->slot->leaf;
    if (attempt->job.user.other)
        prepare_user(attempt);
    if (worker_plan_needs_file(&attempt->job) && attempt->job.user.other) {
        /* It would have to lie where that user can read it, and nobody else may change it. */
        worker_attempt_fail(attempt, FAILURE_EXEC, "code of more than 64 KiB cannot be passed to another user's "
                            "python: put it into a script");
        return false;
    }
    if (worker_plan_needs_file(&attempt->job) && !write_code(worker, attempt))
        return false;
    if (worker_plan_make(&attempt->arena, &attempt->job, attempt->code_path, &worker->place, &attempt->plan,
                         &err) != 0) {
        worker_attempt_fail(attempt, FAILURE_EXEC, "%s", err.text);
        return false;
    }
    if (has_leaf(worker) && (leaf->fd < 0 || leaf->killed)
        && worker_leaf_open(&worker->cgroup, slot_index(worker, attempt), leaf, &err) != 0) {
        worker_attempt_fail(attempt, FAILURE_EXEC, "%s", err.text);
        return false;
    }
    attempt->oom_kills = worker_leaf_oom_kills(leaf);
    return true;
}

void worker_process_start_cold(struct worker *worker, struct worker_attempt *attempt)
{
    if (launch(worker, attempt))
        worker_attempt_began(worker, attempt);
    else
        finish(worker, attempt);
}

void worker_process_start(struct worker *worker, struct worker_attempt *attempt)
{
    if (!prepare(worker, attempt))
        finish(worker, attempt);
    else if (attempt->job.user.other || !worker_warm_start(worker, attempt))
        worker_process_start_cold(worker, attempt);
}

static size_t gather_others(struct worker *worker, const struct worker_attempt *attempt, struct worker_mark *marks)
{
    size_t count = 0;
    for (uint32_t i = 0; i < worker->options->slots; i++)
        if (worker->record->slot[i].busy && worker->slots[i].attempt != attempt)
            marks[count++] = worker->record->slot[i].mark;
    if (worker_warm_pid(worker))
        marks[count++] = worker_warm_mark(worker);
    return count;
}

/* Best effort. Returns how many there are; 1 when nobody can say. */
static size_t sweep(struct worker *worker, struct worker_attempt *attempt, int signal_number)
{
    struct error err = {0};
    struct worker_mark *others = mem_new_array(struct worker_mark, worker->options->slots + 1);
    const struct worker_sweep query = {
        .marks = &record_slot(worker, attempt)->mark,
        .mark_count = 1,
        .others = others,
        .other_count = gather_others(worker, attempt, others),
        .subreaper = worker->pid,
    };
    size_t found;
    bool unsure;
    if (worker_procs_signal(&query, signal_number, &found, &unsure, &err) != 0) {
        log_error("%s", err.text);
        if (attempt->pid && signal_number)
            (void)kill(-attempt->pid, signal_number);
        found = attempt->pid ? 1 : 0;
    }
    if (unsure || query.other_count == 0)
        worker->unsure = unsure;
    mem_free(others);
    return found;
}

static void signal_tree(struct worker *worker, struct worker_attempt *attempt, int signal_number)
{
    if (has_leaf(worker))
        worker_leaf_signal(&attempt->slot->leaf, signal_number);
    else
        (void)sweep(worker, attempt, signal_number);
}

static bool is_leader(const struct worker *worker, int32_t pid)
{
    for (uint32_t i = 0; i < worker->options->slots; i++)
        if (worker->slots[i].attempt && worker->slots[i].attempt->pid == pid)
            return true;
    return pid == worker_warm_pid(worker);
}

/* Whatever a short attempt started got a pid between its own and the last one given out, and what has lost its parent
 * is our child. So a few questions replace a look at every process of the machine. */
static bool may_have_left(const struct worker *worker, struct worker_attempt *attempt)
{
    const struct worker_mark *mark = &worker->record->slot[slot_index(worker, attempt)].mark;
    int32_t last = worker_procs_last_pid();
    if (worker->unsure || clock_boot_ms() - mark->started_boot_ms > QUICK_MS || last < mark->leader
        || last - mark->leader > QUICK_PIDS)
        return true;
    for (int32_t pid = mark->leader + 1; pid <= last; pid++) {
        struct worker_proc proc;
        if ((kill(pid, 0) == 0 || errno == EPERM) && !is_leader(worker, pid) && worker_proc_read(pid, &proc)
            && proc.parent == worker->pid)
            return true;
    }
    return false;
}

static bool is_anything_left(struct worker *worker, struct worker_attempt *attempt)
{
    if (has_leaf(worker))
        return worker_leaf_populated(&attempt->slot->leaf);
    /* Once something was found, only a whole look says that it is gone. */
    if (attempt->deadline_ms == 0 && !may_have_left(worker, attempt))
        return false;
    return sweep(worker, attempt, 0) > 0;
}

static void set_deadline(struct worker *worker, struct worker_attempt *attempt, int64_t time_ms)
{
    attempt->deadline_ms = time_ms;
    worker_wake_at(worker, time_ms);
}

static void wait_for_rest(struct worker *worker, struct worker_attempt *attempt)
{
    int64_t now_ms = clock_boot_ms();
    if (has_leaf(worker) && attempt->leaf.fd < 0) {
        attempt->leaf.on_ready = on_leaf;
        (void)worker_watch_add(worker, &attempt->leaf, attempt->slot->leaf.events_fd, EPOLLPRI);
    }
    if (now_ms < attempt->linger_until_ms) {
        set_deadline(worker, attempt, attempt->linger_until_ms);
    } else {
        signal_tree(worker, attempt, SIGKILL);
        set_deadline(worker, attempt, now_ms + KILL_AGAIN_MS);
    }
}

/* PHASE_LEAVING: goes as far as it can. */
static void look(struct worker *worker, struct worker_attempt *attempt)
{
    if (is_anything_left(worker, attempt)) {
        wait_for_rest(worker, attempt);
        return;
    }
    drain_pipe(worker, attempt);
    if (attempt->pipe.fd >= 0) {
        int64_t now_ms = clock_boot_ms();
        if (!attempt->drain_until_ms)
            attempt->drain_until_ms = now_ms + DRAIN_MS;
        if (now_ms < attempt->drain_until_ms) {
            watch_output(worker, attempt);
            set_deadline(worker, attempt, attempt->drain_until_ms);
            return;
        }
    }
    finish(worker, attempt);
}

void worker_process_look(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->options->slots; i++) {
        struct worker_attempt *attempt = worker->slots[i].attempt;
        if (attempt && attempt->phase == PHASE_LEAVING)
            look(worker, attempt);
    }
}

static void note_exit(struct worker_attempt *attempt, const siginfo_t *end, const struct rusage *usage)
{
    struct job_result *result = &attempt->result;
    bool short_of_memory = worker_leaf_oom_kills(&attempt->slot->leaf) > attempt->oom_kills;
    result->cpu_us = (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000
                   + usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
    result->max_rss_bytes = usage->ru_maxrss * 1024;
    if (end->si_code == CLD_KILLED || end->si_code == CLD_DUMPED) {
        int number = end->si_status;
        const char *name = sigabbrev_np(number);
        result->signal = number;
        if (short_of_memory && number == SIGKILL)
            worker_attempt_fail(attempt, FAILURE_OOM, "killed by the kernel: out of memory");
        else
            worker_attempt_fail(attempt, FAILURE_SIGNAL, "killed by signal %d (%s)", number, name ? name : "RT");
    } else if (end->si_code == CLD_EXITED) {
        result->exit_code = end->si_status;
        if (result->exit_code && short_of_memory)
            worker_attempt_fail(attempt, FAILURE_OOM, "exit status %d: out of memory", result->exit_code);
        else if (result->exit_code)
            worker_attempt_fail(attempt, FAILURE_EXIT, "exit status %d", result->exit_code);
    } else {
        worker_attempt_fail(attempt, FAILURE_INTERNAL, "ended with the unknown code %d", end->si_code);
    }
}

/* The child could not execute its program. */
static void on_not_started(struct worker *worker, struct worker_attempt *attempt)
{
    enum worker_spawn_step step = attempt->slot->area.failure.step;
    int error = attempt->slot->area.failure.error;
    close_output(worker, attempt);
    if (attempt->plan.direct && step == SPAWN_STEP_EXEC && attempt->end == END_BY_ITSELF) {
        worker_plan_shell(&attempt->arena, &attempt->job, &attempt->plan);
        if (launch(worker, attempt))
            return;
    } else {
        explain(attempt, step, error);
    }
    finish(worker, attempt);
}

static void on_exit_of(struct worker *worker, struct worker_attempt *attempt, const siginfo_t *end,
                       const struct rusage *usage)
{
    attempt->pid = 0;
    worker_spawn_settle(&attempt->slot->area);
    if (attempt->slot->area.failure.step != SPAWN_STEP_NONE) {
        on_not_started(worker, attempt);
        return;
    }
    note_exit(attempt, end, usage);
    attempt->phase = PHASE_LEAVING;
    attempt->linger_until_ms =
        attempt->end == END_BY_ITSELF ? clock_boot_ms() + LINGER_MS : attempt->deadline_ms;
    attempt->deadline_ms = 0;
    look(worker, attempt);
}

static struct worker_attempt *attempt_of(struct worker *worker, int32_t pid)
{
    for (uint32_t i = 0; i < worker->options->slots; i++)
        if (worker->slots[i].attempt && worker->slots[i].attempt->pid == pid)
            return worker->slots[i].attempt;
    return NULL;
}

void worker_process_reap(struct worker *worker)
{
    bool strangers = false;
    for (;;) {
        siginfo_t info = {0};
        struct rusage usage;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 || info.si_pid == 0)
            break;
        struct worker_attempt *attempt = attempt_of(worker, info.si_pid);
        if (wait4(info.si_pid, NULL, WNOHANG | __WALL, &usage) != info.si_pid)
            break;
        if (attempt)
            on_exit_of(worker, attempt, &info, &usage);
        else if (!worker_warm_reaped(worker, info.si_pid))
            strangers = true;
    }
    if (strangers)
        worker_process_look(worker);
}

void worker_process_stop(struct worker *worker, struct worker_attempt *attempt, bool at_once)
{
    int64_t now_ms = clock_boot_ms();
    if (attempt->phase == PHASE_STARTING) {
        worker_warm_drop(worker, attempt);
        finish(worker, attempt);
        return;
    }
    if (attempt->phase == PHASE_LEAVING) {
        attempt->linger_until_ms = now_ms;
        look(worker, attempt);
        return;
    }
    signal_tree(worker, attempt, at_once ? SIGKILL : SIGTERM);
    set_deadline(worker, attempt, now_ms + (at_once ? KILL_AGAIN_MS : worker->options->grace_ms));
}

void worker_process_deadline(struct worker *worker, struct worker_attempt *attempt)
{
    if (attempt->phase == PHASE_STARTING)
        worker_warm_late(worker);
    else if (attempt->phase == PHASE_RUNNING)
        worker_process_stop(worker, attempt, true);
    else
        look(worker, attempt);
}
