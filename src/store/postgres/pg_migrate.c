/* The tables, made and changed by numbered steps. A step is one transaction that also writes its number into
 * pawl.meta; an advisory lock lets one process at a time do it, the others wait and find it done. Steps are never
 * edited once released: a change is a new one at the end. A program accepts tables that are newer than itself only when
 * meta.least says so: a step that older programs can live with leaves `least` as it is, so that nodes of two versions
 * can serve side by side while they are being replaced one by one. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/postgres/pg_model.h"

static const struct {
    int least;          /* the oldest program that can use the tables after this step */
    const char *sql;
} steps[] = {
    {1,
     "CREATE TABLE dags ("
     " dag bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
     " id uuid NOT NULL UNIQUE,"
     " name text COLLATE \"C\" NOT NULL,"
     " version integer NOT NULL," /* the latest */
     " task_count integer NOT NULL,"
     " cron text,"
     " timezone text,"
     " paused boolean NOT NULL,"
     " created_ms bigint NOT NULL,"
     " updated_ms bigint NOT NULL,"
     " deleted_ms bigint NOT NULL,"
     " covered_ms bigint NOT NULL);"
     "CREATE UNIQUE INDEX dags_by_live_name ON dags (name) WHERE deleted_ms = 0;"
     "CREATE INDEX dags_by_name ON dags (name, id);"

     "CREATE TABLE versions ("
     " dag bigint NOT NULL,"
     " version integer NOT NULL,"
     " task_count integer NOT NULL,"
     " created_ms bigint NOT NULL,"
     " source bytea NOT NULL,"
     " PRIMARY KEY (dag, version));"

     "CREATE SEQUENCE run_serials INCREMENT 1000 START 1;"
     "CREATE TABLE active_runs ("
     " id uuid PRIMARY KEY,"
     " run bigint NOT NULL," /* in the table attempts */
     " owner bigint NOT NULL," /* epoch of the node that drives it */
     " dag bigint NOT NULL,"
     " version integer NOT NULL,"
     " task_count integer NOT NULL,"
     " state text NOT NULL,"
     " triggered_by text NOT NULL,"
     " created_ms bigint NOT NULL,"
     " started_ms bigint NOT NULL,"
     " cancel_ms bigint NOT NULL,"
     " cancel_asked_ms bigint NOT NULL," /* by another node than the owner */
     " scheduled_ms bigint NOT NULL,"
     " source uuid,"
     " resolves_source boolean NOT NULL,"
     " request_id text,"
     " outcomes bytea) WITH (fillfactor = 70);"
     "CREATE TABLE runs ("
     " id uuid PRIMARY KEY,"
     " run bigint NOT NULL,"
     " dag bigint NOT NULL,"
     " version integer NOT NULL,"
     " task_count integer NOT NULL,"
     " state text NOT NULL,"
     " triggered_by text NOT NULL,"
     " created_ms bigint NOT NULL,"
     " started_ms bigint NOT NULL,"
     " cancel_ms bigint NOT NULL,"
     " completed_ms bigint NOT NULL,"
     " failed_count integer NOT NULL,"
     " succeeded_count integer NOT NULL,"
     " skipped_count integer NOT NULL,"
     " canceled_count integer NOT NULL,"
     " scheduled_ms bigint NOT NULL,"
     " source uuid,"
     " resolves_source boolean NOT NULL,"
     " request_id text,"
     " error text,"
     " outcomes bytea);"
     "CREATE INDEX runs_by_state ON runs (state, id);"
     "CREATE INDEX runs_by_dag ON runs (dag, state, id);"

     /* Room on each page for the second version of its rows: an end finds place beside its claim and no index grows. */
     "CREATE TABLE attempts ("
     " run bigint NOT NULL,"
     " task integer NOT NULL,"
     " number integer NOT NULL,"
     " state text NOT NULL,"
     " fence bigint NOT NULL,"
     " worker uuid,"
     " claimed_ms bigint NOT NULL,"
     " started_ms bigint NOT NULL DEFAULT 0,"
     " ended_ms bigint NOT NULL DEFAULT 0,"
     " retry_ms bigint NOT NULL DEFAULT 0,"
     " task_state text,"
     " error_type text,"
     " error text,"
     " exit_code integer NOT NULL DEFAULT -1,"
     " signal integer NOT NULL DEFAULT 0,"
     " http_status integer NOT NULL DEFAULT 0,"
     " cpu_us bigint NOT NULL DEFAULT 0,"
     " max_rss_bytes bigint NOT NULL DEFAULT 0,"
     " log_bytes bigint NOT NULL DEFAULT 0,"
     " log bytea," /* all of it, or what is kept of a long one */
     " PRIMARY KEY (run, task, number)) WITH (fillfactor = 60);"

     "CREATE TABLE letters ("
     " id uuid PRIMARY KEY,"
     " run_id uuid NOT NULL,"
     " dag_id uuid NOT NULL,"
     " task integer NOT NULL,"
     " task_id text,"
     " task_name text,"
     " dag_name text,"
     " error_type text,"
     " error text,"
     " attempts integer NOT NULL,"
     " created_ms bigint NOT NULL,"
     " config text,"
     " resolution text NOT NULL,"
     " resolved_ms bigint NOT NULL,"
     " resolved_run uuid,"
     " resolved_by text,"
     " notes text);"
     "CREATE INDEX letters_by_run ON letters (run_id, id);"
     "CREATE INDEX letters_by_resolution ON letters (resolution, id);"
     "CREATE INDEX letters_by_dag ON letters (dag_id, resolution, id);"

     "CREATE TABLE idempotency ("
     " dag_id uuid NOT NULL,"
     " principal text NOT NULL,"
     " key bytea NOT NULL,"
     " digest bigint NOT NULL,"
     " run_id uuid NOT NULL,"
     " created_ms bigint NOT NULL,"
     " PRIMARY KEY (dag_id, principal, key));"
     "CREATE INDEX idempotency_by_age ON idempotency (created_ms);"

     "CREATE TABLE fires ("
     " id uuid PRIMARY KEY,"
     " dag bigint NOT NULL,"
     " triggered_by text NOT NULL,"
     " from_ms bigint NOT NULL,"
     " to_ms bigint NOT NULL,"
     " count bigint NOT NULL,"
     " outcome text NOT NULL,"
     " reason text,"
     " run uuid,"
     " created_ms bigint NOT NULL);"
     "CREATE UNIQUE INDEX fires_once ON fires (dag, from_ms) WHERE triggered_by = 'schedule';"
     "CREATE INDEX fires_by_instant ON fires (dag, from_ms);"
     "CREATE INDEX fires_by_dag ON fires (dag, id);"
     "CREATE INDEX fires_queued ON fires (id) WHERE outcome = 'queued';"

     "CREATE SEQUENCE epochs;"
     "CREATE TABLE nodes ("
     " epoch bigint PRIMARY KEY," /* a life of a node: fences are epoch << 40 | n */
     " node uuid NOT NULL,"
     " host text NOT NULL,"
     " url text,"
     " version text NOT NULL,"
     " slots integer NOT NULL DEFAULT 0,"
     " running integer NOT NULL DEFAULT 0,"
     " ready bigint NOT NULL DEFAULT 0,"
     " active_runs integer NOT NULL DEFAULT 0,"
     " workers text NOT NULL DEFAULT '[]',"
     " joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
     " lease_until timestamptz NOT NULL,"
     " draining boolean NOT NULL DEFAULT false,"
     " dead boolean NOT NULL DEFAULT false) WITH (fillfactor = 20);"
     "CREATE TABLE commits (epoch bigint, number bigint, PRIMARY KEY (epoch, number));"
     "CREATE TABLE leases (name text PRIMARY KEY, epoch bigint, since timestamptz);"
     "INSERT INTO leases VALUES ('leader', NULL, NULL);"},
    /* 2: runs that changed hands and that their new owner has not read yet */
    {1, "ALTER TABLE active_runs ADD COLUMN given boolean NOT NULL DEFAULT false;"},
    /* 3: what a run has other than its DAG version, which a program that does not know it would leave out */
    {3, "ALTER TABLE active_runs ADD COLUMN changes text; ALTER TABLE runs ADD COLUMN changes text;"},
    /* 4: the trace that a run is part of */
    {3, "ALTER TABLE active_runs ADD COLUMN trace text; ALTER TABLE runs ADD COLUMN trace text;"},
    /* 5: attempts that nodes run for each other; who does not know of them would call them lost and begin them again */
    {5,
     "CREATE TABLE offers ("
     " fence bigint PRIMARY KEY,"
     " run_id uuid NOT NULL,"
     " run bigint NOT NULL,"
     " task integer NOT NULL,"
     " number integer NOT NULL,"
     " node bigint NOT NULL," /* the life it is for */
     " state text NOT NULL,"
     " stop boolean NOT NULL DEFAULT false,"
     " worker uuid,"
     " started_ms bigint NOT NULL DEFAULT 0,"
     " outcome text,"
     " retryable boolean NOT NULL DEFAULT false,"
     " error_type text,"
     " error text,"
     " exit_code integer NOT NULL DEFAULT -1,"
     " signal integer NOT NULL DEFAULT 0,"
     " http_status integer NOT NULL DEFAULT 0,"
     " ended_ms bigint NOT NULL DEFAULT 0,"
     " cpu_us bigint NOT NULL DEFAULT 0,"
     " max_rss_bytes bigint NOT NULL DEFAULT 0,"
     " log_bytes bigint NOT NULL DEFAULT 0) WITH (fillfactor = 40);"},
    /* 6: retention. taken: runs that are gone but for attempts (has_attempts) or logs in files of nodes; sweeps: how
       far each node has deleted those. */
    {5,
     "CREATE TABLE taken ("
     " serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
     " id uuid NOT NULL,"
     " run bigint NOT NULL,"
     " has_attempts boolean NOT NULL,"
     " taken_ms bigint NOT NULL);"
     "CREATE INDEX taken_open ON taken (serial) WHERE has_attempts;"
     "CREATE TABLE sweeps (node uuid PRIMARY KEY, serial bigint NOT NULL);"
     "CREATE INDEX active_runs_by_source ON active_runs (source) WHERE source IS NOT NULL;"},
    /* 7: what DAGs say of how long their history is kept; 0: nothing */
    {5, "ALTER TABLE dags ADD COLUMN keep_age_ms bigint NOT NULL DEFAULT 0; "
        "ALTER TABLE dags ADD COLUMN keep_runs bigint NOT NULL DEFAULT 0; "
        "CREATE INDEX dags_keeping ON dags (dag) WHERE keep_age_ms <> 0 OR keep_runs <> 0;"},
    /* 8: what nodes ask of each other. Questions are of the moment: a crash of the server may take them. */
    {5,
     "CREATE UNLOGGED TABLE asked_logs ("
     " id uuid PRIMARY KEY,"
     " node bigint NOT NULL," /* the life that is asked; 0: any */
     " run_id uuid NOT NULL,"
     " task integer NOT NULL,"
     " number integer NOT NULL,"
     " first bigint NOT NULL,"
     " most integer NOT NULL,"
     " asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
     " size bigint,"
     " bytes bytea);"
     "CREATE TABLE asked_workers ("
     " node bigint NOT NULL,"
     " worker uuid NOT NULL,"
     " draining boolean NOT NULL,"
     " PRIMARY KEY (node, worker));"},
    /* 9: how many runs of a backfill are active at once; 0: not said */
    {5, "ALTER TABLE fires ADD COLUMN parallel integer NOT NULL DEFAULT 0;"},
    /* 10: the last transaction that put a backfill's instants into the queue, for the node that leads to see */
    {5, "ALTER TABLE dags ADD COLUMN backfilled_by bigint NOT NULL DEFAULT 0;"},
    /* 11: the life that took a run over, before it claimed any of it; 0: none did */
    {5, "ALTER TABLE active_runs ADD COLUMN came_to bigint NOT NULL DEFAULT 0;"},
    /* 12: when the last pause ended, for a node that did not see it end; NULL: there was none */
    {5, "ALTER TABLE dags ADD COLUMN resumed_at timestamptz;"},
};

