#include "state/state.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define BIT(state) (1u << (state))

/* state -> name, states that may follow; terminal: none may */
struct row {
    const char *name;
    unsigned next;
};

static const struct row task_rows[] = {
    [TASK_PENDING] = {"pending", BIT(TASK_QUEUED) | BIT(TASK_SUCCEEDED) | BIT(TASK_FAILED) | BIT(TASK_SKIPPED) |
                                     BIT(TASK_CANCELED)},
    [TASK_QUEUED] = {"queued", BIT(TASK_RUNNING) | BIT(TASK_CANCELED)},
    [TASK_RUNNING] = {"running", BIT(TASK_PENDING) | BIT(TASK_SUCCEEDED) | BIT(TASK_FAILED) | BIT(TASK_CANCELED) |
                                     BIT(TASK_QUEUED)},
    [TASK_SUCCEEDED] = {"succeeded", 0},
    [TASK_FAILED] = {"failed", 0},
    [TASK_SKIPPED] = {"skipped", 0},
    [TASK_CANCELED] = {"canceled", 0},
};
static_assert(sizeof task_rows / sizeof task_rows[0] == TASK_STATE_COUNT, "one row per state");

static const struct row run_rows[] = {
    [RUN_PENDING] = {"pending", BIT(RUN_RUNNING) | BIT(RUN_SUCCEEDED) | BIT(RUN_FAILED) | BIT(RUN_CANCELED)},
    [RUN_RUNNING] = {"running", BIT(RUN_SUCCEEDED) | BIT(RUN_FAILED) | BIT(RUN_CANCELED)},
    [RUN_SUCCEEDED] = {"succeeded", 0},
    [RUN_FAILED] = {"failed", 0},
    [RUN_CANCELED] = {"canceled", 0},
};
static_assert(sizeof run_rows / sizeof run_rows[0] == RUN_STATE_COUNT, "one row per state");

static const struct row attempt_rows[] = {
    [ATTEMPT_RUNNING] = {"running", BIT(ATTEMPT_SUCCEEDED) | BIT(ATTEMPT_FAILED) | BIT(ATTEMPT_TIMED_OUT) |
                                        BIT(ATTEMPT_CANCELED) | BIT(ATTEMPT_LOST)},
    [ATTEMPT_SUCCEEDED] = {"succeeded", 0},
    [ATTEMPT_FAILED] = {"failed", 0},
    [ATTEMPT_TIMED_OUT] = {"timed_out", 0},
    [ATTEMPT_CANCELED] = {"canceled", 0},
    [ATTEMPT_LOST] = {"lost", 0},
};
static_assert(sizeof attempt_rows / sizeof attempt_rows[0] == ATTEMPT_STATE_COUNT, "one row per state");

static const char *const worker_names[] = {"idle", "running", "draining", "stopped"};
static_assert(sizeof worker_names / sizeof worker_names[0] == WORKER_STATE_COUNT, "one name per state");

static const char *const failure_names[] = {NULL,  "exit", "signal", "timeout",    "lost",    "exec",
                                            "oom", "http", "output", "dependency", "internal"};
static_assert(sizeof failure_names / sizeof failure_names[0] == FAILURE_COUNT, "one name per type");

static const char *const trigger_names[] = {"api", "cli", "schedule", "backfill", "dlq", "rerun"};
static_assert(sizeof trigger_names / sizeof trigger_names[0] == TRIGGER_COUNT, "one name per trigger");

static const char *const resolution_names[] = {"pending", "retried", "skipped", "resolved"};
static_assert(sizeof resolution_names / sizeof resolution_names[0] == RESOLUTION_COUNT, "one name per resolution");

static const char *const fire_names[] = {"fired", "skipped", "queued"};
static_assert(sizeof fire_names / sizeof fire_names[0] == FIRE_OUTCOME_COUNT, "one name per outcome");

static const char *const fire_reason_names[] = {NULL, "missed", "paused", "overlap", "queueFull", "dagDeleted"};
static_assert(sizeof fire_reason_names / sizeof fire_reason_names[0] == FIRE_REASON_COUNT, "one name per reason");

static int find_row(const struct row *rows, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return i;
    return -1;
}

