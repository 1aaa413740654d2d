/* The tables, made and changed by numbered steps. A step is one transaction that also writes its number into the file
 * (user_version). Steps are never edited once released: a change is a new one at the end. */
#include <stdio.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

static const char *const steps[] = {
    /* 1 */
    "CREATE TABLE meta ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " epoch INTEGER NOT NULL,"
    " next_base INTEGER NOT NULL,"
    " dags INTEGER NOT NULL,"
    " active_runs INTEGER NOT NULL,"
    " letters_pending INTEGER NOT NULL,"
    " letters_retried INTEGER NOT NULL,"
    " letters_skipped INTEGER NOT NULL,"
    " letters_resolved INTEGER NOT NULL"
    ") STRICT;"
    "INSERT INTO meta VALUES (1, 0, 1024, 0, 0, 0, 0, 0, 0);"

    "CREATE TABLE dags ("
    " dag INTEGER PRIMARY KEY,"
    " id BLOB NOT NULL UNIQUE,"
    " name TEXT NOT NULL,"
    " version INTEGER NOT NULL," /* the latest */
    " task_count INTEGER NOT NULL,"
    " cron TEXT,"
    " timezone TEXT,"
    " paused INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " updated_ms INTEGER NOT NULL,"
    " deleted_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE UNIQUE INDEX dags_by_live_name ON dags (name) WHERE deleted_ms = 0;"
    "CREATE INDEX dags_by_name ON dags (name, id);"

    "CREATE TABLE versions ("
    " version_row INTEGER PRIMARY KEY,"
    " dag INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " task_count INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " source_bytes INTEGER NOT NULL,"
    " UNIQUE (dag, version)"
    ") STRICT;"
    /* part = version_row * 65536 + n; all but a version's last have 65536 bytes */
    "CREATE TABLE sources (part INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"

    "CREATE TABLE active_runs ("
    " id BLOB PRIMARY KEY,"
    " base INTEGER NOT NULL,"
    " dag INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " task_count INTEGER NOT NULL,"
    " state TEXT NOT NULL,"
    " triggered_by TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL,"
    " cancel_ms INTEGER NOT NULL,"
    " source BLOB,"
    " resolves_source INTEGER NOT NULL,"
    " request_id TEXT,"
    " outcomes BLOB"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE runs ("
    " id BLOB PRIMARY KEY,"
    " base INTEGER NOT NULL,"
    " dag INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " task_count INTEGER NOT NULL,"
    " state TEXT NOT NULL,"
    " triggered_by TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL,"
    " cancel_ms INTEGER NOT NULL,"
    " completed_ms INTEGER NOT NULL,"
    " failed_count INTEGER NOT NULL,"
    " succeeded_count INTEGER NOT NULL,"
    " skipped_count INTEGER NOT NULL,"
    " canceled_count INTEGER NOT NULL,"
    " source BLOB,"
    " resolves_source INTEGER NOT NULL,"
    " request_id TEXT,"
    " error TEXT,"
    " outcomes BLOB"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX runs_by_state ON runs (state, id);"
    "CREATE INDEX runs_by_dag ON runs (dag, state, id);"

    "CREATE TABLE attempts ("
    " key INTEGER PRIMARY KEY," /* the run's base + task * 1024 + number */
    " state TEXT NOT NULL,"
    " fence INTEGER NOT NULL,"
    " worker BLOB,"
    " claimed_ms INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL,"
    " retry_ms INTEGER NOT NULL,"
    " task_state TEXT,"
    " error_type TEXT,"
    " error TEXT,"
    " exit_code INTEGER NOT NULL,"
    " signal INTEGER NOT NULL,"
    " http_status INTEGER NOT NULL,"
    " cpu_us INTEGER NOT NULL,"
    " max_rss_bytes INTEGER NOT NULL,"
    " log_bytes INTEGER NOT NULL,"
    " log BLOB" /* all of it, when it is in no file */
    ") STRICT;"

    "CREATE TABLE letters ("
    " id BLOB PRIMARY KEY,"
    " run_id BLOB NOT NULL,"
    " dag_id BLOB NOT NULL,"
    " task INTEGER NOT NULL,"
    " task_id TEXT,"
    " task_name TEXT,"
    " dag_name TEXT,"
    " error_type TEXT,"
    " error TEXT,"
    " attempts INTEGER NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " resolution TEXT NOT NULL,"
    " resolved_run BLOB,"
    " resolved_ms INTEGER NOT NULL,"
    " resolved_by TEXT,"
    " notes TEXT,"
    " config TEXT"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX letters_by_run ON letters (run_id, id);"
    "CREATE INDEX letters_by_resolution ON letters (resolution, id);"
    "CREATE INDEX letters_by_dag ON letters (dag_id, resolution, id);"

    "CREATE TABLE idempotency ("
    " dag_id BLOB NOT NULL,"
    " principal TEXT NOT NULL,"
    " key TEXT NOT NULL,"
    " digest INTEGER NOT NULL,"
    " run_id BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL,"
    " PRIMARY KEY (dag_id, principal, key)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX idempotency_by_age ON idempotency (created_ms);",

    /* 2: what became of schedules' instants. No schedule was ever fired before it: nothing was missed until now. */
    "ALTER TABLE dags ADD COLUMN covered_ms INTEGER NOT NULL DEFAULT 0;"
    "UPDATE dags SET covered_ms = max(updated_ms, unixepoch() * 1000);"
    "ALTER TABLE active_runs ADD COLUMN scheduled_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE runs ADD COLUMN scheduled_ms INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE fires ("
    " id BLOB PRIMARY KEY,"
    " dag INTEGER NOT NULL,"
    " triggered_by TEXT NOT NULL,"
    " from_ms INTEGER NOT NULL,"
    " to_ms INTEGER NOT NULL,"
    " count INTEGER NOT NULL,"
    " outcome TEXT NOT NULL,"
    " reason TEXT,"
    " run BLOB,"
    " created_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX fires_once ON fires (dag, from_ms) WHERE triggered_by = 'schedule';"
    "CREATE INDEX fires_by_instant ON fires (dag, from_ms);"
    "CREATE INDEX fires_by_dag ON fires (dag, id);"
    "CREATE INDEX fires_queued ON fires (id) WHERE outcome = 'queued';",

    /* 3: retention. taken: runs that are gone but for attempts (has_attempts) or logs. */
    "ALTER TABLE meta ADD COLUMN ended_runs INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE meta ADD COLUMN log_bytes INTEGER NOT NULL DEFAULT 0;"
    "UPDATE meta SET ended_runs = (SELECT count(*) FROM runs), log_bytes = "
    "(SELECT coalesce(sum(log_bytes), 0) FROM attempts WHERE log IS NULL);"
    "CREATE TABLE taken ("
    " id BLOB PRIMARY KEY,"
    " base INTEGER NOT NULL,"
    " task_count INTEGER NOT NULL,"
    " has_attempts INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX taken_open ON taken (id) WHERE has_attempts = 1;"
    "CREATE INDEX active_runs_by_source ON active_runs (source) WHERE source IS NOT NULL;",

    "ALTER TABLE active_runs ADD COLUMN changes TEXT;"
    "ALTER TABLE runs ADD COLUMN changes TEXT;",
    /* 5: the trace that a run is part of */
    "ALTER TABLE active_runs ADD COLUMN trace TEXT;"
    "ALTER TABLE runs ADD COLUMN trace TEXT;",
    /* 6: what DAGs say of how long their history is kept; 0: nothing */
    "ALTER TABLE dags ADD COLUMN keep_age_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE dags ADD COLUMN keep_runs INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX dags_keeping ON dags (dag) WHERE keep_age_ms <> 0 OR keep_runs <> 0;",
    /* 7: how many runs of a backfill are active at once; 0: not said */
    "ALTER TABLE fires ADD COLUMN parallel INTEGER NOT NULL DEFAULT 0;",
};

enum { STEP_COUNT = sizeof steps / sizeof steps[0] };

int store_sqlite_version(void)
{
    return STEP_COUNT;
}

/* Version 1 was first written without attempts.log. */
static int add_log(struct sqlite_connection *connection, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(
        connection->db, "SELECT count(*) FROM pragma_table_info('attempts') WHERE name = 'log'", -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    bool there = result == SQLITE_ROW && sqlite3_column_int64(statement, 0) == 1;
    (void)sqlite3_finalize(statement);
    if (result == SQLITE_ROW)
        result = there ? SQLITE_OK
                       : sqlite3_exec(connection->db, "ALTER TABLE attempts ADD COLUMN log BLOB", NULL, NULL, NULL);
    return result == SQLITE_OK ? 0 : store_sqlite_fault(connection->store, connection->db, result, err);
}

int store_sqlite_migrate(struct sqlite_connection *connection, int version, struct error *err)
{
    int code = version == 1 ? add_log(connection, err) : 0;
    for (int step = version; step < STEP_COUNT && !code; step++) {
        char *sql = mem_printf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
                               steps[step], SQLITE_APPLICATION_ID, step + 1);
        int result = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
        mem_free(sql);
        if (result == SQLITE_OK)
            continue;
        code = store_sqlite_fault(connection->store, connection->db, result, err);
        if (!sqlite3_get_autocommit(connection->db))
            (void)sqlite3_exec(connection->db, "ROLLBACK", NULL, NULL, NULL);
        (void)error_add(err, "making the tables of version %d", step + 1);
    }
    return code;
}
