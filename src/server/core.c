/* See core.h. */
#include "server/core.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "server/core_model.h"
#include "server/server.h"

enum {
    ENDING_MS = 5000,
    UNDURABLE_MS = 3000,    /* beyond a deadline: how long the store may still try */
    CLAIM_AHEAD = 48,       /* what may be started while a batch is held */
    CLAIM_AHEAD_SHARED = 2, /* of a cluster's node: what is claimed no other node can begin */
    EVENTS_PER_TURN = 16,
    GATHER_US = 1000,       /* how long starts wait for others to share their commit */
    GATHER_SHARE = 3,       /* a third of the slots is enough to go */
    BRIEF_US = 10000,       /* attempts that usually take no longer */
    BUSY_SHARE = 4,         /* a quarter of the processors' time for programs: the rest is their start and end */
    VIEW_MS = 20            /* what other threads see of the workers is at most so old (G15 allows 100) */
};

static void read_clocks(struct core *core)
{
    core->now = (struct engine_now){clock_wall_ms(), clock_boot_ms()};
}


/* ---- what other threads see of the workers ---- */

static const struct engine_worker_view *view_of(const struct engine_worker_view *views, size_t count, struct uuid id)
{
    for (size_t i = 0; i < count; i++)
        if (uuid_equal(views[i].id, id))
            return &views[i];
    return NULL;
}

static void tell_workers(struct core *core, const struct engine_worker_view *now, size_t count)
{
    void (*tell)(void *, const struct engine_worker_view *) = core->options.on_worker;
    for (size_t i = 0; tell && i < count; i++) {
        const struct engine_worker_view *before = view_of(core->worker_views, core->worker_view_count, now[i].id);
        if (!before || before->state != now[i].state)
            tell(core->options.context, &now[i]);
    }
    for (size_t i = 0; tell && i < core->worker_view_count; i++) {
        struct engine_worker_view gone = core->worker_views[i];
        if (view_of(now, count, gone.id))
            continue;
        gone.state = WORKER_STOPPED;
        gone.running = gone.queued = 0;
        tell(core->options.context, &gone);
    }
}

/* Fills the spare half of the double buffer and tells of what changed; the number of workers in it. */
static size_t view_workers(struct core *core, uint32_t max)
{
    core->spare_views = mem_grow(core->spare_views, &core->spare_view_cap, max, sizeof *core->spare_views);
    size_t count = engine_workers(core->engine, core->spare_views, max);
    tell_workers(core, core->spare_views, count);
    return count;
}

/* With the lock held. */
static void swap_views(struct core *core, size_t count)
{
    struct engine_worker_view *views = core->worker_views;
    size_t cap = core->worker_view_cap;
    core->worker_views = core->spare_views;
    core->worker_view_cap = core->spare_view_cap;
    core->worker_view_count = count;
    core->spare_views = views;
    core->spare_view_cap = cap;
}

/* ---- what one turn takes in ---- */

/* Whoever asked for it sees it as soon as he has the answer. */
static void drain_worker(struct core *core, const struct command *command)
{
    (void)engine_set_worker_draining(core->engine, command->worker, command->draining);
    size_t count = view_workers(core, engine_counts(core->engine).workers);
    (void)pthread_mutex_lock(&core->lock);
    swap_views(core, count);
    (void)pthread_mutex_unlock(&core->lock);
}

static void turn_commands(void *context)
{
    struct core *core = context;
    for (struct command *command = mailbox_take(&core->mailbox), *next; command; command = next) {
        next = command->next;
        if (command->kind == COMMAND_WORKER_DRAIN)
            drain_worker(core, command);
        engine_command(core->engine, command, core->now);
    }
}

static void forget_ended_runs(struct core *core, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->records[i].kind == RECORD_RUN_END)
            core_forget_run(core, batch->records[i].run.id);
}

static void turn_store(void *context)
{
    struct core *core = context;
    int code;
    struct error err = {0};
    for (struct batch *batch; (batch = store_thread_take(core->writer, &code, &err));) {
        core->in_flight--;
        if (code && !core->failure) {
            core->failure = code;
            core->failure_text = err;
        }
        if (!core->failure) {
            live_apply(core->live, batch, core->now.wall_ms);
            if (core->options.on_batch)
                core->options.on_batch(core->options.context, batch, core->now.wall_ms);
            live_drop_ended(core->live);
            core->durable = batch->number;
            core_count_schedule_changes(core, batch, true);
            engine_committed(core->engine, batch, core->now);
            forget_ended_runs(core, batch);
        }
        record_batch_free(batch);
    }
}

