/* What becomes of the instants of schedules (G9): each is covered by one record, and what is covered only moves
 * forward, so clock steps, long sleeps and restarts neither miss one nor fire one twice.
 *
 *     due, at most LIMIT_LATE_MS late       fires
 *     later than that                       was missed: catchup says which of them fire after all
 *     while the DAG is paused               skipped; also when another node ended the pause and we learn of it later
 *     while a run of the schedule is active overlap: allow fires, queue waits, skip skips; what catchup: all makes up
 *                                           for waits too, since skipping it would make up for nothing
 *
 * Decided records stand in groups of their own, a fire's with its run's creation. Each says behind what it was decided:
 * the store refuses one that would cover an instant again or leave one out, and says what is covered. Until their
 * verdicts are there nothing new of the schedule is covered; a group that found no room, or its DAG paused, takes the
 * schedule back to where it was, and those behind it are refused. */
#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

enum {
    SCAN_MAX = 10000,           /* instants looked at in one turn */
    LOOK_MS = 30000,            /* a step of the wall clock is noticed so soon */
    AGAIN_MS = 1000,            /* no room in the engine */
    ROOM_MS = 10000,            /* no room in the store */
    ZONE_MS = 10000             /* a time zone that cannot be read now */
};

/* ---- records ---- */

void engine_fire_queue_put(struct fire_queue *queue, struct fire fire)
{
    queue->items = mem_grow(queue->items, &queue->cap, queue->count + 1, sizeof *queue->items);
    size_t place = queue->count++;
    for (; place && queue->items[place - 1].time_ms > fire.time_ms; place--)
        queue->items[place] = queue->items[place - 1];
    queue->items[place] = fire;
}

static struct fire *queue_find(const struct fire_queue *queue, struct uuid id)
{
    for (size_t i = 0; i < queue->count; i++)
        if (uuid_equal(queue->items[i].id, id))
            return &queue->items[i];
    return NULL;
}

static void queue_remove(struct fire_queue *queue, struct uuid id)
{
    struct fire *fire = queue_find(queue, id);
    if (fire) {
        queue->count--;
        memmove(fire, fire + 1, (size_t)(queue->items + queue->count - fire) * sizeof *fire);
    }
}

static void queue_confirm(struct fire_queue *queue, struct uuid id)
{
    struct fire *fire = queue_find(queue, id);
    if (fire)
        fire->recorded = true;
}

static struct fire_queue *queue_of(struct schedule *schedule, enum trigger trigger)
{
    return trigger == TRIGGER_BACKFILL ? &schedule->backfill : &schedule->waiting;
}

static bool covers(const struct waiting_fire *fire)
{
    return fire->trigger == TRIGGER_SCHEDULE && !fire->releases;
}

/* The record and what waits for its verdict. */
static struct record_fire *record_fire(struct engine *engine, struct schedule *schedule, enum record_kind kind,
                                       struct waiting_fire fire, struct engine_now now)
{
    uint32_t group = record_add_group(engine->open);
    struct record_fire *row = &engine_record(engine, kind, group)->fire;
    *row = (struct record_fire){
        .id = fire.fire.id,
        .dag_id = schedule->dag_id,
        .trigger = fire.trigger,
        .behind_ms = covers(&fire) ? schedule->covered_ms : 0,
        .from_ms = fire.fire.time_ms,
        .to_ms = fire.to_ms ? fire.to_ms : fire.fire.time_ms,
        .count = 1,
        .outcome = fire.outcome,
        .parallel = fire.fire.parallel,
        .created_ms = now.wall_ms,
    };
    fire.dag_id = schedule->dag_id;
    fire.before_ms = schedule->covered_ms;
    fire.to_ms = fire.to_ms ? fire.to_ms : fire.fire.time_ms;
    struct waiting_command *waiting = engine_wait_for_batch(engine, NULL, group);
    waiting->is_fire = true;
    waiting->fire = fire;
    schedule->pending += covers(&fire);
    return row;
}

static void make_run(struct engine *engine, struct schedule *schedule, enum record_kind kind, enum trigger trigger,
                     struct fire fire, struct engine_now now)
{
    struct engine_run *run = engine_run_new(engine, engine_new_id(engine, now.wall_ms), dag_ref(schedule->dag));
    run->dag_id = schedule->dag_id;
    run->dag_version = schedule->dag_version;
    run->trigger = trigger;
    run->created_ms = now.wall_ms;
    run->scheduled_ms = fire.time_ms;
    engine->births++;
    engine_schedule_add_run(engine, run);
    const struct waiting_fire waits = {
        .trigger = trigger, .fire = fire, .outcome = FIRE_FIRED, .releases = kind == RECORD_FIRE_RELEASE};
    record_fire(engine, schedule, kind, waits, now)->run_id = run->id;
    struct waiting_command *waiting = &engine->commands[engine->command_count - 1];
    waiting->birth = run;
    engine_record_birth(engine, NULL, run, waiting->group);
}

