/* Claims without a slot. Most are in hand: the next free slot starts one without waiting for a commit. While attempts
 * are brief some of those that are durable are sent on to workers that have no free slot, so that a worker has its next
 * start before its last attempt has ended:
 *
 *     in hand ---- START ----> sent ---- STARTED, RESULT, HELD, or cancel, or loss ----> it has a slot: it runs
 *        ^                      | RETURNED, or the link broke before it came
 *        +----------------------+
 *
 * A task that was sent is still queued; it takes its worker's next slot. Only the worker knows whether it began, so
 * only its word, or its end, takes it from there. A worker gives back by itself what it could not begin soon; then it
 * gets no more until it has ended something: others do not wait behind what takes long. When a slot is free elsewhere
 * and nothing is in hand, what was sent is recalled: idle workers take from busy ones. */
#include <assert.h>
#include <string.h>

#include "dag/dag.h"
#include "engine/model.h"

static uint32_t find(const struct engine *engine, const struct engine_run *run, uint32_t task)
{
    uint32_t place = 0;
    while (place < engine->ahead_count && (engine->ahead[place].run != run || engine->ahead[place].task != task))
        place++;
    return place;
}

static void drop(struct engine *engine, uint32_t place)
{
    struct ahead *ahead = &engine->ahead[place];
    engine->ahead_count--;
    memmove(ahead, ahead + 1, (engine->ahead_count - place) * sizeof *ahead);
}

void engine_ahead_add(struct engine *engine, struct engine_run *run, struct try *try)
{
    assert(engine->ahead_count < engine->options.claim_ahead_max);
    try->ahead = true;
    engine->ahead[engine->ahead_count++] =
        (struct ahead){.run = run, .task = try->task, .batch = engine_batch_now(engine), .worker = NO_WORKER};
}

struct ahead engine_ahead_take(struct engine *engine, uint32_t place)
{
    const struct ahead ahead = engine->ahead[place];
    assert(ahead.worker == NO_WORKER);
    drop(engine, place);
    return ahead;
}

uint32_t engine_ahead_in_hand(const struct engine *engine, uint32_t from)
{
    while (from < engine->ahead_count && engine->ahead[from].worker != NO_WORKER)
        from++;
    return from;
}

void engine_ahead_begun(struct engine *engine, struct engine_run *run, struct try *try)
{
    uint32_t place = find(engine, run, try->task);
    assert(place < engine->ahead_count);
    uint32_t index = engine->ahead[place].worker;
    if (index == NO_WORKER)
        return;
    drop(engine, place);
    engine->workers[index].sent--;
    engine->sent--;
    try->ahead = false;
    engine_move_task_quietly(engine, run, try->task, TASK_RUNNING);
    engine_attempt_bind(engine, try, index);
}

/* The claim stays as it is: the worker has not begun it and never will. */
static void take_in_hand(struct engine *engine, uint32_t place)
{
    struct ahead *ahead = &engine->ahead[place];
    engine->workers[ahead->worker].sent--;
    engine->sent--;
    ahead->worker = NO_WORKER;
    ahead->recalled = false;
    if (!engine->draining && !engine->one_by_one)
        return;
    struct engine_run *run = ahead->run;
    uint32_t task = ahead->task;
    drop(engine, place);
    engine_attempt_withdraw(engine, run, task);
    engine_ready_push(engine, run, task);
}

bool engine_ahead_unsent(struct engine *engine, const struct engine_run *run, uint32_t task)
{
    uint32_t place = find(engine, run, task);
    if (place == engine->ahead_count || engine->ahead[place].worker == NO_WORKER)
        return false;
    take_in_hand(engine, place);
    return true;
}

