/* The daemon and the local run, as the command line sees them: whole lives, one call each.
 *
 *     server_run()         `pawl serve`: store, engine, workers, HTTP; returns when the daemon has ended
 *     server_run_local()   `pawl run FILE`: one DAG to its end in this process, nothing listens, nothing outlives it
 *     server_kill_left()   `pawl stop --kill` without a daemon: ends the workers that one left behind
 *     server_offline_*()   read-only answers from a data directory that no daemon serves
 *
 * Every function blocks. Texts in the options are borrowed for the duration of the call. Errors are words for the
 * person at the terminal; their exit class is the command's exit status. Nothing here writes to stdout except the
 * one line of server_run. */
#ifndef PAWL_SERVER_SERVER_H
#define PAWL_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/uuid.h"
#include "state/state.h"

struct api_setting;
struct arena;
struct dag;

enum server_durability {
    SERVER_DURABILITY_FULL,     /* a power loss takes nothing that was acknowledged (G1) */
    SERVER_DURABILITY_RELAXED,  /* a power loss may take the last moments; a crash of ours still takes nothing */
};

/* Where the value of a DAG's secret comes from. Read when an attempt starts, never stored. */
struct server_secret {
    const char *name;           /* as in `secrets:` of a DAG */
    const char *file;           /* its content, one line break at the end dropped; NULL: from the environment */
    const char *variable;       /* of the daemon's environment; NULL: from the file */
};

/* All values are final: defaults, config file, environment and flags have been merged (cli/settings.h). log_init()
 * has been called. */
struct server_options {
    const char *data_dir;           /* absolute; made with mode 0700 when missing */
    const char *store_url;          /* postgresql://...: a node of the cluster on it; NULL: SQLite in data_dir */
    int64_t lease_ms;               /* with store_url: how long a node that says nothing counts as alive */
    const char *listen_host;        /* a name or address; "::1" without brackets */
    uint16_t listen_port;           /* 0: the kernel picks one */
    uint32_t workers;               /* worker processes, 1..LIMIT_WORKERS_MAX */
    uint32_t slots;                 /* attempts a worker runs at a time, 1..LIMIT_SLOTS_MAX */
    uint32_t http_threads;          /* 0: as many as CPUs, at most 8 */
    enum server_durability durability;
    int64_t grace_ms;               /* TERM to KILL */
    int64_t drain_ms;               /* SIGTERM to hand-over */
    int64_t request_timeout_ms;     /* a request must be complete after this long, and an answer read */
    int64_t idle_timeout_ms;        /* a connection without a request is closed after this long */
    uint32_t waiting_tasks_max;     /* beyond: 503 FULL */
    uint32_t active_runs_max;
    uint32_t connections_max;
    int64_t log_bytes_max;          /* of one attempt's log */
    int64_t keep_age_ms;            /* what history is kept (store.h, store_retention); 0: without limit */
    int64_t keep_runs;
    int64_t keep_bytes;
    int64_t keep_letters_age_ms;
    int64_t keep_letters;
    bool http_deny_private;         /* http tasks connect to public addresses only, and */
    const char *const *http_networks; /* to those of these networks: "10.0.0.0/8" */
    uint32_t http_network_count;
    const char *run_as;             /* user of tasks whose DAG names none; NULL: the daemon's */
    const char *const *run_as_allowed; /* users that DAGs may name */
    uint32_t run_as_allowed_count;
    const char *run_as_work;        /* where their relative paths start, in a folder for each; NULL: at home */
    const char *const *allowed_hosts; /* Host values accepted besides loopback names and listen_host; "*": any */
    uint32_t allowed_host_count;
    const char *base_path;          /* "/a/b": requests below it are served too; NULL: none */
    const struct server_secret *secrets;
    uint32_t secret_count;
    bool require_token;             /* on loopback too */
    bool allow_anonymous;           /* no tokens although others can connect */
    bool allow_plain_http;          /* no TLS although others can connect */
    const char *tls_cert;           /* PEM files; NULL: plain HTTP */
    const char *tls_key;
    bool die_with_parent;           /* end, tasks too, when the process that started us ends */
    /* SIGHUP: reads the settings again. Of what it gives keep_*, waiting_tasks_max, active_runs_max, drain_ms,
     * secrets and the certificate's files are used from then on; texts live until server_run returns. NULL: SIGHUP ends
     * the daemon as SIGTERM. */
    int (*reload)(void *context, struct server_options *ret_options, struct error *err);
    void *reload_context;
    /* For GET /api/v1/config, as struct api_backend has it; on any thread while server_run runs. NULL: nobody knows. */
    size_t (*get_settings)(void *context, struct arena *arena, struct api_setting **ret_settings);
    void *settings_context;
};

