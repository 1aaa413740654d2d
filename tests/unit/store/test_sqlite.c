/* What is SQLite's own: files, versions, hardening, other processes, and what fsck finds. */
#include "store/conformance.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "store/scratch.h"

enum { WAL_BYTES = 4 * 1024 * 1024 };

static int open_as(const char *dir, enum store_mode mode, struct store **ret_store, struct error *err)
{
    const struct store_options options = {
        .path = dir, .mode = mode, .durability = STORE_DURABILITY_RELAXED, .reserve_bytes = 65536};
    return store_open_sqlite(&options, ret_store, err);
}

static struct store *open_sqlite(const char *dir)
{
    struct store *store = NULL;
    struct error err = {0};
    if (open_as(dir, STORE_CREATE, &store, &err) != 0)
        fail_msg("%s", err.text);
    return store;
}

static struct store *reopen_sqlite(struct store *store, const char *dir)
{
    store_close(store);
    return open_sqlite(dir);
}

static const struct backend backend = {"sqlite", open_sqlite, reopen_sqlite};

static int setup(void **state)
{
    *state = (void *)&backend;
    return suite_setup(state);
}

static char *path_of(const struct suite *suite, const char *name)
{
    return mem_printf("%s/%s", suite->dir, name);
}

/* Runs SQL on the file as a stranger would. */
static void alter(const struct suite *suite, const char *sql)
{
    sqlite3 *db;
    char *path = path_of(suite, "pawl.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    mem_free(path);
}

static void close_store(struct suite *suite)
{
    store_close(suite->store);
    suite->store = NULL;
}

static struct stat stat_of(const struct suite *suite, const char *name)
{
    struct stat status;
    char *path = path_of(suite, name);
    assert_int_equal(stat(path, &status), 0);
    mem_free(path);
    return status;
}

static void maintain(struct suite *suite, bool idle)
{
    int64_t next_ms;
    struct error err = {0};
    if (store_maintain(suite->store, suite->now_ms, idle, &next_ms, &err) != 0)
        fail_msg("%s", err.text);
}

/* ---- files ---- */

static void test_files(void **state)
{
    struct suite *suite = *state;
    static const char *const names[] = {"pawl.db", "pawl.db-wal", "pawl.db-shm", "reserve"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(stat_of(suite, names[i]).st_mode & 07777, 0600);
    assert_true(stat_of(suite, "reserve").st_blocks * 512 >= 65536);
    struct store_status status;
    assert_int_equal(store_get_status(suite->store, &status, NULL), 0);
    assert_string_equal(status.kind, "sqlite");
    assert_int_equal(status.durability, STORE_DURABILITY_RELAXED);
    assert_true(status.store_bytes > WAL_BYTES && status.free_bytes > 0);
    close_store(suite);
    char *wal = path_of(suite, "pawl.db-wal");
    assert_int_equal(access(wal, F_OK), -1); /* all of it is in pawl.db */
    mem_free(wal);
}

/* The -wal file is grown once and then used again and again. */
static void test_wal_is_reused(void **state)
{
    struct suite *suite = *state;
    struct uuid dag_id = suite_make_dag(suite, "work"), run_id = suite_make_run(suite, dag_id);
    assert_int_equal(stat_of(suite, "pawl.db-wal").st_size, WAL_BYTES);
    off_t before = stat_of(suite, "pawl.db").st_size;
    for (uint32_t i = 0; i < 2000; i++) {
        struct record_attempt claim = suite_claim(suite, run_id, i % SUITE_TASKS, i / SUITE_TASKS + 1);
        struct batch *batch = suite_batch(suite);
        (void)put_end(suite, batch, &claim, ATTEMPT_LOST);
        suite_commit_all(suite, batch);
        maintain(suite, false);
        assert_int_equal(stat_of(suite, "pawl.db-wal").st_size, WAL_BYTES);
    }
    assert_true(stat_of(suite, "pawl.db").st_size > before); /* checkpoints did it */
}

static void test_reserve_is_made_again(void **state)
{
    struct suite *suite = *state;
    char *reserve = path_of(suite, "reserve");
    close_store(suite);
    assert_int_equal(unlink(reserve), 0);
    suite->store = open_sqlite(suite->dir);
    assert_int_equal(access(reserve, F_OK), 0);
    assert_int_equal(suite->store->room, STORE_ROOM_OK);
    mem_free(reserve);
}

/* ---- versions ---- */

static void assert_no_open(struct suite *suite, enum store_mode mode, int code, const char *word)
{
    struct store *store = NULL;
    struct error err = {0};
    assert_int_equal(open_as(suite->dir, mode, &store, &err), code);
    assert_null(store);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.text, word));
}

