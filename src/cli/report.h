/* What is said when a run has ended: one line, and each failure with its cause and the end of its log. */
#ifndef PAWL_CLI_REPORT_H
#define PAWL_CLI_REPORT_H

#include "cli/remote.h"
#include "state/state.h"

/* Of a RunStatus, with or without its tasks. Appends the failures (at most a few) and the line to out. */
void cli_report_run(struct cli_remote *remote, const json_t *status, const char *dag_name, bool color, struct buf *out);
/* 0 for a run that succeeded, 1 for any other end. */
int cli_report_exit_status(const json_t *status);

/* Reads the counts of a RunStatus; returns their sum. */
uint32_t cli_report_counts(const json_t *status, uint32_t ret_counts[TASK_STATE_COUNT]);
/* Text of a member; "" when it is absent. */
const char *cli_json_text(const json_t *object, const char *key);
/* A time of a member in wall ms; 0 when it is absent. */
int64_t cli_json_time(const json_t *object, const char *key);
int64_t cli_json_int(const json_t *object, const char *key);

/* "exit status 3", "SIGSEGV", "timed out after 30s": the cause of a task's failure in the words of its error. */
void cli_report_cause(struct buf *out, const json_t *task);
/* " --data DIR" when the directory is not the usual one, so that a command shown can be pasted. */
void cli_report_add_place(const struct cli *cli, struct buf *out);

#endif
