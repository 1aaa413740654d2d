/* Attempts that nodes run for each other: who gets what, what comes back, what a restart or a take-over makes of them,
 * and the slots that guests take. */
#include "support/check.h"

#include "base/mem.h"
#include "engine/model.h"
#include "rig.h"

enum { NEAR = 7, FAR = 9 }; /* epochs of two other nodes */

static struct dag *any_dag(uint32_t tasks)
{
    struct dag *dag = graph_new(tasks, NULL, 0);
    dag->placement = DAG_PLACEMENT_ANY;
    return dag;
}

static uint64_t node_of(const struct rig *rig, struct uuid run, uint32_t task)
{
    uint64_t epoch = 0;
    const struct effect *start = rig_start_of(rig, run, task);
    return start && engine_is_node(start->worker, &epoch) ? epoch : 0;
}

static void test_names(void **state)
{
    (void)state;
    uint64_t epoch;
    assert_true(engine_is_node(engine_node_worker(1), &epoch));
    assert_int_equal(epoch, 1);
    assert_true(engine_is_node(engine_node_worker((1ull << ENGINE_FENCE_BITS) - 1), &epoch));
    assert_int_equal(epoch, (1ull << ENGINE_FENCE_BITS) - 1);
    assert_false(engine_is_node((struct uuid){{0}}, NULL));
    assert_false(engine_is_node((struct uuid){{'p', 'a', 'w', 'l'}}, NULL));
}

static void test_own_slots_first_then_who_has_most(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    engine_set_node(rig.engine, NEAR, 1);
    engine_set_node(rig.engine, FAR, 2);
    struct uuid run = rig_trigger(&rig, any_dag(6));
    static const uint64_t wanted[] = {0, FAR, NEAR, FAR};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(node_of(&rig, run, i), wanted[i]);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 4), 0);
    engine_check(rig.engine);
    /* a node is no worker to who asks for them */
    struct engine_worker_view views[4];
    assert_int_equal(engine_workers(rig.engine, views, 4), 1);
    assert_int_equal(engine_counts(rig.engine).workers, 1);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 4);
    rig_fini(&rig);
}

static void test_what_stays_on_its_node(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    (void)rig_worker(&rig, 1);
    engine_set_node(rig.engine, FAR, 8);
    struct uuid stays = rig_trigger(&rig, graph_new(6, NULL, 0)), goes = rig_trigger(&rig, any_dag(3));
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(node_of(&rig, stays, i), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(node_of(&rig, goes, i), FAR);
    engine_check(rig.engine);
    rig_fini(&rig);
}

static void test_ends_elsewhere(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    engine_set_node(rig.engine, FAR, 1);
    struct uuid run = rig_trigger(&rig, any_dag(1)), worker = {{1, 2, 3}};
    struct engine_attempt attempt = rig_attempt(rig_start_of(&rig, run, 0));
    attempt.worker = worker;
    attempt.started_ms = rig.now.wall_ms;
    engine_attempt_started(rig.engine, engine_node_worker(FAR), &attempt, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_task(&rig, run, 0), TASK_RUNNING);
    attempt.ended = true;
    attempt.outcome = ATTEMPT_SUCCEEDED;
    engine_attempt_ended(rig.engine, engine_node_worker(FAR), &attempt, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    assert_int_equal(rig_count(&rig, EFFECT_ACK, run, 0), 1);
    assert_true(engine_is_node(rig.effects[rig.effect_count - 1].worker, NULL));
    /* its slot is free only when it says so */
    struct uuid next = rig_trigger(&rig, any_dag(1));
    engine_set_node(rig.engine, FAR, 0);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    assert_int_equal(node_of(&rig, next, 0), FAR);
    rig_fini(&rig);
}

static void test_refused(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    engine_set_node(rig.engine, FAR, 1);
    struct uuid run = rig_trigger(&rig, any_dag(1));
    struct engine_attempt attempt = rig_attempt(rig_start_of(&rig, run, 0));
    engine_set_node(rig.engine, FAR, 0);
    engine_offer_refused(rig.engine, &attempt, rig.now);
    engine_set_node(rig.engine, FAR, 0);
    engine_check(rig.engine);
    rig_settle(&rig);
    assert_int_equal(rig_task(&rig, run, 0), TASK_QUEUED);
    engine_offer_refused(rig.engine, &attempt, rig.now); /* again: it is stale */
    (void)rig_worker(&rig, 1);
    assert_int_equal(node_of(&rig, run, 0), 0);
    assert_int_equal(rig_start_of(&rig, run, 0)->number, 1);
    assert_true(rig_start_of(&rig, run, 0)->fence > attempt.fence);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

static void test_refused_after_a_cancel(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    engine_set_node(rig.engine, FAR, 1);
    struct uuid run = rig_trigger(&rig, any_dag(1));
    struct engine_attempt attempt = rig_attempt(rig_start_of(&rig, run, 0));
    rig_cancel(&rig, run);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), 1);
    engine_offer_refused(rig.engine, &attempt, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    rig_fini(&rig);
}

/* Three attempts: one that the node runs, one it has ended, one that it never took. */
static void test_restart(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    engine_set_node(rig.engine, FAR, 3);
    struct uuid run = rig_trigger(&rig, any_dag(3));
    struct engine_attempt held[2];
    for (uint32_t i = 0; i < 2; i++)
        held[i] = rig_attempt(rig_start_of(&rig, run, i));
    held[1].ended = true;
    held[1].outcome = ATTEMPT_SUCCEEDED;
    rig_crash(&rig);
    engine_node_joined(rig.engine, FAR, held, 2, rig.now);
    struct engine_recovery recovery = rig_reconcile(&rig, true);
    assert_int_equal(recovery.adopted, 1);
    assert_int_equal(recovery.ended_meanwhile, 1);
    assert_int_equal(recovery.withdrawn, 1);
    assert_int_equal(recovery.lost, 0);
    assert_int_equal(rig_task(&rig, run, 0), TASK_RUNNING);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 2), TASK_QUEUED);
    rig_fini(&rig);
}

