#include "store/conformance.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"

static const uint8_t plan[SUITE_TASKS] = {RECORD_KEPT, 0, RECORD_SKIP, 0, 0};

static void change_run(struct suite *suite, enum record_kind kind, struct uuid id)
{
    struct batch *batch = suite_batch(suite);
    struct record *record = record_add(batch, kind, 0);
    record->run.id = id;
    if (kind == RECORD_RUN_START)
        record->run.started_ms = suite->now_ms;
    else
        record->run.cancel_ms = suite->now_ms;
    suite_commit_all(suite, batch);
}

static void assert_outcomes(const struct record_run *run, const uint8_t wanted[SUITE_TASKS])
{
    uint8_t values[SUITE_TASKS];
    assert_true(record_runs_decode(run->outcomes, run->outcomes_len, values, SUITE_TASKS));
    assert_memory_equal(values, wanted, SUITE_TASKS);
}

/* A rerun, as it is born. */
static struct uuid make_rerun(struct suite *suite, struct uuid dag, struct uuid source)
{
    struct batch *batch = suite_batch(suite);
    struct uuid id = suite_id(suite);
    struct record_run *row = &put_run(suite, batch, record_add_group(batch), id, dag)->run;
    row->trigger = TRIGGER_DLQ;
    row->source = source;
    row->resolves_source = true;
    row->request_id = "req-\xe2\x82\xac";
    row->changes = "{\"t\":{\"command\":\"x\"}}";
    row->trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 a=1";
    record_runs_encode(plan, SUITE_TASKS, &batch->arena, &row->outcomes, &row->outcomes_len);
    suite_commit_all(suite, batch);
    return id;
}

static void test_life(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "etl"), source = suite_make_run(suite, dag);
    int64_t created = suite_tick(suite);
    struct uuid id = make_rerun(suite, dag, source);
    struct store_run run = suite_run(suite, id);
    assert_string_equal(run.dag_name, "etl");
    assert_uuid(run.run.dag_id, dag);
    assert_uuid(run.run.source, source);
    assert_int_equal(run.run.dag_version, 1);
    assert_int_equal(run.run.task_count, SUITE_TASKS);
    assert_null(run.run.dag);
    assert_int_equal(run.run.state, RUN_PENDING);
    assert_int_equal(run.run.trigger, TRIGGER_DLQ);
    assert_true(run.run.resolves_source);
    assert_text(run.run.request_id, "req-\xe2\x82\xac");
    assert_text(run.run.changes, "{\"t\":{\"command\":\"x\"}}");
    assert_text(run.run.trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 a=1");
    assert_int_equal(run.run.created_ms, created);
    assert_int_equal(run.run.started_ms, 0);
    assert_int_equal(run.run.completed_ms, 0);
    assert_int_equal(run.run.cancel_ms, 0);
    assert_null(run.run.error);
    assert_outcomes(&run.run, plan);
    run = suite_run(suite, source);
    assert_true(uuid_is_zero(run.run.source));
    assert_false(run.run.resolves_source);
    assert_null(run.run.request_id);
    assert_null(run.run.changes);
    assert_null(run.run.trace);
    assert_int_equal(run.run.outcomes_len, 0);

    int64_t started = suite_tick(suite);
    change_run(suite, RECORD_RUN_START, id);
    assert_int_equal(suite_run(suite, id).run.state, RUN_RUNNING);
    int64_t canceled = suite_tick(suite);
    change_run(suite, RECORD_RUN_CANCEL, id);
    suite_reopen(suite);
    run = suite_run(suite, id);
    assert_int_equal(run.run.state, RUN_RUNNING);
    assert_int_equal(run.run.started_ms, started);
    assert_int_equal(run.run.cancel_ms, canceled);
    assert_outcomes(&run.run, plan);
}

