/* The graph while it is being laid out. Private to layout/.
 *
 *     layout.c         layers, bends, the result          layout_order.c   who stands above whom in a layer
 *     layout_layer.c   longest-path layers                layout_place.c   how far apart
 *     layout_sum.c     groups of layers
 *
 * A vertex is a node (its index) or a bend (node_count and up). All edges of one node that span several layers share
 * one chain of bends, one in each layer between, so that bends are bounded by nodes x layers; where even that is too
 * much (BENDS_MAX), the longest chains are left out and those edges are drawn straight. Segments join vertices of
 * neighbouring layers. */
#ifndef PAWL_LAYOUT_MODEL_H
#define PAWL_LAYOUT_MODEL_H

#include <stdbool.h>

#include "layout/layout.h"

enum { LAYOUT_NONE = UINT32_MAX };

struct layout_model {
    const struct layout_graph *graph;
    struct arena *arena;
    uint32_t vertex_count;
    uint32_t layer_count;
    uint32_t *layer;                /* of each vertex; LAYOUT_NONE: a node without any edge, which is not laid out */
    uint32_t *place;                /* of each vertex: its index in its layer */
    uint32_t *order;                /* vertices, layer after layer */
    uint32_t *layer_start;          /* in order; layer_count + 1 */
    uint32_t *chain;                /* of each node: its first bend */
    uint32_t *chain_len;            /* of each node: how many bends; 0: none */
    /* Segments to the right and to the left of vertex v: [start[v], start[v + 1]), in the order of their ends. */
    uint32_t *right_start, *right;
    uint32_t *left_start, *left;
    uint32_t segment_count;
    double *middle;                 /* of each vertex, across its layer */
    uint64_t crossings;
};

static inline bool layout_is_bend(const struct layout_model *model, uint32_t vertex)
{
    return vertex >= model->graph->node_count;
}

/* Nodes in an order in which each comes after what it needs, and their layers. Nodes that nothing needs early are
 * moved to the right, next to what needs them. Returns the number of layers. */
uint32_t layout_find_layers(const struct layout_graph *graph, struct arena *arena, uint32_t *ret_layer);

/* Fills order and place so that few segments cross; counts those that do. */
void layout_find_order(struct layout_model *model);

/* Fills middle: order is kept, boxes and bends keep their distances, segments are as straight as that allows. */
void layout_find_places(struct layout_model *model);
/* From the middle of one vertex to that of the next below it, at least. */
int32_t layout_distance(const struct layout_model *model, uint32_t above, uint32_t below);

#endif
