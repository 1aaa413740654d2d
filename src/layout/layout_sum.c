#include "layout/layout_model.h"

static uint32_t group_of(const struct layout_sum *sum, uint32_t layer)
{
    return (uint32_t)((uint64_t)layer * sum->group_count / sum->layer_count);
}

static void add_links(const struct layout_graph *graph, const uint32_t *layers, struct arena *arena,
                      struct layout_sum *sum)
{
    uint32_t groups = sum->group_count, links = 0;
    uint32_t *edges = arena_zalloc(arena, ((size_t)groups * groups + 1) * sizeof *edges);
    for (uint32_t i = 0; i < graph->node_count; i++) {
        for (uint32_t e = graph->edge_start[i]; e < graph->edge_start[i + 1]; e++) {
            uint32_t from = group_of(sum, layers[graph->edges[e]]), to = group_of(sum, layers[i]);
            links += from != to && edges[(size_t)from * groups + to]++ == 0;
        }
    }
    sum->links = arena_alloc(arena, (links + 1) * sizeof *sum->links);
    for (uint32_t from = 0; from < groups; from++)
        for (uint32_t to = from + 1; to < groups; to++)
            if (edges[(size_t)from * groups + to])
                sum->links[sum->link_count++] = (struct layout_link){from, to, edges[(size_t)from * groups + to]};
}

void layout_sum_up(const struct layout_graph *graph, struct arena *arena, struct layout_sum *ret_sum)
{
    uint32_t *layers = arena_alloc(arena, (graph->node_count + 1) * sizeof *layers);
    struct layout_sum sum = {.layer_count = layout_find_layers(graph, arena, layers)};
    sum.group_count = sum.layer_count < LAYOUT_GROUPS_MAX ? sum.layer_count : LAYOUT_GROUPS_MAX;
    sum.groups = arena_zalloc(arena, (sum.group_count + 1) * sizeof *sum.groups);
    for (uint32_t layer = sum.layer_count; layer > 0; layer--)
        sum.groups[group_of(&sum, layer - 1)].first_layer = layer - 1;
    for (uint32_t layer = 0; layer < sum.layer_count; layer++)
        sum.groups[group_of(&sum, layer)].last_layer = layer;
    for (uint32_t i = graph->node_count; i > 0; i--) {
        struct layout_group *group = &sum.groups[group_of(&sum, layers[i - 1])];
        group->node_count++;
        group->first_node = i - 1;
    }
    for (uint32_t i = 0; i < sum.group_count; i++)
        sum.groups[i].corner.x = (int32_t)i * (LAYOUT_NODE_WIDTH + LAYOUT_LAYER_GAP);
    if (sum.group_count)
        sum.width = (int32_t)sum.group_count * (LAYOUT_NODE_WIDTH + LAYOUT_LAYER_GAP) - LAYOUT_LAYER_GAP;
    sum.height = LAYOUT_NODE_HEIGHT;
    add_links(graph, layers, arena, &sum);
    *ret_sum = sum;
}
