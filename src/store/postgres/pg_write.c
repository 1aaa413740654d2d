/* What conditional records demand, and one function per record. Each checks that the record can be true; what cannot is
 * ERROR_INTERNAL. */
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "store/postgres/pg_model.h"
#include "store/store_rows.h"

int store_pg_broken(struct error *err, const struct uuid *id, const char *what)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(*id, text);
    return error_set(err, ERROR_INTERNAL, "%s: %s", text, what);
}

static int broken_attempt(struct error *err, const struct record_attempt *row, const char *what)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(row->run_id, text);
    return error_set(err, ERROR_INTERNAL, "run %s, task %u, attempt %u: %s", text, row->task, row->number, what);
}

static void refuse(struct verdict *verdict, enum error_code code)
{
    verdict->refused = true;
    verdict->code = code;
}

/* Runs a statement; *ret_count: the rows it found or changed. */
static int count_of(struct store_pg *store, enum pg_statement statement, const struct pg_values *values,
                    int64_t *ret_count, struct error *err)
{
    PGresult *result;
    int code = store_pg_run(&store->writer, statement, values, &result, err);
    if (!code)
        *ret_count = store_pg_changed(store, result);
    store_pg_clear(store, result);
    return code;
}

/* ---- verdicts ---- */

int store_pg_find_dag(struct store_pg *store, const struct uuid *id, bool lock, struct pg_dag *ret_dag,
                      struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    if (!lock && uuid_equal(store->known_dag_id, *id)) {
        *ret_dag = store->known_dag;
        return 0;
    }
    store_pg_add_id(&values, id);
    int code = store_pg_run(&store->writer, lock ? PG_DAG_LOCK : PG_DAG_SHARE, &values, &result, err);
    *ret_dag = (struct pg_dag){0};
    if (!code && store_pg_rows(store, result) == 1)
        *ret_dag = (struct pg_dag){store_pg_int(store, result, 0, 0), store_pg_u32(store, result, 0, 1),
                                   store_pg_int(store, result, 0, 2) != 0, store_pg_bool(store, result, 0, 3),
                                   store_pg_int(store, result, 0, 4)};
    store_pg_clear(store, result);
    arena_fini(&arena);
    if (!code) {
        store->known_dag_id = lock ? (struct uuid){{0}} : *id;
        store->known_dag = *ret_dag;
    }
    return code;
}

static int judge_name(struct store_pg *store, const char *name, struct verdict *verdict, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t count = 0;
    store_pg_add_text(&values, name);
    int code = count_of(store, PG_DAG_LIVE_NAME, &values, &count, err);
    if (count)
        refuse(verdict, ERROR_DAG_EXISTS);
    arena_fini(&arena);
    return code;
}

static int judge_dag(struct store_pg *store, const struct record *record, struct verdict *verdict, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    struct pg_dag dag;
    bool is_run = record->kind == RECORD_RUN_CREATE;
    int64_t active = 0;
    int code = store_pg_find_dag(store, is_run ? &record->run.dag_id : &record->dag.id, !is_run, &dag, err);
    if (code)
        return code;
    if (!dag.dag || dag.deleted) {
        refuse(verdict, ERROR_DAG_NOT_FOUND);
    } else if (record->kind == RECORD_DAG_UPDATE) {
        verdict->covered_ms = dag.covered_ms;
        if (record->dag.if_version && record->dag.if_version != dag.version)
            refuse(verdict, ERROR_PRECONDITION_FAILED);
    } else if (record->kind == RECORD_DAG_DELETE) {
        store_pg_add_int(&values, dag.dag);
        code = count_of(store, PG_DAG_ACTIVE, &values, &active, err);
        if (active)
            refuse(verdict, ERROR_DAG_HAS_ACTIVE_RUNS);
    }
    arena_fini(&arena);
    return code;
}

