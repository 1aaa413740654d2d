/* Starts that a worker has before a slot is free: what is sent, what comes back, who has what when things end. */
#include "support/check.h"

#include "rig.h"

static struct uuid add_worker(struct rig *rig, uint32_t slots)
{
    struct uuid id = rig_worker(rig, slots);
    engine_set_worker_ahead(rig->engine, id, slots);
    rig_settle(rig);
    return id;
}

/* One worker with one slot, which has task 0 and, ahead of its end, task 1; 2 is claimed and in hand. */
static struct uuid begin(struct rig *rig, struct uuid *ret_run)
{
    rig_init(rig, 2);
    engine_set_sends_ahead(rig->engine, true);
    struct uuid worker = add_worker(rig, 1);
    *ret_run = rig_trigger(rig, graph_new(6, NULL, 0));
    rig_settle(rig);
    assert_int_equal(engine_counts(rig->engine).sent_attempts, 1);
    return worker;
}

static void say_returned(struct rig *rig, struct uuid worker, struct uuid run, uint32_t task)
{
    struct engine_attempt key = rig_attempt(rig_start_of(rig, run, task));
    engine_attempt_returned(rig->engine, worker, &key, rig->now);
    rig_settle(rig);
}

static void say_started(struct rig *rig, struct uuid worker, struct uuid run, uint32_t task)
{
    struct engine_attempt key = rig_attempt(rig_start_of(rig, run, task));
    key.started_ms = rig->now.wall_ms;
    engine_attempt_started(rig->engine, worker, &key, rig->now);
    rig_settle(rig);
}

static void test_the_next_start_is_there_before_the_end(void **state)
{
    (void)state;
    struct rig rig;
    struct uuid run, worker = begin(&rig, &run);
    const struct effect *start = rig_start_of(&rig, run, 1);
    assert_non_null(start);
    assert_true(start->may_wait && uuid_equal(start->worker, worker));
    assert_null(rig_start_of(&rig, run, 2)); /* what the first free slot takes, whosever it is */
    assert_int_equal(rig_task(&rig, run, 1), TASK_QUEUED);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_QUEUED); /* by what is known: it has not said so */
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1), 1);
    say_started(&rig, worker, run, 1);
    assert_int_equal(rig_task(&rig, run, 1), TASK_RUNNING);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 2), 1);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    rig_end(&rig, run, 2, ATTEMPT_SUCCEEDED); /* it never said that this has started */
    assert_int_equal(rig_task(&rig, run, 2), TASK_SUCCEEDED);
    for (uint32_t i = 3; i < 6; i++)
        rig_end(&rig, run, i, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* Only to a worker that keeps starts waiting, only of brief tasks, and never what may not be started twice. */
static void test_what_is_not_sent(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 4);
    (void)rig_worker(&rig, 1);
    engine_set_sends_ahead(rig.engine, true);
    (void)rig_trigger(&rig, graph_new(6, NULL, 0));
    rig_settle(&rig);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 0);
    rig_fini(&rig);
    rig_init(&rig, 4);
    (void)add_worker(&rig, 1);
    (void)rig_trigger(&rig, graph_new(6, NULL, 0));
    rig_settle(&rig);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 0);
    engine_set_sends_ahead(rig.engine, true);
    rig_settle(&rig);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 1);
    rig_fini(&rig);
    rig_init(&rig, 4);
    (void)add_worker(&rig, 1);
    engine_set_sends_ahead(rig.engine, true);
    struct dag *dag = graph_new(6, NULL, 0);
    for (uint32_t i = 0; i < 6; i++)
        graph_task(dag, i)->on_lost = DAG_ON_LOST_FAIL;
    (void)rig_trigger(&rig, dag);
    rig_settle(&rig);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 0);
    rig_fini(&rig);
}

/* Beside a long task nothing is stuck: it comes back, its claim is as good as before, and another slot takes it. */
static void test_what_comes_back_goes_elsewhere(void **state)
{
    (void)state;
    struct rig rig;
    struct uuid run, slow = begin(&rig, &run);
    uint64_t fence = rig_start_of(&rig, run, 1)->fence;
    say_returned(&rig, slow, run, 1);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 0); /* it gets no more until it has ended something */
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1), 1);
    assert_int_equal(model_find(&rig.model, run)->running, 3);
    struct uuid other = add_worker(&rig, 1);
    const struct effect *again = rig_start_of(&rig, run, 1);
    assert_true(uuid_equal(again->worker, other));
    assert_true(again->fence == fence && again->number == 1);
    assert_int_equal(rig_task(&rig, run, 1), TASK_QUEUED); /* shown as its rows say, until it has started */
    assert_int_equal(engine_counts(rig.engine).running_attempts, 2);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SUCCEEDED);
    rig_fini(&rig);
}

/* A slot that is free takes from a worker that has more than it can begin. */
static void test_idle_workers_take_from_busy_ones(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 4);
    engine_set_sends_ahead(rig.engine, true);
    struct uuid busy = add_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(3, NULL, 0));
    rig_settle(&rig);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 1);
    struct uuid idle = add_worker(&rig, 2);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 2), 1); /* in hand: at once */
    assert_int_equal(rig_count(&rig, EFFECT_RECALL, run, 1), 1);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_RECALL, run, 1), 1); /* asked once */
    say_returned(&rig, busy, run, 1);
    assert_true(uuid_equal(rig_start_of(&rig, run, 1)->worker, idle));
    rig_fini(&rig);
}

