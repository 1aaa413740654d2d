/* The life of an api, and its seam to http/. */
#include "api/api.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api_cache.h"
#include "api/api_call.h"
#include "api/api_command.h"
#include "api/api_dispatch.h"
#include "api/api_handlers.h"
#include "api/api_json.h"
#include "api/api_metrics.h"
#include "api/api_source.h"
#include "auth/auth_audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/origin.h"

struct api *api_new(const struct api_config *config, const struct api_backend *backend)
{
    struct api *api = mem_new(struct api);
    api_json_init();
    api->config = *config;
    api->backend = *backend;
    for (size_t i = 0; i < api_table_route_count; i++)
        http_router_add(&api->router, api_table_routes[i].method, api_table_routes[i].path, &api_table_routes[i]);
    api->dags = api_source_new();
    api->cache = api_cache_new();
    api->metrics = api_metrics_new();
    api->events = api_events_new(api);
    return api;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    assert(!api->server);
    api_events_free(api->events);
    api_metrics_free(api->metrics);
    api_cache_free(api->cache);
    api_source_free(api->dags);
    http_router_fini(&api->router);
    mem_free(api);
}

static struct api_call *call_new(struct api *api, struct http_request *request)
{
    struct api_call *call = arena_alloc(&request->arena, sizeof *call);
    memset(call, 0, offsetof(struct api_call, result));
    call->result.run_id = (struct uuid){{0}}; /* for the log */
    call->api = api;
    call->request = request;
    return call;
}

static void on_head(void *context, struct http_request *request)
{
    struct api_call *call = call_new(context, request);
    request->context = call;
    api_dispatch_head(call);
}

static void on_request(void *context, struct http_request *request)
{
    (void)context;
    api_dispatch_run(request->context);
}

static void on_resume(void *context, struct http_request *request)
{
    (void)context;
    api_command_resume(request->context);
}

static void log_request(const struct http_request *request, const struct api_call *call, unsigned status,
                        uint64_t sent_bytes, int64_t took_us)
{
    bool reads = request->method == HTTP_GET || request->method == HTTP_HEAD || request->method == HTTP_OPTIONS;
    enum log_level level = reads ? LOG_DEBUG : LOG_INFO;
    if (!log_enabled(level))
        return;
    char status_text[16], ms[32], bytes[24], peer_text[HTTP_PEER_TEXT_MAX], run[UUID_TEXT_LEN + 1];
    unsigned char peer[HTTP_PEER_LEN];
    http_peer(request, peer, peer_text);
    const char *principal = call && call->principal ? call->principal : "";
    struct uuid run_id = call && !reads ? call->result.run_id : (struct uuid){{0}};
    const char *trace = call ? call->command.trace : NULL;
    char trace_id[ORIGIN_TRACE_ID_LEN + 1] = "";
    if (trace)
        (void)snprintf(trace_id, sizeof trace_id, "%s", trace + 3);
    uuid_format(run_id, run);
    (void)snprintf(status_text, sizeof status_text, "%u", status);
    (void)snprintf(ms, sizeof ms, "%" PRId64 ".%03d", took_us / 1000, (int)(took_us % 1000));
    (void)snprintf(bytes, sizeof bytes, "%" PRIu64, sent_bytes);
    log_with(level,
             log_fields("requestId", request->id, "method", request->method_name, "target", request->raw_target,
                        "status", status ? status_text : NULL, "ms", ms, "bytes", bytes, "principal",
                        *principal ? principal : "anonymous", "peer", peer_text, "runId",
                        uuid_is_zero(run_id) ? NULL : run, "traceId", trace ? trace_id : NULL),
             status ? "request" : "request without an answer: the client left");
}

