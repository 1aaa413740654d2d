/* Readiness, failures and what they skip, retries, losses, reruns. */
#include "support/check.h"

#include <string.h>

#include "base/limits.h"
#include "rig.h"

static const struct graph_edge diamond[] = {{0, 1}, {0, 2}, {1, 3}, {2, 3}};

static void test_order_of_a_diamond(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid run = rig_trigger(&rig, graph_new(4, diamond, 4));
    assert_int_equal(rig_task(&rig, run, 0), TASK_QUEUED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_PENDING);
    assert_int_equal(rig_run(&rig, run), RUN_PENDING);
    (void)rig_worker(&rig, 4);
    assert_int_equal(rig_run(&rig, run), RUN_RUNNING);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 1);
    assert_null(rig_start_of(&rig, run, 1));
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_count(&rig, EFFECT_ACK, run, 0), 1);
    assert_non_null(rig_start_of(&rig, run, 1));
    assert_non_null(rig_start_of(&rig, run, 2));
    rig_end(&rig, run, 2, ATTEMPT_SUCCEEDED);
    assert_null(rig_start_of(&rig, run, 3));
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_non_null(rig_start_of(&rig, run, 3));
    rig_end(&rig, run, 3, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    assert_int_equal(engine_counts(rig.engine).waiting_tasks, 0);
    assert_int_equal(engine_counts(rig.engine).active_runs, 0);
    rig_fini(&rig);
}

/* Nothing is told or started before the batch it rests on is durable. */
static void test_effects_wait_for_the_batch(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct rig_answer answer;
    const struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(2, diamond, 1)};
    rig_command(&rig, &command, &answer);
    rig_dispatch(&rig);
    rig_effects(&rig);
    assert_false(answer.done);
    assert_int_equal(rig.effect_count, 0);
    assert_true(engine_batch_is_urgent(rig.engine));
    rig_commit(&rig, rig_take(&rig));
    assert_true(answer.done);
    rig_dispatch(&rig);
    rig_effects(&rig);
    assert_int_equal(rig.effect_count, 0); /* claimed, not durable */
    rig_commit(&rig, rig_take(&rig));
    rig_effects(&rig);
    assert_int_equal(rig.effect_count, 1);
    struct engine_attempt end = rig_attempt(&rig.effects[0]);
    end.outcome = ATTEMPT_SUCCEEDED;
    engine_attempt_ended(rig.engine, rig.effects[0].worker, &end, rig.now);
    rig_dispatch(&rig);
    rig_effects(&rig);
    assert_int_equal(rig.effect_count, 1); /* neither acknowledged nor gone on */
    rig_commit(&rig, rig_take(&rig));
    rig_effects(&rig);
    assert_int_equal(rig.effect_count, 3);
    assert_int_equal(rig.effects[1].kind, EFFECT_ACK);
    assert_int_equal(rig.effects[2].kind, EFFECT_START);
    rig_fini(&rig);
}

static void test_failure_skips_what_depends_on_it(void **state)
{
    (void)state;
    /* 0 -> 1 -> 3 -> 4 and 2 -> 4, 2 -> 5 */
    static const struct graph_edge edges[] = {{0, 1}, {1, 3}, {3, 4}, {2, 4}, {2, 5}};
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 4);
    struct uuid run = rig_trigger(&rig, graph_new(6, edges, 5));
    rig_end(&rig, run, 0, ATTEMPT_FAILED);
    assert_int_equal(rig_task(&rig, run, 0), TASK_FAILED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SKIPPED);
    assert_int_equal(rig_task(&rig, run, 3), TASK_SKIPPED);
    assert_int_equal(rig_task(&rig, run, 4), TASK_SKIPPED);
    assert_int_equal(rig_run(&rig, run), RUN_RUNNING);
    rig_end(&rig, run, 2, ATTEMPT_SUCCEEDED);
    rig_end(&rig, run, 5, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    const struct model_letter *letter = model_find_letter(&rig.model, run, 0);
    assert_non_null(letter);
    assert_int_equal(letter->attempts, 1);
    assert_int_equal(letter->error_type, FAILURE_EXIT);
    assert_int_equal(rig.model.letter_count, 1);
    rig_fini(&rig);
}

