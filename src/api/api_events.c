/* What changes, told as it changes. Three events, with the shapes GET gives: `run`, `task` (and whose: runId),
 * `worker`; a fourth, `reset`, says that something is missing and everything is to be read anew.
 *
 *     engine's thread   api_events_publish: which runs and tasks a durable batch touched, with their snapshots
 *     own thread        writes each event once, puts it into the ring (api_event_ring.h), wakes readers
 *     server threads    copy from the ring into connections
 *
 * So the engine pays for a look-up per touched run, and nothing at all when nobody listens. An event shows its task
 * as it was when the batch was durable: what came and went inside one batch is not told. What waits for the thread is
 * bounded: beyond LIMIT_EVENT_BACKLOG_MAX changes it becomes one `reset`.
 *
 * Nodes of a cluster tell each other (server/cluster_events.c): what others tell comes as lines, which wait for the
 * thread like everything else; what happens here is told to others as long as some of them listen. Others are asked to
 * tell while there are readers of all runs, or of one that another node drives. Such a reader's request sleeps until
 * all do, HEAR_MS at most, which the thread ends. Who tells later, or too much, or is gone, leaves a gap: a `reset`
 * among the events.
 *
 * The thread starts with the first reader. Events are recorded from then on and for LINGER_BEATS beats after the last
 * reader left, so that who lost a connection can resume; without readers the thread sleeps without a timer. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/api_call.h"
#include "api/api_event_ring.h"
#include "api/api_follow.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "api/api_view.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/record.h"
#include "store/cluster.h"

enum { BEAT_MS = 15000, LINGER_BEATS = 4, HEAR_MS = 500 };

/* A run or one of its tasks. */
struct touch {
    struct uuid run_id;
    uint32_t task;              /* TOUCH_RUN: the run itself */
};
#define TOUCH_RUN UINT32_MAX

struct touched_run {
    struct live_run *run;       /* a reference */
    bool itself;                /* not only its tasks */
    uint32_t *tasks;            /* ascending */
    size_t task_count;
};

/* What one batch, one word of a worker, or other nodes leave for the thread. */
enum work_kind { WORK_RUNS, WORK_WORKER, WORK_RESET, WORK_LINES, WORK_HEARS, WORK_LEFT };
struct work {
    struct work *next;
    enum work_kind kind;
    struct api_worker worker;
    struct touched_run *runs;
    size_t run_count;
    struct buf lines;
    struct uuid run_id;         /* LEFT */
    bool hears_all;             /* HEARS */
    size_t weight;              /* tasks and runs */
};

/* A request that sleeps until others tell; deferred (http.h). */
struct sleeper {
    struct sleeper *next;
    struct api_call *call;
    struct timespec until;      /* CLOCK_MONOTONIC */
};

struct api_events {
    struct api *api;
    struct api_event_ring *ring;
    struct api_follow *follow;
    atomic_bool recording;      /* for readers or for others */
    atomic_bool wants_others;   /* they are to tell; see api_wants_others */

    /* the engine's thread */
    struct touch *touches;
    size_t touch_count, touch_cap;

    pthread_mutex_t lock;
    pthread_cond_t changed;     /* CLOCK_MONOTONIC */
    pthread_t thread;
    bool started;
    bool stopped;
    bool for_others;            /* some listen */
    bool hears_all;             /* all others that are alive tell */
    struct sleeper *sleepers;   /* in the order of `until` */
    struct sleeper **last_sleeper;
    unsigned idle_beats;        /* since the last reader left */
    unsigned far_idle_beats;    /* since the last left that wants to hear of others */
    struct work *first;
    struct work *last;
    size_t weight;              /* of all that waits */
};

struct api_events *api_events_new(struct api *api)
{
    struct api_events *events = mem_new(struct api_events);
    events->api = api;
    events->ring = api_event_ring_new(clock_wall_ms(), LIMIT_EVENT_BACKLOG_MAX);
    events->follow = api_follow_new(api);
    events->last_sleeper = &events->sleepers;
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    rc = rc ? rc : pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = rc ? rc : pthread_cond_init(&events->changed, &attr);
    rc = rc ? rc : pthread_mutex_init(&events->lock, NULL);
    assert(rc == 0);
    (void)rc;
    (void)pthread_condattr_destroy(&attr);
    return events;
}

