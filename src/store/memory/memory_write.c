/* Commit: every record of the batches in order, all or nothing. A conditional group is judged when its first record
 * comes, against all that is there by then; an unconditional record that does not fit what is there is a broken
 * invariant. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "dag/dag.h"
#include "store/memory/memory_model.h"

/* ---- looking ---- */

static struct memory_dag *live_dag(const struct store_memory *store, struct uuid id)
{
    struct memory_dag *dag = store_memory_find(&store->dags, &id);
    return dag && !dag->deleted_ms ? dag : NULL;
}

static bool is_name_taken(const struct store_memory *store, const char *name)
{
    for (size_t i = 0; i < store->dags.count; i++) {
        const struct memory_dag *dag = store->dags.items[i];
        if (!dag->deleted_ms && strcmp(dag->name, name) == 0)
            return true;
    }
    return false;
}

static bool has_active_runs(const struct store_memory *store, const struct memory_dag *dag)
{
    for (size_t i = 0; i < store->runs.count; i++) {
        const struct memory_run *run = store->runs.items[i];
        if (run->dag == dag && !state_run_is_terminal(run->run.state))
            return true;
    }
    return false;
}

static uint32_t latest_version(const struct memory_dag *dag)
{
    const struct memory_version *latest = dag->versions.items[dag->versions.count - 1];
    return latest->version;
}

static bool is_conditional(enum record_kind kind)
{
    return kind <= RECORD_LETTER_RESOLVE;
}

static bool makes_something(enum record_kind kind)
{
    return kind == RECORD_DAG_CREATE || kind == RECORD_DAG_UPDATE || kind == RECORD_RUN_CREATE || kind == RECORD_FIRE;
}

/* ---- verdicts ---- */

static void refuse(struct verdict *verdict, enum error_code code)
{
    verdict->refused = true;
    verdict->code = code;
}

static void judge_key(const struct store_memory *store, const struct record_idempotency *key, struct verdict *verdict)
{
    const struct record_idempotency *known = store_memory_find(&store->keys, key);
    if (!known || key->created_ms - known->created_ms > LIMIT_IDEMPOTENCY_MS)
        return;
    if (known->digest != key->digest) {
        refuse(verdict, ERROR_IDEMPOTENCY_MISMATCH);
        return;
    }
    refuse(verdict, ERROR_OK);
    verdict->run_id = known->run_id;
}

static void judge_letter(const struct store_memory *store, const struct record_letter_resolve *resolve,
                         struct verdict *verdict)
{
    const struct memory_letter *letter = store_memory_find(&store->letters, &resolve->id);
    if (!letter) {
        refuse(verdict, ERROR_DEAD_LETTER_NOT_FOUND);
    } else if (letter->row.resolution != RESOLUTION_PENDING) {
        refuse(verdict, ERROR_ALREADY_RESOLVED);
        verdict->run_id = letter->row.resolved_run_id;
    }
}

static bool was_fired(const struct store_memory *store, const struct record_fire *fire)
{
    for (size_t i = 0; i < store->fires.count; i++) {
        const struct record_fire *row = store->fires.items[i];
        if (row->from_ms == fire->from_ms && uuid_equal(row->dag_id, fire->dag_id) &&
            (row->outcome == FIRE_QUEUED || (row->outcome == FIRE_FIRED && !fire->again)))
            return true;
    }
    return false;
}

static void judge_fire(const struct store_memory *store, const struct record *record, struct verdict *verdict)
{
    const struct record_fire *fire = &record->fire;
    const struct memory_dag *dag = live_dag(store, fire->dag_id);
    const struct record_fire *row = store_memory_find(&store->fires, &fire->id);
    if (!dag)
        refuse(verdict, ERROR_DAG_NOT_FOUND);
    else if (record->kind == RECORD_FIRE_RELEASE ? !row || row->outcome != FIRE_QUEUED
             : fire->trigger == TRIGGER_SCHEDULE ? fire->from_ms <= dag->covered_ms || dag->covered_ms < fire->behind_ms
                                                 : was_fired(store, fire))
        refuse(verdict, ERROR_ALREADY_FIRED);
    else if (dag->paused && record_fire_is_paused(fire))
        refuse(verdict, ERROR_PRECONDITION_FAILED);
    verdict->covered_ms = dag ? dag->covered_ms : 0;
}

