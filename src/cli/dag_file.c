#include "cli/dag_file.h"

#include <string.h>

#include "base/limits.h"
#include "cli/file.h"

static const char *shown_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "<stdin>" : path;
}

int cli_dag_read(const char *path, struct buf *source, struct dag_problems *problems, struct dag **ret_dag,
                 struct error *err)
{
    int rc = cli_file_read(path, LIMIT_DAG_LOCAL_BYTES_MAX, source, err);
    if (rc)
        return rc;
    const struct dag_read_options options = {
        .file = shown_name(path),
        .tasks_max = LIMIT_DAG_LOCAL_TASKS_MAX,
        .bytes_max = LIMIT_DAG_LOCAL_BYTES_MAX,
    };
    rc = dag_read(source->bytes ? source->bytes : "", source->len, &options, problems, ret_dag);
    if (rc == ERROR_OUT_OF_MEMORY)
        error_set(err, ERROR_OUT_OF_MEMORY, "there is not enough memory to read %s", options.file);
    return rc;
}

void cli_dag_print_problems(struct cli *cli, const char *path, const struct buf *source,
                            const struct dag_problems *problems)
{
    struct buf text = BUF_INIT;
    if (problems->count > 0)
        dag_problems_print(problems, shown_name(path), source->bytes, source->len, cli->screen.err_color, &text);
    cli_write_err(&text);
    buf_fini(&text);
}

int cli_dag_load(struct cli *cli, const char *path, struct buf *source, struct dag **ret_dag, struct error *err)
{
    struct dag_problems problems = {0};
    int rc = cli_dag_read(path, source, &problems, ret_dag, err);
    cli_dag_print_problems(cli, path, source, &problems);
    if (rc == ERROR_PARSE_ERROR || rc == ERROR_VALIDATION_ERROR)
        error_set(err, (enum error_code)rc, "%s is not valid", shown_name(path));
    dag_problems_fini(&problems);
    return rc;
}