static void write_file(const struct suite *suite, const char *bytes, size_t len)
{
    char *path = path_of(suite, "pawl.db");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(close(fd), 0);
    mem_free(path);
}

static void test_foreign_files(void **state)
{
    struct suite *suite = *state;
    close_store(suite);
    alter(suite, "PRAGMA user_version = 99");
    assert_no_open(suite, STORE_CREATE, ERROR_STORE_NEWER, "99");
    assert_no_open(suite, STORE_READ, ERROR_STORE_NEWER, "up to 7");
    alter(suite, "PRAGMA user_version = 2; PRAGMA application_id = 7");
    assert_no_open(suite, STORE_CREATE, ERROR_STORE_FAILED, "no pawl store");
    alter(suite, "PRAGMA application_id = 0; PRAGMA user_version = 0");
    assert_no_open(suite, STORE_WRITE, ERROR_STORE_FAILED, "no pawl store");
    char text[8192];
    memset(text, 'x', sizeof text);
    write_file(suite, text, sizeof text);
    assert_no_open(suite, STORE_CREATE, ERROR_STORE_FAILED, "pawl.db");
    assert_no_open(suite, STORE_READ, ERROR_STORE_FAILED, "pawl.db");
    write_file(suite, "", 0); /* a birth that ended before it began */
    assert_no_open(suite, STORE_WRITE, ERROR_NOT_FOUND, "pawl.db");
    assert_no_open(suite, STORE_READ, ERROR_NOT_FOUND, "pawl.db");
    suite->store = open_sqlite(suite->dir);
    assert_int_equal(suite->store->epoch, 1);
    close_store(suite);
    char *path = path_of(suite, "pawl.db");
    assert_int_equal(unlink(path), 0);
    assert_no_open(suite, STORE_WRITE, ERROR_NOT_FOUND, "pawl.db");
    assert_no_open(suite, STORE_READ, ERROR_NOT_FOUND, "pawl.db");
    mem_free(path);
}

/* Triggers and views that somebody planted do nothing. */
static void test_planted_schema(void **state)
{
    struct suite *suite = *state;
    struct uuid dag_id = suite_make_dag(suite, "work");
    close_store(suite);
    alter(suite, "CREATE TRIGGER planted AFTER INSERT ON active_runs BEGIN DELETE FROM dags; END");
    suite->store = open_sqlite(suite->dir);
    (void)suite_make_run(suite, dag_id);
    assert_uuid(suite_dag(suite, dag_id).id, dag_id);
}

/* ---- other processes ---- */