/* What one record demands. */
static void judge(const struct store_memory *store, const struct record *record, struct verdict *verdict)
{
    const struct memory_dag *dag;
    switch (record->kind) {
    case RECORD_DAG_CREATE:
        if (is_name_taken(store, record->dag.name))
            refuse(verdict, ERROR_DAG_EXISTS);
        return;
    case RECORD_DAG_UPDATE:
        dag = live_dag(store, record->dag.id);
        if (!dag)
            refuse(verdict, ERROR_DAG_NOT_FOUND);
        else if (record->dag.if_version && record->dag.if_version != latest_version(dag))
            refuse(verdict, ERROR_PRECONDITION_FAILED);
        verdict->covered_ms = dag ? dag->covered_ms : 0;
        return;
    case RECORD_DAG_DELETE:
    case RECORD_DAG_PAUSE:
        dag = live_dag(store, record->dag.id);
        if (!dag)
            refuse(verdict, ERROR_DAG_NOT_FOUND);
        else if (record->kind == RECORD_DAG_DELETE && has_active_runs(store, dag))
            refuse(verdict, ERROR_DAG_HAS_ACTIVE_RUNS);
        return;
    case RECORD_RUN_CREATE:
        if (!live_dag(store, record->run.dag_id))
            refuse(verdict, ERROR_DAG_NOT_FOUND);
        return;
    case RECORD_FIRE:
    case RECORD_FIRE_RELEASE:
        judge_fire(store, record, verdict);
        return;
    case RECORD_IDEMPOTENCY:
        judge_key(store, &record->idempotency, verdict);
        return;
    case RECORD_LETTER_RESOLVE:
        judge_letter(store, &record->letter_resolve, verdict);
        return;
    default:
        return;
    }
}

/* records[0] is the group's first. */
static void judge_group(const struct store_memory *store, const struct record *records, size_t count,
                        struct verdict *verdict)
{
    uint32_t group = records[0].group;
    bool grows = false;
    for (size_t i = 0; i < count && records[i].group == group && is_conditional(records[i].kind); i++) {
        grows = grows || makes_something(records[i].kind);
        judge(store, &records[i], verdict);
        if (verdict->refused)
            return;
    }
    if (grows && store->room != STORE_ROOM_OK)
        refuse(verdict, ERROR_STORE_FULL);
}

/* ---- writing ---- */

static int broken(struct error *err, struct uuid id, const char *what)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    return error_set(err, ERROR_INTERNAL, "%s: %s", text, what);
}

static int broken_attempt(struct error *err, const struct record_attempt *row, const char *what)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(row->run_id, text);
    return error_set(err, ERROR_INTERNAL, "run %s, task %u, attempt %u: %s", text, row->task, row->number, what);
}

