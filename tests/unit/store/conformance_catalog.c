#include "store/conformance.h"

#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"

static void assert_source(struct suite *suite, struct uuid dag, uint32_t version, const char *wanted)
{
    struct buf source = BUF_INIT;
    buf_add_text(&source, "<");
    assert_int_equal(store_get_source(suite->store, dag, version, &source, NULL), 0);
    assert_int_equal(source.len, strlen(wanted) + 1); /* appended */
    assert_memory_equal(source.bytes + 1, wanted, strlen(wanted));
    buf_fini(&source);
}

static void assert_no_source(struct suite *suite, struct uuid dag, uint32_t version)
{
    struct buf source = BUF_INIT;
    struct error err = {0};
    assert_int_equal(store_get_source(suite->store, dag, version, &source, &err), ERROR_DAG_NOT_FOUND);
    assert_int_equal(err.code, ERROR_DAG_NOT_FOUND);
    buf_fini(&source);
}

/* Commits one conditional record and gives its verdict. */
static struct verdict decide(struct suite *suite, struct batch *batch)
{
    suite_commit(suite, batch);
    struct verdict verdict = batch->verdicts[batch->group_count - 1];
    record_batch_free(batch);
    return verdict;
}

static void assert_refused(struct verdict verdict, enum error_code code)
{
    assert_true(verdict.refused);
    assert_string_equal(error_name((int)verdict.code), error_name((int)code));
}

static struct verdict change(struct suite *suite, enum record_kind kind, struct uuid id, bool paused)
{
    struct batch *batch = suite_batch(suite);
    struct record *record = put_dag(suite, batch, kind, record_add_group(batch), id);
    record->dag.paused = paused;
    return decide(suite, batch);
}

static struct verdict update(struct suite *suite, struct uuid id, uint32_t if_version, struct dag *dag,
                             const char *source)
{
    struct batch *batch = suite_batch(suite);
    struct record_dag *row = &put_dag(suite, batch, RECORD_DAG_UPDATE, record_add_group(batch), id)->dag;
    row->if_version = if_version;
    row->version = if_version + 1;
    row->source = source;
    row->source_len = strlen(source);
    if (dag) {
        dag_unref(row->dag);
        row->dag = dag_ref(dag);
    }
    return decide(suite, batch);
}

static struct verdict create(struct suite *suite, struct uuid id, const char *name)
{
    struct batch *batch = suite_batch(suite);
    put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), id)->dag.name = name;
    return decide(suite, batch);
}

static void test_create(void **state)
{
    struct suite *suite = *state;
    struct dag *scheduled = suite_read_dag(3, "{cron: '0 2 * * *', timezone: Europe/Berlin}");
    struct uuid plain = suite_make_dag(suite, "plain"), id = suite_id(suite);
    int64_t now = suite_tick(suite);
    struct batch *batch = suite_batch(suite);
    struct record_dag *row = &put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), id)->dag;
    row->name = "n\xc3\xa4me with 'quotes' and %";
    dag_unref(row->dag);
    row->dag = scheduled;
    suite_commit_all(suite, batch);
    for (int life = 0; life < 2; life++) {
        struct store_dag dag = suite_dag(suite, id);
        assert_string_equal(dag.name, "n\xc3\xa4me with 'quotes' and %");
        assert_int_equal(dag.version, 1);
        assert_int_equal(dag.task_count, 3);
        assert_text(dag.cron, "0 2 * * *");
        assert_text(dag.timezone, "Europe/Berlin");
        assert_false(dag.paused);
        assert_int_equal(dag.created_ms, now);
        assert_int_equal(dag.updated_ms, now);
        assert_int_equal(dag.deleted_ms, 0);
        dag = suite_dag(suite, plain);
        assert_null(dag.cron);
        assert_null(dag.timezone);
        assert_int_equal(dag.task_count, SUITE_TASKS);
        assert_source(suite, id, 1, SUITE_SOURCE);
        assert_source(suite, id, 0, SUITE_SOURCE);
        suite_reopen(suite);
    }
    struct store_dag dag;
    struct error err = {0};
    assert_int_equal(store_get_dag(suite->store, suite_id(suite), &suite->arena, &dag, &err), ERROR_DAG_NOT_FOUND);
    assert_no_source(suite, suite_id(suite), 0);
}

