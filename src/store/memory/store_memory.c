#include "store/memory/store_memory.h"

#include <assert.h>

#include "base/limits.h"
#include "base/mem.h"
#include "store/memory/memory_model.h"

static_assert(offsetof(struct record_run, id) == 0 && offsetof(struct memory_run, run) == 0 &&
                  offsetof(struct record_letter, id) == 0 && offsetof(struct store_letter, letter) == 0 &&
                  offsetof(struct memory_dag, id) == 0 && offsetof(struct record_fire, id) == 0,
              "rows start with their id: store_memory_by_id");

int store_memory_enter(struct store_memory *store, struct error *err)
{
    (void)pthread_mutex_lock(&store->lock);
    if (!store->failed)
        return 0;
    int code = error_set(err, ERROR_STORE_FAILED, "the store failed: %s", store->why);
    (void)pthread_mutex_unlock(&store->lock);
    return code;
}

void store_memory_leave(struct store_memory *store)
{
    (void)pthread_mutex_unlock(&store->lock);
}

static void close_memory(struct store *head)
{
    struct store_memory *store = (struct store_memory *)head;
    for (size_t i = 0; i < store->dags.count; i++)
        store_memory_rows_free(&((struct memory_dag *)store->dags.items[i])->versions);
    for (size_t i = 0; i < store->runs.count; i++)
        store_memory_rows_free(&((struct memory_run *)store->runs.items[i])->attempts);
    store_memory_rows_free(&store->dags);
    store_memory_rows_free(&store->runs);
    store_memory_rows_free(&store->letters);
    store_memory_rows_free(&store->fires);
    store_memory_rows_free(&store->keys);
    store_memory_rows_free(&store->taken);
    mem_free(store->undo);
    arena_fini(&store->undo_arena);
    arena_fini(&store->arena);
    (void)pthread_mutex_destroy(&store->lock);
    mem_free(store);
}

/* Forgets expired keys and old runs. */
static int maintain(struct store *head, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    size_t kept = 0;
    for (size_t i = 0; idle && i < store->keys.count; i++) {
        const struct record_idempotency *key = store->keys.items[i];
        if (now_ms - key->created_ms <= LIMIT_IDEMPOTENCY_MS)
            store->keys.items[kept++] = store->keys.items[i];
    }
    head->keep.keys += idle ? store->keys.count - kept : 0;
    if (idle)
        store->keys.count = kept;
    store_memory_retain(store, now_ms);
    *ret_next_ms = -1;
    store_memory_leave(store);
    return 0;
}

/* Only the writer's thread changes rows and this is called on it, so the caller's function runs without the lock. */
static int load_active(struct store *head, store_active_fn *fn, void *context, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    store_memory_leave(store);
    store->loads++;
    for (size_t i = 0; i < store->runs.count && !code; i++) {
        const struct memory_run *run = store->runs.items[i];
        if (state_run_is_terminal(run->run.state))
            continue;
        struct store_active active = {
            .run = run->run, .dag_name = run->dag->name, .attempt_count = run->attempts.count};
        const struct memory_version key = {.version = run->run.dag_version};
        struct memory_version *version = store_memory_find(&run->dag->versions, &key);
        if (version->given != store->loads) {
            active.source = version->source;
            active.source_len = version->source_len;
        }
        version->given = store->loads;
        struct record_attempt *attempts = mem_new_array(struct record_attempt, run->attempts.count);
        for (size_t k = 0; k < run->attempts.count; k++) {
            attempts[k] = *(const struct record_attempt *)run->attempts.items[k];
            attempts[k].log = NULL;
        }
        active.attempts = attempts;
        code = fn(context, &active, err);
        mem_free(attempts);
    }
    return code;
}

static int status(struct store *head, struct store_status *ret_status, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    struct store_status status = {.kind = "memory", .free_bytes = -1, .epoch = head->epoch, .room = head->room};
    (void)err;
    (void)pthread_mutex_lock(&store->lock);
    status.failed = store->failed;
    for (size_t i = 0; i < store->dags.count; i++)
        status.dags += !((const struct memory_dag *)store->dags.items[i])->deleted_ms;
    for (size_t i = 0; i < store->runs.count; i++)
        status.active_runs += !state_run_is_terminal(((const struct memory_run *)store->runs.items[i])->run.state);
    for (size_t i = 0; i < store->letters.count; i++)
        status.letters_pending +=
            ((const struct memory_letter *)store->letters.items[i])->row.resolution == RESOLUTION_PENDING;
    (void)pthread_mutex_unlock(&store->lock);
    *ret_status = status;
    return 0;
}

