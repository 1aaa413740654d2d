/* What the engine knows of schedules: one entry for each DAG that has one, kept as the catalog changes. A schedule is
 * followed from when it came: with its DAG, or with the version that brought it. While a DAG is paused nothing is
 * decided; when it is resumed (or goes), the stretch is recorded as one. What becomes of instants is in fire.c. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

struct schedule *engine_find_schedule(const struct engine *engine, struct uuid dag_id)
{
    return map_get(&engine->schedules, dag_id.bytes, sizeof dag_id.bytes);
}

static struct schedule *get(struct engine *engine, struct uuid dag_id)
{
    struct schedule *schedule = engine_find_schedule(engine, dag_id);
    if (schedule)
        return schedule;
    schedule = mem_new(struct schedule);
    schedule->dag_id = dag_id;
    schedule->next_ms = INT64_MAX;
    (void)map_set(&engine->schedules, schedule->dag_id.bytes, sizeof schedule->dag_id.bytes, schedule);
    schedule->previous = engine->last_schedule;
    if (schedule->previous)
        schedule->previous->next = schedule;
    else
        engine->first_schedule = schedule;
    engine->last_schedule = schedule;
    return schedule;
}

static void free_schedule(struct schedule *schedule)
{
    dag_unref(schedule->dag);
    cron_zone_free(schedule->zone);
    mem_free(schedule->waiting.items);
    mem_free(schedule->backfill.items);
    mem_free(schedule);
}

/* Nothing fires, waits or runs, and should it get a schedule, that is not paused: the entry says nothing any more. */
static void drop_if_idle(struct engine *engine, struct schedule *schedule)
{
    bool waits = schedule->dag && (schedule->waiting.count || schedule->backfill.count);
    bool comes = schedule->ticks || schedule->awaits_zone || schedule->changing;
    if (comes || schedule->paused || schedule->active || schedule->pending || waits)
        return;
    (void)map_remove(&engine->schedules, schedule->dag_id.bytes, sizeof schedule->dag_id.bytes);
    *(schedule->previous ? &schedule->previous->next : &engine->first_schedule) = schedule->next;
    *(schedule->next ? &schedule->next->previous : &engine->last_schedule) = schedule->previous;
    free_schedule(schedule);
}

void engine_schedules_free(struct engine *engine)
{
    for (struct schedule *schedule = engine->first_schedule, *next; schedule; schedule = next) {
        next = schedule->next;
        free_schedule(schedule);
    }
    map_fini(&engine->schedules);
}

void engine_schedule_arm(struct schedule *schedule)
{
    struct cron_fire next;
    bool more = schedule->ticks && cron_next(&schedule->cron, schedule->zone, schedule->covered_ms, &next);
    schedule->next_ms = more ? next.time_ms : INT64_MAX;
}

void engine_schedule_add_run(struct engine *engine, struct engine_run *run)
{
    if (run->trigger != TRIGGER_SCHEDULE && run->trigger != TRIGGER_BACKFILL)
        return;
    struct schedule *schedule = get(engine, run->dag_id);
    run->counted = true;
    schedule->active++;
    schedule->backfills += run->trigger == TRIGGER_BACKFILL;
}

void engine_schedule_drop_run(struct engine *engine, struct engine_run *run)
{
    if (!run->counted)
        return;
    struct schedule *schedule = engine_find_schedule(engine, run->dag_id);
    assert(schedule && schedule->active > 0);
    run->counted = false;
    schedule->active--;
    schedule->backfills -= run->trigger == TRIGGER_BACKFILL;
    if (schedule->waiting.count || schedule->backfill.count)
        engine->schedules_stir = true;
    drop_if_idle(engine, schedule);
}

/* Takes the definition's schedule; the reference too. */
static int define(struct schedule *schedule, struct dag *dag, uint32_t version, struct error *err)
{
    dag_unref(schedule->dag);
    cron_zone_free(schedule->zone);
    schedule->dag = dag;
    schedule->dag_version = version;
    schedule->zone = NULL;
    schedule->ticks = schedule->awaits_zone = false;
    if (!dag->schedule.cron)
        return 0;
    int code = cron_parse(dag->schedule.cron, &schedule->cron, err);
    if (!code)
        code = cron_zone_load(dag->schedule.timezone, &schedule->zone, err);
    schedule->ticks = !code;
    schedule->awaits_zone = code == ERROR_IO;
    return code;
}

void engine_schedule_find_zone(struct schedule *schedule)
{
    if (cron_zone_load(schedule->dag->schedule.timezone, &schedule->zone, NULL) != 0)
        return;
    schedule->ticks = true;
    schedule->awaits_zone = false;
    engine_schedule_arm(schedule);
}

