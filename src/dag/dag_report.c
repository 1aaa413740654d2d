#include "dag/dag_reader.h"

#include <stdio.h>
#include <string.h>

#include "dag/dag_text.h"

enum { TEXT_MAX = 4000, FIELD_DEPTH_MAX = 16 };

static void add(struct dag_reader *r, struct dag_problem *problem, const char *format, va_list args)
{
    char text[TEXT_MAX] = "";
    if (!dag_problems_are_full(r->problems, problem->severity))
        (void)vsnprintf(text, sizeof text, format, args);
    text[dag_text_cut(text, strlen(text), TEXT_MAX - 4)] = '\0';
    problem->text = text;
    dag_problems_add(r->problems, problem);
}

static void add_at(struct dag_reader *r, enum dag_severity severity, const struct dag_node *at,
                   const struct dag_path *path, const char *hint, const char *format, va_list args)
{
    struct arena arena = {0};
    struct dag_problem problem = {
        .severity = severity, .line = at->line, .column = at->column, .length = at->length, .hint = hint};
    problem.field = path ? dag_path_render(path, &arena) : NULL;
    add(r, &problem, format, args);
    arena_fini(&arena);
}

void dag_report(struct dag_reader *r, const struct dag_node *at, const struct dag_path *path, const char *hint,
                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_at(r, DAG_SEVERITY_ERROR, at, path, hint, format, args);
    va_end(args);
}

void dag_report_warning(struct dag_reader *r, const struct dag_node *at, const struct dag_path *path,
                        const char *hint, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_at(r, DAG_SEVERITY_WARNING, at, path, hint, format, args);
    va_end(args);
}

void dag_report_graph(struct dag_reader *r, enum dag_severity severity, struct dag_place place, uint32_t length,
                      const char *field, const char *hint, const char *format, ...)
{
    struct dag_problem problem = {.severity = severity, .of_graph = true, .line = place.line, .column = place.column,
                                  .length = length, .field = field, .hint = hint};
    va_list args;
    va_start(args, format);
    add(r, &problem, format, args);
    va_end(args);
}

void dag_report_refs(struct dag_reader *r, const struct dag_refs_note *note, const char *hint, const char *format, ...)
{
    struct dag_problem problem = {.line = note->place.line, .column = note->place.column, .length = note->length,
                                  .field = note->field, .hint = hint};
    va_list args;
    va_start(args, format);
    add(r, &problem, format, args);
    va_end(args);
}

const char *dag_path_render(const struct dag_path *path, struct arena *arena)
{
    const struct dag_path *parts[FIELD_DEPTH_MAX];
    size_t count = 0;
    for (; path && count < FIELD_DEPTH_MAX; path = path->up)
        parts[count++] = path;
    struct buf text = BUF_INIT;
    while (count-- > 0) {
        if (!parts[count]->key)
            buf_printf(&text, "[%zu]", parts[count]->index);
        else
            buf_printf(&text, "%s%.100s", text.len ? "." : "", parts[count]->key);
    }
    const char *copy = arena_strndup(arena, text.bytes, text.len);
    buf_fini(&text);
    return copy;
}

const char *dag_describe(const struct dag_node *node, char buf[100])
{
    const struct dag_node *real = dag_node_real(node);
    enum dag_node_kind kind = (enum dag_node_kind)real->kind;
    if (kind != DAG_NODE_BOOL && kind != DAG_NODE_INT && kind != DAG_NODE_FLOAT && kind != DAG_NODE_STRING)
        return dag_node_kind_name(kind);
    const char *name = dag_node_kind_name(kind);
    bool quoted = kind == DAG_NODE_STRING;
    int cut = dag_text_cut(real->text, real->len, 40);
    (void)snprintf(buf, 100, "the %s %s%.*s%s%s", strchr(name, ' ') + 1, quoted ? "'" : "", cut, real->text,
                   (uint32_t)cut < real->len ? "..." : "", quoted ? "'" : "");
    return buf;
}

uint32_t dag_text_width(const char *text, size_t len)
{
    uint32_t width = 0;
    for (size_t i = 0; i < len; i++)
        width += (text[i] & 0xc0) != 0x80;
    return width ? width : 1;
}
