/* Readers of runs and attempts. */
#include <stdio.h>
#include <string.h>

#include "store/postgres/pg_model.h"

/* ---- rows ---- */

bool store_pg_read_run(const struct store_pg *store, const PGresult *result, int row, struct arena *arena,
                       struct store_run *ret_run, int64_t *ret_run_number)
{
    struct record_run *run = &ret_run->run;
    const char *state = store_pg_text(store, result, row, 6, arena);
    const char *trigger = store_pg_text(store, result, row, 7, arena);
    *ret_run = (struct store_run){.run.id = store_pg_uuid(store, result, row, 0)};
    *ret_run_number = store_pg_int(store, result, row, 1);
    run->dag_id = store_pg_uuid(store, result, row, 2);
    ret_run->dag_name = store_pg_text(store, result, row, 3, arena);
    run->dag_version = store_pg_u32(store, result, row, 4);
    run->task_count = store_pg_u32(store, result, row, 5);
    bool good = state && trigger && state_run_parse(state, &run->state) && state_trigger_parse(trigger, &run->trigger);
    run->created_ms = store_pg_int(store, result, row, 8);
    run->started_ms = store_pg_int(store, result, row, 9);
    run->cancel_ms = store_pg_int(store, result, row, 10);
    run->source = store_pg_uuid(store, result, row, 11);
    run->resolves_source = store_pg_bool(store, result, row, 12);
    run->request_id = store_pg_text(store, result, row, 13, arena);
    run->scheduled_ms = store_pg_int(store, result, row, 14);
    run->changes = store_pg_text(store, result, row, 15, arena);
    run->completed_ms = store_pg_int(store, result, row, 16);
    run->failed_count = store_pg_u32(store, result, row, 17);
    run->succeeded_count = store_pg_u32(store, result, row, 18);
    run->skipped_count = store_pg_u32(store, result, row, 19);
    run->canceled_count = store_pg_u32(store, result, row, 20);
    run->error = store_pg_text(store, result, row, 21, arena);
    run->outcomes = store_pg_bytes(store, result, row, 22, arena, &run->outcomes_len);
    run->trace = store_pg_text(store, result, row, 23, arena);
    return good && ret_run->dag_name && !uuid_is_zero(run->id);
}

bool store_pg_read_attempt(const struct store_pg *store, const PGresult *result, int row, struct uuid run_id,
                           struct arena *arena, struct record_attempt *ret_attempt)
{
    *ret_attempt = (struct record_attempt){
        .run_id = run_id,
        .task = store_pg_u32(store, result, row, 0),
        .number = store_pg_u32(store, result, row, 1),
        .fence = (uint64_t)store_pg_int(store, result, row, 3),
        .worker = store_pg_uuid(store, result, row, 4),
        .claimed_ms = store_pg_int(store, result, row, 5),
        .started_ms = store_pg_int(store, result, row, 6),
        .ended_ms = store_pg_int(store, result, row, 7),
        .retry_ms = store_pg_int(store, result, row, 8),
        .error = store_pg_text(store, result, row, 11, arena),
        .exit_code = (int32_t)store_pg_int(store, result, row, 12),
        .signal = (int32_t)store_pg_int(store, result, row, 13),
        .http_status = (int32_t)store_pg_int(store, result, row, 14),
        .cpu_us = store_pg_int(store, result, row, 15),
        .max_rss_bytes = store_pg_int(store, result, row, 16),
        .log_bytes = store_pg_int(store, result, row, 17),
    };
    const char *state = store->pg.value(result, row, 2);
    bool ended = !store_pg_is_null(store, result, row, 9), failed = !store_pg_is_null(store, result, row, 10);
    return state_attempt_parse(state, &ret_attempt->state) && ended == (ret_attempt->state != ATTEMPT_RUNNING) &&
           (!ended || state_task_parse(store->pg.value(result, row, 9), &ret_attempt->task_state)) &&
           (!failed || state_failure_parse(store->pg.value(result, row, 10), &ret_attempt->error_type));
}

