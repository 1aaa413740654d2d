/* bytes -> struct dag, or what is wrong with them.
 *
 *  1 the file becomes a tree, and its tasks are read one by one while it does (dag_yaml.h, dag_read_task.c)
 *  2 the other fields of the file are read from the tree
 *  3 defaults go where tasks say nothing
 *  4 references to variables are checked, now that all names are known
 *  5 the graph is built and checked (dag_graph.c)
 *
 * Every step adds what it finds to the problems, and the next goes on, as far as it can say anything useful: an error
 * of YAML ends it after step 1. */
#include "dag/dag_reader.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "dag/dag_text.h"

#define MINUTE_MS 60000

const struct dag_retry dag_retry_none = {
    .max_attempts = 1,
    .backoff = DAG_BACKOFF_EXPONENTIAL,
    .initial_delay_ms = 1000,
    .max_delay_ms = 5 * MINUTE_MS,
    .multiplier = 2.0,
    .jitter = 0.1,
};

enum { RETRY_ATTEMPTS_DEFAULT = 3, TIMEOUT_DEFAULT_MS = 30 * MINUTE_MS };

static bool on_item(void *context, const struct dag_node *item, size_t index)
{
    return dag_read_task(context, item, index);
}

/* Puts the fields of `from` that are in `mask` (bits of dag_table_retry) into `retry`. */
static void overlay_retry(struct dag_retry *retry, const struct dag_retry *from, uint32_t mask)
{
    for (size_t i = 0; i < dag_table_retry.count; i++) {
        if (!(mask & 1u << i))
            continue;
        const struct dag_field *field = &dag_table_retry.fields[i];
        size_t size = field->kind == DAG_FIELD_COUNT || field->kind == DAG_FIELD_ENUM ? sizeof(uint32_t)
                                                                                      : sizeof(int64_t);
        memcpy((char *)retry + field->offset, (const char *)from + field->offset, size);
    }
}

static_assert(sizeof(enum dag_backoff) == sizeof(uint32_t), "overlay_retry copies by kind");
static_assert(sizeof(double) == sizeof(int64_t), "overlay_retry copies by kind");

/* The policy of a task: what it says, then what defaults say, then what pawl says. */
static struct dag_retry settle_retry(const struct dag_reader *r, const struct dag_retry *own, bool given,
                                     uint32_t own_mask)
{
    bool by_default = r->defaults_given & dag_table_bit(&dag_table_defaults, "retry");
    struct dag_retry retry = dag_retry_none;
    if (!given && !by_default)
        return retry;
    uint32_t default_mask = by_default ? r->defaults_retry_given : 0, mask = default_mask | (given ? own_mask : 0);
    retry.max_attempts = RETRY_ATTEMPTS_DEFAULT;
    overlay_retry(&retry, &r->defaults.retry, default_mask);
    if (given)
        overlay_retry(&retry, own, own_mask);
    /* a long first delay alone must not be cut by a maximum nobody wrote, nor by one that was meant for others */
    bool max_is_own = mask & dag_table_bit(&dag_table_retry, "maxDelay");
    if (retry.max_delay_ms < retry.initial_delay_ms && (!max_is_own || given))
        retry.max_delay_ms = retry.initial_delay_ms;
    return retry;
}

static void settle_tasks(struct dag_reader *r)
{
    uint32_t timeout = dag_table_bit(&dag_table_task, "timeout"), retry = dag_table_bit(&dag_table_task, "retry");
    uint32_t on_lost = dag_table_bit(&dag_table_task, "onLost"), workdir = dag_table_bit(&dag_table_task, "workdir");
    uint32_t warm = dag_table_bit(&dag_table_task, "warm");
    bool default_timeout = r->defaults_given & dag_table_bit(&dag_table_defaults, "timeout");
    for (size_t i = 0; i < r->task_count; i++) {
        struct dag_task *task = &r->owned->tasks[i];
        uint32_t given = r->notes[i].given;
        if (!(given & timeout))
            task->timeout_ms = default_timeout ? r->defaults.timeout_ms : TIMEOUT_DEFAULT_MS;
        if (!(given & on_lost))
            task->on_lost = r->defaults.on_lost;
        if (!(given & workdir) && task->type != DAG_TASK_HTTP)
            task->workdir = r->defaults.workdir;
        if (!(given & warm) && task->type == DAG_TASK_PYTHON)
            task->warm = r->defaults.warm;
        task->retry = settle_retry(r, &task->retry, given & retry, given >> DAG_GIVEN_RETRY_SHIFT);
    }
}

/* The interpreter that is kept is the worker's own user's. */
static void warn_warm(struct dag_reader *r)
{
    for (size_t i = 0; i < r->task_count && r->owned->dag.run_as; i++) {
        const struct dag_task *task = &r->owned->tasks[i];
        if (task->warm)
            dag_report_graph(r, DAG_SEVERITY_WARNING, r->notes[i].place, 1, NULL, NULL,
                             "Task '%s' is not started warm: with 'runAs' each starts an interpreter of its own",
                             task->id ? task->id : "");
    }
}

