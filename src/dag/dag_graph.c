/* The graph of a DAG: dependencies by index, the other way round, an order, ranks; and what is wrong with them.
 *
 * Linear in tasks and dependencies: symbols are resolved by index, doubled edges are found with a stamp per task, and
 * lists are sorted by turning the graph round twice. Walks are iterative, since depth is the user's. */
#include "dag/dag_reader.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dag/dag_cycle.h"

enum { NEAREST_WORK_MAX = 20000000 }; /* steps spent on "did you mean" for one file */

/* The dependency `edge` of a task, as a field: "tasks[3].dependencies[1]". */
static const char *edge_field(const struct dag_reader *r, size_t task, size_t edge, char buf[80])
{
    (void)snprintf(buf, 80, "tasks[%zu].dependencies[%zu]", task, edge - r->notes[task].first_edge);
    return buf;
}

static size_t edges_end(const struct dag_reader *r, size_t task)
{
    return task + 1 < r->task_count ? r->notes[task + 1].first_edge : r->edge_count;
}

/* The known id nearest to one that is not; the work for a whole file is bounded. */
static const char *nearest_id(const struct dag_reader *r, const struct dag_id *wanted, size_t *work)
{
    const char *best = NULL;
    size_t max = wanted->len <= 3 ? 1 : wanted->len <= 6 ? 2 : 3;
    for (size_t i = 0; i < r->ids.count && *work < NEAREST_WORK_MAX && max > 0; i++) {
        const struct dag_id *id = &r->ids.items[i];
        size_t gap = id->len > wanted->len ? id->len - wanted->len : wanted->len - id->len;
        *work += 1;
        if (id->task == DAG_ID_UNDEFINED || gap > max)
            continue;
        *work += (size_t)id->len * wanted->len;
        size_t distance = str_distance(wanted->text, id->text, max);
        if (distance <= max && distance < wanted->len) {
            best = id->text;
            max = distance ? distance - 1 : 0;
        }
    }
    return best;
}

static void say_dangling(struct dag_reader *r, size_t task, size_t edge, size_t *work)
{
    const struct dag_edge_note *note = &r->edges[edge];
    const struct dag_id *wanted = &r->ids.items[note->symbol];
    char field[80], hint[300];
    if (dag_problems_are_full(r->problems, DAG_SEVERITY_ERROR)) {
        dag_report_graph(r, DAG_SEVERITY_ERROR, note->place, 1, NULL, NULL, "%s", wanted->text);
        return;
    }
    const char *nearest = nearest_id(r, wanted, work);
    (void)snprintf(hint, sizeof hint, "did you mean '%s'?", nearest ? nearest : "");
    dag_report_graph(r, DAG_SEVERITY_ERROR, note->place, dag_text_width(wanted->text, wanted->len),
                     edge_field(r, task, edge, field), nearest ? hint : NULL,
                     "Task '%s' depends on '%s' which does not exist", r->owned->tasks[task].id, wanted->text);
}

/* Turns symbols into indexes, drops what is doubled or wrong, and counts. Returns the number of sound edges. */
static size_t resolve(struct dag_reader *r, uint32_t *starts, bool *ok)
{
    uint32_t *stamp = mem_new_array(uint32_t, r->task_count ? r->task_count : 1);
    size_t kept = 0, work = 0;
    for (size_t task = 0; task < r->task_count; task++) {
        size_t end = edges_end(r, task);
        starts[task] = (uint32_t)kept;
        for (size_t edge = r->notes[task].first_edge; edge < end; edge++) {
            const struct dag_id *id = &r->ids.items[r->edges[edge].symbol];
            char field[80];
            if (id->task == DAG_ID_UNDEFINED) {
                *ok = false;
                if (!r->id_missing)
                    say_dangling(r, task, edge, &work);
            } else if (id->task == task) {
                *ok = false;
                dag_report_graph(r, DAG_SEVERITY_ERROR, r->edges[edge].place, dag_text_width(id->text, id->len),
                                 edge_field(r, task, edge, field), "a task cannot depend on itself",
                                 "Cycle detected: %s -> %s", id->text, id->text);
            } else if (stamp[id->task] == task + 1) {
                dag_report_graph(r, DAG_SEVERITY_WARNING, r->edges[edge].place, dag_text_width(id->text, id->len),
                                 edge_field(r, task, edge, field), NULL, "Task '%s' lists the dependency '%s' twice",
                                 r->owned->tasks[task].id ? r->owned->tasks[task].id : "", id->text);
            } else {
                stamp[id->task] = (uint32_t)task + 1;
                r->edges[kept++].symbol = id->task;
            }
        }
    }
    starts[r->task_count] = (uint32_t)kept;
    mem_free(stamp);
    return kept;
}

