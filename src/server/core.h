/* The engine's thread and what it drives: store thread, workers, live view. The same for `pawl serve` and `pawl run`.
 *
 * One turn of the thread: take what came (commands, durable batches, words of workers, due timers), let the engine
 * dispatch, carry out the effects that are free to happen, hand the open batch to the store thread. A batch somebody
 * waits for goes at once; any other is held up to LIMIT_HOLD_MS, so that ends nobody waits for share a sync.
 *
 *     core_new -> core_recover -> core_run (returns when it has stopped) -> core_free
 *
 * core_post and core_snapshot are for any thread; everything else belongs to the engine's. */
#ifndef PAWL_SERVER_CORE_H
#define PAWL_SERVER_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "dag/dag_expand.h"
#include "engine/command.h"
#include "engine/engine.h"
#include "live/live.h"
#include "pool/pool.h"
#include "store/offers.h"
#include "store/store.h"
#include "store/store_thread.h"

struct core;
struct server_options;

/* What of the options is the store's to keep to. */
struct store_retention server_retention(const struct server_options *options);

struct core_options {
    const char *data_dir;           /* absolute; the caller holds its lock */
    enum store_durability durability;
    uint32_t workers;
    uint32_t slots;
    uint32_t waiting_tasks_max;
    uint32_t active_runs_max;
    int64_t grace_ms;
    int64_t drain_ms;
    int64_t log_bytes_max;
    bool http_deny_private;         /* pool/job_build.h */
    const char *const *http_networks;
    uint32_t http_network_count;
    struct pool_users *users;       /* as whom tasks run; borrowed; NULL: as who we are */
    uint64_t files_max;             /* open files that workers and tasks may have; 0: as this process */
    bool fires_schedules;           /* `pawl run` leaves schedules alone; a cluster's node too, until it leads */
    const char *store_url;          /* of PostgreSQL; NULL: SQLite in data_dir */
    struct store_node node;         /* with store_url */
    bool die_with_parent;           /* workers and tasks end with this process */
    bool was_fenced;                /* the life before killed its workers and left nothing that says so */
    const char *base_dir;           /* where tasks' relative paths start; NULL: DATA/work */
    bool inherit_env;
    struct dag_expand_source secrets; /* find may be NULL */
    struct store_retention retention;

    void *context;
    /* Recovery is complete: attempts are adopted or settled, starts begin. */
    void (*on_ready)(void *context, const struct engine_recovery *recovery);
    /* A batch is durable and the live view shows it. Borrowed. */
    void (*on_batch)(void *context, const struct batch *batch, int64_t now_ms);
    /* A run left for another node. */
    void (*on_left)(void *context, struct uuid run_id);
    /* A worker came, went (WORKER_STOPPED) or got another state. NULL: nobody asks. */
    void (*on_worker)(void *context, const struct engine_worker_view *view);
};

/* What other threads may know of the engine's thread, copied once per turn when it changed. */
struct core_snapshot {
    struct engine_counts counts;
    uint32_t worker_count;
    enum isolation isolation;               /* how sure the workers are that an attempt leaves nothing behind */
    bool ready;
    bool draining;
    bool leads;                             /* schedules fire here */
    int64_t busy_since_ms;                  /* boot time at which the turn under way began; 0: it waits */
    int64_t turn_us_max;                    /* longest turn of the last ten seconds */
    struct engine_recovery recovery;
};

int core_new(const struct core_options *options, struct core **ret_core, struct error *err);
/* Reads what was unfinished; core_run completes it by looking for living workers. */
int core_recover(struct core *core, struct error *err);
/* Runs until one of the ends below is reached or the store failed (then its error). */
int core_run(struct core *core, struct error *err);
void core_free(struct core *core);

/* Any thread. The engine answers by command->done, also when it stops (ERROR_STOPPING). */
void core_post(struct core *core, struct command *command);
/* Any thread. */
void core_get_snapshot(struct core *core, struct core_snapshot *ret_snapshot);
/* Any thread: all workers, in an array the caller frees with mem_free. */
size_t core_get_workers(struct core *core, struct engine_worker_view **ret_views);
struct store *core_store(struct core *core);
struct live *core_live(struct core *core);
struct store_thread *core_store_thread(struct core *core);

/* For a node of a cluster (server/cluster.h); the engine's thread. */
/* A run that another node drove; known ones are left alone. run->dag: a reference that is taken. offers: of its
 * attempts those that other nodes run. */
