/* Scopes are lexical: what a task's env refers to is looked for in the task's env, the DAG's env and the secrets; what
 * the DAG's env refers to, in the DAG's env and the secrets. A variable that refers to its own name means the one
 * further out, so that a task can extend what the DAG sets. Anything that comes back to a variable being expanded is an
 * error; depth, number of references and size are bounded, since every reference may double the text. */
#include "dag/dag_expand.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "dag/dag.h"
#include "dag/dag_expand_check.h"
#include "dag/dag_text.h"

enum scope { SCOPE_TASK, SCOPE_DAG };

struct expansion {
    const struct dag *dag;
    const struct dag_task *task;                /* NULL: the DAG's env alone */
    const struct dag_expand_source *more;
    struct buf *out;                            /* NULL: only check */
    size_t out_max;
    bool checking;
    bool json;                                  /* the text is JSON: values go into its strings */
    size_t followed;
    const struct dag_var *open[LIMIT_EXPAND_DEPTH_MAX];
    size_t depth;
    struct error *err;
};

static const struct dag_var *find_var(const struct dag_vars *vars, const char *name, size_t len,
                                      const struct dag_var *but)
{
    for (uint32_t i = 0; i < vars->count; i++)
        if (vars->items[i].name[0] == name[0] && &vars->items[i] != but &&
            strncmp(vars->items[i].name, name, len) == 0 && !vars->items[i].name[len])
            return &vars->items[i];
    return NULL;
}

/* The variable whose value `text` is, if it is one's: by identity, so that a value knows its own name. */
static const struct dag_var *var_of(const struct dag_vars *vars, const char *text)
{
    for (uint32_t i = 0; i < vars->count; i++)
        if (vars->items[i].value == text)
            return &vars->items[i];
    return NULL;
}

static int add(struct expansion *x, const char *bytes, size_t len)
{
    if (!x->out)
        return 0;
    if (x->depth == 0 || !x->json) {
        buf_add(x->out, bytes, len);
    } else {
        struct buf quoted = BUF_INIT;
        struct json json;
        json_init(&json, &quoted);
        json_add_string_len(&json, bytes, len);
        buf_add(x->out, quoted.bytes + 1, quoted.len - 2);
        buf_fini(&quoted);
    }
    if (x->out->len > x->out_max)
        return error_set(x->err, ERROR_BAD_REQUEST, "its variables add more than %d bytes",
                         LIMIT_COMMAND_BYTES_MAX);
    return 0;
}

static int expand_text(struct expansion *x, enum scope scope, const char *text, size_t len);

static int expand_secret(struct expansion *x, const char *name, size_t len)
{
    for (uint32_t i = 0; i < x->dag->secrets.count; i++) {
        const char *secret = x->dag->secrets.items[i];
        if (strncmp(secret, name, len) != 0 || secret[len])
            continue;
        if (x->checking)
            return 0;
        const char *value = x->more ? x->more->find(x->more->context, secret) : NULL;
        if (!value)
            return error_set(x->err, ERROR_BAD_REQUEST, "the secret '%s' is not configured", secret);
        x->depth++;
        int rc = add(x, value, strlen(value));
        x->depth--;
        return rc;
    }
    const struct dag_var *self = x->depth ? x->open[x->depth - 1] : NULL;
    if (self && strlen(self->name) == len && memcmp(self->name, name, len) == 0)
        return error_set(x->err, ERROR_BAD_REQUEST, "the variable '%s' refers to itself", self->name);
    if (x->checking)
        return 0;
    return error_set(x->err, ERROR_BAD_REQUEST, "${env.%.*s} is not known: it is neither in env nor in secrets",
                     dag_text_cut(name, len, 100), name);
}

