/* pawl dags: what the daemon can run. */
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/dag_file.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/show.h"

enum { LATEST_RUNS = 5, LIMIT_USUAL = 20 };

int cli_dags_list(struct cli *cli, struct error *err)
{
    static const char *const titles[] = {"ID", "NAME", ">TASKS", "SCHEDULE", ">VERSION", "CREATED", NULL};
    size_t limit = cli_given(cli, CLI_LIMIT) ? (size_t)cli_number(cli, CLI_LIMIT) : LIMIT_USUAL;
    struct cli_remote remote;
    json_t *list = NULL, *dag;
    size_t index;
    int rc = cli_remote_open(cli, CLI_NEED_CATALOG, &remote, err);
    if (rc)
        return rc;
    rc = cli_remote_list(&remote, "/api/v1/dags", "id", limit, &list, err);
    if (rc == 0 && cli_wants_json(cli)) {
        cli_show_json(cli, list);
    } else if (rc == 0) {
        struct cli_grid grid;
        cli_grid_init(&grid, titles);
        json_array_foreach(list, index, dag) {
            const char *schedule = cli_json_text(dag, "schedule");
            bool paused = json_is_true(json_object_get(dag, "paused"));
            cli_grid_add(&grid, cli_short_id(cli_json_text(dag, "id")));
            cli_grid_add(&grid, cli_json_text(dag, "name"));
            cli_grid_add_number(&grid, cli_json_int(dag, "taskCount"));
            cli_grid_add(&grid, paused ? arena_printf(&cli->arena, "%s (paused)", schedule) : schedule);
            cli_grid_add_number(&grid, cli_json_int(dag, "version"));
            cli_grid_add(&grid, cli_show_time(cli, cli_json_time(dag, "createdAt")));
        }
        cli_show_grid(cli, &grid);
        cli_grid_fini(&grid);
    }
    json_decref(list);
    cli_remote_close(&remote);
    return rc;
}

static int show_latest_runs(struct cli *cli, struct cli_remote *remote, const char *id, struct error *err)
{
    static const char *const titles[] = {"RUN", "STATE", "STARTED", "TOOK", NULL};
    json_t *list = NULL, *run;
    size_t index;
    char *query = arena_printf(&cli->arena, "/api/v1/runs?dagId=%s", id);
    int rc = cli_remote_list(remote, query, "runId", LATEST_RUNS, &list, err);
    if (rc == 0 && json_array_size(list) > 0) {
        struct cli_grid grid;
        cli_grid_init(&grid, titles);
        json_array_foreach(list, index, run) {
            int64_t start_ms = cli_json_time(run, "startedAt");
            cli_grid_add(&grid, cli_short_id(cli_json_text(run, "runId")));
            cli_grid_add(&grid, cli_json_text(run, "state"));
            cli_grid_add(&grid, cli_show_time(cli, start_ms));
            cli_grid_add(&grid, cli_show_elapsed(cli, start_ms, cli_json_time(run, "completedAt")));
        }
        buf_add_char(&cli->out, '\n');
        cli_show_grid(cli, &grid);
        cli_grid_fini(&grid);
    }
    json_decref(list);
    return rc;
}

/* Best effort: a daemon of an older version does not know. */
static void show_next_fire(struct cli *cli, struct cli_remote *remote, const char *id)
{
    json_t *answer = NULL;
    if (cli_remote_get_json(remote, arena_printf(&cli->arena, "/api/v1/schedule/preview?n=1&dagId=%s", id), &answer,
                            NULL) == 0)
        buf_printf(&cli->out, "next fire  %s\n",
                   cli_json_text(json_array_get(json_object_get(answer, "next"), 0), "local"));
    json_decref(answer);
}

