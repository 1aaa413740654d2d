/* Who gets which slot: routing, order, fairness, claims ahead, queues as shown, holding, urgency; and a big run. */
#include "support/check.h"

#include "base/limits.h"
#include "base/mem.h"
#include "rig.h"

static void test_least_loaded(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid a = rig_worker(&rig, 3), b = rig_worker(&rig, 1), c = rig_worker(&rig, 3);
    struct uuid run = rig_trigger(&rig, graph_new(6, NULL, 0));
    struct engine_worker_view views[8];
    assert_int_equal(engine_workers(rig.engine, views, 8), 3);
    assert_int_equal(views[0].running, 3);
    assert_int_equal(views[1].running, 1);
    assert_int_equal(views[2].running, 2);
    assert_true(uuid_equal(rig_start_of(&rig, run, 0)->worker, a));
    assert_true(uuid_equal(rig_start_of(&rig, run, 1)->worker, b));
    assert_true(uuid_equal(rig_start_of(&rig, run, 2)->worker, c));
    rig_fini(&rig);
}

static void test_longest_path_first(void **state)
{
    (void)state;
    static const struct graph_edge edges[] = {{1, 3}, {2, 4}, {4, 5}};
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid run = rig_trigger(&rig, graph_new(6, edges, 3));
    (void)rig_worker(&rig, 1);
    static const uint32_t order[] = {2, 1, 4, 0, 3, 5}; /* ranks 3, 2, 2, then as in the file */
    for (int i = 0; i < 6; i++) {
        assert_int_equal(rig.effects[rig.effect_count - 1].task, order[i]);
        rig_end(&rig, run, order[i], ATTEMPT_SUCCEEDED);
    }
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

/* A small run does not stand behind a big one. */
static void test_runs_share_the_slots(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid big = rig_trigger(&rig, graph_new(100, NULL, 0));
    (void)rig_worker(&rig, 2);
    for (uint32_t i = 0; i < 20; i++)
        rig_end(&rig, big, i, ATTEMPT_SUCCEEDED);
    struct uuid small = rig_trigger(&rig, graph_new(4, NULL, 0));
    size_t before = rig.effect_count;
    rig_end(&rig, big, 20, ATTEMPT_SUCCEEDED);
    rig_end(&rig, big, 21, ATTEMPT_SUCCEEDED);
    rig_end(&rig, big, 22, ATTEMPT_SUCCEEDED);
    uint32_t got = 0;
    for (size_t i = before; i < rig.effect_count; i++)
        got += rig.effects[i].kind == EFFECT_START && uuid_equal(rig.effects[i].run_id, small);
    assert_int_equal(got, 2);
    rig_fini(&rig);
}

static void test_claims_ahead(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    struct dag *dag = graph_new(8, NULL, 0);
    graph_task(dag, 3)->on_lost = DAG_ON_LOST_FAIL; /* must not be claimed before its worker is known */
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, dag);
    assert_int_equal(model_find(&rig.model, run)->running, 3);
    assert_int_equal(engine_counts(rig.engine).ready_tasks, 7);
    assert_int_equal(engine_counts(rig.engine).running_attempts, 1);
    assert_int_equal(rig_task(&rig, run, 1), TASK_QUEUED);
    /* the freed slot starts what is durable already: its START waits for no commit */
    const struct effect *first = rig_start_of(&rig, run, 0);
    struct engine_attempt end = rig_attempt(first);
    end.outcome = ATTEMPT_SUCCEEDED;
    engine_attempt_ended(rig.engine, first->worker, &end, rig.now);
    rig_dispatch(&rig);
    rig_effects(&rig);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 1), 1);
    assert_int_equal(rig_count(&rig, EFFECT_ACK, run, 0), 0);
    assert_false(engine_batch_is_urgent(rig.engine)); /* so nobody waits for this batch */
    assert_int_equal(engine_batch_slots(rig.engine), 0);
    rig_settle(&rig);
    assert_int_equal(model_find(&rig.model, run)->running, 2); /* 1 runs, 2 is claimed; 3 stands in front */
    rig_end(&rig, run, 1, ATTEMPT_SUCCEEDED);
    rig_end(&rig, run, 2, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_count(&rig, EFFECT_START, run, 3), 1);
    assert_int_equal(model_find(&rig.model, run)->running, 3);
    rig_fini(&rig);
}

