/* Watching a run: its events say that something changed and, into a pipe, what. The live view is made from the run's
 * status, read again after events but not more often than it is drawn.
 *
 *     open the stream, then read the status: nothing falls in between
 *     event of a task       a line, or the status is old
 *     event of the run      terminal: the end
 *     "reset"               events were missed: the status is old
 *     the stream breaks     again with Last-Event-ID
 *
 * A server that restarts cuts off any of it, the first answer and the last too: what was asked for is asked for again,
 * with pauses that grow. */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/str.h"
#include "cli/eta.h"
#include "cli/live.h"
#include "cli/patience.h"
#include "cli/report.h"
#include "cli/show.h"
#include "cli/text.h"
#include "client/sse.h"

enum { TICK_MS = 1000 };

struct watch {
    struct cli_remote *remote;
    struct cli *cli;
    const char *run;                /* as it was given: an id, or a part of one */
    char run_id[UUID_TEXT_LEN + 1]; /* "" until it is known */
    const char *name;               /* of the DAG */
    int fd;
    bool terminal;
    bool color;
    struct client_stream *stream;
    struct client_sse sse;
    json_t *status;                 /* the latest read */
    bool old;                       /* something changed since */
    bool ended;
    struct cli_live live;
    struct buf lines;
    struct buf result;              /* for programs */
    int64_t deadline_ms;            /* boot clock; 0: none */
    int64_t drawn_ms;
};

static int write_out(struct watch *watch, struct error *err)
{
    if (watch->fd == STDERR_FILENO) {
        cli_write_err(&watch->lines);
        buf_clear(&watch->lines);
        return 0;
    }
    buf_add(&watch->cli->out, watch->lines.bytes, watch->lines.len);
    buf_clear(&watch->lines);
    return cli_flush(watch->cli, err);
}

static bool is_ended(const json_t *run)
{
    enum run_state state;
    return state_run_parse(cli_json_text(run, "state"), &state) && state_run_is_terminal(state);
}

static int read_status(struct watch *watch, struct error *err)
{
    json_t *status = NULL;
    char *target = arena_printf(&watch->cli->arena, "/api/v1/runs/%s?taskState=running&taskLimit=%d", watch->run_id,
                                CLI_LIVE_TASKS_MAX);
    int rc = cli_remote_get_json(watch->remote, target, &status, err);
    if (rc)
        return rc;
    json_decref(watch->status);
    watch->status = status;
    watch->old = false;
    watch->ended = is_ended(status);
    return 0;
}

/* ---- events ---- */

static void add_task_line(struct watch *watch, const json_t *task)
{
    const char *id = cli_json_text(task, "taskId"), *state = cli_json_text(task, "state");
    const char *error = cli_json_text(task, "error");
    int64_t start_ms = cli_json_time(task, "startedAt"), end_ms = cli_json_time(task, "completedAt");
    int64_t retry_ms = cli_json_time(task, "nextAttemptAt"), attempt = cli_json_int(task, "attempt");
    bool running = strcmp(state, "running") == 0;
    if (strcmp(state, "queued") == 0 || (strcmp(state, "pending") == 0 && !retry_ms) || (running && !start_ms))
        return; /* claimed is not started yet */
    const char *word = retry_ms ? "failed" : state;
    cli_text_add(&watch->lines, id, strlen(id));
    buf_printf(&watch->lines, ": %s%s%s", watch->color ? cli_live_color(word) : "", word,
               watch->color ? "\033[0m" : "");
    if (running && attempt > 1)
        buf_printf(&watch->lines, ", attempt %lld", (long long)attempt);
    if (!running && start_ms && end_ms)
        buf_printf(&watch->lines, " after %s", cli_show_elapsed(watch->cli, start_ms, end_ms));
    if (!running && error[0]) {
        buf_add_text(&watch->lines, ": ");
        cli_text_add(&watch->lines, error, strlen(error));
    }
    if (retry_ms) {
        int64_t now_ms = clock_wall_ms();
        buf_printf(&watch->lines, "; retry in %s",
                   cli_show_elapsed(watch->cli, now_ms, retry_ms > now_ms ? retry_ms : now_ms));
    }
    buf_add_char(&watch->lines, '\n');
}

