/* The life of an attempt: claimed (a row, before anything starts), started (the worker's word), ended. What follows
 * an end is decided here: success counts dependents down, a failure is repeated or final, a loss follows onLost. */
#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

static const char worker_is_gone[] = "its worker is gone; the outcome is unknown";

struct try *engine_try(const struct engine_run *run, uint32_t task)
{
    uint32_t place = run->try_of[task];
    return place == NO_TRY ? NULL : &run->tries[place - 1];
}

struct try *engine_try_add(struct engine_run *run, uint32_t task)
{
    struct try *try = engine_try(run, task);
    if (try)
        return try;
    uint32_t place = run->free_try;
    if (place) {
        run->free_try = run->tries[place - 1].next_free;
    } else {
        run->tries = mem_grow(run->tries, &run->try_cap, run->try_count + 1, sizeof *run->tries);
        place = (uint32_t)++run->try_count;
    }
    run->try_of[task] = place;
    try = &run->tries[place - 1];
    *try = (struct try){.task = task, .worker = NO_WORKER};
    return try;
}

void engine_try_drop(struct engine_run *run, uint32_t task)
{
    uint32_t place = run->try_of[task];
    assert(place != NO_TRY);
    run->tries[place - 1].next_free = run->free_try;
    run->tries[place - 1].task = NO_TASK;
    run->free_try = place;
    run->try_of[task] = NO_TRY;
}

bool engine_try_repeats_loss(const struct engine_run *run, const struct try *try)
{
    return run->dag->tasks[try->task].on_lost == DAG_ON_LOST_RETRY && try->lost <= LIMIT_LOST_RETRIES_MAX;
}

static struct effect effect_for(const struct engine *engine, enum effect_kind kind, const struct engine_run *run,
                                const struct try *try)
{
    return (struct effect){
        .kind = kind,
        .task = try->task,
        .number = try->number,
        .fence = try->fence,
        .worker = engine->workers[try->worker].id,
        .run_id = run->id,
    };
}

void engine_attempt_bind(struct engine *engine, struct try *try, uint32_t index)
{
    try->worker = index;
    engine->workers[index].running++;
    engine->running_attempts++;
}

/* Takes the attempt off its worker's slot. */
static void unbind(struct engine *engine, struct try *try)
{
    if (try->worker == NO_WORKER)
        return;
    assert(engine->workers[try->worker].running > 0);
    engine->workers[try->worker].running--;
    engine->running_attempts--;
    try->worker = NO_WORKER;
}

void engine_attempt_withdraw(struct engine *engine, struct engine_run *run, uint32_t task)
{
    struct try *try = engine_try(run, task);
    struct record_attempt *gone = &engine_record(engine, RECORD_ATTEMPT_WITHDRAW, 0)->attempt;
    gone->run_id = run->id;
    gone->task = task;
    gone->number = try->number;
    gone->fence = try->fence;
    unbind(engine, try);
    try->ahead = false;
    try->number--; /* it never was: the next claim takes its number */
    if (try->number == 0)
        engine_try_drop(run, task);
}

void engine_attempt_cancel_claim(struct engine *engine, struct engine_run *run, uint32_t task)
{
    engine_attempt_withdraw(engine, run, task);
    if (engine_try(run, task))
        engine_try_drop(run, task);
    engine_move_task(engine, run, task, TASK_CANCELED);
}

void engine_attempt_stop(struct engine *engine, struct engine_run *run, struct try *try)
{
    if (try->stopping || try->worker == NO_WORKER)
        return;
    try->stopping = true;
    struct effect effect = effect_for(engine, EFFECT_STOP, run, try);
    engine_effect(engine, &effect, engine_batch_now(engine));
}

/* The delay before attempt number failures + 1: initial * multiplier^(failures - 1), capped, with jitter. */
static int64_t retry_delay(struct engine *engine, const struct dag_retry *retry, uint32_t failures)
{
    double delay = (double)retry->initial_delay_ms;
    if (retry->backoff == DAG_BACKOFF_EXPONENTIAL)
        for (uint32_t i = 1; i < failures && delay < (double)retry->max_delay_ms; i++)
            delay *= retry->multiplier;
    if (retry->max_delay_ms && delay > (double)retry->max_delay_ms)
        delay = (double)retry->max_delay_ms;
    double unit = (double)(engine_random(engine) >> 11) / 9007199254740992.0; /* [0, 1) */
    delay *= 1.0 + retry->jitter * (2.0 * unit - 1.0);
    return delay < 1.0 ? 1 : (int64_t)delay;
}