static void test_read_beside_a_writer(void **state)
{
    struct suite *suite = *state;
    struct uuid dag_id = suite_make_dag(suite, "work"), first = suite_make_run(suite, dag_id);
    struct store *reader = NULL, *writer = suite->store;
    assert_int_equal(open_as(suite->dir, STORE_READ, &reader, NULL), 0);
    assert_int_equal(reader->epoch, 0);
    struct uuid second = suite_make_run(suite, dag_id);
    suite->store = reader;
    assert_uuid(suite_run(suite, first).run.id, first);
    assert_uuid(suite_run(suite, second).run.id, second);
    struct store_status status;
    assert_int_equal(store_get_status(reader, &status, NULL), 0);
    assert_int_equal(status.epoch, writer->epoch);
    assert_int_equal(status.active_runs, 2);
    struct buf findings = BUF_INIT;
    uint32_t count = 1;
    assert_int_equal(store_check(reader, STORE_CHECK_FULL, &findings, &count, NULL), 0);
    assert_int_equal(count, 0);
    suite->store = writer;
    maintain(suite, true); /* a checkpoint beside it */
    struct uuid third = suite_make_run(suite, dag_id);
    close_store(suite);
    suite->store = reader;
    assert_uuid(suite_run(suite, third).run.id, third);
    close_store(suite);
    assert_int_equal(open_as(suite->dir, STORE_READ, &suite->store, NULL), 0); /* and with nobody beside it */
    assert_uuid(suite_run(suite, third).run.id, third);
    assert_int_equal(store_ping(suite->store, NULL), 0);
    close_store(suite);
    suite->store = open_sqlite(suite->dir);
    assert_int_equal(suite->store->epoch, 2);
}

/* Commits claims two at a time and says so after each; never ends. */
static _Noreturn void commit_for_ever(struct suite *suite, struct uuid run_id, int fd)
{
    for (uint32_t i = 0;; i++) {
        struct batch *batch = suite_batch(suite);
        (void)put_claim(suite, batch, run_id, 2 * i, 1);
        (void)put_claim(suite, batch, run_id, 2 * i + 1, 1);
        suite_commit_all(suite, batch);
        maintain(suite, false);
        if (write(fd, "x", 1) != 1)
            _exit(1);
    }
}

static struct uuid make_big_run(struct suite *suite, struct uuid dag_id, uint32_t tasks)
{
    struct batch *batch = suite_batch(suite);
    struct uuid id = suite_id(suite);
    put_run(suite, batch, record_add_group(batch), id, dag_id)->run.task_count = tasks;
    suite_commit_all(suite, batch);
    return id;
}

/* kill -9: what was said to be committed is there, and of what was not, whole commits. */
static void test_killed(void **state)
{
    struct suite *suite = *state;
    struct uuid dag_id = suite_make_dag(suite, "work"), run_id = make_big_run(suite, dag_id, LIMIT_DAG_LOCAL_TASKS_MAX);
    uint32_t done = 0;
    for (int life = 0; life < 5; life++) {
        int pipe_fd[2], status;
        char byte;
        close_store(suite); /* a connection must not be carried into the child */
        assert_int_equal(pipe(pipe_fd), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            (void)close(pipe_fd[0]);
            suite->store = open_sqlite(suite->dir);
            struct uuid mine = make_big_run(suite, dag_id, LIMIT_DAG_LOCAL_TASKS_MAX);
            if (write(pipe_fd[1], mine.bytes, sizeof mine.bytes) != (ssize_t)sizeof mine.bytes)
                _exit(1);
            commit_for_ever(suite, mine, pipe_fd[1]);
        }
        (void)close(pipe_fd[1]);
        assert_int_equal(read(pipe_fd[0], run_id.bytes, sizeof run_id.bytes), sizeof run_id.bytes);
        for (done = 0; done < 40u + (uint32_t)life * 7; done++)
            assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (read(pipe_fd[0], &byte, 1) == 1)
            done++;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        (void)close(pipe_fd[0]);
        suite->store = open_sqlite(suite->dir);
        assert_int_equal(suite->store->epoch, 3 + 2 * life);
        size_t count = suite_count_attempts(suite, run_id);
        assert_true(count == 2 * done || count == 2 * done + 2);
        suite->ids += 1; /* the child made one */
    }
    struct buf findings = BUF_INIT;
    uint32_t count = 1;
    assert_int_equal(store_check(suite->store, STORE_CHECK_FULL, &findings, &count, NULL), 0);
    if (count)
        fail_msg("%s", buf_text(&findings));
    buf_fini(&findings);
}

/* ---- readers ---- */

struct reader {
    struct store *store;
    struct uuid run_id;
    atomic_bool *stop;
    size_t reads, seen;
    bool wrong;                 /* part of a commit, or less than before */
};

