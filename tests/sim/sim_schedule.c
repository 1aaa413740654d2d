/* G9: every instant of a schedule is covered by exactly one record, in order, and for a reason that is true. What is
 * known here is made from what became durable alone: where each schedule stands, and by which rule. */
#include "sim.h"

#include <string.h>

#include "base/limits.h"
#include "dag/dag.h"

enum { ZONES = 2 };

static const char *const zone_names[ZONES] = {"UTC", "Europe/Berlin"};

/* Read once: every seed uses them. */
static const struct cron_zone *zone_of(const char *name)
{
    static struct cron_zone *zones[ZONES];
    for (int i = 0; i < ZONES; i++) {
        if (strcmp(zone_names[i], name) != 0)
            continue;
        if (!zones[i] && cron_zone_load(name, &zones[i], NULL) != 0)
            model_broken("there is no time zone %s here", name);
        return zones[i];
    }
    model_broken("no such zone");
}

struct dag_schedule sim_schedule_choose(struct sim *sim)
{
    static const char *const crons[] = {"* * * * *", "*/5 * * * *", "*/10 * * * *", "7 * * * *", "30 2 * * *",
                                        "*/20 1-3 * * *"};
    struct dag_schedule schedule = {NULL, NULL, DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE};
    if (!sim->has_schedules || sim_chance(sim, 30))
        return schedule;
    schedule.cron = crons[sim_below(sim, sizeof crons / sizeof crons[0])];
    schedule.timezone = zone_names[sim_chance(sim, 30)];
    schedule.overlap = (enum dag_overlap)sim_below(sim, DAG_OVERLAP_COUNT);
    schedule.catchup = (enum dag_catchup)sim_below(sim, DAG_CATCHUP_COUNT);
    return schedule;
}

static void follow(struct sim_schedule *known, const struct dag *dag)
{
    known->rule = dag->schedule;
    if (known->rule.cron && cron_parse(known->rule.cron, &known->cron, NULL) != 0)
        model_broken("a schedule that is none");
}

void sim_schedule_begin(struct sim *sim, uint32_t dag)
{
    sim->schedules[dag] = (struct sim_schedule){.covered_ms = sim->now.wall_ms};
    follow(&sim->schedules[dag], sim->dags[dag]);
}

/* The first instant behind one; INT64_MAX: none. */
static int64_t next_instant(const struct sim_schedule *known, int64_t time_ms)
{
    struct cron_fire next;
    if (!known->rule.cron || known->deleted || !cron_next(&known->cron, zone_of(known->rule.timezone), time_ms, &next))
        return INT64_MAX;
    return next.time_ms;
}

static struct sim_schedule *known_of(struct sim *sim, struct uuid dag_id, uint32_t *ret_dag)
{
    for (uint32_t i = 0; i < DAGS; i++)
        if (uuid_equal(sim->dag_ids[i], dag_id)) {
            *ret_dag = i;
            return &sim->schedules[i];
        }
    model_broken("a record of a DAG that never was");
}

static bool is_of_schedule(const struct model_run *run)
{
    return run->run.trigger == TRIGGER_SCHEDULE || run->run.trigger == TRIGGER_BACKFILL;
}

/* Runs of its schedule that are active, but for one. */
static uint32_t active_runs(const struct sim *sim, struct uuid dag_id, struct uuid but)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sim->model.run_count; i++) {
        const struct model_run *run = sim->model.runs[i];
        count += !run->ended && is_of_schedule(run) && uuid_equal(run->run.dag_id, dag_id) &&
                 !uuid_equal(run->run.id, but);
    }
    return count;
}

static uint32_t queued(const struct sim *sim, struct uuid dag_id, enum trigger trigger)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sim->model.fire_count; i++) {
        const struct record_fire *fire = &sim->model.fires[i];
        count += fire->outcome == FIRE_QUEUED && fire->trigger == trigger && uuid_equal(fire->dag_id, dag_id);
    }
    return count;
}

