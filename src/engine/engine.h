/* The core: live runs, readiness, retries, cancellation, claims, recovery. Pure: no syscalls, no SQL, no clock and
 * no threads of its own; all calls come from one thread. It turns (state, event, now) into records, collected in the
 * open batch, and effects, which are released when the batch they depend on is durable:
 *
 *     event -> engine_*()                      state moves, records and effects are collected
 *     engine_take_batch()                      the caller commits it: one transaction, one sync
 *     engine_committed(batch)                  births happen, commands are answered, effects are released
 *     engine_take_effects()                    the caller carries them out (start, stop, acknowledge)
 *
 * So every start is claimed on disk before it happens and nothing starts on a result that could be taken back.
 *
 * Ready tasks of all runs stand in one order: runs share the slots fairly (the run that got least goes first),
 * inside a run the task with the longest path below it goes first. A free slot takes the best; workers' queues are
 * shares of that order, at most LIMIT_WORKER_QUEUE_MAX each, so no worker idles while another has a queue. */
#ifndef PAWL_ENGINE_ENGINE_H
#define PAWL_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "engine/command.h"
#include "state/origin.h"
#include "state/record.h"
#include "state/state.h"

struct engine;

enum { ENGINE_FENCE_BITS = 40 }; /* claims of one start: three years at 10,000 a second */

/* Both clocks, read once by the caller for each turn. */
struct engine_now {
    int64_t wall_ms;            /* what is stored and shown */
    int64_t boot_ms;            /* what timers run on */
};

struct engine_options {
    uint64_t seed;              /* of jitter and ids */
    uint64_t epoch;             /* of this start of the daemon, from the store: fences are epoch << 40 | n */
    uint32_t claim_ahead_max;   /* ready tasks claimed before a slot is free */
    uint32_t waiting_tasks_max;
    uint32_t active_runs_max;
    bool fires_schedules;       /* false: DAGs' schedules are for others to fire */
    bool shares_schedules;      /* others may: what this node is asked for and does not know is for who fires */
};

/* From the next command on; what waits already stays. */
void engine_set_limits(struct engine *engine, uint32_t waiting_tasks_max, uint32_t active_runs_max);

/* What a worker says of an attempt's end, or of one it holds. */
struct engine_attempt {
    struct uuid run_id;
    uint32_t task;
    uint32_t number;
    uint64_t fence;
    bool ended;                 /* false: running (only in engine_worker_joined) */
    bool retryable;             /* false: repeating it cannot help (HTTP 4xx) */
    enum attempt_state outcome;
    enum error_type error_type;
    const char *error;          /* copied */
    int32_t exit_code;          /* -1: none */
    int32_t signal;
    int32_t http_status;
    int64_t started_ms;
    int64_t ended_ms;
    int64_t cpu_us;
    int64_t max_rss_bytes;
    int64_t log_bytes;
    const char *log;            /* copied; the whole log when it is in no file; NULL */
    size_t log_len;
    struct uuid worker;         /* that runs it, when another node says so for it; zero: the one that says so */
};

enum effect_kind {
    EFFECT_START,               /* worker, run_id, task, number, fence, dag, origin */
    EFFECT_STOP,                /* worker, run_id, task, number, fence */
    EFFECT_RECALL,              /* the same: if it has not begun it is to be given back (engine_attempt_returned) */
    EFFECT_ACK,                 /* worker, run_id, task, number, fence: the end is durable, the worker may forget it */
    EFFECT_GUEST_LOST,          /* the same: a guest whose worker is gone */
    EFFECT_GUEST_REFUSED        /* the same: a guest that no worker has seen */
};

struct effect {
    enum effect_kind kind;
    uint32_t task;
    uint32_t number;
    uint64_t fence;
    struct uuid worker;
    struct uuid run_id;
    struct uuid dag_id;         /* START */
    int64_t scheduled_ms;       /* START: the instant its run stands for; 0: none */
    struct dag *dag;            /* START: a reference the caller drops */
    struct origin *origin;      /* START: the same; NULL */
    bool may_wait;              /* START: a slot may not be free yet */
};

struct engine_worker_view {
    struct uuid id;
    enum worker_state state;
    uint32_t slots;
    uint32_t running;           /* while it drains also what was sent there and may have begun */
    uint32_t queued;            /* its share of the ready tasks */
    bool awaited;               /* engine_worker_awaited: `running` may be there, `slots` is not known */
};

struct engine_counts {
    uint32_t active_runs;
    uint64_t waiting_tasks;     /* not ended, over all runs */
    uint64_t ready_tasks;
    uint32_t running_attempts;
    uint32_t sent_attempts;     /* of the ready tasks: a worker has them and has not said to have begun */
    uint32_t workers;
};

