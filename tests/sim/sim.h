/* A whole installation in one thread, made of one seed: the real engine and live view; a store, workers, links and
 * clocks that are simulated. Everything that can happen happens in any order; after each step the promises are
 * checked against what is durable (tests/unit/engine/store_model.h) and against what was shown before.
 *
 *     daemon: DOWN -> RECOVERING (workers join) -> SERVING -> crash at any step -> DOWN
 *     batch:  open -> submitted -> durable -> told            a crash loses what is not durable
 *     link:   a queue each way; a break loses a tail of one and all of the other; then the worker joins again */
#ifndef PAWL_TESTS_SIM_H
#define PAWL_TESTS_SIM_H

#include "cron/cron.h"
#include "dag/dag.h"
#include "engine/engine.h"
#include "graph.h"
#include "live/live.h"
#include "store_model.h"

enum {
    WORKERS_MAX = 24,           /* ever made for one seed */
    WORKERS_WANTED = 3,
    HELD_MAX = 64,
    QUEUE_MAX = 256,
    DAGS = 3,
    RUNS_MAX = 40,              /* that clients ask for; schedules make more */
    TRUTHS_MAX = 4096,
    BATCHES_MAX = 4,
    TASKS_MAX = 12
};

enum message_kind {
    MESSAGE_START, MESSAGE_STOP, MESSAGE_RECALL, MESSAGE_ACK,       /* to a worker */
    MESSAGE_HELLO, MESSAGE_STARTED, MESSAGE_RESULT, MESSAGE_RETURNED, MESSAGE_GONE /* from it */
};

struct message {
    enum message_kind kind;
    bool may_wait;                  /* START */
    struct engine_attempt attempt;
    struct engine_attempt *held;    /* HELLO: owned */
    size_t held_count;
};

struct queue {
    struct message items[QUEUE_MAX];
    size_t count;
};

struct sim_attempt {
    struct engine_attempt attempt;  /* .ended: a result that waits for its acknowledgement */
    bool stopping;
    bool waiting;                   /* for a slot: nothing of it has begun */
};

struct sim_worker {
    struct uuid id;
    bool alive;
    bool joined;                    /* the daemon of now knows it */
    bool stopped;                   /* as by SIGSTOP, while a daemon starts: it says nothing */
    bool awaited;                   /* and that daemon goes on without its word */
    bool linked;                    /* what the daemon sends arrives */
    bool buried;                    /* dead, and what that lost is durable */
    bool burying;                   /* the daemon knows; what it decided is not durable yet */
    uint32_t slots;
    uint32_t ahead_max;             /* starts that it keeps waiting; 0: it is of a version that knows no waiting */
    struct sim_attempt held[HELD_MAX];
    size_t held_count;
    struct queue inbox, outbox;
};

enum daemon { DAEMON_DOWN, DAEMON_RECOVERING, DAEMON_SERVING };

/* What really became of an attempt, whoever knows it. */
struct sim_truth {
    uint64_t fence;
    bool ended;
    enum attempt_state outcome;
};

/* A run as its users have seen it. */
struct sim_seen {
    bool ended;                     /* and what it ended as was compared */
    uint8_t terminal[TASKS_MAX];    /* state + 1 once a terminal one was shown; 0: none yet */
};

/* A DAG's schedule, as what is durable says. */
struct sim_schedule {
    struct dag_schedule rule;
    struct cron cron;
    int64_t covered_ms;             /* every instant up to here has its record */
    bool deleted, paused;
    bool changed;                   /* by a pause, an update, a refusal, and the daemon does not know of it yet */
    uint64_t changed_batch;         /* up to here what is in a batch may have been decided before it knew */
    bool busy;                      /* a run of it is active or an instant waits, or did before this batch */
};

struct sim_totals {
    uint64_t crashes, deaths, breaks, runs, claims, ends, lost, withdrawals, returned, letters;
    uint64_t fires[FIRE_OUTCOME_COUNT];
};

enum sim_store_kind { SIM_STORE_NONE, SIM_STORE_MEMORY, SIM_STORE_SQLITE };

