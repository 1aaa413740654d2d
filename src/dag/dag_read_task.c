/* Tasks, one by one. A task that has errors is added too, as far as its id is known, so that what depends on it does
 * not seem to dangle. */
#include "dag/dag_reader.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag_text.h"

/* The type, or -1 when it is missing or wrong (the table's reading says so). */
static int find_type(const struct dag_node *item)
{
    const struct dag_node *value = dag_node_get(item, "type");
    const struct dag_node *real = value ? dag_node_real(value) : NULL;
    if (!real || real->kind >= DAG_NODE_LIST)
        return -1;
    for (int type = 0; type < DAG_TASK_TYPE_COUNT; type++)
        if (strcmp(real->text, dag_task_type_name((enum dag_task_type)type)) == 0 && strlen(real->text) == real->len)
            return type;
    return -1;
}

/* Notes the task's id; a doubled one is an error. */
static void define_id(struct dag_reader *r, const struct dag_node *item, struct dag_task_note *note, size_t task)
{
    const struct dag_node *value = dag_node_get(item, "id");
    const struct dag_node *real = value ? dag_node_real(value) : NULL;
    note->symbol = DAG_ID_UNDEFINED;
    note->place = (struct dag_place){item->line, item->column};
    if (!real || real->kind != DAG_NODE_STRING) {
        r->id_missing = true;
        return;
    }
    note->place = (struct dag_place){value->line, value->column};
    note->symbol = dag_ids_intern(&r->ids, real->text, real->len);
    struct dag_id *id = &r->ids.items[note->symbol];
    if (id->task == DAG_ID_UNDEFINED) {
        id->task = (uint32_t)task;
        return;
    }
    struct dag_path path = {.key = "tasks"}, at = {.up = &path, .index = task}, key = {.up = &at, .key = "id"};
    char hint[100];
    (void)snprintf(hint, sizeof hint, "the other one is on line %u", r->notes[id->task].place.line);
    struct arena arena = {0};
    dag_report_graph(r, DAG_SEVERITY_ERROR, note->place, value->length, dag_path_render(&key, &arena), hint,
                     "Duplicate task ID: %s", id->text);
    arena_fini(&arena);
}

static bool add_task(struct dag_reader *r, const struct dag_node *item, size_t index)
{
    if (r->task_count >= r->options->tasks_max) {
        dag_report(r, item, NULL, NULL, "More than %u tasks in one DAG", r->options->tasks_max);
        r->too_many = true;
        return false;
    }
    r->owned->tasks = mem_grow(r->owned->tasks, &r->task_cap, r->task_count + 1, sizeof *r->owned->tasks);
    r->notes = mem_grow(r->notes, &r->note_cap, r->task_count + 1, sizeof *r->notes);
    r->owned->tasks[r->task_count] = (struct dag_task){.line = item->line};
    r->notes[r->task_count] = (struct dag_task_note){.first_edge = (uint32_t)r->edge_count};
    define_id(r, item, &r->notes[r->task_count], index);
    r->task_count++;
    return true;
}

bool dag_read_task(struct dag_reader *r, const struct dag_node *item, size_t index)
{
    if (!add_task(r, item, index))
        return false;
    struct dag_path list = {.key = "tasks"}, path = {.up = &list, .index = index};
    if (dag_node_real(item)->kind != DAG_NODE_MAPPING) {
        char found[100];
        dag_report(r, item, &path, NULL, "A task must be a mapping, found %s", dag_describe(item, found));
        return true;
    }
    int type = find_type(item);
    struct dag_task_note *note = &r->notes[r->task_count - 1];
    r->task = &r->owned->tasks[r->task_count - 1];
    r->http = type == DAG_TASK_HTTP ? arena_zalloc(&r->owned->arena, sizeof *r->http) : NULL;
    r->task_label = note->symbol == DAG_ID_UNDEFINED ? NULL : r->ids.items[note->symbol].text;
    r->retry_given = 0;
    note->given = dag_read_table(r, &dag_table_task, item, type, r->task, &path);
    note->given |= r->retry_given << DAG_GIVEN_RETRY_SHIFT;
    if (note->symbol != DAG_ID_UNDEFINED)
        r->task->id = r->ids.items[note->symbol].text;
    if (!r->task->name)
        r->task->name = r->task->id;
    if (r->http && !r->http->method)
        r->http->method = "GET";
    r->task->http = r->http;
    r->task = NULL;
    r->http = NULL;
    r->task_label = NULL;
    r->retry_given = 0;
    return !r->too_many;
}

bool dag_read_tasks(struct dag_reader *r, const struct dag_node *list)
{
    size_t index = 0;
    for (const struct dag_node *item = dag_node_first(list); item; item = dag_node_next(item))
        if (!dag_read_task(r, item, index++))
            return false;
    return true;
}
