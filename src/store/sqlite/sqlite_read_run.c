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
    run->changes = store_sqlite_text(row, 15, arena);
    run->completed_ms = sqlite3_column_int64(row, 16);
    run->failed_count = store_sqlite_u32(row, 17);
    run->succeeded_count = store_sqlite_u32(row, 18);
    run->skipped_count = store_sqlite_u32(row, 19);
    run->canceled_count = store_sqlite_u32(row, 20);
    run->error = store_sqlite_text(row, 21, arena);
    const void *outcomes = sqlite3_column_blob(row, 22);
    run->outcomes_len = outcomes ? (size_t)sqlite3_column_bytes(row, 22) : 0;
    run->outcomes = outcomes ? arena_dup(arena, outcomes, run->outcomes_len) : NULL;
    run->trace = store_sqlite_text(row, 23, arena);
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

enum { STATES_ACTIVE = 1u << RUN_PENDING | 1u << RUN_RUNNING,
       STATES_ENDED = 1u << RUN_SUCCEEDED | 1u << RUN_FAILED | 1u << RUN_CANCELED };

/* Lists to merge. */
struct lists {
    sqlite3_stmt *items[RUN_STATE_COUNT];
    size_t count;
};

static int add_list(struct sqlite_connection *connection, enum sqlite_statement which, int64_t dag, const char *state,
                    struct lists *lists, struct error *err)
{
    sqlite3_stmt *list = store_sqlite_prepare(connection, which, err);
    lists->items[lists->count++] = list;
    return bind_filters(list, dag, state);
}

/* Of one DAG, or in some states, there is a list per terminal state, since that is how the indexes lie. */
static int choose(struct sqlite_connection *connection, unsigned states, int64_t dag, struct lists *lists,
                  struct error *err)
{
    int code = 0;
    unsigned active = states & STATES_ACTIVE, ended = states & STATES_ENDED;
    const char *state = active == 1u << RUN_PENDING   ? state_run_name(RUN_PENDING)
                        : active == 1u << RUN_RUNNING ? state_run_name(RUN_RUNNING)
                                                      : NULL;
    if (active)
        code = add_list(connection, SQL_IDS_ACTIVE, dag, state, lists, err);
    if (!code && ended == STATES_ENDED && !dag)
        return add_list(connection, SQL_IDS_ENDED, 0, NULL, lists, err);
    enum sqlite_statement first = dag ? SQL_IDS_ENDED_DAG : SQL_IDS_ENDED_STATE;
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT && !code; i++)
        if (ended & 1u << i)
            code = add_list(connection, (enum sqlite_statement)(first + i), dag, state_run_name((enum run_state)i),
                            lists, err);
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

/* Whether what no index knows is as the query wants it. */
static int is_wanted(struct sqlite_connection *connection, const struct store_run_query *query, const struct uuid *id,
                     bool *ret_wanted, struct error *err)
{
    bool row = false;
    enum trigger trigger;
    sqlite3_stmt *get = store_sqlite_prepare(connection, SQL_RUN_FILTER, err);
    if (!get)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(get, 1, id);
    int code = store_sqlite_step(connection, get, &row, err);
    if (code)
        return code;
    if (!row || !state_trigger_parse(column(get, 0), &trigger)) {
        code = store_sqlite_bad_row(connection, "runs", err);
    } else {
        bool has_error = !query->error_part || strcasestr(column(get, 1), query->error_part);
        *ret_wanted = has_error && (!query->triggers || (query->triggers & 1u << trigger));
    }
    (void)sqlite3_reset(get);
    return code;
}

enum { SCAN_PAGE = 256 };

