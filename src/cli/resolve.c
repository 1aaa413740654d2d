/* Ids as people write them. */
#include <ctype.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "cli/remote.h"

enum { CANDIDATES_MAX = 10 };

const char *cli_short_id(const char *id)
{
    size_t len = strlen(id);
    return len > 8 ? id + len - 8 : id;
}

/* The hexadecimal digits of text in lower case; false when there is anything but digits and dashes, or too much. */
static bool digits_of(const char *text, char digits[33])
{
    size_t len = 0;
    for (; *text; text++) {
        if (*text == '-')
            continue;
        if (!isxdigit((unsigned char)*text) || len == 32)
            return false;
        digits[len++] = (char)tolower((unsigned char)*text);
    }
    digits[len] = '\0';
    return len > 0;
}

bool cli_resolve_fits(const char *id, const char *text)
{
    char whole[33], part[33];
    return digits_of(id, whole) && digits_of(text, part) &&
           (str_starts_with(whole, part) || str_ends_with(whole, part));
}

static const char *text_of(const json_t *item, const char *key)
{
    const char *text = json_string_value(json_object_get(item, key));
    return text ? text : "";
}

/* What tells candidates apart: state or name. */
static void hint_candidates(struct cli *cli, const json_t *list, const char *id_key)
{
    static const char *const keys[] = {"name", "taskName", "state", "status", "resolutionStatus", "createdAt"};
    size_t index;
    const json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, index, item) {
        struct buf line = BUF_INIT;
        buf_add_text(&line, text_of(item, id_key));
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            if (text_of(item, keys[i])[0])
                buf_printf(&line, "  %s", text_of(item, keys[i]));
        if (index < CANDIDATES_MAX)
            cli_hint(cli, "%s", buf_text(&line));
        else if (index == CANDIDATES_MAX)
            cli_hint(cli, "...");
        buf_fini(&line);
    }
}

/* Exactly one of the list. */
static int take_one(struct cli_remote *remote, const json_t *list, const char *id_key, const char *what,
                    enum error_code missing, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err)
{
    struct uuid id;
    size_t count = json_array_size(list);
    if (count == 1 && uuid_parse(text_of(json_array_get(list, 0), id_key), &id)) {
        uuid_format(id, ret_id);
        return 0;
    }
    if (count == 0)
        return error_set(err, missing, "no %s '%.100s'", what, text);
    hint_candidates(remote->cli, list, id_key);
    return error_set(err, ERROR_USAGE, "'%.100s' fits more than one %s", text, what);
}

static int resolve_id(struct cli_remote *remote, const char *path, const char *id_key, const char *what,
                      enum error_code missing, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err)
{
    struct uuid id;
    char digits[33];
    if (uuid_parse(text, &id)) {
        uuid_format(id, ret_id);
        return 0;
    }
    if (!digits_of(text, digits))
        return error_set(err, missing, "no %s '%.100s'", what, text);
    struct buf query = BUF_INIT;
    json_t *list = NULL;
    buf_printf(&query, "%s?id=%s", path, digits);
    int rc = cli_remote_list(remote, buf_text(&query), id_key, CANDIDATES_MAX + 1, &list, err);
    if (rc == 0)
        rc = take_one(remote, list, id_key, what, missing, text, ret_id, err);
    json_decref(list);
    buf_fini(&query);
    return rc;
}

int cli_resolve_run(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err)
{
    return resolve_id(remote, "/api/v1/runs", "runId", "run", ERROR_RUN_NOT_FOUND, text, ret_id, err);
}

int cli_resolve_letter(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err)
{
    return resolve_id(remote, "/api/v1/dlq", "id", "dead letter", ERROR_DEAD_LETTER_NOT_FOUND, text, ret_id, err);
}

static void hint_near_dag(struct cli_remote *remote, const char *text)
{
    const char *names[LIMIT_PAGE_MAX];
    size_t count = 0, index;
    json_t *list = NULL, *item;
    if (cli_remote_list(remote, "/api/v1/dags", "id", LIMIT_PAGE_MAX, &list, NULL) != 0)
        return;
    json_array_foreach(list, index, item)
        if (count < LIMIT_PAGE_MAX)
            names[count++] = text_of(item, "name");
    const char *near = str_nearest(text, names, count);
    if (near)
        cli_hint(remote->cli, "did you mean '%s'?", near);
    else if (count == 0)
        cli_hint(remote->cli, "there are no DAGs; 'pawl dags apply FILE' makes one");
    json_decref(list);
}

int cli_resolve_dag(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err)
{
    struct buf query = BUF_INIT;
    json_t *list = NULL;
    int rc = 0;
    if (text[0] && strlen(text) <= LIMIT_DAG_NAME_BYTES_MAX && str_utf8_valid(text, strlen(text))) {
        buf_add_text(&query, "/api/v1/dags?name=");
        client_encode(&query, text);
        rc = cli_remote_list(remote, buf_text(&query), "id", CANDIDATES_MAX + 1, &list, err);
    }
    while (json_array_size(list) > 1) /* the stores of `pawl run` may have one each: the newest is meant */
        json_array_remove(list, json_array_size(list) - 1);
    if (rc == 0 && json_array_size(list) > 0)
        rc = take_one(remote, list, "id", "DAG", ERROR_DAG_NOT_FOUND, text, ret_id, err);
    else if (rc == 0)
        rc = resolve_id(remote, "/api/v1/dags", "id", "DAG", ERROR_DAG_NOT_FOUND, text, ret_id, err);
    if (rc == ERROR_DAG_NOT_FOUND)
        hint_near_dag(remote, text);
    json_decref(list);
    buf_fini(&query);
    return rc;
}

int cli_resolve_worker(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err)
{
    json_t *all = NULL, *item;
    size_t index;
    int rc = cli_remote_get_json(remote, "/api/v1/workers", &all, err);
    if (rc)
        return rc;
    json_t *fitting = json_array();
    json_array_foreach(all, index, item)
        if (cli_resolve_fits(text_of(item, "id"), text))
            json_array_append(fitting, item);
    rc = take_one(remote, fitting, "id", "worker", ERROR_WORKER_NOT_FOUND, text, ret_id, err);
    json_decref(fitting);
    json_decref(all);
    return rc;
}

void cli_hint_tasks(struct cli_remote *remote, const char *run_id, const char *text)
{
    const char *ids[LIMIT_PAGE_MAX];
    size_t count = 0, index;
    json_t *status = NULL, *task;
    char *target = arena_printf(&remote->cli->arena, "/api/v1/runs/%s?taskLimit=%d", run_id, LIMIT_PAGE_MAX);
    if (cli_remote_get_json(remote, target, &status, NULL) != 0)
        return;
    json_array_foreach(json_object_get(status, "tasks"), index, task)
        if (count < LIMIT_PAGE_MAX)
            ids[count++] = text_of(task, "taskId");
    const char *near = str_nearest(text, ids, count);
    if (near)
        cli_hint(remote->cli, "did you mean '%s'?", near);
    else
        cli_hint(remote->cli, "'pawl runs show %s' lists the tasks", cli_short_id(run_id));
    json_decref(status);
}