/* A slot that starts what was claimed ahead in a batch still open waits for that batch. */
static void test_a_slot_waits(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(4, NULL, 0));
    for (uint32_t i = 0; i < 2; i++) {
        const struct effect *start = rig_start_of(&rig, run, i);
        struct engine_attempt end = rig_attempt(start);
        end.outcome = ATTEMPT_SUCCEEDED;
        engine_attempt_ended(rig.engine, start->worker, &end, rig.now);
        rig_dispatch(&rig);
        assert_int_equal(engine_batch_is_urgent(rig.engine), i == 1);
        assert_int_equal(engine_batch_slots(rig.engine), i);
        rig_effects(&rig);
    }
    rig_settle(&rig);
    rig_fini(&rig);
}

static void test_queues_are_shares(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 3);
    (void)rig_worker(&rig, 1);
    struct uuid drained = rig_worker(&rig, 2);
    assert_true(engine_set_worker_draining(rig.engine, drained, true));
    (void)rig_trigger(&rig, graph_new(4 + 5, NULL, 0));
    struct engine_worker_view views[3];
    (void)engine_workers(rig.engine, views, 3);
    assert_int_equal(views[0].running + views[0].queued, 5); /* 3 + 2 */
    assert_int_equal(views[1].running + views[1].queued, 4); /* 1 + 3 */
    assert_int_equal(views[2].queued, 0);
    (void)rig_trigger(&rig, graph_new(1000, NULL, 0));
    (void)engine_workers(rig.engine, views, 3);
    assert_int_equal(views[0].queued, LIMIT_WORKER_QUEUE_MAX);
    assert_int_equal(views[1].queued, LIMIT_WORKER_QUEUE_MAX);
    assert_int_equal(engine_workers(rig.engine, views, 2), 2);
    rig_fini(&rig);
}

/* The shares are those of one task at a time to the least loaded, whatever runs and waits. */
static void test_shares_one_by_one(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    for (uint32_t slots = 1; slots < 40; slots += slots / 2 + 1)
        (void)rig_worker(&rig, slots);
    struct engine_worker_view views[8];
    for (uint32_t more = 1; more < 400; more += more / 2 + 1) {
        (void)rig_trigger(&rig, graph_new(more, NULL, 0));
        size_t count = engine_workers(rig.engine, views, 8);
        uint32_t shares[8] = {0};
        for (uint64_t waiting = engine_counts(rig.engine).ready_tasks; waiting; waiting--) {
            size_t best = count;
            for (size_t i = 0; i < count; i++)
                if (shares[i] < LIMIT_WORKER_QUEUE_MAX &&
                    (best == count || views[i].running + shares[i] < views[best].running + shares[best]))
                    best = i;
            if (best == count)
                break;
            shares[best]++;
        }
        for (size_t i = 0; i < count; i++)
            assert_int_equal(views[i].queued, shares[i]);
    }
    rig_fini(&rig);
}

/* What was claimed ahead gives way to what became ready behind it and is better. */
static void test_one_by_one(void **state)
{
    (void)state;
    static const struct graph_edge edges[] = {{0, 4}, {4, 5}};
    static const uint32_t order[] = {4, 1, 2, 3, 5};
    struct rig rig;
    rig_init(&rig, 8);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(6, edges, 2));
    assert_non_null(rig_start_of(&rig, run, 0));
    engine_set_one_by_one(rig.engine, true);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rig.effects[rig.effect_count - 1].task, order[i]);
        assert_int_equal(rig.effects[rig.effect_count - 1].number, 1);
        rig_end(&rig, run, order[i], ATTEMPT_SUCCEEDED);
    }
    assert_int_equal(rig_run(&rig, run), RUN_SUCCEEDED);
    rig_fini(&rig);
}