/* A task's variables and the DAG's together have a limit. */
static void check_env_counts(struct dag_reader *r)
{
    for (size_t i = 0; i < r->task_count; i++) {
        uint32_t count = r->owned->tasks[i].env.count + r->owned->dag.env.count;
        if (count <= LIMIT_ENV_VARS_MAX)
            continue;
        struct dag_refs_note at = {.place = r->notes[i].place, .length = 1};
        dag_report_refs(r, &at, NULL, "Task '%s' has %u environment variables with the DAG's, at most %d are allowed",
                        r->owned->tasks[i].id ? r->owned->tasks[i].id : "", count, LIMIT_ENV_VARS_MAX);
    }
}

static void read_root(struct dag_reader *r, const struct dag_node *root)
{
    struct dag *dag = &r->owned->dag;
    const struct dag_node *real = dag_node_real(root);
    if (real->kind == DAG_NODE_NULL) {
        dag_report(r, root, NULL, "it needs at least a name and tasks", "The file is empty");
        return;
    }
    if (real->kind != DAG_NODE_MAPPING) {
        char found[100];
        dag_report(r, root, NULL, "it starts with 'name: ...'", "A DAG file must be a mapping, found %s",
                   dag_describe(root, found));
        return;
    }
    r->task = NULL;
    r->retry_given = 0;
    (void)dag_read_table(r, &dag_table_file, root, -1, dag, NULL);
    if (r->options->name)
        dag->name = dag_pool_add(&r->pool, r->options->name, strlen(r->options->name));
    else if (!dag->name && r->options->name_may_lack)
        dag->name = "";
    const struct dag_node *tasks = dag_node_get(root, "tasks");
    const struct dag_node *list = tasks ? dag_node_real(tasks) : NULL;
    if (list && r->task_count == 0 && (list->kind == DAG_NODE_LIST || list->kind == DAG_NODE_NULL))
        dag_report_graph(r, DAG_SEVERITY_ERROR, (struct dag_place){tasks->line, tasks->column}, tasks->length, "tasks",
                         NULL, "DAG '%s' has no tasks", dag->name ? dag->name : "");
}

/* The tree, and what is read from it. False when the file could not be read to its end. */
static bool read_file(struct dag_reader *r, const char *bytes, size_t len)
{
    const struct dag_yaml_options options = {.stream_key = "tasks", .stream_item = on_item, .context = r};
    struct arena arena = {0};
    const struct dag_node *root = dag_yaml_read(bytes, len, &options, r->problems, &arena);
    bool complete = root != NULL;
    if (complete)
        read_root(r, root);
    arena_fini(&arena);
    return complete && !r->too_many;
}

/* A name that comes from elsewhere (POST /dags) has to be one too. */
static void check_name(struct dag_reader *r)
{
    char buf[100];
    const char *name = r->options->name;
    const char *fault = name ? dag_text_id_fault(name, strlen(name), LIMIT_DAG_NAME_BYTES_MAX, buf) : NULL;
    struct dag_refs_note at = {.field = "name", .length = 1};
    if (fault)
        dag_report_refs(r, &at, NULL, "The name of the DAG %s", fault);
}

static void finish(struct dag_reader *r, struct dag **ret_dag)
{
    struct dag_owned *owned = r->owned;
    if (r->task_count < r->task_cap)
        owned->tasks = mem_realloc_array(owned->tasks, r->task_count, sizeof *owned->tasks);
    owned->dag.tasks = owned->tasks;
    owned->dag.task_count = (uint32_t)r->task_count;
    owned->slots = dag_ids_take_slots(&r->ids, &owned->slot_count);
    r->owned = NULL;
    *ret_dag = &owned->dag;
}

int dag_read(const char *bytes, size_t len, const struct dag_read_options *options, struct dag_problems *problems,
             struct dag **ret_dag)
{
    size_t errors_before = problems->error_count, read_errors_before = problems->read_error_count;
    struct dag_reader r = {.options = options, .problems = problems, .owned = dag_owned_new()};
    r.pool.arena = &r.owned->arena;
    r.ids.pool = &r.pool;
    int rc = ERROR_PARSE_ERROR;
    check_name(&r);
    if (len > options->bytes_max) {
        struct dag_refs_note at = {.length = 1};
        dag_report_refs(&r, &at, NULL, "The file is %zu bytes long, at most %zu are allowed", len, options->bytes_max);
        goto out;
    }
    if (!read_file(&r, bytes, len)) {
        rc = problems->out_of_memory ? ERROR_OUT_OF_MEMORY : rc;
        goto out;
    }
    if (options->changes)
        dag_change_tasks(&r);
    settle_tasks(&r);
    warn_warm(&r);
    check_env_counts(&r);
    dag_check_refs(&r);
    (void)dag_graph_build(&r);
    if (problems->error_count == errors_before) {
        finish(&r, ret_dag);
        rc = 0;
    } else if (problems->read_error_count == read_errors_before) {
        rc = ERROR_VALIDATION_ERROR;
    }
out:
    dag_owned_free(r.owned);
    dag_ids_fini(&r.ids);
    arena_fini(&r.scratch);
    mem_free(r.notes);
    mem_free(r.edges);
    mem_free(r.refs);
    return rc;
}
