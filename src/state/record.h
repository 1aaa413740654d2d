/* Records: what the engine decides, in the order it decided it. One stream feeds everything: the store writes the
 * durable ones, the live view (live/) and the event stream apply all of them once the batch is durable.
 *
 * A batch is committed as one transaction. Inside it, records with the same `group` (not 0) stand or fall
 * together: the store may refuse a conditional group (the first record says what it demands), undoes only that
 * group and reports the verdict; group 0 is never refused. A record owns what its pointers point at through
 * the batch's arena, DAG sources excepted (see below). All times are wall ms; 0 means none. */
#ifndef PAWL_STATE_RECORD_H
#define PAWL_STATE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "state/state.h"

struct dag;

enum record_kind {
    /* catalog: conditional, in groups of their own */
    RECORD_DAG_CREATE,     /* refused ERROR_DAG_EXISTS when a live DAG has the name */
    RECORD_DAG_UPDATE,     /* refused ERROR_DAG_NOT_FOUND, ERROR_PRECONDITION_FAILED (dag.if_version) */
    RECORD_DAG_DELETE,     /* refused ERROR_DAG_NOT_FOUND, ERROR_DAG_HAS_ACTIVE_RUNS */
    RECORD_DAG_PAUSE,      /* dag.paused; refused ERROR_DAG_NOT_FOUND */
    /* schedules (G9): conditional; with a run's birth in one group when there is one, and before it */
    RECORD_FIRE,           /* instants of a schedule are covered. Refused ERROR_DAG_NOT_FOUND; ERROR_ALREADY_FIRED
                              unless fire.from_ms is later than all that is covered and that reaches to
                              fire.behind_ms, + verdict.covered_ms (of a backfill: when the instant was fired and not
                              fire.again, or is queued); ERROR_PRECONDITION_FAILED when the DAG is paused
                              (record_fire_is_paused): the schedule has changed meanwhile */
    RECORD_FIRE_RELEASE,   /* the queued fire.id is fired now; refused ERROR_ALREADY_FIRED when it is not queued,
                              ERROR_PRECONDITION_FAILED as above */
    /* a run's birth: conditional, same group; order IDEMPOTENCY?, LETTER_RESOLVE?, RUN_CREATE */
    RECORD_IDEMPOTENCY,    /* refused ERROR_OK + verdict.run_id when the key is known with the same digest,
                              ERROR_IDEMPOTENCY_MISMATCH with another; keys older than 24 h do not count */
    RECORD_RUN_CREATE,     /* refused ERROR_DAG_NOT_FOUND when the DAG was deleted */
    RECORD_LETTER_RESOLVE, /* refused ERROR_DEAD_LETTER_NOT_FOUND, ERROR_ALREADY_RESOLVED + verdict.run_id */
    /* life of runs and attempts: group 0 */
    RECORD_RUN_START,      /* run.started_ms */
    RECORD_RUN_CANCEL,     /* run.cancel_ms */
    RECORD_RUN_END,        /* run.state, completed_ms, error, outcomes; also resolves the letters of run.source when
                              a rerun succeeded (run.resolves_source) */
    RECORD_ATTEMPT_CLAIM,  /* a row in state running, before anything starts */
    RECORD_ATTEMPT_END,    /* the same row in its terminal state; carries every field again */
    RECORD_ATTEMPT_WITHDRAW, /* a claim nobody saw: the row goes away */
    RECORD_LETTER,         /* a new dead letter */
    /* not stored, only for the live view and events */
    RECORD_ATTEMPT_START,  /* the worker confirmed the start: attempt.started_ms, worker */
    RECORD_KIND_COUNT
};

struct record_dag {
    struct uuid id;
    const char *name;
    uint32_t version;          /* the one this record makes */
    uint32_t if_version;       /* UPDATE: the version it replaces; 0: whatever it is (the store then sets version to
                                  latest + 1 and reports it in the verdict) */
    const char *source;        /* YAML as given; borrowed until the batch is committed */
    size_t source_len;
    struct dag *dag;           /* a reference the batch holds; may be NULL for DELETE and PAUSE */
    int64_t time_ms;           /* created, updated or deleted */
    bool paused;
};

