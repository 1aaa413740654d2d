#include "engine/rerun.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "state/record.h"

/* What the ended run left of a task. */
enum left { LEFT_NEW, LEFT_DONE, LEFT_PASSED /* skipped on purpose */, LEFT_OPEN };

struct plan {
    const struct dag *dag;
    uint8_t *left;          /* enum left of each task of dag */
    bool *runs;
    uint32_t *stack;        /* tasks that run and whose neighbours were not looked at yet */
    uint32_t depth;
};

static void add_run(struct plan *plan, uint32_t task)
{
    if (plan->runs[task])
        return;
    plan->runs[task] = true;
    plan->stack[plan->depth++] = task;
}

/* A skip is on purpose when nothing it depends on failed, was canceled, or was skipped for such a reason. */
static void judge_source(const struct dag *source, const uint8_t *states, uint8_t *left)
{
    for (uint32_t i = 0; i < source->task_count; i++) {
        uint32_t task = source->topological[i];
        const struct dag_task *definition = &source->tasks[task];
        assert(state_task_is_terminal((enum task_state)states[task]));
        left[task] = states[task] == TASK_SUCCEEDED ? LEFT_DONE
                     : states[task] == TASK_SKIPPED ? LEFT_PASSED
                                                    : LEFT_OPEN;
        for (uint32_t k = 0; k < definition->dependency_count && left[task] == LEFT_PASSED; k++)
            if (left[definition->dependencies[k]] == LEFT_OPEN)
                left[task] = LEFT_OPEN;
    }
}

/* The same for the tasks of the version to run. */
static void match_tasks(const struct engine_rerun *rerun, uint8_t *left)
{
    if (rerun->dag == rerun->source) {
        judge_source(rerun->source, rerun->states, left);
        return;
    }
    uint8_t *source_left = mem_zalloc(rerun->source->task_count);
    judge_source(rerun->source, rerun->states, source_left);
    for (uint32_t i = 0; i < rerun->dag->task_count; i++) {
        const char *id = rerun->dag->tasks[i].id;
        int64_t match = dag_find_task(rerun->source, id, strlen(id));
        left[i] = match < 0 ? LEFT_NEW : source_left[match];
    }
    mem_free(source_left);
}

/* Whatever a task that runs needs runs too, and whatever was done on top of it is done again. */
static void close_over(struct plan *plan)
{
    const struct dag *dag = plan->dag;
    while (plan->depth) {
        uint32_t task = plan->stack[--plan->depth];
        const struct dag_task *definition = &dag->tasks[task];
        for (uint32_t i = 0; i < definition->dependency_count; i++) {
            uint32_t dependency = definition->dependencies[i];
            if (plan->left[dependency] == LEFT_OPEN || plan->left[dependency] == LEFT_NEW)
                add_run(plan, dependency);
        }
        for (uint32_t i = dag->dependent_start[task]; i < dag->dependent_start[task + 1]; i++)
            if (plan->left[dag->dependents[i]] == LEFT_DONE)
                add_run(plan, dag->dependents[i]);
    }
}

static void run_open(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->dag->task_count; i++)
        if (plan->left[i] == LEFT_OPEN || plan->left[i] == LEFT_NEW)
            add_run(plan, i);
    close_over(plan);
}

static void run_below(struct plan *plan, uint32_t task)
{
    const struct dag *dag = plan->dag;
    add_run(plan, task);
    for (uint32_t i = 0; i < dag->task_count; i++) {
        const struct dag_task *definition = &dag->tasks[dag->topological[i]];
        for (uint32_t k = 0; k < definition->dependency_count; k++)
            if (plan->runs[definition->dependencies[k]])
                add_run(plan, dag->topological[i]);
    }
    close_over(plan);
}

/* What was skipped because of `task` and can run now: other failures above it keep a task where it was. */
static void run_skipped(struct plan *plan, const uint8_t *states, uint32_t task)
{
    const struct dag *dag = plan->dag;
    for (uint32_t i = 0; i < dag->task_count; i++) {
        uint32_t at = dag->topological[i];
        const struct dag_task *definition = &dag->tasks[at];
        bool can_run = states[at] == TASK_SKIPPED && plan->left[at] == LEFT_OPEN;
        for (uint32_t k = 0; k < definition->dependency_count && can_run; k++) {
            uint32_t dependency = definition->dependencies[k];
            bool is_freed = dependency == task || plan->runs[dependency];
            can_run = is_freed || plan->left[dependency] == LEFT_DONE || plan->left[dependency] == LEFT_PASSED;
        }
        if (can_run) /* it was skipped, so something it needs is freed */
            plan->runs[at] = true;
    }
}

static bool resolves_source(const struct engine_rerun *rerun, const struct plan *plan)
{
    for (uint32_t i = 0; i < rerun->source->task_count; i++) {
        if (rerun->states[i] != TASK_FAILED)
            continue;
        const char *id = rerun->source->tasks[i].id;
        int64_t match = rerun->dag == rerun->source ? i : dag_find_task(rerun->dag, id, strlen(id));
        if (match >= 0 && !plan->runs[match])
            return false;
    }
    return true;
}

int engine_rerun_plan(const struct engine_rerun *rerun, uint8_t *ret_plan, bool *ret_resolves_source,
                      struct error *err)
{
    uint32_t count = rerun->dag->task_count;
    struct plan plan = {.dag = rerun->dag};
    plan.left = mem_zalloc(count);
    plan.runs = mem_new_array(bool, count);
    plan.stack = mem_new_array(uint32_t, count);
    match_tasks(rerun, plan.left);
    switch (rerun->from) {
    case ENGINE_RERUN_FAILED:
        run_open(&plan);
        break;
    case ENGINE_RERUN_ALL:
        memset(plan.runs, true, count * sizeof *plan.runs);
        break;
    case ENGINE_RERUN_TASK:
        run_below(&plan, rerun->task);
        break;
    case ENGINE_RERUN_LETTER:
        assert(rerun->dag == rerun->source);
        plan.runs[rerun->task] = true;
        run_skipped(&plan, rerun->states, rerun->task);
        break;
    case ENGINE_RERUN_LETTER_SKIP:
        assert(rerun->dag == rerun->source);
        run_skipped(&plan, rerun->states, rerun->task);
        break;
    }
    bool runs_any = false;
    for (uint32_t i = 0; i < count; i++) {
        ret_plan[i] = plan.runs[i] ? 0 : plan.left[i] == LEFT_DONE ? RECORD_KEPT : RECORD_SKIP;
        runs_any = runs_any || plan.runs[i];
    }
    *ret_resolves_source = resolves_source(rerun, &plan);
    mem_free(plan.left);
    mem_free(plan.runs);
    mem_free(plan.stack);
    if (rerun->from == ENGINE_RERUN_FAILED && !runs_any)
        return error_set(err, ERROR_NOTHING_TO_RERUN, "Every task of the run succeeded");
    return 0;
}
