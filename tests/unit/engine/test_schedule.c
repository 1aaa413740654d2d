/* Schedules (G9): which instants fire, what becomes of the others, and that each is covered once whatever happens. The
 * model store refuses nothing it should not and ends the test when an instant is covered twice. */
#include "support/check.h"

#include <sys/resource.h>

#include "base/limits.h"
#include "base/mem.h"
#include "scene.h"

static void assert_fired(const struct scene *scene, int64_t time_ms)
{
    const struct record_fire *fire = scene_fire_at(scene, time_ms);
    assert_non_null(fire);
    assert_int_equal(fire->outcome, FIRE_FIRED);
    const struct model_run *run = model_find(&scene->rig.model, fire->run_id);
    assert_non_null(run);
    assert_int_equal(run->run.scheduled_ms, time_ms);
    assert_int_equal(run->run.trigger, TRIGGER_SCHEDULE);
}

static void assert_skipped(const struct scene *scene, int64_t time_ms, enum fire_reason reason)
{
    const struct record_fire *fire = scene_fire_at(scene, time_ms);
    assert_non_null(fire);
    assert_int_equal(fire->outcome, FIRE_SKIPPED);
    assert_int_equal(fire->reason, reason);
}

static void end_run_of(struct scene *scene, int64_t time_ms)
{
    rig_end(&scene->rig, scene_fire_at(scene, time_ms)->run_id, 0, ATTEMPT_SUCCEEDED);
}

static void test_fires_in_time(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    assert_int_equal(s.rig.model.fire_count, 0);
    int64_t due = engine_next_due(s.rig.engine);
    assert_in_range(due, s.rig.now.boot_ms + 1, s.rig.now.boot_ms + 40000);
    rig_pass(&s.rig, 39999);
    assert_int_equal(s.rig.model.fire_count, 0);
    assert_int_equal(engine_next_due(s.rig.engine), s.rig.now.boot_ms + 1);
    rig_pass(&s.rig, 1);
    assert_fired(&s, NEXT_MINUTE);
    rig_pass(&s.rig, 1);
    rig_pass(&s.rig, MINUTE - 2);
    assert_int_equal(s.rig.model.fire_count, 1);
    rig_pass(&s.rig, 1);
    assert_fired(&s, NEXT_MINUTE + MINUTE);
    rig_fini(&s.rig);
}