static void test_retries_back_off(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct dag *dag = graph_new(1, NULL, 0);
    graph_task(dag, 0)->retry = (struct dag_retry){5, DAG_BACKOFF_EXPONENTIAL, 1000, 3000, 2.0, 0.0};
    struct uuid run = rig_trigger(&rig, dag);
    static const int64_t waits[] = {1000, 2000, 3000, 3000};
    for (uint32_t i = 0; i < 4; i++) {
        rig_end(&rig, run, 0, i % 2 ? ATTEMPT_TIMED_OUT : ATTEMPT_FAILED);
        assert_int_equal(rig_task(&rig, run, 0), TASK_PENDING);
        assert_int_equal(engine_next_due(rig.engine), rig.now.boot_ms + waits[i]);
        rig_pass(&rig, waits[i] - 1);
        assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), i + 1);
        rig_pass(&rig, 1);
        assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), i + 2);
        assert_int_equal(rig_start_of(&rig, run, 0)->number, i + 2);
    }
    rig_end(&rig, run, 0, ATTEMPT_FAILED);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    assert_int_equal(model_find_letter(&rig.model, run, 0)->attempts, 5);
    rig_fini(&rig);
}

static void test_fixed_backoff_and_jitter(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct dag *dag = graph_new(1, NULL, 0);
    graph_task(dag, 0)->retry = (struct dag_retry){200, DAG_BACKOFF_FIXED, 1000, 60000, 2.0, 0.25};
    struct uuid run = rig_trigger(&rig, dag);
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 199; i++) {
        rig_end(&rig, run, 0, ATTEMPT_FAILED);
        int64_t wait = engine_next_due(rig.engine) - rig.now.boot_ms;
        assert_in_range(wait, 750, 1250);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
        rig_pass(&rig, wait);
    }
    assert_true(least < 800 && most > 1200);
    rig_fini(&rig);
}

static void test_not_retryable(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct dag *dag = graph_new(1, NULL, 0);
    graph_task(dag, 0)->retry = (struct dag_retry){5, DAG_BACKOFF_FIXED, 1000, 3000, 2.0, 0.0};
    struct uuid run = rig_trigger(&rig, dag);
    const struct effect *start = rig_start_of(&rig, run, 0);
    struct engine_attempt end = rig_attempt(start);
    end.outcome = ATTEMPT_FAILED;
    end.error_type = FAILURE_HTTP;
    end.http_status = 404;
    end.retryable = false;
    engine_attempt_ended(rig.engine, start->worker, &end, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    assert_int_equal(model_last(model_find(&rig.model, run), 0)->http_status, 404);
    rig_fini(&rig);
}

/* A loss is repeated at once, three times, and uses up nothing of maxAttempts. */
static void test_lost_is_repeated(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    for (uint32_t i = 0; i <= LIMIT_LOST_RETRIES_MAX; i++) {
        assert_int_equal(rig_run(&rig, run), i ? RUN_RUNNING : RUN_PENDING);
        struct uuid worker = rig_worker(&rig, 1);
        assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), i + 1);
        engine_worker_lost(rig.engine, worker, rig.now);
        rig_settle(&rig);
    }
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    assert_int_equal(model_count(model_find(&rig.model, run), 0, ATTEMPT_LOST), LIMIT_LOST_RETRIES_MAX + 1);
    assert_int_equal(model_find_letter(&rig.model, run, 0)->error_type, FAILURE_LOST);
    rig_fini(&rig);
}

static void test_lost_fails(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 4);
    struct dag *dag = graph_new(1, NULL, 0);
    graph_task(dag, 0)->on_lost = DAG_ON_LOST_FAIL;
    graph_task(dag, 0)->retry.max_attempts = 9;
    struct uuid run = rig_trigger(&rig, dag);
    struct uuid worker = rig_worker(&rig, 1);
    engine_worker_lost(rig.engine, worker, rig.now);
    (void)rig_worker(&rig, 1);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 0), 1);
    assert_int_equal(model_last(model_find(&rig.model, run), 0)->state, ATTEMPT_LOST);
    rig_fini(&rig);
}

/* A second, stale or made-up end changes nothing and is acknowledged, so that the worker can forget it. */
static void test_ends_nobody_waits_for(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(2, diamond, 1));
    const struct effect first = *rig_start_of(&rig, run, 0);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    struct engine_attempt again = rig_attempt(&first);
    again.outcome = ATTEMPT_FAILED;
    again.error_type = FAILURE_EXIT;
    engine_attempt_ended(rig.engine, first.worker, &again, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    assert_int_equal(rig_count(&rig, EFFECT_ACK, run, 0), 2);
    struct engine_attempt stale = rig_attempt(rig_start_of(&rig, run, 1));
    stale.fence++;
    stale.outcome = ATTEMPT_SUCCEEDED;
    engine_attempt_ended(rig.engine, first.worker, &stale, rig.now);
    stale.fence--;
    stale.number++;
    engine_attempt_ended(rig.engine, first.worker, &stale, rig.now);
    stale.task = 77;
    engine_attempt_ended(rig.engine, first.worker, &stale, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_run(&rig, run), RUN_RUNNING);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    engine_attempt_ended(rig.engine, first.worker, &stale, rig.now);
    rig_settle(&rig);
    rig_fini(&rig);
}

