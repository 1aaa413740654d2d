/* One function per record. Each checks that the record can be true; what cannot is ERROR_INTERNAL. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "store/sqlite/sqlite_model.h"

static int broken(struct error *err, const struct uuid *id, const char *what)
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

/* Runs a statement that must change exactly one row; *ret_changed says whether it did. */
static int change(struct store_sqlite *store, sqlite3_stmt *statement, bool *ret_changed, struct error *err)
{
    int code = store_sqlite_run(&store->writer, statement, err);
    *ret_changed = !code && sqlite3_changes(store->writer.db) == 1;
    return code;
}

/* ---- the catalog ---- */

int store_sqlite_find_dag(struct store_sqlite *store, const struct uuid *id, struct sqlite_dag *ret_dag,
                          struct error *err)
{
    bool row = false;
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_DAG_FIND, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, id);
    int code = store_sqlite_step(&store->writer, find, &row, err);
    *ret_dag = (struct sqlite_dag){0};
    if (row) {
        *ret_dag = (struct sqlite_dag){sqlite3_column_int64(find, 0), store_sqlite_u32(find, 1),
                                       sqlite3_column_int64(find, 2) != 0, sqlite3_column_int(find, 3) != 0,
                                       sqlite3_column_int64(find, 4)};
        (void)sqlite3_reset(find);
    }
    return code;
}

int store_sqlite_write_source(struct store_sqlite *store, const char *source, size_t source_len, struct error *err)
{
    int64_t part = sqlite3_last_insert_rowid(store->writer.db) * SQLITE_SOURCE_PARTS_MAX;
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_SOURCE_INSERT, err);
    int code = insert ? 0 : ERROR_STORE_FAILED;
    for (size_t done = 0; done < source_len && !code; part++) {
        size_t left = source_len - done;
        size_t len = left < SQLITE_SOURCE_PART_BYTES ? left : SQLITE_SOURCE_PART_BYTES;
        store_sqlite_bind_int(insert, 1, part);
        (void)sqlite3_bind_blob(insert, 2, source + done, (int)len, SQLITE_STATIC);
        code = store_sqlite_run(&store->writer, insert, err);
        done += len;
    }
    return code;
}

static int write_version(struct store_sqlite *store, int64_t dag, uint32_t version, const struct record_dag *row,
                         struct error *err)
{
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_VERSION_INSERT, err);
    if (!insert)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(insert, 1, dag);
    store_sqlite_bind_int(insert, 2, version);
    store_sqlite_bind_int(insert, 3, row->dag->task_count);
    store_sqlite_bind_int(insert, 4, row->time_ms);
    store_sqlite_bind_int(insert, 5, (int64_t)row->source_len);
    int code = store_sqlite_run(&store->writer, insert, err);
    return code ? code : store_sqlite_write_source(store, row->source, row->source_len, err);
}

/* What a DAG wants is looked at soon. */
static void ask_to_keep(struct store_sqlite *store, const struct dag *dag)
{
    if (dag->keep.age_ms || dag->keep.runs)
        store->retain.walked_ms = 0;
}

static int create_dag(struct store_sqlite *store, const struct record_dag *row, struct error *err)
{
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_DAG_INSERT, err);
    if (!insert)
        return ERROR_STORE_FAILED;
    if (row->version != 1)
        return broken(err, &row->id, "the first version of a DAG is not 1");
    store_sqlite_bind_id(insert, 1, &row->id);
    store_sqlite_bind_text(insert, 2, row->name);
    store_sqlite_bind_int(insert, 3, row->version);
    store_sqlite_bind_int(insert, 4, row->dag->task_count);
    store_sqlite_bind_text(insert, 5, row->dag->schedule.cron);
    store_sqlite_bind_text(insert, 6, row->dag->schedule.timezone);
    store_sqlite_bind_int(insert, 7, row->paused);
    store_sqlite_bind_int(insert, 8, row->time_ms);
    store_sqlite_bind_int(insert, 9, row->dag->keep.age_ms);
    store_sqlite_bind_int(insert, 10, row->dag->keep.runs);
    ask_to_keep(store, row->dag);
    int code = store_sqlite_run(&store->writer, insert, err);
    if (code)
        return code;
    store->meta.dags++;
    return write_version(store, sqlite3_last_insert_rowid(store->writer.db), row->version, row, err);
}

