#include "layout/layout_model.h"

#include <assert.h>
#include <string.h>

/* The graph turned round: what comes after node i. */
static void turn_round(const struct layout_graph *graph, struct arena *arena, uint32_t **ret_start,
                       uint32_t **ret_after)
{
    uint32_t count = graph->node_count, edge_count = graph->edge_start[count];
    uint32_t *start = arena_zalloc(arena, (count + 2) * sizeof *start);
    uint32_t *after = arena_alloc(arena, (edge_count + 1) * sizeof *after);
    for (uint32_t e = 0; e < edge_count; e++)
        start[graph->edges[e] + 2]++;
    for (uint32_t i = 2; i < count + 2; i++)
        start[i] += start[i - 1];
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t e = graph->edge_start[i]; e < graph->edge_start[i + 1]; e++)
            after[start[graph->edges[e] + 1]++] = i;
    *ret_start = start;
    *ret_after = after;
}

uint32_t layout_find_layers(const struct layout_graph *graph, struct arena *arena, uint32_t *ret_layer)
{
    uint32_t count = graph->node_count, *after_start, *after, layers = 0, known = 0, next = 0;
    uint32_t *sorted = arena_alloc(arena, (count + 1) * sizeof *sorted);
    uint32_t *missing = arena_alloc(arena, (count + 1) * sizeof *missing);
    turn_round(graph, arena, &after_start, &after);
    for (uint32_t i = 0; i < count; i++) {
        ret_layer[i] = 0;
        missing[i] = graph->edge_start[i + 1] - graph->edge_start[i];
        if (!missing[i])
            sorted[known++] = i;
    }
    while (next < known) {
        uint32_t node = sorted[next++];
        layers = ret_layer[node] + 1 > layers ? ret_layer[node] + 1 : layers;
        for (uint32_t e = after_start[node]; e < after_start[node + 1]; e++) {
            uint32_t later = after[e];
            if (ret_layer[later] < ret_layer[node] + 1)
                ret_layer[later] = ret_layer[node] + 1;
            if (--missing[later] == 0)
                sorted[known++] = later;
        }
    }
    assert(known == count); /* no cycles */
    while (next > 0) {
        uint32_t node = sorted[--next], nearest = UINT32_MAX;
        uint32_t out = after_start[node + 1] - after_start[node];
        if (out <= graph->edge_start[node + 1] - graph->edge_start[node])
            continue; /* no edge would get shorter on the whole */
        for (uint32_t e = after_start[node]; e < after_start[node + 1]; e++)
            nearest = ret_layer[after[e]] < nearest ? ret_layer[after[e]] : nearest;
        ret_layer[node] = nearest - 1;
    }
    return layers;
}
