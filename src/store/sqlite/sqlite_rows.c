/* All rows out and in (store_rows.h). Out: one read transaction. In: one write transaction, so that a store that was
 * not filled to the end is as empty as before; the row of meta is counted at its end. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/sqlite/sqlite_model.h"
#include "store/store_rows.h"

/* ---- out ---- */

struct dump {
    struct sqlite_connection *connection;
    store_row_fn *fn;
    void *context;
    struct arena scratch;       /* of one row */
    struct buf log;
};

static int prepare(struct sqlite_connection *connection, const char *sql, sqlite3_stmt **ret_statement,
                   struct error *err)
{
    int result = sqlite3_prepare_v2(connection->db, sql, -1, ret_statement, NULL);
    return result == SQLITE_OK ? 0 : store_sqlite_fault(connection->store, connection->db, result, err);
}

static int step(struct sqlite_connection *connection, sqlite3_stmt *statement, bool *ret_row, struct error *err)
{
    int result = sqlite3_step(statement);
    *ret_row = result == SQLITE_ROW;
    return result == SQLITE_ROW || result == SQLITE_DONE
               ? 0
               : store_sqlite_fault(connection->store, connection->db, result, err);
}

/* Other stores take valid UTF-8 only. */
static void clean(struct arena *arena, struct store_value *value)
{
    if (value->is_null || str_utf8_valid(value->bytes, value->len))
        return;
    char *text = arena_dup(arena, value->bytes, value->len);
    for (size_t i = 0; i < value->len;) {
        size_t width = str_utf8_width(text + i, value->len - i);
        if (!width)
            text[i] = '?';
        i += width ? width : 1;
    }
    value->bytes = text;
}

static struct store_value take(struct dump *dump, sqlite3_stmt *row, int at, enum store_type type)
{
    struct store_value value = {.is_null = sqlite3_column_type(row, at) == SQLITE_NULL};
    if (type <= STORE_BOOL) {
        value.number = sqlite3_column_int64(row, at);
    } else {
        value.bytes = sqlite3_column_blob(row, at);
        value.len = (size_t)sqlite3_column_bytes(row, at);
        value.bytes = value.bytes ? value.bytes : "";
    }
    if (type == STORE_TEXT)
        clean(&dump->scratch, &value);
    return value;
}

static int give_row(struct dump *dump, enum store_table table, sqlite3_stmt *row, struct error *err)
{
    const struct store_layout *layout = &store_layouts[table];
    struct store_value values[STORE_COLUMNS_MAX];
    for (int i = 0; i < layout->column_count; i++)
        values[i] = take(dump, row, i, layout->columns[i].type);
    int code = dump->fn(dump->context, table, values, err);
    arena_fini(&dump->scratch);
    return code;
}

/* A table whose rows are the layout's but for numbers of DAGs. */
static int dump_plain(struct dump *dump, enum store_table table, struct error *err)
{
    const struct store_layout *layout = &store_layouts[table];
    struct buf sql = BUF_INIT;
    sqlite3_stmt *rows = NULL;
    bool row = true;
    buf_add_text(&sql, "SELECT ");
    for (int i = 0; i < layout->column_count; i++)
        buf_printf(&sql,
                   layout->columns[i].type == STORE_DAG ? "%s(SELECT id FROM dags WHERE dags.dag = t.%s)" : "%st.%s",
                   i ? ", " : "", layout->columns[i].name);
    buf_printf(&sql, " FROM %s t", table == STORE_TABLE_EPOCH ? "meta" : layout->name);
    int code = prepare(dump->connection, buf_text(&sql), &rows, err);
    while (!code && (code = step(dump->connection, rows, &row, err)) == 0 && row)
        code = give_row(dump, table, rows, err);
    (void)sqlite3_finalize(rows);
    buf_fini(&sql);
    return code;
}

