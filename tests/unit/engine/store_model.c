#include "store_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"

static void __attribute__((format(printf, 1, 2), noreturn)) say_and_abort(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("broken promise: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    abort();
}

void (*model_broken)(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn)) = say_and_abort;

#define MUST(condition, ...)           \
    do {                               \
        if (!(condition))              \
            model_broken(__VA_ARGS__); \
    } while (0)

static void free_run(struct model_run *run)
{
    for (size_t i = 0; i < run->row_count; i++)
        mem_free((char *)(uintptr_t)run->rows[i].attempt.error);
    dag_unref(run->run.dag);
    mem_free((uint8_t *)(uintptr_t)run->run.outcomes);
    mem_free(run->plan);
    mem_free(run->outcomes);
    mem_free(run->rows);
    mem_free(run->last);
    mem_free(run);
}

void model_fini(struct model *model)
{
    for (size_t i = 0; i < model->run_count; i++)
        free_run(model->runs[i]);
    for (size_t i = 0; i < model->key_count; i++)
        mem_free(model->keys[i].key);
    mem_free(model->runs);
    mem_free(model->letters);
    mem_free(model->keys);
    for (size_t i = 0; i < model->dag_count; i++)
        dag_unref(model->dags[i].dag);
    mem_free(model->dags);
    mem_free(model->fires);
    *model = (struct model){0};
}

struct uuid model_add_dag(struct model *model)
{
    model->dags = mem_grow(model->dags, &model->dag_cap, model->dag_count + 1, sizeof *model->dags);
    struct model_dag *dag = &model->dags[model->dag_count++];
    *dag = (struct model_dag){.version = 1};
    dag->id.bytes[0] = 0xda;
    dag->id.bytes[15] = (uint8_t)model->dag_count;
    return dag->id;
}

static struct model_dag *find_dag(const struct model *model, struct uuid id)
{
    for (size_t i = 0; i < model->dag_count; i++)
        if (uuid_equal(model->dags[i].id, id))
            return &model->dags[i];
    return NULL;
}

void model_delete_dag(struct model *model, struct uuid id)
{
    find_dag(model, id)->deleted = true;
}

const struct record_fire *model_fire(const struct model *model, struct uuid dag_id, int64_t time_ms)
{
    for (size_t i = 0; i < model->fire_count; i++) {
        const struct record_fire *fire = &model->fires[i];
        if (fire->trigger == TRIGGER_SCHEDULE && uuid_equal(fire->dag_id, dag_id) && fire->from_ms <= time_ms &&
            fire->to_ms >= time_ms)
            return fire;
    }
    return NULL;
}

struct model_run *model_find(const struct model *model, struct uuid id)
{
    for (size_t i = model->run_count; i-- > 0;)
        if (uuid_equal(model->runs[i]->run.id, id))
            return model->runs[i];
    return NULL;
}

struct model_letter *model_find_letter(const struct model *model, struct uuid run_id, uint32_t task)
{
    for (size_t i = 0; i < model->letter_count; i++)
        if (uuid_equal(model->letters[i].run_id, run_id) && model->letters[i].task == task)
            return &model->letters[i];
    return NULL;
}

const struct record_attempt *model_last(const struct model_run *run, uint32_t task)
{
    return run->last[task] == NO_ROW ? NULL : &run->rows[run->last[task]].attempt;
}

uint32_t model_count(const struct model_run *run, uint32_t task, enum attempt_state state)
{
    uint32_t count = 0;
    for (uint32_t i = run->last[task]; i != NO_ROW; i = run->rows[i].before)
        count += run->rows[i].attempt.state == state;
    return count;
}