struct record_run {
    struct uuid id;
    struct uuid dag_id;
    uint32_t dag_version;
    uint32_t task_count;
    struct dag *dag;           /* a reference the batch holds; NULL when it is not RUN_CREATE */
    enum run_state state;
    enum trigger trigger;
    int64_t created_ms;
    int64_t scheduled_ms;      /* the instant of the schedule it stands for; 0: none */
    int64_t started_ms;
    int64_t completed_ms;
    int64_t cancel_ms;         /* told to end: canceled, or timed out if not before started_ms + the timeout */
    const char *error;         /* of a failed run: one sentence; NULL */
    struct uuid source;        /* rerun of; zero if none */
    bool resolves_source;      /* when it succeeds, source's pending dead letters become retried */
    uint32_t failed_count;     /* RUN_END: tasks by state, for lists */
    uint32_t succeeded_count;
    uint32_t skipped_count;
    uint32_t canceled_count;
    /* RUN_CREATE of a rerun: per task a byte, 0 run, else RECORD_KEPT or RECORD_SKIP, run-length coded
     * (record_runs_*). RUN_END: per task its enum task_state, coded the same way. */
    const uint8_t *outcomes;
    size_t outcomes_len;
    const char *request_id;    /* X-Request-Id of what caused it; NULL */
    const char *changes;       /* what it has other than its DAG version (dag_read_options.changes), JSON; NULL */
    const char *trace;         /* that it is part of, see state/origin.h; NULL */
};

enum { RECORD_KEPT = 1, RECORD_SKIP = 2 };

struct record_attempt {
    struct uuid run_id;
    uint32_t task;             /* index in the DAG */
    uint32_t number;           /* from 1 */
    uint64_t fence;            /* grows with every claim of the store's life */
    struct uuid worker;        /* zero: claimed ahead, worker not chosen yet */
    enum attempt_state state;
    enum error_type error_type;
    const char *error;         /* one sentence, NULL when it succeeded */
    int32_t exit_code;         /* -1: none */
    int32_t signal;            /* 0: none */
    int32_t http_status;       /* 0: none */
    int64_t claimed_ms;
    int64_t started_ms;
    int64_t ended_ms;
    int64_t cpu_us;
    int64_t max_rss_bytes;
    int64_t log_bytes;
    const char *log;           /* the whole log when it is in no file; NULL. Stores give it only when asked */
    size_t log_len;            /* at most LIMIT_LOG_INLINE_BYTES_MAX */
    int64_t retry_ms;          /* ATTEMPT_END: the task's next attempt is due then; 0: there is none */
    enum task_state task_state; /* ATTEMPT_END: what the task is now: succeeded failed canceled pending */
};

/* A task's state that no attempt brought about (queued, skipped, canceled, kept). Never stored: it follows from
 * the records. Small, since a failure can skip a million tasks at once. */
struct record_change {
    struct uuid run_id;
    uint32_t task;
    uint32_t position;         /* comes before records[position] */
    uint8_t state;             /* enum task_state */
    bool kept;                 /* succeeded in the source run */
};

struct record_letter {
    struct uuid id;
    struct uuid run_id;
    struct uuid dag_id;
    uint32_t task;
    const char *task_id;       /* for lists that do not load the DAG */
    const char *task_name;
    const char *dag_name;
    enum error_type error_type;
    const char *error;
    uint32_t attempts;
    const char *config;        /* the task as JSON */
    int64_t created_ms;
};

struct record_letter_resolve {
    struct uuid id;
    enum resolution resolution;
    struct uuid run_id;        /* the new run; zero for resolve */
    const char *by;            /* NULL */
    const char *notes;         /* NULL */
    int64_t time_ms;
};

