/* A DAG definition: what a DAG file says, checked, with every default applied. Immutable once made, so that
 * threads share it by reference; counted, freed with the last reference. Tasks are named by their index in file
 * order everywhere inside pawl; ids are for people.
 *
 *     dag_read() bytes -> struct dag, or all the problems of the file in one pass (dag_problem.h)
 */
#ifndef PAWL_DAG_DAG_H
#define PAWL_DAG_DAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dag_task_type { DAG_TASK_SHELL, DAG_TASK_HTTP, DAG_TASK_PYTHON, DAG_TASK_TYPE_COUNT };
enum dag_backoff { DAG_BACKOFF_EXPONENTIAL, DAG_BACKOFF_FIXED, DAG_BACKOFF_COUNT };
enum dag_on_lost { DAG_ON_LOST_RETRY, DAG_ON_LOST_FAIL, DAG_ON_LOST_COUNT };
enum dag_placement { DAG_PLACEMENT_NODE, DAG_PLACEMENT_ANY, DAG_PLACEMENT_COUNT };
enum dag_overlap { DAG_OVERLAP_SKIP, DAG_OVERLAP_QUEUE, DAG_OVERLAP_ALLOW, DAG_OVERLAP_COUNT };
enum dag_catchup { DAG_CATCHUP_NONE, DAG_CATCHUP_LATEST, DAG_CATCHUP_ALL, DAG_CATCHUP_COUNT };

const char *dag_task_type_name(enum dag_task_type type);
const char *dag_backoff_name(enum dag_backoff backoff);
const char *dag_on_lost_name(enum dag_on_lost on_lost);
const char *dag_placement_name(enum dag_placement placement);
const char *dag_overlap_name(enum dag_overlap overlap);
const char *dag_catchup_name(enum dag_catchup catchup);

struct dag_var {
    const char *name;
    const char *value;      /* as written; may hold ${env.NAME}, see dag_expand.h */
};

struct dag_vars {
    const struct dag_var *items;
    uint32_t count;
};

struct dag_words {
    const char *const *items;
    uint32_t count;
};

struct dag_retry {
    uint32_t max_attempts;          /* 1: no retry */
    enum dag_backoff backoff;
    int64_t initial_delay_ms;
    int64_t max_delay_ms;
    double multiplier;
    double jitter;                  /* 0..1: the delay is multiplied by 1 +- jitter */
};

struct dag_http {
    const char *method;             /* upper case; GET when absent */
    const char *url;
    struct dag_vars headers;
    const char *body;               /* NULL: none; JSON text or the string as given */
    size_t body_len;
    bool body_is_json;              /* adds Content-Type: application/json unless a header says otherwise */
    uint32_t follow;                /* redirects followed at most */
};

struct dag_task {
    const char *id;
    const char *name;               /* id when absent */
    enum dag_task_type type;
    enum dag_on_lost on_lost;
    int64_t timeout_ms;             /* of one attempt; 0: none; 30 minutes when absent */
    struct dag_retry retry;
    struct dag_vars env;            /* the task's own; the DAG's are in struct dag */
    const char *workdir;            /* NULL: where relative paths start */
    const char *command;            /* shell: the string form, NULL if argv was given */
    struct dag_words argv;          /* shell: the list form */
    const char *script;             /* python: path or code */
    bool script_is_code;
    bool warm;                      /* python: a fork of an interpreter that runs already will do */
    const char *virtual_env;        /* python: NULL if none */
    struct dag_words args;          /* python */
    const struct dag_http *http;    /* http: never NULL then */
    const uint32_t *dependencies;   /* task indexes, ascending, each once */
    uint32_t dependency_count;
    uint32_t line;                  /* where the task starts in the file, from 1 */
};

struct dag_schedule {
    const char *cron;               /* NULL: no schedule */
    const char *timezone;           /* IANA name; NULL: the daemon's */
    enum dag_overlap overlap;
    enum dag_catchup catchup;
};

/* What is kept of a DAG's ended runs, where the server's limits are not meant. */
struct dag_keep {
    int64_t age_ms;                 /* since a run's end; 0: as the server says; INT64_MAX: however old */
    uint32_t runs;                  /* the latest so many; 0: as the server says */
};

struct dag {
    const char *name;
    const char *description;        /* NULL if absent */
    struct dag_schedule schedule;
    int64_t timeout_ms;             /* of a run; 0: none */
    struct dag_keep keep;
    struct dag_vars env;
    struct dag_words secrets;
    const char *run_as;             /* user of its shell and python tasks; NULL: the daemon's choice */
    enum dag_placement placement;
    const struct dag_task *tasks;
    uint32_t task_count;
    uint32_t edge_count;

    /* The graph turned round, made by the validator: dependents of task i are
     * dependents[dependent_start[i] .. dependent_start[i + 1]). */
    const uint32_t *dependents;
    const uint32_t *dependent_start;    /* task_count + 1 entries */
    const uint32_t *topological;        /* every task after its dependencies */
    const uint32_t *rank;               /* longest path from the task to a leaf, in tasks; 1 for a leaf */
};

/* References. Thread-safe. dag_unref frees with the last one; NULL is allowed. */
struct dag *dag_ref(struct dag *dag);
void dag_unref(struct dag *dag);

/* The index of a task id, or -1. */
int64_t dag_find_task(const struct dag *dag, const char *id, size_t len);

struct dag_problems;                    /* dag_problem.h */

struct dag_read_options {
    const char *file;                   /* for messages; "dag.yaml" style; NULL over the API */
    const char *name;                   /* wins over the file's name when not NULL (POST /dags) */
    bool name_may_lack;                 /* a file without one, "" then, gets a warning: a request will name the DAG */
    uint32_t tasks_max;                 /* LIMIT_DAG_TASKS_MAX or LIMIT_DAG_LOCAL_TASKS_MAX */
    size_t bytes_max;
    const char *changes;                /* fields of tasks that a run has otherwise, by task id, as JSON or YAML
                                           (dag_change.c); NULL: none. Problems in them have places of their own */
    size_t changes_len;
    /* Whether tasks may run as this user: writes into `text` why not and returns false. NULL: nobody is asked. */
    bool (*may_run_as)(void *context, const char *user, char *text, size_t size);
    void *context;
};

/* Reads and checks. Returns 0 and a reference in *ret_dag, ERROR_PARSE_ERROR (YAML, fields, types),
 * ERROR_VALIDATION_ERROR (only the graph is wrong) or ERROR_OUT_OF_MEMORY (nothing is said of the file then).
 * Problems, warnings too, are added to `problems` in all cases, ordered by place. Time is linear in the size of the
 * input. Thread-safe; nothing is kept of `bytes`. */
int dag_read(const char *bytes, size_t len, const struct dag_read_options *options, struct dag_problems *problems,
             struct dag **ret_dag);

#endif
