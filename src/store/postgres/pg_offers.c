/* See store/offers.h. The table is small: what waits or runs elsewhere at this moment. */
#include "store/offers.h"

#include <string.h>

#include "store/postgres/pg_model.h"

static const char *const names[] = {
    [STORE_OFFER_OFFERED] = "offered", [STORE_OFFER_TAKEN] = "taken", [STORE_OFFER_REFUSED] = "refused",
    [STORE_OFFER_ENDED] = "ended",     [STORE_OFFER_LOST] = "lost",
};
static_assert(sizeof names / sizeof names[0] == STORE_OFFER_STAGE_COUNT, "a name per stage");

/* This life's row, held until the statement is over, when it is not dead. */
#define MINE "WITH mine AS (SELECT epoch FROM nodes WHERE epoch = $1 AND NOT dead FOR SHARE) "
#define IS_MINE "EXISTS (SELECT 1 FROM mine) "

#define COLUMNS \
    "o.fence, o.run_id, o.task, o.number, o.node, o.state, o.stop, o.worker, o.started_ms, o.outcome, o.retryable, " \
    "o.error_type, o.error, o.exit_code, o.signal, o.http_status, o.ended_ms, o.cpu_us, o.max_rss_bytes, o.log_bytes "

static bool read_offer(const struct store_pg *store, const PGresult *result, int row, struct arena *arena,
                       struct store_offer *ret_offer)
{
    struct store_offer offer = {0};
    struct record_attempt *attempt = &offer.attempt;
    const char *stage = store_pg_text(store, result, row, 5, arena);
    const char *outcome = store_pg_text(store, result, row, 9, arena);
    const char *error_type = store_pg_text(store, result, row, 11, arena);
    while (offer.stage < STORE_OFFER_STAGE_COUNT && strcmp(names[offer.stage], stage) != 0)
        offer.stage++;
    attempt->fence = (uint64_t)store_pg_int(store, result, row, 0);
    attempt->run_id = store_pg_uuid(store, result, row, 1);
    attempt->task = store_pg_u32(store, result, row, 2);
    attempt->number = store_pg_u32(store, result, row, 3);
    offer.node = (uint64_t)store_pg_int(store, result, row, 4);
    offer.stop = store_pg_bool(store, result, row, 6);
    attempt->worker = store_pg_uuid(store, result, row, 7);
    attempt->started_ms = store_pg_int(store, result, row, 8);
    offer.retryable = store_pg_bool(store, result, row, 10);
    attempt->error = store_pg_text(store, result, row, 12, arena);
    attempt->exit_code = (int32_t)store_pg_int(store, result, row, 13);
    attempt->signal = (int32_t)store_pg_int(store, result, row, 14);
    attempt->http_status = (int32_t)store_pg_int(store, result, row, 15);
    attempt->ended_ms = store_pg_int(store, result, row, 16);
    attempt->cpu_us = store_pg_int(store, result, row, 17);
    attempt->max_rss_bytes = store_pg_int(store, result, row, 18);
    attempt->log_bytes = store_pg_int(store, result, row, 19);
    bool knows = offer.stage < STORE_OFFER_STAGE_COUNT && (offer.stage != STORE_OFFER_ENDED || outcome) &&
                 (!outcome || state_attempt_parse(outcome, &offer.outcome)) &&
                 (!error_type || state_failure_parse(error_type, &attempt->error_type));
    *ret_offer = offer;
    return knows;
}

static int read_all(const struct store_pg *store, const PGresult *result, struct arena *arena, bool is_guest,
                    struct store_offers *offers, struct error *err)
{
    int rows = store_pg_rows(store, result);
    struct store_offer *items = arena_array(arena, offers->count + (size_t)rows, sizeof *items);
    if (offers->count)
        memcpy(items, offers->items, offers->count * sizeof *items);
    offers->items = items;
    for (int i = 0; i < rows; i++) {
        if (!read_offer(store, result, i, arena, &items[offers->count]))
            return store_pg_bad_row("offers", err);
        items[offers->count++].is_guest = is_guest;
    }
    return 0;
}

/* $1: the own epoch. */
static void begin(struct pg_values *values, struct arena *arena, struct store_cluster *cluster)
{
    *values = (struct pg_values){.arena = arena};
    store_pg_add_int(values, (int64_t)cluster->connection.store->head.epoch);
}

static void add_fences(struct pg_values *values, struct buf *column, const uint64_t *fences, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_pg_put_int(column, (int64_t)fences[i]);
    store_pg_add_array(values, column);
}

