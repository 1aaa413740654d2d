/* Several nodes on one store, in one thread of choices made of one seed. Real: the engines, what a node of a cluster
 * does (server/cluster.c, cluster_offers.c, core_offers.c). Simulated: the store that they share (shop.c, which does
 * what the statements of store/postgres do), its clock and those of the nodes, workers, everything that fails.
 *
 *     node:    DOWN -> RECOVERING -> SERVING -> killed, drained or fenced -> DOWN; paused (its worker goes on); cut off
 *     batch:   open -> submitted -> durable -> told; an answer that is lost leaves its node in doubt
 *     thread:  the cluster's thread of a node runs from one wait to the next, when the simulation says so
 *
 * Checked after each step: no two processes of one task instance (G3); nothing is written by who was declared dead, or
 * of a run that is another's (G8); each instant is covered once and none is left out (G9); who is declared dead runs
 * nothing any more (G14); a result is what happened or lost (G6). And once the faults stop everything ends. */
#ifndef PAWL_TESTS_NODES_H
#define PAWL_TESTS_NODES_H

#include "server/cluster.h"
#include "server/core_model.h"
#include "store/cluster.h"
#include "store/offers.h"
#include "graph.h"
#include "store_model.h"

enum {
    NODES = 3,
    SLOTS = 2,
    LIVES_MAX = 512,
    RUNS_MAX = 400,
    OFFERS_MAX = 512,
    HELD_MAX = 64,
    BATCHES_MAX = 4,
    WORDS_MAX = 256,
    TRUTHS_MAX = 8192,
    TASKS_MAX = 8,
    DAGS = 3,
    LEASE_MS = 3000
};

struct thread;

struct held {
    struct engine_attempt attempt;      /* .ended: a result that waits to be acknowledged */
    bool stopping;
};

struct node {
    struct core core;                   /* the fields that core_offers.c and the simulation use */
    struct store store;                 /* .epoch: its life */
    uint32_t index;
    bool up, cut, paused;
    int64_t boot_ms, wall_ms;           /* what its clocks are ahead of the store's */
    struct server_cluster *cluster;
    struct thread *thread;
    core_turn_fn *turn;
    void *turn_context;
    struct command *posted;
    struct batch *submitted[BATCHES_MAX], *durable[BATCHES_MAX];
    size_t submitted_count, durable_count;
    uint64_t taken_batch;               /* the last that was submitted */
    bool away;                          /* its last commit did not come through */
    char *words[WORDS_MAX];
    size_t word_count;

    struct uuid worker;                 /* a process of its own */
    bool worker_lives;
    bool unburied;                      /* one has died, and what was lost with it is not durable */
    bool burying;                       /* it is decided */
    int64_t worker_lease_ms;            /* boot time; 0: none */
    struct held held[HELD_MAX];
    size_t held_count;
};

struct life {
    uint32_t node;
    int64_t lease_until_ms;             /* by the store's clock */
    bool dead, draining;
    uint64_t durable_batch;
    uint64_t last_fence;
};

struct owner {
    uint64_t epoch;
    uint64_t came_to;                   /* the life that took it over; 0: none did */
    bool given;
    int64_t asked_ms;
    uint64_t heard;                     /* the life that was told of the cancel */
    uint64_t heard_batch;               /* open when its engine knew; 0: it does not yet */
};

struct truth {
    uint64_t fence;
    bool ended;
    enum attempt_state outcome;
};

/* A claim for another node. */
struct fate {
    uint64_t fence;
    bool taken;
    uint64_t reader;                    /* the owner's life that looks whether it is taken, */
    int64_t since_ms;                   /* since when, */
    bool overdue;                       /* and whether it has seen that nobody does */
};

struct totals {
    uint64_t runs, claims, ends, lost, offers, guests, takeovers, deaths, fenced, fires, unfired, refused;
};

struct sim {
    uint64_t seed, random;
    uint32_t step;
    bool trace, faults;
    int64_t now_ms;                     /* the store's clock; zero at the start */
    struct model model;
    struct life lives[LIVES_MAX];       /* by epoch - 1 */
    uint64_t epochs, leader;
    struct owner owners[RUNS_MAX];      /* by the run's place in the model */
    struct store_offer offers[OFFERS_MAX];
    size_t offer_count;
    struct node nodes[NODES];
    struct truth truths[TRUTHS_MAX];
    size_t truth_count;
    struct fate fates[TRUTHS_MAX];
    size_t fate_count;
    uint32_t workers_made;
    struct uuid dag_ids[DAGS];
    struct dag *dags[DAGS];
    struct uuid acknowledged[RUNS_MAX];
    size_t acknowledged_count;
    uint32_t asked;                     /* runs that clients wanted */
    struct totals totals;
};

extern struct sim sim;

/* nodes.c */
uint64_t sim_random(void);
uint32_t sim_below(uint32_t bound);
bool sim_chance(uint32_t percent);
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t sim_boot_ms(void);              /* of the node whose turn it is */

/* threads.c: one runs at a time */
int sim_thread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int sim_thread_join(pthread_t thread, void **ret_result);
void sim_thread_resume(struct thread *thread);  /* until it waits, or has ended */
void sim_thread_wait(void);                     /* of the thread itself */

/* shop.c */
void shop_join(struct node *node);
void shop_leave(struct node *node);
int shop_commit(struct node *node, struct batch *batch);
void shop_load(struct node *node, store_active_fn *fn, void *context);
bool shop_is_dead(uint64_t epoch);
size_t shop_run(struct uuid id);                /* its place; SIZE_MAX: none */
struct truth *shop_truth(uint64_t fence);       /* NULL */

/* watch.c */
void watch_claim(const struct record_attempt *row);
void watch_take(uint64_t fence);
void watch_lost(const struct record_attempt *row);
void watch_read(const struct node *node, const struct store_offer *row);
void watch_not_withdrawn(const uint64_t *fences, size_t count);     /* as far as its owner knows */
void watch_asked(const struct node *node, struct owner *owner);     /* it has been told */
void watch_step(const struct node *node);                           /* before its engine hears what it was told */
void watch_run_end(const struct node *node, const struct batch *batch, const struct record_run *end);

/* node.c */
extern struct node *current;                    /* whose turn it is */
void node_boot(struct node *node);
void node_crash(struct node *node);
void node_drain(struct node *node);
void node_step(struct node *node);              /* of its engine's thread */
void node_submit(struct node *node);
void node_commit(struct node *node);
void node_told(struct node *node);
void node_thread(struct node *node);            /* a beat of the cluster's thread */
void node_progress(struct node *node);          /* a process ends */
void node_worker_dies(struct node *node);
void node_enforce_lease(struct node *node);     /* what its worker does by itself */
void node_trigger(struct node *node);
bool node_is_idle(const struct node *node);

#endif
