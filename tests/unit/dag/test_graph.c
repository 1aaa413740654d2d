/* The graph against one that is worked out the slow way, on many small random files. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "reading.h"

enum { TASKS_MAX = 12, ROUNDS = 3000 };

struct truth {
    unsigned count;
    bool edge[TASKS_MAX][TASKS_MAX];    /* [task][what it depends on] */
    bool reach[TASKS_MAX][TASKS_MAX];   /* along one edge or more */
};

static uint64_t seed = 1;

static unsigned pick(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % below);
}

static void make(struct truth *truth, struct buf *source)
{
    *truth = (struct truth){.count = 1 + pick(TASKS_MAX)};
    bool forward_only = pick(2);
    buf_add_text(source, "name: d\ntasks:\n");
    for (unsigned task = 0; task < truth->count; task++) {
        buf_printf(source, "- {id: t%u, type: shell, command: x, dependencies: [", task);
        for (unsigned n = pick(4); n-- > 0;) {
            unsigned on = pick(truth->count);
            if ((forward_only && on <= task) || truth->edge[task][on])
                continue;
            truth->edge[task][on] = true;
            buf_printf(source, "t%u, ", on);
        }
        buf_add_text(source, "]}\n");
    }
    memcpy(truth->reach, truth->edge, sizeof truth->reach);
    for (unsigned k = 0; k < truth->count; k++)
        for (unsigned i = 0; i < truth->count; i++)
            for (unsigned j = 0; j < truth->count; j++)
                truth->reach[i][j] = truth->reach[i][j] || (truth->reach[i][k] && truth->reach[k][j]);
}

static bool has_cycle(const struct truth *truth)
{
    for (unsigned i = 0; i < truth->count; i++)
        if (truth->reach[i][i])
            return true;
    return false;
}

/* "t1 -> t2 -> t1" after the colon: each step is an edge, and it comes back. */
static void assert_is_cycle(const struct truth *truth, const char *text)
{
    unsigned first, before, task;
    int used;
    assert_int_equal(sscanf(text, "Cycle detected: t%u%n", &first, &used), 1);
    before = first;
    bool ended = false;
    for (text += used; sscanf(text, " -> t%u%n", &task, &used) == 1; text += used) {
        assert_false(ended);
        assert_true(truth->edge[before][task]);
        before = task;
        ended = task == first;
    }
    assert_true(ended);
    assert_string_equal(text, "");
}

/* One cycle is told for each knot: tasks that reach each other. */
static unsigned count_knots(const struct truth *truth)
{
    unsigned knots = 0;
    for (unsigned i = 0; i < truth->count; i++) {
        bool first = truth->reach[i][i];
        for (unsigned j = 0; j < i; j++)
            first = first && !(truth->reach[i][j] && truth->reach[j][i]);
        knots += first;
    }
    return knots;
}

static void assert_cycles(const struct truth *truth, const struct reading *reading)
{
    unsigned self = 0, others = 0, knots_of_one = 0;
    assert_int_equal(reading->code, ERROR_VALIDATION_ERROR);
    for (size_t i = 0; i < reading->problems.count; i++)
        assert_is_cycle(truth, reading->problems.items[i].text);
    for (unsigned i = 0; i < truth->count; i++) {
        bool alone = truth->edge[i][i];
        self += truth->edge[i][i];
        for (unsigned j = 0; j < truth->count; j++)
            alone = alone && (i == j || !(truth->reach[i][j] && truth->reach[j][i]));
        knots_of_one += alone;
    }
    others = count_knots(truth) - knots_of_one;
    assert_int_equal(reading->problems.error_count, self + others);
}

static unsigned longest_below(const struct truth *truth, unsigned task)
{
    unsigned longest = 0;
    for (unsigned i = 0; i < truth->count; i++) {
        unsigned below = truth->edge[i][task] ? longest_below(truth, i) : 0;
        longest = below > longest ? below : longest;
    }
    return longest + 1;
}

static void assert_graph(const struct truth *truth, const struct dag *dag)
{
    unsigned place[TASKS_MAX], edges = 0;
    assert_int_equal(dag->task_count, truth->count);
    for (unsigned i = 0; i < truth->count; i++)
        place[dag->topological[i]] = i;
    for (unsigned task = 0; task < truth->count; task++) {
        uint32_t at = 0, dependent = dag->dependent_start[task];
        for (unsigned other = 0; other < truth->count; other++) {
            if (truth->edge[task][other]) {
                assert_true(at < dag->tasks[task].dependency_count);
                assert_int_equal(dag->tasks[task].dependencies[at++], other);
                assert_true(place[other] < place[task]);
                edges++;
            }
            if (truth->edge[other][task])
                assert_int_equal(dag->dependents[dependent++], other);
        }
        assert_int_equal(at, dag->tasks[task].dependency_count);
        assert_int_equal(dependent, dag->dependent_start[task + 1]);
        assert_int_equal(dag->rank[task], longest_below(truth, task));
    }
    assert_int_equal(dag->edge_count, edges);
}

static void test_random(void **state)
{
    (void)state;
    unsigned cyclic = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct truth truth;
        struct buf source = BUF_INIT;
        make(&truth, &source);
        struct reading reading = reading_of(buf_text(&source));
        if (has_cycle(&truth)) {
            assert_cycles(&truth, &reading);
            cyclic++;
        } else {
            assert_int_equal(reading.code, 0);
            assert_graph(&truth, reading.dag);
        }
        reading_end(&reading);
        buf_fini(&source);
    }
    assert_in_range(cyclic, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

/* A chain as long as a file may have is no recursion, forwards or backwards. */
static void test_long_chain(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct buf source = BUF_INIT;
    for (int ring = 0; ring < 2; ring++) {
        buf_clear(&source);
        buf_add_text(&source, "name: d\ntasks:\n");
        for (int i = 0; i < MANY; i++) {
            if (i + 1 < MANY || ring)
                buf_printf(&source, "- {id: t%d, type: shell, command: x, dependencies: [t%d]}\n", i, (i + 1) % MANY);
            else
                buf_printf(&source, "- {id: t%d, type: shell, command: x}\n", i);
        }
        struct reading reading = reading_of_bytes(source.bytes, source.len);
        if (ring) {
            assert_string_equal(reading.problems.items[0].text,
                                "Cycle detected: t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> ... (99988 more) ... -> t99994 -> "
                                "t99995 -> t99996 -> t99997 -> t99998 -> t99999 -> t0");
        } else {
            assert_int_equal(reading.code, 0);
            assert_int_equal(reading.dag->rank[MANY - 1], MANY);
            assert_int_equal(reading.dag->topological[0], MANY - 1);
        }
        reading_end(&reading);
    }
    buf_fini(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_long_chain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