/* The daemon's whole life. Prints `listening on http://HOST:PORT` as the first line on stdout (flushed) once it is
 * ready, and writes DATA/address (server/address.h) just before. Ends by SIGTERM or SIGINT: drains for drain_ms and
 * hands over what still runs; by a second one, or by SIGQUIT (which `pawl stop --kill` sends): tasks are ended too.
 * Owns the process's signals. Returns 0 after any such end; ERROR_STORE_LOCKED, ERROR_STORE_NEWER, ERROR_IO, ... when
 * it could not start or its store failed. */
int server_run(const struct server_options *options, struct error *err);

/* One change of one task instance of a local run. Texts live until the callback returns. Times are wall ms, 0: none. */
struct server_local_change {
    uint32_t task;                  /* index in the DAG */
    enum task_state state;
    uint32_t attempt;               /* latest number; 0 before the first */
    enum error_type error_type;     /* of the last attempt, also while the task waits for a retry */
    const char *error;              /* one sentence, NULL if none */
    int32_t exit_code;              /* -1: none */
    int32_t signal;                 /* 0: none */
    int64_t started_ms;
    int64_t completed_ms;
    int64_t retry_ms;               /* state is pending: the next attempt is due then; 0: no retry */
};

struct server_local_result {
    struct uuid run_id;
    enum run_state state;           /* terminal when server_run_local returned 0 */
    uint32_t counts[TASK_STATE_COUNT];
    int64_t created_ms;
    int64_t started_ms;
    int64_t completed_ms;
};

/* What to run and how to hear of it. Callbacks come from one thread, one at a time, in the order of things, and only
 * after what they tell is durable; they must not block for long. Each may be NULL. */
struct server_local {
    struct dag *dag;                /* borrowed */
    const char *source;             /* the file's bytes, stored with the run */
    size_t source_len;
    const char *base_dir;           /* absolute: where the DAG's relative paths start */
    /* An eventfd the caller adds 1 to on each interrupt: the first cancels the run (TERM, grace, KILL), a later
     * one kills at once. The signals themselves are the caller's: server_run_local leaves SIGINT, SIGTERM, SIGHUP and
     * SIGWINCH as they are, and its threads have them blocked. -1: cannot be interrupted. */
    int interrupt_fd;
    void *context;
    void (*on_start)(void *context, struct uuid run_id, int64_t started_ms);
    /* counts: tasks by state after the change */
    void (*on_change)(void *context, const struct server_local_change *change,
                      const uint32_t counts[TASK_STATE_COUNT]);
};

/* Runs one DAG to its end: own store under options->data_dir, workers that die with this process, tasks with the
 * caller's environment. options' listen_*, http_* and connections_max are not used. Returns 0 with *ret_result filled
 * once the run has ended (failed or canceled is no error here) and nothing of it is left running. When
 * ret_status is not NULL the RunStatus as JSON (the body of GET /api/v1/runs/{runId}) is appended to it.
 * ERROR_STORE_LOCKED when another process uses the data directory. */
int server_run_local(const struct server_options *options, const struct server_local *local,
                     struct server_local_result *ret_result, struct buf *ret_status, struct error *err);

/* Ends workers, and their tasks, that a daemon on this directory left running when it stopped. ERROR_STORE_LOCKED
 * when a daemon runs. */
