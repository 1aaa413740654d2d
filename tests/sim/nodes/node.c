/* A node: what server/core*.c does around the engine, and its worker. One worker a node, told things at once: queues
 * and broken links are for the simulation of the single node. */
#include "nodes.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "server/cluster_model.h"

struct node *current;

static struct node *node_of(struct core *core)
{
    return (struct node *)core; /* its first field */
}

static void set_clocks(struct node *node)
{
    current = node;
    node->core.now = (struct engine_now){1700000000000 + sim.now_ms + node->wall_ms, sim.now_ms + node->boot_ms};
}

int64_t sim_boot_ms(void)
{
    return sim.now_ms + current->boot_ms;
}

/* ---- the worker ---- */

static struct held *find_held(struct node *node, const struct engine_attempt *key)
{
    for (size_t i = 0; i < node->held_count; i++)
        if (node->held[i].attempt.fence == key->fence)
            return &node->held[i];
    return NULL;
}

/* G3: never two processes of one task instance. */
static void check_alone(const struct engine_attempt *key)
{
    for (int n = 0; n < NODES; n++)
        for (size_t i = 0; i < sim.nodes[n].held_count; i++) {
            const struct engine_attempt *other = &sim.nodes[n].held[i].attempt;
            if (!other->ended && other->task == key->task && uuid_equal(other->run_id, key->run_id))
                model_broken("task %u: two processes at once, the other one on node %d", key->task, n + 1);
        }
}

static void check_claim(const struct node *node, const struct engine_attempt *key)
{
    const struct model_run *run = model_find(&sim.model, key->run_id);
    const struct record_attempt *row = run && !run->ended ? model_last(run, key->task) : NULL;
    if (!row || row->state != ATTEMPT_RUNNING || row->fence != key->fence || row->number != key->number)
        model_broken("task %u: started without a durable claim", key->task);
    for (size_t i = 0; i < sim.offer_count; i++)
        if (sim.offers[i].attempt.fence == key->fence &&
            (sim.offers[i].node != node->store.epoch || sim.offers[i].stage != STORE_OFFER_TAKEN))
            model_broken("task %u: started by a node that has not taken it", key->task);
}

static void worker_start(struct node *node, const struct effect *effect)
{
    const struct engine_attempt key = {.run_id = effect->run_id, .task = effect->task, .number = effect->number,
                                       .fence = effect->fence, .exit_code = -1, .retryable = true,
                                       .started_ms = node->core.now.wall_ms};
    if (!node->worker_lives || !uuid_equal(node->worker, effect->worker))
        return;
    if (find_held(node, &key))
        model_broken("task %u: the same attempt started twice", key.task);
    if (node->held_count == HELD_MAX || sim.truth_count == TRUTHS_MAX)
        model_broken("the simulation cannot remember more attempts");
    sim_say("node %u starts task %u of %02x%02x, attempt %u", node->index + 1, key.task, key.run_id.bytes[14],
            key.run_id.bytes[15], key.number);
    check_alone(&key);
    check_claim(node, &key);
    node->held[node->held_count++] = (struct held){.attempt = key};
    sim.truths[sim.truth_count++] = (struct truth){.fence = key.fence};
    if (!core_guest_started(&node->core, node->worker, &key))
        engine_attempt_started(node->core.engine, node->worker, &key, node->core.now);
}

int pool_ack(struct pool *pool, struct uuid worker, const struct job_key *key)
{
    struct node *node = (struct node *)(void *)pool;
    const struct engine_attempt attempt = {.fence = key->fence};
    struct held *held = uuid_equal(worker, node->worker) ? find_held(node, &attempt) : NULL;
    if (held && !held->attempt.ended)
        model_broken("task %u: acknowledged before it ended", key->task);
    if (held)
        *held = node->held[--node->held_count];
    return 0;
}

static void tell_end(struct node *node, const struct engine_attempt *end)
{
    set_clocks(node);
    if (!core_guest_ended(&node->core, node->worker, end))
        engine_attempt_ended(node->core.engine, node->worker, end, node->core.now);
}

