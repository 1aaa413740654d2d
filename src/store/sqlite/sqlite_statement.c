/* SQL, and what SQLite says in our words. No statement is ever built from anybody's text. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/sqlite/sqlite_model.h"

#define RUN_COLUMNS_SHARED \
    "r.id, r.base, d.id, d.name, r.version, r.task_count, r.state, r.triggered_by, r.created_ms, r.started_ms, " \
    "r.cancel_ms, r.source, r.resolves_source, r.request_id, r.scheduled_ms, r.changes, "
#define LIVE_COLUMNS \
    RUN_COLUMNS_SHARED "0, 0, 0, 0, 0, NULL, CASE WHEN ?2 THEN r.outcomes END, r.trace "
#define ENDED_COLUMNS \
    RUN_COLUMNS_SHARED "r.completed_ms, r.failed_count, r.succeeded_count, r.skipped_count, r.canceled_count, " \
    "r.error, CASE WHEN ?2 THEN r.outcomes END, r.trace "
#define IDS_ENDED_STATE \
    "SELECT id FROM runs INDEXED BY runs_by_state WHERE state = ?4 AND id BETWEEN ?1 AND ?2 ORDER BY id DESC"
#define IDS_ENDED_DAG \
    "SELECT id FROM runs INDEXED BY runs_by_dag WHERE dag = ?3 AND state = ?4 AND id BETWEEN ?1 AND ?2 ORDER BY id DESC"
#define IDS_LETTER_DAG \
    "SELECT id FROM letters INDEXED BY letters_by_dag WHERE dag_id = ?4 AND resolution = ?5 " \
    "AND id BETWEEN ?1 AND ?2 ORDER BY id DESC"

/* The ended run of a DAG next to an id, over all states: each part is one look into the index. */
#define KEEPING_PART(pick, sign, state) \
    "SELECT " pick "(id) AS id FROM runs INDEXED BY runs_by_dag WHERE dag = ?1 AND state = '" state "' " \
    "AND id " sign " ?2"
#define KEEPING_NEXT(pick, sign) \
    "SELECT id, base, task_count, created_ms, completed_ms, 0 FROM runs WHERE id = (SELECT " pick "(id) FROM (" \
    KEEPING_PART(pick, sign, "succeeded") " UNION ALL " KEEPING_PART(pick, sign, "failed") " UNION ALL " \
    KEEPING_PART(pick, sign, "canceled") "))"

