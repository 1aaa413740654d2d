#include "store/conformance.h"

#include "base/mem.h"

static struct verdict resolve(struct suite *suite, struct uuid id, enum resolution resolution, struct uuid run,
                              const char *by, const char *notes)
{
    struct batch *batch = suite_batch(suite);
    struct record_letter_resolve *row =
        &put_resolve(suite, batch, record_add_group(batch), id, resolution, run)->letter_resolve;
    row->by = by;
    row->notes = notes;
    suite_commit(suite, batch);
    struct verdict verdict = batch->verdicts[0];
    record_batch_free(batch);
    return verdict;
}

static void test_fields(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), run = suite_make_run(suite, dag), ids[FAILURE_COUNT];
    int64_t made = suite_tick(suite);
    for (int reason = FAILURE_EXIT; reason < FAILURE_COUNT; reason++) {
        struct batch *batch = suite_batch(suite);
        ids[reason] = suite_id(suite);
        uint32_t task = (uint32_t)reason % SUITE_TASKS;
        struct record_letter *row = &put_letter(suite, batch, ids[reason], run, dag, task)->letter;
        row->error_type = (enum error_type)reason;
        row->error = reason % 2 ? "why \xe2\x80\x94 'so'" : NULL;
        row->attempts = (uint32_t)reason * 100;
        suite_commit_all(suite, batch);
    }
    for (int life = 0; life < 2; life++) {
        for (int reason = FAILURE_EXIT; reason < FAILURE_COUNT; reason++) {
            struct store_letter letter = suite_letter(suite, ids[reason]);
            assert_uuid(letter.letter.run_id, run);
            assert_uuid(letter.letter.dag_id, dag);
            assert_int_equal(letter.letter.task, reason % SUITE_TASKS);
            assert_text(letter.letter.task_id, "t");
            assert_text(letter.letter.task_name, "The task");
            assert_text(letter.letter.dag_name, "the-dag");
            assert_int_equal(letter.letter.error_type, reason);
            assert_text(letter.letter.error, reason % 2 ? "why \xe2\x80\x94 'so'" : NULL);
            assert_int_equal(letter.letter.attempts, reason * 100);
            assert_text(letter.letter.config, "{\"id\":\"t\"}");
            assert_int_equal(letter.letter.created_ms, made);
            assert_int_equal(letter.resolution, RESOLUTION_PENDING);
            assert_true(uuid_is_zero(letter.resolved_run_id));
            assert_int_equal(letter.resolved_ms, 0);
            assert_null(letter.resolved_by);
            assert_null(letter.notes);
        }
        suite_reopen(suite);
    }
    struct store_letter letter;
    struct error err = {0};
    assert_int_equal(store_get_letter(suite->store, run, &suite->arena, &letter, &err), ERROR_DEAD_LETTER_NOT_FOUND);
}

static void test_resolve(void **state)
{
    struct suite *suite = *state;
    static const struct {
        enum resolution resolution;
        bool with_run;
        const char *by, *notes;
    } cases[] = {
        {RESOLUTION_RETRIED, true, NULL, NULL},
        {RESOLUTION_SKIPPED, true, NULL, "not today"},
        {RESOLUTION_RESOLVED, false, "ann", "by hand; it's \xc3\xb6k"},
    };
    struct uuid dag = suite_make_dag(suite, "a"), source = suite_make_run(suite, dag);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct uuid id = suite_make_letter(suite, source, dag, 1), other = suite_make_letter(suite, source, dag, 2);
        struct uuid run = {{0}};
        if (cases[i].with_run)
            run = suite_make_run(suite, dag);
        int64_t when = suite_tick(suite);
        assert_false(resolve(suite, id, cases[i].resolution, run, cases[i].by, cases[i].notes).refused);
        suite_tick(suite);
        for (int life = 0; life < 2; life++) {
            struct verdict verdict = resolve(suite, id, RESOLUTION_RESOLVED, suite_id(suite), "bob", "mine");
            assert_true(verdict.refused);
            assert_int_equal(verdict.code, ERROR_ALREADY_RESOLVED);
            assert_uuid(verdict.run_id, run);
            struct store_letter letter = suite_letter(suite, id);
            assert_int_equal(letter.resolution, cases[i].resolution);
            assert_uuid(letter.resolved_run_id, run);
            assert_int_equal(letter.resolved_ms, when);
            assert_text(letter.resolved_by, cases[i].by);
            assert_text(letter.notes, cases[i].notes);
            assert_text(letter.letter.error, "exit status 1");
            assert_int_equal(suite_letter(suite, other).resolution, RESOLUTION_PENDING);
            suite_reopen(suite);
        }
    }
    struct verdict verdict = resolve(suite, suite_id(suite), RESOLUTION_RESOLVED, source, NULL, NULL);
    assert_true(verdict.refused);
    assert_int_equal(verdict.code, ERROR_DEAD_LETTER_NOT_FOUND);
}

