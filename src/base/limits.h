/* Every bound pawl keeps, in one place. Reaching one is an ordinary error with a message that names it.
 * Sizes are bytes, counts are counts; names end in _max (or _ms for times). */
#ifndef PAWL_BASE_LIMITS_H
#define PAWL_BASE_LIMITS_H

enum {
    /* DAG files (product.md section 2) */
    LIMIT_DAG_BYTES_MAX = 64 * 1024 * 1024,          /* a DAG file sent over the network */
    LIMIT_DAG_LOCAL_BYTES_MAX = 1024 * 1024 * 1024,  /* a DAG file read on the daemon's machine */
    LIMIT_DAG_TASKS_MAX = 100000,                    /* tasks of a DAG sent over the network */
    LIMIT_DAG_LOCAL_TASKS_MAX = 1000000,             /* tasks of a DAG read on the daemon's machine */
    LIMIT_DAG_EDGES_MAX = 20000000,                  /* dependencies of a DAG, all tasks together */
    LIMIT_DAG_ERRORS_MAX = 100,                      /* errors reported for one file; then it says how many more */
    LIMIT_DAG_ERRORS_READ_MAX = 10000,               /* after so many the rest of the file is not looked at */
    LIMIT_YAML_DEPTH_MAX = 256,                      /* nested collections */
    LIMIT_YAML_NODES_MAX = 3000000,                  /* nodes held at once; tasks already read are not held */
    LIMIT_YAML_ALIAS_NODES_MAX = 100000,             /* nodes reached through aliases, expanded, in any file */
    LIMIT_YAML_ALIAS_FACTOR_MAX = 16,                /* and so many more for each node written out */
    LIMIT_YAML_ANCHORS_MAX = 10000,                  /* anchors of one file */
    LIMIT_YAML_DIRECTIVES_MAX = 2000,                /* %TAG lines of one document, give or take what is read at once */
    LIMIT_YAML_KEYS_MAX = 10000,                     /* keys of one mapping */
    LIMIT_YAML_SCALAR_BYTES_MAX = 4 * 1024 * 1024,   /* one scalar */
    LIMIT_TASK_ID_BYTES_MAX = 250,
    LIMIT_DAG_NAME_BYTES_MAX = 250,
    LIMIT_NAME_BYTES_MAX = 1000,                     /* a task's display name, a description: see dag.h */
    LIMIT_DESCRIPTION_BYTES_MAX = 10000,
    LIMIT_CHANGES_BYTES_MAX = 100000,                /* what a run has other than its DAG version, as JSON */
    LIMIT_ENV_VARS_MAX = 1000,                       /* variables of one task, DAG's included */
    LIMIT_EXPAND_REFS_MAX = 10000,                   /* references replaced in one value, through variables too */
    LIMIT_EXPAND_DEPTH_MAX = 32,                     /* variables that refer to variables */
    LIMIT_EXPAND_TASK_STEPS_MAX = 1000000,           /* to replace all references of one task: see dag_expand_check.h */
    LIMIT_EXPAND_DAG_STEPS_MAX = 20000000,           /* and of all tasks of a DAG */
    LIMIT_COMMAND_BYTES_MAX = 1024 * 1024,           /* argv and environment of one attempt together */
    LIMIT_RETRY_ATTEMPTS_MAX = 1000,

    /* schedules */
    LIMIT_LATE_MS = 60000,                           /* an instant that is later than this was missed */
    LIMIT_CATCHUP_MAX = 100,                         /* missed instants of one DAG that catchup: all makes up for */
    LIMIT_FIRE_QUEUE_MAX = 100,                      /* instants of one DAG that wait for the run before them */
    LIMIT_BACKFILL_MAX = 1000,                       /* instants of one DAG that wait as a backfill */
    LIMIT_BACKFILL_PARALLEL_DEFAULT = 4,             /* its backfill runs at once, when its runs may overlap */
    LIMIT_BACKFILL_PARALLEL_MAX = 100,               /* when who asks for them says how many */
    LIMIT_PREVIEW_MAX = 1000,                        /* instants one preview shows */

    /* attempts */
    LIMIT_LOST_RETRIES_MAX = 3,                      /* G4: repeats of an attempt whose outcome is unknown */
    LIMIT_LOG_BYTES_DEFAULT = 10 * 1024 * 1024,      /* one attempt's log */
    LIMIT_LOG_INLINE_BYTES_MAX = 1024,               /* a log so short, of an attempt so brief, becomes no file */
    LIMIT_LOG_KEPT_BYTES_MAX = 1024 * 1024,          /* of one attempt's log in a database that nodes share */
    LIMIT_LOG_INLINE_MS = 200,                       /* but is kept with the attempt's row */
    LIMIT_ERROR_TEXT_BYTES_MAX = 1000,               /* the error text kept with an attempt */
    LIMIT_SECRET_BYTES_MIN = 4,                      /* a shorter value cannot be hidden in a log */
    LIMIT_SECRET_BYTES_MAX = 64 * 1024,
    LIMIT_USER_NAME_BYTES_MAX = 256,
    LIMIT_USER_GROUPS_MAX = 4096,                    /* supplementary groups of a user that tasks run as */

    /* workers */
    LIMIT_WORKERS_MAX = 1024,
    LIMIT_SLOTS_MAX = 4096,                          /* slots of one worker */
    LIMIT_WORKER_QUEUE_MAX = 100,
    LIMIT_MESSAGE_BYTES_MAX = 4 * 1024 * 1024,       /* one message between daemon and worker */

    /* the door */
    LIMIT_WAITING_TASKS_MAX = 2000000,
    LIMIT_ACTIVE_RUNS_MAX = 100000,
    LIMIT_PAGE_MAX = 1000,
    LIMIT_PAGE_DEFAULT = 20,
    LIMIT_OFFSET_MAX = 10000,
    LIMIT_LOG_PAGE_BYTES_MAX = 16 * 1024 * 1024,
    LIMIT_BODY_BYTES_MAX = LIMIT_DAG_BYTES_MAX + 1024 * 1024, /* a request body */
    LIMIT_SMALL_BODY_BYTES_MAX = 1024 * 1024,        /* a request body that holds no DAG file */
    LIMIT_HEADER_BYTES_MAX = 16 * 1024,              /* a request's head */
    LIMIT_URL_BYTES_MAX = 8 * 1024,
    LIMIT_BASE_PATH_SEGMENTS_MAX = 4,                /* of a folder that a proxy leaves in front of paths */
    LIMIT_IDEMPOTENCY_KEY_BYTES_MAX = 255,
    LIMIT_CONNECTIONS_MAX = 12000,
    LIMIT_EVENT_BACKLOG_MAX = 10000,                 /* events a reconnecting reader can be given */

    LIMIT_HOLD_MS = 5,                               /* how long a batch nobody waits for is held */
    LIMIT_LEASE_MS = 15000,                          /* of a node of a cluster, by the database's clock */
    LIMIT_IDEMPOTENCY_MS = 24 * 3600 * 1000,
    LIMIT_GRACE_MS = 10000,                          /* between TERM and KILL */
    LIMIT_DRAIN_MS = 60000,                          /* SIGTERM to hand-over */
};

#endif
