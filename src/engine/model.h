/* The engine's data: what each field means to the algorithm. Private to engine/. */
#ifndef PAWL_ENGINE_MODEL_H
#define PAWL_ENGINE_MODEL_H

#include "base/map.h"
#include "cron/cron.h"
#include "engine/engine.h"

enum { NO_WORKER = UINT32_MAX, NO_TASK = UINT32_MAX, NO_TRY = 0 };

/* A task instance that has an attempt which runs, is claimed, or will be repeated. */
struct try {
    uint32_t task;
    uint32_t number;            /* of the latest attempt */
    uint32_t failures;          /* attempts that used up maxAttempts */
    uint32_t lost;              /* attempts whose outcome is unknown */
    uint32_t worker;            /* index in engine.workers; NO_WORKER: claimed ahead, or not met since the restart;
                                   once that is reconciled: any of the awaited workers may hold it */
    uint64_t fence;
    int64_t claimed_ms;
    int64_t started_ms;         /* 0: the worker has not said */
    struct uuid claimed_by;     /* the worker in the claim's row; zero: claimed ahead */
    bool ahead;                 /* durable claim without a slot, in engine.ahead; the task is still queued */
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
    int64_t scheduled_ms;       /* the instant it stands for; 0: none */
    struct origin *origin;      /* what made it; NULL: a schedule */
    bool counted;               /* in its schedule's count of active runs */
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
    uint32_t sent;              /* claims that it has and has not said to have begun: they take its next slots */
    uint32_t sent_max;          /* how many it may have; 0: it knows no waiting */
    bool slow;                  /* it gave one back and has ended nothing since */
    bool up;
    bool awaited;               /* it lives, and has not said since the restart what it holds: what its claims
                                   name runs on; it is given nothing */
    bool draining;
    bool elsewhere;             /* another node, which has workers of its own */
};

/* An attempt of another node's run that takes a slot here. */
struct guest {
    struct uuid run_id;
    uint32_t task;
    uint32_t number;
    uint64_t fence;
    uint32_t worker;            /* index in engine.workers; NO_WORKER: it takes no slot */
    bool stopping;
    bool ended;                 /* its owner does not know yet */
};

struct timer {
    int64_t due_ms;             /* boot time */
    struct uuid run_id;
    uint32_t task;              /* NO_TASK: the run's timeout */
};

/* An instant that waits to be fired; its record is on disk, or on its way. */
struct fire {
    struct uuid id;             /* of the record */
    int64_t time_ms;
    uint32_t parallel;          /* see record_fire */
    bool recorded;              /* that it waits is durable: until then it may still be refused, and is not released */
};

struct fire_queue {
    struct fire *items;         /* oldest instant first */
    size_t count, cap;
};

/* A DAG whose schedule fires, or whose scheduled runs are active or wait. */
struct schedule {
    struct uuid dag_id;
    struct dag *dag;            /* the latest version; NULL: nothing fires any more, only its runs are counted */
    uint32_t dag_version;
    bool ticks;                 /* it has a schedule: cron and zone */
    bool awaits_zone;           /* it has one whose zone cannot be read now: tried again */
    bool paused;
    const struct command *changing; /* with which another schedule is on its way to the store; NULL: none is */
    struct cron cron;
    struct cron_zone *zone;
    int64_t covered_ms;         /* every instant up to here is decided; its record may be on its way */
    int64_t next_ms;            /* the first instant behind it; INT64_MAX: none */
    int64_t paused_to_ms;       /* instants up to here, as far as they are not covered, were in a pause; 0: none */
    int64_t retry_ms;           /* boot time before which nothing is tried again; 0: none */
    uint32_t pending;           /* records on their way that cover; meanwhile nothing new is covered */
    uint32_t active;            /* runs made by it, those being born too */
    uint32_t backfills;         /* those of them that a backfill made */
    uint32_t elsewhere;         /* runs made by it that other nodes drive, as last told */
    uint32_t elsewhere_backfills; /* those of them that a backfill made */
    struct uuid elsewhere_run;  /* one of them */
    struct schedule *next, *previous; /* in the order they came */
    struct fire_queue waiting;  /* overlap: queue, and catchup: all */
    struct fire_queue backfill;
};

/* The fire a waiting group is about. */
struct waiting_fire {
    struct uuid dag_id;
    enum trigger trigger;
    struct fire fire;
    enum fire_outcome outcome;
    bool releases;              /* it was queued before */
    int64_t before_ms;          /* what was covered before it, of a schedule's */
    int64_t to_ms;              /* and what is when it is taken */
    struct command *backfill;   /* that asked for it; NULL */
};