/* The retry of a letter: resolution and run stand or fall together. */
static void test_retry_is_one_group(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), source = suite_make_run(suite, dag);
    struct uuid id = suite_make_letter(suite, source, dag, 1), first = suite_id(suite), second = suite_id(suite);
    struct batch *batch = suite_batch(suite);
    for (int i = 0; i < 2; i++) {
        uint32_t group = record_add_group(batch);
        (void)put_resolve(suite, batch, group, id, RESOLUTION_RETRIED, i ? second : first);
        (void)put_run(suite, batch, group, i ? second : first, dag);
    }
    suite_commit(suite, batch);
    assert_false(batch->verdicts[0].refused);
    assert_true(batch->verdicts[1].refused);
    assert_int_equal(batch->verdicts[1].code, ERROR_ALREADY_RESOLVED);
    assert_uuid(batch->verdicts[1].run_id, first);
    record_batch_free(batch);
    struct store_run run;
    (void)suite_run(suite, first);
    assert_int_equal(store_get_run(suite->store, second, &suite->arena, &run, NULL), ERROR_RUN_NOT_FOUND);

    /* of a deleted DAG: the letter stays as it was */
    struct uuid pending = suite_make_letter(suite, source, dag, 2);
    suite_end_run(suite, source, dag, RUN_FAILED);
    suite_end_run(suite, first, dag, RUN_FAILED);
    batch = suite_batch(suite);
    (void)put_dag(suite, batch, RECORD_DAG_DELETE, record_add_group(batch), dag);
    suite_commit_all(suite, batch);
    batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    (void)put_resolve(suite, batch, group, pending, RESOLUTION_RETRIED, second);
    (void)put_run(suite, batch, group, second, dag);
    suite_commit(suite, batch);
    assert_true(batch->verdicts[0].refused);
    assert_int_equal(batch->verdicts[0].code, ERROR_DAG_NOT_FOUND);
    record_batch_free(batch);
    assert_int_equal(suite_letter(suite, pending).resolution, RESOLUTION_PENDING);
    assert_false(resolve(suite, pending, RESOLUTION_RESOLVED, (struct uuid){{0}}, NULL, NULL).refused);
}

/* A rerun that succeeds resolves what is pending of its source, and nothing else. */
static void test_rerun_resolves(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), source = suite_make_run(suite, dag);
    struct uuid other = suite_make_run(suite, dag);
    struct uuid pending = suite_make_letter(suite, source, dag, 1), done = suite_make_letter(suite, source, dag, 2);
    struct uuid foreign = suite_make_letter(suite, other, dag, 1), last = suite_make_letter(suite, source, dag, 3);
    assert_false(resolve(suite, done, RESOLUTION_RESOLVED, (struct uuid){{0}}, "ann", NULL).refused);
    static const struct {
        enum run_state state;
        bool asked;
    } cases[] = {{RUN_FAILED, true}, {RUN_CANCELED, true}, {RUN_SUCCEEDED, false}, {RUN_SUCCEEDED, true}};
    struct uuid rerun = {{0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(suite_letter(suite, pending).resolution, RESOLUTION_PENDING);
        rerun = suite_id(suite);
        struct batch *batch = suite_batch(suite);
        struct record_run *row = &put_run(suite, batch, record_add_group(batch), rerun, dag)->run;
        row->source = source;
        row->resolves_source = cases[i].asked;
        suite_commit_all(suite, batch);
        suite_tick(suite);
        batch = suite_batch(suite);
        row = &put_run_end(suite, batch, rerun, dag, cases[i].state)->run;
        row->source = source;
        row->resolves_source = cases[i].asked && cases[i].state == RUN_SUCCEEDED;
        suite_commit_all(suite, batch);
    }
    suite_reopen(suite);
    const struct uuid resolved[] = {pending, last};
    for (int i = 0; i < 2; i++) {
        struct store_letter letter = suite_letter(suite, resolved[i]);
        assert_int_equal(letter.resolution, RESOLUTION_RETRIED);
        assert_uuid(letter.resolved_run_id, rerun);
        assert_int_equal(letter.resolved_ms, suite->now_ms);
        assert_null(letter.resolved_by);
    }
    assert_int_equal(suite_letter(suite, done).resolution, RESOLUTION_RESOLVED);
    assert_text(suite_letter(suite, done).resolved_by, "ann");
    assert_int_equal(suite_letter(suite, foreign).resolution, RESOLUTION_PENDING);
}