enum { STEP_COUNT = sizeof steps / sizeof steps[0], LOCK_KEY = 0x7061776c /* "pawl" */ };

int store_pg_version(void)
{
    return STEP_COUNT;
}

/* *ret_version 0: there are no tables. */
static int find_version(struct pg_connection *connection, int *ret_version, int *ret_least, struct error *err)
{
    PGresult *result;
    int code = store_pg_query(connection, "SELECT to_regclass('pawl.meta') IS NOT NULL", NULL, &result, err);
    bool is_there = !code && store_pg_bool(connection->store, result, 0, 0);
    store_pg_clear(connection->store, result);
    *ret_version = *ret_least = 0;
    if (code || !is_there)
        return code;
    code = store_pg_query(connection, "SELECT version, least FROM pawl.meta", NULL, &result, err);
    if (!code && store_pg_rows(connection->store, result) == 1) {
        *ret_version = (int)store_pg_int(connection->store, result, 0, 0);
        *ret_least = (int)store_pg_int(connection->store, result, 0, 1);
    }
    store_pg_clear(connection->store, result);
    return code;
}

static int apply(struct pg_connection *connection, int step, struct error *err)
{
    static const char first[] = "CREATE SCHEMA IF NOT EXISTS pawl;"
                                "CREATE TABLE pawl.meta (one integer PRIMARY KEY CHECK (one = 1), version integer NOT "
                                "NULL, least integer NOT NULL); INSERT INTO pawl.meta VALUES (1, 0, 0);";
    char *sql = mem_printf("BEGIN; %s %s UPDATE meta SET version = %d, least = %d; COMMIT", step ? "" : first,
                           steps[step].sql, step + 1, steps[step].least);
    int code = store_pg_query(connection, sql, NULL, NULL, err);
    mem_free(sql);
    if (code) {
        (void)store_pg_query(connection, "ROLLBACK", NULL, NULL, NULL);
        (void)error_add(err, "making the tables of version %d", step + 1);
    }
    return code;
}