enum task_state model_task(const struct model_run *run, uint32_t task)
{
    if (run->plan && run->plan[task])
        return run->plan[task] == RECORD_KEPT ? TASK_SUCCEEDED : TASK_SKIPPED;
    const struct record_attempt *last = model_last(run, task);
    if (!last || last->state == ATTEMPT_RUNNING || last->retry_ms)
        return TASK_PENDING;
    if (last->state == ATTEMPT_SUCCEEDED)
        return TASK_SUCCEEDED;
    if (last->state == ATTEMPT_CANCELED)
        return TASK_CANCELED;
    if (last->state == ATTEMPT_LOST && run->run.dag->tasks[task].on_lost == DAG_ON_LOST_RETRY &&
        model_count(run, task, ATTEMPT_LOST) <= LIMIT_LOST_RETRIES_MAX)
        return TASK_CANCELED; /* it would have been repeated, were the run not being canceled */
    return TASK_FAILED;
}

bool model_satisfied(const struct model_run *run, uint32_t task)
{
    return model_task(run, task) == TASK_SUCCEEDED || (run->plan && run->plan[task] == RECORD_SKIP);
}

void model_outcomes(const struct model_run *run, uint8_t *ret)
{
    const struct dag *dag = run->run.dag;
    for (uint32_t n = 0; n < dag->task_count; n++) {
        uint32_t task = dag->topological[n];
        bool failed = false;
        for (uint32_t i = 0; i < dag->tasks[task].dependency_count; i++) {
            uint32_t before = dag->tasks[task].dependencies[i];
            bool by_failure = ret[before] == TASK_SKIPPED && !(run->plan && run->plan[before]);
            failed |= ret[before] == TASK_FAILED || by_failure;
        }
        enum task_state said = model_task(run, task);
        ret[task] = (uint8_t)(said != TASK_PENDING ? said : failed ? TASK_SKIPPED : TASK_CANCELED);
    }
}

/* ---- what each record demands of what is durable already ---- */

static void judge_key(struct model *model, const struct record_idempotency *row, struct verdict *verdict)
{
    for (size_t i = 0; i < model->key_count; i++) {
        struct model_key *key = &model->keys[i];
        if (strcmp(key->key, row->key) != 0 || !uuid_equal(key->dag_id, row->dag_id) ||
            key->created_ms + LIMIT_IDEMPOTENCY_MS <= row->created_ms)
            continue;
        verdict->refused = true;
        verdict->code = key->digest == row->digest ? ERROR_OK : ERROR_IDEMPOTENCY_MISMATCH;
        if (verdict->code == ERROR_OK)
            verdict->run_id = key->run_id;
    }
}

static void judge_letter(const struct model *model, const struct record_letter_resolve *row, struct verdict *verdict)
{
    for (size_t i = 0; i < model->letter_count; i++) {
        const struct model_letter *letter = &model->letters[i];
        if (!uuid_equal(letter->id, row->id))
            continue;
        if (letter->resolution != RESOLUTION_PENDING) {
            verdict->refused = true;
            verdict->code = ERROR_ALREADY_RESOLVED;
            verdict->run_id = letter->resolved_run;
        }
        return;
    }
    verdict->refused = true;
    verdict->code = ERROR_DEAD_LETTER_NOT_FOUND;
}

static void judge_dag(const struct model *model, const struct record *record, struct verdict *verdict)
{
    const struct model_dag *dag =
        find_dag(model, record->kind == RECORD_RUN_CREATE ? record->run.dag_id : record->dag.id);
    if (!dag || dag->deleted) {
        verdict->refused = true;
        verdict->code = ERROR_DAG_NOT_FOUND;
        return;
    }
    if (record->kind == RECORD_DAG_UPDATE)
        verdict->covered_ms = dag->covered_ms;
    if (record->kind == RECORD_DAG_UPDATE && record->dag.if_version && record->dag.if_version != dag->version) {
        verdict->refused = true;
        verdict->code = ERROR_PRECONDITION_FAILED;
    }
    for (size_t i = 0; record->kind == RECORD_DAG_DELETE && i < model->run_count; i++)
        if (uuid_equal(model->runs[i]->run.dag_id, dag->id) && !model->runs[i]->ended) {
            verdict->refused = true;
            verdict->code = ERROR_DAG_HAS_ACTIVE_RUNS;
        }
}

static struct record_fire *find_fire(const struct model *model, struct uuid id)
{
    for (size_t i = 0; i < model->fire_count; i++)
        if (uuid_equal(model->fires[i].id, id))
            return &model->fires[i];
    return NULL;
}

