/* The fields of the engine's thread. Private to core*.c. */
#ifndef PAWL_SERVER_CORE_MODEL_H
#define PAWL_SERVER_CORE_MODEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "loop/mailbox.h"
#include "pool/job_build.h"
#include "server/core.h"
#include "server/sweep.h"

enum core_phase {
    CORE_RECOVERING,    /* workers of the last daemon are being met; nothing starts */
    CORE_SERVING,
    CORE_DRAINING,      /* no new starts; running attempts may end */
    CORE_ENDING,        /* idle workers are leaving */
    CORE_KILLING,       /* everything is being ended */
    CORE_STOPPED
};

struct core_watch {
    int fd;
    core_turn_fn *turn;
    void *context;
};

/* A worker that died, and the batch that makes its losses durable. */
struct core_gone {
    struct uuid id;
    uint64_t batch;
};

/* What job building keeps per run; dropped when the run's end is durable. */
struct core_run_jobs {
    struct uuid run_id;
    struct pool_run_jobs *jobs;
    struct dag *dag;                /* a reference, as origin: for the log */
    struct origin *origin;
};

struct core {
    struct core_options options;
    struct store *store;
    struct store_thread *writer;
    struct server_sweep *sweep;
    struct engine *engine;
    struct live *live;
    struct pool *pool;
    struct pool_jobs *jobs;
    struct map run_jobs;            /* run id -> core_run_jobs */
    struct mailbox mailbox;
    struct core_others others;      /* NULLs: there are none */
    int epoll_fd;
    struct core_watch *watches;
    size_t watch_count, watch_cap;

    enum core_phase phase;
    struct engine_now now;
    uint32_t in_flight;             /* batches the store thread has */
    uint64_t submitted;             /* number of the last batch it was given */
    uint64_t durable;               /* number of the last one that came back */
    struct core_gone *gone;
    size_t gone_count, gone_cap;
    bool undecided;                 /* what was lost with them was not decided yet, a turn ago */
    int64_t hold_until_ms;          /* boot time at which the open batch goes; 0: nothing is held */
    int64_t gather_until_us;        /* boot time at which starts that could wait for others do no more; 0: none does */
    int64_t usual_us;               /* how long an attempt takes, by those that ended last */
    int64_t longest_us;             /* the longest of them, forgotten slowly */
    int64_t usual_cpu_us;           /* and the processor time of it */
    uint32_t processors;
    int64_t deadline_ms;            /* boot time at which draining or ending gives up; 0: none */
    bool worker_died;               /* during recovery: a worker of the last daemon is gone without a word */
    bool holding;                   /* the store has no room, or the lease has ended */
    atomic_ullong schedule_changes; /* durable batches that concerned DAGs or instants of schedules */
    uint64_t schedule_changes_submitted;
    uint32_t stale_readings;        /* of schedules, one after the other */
    int64_t lease_ms;               /* boot time at which it ends; 0: there is none to keep */
    int failure;                    /* error code that ends the thread */
    struct error failure_text;

    pthread_mutex_t lock;           /* of what other threads read */
    struct core_snapshot shown;
    struct engine_worker_view *spare_views; /* the other half of a double buffer; the engine's thread alone */
    size_t spare_view_cap;
    struct engine_worker_view *worker_views;
    size_t worker_view_count, worker_view_cap;
    int64_t slow_window_ms;
    int64_t viewed_ms;              /* boot time at which the workers were last looked at */
    bool views_are_old;             /* something has happened since */
    atomic_llong busy_since_ms;     /* boot time; 0: the thread waits */
};

/* core_effects.c */
void core_do_effects(struct core *core);
void core_forget_run(struct core *core, struct uuid run_id);
void core_free_run_jobs(struct core_run_jobs *jobs);
/* Lets the pool forget dead workers whose losses are durable. */
void core_forget_workers(struct core *core);
extern const struct pool_callbacks core_pool_callbacks; /* context is to be set */

/* core_offers.c */
/* True: the effect is none for the pool, and done. */
bool core_do_elsewhere(struct core *core, const struct effect *effect);
/* True: it was about a guest, and is done. */
bool core_guest_started(struct core *core, struct uuid worker, const struct engine_attempt *attempt);
bool core_guest_ended(struct core *core, struct uuid worker, const struct engine_attempt *end);
void core_offers_joined(struct core *core, const struct store_offer *offers, size_t count);
int core_load_offers(struct core *core, struct error *err);

/* core_schedules.c */
int core_load_schedules(struct core *core, struct error *err);
void core_count_schedule_changes(struct core *core, const struct batch *batch, bool durable);

/* core_recover.c */
int core_load(struct core *core, struct error *err);

#endif
