/* A task's log, by byte range or followed. Logs are files below DATA/logs whose names are made of ids and numbers
 * (state/log_path.h), or kept in the store when they are short (api_kept.h); nothing a user wrote gets near a path.
 * They are sent as they are: text, never HTML. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api_call.h"
#include "api/api_far.h"
#include "api/api_follow.h"
#include "api/api_handlers.h"
#include "api/api_kept.h"
#include "api/api_run.h"
#include "state/log_path.h"

static const char content_type[] = "text/plain; charset=utf-8";

/* Which log is meant and how far it is. */
struct log {
    struct uuid run_id;
    uint32_t task;
    uint32_t number;
    bool ended;         /* the attempt will write no more */
    struct uuid worker; /* that runs it; zero: none does */
};

/* Of a task's attempts up to `attempt`, the latest ended when it has a time of completion. */
static bool has_ended(const struct live_task *task, uint32_t number)
{
    return number < task->attempt || state_task_is_terminal(task->state)
           || (number == task->attempt && task->completed_ms);
}

/* The attempt asked for; without one the latest, or the first when there is none yet. The one to come next has a log,
 * too: an empty one. */
static int choose_attempt(const struct api_call *call, const struct live_task *task, struct log *log,
                          struct error *err)
{
    const struct api_value *wanted = &call->query[API_QUERY_ATTEMPT];
    uint32_t latest = task->attempt ? task->attempt : 1;
    uint32_t last = state_task_is_terminal(task->state) || !task->attempt ? latest : latest + 1;
    if (wanted->given && wanted->number > last)
        return error_set(err, ERROR_NOT_FOUND, "attempt %" PRId64 " does not exist: the latest is %u", wanted->number,
                         task->attempt);
    log->number = wanted->given ? (uint32_t)wanted->number : latest;
    log->ended = has_ended(task, log->number);
    if (log->number == task->attempt && !log->ended)
        log->worker = task->worker;
    return 0;
}

/* ERROR_IO; a log that is not there is empty. */
static int open_log(const char *path, int *ret_fd, uint64_t *ret_size, struct error *err)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *ret_fd = -1;
    *ret_size = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : error_set(err, ERROR_IO, "the log cannot be opened: %s", strerror(errno));
    if (fstat(fd, &file) || !S_ISREG(file.st_mode)) {
        (void)close(fd);
        return error_set(err, ERROR_IO, "the log is no file that can be read");
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)file.st_size;
    return 0;
}

static void say_size(struct api_call *call, uint64_t size)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, size);
    api_reply_header(call, "X-Log-Size", text);
}

/* Of a log that is in no file. */
static void send_kept(struct api_call *call, const char *bytes, size_t size)
{
    struct buf piece = BUF_INIT;
    uint64_t offset = (uint64_t)call->query[API_QUERY_LOG_OFFSET].number;
    uint64_t limit = (uint64_t)call->query[API_QUERY_LOG_LIMIT].number;
    say_size(call, size);
    if (offset < size)
        buf_add(&piece, bytes + offset, size - offset < limit ? size - (size_t)offset : (size_t)limit);
    api_reply(call, 200, content_type, &piece);
    buf_fini(&piece);
}

/* Of an attempt that another node runs. False: none does. */
static bool send_far(struct api_call *call, const struct log *log)
{
    struct error err;
    struct store_cluster_piece piece = {
        .run_id = log->run_id,
        .task = log->task,
        .number = log->number,
        .offset = (uint64_t)call->query[API_QUERY_LOG_OFFSET].number,
        .limit = (uint32_t)call->query[API_QUERY_LOG_LIMIT].number,
    };
    struct buf body = BUF_INIT;
    if (log->ended || !api_far_has(call->api, log->worker))
        return false;
    if (api_far_read(call->api, log->worker, &piece, api_arena(call), &err)) {
        api_fail_error(call, &err);
        return true;
    }
    say_size(call, piece.size);
    buf_add(&body, piece.bytes, piece.len);
    api_reply(call, 200, content_type, &body);
    buf_fini(&body);
    return true;
}