/* A command whose records are in a batch not yet durable. */
struct waiting_command {
    struct command *command;    /* NULL: nobody waits */
    struct engine_run *birth;   /* the run that begins when its group is accepted */
    bool is_fire;
    struct waiting_fire fire;   /* when is_fire; then command is NULL */
    int64_t time_ms;            /* wall time in the record of a catalog command */
    uint64_t batch;
    uint32_t group;             /* 0: none, cannot be refused */
    bool again;                 /* nothing is recorded of it: it is tried once more */
    struct command_result result;
};

/* A ready task whose claim is durable, or on its way, without a slot. */
struct ahead {
    struct engine_run *run;
    uint32_t task;
    uint64_t batch;             /* that holds the claim */
    uint32_t worker;            /* index of the one it was sent to; NO_WORKER: in hand */
    bool recalled;              /* which was asked to give it back */
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
    bool urgent;                /* a client, a cancel or the like waits for the open batch */
    uint32_t slots_waiting;     /* starts that wait for it */
    bool draining;
    bool holding;               /* no room in the store: nothing new starts */
    bool one_by_one;            /* nothing is claimed ahead */
    bool sends_ahead;           /* attempts are so brief that workers get their next start before the last has ended */

    struct map runs;            /* by id */
    struct engine_run *first_run;
    uint32_t births;            /* runs whose creation is not durable yet */
    uint64_t waiting_tasks;     /* sum of left, births included */
    uint64_t ready_tasks;
    uint32_t running_attempts;
    uint32_t ended_meanwhile;   /* attempts that workers brought as ended when they joined */
    bool unnamed_wait;          /* claims that name no worker, and guests, wait for the awaited ones */
    bool worker_died;           /* one of the last daemon, without a word: it may have held such a claim */

    struct engine_run **order;  /* heap of runs with ready tasks, least served first */
    size_t order_count, order_cap;
    uint32_t order_any;         /* runs in it that need not stay on one node */
    uint64_t served_now;        /* virtual time of the last run served */

    struct ahead *ahead; /* claimed without a slot, oldest first */
    uint32_t ahead_count;
    uint32_t sent;              /* of them: sent to a worker */

    struct worker *workers;
    size_t worker_count, worker_cap;
    struct guest *guests;
    size_t guest_count, guest_cap;