static int dump_versions(struct dump *dump, struct error *err)
{
    sqlite3_stmt *rows = NULL;
    struct buf source = BUF_INIT;
    bool row = true;
    int code = prepare(dump->connection,
                       "SELECT d.id, v.version, v.task_count, v.created_ms, v.version_row, v.source_bytes "
                       "FROM versions v JOIN dags d ON d.dag = v.dag ORDER BY v.version_row", &rows, err);
    while (!code && (code = step(dump->connection, rows, &row, err)) == 0 && row) {
        struct store_value values[STORE_COLUMNS_MAX];
        for (int i = 0; i < 4; i++)
            values[i] = take(dump, rows, i, i ? STORE_INT : STORE_DAG);
        buf_clear(&source);
        code = store_sqlite_read_source(dump->connection, sqlite3_column_int64(rows, 4),
                                        (uint64_t)sqlite3_column_int64(rows, 5), &source, err);
        values[4] = (struct store_value){.bytes = buf_text(&source), .len = source.len};
        if (!code)
            code = dump->fn(dump->context, STORE_TABLE_VERSIONS, values, err);
    }
    (void)sqlite3_finalize(rows);
    buf_fini(&source);
    return code;
}

enum { ATTEMPT_STATE = 3, ATTEMPT_LOG_BYTES = 18, ATTEMPT_LOG = 19 };

/* A run's attempts; their columns but the first are the layout's from its fourth on. */
static int dump_attempts_of(struct dump *dump, sqlite3_stmt *runs, sqlite3_stmt *rows, struct error *err)
{
    int64_t base = sqlite3_column_int64(runs, 1);
    struct uuid id = store_sqlite_uuid(runs, 0);
    bool row = true;
    int code = 0;
    store_sqlite_bind_int(rows, 1, base);
    store_sqlite_bind_int(rows, 2, store_sqlite_range_end(base, store_sqlite_u32(runs, 2)));
    while (!code && (code = step(dump->connection, rows, &row, err)) == 0 && row) {
        int64_t key = sqlite3_column_int64(rows, 0) - base;
        struct store_value values[STORE_COLUMNS_MAX] = {
            {.bytes = (const char *)id.bytes, .len = sizeof id.bytes},
            {.number = key / SQLITE_ATTEMPTS_MAX},
            {.number = key % SQLITE_ATTEMPTS_MAX},
        };
        for (int i = ATTEMPT_STATE; i <= ATTEMPT_LOG; i++)
            values[i] = take(dump, rows, i - ATTEMPT_STATE + 1, store_layouts[STORE_TABLE_ATTEMPTS].columns[i].type);
        struct store_value *state = &values[ATTEMPT_STATE], *log = &values[ATTEMPT_LOG];
        bool is_lost = state->len == 4 && memcmp(state->bytes, "lost", 4) == 0;
        buf_clear(&dump->log);
        if (log->is_null && (values[ATTEMPT_LOG_BYTES].number || is_lost))
            store_read_log(dump->connection->store->dir, id, (uint32_t)values[1].number, (uint32_t)values[2].number,
                           &dump->log);
        if (dump->log.len)
            *log = (struct store_value){.bytes = dump->log.bytes, .len = dump->log.len};
        code = dump->fn(dump->context, STORE_TABLE_ATTEMPTS, values, err);
        arena_fini(&dump->scratch);
    }
    (void)sqlite3_reset(rows);
    return code;
}

static int dump_attempts(struct dump *dump, struct error *err)
{
    sqlite3_stmt *runs = NULL, *rows = NULL;
    bool row = true;
    int code = prepare(dump->connection, "SELECT id, base, task_count FROM active_runs UNION ALL "
                       "SELECT id, base, task_count FROM runs", &runs, err);
    if (!code)
        code = prepare(dump->connection,
                       "SELECT key, state, fence, worker, claimed_ms, started_ms, ended_ms, retry_ms, task_state, "
                       "error_type, error, exit_code, signal, http_status, cpu_us, max_rss_bytes, log_bytes, log "
                       "FROM attempts WHERE key BETWEEN ?1 AND ?2 ORDER BY key", &rows, err);
    while (!code && (code = step(dump->connection, runs, &row, err)) == 0 && row)
        code = dump_attempts_of(dump, runs, rows, err);
    (void)sqlite3_finalize(rows);
    (void)sqlite3_finalize(runs);
    return code;
}