static void test_ends(void **state)
{
    struct suite *suite = *state;
    static const uint8_t tasks[SUITE_TASKS] = {TASK_SUCCEEDED, TASK_SUCCEEDED, TASK_FAILED, TASK_SKIPPED,
                                               TASK_CANCELED};
    static const enum run_state ends[] = {RUN_SUCCEEDED, RUN_FAILED, RUN_CANCELED};
    struct uuid dag = suite_make_dag(suite, "etl"), ids[6];
    for (int i = 0; i < 6; i++) {
        ids[i] = make_rerun(suite, dag, suite_id(suite));
        int64_t started = suite_tick(suite);
        if (i % 2)
            change_run(suite, RECORD_RUN_START, ids[i]);
        int64_t completed = suite_tick(suite);
        struct batch *batch = suite_batch(suite);
        struct record_run *row = &put_run_end(suite, batch, ids[i], dag, ends[i / 2])->run;
        row->started_ms = i % 2 ? started : 0;
        row->error = ends[i / 2] == RUN_FAILED ? "task 'a' failed: exit status 1" : NULL;
        suite_commit_all(suite, batch);
        for (int life = 0; life < 2; life++) {
            struct record_run run = suite_run(suite, ids[i]).run;
            assert_int_equal(run.state, ends[i / 2]);
            assert_int_equal(run.completed_ms, completed);
            assert_int_equal(run.started_ms, i % 2 ? started : 0);
            assert_text(run.error, ends[i / 2] == RUN_FAILED ? "task 'a' failed: exit status 1" : NULL);
            assert_int_equal(run.succeeded_count, 2);
            assert_int_equal(run.failed_count, 1);
            assert_int_equal(run.skipped_count, 1);
            assert_int_equal(run.canceled_count, 1);
            assert_int_equal(run.trigger, TRIGGER_DLQ);
            assert_text(run.request_id, "req-\xe2\x82\xac");
            assert_text(run.changes, "{\"t\":{\"command\":\"x\"}}");
            assert_text(run.trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 a=1");
            assert_outcomes(&run, tasks);
            suite_reopen(suite);
        }
    }
    const struct store_run_query without = {.page.limit = 10};
    struct store_runs runs;
    assert_int_equal(store_list_runs(suite->store, &without, &suite->arena, &runs, NULL), 0);
    assert_int_equal(runs.count, 6);
    for (int i = 0; i < 6; i++) {
        assert_null(runs.items[i].run.outcomes);
        assert_int_equal(runs.items[i].run.outcomes_len, 0);
    }
}

static void assert_runs(struct suite *suite, const struct store_run_query *query, const struct uuid *ids, size_t count)
{
    struct store_runs runs;
    assert_int_equal(store_list_runs(suite->store, query, &suite->arena, &runs, NULL), 0);
    assert_int_equal(runs.count, count);
    for (size_t i = 0; i < count; i++)
        assert_uuid(runs.items[i].run.id, ids[i]);
}

/* Every third has ended, every second is of the other DAG. */
static void test_lists(void **state)
{
    struct suite *suite = *state;
    enum { COUNT = 24 };
    struct uuid dags[2] = {suite_make_dag(suite, "a"), suite_make_dag(suite, "b")}, ids[COUNT], picked[COUNT];
    for (int i = COUNT - 1; i >= 0; i--) { /* ids: newest first */
        ids[i] = suite_make_run(suite, dags[i % 2]);
        if (i % 3 == 0)
            suite_end_run(suite, ids[i], dags[i % 2], i % 4 ? RUN_SUCCEEDED : RUN_FAILED);
        else if (i % 5 == 0)
            change_run(suite, RECORD_RUN_START, ids[i]);
    }
    suite_reopen(suite);
    assert_runs(suite, &(struct store_run_query){.page.limit = 100}, ids, COUNT);
    for (uint32_t offset = 0; offset < COUNT + 3; offset += 5) {
        size_t left = offset < COUNT ? COUNT - offset : 0;
        const struct store_run_query query = {.page = {.limit = 5, .offset = offset}};
        assert_runs(suite, &query, ids + (offset < COUNT ? offset : 0), left < 5 ? left : 5);
    }
    for (size_t i = 0; i < COUNT; i++) {
        const struct store_run_query query = {.page = {.limit = 4, .before = ids[i]}};
        assert_runs(suite, &query, ids + i + 1, COUNT - 1 - i < 4 ? COUNT - 1 - i : 4);
    }
    const struct store_run_query newer = {.page = {.limit = 100, .before = suite_id(suite)}};
    assert_runs(suite, &newer, ids, COUNT);
    for (enum run_state wanted = RUN_PENDING; wanted < RUN_STATE_COUNT; wanted++) {
        size_t by_state = 0, of_dag = 0;
        struct uuid both[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            enum run_state is = i % 3 == 0   ? (i % 4 ? RUN_SUCCEEDED : RUN_FAILED)
                                : i % 5 == 0 ? RUN_RUNNING
                                             : RUN_PENDING;
            if (is != wanted)
                continue;
            picked[by_state++] = ids[i];
            if (i % 2)
                both[of_dag++] = ids[i];
        }
        assert_runs(suite, &(struct store_run_query){.page.limit = 100, .states = 1u << wanted}, picked,
                    by_state);
        const struct store_run_query query = {
            .page.limit = 100, .dag_id = dags[1], .states = 1u << wanted};
        assert_runs(suite, &query, both, of_dag);
        if (by_state > 2) {
            const struct store_run_query page = {
                .page = {.limit = 2, .offset = 1, .before = picked[0]}, .states = 1u << wanted};
            assert_runs(suite, &page, picked + 2, by_state - 2 < 2 ? by_state - 2 : 2);
        }
    }
    for (size_t i = 0; i < COUNT / 2; i++)
        picked[i] = ids[2 * i];
    assert_runs(suite, &(struct store_run_query){.page.limit = 100, .dag_id = dags[0]}, picked, COUNT / 2);
    const struct store_run_query page = {.page = {.limit = 3, .before = ids[7]}, .dag_id = dags[0]};
    assert_runs(suite, &page, picked + 4, 3);
    assert_runs(suite, &(struct store_run_query){.page.limit = 5, .dag_id = suite_id(suite)}, NULL, 0);
    assert_runs(suite, &(struct store_run_query){.page.limit = 5, .id = ids[3]}, ids + 3, 1);
    assert_runs(suite, &(struct store_run_query){.page.limit = 5, .id = ids[4], .dag_id = dags[1]}, NULL, 0);
}

/* Runs are made by dlq every fourth time, else by the API; every third has failed, with a number in its error. */
static void make_filtered(struct suite *suite, struct uuid dag, struct uuid *ids, int count)
{
    char error[80];
    for (int i = count - 1; i >= 0; i--) { /* ids: newest first */
        ids[i] = i % 4 ? suite_make_run(suite, dag) : make_rerun(suite, dag, suite_id(suite));
        if (i % 3)
            continue;
        struct batch *batch = suite_batch(suite);
        struct record *end = put_run_end(suite, batch, ids[i], dag, RUN_FAILED);
        (void)snprintf(error, sizeof error, "Task 'load' failed: exit status %d", i);
        end->run.error = arena_strdup(&batch->arena, error);
        suite_commit_all(suite, batch);
    }
}

static struct uuid list_scanned(struct suite *suite, const struct store_run_query *query, size_t count)
{
    struct store_runs runs;
    assert_int_equal(store_list_runs(suite->store, query, &suite->arena, &runs, NULL), 0);
    assert_int_equal(runs.count, count);
    return runs.scanned;
}

static void test_filters(void **state)
{
    struct suite *suite = *state;
    enum { COUNT = 600 }; /* more than are looked at in one go */
    struct uuid dag = suite_make_dag(suite, "a"), ids[COUNT], picked[COUNT];
    size_t found = 0;
    make_filtered(suite, dag, ids, COUNT);
    struct store_run_query query = {.page.limit = 1000, .since = ids[99]};
    assert_runs(suite, &query, ids, 100);
    query.page.before = ids[49];
    assert_runs(suite, &query, ids + 50, 50);
    query.since = ids[40];
    assert_runs(suite, &query, NULL, 0);
    for (int i = 0; i < COUNT; i += 4)
        picked[found++] = ids[i];
    query = (struct store_run_query){.page.limit = 1000, .triggers = 1u << TRIGGER_DLQ};
    assert_runs(suite, &query, picked, found);
    query.page = (struct store_page){.limit = 5, .offset = 3, .before = ids[0]};
    assert_runs(suite, &query, picked + 4, 5);
    query.dag_id = dag;
    query.states = 1u << RUN_FAILED | 1u << RUN_SUCCEEDED;
    for (found = 0; found < COUNT / 12; found++)
        picked[found] = ids[12 * found];
    query.page = (struct store_page){.limit = 1000};
    assert_runs(suite, &query, picked, found);
    query.error_part = "STATUS 120";
    assert_runs(suite, &query, picked + 10, 1);
    query.error_part = "status 121";
    assert_runs(suite, &query, NULL, 0);
    query = (struct store_run_query){.page.limit = 1000, .states = 1u << RUN_FAILED | 1u << RUN_PENDING};
    assert_runs(suite, &query, ids, COUNT);
    /* An end to looking: 300 runs from the newest on, 75 of them by the dead letters. */
    query = (struct store_run_query){.page.limit = 1000, .triggers = 1u << TRIGGER_DLQ, .scan_max = 300};
    assert_uuid(list_scanned(suite, &query, 75), ids[299]);
    query.page.before = ids[299];
    assert_uuid(list_scanned(suite, &query, 75), ids[599]);
    query.page = (struct store_page){.limit = 75};
    assert_uuid(list_scanned(suite, &query, 75), (struct uuid){{0}}); /* the page is full */
    query.page = (struct store_page){.limit = 1000};
    query.scan_max = COUNT + 1;
    assert_uuid(list_scanned(suite, &query, 150), (struct uuid){{0}});
}

static void test_instances(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "etl"), ids[4];
    static const uint8_t low_bytes[4][4] = {{0}, {0xff, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xfd}, {1, 2, 3, 4}};
    struct store_run run;
    for (int i = 0; i < 4; i++) {
        struct batch *batch = suite_batch(suite);
        ids[i] = suite_id(suite);
        memcpy(ids[i].bytes + 12, low_bytes[i], 4); /* ids of instances wrap inside these */
        (void)put_run(suite, batch, record_add_group(batch), ids[i], dag);
        suite_commit_all(suite, batch);
    }
    suite_end_run(suite, ids[3], dag, RUN_SUCCEEDED);
    for (int i = 0; i < 4; i++) {
        for (uint32_t task = 0; task < SUITE_TASKS; task++) {
            struct uuid instance = record_instance_id(ids[i], task);
            assert_int_equal(store_get_run_by_instance(suite->store, instance, &suite->arena, &run, NULL), 0);
            assert_uuid(run.run.id, ids[i]);
            assert_int_equal(record_instance_task(run.run.id, instance), task);
        }
        struct uuid beyond = record_instance_id(ids[i], SUITE_TASKS);
        struct error err = {0};
        assert_int_equal(store_get_run_by_instance(suite->store, beyond, &suite->arena, &run, &err),
                         ERROR_TASK_NOT_FOUND);
        assert_int_equal(store_get_run_by_instance(suite->store, ids[i], &suite->arena, &run, &err),
                         ERROR_TASK_NOT_FOUND); /* the run itself is none of its tasks */
    }
    struct error err = {0};
    assert_int_equal(store_get_run(suite->store, suite_id(suite), &suite->arena, &run, &err), ERROR_RUN_NOT_FOUND);
    assert_int_equal(err.code, ERROR_RUN_NOT_FOUND);
}

