/* An engine with a model store, a live view, workers that do what the test says and a clock that the test moves.
 * rig_settle carries one event through to the end: commits, births, answers, effects. */
#ifndef PAWL_TESTS_RIG_H
#define PAWL_TESTS_RIG_H

#include "engine/engine.h"
#include "graph.h"
#include "live/live.h"
#include "store_model.h"

struct rig {
    struct engine *engine;
    struct live *live;
    struct model model;
    struct engine_now now;
    struct engine_options options;
    struct uuid dag_id;
    struct effect *effects;     /* all that were released, in order; .dag dropped */
    size_t effect_count, effect_cap;
    uint32_t workers;           /* made so far */
    uint32_t keys;
};

/* What a command was answered with. */
struct rig_answer {
    bool done;
    struct command_result result;
};

void rig_init(struct rig *rig, uint32_t claim_ahead_max);
void rig_fini(struct rig *rig);

/* A turn without taking anything in: what is due, claims. Then commits until nothing is left to commit. */
void rig_settle(struct rig *rig);
void rig_dispatch(struct rig *rig);             /* only decides */
struct batch *rig_take(struct rig *rig);        /* NULL: nothing to commit */
void rig_commit(struct rig *rig, struct batch *take_batch);
void rig_effects(struct rig *rig);              /* takes what is released into rig->effects */
void rig_pass(struct rig *rig, int64_t ms);     /* both clocks go on; settles */

/* Commands; the answer must live until it is done. `command` may be filled further before: kind is set. */
void rig_command(struct rig *rig, const struct command *command, struct rig_answer *answer);
/* Triggers, settles and returns the run's id. Takes the reference. */
struct uuid rig_trigger(struct rig *rig, struct dag *dag);
struct uuid rig_rerun(struct rig *rig, struct dag *dag, struct uuid source, const uint8_t *plan);
void rig_cancel(struct rig *rig, struct uuid run);      /* settles */

struct uuid rig_worker(struct rig *rig, uint32_t slots); /* joins; settles */
/* The newest START of a task; NULL when there is none. */
const struct effect *rig_start_of(const struct rig *rig, struct uuid run, uint32_t task);
size_t rig_count(const struct rig *rig, enum effect_kind kind, struct uuid run, uint32_t task);
struct engine_attempt rig_attempt(const struct effect *start);
/* The worker's word on the newest start of a task; settles. */
void rig_end(struct rig *rig, struct uuid run, uint32_t task, enum attempt_state outcome);

/* The daemon dies: what is not committed is gone. A new engine with the store's runs; no worker has joined yet. */
void rig_crash(struct rig *rig);
struct engine_recovery rig_reconcile(struct rig *rig, bool worker_died); /* settles */

/* As the live view shows it, or as the store has it once the run has ended. */
enum task_state rig_task(const struct rig *rig, struct uuid run, uint32_t task);
enum run_state rig_run(const struct rig *rig, struct uuid run);

#endif
