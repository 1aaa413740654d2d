/* Readers of runs and attempts. */
#include <string.h>

#include "store/sqlite/sqlite_model.h"

int store_sqlite_bad_row(struct sqlite_connection *connection, const char *what, struct error *err)
{
    return error_set(err, ERROR_STORE_FAILED, "%s: a row of %s holds what no pawl writes", connection->store->path,
                     what);
}

/* ---- rows ---- */

static const char *column(sqlite3_stmt *row, int at)
{
    const char *text = (const char *)sqlite3_column_text(row, at);
    return text ? text : "";
}

bool store_sqlite_read_run(sqlite3_stmt *row, struct arena *arena, struct store_run *ret_run, int64_t *ret_base)
{
    struct record_run *run = &ret_run->run;
    *ret_run = (struct store_run){.run.id = store_sqlite_uuid(row, 0)};
    *ret_base = sqlite3_column_int64(row, 1);
    run->dag_id = store_sqlite_uuid(row, 2);
    ret_run->dag_name = store_sqlite_text(row, 3, arena);
    run->dag_version = store_sqlite_u32(row, 4);
    run->task_count = store_sqlite_u32(row, 5);
    bool good = state_run_parse(column(row, 6), &run->state) && state_trigger_parse(column(row, 7), &run->trigger);
    run->created_ms = sqlite3_column_int64(row, 8);
    run->started_ms = sqlite3_column_int64(row, 9);
    run->cancel_ms = sqlite3_column_int64(row, 10);
    run->source = store_sqlite_uuid(row, 11);
    run->resolves_source = sqlite3_column_int(row, 12) != 0;
    run->request_id = store_sqlite_text(row, 13, arena);
    run->scheduled_ms = sqlite3_column_int64(row, 14);
    run->completed_ms = sqlite3_column_int64(row, 15);
    run->failed_count = store_sqlite_u32(row, 16);
    run->succeeded_count = store_sqlite_u32(row, 17);
    run->skipped_count = store_sqlite_u32(row, 18);
    run->canceled_count = store_sqlite_u32(row, 19);
    run->error = store_sqlite_text(row, 20, arena);
    const void *outcomes = sqlite3_column_blob(row, 21);
    run->outcomes_len = outcomes ? (size_t)sqlite3_column_bytes(row, 21) : 0;
    run->outcomes = outcomes ? arena_dup(arena, outcomes, run->outcomes_len) : NULL;
    return good && ret_run->dag_name && !uuid_is_zero(run->id);
}

bool store_sqlite_read_attempt(sqlite3_stmt *row, struct uuid run_id, int64_t base, struct arena *arena,
                               struct record_attempt *ret_attempt)
{
    int64_t place = sqlite3_column_int64(row, 0) - base;
    *ret_attempt = (struct record_attempt){
        .run_id = run_id,
        .task = (uint32_t)(place / SQLITE_ATTEMPTS_MAX),
        .number = (uint32_t)(place % SQLITE_ATTEMPTS_MAX),
        .fence = (uint64_t)sqlite3_column_int64(row, 2),
        .worker = store_sqlite_uuid(row, 3),
        .claimed_ms = sqlite3_column_int64(row, 4),
        .started_ms = sqlite3_column_int64(row, 5),
        .ended_ms = sqlite3_column_int64(row, 6),
        .retry_ms = sqlite3_column_int64(row, 7),
        .error = store_sqlite_text(row, 10, arena),
        .exit_code = sqlite3_column_int(row, 11),
        .signal = sqlite3_column_int(row, 12),
        .http_status = sqlite3_column_int(row, 13),
        .cpu_us = sqlite3_column_int64(row, 14),
        .max_rss_bytes = sqlite3_column_int64(row, 15),
        .log_bytes = sqlite3_column_int64(row, 16),
    };
    bool ended = sqlite3_column_type(row, 8) != SQLITE_NULL, failed = sqlite3_column_type(row, 9) != SQLITE_NULL;
    return state_attempt_parse(column(row, 1), &ret_attempt->state) &&
           ended == (ret_attempt->state != ATTEMPT_RUNNING) &&
           (!ended || state_task_parse(column(row, 8), &ret_attempt->task_state)) &&
           (!failed || state_failure_parse(column(row, 9), &ret_attempt->error_type));
}

/* ---- runs ---- */