/* ---- the owner ---- */

int store_offers_put(struct store_cluster *cluster, const struct store_offer *offers, size_t count, struct error *err)
{
    static const char sql[] =
        MINE ", put AS (INSERT INTO offers (fence, run_id, run, task, number, node, state) "
        "SELECT n.fence, r.id, r.run, n.task, n.number, n.node, CASE WHEN EXISTS (SELECT 1 FROM nodes x WHERE "
        "x.epoch = n.node AND NOT x.dead AND NOT x.draining) THEN 'offered' ELSE 'refused' END "
        "FROM unnest($2::bigint[], $3::uuid[], $4::int[], $5::int[], $6::bigint[]) "
        "AS n (fence, run_id, task, number, node) JOIN active_runs r ON r.id = n.run_id AND r.owner = $1 "
        "WHERE " IS_MINE "ON CONFLICT (fence) DO NOTHING RETURNING node) "
        "SELECT pg_notify('pawl_nodes', 'offer ' || node) FROM put GROUP BY node";
    struct arena arena = {0};
    struct pg_values values;
    struct buf columns[5] = {BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT};
    int64_t rows;
    begin(&values, &arena, cluster);
    for (size_t i = 0; i < count; i++) {
        store_pg_put_int(&columns[0], (int64_t)offers[i].attempt.fence);
        store_pg_put_uuid(&columns[1], &offers[i].attempt.run_id);
        store_pg_put_int(&columns[2], offers[i].attempt.task);
        store_pg_put_int(&columns[3], offers[i].attempt.number);
        store_pg_put_int(&columns[4], (int64_t)offers[i].node);
    }
    for (int i = 0; i < 5; i++)
        store_pg_add_array(&values, &columns[i]);
    int code = store_pg_ask(cluster, sql, &values, NULL, &rows, err);
    for (int i = 0; i < 5; i++)
        buf_fini(&columns[i]);
    arena_fini(&arena);
    return code;
}

static int change(struct store_cluster *cluster, const char *sql, const uint64_t *fences, size_t count,
                  struct error *err)
{
    struct arena arena = {0};
    struct pg_values values;
    struct buf column = BUF_INIT;
    int64_t rows;
    begin(&values, &arena, cluster);
    add_fences(&values, &column, fences, count);
    int code = store_pg_ask(cluster, sql, &values, NULL, &rows, err);
    buf_fini(&column);
    arena_fini(&arena);
    return code;
}

int store_offers_withdraw(struct store_cluster *cluster, const uint64_t *fences, size_t count, bool stop,
                          struct error *err)
{
    static const char withdraw_sql[] = MINE
        "UPDATE offers SET state = 'refused' WHERE fence = ANY($2::bigint[]) AND state = 'offered' AND " IS_MINE;
    static const char stop_sql[] =
        MINE ", told AS (UPDATE offers SET stop = true, state = CASE state WHEN 'offered' THEN 'refused' ELSE state "
        "END WHERE fence = ANY($2::bigint[]) AND state IN ('offered', 'taken') AND " IS_MINE "RETURNING node) "
        "SELECT pg_notify('pawl_nodes', 'offer ' || node) FROM told GROUP BY node";
    return change(cluster, stop ? stop_sql : withdraw_sql, fences, count, err);
}

int store_offers_done(struct store_cluster *cluster, const uint64_t *fences, size_t count, struct error *err)
{
    return change(cluster, MINE "DELETE FROM offers WHERE fence = ANY($2::bigint[]) AND " IS_MINE, fences, count, err);
}

static const char settle_sql[] =
    "UPDATE offers o SET state = CASE o.state WHEN 'offered' THEN 'refused' ELSE 'lost' END "
    "WHERE o.state IN ('offered', 'taken') "
    "AND NOT EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = o.node AND NOT n.dead)";

static int run_plain(struct store_cluster *cluster, const char *sql, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t rows;
    int code = store_pg_ask(cluster, sql, &values, NULL, &rows, err);
    arena_fini(&arena);
    return code;
}

int store_offers_settle(struct store_cluster *cluster, struct error *err)
{
    return run_plain(cluster, settle_sql, err);
}

int store_offers_sweep(struct store_cluster *cluster, struct error *err)
{
    return run_plain(cluster,
                     "DELETE FROM offers o WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.run = o.run "
                     "AND a.task = o.task AND a.number = o.number AND a.fence = o.fence AND a.state = 'running')", err);
}

