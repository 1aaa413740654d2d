/* A mapping, field by field, as its table says. */
#include "dag/dag_reader.h"

#include <stdio.h>
#include <string.h>

#include "dag/dag_text.h"

/* "in task 'x'", with a blank in front, or "". */
static const char *in_task(const struct dag_reader *r, char buf[200])
{
    if (!r->task_label)
        return "";
    int cut = dag_text_cut(r->task_label, strlen(r->task_label), 100);
    (void)snprintf(buf, 200, " in task '%.*s'", cut, r->task_label);
    return buf;
}

static void say_unknown(struct dag_reader *r, const struct dag_table *table, const struct dag_node *key,
                        const struct dag_path *path)
{
    const struct dag_node *real = dag_node_real(key);
    char hint[150], name[100];
    const char *nearest = dag_table_nearest(table, real->text);
    size_t ignored;
    if (nearest)
        (void)snprintf(hint, sizeof hint, "did you mean '%s'?", nearest);
    else if (table == &dag_table_task && dag_table_find(&dag_table_file, real->text, real->len, &ignored))
        (void)snprintf(hint, sizeof hint, "'%s' belongs at the top of the file", real->text);
    else if (table != &dag_table_task && dag_table_find(&dag_table_task, real->text, real->len, &ignored))
        (void)snprintf(hint, sizeof hint, "'%s' belongs into a task", real->text);
    else
        hint[0] = '\0';
    (void)snprintf(name, sizeof name, "%.*s", dag_text_cut(real->text, real->len, 60), real->text);
    dag_report(r, key, path, hint[0] ? hint : NULL, "Unknown field '%s' in %s", name, table->what);
}

/* "shell or python" for a set of types. */
static void name_types(unsigned types, char buf[60])
{
    buf[0] = '\0';
    size_t len = 0;
    for (int type = 0; type < DAG_TASK_TYPE_COUNT; type++)
        if (types & 1u << type)
            len += (size_t)snprintf(buf + len, 60 - len, "%s%s", len ? " and " : "",
                                    dag_task_type_name((enum dag_task_type)type));
}

static void say_foreign(struct dag_reader *r, const struct dag_field *field, const struct dag_node *key, int type,
                        const struct dag_path *path)
{
    char types[60], where[200];
    name_types(field->types, types);
    dag_report(r, key, path, NULL, "'%s' is a field of %s tasks, but the type is %s%s", field->key, types,
               dag_task_type_name((enum dag_task_type)type), in_task(r, where));
}

/* Whether the file need not name its DAG, since the name comes from elsewhere. */
static bool is_named_elsewhere(struct dag_reader *r, const struct dag_node *mapping)
{
    if (!r->options->name && r->options->name_may_lack)
        dag_report_warning(r, mapping, NULL, "'pawl run' and 'pawl dags apply' need 'name: ...' in it",
                           "The file has no name: it is for a request that names the DAG");
    return r->options->name || r->options->name_may_lack;
}

static void say_missing(struct dag_reader *r, const struct dag_table *table, const struct dag_node *mapping, int type,
                        uint32_t given, const struct dag_path *path)
{
    char where[200];
    for (size_t i = 0; i < table->count; i++) {
        const struct dag_field *field = &table->fields[i];
        bool belongs = !field->types || (type >= 0 && field->types & 1u << type);
        if (!field->required || !belongs || given & 1u << i)
            continue;
        if (table == &dag_table_file && strcmp(field->key, "name") == 0 && is_named_elsewhere(r, mapping))
            continue;
        dag_report(r, mapping, path, NULL, "Missing required field: %s%s", field->key, in_task(r, where));
    }
}

uint32_t dag_read_fields(struct dag_reader *r, const struct dag_table *table, const struct dag_node *mapping,
                         int type, void *target, const struct dag_path *path)
{
    uint32_t given = 0;
    const struct dag_node *value;
    for (const struct dag_node *key = dag_node_first(mapping); key; key = value->next) {
        value = key->next;
        const struct dag_node *name = dag_node_real(key);
        size_t index = 0;
        const struct dag_field *field = dag_table_find(table, name->text, name->len, &index);
        struct dag_path here = {.up = path, .key = field ? field->key : name->text};
        if (!field) {
            bool extension = table == &dag_table_file && name->len > 2 && memcmp(name->text, "x-", 2) == 0;
            if (!extension)
                say_unknown(r, table, key, &here);
            continue;
        }
        if (field->types && type >= 0 && !(field->types & 1u << type)) {
            say_foreign(r, field, key, type, &here);
            continue;
        }
        if (dag_node_real(value)->kind == DAG_NODE_NULL && field->kind != DAG_FIELD_TASKS)
            continue; /* as if it were not there */
        given |= 1u << index;
        bool of_request = table == &dag_table_task && field->types == 1u << DAG_TASK_HTTP;
        void *into = of_request ? (void *)r->http : target;
        if (into)
            (void)dag_read_value(r, field, value, into, &here);
    }
    return given;
}

uint32_t dag_read_table(struct dag_reader *r, const struct dag_table *table, const struct dag_node *mapping, int type,
                        void *target, const struct dag_path *path)
{
    uint32_t given = dag_read_fields(r, table, mapping, type, target, path);
    say_missing(r, table, mapping, type, given, path);
    return given;
}