/* What was busy before the batch: a skip because of it may stand beside its end. */
void sim_schedule_before(struct sim *sim)
{
    for (uint32_t i = 0; sim->has_schedules && i < DAGS; i++)
        sim->schedules[i].busy = active_runs(sim, sim->dag_ids[i], (struct uuid){{0}}) > 0 ||
                                 queued(sim, sim->dag_ids[i], TRIGGER_SCHEDULE) > 0;
}

/* Due at a moment, from the one that is next on. Counts to one more than catchup: all makes up for. */
static uint32_t count_due(const struct sim_schedule *known, int64_t from_ms, int64_t now_ms)
{
    uint32_t count = 0;
    for (int64_t t = from_ms; t <= now_ms && count <= LIMIT_CATCHUP_MAX; t = next_instant(known, t))
        count++;
    return count;
}

static void check_skip(const struct sim_schedule *known, const struct record_fire *fire)
{
    const struct dag_schedule *rule = &known->rule;
    bool late = fire->created_ms - fire->to_ms > LIMIT_LATE_MS;
    switch (fire->reason) {
    case FIRE_PAUSED:
        if (!known->paused)
            model_broken("skipped as paused, and the DAG is not");
        return;
    case FIRE_MISSED:
        if (rule->catchup == DAG_CATCHUP_NONE && !late)
            model_broken("an instant in time is skipped as missed");
        if (rule->catchup == DAG_CATCHUP_LATEST && next_instant(known, fire->to_ms) > fire->created_ms)
            model_broken("catchup: latest, and the latest is skipped");
        if (rule->catchup == DAG_CATCHUP_ALL && count_due(known, fire->from_ms, fire->created_ms) <= LIMIT_CATCHUP_MAX)
            model_broken("catchup: all, and some are skipped");
        return;
    case FIRE_OVERLAP:
        if (rule->overlap != DAG_OVERLAP_SKIP || !known->busy)
            model_broken("skipped for an overlap, and there is none");
        return;
    case FIRE_QUEUE_FULL:
        return;
    default:
        model_broken("skipped for no reason");
    }
}

static bool is_changing(const struct sim_schedule *known, uint64_t batch)
{
    return known->changed || batch <= known->changed_batch;
}

static void check_fire(const struct sim *sim, struct sim_schedule *known, const struct record_fire *fire,
                       uint64_t batch)
{
    const struct dag_schedule *rule = &known->rule;
    int64_t time_ms = next_instant(known, known->covered_ms);
    uint32_t count = 1;
    if (fire->from_ms != time_ms)
        model_broken("the next instant is %lld, and %lld is covered", (long long)time_ms, (long long)fire->from_ms);
    for (; time_ms < fire->to_ms; count++)
        time_ms = next_instant(known, time_ms);
    if (time_ms != fire->to_ms || count != fire->count)
        model_broken("a record stands for %u instants and covers %u", fire->count, count);
    known->covered_ms = fire->to_ms;
    bool late = fire->created_ms - fire->from_ms > LIMIT_LATE_MS;
    if (is_changing(known, batch))
        ; /* it may have been decided by the rule before */
    else if (fire->outcome == FIRE_SKIPPED)
        check_skip(known, fire);
    else if (late && rule->catchup == DAG_CATCHUP_NONE)
        model_broken("catchup: none, and it is made up for what was missed");
    else if (fire->outcome == FIRE_QUEUED && rule->overlap != DAG_OVERLAP_QUEUE && !late)
        model_broken("queued, though nothing asks for it");
    else if (fire->outcome == FIRE_FIRED && rule->overlap != DAG_OVERLAP_ALLOW &&
             active_runs(sim, fire->dag_id, fire->run_id))
        model_broken("two runs of a schedule whose runs may not overlap");
    if (fire->outcome != FIRE_SKIPPED)
        known->busy = true;
}

/* Runs that a DAG's schedule made, or only those of backfills, and that are active, but for those released behind one
 * record of the batch. */