int store_offers_read(struct store_cluster *cluster, const uint64_t *fences, size_t count, struct arena *arena,
                      struct store_offers *ret_offers, struct error *err)
{
    struct pg_values values = {.arena = arena};
    struct buf column = BUF_INIT;
    PGresult *found;
    int64_t rows;
    *ret_offers = (struct store_offers){0};
    add_fences(&values, &column, fences, count);
    int code = store_pg_ask(cluster, "SELECT " COLUMNS "FROM offers o WHERE o.fence = ANY($1::bigint[])", &values,
                            &found, &rows, err);
    if (!code)
        code = read_all(cluster->connection.store, found, arena, false, ret_offers, err);
    store_pg_clear(cluster->connection.store, found);
    buf_fini(&column);
    return code;
}

int store_offers_inherit(struct store_cluster *cluster, struct uuid run_id, struct arena *arena,
                         struct store_offers *ret_offers, struct error *err)
{
    static const char drop_sql[] = MINE
        "DELETE FROM offers o USING active_runs r WHERE o.run_id = $2 AND r.id = o.run_id AND r.owner = $1 "
        "AND o.state IN ('offered', 'refused') AND " IS_MINE;
    struct pg_values values;
    PGresult *found = NULL;
    int64_t rows;
    *ret_offers = (struct store_offers){0};
    begin(&values, arena, cluster);
    store_pg_add_id(&values, &run_id);
    int code = store_pg_ask(cluster, drop_sql, &values, NULL, &rows, err);
    values = (struct pg_values){.arena = arena};
    store_pg_add_id(&values, &run_id);
    if (!code)
        code = store_pg_ask(cluster, "SELECT " COLUMNS "FROM offers o WHERE o.run_id = $1", &values, &found, &rows,
                            err);
    if (!code)
        code = read_all(cluster->connection.store, found, arena, false, ret_offers, err);
    store_pg_clear(cluster->connection.store, found);
    return code;
}

/* ---- the node that runs them ---- */

int store_offers_take(struct store_cluster *cluster, uint32_t max, uint32_t *ret_taken, struct error *err)
{
    static const char sql[] =
        "WITH mine AS (SELECT epoch FROM nodes WHERE epoch = $1 AND NOT dead AND NOT draining FOR SHARE) "
        "UPDATE offers SET state = 'taken' WHERE state = 'offered' AND " IS_MINE
        "AND fence IN (SELECT fence FROM offers WHERE node = $1 AND state = 'offered' ORDER BY fence LIMIT $2 "
        "FOR UPDATE SKIP LOCKED)";
    struct arena arena = {0};
    struct pg_values values;
    int64_t rows;
    begin(&values, &arena, cluster);
    store_pg_add_int(&values, max);
    int code = store_pg_ask(cluster, sql, &values, NULL, &rows, err);
    *ret_taken = (uint32_t)rows;
    arena_fini(&arena);
    return code;
}

int store_offers_held(struct store_cluster *cluster, struct arena *arena, struct store_offers *ret_offers,
                      struct error *err)
{
    static const char sql[] =
        "SELECT " COLUMNS ", d.id, r.version, r.scheduled_ms, r.changes, r.request_id, r.trace FROM offers o "
        "JOIN active_runs r ON r.id = o.run_id JOIN dags d ON d.dag = r.dag WHERE o.node = $1 AND o.state = 'taken'";
    const struct store_pg *store = cluster->connection.store;
    struct pg_values values;
    PGresult *found;
    int64_t rows;
    *ret_offers = (struct store_offers){0};
    begin(&values, arena, cluster);
    int code = store_pg_ask(cluster, sql, &values, &found, &rows, err);
    if (!code)
        code = read_all(store, found, arena, true, ret_offers, err);
    for (size_t i = 0; i < ret_offers->count; i++) {
        int row = (int)i;
        ret_offers->items[i].run = (struct record_run){
            .id = ret_offers->items[i].attempt.run_id,
            .dag_id = store_pg_uuid(store, found, row, 20),
            .dag_version = store_pg_u32(store, found, row, 21),
            .scheduled_ms = store_pg_int(store, found, row, 22),
            .changes = store_pg_text(store, found, row, 23, arena),
            .request_id = store_pg_text(store, found, row, 24, arena),
            .trace = store_pg_text(store, found, row, 25, arena),
        };
    }
    store_pg_clear(store, found);
    return code;
}