static void *read_along(void *context)
{
    struct reader *reader = context;
    bool stop;
    do {
        stop = atomic_load(reader->stop);
        struct arena arena = {0};
        struct store_attempts attempts = {0};
        const struct store_attempt_query query = {.run_id = reader->run_id};
        if (store_list_attempts(reader->store, &query, &arena, &attempts, NULL) != 0 || attempts.count % 10 ||
            attempts.count < reader->seen)
            reader->wrong = true;
        reader->seen = attempts.count;
        reader->reads++;
        arena_fini(&arena);
    } while (!stop);
    return NULL;
}

static void test_readers_during_commits(void **state)
{
    enum { READERS = 6, COMMITS = 300 }; /* more readers than connections */
    struct suite *suite = *state;
    struct uuid dag_id = suite_make_dag(suite, "work"), run_id = make_big_run(suite, dag_id, 10 * COMMITS);
    struct reader readers[READERS];
    pthread_t threads[READERS];
    atomic_bool stop = false;
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.store = suite->store, .run_id = run_id, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, read_along, &readers[i]), 0);
    }
    for (uint32_t i = 0; i < COMMITS; i++) {
        struct batch *batch = suite_batch(suite);
        for (uint32_t k = 0; k < 10; k++)
            (void)put_claim(suite, batch, run_id, 10 * i + k, 1);
        suite_commit_all(suite, batch);
        maintain(suite, i % 10 == 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(readers[i].wrong);
        assert_int_equal(readers[i].seen, 10 * COMMITS);
        assert_true(readers[i].reads > 0);
    }
}

/* ---- size ---- */

static int count_active(void *context, const struct store_active *active, struct error *err)
{
    size_t *count = context;
    (void)err;
    for (size_t i = 0; i < active->attempt_count; i++) {
        assert_int_equal(active->attempts[i].task, i);
        assert_int_equal(active->attempts[i].number, 1);
    }
    *count += active->attempt_count;
    return 0;
}

/* Attempts come in any order of tasks, and back in the order of tasks. */
static void test_large_run(void **state)
{
    enum { TASKS = 100000, BATCH = 1000, STEP = 7919 };
    struct suite *suite = *state;
    struct uuid dag_id = suite_make_dag(suite, "work"), run_id = make_big_run(suite, dag_id, TASKS);
    struct record_attempt *claims = mem_new_array(struct record_attempt, BATCH);
    size_t loaded = 0;
    for (uint32_t i = 0; i < TASKS; i += BATCH) {
        struct batch *batch = suite_batch(suite);
        for (uint32_t k = 0; k < BATCH; k++)
            claims[k] = put_claim(suite, batch, run_id, (uint32_t)((uint64_t)(i + k) * STEP % TASKS), 1)->attempt;
        suite_commit_all(suite, batch);
        batch = suite_batch(suite);
        for (uint32_t k = 0; k < BATCH; k++)
            (void)put_end(suite, batch, &claims[k], ATTEMPT_SUCCEEDED);
        suite_commit_all(suite, batch);
        maintain(suite, false);
    }
    mem_free(claims);
    assert_int_equal(suite_count_attempts(suite, run_id), TASKS);
    suite_reopen(suite);
    assert_int_equal(store_load_active(suite->store, count_active, &loaded, NULL), 0);
    assert_int_equal(loaded, TASKS);
    const struct store_attempt_query query = {
        .run_id = run_id, .after = true, .after_task = 50000, .after_number = 1, .limit = 10};
    struct store_attempts attempts;
    assert_int_equal(store_list_attempts(suite->store, &query, &suite->arena, &attempts, NULL), 0);
    assert_int_equal(attempts.count, 10);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(attempts.items[i].task, 50001 + i);
}

