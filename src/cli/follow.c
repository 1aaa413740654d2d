/* A whole run's logs at once, each line with its task's name. Tasks that run beside each other mix; what had ended when
 * a task began is printed to its end before that task's first line, so that a dependency's lines never come behind.
 *
 * What a server that restarts cuts off is opened again where it was. */
#include "cli/follow.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/patience.h"
#include "cli/report.h"
#include "cli/text.h"
#include "client/sse.h"

enum {
    PAUSE_MS = 200,                 /* between two streams */
    LOGS_MAX = 64,                  /* followed at a time; a task that begins beyond them is read when one ends */
    LINE_MAX_BYTES = 64 * 1024,     /* a longer line is printed in pieces */
    TIME_MAX_BYTES = 40,
};

struct follow_log {
    char *task_id;
    int64_t attempt;
    char started[TIME_MAX_BYTES];   /* as the API says it: such texts have the order of times */
    char completed[TIME_MAX_BYTES]; /* empty: it runs, as far as is known */
    struct client_stream *stream;   /* NULL: waits for its turn, was read, or is cut */
    bool cut;                       /* to be opened again */
    int64_t offset;                 /* bytes of it that came */
    struct buf line;                /* not ended yet */
};

struct follow {
    struct cli_remote *remote;
    struct cli *cli;
    const char *run_id;
    struct client_stream *events;
    struct client_sse sse;
    struct follow_log *logs;        /* in the order in which they began */
    size_t count, cap;
    size_t next;                    /* the first that was not opened yet */
    size_t open;                    /* those that are cut, too */
    bool ended;                     /* the run: no task begins any more */
};

static void log_target(const struct follow *follow, const struct follow_log *log, struct buf *target)
{
    cli_remote_task_target(target, follow->run_id, log->task_id, "log?follow=true");
    if (log->attempt > 0)
        buf_printf(target, "&attempt=%lld", (long long)log->attempt);
    if (log->offset > 0)
        buf_printf(target, "&offset=%lld", (long long)log->offset);
}

static int open_log(struct follow *follow, struct follow_log *log, struct error *err)
{
    struct buf target = BUF_INIT;
    log_target(follow, log, &target);
    const struct client_request request = {.target = buf_text(&target)};
    int rc = client_stream_open(follow->remote->client, &request, &log->stream, err);
    buf_fini(&target);
    return rc;
}

static int read_log(struct follow_log *log, bool wait, struct buf *into, bool *ret_end, struct error *err)
{
    size_t before = into->len;
    int rc = client_stream_read(log->stream, wait, into, ret_end, err);
    log->offset += (int64_t)(into->len - before);
    return rc;
}

/* ---- one task ---- */

struct follow_one {
    struct follow follow;
    struct follow_log log;
};

/* Which attempt it is: when it is asked for again there may be a later one. Before the first there is none. */
static int find_attempt(struct follow_one *one, struct error *err)
{
    struct buf target = BUF_INIT;
    json_t *list = NULL;
    cli_remote_task_target(&target, one->follow.run_id, one->log.task_id, "attempts");
    int rc = cli_remote_get_json(one->follow.remote, buf_text(&target), &list, err);
    if (json_array_size(list) > 0)
        one->log.attempt = cli_json_int(json_array_get(list, json_array_size(list) - 1), "attempt");
    json_decref(list);
    buf_fini(&target);
    return rc;
}

static int ask_log(void *context, struct error *err)
{
    struct follow_one *one = context;
    client_stream_close(one->log.stream);
    one->log.stream = NULL;
    int rc = one->log.attempt ? 0 : find_attempt(one, err);
    return rc ? rc : open_log(&one->follow, &one->log, err);
}

