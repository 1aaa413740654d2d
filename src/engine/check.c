/* Every invariant of the engine, recomputed by brute force. Tests and the simulation call it after each step. */
#include <assert.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

static bool satisfies(const struct engine_run *run, uint32_t dependency)
{
    /* a task skipped on purpose has satisfied its dependents; one skipped by a failure has skipped them too */
    return run->tasks[dependency] == TASK_SUCCEEDED || run->tasks[dependency] == TASK_SKIPPED;
}

static void check_task(const struct engine_run *run, uint32_t task)
{
    const struct dag_task *def = &run->dag->tasks[task];
    const struct try *try = engine_try(run, task);
    enum task_state state = (enum task_state)run->tasks[task];
    bool went = state == TASK_QUEUED || state == TASK_RUNNING || (state == TASK_PENDING && try);
    for (uint32_t i = 0; i < def->dependency_count; i++)
        assert(!went || satisfies(run, def->dependencies[i]));
    assert(!went || run->waiting[task] == 0);
    assert(!state_task_is_terminal(state) || !try);
    assert(state != TASK_RUNNING || try);
    assert(!try || try->task == task);
}

static void check_run(const struct engine *engine, const struct engine_run *run, uint32_t *running)
{
    uint32_t counts[TASK_STATE_COUNT] = {0}, left = 0;
    for (uint32_t i = 0; i < run->dag->task_count; i++) {
        check_task(run, i);
        counts[run->tasks[i]]++;
        left += !state_task_is_terminal((enum task_state)run->tasks[i]);
        const struct try *try = engine_try(run, i);
        if (try && try->worker != NO_WORKER) {
            assert(run->tasks[i] == TASK_RUNNING);
            running[try->worker]++;
        }
    }
    assert(left == run->left && left > 0);
    for (int s = 0; s < TASK_STATE_COUNT; s++)
        assert(counts[s] == run->counts[s]);
    uint32_t ahead = 0;
    for (uint32_t i = 0; i < engine->ahead_count; i++) {
        if (engine->ahead[i].run != run)
            continue;
        const struct try *try = engine_try(run, engine->ahead[i].task);
        assert(try && try->ahead && run->tasks[try->task] == TASK_QUEUED);
        assert(engine->ahead[i].worker == NO_WORKER || engine->ahead[i].batch <= engine->committed);
        ahead++;
    }
    assert(run->ready_count + ahead == counts[TASK_QUEUED]);
    for (size_t i = 0; i < run->ready_count; i++)
        assert(run->tasks[(uint32_t)run->ready[i]] == TASK_QUEUED);
    assert((run->place != 0) == (run->ready_count != 0));
}

static void check_schedules(const struct engine *engine)
{
    size_t count = 0;
    for (const struct schedule *schedule = engine->first_schedule; schedule; schedule = schedule->next) {
        uint32_t active = 0, pending = 0;
        for (const struct engine_run *run = engine->first_run; run; run = run->next)
            active += run->counted && uuid_equal(run->dag_id, schedule->dag_id);
        for (size_t i = 0; i < engine->command_count; i++) {
            const struct waiting_command *waiting = &engine->commands[i];
            if (!waiting->is_fire || !uuid_equal(waiting->fire.dag_id, schedule->dag_id))
                continue;
            active += waiting->birth != NULL;
            pending += waiting->fire.trigger == TRIGGER_SCHEDULE && !waiting->fire.releases;
        }
        assert(active == schedule->active && pending == schedule->pending);
        assert(schedule->backfills <= schedule->active);
        assert(!schedule->ticks || schedule->next_ms > schedule->covered_ms);
        for (size_t i = 1; i < schedule->waiting.count; i++)
            assert(schedule->waiting.items[i - 1].time_ms < schedule->waiting.items[i].time_ms);
        count++;
    }
    assert(count == engine->schedules.count);
}

void engine_check(const struct engine *engine)
{
    uint32_t *running = mem_new_array(uint32_t, engine->worker_count + 1);
    uint64_t left = 0, ready = 0;
    for (const struct engine_run *run = engine->first_run; run; run = run->next) {
        check_run(engine, run, running);
        left += run->left;
        ready += run->ready_count;
    }
    for (size_t i = 0; i < engine->command_count; i++)
        left += engine->commands[i].birth ? engine->commands[i].birth->left : 0;
    uint32_t shared = 0;
    for (size_t i = 0; i < engine->order_count; i++)
        shared += engine->order[i]->dag->placement == DAG_PLACEMENT_ANY;
    assert(shared == engine->order_any);
    for (size_t i = 0; i < engine->guest_count; i++)
        if (engine->guests[i].worker != NO_WORKER)
            running[engine->guests[i].worker]++;
    check_schedules(engine);
    assert(left == engine->waiting_tasks);
    assert(ready == engine->ready_tasks);
    uint32_t total = 0, sent = 0;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        assert(running[i] == engine->workers[i].running);
        total += running[i];
        uint32_t has = 0;
        for (uint32_t j = 0; j < engine->ahead_count; j++)
            has += engine->ahead[j].worker == i;
        assert(has == engine->workers[i].sent && (!has || engine->workers[i].up));
        sent += has;
    }
    assert(total == engine->running_attempts && sent == engine->sent);
    mem_free(running);
}