/* No descriptor is left when the zone is looked for: it fires as soon as there is one again. */
static void test_zone_is_found_later(void **state)
{
    (void)state;
    struct scene s = {0};
    struct rlimit before, none = {0, 0};
    rig_init(&s.rig, 0);
    const struct command create = {.kind = COMMAND_DAG_CREATE, .name = "s",
                                   .dag = scene_new_dag("* * * * *", "Europe/Berlin",
                                                        DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL)};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    s.dag = scene_ask(&s, create).dag_id;
    rig_pass(&s.rig, 40000);
    assert_int_equal(s.rig.model.fire_count, 0);
    assert_in_range(engine_next_due(s.rig.engine), s.rig.now.boot_ms, s.rig.now.boot_ms + 10000);
    rig_crash(&s.rig);
    rig_pass(&s.rig, 10000);
    assert_int_equal(s.rig.model.fire_count, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    rig_pass(&s.rig, 10000);
    assert_fired(&s, NEXT_MINUTE);
    rig_fini(&s.rig);
}

/* Nothing before the DAG came is due, whatever catchup says. */
static void test_begins_with_the_dag(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "0 * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    assert_int_equal(s.rig.model.fire_count, 0);
    rig_fini(&s.rig);
}

static void test_overlap_skip(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    (void)rig_worker(&s.rig, 2);
    rig_pass(&s.rig, 40000);
    assert_fired(&s, NEXT_MINUTE);
    rig_pass(&s.rig, MINUTE);
    assert_skipped(&s, NEXT_MINUTE + MINUTE, FIRE_OVERLAP);
    assert_memory_equal(&scene_fire_at(&s, NEXT_MINUTE + MINUTE)->run_id, &scene_fire_at(&s, NEXT_MINUTE)->run_id,
                        sizeof(struct uuid));
    end_run_of(&s, NEXT_MINUTE);
    rig_pass(&s.rig, MINUTE);
    assert_fired(&s, NEXT_MINUTE + 2 * MINUTE);
    /* the run outlives the daemon: it still counts */
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    rig_pass(&s.rig, MINUTE);
    assert_skipped(&s, NEXT_MINUTE + 3 * MINUTE, FIRE_OVERLAP);
    rig_fini(&s.rig);
}

/* A trigger by hand is no run of the schedule. */
static void test_overlap_minds_its_own(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    const struct command trigger = {.kind = COMMAND_RUN_TRIGGER, .dag = graph_new(1, NULL, 0), .dag_version = 1};
    assert_int_equal(scene_ask(&s, trigger).error.code, 0);
    rig_pass(&s.rig, 40000);
    assert_fired(&s, NEXT_MINUTE);
    rig_fini(&s.rig);
}

/* Runs of the schedule that other nodes drive count as the node's own. */
static void test_overlap_elsewhere(void **state)
{
    (void)state;
    const struct uuid there = {{7}};
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    engine_set_elsewhere(s.rig.engine, s.dag, 1, 0, there);
    rig_pass(&s.rig, 40000);
    assert_skipped(&s, NEXT_MINUTE, FIRE_OVERLAP);
    assert_true(uuid_equal(scene_fire_at(&s, NEXT_MINUTE)->run_id, there));
    engine_clear_elsewhere(s.rig.engine);
    rig_pass(&s.rig, MINUTE);
    assert_fired(&s, NEXT_MINUTE + MINUTE);
    rig_fini(&s.rig);
    scene_init(&s, "* * * * *", DAG_OVERLAP_QUEUE, DAG_CATCHUP_NONE);
    engine_set_elsewhere(s.rig.engine, s.dag, 2, 0, there);
    rig_pass(&s.rig, 40000);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->outcome, FIRE_QUEUED);
    engine_set_elsewhere(s.rig.engine, s.dag, 1, 0, there);
    rig_pass(&s.rig, 1);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->outcome, FIRE_QUEUED);
    engine_clear_elsewhere(s.rig.engine);
    rig_pass(&s.rig, 1);
    assert_fired(&s, NEXT_MINUTE);
    rig_fini(&s.rig);
}

static void test_overlap_queue(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_QUEUE, DAG_CATCHUP_NONE);
    (void)rig_worker(&s.rig, 2);
    rig_pass(&s.rig, 40000);
    rig_pass(&s.rig, MINUTE);
    rig_pass(&s.rig, MINUTE);
    assert_int_equal(scene_count_fires(&s, FIRE_QUEUED), 2);
    end_run_of(&s, NEXT_MINUTE);
    assert_fired(&s, NEXT_MINUTE + MINUTE);
    assert_int_equal(scene_count_fires(&s, FIRE_QUEUED), 1);
    /* what waits survives a restart */
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    (void)rig_worker(&s.rig, 2);
    assert_int_equal(scene_count_fires(&s, FIRE_QUEUED), 1);
    end_run_of(&s, NEXT_MINUTE + MINUTE);
    assert_fired(&s, NEXT_MINUTE + 2 * MINUTE);
    assert_int_equal(scene_count_fires(&s, FIRE_QUEUED), 0);
    rig_fini(&s.rig);
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_QUEUE, DAG_CATCHUP_NONE);
    rig_pass(&s.rig, 40000);
    for (int i = 0; i < LIMIT_FIRE_QUEUE_MAX; i++)
        rig_pass(&s.rig, MINUTE);
    assert_int_equal(scene_count_fires(&s, FIRE_QUEUED), LIMIT_FIRE_QUEUE_MAX);
    assert_int_equal(scene_count_fires(&s, FIRE_SKIPPED), 0);
    rig_pass(&s.rig, MINUTE);
    assert_skipped(&s, NEXT_MINUTE + (LIMIT_FIRE_QUEUE_MAX + 1LL) * MINUTE, FIRE_QUEUE_FULL);
    rig_fini(&s.rig);
}

