/* Commit: all batches in one transaction, one sync.
 *
 *     BEGIN IMMEDIATE
 *     each record: judge its group when it is the group's first, then write it unless the group is refused
 *     meta, when one of its numbers changed
 *     COMMIT                      the sync; when this returned, it is durable
 *
 * A full disk: the transaction is taken back, the reserve given up, and all of it tried once more with room LOW. Any
 * other error ends the store; nothing that may have been written is written again. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

/* ---- verdicts ---- */

static void refuse(struct verdict *verdict, enum error_code code)
{
    verdict->refused = true;
    verdict->code = code;
}

static bool is_conditional(enum record_kind kind)
{
    return kind <= RECORD_LETTER_RESOLVE;
}

/* Steps a statement whose values are bound; *ret_row: it stands on a row and must be reset. */
static int look(struct store_sqlite *store, sqlite3_stmt *statement, bool *ret_row, struct error *err)
{
    return statement ? store_sqlite_step(&store->writer, statement, ret_row, err) : ERROR_STORE_FAILED;
}

static int judge_name(struct store_sqlite *store, const char *name, struct verdict *verdict, struct error *err)
{
    bool taken = false;
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_DAG_LIVE_NAME, err);
    if (find)
        store_sqlite_bind_text(find, 1, name);
    int code = look(store, find, &taken, err);
    if (taken) {
        (void)sqlite3_reset(find);
        refuse(verdict, ERROR_DAG_EXISTS);
    }
    return code;
}

static int judge_dag(struct store_sqlite *store, const struct record *record, struct verdict *verdict,
                     struct error *err)
{
    struct sqlite_dag dag;
    const struct uuid *id = record->kind == RECORD_RUN_CREATE ? &record->run.dag_id : &record->dag.id;
    int code = store_sqlite_find_dag(store, id, &dag, err);
    if (code)
        return code;
    if (!dag.dag || dag.deleted) {
        refuse(verdict, ERROR_DAG_NOT_FOUND);
    } else if (record->kind == RECORD_DAG_UPDATE) {
        verdict->covered_ms = dag.covered_ms;
        if (record->dag.if_version && record->dag.if_version != dag.version)
            refuse(verdict, ERROR_PRECONDITION_FAILED);
    } else if (record->kind == RECORD_DAG_DELETE) {
        bool active = false;
        sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_DAG_ACTIVE, err);
        if (find)
            store_sqlite_bind_int(find, 1, dag.dag);
        code = look(store, find, &active, err);
        if (active) {
            (void)sqlite3_reset(find);
            refuse(verdict, ERROR_DAG_HAS_ACTIVE_RUNS);
        }
    }
    return code;
}

static int judge_key(struct store_sqlite *store, const struct record_idempotency *key, struct verdict *verdict,
                     struct error *err)
{
    bool known = false;
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_KEY_FIND, err);
    if (find) {
        store_sqlite_bind_id(find, 1, &key->dag_id);
        store_sqlite_bind_text(find, 2, key->principal);
        store_sqlite_bind_text(find, 3, key->key);
    }
    int code = look(store, find, &known, err);
    if (!known)
        return code;
    if (key->created_ms - sqlite3_column_int64(find, 2) <= LIMIT_IDEMPOTENCY_MS) {
        if ((uint64_t)sqlite3_column_int64(find, 0) == key->digest) {
            refuse(verdict, ERROR_OK);
            verdict->run_id = store_sqlite_uuid(find, 1);
        } else {
            refuse(verdict, ERROR_IDEMPOTENCY_MISMATCH);
        }
    }
    (void)sqlite3_reset(find);
    return 0;
}

static int judge_letter(struct store_sqlite *store, const struct record_letter_resolve *resolve,
                        struct verdict *verdict, struct error *err)
{
    bool found = false;
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_LETTER_FIND, err);
    if (find)
        store_sqlite_bind_id(find, 1, &resolve->id);
    int code = look(store, find, &found, err);
    if (code)
        return code;
    if (!found) {
        refuse(verdict, ERROR_DEAD_LETTER_NOT_FOUND);
        return 0;
    }
    if (strcmp((const char *)sqlite3_column_text(find, 0), state_resolution_name(RESOLUTION_PENDING)) != 0) {
        refuse(verdict, ERROR_ALREADY_RESOLVED);
        verdict->run_id = store_sqlite_uuid(find, 1);
    }
    (void)sqlite3_reset(find);
    return 0;
}

/* What one conditional record demands. */
static int judge(struct store_sqlite *store, const struct record *record, struct verdict *verdict, struct error *err)
{
    switch (record->kind) {
    case RECORD_DAG_CREATE:
        return judge_name(store, record->dag.name, verdict, err);
    case RECORD_DAG_UPDATE:
    case RECORD_DAG_DELETE:
    case RECORD_DAG_PAUSE:
    case RECORD_RUN_CREATE:
        return judge_dag(store, record, verdict, err);
    case RECORD_FIRE:
    case RECORD_FIRE_RELEASE:
        return store_sqlite_judge_fire(store, record, verdict, err);
    case RECORD_IDEMPOTENCY:
        return judge_key(store, &record->idempotency, verdict, err);
    case RECORD_LETTER_RESOLVE:
        return judge_letter(store, &record->letter_resolve, verdict, err);
    default:
        return 0;
    }
}

static bool makes_something(enum record_kind kind)
{
    return kind == RECORD_DAG_CREATE || kind == RECORD_DAG_UPDATE || kind == RECORD_RUN_CREATE || kind == RECORD_FIRE;
}