/* A trigger with a key; the run's id in *ret_id. */
static struct verdict trigger(struct suite *suite, const char *key, const char *principal, uint64_t digest,
                              struct uuid dag, struct uuid *ret_id)
{
    struct batch *batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    *ret_id = suite_id(suite);
    put_key(suite, batch, group, key, digest, dag, *ret_id)->idempotency.principal = principal;
    (void)put_run(suite, batch, group, *ret_id, dag);
    suite_commit(suite, batch);
    struct verdict verdict = batch->verdicts[0];
    record_batch_free(batch);
    struct store_run run;
    int code = store_get_run(suite->store, *ret_id, &suite->arena, &run, NULL);
    assert_int_equal(code, verdict.refused ? ERROR_RUN_NOT_FOUND : 0);
    return verdict;
}

static void assert_replayed(struct verdict verdict, struct uuid run)
{
    assert_true(verdict.refused);
    assert_int_equal(verdict.code, ERROR_OK);
    assert_uuid(verdict.run_id, run);
}

static void test_idempotency(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), other = suite_make_dag(suite, "b"), first, id;
    uint64_t digest = 0xfedcba9876543210u; /* more than a signed number holds */
    assert_false(trigger(suite, "k", "", digest, dag, &first).refused);
    for (int life = 0; life < 2; life++) {
        assert_replayed(trigger(suite, "k", "", digest, dag, &id), first);
        struct verdict verdict = trigger(suite, "k", "", digest + 1, dag, &id);
        assert_true(verdict.refused);
        assert_int_equal(verdict.code, ERROR_IDEMPOTENCY_MISMATCH);
        suite_reopen(suite);
    }
    assert_false(trigger(suite, "K", "", digest, dag, &id).refused);
    assert_false(trigger(suite, "k", "", digest, other, &id).refused);
    assert_false(trigger(suite, "k", "ann", digest + 5, dag, &id).refused);
    struct uuid anns = id;
    assert_replayed(trigger(suite, "k", "ann", digest + 5, dag, &id), anns);

    /* 24 hours from the first use; then it is a new key */
    suite->now_ms += LIMIT_IDEMPOTENCY_MS - 1000;
    assert_replayed(trigger(suite, "k", "", digest, dag, &id), first);
    suite->now_ms += 2000;
    assert_false(trigger(suite, "k", "", digest + 7, dag, &id).refused);
    first = id;
    suite->now_ms += LIMIT_IDEMPOTENCY_MS - 1000;
    assert_replayed(trigger(suite, "k", "", digest + 7, dag, &id), first);
    suite_end_run(suite, first, dag, RUN_SUCCEEDED);
    assert_replayed(trigger(suite, "k", "", digest + 7, dag, &id), first); /* whatever became of the run */
}

