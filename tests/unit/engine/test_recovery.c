/* Restore, then reconcile: what a crash leaves, who adopts it, what is lost. And workers that come back. */
#include "support/check.h"

#include "base/mem.h"
#include "engine/model.h"
#include "rig.h"

static const struct graph_edge chain[] = {{0, 1}, {1, 2}};

static void test_adopted(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 2);
    struct uuid run = rig_trigger(&rig, graph_new(3, chain, 2));
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    rig_crash(&rig);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_RUNNING);
    assert_int_equal(rig_task(&rig, run, 2), TASK_PENDING);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 1));
    held.started_ms = rig.now.wall_ms;
    engine_worker_joined(rig.engine, worker, 2, &held, 1, rig.now);
    struct engine_recovery recovery = rig_reconcile(&rig, false);
    assert_int_equal(recovery.runs, 1);
    assert_int_equal(recovery.adopted, 1);
    assert_int_equal(recovery.lost + recovery.withdrawn, 0);
    assert_int_equal(rig_task(&rig, run, 1), TASK_RUNNING);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1), 1);
    rig_end(&rig, run, 2, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* What is adopted is shown as running also when the worker says nothing of its start. */
static void test_shown_as_running(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    rig_crash(&rig);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 0));
    engine_worker_joined(rig.engine, worker, 1, &held, 1, rig.now);
    (void)rig_reconcile(&rig, false);
    assert_int_equal(rig_task(&rig, run, 0), TASK_RUNNING);
    rig_fini(&rig);
}

static void test_ended_meanwhile(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(2, chain, 1));
    rig_crash(&rig);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 0));
    held.ended = true;
    held.outcome = ATTEMPT_SUCCEEDED;
    engine_worker_joined(rig.engine, worker, 1, &held, 1, rig.now);
    struct engine_recovery recovery = rig_reconcile(&rig, false);
    assert_int_equal(recovery.ended_meanwhile, 1);
    assert_int_equal(rig_count(&rig, EFFECT_ACK, run, 0), 1);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    assert_non_null(rig_start_of(&rig, run, 1));
    rig_fini(&rig);
}

static void test_never_seen(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    struct uuid worker = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(4, NULL, 0)); /* one started, two claimed ahead, one ready */
    assert_int_equal(model_find(&rig.model, run)->running, 3);
    rig_crash(&rig);
    engine_worker_joined(rig.engine, worker, 1, NULL, 0, rig.now);
    struct engine_recovery recovery = rig_reconcile(&rig, false);
    assert_int_equal(recovery.withdrawn, 3);
    assert_int_equal(rig.model.lost, 0);
    assert_int_equal(rig_start_of(&rig, run, 0)->number, 1);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 2);
    rig_fini(&rig);
}

/* A claim without a worker may have been started by a worker that is gone. */
static void test_worker_gone(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(2, NULL, 0));
    rig_crash(&rig);
    struct engine_recovery recovery = rig_reconcile(&rig, true);
    assert_int_equal(recovery.lost, 2);
    assert_int_equal(recovery.withdrawn, 0);
    (void)rig_worker(&rig, 2);
    assert_int_equal(rig_start_of(&rig, run, 0)->number, 2);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* A worker that lives and says nothing keeps what names it, and what names nobody, until it speaks. */
static void test_silent_worker_speaks(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    struct uuid silent = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(4, NULL, 0)); /* one started, two claimed ahead, one ready */
    rig_crash(&rig);
    engine_worker_awaited(rig.engine, silent);
    struct engine_recovery recovery = rig_reconcile(&rig, false);
    assert_int_equal(recovery.awaited, 3);
    assert_int_equal(recovery.adopted + recovery.withdrawn + recovery.lost, 0);
    assert_true(engine_worker_matters(rig.engine, silent));
    assert_int_equal(rig_task(&rig, run, 0), TASK_RUNNING);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 3), 0); /* it is given nothing */
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    (void)rig_worker(&rig, 2); /* all else goes on beside it */
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 3), 1);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1) + rig_count(&rig, EFFECT_START, run, 2), 0);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 0)); /* and it saw none of the others */
    held.ended = true;
    held.outcome = ATTEMPT_SUCCEEDED;
    engine_worker_joined(rig.engine, silent, 1, &held, 1, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig.model.lost, 0);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 1);
    for (uint32_t i = 1; i < 4; i++)
        rig_end(&rig, run, i, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_start_of(&rig, run, 1)->number, 1);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

