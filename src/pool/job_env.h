/* Environments of tasks, made in layers: what is the same for all tasks of a run is laid out once, and a task without
 * variables of its own copies it whole. Private to src/pool. */
#ifndef PAWL_POOL_JOB_ENV_H
#define PAWL_POOL_JOB_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "base/uuid.h"
#include "dag/dag.h"
#include "dag/dag_expand.h"
#include "pool/job_build.h"
#include "pool/pool_users.h"

/* Linux takes no longer string into an execve (MAX_ARG_STRLEN with 4 KiB pages), its NUL not counted. */
enum { POOL_STRING_BYTES_MAX = 128 * 1024 - 1 };

#define POOL_SECRET_UNKNOWN SIZE_MAX

struct pool_env_var {
    const char *text;       /* NAME=value, terminated */
    size_t name_len;
    size_t len;             /* of text */
    uint64_t replaced_in;   /* the last build in which something else took this name */
};

/* Each name once, in the order in which names came. Zero-initialised is empty and valid. */
struct pool_env {
    struct arena arena;
    struct pool_env_var *vars;
    size_t count, cap;
    struct map index;       /* name -> its index + 1 */
    struct buf list;        /* all texts, each with its NUL; made by pool_env_seal */
};

void pool_env_fini(struct pool_env *env);
/* Sets a variable; what had this name is replaced where it stands. */
void pool_env_set(struct pool_env *env, const char *name, size_t name_len, const char *value, size_t value_len);
/* The value, borrowed; NULL when there is none of this name. */
const char *pool_env_get(const struct pool_env *env, const char *name, size_t name_len);
/* Fills env->list; no pool_env_set after it. */
void pool_env_seal(struct pool_env *env);

/* A process's environment, as tasks get it: all of `environment` or, unless `inherit`, what a clean one keeps. */
void pool_env_add_process(struct pool_env *env, char *const *environment, bool inherit);

/* What the tasks of one run share. */
struct pool_run_env {
    const struct pool_env *process;     /* borrowed */
    bool inherit;                       /* a secret that is not configured may stand in the process's environment */
    struct dag *dag;                    /* borrowed */
    struct dag_expand_source secrets;   /* find is NULL: none */
    struct pool_env fixed;              /* the process's, the DAG's that need no secret, PAWL_RUN_ID and such */
    uint32_t *late;                     /* indexes of the DAG's variables that are made for each task anew */
    uint32_t late_count;
    const struct pool_user *user;       /* whose HOME and name the attempt gets; NULL: the process's */
    uint64_t builds;
    bool asked_secret;                  /* set by the source below */
    struct buf secret_values;           /* of the attempt being made, each with its NUL; the DAG's order */
    size_t *secret_at;                  /* where each of the DAG's begins there; POOL_SECRET_UNKNOWN */
    uint32_t secret_count;              /* in secret_values */
    struct dag_expand_source source;    /* what dag_expand gets for this run; its context is this struct */
    struct buf over, value;             /* scratch */
};

/* `env` must stay where it is. */
void pool_run_env_init(struct pool_run_env *env, const struct pool_env *process, bool inherit, struct dag *dag,
                       const struct pool_run_facts *facts, const struct dag_expand_source *secrets);
void pool_run_env_fini(struct pool_run_env *env);

/* Before the texts of each attempt are made: its secrets, read once, so that what a task gets is what is hidden. One
 * that is not configured is an error of whoever asks for it. ERROR_BAD_REQUEST for one that cannot be hidden. */
int pool_run_env_load_secrets(struct pool_run_env *env, struct error *err);

/* Whether the DAG or the task has a variable of this name. */
bool pool_run_env_user_sets(const struct pool_run_env *env, const struct dag_task *task, const char *name);

/* Appends the environment of one attempt to out. `virtual_env` (absolute) is NULL when there is none. ERROR_BAD_REQUEST
 * or ERROR_TOO_BIG with a sentence. */
int pool_run_env_build(struct pool_run_env *env, const struct dag_task *task, uint32_t number, uint64_t fence,
                       const char *virtual_env, struct buf *out, uint32_t *ret_count, struct error *err);

#endif