/* ---- runs ---- */

struct run_call {
    const struct store_run_query *query;
    struct arena *arena;
    struct store_runs *ret_runs;
};

/* " AND id < $n" and the like; the value was added to values just before. */
static void demand(struct buf *sql, const char *what, const struct pg_values *values)
{
    buf_printf(sql, " AND %s $%d", what, values->count);
}

/* What holds for a run in either table; kept apart since their parameters are the same. */
static void add_range(const struct store_run_query *query, struct buf *where, struct pg_values *values)
{
    if (!uuid_is_zero(query->id)) {
        store_pg_add_id(values, &query->id);
        demand(where, "id =", values);
    }
    if (!uuid_is_zero(query->page.before)) {
        store_pg_add_id(values, &query->page.before);
        demand(where, "id <", values);
    }
    if (!uuid_is_zero(query->since)) {
        store_pg_add_id(values, &query->since);
        demand(where, "id >=", values);
    }
    if (!uuid_is_zero(query->instance)) {
        struct uuid low, high;
        record_instance_range(query->instance, &low, &high);
        store_pg_add_id(values, &low);
        demand(where, "id >=", values);
        store_pg_add_id(values, &high);
        demand(where, "id <=", values);
    }
    if (!uuid_is_zero(query->dag_id)) {
        store_pg_add_id(values, &query->dag_id);
        buf_printf(where, " AND dag = (SELECT dag FROM dags WHERE id = $%d)", values->count);
    }
}

/* The lists to merge. Those of one DAG, or in some states, are one per terminal state, since that is how the indexes
 * lie. Each is cut where the merged one will be, `most` (0: nowhere): so none of them is read and sorted as a whole,
 * whatever the planner knows of it. */
static void add_lists(const struct store_run_query *query, const char *where, uint32_t most, struct buf *sql)
{
    char cut[48] = "";
    if (most)
        (void)snprintf(cut, sizeof cut, " ORDER BY id DESC LIMIT %u", most);
    unsigned states = query->states ? query->states : (1u << RUN_STATE_COUNT) - 1, all_ended = 0, ended = 0;
    const char *join = "";
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        if (!state_run_is_terminal((enum run_state)i) && (states & 1u << i)) {
            buf_printf(sql, "%s(SELECT id FROM active_runs WHERE state = '%s'%s%s)", join,
                       state_run_name((enum run_state)i), where, cut);
            join = " UNION ALL ";
        } else if (state_run_is_terminal((enum run_state)i)) {
            all_ended |= 1u << i;
            ended |= states & 1u << i;
        }
    }
    if (ended == all_ended && uuid_is_zero(query->dag_id)) {
        buf_printf(sql, "%s(SELECT id FROM runs WHERE true%s%s)", join, where, cut);
        return;
    }
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        if (!(ended & 1u << i))
            continue;
        buf_printf(sql, "%s(SELECT id FROM runs WHERE state = '%s'%s%s)", join, state_run_name((enum run_state)i),
                   where, cut);
        join = " UNION ALL ";
    }
}

static bool scans(const struct store_run_query *query)
{
    return query->triggers || query->error_part;
}

/* What no index knows, of the first scan_max of the lists. */
static void add_scan(const struct store_run_query *query, struct buf *sql, struct pg_values *values)
{
    buf_add_text(sql, " ORDER BY id DESC");
    if (query->scan_max)
        buf_printf(sql, " LIMIT %u", query->scan_max);
    buf_add_text(sql, "), page AS MATERIALIZED (SELECT id FROM (SELECT r.id, r.triggered_by, NULL::text AS error "
                 "FROM seen s JOIN active_runs r ON r.id = s.id UNION ALL SELECT r.id, r.triggered_by, r.error "
                 "FROM seen s JOIN runs r ON r.id = s.id) f WHERE true");
    if (query->triggers) {
        const char *join = " AND triggered_by IN (";
        for (unsigned i = 0; i < TRIGGER_COUNT; i++) {
            if (!(query->triggers & 1u << i))
                continue;
            buf_printf(sql, "%s'%s'", join, state_trigger_name((enum trigger)i));
            join = ", ";
        }
        buf_add_text(sql, ")");
    }
    if (query->error_part) {
        store_pg_add_text(values, query->error_part);
        buf_printf(sql, " AND strpos(lower(error COLLATE \"C\"), lower($%d COLLATE \"C\")) > 0", values->count);
    }
}

