/* The life of a run: it is made with its command, begins when its creation is durable, ends when no task is left.
 *
 * A task is ready when its counter of unsatisfied dependencies is zero. A failure skips all that depends on it; both
 * walks are iterative, since depth is the user's. What is skipped or canceled without an attempt writes no row: it
 * follows from the rows there are, and the end of the run records every task's outcome once. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dag/dag.h"
#include "engine/model.h"

struct engine_run *engine_run_new(struct engine *engine, struct uuid id, struct dag *dag)
{
    struct engine_run *run = mem_new(struct engine_run);
    run->id = id;
    run->dag = dag;
    run->tasks = mem_zalloc(dag->task_count); /* TASK_PENDING */
    run->waiting = mem_new_array(uint32_t, dag->task_count);
    run->try_of = mem_new_array(uint32_t, dag->task_count);
    run->left = dag->task_count;
    run->counts[TASK_PENDING] = dag->task_count;
    for (uint32_t i = 0; i < dag->task_count; i++)
        run->waiting[i] = dag->tasks[i].dependency_count;
    engine->waiting_tasks += run->left;
    return run;
}

void engine_run_free(struct engine *engine, struct engine_run *run)
{
    engine->waiting_tasks -= run->left;
    engine_schedule_drop_run(engine, run);
    engine_ready_clear(engine, run);
    if (map_get(&engine->runs, run->id.bytes, sizeof run->id.bytes) == run) {
        map_remove(&engine->runs, run->id.bytes, sizeof run->id.bytes);
        if (run->next)
            run->next->previous = run->previous;
        if (run->previous)
            run->previous->next = run->next;
        else
            engine->first_run = run->next;
    }
    dag_unref(run->dag);
    origin_unref(run->origin);
    mem_free(run->error);
    mem_free(run->tasks);
    mem_free(run->waiting);
    mem_free(run->try_of);
    mem_free(run->tries);
    mem_free(run->ready);
    mem_free(run);
}

static void satisfy_dependents(struct engine_run *run, uint32_t task)
{
    const struct dag *dag = run->dag;
    for (uint32_t i = dag->dependent_start[task]; i < dag->dependent_start[task + 1]; i++) {
        assert(run->waiting[dag->dependents[i]] > 0);
        run->waiting[dag->dependents[i]]--;
    }
}

void engine_run_apply_plan(struct engine *engine, struct engine_run *run, const uint8_t *plan)
{
    for (uint32_t i = 0; i < run->dag->task_count; i++) {
        if (!plan[i])
            continue;
        engine_move_task_quietly(engine, run, i, plan[i] == RECORD_KEPT ? TASK_SUCCEEDED : TASK_SKIPPED);
        satisfy_dependents(run, i);
    }
}

static void make_ready(struct engine *engine, struct engine_run *run, uint32_t task)
{
    engine_move_task(engine, run, task, TASK_QUEUED);
    engine_ready_push(engine, run, task);
}

void engine_run_link(struct engine *engine, struct engine_run *run)
{
    (void)map_set(&engine->runs, run->id.bytes, sizeof run->id.bytes, run);
    run->next = engine->first_run;
    if (run->next)
        run->next->previous = run;
    engine->first_run = run;
}

void engine_run_begin(struct engine *engine, struct engine_run *run, struct engine_now now)
{
    if (run->started_ms)
        engine_run_arm_timeout(engine, run, now);
    for (uint32_t i = 0; i < run->dag->task_count; i++)
        if (run->tasks[i] == TASK_PENDING && run->waiting[i] == 0 && !engine_try(run, i) && !run->canceling)
            make_ready(engine, run, i);
    engine_run_finish_if_done(engine, run, now);
}

void engine_run_arm_timeout(struct engine *engine, const struct engine_run *run, struct engine_now now)
{
    if (!run->dag->timeout_ms)
        return;
    int64_t passed = now.wall_ms > run->started_ms ? now.wall_ms - run->started_ms : 0;
    engine_timer_add(engine, (struct timer){now.boot_ms + run->dag->timeout_ms - passed, run->id, NO_TASK});
}

void engine_run_task_succeeded(struct engine *engine, struct engine_run *run, uint32_t task)
{
    engine_move_task_quietly(engine, run, task, TASK_SUCCEEDED);
    const struct dag *dag = run->dag;
    satisfy_dependents(run, task);
    for (uint32_t i = dag->dependent_start[task]; i < dag->dependent_start[task + 1]; i++) {
        uint32_t dependent = dag->dependents[i];
        if (run->waiting[dependent] || run->tasks[dependent] != TASK_PENDING)
            continue;
        if (run->canceling)
            engine_move_task(engine, run, dependent, TASK_CANCELED);
        else
            make_ready(engine, run, dependent);
    }
}

void engine_run_skip_dependents(struct engine *engine, struct engine_run *run, uint32_t task)
{
    const struct dag *dag = run->dag;
    uint32_t *stack = NULL;
    size_t depth = 0, cap = 0;
    for (;;) {
        for (uint32_t i = dag->dependent_start[task]; i < dag->dependent_start[task + 1]; i++) {
            uint32_t dependent = dag->dependents[i];
            if (run->tasks[dependent] != TASK_PENDING)
                continue;
            engine_move_task(engine, run, dependent, TASK_SKIPPED);
            stack = mem_grow(stack, &cap, depth + 1, sizeof *stack);
            stack[depth++] = dependent;
        }
        if (!depth)
            break;
        task = stack[--depth];
    }
    mem_free(stack);
}

/* Ends what could have started, tells the workers to end what runs. What waits for others stays pending until nothing
 * runs any more: a running task can still fail and so skip it. Thus what becomes of it follows from the rows and the
 * cancel alone, in whatever order they came, and a restart decides the same. */
