/* Commit: all batches in one transaction; see pg_model.h for its steps.
 *
 *     others were in the way     the transaction is undone by the server: tried again here, a few times
 *     no connection, or it broke ERROR_STORE_AWAY: the caller tries again with the same batches and newer ones behind
 *                                them; what turns out to be committed is not written twice
 *     declared dead              ERROR_STORE_FENCED, for ever
 *     a record that is not true  ERROR_INTERNAL, then ERROR_STORE_FAILED for ever */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/postgres/pg_model.h"

enum { TRIES = 8 };

/* ---- verdicts; see sqlite_commit.c, which reads the same ---- */

static bool is_conditional(enum record_kind kind)
{
    return kind <= RECORD_LETTER_RESOLVE;
}

/* records[0] is the group's first; *ret_judged of them are conditional. */
static int judge_group(struct store_pg *store, const struct record *records, size_t count, struct verdict *verdict,
                       size_t *ret_judged, struct error *err)
{
    size_t judged = 0;
    int code = 0;
    while (judged < count && records[judged].group == verdict->group && is_conditional(records[judged].kind)) {
        if (!verdict->refused && !code)
            code = store_pg_judge(store, &records[judged], verdict, err);
        judged++;
    }
    *ret_judged = judged;
    return code;
}

/* A conditional record outside the judged head of a group must hold all the same: nothing could be undone for it. */
static int demand(struct store_pg *store, const struct record *record, struct error *err)
{
    struct verdict verdict = {0};
    int code = store_pg_judge(store, record, &verdict, err);
    if (!code && verdict.refused)
        code = error_set(err, ERROR_INTERNAL, "a record that nothing may refuse: %s",
                         error_default_text((int)verdict.code));
    return code;
}

static int write_batch(struct store_pg *store, struct batch *batch, struct error *err)
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
            code = store_pg_write(store, record, verdict, err);
    }
    mem_free(judged);
    return code;
}

/* ---- the transaction ---- */

