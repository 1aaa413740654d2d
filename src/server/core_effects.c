/* The engine's effects carried out by the pool, and the workers' words handed to the engine. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "server/core_model.h"

enum {
    LONG_US = 100000, /* attempts that usually take longer lose nothing to the commit before their start */
    LONGEST_US = 700000, /* while one of the last ones took longer, the best that is ready matters more than a commit */
    UNKNOWN_US = 1000000, /* as long as nothing has ended: about 25 short ones say otherwise */
    SHORT_US = 10000, /* those that are shorter lose much to the way of their end here and of the next start back */
};

static struct job_key key_of(const struct effect *effect)
{
    return (struct job_key){
        .run_id = effect->run_id, .fence = effect->fence, .task = effect->task, .number = effect->number};
}

static struct pool_run_jobs *jobs_of(struct core *core, const struct effect *effect)
{
    struct core_run_jobs *entry = map_get(&core->run_jobs, effect->run_id.bytes, sizeof effect->run_id.bytes);
    if (!entry) {
        entry = mem_new(struct core_run_jobs);
        entry->run_id = effect->run_id;
        const struct dag_expand_source *secrets = core->options.secrets.find ? &core->options.secrets : NULL;
        const struct pool_run_facts facts = {.dag_id = effect->dag_id,
                                             .run_id = effect->run_id,
                                             .origin = effect->origin,
                                             .scheduled_ms = effect->scheduled_ms};
        entry->jobs = pool_run_jobs_new(core->jobs, effect->dag, &facts, secrets);
        entry->origin = origin_ref(effect->origin);
        entry->dag = dag_ref(effect->dag);
        (void)map_set(&core->run_jobs, entry->run_id.bytes, sizeof entry->run_id.bytes, entry);
    }
    return entry->jobs;
}

void core_free_run_jobs(struct core_run_jobs *entry)
{
    pool_run_jobs_free(entry->jobs);
    origin_unref(entry->origin);
    dag_unref(entry->dag);
    mem_free(entry);
}

void core_forget_run(struct core *core, struct uuid run_id)
{
    struct core_run_jobs *entry = map_remove(&core->run_jobs, run_id.bytes, sizeof run_id.bytes);
    if (entry)
        core_free_run_jobs(entry);
}

/* The job cannot be made: the attempt fails with the reason, as if the worker had said so. */
static void fail_start(struct core *core, const struct effect *effect, const struct error *why)
{
    struct engine_attempt end = {
        .run_id = effect->run_id,
        .task = effect->task,
        .number = effect->number,
        .fence = effect->fence,
        .ended = true,
        .outcome = ATTEMPT_FAILED,
        .error_type = FAILURE_EXEC,
        .error = why->text,
        .exit_code = -1,
        .ended_ms = core->now.wall_ms,
    };
    if (!core_guest_ended(core, effect->worker, &end))
        engine_attempt_ended(core->engine, effect->worker, &end, core->now);
}

/* Everything that says which attempt it is, at debug: thousands come each second. */
static void log_attempt(const char *what, const struct origin *origin, struct uuid run_id, const struct dag_task *task,
                        uint32_t number, uint64_t fence, struct uuid worker_id, const char *outcome)
{
    char run[UUID_TEXT_LEN + 1], worker[UUID_TEXT_LEN + 1], attempt[16], parent[ORIGIN_TRACEPARENT_LEN + 1];
    char span[17];
    uuid_format(run_id, run);
    uuid_format(worker_id, worker);
    (void)snprintf(attempt, sizeof attempt, "%u", number);
    bool has_trace = origin_attempt(origin, run_id, fence, parent);
    if (has_trace) {
        memcpy(span, parent + 36, 16);
        span[16] = '\0';
    }
    log_with(LOG_DEBUG,
             log_fields("requestId", origin ? origin->request_id : NULL, "runId", run, "taskId", task->id, "attempt",
                        attempt, "workerId", worker, "outcome", outcome, "traceId",
                        has_trace ? origin->trace_id : NULL, "spanId", has_trace ? span : NULL),
             "%s", what);
}

static void start(struct core *core, const struct effect *effect)
{
    struct job job;
    struct error err;
    int code = pool_job_build(jobs_of(core, effect), effect->task, effect->number, effect->fence, &job, &err);
    job.may_wait = effect->may_wait;
    if (!code)
        code = pool_send_start(core->pool, effect->worker, &job, &err);
    if (log_enabled(LOG_DEBUG))
        log_attempt("attempt", effect->origin, effect->run_id, &effect->dag->tasks[effect->task], effect->number,
                    effect->fence, effect->worker, code ? "not started" : "started");
    if (code && code != ERROR_WORKER_NOT_FOUND) /* a dead worker's attempts are settled by on_worker_gone */
        fail_start(core, effect, &err);
    dag_unref(effect->dag);
    origin_unref(effect->origin);
}

