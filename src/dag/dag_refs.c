/* References to variables in texts. Whether a name is known is only known when the whole file is read; so texts that
 * hold references are noted, and looked at in the end. */
#include "dag/dag_reader.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "dag/dag_expand.h"
#include "dag/dag_expand_check.h"
#include "dag/dag_text.h"

static void warn(struct dag_reader *r, const struct dag_field *field, const struct dag_node *at,
                 const struct dag_text_reference *reference, const struct dag_path *path)
{
    int cut = dag_text_cut(reference->name, reference->name_len, 60);
    char hint[200];
    bool python = field->kind == DAG_FIELD_SCRIPT;
    if (field->refs == DAG_REFS_SHELL && python)
        (void)snprintf(hint, sizeof hint, "write os.environ[\"%.*s\"]; in a shell command $%.*s does it", cut,
                       reference->name, cut, reference->name);
    else if (field->refs == DAG_REFS_SHELL)
        (void)snprintf(hint, sizeof hint, "write $%.*s", cut, reference->name);
    else
        (void)snprintf(hint, sizeof hint, "it is understood in env, args, argv lists, url, headers and body");
    dag_report_warning(r, at, path, hint, "${env.%.*s} is not replaced in '%s'", cut, reference->name, field->key);
}

void dag_read_refs(struct dag_reader *r, const struct dag_field *field, const struct dag_node *at, const char *text,
                   size_t len, const struct dag_path *path)
{
    size_t from = 0;
    struct dag_text_reference reference;
    bool noted = false;
    while (!noted && dag_text_next_reference(text, len, &from, &reference)) {
        if (reference.escaped)
            continue;
        if (field->refs != DAG_REFS_EXPANDED) {
            warn(r, field, at, &reference, path);
            return;
        }
        r->refs = mem_grow(r->refs, &r->refs_cap, r->refs_count + 1, sizeof *r->refs);
        r->refs[r->refs_count++] = (struct dag_refs_note){
            .task = r->task ? r->task - r->owned->tasks : -1, .text = text, .len = len,
            .field = dag_path_render(path, &r->scratch), .place = {at->line, at->column}, .length = at->length,
            .kind = field->kind};
        noted = true;
    }
}

/* The names known in one task: looked up often, so hashed once per task. */
struct known {
    struct map dag;         /* the DAG's env and secrets */
    struct map task;        /* the task's env */
    int64_t task_index;
    size_t task_steps;      /* to replace the references of the current task, or of the DAG's env */
    size_t steps;           /* of all */
    size_t hints;           /* looked for so far: each takes long among many names */
};

static void add_vars(struct map *map, const struct dag_vars *vars)
{
    for (uint32_t i = 0; i < vars->count; i++)
        (void)map_set(map, vars->items[i].name, strlen(vars->items[i].name), (void *)(uintptr_t)&vars->items[i]);
}

static void turn_to_task(struct known *known, const struct dag_reader *r, int64_t task)
{
    if (task == known->task_index)
        return;
    map_fini(&known->task);
    known->task_index = task;
    known->task_steps = 0;
    if (task >= 0)
        add_vars(&known->task, &r->owned->tasks[task].env);
}

static size_t list_names(const char **names, size_t count, const struct dag_vars *vars)
{
    for (uint32_t i = 0; i < vars->count && i < LIMIT_ENV_VARS_MAX; i++)
        names[count++] = vars->items[i].name;
    return count;
}

/* The nearest of all names that are known where the note is; they are gone through in the order of the file, so that
 * the same file always gets the same hint. */
static const char *nearest_name(const struct dag_reader *r, const struct dag_refs_note *note, const char *text)
{
    const struct dag *dag = &r->owned->dag;
    const char *names[3 * LIMIT_ENV_VARS_MAX];
    size_t count = note->task >= 0 ? list_names(names, 0, &r->owned->tasks[note->task].env) : 0;
    count = list_names(names, count, &dag->env);
    for (uint32_t i = 0; i < dag->secrets.count && i < LIMIT_ENV_VARS_MAX; i++)
        names[count++] = dag->secrets.items[i];
    return str_nearest(text, names, count);
}

static void say_unknown(struct dag_reader *r, const struct dag_refs_note *note, struct known *known, const char *name,
                        size_t len)
{
    char text[257], hint[300];
    (void)snprintf(text, sizeof text, "%.*s", (int)len, name);
    const char *nearest = known->hints++ < LIMIT_DAG_ERRORS_MAX ? nearest_name(r, note, text) : NULL;
    (void)snprintf(hint, sizeof hint, "did you mean '%s'?", nearest ? nearest : "");
    dag_report_refs(r, note, nearest ? hint : NULL, "${env.%s} is not known: it is %s", text,
                    note->task >= 0 ? "in none of the task's env, the DAG's env and secrets"
                                    : "in none of the DAG's env and secrets");
}