/* A page of what has to be looked at one by one. */
static int scan_page(struct sqlite_connection *connection, const struct store_run_query *query,
                     const struct lists *lists, struct sqlite_range range, struct arena *arena,
                     struct store_ids *ret_ids, struct uuid *ret_scanned, struct error *err)
{
    struct buf kept = BUF_INIT;
    uint32_t skip = query->page.offset, found = 0, left = query->scan_max ? query->scan_max : UINT32_MAX;
    size_t seen = SCAN_PAGE;
    int code = 0;
    while (!code && found < query->page.limit && left && seen == SCAN_PAGE) {
        struct store_ids ids;
        code = store_sqlite_page(connection, lists->items, lists->count, &range, 0, SCAN_PAGE, arena, &ids, err);
        seen = code ? 0 : ids.count;
        for (size_t i = 0; i < seen && !code && found < query->page.limit && left; i++, left--) {
            bool wanted = false;
            *ret_scanned = ids.items[i];
            code = is_wanted(connection, query, ret_scanned, &wanted, err);
            if (!wanted)
                continue;
            if (skip) {
                skip--;
                continue;
            }
            buf_add(&kept, ret_scanned, sizeof *ret_scanned);
            found++;
        }
        if (seen)
            range.high = store_sqlite_range(*ret_scanned, (struct uuid){{0}}).high;
    }
    if (left || found == query->page.limit)
        *ret_scanned = (struct uuid){{0}};
    if (!code)
        *ret_ids = (struct store_ids){arena_dup(arena, kept.bytes, kept.len), found};
    buf_fini(&kept);
    return code;
}

/* A handful of candidates, which only their rows tell apart. */
static int read_by_instance(struct sqlite_connection *connection, const struct store_run_query *query,
                            const struct store_ids *ids, struct arena *arena, struct store_runs *ret_runs,
                            struct error *err)
{
    uint32_t skip = query->page.offset;
    struct store_run *items = arena_array(arena, ids->count, sizeof *items), *next = items;
    int code = 0;
    for (size_t i = 0; i < ids->count && !code && (size_t)(next - items) < query->page.limit; i++) {
        code = fetch_run(connection, &ids->items[i], query->with_outcomes, arena, next, err);
        if (!code && owns(next, query)) {
            next += skip == 0;
            skip -= skip > 0;
        }
    }
    *ret_runs = (struct store_runs){items, (size_t)(next - items), {{0}}};
    return code;
}

static int read_runs(struct sqlite_connection *connection, const struct store_run_query *query, struct arena *arena,
                     struct store_runs *ret_runs, struct error *err)
{
    struct lists lists = {.count = 0};
    struct store_ids ids = {0};
    int64_t dag = 0;
    bool by_instance = !uuid_is_zero(query->instance), scans = query->triggers || query->error_part;
    struct sqlite_range range = store_sqlite_range(query->page.before, query->id);
    *ret_runs = (struct store_runs){0};
    if (uuid_compare(query->since, range.low) > 0)
        range.low = query->since;
    if (by_instance) {
        struct uuid low, high;
        record_instance_range(query->instance, &low, &high);
        range.low = uuid_compare(low, range.low) > 0 ? low : range.low;
        range.high = uuid_compare(high, range.high) < 0 ? high : range.high;
    }
    int code = uuid_is_zero(query->dag_id) ? 0 : store_sqlite_find_dag_row(connection, &query->dag_id, &dag, err);
    if (code || (!uuid_is_zero(query->dag_id) && !dag))
        return code;
    unsigned states = query->states ? query->states : (unsigned)STATES_ACTIVE | (unsigned)STATES_ENDED;
    code = choose(connection, states, dag, &lists, err);
    if (!code && scans)
        code = scan_page(connection, query, &lists, range, arena, &ids, &ret_runs->scanned, err);
    else if (!code)
        code = store_sqlite_page(connection, lists.items, lists.count, &range, by_instance ? 0 : query->page.offset,
                                 by_instance ? SIZE_MAX : query->page.limit, arena, &ids, err);
    if (!code && by_instance)
        return read_by_instance(connection, query, &ids, arena, ret_runs, err);
    ret_runs->items = arena_array(arena, ids.count, sizeof *ret_runs->items);
    for (; ret_runs->count < ids.count && !code; ret_runs->count++)
        code = fetch_run(connection, &ids.items[ret_runs->count], query->with_outcomes, arena,
                         &ret_runs->items[ret_runs->count], err);
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
