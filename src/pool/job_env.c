/* Layers, a later one over an earlier: the process's, another user's own, secrets, the DAG's, what python adds, the
 * task's, pawl's own. Secrets stand below the DAG's variables because ${env.NAME} finds them in this order too.
 *
 * The DAG's and the task's cannot be called PAWL_something (src/dag refuses it); the process's can.
 *
 * Values of secrets are never kept: they, and the DAG's variables that refer to them, are made for every attempt. */
#include "pool/job_env.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define LEN(literal) (sizeof(literal) - 1)

static const char default_path[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static const char *const clean_names[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"};
static const char *const own_names[] = {"PAWL_RUN_ID", "PAWL_DAG_ID", "PAWL_TASK_ID",
                                         "PAWL_ATTEMPT", "PAWL_FENCE", "PAWL_SCHEDULED_FOR"};

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static bool is_one_of(const char *name, size_t len, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(names[i], name, len) == 0 && !names[i][len])
            return true;
    return false;
}

static bool is_own(const char *name, size_t len)
{
    return len > LEN("PAWL_") && memcmp(name, "PAWL_", LEN("PAWL_")) == 0 &&
           is_one_of(name, len, own_names, COUNT_OF(own_names));
}

/* ---- one environment ---- */

void pool_env_fini(struct pool_env *env)
{
    map_fini(&env->index);
    buf_fini(&env->list);
    mem_free(env->vars);
    arena_fini(&env->arena);
    *env = (struct pool_env){0};
}

static struct pool_env_var *find(const struct pool_env *env, const char *name, size_t name_len)
{
    uintptr_t place = (uintptr_t)map_get(&env->index, name, name_len);
    return place ? &env->vars[place - 1] : NULL;
}

static void put(struct pool_env *env, const char *text, size_t name_len, size_t len)
{
    struct pool_env_var *var = find(env, text, name_len);
    if (!var) {
        env->vars = mem_grow(env->vars, &env->cap, env->count + 1, sizeof *env->vars);
        var = &env->vars[env->count++];
        (void)map_set(&env->index, text, name_len, (void *)(uintptr_t)env->count);
    }
    *var = (struct pool_env_var){.text = text, .name_len = name_len, .len = len};
}

void pool_env_set(struct pool_env *env, const char *name, size_t name_len, const char *value, size_t value_len)
{
    char *text = arena_alloc(&env->arena, name_len + value_len + 2);
    memcpy(text, name, name_len);
    text[name_len] = '=';
    memcpy(text + name_len + 1, value, value_len);
    text[name_len + 1 + value_len] = '\0';
    put(env, text, name_len, name_len + 1 + value_len);
}

const char *pool_env_get(const struct pool_env *env, const char *name, size_t name_len)
{
    const struct pool_env_var *var = find(env, name, name_len);
    return var ? var->text + name_len + 1 : NULL;
}

void pool_env_seal(struct pool_env *env)
{
    for (size_t i = 0; i < env->count; i++)
        buf_add(&env->list, env->vars[i].text, env->vars[i].len + 1);
}

void pool_env_add_process(struct pool_env *env, char *const *environment, bool inherit)
{
    for (; *environment; environment++) {
        const char *text = *environment, *equals = strchr(text, '=');
        size_t len = equals ? (size_t)(equals - text) : 0;
        if (len == 0 || is_own(text, len) || find(env, text, len)) /* getenv() means the first of a name */
            continue;
        bool clean = is_one_of(text, len, clean_names, COUNT_OF(clean_names)) || str_starts_with(text, "LC_");
        if (inherit || clean)
            pool_env_set(env, text, len, equals + 1, strlen(equals + 1));
    }
    if (!find(env, "PATH", LEN("PATH")))
        pool_env_set(env, "PATH", LEN("PATH"), default_path, LEN(default_path));
}

/* ---- what a run shares ---- */

static const char *find_secret(void *context, const char *name)
{
    struct pool_run_env *env = context;
    const struct dag_words *names = &env->dag->secrets;
    env->asked_secret = true;
    for (uint32_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0 && env->secret_at[i] != POOL_SECRET_UNKNOWN)
            return env->secret_values.bytes + env->secret_at[i];
    return NULL;
}

static const char *read_secret(struct pool_run_env *env, const char *name)
{
    const char *value = env->secrets.find ? env->secrets.find(env->secrets.context, name) : NULL;
    return !value && env->inherit ? pool_env_get(env->process, name, strlen(name)) : value;
}

int pool_run_env_load_secrets(struct pool_run_env *env, struct error *err)
{
    const struct dag_words *names = &env->dag->secrets;
    buf_clear(&env->secret_values);
    env->secret_count = 0;
    for (uint32_t i = 0; i < names->count; i++) {
        const char *value = read_secret(env, names->items[i]);
        env->secret_at[i] = POOL_SECRET_UNKNOWN;
        if (!value)
            continue;
        size_t len = strlen(value);
        if (len < LIMIT_SECRET_BYTES_MIN || len > LIMIT_SECRET_BYTES_MAX)
            return error_set(err, ERROR_BAD_REQUEST, "the secret '%.100s' has %zu bytes: what is to be hidden in logs "
                             "has %d to %d", names->items[i], len, LIMIT_SECRET_BYTES_MIN, LIMIT_SECRET_BYTES_MAX);
        env->secret_at[i] = env->secret_values.len;
        env->secret_count++;
        buf_add(&env->secret_values, value, len + 1);
    }
    return 0;
}

static const struct dag_var *find_dag_var(const struct dag_vars *vars, const char *name)
{
    for (uint32_t i = 0; i < vars->count; i++)
        if (strcmp(vars->items[i].name, name) == 0)
            return &vars->items[i];
    return NULL;
}

/* Sets a variable of the DAG for the whole run. False when its value has to be made for each task: it needs a secret,
 * or cannot be made, which is then every attempt's error. */
static bool set_for_run(struct pool_run_env *env, const struct dag_var *var)
{
    size_t name_len = strlen(var->name);
    buf_clear(&env->value);
    env->asked_secret = false;
    int code = dag_expand(env->dag, NULL, &env->source, var->value, strlen(var->value), &env->value, NULL);
    if (code || env->asked_secret || name_len + 1 + env->value.len > POOL_STRING_BYTES_MAX)
        return false;
    pool_env_set(&env->fixed, var->name, name_len, buf_text(&env->value), env->value.len);
    return true;
}

static void set_uuid(struct pool_env *env, const char *name, struct uuid uuid)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(uuid, text);
    pool_env_set(env, name, strlen(name), text, UUID_TEXT_LEN);
}

