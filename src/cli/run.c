/* pawl run FILE: one DAG to its end in this process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
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

/* What is said at the end comes from the run's own store, like what 'pawl logs' says later. */
static int add_report(struct cli *cli, const struct buf *status, const char *dag_name, bool color, struct buf *out,
                      struct error *err)
{
    struct cli_remote remote = {0};
    json_t *json = NULL;
    int rc = cli_remote_parse(status, &json, err);
    if (rc == 0)
        rc = cli_remote_open(cli, CLI_NEED_LOCAL, &remote, err);
    if (rc == 0)
        cli_report_run(&remote, json, dag_name, color, out);
    cli_remote_close(&remote);
    json_decref(json);
    return rc;
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
    rc = server_run_local(options, local, &result, &status, err);
    cli_view_stop(&view);
    if (rc == 0)
        rc = add_report(cli, &status, local->dag->name, color, &report, err);
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