/* A run of the schedule that is active; zero when it is not born yet. */
static struct uuid active_run(const struct engine *engine, const struct schedule *schedule)
{
    for (const struct engine_run *run = engine->first_run; run; run = run->next)
        if (run->counted && uuid_equal(run->dag_id, schedule->dag_id))
            return run->id;
    return schedule->elsewhere ? schedule->elsewhere_run : (struct uuid){{0}};
}

static void skip(struct engine *engine, struct schedule *schedule, int64_t from_ms, int64_t to_ms, uint32_t count,
                 enum fire_reason reason, struct engine_now now)
{
    const struct waiting_fire waits = {.trigger = TRIGGER_SCHEDULE,
                                       .fire = {.id = engine_new_id(engine, now.wall_ms), .time_ms = from_ms},
                                       .outcome = FIRE_SKIPPED,
                                       .to_ms = to_ms};
    struct record_fire *row = record_fire(engine, schedule, RECORD_FIRE, waits, now);
    row->count = count;
    row->reason = reason;
    if (reason == FIRE_OVERLAP)
        row->run_id = active_run(engine, schedule);
    schedule->covered_ms = to_ms;
}

/* The store has it wait; whoever fires the schedule takes it from there. */
static struct fire record_queued(struct engine *engine, struct schedule *schedule, enum trigger trigger,
                                 int64_t time_ms, struct command *backfill, struct engine_now now)
{
    const struct fire fire = {
        .id = engine_new_id(engine, now.wall_ms), .time_ms = time_ms, .parallel = backfill ? backfill->parallel : 0};
    const struct waiting_fire waits = {
        .trigger = trigger, .fire = fire, .outcome = FIRE_QUEUED, .backfill = backfill};
    struct record_fire *record = record_fire(engine, schedule, RECORD_FIRE, waits, now);
    if (backfill) {
        if (uuid_is_zero(backfill->request))
            backfill->request = fire.id;
        record->again = backfill->again;
        record->request = backfill->request;
        record->rest = backfill->rest--;
    }
    return fire;
}

static void put_in_queue(struct engine *engine, struct schedule *schedule, enum trigger trigger, int64_t time_ms,
                         struct command *backfill, struct engine_now now)
{
    struct fire fire = record_queued(engine, schedule, trigger, time_ms, backfill, now);
    engine_fire_queue_put(queue_of(schedule, trigger), fire);
}

/* ---- instants that are due ---- */

/* What a look at the due instants found: the oldest are skipped as one stretch, the others fire or wait. */
struct due {
    int64_t skip_from_ms, skip_to_ms;
    uint32_t skip_count;
    int64_t fires[LIMIT_CATCHUP_MAX + 4]; /* at most three minutes begin in LIMIT_LATE_MS */
    uint32_t fire_count;
    bool more;                  /* there are more due behind them */
};

static void skip_oldest(struct due *due, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!due->skip_count)
            due->skip_from_ms = due->fires[i];
        due->skip_to_ms = due->fires[i];
        due->skip_count++;
    }
    due->fire_count -= count;
    memmove(due->fires, due->fires + count, due->fire_count * sizeof due->fires[0]);
}

static bool is_late(int64_t time_ms, struct engine_now now)
{
    return now.wall_ms - time_ms > LIMIT_LATE_MS;
}

/* The first instant that is not covered. */
static bool is_in_pause(const struct schedule *schedule)
{
    return schedule->paused || schedule->next_ms <= schedule->paused_to_ms;
}

static void look(const struct schedule *schedule, struct engine_now now, struct due *ret_due)
{
    static const uint32_t made_up_for[DAG_CATCHUP_COUNT] = {
        [DAG_CATCHUP_LATEST] = 1, [DAG_CATCHUP_ALL] = LIMIT_CATCHUP_MAX};
    enum dag_catchup catchup = schedule->dag->schedule.catchup;
    bool paused = is_in_pause(schedule), over = paused && !schedule->paused; /* over: it has ended */
    uint32_t missed_max = paused ? 0 : made_up_for[catchup], scanned = 0;
    int64_t to_ms = over && schedule->paused_to_ms < now.wall_ms ? schedule->paused_to_ms : now.wall_ms;
    int64_t time_ms = schedule->next_ms;
    struct cron_fire next;
    ret_due->skip_count = ret_due->fire_count = 0;
    for (; time_ms <= to_ms && scanned < SCAN_MAX; scanned++) {
        bool late = is_late(time_ms, now) || paused;
        if (!late && catchup == DAG_CATCHUP_LATEST && ret_due->fire_count && is_late(ret_due->fires[0], now))
            skip_oldest(ret_due, ret_due->fire_count); /* a later one fires */
        ret_due->fires[ret_due->fire_count++] = time_ms;
        if (late && ret_due->fire_count > missed_max)
            skip_oldest(ret_due, ret_due->fire_count - missed_max);
        time_ms = cron_next(&schedule->cron, schedule->zone, time_ms, &next) ? next.time_ms : INT64_MAX;
    }
    ret_due->more = time_ms <= now.wall_ms;
}