void core_do_effects(struct core *core)
{
    struct effect *effects;
    for (size_t count; (count = engine_take_effects(core->engine, &effects));) {
        /* carrying one out can add to the engine's list: work on a copy */
        struct effect *mine = mem_dup(effects, count * sizeof *mine);
        for (size_t i = 0; i < count; i++) {
            struct job_key key = key_of(&mine[i]);
            if (core_do_elsewhere(core, &mine[i])) {
                dag_unref(mine[i].dag);
                origin_unref(mine[i].origin);
            } else if (mine[i].kind == EFFECT_START) {
                start(core, &mine[i]);
            } else if (mine[i].kind == EFFECT_RECALL) {
                (void)pool_recall(core->pool, mine[i].worker, &key);
            } else if (mine[i].kind == EFFECT_STOP) {
                (void)pool_stop_attempt(core->pool, mine[i].worker, &key, STOP_CANCEL);
            } else {
                (void)pool_ack(core->pool, mine[i].worker, &key);
            }
        }
        mem_free(mine);
    }
    pool_flush_urgent(core->pool);
}

static struct engine_attempt attempt_of_result(const struct job_result *result)
{
    return (struct engine_attempt){
        .run_id = result->key.run_id,
        .task = result->key.task,
        .number = result->key.number,
        .fence = result->key.fence,
        .ended = true,
        .retryable = result->retryable,
        .outcome = result->outcome,
        .error_type = result->error_type,
        .error = result->error,
        .exit_code = result->exit_code,
        .signal = result->signal,
        .http_status = result->http_status,
        .started_ms = result->started_ms,
        .ended_ms = result->ended_ms,
        .cpu_us = result->cpu_us,
        .max_rss_bytes = result->max_rss_bytes,
        .log_bytes = result->log_bytes,
        .log = result->log,
        .log_len = result->log_len,
    };
}

static struct engine_attempt attempt_of_start(const struct message_started *started)
{
    return (struct engine_attempt){
        .run_id = started->key.run_id,
        .task = started->key.task,
        .number = started->key.number,
        .fence = started->key.fence,
        .started_ms = started->started_ms,
        .exit_code = -1,
    };
}

static void on_worker_up(void *context, const struct pool_worker *worker)
{
    struct core *core = context;
    struct engine_attempt *held = mem_new_array(struct engine_attempt, worker->held_count);
    for (size_t i = 0; i < worker->held_count; i++)
        held[i] = worker->held[i].ended ? attempt_of_result(&worker->held[i].result)
                                        : attempt_of_start(&worker->held[i].started);
    (void)pthread_mutex_lock(&core->lock);
    core->shown.isolation = worker->isolation;
    (void)pthread_mutex_unlock(&core->lock);
    engine_worker_joined(core->engine, worker->id, worker->slots, held, worker->held_count, core->now);
    engine_set_worker_ahead(core->engine, worker->id, worker->keeps_waiting ? worker->slots : 0);
    for (size_t i = 0; i < worker->held_count; i++)
        (void)(held[i].ended ? core_guest_ended : core_guest_started)(core, worker->id, &held[i]);
    if (worker->draining)
        (void)engine_set_worker_draining(core->engine, worker->id, true);
    mem_free(held);
}

/* The batch that holds what was decided last. */
static uint64_t open_number(const struct core *core)
{
    return core->submitted + !engine_batch_is_empty(core->engine);
}

static void on_worker_gone(void *context, struct uuid worker_id, const char *reason)
{
    struct core *core = context;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(worker_id, id);
    if (core->phase < CORE_ENDING)
        log_with(LOG_WARN, log_fields("workerId", id), "a worker is gone: %s", reason);
    if (core->phase == CORE_RECOVERING)
        core->worker_died = true;
    engine_worker_lost(core->engine, worker_id, core->now);
    core->gone = mem_grow(core->gone, &core->gone_cap, core->gone_count + 1, sizeof *core->gone);
    core->gone[core->gone_count++] = (struct core_gone){worker_id, open_number(core)};
}

void core_forget_workers(struct core *core)
{
    size_t kept = 0;
    bool undecided = core->phase == CORE_RECOVERING || engine_is_unsettled(core->engine);
    for (size_t i = 0; i < core->gone_count; i++) {
        if (undecided || core->undecided) /* what was lost with them is decided only now, or later */
            core->gone[i].batch = open_number(core);
        if (core->gone[i].batch <= core->durable && !undecided)
            pool_forget_worker(core->pool, core->gone[i].id);
        else
            core->gone[kept++] = core->gone[i];
    }
    core->gone_count = kept;
    core->undecided = undecided;
}