static void work_free(struct work *work)
{
    for (size_t i = 0; i < work->run_count; i++) {
        live_unref(work->runs[i].run);
        mem_free(work->runs[i].tasks);
    }
    mem_free(work->runs);
    buf_fini(&work->lines);
    mem_free(work);
}

static void drop_waiting(struct api_events *events)
{
    for (struct work *work = events->first, *next; work; work = next) {
        next = work->next;
        if (work->kind == WORK_HEARS)
            events->hears_all = work->hears_all;
        work_free(work);
    }
    events->first = events->last = NULL;
    events->weight = 0;
}

/* ---- the engine's thread ---- */

static void push(struct api_events *events, struct work *work)
{
    (void)pthread_mutex_lock(&events->lock);
    if (work->kind == WORK_RESET || events->weight + work->weight > LIMIT_EVENT_BACKLOG_MAX) {
        drop_waiting(events);
        if (work->kind == WORK_HEARS)
            events->hears_all = work->hears_all;
        work_free(work);
        work = mem_new(struct work);
        work->kind = WORK_RESET;
    }
    if (events->last)
        events->last->next = work;
    else
        events->first = work;
    events->last = work;
    events->weight += work->weight;
    (void)pthread_cond_signal(&events->changed);
    (void)pthread_mutex_unlock(&events->lock);
}

static void touch(struct api_events *events, struct uuid run_id, uint32_t task)
{
    size_t count = events->touch_count;
    struct touch *last = count ? &events->touches[count - 1] : NULL;
    if (last && last->task == task && uuid_equal(last->run_id, run_id))
        return;
    events->touches = mem_grow(events->touches, &events->touch_cap, count + 1, sizeof *events->touches);
    events->touches[events->touch_count++] = (struct touch){run_id, task};
}

static void touch_record(struct api_events *events, const struct record *record)
{
    switch (record->kind) {
    case RECORD_RUN_CREATE:
    case RECORD_RUN_START:
    case RECORD_RUN_CANCEL:
    case RECORD_RUN_END:
        touch(events, record->run.id, TOUCH_RUN);
        return;
    case RECORD_ATTEMPT_CLAIM:
        if (uuid_is_zero(record->attempt.worker))
            return; /* claimed ahead: nothing to see yet */
        touch(events, record->attempt.run_id, record->attempt.task);
        return;
    case RECORD_ATTEMPT_START:
    case RECORD_ATTEMPT_END:
    case RECORD_ATTEMPT_WITHDRAW:
        touch(events, record->attempt.run_id, record->attempt.task);
        return;
    default:
        return;
    }
}

static int compare_touches(const void *a, const void *b)
{
    const struct touch *x = a, *y = b;
    int order = uuid_compare(x->run_id, y->run_id);
    return order ? order : (x->task > y->task) - (x->task < y->task);
}

/* One run's touches, sorted, the run itself behind its tasks. */
static void add_run(struct work *work, struct live_run *take_run, const struct touch *touches, size_t count)
{
    struct touched_run *touched = &work->runs[work->run_count++];
    touched->run = take_run;
    touched->itself = touches[count - 1].task == TOUCH_RUN;
    touched->tasks = mem_new_array(uint32_t, count);
    for (size_t i = 0; i < count; i++)
        if (touches[i].task != TOUCH_RUN && (i == 0 || touches[i].task != touches[i - 1].task))
            touched->tasks[touched->task_count++] = touches[i].task;
    work->weight += count;
}

static struct work *make_work(struct api_events *events)
{
    struct work *work = mem_new(struct work);
    struct live *live = events->api->backend.live;
    if (events->touch_count > LIMIT_EVENT_BACKLOG_MAX / 2) {
        work->kind = WORK_RESET;
        return work;
    }
    qsort(events->touches, events->touch_count, sizeof *events->touches, compare_touches);
    work->runs = mem_new_array(struct touched_run, events->touch_count);
    for (size_t i = 0, end; i < events->touch_count; i = end) {
        struct uuid id = events->touches[i].run_id;
        for (end = i + 1; end < events->touch_count && uuid_equal(events->touches[end].run_id, id); end++)
            ;
        struct live_run *run = live_get(live, id);
        run = run ? run : live_get_ended(live, id);
        if (run) /* else the store refused to make it */
            add_run(work, run, &events->touches[i], end - i);
    }
    return work;
}