static int on_event(void *context, const struct client_event *event, struct error *err)
{
    struct watch *watch = context;
    (void)err;
    watch->old = true;
    if (strcmp(event->name, "reset") == 0) {
        if (!watch->terminal)
            buf_add_text(&watch->lines, "(some changes were missed)\n");
        return 0;
    }
    json_t *json = json_loadb(event->data, event->len, 0, NULL);
    if (json_object_get(json, "taskId")) {
        if (!watch->terminal)
            add_task_line(watch, json);
    } else if (strcmp(cli_json_text(json, "runId"), watch->run_id) == 0 && is_ended(json)) {
        watch->ended = true;
    }
    json_decref(json);
    return 0;
}

static int persist(struct watch *watch, int ask(void *context, struct error *err), struct error *err)
{
    const struct cli_patience patience = {
        .cli = watch->cli,
        .deadline_ms = watch->deadline_ms,
        .silent = watch->terminal && watch->status, /* it is drawn then */
    };
    return cli_patience_ask(&patience, ask, watch, err);
}

static int open_stream(struct watch *watch, struct error *err)
{
    const char *const headers[] = {"Last-Event-ID", watch->sse.id, NULL};
    char *target = arena_printf(&watch->cli->arena, "/api/v1/runs/%s/events", watch->run_id);
    const struct client_request request = {.target = target, .headers = watch->sse.id[0] ? headers : NULL};
    return client_stream_open(watch->remote->client, &request, &watch->stream, err);
}

static int ask_stream_and_status(void *context, struct error *err)
{
    struct watch *watch = context;
    int rc = watch->run_id[0] ? 0 : cli_resolve_run(watch->remote, watch->run, watch->run_id, err);
    client_stream_close(watch->stream);
    watch->stream = NULL;
    client_sse_restart(&watch->sse);
    if (rc == 0)
        rc = open_stream(watch, err);
    return rc ? rc : read_status(watch, err);
}

/* What is there of the stream; a broken or ended one is opened again unless the run has ended. */
static int take_events(struct watch *watch, struct error *err)
{
    struct buf bytes = BUF_INIT;
    bool end = false;
    int rc = client_stream_read(watch->stream, false, &bytes, &end, err);
    bool broken = rc == ERROR_UNREACHABLE;
    if (rc == 0 || broken)
        rc = client_sse_feed(&watch->sse, bytes.bytes, bytes.len, on_event, watch, err);
    buf_fini(&bytes);
    if (rc == 0 && (end || broken) && !watch->ended) {
        const struct cli_patience patience = {.cli = watch->cli, .deadline_ms = watch->deadline_ms};
        rc = cli_patience_pause(&patience, CLI_PATIENCE_MIN_MS, err);
        if (rc == 0)
            rc = persist(watch, ask_stream_and_status, err);
    }
    return rc;
}

/* ---- the view ---- */

static void draw(struct watch *watch)
{
    struct cli_live_task tasks[CLI_LIVE_TASKS_MAX];
    const json_t *list = json_object_get(watch->status, "tasks"), *task;
    struct cli_live_view view = {.name = watch->name, .run = cli_short_id(watch->run_id), .tasks = tasks};
    int64_t now_ms = clock_wall_ms(), start_ms = cli_json_time(watch->status, "startedAt");
    size_t index;
    view.total = cli_report_counts(watch->status, view.counts);
    view.running = view.counts[TASK_RUNNING];
    view.elapsed_ms = start_ms && now_ms > start_ms ? now_ms - start_ms : 0;
    json_array_foreach((json_t *)(uintptr_t)list, index, task) {
        int64_t task_ms = cli_json_time(task, "startedAt");
        if (view.task_count < CLI_LIVE_TASKS_MAX)
            tasks[view.task_count++] =
                (struct cli_live_task){.id = cli_json_text(task, "taskId"),
                                       .elapsed_ms = task_ms && now_ms > task_ms ? now_ms - task_ms : 0,
                                       .attempt = (uint32_t)cli_json_int(task, "attempt")};
    }
    struct cli_eta eta = {.elapsed_ms = view.elapsed_ms,
                          .ended = view.counts[TASK_SUCCEEDED] + view.counts[TASK_FAILED],
                          .left = view.counts[TASK_PENDING] + view.counts[TASK_QUEUED] + view.counts[TASK_RUNNING]};
    view.left_ms = cli_eta_estimate(&eta);
    if (json_is_string(json_object_get(watch->status, "cancelRequestedAt")))
        view.note = "canceling";
    unsigned columns, rows;
    cli_live_size(watch->fd, &columns, &rows);
    cli_live_draw(&watch->live, &view, columns, rows, &watch->lines);
    watch->drawn_ms = clock_boot_ms();
}

