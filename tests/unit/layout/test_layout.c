/* What a drawing must be like, whatever the graph: known ones and many random ones. */
#include "layout/layout.h"

#include "support/check.h"

enum { NODES_MAX = 3000, EDGES_MAX = 40000 };

static uint32_t start[NODES_MAX + 2], edges[EDGES_MAX];
static struct layout_graph graph = {0, start, edges};
static struct arena arena;
static struct layout layout;
static uint64_t seed;

static uint32_t pick(uint32_t count)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed % count);
}

static void begin(void)
{
    graph.node_count = 0;
    start[0] = 0;
    arena_fini(&arena);
    arena = (struct arena){0};
}

/* A node that comes after `count` others. */
static uint32_t add(uint32_t count, const uint32_t *others)
{
    uint32_t at = start[graph.node_count], node = graph.node_count++;
    for (uint32_t i = 0; i < count; i++)
        edges[at + i] = others[i];
    start[node + 1] = at + count;
    return node;
}

static struct layout_point middle(uint32_t node)
{
    struct layout_point corner = layout.nodes[node].corner;
    return (struct layout_point){corner.x + LAYOUT_NODE_WIDTH / 2, corner.y + LAYOUT_NODE_HEIGHT / 2};
}

/* Boxes of one column that are nearer than they may be: by sorting them into places of a coarse grid. */
static void check_no_overlap(void)
{
    enum { PITCH = LAYOUT_NODE_HEIGHT + LAYOUT_NODE_GAP };
    for (uint32_t a = 0; a < graph.node_count; a++) {
        struct layout_point one = layout.nodes[a].corner;
        assert_true(one.x >= 0 && one.y >= 0);
        assert_true(one.x + LAYOUT_NODE_WIDTH <= layout.width && one.y + LAYOUT_NODE_HEIGHT <= layout.height);
        for (uint32_t b = graph.node_count > 600 && a + 50 < graph.node_count ? graph.node_count - 50 : 0; b < a; b++) {
            struct layout_point other = layout.nodes[b].corner;
            if (one.x == other.x && one.y < other.y + PITCH && other.y < one.y + PITCH)
                fail_msg("%u and %u stand too close", a, b);
            assert_true(one.x == other.x || one.x >= other.x + LAYOUT_NODE_WIDTH + LAYOUT_LAYER_GAP
                        || other.x >= one.x + LAYOUT_NODE_WIDTH + LAYOUT_LAYER_GAP);
        }
    }
}

/* Edges go to the right, from the side of one box to the side of the other, point by point. */
static void check_edges(void)
{
    assert_int_equal(layout.bend_start[0], 0);
    for (uint32_t i = 0; i < graph.node_count; i++) {
        for (uint32_t e = start[i]; e < start[i + 1]; e++) {
            int32_t x = layout.nodes[edges[e]].corner.x + LAYOUT_NODE_WIDTH;
            assert_true(layout.nodes[edges[e]].layer < layout.nodes[i].layer);
            for (uint32_t p = layout.bend_start[e]; p < layout.bend_start[e + 1]; p++) {
                assert_true(layout.points[p].x > x);
                assert_true(layout.points[p].y >= 0 && layout.points[p].y <= layout.height);
                x = layout.points[p].x;
            }
            assert_true(layout.nodes[i].corner.x > x);
        }
    }
}

/* No edge goes through a box: level stretches at least, which is where edges pass layers. */
static void check_passing(void)
{
    for (uint32_t e = 0; e < start[graph.node_count]; e++) {
        for (uint32_t p = layout.bend_start[e]; p + 1 < layout.bend_start[e + 1]; p++) {
            struct layout_point a = layout.points[p], b = layout.points[p + 1];
            for (uint32_t i = 0; a.y == b.y && i < graph.node_count; i++) {
                struct layout_point box = layout.nodes[i].corner;
                if (a.y >= box.y && a.y <= box.y + LAYOUT_NODE_HEIGHT && a.x < box.x + LAYOUT_NODE_WIDTH
                    && b.x > box.x)
                    fail_msg("edge %u goes through node %u", e, i);
            }
        }
    }
}

static void check_all(void)
{
    layout_make(&graph, &arena, &layout);
    check_no_overlap();
    check_edges();
}