void pool_run_env_init(struct pool_run_env *env, const struct pool_env *process, bool inherit, struct dag *dag,
                       const struct pool_run_facts *facts, const struct dag_expand_source *secrets)
{
    *env = (struct pool_run_env){.process = process, .inherit = inherit, .dag = dag};
    if (secrets)
        env->secrets = *secrets;
    env->source = (struct dag_expand_source){.find = find_secret, .context = env};
    for (size_t i = 0; i < process->count; i++)
        put(&env->fixed, process->vars[i].text, process->vars[i].name_len, process->vars[i].len);
    env->secret_at = mem_new_array(size_t, dag->secrets.count);
    for (uint32_t i = 0; i < dag->secrets.count; i++)
        env->secret_at[i] = POOL_SECRET_UNKNOWN;
    env->late = mem_new_array(uint32_t, dag->env.count);
    for (uint32_t i = 0; i < dag->env.count; i++) {
        const struct dag_var *var = &dag->env.items[i];
        if (!set_for_run(env, var))
            env->late[env->late_count++] = i;
    }
    set_uuid(&env->fixed, "PAWL_RUN_ID", facts->run_id);
    set_uuid(&env->fixed, "PAWL_DAG_ID", facts->dag_id);
    if (facts->scheduled_ms) {
        char text[CLOCK_TEXT_MAX];
        clock_format_utc(facts->scheduled_ms, text);
        pool_env_set(&env->fixed, "PAWL_SCHEDULED_FOR", LEN("PAWL_SCHEDULED_FOR"), text, strlen(text));
    }
    pool_env_seal(&env->fixed);
}

