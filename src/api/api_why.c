/* What a task waits for, or how it came to its end. */
#include <stdio.h>
#include <string.h>

#include "api/api_call.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "base/mem.h"

enum { DEPENDENCIES_MAX = 100, WORDS_MAX = 700 };

enum wait { WAIT_DEPENDENCIES, WAIT_SLOT, WAIT_RETRY, WAIT_RUNNING, WAIT_ENDED };

struct why {
    struct api_run run;
    uint32_t task;
    struct live_task state;
    enum wait wait;
    char words[WORDS_MAX];
    int64_t since_ms;
    int64_t until_ms;               /* 0: not known */
    uint32_t dependencies[DEPENDENCIES_MAX];
    uint32_t dependency_count;      /* may be more than are listed */
    bool has_status;
    struct api_status status;
};

static const struct dag_task *definition(const struct why *why)
{
    return &why->run.dag->tasks[why->task];
}

static void add_dependency(struct why *why, uint32_t task)
{
    if (why->dependency_count < DEPENDENCIES_MAX)
        why->dependencies[why->dependency_count] = task;
    why->dependency_count++;
}

static void explain_dependencies(struct why *why)
{
    const struct dag_task *task = definition(why);
    why->wait = WAIT_DEPENDENCIES;
    why->since_ms = why->run.run.created_ms;
    for (uint32_t i = 0; i < task->dependency_count; i++)
        if (!state_task_is_terminal(api_run_state(&why->run, task->dependencies[i])))
            add_dependency(why, task->dependencies[i]);
    if (why->dependency_count == 0) {
        (void)snprintf(why->words, WORDS_MAX, "It is about to be queued");
        return;
    }
    uint32_t first = why->dependencies[0];
    (void)snprintf(why->words, WORDS_MAX,
                   "It waits for %u of its %u dependencies, first of all for '%.250s', which is %s",
                   why->dependency_count, task->dependency_count, why->run.dag->tasks[first].id,
                   state_task_name(api_run_state(&why->run, first)));
}

static void explain_retry(struct why *why)
{
    why->wait = WAIT_RETRY;
    why->since_ms = why->state.completed_ms;
    why->until_ms = why->state.next_attempt_ms;
    (void)snprintf(why->words, WORDS_MAX, "It waits to be tried again after attempt %u: %.500s", why->state.attempt,
                   why->state.error ? why->state.error : "it did not succeed");
}

static void explain_slot(struct why *why, const struct api *api)
{
    struct api_worker *workers = NULL;
    size_t count = api->backend.get_workers ? api->backend.get_workers(api->backend.context, &workers) : 0;
    uint32_t slots = 0, running = 0, usable = 0;
    for (size_t i = 0; i < count; i++) {
        running += workers[i].running;
        if (workers[i].state == WORKER_DRAINING || workers[i].state == WORKER_STOPPED)
            continue;
        usable++;
        slots += workers[i].slots;
    }
    mem_free(workers);
    why->wait = WAIT_SLOT;
    why->since_ms = why->state.since_ms;
    if (!why->has_status)
        (void)snprintf(why->words, WORDS_MAX, "It is ready and waits for a daemon to run it");
    else if (why->status.draining)
        (void)snprintf(why->words, WORDS_MAX, "It is ready; the daemon is stopping and starts nothing new");
    else if (!usable)
        (void)snprintf(why->words, WORDS_MAX, "It is ready and waits for a worker: %s",
                       count ? "all of them are draining" : "there is none");
    else
        (void)snprintf(why->words, WORDS_MAX,
                       "It is ready and waits for a slot: %u of %u are taken and %llu task%s ready", running, slots,
                       (unsigned long long)why->status.ready_tasks, why->status.ready_tasks == 1 ? " is" : "s are");
}

static void explain_running(struct why *why)
{
    int64_t timeout_ms = definition(why)->timeout_ms;
    why->wait = WAIT_RUNNING;
    why->since_ms = why->state.started_ms ? why->state.started_ms : why->state.since_ms;
    if (timeout_ms && why->state.started_ms)
        why->until_ms = why->state.started_ms + timeout_ms;
    (void)snprintf(why->words, WORDS_MAX, "%s",
                   why->run.run.cancel_ms      ? "It is being canceled"
                   : !why->state.started_ms    ? "It is being started"
                   : timeout_ms                ? "It runs; its timeout ends it at the latest"
                                               : "It runs and has no timeout");
}

