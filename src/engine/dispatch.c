/* Slots and claims. A free slot takes the best ready task. When no slot is free and tasks are brief, a few of the best
 * are claimed ahead (ahead.c), so that the next free slot starts one whose claim is durable already. What becomes ready
 * meanwhile stands behind them, though it be better: where tasks take long that costs more than a commit. The workers'
 * queues are shares of the ready tasks beyond the slots, filled evenly by running + queued, at most
 * LIMIT_WORKER_QUEUE_MAX each: since any free slot takes the best of all, a share is what an idle worker would take
 * from. */
#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "dag/dag.h"
#include "engine/model.h"

static bool takes_work(const struct worker *worker)
{
    return worker->up && !worker->draining && !worker->awaited && !worker->elsewhere;
}

/* What it has and has not begun takes its next slots. */
static uint32_t load_of(const struct worker *worker)
{
    return worker->running + worker->sent;
}

uint32_t engine_worker_free(const struct engine *engine)
{
    uint32_t best = NO_WORKER;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        const struct worker *worker = &engine->workers[i];
        if (takes_work(worker) && load_of(worker) < worker->slots &&
            (best == NO_WORKER || load_of(worker) < load_of(&engine->workers[best])))
            best = i;
    }
    return best;
}

static struct try *claim(struct engine *engine, struct engine_run *run, uint32_t task, struct uuid worker,
                         struct engine_now now)
{
    struct try *try = engine_try_add(run, task);
    try->number++;
    try->fence = (engine->options.epoch << ENGINE_FENCE_BITS) + ++engine->fences;
    assert(engine->fences >> ENGINE_FENCE_BITS == 0);
    try->claimed_ms = now.wall_ms;
    try->started_ms = 0;
    try->claimed_by = worker;
    try->stopping = false;
    struct record_attempt *row = &engine_record(engine, RECORD_ATTEMPT_CLAIM, 0)->attempt;
    row->run_id = run->id;
    row->task = task;
    row->number = try->number;
    row->fence = try->fence;
    row->worker = worker;
    row->claimed_ms = try->claimed_ms;
    row->exit_code = -1;
    return try;
}

static void start_run(struct engine *engine, struct engine_run *run, struct engine_now now)
{
    if (run->state != RUN_PENDING)
        return;
    engine_move_run(run, RUN_RUNNING);
    run->started_ms = now.wall_ms > run->created_ms ? now.wall_ms : run->created_ms;
    struct record *record = engine_record(engine, RECORD_RUN_START, 0);
    record->run.id = run->id;
    record->run.started_ms = run->started_ms;
    engine_run_arm_timeout(engine, run, now);
}

/* One that waits for its batch may be overtaken by one that was sent ahead, and wait for a slot there. */
static void tell_start(struct engine *engine, const struct engine_run *run, const struct try *try, uint32_t index,
                       uint64_t batch)
{
    struct effect effect = {
        .kind = EFFECT_START,
        .task = try->task,
        .number = try->number,
        .fence = try->fence,
        .worker = engine->workers[index].id,
        .run_id = run->id,
        .dag_id = run->dag_id,
        .scheduled_ms = run->scheduled_ms,
        .dag = dag_ref(run->dag),
        .origin = origin_ref(run->origin),
        .may_wait = engine->workers[index].sent_max > 0,
    };
    engine_effect(engine, &effect, batch);
}

static void start(struct engine *engine, struct engine_run *run, struct try *try, uint32_t index, uint64_t batch)
{
    engine_move_task_quietly(engine, run, try->task, TASK_RUNNING);
    try->ahead = false;
    engine_attempt_bind(engine, try, index);
    if (batch == engine->open->number)
        engine->slots_waiting++;
    tell_start(engine, run, try, index, batch);
}

/* The place in the order of what is claimed ahead. */
static bool start_ahead(struct engine *engine, uint32_t place, uint32_t index)
{
    if (place >= engine->ahead_count)
        return false;
    const struct ahead ahead = engine_ahead_take(engine, place);
    start(engine, ahead.run, engine_try(ahead.run, ahead.task), index, ahead.batch);
    return true;
}

