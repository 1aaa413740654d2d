/* Snapshots: immutable for who holds one, shared where nothing changed, gone when the run is over. */
#include "support/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_owned.h"
#include "live/live.h"

enum { TASKS = 10000 };

static const struct uuid run_id = {{1, 2, 3, [15] = 250}};
static const struct uuid worker = {{9}};

static struct dag *make_dag(void)
{
    struct dag_owned *owned = dag_owned_new();
    owned->dag.task_count = TASKS;
    return &owned->dag;
}

/* A live view with one run, born. Drops the reference. */
static struct live *with_run(struct dag *dag, const uint8_t *plan)
{
    struct live *live = live_new();
    struct batch *batch = record_batch_new(1);
    uint32_t group = record_add_group(batch);
    struct record_run *row = &record_add(batch, RECORD_RUN_CREATE, group)->run;
    row->id = run_id;
    row->dag = dag_ref(dag);
    row->task_count = TASKS;
    row->created_ms = 100;
    row->request_id = "request";
    if (plan)
        record_runs_encode(plan, TASKS, &batch->arena, &row->outcomes, &row->outcomes_len);
    live_apply(live, batch, 100);
    record_batch_free(batch);
    dag_unref(dag);
    return live;
}

static void apply_attempt(struct live *live, enum record_kind kind, const struct record_attempt *attempt,
                          int64_t now_ms)
{
    struct batch *batch = record_batch_new(2);
    struct record *record = record_add(batch, kind, 0);
    record->attempt = *attempt;
    record->attempt.run_id = run_id;
    live_apply(live, batch, now_ms);
    record_batch_free(batch);
}

static struct live_task task_now(struct live *live, uint32_t task)
{
    struct live_run *run = live_get(live, run_id);
    assert_non_null(run);
    struct live_task view;
    live_run_task(run, task, &view);
    live_unref(run);
    return view;
}

static void test_birth(void **state)
{
    (void)state;
    uint8_t *plan = mem_zalloc(TASKS);
    plan[1] = RECORD_KEPT;
    plan[9999] = RECORD_SKIP;
    struct live *live = with_run(make_dag(), plan);
    mem_free(plan);
    assert_int_equal(live_count(live), 1);
    struct live_run *run = live_get(live, run_id);
    assert_string_equal(live_run_record(run)->request_id, "request");
    assert_int_equal(live_run_counts(run)[TASK_PENDING], TASKS - 2);
    live_unref(run);
    assert_int_equal(task_now(live, 0).state, TASK_PENDING);
    assert_int_equal(task_now(live, 0).exit_code, -1);
    assert_int_equal(task_now(live, 1).state, TASK_SUCCEEDED);
    assert_true(task_now(live, 1).kept);
    assert_int_equal(task_now(live, 9999).state, TASK_SKIPPED);
    assert_false(task_now(live, 9999).kept);
    live_free(live);
}

static void test_refused_birth(void **state)
{
    (void)state;
    struct live *live = live_new();
    struct dag *dag = make_dag();
    struct batch *batch = record_batch_new(1);
    uint32_t group = record_add_group(batch);
    struct record_run *row = &record_add(batch, RECORD_RUN_CREATE, group)->run;
    row->id = run_id;
    row->dag = dag;
    row->task_count = TASKS;
    batch->verdicts[0].refused = true;
    live_apply(live, batch, 100);
    record_batch_free(batch);
    assert_int_equal(live_count(live), 0);
    assert_null(live_get(live, run_id));
    live_free(live);
}

