/* The engine's data: what each field means to the algorithm. Private to engine/. */
#ifndef PAWL_ENGINE_MODEL_H
#define PAWL_ENGINE_MODEL_H

#include "base/map.h"
#include "engine/engine.h"

enum { NO_WORKER = UINT32_MAX, NO_TASK = UINT32_MAX, NO_TRY = 0 };

/* A task instance that has an attempt which runs, is claimed, or will be repeated. */
struct try {
    uint32_t task;
    uint32_t number;            /* of the latest attempt */
    uint32_t failures;          /* attempts that used up maxAttempts */
    uint32_t lost;              /* attempts whose outcome is unknown */
    uint32_t worker;            /* index in engine.workers; NO_WORKER: claimed ahead, or not met since the restart */
    uint64_t fence;
    int64_t claimed_ms;
    int64_t started_ms;         /* 0: the worker has not said */
    struct uuid claimed_by;     /* the worker in the claim's row; zero: claimed ahead */
    bool ahead;                 /* durable claim without a slot; the task is still queued */
    bool stopping;              /* the worker was told to end it */
    uint32_t next_free;
};

struct engine_run {
    struct uuid id;
    struct uuid dag_id;
    struct dag *dag;
    uint32_t dag_version;
    enum run_state state;
    enum trigger trigger;
    int64_t created_ms, started_ms;
    int64_t cancel_ms;          /* told to end: a person did, or (not before it passed) its timeout; 0: no */
    struct uuid source;
    bool resolves_source;
    bool canceling;             /* nothing is started any more */
    bool cancel_at_birth;       /* asked for while its creation was not durable yet */
    char *error;                /* first failure, a sentence; owned */

    uint8_t *tasks;             /* enum task_state of each task */
    uint32_t *waiting;          /* dependencies not yet satisfied; 0: ready */
    uint32_t *try_of;           /* index + 1 in tries; NO_TRY: none */
    uint32_t left;              /* tasks not in a terminal state */
    uint32_t counts[TASK_STATE_COUNT];
    struct try *tries;
    size_t try_count, try_cap;
    uint32_t free_try;          /* index + 1 of the first free one */

    uint64_t *ready;            /* heap of ready_key(): smallest first */
    size_t ready_count, ready_cap;
    uint64_t served;            /* virtual time: claims so far, from where the others were when it came */
    size_t place;               /* index + 1 in engine.order; 0: nothing ready */
    struct engine_run *next, *previous;
};

struct worker {
    struct uuid id;
    uint32_t slots;
    uint32_t running;
    bool up;
    bool draining;
};

struct timer {
    int64_t due_ms;             /* boot time */
    struct uuid run_id;
    uint32_t task;              /* NO_TASK: the run's timeout */
};

/* A command whose records are in a batch not yet durable. */
struct waiting_command {
    struct command *command;    /* NULL: nobody waits */
    struct engine_run *birth;   /* the run that begins when its group is accepted */
    uint64_t batch;
    uint32_t group;             /* 0: none, cannot be refused */
    struct command_result result;
};

/* A ready task whose claim is durable, or on its way, without a slot. */
struct ahead {
    struct engine_run *run;
    uint32_t task;
    uint64_t batch;             /* that holds the claim */
};

struct held_effect {
    struct effect effect;
    uint64_t batch;             /* released when this batch is durable */
};

struct engine {
    struct engine_options options;
    uint64_t random[2];
    uint64_t fences;            /* claims since this start */
    int64_t last_id_ms;
    uint32_t last_id_step;

    struct batch *open;
    uint64_t committed;         /* number of the last durable batch */
    bool urgent;
    bool draining;
    bool holding;               /* no room in the store: nothing new starts */

    struct map runs;            /* by id */
    struct engine_run *first_run;
    uint32_t births;            /* runs whose creation is not durable yet */
    uint64_t waiting_tasks;     /* sum of left, births included */
    uint64_t ready_tasks;
    uint32_t running_attempts;
    uint32_t ended_meanwhile;   /* attempts that workers brought as ended when they joined */

    struct engine_run **order;  /* heap of runs with ready tasks, least served first */
    size_t order_count, order_cap;
    uint64_t served_now;        /* virtual time of the last run served */

    struct ahead *ahead; /* claimed without a slot, oldest first */
    uint32_t ahead_count;

    struct worker *workers;
    size_t worker_count, worker_cap;

