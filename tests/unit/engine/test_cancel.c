/* Cancel and run timeouts in every phase of a task. */
#include "support/check.h"

#include "rig.h"

static const struct graph_edge chain[] = {{0, 1}, {1, 2}};

static void test_before_anything_started(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 4);
    struct uuid run = rig_trigger(&rig, graph_new(3, chain, 2));
    rig_cancel(&rig, run);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(rig_task(&rig, run, i), TASK_CANCELED);
    assert_int_equal(engine_counts(rig.engine).ready_tasks, 0);
    rig_fini(&rig);
}

static void test_while_running(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 4);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(3, chain, 2));
    rig_cancel(&rig, run);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), 1);
    assert_int_equal(rig_run(&rig, run), RUN_RUNNING);
    rig_cancel(&rig, run); /* again too, answered though it changes nothing */
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), 1);
    rig_end(&rig, run, 0, ATTEMPT_CANCELED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    assert_int_equal(rig.model.letter_count, 0);
    struct rig_answer answer;
    const struct command command = {.kind = COMMAND_RUN_CANCEL, .run_id = run};
    rig_command(&rig, &command, &answer);
    assert_true(answer.done);
    assert_int_equal(answer.result.error.code, ERROR_RUN_FINISHED);
    rig_fini(&rig);
}

static void test_exit_that_came_first_wins(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 2);
    struct uuid run = rig_trigger(&rig, graph_new(3, chain, 2));
    rig_cancel(&rig, run);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_CANCELED);
    /* everything had ended: the run is what it was */
    run = rig_trigger(&rig, graph_new(1, NULL, 0));
    rig_cancel(&rig, run);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* What waits behind a running task is decided by how that ends; so a restart in between decides the same. */
static void test_failure_of_a_canceled_run(void **state)
{
    (void)state;
    static const struct graph_edge edges[] = {{0, 1}, {1, 2}};
    struct rig rig;
    rig_init(&rig, 0);
    struct dag *dag = graph_new(4, edges, 2);
    graph_task(dag, 0)->retry.max_attempts = 5;
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, dag);
    rig_cancel(&rig, run);
    assert_int_equal(rig_task(&rig, run, 3), TASK_CANCELED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_PENDING);
    rig_end(&rig, run, 0, ATTEMPT_FAILED);
    assert_int_equal(rig_task(&rig, run, 0), TASK_FAILED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SKIPPED);
    assert_int_equal(rig_task(&rig, run, 2), TASK_SKIPPED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    assert_non_null(model_find_letter(&rig.model, run, 0));
    rig_fini(&rig);
}

static void test_while_it_waits_for_a_retry(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct dag *dag = graph_new(2, chain, 1);
    graph_task(dag, 0)->retry = (struct dag_retry){3, DAG_BACKOFF_FIXED, 1000, 3000, 2.0, 0.0};
    struct uuid run = rig_trigger(&rig, dag);
    rig_end(&rig, run, 0, ATTEMPT_FAILED);
    rig_cancel(&rig, run);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    assert_int_equal(rig_task(&rig, run, 0), TASK_CANCELED);
    assert_int_equal(rig.model.letter_count, 0);
    rig_pass(&rig, 5000);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 1);
    rig_fini(&rig);
}

static void test_claimed_ahead(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 4);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(3, NULL, 0));
    assert_int_equal(model_find(&rig.model, run)->running, 3);
    rig_cancel(&rig, run);
    assert_int_equal(model_find(&rig.model, run)->running, 1);
    assert_int_equal(rig_task(&rig, run, 1), TASK_CANCELED);
    rig_end(&rig, run, 0, ATTEMPT_CANCELED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    rig_fini(&rig);
}

/* The START stands in a batch that is not durable when the cancel comes: it goes out, and the STOP behind it. */
static void test_start_on_its_way(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    engine_worker_joined(rig.engine, (struct uuid){{9}}, 1, NULL, 0, rig.now);
    rig_dispatch(&rig);
    engine_cancel_all(rig.engine, rig.now);
    rig_settle(&rig);
    size_t starts = rig_count(&rig, EFFECT_START, run, 0);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), starts);
    if (starts)
        rig_end(&rig, run, 0, ATTEMPT_CANCELED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    rig_fini(&rig);
}