static int wait_news(struct watch *watch, struct error *err)
{
    int64_t now_ms = clock_boot_ms(), wait_ms = -1;
    struct pollfd ready[2] = {{.fd = client_stream_fd(watch->stream), .events = POLLIN},
                              {.fd = watch->cli->interrupt_fd, .events = POLLIN}};
    if (watch->terminal) {
        wait_ms = watch->drawn_ms + (watch->old ? CLI_LIVE_REDRAW_MS : TICK_MS) - now_ms;
        wait_ms = wait_ms > 0 ? wait_ms : 0;
    }
    if (watch->deadline_ms) {
        int64_t rest_ms = watch->deadline_ms > now_ms ? watch->deadline_ms - now_ms : 0;
        wait_ms = wait_ms < 0 || rest_ms < wait_ms ? rest_ms : wait_ms;
    }
    bool is_there = client_stream_is_ready(watch->stream);
    int count = poll(ready, 2, is_there ? 0 : wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms);
    if (count > 0 && ready[1].revents)
        return error_set(err, ERROR_INTERRUPTED, "interrupted; the run goes on");
    if (watch->deadline_ms && clock_boot_ms() >= watch->deadline_ms)
        return error_set(err, ERROR_TIMED_OUT, "the run has not ended; it goes on");
    return is_there || (count > 0 && ready[0].revents) ? take_events(watch, err) : 0;
}

/* The first line into a pipe: what comes from here on is told. */
static void add_first_line(struct watch *watch)
{
    uint32_t counts[TASK_STATE_COUNT];
    cli_report_counts(watch->status, counts);
    buf_printf(&watch->lines, "run %s of ", watch->run_id);
    cli_text_add(&watch->lines, watch->name, strlen(watch->name));
    buf_add_text(&watch->lines, ": ");
    cli_live_add_counts(&watch->lines, counts, watch->color);
    buf_add_char(&watch->lines, '\n');
}

static int watch_loop(struct watch *watch, struct error *err)
{
    int rc = persist(watch, ask_stream_and_status, err);
    if (rc == 0)
        watch->name = arena_strdup(&watch->cli->arena, cli_json_text(watch->status, "dagName"));
    if (rc == 0 && !watch->terminal && !watch->ended)
        add_first_line(watch);
    while (rc == 0 && !watch->ended && !watch->cli->out_broken) {
        int64_t since_ms = clock_boot_ms() - watch->drawn_ms;
        if (watch->terminal && since_ms >= (watch->old ? CLI_LIVE_REDRAW_MS : TICK_MS)) {
            rc = watch->old ? read_status(watch, err) : 0;
            if (cli_patience_is_for(rc))
                rc = persist(watch, ask_stream_and_status, err);
            if (rc == 0 && !watch->ended)
                draw(watch);
        }
        if (rc == 0)
            rc = write_out(watch, err);
        if (rc == 0 && !watch->ended)
            rc = wait_news(watch, err);
    }
    return rc;
}

