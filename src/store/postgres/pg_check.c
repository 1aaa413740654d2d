/* What fsck looks at: plain SQL that counts rows which break a rule, in one snapshot. Pages are PostgreSQL's business
 * (pg_amcheck). */
#include "store/postgres/pg_model.h"

struct rule {
    const char *finding;    /* the SQL's number goes before it */
    const char *sql;        /* one number: how many rows break it */
};

static const struct rule quick_rules[] = {
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
    {"active runs that have ended too", "SELECT count(*) FROM active_runs a JOIN runs r ON r.id = a.id"},
    {"active runs of a node that there never was",
     "SELECT count(*) FROM active_runs r WHERE NOT EXISTS (SELECT 1 FROM nodes n WHERE n.epoch = r.owner)"},
    {"DAGs with a record of an instant that is not covered",
     "SELECT count(*) FROM dags d WHERE covered_ms < (SELECT to_ms FROM fires f WHERE f.dag = d.dag "
     "AND f.triggered_by = 'schedule' ORDER BY from_ms DESC LIMIT 1)"},
};

static const struct rule full_rules[] = {
    {"DAGs whose versions have gaps",
     "SELECT count(*) FROM dags d WHERE (SELECT count(*) FROM versions v WHERE v.dag = d.dag "
     "AND v.version BETWEEN 1 AND d.version) <> d.version"},
    {"ended runs of a DAG version that is not there",
     "SELECT count(*) FROM runs r WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.dag = r.dag "
     "AND v.version = r.version)"},
    {"ended runs in a state that is no end",
     "SELECT count(*) FROM runs WHERE state NOT IN ('succeeded', 'failed', 'canceled')"},
    {"ended runs whose tasks do not add up",
     "SELECT count(*) FROM runs WHERE failed_count + succeeded_count + skipped_count + canceled_count <> task_count"},
    {"ended runs with an attempt that runs",
     "SELECT count(*) FROM runs r WHERE EXISTS (SELECT 1 FROM attempts a WHERE a.run = r.run "
     "AND a.state = 'running')"},
    {"runs that share their attempts",
     "SELECT count(*) - count(DISTINCT run) FROM (SELECT run FROM active_runs UNION ALL SELECT run FROM runs) u"},
    {"attempts that belong to no run",
     "SELECT count(*) FROM attempts a WHERE NOT EXISTS (SELECT 1 FROM (SELECT run, task_count FROM active_runs "
     "UNION ALL SELECT run, task_count FROM runs UNION ALL SELECT run, 2147483647 FROM taken WHERE has_attempts) r "
     "WHERE r.run = a.run AND a.task < greatest(r.task_count, 1))"},
    {"attempts whose number has no predecessor",
     "SELECT count(*) FROM attempts a WHERE number < 1 OR (number > 1 AND NOT EXISTS (SELECT 1 FROM attempts b "
     "WHERE b.run = a.run AND b.task = a.task AND b.number = a.number - 1 AND b.state <> 'running'))"},
    {"attempts in a state that there is not",
     "SELECT count(*) FROM attempts WHERE state NOT IN ('running', 'succeeded', 'failed', 'timed_out', 'canceled', "
     "'lost') OR (state = 'running') <> (task_state IS NULL)"},
    {"dead letters of a run that is not there",
     "SELECT count(*) FROM letters l WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = l.run_id) "
     "AND NOT EXISTS (SELECT 1 FROM active_runs r WHERE r.id = l.run_id)"},
    {"dead letters that are neither pending nor resolved",
     "SELECT count(*) FROM letters WHERE resolution NOT IN ('pending', 'retried', 'skipped', 'resolved') "
     "OR (resolution = 'pending') <> (resolved_ms = 0)"},
    {"instants of a schedule that are covered twice",
     "SELECT count(*) FROM (SELECT from_ms, lag(to_ms) OVER (PARTITION BY dag ORDER BY from_ms) AS last "
     "FROM fires WHERE triggered_by = 'schedule') f WHERE from_ms <= last"},
    {"records of instants that say what no pawl writes",
     "SELECT count(*) FROM fires WHERE outcome NOT IN ('fired', 'skipped', 'queued') OR to_ms < from_ms "
     "OR count < 1 OR (outcome = 'skipped') <> (reason IS NOT NULL) OR (outcome = 'fired' AND run IS NULL)"},
    {"idempotency keys without a run",
     "SELECT count(*) FROM idempotency k WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = k.run_id) "
     "AND NOT EXISTS (SELECT 1 FROM active_runs r WHERE r.id = k.run_id)"},
};

struct check {
    struct buf *findings;
    uint32_t count;
    enum store_check_depth depth;
};

#define BEGIN "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout TO "
#define QUICK_TIMEOUT "'2s'" /* whoever starts holds a lease, which others wait for */

static void take_number(struct pg_connection *connection, struct check *check, const struct rule *rule,
                        const PGresult *result, int at)
{
    int64_t number = store_pg_int(connection->store, result, 0, at);
    if (number == 0)
        return;
    buf_printf(check->findings, "%lld %s\n", (long long)number, rule->finding);
    check->count++;
}

/* All quick rules with one question. */
static int check_quick(struct pg_connection *connection, struct check *check, const char *begin, struct error *err)
{
    enum { RULES = sizeof quick_rules / sizeof quick_rules[0] };
    struct buf sql = BUF_INIT;
    PGresult *result;
    buf_printf(&sql, "%s; SELECT ", begin);
    for (int i = 0; i < RULES; i++)
        buf_printf(&sql, "%s(%s)", i ? ", " : "", quick_rules[i].sql);
    int code = store_pg_query(connection, buf_text(&sql), NULL, &result, err);
    for (int i = 0; i < RULES && !code; i++)
        take_number(connection, check, &quick_rules[i], result, i);
    store_pg_clear(connection->store, result);
    buf_fini(&sql);
    return code;
}

static int check_rule(struct pg_connection *connection, struct check *check, const struct rule *rule,
                      struct error *err)
{
    PGresult *result;
    int code = store_pg_query(connection, rule->sql, NULL, &result, err);
    if (!code)
        take_number(connection, check, rule, result, 0);
    store_pg_clear(connection->store, result);
    return code;
}

static int check_all(struct pg_connection *connection, void *context, struct error *err)
{
    struct check *check = context;
    bool full = check->depth == STORE_CHECK_FULL;
    check->count = 0;
    connection->answer_ms = full ? PG_FOREVER_MS : 0;
    int code = check_quick(connection, check, full ? BEGIN "0" : BEGIN QUICK_TIMEOUT, err);
    for (size_t i = 0; i < sizeof full_rules / sizeof full_rules[0] && !code && full; i++)
        code = check_rule(connection, check, &full_rules[i], err);
    connection->answer_ms = 0;
    if (connection->pg && store_pg_query(connection, "ROLLBACK", NULL, NULL, NULL) != 0)
        store_pg_disconnect(connection);
    return code;
}

int store_pg_check(struct store *head, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                   struct error *err)
{
    struct check check = {.findings = findings, .depth = depth};
    int code = store_pg_read(head, check_all, &check, err);
    if (!code)
        *ret_count = check.count;
    return code;
}