static void test_a_recall_that_comes_too_late(void **state)
{
    (void)state;
    struct rig rig;
    struct uuid run, worker = begin(&rig, &run);
    engine_set_draining(rig.engine, true);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_RECALL, run, 1), 1);
    assert_int_equal(model_find(&rig.model, run)->running, 2); /* what was in hand is withdrawn */
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    say_started(&rig, worker, run, 1);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 1), TASK_SUCCEEDED);
    rig_fini(&rig);
}

static uint32_t running_on_the_first(const struct rig *rig)
{
    struct engine_worker_view view;
    assert_int_equal(engine_workers(rig->engine, &view, 1), 1);
    return view.running;
}

/* Whoever is not to begin anything gives back what it has not begun: daemon, worker, a store without room. */
static void test_recalled(void **state)
{
    (void)state;
    struct rig rig;
    struct uuid run, worker = begin(&rig, &run);
    engine_set_draining(rig.engine, true);
    say_returned(&rig, worker, run, 1);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 0);
    assert_int_equal(model_find(&rig.model, run)->running, 1); /* its claim is withdrawn, too */
    rig_fini(&rig);
    worker = begin(&rig, &run);
    assert_int_equal(running_on_the_first(&rig), 1);
    assert_true(engine_set_worker_draining(rig.engine, worker, true));
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_RECALL, run, 1), 1);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(running_on_the_first(&rig), 1); /* it may have begun meanwhile */
    say_returned(&rig, worker, run, 1);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 0);
    assert_int_equal(running_on_the_first(&rig), 0);
    rig_fini(&rig);
    worker = begin(&rig, &run);
    engine_hold_starts(rig.engine, true);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_RECALL, run, 1), 1);
    rig_fini(&rig);
    worker = begin(&rig, &run);
    engine_set_one_by_one(rig.engine, true);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_RECALL, run, 1), 1);
    say_returned(&rig, worker, run, 1);
    assert_int_equal(model_find(&rig.model, run)->running, 1);
    rig_fini(&rig);
}

/* Only its worker knows whether it has begun: it ends as one that was told to end, or was never there. */
static void test_canceled(void **state)
{
    (void)state;
    for (int returns = 0; returns < 2; returns++) {
        struct rig rig;
        struct uuid run, worker = begin(&rig, &run);
        rig_cancel(&rig, run);
        assert_int_equal(rig_count(&rig, EFFECT_STOP, run, 1), 1);
        assert_int_equal(rig_task(&rig, run, 2), TASK_CANCELED);
        rig_end(&rig, run, 0, ATTEMPT_CANCELED);
        assert_int_equal(rig_run(&rig, run), RUN_RUNNING);
        if (returns)
            say_returned(&rig, worker, run, 1);
        else
            rig_end(&rig, run, 1, ATTEMPT_CANCELED);
        assert_int_equal(rig_task(&rig, run, 1), TASK_CANCELED);
        assert_int_equal(rig_run(&rig, run), RUN_CANCELED);
        assert_int_equal(rig.model.letter_count, 0);
        rig_fini(&rig);
    }
}

static void test_lost_with_its_worker(void **state)
{
    (void)state;
    struct rig rig;
    struct uuid run, worker = begin(&rig, &run);
    engine_worker_lost(rig.engine, worker, rig.now);
    rig_settle(&rig);
    (void)add_worker(&rig, 4);
    rig_pass(&rig, 1);
    assert_int_equal(rig_start_of(&rig, run, 1)->number, 2); /* it may have begun */
    assert_int_equal(rig_start_of(&rig, run, 2)->number, 1); /* this was in hand */
    rig_fini(&rig);
}

/* The link broke: what the worker has it says; what it does not say never came, or was given back. */
static void test_met_again(void **state)
{
    (void)state;
    struct rig rig;
    struct uuid run, worker = begin(&rig, &run);
    struct engine_attempt held[2] = {rig_attempt(rig_start_of(&rig, run, 0)), rig_attempt(rig_start_of(&rig, run, 1))};
    engine_worker_joined(rig.engine, worker, 1, held, 1, rig.now);
    assert_int_equal(engine_counts(rig.engine).sent_attempts, 0);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1), 2); /* it keeps starts waiting, so it gets it again */
    engine_worker_joined(rig.engine, worker, 1, held, 2, rig.now);
    rig_settle(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1), 2);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 2);
    say_returned(&rig, worker, run, 1); /* it was held, and not begun */
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    assert_int_equal(model_find(&rig.model, run)->running, 3);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    rig_fini(&rig);
}

/* The daemon died. The claim names no worker; one that holds it says so, and if none does it is due again. */
static void test_met_by_the_next_daemon(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 2; count++) {
        struct rig rig;
        struct uuid run, worker = begin(&rig, &run);
        struct engine_attempt held[2] = {rig_attempt(rig_start_of(&rig, run, 0)),
                                         rig_attempt(rig_start_of(&rig, run, 1))};
        rig_crash(&rig);
        engine_worker_joined(rig.engine, worker, 1, held, count, rig.now);
        struct engine_recovery recovery = rig_reconcile(&rig, false);
        assert_int_equal(recovery.adopted, count);
        assert_int_equal(recovery.withdrawn, 3 - count);
        assert_int_equal(recovery.lost, 0);
        rig_fini(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_start_is_there_before_the_end),
        cmocka_unit_test(test_what_is_not_sent),
        cmocka_unit_test(test_what_comes_back_goes_elsewhere),
        cmocka_unit_test(test_idle_workers_take_from_busy_ones),
        cmocka_unit_test(test_a_recall_that_comes_too_late),
        cmocka_unit_test(test_recalled),
        cmocka_unit_test(test_canceled),
        cmocka_unit_test(test_lost_with_its_worker),
        cmocka_unit_test(test_met_again),
        cmocka_unit_test(test_met_by_the_next_daemon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