/* Turns a graph round: from lists `items` by `starts` to their opposite, whose lists come out ascending. */
static void transpose(uint32_t count, const uint32_t *items, const uint32_t *starts, uint32_t *ret_items,
                      uint32_t *ret_starts)
{
    memset(ret_starts, 0, ((size_t)count + 1) * sizeof *ret_starts);
    for (uint32_t i = 0; i < starts[count]; i++)
        ret_starts[items[i] + 1]++;
    for (uint32_t i = 0; i < count; i++)
        ret_starts[i + 1] += ret_starts[i];
    for (uint32_t from = 0; from < count; from++)
        for (uint32_t i = starts[from]; i < starts[from + 1]; i++)
            ret_items[ret_starts[items[i]]++] = from;
    for (uint32_t i = count; i > 0; i--)
        ret_starts[i] = ret_starts[i - 1];
    ret_starts[0] = 0;
}

/* Every task after its dependencies, in file order where that is free. Returns how many there are in order: all, when
 * there is no cycle. */
static uint32_t sort(const struct dag_graph *graph, uint32_t *order)
{
    uint32_t *waiting = mem_new_array(uint32_t, graph->count ? graph->count : 1);
    uint32_t count = 0;
    for (uint32_t task = 0; task < graph->count; task++) {
        waiting[task] = graph->starts[task + 1] - graph->starts[task];
        if (waiting[task] == 0)
            order[count++] = task;
    }
    for (uint32_t done = 0; done < count; done++) {
        uint32_t task = order[done];
        for (uint32_t i = graph->dependent_starts[task]; i < graph->dependent_starts[task + 1]; i++)
            if (--waiting[graph->dependents[i]] == 0)
                order[count++] = graph->dependents[i];
    }
    mem_free(waiting);
    return count;
}

static void rank(const struct dag_graph *graph, const uint32_t *order, uint32_t *ranks)
{
    for (uint32_t n = graph->count; n-- > 0;) {
        uint32_t task = order[n], longest = 0;
        for (uint32_t i = graph->dependent_starts[task]; i < graph->dependent_starts[task + 1]; i++)
            if (ranks[graph->dependents[i]] > longest)
                longest = ranks[graph->dependents[i]];
        ranks[task] = longest + 1;
    }
}

static void fill(struct dag_reader *r, const struct dag_graph *graph, const uint32_t *order, const uint32_t *ranks)
{
    struct dag *dag = &r->owned->dag;
    for (uint32_t task = 0; task < graph->count; task++) {
        r->owned->tasks[task].dependencies = graph->items + graph->starts[task];
        r->owned->tasks[task].dependency_count = graph->starts[task + 1] - graph->starts[task];
    }
    dag->edge_count = graph->starts[graph->count];
    dag->dependents = graph->dependents;
    dag->dependent_start = graph->dependent_starts;
    dag->topological = order;
    dag->rank = ranks;
}

bool dag_graph_build(struct dag_reader *r)
{
    uint32_t count = (uint32_t)r->task_count;
    struct arena *arena = &r->owned->arena;
    bool ok = true;
    uint32_t *starts = arena_array(arena, (size_t)count + 1, sizeof *starts);
    size_t edges = resolve(r, starts, &ok);
    uint32_t *items = arena_array(arena, edges, sizeof *items);
    uint32_t *dependents = arena_array(arena, edges, sizeof *dependents);
    uint32_t *dependent_starts = arena_array(arena, (size_t)count + 1, sizeof *dependent_starts);
    for (size_t i = 0; i < edges; i++)
        items[i] = r->edges[i].symbol;
    transpose(count, items, starts, dependents, dependent_starts);
    transpose(count, dependents, dependent_starts, items, starts);
    struct dag_graph graph = {.count = count, .items = items, .starts = starts, .dependents = dependents,
                              .dependent_starts = dependent_starts};
    uint32_t *order = arena_array(arena, count, sizeof *order);
    uint32_t *ranks = arena_array(arena, count, sizeof *ranks);
    uint32_t sorted = sort(&graph, order);
    if (sorted < count) {
        dag_cycle_report(r, &graph, order, sorted);
        return false;
    }
    rank(&graph, order, ranks);
    fill(r, &graph, order, ranks);
    return ok;
}
