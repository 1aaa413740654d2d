/* Opening: the library, a first connection, the tables, a place among the nodes, the readers' pool. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/cluster.h"
#include "store/postgres/pg_model.h"

/* One transaction: this life's row, and what earlier lives of the same node still own becomes its. Their rows are dead
 * from then on, whatever their leases say: the data directory's lock says that they are over. What the last of them ran
 * for other nodes goes on, unless others had declared it dead. A run that had become its and was not read yet waits
 * for store_cluster_load as before; so does one of which every claim there is was made before it came: it was read, and
 * nothing of what that led to is here. What is claimed of them ran elsewhere, or with workers that gave up. A claim
 * from after it came tells that it was read, though that may not be written down: its workers are here. */
static const char join_sql[] =
    "WITH before AS (UPDATE nodes SET dead = true WHERE node = $1 AND NOT dead AND EXISTS (SELECT 1 FROM meta WHERE "
    "least <= $6) RETURNING epoch), "
    "mine AS (INSERT INTO nodes (epoch, node, host, url, version, lease_until) SELECT nextval('epochs'), $1, $2, $3, "
    "$4, clock_timestamp() + $5::bigint * interval '1 millisecond' FROM meta WHERE least <= $6 "
    "RETURNING epoch), "
    "guests AS (UPDATE offers SET node = (SELECT epoch FROM mine) WHERE node IN (SELECT epoch FROM before) "
    "AND state = 'taken' RETURNING fence), "
    "taken AS (UPDATE active_runs r SET owner = (SELECT epoch FROM mine), given = (given OR EXISTS (SELECT 1 FROM "
    "attempts a WHERE a.run = r.run AND a.state = 'running')) AND NOT EXISTS (SELECT 1 FROM attempts a JOIN nodes n "
    "ON n.epoch = a.fence >> 40 WHERE a.run = r.run AND a.state = 'running' AND n.node = $1 AND n.epoch >= r.came_to) "
    "WHERE owner IN (SELECT epoch FROM nodes WHERE node = $1) AND EXISTS (SELECT 1 FROM mine) RETURNING id) "
    "SELECT epoch, (SELECT count(*) FROM taken) FROM mine";

static int join(struct store_pg *store, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_id(&values, &store->node);
    store_pg_add_text(&values, store->host);
    store_pg_add_text(&values, store->node_url);
    store_pg_add_text(&values, PAWL_VERSION);
    store_pg_add_int(&values, store->lease_ms);
    store_pg_add_int(&values, store_pg_version());
    int code = store_pg_query(&store->writer, join_sql, &values, &result, err);
    if (!code && store_pg_rows(store, result) == 0) /* since they were looked at */
        code = error_set(err, ERROR_STORE_NEWER, "a newer pawl has changed the tables of the PostgreSQL store: use it");
    if (!code)
        store->head.epoch = (uint64_t)store_pg_int(store, result, 0, 0);
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

/* A row that leaves work running keeps its lease, so that this node's next life finds it; any other ends now. */
static const char leave_sql[] =
    "WITH left_alone AS (UPDATE nodes SET dead = true WHERE epoch = $1 AND NOT EXISTS (SELECT 1 FROM active_runs r "
    "JOIN attempts a ON a.run = r.run AND a.state = 'running' WHERE r.owner = $1 AND NOT EXISTS (SELECT 1 FROM "
    "offers o WHERE o.fence = a.fence AND o.node <> $1)) AND NOT EXISTS (SELECT 1 FROM offers o WHERE o.node = $1 "
    "AND o.state = 'taken') RETURNING epoch) "
    "SELECT pg_notify('pawl_nodes', 'dead') FROM left_alone";

static void leave(struct store_pg *store)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    (void)store_pg_query(&store->writer, leave_sql, &values, NULL, NULL);
    arena_fini(&arena);
}

static void close_store(struct store *head)
{
    struct store_pg *store = (struct store_pg *)head;
    if (store->writer.pg && head->epoch && !store->unsettled)
        leave(store);
    store_pg_forget_runs(store);
    for (int i = 0; i < BULK_COUNT; i++)
        for (int j = 0; j < PG_VALUES_MAX; j++)
            buf_fini(&store->bulk[i].columns[j]);
    store_pg_retain_fini(store);
    store_pg_disconnect(&store->writer);
    for (uint32_t i = 0; i < store->readers_max; i++)
        store_pg_disconnect(&store->readers[i]);
    mem_free(store->readers);
    store_pg_library_close(&store->pg);
    (void)pthread_cond_destroy(&store->given_back);
    (void)pthread_mutex_destroy(&store->lock);
    mem_free(store->url);
    mem_free(store->dir);
    mem_free(store->host);
    mem_free(store->node_url);
    mem_free(store);
}

static const struct store_ops ops = {
    .kind = "postgresql",
    .close = close_store,
    .commit = store_pg_commit,
    .maintain = store_pg_maintain,
    .load_active = store_pg_load_active,
    .dags = store_pg_dags,
    .versions = store_pg_versions,
    .source = store_pg_source,
    .runs = store_pg_runs,
    .attempts = store_pg_attempts,
    .letters = store_pg_letters,
    .fires = store_pg_fires,
    .letter_stats = store_pg_letter_stats,
    .ids = store_pg_ids,
    .taken = store_pg_taken,
    .dump = store_pg_dump,
    .fill = store_pg_fill,
    .status = store_pg_status,
    .ping = store_pg_ping,
    .check = store_pg_check,
};

bool store_is_shared(const struct store *store)
{
    return store->ops == &ops;
}

static void make_readers(struct store_pg *store, uint32_t readers_max)
{
    store->readers_max = readers_max ? readers_max : PG_READERS;
    store->readers = mem_new_array(struct pg_connection, store->readers_max);
    for (uint32_t i = 0; i < store->readers_max; i++) {
        store->readers[i].store = store;
        store->readers[i].next_free = store->free_readers;
        store->free_readers = &store->readers[i];
    }
}

static struct store_pg *make(const struct store_options *options)
{
    pthread_condattr_t attributes;
    struct store_pg *store = mem_new(struct store_pg);
    store->head.ops = &ops;
    store->mode = options->mode;
    store->durability = options->durability;
    store->url = mem_strdup(options->url);
    store->dir = mem_strdup(options->path);
    store->node = options->node.id;
    store->host = mem_strdup(options->node.host ? options->node.host : "localhost");
    store->node_url = mem_strdup(options->node.url);
    store->lease_ms = options->node.lease_ms ? options->node.lease_ms : LIMIT_LEASE_MS;
    store->writer.store = store;
    (void)pthread_mutex_init(&store->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&store->given_back, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    make_readers(store, options->readers_max);
    return store;
}

int store_open_postgres(const struct store_options *options, struct store **ret_store, struct error *err)
{
    struct store_pg *store = make(options);
    int code = store_pg_library_open(&store->pg, err);
    if (!code)
        code = store_pg_connect(&store->writer, err);
    if (!code)
        code = store_pg_migrate(&store->writer, options->mode == STORE_CREATE, err);
    if (!code && options->mode != STORE_READ) {
        assert(!uuid_is_zero(store->node));
        code = join(store, err);
    }
    if (code) {
        close_store(&store->head);
        if (code == ERROR_STORE_RETRY)
            code = error_set(err, ERROR_STORE_AWAY, "PostgreSQL: others were in the way");
        return code;
    }
    *ret_store = &store->head;
    return 0;
}