static int expand_name(struct expansion *x, enum scope scope, const char *name, size_t len)
{
    const struct dag_var *self = x->depth ? x->open[x->depth - 1] : NULL, *var = NULL;
    enum scope found = SCOPE_TASK;
    if (scope == SCOPE_TASK && x->task)
        var = find_var(&x->task->env, name, len, self);
    if (!var) {
        var = find_var(&x->dag->env, name, len, self);
        found = SCOPE_DAG;
    }
    if (++x->followed > LIMIT_EXPAND_REFS_MAX)
        return error_set(x->err, ERROR_BAD_REQUEST, "more than %d references to variables in one value",
                         LIMIT_EXPAND_REFS_MAX);
    if (!var)
        return expand_secret(x, name, len);
    for (size_t i = 0; i < x->depth; i++)
        if (x->open[i] == var)
            return error_set(x->err, ERROR_BAD_REQUEST, "the variable '%s' refers to itself, through '%s'", var->name,
                             self->name);
    if (x->depth == LIMIT_EXPAND_DEPTH_MAX)
        return error_set(x->err, ERROR_BAD_REQUEST, "more than %d variables that refer to each other",
                         LIMIT_EXPAND_DEPTH_MAX);
    x->open[x->depth++] = var;
    int rc = expand_text(x, found, var->value, strlen(var->value));
    x->depth--;
    return rc;
}

/* Depth of the recursion is bounded by LIMIT_EXPAND_DEPTH_MAX. */
static int expand_text(struct expansion *x, enum scope scope, const char *text, size_t len)
{
    size_t at = 0, copied = 0;
    struct dag_text_reference reference;
    int rc = 0;
    while (rc == 0 && dag_text_next_reference(text, len, &at, &reference)) {
        if (!reference.valid && !reference.escaped)
            continue;
        rc = add(x, text + copied, reference.start - copied);
        copied = reference.end;
        if (rc == 0 && reference.escaped)
            rc = add(x, text + reference.start + 1, reference.end - reference.start - 1);
        else if (rc == 0)
            rc = expand_name(x, scope, reference.name, reference.name_len);
    }
    return rc ? rc : add(x, text + copied, len - copied);
}

static int expand(struct expansion *x, const char *text, size_t len)
{
    enum scope scope = SCOPE_TASK;
    const struct dag_var *self = x->task ? var_of(&x->task->env, text) : NULL;
    if (!self) {
        self = var_of(&x->dag->env, text);
        scope = self ? SCOPE_DAG : SCOPE_TASK;
    }
    if (self)
        x->open[x->depth++] = self;
    return expand_text(x, scope, text, len);
}

static bool has_reference(const char *text, size_t len)
{
    size_t at = 0;
    struct dag_text_reference reference;
    return dag_text_next_reference(text, len, &at, &reference);
}

static int expand_into(const struct dag *dag, const struct dag_task *task, const struct dag_expand_source *more,
                       bool json, const char *text, size_t len, struct buf *out, struct error *err)
{
    if (!has_reference(text, len)) {
        buf_add(out, text, len);
        return 0;
    }
    size_t before = out->len;
    struct expansion x = {.dag = dag, .task = task, .more = more, .out = out, .json = json, .err = err};
    x.out_max = before + len + LIMIT_COMMAND_BYTES_MAX;
    int rc = expand(&x, text, len);
    if (rc)
        out->len = before;
    return rc;
}

int dag_expand(const struct dag *dag, const struct dag_task *task, const struct dag_expand_source *more,
               const char *text, size_t len, struct buf *out, struct error *err)
{
    return expand_into(dag, task, more, false, text, len, out, err);
}

int dag_expand_body(const struct dag *dag, const struct dag_task *task, const struct dag_expand_source *more,
                    struct buf *out, struct error *err)
{
    const struct dag_http *http = task->http;
    return http->body ? expand_into(dag, task, more, http->body_is_json, http->body, http->body_len, out, err) : 0;
}

int dag_expand_check(const struct dag *dag, const struct dag_task *task, const char *text, size_t len,
                     size_t *steps, struct error *err)
{
    struct expansion x = {.dag = dag, .task = task, .checking = true, .err = err};
    int rc = expand(&x, text, len);
    size_t names = dag->env.count + (task ? task->env.count : 0);
    *steps += x.followed * (1 + names / 8);
    return rc;
}
