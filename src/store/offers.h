/* Attempts that a node runs for another one, on a store that nodes share. One row each in `offers`, under the fence of
 * the claim; whoever owns the run drives the attempt, whoever has the row's `node` runs it:
 *
 *     OFFERED    put by the owner, after the claim is durable, for one node
 *        | the node                     | the owner, or the node: nobody has begun it
 *     TAKEN                          REFUSED
 *        | the node      | the owner, once the node was declared dead
 *     ENDED           LOST
 *
 * The owner removes the row: of ENDED and LOST when the attempt's end is durable, of REFUSED at any time. So an attempt
 * that is claimed for another node and has no row was never begun. Each change is one statement with a condition on the
 * row, and those of a node hold its own row in `nodes`, not dead: who was declared dead changes nothing. All of them
 * can be made again when it is not known whether they were made.
 *
 * A run that changes hands takes its rows along; a node's next life takes what the one before had TAKEN, unless that
 * was declared dead by others. */
#ifndef PAWL_STORE_OFFERS_H
#define PAWL_STORE_OFFERS_H

#include "store/cluster.h"

enum store_offer_stage {
    STORE_OFFER_OFFERED,
    STORE_OFFER_TAKEN,
    STORE_OFFER_REFUSED,
    STORE_OFFER_ENDED,
    STORE_OFFER_LOST,
    STORE_OFFER_STAGE_COUNT
};

struct store_offer {
    enum store_offer_stage stage;
    uint64_t node;                  /* epoch of the life that it is for */
    bool is_guest;                  /* of store_offers_recover: this node runs it; else it owns the run */
    bool stop;                      /* it is to be ended */
    bool retryable;                 /* ENDED */
    struct record_attempt attempt;  /* the key; once TAKEN perhaps started_ms and worker; ENDED: the result. The log is
                                       in the attempt's own row, its state in `outcome` */
    enum attempt_state outcome;     /* ENDED */
    struct record_run run;          /* of store_offers_held: what a job needs to know of it */
};
struct store_offers { struct store_offer *items; size_t count; };

/* -- the owner; errors as in cluster.h -- */
/* Puts those that are not there yet; for a node that is dead or drains, as REFUSED. Tells the nodes. */
int store_offers_put(struct store_cluster *cluster, const struct store_offer *offers, size_t count,
                     struct error *err);
/* What nobody has taken becomes REFUSED. stop: what was taken is to be ended. */
int store_offers_withdraw(struct store_cluster *cluster, const uint64_t *fences, size_t count, bool stop,
                          struct error *err);
/* Rows are removed. */
int store_offers_done(struct store_cluster *cluster, const uint64_t *fences, size_t count, struct error *err);
/* Those that dead nodes had become LOST, or REFUSED. */
int store_offers_settle(struct store_cluster *cluster, struct error *err);
int store_offers_read(struct store_cluster *cluster, const uint64_t *fences, size_t count, struct arena *arena,
                      struct store_offers *ret_offers, struct error *err);
/* Those of one run, once it is this node's: what nobody has taken is removed first. */
int store_offers_inherit(struct store_cluster *cluster, struct uuid run_id, struct arena *arena,
                         struct store_offers *ret_offers, struct error *err);
/* Rows that nobody will ask for any more: their attempts run under this fence no longer. */
int store_offers_sweep(struct store_cluster *cluster, struct error *err);

/* -- the node that runs them -- */
/* Takes up to max that are offered to it. */
int store_offers_take(struct store_cluster *cluster, uint32_t max, uint32_t *ret_taken, struct error *err);
/* All that it has TAKEN, with their runs. Texts are in the arena. */
int store_offers_held(struct store_cluster *cluster, struct arena *arena, struct store_offers *ret_offers,
                      struct error *err);
/* TAKEN: it has started. ENDED: its result, and its log (attempt.log, else what is in this node's file). REFUSED:
 * nobody has begun it. *ret_kept false: the row is another's business by now, and the result changes nothing. */
int store_offers_report(struct store_cluster *cluster, const struct store_offer *offer, bool *ret_kept,
                        struct error *err);

/* At the start, before anything else of this node: offers of its runs (what nobody had taken is removed) and guests it
 * has. */
int store_offers_recover(struct store *store, struct arena *arena, struct store_offers *ret_offers,
                         struct error *err);

#endif