static void on_started(void *context, struct uuid worker_id, const struct message_started *started)
{
    struct core *core = context;
    struct engine_attempt attempt = attempt_of_start(started);
    if (!core_guest_started(core, worker_id, &attempt))
        engine_attempt_started(core->engine, worker_id, &attempt, core->now);
}

/* Of one that began: what was canceled before has no length. */
static void learn(struct core *core, const struct job_result *result)
{
    int64_t taken_us = (result->ended_ms - result->started_ms) * 1000;
    core->usual_us += (taken_us - core->usual_us) / 16;
    core->longest_us -= core->longest_us / 64;
    if (taken_us > core->longest_us)
        core->longest_us = taken_us;
    engine_set_one_by_one(core->engine, core->usual_us > LONG_US || core->longest_us > LONGEST_US);
    engine_set_sends_ahead(core->engine, core->usual_us < SHORT_US);
    core->usual_cpu_us += (result->cpu_us - core->usual_cpu_us) / 16;
}

static void on_result(void *context, struct uuid worker_id, const struct job_result *result)
{
    struct core *core = context;
    struct engine_attempt attempt = attempt_of_result(result);
    if (result->started_ms)
        learn(core, result);
    const struct core_run_jobs *entry =
        log_enabled(LOG_DEBUG) ? map_get(&core->run_jobs, result->key.run_id.bytes, sizeof result->key.run_id.bytes)
                               : NULL;
    if (entry)
        log_attempt("attempt", entry->origin, result->key.run_id, &entry->dag->tasks[result->key.task],
                    result->key.number, result->key.fence, worker_id, state_attempt_name(result->outcome));
    if (!core_guest_ended(core, worker_id, &attempt))
        engine_attempt_ended(core->engine, worker_id, &attempt, core->now);
}

static void on_returned(void *context, struct uuid worker_id, const struct job_key *key)
{
    struct core *core = context;
    const struct engine_attempt attempt = {
        .run_id = key->run_id, .task = key->task, .number = key->number, .fence = key->fence};
    engine_attempt_returned(core->engine, worker_id, &attempt, core->now);
}

static void on_worker_silent(void *context, struct uuid worker_id, int32_t pid)
{
    struct core *core = context;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(worker_id, id);
    log_with(LOG_WARN, log_fields("workerId", id),
             "a worker of the last daemon lives (process %d) and does not say what it runs (is it stopped?): that goes "
             "on, and is lost when it dies", pid);
    engine_worker_awaited(core->engine, worker_id);
}

/* Of other runs, or of none: here nobody would ever take its results, and elsewhere they may run again. */
static void end_silent_strangers(struct core *core)
{
    size_t most = engine_counts(core->engine).workers;
    struct engine_worker_view *views = mem_new_array(struct engine_worker_view, most);
    size_t count = engine_workers(core->engine, views, most);
    for (size_t i = 0; i < count; i++)
        if (views[i].awaited && !engine_worker_matters(core->engine, views[i].id))
            pool_end_silent(core->pool, views[i].id);
    mem_free(views);
}

static void on_adopted(void *context)
{
    struct core *core = context;
    if (core->phase != CORE_RECOVERING)
        return;
    struct engine_recovery recovery;
    engine_reconcile(core->engine, core->worker_died, core->now, &recovery);
    end_silent_strangers(core);
    core->longest_us = UNKNOWN_US;
    engine_set_one_by_one(core->engine, true);
    core->phase = CORE_SERVING;
    char awaited[64] = "";
    if (recovery.awaited)
        (void)snprintf(awaited, sizeof awaited, ", %u wait for workers that are silent", recovery.awaited);
    if (recovery.runs)
        log_info("recovered %u run%s: %u attempts go on, %u ended meanwhile, %u never started and are due again, "
                 "%u are lost%s", recovery.runs, recovery.runs == 1 ? "" : "s", recovery.adopted,
                 recovery.ended_meanwhile, recovery.withdrawn, recovery.lost, awaited);
    (void)pthread_mutex_lock(&core->lock);
    core->shown.recovery = recovery;
    (void)pthread_mutex_unlock(&core->lock);
    if (core->options.on_ready)
        core->options.on_ready(core->options.context, &recovery);
}

const struct pool_callbacks core_pool_callbacks = {
    .on_worker_up = on_worker_up,
    .on_worker_gone = on_worker_gone,
    .on_started = on_started,
    .on_result = on_result,
    .on_returned = on_returned,
    .on_worker_silent = on_worker_silent,
    .on_adopted = on_adopted,
};