int cli_follow_task(struct cli_remote *remote, const char *run_id, const char *task_id, struct error *err)
{
    struct cli *cli = remote->cli;
    struct follow_one one = {.follow = {.remote = remote, .cli = cli, .run_id = run_id},
                             .log = {.task_id = (char *)(uintptr_t)task_id, .attempt = cli_number(cli, CLI_ATTEMPT)}};
    const struct cli_patience patience = {.cli = cli};
    struct buf bytes = BUF_INIT;
    bool end = false;
    int rc = cli_patience_ask(&patience, ask_log, &one, err);
    while (rc == 0 && !end && !cli->out_broken) {
        buf_clear(&bytes);
        rc = read_log(&one.log, true, &bytes, &end, err);
        bool cut = cli_patience_is_for(rc);
        if (cli->screen.out_terminal)
            cli_text_add_log(&cli->out, bytes.bytes, bytes.len, cli->screen.out_color, &one.log.line, end);
        else
            buf_add(&cli->out, bytes.bytes, bytes.len);
        if (rc == 0 || cut)
            rc = cli_flush(cli, err);
        if (rc == 0 && cut)
            rc = cli_patience_pause(&patience, CLI_PATIENCE_MIN_MS, err);
        if (rc == 0 && cut)
            rc = cli_patience_ask(&patience, ask_log, &one, err);
    }
    client_stream_close(one.log.stream);
    buf_fini(&one.log.line);
    buf_fini(&bytes);
    return rc;
}

/* ---- a whole run ---- */

static void print_line(struct follow *follow, const struct follow_log *log, const char *line, size_t len)
{
    struct buf *out = &follow->cli->out;
    bool color = follow->cli->screen.out_color;
    buf_add_text(out, color ? "\033[36m" : "");
    cli_text_add(out, log->task_id, strlen(log->task_id));
    buf_add_text(out, color ? " |\033[0m " : " | ");
    if (follow->cli->screen.out_terminal) {
        struct buf held = BUF_INIT;
        cli_text_add_log(out, line, len, color, &held, true);
        buf_add_text(out, color ? "\033[0m" : "");
        buf_fini(&held);
    } else {
        buf_add(out, line, len);
    }
    buf_add_char(out, '\n');
}

static void print_lines(struct follow *follow, struct follow_log *log, bool end)
{
    size_t at = 0;
    while (at < log->line.len) {
        const char *line = log->line.bytes + at;
        const char *line_end = memchr(line, '\n', log->line.len - at);
        size_t len = line_end ? (size_t)(line_end - line) : log->line.len - at;
        if (!line_end && !end && len < LINE_MAX_BYTES)
            break;
        print_line(follow, log, line, len > 0 && line_end && line[len - 1] == '\r' ? len - 1 : len);
        at += len + (line_end != NULL);
    }
    buf_drop_front(&log->line, at);
}

/* A task began an attempt, or ended it: its log is followed once, as soon as it has its turn. */
static void note_attempt(struct follow *follow, const json_t *task)
{
    const char *id = cli_json_text(task, "taskId"), *started = cli_json_text(task, "startedAt");
    int64_t attempt = cli_json_int(task, "attempt");
    struct follow_log *log = NULL;
    if (attempt == 0 || !started[0] || cli_json_text(task, "keptFrom")[0])
        return;
    for (size_t i = 0; i < follow->count && !log; i++) {
        struct follow_log *known = &follow->logs[i];
        if (strcmp(known->task_id, id) != 0)
            continue;
        if (known->attempt == attempt)
            log = known;
        else if (!known->completed[0]) /* the one before: it has ended, whenever that was */
            (void)snprintf(known->completed, sizeof known->completed, "%s", known->started);
    }
    if (!log) {
        follow->logs = mem_grow(follow->logs, &follow->cap, follow->count + 1, sizeof *follow->logs);
        log = &follow->logs[follow->count++];
        *log = (struct follow_log){.task_id = mem_strdup(id), .attempt = attempt};
        (void)snprintf(log->started, sizeof log->started, "%s", started);
    }
    (void)snprintf(log->completed, sizeof log->completed, "%s", cli_json_text(task, "completedAt"));
}

static int by_start(const void *a, const void *b)
{
    const struct follow_log *one = a, *two = b;
    int order = strcmp(one->started, two->started);
    return order ? order : strcmp(one->completed, two->completed);
}