/* Housekeeping forgets what is too old and nothing else. */
static void test_idempotency_and_housekeeping(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), old, young, id;
    int64_t next_ms;
    assert_false(trigger(suite, "old", "", 1, dag, &old).refused);
    suite->now_ms += LIMIT_IDEMPOTENCY_MS - 5000;
    assert_false(trigger(suite, "young", "", 1, dag, &young).refused);
    assert_int_equal(store_maintain(suite->store, suite->now_ms, true, &next_ms, NULL), 0);
    assert_replayed(trigger(suite, "old", "", 1, dag, &id), old);
    suite->now_ms += 10000;
    assert_int_equal(store_maintain(suite->store, suite->now_ms, true, &next_ms, NULL), 0);
    assert_replayed(trigger(suite, "young", "", 1, dag, &id), young);
    assert_false(trigger(suite, "old", "", 2, dag, &id).refused);
}

/* Two requests with one key in one batch; and a key of a group that is refused for another reason stays free. */
static void test_keys_and_groups(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), first = suite_id(suite), second = suite_id(suite);
    struct batch *batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    (void)put_key(suite, batch, group, "k", 1, dag, first);
    (void)put_run(suite, batch, group, first, dag);
    group = record_add_group(batch);
    (void)put_key(suite, batch, group, "k", 1, dag, second);
    (void)put_run(suite, batch, group, second, dag);
    suite_commit(suite, batch);
    assert_false(batch->verdicts[0].refused);
    assert_replayed(batch->verdicts[1], first);
    record_batch_free(batch);

    batch = suite_batch(suite);
    group = record_add_group(batch);
    struct uuid never = suite_id(suite), id;
    (void)put_key(suite, batch, group, "free", 1, dag, never);
    (void)put_resolve(suite, batch, group, suite_id(suite), RESOLUTION_RETRIED, never);
    (void)put_run(suite, batch, group, never, dag);
    suite_commit(suite, batch);
    assert_true(batch->verdicts[0].refused);
    assert_int_equal(batch->verdicts[0].code, ERROR_DEAD_LETTER_NOT_FOUND);
    record_batch_free(batch);
    assert_false(trigger(suite, "free", "", 2, dag, &id).refused);
}

