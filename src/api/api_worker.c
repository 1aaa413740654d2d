/* Workers and nodes. */
#include "api/api_command.h"
#include "api/api_handlers.h"
#include "api/api_view.h"
#include "base/mem.h"

static size_t get_workers(const struct api *api, struct api_worker **ret_workers)
{
    *ret_workers = NULL;
    return api->backend.get_workers ? api->backend.get_workers(api->backend.context, ret_workers) : 0;
}

void api_list_workers(struct api_call *call)
{
    struct api_worker *workers;
    size_t count = get_workers(call->api, &workers);
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++)
        api_view_worker(&json, call->api, &workers[i]);
    json_end_array(&json);
    api_reply_json(call, 200, &body);
    mem_free(workers);
}

static void set_draining(struct api_call *call, bool draining)
{
    call->command.kind = COMMAND_WORKER_DRAIN;
    call->command.worker = call->id;
    call->command.draining = draining;
    api_command_post(call, api_command_reply_empty);
}

void api_drain_worker(struct api_call *call)
{
    set_draining(call, true);
}

void api_resume_worker(struct api_call *call)
{
    set_draining(call, false);
}

void api_get_cluster(struct api_call *call)
{
    const struct api_config *config = &call->api->config;
    struct api_worker *workers;
    size_t count = get_workers(call->api, &workers);
    int64_t slots = 0, running = 0;
    for (size_t i = 0; i < count; i++) {
        slots += workers[i].slots;
        running += workers[i].running;
    }
    mem_free(workers);
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_uuid(&json, "leaderId", config->node_id);
    json_kv_time(&json, "leaderSince", config->started_ms);
    json_key(&json, "nodes");
    json_begin_array(&json);
    json_begin_object(&json);
    json_kv_uuid(&json, "id", config->node_id);
    json_kv_string(&json, "host", config->node_host);
    json_kv_time(&json, "startedAt", config->started_ms);
    json_kv_int(&json, "workers", (int64_t)count);
    json_kv_int(&json, "slots", slots);
    json_kv_int(&json, "runningTasks", running);
    json_end_object(&json);
    json_end_array(&json);
    json_kv_int(&json, "workers", (int64_t)count);
    json_kv_int(&json, "activeRuns", call->api->backend.live ? live_count(call->api->backend.live) : 0);
    json_end_object(&json);
    api_reply_json(call, 200, &body);
}
