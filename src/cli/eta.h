/* How long a run may still take, from what its ended tasks took. An estimate, silent until it means something. Pure. */
#ifndef PAWL_CLI_ETA_H
#define PAWL_CLI_ETA_H

#include <stdint.h>

struct cli_eta {
    int64_t elapsed_ms;     /* since the run started */
    uint32_t ended;         /* tasks that ran to an end in this run */
    uint32_t left;          /* tasks that have not ended, running ones too */
    int64_t busy_ms;        /* what the ended ones took together; 0: not known */
    int64_t running_ms;     /* what the running ones have taken so far, together */
    uint32_t slots;         /* tasks that run at a time; 0: not known */
    uint32_t path;          /* tasks in the longest chain that has not ended; 0: not known */
};

/* Milliseconds, or -1: too early to say. The larger of two bounds: the work that is left spread over the slots, and the
 * longest chain one after the other; each task is taken to last as long as the ended ones did on average. */
int64_t cli_eta_estimate(const struct cli_eta *eta);

#endif
