/* Orders of the layers. Rounds of sweeps to the right and back: each layer is sorted by the mean place of what its
 * vertices are joined to in the layer before; who is joined to nothing there keeps its place. The best round wins.
 * Then neighbours change places where that saves crossings. */
#include "layout/layout_model.h"

#include <assert.h>
#include <string.h>

enum {
    ROUNDS_MAX = 24,
    ROUNDS_MIN = 4,
    ROUNDS_WITHOUT_GAIN = 4,
    WORK_MAX = 500000,              /* vertices and segments looked at by all rounds together */
    SWAP_PASSES = 6,
    SWAP_PAIRS_MAX = 2000000,       /* pairs of segments compared */
};

/* Sorts all segment lists by the places of their ends, by one walk over the order. */
static void sort_segments(struct layout_model *model, uint32_t *cursor)
{
    memcpy(cursor, model->right_start, model->vertex_count * sizeof *cursor);
    for (uint32_t i = 0; i < model->layer_start[model->layer_count]; i++) {
        uint32_t vertex = model->order[i];
        for (uint32_t s = model->left_start[vertex]; s < model->left_start[vertex + 1]; s++)
            model->right[cursor[model->left[s]]++] = vertex;
    }
    memcpy(cursor, model->left_start, model->vertex_count * sizeof *cursor);
    for (uint32_t i = 0; i < model->layer_start[model->layer_count]; i++) {
        uint32_t vertex = model->order[i];
        for (uint32_t s = model->right_start[vertex]; s < model->right_start[vertex + 1]; s++)
            model->left[cursor[model->right[s]]++] = vertex;
    }
}

/* Between one layer and the next: pairs out of order among the right ends, by a tree of counts (Fenwick). */
static uint64_t count_layer(const struct layout_model *model, uint32_t layer, uint32_t *tree)
{
    uint32_t width = model->layer_start[layer + 2] - model->layer_start[layer + 1], seen = 0;
    uint64_t crossings = 0;
    memset(tree, 0, (width + 1) * sizeof *tree);
    for (uint32_t i = model->layer_start[layer]; i < model->layer_start[layer + 1]; i++) {
        uint32_t vertex = model->order[i], first = model->right_start[vertex], end = model->right_start[vertex + 1];
        for (uint32_t s = first; s < end; s++) {
            uint32_t not_above = 0;
            for (uint32_t at = model->place[model->right[s]] + 1; at; at &= at - 1)
                not_above += tree[at];
            crossings += seen - not_above;
        }
        for (uint32_t s = first; s < end; s++, seen++)
            for (uint32_t at = model->place[model->right[s]] + 1; at <= width; at += at & (~at + 1))
                tree[at]++;
    }
    return crossings;
}

static uint64_t count_crossings(const struct layout_model *model, uint32_t *tree)
{
    uint64_t crossings = 0;
    for (uint32_t layer = 0; layer + 1 < model->layer_count; layer++)
        crossings += count_layer(model, layer, tree);
    return crossings;
}

/* A mean place in the upper bits and the place as it was in the lower ones, so that the order of equals is defined. */
enum { PLACE_BITS = 16, MEAN_BITS = 24 };
static_assert(2 * LAYOUT_NODES_MAX < 1 << PLACE_BITS, "a layer has at most a node and a bend of each node");

/* One pass: merges each two neighbouring ascending runs. Returns the number of runs that are left. */
static uint32_t merge_runs(const uint64_t *from, uint32_t count, uint64_t *to)
{
    uint32_t runs = 0;
    for (uint32_t start = 0; start < count; runs++) {
        uint32_t middle = start + 1, end, at = start;
        while (middle < count && from[middle - 1] <= from[middle])
            middle++;
        for (end = middle + (middle < count); end < count && from[end - 1] <= from[end];)
            end++;
        uint32_t left = start, right = middle;
        while (left < middle && right < end)
            to[at++] = from[left] <= from[right] ? from[left++] : from[right++];
        memcpy(&to[at], &from[left], (middle - left) * sizeof *to);
        memcpy(&to[at + middle - left], &from[right], (end - right) * sizeof *to);
        start = end;
    }
    return runs;
}