static int judge_key(struct store_pg *store, const struct record_idempotency *key, struct verdict *verdict,
                     struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_id(&values, &key->dag_id);
    store_pg_add_text(&values, key->principal);
    store_pg_add_bytes(&values, key->key, strlen(key->key));
    int code = store_pg_run(&store->writer, PG_KEY_FIND, &values, &result, err);
    if (!code && store_pg_rows(store, result) == 1 &&
        key->created_ms - store_pg_int(store, result, 0, 2) <= LIMIT_IDEMPOTENCY_MS) {
        bool same = (uint64_t)store_pg_int(store, result, 0, 0) == key->digest;
        refuse(verdict, same ? ERROR_OK : ERROR_IDEMPOTENCY_MISMATCH);
        if (same)
            verdict->run_id = store_pg_uuid(store, result, 0, 1);
    }
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

static int judge_letter(struct store_pg *store, const struct record_letter_resolve *resolve, struct verdict *verdict,
                        struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_id(&values, &resolve->id);
    int code = store_pg_run(&store->writer, PG_LETTER_FIND, &values, &result, err);
    if (!code && store_pg_rows(store, result) == 0) {
        refuse(verdict, ERROR_DEAD_LETTER_NOT_FOUND);
    } else if (!code && strcmp(store_pg_text(store, result, 0, 0, &arena),
                               state_resolution_name(RESOLUTION_PENDING)) != 0) {
        refuse(verdict, ERROR_ALREADY_RESOLVED);
        verdict->run_id = store_pg_uuid(store, result, 0, 1);
    }
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

/* What one conditional record demands. What it looks at must be written: kept rows go first. */
int store_pg_judge(struct store_pg *store, const struct record *record, struct verdict *verdict, struct error *err)
{
    int code = 0;
    switch (record->kind) {
    case RECORD_DAG_CREATE:
        return judge_name(store, record->dag.name, verdict, err);
    case RECORD_DAG_UPDATE:
    case RECORD_DAG_DELETE:
    case RECORD_DAG_PAUSE:
        code = store_pg_flush(store, err);
        return code ? code : judge_dag(store, record, verdict, err);
    case RECORD_RUN_CREATE:
        return judge_dag(store, record, verdict, err);
    case RECORD_FIRE:
    case RECORD_FIRE_RELEASE:
        return store_pg_judge_fire(store, record, verdict, err);
    case RECORD_IDEMPOTENCY:
        return judge_key(store, &record->idempotency, verdict, err);
    case RECORD_LETTER_RESOLVE:
        code = store_pg_flush(store, err);
        return code ? code : judge_letter(store, &record->letter_resolve, verdict, err);
    default:
        return 0;
    }
}

/* ---- the catalog ---- */

static int write_version(struct store_pg *store, int64_t dag, uint32_t version, const struct record_dag *row,
                         struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    store_pg_add_int(&values, dag);
    store_pg_add_int(&values, version);
    store_pg_add_int(&values, row->dag->task_count);
    store_pg_add_int(&values, row->time_ms);
    store_pg_add_bytes(&values, row->source, row->source_len);
    int code = store_pg_run(&store->writer, PG_VERSION_INSERT, &values, NULL, err);
    arena_fini(&arena);
    return code;
}

static int create_dag(struct store_pg *store, const struct record_dag *row, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    int64_t dag = 0;
    if (row->version != 1)
        return store_pg_broken(err, &row->id, "the first version of a DAG is not 1");
    store_pg_add_id(&values, &row->id);
    store_pg_add_text(&values, row->name);
    store_pg_add_int(&values, row->dag->task_count);
    store_pg_add_text(&values, row->dag->schedule.cron);
    store_pg_add_text(&values, row->dag->schedule.timezone);
    store_pg_add_bool(&values, row->paused);
    store_pg_add_int(&values, row->time_ms);
    store_pg_add_int(&values, row->dag->keep.age_ms);
    store_pg_add_int(&values, row->dag->keep.runs);
    int code = store_pg_run(&store->writer, PG_DAG_INSERT, &values, &result, err);
    if (!code)
        dag = store_pg_int(store, result, 0, 0);
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code ? code : write_version(store, dag, row->version, row, err);
}

static int update_dag(struct store_pg *store, const struct pg_dag *dag, const struct record_dag *row,
                      struct verdict *verdict, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    uint32_t version = dag->version + 1;
    store_pg_add_int(&values, dag->dag);
    store_pg_add_int(&values, version);
    store_pg_add_int(&values, row->dag->task_count);
    store_pg_add_text(&values, row->dag->schedule.cron);
    store_pg_add_text(&values, row->dag->schedule.timezone);
    store_pg_add_int(&values, row->time_ms);
    store_pg_add_int(&values, row->dag->keep.age_ms);
    store_pg_add_int(&values, row->dag->keep.runs);
    int code = store_pg_run(&store->writer, PG_DAG_UPDATE, &values, NULL, err);
    arena_fini(&arena);
    if (verdict)
        verdict->version = version;
    return code ? code : write_version(store, dag->dag, version, row, err);
}

static int write_dag(struct store_pg *store, const struct record *record, struct verdict *verdict, struct error *err)
{
    const struct record_dag *row = &record->dag;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    struct pg_dag dag;
    if (record->kind == RECORD_DAG_CREATE)
        return create_dag(store, row, err);
    int code = store_pg_find_dag(store, &row->id, true, &dag, err);
    if (code)
        return code;
    if (record->kind == RECORD_DAG_UPDATE)
        return update_dag(store, &dag, row, verdict, err);
    bool deletes = record->kind == RECORD_DAG_DELETE;
    store_pg_add_int(&values, dag.dag);
    if (deletes)
        store_pg_add_int(&values, row->time_ms);
    else
        store_pg_add_bool(&values, row->paused);
    code = store_pg_run(&store->writer, deletes ? PG_DAG_DELETE : PG_DAG_PAUSE, &values, NULL, err);
    values.count = 1;
    if (!code && deletes)
        code = store_pg_run(&store->writer, PG_FIRES_DROP, &values, NULL, err);
    arena_fini(&arena);
    return code;
}

/* ---- runs ---- */

void store_pg_forget_runs(struct store_pg *store)
{
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&store->runs, &i));)
        mem_free(slot->value);
    map_fini(&store->runs);
    store->last_run = NULL;
}

