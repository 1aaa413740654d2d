/* The next fires of all schedules, in one order. */
#include <string.h>

#include "api/api_handlers.h"
#include "api/api_stats.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cron/cron.h"

enum { DAGS_MAX = 10000 };

struct upcoming {
    const struct store_dag *dag;
    const struct cron_zone *zone;
    struct cron cron;
    struct cron_fire fire;
};

/* A heap: the earliest fire first, the older DAG first of two at once. */
struct heap {
    struct upcoming **items;
    size_t count, cap;
};

static bool is_earlier(const struct upcoming *a, const struct upcoming *b)
{
    if (a->fire.time_ms != b->fire.time_ms)
        return a->fire.time_ms < b->fire.time_ms;
    return uuid_compare(a->dag->id, b->dag->id) < 0;
}

static void sink(struct heap *heap, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < heap->count;) {
        if (child + 1 < heap->count && is_earlier(heap->items[child + 1], heap->items[child]))
            child++;
        if (!is_earlier(heap->items[child], heap->items[at]))
            return;
        struct upcoming *swap = heap->items[at];
        heap->items[at] = heap->items[child];
        heap->items[child] = swap;
        at = child;
    }
}

static void add_dag(struct api_stats *stats, const struct store_dag *dag, int64_t from_ms, struct heap *heap)
{
    struct error err; /* it was valid when the DAG was made */
    struct upcoming *next = arena_zalloc(api_arena(stats->call), sizeof *next);
    if (!dag->cron || dag->paused || cron_parse(dag->cron, &next->cron, &err))
        return;
    next->dag = dag;
    next->zone = api_stats_zone(stats, dag->timezone);
    if (!next->zone || !cron_next(&next->cron, next->zone, from_ms, &next->fire))
        return;
    heap->items = mem_grow(heap->items, &heap->cap, heap->count + 1, sizeof *heap->items);
    heap->items[heap->count++] = next;
}

static int collect(struct api_stats *stats, int64_t from_ms, struct heap *heap, bool *ret_more, struct error *err)
{
    struct store_dag_query query = {.page.limit = LIMIT_PAGE_MAX};
    struct store_dags dags = {.count = LIMIT_PAGE_MAX};
    for (size_t seen = 0; dags.count == LIMIT_PAGE_MAX && seen < DAGS_MAX; seen += dags.count) {
        int rc = store_list_dags(stats->call->api->backend.store, &query, api_arena(stats->call), &dags, err);
        if (rc)
            return rc;
        for (size_t i = 0; i < dags.count; i++)
            add_dag(stats, &dags.items[i], from_ms, heap);
        if (dags.count)
            query.page.before = dags.items[dags.count - 1].id;
    }
    *ret_more = dags.count == LIMIT_PAGE_MAX;
    for (size_t i = heap->count / 2; i > 0; i--)
        sink(heap, i - 1);
    return 0;
}

static void add_fire(struct json *json, const struct upcoming *next)
{
    char local[CRON_LOCAL_TEXT_MAX];
    cron_format_local(next->fire.time_ms, next->fire.offset_s, local);
    json_begin_object(json);
    json_kv_uuid(json, "dagId", next->dag->id);
    json_kv_string(json, "dagName", next->dag->name);
    json_kv_time(json, "at", next->fire.time_ms);
    json_kv_string(json, "local", local);
    json_kv_string(json, "timezone", cron_zone_name(next->zone));
    json_kv_string(json, "why", cron_reason_name(next->fire.reason));
    json_end_object(json);
}

static void add_fires(struct json *json, struct heap *heap, int64_t max)
{
    json_begin_array(json);
    while (heap->count && max-- > 0) {
        struct upcoming *next = heap->items[0];
        add_fire(json, next);
        if (!cron_next(&next->cron, next->zone, next->fire.time_ms, &next->fire))
            heap->items[0] = heap->items[--heap->count];
        sink(heap, 0);
    }
    json_end_array(json);
}

void api_list_upcoming(struct api_call *call)
{
    const struct api_value *from = &call->query[API_QUERY_FROM];
    struct api_stats stats;
    struct heap heap = {0};
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    bool more = false;
    int rc = api_stats_init(&stats, call, 0, &err);
    if (!rc)
        rc = collect(&stats, from->given ? from->number : stats.now_ms, &heap, &more, &err);
    if (rc) {
        api_fail_error(call, &err);
    } else {
        json_init(&json, &body);
        json_begin_object(&json);
        json_kv_int(&json, "dagCount", (int64_t)heap.count);
        json_kv_bool(&json, "truncated", more);
        json_key(&json, "fires");
        add_fires(&json, &heap, call->query[API_QUERY_LIMIT].number);
        json_end_object(&json);
        api_reply_json(call, 200, &body);
    }
    api_stats_fini(&stats);
    mem_free(heap.items);
    buf_fini(&body);
}
