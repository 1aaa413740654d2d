/* Retention: what goes, what stays, and that nothing is half gone for a reader. */
#include "store/conformance.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "store/cluster.h"

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS, SLICES_MAX = 10000 };

/* A back end without the slot keeps everything. */
static struct suite *retaining(struct suite *suite)
{
    if (!suite->store->ops->taken)
        skip();
    return suite;
}

static void assert_sound(struct suite *suite)
{
    struct buf findings = BUF_INIT;
    uint32_t count = 99;
    assert_int_equal(store_check(suite->store, STORE_CHECK_FULL, &findings, &count, NULL), 0);
    if (count)
        fail_msg("%s", buf_text(&findings));
    buf_fini(&findings);
}

static void slice(struct suite *suite, int64_t *ret_next_ms)
{
    struct error err = {0};
    if (store_maintain(suite->store, suite->now_ms, true, ret_next_ms, &err))
        fail_msg("%s", err.text);
}

/* Housekeeping until it has nothing to do, an hour after the last time. */
static void keep_house(struct suite *suite)
{
    int64_t next_ms = 0;
    suite->now_ms += HOUR_MS;
    for (int i = 0; next_ms >= 0 && next_ms < 1000; i++) {
        assert_in_range(i, 0, SLICES_MAX);
        slice(suite, &next_ms);
    }
    assert_sound(suite);
}

static struct uuid ended_run(struct suite *suite, struct uuid dag)
{
    struct uuid run = suite_make_run(suite, dag);
    for (uint32_t task = 0; task < 2; task++) {
        struct record_attempt claim = suite_claim(suite, run, task, 1);
        struct batch *batch = suite_batch(suite);
        put_end(suite, batch, &claim, ATTEMPT_SUCCEEDED)->attempt.log_bytes = 1000;
        suite_commit_all(suite, batch);
    }
    suite_end_run(suite, run, dag, RUN_SUCCEEDED);
    return run;
}

static bool is_there(struct suite *suite, struct uuid run)
{
    struct store_run found;
    struct store_letters letters;
    const struct store_letter_query query = {.page.limit = 10, .run_id = run};
    int code = store_get_run(suite->store, run, &suite->arena, &found, NULL);
    if (code == ERROR_RUN_NOT_FOUND) { /* then nothing of it is to be seen */
        assert_int_equal(suite_count_attempts(suite, run), 0);
        assert_int_equal(store_list_letters(suite->store, &query, &suite->arena, &letters, NULL), 0);
        assert_int_equal(letters.count, 0);
    }
    assert_true(code == 0 || code == ERROR_RUN_NOT_FOUND);
    return code == 0;
}

static size_t count_runs(struct suite *suite)
{
    const struct store_run_query query = {.page.limit = LIMIT_PAGE_MAX};
    struct store_runs runs;
    assert_int_equal(store_list_runs(suite->store, &query, &suite->arena, &runs, NULL), 0);
    return runs.count;
}

static struct store_ids taken(struct suite *suite, const struct uuid *done, size_t done_count)
{
    struct store_ids ids;
    assert_int_equal(store_list_taken(suite->store, done, done_count, 100, &suite->arena, &ids, NULL), 0);
    return ids;
}

static void resolve(struct suite *suite, struct uuid letter)
{
    struct batch *batch = suite_batch(suite);
    (void)put_resolve(suite, batch, record_add_group(batch), letter, RESOLUTION_RESOLVED, (struct uuid){{0}});
    suite_commit_all(suite, batch);
}

static void retain(struct suite *suite, int64_t age_ms, int64_t runs_max, int64_t bytes_max)
{
    store_set_retention(suite->store,
                        &(struct store_retention){.age_ms = age_ms, .runs_max = runs_max, .bytes_max = bytes_max});
}

/* ---- */

static void test_without_limits(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), run = ended_run(suite, dag);
    suite->now_ms += 10000LL * DAY_MS;
    keep_house(suite);
    assert_true(is_there(suite, run));
    assert_int_equal(taken(suite, NULL, 0).count, 0);
}

