/* What only the store in memory can be told: to fail, and how much room there is. */
#include "store/conformance.h"

#include "base/mem.h"
#include "store/memory/store_memory.h"

static struct store *open_memory(const char *dir)
{
    (void)dir;
    return store_memory_new();
}

static struct store *reopen_memory(struct store *store, const char *dir)
{
    (void)dir;
    store_memory_reopen(store);
    return store;
}

static struct backend memory = {"memory", open_memory, reopen_memory};

static int setup(void **state)
{
    *state = &memory;
    return suite_setup(state);
}

static enum store_room room_of(struct suite *suite)
{
    struct store_status status;
    assert_int_equal(store_get_status(suite->store, &status, NULL), 0);
    assert_int_equal(status.room, suite->store->room);
    return status.room;
}

static void test_full_once(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), id = suite_id(suite);
    struct batch *batches[2] = {suite_batch(suite), suite_batch(suite)};
    (void)put_run(suite, batches[0], record_add_group(batches[0]), id, dag);
    (void)put_claim(suite, batches[1], id, 0, 1);
    store_memory_fail_next(suite->store, ERROR_STORE_FULL);
    struct error err = {0};
    struct store_run run;
    assert_int_equal(store_commit(suite->store, batches, 2, &err), ERROR_STORE_FULL);
    assert_int_equal(room_of(suite), STORE_ROOM_NONE);
    assert_int_equal(store_get_run(suite->store, id, &suite->arena, &run, NULL), ERROR_RUN_NOT_FOUND);
    assert_int_equal(store_commit(suite->store, batches, 2, &err), 0); /* the same batches */
    assert_int_equal(room_of(suite), STORE_ROOM_OK);
    assert_int_equal(suite_count_attempts(suite, id), 1);
    record_batch_free(batches[0]);
    record_batch_free(batches[1]);
}

static void test_failed(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), id = suite_id(suite);
    struct batch *batch = suite_batch(suite);
    (void)put_run(suite, batch, record_add_group(batch), id, dag);
    store_memory_fail_next(suite->store, ERROR_STORE_FAILED);
    struct error err = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_commit(suite->store, &batch, 1, &err), ERROR_STORE_FAILED);
        assert_int_equal(err.code, ERROR_STORE_FAILED);
    }
    struct store_run run;
    struct store_status status;
    int64_t next_ms;
    assert_int_equal(store_get_run(suite->store, id, &suite->arena, &run, &err), ERROR_STORE_FAILED);
    assert_int_equal(store_ping(suite->store, &err), ERROR_STORE_FAILED);
    assert_int_equal(store_maintain(suite->store, 1, true, &next_ms, &err), ERROR_STORE_FAILED);
    assert_int_equal(store_get_status(suite->store, &status, &err), 0);
    assert_true(status.failed);
    suite_reopen(suite);
    assert_int_equal(store_get_status(suite->store, &status, &err), 0);
    assert_false(status.failed);
    assert_int_equal(store_get_run(suite->store, id, &suite->arena, &run, &err), ERROR_RUN_NOT_FOUND);
    suite_commit_all(suite, batch);
    store_memory_fail_next(suite->store, ERROR_STORE_FAILED);
    store_memory_fail_next(suite->store, ERROR_OK); /* taken back */
    (void)suite_make_run(suite, dag);
}

static enum error_code try_one(struct suite *suite, struct batch *batch)
{
    suite_commit(suite, batch);
    struct verdict verdict = batch->verdicts[0];
    record_batch_free(batch);
    assert_int_equal(verdict.refused, verdict.code != ERROR_OK);
    return verdict.code;
}

/* What finishes work goes on; what is new is refused; what is refused anyway keeps its reason. */
static void test_low(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), run = suite_make_run(suite, dag);
    struct record_attempt claim = suite_claim(suite, run, 0, 1);
    struct uuid letter = suite_make_letter(suite, run, dag, 0);
    store_memory_set_room(suite->store, STORE_ROOM_LOW);
    assert_int_equal(room_of(suite), STORE_ROOM_LOW);
    struct batch *batch = suite_batch(suite);
    put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), suite_id(suite))->dag.name = "b";
    assert_int_equal(try_one(suite, batch), ERROR_STORE_FULL);
    batch = suite_batch(suite);
    put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), suite_id(suite))->dag.name = "a";
    assert_int_equal(try_one(suite, batch), ERROR_DAG_EXISTS);
    batch = suite_batch(suite);
    (void)put_dag(suite, batch, RECORD_DAG_UPDATE, record_add_group(batch), dag);
    assert_int_equal(try_one(suite, batch), ERROR_STORE_FULL);
    batch = suite_batch(suite);
    (void)put_dag(suite, batch, RECORD_DAG_PAUSE, record_add_group(batch), dag);
    assert_int_equal(try_one(suite, batch), ERROR_OK);
    batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    struct uuid retry = suite_id(suite);
    (void)put_resolve(suite, batch, group, letter, RESOLUTION_RETRIED, retry);
    (void)put_run(suite, batch, group, retry, dag);
    assert_int_equal(try_one(suite, batch), ERROR_STORE_FULL);
    assert_int_equal(suite_letter(suite, letter).resolution, RESOLUTION_PENDING);
    batch = suite_batch(suite);
    (void)put_resolve(suite, batch, record_add_group(batch), letter, RESOLUTION_RESOLVED, (struct uuid){{0}});
    assert_int_equal(try_one(suite, batch), ERROR_OK);
    batch = suite_batch(suite);
    (void)put_end(suite, batch, &claim, ATTEMPT_FAILED);
    (void)put_letter(suite, batch, suite_id(suite), run, dag, 0);
    (void)put_run_end(suite, batch, run, dag, RUN_FAILED);
    suite_commit_all(suite, batch);
    assert_int_equal(room_of(suite), STORE_ROOM_LOW);
    store_memory_set_room(suite->store, STORE_ROOM_OK);
    (void)suite_make_run(suite, dag);
}

static void test_none(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), id = suite_id(suite);
    struct batch *batch = suite_batch(suite);
    (void)put_run(suite, batch, record_add_group(batch), id, dag);
    store_memory_set_room(suite->store, STORE_ROOM_NONE);
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_commit(suite->store, &batch, 1, NULL), ERROR_STORE_FULL);
    assert_int_equal(room_of(suite), STORE_ROOM_NONE);
    store_memory_set_room(suite->store, STORE_ROOM_LOW);
    assert_int_equal(store_commit(suite->store, &batch, 1, NULL), 0);
    assert_true(batch->verdicts[0].refused);
    store_memory_set_room(suite->store, STORE_ROOM_OK);
    suite_commit_all(suite, batch);
    assert_int_equal(suite_run(suite, id).run.state, RUN_PENDING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_full_once, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_failed, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_low, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_none, setup, suite_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