/* records[0] is the group's first; *ret_judged of them are conditional. */
static int judge_group(struct store_sqlite *store, const struct record *records, size_t count,
                       struct verdict *verdict, size_t *ret_judged, struct error *err)
{
    bool grows = false;
    size_t judged = 0;
    int code = 0;
    while (judged < count && records[judged].group == verdict->group && is_conditional(records[judged].kind)) {
        grows = grows || makes_something(records[judged].kind);
        if (!verdict->refused && !code)
            code = judge(store, &records[judged], verdict, err);
        judged++;
    }
    if (!code && !verdict->refused && grows && store->head.room != STORE_ROOM_OK)
        refuse(verdict, ERROR_STORE_FULL);
    *ret_judged = judged;
    return code;
}

/* A conditional record outside the judged head of a group must hold all the same: nothing could be undone for it. */
static int demand(struct store_sqlite *store, const struct record *record, struct error *err)
{
    struct verdict verdict = {0};
    int code = judge(store, record, &verdict, err);
    if (!code && verdict.refused)
        code = error_set(err, ERROR_INTERNAL, "a record that nothing may refuse: %s",
                         error_default_text((int)verdict.code));
    return code;
}

/* ---- the transaction ---- */

static int write_batch(struct store_sqlite *store, struct batch *batch, struct error *err)
{
    size_t judged_to = 0; /* records before it have been judged with their group */
    int code = 0;
    bool *judged = batch->group_count ? mem_zalloc(batch->group_count * sizeof *judged) : NULL;
    for (uint32_t i = 0; i < batch->group_count; i++)
        batch->verdicts[i] = (struct verdict){.group = i + 1};
    for (size_t i = 0; i < batch->count && !code; i++) {
        const struct record *record = &batch->records[i];
        struct verdict *verdict = record->group ? &batch->verdicts[record->group - 1] : NULL;
        if (verdict && !judged[record->group - 1]) {
            size_t count = 0;
            judged[record->group - 1] = true;
            code = judge_group(store, record, batch->count - i, verdict, &count, err);
            judged_to = i + count;
        }
        if (code || (verdict && verdict->refused))
            continue;
        if (is_conditional(record->kind) && i >= judged_to)
            code = demand(store, record, err);
        if (!code)
            code = store_sqlite_write(store, record, verdict, err);
    }
    mem_free(judged);
    return code;
}

int store_sqlite_write_meta(struct store_sqlite *store, struct error *err)
{
    sqlite3_stmt *update = store_sqlite_prepare(&store->writer, SQL_META_UPDATE, err);
    if (!update)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(update, 1, store->meta.next_base);
    store_sqlite_bind_int(update, 2, store->meta.dags);
    store_sqlite_bind_int(update, 3, store->meta.active_runs);
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        store_sqlite_bind_int(update, 4 + i, store->meta.letters[i]);
    store_sqlite_bind_int(update, 4 + RESOLUTION_COUNT, store->meta.ended_runs);
    store_sqlite_bind_int(update, 5 + RESOLUTION_COUNT, store->meta.log_bytes);
    return store_sqlite_run(&store->writer, update, err);
}

int store_sqlite_rollback(struct store_sqlite *store, int code, struct error *err)
{
    for (int i = 0; i < SQL_COUNT; i++)
        (void)sqlite3_reset(store->writer.statements[i]);
    if (!sqlite3_get_autocommit(store->writer.db) && store_sqlite_run_plain(&store->writer, SQL_ROLLBACK, NULL)) {
        store_sqlite_set_broken(store, "a transaction could not be taken back");
        code = error_set(err, ERROR_STORE_FAILED, "a transaction could not be taken back");
    }
    return code;
}

static int transact(struct store_sqlite *store, struct batch *const *batches, size_t count, struct error *err)
{
    const struct sqlite_meta before = store->meta;
    store->dags_written = false;
    int code = store_sqlite_run_plain(&store->writer, SQL_BEGIN_WRITE, err);
    for (size_t i = 0; i < count && !code; i++)
        code = write_batch(store, batches[i], err);
    if (!code && memcmp(&before, &store->meta, sizeof before) != 0)
        code = store_sqlite_write_meta(store, err);
    if (store->dags_written)
        store_sqlite_known_changes(&store->known);
    if (!code)
        code = store_sqlite_run_plain(&store->writer, SQL_COMMIT, err);
    if (store->dags_written)
        store_sqlite_known_changed(&store->known);
    if (code) {
        store->meta = before;
        store_sqlite_forget_runs(store);
        code = store_sqlite_rollback(store, code, err);
    }
    return code;
}

int store_sqlite_commit(struct store *head, struct batch *const *batches, size_t count, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    struct error own = {0};
    assert(store->mode != STORE_READ);
    int code = store_sqlite_alive(store, true, err);
    if (code)
        return code;
    code = transact(store, batches, count, &own);
    if (code == ERROR_STORE_FULL && head->room == STORE_ROOM_OK) {
        store_sqlite_give_reserve(store);
        head->room = STORE_ROOM_LOW;
        code = transact(store, batches, count, &own);
    }
    if (code == ERROR_STORE_FULL)
        head->room = STORE_ROOM_NONE;
    else if (code == ERROR_INTERNAL)
        store_sqlite_set_broken(store, own.text);
    else if (!code && head->room == STORE_ROOM_NONE)
        head->room = STORE_ROOM_LOW;
    if (code && err)
        *err = own;
    return code;
}
