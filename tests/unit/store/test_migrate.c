/* A store of every older version is brought to this one with all that is in it. versionN.sql is what that version's
 * pawl had written: one DAG with a schedule and an ended run. */
#include "support/check.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/scratch.h"
#include "store/store.h"

static void read_file(const char *path, struct buf *ret_text)
{
    char part[4096];
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    for (size_t len; (len = fread(part, 1, sizeof part, file)) > 0;)
        buf_add(ret_text, part, len);
    (void)fclose(file);
}

static void make_store(const char *dir, const char *dump, const char *change)
{
    struct buf sql = BUF_INIT;
    char *path = mem_printf("%s/pawl.db", dir);
    sqlite3 *db = NULL;
    read_file(dump, &sql);
    buf_add_text(&sql, change);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, buf_text(&sql), NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    mem_free(path);
    buf_fini(&sql);
}

static void migrate_version1(const char *change)
{
    char *dir = scratch_make();
    make_store(dir, "tests/unit/store/version1.sql", change);
    int64_t before_ms = clock_wall_ms();
    for (int life = 0; life < 2; life++) {
        const struct store_options options = {.path = dir, .mode = STORE_WRITE};
        struct store *store = NULL;
        struct error err = {0};
        struct arena arena = {0};
        struct store_dag dag;
        struct store_runs runs;
        struct store_fires fires;
        struct buf findings = BUF_INIT;
        uint32_t found = 0;
        if (store_open_sqlite(&options, &store, &err))
            fail_msg("%s", err.text);
        assert_int_equal(store_get_dag_by_name(store, "nightly", &arena, &dag, &err), 0);
        assert_string_equal(dag.cron, "0 2 * * *");
        /* nothing was ever fired by that version, and nothing counts as missed; seconds are good enough */
        assert_in_range(dag.covered_ms, before_ms - 1000, clock_wall_ms() + 1000);
        const struct store_run_query query = {.page.limit = 10};
        assert_int_equal(store_list_runs(store, &query, &arena, &runs, &err), 0);
        assert_int_equal(runs.count, 1);
        assert_int_equal(runs.items[0].run.state, RUN_SUCCEEDED);
        assert_int_equal(runs.items[0].run.scheduled_ms, 0);
        const struct store_fire_query of_dag = {.page.limit = 10, .dag_id = dag.id};
        assert_int_equal(store_list_fires(store, &of_dag, &arena, &fires, &err), 0);
        assert_int_equal(fires.count, 0);
        const struct store_attempt_query of_run = {.run_id = runs.items[0].run.id, .with_logs = true};
        struct store_attempts attempts;
        assert_int_equal(store_list_attempts(store, &of_run, &arena, &attempts, &err), 0);
        assert_true(attempts.count > 0);
        assert_int_equal(store_check(store, STORE_CHECK_FULL, &findings, &found, &err), 0);
        assert_string_equal(buf_text(&findings), "");
        buf_fini(&findings);
        arena_fini(&arena);
        store_close(store);
    }
    scratch_remove(dir);
}

static void test_version1(void **state)
{
    (void)state;
    migrate_version1("");
}

/* As it was first, before short logs were kept in rows. */
static void test_first_version1(void **state)
{
    (void)state;
    migrate_version1("ALTER TABLE attempts DROP COLUMN log;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_version1), cmocka_unit_test(test_first_version1)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