static void turn_pool(void *context)
{
    struct core *core = context;
    pool_turn(core->pool);
}

/* ---- what it gives out ---- */

/* The attempts that run beside those that wait to start have enough to do for every processor, and end soon. */
static bool processors_are_busy(const struct core *core, uint32_t running)
{
    return running >= core->processors && core->usual_us < BRIEF_US &&
           running * core->usual_cpu_us * BUSY_SHARE >= core->usual_us * core->processors;
}

/* Then a start that waits a moment for the next ones costs nothing, and one commit for several saves much. */
static bool gathers(struct core *core)
{
    uint32_t slots = engine_batch_slots(core->engine);
    uint32_t running = engine_counts(core->engine).running_attempts;
    if (!slots || core->in_flight || core->phase != CORE_SERVING || slots * GATHER_SHARE >= running ||
        !processors_are_busy(core, running - slots)) {
        core->gather_until_us = 0;
        return false;
    }
    int64_t now_us = clock_boot_us();
    if (!core->gather_until_us)
        core->gather_until_us = now_us + GATHER_US;
    if (now_us < core->gather_until_us)
        return true;
    core->gather_until_us = 0;
    return false;
}

static void submit(struct core *core)
{
    if (gathers(core))
        return;
    if (engine_batch_is_empty(core->engine)) {
        core->hold_until_ms = 0;
        return;
    }
    if (!engine_batch_is_urgent(core->engine) && core->phase == CORE_SERVING) {
        if (!core->hold_until_ms)
            core->hold_until_ms = core->now.boot_ms + LIMIT_HOLD_MS;
        if (core->now.boot_ms < core->hold_until_ms)
            return;
    }
    core->hold_until_ms = 0;
    struct batch *batch = engine_take_batch(core->engine);
    core->in_flight++;
    core->submitted = batch->number;
    core_count_schedule_changes(core, batch, false);
    store_thread_submit(core->writer, batch);
}

static void watch_room(struct core *core)
{
    enum store_room room = store_thread_room(core->writer);
    bool expired = core->lease_ms && core->now.boot_ms >= core->lease_ms;
    bool hold = room != STORE_ROOM_OK || expired;
    if (hold == core->holding)
        return;
    core->holding = hold;
    engine_hold_starts(core->engine, hold);
    if (hold && (expired || room == STORE_ROOM_AWAY))
        log_error("the database cannot be reached: nothing new starts until it can%s",
                  expired ? "; what runs is killed, since other nodes may start it" : "");
    else if (hold)
        log_error("the disk is full: nothing new starts until there is room; what runs is still recorded");
    else
        log_info("the store takes records again: starts go on");
}

static void publish(struct core *core, int64_t began_us)
{
    struct engine_counts counts = engine_counts(core->engine);
    int64_t took_us = clock_boot_us() - began_us;
    atomic_store_explicit(&core->busy_since_ms, 0, memory_order_relaxed);
    core->views_are_old = core->now.boot_ms - core->viewed_ms < VIEW_MS && core->phase == CORE_SERVING;
    if (!core->views_are_old)
        pool_flush(core->pool);
    size_t workers = core->views_are_old ? 0 : view_workers(core, counts.workers);
    (void)pthread_mutex_lock(&core->lock);
    if (!core->views_are_old) {
        core->viewed_ms = core->now.boot_ms;
        swap_views(core, workers);
    }
    core->shown.counts = counts;
    core->shown.worker_count = (uint32_t)core->worker_view_count;
    core->shown.ready = core->phase == CORE_SERVING;
    core->shown.draining = core->phase > CORE_SERVING;
    if (core->now.boot_ms - core->slow_window_ms > 10000) {
        core->slow_window_ms = core->now.boot_ms;
        core->shown.turn_us_max = 0;
    }
    if (took_us > core->shown.turn_us_max)
        core->shown.turn_us_max = took_us;
    (void)pthread_mutex_unlock(&core->lock);
}

/* ---- stopping ---- */

static bool all_durable(const struct core *core)
{
    return core->in_flight == 0 && engine_batch_is_empty(core->engine);
}

static void set_deadline(struct core *core, int64_t ms)
{
    core->deadline_ms = clock_boot_ms() + ms;
}

static bool deadline_passed(const struct core *core)
{
    return core->deadline_ms && core->now.boot_ms >= core->deadline_ms;
}

static void begin_ending(struct core *core)
{
    core->phase = CORE_ENDING;
    set_deadline(core, ENDING_MS);
    pool_quit_idle(core->pool);
}