/* false: there is no room; it is tried again. */
static bool decide(struct engine *engine, struct schedule *schedule, int64_t time_ms, struct engine_now now)
{
    const struct dag_schedule *rule = &schedule->dag->schedule;
    bool made_up = rule->catchup == DAG_CATCHUP_ALL && is_late(time_ms, now);
    bool busy = schedule->active || schedule->elsewhere || schedule->waiting.count;
    if (rule->overlap == DAG_OVERLAP_ALLOW || !busy) {
        if (!engine_has_room(engine, schedule->dag, NULL))
            return false;
        make_run(engine, schedule, RECORD_FIRE, TRIGGER_SCHEDULE,
                 (struct fire){.id = engine_new_id(engine, now.wall_ms), .time_ms = time_ms}, now);
    } else if (rule->overlap != DAG_OVERLAP_QUEUE && !made_up) {
        skip(engine, schedule, time_ms, time_ms, 1, FIRE_OVERLAP, now);
    } else if (schedule->waiting.count >= LIMIT_FIRE_QUEUE_MAX) {
        skip(engine, schedule, time_ms, time_ms, 1, FIRE_QUEUE_FULL, now);
    } else {
        put_in_queue(engine, schedule, TRIGGER_SCHEDULE, time_ms, NULL, now);
    }
    schedule->covered_ms = time_ms;
    return true;
}

void engine_fire_cover(struct engine *engine, struct schedule *schedule, struct engine_now now)
{
    bool able = engine->options.fires_schedules && !engine->draining && !engine->holding && !schedule->pending &&
                !schedule->changing;
    if (!able || schedule->next_ms > now.wall_ms || now.boot_ms < schedule->retry_ms)
        return;
    struct due *due = mem_new(struct due);
    bool paused;
    do {
        paused = is_in_pause(schedule);
        look(schedule, now, due);
        if (due->skip_count)
            skip(engine, schedule, due->skip_from_ms, due->skip_to_ms, due->skip_count,
                 paused ? FIRE_PAUSED : FIRE_MISSED, now);
        for (uint32_t i = 0; i < due->fire_count && !due->more; i++) {
            if (!decide(engine, schedule, due->fires[i], now)) {
                schedule->retry_ms = now.boot_ms + AGAIN_MS;
                break;
            }
        }
        engine_schedule_arm(schedule);
    } while (due->more && paused); /* a stretch that ends is recorded to its end */
    mem_free(due);
}

/* ---- instants that wait ---- */

/* Whether one more run has its place beside those that are active. Who says how many of a backfill run at once says
 * that these may overlap each other; beside one of the schedule's own none begins unless its runs may overlap. */
static bool has_place(const struct schedule *schedule, enum trigger trigger, const struct fire *fire)
{
    bool alone = schedule->dag->schedule.overlap != DAG_OVERLAP_ALLOW;
    uint32_t active = schedule->active + schedule->elsewhere;
    uint32_t backfills = schedule->backfills + schedule->elsewhere_backfills;
    if (trigger != TRIGGER_BACKFILL)
        return !alone || !active;
    uint32_t most = fire->parallel ? fire->parallel : alone ? 1 : LIMIT_BACKFILL_PARALLEL_DEFAULT;
    return backfills < most && (!alone || active == backfills);
}

static void release(struct engine *engine, struct schedule *schedule, enum trigger trigger, struct engine_now now)
{
    struct fire_queue *queue = queue_of(schedule, trigger);
    while (queue->count && queue->items[0].recorded) {
        if (!has_place(schedule, trigger, &queue->items[0]))
            return;
        if (!engine_has_room(engine, schedule->dag, NULL)) {
            schedule->retry_ms = now.boot_ms + AGAIN_MS;
            return;
        }
        const struct fire fire = queue->items[0];
        queue_remove(queue, fire.id);
        make_run(engine, schedule, RECORD_FIRE_RELEASE, trigger, fire, now);
    }
}

void engine_fire_backfill(struct engine *engine, struct schedule *schedule, struct command *command,
                          struct engine_now now)
{
    struct schedule elsewhere = {.dag_id = command->dag_id};
    command->request = (struct uuid){{0}};
    command->rest = (uint32_t)command->instant_count;
    for (size_t i = 0; i < command->instant_count; i++) {
        if (schedule)
            put_in_queue(engine, schedule, TRIGGER_BACKFILL, command->instants[i], command, now);
        else
            (void)record_queued(engine, &elsewhere, TRIGGER_BACKFILL, command->instants[i], command, now);
    }
}

