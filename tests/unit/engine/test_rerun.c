/* Rerun plans, over every graph of up to four tasks and every way such a run can have ended. */
#include "engine/rerun.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "state/record.h"

enum { TASKS_MAX = 4 };

/* Tasks t0.. with an edge for each bit: j needs i, i < j. `first` renames: task i is called first + i. */
static struct dag *make_dag(uint32_t count, uint32_t edges, uint32_t first)
{
    struct buf yaml = BUF_INIT;
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    uint32_t bit = 0;
    buf_add_text(&yaml, "name: g\ntasks:\n");
    for (uint32_t j = 0; j < count; j++) {
        buf_printf(&yaml, "  - {id: t%u, type: shell, command: x, dependencies: [", first + j);
        const char *comma = "";
        for (uint32_t i = 0; i < j; i++, bit++) {
            if (!(edges >> bit & 1))
                continue;
            buf_printf(&yaml, "%st%u", comma, first + i);
            comma = ", ";
        }
        buf_add_text(&yaml, "]}\n");
    }
    const struct dag_read_options options = {.tasks_max = 10, .bytes_max = 10000};
    assert_int_equal(dag_read(yaml.bytes, yaml.len, &options, &problems, &dag), 0);
    dag_problems_fini(&problems);
    buf_fini(&yaml);
    return dag;
}

static bool needs(const struct dag *dag, uint32_t task, uint32_t dependency)
{
    for (uint32_t i = 0; i < dag->tasks[task].dependency_count; i++)
        if (dag->tasks[task].dependencies[i] == dependency)
            return true;
    return false;
}

/* Whether task depends on other, over any number of steps; -1 as other's state is not looked at. */
static bool is_below(const struct dag *dag, uint32_t task, uint32_t other)
{
    for (uint32_t i = 0; i < dag->tasks[task].dependency_count; i++)
        if (dag->tasks[task].dependencies[i] == other || is_below(dag, dag->tasks[task].dependencies[i], other))
            return true;
    return false;
}

/* A way to end: what each task did of its own accord (0 succeed, 1 fail, 2 skipped on purpose, 3 canceled), from which
 * the states follow as the engine makes them. false: cannot be. */
static bool end_run(const struct dag *dag, const uint8_t *fates, uint8_t *states, bool *on_purpose)
{
    for (uint32_t j = 0; j < dag->task_count; j++) {
        bool blocked = false, stopped = false;
        for (uint32_t i = 0; i < j; i++) {
            if (!needs(dag, j, i))
                continue;
            blocked = blocked || states[i] == TASK_FAILED || (states[i] == TASK_SKIPPED && !on_purpose[i]);
            stopped = stopped || states[i] == TASK_CANCELED;
        }
        on_purpose[j] = false;
        if (blocked && fates[j] != 0)
            return false; /* the same as 0 */
        if (!blocked && stopped && fates[j] != 3)
            return false;
        on_purpose[j] = !blocked && fates[j] == 2;
        states[j] = blocked         ? TASK_SKIPPED
                    : fates[j] == 0 ? TASK_SUCCEEDED
                    : fates[j] == 1 ? TASK_FAILED
                    : fates[j] == 2 ? TASK_SKIPPED
                                    : TASK_CANCELED;
    }
    return true;
}

/* What holds for every plan, whatever was asked. */
static void check_plan(const struct dag *dag, const uint8_t *states, const bool *on_purpose, const uint8_t *plan,
                       bool keeps_purpose)
{
    for (uint32_t j = 0; j < dag->task_count; j++) {
        assert_true(plan[j] <= RECORD_SKIP);
        if (plan[j] == RECORD_KEPT)
            assert_int_equal(states[j], TASK_SUCCEEDED);
        for (uint32_t i = 0; i < j; i++) {
            if (!needs(dag, j, i))
                continue;
            /* what runs has what it needs: kept, run before it, or skipped by somebody's wish */
            if (plan[j] == 0 && plan[i] == RECORD_SKIP && keeps_purpose)
                assert_true(on_purpose[i]);
            /* what is kept stands on nothing new */
            if (plan[j] == RECORD_KEPT)
                assert_int_not_equal(plan[i], 0);
        }
    }
}

