/* A store moved from one back end to another and back: the same rows, or an empty target and the reason. */
#include "store/backends.h"
#include "store/workload.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "store/postgres_server.h"
#include "store/scratch.h"
#include "store/store_rows.h"

enum { ROUNDS = 120 };

static const struct backend *backend_named(const char *name)
{
    for (size_t i = 0; i < backends_count; i++)
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    fail_msg("no back end %s", name);
    return NULL;
}

/* ---- rows as text ---- */

struct rows {
    char **items;
    size_t count, cap;
};

static int add_row(void *context, enum store_table table, const struct store_value *values, struct error *err)
{
    struct rows *rows = context;
    struct buf line = BUF_INIT;
    (void)err;
    if (table == STORE_TABLE_EPOCH)
        return 0;
    buf_add_text(&line, store_layouts[table].name);
    for (int i = 0; i < store_layouts[table].column_count; i++) {
        buf_printf(&line, " %s=", store_layouts[table].columns[i].name);
        if (values[i].is_null)
            buf_add_text(&line, "null");
        else if (store_layouts[table].columns[i].type <= STORE_BOOL)
            buf_add_int(&line, values[i].number);
        else
            for (size_t k = 0; k < values[i].len; k++)
                buf_printf(&line, "%02x", (unsigned char)values[i].bytes[k]);
    }
    rows->items = mem_grow(rows->items, &rows->cap, rows->count + 1, sizeof(char *));
    rows->items[rows->count++] = buf_take(&line);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct rows rows_of(struct store *store)
{
    struct rows rows = {0};
    struct error err = {0};
    if (store->ops->dump(store, add_row, &rows, &err) != 0)
        fail_msg("%s", err.text);
    if (rows.count)
        qsort(rows.items, rows.count, sizeof *rows.items, by_text);
    return rows;
}

static void rows_fini(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        mem_free(rows->items[i]);
    mem_free(rows->items);
}

static void assert_same(struct store *one, struct store *other)
{
    struct rows a = rows_of(one), b = rows_of(other);
    assert_int_equal(a.count, b.count);
    for (size_t i = 0; i < a.count; i++)
        assert_string_equal(a.items[i], b.items[i]);
    rows_fini(&a);
    rows_fini(&b);
}

/* ---- a store with something of everything ---- */

static void end_running(struct suite *suite, struct workload *workload)
{
    for (size_t i = 0; i < workload->run_count; i++) {
        for (int task = 0; task < SUITE_TASKS; task++) {
            struct workload_task *of_run = &workload->runs[i].tasks[task];
            if (!of_run->running)
                continue;
            struct batch *batch = suite_batch(suite);
            (void)put_end(suite, batch, &of_run->claim, ATTEMPT_FAILED);
            suite_commit_all(suite, batch);
            of_run->running = false;
        }
    }
}

static void fill_at_random(struct suite *suite, uint64_t seed)
{
    struct workload *workload = mem_new(struct workload);
    workload->suite = suite;
    workload->seed = seed;
    for (int i = 0; i < ROUNDS; i++) {
        struct batch *batch = workload_next(workload);
        suite_commit(suite, batch);
        workload_take(workload, batch);
        record_batch_free(batch);
    }
    end_running(suite, workload);
    mem_free(workload);
}

/* A log that lies in a file of the data directory, another in its row, and a text that is no UTF-8. */
static struct uuid add_logs(struct suite *suite)
{
    struct uuid dag = suite_make_dag(suite, "logs"), run = suite_make_run(suite, dag);
    struct record_attempt first = suite_claim(suite, run, 0, 1), second = suite_claim(suite, run, 1, 1);
    struct buf log = BUF_INIT;
    char *logs = mem_printf("%s/logs", suite->dir);
    (void)mkdir(logs, 0700);
    mem_free(logs);
    for (int i = 0; i < 2000; i++)
        buf_printf(&log, "line %d\n", i);
    assert_int_equal(store_write_log(suite->dir, run, 0, 1, log.bytes, log.len, NULL), 0);
    struct batch *batch = suite_batch(suite);
    put_end(suite, batch, &first, ATTEMPT_SUCCEEDED)->attempt.log_bytes = (int64_t)log.len;
    struct record_attempt *short_one = &put_end(suite, batch, &second, ATTEMPT_SUCCEEDED)->attempt;
    short_one->log = "short\n";
    short_one->log_len = 6;
    short_one->log_bytes = 6;
    short_one->error = "not \xff UTF-8";
    suite_commit_all(suite, batch);
    suite_end_run(suite, run, dag, RUN_SUCCEEDED);
    buf_fini(&log);
    return run;
}

/* In a folder that is made as a data directory is. */
static struct store *open_new(const char *name, const char *dir)
{
    char *logs = mem_printf("%s/logs", dir);
    (void)mkdir(logs, 0700);
    mem_free(logs);
    return backend_named(name)->open(dir);
}

static void move(struct store *from, struct store *to)
{
    struct store_moved moved;
    struct error err = {0};
    if (store_move(from, to, NULL, &moved, &err) != 0)
        fail_msg("%s", err.text);
    struct buf findings = BUF_INIT;
    uint32_t count = 0;
    assert_int_equal(store_check(to, STORE_CHECK_FULL, &findings, &count, NULL), 0);
    if (count)
        fail_msg("%s", buf_text(&findings));
    buf_fini(&findings);
}

/* ---- */

static void test_there_and_back(void **state)
{
    struct suite *suite = *state;
    char *there_dir = scratch_make(), *back_dir = scratch_make();
    fill_at_random(suite, 1);
    (void)add_logs(suite);
    uint64_t epoch = suite->store->epoch;
    struct store *there = open_new("postgresql", there_dir);
    move(suite->store, there);
    assert_same(suite->store, there);
    store_close(there);
    there = open_new("postgresql", there_dir); /* a next life has larger fences than all before */
    assert_true(there->epoch > epoch);
    epoch = there->epoch;
    struct store *back = open_new("sqlite", back_dir);
    move(there, back);
    assert_same(suite->store, back);
    store_close(back);
    back = open_new("sqlite", back_dir);
    assert_true(back->epoch > epoch);
    struct store_status was, is;
    assert_int_equal(store_get_status(suite->store, &was, NULL), 0);
    assert_int_equal(store_get_status(back, &is, NULL), 0);
    assert_int_equal(was.dags, is.dags);
    assert_int_equal(was.active_runs, is.active_runs);
    assert_int_equal(was.letters_pending, is.letters_pending);
    store_close(there);
    store_close(back);
    scratch_remove(there_dir);
    scratch_remove(back_dir);
}

static void test_work_goes_on(void **state)
{
    struct suite *suite = *state;
    char *dir = scratch_make();
    struct uuid dag = suite_make_dag(suite, "a"), run = suite_make_run(suite, dag);
    struct store *there = open_new("postgresql", dir), *before = suite->store;
    move(before, there);
    store_close(there);
    suite->store = open_new("postgresql", dir);
    (void)suite_claim(suite, run, 0, 1); /* the same node's next life has what that of the move owned */
    assert_int_equal(suite_count_attempts(suite, run), 1);
    store_close(suite->store);
    suite->store = before;
    scratch_remove(dir);
}

static void assert_refused(struct store *from, struct store *to, int code)
{
    struct store_moved moved;
    struct error err = {0};
    assert_int_equal(store_move(from, to, NULL, &moved, &err), code);
}

static void test_refusals(void **state)
{
    struct suite *suite = *state;
    static const char *const kinds[] = {"sqlite", "postgresql"};
    struct uuid dag = suite_make_dag(suite, "a"), run = suite_make_run(suite, dag);
    for (int i = 0; i < 2; i++) {
        char *dir = scratch_make();
        struct store *to = open_new(kinds[i], dir);
        struct record_attempt claim = suite_claim(suite, run, (uint32_t)i, 1);
        assert_refused(suite->store, to, ERROR_RUN_ACTIVE);
        struct batch *batch = suite_batch(suite);
        (void)put_end(suite, batch, &claim, ATTEMPT_SUCCEEDED);
        suite_commit_all(suite, batch);
        move(suite->store, to);
        store_close(to);
        to = open_new(kinds[i], dir);
        assert_refused(suite->store, to, ERROR_USAGE);
        store_close(to);
        scratch_remove(dir);
    }
}

static bool stop(void *context)
{
    return --*(int *)context > 0;
}

static void test_cut_short(void **state)
{
    struct suite *suite = *state;
    static const char *const kinds[] = {"sqlite", "postgresql"};
    fill_at_random(suite, 2);
    for (int i = 0; i < 2; i++) {
        int left = 1;
        const struct store_copying copying = {stop, &left};
        char *dir = scratch_make();
        struct store *to = open_new(kinds[i], dir);
        struct store_moved moved;
        struct error err = {0};
        assert_int_equal(store_move(suite->store, to, &copying, &moved, &err), ERROR_INTERRUPTED);
        struct rows rows = rows_of(to);
        assert_int_equal(rows.count, 0);
        rows_fini(&rows);
        move(suite->store, to);
        assert_same(suite->store, to);
        store_close(to);
        scratch_remove(dir);
    }
}

/* A node lives on the database: neither from there nor to there. */
static void test_living_nodes(void **state)
{
    struct suite *suite = *state;
    char *dir = scratch_make(), *other_dir = scratch_make();
    struct store *node = open_new("postgresql", dir), *other, *empty = open_new("sqlite", other_dir);
    char *url = postgres_url(dir);
    const struct store_options options = {.url = url, .mode = STORE_WRITE, .node = {.id = {{9}}, .host = "other"}};
    assert_int_equal(store_open_postgres(&options, &other, NULL), 0);
    assert_refused(suite->store, other, ERROR_STORE_LOCKED);
    assert_refused(other, empty, ERROR_STORE_LOCKED);
    store_close(node);
    move(other, empty);
    store_close(other);
    store_close(empty);
    mem_free(url);
    scratch_remove(dir);
    scratch_remove(other_dir);
}

/* Whoever adds a column to the store adds it to the layouts, else it would be left behind. */
static void test_every_column_is_moved(void **state)
{
    static const char *const own[] = {"dags.dag", "active_runs.base", "runs.base", "attempts.key",
                                      "versions.version_row", "versions.source_bytes", "attempts.log"};
    struct suite *suite = *state;
    char *path = mem_printf("%s/pawl.db", suite->dir);
    sqlite3 *db;
    sqlite3_stmt *list;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (int table = STORE_TABLE_DAGS; table < STORE_TABLE_COUNT; table++) {
        const struct store_layout *layout = &store_layouts[table];
        assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM pragma_table_info(?1)", -1, &list, NULL), SQLITE_OK);
        (void)sqlite3_bind_text(list, 1, layout->name, -1, SQLITE_STATIC);
        int seen = 0;
        for (; sqlite3_step(list) == SQLITE_ROW; seen++) {
            char *name = mem_printf("%s.%s", layout->name, (const char *)sqlite3_column_text(list, 0));
            bool known = false;
            for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
                known = known || strcmp(own[i], name) == 0;
            for (int i = 0; i < layout->column_count; i++)
                known = known || strcmp(layout->columns[i].name, (const char *)sqlite3_column_text(list, 0)) == 0;
            if (!known)
                fail_msg("%s is not moved (store_rows.c)", name);
            mem_free(name);
        }
        assert_true(seen > 0);
        (void)sqlite3_finalize(list);
    }
    (void)sqlite3_close(db);
    mem_free(path);
}

static int setup(void **state)
{
    *state = (void *)(uintptr_t)backend_named("sqlite");
    return suite_setup(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_work_goes_on, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_cut_short, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_living_nodes, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_every_column_is_moved, setup, suite_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
