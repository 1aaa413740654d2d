/* pawl validate: one line for each valid file on stdout, problems on stderr; or all of it as JSON on stdout. */
#include "base/json.h"
#include "cli/commands.h"
#include "cli/dag_file.h"
#include "cli/text.h"

#include <string.h>

static void add_problems(struct json *json, const struct dag_problems *problems, enum dag_severity severity)
{
    json_begin_array(json);
    for (size_t i = 0; i < problems->count; i++) {
        const struct dag_problem *problem = &problems->items[i];
        if (problem->severity != severity)
            continue;
        json_begin_object(json);
        json_kv_int(json, "line", problem->line);
        json_kv_int(json, "column", problem->column);
        json_kv_string(json, "field", problem->field);
        json_kv_string(json, "message", problem->text);
        json_kv_string(json, "hint", problem->hint);
        json_end_object(json);
    }
    json_end_array(json);
}

static void add_json(struct json *json, const char *path, int rc, const struct dag_problems *problems)
{
    json_begin_object(json);
    json_kv_string(json, "file", path);
    json_kv_bool(json, "valid", rc == 0);
    json_key(json, "errors");
    add_problems(json, problems, DAG_SEVERITY_ERROR);
    json_key(json, "warnings");
    add_problems(json, problems, DAG_SEVERITY_WARNING);
    json_end_object(json);
}

static int validate_file(struct cli *cli, const char *path, struct json *json, bool *ret_valid, struct error *err)
{
    struct buf source = BUF_INIT;
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    int rc = cli_dag_read(path, &source, &problems, &dag, err);
    bool judged = rc == 0 || rc == ERROR_PARSE_ERROR || rc == ERROR_VALIDATION_ERROR;
    if (judged && json) {
        add_json(json, path, rc, &problems);
    } else if (judged) {
        cli_dag_print_problems(cli, path, &source, &problems);
        if (rc == 0) {
            cli_text_add(&cli->out, path, strlen(path));
            buf_printf(&cli->out, ": valid, %u task%s\n", dag->task_count, dag->task_count == 1 ? "" : "s");
        }
    }
    *ret_valid = rc == 0;
    dag_unref(dag);
    dag_problems_fini(&problems);
    buf_fini(&source);
    return judged ? 0 : rc;
}

int cli_validate(struct cli *cli, struct error *err)
{
    struct json json;
    bool wants_json = cli_wants_json(cli), all_valid = true;
    int rc = 0;
    json_init(&json, &cli->out);
    if (wants_json)
        json_begin_array(&json);
    for (size_t i = 0; rc == 0 && i < cli->operand_count; i++) {
        bool valid;
        rc = validate_file(cli, cli->operands[i], wants_json ? &json : NULL, &valid, err);
        all_valid = all_valid && valid;
    }
    if (rc) {
        if (wants_json)
            buf_clear(&cli->out); /* half a document helps nobody */
        return rc;
    }
    if (wants_json) {
        json_end_array(&json);
        buf_add_char(&cli->out, '\n');
    }
    cli->exit_status = all_valid ? 0 : error_exit_class(ERROR_VALIDATION_ERROR);
    return 0;
}
