/* See store/cluster.h. Everything goes by the database's clock and by conditions on rows: a renewal and a declaration
 * of death are updates of one row, so one of them comes first and the other finds it done. */
#include "store/cluster.h"

#include <string.h>

#include "base/mem.h"
#include "store/postgres/pg_model.h"

struct store_cluster *store_cluster_open(struct store *store)
{
    struct store_cluster *cluster = mem_new(struct store_cluster);
    assert(store_is_shared(store) && store->epoch);
    cluster->connection.store = (struct store_pg *)store;
    return cluster;
}

void store_cluster_close(struct store_cluster *cluster)
{
    if (!cluster)
        return;
    store_pg_disconnect(&cluster->connection);
    mem_free(cluster);
}

/* Everything starts here: a new connection listens before it looks at anything. */
static int ready(struct store_cluster *cluster, struct error *err)
{
    struct pg_connection *connection = &cluster->connection;
    if (!connection->pg || connection->store->pg.status(connection->pg) != CONNECTION_OK)
        cluster->listens = cluster->hears_events = false;
    int code = store_pg_connect(connection, err);
    if (!code && !cluster->listens) {
        code = store_pg_query(connection, "LISTEN pawl_nodes", NULL, NULL, err);
        cluster->connections++;
        cluster->listens = !code;
    }
    if (!code && cluster->hears_events != cluster->wants_events) {
        code = store_pg_query(connection, cluster->wants_events ? "LISTEN pawl_events" : "UNLISTEN pawl_events", NULL,
                              NULL, err);
        if (!code)
            cluster->hears_events = cluster->wants_events;
    }
    return code;
}

int store_pg_ask(struct store_cluster *cluster, const char *sql, struct pg_values *values, PGresult **ret_result,
                 int64_t *ret_count, struct error *err)
{
    PGresult *result = NULL;
    int code = ready(cluster, err);
    if (!code)
        code = store_pg_query(&cluster->connection, sql, values, &result, err);
    *ret_count = code ? 0 : store_pg_changed(cluster->connection.store, result);
    if (ret_result)
        *ret_result = result;
    else
        store_pg_clear(cluster->connection.store, result);
    return code == ERROR_STORE_RETRY ? error_set(err, ERROR_STORE_AWAY, "PostgreSQL: others were in the way") : code;
}

/* ---- the lease ---- */

static const char renew_sql[] =
    "UPDATE nodes SET lease_until = clock_timestamp() + $2::bigint * interval '1 millisecond', url = $3, workers = $4, "
    "slots = $5, running = $6, active_runs = $7, ready = $8, draining = $9 WHERE epoch = $1 AND NOT dead";

/* One row, one holder: whoever holds it and is alive, else the first that asks. */
static const char lead_sql[] =
    "UPDATE leases l SET epoch = $1, since = CASE WHEN l.epoch = $1 THEN l.since ELSE clock_timestamp() END "
    "WHERE name = 'leader' AND l.epoch IS DISTINCT FROM $1 AND (l.epoch IS NULL OR NOT EXISTS (SELECT 1 FROM nodes n "
    "WHERE n.epoch = l.epoch AND NOT n.dead))";
static const char unlead_sql[] = "UPDATE leases SET epoch = NULL, since = NULL WHERE name = 'leader' AND epoch = $1";
static const char leads_sql[] = "SELECT 1 FROM leases WHERE name = 'leader' AND epoch = $1";

static int lead(struct store_cluster *cluster, bool draining, bool *ret_leads, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t count = 0;
    store_pg_add_int(&values, (int64_t)cluster->connection.store->head.epoch);
    int code = store_pg_ask(cluster, draining ? unlead_sql : leads_sql, &values, NULL, &count, err);
    if (draining)
        count = 0;
    else if (!code && !count)
        code = store_pg_ask(cluster, lead_sql, &values, NULL, &count, err);
    *ret_leads = count > 0;
    arena_fini(&arena);
    return code;
}