void node_progress(struct node *node)
{
    if (!node->held_count)
        return;
    struct held *held = &node->held[sim_below((uint32_t)node->held_count)];
    struct engine_attempt *end = &held->attempt;
    if (!end->ended) {
        uint32_t dice = sim_below(100);
        const struct model_run *run = model_find(&sim.model, end->run_id);
        if (!sim.faults && !held->stopping && (run->ended || run->run.cancel_ms))
            return; /* runs until it is told to end */
        end->ended = true;
        end->ended_ms = end->started_ms + 1;
        end->outcome = held->stopping && dice < 70 ? ATTEMPT_CANCELED
                       : dice < 75 || !sim.faults  ? ATTEMPT_SUCCEEDED
                                                   : ATTEMPT_FAILED;
        if (end->outcome == ATTEMPT_FAILED) {
            end->error_type = FAILURE_EXIT;
            end->error = "exit status 1";
        }
        *shop_truth(end->fence) = (struct truth){end->fence, true, end->outcome};
    }
    if (node->up && !node->paused && node->core.phase == CORE_SERVING)
        tell_end(node, end);
}

static void kill_held(struct node *node)
{
    node->held_count = 0;
    node->worker_lives = node->burying = false;
    node->unburied = true;
    node->worker_lease_ms = 0;
}

void node_worker_dies(struct node *node)
{
    if (!node->worker_lives)
        return;
    sim_say("the worker of node %u dies with %zu attempts", node->index + 1, node->held_count);
    kill_held(node);
}

void node_enforce_lease(struct node *node)
{
    if (node->worker_lives && node->worker_lease_ms && sim.now_ms + node->boot_ms >= node->worker_lease_ms)
        node_worker_dies(node);
}

/* ---- core.h, as far as the cluster asks for it ---- */

struct store *core_store(struct core *core)
{
    return core->store;
}

int core_read_source(const char *name, const char *source, size_t len, const char *changes, struct dag **ret_dag,
                     struct error *err)
{
    (void)name;
    (void)changes;
    if (len != sizeof(struct dag *))
        return error_set(err, ERROR_INTERNAL, "no source");
    memcpy(ret_dag, source, sizeof *ret_dag);
    (void)dag_ref(*ret_dag);
    return 0;
}

int core_read_changed(struct store *store, const struct record_run *run, struct dag **ret_dag, struct error *err)
{
    (void)store;
    if (current->cut)
        return error_set(err, ERROR_STORE_AWAY, "the store cannot be reached");
    *ret_dag = dag_ref(model_find(&sim.model, run->id)->run.dag);
    return 0;
}

int core_adopt(struct core *core, const struct record_run *run, const struct record_attempt *attempts,
               size_t attempt_count, const struct store_offers *offers, struct error *err)
{
    struct live_run *known = live_get(core->live, run->id);
    if (known) {
        live_unref(known);
        dag_unref(run->dag);
        return 0;
    }
    live_restore(core->live, run, attempts, attempt_count);
    int code = engine_restore_run(core->engine, run, attempts, attempt_count, core->now, err);
    if (code)
        model_broken("a run cannot be taken over: %s", err->text);
    core_offers_joined(core, offers->items, offers->count);
    engine_adopt_run(core->engine, run->id, core->now);
    return 0;
}

size_t core_release(struct core *core, size_t max, struct uuid *ret_ids)
{
    size_t count = engine_release_pending(core->engine, max, ret_ids);
    for (size_t i = 0; i < count; i++)
        live_forget(core->live, ret_ids[i]);
    return count;
}

void core_set_lease(struct core *core, int64_t lease_ms)
{
    struct node *node = node_of(core);
    core->lease_ms = lease_ms;
    if (node->worker_lives && lease_ms)
        node->worker_lease_ms = lease_ms;
}

void core_fence(struct core *core, const struct error *why)
{
    core->failure = ERROR_STORE_FENCED;
    core->failure_text = *why;
}

void core_post(struct core *core, struct command *command)
{
    command->next = node_of(core)->posted;
    node_of(core)->posted = command;
}

void core_get_snapshot(struct core *core, struct core_snapshot *ret_snapshot)
{
    *ret_snapshot = (struct core_snapshot){.counts = engine_counts(core->engine),
                                           .ready = core->phase == CORE_SERVING,
                                           .draining = core->phase > CORE_SERVING};
}

size_t core_get_workers(struct core *core, struct engine_worker_view **ret_views)
{
    *ret_views = mem_new_array(struct engine_worker_view, 8);
    return engine_workers(core->engine, *ret_views, 8);
}

int core_add_fd(struct core *core, int fd, core_turn_fn *turn, void *context, struct error *err)
{
    (void)fd;
    (void)err;
    node_of(core)->turn = turn;
    node_of(core)->turn_context = context;
    return 0;
}

void core_forget_run(struct core *core, struct uuid run_id)
{
    (void)core;
    (void)run_id;
}

