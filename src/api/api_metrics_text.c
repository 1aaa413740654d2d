/* GET /metrics: the text form of Prometheus, version 0.0.4. Labels take their values from closed lists, workers are
 * numbered, so that the number of series is bounded. */
#include <inttypes.h>
#include <stdio.h>

#include "api/api_call.h"
#include "api/api_handlers.h"
#include "api/api_metrics_model.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/usage.h"
#include "store/store_thread.h"

static uint64_t get(const atomic_ullong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
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

static void put_durations(struct buf *out, const struct api_metrics *metrics)
{
    char label[32];
    head(out, "attempt_duration_seconds", "histogram", "From start to end of attempts, by type of task.");
    for (int type = 0; type < DAG_TASK_TYPE_COUNT; type++) {
        (void)snprintf(label, sizeof label, "type=\"%s\"", dag_task_type_name((enum dag_task_type)type));
        api_histogram_put(out, &metrics->attempt_durations[type], "attempt_duration_seconds", label);
    }
    head(out, "run_duration_seconds", "histogram", "From start to end of runs.");
    api_histogram_put(out, &metrics->run_durations, "run_duration_seconds", "");
}

static void put_events(struct buf *out, const struct api_metrics *metrics)
{
    put(out, "runs_created_total", "counter", "Runs made since the start.", (int64_t)get(&metrics->runs_created));
    head(out, "runs_total", "counter", "Runs that ended since the start, by state.");
    for (int i = 0; i < RUN_STATE_COUNT; i++)
        if (state_run_is_terminal((enum run_state)i))
            buf_printf(out, "scheduler_runs_total{state=\"%s\"} %" PRIu64 "\n", state_run_name((enum run_state)i),
                       get(&metrics->runs[i]));
    head(out, "tasks_total", "counter", "Tasks that ended since the start, by type and outcome.");
    for (int type = 0; type < DAG_TASK_TYPE_COUNT; type++)
        for (int i = 0; i < TASK_STATE_COUNT; i++)
            if (state_task_is_terminal((enum task_state)i))
                buf_printf(out, "scheduler_tasks_total{type=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                           dag_task_type_name((enum dag_task_type)type), state_task_name((enum task_state)i),
                           get(&metrics->tasks[type][i]));
    head(out, "attempts_total", "counter", "Attempts that ended since the start, by state.");
    for (int i = 0; i < ATTEMPT_STATE_COUNT; i++)
        if (state_attempt_is_terminal((enum attempt_state)i))
            buf_printf(out, "scheduler_attempts_total{state=\"%s\"} %" PRIu64 "\n",
                       state_attempt_name((enum attempt_state)i), get(&metrics->attempts[i]));
    put(out, "retries_total", "counter", "Attempts after which the task was to be tried again.",
        (int64_t)get(&metrics->retries));
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
    put(out, "leader", "gauge", "1: schedules fire here; of several nodes on one of them.", status.leads);
    put(out, "active_runs", "gauge", "Runs that have not ended.", status.active_runs);
    put(out, "waiting_tasks", "gauge", "Tasks of active runs that have not ended.", (int64_t)status.waiting_tasks);
    put(out, "ready_tasks", "gauge", "Tasks that wait for a slot.", (int64_t)status.ready_tasks);
    put_seconds(out, "engine_turn_max_seconds", "gauge", "Longest turn of the engine lately.",
                (uint64_t)(status.turn_us_max > 0 ? status.turn_us_max : 0));
    put_seconds(out, "engine_turn_age_seconds", "gauge", "How long work has waited for the engine.",
                (uint64_t)(status.turn_age_ms > 0 ? status.turn_age_ms : 0) * 1000);
}

/* By number, not by id: ids change with each start of a worker. */
static void put_each_worker(struct buf *out, const struct api_worker *workers, size_t count)
{
    head(out, "worker_running_tasks", "gauge", "Attempts that run, by worker.");
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "scheduler_worker_running_tasks{worker=\"%zu\"} %" PRIu32 "\n", i + 1, workers[i].running);
    head(out, "worker_queue_depth", "gauge", "Tasks in the queue, by worker.");
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "scheduler_worker_queue_depth{worker=\"%zu\"} %" PRIu32 "\n", i + 1, workers[i].queued);
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
    head(out, "workers", "gauge", "Workers by state.");
    for (int i = 0; i < WORKER_STATE_COUNT; i++)
        buf_printf(out, "scheduler_workers{state=\"%s\"} %" PRIu64 "\n", state_worker_name((enum worker_state)i),
                   by_state[i]);
    put(out, "slots", "gauge", "Slots of all workers.", (int64_t)slots);
    put(out, "running_tasks", "gauge", "Attempts that run.", (int64_t)running);
    put(out, "queued_tasks", "gauge", "Tasks in the workers' queues.", (int64_t)queued);
    head(out, "slot_utilisation_ratio", "gauge", "Running attempts by slots.");
    buf_printf(out, "scheduler_slot_utilisation_ratio %.4f\n", slots ? (double)running / (double)slots : 0);
    put_each_worker(out, workers, count);
    mem_free(workers);
}

