/* pawl run FILE: one DAG to its end in this process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/dag_file.h"
#include "cli/report.h"
#include "cli/server_options.h"
#include "cli/view.h"

/* The folder of the file, absolute: where the DAG's relative paths start. For stdin the current one. */
static int base_dir_of(struct cli *cli, const char *path, const char **ret_dir, struct error *err)
{
    const char *slash = strcmp(path, "-") == 0 ? NULL : strrchr(path, '/');
    char *dir = realpath(slash == path ? "/" : slash ? arena_strndup(&cli->arena, path, (size_t)(slash - path)) : ".",
                         NULL);
    if (!dir)
        return error_set(err, ERROR_IO, "the folder of %s: %s", path, strerror(errno));
    *ret_dir = arena_strdup(&cli->arena, dir);
    free(dir);
    return 0;
}

/* The run without its tasks: from its own store, or what is known here when that cannot be read. */
static json_t *status_of(struct cli_remote *remote, bool readable, const struct server_local_result *result)
{
    char id[UUID_TEXT_LEN + 1], start[CLOCK_TEXT_MAX], end[CLOCK_TEXT_MAX];
    json_t *status = NULL;
    uuid_format(result->run_id, id);
    char *target = arena_printf(&remote->cli->arena, "/api/v1/runs/%s?taskLimit=0", id);
    if (readable && cli_remote_get_json(remote, target, &status, NULL) == 0)
        return status;
    clock_format_utc(result->started_ms, start);
    clock_format_utc(result->completed_ms, end);
    json_t *counts = json_object();
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        json_object_set_new(counts, state_task_name((enum task_state)i), json_integer(result->counts[i]));
    status = json_object();
    json_object_set_new(status, "runId", json_string(id));
    json_object_set_new(status, "state", json_string(state_run_name(result->state)));
    json_object_set_new(status, "startedAt", json_string(start));
    json_object_set_new(status, "completedAt", json_string(end));
    json_object_set_new(status, "counts", counts);
    return status;
}

/* What is said at the end comes from where 'pawl logs' finds it later. */
static void add_report(struct cli *cli, const struct server_local_result *result, const char *dag_name, bool color,
                       struct buf *out)
{
    struct cli_remote remote = {.cli = cli};
    struct error why;
    bool readable = cli_remote_open(cli, CLI_NEED_LOCAL, &remote, &why) == 0;
    buf_clear(&cli->hint);
    json_t *status = status_of(&remote, readable, result);
    cli_report_run(&remote, status, dag_name, color, out);
    json_decref(status);
    cli_remote_close(&remote);
}

static int run_dag(struct cli *cli, const struct server_options *options, struct server_local *local,
                   struct error *err)
{
    bool json = cli_wants_json(cli);
    int fd = json ? STDERR_FILENO : STDOUT_FILENO;
    const char *term = getenv("TERM");
    bool terminal = (json ? cli->screen.err_terminal : cli->screen.out_terminal) && term && strcmp(term, "dumb") != 0;
    bool color = json ? cli->screen.err_color : cli->screen.out_color;
    struct server_local_result result;
    struct buf status = BUF_INIT, report = BUF_INIT;
    struct cli_view view;
    int rc = cli_view_start(&view, local->dag, options->workers * options->slots, fd, terminal, color, err);
    if (rc)
        return rc;
    local->interrupt_fd = view.interrupt_fd;
    local->context = &view;
    local->on_start = cli_view_on_start;
    local->on_change = cli_view_on_change;
    rc = server_run_local(options, local, &result, json ? &status : NULL, err);
    cli_view_stop(&view);
    if (rc == 0)
        add_report(cli, &result, local->dag->name, color, &report);
    if (json) {
        cli_write_err(&report);
        buf_add(&cli->out, status.bytes, status.len);
        if (status.len > 0 && status.bytes[status.len - 1] != '\n')
            buf_add_char(&cli->out, '\n');
    } else {
        buf_add(&cli->out, report.bytes, report.len);
    }
    if (rc == 0)
        cli->exit_status = result.state == RUN_SUCCEEDED                       ? 0
                           : result.state == RUN_CANCELED && view.interrupts > 0 ? error_exit_class(ERROR_INTERRUPTED)
                                                                                 : 1;
    buf_fini(&status);
    buf_fini(&report);
    return rc;
}

int cli_run(struct cli *cli, struct error *err)
{
    const char *path = cli_operand(cli, 0);
    struct server_options options;
    struct server_local local = {0};
    struct buf source = BUF_INIT;
    int rc = cli_server_options(cli, &options, err);
    if (rc == 0)
        rc = base_dir_of(cli, path, &local.base_dir, err);
    if (rc == 0)
        rc = cli_dag_load(cli, path, &source, &local.dag, err);
    if (rc == 0) {
        local.source = source.bytes;
        local.source_len = source.len;
        cli_log_init(cli, LOG_WARN);
        rc = run_dag(cli, &options, &local, err);
    }
    dag_unref(local.dag);
    buf_fini(&source);
    return rc;
}