static void test_by_age(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), old = ended_run(suite, dag), slow = suite_make_run(suite, dag);
    struct uuid letter = suite_make_letter(suite, old, dag, 0);
    resolve(suite, letter);
    retain(suite, 10 * DAY_MS, 0, 0);
    keep_house(suite);
    assert_true(is_there(suite, old));
    suite->now_ms += 9LL * DAY_MS + 22 * HOUR_MS;
    suite_end_run(suite, slow, dag, RUN_SUCCEEDED); /* its end counts, not its birth */
    struct uuid young = ended_run(suite, dag);
    suite->now_ms += HOUR_MS;
    keep_house(suite);
    assert_false(is_there(suite, old));
    assert_true(is_there(suite, slow));
    assert_true(is_there(suite, young));
    struct store_taken counts;
    store_get_taken(suite->store, &counts);
    assert_int_equal(counts.runs, 1);
    assert_int_equal(counts.attempts, 2);
    assert_int_equal(counts.letters, 1);
    struct store_letter_stats stats;
    assert_int_equal(store_get_letter_stats(suite->store, &stats, NULL), 0);
    assert_int_equal(stats.counts[RESOLUTION_RESOLVED], 0);
}

/* Whose logs may go is given until it is told done, over lives. */
static void test_logs(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), runs[3];
    for (int i = 0; i < 3; i++)
        runs[i] = ended_run(suite, dag);
    suite->now_ms += DAY_MS;
    retain(suite, HOUR_MS, 0, 0);
    keep_house(suite);
    for (int life = 0; life < 2; life++) {
        struct store_ids ids = taken(suite, NULL, 0);
        assert_int_equal(ids.count, 3);
        for (int i = 0; i < 3; i++)
            assert_uuid(ids.items[i], runs[i]);
        suite_reopen(suite);
    }
    assert_int_equal(taken(suite, &runs[1], 1).count, 2);
    assert_int_equal(taken(suite, NULL, 0).count, 2);
    retain(suite, HOUR_MS, 0, 0);
    keep_house(suite);
    for (int life = 0; life < 2; life++) {
        struct store_ids ids = taken(suite, NULL, 0);
        /* a store that nodes share keeps how far each of them is, no more */
        assert_int_equal(ids.count, store_is_shared(suite->store) && life ? 3 : 2);
        assert_uuid(ids.items[ids.count - 1], runs[2]);
        suite_reopen(suite);
    }
    assert_int_equal(taken(suite, runs, 3).count, 0);
    keep_house(suite);
    assert_int_equal(taken(suite, NULL, 0).count, 0);
}

static void test_by_number(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), runs[7];
    for (int i = 0; i < 7; i++)
        runs[i] = ended_run(suite, dag);
    struct uuid active = suite_make_run(suite, dag);
    retain(suite, 0, 3, 0);
    keep_house(suite);
    for (int i = 0; i < 7; i++)
        assert_int_equal(is_there(suite, runs[i]), i >= 4);
    assert_true(is_there(suite, active));
    suite_end_run(suite, active, dag, RUN_CANCELED);
    keep_house(suite);
    assert_false(is_there(suite, runs[4]));
    assert_int_equal(count_runs(suite), 3);
    store_set_retention(suite->store, NULL);
    (void)ended_run(suite, dag);
    keep_house(suite);
    assert_int_equal(count_runs(suite), 4);
}