static int fence(struct store_pg *store, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    store_pg_add_int(&values, (int64_t)store->commit_number);
    int code = store_pg_run(&store->writer, PG_COMMIT_OPEN, &values, &result, err);
    if (!code && store_pg_changed(store, result) != 1)
        code = error_set(err, ERROR_STORE_FENCED, "this node was declared dead: another one has its runs");
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

static int transact(struct store_pg *store, struct batch *const *batches, size_t count, struct error *err)
{
    int code = store_pg_run(&store->writer, PG_BEGIN, NULL, NULL, err);
    store->known_dag_id = store->asked_dag_id = store->refused_request = (struct uuid){{0}};
    if (atomic_exchange(&store->runs_came, false))
        store_pg_forget_runs(store);
    store->commit_number++;
    if (!code) {
        store->unsettled = true;
        store->unsettled_batch = batches[count - 1]->number;
        code = fence(store, err);
    }
    for (size_t i = 0; i < count && !code; i++)
        code = write_batch(store, batches[i], err);
    if (!code)
        code = store_pg_flush(store, err);
    if (!code)
        code = store_pg_run(&store->writer, PG_COMMIT, NULL, NULL, err);
    if (code) {
        store_pg_forget_runs(store);
        store_pg_drop_bulk(store);
        if (store->writer.pg && store_pg_run(&store->writer, PG_ROLLBACK, NULL, NULL, NULL) == 0)
            store->unsettled = false;
        else
            store_pg_disconnect(&store->writer);
    } else {
        store->unsettled = false;
    }
    return code;
}

/* Whether the transaction whose end nobody saw was committed. The row's lock is free only once it is over. */
static int settle(struct store_pg *store, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *node = NULL, *found = NULL;
    int code = store_pg_run(&store->writer, PG_BEGIN, NULL, NULL, err);
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    if (!code)
        code = store_pg_run(&store->writer, PG_NODE_LOCK, &values, &node, err);
    if (!code && (store_pg_rows(store, node) == 0 || store_pg_bool(store, node, 0, 0)))
        code = error_set(err, ERROR_STORE_FENCED, "this node was declared dead: another one has its runs");
    store_pg_add_int(&values, (int64_t)store->commit_number);
    if (!code)
        code = store_pg_run(&store->writer, PG_COMMIT_FIND, &values, &found, err);
    if (!code) {
        bool is_durable = store_pg_rows(store, found) == 1;
        if (is_durable)
            store->durable_batch = store->unsettled_batch;
        log_info("PostgreSQL is back: the commit that was under way %s", is_durable ? "was made" : "was not made");
        store->unsettled = false;
    }
    store_pg_clear(store, node);
    store_pg_clear(store, found);
    arena_fini(&arena);
    if (store->writer.pg && store_pg_run(&store->writer, PG_ROLLBACK, NULL, NULL, NULL) != 0)
        store_pg_disconnect(&store->writer);
    return code;
}

static int try_commit(struct store_pg *store, struct batch *const *batches, size_t count, struct error *err)
{
    int code = store_pg_connect(&store->writer, err);
    if (!code && store->unsettled)
        code = settle(store, err);
    while (!code && count && batches[0]->number <= store->durable_batch) {
        batches++;
        count--;
    }
    return code || !count ? code : transact(store, batches, count, err);
}

int store_pg_commit(struct store *head, struct batch *const *batches, size_t count, struct error *err)
{
    struct store_pg *store = (struct store_pg *)head;
    struct error own = {0};
    assert(store->mode != STORE_READ);
    int code = store_pg_alive(store, err);
    if (code)
        return code;
    code = try_commit(store, batches, count, &own);
    for (int tries = 1; code == ERROR_STORE_RETRY && tries < TRIES; tries++)
        code = try_commit(store, batches, count, &own);
    if (code == ERROR_STORE_RETRY) {
        (void)error_add(&own, "a row contradicts another");
        code = own.code = ERROR_INTERNAL;
    }
    if (code == ERROR_INTERNAL || code == ERROR_STORE_FENCED || code == ERROR_STORE_FAILED)
        store_pg_set_broken(store, code, own.text);
    head->room = code == ERROR_STORE_FULL   ? STORE_ROOM_NONE
                 : code == ERROR_STORE_AWAY ? STORE_ROOM_AWAY
                                            : STORE_ROOM_OK;
    if (code && err)
        *err = own;
    return code;
}

/* ---- housekeeping ---- */

enum { SWEEP_MS = 60000, KEEP_COMMITS = 16, RETRY_MS = 1000 };

static int drop_commits(struct store_pg *store, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int code = 0;
    if (store->commit_number > store->commits_dropped + 2 * KEEP_COMMITS) {
        uint64_t to = store->commit_number - KEEP_COMMITS;
        store_pg_add_int(&values, (int64_t)store->head.epoch);
        store_pg_add_int(&values, (int64_t)store->commits_dropped);
        store_pg_add_int(&values, (int64_t)to);
        code = store_pg_run(&store->writer, PG_COMMITS_DROP, &values, NULL, err);
        if (!code)
            store->commits_dropped = to;
    }
    arena_fini(&arena);
    return code;
}

static int sweep(struct store_pg *store, int64_t now_ms, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_int(&values, now_ms - LIMIT_IDEMPOTENCY_MS);
    int code = store_pg_run(&store->writer, PG_KEYS_EXPIRE, &values, &result, err);
    if (!code)
        store->head.keep.keys += (uint64_t)store_pg_changed(store, result);
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code ? code : drop_commits(store, err);
}

/* What waits can wait longer: no connection is no failure here. */
int store_pg_maintain(struct store *head, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err)
{
    struct store_pg *store = (struct store_pg *)head;
    assert(store->mode != STORE_READ);
    int code = store_pg_alive(store, err);
    bool due = now_ms - store->swept_ms >= SWEEP_MS || now_ms < store->swept_ms;
    *ret_next_ms = SWEEP_MS;
    if (code || store->unsettled)
        return code;
    code = store_pg_connect(&store->writer, NULL);
    if (!code && due)
        code = sweep(store, now_ms, NULL);
    if (!code && due)
        store->swept_ms = now_ms;
    if (!code)
        code = store_pg_retain(store, now_ms, idle, ret_next_ms, NULL);
    if (code)
        *ret_next_ms = RETRY_MS;
    return 0;
}