static bool start_ready(struct engine *engine, uint32_t index, struct engine_now now)
{
    struct engine_run *run;
    uint32_t task;
    if (!engine_ready_pop(engine, &run, &task))
        return false;
    start_run(engine, run, now);
    struct try *try = claim(engine, run, task, engine->workers[index].id, now);
    start(engine, run, try, index, engine_batch_now(engine));
    return true;
}

static void claim_ahead(struct engine *engine, struct engine_now now)
{
    struct engine_run *run;
    uint32_t task;
    while (engine->ahead_count < engine->options.claim_ahead_max && engine_ready_peek(engine, &run, &task) &&
           run->dag->tasks[task].on_lost == DAG_ON_LOST_RETRY) {
        (void)engine_ready_pop(engine, &run, &task);
        start_run(engine, run, now);
        engine_ahead_add(engine, run, claim(engine, run, task, (struct uuid){{0}}, now));
    }
}

/* The worker that has the fewest that wait, of those that may have more. */
static uint32_t find_waiter(const struct engine *engine)
{
    uint32_t best = NO_WORKER;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        const struct worker *worker = &engine->workers[i];
        bool has_room = worker->sent < worker->sent_max && worker->running <= worker->slots;
        if (takes_work(worker) && !worker->slow && has_room &&
            (best == NO_WORKER || worker->sent < engine->workers[best].sent))
            best = i;
    }
    return best;
}

/* No slot is free. What is sent is bound to a worker: one for each slot stays in hand, for whichever is free first. */
static void send_ahead(struct engine *engine)
{
    uint32_t index, in_hand = engine->ahead_count - engine->sent, stay = 0;
    for (uint32_t i = 0; i < engine->worker_count; i++)
        stay += takes_work(&engine->workers[i]) ? engine->workers[i].slots : 0;
    for (uint32_t place = 0; in_hand > stay; place++, in_hand--) {
        place = engine_ahead_in_hand(engine, place);
        struct ahead *ahead = &engine->ahead[place];
        if (ahead->batch > engine->committed || (index = find_waiter(engine)) == NO_WORKER)
            return;
        ahead->worker = index;
        engine->workers[index].sent++;
        engine->sent++;
        tell_start(engine, ahead->run, engine_try(ahead->run, ahead->task), index, ahead->batch);
    }
}

/* What no own slot is free for. */
static void start_elsewhere(struct engine *engine, struct engine_now now)
{
    struct engine_run *run;
    uint32_t index, task;
    for (uint32_t place = 0; (place = engine_ahead_in_hand(engine, place)) < engine->ahead_count;) {
        if (engine->ahead[place].run->dag->placement != DAG_PLACEMENT_ANY)
            place++;
        else if ((index = engine_node_free(engine)) == NO_WORKER || !start_ahead(engine, place, index))
            return;
    }
    while (engine->order_any && (index = engine_node_free(engine)) != NO_WORKER &&
           engine_ready_pop_any(engine, &run, &task)) {
        start_run(engine, run, now);
        struct try *try = claim(engine, run, task, engine->workers[index].id, now);
        start(engine, run, try, index, engine_batch_now(engine));
    }
}

static uint32_t free_slots(const struct engine *engine)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        const struct worker *worker = &engine->workers[i];
        uint32_t load = load_of(worker);
        count += takes_work(worker) && load < worker->slots ? worker->slots - load : 0;
    }
    return count;
}

void engine_dispatch(struct engine *engine, struct engine_now now)
{
    if (engine->draining || engine->holding)
        return;
    uint32_t index;
    bool any_worker = false;
    while ((index = engine_worker_free(engine)) != NO_WORKER) {
        any_worker = true;
        if (start_ahead(engine, engine_ahead_in_hand(engine, 0), index) || start_ready(engine, index, now))
            continue;
        if (engine->sent)
            engine_ahead_steal(engine, free_slots(engine));
        return;
    }
    start_elsewhere(engine, now);
    if (!engine->one_by_one && (any_worker || engine->running_attempts))
        claim_ahead(engine, now);
    if (engine->sends_ahead && !engine->one_by_one)
        send_ahead(engine);
}