static void test_silent_worker_dies(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    struct uuid first = rig_worker(&rig, 1), second = {.bytes = {0x77}};
    struct uuid run = rig_trigger(&rig, graph_new(2, NULL, 0)); /* one started, one claimed ahead */
    rig_crash(&rig);
    engine_worker_awaited(rig.engine, first);
    engine_worker_awaited(rig.engine, second);
    assert_int_equal(rig_reconcile(&rig, false).awaited, 2);
    engine_worker_lost(rig.engine, first, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig.model.lost, 1); /* the other claim may be the second's */
    engine_worker_joined(rig.engine, second, 1, NULL, 0, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig.model.lost, 2); /* it was not: the dead one may have held it */
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_start_of(&rig, run, 0)->number, 2);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* What is asked meanwhile reaches it as soon as it speaks. */
static void test_silent_worker_is_told_of_the_cancel(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid silent = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    rig_crash(&rig);
    engine_worker_awaited(rig.engine, silent);
    (void)rig_reconcile(&rig, false);
    rig_cancel(&rig, run);
    assert_int_equal(rig_task(&rig, run, 0), TASK_RUNNING);
    size_t told = rig_count(&rig, EFFECT_STOP, run, 0);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 0));
    engine_worker_joined(rig.engine, silent, 1, &held, 1, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), told + 1);
    rig_end(&rig, run, 0, ATTEMPT_CANCELED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    rig_fini(&rig);
}

/* None of the attempts here may be there. */
static void test_silent_stranger(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1), stranger = {.bytes = {0x78}};
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    rig_crash(&rig);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 0));
    engine_worker_joined(rig.engine, worker, 1, &held, 1, rig.now);
    engine_worker_awaited(rig.engine, stranger);
    assert_int_equal(rig_reconcile(&rig, false).awaited, 0);
    assert_false(engine_worker_matters(rig.engine, stranger));
    rig_fini(&rig);
}

static void test_retry_survives(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct dag *dag = graph_new(1, NULL, 0);
    graph_task(dag, 0)->retry = (struct dag_retry){2, DAG_BACKOFF_FIXED, 60000, 300000, 2.0, 0.0};
    struct uuid run = rig_trigger(&rig, dag);
    rig_end(&rig, run, 0, ATTEMPT_FAILED);
    rig_pass(&rig, 20000);
    rig_crash(&rig);
    (void)rig_reconcile(&rig, false);
    assert_int_equal(engine_next_due(rig.engine), rig.now.boot_ms + 40000);
    rig.now.wall_ms -= 86400000; /* set back, or another node's: nobody waits for longer than at first */
    rig_crash(&rig);
    (void)rig_worker(&rig, 1);
    (void)rig_reconcile(&rig, false);
    assert_int_equal(engine_next_due(rig.engine), rig.now.boot_ms + 60000);
    rig_pass(&rig, 60000);
    rig_end(&rig, run, 0, ATTEMPT_FAILED);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    rig_fini(&rig);
}