struct engine *engine_new(const struct engine_options *options);
void engine_free(struct engine *engine);

/* Recovery, in this order: restore every unfinished run, let the workers that still live join (those that live and say
 * nothing are awaited), then reconcile. */
/* run.dag: a reference the engine takes; plan: run->outcomes decoded, or NULL; attempts in order of task, number.
 * Returns ERROR_INTERNAL when the rows contradict each other (err says how). */
int engine_restore_run(struct engine *engine, const struct record_run *run, const struct record_attempt *attempts,
                       size_t attempt_count, struct engine_now now, struct error *err);
/* A DAG with a schedule, or with instants that wait (`queued`, in any order: id, trigger, from_ms). Takes the reference
 * to its latest version. The tz database is read here and when a command brings a schedule; nothing else of the engine
 * blocks. ERROR_BAD_REQUEST: there is no such zone any more; then nothing fires. ERROR_IO: it
 * cannot be read now; it is tried again, and what was due meanwhile was missed. */
struct engine_schedule {
    struct uuid dag_id;
    struct dag *dag;
    uint32_t dag_version;
    bool paused;
    int64_t covered_ms;         /* as the store has it */
    int64_t paused_to_ms;       /* wall time when the last pause ended; what is not covered until then was in it */
    const struct record_fire *queued;
    size_t queued_count;
};
/* Whether schedules fire here from now on: of several nodes one does. What was known of them is forgotten, since others
 * may have changed it: the caller restores them anew. */
void engine_set_fires(struct engine *engine, bool fires);
int engine_restore_schedule(struct engine *engine, const struct engine_schedule *schedule, struct error *err);
/* Active runs of a schedule that other nodes drive: they count for its overlap. Forgotten, all of them, before they are
 * told anew. backfills: those that a backfill made; run_id: one of all. */
void engine_clear_elsewhere(struct engine *engine);
void engine_set_elsewhere(struct engine *engine, struct uuid dag_id, uint32_t runs, uint32_t backfills,
                          struct uuid run_id);
struct engine_recovery {
    uint32_t runs, adopted, awaited, ended_meanwhile, withdrawn, lost;
};
/* Every attempt that no worker holds is withdrawn (its worker lives and never saw it) or lost; what an awaited worker
 * may hold stays as it is. `worker_died`: a worker of the last daemon is gone without a word, so a claim without a
 * worker may have run there. */
void engine_reconcile(struct engine *engine, bool worker_died, struct engine_now now, struct engine_recovery *ret);

/* After engine_restore_run, at any later time: a run that another node drove. Its attempts that ran there are lost;
 * those that a third one runs join first (engine_node_joined). */
void engine_adopt_run(struct engine *engine, struct uuid run_id, struct engine_now now);

/* Up to max runs that have not begun leave the engine, the newest first, without a record: another node will drive
 * them. Those of schedules stay, since overlaps are counted here. The number of ids written. */
size_t engine_release_pending(struct engine *engine, size_t max, struct uuid *ret_ids);

/* Workers. A worker that joins with attempts the engine does not know is told to stop and forget them. */
void engine_worker_joined(struct engine *engine, struct uuid worker, uint32_t slots, const struct engine_attempt *held,
                          size_t held_count, struct engine_now now);
/* A worker of the last daemon that lives and does not say what it holds: it gets nothing new, and what it may hold is
 * neither gone on with nor lost until it joins, or is lost. Before engine_reconcile. */
void engine_worker_awaited(struct engine *engine, struct uuid worker);
/* Whether an awaited worker may hold anything that matters here. After engine_reconcile. */
bool engine_worker_matters(const struct engine *engine, struct uuid worker);
/* Claims that name no worker wait for awaited ones. Meanwhile a death is not to be forgotten, though all that was
 * decided is durable: should the daemon end now, the next one has to know of it to judge them. */
bool engine_is_unsettled(const struct engine *engine);
void engine_worker_lost(struct engine *engine, struct uuid worker, struct engine_now now);
/* A draining worker gets nothing new. false when there is no such worker. */
bool engine_set_worker_draining(struct engine *engine, struct uuid worker, bool draining);
size_t engine_workers(const struct engine *engine, struct engine_worker_view *views, size_t max);

