/* What one run has other than its DAG version: fields of tasks, given by task id. They are read by the table that reads
 * a DAG file, on top of the task as the file has it, so they mean and are checked the same.
 *
 *     {"load": {"command": "load --slowly", "env": {"LEVEL": "debug"}}}
 *
 * A variable of env replaces the one of its name and leaves the others; any other field replaces what was there. What
 * a task is and where it stands in the graph cannot be changed. */
#include <string.h>

#include "base/limits.h"
#include "dag/dag_reader.h"

static const char *const fixed[] = {"id", "name", "type", "dependencies"};

static bool names_fixed(struct dag_reader *r, const struct dag_node *fields, const struct dag_path *path)
{
    bool any = false;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const struct dag_node *value = dag_node_get(fields, fixed[i]);
        if (value)
            dag_report(r, value, path, NULL, "'%s' of a task cannot be changed", fixed[i]);
        any = any || value;
    }
    return any;
}

/* `over` on top of `under`, in the DAG's arena. */
static struct dag_vars merge_vars(struct dag_reader *r, struct dag_vars under, struct dag_vars over)
{
    struct dag_var *items = arena_array(&r->owned->arena, under.count + over.count, sizeof *items);
    uint32_t count = 0;
    for (uint32_t i = 0; i < under.count; i++) {
        bool replaced = false;
        for (uint32_t k = 0; k < over.count && !replaced; k++)
            replaced = strcmp(under.items[i].name, over.items[k].name) == 0;
        if (!replaced)
            items[count++] = under.items[i];
    }
    for (uint32_t i = 0; i < over.count; i++)
        items[count++] = over.items[i];
    return (struct dag_vars){.items = items, .count = count};
}

/* In place: references to variables are noted by the task's place, and an error ends the whole reading. */
static void change_task(struct dag_reader *r, size_t index, const struct dag_node *fields, const struct dag_path *path)
{
    struct dag_task *task = &r->owned->tasks[index], before = *task;
    if (names_fixed(r, fields, path))
        return;
    r->http = task->http ? arena_dup(&r->owned->arena, task->http, sizeof *task->http) : NULL;
    r->task = task;
    r->task_label = task->id;
    r->retry_given = 0;
    task->env = (struct dag_vars){0};
    task->command = NULL;
    task->argv = (struct dag_words){0};
    uint32_t given = dag_read_fields(r, &dag_table_task, fields, (int)task->type, task, path);
    if (!task->command && !task->argv.count) {
        task->command = before.command;
        task->argv = before.argv;
    }
    task->env = merge_vars(r, before.env, task->env);
    task->http = r->http;
    r->notes[index].given |= given | r->retry_given << DAG_GIVEN_RETRY_SHIFT;
    r->task = NULL;
    r->http = NULL;
    r->task_label = NULL;
    r->retry_given = 0;
}

static void change_tasks(struct dag_reader *r, const struct dag_node *root)
{
    const struct dag_path top = {.key = "changes"};
    char found[100];
    if (dag_node_real(root)->kind != DAG_NODE_MAPPING) {
        dag_report(r, root, &top, NULL, "Changes must be a mapping of task ids, found %s", dag_describe(root, found));
        return;
    }
    for (const struct dag_node *key = dag_node_first(root), *value; key; key = value->next) {
        value = key->next;
        const struct dag_node *name = dag_node_real(key);
        const struct dag_path path = {.up = &top, .key = name->text};
        uint32_t symbol = dag_ids_intern(&r->ids, name->text, name->len);
        uint32_t task = r->ids.items[symbol].task;
        if (task == DAG_ID_UNDEFINED)
            dag_report(r, key, &path, NULL, "There is no task '%s' to be changed", name->text);
        else if (dag_node_real(value)->kind != DAG_NODE_MAPPING)
            dag_report(r, value, &path, NULL, "What changes must be a mapping, found %s", dag_describe(value, found));
        else
            change_task(r, task, dag_node_real(value), &path);
    }
}

void dag_change_tasks(struct dag_reader *r)
{
    const struct dag_yaml_options options = {0};
    struct arena arena = {0};
    if (r->options->changes_len > LIMIT_CHANGES_BYTES_MAX) {
        const struct dag_refs_note at = {.field = "changes", .length = 1};
        dag_report_refs(r, &at, NULL, "The changes are %zu bytes long, at most %d are allowed", r->options->changes_len,
                        LIMIT_CHANGES_BYTES_MAX);
        return;
    }
    const struct dag_node *root = dag_yaml_read(r->options->changes, r->options->changes_len, &options, r->problems,
                                                &arena);
    if (root)
        change_tasks(r, root);
    arena_fini(&arena);
}