void api_events_publish(struct api *api, const struct batch *batch, int64_t now_ms)
{
    (void)now_ms;
    struct api_events *events = api->events;
    api_follow_publish(events->follow, batch);
    if (!atomic_load(&events->recording))
        return;
    events->touch_count = 0;
    for (size_t i = 0; i < batch->count; i++)
        touch_record(events, &batch->records[i]);
    for (size_t i = 0; i < batch->change_count; i++) {
        if (events->touch_count > LIMIT_EVENT_BACKLOG_MAX)
            break; /* a reset already: no need to count a million */
        touch(events, batch->changes[i].run_id, batch->changes[i].task);
    }
    if (!events->touch_count)
        return;
    struct work *work = make_work(events);
    if (work->run_count || work->kind == WORK_RESET)
        push(events, work);
    else
        work_free(work);
}

void api_events_publish_worker(struct api *api, const struct api_worker *worker)
{
    if (!atomic_load(&api->events->recording))
        return;
    struct work *work = mem_new(struct work);
    work->kind = WORK_WORKER;
    work->worker = *worker;
    work->weight = 1;
    push(api->events, work);
}

void api_events_publish_left(struct api *api, struct uuid run_id)
{
    if (!atomic_load(&api->events->recording))
        return;
    struct work *work = mem_new(struct work);
    work->kind = WORK_LEFT;
    work->run_id = run_id;
    work->weight = 1;
    push(api->events, work);
}

/* ---- what other nodes tell, and what they want to hear ---- */

bool api_wants_others(struct api *api)
{
    return atomic_load(&api->events->wants_others);
}

void api_hear(struct api *api, struct buf *take_lines)
{
    if (!atomic_load(&api->events->recording)) {
        buf_clear(take_lines);
        return;
    }
    struct work *work = mem_new(struct work);
    work->kind = WORK_LINES;
    work->lines = *take_lines;
    *take_lines = BUF_INIT;
    for (size_t i = 0; i < work->lines.len; i++)
        work->weight += work->lines.bytes[i] == '\n';
    push(api->events, work);
}

void api_set_hears_all(struct api *api, bool hears_all)
{
    struct work *work = mem_new(struct work); /* behind what was heard so far */
    work->kind = WORK_HEARS;
    work->hears_all = hears_all;
    push(api->events, work);
}

static int start_thread(struct api_events *events, struct error *err);

void api_set_told(struct api *api, bool others_listen)
{
    struct api_events *events = api->events;
    struct error err = {0};
    (void)pthread_mutex_lock(&events->lock);
    events->for_others = others_listen && start_thread(events, &err) == 0;
    if (events->for_others) /* else the next beat sees that nobody listens */
        atomic_store(&events->recording, true);
    (void)pthread_cond_signal(&events->changed);
    (void)pthread_mutex_unlock(&events->lock);
    if (err.code && err.code != ERROR_STOPPING)
        log_warn("other nodes are not told of events: %s", err.text);
}

/* ---- the thread ---- */

static void emit(struct api_events *events, const char *name, struct uuid run_id, bool ends_run, const struct buf *data)
{
    const struct api_backend *backend = &events->api->backend;
    api_event_ring_add(events->ring, name, run_id, ends_run, data->bytes, data->len);
    if (backend->tell)
        backend->tell(backend->context, name, run_id, ends_run, data->bytes, data->len);
}

static void write_run(struct api_events *events, const struct live_run *live, struct buf *scratch)
{
    const struct record_run *run = live_run_record(live);
    struct json json;
    buf_clear(scratch);
    json_init(&json, scratch);
    api_view_run(&json, run, live_run_dag(live)->name, live_run_counts(live));
    emit(events, "run", run->id, state_run_is_terminal(run->state), scratch);
}

/* A TaskStatus, and before its members whose it is. */
static void write_task(struct api_events *events, const struct live_run *live, uint32_t index, struct buf *scratch)
{
    const struct record_run *run = live_run_record(live);
    struct live_task task;
    struct json json;
    char id[UUID_TEXT_LEN + 1];
    live_run_task(live, index, &task);
    uuid_format(run->id, id);
    buf_clear(scratch);
    buf_printf(scratch, "{\"runId\":\"%s\",", id);
    size_t at = scratch->len;
    json_init(&json, scratch);
    api_view_task(&json, run->id, run->source, &live_run_dag(live)->tasks[index], index, &task,
                  api_run_ready_live(live, index, &task));
    assert(scratch->bytes[at] == '{');
    memmove(scratch->bytes + at, scratch->bytes + at + 1, scratch->len - at - 1);
    scratch->len--;
    emit(events, "task", run->id, false, scratch);
}

