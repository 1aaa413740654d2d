#include "support/check.h"

#include "rig.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

static void new_engine(struct rig *rig)
{
    rig->options.epoch++;
    rig->options.seed++;
    rig->engine = engine_new(&rig->options);
    rig->live = live_new();
}

void rig_init(struct rig *rig, uint32_t claim_ahead_max)
{
    *rig = (struct rig){
        .now = {1700000000000, 5000},
        .options = {.claim_ahead_max = claim_ahead_max, .waiting_tasks_max = LIMIT_WAITING_TASKS_MAX,
                    .active_runs_max = LIMIT_ACTIVE_RUNS_MAX, .fires_schedules = true},
    };
    rig->dag_id = model_add_dag(&rig->model);
    new_engine(rig);
}

void rig_fini(struct rig *rig)
{
    engine_free(rig->engine);
    live_free(rig->live);
    model_fini(&rig->model);
    mem_free(rig->effects);
}

void rig_dispatch(struct rig *rig)
{
    engine_tick(rig->engine, rig->now);
    engine_dispatch(rig->engine, rig->now);
    engine_check(rig->engine);
}

struct batch *rig_take(struct rig *rig)
{
    return engine_take_batch(rig->engine);
}

void rig_commit(struct rig *rig, struct batch *batch)
{
    model_commit(&rig->model, batch);
    live_apply(rig->live, batch, rig->now.wall_ms);
    engine_committed(rig->engine, batch, rig->now);
    record_batch_free(batch);
    engine_check(rig->engine);
}

void rig_effects(struct rig *rig)
{
    struct effect *effects;
    size_t count = engine_take_effects(rig->engine, &effects);
    rig->effects = mem_grow(rig->effects, &rig->effect_cap, rig->effect_count + count, sizeof *rig->effects);
    for (size_t i = 0; i < count; i++) {
        dag_unref(effects[i].dag);
        origin_unref(effects[i].origin);
        effects[i].dag = NULL;
        effects[i].origin = NULL;
        rig->effects[rig->effect_count++] = effects[i];
    }
}

void rig_settle(struct rig *rig)
{
    struct batch *batch;
    rig_dispatch(rig);
    rig_effects(rig);
    while ((batch = rig_take(rig))) {
        rig_commit(rig, batch);
        rig_dispatch(rig);
        rig_effects(rig);
    }
}

void rig_pass(struct rig *rig, int64_t ms)
{
    rig->now.wall_ms += ms;
    rig->now.boot_ms += ms;
    rig_settle(rig);
}

static void done(struct command *command, const struct command_result *result)
{
    struct rig_answer *answer = command->context;
    assert_false(answer->done);
    answer->done = true;
    answer->result = *result;
    mem_free((uint8_t *)(uintptr_t)command->plan);
    mem_free(command);
}

void rig_command(struct rig *rig, const struct command *command, struct rig_answer *answer)
{
    struct command *mine = mem_dup(command, sizeof *command);
    mine->done = done;
    mine->context = answer;
    if (command->plan)
        mine->plan = mem_dup(command->plan, command->dag->task_count);
    *answer = (struct rig_answer){0};
    engine_command(rig->engine, mine, rig->now);
    engine_check(rig->engine);
}

struct uuid rig_trigger(struct rig *rig, struct dag *dag)
{
    struct rig_answer answer;
    const struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig->dag_id, .dag = dag, .dag_version = 1};
    rig_command(rig, &command, &answer);
    rig_settle(rig);
    assert_true(answer.done);
    assert_int_equal(answer.result.error.code, ERROR_OK);
    return answer.result.run_id;
}

struct uuid rig_rerun(struct rig *rig, struct dag *dag, struct uuid source, const uint8_t *plan)
{
    struct rig_answer answer;
    const struct command command = {
        .kind = COMMAND_RUN_RERUN, .dag_id = rig->dag_id, .run_id = source, .dag = dag, .dag_version = 1,
        .trigger = TRIGGER_RERUN, .plan = plan, .resolves_source = true};
    rig_command(rig, &command, &answer);
    rig_settle(rig);
    assert_true(answer.done);
    assert_int_equal(answer.result.error.code, ERROR_OK);
    return answer.result.run_id;
}

