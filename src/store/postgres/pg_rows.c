/* All rows out and in (store_rows.h). Both begin by locking the table of nodes, so that no node joins meanwhile; who is
 * there already is in the way. Out: cursors in one snapshot. In: arrays, one transaction, so that a database that was
 * not filled to the end is as empty as before. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres/pg_model.h"
#include "store/store_rows.h"

enum { FETCH_FIRST = 32, FETCH_MAX = 2048, FETCH_BYTES_MIN = 1024 * 1024, FETCH_BYTES_MAX = 16 * 1024 * 1024 };

#define LONG_WORK "SET LOCAL statement_timeout TO 0; SET LOCAL idle_in_transaction_session_timeout TO 0; "

/* A number that must be zero. */
static int count(struct pg_connection *connection, const char *sql, int64_t *ret_count, struct error *err)
{
    PGresult *result;
    int code = store_pg_query(connection, sql, NULL, &result, err);
    *ret_count = code ? 0 : store_pg_int(connection->store, result, 0, 0);
    store_pg_clear(connection->store, result);
    return code;
}

static int refuse_nodes(struct pg_connection *connection, struct error *err)
{
    char sql[200];
    int64_t nodes;
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM nodes WHERE NOT dead AND lease_until >= clock_timestamp() "
                   "AND epoch <> %llu", (unsigned long long)connection->store->head.epoch);
    int code = count(connection, sql, &nodes, err);
    if (!code && nodes)
        code = error_set(err, ERROR_STORE_LOCKED, "the PostgreSQL store is in use: %lld node%s on it; stop %s first",
                         (long long)nodes, nodes == 1 ? " is" : "s are", nodes == 1 ? "it" : "them");
    return code;
}

/* ---- out ---- */

struct dump {
    struct pg_connection *connection;
    store_row_fn *fn;
    void *context;
};

/* What the layout calls a column. */
static void add_column(struct buf *sql, enum store_table table, const struct store_column *column)
{
    if (column->type == STORE_DAG)
        buf_printf(sql, "(SELECT d.id FROM dags d WHERE d.dag = t.%s)", column->name);
    else if (column->type == STORE_RUN)
        buf_add_text(sql, "r.id");
    else if (table == STORE_TABLE_ACTIVE_RUNS && strcmp(column->name, "cancel_ms") == 0)
        buf_add_text(sql, "greatest(t.cancel_ms, t.cancel_asked_ms)"); /* acknowledged: its owner has not seen it */
    else
        buf_printf(sql, "t.%s", column->name);
}

static void add_select(struct buf *sql, enum store_table table)
{
    const struct store_layout *layout = &store_layouts[table];
    if (table == STORE_TABLE_EPOCH) {
        buf_add_text(sql, "SELECT last_value FROM epochs");
        return;
    }
    buf_add_text(sql, "SELECT ");
    for (int i = 0; i < layout->column_count; i++) {
        buf_add_text(sql, i ? ", " : "");
        add_column(sql, table, &layout->columns[i]);
    }
    buf_printf(sql, " FROM %s t", layout->name);
    if (table == STORE_TABLE_ATTEMPTS)
        buf_add_text(sql, " JOIN (SELECT id, run FROM active_runs UNION ALL SELECT id, run FROM runs) r "
                     "ON r.run = t.run");
}

static struct store_value take(const struct store_pg *store, const PGresult *result, int row, int at,
                               enum store_type type, struct arena *arena)
{
    struct store_value value = {.is_null = store_pg_is_null(store, result, row, at)};
    if (value.is_null)
        return value;
    if (type == STORE_INT) {
        value.number = store_pg_int(store, result, row, at);
    } else if (type == STORE_BOOL) {
        value.number = store_pg_bool(store, result, row, at);
    } else if (type == STORE_TEXT) {
        value.bytes = store_pg_text(store, result, row, at, arena);
        value.len = strlen(value.bytes);
    } else if (type == STORE_BYTES) {
        value.bytes = store_pg_bytes(store, result, row, at, arena, &value.len);
    } else {
        struct uuid id = store_pg_uuid(store, result, row, at);
        value.bytes = arena_dup(arena, id.bytes, sizeof id.bytes);
        value.len = sizeof id.bytes;
    }
    return value;
}

