/* Recovery, first half: an unfinished run as its rows tell it. What has no row follows from what has: a failed task
 * skips what depends on it, a cancel request cancels what had not started. Attempts that were running wait for the
 * workers (engine_worker_joined) and for engine_reconcile. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

static int contradiction(struct error *err, const struct record_attempt *row, const char *what)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(row->run_id, id);
    return error_set(err, ERROR_INTERNAL, "run %s, task %u, attempt %u: %s", id, row->task, row->number, what);
}

static void count_attempt(struct try *try, const struct record_attempt *row)
{
    try->number = row->number;
    try->fence = row->fence;
    try->claimed_ms = row->claimed_ms;
    try->started_ms = row->started_ms;
    try->claimed_by = row->worker;
    try->failures += row->state == ATTEMPT_FAILED || row->state == ATTEMPT_TIMED_OUT;
    try->lost += row->state == ATTEMPT_LOST;
}

/* What is left of the wait; never more than the whole of it, though the wall clock was set back, or is that of another
 * node than the one that wrote the row. */
static int64_t retry_wait(const struct engine_run *run, const struct record_attempt *last, struct engine_now now)
{
    const struct dag_retry *retry = &run->dag->tasks[last->task].retry;
    int64_t most = retry->initial_delay_ms > retry->max_delay_ms ? retry->initial_delay_ms : retry->max_delay_ms;
    most += (int64_t)((double)most * retry->jitter) + 1;
    int64_t whole = last->retry_ms - last->ended_ms; /* both by the clock of who wrote them */
    int64_t wait = last->retry_ms - now.wall_ms;
    most = whole < most ? whole : most;
    wait = wait < most ? wait : most;
    return wait < 0 ? 0 : wait;
}

/* The task as its last attempt left it. */
static void restore_task(struct engine *engine, struct engine_run *run, const struct record_attempt *last,
                         struct engine_now now)
{
    uint32_t task = last->task;
    if (last->state == ATTEMPT_RUNNING) {
        /* the live view has it running by its row already, unless that names no worker */
        if (uuid_is_zero(last->worker))
            engine_move_task(engine, run, task, TASK_QUEUED);
        else
            engine_move_task_quietly(engine, run, task, TASK_QUEUED);
        engine_move_task_quietly(engine, run, task, TASK_RUNNING);
        return;
    }
    if (last->retry_ms && !run->canceling) {
        engine_timer_add(engine, (struct timer){now.boot_ms + retry_wait(run, last, now), run->id, task});
        return;
    }
    bool canceled = last->state == ATTEMPT_CANCELED || last->retry_ms != 0 ||
                    (last->state == ATTEMPT_LOST && engine_try_repeats_loss(run, engine_try(run, task)));
    engine_try_drop(run, task);
    if (last->state == ATTEMPT_SUCCEEDED) {
        engine_move_task_quietly(engine, run, task, TASK_SUCCEEDED);
        for (uint32_t i = run->dag->dependent_start[task]; i < run->dag->dependent_start[task + 1]; i++)
            run->waiting[run->dag->dependents[i]]--;
    } else if (canceled) {
        engine_move_task(engine, run, task, TASK_CANCELED);
    } else {
        if (!run->error)
            run->error = mem_printf("task '%s' failed: %s", run->dag->tasks[task].id,
                                    last->error ? last->error : state_attempt_name(last->state));
        engine_move_task_quietly(engine, run, task, TASK_FAILED);
    }
}

static int restore_attempts(struct engine *engine, struct engine_run *run, const struct record_attempt *rows,
                            size_t count, struct engine_now now, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct record_attempt *row = &rows[i];
        if (row->task >= run->dag->task_count)
            return contradiction(err, row, "the DAG has no such task");
        if (i && row->task < rows[i - 1].task)
            return contradiction(err, row, "rows are out of order");
        struct try *try = engine_try_add(run, row->task);
        if (row->number != try->number + 1)
            return contradiction(err, row, "attempt numbers have a gap");
        if (run->tasks[row->task] != TASK_PENDING)
            return contradiction(err, row, "an attempt of a task that was kept or skipped");
        count_attempt(try, row);
        bool last = i + 1 == count || rows[i + 1].task != row->task;
        if (!last && (row->state == ATTEMPT_RUNNING || !row->retry_ms))
            return contradiction(err, row, "an attempt after one that was final or still runs");
        if (last)
            restore_task(engine, run, row, now);
    }
    for (size_t i = 0; i < count; i++)
        if (run->waiting[rows[i].task])
            return contradiction(err, &rows[i], "an attempt before its dependencies had succeeded");
    return 0;
}

static void derive(struct engine *engine, struct engine_run *run)
{
    for (uint32_t i = 0; i < run->dag->task_count; i++)
        if (run->tasks[i] == TASK_FAILED)
            engine_run_skip_dependents(engine, run, i);
    for (uint32_t i = 0; i < run->dag->task_count && run->canceling; i++)
        if (run->tasks[i] == TASK_PENDING && run->waiting[i] == 0)
            engine_move_task(engine, run, i, TASK_CANCELED);
}

size_t engine_release_pending(struct engine *engine, size_t max, struct uuid *ret_ids)
{
    size_t count = 0;
    for (struct engine_run *run = engine->first_run, *next; run && count < max; run = next) {
        next = run->next;
        if (run->state != RUN_PENDING || run->try_count || run->canceling || run->counted)
            continue;
        ret_ids[count++] = run->id;
        engine_run_free(engine, run);
    }
    return count;
}

int engine_restore_run(struct engine *engine, const struct record_run *row, const struct record_attempt *attempts,
                       size_t attempt_count, struct engine_now now, struct error *err)
{
    struct engine_run *run = engine_run_new(engine, row->id, row->dag);
    engine_run_link(engine, run);
    run->dag_id = row->dag_id;
    run->dag_version = row->dag_version;
    run->trigger = row->trigger;
    run->created_ms = row->created_ms;
    run->scheduled_ms = row->scheduled_ms;
    run->origin = origin_new(row->request_id, row->trace);
    run->started_ms = row->started_ms;
    run->cancel_ms = row->cancel_ms;
    run->canceling = row->cancel_ms != 0;
    run->source = row->source;
    run->resolves_source = row->resolves_source;
    engine_schedule_add_run(engine, run);
    if (row->state == RUN_RUNNING)
        engine_move_run(run, RUN_RUNNING);
    if (row->outcomes_len) {
        uint8_t *plan = mem_alloc(run->dag->task_count);
        bool fits = record_runs_decode(row->outcomes, row->outcomes_len, plan, run->dag->task_count);
        if (fits)
            engine_run_apply_plan(engine, run, plan);
        mem_free(plan);
        if (!fits) {
            engine_run_free(engine, run);
            return error_set(err, ERROR_INTERNAL, "the plan of a rerun does not fit its DAG");
        }
    }
    int code = restore_attempts(engine, run, attempts, attempt_count, now, err);
    if (code) {
        engine_run_free(engine, run);
        return code;
    }
    derive(engine, run);
    if (engine_run_timed_out(run))
        engine_run_say_timeout(run);
    engine_run_begin(engine, run, now);
    return 0;
}