static struct pg_run *remember_run(struct store_pg *store, const struct pg_run *row)
{
    struct pg_run *run = mem_dup(row, sizeof *row);
    (void)map_set(&store->runs, run->id.bytes, sizeof run->id.bytes, run);
    return run;
}

/* A run of an earlier life, or none. */
static int look_up_run(struct store_pg *store, const struct uuid *id, struct pg_run **ret_run, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result = NULL;
    *ret_run = NULL;
    store_pg_add_id(&values, id);
    int code = store_pg_flush(store, err);
    if (!code)
        code = store_pg_run(&store->writer, PG_RUN_ACTIVE, &values, &result, err);
    if (!code && store_pg_rows(store, result) == 1) {
        const struct pg_run found = {*id, store_pg_int(store, result, 0, 0), store_pg_u32(store, result, 0, 1),
                                     store_pg_u32(store, result, 0, 2)};
        *ret_run = remember_run(store, &found);
    }
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

/* *ret_run NULL: it is not active. */
static int find_run(struct store_pg *store, const struct uuid *id, struct pg_run **ret_run, struct error *err)
{
    struct pg_run *run = store->last_run;
    int code = 0;
    if (!run || !uuid_equal(run->id, *id))
        run = map_get(&store->runs, id->bytes, sizeof id->bytes);
    if (!run)
        code = look_up_run(store, id, &run, err);
    *ret_run = store->last_run = run;
    return code;
}

static int take_run_number(struct store_pg *store, int64_t *ret_run, struct error *err)
{
    PGresult *result = NULL;
    int code = 0;
    if (store->next_run == store->runs_end) {
        code = store_pg_run(&store->writer, PG_RUN_SERIALS, NULL, &result, err);
        if (!code) {
            store->next_run = store_pg_int(store, result, 0, 0);
            store->runs_end = store->next_run + PG_RUNS_BLOCK;
        }
        store_pg_clear(store, result);
    }
    if (!code)
        *ret_run = store->next_run++;
    return code;
}

static int create_run(struct store_pg *store, const struct record_run *row, struct error *err)
{
    struct pg_dag dag;
    struct pg_run run = {.id = row->id, .task_count = row->task_count};
    int code = store_pg_find_dag(store, &row->dag_id, false, &dag, err);
    if (!code && map_get(&store->runs, row->id.bytes, sizeof row->id.bytes))
        code = store_pg_broken(err, &row->id, "a second run of this id");
    if (!code && (row->dag_version < 1 || row->dag_version > dag.version))
        code = store_pg_broken(err, &row->id, "a run of a DAG version that is not there");
    if (!code)
        code = take_run_number(store, &run.run, err);
    if (code)
        return code;
    int at = 0;
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_RUNS, at++), &row->id);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUNS, at++), run.run);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUNS, at++), dag.dag);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUNS, at++), row->dag_version);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUNS, at++), row->task_count);
    store_pg_put_text(store_pg_bulk_column(store, BULK_RUNS, at++), state_trigger_name(row->trigger));
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUNS, at++), row->created_ms);
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_RUNS, at++), &row->source);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUNS, at++), row->resolves_source);
    store_pg_put_text(store_pg_bulk_column(store, BULK_RUNS, at++), row->request_id);
    store_pg_put_bytes(store_pg_bulk_column(store, BULK_RUNS, at++), row->outcomes_len ? row->outcomes : NULL,
                       row->outcomes_len);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUNS, at++), row->scheduled_ms);
    store_pg_put_text(store_pg_bulk_column(store, BULK_RUNS, at++), row->changes);
    store_pg_put_text(store_pg_bulk_column(store, BULK_RUNS, at++), row->trace);
    (void)remember_run(store, &run);
    return 0;
}