/* The counts for the report, and the whole RunStatus for programs. */
static int ask_result(void *context, struct error *err)
{
    struct watch *watch = context;
    struct arena *arena = &watch->cli->arena;
    json_t *status = NULL;
    buf_clear(&watch->result);
    int rc = cli_remote_get_json(watch->remote, arena_printf(arena, "/api/v1/runs/%s?taskLimit=0", watch->run_id),
                                 &status, err);
    if (rc == 0 && cli_wants_json(watch->cli))
        rc = cli_remote_get(watch->remote, arena_printf(arena, "/api/v1/runs/%s", watch->run_id), &watch->result, err);
    if (rc) {
        json_decref(status);
        return rc;
    }
    json_decref(watch->status);
    watch->status = status;
    return 0;
}

/* The last word. */
static int finish(struct watch *watch, struct error *err)
{
    int rc = persist(watch, ask_result, err);
    if (rc)
        return rc;
    cli_report_run(watch->remote, watch->status, watch->name, watch->color, &watch->lines);
    watch->cli->exit_status = cli_report_exit_status(watch->status);
    rc = write_out(watch, err);
    if (rc == 0 && cli_wants_json(watch->cli))
        cli_show_body(watch->cli, &watch->result);
    return rc;
}

int cli_watch(struct cli_remote *remote, const char *run, int fd, int64_t timeout_ms, struct error *err)
{
    struct cli *cli = remote->cli;
    const char *term = getenv("TERM");
    bool out = fd == STDOUT_FILENO;
    struct watch watch = {
        .remote = remote,
        .cli = cli,
        .run = run,
        .fd = fd,
        .terminal = (out ? cli->screen.out_terminal : cli->screen.err_terminal) && term && strcmp(term, "dumb") != 0,
        .color = out ? cli->screen.out_color : cli->screen.err_color,
        .deadline_ms = timeout_ms ? clock_boot_ms() + timeout_ms : 0,
    };
    unsigned columns, rows;
    watch.live.color = watch.color;
    int rc = watch_loop(&watch, err);
    cli_live_size(fd, &columns, &rows);
    cli_live_clear(&watch.live, columns, &watch.lines);
    struct error ignored;
    if (rc == 0 && !cli->out_broken)
        rc = finish(&watch, err);
    else
        (void)write_out(&watch, &ignored);
    client_stream_close(watch.stream);
    client_sse_fini(&watch.sse);
    json_decref(watch.status);
    buf_fini(&watch.lines);
    buf_fini(&watch.result);
    return rc;
}

int cli_watch_new_run(struct cli_remote *remote, const struct buf *run, struct error *err)
{
    struct cli *cli = remote->cli;
    json_t *json = NULL;
    bool wait = cli_flag(cli, CLI_WAIT), wants_json = cli_wants_json(cli);
    int rc = cli_remote_parse(run, &json, err);
    if (rc)
        return rc;
    const char *id = arena_strdup(&cli->arena, cli_json_text(json, "runId"));
    if (!wants_json)
        buf_printf(&cli->out, "%s\n", id);
    else if (!wait)
        cli_show_body(cli, run);
    rc = cli_flush(cli, err);
    if (rc == 0 && wait)
        rc = cli_watch(remote, id, STDERR_FILENO, cli_number(cli, CLI_TIMEOUT), err);
    json_decref(json);
    return rc;
}

int cli_watch_make_run(struct cli_remote *remote, const char *target, const struct buf *body, struct error *err)
{
    struct cli *cli = remote->cli;
    const char *key = cli_text(cli, CLI_IDEMPOTENCY_KEY);
    const char *const headers[] = {"Idempotency-Key", key, NULL};
    struct buf run = BUF_INIT;
    if (cli_given(cli, CLI_TIMEOUT) && !cli_flag(cli, CLI_WAIT))
        return error_set(err, ERROR_USAGE, "--timeout needs --wait");
    if (key && strlen(key) > LIMIT_IDEMPOTENCY_KEY_BYTES_MAX)
        return error_set(err, ERROR_USAGE, "--idempotency-key is longer than %d bytes",
                         LIMIT_IDEMPOTENCY_KEY_BYTES_MAX);
    int rc = cli_remote_call(remote, "POST", target, key ? headers : NULL, body, &run, err);
    if (rc == 0)
        rc = cli_watch_new_run(remote, &run, err);
    buf_fini(&run);
    return rc;
}