/* A long sleep: both clocks go on, and nothing was done meanwhile. */
static void test_catchup_none(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    rig_pass(&s.rig, 40000 + 10 * MINUTE + 30000);
    assert_int_equal(s.rig.model.fire_count, 2);
    const struct record_fire *missed = scene_fire_at(&s, NEXT_MINUTE);
    assert_skipped(&s, NEXT_MINUTE + 9 * MINUTE, FIRE_MISSED);
    assert_int_equal(missed->count, 10);
    assert_int_equal(missed->to_ms, NEXT_MINUTE + 9 * MINUTE);
    assert_fired(&s, NEXT_MINUTE + 10 * MINUTE); /* half a minute late is in time */
    rig_fini(&s.rig);
}

/* An hour too late for the last of three. */
static void test_catchup_latest(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "0 * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_LATEST);
    int64_t first = (START_MS / HOUR + 1) * HOUR;
    rig_pass(&s.rig, first - START_MS + 2 * HOUR + HOUR / 2);
    assert_int_equal(s.rig.model.fire_count, 2);
    assert_skipped(&s, first, FIRE_MISSED);
    assert_skipped(&s, first + HOUR, FIRE_MISSED);
    assert_fired(&s, first + 2 * HOUR);
    rig_fini(&s.rig);
}

/* When one is just in time, that is the latest. */
static void test_catchup_latest_is_in_time(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "0 * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_LATEST);
    int64_t first = (START_MS / HOUR + 1) * HOUR;
    rig_pass(&s.rig, first - START_MS + 2 * HOUR);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 1);
    assert_fired(&s, first + 2 * HOUR);
    assert_int_equal(scene_fire_at(&s, first)->count, 2);
    rig_fini(&s.rig);
}

/* Oldest first; one after the other, since they may not overlap. */
static void test_catchup_all(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "0 * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_ALL);
    int64_t first = (START_MS / HOUR + 1) * HOUR;
    (void)rig_worker(&s.rig, 2);
    rig_crash(&s.rig);
    s.rig.now.wall_ms = first + 2 * HOUR + HOUR / 2;
    (void)rig_reconcile(&s.rig, false);
    (void)rig_worker(&s.rig, 2);
    assert_int_equal(scene_count_fires(&s, FIRE_QUEUED), 2);
    for (int i = 0; i < 3; i++) {
        assert_fired(&s, first + i * HOUR);
        end_run_of(&s, first + i * HOUR);
    }
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 3);
    assert_int_equal(s.rig.model.fire_count, 3);
    rig_fini(&s.rig);
}

/* Two weeks of minutes in turns of a bounded length: all but the last hundred are skipped. */
static void test_catchup_all_is_bounded(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    rig_pass(&s.rig, 40000 + 20000LL * MINUTE + 30000); /* the last one is in time */
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), LIMIT_CATCHUP_MAX + 1);
    int64_t oldest = NEXT_MINUTE + (20000LL - LIMIT_CATCHUP_MAX) * MINUTE;
    assert_fired(&s, oldest);
    assert_skipped(&s, oldest - MINUTE, FIRE_MISSED);
    assert_skipped(&s, NEXT_MINUTE, FIRE_MISSED);
    uint64_t covered = 0;
    for (size_t i = 0; i < s.rig.model.fire_count; i++)
        covered += s.rig.model.fires[i].count;
    assert_int_equal(covered, 20001);
    rig_fini(&s.rig);
}