int engine_restore_schedule(struct engine *engine, const struct engine_schedule *row, struct error *err)
{
    struct schedule *schedule = get(engine, row->dag_id);
    int code = define(schedule, row->dag, row->dag_version, err);
    schedule->paused = row->paused;
    schedule->covered_ms = row->covered_ms;
    schedule->paused_to_ms = row->paused_to_ms;
    for (size_t i = 0; i < row->queued_count; i++) {
        const struct record_fire *fire = &row->queued[i];
        engine_fire_queue_put(fire->trigger == TRIGGER_BACKFILL ? &schedule->backfill : &schedule->waiting,
                              (struct fire){fire->id, fire->from_ms, fire->parallel, true});
    }
    engine_schedule_arm(schedule);
    engine->schedules_stir = true;
    drop_if_idle(engine, schedule);
    return code;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_same_schedule(const struct dag *a, const struct dag *b)
{
    return a && is_same_text(a->schedule.cron, b->schedule.cron) &&
           is_same_text(a->schedule.timezone, b->schedule.timezone);
}

enum schedule_stand engine_schedule_before(struct engine *engine, const struct command *command, struct engine_now now)
{
    if (!engine->options.fires_schedules)
        return SCHEDULE_DECIDED; /* who fires decides, and never here */
    struct schedule *schedule = engine_find_schedule(engine, command->dag_id);
    if (schedule && command->kind != COMMAND_DAG_CREATE)
        engine_fire_cover(engine, schedule, now);
    enum schedule_stand stand = SCHEDULE_DECIDED;
    if (schedule && (schedule->pending || schedule->changing))
        stand = SCHEDULE_PENDING;
    else if (schedule && schedule->next_ms <= now.wall_ms)
        stand = SCHEDULE_UNDECIDED;
    if (command->kind == COMMAND_DAG_PAUSE && !command->paused && schedule && schedule->paused)
        return stand;
    if (command->kind != COMMAND_DAG_UPDATE)
        return SCHEDULE_DECIDED;
    if (schedule && !schedule->changing && is_same_schedule(schedule->dag, command->dag))
        return SCHEDULE_DECIDED;
    if (stand == SCHEDULE_DECIDED)
        get(engine, command->dag_id)->changing = command;
    return stand;
}

void engine_schedule_settled(struct engine *engine, const struct command *command)
{
    struct schedule *schedule = engine_find_schedule(engine, command->dag_id);
    if (command->kind != COMMAND_DAG_UPDATE || !schedule)
        return;
    if (schedule->changing == command) /* one before it may have changed nothing */
        schedule->changing = NULL;
    engine->schedules_stir = true;
    drop_if_idle(engine, schedule);
}

/* A version has come. A schedule that is new begins at time_ms. */
static void change(struct engine *engine, const struct command *command, const struct command_result *result,
                   int64_t time_ms, int64_t covered_ms)
{
    struct schedule *schedule = engine_find_schedule(engine, result->dag_id);
    if (!schedule && !command->dag->schedule.cron)
        return;
    schedule = get(engine, result->dag_id);
    if (covered_ms > schedule->covered_ms) /* from a time when it had a schedule, and a clock that was set back since */
        schedule->covered_ms = covered_ms;
    bool same = is_same_schedule(schedule->dag, command->dag);
    if (!same && time_ms > schedule->covered_ms)
        schedule->covered_ms = time_ms;
    /* the reader has checked the expression and the zone, which may not be readable now */
    (void)define(schedule, dag_ref(command->dag), result->dag_version, NULL);
    engine_schedule_arm(schedule);
    drop_if_idle(engine, schedule);
}

static void forget(struct engine *engine, struct schedule *schedule)
{
    dag_unref(schedule->dag);
    schedule->dag = NULL;
    schedule->ticks = schedule->awaits_zone = false;
    schedule->next_ms = INT64_MAX;
    schedule->paused_to_ms = 0;
    schedule->waiting.count = schedule->backfill.count = 0;
    schedule->paused = false;
    drop_if_idle(engine, schedule);
}

void engine_clear_elsewhere(struct engine *engine)
{
    for (struct schedule *schedule = engine->first_schedule; schedule; schedule = schedule->next)
        schedule->elsewhere = schedule->elsewhere_backfills = 0;
    engine->schedules_stir = true;
}

void engine_set_elsewhere(struct engine *engine, struct uuid dag_id, uint32_t runs, uint32_t backfills,
                          struct uuid run_id)
{
    struct schedule *schedule = engine_find_schedule(engine, dag_id);
    if (!schedule)
        return;
    schedule->elsewhere = runs;
    schedule->elsewhere_backfills = backfills;
    schedule->elsewhere_run = run_id;
}

void engine_set_fires(struct engine *engine, bool fires)
{
    engine->options.fires_schedules = fires;
    for (struct schedule *schedule = engine->first_schedule, *next; schedule; schedule = next) {
        next = schedule->next;
        forget(engine, schedule);
    }
    engine->schedules_stir = true;
}

void engine_schedule_changed(struct engine *engine, const struct command *command,
                             const struct command_result *result, int64_t time_ms, int64_t covered_ms)
{
    struct schedule *schedule = engine_find_schedule(engine, result->dag_id);
    if (command->kind > COMMAND_DAG_PAUSE)
        return;
    engine->schedules_stir = true;
    if (command->kind == COMMAND_DAG_CREATE || command->kind == COMMAND_DAG_UPDATE) {
        change(engine, command, result, time_ms, covered_ms);
        schedule = engine_find_schedule(engine, result->dag_id);
        if (schedule && command->kind == COMMAND_DAG_CREATE)
            schedule->paused = command->paused;
    } else if (command->kind == COMMAND_DAG_PAUSE && (schedule || command->paused)) {
        schedule = get(engine, result->dag_id);
        schedule->paused = command->paused;
        drop_if_idle(engine, schedule);
    } else if (schedule && command->kind == COMMAND_DAG_DELETE) {
        forget(engine, schedule);
    }
}
