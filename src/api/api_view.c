#include "api/api_view.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api_core.h"
#include "api/api_kept.h"
#include "state/log_path.h"

enum { TAIL_BYTES_MAX = 2000 };

void api_view_dag_begin(struct json *json, const struct store_dag *dag)
{
    json_begin_object(json);
    json_kv_uuid(json, "id", dag->id);
    json_kv_string(json, "name", dag->name);
    json_kv_int(json, "taskCount", dag->task_count);
    json_kv_string(json, "schedule", dag->cron);
    json_kv_int(json, "version", dag->version);
    json_kv_time(json, "createdAt", dag->created_ms);
    json_kv_bool(json, "paused", dag->paused);
    json_kv_string(json, "timezone", dag->timezone);
    json_kv_time(json, "updatedAt", dag->updated_ms);
}

void api_view_dag(struct json *json, const struct store_dag *dag)
{
    api_view_dag_begin(json, dag);
    json_end_object(json);
}

void api_view_version(struct json *json, const struct store_version *version)
{
    json_begin_object(json);
    json_kv_int(json, "version", version->version);
    json_kv_int(json, "taskCount", version->task_count);
    json_kv_time(json, "createdAt", version->created_ms);
    json_kv_int(json, "sourceBytes", (int64_t)version->source_len);
    json_end_object(json);
}

static void add_counts(struct json *json, const uint32_t counts[TASK_STATE_COUNT])
{
    json_key(json, "counts");
    json_begin_object(json);
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        json_kv_int(json, state_task_name((enum task_state)i), counts[i]);
    json_end_object(json);
}

static void add_run(struct json *json, const struct record_run *run, const char *dag_name)
{
    json_begin_object(json);
    json_kv_uuid(json, "runId", run->id);
    json_kv_uuid(json, "dagId", run->dag_id);
    json_kv_string(json, "state", state_run_name(run->state));
    json_kv_string(json, "triggeredBy", state_trigger_name(run->trigger));
    json_kv_time(json, "createdAt", run->created_ms);
    json_kv_time(json, "startedAt", run->started_ms);
    json_kv_time(json, "completedAt", run->completed_ms);
    json_kv_int(json, "version", run->dag_version);
    json_kv_time(json, "scheduledFor", run->scheduled_ms);
    json_kv_string(json, "dagName", dag_name);
    json_kv_uuid(json, "source", run->source);
    json_key(json, "changes");
    if (run->changes)
        json_add_raw(json, run->changes, strlen(run->changes));
    else
        json_add_null(json);
    json_kv_string(json, "error", run->error);
    json_kv_time(json, "cancelRequestedAt", run->cancel_ms);
    json_kv_int(json, "taskCount", run->task_count);
}

void api_view_run(struct json *json, const struct record_run *run, const char *dag_name, const uint32_t *counts)
{
    const uint32_t ended[TASK_STATE_COUNT] = {
        [TASK_SUCCEEDED] = run->succeeded_count,
        [TASK_FAILED] = run->failed_count,
        [TASK_SKIPPED] = run->skipped_count,
        [TASK_CANCELED] = run->canceled_count,
    };
    add_run(json, run, dag_name);
    if (counts || state_run_is_terminal(run->state))
        add_counts(json, counts ? counts : ended);
    else
        json_kv_null(json, "counts");
    json_end_object(json);
}

void api_view_status_begin(struct json *json, const struct record_run *run, const char *dag_name,
                           const uint32_t counts[TASK_STATE_COUNT])
{
    add_run(json, run, dag_name);
    add_counts(json, counts);
}

static void add_positive(struct json *json, const char *key, int64_t value)
{
    if (value > 0)
        json_kv_int(json, key, value);
    else
        json_kv_null(json, key);
}