int cli_dags_show(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    struct buf body = BUF_INIT;
    json_t *dag = NULL;
    int rc = cli_remote_open(cli, CLI_NEED_CATALOG, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_dag(&remote, cli_operand(cli, 0), id, err);
    if (rc)
        goto out;
    bool source = cli_flag(cli, CLI_SOURCE);
    rc = cli_remote_get(&remote, arena_printf(&cli->arena, "/api/v1/dags/%s%s", id, source ? "/source" : ""), &body,
                        err);
    if (rc)
        goto out;
    if (source)
        buf_add(&cli->out, body.bytes, body.len);
    else if (cli_wants_json(cli))
        cli_show_body(cli, &body);
    else if ((rc = cli_remote_parse(&body, &dag, err)) == 0) {
        cli_show_object(cli, dag);
        if (cli_json_text(dag, "schedule")[0] && !json_is_true(json_object_get(dag, "paused")))
            show_next_fire(cli, &remote, id);
        rc = show_latest_runs(cli, &remote, id, err);
    }
out:
    json_decref(dag);
    buf_fini(&body);
    cli_remote_close(&remote);
    return rc;
}

/* The live DAG of a name, if there is one. */
static int find_by_name(struct cli_remote *remote, const char *name, json_t **ret_dag, struct error *err)
{
    struct buf query = BUF_INIT;
    json_t *list = NULL;
    buf_add_text(&query, "/api/v1/dags?name=");
    client_encode(&query, name);
    int rc = cli_remote_list(remote, buf_text(&query), "id", 1, &list, err);
    if (rc == 0)
        *ret_dag = json_incref(json_array_get(list, 0));
    json_decref(list);
    buf_fini(&query);
    return rc;
}

static int send_dag(struct cli_remote *remote, const char *id, const char *name, const struct buf *source,
                    struct buf *ret_answer, struct error *err)
{
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    if (!id)
        json_kv_string(&json, "name", name);
    json_key(&json, "yaml");
    json_add_string_len(&json, source->bytes, source->len);
    json_end_object(&json);
    const char *target = id ? arena_printf(&remote->cli->arena, "/api/v1/dags/%s", id) : "/api/v1/dags";
    int rc = cli_remote_call(remote, id ? "PUT" : "POST", target, NULL, &body, ret_answer, err);
    buf_fini(&body);
    return rc;
}

static int apply(struct cli *cli, struct cli_remote *remote, const struct dag *dag, const struct buf *source,
                 struct error *err)
{
    json_t *old = NULL, *now = NULL;
    struct buf answer = BUF_INIT;
    int rc = find_by_name(remote, dag->name, &old, err);
    if (rc == 0)
        rc = send_dag(remote, old ? cli_json_text(old, "id") : NULL, dag->name, source, &answer, err);
    if (rc == ERROR_DAG_EXISTS) { /* made by somebody else just now */
        rc = find_by_name(remote, dag->name, &old, err);
        if (rc == 0 && old)
            rc = send_dag(remote, cli_json_text(old, "id"), dag->name, source, &answer, err);
    }
    if (rc == 0)
        rc = cli_remote_parse(&answer, &now, err);
    if (rc == 0 && cli_wants_json(cli)) {
        cli_show_body(cli, &answer);
    } else if (rc == 0) {
        int64_t version = cli_json_int(now, "version");
        cli_say(cli, "%s %s, version %lld", dag->name,
                !old                                       ? "created"
                : version != cli_json_int(old, "version") ? "updated"
                                                           : "unchanged",
                (long long)version);
        buf_printf(&cli->out, "%s\n", cli_json_text(now, "id"));
    }
    json_decref(old);
    json_decref(now);
    buf_fini(&answer);
    return rc;
}

int cli_dags_apply(struct cli *cli, struct error *err)
{
    struct buf source = BUF_INIT;
    struct dag *dag = NULL;
    struct cli_remote remote = {0};
    int rc = cli_dag_load(cli, cli_operand(cli, 0), &source, &dag, err);
    if (rc == 0)
        rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc == 0)
        rc = apply(cli, &remote, dag, &source, err);
    cli_remote_close(&remote);
    dag_unref(dag);
    buf_fini(&source);
    return rc;
}

/* One call on a DAG; says what was done. */
static int act(struct cli *cli, const char *method, const char *path, const char *done, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_dag(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0)
        rc = cli_remote_call(&remote, method, arena_printf(&cli->arena, "/api/v1/dags/%s%s", id, path), NULL, NULL,
                             NULL, err);
    if (rc == 0)
        cli_say(cli, "%s %s", cli_operand(cli, 0), done);
    cli_remote_close(&remote);
    return rc;
}

int cli_dags_delete(struct cli *cli, struct error *err)
{
    return act(cli, "DELETE", "", "deleted", err);
}

int cli_dags_pause(struct cli *cli, struct error *err)
{
    return act(cli, "POST", "/pause", "paused", err);
}

int cli_dags_resume(struct cli *cli, struct error *err)
{
    return act(cli, "POST", "/resume", "resumed", err);
}
