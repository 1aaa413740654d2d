/* What became of schedules' instants. dags.covered_ms is the end of what is covered: a record of the schedule must lie
 * behind it and moves it, in one transaction, so that no instant is covered twice whoever asks; and it must reach to
 * what the record was decided behind, so that none is left out (G9). */
#include <string.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

/* ---- writing ---- */

static int exists(struct store_sqlite *store, sqlite3_stmt *statement, bool *ret_row, struct error *err)
{
    int code = store_sqlite_step(&store->writer, statement, ret_row, err);
    if (*ret_row)
        (void)sqlite3_reset(statement);
    return code;
}

static int was_fired(struct store_sqlite *store, int64_t dag, const struct record_fire *fire, bool *ret_fired,
                     struct error *err)
{
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_FIRE_BEFORE, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(find, 1, dag);
    store_sqlite_bind_int(find, 2, fire->from_ms);
    store_sqlite_bind_int(find, 3, fire->again);
    return exists(store, find, ret_fired, err);
}

static int is_queued(struct store_sqlite *store, const struct record_fire *fire, bool *ret_queued, struct error *err)
{
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_FIRE_QUEUED, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, &fire->id);
    return exists(store, find, ret_queued, err);
}

int store_sqlite_judge_fire(struct store_sqlite *store, const struct record *record, struct verdict *verdict,
                            struct error *err)
{
    const struct record_fire *fire = &record->fire;
    struct sqlite_dag dag;
    bool covered = false;
    int code = store_sqlite_find_dag(store, &fire->dag_id, &dag, err);
    if (code)
        return code;
    if (!dag.dag || dag.deleted) {
        verdict->refused = true;
        verdict->code = ERROR_DAG_NOT_FOUND;
        return 0;
    }
    if (record->kind == RECORD_FIRE_RELEASE) {
        code = is_queued(store, fire, &covered, err);
        covered = !covered;
    } else if (fire->trigger == TRIGGER_SCHEDULE) {
        covered = fire->from_ms <= dag.covered_ms || dag.covered_ms < fire->behind_ms;
        verdict->covered_ms = dag.covered_ms;
    } else {
        code = was_fired(store, dag.dag, fire, &covered, err);
    }
    if (!code && covered) {
        verdict->refused = true;
        verdict->code = ERROR_ALREADY_FIRED;
    } else if (!code && dag.paused && record_fire_is_paused(fire)) {
        verdict->refused = true;
        verdict->code = ERROR_PRECONDITION_FAILED;
    }
    return code;
}

static int release(struct store_sqlite *store, const struct record_fire *fire, struct error *err)
{
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, SQL_FIRE_RELEASE, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(update, 1, &fire->id);
    store_sqlite_bind_id(update, 2, &fire->run_id);
    return store_sqlite_run(&store->writer, update, err);
}

static int cover(struct store_sqlite *store, int64_t dag, int64_t to_ms, struct error *err)
{
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, SQL_FIRE_COVER, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(update, 1, dag);
    store_sqlite_bind_int(update, 2, to_ms);
    return store_sqlite_run(&store->writer, update, err);
}

int store_sqlite_write_fire(struct store_sqlite *store, const struct record *record, struct error *err)
{
    const struct record_fire *fire = &record->fire;
    struct sqlite_dag dag;
    if (record->kind == RECORD_FIRE_RELEASE)
        return release(store, fire, err);
    int code = store_sqlite_find_dag(store, &fire->dag_id, &dag, err);
    if (code)
        return code;
    if (fire->to_ms < fire->from_ms)
        return error_set(err, ERROR_INTERNAL, "a fire that ends before it begins");
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_FIRE_INSERT, err);
    if (!insert)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(insert, 1, &fire->id);
    store_sqlite_bind_int(insert, 2, dag.dag);
    store_sqlite_bind_text(insert, 3, state_trigger_name(fire->trigger));
    store_sqlite_bind_int(insert, 4, fire->from_ms);
    store_sqlite_bind_int(insert, 5, fire->to_ms);
    store_sqlite_bind_int(insert, 6, fire->count);
    store_sqlite_bind_text(insert, 7, state_fire_name(fire->outcome));
    store_sqlite_bind_text(insert, 8, state_fire_reason_name(fire->reason));
    store_sqlite_bind_uuid(insert, 9, &fire->run_id);
    store_sqlite_bind_int(insert, 10, fire->created_ms);
    store_sqlite_bind_int(insert, 11, fire->parallel);
    code = store_sqlite_run(&store->writer, insert, err);
    return code || fire->trigger != TRIGGER_SCHEDULE ? code : cover(store, dag.dag, fire->to_ms, err);
}

