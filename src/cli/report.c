#include "cli/report.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "cli/live.h"
#include "cli/text.h"

enum { FAILURES_MAX = 10, TAIL_LINES = 8, TAIL_BYTES = 4096 };

const char *cli_json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int64_t cli_json_time(const json_t *object, const char *key)
{
    int64_t time_ms;
    return clock_parse_rfc3339(cli_json_text(object, key), &time_ms) ? time_ms : 0;
}

int64_t cli_json_int(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

uint32_t cli_report_counts(const json_t *status, uint32_t ret_counts[TASK_STATE_COUNT])
{
    const json_t *counts = json_object_get(status, "counts");
    uint32_t sum = 0;
    for (int i = 0; i < TASK_STATE_COUNT; i++) {
        int64_t count = cli_json_int(counts, state_task_name((enum task_state)i));
        ret_counts[i] = count > 0 && count < UINT32_MAX ? (uint32_t)count : 0;
        sum += ret_counts[i];
    }
    return sum;
}

int cli_report_exit_status(const json_t *status)
{
    return strcmp(cli_json_text(status, "state"), state_run_name(RUN_SUCCEEDED)) != 0;
}

void cli_report_cause(struct buf *out, const json_t *task)
{
    const char *error = cli_json_text(task, "error");
    const char *type = cli_json_text(task, "errorType");
    if (error[0])
        cli_text_add(out, error, strlen(error));
    else
        buf_add_text(out, type[0] ? type : "no cause was recorded");
}

/* As a shell reads it back. */
static void add_word(struct buf *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,";
    if (text[0] && strspn(text, plain) == strlen(text)) {
        buf_add_text(out, text);
        return;
    }
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

void cli_report_add_place(const struct cli *cli, struct buf *out)
{
    if (cli->values[CLI_SERVER].origin == CLI_ORIGIN_FLAG) {
        buf_add_text(out, " --server ");
        add_word(out, cli_text(cli, CLI_SERVER));
    }
    if (cli->values[CLI_DATA].origin == CLI_ORIGIN_FLAG) {
        buf_add_text(out, " --data ");
        add_word(out, cli_text(cli, CLI_DATA));
    }
}

/* The last lines, each behind a bar. */
static void add_tail(struct cli_remote *remote, const char *run_id, const char *task_id, struct buf *out)
{
    struct buf tail = BUF_INIT;
    if (cli_remote_log_tail(remote, run_id, task_id, TAIL_BYTES, &tail, NULL) == 0 && tail.len > 0) {
        size_t start = tail.len - (tail.bytes[tail.len - 1] == '\n');
        for (int lines = 0; start > 0; start--)
            if (tail.bytes[start - 1] == '\n' && ++lines == TAIL_LINES)
                break;
        while (start < tail.len) {
            const char *line = tail.bytes + start;
            const char *end = memchr(line, '\n', tail.len - start);
            size_t len = end ? (size_t)(end - line) : tail.len - start;
            buf_add_text(out, "    | ");
            cli_text_add(out, line, len > 0 && line[len - 1] == '\r' ? len - 1 : len);
            buf_add_char(out, '\n');
            start += len + 1;
        }
    }
    buf_fini(&tail);
}

static void add_failure(struct cli_remote *remote, const char *run_id, const json_t *task, bool color, struct buf *out)
{
    const char *id = cli_json_text(task, "taskId"), *name = cli_json_text(task, "name");
    int64_t attempts = cli_json_int(task, "attempt");
    buf_printf(out, "\n  %s", color ? "\033[31m" : "");
    cli_text_add(out, id, strlen(id));
    buf_add_text(out, color ? "\033[0m" : "");
    if (strcmp(id, name) != 0 && name[0]) {
        buf_add_text(out, " (");
        cli_text_add(out, name, strlen(name));
        buf_add_char(out, ')');
    }
    buf_add_text(out, " failed: ");
    cli_report_cause(out, task);
    if (attempts > 1)
        buf_printf(out, " (after %lld attempts)", (long long)attempts);
    buf_add_char(out, '\n');
    add_tail(remote, run_id, id, out);
    struct buf word = BUF_INIT;
    add_word(&word, id);
    buf_printf(out, "    pawl logs %s ", cli_short_id(run_id));
    cli_text_add(out, word.bytes, word.len);
    cli_report_add_place(remote->cli, out);
    buf_add_char(out, '\n');
    buf_fini(&word);
}

static void add_failures(struct cli_remote *remote, const char *run_id, uint32_t count, bool color, struct buf *out)
{
    struct buf target = BUF_INIT;
    json_t *status = NULL, *task;
    size_t index;
    buf_printf(&target, "/api/v1/runs/%s?taskState=failed&taskLimit=%d", run_id, FAILURES_MAX);
    if (cli_remote_get_json(remote, buf_text(&target), &status, NULL) == 0) {
        json_array_foreach(json_object_get(status, "tasks"), index, task)
            add_failure(remote, run_id, task, color, out);
        if (count > FAILURES_MAX) {
            buf_printf(out, "\n  and %u more: pawl runs show %s --state failed", count - FAILURES_MAX,
                       cli_short_id(run_id));
            cli_report_add_place(remote->cli, out);
            buf_add_char(out, '\n');
        }
        buf_add_char(out, '\n');
    }
    json_decref(status);
    buf_fini(&target);
}

void cli_report_run(struct cli_remote *remote, const json_t *status, const char *dag_name, bool color, struct buf *out)
{
    const char *run_id = cli_json_text(status, "runId"), *state = cli_json_text(status, "state");
    const char *error = cli_json_text(status, "error");
    int64_t start_ms = cli_json_time(status, "startedAt"), end_ms = cli_json_time(status, "completedAt");
    uint32_t counts[TASK_STATE_COUNT];
    char elapsed[24];
    cli_report_counts(status, counts);
    if (counts[TASK_FAILED] > 0)
        add_failures(remote, run_id, counts[TASK_FAILED], color, out);
    buf_printf(out, "run %s", cli_short_id(run_id));
    if (dag_name && dag_name[0]) {
        buf_add_text(out, " of ");
        cli_text_add(out, dag_name, strlen(dag_name));
    }
    buf_printf(out, " %s%s%s: ", color ? cli_live_color(state) : "", state, color ? "\033[0m" : "");
    cli_live_add_counts(out, counts, color);
    if (start_ms && end_ms) {
        str_format_elapsed(end_ms - start_ms, elapsed);
        buf_printf(out, ", in %s", elapsed);
    }
    buf_add_char(out, '\n');
    if (error[0] && counts[TASK_FAILED] == 0) {
        buf_add_text(out, "  ");
        cli_text_add(out, error, strlen(error));
        buf_add_char(out, '\n');
    }
}