static bool is_ended(const json_t *run)
{
    enum run_state state;
    return state_run_parse(cli_json_text(run, "state"), &state) && state_run_is_terminal(state);
}

static int read_status(struct follow *follow, struct error *err)
{
    json_t *status = NULL, *task;
    size_t index;
    struct buf body = BUF_INIT;
    int rc = cli_remote_call(follow->remote, "GET",
                             arena_printf(&follow->cli->arena, "/api/v1/runs/%s", follow->run_id), NULL, NULL, &body,
                             err);
    if (rc == 0)
        rc = cli_remote_parse(&body, &status, err);
    json_array_foreach(json_object_get(status, "tasks"), index, task)
        note_attempt(follow, task);
    if (follow->count > follow->next)
        qsort(follow->logs + follow->next, follow->count - follow->next, sizeof *follow->logs, by_start);
    follow->ended = follow->ended || (rc == 0 && is_ended(status));
    json_decref(status);
    buf_fini(&body);
    return rc;
}

static int on_event(void *context, const struct client_event *event, struct error *err)
{
    struct follow *follow = context;
    int rc = 0;
    if (strcmp(event->name, "reset") == 0)
        return read_status(follow, err);
    json_t *json = json_loadb(event->data, event->len, 0, NULL);
    if (json_object_get(json, "taskId"))
        note_attempt(follow, json);
    else if (strcmp(cli_json_text(json, "runId"), follow->run_id) == 0 && is_ended(json))
        rc = read_status(follow, err);
    json_decref(json);
    return rc;
}

static int open_events(struct follow *follow, struct error *err)
{
    const char *const headers[] = {"Last-Event-ID", follow->sse.id, NULL};
    char *target = arena_printf(&follow->cli->arena, "/api/v1/runs/%s/events", follow->run_id);
    const struct client_request request = {.target = target, .headers = follow->sse.id[0] ? headers : NULL};
    return client_stream_open(follow->remote->client, &request, &follow->events, err);
}

static void close_events(struct follow *follow)
{
    client_stream_close(follow->events);
    follow->events = NULL;
    client_sse_restart(&follow->sse);
}

/* A stream that ended is opened again: of a run that another node drives each only tells how it is. */
static int take_events(struct follow *follow, struct error *err)
{
    struct pollfd interrupt = {.fd = follow->cli->interrupt_fd, .events = POLLIN};
    struct buf bytes = BUF_INIT;
    bool end = false;
    int rc = client_stream_read(follow->events, false, &bytes, &end, err);
    if (rc == 0)
        rc = client_sse_feed(&follow->sse, bytes.bytes, bytes.len, on_event, follow, err);
    if (rc == 0 && end) {
        close_events(follow);
        rc = read_status(follow, err);
        if (rc == 0 && !follow->ended && poll(&interrupt, 1, PAUSE_MS) >= 0) /* the next round looks at it */
            rc = open_events(follow, err);
    }
    buf_fini(&bytes);
    return rc;
}

static int take_log(struct follow *follow, struct follow_log *log, struct error *err)
{
    bool end = false;
    int rc = read_log(log, false, &log->line, &end, err);
    log->cut = cli_patience_is_for(rc);
    print_lines(follow, log, end || (rc && !log->cut));
    if (end || rc) {
        client_stream_close(log->stream);
        log->stream = NULL;
        follow->open -= !log->cut;
    }
    return rc;
}

static void drop_log(struct follow_log *log)
{
    client_stream_close(log->stream);
    mem_free(log->task_id);
    buf_fini(&log->line);
}

/* Something had ended when it began, and is not printed to its end. */
static bool has_its_turn(const struct follow *follow, const struct follow_log *log)
{
    for (size_t i = 0; i < follow->next && follow->open; i++) {
        const struct follow_log *before = &follow->logs[i];
        if ((before->stream || before->cut) && before->completed[0] && strcmp(before->completed, log->started) <= 0)
            return false;
    }
    return follow->open < LOGS_MAX;
}