static void write_letter(struct engine *engine, const struct engine_run *run, const struct try *try,
                         const struct engine_attempt *end, struct engine_now now)
{
    const struct dag_task *task = &run->dag->tasks[try->task];
    struct record_letter *letter = &engine_record(engine, RECORD_LETTER, 0)->letter;
    letter->id = engine_new_id(engine, now.wall_ms);
    letter->run_id = run->id;
    letter->dag_id = run->dag_id;
    letter->task = try->task;
    letter->task_id = engine_keep_text(engine, task->id);
    letter->task_name = engine_keep_text(engine, task->name);
    letter->dag_name = engine_keep_text(engine, run->dag->name);
    letter->error_type = end->error_type;
    letter->error = engine_keep_text(engine, end->error);
    letter->attempts = try->number;
    letter->config = engine_letter_config(run->dag, try->task, &engine->open->arena);
    letter->created_ms = now.wall_ms;
}

static void task_failed(struct engine *engine, struct engine_run *run, const struct try *try,
                        const struct engine_attempt *end, struct engine_now now)
{
    uint32_t task = try->task;
    if (!run->error)
        run->error = mem_printf("task '%s' failed: %s", run->dag->tasks[task].id,
                                end->error ? end->error : state_failure_name(end->error_type));
    write_letter(engine, run, try, end, now);
    engine_move_task_quietly(engine, run, task, TASK_FAILED);
    engine_run_skip_dependents(engine, run, task);
}

/* What becomes of the task: its next state, and the delay of its next attempt if that is pending. */
static enum task_state decide(struct engine *engine, const struct engine_run *run, struct try *try,
                              const struct engine_attempt *end, int64_t *ret_delay_ms)
{
    const struct dag_task *task = &run->dag->tasks[try->task];
    *ret_delay_ms = 0;
    switch (end->outcome) {
    case ATTEMPT_SUCCEEDED:
        return TASK_SUCCEEDED;
    case ATTEMPT_CANCELED:
        return TASK_CANCELED;
    case ATTEMPT_LOST:
        try->lost++;
        if (!engine_try_repeats_loss(run, try))
            return TASK_FAILED;
        return run->canceling ? TASK_CANCELED : TASK_PENDING;
    default:
        try->failures++;
        if (run->canceling || !end->retryable || try->failures >= task->retry.max_attempts)
            return TASK_FAILED;
        *ret_delay_ms = retry_delay(engine, &task->retry, try->failures);
        return TASK_PENDING;
    }
}

static void record_end(struct engine *engine, const struct engine_run *run, const struct try *try,
                       const struct engine_attempt *end, struct uuid worker, enum task_state next, int64_t retry_ms,
                       struct engine_now now)
{
    struct record_attempt *row = &engine_record(engine, RECORD_ATTEMPT_END, 0)->attempt;
    int64_t started = end->started_ms ? end->started_ms : try->started_ms;
    int64_t ended = end->ended_ms ? end->ended_ms : now.wall_ms;
    /* the clock may have been set back in between */
    if (started && started < try->claimed_ms)
        started = try->claimed_ms;
    *row = (struct record_attempt){
        .run_id = run->id,
        .task = try->task,
        .number = try->number,
        .fence = try->fence,
        .worker = worker,
        .error_type = end->error_type,
        .error = engine_keep_text(engine, end->error),
        .exit_code = end->exit_code,
        .signal = end->signal,
        .http_status = end->http_status,
        .claimed_ms = try->claimed_ms,
        .started_ms = started,
        .ended_ms = ended > started ? ended : started,
        .cpu_us = end->cpu_us,
        .max_rss_bytes = end->max_rss_bytes,
        .log_bytes = end->log_bytes,
        .log = end->log ? engine_keep_bytes(engine, end->log, end->log_len) : NULL,
        .log_len = end->log ? end->log_len : 0,
        .retry_ms = retry_ms,
        .task_state = next,
    };
    engine_move_attempt(row, end->outcome);
}

