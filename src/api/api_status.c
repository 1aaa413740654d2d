/* RunStatus: a run and its tasks, written straight from the snapshot or the store's pages into one buffer. A run of
 * very many tasks is sent as it is written, so that it never lies in memory whole. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api_cache.h"
#include "api/api_call.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "api/api_view.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

enum { WHOLE_TASKS_MAX = 20000, PIECE_BYTES = 64 * 1024, TASK_BYTES = 512 };

struct status {
    struct arena arena;
    struct api_run run;
    struct json json;
    struct buf out;
    size_t sent;            /* of out */
    uint32_t next;          /* task */
    uint32_t left;          /* tasks still wanted */
    bool by_state;
    enum task_state wanted; /* when by_state */
    bool begun;
    bool done;
};

static void status_free(struct status *status)
{
    api_run_fini(&status->run);
    arena_fini(&status->arena);
    buf_fini(&status->out);
    mem_free(status);
}

/* Writes on until `bytes` more are there or all is written. */
static int write_on(struct status *status, size_t bytes, struct error *err)
{
    const struct api_run *run = &status->run;
    struct json *json = &status->json;
    uint32_t count = run->run.task_count;
    if (!status->begun) {
        status->begun = true;
        api_view_status_begin(json, &run->run, run->dag->name, run->counts);
        json_key(json, "tasks");
        json_begin_array(json);
    }
    for (size_t start = status->out.len; status->left && status->next < count; status->next++) {
        if (status->out.len - start >= bytes)
            return 0;
        struct live_task task;
        int rc = api_run_task(&status->run, status->next, &task, err);
        if (rc)
            return rc;
        if (status->by_state && task.state != status->wanted)
            continue;
        api_view_task(json, run->run.id, run->run.source, &run->dag->tasks[status->next], status->next, &task,
                      api_run_ready(run, status->next, &task));
        status->left--;
    }
    json_end_array(json);
    json_end_object(json);
    status->done = true;
    return 0;
}

static ssize_t stream_read(void *context, char *out, size_t max)
{
    struct status *status = context;
    if (status->sent == status->out.len) {
        struct error err;
        if (status->done)
            return -1;
        buf_clear(&status->out);
        status->sent = 0;
        if (write_on(status, PIECE_BYTES, &err)) {
            log_error("a run's tasks could not be read to their end, the answer is cut: %s", err.text);
            return -1;
        }
    }
    size_t len = status->out.len - status->sent;
    len = len < max ? len : max;
    memcpy(out, status->out.bytes + status->sent, len);
    status->sent += len;
    return (ssize_t)len;
}

static void stream_close(void *context)
{
    status_free(context);
}

static const struct http_stream_ops stream_ops = {.read = stream_read, .close = stream_close};

/* What is asked of an ended run, which never changes; pawl's own version may change how it is said. NULL: the run has
 * not ended. */
static const char *name_answer(struct api_call *call, const struct record_run *run)
{
    const struct api_value *query = call->query;
    char id[UUID_TEXT_LEN + 1];
    if (!state_run_is_terminal(run->state))
        return NULL;
    uuid_format(run->id, id);
    return arena_printf(api_arena(call), "%s %s %" PRId64 " %d %" PRId64 " %s", PAWL_VERSION, id,
                        query[API_QUERY_TASK_LIMIT].number, query[API_QUERY_TASK_STATE].given,
                        query[API_QUERY_TASK_STATE].number,
                        query[API_QUERY_TASK_AFTER].given ? query[API_QUERY_TASK_AFTER].text : "");
}

/* Answers with what the client has, or with what was sent before. */
static bool has_answered(struct api_call *call, const char *name)
{
    char tag[20];
    struct buf body = BUF_INIT;
    (void)snprintf(tag, sizeof tag, "%016" PRIx64, map_hash_stable(name, strlen(name)));
    if (api_reply_etag(call, tag))
        return true;
    if (!api_cache_get(call->api->cache, name, &body))
        return false;
    api_reply_json(call, 200, &body);
    return true;
}

static int prepare(struct api_call *call, struct status *status, struct error *err)
{
    const struct api_value *limit = &call->query[API_QUERY_TASK_LIMIT];
    const struct api_value *after = &call->query[API_QUERY_TASK_AFTER];
    const struct api_value *state = &call->query[API_QUERY_TASK_STATE];
    int rc = api_run_load(call->api, &status->run, err);
    if (rc)
        return rc;
    rc = api_run_load_times(&status->run, err);
    if (rc)
        return rc;
    json_init(&status->json, &status->out);
    status->left = limit->given ? (uint32_t)limit->number : UINT32_MAX;
    status->by_state = state->given;
    status->wanted = state->given ? (enum task_state)state->number : TASK_PENDING;
    if (after->given) {
        int64_t at = dag_find_task(status->run.dag, after->text, after->len);
        if (at < 0)
            return error_set(err, ERROR_BAD_REQUEST, "taskAfter must be a task of the run, not '%.100s'", after->text);
        status->next = (uint32_t)at + 1;
    }
    return 0;
}

static void send_whole(struct api_call *call, struct status *status, uint32_t tasks, const char *name)
{
    struct error err;
    buf_reserve(&status->out, (size_t)tasks * TASK_BYTES + 1024);
    if (write_on(status, SIZE_MAX, &err)) {
        api_fail_error(call, &err);
    } else {
        if (name)
            api_cache_put(call->api->cache, name, &status->out);
        api_reply_json(call, 200, &status->out);
    }
    status_free(status);
}

void api_get_run(struct api_call *call)
{
    struct error err;
    struct status *status = mem_new(struct status);
    int rc = api_run_find(call->api, call->id, &status->arena, &status->run, &err);
    const char *name = rc ? NULL : name_answer(call, &status->run.run);
    if (name && has_answered(call, name)) {
        status_free(status);
        return;
    }
    if (!rc)
        rc = prepare(call, status, &err);
    if (rc) {
        api_fail_error(call, &err);
        status_free(status);
        return;
    }
    uint32_t tasks = status->run.run.task_count - status->next;
    tasks = tasks < status->left ? tasks : status->left;
    if (tasks > WHOLE_TASKS_MAX && !call->offline)
        http_stream_unref(http_reply_stream(call->request, 200, "application/json", &stream_ops, status));
    else
        send_whole(call, status, tasks, name);
}
