/* A task's definition as JSON, as a dead letter keeps it. Values are as written: what ${env.NAME} stands for, and so
 * every secret, stays out of it. */
#include "base/json.h"
#include "base/str.h"
#include "dag/dag.h"
#include "engine/model.h"

static void put_vars(struct json *json, const char *key, struct dag_vars vars)
{
    json_key(json, key);
    json_begin_object(json);
    for (uint32_t i = 0; i < vars.count; i++) {
        /* header and variable names are checked when the file is read, but a header's may hold quotes */
        json_add_string(json, vars.items[i].name);
        buf_add_char(json->out, ':');
        json->needs_comma = false;
        json_add_string(json, vars.items[i].value);
    }
    json_end_object(json);
}

static void put_words(struct json *json, const char *key, struct dag_words words)
{
    json_key(json, key);
    json_begin_array(json);
    for (uint32_t i = 0; i < words.count; i++)
        json_add_string(json, words.items[i]);
    json_end_array(json);
}

static void put_what(struct json *json, const struct dag_task *task)
{
    if (task->type == DAG_TASK_SHELL && task->command) {
        json_kv_string(json, "command", task->command);
    } else if (task->type == DAG_TASK_SHELL) {
        put_words(json, "command", task->argv);
    } else if (task->type == DAG_TASK_PYTHON) {
        json_kv_string(json, "script", task->script);
        put_words(json, "args", task->args);
        json_kv_string(json, "virtualEnv", task->virtual_env);
        json_kv_bool(json, "warm", task->warm);
    } else {
        json_kv_string(json, "method", task->http->method);
        json_kv_string(json, "url", task->http->url);
        put_vars(json, "headers", task->http->headers);
        json_key(json, "body");
        if (task->http->body)
            json_add_string_len(json, task->http->body, task->http->body_len);
        else
            json_add_null(json);
    }
}

const char *engine_letter_config(const struct dag *dag, uint32_t index, struct arena *arena)
{
    const struct dag_task *task = &dag->tasks[index];
    struct buf out = BUF_INIT;
    struct json json;
    char timeout[24];
    json_init(&json, &out);
    json_begin_object(&json);
    json_kv_string(&json, "id", task->id);
    json_kv_string(&json, "name", task->name);
    json_kv_string(&json, "type", dag_task_type_name(task->type));
    put_what(&json, task);
    put_vars(&json, "env", task->env);
    json_kv_string(&json, "workdir", task->workdir);
    if (task->timeout_ms)
        str_format_duration(task->timeout_ms, timeout);
    json_kv_string(&json, "timeout", task->timeout_ms ? timeout : "none");
    json_kv_int(&json, "maxAttempts", task->retry.max_attempts);
    json_kv_string(&json, "onLost", dag_on_lost_name(task->on_lost));
    json_end_object(&json);
    const char *text = arena_strndup(arena, out.bytes, out.len);
    buf_fini(&out);
    return text;
}
