#include "layout/layout.h"

#include <assert.h>
#include <math.h>

#include "base/buf.h"
#include "layout/layout_model.h"

enum {
    BENDS_MAX = 10000,              /* and one more for each node */
    WALK_MAX = 4000000,             /* bends passed by all edges together; edges beyond are drawn straight */
};

static const int32_t layer_step = LAYOUT_NODE_WIDTH + LAYOUT_LAYER_GAP;

/* How many layers the edges of each node pass through, at most. */
static uint32_t *find_spans(const struct layout_model *model)
{
    const struct layout_graph *graph = model->graph;
    uint32_t *spans = arena_zalloc(model->arena, (graph->node_count + 1) * sizeof *spans);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (uint32_t e = graph->edge_start[i]; e < graph->edge_start[i + 1]; e++) {
            uint32_t origin = graph->edges[e], span = model->layer[i] - model->layer[origin] - 1;
            spans[origin] = span > spans[origin] ? span : spans[origin];
        }
    }
    return spans;
}

/* The longest span for which all chains up to it have room. */
static uint32_t find_longest(const struct layout_model *model, const uint32_t *spans)
{
    uint64_t room = BENDS_MAX + (uint64_t)model->graph->node_count;
    uint32_t *nodes = arena_zalloc(model->arena, (model->layer_count + 1) * sizeof *nodes), longest = 0;
    for (uint32_t i = 0; i < model->graph->node_count; i++)
        nodes[spans[i]]++;
    for (uint32_t span = 1; span < model->layer_count; span++) {
        uint64_t bends = (uint64_t)span * nodes[span];
        if (bends > room)
            break;
        room -= bends;
        longest = span;
    }
    return longest;
}

static void add_bends(struct layout_model *model)
{
    uint32_t count = model->graph->node_count;
    uint32_t *spans = find_spans(model), longest = find_longest(model, spans);
    model->chain = arena_alloc(model->arena, (count + 1) * sizeof *model->chain);
    model->chain_len = spans;
    model->vertex_count = count;
    for (uint32_t i = 0; i < count; i++) {
        spans[i] = spans[i] <= longest ? spans[i] : 0;
        model->chain[i] = model->vertex_count;
        model->vertex_count += spans[i];
    }
    uint32_t *layer = arena_alloc(model->arena, (model->vertex_count + 1) * sizeof *layer);
    for (uint32_t i = 0; i < count; i++) {
        layer[i] = model->layer[i];
        for (uint32_t k = 0; k < spans[i]; k++)
            layer[model->chain[i] + k] = layer[i] + 1 + k;
    }
    model->layer = layer;
}

/* The vertex before an edge's end; LAYOUT_NONE: the edge is drawn straight over the layers between. */
static uint32_t vertex_before(const struct layout_model *model, uint32_t origin, uint32_t node)
{
    uint32_t span = model->layer[node] - model->layer[origin] - 1;
    if (span == 0)
        return origin;
    return span <= model->chain_len[origin] ? model->chain[origin] + span - 1 : (uint32_t)LAYOUT_NONE;
}

/* Where the next segment of each vertex goes; while they are counted into right_start and left_start: NULL. */
struct cursors {
    uint32_t *right, *left;
};

static void add_segment(struct layout_model *model, uint32_t from, uint32_t to, const struct cursors *cursors)
{
    if (cursors->right) {
        model->right[cursors->right[from]++] = to;
        model->left[cursors->left[to]++] = from;
    } else {
        model->right_start[from + 1]++;
        model->left_start[to + 1]++;
        model->segment_count++;
    }
}

static void walk_segments(struct layout_model *model, const struct cursors *cursors)
{
    const struct layout_graph *graph = model->graph;
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (uint32_t k = 0; k < model->chain_len[i]; k++)
            add_segment(model, k ? model->chain[i] + k - 1 : i, model->chain[i] + k, cursors);
        for (uint32_t e = graph->edge_start[i]; e < graph->edge_start[i + 1]; e++) {
            uint32_t before = vertex_before(model, graph->edges[e], i);
            if (before != LAYOUT_NONE)
                add_segment(model, before, i, cursors);
        }
    }
}