void engine_attempt_returned(struct engine *engine, struct uuid worker, const struct engine_attempt *attempt,
                             struct engine_now now)
{
    struct engine_run *run = engine_find_run(engine, attempt->run_id);
    struct try *try = run && attempt->task < run->dag->task_count ? engine_try(run, attempt->task) : NULL;
    uint32_t index = engine_worker_find(engine, worker);
    if (index == NO_WORKER)
        return;
    if (!try || try->number != attempt->number || try->fence != attempt->fence)
        return;
    uint32_t place = find(engine, run, try->task);
    if (place < engine->ahead_count) {
        if (engine->ahead[place].worker != index)
            return;
        engine->workers[index].slow = !engine->ahead[place].recalled;
        take_in_hand(engine, place);
    } else if (try->worker == index && !try->started_ms) { /* it was taken for begun: canceled, or met again */
        engine_attempt_take_back(engine, run, try->task);
        engine_run_finish_if_done(engine, run, now);
    }
}

void engine_ahead_drop_run(struct engine *engine, struct engine_run *run)
{
    for (uint32_t place = engine->ahead_count; place-- > 0;) {
        const struct ahead ahead = engine->ahead[place];
        if (ahead.run != run)
            continue;
        if (ahead.worker != NO_WORKER) {
            engine_ahead_begun(engine, run, engine_try(run, ahead.task));
        } else {
            drop(engine, place);
            engine_attempt_cancel_claim(engine, run, ahead.task);
        }
    }
}

static void recall(struct engine *engine, struct ahead *ahead)
{
    if (ahead->worker == NO_WORKER || ahead->recalled)
        return;
    const struct try *try = engine_try(ahead->run, ahead->task);
    ahead->recalled = true;
    const struct effect effect = {
        .kind = EFFECT_RECALL,
        .task = try->task,
        .number = try->number,
        .fence = try->fence,
        .worker = engine->workers[ahead->worker].id,
        .run_id = ahead->run->id,
    };
    engine_effect(engine, &effect, engine->committed);
}

void engine_ahead_recall(struct engine *engine, uint32_t index)
{
    for (uint32_t i = 0; i < engine->ahead_count; i++)
        if (index == NO_WORKER || engine->ahead[i].worker == index)
            recall(engine, &engine->ahead[i]);
}

void engine_ahead_steal(struct engine *engine, uint32_t slots)
{
    for (uint32_t place = engine->ahead_count; place-- > 0 && slots;) {
        slots -= engine->ahead[place].worker != NO_WORKER;
        recall(engine, &engine->ahead[place]);
    }
}

void engine_ahead_withdraw(struct engine *engine)
{
    engine_ahead_recall(engine, NO_WORKER);
    for (uint32_t place = engine->ahead_count; place-- > 0;) {
        const struct ahead ahead = engine->ahead[place];
        if (ahead.worker != NO_WORKER)
            continue;
        drop(engine, place);
        engine_attempt_withdraw(engine, ahead.run, ahead.task);
        engine_ready_push(engine, ahead.run, ahead.task);
    }
}

void engine_ahead_lost(struct engine *engine, uint32_t index)
{
    for (uint32_t place = engine->ahead_count; place-- > 0;) {
        const struct ahead ahead = engine->ahead[place];
        if (ahead.worker == index)
            engine_ahead_begun(engine, ahead.run, engine_try(ahead.run, ahead.task));
    }
}

void engine_ahead_unseen(struct engine *engine, uint32_t index, const struct engine_attempt *held, size_t count)
{
    for (uint32_t place = engine->ahead_count; place-- > 0;) {
        const struct ahead *ahead = &engine->ahead[place];
        if (ahead->worker == index &&
            !engine_attempt_is_held(held, count, ahead->run, engine_try(ahead->run, ahead->task)))
            take_in_hand(engine, place);
    }
}

void engine_set_worker_ahead(struct engine *engine, struct uuid id, uint32_t sent_max)
{
    uint32_t index = engine_worker_find(engine, id);
    if (index != NO_WORKER)
        engine->workers[index].sent_max = sent_max;
}

void engine_set_sends_ahead(struct engine *engine, bool sends)
{
    engine->sends_ahead = sends;
}
