/* What fsck looks at. Plain SQL that counts rows which break a rule, and SQLite's own check of every page. One snapshot
 * for all of it; the writer goes on meanwhile, but its -wal file grows until the check has ended. */
#include <string.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

struct rule {
    const char *finding;    /* the SQL's number goes before it */
    const char *sql;        /* one number: how many rows break it */
};

static const struct rule quick_rules[] = {
    {"rows in meta instead of one", "SELECT count(*) FROM meta HAVING count(*) <> 1"},
    {"DAGs without their latest version",
     "SELECT count(*) FROM dags d WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.dag = d.dag "
     "AND v.version = d.version)"},
    {"active runs of a DAG version that is not there",
     "SELECT count(*) FROM active_runs r WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.dag = r.dag "
     "AND v.version = r.version)"},
    {"active runs of a deleted DAG",
     "SELECT count(*) FROM active_runs r JOIN dags d ON d.dag = r.dag WHERE d.deleted_ms <> 0"},
    {"active runs that are no longer pending or running",
     "SELECT count(*) FROM active_runs WHERE state NOT IN ('pending', 'running')"},
    {"active runs that have ended too", "SELECT count(*) FROM active_runs a CROSS JOIN runs r ON r.id = a.id"},
    {"active runs with attempt keys that are not handed out yet",
     "SELECT count(*) FROM active_runs, meta WHERE base + max(task_count, 1) * 1024 > next_base"},
    {"DAGs with a record of an instant that is not covered",
     "SELECT count(*) FROM dags d WHERE covered_ms < (SELECT to_ms FROM fires f WHERE f.dag = d.dag "
     "AND f.triggered_by = 'schedule' ORDER BY from_ms DESC LIMIT 1)"},
    {"active runs more than meta says",
     "SELECT count(*) - (SELECT active_runs FROM meta) FROM active_runs "
     "HAVING count(*) <> (SELECT active_runs FROM meta)"},
    {"live DAGs more than meta says",
     "SELECT count(*) - (SELECT dags FROM meta) FROM dags WHERE deleted_ms = 0 "
     "HAVING count(*) <> (SELECT dags FROM meta)"},
};