static void add_segments(struct layout_model *model)
{
    size_t bytes = (model->vertex_count + 2) * sizeof *model->right_start;
    model->right_start = arena_zalloc(model->arena, bytes);
    model->left_start = arena_zalloc(model->arena, bytes);
    walk_segments(model, &(struct cursors){0});
    for (uint32_t v = 0; v < model->vertex_count; v++) {
        model->right_start[v + 1] += model->right_start[v];
        model->left_start[v + 1] += model->left_start[v];
    }
    model->right = arena_alloc(model->arena, (model->segment_count + 1) * sizeof *model->right);
    model->left = arena_alloc(model->arena, (model->segment_count + 1) * sizeof *model->left);
    const struct cursors cursors = {arena_dup(model->arena, model->right_start, bytes),
                                    arena_dup(model->arena, model->left_start, bytes)};
    walk_segments(model, &cursors);
}

/* Takes nodes without any edge out, and makes room for each layer's vertices. */
static void add_layers(struct layout_model *model)
{
    const struct layout_graph *graph = model->graph;
    bool *joined = arena_zalloc(model->arena, graph->node_count + 1);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (uint32_t e = graph->edge_start[i]; e < graph->edge_start[i + 1]; e++)
            joined[i] = joined[graph->edges[e]] = true;
    }
    model->layer_start = arena_zalloc(model->arena, (model->layer_count + 2) * sizeof *model->layer_start);
    for (uint32_t v = 0; v < model->vertex_count; v++) {
        if (!layout_is_bend(model, v) && !joined[v])
            model->layer[v] = LAYOUT_NONE;
        else
            model->layer_start[model->layer[v] + 1]++;
    }
    for (uint32_t layer = 0; layer < model->layer_count; layer++)
        model->layer_start[layer + 1] += model->layer_start[layer];
}

/* The highest and the lowest edge of all boxes and bends. */
static void find_extent(const struct layout_model *model, int32_t *ret_top, int32_t *ret_bottom)
{
    double top = 0, bottom = 0;
    for (uint32_t i = 0; i < model->layer_start[model->layer_count]; i++) {
        uint32_t vertex = model->order[i];
        double half = layout_is_bend(model, vertex) ? 0 : LAYOUT_NODE_HEIGHT / 2;
        top = i == 0 || model->middle[vertex] - half < top ? model->middle[vertex] - half : top;
        bottom = i == 0 || model->middle[vertex] + half > bottom ? model->middle[vertex] + half : bottom;
    }
    *ret_top = (int32_t)top;
    *ret_bottom = (int32_t)bottom;
}

/* Nodes without an edge, row by row below the rest, about as wide as that or as it is high. */
static void place_others(const struct layout_model *model, uint32_t count, struct layout *layout)
{
    uint32_t shape = (uint32_t)sqrt((double)count / 3) + 1, column = 0;
    uint32_t columns = shape > layout->layer_count ? shape : layout->layer_count;
    int32_t y = layout->height ? layout->height + 2 * LAYOUT_NODE_HEIGHT : 0;
    for (uint32_t i = 0; i < model->graph->node_count; i++) {
        if (model->layer[i] != LAYOUT_NONE)
            continue;
        if (column == columns) {
            column = 0;
            y += LAYOUT_NODE_HEIGHT + LAYOUT_NODE_GAP;
        }
        int32_t x = (int32_t)column++ * layer_step;
        layout->nodes[i] = (struct layout_node){0, {x, y}};
        layout->width = x + LAYOUT_NODE_WIDTH > layout->width ? x + LAYOUT_NODE_WIDTH : layout->width;
        layout->height = y + LAYOUT_NODE_HEIGHT;
    }
}

