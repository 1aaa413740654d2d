#include "graph.h"

#include "base/mem.h"
#include "dag/dag_owned.h"

static void add_lists(struct dag_owned *owned, const struct graph_edge *edges, size_t edge_count)
{
    uint32_t count = owned->dag.task_count;
    uint32_t *in = arena_array(&owned->arena, (size_t)count + 1, sizeof *in);
    uint32_t *out = arena_array(&owned->arena, (size_t)count + 1, sizeof *out);
    uint32_t *dependencies = arena_array(&owned->arena, edge_count, sizeof *dependencies);
    uint32_t *dependents = arena_array(&owned->arena, edge_count, sizeof *dependents);
    for (size_t i = 0; i < edge_count; i++) {
        in[edges[i].to]++;
        out[edges[i].from]++;
    }
    for (uint32_t i = 1; i <= count; i++) {
        in[i] += in[i - 1];
        out[i] += out[i - 1];
    }
    for (size_t i = edge_count; i-- > 0;) {
        dependencies[--in[edges[i].to]] = edges[i].from;
        dependents[--out[edges[i].from]] = edges[i].to;
    }
    for (uint32_t i = 0; i < count; i++) {
        owned->tasks[i].dependencies = dependencies + in[i];
        owned->tasks[i].dependency_count = in[i + 1] - in[i];
    }
    owned->dag.dependents = dependents;
    owned->dag.dependent_start = out;
}

static void add_order(struct dag_owned *owned)
{
    struct dag *dag = &owned->dag;
    uint32_t *order = arena_array(&owned->arena, dag->task_count, sizeof *order);
    uint32_t *rank = arena_array(&owned->arena, dag->task_count, sizeof *rank);
    for (uint32_t task = dag->task_count; task-- > 0;) {
        order[task] = task;
        for (uint32_t i = dag->dependent_start[task]; i < dag->dependent_start[task + 1]; i++)
            if (rank[dag->dependents[i]] > rank[task])
                rank[task] = rank[dag->dependents[i]];
        rank[task]++;
    }
    dag->topological = order;
    dag->rank = rank;
}

struct dag *graph_new(uint32_t count, const struct graph_edge *edges, size_t edge_count)
{
    struct dag_owned *owned = dag_owned_new();
    owned->tasks = mem_new_array(struct dag_task, count);
    owned->dag.name = "graph";
    owned->dag.tasks = owned->tasks;
    owned->dag.task_count = count;
    owned->dag.edge_count = (uint32_t)edge_count;
    for (uint32_t i = 0; i < count; i++) {
        char *id = arena_printf(&owned->arena, "t%u", i);
        owned->tasks[i] = (struct dag_task){.id = id, .name = id, .command = "true", .retry = {.max_attempts = 1}};
    }
    add_lists(owned, edges, edge_count);
    add_order(owned);
    return &owned->dag;
}

struct dag_task *graph_task(struct dag *dag, uint32_t task)
{
    return &((struct dag_owned *)dag)->tasks[task];
}
