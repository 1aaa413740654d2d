/* The scheduling core alone: a run of a million tasks in layers, claimed, started, ended and committed to nowhere, in
 * turns as the daemon makes them. Prints completions a second and what a waiting task costs in memory.
 *
 *     core [TASKS [WIDTH [ENDS_PER_TURN]]] */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "graph.h"

enum { WORKERS = 4, DEPENDENCIES = 2 };

struct bench {
    struct engine *engine;
    struct engine_now now;
    struct effect *started;     /* what runs, in order of start */
    size_t first, count, cap;
    uint64_t done, batches, effects;
};

static struct dag *layers(uint32_t count, uint32_t width)
{
    struct graph_edge *edges = mem_new_array(struct graph_edge, (size_t)count * DEPENDENCIES);
    size_t edge_count = 0;
    for (uint32_t task = width; task < count; task++)
        for (uint32_t i = 0; i < DEPENDENCIES && i < width; i++)
            edges[edge_count++] = (struct graph_edge){(task / width - 1) * width + (task + i) % width, task};
    struct dag *dag = graph_new(count, edges, edge_count);
    mem_free(edges);
    return dag;
}

static size_t in_use(void)
{
    struct mallinfo2 heap = mallinfo2();
    return heap.uordblks + heap.hblkhd;
}

/* Processor time, since the core waits for nothing: what else runs on the machine does not count. */
static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void answered(struct command *command, const struct command_result *result)
{
    if (command->context)
        *(double *)command->context = cpu_seconds();
    if (result->error.code)
        (void)fprintf(stderr, "%s\n", result->error.text);
}

static void take_effects(struct bench *bench)
{
    struct effect *effects;
    size_t count = engine_take_effects(bench->engine, &effects);
    bench->started = mem_grow(bench->started, &bench->cap, bench->count + count, sizeof *bench->started);
    for (size_t i = 0; i < count; i++) {
        dag_unref(effects[i].dag);
        if (effects[i].kind == EFFECT_START)
            bench->started[bench->count++] = effects[i];
    }
    bench->effects += count;
}

static void commit(struct bench *bench)
{
    struct batch *batch = engine_take_batch(bench->engine);
    if (!batch)
        return;
    engine_committed(bench->engine, batch, bench->now);
    record_batch_free(batch);
    bench->batches++;
}

static void end_some(struct bench *bench, size_t most)
{
    for (; most && bench->first < bench->count; most--) {
        const struct effect *start = &bench->started[bench->first++];
        const struct engine_attempt end = {
            .run_id = start->run_id, .task = start->task, .number = start->number, .fence = start->fence,
            .ended = true, .outcome = ATTEMPT_SUCCEEDED, .started_ms = bench->now.wall_ms,
            .ended_ms = bench->now.wall_ms};
        engine_attempt_ended(bench->engine, start->worker, &end, bench->now);
        bench->done++;
    }
    if (bench->first == bench->count)
        bench->first = bench->count = 0;
}

/* Memory of a run between its birth and its first start; and how long its command waits for the engine. */
static double bytes_a_task(struct dag *dag, double *ret_answer_ms)
{
    const struct engine_options options = {.waiting_tasks_max = UINT32_MAX, .active_runs_max = 10};
    struct bench bench = {.engine = engine_new(&options), .now = {1700000000000, 1}};
    size_t before = in_use();
    double answer_s = 0, began = cpu_seconds();
    struct command command = {
        .kind = COMMAND_RUN_TRIGGER, .done = answered, .context = &answer_s, .dag = dag_ref(dag)};
    engine_command(bench.engine, &command, bench.now);
    commit(&bench);
    *ret_answer_ms = (answer_s - began) * 1e3;
    commit(&bench);
    double bytes = (double)(in_use() - before) / dag->task_count;
    engine_free(bench.engine);
    return bytes;
}

static uint64_t argument(int argc, char **argv, int which, uint64_t otherwise)
{
    return argc > which ? strtoull(argv[which], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    uint32_t tasks = (uint32_t)argument(argc, argv, 1, 1000000);
    uint32_t width = (uint32_t)argument(argc, argv, 2, 1000);
    size_t most = (size_t)argument(argc, argv, 3, 64);
    struct dag *dag = layers(tasks, width), *flat = layers(tasks, tasks);
    double graph_ms, flat_ms, graph_bytes = bytes_a_task(dag, &graph_ms), flat_bytes = bytes_a_task(flat, &flat_ms);
    (void)printf("a waiting task: %.1f bytes in a graph, %.1f when all are ready at once\n", graph_bytes, flat_bytes);
    (void)printf("the engine's part of a trigger's answer: %.1f ms in a graph, %.1f ms when all are ready at once\n",
                 graph_ms, flat_ms);
    dag_unref(flat);
    const struct engine_options options = {
        .claim_ahead_max = 16, .waiting_tasks_max = UINT32_MAX, .active_runs_max = 10, .epoch = 1};
    struct bench bench = {.engine = engine_new(&options), .now = {1700000000000, 1}};
    for (uint8_t i = 1; i <= WORKERS; i++)
        engine_worker_joined(bench.engine, (struct uuid){{i}}, (uint32_t)(most / WORKERS + 1), NULL, 0, bench.now);
    struct command command = {.kind = COMMAND_RUN_TRIGGER, .done = answered, .dag = dag_ref(dag)};
    double began = cpu_seconds();
    engine_command(bench.engine, &command, bench.now);
    while (bench.done < tasks) {
        bench.now.wall_ms++;
        bench.now.boot_ms++;
        engine_tick(bench.engine, bench.now);
        engine_dispatch(bench.engine, bench.now);
        commit(&bench);
        take_effects(&bench);
        end_some(&bench, most);
    }
    commit(&bench);
    double seconds = cpu_seconds() - began;
    (void)printf("%u tasks, width %u, %zu ends a turn: %.0f completions/s, %.0f ns each, %llu batches, %u runs left\n",
                 tasks, width, most, tasks / seconds, seconds / tasks * 1e9, (unsigned long long)bench.batches,
                 engine_counts(bench.engine).active_runs);
    engine_free(bench.engine);
    dag_unref(dag);
    mem_free(bench.started);
    return 0;
}
