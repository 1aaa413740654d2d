/* Following logs of a run of the daemon. */
#ifndef PAWL_CLI_FOLLOW_H
#define PAWL_CLI_FOLLOW_H

#include "cli/remote.h"

/* One task's log until its attempt ends. */
int cli_follow_task(struct cli_remote *remote, const char *run_id, const char *task_id, struct error *err);
/* The logs of every task that runs or begins, until the run ends. ERROR_RUN_NOT_FOUND when the daemon has no such
 * run. */
int cli_follow_run(struct cli_remote *remote, const char *run_id, struct error *err);

#endif