/* What runs has a process that writes to this store's folder, or had one: who starts the daemon again finds out. */
static int refuse_running(struct dump *dump, struct error *err)
{
    sqlite3_stmt *count = NULL;
    bool row = false;
    int code = prepare(dump->connection,
                       "SELECT count(*) FROM active_runs r JOIN attempts a ON a.key BETWEEN r.base AND r.base + "
                       "max(r.task_count, 1) * 1024 - 1 WHERE a.state = 'running'", &count, err);
    if (!code)
        code = step(dump->connection, count, &row, err);
    int64_t running = row ? sqlite3_column_int64(count, 0) : 0;
    (void)sqlite3_finalize(count);
    if (!code && running)
        code = error_set(err, ERROR_RUN_ACTIVE, "%lld attempts are running, or ran when the daemon died: start "
                         "'pawl serve' and stop it when they have ended", (long long)running);
    return code;
}

int store_sqlite_dump(struct store *head, store_row_fn *fn, void *context, struct error *err)
{
    struct dump dump = {.fn = fn, .context = context};
    int code = store_sqlite_enter(head, &dump.connection, err);
    if (code)
        return code;
    code = refuse_running(&dump, err);
    for (int i = 0; i < STORE_TABLE_COUNT && !code; i++) {
        if (i == STORE_TABLE_VERSIONS)
            code = dump_versions(&dump, err);
        else if (i == STORE_TABLE_ATTEMPTS)
            code = dump_attempts(&dump, err);
        else
            code = dump_plain(&dump, (enum store_table)i, err);
    }
    arena_fini(&dump.scratch);
    buf_fini(&dump.log);
    return store_sqlite_leave(dump.connection, code);
}

/* ---- in ---- */

struct fill {
    struct store_sqlite *store;
    sqlite3_stmt *inserts[STORE_TABLE_COUNT];
    sqlite3_stmt *find_run;
    struct uuid run;            /* whose base is known; zero: none */
    int64_t base, next_base, epoch, log_bytes;
};

static void bind(sqlite3_stmt *statement, int at, enum store_type type, const struct store_value *value)
{
    if (value->is_null)
        (void)sqlite3_bind_null(statement, at);
    else if (type <= STORE_BOOL)
        (void)sqlite3_bind_int64(statement, at, value->number);
    else if (type == STORE_TEXT)
        (void)sqlite3_bind_text64(statement, at, value->bytes, value->len, SQLITE_STATIC, SQLITE_UTF8);
    else
        (void)sqlite3_bind_blob64(statement, at, value->bytes, value->len, SQLITE_STATIC);
}

static int run(struct fill *fill, sqlite3_stmt *statement, struct error *err)
{
    bool row;
    int code = step(&fill->store->writer, statement, &row, err);
    (void)sqlite3_reset(statement);
    return code;
}

/* The layout's columns are ?1, ?2, ...; of a run ?30 is its base. */
static int prepare_insert(struct fill *fill, enum store_table table, struct error *err)
{
    const struct store_layout *layout = &store_layouts[table];
    bool is_run = table == STORE_TABLE_ACTIVE_RUNS || table == STORE_TABLE_RUNS;
    struct buf sql = BUF_INIT;
    buf_printf(&sql, "INSERT INTO %s (%s", layout->name, is_run ? "base, " : "");
    for (int i = 0; i < layout->column_count; i++)
        buf_printf(&sql, "%s%s", i ? ", " : "", layout->columns[i].name);
    buf_printf(&sql, ") VALUES (%s", is_run ? "?30, " : "");
    for (int i = 0; i < layout->column_count; i++)
        buf_printf(&sql, layout->columns[i].type == STORE_DAG ? "%s(SELECT dag FROM dags WHERE id = ?%d)" : "%s?%d",
                   i ? ", " : "", i + 1);
    buf_add_char(&sql, ')');
    const char *text = buf_text(&sql);
    if (table == STORE_TABLE_VERSIONS)
        text = "INSERT INTO versions (dag, version, task_count, created_ms, source_bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
    else if (table == STORE_TABLE_ATTEMPTS)
        text = "INSERT INTO attempts (key, state, fence, worker, claimed_ms, started_ms, ended_ms, retry_ms, "
               "task_state, error_type, error, exit_code, signal, http_status, cpu_us, max_rss_bytes, log_bytes, log) "
               "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";
    int code = prepare(&fill->store->writer, text, &fill->inserts[table], err);
    buf_fini(&sql);
    return code;
}