static uint32_t active_at(const struct sim *sim, const struct batch *batch, size_t at, bool backfills)
{
    struct uuid dag_id = batch->records[at].fire.dag_id;
    uint32_t count = 0;
    for (size_t i = 0; i < sim->model.run_count; i++) {
        const struct model_run *run = sim->model.runs[i];
        bool made = run->run.trigger == TRIGGER_BACKFILL || (!backfills && run->run.trigger == TRIGGER_SCHEDULE);
        bool counts = !run->ended && made && uuid_equal(run->run.dag_id, dag_id);
        for (size_t behind = at + 1; counts && behind < batch->count; behind++)
            counts = batch->records[behind].kind != RECORD_FIRE_RELEASE ||
                     !uuid_equal(batch->records[behind].fire.run_id, run->run.id);
        count += counts;
    }
    return count;
}

/* A backfill has no more runs at once than was asked for, or than its schedule's overlap lets it have. */
static void check_backfill(const struct sim *sim, const struct sim_schedule *known, const struct batch *batch,
                           size_t at)
{
    const struct record_fire *row = NULL;
    for (size_t i = 0; !row && i < sim->model.fire_count; i++)
        if (uuid_equal(sim->model.fires[i].id, batch->records[at].fire.id))
            row = &sim->model.fires[i];
    bool alone = known->rule.overlap != DAG_OVERLAP_ALLOW;
    uint32_t most = row->parallel ? row->parallel : alone ? 1 : LIMIT_BACKFILL_PARALLEL_DEFAULT;
    if (row->parallel || !is_changing(known, batch->number)) {
        uint32_t active = active_at(sim, batch, at, true);
        if (active > most)
            model_broken("%u runs of a backfill at once, and it may have %u", active, most);
    }
}

static bool is_same(const struct dag_schedule *a, const struct dag_schedule *b)
{
    if (!a->cron || !b->cron)
        return a->cron == b->cron;
    return strcmp(a->cron, b->cron) == 0 && strcmp(a->timezone, b->timezone) == 0;
}

static void change(const struct sim *sim, struct sim_schedule *known, const struct record_dag *row)
{
    if (!is_same(&known->rule, &row->dag->schedule)) {
        int64_t first_ms = next_instant(known, known->covered_ms);
        if (first_ms <= row->time_ms)
            model_broken("instant %lld is dropped by a new schedule", (long long)first_ms);
        if (row->time_ms > known->covered_ms)
            known->covered_ms = row->time_ms;
    }
    follow(known, row->dag);
    sim_say(sim, "now '%s' %s from %lld, covered to %lld", known->rule.cron ? known->rule.cron : "never",
            known->rule.cron ? known->rule.timezone : "", (long long)row->time_ms, (long long)known->covered_ms);
    known->changed = true;
}

/* The batch is durable and its verdicts are known. */
void sim_schedule_check(struct sim *sim, const struct batch *batch)
{
    for (size_t i = 0; sim->has_schedules && i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        uint32_t dag;
        bool refused = record->group && batch->verdicts[record->group - 1].refused;
        if (refused && record->kind == RECORD_FIRE)
            sim_say(sim, "refused: %lld to %lld", (long long)record->fire.from_ms, (long long)record->fire.to_ms);
        if (refused && record->kind == RECORD_FIRE_RELEASE)
            known_of(sim, record->fire.dag_id, &dag)->changed = true; /* its run was counted as active */
        if (!record->group || refused)
            continue;
        if (record->kind == RECORD_DAG_UPDATE) {
            change(sim, known_of(sim, record->dag.id, &dag), &record->dag);
        } else if (record->kind == RECORD_DAG_DELETE) {
            known_of(sim, record->dag.id, &dag)->deleted = true;
        } else if (record->kind == RECORD_DAG_PAUSE) {
            struct sim_schedule *known = known_of(sim, record->dag.id, &dag);
            bool resumed = known->paused && !record->dag.paused && !is_changing(known, batch->number);
            if (resumed && next_instant(known, known->covered_ms) <= record->dag.time_ms)
                model_broken("resumed, and an instant of the pause is not decided");
            known->changed = true;
            known->paused = record->dag.paused;
        } else if (record->kind == RECORD_FIRE_RELEASE) {
            struct sim_schedule *known = known_of(sim, record->fire.dag_id, &dag);
            if (known->paused && record->fire.trigger == TRIGGER_SCHEDULE && !is_changing(known, batch->number))
                model_broken("an instant that waited is fired while its DAG is paused");
            if (record->fire.trigger == TRIGGER_BACKFILL)
                check_backfill(sim, known, batch, i);
            else if (known->rule.overlap != DAG_OVERLAP_ALLOW && !is_changing(known, batch->number) &&
                     active_at(sim, batch, i, false) > 1)
                model_broken("an instant that waited is fired beside a run of its schedule");
            known->busy = true;
        } else if (record->kind == RECORD_FIRE && record->fire.trigger == TRIGGER_SCHEDULE) {
            struct sim_schedule *known = known_of(sim, record->fire.dag_id, &dag);
            sim->totals.fires[record->fire.outcome]++;
            sim_say(sim, "dag %u: %lld to %lld %s, reason %d", dag, (long long)record->fire.from_ms,
                    (long long)record->fire.to_ms, state_fire_name(record->fire.outcome),
                    (int)record->fire.reason);
            check_fire(sim, known, &record->fire, batch->number);
        }
    }
}