void engine_set_one_by_one(struct engine *engine, bool one_by_one)
{
    bool changes = one_by_one && !engine->one_by_one;
    engine->one_by_one = one_by_one;
    if (changes)
        engine_ahead_withdraw(engine);
}

void engine_set_draining(struct engine *engine, bool draining)
{
    engine->schedules_stir |= engine->draining && !draining;
    engine->draining = draining;
    if (draining)
        engine_ahead_withdraw(engine);
}

void engine_hold_starts(struct engine *engine, bool hold)
{
    engine->schedules_stir |= engine->holding && !hold; /* what was let pass meanwhile is looked at again */
    engine->holding = hold;
    if (hold)
        engine_ahead_recall(engine, NO_WORKER);
}

bool engine_set_worker_draining(struct engine *engine, struct uuid id, bool draining)
{
    for (size_t i = 0; i < engine->worker_count; i++) {
        struct worker *worker = &engine->workers[i];
        if (worker->up && !worker->elsewhere && uuid_equal(worker->id, id)) {
            worker->draining = draining;
            if (draining)
                engine_ahead_recall(engine, (uint32_t)i);
            return true;
        }
    }
    return false;
}

static enum worker_state state_of(const struct worker *worker)
{
    if (!worker->up)
        return WORKER_STOPPED;
    if (worker->draining || worker->awaited)
        return WORKER_DRAINING;
    return worker->running ? WORKER_RUNNING : WORKER_IDLE;
}

static uint32_t share_at(const struct engine_worker_view *view, uint32_t level)
{
    if (view->state != WORKER_IDLE && view->state != WORKER_RUNNING)
        return 0;
    uint32_t queued = level > view->running ? level - view->running : 0;
    return queued < LIMIT_WORKER_QUEUE_MAX ? queued : LIMIT_WORKER_QUEUE_MAX;
}

static uint64_t shares_at(const struct engine_worker_view *views, size_t count, uint32_t level)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += share_at(&views[i], level);
    return sum;
}

/* Gives each worker its share, as if one task at a time went to the least loaded: all are filled up to one level of
 * running + queued, the highest that there are tasks for, and what is left goes to the first. */
static void share_queue(struct engine_worker_view *views, size_t count, uint64_t waiting)
{
    uint32_t low = 0, high = LIMIT_SLOTS_MAX + LIMIT_WORKER_QUEUE_MAX;
    while (low < high) {
        uint32_t level = (low + high + 1) / 2;
        if (shares_at(views, count, level) <= waiting)
            low = level;
        else
            high = level - 1;
    }
    waiting -= shares_at(views, count, low);
    for (size_t i = 0; i < count; i++) {
        views[i].queued = share_at(&views[i], low);
        if (waiting && share_at(&views[i], low + 1) > views[i].queued) {
            views[i].queued++;
            waiting--;
        }
    }
}

/* While it drains what was sent to it counts as well: it may have begun, until its worker says that it will not. Who
 * waits for 0 to end the worker would lose it. */
static uint32_t running_on(const struct worker *worker)
{
    return worker->running + (worker->draining ? worker->sent : 0);
}

size_t engine_workers(const struct engine *engine, struct engine_worker_view *views, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < engine->worker_count && count < max; i++) {
        const struct worker *worker = &engine->workers[i];
        if (worker->up && !worker->elsewhere)
            views[count++] = (struct engine_worker_view){worker->id, state_of(worker), worker->slots,
                                                         running_on(worker), 0, worker->awaited};
    }
    share_queue(views, count, engine->ready_tasks + engine->ahead_count);
    return count;
}