static int put_version(struct fill *fill, sqlite3_stmt *insert, const struct store_value *values, struct error *err)
{
    struct sqlite_dag dag;
    struct uuid id;
    struct store_sqlite *store = fill->store;
    memcpy(id.bytes, values[0].bytes, sizeof id.bytes);
    int code = store_sqlite_find_dag(store, &id, &dag, err);
    store_sqlite_bind_int(insert, 1, dag.dag);
    for (int i = 1; i < 4; i++)
        store_sqlite_bind_int(insert, i + 1, values[i].number);
    store_sqlite_bind_int(insert, 5, (int64_t)values[4].len);
    if (!code)
        code = run(fill, insert, err);
    return code ? code : store_sqlite_write_source(store, values[4].bytes, values[4].len, err);
}

static int find_base(struct fill *fill, const struct store_value *id, struct error *err)
{
    bool row = false;
    if (memcmp(fill->run.bytes, id->bytes, sizeof fill->run.bytes) == 0)
        return 0;
    bind(fill->find_run, 1, STORE_ID, id);
    int code = step(&fill->store->writer, fill->find_run, &row, err);
    if (row)
        fill->base = sqlite3_column_int64(fill->find_run, 0);
    (void)sqlite3_reset(fill->find_run);
    if (!code && !row)
        code = error_set(err, ERROR_INTERNAL, "an attempt of a run that is not there");
    memcpy(fill->run.bytes, id->bytes, sizeof fill->run.bytes);
    return code;
}

/* A log that is no short one becomes a file again. */
static int put_attempt(struct fill *fill, sqlite3_stmt *insert, const struct store_value *values, struct error *err)
{
    static const struct store_value none = {.is_null = true};
    const struct store_value *log = &values[ATTEMPT_LOG];
    uint32_t task = (uint32_t)values[1].number, number = (uint32_t)values[2].number;
    int code = find_base(fill, &values[0], err);
    if (!code && !log->is_null && log->len > LIMIT_LOG_INLINE_BYTES_MAX) {
        code = store_write_log(fill->store->dir, fill->run, task, number, log->bytes, log->len, err);
        log = &none;
    }
    if (code)
        return code;
    store_sqlite_bind_int(insert, 1, fill->base + (int64_t)task * SQLITE_ATTEMPTS_MAX + number);
    for (int i = ATTEMPT_STATE; i < ATTEMPT_LOG; i++)
        bind(insert, i - ATTEMPT_STATE + 2, store_layouts[STORE_TABLE_ATTEMPTS].columns[i].type, &values[i]);
    bind(insert, ATTEMPT_LOG - ATTEMPT_STATE + 2, STORE_BYTES, log);
    return run(fill, insert, err);
}

static int put_row(void *context, enum store_table table, const struct store_value *values, struct error *err)
{
    struct fill *fill = context;
    const struct store_layout *layout = &store_layouts[table];
    sqlite3_stmt *insert = fill->inserts[table];
    if (table == STORE_TABLE_EPOCH) {
        fill->epoch = values[0].number;
        return 0;
    }
    if (table == STORE_TABLE_VERSIONS)
        return put_version(fill, insert, values, err);
    if (table == STORE_TABLE_ATTEMPTS)
        return put_attempt(fill, insert, values, err);
    for (int i = 0; i < layout->column_count; i++)
        bind(insert, i + 1, table == STORE_TABLE_KEYS && i == 2 ? STORE_TEXT : layout->columns[i].type, &values[i]);
    if (table == STORE_TABLE_ACTIVE_RUNS || table == STORE_TABLE_RUNS) {
        int64_t tasks = values[3].number > 0 ? values[3].number : 1;
        store_sqlite_bind_int(insert, 30, fill->next_base);
        fill->next_base += tasks * SQLITE_ATTEMPTS_MAX;
    }
    return run(fill, insert, err);
}