static void end_everything(struct engine *engine, struct engine_run *run)
{
    run->canceling = true;
    engine->urgent = true;
    engine_ready_clear(engine, run);
    engine_ahead_drop_run(engine, run);
    for (uint32_t i = 0; i < run->dag->task_count; i++) {
        if (run->tasks[i] == TASK_RUNNING) {
            engine_attempt_stop(engine, run, engine_try(run, i));
        } else if (!state_task_is_terminal((enum task_state)run->tasks[i]) && run->waiting[i] == 0) {
            if (engine_try(run, i))
                engine_try_drop(run, i);
            engine_move_task(engine, run, i, TASK_CANCELED);
        }
    }
}

static void cancel_what_waits(struct engine *engine, struct engine_run *run)
{
    for (uint32_t i = 0; i < run->dag->task_count && run->left; i++)
        if (run->tasks[i] == TASK_PENDING)
            engine_move_task(engine, run, i, TASK_CANCELED);
}

/* When the run's timeout passes; INT64_MAX: never. */
static int64_t limit_ms(const struct engine_run *run)
{
    return run->dag->timeout_ms && run->started_ms ? run->started_ms + run->dag->timeout_ms : INT64_MAX;
}

bool engine_run_timed_out(const struct engine_run *run)
{
    return run->cancel_ms >= limit_ms(run);
}

static void tell_to_end(struct engine *engine, struct engine_run *run, int64_t cancel_ms, struct engine_now now)
{
    run->cancel_ms = cancel_ms;
    struct record *record = engine_record(engine, RECORD_RUN_CANCEL, 0);
    record->run.id = run->id;
    record->run.cancel_ms = cancel_ms;
    end_everything(engine, run);
    engine_run_finish_if_done(engine, run, now);
}

void engine_run_cancel(struct engine *engine, struct engine_run *run, struct engine_now now)
{
    if (!run->canceling)
        tell_to_end(engine, run, now.wall_ms < limit_ms(run) ? now.wall_ms : limit_ms(run) - 1, now);
}

static enum run_state outcome(const struct engine_run *run)
{
    if (engine_run_timed_out(run))
        return RUN_FAILED;
    if (run->cancel_ms && run->counts[TASK_CANCELED])
        return RUN_CANCELED;
    return run->counts[TASK_FAILED] ? RUN_FAILED : RUN_SUCCEEDED;
}

void engine_run_finish_if_done(struct engine *engine, struct engine_run *run, struct engine_now now)
{
    if (run->canceling && run->left && !run->counts[TASK_RUNNING])
        cancel_what_waits(engine, run);
    if (run->left)
        return;
    engine_move_run(run, outcome(run));
    struct record *record = engine_record(engine, RECORD_RUN_END, 0);
    struct record_run *end = &record->run;
    *end = (struct record_run){
        .id = run->id,
        .dag_id = run->dag_id,
        .dag_version = run->dag_version,
        .task_count = run->dag->task_count,
        .state = run->state,
        .trigger = run->trigger,
        .created_ms = run->created_ms,
        .scheduled_ms = run->scheduled_ms,
        .started_ms = run->started_ms,
        .completed_ms = now.wall_ms > run->started_ms ? now.wall_ms : run->started_ms,
        .cancel_ms = run->cancel_ms,
        .error = run->state == RUN_FAILED ? engine_keep_text(engine, run->error) : NULL,
        .source = run->source,
        .resolves_source = run->resolves_source && run->state == RUN_SUCCEEDED,
        .failed_count = run->counts[TASK_FAILED],
        .succeeded_count = run->counts[TASK_SUCCEEDED],
        .skipped_count = run->counts[TASK_SKIPPED],
        .canceled_count = run->counts[TASK_CANCELED],
    };
    record_runs_encode(run->tasks, run->dag->task_count, &engine->open->arena, &end->outcomes, &end->outcomes_len);
    engine->urgent = true;
    engine_run_free(engine, run);
}

void engine_run_say_timeout(struct engine_run *run)
{
    char limit[24];
    str_format_duration(run->dag->timeout_ms, limit);
    mem_free(run->error);
    run->error = mem_printf("the run's timeout of %s passed", limit);
}

/* As a cancel, at a time that no cancel by a person can have: a restart knows the one from the other by it. */
static void run_timed_out(struct engine *engine, struct engine_run *run, struct engine_now now)
{
    engine_run_say_timeout(run);
    tell_to_end(engine, run, now.wall_ms > limit_ms(run) ? now.wall_ms : limit_ms(run), now);
}

void engine_tick(struct engine *engine, struct engine_now now)
{
    struct timer timer;
    while (engine_timer_pop(engine, now.boot_ms, &timer)) {
        struct engine_run *run = engine_find_run(engine, timer.run_id);
        if (!run || run->canceling)
            continue;
        if (timer.task == NO_TASK)
            run_timed_out(engine, run, now);
        else if (run->tasks[timer.task] == TASK_PENDING)
            make_ready(engine, run, timer.task);
    }
    engine_fire_tick(engine, now);
}

int64_t engine_next_due(const struct engine *engine)
{
    int64_t fires = engine_fire_next_due(engine);
    int64_t timer = engine->timer_count ? engine->timers[0].due_ms : -1;
    return timer < 0 ? fires : fires < 0 || timer < fires ? timer : fires;
}

void engine_cancel_all(struct engine *engine, struct engine_now now)
{
    for (struct engine_run *run = engine->first_run, *next; run; run = next) {
        next = run->next;
        engine_run_cancel(engine, run, now);
    }
    for (size_t i = 0; i < engine->command_count; i++)
        if (engine->commands[i].birth)
            engine->commands[i].birth->cancel_at_birth = true;
}
