/* What nodes that share a store say to each other through it. A node is a process that opened a PostgreSQL store for
 * writing; store->epoch is its life. It keeps a lease by the database's clock; who lets it run out is declared dead by
 * whoever sees it first, and from then on nothing of that life is written (store.h, ERROR_STORE_FENCED). Runs have an
 * owner: a life that drives them. Those of the dead are taken over by the living, a portion at a time.
 *
 *     open -> (renew, sweep, take, load, asked)* -> close       one thread, on a connection of its own
 *     nodes, ask_cancel                                         any thread, as readers of the store
 *
 * Each call is one short transaction. Errors of all: ERROR_STORE_AWAY (try again), ERROR_STORE_FAILED. */
#ifndef PAWL_STORE_CLUSTER_H
#define PAWL_STORE_CLUSTER_H

#include "store/store.h"

struct store_cluster;
typedef void store_cluster_word_fn(void *context, const char *word);

/* What a node tells with each renewal. */
struct store_cluster_beat {
    const char *url;            /* where others reach its API; NULL: not yet */
    const char *workers;        /* its workers as GET /api/v1/workers shows them: a JSON array */
    uint32_t slots, running, active_runs;
    uint64_t ready;             /* tasks that wait for a slot */
    bool draining;
};

struct store_cluster_node {
    uint64_t epoch;
    struct uuid id;
    const char *host, *url, *version, *workers; /* url may be NULL */
    uint32_t slots, running, active_runs;
    uint64_t ready;
    bool draining;
    bool leads;
    int64_t leads_since_ms;     /* when leads */
    int64_t joined_ms;
};
struct store_busy {
    struct uuid dag_id;
    struct uuid run_id;         /* the oldest of them */
    uint32_t runs, backfills;
};
struct store_cluster_nodes { struct store_cluster_node *items; size_t count; };

/* `store` must outlive it. Only for a PostgreSQL store that is open for writing. */
struct store_cluster *store_cluster_open(struct store *store);
void store_cluster_close(struct store_cluster *cluster); /* NULL is allowed */

/* The lease is lease_ms long from now on. ERROR_STORE_FENCED: this life was declared dead. *ret_leads: it is the one
 * that fires schedules; taken when nobody alive has it and this node is not draining, given up when it drains. */
int store_cluster_renew(struct store_cluster *cluster, const struct store_cluster_beat *beat, bool *ret_leads,
                        struct error *err);
/* Declares dead whose lease has run out. */
int store_cluster_sweep(struct store_cluster *cluster, uint32_t *ret_dead, struct error *err);
/* Takes over up to max runs of the dead; they then wait for store_cluster_load. */
int store_cluster_take(struct store_cluster *cluster, uint32_t max, uint32_t *ret_taken, struct error *err);
/* Gives each run that became this node's since it opened the store, once. */
int store_cluster_load(struct store_cluster *cluster, store_active_fn *fn, void *context, struct error *err);
/* Gives runs of this node that have not begun to another one, or back to itself when that one is gone: each then waits
 * for its new owner's store_cluster_load. */
int store_cluster_give(struct store_cluster *cluster, const struct uuid *runs, size_t count, uint64_t epoch,
                       struct error *err);
/* Runs of this node that somebody asked another node to cancel; each is given until its cancel is recorded. */
int store_cluster_asked(struct store_cluster *cluster, struct arena *arena, struct store_ids *ret_runs,
                        struct error *err);
/* DAGs of which other nodes drive runs that schedules or backfills made; `backfills` counts the latter. */
int store_cluster_busy(struct store_cluster *cluster, struct arena *arena, struct store_busy **ret_items,
                       size_t *ret_count, struct error *err);
/* A number that changes when a DAG or its schedule does, or a backfill of it is asked for. */
int store_cluster_catalog(struct store_cluster *cluster, uint64_t *ret_mark, struct error *err);
/* A word to all nodes that listen, this one too: short, nothing durable. */
int store_cluster_say(struct store_cluster *cluster, const char *word, struct error *err);
/* Words about events, which only nodes that listen to them hear: all are said, in this order, or none. */
int store_cluster_tell(struct store_cluster *cluster, const char *const *words, size_t count, struct error *err);
/* Whether this node hears those. *ret_connection changes when words may have been missed since the last call. */
int store_cluster_listen(struct store_cluster *cluster, bool listens, uint64_t *ret_connection, struct error *err);
/* Waits until another node sent a word, `fd` is readable or the time is over. Words are given one by one. */
void store_cluster_wait(struct store_cluster *cluster, int fd, int64_t wait_ms, store_cluster_word_fn *fn,
                        void *context);

/* Any thread: nodes that are alive, the oldest life first. */
int store_cluster_list(struct store *store, struct arena *arena, struct store_cluster_nodes *ret_nodes,
                       struct error *err);
/* Any thread: durable once it returned; the owner, whoever it is then, cancels the run. ERROR_RUN_NOT_FOUND when it is
 * not active. */
int store_cluster_ask_cancel(struct store *store, struct uuid run_id, int64_t now_ms, struct error *err);
/* -- what one node asks of another through the store; no node connects to another -- */

/* A piece of the log of an attempt that runs. */
struct store_cluster_piece {
    struct uuid id;             /* of the question */
    struct uuid run_id;
    uint32_t task, number;
    uint64_t offset;
    uint32_t limit;             /* bytes */
    bool of_any;                /* asked of whichever node has it */
    uint64_t size;              /* of the whole log, as far as it is; an answer */
    const char *bytes;
    size_t len;
};
struct store_cluster_pieces { struct store_cluster_piece *items; size_t count; };

/* Any thread. Asks the life `node` (0: whichever node has that log) and waits for its answer, wait_ms at most: then
 * ERROR_TIMED_OUT. piece->bytes is in the arena. */
int store_cluster_ask_log(struct store *store, uint64_t node, struct store_cluster_piece *piece, int64_t wait_ms,
                          struct arena *arena, struct error *err);
/* What was asked of this node or of any; and its answer. */
int store_cluster_asked_logs(struct store_cluster *cluster, struct arena *arena,
                             struct store_cluster_pieces *ret_pieces, struct error *err);
int store_cluster_answer_log(struct store_cluster *cluster, const struct store_cluster_piece *piece,
                             struct error *err);

struct store_cluster_order { struct uuid worker; bool draining; };
struct store_cluster_orders { struct store_cluster_order *items; size_t count; };

/* Any thread: durable once it returned; the node, if it lives on, drains the worker or resumes it. The last one counts.
 * ERROR_WORKER_NOT_FOUND: that life is over. */
int store_cluster_ask_worker(struct store *store, uint64_t node, struct uuid worker, bool draining,
                             struct error *err);
/* What was ordered of this node; each is given once. */
int store_cluster_asked_workers(struct store_cluster *cluster, struct arena *arena,
                                struct store_cluster_orders *ret_orders, struct error *err);
/* The node that has a worker, as it told with its last renewal; NULL: none of them. */
const struct store_cluster_node *store_cluster_find_worker(const struct store_cluster_nodes *nodes,
                                                           struct uuid worker);

/* Any thread, before the store is closed: whoever waits for the database does so for wait_ms more, in all; what has no
 * answer by then could not be reached. */
void store_cluster_hurry(struct store *store, int64_t wait_ms);

/* Any thread: whether the store is one that nodes share. */
bool store_is_shared(const struct store *store);

#endif