/* *ret_bytes: about how much they were. */
static int give_rows(struct dump *dump, enum store_table table, const PGresult *result, size_t *ret_bytes,
                     struct error *err)
{
    const struct store_pg *store = dump->connection->store;
    const struct store_layout *layout = &store_layouts[table];
    int rows = store_pg_rows(store, result), code = 0;
    *ret_bytes = 0;
    for (int row = 0; row < rows && !code; row++) {
        struct arena arena = {0};
        struct store_value values[STORE_COLUMNS_MAX];
        for (int i = 0; i < layout->column_count; i++)
            values[i] = take(store, result, row, i, layout->columns[i].type, &arena);
        *ret_bytes += arena.total;
        code = dump->fn(dump->context, table, values, err);
        arena_fini(&arena);
    }
    return code;
}

static int dump_table(struct dump *dump, enum store_table table, struct error *err)
{
    struct buf sql = BUF_INIT;
    char fetch[64];
    int wanted = table == STORE_TABLE_VERSIONS ? 1 : FETCH_FIRST, rows = 1;
    buf_add_text(&sql, "DECLARE c NO SCROLL CURSOR FOR ");
    add_select(&sql, table);
    int code = store_pg_query(dump->connection, buf_text(&sql), NULL, NULL, err);
    while (!code && rows) {
        PGresult *result;
        size_t bytes = 0;
        (void)snprintf(fetch, sizeof fetch, "FETCH %d FROM c", wanted);
        code = store_pg_query(dump->connection, fetch, NULL, &result, err);
        rows = code ? 0 : store_pg_rows(dump->connection->store, result);
        if (rows)
            code = give_rows(dump, table, result, &bytes, err);
        store_pg_clear(dump->connection->store, result);
        if (bytes < FETCH_BYTES_MIN && wanted < FETCH_MAX)
            wanted *= 2;
        else if (bytes > FETCH_BYTES_MAX && wanted > 1)
            wanted /= 2;
    }
    if (!code)
        code = store_pg_query(dump->connection, "CLOSE c", NULL, NULL, err);
    buf_fini(&sql);
    return code;
}

static int refuse_running(struct pg_connection *connection, struct error *err)
{
    int64_t running;
    int code = count(connection, "SELECT count(*) FROM active_runs r JOIN attempts a ON a.run = r.run "
                     "AND a.state = 'running'", &running, err);
    if (!code && running)
        code = error_set(err, ERROR_RUN_ACTIVE, "%lld attempts are running, or ran when their nodes died: start a node "
                         "and stop it when they have ended", (long long)running);
    return code;
}

static int dump_all(struct pg_connection *connection, void *context, struct error *err)
{
    struct dump *dump = context;
    dump->connection = connection;
    connection->answer_ms = PG_FOREVER_MS;
    int code = store_pg_query(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ; " LONG_WORK
                              "LOCK TABLE nodes IN SHARE MODE", NULL, NULL, err);
    if (!code)
        code = refuse_nodes(connection, err);
    if (!code)
        code = refuse_running(connection, err);
    for (int i = 0; i < STORE_TABLE_COUNT && !code; i++)
        code = dump_table(dump, (enum store_table)i, err);
    connection->answer_ms = 0;
    if (connection->pg && store_pg_query(connection, "ROLLBACK", NULL, NULL, NULL) != 0)
        store_pg_disconnect(connection);
    return code;
}

int store_pg_dump(struct store *head, store_row_fn *fn, void *context, struct error *err)
{
    struct dump dump = {.fn = fn, .context = context};
    return store_pg_read(head, dump_all, &dump, err);
}

/* ---- in ---- */

enum { PUT_ROWS = 1000, PUT_BYTES = 8 * 1024 * 1024 };

struct fill {
    struct store_pg *store;
    enum store_table table;     /* of the rows that wait */
    struct pg_columns rows;
    int64_t next_run, runs_end; /* numbers for runs */
};

