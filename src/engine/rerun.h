/* Which tasks of a new run are taken over from an ended one. Pure: graph and outcomes in, plan out. */
#ifndef PAWL_ENGINE_RERUN_H
#define PAWL_ENGINE_RERUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct dag;

enum engine_rerun_from {
    ENGINE_RERUN_FAILED,        /* what did not succeed */
    ENGINE_RERUN_ALL,
    ENGINE_RERUN_TASK,          /* a task, all that depends on it, and what these need that did not succeed */
    ENGINE_RERUN_LETTER,        /* a failed task and what was skipped because of it alone */
    ENGINE_RERUN_LETTER_SKIP    /* what was skipped because of a failed task alone, as if that had succeeded */
};

struct engine_rerun {
    enum engine_rerun_from from;
    const struct dag *source;   /* the DAG version of the ended run */
    const uint8_t *states;      /* enum task_state of its tasks; all terminal */
    const struct dag *dag;      /* the version to run: `source`, or another one (not for LETTER*) whose tasks are
                                   matched by id; those without a match are new and run */
    uint32_t task;              /* index in dag; TASK and LETTER* */
};

/* Fills plan (dag->task_count bytes: 0 run, RECORD_KEPT, RECORD_SKIP). Nothing runs whose dependencies are neither
 * kept, nor skipped on purpose, nor run before it; and nothing is kept that depends on a task that runs. What was
 * skipped on purpose stays so, unless it is asked for.
 *
 * *ret_resolves_source: every task that had failed runs again (or is gone), so success settles the dead letters of
 * the ended run. ERROR_NOTHING_TO_RERUN: FAILED, and everything had succeeded. Linear in tasks and dependencies. */
int engine_rerun_plan(const struct engine_rerun *rerun, uint8_t *plan, bool *ret_resolves_source, struct error *err);

#endif