static int find_name(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (names[i] && strcmp(names[i], name) == 0)
            return i;
    return -1;
}

const char *state_task_name(enum task_state state)
{
    assert(state < TASK_STATE_COUNT);
    return task_rows[state].name;
}

const char *state_run_name(enum run_state state)
{
    assert(state < RUN_STATE_COUNT);
    return run_rows[state].name;
}

const char *state_attempt_name(enum attempt_state state)
{
    assert(state < ATTEMPT_STATE_COUNT);
    return attempt_rows[state].name;
}

const char *state_worker_name(enum worker_state state)
{
    assert(state < WORKER_STATE_COUNT);
    return worker_names[state];
}

const char *state_failure_name(enum error_type type)
{
    assert(type < FAILURE_COUNT);
    return failure_names[type];
}

const char *state_trigger_name(enum trigger trigger)
{
    assert(trigger < TRIGGER_COUNT);
    return trigger_names[trigger];
}

const char *state_resolution_name(enum resolution resolution)
{
    assert(resolution < RESOLUTION_COUNT);
    return resolution_names[resolution];
}

const char *state_fire_name(enum fire_outcome outcome)
{
    assert(outcome < FIRE_OUTCOME_COUNT);
    return fire_names[outcome];
}

const char *state_fire_reason_name(enum fire_reason reason)
{
    assert(reason < FIRE_REASON_COUNT);
    return fire_reason_names[reason];
}

bool state_task_parse(const char *name, enum task_state *ret_state)
{
    int i = find_row(task_rows, TASK_STATE_COUNT, name);
    if (i >= 0)
        *ret_state = (enum task_state)i;
    return i >= 0;
}

bool state_run_parse(const char *name, enum run_state *ret_state)
{
    int i = find_row(run_rows, RUN_STATE_COUNT, name);
    if (i >= 0)
        *ret_state = (enum run_state)i;
    return i >= 0;
}

bool state_attempt_parse(const char *name, enum attempt_state *ret_state)
{
    int i = find_row(attempt_rows, ATTEMPT_STATE_COUNT, name);
    if (i >= 0)
        *ret_state = (enum attempt_state)i;
    return i >= 0;
}

bool state_trigger_parse(const char *name, enum trigger *ret_trigger)
{
    int i = find_name(trigger_names, TRIGGER_COUNT, name);
    if (i >= 0)
        *ret_trigger = (enum trigger)i;
    return i >= 0;
}

bool state_failure_parse(const char *name, enum error_type *ret_type)
{
    int i = find_name(failure_names, FAILURE_COUNT, name);
    if (i >= 0)
        *ret_type = (enum error_type)i;
    return i >= 0;
}

bool state_resolution_parse(const char *name, enum resolution *ret_resolution)
{
    int i = find_name(resolution_names, RESOLUTION_COUNT, name);
    if (i >= 0)
        *ret_resolution = (enum resolution)i;
    return i >= 0;
}

bool state_fire_parse(const char *name, enum fire_outcome *ret_outcome)
{
    int i = find_name(fire_names, FIRE_OUTCOME_COUNT, name);
    if (i >= 0)
        *ret_outcome = (enum fire_outcome)i;
    return i >= 0;
}

bool state_fire_reason_parse(const char *name, enum fire_reason *ret_reason)
{
    int i = find_name(fire_reason_names, FIRE_REASON_COUNT, name);
    if (i >= 0)
        *ret_reason = (enum fire_reason)i;
    return i >= 0;
}

bool state_task_is_terminal(enum task_state state)
{
    return task_rows[state].next == 0;
}

bool state_run_is_terminal(enum run_state state)
{
    return run_rows[state].next == 0;
}

bool state_attempt_is_terminal(enum attempt_state state)
{
    return attempt_rows[state].next == 0;
}

bool state_task_may_follow(enum task_state from, enum task_state to)
{
    return (task_rows[from].next & BIT(to)) != 0;
}

bool state_run_may_follow(enum run_state from, enum run_state to)
{
    return (run_rows[from].next & BIT(to)) != 0;
}

bool state_attempt_may_follow(enum attempt_state from, enum attempt_state to)
{
    return (attempt_rows[from].next & BIT(to)) != 0;
}