/* A source that needs many rows comes back byte for byte. */
static void test_large_source(void **state)
{
    struct suite *suite = *state;
    size_t len = 5 * 65536 + 17;
    char *source = mem_alloc(len);
    struct uuid id = suite_id(suite);
    struct buf got = BUF_INIT;
    for (size_t i = 0; i < len; i++)
        source[i] = (char)(i * 31 % 251);
    for (size_t cut = 0; cut < 3; cut++) { /* a part more, exactly whole parts, nothing */
        struct batch *batch = suite_batch(suite);
        struct record_dag *row = &put_dag(suite, batch, cut ? RECORD_DAG_UPDATE : RECORD_DAG_CREATE,
                                          record_add_group(batch), id)->dag;
        row->name = "big";
        row->source = source;
        row->source_len = cut == 0 ? len : cut == 1 ? 65536 * 2 : 0;
        size_t wanted = row->source_len;
        suite_commit_all(suite, batch);
        buf_clear(&got);
        assert_int_equal(store_get_source(suite->store, id, 0, &got, NULL), 0);
        assert_int_equal(got.len, wanted);
        assert_true(wanted == 0 || memcmp(got.bytes, source, wanted) == 0);
    }
    buf_clear(&got);
    assert_int_equal(store_get_source(suite->store, id, 1, &got, NULL), 0);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.bytes, source, len);
    buf_fini(&got);
    mem_free(source);
}

/* ---- what cannot be true ---- */

static void assert_broken(struct suite *suite, struct uuid run_id, uint32_t task, uint32_t number, const char *why)
{
    struct batch *batch = suite_batch(suite);
    struct error err = {0};
    (void)put_claim(suite, batch, run_id, task, number);
    assert_int_equal(store_commit(suite->store, &batch, 1, &err), ERROR_INTERNAL);
    assert_non_null(strstr(err.text, why));
    assert_int_equal(store_commit(suite->store, &batch, 1, &err), ERROR_STORE_FAILED);
    assert_non_null(strstr(err.text, why));
    struct store_status status;
    assert_int_equal(store_get_status(suite->store, &status, NULL), 0);
    assert_true(status.failed);
    record_batch_free(batch);
    suite_reopen(suite);
}

static void test_claims_follow_each_other(void **state)
{
    struct suite *suite = *state;
    struct uuid dag_id = suite_make_dag(suite, "work"), run_id = suite_make_run(suite, dag_id);
    struct record_attempt claim = suite_claim(suite, run_id, 0, 1);
    assert_broken(suite, run_id, 0, 1, "it is claimed already");
    assert_broken(suite, run_id, 0, 2, "the attempt before it is running");
    assert_broken(suite, run_id, 0, 3, "the attempt before it is missing");
    assert_broken(suite, run_id, 1, 2, "the attempt before it is missing");
    assert_broken(suite, run_id, 1, 0, "its number is out of range");
    assert_broken(suite, run_id, 1, 1024, "its number is out of range");
    assert_broken(suite, run_id, SUITE_TASKS, 1, "the run has no such task");
    struct batch *batch = suite_batch(suite);
    (void)put_end(suite, batch, &claim, ATTEMPT_FAILED);
    (void)put_claim(suite, batch, run_id, 0, 2);
    suite_commit_all(suite, batch);
    assert_int_equal(suite_count_attempts(suite, run_id), 2);
}

/* ---- expired keys ---- */