struct sim {
    enum sim_store_kind store_kind; /* beside the model */
    struct store *store;
    char store_path[256];
    uint32_t loaded;
    struct sim_totals totals;
    uint64_t seed, random;
    bool trace, faults;
    uint32_t hostility;             /* percent of the crashes, deaths and breaks that happen of those that could */
    uint32_t step;
    struct engine_now now;
    enum daemon daemon;
    bool told_once;                 /* the live view of this daemon has had its first batch */
    bool holding, draining;
    struct engine_options options;
    struct engine *engine;
    struct live *live;
    struct model model;
    uint64_t last_batch;            /* that was submitted */
    struct batch *submitted[BATCHES_MAX], *durable[BATCHES_MAX];
    size_t submitted_count, durable_count;
    struct uuid dag_ids[DAGS];
    struct dag *dags[DAGS];
    uint32_t dag_versions[DAGS];
    bool narrow;                    /* workers have one slot: much waits */
    bool has_schedules;
    struct sim_schedule schedules[DAGS];
    struct sim_worker workers[WORKERS_MAX];
    uint32_t worker_count;
    struct uuid acknowledged[RUNS_MAX];
    size_t acknowledged_count;
    struct sim_seen *seen;          /* of each run of the model; owned */
    size_t seen_count, seen_cap;
    uint32_t unanswered;
    struct sim_truth truths[TRUTHS_MAX]; /* of every attempt that a worker started */
    size_t truth_count;
};

/* sim.c */
void sim_run(struct sim *sim, uint64_t seed, bool trace, enum sim_store_kind store_kind);
uint64_t sim_random(struct sim *sim);
uint32_t sim_below(struct sim *sim, uint32_t bound);    /* 0 .. bound - 1 */
bool sim_chance(struct sim *sim, uint32_t percent);
void sim_say(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct dag *sim_make_dag(struct sim *sim);

/* sim_schedule.c */
struct dag_schedule sim_schedule_choose(struct sim *sim);
void sim_schedule_begin(struct sim *sim, uint32_t dag);
void sim_schedule_before(struct sim *sim);
void sim_schedule_check(struct sim *sim, const struct batch *batch);
void sim_schedule_told(struct sim *sim);
void sim_schedule_booted(struct sim *sim);
bool sim_schedule_is_quiet(const struct sim *sim);
void sim_schedule_check_over(const struct sim *sim);

/* sim_daemon.c */
void sim_daemon_boot(struct sim *sim);
void sim_daemon_crash(struct sim *sim);
void sim_daemon_receive(struct sim *sim, struct sim_worker *worker);
void sim_daemon_turn(struct sim *sim);
void sim_daemon_effects(struct sim *sim);
void sim_daemon_submit(struct sim *sim);
void sim_store_commit(struct sim *sim);
void sim_daemon_told(struct sim *sim);

/* sim_store.c */
void sim_store_open(struct sim *sim);
void sim_store_close(struct sim *sim);
void sim_store_remove(const struct sim *sim); /* only its files */
void sim_store_reopen(struct sim *sim);
void sim_store_compare(struct sim *sim, struct batch *batch);

/* sim_worker.c */
void sim_worker_spawn(struct sim *sim);
void sim_worker_die(struct sim *sim, struct sim_worker *worker);
void sim_worker_receive(struct sim *sim, struct sim_worker *worker);
void sim_worker_progress(struct sim *sim, struct sim_worker *worker);
void sim_worker_break_link(struct sim *sim, struct sim_worker *worker);
void sim_worker_cut(struct sim *sim, struct sim_worker *worker);   /* the daemon is gone */
void sim_worker_hello(struct sim *sim, struct sim_worker *worker);
struct sim_truth *sim_truth_of(const struct sim *sim, uint64_t fence); /* NULL: no worker started it */
void sim_queue_add(struct queue *queue, const struct message *message);
struct message sim_queue_take(struct queue *queue);
void sim_queue_clear(struct queue *queue);

/* sim_client.c */
void sim_client_act(struct sim *sim);

/* sim_check.c */
void sim_check_start(const struct sim *sim, const struct effect *effect);
/* A worker begins it, perhaps long after it was sent: the claim still holds. */
void sim_check_begin(const struct sim *sim, const struct engine_attempt *attempt);
void sim_check_truth(const struct sim *sim, const struct batch *batch);
void sim_check_physical(const struct sim *sim);
void sim_check_shown(struct sim *sim);
void sim_check_over(struct sim *sim);

#endif