struct load {
    struct suite *suite;
    const struct uuid *wanted;
    size_t count, sources;
    int code;
};

static int note(void *context, const struct store_active *active, struct error *err)
{
    struct load *load = context;
    assert_uuid(active->run.id, load->wanted[load->count]);
    assert_null(active->run.dag);
    assert_text(active->dag_name, load->count % 2 ? "b" : "a");
    if (active->source) {
        assert_memory_equal(active->source, SUITE_SOURCE, strlen(SUITE_SOURCE));
        assert_int_equal(active->source_len, strlen(SUITE_SOURCE));
        load->sources++;
    }
    if (load->count == 0) {
        assert_non_null(active->source);
        assert_int_equal(active->run.state, RUN_RUNNING);
        assert_int_equal(active->run.task_count, SUITE_TASKS);
        assert_true(active->run.resolves_source);
        assert_int_equal(active->run.trigger, TRIGGER_DLQ);
        assert_true(active->run.started_ms > active->run.created_ms);
        assert_true(active->run.cancel_ms > active->run.started_ms);
        assert_outcomes(&active->run, plan);
        static const uint32_t order[4][2] = {{1, 1}, {1, 2}, {3, 1}, {4, 1}};
        assert_int_equal(active->attempt_count, 4);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(active->attempts[i].task, order[i][0]);
            assert_int_equal(active->attempts[i].number, order[i][1]);
            assert_uuid(active->attempts[i].run_id, active->run.id);
        }
        assert_int_equal(active->attempts[0].state, ATTEMPT_FAILED);
        assert_text(active->attempts[0].error, "exit status 1");
        assert_true(active->attempts[0].retry_ms > 0);
        assert_int_equal(active->attempts[1].state, ATTEMPT_RUNNING);
        assert_int_equal(active->attempts[1].exit_code, -1);
        assert_true(active->attempts[1].fence > active->attempts[0].fence);
    } else {
        assert_int_equal(active->attempt_count, 0);
        assert_int_equal(active->run.outcomes_len, 0);
    }
    load->count++;
    return load->code ? error_set(err, ERROR_INTERNAL, "enough") : 0;
}

