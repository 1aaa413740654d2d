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
 * The thread starts with the first reader. Events are recorded from then on and for LINGER_BEATS beats after the last
 * reader left, so that who lost a connection can resume; without readers the thread sleeps without a timer. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
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
#include "base/mem.h"
#include "state/record.h"
#include "store/cluster.h"

enum { BEAT_MS = 15000, LINGER_BEATS = 4 };

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

/* What one batch, or one word of a worker, leaves for the thread. */
struct work {
    struct work *next;
    bool is_worker;
    bool is_reset;
    struct api_worker worker;
    struct touched_run *runs;
    size_t run_count;
    size_t weight;              /* tasks and runs */
};

struct api_events {
    struct api *api;
    struct api_event_ring *ring;
    struct api_follow *follow;
    atomic_bool recording;

    /* the engine's thread */
    struct touch *touches;
    size_t touch_count, touch_cap;

    pthread_mutex_t lock;
    pthread_cond_t changed;     /* CLOCK_MONOTONIC */
    pthread_t thread;
    bool started;
    bool stopped;
    unsigned idle_beats;        /* since the last reader left */
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
    mem_free(work);
}

static void drop_waiting(struct api_events *events)
{
    for (struct work *work = events->first, *next; work; work = next) {
        next = work->next;
        work_free(work);
    }
    events->first = events->last = NULL;
    events->weight = 0;
}

/* ---- the engine's thread ---- */

static void push(struct api_events *events, struct work *work)
{
    (void)pthread_mutex_lock(&events->lock);
    if (work->is_reset || events->weight + work->weight > LIMIT_EVENT_BACKLOG_MAX) {
        drop_waiting(events);
        work_free(work);
        work = mem_new(struct work);
        work->is_reset = true;
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
        work->is_reset = true;
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
    if (work->run_count || work->is_reset)
        push(events, work);
    else
        work_free(work);
}

void api_events_publish_worker(struct api *api, const struct api_worker *worker)
{
    if (!atomic_load(&api->events->recording))
        return;
    struct work *work = mem_new(struct work);
    work->is_worker = true;
    work->worker = *worker;
    work->weight = 1;
    push(api->events, work);
}

/* ---- the thread ---- */

static void write_run(struct api_events *events, const struct live_run *live, struct buf *scratch)
{
    const struct record_run *run = live_run_record(live);
    struct json json;
    buf_clear(scratch);
    json_init(&json, scratch);
    api_view_run(&json, run, live_run_dag(live)->name, live_run_counts(live));
    api_event_ring_add(events->ring, "run", run->id, state_run_is_terminal(run->state), scratch->bytes, scratch->len);
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
    api_event_ring_add(events->ring, "task", run->id, false, scratch->bytes, scratch->len);
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

static void write_work(struct api_events *events, const struct work *work, struct buf *scratch)
{
    struct json json;
    if (work->is_reset)
        api_event_ring_add_reset(events->ring);
    for (size_t i = 0; i < work->run_count; i++)
        write_touched(events, &work->runs[i], scratch);
    if (!work->is_worker)
        return;
    buf_clear(scratch);
    json_init(&json, scratch);
    api_view_worker(&json, events->api, &work->worker);
    api_event_ring_add(events->ring, "worker", (struct uuid){{0}}, false, scratch->bytes, scratch->len);
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
    if (api_event_ring_reader_count(events->ring)) {
        events->idle_beats = 0;
    } else if (++events->idle_beats >= LINGER_BEATS) {
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

static bool passed(const struct timespec *at)
{
    struct timespec now = deadline_after(0);
    return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec);
}

static void *run_thread(void *context)
{
    struct api_events *events = context;
    struct buf scratch = BUF_INIT;
    struct timespec next_beat = deadline_after(BEAT_MS);
    (void)pthread_mutex_lock(&events->lock);
    while (!events->stopped) {
        struct work *first = events->first;
        events->first = events->last = NULL;
        events->weight = 0;
        if (first) {
            (void)pthread_mutex_unlock(&events->lock);
            write_all(events, first, &scratch);
            (void)pthread_mutex_lock(&events->lock);
        } else if (!atomic_load(&events->recording)) {
            (void)pthread_cond_wait(&events->changed, &events->lock);
            next_beat = deadline_after(BEAT_MS);
        } else if (passed(&next_beat)) {
            beat(events);
            next_beat = deadline_after(BEAT_MS);
        } else {
            (void)pthread_cond_timedwait(&events->changed, &events->lock, &next_beat);
        }
    }
    (void)pthread_mutex_unlock(&events->lock);
    buf_fini(&scratch);
    return NULL;
}

/* Before a reader is made, so that nothing between its making and its first look at the run is missed. */
static int record_from_now(struct api_events *events, struct error *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&events->lock);
    if (events->stopped) {
        rc = error_set(err, ERROR_STOPPING, "the daemon is stopping");
    } else if (!events->started) {
        int failure = pthread_create(&events->thread, NULL, run_thread, events);
        if (failure)
            rc = error_set(err, ERROR_FULL, "no thread for events: %s", strerror(failure));
        events->started = !failure;
    }
    if (!rc) {
        events->idle_beats = 0;
        atomic_store(&events->recording, true);
        (void)pthread_cond_signal(&events->changed);
    }
    (void)pthread_mutex_unlock(&events->lock);
    return rc;
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

void api_get_events(struct api_call *call)
{
    struct error err;
    enum api_event_start start;
    if (record_from_now(call->api->events, &err)) {
        api_fail_error(call, &err);
        return;
    }
    struct api_event_reader *reader =
        api_event_reader_new(call->api->events->ring, NULL, call->last_event_id, &start);
    api_event_reader_attach(reader, call->request);
}

/* Unless it goes on where it was, the stream begins with the run as it is, so that a client needs no GET to know
 * whether there will be more. A run that has ended has no more to tell. */
static void begin_run_stream(struct api_event_reader *reader, enum api_event_start start, const struct api_run *run)
{
    /* Of a run that another node drives there is no more to tell here: whoever asks again gets it as it is then. */
    bool elsewhere = !run->live && run->store && store_is_shared(run->store);
    bool ended = elsewhere || state_run_is_terminal(run->run.state);
    if (start == API_EVENT_RESUMED && (!ended || api_event_reader_has_more(reader)))
        return;
    struct buf text = BUF_INIT;
    struct json json;
    json_init(&json, &text);
    api_run_view(run, &json);
    api_event_reader_put(reader, "run", text.bytes, text.len, ended);
    buf_fini(&text);
}

void api_get_run_events(struct api_call *call)
{
    struct error err;
    struct api_run run;
    enum api_event_start start;
    struct api_events *events = call->api->events;
    if (record_from_now(events, &err)) {
        api_fail_error(call, &err);
        return;
    }
    /* The reader first: what happens after the look is an event that it gets. */
    struct api_event_reader *reader = api_event_reader_new(events->ring, &call->id, call->last_event_id, &start);
    if (api_run_find(call->api, call->id, api_arena(call), &run, &err)) {
        api_event_reader_free(reader);
        api_fail_error(call, &err);
        return;
    }
    begin_run_stream(reader, start, &run);
    api_event_reader_attach(reader, call->request);
    api_run_fini(&run);
}