static const char *const sql[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN",
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_META] = "SELECT epoch, next_base, dags, active_runs, letters_pending, letters_retried, letters_skipped, "
                 "letters_resolved, ended_runs, log_bytes FROM meta",
    [SQL_META_UPDATE] = "UPDATE meta SET next_base = ?1, dags = ?2, active_runs = ?3, letters_pending = ?4, "
                        "letters_retried = ?5, letters_skipped = ?6, letters_resolved = ?7, ended_runs = ?8, "
                        "log_bytes = ?9",
    [SQL_EPOCH_NEXT] = "UPDATE meta SET epoch = epoch + 1",

    [SQL_DAG_FIND] = "SELECT dag, version, deleted_ms, paused, covered_ms FROM dags WHERE id = ?1",
    [SQL_DAG_LIVE_NAME] = "SELECT 1 FROM dags WHERE name = ?1 AND deleted_ms = 0",
    [SQL_DAG_INSERT] = "INSERT INTO dags (id, name, version, task_count, cron, timezone, paused, created_ms, "
                       "updated_ms, deleted_ms, covered_ms, keep_age_ms, keep_runs) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 0, ?8, ?9, ?10)",
    [SQL_DAG_UPDATE] = "UPDATE dags SET version = ?2, task_count = ?3, cron = ?4, timezone = ?5, updated_ms = ?6, "
                       "covered_ms = iif(cron IS NOT ?4 OR timezone IS NOT ?5, max(covered_ms, ?6), covered_ms), "
                       "keep_age_ms = ?7, keep_runs = ?8 WHERE dag = ?1",
    [SQL_DAG_DELETE] = "UPDATE dags SET deleted_ms = ?2 WHERE dag = ?1",
    [SQL_DAG_PAUSE] = "UPDATE dags SET paused = ?2 WHERE dag = ?1",
    [SQL_FIRE_COVER] = "UPDATE dags SET covered_ms = ?2 WHERE dag = ?1",
    [SQL_DAG_ACTIVE] = "SELECT 1 FROM active_runs WHERE dag = ?1 LIMIT 1",
    [SQL_VERSION_INSERT] = "INSERT INTO versions (dag, version, task_count, created_ms, source_bytes) "
                           "VALUES (?1, ?2, ?3, ?4, ?5)",
    [SQL_SOURCE_INSERT] = "INSERT INTO sources VALUES (?1, ?2)",

    [SQL_FIRE_INSERT] = "INSERT INTO fires VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [SQL_FIRE_BEFORE] = "SELECT 1 FROM fires INDEXED BY fires_by_instant WHERE dag = ?1 AND from_ms = ?2 "
                        "AND (outcome = 'queued' OR (outcome = 'fired' AND NOT ?3)) LIMIT 1",
    [SQL_FIRE_QUEUED] = "SELECT 1 FROM fires WHERE id = ?1 AND outcome = 'queued'",
    [SQL_FIRE_RELEASE] = "UPDATE fires SET outcome = 'fired', run = ?2 WHERE id = ?1 AND outcome = 'queued'",
    [SQL_FIRES_DROP] = "UPDATE fires INDEXED BY fires_by_dag SET outcome = 'skipped', reason = 'dagDeleted' "
                       "WHERE dag = ?1 AND outcome = 'queued'",

    [SQL_KEY_FIND] = "SELECT digest, run_id, created_ms FROM idempotency WHERE dag_id = ?1 AND principal = ?2 "
                     "AND key = ?3",
    [SQL_KEY_PUT] = "INSERT OR REPLACE INTO idempotency (dag_id, principal, key, digest, run_id, created_ms) "
                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_KEY_EXPIRE] = "DELETE FROM idempotency WHERE (dag_id, principal, key) IN (SELECT dag_id, principal, key "
                       "FROM idempotency INDEXED BY idempotency_by_age WHERE created_ms < ?1 LIMIT 500)",
    [SQL_KEY_OLDEST] = "SELECT min(created_ms) FROM idempotency",

    [SQL_RUN_ACTIVE] = "SELECT base, task_count FROM active_runs WHERE id = ?1",
    [SQL_RUN_ENDED] = "SELECT 1 FROM runs WHERE id = ?1",
    [SQL_RUN_INSERT] = "INSERT INTO active_runs (id, base, dag, version, task_count, state, triggered_by, "
                       "created_ms, started_ms, cancel_ms, source, resolves_source, request_id, outcomes, "
                       "scheduled_ms, changes, trace) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?7, 0, 0, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [SQL_RUN_START] = "UPDATE active_runs SET state = 'running', started_ms = ?2 WHERE id = ?1 "
                      "AND state = 'pending'",
    [SQL_RUN_CANCEL] = "UPDATE active_runs SET cancel_ms = ?2 WHERE id = ?1",
    [SQL_RUN_END] = "INSERT INTO runs SELECT id, base, dag, version, task_count, ?2, triggered_by, created_ms, "
                    "started_ms, cancel_ms, ?3, ?4, ?5, ?6, ?7, source, resolves_source, request_id, ?8, ?9, "
                    "scheduled_ms, changes, trace "
                    "FROM active_runs WHERE id = ?1",
    [SQL_RUN_LEAVE] = "DELETE FROM active_runs WHERE id = ?1",

    [SQL_ATTEMPTS_RUNNING] = "SELECT count(*) FROM attempts WHERE key BETWEEN ?1 AND ?2 AND state = 'running'",
    [SQL_ATTEMPT_STATE] = "SELECT state FROM attempts WHERE key = ?1",
    [SQL_ATTEMPT_CLAIM] = "INSERT INTO attempts VALUES (?1, 'running', ?2, ?3, ?4, 0, 0, 0, NULL, NULL, NULL, -1, "
                          "0, 0, 0, 0, 0, NULL)",
    [SQL_ATTEMPT_END] = "UPDATE attempts SET state = ?3, worker = ?4, claimed_ms = ?5, started_ms = ?6, "
                        "ended_ms = ?7, retry_ms = ?8, task_state = ?9, error_type = ?10, error = ?11, "
                        "exit_code = ?12, signal = ?13, http_status = ?14, cpu_us = ?15, max_rss_bytes = ?16, "
                        "log_bytes = ?17, log = ?18 WHERE key = ?1 AND fence = ?2 AND state = 'running'",
    [SQL_ATTEMPT_WITHDRAW] = "DELETE FROM attempts WHERE key = ?1 AND fence = ?2 AND state = 'running'",

    [SQL_LETTER_FIND] = "SELECT resolution, resolved_run FROM letters WHERE id = ?1",
    [SQL_LETTER_INSERT] = "INSERT INTO letters (id, run_id, dag_id, task, task_id, task_name, dag_name, error_type, "
                          "error, attempts, created_ms, resolution, resolved_ms, config) "
                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'pending', 0, ?12)",
    [SQL_LETTER_RESOLVE] = "UPDATE letters SET resolution = ?2, resolved_run = ?3, resolved_ms = ?4, "
                           "resolved_by = ?5, notes = ?6 WHERE id = ?1 AND resolution = 'pending'",
    [SQL_LETTERS_RESOLVE] = "UPDATE letters INDEXED BY letters_by_run SET resolution = 'retried', "
                            "resolved_run = ?2, resolved_ms = ?3 WHERE run_id = ?1 AND resolution = 'pending'",

    [SQL_OLD_RUN] = "SELECT r.id, r.base, r.task_count, r.created_ms, r.completed_ms, coalesce(d.keep_age_ms, 0) "
                    "FROM runs r LEFT JOIN dags d ON d.dag = r.dag WHERE r.id > ?1 ORDER BY r.id LIMIT 1",
    [SQL_KEEPING_DAG] = "SELECT dag, keep_age_ms, keep_runs FROM dags INDEXED BY dags_keeping "
                        "WHERE (keep_age_ms <> 0 OR keep_runs <> 0) AND dag > ?1 ORDER BY dag LIMIT 1",
    [SQL_KEEPING_BELOW] = KEEPING_NEXT("max", "<"),
    [SQL_KEEPING_ABOVE] = KEEPING_NEXT("min", ">"),
    [SQL_LETTER_FIRST] = "SELECT id, created_ms FROM letters INDEXED BY letters_by_resolution "
                          "WHERE resolution = ?1 ORDER BY id LIMIT 1",
    [SQL_OLD_NEEDED] = "SELECT EXISTS (SELECT 1 FROM letters INDEXED BY letters_by_run WHERE run_id = ?1 "
                       "AND resolution = 'pending') OR EXISTS (SELECT 1 FROM active_runs INDEXED BY "
                       "active_runs_by_source WHERE source = ?1) OR EXISTS (SELECT 1 FROM idempotency INDEXED BY "
                       "idempotency_by_age WHERE created_ms = ?2 AND run_id = ?1)",
    [SQL_OLD_LETTER] = "SELECT id, resolution FROM letters INDEXED BY letters_by_run WHERE run_id = ?1 LIMIT 1",
    [SQL_OLD_LETTER_DROP] = "DELETE FROM letters WHERE id = ?1",
    [SQL_OLD_RUN_DROP] = "DELETE FROM runs WHERE id = ?1",
    [SQL_OLD_FIRES] = "DELETE FROM fires WHERE id IN (SELECT id FROM fires f WHERE id < ?1 AND created_ms < ?2 "
                      "AND outcome <> 'queued' AND NOT EXISTS (SELECT 1 FROM active_runs r WHERE r.id = f.run) "
                      "ORDER BY id LIMIT ?3)",
    [SQL_USED_PAGES] = "SELECT (SELECT page_count FROM pragma_page_count) - (SELECT freelist_count "
                       "FROM pragma_freelist_count), (SELECT page_size FROM pragma_page_size)",
    [SQL_TAKEN_INSERT] = "INSERT INTO taken VALUES (?1, ?2, ?3, 1)",
    [SQL_TAKEN_OPEN] = "SELECT id, base, task_count FROM taken INDEXED BY taken_open WHERE has_attempts = 1 LIMIT 1",
    [SQL_TAKEN_SLICE] = "SELECT min(key), count(*), coalesce(sum(iif(log IS NULL, log_bytes, 0)), 0) FROM "
                        "(SELECT key, log, log_bytes FROM attempts WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC "
                        "LIMIT ?3)",
    [SQL_TAKEN_ATTEMPTS] = "DELETE FROM attempts WHERE key BETWEEN ?1 AND ?2",
    [SQL_TAKEN_WHOLE] = "UPDATE taken SET has_attempts = 0 WHERE id = ?1",
    [SQL_TAKEN_DONE] = "DELETE FROM taken WHERE id = ?1 AND has_attempts = 0",
    [SQL_TAKEN_LIST] = "SELECT id FROM taken WHERE has_attempts = 0 ORDER BY id LIMIT ?1",

    [SQL_IDS_DAG] = "SELECT id FROM dags WHERE id BETWEEN ?1 AND ?2 AND (?3 OR deleted_ms = 0) "
                    "AND (?4 IS NULL OR instr(lower(name), lower(?4)) > 0) ORDER BY id DESC",
    [SQL_IDS_DAG_NAME] = "SELECT id FROM dags INDEXED BY dags_by_name WHERE name = ?5 AND id BETWEEN ?1 AND ?2 "
                         "AND (?3 OR deleted_ms = 0) AND (?4 IS NULL OR instr(lower(name), lower(?4)) > 0) "
                         "ORDER BY id DESC",
    [SQL_IDS_DAG_LIVE] = "SELECT id FROM dags WHERE id BETWEEN ?1 AND ?2 AND deleted_ms = 0 ORDER BY id DESC",
    [SQL_IDS_ACTIVE] = "SELECT id FROM active_runs WHERE id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR dag = ?3) "
                       "AND (?4 IS NULL OR state = ?4) ORDER BY id DESC",
    [SQL_IDS_ENDED] = "SELECT id FROM runs WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC",
    [SQL_IDS_ENDED_STATE + RUN_SUCCEEDED] = IDS_ENDED_STATE,
    [SQL_IDS_ENDED_STATE + RUN_FAILED] = IDS_ENDED_STATE,
    [SQL_IDS_ENDED_STATE + RUN_CANCELED] = IDS_ENDED_STATE,
    [SQL_IDS_ENDED_DAG + RUN_SUCCEEDED] = IDS_ENDED_DAG,
    [SQL_IDS_ENDED_DAG + RUN_FAILED] = IDS_ENDED_DAG,
    [SQL_IDS_ENDED_DAG + RUN_CANCELED] = IDS_ENDED_DAG,
    [SQL_IDS_FIRE] = "SELECT id FROM fires WHERE id BETWEEN ?1 AND ?2 AND (?4 IS NULL OR outcome = ?4) "
                     "ORDER BY id DESC",
    [SQL_IDS_FIRE_QUEUED] = "SELECT id FROM fires INDEXED BY fires_queued WHERE outcome = 'queued' "
                            "AND id BETWEEN ?1 AND ?2 ORDER BY id DESC",
    [SQL_IDS_FIRE_DAG] = "SELECT id FROM fires INDEXED BY fires_by_dag WHERE dag = ?3 AND id BETWEEN ?1 AND ?2 "
                         "AND (?4 IS NULL OR outcome = ?4) ORDER BY id DESC",
    [SQL_IDS_FIRE_RANGE] = "SELECT id FROM fires INDEXED BY fires_by_instant WHERE dag = ?3 "
                           "AND from_ms BETWEEN ?5 AND ?6 AND id BETWEEN ?1 AND ?2 "
                           "AND (?4 IS NULL OR outcome = ?4) ORDER BY id DESC",
    [SQL_IDS_LETTER] = "SELECT id FROM letters WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC",
    [SQL_IDS_LETTER_RUN] = "SELECT id FROM letters INDEXED BY letters_by_run WHERE run_id = ?3 "
                           "AND id BETWEEN ?1 AND ?2 AND (?4 IS NULL OR dag_id = ?4) "
                           "AND (?5 IS NULL OR resolution = ?5) ORDER BY id DESC",
    [SQL_IDS_LETTER_STATE] = "SELECT id FROM letters INDEXED BY letters_by_resolution WHERE resolution = ?5 "
                             "AND id BETWEEN ?1 AND ?2 ORDER BY id DESC",
    [SQL_IDS_LETTER_DAG + RESOLUTION_PENDING] = IDS_LETTER_DAG,
    [SQL_IDS_LETTER_DAG + RESOLUTION_RETRIED] = IDS_LETTER_DAG,
    [SQL_IDS_LETTER_DAG + RESOLUTION_SKIPPED] = IDS_LETTER_DAG,
    [SQL_IDS_LETTER_DAG + RESOLUTION_RESOLVED] = IDS_LETTER_DAG,

    [SQL_DAG] = "SELECT id, name, version, task_count, cron, timezone, paused, created_ms, updated_ms, deleted_ms, "
                "covered_ms FROM dags WHERE id = ?1",
    [SQL_FIRE] = "SELECT f.id, d.id, f.triggered_by, f.from_ms, f.to_ms, f.count, f.outcome, f.reason, f.run, "
                 "f.created_ms, f.parallel FROM fires f JOIN dags d ON d.dag = f.dag WHERE f.id = ?1",
    [SQL_VERSIONS] = "SELECT v.version, v.task_count, v.created_ms, v.source_bytes FROM dags d JOIN versions v "
                     "ON v.dag = d.dag WHERE d.id = ?1 ORDER BY v.version DESC LIMIT ?2 OFFSET ?3",
    [SQL_VERSION] = "SELECT v.version_row, v.source_bytes FROM dags d JOIN versions v ON v.dag = d.dag "
                    "WHERE d.id = ?1 AND v.version = iif(?2, ?2, d.version)",
    [SQL_SOURCE] = "SELECT bytes FROM sources WHERE part BETWEEN ?1 AND ?2 ORDER BY part",
    [SQL_RUN] = "SELECT " LIVE_COLUMNS "FROM active_runs r JOIN dags d ON d.dag = r.dag WHERE r.id = ?1 "
                "UNION ALL SELECT " ENDED_COLUMNS "FROM runs r JOIN dags d ON d.dag = r.dag WHERE r.id = ?1",
    [SQL_RUN_FILTER] = "SELECT triggered_by, NULL FROM active_runs WHERE id = ?1 "
                       "UNION ALL SELECT triggered_by, error FROM runs WHERE id = ?1",
    [SQL_RUN_RANGE] = "SELECT base, task_count FROM active_runs WHERE id = ?1 "
                      "UNION ALL SELECT base, task_count FROM runs WHERE id = ?1",
    [SQL_ATTEMPTS] = "SELECT key, state, fence, worker, claimed_ms, started_ms, ended_ms, retry_ms, task_state, "
                     "error_type, error, exit_code, signal, http_status, cpu_us, max_rss_bytes, log_bytes, log "
                     "FROM attempts WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3",
    [SQL_LETTER] = "SELECT id, run_id, dag_id, task, task_id, task_name, dag_name, error_type, error, attempts, "
                   "created_ms, resolution, resolved_run, resolved_ms, resolved_by, notes, config "
                   "FROM letters WHERE id = ?1",
    [SQL_LETTER_OLDEST] = "SELECT created_ms FROM letters INDEXED BY letters_by_resolution "
                          "WHERE resolution = 'pending' ORDER BY id LIMIT 1",
    [SQL_ACTIVE] = "SELECT " LIVE_COLUMNS "FROM active_runs r JOIN dags d ON d.dag = r.dag WHERE r.id > ?1 "
                   "ORDER BY r.id LIMIT 1",
};