void api_view_task(struct json *json, struct uuid run_id, struct uuid source, const struct dag_task *definition,
                   uint32_t index, const struct live_task *task, int64_t ready_ms)
{
    bool tried = task->attempt > 0;
    bool ended = tried && task->completed_ms;
    json_begin_object(json);
    json_kv_string(json, "taskId", definition->id);
    json_kv_string(json, "name", definition->name);
    json_kv_string(json, "state", state_task_name(task->state));
    json_kv_int(json, "attempt", task->attempt);
    json_kv_uuid(json, "workerId", tried ? task->worker : (struct uuid){{0}});
    json_kv_time(json, "startedAt", tried ? task->started_ms : 0);
    json_kv_time(json, "completedAt", tried ? task->completed_ms : 0);
    json_kv_uuid(json, "taskInstanceId", record_instance_id(run_id, index));
    json_kv_string(json, "error", task->error);
    json_kv_string(json, "errorType", state_failure_name(task->error_type));
    if (ended && task->exit_code >= 0)
        json_kv_int(json, "exitCode", task->exit_code);
    else
        json_kv_null(json, "exitCode");
    add_positive(json, "signal", task->signal);
    if (ended) {
        json_key(json, "cpuSeconds");
        json_add_double(json, (double)task->cpu_us / 1e6);
    } else {
        json_kv_null(json, "cpuSeconds");
    }
    add_positive(json, "maxRssBytes", ended ? task->max_rss_bytes : 0);
    json_kv_time(json, "nextAttemptAt", task->state == TASK_PENDING ? task->next_attempt_ms : 0);
    json_kv_uuid(json, "keptFrom", task->kept ? source : (struct uuid){{0}});
    json_kv_time(json, "readyAt", ready_ms);
    json_kv_int(json, "logBytes", task->log_bytes);
    json_end_object(json);
}

void api_view_attempt(struct json *json, const struct record_attempt *attempt)
{
    bool ended = attempt->state != ATTEMPT_RUNNING;
    json_begin_object(json);
    json_kv_int(json, "attempt", attempt->number);
    json_kv_string(json, "state", state_attempt_name(attempt->state));
    json_kv_uuid(json, "workerId", attempt->worker);
    json_kv_time(json, "claimedAt", attempt->claimed_ms);
    json_kv_time(json, "startedAt", attempt->started_ms);
    json_kv_time(json, "completedAt", attempt->ended_ms);
    json_kv_string(json, "error", attempt->error);
    json_kv_string(json, "errorType", state_failure_name(attempt->error_type));
    if (ended && attempt->exit_code >= 0)
        json_kv_int(json, "exitCode", attempt->exit_code);
    else
        json_kv_null(json, "exitCode");
    add_positive(json, "signal", attempt->signal);
    add_positive(json, "httpStatus", attempt->http_status);
    json_key(json, "cpuSeconds");
    if (ended)
        json_add_double(json, (double)attempt->cpu_us / 1e6);
    else
        json_add_null(json);
    add_positive(json, "maxRssBytes", ended ? attempt->max_rss_bytes : 0);
    json_kv_int(json, "logBytes", attempt->log_bytes);
    json_kv_time(json, "nextAttemptAt", attempt->retry_ms);
    json_end_object(json);
}

void api_view_worker(struct json *json, const struct api *api, const struct api_worker *worker)
{
    json_begin_object(json);
    json_kv_uuid(json, "id", worker->id);
    json_kv_string(json, "status", state_worker_name(worker->state));
    json_kv_int(json, "runningTasks", worker->running);
    json_kv_int(json, "queueDepth", worker->queued);
    json_kv_string(json, "host", api->config.node_host);
    json_kv_uuid(json, "node", api->config.node_id);
    json_kv_int(json, "slots", worker->slots);
    json_end_object(json);
}

