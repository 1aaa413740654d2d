/* What nodes ask of each other: rows and a word that there is one (store/cluster.h). Questions about logs are answered
 * within moments or never; who asked takes the row away, and whoever answers takes those that nobody waits for. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/cluster.h"
#include "store/postgres/pg_model.h"

enum { LOOK_MS = 10, ASKED_MAX = 64 };

/* ---- logs, who asks ---- */

struct piece_call {
    struct store_cluster_piece *piece;
    uint64_t node;
    struct arena *arena;
    bool answered;
};

static int put_question(struct pg_connection *connection, void *context, struct error *err)
{
    const struct piece_call *call = context;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    store_pg_add_id(&values, &call->piece->id);
    store_pg_add_int(&values, (int64_t)call->node);
    store_pg_add_id(&values, &call->piece->run_id);
    store_pg_add_int(&values, call->piece->task);
    store_pg_add_int(&values, call->piece->number);
    store_pg_add_int(&values, (int64_t)call->piece->offset);
    store_pg_add_int(&values, call->piece->limit);
    int code = store_pg_query(connection,
                              "WITH asked AS (INSERT INTO asked_logs (id, node, run_id, task, number, first, most) "
                              "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING node) SELECT pg_notify('pawl_nodes', "
                              "'log ' || node) FROM asked", &values, NULL, err);
    arena_fini(&arena);
    return code;
}

static int look_for_answer(struct pg_connection *connection, void *context, struct error *err)
{
    struct piece_call *call = context;
    const struct store_pg *store = connection->store;
    struct pg_values values = {.arena = call->arena};
    PGresult *result;
    store_pg_add_id(&values, &call->piece->id);
    int code = store_pg_query(connection, "DELETE FROM asked_logs WHERE id = $1 AND size IS NOT NULL "
                              "RETURNING size, bytes", &values, &result, err);
    call->answered = !code && store_pg_rows(store, result) == 1;
    if (call->answered) {
        call->piece->size = (uint64_t)store_pg_int(store, result, 0, 0);
        call->piece->bytes = store_pg_bytes(store, result, 0, 1, call->arena, &call->piece->len);
    }
    store_pg_clear(store, result);
    return code;
}

static int drop_question(struct pg_connection *connection, void *context, struct error *err)
{
    const struct piece_call *call = context;
    struct pg_values values = {.arena = call->arena};
    store_pg_add_id(&values, &call->piece->id);
    return store_pg_query(connection, "DELETE FROM asked_logs WHERE id = $1", &values, NULL, err);
}

int store_cluster_ask_log(struct store *store, uint64_t node, struct store_cluster_piece *piece, int64_t wait_ms,
                          struct arena *arena, struct error *err)
{
    struct piece_call call = {.piece = piece, .node = node, .arena = arena};
    int64_t until_ms = clock_boot_ms() + wait_ms;
    assert(store_is_shared(store));
    int code = store_pg_read(store, put_question, &call, err);
    while (!code && !call.answered && clock_boot_ms() < until_ms) {
        (void)poll(NULL, 0, LOOK_MS); /* the connection is given back meanwhile */
        code = store_pg_read(store, look_for_answer, &call, err);
    }
    if (code || call.answered)
        return code;
    (void)store_pg_read(store, drop_question, &call, NULL);
    return error_set(err, ERROR_TIMED_OUT, "the node that has this log does not answer");
}

/* ---- logs, who answers ---- */

int store_cluster_asked_logs(struct store_cluster *cluster, struct arena *arena,
                             struct store_cluster_pieces *ret_pieces, struct error *err)
{
    static const char sql[] =
        "WITH old AS (DELETE FROM asked_logs WHERE asked_at < clock_timestamp() - interval '1 minute') "
        "SELECT id, run_id, task, number, first, most, node = 0 FROM asked_logs WHERE node IN ($1, 0) "
        "AND size IS NULL LIMIT $2";
    const struct store_pg *store = cluster->connection.store;
    struct pg_values values = {.arena = arena};
    PGresult *found;
    int64_t count;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    store_pg_add_int(&values, ASKED_MAX);
    int code = store_pg_ask(cluster, sql, &values, &found, &count, err);
    *ret_pieces = (struct store_cluster_pieces){
        arena_array(arena, (size_t)count, sizeof(struct store_cluster_piece)), (size_t)count};
    for (int i = 0; i < count; i++)
        ret_pieces->items[i] = (struct store_cluster_piece){
            .id = store_pg_uuid(store, found, i, 0),
            .run_id = store_pg_uuid(store, found, i, 1),
            .task = store_pg_u32(store, found, i, 2),
            .number = store_pg_u32(store, found, i, 3),
            .offset = (uint64_t)store_pg_int(store, found, i, 4),
            .limit = store_pg_u32(store, found, i, 5),
            .of_any = store_pg_bool(store, found, i, 6),
        };
    store_pg_clear(store, found);
    return code;
}

