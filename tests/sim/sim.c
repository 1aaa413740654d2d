#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"

enum { STEPS_MIN = 200, STEPS_MAX = 2600, SETTLE_MAX = 20000 };

/* SplitMix64, as the engine's own: every choice of a simulation comes from its seed. */
uint64_t sim_random(struct sim *sim)
{
    uint64_t z = sim->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t sim_below(struct sim *sim, uint32_t bound)
{
    return bound ? (uint32_t)(sim_random(sim) >> 32) % bound : 0;
}

bool sim_chance(struct sim *sim, uint32_t percent)
{
    return sim_below(sim, 100) < percent;
}

void sim_say(const struct sim *sim, const char *format, ...)
{
    if (!sim->trace)
        return;
    va_list args;
    va_start(args, format);
    (void)printf("%5u %lld  ", sim->step, (long long)sim->now.boot_ms);
    (void)vprintf(format, args);
    (void)printf("\n");
    va_end(args);
}

struct dag *sim_make_dag(struct sim *sim)
{
    struct graph_edge edges[TASKS_MAX * TASKS_MAX] = {{0, 0}};
    size_t edge_count = 0;
    uint32_t count = 1 + sim_below(sim, TASKS_MAX), density = sim_below(sim, 60);
    for (uint32_t to = 1; to < count; to++)
        for (uint32_t from = 0; from < to; from++)
            if (sim_chance(sim, density))
                edges[edge_count++] = (struct graph_edge){from, to};
    struct dag *dag = graph_new(count, edges, edge_count);
    for (uint32_t i = 0; i < count; i++) {
        struct dag_task *task = graph_task(dag, i);
        task->on_lost = sim_chance(sim, 30) ? DAG_ON_LOST_FAIL : DAG_ON_LOST_RETRY;
        task->retry = (struct dag_retry){
            .max_attempts = 1 + sim_below(sim, 3),
            .backoff = sim_chance(sim, 50) ? DAG_BACKOFF_FIXED : DAG_BACKOFF_EXPONENTIAL,
            .initial_delay_ms = 1 + sim_below(sim, 200),
            .max_delay_ms = 1 + sim_below(sim, 1000),
            .multiplier = 2.0,
            .jitter = 0.1,
        };
    }
    if (sim_chance(sim, 30))
        dag->timeout_ms = 1 + sim_below(sim, 2000);
    dag->schedule = sim_schedule_choose(sim);
    return dag;
}

static void pass_time(struct sim *sim)
{
    int64_t ms = sim_below(sim, 50);
    if (sim->engine && sim_chance(sim, 20) && engine_next_due(sim->engine) > sim->now.boot_ms)
        ms = engine_next_due(sim->engine) - sim->now.boot_ms;
    if (sim->has_schedules && sim_chance(sim, 15))
        ms = sim_below(sim, 200000);
    sim->now.boot_ms += ms;
    sim->now.wall_ms += ms;
    if (sim_chance(sim, 3)) {
        int64_t jump = (int64_t)sim_below(sim, 7200000) - 3600000;
        sim_say(sim, "the clock is set by %lld ms", (long long)jump);
        sim->now.wall_ms += jump;
    }
}

static struct sim_worker *any_worker(struct sim *sim)
{
    return sim->worker_count ? &sim->workers[sim_below(sim, sim->worker_count)] : NULL;
}

static uint32_t alive(const struct sim *sim)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->worker_count; i++)
        count += sim->workers[i].alive;
    return count;
}

static void act_on_worker(struct sim *sim)
{
    struct sim_worker *worker = any_worker(sim);
    if (!worker)
        return;
    uint32_t dice = sim_below(sim, 1000);
    if (dice < 330)
        sim_worker_receive(sim, worker);
    else if (dice < 640)
        sim_worker_progress(sim, worker);
    else if (dice < 970 && sim->daemon != DAEMON_DOWN)
        sim_daemon_receive(sim, worker);
    else if (dice < 980 && sim->daemon != DAEMON_DOWN && sim_chance(sim, sim->hostility))
        sim_worker_break_link(sim, worker);
    else if (dice >= 980 && sim_chance(sim, sim->hostility))
        sim_worker_die(sim, worker);
}

static void set_moods(struct sim *sim)
{
    if (sim_chance(sim, 50)) {
        sim->holding = !sim->holding;
        engine_hold_starts(sim->engine, sim->holding);
    } else if (sim_chance(sim, 20)) {
        sim->draining = true;
        engine_set_draining(sim->engine, true);
    }
    bool one_by_one = sim_chance(sim, 50);
    bool sends_ahead = sim_chance(sim, 70);
    engine_set_one_by_one(sim->engine, one_by_one);
    engine_set_sends_ahead(sim->engine, sends_ahead);
    sim_say(sim, "holding %d draining %d one by one %d sends ahead %d", sim->holding, sim->draining, one_by_one,
            sends_ahead);
}

static void act_on_daemon(struct sim *sim)
{
    uint32_t dice = sim_below(sim, 1000);
    if (dice < 250)
        sim_daemon_turn(sim);
    else if (dice < 450)
        sim_daemon_effects(sim);
    else if (dice < 620)
        sim_daemon_submit(sim);
    else if (dice < 800)
        sim_store_commit(sim);
    else if (dice < 980)
        sim_daemon_told(sim);
    else if (dice < 990)
        set_moods(sim);
    else if (sim->draining || (dice < 995 && sim_chance(sim, sim->hostility)))
        sim_daemon_crash(sim);
}