static int update_dag(struct store_sqlite *store, const struct sqlite_dag *dag, const struct record_dag *row,
                      struct verdict *verdict, struct error *err)
{
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, SQL_DAG_UPDATE, err);
    if (!update)
        return ERROR_STORE_FAILED;
    uint32_t version = dag->version + 1;
    store_sqlite_bind_int(update, 1, dag->dag);
    store_sqlite_bind_int(update, 2, version);
    store_sqlite_bind_int(update, 3, row->dag->task_count);
    store_sqlite_bind_text(update, 4, row->dag->schedule.cron);
    store_sqlite_bind_text(update, 5, row->dag->schedule.timezone);
    store_sqlite_bind_int(update, 6, row->time_ms);
    store_sqlite_bind_int(update, 7, row->dag->keep.age_ms);
    store_sqlite_bind_int(update, 8, row->dag->keep.runs);
    ask_to_keep(store, row->dag);
    int code = store_sqlite_run(&store->writer, update, err);
    if (verdict)
        verdict->version = version;
    return code ? code : write_version(store, dag->dag, version, row, err);
}

static int write_dag(struct store_sqlite *store, const struct record *record, struct verdict *verdict,
                     struct error *err)
{
    const struct record_dag *row = &record->dag;
    struct sqlite_dag dag;
    if (record->kind == RECORD_DAG_CREATE)
        return create_dag(store, row, err);
    int code = store_sqlite_find_dag(store, &row->id, &dag, err);
    if (code)
        return code;
    if (record->kind == RECORD_DAG_UPDATE)
        return update_dag(store, &dag, row, verdict, err);
    bool deletes = record->kind == RECORD_DAG_DELETE;
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, deletes ? SQL_DAG_DELETE : SQL_DAG_PAUSE, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(update, 1, dag.dag);
    store_sqlite_bind_int(update, 2, deletes ? row->time_ms : row->paused);
    store->meta.dags -= deletes;
    code = store_sqlite_run(&store->writer, update, err);
    return code || !deletes ? code : store_sqlite_drop_fires(store, dag.dag, err);
}

/* ---- runs ---- */

void store_sqlite_forget_runs(struct store_sqlite *store)
{
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&store->runs, &i));)
        mem_free(slot->value);
    map_fini(&store->runs);
    store->last_run = NULL;
}

static struct sqlite_run *remember_run(struct store_sqlite *store, const struct sqlite_run *row)
{
    struct sqlite_run *run = mem_dup(row, sizeof *row);
    (void)map_set(&store->runs, run->id.bytes, sizeof run->id.bytes, run);
    return run;
}

static int count_running(struct store_sqlite *store, struct sqlite_run *run, struct error *err)
{
    bool row = false;
    sqlite3_stmt *count = store_sqlite_prepare(&store->writer, SQL_ATTEMPTS_RUNNING, err);
    if (!count)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(count, 1, run->base);
    store_sqlite_bind_int(count, 2, store_sqlite_range_end(run->base, run->task_count));
    int code = store_sqlite_step(&store->writer, count, &row, err);
    if (!row)
        return code;
    run->running = store_sqlite_u32(count, 0);
    (void)sqlite3_reset(count);
    return 0;
}

/* *ret_run NULL: it is not active. */
static int find_run(struct store_sqlite *store, const struct uuid *id, struct sqlite_run **ret_run, struct error *err)
{
    struct sqlite_run *run = store->last_run;
    if (!run || !uuid_equal(run->id, *id))
        run = map_get(&store->runs, id->bytes, sizeof id->bytes);
    int code = 0;
    if (!run) { /* a run of an earlier life, or none */
        bool row = false;
        struct sqlite_run found = {.id = *id};
        sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_RUN_ACTIVE, err);
        if (!find)
            return ERROR_STORE_FAILED;
        store_sqlite_bind_id(find, 1, id);
        code = store_sqlite_step(&store->writer, find, &row, err);
        if (row) {
            found.base = sqlite3_column_int64(find, 0);
            found.task_count = store_sqlite_u32(find, 1);
            (void)sqlite3_reset(find);
            code = count_running(store, &found, err);
            run = code ? NULL : remember_run(store, &found);
        }
    }
    *ret_run = store->last_run = run;
    return code;
}

static int is_ended(struct store_sqlite *store, const struct uuid *id, bool *ret_ended, struct error *err)
{
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_RUN_ENDED, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, id);
    int code = store_sqlite_step(&store->writer, find, ret_ended, err);
    if (*ret_ended)
        (void)sqlite3_reset(find);
    return code;
}