static void test_take_over(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    engine_set_node(rig.engine, FAR, 2);
    struct uuid run = rig_trigger(&rig, any_dag(3));
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 1));
    rig_crash(&rig); /* as if another one's: its own worker is not there any more */
    engine_node_joined(rig.engine, FAR, &held, 1, rig.now);
    engine_adopt_run(rig.engine, run, rig.now);
    engine_check(rig.engine);
    rig_settle(&rig);
    const struct model_run *rows = model_find(&rig.model, run);
    assert_int_equal(rig_task(&rig, run, 1), TASK_RUNNING);
    assert_int_equal(rig_task(&rig, run, 2), TASK_QUEUED);
    assert_int_equal(rows->running, 1);
    rig_pass(&rig, 10);
    assert_int_equal(rig_task(&rig, run, 0), TASK_QUEUED); /* lost with its worker, and due again */
    rig_fini(&rig);
}

/* ---- guests ---- */

static struct effect guest_of(struct dag *dag, uint32_t task)
{
    return (struct effect){.run_id = {{5}}, .task = task, .number = 1, .fence = 1000 + task, .dag = dag};
}

static struct engine_attempt key_of(const struct effect *start)
{
    return (struct engine_attempt){
        .run_id = start->run_id, .task = start->task, .number = start->number, .fence = start->fence, .exit_code = -1};
}

static void test_guests_take_slots(void **state)
{
    (void)state;
    struct rig rig;
    struct dag *dag = any_dag(3);
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 2);
    struct effect starts[] = {guest_of(dag, 0), guest_of(dag, 1), guest_of(dag, 2)};
    assert_true(engine_guest_start(rig.engine, &starts[0]));
    assert_true(engine_guest_start(rig.engine, &starts[1]));
    assert_true(engine_guest_start(rig.engine, &starts[1])); /* it is there */
    assert_false(engine_guest_start(rig.engine, &starts[2]));
    engine_check(rig.engine);
    rig_effects(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_START, starts[0].run_id, 0), 1);
    assert_int_equal(rig_count(&rig, EFFECT_START, starts[0].run_id, 1), 1);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 0);
    struct engine_attempt end = key_of(&starts[0]);
    assert_true(engine_guest_ended(rig.engine, &end));
    assert_false(engine_guest_ended(rig.engine, &end)); /* said again */
    assert_true(engine_guest_is(rig.engine, &end));
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 1);
    engine_guest_done(rig.engine, &end);
    assert_false(engine_guest_is(rig.engine, &end));
    end = key_of(&starts[1]);
    engine_guest_stop(rig.engine, &end);
    rig_effects(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, starts[1].run_id, 1), 1);
    dag_unref(dag);
    rig_fini(&rig);
}

