/* pawl dlq: failed tasks that wait for a person. */
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/show.h"
#include "cli/watch.h"

enum { LIMIT_USUAL = 20 };

static void show_letters(struct cli *cli, const json_t *letters)
{
    static const char *const titles[] = {"LETTER", "STATUS", "DAG", "TASK", "RUN", ">ATTEMPTS",
                                         "CREATED", "CAUSE", NULL};
    const json_t *letter;
    size_t index;
    struct cli_grid grid;
    cli_grid_init(&grid, titles);
    json_array_foreach((json_t *)(uintptr_t)letters, index, letter) {
        const char *task = cli_json_text(letter, "taskId");
        cli_grid_add(&grid, cli_short_id(cli_json_text(letter, "id")));
        cli_grid_add(&grid, cli_json_text(letter, "resolutionStatus"));
        cli_grid_add(&grid, cli_json_text(letter, "dagName"));
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

/* A call that makes a run. */
static int make_run(struct cli *cli, const char *path, struct buf *body, struct error *err)
{
    struct cli_remote remote;
    const char *target;
    int rc = open_letter(cli, &remote, path, &target, err);
    if (rc)
        return rc;
    rc = cli_watch_make_run(&remote, target, body, err);
    cli_remote_close(&remote);
    return rc;
}

/* Variables as members: their names may be what JSON has to escape. */
static void put_variables(struct json *json, const struct cli_value *variables)
{
    json_key(json, "env");
    json_begin_object(json);
    for (size_t i = 0; i < variables->count; i++) {
        const char *text = variables->items[i], *equals = strchr(text, '=');
        json_add_string_len(json, text, (size_t)(equals - text));
        buf_add_char(json->out, ':');
        json->needs_comma = false;
        json_add_string(json, equals + 1);
    }
    json_end_object(json);
}

/* What the new run has otherwise, if anything. */
static void put_changes(struct json *json, struct cli *cli)
{
    bool command = cli_given(cli, CLI_CHANGE_COMMAND), env = cli_given(cli, CLI_CHANGE_ENV);
    if (!command && !env)
        return;
    json_key(json, "changes");
    json_begin_object(json);
    if (command)
        json_kv_string(json, "command", cli_text(cli, CLI_CHANGE_COMMAND));
    if (env)
        put_variables(json, &cli->values[CLI_CHANGE_ENV]);
    json_end_object(json);
}

/* One letter or --all: an error when it is neither or both. */
static int check_choice(struct cli *cli, struct error *err)
{
    static const enum cli_option_id only_all[] = {CLI_BY_DAG, CLI_LETTER_ERROR, CLI_MAX_LETTERS, CLI_DRY_RUN};
    bool all = cli_flag(cli, CLI_ALL_LETTERS), one = cli_operand(cli, 0) != NULL;
    if (all == one)
        return error_set(err, ERROR_USAGE, all ? "give a LETTER or --all, not both" : "give a LETTER, or --all");
    for (size_t i = 0; one && i < sizeof only_all / sizeof *only_all; i++)
        if (cli_given(cli, only_all[i]))
            return error_set(err, ERROR_USAGE, "--%s belongs to --all", cli_options[only_all[i]].name);
    if (all && (cli_flag(cli, CLI_WAIT) || cli_given(cli, CLI_IDEMPOTENCY_KEY)))
        return error_set(err, ERROR_USAGE, "--wait and --idempotency-key belong to one LETTER");
    if (all && (cli_given(cli, CLI_CHANGE_COMMAND) || cli_given(cli, CLI_CHANGE_ENV)))
        return error_set(err, ERROR_USAGE, "--command and --env belong to one LETTER");
    return 0;
}

static void put_text(struct json *json, struct cli *cli, const char *key, enum cli_option_id id)
{
    if (cli_given(cli, id))
        json_kv_string(json, key, cli_text(cli, id));
}

static void put_bulk(struct json *json, struct cli *cli, const char *action, const char *dag_id)
{
    json_begin_object(json);
    json_kv_string(json, "action", action);
    json_key(json, "filter");
    json_begin_object(json);
    if (dag_id[0])
        json_kv_string(json, "dagId", dag_id);
    put_text(json, cli, "error", CLI_LETTER_ERROR);
    json_end_object(json);
    if (cli_given(cli, CLI_MAX_LETTERS))
        json_kv_int(json, "max", cli_number(cli, CLI_MAX_LETTERS));
    json_kv_bool(json, "dryRun", cli_flag(cli, CLI_DRY_RUN));
    put_text(json, cli, "reason", CLI_REASON);
    put_text(json, cli, "notes", CLI_NOTES);
    put_text(json, cli, "resolvedBy", CLI_RESOLVED_BY);
    json_end_object(json);
}

/* Exit status 1 when some could not be done. */
static int show_bulk(struct cli *cli, const struct buf *answer, struct error *err)
{
    json_t *result = NULL;
    int rc = cli_remote_parse(answer, &result, err);
    if (rc)
        return rc;
    int64_t skipped = cli_json_int(result, "skipped");
    if (cli_wants_json(cli))
        cli_show_body(cli, answer);
    else if (cli_flag(cli, CLI_DRY_RUN))
        cli_say(cli, "%lld would be asked for", (long long)cli_json_int(result, "matched"));
    else
        cli_say(cli, "%lld of %lld done, %lld skipped", (long long)cli_json_int(result, "done"),
                (long long)cli_json_int(result, "matched"), (long long)skipped);
    cli->exit_status = skipped > 0;
    json_decref(result);
    return 0;
}

static int do_all(struct cli *cli, const char *action, struct error *err)
{
    struct cli_remote remote;
    struct buf body = BUF_INIT, answer = BUF_INIT;
    struct json json;
    char dag_id[UUID_TEXT_LEN + 1] = "";
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    if (cli_given(cli, CLI_BY_DAG))
        rc = cli_resolve_dag(&remote, cli_text(cli, CLI_BY_DAG), dag_id, err);
    json_init(&json, &body);
    put_bulk(&json, cli, action, dag_id);
    if (rc == 0)
        rc = cli_remote_call(&remote, "POST", "/api/v1/dlq/bulk", NULL, &body, &answer, err);
    if (rc == 0)
        rc = show_bulk(cli, &answer, err);
    buf_fini(&body);
    buf_fini(&answer);
    cli_remote_close(&remote);
    return rc;
}

int cli_dlq_groups(struct cli *cli, struct error *err)
{
    static const char *const titles[] = {">LETTERS", "TYPE", "NEWEST", "ERROR", NULL};
    long long limit = cli_given(cli, CLI_LIMIT) ? (long long)cli_number(cli, CLI_LIMIT) : LIMIT_USUAL;
    const char *status = cli_text(cli, CLI_LETTER_STATUS), *dag = cli_text(cli, CLI_BY_DAG);
    char dag_id[UUID_TEXT_LEN + 1] = "";
    struct cli_remote remote;
    struct cli_grid grid;
    json_t *groups = NULL, *group;
    size_t index;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    if (dag)
        rc = cli_resolve_dag(&remote, dag, dag_id, err);
    if (rc == 0)
        rc = cli_remote_get_json(&remote,
                                 arena_printf(&cli->arena, "/api/v1/dlq/groups?limit=%lld%s%s%s%s",
                                              limit < LIMIT_PAGE_MAX ? limit : LIMIT_PAGE_MAX, status ? "&status=" : "",
                                              status ? status : "", dag ? "&dagId=" : "", dag_id),
                                 &groups, err);
    cli_grid_init(&grid, titles);
    json_array_foreach(groups, index, group) {
        cli_grid_add_number(&grid, cli_json_int(group, "count"));
        cli_grid_add(&grid, cli_json_text(group, "errorType"));
        cli_grid_add(&grid, cli_show_time(cli, cli_json_time(group, "newestAt")));
        cli_grid_add(&grid, cli_json_text(group, "error"));
    }
    if (rc == 0 && cli_wants_json(cli))
        cli_show_json(cli, groups);
    else if (rc == 0)
        cli_show_grid(cli, &grid);
    cli_grid_fini(&grid);
    json_decref(groups);
    cli_remote_close(&remote);
    return rc;
}

int cli_dlq_retry(struct cli *cli, struct error *err)
{
    int rc = check_choice(cli, err);
    if (rc || cli_flag(cli, CLI_ALL_LETTERS))
        return rc ? rc : do_all(cli, "retry", err);
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    put_changes(&json, cli);
    json_end_object(&json);
    rc = make_run(cli, "/retry", &body, err);
    buf_fini(&body);
    return rc;
}

int cli_dlq_skip(struct cli *cli, struct error *err)
{
    int rc = check_choice(cli, err);
    if (rc || cli_flag(cli, CLI_ALL_LETTERS))
        return rc ? rc : do_all(cli, "skip", err);
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    put_text(&json, cli, "reason", CLI_REASON);
    json_end_object(&json);
    rc = make_run(cli, "/skip", &body, err);
    buf_fini(&body);
    return rc;
}

int cli_dlq_resolve(struct cli *cli, struct error *err)
{
    struct cli_remote remote;
    const char *target;
    struct buf body = BUF_INIT;
    struct json json;
    int rc = check_choice(cli, err);
    if (rc || cli_flag(cli, CLI_ALL_LETTERS))
        return rc ? rc : do_all(cli, "resolve", err);
    rc = open_letter(cli, &remote, "/resolve", &target, err);
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
