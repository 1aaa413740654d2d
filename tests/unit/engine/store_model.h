/* A store as simple as it can be, that believes nothing: each record is checked against what was durable before, and
 * one that cannot be true ends the process with a sentence. What it holds is what survives a crash. */
#ifndef PAWL_TESTS_MODEL_H
#define PAWL_TESTS_MODEL_H

#include "engine/engine.h"
#include "live/live.h"
#include "state/record.h"

enum { NO_ROW = UINT32_MAX };

struct model_row {
    struct record_attempt attempt;
    uint32_t before;            /* row of the attempt before; NO_ROW */
    bool gone;                  /* withdrawn */
};

struct model_run {
    struct record_run run;      /* .dag: a reference; .outcomes: the plan, owned */
    bool ended;
    uint8_t *plan;              /* a byte per task, or NULL */
    uint8_t *outcomes;          /* of an ended run: a byte per task */
    struct model_row *rows;
    size_t row_count, row_cap;
    uint32_t *last;             /* row of each task's latest attempt; NO_ROW */
    uint32_t running;           /* rows in state running */
};

struct model_letter {
    struct uuid id, run_id, dag_id, resolved_run;
    uint32_t task;
    uint32_t attempts;
    enum error_type error_type;
    enum resolution resolution;
};

struct model_key {
    char *key;
    struct uuid dag_id, run_id;
    uint64_t digest;
    int64_t created_ms;
};

struct model_dag {
    struct uuid id;
    uint32_t version;
    bool deleted;
    bool paused;
    struct dag *dag;            /* the latest version, a reference; NULL: model_add_dag made it */
    int64_t covered_ms;
    int64_t paused_to_ms;       /* a pause that another node ended */
};

struct model {
    struct model_run **runs;    /* in order of creation */
    size_t run_count, run_cap;
    struct model_letter *letters;
    size_t letter_count, letter_cap;
    struct model_key *keys;
    size_t key_count, key_cap;
    struct model_dag *dags;
    size_t dag_count, dag_cap;
    struct record_fire *fires;
    size_t fire_count, fire_cap;
    uint64_t fence_max;
    uint64_t claims, ends, withdrawals, lost;
};

/* Where a broken promise ends: prints and aborts, unless a test replaces it. Does not return. */
extern void (*model_broken)(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

void model_fini(struct model *model);
struct uuid model_add_dag(struct model *model);
void model_delete_dag(struct model *model, struct uuid id);
/* Makes the batch durable and fills its verdicts. */
void model_commit(struct model *model, struct batch *batch);
/* Every unfinished run into a new engine and a new live view (which may be NULL). */
void model_load(struct model *model, struct engine *engine, struct live *live, struct engine_now now);

/* The record that covers an instant for the DAG's schedule; NULL. */
const struct record_fire *model_fire(const struct model *model, struct uuid dag_id, int64_t time_ms);
struct model_run *model_find(const struct model *model, struct uuid id); /* NULL */
struct model_letter *model_find_letter(const struct model *model, struct uuid run_id, uint32_t task); /* NULL */
const struct record_attempt *model_last(const struct model_run *run, uint32_t task); /* NULL: no attempt */
/* How many rows of the task are in a state. */
uint32_t model_count(const struct model_run *run, uint32_t task, enum attempt_state state);
/* What the rows say of a task; TASK_PENDING when they leave it open. */
enum task_state model_task(const struct model_run *run, uint32_t task);
bool model_satisfied(const struct model_run *run, uint32_t task); /* succeeded, kept or skipped on purpose */
/* What every task of a run that is over must be: a byte per task into ret. */
void model_outcomes(const struct model_run *run, uint8_t *ret);

#endif