static void test_an_attempt(void **state)
{
    (void)state;
    struct live *live = with_run(make_dag(), NULL);
    const struct record_attempt claim = {
        .task = 5000, .number = 1, .worker = worker, .claimed_ms = 200, .exit_code = -1};
    apply_attempt(live, RECORD_ATTEMPT_CLAIM, &claim, 200);
    assert_int_equal(task_now(live, 5000).state, TASK_RUNNING);
    struct record_attempt end = claim;
    end.started_ms = 210;
    end.ended_ms = 250;
    end.state = ATTEMPT_FAILED;
    end.error = "exit status 3";
    end.error_type = FAILURE_EXIT;
    end.exit_code = 3;
    end.retry_ms = 900;
    end.task_state = TASK_PENDING;
    apply_attempt(live, RECORD_ATTEMPT_END, &end, 260);
    struct live_run *held = live_get(live, run_id);
    struct live_task view = task_now(live, 5000);
    assert_int_equal(view.state, TASK_PENDING);
    assert_int_equal(view.next_attempt_ms, 900);
    assert_int_equal(view.since_ms, 260);
    assert_int_equal(view.exit_code, 3);
    /* the next attempt wipes the error, but not for who still holds the snapshot before */
    const struct record_attempt again = {
        .task = 5000, .number = 2, .worker = worker, .claimed_ms = 900, .exit_code = -1};
    apply_attempt(live, RECORD_ATTEMPT_CLAIM, &again, 900);
    assert_null(task_now(live, 5000).error);
    assert_int_equal(task_now(live, 5000).attempt, 2);
    live_run_task(held, 5000, &view);
    assert_string_equal(view.error, "exit status 3");
    assert_int_equal(view.attempt, 1);
    assert_int_equal(live_run_counts(held)[TASK_RUNNING], 0);
    live_unref(held);
    live_free(live);
}

static void test_withdrawn(void **state)
{
    (void)state;
    struct live *live = with_run(make_dag(), NULL);
    const struct record_attempt claim = {.task = 7, .number = 1, .worker = worker, .claimed_ms = 200, .exit_code = -1};
    apply_attempt(live, RECORD_ATTEMPT_CLAIM, &claim, 200);
    struct batch *batch = record_batch_new(3);
    struct record *record = record_add(batch, RECORD_ATTEMPT_WITHDRAW, 0);
    record->attempt = claim;
    record->attempt.run_id = run_id;
    record_add_change(batch, run_id, 7, TASK_QUEUED, false);
    live_apply(live, batch, 300);
    record_batch_free(batch);
    const struct live_task view = task_now(live, 7);
    assert_int_equal(view.state, TASK_QUEUED);
    assert_int_equal(view.attempt, 0);
    assert_true(uuid_is_zero(view.worker));
    assert_int_equal(view.claimed_ms, 0);
    live_free(live);
}

/* Changes stand between records: what comes after a claim is applied after it. */
static void test_order_of_changes(void **state)
{
    (void)state;
    struct live *live = with_run(make_dag(), NULL);
    struct batch *batch = record_batch_new(2);
    record_add_change(batch, run_id, 3, TASK_QUEUED, false);
    struct record_attempt *claim = &record_add(batch, RECORD_ATTEMPT_CLAIM, 0)->attempt;
    claim->run_id = run_id;
    claim->task = 3;
    claim->number = 1;
    claim->worker = worker;
    record_add_change(batch, run_id, 4, TASK_SKIPPED, false);
    live_apply(live, batch, 400);
    record_batch_free(batch);
    assert_int_equal(task_now(live, 3).state, TASK_RUNNING);
    assert_int_equal(task_now(live, 4).state, TASK_SKIPPED);
    assert_int_equal(task_now(live, 4).completed_ms, 400);
    live_free(live);
}

static void test_end(void **state)
{
    (void)state;
    struct live *live = with_run(make_dag(), NULL);
    struct live_run *held = live_get(live, run_id);
    struct batch *batch = record_batch_new(2);
    struct record_run *end = &record_add(batch, RECORD_RUN_END, 0)->run;
    end->id = run_id;
    end->state = RUN_FAILED;
    live_apply(live, batch, 500);
    record_batch_free(batch);
    assert_null(live_get(live, run_id));
    assert_int_equal(live_count(live), 0);
    struct live_run *last = live_get_ended(live, run_id);
    assert_non_null(last);
    assert_int_equal(live_run_record(last)->state, RUN_FAILED);
    live_unref(last);
    live_drop_ended(live);
    assert_null(live_get_ended(live, run_id));
    assert_int_equal(live_run_record(held)->state, RUN_PENDING);
    live_unref(held);
    live_free(live);
}