int core_adopt(struct core *core, const struct record_run *run, const struct record_attempt *attempts,
               size_t attempt_count, const struct store_offers *offers, struct error *err);
/* A stored DAG; any thread. `name` is the stored one: the file may have another, or none. ERROR_INTERNAL when it cannot
 * be read any more. */
int core_read_source(const char *name, const char *source, size_t len, const char *changes, struct dag **ret_dag,
                     struct error *err);
/* The DAG of a run that has something other than its version (run->changes), a reference; any thread. */
int core_read_changed(struct store *store, const struct record_run *run, struct dag **ret_dag, struct error *err);
/* Runs that have not begun leave this node; see engine_release_pending. */
size_t core_release(struct core *core, size_t max, struct uuid *ret_ids);
/* Nothing starts from that boot time on, and what runs then is killed by its workers. */
void core_set_lease(struct core *core, int64_t lease_ms);
/* Schedules as the store has them, for core_set_leading. Any thread; it waits for the store. */
struct core_schedules;
int core_read_schedules(struct core *core, struct core_schedules **ret_schedules, struct error *err);
void core_free_schedules(struct core_schedules *schedules); /* NULL is allowed */
/* The schedules that fire here from now on; NULL: none does. Called again when the catalog was changed elsewhere.
 * false: they changed here since they were read, and are to be read anew; nothing is done. */
bool core_set_leading(struct core *core, struct core_schedules *schedules);
/* Runs of schedules that other nodes drive, for their overlap; all of them, after core_set_leading. */
void core_set_busy_elsewhere(struct core *core, const struct store_busy *items, size_t count);
/* This life was declared dead: everything running is killed, core_run returns ERROR_STORE_FENCED. */
void core_fence(struct core *core, const struct error *why);

/* Attempts that nodes run for each other; the engine's thread, both ways. Set before core_run, else no other node gets
 * any. Attempts are borrowed for the call. */
struct core_others {
    void *context;
    void (*offer)(void *context, uint64_t epoch, const struct engine_attempt *key); /* its claim is durable */
    void (*stop)(void *context, const struct engine_attempt *key);
    void (*done)(void *context, const struct engine_attempt *key);                  /* its end is durable */
    /* Of guests. worker: to be told when that is durable; zero: there is none */
    void (*guest_started)(void *context, struct uuid worker, const struct engine_attempt *attempt);
    void (*guest_ended)(void *context, struct uuid worker, const struct engine_attempt *end);
    void (*guest_refused)(void *context, const struct engine_attempt *key);
};
void core_set_others(struct core *core, const struct core_others *others);
/* How many attempts the node may still get. */
void core_set_node(struct core *core, uint64_t epoch, uint32_t free_slots);
void core_offer_refused(struct core *core, const struct engine_attempt *attempt);
void core_offer_started(struct core *core, uint64_t epoch, const struct engine_attempt *attempt);
void core_offer_ended(struct core *core, uint64_t epoch, const struct engine_attempt *attempt);
/* See engine_guest_start. */
bool core_guest_start(struct core *core, const struct effect *start);
void core_guest_stop(struct core *core, const struct engine_attempt *key);
void core_guest_done(struct core *core, struct uuid worker, const struct engine_attempt *key);
struct engine_attempt core_attempt_of_offer(const struct store_offer *offer);

typedef void core_turn_fn(void *context);
/* The engine's thread, or before core_run. `turn` is called when fd is readable. */
int core_add_fd(struct core *core, int fd, core_turn_fn *turn, void *context, struct error *err);
/* What may change while it runs; the engine's thread. */
struct core_limits {
    uint32_t waiting_tasks_max;
    uint32_t active_runs_max;
    int64_t drain_ms;
    struct store_retention retention;
};
void core_set_limits(struct core *core, const struct core_limits *limits);
/* No new starts; ends when nothing runs, or after drain_ms by handing over. Idempotent. */
void core_drain(struct core *core);
/* Ends all tasks by KILL, then the workers, then core_run. */
void core_kill(struct core *core);
/* Cancels every run (TERM, grace, KILL); core_run goes on. */
void core_cancel_all(struct core *core);
/* core_run returns as soon as what was decided is durable and no worker is left (die_with_parent) or all are idle. */
void core_finish(struct core *core);

#endif