static void test_clock_set_back(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    rig_pass(&s.rig, 40000);
    rig_pass(&s.rig, MINUTE);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 2);
    s.rig.now.wall_ms -= HOUR;
    for (int i = 0; i < 60; i++)
        rig_pass(&s.rig, MINUTE);
    assert_int_equal(s.rig.model.fire_count, 2); /* all these minutes had been */
    rig_pass(&s.rig, MINUTE);
    assert_fired(&s, NEXT_MINUTE + 2 * MINUTE);
    rig_fini(&s.rig);
}

/* Noticed though the boot clock says that there is time: at the latest half a minute later. */
static void test_clock_set_forward(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "0 * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_LATEST);
    assert_in_range(engine_next_due(s.rig.engine), s.rig.now.boot_ms, s.rig.now.boot_ms + 30000);
    int64_t first = (START_MS / HOUR + 1) * HOUR;
    s.rig.now.wall_ms += 5 * HOUR;
    rig_settle(&s.rig);
    assert_int_equal(scene_fire_at(&s, first)->count, 4);
    assert_fired(&s, first + 4 * HOUR);
    s.rig.now.wall_ms -= 5 * HOUR;
    rig_pass(&s.rig, 4 * HOUR);
    assert_int_equal(s.rig.model.fire_count, 2);
    rig_fini(&s.rig);
}

static void test_pause(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    scene_pause(&s, true);
    rig_pass(&s.rig, 40000);
    rig_pass(&s.rig, 5 * MINUTE);
    assert_int_equal(s.rig.model.fire_count, 0);
    rig_crash(&s.rig); /* paused it stays */
    (void)rig_reconcile(&s.rig, false);
    rig_pass(&s.rig, 5 * MINUTE);
    assert_int_equal(s.rig.model.fire_count, 0);
    scene_pause(&s, false);
    assert_int_equal(s.rig.model.fire_count, 1);
    assert_skipped(&s, NEXT_MINUTE, FIRE_PAUSED);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->count, 11);
    rig_pass(&s.rig, MINUTE);
    assert_fired(&s, NEXT_MINUTE + 11 * MINUTE);
    rig_fini(&s.rig);
}

