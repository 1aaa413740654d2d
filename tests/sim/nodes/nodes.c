/* sim_nodes --seed N [--trace] | [--from N] [--count N] [--seconds N]
 *
 * One seed, or many in a row until one fails. The first line of a failure names the seed. */
#include "nodes.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"

enum { STEPS_MIN = 300, STEPS_MAX = 4000, SETTLE_MAX = 6000, WANTED_MAX = 30 };

struct sim sim;

/* ---- chance ---- */

/* SplitMix64, as the engine's own. */
uint64_t sim_random(void)
{
    uint64_t z = sim.random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint32_t sim_below(uint32_t bound)
{
    return bound ? (uint32_t)(sim_random() >> 32) % bound : 0;
}

bool sim_chance(uint32_t percent)
{
    return percent && sim_below(100) < percent;
}

void sim_say(const char *format, ...)
{
    va_list args;
    if (!sim.trace)
        return;
    va_start(args, format);
    (void)printf("%5u %6lld  ", sim.step, (long long)sim.now_ms);
    (void)vprintf(format, args);
    (void)printf("\n");
    va_end(args);
}

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fflush(stdout);
    (void)fprintf(stderr, "seed %" PRIu64 ", step %u: ", sim.seed, sim.step);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nsee it: sim_nodes --seed %" PRIu64 " --trace\n", sim.seed);
    va_end(args);
    _exit(1);
}

/* An assertion of the engine, or worse. */
static void on_abort(int number)
{
    char text[120];
    (void)number;
    int len =
        snprintf(text, sizeof text, "seed %" PRIu64 ", step %u: the program stopped itself\n", sim.seed, sim.step);
    (void)!write(STDERR_FILENO, text, (size_t)len);
    _exit(1);
}

/* ---- steps ---- */

static struct dag *make_dag(uint32_t index)
{
    struct graph_edge edges[TASKS_MAX * TASKS_MAX] = {{0, 0}};
    size_t edge_count = 0;
    uint32_t count = 1 + sim_below(TASKS_MAX), density = sim_below(40);
    for (uint32_t to = 1; to < count; to++)
        for (uint32_t from = 0; from < to; from++)
            if (sim_chance(density))
                edges[edge_count++] = (struct graph_edge){from, to};
    struct dag *dag = graph_new(count, edges, edge_count);
    for (uint32_t i = 0; i < count; i++) {
        struct dag_task *task = graph_task(dag, i);
        task->on_lost = sim_chance(30) ? DAG_ON_LOST_FAIL : DAG_ON_LOST_RETRY;
        task->retry.max_attempts = 1 + sim_below(2);
    }
    dag->placement = index && sim_chance(75) ? DAG_PLACEMENT_ANY : DAG_PLACEMENT_NODE;
    if (sim_chance(40))
        dag->schedule = (struct dag_schedule){.cron = "* * * * *", .timezone = "UTC",
                                              .overlap = (enum dag_overlap)sim_below(DAG_OVERLAP_COUNT),
                                              .catchup = (enum dag_catchup)sim_below(DAG_CATCHUP_COUNT)};
    return dag;
}

static void pass_time(int64_t ms)
{
    sim.now_ms += ms;
    for (int i = 0; i < NODES; i++)
        node_enforce_lease(&sim.nodes[i]);
}

static void some_time(void)
{
    struct node *node = &sim.nodes[sim_below(NODES)];
    pass_time(sim_chance(5) ? sim_below(3000) : sim_chance(3) ? sim_below(60000) : sim_below(60));
    if (sim_chance(2))
        node->wall_ms = (int64_t)sim_below(600000) - 300000; /* minutes apart */
}

static void cancel(void)
{
    uint32_t run = sim_below((uint32_t)sim.model.run_count);
    if (!sim.model.run_count || sim.model.runs[run]->ended || sim_chance(80))
        return;
    sim.owners[run].asked_ms = 1 + sim.now_ms;
    sim_say("a run is to be canceled");
}

static void disturb(struct node *node)
{
    uint32_t dice = sim_below(100);
    if (dice < 20) {
        node_crash(node);
    } else if (dice < 35 && node->up) {
        node->paused = !node->paused;
        sim_say("node %u is %s", node->index + 1, node->paused ? "paused" : "let go");
    } else if (dice < 60) {
        node->cut = !node->cut;
        sim_say("node %u is %s", node->index + 1, node->cut ? "cut off" : "reached again");
    } else if (dice < 75) {
        node_worker_dies(node);
    } else if (dice < 90) {
        node_drain(node);
    } else {
        cancel();
    }
}

static void step(void)
{
    struct node *node = &sim.nodes[sim_below(NODES)];
    uint32_t dice = sim_below(1000);
    if (dice < 250)
        node_step(node);
    else if (dice < 450)
        node_thread(node);
    else if (dice < 540)
        node_submit(node);
    else if (dice < 640)
        node_commit(node);
    else if (dice < 740)
        node_told(node);
    else if (dice < 860)
        node_progress(node);
    else if (dice < 880 && sim.asked < WANTED_MAX)
        node_trigger(node);
    else if (dice < 950)
        some_time();
    else if (dice < 970)
        node_boot(node);
    else if (dice < 985)
        disturb(node);
    else if (node->paused || node->cut)
        node->paused = node->cut = false;
}

static bool all_over(void)
{
    bool over = !sim.offer_count;
    for (int i = 0; i < NODES && over; i++)
        over = node_is_idle(&sim.nodes[i]);
    for (size_t i = 0; i < sim.model.run_count && over; i++)
        over = sim.model.runs[i]->ended;
    return over;
}