/* Enough goes and no more: log files count. */
static void test_by_bytes(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), runs[20];
    for (int i = 0; i < 20; i++) {
        runs[i] = suite_make_run(suite, dag);
        struct record_attempt claim = suite_claim(suite, runs[i], 0, 1);
        struct batch *batch = suite_batch(suite);
        put_end(suite, batch, &claim, ATTEMPT_SUCCEEDED)->attempt.log_bytes = 10000000;
        suite_commit_all(suite, batch);
        suite_end_run(suite, runs[i], dag, RUN_SUCCEEDED);
    }
    retain(suite, 0, 0, 105000000);
    keep_house(suite);
    for (int i = 0; i < 20; i++)
        assert_int_equal(is_there(suite, runs[i]), i >= 10);
    suite_reopen(suite); /* what is left is known */
    retain(suite, 0, 0, 55000000);
    keep_house(suite);
    for (int i = 0; i < 20; i++)
        assert_int_equal(is_there(suite, runs[i]), i >= 15);
}

static void test_what_is_needed_stays(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), lettered = ended_run(suite, dag), source = ended_run(suite, dag);
    struct uuid letter = suite_make_letter(suite, lettered, dag, 1), other = suite_make_letter(suite, lettered, dag, 0);
    resolve(suite, other);
    struct batch *batch = suite_batch(suite);
    struct uuid rerun = suite_id(suite), keyed = suite_id(suite);
    put_run(suite, batch, record_add_group(batch), rerun, dag)->run.source = source;
    suite_commit_all(suite, batch);
    batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    (void)put_key(suite, batch, group, "k", 1, dag, keyed);
    (void)put_run(suite, batch, group, keyed, dag);
    suite_commit_all(suite, batch);
    suite_end_run(suite, keyed, dag, RUN_SUCCEEDED);
    struct uuid plain = ended_run(suite, dag);
    retain(suite, 1, 1, 1);
    keep_house(suite);
    assert_false(is_there(suite, plain));
    assert_true(is_there(suite, lettered));
    assert_int_equal(suite_letter(suite, other).resolution, RESOLUTION_RESOLVED);
    assert_int_equal(suite_count_attempts(suite, lettered), 2);
    assert_true(is_there(suite, source));
    assert_true(is_there(suite, rerun));
    assert_true(is_there(suite, keyed));
    resolve(suite, letter);
    suite_end_run(suite, rerun, dag, RUN_SUCCEEDED);
    suite->now_ms += 2LL * DAY_MS;
    keep_house(suite);
    keep_house(suite); /* the key goes first */
    assert_int_equal(count_runs(suite), 0);
    struct store_taken counts;
    store_get_taken(suite->store, &counts);
    assert_int_equal(counts.runs, 5);
    assert_int_equal(counts.letters, 2);
    assert_int_equal(counts.keys, 1);
}

/* A run with many attempts goes in slices: to readers it is there whole or not at all, and a death between two slices
 * changes nothing. */
static void test_slices_and_deaths(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), run = suite_make_run(suite, dag), next = suite_make_run(suite, dag);
    for (uint32_t task = 0; task < SUITE_TASKS; task++) {
        for (uint32_t number = 1; number <= 900; number++) {
            struct batch *batch = suite_batch(suite);
            struct record_attempt claim = put_claim(suite, batch, run, task, number)->attempt;
            put_end(suite, batch, &claim, ATTEMPT_FAILED)->attempt.log_bytes = 3;
            suite_commit_all(suite, batch);
        }
    }
    (void)suite_claim(suite, next, 0, 1);
    suite_end_run(suite, run, dag, RUN_FAILED);
    suite->now_ms += DAY_MS;
    for (int i = 0; is_there(suite, run) || taken(suite, NULL, 0).count == 0; i++) {
        int64_t next_ms;
        assert_in_range(i, 0, 1000);
        retain(suite, HOUR_MS, 0, 0);
        if (is_there(suite, run))
            assert_int_equal(suite_count_attempts(suite, run), SUITE_TASKS * 900);
        slice(suite, &next_ms);
        assert_sound(suite);
        suite_reopen(suite);
    }
    assert_sound(suite);
    assert_int_equal(suite_count_attempts(suite, run), 0);
    assert_int_equal(suite_count_attempts(suite, next), 1);
    (void)suite_claim(suite, next, 1, 1);
}

