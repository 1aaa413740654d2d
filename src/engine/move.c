/* The movers: the only place where the state of a task or run is assigned. Every move is checked against the tables
 * in state/, which are data; a move they do not allow is a bug of the engine and ends the process. */
#include <assert.h>

#include "engine/model.h"

static bool is_terminal(enum task_state state)
{
    return state_task_is_terminal(state);
}

void engine_move_task_quietly(struct engine *engine, struct engine_run *run, uint32_t task, enum task_state to)
{
    enum task_state from = (enum task_state)run->tasks[task];
    assert(state_task_may_follow(from, to));
    assert(!(is_terminal(to) && run->left == 0));
    run->tasks[task] = (uint8_t)to;
    run->counts[from]--;
    run->counts[to]++;
    if (is_terminal(to)) {
        run->left--;
        engine->waiting_tasks--;
    }
}

void engine_move_task(struct engine *engine, struct engine_run *run, uint32_t task, enum task_state to)
{
    engine_move_task_quietly(engine, run, task, to);
    record_add_change(engine->open, run->id, task, to, false);
}

/* A row is running from its claim on (ATTEMPT_RUNNING is zero) and ends once. */
void engine_move_attempt(struct record_attempt *row, enum attempt_state to)
{
    assert(state_attempt_may_follow(row->state, to));
    row->state = to;
}

void engine_move_run(struct engine_run *run, enum run_state to)
{
    assert(state_run_may_follow(run->state, to));
    run->state = to;
}