/* From $4 on. */
static void add_result(struct pg_values *values, const struct store_offer *offer, struct buf *log,
                       struct store_pg *store)
{
    const struct record_attempt *row = &offer->attempt;
    bool ended = offer->stage == STORE_OFFER_ENDED;
    store_pg_add_uuid(values, &row->worker);
    store_pg_add_int(values, row->started_ms);
    store_pg_add_text(values, ended ? state_attempt_name(offer->outcome) : NULL);
    store_pg_add_bool(values, offer->retryable);
    store_pg_add_text(values, state_failure_name(row->error_type));
    store_pg_add_text(values, row->error);
    store_pg_add_int(values, row->exit_code);
    store_pg_add_int(values, row->signal);
    store_pg_add_int(values, row->http_status);
    store_pg_add_int(values, row->ended_ms);
    store_pg_add_int(values, row->cpu_us);
    store_pg_add_int(values, row->max_rss_bytes);
    store_pg_add_int(values, row->log_bytes);
    struct record_attempt ends = *row;
    if (ended && offer->outcome == ATTEMPT_LOST && !row->log_bytes)
        ends.log_bytes = 1; /* nobody said: it is looked for */
    if (ended)
        store_pg_put_log(store, log, &ends);
    else
        store_pg_put_bytes(log, NULL, 0);
    store_pg_add_array(values, log);
}

int store_offers_report(struct store_cluster *cluster, const struct store_offer *offer, bool *ret_kept,
                        struct error *err)
{
    static const char sql[] =
        MINE ", told AS (UPDATE offers o SET state = $3, worker = $4, started_ms = $5, outcome = $6, retryable = $7, "
        "error_type = $8, error = $9, exit_code = $10, signal = $11, http_status = $12, ended_ms = $13, cpu_us = $14, "
        "max_rss_bytes = $15, log_bytes = $16 WHERE o.fence = $2 AND o.node = $1 AND o.state IN ('taken', $3) "
        "AND " IS_MINE "RETURNING o.run, o.task, o.number, o.fence), "
        "kept AS (UPDATE attempts a SET log = ($17::bytea[])[1], worker = coalesce($4, a.worker), started_ms = $5 "
        "FROM told t WHERE $3 IN ('taken', 'ended') AND a.run = t.run AND a.task = t.task AND a.number = t.number "
        "AND a.fence = t.fence AND a.state = 'running' AND ($3 = 'taken' OR ($17::bytea[])[1] IS NOT NULL) "
        "RETURNING 1) SELECT pg_notify('pawl_nodes', 'told') FROM told";
    struct arena arena = {0};
    struct pg_values values;
    struct buf log = BUF_INIT;
    int64_t rows;
    begin(&values, &arena, cluster);
    store_pg_add_int(&values, (int64_t)offer->attempt.fence);
    store_pg_add_text(&values, names[offer->stage]);
    add_result(&values, offer, &log, cluster->connection.store);
    int code = store_pg_ask(cluster, sql, &values, NULL, &rows, err);
    *ret_kept = rows > 0;
    buf_fini(&log);
    arena_fini(&arena);
    return code;
}

/* ---- recovery ---- */

struct recover_call {
    struct arena *arena;
    struct store_offers *ret_offers;
};

static int recover(struct pg_connection *connection, void *context, struct error *err)
{
    static const char drop_sql[] = "DELETE FROM offers o USING active_runs r WHERE r.id = o.run_id AND r.owner = $1 "
                                   "AND NOT r.given AND o.state IN ('offered', 'refused')";
    static const char own_sql[] = "SELECT " COLUMNS "FROM offers o JOIN active_runs r ON r.id = o.run_id "
                                  "WHERE r.owner = $1 AND NOT r.given";
    static const char guests_sql[] = "SELECT " COLUMNS "FROM offers o WHERE o.node = $1 AND o.state = 'taken'";
    const struct recover_call *call = context;
    const struct store_pg *store = connection->store;
    struct pg_values values = {.arena = call->arena};
    PGresult *found = NULL;
    *call->ret_offers = (struct store_offers){0};
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    int code = store_pg_query(connection, drop_sql, &values, NULL, err);
    if (!code)
        code = store_pg_query(connection, settle_sql, NULL, NULL, err);
    for (int i = 0; i < 2 && !code; i++) {
        code = store_pg_query(connection, i ? guests_sql : own_sql, &values, &found, err);
        if (!code)
            code = read_all(store, found, call->arena, i, call->ret_offers, err);
        store_pg_clear(store, found);
        found = NULL;
    }
    return code;
}

int store_offers_recover(struct store *store, struct arena *arena, struct store_offers *ret_offers, struct error *err)
{
    struct recover_call call = {arena, ret_offers};
    assert(store_is_shared(store));
    return store_pg_read(store, recover, &call, err);
}