void engine_attempt_end(struct engine *engine, struct engine_run *run, struct try *try,
                        const struct engine_attempt *end, struct engine_now now)
{
    uint32_t task = try->task;
    struct engine_attempt as_lost = *end;
    if (end->outcome == ATTEMPT_CANCELED && !run->canceling) {
        /* nobody asked for this one: it was ended with its worker */
        as_lost.outcome = ATTEMPT_LOST;
        as_lost.error_type = FAILURE_LOST;
        end = &as_lost;
    }
    struct uuid worker = try->worker == NO_WORKER ? try->claimed_by : engine->workers[try->worker].id;
    if (!uuid_is_zero(end->worker))
        worker = end->worker;
    int64_t delay_ms;
    enum task_state next = decide(engine, run, try, end, &delay_ms);
    int64_t retry_ms = next == TASK_PENDING ? now.wall_ms + delay_ms : 0;
    record_end(engine, run, try, end, worker, next, retry_ms, now);
    unbind(engine, try);
    if (next == TASK_PENDING) {
        engine_move_task_quietly(engine, run, task, TASK_PENDING);
        engine_timer_add(engine, (struct timer){now.boot_ms + delay_ms, run->id, task});
        try->stopping = false;
        return;
    }
    if (next == TASK_SUCCEEDED)
        engine_run_task_succeeded(engine, run, task);
    else if (next == TASK_FAILED)
        task_failed(engine, run, try, end, now);
    else
        engine_move_task_quietly(engine, run, task, TASK_CANCELED);
    engine_try_drop(run, task);
}

void engine_attempt_lost(struct engine *engine, struct engine_run *run, struct try *try, const char *why,
                         struct engine_now now)
{
    struct engine_attempt end = {
        .outcome = ATTEMPT_LOST,
        .error_type = FAILURE_LOST,
        .error = why,
        .exit_code = -1,
        .retryable = true,
    };
    engine_attempt_end(engine, run, try, &end, now);
}

struct try *engine_attempt_find(struct engine *engine, const struct engine_attempt *attempt,
                                struct engine_run **ret_run)
{
    struct engine_run *run = engine_find_run(engine, attempt->run_id);
    *ret_run = run;
    if (!run || attempt->task >= run->dag->task_count)
        return NULL;
    struct try *try = engine_try(run, attempt->task);
    if (try && try->ahead && try->fence == attempt->fence)
        engine_ahead_begun(engine, run, try);
    if (!try || run->tasks[attempt->task] != TASK_RUNNING || try->number != attempt->number ||
        try->fence != attempt->fence)
        return NULL;
    return try;
}

static struct effect effect_to(struct uuid worker, enum effect_kind kind, const struct engine_attempt *attempt)
{
    return (struct effect){
        .kind = kind,
        .task = attempt->task,
        .number = attempt->number,
        .fence = attempt->fence,
        .worker = worker,
        .run_id = attempt->run_id,
    };
}

void engine_attempt_started(struct engine *engine, struct uuid worker, const struct engine_attempt *attempt,
                            struct engine_now now)
{
    struct engine_run *run;
    struct try *try = engine_attempt_find(engine, attempt, &run);
    if (!try)
        return;
    int64_t started = attempt->started_ms ? attempt->started_ms : now.wall_ms;
    try->started_ms = started > try->claimed_ms ? started : try->claimed_ms;
    struct record_attempt *row = &engine_record(engine, RECORD_ATTEMPT_START, 0)->attempt;
    row->run_id = run->id;
    row->task = try->task;
    row->number = try->number;
    row->fence = try->fence;
    row->worker = uuid_is_zero(attempt->worker) ? worker : attempt->worker;
    row->claimed_ms = try->claimed_ms;
    row->started_ms = try->started_ms;
    row->exit_code = -1;
}

void engine_attempt_ended(struct engine *engine, struct uuid worker, const struct engine_attempt *attempt,
                          struct engine_now now)
{
    struct engine_run *run;
    struct try *try = engine_attempt_find(engine, attempt, &run);
    uint32_t index = engine_worker_find(engine, worker);
    if (index != NO_WORKER)
        engine->workers[index].slow = false;
    if (try) {
        engine_attempt_end(engine, run, try, attempt, now);
        engine_run_finish_if_done(engine, run, now);
    }
    /* a stale end changes nothing; the worker may forget it as soon as all that is known is durable */
    struct effect ack = effect_to(worker, EFFECT_ACK, attempt);
    engine_effect(engine, &ack, engine_batch_now(engine));
}

void engine_attempt_meet(struct engine *engine, uint32_t index, const struct engine_attempt *held,
                         struct engine_now now)
{
    struct engine_run *run;
    struct try *try = engine_attempt_find(engine, held, &run);
    struct uuid worker = engine->workers[index].id;
    if (try && try->worker == NO_WORKER)
        engine_attempt_bind(engine, try, index);
    if (held->ended) {
        engine->ended_meanwhile += try != NULL;
        engine_attempt_ended(engine, worker, held, now);
        return;
    }
    if (try && !run->canceling) {
        if (held->started_ms)
            engine_attempt_started(engine, worker, held, now);
        return;
    }
    if (try)
        try->stopping = true;
    struct effect stop = effect_to(worker, EFFECT_STOP, held);
    engine_effect(engine, &stop, engine_batch_now(engine));
}