/* Whatever may change something, and who was turned away. */
static void audit(const struct api *api, const struct http_request *request, const struct api_call *call,
                  unsigned status)
{
    bool reads = request->method == HTTP_GET || request->method == HTTP_HEAD || request->method == HTTP_OPTIONS;
    bool refused = status == 401 || status == 403 || status == 429;
    if (!api->config.audit || (reads && !refused))
        return;
    char peer_text[HTTP_PEER_TEXT_MAX], run[UUID_TEXT_LEN + 1];
    unsigned char peer[HTTP_PEER_LEN];
    http_peer(request, peer, peer_text);
    struct uuid run_id = call ? call->result.run_id : (struct uuid){{0}};
    uuid_format(run_id, run);
    const struct auth_audit_entry entry = {
        .action = call && call->route ? call->route->operation : "request",
        .principal = call && call->principal && *call->principal ? call->principal : "anonymous",
        .role = call && status != 401 && status != 429 ? api_table_role_name(call->role) : NULL,
        .peer = peer_text,
        .method = request->method_name,
        .target = request->raw_target,
        .outcome = refused ? "refused" : status >= 200 && status < 400 ? "done" : "failed",
        .status = (int)status,
        .request_id = request->id,
        .run_id = uuid_is_zero(run_id) ? NULL : run,
    };
    auth_audit_add(api->config.audit, &entry);
}

static void on_done(void *context, struct http_request *request, unsigned status, uint64_t sent_bytes)
{
    struct api *api = context;
    struct api_call *call = request->context;
    int64_t took_us = clock_boot_us() - request->started_us;
    api_metrics_count(api->metrics, call ? call->route : NULL, status, took_us);
    log_request(request, call, status, sent_bytes, took_us);
    audit(api, request, call, status);
    if (call)
        api_dispatch_fini(call);
}

int api_start(struct api *api, struct error *err)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};
    enum { LOOPBACK_COUNT = sizeof loopback / sizeof *loopback };
    const struct api_config *config = &api->config;
    const char **hosts = mem_new_array(const char *, LOOPBACK_COUNT + config->allowed_host_count);
    struct http_config http = {
        .address = config->listen_host,
        .port = config->listen_port,
        .threads = config->threads,
        .connections_max = config->connections_max,
        .request_ms = config->request_ms,
        .idle_ms = config->idle_ms,
        .hosts = hosts,
        .host_count = LOOPBACK_COUNT + config->allowed_host_count,
        .any_literal = config->any_literal,
        .tls_cert = config->tls_cert,
        .tls_key = config->tls_key,
        .context = api,
        .on_head = on_head,
        .on_request = on_request,
        .on_resume = on_resume,
        .on_done = on_done,
    };
    memcpy(hosts, loopback, sizeof loopback);
    for (size_t i = 0; i < config->allowed_host_count; i++) {
        hosts[LOOPBACK_COUNT + i] = config->allowed_hosts[i];
        http.any_host = http.any_host || strcmp(config->allowed_hosts[i], "*") == 0;
    }
    assert(!api->server);
    api->is_tls = config->tls_cert;
    int rc = http_start(&http, &api->server, err);
    api->config.tls_cert = api->config.tls_key = NULL;
    mem_free(hosts);
    return rc;
}

uint16_t api_port(const struct api *api)
{
    return api->server ? http_port(api->server) : 0;
}

int api_set_tls(struct api *api, const char *cert, const char *key, struct error *err)
{
    return http_set_tls(api->server, cert, key, err);
}

void api_stop(struct api *api)
{
    if (!api->server)
        return;
    api_events_stop(api->events);
    http_stop(api->server);
    api->server = NULL;
}

void api_publish(struct api *api, const struct batch *batch, int64_t now_ms)
{
    api_metrics_publish(api->metrics, batch, api->backend.live);
    api_events_publish(api, batch, now_ms);
}

void api_publish_worker(struct api *api, const struct api_worker *worker)
{
    api_events_publish_worker(api, worker);
}

void api_publish_left(struct api *api, struct uuid run_id)
{
    api_events_publish_left(api, run_id);
}

int api_get(struct api *api, const char *target, struct buf *ret_body, int *ret_status, struct error *err)
{
    struct http_request request = {.method = HTTP_GET, .method_name = "GET", .raw_target = target};
    int rc = http_target_parse(&request.arena, target, strlen(target), &request.target, err);
    if (rc)
        goto out;
    struct api_call *call = call_new(api, &request);
    call->offline = true;
    api_dispatch_head(call);
    if (!call->offline_status)
        api_dispatch_run(call);
    assert(call->offline_status);
    buf_add(ret_body, call->offline_body.bytes, call->offline_body.len);
    *ret_status = call->offline_status;
    buf_fini(&call->offline_body);
    api_dispatch_fini(call);
out:
    arena_fini(&request.arena);
    return rc;
}