static void test_by_instance(void **state)
{
    (void)state;
    struct live *live = with_run(make_dag(), NULL);
    static const uint32_t tasks[] = {0, 5, 6, TASKS - 1};
    for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) {
        struct live_run *run = live_get_by_instance(live, record_instance_id(run_id, tasks[i]));
        assert_non_null(run);
        live_unref(run);
    }
    assert_null(live_get_by_instance(live, record_instance_id(run_id, TASKS)));
    assert_null(live_get_by_instance(live, run_id));
    live_free(live);
}

struct reader {
    struct live *live;
    atomic_bool stop;
    uint64_t reads;
};

/* Whatever a reader gets is whole: its counts are those of its tasks. */
static void *read_on(void *context)
{
    struct reader *reader = context;
    while (!atomic_load(&reader->stop)) {
        struct live_run *run = live_get(reader->live, run_id);
        uint32_t counts[TASK_STATE_COUNT] = {0};
        for (uint32_t i = 0; i < TASKS; i++) {
            struct live_task view;
            live_run_task(run, i, &view);
            counts[view.state]++;
            if (view.error)
                assert_int_equal(strlen(view.error), 4);
        }
        assert_memory_equal(counts, live_run_counts(run), sizeof counts);
        live_unref(run);
        reader->reads++;
    }
    return NULL;
}

static void test_readers_beside_the_writer(void **state)
{
    (void)state;
    struct live *live = with_run(make_dag(), NULL);
    struct reader reader = {.live = live};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
    for (uint32_t i = 0; i < TASKS; i += 7) {
        const struct record_attempt end = {
            .task = i, .number = 1, .worker = worker, .claimed_ms = 1, .started_ms = 1, .ended_ms = 2,
            .state = ATTEMPT_FAILED, .error = "oops", .task_state = TASK_FAILED};
        apply_attempt(live, RECORD_ATTEMPT_END, &end, 600);
    }
    atomic_store(&reader.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    struct live_run *run = live_get(live, run_id);
    assert_int_equal(live_run_counts(run)[TASK_FAILED], (TASKS + 6) / 7);
    live_unref(run);
    live_free(live);
}

static void test_restore(void **state)
{
    (void)state;
    struct dag *dag = make_dag();
    struct live *live = live_new();
    const struct record_run row = {.id = run_id, .dag = dag, .task_count = TASKS, .state = RUN_RUNNING};
    const struct record_attempt rows[] = {
        {.task = 0, .number = 1, .worker = worker, .state = ATTEMPT_SUCCEEDED, .ended_ms = 5},
        {.task = 1, .number = 1, .worker = worker, .state = ATTEMPT_FAILED, .ended_ms = 5, .retry_ms = 90},
        {.task = 2, .number = 1, .worker = worker, .state = ATTEMPT_FAILED, .ended_ms = 5, .retry_ms = 9},
        {.task = 2, .number = 2, .worker = worker, .state = ATTEMPT_RUNNING, .claimed_ms = 9},
        {.task = 3, .number = 1, .state = ATTEMPT_RUNNING, .claimed_ms = 9},
        {.task = 4, .number = 1, .worker = worker, .state = ATTEMPT_LOST, .ended_ms = 5},
    };
    live_restore(live, &row, rows, 6);
    dag_unref(dag);
    static const enum task_state states[] = {TASK_SUCCEEDED, TASK_PENDING, TASK_RUNNING, TASK_PENDING, TASK_FAILED};
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(task_now(live, i).state, states[i]);
    assert_int_equal(task_now(live, 1).next_attempt_ms, 90);
    assert_int_equal(task_now(live, 2).attempt, 2);
    live_free(live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_birth),
        cmocka_unit_test(test_refused_birth),
        cmocka_unit_test(test_an_attempt),
        cmocka_unit_test(test_withdrawn),
        cmocka_unit_test(test_order_of_changes),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_by_instance),
        cmocka_unit_test(test_readers_beside_the_writer),
        cmocka_unit_test(test_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
