/* Schedules, from the store to the engine: at the start of a node that is alone, and whenever a node of a cluster leads
 * or their DAGs have changed. They are read by a thread that may wait for the database; the engine's thread takes what
 * was read, unless something of it changed meanwhile. */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "server/core_model.h"

enum { STALE_MAX = 10 };    /* readings that were too old, one after the other: then the next counts all the same */

struct core_schedules {
    struct arena arena;
    uint64_t changes;           /* what of it was durable before the reading */
    struct buf items;           /* struct item */
};

struct item {
    struct engine_schedule schedule;
    const char *name;           /* of the DAG */
};

static struct item *items_of(const struct core_schedules *schedules, size_t *ret_count)
{
    *ret_count = schedules->items.len / sizeof(struct item);
    return (struct item *)(void *)schedules->items.bytes;
}

/* ---- any thread ---- */

/* All instants that wait, of all DAGs. */
static int read_queued(struct store *store, struct buf *ret_fires, struct error *err)
{
    struct store_fire_query query = {.page.limit = LIMIT_PAGE_MAX, .by_outcome = true, .outcome = FIRE_QUEUED};
    struct store_fires fires = {.count = LIMIT_PAGE_MAX};
    int code = 0;
    while (!code && fires.count == LIMIT_PAGE_MAX) {
        struct arena arena = {0};
        code = store_list_fires(store, &query, &arena, &fires, err);
        if (!code && fires.count) {
            buf_add(ret_fires, fires.items, fires.count * sizeof *fires.items);
            query.page.before = fires.items[fires.count - 1].id;
        }
        arena_fini(&arena);
    }
    return code;
}

static const struct record_fire *queued_of(const struct buf *all, struct uuid dag_id, struct arena *arena,
                                           size_t *ret_count)
{
    const struct record_fire *fires = (const struct record_fire *)(const void *)all->bytes;
    size_t total = all->len / sizeof *fires, count = 0;
    for (size_t i = 0; i < total; i++)
        count += uuid_equal(fires[i].dag_id, dag_id);
    struct record_fire *mine = arena_array(arena, count, sizeof *mine);
    *ret_count = 0;
    for (size_t i = 0; i < total; i++)
        if (uuid_equal(fires[i].dag_id, dag_id))
            mine[(*ret_count)++] = fires[i];
    return mine;
}

static void say_not_firing(const char *name, int code, const struct error *why)
{
    log_error("the schedule of DAG '%s' does not fire%s: %s", name, code == ERROR_IO ? " yet" : "", why->text);
}

/* A DAG that cannot be read keeps its schedule from firing, not the daemon from starting. */
static int read_one(struct store *store, struct core_schedules *schedules, const struct store_dag *row,
                    int64_t asked_ms, const struct buf *queued, struct error *err)
{
    struct error why = {0};
    struct buf source = BUF_INIT;
    struct item item = {.name = arena_strdup(&schedules->arena, row->name)};
    item.schedule = (struct engine_schedule){.dag_id = row->id,
                                             .dag_version = row->version,
                                             .paused = row->paused,
                                             .covered_ms = row->covered_ms,
                                             .paused_to_ms = row->resumed_ago_ms ? asked_ms - row->resumed_ago_ms
                                                                                 : 0};
    item.schedule.queued = queued_of(queued, row->id, &schedules->arena, &item.schedule.queued_count);
    if (!row->cron && !row->paused && !item.schedule.queued_count)
        return 0;
    int code = store_get_source(store, row->id, row->version, &source, err);
    int bad = code ? 0 : core_read_source(row->name, buf_text(&source), source.len, NULL, &item.schedule.dag, &why);
    if (bad == ERROR_OUT_OF_MEMORY)
        code = error_set(err, ERROR_OUT_OF_MEMORY, "%s", why.text);
    else if (bad)
        say_not_firing(row->name, bad, &why);
    else if (!code)
        buf_add(&schedules->items, &item, sizeof item);
    buf_fini(&source);
    return code;
}