static bool owns(const struct store_run *run, const struct store_run_query *query)
{
    return uuid_is_zero(query->instance) || record_instance_task(run->run.id, query->instance) < run->run.task_count;
}

/* A few candidates for the owner of an instance, which only their rows tell apart, come without limit and offset. */
static int take_runs(const struct store_pg *store, const PGresult *result, const struct run_call *call,
                     struct error *err)
{
    int rows = store_pg_rows(store, result);
    bool chooses = !uuid_is_zero(call->query->instance);
    uint32_t skip = chooses ? call->query->page.offset : 0;
    struct store_run *items = arena_array(call->arena, (size_t)rows, sizeof *items), *next = items;
    for (int i = 0; i < rows && (size_t)(next - items) < call->query->page.limit; i++) {
        int64_t number;
        if (!store_pg_read_run(store, result, i, call->arena, next, &number))
            return store_pg_bad_row("runs", err);
        if (!owns(next, call->query))
            continue;
        next += skip == 0;
        skip -= skip > 0;
    }
    *call->ret_runs = (struct store_runs){items, (size_t)(next - items), {{0}}};
    return 0;
}

/* The last run that was looked at, when there was an end to looking. */
static int find_scanned(struct pg_connection *connection, const struct run_call *call, struct error *err)
{
    struct arena scratch = {0};
    struct buf where = BUF_INIT, sql = BUF_INIT;
    struct pg_values values = {.arena = &scratch};
    PGresult *result;
    add_range(call->query, &where, &values);
    buf_add_text(&sql, "SELECT id FROM (");
    add_lists(call->query, buf_text(&where), call->query->scan_max, &sql);
    buf_printf(&sql, ") u ORDER BY id DESC LIMIT 1 OFFSET %u", call->query->scan_max - 1);
    int code = store_pg_query(connection, buf_text(&sql), &values, &result, err);
    if (!code && store_pg_rows(connection->store, result))
        call->ret_runs->scanned = store_pg_uuid(connection->store, result, 0, 0);
    store_pg_clear(connection->store, result);
    buf_fini(&where);
    buf_fini(&sql);
    arena_fini(&scratch);
    return code;
}

static int read_runs(struct pg_connection *connection, void *context, struct error *err)
{
    const struct run_call *call = context;
    const struct store_run_query *query = call->query;
    struct arena scratch = {0};
    struct buf where = BUF_INIT, sql = BUF_INIT;
    struct pg_values values = {.arena = &scratch};
    PGresult *result;
    const char *outcomes = query->with_outcomes ? "r.outcomes" : "NULL::bytea";
    add_range(query, &where, &values);
    buf_printf(&sql, "WITH %s AS MATERIALIZED (SELECT id FROM (", scans(query) ? "seen" : "page");
    uint32_t most = scans(query) ? query->scan_max : query->page.limit + query->page.offset;
    add_lists(query, buf_text(&where), uuid_is_zero(query->instance) ? most : 0, &sql);
    buf_add_text(&sql, ") u");
    if (scans(query))
        add_scan(query, &sql, &values);
    buf_add_text(&sql, " ORDER BY id DESC");
    if (uuid_is_zero(query->instance))
        buf_printf(&sql, " LIMIT %u OFFSET %u", query->page.limit, query->page.offset);
    buf_printf(&sql, ") SELECT " PG_LIVE_COLUMNS "%s, r.trace FROM page p JOIN active_runs r ON r.id = p.id JOIN "
               "dags d ON d.dag = r.dag UNION ALL SELECT " PG_ENDED_COLUMNS "%s, r.trace FROM page p JOIN runs r "
               "ON r.id = p.id JOIN dags d ON d.dag = r.dag ORDER BY 1 DESC", outcomes, outcomes);
    int code = store_pg_query(connection, buf_text(&sql), &values, &result, err);
    if (!code)
        code = take_runs(connection->store, result, call, err);
    if (!code && scans(query) && query->scan_max && call->ret_runs->count < query->page.limit)
        code = find_scanned(connection, call, err);
    store_pg_clear(connection->store, result);
    buf_fini(&where);
    buf_fini(&sql);
    arena_fini(&scratch);
    return code;
}