static void test_small(void **state)
{
    (void)state;
    begin();
    check_all();
    assert_int_equal(layout.width, 0);
    uint32_t a = add(0, NULL);
    check_all();
    assert_int_equal(layout.width, LAYOUT_NODE_WIDTH);
    assert_int_equal(layout.height, LAYOUT_NODE_HEIGHT);
    uint32_t b = add(1, &a), c = add(1, &a), d = add(2, (uint32_t[]){b, c});
    check_all();
    assert_int_equal(layout.layer_count, 3);
    assert_int_equal(middle(a).y, middle(d).y); /* in the middle of b and c */
    assert_int_equal(middle(a).y, (middle(b).y + middle(c).y) / 2);
    (void)add(2, (uint32_t[]){a, d});
    check_all();
    check_passing();
    assert_true(layout.bend_start[start[5]] - layout.bend_start[start[4]] >= 2); /* a -> e, around the others */
}

static void test_parallel_chains(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 0; i < 8 * 50; i++)
        (void)add(i >= 8, (uint32_t[]){i - 8});
    check_all();
    assert_int_equal(layout.crossings, 0);
    assert_int_equal(layout.layer_count, 50);
    for (uint32_t i = 8; i < graph.node_count; i++)
        assert_int_equal(middle(i).y, middle(i - 8).y); /* straight */
}

static void test_tree_and_its_mirror(void **state)
{
    (void)state;
    begin();
    (void)add(0, NULL);
    for (uint32_t i = 1; i < 1023; i++)
        (void)add(1, (uint32_t[]){(i - 1) / 2});
    check_all();
    assert_int_equal(layout.crossings, 0);
    assert_int_equal(middle(0).y, (middle(1).y + middle(2).y) / 2);
    begin();
    for (uint32_t i = 0; i < 512; i++)
        (void)add(0, NULL);
    for (uint32_t i = 512; i < 1023; i++)
        (void)add(2, (uint32_t[]){(i - 512) * 2, (i - 512) * 2 + 1});
    check_all();
    assert_int_equal(layout.crossings, 0);
}

/* Two layers joined by a shuffled matching have a drawing without crossings; the one of K(3,3) has 9 at least. */
static void test_known_crossings(void **state)
{
    (void)state;
    uint32_t other[500];
    seed = 42;
    begin();
    for (uint32_t i = 0; i < 500; i++)
        other[i] = add(0, NULL);
    for (uint32_t i = 500; i > 0; i--) {
        uint32_t at = pick(i), taken = other[at];
        other[at] = other[i - 1];
        (void)add(1, &taken);
    }
    check_all();
    assert_int_equal(layout.crossings, 0);
    begin();
    for (uint32_t i = 0; i < 3; i++)
        (void)add(0, NULL);
    for (uint32_t i = 0; i < 3; i++)
        (void)add(3, (uint32_t[]){0, 1, 2});
    check_all();
    assert_int_equal(layout.crossings, 9);
    begin(); /* a grid, as of map and reduce by rows: planar */
    for (uint32_t i = 0; i < 400; i++)
        (void)add(i < 20 ? 0 : i % 20 > 0 ? 2 : 1, (uint32_t[]){i - 20, i - 21});
    check_all();
    assert_int_equal(layout.crossings, 0);
}

static void test_flat(void **state)
{
    (void)state;
    begin();
    for (uint32_t i = 0; i < 2000; i++)
        (void)add(0, NULL);
    (void)add(1, (uint32_t[]){7});
    check_all();
    assert_true(layout.width < 3 * layout.height && layout.height < 3 * layout.width); /* no column of 2,000 boxes */
    assert_true(layout.nodes[7].corner.y < layout.nodes[6].corner.y);
}

static void make_random(uint32_t nodes, uint32_t degree, uint32_t reach)
{
    begin();
    for (uint32_t i = 0; i < nodes; i++) {
        uint32_t others[16], count = 0, wanted = i ? pick(degree + 1) : 0;
        for (uint32_t k = 0; k < wanted; k++) {
            uint32_t other = i - 1 - pick(i < reach ? i : reach), seen = 0;
            while (seen < count && others[seen] != other)
                seen++;
            if (seen == count)
                others[count++] = other;
        }
        (void)add(count, others);
    }
}