static void test_names_are_unique(void **state)
{
    struct suite *suite = *state;
    struct uuid first = suite_make_dag(suite, "etl"), second = suite_id(suite);
    assert_refused(create(suite, second, "etl"), ERROR_DAG_EXISTS);
    struct store_dag dag;
    assert_int_equal(store_get_dag(suite->store, second, &suite->arena, &dag, NULL), ERROR_DAG_NOT_FOUND);
    assert_no_source(suite, second, 0);
    assert_false(create(suite, second, "ETL").refused); /* names are bytes */
    assert_false(create(suite, suite_id(suite), "etl ").refused);
    assert_int_equal(store_get_dag_by_name(suite->store, "etl", &suite->arena, &dag, NULL), 0);
    assert_uuid(dag.id, first);
    assert_int_equal(store_get_dag_by_name(suite->store, "Etl", &suite->arena, &dag, NULL), ERROR_DAG_NOT_FOUND);

    /* in one batch the first wins */
    struct batch *batch = suite_batch(suite);
    put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), suite_id(suite))->dag.name = "twice";
    put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), suite_id(suite))->dag.name = "twice";
    suite_commit(suite, batch);
    assert_false(batch->verdicts[0].refused);
    assert_refused(batch->verdicts[1], ERROR_DAG_EXISTS);
    record_batch_free(batch);
}

static void test_update(void **state)
{
    struct suite *suite = *state;
    struct dag *two = suite_read_dag(2, "'@daily'");
    struct uuid id = suite_make_dag(suite, "etl");
    int64_t created = suite->now_ms, updated = suite_tick(suite);
    assert_false(change(suite, RECORD_DAG_PAUSE, id, true).refused);
    struct verdict verdict = update(suite, id, 0, two, "v2");
    assert_false(verdict.refused);
    assert_int_equal(verdict.version, 2);
    verdict = update(suite, id, 2, NULL, "v3");
    assert_false(verdict.refused);
    assert_int_equal(verdict.version, 3);
    assert_refused(update(suite, id, 2, two, "v4"), ERROR_PRECONDITION_FAILED);
    assert_refused(update(suite, id, 9, two, "v4"), ERROR_PRECONDITION_FAILED);
    assert_refused(update(suite, suite_id(suite), 0, two, "v4"), ERROR_DAG_NOT_FOUND);
    suite_tick(suite);
    verdict = update(suite, id, 3, two, "version 4");
    assert_int_equal(verdict.version, 4);
    suite_reopen(suite);
    struct store_dag dag = suite_dag(suite, id);
    assert_string_equal(dag.name, "etl");
    assert_int_equal(dag.version, 4);
    assert_int_equal(dag.task_count, 2);
    assert_text(dag.cron, "@daily");
    assert_true(dag.paused); /* an update does not resume */
    assert_int_equal(dag.created_ms, created);
    assert_int_equal(dag.updated_ms, updated + 1000);
    assert_source(suite, id, 1, SUITE_SOURCE);
    assert_source(suite, id, 2, "v2");
    assert_source(suite, id, 3, "v3");
    assert_source(suite, id, 0, "version 4");
    assert_no_source(suite, id, 5);
    dag_unref(two);

    const struct store_page page = {.limit = 2, .offset = 1};
    struct store_versions versions;
    assert_int_equal(store_list_versions(suite->store, id, &page, &suite->arena, &versions, NULL), 0);
    assert_int_equal(versions.count, 2);
    assert_int_equal(versions.items[0].version, 3);
    assert_int_equal(versions.items[0].task_count, SUITE_TASKS);
    assert_int_equal(versions.items[0].created_ms, updated);
    assert_int_equal(versions.items[0].source_len, 2);
    assert_int_equal(versions.items[1].version, 2);
    assert_int_equal(versions.items[1].task_count, 2);
    assert_int_equal(store_list_versions(suite->store, suite_id(suite), &page, &suite->arena, &versions, NULL), 0);
    assert_int_equal(versions.count, 0);
}

static void test_large_source(void **state)
{
    struct suite *suite = *state;
    enum { LEN = 3 << 20 };
    char *text = mem_alloc(LEN + 1);
    for (size_t i = 0; i < LEN; i++)
        text[i] = (char)('a' + i % 23);
    text[LEN] = '\0';
    struct uuid id = suite_make_dag(suite, "large");
    assert_false(update(suite, id, 1, NULL, text).refused);
    suite_reopen(suite);
    assert_source(suite, id, 2, text);
    mem_free(text);
}