static void test_keys_expire(void **state)
{
    struct suite *suite = *state;
    int64_t next_ms = 0;
    struct uuid dag_id = suite_make_dag(suite, "work");
    assert_int_equal(store_maintain(suite->store, suite->now_ms, true, &next_ms, NULL), 0);
    assert_int_equal(next_ms, -1); /* nothing to wake up for */
    for (int i = 0; i < 600; i++) {
        struct batch *batch = suite_batch(suite);
        struct uuid run_id = suite_id(suite);
        uint32_t group = record_add_group(batch);
        (void)put_key(suite, batch, group, arena_printf(&batch->arena, "key %d", i), 1, dag_id, run_id);
        (void)put_run(suite, batch, group, run_id, dag_id);
        suite_commit_all(suite, batch);
    }
    assert_int_equal(store_maintain(suite->store, suite->now_ms + 1000, true, &next_ms, NULL), 0);
    assert_int_equal(next_ms, LIMIT_IDEMPOTENCY_MS - 1000 + 1);
    int calls = 0;
    int64_t later = suite->now_ms + LIMIT_IDEMPOTENCY_MS + 1;
    for (next_ms = 0; next_ms >= 0; calls++)
        assert_int_equal(store_maintain(suite->store, later, true, &next_ms, NULL), 0);
    assert_true(calls > 1); /* a slice at a time */
    close_store(suite);
    sqlite3 *db;
    sqlite3_stmt *count;
    char *path = path_of(suite, "pawl.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM idempotency", -1, &count, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(count, 0), 0);
    (void)sqlite3_finalize(count);
    (void)sqlite3_close(db);
    mem_free(path);
}

/* ---- fsck ---- */

static uint32_t check(struct suite *suite, enum store_check_depth depth, struct buf *findings)
{
    uint32_t count;
    struct error err = {0};
    buf_clear(findings);
    if (store_check(suite->store, depth, findings, &count, &err) != 0)
        fail_msg("%s", err.text);
    return count;
}

static const struct {
    const char *damage, *repair, *finding;
    bool quick;
} damages[] = {
    {"UPDATE dags SET version = version + 1", "UPDATE dags SET version = version - 1", "without their latest", true},
    {"UPDATE active_runs SET version = 9", "UPDATE active_runs SET version = 1", "active runs of a DAG version", true},
    {"UPDATE dags SET deleted_ms = 1; UPDATE meta SET dags = 0",
     "UPDATE dags SET deleted_ms = 0; UPDATE meta SET dags = 1",
     "active runs of a deleted DAG", true},
    {"UPDATE active_runs SET state = 'failed'", "UPDATE active_runs SET state = 'pending'",
     "no longer pending or running", true},
    {"UPDATE active_runs SET triggered_by = '?'", "UPDATE active_runs SET triggered_by = 'api'", "cannot be read",
     true},
    {"UPDATE active_runs SET outcomes = x'ff'", "UPDATE active_runs SET outcomes = NULL", "cannot be read", true},
    {"UPDATE meta SET next_base = 1", "UPDATE meta SET next_base = 1000000", "not handed out yet", true},
    {"UPDATE meta SET active_runs = 7", "UPDATE meta SET active_runs = 1", "active runs more than meta says", true},
    {"UPDATE meta SET dags = 7", "UPDATE meta SET dags = 1", "live DAGs more than meta says", true},
    {"UPDATE versions SET source_bytes = source_bytes + 1", "UPDATE versions SET source_bytes = source_bytes - 1",
     "source is not whole", false},
    {"UPDATE runs SET version = 9", "UPDATE runs SET version = 1", "ended runs of a DAG version", false},
    {"UPDATE runs SET state = 'running'", "UPDATE runs SET state = 'failed'", "in a state that is no end", false},
    {"UPDATE runs SET failed_count = 9", "UPDATE runs SET failed_count = 1", "do not add up", false},
    {"UPDATE attempts SET state = 'running' WHERE key = (SELECT min(key) FROM attempts)",
     "UPDATE attempts SET state = 'failed' WHERE key = (SELECT min(key) FROM attempts)", "with an attempt that runs",
     false},
    {"UPDATE attempts SET state = '?' WHERE key = (SELECT min(key) FROM attempts)",
     "UPDATE attempts SET state = 'failed' WHERE key = (SELECT min(key) FROM attempts)", "a state that there is not",
     false},
    {"UPDATE active_runs SET base = base - 1024", "UPDATE active_runs SET base = base + 1024", "share attempt keys",
     false},
    {"UPDATE attempts SET key = key + 500000 WHERE key = (SELECT min(key) FROM attempts)",
     "UPDATE attempts SET key = key - 500000 WHERE key = (SELECT max(key) FROM attempts)", "belong to no run", false},
    {"UPDATE attempts SET key = key + 1 WHERE key = (SELECT min(key) FROM attempts)",
     "UPDATE attempts SET key = key - 1 WHERE key = (SELECT min(key) FROM attempts)", "has no predecessor", false},
    {"UPDATE letters SET run_id = x'00'", "UPDATE letters SET run_id = (SELECT id FROM runs)",
     "dead letters of a run", false},
    {"UPDATE letters SET resolved_ms = 5", "UPDATE letters SET resolved_ms = 0", "neither pending nor resolved", false},
    {"UPDATE meta SET letters_skipped = 5", "UPDATE meta SET letters_skipped = 0", "kinds of dead letters", false},
    {"UPDATE idempotency SET run_id = x'00'", "UPDATE idempotency SET run_id = (SELECT id FROM runs)",
     "keys without a run", false},
    {"INSERT INTO active_runs SELECT id, base, dag, version, task_count, 'pending', triggered_by, 0, 0, 0, NULL, 0, "
     "NULL, NULL, 0, NULL, NULL FROM runs; UPDATE meta SET active_runs = 2",
     "DELETE FROM active_runs WHERE id IN (SELECT id FROM runs); UPDATE meta SET active_runs = 1", "have ended too",
     true},
};