int store_sqlite_drop_fires(struct store_sqlite *store, int64_t dag, struct error *err)
{
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, SQL_FIRES_DROP, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(update, 1, dag);
    return store_sqlite_run(&store->writer, update, err);
}

/* ---- reading ---- */

static int fetch(struct sqlite_connection *connection, const struct uuid *id, struct arena *arena,
                 struct record_fire *ret_fire, struct error *err)
{
    bool row = false;
    sqlite3_stmt *get = store_sqlite_prepare(connection, SQL_FIRE, err);
    if (!get)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(get, 1, id);
    int code = store_sqlite_step(connection, get, &row, err);
    if (!row)
        return code ? code : store_sqlite_bad_row(connection, "fires", err);
    const char *trigger = store_sqlite_text(get, 2, arena), *outcome = store_sqlite_text(get, 6, arena);
    const char *reason = store_sqlite_text(get, 7, arena);
    *ret_fire = (struct record_fire){
        .id = store_sqlite_uuid(get, 0),
        .dag_id = store_sqlite_uuid(get, 1),
        .from_ms = sqlite3_column_int64(get, 3),
        .to_ms = sqlite3_column_int64(get, 4),
        .count = store_sqlite_u32(get, 5),
        .run_id = store_sqlite_uuid(get, 8),
        .created_ms = sqlite3_column_int64(get, 9),
        .parallel = store_sqlite_u32(get, 10),
    };
    if (!trigger || !state_trigger_parse(trigger, &ret_fire->trigger) || !outcome ||
        !state_fire_parse(outcome, &ret_fire->outcome) ||
        (reason && !state_fire_reason_parse(reason, &ret_fire->reason)))
        code = store_sqlite_bad_row(connection, "fires", err);
    (void)sqlite3_reset(get);
    return code;
}

static int choose(struct sqlite_connection *connection, const struct store_fire_query *query,
                  sqlite3_stmt **ret_list, bool *ret_none, struct error *err)
{
    int64_t dag = 0;
    bool of_dag = !uuid_is_zero(query->dag_id);
    int code = of_dag ? store_sqlite_find_dag_row(connection, &query->dag_id, &dag, err) : 0;
    *ret_none = of_dag && !dag;
    if (code || *ret_none)
        return code;
    enum sqlite_statement which = query->to_ms                                          ? SQL_IDS_FIRE_RANGE
                                  : of_dag                                              ? SQL_IDS_FIRE_DAG
                                  : query->by_outcome && query->outcome == FIRE_QUEUED ? SQL_IDS_FIRE_QUEUED
                                                                                        : SQL_IDS_FIRE;
    sqlite3_stmt *list = store_sqlite_prepare(connection, which, err);
    if (!list)
        return ERROR_STORE_FAILED;
    if (of_dag)
        store_sqlite_bind_int(list, 3, dag);
    if (which != SQL_IDS_FIRE_QUEUED)
        store_sqlite_bind_text(list, 4, query->by_outcome ? state_fire_name(query->outcome) : NULL);
    if (which == SQL_IDS_FIRE_RANGE) {
        store_sqlite_bind_int(list, 5, query->from_ms);
        store_sqlite_bind_int(list, 6, query->to_ms);
    }
    *ret_list = list;
    return 0;
}

static int read_fires(struct sqlite_connection *connection, const struct store_fire_query *query,
                      struct arena *arena, struct store_fires *ret_fires, struct error *err)
{
    struct store_ids ids;
    sqlite3_stmt *list = NULL;
    bool none;
    const struct sqlite_range range = store_sqlite_range(query->page.before, (struct uuid){{0}});
    *ret_fires = (struct store_fires){0};
    int code = choose(connection, query, &list, &none, err);
    if (code || none)
        return code;
    code = store_sqlite_page(connection, &list, 1, &range, query->page.offset, query->page.limit, arena, &ids, err);
    if (code)
        return code;
    *ret_fires = (struct store_fires){arena_array(arena, ids.count, sizeof(struct record_fire)), ids.count};
    for (size_t i = 0; i < ids.count && !code; i++)
        code = fetch(connection, &ids.items[i], arena, &ret_fires->items[i], err);
    return code;
}

int store_sqlite_fires(struct store *head, const struct store_fire_query *query, struct arena *arena,
                       struct store_fires *ret_fires, struct error *err)
{
    struct sqlite_connection *connection;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_fires(connection, query, arena, ret_fires, err));
}
