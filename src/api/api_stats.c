#include "api/api_stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cron/cron.h"

static const unsigned active_states = 1u << RUN_PENDING | 1u << RUN_RUNNING;
static const unsigned ended_states = 1u << RUN_SUCCEEDED | 1u << RUN_FAILED | 1u << RUN_CANCELED;

int api_stats_init(struct api_stats *stats, struct api_call *call, uint32_t runs_max, struct error *err)
{
    const struct store_run_query query = {.page.limit = LIMIT_PAGE_MAX, .states = active_states};
    *stats = (struct api_stats){.call = call, .runs_max = runs_max, .now_ms = clock_wall_ms()};
    return runs_max ? store_list_runs(call->api->backend.store, &query, api_arena(call), &stats->active, err) : 0;
}

void api_stats_fini(struct api_stats *stats)
{
    for (size_t i = 0; i < stats->zone_count; i++)
        cron_zone_free(stats->zones[i].zone);
    mem_free(stats->zones);
}

const struct cron_zone *api_stats_zone(struct api_stats *stats, const char *name)
{
    struct error err; /* a zone that was there when the DAG was made: said by its next fire, not here */
    for (size_t i = 0; i < stats->zone_count; i++) {
        const struct api_stats_zone *known = &stats->zones[i];
        if (name && known->name ? strcmp(name, known->name) == 0 : name == known->name)
            return known->zone;
    }
    stats->zones = mem_grow(stats->zones, &stats->zone_cap, stats->zone_count + 1, sizeof *stats->zones);
    struct api_stats_zone *zone = &stats->zones[stats->zone_count++];
    *zone = (struct api_stats_zone){.name = name};
    (void)cron_zone_load(name, &zone->zone, &err);
    return zone->zone;
}

static int64_t next_fire(struct api_stats *stats, const struct store_dag *dag)
{
    struct cron cron;
    struct cron_fire fire;
    struct error err;
    if (!dag->cron || dag->paused || dag->deleted_ms || cron_parse(dag->cron, &cron, &err))
        return 0;
    const struct cron_zone *zone = api_stats_zone(stats, dag->timezone);
    return zone && cron_next(&cron, zone, stats->now_ms, &fire) ? fire.time_ms : 0;
}

/* The newest of active and ended runs, newest first. */
struct marks {
    const struct record_run *runs[API_STATS_RUNS_MAX];
    size_t count;
    uint32_t active;
    uint32_t ended[RUN_STATE_COUNT];
    int64_t durations[API_STATS_RUNS_MAX];
    size_t duration_count;
};

static void add_mark(struct marks *marks, const struct record_run *run, uint32_t max)
{
    if (marks->count == max)
        return;
    marks->runs[marks->count++] = run;
    marks->ended[run->state]++;
    if (run->state == RUN_SUCCEEDED && run->started_ms)
        marks->durations[marks->duration_count++] = run->completed_ms - run->started_ms;
}

static void merge(const struct api_stats *stats, struct uuid dag_id, const struct store_runs *ended,
                  struct marks *marks)
{
    size_t next = 0;
    for (size_t i = 0; i < stats->active.count; i++) {
        const struct record_run *active = &stats->active.items[i].run;
        if (!uuid_equal(active->dag_id, dag_id))
            continue;
        marks->active++;
        while (next < ended->count && uuid_compare(ended->items[next].run.id, active->id) > 0)
            add_mark(marks, &ended->items[next++].run, stats->runs_max);
        if (next < ended->count && uuid_equal(ended->items[next].run.id, active->id))
            continue; /* it ended between the two looks */
        add_mark(marks, active, stats->runs_max);
    }
    while (next < ended->count)
        add_mark(marks, &ended->items[next++].run, stats->runs_max);
}

static int compare_durations(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The smallest duration that so many hundredths do not exceed. */
static void add_quantile(struct json *json, const char *key, const struct marks *marks, size_t hundredths)
{
    json_key(json, key);
    if (!marks->duration_count)
        json_add_null(json);
    else
        json_add_double(json, (double)marks->durations[(marks->duration_count * hundredths + 99) / 100 - 1] / 1e3);
}

static void add_marks(struct json *json, const struct marks *marks)
{
    json_key(json, "lastRuns");
    json_begin_array(json);
    for (size_t i = 0; i < marks->count; i++) {
        const struct record_run *run = marks->runs[i];
        json_begin_object(json);
        json_kv_uuid(json, "runId", run->id);
        json_kv_string(json, "state", state_run_name(run->state));
        json_kv_string(json, "triggeredBy", state_trigger_name(run->trigger));
        json_kv_time(json, "createdAt", run->created_ms);
        json_kv_time(json, "startedAt", run->started_ms);
        json_kv_time(json, "completedAt", run->completed_ms);
        json_end_object(json);
    }
    json_end_array(json);
}

int api_stats_add(struct api_stats *stats, const struct store_dag *dag, struct json *json, struct error *err)
{
    const struct store_run_query query = {
        .page.limit = stats->runs_max, .dag_id = dag->id, .states = ended_states};
    struct store_runs ended = {0};
    struct marks marks = {.count = 0};
    int rc = store_list_runs(stats->call->api->backend.store, &query, api_arena(stats->call), &ended, err);
    if (rc)
        return rc;
    merge(stats, dag->id, &ended, &marks);
    qsort(marks.durations, marks.duration_count, sizeof *marks.durations, compare_durations);
    json_begin_object(json);
    add_marks(json, &marks);
    json_kv_int(json, "activeRuns", marks.active);
    json_kv_int(json, "succeeded", marks.ended[RUN_SUCCEEDED]);
    json_kv_int(json, "failed", marks.ended[RUN_FAILED]);
    json_kv_int(json, "canceled", marks.ended[RUN_CANCELED]);
    add_quantile(json, "p50Seconds", &marks, 50);
    add_quantile(json, "p95Seconds", &marks, 95);
    json_kv_time(json, "nextFireAt", next_fire(stats, dag));
    json_end_object(json);
    return 0;
}