static void add_version(struct store_memory *store, struct memory_dag *dag, const struct record_dag *row,
                        uint32_t number)
{
    struct memory_version *version = arena_zalloc(&store->arena, sizeof *version);
    version->version = number;
    version->task_count = row->dag->task_count;
    version->created_ms = row->time_ms;
    version->source = arena_dup(&store->arena, row->source, row->source_len);
    version->source_len = row->source_len;
    version->cron = arena_strdup(&store->arena, row->dag->schedule.cron);
    version->timezone = arena_strdup(&store->arena, row->dag->schedule.timezone);
    version->keep = row->dag->keep;
    store_memory_insert(store, &dag->versions, version);
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* A new schedule begins with the version that brought it. */
static void start_schedule(struct memory_dag *dag, const struct record_dag *row)
{
    const struct memory_version *before = dag->versions.items[dag->versions.count - 1];
    const struct dag_schedule *schedule = &row->dag->schedule;
    if ((!is_same_text(before->cron, schedule->cron) || !is_same_text(before->timezone, schedule->timezone)) &&
        row->time_ms > dag->covered_ms)
        dag->covered_ms = row->time_ms;
}

static void drop_fires(struct store_memory *store, const struct memory_dag *dag)
{
    for (size_t i = 0; i < store->fires.count; i++) {
        struct record_fire *row = store->fires.items[i];
        if (row->outcome != FIRE_QUEUED || !uuid_equal(row->dag_id, dag->id))
            continue;
        store_memory_save(store, row, sizeof *row);
        row->outcome = FIRE_SKIPPED;
        row->reason = FIRE_DAG_DELETED;
    }
}

static int write_dag(struct store_memory *store, const struct record *record, struct verdict *verdict,
                     struct error *err)
{
    const struct record_dag *row = &record->dag;
    struct memory_dag *dag = store_memory_find(&store->dags, &row->id);
    if (record->kind == RECORD_DAG_CREATE) {
        if (dag)
            return broken(err, row->id, "a second DAG of this id");
        dag = arena_zalloc(&store->arena, sizeof *dag);
        dag->id = row->id;
        dag->name = arena_strdup(&store->arena, row->name);
        dag->paused = row->paused;
        dag->created_ms = dag->covered_ms = row->time_ms;
        dag->versions.compare = store_memory_by_version;
        store_memory_insert(store, &store->dags, dag);
        add_version(store, dag, row, row->version);
        return 0;
    }
    store_memory_save(store, dag, offsetof(struct memory_dag, versions));
    if (record->kind == RECORD_DAG_UPDATE) {
        uint32_t version = latest_version(dag) + 1;
        start_schedule(dag, row);
        add_version(store, dag, row, version);
        if (verdict)
            verdict->version = version;
    } else if (record->kind == RECORD_DAG_DELETE) {
        dag->deleted_ms = row->time_ms;
        drop_fires(store, dag);
    } else {
        dag->paused = row->paused;
    }
    return 0;
}

static int write_fire(struct store_memory *store, const struct record *record, struct error *err)
{
    struct record_fire *row = store_memory_find(&store->fires, &record->fire.id);
    if (record->kind == RECORD_FIRE_RELEASE) {
        store_memory_save(store, row, sizeof *row);
        row->outcome = FIRE_FIRED;
        row->run_id = record->fire.run_id;
        return 0;
    }
    if (row || record->fire.to_ms < record->fire.from_ms)
        return broken(err, record->fire.id, "a second fire of this id, or one that ends before it begins");
    row = arena_dup(&store->arena, &record->fire, sizeof record->fire);
    row->again = false;
    store_memory_insert(store, &store->fires, row);
    if (row->trigger == TRIGGER_SCHEDULE) {
        struct memory_dag *dag = store_memory_find(&store->dags, &row->dag_id);
        store_memory_save(store, dag, offsetof(struct memory_dag, versions));
        dag->covered_ms = row->to_ms;
    }
    return 0;
}

static void write_key(struct store_memory *store, const struct record_idempotency *row)
{
    struct record_idempotency *known = store_memory_find(&store->keys, row);
    if (known)
        store_memory_remove(store, &store->keys, known);
    struct record_idempotency *key = arena_dup(&store->arena, row, sizeof *row);
    key->key = arena_strdup(&store->arena, row->key);
    key->principal = arena_strdup(&store->arena, row->principal);
    store_memory_insert(store, &store->keys, key);
}

static int create_run(struct store_memory *store, const struct record_run *row, struct error *err)
{
    struct memory_dag *dag = store_memory_find(&store->dags, &row->dag_id);
    const struct memory_version key = {.version = row->dag_version};
    if (store_memory_find(&store->runs, &row->id))
        return broken(err, row->id, "a second run of this id");
    if (!store_memory_find(&dag->versions, &key))
        return broken(err, row->id, "a run of a DAG version that is not there");
    struct memory_run *run = arena_zalloc(&store->arena, sizeof *run);
    run->run = *row;
    run->run.dag = NULL;
    run->run.error = NULL;
    run->run.outcomes = row->outcomes_len ? arena_dup(&store->arena, row->outcomes, row->outcomes_len) : NULL;
    run->run.request_id = arena_strdup(&store->arena, row->request_id);
    run->run.changes = arena_strdup(&store->arena, row->changes);
    run->run.trace = arena_strdup(&store->arena, row->trace);
    run->dag = dag;
    run->attempts.compare = store_memory_by_attempt;
    store_memory_insert(store, &store->runs, run);
    return 0;
}

static void resolve(struct store_memory *store, struct memory_letter *letter, const struct record_letter_resolve *row)
{
    store_memory_save(store, letter, sizeof *letter);
    letter->row.resolution = row->resolution;
    letter->row.resolved_run_id = row->run_id;
    letter->row.resolved_ms = row->time_ms;
    letter->row.resolved_by = arena_strdup(&store->arena, row->by);
    letter->row.notes = arena_strdup(&store->arena, row->notes);
}

static void resolve_letters_of(struct store_memory *store, struct uuid source, const struct record_run *by)
{
    const struct record_letter_resolve row = {
        .resolution = RESOLUTION_RETRIED, .run_id = by->id, .time_ms = by->completed_ms};
    for (size_t i = 0; i < store->letters.count; i++) {
        struct memory_letter *letter = store->letters.items[i];
        if (letter->row.resolution == RESOLUTION_PENDING && uuid_equal(letter->row.letter.run_id, source))
            resolve(store, letter, &row);
    }
}

static bool any_attempt_runs(const struct memory_run *run)
{
    for (size_t i = 0; i < run->attempts.count; i++) {
        const struct record_attempt *attempt = run->attempts.items[i];
        if (attempt->state == ATTEMPT_RUNNING)
            return true;
    }
    return false;
}

static int end_run(struct store_memory *store, struct memory_run *run, const struct record_run *row,
                   struct error *err)
{
    if (!state_run_is_terminal(row->state))
        return broken(err, row->id, "a run ends in a state that is no end");
    if (any_attempt_runs(run))
        return broken(err, row->id, "the run ends while an attempt is running");
    run->run.state = row->state;
    run->run.completed_ms = row->completed_ms;
    run->run.error = arena_strdup(&store->arena, row->error);
    run->run.failed_count = row->failed_count;
    run->run.succeeded_count = row->succeeded_count;
    run->run.skipped_count = row->skipped_count;
    run->run.canceled_count = row->canceled_count;
    run->run.outcomes = arena_dup(&store->arena, row->outcomes, row->outcomes_len);
    run->run.outcomes_len = row->outcomes_len;
    if (row->resolves_source && row->state == RUN_SUCCEEDED)
        resolve_letters_of(store, row->source, row);
    return 0;
}

static int write_run(struct store_memory *store, const struct record *record, struct error *err)
{
    const struct record_run *row = &record->run;
    struct memory_run *run = store_memory_find(&store->runs, &row->id);
    if (!run || state_run_is_terminal(run->run.state))
        return broken(err, row->id, "there is no such active run");
    store_memory_save(store, &run->run, sizeof run->run);
    if (record->kind == RECORD_RUN_END)
        return end_run(store, run, row, err);
    if (record->kind == RECORD_RUN_CANCEL) {
        run->run.cancel_ms = row->cancel_ms;
        return 0;
    }
    if (run->run.state != RUN_PENDING)
        return broken(err, row->id, "the run has started already");
    run->run.state = RUN_RUNNING;
    run->run.started_ms = row->started_ms;
    return 0;
}

/* Attempts of a task are numbered 1, 2, 3, ... and at most the last one runs. */
static int claim(struct store_memory *store, struct memory_run *run, const struct record_attempt *row,
                 struct error *err)
{
    if (row->task >= run->run.task_count)
        return broken_attempt(err, row, "the run has no such task");
    if (store_memory_find(&run->attempts, row))
        return broken_attempt(err, row, "it is claimed already");
    const struct record_attempt before_key = {.task = row->task, .number = row->number - 1};
    const struct record_attempt *before = store_memory_find(&run->attempts, &before_key);
    if (row->number == 0 || (row->number > 1 && !before))
        return broken_attempt(err, row, "the attempt before it is missing");
    if (before && before->state == ATTEMPT_RUNNING)
        return broken_attempt(err, row, "the attempt before it is running");
    struct record_attempt *attempt = arena_dup(&store->arena, row, sizeof *row);
    attempt->state = ATTEMPT_RUNNING;
    attempt->error = arena_strdup(&store->arena, row->error);
    store_memory_insert(store, &run->attempts, attempt);
    return 0;
}

static int write_attempt(struct store_memory *store, const struct record *record, struct error *err)
{
    const struct record_attempt *row = &record->attempt;
    struct memory_run *run = store_memory_find(&store->runs, &row->run_id);
    if (!run || state_run_is_terminal(run->run.state))
        return broken_attempt(err, row, "there is no such active run");
    if (record->kind == RECORD_ATTEMPT_CLAIM)
        return claim(store, run, row, err);
    struct record_attempt *attempt = store_memory_find(&run->attempts, row);
    if (!attempt || attempt->state != ATTEMPT_RUNNING || attempt->fence != row->fence)
        return broken_attempt(err, row, "it is not running under this fence");
    if (record->kind == RECORD_ATTEMPT_WITHDRAW) {
        store_memory_remove(store, &run->attempts, attempt);
        return 0;
    }
    if (!state_attempt_is_terminal(row->state))
        return broken_attempt(err, row, "it ends in a state that is no end");
    store_memory_save(store, attempt, sizeof *attempt);
    *attempt = *row;
    attempt->error = arena_strdup(&store->arena, row->error);
    attempt->log = row->log ? arena_dup(&store->arena, row->log, row->log_len) : NULL;
    return 0;
}

static int write_letter(struct store_memory *store, const struct record_letter *row, struct error *err)
{
    struct arena *arena = &store->arena;
    if (store_memory_find(&store->letters, &row->id))
        return broken(err, row->id, "a second dead letter of this id");
    if (!store_memory_find(&store->runs, &row->run_id))
        return broken(err, row->id, "a dead letter of a run that is not there");
    struct memory_letter *letter = arena_zalloc(arena, sizeof *letter);
    letter->row.letter = *row;
    letter->row.letter.task_id = arena_strdup(arena, row->task_id);
    letter->row.letter.task_name = arena_strdup(arena, row->task_name);
    letter->row.letter.dag_name = arena_strdup(arena, row->dag_name);
    letter->row.letter.error = arena_strdup(arena, row->error);
    letter->row.letter.config = arena_strdup(arena, row->config);
    store_memory_insert(store, &store->letters, letter);
    return 0;
}

static int write_record(struct store_memory *store, const struct record *record, struct verdict *verdict,
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
        return write_fire(store, record, err);
    case RECORD_IDEMPOTENCY:
        write_key(store, &record->idempotency);
        return 0;
    case RECORD_RUN_CREATE:
        return create_run(store, &record->run, err);
    case RECORD_LETTER_RESOLVE:
        resolve(store, store_memory_find(&store->letters, &record->letter_resolve.id), &record->letter_resolve);
        return 0;
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

/* A conditional record outside the judged head of a group must hold all the same: nothing may be undone for it. */
static int write_checked(struct store_memory *store, const struct record *record, struct verdict *verdict,
                         bool judged, struct error *err)
{
    if (is_conditional(record->kind) && !judged) {
        struct verdict demand = {0};
        judge(store, record, &demand);
        if (demand.refused)
            return error_set(err, ERROR_INTERNAL, "a record that nothing may refuse: %s",
                             error_default_text((int)demand.code));
    }
    return write_record(store, record, verdict, err);
}

static int write_batch(struct store_memory *store, struct batch *batch, struct error *err)
{
    uint32_t head = 0; /* the group whose conditional records are being written */
    bool *judged = arena_zalloc(&store->undo_arena, batch->group_count + 1);
    for (uint32_t i = 0; i < batch->group_count; i++)
        batch->verdicts[i] = (struct verdict){.group = i + 1};
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        struct verdict *verdict = record->group ? &batch->verdicts[record->group - 1] : NULL;
        if (record->group != head || !is_conditional(record->kind))
            head = 0;
        if (verdict && !judged[record->group]) {
            judged[record->group] = true;
            head = record->group;
            judge_group(store, record, batch->count - i, verdict);
        }
        if (verdict && verdict->refused)
            continue;
        int code = write_checked(store, record, verdict, head != 0, err);
        if (code)
            return code;
    }
    return 0;
}

/* What keeps the commit from being tried at all. */
static int meet_fault(struct store_memory *store, struct error *err)
{
    int fault = store->fault;
    store->fault = 0;
    if (fault == ERROR_STORE_FAILED) {
        store->failed = true;
        (void)snprintf(store->why, sizeof store->why, "the store was told to fail");
        return error_set(err, ERROR_STORE_FAILED, "%s", store->why);
    }
    if (fault == ERROR_STORE_FULL || store->room == STORE_ROOM_NONE) {
        store->head.room = STORE_ROOM_NONE;
        return error_set(err, ERROR_STORE_FULL, "the store was told to be full");
    }
    return 0;
}

int store_memory_commit(struct store *head, struct batch *const *batches, size_t count, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    struct error own = {0};
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    code = meet_fault(store, &own);
    for (size_t i = 0; i < count && !code; i++)
        code = write_batch(store, batches[i], &own);
    if (code) {
        store_memory_undo_all(store);
        store->failed = store->failed || code == ERROR_INTERNAL;
        (void)snprintf(store->why, sizeof store->why, "%.*s", (int)sizeof store->why - 1, own.text);
        if (err)
            *err = own;
    } else {
        store_memory_keep_all(store);
        head->room = store->room;
    }
    store_memory_leave(store);
    return code;
}