static void step(struct sim *sim)
{
    uint32_t dice = sim_below(sim, 100);
    if (dice < 45) {
        act_on_worker(sim);
    } else if (dice < 85) {
        if (sim->daemon != DAEMON_DOWN)
            act_on_daemon(sim);
        else if (sim_chance(sim, 20))
            sim_daemon_boot(sim);
    } else if (dice < 90) {
        if (sim->daemon != DAEMON_DOWN && (sim->daemon == DAEMON_SERVING || sim_chance(sim, 20)))
            sim_client_act(sim);
    } else if (dice < 98) {
        pass_time(sim);
    } else if (alive(sim) < WORKERS_WANTED) {
        sim_worker_spawn(sim);
    }
    if (sim->engine)
        engine_check(sim->engine);
}

static bool all_over(const struct sim *sim)
{
    if (sim->daemon != DAEMON_SERVING || sim->unanswered || sim->submitted_count || sim->durable_count ||
        !sim_schedule_is_quiet(sim) || !engine_batch_is_empty(sim->engine) || engine_counts(sim->engine).active_runs)
        return false;
    for (uint32_t i = 0; i < sim->worker_count; i++)
        if (sim->workers[i].outbox.count || sim->workers[i].inbox.count || sim->workers[i].held_count)
            return false;
    return true;
}

/* The faults stop: everything that is on its way arrives, everything that runs ends, time passes. */
static void settle(struct sim *sim)
{
    sim->faults = false;
    if (sim->draining)
        sim_daemon_crash(sim);
    if (sim->daemon == DAEMON_DOWN)
        sim_daemon_boot(sim);
    sim->holding = false;
    engine_hold_starts(sim->engine, false);
    while (alive(sim) == 0 && sim->worker_count < WORKERS_MAX)
        sim_worker_spawn(sim);
    for (uint32_t i = 0; i < SETTLE_MAX && !all_over(sim); i++, sim->step++) {
        for (uint32_t w = 0; w < sim->worker_count; w++) {
            struct sim_worker *worker = &sim->workers[w];
            sim_worker_receive(sim, worker);
            sim_worker_progress(sim, worker);
            sim_daemon_receive(sim, worker);
            (void)engine_set_worker_draining(sim->engine, worker->id, false);
        }
        sim_daemon_turn(sim);
        sim_daemon_effects(sim);
        sim_daemon_submit(sim);
        sim_store_commit(sim);
        sim_daemon_told(sim);
        engine_check(sim->engine);
        sim->now.boot_ms += 10;
        sim->now.wall_ms += 10;
    }
    sim_check_over(sim);
}

static void fini(struct sim *sim)
{
    sim->totals.runs = sim->model.run_count;
    sim->totals.claims = sim->model.claims;
    sim->totals.ends = sim->model.ends;
    sim->totals.lost = sim->model.lost;
    sim->totals.withdrawals = sim->model.withdrawals;
    sim->totals.letters = sim->model.letter_count;
    sim_daemon_crash(sim);
    for (uint32_t i = 0; i < sim->worker_count; i++) {
        sim_queue_clear(&sim->workers[i].inbox);
        sim_queue_clear(&sim->workers[i].outbox);
    }
    for (int i = 0; i < DAGS; i++)
        dag_unref(sim->dags[i]);
    mem_free(sim->seen);
    model_fini(&sim->model);
    sim_store_close(sim);
}

void sim_run(struct sim *sim, uint64_t seed, bool trace, enum sim_store_kind store_kind)
{
    memset(sim, 0, sizeof *sim);
    sim->seed = seed;
    sim->store_kind = store_kind;
    sim->random = seed;
    sim->random = sim_random(sim); /* else neighbours are one stream, a step apart */
    sim->trace = trace;
    sim->faults = true;
    sim->has_schedules = sim_chance(sim, 50);
    sim->narrow = sim_chance(sim, 50);
    /* a day like any other; before summer time begins and ends in Berlin */
    static const int64_t mornings[] = {1700000000000, 1711846200000, 1729989000000};
    sim->now = (struct engine_now){sim->has_schedules ? mornings[sim_below(sim, 3)] : mornings[0], 1000};
    sim->options = (struct engine_options){
        .claim_ahead_max = sim_chance(sim, 70) ? sim_below(sim, sim->narrow ? 24 : 6) : 0,
        .waiting_tasks_max = sim_chance(sim, 20) ? 30 : LIMIT_WAITING_TASKS_MAX,
        .active_runs_max = sim_chance(sim, 20) ? 3 : LIMIT_ACTIVE_RUNS_MAX,
        .fires_schedules = true,
    };
    for (int i = 0; i < DAGS; i++) {
        sim->dag_ids[i] = model_add_dag(&sim->model);
        sim->dags[i] = sim_make_dag(sim);
        sim->dag_versions[i] = 1;
        sim->model.dags[i].dag = dag_ref(sim->dags[i]);
        sim->model.dags[i].covered_ms = sim->now.wall_ms;
        sim_schedule_begin(sim, (uint32_t)i);
    }
    sim_store_open(sim);
    sim_daemon_boot(sim);
    for (uint32_t i = 0; i < WORKERS_WANTED; i++)
        sim_worker_spawn(sim);
    sim->hostility = sim_below(sim, 4) * 33;
    uint32_t steps = STEPS_MIN + sim_below(sim, STEPS_MAX - STEPS_MIN);
    for (sim->step = 0; sim->step < steps; sim->step++)
        step(sim);
    sim_say(sim, "no more faults");
    settle(sim);
    fini(sim);
}