void rig_cancel(struct rig *rig, struct uuid run)
{
    struct rig_answer answer;
    const struct command command = {.kind = COMMAND_RUN_CANCEL, .run_id = run};
    rig_command(rig, &command, &answer);
    rig_settle(rig);
    assert_true(answer.done);
    assert_int_equal(answer.result.error.code, ERROR_OK);
}

struct uuid rig_worker(struct rig *rig, uint32_t slots)
{
    struct uuid id = {.bytes = {[0] = 0x3e, [14] = (uint8_t)(++rig->workers >> 8), [15] = (uint8_t)rig->workers}};
    engine_worker_joined(rig->engine, id, slots, NULL, 0, rig->now);
    rig_settle(rig);
    return id;
}

const struct effect *rig_start_of(const struct rig *rig, struct uuid run, uint32_t task)
{
    for (size_t i = rig->effect_count; i-- > 0;) {
        const struct effect *effect = &rig->effects[i];
        if (effect->kind == EFFECT_START && effect->task == task && uuid_equal(effect->run_id, run))
            return effect;
    }
    return NULL;
}

size_t rig_count(const struct rig *rig, enum effect_kind kind, struct uuid run, uint32_t task)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->effect_count; i++) {
        const struct effect *effect = &rig->effects[i];
        count += effect->kind == kind && effect->task == task && uuid_equal(effect->run_id, run);
    }
    return count;
}

struct engine_attempt rig_attempt(const struct effect *start)
{
    return (struct engine_attempt){
        .run_id = start->run_id,
        .task = start->task,
        .number = start->number,
        .fence = start->fence,
        .retryable = true,
        .exit_code = -1,
    };
}

void rig_end(struct rig *rig, struct uuid run, uint32_t task, enum attempt_state outcome)
{
    static const enum error_type why[ATTEMPT_STATE_COUNT] = {
        [ATTEMPT_FAILED] = FAILURE_EXIT, [ATTEMPT_TIMED_OUT] = FAILURE_TIMEOUT, [ATTEMPT_LOST] = FAILURE_LOST};
    const struct effect *start = rig_start_of(rig, run, task);
    assert_non_null(start);
    struct engine_attempt end = rig_attempt(start);
    end.ended = true;
    end.outcome = outcome;
    end.error_type = why[outcome];
    end.exit_code = outcome == ATTEMPT_SUCCEEDED ? 0 : outcome == ATTEMPT_FAILED ? 1 : -1;
    end.error = outcome == ATTEMPT_FAILED ? "exit status 1" : NULL;
    end.started_ms = rig->now.wall_ms;
    end.ended_ms = rig->now.wall_ms;
    engine_attempt_ended(rig->engine, start->worker, &end, rig->now);
    rig_settle(rig);
}

void rig_crash(struct rig *rig)
{
    engine_refuse_waiting(rig->engine, ERROR_STORE_FAILED, "the daemon died");
    engine_free(rig->engine);
    live_free(rig->live);
    new_engine(rig);
    model_load(&rig->model, rig->engine, rig->live, rig->now);
    engine_check(rig->engine);
}

struct engine_recovery rig_reconcile(struct rig *rig, bool worker_died)
{
    struct engine_recovery recovery;
    engine_reconcile(rig->engine, worker_died, rig->now, &recovery);
    engine_check(rig->engine);
    rig_settle(rig);
    return recovery;
}

enum task_state rig_task(const struct rig *rig, struct uuid id, uint32_t task)
{
    struct live_run *shown = live_get(rig->live, id);
    if (shown) {
        struct live_task view;
        live_run_task(shown, task, &view);
        live_unref(shown);
        return view.state;
    }
    const struct model_run *run = model_find(&rig->model, id);
    assert_non_null(run);
    assert_true(run->ended);
    return (enum task_state)run->outcomes[task];
}

enum run_state rig_run(const struct rig *rig, struct uuid id)
{
    struct live_run *shown = live_get(rig->live, id);
    const struct model_run *run = model_find(&rig->model, id);
    assert_non_null(run);
    assert_true((shown == NULL) == run->ended);
    enum run_state state = shown ? live_run_record(shown)->state : run->run.state;
    live_unref(shown);
    return state;
}