/* Who lives on the tables of `version` knows no newer ones, or would have made them. Where one of the next steps is not
 * for such a program, all of them have to be gone; whose lease is over is from here on. */
static int check_older(struct pg_connection *connection, int version, struct error *err)
{
    static const char sql[] =
        "WITH dying AS (UPDATE pawl.nodes SET dead = true WHERE NOT dead AND lease_until < clock_timestamp()) "
        "SELECT count(*), min(host) FROM pawl.nodes WHERE NOT dead AND lease_until >= clock_timestamp() "
        "AND node IS DISTINCT FROM $1";
    const struct store_pg *store = connection->store;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *found;
    int least = 0;
    for (int step = version; step < STEP_COUNT; step++)
        least = steps[step].least > least ? steps[step].least : least;
    if (!version || least <= version)
        return 0;
    store_pg_add_uuid(&values, &store->node);
    int code = store_pg_query(connection, sql, &values, &found, err);
    if (!code && store_pg_int(store, found, 0, 0) > 0)
        code = error_set(err, ERROR_STORE_LOCKED, "older nodes live on the PostgreSQL store, one on %s, that cannot "
                         "work with the tables of this pawl: stop them first",
                         store_pg_text(store, found, 0, 1, &arena));
    store_pg_clear(store, found);
    arena_fini(&arena);
    return code;
}