void pool_run_env_fini(struct pool_run_env *env)
{
    pool_env_fini(&env->fixed);
    mem_free(env->late);
    mem_free(env->secret_at);
    if (env->secret_values.bytes)
        explicit_bzero(env->secret_values.bytes, env->secret_values.cap);
    buf_fini(&env->secret_values);
    buf_fini(&env->over);
    buf_fini(&env->value);
}

/* ---- one attempt ---- */

struct layer {
    struct pool_run_env *env;
    const struct dag_task *task;
    uint32_t count;
    struct error *err;
};

/* NAME=value into what stands over the fixed variables. */
static int add(struct layer *layer, const char *name, const char *value, size_t value_len)
{
    struct pool_run_env *env = layer->env;
    size_t name_len = strlen(name);
    if (name_len + 1 + value_len > POOL_STRING_BYTES_MAX)
        return error_set(layer->err, ERROR_TOO_BIG,
                         "env: the variable '%.100s' takes %zu bytes, but at most %d can be passed to a program", name,
                         name_len + 1 + value_len, POOL_STRING_BYTES_MAX);
    struct pool_env_var *under = find(&env->fixed, name, name_len);
    if (under)
        under->replaced_in = env->builds;
    buf_add(&env->over, name, name_len);
    buf_add_char(&env->over, '=');
    buf_add(&env->over, value, value_len);
    buf_add_char(&env->over, '\0');
    layer->count++;
    if (env->over.len > LIMIT_COMMAND_BYTES_MAX)
        return error_set(layer->err, ERROR_TOO_BIG, "its environment takes more than %d bytes",
                         LIMIT_COMMAND_BYTES_MAX);
    return 0;
}

static int add_text(struct layer *layer, const char *name, const char *value)
{
    return add(layer, name, value, strlen(value));
}

static int add_expanded(struct layer *layer, const struct dag_task *task, const struct dag_var *var)
{
    struct buf *value = &layer->env->value;
    buf_clear(value);
    int code = dag_expand(layer->env->dag, task, &layer->env->source, var->value, strlen(var->value), value,
                          layer->err);
    if (code) {
        (void)error_add(layer->err, "env: %.100s", var->name);
        return code;
    }
    return add(layer, var->name, buf_text(value), value->len);
}

/* What says who one is. The daemon's folder for temporary files may be its own. */
static int add_user(struct layer *layer)
{
    const struct pool_user *user = layer->env->user;
    const char *const vars[][2] = {
        {"HOME", user->home}, {"USER", user->name}, {"LOGNAME", user->name}, {"SHELL", user->shell}};
    struct pool_env_var *folder = find(&layer->env->fixed, "TMPDIR", LEN("TMPDIR"));
    if (folder && !pool_run_env_user_sets(layer->env, layer->task, "TMPDIR"))
        folder->replaced_in = layer->env->builds;
    int code = 0;
    for (size_t i = 0; i < COUNT_OF(vars) && !code; i++)
        if (!pool_run_env_user_sets(layer->env, layer->task, vars[i][0]))
            code = add_text(layer, vars[i][0], vars[i][1]);
    return code;
}

