/* pawl workers, cluster, health, why, dlq stats: what the daemon says of itself. */
#include <string.h>

#include "base/str.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/show.h"

/* A GET of the daemon, shown as it is. */
static int show(struct cli *cli, struct cli_remote *remote, const char *target, struct error *err)
{
    struct buf body = BUF_INIT;
    json_t *json = NULL;
    int rc = cli_remote_call(remote, "GET", target, NULL, NULL, &body, err);
    if (rc == 0 && cli_wants_json(cli))
        cli_show_body(cli, &body);
    else if (rc == 0 && (rc = cli_remote_parse(&body, &json, err)) == 0)
        cli_show_object(cli, json);
    json_decref(json);
    buf_fini(&body);
    return rc;
}

static int open_and_show(struct cli *cli, const char *target, struct error *err)
{
    struct cli_remote remote;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = show(cli, &remote, target, err);
    cli_remote_close(&remote);
    return rc;
}

int cli_cluster(struct cli *cli, struct error *err)
{
    return open_and_show(cli, "/api/v1/cluster", err);
}

int cli_dlq_stats(struct cli *cli, struct error *err)
{
    return open_and_show(cli, "/api/v1/dlq/stats", err);
}

/* 503 is an answer here: it says what is not well. */
int cli_health(struct cli *cli, struct error *err)
{
    struct cli_remote remote;
    struct client_answer answer = {0};
    const struct client_request request = {.target = "/health"};
    json_t *json = NULL;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_remote_send(&remote, &request, &answer, err);
    if (rc == 0 && answer.status != 200 && answer.status != 503)
        rc = client_answer_error(answer.status, answer.body.bytes, answer.body.len, err);
    if (rc == 0)
        rc = cli_remote_parse(&answer.body, &json, err);
    if (rc == 0 && cli_wants_json(cli))
        cli_show_body(cli, &answer.body);
    else if (rc == 0)
        cli_show_object(cli, json);
    if (rc == 0)
        cli->exit_status = answer.status != 200;
    json_decref(json);
    client_answer_fini(&answer);
    cli_remote_close(&remote);
    return rc;
}

int cli_workers_list(struct cli *cli, struct error *err)
{
    static const char *const titles[] = {"WORKER", "STATUS", ">RUNNING", ">QUEUED", ">SLOTS", "HOST", NULL};
    struct cli_remote remote;
    json_t *workers = NULL, *worker;
    size_t index;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_remote_get_json(&remote, "/api/v1/workers", &workers, err);
    if (rc == 0 && cli_wants_json(cli)) {
        cli_show_json(cli, workers);
    } else if (rc == 0) {
        struct cli_grid grid;
        cli_grid_init(&grid, titles);
        json_array_foreach(workers, index, worker) {
            cli_grid_add(&grid, cli_short_id(cli_json_text(worker, "id")));
            cli_grid_add(&grid, cli_json_text(worker, "status"));
            cli_grid_add_number(&grid, cli_json_int(worker, "runningTasks"));
            cli_grid_add_number(&grid, cli_json_int(worker, "queueDepth"));
            cli_grid_add_number(&grid, cli_json_int(worker, "slots"));
            cli_grid_add(&grid, cli_json_text(worker, "host"));
        }
        cli_show_grid(cli, &grid);
        cli_grid_fini(&grid);
    }
    json_decref(workers);
    cli_remote_close(&remote);
    return rc;
}

static int act_on_worker(struct cli *cli, const char *path, const char *done, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_worker(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0)
        rc = cli_remote_call(&remote, "POST", arena_printf(&cli->arena, "/api/v1/workers/%s%s", id, path), NULL, NULL,
                             NULL, err);
    if (rc == 0)
        cli_say(cli, "worker %s %s", cli_short_id(id), done);
    cli_remote_close(&remote);
    return rc;
}

int cli_workers_drain(struct cli *cli, struct error *err)
{
    return act_on_worker(cli, "/drain", "gets nothing new", err);
}

int cli_workers_resume(struct cli *cli, struct error *err)
{
    return act_on_worker(cli, "/resume", "gets work again", err);
}

static void show_why(struct cli *cli, const json_t *why)
{
    const char *message = cli_json_text(why, "message");
    const json_t *dependency;
    size_t index;
    cli_show_pair(cli, "task", cli_json_text(why, "taskId"));
    cli_show_pair(cli, "state", cli_json_text(why, "state"));
    cli_show_pair(cli, "why", message);
    if (cli_json_time(why, "since"))
        cli_show_pair(cli, "since", cli_show_time(cli, cli_json_time(why, "since")));
    if (cli_json_time(why, "until"))
        cli_show_pair(cli, "until", cli_show_time(cli, cli_json_time(why, "until")));
    json_array_foreach(json_object_get(why, "dependencies"), index, dependency)
        cli_show_pair(cli, index == 0 ? "dependencies" : "",
                      arena_printf(&cli->arena, "%s  %s", cli_json_text(dependency, "taskId"),
                                   cli_json_text(dependency, "state")));
}

int cli_why(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    struct buf target = BUF_INIT, body = BUF_INIT;
    json_t *why = NULL;
    const char *task = cli_operand(cli, 1);
    int rc = cli_remote_open(cli, CLI_NEED_ANSWERS, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_run(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0) {
        cli_remote_task_target(&target, id, task, "why");
        rc = cli_remote_get(&remote, buf_text(&target), &body, err);
    }
    if (rc == ERROR_TASK_NOT_FOUND)
        cli_hint_tasks(&remote, id, task);
    if (rc == 0 && cli_wants_json(cli))
        cli_show_body(cli, &body);
    else if (rc == 0 && (rc = cli_remote_parse(&body, &why, err)) == 0)
        show_why(cli, why);
    json_decref(why);
    buf_fini(&target);
    buf_fini(&body);
    cli_remote_close(&remote);
    return rc;
}