static bool check_names(struct dag_reader *r, const struct dag_refs_note *note, struct known *known)
{
    size_t from = 0;
    struct dag_text_reference reference;
    bool ok = true;
    while (dag_text_next_reference(note->text, note->len, &from, &reference)) {
        if (reference.escaped)
            continue;
        if (!reference.valid) {
            dag_report_refs(r, note, "the form is ${env.NAME}", "'%.*s' is no reference to a variable",
                            dag_text_cut(note->text + reference.start, note->len - reference.start, 40),
                            note->text + reference.start);
            ok = false;
        } else if (!map_get(&known->task, reference.name, reference.name_len) &&
                   !map_get(&known->dag, reference.name, reference.name_len)) {
            say_unknown(r, note, known, reference.name, reference.name_len);
            ok = false;
        }
    }
    return ok;
}

/* Notes the first secret that is asked for. */
static const char *note_secret(void *context, const char *name)
{
    const char **first = context;
    if (!*first)
        *first = name;
    return "";
}

/* A command line can be read by everybody on the machine, an address by every server and proxy on the way. */
static void warn_secret(struct dag_reader *r, const struct dag_refs_note *note)
{
    bool is_argument = note->kind == DAG_FIELD_WORDS || note->kind == DAG_FIELD_COMMAND;
    if (!r->owned->dag.secrets.count || note->task < 0 || !(is_argument || note->kind == DAG_FIELD_URL))
        return;
    const char *name = NULL;
    const struct dag_expand_source source = {.find = note_secret, .context = &name};
    struct buf text = BUF_INIT;
    int code = dag_expand(&r->owned->dag, &r->owned->tasks[note->task], &source, note->text, note->len, &text, NULL);
    buf_fini(&text);
    if (code || !name)
        return;
    char said[200], hint[200];
    int cut = dag_text_cut(name, strlen(name), 60);
    (void)snprintf(said, sizeof said, is_argument
                   ? "The secret '%.*s' gets into a command line, which others on the machine can read"
                   : "The secret '%.*s' gets into an address, which servers and proxies write into their logs", cut,
                   name);
    (void)snprintf(hint, sizeof hint, is_argument ? "let the program take $%.*s from its environment"
                                                  : "send ${env.%.*s} in a header", cut, name);
    dag_report_graph(r, DAG_SEVERITY_WARNING, note->place, note->length, note->field, hint, "%s", said);
}

/* What an attempt would do later, once: circles are found, and how much work it is. False when it is too much, for one
 * task or for all. */
static bool try_out(struct dag_reader *r, const struct dag_refs_note *note, struct known *known)
{
    struct error err = {0};
    size_t before = known->task_steps;
    const struct dag_task *task = note->task >= 0 ? &r->owned->tasks[note->task] : NULL;
    int code = dag_expand_check(&r->owned->dag, task, note->text, note->len, &known->task_steps, &err);
    known->steps += known->task_steps - before;
    if (code && note->kind == DAG_FIELD_ENV) /* what refers to the variable is not to blame */
        dag_report_refs(r, note, NULL, "%s", err.text);
    bool too_many = known->task_steps > LIMIT_EXPAND_TASK_STEPS_MAX || known->steps > LIMIT_EXPAND_DAG_STEPS_MAX;
    if (too_many)
        dag_report_refs(r, note, "let fewer variables refer to each other",
                        "the references to variables in one %s multiply beyond what is allowed",
                        known->steps > LIMIT_EXPAND_DAG_STEPS_MAX ? "DAG" : "task");
    return !too_many;
}

void dag_check_refs(struct dag_reader *r)
{
    static const char secret[] = "";
    struct known known = {.task_index = -1};
    add_vars(&known.dag, &r->owned->dag.env);
    for (uint32_t i = 0; i < r->owned->dag.secrets.count; i++)
        (void)map_set(&known.dag, r->owned->dag.secrets.items[i], strlen(r->owned->dag.secrets.items[i]),
                      (void *)(uintptr_t)secret);
    bool going = true;
    for (size_t i = 0; i < r->refs_count && going; i++) {
        const struct dag_refs_note *note = &r->refs[i];
        turn_to_task(&known, r, note->task);
        if (check_names(r, note, &known) && (going = try_out(r, note, &known)))
            warn_secret(r, note);
    }
    map_fini(&known.task);
    map_fini(&known.dag);
}