int store_cluster_renew(struct store_cluster *cluster, const struct store_cluster_beat *beat, bool *ret_leads,
                        struct error *err)
{
    const struct store_pg *store = cluster->connection.store;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t count;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    store_pg_add_int(&values, store->lease_ms);
    store_pg_add_text(&values, beat->url);
    store_pg_add_text(&values, beat->workers ? beat->workers : "[]");
    store_pg_add_int(&values, beat->slots);
    store_pg_add_int(&values, beat->running);
    store_pg_add_int(&values, beat->active_runs);
    store_pg_add_int(&values, (int64_t)beat->ready);
    store_pg_add_bool(&values, beat->draining);
    int code = store_pg_ask(cluster, renew_sql, &values, NULL, &count, err);
    arena_fini(&arena);
    if (!code && count != 1)
        code = error_set(err, ERROR_STORE_FENCED, "this node was declared dead: its lease had run out");
    return code ? code : lead(cluster, beat->draining, ret_leads, err);
}

int store_cluster_sweep(struct store_cluster *cluster, uint32_t *ret_dead, struct error *err)
{
    /* A row whose node is just committing is looked at again later: its server ends a transaction that goes nowhere. */
    static const char sql[] =
        "WITH dying AS (UPDATE nodes SET dead = true WHERE epoch IN (SELECT epoch FROM nodes WHERE NOT dead "
        "AND lease_until < clock_timestamp() FOR UPDATE SKIP LOCKED) RETURNING epoch) "
        "SELECT pg_notify('pawl_nodes', 'dead') FROM dying";
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t count;
    int code = store_pg_ask(cluster, sql, &values, NULL, &count, err);
    arena_fini(&arena);
    *ret_dead = (uint32_t)count;
    return code;
}

/* ---- runs that change hands ---- */

int store_cluster_take(struct store_cluster *cluster, uint32_t max, uint32_t *ret_taken, struct error *err)
{
    static const char sql[] =
        "WITH mine AS (SELECT epoch FROM nodes WHERE epoch = $1 AND NOT dead AND NOT draining FOR SHARE) "
        "UPDATE active_runs SET owner = $1, came_to = $1, given = true WHERE EXISTS (SELECT 1 FROM mine) "
        "AND id IN (SELECT id FROM active_runs WHERE owner IN (SELECT epoch FROM nodes WHERE dead) "
        "ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)";
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t count;
    store_pg_add_int(&values, (int64_t)cluster->connection.store->head.epoch);
    store_pg_add_int(&values, max);
    int code = store_pg_ask(cluster, sql, &values, NULL, &count, err);
    arena_fini(&arena);
    *ret_taken = (uint32_t)count;
    return code;
}

int store_cluster_load(struct store_cluster *cluster, store_active_fn *fn, void *context, struct error *err)
{
    static const char find_sql[] = "SELECT id FROM active_runs WHERE owner = $1 AND given ORDER BY id LIMIT 100";
    static const char done_sql[] = "UPDATE active_runs SET given = false WHERE owner = $1 AND id = ANY($2::uuid[])";
    struct store_pg *store = cluster->connection.store;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    struct buf ids = BUF_INIT;
    PGresult *found;
    int64_t count;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    int code = store_pg_ask(cluster, find_sql, &values, &found, &count, err);
    for (int i = 0; i < count; i++) {
        struct uuid id = store_pg_uuid(store, found, i, 0);
        store_pg_put_uuid(&ids, &id);
    }
    store_pg_clear(store, found);
    if (!code && count) {
        store->runs_came = true;
        store_pg_add_array(&values, &ids);
        code = store_pg_load(&cluster->connection, values.values[1], fn, context, err);
        if (!code)
            code = store_pg_ask(cluster, done_sql, &values, NULL, &count, err);
    }
    buf_fini(&ids);
    arena_fini(&arena);
    return code;
}

int store_cluster_asked(struct store_cluster *cluster, struct arena *arena, struct store_ids *ret_runs,
                        struct error *err)
{
    static const char sql[] = "SELECT id FROM active_runs WHERE owner = $1 AND cancel_asked_ms <> 0 AND cancel_ms = 0 "
                              "AND NOT given LIMIT 1000";
    const struct store_pg *store = cluster->connection.store;
    struct pg_values values = {.arena = arena};
    PGresult *found;
    int64_t count;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    int code = store_pg_ask(cluster, sql, &values, &found, &count, err);
    *ret_runs = (struct store_ids){arena_array(arena, (size_t)count, sizeof(struct uuid)), (size_t)count};
    for (int i = 0; i < count; i++)
        ret_runs->items[i] = store_pg_uuid(store, found, i, 0);
    store_pg_clear(store, found);
    return code;
}

