/* Attempts that nodes run for each other, between the engine and server/cluster_offers.c: what the engine gives to
 * other nodes goes out by core_others, what they say comes in here; guests' jobs are built as any other's. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/core_model.h"
#include "store/offers.h"

void core_set_others(struct core *core, const struct core_others *others)
{
    core->others = *others;
}

void core_set_node(struct core *core, uint64_t epoch, uint32_t free_slots)
{
    engine_set_node(core->engine, epoch, core->phase == CORE_SERVING ? free_slots : 0);
}

void core_offer_refused(struct core *core, const struct engine_attempt *attempt)
{
    engine_offer_refused(core->engine, attempt, core->now);
}

void core_offer_started(struct core *core, uint64_t epoch, const struct engine_attempt *attempt)
{
    engine_attempt_started(core->engine, engine_node_worker(epoch), attempt, core->now);
}

void core_offer_ended(struct core *core, uint64_t epoch, const struct engine_attempt *attempt)
{
    engine_attempt_ended(core->engine, engine_node_worker(epoch), attempt, core->now);
}

/* One that is known may run already, though this node recovers or drains: it is not refused. */
bool core_guest_start(struct core *core, const struct effect *start)
{
    const struct engine_attempt key = {
        .run_id = start->run_id, .task = start->task, .number = start->number, .fence = start->fence};
    return engine_guest_is(core->engine, &key) ||
           (core->phase == CORE_SERVING && engine_guest_start(core->engine, start));
}

void core_guest_stop(struct core *core, const struct engine_attempt *key)
{
    engine_guest_stop(core->engine, key);
}

/* What job building kept for guests of a run goes with the last of them, unless the run is this node's by now. */
static void forget_run(struct core *core, struct uuid run_id)
{
    struct live_run *own = live_get(core->live, run_id);
    if (!own && !engine_guest_of(core->engine, run_id))
        core_forget_run(core, run_id);
    live_unref(own);
}

void core_guest_done(struct core *core, struct uuid worker, const struct engine_attempt *key)
{
    const struct job_key job = {
        .run_id = key->run_id, .fence = key->fence, .task = key->task, .number = key->number};
    engine_guest_done(core->engine, key);
    if (!uuid_is_zero(worker))
        (void)pool_ack(core->pool, worker, &job);
    forget_run(core, key->run_id);
}

/* True: it was about a guest. */
bool core_guest_ended(struct core *core, struct uuid worker, const struct engine_attempt *end)
{
    if (!engine_guest_is(core->engine, end))
        return false;
    if (engine_guest_ended(core->engine, end) && core->others.guest_ended)
        core->others.guest_ended(core->others.context, worker, end);
    return true;
}

bool core_guest_started(struct core *core, struct uuid worker, const struct engine_attempt *attempt)
{
    if (!engine_guest_is(core->engine, attempt))
        return false;
    if (core->others.guest_started)
        core->others.guest_started(core->others.context, worker, attempt);
    return true;
}

static struct engine_attempt attempt_of(const struct effect *effect)
{
    return (struct engine_attempt){
        .run_id = effect->run_id,
        .task = effect->task,
        .number = effect->number,
        .fence = effect->fence,
        .exit_code = -1,
    };
}

/* The effect of a guest's end without a result; or of an attempt elsewhere. False: it is for the pool. */
bool core_do_elsewhere(struct core *core, const struct effect *effect)
{
    const struct core_others *others = &core->others;
    struct engine_attempt attempt = attempt_of(effect);
    uint64_t epoch;
    if (effect->kind == EFFECT_GUEST_LOST || effect->kind == EFFECT_GUEST_REFUSED) {
        attempt.outcome = ATTEMPT_LOST;
        attempt.error_type = FAILURE_LOST;
        attempt.error = "the worker died; the outcome is unknown";
        attempt.retryable = true;
        if (effect->kind == EFFECT_GUEST_REFUSED)
            others->guest_refused(others->context, &attempt);
        else
            others->guest_ended(others->context, (struct uuid){{0}}, &attempt);
        return true;
    }
    if (!engine_is_node(effect->worker, &epoch))
        return false;
    if (effect->kind == EFFECT_START)
        others->offer(others->context, epoch, &attempt);
    else if (effect->kind == EFFECT_STOP)
        others->stop(others->context, &attempt);
    else
        others->done(others->context, &attempt);
    return true;
}

/* ---- recovery ---- */

void core_offers_joined(struct core *core, const struct store_offer *offers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct engine_attempt held = core_attempt_of_offer(&offers[i]);
        if (offers[i].stage != STORE_OFFER_OFFERED && offers[i].stage != STORE_OFFER_REFUSED)
            engine_node_joined(core->engine, offers[i].node, &held, 1, core->now);
    }
}

struct engine_attempt core_attempt_of_offer(const struct store_offer *offer)
{
    const struct record_attempt *row = &offer->attempt;
    bool lost = offer->stage == STORE_OFFER_LOST;
    return (struct engine_attempt){
        .run_id = row->run_id,
        .task = row->task,
        .number = row->number,
        .fence = row->fence,
        .worker = row->worker,
        .ended = lost || offer->stage == STORE_OFFER_ENDED,
        .retryable = lost || offer->retryable,
        .outcome = lost ? ATTEMPT_LOST : offer->outcome,
        .error_type = lost ? FAILURE_LOST : row->error_type,
        .error = lost ? "the node that ran it is gone; the outcome is unknown" : row->error,
        .exit_code = lost ? -1 : row->exit_code,
        .signal = row->signal,
        .http_status = row->http_status,
        .started_ms = row->started_ms,
        .ended_ms = row->ended_ms,
        .cpu_us = row->cpu_us,
        .max_rss_bytes = row->max_rss_bytes,
        .log_bytes = row->log_bytes,
    };
}

int core_load_offers(struct core *core, struct error *err)
{
    struct arena arena = {0};
    struct store_offers offers;
    int code = store_offers_recover(core->store, &arena, &offers, err);
    for (size_t i = 0; i < offers.count && !code; i++) {
        const struct engine_attempt attempt = core_attempt_of_offer(&offers.items[i]);
        if (offers.items[i].is_guest)
            engine_guest_restore(core->engine, &attempt);
        else
            core_offers_joined(core, &offers.items[i], 1);
    }
    arena_fini(&arena);
    return code;
}