static void check_over(void)
{
    for (size_t i = 0; i < sim.model.run_count; i++)
        if (!sim.model.runs[i]->ended)
            fail("a run does not end (%02x%02x, owner %" PRIu64 ")", sim.model.runs[i]->run.id.bytes[14],
                 sim.model.runs[i]->run.id.bytes[15], sim.owners[i].epoch);
    if (sim.offer_count)
        fail("%zu offers are left", sim.offer_count);
    for (size_t i = 0; i < sim.acknowledged_count; i++)
        if (!model_find(&sim.model, sim.acknowledged[i]))
            fail("an acknowledged run is lost");
    for (int i = 0; i < NODES; i++)
        if (!node_is_idle(&sim.nodes[i]))
            fail("node %d still has something to do", i + 1);
}

/* The faults stop: all come back, everything that runs ends, time passes. What has not ended when twice a lease is over
 * many times never will. No schedule fires any more. */
static void settle(void)
{
    sim.faults = false;
    for (int d = 0; d < DAGS; d++)
        sim.model.dags[d].paused = true;
    for (int i = 0; i < NODES; i++) {
        sim.nodes[i].cut = sim.nodes[i].paused = false;
        if (sim.nodes[i].up && sim.nodes[i].core.phase == CORE_DRAINING)
            node_crash(&sim.nodes[i]);
        else if (sim.nodes[i].up && sim_chance(50))
            node_crash(&sim.nodes[i]); /* and so reads that schedules are paused */
    }
    for (uint32_t round = 0; round < SETTLE_MAX && !all_over(); round++, sim.step++) {
        for (int i = 0; i < NODES; i++) {
            struct node *node = &sim.nodes[i];
            node_boot(node);
            node_step(node);
            node_thread(node);
            node_submit(node);
            node_commit(node);
            node_told(node);
            node_progress(node);
        }
        pass_time(20);
    }
    check_over();
}

static void begin(uint64_t seed, bool trace)
{
    memset(&sim, 0, sizeof sim);
    sim.seed = seed;
    sim.random = seed;
    sim.random = sim_random(); /* else neighbours are one stream, a step apart */
    sim.trace = trace;
    sim.faults = true;
    for (uint32_t i = 0; i < NODES; i++)
        sim.nodes[i] = (struct node){.index = i, .boot_ms = 1000 + sim_below(1000000),
                                     .wall_ms = (int64_t)sim_below(600000) - 300000};
    for (uint32_t i = 0; i < DAGS; i++) {
        sim.dag_ids[i] = model_add_dag(&sim.model);
        sim.dags[i] = make_dag(i);
        sim.model.dags[i].dag = dag_ref(sim.dags[i]);
        sim.model.dags[i].covered_ms = 1700000000000 - 300000;
    }
    for (int i = 0; i < NODES; i++)
        node_boot(&sim.nodes[i]);
}

static void add(struct totals *totals)
{
    sim.totals.runs = sim.model.run_count;
    sim.totals.claims = sim.model.claims;
    sim.totals.ends = sim.model.ends;
    sim.totals.lost = sim.model.lost;
    const uint64_t *from = (const uint64_t *)&sim.totals;
    uint64_t *to = (uint64_t *)totals;
    for (size_t i = 0; i < sizeof *totals / sizeof *to; i++)
        to[i] += from[i];
}

static void run(uint64_t seed, bool trace, struct totals *totals)
{
    begin(seed, trace);
    uint32_t steps = STEPS_MIN + sim_below(STEPS_MAX - STEPS_MIN);
    for (; sim.step < steps; sim.step++)
        step();
    sim_say("no more faults");
    settle();
    add(totals);
    for (int i = 0; i < NODES; i++)
        node_crash(&sim.nodes[i]);
    for (int d = 0; d < DAGS; d++)
        dag_unref(sim.dags[d]);
    model_fini(&sim.model);
}

int main(int argc, char **argv)
{
    uint64_t from = 1, count = UINT64_MAX, seconds = 0, seed = 0;
    struct totals totals = {0};
    bool trace = false;
    for (int i = 1; i < argc; i++) {
        uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 10) : 0;
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
            continue;
        }
        if (strcmp(argv[i], "--seed") == 0)
            seed = value;
        else if (strcmp(argv[i], "--from") == 0)
            from = value;
        else if (strcmp(argv[i], "--count") == 0)
            count = value;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = value;
        i++;
    }
    log_set_level((enum log_level)(LOG_ERROR + 1));
    model_broken = fail;
    const struct sigaction action = {.sa_handler = on_abort};
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    if (seed) {
        run(seed, trace, &totals);
        return 0;
    }
    time_t began = time(NULL);
    uint64_t done = 0;
    for (; done < count && !(seconds && (uint64_t)(time(NULL) - began) >= seconds); done++)
        run(from + done, false, &totals);
    (void)printf("%" PRIu64 " seeds from %" PRIu64 ": %" PRIu64 " runs, %" PRIu64 " claims, %" PRIu64 " ends, %" PRIu64
                 " lost; %" PRIu64 " offers, %" PRIu64 " taken, %" PRIu64 " reports refused; %" PRIu64
                 " runs taken over, %" PRIu64 " nodes declared dead, %" PRIu64 " learned it; %" PRIu64
                 " instants covered, %" PRIu64 " refused\n",
                 done, from, totals.runs, totals.claims, totals.ends, totals.lost, totals.offers, totals.guests,
                 totals.refused, totals.takeovers, totals.deaths, totals.fenced, totals.fires, totals.unfired);
    return 0;
}
