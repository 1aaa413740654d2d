/* DAGs and their versions. */
#include "api/api_dag.h"

#include <stdio.h>
#include <string.h>

#include "api/api_command.h"
#include "api/api_handlers.h"
#include "api/api_list.h"
#include "api/api_source.h"
#include "api/api_stats.h"
#include "api/api_view.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "dag/dag.h"

enum { MEMORY_PER_BYTE = 12 }; /* of a DAG file that is read, kept and recorded */

/* 400 with what is wrong in the file. */
static void fail_problems(struct api_call *call, int code, const struct dag_problems *problems)
{
    struct buf summary = BUF_INIT, body = BUF_INIT;
    struct json json;
    dag_problems_summary(problems, &summary);
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "code", error_name(code));
    json_kv_string(&json, "message", buf_text(&summary));
    json_kv_null(&json, "details");
    json_key(&json, "errors");
    api_view_problems(&json, problems, DAG_SEVERITY_ERROR);
    json_end_object(&json);
    api_reply_json(call, (unsigned)error_http_status(code), &body);
    buf_fini(&summary);
}

static int read_yaml(const struct api_call *call, const char *name, struct dag_problems *problems,
                     struct dag **ret_dag)
{
    const struct api_value *yaml = &call->body[API_FIELD_YAML];
    const struct dag_read_options options = {
        .name = name,
        .name_may_lack = !name,
        .tasks_max = call->is_local ? LIMIT_DAG_LOCAL_TASKS_MAX : LIMIT_DAG_TASKS_MAX,
        .bytes_max = call->is_local ? (size_t)LIMIT_DAG_LOCAL_BYTES_MAX : (size_t)LIMIT_DAG_BYTES_MAX,
        .may_run_as = call->api->backend.may_run_as,
        .context = call->api->backend.context,
    };
    /* what reading takes aborts when it cannot be had: a large file is refused before */
    void *room = mem_try_alloc(yaml->len * MEMORY_PER_BYTE);
    mem_free(room);
    if (!room)
        return ERROR_OUT_OF_MEMORY;
    return dag_read(yaml->text, yaml->len, &options, problems, ret_dag);
}

bool api_dag_take_yaml(struct api_call *call, const char *name)
{
    struct dag_problems problems = {0};
    int rc = read_yaml(call, name, &problems, &call->dag);
    if (rc == ERROR_OUT_OF_MEMORY)
        api_fail(call, rc, "There is not enough memory to read the file");
    else if (rc)
        fail_problems(call, rc, &problems);
    dag_problems_fini(&problems);
    return rc == 0;
}

void api_validate_dag(struct api_call *call)
{
    struct dag_problems problems = {0};
    struct buf body = BUF_INIT;
    struct json json;
    int rc = read_yaml(call, call->body[API_FIELD_NAME].text, &problems, &call->dag);
    if (rc == ERROR_OUT_OF_MEMORY) {
        api_fail(call, rc, "There is not enough memory to read the file");
        dag_problems_fini(&problems);
        return;
    }
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_bool(&json, "valid", rc == 0);
    json_key(&json, "errors");
    api_view_problems(&json, &problems, DAG_SEVERITY_ERROR);
    json_key(&json, "warnings");
    api_view_problems(&json, &problems, DAG_SEVERITY_WARNING);
    json_end_object(&json);
    api_reply_json(call, 200, &body);
    dag_problems_fini(&problems);
}

bool api_dag_find(struct api_call *call, bool deleted, struct store_dag *ret_dag)
{
    struct error err;
    int rc = store_get_dag(call->api->backend.store, call->id, api_arena(call), ret_dag, &err);
    if (!rc && ret_dag->deleted_ms && !deleted)
        rc = error_set(&err, ERROR_DAG_NOT_FOUND, "The DAG was deleted");
    if (rc)
        api_fail_error(call, &err);
    return rc == 0;
}