/* Schedules as the store has them at that moment. */
struct core_schedules {
    struct model_dag dags[DAGS];
    struct record_fire *queued;
    size_t queued_count;
    uint64_t batch;
};

int core_read_schedules(struct core *core, struct core_schedules **ret_schedules, struct error *err)
{
    if (node_of(core)->cut)
        return error_set(err, ERROR_STORE_AWAY, "the store cannot be reached");
    struct core_schedules *schedules = mem_new(struct core_schedules);
    memcpy(schedules->dags, sim.model.dags, sizeof schedules->dags);
    schedules->queued = mem_new_array(struct record_fire, sim.model.fire_count + 1);
    for (size_t i = 0; i < sim.model.fire_count; i++)
        if (sim.model.fires[i].outcome == FIRE_QUEUED)
            schedules->queued[schedules->queued_count++] = sim.model.fires[i];
    *ret_schedules = schedules;
    return 0;
}

void core_free_schedules(struct core_schedules *schedules)
{
    if (schedules)
        mem_free(schedules->queued);
    mem_free(schedules);
}

bool core_set_leading(struct core *core, struct core_schedules *schedules)
{
    struct node *node = node_of(core);
    if (schedules && (node->submitted_count || node->durable_count || !engine_batch_is_empty(core->engine)))
        return false; /* stricter than the real one, which looks at what is in them */
    engine_set_fires(core->engine, schedules != NULL);
    for (int d = 0; schedules && d < DAGS; d++) {
        const struct model_dag *dag = &schedules->dags[d];
        struct record_fire *mine = mem_new_array(struct record_fire, schedules->queued_count + 1);
        size_t count = 0;
        for (size_t i = 0; i < schedules->queued_count; i++)
            if (uuid_equal(schedules->queued[i].dag_id, dag->id))
                mine[count++] = schedules->queued[i];
        const struct engine_schedule schedule = {.dag_id = dag->id,
                                                 .dag = dag_ref(dag->dag),
                                                 .dag_version = dag->version,
                                                 .paused = dag->paused,
                                                 .covered_ms = dag->covered_ms,
                                                 .queued = mine,
                                                 .queued_count = count};
        (void)engine_restore_schedule(core->engine, &schedule, NULL);
        mem_free(mine);
    }
    return true;
}

void core_set_busy_elsewhere(struct core *core, const struct store_busy *items, size_t count)
{
    engine_clear_elsewhere(core->engine);
    for (size_t i = 0; i < count; i++)
        engine_set_elsewhere(core->engine, items[i].dag_id, items[i].runs, items[i].backfills, items[i].run_id);
}

/* Clients' streams of events are not simulated. */
int server_cluster_events(struct server_cluster *cluster, int64_t *wait_ms, struct error *err)
{
    (void)cluster;
    (void)wait_ms;
    (void)err;
    return 0;
}

bool server_cluster_hear_event(struct server_cluster *cluster, const char *word)
{
    (void)cluster;
    (void)word;
    return false;
}

void server_cluster_pass_events(struct server_cluster *cluster)
{
    (void)cluster;
}

void server_cluster_events_fini(struct server_cluster *cluster)
{
    (void)cluster;
}

/* Questions about logs and workers change nothing that is checked here. */
int server_cluster_asks(struct server_cluster *cluster, bool logs, bool workers, struct error *err)
{
    (void)cluster;
    (void)logs;
    (void)workers;
    (void)err;
    return 0;
}

/* ---- a life ---- */

static int restore(void *context, const struct store_active *active, struct error *err)
{
    struct core *core = context;
    struct record_run run = active->run;
    (void)core_read_source(active->dag_name, active->source, active->source_len, NULL, &run.dag, err);
    live_restore(core->live, &run, active->attempts, active->attempt_count);
    if (engine_restore_run(core->engine, &run, active->attempts, active->attempt_count, core->now, err) != 0)
        model_broken("a run cannot be restored: %s", err->text);
    return 0;
}

static void meet_worker(struct node *node)
{
    struct engine_attempt *held = mem_new_array(struct engine_attempt, node->held_count + 1);
    size_t count = node->held_count;
    for (size_t i = 0; i < count; i++)
        held[i] = node->held[i].attempt;
    engine_worker_joined(node->core.engine, node->worker, SLOTS, held, count, node->core.now);
    for (size_t i = 0; i < count; i++)
        (void)(held[i].ended ? core_guest_ended : core_guest_started)(&node->core, node->worker, &held[i]);
    mem_free(held);
}

