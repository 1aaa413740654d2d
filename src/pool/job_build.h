/* Makes jobs: from a DAG's task, an attempt's key and the daemon's settings to everything a worker needs. What is
 * the same for all tasks of a run is made once. One thread. */
#ifndef PAWL_POOL_JOB_BUILD_H
#define PAWL_POOL_JOB_BUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "dag/dag.h"
#include "dag/dag_expand.h"
#include "pool/pool_users.h"
#include "state/origin.h"
#include "worker/job.h"

struct pool_jobs;      /* per daemon */
struct pool_run_jobs;  /* per active run */

struct pool_jobs_options {
    const char *data_dir;       /* DATA, absolute: logs lie below it */
    const char *base_dir;       /* where relative paths start, absolute; NULL: DATA/work */
    bool inherit_env;           /* `pawl run`: the caller's environment instead of the clean one */
    int64_t log_bytes_max;      /* 0: LIMIT_LOG_BYTES_DEFAULT */
    bool http_deny_private;     /* http tasks: see job.deny_private */
    const char *const *http_networks;
    uint32_t http_network_count;
    struct pool_users *users;   /* as whom tasks run; borrowed; NULL: as who we are */
};

/* What tasks are told of their run. */
struct pool_run_facts {
    struct uuid dag_id;         /* PAWL_DAG_ID */
    struct uuid run_id;         /* PAWL_RUN_ID */
    struct origin *origin;      /* whose trace they are part of; gets a reference; NULL */
    int64_t scheduled_ms;       /* PAWL_SCHEDULED_FOR, the instant of the schedule; 0: not set */
};

/* Reads this process's environment once. Makes DATA/work when that is the base. ERROR_IO. */
int pool_jobs_new(const struct pool_jobs_options *options, struct pool_jobs **ret_jobs, struct error *err);
void pool_jobs_free(struct pool_jobs *jobs); /* after all its runs; NULL is allowed */

/* `dag` gets a reference; `secrets` is copied (its context is borrowed) and may be NULL. */
struct pool_run_jobs *pool_run_jobs_new(struct pool_jobs *jobs, struct dag *dag, const struct pool_run_facts *facts,
                                        const struct dag_expand_source *secrets);
void pool_run_jobs_free(struct pool_run_jobs *run); /* NULL is allowed */

/* Fills *ret_job; everything in it is borrowed until the next pool_job_build or free of the same pool_jobs. An unknown
 * ${env.NAME}, a name or value that cannot be passed, or too much of it is ERROR_BAD_REQUEST or ERROR_TOO_BIG with a
 * sentence: the attempt fails with it (errorType exec). */
int pool_job_build(struct pool_run_jobs *run, uint32_t task, uint32_t number, uint64_t fence, struct job *ret_job,
                   struct error *err);

#endif
