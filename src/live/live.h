/* Published snapshots of active runs: immutable, counted, made by the engine's thread after each durable batch,
 * read by API threads without a lock while they read. A run that has ended leaves as soon as its end is durable;
 * the store has it from then on, so a reader that finds nothing here asks the store.
 *
 * A snapshot shares what did not change with the one before: tasks come in chunks of LIVE_CHUNK, copied when one of
 * their tasks changes; a chunk that is NULL holds tasks that have not left `pending` yet. */
#ifndef PAWL_LIVE_LIVE_H
#define PAWL_LIVE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "state/record.h"

struct dag;

enum { LIVE_CHUNK = 64 };

struct live_task {
    enum task_state state;
    bool kept;                  /* succeeded in the source run; see live_run.run.source */
    uint32_t attempt;           /* the latest number; 0 before the first */
    struct uuid worker;
    int64_t claimed_ms;         /* of the latest attempt */
    int64_t started_ms;
    int64_t completed_ms;       /* when the task reached a terminal state, or its latest attempt ended */
    int64_t next_attempt_ms;    /* waits for a retry until then; 0: no */
    int64_t since_ms;           /* when it got its present state */
    int64_t cpu_us;
    int64_t max_rss_bytes;
    int64_t log_bytes;
    const char *error;          /* NULL; lives as long as the snapshot */
    enum error_type error_type;
    int32_t exit_code;          /* -1: none */
    int32_t signal;
    int32_t http_status;
};

struct live_run;
struct live;

struct live *live_new(void);
void live_free(struct live *live);

/* Engine's thread. Applies a committed batch: refused groups are passed over. `now_ms` is wall time. */
void live_apply(struct live *live, const struct batch *batch, int64_t now_ms);
/* Engine's thread, at recovery: a run restored from the store, before the first batch. The record and attempts are
 * those the store gave; changes are what the engine derived (a batch with changes only is applied afterwards). */
void live_restore(struct live *live, const struct record_run *run, const struct record_attempt *attempts,
                  size_t attempt_count);

/* Engine's thread, between batches: another node drives the run from now on; the store tells of it. */
void live_forget(struct live *live, struct uuid run_id);

/* Engine's thread, between live_apply and live_drop_ended: the last snapshot, terminal, of a run that ended with the
 * batch just applied: a reference, or NULL. */
struct live_run *live_get_ended(struct live *live, struct uuid run_id);
/* Lets go of them. live_apply does so too. */
void live_drop_ended(struct live *live);

/* Any thread. A reference to the newest snapshot, or NULL when the run is not active. */
struct live_run *live_get(struct live *live, struct uuid run_id);
/* The active run that owns a task instance, or NULL. */
struct live_run *live_get_by_instance(struct live *live, struct uuid instance_id);
void live_unref(struct live_run *run);
uint32_t live_count(struct live *live);                     /* active runs */
/* References to active runs that have running tasks, at most max, in no order: their number. The array is the
 * caller's, of max places. */
size_t live_list_running(struct live *live, size_t max, struct live_run **ret_runs);

/* Readers of a snapshot. */
const struct record_run *live_run_record(const struct live_run *run); /* .dag borrowed from the snapshot */
struct dag *live_run_dag(const struct live_run *run);       /* borrowed; dag_ref() to keep */
void live_run_task(const struct live_run *run, uint32_t task, struct live_task *ret_task);
/* The first task from *task on that is in this state; false: there is none. Not for pending tasks. */
bool live_run_find(const struct live_run *run, enum task_state state, uint32_t *task);
const uint32_t *live_run_counts(const struct live_run *run); /* TASK_STATE_COUNT numbers */

#endif
