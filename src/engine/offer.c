/* Attempts that other nodes run for this one (placement: any). Such a node stands among the workers, under an id made
 * of its life: what is claimed for it, started, stopped and ended there takes the same ways as on a worker. It gets
 * ready tasks that no own slot is free for, of runs that need not stay on one node. What the caller cannot bring there
 * comes back as refused: nobody has begun it, so the claim is withdrawn. */
#include <assert.h>
#include <string.h>

#include "dag/dag.h"
#include "engine/model.h"

/* A UUID of version 8: ours to fill. */
struct uuid engine_node_worker(uint64_t epoch)
{
    struct uuid id = {{'p', 'a', 'w', 'l', 0, 0, 0x80, 0, 0x80}};
    for (int i = 0; i < 7; i++)
        id.bytes[9 + i] = (uint8_t)(epoch >> (48 - 8 * i));
    return id;
}

bool engine_is_node(struct uuid worker, uint64_t *ret_epoch)
{
    uint64_t epoch = 0;
    for (int i = 0; i < 7; i++)
        epoch = epoch << 8 | worker.bytes[9 + i];
    if (!uuid_equal(worker, engine_node_worker(epoch)))
        return false;
    if (ret_epoch)
        *ret_epoch = epoch;
    return true;
}

static struct worker *get_node(struct engine *engine, uint64_t epoch)
{
    uint32_t index = engine_worker_get(engine, engine_node_worker(epoch));
    engine->workers[index].elsewhere = true;
    return &engine->workers[index];
}

void engine_set_node(struct engine *engine, uint64_t epoch, uint32_t free_slots)
{
    uint32_t index = engine_worker_find(engine, engine_node_worker(epoch));
    if (index == NO_WORKER && !free_slots)
        return;
    struct worker *node = get_node(engine, epoch);
    node->slots = node->running + free_slots;
    node->up = node->slots > 0; /* else nobody speaks of it any more, and its place is free */
}

void engine_node_joined(struct engine *engine, uint64_t epoch, const struct engine_attempt *held, size_t held_count,
                        struct engine_now now)
{
    struct worker *node = get_node(engine, epoch);
    uint32_t index = (uint32_t)(node - engine->workers);
    for (size_t i = 0; i < held_count; i++)
        engine_attempt_meet(engine, index, &held[i], now);
    node = &engine->workers[index];
    if (node->slots < node->running)
        node->slots = node->running;
}

void engine_offer_refused(struct engine *engine, const struct engine_attempt *attempt, struct engine_now now)
{
    struct engine_run *run;
    const struct try *try = engine_attempt_find(engine, attempt, &run);
    if (!try)
        return;
    engine_attempt_take_back(engine, run, attempt->task);
    engine_run_finish_if_done(engine, run, now);
}

/* The node with the most free slots. */
uint32_t engine_node_free(const struct engine *engine)
{
    uint32_t best = NO_WORKER, most = 0;
    for (uint32_t i = 0; i < engine->worker_count; i++) {
        const struct worker *node = &engine->workers[i];
        if (!node->up || !node->elsewhere || node->running >= node->slots)
            continue;
        if (node->slots - node->running > most) {
            most = node->slots - node->running;
            best = i;
        }
    }
    return best;
}