/* Crossings of two edges between neighbouring layers, counted by looking at all pairs. */
static uint64_t count_by_pairs(void)
{
    uint64_t crossings = 0;
    for (uint32_t i = 0; i < graph.node_count; i++)
        for (uint32_t k = 0; k < i; k++)
            for (uint32_t e = start[i]; e < start[i + 1] && layout.nodes[i].layer == layout.nodes[k].layer; e++)
                for (uint32_t f = start[k]; f < start[k + 1]; f++)
                    crossings += layout.nodes[edges[e]].layer == layout.nodes[edges[f]].layer
                                 && (int64_t)(middle(i).y - middle(k).y)
                                            * (middle(edges[e]).y - middle(edges[f]).y) < 0;
    return crossings;
}

static void test_random(void **state)
{
    (void)state;
    for (uint32_t round = 1; round <= 300; round++) {
        seed = round * 7919;
        make_random(pick(150) + 1, pick(4) + 1, pick(60) + 1);
        check_all();
        check_passing();
        static struct layout_point corners[NODES_MAX];
        for (uint32_t i = 0; i < graph.node_count; i++)
            corners[i] = layout.nodes[i].corner;
        layout_make(&graph, &arena, &layout);
        for (uint32_t i = 0; i < graph.node_count; i++) /* the same again */
            assert_true(corners[i].x == layout.nodes[i].corner.x && corners[i].y == layout.nodes[i].corner.y);
    }
    for (uint32_t round = 1; round <= 40; round++) { /* only neighbouring layers: what is counted can be seen */
        seed = round * 104729;
        begin();
        for (uint32_t i = 0; i < 90; i++) {
            uint32_t others[2] = {(i / 15 - 1) * 15 + pick(8), (i / 15 - 1) * 15 + 8 + pick(7)};
            (void)add(i < 15 ? 0 : 1 + pick(2), others);
        }
        check_all();
        assert_true(layout.layer_count <= 6);
        if (layout.bend_start[start[graph.node_count]] == 0)
            assert_int_equal(layout.crossings, count_by_pairs());
    }
}

/* Every node feeds the last one and its neighbour: each edge would want thousands of bends. */
static void test_bounded(void **state)
{
    (void)state;
    uint32_t all[NODES_MAX];
    begin();
    for (uint32_t i = 0; i < NODES_MAX - 1; i++) {
        all[i] = i;
        (void)add(i > 0, (uint32_t[]){i - 1});
    }
    (void)add(NODES_MAX - 1, all);
    check_all();
    assert_int_equal(layout.layer_count, NODES_MAX);
    make_random(2500, 12, 2500);
    check_all();
}

static void test_sum(void **state)
{
    (void)state;
    struct layout_sum sum;
    begin();
    layout_sum_up(&graph, &arena, &sum);
    assert_int_equal(sum.group_count, 0);
    for (uint32_t i = 0; i < 3000; i++)
        (void)add(i >= 2, (uint32_t[]){i - 2});
    layout_sum_up(&graph, &arena, &sum);
    assert_int_equal(sum.layer_count, 1500);
    assert_int_equal(sum.group_count, LAYOUT_GROUPS_MAX);
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < sum.group_count; i++) {
        nodes += sum.groups[i].node_count;
        assert_int_equal(sum.groups[i].first_layer, i ? sum.groups[i - 1].last_layer + 1 : 0);
        assert_int_equal(sum.groups[i].first_node, i * 6);
    }
    assert_int_equal(nodes, 3000);
    assert_int_equal(sum.link_count, LAYOUT_GROUPS_MAX - 1);
    assert_int_equal(sum.links[0].edge_count, 2);
}

static int tear_down(void **state)
{
    (void)state;
    arena_fini(&arena);
    arena = (struct arena){0};
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_small, tear_down),
        cmocka_unit_test_teardown(test_parallel_chains, tear_down),
        cmocka_unit_test_teardown(test_tree_and_its_mirror, tear_down),
        cmocka_unit_test_teardown(test_known_crossings, tear_down),
        cmocka_unit_test_teardown(test_flat, tear_down),
        cmocka_unit_test_teardown(test_random, tear_down),
        cmocka_unit_test_teardown(test_bounded, tear_down),
        cmocka_unit_test_teardown(test_sum, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
