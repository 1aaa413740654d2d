/* What the store sees be done, or not: offers that nobody takes are taken back, what nobody took is not called lost, a
 * cancel that was asked of another node is heard by the owner. */
#include "nodes.h"

enum { UNTAKEN_MS = 400 };              /* as in server/cluster_offers.c */

static struct fate *fate_of(uint64_t fence)
{
    for (size_t i = sim.fate_count; i-- > 0;)
        if (sim.fates[i].fence == fence)
            return &sim.fates[i];
    return NULL;
}

void watch_claim(const struct record_attempt *row)
{
    if (!engine_is_node(row->worker, NULL))
        return;
    if (sim.fate_count == TRUTHS_MAX)
        model_broken("the simulation cannot remember more claims for nodes");
    sim.fates[sim.fate_count++] = (struct fate){.fence = row->fence};
}

void watch_take(uint64_t fence)
{
    struct fate *fate = fate_of(fence);
    if (fate)
        fate->taken = true;
}

void watch_lost(const struct record_attempt *row)
{
    const struct fate *fate = fate_of(row->fence);
    if (fate && !fate->taken)
        model_broken("task %u: called lost, though no node had taken it", row->task);
}

void watch_read(const struct node *node, const struct store_offer *row)
{
    struct fate *fate = fate_of(row->attempt.fence);
    if (!fate || row->stage != STORE_OFFER_OFFERED)
        return;
    if (fate->reader != node->store.epoch) {
        fate->reader = node->store.epoch;
        fate->since_ms = sim.now_ms;
        fate->overdue = false;
    }
    if (fate->overdue)
        model_broken("task %u: still offered, though nobody takes it", row->attempt.task);
    fate->overdue = sim.now_ms - fate->since_ms >= UNTAKEN_MS;
}

void watch_not_withdrawn(const uint64_t *fences, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fate_of(fences[i]))
            fate_of(fences[i])->overdue = false;
}

void watch_asked(const struct node *node, struct owner *owner)
{
    if (owner->heard != node->store.epoch)
        owner->heard_batch = 0;
    owner->heard = node->store.epoch;
}

void watch_step(const struct node *node)
{
    for (size_t i = 0; i < sim.model.run_count; i++) {
        struct owner *owner = &sim.owners[i];
        if (owner->heard != node->store.epoch || owner->heard_batch)
            continue;
        struct live_run *known = live_get(node->core.live, sim.model.runs[i]->run.id);
        if (known)
            owner->heard_batch = node->taken_batch + 1;
        else
            owner->heard = 0; /* the run comes with this step, and the store is asked again */
        live_unref(known);
    }
}

void watch_run_end(const struct node *node, const struct batch *batch, const struct record_run *end)
{
    const struct owner *owner = &sim.owners[shop_run(end->id)];
    bool heard = owner->heard == node->store.epoch && owner->heard_batch;
    if (heard && owner->heard_batch < batch->number && !end->cancel_ms)
        model_broken("a cancel that its owner was told of is forgotten");
}
