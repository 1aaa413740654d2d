/* Schedules where several nodes share them: what is asked of a node that does not fire, and what one that does learns
 * late. */
#include "support/check.h"

#include "base/limits.h"
#include "rig.h"

enum { MINUTE = 60000 };

/* The rig's clock starts at 22:13:20 UTC. */
#define START_MS 1700000000000
#define NEXT_MINUTE (START_MS + 40000)

struct scene {
    struct rig rig;
    struct uuid dag;
};

static struct dag *new_dag(const char *cron, enum dag_overlap overlap)
{
    struct dag *dag = graph_new(1, NULL, 0);
    dag->schedule = (struct dag_schedule){cron, "UTC", overlap, DAG_CATCHUP_ALL};
    return dag;
}

static struct command_result ask(struct scene *scene, struct command command)
{
    struct rig_answer answer;
    command.dag_id = scene->dag;
    rig_command(&scene->rig, &command, &answer);
    rig_settle(&scene->rig);
    assert_true(answer.done);
    return answer.result;
}

static void setup(struct scene *scene, enum dag_overlap overlap)
{
    *scene = (struct scene){0};
    rig_init(&scene->rig, 0);
    const struct command create = {.kind = COMMAND_DAG_CREATE, .name = "s", .dag = new_dag("* * * * *", overlap)};
    scene->dag = ask(scene, create).dag_id;
}

static void pause_dag(struct scene *scene, bool paused)
{
    assert_int_equal(ask(scene, (struct command){.kind = COMMAND_DAG_PAUSE, .paused = paused}).error.code, 0);
}

static const struct record_fire *fire_at(const struct scene *scene, int64_t time_ms)
{
    return model_fire(&scene->rig.model, scene->dag, time_ms);
}

static size_t count_fires(const struct scene *scene, enum fire_outcome outcome)
{
    size_t count = 0;
    for (size_t i = 0; i < scene->rig.model.fire_count; i++)
        count += scene->rig.model.fires[i].outcome == outcome;
    return count;
}

/* Through another node: the store refuses what is due, until the engine is told or the pause is over. */
static void test_paused_elsewhere(void **state)
{
    (void)state;
    struct scene s;
    setup(&s, DAG_OVERLAP_QUEUE);
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
        assert_non_null(fire_at(&s, NEXT_MINUTE + i * MINUTE));
    assert_int_equal(fire_at(&s, NEXT_MINUTE)->outcome, FIRE_FIRED);
    dag->paused = true; /* those that wait do so on */
    (void)rig_worker(&s.rig, 2);
    rig_end(&s.rig, fire_at(&s, NEXT_MINUTE)->run_id, 0, ATTEMPT_SUCCEEDED);
    rig_pass(&s.rig, 1000);
    assert_int_equal(count_fires(&s, FIRE_FIRED), 1);
    dag->paused = false;
    rig_pass(&s.rig, 1000);
    assert_int_equal(count_fires(&s, FIRE_FIRED), 2);
    rig_fini(&s.rig);
}

/* Where nothing fires nothing is due: a schedule can be paused, resumed and changed at any time. */
static void test_fires_elsewhere(void **state)
{
    (void)state;
    struct scene s;
    setup(&s, DAG_OVERLAP_ALLOW);
    engine_set_fires(s.rig.engine, false);
    const struct command create = {.kind = COMMAND_DAG_CREATE, .name = "other",
                                   .dag = new_dag("* * * * *", DAG_OVERLAP_ALLOW)};
    s.dag = ask(&s, create).dag_id;
    rig_pass(&s.rig, 5 * MINUTE);
    pause_dag(&s, true);
    rig_pass(&s.rig, 5 * MINUTE);
    pause_dag(&s, false);
    const struct command update = {.kind = COMMAND_DAG_UPDATE,
                                   .dag = new_dag("*/30 * * * *", DAG_OVERLAP_ALLOW)};
    assert_int_equal(ask(&s, update).dag_version, 2);
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
        assert_int_equal(ask(&s, backfill).accepted, 2);
        assert_int_equal(ask(&s, backfill).accepted, 0);
        assert_int_equal(count_fires(&s, FIRE_QUEUED), 2);
        assert_int_equal(s.rig.model.run_count, 0);
        rig_fini(&s.rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paused_elsewhere),
        cmocka_unit_test(test_fires_elsewhere),
        cmocka_unit_test(test_backfill_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