static int fetch_run(struct sqlite_connection *connection, const struct uuid *id, bool with_outcomes,
                     struct arena *arena, struct store_run *ret_run, struct error *err)
{
    bool row = false;
    int64_t base;
    sqlite3_stmt *get = store_sqlite_prepare(connection, SQL_RUN, err);
    if (!get)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(get, 1, id);
    store_sqlite_bind_int(get, 2, with_outcomes);
    int code = store_sqlite_step(connection, get, &row, err);
    if (code)
        return code;
    if (!row || !store_sqlite_read_run(get, arena, ret_run, &base))
        code = store_sqlite_bad_row(connection, "runs", err);
    (void)sqlite3_reset(get);
    return code;
}

/* dag: the DAG's row; 0: any */
static int bind_filters(sqlite3_stmt *statement, int64_t dag, const char *state)
{
    if (!statement)
        return ERROR_STORE_FAILED;
    if (sqlite3_bind_parameter_count(statement) >= 3) {
        (void)(dag ? sqlite3_bind_int64(statement, 3, dag) : sqlite3_bind_null(statement, 3));
        store_sqlite_bind_text(statement, 4, state);
    }
    return 0;
}

/* The lists to merge. Those of one DAG without a state are one per terminal state, since that is how its index lies. */
static int choose(struct sqlite_connection *connection, const struct store_run_query *query, int64_t dag,
                  sqlite3_stmt **statements, size_t *ret_count, struct error *err)
{
    size_t count = 0;
    int code = 0;
    const char *state = query->by_state ? state_run_name(query->state) : NULL;
    if (!query->by_state || !state_run_is_terminal(query->state)) {
        statements[count] = store_sqlite_prepare(connection, SQL_IDS_ACTIVE, err);
        code = bind_filters(statements[count++], dag, state);
    }
    if (code || (query->by_state && !state_run_is_terminal(query->state))) {
        *ret_count = count;
        return code;
    }
    if (dag && !query->by_state) {
        static const enum sqlite_statement of_state[RUN_STATE_COUNT] = {
            [RUN_SUCCEEDED] = SQL_IDS_ENDED_DAG,
            [RUN_FAILED] = SQL_IDS_ENDED_DAG_FAILED,
            [RUN_CANCELED] = SQL_IDS_ENDED_DAG_CANCELED,
        };
        for (int i = RUN_SUCCEEDED; i < RUN_STATE_COUNT && !code; i++) {
            statements[count] = store_sqlite_prepare(connection, of_state[i], err);
            code = bind_filters(statements[count++], dag, state_run_name((enum run_state)i));
        }
    } else {
        enum sqlite_statement one = dag ? SQL_IDS_ENDED_DAG : state ? SQL_IDS_ENDED_STATE : SQL_IDS_ENDED;
        statements[count] = store_sqlite_prepare(connection, one, err);
        code = bind_filters(statements[count++], dag, state);
    }
    *ret_count = count;
    return code;
}

int store_sqlite_find_dag_row(struct sqlite_connection *connection, const struct uuid *id, int64_t *ret_dag,
                              struct error *err)
{
    bool row = false;
    sqlite3_stmt *find = store_sqlite_prepare(connection, SQL_DAG_FIND, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, id);
    int code = store_sqlite_step(connection, find, &row, err);
    *ret_dag = row ? sqlite3_column_int64(find, 0) : 0;
    if (row)
        (void)sqlite3_reset(find);
    return code;
}

static bool owns(const struct store_run *run, const struct store_run_query *query)
{
    return uuid_is_zero(query->instance) ||
           record_instance_task(run->run.id, query->instance) < run->run.task_count;
}

static int read_runs(struct sqlite_connection *connection, const struct store_run_query *query, struct arena *arena,
                     struct store_runs *ret_runs, struct error *err)
{
    sqlite3_stmt *statements[RUN_STATE_COUNT];
    struct store_ids ids;
    size_t count;
    int64_t dag = 0;
    struct sqlite_range range = store_sqlite_range(query->page.before, query->id);
    uint32_t offset = query->page.offset;
    size_t limit = query->page.limit;
    *ret_runs = (struct store_runs){0};
    if (!uuid_is_zero(query->instance)) { /* a handful of candidates, which only their rows tell apart */
        struct uuid low, high;
        record_instance_range(query->instance, &low, &high);
        range.low = uuid_compare(low, range.low) > 0 ? low : range.low;
        range.high = uuid_compare(high, range.high) < 0 ? high : range.high;
        offset = 0;
        limit = SIZE_MAX;
    }
    int code = uuid_is_zero(query->dag_id) ? 0 : store_sqlite_find_dag_row(connection, &query->dag_id, &dag, err);
    if (code || (!uuid_is_zero(query->dag_id) && !dag))
        return code;
    code = choose(connection, query, dag, statements, &count, err);
    if (!code)
        code = store_sqlite_page(connection, statements, count, &range, offset, limit, arena, &ids, err);
    if (code)
        return code;
    uint32_t skip = limit == SIZE_MAX ? query->page.offset : 0;
    struct store_run *items = arena_array(arena, ids.count, sizeof *items), *next = items;
    for (size_t i = 0; i < ids.count && !code && (size_t)(next - items) < query->page.limit; i++) {
        code = fetch_run(connection, &ids.items[i], query->with_outcomes, arena, next, err);
        if (!code && owns(next, query)) {
            next += skip == 0;
            skip -= skip > 0;
        }
    }
    *ret_runs = (struct store_runs){items, (size_t)(next - items)};
    return code;
}