static int resolve_letters_of(struct store_pg *store, const struct record_run *row, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int code = store_pg_flush(store, err);
    store_pg_add_id(&values, &row->source);
    store_pg_add_id(&values, &row->id);
    store_pg_add_int(&values, row->completed_ms);
    if (!code)
        code = store_pg_run(&store->writer, PG_LETTERS_RESOLVE, &values, NULL, err);
    arena_fini(&arena);
    return code;
}

static int end_run(struct store_pg *store, struct pg_run *run, const struct record_run *row, struct error *err)
{
    if (!state_run_is_terminal(row->state))
        return store_pg_broken(err, &row->id, "a run ends in a state that is no end");
    if (run->running)
        return store_pg_broken(err, &row->id, "the run ends while an attempt is running");
    int at = 0;
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), &row->id);
    store_pg_put_text(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), state_run_name(row->state));
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), row->completed_ms);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), row->failed_count);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), row->succeeded_count);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), row->skipped_count);
    store_pg_put_int(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), row->canceled_count);
    store_pg_put_text(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), row->error);
    store_pg_put_bytes(store_pg_bulk_column(store, BULK_RUN_ENDS, at++), row->outcomes_len ? row->outcomes : NULL,
                       row->outcomes_len);
    store->last_run = NULL;
    mem_free(map_remove(&store->runs, row->id.bytes, sizeof row->id.bytes));
    return row->resolves_source && row->state == RUN_SUCCEEDED ? resolve_letters_of(store, row, err) : 0;
}

static int write_run(struct store_pg *store, const struct record *record, struct error *err)
{
    const struct record_run *row = &record->run;
    struct pg_run *run;
    bool starts = record->kind == RECORD_RUN_START;
    int code = find_run(store, &row->id, &run, err);
    if (code)
        return code;
    if (!run)
        return store_pg_broken(err, &row->id, "there is no such active run");
    if (record->kind == RECORD_RUN_END)
        return end_run(store, run, row, err);
    enum pg_bulk bulk = starts ? BULK_STARTS : BULK_CANCELS;
    store_pg_put_uuid(store_pg_bulk_column(store, bulk, 0), &row->id);
    store_pg_put_int(store_pg_bulk_column(store, bulk, 1), starts ? row->started_ms : row->cancel_ms);
    return 0;
}

/* ---- attempts ---- */

/* Columns 0..2 of every bulk of attempts. */
static void put_key(struct store_pg *store, enum pg_bulk bulk, const struct pg_run *run,
                    const struct record_attempt *row)
{
    store_pg_put_int(store_pg_bulk_column(store, bulk, 0), run->run);
    store_pg_put_int(store_pg_bulk_column(store, bulk, 1), row->task);
    store_pg_put_int(store_pg_bulk_column(store, bulk, 2), row->number);
}