static void judge_fire(const struct model *model, const struct record *record, struct verdict *verdict)
{
    const struct record_fire *fire = &record->fire, *queued = find_fire(model, fire->id);
    const struct model_dag *dag = find_dag(model, fire->dag_id);
    bool covered = fire->trigger == TRIGGER_SCHEDULE && dag &&
                   (fire->from_ms <= dag->covered_ms || dag->covered_ms < fire->behind_ms);
    for (size_t i = 0; fire->trigger == TRIGGER_BACKFILL && i < model->fire_count; i++) {
        const struct record_fire *row = &model->fires[i];
        covered |= row->from_ms == fire->from_ms && uuid_equal(row->dag_id, fire->dag_id) &&
                   (row->outcome == FIRE_QUEUED || (row->outcome == FIRE_FIRED && !fire->again));
    }
    if (record->kind == RECORD_FIRE_RELEASE)
        covered = !queued || queued->outcome != FIRE_QUEUED;
    if (!dag || dag->deleted || covered) {
        verdict->refused = true;
        verdict->code = !dag || dag->deleted ? ERROR_DAG_NOT_FOUND : ERROR_ALREADY_FIRED;
        verdict->covered_ms = dag ? dag->covered_ms : 0;
    } else if (dag->paused && record_fire_is_paused(fire)) {
        verdict->refused = true;
        verdict->code = ERROR_PRECONDITION_FAILED;
    }
}

static void judge(struct model *model, const struct record *record, struct verdict *verdict)
{
    if (verdict->refused)
        return;
    if (record->kind == RECORD_IDEMPOTENCY)
        judge_key(model, &record->idempotency, verdict);
    else if (record->kind == RECORD_FIRE || record->kind == RECORD_FIRE_RELEASE)
        judge_fire(model, record, verdict);
    else if (record->kind == RECORD_LETTER_RESOLVE)
        judge_letter(model, &record->letter_resolve, verdict);
    else if (record->kind == RECORD_RUN_CREATE || record->kind == RECORD_DAG_UPDATE ||
             record->kind == RECORD_DAG_DELETE || record->kind == RECORD_DAG_PAUSE)
        judge_dag(model, record, verdict);
}

/* ---- what each record does ---- */

static void create_run(struct model *model, const struct record_run *row)
{
    MUST(!model_find(model, row->id), "two runs of one id");
    MUST(row->state == RUN_PENDING && row->created_ms > 0, "a run is born pending");
    MUST(row->task_count == row->dag->task_count, "a run of another number of tasks");
    struct model_run *run = mem_new(struct model_run);
    run->run = *row;
    run->run.dag = dag_ref(row->dag);
    run->run.request_id = NULL;
    run->run.trace = NULL;
    run->run.outcomes = NULL;
    if (row->outcomes_len) {
        run->run.outcomes = mem_dup(row->outcomes, row->outcomes_len);
        run->plan = mem_alloc(row->task_count);
        MUST(record_runs_decode(row->outcomes, row->outcomes_len, run->plan, row->task_count), "a plan cannot be read");
    }
    run->last = mem_new_array(uint32_t, row->task_count);
    for (uint32_t i = 0; i < row->task_count; i++)
        run->last[i] = NO_ROW;
    model->runs = mem_grow(model->runs, &model->run_cap, model->run_count + 1, sizeof *model->runs);
    model->runs[model->run_count++] = run;
}

static struct model_run *active(const struct model *model, struct uuid id)
{
    struct model_run *run = model_find(model, id);
    MUST(run, "a record of a run that was never born");
    MUST(!run->ended, "a record of a run that has ended");
    return run;
}