static int refuse_full(struct fill *fill, struct error *err)
{
    sqlite3_stmt *count = NULL;
    bool row = false;
    int code = prepare(&fill->store->writer,
                       "SELECT (SELECT count(*) FROM dags) + (SELECT count(*) FROM runs) + (SELECT count(*) FROM "
                       "active_runs) + (SELECT count(*) FROM taken)", &count, err);
    if (!code)
        code = step(&fill->store->writer, count, &row, err);
    int64_t rows = row ? sqlite3_column_int64(count, 0) : 0;
    (void)sqlite3_finalize(count);
    if (!code && rows)
        code = error_set(err, ERROR_USAGE, "%s holds a store already (%lld DAGs and runs); choose an empty place",
                         fill->store->dir, (long long)rows);
    return code;
}

/* Logs are on the disk before the rows that say so. */
static int sync_logs(const struct fill *fill, struct error *err)
{
    int folder = open(fill->store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = folder >= 0 && syncfs(folder) == 0;
    if (folder >= 0)
        (void)close(folder);
    return done ? 0 : error_set(err, ERROR_IO, "%s cannot be synced", fill->store->dir);
}

static int finish(struct fill *fill, struct error *err)
{
    static const char sql[] =
        "UPDATE meta SET epoch = max(epoch, %lld), next_base = %lld, dags = (SELECT count(*) FROM dags WHERE "
        "deleted_ms = 0), active_runs = (SELECT count(*) FROM active_runs), ended_runs = (SELECT count(*) FROM runs), "
        "letters_pending = (SELECT count(*) FROM letters WHERE resolution = 'pending'), "
        "letters_retried = (SELECT count(*) FROM letters WHERE resolution = 'retried'), "
        "letters_skipped = (SELECT count(*) FROM letters WHERE resolution = 'skipped'), "
        "letters_resolved = (SELECT count(*) FROM letters WHERE resolution = 'resolved'), "
        "log_bytes = (SELECT coalesce(sum(log_bytes), 0) FROM attempts WHERE log IS NULL)";
    int code = sync_logs(fill, err);
    if (code)
        return code;
    char *text = mem_printf(sql, (long long)fill->epoch, (long long)fill->next_base);
    int result = sqlite3_exec(fill->store->writer.db, text, NULL, NULL, NULL);
    mem_free(text);
    return result == SQLITE_OK ? 0 : store_sqlite_fault(fill->store, fill->store->writer.db, result, err);
}

int store_sqlite_fill(struct store *head, struct store_feed *feed, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    struct fill fill = {.store = store, .next_base = store->meta.next_base};
    assert(store->mode != STORE_READ);
    int code = store_sqlite_alive(store, true, err);
    for (int i = STORE_TABLE_DAGS; i < STORE_TABLE_COUNT && !code; i++)
        code = prepare_insert(&fill, (enum store_table)i, err);
    if (!code)
        code = prepare(&store->writer, "SELECT base FROM active_runs WHERE id = ?1 UNION ALL SELECT base FROM runs "
                       "WHERE id = ?1", &fill.find_run, err);
    if (!code)
        code = store_sqlite_run_plain(&store->writer, SQL_BEGIN_WRITE, err);
    if (!code) {
        code = refuse_full(&fill, err);
        if (!code)
            code = feed->give(feed, put_row, &fill, err);
        if (!code)
            code = finish(&fill, err);
        if (!code)
            code = store_sqlite_run_plain(&store->writer, SQL_COMMIT, err);
        if (code)
            code = store_sqlite_rollback(store, code, err);
    }
    for (int i = 0; i < STORE_TABLE_COUNT; i++)
        (void)sqlite3_finalize(fill.inserts[i]);
    (void)sqlite3_finalize(fill.find_run);
    return code;
}