/* Timers of runs that are gone take no memory for long; those that count all fire, also after a restore of many. */
static void test_many_timers(void **state)
{
    (void)state;
    enum { RETRYING = 100, GONE = 5000 };
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct dag *dag = graph_new(1, NULL, 0), *brief = graph_new(1, NULL, 0);
    graph_task(dag, 0)->retry = (struct dag_retry){2, DAG_BACKOFF_FIXED, 60000, 60000, 2.0, 0.0};
    brief->timeout_ms = 3600000;
    struct uuid runs[RETRYING];
    for (int i = 0; i < RETRYING; i++) {
        runs[i] = rig_trigger(&rig, dag_ref(dag));
        rig_end(&rig, runs[i], 0, ATTEMPT_FAILED);
    }
    for (int i = 0; i < GONE; i++)
        rig_end(&rig, rig_trigger(&rig, dag_ref(brief)), 0, ATTEMPT_SUCCEEDED);
    assert_in_range(rig.engine->timer_cap, RETRYING, 4 * RETRYING);
    rig_crash(&rig);
    (void)rig_worker(&rig, RETRYING);
    (void)rig_reconcile(&rig, false);
    rig_pass(&rig, 60000);
    for (int i = 0; i < RETRYING; i++)
        assert_int_equal(rig_count(&rig, EFFECT_START, runs[i], 0), 2);
    dag_unref(dag);
    dag_unref(brief);
    rig_fini(&rig);
}

static void test_failed_before_the_cancel(void **state)
{
    (void)state;
    static const struct graph_edge edges[] = {{0, 1}, {2, 3}};
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid first = rig_worker(&rig, 1);
    struct dag *dag = graph_new(4, edges, 2);
    graph_task(dag, 0)->on_lost = DAG_ON_LOST_FAIL;
    struct uuid run = rig_trigger(&rig, dag);
    engine_worker_lost(rig.engine, first, rig.now);
    struct uuid second = rig_worker(&rig, 1);
    rig_cancel(&rig, run);
    rig_crash(&rig);
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 2));
    engine_worker_joined(rig.engine, second, 1, &held, 1, rig.now);
    (void)rig_reconcile(&rig, false);
    assert_int_equal(rig_task(&rig, run, 0), TASK_FAILED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SKIPPED);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 2), 2);
    rig_end(&rig, run, 2, ATTEMPT_CANCELED);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    rig_fini(&rig);
}

static void test_rerun_survives(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid run =
        rig_rerun(&rig, graph_new(3, chain, 2), (struct uuid){{1}}, (const uint8_t[]){RECORD_KEPT, RECORD_SKIP, 0});
    rig_crash(&rig);
    (void)rig_worker(&rig, 1);
    (void)rig_reconcile(&rig, false);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SKIPPED);
    rig_end(&rig, run, 2, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* The link broke and the same worker is back: what it never got is given out again, and only once. */
static void test_link_broke(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 2);
    struct uuid run = rig_trigger(&rig, graph_new(2, NULL, 0));
    struct engine_attempt held = rig_attempt(rig_start_of(&rig, run, 0));
    engine_worker_joined(rig.engine, worker, 2, &held, 1, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 1);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1), 2);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* A start that was decided but not released when the link broke must not go out beside its repetition. */
static void test_link_broke_before_the_commit(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1);
    struct rig_answer answer;
    const struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(1, NULL, 0)};
    rig_command(&rig, &command, &answer);
    rig_commit(&rig, rig_take(&rig));
    rig_dispatch(&rig); /* claimed; the claim is not durable */
    engine_worker_joined(rig.engine, worker, 1, NULL, 0, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_START, answer.result.run_id, 0), 1);
    rig_end(&rig, answer.result.run_id, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, answer.result.run_id), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* The last running task of a canceled run turns out never to have started: the run is over. */
static void test_link_broke_in_a_canceled_run(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(2, chain, 1));
    rig_cancel(&rig, run);
    engine_worker_joined(rig.engine, worker, 1, NULL, 0, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
    rig_fini(&rig);
}

static void test_stranger_is_stopped(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    struct engine_attempt held[2] = {rig_attempt(rig_start_of(&rig, run, 0))};
    held[1] = held[0];
    held[1].fence += 7;
    held[1].task = 5;
    engine_worker_joined(rig.engine, worker, 1, held, 2, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 0), 0);
    assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 5), 1);
    rig_fini(&rig);
}