static int ping(struct store *head, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (!code)
        store_memory_leave(store);
    return code;
}

static void find(struct buf *findings, uint32_t *count, struct uuid run, const char *what)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(run, text);
    buf_printf(findings, "run %s: %s\n", text, what);
    (*count)++;
}

/* What the engine relies on when it restores a run. */
static void check_run(const struct memory_run *run, struct buf *findings, uint32_t *count)
{
    bool ended = state_run_is_terminal(run->run.state);
    const struct record_attempt *before = NULL;
    for (size_t i = 0; i < run->attempts.count; i++) {
        const struct record_attempt *attempt = run->attempts.items[i];
        bool same = before && before->task == attempt->task;
        if (attempt->number != (same ? before->number + 1 : 1))
            find(findings, count, run->run.id, "attempt numbers have a gap");
        if (attempt->task >= run->run.task_count)
            find(findings, count, run->run.id, "an attempt of a task that is not there");
        if (ended && attempt->state == ATTEMPT_RUNNING)
            find(findings, count, run->run.id, "it has ended and an attempt is running");
        before = attempt;
    }
    if (!run->run.outcomes_len)
        return;
    uint8_t *values = mem_alloc(run->run.task_count);
    if (!record_runs_decode(run->run.outcomes, run->run.outcomes_len, values, run->run.task_count))
        find(findings, count, run->run.id, "outcomes that do not fit the task count");
    mem_free(values);
}

static int check(struct store *head, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                 struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    uint32_t count = 0;
    for (size_t i = 0; i < store->runs.count; i++) {
        const struct memory_run *run = store->runs.items[i];
        if (depth == STORE_CHECK_FULL || !state_run_is_terminal(run->run.state))
            check_run(run, findings, &count);
    }
    *ret_count = count;
    store_memory_leave(store);
    return 0;
}

static const struct store_ops memory_ops = {
    .kind = "memory",
    .close = close_memory,
    .commit = store_memory_commit,
    .maintain = maintain,
    .load_active = load_active,
    .dags = store_memory_dags,
    .versions = store_memory_versions,
    .source = store_memory_source,
    .runs = store_memory_runs,
    .attempts = store_memory_attempts,
    .letters = store_memory_letters,
    .fires = store_memory_fires,
    .letter_stats = store_memory_letter_stats,
    .ids = store_memory_ids,
    .taken = store_memory_taken,
    .status = status,
    .ping = ping,
    .check = check,
};

struct store *store_memory_new(void)
{
    struct store_memory *store = mem_new(struct store_memory);
    store->head.ops = &memory_ops;
    store->head.epoch = 1;
    (void)pthread_mutex_init(&store->lock, NULL);
    store->dags.compare = store_memory_by_id;
    store->runs.compare = store_memory_by_id;
    store->letters.compare = store_memory_by_id;
    store->fires.compare = store_memory_by_id;
    store->keys.compare = store_memory_by_idempotency;
    store->taken.compare = store_memory_by_id;
    return &store->head;
}

void store_memory_reopen(struct store *head)
{
    struct store_memory *store = (struct store_memory *)head;
    (void)pthread_mutex_lock(&store->lock);
    head->epoch++;
    head->room = store->room = STORE_ROOM_OK;
    store->fault = 0;
    store->failed = false;
    (void)pthread_mutex_unlock(&store->lock);
}

void store_memory_fail_next(struct store *head, enum error_code code)
{
    struct store_memory *store = (struct store_memory *)head;
    assert(code == ERROR_OK || code == ERROR_STORE_FULL || code == ERROR_STORE_FAILED);
    (void)pthread_mutex_lock(&store->lock);
    store->fault = (int)code;
    (void)pthread_mutex_unlock(&store->lock);
}

void store_memory_set_room(struct store *head, enum store_room room)
{
    struct store_memory *store = (struct store_memory *)head;
    (void)pthread_mutex_lock(&store->lock);
    head->room = store->room = room;
    (void)pthread_mutex_unlock(&store->lock);
}
