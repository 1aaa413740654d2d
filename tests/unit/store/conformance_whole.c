#include "store/conformance.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* ---- ids ---- */

static void hex_of(struct uuid id, char text[33])
{
    for (int i = 0; i < 16; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id.bytes[i]);
}

static void assert_found(struct suite *suite, enum store_id_kind kind, const char *text, size_t max,
                         const struct uuid *ids, size_t count)
{
    struct store_ids found;
    assert_int_equal(store_find_ids(suite->store, kind, text, max, &suite->arena, &found, NULL), 0);
    assert_int_equal(found.count, count);
    for (size_t i = 0; i < count; i++)
        assert_uuid(found.items[i], ids[i]);
}

static struct uuid id_of(const char *hex)
{
    struct uuid id;
    char text[UUID_TEXT_LEN + 1];
    (void)snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
    assert_true(uuid_parse(text, &id));
    return id;
}

static void test_ids(void **state)
{
    struct suite *suite = *state;
    static const char *const hex[] = {"018f0000000070008000000000abcdef", "018f0000000170008000000000abcde0",
                                      "018f0001000070008000000000abcdef", "018f00010000700080000000018f0001"};
    struct uuid dag = suite_make_dag(suite, "a"), ids[4]; /* newest first */
    for (int i = 0; i < 4; i++) {
        struct batch *batch = suite_batch(suite);
        ids[3 - i] = id_of(hex[i]);
        (void)put_run(suite, batch, record_add_group(batch), ids[3 - i], dag);
        suite_commit_all(suite, batch);
    }
    suite_end_run(suite, ids[3], dag, RUN_SUCCEEDED);
    suite_end_run(suite, ids[1], dag, RUN_SUCCEEDED);
    for (int life = 0; life < 2; life++) {
        assert_found(suite, STORE_ID_RUN, "018f", 10, ids, 4);
        assert_found(suite, STORE_ID_RUN, "018f", 2, ids, 2);
        assert_found(suite, STORE_ID_RUN, "018F0001", 10, ids, 2); /* the newest starts and ends so: once */
        assert_found(suite, STORE_ID_RUN, "018f00000", 10, ids + 2, 2);
        assert_found(suite, STORE_ID_RUN, "abcdef", 10, (struct uuid[]){ids[1], ids[3]}, 2);
        assert_found(suite, STORE_ID_RUN, "e0", 10, ids + 2, 1);
        assert_found(suite, STORE_ID_RUN, hex[1], 10, ids + 2, 1);
        assert_found(suite, STORE_ID_RUN, "018f0000-0001-7000-8000-000000abcde0", 10, ids + 2, 1);
        assert_found(suite, STORE_ID_RUN, "0", 10, (struct uuid[]){ids[0], ids[1], ids[2], ids[3]}, 4);
        assert_found(suite, STORE_ID_RUN, "70008000", 10, NULL, 0); /* the middle is no end */
        assert_found(suite, STORE_ID_RUN, "xyz", 10, NULL, 0);
        assert_found(suite, STORE_ID_RUN, "%", 10, NULL, 0);
        assert_found(suite, STORE_ID_DAG, "abcdef", 10, NULL, 0);
        assert_found(suite, STORE_ID_LETTER, "018f", 10, NULL, 0);
        suite_reopen(suite);
    }
    char text[33];
    struct uuid letter = suite_make_letter(suite, ids[0], dag, 0);
    hex_of(letter, text);
    assert_found(suite, STORE_ID_LETTER, text + 20, 10, &letter, 1);
    struct uuid gone = suite_make_dag(suite, "b");
    hex_of(gone, text);
    assert_found(suite, STORE_ID_DAG, text + 20, 10, &gone, 1);
    assert_found(suite, STORE_ID_DAG, text, 10, &gone, 1);
    struct batch *batch = suite_batch(suite);
    (void)put_dag(suite, batch, RECORD_DAG_DELETE, record_add_group(batch), gone);
    suite_commit_all(suite, batch);
    assert_found(suite, STORE_ID_DAG, text + 20, 10, NULL, 0);
    assert_found(suite, STORE_ID_DAG, text, 10, NULL, 0);
}

