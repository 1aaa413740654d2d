/* Unfinished runs: all of this node's at the start, on the writer's connection, and later those that became its. */
#include <string.h>

#include "base/mem.h"
#include "store/postgres/pg_model.h"

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

static int load_attempts(struct pg_connection *connection, int64_t run, struct uuid run_id, struct arena *arena,
                         struct store_attempts *ret_attempts, struct error *err)
{
    const struct store_pg *store = connection->store;
    struct pg_values values = {.arena = arena};
    PGresult *result;
    store_pg_add_int(&values, run);
    int code = store_pg_run(connection, PG_LOAD_ATTEMPTS, &values, &result, err);
    *ret_attempts = (struct store_attempts){0};
    if (!code) {
        int rows = store_pg_rows(store, result);
        ret_attempts->items = arena_array(arena, (size_t)rows, sizeof(struct record_attempt));
        for (int i = 0; i < rows && !code; i++)
            if (!store_pg_read_attempt(store, result, i, run_id, arena, &ret_attempts->items[ret_attempts->count++]))
                code = store_pg_bad_row("attempts", err);
    }
    store_pg_clear(store, result);
    return code;
}

static int load_source(struct pg_connection *connection, const struct record_run *run, struct arena *arena,
                       const char **ret_source, size_t *ret_len, struct error *err)
{
    const struct store_pg *store = connection->store;
    struct pg_values values = {.arena = arena};
    PGresult *result;
    store_pg_add_id(&values, &run->dag_id);
    store_pg_add_int(&values, run->dag_version);
    int code = store_pg_run(connection, PG_LOAD_SOURCE, &values, &result, err);
    if (!code && store_pg_rows(store, result) != 1)
        code = store_pg_bad_row("active_runs", err);
    if (!code)
        *ret_source = store_pg_bytes(store, result, 0, 0, arena, ret_len);
    store_pg_clear(store, result);
    return code;
}

static int give(struct pg_connection *connection, const struct store_run *run, int64_t number, struct given *given,
                store_active_fn *fn, void *context, struct error *err)
{
    struct arena arena = {0};
    struct store_attempts attempts;
    struct store_active active = {.run = run->run, .dag_name = run->dag_name};
    int code = load_attempts(connection, number, run->run.id, &arena, &attempts, err);
    if (!code && !is_given(given, &run->run))
        code = load_source(connection, &run->run, &arena, &active.source, &active.source_len, err);
    if (!code) {
        active.attempts = attempts.items;
        active.attempt_count = attempts.count;
        code = fn(context, &active, err);
    }
    arena_fini(&arena);
    return code;
}

/* The runs behind *after, which becomes the last one's id; *ret_count 0: there are none. */
static int load_page(struct pg_connection *connection, const char *ids, struct given *given, struct uuid *after,
                     int *ret_count, store_active_fn *fn, void *context, struct error *err)
{
    const struct store_pg *store = connection->store;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    store_pg_add_id(&values, after);
    store_pg_add_text(&values, ids);
    int code = store_pg_run(connection, PG_LOAD_RUNS, &values, &result, err);
    *ret_count = code ? 0 : store_pg_rows(store, result);
    for (int i = 0; i < *ret_count && !code; i++) {
        struct store_run run;
        int64_t number;
        if (!store_pg_read_run(store, result, i, &arena, &run, &number))
            code = store_pg_bad_row("active_runs", err);
        else
            code = give(connection, &run, number, given, fn, context, err);
        *after = run.run.id;
    }
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

int store_pg_load(struct pg_connection *connection, const char *ids, store_active_fn *fn, void *context,
                  struct error *err)
{
    struct given given = {0};
    struct uuid after = {{0}};
    int count = 1, code = 0;
    while (count && !code)
        code = load_page(connection, ids, &given, &after, &count, fn, context, err);
    map_fini(&given.seen);
    arena_fini(&given.keys);
    return code;
}

int store_pg_load_active(struct store *head, store_active_fn *fn, void *context, struct error *err)
{
    struct store_pg *store = (struct store_pg *)head;
    int code = store_pg_alive(store, err);
    if (!code)
        code = store_pg_connect(&store->writer, err);
    return code ? code : store_pg_load(&store->writer, NULL, fn, context, err);
}