static const char *array_of(enum store_type type)
{
    switch (type) {
    case STORE_INT:
    case STORE_BOOL:
        return "bigint[]";
    case STORE_TEXT:
        return "text[]";
    case STORE_BYTES:
        return "bytea[]";
    default:
        return "uuid[]";
    }
}

static bool is_run_table(enum store_table table)
{
    return table == STORE_TABLE_ACTIVE_RUNS || table == STORE_TABLE_RUNS;
}

/* INSERT ... SELECT ... FROM unnest(arrays); a run's number is one array more. */
static void add_insert(const struct fill *fill, struct buf *sql)
{
    const struct store_layout *layout = &store_layouts[fill->table];
    bool is_run = is_run_table(fill->table), is_active = fill->table == STORE_TABLE_ACTIVE_RUNS;
    buf_printf(sql, "INSERT INTO %s (%s%s", layout->name, is_run ? "run, " : "",
               is_active ? "owner, cancel_asked_ms, " : "");
    for (int i = 0; i < layout->column_count; i++)
        buf_printf(sql, "%s%s", i ? ", " : "", layout->columns[i].name);
    buf_printf(sql, ") SELECT %s", is_run ? "n.run_number, " : "");
    if (is_active)
        buf_printf(sql, "%llu, 0, ", (unsigned long long)fill->store->head.epoch);
    for (int i = 0; i < layout->column_count; i++) {
        const struct store_column *column = &layout->columns[i];
        const char *format = column->type == STORE_DAG    ? "%sd.dag"
                             : column->type == STORE_RUN  ? "%sr.run"
                             : column->type == STORE_BOOL ? "%sn.%s <> 0"
                                                          : "%sn.%s";
        buf_printf(sql, format, i ? ", " : "", column->name);
    }
    buf_add_text(sql, " FROM unnest(");
    for (int i = 0; i < layout->column_count; i++)
        buf_printf(sql, "%s$%d::%s", i ? ", " : "", i + 1, array_of(layout->columns[i].type));
    buf_printf(sql, is_run ? ", $%d::bigint[]) AS n (" : ") AS n (", layout->column_count + 1);
    const char *dag = NULL;
    for (int i = 0; i < layout->column_count; i++) {
        buf_printf(sql, "%s%s", i ? ", " : "", layout->columns[i].name);
        dag = layout->columns[i].type == STORE_DAG ? layout->columns[i].name : dag;
    }
    buf_add_text(sql, is_run ? ", run_number)" : ")");
    if (dag)
        buf_printf(sql, " JOIN dags d ON d.id = n.%s", dag);
    if (fill->table == STORE_TABLE_ATTEMPTS)
        buf_add_text(sql, " CROSS JOIN LATERAL (SELECT run FROM active_runs WHERE id = n.run UNION ALL SELECT run "
                     "FROM runs WHERE id = n.run) r");
}

static int flush(struct fill *fill, struct error *err)
{
    const struct store_layout *layout = &store_layouts[fill->table];
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    struct buf sql = BUF_INIT;
    PGresult *result;
    if (!fill->rows.rows)
        return 0;
    for (int i = 0; i < layout->column_count + is_run_table(fill->table); i++)
        store_pg_add_array(&values, &fill->rows.columns[i]);
    add_insert(fill, &sql);
    int code = store_pg_query(&fill->store->writer, buf_text(&sql), &values, &result, err);
    if (!code && store_pg_changed(fill->store, result) != (int64_t)fill->rows.rows)
        code = error_set(err, ERROR_INTERNAL, "%s name DAGs or runs that are not there", layout->what);
    store_pg_clear(fill->store, result);
    for (int i = 0; i < PG_VALUES_MAX; i++)
        buf_clear(&fill->rows.columns[i]);
    fill->rows.rows = 0;
    buf_fini(&sql);
    arena_fini(&arena);
    return code;
}