/* Ctrl-C while the creation of the run is on its way to the disk. */
static void test_cancel_all_meets_a_birth(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct rig_answer answer;
    const struct command command = {
        .kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(3, chain, 2)};
    rig_command(&rig, &command, &answer);
    engine_cancel_all(rig.engine, rig.now);
    rig_settle(&rig);
    assert_true(answer.done);
    assert_int_equal(rig_run(&rig, answer.result.run_id), RUN_CANCELED);
    assert_int_equal(rig_count(&rig, EFFECT_START, answer.result.run_id, 0), 0);
    rig_fini(&rig);
}

/* A lost attempt that nobody would repeat stays failed, whether the run is being canceled or not. */
static void test_lost_while_canceling(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 2);
    struct dag *dag = graph_new(2, NULL, 0);
    graph_task(dag, 1)->on_lost = DAG_ON_LOST_FAIL;
    struct uuid run = rig_trigger(&rig, dag);
    rig_cancel(&rig, run);
    engine_worker_lost(rig.engine, worker, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_task(&rig, run, 0), TASK_CANCELED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_FAILED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    rig_fini(&rig);
}

static void test_run_timeout(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct dag *dag = graph_new(3, chain, 2);
    dag->timeout_ms = 10000;
    struct uuid run = rig_trigger(&rig, dag);
    rig_pass(&rig, 60000); /* waiting for its first slot does not count */
    assert_int_equal(rig_run(&rig, run), RUN_PENDING);
    (void)rig_worker(&rig, 1);
    rig_pass(&rig, 9999);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), 0);
    rig_pass(&rig, 1);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), 1);
    rig_cancel(&rig, run);
    rig_end(&rig, run, 0, ATTEMPT_CANCELED);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    assert_int_equal(rig_task(&rig, run, 2), TASK_CANCELED);
    rig_fini(&rig);
}

/* A run that was told to end because of its timeout goes on ending after a restart, and still has failed. */
static void test_run_timeout_survives_a_crash(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct dag *dag = graph_new(4, chain, 2);
    dag->timeout_ms = 10000;
    struct uuid worker = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, dag);
    rig_pass(&rig, 10000);
    assert_int_equal(rig_task(&rig, run, 3), TASK_CANCELED);
    rig.now.wall_ms -= 3600000; /* the clock was set back meanwhile */
    rig_crash(&rig);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 0));
    held.started_ms = rig.now.wall_ms;
    engine_worker_joined(rig.engine, worker, 1, &held, 1, rig.now);
    (void)rig_reconcile(&rig, false);
    assert_int_equal(rig_task(&rig, run, 3), TASK_CANCELED);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), 2);
    rig_end(&rig, run, 0, ATTEMPT_CANCELED);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    rig_fini(&rig);
}

/* A worker that ends an attempt by KILL when nobody asked: the outcome is unknown. */
static void test_canceled_by_nobody(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    rig_end(&rig, run, 0, ATTEMPT_CANCELED);
    assert_int_equal(model_count(model_find(&rig.model, run), 0, ATTEMPT_LOST), 1);
    rig_pass(&rig, 1);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 2);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_anything_started),
        cmocka_unit_test(test_while_running),
        cmocka_unit_test(test_exit_that_came_first_wins),
        cmocka_unit_test(test_failure_of_a_canceled_run),
        cmocka_unit_test(test_while_it_waits_for_a_retry),
        cmocka_unit_test(test_claimed_ahead),
        cmocka_unit_test(test_start_on_its_way),
        cmocka_unit_test(test_cancel_all_meets_a_birth),
        cmocka_unit_test(test_lost_while_canceling),
        cmocka_unit_test(test_run_timeout),
        cmocka_unit_test(test_run_timeout_survives_a_crash),
        cmocka_unit_test(test_canceled_by_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