/* Of one that counts as open. */
static int begin_log(struct follow *follow, struct follow_log *log, struct error *err)
{
    int rc = open_log(follow, log, err);
    log->cut = cli_patience_is_for(rc);
    if (rc == 0) /* what came with the head of the answer wakes nobody */
        return take_log(follow, log, err);
    follow->open -= !log->cut;
    return rc == ERROR_NOT_FOUND || rc == ERROR_TASK_NOT_FOUND ? 0 : rc; /* the log is gone */
}

/* Opens what waits for its turn. Attempts that were read stay in the list: they are not begun again. */
static int open_waiting(struct follow *follow, struct error *err)
{
    int rc = 0;
    while (rc == 0 && follow->next < follow->count && has_its_turn(follow, &follow->logs[follow->next])) {
        struct follow_log *log = &follow->logs[follow->next++];
        follow->open++;
        rc = begin_log(follow, log, err);
    }
    return rc;
}

/* All that is not there: at first the events, later what is cut. */
static int ask_streams(void *context, struct error *err)
{
    struct follow *follow = context;
    int rc = 0;
    if (!follow->events && !follow->ended) {
        rc = open_events(follow, err);
        if (rc == 0)
            rc = read_status(follow, err);
        if (rc)
            close_events(follow);
    }
    for (size_t i = 0; i < follow->next && rc == 0; i++)
        if (follow->logs[i].cut)
            rc = begin_log(follow, &follow->logs[i], err);
    return rc;
}

static int mend(struct follow *follow, const struct cli_patience *patience, struct error *err)
{
    close_events(follow);
    int rc = cli_patience_pause(patience, CLI_PATIENCE_MIN_MS, err);
    return rc ? rc : cli_patience_ask(patience, ask_streams, follow, err);
}

static int wait_news(struct follow *follow, struct error *err)
{
    struct pollfd ready[LOGS_MAX + 2];
    struct follow_log *logs[LOGS_MAX];
    nfds_t count = 0;
    int rc = 0;
    for (size_t i = 0; i < follow->count && count < LOGS_MAX; i++) {
        if (!follow->logs[i].stream)
            continue;
        logs[count] = &follow->logs[i];
        ready[count++] = (struct pollfd){.fd = client_stream_fd(follow->logs[i].stream), .events = POLLIN};
    }
    nfds_t log_count = count;
    ready[count++] = (struct pollfd){.fd = follow->cli->interrupt_fd, .events = POLLIN};
    if (follow->events)
        ready[count++] = (struct pollfd){.fd = client_stream_fd(follow->events), .events = POLLIN};
    bool is_there = follow->events && client_stream_is_ready(follow->events);
    if (poll(ready, count, is_there ? 0 : -1) < 0 && errno != EINTR)
        return error_set(err, ERROR_IO, "waiting failed: %s", strerror(errno));
    if (ready[log_count].revents)
        return error_set(err, ERROR_INTERRUPTED, "interrupted; the run goes on");
    for (nfds_t i = 0; rc == 0 && i < log_count; i++)
        if (ready[i].revents)
            rc = take_log(follow, logs[i], err);
    if (rc == 0 && follow->events && (is_there || ready[log_count + 1].revents))
        rc = take_events(follow, err);
    return rc;
}

int cli_follow_run(struct cli_remote *remote, const char *run_id, struct error *err)
{
    struct follow follow = {.remote = remote, .cli = remote->cli, .run_id = run_id};
    const struct cli_patience patience = {.cli = remote->cli};
    int rc = cli_patience_ask(&patience, ask_streams, &follow, err);
    while (rc == 0 && !remote->cli->out_broken) {
        rc = open_waiting(&follow, err);
        if (rc == 0)
            rc = cli_flush(remote->cli, err);
        if (follow.ended && follow.open == 0 && follow.next == follow.count)
            break;
        if (rc == 0)
            rc = wait_news(&follow, err);
        if (cli_patience_is_for(rc))
            rc = mend(&follow, &patience, err);
    }
    for (size_t i = 0; i < follow.count; i++)
        drop_log(&follow.logs[i]);
    mem_free(follow.logs);
    client_stream_close(follow.events);
    client_sse_fini(&follow.sse);
    return rc;
}