/* Suffixes only among the newest, prefixes among all. */
static void test_many_ids(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), first = suite_id(suite), second = suite_id(suite);
    char hex[33];
    struct batch *batch = suite_batch(suite);
    (void)put_run(suite, batch, record_add_group(batch), first, dag);
    (void)put_run(suite, batch, record_add_group(batch), second, dag);
    for (int i = 1; i < STORE_SUFFIX_SEARCH_MAX; i++)
        (void)put_run(suite, batch, record_add_group(batch), suite_id(suite), dag);
    suite_commit_all(suite, batch);
    hex_of(first, hex);
    assert_found(suite, STORE_ID_RUN, hex + 8, 10, NULL, 0);
    hex[31] = '\0';
    assert_found(suite, STORE_ID_RUN, hex, 10, &first, 1);
    hex_of(second, hex);
    assert_found(suite, STORE_ID_RUN, hex + 8, 10, &second, 1);
    const struct store_run_query deep = {.page = {.limit = 1000, .offset = 9500}};
    struct store_runs runs;
    assert_int_equal(store_list_runs(suite->store, &deep, &suite->arena, &runs, NULL), 0);
    assert_int_equal(runs.count, 501);
    assert_uuid(runs.items[500].run.id, first);
}

/* ---- the store as a whole ---- */

static void assert_status(struct suite *suite, uint64_t dags, uint64_t active, uint64_t pending)
{
    struct store_status status;
    assert_int_equal(store_get_status(suite->store, &status, NULL), 0);
    assert_string_equal(status.kind, suite->backend->name);
    assert_int_equal(status.room, STORE_ROOM_OK);
    assert_int_equal(suite->store->room, STORE_ROOM_OK);
    assert_false(status.failed);
    assert_int_equal(status.epoch, suite->store->epoch);
    assert_int_equal(status.dags, dags);
    assert_int_equal(status.active_runs, active);
    assert_int_equal(status.letters_pending, pending);
}

