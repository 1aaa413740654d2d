#include "sim.h"

#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"

void sim_daemon_boot(struct sim *sim)
{
    sim->options.epoch++;
    sim->options.seed = sim_random(sim);
    sim_say(sim, "the daemon starts, epoch %llu", (unsigned long long)sim->options.epoch);
    sim->engine = engine_new(&sim->options);
    engine_set_sends_ahead(sim->engine, sim_chance(sim, 70));
    sim->live = live_new();
    sim->daemon = DAEMON_RECOVERING;
    sim->told_once = sim->draining = sim->holding = false;
    for (uint32_t i = 0; i < sim->worker_count; i++)
        if (sim->workers[i].alive) {
            sim_worker_hello(sim, &sim->workers[i]);
            sim->workers[i].stopped = sim_chance(sim, 15);
        }
    sim_store_reopen(sim);
    sim_schedule_booted(sim);
    model_load(&sim->model, sim->engine, sim->live, sim->now);
}

void sim_daemon_crash(struct sim *sim)
{
    if (sim->daemon == DAEMON_DOWN)
        return;
    sim_say(sim, "the daemon dies: %zu batches are lost, %zu were durable and not told", sim->submitted_count,
            sim->durable_count);
    sim->daemon = DAEMON_DOWN;
    sim->totals.crashes++;
    engine_refuse_waiting(sim->engine, ERROR_STORE_FAILED, "the daemon died");
    engine_free(sim->engine);
    live_free(sim->live);
    sim->engine = NULL;
    sim->live = NULL;
    for (size_t i = 0; i < sim->submitted_count; i++)
        record_batch_free(sim->submitted[i]);
    for (size_t i = 0; i < sim->durable_count; i++)
        record_batch_free(sim->durable[i]);
    sim->submitted_count = sim->durable_count = 0;
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        sim->workers[i].burying = false;
        sim_worker_cut(sim, &sim->workers[i]);
    }
}

/* Every worker of a former daemon has joined, is known to be dead, or has been waited for long enough: who holds
 * nothing has lost nothing. */
static void reconcile_if_met(struct sim *sim)
{
    bool died = false;
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        struct sim_worker *worker = &sim->workers[i];
        bool silent = worker->alive && !worker->joined && !worker->awaited;
        if (silent && !worker->stopped)
            return;
        if (silent) {
            sim_say(sim, "worker %u is silent", i + 1);
            engine_worker_awaited(sim->engine, worker->id);
            worker->awaited = true;
        }
        died |= !worker->alive && !worker->buried;
    }
    struct engine_recovery recovery;
    engine_reconcile(sim->engine, died, sim->now, &recovery);
    sim->daemon = DAEMON_SERVING;
    for (uint32_t i = 0; i < sim->worker_count; i++)
        sim->workers[i].burying |= !sim->workers[i].alive && !sim->workers[i].joined; /* else it is told of */
    sim_say(sim, "recovered: %u adopted, %u awaited, %u ended, %u withdrawn, %u lost", recovery.adopted,
            recovery.awaited, recovery.ended_meanwhile, recovery.withdrawn, recovery.lost);
}

static void bury(struct sim *sim, struct sim_worker *worker)
{
    engine_worker_lost(sim->engine, worker->id, sim->now);
    worker->joined = worker->awaited = worker->linked = false;
    worker->burying = true;
}

void sim_daemon_receive(struct sim *sim, struct sim_worker *worker)
{
    worker->stopped = worker->stopped && worker->alive && sim->faults && sim_chance(sim, 97);
    if (!worker->outbox.count || worker->stopped)
        return;
    struct message message = sim_queue_take(&worker->outbox);
    switch (message.kind) {
    case MESSAGE_HELLO:
        worker->joined = worker->linked = true;
        worker->awaited = false;
        engine_worker_joined(sim->engine, worker->id, worker->slots, message.held, message.held_count, sim->now);
        engine_set_worker_ahead(sim->engine, worker->id, worker->ahead_max);
        break;
    case MESSAGE_STARTED:
        engine_attempt_started(sim->engine, worker->id, &message.attempt, sim->now);
        break;
    case MESSAGE_RESULT:
        engine_attempt_ended(sim->engine, worker->id, &message.attempt, sim->now);
        break;
    case MESSAGE_RETURNED:
        engine_attempt_returned(sim->engine, worker->id, &message.attempt, sim->now);
        break;
    default:
        bury(sim, worker);
        break;
    }
    mem_free(message.held);
    if (sim->daemon == DAEMON_RECOVERING)
        reconcile_if_met(sim);
}