static void test_guests_go_with_their_worker(void **state)
{
    (void)state;
    struct rig rig;
    struct dag *dag = any_dag(2);
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 2);
    struct effect starts[] = {guest_of(dag, 0), guest_of(dag, 1)};
    assert_true(engine_guest_start(rig.engine, &starts[0]));
    assert_true(engine_guest_start(rig.engine, &starts[1]));
    rig_effects(&rig);
    /* the link broke and the second one never came through */
    struct engine_attempt held = key_of(&starts[0]);
    engine_worker_joined(rig.engine, worker, 2, &held, 1, rig.now);
    engine_check(rig.engine);
    rig_effects(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, held.run_id, 0), 0);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_REFUSED, held.run_id, 1), 1);
    engine_worker_lost(rig.engine, worker, rig.now);
    engine_check(rig.engine);
    rig_effects(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_LOST, held.run_id, 0), 1);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_LOST, held.run_id, 1), 0);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 0);
    dag_unref(dag);
    rig_fini(&rig);
}

static void test_guests_outlive_a_restart(void **state)
{
    (void)state;
    struct rig rig;
    struct dag *dag = any_dag(2);
    rig_init(&rig, 0);
    struct effect starts[] = {guest_of(dag, 0), guest_of(dag, 1)};
    struct engine_attempt keys[] = {key_of(&starts[0]), key_of(&starts[1])};
    engine_guest_restore(rig.engine, &keys[0]);
    engine_guest_restore(rig.engine, &keys[1]);
    engine_worker_joined(rig.engine, (struct uuid){{1}}, 2, &keys[0], 1, rig.now);
    engine_check(rig.engine);
    (void)rig_reconcile(&rig, false);
    rig_effects(&rig);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_LOST, keys[0].run_id, 0), 0);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_LOST, keys[1].run_id, 1), 1);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, keys[0].run_id, 0), 0);
    dag_unref(dag);
    rig_fini(&rig);
}

/* A worker that lives and says nothing may run them: they wait for its word. */
static void test_guests_of_a_silent_worker(void **state)
{
    (void)state;
    struct rig rig;
    struct dag *dag = any_dag(2);
    rig_init(&rig, 0);
    struct effect starts[] = {guest_of(dag, 0), guest_of(dag, 1)};
    struct engine_attempt keys[] = {key_of(&starts[0]), key_of(&starts[1])};
    engine_guest_restore(rig.engine, &keys[0]);
    engine_guest_restore(rig.engine, &keys[1]);
    engine_worker_awaited(rig.engine, (struct uuid){{1}});
    (void)rig_reconcile(&rig, false);
    rig_effects(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_LOST, keys[0].run_id, 0), 0);
    assert_true(engine_worker_matters(rig.engine, (struct uuid){{1}}));
    engine_worker_joined(rig.engine, (struct uuid){{1}}, 2, &keys[0], 1, rig.now);
    engine_check(rig.engine);
    rig_effects(&rig);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_LOST, keys[0].run_id, 0), 0);
    assert_int_equal(rig_count(&rig, EFFECT_GUEST_LOST, keys[1].run_id, 1), 1);
    dag_unref(dag);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_guests_of_a_silent_worker),
        cmocka_unit_test(test_own_slots_first_then_who_has_most),
        cmocka_unit_test(test_what_stays_on_its_node),
        cmocka_unit_test(test_ends_elsewhere),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_after_a_cancel),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_guests_take_slots),
        cmocka_unit_test(test_guests_go_with_their_worker),
        cmocka_unit_test(test_guests_outlive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
