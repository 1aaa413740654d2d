#include "sim.h"

#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"

/* At the moment a start goes out its claim is durable and still holds, and so does all it rests on. */
void sim_check_start(const struct sim *sim, const struct effect *effect)
{
    const struct model_run *run = model_find(&sim->model, effect->run_id);
    if (!run || run->ended)
        model_broken("task %u: started for a run that is not there", effect->task);
    const struct record_attempt *row = model_last(run, effect->task);
    if (!row || row->state != ATTEMPT_RUNNING || row->fence != effect->fence || row->number != effect->number)
        model_broken("task %u: started without a durable claim", effect->task);
    if (!uuid_is_zero(row->worker) && !uuid_equal(row->worker, effect->worker))
        model_broken("task %u: started on another worker than claimed", effect->task);
    const struct dag_task *task = &run->run.dag->tasks[effect->task];
    for (uint32_t i = 0; i < task->dependency_count; i++)
        if (!model_satisfied(run, task->dependencies[i]))
            model_broken("task %u: started before what it depends on", effect->task);
}

void sim_check_begin(const struct sim *sim, const struct engine_attempt *attempt)
{
    const struct model_run *run = model_find(&sim->model, attempt->run_id);
    const struct record_attempt *row = run && !run->ended ? model_last(run, attempt->task) : NULL;
    if (!row || row->state != ATTEMPT_RUNNING || row->fence != attempt->fence)
        model_broken("task %u: a worker begins what was taken back", attempt->task);
}

/* G6: a result is what happened, or lost. And only what no worker started may be taken back as if it never was. */
void sim_check_truth(const struct sim *sim, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        const struct record_attempt *row = &record->attempt;
        if (record->kind == RECORD_ATTEMPT_WITHDRAW && sim_truth_of(sim, row->fence))
            model_broken("task %u: an attempt that was started is withdrawn", row->task);
        if (record->kind != RECORD_ATTEMPT_END || row->state == ATTEMPT_LOST)
            continue;
        const struct sim_truth *truth = sim_truth_of(sim, row->fence);
        if (!truth || !truth->ended || truth->outcome != row->state)
            model_broken("task %u: an invented result", row->task);
    }
}

static bool is_alive(const struct sim_attempt *held)
{
    return !held->attempt.ended && !held->waiting;
}

/* G3: never two processes of one task instance. */
void sim_check_physical(const struct sim *sim)
{
    for (uint32_t w = 0; w < sim->worker_count; w++)
        for (size_t i = 0; i < sim->workers[w].held_count; i++) {
            const struct sim_attempt *one = &sim->workers[w].held[i];
            for (uint32_t v = 0; v < sim->worker_count && is_alive(one); v++)
                for (size_t j = 0; j < sim->workers[v].held_count; j++) {
                    const struct sim_attempt *two = &sim->workers[v].held[j];
                    if (one != two && is_alive(two) && one->attempt.task == two->attempt.task &&
                        uuid_equal(one->attempt.run_id, two->attempt.run_id))
                        model_broken("task %u: two processes at once", one->attempt.task);
                }
        }
}

static void check_task(const struct model_run *run, uint32_t task, const struct live_task *view)
{
    enum task_state said = model_task(run, task);
    const struct record_attempt *last = model_last(run, task);
    bool fits = view->state == said;
    if (said == TASK_PENDING && last && last->state == ATTEMPT_RUNNING)
        fits = view->state == TASK_RUNNING || (uuid_is_zero(last->worker) && view->state == TASK_QUEUED);
    else if (said == TASK_PENDING)
        fits = view->state == TASK_PENDING || view->state == TASK_QUEUED || view->state == TASK_SKIPPED ||
               view->state == TASK_CANCELED;
    if (!fits)
        model_broken("task %u: shown as %s, its rows say otherwise (%s)", task, state_task_name(view->state),
                     state_task_name(said));
    if (view->attempt != (last ? last->number : 0))
        model_broken("task %u: attempt %u is shown of %u", task, view->attempt, last ? last->number : 0);
    if (last && state_task_is_terminal(view->state) && view->completed_ms < view->started_ms)
        model_broken("task %u: completed before it started", task);
}

/* By the run's place in the model, which never changes. */
static struct sim_seen *seen_of(struct sim *sim, size_t run)
{
    sim->seen = mem_grow(sim->seen, &sim->seen_cap, run + 1, sizeof *sim->seen);
    for (; sim->seen_count <= run; sim->seen_count++)
        sim->seen[sim->seen_count] = (struct sim_seen){0};
    return &sim->seen[run];
}

static void check_seen(struct sim_seen *seen, uint32_t task, enum task_state state)
{
    if (seen->terminal[task] && seen->terminal[task] != state + 1)
        model_broken("task %u: was shown as %s, now as %s", task,
                     state_task_name((enum task_state)(seen->terminal[task] - 1)), state_task_name(state));
    if (state_task_is_terminal(state))
        seen->terminal[task] = (uint8_t)(state + 1);
}

static void check_active(struct sim_seen *seen, const struct model_run *run, const struct live_run *shown)
{
    const struct record_run *row = live_run_record(shown);
    if (row->state != run->run.state || row->cancel_ms != run->run.cancel_ms || row->started_ms != run->run.started_ms)
        model_broken("a run is shown otherwise than it is stored");
    uint32_t counts[TASK_STATE_COUNT] = {0};
    for (uint32_t i = 0; i < row->task_count; i++) {
        struct live_task view;
        live_run_task(shown, i, &view);
        counts[view.state]++;
        check_task(run, i, &view);
        check_seen(seen, i, view.state);
    }
    if (memcmp(counts, live_run_counts(shown), sizeof counts) != 0)
        model_broken("the counts that are shown do not agree with the tasks");
}

/* What users see after a commit, against what is stored and against what they saw before. */
void sim_check_shown(struct sim *sim)
{
    uint32_t active = 0;
    for (size_t i = 0; i < sim->model.run_count; i++) {
        const struct model_run *run = sim->model.runs[i];
        struct live_run *shown = live_get(sim->live, run->run.id);
        if ((shown == NULL) != run->ended)
            model_broken("a run is %s", shown ? "shown as active and has ended" : "active and not shown");
        active += shown != NULL;
        struct sim_seen *seen = seen_of(sim, i);
        if (shown)
            check_active(seen, run, shown);
        live_unref(shown);
        for (uint32_t t = 0; run->ended && !seen->ended && t < run->run.task_count; t++)
            check_seen(seen, t, (enum task_state)run->outcomes[t]);
        seen->ended = run->ended;
    }
    if (active != live_count(sim->live))
        model_broken("runs are shown that are not stored");
}

/* No faults any more and nothing left to do: everything has come to its end. */
void sim_check_over(struct sim *sim)
{
    for (size_t i = 0; i < sim->model.run_count; i++)
        if (!sim->model.runs[i]->ended)
            model_broken("a run does not end");
    for (size_t i = 0; i < sim->acknowledged_count; i++)
        if (!model_find(&sim->model, sim->acknowledged[i]))
            model_broken("an acknowledged run is lost");
    if (sim->unanswered)
        model_broken("%u commands were never answered", sim->unanswered);
    sim_schedule_check_over(sim);
    struct engine_counts counts = engine_counts(sim->engine);
    if (counts.active_runs || counts.waiting_tasks || counts.ready_tasks || counts.running_attempts ||
        counts.sent_attempts)
        model_broken("the engine counts what is not there");
    for (uint32_t i = 0; i < sim->worker_count; i++)
        if (sim->workers[i].alive && sim->workers[i].held_count)
            model_broken("a worker still holds what nobody acknowledges");
}