/* One ended run with an attempt, a dead letter and a key; one active run with an attempt. */
static void populate(struct suite *suite)
{
    struct uuid dag_id = suite_make_dag(suite, "work"), run_id = suite_id(suite);
    struct batch *batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    (void)put_key(suite, batch, group, "key", 1, dag_id, run_id);
    (void)put_run(suite, batch, group, run_id, dag_id);
    suite_commit_all(suite, batch);
    struct record_attempt claim = suite_claim(suite, run_id, 0, 1);
    batch = suite_batch(suite);
    (void)put_end(suite, batch, &claim, ATTEMPT_FAILED);
    suite_commit_all(suite, batch);
    (void)suite_make_letter(suite, run_id, dag_id, 0);
    suite_end_run(suite, run_id, dag_id, RUN_FAILED);
    (void)suite_claim(suite, suite_make_run(suite, dag_id), 0, 1);
}

static void test_check_finds(void **state)
{
    struct suite *suite = *state;
    struct buf findings = BUF_INIT;
    populate(suite);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        if (check(suite, STORE_CHECK_QUICK, &findings) || check(suite, STORE_CHECK_FULL, &findings))
            fail_msg("before '%s': %s", damages[i].finding, buf_text(&findings));
        alter(suite, damages[i].damage);
        assert_true(check(suite, STORE_CHECK_FULL, &findings) > 0);
        if (!strstr(buf_text(&findings), damages[i].finding))
            fail_msg("'%s' is not in: %s", damages[i].finding, buf_text(&findings));
        uint32_t quick = check(suite, STORE_CHECK_QUICK, &findings);
        assert_true(!damages[i].quick || quick > 0);
        alter(suite, damages[i].repair);
    }
    buf_fini(&findings);
}

/* A page overwritten in the middle of the file is a finding, not a crash; what does not need it can still be read. */
static void test_check_finds_bad_pages(void **state)
{
    struct suite *suite = *state;
    struct buf findings = BUF_INIT;
    char junk[4096];
    populate(suite);
    close_store(suite);
    char *path = path_of(suite, "pawl.db");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    memset(junk, 0x5a, sizeof junk);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 10 * 4096), sizeof junk);
    assert_int_equal(close(fd), 0);
    assert_int_equal(open_as(suite->dir, STORE_READ, &suite->store, NULL), 0);
    assert_true(check(suite, STORE_CHECK_FULL, &findings) > 0);
    assert_true(findings.len > 0);
    buf_fini(&findings);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_wal_is_reused, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_reserve_is_made_again, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_foreign_files, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_planted_schema, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_read_beside_a_writer, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_readers_during_commits, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_large_run, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_large_source, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_claims_follow_each_other, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_keys_expire, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_check_finds, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_check_finds_bad_pages, setup, suite_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
