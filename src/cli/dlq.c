/* pawl dlq: failed tasks that wait for a person. */
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/show.h"
#include "cli/watch.h"

enum { LIMIT_USUAL = 20 };

static void show_letters(struct cli *cli, const json_t *letters)
{
    static const char *const titles[] = {"LETTER", "STATUS", "TASK", "RUN", ">ATTEMPTS", "CREATED", "CAUSE", NULL};
    const json_t *letter;
    size_t index;
    struct cli_grid grid;
    cli_grid_init(&grid, titles);
    json_array_foreach((json_t *)(uintptr_t)letters, index, letter) {
        const char *task = cli_json_text(letter, "taskId");
        cli_grid_add(&grid, cli_short_id(cli_json_text(letter, "id")));
        cli_grid_add(&grid, cli_json_text(letter, "resolutionStatus"));
        cli_grid_add(&grid, task[0] ? task : cli_json_text(letter, "taskName"));
        cli_grid_add(&grid, cli_short_id(cli_json_text(letter, "runId")));
        cli_grid_add_number(&grid, cli_json_int(letter, "totalAttempts"));
        cli_grid_add(&grid, cli_show_time(cli, cli_json_time(letter, "createdAt")));
        cli_grid_add(&grid, cli_json_text(letter, "errorMessage"));
    }
    cli_show_grid(cli, &grid);
    cli_grid_fini(&grid);
}

int cli_dlq_list(struct cli *cli, struct error *err)
{
    size_t limit = cli_given(cli, CLI_LIMIT) ? (size_t)cli_number(cli, CLI_LIMIT) : LIMIT_USUAL;
    const char *status = cli_text(cli, CLI_LETTER_STATUS), *dag = cli_text(cli, CLI_BY_DAG);
    char dag_id[UUID_TEXT_LEN + 1] = "";
    struct cli_remote remote;
    json_t *letters = NULL;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    if (dag)
        rc = cli_resolve_dag(&remote, dag, dag_id, err);
    if (rc == 0)
        rc = cli_remote_list(&remote,
                             arena_printf(&cli->arena, "/api/v1/dlq%s%s%s%s%s", status || dag ? "?" : "",
                                          status ? "status=" : "", status ? status : "",
                                          dag ? (status ? "&dagId=" : "dagId=") : "", dag_id),
                             "id", limit, &letters, err);
    if (rc == 0 && cli_wants_json(cli))
        cli_show_json(cli, letters);
    else if (rc == 0)
        show_letters(cli, letters);
    json_decref(letters);
    cli_remote_close(&remote);
    return rc;
}

/* The letter of the first operand, at /api/v1/dlq/ID + path. */
static int open_letter(struct cli *cli, struct cli_remote *remote, const char *path, const char **ret_target,
                       struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_letter(remote, cli_operand(cli, 0), id, err);
    if (rc == 0)
        *ret_target = arena_printf(&cli->arena, "/api/v1/dlq/%s%s", id, path);
    else
        cli_remote_close(remote);
    return rc;
}

int cli_dlq_show(struct cli *cli, struct error *err)
{
    struct cli_remote remote;
    const char *target;
    struct buf body = BUF_INIT;
    json_t *letter = NULL;
    int rc = open_letter(cli, &remote, "", &target, err);
    if (rc)
        return rc;
    rc = cli_remote_get(&remote, target, &body, err);
    if (rc == 0 && cli_wants_json(cli))
        cli_show_body(cli, &body);
    else if (rc == 0 && (rc = cli_remote_parse(&body, &letter, err)) == 0)
        cli_show_object(cli, letter);
    json_decref(letter);
    buf_fini(&body);
    cli_remote_close(&remote);
    return rc;
}

/* A call that makes a run; `text` is sent as `key`. */
static int make_run(struct cli *cli, const char *path, const char *key, const char *text, struct error *err)
{
    struct cli_remote remote;
    const char *target;
    struct buf body = BUF_INIT;
    struct json json;
    int rc = open_letter(cli, &remote, path, &target, err);
    if (rc)
        return rc;
    json_init(&json, &body);
    json_begin_object(&json);
    if (text)
        json_kv_string(&json, key, text);
    json_end_object(&json);
    rc = cli_watch_make_run(&remote, target, &body, err);
    buf_fini(&body);
    cli_remote_close(&remote);
    return rc;
}

int cli_dlq_retry(struct cli *cli, struct error *err)
{
    return make_run(cli, "/retry", NULL, NULL, err);
}

int cli_dlq_skip(struct cli *cli, struct error *err)
{
    return make_run(cli, "/skip", "reason", cli_text(cli, CLI_REASON), err);
}

int cli_dlq_resolve(struct cli *cli, struct error *err)
{
    struct cli_remote remote;
    const char *target;
    struct buf body = BUF_INIT;
    struct json json;
    int rc = open_letter(cli, &remote, "/resolve", &target, err);
    if (rc)
        return rc;
    json_init(&json, &body);
    json_begin_object(&json);
    if (cli_given(cli, CLI_NOTES))
        json_kv_string(&json, "notes", cli_text(cli, CLI_NOTES));
    if (cli_given(cli, CLI_RESOLVED_BY))
        json_kv_string(&json, "resolvedBy", cli_text(cli, CLI_RESOLVED_BY));
    json_end_object(&json);
    rc = cli_remote_call(&remote, "POST", target, NULL, &body, NULL, err);
    if (rc == 0)
        cli_say(cli, "resolved");
    buf_fini(&body);
    cli_remote_close(&remote);
    return rc;
}
