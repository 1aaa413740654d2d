/* Which cycles to tell of. Each strongly connected component is one knot with often endless many cycles; the person
 * needs one of them, the shorter the better, and then runs the validation again.
 *
 * Components come from Tarjan's algorithm (Depth-first search and linear graph algorithms, 1972) with an explicit
 * stack. In a component the shortest cycle through a task is found breadth first; every task is tried while the work
 * is within bounds, in file order, so that the cycle starts at the task that comes first. */
#include "dag/dag_cycle.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag_reader.h"

enum {
    SEARCH_WORK_MAX = 5000000,  /* edges looked at for the shortest cycle of all knots */
    SHOWN_MAX = 12,             /* tasks of a long cycle that are named */
};

struct search {
    const struct dag_graph *graph;
    uint32_t *component;        /* by task: 1.., 0: none yet, UINT32_MAX: in no cycle */
    uint32_t *number;           /* Tarjan: order of discovery, from 1 */
    uint32_t *low;
    uint32_t *next_edge;
    uint32_t *stack;            /* Tarjan's */
    uint32_t *path;             /* of the walk; afterwards the queue of the breadth-first search */
    uint32_t *from;             /* breadth first: the task before; also the mark of a visit */
    uint32_t *visit;
    uint32_t visits;
    uint32_t stacked, components, numbers;
    size_t work;
};

/* Takes the component of `root` off the stack. */
static void close_component(struct search *s, uint32_t root)
{
    uint32_t task;
    bool single = s->stack[s->stacked - 1] == root;
    if (!single)
        s->components++;
    do {
        task = s->stack[--s->stacked];
        s->component[task] = single ? UINT32_MAX : s->components;
    } while (task != root);
}

static void walk(struct search *s, uint32_t start)
{
    uint32_t depth = 0;
    s->path[depth++] = start;
    while (depth > 0) {
        uint32_t task = s->path[depth - 1];
        if (!s->number[task]) {
            s->number[task] = s->low[task] = ++s->numbers;
            s->next_edge[task] = s->graph->starts[task];
            s->stack[s->stacked++] = task;
        }
        if (s->next_edge[task] < s->graph->starts[task + 1]) {
            uint32_t to = s->graph->items[s->next_edge[task]++];
            if (s->component[to] == 0 && !s->number[to])
                s->path[depth++] = to;
            else if (s->component[to] == 0 && s->number[to] < s->low[task])
                s->low[task] = s->number[to];
            continue;
        }
        if (s->low[task] == s->number[task])
            close_component(s, task);
        depth--;
        if (depth > 0 && s->low[task] < s->low[s->path[depth - 1]])
            s->low[s->path[depth - 1]] = s->low[task];
    }
}

/* The length of the shortest cycle through `start`, at most `most`; 0 when there is none so short. s->from leads
 * back from *ret_last to start. */
static uint32_t shortest_through(struct search *s, uint32_t start, uint32_t most, uint32_t *ret_last)
{
    uint32_t head = 0, tail = 0, length = 1, level_end;
    uint32_t *queue = s->path;
    s->visits++;
    queue[tail++] = start;
    s->visit[start] = s->visits;
    level_end = tail;
    for (; head < tail; head++) {
        if (head == level_end) {
            level_end = tail;
            if (++length > most)
                return 0;
        }
        uint32_t task = queue[head];
        for (uint32_t i = s->graph->starts[task]; i < s->graph->starts[task + 1]; i++) {
            uint32_t to = s->graph->items[i];
            s->work++;
            if (to == start) {
                *ret_last = task;
                return length;
            }
            if (s->component[to] != s->component[start] || s->visit[to] == s->visits)
                continue;
            s->visit[to] = s->visits;
            s->from[to] = task;
            queue[tail++] = to;
        }
    }
    return 0;
}