int store_cluster_answer_log(struct store_cluster *cluster, const struct store_cluster_piece *piece, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t count;
    store_pg_add_id(&values, &piece->id);
    store_pg_add_int(&values, (int64_t)piece->size);
    store_pg_add_bytes(&values, piece->len ? piece->bytes : NULL, piece->len);
    int code = store_pg_ask(cluster, "UPDATE asked_logs SET size = $2, bytes = $3 WHERE id = $1 AND size IS NULL",
                            &values, NULL, &count, err);
    arena_fini(&arena);
    return code;
}

/* ---- workers ---- */

struct worker_call {
    uint64_t node;
    struct uuid worker;
    bool draining;
};

static int put_order(struct pg_connection *connection, void *context, struct error *err)
{
    const struct worker_call *call = context;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_int(&values, (int64_t)call->node);
    store_pg_add_id(&values, &call->worker);
    store_pg_add_bool(&values, call->draining);
    int code = store_pg_query(connection,
                              "WITH asked AS (INSERT INTO asked_workers (node, worker, draining) SELECT epoch, $2, $3 "
                              "FROM nodes WHERE epoch = $1 AND NOT dead ON CONFLICT (node, worker) DO UPDATE SET "
                              "draining = excluded.draining RETURNING node) SELECT pg_notify('pawl_nodes', 'worker ' "
                              "|| node) FROM asked", &values, &result, err);
    if (!code && store_pg_rows(connection->store, result) == 0)
        code = error_set(err, ERROR_WORKER_NOT_FOUND, "the worker's node is gone");
    store_pg_clear(connection->store, result);
    arena_fini(&arena);
    return code;
}

int store_cluster_ask_worker(struct store *store, uint64_t node, struct uuid worker, bool draining,
                             struct error *err)
{
    struct worker_call call = {node, worker, draining};
    assert(store_is_shared(store));
    return store_pg_read(store, put_order, &call, err);
}

int store_cluster_asked_workers(struct store_cluster *cluster, struct arena *arena,
                                struct store_cluster_orders *ret_orders, struct error *err)
{
    const struct store_pg *store = cluster->connection.store;
    struct pg_values values = {.arena = arena};
    PGresult *found;
    int64_t count;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    int code = store_pg_ask(cluster, "DELETE FROM asked_workers WHERE node = $1 RETURNING worker, draining", &values,
                            &found, &count, err);
    *ret_orders = (struct store_cluster_orders){
        arena_array(arena, (size_t)count, sizeof(struct store_cluster_order)), (size_t)count};
    for (int i = 0; i < count; i++)
        ret_orders->items[i] = (struct store_cluster_order){store_pg_uuid(store, found, i, 0),
                                                            store_pg_bool(store, found, i, 1)};
    store_pg_clear(store, found);
    return code;
}

const struct store_cluster_node *store_cluster_find_worker(const struct store_cluster_nodes *nodes, struct uuid worker)
{
    char id[UUID_TEXT_LEN + 3];
    id[0] = '"';
    uuid_format(worker, id + 1);
    memcpy(id + 1 + UUID_TEXT_LEN, "\"", 2);
    for (size_t i = 0; i < nodes->count; i++) {
        const char *at = strstr(nodes->items[i].workers, id);
        if (at && at - nodes->items[i].workers >= 5 && strncmp(at - 5, "\"id\":", 5) == 0)
            return &nodes->items[i];
    }
    return NULL;
}
