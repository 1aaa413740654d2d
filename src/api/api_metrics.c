#include "api/api_metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "api/api_call.h"
#include "api/api_handlers.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "state/record.h"

enum { CLASS_COUNT = 6 }; /* the first digit of the status; 0: the client left */

struct route_counts {
    atomic_ullong requests[CLASS_COUNT];
    atomic_ullong took_us;
};

struct api_metrics {
    atomic_ullong runs_created;
    atomic_ullong runs[RUN_STATE_COUNT];
    atomic_ullong attempts[ATTEMPT_STATE_COUNT];
    atomic_ullong attempt_cpu_us;
    atomic_ullong letters;
    atomic_ullong fired;        /* instants of schedules */
    atomic_ullong skipped[FIRE_REASON_COUNT];
    atomic_ullong lag_ms;       /* of the last that fired in time: from its instant to its record */
    struct route_counts routes[]; /* of api_table_routes; the last: no route */
};

struct api_metrics *api_metrics_new(void)
{
    struct api_metrics *metrics =
        mem_zalloc(sizeof *metrics + (api_table_route_count + 1) * sizeof(struct route_counts));
    return metrics;
}

void api_metrics_free(struct api_metrics *metrics)
{
    mem_free(metrics);
}

static void add(atomic_ullong *counter, uint64_t value)
{
    (void)atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(const atomic_ullong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void api_metrics_count(struct api_metrics *metrics, const struct api_route *route, unsigned status, int64_t took_us)
{
    size_t at = route ? (size_t)(route - api_table_routes) : api_table_route_count;
    assert(at <= api_table_route_count && status / 100 < CLASS_COUNT);
    add(&metrics->routes[at].requests[status / 100], 1);
    add(&metrics->routes[at].took_us, took_us > 0 ? (uint64_t)took_us : 0);
}

static void count_fire(struct api_metrics *metrics, const struct record_fire *fire)
{
    if (fire->outcome == FIRE_SKIPPED) {
        add(&metrics->skipped[fire->reason], fire->count);
    } else if (fire->outcome == FIRE_FIRED) {
        int64_t lag_ms = fire->created_ms - fire->from_ms;
        add(&metrics->fired, 1);
        if (fire->trigger == TRIGGER_SCHEDULE && lag_ms >= 0 && lag_ms <= LIMIT_LATE_MS)
            atomic_store_explicit(&metrics->lag_ms, (uint64_t)lag_ms, memory_order_relaxed);
    }
}

void api_metrics_publish(struct api_metrics *metrics, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->group && batch->verdicts[record->group - 1].refused)
            continue;
        if (record->kind == RECORD_RUN_CREATE) {
            add(&metrics->runs_created, 1);
        } else if (record->kind == RECORD_RUN_END) {
            add(&metrics->runs[record->run.state], 1);
        } else if (record->kind == RECORD_ATTEMPT_END) {
            add(&metrics->attempts[record->attempt.state], 1);
            add(&metrics->attempt_cpu_us, record->attempt.cpu_us > 0 ? (uint64_t)record->attempt.cpu_us : 0);
        } else if (record->kind == RECORD_LETTER) {
            add(&metrics->letters, 1);
        } else if (record->kind == RECORD_FIRE || record->kind == RECORD_FIRE_RELEASE) {
            count_fire(metrics, &record->fire);
        }
    }
}

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP scheduler_%s %s\n# TYPE scheduler_%s %s\n", name, help, name, type);
}

static void put(struct buf *out, const char *name, const char *type, const char *help, int64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "scheduler_%s %" PRId64 "\n", name, value);
}

static void put_seconds(struct buf *out, const char *name, const char *type, const char *help, uint64_t us)
{
    head(out, name, type, help);
    buf_printf(out, "scheduler_%s %" PRIu64 ".%06" PRIu64 "\n", name, us / 1000000, us % 1000000);
}

static void put_events(struct buf *out, const struct api_metrics *metrics)
{
    put(out, "runs_created_total", "counter", "Runs made since the start.", (int64_t)get(&metrics->runs_created));
    head(out, "runs_total", "counter", "Runs that ended since the start, by state.");
    for (int i = 0; i < RUN_STATE_COUNT; i++)
        if (state_run_is_terminal((enum run_state)i))
            buf_printf(out, "scheduler_runs_total{state=\"%s\"} %" PRIu64 "\n", state_run_name((enum run_state)i),
                       get(&metrics->runs[i]));
    head(out, "attempts_total", "counter", "Attempts that ended since the start, by state.");
    for (int i = 0; i < ATTEMPT_STATE_COUNT; i++)
        if (state_attempt_is_terminal((enum attempt_state)i))
            buf_printf(out, "scheduler_attempts_total{state=\"%s\"} %" PRIu64 "\n",
                       state_attempt_name((enum attempt_state)i), get(&metrics->attempts[i]));
    put_seconds(out, "attempt_cpu_seconds_total", "counter", "CPU time of the attempts that ended since the start.",
                get(&metrics->attempt_cpu_us));
    put(out, "schedule_fired_total", "counter", "Instants of schedules that made a run since the start.",
        (int64_t)get(&metrics->fired));
    head(out, "schedule_skipped_total", "counter", "Instants of schedules that were skipped, by reason.");
    for (int i = FIRE_REASON_NONE + 1; i < FIRE_REASON_COUNT; i++)
        buf_printf(out, "scheduler_schedule_skipped_total{reason=\"%s\"} %" PRIu64 "\n",
                   state_fire_reason_name((enum fire_reason)i), get(&metrics->skipped[i]));
    put_seconds(out, "schedule_lag_seconds", "gauge", "How late the last instant that fired in time was.",
                get(&metrics->lag_ms) * 1000);
    put(out, "dead_letters_created_total", "counter", "Dead letters made since the start.",
        (int64_t)get(&metrics->letters));
}