static int create_run(struct store_sqlite *store, const struct record_run *row, struct error *err)
{
    struct sqlite_dag dag;
    struct sqlite_run *known;
    bool ended = false;
    int code = find_run(store, &row->id, &known, err);
    if (!code)
        code = is_ended(store, &row->id, &ended, err);
    if (!code)
        code = store_sqlite_find_dag(store, &row->dag_id, &dag, err);
    if (code)
        return code;
    if (known || ended)
        return broken(err, &row->id, "a second run of this id");
    if (row->dag_version < 1 || row->dag_version > dag.version)
        return broken(err, &row->id, "a run of a DAG version that is not there");
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_RUN_INSERT, err);
    if (!insert)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(insert, 1, &row->id);
    store_sqlite_bind_int(insert, 2, store->meta.next_base);
    store_sqlite_bind_int(insert, 3, dag.dag);
    store_sqlite_bind_int(insert, 4, row->dag_version);
    store_sqlite_bind_int(insert, 5, row->task_count);
    store_sqlite_bind_text(insert, 6, state_trigger_name(row->trigger));
    store_sqlite_bind_int(insert, 7, row->created_ms);
    store_sqlite_bind_uuid(insert, 8, &row->source);
    store_sqlite_bind_int(insert, 9, row->resolves_source);
    store_sqlite_bind_text(insert, 10, row->request_id);
    (void)sqlite3_bind_blob(insert, 11, row->outcomes_len ? row->outcomes : NULL, (int)row->outcomes_len,
                            SQLITE_STATIC);
    store_sqlite_bind_int(insert, 12, row->scheduled_ms);
    store_sqlite_bind_text(insert, 13, row->changes);
    store_sqlite_bind_text(insert, 14, row->trace);
    code = store_sqlite_run(&store->writer, insert, err);
    if (code)
        return code;
    const struct sqlite_run run = {row->id, store->meta.next_base, row->task_count, 0};
    (void)remember_run(store, &run);
    store->meta.next_base = store_sqlite_range_end(run.base, run.task_count) + 1;
    store->meta.active_runs++;
    return 0;
}

static int resolve_letters_of(struct store_sqlite *store, const struct record_run *row, struct error *err)
{
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, SQL_LETTERS_RESOLVE, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(update, 1, &row->source);
    store_sqlite_bind_id(update, 2, &row->id);
    store_sqlite_bind_int(update, 3, row->completed_ms);
    int code = store_sqlite_run(&store->writer, update, err);
    if (!code) {
        int64_t count = sqlite3_changes64(store->writer.db);
        store->meta.letters[RESOLUTION_PENDING] -= count;
        store->meta.letters[RESOLUTION_RETRIED] += count;
    }
    return code;
}

/* The row moves into history; its attempts stay where they are. */
static int move_run(struct store_sqlite *store, const struct record_run *row, bool *ret_moved, struct error *err)
{
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_RUN_END, err);
    sqlite3_stmt *leave = insert ? store_sqlite_prepare(&store->writer, SQL_RUN_LEAVE, err) : NULL;
    if (!leave)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(insert, 1, &row->id);
    store_sqlite_bind_text(insert, 2, state_run_name(row->state));
    store_sqlite_bind_int(insert, 3, row->completed_ms);
    store_sqlite_bind_int(insert, 4, row->failed_count);
    store_sqlite_bind_int(insert, 5, row->succeeded_count);
    store_sqlite_bind_int(insert, 6, row->skipped_count);
    store_sqlite_bind_int(insert, 7, row->canceled_count);
    store_sqlite_bind_text(insert, 8, row->error);
    (void)sqlite3_bind_blob(insert, 9, row->outcomes_len ? row->outcomes : NULL, (int)row->outcomes_len,
                            SQLITE_STATIC);
    int code = change(store, insert, ret_moved, err);
    if (code || !*ret_moved)
        return code;
    store_sqlite_bind_id(leave, 1, &row->id);
    return change(store, leave, ret_moved, err);
}

static int end_run(struct store_sqlite *store, struct sqlite_run *run, const struct record_run *row,
                   struct error *err)
{
    bool moved = false;
    if (!state_run_is_terminal(row->state))
        return broken(err, &row->id, "a run ends in a state that is no end");
    if (run->running)
        return broken(err, &row->id, "the run ends while an attempt is running");
    int code = move_run(store, row, &moved, err);
    if (!code && !moved)
        code = broken(err, &row->id, "there is no such active run");
    if (code)
        return code;
    store->last_run = NULL;
    mem_free(map_remove(&store->runs, row->id.bytes, sizeof row->id.bytes));
    store->meta.active_runs--;
    store->meta.ended_runs++;
    return row->resolves_source && row->state == RUN_SUCCEEDED ? resolve_letters_of(store, row, err) : 0;
}

