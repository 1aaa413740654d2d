/* Schedules where several nodes share them: what is asked of a node that does not fire, and what one that does learns
 * late. */
#include "support/check.h"

#include "base/limits.h"
#include "scene.h"

/* Through another node: the store refuses what is due, until the engine is told or the pause is over. */
static void test_paused_elsewhere(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_QUEUE, DAG_CATCHUP_ALL);
    struct model_dag *dag = &s.rig.model.dags[s.rig.model.dag_count - 1];
    dag->paused = true;
    rig_pass(&s.rig, 40000);
    for (int i = 0; i < 5; i++)
        rig_pass(&s.rig, MINUTE);
    assert_int_equal(s.rig.model.fire_count, 0);
    assert_int_equal(s.rig.model.run_count, 0);
    dag->paused = false;
    for (int i = 0; i < 3; i++)
        rig_pass(&s.rig, 1000);
    for (int64_t i = 0; i < 6; i++)
        assert_non_null(scene_fire_at(&s, NEXT_MINUTE + i * MINUTE));
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->outcome, FIRE_FIRED);
    dag->paused = true; /* those that wait do so on */
    (void)rig_worker(&s.rig, 2);
    rig_end(&s.rig, scene_fire_at(&s, NEXT_MINUTE)->run_id, 0, ATTEMPT_SUCCEEDED);
    rig_pass(&s.rig, 1000);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 1);
    dag->paused = false;
    rig_pass(&s.rig, 1000);
    assert_int_equal(scene_count_fires(&s, FIRE_FIRED), 2);
    rig_fini(&s.rig);
}

/* Where nothing fires nothing is due: a schedule can be paused, resumed and changed at any time. */
static void test_fires_elsewhere(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    engine_set_fires(s.rig.engine, false);
    const struct command create = {.kind = COMMAND_DAG_CREATE, .name = "other",
                                   .dag = scene_new_dag("* * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL)};
    s.dag = scene_ask(&s, create).dag_id;
    rig_pass(&s.rig, 5 * MINUTE);
    scene_pause(&s, true);
    rig_pass(&s.rig, 5 * MINUTE);
    scene_pause(&s, false);
    const struct command update = {.kind = COMMAND_DAG_UPDATE,
                                   .dag = scene_new_dag("*/30 * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL)};
    assert_int_equal(scene_ask(&s, update).dag_version, 2);
    assert_int_equal(s.rig.model.fire_count, 0);
    rig_fini(&s.rig);
}

/* The store has the instants wait for whoever fires; so it does where that is, of a schedule that is not known yet. */
static void test_backfill_elsewhere(void **state)
{
    (void)state;
    for (int fires = 0; fires < 2; fires++) {
        struct scene s = {0};
        rig_init(&s.rig, 0);
        s.rig.options.fires_schedules = fires == 1;
        s.rig.options.shares_schedules = true;
        rig_crash(&s.rig);
        (void)rig_reconcile(&s.rig, false);
        s.dag = s.rig.dag_id;
        const int64_t instants[2] = {START_MS - 9 * MINUTE, START_MS - 8 * MINUTE};
        const struct command backfill = {.kind = COMMAND_BACKFILL, .instants = instants, .instant_count = 2};
        assert_int_equal(scene_ask(&s, backfill).accepted, 2);
        assert_int_equal(scene_ask(&s, backfill).accepted, 0);
        assert_int_equal(scene_count_fires(&s, FIRE_QUEUED), 2);
        assert_int_equal(s.rig.model.run_count, 0);
        rig_fini(&s.rig);
    }
}

/* Another node ended the pause, and the one that fires learns of it minutes later: instants of the pause are skipped as
 * such, those behind it are judged as ever. */
static void test_a_pause_that_ended_elsewhere(void **state)
{
    (void)state;
    struct scene s;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    scene_pause(&s, true);
    rig_pass(&s.rig, 10 * MINUTE);
    struct model_dag *dag = &s.rig.model.dags[s.rig.model.dag_count - 1];
    dag->paused = false;
    dag->paused_to_ms = NEXT_MINUTE + 4 * MINUTE + 30000;
    rig_crash(&s.rig);
    (void)rig_reconcile(&s.rig, false);
    assert_int_equal(s.rig.model.fire_count, 6);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->outcome, FIRE_SKIPPED);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->reason, FIRE_PAUSED);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->count, 5);
    for (int64_t i = 5; i < 10; i++)
        assert_int_equal(scene_fire_at(&s, NEXT_MINUTE + i * MINUTE)->outcome, FIRE_FIRED);
    rig_pass(&s.rig, MINUTE);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE + 10 * MINUTE)->outcome, FIRE_FIRED);
    rig_fini(&s.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paused_elsewhere),
        cmocka_unit_test(test_fires_elsewhere),
        cmocka_unit_test(test_backfill_elsewhere),
        cmocka_unit_test(test_a_pause_that_ended_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