/* The failed task behind a skip: any one, found upstream through what was skipped. UINT32_MAX: on purpose. */
static uint32_t find_failure(const struct why *why, struct arena *arena)
{
    const struct dag *dag = why->run.dag;
    bool *seen = arena_zalloc(arena, dag->task_count);
    uint32_t *stack = arena_alloc(arena, dag->task_count * sizeof *stack);
    uint32_t depth = 0;
    stack[depth++] = why->task;
    while (depth) {
        const struct dag_task *task = &dag->tasks[stack[--depth]];
        for (uint32_t i = 0; i < task->dependency_count; i++) {
            uint32_t dependency = task->dependencies[i];
            enum task_state state = api_run_state(&why->run, dependency);
            if (state == TASK_FAILED)
                return dependency;
            if (state == TASK_SKIPPED && !seen[dependency]) {
                seen[dependency] = true;
                stack[depth++] = dependency;
            }
        }
    }
    return UINT32_MAX;
}

static void explain_end(struct why *why, struct arena *arena)
{
    why->wait = WAIT_ENDED;
    why->since_ms = why->state.completed_ms ? why->state.completed_ms : why->state.since_ms;
    if (why->state.state == TASK_SUCCEEDED) {
        (void)snprintf(why->words, WORDS_MAX, "%s", why->state.kept ? "It succeeded in the run this one was made from"
                                                                   : "It succeeded");
    } else if (why->state.state == TASK_FAILED) {
        (void)snprintf(why->words, WORDS_MAX, "It failed in attempt %u: %.500s", why->state.attempt,
                       why->state.error ? why->state.error : "no reason is known");
    } else if (why->state.state == TASK_CANCELED) {
        (void)snprintf(why->words, WORDS_MAX, "%s",
                       why->run.run.cancel_ms ? "The run was canceled" : "The run's timeout passed before it ended");
    } else {
        uint32_t failure = find_failure(why, arena);
        if (failure == UINT32_MAX) {
            (void)snprintf(why->words, WORDS_MAX, "It was skipped on purpose");
            return;
        }
        add_dependency(why, failure);
        (void)snprintf(why->words, WORDS_MAX, "It was skipped because '%.250s', which it needs, failed",
                       why->run.dag->tasks[failure].id);
    }
}

static void explain(struct why *why, const struct api *api, struct arena *arena)
{
    why->has_status = api->backend.get_status != NULL;
    if (why->has_status)
        api->backend.get_status(api->backend.context, &why->status);
    if (state_task_is_terminal(why->state.state))
        explain_end(why, arena);
    else if (why->state.state == TASK_RUNNING)
        explain_running(why);
    else if (why->state.state == TASK_QUEUED)
        explain_slot(why, api);
    else if (why->state.next_attempt_ms)
        explain_retry(why);
    else
        explain_dependencies(why);
}

static void write_why(const struct why *why, struct buf *out)
{
    struct json json;
    uint32_t listed = why->dependency_count < DEPENDENCIES_MAX ? why->dependency_count : DEPENDENCIES_MAX;
    json_init(&json, out);
    json_begin_object(&json);
    json_kv_uuid(&json, "runId", why->run.run.id);
    json_kv_string(&json, "taskId", definition(why)->id);
    json_kv_string(&json, "state", state_task_name(why->state.state));
    json_kv_string(&json, "waitsFor", api_names_waits(why->wait));
    json_kv_string(&json, "message", why->words);
    json_kv_time(&json, "since", why->since_ms);
    json_kv_time(&json, "until", why->until_ms);
    json_key(&json, "dependencies");
    json_begin_array(&json);
    for (uint32_t i = 0; i < listed; i++) {
        json_begin_object(&json);
        json_kv_string(&json, "taskId", why->run.dag->tasks[why->dependencies[i]].id);
        json_kv_string(&json, "state", state_task_name(api_run_state(&why->run, why->dependencies[i])));
        json_end_object(&json);
    }
    json_end_array(&json);
    json_kv_int(&json, "dependencyCount", why->dependency_count);
    if (why->has_status)
        json_kv_int(&json, "readyTasks", (int64_t)why->status.ready_tasks);
    else
        json_kv_null(&json, "readyTasks");
    json_kv_uuid(&json, "workerId", why->state.state == TASK_RUNNING ? why->state.worker : (struct uuid){{0}});
    json_end_object(&json);
}

void api_get_task_why(struct api_call *call)
{
    struct error err;
    struct buf body = BUF_INIT;
    struct why *why = arena_zalloc(api_arena(call), sizeof *why);
    int rc = api_run_find(call->api, call->id, api_arena(call), &why->run, &err);
    if (!rc)
        rc = api_run_load(call->api, &why->run, &err);
    if (!rc)
        rc = api_run_find_task(&why->run, call->task_id.text, call->task_id.len, &why->task, &err);
    if (!rc)
        rc = api_run_task(&why->run, why->task, &why->state, &err);
    if (rc) {
        api_fail_error(call, &err);
    } else {
        explain(why, call->api, api_arena(call));
        write_why(why, &body);
        api_reply_json(call, 200, &body);
    }
    api_run_fini(&why->run);
    buf_fini(&body);
}