static int read_all(struct store *store, struct core_schedules *schedules, struct error *err)
{
    struct store_dag_query query = {.page.limit = LIMIT_PAGE_MAX};
    struct store_dags dags = {.count = LIMIT_PAGE_MAX};
    struct buf queued = BUF_INIT;
    int code = read_queued(store, &queued, err);
    while (!code && dags.count == LIMIT_PAGE_MAX) {
        struct arena arena = {0};
        int64_t asked_ms = clock_wall_ms(); /* from before: an instant behind the end of a pause is none of it */
        code = store_list_dags(store, &query, &arena, &dags, err);
        for (size_t i = 0; i < dags.count && !code; i++) {
            code = read_one(store, schedules, &dags.items[i], asked_ms, &queued, err);
            query.page.before = dags.items[i].id;
        }
        arena_fini(&arena);
    }
    buf_fini(&queued);
    return code;
}

int core_read_schedules(struct core *core, struct core_schedules **ret_schedules, struct error *err)
{
    struct core_schedules *schedules = mem_new(struct core_schedules);
    schedules->changes = atomic_load(&core->schedule_changes);
    int code = read_all(core->store, schedules, err);
    if (code)
        core_free_schedules(schedules);
    else
        *ret_schedules = schedules;
    return code;
}

void core_free_schedules(struct core_schedules *schedules)
{
    size_t count;
    if (!schedules)
        return;
    struct item *items = items_of(schedules, &count);
    for (size_t i = 0; i < count; i++)
        dag_unref(items[i].schedule.dag);
    buf_fini(&schedules->items);
    arena_fini(&schedules->arena);
    mem_free(schedules);
}

/* ---- the engine's thread ---- */

/* What the reading does not know is durable, or on its way. */
static bool is_stale(const struct core *core, const struct core_schedules *schedules)
{
    return schedules->changes != core->schedule_changes_submitted || engine_batch_changes_schedules(core->engine);
}

static void restore_all(struct core *core, struct core_schedules *schedules)
{
    size_t count;
    struct item *items = items_of(schedules, &count);
    for (size_t i = 0; i < count; i++) {
        struct error why = {0};
        int bad = engine_restore_schedule(core->engine, &items[i].schedule, &why); /* takes the reference */
        items[i].schedule.dag = NULL;
        if (bad)
            say_not_firing(items[i].name, bad, &why);
    }
}

static void show_leading(struct core *core, bool leads)
{
    (void)pthread_mutex_lock(&core->lock);
    core->shown.leads = leads;
    (void)pthread_mutex_unlock(&core->lock);
}

int core_load_schedules(struct core *core, struct error *err)
{
    struct core_schedules *schedules = NULL;
    int code = core_read_schedules(core, &schedules, err);
    if (!code)
        restore_all(core, schedules);
    core_free_schedules(schedules);
    show_leading(core, true);
    return code;
}

bool core_set_leading(struct core *core, struct core_schedules *schedules)
{
    if (schedules && is_stale(core, schedules) && core->stale_readings < STALE_MAX) {
        core->stale_readings++;
        return false;
    }
    core->stale_readings = 0;
    engine_set_fires(core->engine, schedules != NULL);
    if (schedules)
        restore_all(core, schedules);
    show_leading(core, schedules != NULL);
    return true;
}

void core_set_busy_elsewhere(struct core *core, const struct store_busy *items, size_t count)
{
    engine_clear_elsewhere(core->engine);
    for (size_t i = 0; i < count; i++)
        engine_set_elsewhere(core->engine, items[i].dag_id, items[i].runs, items[i].backfills, items[i].run_id);
}

void core_count_schedule_changes(struct core *core, const struct batch *batch, bool durable)
{
    if (!record_batch_changes_schedules(batch))
        return;
    if (durable)
        (void)atomic_fetch_add(&core->schedule_changes, 1);
    else
        core->schedule_changes_submitted++;
}