/* A run's beginning comes before its tasks, its end behind them. */
static void write_touched(struct api_events *events, const struct touched_run *touched, struct buf *scratch)
{
    bool ends = state_run_is_terminal(live_run_record(touched->run)->state);
    if (touched->itself && !ends)
        write_run(events, touched->run, scratch);
    for (size_t i = 0; i < touched->task_count; i++)
        write_task(events, touched->run, touched->tasks[i], scratch);
    if (touched->itself && ends)
        write_run(events, touched->run, scratch);
}

static void write_worker(struct api_events *events, const struct api_worker *worker, struct buf *scratch)
{
    struct json json;
    buf_clear(scratch);
    json_init(&json, scratch);
    api_view_worker(&json, events->api, worker);
    emit(events, "worker", (struct uuid){{0}}, false, scratch);
}

/* NAME RUN ENDS DATA, as server/cluster_events.c makes them. */
static void write_line(struct api_events *events, char *line, size_t len)
{
    char name[8];
    char id[UUID_TEXT_LEN + 1];
    int ends, at = 0;
    struct uuid run_id;
    if (len == 5 && memcmp(line, "reset", len) == 0) {
        api_event_ring_add_gap(events->ring);
        return;
    }
    line[len] = '\0'; /* in place of the line's end */
    if (sscanf(line, "%7s %36s %d %n", name, id, &ends, &at) == 3 && at && uuid_parse(id, &run_id) &&
        (!strcmp(name, "run") || !strcmp(name, "task") || !strcmp(name, "worker")))
        api_event_ring_add(events->ring, name, run_id, ends != 0, line + at, len - (size_t)at);
}

static void write_lines(struct api_events *events, struct buf *lines)
{
    char *line = lines->bytes, *end;
    for (size_t left = lines->len; left && (end = memchr(line, '\n', left)); line = end + 1) {
        write_line(events, line, (size_t)(end - line));
        left -= (size_t)(end - line) + 1;
    }
}

static void write_work(struct api_events *events, struct work *work, struct buf *scratch)
{
    const struct api_backend *backend = &events->api->backend;
    switch (work->kind) {
    case WORK_RUNS:
        for (size_t i = 0; i < work->run_count; i++)
            write_touched(events, &work->runs[i], scratch);
        return;
    case WORK_WORKER:
        write_worker(events, &work->worker, scratch);
        return;
    case WORK_RESET:
        api_event_ring_add_reset(events->ring);
        if (backend->tell)
            backend->tell(backend->context, NULL, (struct uuid){{0}}, false, NULL, 0);
        return;
    case WORK_LINES:
        write_lines(events, &work->lines);
        return;
    case WORK_HEARS:
        (void)pthread_mutex_lock(&events->lock);
        events->hears_all = work->hears_all;
        (void)pthread_mutex_unlock(&events->lock);
        return;
    case WORK_LEFT:
        api_event_ring_end_run(events->ring, work->run_id);
        return;
    }
}

static void write_all(struct api_events *events, struct work *first, struct buf *scratch)
{
    for (struct work *work = first, *next; work; work = next) {
        next = work->next;
        write_work(events, work, scratch);
        work_free(work);
    }
    api_event_ring_wake(events->ring);
}

/* Under the lock. Every BEAT_MS while events are recorded. */
static void beat(struct api_events *events)
{
    api_event_ring_beat(events->ring);
    bool has_readers = api_event_ring_reader_count(events->ring) > 0;
    bool has_far = api_event_ring_far_count(events->ring) > 0;
    events->idle_beats = has_readers ? 0 : events->idle_beats + 1;
    events->far_idle_beats = has_far ? 0 : events->far_idle_beats + 1;
    if (events->far_idle_beats >= LINGER_BEATS)
        atomic_store(&events->wants_others, false);
    if (events->idle_beats >= LINGER_BEATS && !events->for_others) {
        atomic_store(&events->recording, false);
        drop_waiting(events);
        api_event_ring_forget(events->ring);
    }
}

