/* The one order of ready tasks, and timers. Runs stand in a heap by how much they were served (virtual time, as in
 * start-time fair queueing); inside a run a heap of tasks by the longest path below them, then by place in the file. */
#include <assert.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

static uint64_t ready_key(const struct engine_run *run, uint32_t task)
{
    return (uint64_t)(UINT32_MAX - run->dag->rank[task]) << 32 | task;
}

static bool served_less(const struct engine_run *a, const struct engine_run *b)
{
    return a->served != b->served ? a->served < b->served : uuid_compare(a->id, b->id) < 0;
}

static void order_put(struct engine *engine, size_t i, struct engine_run *run)
{
    engine->order[i] = run;
    run->place = i + 1;
}

static void order_up(struct engine *engine, size_t i)
{
    struct engine_run *run = engine->order[i];
    for (; i && served_less(run, engine->order[(i - 1) / 2]); i = (i - 1) / 2)
        order_put(engine, i, engine->order[(i - 1) / 2]);
    order_put(engine, i, run);
}

static void order_down(struct engine *engine, size_t i)
{
    struct engine_run *run = engine->order[i];
    for (;;) {
        size_t child = i * 2 + 1;
        if (child >= engine->order_count)
            break;
        if (child + 1 < engine->order_count && served_less(engine->order[child + 1], engine->order[child]))
            child++;
        if (!served_less(engine->order[child], run))
            break;
        order_put(engine, i, engine->order[child]);
        i = child;
    }
    order_put(engine, i, run);
}

static void order_add(struct engine *engine, struct engine_run *run)
{
    if (run->served < engine->served_now)
        run->served = engine->served_now;
    engine->order = mem_grow(engine->order, &engine->order_cap, engine->order_count + 1, sizeof(struct engine_run *));
    engine->order[engine->order_count++] = run;
    engine->order_any += run->dag->placement == DAG_PLACEMENT_ANY;
    order_up(engine, engine->order_count - 1);
}

static void order_remove(struct engine *engine, struct engine_run *run)
{
    size_t i = run->place - 1;
    struct engine_run *last = engine->order[--engine->order_count];
    run->place = 0;
    engine->order_any -= run->dag->placement == DAG_PLACEMENT_ANY;
    if (last == run)
        return;
    order_put(engine, i, last);
    order_up(engine, i);
    order_down(engine, last->place - 1);
}

void engine_ready_push(struct engine *engine, struct engine_run *run, uint32_t task)
{
    uint64_t key = ready_key(run, task);
    run->ready = mem_grow(run->ready, &run->ready_cap, run->ready_count + 1, sizeof *run->ready);
    size_t i = run->ready_count++;
    for (; i && key < run->ready[(i - 1) / 4]; i = (i - 1) / 4)
        run->ready[i] = run->ready[(i - 1) / 4];
    run->ready[i] = key;
    engine->ready_tasks++;
    if (!run->place)
        order_add(engine, run);
}

static uint32_t heap_take(struct engine_run *run)
{
    uint32_t task = (uint32_t)run->ready[0];
    uint64_t last = run->ready[--run->ready_count];
    for (size_t i = 0;;) {
        size_t child = i * 4 + 1, best = child;
        if (child >= run->ready_count) {
            run->ready[i] = last;
            break;
        }
        for (size_t c = child + 1; c < child + 4 && c < run->ready_count; c++)
            if (run->ready[c] < run->ready[best])
                best = c;
        if (last <= run->ready[best]) {
            run->ready[i] = last;
            break;
        }
        run->ready[i] = run->ready[best];
        i = best;
    }
    return task;
}

/* The run's best task is taken out. */
static uint32_t serve(struct engine *engine, struct engine_run *run)
{
    uint32_t task = heap_take(run);
    engine->ready_tasks--;
    run->served++;
    if (run->ready_count)
        order_down(engine, run->place - 1);
    else
        order_remove(engine, run);
    return task;
}

bool engine_ready_peek(const struct engine *engine, struct engine_run **ret_run, uint32_t *ret_task)
{
    if (!engine->order_count)
        return false;
    *ret_run = engine->order[0];
    *ret_task = (uint32_t)engine->order[0]->ready[0];
    return true;
}

bool engine_ready_pop(struct engine *engine, struct engine_run **ret_run, uint32_t *ret_task)
{
    if (!engine->order_count)
        return false;
    engine->served_now = engine->order[0]->served;
    *ret_run = engine->order[0];
    *ret_task = serve(engine, engine->order[0]);
    return true;
}

bool engine_ready_pop_any(struct engine *engine, struct engine_run **ret_run, uint32_t *ret_task)
{
    struct engine_run *best = NULL;
    for (size_t i = 0; i < engine->order_count && engine->order_any; i++) {
        struct engine_run *run = engine->order[i];
        if (run->dag->placement == DAG_PLACEMENT_ANY && (!best || served_less(run, best)))
            best = run;
    }
    if (!best)
        return false;
    *ret_run = best;
    *ret_task = serve(engine, best);
    return true;
}

void engine_ready_clear(struct engine *engine, struct engine_run *run)
{
    engine->ready_tasks -= run->ready_count;
    run->ready_count = 0;
    if (run->place)
        order_remove(engine, run);
}

static void timer_down(struct engine *engine, size_t i, struct timer timer)
{
    for (;;) {
        size_t child = i * 4 + 1, best = child;
        if (child >= engine->timer_count)
            break;
        for (size_t c = child + 1; c < child + 4 && c < engine->timer_count; c++)
            if (engine->timers[c].due_ms < engine->timers[best].due_ms)
                best = c;
        if (timer.due_ms <= engine->timers[best].due_ms)
            break;
        engine->timers[i] = engine->timers[best];
        i = best;
    }
    engine->timers[i] = timer;
}

/* Timers are not taken out when their run ends. Before there is no room for one more, those of runs that are gone are
 * dropped, so that there are never many more than runs and retries. */
static void drop_stale_timers(struct engine *engine)
{
    size_t kept = 0;
    for (size_t i = 0; i < engine->timer_count; i++)
        if (engine_find_run(engine, engine->timers[i].run_id))
            engine->timers[kept++] = engine->timers[i];
    engine->timer_count = kept;
    for (size_t i = kept / 4 + 1; i-- > 0;)
        if (i < kept)
            timer_down(engine, i, engine->timers[i]);
}

void engine_timer_add(struct engine *engine, struct timer timer)
{
    if (engine->timer_count == engine->timer_cap) {
        drop_stale_timers(engine);
        if (engine->timer_count * 2 >= engine->timer_cap)
            engine->timers = mem_grow(engine->timers, &engine->timer_cap, engine->timer_cap + 1, sizeof timer);
    }
    size_t i = engine->timer_count++;
    for (; i && timer.due_ms < engine->timers[(i - 1) / 4].due_ms; i = (i - 1) / 4)
        engine->timers[i] = engine->timers[(i - 1) / 4];
    engine->timers[i] = timer;
}

bool engine_timer_pop(struct engine *engine, int64_t boot_ms, struct timer *ret_timer)
{
    if (!engine->timer_count || engine->timers[0].due_ms > boot_ms)
        return false;
    *ret_timer = engine->timers[0];
    struct timer last = engine->timers[--engine->timer_count];
    if (engine->timer_count)
        timer_down(engine, 0, last);
    return true;
}