static void place_nodes(const struct layout_model *model, int32_t top, struct layout *layout)
{
    uint32_t count = model->graph->node_count, others = 0;
    layout->nodes = arena_alloc(model->arena, (count + 1) * sizeof *layout->nodes);
    for (uint32_t i = 0; i < count; i++) {
        if (model->layer[i] == LAYOUT_NONE) {
            others++;
            continue;
        }
        int32_t x = (int32_t)model->layer[i] * layer_step;
        layout->nodes[i] = (struct layout_node){
            model->layer[i], {x, (int32_t)model->middle[i] - LAYOUT_NODE_HEIGHT / 2 - top}};
        layout->width = x + LAYOUT_NODE_WIDTH > layout->width ? x + LAYOUT_NODE_WIDTH : layout->width;
    }
    if (others)
        place_others(model, others, layout);
}

/* An edge along the first `count` bends of its origin's chain: two points for each layer where it does not go on
 * level. */
static void add_points(const struct layout_model *model, uint32_t origin, uint32_t count, int32_t top, struct buf *out)
{
    const double *middle = &model->middle[model->chain[origin]];
    for (uint32_t k = 0; k < count; k++) {
        int32_t x = (int32_t)(model->layer[origin] + 1 + k) * layer_step, y = (int32_t)middle[k] - top;
        struct layout_point in = {x, y}, off = {x + LAYOUT_NODE_WIDTH, y};
        if (k == 0 || middle[k - 1] != middle[k])
            buf_add(out, &in, sizeof in);
        if (k + 1 == count || middle[k + 1] != middle[k])
            buf_add(out, &off, sizeof off);
    }
}

static void place_edges(const struct layout_model *model, int32_t top, struct layout *layout)
{
    const struct layout_graph *graph = model->graph;
    uint64_t walked = 0;
    struct buf points = BUF_INIT;
    layout->bend_start = arena_zalloc(model->arena, (graph->edge_start[graph->node_count] + 2) * sizeof(uint32_t));
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (uint32_t e = graph->edge_start[i]; e < graph->edge_start[i + 1]; e++) {
            uint32_t origin = graph->edges[e], span = model->layer[i] - model->layer[origin] - 1;
            walked += span;
            if (span && span <= model->chain_len[origin] && walked <= WALK_MAX)
                add_points(model, origin, span, top, &points);
            layout->bend_start[e + 1] = (uint32_t)(points.len / sizeof(struct layout_point));
        }
    }
    layout->points = arena_dup(model->arena, points.bytes, points.len);
    buf_fini(&points);
}

void layout_make(const struct layout_graph *graph, struct arena *arena, struct layout *ret_layout)
{
    struct layout_model model = {.graph = graph, .arena = arena};
    struct layout layout = {0};
    int32_t top, bottom;
    assert(graph->node_count <= LAYOUT_NODES_MAX && graph->edge_start[graph->node_count] <= LAYOUT_EDGES_MAX);
    model.layer = arena_alloc(arena, (graph->node_count + 1) * sizeof *model.layer);
    model.layer_count = layout_find_layers(graph, arena, model.layer);
    layout.layer_count = model.layer_count;
    add_bends(&model);
    add_segments(&model);
    add_layers(&model);
    model.order = arena_alloc(arena, (model.vertex_count + 1) * sizeof *model.order);
    model.place = arena_zalloc(arena, (model.vertex_count + 1) * sizeof *model.place);
    model.middle = arena_zalloc(arena, (model.vertex_count + 1) * sizeof *model.middle);
    layout_find_order(&model);
    layout.crossings = model.crossings;
    layout_find_places(&model);
    find_extent(&model, &top, &bottom);
    layout.height = bottom - top;
    place_nodes(&model, top, &layout);
    place_edges(&model, top, &layout);
    *ret_layout = layout;
}