static void new_worker(struct node *node)
{
    node->worker = (struct uuid){.bytes = {[0] = 0x3e, [14] = (uint8_t)(++sim.workers_made >> 8),
                                           [15] = (uint8_t)sim.workers_made}};
    node->worker_lives = true;
    node->worker_lease_ms = node->core.lease_ms;
    node->held_count = 0;
    meet_worker(node);
}

void node_boot(struct node *node)
{
    struct error err = {0};
    if (node->up || node->cut)
        return;
    node->up = true;
    node->paused = node->away = node->burying = false;
    node->taken_batch = 0;
    set_clocks(node);
    shop_join(node);
    sim_say("node %u begins life %llu", node->index + 1, (unsigned long long)node->store.epoch);
    const struct engine_options options = {.seed = sim_random(),
                                           .epoch = node->store.epoch,
                                           .claim_ahead_max = sim_below(3),
                                           .waiting_tasks_max = 100000,
                                           .active_runs_max = 1000};
    node->core = (struct core){.store = &node->store, .phase = CORE_RECOVERING, .now = node->core.now};
    node->core.pool = (struct pool *)(void *)node;
    node->core.engine = engine_new(&options);
    node->core.live = live_new();
    shop_load(node, restore, &node->core);
    if (core_load_offers(&node->core, &err) != 0)
        model_broken("offers cannot be read: %s", err.text);
    const struct server_cluster_options cluster = {.host = "node", .url = "", .data_dir = "/nowhere",
                                                   .lease_ms = LEASE_MS, .joined_ms = sim_boot_ms()};
    if (server_cluster_start(&node->core, &cluster, &node->cluster, &err) != 0)
        model_broken("no thread: %s", err.text);
    if (node->worker_lives)
        meet_worker(node);
    struct engine_recovery recovery;
    engine_reconcile(node->core.engine, node->unburied, node->core.now, &recovery);
    node->burying = node->unburied;
    node->core.phase = CORE_SERVING;
    if (!node->worker_lives)
        new_worker(node);
}

static void end_life(struct node *node)
{
    current = node;
    node->up = false; /* nothing gets through any more */
    server_cluster_stop(node->cluster);
    for (struct command *command = node->posted, *next; command; command = next) {
        next = command->next;
        const struct command_result result = {.error.code = ERROR_STOPPING};
        dag_unref(command->dag);
        command->done(command, &result);
    }
    node->posted = NULL;
    engine_refuse_waiting(node->core.engine, ERROR_STORE_FAILED, "the node is gone");
    engine_free(node->core.engine);
    live_free(node->core.live);
    for (size_t i = 0; i < node->submitted_count; i++)
        record_batch_free(node->submitted[i]);
    for (size_t i = 0; i < node->durable_count; i++)
        record_batch_free(node->durable[i]);
    for (size_t i = 0; i < node->word_count; i++)
        mem_free(node->words[i]);
    node->submitted_count = node->durable_count = node->word_count = 0;
}

void node_crash(struct node *node)
{
    if (!node->up)
        return;
    sim_say("node %u is killed", node->index + 1);
    end_life(node);
}

void node_drain(struct node *node)
{
    if (!node->up || node->paused || node->core.phase != CORE_SERVING)
        return;
    sim_say("node %u drains", node->index + 1);
    set_clocks(node);
    node->core.phase = CORE_DRAINING;
    engine_set_draining(node->core.engine, true);
}

/* What still runs stays with its worker, as it does when the time for draining is over. */
static void leave_if_drained(struct node *node)
{
    bool durable = !node->submitted_count && !node->durable_count && engine_batch_is_empty(node->core.engine);
    if (node->core.phase != CORE_DRAINING || !durable ||
        (engine_counts(node->core.engine).running_attempts && !sim_chance(1)))
        return;
    sim_say("node %u leaves", node->index + 1);
    node_thread(node); /* what it has to tell */
    shop_leave(node);
    end_life(node);
}

static void fenced(struct node *node)
{
    sim_say("node %u learns that it is dead", node->index + 1);
    sim.totals.fenced++;
    kill_held(node);
    end_life(node);
}