static void check_claim(const struct model *model, const struct model_run *run, const struct record_attempt *row)
{
    const struct dag_task *task = &run->run.dag->tasks[row->task];
    const struct record_attempt *last = model_last(run, row->task);
    MUST(run->run.state == RUN_RUNNING, "task %u: a claim before the run has started", row->task);
    MUST(!run->run.cancel_ms, "task %u: a claim in a run that is being canceled", row->task);
    MUST(row->fence > model->fence_max, "task %u: a fence that does not grow", row->task);
    MUST(row->number == (last ? last->number + 1 : 1), "task %u: attempt numbers have a gap", row->task);
    MUST(!run->plan || !run->plan[row->task], "task %u: a claim of a task that was kept or skipped", row->task);
    MUST(!last || last->state != ATTEMPT_RUNNING, "task %u: two live attempts", row->task);
    MUST(!last || last->retry_ms, "task %u: a claim after the last attempt was final", row->task);
    for (uint32_t i = 0; i < task->dependency_count; i++)
        MUST(model_satisfied(run, task->dependencies[i]), "task %u: claimed before its dependency %u", row->task,
             task->dependencies[i]);
    uint32_t lost = model_count(run, row->task, ATTEMPT_LOST);
    uint32_t failed = model_count(run, row->task, ATTEMPT_FAILED) + model_count(run, row->task, ATTEMPT_TIMED_OUT);
    MUST(failed < task->retry.max_attempts, "task %u: more attempts than maxAttempts", row->task);
    MUST(lost <= LIMIT_LOST_RETRIES_MAX, "task %u: more repeats of lost attempts than allowed", row->task);
    MUST(!lost || task->on_lost == DAG_ON_LOST_RETRY, "task %u: onLost fail, and yet repeated", row->task);
    MUST(task->on_lost == DAG_ON_LOST_RETRY || !uuid_is_zero(row->worker), "task %u: onLost fail claimed ahead",
         row->task);
}

static void claim(struct model *model, const struct record_attempt *row)
{
    struct model_run *run = active(model, row->run_id);
    check_claim(model, run, row);
    run->rows = mem_grow(run->rows, &run->row_cap, run->row_count + 1, sizeof *run->rows);
    run->rows[run->row_count] = (struct model_row){.attempt = *row, .before = run->last[row->task]};
    run->rows[run->row_count].attempt.error = NULL;
    run->last[row->task] = (uint32_t)run->row_count++;
    run->running++;
    model->fence_max = row->fence;
    model->claims++;
}

static struct model_row *running_row(struct model_run *run, const struct record_attempt *row)
{
    struct model_row *there = run->last[row->task] == NO_ROW ? NULL : &run->rows[run->last[row->task]];
    MUST(there && there->attempt.state == ATTEMPT_RUNNING, "task %u: an end without a claim, or a second end",
         row->task);
    MUST(there->attempt.fence == row->fence && there->attempt.number == row->number, "task %u: a stale fence",
         row->task);
    return there;
}

static void end_attempt(struct model *model, const struct record_attempt *row)
{
    struct model_run *run = active(model, row->run_id);
    struct model_row *there = running_row(run, row);
    MUST(state_attempt_is_terminal(row->state), "task %u: an end that is none", row->task);
    MUST((row->retry_ms != 0) == (row->task_state == TASK_PENDING), "task %u: a retry without a time", row->task);
    MUST(row->task_state != TASK_PENDING || !run->run.cancel_ms, "task %u: a retry in a canceled run", row->task);
    MUST((row->state == ATTEMPT_SUCCEEDED) == (row->task_state == TASK_SUCCEEDED), "task %u: an invented result",
         row->task);
    MUST(row->state != ATTEMPT_CANCELED || run->run.cancel_ms, "task %u: canceled though nobody asked", row->task);
    MUST((row->state == ATTEMPT_SUCCEEDED) == (row->error_type == FAILURE_NONE) || row->state == ATTEMPT_CANCELED,
         "task %u: a failure without a reason", row->task);
    MUST(row->ended_ms >= row->started_ms, "task %u: ended before it started", row->task);
    char *error = row->error ? mem_strdup(row->error) : NULL;
    there->attempt = *row;
    there->attempt.error = error;
    run->running--;
    model->ends++;
    model->lost += row->state == ATTEMPT_LOST;
    enum task_state said = model_task(run, row->task);
    MUST(said == row->task_state, "task %u: the record says %s and its rows say %s", row->task,
         state_task_name(row->task_state), state_task_name(said));
}