static int add_secrets(struct layer *layer)
{
    const struct dag *dag = layer->env->dag;
    for (uint32_t i = 0; i < dag->secrets.count; i++) {
        const char *name = dag->secrets.items[i];
        if (find_dag_var(&dag->env, name) || find_dag_var(&layer->task->env, name))
            continue;
        const char *value = find_secret(layer->env, name);
        if (!value)
            return error_set(layer->err, ERROR_BAD_REQUEST, "the secret '%.100s' is not configured", name);
        int code = add_text(layer, name, value);
        if (code)
            return code;
    }
    return 0;
}

static int add_dag_late(struct layer *layer)
{
    for (uint32_t i = 0; i < layer->env->late_count; i++) {
        const struct dag_var *var = &layer->env->dag->env.items[layer->env->late[i]];
        int code = find_dag_var(&layer->task->env, var->name) ? 0 : add_expanded(layer, NULL, var);
        if (code)
            return code;
    }
    return 0;
}

bool pool_run_env_user_sets(const struct pool_run_env *env, const struct dag_task *task, const char *name)
{
    return find_dag_var(&task->env, name) || find_dag_var(&env->dag->env, name);
}

static int add_python(struct layer *layer, const char *virtual_env)
{
    int code = 0;
    if (!pool_run_env_user_sets(layer->env, layer->task, "PYTHONUNBUFFERED"))
        code = add_text(layer, "PYTHONUNBUFFERED", "1");
    if (!code && virtual_env && !pool_run_env_user_sets(layer->env, layer->task, "VIRTUAL_ENV"))
        code = add_text(layer, "VIRTUAL_ENV", virtual_env);
    return code;
}

static int add_task(struct layer *layer)
{
    const struct dag_vars *vars = &layer->task->env;
    for (uint32_t i = 0; i < vars->count; i++) {
        int code = add_expanded(layer, layer->task, &vars->items[i]);
        if (code)
            return code;
    }
    return 0;
}

static void append_fixed(const struct pool_run_env *env, struct buf *out, uint32_t *count)
{
    for (size_t i = 0; i < env->fixed.count; i++) {
        const struct pool_env_var *var = &env->fixed.vars[i];
        if (var->replaced_in == env->builds)
            continue;
        buf_add(out, var->text, var->len + 1);
        ++*count;
    }
}

static uint32_t append_own(const struct dag_task *task, uint32_t number, uint64_t fence, struct buf *out)
{
    buf_add(out, "PAWL_TASK_ID=", LEN("PAWL_TASK_ID="));
    buf_add(out, task->id, strlen(task->id) + 1);
    buf_add(out, "PAWL_ATTEMPT=", LEN("PAWL_ATTEMPT="));
    buf_add_uint(out, number);
    buf_add_char(out, '\0');
    buf_add(out, "PAWL_FENCE=", LEN("PAWL_FENCE="));
    buf_add_uint(out, fence);
    buf_add_char(out, '\0');
    return 3;
}

int pool_run_env_build(struct pool_run_env *env, const struct dag_task *task, uint32_t number, uint64_t fence,
                       const char *virtual_env, struct buf *out, uint32_t *ret_count, struct error *err)
{
    bool python = task->type == DAG_TASK_PYTHON;
    if (!python && !env->user && !task->env.count && !env->late_count && !env->dag->secrets.count) {
        buf_add(out, env->fixed.list.bytes, env->fixed.list.len);
        *ret_count = (uint32_t)env->fixed.count + append_own(task, number, fence, out);
        return 0;
    }
    struct layer layer = {.env = env, .task = task, .err = err};
    env->builds++;
    buf_clear(&env->over);
    int code = env->user ? add_user(&layer) : 0;
    if (!code)
        code = add_secrets(&layer);
    if (!code)
        code = add_dag_late(&layer);
    if (!code && python)
        code = add_python(&layer, virtual_env);
    if (!code)
        code = add_task(&layer);
    if (code)
        return code;
    append_fixed(env, out, &layer.count);
    buf_add(out, env->over.bytes, env->over.len);
    *ret_count = layer.count + append_own(task, number, fence, out);
    return 0;
}
