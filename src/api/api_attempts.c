/* Attempts: of one task, and those that run. */
#include "api/api_call.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "api/api_view.h"
#include "base/mem.h"

/* What only the live view knows of an attempt that runs: its worker and when it started. */
static void add_live(const struct api_run *run, uint32_t task, struct record_attempt *attempt)
{
    struct live_task state;
    if (!run->live)
        return;
    live_run_task(run->live, task, &state);
    if (state.attempt != attempt->number || attempt->state != ATTEMPT_RUNNING)
        return;
    attempt->worker = state.worker;
    attempt->started_ms = state.started_ms;
}

static int list_attempts(struct api_call *call, struct api_run *run, struct json *json, struct error *err)
{
    uint32_t task = 0;
    struct store_attempts attempts = {0};
    int rc = api_run_find(call->api, call->id, api_arena(call), run, err);
    if (!rc)
        rc = api_run_load(call->api, run, err);
    if (!rc)
        rc = api_run_find_task(run, call->task_id.text, call->task_id.len, &task, err);
    const struct store_attempt_query query = {.run_id = call->id, .by_task = true, .task = task};
    if (!rc)
        rc = store_list_attempts(call->api->backend.store, &query, api_arena(call), &attempts, err);
    json_begin_array(json);
    for (size_t i = 0; !rc && i < attempts.count; i++) {
        add_live(run, task, &attempts.items[i]);
        api_view_attempt(json, &attempts.items[i]);
    }
    json_end_array(json);
    return rc;
}

void api_list_task_attempts(struct api_call *call)
{
    struct api_run run = {0};
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    json_init(&json, &body);
    if (list_attempts(call, &run, &json, &err))
        api_fail_error(call, &err);
    else
        api_reply_json(call, 200, &body);
    api_run_fini(&run);
    buf_fini(&body);
}

static void view_running(struct json *json, const struct live_run *run, uint32_t task)
{
    const struct record_run *record = live_run_record(run);
    const struct dag_task *definition = &live_run_dag(run)->tasks[task];
    struct live_task state;
    live_run_task(run, task, &state);
    json_begin_object(json);
    json_kv_uuid(json, "runId", record->id);
    json_kv_uuid(json, "dagId", record->dag_id);
    json_kv_string(json, "dagName", live_run_dag(run)->name);
    json_kv_string(json, "taskId", definition->id);
    json_kv_string(json, "name", definition->name);
    json_kv_int(json, "attempt", state.attempt);
    json_kv_uuid(json, "workerId", state.worker);
    json_kv_time(json, "startedAt", state.started_ms);
    json_end_object(json);
}

void api_list_running_tasks(struct api_call *call)
{
    struct live *live = call->api->backend.live;
    size_t max = (size_t)call->query[API_QUERY_LIMIT].number, left = max;
    struct live_run **runs = mem_zalloc((max + 1) * sizeof(struct live_run *));
    size_t count = live ? live_list_running(live, max, runs) : 0;
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++) {
        for (uint32_t task = 0; left && live_run_find(runs[i], TASK_RUNNING, &task); task++, left--)
            view_running(&json, runs[i], task);
        live_unref(runs[i]);
    }
    json_end_array(&json);
    api_reply_json(call, 200, &body);
    mem_free(runs);
}
