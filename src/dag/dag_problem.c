/* The list of problems. It is kept ordered by place while it grows, and it stays short however many problems there
 * are: beyond the limit only what comes earlier in the file gets in, and the last one falls out. */
#include "dag/dag_problem.h"

#include <string.h>

#include "base/limits.h"

void dag_problems_fini(struct dag_problems *problems)
{
    arena_fini(&problems->arena);
    *problems = (struct dag_problems){0};
}

static bool comes_after(const struct dag_problem *a, const struct dag_problem *b)
{
    return a->line != b->line ? a->line > b->line : a->column > b->column;
}

static bool is_known(const struct dag_problems *problems, const struct dag_problem *problem)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct dag_problem *item = &problems->items[i];
        if (item->line == problem->line && item->column == problem->column &&
            strcmp(item->text, problem->text) == 0)
            return true;
    }
    return false;
}

/* Makes room for one of this severity. False when it comes after all that are kept. */
static bool make_room(struct dag_problems *problems, const struct dag_problem *problem)
{
    size_t same = 0, last = 0;
    for (size_t i = 0; i < problems->count; i++) {
        if (problems->items[i].severity == problem->severity) {
            same++;
            last = i;
        }
    }
    if (same < LIMIT_DAG_ERRORS_MAX)
        return true;
    if (!comes_after(&problems->items[last], problem))
        return false;
    memmove(&problems->items[last], &problems->items[last + 1],
            (problems->count - last - 1) * sizeof problems->items[0]);
    problems->count--;
    return true;
}

bool dag_problems_are_full(const struct dag_problems *problems, enum dag_severity severity)
{
    return (severity == DAG_SEVERITY_ERROR ? problems->error_count : problems->warning_count) >
           LIMIT_DAG_ERRORS_READ_MAX;
}

void dag_problems_add(struct dag_problems *problems, const struct dag_problem *problem)
{
    bool beyond = dag_problems_are_full(problems, problem->severity);
    if (!beyond && is_known(problems, problem))
        return;
    if (problem->severity == DAG_SEVERITY_ERROR) {
        problems->error_count++;
        problems->read_error_count += !problem->of_graph;
    } else {
        problems->warning_count++;
    }
    if (beyond || !make_room(problems, problem))
        return;
    if (!problems->items) {
        problems->cap = (size_t)2 * LIMIT_DAG_ERRORS_MAX;
        problems->items = arena_array(&problems->arena, problems->cap, sizeof problems->items[0]);
    }
    size_t at = problems->count;
    while (at > 0 && comes_after(&problems->items[at - 1], problem))
        at--;
    memmove(&problems->items[at + 1], &problems->items[at], (problems->count - at) * sizeof problems->items[0]);
    problems->count++;
    struct dag_problem *item = &problems->items[at];
    *item = *problem;
    item->length = problem->length ? problem->length : 1;
    item->text = arena_strdup(&problems->arena, problem->text);
    item->field = problem->field ? arena_strdup(&problems->arena, problem->field) : NULL;
    item->hint = problem->hint ? arena_strdup(&problems->arena, problem->hint) : NULL;
}

void dag_problems_summary(const struct dag_problems *problems, struct buf *out)
{
    const struct dag_problem *first = NULL;
    for (size_t i = 0; i < problems->count && !first; i++)
        if (problems->items[i].severity == DAG_SEVERITY_ERROR)
            first = &problems->items[i];
    if (!first) {
        buf_add_text(out, "no errors");
        return;
    }
    if (first->line)
        buf_printf(out, "line %u, column %u: ", first->line, first->column);
    buf_add_text(out, first->text);
    if (problems->error_count > 1)
        buf_printf(out, " (and %zu more error%s)", problems->error_count - 1,
                   problems->error_count == 2 ? "" : "s");
}