int store_pg_runs(struct store *head, const struct store_run_query *query, struct arena *arena,
                  struct store_runs *ret_runs, struct error *err)
{
    struct run_call call = {query, arena, ret_runs};
    *ret_runs = (struct store_runs){0};
    return store_pg_read(head, read_runs, &call, err);
}

/* ---- attempts ---- */

struct attempt_call {
    const struct store_attempt_query *query;
    struct arena *arena;
    struct store_attempts *ret_attempts;
};

static int take_attempts(const struct store_pg *store, const PGresult *result, const struct attempt_call *call,
                         struct error *err)
{
    int rows = store_pg_rows(store, result);
    struct store_attempts *attempts = call->ret_attempts;
    *attempts = (struct store_attempts){.items = arena_array(call->arena, (size_t)rows, sizeof *attempts->items)};
    for (int i = 0; i < rows; i++) {
        struct record_attempt *attempt = &attempts->items[attempts->count++];
        if (!store_pg_read_attempt(store, result, i, call->query->run_id, call->arena, attempt))
            return store_pg_bad_row("attempts", err);
        if (call->query->with_logs)
            attempt->log = store_pg_bytes(store, result, i, 18, call->arena, &attempt->log_len);
        if (!attempt->log_len)
            attempt->log = NULL;
    }
    return 0;
}

static int read_attempts(struct pg_connection *connection, void *context, struct error *err)
{
    const struct attempt_call *call = context;
    const struct store_attempt_query *query = call->query;
    struct arena scratch = {0};
    struct buf sql = BUF_INIT;
    struct pg_values values = {.arena = &scratch};
    PGresult *result;
    store_pg_add_id(&values, &query->run_id);
    buf_printf(&sql, "SELECT " PG_ATTEMPT_COLUMNS "%s FROM attempts a WHERE a.run = (SELECT run FROM active_runs "
               "WHERE id = $1 UNION ALL SELECT run FROM runs WHERE id = $1)", query->with_logs ? ", a.log" : "");
    if (query->by_task)
        buf_printf(&sql, " AND a.task = %u", query->task);
    if (query->after)
        buf_printf(&sql, " AND (a.task, a.number) > (%u, %u)", query->after_task,
                   query->after_number < PG_ATTEMPTS_MAX ? query->after_number : PG_ATTEMPTS_MAX);
    buf_add_text(&sql, " ORDER BY a.task, a.number");
    if (query->limit)
        buf_printf(&sql, " LIMIT %u", query->limit);
    int code = store_pg_query(connection, buf_text(&sql), &values, &result, err);
    if (!code)
        code = take_attempts(connection->store, result, call, err);
    store_pg_clear(connection->store, result);
    buf_fini(&sql);
    arena_fini(&scratch);
    return code;
}

int store_pg_attempts(struct store *head, const struct store_attempt_query *query, struct arena *arena,
                      struct store_attempts *ret_attempts, struct error *err)
{
    struct attempt_call call = {query, arena, ret_attempts};
    *ret_attempts = (struct store_attempts){0};
    if (query->after && query->after_task > INT32_MAX)
        return 0;
    return store_pg_read(head, read_attempts, &call, err);
}