/* A start that was decided but not released when its worker died cannot have happened: not lost, given out again. */
static void test_unsent_start_is_not_lost(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1);
    struct rig_answer answer;
    const struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(1, NULL, 0)};
    rig_command(&rig, &command, &answer);
    rig_commit(&rig, rig_take(&rig));
    rig_dispatch(&rig);
    engine_worker_lost(rig.engine, worker, rig.now);
    rig_settle(&rig);
    (void)rig_worker(&rig, 1);
    assert_int_equal(rig.model.lost, 0);
    assert_int_equal(rig_start_of(&rig, answer.result.run_id, 0)->number, 1);
    rig_fini(&rig);
}

/* SIGTERM: claims without a slot are taken back, nothing starts, what runs is handed over. */
static void test_drain_and_hand_over(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    struct uuid worker = rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(4, NULL, 0));
    engine_set_draining(rig.engine, true);
    struct rig_answer answer;
    const struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(1, NULL, 0)};
    rig_command(&rig, &command, &answer);
    assert_int_equal(answer.result.error.code, ERROR_STOPPING);
    rig_settle(&rig);
    assert_int_equal(model_find(&rig.model, run)->running, 1);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 0);
    rig_crash(&rig);
    engine_worker_joined(rig.engine, worker, 1, NULL, 0, rig.now);
    struct engine_recovery recovery = rig_reconcile(&rig, false);
    assert_int_equal(recovery.withdrawn + recovery.lost, 0);
    for (uint32_t i = 1; i < 4; i++)
        rig_end(&rig, run, i, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

static void refuse_rows(const struct record_attempt *rows, size_t count)
{
    struct rig rig;
    rig_init(&rig, 0);
    struct record_run run = {.id = {{7}}, .dag = graph_new(3, chain, 2), .task_count = 3, .created_ms = 1};
    struct error err = {0};
    assert_int_equal(engine_restore_run(rig.engine, &run, rows, count, rig.now, &err), ERROR_INTERNAL);
    assert_true(err.text[0]);
    assert_int_equal(engine_counts(rig.engine).waiting_tasks, 0);
    rig_fini(&rig);
}

static void test_rows_that_contradict(void **state)
{
    (void)state;
    refuse_rows((const struct record_attempt[]){{.task = 3, .number = 1}}, 1);
    refuse_rows((const struct record_attempt[]){{.task = 0, .number = 2}}, 1);
    refuse_rows((const struct record_attempt[]){{.task = 0, .number = 1}, {.task = 0, .number = 2}}, 2);
    refuse_rows((const struct record_attempt[]){{.task = 1, .number = 1, .state = ATTEMPT_FAILED, .retry_ms = 1},
                                                {.task = 0, .number = 1}}, 2);
    refuse_rows((const struct record_attempt[]){{.task = 0, .number = 1, .state = ATTEMPT_FAILED},
                                                {.task = 0, .number = 2}}, 2);
    refuse_rows((const struct record_attempt[]){{.task = 1, .number = 1}}, 1); /* its dependency has not ended */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adopted),
        cmocka_unit_test(test_shown_as_running),
        cmocka_unit_test(test_ended_meanwhile),
        cmocka_unit_test(test_never_seen),
        cmocka_unit_test(test_worker_gone),
        cmocka_unit_test(test_silent_worker_speaks),
        cmocka_unit_test(test_silent_worker_dies),
        cmocka_unit_test(test_silent_worker_is_told_of_the_cancel),
        cmocka_unit_test(test_silent_stranger),
        cmocka_unit_test(test_retry_survives),
        cmocka_unit_test(test_many_timers),
        cmocka_unit_test(test_failed_before_the_cancel),
        cmocka_unit_test(test_rerun_survives),
        cmocka_unit_test(test_link_broke),
        cmocka_unit_test(test_link_broke_before_the_commit),
        cmocka_unit_test(test_link_broke_in_a_canceled_run),
        cmocka_unit_test(test_stranger_is_stopped),
        cmocka_unit_test(test_unsent_start_is_not_lost),
        cmocka_unit_test(test_drain_and_hand_over),
        cmocka_unit_test(test_rows_that_contradict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
