/* Unfinished runs for recovery, on the writer's connection, before the first commit. */
#include <string.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

/* DAG versions whose source was given. */
struct given {
    struct map seen;
    struct arena keys;
};

static bool is_given(struct given *given, const struct record_run *run)
{
    char key[sizeof run->dag_id.bytes + sizeof run->dag_version];
    memcpy(key, run->dag_id.bytes, sizeof run->dag_id.bytes);
    memcpy(key + sizeof run->dag_id.bytes, &run->dag_version, sizeof run->dag_version);
    if (map_get(&given->seen, key, sizeof key))
        return true;
    (void)map_set(&given->seen, arena_dup(&given->keys, key, sizeof key), sizeof key, given);
    return false;
}

static int load_attempts(struct sqlite_connection *writer, const struct record_run *run, int64_t base,
                         struct arena *arena, struct buf *ret_rows, struct error *err)
{
    bool row = true;
    int code = 0;
    sqlite3_stmt *list = store_sqlite_prepare(writer, SQL_ATTEMPTS, err);
    if (!list)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(list, 1, base);
    store_sqlite_bind_int(list, 2, store_sqlite_range_end(base, run->task_count));
    store_sqlite_bind_int(list, 3, -1);
    while (!code && (code = store_sqlite_step(writer, list, &row, err)) == 0 && row) {
        struct record_attempt attempt;
        if (!store_sqlite_read_attempt(list, run->id, base, arena, &attempt))
            code = store_sqlite_bad_row(writer, "attempts", err);
        buf_add(ret_rows, &attempt, sizeof attempt);
    }
    (void)sqlite3_reset(list);
    return code;
}

static int load_source(struct sqlite_connection *writer, const struct record_run *run, struct buf *ret_source,
                       struct error *err)
{
    bool row = false;
    sqlite3_stmt *find = store_sqlite_prepare(writer, SQL_VERSION, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, &run->dag_id);
    store_sqlite_bind_int(find, 2, run->dag_version);
    int code = store_sqlite_step(writer, find, &row, err);
    if (!row)
        return code ? code : store_sqlite_bad_row(writer, "active_runs", err);
    int64_t version_row = sqlite3_column_int64(find, 0);
    uint64_t bytes = (uint64_t)sqlite3_column_int64(find, 1);
    (void)sqlite3_reset(find);
    return store_sqlite_read_source(writer, version_row, bytes, ret_source, err);
}

/* The first run after *after, which becomes its id; *ret_more false: there is none. */
static int load_next(struct sqlite_connection *writer, struct given *given, struct uuid *after, bool *ret_more,
                     store_active_fn *fn, void *context, struct error *err)
{
    struct arena arena = {0};
    struct buf rows = BUF_INIT, source = BUF_INIT;
    struct store_run run;
    int64_t base;
    sqlite3_stmt *next = store_sqlite_prepare(writer, SQL_ACTIVE, err);
    if (!next)
        return ERROR_STORE_FAILED;
    const struct uuid last = *after;
    store_sqlite_bind_id(next, 1, &last);
    store_sqlite_bind_int(next, 2, true);
    int code = store_sqlite_step(writer, next, ret_more, err);
    if (!*ret_more)
        return code;
    if (!store_sqlite_read_run(next, &arena, &run, &base))
        code = store_sqlite_bad_row(writer, "active_runs", err);
    (void)sqlite3_reset(next);
    *after = run.run.id;
    bool fresh = !code && !is_given(given, &run.run);
    if (!code)
        code = load_attempts(writer, &run.run, base, &arena, &rows, err);
    if (!code && fresh)
        code = load_source(writer, &run.run, &source, err);
    if (!code) {
        const struct store_active active = {
            .run = run.run,
            .dag_name = run.dag_name,
            .source = fresh ? buf_text(&source) : NULL,
            .source_len = fresh ? source.len : 0,
            .attempts = (const struct record_attempt *)(const void *)rows.bytes,
            .attempt_count = rows.len / sizeof(struct record_attempt),
        };
        code = fn(context, &active, err);
    }
    buf_fini(&source);
    buf_fini(&rows);
    arena_fini(&arena);
    return code;
}

int store_sqlite_load_active(struct store *head, store_active_fn *fn, void *context, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    struct given given = {0};
    struct uuid after = {{0}};
    bool more = true;
    int code = store_sqlite_alive(store, true, err);
    while (more && !code)
        code = load_next(&store->writer, &given, &after, &more, fn, context, err);
    map_fini(&given.seen);
    arena_fini(&given.keys);
    return code;
}