int server_kill_left(const char *data_dir, uint32_t *ret_workers, struct error *err);

/* Checks the store of a directory no daemon uses: the file itself and what pawl's records must agree on. Findings are
 * appended one a line. Returns 0 when it could be checked; ERROR_STORE_LOCKED when a daemon runs. */
int server_fsck(const char *data_dir, struct buf *ret_findings, uint32_t *ret_count, struct error *err);

/* The same of a database that nodes share, beside them. */
int server_fsck_database(const char *url, struct buf *ret_findings, uint32_t *ret_count, struct error *err);

/* Who watches a backup or a restore. NULL, or tell NULL: nobody. */
struct server_backup_watch {
    bool (*tell)(void *context, const char *what, uint64_t done); /* false ends it: ERROR_INTERRUPTED */
    void *context;
};

struct server_backup_stats {
    int64_t made_ms;                /* wall time of the moment it shows */
    uint64_t store_bytes, log_files, log_bytes;
    uint64_t canceled;              /* restore: runs that had not ended */
};

/* Copies a data directory's store, logs and tokens as they are at one moment into the new folder `path`, beside a
 * daemon or without one; tasks' files (DATA/work) are not in it. Nothing of it is left when it fails. ERROR_USAGE:
 * path is there; ERROR_STORE_FULL: no room for it; ERROR_INTERRUPTED; ERROR_NOT_FOUND: no store. */
int server_backup(const char *data_dir, const char *path, const struct server_backup_watch *watch,
                  struct server_backup_stats *ret_stats, struct error *err);
/* Makes a data directory of a backup. Runs that had not ended are canceled, attempts that ran are lost: what came of
 * them after the backup is not known here, and nothing is done twice. Instants of schedules since then are recorded as
 * missed. ERROR_STORE_LOCKED; ERROR_USAGE: data_dir has a store, or path is no whole backup. */
int server_restore(const char *path, const char *data_dir, const struct server_backup_watch *watch,
                   struct server_backup_stats *ret_stats, struct error *err);

enum { SERVER_MOVED_MAX = 16 };
struct server_moved {
    const char *what;               /* "DAGs", "attempts", ...; a literal */
    uint64_t rows;
};
/* Moves a whole store from one place to an empty other one, compares both, and checks the target as fsck does. Places
 * are sqlite://DIR (an absolute directory, or one relative to here) and postgresql://...; the source stays as it is.
 * Tokens and the audit log are files of a data directory, no part of a store. *ret_count: entries of ret_moved.
 * ERROR_USAGE: a place is none, or the target holds something; ERROR_STORE_LOCKED: a daemon or node uses one of them;
 * ERROR_RUN_ACTIVE: attempts are running; ERROR_INTERRUPTED. After each the target is as it was, unless the words say
 * that everything was moved and the comparison failed. */
int server_migrate(const char *from, const char *to, const struct server_backup_watch *watch,
                   struct server_moved ret_moved[SERVER_MOVED_MAX], size_t *ret_count, struct error *err);

enum server_offline_scope {
    SERVER_OFFLINE_ALL,         /* the daemon's store and those of `pawl run` */
    SERVER_OFFLINE_LOCAL        /* those of `pawl run` alone, for use beside a daemon that answers for itself */
};

/* Read-only answers of the REST API without a daemon: the same targets, the same bodies. Not thread-safe. Works beside
 * a process that holds the directory's lock; changes nothing. ERROR_NOT_FOUND when the directory has no store. */
struct server_offline;
int server_offline_open(const char *data_dir, enum server_offline_scope scope, struct server_offline **ret_offline,
                        struct error *err);
void server_offline_close(struct server_offline *offline); /* NULL is allowed */
/* target: "/api/v1/runs?limit=5" and the like, GET only. Appends the body; the HTTP status is written too. */
int server_offline_get(struct server_offline *offline, const char *target, struct buf *ret_body, int *ret_status,
                       struct error *err);

#endif