int store_cluster_busy(struct store_cluster *cluster, struct arena *arena, struct store_busy **ret_items,
                       size_t *ret_count, struct error *err)
{
    static const char sql[] =
        "SELECT d.id, min(r.id::text)::uuid, count(*), count(*) FILTER (WHERE r.triggered_by = 'backfill') "
        "FROM active_runs r JOIN dags d ON d.dag = r.dag WHERE r.triggered_by "
        "IN ('schedule', 'backfill') AND r.owner <> $1 GROUP BY d.id ORDER BY d.id";
    const struct store_pg *store = cluster->connection.store;
    struct pg_values values = {.arena = arena};
    PGresult *found;
    int64_t count;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    int code = store_pg_ask(cluster, sql, &values, &found, &count, err);
    *ret_items = arena_array(arena, (size_t)count, sizeof **ret_items);
    *ret_count = (size_t)count;
    for (int i = 0; i < count; i++)
        (*ret_items)[i] = (struct store_busy){store_pg_uuid(store, found, i, 0), store_pg_uuid(store, found, i, 1),
                                              store_pg_u32(store, found, i, 2), store_pg_u32(store, found, i, 3)};
    store_pg_clear(store, found);
    return code;
}

int store_cluster_catalog(struct store_cluster *cluster, uint64_t *ret_mark, struct error *err)
{
    static const char sql[] =
        "SELECT coalesce(sum(hashtextextended(id::text || '/' || version || paused || backfilled_by || cron, 0) "
        "% 1000000007), 0)::bigint FROM dags WHERE deleted_ms = 0 AND cron IS NOT NULL";
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *found;
    int64_t count;
    int code = store_pg_ask(cluster, sql, &values, &found, &count, err);
    if (!code)
        *ret_mark = (uint64_t)store_pg_int(cluster->connection.store, found, 0, 0);
    store_pg_clear(cluster->connection.store, found);
    arena_fini(&arena);
    return code;
}

int store_cluster_give(struct store_cluster *cluster, const struct uuid *runs, size_t count, uint64_t epoch,
                       struct error *err)
{
    static const char sql[] =
        "WITH given AS (UPDATE active_runs SET given = true, came_to = 0, owner = coalesce((SELECT epoch FROM nodes "
        "WHERE epoch = $2 AND NOT dead AND NOT draining), owner) WHERE owner = $1 AND id = ANY($3::uuid[]) AND EXISTS "
        "(SELECT 1 FROM nodes WHERE epoch = $1 AND NOT dead FOR SHARE) RETURNING id) "
        "SELECT pg_notify('pawl_nodes', 'given') WHERE EXISTS (SELECT 1 FROM given)";
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    struct buf ids = BUF_INIT;
    int64_t rows;
    for (size_t i = 0; i < count; i++)
        store_pg_put_uuid(&ids, &runs[i]);
    store_pg_add_int(&values, (int64_t)cluster->connection.store->head.epoch);
    store_pg_add_int(&values, (int64_t)epoch);
    store_pg_add_array(&values, &ids);
    int code = store_pg_ask(cluster, sql, &values, NULL, &rows, err);
    buf_fini(&ids);
    arena_fini(&arena);
    return code;
}

int store_cluster_say(struct store_cluster *cluster, const char *word, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t rows;
    store_pg_add_text(&values, word);
    int code = store_pg_ask(cluster, "SELECT pg_notify('pawl_nodes', $1)", &values, NULL, &rows, err);
    arena_fini(&arena);
    return code;
}

int store_cluster_tell(struct store_cluster *cluster, const char *const *words, size_t count, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    struct buf column = BUF_INIT;
    int64_t rows;
    for (size_t i = 0; i < count; i++)
        store_pg_put_text(&column, words[i]);
    store_pg_add_array(&values, &column);
    int code = store_pg_ask(cluster, "SELECT pg_notify('pawl_events', word) FROM unnest($1::text[]) word", &values,
                            NULL, &rows, err);
    buf_fini(&column);
    arena_fini(&arena);
    return code;
}

int store_cluster_listen(struct store_cluster *cluster, bool listens, uint64_t *ret_connection, struct error *err)
{
    cluster->wants_events = listens;
    int code = ready(cluster, err);
    if (!code)
        *ret_connection = cluster->connections;
    return code;
}

