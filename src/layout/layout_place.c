/* Places across the layers. Each layer in turn is put where its vertices are nearest to the mean of what they are
 * joined to, in the sense of least squares, with the order and the distances kept: after the distances are taken off
 * that is isotonic regression, which pooling adjacent violators solves in one pass. Edges that pass through weigh
 * more, so that long edges are straight. */
#include "layout/layout_model.h"

#include <math.h>

enum { SWEEPS = 10 };

enum side { SIDE_LEFT = 1, SIDE_RIGHT = 2 };

/* A stretch of vertices that touch each other. */
struct block {
    double weight;
    double sum;                     /* of weight x wish */
    uint32_t end;                   /* the first vertex behind it, in the layer */
};

int32_t layout_distance(const struct layout_model *model, uint32_t above, uint32_t below)
{
    int32_t boxes = !layout_is_bend(model, above) + !layout_is_bend(model, below);
    return boxes * LAYOUT_NODE_HEIGHT / 2 + (boxes == 2 ? LAYOUT_NODE_GAP : LAYOUT_BEND_GAP);
}

static void add_wishes(const struct layout_model *model, uint32_t vertex, const uint32_t *start, const uint32_t *ends,
                       double *weight, double *sum)
{
    static const double weights[3] = {1, 2, 8}; /* by how many of the two are bends */
    for (uint32_t s = start[vertex]; s < start[vertex + 1]; s++) {
        double one = weights[layout_is_bend(model, vertex) + layout_is_bend(model, ends[s])];
        *weight += one;
        *sum += one * model->middle[ends[s]];
    }
}

static void place_layer(struct layout_model *model, uint32_t layer, unsigned sides, struct block *blocks)
{
    const uint32_t *order = &model->order[model->layer_start[layer]];
    uint32_t width = model->layer_start[layer + 1] - model->layer_start[layer], count = 0;
    double offset = 0;
    for (uint32_t i = 0; i < width; i++) {
        double weight = 0, sum = 0;
        if (sides & SIDE_LEFT)
            add_wishes(model, order[i], model->left_start, model->left, &weight, &sum);
        if (sides & SIDE_RIGHT)
            add_wishes(model, order[i], model->right_start, model->right, &weight, &sum);
        if (weight == 0) { /* stays, and gives way */
            weight = 0.05;
            sum = weight * model->middle[order[i]];
        }
        offset += i > 0 ? layout_distance(model, order[i - 1], order[i]) : 0;
        blocks[count++] = (struct block){weight, sum - weight * offset, i + 1};
        while (count > 1) {
            struct block *last = &blocks[count - 1], *before = last - 1;
            if (before->sum / before->weight <= last->sum / last->weight)
                break;
            *before = (struct block){before->weight + last->weight, before->sum + last->sum, last->end};
            count--;
        }
    }
    offset = 0;
    for (uint32_t i = 0, block = 0; i < width; i++) {
        block += i == blocks[block].end;
        offset += i > 0 ? layout_distance(model, order[i - 1], order[i]) : 0;
        model->middle[order[i]] = blocks[block].sum / blocks[block].weight + offset;
    }
}

static void stack_up(struct layout_model *model)
{
    for (uint32_t layer = 0; layer < model->layer_count; layer++) {
        const uint32_t *order = &model->order[model->layer_start[layer]];
        uint32_t width = model->layer_start[layer + 1] - model->layer_start[layer];
        double at = 0;
        for (uint32_t i = 0; i < width; i++) {
            at += i > 0 ? layout_distance(model, order[i - 1], order[i]) : 0;
            model->middle[order[i]] = at;
        }
        for (uint32_t i = 0; i < width; i++)
            model->middle[order[i]] -= at / 2;
    }
}

/* Whole numbers, distances kept. */
static void round_off(struct layout_model *model)
{
    for (uint32_t layer = 0; layer < model->layer_count; layer++) {
        for (uint32_t i = model->layer_start[layer]; i < model->layer_start[layer + 1]; i++) {
            double *middle = &model->middle[model->order[i]], at = floor(*middle + 0.5);
            if (i > model->layer_start[layer]) {
                uint32_t above = model->order[i - 1];
                double least = model->middle[above] + layout_distance(model, above, model->order[i]);
                at = at < least ? least : at;
            }
            *middle = at;
        }
    }
}

void layout_find_places(struct layout_model *model)
{
    struct block *blocks = arena_alloc(model->arena, (model->vertex_count + 1) * sizeof *blocks);
    stack_up(model);
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        bool to_the_right = sweep % 2 == 0, last = sweep >= SWEEPS - 2;
        unsigned sides = last ? SIDE_LEFT | SIDE_RIGHT : to_the_right ? SIDE_LEFT : SIDE_RIGHT;
        for (uint32_t i = 0; i < model->layer_count; i++)
            place_layer(model, to_the_right ? i : model->layer_count - 1 - i, sides, blocks);
    }
    round_off(model);
}