static void assert_letters(struct suite *suite, const struct store_letter_query *query, const struct uuid *ids,
                           size_t count)
{
    struct store_letters letters;
    assert_int_equal(store_list_letters(suite->store, query, &suite->arena, &letters, NULL), 0);
    assert_int_equal(letters.count, count);
    for (size_t i = 0; i < count; i++)
        assert_uuid(letters.items[i].letter.id, ids[i]);
}

static void test_lists_and_stats(void **state)
{
    struct suite *suite = *state;
    enum { COUNT = 12 };
    struct uuid dags[2] = {suite_make_dag(suite, "a"), suite_make_dag(suite, "b")}, runs[2], ids[COUNT], picked[COUNT];
    struct store_letter_stats stats;
    assert_int_equal(store_get_letter_stats(suite->store, &stats, NULL), 0);
    assert_int_equal(stats.counts[RESOLUTION_PENDING], 0);
    assert_int_equal(stats.oldest_pending_ms, 0);
    for (int i = 0; i < 2; i++)
        runs[i] = suite_make_run(suite, dags[i]);
    int64_t made[COUNT];
    for (int i = COUNT - 1; i >= 0; i--) { /* newest first */
        made[i] = suite_tick(suite);
        ids[i] = suite_make_letter(suite, runs[i % 2], dags[i % 2], 1);
    }
    static const enum resolution become[COUNT] = {[1] = RESOLUTION_RETRIED,   [4] = RESOLUTION_SKIPPED,
                                                  [5] = RESOLUTION_RESOLVED,  [8] = RESOLUTION_RETRIED,
                                                  [11] = RESOLUTION_RESOLVED, [10] = RESOLUTION_RESOLVED};
    for (int i = 0; i < COUNT; i++)
        if (become[i])
            assert_false(resolve(suite, ids[i], become[i], (struct uuid){{0}}, NULL, NULL).refused);
    suite_end_run(suite, runs[0], dags[0], RUN_FAILED);
    suite_reopen(suite);
    assert_letters(suite, &(struct store_letter_query){.page.limit = 50}, ids, COUNT);
    assert_letters(suite, &(struct store_letter_query){.page = {.limit = 3, .offset = 2}}, ids + 2, 3);
    const struct store_letter_query middle = {.page = {.limit = 3, .offset = 1, .before = ids[3]}};
    assert_letters(suite, &middle, ids + 5, 3);
    for (int i = 0; i < COUNT / 2; i++)
        picked[i] = ids[2 * i + 1];
    assert_letters(suite, &(struct store_letter_query){.page.limit = 50, .run_id = runs[1]}, picked, COUNT / 2);
    assert_letters(suite, &(struct store_letter_query){.page.limit = 50, .dag_id = dags[1]}, picked, COUNT / 2);
    assert_letters(suite, &(struct store_letter_query){.page = {.limit = 2, .before = ids[5]}, .dag_id = dags[1]},
                   picked + 3, 2);
    const struct store_letter_query neither = {.page.limit = 50, .run_id = runs[0], .dag_id = dags[1]};
    assert_letters(suite, &neither, NULL, 0);
    assert_int_equal(store_get_letter_stats(suite->store, &stats, NULL), 0);
    for (enum resolution wanted = RESOLUTION_PENDING; wanted < RESOLUTION_COUNT; wanted++) {
        size_t count = 0;
        for (int i = 0; i < COUNT; i++)
            if (become[i] == wanted)
                picked[count++] = ids[i];
        const struct store_letter_query query = {.page.limit = 50, .by_resolution = true, .resolution = wanted};
        assert_letters(suite, &query, picked, count);
        assert_int_equal(stats.counts[wanted], count);
        const struct store_letter_query page = {
            .page = {.limit = 1, .before = picked[0]}, .by_resolution = true, .resolution = wanted};
        assert_letters(suite, &page, picked + 1, count > 1 ? 1 : 0);
    }
    assert_int_equal(stats.oldest_pending_ms, made[9]);
    assert_letters(suite, &(struct store_letter_query){.page.limit = 5, .id = ids[6]}, ids + 6, 1);
}

const struct conformance_test conformance_letters[] = {
    {"every field of a dead letter", test_fields},
    {"resolve a dead letter", test_resolve},
    {"a retry is one group", test_retry_is_one_group},
    {"a rerun resolves", test_rerun_resolves},
    {"lists of dead letters", test_lists_and_stats},
    {NULL, NULL},
};