static const struct rule full_rules[] = {
    {"ended runs more than meta says",
     "SELECT count(*) - (SELECT ended_runs FROM meta) FROM runs HAVING count(*) <> (SELECT ended_runs FROM meta)"},
    {"bytes of logs more than meta says",
     "SELECT coalesce(sum(log_bytes), 0) - (SELECT log_bytes FROM meta) FROM attempts WHERE log IS NULL "
     "HAVING coalesce(sum(log_bytes), 0) <> (SELECT log_bytes FROM meta)"},
    {"runs that retention has taken and that are there",
     "SELECT count(*) FROM taken t WHERE EXISTS (SELECT 1 FROM runs r WHERE r.id = t.id) "
     "OR EXISTS (SELECT 1 FROM active_runs r WHERE r.id = t.id)"},
    {"DAGs whose versions have gaps",
     "SELECT count(*) FROM dags d WHERE (SELECT count(*) FROM versions v WHERE v.dag = d.dag "
     "AND v.version BETWEEN 1 AND d.version) <> d.version"},
    {"versions whose source is not whole",
     "SELECT count(*) FROM versions v WHERE source_bytes <> (SELECT coalesce(sum(length(bytes)), 0) FROM sources "
     "WHERE part BETWEEN v.version_row * 65536 AND v.version_row * 65536 + 65535)"},
    {"ended runs of a DAG version that is not there",
     "SELECT count(*) FROM runs r WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.dag = r.dag "
     "AND v.version = r.version)"},
    {"ended runs in a state that is no end",
     "SELECT count(*) FROM runs WHERE state NOT IN ('succeeded', 'failed', 'canceled')"},
    {"ended runs whose tasks do not add up",
     "SELECT count(*) FROM runs WHERE failed_count + succeeded_count + skipped_count + canceled_count <> task_count"},
    {"ended runs with an attempt that runs",
     "SELECT count(*) FROM runs r WHERE EXISTS (SELECT 1 FROM attempts WHERE key BETWEEN r.base "
     "AND r.base + max(r.task_count, 1) * 1024 - 1 AND state = 'running')"},
    {"runs that share attempt keys",
     "SELECT count(*) FROM (SELECT base, lag(base + max(task_count, 1) * 1024) OVER (ORDER BY base) AS free "
     "FROM (SELECT base, task_count FROM active_runs UNION ALL SELECT base, task_count FROM runs)) "
     "WHERE base < free"},
    {"attempts that belong to no run",
     "SELECT (SELECT count(*) FROM attempts) - (SELECT coalesce(sum((SELECT count(*) FROM attempts "
     "WHERE key BETWEEN base AND base + max(task_count, 1) * 1024 - 1)), 0) FROM (SELECT base, task_count "
     "FROM active_runs UNION ALL SELECT base, task_count FROM runs UNION ALL SELECT base, task_count FROM taken "
     "WHERE has_attempts = 1))"},
    {"attempts whose number has no predecessor",
     "SELECT count(*) FROM attempts a WHERE key % 1024 = 0 OR (key % 1024 > 1 AND NOT EXISTS "
     "(SELECT 1 FROM attempts b WHERE b.key = a.key - 1 AND b.state <> 'running'))"},
    {"attempts in a state that there is not",
     "SELECT count(*) FROM attempts WHERE state NOT IN ('running', 'succeeded', 'failed', 'timed_out', 'canceled', "
     "'lost') OR (state = 'running') <> (task_state IS NULL)"},
    {"dead letters of a run that is not there",
     "SELECT count(*) FROM letters l WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = l.run_id) "
     "AND NOT EXISTS (SELECT 1 FROM active_runs r WHERE r.id = l.run_id)"},
    {"dead letters that are neither pending nor resolved",
     "SELECT count(*) FROM letters WHERE resolution NOT IN ('pending', 'retried', 'skipped', 'resolved') "
     "OR (resolution = 'pending') <> (resolved_ms = 0)"},
    {"kinds of dead letters whose number is not what meta says",
     "SELECT (letters_pending <> (SELECT count(*) FROM letters WHERE resolution = 'pending')) + "
     "(letters_retried <> (SELECT count(*) FROM letters WHERE resolution = 'retried')) + "
     "(letters_skipped <> (SELECT count(*) FROM letters WHERE resolution = 'skipped')) + "
     "(letters_resolved <> (SELECT count(*) FROM letters WHERE resolution = 'resolved')) FROM meta"},
    {"instants of a schedule that are covered twice",
     "SELECT count(*) FROM (SELECT from_ms, lag(to_ms) OVER (PARTITION BY dag ORDER BY from_ms) AS last "
     "FROM fires WHERE triggered_by = 'schedule') WHERE from_ms <= last"},
    {"records of instants that say what no pawl writes",
     "SELECT count(*) FROM fires WHERE outcome NOT IN ('fired', 'skipped', 'queued') OR to_ms < from_ms "
     "OR count < 1 OR (outcome = 'skipped') <> (reason IS NOT NULL) OR (outcome = 'fired' AND run IS NULL)"},
    {"idempotency keys without a run",
     "SELECT count(*) FROM idempotency k WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = k.run_id) "
     "AND NOT EXISTS (SELECT 1 FROM active_runs r WHERE r.id = k.run_id)"},
};

struct check {
    struct sqlite_connection *connection;
    struct buf *findings;
    uint32_t count;
};

static bool is_damage(int result)
{
    return (result & 0xff) == SQLITE_CORRUPT || (result & 0xff) == SQLITE_NOTADB || (result & 0xff) == SQLITE_ERROR;
}