bool engine_attempt_is_held(const struct engine_attempt *held, size_t count, const struct engine_run *run,
                            const struct try *try)
{
    for (size_t i = 0; i < count; i++)
        if (held[i].task == try->task && held[i].number == try->number && held[i].fence == try->fence &&
            uuid_equal(held[i].run_id, run->id))
            return true;
    return false;
}

void engine_attempt_take_back(struct engine *engine, struct engine_run *run, uint32_t task)
{
    if (run->canceling) {
        engine_attempt_cancel_claim(engine, run, task);
        return;
    }
    engine_attempt_withdraw(engine, run, task);
    engine_move_task(engine, run, task, TASK_QUEUED);
    engine_ready_push(engine, run, task);
}

/* Starts that were on the way when the link broke and that the living worker never saw. */
static void withdraw_unseen(struct engine *engine, uint32_t index, const struct engine_attempt *held, size_t count)
{
    for (struct engine_run *run = engine->first_run; run; run = run->next) {
        for (size_t i = 0; i < run->try_count; i++) {
            struct try *try = &run->tries[i];
            if (try->task == NO_TASK || try->worker != index ||
                engine_attempt_is_held(held, count, run, try))
                continue;
            uint32_t task = try->task;
            engine_attempt_take_back(engine, run, task);
        }
    }
}

uint32_t engine_worker_find(const struct engine *engine, struct uuid id)
{
    for (size_t i = 0; i < engine->worker_count; i++)
        if (engine->workers[i].up && uuid_equal(engine->workers[i].id, id))
            return (uint32_t)i;
    return NO_WORKER;
}

uint32_t engine_worker_get(struct engine *engine, struct uuid id)
{
    uint32_t known = engine_worker_find(engine, id), index = 0;
    if (known != NO_WORKER)
        return known;
    while (index < engine->worker_count && (engine->workers[index].up || engine->workers[index].running))
        index++;
    engine->workers = mem_grow(engine->workers, &engine->worker_cap, index + 1, sizeof *engine->workers);
    if (index == engine->worker_count)
        engine->worker_count++;
    engine->workers[index] = (struct worker){.id = id, .up = true};
    return index;
}

static void finish_all_done(struct engine *engine, struct engine_now now)
{
    for (struct engine_run *run = engine->first_run, *next; run; run = next) {
        next = run->next;
        engine_run_finish_if_done(engine, run, now);
    }
}

/* Starts that were decided but not sent: the worker cannot have seen them. */
static void take_back_unsent(struct engine *engine, struct uuid worker)
{
    size_t kept = 0;
    for (size_t i = 0; i < engine->held_count; i++) {
        struct effect *effect = &engine->held[i].effect;
        if (effect->kind != EFFECT_START || !uuid_equal(effect->worker, worker)) {
            engine->held[kept++] = engine->held[i];
            continue;
        }
        dag_unref(effect->dag);
        origin_unref(effect->origin);
        struct engine_run *run = engine_find_run(engine, effect->run_id);
        struct try *try = run ? engine_try(run, effect->task) : NULL;
        if (try && try->fence == effect->fence && !engine_ahead_unsent(engine, run, effect->task))
            engine_attempt_take_back(engine, run, effect->task);
    }
    engine->held_count = kept;
}

static bool awaits_any(const struct engine *engine)
{
    for (size_t i = 0; i < engine->worker_count; i++)
        if (engine->workers[i].awaited)
            return true;
    return false;
}

/* Claims that name no worker, and guests: every worker that may hold one has now said what it holds, or is lost. */
static void settle_unnamed(struct engine *engine, struct engine_now now)
{
    if (!engine->unnamed_wait || awaits_any(engine))
        return;
    engine->unnamed_wait = false;
    for (struct engine_run *run = engine->first_run; run; run = run->next) {
        for (size_t i = 0; i < run->try_count; i++) {
            struct try *try = &run->tries[i];
            uint32_t task = try->task;
            if (task == NO_TASK || run->tasks[task] != TASK_RUNNING || try->worker != NO_WORKER ||
                !uuid_is_zero(try->claimed_by))
                continue;
            if (engine->worker_died)
                engine_attempt_lost(engine, run, try, worker_is_gone, now);
            else
                engine_attempt_take_back(engine, run, task);
        }
    }
    engine_guests_lost(engine, NO_WORKER);
}