static void withdraw(struct model *model, const struct record_attempt *row)
{
    struct model_run *run = active(model, row->run_id);
    struct model_row *there = running_row(run, row);
    there->gone = true;
    run->last[row->task] = there->before;
    run->running--;
    model->withdrawals++;
}

static void add_letter(struct model *model, const struct record_letter *row)
{
    struct model_run *run = active(model, row->run_id);
    MUST(model_task(run, row->task) == TASK_FAILED, "task %u: a dead letter of a task that has not failed", row->task);
    MUST(!model_find_letter(model, row->run_id, row->task), "task %u: two dead letters", row->task);
    MUST(strcmp(row->task_id, run->run.dag->tasks[row->task].id) == 0, "task %u: a letter of another name", row->task);
    model->letters = mem_grow(model->letters, &model->letter_cap, model->letter_count + 1, sizeof *model->letters);
    model->letters[model->letter_count++] = (struct model_letter){
        .id = row->id, .run_id = row->run_id, .dag_id = row->dag_id, .task = row->task,
        .attempts = row->attempts, .error_type = row->error_type};
}

static void resolve_letter(struct model *model, const struct record_letter_resolve *row)
{
    for (size_t i = 0; i < model->letter_count; i++)
        if (uuid_equal(model->letters[i].id, row->id)) {
            model->letters[i].resolution = row->resolution;
            model->letters[i].resolved_run = row->run_id;
        }
}

static void check_end(const struct model *model, const struct model_run *run, const struct record_run *row)
{
    MUST(run->running == 0, "a run ended while an attempt was running");
    MUST(state_run_is_terminal(row->state), "the end of a run that is none");
    MUST(row->completed_ms >= row->started_ms && row->started_ms == run->run.started_ms, "a run's times are wrong");
    uint32_t counts[TASK_STATE_COUNT] = {0};
    uint8_t *must = mem_alloc(run->run.task_count);
    model_outcomes(run, must);
    for (uint32_t i = 0; i < run->run.task_count; i++) {
        MUST(run->outcomes[i] == must[i], "task %u: ended as %s, and its rows say %s", i,
             state_task_name((enum task_state)run->outcomes[i]), state_task_name((enum task_state)must[i]));
        MUST(must[i] != TASK_CANCELED || run->run.cancel_ms, "task %u: canceled though nobody asked", i);
        MUST(must[i] != TASK_FAILED || model_find_letter(model, run->run.id, i), "task %u: failed without a letter", i);
        counts[must[i]]++;
    }
    mem_free(must);
    MUST(counts[TASK_FAILED] == row->failed_count && counts[TASK_SUCCEEDED] == row->succeeded_count &&
             counts[TASK_SKIPPED] == row->skipped_count && counts[TASK_CANCELED] == row->canceled_count,
         "the counts of an ended run are wrong");
    int64_t limit = run->run.dag->timeout_ms;
    bool timed_out = limit && run->run.started_ms && run->run.cancel_ms >= run->run.started_ms + limit;
    enum run_state state = timed_out                              ? RUN_FAILED
                           : counts[TASK_CANCELED]                ? RUN_CANCELED
                           : counts[TASK_FAILED]                  ? RUN_FAILED
                                                                  : RUN_SUCCEEDED;
    MUST(row->state == state, "a run ended as %s instead of %s", state_run_name(row->state), state_run_name(state));
    MUST((row->error != NULL) == (state == RUN_FAILED), "a run that failed says why, no other");
}

static void end_run(struct model *model, const struct record_run *row)
{
    struct model_run *run = active(model, row->id);
    run->outcomes = mem_alloc(run->run.task_count);
    MUST(record_runs_decode(row->outcomes, row->outcomes_len, run->outcomes, run->run.task_count),
         "the outcomes of a run cannot be read");
    check_end(model, run, row);
    run->run.state = row->state;
    run->run.completed_ms = row->completed_ms;
    run->ended = true;
    for (size_t i = 0; row->resolves_source && i < model->letter_count; i++)
        if (uuid_equal(model->letters[i].run_id, run->run.source) &&
            model->letters[i].resolution == RESOLUTION_PENDING) {
            model->letters[i].resolution = RESOLUTION_RETRIED;
            model->letters[i].resolved_run = row->id;
        }
}