static void hand_over(struct core *core)
{
    uint32_t running = engine_counts(core->engine).running_attempts;
    log_info("stopping: %u running attempts stay with their workers; the next start takes them over", running);
    pool_disconnect(core->pool);
    core->phase = CORE_STOPPED;
}

/* What is not durable by now was told to nobody: workers keep their results, starts have not happened. */
static void leave_undurable(struct core *core)
{
    log_warn("stopping: the store takes nothing (is the disk full?); what it did not take is decided anew by the next "
             "start");
    pool_disconnect(core->pool);
    core->phase = CORE_STOPPED;
}

static void advance_stop(struct core *core)
{
    struct engine_counts counts = engine_counts(core->engine);
    uint32_t running = counts.running_attempts + counts.sent_attempts;
    if (core->phase < CORE_DRAINING || core->phase == CORE_STOPPED)
        return;
    if (core->phase == CORE_KILLING && !pool_live_count(core->pool) && !deadline_passed(core))
        core->deadline_ms = core->now.boot_ms; /* what is left to wait for is the store */
    if (!all_durable(core)) {
        if (deadline_passed(core) && core->now.boot_ms >= core->deadline_ms + UNDURABLE_MS)
            leave_undurable(core);
        return;
    }
    if (core->phase == CORE_DRAINING) {
        if (running == 0)
            begin_ending(core);
        else if (deadline_passed(core))
            hand_over(core);
    } else if (pool_live_count(core->pool) == 0) {
        core->phase = CORE_STOPPED;
    } else if (deadline_passed(core)) {
        log_warn("stopping: some workers have not ended; the next start meets them");
        pool_disconnect(core->pool);
        core->phase = CORE_STOPPED;
    }
}

void core_drain(struct core *core)
{
    if (core->phase >= CORE_DRAINING)
        return;
    core->phase = CORE_DRAINING;
    engine_set_draining(core->engine, true);
    set_deadline(core, core->options.drain_ms);
    log_info("stopping: no new starts; waiting up to %lld s for %u running attempts",
             (long long)(core->options.drain_ms / 1000), engine_counts(core->engine).running_attempts);
}

struct store_retention server_retention(const struct server_options *options)
{
    return (struct store_retention){
        .age_ms = options->keep_age_ms,
        .runs_max = options->keep_runs,
        .bytes_max = options->keep_bytes,
        .letter_age_ms = options->keep_letters_age_ms,
        .letters_max = options->keep_letters,
    };
}

void core_set_limits(struct core *core, const struct core_limits *limits)
{
    core->options.drain_ms = limits->drain_ms;
    engine_set_limits(core->engine, limits->waiting_tasks_max, limits->active_runs_max);
    store_set_retention(core->store, &limits->retention);
}

void core_finish(struct core *core)
{
    if (core->phase >= CORE_ENDING)
        return;
    engine_set_draining(core->engine, true);
    begin_ending(core);
}

void core_kill(struct core *core)
{
    if (core->phase == CORE_KILLING || core->phase == CORE_STOPPED)
        return;
    engine_set_draining(core->engine, true);
    core->phase = CORE_KILLING;
    set_deadline(core, ENDING_MS);
    pool_kill_all(core->pool);
}

void core_cancel_all(struct core *core)
{
    read_clocks(core);
    engine_cancel_all(core->engine, core->now);
}

/* ---- the loop ---- */

static int earliest(int64_t now_ms, int64_t timeout_ms, int64_t due_ms)
{
    int64_t wait = due_ms > now_ms ? due_ms - now_ms : 0;
    return (int)(timeout_ms < 0 || wait < timeout_ms ? (wait < 3600000 ? wait : 3600000) : timeout_ms);
}

static int timeout_of(const struct core *core)
{
    int64_t now_ms = clock_boot_ms();
    int timeout = -1;
    int64_t due = engine_next_due(core->engine);
    if (due >= 0)
        timeout = earliest(now_ms, timeout, due);
    if (core->hold_until_ms)
        timeout = earliest(now_ms, timeout, core->hold_until_ms);
    if (core->deadline_ms)
        timeout = earliest(now_ms, timeout,
                           now_ms < core->deadline_ms ? core->deadline_ms : core->deadline_ms + UNDURABLE_MS);
    if (core->holding)
        timeout = earliest(now_ms, timeout, now_ms + 1000);
    else if (core->lease_ms)
        timeout = earliest(now_ms, timeout, core->lease_ms);
    if (core->views_are_old)
        timeout = earliest(now_ms, timeout, core->viewed_ms + VIEW_MS);
    return timeout;
}

