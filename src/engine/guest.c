/* Guests: attempts of runs that another node drives, run here because slots are free. The engine knows of them only
 * which slot they take; claims, retries and records are their owner's. A guest stays known until its end is durable
 * there (engine_guest_done), so that a worker that says it again is not told to forget it. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

static struct guest *find(const struct engine *engine, const struct engine_attempt *key)
{
    for (size_t i = 0; i < engine->guest_count; i++) {
        struct guest *guest = &engine->guests[i];
        if (guest->fence == key->fence && guest->task == key->task && guest->number == key->number &&
            uuid_equal(guest->run_id, key->run_id))
            return guest;
    }
    return NULL;
}

static struct guest *add(struct engine *engine, const struct engine_attempt *key)
{
    engine->guests = mem_grow(engine->guests, &engine->guest_cap, engine->guest_count + 1, sizeof *engine->guests);
    struct guest *guest = &engine->guests[engine->guest_count++];
    *guest = (struct guest){
        .run_id = key->run_id, .task = key->task, .number = key->number, .fence = key->fence, .worker = NO_WORKER};
    return guest;
}

static void drop(struct engine *engine, struct guest *guest)
{
    *guest = engine->guests[--engine->guest_count];
}

static void bind(struct engine *engine, struct guest *guest, uint32_t index)
{
    guest->worker = index;
    engine->workers[index].running++;
    engine->running_attempts++;
}

static void unbind(struct engine *engine, struct guest *guest)
{
    if (guest->worker == NO_WORKER)
        return;
    assert(engine->workers[guest->worker].running > 0);
    engine->workers[guest->worker].running--;
    engine->running_attempts--;
    guest->worker = NO_WORKER;
}

/* Nothing of a guest waits for a batch of ours: what it waited for is durable. */
static void tell(struct engine *engine, enum effect_kind kind, const struct guest *guest, struct uuid worker)
{
    const struct effect effect = {
        .kind = kind,
        .task = guest->task,
        .number = guest->number,
        .fence = guest->fence,
        .worker = worker,
        .run_id = guest->run_id,
    };
    engine_effect(engine, &effect, engine->committed);
}

void engine_guest_restore(struct engine *engine, const struct engine_attempt *key)
{
    if (!find(engine, key))
        (void)add(engine, key);
}

bool engine_guest_start(struct engine *engine, const struct effect *start)
{
    const struct engine_attempt key = {
        .run_id = start->run_id, .task = start->task, .number = start->number, .fence = start->fence};
    if (find(engine, &key))
        return true;
    uint32_t index = engine->draining || engine->holding ? NO_WORKER : engine_worker_free(engine);
    if (index == NO_WORKER)
        return false;
    bind(engine, add(engine, &key), index);
    struct effect effect = *start;
    effect.kind = EFFECT_START;
    effect.worker = engine->workers[index].id;
    effect.dag = dag_ref(start->dag);
    effect.origin = origin_ref(start->origin);
    engine_effect(engine, &effect, engine->committed);
    return true;
}

void engine_guest_stop(struct engine *engine, const struct engine_attempt *key)
{
    struct guest *guest = find(engine, key);
    if (!guest || guest->ended || guest->stopping)
        return;
    guest->stopping = true;
    if (guest->worker != NO_WORKER)
        tell(engine, EFFECT_STOP, guest, engine->workers[guest->worker].id);
}

bool engine_guest_is(const struct engine *engine, const struct engine_attempt *key)
{
    return find(engine, key) != NULL;
}

bool engine_guest_of(const struct engine *engine, struct uuid run_id)
{
    for (size_t i = 0; i < engine->guest_count; i++)
        if (uuid_equal(engine->guests[i].run_id, run_id))
            return true;
    return false;
}

bool engine_guest_ended(struct engine *engine, const struct engine_attempt *end)
{
    struct guest *guest = find(engine, end);
    if (!guest || guest->ended)
        return false;
    unbind(engine, guest);
    guest->ended = true;
    return true;
}

void engine_guest_done(struct engine *engine, const struct engine_attempt *key)
{
    struct guest *guest = find(engine, key);
    if (!guest)
        return;
    unbind(engine, guest);
    drop(engine, guest);
}

bool engine_guest_meet(struct engine *engine, uint32_t index, const struct engine_attempt *held)
{
    struct guest *guest = find(engine, held);
    if (!guest)
        return false;
    if (guest->worker == NO_WORKER && !guest->ended)
        bind(engine, guest, index);
    if (guest->stopping && !guest->ended && !held->ended)
        tell(engine, EFFECT_STOP, guest, engine->workers[index].id);
    return true;
}

static void end_here(struct engine *engine, struct guest *guest, enum effect_kind kind)
{
    struct uuid worker = guest->worker == NO_WORKER ? (struct uuid){{0}} : engine->workers[guest->worker].id;
    unbind(engine, guest);
    guest->ended = true;
    tell(engine, kind, guest, worker);
}

/* Starts that the living worker never saw. */
void engine_guests_unseen(struct engine *engine, uint32_t index, const struct engine_attempt *held, size_t count)
{
    for (size_t i = 0; i < engine->guest_count; i++) {
        struct guest *guest = &engine->guests[i];
        bool seen = false;
        for (size_t j = 0; j < count && !seen; j++)
            seen = find(engine, &held[j]) == guest;
        if (guest->worker == index && !seen)
            end_here(engine, guest, EFFECT_GUEST_REFUSED);
    }
}

void engine_guests_lost(struct engine *engine, uint32_t index)
{
    for (size_t i = 0; i < engine->guest_count; i++)
        if (engine->guests[i].worker == index && !engine->guests[i].ended)
            end_here(engine, &engine->guests[i], EFFECT_GUEST_LOST);
}