/* A DAG that is paused stays so when it gets a schedule. */
static void test_paused_before_it_had_a_schedule(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, NULL, DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    scene_pause(&s, true);
    for (int life = 0; life < 2; life++) {
        const struct command update = {.kind = COMMAND_DAG_UPDATE,
                                       .dag = scene_new_dag("* * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE)};
        assert_int_equal(scene_ask(&s, update).error.code, 0);
        rig_pass(&s.rig, 10 * MINUTE);
        assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 0);
        rig_crash(&s.rig);
        (void)rig_reconcile(&s.rig, false);
    }
    rig_fini(&s.rig);
}

/* The clock is set back behind the DAG's birth, then it gets a schedule: what the store has covered is more than the
 * engine can know, and nothing behind it is lost. */
static void test_schedule_comes_after_clock_was_set_back(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, NULL, DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    s.rig.model.dags[s.rig.model.dag_count - 1].covered_ms = NEXT_MINUTE + 5 * MINUTE;
    const struct command update = {.kind = COMMAND_DAG_UPDATE,
                                   .dag = scene_new_dag("* * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE)};
    assert_int_equal(scene_ask(&s, update).error.code, 0);
    s.rig.now.wall_ms = NEXT_MINUTE + 10 * MINUTE;
    for (int i = 0; i < 12; i++)
        rig_pass(&s.rig, 1000);
    for (int64_t i = 6; i <= 10; i++)
        assert_non_null(scene_fire_at(&s, NEXT_MINUTE + i * MINUTE));
    assert_fired(&s, NEXT_MINUTE + 10 * MINUTE);
    rig_fini(&s.rig);
}

/* The same, and the schedule changes again before the record of a stretch has its verdict: none is left out. */
static void test_resumed_after_clock_was_set_back(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, NULL, DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    s.rig.model.dags[s.rig.model.dag_count - 1].covered_ms = NEXT_MINUTE + 5 * MINUTE;
    const struct command update = {.kind = COMMAND_DAG_UPDATE,
                                   .dag = scene_new_dag("* * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE)};
    assert_int_equal(scene_ask(&s, update).error.code, 0);
    scene_pause(&s, true);
    s.rig.now.wall_ms = NEXT_MINUTE + 10 * MINUTE;
    scene_pause(&s, false);
    for (int64_t i = 6; i <= 10; i++)
        assert_skipped(&s, NEXT_MINUTE + i * MINUTE, FIRE_PAUSED);
    rig_fini(&s.rig);
}

/* While no room is in the store nothing is decided: neither may the schedule change, nor is what waits forgotten. */
static void test_held(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    const int64_t instants[1] = {NEXT_MINUTE - 9 * MINUTE};
    engine_hold_starts(s.rig.engine, true);
    rig_pass(&s.rig, 40000);
    struct command update = {.kind = COMMAND_DAG_UPDATE,
                             .dag = scene_new_dag("7 * * * *", "UTC", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE)};
    assert_int_equal(scene_ask(&s, update).error.code, ERROR_STORE_FULL);
    scene_pause(&s, true);
    const struct command backfill = {.kind = COMMAND_BACKFILL, .instants = instants, .instant_count = 1};
    assert_int_equal(scene_ask(&s, backfill).accepted, 1);
    rig_pass(&s.rig, MINUTE);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 0);
    engine_hold_starts(s.rig.engine, false);
    rig_settle(&s.rig);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 1);
    assert_int_equal(scene_ask(&s, (struct command){.kind = COMMAND_DAG_PAUSE}).error.code, 0);
    assert_skipped(&s, NEXT_MINUTE, FIRE_PAUSED);
    update.dag = scene_new_dag("7 * * * *", "UTC", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    assert_int_equal(scene_ask(&s, update).error.code, 0);
    rig_fini(&s.rig);
}

/* What was due before the pause fires by the rules of before. */
static void test_pause_comes_after_what_is_due(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    s.rig.now.wall_ms += 41000;
    s.rig.now.boot_ms += 41000;
    scene_pause(&s, true);
    assert_fired(&s, NEXT_MINUTE);
    rig_fini(&s.rig);
}

static void test_update(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    struct command update = {.kind = COMMAND_DAG_UPDATE,
                             .dag = scene_new_dag("*/30 * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL)};
    assert_int_equal(scene_ask(&s, update).dag_version, 2);
    rig_pass(&s.rig, 40000);
    assert_int_equal(s.rig.model.fire_count, 0);
    int64_t next = (START_MS / (30 * MINUTE) + 1) * 30 * MINUTE;
    rig_pass(&s.rig, next - s.rig.now.wall_ms);
    assert_fired(&s, next);
    assert_int_equal(model_find(&s.rig.model, scene_fire_at(&s, next)->run_id)->run.dag_version, 2);
    update.dag = graph_new(1, NULL, 0); /* no schedule any more */
    (void)scene_ask(&s, update);
    rig_pass(&s.rig, HOUR);
    assert_int_equal(s.rig.model.fire_count, 1);
    update.dag = scene_new_dag("*/30 * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    (void)scene_ask(&s, update);
    assert_int_equal(s.rig.model.fire_count, 1); /* nothing was missed meanwhile */
    rig_fini(&s.rig);
}

static void test_delete(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    assert_int_equal(scene_ask(&s, (struct command){.kind = COMMAND_DAG_DELETE}).error.code, 0);
    rig_pass(&s.rig, 5 * MINUTE);
    assert_int_equal(s.rig.model.fire_count, 0);
    assert_int_equal(engine_next_due(s.rig.engine), -1);
    rig_fini(&s.rig);
}

/* While it stops nothing fires; the next start makes up for it by catchup. */
static void test_draining(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_LATEST);
    engine_set_draining(s.rig.engine, true);
    rig_pass(&s.rig, 10 * MINUTE);
    assert_int_equal(s.rig.model.fire_count, 0);
    assert_true(engine_next_due(s.rig.engine) > s.rig.now.boot_ms); /* it does not turn in circles */
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 1);
    rig_fini(&s.rig);
}

/* The instant is decided and the daemon dies before that is durable: it is decided again. */
static void test_crash_before_commit(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    s.rig.now.wall_ms += 40000;
    rig_dispatch(&s.rig);
    record_batch_free(rig_take(&s.rig));
    rig_crash(&s.rig);
    assert_int_equal(s.rig.model.fire_count, 0);
    (void)rig_reconcile(&s.rig, false);
    assert_int_equal(s.rig.model.fire_count, 1);
    assert_fired(&s, NEXT_MINUTE);
    rig_fini(&s.rig);
}

/* No room in the store: taken back and tried again, neither lost nor doubled. */
static void test_store_full(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    s.rig.now.wall_ms += 40000 + 3 * MINUTE;
    rig_dispatch(&s.rig);
    struct batch *batch = rig_take(&s.rig);
    assert_int_equal(batch->group_count, 4);
    scene_commit_without_room(&s, batch);
    rig_settle(&s.rig);
    assert_int_equal(s.rig.model.fire_count, 0); /* not at once */
    s.rig.now.boot_ms += 10000;
    rig_settle(&s.rig);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 4);
    rig_fini(&s.rig);
}

/* What it waits for ends before that it waits is durable, and then there is no room: it is decided once more, once. */
static void test_store_full_for_what_waits(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_QUEUE, DAG_CATCHUP_ALL);
    (void)rig_worker(&s.rig, 2);
    rig_pass(&s.rig, 40000);
    const struct effect *start = rig_start_of(&s.rig, scene_fire_at(&s, NEXT_MINUTE)->run_id, 0);
    struct engine_attempt end = rig_attempt(start);
    end.ended = true;
    end.outcome = ATTEMPT_SUCCEEDED;
    s.rig.now.wall_ms += MINUTE;
    s.rig.now.boot_ms += MINUTE;
    rig_dispatch(&s.rig);
    struct batch *queues = rig_take(&s.rig);
    assert_int_equal(queues->group_count, 1);
    end.started_ms = end.ended_ms = s.rig.now.wall_ms;
    engine_attempt_ended(s.rig.engine, start->worker, &end, s.rig.now);
    rig_dispatch(&s.rig);
    struct batch *ends = rig_take(&s.rig);
    assert_int_equal(ends->group_count, 0);
    scene_commit_without_room(&s, queues);
    rig_commit(&s.rig, ends);
    rig_settle(&s.rig);
    assert_null(scene_fire_at(&s, NEXT_MINUTE + MINUTE));
    rig_pass(&s.rig, 10000);
    assert_fired(&s, NEXT_MINUTE + MINUTE);
    assert_int_equal(s.rig.model.fire_count, 2);
    rig_fini(&s.rig);
}

/* Somebody else has covered the instant: the store refuses, and no run is made. */
static void test_already_fired(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_ALL);
    s.rig.model.dags[s.rig.model.dag_count - 1].covered_ms = NEXT_MINUTE;
    rig_pass(&s.rig, 40000);
    assert_int_equal(s.rig.model.fire_count, 0);
    assert_int_equal(s.rig.model.run_count, 0);
    rig_pass(&s.rig, MINUTE);
    assert_fired(&s, NEXT_MINUTE + MINUTE);
    rig_fini(&s.rig);
}

static void test_engine_is_full(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    s.rig.options.active_runs_max = 1;
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    (void)rig_worker(&s.rig, 1);
    rig_pass(&s.rig, 40000);
    rig_pass(&s.rig, MINUTE);
    assert_int_equal(s.rig.model.fire_count, 1);
    end_run_of(&s, NEXT_MINUTE);
    rig_pass(&s.rig, 1000);
    assert_fired(&s, NEXT_MINUTE + MINUTE);
    rig_fini(&s.rig);
}

/* 2026-03-29 in Berlin has no 02:30, 2026-10-25 has it twice. */
static void test_daylight_saving(void **state)
{
    (void)state;
    struct scene s = {0};
    rig_init(&s.rig, 0);
    const int64_t spring = 1774746000000, autumn = 1792886400000; /* 01:00 UTC; midnight UTC */
    s.rig.now.wall_ms = spring - 2 * HOUR;
    const struct command create = {.kind = COMMAND_DAG_CREATE, .name = "s",
                                   .dag = scene_new_dag("30 2 * * *", "Europe/Berlin",
                                                        DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE)};
    s.dag = scene_ask(&s, create).dag_id;
    for (int i = 0; i < 6 * 60; i++)
        rig_pass(&s.rig, MINUTE);
    assert_int_equal(s.rig.model.fire_count, 1);
    assert_fired(&s, spring); /* 03:00, right after the gap */
    scene_pause(&s, true);
    s.rig.now.wall_ms = autumn - HOUR;
    scene_pause(&s, false);
    size_t before = scene_count_fires(&s, FIRE_FIRED);
    for (int i = 0; i < 6 * 60; i++)
        rig_pass(&s.rig, MINUTE);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), before + 1);
    assert_fired(&s, autumn + HOUR / 2); /* the first 02:30 */
    rig_fini(&s.rig);
}

