/* What a worker is asked to do, and what came of it. A job is complete: the worker adds nothing from its own
 * environment and knows no DAG. Plain data; every pointer is borrowed from whoever made the struct. */
#ifndef PAWL_WORKER_JOB_H
#define PAWL_WORKER_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "state/state.h"

enum job_kind {
    JOB_COMMAND, /* a string that means what `sh -c` means */
    JOB_ARGV,    /* a program and its arguments, no shell */
    JOB_PYTHON,  /* an interpreter, a script or code, arguments */
    JOB_HTTP,    /* a request; no process */
    JOB_KIND_COUNT
};

/* Names one attempt for ever: fences never repeat within a store. */
struct job_key {
    struct uuid run_id;
    uint64_t fence;
    uint32_t task;             /* index in the DAG */
    uint32_t number;           /* of the attempt, from 1 */
};

/* Strings one after the other, each with its NUL. */
struct job_list {
    const char *bytes;
    size_t len;                /* with all NULs */
    uint32_t count;
};

/* Another user than the worker's, complete: nothing is looked up by the worker. */
struct job_user {
    bool other;                /* false: the worker's own, and the rest says nothing */
    uint32_t uid, gid;
    const char *groups;        /* supplementary ones, uint32_t each, not aligned */
    uint32_t group_count;
};

struct job {
    struct job_key key;
    enum job_kind kind;
    bool may_wait;             /* for a slot, for a moment; false: one is free */
    int64_t timeout_ms;        /* of the attempt, from its start; 0: none */
    const char *log_path;      /* absolute; made, with its folders, at the first byte of output */
    int64_t log_bytes_max;     /* what is beyond it is dropped and the log says so */
    struct job_list secrets;   /* values that must not be seen in log and error */
    /* processes */
    const char *workdir;       /* absolute */
    struct job_user user;      /* as whom they run */
    struct job_list env;       /* NAME=value, complete, each name once */
    const char *command;       /* COMMAND */
    struct job_list argv;      /* ARGV: program, arguments. PYTHON: interpreter, script (unless code), arguments */
    const char *code;          /* PYTHON: source to run instead of a script; NULL */
    size_t code_len;
    bool warm;                 /* PYTHON: a fork of an interpreter that runs already will do */
    /* HTTP */
    const char *method;        /* upper case */
    const char *url;
    struct job_list headers;   /* "Name: value", complete */
    const char *body;          /* NULL: none */
    size_t body_len;
    uint32_t follow;           /* redirects followed at most */
    bool deny_private;         /* only public addresses are connected to, and */
    struct job_list networks;  /* those of these networks: "10.0.0.0/8" */
};

struct job_result {
    struct job_key key;
    enum attempt_state outcome;   /* succeeded failed timed_out canceled */
    enum error_type error_type;
    bool retryable;               /* false: trying again cannot help (HTTP 4xx other than 408 and 429) */
    const char *error;            /* one sentence; NULL when it succeeded */
    int32_t exit_code;            /* -1: none */
    int32_t signal;               /* 0: none */
    int32_t http_status;          /* 0: none */
    int64_t started_ms;           /* wall; 0 when nothing was started */
    int64_t ended_ms;             /* wall, never before started_ms */
    int64_t cpu_us;               /* user and system time of the process and of its awaited children */
    int64_t max_rss_bytes;        /* of the largest process among them */
    int64_t log_bytes;            /* size of the log */
    const char *log;              /* all of it, when it is in no file; NULL: it is, or there is none */
    size_t log_len;               /* at most LIMIT_LOG_INLINE_BYTES_MAX */
};

static inline bool job_key_equal(const struct job_key *a, const struct job_key *b)
{
    return a->fence == b->fence && a->task == b->task && a->number == b->number && uuid_equal(a->run_id, b->run_id);
}

#endif
