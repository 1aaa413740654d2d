/* A whole DAG file: a DAG that keeps its own rules, or errors in the order of the file that can be shown. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "dag/dag.h"
#include "dag/dag_expand.h"
#include "dag/dag_problem.h"

static void check_graph(const struct dag *dag)
{
    uint32_t *place = mem_new_array(uint32_t, dag->task_count);
    uint32_t edges = 0;
    for (uint32_t i = 0; i < dag->task_count; i++)
        place[dag->topological[i]] = i;
    for (uint32_t task = 0; task < dag->task_count; task++) {
        const struct dag_task *t = &dag->tasks[task];
        assert(dag->topological[place[task]] == task);
        assert(dag_find_task(dag, t->id, strlen(t->id)) == (int64_t)task);
        for (uint32_t i = 0; i < t->dependency_count; i++) {
            assert(i == 0 || t->dependencies[i - 1] < t->dependencies[i]);
            assert(place[t->dependencies[i]] < place[task]);
            assert(dag->rank[t->dependencies[i]] > dag->rank[task]);
        }
        edges += t->dependency_count;
    }
    assert(edges == dag->edge_count && edges == dag->dependent_start[dag->task_count]);
    mem_free(place);
}

static const char *find_secret(void *context, const char *name)
{
    (void)context;
    return name; /* any text will do */
}

/* What has been accepted can be expanded: names are known and nothing goes in circles. */
static void check_expansion(const struct dag *dag)
{
    const struct dag_expand_source secrets = {.find = find_secret};
    struct buf out = BUF_INIT;
    struct error err;
    for (uint32_t task = 0; task < dag->task_count; task++) {
        const struct dag_task *t = &dag->tasks[task];
        for (uint32_t i = 0; i < t->env.count; i++) {
            const char *value = t->env.items[i].value;
            int code = dag_expand(dag, t, &secrets, value, strlen(value), &out, &err);
            assert(code == 0 || strstr(err.text, "add more than"));
            buf_clear(&out);
        }
        if (t->http)
            (void)dag_expand_body(dag, t, &secrets, &out, &err);
        buf_clear(&out);
    }
    buf_fini(&out);
}

static void check_problems(const struct dag_problems *problems, const char *bytes, size_t len)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < problems->count; i++) {
        const struct dag_problem *problem = &problems->items[i];
        const struct dag_problem *before = i ? &problems->items[i - 1] : problem;
        assert(problem->text[0]);
        assert(before->line < problem->line || (before->line == problem->line && before->column <= problem->column));
    }
    dag_problems_print(problems, "f", bytes, len, true, &out);
    for (size_t i = 0; i < out.len; i++) /* ours are the colours; nothing else controls the terminal */
        assert((unsigned char)out.bytes[i] >= 0x20 || strchr("\n\t\033", out.bytes[i]));
    assert(str_utf8_valid(out.bytes, out.len));
    buf_clear(&out);
    dag_problems_summary(problems, &out);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    const struct dag_read_options options = {.tasks_max = 1000, .bytes_max = 1 << 20};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    int code = dag_read((const char *)input, len, &options, &problems, &dag);
    assert((code == 0) == (problems.error_count == 0));
    assert((code == 0) == (dag != NULL));
    assert(code == 0 || code == ERROR_PARSE_ERROR || code == ERROR_VALIDATION_ERROR);
    check_problems(&problems, (const char *)input, len);
    if (dag) {
        check_graph(dag);
        check_expansion(dag);
    }
    dag_unref(dag);
    dag_problems_fini(&problems);
    return 0;
}