/* Sorts; returns where the result is, keys or spare. Quick where little is out of order. */
static uint64_t *sort_keys(uint64_t *keys, uint32_t count, uint64_t *spare)
{
    for (uint32_t runs = count; runs > 1;) {
        runs = merge_runs(keys, count, spare);
        uint64_t *swap = keys;
        keys = spare;
        spare = swap;
    }
    return keys;
}

struct scratch {
    uint32_t *words;
    uint64_t *keys, *spare;
};

static void sort_layer(struct layout_model *model, uint32_t layer, const uint32_t *start, const uint32_t *ends,
                       const struct scratch *scratch)
{
    uint32_t first = model->layer_start[layer], width = model->layer_start[layer + 1] - first, count = 0, next = 0;
    uint32_t *order = &model->order[first], *before = scratch->words;
    for (uint32_t i = 0; i < width; i++) {
        uint32_t vertex = order[i], from = start[vertex], to = start[vertex + 1];
        uint64_t sum = 0;
        before[i] = vertex;
        if (from == to)
            continue;
        for (uint32_t s = from; s < to; s++)
            sum += model->place[ends[s]];
        scratch->keys[count++] = ((sum << MEAN_BITS) / (to - from)) << PLACE_BITS | i;
    }
    const uint64_t *keys = sort_keys(scratch->keys, count, scratch->spare);
    for (uint32_t i = 0; i < width; i++) {
        if (start[before[i]] != start[before[i] + 1])
            order[i] = before[keys[next++] & ((1u << PLACE_BITS) - 1)];
        model->place[order[i]] = i;
    }
}

static void set_places(struct layout_model *model)
{
    for (uint32_t layer = 0; layer < model->layer_count; layer++)
        for (uint32_t i = model->layer_start[layer]; i < model->layer_start[layer + 1]; i++)
            model->place[model->order[i]] = i - model->layer_start[layer];
}

/* Depth first, so that a tree has no crossings to begin with. */
static void set_first_order(struct layout_model *model)
{
    uint32_t *fill = arena_dup(model->arena, model->layer_start, (model->layer_count + 1) * sizeof *fill);
    uint32_t *stack = arena_alloc(model->arena, (model->vertex_count + 1) * sizeof *stack);
    uint32_t *next = arena_dup(model->arena, model->right_start, (model->vertex_count + 1) * sizeof *next);
    bool *seen = arena_zalloc(model->arena, model->vertex_count + 1);
    for (uint32_t root = 0; root < model->vertex_count; root++) {
        uint32_t depth = 0;
        if (model->layer[root] == LAYOUT_NONE || model->left_start[root] != model->left_start[root + 1])
            continue;
        stack[depth++] = root;
        seen[root] = true;
        model->order[fill[model->layer[root]]++] = root;
        while (depth) {
            uint32_t vertex = stack[depth - 1];
            if (next[vertex] == model->right_start[vertex + 1]) {
                depth--;
                continue;
            }
            uint32_t later = model->right[next[vertex]++];
            if (seen[later])
                continue;
            seen[later] = true;
            model->order[fill[model->layer[later]]++] = later;
            stack[depth++] = later;
        }
    }
    set_places(model);
}

/* How many segments of two neighbours cross as they stand, and would if the two changed places. Lists are sorted. */
static void compare_pair(const struct layout_model *model, const uint32_t *start, const uint32_t *ends,
                         const uint32_t pair[2], uint64_t *now, uint64_t *swapped)
{
    uint32_t a = start[pair[0]], a_end = start[pair[0] + 1], b_first = start[pair[1]], b_end = start[pair[1] + 1];
    uint32_t below = b_first, not_below = b_first;
    for (; a < a_end; a++) {
        uint32_t place = model->place[ends[a]];
        while (below < b_end && model->place[ends[below]] < place)
            below++;
        while (not_below < b_end && model->place[ends[not_below]] <= place)
            not_below++;
        *now += below - b_first;
        *swapped += b_end - not_below;
    }
}

