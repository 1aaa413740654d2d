/* Where the tasks of a graph are drawn: layers from left to right, few crossings, no box over another.
 *
 * The way of Sugiyama, Tagawa and Toda (1981): longest-path layers, a chain of bends for what spans several layers,
 * orders of the layers by barycentres, then places by least squares under the order. Pure: the same graph gives the
 * same drawing. Memory and time are bounded by LAYOUT_NODES_MAX and LAYOUT_EDGES_MAX; a larger graph is only summed
 * up (layout_sum_up). */
#ifndef PAWL_LAYOUT_LAYOUT_H
#define PAWL_LAYOUT_LAYOUT_H

#include <stdint.h>

#include "base/arena.h"

enum {
    LAYOUT_NODES_MAX = 20000,
    LAYOUT_EDGES_MAX = 100000,
    LAYOUT_GROUPS_MAX = 500,
    /* pixels */
    LAYOUT_NODE_WIDTH = 160,
    LAYOUT_NODE_HEIGHT = 36,
    LAYOUT_NODE_GAP = 12,           /* between two boxes of a layer, at least */
    LAYOUT_BEND_GAP = 8,            /* between a box or an edge and an edge that passes by */
    LAYOUT_LAYER_GAP = 64,
};

/* A graph without cycles (asserted). Node i comes after edges[edge_start[i]] .. edges[edge_start[i + 1] - 1]. */
struct layout_graph {
    uint32_t node_count;
    const uint32_t *edge_start;     /* node_count + 1 */
    const uint32_t *edges;
};

struct layout_point {
    int32_t x, y;
};

struct layout_node {
    uint32_t layer;
    struct layout_point corner;     /* top left */
};

/* In the caller's arena. */
struct layout {
    uint32_t layer_count;
    int32_t width, height;
    struct layout_node *nodes;
    /* Edge e, in the order of the graph's `edges`, goes from the right side of its origin through
     * points[bend_start[e]] .. points[bend_start[e + 1] - 1] to the left side of its node. */
    uint32_t *bend_start;
    struct layout_point *points;
    uint64_t crossings;             /* of segments between neighbouring layers */
};

/* At most LAYOUT_NODES_MAX nodes and LAYOUT_EDGES_MAX edges (asserted). */
void layout_make(const struct layout_graph *graph, struct arena *arena, struct layout *ret_layout);

/* Neighbouring layers of a graph of any size, put together. */
struct layout_group {
    uint32_t first_layer, last_layer;
    uint32_t node_count;
    uint32_t first_node;            /* the one with the smallest index */
    struct layout_point corner;
};

struct layout_link {
    uint32_t from, to;              /* groups */
    uint32_t edge_count;
};

struct layout_sum {
    uint32_t layer_count;
    int32_t width, height;
    struct layout_group *groups;
    uint32_t group_count;           /* at most LAYOUT_GROUPS_MAX */
    struct layout_link *links;      /* between different groups, in order of from and to */
    uint32_t link_count;
};

void layout_sum_up(const struct layout_graph *graph, struct arena *arena, struct layout_sum *ret_sum);

#endif