static void do_effects(struct node *node)
{
    struct effect *effects;
    for (size_t count; (count = engine_take_effects(node->core.engine, &effects));) {
        struct effect *mine = mem_dup(effects, count * sizeof *mine);
        for (size_t i = 0; i < count; i++) {
            const struct engine_attempt key = {.fence = mine[i].fence};
            const struct job_key job = {.fence = mine[i].fence, .task = mine[i].task};
            struct held *held = find_held(node, &key);
            if (core_do_elsewhere(&node->core, &mine[i])) {
            } else if (mine[i].kind == EFFECT_START) {
                worker_start(node, &mine[i]);
            } else if (mine[i].kind == EFFECT_ACK) {
                (void)pool_ack(node->core.pool, mine[i].worker, &job);
            } else if (held && !held->attempt.ended) {
                held->stopping = true;
            }
            dag_unref(mine[i].dag);
            origin_unref(mine[i].origin);
        }
        mem_free(mine);
    }
}

static void bury_worker(struct node *node)
{
    if (node->worker_lives || node->core.phase != CORE_SERVING)
        return;
    engine_worker_lost(node->core.engine, node->worker, node->core.now);
    node->burying = node->unburied;
    new_worker(node);
}

void node_step(struct node *node)
{
    if (!node->up || node->paused)
        return;
    set_clocks(node);
    struct core *core = &node->core;
    struct command *commands = node->posted;
    node->posted = NULL;
    watch_step(node);
    for (struct command *next; commands; commands = next) {
        next = commands->next;
        engine_command(core->engine, commands, core->now);
    }
    node->turn(node->turn_context);
    if (core->failure == ERROR_STORE_FENCED) {
        fenced(node);
        return;
    }
    bury_worker(node);
    engine_tick(core->engine, core->now);
    engine_hold_starts(core->engine, node->away || (core->lease_ms && core->now.boot_ms >= core->lease_ms));
    if (core->phase == CORE_SERVING)
        engine_dispatch(core->engine, core->now);
    do_effects(node);
    engine_check(core->engine);
    if (node->burying && !node->submitted_count && !node->durable_count && engine_batch_is_empty(core->engine))
        node->unburied = node->burying = false;
    leave_if_drained(node);
}

void node_thread(struct node *node)
{
    if (!node->up || node->paused)
        return;
    set_clocks(node);
    sim_thread_resume(node->thread);
}

void node_submit(struct node *node)
{
    if (!node->up || node->paused || node->submitted_count == BATCHES_MAX)
        return;
    struct batch *batch = engine_take_batch(node->core.engine);
    if (!batch)
        return;
    node->taken_batch = batch->number;
    node->submitted[node->submitted_count++] = batch;
}

void node_commit(struct node *node)
{
    if (!node->up || node->paused || !node->submitted_count || node->durable_count == BATCHES_MAX)
        return;
    set_clocks(node);
    struct batch *batch = node->submitted[0];
    int code = shop_commit(node, batch);
    node->away = code == ERROR_STORE_AWAY;
    if (code == ERROR_STORE_FENCED) {
        fenced(node);
    } else if (!code) {
        memmove(node->submitted, node->submitted + 1, --node->submitted_count * sizeof(struct batch *));
        node->durable[node->durable_count++] = batch;
    }
}

void node_told(struct node *node)
{
    if (!node->up || node->paused || !node->durable_count)
        return;
    set_clocks(node);
    struct batch *batch = node->durable[0];
    memmove(node->durable, node->durable + 1, --node->durable_count * sizeof(struct batch *));
    live_apply(node->core.live, batch, node->core.now.wall_ms);
    engine_committed(node->core.engine, batch, node->core.now);
    record_batch_free(batch);
}

/* ---- clients ---- */

static void on_triggered(struct command *command, const struct command_result *result)
{
    if (!result->error.code && sim.acknowledged_count < RUNS_MAX)
        sim.acknowledged[sim.acknowledged_count++] = result->run_id;
    mem_free(command);
}

void node_trigger(struct node *node)
{
    if (!node->up || node->paused || node->core.phase != CORE_SERVING)
        return;
    uint32_t dag = sim_below(DAGS);
    struct command *command = mem_new(struct command);
    command->kind = COMMAND_RUN_TRIGGER;
    command->dag_id = sim.dag_ids[dag];
    command->dag = dag_ref(sim.dags[dag]);
    command->dag_version = 1;
    command->principal = "";
    command->done = on_triggered;
    sim.asked++;
    core_post(&node->core, command);
}

bool node_is_idle(const struct node *node)
{
    return node->up && !node->held_count && !node->submitted_count && !node->durable_count &&
           !engine_counts(node->core.engine).active_runs && engine_batch_is_empty(node->core.engine);
}
