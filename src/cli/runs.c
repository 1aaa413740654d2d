/* pawl runs, pawl trigger. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/live.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "cli/show.h"
#include "cli/watch.h"

enum { LIMIT_USUAL = 20, NAMES_MAX = 1000, TASKS_SHOWN_MAX = 1000 };

/* Names of DAGs by id, for tables. */
static const char *dag_name(struct cli *cli, const json_t *dags, const char *id)
{
    const json_t *dag;
    size_t index;
    json_array_foreach((json_t *)(uintptr_t)dags, index, dag)
        if (strcmp(cli_json_text(dag, "id"), id) == 0)
            return cli_json_text(dag, "name");
    return arena_printf(&cli->arena, "(%s)", cli_short_id(id));
}

static void show_runs(struct cli *cli, const json_t *runs, const json_t *dags)
{
    static const char *const titles[] = {"RUN", "DAG", "STATE", "BY", "CREATED", "TOOK", NULL};
    const json_t *run;
    size_t index;
    struct cli_grid grid;
    cli_grid_init(&grid, titles);
    json_array_foreach((json_t *)(uintptr_t)runs, index, run) {
        cli_grid_add(&grid, cli_short_id(cli_json_text(run, "runId")));
        cli_grid_add(&grid, dag_name(cli, dags, cli_json_text(run, "dagId")));
        cli_grid_add(&grid, cli_json_text(run, "state"));
        cli_grid_add(&grid, cli_json_text(run, "triggeredBy"));
        cli_grid_add(&grid, cli_show_time(cli, cli_json_time(run, "createdAt")));
        cli_grid_add(&grid, cli_show_elapsed(cli, cli_json_time(run, "startedAt"), cli_json_time(run, "completedAt")));
    }
    cli_show_grid(cli, &grid);
    cli_grid_fini(&grid);
}

/* DAGs of this name: one of the daemon, and one of each store of `pawl run` that knows it. */
static int dags_named(struct cli_remote *remote, const char *name, json_t **ret_dags, struct error *err)
{
    struct buf query = BUF_INIT;
    buf_add_text(&query, "/api/v1/dags?name=");
    client_encode(&query, name);
    int rc = name[0] && strlen(name) <= LIMIT_DAG_NAME_BYTES_MAX && str_utf8_valid(name, strlen(name))
                 ? cli_remote_list(remote, buf_text(&query), "id", NAMES_MAX, ret_dags, err)
                 : 0;
    buf_fini(&query);
    return rc;
}

/* Adds an option to a query, of a list all with commas between. */
static void add_filter(struct buf *query, const struct cli *cli, enum cli_option_id id, const char *name)
{
    const struct cli_value *value = &cli->values[id];
    for (size_t i = 0; i < value->count; i++) {
        if (i == 0)
            buf_printf(query, "%c%s=", memchr(buf_text(query), '?', query->len) ? '&' : '?', name);
        else
            buf_add_char(query, ',');
        client_encode(query, value->items[i]);
    }
}

static int list_runs(struct cli_remote *remote, const char *dag_id, size_t limit, json_t **ret_runs, struct error *err)
{
    struct cli *cli = remote->cli;
    struct buf query = BUF_INIT;
    buf_add_text(&query, "/api/v1/runs");
    add_filter(&query, cli, CLI_RUN_STATE, "state");
    add_filter(&query, cli, CLI_TRIGGER, "triggeredBy");
    add_filter(&query, cli, CLI_CREATED_AFTER, "createdAfter");
    add_filter(&query, cli, CLI_CREATED_BEFORE, "createdBefore");
    add_filter(&query, cli, CLI_RUN_ERROR, "error");
    if (dag_id)
        buf_printf(&query, "%cdagId=%s", memchr(buf_text(&query), '?', query.len) ? '&' : '?', dag_id);
    int rc = cli_remote_list(remote, buf_text(&query), "runId", limit, ret_runs, err);
    buf_fini(&query);
    return rc;
}

static int by_id_descending(const void *a, const void *b)
{
    return strcmp(cli_json_text(*(json_t *const *)b, "runId"), cli_json_text(*(json_t *const *)a, "runId"));
}