static struct timespec deadline_after(int64_t ms)
{
    struct timespec at;
    int rc = clock_gettime(CLOCK_MONOTONIC, &at);
    assert(rc == 0);
    (void)rc;
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static bool passed(const struct timespec *at)
{
    struct timespec now = deadline_after(0);
    return !is_before(&now, at);
}

/* Under the lock. Who has slept long enough: all of them, once there is nothing to wait for. */
static struct sleeper *take_awake(struct api_events *events)
{
    struct sleeper *first = events->sleepers, *last = NULL;
    bool all = events->hears_all || events->stopped;
    for (struct sleeper *sleeper = first; sleeper && (all || passed(&sleeper->until)); sleeper = sleeper->next)
        last = sleeper;
    if (!last)
        return NULL;
    events->sleepers = last->next;
    if (!events->sleepers)
        events->last_sleeper = &events->sleepers;
    last->next = NULL;
    return first;
}

/* Without the lock. */
static void wake_sleepers(struct sleeper *first)
{
    for (struct sleeper *sleeper = first, *next; sleeper; sleeper = next) {
        next = sleeper->next;
        http_complete(sleeper->call->request);
        mem_free(sleeper);
    }
}

/* Under the lock. Until something changes, or the first of the two times that count. */
static void await_change(struct api_events *events, const struct timespec *beat)
{
    const struct sleeper *sleeper = events->sleepers;
    if (sleeper && (!beat || is_before(&sleeper->until, beat)))
        beat = &sleeper->until;
    struct timespec until = beat ? *beat : (struct timespec){0};
    if (beat)
        (void)pthread_cond_timedwait(&events->changed, &events->lock, &until);
    else
        (void)pthread_cond_wait(&events->changed, &events->lock);
}

static void *run_thread(void *context)
{
    struct api_events *events = context;
    struct buf scratch = BUF_INIT;
    struct timespec next_beat = deadline_after(BEAT_MS);
    (void)pthread_mutex_lock(&events->lock);
    while (!events->stopped) {
        struct work *first = events->first;
        struct sleeper *awake = take_awake(events);
        events->first = events->last = NULL;
        events->weight = 0;
        if (first || awake) {
            (void)pthread_mutex_unlock(&events->lock);
            write_all(events, first, &scratch);
            wake_sleepers(awake);
            (void)pthread_mutex_lock(&events->lock);
        } else if (!atomic_load(&events->recording)) {
            await_change(events, NULL);
            next_beat = deadline_after(BEAT_MS);
        } else if (passed(&next_beat)) {
            beat(events);
            next_beat = deadline_after(BEAT_MS);
        } else {
            await_change(events, &next_beat);
        }
    }
    (void)pthread_mutex_unlock(&events->lock);
    buf_fini(&scratch);
    return NULL;
}

/* Under the lock. */
static int start_thread(struct api_events *events, struct error *err)
{
    if (events->stopped)
        return error_set(err, ERROR_STOPPING, "the daemon is stopping");
    if (events->started)
        return 0;
    int failure = pthread_create(&events->thread, NULL, run_thread, events);
    events->started = !failure;
    return failure ? error_set(err, ERROR_FULL, "no thread for events: %s", strerror(failure)) : 0;
}

/* Before a reader is made, so that nothing between its making and its first look at the run is missed. */
static int record_from_now(struct api_events *events, struct error *err)
{
    (void)pthread_mutex_lock(&events->lock);
    int rc = start_thread(events, err);
    if (!rc) {
        events->idle_beats = 0;
        atomic_store(&events->recording, true);
        (void)pthread_cond_signal(&events->changed);
    }
    (void)pthread_mutex_unlock(&events->lock);
    return rc;
}

/* Before a reader is made that wants to hear of others: resume makes it, at once or when all others tell, or did not
 * within HEAR_MS. No thread waits. */
static void hear_from_now(struct api_call *call, api_resume_fn *resume)
{
    struct api_events *events = call->api->events;
    const struct api_backend *backend = &events->api->backend;
    (void)pthread_mutex_lock(&events->lock);
    events->far_idle_beats = 0;
    if (backend->listen && !atomic_exchange(&events->wants_others, true))
        backend->listen(backend->context);
    bool sleeps = backend->listen && !events->hears_all && !events->stopped;
    if (sleeps) {
        struct sleeper *sleeper = mem_new(struct sleeper);
        *sleeper = (struct sleeper){.call = call, .until = deadline_after(HEAR_MS)};
        call->result = (struct command_result){0};
        call->resume = resume;
        http_defer(call->request);
        *events->last_sleeper = sleeper;
        events->last_sleeper = &sleeper->next;
        (void)pthread_cond_signal(&events->changed);
    }
    (void)pthread_mutex_unlock(&events->lock);
    if (!sleeps) /* else the call may be gone already */
        resume(call);
}

/* Whether all of them tell now; there may be none. */
static bool hears_all(struct api_events *events)
{
    (void)pthread_mutex_lock(&events->lock);
    bool all = events->hears_all || !events->api->backend.listen;
    (void)pthread_mutex_unlock(&events->lock);
    return all;
}

void api_events_stop(struct api_events *events)
{
    (void)pthread_mutex_lock(&events->lock);
    events->stopped = true;
    atomic_store(&events->recording, false);
    (void)pthread_cond_signal(&events->changed);
    (void)pthread_mutex_unlock(&events->lock);
    if (events->started)
        (void)pthread_join(events->thread, NULL);
    events->started = false;
    (void)pthread_mutex_lock(&events->lock);
    struct sleeper *awake = take_awake(events);
    (void)pthread_mutex_unlock(&events->lock);
    wake_sleepers(awake);
    api_follow_stop(events->follow);
}

void api_events_free(struct api_events *events)
{
    if (!events)
        return;
    assert(!events->started);
    drop_waiting(events);
    api_event_ring_free(events->ring);
    api_follow_free(events->follow);
    mem_free(events->touches);
    (void)pthread_cond_destroy(&events->changed);
    (void)pthread_mutex_destroy(&events->lock);
    mem_free(events);
}

/* ---- handlers ---- */

struct api_follow *api_events_follow(struct api *api)
{
    return api->events->follow;
}

/* Who tells later is announced by a reset. */
static void begin_stream(struct api_call *call)
{
    enum api_event_start start;
    struct api_event_reader *reader = api_event_reader_new(call->api->events->ring, NULL, call->last_event_id, &start);
    api_event_reader_attach(reader, call->request);
}

void api_get_events(struct api_call *call)
{
    struct error err;
    if (record_from_now(call->api->events, &err))
        api_fail_error(call, &err);
    else
        hear_from_now(call, begin_stream);
}

static bool is_elsewhere(const struct api_run *run)
{
    return !run->live && run->store && store_is_shared(run->store) && !state_run_is_terminal(run->run.state);
}

/* Unless it goes on where it was, the stream begins with the run as it is, so that a client needs no GET to know
 * whether there will be more. A run that has ended has no more to tell, nor one of a node that does not tell. */
static void begin_with_run(struct api_event_reader *reader, enum api_event_start start, const struct api_run *run,
                           bool is_told)
{
    bool ended = !is_told || state_run_is_terminal(run->run.state);
    if (start == API_EVENT_RESUMED && (!ended || api_event_reader_has_more(reader)))
        return;
    struct buf text = BUF_INIT;
    struct json json;
    json_init(&json, &text);
    api_run_view(run, &json);
    api_event_reader_put(reader, "run", text.bytes, text.len, ended);
    buf_fini(&text);
}

/* The reader first: what happens after the look at the run is an event that it gets. is_far: it wants to hear of
 * others. False, and no answer: it has to, and does not yet. */
static bool begin_run_stream(struct api_call *call, bool is_far)
{
    struct error err;
    struct api_run run;
    enum api_event_start start;
    struct api_events *events = call->api->events;
    bool is_told = !is_far || hears_all(events);
    struct api_event_reader *reader = api_event_reader_new(events->ring, &call->id, call->last_event_id, &start);
    if (is_far)
        api_event_reader_set_far(reader);
    int code = api_run_find(call->api, call->id, api_arena(call), &run, &err);
    if (code) {
        api_event_reader_free(reader);
        api_fail_error(call, &err);
        return true;
    }
    bool begins = is_far || !is_elsewhere(&run);
    if (begins) {
        begin_with_run(reader, start, &run, is_told);
        api_event_reader_attach(reader, call->request);
    } else {
        api_event_reader_free(reader);
    }
    api_run_fini(&run);
    return begins;
}

static void begin_far_run_stream(struct api_call *call)
{
    (void)begin_run_stream(call, true);
}

void api_get_run_events(struct api_call *call)
{
    struct error err;
    if (record_from_now(call->api->events, &err))
        api_fail_error(call, &err);
    else if (!begin_run_stream(call, false))
        hear_from_now(call, begin_far_run_stream);
}
