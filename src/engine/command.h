/* What the outside asks of the engine. A command is filled by the caller (an API thread), posted to the engine's
 * mailbox and answered exactly once by `done`, on the engine's thread, after what it did is durable and visible in
 * the live view. From the post on it belongs to the engine; `done` gets it back and owns it again. */
#ifndef PAWL_ENGINE_COMMAND_H
#define PAWL_ENGINE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "state/state.h"

struct dag;

enum command_kind {
    COMMAND_DAG_CREATE,
    COMMAND_DAG_UPDATE,
    COMMAND_DAG_DELETE,
    COMMAND_DAG_PAUSE,       /* with `paused` */
    COMMAND_RUN_TRIGGER,
    COMMAND_RUN_CANCEL,
    COMMAND_RUN_RERUN,
    COMMAND_LETTER_RETRY,    /* a rerun that resolves `letter` as retried */
    COMMAND_LETTER_SKIP,     /* a rerun that resolves `letter` as skipped */
    COMMAND_LETTER_RESOLVE,  /* no run */
    COMMAND_BACKFILL,        /* instants of its schedule wait to be fired; ERROR_NO_SCHEDULE, ERROR_FULL */
    COMMAND_WORKER_DRAIN,    /* with `draining`: drain or resume */
    COMMAND_KIND_COUNT
};

/* Every run-making command gives ERROR_FULL when more would wait than the limits allow and ERROR_STOPPING while
 * the daemon drains. */
struct command_result {
    struct error error;      /* code 0: done */
    struct uuid run_id;      /* the run made, or the one a known Idempotency-Key or a resolved letter leads to */
    struct uuid dag_id;      /* DAG_CREATE */
    uint32_t dag_version;    /* DAG_CREATE, DAG_UPDATE: the version there is now */
    uint32_t accepted;       /* BACKFILL: instants that will be fired; the others were fired before */
    bool replayed;           /* a known Idempotency-Key: run_id was there before */
};

struct command {
    enum command_kind kind;
    void (*done)(struct command *command, const struct command_result *result);
    void *context;           /* the caller's */
    struct command *next;    /* the mailbox's */

    /* Strings are the caller's and must live until done. */
    struct uuid dag_id;      /* all DAG_*, RUN_TRIGGER, reruns */
    struct uuid run_id;      /* RUN_CANCEL; reruns: the source run */
    struct uuid letter;      /* LETTER_*: its id */
    struct uuid worker;      /* WORKER_DRAIN */
    const int64_t *instants; /* BACKFILL: wall ms, each once */
    uint32_t parallel;       /* BACKFILL: so many runs at once, up to LIMIT_BACKFILL_PARALLEL_MAX; 0: not said */
    size_t instant_count;
    uint32_t accepted;       /* BACKFILL: the engine counts here */
    struct uuid request;     /* BACKFILL: what its instants' records have in common; the engine says */
    uint32_t rest;           /* BACKFILL: instants without a record; the engine counts here */
    enum error_code refusal; /* BACKFILL: why the store refused an instant that was not fired before */
    bool again;              /* BACKFILL: those that were fired before too */
    struct dag *dag;         /* DAG_CREATE, DAG_UPDATE, RUN_TRIGGER, reruns: a reference the engine takes over */
    uint32_t dag_version;    /* RUN_TRIGGER, reruns: the version of `dag` */
    uint32_t if_version;     /* DAG_UPDATE: If-Match; 0: any */
    const char *name;        /* DAG_CREATE */
    const char *source;      /* DAG_CREATE, DAG_UPDATE: the YAML as given */
    size_t source_len;
    bool paused;
    bool draining;
    enum trigger trigger;    /* run-making commands */
    const char *idempotency_key; /* NULL: none */
    const char *principal;   /* "" without tokens */
    uint64_t digest;         /* of what was asked, for the key */
    const uint8_t *plan;     /* reruns: dag->task_count bytes: 0 run, RECORD_KEPT, RECORD_SKIP (state/record.h) */
    bool resolves_source;    /* reruns: success resolves the source's pending letters */
    const char *by;          /* LETTER_RESOLVE: resolvedBy; NULL */
    const char *notes;       /* LETTER_SKIP reason, LETTER_RESOLVE notes; NULL */
    const char *request_id;  /* NULL */
    const char *changes;     /* reruns: what `dag` has other than its version (state/record.h); NULL */
    const char *trace;       /* state/origin.h; NULL */
};

#endif