static int wait_for_events(const struct core *core, struct epoll_event *events)
{
    int timeout_ms = timeout_of(core);
    if (core->gather_until_us && timeout_ms != 0) {
        int64_t wait_us = core->gather_until_us - clock_boot_us();
        const struct timespec wait = {.tv_nsec = wait_us > 0 ? wait_us * 1000 : 0}; /* below a second */
        return epoll_pwait2(core->epoll_fd, events, EVENTS_PER_TURN, &wait, NULL);
    }
    return epoll_wait(core->epoll_fd, events, EVENTS_PER_TURN, timeout_ms);
}

static void turn(struct core *core)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = wait_for_events(core, events);
    int64_t began_us = clock_boot_us();
    read_clocks(core);
    atomic_store_explicit(&core->busy_since_ms, core->now.boot_ms, memory_order_relaxed);
    for (int i = 0; i < count; i++) {
        const struct core_watch *watch = &core->watches[events[i].data.u32];
        watch->turn(watch->context);
    }
    engine_tick(core->engine, core->now);
    watch_room(core);
    if (core->phase == CORE_SERVING)
        engine_dispatch(core->engine, core->now);
    core_do_effects(core);
    submit(core);
    core_forget_workers(core);
    advance_stop(core);
    publish(core, began_us);
}

static void refuse(struct command *command)
{
    struct command_result result = {0};
    (void)error_set(&result.error, ERROR_STOPPING, "the daemon is stopping; try again shortly");
    dag_unref(command->dag);
    command->dag = NULL;
    command->done(command, &result);
}

/* Others may start again what runs here: it is killed before anything else is said or done. Files of workers that had
 * begun something stay: they tell the next life, also when this process does not live to see it. */
static void kill_workers(struct core *core)
{
    struct pollfd poll_fd = {.fd = pool_fd(core->pool), .events = POLLIN};
    int64_t until_ms = clock_boot_ms() + ENDING_MS;
    pool_kill_all(core->pool);
    for (int64_t left_ms; pool_live_count(core->pool) && (left_ms = until_ms - clock_boot_ms()) > 0;) {
        (void)poll(&poll_fd, 1, (int)left_ms);
        pool_turn(core->pool);
    }
}

int core_run(struct core *core, struct error *err)
{
    int code = pool_start(core->pool, err);
    if (code) {
        core->failure = code;
        core->failure_text = *err;
    }
    while (core->phase != CORE_STOPPED && !core->failure)
        turn(core);
    mailbox_close(&core->mailbox);
    for (struct command *command = mailbox_take(&core->mailbox), *next; command; command = next) {
        next = command->next;
        refuse(command);
    }
    if (core->failure) {
        *err = core->failure_text;
        bool fenced = core->failure == ERROR_STORE_FENCED;
        log_error("%s; %s, nothing more is acknowledged", err->text, fenced ? "killing what runs" : "stopping");
        if (fenced)
            kill_workers(core);
        pool_disconnect(core->pool);
        engine_refuse_waiting(core->engine, fenced ? ERROR_STORE_FENCED : ERROR_STORE_FAILED, err->text);
    }
    return core->failure;
}

/* ---- birth and end ---- */

static uint64_t make_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)clock_boot_us() ^ (uint64_t)getpid() << 40;
    return seed;
}

static int open_pool(struct core *core, struct error *err)
{
    const struct core_options *options = &core->options;
    struct pool_options pool = {
        .data_dir = options->data_dir,
        .workers = options->workers,
        .slots = options->slots,
        .files_max = options->files_max,
        .die_with_parent = options->die_with_parent,
        .grace_ms = options->grace_ms,
    };
    struct pool_callbacks callbacks = core_pool_callbacks;
    callbacks.context = core;
    struct pool_jobs_options jobs = {
        .data_dir = options->data_dir,
        .base_dir = options->base_dir,
        .inherit_env = options->inherit_env,
        .log_bytes_max = options->log_bytes_max,
        .http_deny_private = options->http_deny_private,
        .http_networks = options->http_networks,
        .http_network_count = options->http_network_count,
        .users = options->users,
    };
    int code = pool_jobs_new(&jobs, &core->jobs, err);
    return code ? code : pool_new(&pool, &callbacks, &core->pool, err);
}

static int watch_all(struct core *core, struct error *err)
{
    int code = core_add_fd(core, core->mailbox.fd, turn_commands, core, err);
    if (!code)
        code = core_add_fd(core, store_thread_fd(core->writer), turn_store, core, err);
    if (!code)
        code = core_add_fd(core, pool_fd(core->pool), turn_pool, core, err);
    return code;
}