static struct uuid put_instant(struct suite *suite, struct uuid dag, int64_t from_ms, enum fire_outcome outcome,
                               struct uuid run)
{
    struct batch *batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    struct record_fire *row = &record_add(batch, RECORD_FIRE, group)->fire;
    *row = (struct record_fire){.id = suite_id(suite), .dag_id = dag, .trigger = TRIGGER_SCHEDULE, .from_ms = from_ms,
                                .to_ms = from_ms, .count = 1, .outcome = outcome, .run_id = run,
                                .reason = outcome == FIRE_SKIPPED ? FIRE_MISSED : 0, .created_ms = suite->now_ms};
    struct uuid id = row->id;
    if (outcome == FIRE_FIRED)
        (void)put_run(suite, batch, group, run, dag);
    suite_commit_all(suite, batch);
    return id;
}

/* ---- what a DAG says of its own ---- */

static void put_keeping(struct suite *suite, enum record_kind kind, struct uuid id, const char *keep)
{
    char source[300];
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    const struct dag_read_options options = {.tasks_max = 10, .bytes_max = sizeof source};
    (void)snprintf(source, sizeof source,
                   "name: k\n%s\ntasks:\n- {id: a, type: shell, command: x}\n- {id: b, type: shell, command: x}\n"
                   "- {id: c, type: shell, command: x}\n- {id: d, type: shell, command: x}\n", keep);
    assert_int_equal(dag_read(source, strlen(source), &options, &problems, &dag), 0);
    dag_problems_fini(&problems);
    struct batch *batch = suite_batch(suite);
    struct record *record = put_dag(suite, batch, kind, record_add_group(batch), id);
    record->dag.name = "keeping";
    dag_unref(record->dag.dag);
    record->dag.dag = dag;
    suite_commit_all(suite, batch);
}

static struct uuid keeping_dag(struct suite *suite, const char *keep)
{
    struct uuid id = suite_id(suite);
    put_keeping(suite, RECORD_DAG_CREATE, id, keep);
    return id;
}

/* A DAG's age stands in place of the server's, whichever is longer. */
static void test_age_of_a_dag(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), brief = keeping_dag(suite, "keep: {age: 5d}");
    struct uuid old = ended_run(suite, dag), shorter = ended_run(suite, brief);
    suite->now_ms += 6LL * DAY_MS;
    struct uuid young = ended_run(suite, brief), active = suite_make_run(suite, brief);
    retain(suite, 10LL * DAY_MS, 0, 0);
    keep_house(suite);
    assert_true(is_there(suite, old));
    assert_false(is_there(suite, shorter));
    assert_true(is_there(suite, young));
    put_keeping(suite, RECORD_DAG_UPDATE, brief, "keep: {age: 30d}");
    suite->now_ms += 10LL * DAY_MS;
    keep_house(suite);
    assert_false(is_there(suite, old));
    assert_true(is_there(suite, young));
    put_keeping(suite, RECORD_DAG_UPDATE, brief, "keep: {age: none}");
    suite->now_ms += 1000LL * DAY_MS;
    keep_house(suite);
    assert_true(is_there(suite, young));
    put_keeping(suite, RECORD_DAG_UPDATE, brief, "description: says nothing now");
    keep_house(suite);
    assert_false(is_there(suite, young));
    assert_true(is_there(suite, active));
}

/* Without a limit of the server's too, over a restart, and beside the limits that protect the machine. */
static void test_number_of_a_dag(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), few = keeping_dag(suite, "keep: {runs: 3}"), runs[8];
    struct uuid other = ended_run(suite, dag);
    for (int i = 0; i < 8; i++) {
        runs[i] = suite_make_run(suite, few);
        suite_end_run(suite, runs[i], few, (enum run_state)(RUN_SUCCEEDED + i % 3));
    }
    struct uuid letter = suite_make_letter(suite, runs[0], few, 0);
    keep_house(suite);
    for (int i = 0; i < 8; i++)
        assert_int_equal(is_there(suite, runs[i]), i == 0 || i >= 5);
    assert_true(is_there(suite, other));
    suite_reopen(suite);
    resolve(suite, letter);
    keep_house(suite);
    assert_false(is_there(suite, runs[0]));
    assert_int_equal(count_runs(suite), 4);
    struct uuid latest = ended_run(suite, few);
    keep_house(suite);
    assert_false(is_there(suite, runs[5]));
    assert_true(is_there(suite, latest));
    retain(suite, 0, 2, 0);
    keep_house(suite);
    assert_int_equal(count_runs(suite), 2);
    assert_false(is_there(suite, other));
}