/* The daemon knows all that is durable. */
void sim_schedule_told(struct sim *sim)
{
    for (uint32_t i = 0; i < DAGS; i++) {
        struct sim_schedule *known = &sim->schedules[i];
        if (known->changed)
            known->changed_batch = sim->last_batch + 1;
        known->changed = false;
    }
}

/* It has read what is durable, and nothing is on its way. */
void sim_schedule_booted(struct sim *sim)
{
    sim->last_batch = 0;
    for (uint32_t i = 0; i < DAGS; i++) {
        sim->schedules[i].changed = false;
        sim->schedules[i].changed_batch = 0;
    }
}

/* Nothing of a schedule is left to be done at this moment. */
bool sim_schedule_is_quiet(const struct sim *sim)
{
    for (uint32_t i = 0; sim->has_schedules && i < DAGS; i++) {
        const struct sim_schedule *known = &sim->schedules[i];
        if (known->deleted)
            continue;
        if (queued(sim, sim->dag_ids[i], TRIGGER_BACKFILL))
            return false;
        if (!known->paused && (queued(sim, sim->dag_ids[i], TRIGGER_SCHEDULE) ||
                               next_instant(known, known->covered_ms) <= sim->now.wall_ms))
            return false;
    }
    return true;
}

/* Fired means one run, and a run of a schedule means one record. */
void sim_schedule_check_over(const struct sim *sim)
{
    const struct model *model = &sim->model;
    size_t fired = 0, runs = 0;
    for (uint32_t i = 0; i < DAGS && !sim_schedule_is_quiet(sim); i++)
        sim_say(sim, "dag %u: %s, covered to %lld, then %lld, now %lld; %u and %u wait", i,
                sim->schedules[i].deleted ? "deleted" : sim->schedules[i].paused ? "paused" : "live",
                (long long)sim->schedules[i].covered_ms,
                (long long)next_instant(&sim->schedules[i], sim->schedules[i].covered_ms), (long long)sim->now.wall_ms,
                queued(sim, sim->dag_ids[i], TRIGGER_SCHEDULE), queued(sim, sim->dag_ids[i], TRIGGER_BACKFILL));
    if (!sim_schedule_is_quiet(sim))
        model_broken("a due or queued instant is not decided");
    for (size_t i = 0; i < model->run_count; i++)
        runs += is_of_schedule(model->runs[i]);
    for (size_t i = 0; i < model->fire_count; i++) {
        const struct record_fire *fire = &model->fires[i];
        if (fire->outcome != FIRE_FIRED)
            continue;
        const struct model_run *run = model_find(model, fire->run_id);
        if (!run || run->run.scheduled_ms != fire->from_ms || run->run.trigger != fire->trigger)
            model_broken("fired without its run");
        for (size_t n = 0; n < i; n++)
            if (model->fires[n].outcome == FIRE_FIRED && uuid_equal(model->fires[n].run_id, fire->run_id))
                model_broken("two instants share a run");
        fired++;
    }
    if (fired != runs)
        model_broken("%zu runs of schedules and %zu that were fired", runs, fired);
}