static bool give_words(struct store_cluster *cluster, store_cluster_word_fn *fn, void *context)
{
    const struct pg_library *pg = &cluster->connection.store->pg;
    bool any = false;
    for (PGnotify *word; cluster->connection.pg && (word = pg->notifies(cluster->connection.pg)); any = true) {
        fn(context, word->extra);
        pg->free_memory(word);
    }
    return any;
}

void store_cluster_wait(struct store_cluster *cluster, int fd, int64_t wait_ms, store_cluster_word_fn *fn,
                        void *context)
{
    /* words may have come with answers: then nothing is waited for */
    if (!give_words(cluster, fn, context)) {
        store_pg_wait(&cluster->connection, fd, wait_ms);
        (void)give_words(cluster, fn, context);
    }
}

/* ---- any thread ---- */

struct list_call {
    struct arena *arena;
    struct store_cluster_nodes *ret_nodes;
};

static int read_nodes(struct pg_connection *connection, void *context, struct error *err)
{
    static const char sql[] =
        "SELECT n.epoch, n.node, n.host, n.url, n.version, n.workers, n.slots, n.running, n.active_runs, n.ready, "
        "n.draining, l.epoch IS NOT NULL, (extract(epoch FROM l.since) * 1000)::bigint, "
        "(extract(epoch FROM n.joined_at) * 1000)::bigint FROM nodes n LEFT JOIN leases l ON l.name = 'leader' "
        "AND l.epoch = n.epoch WHERE NOT n.dead AND n.lease_until >= clock_timestamp() ORDER BY n.epoch";
    const struct list_call *call = context;
    const struct store_pg *store = connection->store;
    PGresult *found;
    int code = store_pg_query(connection, sql, NULL, &found, err);
    int rows = code ? 0 : store_pg_rows(store, found);
    *call->ret_nodes = (struct store_cluster_nodes){
        arena_array(call->arena, (size_t)rows, sizeof(struct store_cluster_node)), (size_t)rows};
    for (int i = 0; i < rows; i++)
        call->ret_nodes->items[i] = (struct store_cluster_node){
            .epoch = (uint64_t)store_pg_int(store, found, i, 0),
            .id = store_pg_uuid(store, found, i, 1),
            .host = store_pg_text(store, found, i, 2, call->arena),
            .url = store_pg_text(store, found, i, 3, call->arena),
            .version = store_pg_text(store, found, i, 4, call->arena),
            .workers = store_pg_text(store, found, i, 5, call->arena),
            .slots = store_pg_u32(store, found, i, 6),
            .running = store_pg_u32(store, found, i, 7),
            .active_runs = store_pg_u32(store, found, i, 8),
            .ready = (uint64_t)store_pg_int(store, found, i, 9),
            .draining = store_pg_bool(store, found, i, 10),
            .leads = store_pg_bool(store, found, i, 11),
            .leads_since_ms = store_pg_int(store, found, i, 12),
            .joined_ms = store_pg_int(store, found, i, 13),
        };
    store_pg_clear(store, found);
    return code;
}

int store_cluster_list(struct store *store, struct arena *arena, struct store_cluster_nodes *ret_nodes,
                       struct error *err)
{
    struct list_call call = {arena, ret_nodes};
    assert(store_is_shared(store));
    return store_pg_read(store, read_nodes, &call, err);
}

struct cancel_call {
    struct uuid run_id;
    int64_t now_ms;
};

static int write_cancel(struct pg_connection *connection, void *context, struct error *err)
{
    const struct cancel_call *call = context;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_id(&values, &call->run_id);
    store_pg_add_int(&values, call->now_ms);
    int code = store_pg_query(connection,
                              "WITH asked AS (UPDATE active_runs SET cancel_asked_ms = $2 WHERE id = $1 RETURNING id) "
                              "SELECT pg_notify('pawl_nodes', 'cancel') FROM asked", &values, &result, err);
    if (!code && store_pg_rows(connection->store, result) == 0)
        code = error_set(err, ERROR_RUN_NOT_FOUND, "there is no such active run");
    store_pg_clear(connection->store, result);
    arena_fini(&arena);
    return code;
}

int store_cluster_ask_cancel(struct store *store, struct uuid run_id, int64_t now_ms, struct error *err)
{
    struct cancel_call call = {run_id, now_ms};
    assert(store_is_shared(store));
    return store_pg_read(store, write_cancel, &call, err);
}
