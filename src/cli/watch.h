/* Watching a run of the daemon until it ends. */
#ifndef PAWL_CLI_WATCH_H
#define PAWL_CLI_WATCH_H

#include "cli/remote.h"

/* Shows how a run, named by its id or a part of it, goes on fd (STDOUT_FILENO or STDERR_FILENO), then its report, and
 * sets cli->exit_status. With -o json the RunStatus goes to stdout in the end. timeout_ms 0: waits for ever; else
 * ERROR_TIMED_OUT. ERROR_INTERRUPTED: the run goes on. A server that restarts meanwhile is waited for. */
int cli_watch(struct cli_remote *remote, const char *run, int fd, int64_t timeout_ms, struct error *err);

/* What a command that made a run does then: prints its id (or with -o json the Run) and, with --wait, watches it. */
int cli_watch_new_run(struct cli_remote *remote, const struct buf *run, struct error *err);
/* A POST that makes a run, with --idempotency-key if it was given. body: JSON or NULL. */
int cli_watch_make_run(struct cli_remote *remote, const char *target, const struct buf *body, struct error *err);

#endif
