/* pawl logs: pages of finished text, or streams that go on.
 *
 * Into a pipe bytes pass as they are. On a terminal control characters are shown as text, colours excepted. When
 * several tasks are followed, whole lines are printed, each behind its task's id. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/text.h"

/* Prints one log from the beginning, page by page. */
static int print_log(struct cli *cli, struct cli_remote *remote, const char *run_id, const char *task_id,
                     struct error *err)
{
    struct buf base = BUF_INIT, target = BUF_INIT, page = BUF_INIT, held = BUF_INIT;
    int64_t offset = 0;
    int rc;
    cli_remote_task_target(&base, run_id, task_id, "log");
    do {
        buf_clear(&page);
        buf_clear(&target);
        buf_printf(&target, "%s?offset=%lld", buf_text(&base), (long long)offset);
        if (cli_given(cli, CLI_ATTEMPT))
            buf_printf(&target, "&attempt=%lld", (long long)cli_number(cli, CLI_ATTEMPT));
        rc = cli_remote_get(remote, buf_text(&target), &page, err);
        if (rc == 0 && cli->screen.out_terminal)
            cli_text_add_log(&cli->out, page.bytes, page.len, cli->screen.out_color, &held, page.len == 0);
        else if (rc == 0)
            buf_add(&cli->out, page.bytes, page.len);
        offset += (int64_t)page.len;
        if (rc == 0)
            rc = cli_flush(cli, err);
    } while (rc == 0 && page.len > 0 && !cli->out_broken);
    buf_fini(&base);
    buf_fini(&target);
    buf_fini(&page);
    buf_fini(&held);
    return rc;
}

/* Every task that has begun, each below a line with its id. */
static int print_all(struct cli *cli, struct cli_remote *remote, const char *run_id, struct error *err)
{
    json_t *status = NULL, *task;
    size_t index;
    bool first = true;
    int rc = cli_remote_get_json(remote, arena_printf(&cli->arena, "/api/v1/runs/%s", run_id), &status, err);
    json_array_foreach(json_object_get(status, "tasks"), index, task) {
        const char *id = cli_json_text(task, "taskId");
        if (rc || cli_json_int(task, "attempt") == 0 || cli->out_broken)
            continue;
        buf_printf(&cli->out, "%s%s==> ", first ? "" : "\n", cli->screen.out_color ? "\033[1m" : "");
        cli_text_add(&cli->out, id, strlen(id));
        buf_printf(&cli->out, " <==%s\n", cli->screen.out_color ? "\033[0m" : "");
        first = false;
        rc = print_log(cli, remote, run_id, id, err);
        if (rc == ERROR_NOT_FOUND)
            rc = 0; /* its log is gone, the others may not be */
    }
    if (rc == 0 && first)
        cli_say(cli, "no task of run %s has begun", cli_short_id(run_id));
    json_decref(status);
    return rc;
}

int cli_logs(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    const char *task = cli_operand(cli, 1);
    struct cli_remote remote;
    if (!task && cli_given(cli, CLI_ATTEMPT))
        return error_set(err, ERROR_USAGE, "--attempt needs a TASK");
    int rc = cli_remote_open(cli, CLI_NEED_ANSWERS, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_run(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0 && cli_flag(cli, CLI_FOLLOW) && remote.client) {
        rc = task ? cli_follow_task(&remote, id, task, err) : cli_follow_run(&remote, id, err);
        /* A run of `pawl run` is not the daemon's: what is stored of it is all there is to follow. */
        if (rc == ERROR_RUN_NOT_FOUND && remote.offline)
            rc = task ? print_log(cli, &remote, id, task, err) : print_all(cli, &remote, id, err);
    } else if (rc == 0) {
        rc = task ? print_log(cli, &remote, id, task, err) : print_all(cli, &remote, id, err);
    }
    if (rc == ERROR_TASK_NOT_FOUND && task)
        cli_hint_tasks(&remote, id, task);
    cli_remote_close(&remote);
    return rc;
}