/* The last bytes of an attempt's log file; -1: there is none. */
static ssize_t read_tail(const char *data_dir, const struct record_letter *letter, char bytes[TAIL_BYTES_MAX],
                         bool *ret_cut)
{
    struct buf path = BUF_INIT;
    struct stat found;
    ssize_t len = -1;
    state_log_path(&path, data_dir, letter->run_id, letter->task, letter->attempts);
    int fd = open(buf_text(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *ret_cut = false;
    if (fd >= 0 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
        *ret_cut = found.st_size > TAIL_BYTES_MAX;
        len = pread(fd, bytes, TAIL_BYTES_MAX, *ret_cut ? found.st_size - TAIL_BYTES_MAX : 0);
    }
    if (fd >= 0)
        (void)close(fd);
    buf_fini(&path);
    return len;
}

/* The last lines of an attempt's log; null when it wrote nothing. attempt NULL: its row is gone. */
static void add_tail(struct json *json, struct api *api, const struct record_letter *letter,
                     const struct record_attempt *attempt)
{
    char bytes[TAIL_BYTES_MAX];
    bool is_cut;
    const char *start = bytes;
    ssize_t len = read_tail(api->config.data_dir, letter, bytes, &is_cut);
    if (len < 0 && attempt && attempt->log) {
        start = attempt->log;
        len = (ssize_t)attempt->log_len;
    }
    const char *end = start + (len > 0 ? len : 0);
    const char *line_end = is_cut && len > 0 ? memchr(start, '\n', (size_t)len - 1) : NULL;
    if (line_end)
        start = line_end + 1; /* begins with a whole line */
    if (len > 0)
        json_add_string_len(json, start, (size_t)(end - start));
    else
        json_add_null(json);
}

/* What the last attempt left and used; nothing of it is known when its row cannot be read. */
static void add_last_attempt(struct json *json, struct api *api, const struct record_letter *letter)
{
    struct arena arena = {0};
    const struct record_attempt *attempt = NULL;
    (void)api_kept_attempt(api, letter->run_id, letter->task, letter->attempts, &arena, &attempt, NULL);
    json_key(json, "logTail");
    add_tail(json, api, letter, attempt);
    json_kv_int(json, "totalAttempts", letter->attempts);
    json_key(json, "cpuSeconds");
    if (attempt)
        json_add_double(json, (double)attempt->cpu_us / 1e6);
    else
        json_add_null(json);
    add_positive(json, "maxRssBytes", attempt ? attempt->max_rss_bytes : 0);
    arena_fini(&arena);
}

void api_view_letter(struct json *json, struct api *api, const struct store_letter *item)
{
    const struct record_letter *letter = &item->letter;
    json_begin_object(json);
    json_kv_uuid(json, "id", letter->id);
    json_kv_uuid(json, "taskInstanceId", record_instance_id(letter->run_id, letter->task));
    json_kv_uuid(json, "runId", letter->run_id);
    json_kv_uuid(json, "dagId", letter->dag_id);
    json_kv_string(json, "dagName", letter->dag_name);
    json_kv_string(json, "taskId", letter->task_id);
    json_kv_string(json, "taskName", letter->task_name);
    json_kv_string(json, "errorType", state_failure_name(letter->error_type));
    json_kv_string(json, "errorMessage", letter->error);
    add_last_attempt(json, api, letter);
    json_key(json, "taskConfig");
    if (letter->config)
        json_add_raw(json, letter->config, strlen(letter->config));
    else
        json_add_null(json);
    json_kv_string(json, "resolutionStatus", state_resolution_name(item->resolution));
    json_kv_time(json, "resolvedAt", item->resolved_ms);
    json_kv_string(json, "resolvedBy", item->resolved_by);
    json_kv_string(json, "resolutionNotes", item->notes);
    json_kv_uuid(json, "resolutionRunId", item->resolved_run_id);
    json_kv_time(json, "createdAt", letter->created_ms);
    json_end_object(json);
}

static void add_problem(struct json *json, const struct dag_problem *problem)
{
    json_begin_object(json);
    add_positive(json, "line", problem->line);
    add_positive(json, "column", problem->line ? problem->column : 0);
    json_kv_int(json, "length", problem->length);
    json_kv_string(json, "field", problem->field);
    json_kv_string(json, "message", problem->text);
    json_kv_string(json, "hint", problem->hint);
    json_end_object(json);
}

void api_view_problems(struct json *json, const struct dag_problems *problems, enum dag_severity severity)
{
    json_begin_array(json);
    for (size_t i = 0; i < problems->count; i++)
        if (problems->items[i].severity == severity)
            add_problem(json, &problems->items[i]);
    json_end_array(json);
}