static void put_value(struct buf *column, enum store_type type, const struct store_value *value)
{
    struct uuid id = {{0}};
    if (type <= STORE_BOOL) {
        store_pg_put_int(column, value->number);
    } else if (type == STORE_BYTES) {
        store_pg_put_bytes(column, value->is_null ? NULL : value->bytes, value->len);
    } else if (type == STORE_TEXT) {
        char *text = value->is_null ? NULL : mem_strndup(value->bytes, value->len);
        store_pg_put_text(column, text);
        mem_free(text);
    } else {
        if (!value->is_null)
            memcpy(id.bytes, value->bytes, sizeof id.bytes);
        store_pg_put_uuid(column, &id);
    }
}

static int take_number(struct fill *fill, int64_t *ret_number, struct error *err)
{
    int code = 0;
    if (fill->next_run == fill->runs_end) {
        code = count(&fill->store->writer, "SELECT nextval('run_serials')", &fill->next_run, err);
        fill->runs_end = fill->next_run + PG_RUNS_BLOCK;
    }
    *ret_number = fill->next_run++;
    return code;
}

static int set_epoch(struct fill *fill, int64_t epoch, struct error *err)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT setval('epochs', greatest(last_value, %lld)) FROM epochs",
                   (long long)epoch);
    return store_pg_query(&fill->store->writer, sql, NULL, NULL, err);
}

static int put_row(void *context, enum store_table table, const struct store_value *values, struct error *err)
{
    struct fill *fill = context;
    const struct store_layout *layout = &store_layouts[table];
    size_t bytes = 0;
    if (table == STORE_TABLE_EPOCH)
        return set_epoch(fill, values[0].number, err);
    int code = table == fill->table ? 0 : flush(fill, err);
    fill->table = table;
    for (int i = 0; i < layout->column_count && !code; i++) {
        put_value(&fill->rows.columns[i], layout->columns[i].type, &values[i]);
        bytes += fill->rows.columns[i].len;
    }
    if (!code && is_run_table(table)) {
        int64_t number;
        code = take_number(fill, &number, err);
        store_pg_put_int(&fill->rows.columns[layout->column_count], number);
    }
    fill->rows.rows++;
    if (!code && (fill->rows.rows == PUT_ROWS || bytes > PUT_BYTES))
        code = flush(fill, err);
    return code;
}

static int refuse_full(struct pg_connection *connection, struct error *err)
{
    int64_t rows;
    int code = count(connection, "SELECT (SELECT count(*) FROM dags) + (SELECT count(*) FROM runs) + "
                     "(SELECT count(*) FROM active_runs)", &rows, err);
    if (!code && rows)
        code = error_set(err, ERROR_USAGE, "the PostgreSQL database holds a store already (%lld DAGs and runs); choose "
                         "an empty one", (long long)rows);
    return code;
}

int store_pg_fill(struct store *head, struct store_feed *feed, struct error *err)
{
    struct store_pg *store = (struct store_pg *)head;
    struct fill fill = {.store = store, .table = STORE_TABLE_DAGS};
    struct pg_connection *writer = &store->writer;
    assert(store->mode != STORE_READ);
    int code = store_pg_alive(store, err);
    if (!code)
        code = store_pg_connect(writer, err);
    if (code)
        return code;
    writer->answer_ms = PG_FOREVER_MS;
    code = store_pg_query(writer, "BEGIN; " LONG_WORK "LOCK TABLE nodes IN SHARE MODE", NULL, NULL, err);
    if (!code)
        code = refuse_nodes(writer, err);
    if (!code)
        code = refuse_full(writer, err);
    if (!code)
        code = feed->give(feed, put_row, &fill, err);
    if (!code)
        code = flush(&fill, err);
    if (!code)
        code = store_pg_query(writer, "COMMIT", NULL, NULL, err);
    if (!code) /* who reads next plans by what is there now */
        (void)store_pg_query(writer, "SET statement_timeout TO 0; ANALYZE dags, versions, active_runs, runs, attempts, "
                             "letters, idempotency, fires", NULL, NULL, NULL);
    writer->answer_ms = 0;
    if (code && writer->pg && store_pg_query(writer, "ROLLBACK", NULL, NULL, NULL) != 0)
        store_pg_disconnect(writer);
    for (int i = 0; i < PG_VALUES_MAX; i++)
        buf_fini(&fill.rows.columns[i]);
    return code;
}