static int make_plan(const struct dag *dag, const uint8_t *states, enum engine_rerun_from from, uint32_t task,
                     uint8_t *plan, bool *resolves)
{
    const struct engine_rerun rerun = {.from = from, .source = dag, .states = states, .dag = dag, .task = task};
    struct error err;
    memset(plan, 9, TASKS_MAX);
    return engine_rerun_plan(&rerun, plan, resolves, &err);
}

static void check_failed(const struct dag *dag, const uint8_t *states, const bool *on_purpose)
{
    uint8_t plan[TASKS_MAX];
    bool resolves, open = false;
    int rc = make_plan(dag, states, ENGINE_RERUN_FAILED, 0, plan, &resolves);
    for (uint32_t i = 0; i < dag->task_count; i++) {
        bool is_open = states[i] != TASK_SUCCEEDED && !on_purpose[i];
        open = open || is_open;
        assert_int_equal(plan[i], is_open                       ? 0
                                  : states[i] == TASK_SUCCEEDED ? RECORD_KEPT
                                                                : RECORD_SKIP);
    }
    assert_int_equal(rc, open ? 0 : ERROR_NOTHING_TO_RERUN);
    assert_true(resolves);
    check_plan(dag, states, on_purpose, plan, true);
    assert_int_equal(make_plan(dag, states, ENGINE_RERUN_ALL, 0, plan, &resolves), 0);
    for (uint32_t i = 0; i < dag->task_count; i++)
        assert_int_equal(plan[i], 0);
    assert_true(resolves);
}

/* Needed by a task that runs, and not there. By brute force: again until nothing is added. */
static void add_needed(const struct dag *dag, const uint8_t *states, const bool *on_purpose, bool *runs)
{
    for (uint32_t round = 0; round < TASKS_MAX; round++)
        for (uint32_t j = 0; j < dag->task_count; j++)
            for (uint32_t i = 0; i < j; i++)
                if (runs[j] && needs(dag, j, i) && states[i] != TASK_SUCCEEDED && !on_purpose[i])
                    runs[i] = true;
}

static void check_task(const struct dag *dag, const uint8_t *states, const bool *on_purpose, uint32_t task)
{
    uint8_t plan[TASKS_MAX];
    bool resolves, runs[TASKS_MAX] = {0}, all_failed_run = true;
    assert_int_equal(make_plan(dag, states, ENGINE_RERUN_TASK, task, plan, &resolves), 0);
    for (uint32_t i = 0; i < dag->task_count; i++)
        runs[i] = i == task || is_below(dag, i, task);
    add_needed(dag, states, on_purpose, runs);
    for (uint32_t i = 0; i < dag->task_count; i++) {
        assert_int_equal(plan[i], runs[i] ? 0 : states[i] == TASK_SUCCEEDED ? RECORD_KEPT : RECORD_SKIP);
        all_failed_run = all_failed_run && (runs[i] || states[i] != TASK_FAILED);
    }
    assert_int_equal(resolves, all_failed_run);
    check_plan(dag, states, on_purpose, plan, true);
}

/* A letter: the failed task runs (or is passed), and below it what was skipped and lacks nothing else. */
static void check_letter(const struct dag *dag, const uint8_t *states, const bool *on_purpose, uint32_t task,
                         bool skip)
{
    uint8_t plan[TASKS_MAX];
    bool resolves;
    enum engine_rerun_from from = skip ? ENGINE_RERUN_LETTER_SKIP : ENGINE_RERUN_LETTER;
    assert_int_equal(make_plan(dag, states, from, task, plan, &resolves), 0);
    assert_int_equal(plan[task], skip ? RECORD_SKIP : 0);
    bool passed[TASKS_MAX];
    memcpy(passed, on_purpose, sizeof passed);
    passed[task] = passed[task] || skip;
    check_plan(dag, states, passed, plan, true);
    for (uint32_t j = 0; j < dag->task_count; j++) {
        if (states[j] == TASK_SUCCEEDED)
            assert_int_equal(plan[j], RECORD_KEPT);
        if (j == task || states[j] == TASK_SUCCEEDED)
            continue;
        bool lacks = states[j] != TASK_SKIPPED || on_purpose[j] || !is_below(dag, j, task);
        for (uint32_t i = 0; i < j; i++)
            lacks = lacks || (needs(dag, j, i) && plan[i] == RECORD_SKIP && !passed[i]);
        assert_int_equal(plan[j], lacks ? RECORD_SKIP : 0);
    }
    bool other = false;
    for (uint32_t i = 0; i < dag->task_count; i++)
        other = other || (states[i] == TASK_FAILED && (i != task || skip));
    assert_int_equal(resolves, !other);
}

