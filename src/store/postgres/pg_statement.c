/* The writer's SQL. No statement is ever built from anybody's text. */
#include "store/postgres/pg_model.h"

/* Retention is the leader's; of anybody's, while nobody leads. A life that was declared dead takes nothing. */
#define MAY_RETAIN \
    "SELECT 1 FROM nodes me WHERE me.epoch = $1 AND NOT me.dead AND EXISTS (SELECT 1 FROM leases l WHERE " \
    "l.name = 'leader' AND (l.epoch IS NULL OR l.epoch = $1 OR NOT EXISTS (SELECT 1 FROM nodes n " \
    "WHERE n.epoch = l.epoch AND NOT n.dead))) FOR SHARE OF me"

const char *const store_pg_sql[PG_STATEMENT_COUNT] = {
    [PG_BEGIN] = "BEGIN",
    [PG_COMMIT] = "COMMIT",
    [PG_ROLLBACK] = "ROLLBACK",

    [PG_COMMIT_OPEN] = "WITH mine AS (SELECT epoch FROM nodes WHERE epoch = $1 AND NOT dead FOR SHARE) "
                       "INSERT INTO commits (epoch, number) SELECT epoch, $2::bigint FROM mine",
    [PG_NODE_LOCK] = "SELECT dead FROM nodes WHERE epoch = $1 FOR UPDATE",
    [PG_COMMIT_FIND] = "SELECT 1 FROM commits WHERE epoch = $1 AND number = $2",
    [PG_COMMITS_DROP] = "DELETE FROM commits WHERE epoch = $1 AND number > $2 AND number <= $3",

    [PG_DAG_SHARE] = "SELECT dag, version, deleted_ms, paused, covered_ms FROM dags WHERE id = $1 FOR KEY SHARE",
    [PG_DAG_LOCK] = "SELECT dag, version, deleted_ms, paused, covered_ms FROM dags WHERE id = $1 FOR UPDATE",
    [PG_DAG_LIVE_NAME] = "SELECT 1 FROM dags WHERE name = $1 AND deleted_ms = 0",
    [PG_DAG_INSERT] = "INSERT INTO dags (id, name, version, task_count, cron, timezone, paused, created_ms, "
                      "updated_ms, deleted_ms, covered_ms, keep_age_ms, keep_runs) "
                      "VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $7, 0, $7, $8, $9) RETURNING dag",
    [PG_DAG_UPDATE] = "UPDATE dags SET version = $2, task_count = $3, cron = $4, timezone = $5, updated_ms = $6, "
                      "covered_ms = CASE WHEN cron IS DISTINCT FROM $4 OR timezone IS DISTINCT FROM $5 "
                      "THEN greatest(covered_ms, $6) ELSE covered_ms END, keep_age_ms = $7, keep_runs = $8 "
                      "WHERE dag = $1",
    [PG_DAG_DELETE] = "UPDATE dags SET deleted_ms = $2 WHERE dag = $1",
    [PG_DAG_PAUSE] = "UPDATE dags SET paused = $2, resumed_at = CASE WHEN paused AND NOT $2 THEN clock_timestamp() "
                     "ELSE resumed_at END WHERE dag = $1",
    [PG_DAG_ACTIVE] = "SELECT 1 FROM active_runs WHERE dag = $1 LIMIT 1",
    [PG_VERSION_INSERT] = "INSERT INTO versions (dag, version, task_count, created_ms, source) "
                          "VALUES ($1, $2, $3, $4, $5)",

    [PG_FIRE_INSERT] = "INSERT INTO fires (id, dag, triggered_by, from_ms, to_ms, count, outcome, reason, run, "
                       "created_ms, parallel) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    [PG_FIRE_COVER] = "UPDATE dags SET covered_ms = $2 WHERE dag = $1",
    [PG_FIRE_ASKED] = "UPDATE dags SET backfilled_by = txid_current() WHERE dag = $1 "
                      "AND backfilled_by <> txid_current()",
    [PG_FIRE_WAITING] = "SELECT count(*) FROM fires WHERE dag = $1 AND outcome = 'queued' "
                        "AND triggered_by = 'backfill'",
    [PG_FIRE_BEFORE] = "SELECT 1 FROM fires WHERE dag = $1 AND from_ms = $2 AND (outcome = 'queued' "
                       "OR (outcome = 'fired' AND NOT $3)) LIMIT 1",
    [PG_FIRE_QUEUED] = "SELECT 1 FROM fires WHERE id = $1 AND outcome = 'queued' FOR UPDATE",
    [PG_FIRE_RELEASE] = "UPDATE fires SET outcome = 'fired', run = $2 WHERE id = $1 AND outcome = 'queued'",
    [PG_FIRES_DROP] = "UPDATE fires SET outcome = 'skipped', reason = 'dagDeleted' WHERE dag = $1 "
                      "AND outcome = 'queued'",

    [PG_KEY_FIND] = "SELECT digest, run_id, created_ms FROM idempotency WHERE dag_id = $1 AND principal = $2 "
                    "AND key = $3",
    /* Changes nothing when another node has just put the key. */
    [PG_KEY_PUT] = "INSERT INTO idempotency AS k (dag_id, principal, key, digest, run_id, created_ms) "
                   "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (dag_id, principal, key) DO UPDATE SET "
                   "digest = excluded.digest, run_id = excluded.run_id, created_ms = excluded.created_ms "
                   "WHERE k.created_ms < excluded.created_ms - $7::bigint",
    [PG_KEYS_EXPIRE] = "DELETE FROM idempotency WHERE (dag_id, principal, key) IN (SELECT dag_id, principal, key "
                       "FROM idempotency WHERE created_ms < $1 LIMIT 500 FOR UPDATE SKIP LOCKED)",

    [PG_RUN_SERIALS] = "SELECT nextval('run_serials')",
    [PG_RUN_ACTIVE] = "SELECT r.run, r.task_count, (SELECT count(*) FROM attempts a WHERE a.run = r.run "
                      "AND a.state = 'running') FROM active_runs r WHERE r.id = $1",
    [PG_RUN_ENDED] = "SELECT 1 FROM runs WHERE id = $1",
    [PG_RUNS_INSERT] =
        "INSERT INTO active_runs (id, run, owner, dag, version, task_count, state, triggered_by, created_ms, "
        "started_ms, cancel_ms, cancel_asked_ms, source, resolves_source, request_id, outcomes, scheduled_ms, changes, "
        "trace) "
        "SELECT n.id, n.run, $1, n.dag, n.version, n.task_count, 'pending', n.triggered_by, n.created_ms, 0, 0, 0, "
        "n.source, n.resolves_source <> 0, n.request_id, n.outcomes, n.scheduled_ms, n.changes, n.trace FROM "
        "unnest($2::uuid[], "
        "$3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::text[], $8::bigint[], $9::uuid[], $10::int[], "
        "$11::text[], $12::bytea[], $13::bigint[], $14::text[], $15::text[]) AS n (id, run, dag, version, task_count, "
        "triggered_by, created_ms, source, resolves_source, request_id, outcomes, scheduled_ms, changes, trace) "
        "WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = n.id)",
    [PG_RUNS_START] = "UPDATE active_runs r SET state = 'running', started_ms = n.ms FROM unnest($1::uuid[], "
                      "$2::bigint[]) AS n (id, ms) WHERE r.id = n.id AND r.state = 'pending'",
    [PG_RUNS_CANCEL] = "UPDATE active_runs r SET cancel_ms = n.ms FROM (SELECT id, max(ms) FROM unnest($1::uuid[], "
                       "$2::bigint[]) AS u (id, ms) GROUP BY id) AS n (id, ms) WHERE r.id = n.id",
    [PG_RUNS_END] =
        "WITH gone AS (DELETE FROM active_runs r USING unnest($1::uuid[], $2::text[], $3::bigint[], $4::int[], "
        "$5::int[], $6::int[], $7::int[], $8::text[], $9::bytea[]) AS n (id, state, completed_ms, failed, succeeded, "
        "skipped, canceled, error, outcomes) WHERE r.id = n.id RETURNING r.id, r.run, r.dag, r.version, "
        "r.task_count, n.state, r.triggered_by, r.created_ms, r.started_ms, r.cancel_ms, n.completed_ms, n.failed, "
        "n.succeeded, n.skipped, n.canceled, r.source, r.resolves_source, r.request_id, n.error, n.outcomes, "
        "r.scheduled_ms, r.changes, r.trace) INSERT INTO runs (id, run, dag, version, task_count, state, triggered_by, "
        "created_ms, started_ms, cancel_ms, completed_ms, failed_count, succeeded_count, skipped_count, "
        "canceled_count, source, "
        "resolves_source, request_id, error, outcomes, scheduled_ms, changes, trace) SELECT * FROM gone",

    [PG_ATTEMPTS_CLAIM] =
        "INSERT INTO attempts (run, task, number, state, fence, worker, claimed_ms) SELECT n.run, n.task, n.number, "
        "'running', n.fence, n.worker, n.claimed_ms FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[], "
        "$5::uuid[], $6::bigint[]) AS n (run, task, number, fence, worker, claimed_ms)",
    [PG_ATTEMPTS_END] =
        "UPDATE attempts a SET state = n.state, worker = n.worker, claimed_ms = n.claimed_ms, "
        "started_ms = n.started_ms, ended_ms = n.ended_ms, retry_ms = n.retry_ms, task_state = n.task_state, "
        "error_type = n.error_type, error = n.error, exit_code = n.exit_code, signal = n.signal, "
        "http_status = n.http_status, cpu_us = n.cpu_us, max_rss_bytes = n.max_rss_bytes, log_bytes = n.log_bytes, "
        "log = coalesce(n.log, a.log) FROM unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[], $5::text[], "
        "$6::uuid[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], "
        "$13::text[], $14::int[], $15::int[], $16::int[], $17::bigint[], $18::bigint[], $19::bigint[], "
        "$20::bytea[]) AS n (run, task, number, fence, state, worker, claimed_ms, started_ms, ended_ms, "
        "retry_ms, task_state, error_type, error, exit_code, signal, http_status, cpu_us, max_rss_bytes, "
        "log_bytes, log) WHERE a.run = n.run AND a.task = n.task AND a.number = n.number "
        "AND a.fence = n.fence AND a.state = 'running'",
    [PG_ATTEMPTS_WITHDRAW] =
        "DELETE FROM attempts a USING unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[]) AS n (run, task, "
        "number, fence) WHERE a.run = n.run AND a.task = n.task AND a.number = n.number AND a.fence = n.fence "
        "AND a.state = 'running'",
    /* Repeated attempts whose predecessor is not there or has not ended. */
    [PG_ATTEMPTS_BEFORE] =
        "SELECT n.run, n.task, n.number FROM unnest($1::bigint[], $2::int[], $3::int[]) AS n (run, task, number) "
        "WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.run = n.run AND a.task = n.task "
        "AND a.number = n.number - 1 AND a.state <> 'running') LIMIT 1",

    [PG_LETTER_FIND] = "SELECT resolution, resolved_run FROM letters WHERE id = $1 FOR UPDATE",
    [PG_LETTERS_INSERT] =
        "INSERT INTO letters (id, run_id, dag_id, task, task_id, task_name, dag_name, error_type, error, attempts, "
        "created_ms, config, resolution, resolved_ms) SELECT n.*, 'pending', 0 FROM unnest($1::uuid[], $2::uuid[], "
        "$3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::int[], "
        "$11::bigint[], $12::text[]) AS n",
    [PG_LETTER_RESOLVE] = "UPDATE letters SET resolution = $2, resolved_run = $3, resolved_ms = $4, resolved_by = $5, "
                          "notes = $6 WHERE id = $1 AND resolution = 'pending'",
    [PG_LETTERS_RESOLVE] = "UPDATE letters SET resolution = 'retried', resolved_run = $2, resolved_ms = $3 "
                           "WHERE run_id = $1 AND resolution = 'pending'",

    /* Attempts of runs with few tasks go with them. */
    [PG_OLD_RUNS] =
        "WITH mine AS MATERIALIZED (" MAY_RETAIN "), "
        "seen AS MATERIALIZED (SELECT id, dag, created_ms, completed_ms FROM runs WHERE id > $2 "
        "AND EXISTS (SELECT 1 FROM mine) ORDER BY id LIMIT $3), "
        "free AS MATERIALIZED (SELECT s.id, s.dag, s.completed_ms, row_number() OVER (ORDER BY s.id) AS n FROM seen s "
        "WHERE NOT EXISTS (SELECT 1 FROM letters l WHERE l.run_id = s.id AND l.resolution = 'pending') "
        "AND NOT EXISTS (SELECT 1 FROM active_runs a WHERE a.source = s.id) "
        "AND NOT EXISTS (SELECT 1 FROM idempotency k WHERE k.created_ms = s.created_ms AND k.run_id = s.id)), "
        "gone AS (DELETE FROM runs r USING free f WHERE r.id = f.id AND (f.n <= $5::bigint OR (f.completed_ms < $4 "
        "AND NOT EXISTS (SELECT 1 FROM dags d WHERE d.dag = f.dag AND d.keep_age_ms <> 0))) "
        "RETURNING r.id, r.run, r.task_count), "
        "letters_gone AS (DELETE FROM letters l USING gone g WHERE l.run_id = g.id RETURNING 1), "
        "attempts_gone AS (DELETE FROM attempts a USING gone g WHERE a.run = g.run AND g.task_count <= 4 "
        "RETURNING a.log_bytes), "
        "noted AS (INSERT INTO taken (id, run, has_attempts, taken_ms) SELECT id, run, task_count > 4, $6 FROM gone "
        "ORDER BY id RETURNING 1) "
        "SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM seen), (SELECT id FROM seen ORDER BY id DESC "
        "LIMIT 1), (SELECT created_ms FROM seen ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM gone), "
        "(SELECT count(*) FROM letters_gone), (SELECT count(*) FROM attempts_gone), "
        "(SELECT coalesce(sum(log_bytes), 0)::bigint FROM attempts_gone), (SELECT count(*) FROM noted)",
    /* What was listed a moment ago, unless somebody needs it now. */
    [PG_OLD_LISTED] =
        "WITH mine AS MATERIALIZED (" MAY_RETAIN "), "
        "gone AS (DELETE FROM runs r WHERE r.id = ANY($2::text::uuid[]) AND EXISTS (SELECT 1 FROM mine) "
        "AND NOT EXISTS (SELECT 1 FROM letters l WHERE l.run_id = r.id AND l.resolution = 'pending') "
        "AND NOT EXISTS (SELECT 1 FROM active_runs a WHERE a.source = r.id) "
        "AND NOT EXISTS (SELECT 1 FROM idempotency k WHERE k.created_ms = r.created_ms AND k.run_id = r.id) "
        "RETURNING r.id, r.run), "
        "letters_gone AS (DELETE FROM letters l USING gone g WHERE l.run_id = g.id RETURNING 1), "
        "noted AS (INSERT INTO taken (id, run, has_attempts, taken_ms) SELECT id, run, true, $3 FROM gone ORDER BY id "
        "RETURNING 1) "
        "SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM letters_gone), (SELECT count(*) FROM noted)",
    [PG_OLD_LETTERS] =
        "WITH mine AS MATERIALIZED (" MAY_RETAIN "), "
        "gone AS (DELETE FROM letters WHERE id = ANY($2::text::uuid[]) AND EXISTS (SELECT 1 FROM mine) "
        "RETURNING resolution) "
        "SELECT count(*), count(*) FILTER (WHERE resolution = 'pending') FROM gone",
    /* A run whose attempts were found to the last one is whole: all but the last when there was no room for more. */
    [PG_OLD_ATTEMPTS] =
        "WITH mine AS MATERIALIZED (" MAY_RETAIN "), "
        "open AS MATERIALIZED (SELECT serial, run FROM taken WHERE has_attempts AND EXISTS (SELECT 1 FROM mine) "
        "ORDER BY serial LIMIT 16), "
        "found AS MATERIALIZED (SELECT o.serial, a.place FROM open o CROSS JOIN LATERAL (SELECT t.ctid AS place, "
        "t.task, t.number FROM attempts t WHERE t.run = o.run ORDER BY t.task DESC, t.number DESC LIMIT $2) a "
        "ORDER BY o.serial, a.task DESC, a.number DESC LIMIT $2), "
        "gone AS (DELETE FROM attempts WHERE ctid = ANY(ARRAY(SELECT place FROM found)) RETURNING log_bytes), "
        "whole AS (UPDATE taken t SET has_attempts = false FROM open o WHERE t.serial = o.serial AND ((SELECT count(*) "
        "FROM found) < $2 OR o.serial < (SELECT max(serial) FROM found)) RETURNING 1) "
        "SELECT (SELECT count(*) FROM gone), (SELECT coalesce(sum(log_bytes), 0)::bigint FROM gone), "
        "(SELECT count(*) FROM whole)",
    [PG_OLD_FIRES] =
        "WITH mine AS MATERIALIZED (" MAY_RETAIN ") DELETE FROM fires WHERE id IN (SELECT id FROM fires f WHERE "
        "id < $2 AND created_ms < $3 AND outcome <> 'queued' AND NOT EXISTS (SELECT 1 FROM active_runs r "
        "WHERE r.id = f.run) ORDER BY id LIMIT $4) AND EXISTS (SELECT 1 FROM mine)",
    [PG_TAKEN_LOOK] =
        "SELECT coalesce(m.serial, 0), EXISTS (SELECT 1 FROM taken WHERE NOT has_attempts AND serial > "
        "greatest(m.serial, $2::bigint)), EXISTS (SELECT 1 FROM taken WHERE has_attempts) "
        "FROM (SELECT (SELECT serial FROM sweeps WHERE node = $1) AS serial) m",
    [PG_TAKEN_DROP] = "DELETE FROM taken WHERE serial IN (SELECT serial FROM taken WHERE NOT has_attempts "
                      "AND taken_ms < $1 ORDER BY serial LIMIT 5000)",
    [PG_SWEEP_SAVE] = "INSERT INTO sweeps (node, serial) VALUES ($1, $2) ON CONFLICT (node) DO UPDATE "
                      "SET serial = greatest(sweeps.serial, excluded.serial)",

    [PG_LOAD_RUNS] = "SELECT " PG_LIVE_COLUMNS "r.outcomes, r.trace FROM active_runs r JOIN dags d ON d.dag = r.dag "
                     "WHERE r.owner = $1 AND r.id > $2 "
                     "AND CASE WHEN $3::uuid[] IS NULL THEN NOT r.given ELSE r.id = ANY($3) END "
                     "ORDER BY r.id LIMIT 200",
    [PG_LOAD_ATTEMPTS] = "SELECT " PG_ATTEMPT_COLUMNS " FROM attempts a WHERE a.run = $1 ORDER BY a.task, a.number",
    [PG_LOAD_SOURCE] = "SELECT v.source FROM dags d JOIN versions v ON v.dag = d.dag WHERE d.id = $1 "
                       "AND v.version = $2",
};