    struct map schedules;       /* by the DAG's id */
    struct schedule *first_schedule, *last_schedule;
    int64_t schedule_wall_ms;   /* the next instant of any of them; INT64_MAX: none */
    int64_t schedule_boot_ms;   /* boot time at which they are looked at in any case; INT64_MAX: never */
    bool schedules_stir;        /* something has changed that may let one go on */

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
/* The best task of a run that need not stay on one node. */
bool engine_ready_pop_any(struct engine *engine, struct engine_run **ret_run, uint32_t *ret_task);
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
/* The try an event speaks of, or NULL when it is stale: another number or fence, an ended task, an unknown run. */
struct try *engine_attempt_find(struct engine *engine, const struct engine_attempt *attempt,
                                struct engine_run **ret_run);
/* A worker came with what it holds: bind what is ours, end what has ended, stop what nobody knows. */
void engine_attempt_meet(struct engine *engine, uint32_t index, const struct engine_attempt *held,
                         struct engine_now now);
/* A claim that no worker saw: the task is ready again, or ends with its run. */
void engine_attempt_take_back(struct engine *engine, struct engine_run *run, uint32_t task);
/* Whether the try is among what a worker says it holds. */
bool engine_attempt_is_held(const struct engine_attempt *held, size_t count, const struct engine_run *run,
                            const struct try *try);
void engine_attempt_bind(struct engine *engine, struct try *try, uint32_t index); /* it takes a slot of that worker */
uint32_t engine_worker_find(const struct engine *engine, struct uuid id); /* NO_WORKER: there is none */
uint32_t engine_worker_get(struct engine *engine, struct uuid id);        /* added when there is none */

/* ahead.c: claims without a slot */
void engine_ahead_add(struct engine *engine, struct engine_run *run, struct try *try);
/* The first place from there on of one in hand; ahead_count: there is none. */
uint32_t engine_ahead_in_hand(const struct engine *engine, uint32_t from);
struct ahead engine_ahead_take(struct engine *engine, uint32_t place); /* one in hand, off the list */
/* One that was sent has begun, or is to be treated as such. Nothing when it is in hand. */
void engine_ahead_begun(struct engine *engine, struct engine_run *run, struct try *try);
/* One that was sent never came there: it is in hand again. false: it is none that was sent. */
bool engine_ahead_unsent(struct engine *engine, const struct engine_run *run, uint32_t task);
void engine_ahead_drop_run(struct engine *engine, struct engine_run *run); /* it is canceled */
void engine_ahead_recall(struct engine *engine, uint32_t index);           /* from that worker; NO_WORKER: from all */
void engine_ahead_steal(struct engine *engine, uint32_t slots);            /* so many are free elsewhere */
void engine_ahead_withdraw(struct engine *engine);                         /* all; what was sent, as it comes back */
void engine_ahead_lost(struct engine *engine, uint32_t index);             /* what it has may have begun */
void engine_ahead_unseen(struct engine *engine, uint32_t index, const struct engine_attempt *held, size_t count);

/* dispatch.c: the least loaded own worker with a free slot, or NO_WORKER */
uint32_t engine_worker_free(const struct engine *engine);

/* offer.c */
uint32_t engine_node_free(const struct engine *engine);

/* guest.c */
/* false: it is none. */
bool engine_guest_meet(struct engine *engine, uint32_t index, const struct engine_attempt *held);
void engine_guests_unseen(struct engine *engine, uint32_t index, const struct engine_attempt *held, size_t count);
void engine_guests_lost(struct engine *engine, uint32_t index);

/* schedule.c: what is known of each schedule */
struct schedule *engine_find_schedule(const struct engine *engine, struct uuid dag_id); /* NULL */
/* The zone is looked for once more, of one that awaits it. */
void engine_schedule_find_zone(struct schedule *schedule);
/* The first instant behind what is covered. */
void engine_schedule_arm(struct schedule *schedule);
/* A run that a schedule made is there, or gone. */
void engine_schedule_add_run(struct engine *engine, struct engine_run *run);
void engine_schedule_drop_run(struct engine *engine, struct engine_run *run);
/* The catalog is about to change: what was due until now is decided by the rules until now. That cannot be done
 * (SCHEDULE_UNDECIDED), or the store may still refuse it, in the same batch too (SCHEDULE_PENDING): the change would
 * drop it, or judge what passed in a pause as if there had been none. A change of the schedule itself is waited for:
 * until it is settled nothing is decided, since it would be by rules that end before. */
enum schedule_stand { SCHEDULE_DECIDED, SCHEDULE_PENDING, SCHEDULE_UNDECIDED };
enum schedule_stand engine_schedule_before(struct engine *engine, const struct command *command, struct engine_now now);
/* The verdict on the change is there; what it changed has been told. */
void engine_schedule_settled(struct engine *engine, const struct command *command);
/* It has changed: the change is durable. covered_ms: by what the store says was covered before. */
void engine_schedule_changed(struct engine *engine, const struct command *command,
                             const struct command_result *result, int64_t time_ms, int64_t covered_ms);
void engine_schedules_free(struct engine *engine);

/* fire.c: what becomes of instants */
void engine_fire_tick(struct engine *engine, struct engine_now now);
int64_t engine_fire_next_due(const struct engine *engine); /* boot ms; -1: nothing */
/* Records what is due until now. */
void engine_fire_cover(struct engine *engine, struct schedule *schedule, struct engine_now now);
void engine_fire_backfill(struct engine *engine, struct schedule *schedule, struct command *command,
                          struct engine_now now);
/* The verdict on a fire's group, before its run begins or is dropped. */
void engine_fire_committed(struct engine *engine, const struct waiting_fire *fire, const struct verdict *verdict,
                           struct engine_now now);
void engine_fire_queue_put(struct fire_queue *queue, struct fire fire);

/* letter.c: the task's definition as JSON, in arena */
const char *engine_letter_config(const struct dag *dag, uint32_t task, struct arena *arena);

/* command.c */
/* The command (NULL: nobody) waits for the batch that holds all that was decided so far. */
struct waiting_command *engine_wait_for_batch(struct engine *engine, struct command *command, uint32_t group);
void engine_record_birth(struct engine *engine, const struct command *command, const struct engine_run *run,
                         uint32_t group); /* command NULL: nobody asked for it */
bool engine_has_room(const struct engine *engine, const struct dag *dag, struct error *ret_why);
/* what follows from the verdict of the group, and the answer */
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