static void put_engine(struct buf *out, const struct api *api)
{
    struct api_status status;
    if (!api->backend.get_status)
        return;
    api->backend.get_status(api->backend.context, &status);
    put(out, "ready", "gauge", "1: recovery is complete and new work is taken.", status.ready && !status.draining);
    put(out, "draining", "gauge", "1: the daemon is stopping.", status.draining);
    put(out, "active_runs", "gauge", "Runs that have not ended.", status.active_runs);
    put(out, "waiting_tasks", "gauge", "Tasks of active runs that have not ended.", (int64_t)status.waiting_tasks);
    put(out, "ready_tasks", "gauge", "Tasks that wait for a slot.", (int64_t)status.ready_tasks);
    put_seconds(out, "engine_turn_max_seconds", "gauge", "Longest turn of the engine lately.",
                (uint64_t)(status.turn_us_max > 0 ? status.turn_us_max : 0));
    put_seconds(out, "engine_turn_age_seconds", "gauge", "How long work has waited for the engine.",
                (uint64_t)(status.turn_age_ms > 0 ? status.turn_age_ms : 0) * 1000);
}

static void put_workers(struct buf *out, const struct api *api)
{
    struct api_worker *workers = NULL;
    size_t count = api->backend.get_workers ? api->backend.get_workers(api->backend.context, &workers) : 0;
    uint64_t by_state[WORKER_STATE_COUNT] = {0}, slots = 0, running = 0, queued = 0;
    for (size_t i = 0; i < count; i++) {
        by_state[workers[i].state]++;
        slots += workers[i].slots;
        running += workers[i].running;
        queued += workers[i].queued;
    }
    mem_free(workers);
    head(out, "workers", "gauge", "Workers by state.");
    for (int i = 0; i < WORKER_STATE_COUNT; i++)
        buf_printf(out, "scheduler_workers{state=\"%s\"} %" PRIu64 "\n", state_worker_name((enum worker_state)i),
                   by_state[i]);
    put(out, "slots", "gauge", "Slots of all workers.", (int64_t)slots);
    put(out, "running_tasks", "gauge", "Attempts that run.", (int64_t)running);
    put(out, "queued_tasks", "gauge", "Tasks in the workers' queues.", (int64_t)queued);
}

static void put_store(struct buf *out, struct store *store)
{
    struct store_status status;
    struct store_letter_stats letters;
    if (!store)
        return;
    int64_t start_us = clock_boot_us();
    bool up = store_ping(store, NULL) == 0;
    int64_t took_us = clock_boot_us() - start_us;
    put(out, "store_up", "gauge", "1: the store answers.", up);
    if (!up)
        return;
    put_seconds(out, "store_latency_seconds", "gauge", "How long the cheapest read took just now.",
                (uint64_t)took_us);
    if (store_get_status(store, &status, NULL) == 0) {
        put(out, "dags", "gauge", "DAGs.", (int64_t)status.dags);
        put(out, "store_bytes", "gauge", "Size of the store's files.", status.store_bytes);
        if (status.free_bytes >= 0)
            put(out, "store_free_bytes", "gauge", "Free on the store's file system.", status.free_bytes);
    }
    if (store_get_letter_stats(store, &letters, NULL))
        return;
    head(out, "dead_letters", "gauge", "Dead letters by status.");
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        buf_printf(out, "scheduler_dead_letters{status=\"%s\"} %" PRIu64 "\n",
                   state_resolution_name((enum resolution)i), letters.counts[i]);
}

static const char *operation_of(size_t route)
{
    return route < api_table_route_count ? api_table_routes[route].operation : "none";
}

static void put_requests(struct buf *out, const struct api_metrics *metrics)
{
    static const char *const classes[CLASS_COUNT] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    head(out, "http_requests_total", "counter", "Requests since the start, by operation and class of status.");
    for (size_t i = 0; i <= api_table_route_count; i++)
        for (int k = 0; k < CLASS_COUNT; k++)
            if (get(&metrics->routes[i].requests[k]))
                buf_printf(out, "scheduler_http_requests_total{operation=\"%s\",status=\"%s\"} %" PRIu64 "\n",
                           operation_of(i), classes[k], get(&metrics->routes[i].requests[k]));
    head(out, "http_request_seconds_total", "counter", "Time from a request's first line to the end of its answer.");
    for (size_t i = 0; i <= api_table_route_count; i++) {
        uint64_t us = get(&metrics->routes[i].took_us);
        if (us)
            buf_printf(out, "scheduler_http_request_seconds_total{operation=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n",
                       operation_of(i), us / 1000000, us % 1000000);
    }
}

void api_get_metrics(struct api_call *call)
{
    const struct api *api = call->api;
    struct buf out = BUF_INIT;
    head(&out, "build_info", "gauge", "1, labelled with pawl's version.");
    buf_printf(&out, "scheduler_build_info{version=\"%s\"} 1\n", PAWL_VERSION);
    put(&out, "start_time_seconds", "gauge", "When the daemon started, in seconds since 1970.",
        api->config.started_ms / 1000);
    put_engine(&out, api);
    put_workers(&out, api);
    put_store(&out, api->backend.store);
    put_events(&out, api->metrics);
    if (api->server)
        put(&out, "http_connections", "gauge", "Connections that are open.", http_connections(api->server));
    put_requests(&out, api->metrics);
    api_reply(call, 200, call->route->content_type, &out);
}