/* ---- dead letters beyond their own limits ---- */

static size_t count_letters(struct suite *suite)
{
    struct store_letters letters;
    const struct store_letter_query query = {.page.limit = LIMIT_PAGE_MAX};
    assert_int_equal(store_list_letters(suite->store, &query, &suite->arena, &letters, NULL), 0);
    return letters.count;
}

static bool has_letter(struct suite *suite, struct uuid id)
{
    struct store_letters letters;
    const struct store_letter_query query = {.page.limit = LIMIT_PAGE_MAX};
    assert_int_equal(store_list_letters(suite->store, &query, &suite->arena, &letters, NULL), 0);
    bool found = false;
    for (size_t i = 0; i < letters.count; i++)
        found = found || uuid_equal(letters.items[i].letter.id, id);
    return found;
}

static void limit_letters(struct suite *suite, int64_t age_ms, int64_t letters_max)
{
    store_set_retention(suite->store,
                        &(struct store_retention){.letter_age_ms = age_ms, .letters_max = letters_max});
}

static void test_letters_by_number(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), run = ended_run(suite, dag), letters[6];
    struct store_taken counts;
    for (uint32_t i = 0; i < 6; i++)
        letters[i] = suite_make_letter(suite, ended_run(suite, dag), dag, 0);
    resolve(suite, letters[2]);
    resolve(suite, letters[4]);
    limit_letters(suite, 0, 5);
    keep_house(suite);
    assert_int_equal(count_letters(suite), 5);
    assert_false(has_letter(suite, letters[2])); /* settled, before older ones that are not */
    store_get_taken(suite->store, &counts);
    assert_int_equal(counts.pending, 0);
    limit_letters(suite, 0, 3);
    keep_house(suite);
    assert_int_equal(count_letters(suite), 3);
    assert_false(has_letter(suite, letters[4]));
    assert_false(has_letter(suite, letters[0]));
    assert_true(has_letter(suite, letters[1]));
    store_get_taken(suite->store, &counts);
    assert_int_equal(counts.letters, 3);
    assert_int_equal(counts.pending, 1);
    struct store_letter_stats stats;
    assert_int_equal(store_get_letter_stats(suite->store, &stats, NULL), 0);
    assert_int_equal(stats.counts[RESOLUTION_PENDING], 3);
    assert_int_equal(stats.counts[RESOLUTION_RESOLVED], 0);
    assert_true(is_there(suite, run)); /* their runs have limits of their own */
    assert_int_equal(count_runs(suite), 7);
    keep_house(suite);
    assert_int_equal(count_letters(suite), 3);
}

static void test_letters_by_age(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), run = ended_run(suite, dag);
    struct uuid settled = suite_make_letter(suite, run, dag, 0), pending = suite_make_letter(suite, run, dag, 1);
    struct store_taken counts;
    resolve(suite, settled);
    suite->now_ms += 8LL * DAY_MS;
    struct uuid young = suite_make_letter(suite, run, dag, 2);
    limit_letters(suite, 10LL * DAY_MS, 0);
    keep_house(suite);
    assert_int_equal(count_letters(suite), 3);
    suite->now_ms += 2LL * DAY_MS;
    keep_house(suite);
    assert_int_equal(count_letters(suite), 1);
    assert_true(has_letter(suite, young));
    assert_false(has_letter(suite, pending));
    store_get_taken(suite->store, &counts);
    assert_int_equal(counts.letters, 2);
    assert_int_equal(counts.pending, 1);
    assert_true(is_there(suite, run));
    /* what nobody waits for keeps its run no longer */
    suite->now_ms += 10LL * DAY_MS;
    retain(suite, DAY_MS, 0, 0);
    keep_house(suite);
    assert_true(is_there(suite, run));
    store_set_retention(suite->store, &(struct store_retention){.age_ms = DAY_MS, .letter_age_ms = DAY_MS});
    keep_house(suite);
    keep_house(suite); /* at the next walk at the latest */
    assert_false(is_there(suite, run));
    store_get_taken(suite->store, &counts);
    assert_int_equal(counts.pending, 2);
}