/* ---- turns ---- */

static void advance(struct engine *engine, struct schedule *schedule, struct engine_now now)
{
    if (!schedule->dag || now.boot_ms < schedule->retry_ms)
        return;
    if (schedule->awaits_zone) {
        engine_schedule_find_zone(schedule);
        if (schedule->awaits_zone)
            schedule->retry_ms = now.boot_ms + ZONE_MS;
    }
    if (!schedule->paused) {
        release(engine, schedule, TRIGGER_SCHEDULE, now);
        engine_fire_cover(engine, schedule, now);
    }
    release(engine, schedule, TRIGGER_BACKFILL, now);
}

void engine_fire_tick(struct engine *engine, struct engine_now now)
{
    bool due = engine->schedules_stir || now.wall_ms >= engine->schedule_wall_ms ||
               now.boot_ms >= engine->schedule_boot_ms;
    if (!engine->options.fires_schedules || !due)
        return;
    int64_t wall_ms = INT64_MAX, boot_ms = INT64_MAX;
    engine->schedules_stir = false;
    for (struct schedule *schedule = engine->first_schedule; schedule; schedule = schedule->next) {
        if (!engine->draining && !engine->holding)
            advance(engine, schedule, now);
        if (!schedule->paused && schedule->next_ms < wall_ms)
            wall_ms = schedule->next_ms;
        if (schedule->retry_ms > now.boot_ms && schedule->retry_ms < boot_ms)
            boot_ms = schedule->retry_ms;
    }
    if (wall_ms < INT64_MAX) {
        int64_t wait = wall_ms - now.wall_ms < LOOK_MS ? wall_ms - now.wall_ms : LOOK_MS;
        int64_t look_ms = now.boot_ms + (wait > 0 ? wait : AGAIN_MS);
        boot_ms = look_ms < boot_ms ? look_ms : boot_ms;
    }
    engine->schedule_wall_ms = wall_ms > now.wall_ms ? wall_ms : INT64_MAX; /* what is held back waits for its time */
    engine->schedule_boot_ms = boot_ms;
}

int64_t engine_fire_next_due(const struct engine *engine)
{
    if (!engine->options.fires_schedules)
        return -1;
    return engine->schedules_stir ? 0 : engine->schedule_boot_ms < INT64_MAX ? engine->schedule_boot_ms : -1;
}

static void take_back(struct schedule *schedule, const struct waiting_fire *fire, int64_t retry_ms)
{
    schedule->retry_ms = retry_ms;
    if (fire->releases) {
        engine_fire_queue_put(queue_of(schedule, fire->trigger), fire->fire);
        return;
    }
    if (covers(fire) && fire->before_ms < schedule->covered_ms) {
        schedule->covered_ms = fire->before_ms;
        engine_schedule_arm(schedule);
    }
}

/* Somebody else covered more, or less than was thought (a leader before this one; a store with no room for what came
 * before): the store knows. */
static void learn(struct schedule *schedule, int64_t covered_ms)
{
    schedule->covered_ms = covered_ms;
    engine_schedule_arm(schedule);
}

void engine_fire_committed(struct engine *engine, const struct waiting_fire *fire, const struct verdict *verdict,
                           struct engine_now now)
{
    struct schedule *schedule = engine_find_schedule(engine, fire->dag_id);
    engine->schedules_stir = true;
    if (fire->backfill && !verdict->refused)
        fire->backfill->accepted++;
    else if (fire->backfill && verdict->code != ERROR_ALREADY_FIRED)
        fire->backfill->refusal = verdict->code;
    if (!schedule) /* its DAG went meanwhile */
        return;
    assert(!covers(fire) || schedule->pending > 0);
    schedule->pending -= covers(fire);
    if (!verdict->refused) {
        if (covers(fire) && fire->to_ms > schedule->covered_ms)
            learn(schedule, fire->to_ms); /* one before it was refused, and the store had come just as far */
        if (fire->outcome == FIRE_QUEUED)
            queue_confirm(queue_of(schedule, fire->trigger), fire->fire.id);
        return;
    }
    if (fire->outcome == FIRE_QUEUED)
        queue_remove(queue_of(schedule, fire->trigger), fire->fire.id);
    if (verdict->code == ERROR_STORE_FULL)
        take_back(schedule, fire, now.boot_ms + ROOM_MS);
    else if (verdict->code == ERROR_PRECONDITION_FAILED) /* paused: through another node we learn of it later */
        take_back(schedule, fire, now.boot_ms + AGAIN_MS);
    else if (verdict->code == ERROR_ALREADY_FIRED && covers(fire))
        learn(schedule, verdict->covered_ms);
}
