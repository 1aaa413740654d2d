/* What is counted since the start. How it reads is in api_metrics_text.c. */
#include "api/api_metrics.h"

#include <assert.h>

#include "api/api_metrics_model.h"
#include "base/limits.h"
#include "base/mem.h"
#include "live/live.h"
#include "state/record.h"

/* The DAG of the run that records are about: they come in stretches of one run. */
struct last_run {
    struct uuid id;
    struct live_run *run;       /* a reference; NULL: not looked up yet, or unknown */
};

struct api_metrics *api_metrics_new(void)
{
    struct api_metrics *metrics =
        mem_zalloc(sizeof *metrics + (api_table_route_count + 1) * sizeof(struct api_route_counts));
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

void api_metrics_count(struct api_metrics *metrics, const struct api_route *route, unsigned status, int64_t took_us)
{
    size_t at = route ? (size_t)(route - api_table_routes) : api_table_route_count;
    assert(at <= api_table_route_count && status / 100 < API_METRICS_CLASSES);
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

/* NULL: a run that nothing shows, which is counted without its type. */
static struct dag *dag_of(struct live *live, struct last_run *last, struct uuid run_id)
{
    if (!last->run || !uuid_equal(last->id, run_id)) {
        live_unref(last->run);
        last->id = run_id;
        last->run = live ? live_get(live, run_id) : NULL;
        if (live && !last->run)
            last->run = live_get_ended(live, run_id);
    }
    return last->run ? live_run_dag(last->run) : NULL;
}

static void count_task(struct api_metrics *metrics, const struct dag *dag, uint32_t task, enum task_state state)
{
    if (dag && task < dag->task_count)
        add(&metrics->tasks[dag->tasks[task].type][state], 1);
}

static void count_attempt(struct api_metrics *metrics, const struct dag *dag, const struct record_attempt *attempt)
{
    add(&metrics->attempts[attempt->state], 1);
    add(&metrics->attempt_cpu_us, attempt->cpu_us > 0 ? (uint64_t)attempt->cpu_us : 0);
    if (attempt->retry_ms)
        add(&metrics->retries, 1);
    if (state_task_is_terminal(attempt->task_state))
        count_task(metrics, dag, attempt->task, attempt->task_state);
    if (dag && attempt->task < dag->task_count && attempt->started_ms && attempt->ended_ms)
        api_histogram_add(&metrics->attempt_durations[dag->tasks[attempt->task].type],
                          attempt->ended_ms - attempt->started_ms);
}

static void count_run(struct api_metrics *metrics, const struct record_run *run)
{
    add(&metrics->runs[run->state], 1);
    api_histogram_add(&metrics->run_durations, run->completed_ms - (run->started_ms ? run->started_ms
                                                                                    : run->completed_ms));
}

void api_metrics_publish(struct api_metrics *metrics, const struct batch *batch, struct live *live)
{
    struct last_run last = {0};
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->group && batch->verdicts[record->group - 1].refused)
            continue;
        if (record->kind == RECORD_RUN_CREATE) {
            add(&metrics->runs_created, 1);
        } else if (record->kind == RECORD_RUN_END) {
            count_run(metrics, &record->run);
        } else if (record->kind == RECORD_ATTEMPT_END) {
            count_attempt(metrics, dag_of(live, &last, record->attempt.run_id), &record->attempt);
        } else if (record->kind == RECORD_LETTER) {
            add(&metrics->letters, 1);
        } else if (record->kind == RECORD_FIRE || record->kind == RECORD_FIRE_RELEASE) {
            count_fire(metrics, &record->fire);
        }
    }
    for (size_t i = 0; i < batch->change_count; i++) {
        const struct record_change *change = &batch->changes[i];
        if (!change->kept && state_task_is_terminal(change->state))
            count_task(metrics, dag_of(live, &last, change->run_id), change->task, change->state);
    }
    live_unref(last.run);
}