static void claim(struct store_pg *store, struct pg_run *run, const struct record_attempt *row)
{
    put_key(store, BULK_CLAIMS, run, row);
    store_pg_put_int(store_pg_bulk_column(store, BULK_CLAIMS, 3), (int64_t)row->fence);
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_CLAIMS, 4), &row->worker);
    store_pg_put_int(store_pg_bulk_column(store, BULK_CLAIMS, 5), row->claimed_ms);
    if (row->number > 1)
        put_key(store, BULK_AGAIN, run, row);
    run->running++;
}

/* The attempt's log into the row: what is in a file of this node would go with it. */
void store_pg_put_log(struct store_pg *store, struct buf *column, const struct record_attempt *row)
{
    struct buf log = BUF_INIT;
    if (!row->log && store->dir && (row->log_bytes || row->state == ATTEMPT_LOST))
        store_read_log(store->dir, row->run_id, row->task, row->number, &log);
    store_pg_put_bytes(column, log.len ? log.bytes : row->log, log.len ? log.len : row->log_len);
    buf_fini(&log);
}

static void put_end(struct store_pg *store, const struct pg_run *run, const struct record_attempt *row)
{
    int at = 3;
    put_key(store, BULK_ENDS, run, row);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), (int64_t)row->fence);
    store_pg_put_text(store_pg_bulk_column(store, BULK_ENDS, at++), state_attempt_name(row->state));
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_ENDS, at++), &row->worker);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->claimed_ms);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->started_ms);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->ended_ms);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->retry_ms);
    store_pg_put_text(store_pg_bulk_column(store, BULK_ENDS, at++), state_task_name(row->task_state));
    store_pg_put_text(store_pg_bulk_column(store, BULK_ENDS, at++), state_failure_name(row->error_type));
    store_pg_put_text(store_pg_bulk_column(store, BULK_ENDS, at++), row->error);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->exit_code);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->signal);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->http_status);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->cpu_us);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->max_rss_bytes);
    store_pg_put_int(store_pg_bulk_column(store, BULK_ENDS, at++), row->log_bytes);
    store_pg_put_log(store, store_pg_bulk_column(store, BULK_ENDS, at++), row);
}

/* The end of an attempt and a claim that is taken back: only for who holds the fence. */
static int settle(struct store_pg *store, struct pg_run *run, const struct record *record, struct error *err)
{
    const struct record_attempt *row = &record->attempt;
    bool ends = record->kind == RECORD_ATTEMPT_END;
    if (ends && !state_attempt_is_terminal(row->state))
        return broken_attempt(err, row, "it ends in a state that is no end");
    if (!run->running)
        return broken_attempt(err, row, "it is not running under this fence");
    run->running--;
    if (ends) {
        put_end(store, run, row);
        return store->bulk[BULK_ENDS].columns[19].len > PG_BULK_BYTES_MAX ? store_pg_flush(store, err) : 0;
    }
    put_key(store, BULK_WITHDRAWS, run, row);
    store_pg_put_int(store_pg_bulk_column(store, BULK_WITHDRAWS, 3), (int64_t)row->fence);
    return store_pg_flush(store, err); /* the same attempt may be claimed again */
}

static int write_attempt(struct store_pg *store, const struct record *record, struct error *err)
{
    const struct record_attempt *row = &record->attempt;
    struct pg_run *run;
    int code = find_run(store, &row->run_id, &run, err);
    if (code)
        return code;
    if (!run)
        return broken_attempt(err, row, "there is no such active run");
    if (row->task >= run->task_count)
        return broken_attempt(err, row, "the run has no such task");
    if (row->number < 1 || row->number >= PG_ATTEMPTS_MAX)
        return broken_attempt(err, row, "its number is out of range");
    if (record->kind != RECORD_ATTEMPT_CLAIM)
        return settle(store, run, record, err);
    claim(store, run, row);
    return 0;
}

/* ---- dead letters and keys ---- */

static int is_ended(struct store_pg *store, const struct uuid *id, bool *ret_ended, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t count = 0;
    store_pg_add_id(&values, id);
    int code = count_of(store, PG_RUN_ENDED, &values, &count, err);
    *ret_ended = count > 0;
    arena_fini(&arena);
    return code;
}