static void send_range(struct api_call *call, const struct log *log)
{
    struct buf path = BUF_INIT, empty = BUF_INIT;
    struct error err;
    int fd;
    uint64_t size, offset = (uint64_t)call->query[API_QUERY_LOG_OFFSET].number;
    uint64_t limit = (uint64_t)call->query[API_QUERY_LOG_LIMIT].number;
    state_log_path(&path, call->api->config.data_dir, log->run_id, log->task, log->number);
    const char *kept = NULL;
    size_t kept_len = 0;
    int rc = open_log(buf_text(&path), &fd, &size, &err);
    buf_fini(&path);
    if (!rc && fd < 0)
        rc = api_kept_log(call->api, log->run_id, log->task, log->number, api_arena(call), &kept, &kept_len, &err);
    if (rc) {
        api_fail_error(call, &err);
        return;
    }
    if (kept) {
        send_kept(call, kept, kept_len);
        return;
    }
    if (fd < 0 && send_far(call, log))
        return;
    say_size(call, size);
    if (offset < size) {
        api_reply_file(call, 200, content_type, fd, offset, size - offset < limit ? size - offset : limit);
        return;
    }
    if (fd >= 0)
        (void)close(fd);
    api_reply(call, 200, content_type, &empty);
}

/* The attempt may have ended between the first look and the follower's making. */
static bool ended_meanwhile(struct api_call *call, const struct log *log)
{
    struct live_task task;
    struct live_run *run = call->api->backend.live ? live_get(call->api->backend.live, log->run_id) : NULL;
    if (!run)
        return true;
    live_run_task(run, log->task, &task);
    live_unref(run);
    return has_ended(&task, log->number);
}

static void send_growing(struct api_call *call, const struct log *log)
{
    struct buf path = BUF_INIT;
    struct error err;
    struct stat file;
    struct api_follower *follower;
    const struct api_value *limit = &call->query[API_QUERY_LOG_LIMIT];
    struct record_attempt attempt = {.run_id = log->run_id, .task = log->task, .number = log->number};
    if (call->offline) {
        api_fail(call, ERROR_BAD_REQUEST, "follow needs a running daemon");
        return;
    }
    state_log_path(&path, call->api->config.data_dir, log->run_id, log->task, log->number);
    uint64_t size = stat(buf_text(&path), &file) ? 0 : (uint64_t)file.st_size;
    if (api_follower_new(api_events_follow(call->api), &attempt, buf_take(&path),
                         (uint64_t)call->query[API_QUERY_LOG_OFFSET].number,
                         limit->given ? (uint64_t)limit->number : UINT64_MAX, &follower, &err)) {
        api_fail_error(call, &err);
        return;
    }
    if (size == 0 && !log->ended && api_far_has(call->api, log->worker))
        api_follower_set_far(follower, log->worker);
    else if (log->ended || ended_meanwhile(call, log))
        api_follower_end(follower);
    say_size(call, size);
    api_follower_attach(follower, call->request, content_type);
}

static void send_log(struct api_call *call, struct api_run *run, uint32_t index)
{
    struct error err;
    struct live_task task;
    struct log log = {.run_id = run->run.id, .task = index};
    int rc = api_run_task(run, index, &task, &err);
    rc = rc ? rc : choose_attempt(call, &task, &log, &err);
    if (rc) {
        api_fail_error(call, &err);
        return;
    }
    log.ended = log.ended || state_run_is_terminal(run->run.state);
    if (call->query[API_QUERY_FOLLOW].number)
        send_growing(call, &log);
    else
        send_range(call, &log);
}

void api_get_task_log(struct api_call *call)
{
    struct api_run run;
    struct error err;
    uint32_t task;
    if (api_run_find(call->api, call->id, api_arena(call), &run, &err)) {
        api_fail_error(call, &err);
        return;
    }
    int rc = api_run_load(call->api, &run, &err);
    rc = rc ? rc : api_run_find_task(&run, call->task_id.text, call->task_id.len, &task, &err);
    if (rc)
        api_fail_error(call, &err);
    else
        send_log(call, &run, task);
    api_run_fini(&run);
}

void api_get_instance_log(struct api_call *call)
{
    struct api_run run;
    struct error err;
    uint32_t task;
    if (api_run_find_instance(call->api, call->id, api_arena(call), &run, &task, &err)) {
        api_fail_error(call, &err);
        return;
    }
    if (api_run_load(call->api, &run, &err))
        api_fail_error(call, &err);
    else
        send_log(call, &run, task);
    api_run_fini(&run);
}