static void assert_sound(struct suite *suite)
{
    struct buf findings = BUF_INIT;
    uint32_t count = 99;
    assert_int_equal(store_check(suite->store, STORE_CHECK_QUICK, &findings, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_check(suite->store, STORE_CHECK_FULL, &findings, &count, NULL), 0);
    if (count)
        fail_msg("%s", buf_text(&findings));
    assert_int_equal(findings.len, 0);
    buf_fini(&findings);
    assert_int_equal(store_ping(suite->store, NULL), 0);
}

static void test_status_and_reopen(void **state)
{
    struct suite *suite = *state;
    assert_true(suite->store->epoch > 0);
    assert_status(suite, 0, 0, 0);
    assert_sound(suite);
    struct uuid dag = suite_make_dag(suite, "a"), gone = suite_make_dag(suite, "b");
    struct uuid run = suite_make_run(suite, dag), ended = suite_make_run(suite, dag);
    (void)suite_make_letter(suite, ended, dag, 1);
    struct batch *batch = suite_batch(suite);
    (void)put_dag(suite, batch, RECORD_DAG_DELETE, record_add_group(batch), gone);
    (void)put_claim(suite, batch, run, 0, 1);
    suite_commit_all(suite, batch);
    assert_status(suite, 1, 2, 1);
    suite_end_run(suite, ended, dag, RUN_FAILED);
    assert_status(suite, 1, 1, 1);
    uint64_t epoch = suite->store->epoch;
    for (int i = 0; i < 3; i++) {
        suite_reopen(suite);
        assert_true(suite->store->epoch > epoch);
        epoch = suite->store->epoch;
        assert_status(suite, 1, 1, 1);
        assert_sound(suite);
        assert_int_equal(suite_run(suite, ended).run.state, RUN_FAILED);
        assert_int_equal(suite_count_attempts(suite, run), 1);
    }
    int64_t next_ms = -2;
    assert_int_equal(store_maintain(suite->store, suite->now_ms, false, &next_ms, NULL), 0);
    assert_true(next_ms >= -1);
    assert_int_equal(store_maintain(suite->store, suite->now_ms, true, &next_ms, NULL), 0);
    assert_status(suite, 1, 1, 1);
}

/* What is only for the live view changes nothing, whatever it says. */
static void test_records_that_are_not_stored(void **state)
{
    struct suite *suite = *state;
    struct uuid run = suite_make_run(suite, suite_make_dag(suite, "a"));
    struct record_attempt claim = suite_claim(suite, run, 0, 1);
    struct batch *batch = suite_batch(suite);
    struct record_attempt *start = &record_add(batch, RECORD_ATTEMPT_START, 0)->attempt;
    *start = claim;
    start->started_ms = suite->now_ms;
    start = &record_add(batch, RECORD_ATTEMPT_START, 0)->attempt;
    *start = claim;
    start->run_id = suite_id(suite);
    record_add_change(batch, run, 1, TASK_SKIPPED, false);
    suite_commit_all(suite, batch);
    suite_commit_all(suite, suite_batch(suite)); /* an empty one */
    batch = suite_batch(suite);
    record_add_change(batch, run, 2, TASK_QUEUED, false);
    suite_commit_all(suite, batch);
    const struct store_attempt_query query = {.run_id = run};
    struct store_attempts attempts;
    assert_int_equal(store_list_attempts(suite->store, &query, &suite->arena, &attempts, NULL), 0);
    assert_int_equal(attempts.count, 1);
    assert_int_equal(attempts.items[0].state, ATTEMPT_RUNNING);
    assert_int_equal(attempts.items[0].started_ms, 0);
}

/* ---- readers beside the writer ---- */

enum { ROUNDS = 200, READERS = 2, RUNS_A_ROUND = 3 };

struct readers {
    struct store *store;
    struct uuid dag;
    atomic_bool done;
    atomic_int problems, reads;
};

/* Every commit makes RUNS_A_ROUND runs with two claims each, or ends the runs of the round before. */
static int look(struct readers *readers, struct arena *arena, size_t *seen)
{
    const struct store_run_query newest = {.page.limit = 20, .dag_id = readers->dag, .with_outcomes = true};
    struct store_runs runs;
    int problems = 0;
    if (store_list_runs(readers->store, &newest, arena, &runs, NULL) != 0)
        return 1;
    size_t pending = 0;
    for (size_t i = 0; i < runs.count; i++) {
        const struct record_run *run = &runs.items[i].run;
        bool ended = run->state == RUN_SUCCEEDED;
        pending += run->state == RUN_PENDING;
        problems += ended != (run->completed_ms != 0) || ended != (run->outcomes_len != 0);
    }
    problems += pending != 0 && pending != RUNS_A_ROUND; /* a commit is seen whole or not at all */
    for (size_t i = 0; i < runs.count; i += 7) {
        const struct store_attempt_query query = {.run_id = runs.items[i].run.id};
        struct store_attempts attempts;
        problems += store_list_attempts(readers->store, &query, arena, &attempts, NULL) != 0 || attempts.count != 2;
    }
    struct store_status status;
    problems += store_get_status(readers->store, &status, NULL) != 0;
    problems += status.active_runs != 0 && status.active_runs != RUNS_A_ROUND;
    problems += runs.count < *seen; /* never back */
    *seen = runs.count;
    return problems;
}

static void *read_on(void *context)
{
    struct readers *readers = context;
    size_t seen = 0;
    while (!readers->done) {
        struct arena arena = {0};
        readers->problems += look(readers, &arena, &seen);
        readers->reads++;
        arena_fini(&arena);
    }
    return NULL;
}

static void write_round(struct suite *suite, struct uuid dag, struct uuid runs[RUNS_A_ROUND])
{
    struct record_attempt claims[RUNS_A_ROUND * 2];
    struct batch *batch = suite_batch(suite);
    for (int i = 0; i < RUNS_A_ROUND; i++) {
        runs[i] = suite_id(suite);
        (void)put_run(suite, batch, record_add_group(batch), runs[i], dag);
        for (uint32_t task = 0; task < 2; task++)
            claims[2 * i + (int)task] = put_claim(suite, batch, runs[i], task, 1)->attempt;
    }
    suite_commit_all(suite, batch);
    batch = suite_batch(suite);
    for (int i = 0; i < RUNS_A_ROUND * 2; i++)
        (void)put_end(suite, batch, &claims[i], ATTEMPT_SUCCEEDED);
    for (int i = 0; i < RUNS_A_ROUND; i++)
        (void)put_run_end(suite, batch, runs[i], dag, RUN_SUCCEEDED);
    suite_commit_all(suite, batch);
}

static void test_readers_beside_the_writer(void **state)
{
    struct suite *suite = *state;
    struct readers readers = {.store = suite->store, .dag = suite_make_dag(suite, "a")};
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers), 0);
    struct uuid runs[RUNS_A_ROUND];
    for (int round = 0; round < ROUNDS || readers.reads < 10 * READERS; round++) {
        int64_t next_ms;
        write_round(suite, readers.dag, runs);
        if (round % 16 == 0)
            assert_int_equal(store_maintain(suite->store, suite->now_ms, round % 32 == 0, &next_ms, NULL), 0);
    }
    readers.done = true;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(readers.problems, 0);
    (void)suite_run(suite, runs[0]); /* what was committed is seen by who comes after */
    assert_sound(suite);
}

const struct conformance_test conformance_whole[] = {
    {"ids by their ends", test_ids},
    {"many ids", test_many_ids},
    {"status and reopening", test_status_and_reopen},
    {"records that are not stored", test_records_that_are_not_stored},
    {"readers beside the writer", test_readers_beside_the_writer},
    {NULL, NULL},
};