static int migrate(struct pg_connection *connection, bool create, struct error *err)
{
    int version, least;
    int code = find_version(connection, &version, &least, err);
    if (code)
        return code;
    if (version > STEP_COUNT && least > STEP_COUNT)
        return error_set(err, ERROR_STORE_NEWER,
                         "the PostgreSQL store has version %d, this pawl knows up to %d: use a newer pawl", version,
                         STEP_COUNT);
    if (!version && !create)
        return error_set(err, ERROR_NOT_FOUND, "the PostgreSQL database holds no pawl store");
    code = check_older(connection, version, err);
    for (int step = version; step < STEP_COUNT && !code; step++)
        code = apply(connection, step, err);
    return code;
}

static int check_encoding(struct pg_connection *connection, struct error *err)
{
    PGresult *result;
    int code = store_pg_query(connection, "SHOW server_encoding", NULL, &result, err);
    if (!code) {
        struct arena arena = {0};
        const char *encoding = store_pg_text(connection->store, result, 0, 0, &arena);
        if (strcmp(encoding, "UTF8") != 0)
            code = error_set(err, ERROR_STORE_FAILED, "the PostgreSQL database has encoding %s; pawl needs UTF8",
                             encoding);
        arena_fini(&arena);
    }
    store_pg_clear(connection->store, result);
    return code;
}

int store_pg_migrate(struct pg_connection *connection, bool create, struct error *err)
{
    char lock[64], unlock[64];
    (void)snprintf(lock, sizeof lock, "SET lock_timeout TO '60s'; SELECT pg_advisory_lock(%d)", LOCK_KEY);
    (void)snprintf(unlock, sizeof unlock, "SELECT pg_advisory_unlock(%d); SET lock_timeout TO '4s'", LOCK_KEY);
    int code = check_encoding(connection, err);
    connection->answer_ms = PG_FOREVER_MS;
    if (!code)
        code = store_pg_query(connection, "SET statement_timeout TO 0", NULL, NULL, err);
    if (!code)
        code = store_pg_query(connection, lock, NULL, NULL, err);
    if (!code)
        code = migrate(connection, create, err);
    connection->answer_ms = 0;
    if (connection->pg) {
        (void)store_pg_query(connection, unlock, NULL, NULL, NULL);
        (void)store_pg_query(connection, "SET statement_timeout TO '8s'", NULL, NULL, NULL);
    }
    return code;
}