    struct timer *timers;       /* heap, soonest first */
    size_t timer_count, timer_cap;

    struct waiting_command *commands;
    size_t command_count, command_cap;
    struct held_effect *held;
    size_t held_count, held_cap;
    struct effect *released;
    size_t released_count, released_cap;
};

/* move.c: the only place where a state is assigned. Both keep the counts; the task mover tells the live view too. */
void engine_move_task(struct engine *engine, struct engine_run *run, uint32_t task, enum task_state to);
void engine_move_task_quietly(struct engine *engine, struct engine_run *run, uint32_t task, enum task_state to);
void engine_move_attempt(struct record_attempt *row, enum attempt_state to);
void engine_move_run(struct engine_run *run, enum run_state to);

/* ready.c */
void engine_ready_push(struct engine *engine, struct engine_run *run, uint32_t task);
bool engine_ready_peek(const struct engine *engine, struct engine_run **ret_run, uint32_t *ret_task);
bool engine_ready_pop(struct engine *engine, struct engine_run **ret_run, uint32_t *ret_task);
void engine_ready_clear(struct engine *engine, struct engine_run *run);
void engine_timer_add(struct engine *engine, struct timer timer);
bool engine_timer_pop(struct engine *engine, int64_t boot_ms, struct timer *ret_timer);

/* run.c */
struct engine_run *engine_run_new(struct engine *engine, struct uuid id, struct dag *dag); /* takes the reference */
void engine_run_free(struct engine *engine, struct engine_run *run);
void engine_run_apply_plan(struct engine *engine, struct engine_run *run, const uint8_t *plan);
void engine_run_link(struct engine *engine, struct engine_run *run); /* from now on it is found, and its timers live */
void engine_run_begin(struct engine *engine, struct engine_run *run, struct engine_now now);
void engine_run_task_succeeded(struct engine *engine, struct engine_run *run, uint32_t task);
void engine_run_skip_dependents(struct engine *engine, struct engine_run *run, uint32_t task);
void engine_run_cancel(struct engine *engine, struct engine_run *run, struct engine_now now);
void engine_run_finish_if_done(struct engine *engine, struct engine_run *run, struct engine_now now);
bool engine_run_timed_out(const struct engine_run *run);
void engine_run_say_timeout(struct engine_run *run);
void engine_run_arm_timeout(struct engine *engine, const struct engine_run *run, struct engine_now now);

/* attempt.c */
struct try *engine_try(const struct engine_run *run, uint32_t task); /* NULL: none */
struct try *engine_try_add(struct engine_run *run, uint32_t task);
/* G4: a loss is repeated. When it is not, the task has failed, in a canceled run too: so its rows alone say which. */
bool engine_try_repeats_loss(const struct engine_run *run, const struct try *try);
void engine_try_drop(struct engine_run *run, uint32_t task);
void engine_attempt_withdraw(struct engine *engine, struct engine_run *run, uint32_t task);
void engine_attempt_cancel_claim(struct engine *engine, struct engine_run *run, uint32_t task);
void engine_attempt_end(struct engine *engine, struct engine_run *run, struct try *try,
                        const struct engine_attempt *end, struct engine_now now);
void engine_attempt_lost(struct engine *engine, struct engine_run *run, struct try *try, const char *why,
                         struct engine_now now);
void engine_attempt_stop(struct engine *engine, struct engine_run *run, struct try *try);

/* letter.c: the task's definition as JSON, in arena */
const char *engine_letter_config(const struct dag *dag, uint32_t task, struct arena *arena);

/* command.c: what follows from the verdict of the group, and the answer */
void engine_command_committed(struct engine *engine, struct waiting_command *waiting, const struct verdict *verdict,
                              struct engine_now now);

/* engine.c */
struct engine_run *engine_find_run(const struct engine *engine, struct uuid id);
struct record *engine_record(struct engine *engine, enum record_kind kind, uint32_t group);
const char *engine_keep_bytes(struct engine *engine, const char *bytes, size_t len);
const char *engine_keep_text(struct engine *engine, const char *text); /* a copy in the open batch; NULL stays NULL */
void engine_effect(struct engine *engine, const struct effect *effect, uint64_t batch);
uint64_t engine_batch_now(const struct engine *engine); /* the batch that holds everything decided so far */
uint64_t engine_random(struct engine *engine);
struct uuid engine_new_id(struct engine *engine, int64_t wall_ms);

#endif