/* The version makes the tag, since it is what If-Match is about; a paused DAG looks different. */
static void reply_dag(struct api_call *call, unsigned status, const struct store_dag *dag)
{
    char tag[40];
    struct buf body = BUF_INIT;
    struct json json;
    (void)snprintf(tag, sizeof tag, "%u%s", dag->version, dag->paused ? "-paused" : "");
    if (api_reply_etag(call, tag))
        return;
    json_init(&json, &body);
    api_view_dag(&json, dag);
    api_reply_json(call, status, &body);
}

/* DAGs with their statistics when they are asked for. */
static int view_dags(struct api_call *call, const struct store_dag *dags, size_t count, struct json *json,
                     struct error *err)
{
    uint32_t last_runs = (uint32_t)call->query[API_QUERY_LAST_RUNS].number;
    struct api_stats stats;
    int rc = api_stats_init(&stats, call, last_runs, err);
    for (size_t i = 0; i < count && !rc; i++) {
        api_view_dag_begin(json, &dags[i]);
        if (last_runs) {
            json_key(json, "stats");
            rc = api_stats_add(&stats, &dags[i], json, err);
        }
        json_end_object(json);
    }
    api_stats_fini(&stats);
    return rc;
}

void api_get_dag(struct api_call *call)
{
    struct store_dag dag;
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    if (!api_dag_find(call, false, &dag))
        return;
    if (!call->query[API_QUERY_LAST_RUNS].number) {
        reply_dag(call, 200, &dag);
        return;
    }
    json_init(&json, &body);
    if (view_dags(call, &dag, 1, &json, &err))
        api_fail_error(call, &err);
    else
        api_reply_json(call, 200, &body);
    buf_fini(&body);
}

static int list_dags(struct api_call *call, const struct store_page *page, struct uuid id, struct json *json,
                     struct api_listed *ret_listed, struct error *err)
{
    const struct store_dag_query query = {.page = *page, .id = id, .name = call->query[API_QUERY_NAME].text,
                                          .name_part = call->query[API_QUERY_NAME_CONTAINS].text};
    struct store_dags dags;
    int rc = store_list_dags(call->api->backend.store, &query, api_arena(call), &dags, err);
    if (rc)
        return rc;
    ret_listed->count = dags.count;
    if (dags.count == page->limit)
        ret_listed->next = dags.items[dags.count - 1].id;
    return view_dags(call, dags.items, dags.count, json, err);
}

void api_list_dags(struct api_call *call)
{
    api_list_reply(call, STORE_ID_DAG, list_dags);
}

static void reply_made(struct api_call *call, unsigned status)
{
    struct store_dag dag;
    call->id = call->result.dag_id;
    api_source_put(call->api, call->id, call->result.dag_version, call->dag);
    if (api_dag_find(call, true, &dag))
        reply_dag(call, status, &dag);
}

static void reply_created(struct api_call *call)
{
    char id[UUID_TEXT_LEN + 1];
    uuid_format(call->result.dag_id, id);
    api_reply_location(call, arena_printf(api_arena(call), "/api/v1/dags/%s", id));
    reply_made(call, 201);
}

static void reply_updated(struct api_call *call)
{
    reply_made(call, 200);
}

static void post_source(struct api_call *call, enum command_kind kind, api_resume_fn *resume)
{
    call->command.kind = kind;
    call->command.dag = dag_ref(call->dag);
    call->command.source = call->body[API_FIELD_YAML].text;
    call->command.source_len = call->body[API_FIELD_YAML].len;
    api_command_post(call, resume);
}

void api_create_dag(struct api_call *call)
{
    if (!api_dag_take_yaml(call, call->body[API_FIELD_NAME].text))
        return;
    call->command.name = call->body[API_FIELD_NAME].text;
    post_source(call, COMMAND_DAG_CREATE, reply_created);
}

/* One entry of If-Match: the version it names, 0 when it is no tag of ours. Weak tags never match (RFC 9110,
 * section 13.1.1). */