static void put_taken(struct buf *out, const struct store *store)
{
    struct store_taken taken;
    store_get_taken(store, &taken);
    const struct {
        const char *kind;
        uint64_t count;
    } rows[] = {{"run", taken.runs}, {"attempt", taken.attempts}, {"dead_letter", taken.letters},
                {"pending_dead_letter", taken.pending},
                {"instant", taken.fires}, {"idempotency_key", taken.keys}};
    head(out, "retention_removed_total", "counter", "What retention has removed since the start, by kind.");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        buf_printf(out, "scheduler_retention_removed_total{kind=\"%s\"} %" PRIu64 "\n", rows[i].kind, rows[i].count);
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
    put_taken(out, store);
    if (store_get_letter_stats(store, &letters, NULL))
        return;
    head(out, "dead_letters", "gauge", "Dead letters by status.");
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        buf_printf(out, "scheduler_dead_letters{status=\"%s\"} %" PRIu64 "\n",
                   state_resolution_name((enum resolution)i), letters.counts[i]);
}

static void put_commits(struct buf *out, const struct api *api)
{
    struct store_thread_stats stats;
    if (!api->backend.get_commits)
        return;
    api->backend.get_commits(api->backend.context, &stats);
    put(out, "store_commits_total", "counter", "Transactions of the writer since the start.", (int64_t)stats.commits);
    put(out, "store_records_total", "counter", "Records written since the start.", (int64_t)stats.records);
    put(out, "store_batches_waiting", "gauge", "Batches that are not durable yet.", (int64_t)stats.waiting);
    head(out, "store_commit_seconds", "histogram", "How long commits took, the sync included.");
    uint64_t count = 0;
    for (int i = 0; i < STORE_THREAD_BUCKETS; i++) {
        count += stats.buckets[i];
        api_histogram_put_bucket(out, "store_commit_seconds", "", i < STORE_THREAD_BUCKETS - 1 ? INT64_C(16) << i : -1,
                                 count);
    }
    buf_printf(out, "scheduler_store_commit_seconds_sum %" PRIu64 ".%06" PRIu64 "\n", stats.commit_us_total / 1000000,
               stats.commit_us_total % 1000000);
    buf_printf(out, "scheduler_store_commit_seconds_count %" PRIu64 "\n", count);
}

static void put_process(struct buf *out)
{
    struct usage usage;
    usage_read(&usage);
    put_seconds(out, "process_cpu_seconds_total", "counter", "CPU time of the daemon, tasks not included.",
                (uint64_t)usage.cpu_us);
    put(out, "process_resident_memory_bytes", "gauge", "Memory of the daemon, resident.", usage.resident_bytes);
    put(out, "process_open_fds", "gauge", "Files the daemon has open.", usage.open_files);
    put(out, "process_max_fds", "gauge", "Files it may have open; -1: no limit.", usage.files_max);
    put(out, "process_threads", "gauge", "Threads of the daemon.", usage.threads);
}

static const char *operation_of(size_t route)
{
    return route < api_table_route_count ? api_table_routes[route].operation : "none";
}

static void put_requests(struct buf *out, const struct api_metrics *metrics)
{
    static const char *const classes[API_METRICS_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    head(out, "http_requests_total", "counter", "Requests since the start, by operation and class of status.");
    for (size_t i = 0; i <= api_table_route_count; i++)
        for (int k = 0; k < API_METRICS_CLASSES; k++)
            if (get(&metrics->routes[i].requests[k]))
                buf_printf(out, "scheduler_http_requests_total{operation=\"%s\",status=\"%s\"} %" PRIu64 "\n",
                           operation_of(i), classes[k], get(&metrics->routes[i].requests[k]));
    head(out, "http_request_duration_seconds", "summary", "From a request's first line to the end of its answer.");
    for (size_t i = 0; i <= api_table_route_count; i++) {
        uint64_t us = get(&metrics->routes[i].took_us), count = 0;
        for (int k = 0; k < API_METRICS_CLASSES; k++)
            count += get(&metrics->routes[i].requests[k]);
        if (!count)
            continue;
        buf_printf(out, "scheduler_http_request_duration_seconds_sum{operation=\"%s\"} %" PRIu64 ".%06" PRIu64 "\n",
                   operation_of(i), us / 1000000, us % 1000000);
        buf_printf(out, "scheduler_http_request_duration_seconds_count{operation=\"%s\"} %" PRIu64 "\n",
                   operation_of(i), count);
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
    put_commits(&out, api);
    put_events(&out, api->metrics);
    put_durations(&out, api->metrics);
    if (api->server)
        put(&out, "http_connections", "gauge", "Connections that are open.", http_connections(api->server));
    put_requests(&out, api->metrics);
    put_process(&out);
    api_reply(call, 200, call->route->content_type, &out);
}