static void test_pause(void **state)
{
    struct suite *suite = *state;
    struct uuid id = suite_make_dag(suite, "etl");
    int64_t created = suite->now_ms;
    suite_tick(suite);
    for (int i = 0; i < 2; i++)
        assert_false(change(suite, RECORD_DAG_PAUSE, id, true).refused);
    suite_reopen(suite);
    assert_true(suite_dag(suite, id).paused);
    assert_int_equal(suite_dag(suite, id).updated_ms, created);
    assert_false(change(suite, RECORD_DAG_PAUSE, id, false).refused);
    assert_false(suite_dag(suite, id).paused);
    assert_refused(change(suite, RECORD_DAG_PAUSE, suite_id(suite), true), ERROR_DAG_NOT_FOUND);
}

static void test_delete(void **state)
{
    struct suite *suite = *state;
    struct uuid id = suite_make_dag(suite, "etl"), run = suite_make_run(suite, id);
    assert_refused(change(suite, RECORD_DAG_DELETE, id, false), ERROR_DAG_HAS_ACTIVE_RUNS);
    assert_int_equal(suite_dag(suite, id).deleted_ms, 0);
    struct record_attempt claim = suite_claim(suite, run, 0, 1);
    struct batch *batch = suite_batch(suite);
    (void)put_end(suite, batch, &claim, ATTEMPT_FAILED);
    suite_commit_all(suite, batch);
    struct uuid letter = suite_make_letter(suite, run, id, 0);
    suite_end_run(suite, run, id, RUN_FAILED);
    int64_t deleted = suite_tick(suite);
    assert_false(change(suite, RECORD_DAG_DELETE, id, false).refused);
    suite_tick(suite);
    assert_refused(change(suite, RECORD_DAG_DELETE, id, false), ERROR_DAG_NOT_FOUND);
    assert_refused(change(suite, RECORD_DAG_PAUSE, id, true), ERROR_DAG_NOT_FOUND);
    assert_refused(update(suite, id, 0, NULL, "v2"), ERROR_DAG_NOT_FOUND);
    suite_reopen(suite);
    assert_int_equal(suite_dag(suite, id).deleted_ms, deleted);
    struct store_dag dag;
    assert_int_equal(store_get_dag_by_name(suite->store, "etl", &suite->arena, &dag, NULL), ERROR_DAG_NOT_FOUND);

    /* history stays readable */
    assert_source(suite, id, 0, SUITE_SOURCE);
    assert_string_equal(suite_run(suite, run).dag_name, "etl");
    assert_int_equal(suite_count_attempts(suite, run), 1);
    assert_uuid(suite_letter(suite, letter).letter.dag_id, id);
    const struct store_run_query runs_of = {.page.limit = 10, .dag_id = id};
    struct store_runs runs;
    assert_int_equal(store_list_runs(suite->store, &runs_of, &suite->arena, &runs, NULL), 0);
    assert_int_equal(runs.count, 1);

    /* no run of it begins; the name is free */
    batch = suite_batch(suite);
    (void)put_run(suite, batch, record_add_group(batch), suite_id(suite), id);
    assert_refused(decide(suite, batch), ERROR_DAG_NOT_FOUND);
    struct uuid again = suite_make_dag(suite, "etl");
    assert_int_equal(store_get_dag_by_name(suite->store, "etl", &suite->arena, &dag, NULL), 0);
    assert_uuid(dag.id, again);
    assert_false(change(suite, RECORD_DAG_DELETE, again, false).refused);
    (void)suite_make_dag(suite, "etl");
    const struct store_dag_query all = {.page.limit = 10, .name = "etl", .deleted = true};
    struct store_dags dags;
    assert_int_equal(store_list_dags(suite->store, &all, &suite->arena, &dags, NULL), 0);
    assert_int_equal(dags.count, 3);
}

static void assert_dags(struct suite *suite, const struct store_dag_query *query, const struct uuid *ids, size_t count)
{
    struct store_dags dags;
    assert_int_equal(store_list_dags(suite->store, query, &suite->arena, &dags, NULL), 0);
    assert_int_equal(dags.count, count);
    for (size_t i = 0; i < count; i++)
        assert_uuid(dags.items[i].id, ids[i]);
}