static void test_backfill(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "0 0 * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    (void)rig_worker(&s.rig, 8);
    int64_t instants[7];
    for (int i = 0; i < 7; i++)
        instants[i] = START_MS - (10 - i) * 24LL * HOUR;
    struct command backfill = {.kind = COMMAND_BACKFILL, .instants = instants, .instant_count = 7};
    assert_int_equal(scene_ask(&s, backfill).accepted, 7);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), LIMIT_BACKFILL_PARALLEL_DEFAULT);
    assert_int_equal(scene_ask(&s, backfill).accepted, 0); /* fired, or waiting to be */
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    (void)rig_worker(&s.rig, 8);
    for (size_t i = 0; i < 7; i++)
        rig_end(&s.rig, s.rig.model.runs[i]->run.id, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 7);
    assert_int_equal(s.rig.model.run_count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(s.rig.model.runs[i]->run.trigger, TRIGGER_BACKFILL);
        assert_int_equal(s.rig.model.runs[i]->run.scheduled_ms, instants[i]);
    }
    assert_int_equal(scene_ask(&s, backfill).accepted, 0);
    backfill.again = true;
    assert_int_equal(scene_ask(&s, backfill).accepted, 7);
    rig_fini(&s.rig);
}

/* Runs that may not overlap come one by one, and a scheduled instant meets them. */
static void test_backfill_one_by_one(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    const int64_t instants[2] = {NEXT_MINUTE - 9 * MINUTE, NEXT_MINUTE - 8 * MINUTE};
    struct command backfill = {.kind = COMMAND_BACKFILL, .instants = instants, .instant_count = 2};
    (void)rig_worker(&s.rig, 8);
    assert_int_equal(scene_ask(&s, backfill).accepted, 2);
    assert_int_equal(s.rig.model.run_count, 1);
    rig_pass(&s.rig, 40000);
    assert_skipped(&s, NEXT_MINUTE, FIRE_OVERLAP);
    scene_pause(&s, true); /* stops schedules, not what a person asked for */
    rig_end(&s.rig, s.rig.model.runs[0]->run.id, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(s.rig.model.run_count, 2);
    rig_fini(&s.rig);
}

/* Who says how many at once gets them, beside each other but not beside a run of the schedule; after a crash too, and
 * wherever they run. */
static void test_backfill_in_parallel(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    (void)rig_worker(&s.rig, 8);
    rig_pass(&s.rig, 40000);
    scene_pause(&s, true);
    int64_t instants[7];
    for (int i = 0; i < 7; i++)
        instants[i] = NEXT_MINUTE - (9 - i) * MINUTE;
    struct command backfill = {.kind = COMMAND_BACKFILL, .instants = instants, .instant_count = 7, .parallel = 3};
    assert_int_equal(scene_ask(&s, backfill).accepted, 7);
    assert_int_equal(s.rig.model.run_count, 1); /* the schedule's own is active */
    rig_end(&s.rig, s.rig.model.runs[0]->run.id, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(s.rig.model.run_count, 1 + 3);
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    (void)rig_worker(&s.rig, 8);
    rig_end(&s.rig, s.rig.model.runs[1]->run.id, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(s.rig.model.run_count, 1 + 4);
    engine_set_elsewhere(s.rig.engine, s.dag, 2, 2, (struct uuid){{7}}); /* those of another node count */
    for (size_t i = 2; i < 5; i++)
        rig_end(&s.rig, s.rig.model.runs[i]->run.id, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(s.rig.model.run_count, 1 + 5);
    rig_fini(&s.rig);
}

static void test_backfill_limits(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_SKIP, DAG_CATCHUP_NONE);
    int64_t *instants = mem_new_array(int64_t, LIMIT_BACKFILL_MAX + 1);
    for (int i = 0; i <= LIMIT_BACKFILL_MAX; i++)
        instants[i] = NEXT_MINUTE - (i + 2LL) * MINUTE;
    struct command backfill = {.kind = COMMAND_BACKFILL, .instants = instants};
    backfill.instant_count = LIMIT_BACKFILL_MAX + 1;
    assert_int_equal(scene_ask(&s, backfill).error.code, ERROR_FULL);
    backfill.instant_count = LIMIT_BACKFILL_MAX;
    assert_int_equal(scene_ask(&s, backfill).accepted, LIMIT_BACKFILL_MAX);
    s.dag = s.rig.dag_id;
    assert_int_equal(scene_ask(&s, backfill).error.code, ERROR_NO_SCHEDULE);
    mem_free(instants);
    rig_fini(&s.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_in_time),
        cmocka_unit_test(test_begins_with_the_dag),
        cmocka_unit_test(test_zone_is_found_later),
        cmocka_unit_test(test_overlap_skip),
        cmocka_unit_test(test_overlap_minds_its_own),
        cmocka_unit_test(test_overlap_elsewhere),
        cmocka_unit_test(test_overlap_queue),
        cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_catchup_none),
        cmocka_unit_test(test_catchup_latest),
        cmocka_unit_test(test_catchup_latest_is_in_time),
        cmocka_unit_test(test_catchup_all),
        cmocka_unit_test(test_catchup_all_is_bounded),
        cmocka_unit_test(test_clock_set_back),
        cmocka_unit_test(test_clock_set_forward),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_paused_before_it_had_a_schedule),
        cmocka_unit_test(test_schedule_comes_after_clock_was_set_back),
        cmocka_unit_test(test_resumed_after_clock_was_set_back),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_pause_comes_after_what_is_due),
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_delete),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_crash_before_commit),
        cmocka_unit_test(test_store_full),
        cmocka_unit_test(test_store_full_for_what_waits),
        cmocka_unit_test(test_already_fired),
        cmocka_unit_test(test_engine_is_full),
        cmocka_unit_test(test_daylight_saving),
        cmocka_unit_test(test_backfill),
        cmocka_unit_test(test_backfill_one_by_one),
        cmocka_unit_test(test_backfill_in_parallel),
        cmocka_unit_test(test_backfill_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