static int write_run(struct store_sqlite *store, const struct record *record, struct error *err)
{
    const struct record_run *row = &record->run;
    struct sqlite_run *run;
    bool changed = false, starts = record->kind == RECORD_RUN_START;
    int code = find_run(store, &row->id, &run, err);
    if (code)
        return code;
    if (!run)
        return broken(err, &row->id, "there is no such active run");
    if (record->kind == RECORD_RUN_END)
        return end_run(store, run, row, err);
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, starts ? SQL_RUN_START : SQL_RUN_CANCEL, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(update, 1, &row->id);
    store_sqlite_bind_int(update, 2, starts ? row->started_ms : row->cancel_ms);
    code = change(store, update, &changed, err);
    return code || changed ? code : broken(err, &row->id, "the run has started already");
}

/* ---- attempts ---- */

/* The attempt before a repeated one must be there and have ended. */
static int check_before(struct store_sqlite *store, int64_t key, const struct record_attempt *row, struct error *err)
{
    bool found = false, running = false;
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_ATTEMPT_STATE, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(find, 1, key - 1);
    int code = store_sqlite_step(&store->writer, find, &found, err);
    if (found) {
        running = strcmp((const char *)sqlite3_column_text(find, 0), state_attempt_name(ATTEMPT_RUNNING)) == 0;
        (void)sqlite3_reset(find);
    }
    if (code)
        return code;
    if (!found)
        return broken_attempt(err, row, "the attempt before it is missing");
    return running ? broken_attempt(err, row, "the attempt before it is running") : 0;
}

static int claim(struct store_sqlite *store, struct sqlite_run *run, int64_t key, const struct record_attempt *row,
                 struct error *err)
{
    int code = row->number > 1 ? check_before(store, key, row, err) : 0;
    if (code)
        return code;
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_ATTEMPT_CLAIM, err);
    if (!insert)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(insert, 1, key);
    store_sqlite_bind_int(insert, 2, (int64_t)row->fence);
    store_sqlite_bind_uuid(insert, 3, &row->worker);
    store_sqlite_bind_int(insert, 4, row->claimed_ms);
    code = store_sqlite_run(&store->writer, insert, err);
    if (code == ERROR_INTERNAL)
        return broken_attempt(err, row, "it is claimed already");
    run->running += !code;
    return code;
}

static void bind_end(sqlite3_stmt *update, const struct record_attempt *row)
{
    store_sqlite_bind_text(update, 3, state_attempt_name(row->state));
    store_sqlite_bind_uuid(update, 4, &row->worker);
    store_sqlite_bind_int(update, 5, row->claimed_ms);
    store_sqlite_bind_int(update, 6, row->started_ms);
    store_sqlite_bind_int(update, 7, row->ended_ms);
    store_sqlite_bind_int(update, 8, row->retry_ms);
    store_sqlite_bind_text(update, 9, state_task_name(row->task_state));
    store_sqlite_bind_text(update, 10, state_failure_name(row->error_type));
    store_sqlite_bind_text(update, 11, row->error);
    store_sqlite_bind_int(update, 12, row->exit_code);
    store_sqlite_bind_int(update, 13, row->signal);
    store_sqlite_bind_int(update, 14, row->http_status);
    store_sqlite_bind_int(update, 15, row->cpu_us);
    store_sqlite_bind_int(update, 16, row->max_rss_bytes);
    store_sqlite_bind_int(update, 17, row->log_bytes);
    store_sqlite_bind_blob(update, 18, row->log, row->log_len);
}

/* The end of an attempt and a claim that is taken back: only for who holds the fence. */
static int settle(struct store_sqlite *store, struct sqlite_run *run, int64_t key, const struct record *record,
                  struct error *err)
{
    const struct record_attempt *row = &record->attempt;
    bool ends = record->kind == RECORD_ATTEMPT_END, changed = false;
    if (ends && !state_attempt_is_terminal(row->state))
        return broken_attempt(err, row, "it ends in a state that is no end");
    sqlite3_stmt *statement =
        store_sqlite_prepare(&store->writer, ends ? SQL_ATTEMPT_END : SQL_ATTEMPT_WITHDRAW, err);
    if (!statement)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(statement, 1, key);
    store_sqlite_bind_int(statement, 2, (int64_t)row->fence);
    if (ends)
        bind_end(statement, row);
    int code = change(store, statement, &changed, err);
    if (!code && !changed)
        code = broken_attempt(err, row, "it is not running under this fence");
    run->running -= changed;
    if (ends && !code && !row->log)
        store->meta.log_bytes += row->log_bytes;
    return code;
}