/* The clock is set back between claim, start and end: times still stand in order, and the start stays what it was. */
static void test_times_stand_in_order(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    const struct effect *start = rig_start_of(&rig, run, 0);
    struct engine_attempt said = rig_attempt(start);
    int64_t claimed = rig.now.wall_ms;
    rig.now.wall_ms -= 60000;
    said.started_ms = rig.now.wall_ms;
    engine_attempt_started(rig.engine, start->worker, &said, rig.now);
    rig_settle(&rig);
    struct live_run *shown = live_get(rig.live, run);
    struct live_task view;
    live_run_task(shown, 0, &view);
    live_unref(shown);
    assert_int_equal(view.started_ms, claimed);
    said.ended_ms = said.started_ms + 10;
    said.outcome = ATTEMPT_SUCCEEDED;
    engine_attempt_ended(rig.engine, start->worker, &said, rig.now);
    rig_settle(&rig);
    const struct record_attempt *row = model_last(model_find(&rig.model, run), 0);
    assert_int_equal(row->started_ms, claimed);
    assert_true(row->ended_ms >= row->started_ms);
    const struct record_run *ended = &model_find(&rig.model, run)->run;
    assert_true(ended->completed_ms >= ended->started_ms);
    rig_fini(&rig);
}

static void test_rerun_keeps_and_skips(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 4);
    struct dag *dag = graph_new(4, diamond, 4);
    struct uuid source = rig_trigger(&rig, dag_ref(dag));
    rig_end(&rig, source, 0, ATTEMPT_SUCCEEDED);
    rig_end(&rig, source, 1, ATTEMPT_SUCCEEDED);
    rig_end(&rig, source, 2, ATTEMPT_FAILED);
    assert_int_equal(rig_run(&rig, source), RUN_FAILED);
    struct uuid rerun = rig_rerun(&rig, dag, source, (const uint8_t[]){RECORD_KEPT, RECORD_KEPT, 0, 0});
    assert_int_equal(rig_task(&rig, rerun, 1), TASK_SUCCEEDED);
    assert_null(rig_start_of(&rig, rerun, 0));
    rig_end(&rig, rerun, 2, ATTEMPT_SUCCEEDED);
    assert_int_equal(model_find_letter(&rig.model, source, 2)->resolution, RESOLUTION_PENDING);
    rig_end(&rig, rerun, 3, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, rerun), RUN_SUCCEEDED);
    const struct model_letter *letter = model_find_letter(&rig.model, source, 2);
    assert_int_equal(letter->resolution, RESOLUTION_RETRIED);
    assert_true(uuid_equal(letter->resolved_run, rerun));
    rig_fini(&rig);
}

/* A task skipped on purpose lets its dependents run, whatever became of what it depends on. */
static void test_skip_on_purpose(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 4);
    struct dag *dag = graph_new(4, diamond, 4);
    struct uuid run = rig_rerun(&rig, dag_ref(dag), (struct uuid){{1}},
                                (const uint8_t[]){0, RECORD_SKIP, RECORD_SKIP, 0});
    assert_non_null(rig_start_of(&rig, run, 0));
    assert_non_null(rig_start_of(&rig, run, 3));
    rig_end(&rig, run, 0, ATTEMPT_FAILED);
    rig_end(&rig, run, 3, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_FAILED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SKIPPED);
    /* with nothing left to run it is over as it is born */
    static const uint8_t all[] = {RECORD_KEPT, RECORD_SKIP, RECORD_KEPT, RECORD_KEPT};
    struct uuid empty = rig_rerun(&rig, dag, run, all);
    assert_int_equal(rig_run(&rig, empty), RUN_SUCCEEDED);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_a_diamond),
        cmocka_unit_test(test_effects_wait_for_the_batch),
        cmocka_unit_test(test_failure_skips_what_depends_on_it),
        cmocka_unit_test(test_retries_back_off),
        cmocka_unit_test(test_fixed_backoff_and_jitter),
        cmocka_unit_test(test_not_retryable),
        cmocka_unit_test(test_lost_is_repeated),
        cmocka_unit_test(test_lost_fails),
        cmocka_unit_test(test_ends_nobody_waits_for),
        cmocka_unit_test(test_times_stand_in_order),
        cmocka_unit_test(test_rerun_keeps_and_skips),
        cmocka_unit_test(test_skip_on_purpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