/* Records of instants go by age; what waits or runs stays, and no instant becomes free again (G9). */
static void test_instants(void **state)
{
    struct suite *suite = retaining(*state);
    struct uuid dag = suite_make_dag(suite, "a"), none = {{0}}, ended = suite_id(suite), active = suite_id(suite);
    int64_t first = suite_dag(suite, dag).covered_ms + 60000;
    (void)put_instant(suite, dag, first, FIRE_SKIPPED, none);
    (void)put_instant(suite, dag, first + 1, FIRE_FIRED, ended);
    struct uuid running = put_instant(suite, dag, first + 2, FIRE_FIRED, active);
    struct uuid queued = put_instant(suite, dag, first + 3, FIRE_QUEUED, none);
    suite_end_run(suite, ended, dag, RUN_SUCCEEDED);
    suite->now_ms += 10LL * DAY_MS;
    struct uuid young = put_instant(suite, dag, first + 4, FIRE_SKIPPED, none);
    retain(suite, 9LL * DAY_MS, 0, 0);
    keep_house(suite);
    struct store_fires fires;
    const struct store_fire_query query = {.page.limit = 10, .dag_id = dag};
    assert_int_equal(store_list_fires(suite->store, &query, &suite->arena, &fires, NULL), 0);
    assert_int_equal(fires.count, 3);
    assert_uuid(fires.items[0].id, young);
    assert_uuid(fires.items[1].id, queued);
    assert_uuid(fires.items[2].id, running);
    assert_int_equal(suite_dag(suite, dag).covered_ms, first + 4);
    struct store_taken counts;
    store_get_taken(suite->store, &counts);
    assert_int_equal(counts.fires, 2);
}

static void on_taken(void *context)
{
    (*(int *)context)++;
}

/* Who deletes logs is told, and sleeps until then. */
static void test_telling(void **state)
{
    struct suite *suite = retaining(*state);
    int told = 0;
    suite->store->keep.context = &told;
    suite->store->keep.on_taken = on_taken;
    struct uuid dag = suite_make_dag(suite, "a");
    keep_house(suite);
    int before = told; /* once for what an earlier life may have left */
    (void)ended_run(suite, dag);
    keep_house(suite);
    assert_int_equal(told, before);
    suite->now_ms += DAY_MS;
    retain(suite, HOUR_MS, 0, 0);
    keep_house(suite);
    assert_true(told > before);
    assert_int_equal(taken(suite, NULL, 0).count, 1);
}

const struct conformance_test conformance_retain[] = {
    {"nothing goes without limits", test_without_limits},
    {"runs go by age", test_by_age},
    {"logs of runs that went", test_logs},
    {"runs go by number", test_by_number},
    {"runs go by bytes", test_by_bytes},
    {"what is needed stays", test_what_is_needed_stays},
    {"slices and deaths", test_slices_and_deaths},
    {"instants go by age", test_instants},
    {"a DAG says how old its runs become", test_age_of_a_dag},
    {"a DAG says how many runs are kept", test_number_of_a_dag},
    {"dead letters go by number", test_letters_by_number},
    {"dead letters go by age", test_letters_by_age},
    {"who deletes logs is told", test_telling},
    {NULL, NULL},
};