static int write_attempt(struct store_sqlite *store, const struct record *record, struct error *err)
{
    const struct record_attempt *row = &record->attempt;
    struct sqlite_run *run;
    int code = find_run(store, &row->run_id, &run, err);
    if (code)
        return code;
    if (!run)
        return broken_attempt(err, row, "there is no such active run");
    if (row->task >= run->task_count)
        return broken_attempt(err, row, "the run has no such task");
    if (row->number < 1 || row->number >= SQLITE_ATTEMPTS_MAX)
        return broken_attempt(err, row, "its number is out of range");
    int64_t key = run->base + (int64_t)row->task * SQLITE_ATTEMPTS_MAX + row->number;
    return record->kind == RECORD_ATTEMPT_CLAIM ? claim(store, run, key, row, err)
                                                : settle(store, run, key, record, err);
}

/* ---- dead letters and keys ---- */

static int write_letter(struct store_sqlite *store, const struct record_letter *row, struct error *err)
{
    struct sqlite_run *run;
    bool ended = false;
    int code = find_run(store, &row->run_id, &run, err);
    if (!code && !run)
        code = is_ended(store, &row->run_id, &ended, err);
    if (!code && !run && !ended)
        code = broken(err, &row->id, "a dead letter of a run that is not there");
    sqlite3_stmt *insert = code ? NULL : store_sqlite_prepare(&store->writer, SQL_LETTER_INSERT, err);
    if (!insert)
        return code ? code : ERROR_STORE_FAILED;
    store_sqlite_bind_id(insert, 1, &row->id);
    store_sqlite_bind_id(insert, 2, &row->run_id);
    store_sqlite_bind_id(insert, 3, &row->dag_id);
    store_sqlite_bind_int(insert, 4, row->task);
    store_sqlite_bind_text(insert, 5, row->task_id);
    store_sqlite_bind_text(insert, 6, row->task_name);
    store_sqlite_bind_text(insert, 7, row->dag_name);
    store_sqlite_bind_text(insert, 8, state_failure_name(row->error_type));
    store_sqlite_bind_text(insert, 9, row->error);
    store_sqlite_bind_int(insert, 10, row->attempts);
    store_sqlite_bind_int(insert, 11, row->created_ms);
    store_sqlite_bind_text(insert, 12, row->config);
    code = store_sqlite_run(&store->writer, insert, err);
    store->meta.letters[RESOLUTION_PENDING] += !code;
    return code;
}

static int resolve_letter(struct store_sqlite *store, const struct record_letter_resolve *row, struct error *err)
{
    bool changed = false;
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, SQL_LETTER_RESOLVE, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(update, 1, &row->id);
    store_sqlite_bind_text(update, 2, state_resolution_name(row->resolution));
    store_sqlite_bind_uuid(update, 3, &row->run_id);
    store_sqlite_bind_int(update, 4, row->time_ms);
    store_sqlite_bind_text(update, 5, row->by);
    store_sqlite_bind_text(update, 6, row->notes);
    int code = change(store, update, &changed, err);
    if (code)
        return code;
    if (!changed) /* two resolutions of one letter in one group: the second was judged before the first was written */
        return broken(err, &row->id, "the dead letter is resolved already");
    store->meta.letters[RESOLUTION_PENDING]--;
    store->meta.letters[row->resolution]++;
    return 0;
}

static int write_key(struct store_sqlite *store, const struct record_idempotency *row, struct error *err)
{
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_KEY_PUT, err);
    if (!insert)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(insert, 1, &row->dag_id);
    store_sqlite_bind_text(insert, 2, row->principal);
    store_sqlite_bind_text(insert, 3, row->key);
    store_sqlite_bind_int(insert, 4, (int64_t)row->digest);
    store_sqlite_bind_id(insert, 5, &row->run_id);
    store_sqlite_bind_int(insert, 6, row->created_ms);
    return store_sqlite_run(&store->writer, insert, err);
}

int store_sqlite_write(struct store_sqlite *store, const struct record *record, struct verdict *verdict,
                       struct error *err)
{
    switch (record->kind) {
    case RECORD_DAG_CREATE:
    case RECORD_DAG_UPDATE:
    case RECORD_DAG_DELETE:
    case RECORD_DAG_PAUSE:
        return write_dag(store, record, verdict, err);
    case RECORD_FIRE:
    case RECORD_FIRE_RELEASE:
        return store_sqlite_write_fire(store, record, err);
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