int core_new(const struct core_options *options, struct core **ret_core, struct error *err)
{
    struct core *core = mem_new(struct core);
    core->undecided = true;
    core->options = *options;
    core->worker_died = options->was_fenced;
    (void)pthread_mutex_init(&core->lock, NULL);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    core->processors = processors > 0 ? (uint32_t)processors : 1;
    read_clocks(core);
    core->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    core->live = live_new();
    int code = mailbox_init(&core->mailbox, offsetof(struct command, next));
    if (code || core->epoll_fd < 0)
        code = error_set(err, ERROR_IO, "cannot make event descriptors: %s", strerror(errno));
    const struct store_options store = {
        .path = options->data_dir,
        .mode = STORE_CREATE,
        .durability = options->durability,
        .url = options->store_url,
        .node = options->node,
    };
    if (!code)
        code = (store.url ? store_open_postgres : store_open_sqlite)(&store, &core->store, err);
    if (!code)
        code = open_pool(core, err);
    if (code) {
        core_free(core);
        return code;
    }
    const struct engine_options engine = {
        .seed = make_seed(),
        .epoch = core->store->epoch,
        .claim_ahead_max = options->store_url ? CLAIM_AHEAD_SHARED : CLAIM_AHEAD,
        .waiting_tasks_max = options->waiting_tasks_max,
        .active_runs_max = options->active_runs_max,
        .fires_schedules = options->fires_schedules,
        .shares_schedules = options->store_url != NULL,
    };
    core->engine = engine_new(&engine);
    *ret_core = core;
    return 0;
}

/* The store thread takes no signals: they are for whoever owns the process. */
static int start_writer(struct core *core, struct error *err)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int code = store_thread_start(core->store, &core->writer, err);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int core_recover(struct core *core, struct error *err)
{
    int code = core_load(core, err); /* the store's writer is this thread's until the store thread starts */
    if (code)
        return code;
    code = server_sweep_start(core->store, core->options.data_dir, &core->sweep, err);
    if (code)
        return code;
    store_set_retention(core->store, &core->options.retention);
    code = start_writer(core, err);
    return code ? code : watch_all(core, err);
}

void core_free(struct core *core)
{
    if (!core)
        return;
    store_thread_stop(core->writer);
    server_sweep_stop(core->sweep);
    pool_free(core->pool);
    size_t cursor = 0;
    for (struct map_slot *slot; (slot = map_next(&core->run_jobs, &cursor));) {
        struct core_run_jobs *entry = slot->value;
        core_free_run_jobs(entry);
    }
    map_fini(&core->run_jobs);
    pool_jobs_free(core->jobs);
    engine_free(core->engine);
    live_free(core->live);
    store_close(core->store);
    mailbox_fini(&core->mailbox);
    if (core->epoll_fd >= 0)
        (void)close(core->epoll_fd);
    mem_free(core->gone);
    mem_free(core->watches);
    mem_free(core->worker_views);
    mem_free(core->spare_views);
    (void)pthread_mutex_destroy(&core->lock);
    mem_free(core);
}

int core_add_fd(struct core *core, int fd, core_turn_fn *turn_fn, void *context, struct error *err)
{
    core->watches = mem_grow(core->watches, &core->watch_cap, core->watch_count + 1, sizeof *core->watches);
    core->watches[core->watch_count] = (struct core_watch){fd, turn_fn, context};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)core->watch_count};
    if (epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return error_set(err, ERROR_IO, "cannot watch a descriptor: %s", strerror(errno));
    core->watch_count++;
    return 0;
}

/* ---- other threads ---- */

void core_post(struct core *core, struct command *command)
{
    if (!mailbox_post(&core->mailbox, command))
        refuse(command);
}

void core_get_snapshot(struct core *core, struct core_snapshot *ret_snapshot)
{
    (void)pthread_mutex_lock(&core->lock);
    *ret_snapshot = core->shown;
    (void)pthread_mutex_unlock(&core->lock);
    ret_snapshot->busy_since_ms = atomic_load_explicit(&core->busy_since_ms, memory_order_relaxed);
}

size_t core_get_workers(struct core *core, struct engine_worker_view **ret_views)
{
    (void)pthread_mutex_lock(&core->lock);
    size_t count = core->worker_view_count;
    *ret_views = mem_dup(core->worker_views, count * sizeof **ret_views);
    (void)pthread_mutex_unlock(&core->lock);
    return count;
}

struct store *core_store(struct core *core)
{
    return core->store;
}

struct live *core_live(struct core *core)
{
    return core->live;
}

struct store_thread *core_store_thread(struct core *core)
{
    return core->writer;
}
