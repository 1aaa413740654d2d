/* Workers and nodes. */
#include <string.h>

#include "api/api_command.h"
#include "api/api_handlers.h"
#include "api/api_view.h"
#include "base/mem.h"
#include "store/cluster.h"

static size_t get_workers(const struct api *api, struct api_worker **ret_workers)
{
    *ret_workers = NULL;
    return api->backend.get_workers ? api->backend.get_workers(api->backend.context, ret_workers) : 0;
}

/* Nodes that share the store, this one too; empty for a store of one node. */
static int get_nodes(struct api_call *call, struct store_cluster_nodes *ret_nodes, struct error *err)
{
    struct store *store = call->api->backend.store;
    *ret_nodes = (struct store_cluster_nodes){0};
    if (!store || !store_is_shared(store))
        return 0;
    return store_cluster_list(store, api_arena(call), ret_nodes, err);
}

/* Those of other nodes as they told the store with their last renewal. */
static void add_others(struct json *json, const struct api_call *call, const struct store_cluster_nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        const char *list = nodes->items[i].workers;
        size_t len = strlen(list);
        if (len > 2 && !uuid_equal(nodes->items[i].id, call->api->config.node_id))
            json_add_raw(json, list + 1, len - 2);
    }
}

void api_list_workers(struct api_call *call)
{
    struct api_worker *workers;
    struct store_cluster_nodes nodes;
    struct error err;
    if (get_nodes(call, &nodes, &err) != 0) {
        api_fail_error(call, &err);
        return;
    }
    size_t count = get_workers(call->api, &workers);
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++)
        api_view_worker(&json, call->api, &workers[i]);
    add_others(&json, call, &nodes);
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

static void put_node(struct json *json, const struct store_cluster_node *node, int64_t workers)
{
    json_begin_object(json);
    json_kv_uuid(json, "id", node->id);
    json_kv_string(json, "host", node->host);
    json_kv_time(json, "startedAt", node->joined_ms);
    json_kv_int(json, "workers", workers);
    json_kv_int(json, "slots", node->slots);
    json_kv_int(json, "runningTasks", node->running);
    json_end_object(json);
}

/* This node, from its own view. */
static struct store_cluster_node view_own(const struct api_call *call, int64_t *ret_workers)
{
    const struct api_config *config = &call->api->config;
    struct store_cluster_node node = {
        .id = config->node_id,
        .host = config->node_host,
        .joined_ms = config->started_ms,
        .leads = true,
        .leads_since_ms = config->started_ms,
        .active_runs = call->api->backend.live ? live_count(call->api->backend.live) : 0,
    };
    struct api_worker *workers;
    size_t count = get_workers(call->api, &workers);
    for (size_t i = 0; i < count; i++) {
        node.slots += workers[i].slots;
        node.running += workers[i].running;
    }
    mem_free(workers);
    *ret_workers = (int64_t)count;
    return node;
}

static int64_t count_workers(const struct store_cluster_node *node)
{
    int64_t count = 0;
    for (const char *at = node->workers; (at = strstr(at, "\"id\":")); at++)
        count++;
    return count;
}

static void put_cluster(struct json *json, const struct api_call *call, const struct store_cluster_nodes *others)
{
    int64_t workers, all_workers = 0;
    uint64_t runs = 0;
    const struct store_cluster_node own = view_own(call, &workers), *leader = others->count ? NULL : &own;
    for (size_t i = 0; i < others->count; i++)
        if (others->items[i].leads)
            leader = &others->items[i];
    json_begin_object(json);
    json_kv_uuid(json, "leaderId", leader ? leader->id : (struct uuid){{0}});
    json_kv_time(json, "leaderSince", leader ? leader->leads_since_ms : 0);
    json_key(json, "nodes");
    json_begin_array(json);
    for (size_t i = 0; i < (others->count ? others->count : 1); i++) {
        bool is_own = !others->count || uuid_equal(others->items[i].id, own.id);
        const struct store_cluster_node *node = is_own ? &own : &others->items[i];
        int64_t count = is_own ? workers : count_workers(node);
        put_node(json, node, count);
        all_workers += count;
        runs += node->active_runs;
    }
    json_end_array(json);
    json_kv_int(json, "workers", all_workers);
    json_kv_int(json, "activeRuns", (int64_t)runs);
    json_end_object(json);
}

void api_get_cluster(struct api_call *call)
{
    struct store_cluster_nodes nodes;
    struct error err;
    if (get_nodes(call, &nodes, &err) != 0) {
        api_fail_error(call, &err);
        return;
    }
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    put_cluster(&json, call, &nodes);
    api_reply_json(call, 200, &body);
}