static void start_run(struct model *model, const struct record_run *row)
{
    struct model_run *run = active(model, row->id);
    MUST(run->run.state == RUN_PENDING, "a run started twice");
    MUST(row->started_ms >= run->run.created_ms, "a run started before it was made");
    run->run.state = RUN_RUNNING;
    run->run.started_ms = row->started_ms;
}

static void cancel_run(struct model *model, const struct record_run *row)
{
    struct model_run *run = active(model, row->id);
    MUST(run->run.cancel_ms == 0 && row->cancel_ms != 0, "a run canceled twice, or at no time");
    run->run.cancel_ms = row->cancel_ms;
}

static void add_key(struct model *model, const struct record_idempotency *row)
{
    model->keys = mem_grow(model->keys, &model->key_cap, model->key_count + 1, sizeof *model->keys);
    model->keys[model->key_count++] =
        (struct model_key){mem_strdup(row->key), row->dag_id, row->run_id, row->digest, row->created_ms};
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void change_dag(struct model *model, const struct record *record, struct verdict *verdict)
{
    if (record->kind == RECORD_DAG_CREATE) {
        (void)model_add_dag(model);
        struct model_dag *made = &model->dags[model->dag_count - 1];
        made->id = record->dag.id;
        made->dag = dag_ref(record->dag.dag);
        made->covered_ms = record->dag.time_ms;
        return;
    }
    struct model_dag *dag = find_dag(model, record->dag.id);
    if (record->kind == RECORD_DAG_DELETE) {
        dag->deleted = true;
        for (size_t i = 0; i < model->fire_count; i++)
            if (model->fires[i].outcome == FIRE_QUEUED && uuid_equal(model->fires[i].dag_id, dag->id))
                model->fires[i].outcome = FIRE_SKIPPED;
    } else if (record->kind == RECORD_DAG_PAUSE) {
        dag->paused = record->dag.paused;
    } else {
        verdict->version = ++dag->version;
        bool same = dag->dag && is_same_text(dag->dag->schedule.cron, record->dag.dag->schedule.cron) &&
                    is_same_text(dag->dag->schedule.timezone, record->dag.dag->schedule.timezone);
        if (!same && record->dag.time_ms > dag->covered_ms)
            dag->covered_ms = record->dag.time_ms;
        dag_unref(dag->dag);
        dag->dag = dag_ref(record->dag.dag);
    }
}

static void add_fire(struct model *model, const struct record *record)
{
    const struct record_fire *fire = &record->fire;
    struct model_dag *dag = find_dag(model, fire->dag_id);
    if (record->kind == RECORD_FIRE_RELEASE) {
        struct record_fire *row = find_fire(model, fire->id);
        row->outcome = FIRE_FIRED;
        row->run_id = fire->run_id;
        return;
    }
    MUST(!find_fire(model, fire->id), "two fires of one id");
    MUST(fire->from_ms <= fire->to_ms && fire->count >= 1, "a fire that covers nothing");
    MUST(fire->count == 1 || fire->outcome == FIRE_SKIPPED, "several instants are fired as one");
    MUST(fire->from_ms <= fire->created_ms && fire->to_ms <= fire->created_ms, "an instant before its time");
    MUST((fire->reason != FIRE_REASON_NONE) == (fire->outcome == FIRE_SKIPPED), "what is skipped says why, no other");
    MUST((fire->outcome != FIRE_FIRED) || !uuid_is_zero(fire->run_id), "fired without a run");
    model->fires = mem_grow(model->fires, &model->fire_cap, model->fire_count + 1, sizeof *model->fires);
    model->fires[model->fire_count++] = *fire;
    if (fire->trigger == TRIGGER_SCHEDULE)
        dag->covered_ms = fire->to_ms;
}

static void apply(struct model *model, const struct record *record, struct verdict *verdict)
{
    switch (record->kind) {
    case RECORD_DAG_CREATE:
    case RECORD_DAG_UPDATE:
    case RECORD_DAG_DELETE:
    case RECORD_DAG_PAUSE: change_dag(model, record, verdict); return;
    case RECORD_FIRE:
    case RECORD_FIRE_RELEASE: add_fire(model, record); return;
    case RECORD_IDEMPOTENCY: add_key(model, &record->idempotency); return;
    case RECORD_RUN_CREATE: create_run(model, &record->run); return;
    case RECORD_LETTER_RESOLVE: resolve_letter(model, &record->letter_resolve); return;
    case RECORD_RUN_START: start_run(model, &record->run); return;
    case RECORD_RUN_CANCEL: cancel_run(model, &record->run); return;
    case RECORD_RUN_END: end_run(model, &record->run); return;
    case RECORD_ATTEMPT_CLAIM: claim(model, &record->attempt); return;
    case RECORD_ATTEMPT_END: end_attempt(model, &record->attempt); return;
    case RECORD_ATTEMPT_WITHDRAW: withdraw(model, &record->attempt); return;
    case RECORD_LETTER: add_letter(model, &record->letter); return;
    case RECORD_ATTEMPT_START:
    case RECORD_KIND_COUNT: return;
    }
}

void model_commit(struct model *model, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct record *record = &batch->records[i];
        bool conditional = record->kind <= RECORD_LETTER_RESOLVE;
        MUST(conditional == (record->group != 0), "a record of kind %d in group %u", (int)record->kind, record->group);
        struct verdict *verdict = record->group ? &batch->verdicts[record->group - 1] : NULL;
        bool first = verdict && (i == 0 || batch->records[i - 1].group != record->group);
        for (size_t n = i; first && n < batch->count && batch->records[n].group == record->group; n++)
            judge(model, &batch->records[n], verdict);
        if (!verdict || !verdict->refused)
            apply(model, record, verdict);
    }
}