/* Runs of all DAGs of a name, newest first. */
static int list_runs_by_dag(struct cli_remote *remote, const char *text, size_t limit, json_t **ret_runs,
                            struct error *err)
{
    json_t *dags = NULL, *dag, *all = json_array();
    char id[UUID_TEXT_LEN + 1];
    size_t index;
    int rc = dags_named(remote, text, &dags, err);
    if (rc == 0 && json_array_size(dags) == 0) {
        rc = cli_resolve_dag(remote, text, id, err);
        if (rc == 0)
            rc = list_runs(remote, id, limit, ret_runs, err);
        goto out;
    }
    json_array_foreach(dags, index, dag) {
        json_t *runs = NULL;
        if (rc == 0)
            rc = list_runs(remote, cli_json_text(dag, "id"), limit, &runs, err);
        (void)json_array_extend(all, runs);
        json_decref(runs);
    }
    size_t count = json_array_size(all);
    json_t **sorted = arena_array(&remote->cli->arena, count + 1, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = json_array_get(all, i);
    qsort(sorted, count, sizeof *sorted, by_id_descending);
    *ret_runs = json_array();
    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append(*ret_runs, sorted[i]);
out:
    json_decref(dags);
    json_decref(all);
    return rc;
}

int cli_runs_list(struct cli *cli, struct error *err)
{
    size_t limit = cli_given(cli, CLI_LIMIT) ? (size_t)cli_number(cli, CLI_LIMIT) : LIMIT_USUAL;
    const char *dag = cli_text(cli, CLI_BY_DAG);
    struct cli_remote remote;
    json_t *runs = NULL, *dags = NULL;
    int rc = cli_remote_open(cli, CLI_NEED_ANSWERS, &remote, err);
    if (rc)
        return rc;
    rc = dag ? list_runs_by_dag(&remote, dag, limit, &runs, err) : list_runs(&remote, NULL, limit, &runs, err);
    if (rc == 0 && cli_wants_json(cli)) {
        cli_show_json(cli, runs);
    } else if (rc == 0) {
        rc = cli_remote_list(&remote, "/api/v1/dags", "id", NAMES_MAX, &dags, err);
        if (rc == 0)
            show_runs(cli, runs, dags);
    }
    json_decref(runs);
    json_decref(dags);
    cli_remote_close(&remote);
    return rc;
}

static void show_tasks(struct cli *cli, const json_t *tasks)
{
    static const char *const titles[] = {"TASK", "STATE", ">ATTEMPT", "STARTED", "TOOK", "CAUSE", NULL};
    const json_t *task;
    size_t index;
    struct cli_grid grid;
    cli_grid_init(&grid, titles);
    json_array_foreach((json_t *)(uintptr_t)tasks, index, task) {
        int64_t start_ms = cli_json_time(task, "startedAt");
        const char *cause = cli_json_text(task, "error");
        cli_grid_add(&grid, cli_json_text(task, "taskId"));
        cli_grid_add(&grid, cli_json_text(task, "state"));
        cli_grid_add_number(&grid, cli_json_int(task, "attempt"));
        cli_grid_add(&grid, cli_show_time(cli, start_ms));
        cli_grid_add(&grid, cli_show_elapsed(cli, start_ms, cli_json_time(task, "completedAt")));
        cli_grid_add(&grid, cli_json_text(task, "keptFrom")[0] ? "kept from an earlier run" : cause);
    }
    cli_show_grid(cli, &grid);
    cli_grid_fini(&grid);
}

static void show_status(struct cli *cli, const json_t *status, const char *name)
{
    uint32_t counts[TASK_STATE_COUNT];
    struct buf text = BUF_INIT;
    const json_t *tasks = json_object_get(status, "tasks");
    int64_t start_ms = cli_json_time(status, "startedAt");
    cli_report_counts(status, counts);
    cli_show_pair(cli, "run", cli_json_text(status, "runId"));
    cli_show_pair(cli, "dag", name);
    cli_show_pair(cli, "state", cli_json_text(status, "state"));
    if (cli_json_text(status, "error")[0])
        cli_show_pair(cli, "error", cli_json_text(status, "error"));
    cli_live_add_counts(&text, counts, false);
    cli_show_pair(cli, "tasks", buf_text(&text));
    cli_show_pair(cli, "triggeredBy", cli_json_text(status, "triggeredBy"));
    cli_show_pair(cli, "created", cli_show_time(cli, cli_json_time(status, "createdAt")));
    if (cli_json_time(status, "cancelRequestedAt"))
        cli_show_pair(cli, "cancelRequested", cli_show_time(cli, cli_json_time(status, "cancelRequestedAt")));
    cli_show_pair(cli, "took", cli_show_elapsed(cli, start_ms, cli_json_time(status, "completedAt")));
    if (json_array_size(tasks) > 0) {
        buf_add_char(&cli->out, '\n');
        show_tasks(cli, tasks);
    }
    if (json_array_size(tasks) == TASKS_SHOWN_MAX)
        cli_say(cli, "the first %d tasks are shown; --state STATE picks some, -o json gives all", TASKS_SHOWN_MAX);
    buf_fini(&text);
}

/* For programs all tasks, for people as many as anybody reads. */
static const char *status_target(struct cli *cli, const char *id)
{
    const char *state = cli_text(cli, CLI_TASK_STATE);
    struct buf target = BUF_INIT;
    const char *mark = "?";
    buf_printf(&target, "/api/v1/runs/%s", id);
    if (state) {
        buf_printf(&target, "%staskState=%s", mark, state);
        mark = "&";
    }
    if (!cli_wants_json(cli))
        buf_printf(&target, "%staskLimit=%d", mark, TASKS_SHOWN_MAX);
    const char *text = arena_strdup(&cli->arena, buf_text(&target));
    buf_fini(&target);
    return text;
}

int cli_runs_show(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    struct buf body = BUF_INIT;
    json_t *status = NULL, *dag = NULL;
    int rc = cli_remote_open(cli, CLI_NEED_ANSWERS, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_run(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0)
        rc = cli_remote_get(&remote, status_target(cli, id), &body, err);
    if (rc == 0 && cli_wants_json(cli)) {
        cli_show_body(cli, &body);
    } else if (rc == 0 && (rc = cli_remote_parse(&body, &status, err)) == 0) {
        const char *dag_id = cli_json_text(status, "dagId");
        char *target = arena_printf(&cli->arena, "/api/v1/dags/%s", dag_id);
        bool known = cli_remote_get_json(&remote, target, &dag, NULL) == 0;
        show_status(cli, status, known ? cli_json_text(dag, "name") : dag_id);
    }
    json_decref(dag);
    json_decref(status);
    buf_fini(&body);
    cli_remote_close(&remote);
    return rc;
}

int cli_runs_watch(struct cli *cli, struct error *err)
{
    struct cli_remote remote;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_watch(&remote, cli_operand(cli, 0), cli_wants_json(cli) ? STDERR_FILENO : STDOUT_FILENO, 0, err);
    cli_remote_close(&remote);
    return rc;
}

int cli_runs_cancel(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    struct buf answer = BUF_INIT;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_run(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0)
        rc = cli_remote_call(&remote, "POST", arena_printf(&cli->arena, "/api/v1/runs/%s/cancel", id), NULL, NULL,
                             &answer, err);
    if (rc == 0 && cli_wants_json(cli))
        cli_show_body(cli, &answer);
    else if (rc == 0)
        cli_say(cli, "run %s is being canceled", cli_short_id(id));
    buf_fini(&answer);
    cli_remote_close(&remote);
    return rc;
}

int cli_runs_rerun(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    const char *task = cli_text(cli, CLI_TASK), *from = cli_text(cli, CLI_FROM);
    struct cli_remote remote;
    struct buf body = BUF_INIT;
    struct json json;
    if (task && from)
        return error_set(err, ERROR_USAGE, "--task and --from exclude each other");
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_run(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0) {
        json_init(&json, &body);
        json_begin_object(&json);
        json_kv_string(&json, "from", task ? "task" : from ? from : "failed");
        if (task)
            json_kv_string(&json, "taskId", task);
        if (cli_flag(cli, CLI_LATEST))
            json_kv_string(&json, "version", "latest");
        json_end_object(&json);
        rc = cli_watch_make_run(&remote, arena_printf(&cli->arena, "/api/v1/runs/%s/rerun", id), &body, err);
    }
    buf_fini(&body);
    cli_remote_close(&remote);
    return rc;
}

int cli_trigger(struct cli *cli, struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    struct cli_remote remote;
    int rc = cli_remote_open(cli, CLI_NEED_DAEMON, &remote, err);
    if (rc)
        return rc;
    rc = cli_resolve_dag(&remote, cli_operand(cli, 0), id, err);
    if (rc == 0)
        rc = cli_watch_make_run(&remote, arena_printf(&cli->arena, "/api/v1/dags/%s/runs", id), NULL, err);
    cli_remote_close(&remote);
    return rc;
}