static int write_letter(struct store_pg *store, const struct record_letter *row, struct error *err)
{
    struct pg_run *run;
    bool ended = false;
    int code = find_run(store, &row->run_id, &run, err), at = 0;
    if (!code && !run)
        code = is_ended(store, &row->run_id, &ended, err);
    if (!code && !run && !ended)
        code = store_pg_broken(err, &row->id, "a dead letter of a run that is not there");
    if (code)
        return code;
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_LETTERS, at++), &row->id);
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_LETTERS, at++), &row->run_id);
    store_pg_put_uuid(store_pg_bulk_column(store, BULK_LETTERS, at++), &row->dag_id);
    store_pg_put_int(store_pg_bulk_column(store, BULK_LETTERS, at++), row->task);
    store_pg_put_text(store_pg_bulk_column(store, BULK_LETTERS, at++), row->task_id);
    store_pg_put_text(store_pg_bulk_column(store, BULK_LETTERS, at++), row->task_name);
    store_pg_put_text(store_pg_bulk_column(store, BULK_LETTERS, at++), row->dag_name);
    store_pg_put_text(store_pg_bulk_column(store, BULK_LETTERS, at++), state_failure_name(row->error_type));
    store_pg_put_text(store_pg_bulk_column(store, BULK_LETTERS, at++), row->error);
    store_pg_put_int(store_pg_bulk_column(store, BULK_LETTERS, at++), row->attempts);
    store_pg_put_int(store_pg_bulk_column(store, BULK_LETTERS, at++), row->created_ms);
    store_pg_put_text(store_pg_bulk_column(store, BULK_LETTERS, at++), row->config);
    return 0;
}

static int resolve_letter(struct store_pg *store, const struct record_letter_resolve *row, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t changed = 0;
    store_pg_add_id(&values, &row->id);
    store_pg_add_text(&values, state_resolution_name(row->resolution));
    store_pg_add_uuid(&values, &row->run_id);
    store_pg_add_int(&values, row->time_ms);
    store_pg_add_text(&values, row->by);
    store_pg_add_text(&values, row->notes);
    int code = count_of(store, PG_LETTER_RESOLVE, &values, &changed, err);
    arena_fini(&arena);
    if (!code && changed != 1) /* two resolutions of one letter in one group: both were judged before the first */
        code = store_pg_broken(err, &row->id, "the dead letter is resolved already");
    return code;
}

static int write_key(struct store_pg *store, const struct record_idempotency *row, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int64_t changed = 0;
    store_pg_add_id(&values, &row->dag_id);
    store_pg_add_text(&values, row->principal);
    store_pg_add_bytes(&values, row->key, strlen(row->key));
    store_pg_add_int(&values, (int64_t)row->digest);
    store_pg_add_id(&values, &row->run_id);
    store_pg_add_int(&values, row->created_ms);
    store_pg_add_int(&values, LIMIT_IDEMPOTENCY_MS);
    int code = count_of(store, PG_KEY_PUT, &values, &changed, err);
    arena_fini(&arena);
    if (!code && changed != 1)
        code = error_set(err, ERROR_STORE_RETRY, "another node was first with an Idempotency-Key");
    return code;
}

int store_pg_write(struct store_pg *store, const struct record *record, struct verdict *verdict, struct error *err)
{
    switch (record->kind) {
    case RECORD_DAG_CREATE:
    case RECORD_DAG_UPDATE:
    case RECORD_DAG_DELETE:
    case RECORD_DAG_PAUSE:
        return write_dag(store, record, verdict, err);
    case RECORD_FIRE:
    case RECORD_FIRE_RELEASE:
        return store_pg_write_fire(store, record, err);
    case RECORD_IDEMPOTENCY:
        return write_key(store, &record->idempotency, err);
    case RECORD_RUN_CREATE:
        return create_run(store, &record->run, err);
    case RECORD_LETTER_RESOLVE:
        return resolve_letter(store, &record->letter_resolve, err);
    case RECORD_RUN_START:
    case RECORD_RUN_CANCEL:
    case RECORD_RUN_END:
        return write_run(store, record, err);
    case RECORD_ATTEMPT_CLAIM:
    case RECORD_ATTEMPT_END:
    case RECORD_ATTEMPT_WITHDRAW:
        return write_attempt(store, record, err);
    case RECORD_LETTER:
        return write_letter(store, &record->letter, err);
    case RECORD_ATTEMPT_START:
    case RECORD_KIND_COUNT:
        return 0;
    }
    assert(false && "a record of no kind");
    return 0;
}