static int by_task(const void *a, const void *b)
{
    const struct record_attempt *left = a, *right = b;
    if (left->task != right->task)
        return left->task < right->task ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void load_schedule(const struct model *model, const struct model_dag *dag, struct engine *engine)
{
    struct record_fire *queued = mem_new_array(struct record_fire, model->fire_count + 1);
    size_t count = 0;
    struct error err;
    for (size_t i = 0; i < model->fire_count; i++)
        if (model->fires[i].outcome == FIRE_QUEUED && uuid_equal(model->fires[i].dag_id, dag->id))
            queued[count++] = model->fires[i];
    const struct engine_schedule schedule = {.dag_id = dag->id,
                                             .dag = dag_ref(dag->dag),
                                             .dag_version = dag->version,
                                             .paused = dag->paused,
                                             .covered_ms = dag->covered_ms,
                                             .paused_to_ms = dag->paused_to_ms,
                                             .queued = queued,
                                             .queued_count = count};
    int code = engine_restore_schedule(engine, &schedule, &err);
    MUST(code == 0 || code == ERROR_IO, "a schedule cannot be restored: %s", err.text);
    mem_free(queued);
}

void model_load(struct model *model, struct engine *engine, struct live *live, struct engine_now now)
{
    for (size_t i = 0; i < model->run_count; i++) {
        struct model_run *run = model->runs[i];
        if (run->ended)
            continue;
        struct record_attempt *rows = mem_new_array(struct record_attempt, run->row_count + 1);
        size_t count = 0;
        for (size_t n = 0; n < run->row_count; n++)
            if (!run->rows[n].gone)
                rows[count++] = run->rows[n].attempt;
        qsort(rows, count, sizeof *rows, by_task);
        if (live)
            live_restore(live, &run->run, rows, count);
        struct record_run row = run->run;
        row.dag = dag_ref(run->run.dag);
        struct error err;
        int code = engine_restore_run(engine, &row, rows, count, now, &err);
        MUST(code == 0, "a run cannot be restored: %s", err.text);
        mem_free(rows);
    }
    for (size_t i = 0; i < model->dag_count; i++)
        if (model->dags[i].dag && !model->dags[i].deleted)
            load_schedule(model, &model->dags[i], engine);
}
