/* Versions that change a schedule while something of it is not settled yet. */
#include "support/check.h"

#include "scene.h"

/* A version that changes no schedule, and is refused, says nothing of the one behind it: until that has its verdict
 * nothing is decided by the former rule. */
static void test_two_versions_at_once(void **state)
{
    (void)state;
    struct scene s;
    struct rig_answer answers[2];
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    struct command update = {.kind = COMMAND_DAG_UPDATE, .dag_id = s.dag, .if_version = 99,
                             .dag = scene_new_dag("* * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE)};
    rig_command(&s.rig, &update, &answers[0]);
    struct batch *batch = rig_take(&s.rig);
    update.if_version = 0;
    update.dag = scene_new_dag("7 * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_NONE);
    rig_command(&s.rig, &update, &answers[1]);
    rig_commit(&s.rig, batch);
    assert_int_equal(answers[0].result.error.code, ERROR_PRECONDITION_FAILED);
    rig_pass(&s.rig, 40000);
    assert_int_equal(answers[1].result.dag_version, 2);
    assert_int_equal(s.rig.model.fire_count, 0);
    rig_fini(&s.rig);
}

/* What is due is decided before a new schedule begins, and that waits until the store has taken it: what it refuses is
 * decided again by the former one. */
static void test_update_waits_for_what_is_due(void **state)
{
    (void)state;
    struct scene s;
    struct rig_answer answer;
    scene_init(&s, "* * * * *", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    struct command update = {.kind = COMMAND_DAG_UPDATE, .dag_id = s.dag,
                             .dag = scene_new_dag("7 * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL)};
    s.rig.now.wall_ms += MINUTE;
    s.rig.now.boot_ms += MINUTE;
    rig_command(&s.rig, &update, &answer);
    scene_commit_without_room(&s, rig_take(&s.rig));
    assert_int_equal(answer.result.error.code, ERROR_FULL);
    rig_pass(&s.rig, 10000);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE)->outcome, FIRE_FIRED);
    s.rig.now.wall_ms += MINUTE;
    s.rig.now.boot_ms += MINUTE;
    update.dag = scene_new_dag("7 * * * *", "UTC", DAG_OVERLAP_ALLOW, DAG_CATCHUP_ALL);
    rig_command(&s.rig, &update, &answer);
    rig_commit(&s.rig, rig_take(&s.rig));
    assert_false(answer.done);
    assert_int_equal(scene_fire_at(&s, NEXT_MINUTE + MINUTE)->outcome, FIRE_FIRED);
    rig_settle(&s.rig);
    assert_int_equal(answer.result.dag_version, 2);
    rig_fini(&s.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_versions_at_once),
        cmocka_unit_test(test_update_waits_for_what_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