static uint64_t check_endings(const struct dag *dag)
{
    uint64_t checked = 0;
    uint32_t ways = 1u << (2 * dag->task_count);
    for (uint32_t way = 0; way < ways; way++) {
        uint8_t fates[TASKS_MAX], states[TASKS_MAX];
        bool on_purpose[TASKS_MAX] = {0};
        for (uint32_t i = 0; i < dag->task_count; i++)
            fates[i] = way >> (2 * i) & 3;
        if (!end_run(dag, fates, states, on_purpose))
            continue;
        checked++;
        check_failed(dag, states, on_purpose);
        for (uint32_t task = 0; task < dag->task_count; task++) {
            check_task(dag, states, on_purpose, task);
            if (states[task] != TASK_FAILED)
                continue;
            check_letter(dag, states, on_purpose, task, false);
            check_letter(dag, states, on_purpose, task, true);
        }
    }
    return checked;
}

static void test_same_version(void **state)
{
    (void)state;
    uint64_t checked = 0;
    for (uint32_t count = 1; count <= TASKS_MAX; count++) {
        for (uint32_t edges = 0; edges < 1u << (count * (count - 1) / 2); edges++) {
            struct dag *dag = make_dag(count, edges, 0);
            checked += check_endings(dag);
            dag_unref(dag);
        }
    }
    assert_true(checked > 5000);
}

/* The latest version has other edges, lacks t0 and has a new task. */
static void check_latest(const struct dag *source, const struct dag *latest, const uint8_t *states, uint32_t task)
{
    uint8_t plan[TASKS_MAX], mapped[TASKS_MAX];
    bool resolves, open = false, all_failed_run = true;
    struct error err;
    struct engine_rerun rerun = {.from = ENGINE_RERUN_FAILED, .source = source, .states = states, .dag = latest};
    for (uint32_t i = 0; i < latest->task_count; i++)
        mapped[i] = i + 1 < source->task_count ? states[i + 1] : TASK_PENDING;
    for (int kind = 0; kind < 2; kind++) {
        rerun.from = kind ? ENGINE_RERUN_TASK : ENGINE_RERUN_FAILED;
        rerun.task = task;
        memset(plan, 9, sizeof plan);
        int rc = engine_rerun_plan(&rerun, plan, &resolves, &err);
        open = false;
        all_failed_run = true;
        for (uint32_t j = 0; j < latest->task_count; j++) {
            open = open || mapped[j] != TASK_SUCCEEDED;
            all_failed_run = all_failed_run && (mapped[j] != TASK_FAILED || plan[j] == 0);
            if (kind == 0 && mapped[j] != TASK_SUCCEEDED)
                assert_int_equal(plan[j], 0);
            if (kind == 1 && (j == task || is_below(latest, j, task)))
                assert_int_equal(plan[j], 0);
            if (plan[j] == RECORD_KEPT)
                assert_int_equal(mapped[j], TASK_SUCCEEDED);
            for (uint32_t i = 0; i < j; i++) {
                if (needs(latest, j, i) && plan[j] == RECORD_KEPT)
                    assert_int_not_equal(plan[i], 0);
                if (needs(latest, j, i) && plan[j] == 0)
                    assert_int_not_equal(plan[i], RECORD_SKIP);
            }
        }
        assert_int_equal(resolves, all_failed_run);
        assert_int_equal(rc, kind == 0 && !open ? ERROR_NOTHING_TO_RERUN : 0);
    }
}

static void test_other_version(void **state)
{
    (void)state;
    for (uint32_t edges = 0; edges < 8; edges++) {
        struct dag *source = make_dag(3, edges, 0);
        for (uint32_t other = 0; other < 64; other++) {
            struct dag *latest = make_dag(TASKS_MAX, other, 1);
            for (uint32_t way = 0; way < 8; way++) {
                uint8_t states[TASKS_MAX], fates[TASKS_MAX] = {way & 1, way >> 1 & 1, way >> 2 & 1};
                bool on_purpose[TASKS_MAX];
                if (!end_run(source, fates, states, on_purpose))
                    continue;
                for (uint32_t task = 0; task < TASKS_MAX; task++)
                    check_latest(source, latest, states, task);
            }
            dag_unref(latest);
        }
        dag_unref(source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_version),
        cmocka_unit_test(test_other_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