/* ---- errors ---- */

/* A write that found no room. Nothing is lost by it: SQLite takes the transaction back. Quotas and the process's own
 * file size limit are full disks to us; SQLite only knows ENOSPC. */
static bool is_full(sqlite3 *db, int result)
{
    int system = sqlite3_system_errno(db);
    return (result & 0xff) == SQLITE_FULL || result == SQLITE_IOERR_SHMSIZE ||
           (result == SQLITE_IOERR_WRITE && (system == ENOSPC || system == EDQUOT || system == EFBIG));
}

static void fail(struct store_sqlite *store, const char *why)
{
    (void)pthread_mutex_lock(&store->lock);
    if (!store->failed)
        (void)snprintf(store->why, sizeof store->why, "%s", why);
    store->failed = true;
    (void)pthread_mutex_unlock(&store->lock);
}

int store_sqlite_fault(struct store_sqlite *store, sqlite3 *db, int result, struct error *err)
{
    char text[300];
    int system = sqlite3_system_errno(db);
    bool io = (result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN;
    (void)snprintf(text, sizeof text, "%s (%d%s%s)", sqlite3_errmsg(db), result, io && system ? ", " : "",
                   io && system ? strerror(system) : "");
    if (is_full(db, result))
        return error_set(err, ERROR_STORE_FULL, "%s: no room", store->path);
    if ((result & 0xff) == SQLITE_CONSTRAINT)
        return error_set(err, ERROR_INTERNAL, "%s: a row contradicts another: %s", store->path, text);
    if ((result & 0xff) == SQLITE_BUSY || (result & 0xff) == SQLITE_LOCKED)
        return error_set(err, ERROR_STORE_FAILED, "%s is held by another process: %s", store->path, text);
    fail(store, text);
    return error_set(err, ERROR_STORE_FAILED, "%s: %s", store->path, text);
}

void store_sqlite_set_broken(struct store_sqlite *store, const char *why)
{
    (void)pthread_mutex_lock(&store->lock);
    if (!store->failed && !store->broken)
        (void)snprintf(store->why, sizeof store->why, "%s", why);
    store->broken = true;
    (void)pthread_mutex_unlock(&store->lock);
}

int store_sqlite_alive(struct store_sqlite *store, bool writes, struct error *err)
{
    if (!store->failed && !(writes && store->broken))
        return 0;
    (void)pthread_mutex_lock(&store->lock);
    int code = error_set(err, ERROR_STORE_FAILED, "the store failed: %s", store->why);
    (void)pthread_mutex_unlock(&store->lock);
    return code;
}

/* ---- statements ---- */

sqlite3_stmt *store_sqlite_prepare(struct sqlite_connection *connection, enum sqlite_statement statement,
                                   struct error *err)
{
    if (!connection->statements[statement]) {
        int result = sqlite3_prepare_v3(connection->db, sql[statement], -1, SQLITE_PREPARE_PERSISTENT,
                                        &connection->statements[statement], NULL);
        if (result != SQLITE_OK) {
            (void)store_sqlite_fault(connection->store, connection->db, result, err);
            return NULL;
        }
    }
    if (statement >= SQL_DAG_INSERT && statement <= SQL_FIRE_COVER)
        connection->store->dags_written = true;
    return connection->statements[statement];
}

int store_sqlite_step(struct sqlite_connection *connection, sqlite3_stmt *statement, bool *ret_row, struct error *err)
{
    int result = sqlite3_step(statement);
    *ret_row = result == SQLITE_ROW;
    if (*ret_row)
        return 0;
    int code = 0;
    if (result != SQLITE_DONE)
        code = store_sqlite_fault(connection->store, connection->db, sqlite3_extended_errcode(connection->db), err);
    (void)sqlite3_reset(statement);
    return code;
}

int store_sqlite_run(struct sqlite_connection *connection, sqlite3_stmt *statement, struct error *err)
{
    bool row = true;
    int code = 0;
    while (row && !code)
        code = store_sqlite_step(connection, statement, &row, err);
    return code;
}

int store_sqlite_run_plain(struct sqlite_connection *connection, enum sqlite_statement statement, struct error *err)
{
    sqlite3_stmt *prepared = store_sqlite_prepare(connection, statement, err);
    return prepared ? store_sqlite_run(connection, prepared, err) : ERROR_STORE_FAILED;
}

/* ---- values ---- */

void store_sqlite_bind_uuid(sqlite3_stmt *statement, int at, const struct uuid *id)
{
    if (uuid_is_zero(*id))
        (void)sqlite3_bind_null(statement, at);
    else
        (void)sqlite3_bind_blob(statement, at, id->bytes, sizeof id->bytes, SQLITE_STATIC);
}

void store_sqlite_bind_id(sqlite3_stmt *statement, int at, const struct uuid *id)
{
    (void)sqlite3_bind_blob(statement, at, id->bytes, sizeof id->bytes, SQLITE_STATIC);
}

void store_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    (void)sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

void store_sqlite_bind_blob(sqlite3_stmt *statement, int at, const void *bytes, size_t len)
{
    (void)sqlite3_bind_blob64(statement, at, bytes, len, SQLITE_STATIC);
}

void store_sqlite_bind_int(sqlite3_stmt *statement, int at, int64_t value)
{
    (void)sqlite3_bind_int64(statement, at, value);
}

struct uuid store_sqlite_uuid(sqlite3_stmt *statement, int at)
{
    struct uuid id = {{0}};
    const void *bytes = sqlite3_column_blob(statement, at);
    if (bytes && sqlite3_column_bytes(statement, at) == (int)sizeof id.bytes)
        memcpy(id.bytes, bytes, sizeof id.bytes);
    return id;
}

const char *store_sqlite_text(sqlite3_stmt *statement, int at, struct arena *arena)
{
    const char *text = (const char *)sqlite3_column_text(statement, at);
    return text ? arena_strndup(arena, text, (size_t)sqlite3_column_bytes(statement, at)) : NULL;
}

uint32_t store_sqlite_u32(sqlite3_stmt *statement, int at)
{
    return (uint32_t)sqlite3_column_int64(statement, at);
}