void engine_worker_joined(struct engine *engine, struct uuid worker, uint32_t slots, const struct engine_attempt *held,
                          size_t held_count, struct engine_now now)
{
    uint32_t index = engine_worker_find(engine, worker);
    if (index == NO_WORKER) {
        index = engine_worker_get(engine, worker);
    } else {
        take_back_unsent(engine, worker);
        withdraw_unseen(engine, index, held, held_count);
        engine_ahead_unseen(engine, index, held, held_count);
        engine_guests_unseen(engine, index, held, held_count);
    }
    engine->workers[index].awaited = false;
    engine->workers[index].slots = slots;
    for (size_t i = 0; i < held_count; i++)
        if (!engine_guest_meet(engine, index, &held[i]))
            engine_attempt_meet(engine, index, &held[i], now);
    settle_unnamed(engine, now);
    finish_all_done(engine, now);
}

void engine_worker_awaited(struct engine *engine, struct uuid worker)
{
    assert(engine_worker_find(engine, worker) == NO_WORKER);
    uint32_t index = engine_worker_get(engine, worker);
    engine->workers[index].awaited = true;
}

bool engine_is_unsettled(const struct engine *engine)
{
    return engine->unnamed_wait;
}

bool engine_worker_matters(const struct engine *engine, struct uuid worker)
{
    uint32_t index = engine_worker_find(engine, worker);
    return index != NO_WORKER && (engine->workers[index].running || engine->unnamed_wait);
}

void engine_worker_lost(struct engine *engine, struct uuid worker, struct engine_now now)
{
    uint32_t index = engine_worker_find(engine, worker);
    if (index == NO_WORKER)
        return;
    take_back_unsent(engine, worker);
    engine_ahead_lost(engine, index);
    for (struct engine_run *run = engine->first_run; run; run = run->next)
        for (size_t i = 0; i < run->try_count; i++)
            if (run->tries[i].task != NO_TASK && run->tries[i].worker == index)
                engine_attempt_lost(engine, run, &run->tries[i], "the worker died; the outcome is unknown", now);
    engine_guests_lost(engine, index);
    engine->worker_died |= engine->workers[index].awaited;
    engine->workers[index].up = engine->workers[index].awaited = false;
    engine->urgent = true;
    settle_unnamed(engine, now);
    finish_all_done(engine, now);
}

void engine_adopt_run(struct engine *engine, struct uuid run_id, struct engine_now now)
{
    struct engine_run *run = engine_find_run(engine, run_id);
    for (size_t i = 0; run && i < run->try_count; i++) {
        struct try *try = &run->tries[i];
        if (try->task == NO_TASK || run->tasks[try->task] != TASK_RUNNING || try->worker != NO_WORKER)
            continue;
        uint32_t task = try->task;
        if (engine_is_node(try->claimed_by, NULL))
            engine_attempt_take_back(engine, run, task); /* no node had taken it */
        else
            engine_attempt_lost(engine, run, try, "its node is gone; the outcome is unknown", now);
    }
    engine->urgent = true;
    finish_all_done(engine, now);
}

/* What becomes of an attempt that was running when the last daemon ended and that no worker brought. */
static void reconcile(struct engine *engine, struct engine_run *run, struct try *try, struct engine_now now,
                      struct engine_recovery *counts)
{
    uint32_t index = engine_worker_find(engine, try->claimed_by), task = try->task;
    bool unnamed = uuid_is_zero(try->claimed_by);
    if (index != NO_WORKER && engine->workers[index].awaited) {
        counts->awaited++;
        engine_attempt_bind(engine, try, index);
    } else if (unnamed && awaits_any(engine)) {
        counts->awaited++;
        engine->unnamed_wait = true;
    } else if (unnamed ? !engine->worker_died : index != NO_WORKER || engine_is_node(try->claimed_by, NULL)) {
        counts->withdrawn++;
        engine_attempt_take_back(engine, run, task);
    } else {
        counts->lost++;
        engine_attempt_lost(engine, run, try, worker_is_gone, now);
    }
}

void engine_reconcile(struct engine *engine, bool worker_died, struct engine_now now, struct engine_recovery *ret)
{
    *ret = (struct engine_recovery){.ended_meanwhile = engine->ended_meanwhile};
    engine->worker_died |= worker_died;
    for (struct engine_run *run = engine->first_run; run; run = run->next) {
        ret->runs++;
        for (size_t i = 0; i < run->try_count; i++) {
            struct try *try = &run->tries[i];
            if (try->task == NO_TASK || run->tasks[try->task] != TASK_RUNNING)
                continue;
            if (try->worker != NO_WORKER)
                ret->adopted++;
            else
                reconcile(engine, run, try, now, ret);
        }
    }
    if (engine->guest_count && awaits_any(engine))
        engine->unnamed_wait = true;
    else
        engine_guests_lost(engine, NO_WORKER);
    finish_all_done(engine, now);
}