/* "a -> b -> a" of the cycle last searched; the middle of a long one is left out. */
static void describe(const struct dag_reader *r, const struct search *s, uint32_t start, uint32_t last,
                     uint32_t length, struct buf *out)
{
    uint32_t *cycle = mem_new_array(uint32_t, length);
    uint32_t task = last;
    for (uint32_t i = length; i-- > 0;) {
        cycle[i] = task;
        task = i ? s->from[task] : task;
    }
    for (uint32_t i = 0; i < length; i++) {
        if (length > SHOWN_MAX && i == SHOWN_MAX / 2) {
            uint32_t left_out = length - SHOWN_MAX;
            buf_printf(out, "... (%u more) ... -> ", left_out);
            i += left_out;
        }
        buf_printf(out, "%s -> ", r->owned->tasks[cycle[i]].id);
    }
    buf_add_text(out, r->owned->tasks[start].id);
    mem_free(cycle);
}

/* The shortest cycle found in the component whose first task is `first`. */
static void report_component(struct dag_reader *r, struct search *s, uint32_t first, const uint32_t *members,
                             uint32_t member_count)
{
    uint32_t best = 0, best_start = first, last = 0;
    for (uint32_t i = 0; i < member_count && (best == 0 || (best > 2 && s->work < SEARCH_WORK_MAX)); i++) {
        uint32_t length = shortest_through(s, members[i], best ? best - 1 : UINT32_MAX, &last);
        if (length) {
            best = length;
            best_start = members[i];
        }
    }
    best = shortest_through(s, best_start, UINT32_MAX, &last);
    struct buf cycle = BUF_INIT;
    describe(r, s, best_start, last, best, &cycle);
    char field[40], hint[120];
    const char *id = r->owned->tasks[best_start].id;
    (void)snprintf(field, sizeof field, "tasks[%u].dependencies", best_start);
    if (member_count > best)
        (void)snprintf(hint, sizeof hint, "each depends on the next; %u tasks hang together in cycles like this",
                       member_count);
    else
        (void)snprintf(hint, sizeof hint, "each depends on the next");
    dag_report_graph(r, DAG_SEVERITY_ERROR, r->notes[best_start].place, dag_text_width(id, strlen(id)), field, hint,
                     "Cycle detected: %s", buf_text(&cycle));
    buf_fini(&cycle);
}

/* Groups tasks by component, in file order, and reports each group. */
static void report_components(struct dag_reader *r, struct search *s)
{
    uint32_t count = s->graph->count;
    uint32_t *starts = mem_new_array(uint32_t, (size_t)s->components + 2);
    uint32_t *members = mem_new_array(uint32_t, count);
    for (uint32_t task = 0; task < count; task++)
        if (s->component[task] != UINT32_MAX)
            starts[s->component[task] + 1]++;
    for (uint32_t i = 1; i <= s->components + 1; i++)
        starts[i] += starts[i - 1];
    for (uint32_t task = 0; task < count; task++)
        if (s->component[task] != UINT32_MAX)
            members[starts[s->component[task]]++] = task;
    /* starts[i] now is where component i ends, and starts[i - 1] where it begins */
    for (uint32_t i = 1; i <= s->components; i++)
        report_component(r, s, members[starts[i - 1]], members + starts[i - 1], starts[i] - starts[i - 1]);
    mem_free(members);
    mem_free(starts);
}

void dag_cycle_report(struct dag_reader *r, const struct dag_graph *graph, const uint32_t *order, uint32_t sorted)
{
    enum { ARRAYS = 8 };
    size_t count = graph->count;
    uint32_t *memory = mem_new_array(uint32_t, count * ARRAYS);
    struct search s = {.graph = graph, .component = memory, .number = memory + count, .low = memory + 2 * count,
                       .next_edge = memory + 3 * count, .stack = memory + 4 * count, .path = memory + 5 * count,
                       .from = memory + 6 * count, .visit = memory + 7 * count};
    for (uint32_t i = 0; i < sorted; i++)
        s.component[order[i]] = UINT32_MAX;
    for (uint32_t task = 0; task < graph->count; task++)
        if (s.component[task] == 0)
            walk(&s, task);
    report_components(r, &s);
    mem_free(memory);
}