/* Attempts that other nodes run for this one; see offer.c. Such a node is a worker whose id is made of its life. */
struct uuid engine_node_worker(uint64_t epoch);
bool engine_is_node(struct uuid worker, uint64_t *ret_epoch); /* ret_epoch may be NULL */
/* How many more it may get. */
void engine_set_node(struct engine *engine, uint64_t epoch, uint32_t free_slots);
/* It holds these attempts of our runs, or has ended them; before engine_reconcile or engine_adopt_run. */
void engine_node_joined(struct engine *engine, uint64_t epoch, const struct engine_attempt *held, size_t held_count,
                        struct engine_now now);
/* It has not begun the attempt and will not: another slot is looked for. */
void engine_offer_refused(struct engine *engine, const struct engine_attempt *attempt, struct engine_now now);

/* Guests: attempts of runs that other nodes drive; see guest.c. Of `key` only the key counts. */
/* Before workers join: one that this node's life before had taken. */
void engine_guest_restore(struct engine *engine, const struct engine_attempt *key);
/* start: run_id, task, number, fence, dag_id, scheduled_ms, dag, origin (both borrowed). false: no slot is free. A
 * known one is left alone. */
bool engine_guest_start(struct engine *engine, const struct effect *start);
void engine_guest_stop(struct engine *engine, const struct engine_attempt *key);
bool engine_guest_is(const struct engine *engine, const struct engine_attempt *key);
bool engine_guest_of(const struct engine *engine, struct uuid run_id); /* there is one of this run */
/* Its slot is free. false: it is no guest, or had ended before. */
bool engine_guest_ended(struct engine *engine, const struct engine_attempt *end);
/* Its owner knows, or wants to hear no more: it is forgotten. */
void engine_guest_done(struct engine *engine, const struct engine_attempt *key);

/* Events */
void engine_command(struct engine *engine, struct command *command, struct engine_now now); /* takes it */
void engine_attempt_started(struct engine *engine, struct uuid worker, const struct engine_attempt *attempt,
                            struct engine_now now);
void engine_attempt_ended(struct engine *engine, struct uuid worker, const struct engine_attempt *attempt,
                          struct engine_now now);
/* A start that came before a slot was free was not begun and will not be; the worker has forgotten it. */
void engine_attempt_returned(struct engine *engine, struct uuid worker, const struct engine_attempt *attempt,
                             struct engine_now now);
void engine_tick(struct engine *engine, struct engine_now now);       /* what is due: retries, timeouts, schedules */
int64_t engine_next_due(const struct engine *engine);                 /* boot ms; -1: nothing */
/* No new starts and no new runs from now on (SIGTERM); or again. */
void engine_set_draining(struct engine *engine, bool draining);
/* No new starts while the store has no room for more; what runs is recorded as ever. */
void engine_hold_starts(struct engine *engine, bool hold);
/* Tasks take long: none is claimed before it has a slot, so that the best of the moment gets it. */
void engine_set_one_by_one(struct engine *engine, bool one_by_one);
/* Attempts are so brief that workers may have their next starts before the last have ended. */
void engine_set_sends_ahead(struct engine *engine, bool sends);
/* How many starts that worker can keep waiting for a slot; 0, when it has just come: none. */
void engine_set_worker_ahead(struct engine *engine, struct uuid worker, uint32_t sent_max);
/* Cancels everything that is active (pawl run's Ctrl-C). */
void engine_cancel_all(struct engine *engine, struct engine_now now);

/* Claims ready tasks for free slots. Called once per turn, after its events. */
void engine_dispatch(struct engine *engine, struct engine_now now);

/* The open batch, or NULL when it is empty; the caller owns it. Batches are committed in order. */
struct batch *engine_take_batch(struct engine *engine);
bool engine_batch_is_urgent(const struct engine *engine);  /* a slot, a client or a cancel waits on the open batch */
/* How many slots wait on it when nobody else does; 0: somebody else does as well, or nobody at all. */
uint32_t engine_batch_slots(const struct engine *engine);
bool engine_batch_is_empty(const struct engine *engine);
bool engine_batch_changes_schedules(const struct engine *engine); /* see state/record.h */
/* The batch is durable, its verdicts are filled. Does not free it. */
void engine_committed(struct engine *engine, const struct batch *batch, struct engine_now now);
/* The store has failed: every command that waits for a batch is answered with this error. */
void engine_refuse_waiting(struct engine *engine, enum error_code code, const char *text);
/* Effects that may happen now, in order. The array is the engine's, valid until the next call. */
size_t engine_take_effects(struct engine *engine, struct effect **ret_effects);

struct engine_counts engine_counts(const struct engine *engine);

/* Checks every invariant by brute force; aborts when one is broken. For tests and simulation. */
void engine_check(const struct engine *engine);

#endif