/* Damage is what a check is there to find: a line, not the store's end. */
static int report_damage(struct check *check, const char *where, int result, struct error *err)
{
    sqlite3 *db = check->connection->db;
    if (!is_damage(result))
        return store_sqlite_fault(check->connection->store, db, result, err);
    buf_printf(check->findings, "%s: %s\n", where, sqlite3_errmsg(db));
    check->count++;
    return 0;
}

static int check_rule(struct check *check, const struct rule *rule, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = check->connection->db;
    int code = 0, result = sqlite3_prepare_v2(db, rule->sql, -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    if (result == SQLITE_ROW && sqlite3_column_int64(statement, 0) != 0) {
        buf_printf(check->findings, "%lld %s\n", (long long)sqlite3_column_int64(statement, 0), rule->finding);
        check->count++;
    }
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        code = report_damage(check, rule->finding, result, err);
    (void)sqlite3_finalize(statement);
    return code;
}

/* SQLite's own: pages, orders, indexes against their tables. */
static int check_pages(struct check *check, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = check->connection->db;
    int code = 0, result = sqlite3_prepare_v2(db, "PRAGMA integrity_check(100)", -1, &statement, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_step(statement);
    for (; result == SQLITE_ROW; result = sqlite3_step(statement)) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (text && strcmp(text, "ok") != 0) {
            buf_printf(check->findings, "%s\n", text);
            check->count++;
        }
    }
    if (result != SQLITE_DONE)
        code = report_damage(check, "pages", result, err);
    (void)sqlite3_finalize(statement);
    return code;
}

/* Rows that recovery would have to read: states, triggers, plans that fit their task count. */
static int check_active(struct check *check, struct error *err)
{
    struct uuid after = {{0}};
    bool more = true;
    int code = 0;
    while (more && !code) {
        struct arena arena = {0};
        struct store_run run = {0};
        int64_t base;
        sqlite3_stmt *next = store_sqlite_prepare(check->connection, SQL_ACTIVE, err);
        if (!next)
            return ERROR_STORE_FAILED;
        const struct uuid last = after;
        store_sqlite_bind_id(next, 1, &last);
        store_sqlite_bind_int(next, 2, true);
        code = store_sqlite_step(check->connection, next, &more, err);
        bool good = !more || store_sqlite_read_run(next, &arena, &run, &base);
        if (more && good && run.run.outcomes_len) {
            uint8_t *plan = arena_alloc(&arena, run.run.task_count + 1u);
            good = record_runs_decode(run.run.outcomes, run.run.outcomes_len, plan, run.run.task_count);
        }
        if (!good) {
            char text[UUID_TEXT_LEN + 1];
            uuid_format(run.run.id, text);
            buf_printf(check->findings, "run %s: its row cannot be read\n", text);
            check->count++;
        }
        more = more && uuid_compare(run.run.id, after) > 0;
        after = run.run.id;
        (void)sqlite3_reset(next);
        arena_fini(&arena);
    }
    return code;
}

static int check_all(struct check *check, enum store_check_depth depth, struct error *err)
{
    int code = 0;
    if (depth == STORE_CHECK_FULL)
        code = check_pages(check, err);
    for (size_t i = 0; i < sizeof quick_rules / sizeof quick_rules[0] && !code; i++)
        code = check_rule(check, &quick_rules[i], err);
    for (size_t i = 0; i < sizeof full_rules / sizeof full_rules[0] && !code && depth == STORE_CHECK_FULL; i++)
        code = check_rule(check, &full_rules[i], err);
    return code ? code : check_active(check, err);
}

int store_sqlite_check(struct store *head, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                       struct error *err)
{
    struct check check = {.findings = findings};
    int code = store_sqlite_enter(head, &check.connection, err);
    if (code)
        return code;
    code = store_sqlite_leave(check.connection, check_all(&check, depth, err));
    if (!code)
        *ret_count = check.count;
    return code;
}