/* Sorts the segments to the left of one layer, when the layer before has changed. */
static void sort_left(struct layout_model *model, uint32_t layer, uint32_t *cursor)
{
    for (uint32_t i = model->layer_start[layer]; i < model->layer_start[layer + 1]; i++)
        cursor[model->order[i]] = model->left_start[model->order[i]];
    for (uint32_t i = model->layer_start[layer - 1]; i < model->layer_start[layer]; i++) {
        uint32_t vertex = model->order[i];
        for (uint32_t s = model->right_start[vertex]; s < model->right_start[vertex + 1]; s++)
            model->left[cursor[model->right[s]]++] = vertex;
    }
}

/* true: some neighbours changed places. The segments are sorted when it begins, not when it ends. */
static bool swap_neighbours(struct layout_model *model, uint32_t *cursor, uint64_t *work)
{
    bool changed = false;
    for (uint32_t layer = 0; layer < model->layer_count && *work < SWAP_PAIRS_MAX; layer++) {
        if (layer > 0)
            sort_left(model, layer, cursor);
        for (uint32_t i = model->layer_start[layer]; i + 1 < model->layer_start[layer + 1]; i++) {
            uint32_t pair[2] = {model->order[i], model->order[i + 1]};
            uint64_t now = 0, swapped = 0;
            compare_pair(model, model->left_start, model->left, pair, &now, &swapped);
            compare_pair(model, model->right_start, model->right, pair, &now, &swapped);
            *work += 2 + model->left_start[pair[0] + 1] - model->left_start[pair[0]] +
                     model->right_start[pair[0] + 1] - model->right_start[pair[0]];
            if (swapped >= now)
                continue;
            model->order[i] = pair[1];
            model->order[i + 1] = pair[0];
            model->place[pair[1]]--;
            model->place[pair[0]]++;
            model->crossings -= now - swapped;
            changed = true;
        }
    }
    return changed;
}

static void sweep(struct layout_model *model, bool to_the_right, const struct scratch *scratch)
{
    for (uint32_t layer = 1; to_the_right && layer < model->layer_count; layer++)
        sort_layer(model, layer, model->left_start, model->left, scratch);
    for (uint32_t layer = model->layer_count; !to_the_right && layer > 1; layer--)
        sort_layer(model, layer - 2, model->right_start, model->right, scratch);
}

void layout_find_order(struct layout_model *model)
{
    uint32_t count = model->vertex_count;
    size_t bytes = (count + 1) * sizeof *model->order;
    uint32_t *best = arena_zalloc(model->arena, bytes);
    const struct scratch scratch = {
        .words = arena_alloc(model->arena, bytes),
        .keys = arena_alloc(model->arena, (count + 1) * sizeof *scratch.keys),
        .spare = arena_alloc(model->arena, (count + 1) * sizeof *scratch.spare),
    };
    uint32_t rounds = WORK_MAX / (count + model->segment_count + 1);
    rounds = rounds < ROUNDS_MIN ? ROUNDS_MIN : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    set_first_order(model);
    sort_segments(model, scratch.words);
    model->crossings = count_crossings(model, scratch.words);
    memcpy(best, model->order, bytes);
    for (uint32_t round = 0, idle = 0; round < rounds && idle < ROUNDS_WITHOUT_GAIN && model->crossings; round++) {
        sweep(model, round % 2 == 0, &scratch);
        sort_segments(model, scratch.words);
        uint64_t crossings = count_crossings(model, scratch.words);
        idle++;
        if (crossings >= model->crossings)
            continue;
        idle = 0;
        model->crossings = crossings;
        memcpy(best, model->order, bytes);
    }
    memcpy(model->order, best, bytes);
    set_places(model);
    uint64_t work = 0;
    bool changed = model->crossings > 0;
    for (int pass = 0; pass < SWAP_PASSES && changed; pass++) {
        sort_segments(model, scratch.words);
        changed = swap_neighbours(model, scratch.words, &work);
    }
}
