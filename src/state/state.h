/* The words for states and outcomes, and which state may follow which. Data only: the tables below are the
 * machines; state_*_may_follow is asked by the one mover of each (engine/move.c). Stores and API carry the text. */
#ifndef PAWL_STATE_STATE_H
#define PAWL_STATE_STATE_H

#include <stdbool.h>

enum task_state {
    TASK_PENDING,   /* waits for dependencies, or for a retry */
    TASK_QUEUED,    /* ready, waits for a slot */
    TASK_RUNNING,   /* an attempt is claimed or runs */
    TASK_SUCCEEDED,
    TASK_FAILED,
    TASK_SKIPPED,   /* because of a failure, or on purpose */
    TASK_CANCELED,
    TASK_STATE_COUNT
};

enum run_state { RUN_PENDING, RUN_RUNNING, RUN_SUCCEEDED, RUN_FAILED, RUN_CANCELED, RUN_STATE_COUNT };

enum attempt_state {
    ATTEMPT_RUNNING,
    ATTEMPT_SUCCEEDED,
    ATTEMPT_FAILED,
    ATTEMPT_TIMED_OUT,
    ATTEMPT_CANCELED,
    ATTEMPT_LOST,
    ATTEMPT_STATE_COUNT
};

enum worker_state { WORKER_IDLE, WORKER_RUNNING, WORKER_DRAINING, WORKER_STOPPED, WORKER_STATE_COUNT };

/* Why an attempt or task failed: product.md section 1. */
enum error_type {
    FAILURE_NONE,
    FAILURE_EXIT,
    FAILURE_SIGNAL,
    FAILURE_TIMEOUT,
    FAILURE_LOST,
    FAILURE_EXEC,
    FAILURE_OOM,
    FAILURE_HTTP,
    FAILURE_OUTPUT,
    FAILURE_DEPENDENCY,
    FAILURE_INTERNAL,
    FAILURE_COUNT
};

enum trigger {
    TRIGGER_API,
    TRIGGER_CLI,
    TRIGGER_SCHEDULE,
    TRIGGER_BACKFILL,
    TRIGGER_DLQ,
    TRIGGER_RERUN,
    TRIGGER_COUNT
};

/* What became of an instant of a schedule, and why it was not fired. */
enum fire_outcome {
    FIRE_FIRED,
    FIRE_SKIPPED,
    FIRE_QUEUED,            /* waits for a run before it; becomes fired, or skipped with its DAG's end */
    FIRE_OUTCOME_COUNT
};

enum fire_reason {
    FIRE_REASON_NONE,       /* not skipped */
    FIRE_MISSED,            /* nobody was there in time and catchup does not ask for it */
    FIRE_PAUSED,
    FIRE_OVERLAP,           /* the run before it was still active */
    FIRE_QUEUE_FULL,
    FIRE_DAG_DELETED,
    FIRE_REASON_COUNT
};

enum resolution { RESOLUTION_PENDING, RESOLUTION_RETRIED, RESOLUTION_SKIPPED, RESOLUTION_RESOLVED, RESOLUTION_COUNT };

/* Names as product.md spells them. */
const char *state_task_name(enum task_state state);
const char *state_run_name(enum run_state state);
const char *state_attempt_name(enum attempt_state state);
const char *state_worker_name(enum worker_state state);
const char *state_failure_name(enum error_type type);      /* NULL for FAILURE_NONE */
const char *state_trigger_name(enum trigger trigger);
const char *state_resolution_name(enum resolution resolution);
const char *state_fire_name(enum fire_outcome outcome);
const char *state_fire_reason_name(enum fire_reason reason); /* NULL for FIRE_REASON_NONE */

/* The value of a name; false when there is none. */
bool state_task_parse(const char *name, enum task_state *ret_state);
bool state_run_parse(const char *name, enum run_state *ret_state);
bool state_attempt_parse(const char *name, enum attempt_state *ret_state);
bool state_trigger_parse(const char *name, enum trigger *ret_trigger);
bool state_failure_parse(const char *name, enum error_type *ret_type);
bool state_resolution_parse(const char *name, enum resolution *ret_resolution);
bool state_fire_parse(const char *name, enum fire_outcome *ret_outcome);
bool state_fire_reason_parse(const char *name, enum fire_reason *ret_reason);

/* A terminal state never changes. */
bool state_task_is_terminal(enum task_state state);
bool state_run_is_terminal(enum run_state state);
bool state_attempt_is_terminal(enum attempt_state state);

bool state_task_may_follow(enum task_state from, enum task_state to);
bool state_run_may_follow(enum run_state from, enum run_state to);
bool state_attempt_may_follow(enum attempt_state from, enum attempt_state to);

#endif
