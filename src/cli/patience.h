/* Waiting for a server that stops and starts again: what was asked for is asked for again, with pauses that grow. */
#ifndef PAWL_CLI_PATIENCE_H
#define PAWL_CLI_PATIENCE_H

#include "cli/command.h"

struct cli_patience {
    struct cli *cli;
    int64_t deadline_ms;    /* boot clock: ERROR_TIMED_OUT then; 0: none */
    bool silent;            /* nothing is said on stderr, since the screen belongs to something that is drawn */
};

enum { CLI_PATIENCE_MIN_MS = 100 };

/* What a server says, or does not, that stops or starts. */
bool cli_patience_is_for(int code);
/* Waits. ERROR_INTERRUPTED, ERROR_TIMED_OUT: no longer. */
int cli_patience_pause(const struct cli_patience *patience, int64_t pause_ms, struct error *err);
/* Asks until the result is something else, for about a minute and a half; then the result is what it was last. */
int cli_patience_ask(const struct cli_patience *patience, int ask(void *context, struct error *err), void *context,
                     struct error *err);

#endif
