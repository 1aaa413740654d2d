/* The critical path of a run: from the task that ended last back over what it was ready by. */
#include "api/api_call.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "base/clock.h"

enum { TASKS_MAX = 10000 };

struct path {
    struct api_run run;
    int64_t now_ms;
    uint32_t *tasks;            /* from the last to the first */
    size_t count;
    bool more;
};

/* When the task's latest attempt ended, now if it runs, 0 if there is none. */
static int64_t end_of(const struct path *path, uint32_t task)
{
    struct api_times times = api_run_time(&path->run, task);
    return times.ended_ms ? times.ended_ms : times.started_ms ? path->now_ms : 0;
}

static void walk(struct path *path, struct arena *arena)
{
    const struct dag *dag = path->run.dag;
    int64_t at = -1, latest = 0;
    for (uint32_t i = 0; i < dag->task_count; i++) {
        int64_t end_ms = end_of(path, i);
        if (end_ms > latest) {
            latest = end_ms;
            at = i;
        }
    }
    path->tasks = arena_array(arena, TASKS_MAX, sizeof *path->tasks);
    while (at >= 0 && !path->more) {
        const struct dag_task *task = &dag->tasks[at];
        path->more = path->count == TASKS_MAX;
        if (!path->more)
            path->tasks[path->count++] = (uint32_t)at;
        at = -1;
        latest = 0;
        for (uint32_t i = 0; i < task->dependency_count; i++) {
            int64_t end_ms = end_of(path, task->dependencies[i]);
            if (end_ms > latest) {
                latest = end_ms;
                at = task->dependencies[i];
            }
        }
    }
}

static double seconds(int64_t from_ms, int64_t to_ms)
{
    return from_ms && to_ms > from_ms ? (double)(to_ms - from_ms) / 1e3 : 0;
}

struct sums {
    double wait, run;
};

static int add_task(struct path *path, uint32_t index, struct json *json, struct sums *sums, struct error *err)
{
    struct live_task state;
    int rc = api_run_task(&path->run, index, &state, err);
    if (rc)
        return rc;
    const struct dag_task *task = &path->run.dag->tasks[index];
    struct api_times times = api_run_time(&path->run, index);
    int64_t ready_ms = api_run_ready(&path->run, index, &state);
    double wait = seconds(ready_ms, times.started_ms ? times.started_ms : end_of(path, index));
    double run = seconds(times.started_ms, end_of(path, index));
    sums->wait += wait;
    sums->run += run;
    json_begin_object(json);
    json_kv_string(json, "taskId", task->id);
    json_kv_string(json, "name", task->name);
    json_kv_string(json, "state", state_task_name(state.state));
    json_kv_time(json, "readyAt", ready_ms);
    json_kv_time(json, "startedAt", times.started_ms);
    json_kv_time(json, "completedAt", times.ended_ms);
    json_key(json, "waitSeconds");
    json_add_double(json, wait);
    json_key(json, "runSeconds");
    json_add_double(json, run);
    json_end_object(json);
    return 0;
}

static int write_path(struct path *path, struct json *json, struct error *err)
{
    const struct record_run *run = &path->run.run;
    struct sums sums = {0, 0};
    int rc = 0;
    json_begin_object(json);
    json_kv_uuid(json, "runId", run->id);
    json_kv_string(json, "state", state_run_name(run->state));
    json_kv_bool(json, "more", path->more);
    json_key(json, "tasks");
    json_begin_array(json);
    for (size_t i = path->count; i > 0 && !rc; i--)
        rc = add_task(path, path->tasks[i - 1], json, &sums, err);
    json_end_array(json);
    json_key(json, "seconds");
    json_add_double(json, path->count ? seconds(run->created_ms, end_of(path, path->tasks[0])) : 0);
    json_key(json, "waitSeconds");
    json_add_double(json, sums.wait);
    json_key(json, "runSeconds");
    json_add_double(json, sums.run);
    json_end_object(json);
    return rc;
}

void api_get_critical_path(struct api_call *call)
{
    struct path path = {.now_ms = clock_wall_ms()};
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    int rc = api_run_find(call->api, call->id, api_arena(call), &path.run, &err);
    if (!rc)
        rc = api_run_load(call->api, &path.run, &err);
    if (!rc)
        rc = api_run_load_times(&path.run, &err);
    if (!rc) {
        json_init(&json, &body);
        walk(&path, api_arena(call));
        rc = write_path(&path, &json, &err);
    }
    if (rc)
        api_fail_error(call, &err);
    else
        api_reply_json(call, 200, &body);
    api_run_fini(&path.run);
    buf_fini(&body);
}