static void test_hold_starts(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(3, NULL, 0));
    engine_hold_starts(rig.engine, true);
    rig_end(&rig, run, 0, ATTEMPT_SUCCEEDED);
    assert_int_equal(rig_task(&rig, run, 0), TASK_SUCCEEDED);
    assert_null(rig_start_of(&rig, run, 1));
    engine_hold_starts(rig.engine, false);
    rig_settle(&rig);
    assert_non_null(rig_start_of(&rig, run, 1));
    rig_fini(&rig);
}

/* Fences grow beyond 2^32 claims of one start without touching those of the next. */
static void test_fences_of_two_starts(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 1);
    struct uuid run = rig_trigger(&rig, graph_new(2, NULL, 0));
    uint64_t first = rig_start_of(&rig, run, 0)->fence;
    rig_crash(&rig);
    (void)rig_reconcile(&rig, true);
    (void)rig_worker(&rig, 1);
    uint64_t second = rig_start_of(&rig, run, 0)->fence;
    assert_true(second - first >= UINT64_C(1) << 40);
    rig_fini(&rig);
}

/* One commit without the live view; false when there was nothing to commit. */
static bool commit_quietly(struct rig *rig)
{
    struct batch *batch = rig_take(rig);
    if (!batch)
        return false;
    model_commit(&rig->model, batch);
    engine_committed(rig->engine, batch, rig->now);
    record_batch_free(batch);
    return true;
}

/* 1,000,000 tasks in layers of 1,000, each task waiting for three of the layer before. */
static void test_million(void **state)
{
    (void)state;
    enum { COUNT = 1000000, WIDTH = 1000, SLOTS = 64 };
    struct graph_edge *edges = mem_new_array(struct graph_edge, 3 * COUNT);
    size_t edge_count = 0;
    for (uint32_t task = WIDTH; task < COUNT; task++)
        for (uint32_t i = 0; i < 3; i++)
            edges[edge_count++] = (struct graph_edge){(task / WIDTH - 1) * WIDTH + (task + i) % WIDTH, task};
    struct rig rig;
    rig_init(&rig, 16);
    engine_worker_joined(rig.engine, (struct uuid){{1}}, SLOTS, NULL, 0, rig.now);
    const struct command command = {
        .kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(COUNT, edges, edge_count)};
    mem_free(edges);
    struct rig_answer answer;
    rig_command(&rig, &command, &answer);
    while (commit_quietly(&rig)) {
        engine_dispatch(rig.engine, rig.now);
        rig_effects(&rig);
        for (size_t i = 0; i < rig.effect_count; i++) {
            if (rig.effects[i].kind != EFFECT_START)
                continue;
            struct engine_attempt end = rig_attempt(&rig.effects[i]);
            end.outcome = ATTEMPT_SUCCEEDED;
            engine_attempt_ended(rig.engine, rig.effects[i].worker, &end, rig.now);
        }
        rig.effect_count = 0;
    }
    assert_int_equal(model_find(&rig.model, answer.result.run_id)->run.state, RUN_SUCCEEDED);
    assert_int_equal(rig.model.ends, COUNT);
    engine_check(rig.engine);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least_loaded),
        cmocka_unit_test(test_longest_path_first),
        cmocka_unit_test(test_runs_share_the_slots),
        cmocka_unit_test(test_queues_are_shares),
        cmocka_unit_test(test_shares_one_by_one),
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_hold_starts),
        cmocka_unit_test(test_million),
        cmocka_unit_test(test_fences_of_two_starts),
        cmocka_unit_test(test_claims_ahead),
        cmocka_unit_test(test_a_slot_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
