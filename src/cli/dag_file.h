/* DAG files that are named on the command line. */
#ifndef PAWL_CLI_DAG_FILE_H
#define PAWL_CLI_DAG_FILE_H

#include "cli/command.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"

/* Reads a file with the limits of this machine ("-": stdin); the bytes are appended to source. ERROR_PARSE_ERROR and
 * ERROR_VALIDATION_ERROR leave err alone: the problems say it. */
int cli_dag_read(const char *path, struct buf *source, struct dag_problems *problems, struct dag **ret_dag,
                 struct error *err);
/* The same, with problems and warnings printed on stderr; err says how many there were. */
int cli_dag_load(struct cli *cli, const char *path, struct buf *source, struct dag **ret_dag, struct error *err);
/* Problems on stderr, as a compiler shows them. */
void cli_dag_print_problems(struct cli *cli, const char *path, const struct buf *source,
                            const struct dag_problems *problems);

#endif