int store_sqlite_runs(struct store *head, const struct store_run_query *query, struct arena *arena,
                      struct store_runs *ret_runs, struct error *err)
{
    struct sqlite_connection *connection;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_runs(connection, query, arena, ret_runs, err));
}

/* ---- attempts ---- */

/* The run's keys; *ret_last < *ret_base: there is no such run. */
static int find_range(struct sqlite_connection *connection, const struct uuid *run_id, int64_t *ret_base,
                      int64_t *ret_last, struct error *err)
{
    bool row = false;
    sqlite3_stmt *find = store_sqlite_prepare(connection, SQL_RUN_RANGE, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, run_id);
    int code = store_sqlite_step(connection, find, &row, err);
    *ret_base = row ? sqlite3_column_int64(find, 0) : 0;
    *ret_last = row ? store_sqlite_range_end(*ret_base, store_sqlite_u32(find, 1)) : -1;
    if (row)
        (void)sqlite3_reset(find);
    return code;
}

/* Cuts [*first, *last] to what the query asks for. */
static void narrow(const struct store_attempt_query *query, int64_t base, int64_t *first, int64_t *last)
{
    if (query->by_task) {
        int64_t low = base + (int64_t)query->task * SQLITE_ATTEMPTS_MAX, high = low + SQLITE_ATTEMPTS_MAX - 1;
        *first = low;
        *last = high < *last ? high : *last;
    }
    if (query->after) {
        int64_t number = query->after_number < SQLITE_ATTEMPTS_MAX ? query->after_number : SQLITE_ATTEMPTS_MAX - 1;
        int64_t next = base + (int64_t)query->after_task * SQLITE_ATTEMPTS_MAX + number + 1;
        *first = next > *first ? next : *first;
    }
}

static int read_attempts(struct sqlite_connection *connection, const struct store_attempt_query *query,
                         struct arena *arena, struct store_attempts *ret_attempts, struct error *err)
{
    int64_t base, first, last;
    bool row = true;
    struct buf rows = BUF_INIT;
    *ret_attempts = (struct store_attempts){0};
    int code = find_range(connection, &query->run_id, &base, &last, err);
    if (code || last < base)
        return code;
    first = base;
    narrow(query, base, &first, &last);
    sqlite3_stmt *list = store_sqlite_prepare(connection, SQL_ATTEMPTS, err);
    if (!list)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(list, 1, first);
    store_sqlite_bind_int(list, 2, last);
    store_sqlite_bind_int(list, 3, query->limit ? (int64_t)query->limit : -1);
    while (!code && (code = store_sqlite_step(connection, list, &row, err)) == 0 && row) {
        struct record_attempt attempt;
        if (!store_sqlite_read_attempt(list, query->run_id, base, arena, &attempt))
            code = store_sqlite_bad_row(connection, "attempts", err);
        if (query->with_logs && sqlite3_column_bytes(list, 17) > 0) {
            attempt.log_len = (size_t)sqlite3_column_bytes(list, 17);
            attempt.log = arena_dup(arena, sqlite3_column_blob(list, 17), attempt.log_len);
        }
        buf_add(&rows, &attempt, sizeof attempt);
    }
    (void)sqlite3_reset(list);
    if (!code)
        *ret_attempts = (struct store_attempts){arena_dup(arena, rows.bytes, rows.len),
                                                rows.len / sizeof(struct record_attempt)};
    buf_fini(&rows);
    return code;
}

int store_sqlite_attempts(struct store *head, const struct store_attempt_query *query, struct arena *arena,
                          struct store_attempts *ret_attempts, struct error *err)
{
    struct sqlite_connection *connection;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_attempts(connection, query, arena, ret_attempts, err));
}