static uint32_t tag_version(const char *tag, size_t len)
{
    uint64_t version = 0;
    size_t i = 1;
    if (len < 3 || tag[0] != '"' || tag[len - 1] != '"')
        return 0;
    for (; i < len - 1 && tag[i] >= '0' && tag[i] <= '9' && version <= UINT32_MAX; i++)
        version = version * 10 + (uint64_t)(tag[i] - '0');
    bool is_whole = i == len - 1 || (len - 1 - i == strlen("-paused") && memcmp(tag + i, "-paused", len - 1 - i) == 0);
    return is_whole && version <= UINT32_MAX ? (uint32_t)version : 0;
}

/* The version the store has to find, 0: any; false: answered. */
static bool check_if_match(struct api_call *call, uint32_t version)
{
    const char *at = call->if_match;
    if (!at || strcmp(at, "*") == 0)
        return true;
    while (*at) {
        at += strspn(at, " \t,");
        size_t len = strcspn(at, " \t,");
        if (len && tag_version(at, len) == version) {
            call->command.if_version = version;
            return true;
        }
        at += len;
    }
    api_fail(call, ERROR_PRECONDITION_FAILED, "The DAG is at version %u now, which If-Match does not name", version);
    return false;
}

static bool is_same_source(struct api_call *call, const struct store_dag *dag)
{
    const struct api_value *yaml = &call->body[API_FIELD_YAML];
    struct buf source = BUF_INIT;
    int rc = store_get_source(call->api->backend.store, dag->id, dag->version, &source, NULL);
    bool same = rc == 0 && source.len == yaml->len;
    same = same && (yaml->len == 0 || memcmp(source.bytes, yaml->text, yaml->len) == 0);
    buf_fini(&source);
    return same;
}

void api_update_dag(struct api_call *call)
{
    struct store_dag dag;
    if (!api_dag_find(call, false, &dag) || !check_if_match(call, dag.version))
        return;
    if (is_same_source(call, &dag)) {
        reply_dag(call, 200, &dag);
        return;
    }
    if (!api_dag_take_yaml(call, dag.name))
        return;
    call->command.dag_id = call->id;
    post_source(call, COMMAND_DAG_UPDATE, reply_updated);
}

void api_delete_dag(struct api_call *call)
{
    call->command.kind = COMMAND_DAG_DELETE;
    call->command.dag_id = call->id;
    api_command_post(call, api_command_reply_empty);
}

static void set_paused(struct api_call *call, bool paused)
{
    call->command.kind = COMMAND_DAG_PAUSE;
    call->command.dag_id = call->id;
    call->command.paused = paused;
    api_command_post(call, api_command_reply_empty);
}

void api_pause_dag(struct api_call *call)
{
    set_paused(call, true);
}

void api_resume_dag(struct api_call *call)
{
    set_paused(call, false);
}

void api_get_dag_source(struct api_call *call)
{
    struct store_dag dag;
    struct buf source = BUF_INIT;
    struct error err;
    char tag[24];
    if (!api_dag_find(call, true, &dag))
        return;
    const struct api_value *wanted = &call->query[API_QUERY_VERSION];
    uint32_t version = wanted->given ? (uint32_t)wanted->number : dag.version;
    if (version > dag.version) {
        api_fail(call, ERROR_DAG_NOT_FOUND, "The DAG has no version %u; the latest is %u", version, dag.version);
        return;
    }
    (void)snprintf(tag, sizeof tag, "%u", version);
    if (api_reply_etag(call, tag))
        return;
    if (store_get_source(call->api->backend.store, call->id, version, &source, &err))
        api_fail_error(call, &err);
    else
        api_reply(call, 200, "application/yaml", &source);
    buf_fini(&source);
}

void api_list_dag_versions(struct api_call *call)
{
    struct store_dag dag;
    struct store_versions versions;
    struct error err;
    const struct store_page page = api_list_page(call);
    if (!api_dag_find(call, true, &dag))
        return;
    if (store_list_versions(call->api->backend.store, call->id, &page, api_arena(call), &versions, &err)) {
        api_fail_error(call, &err);
        return;
    }
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_array(&json);
    for (size_t i = 0; i < versions.count; i++)
        api_view_version(&json, &versions.items[i]);
    json_end_array(&json);
    api_reply_json(call, 200, &body);
}