/* Who drains, and everybody while starts are held or the daemon drains, gets nothing; nobody more than it has slots. */
static void dispatch(struct sim *sim)
{
    struct engine_worker_view before[WORKERS_MAX], after[WORKERS_MAX];
    size_t count = engine_workers(sim->engine, before, WORKERS_MAX);
    uint64_t claims = engine_counts(sim->engine).running_attempts;
    engine_dispatch(sim->engine, sim->now);
    (void)engine_workers(sim->engine, after, WORKERS_MAX);
    if ((sim->holding || sim->draining) && engine_counts(sim->engine).running_attempts != claims)
        model_broken("a start while none may be");
    for (size_t i = 0; i < count; i++) {
        bool more = after[i].running > before[i].running;
        if (more && (before[i].state == WORKER_DRAINING || after[i].running > after[i].slots))
            model_broken("a worker that drains or is full was given more");
    }
}

void sim_daemon_turn(struct sim *sim)
{
    if (sim->daemon == DAEMON_RECOVERING)
        reconcile_if_met(sim);
    engine_tick(sim->engine, sim->now);
    if (sim->daemon == DAEMON_SERVING)
        dispatch(sim);
}

static struct sim_worker *find_worker(struct sim *sim, struct uuid id)
{
    for (uint32_t i = 0; i < sim->worker_count; i++)
        if (uuid_equal(sim->workers[i].id, id))
            return &sim->workers[i];
    model_broken("an effect for a worker that never was");
}

void sim_daemon_effects(struct sim *sim)
{
    struct effect *effects;
    size_t count = engine_take_effects(sim->engine, &effects);
    for (size_t i = 0; i < count; i++) {
        const struct effect *effect = &effects[i];
        static const enum message_kind kinds[] = {
            [EFFECT_START] = MESSAGE_START, [EFFECT_STOP] = MESSAGE_STOP, [EFFECT_RECALL] = MESSAGE_RECALL,
            [EFFECT_ACK] = MESSAGE_ACK};
        static const char *const names[] = {
            [EFFECT_START] = "START", [EFFECT_STOP] = "STOP", [EFFECT_RECALL] = "RECALL", [EFFECT_ACK] = "ACK"};
        struct sim_worker *worker = find_worker(sim, effect->worker);
        if (effect->kind == EFFECT_START)
            sim_check_start(sim, effect);
        const struct message message = {
            .kind = kinds[effect->kind],
            .may_wait = effect->may_wait,
            .attempt = {.run_id = effect->run_id, .task = effect->task, .number = effect->number,
                        .fence = effect->fence}};
        sim_say(sim, "%s run %02x%02x task %u attempt %u to worker %u",
                names[effect->kind],
                effect->run_id.bytes[6], effect->run_id.bytes[7], effect->task, effect->number,
                (uint32_t)(worker - sim->workers) + 1);
        if (worker->alive && worker->linked)
            sim_queue_add(&worker->inbox, &message);
        dag_unref(effect->dag);
        origin_unref(effect->origin);
    }
}

void sim_daemon_submit(struct sim *sim)
{
    if (sim->submitted_count == BATCHES_MAX)
        return;
    struct batch *batch = engine_take_batch(sim->engine);
    if (batch) {
        sim->submitted[sim->submitted_count++] = batch;
        sim->last_batch = batch->number;
    }
    /* what was lost with them is decided, and durable */
    bool decided = sim->daemon == DAEMON_SERVING && !engine_is_unsettled(sim->engine) && !sim->submitted_count;
    for (uint32_t i = 0; i < sim->worker_count; i++)
        sim->workers[i].buried |= decided && sim->workers[i].burying;
}

/* No room: nothing that is conditional is taken, all else is. */
static void refuse_all(const struct sim *sim, struct batch *batch)
{
    for (uint32_t i = 0; i < batch->group_count; i++) {
        batch->verdicts[i].refused = true;
        batch->verdicts[i].code = ERROR_STORE_FULL;
    }
    sim_say(sim, "no room for batch %llu", (unsigned long long)batch->number);
}

void sim_store_commit(struct sim *sim)
{
    if (!sim->submitted_count || sim->durable_count == BATCHES_MAX)
        return;
    struct batch *batch = sim->submitted[0];
    memmove(sim->submitted, sim->submitted + 1, --sim->submitted_count * sizeof(struct batch *));
    if (sim->store_kind == SIM_STORE_NONE && sim->faults && sim_chance(sim, sim->has_schedules ? 6 : 1))
        refuse_all(sim, batch);
    sim_schedule_before(sim);
    model_commit(&sim->model, batch);
    sim_schedule_check(sim, batch);
    sim_store_compare(sim, batch);
    sim_check_truth(sim, batch);
    sim->durable[sim->durable_count++] = batch;
}

void sim_daemon_told(struct sim *sim)
{
    if (!sim->durable_count)
        return;
    struct batch *batch = sim->durable[0];
    memmove(sim->durable, sim->durable + 1, --sim->durable_count * sizeof(struct batch *));
    live_apply(sim->live, batch, sim->now.wall_ms);
    engine_committed(sim->engine, batch, sim->now);
    record_batch_free(batch);
    sim->told_once = true;
    if (!sim->durable_count) {
        sim_schedule_told(sim);
        sim_check_shown(sim);
    }
}