static void test_dag_lists(void **state)
{
    struct suite *suite = *state;
    static const char *const names[] = {"Load", "load_b", "loadXb", "50%", "report", "REPORT-2", "gone"};
    enum { COUNT = sizeof names / sizeof names[0] };
    struct uuid ids[COUNT], between = {{0}}; /* newest first */
    for (int i = 0; i < COUNT; i++) {
        ids[COUNT - 1 - i] = suite_make_dag(suite, names[i]);
        if (i == 3)
            between = suite_id(suite);
    }
    assert_false(change(suite, RECORD_DAG_DELETE, ids[0], false).refused);
    const struct uuid *live = ids + 1;
    assert_dags(suite, &(struct store_dag_query){.page.limit = 100}, live, COUNT - 1);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 100, .deleted = true}, ids, COUNT);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 2}, live, 2);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 2, .offset = 2}}, live + 2, 2);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 5, .offset = 4}}, live + 4, 2);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 5, .offset = 10000}}, NULL, 0);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 2, .before = live[1]}}, live + 2, 2);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 9, .before = between}}, live + 2, 4);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 9, .offset = 3, .before = between}}, live + 5, 1);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 9, .before = live[5]}}, NULL, 0);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .name = "report"}, live + 1, 1);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .name = "gone"}, NULL, 0);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .name = "gone", .deleted = true}, ids, 1);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .name_part = "PORT"}, live, 2);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .name_part = "load"}, live + 3, 3);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .name_part = "d_b"}, live + 4, 1); /* no pattern */
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .name_part = "%"}, live + 2, 1);
    assert_dags(suite, &(struct store_dag_query){.page = {.limit = 1, .offset = 1}, .name_part = "PORT"}, live + 1, 1);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .id = live[2]}, live + 2, 1);
    assert_dags(suite, &(struct store_dag_query){.page.limit = 9, .id = ids[0]}, NULL, 0);
}

/* Groups of one commit see what the groups before them did; a refused one leaves nothing. */
static void test_groups(void **state)
{
    struct suite *suite = *state;
    struct uuid taken = suite_make_dag(suite, "taken"), dag = suite_id(suite), run = suite_id(suite);
    struct uuid lost_dag = suite_id(suite), lost_run = suite_id(suite);
    struct batch *batches[2] = {suite_batch(suite), suite_batch(suite)};
    uint32_t refused = record_add_group(batches[0]), made = record_add_group(batches[0]);
    put_dag(suite, batches[0], RECORD_DAG_CREATE, refused, lost_dag)->dag.name = "taken";
    put_dag(suite, batches[0], RECORD_DAG_CREATE, made, dag)->dag.name = "made";
    (void)put_run(suite, batches[0], record_add_group(batches[0]), run, dag);
    /* followers of a group share its fate, wherever they stand */
    uint32_t lost = record_add_group(batches[0]), pause = record_add_group(batches[0]);
    (void)put_run(suite, batches[0], lost, lost_run, lost_dag);
    put_dag(suite, batches[0], RECORD_DAG_PAUSE, pause, taken)->dag.paused = true;
    struct record *start = record_add(batches[0], RECORD_RUN_START, lost);
    start->run.id = lost_run;
    start->run.started_ms = suite->now_ms;
    (void)put_claim(suite, batches[1], run, 0, 1);
    struct error err = {0};
    if (store_commit(suite->store, batches, 2, &err) != 0)
        fail_msg("%s", err.text);
    assert_refused(batches[0]->verdicts[0], ERROR_DAG_EXISTS);
    assert_false(batches[0]->verdicts[1].refused);
    assert_false(batches[0]->verdicts[2].refused);
    assert_refused(batches[0]->verdicts[3], ERROR_DAG_NOT_FOUND);
    assert_false(batches[0]->verdicts[4].refused);
    record_batch_free(batches[0]);
    record_batch_free(batches[1]);
    suite_reopen(suite);
    struct store_run found;
    assert_int_equal(store_get_run(suite->store, lost_run, &suite->arena, &found, NULL), ERROR_RUN_NOT_FOUND);
    assert_string_equal(suite_run(suite, run).dag_name, "made");
    assert_int_equal(suite_count_attempts(suite, run), 1);
    assert_true(suite_dag(suite, taken).paused);
}

const struct conformance_test conformance_catalog[] = {
    {"create a DAG", test_create},      {"names are unique", test_names_are_unique},
    {"update a DAG", test_update},      {"a large source", test_large_source},
    {"pause and resume", test_pause},   {"delete a DAG", test_delete},
    {"lists of DAGs", test_dag_lists},  {"groups", test_groups},
    {NULL, NULL},
};