static void test_load_active(void **state)
{
    struct suite *suite = *state;
    struct uuid dags[2] = {suite_make_dag(suite, "a"), suite_make_dag(suite, "b")}, active[4];
    suite_end_run(suite, suite_make_run(suite, dags[0]), dags[0], RUN_SUCCEEDED);
    suite_tick(suite);
    active[0] = make_rerun(suite, dags[0], suite_id(suite));
    suite_tick(suite);
    change_run(suite, RECORD_RUN_START, active[0]);
    suite_tick(suite);
    change_run(suite, RECORD_RUN_CANCEL, active[0]);
    struct record_attempt first = suite_claim(suite, active[0], 1, 1);
    (void)suite_claim(suite, active[0], 4, 1);
    (void)suite_claim(suite, active[0], 3, 1);
    struct batch *batch = suite_batch(suite);
    struct record_attempt *end = &put_end(suite, batch, &first, ATTEMPT_FAILED)->attempt;
    end->retry_ms = suite->now_ms + 500;
    end->task_state = TASK_PENDING;
    end->error = "exit status 1";
    (void)put_claim(suite, batch, active[0], 1, 2);
    suite_commit_all(suite, batch);
    active[1] = suite_make_run(suite, dags[1]);
    suite_end_run(suite, suite_make_run(suite, dags[1]), dags[1], RUN_FAILED);
    active[2] = suite_make_run(suite, dags[0]);
    active[3] = suite_make_run(suite, dags[1]);
    for (int life = 0; life < 2; life++) {
        suite_reopen(suite);
        for (int again = 0; again < 2; again++) { /* "this load", not "this life" */
            struct load load = {.suite = suite, .wanted = active};
            assert_int_equal(store_load_active(suite->store, note, &load, NULL), 0);
            assert_int_equal(load.count, 4);
            assert_int_equal(load.sources, 2);
        }
    }
    struct load load = {.suite = suite, .wanted = active, .code = ERROR_INTERNAL};
    struct error err = {0};
    assert_int_equal(store_load_active(suite->store, note, &load, &err), ERROR_INTERNAL);
    assert_int_equal(load.count, 1);
    assert_string_equal(err.text, "enough");
    (void)suite_make_run(suite, dags[0]); /* the store goes on */
}

const struct conformance_test conformance_runs[] = {
    {"a run's life", test_life},
    {"a run's ends", test_ends},
    {"lists of runs", test_lists},
    {"filters of runs", test_filters},
    {"task instances", test_instances},
    {"idempotency keys", test_idempotency},
    {"keys and housekeeping", test_idempotency_and_housekeeping},
    {"keys and groups", test_keys_and_groups},
    {"load what is active", test_load_active},
    {NULL, NULL},
};