/* One record covers one instant of a schedule that is fired or queued, or a stretch of them that is skipped. */
struct record_fire {
    struct uuid id;
    struct uuid dag_id;
    enum trigger trigger;      /* TRIGGER_SCHEDULE, TRIGGER_BACKFILL */
    int64_t behind_ms;         /* of a schedule: what was thought to be covered, the last before from_ms; not stored */
    int64_t from_ms;           /* the first instant covered */
    int64_t to_ms;             /* the last */
    uint32_t count;            /* instants of the schedule from the first to the last */
    enum fire_outcome outcome;
    enum fire_reason reason;
    struct uuid run_id;        /* fired: the run; skipped by an overlap: the run that was active; zero: none */
    uint32_t parallel;         /* of a backfill: so many of its runs at once; 0: as the schedule's overlap has it */
    bool again;                /* a backfill that fires what was fired before; not stored */
    struct uuid request;       /* of a backfill: the id of the first that was asked for with it; not stored */
    uint32_t rest;             /* and how many of them there are from this one on; not stored */
    int64_t created_ms;
};

struct record_idempotency {
    const char *key;
    struct uuid dag_id;
    const char *principal;     /* "" without tokens */
    uint64_t digest;           /* of the request: path kind and body */
    struct uuid run_id;
    int64_t created_ms;
};

struct record {
    enum record_kind kind;
    uint32_t group;            /* 0: unconditional */
    union {
        struct record_dag dag;
        struct record_run run;
        struct record_attempt attempt;
        struct record_letter letter;
        struct record_letter_resolve letter_resolve;
        struct record_idempotency idempotency;
        struct record_fire fire;
    };
};

struct verdict {
    uint32_t group;
    bool refused;
    enum error_code code;      /* why it was refused */
    struct uuid run_id;        /* the run a known key or a resolved letter leads to */
    uint32_t version;          /* DAG_UPDATE: the version made */
    int64_t covered_ms;        /* a schedule's FIRE, refused: what is covered; DAG_UPDATE: what was before it */
};

struct batch {
    uint64_t number;           /* from 1, in order */
    struct record *records;
    size_t count;
    size_t cap;
    struct record_change *changes;
    size_t change_count;
    size_t change_cap;
    struct verdict *verdicts;  /* one per group, filled by the store; group g is verdicts[g - 1] */
    uint32_t group_count;
    struct arena arena;        /* everything the records point at */
};

struct batch *record_batch_new(uint64_t number);
void record_batch_free(struct batch *batch); /* also drops the DAG references; NULL is allowed */
/* Whether a fire, or a release of one, is refused while its DAG is paused: all but that a stretch was a pause. */
bool record_fire_is_paused(const struct record_fire *fire);
/* Whether it has records of DAGs, or of instants of schedules. */
bool record_batch_changes_schedules(const struct batch *batch);
struct record *record_add(struct batch *batch, enum record_kind kind, uint32_t group);
void record_add_change(struct batch *batch, struct uuid run_id, uint32_t task, enum task_state state, bool kept);
uint32_t record_add_group(struct batch *batch); /* a new group's number */

/* Run-length coding of one small value (0..15) per task: bytes value << 4 | varint length in 4 + 7 + 7... bits. */
void record_runs_encode(const uint8_t *values, uint32_t count, struct arena *arena, const uint8_t **ret_bytes,
                        size_t *ret_len);
/* false when the bytes do not say exactly `count` values */
bool record_runs_decode(const uint8_t *bytes, size_t len, uint8_t *values, uint32_t count);

/* Run ids are version 7 UUIDs; a task instance's id is its run's with index + 1 added to the low 32 bits (which wrap),
 * so that it needs no storage: the run is found by the upper 96 bits. */
struct uuid record_instance_id(struct uuid run_id, uint32_t task);
uint32_t record_instance_task(struct uuid run_id, struct uuid instance_id);
/* The smallest and largest run id that can own the instance. */
void record_instance_range(struct uuid instance_id, struct uuid *ret_low, struct uuid *ret_high);

#endif
