/* What is durable: DAGs and their versions, runs, attempts, dead letters, idempotency keys. One seam, several back
 * ends: sqlite/ (one machine), postgres/ (many machines), memory/ (tests and simulation).
 *
 *     open -> load_active -> commit, commit, ... (maintain in between) -> close       the writer: one thread
 *     dags, runs, attempts, letters, ...                                              readers: any thread
 *
 * Writing. The engine's records (state/record.h) come in batches; commit makes everything handed to it durable in one
 * transaction with one sync. A conditional group is judged before any of its records is written, so a refused group
 * leaves nothing and a group cannot rest on its own writes (a DAG and its first run are two groups). The conditional
 * records of a group come first, one after the other; records that follow anywhere later in the batch with the group's
 * number share its verdict. A record that cannot be true (the end of an attempt that is not running under this fence, a
 * second run of one id, anything of a run that has ended) is no refusal but a broken invariant: the whole commit is
 * undone, ERROR_INTERNAL says which, and every later commit gives ERROR_STORE_FAILED.
 *
 * Reading. Each call is one short transaction on a connection of its own, taken from a bounded pool and given back
 * before the call returns; results are copied into the caller's arena. Lists are newest first (ids are version 7,
 * their order is the order of creation). Readers see what has been committed, nothing else.
 *
 * Failing. An I/O error or a failed sync ends the store: what was written is unknown, so nothing is retried and every
 * later call but status says ERROR_STORE_FAILED. A full disk does not: see `enum store_room`. */
#ifndef PAWL_STORE_STORE_H
#define PAWL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/uuid.h"
#include "state/record.h"
#include "state/state.h"

enum store_mode {
    STORE_CREATE,       /* for writing; made when it is not there */
    STORE_WRITE,        /* for writing; ERROR_NOT_FOUND when it is not there */
    STORE_READ          /* readers and check only, beside another process that may hold the lock; changes nothing */
};

enum store_durability {
    STORE_DURABILITY_FULL,      /* a commit that returned survives a power loss */
    STORE_DURABILITY_RELAXED    /* it survives our own death; a power loss may take the last commits, in order */
};

/* Room on the disk. The store keeps a reserve file; when the disk is full it gives the reserve up and goes on with
 * what finishes work: ends, cancels, letters. New work waits until the reserve could be made again (maintain). */
enum store_room {
    STORE_ROOM_OK,
    STORE_ROOM_LOW,     /* the reserve is given up: groups that make DAGs, versions or runs and that nothing else
                           refuses are refused with ERROR_STORE_FULL, and the engine should claim nothing */
    STORE_ROOM_NONE,    /* even so the last commit did not fit; it was undone whole and can be tried again */
    STORE_ROOM_AWAY,    /* not room but the way there: the database cannot be reached, commits wait until it can */
    STORE_ROOM_COUNT
};

/* Who opens a store that several nodes share. */
struct store_node {
    struct uuid id;             /* the same in every life of a data directory */
    const char *host;
    const char *url;            /* where other nodes reach its API; NULL: not known yet */
    int64_t lease_ms;           /* 0: LIMIT_LEASE_MS */
};

struct store_options {
    const char *path;           /* the data directory (store_dir.h), which the caller has locked */
    enum store_mode mode;
    enum store_durability durability;
    uint32_t readers_max;       /* connections for readers; 0: 4, of a database 8 */
    int64_t reserve_bytes;      /* 0: 4 MiB */
    const char *url;            /* of the database: postgresql://...; then path is where this node's logs are: those of
                                   ended attempts are kept in the database, so that they outlive the node; NULL: none */
    struct store_node node;     /* with url, for writing */
};

/* Where a list starts and ends. */
struct store_page {
    uint32_t limit;             /* 1..LIMIT_PAGE_MAX */
    uint32_t offset;            /* 0..LIMIT_OFFSET_MAX, counted after `before` */
    struct uuid before;         /* only what is older than this id (which need not exist); zero: from the newest */
};

struct store_dag {
    struct uuid id;
    const char *name;
    uint32_t version;           /* the latest */
    uint32_t task_count;        /* of the latest version */
    const char *cron;           /* NULL: no schedule */
    const char *timezone;       /* NULL: the daemon's */
    bool paused;
    int64_t covered_ms;         /* every instant of the schedule up to here has its record (G9) */
    int64_t resumed_ago_ms;     /* how long ago a pause ended, by the clock of a store that nodes share; 0: not known */
    int64_t created_ms;
    int64_t updated_ms;         /* of the latest version */
    int64_t deleted_ms;         /* 0: it is there */
};

struct store_dag_query {
    struct store_page page;
    struct uuid id;             /* zero: any */
    const char *name;           /* exactly; NULL: any */
    const char *name_part;      /* somewhere in the name, ASCII case ignored; NULL: any */
    bool deleted;               /* deleted ones too */
};

struct store_version {
    uint32_t version;
    uint32_t task_count;
    int64_t created_ms;
    uint64_t source_len;
};

struct store_run {
    struct record_run run;      /* run.dag is NULL; outcomes only when asked for */
    const char *dag_name;
};

struct store_run_query {
    struct store_page page;
    struct uuid id;             /* zero: any */
    struct uuid instance;       /* the run that owns this task instance; zero: any */
    struct uuid dag_id;         /* zero: any */
    struct uuid since;          /* only this id and newer ones; zero: any */
    unsigned states;            /* bits 1 << enum run_state; 0: any */
    unsigned triggers;          /* bits 1 << enum trigger; 0: any */
    const char *error_part;     /* somewhere in the run's error, ASCII case ignored; NULL: any */
    uint32_t scan_max;          /* no index knows triggers and errors: for them so many runs are looked at, at most;
                                   0: as many as there are */
    bool with_outcomes;         /* fill run.outcomes: of an active run what it was born with, of an ended one how its
                                   tasks ended (record_runs_decode with run.task_count) */
};

/* One run's attempts, in order of task and number. */
struct store_attempt_query {
    struct uuid run_id;
    bool by_task;
    uint32_t task;              /* when by_task */
    bool after;
    uint32_t after_task;        /* when after: only what follows this (task, number) */
    uint32_t after_number;
    uint32_t limit;             /* 0: all of them */
    bool with_logs;             /* fill log: of attempts whose log is in no file */
};

struct store_letter {
    struct record_letter letter;
    enum resolution resolution;
    struct uuid resolved_run_id; /* zero: none */
    int64_t resolved_ms;        /* 0: pending */
    const char *resolved_by;    /* NULL */
    const char *notes;          /* NULL */
};

struct store_letter_query {
    struct store_page page;
    struct uuid id;             /* zero: any */
    struct uuid run_id;         /* zero: any */
    struct uuid dag_id;         /* zero: any */
    bool by_resolution;
    enum resolution resolution; /* when by_resolution */
};

struct store_fire_query {
    struct store_page page;
    struct uuid dag_id;         /* zero: any */
    bool by_outcome;
    enum fire_outcome outcome;  /* when by_outcome */
    int64_t from_ms, to_ms;     /* only those whose first instant lies in it; to_ms 0: any. Asks for dag_id */
};

struct store_letter_stats {
    uint64_t counts[RESOLUTION_COUNT];
    int64_t oldest_pending_ms;  /* when it was made; 0: none is pending */
};

/* Results. Items and their texts are in the caller's arena. */
struct store_dags { struct store_dag *items; size_t count; };
struct store_versions { struct store_version *items; size_t count; };
struct store_runs {
    struct store_run *items;
    size_t count;
    struct uuid scanned;        /* the page ended early, after scan_max runs: the last one looked at; else zero */
};
struct store_attempts { struct record_attempt *items; size_t count; };
struct store_letters { struct store_letter *items; size_t count; };
struct store_fires { struct record_fire *items; size_t count; };
struct store_ids { struct uuid *items; size_t count; };

enum store_id_kind { STORE_ID_DAG, STORE_ID_RUN, STORE_ID_LETTER, STORE_ID_KIND_COUNT };

/* Suffixes are looked for among the newest so many ids of a kind; prefixes among all. */
enum { STORE_SUFFIX_SEARCH_MAX = 10000 };

struct store_status {
    const char *kind;           /* "sqlite", "postgresql", "memory" */
    enum store_room room;
    bool failed;                /* an I/O error ended the store */
    enum store_durability durability;
    uint64_t epoch;
    uint64_t dags;              /* that are not deleted */
    uint64_t active_runs;
    uint64_t letters_pending;
    int64_t store_bytes;        /* files of the store; 0: unknown */
    int64_t free_bytes;         /* of the file system; -1: unknown */
};

/* A run that has not ended, as load_active gives it. All memory is the store's, valid during the call. */
struct store_active {
    struct record_run run;      /* outcomes: what it was born with (RECORD_KEPT, RECORD_SKIP); .dag NULL */
    const char *dag_name;       /* which its YAML need not say */
    const char *source;         /* YAML of its DAG version; NULL when this load has given that version before */
    size_t source_len;
    const struct record_attempt *attempts; /* all of them, in order of task and number */
    size_t attempt_count;
};
/* Returns 0 to go on; anything else ends the load with that code. */
typedef int store_active_fn(void *context, const struct store_active *active, struct error *err);

enum store_check_depth {
    STORE_CHECK_QUICK,          /* what can be read at every start: header, catalog, active runs and their rows */
    STORE_CHECK_FULL            /* every page, every row */
};

/* What history is kept. Active runs are no history. Beyond these limits the oldest runs go, each with its attempts,
 * dead letters and logs, except one that somebody may still need: with a pending dead letter, as the source of an
 * active rerun, or while its idempotency key lives. Records of schedules' instants go by age, those that wait never.
 *
 * A DAG's latest version may say otherwise for its runs (struct dag_keep): its age stands in place of age_ms, and
 * beyond its number of runs its oldest go. runs_max and bytes_max, which protect the machine, hold for all.
 *
 * Dead letters have limits of their own beside those of their runs. Those that are settled go first; a pending one goes
 * only by these, and is counted as such: then its run is needed no longer.
 * 0 in a field: without limit. */
struct store_retention {
    int64_t age_ms;             /* since the run's end */
    int64_t runs_max;           /* ended runs */
    int64_t bytes_max;          /* the store's rows and the log files together */
    int64_t letter_age_ms;      /* since the dead letter was made */
    int64_t letters_max;
};

/* ---- all rows, whatever the back end: store_rows.h says more ---- */

/* A row names only what stands in a table before its own. */
enum store_table {
    STORE_TABLE_EPOCH, STORE_TABLE_DAGS, STORE_TABLE_VERSIONS, STORE_TABLE_ACTIVE_RUNS, STORE_TABLE_RUNS,
    STORE_TABLE_ATTEMPTS, STORE_TABLE_LETTERS, STORE_TABLE_KEYS, STORE_TABLE_FIRES,
    STORE_TABLE_COUNT
};

struct store_value {
    bool is_null;
    int64_t number;                     /* STORE_INT, STORE_BOOL */
    const char *bytes;                  /* any other; valid during the call. Of an id 16 */
    size_t len;
};

typedef int store_row_fn(void *context, enum store_table table, const struct store_value *values, struct error *err);

/* Where fill gets its rows: calls put for each; a code of put ends it. */
struct store_feed {
    int (*give)(struct store_feed *feed, store_row_fn *put, void *context, struct error *err);
};

/* How a copy is watched. */
struct store_copying {
    bool (*tell)(void *context); /* called now and then; false ends the copy. NULL: nobody watches */
    void *context;
};

/* What retention has taken since the store was opened. */
struct store_taken {
    uint64_t runs, attempts, letters, fires, keys;
    uint64_t pending;           /* of letters: nobody had settled them */
};

/* Set by any thread (store_set_retention), read by maintain; counted by maintain, read by any thread. */
struct store_keep {
    _Atomic int64_t age_ms, runs_max, bytes_max, letter_age_ms, letters_max;
    _Atomic uint64_t runs, attempts, letters, fires, keys, pending;
    /* On the writer's thread: slot `taken` has something new, or pending letters went. NULL: nobody asks. */
    void (*on_taken)(void *context);
    void *context;
};

struct store;
/* Errors of all slots besides those named: ERROR_STORE_FAILED. Every slot may block on the disk. */
struct store_ops {
    const char *kind;
    /* Ends the store and frees it. No reader may be under way. */
    void (*close)(struct store *store);

    /* -- the writer's thread -- */
    /* Makes all records of the batches durable, fills their verdicts. All or nothing: ERROR_STORE_FULL undoes
     * everything and may be tried again with the same batches. */
    int (*commit)(struct store *store, struct batch *const *batches, size_t count, struct error *err);
    /* A slice of housekeeping (checkpoint, expired keys, retention, the reserve), a few ms at most unless a checkpoint
     * is due. What retention takes is gone for readers at once and whole, however many slices its rows need after
     * that; a crash between two slices is made up for by the next life. now_ms: wall time. idle: nothing has come for
     * a moment. *ret_next_ms: call again after so long even when nothing was committed; -1: no need. */
    int (*maintain)(struct store *store, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err);
    /* Every unfinished run (of a cluster: that is this node's), oldest first. */
    int (*load_active)(struct store *store, store_active_fn *fn, void *context, struct error *err);

    /* -- readers: any thread -- */
    int (*dags)(struct store *store, const struct store_dag_query *query, struct arena *arena,
                struct store_dags *ret_dags, struct error *err);
    /* The versions of a DAG, newest first, deleted DAGs too; empty when there is no such DAG. page->before is not
     * used. */
    int (*versions)(struct store *store, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                    struct store_versions *ret_versions, struct error *err);
    /* Appends the YAML of a version as it was given. version 0: the latest. ERROR_DAG_NOT_FOUND. */
    int (*source)(struct store *store, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                  struct error *err);
    /* Active and ended runs in one order. */
    int (*runs)(struct store *store, const struct store_run_query *query, struct arena *arena,
                struct store_runs *ret_runs, struct error *err);
    int (*attempts)(struct store *store, const struct store_attempt_query *query, struct arena *arena,
                    struct store_attempts *ret_attempts, struct error *err);
    int (*letters)(struct store *store, const struct store_letter_query *query, struct arena *arena,
                   struct store_letters *ret_letters, struct error *err);
    /* What became of schedules' instants, newest record first. */
    int (*fires)(struct store *store, const struct store_fire_query *query, struct arena *arena,
                 struct store_fires *ret_fires, struct error *err);
    int (*letter_stats)(struct store *store, struct store_letter_stats *ret_stats, struct error *err);
    /* Ids (of DAGs: not deleted ones) that start or end with `hex`, 1 to 32 lower-case hexadecimal digits without
     * dashes; at most `max`, newest first, each once. */
    int (*ids)(struct store *store, enum store_id_kind kind, const char *hex, size_t max, struct arena *arena,
               struct store_ids *ret_ids, struct error *err);
    /* Runs that retention has taken to the last row and whose logs may still be there, at most `max`. `done`: the logs
     * of these are gone; they are not given again, and the next maintain forgets them for good. What was given and
     * not told done is given again by the next life, so no log stays behind. In a store that nodes share each node
     * gets all of them, for the logs it has, and may get some again in its next life. NULL: this back end keeps
     * everything. */
    int (*taken)(struct store *store, const struct uuid *done, size_t done_count, size_t max, struct arena *arena,
                 struct store_ids *ret_ids, struct error *err);
    /* Copies the store as it is at one moment into the file `path`, which is there, private and empty, and syncs it;
     * the writer goes on meanwhile. ERROR_STORE_FULL: no room there; ERROR_INTERRUPTED: tell said so; ERROR_IO. None
     * of them harms the store. NULL: this back end is copied by tools of its own. */
    int (*copy)(struct store *store, const char *path, const struct store_copying *copying, struct error *err);
    /* Gives every row of one moment (store_rows.h). NULL, as fill: this back end is not moved. */
    int (*dump)(struct store *store, store_row_fn *fn, void *context, struct error *err);
    /* Takes what the feed gives, in one transaction. ERROR_USAGE: something is here already. */
    int (*fill)(struct store *store, struct store_feed *feed, struct error *err);
    int (*status)(struct store *store, struct store_status *ret_status, struct error *err);
    /* The cheapest read there is; its time is the store's latency. */
    int (*ping)(struct store *store, struct error *err);
    /* Appends one line per finding. Returns 0 when it could look, whatever it found. */
    int (*check)(struct store *store, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                 struct error *err);
};

/* The head of every back end's own struct. */
struct store {
    const struct store_ops *ops;
    uint64_t epoch;     /* grows durably with each open for writing; fences are epoch << 40 | n. 0: STORE_READ */
    _Atomic(enum store_room) room; /* set by the writer's slots (open, commit, maintain) before they return; any thread
                                      may look. What status tells */
    struct store_keep keep; /* store_set_retention, store_get_taken */
};

/* DATA/pawl.db. ERROR_NOT_FOUND, ERROR_STORE_NEWER (err names both versions), ERROR_STORE_FULL (not even room for the
 * new epoch; nothing is lost, try again later), ERROR_STORE_FAILED (no pawl store, damaged, not permitted). Caller
 * closes with store_close. */
int store_open_sqlite(const struct store_options *options, struct store **ret_store, struct error *err);

/* options->url. Opened for writing it makes this process a node of the cluster on that database (store->epoch is its
 * life there) that takes over what an earlier life of the same node left. ERROR_STORE_AWAY (not reached; try again),
 * ERROR_NOT_FOUND, ERROR_STORE_NEWER, ERROR_STORE_FAILED, ERROR_IO (there is no libpq). Caller closes with store_close.
 * Every slot can give ERROR_STORE_AWAY: nothing is lost by it, the same call may be made again; a commit must be, with
 * the same batches first. A commit gives ERROR_STORE_FENCED for ever once the others declared this life dead. */
int store_open_postgres(const struct store_options *options, struct store **ret_store, struct error *err);

/* Calls through the table; arguments are checked (assert) on the way in. */
void store_close(struct store *store); /* NULL is allowed */
int store_commit(struct store *store, struct batch *const *batches, size_t count, struct error *err);
int store_maintain(struct store *store, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err);
int store_load_active(struct store *store, store_active_fn *fn, void *context, struct error *err);
int store_list_dags(struct store *store, const struct store_dag_query *query, struct arena *arena,
                    struct store_dags *ret_dags, struct error *err);
int store_list_versions(struct store *store, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                        struct store_versions *ret_versions, struct error *err);
int store_get_source(struct store *store, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                     struct error *err);
int store_list_runs(struct store *store, const struct store_run_query *query, struct arena *arena,
                    struct store_runs *ret_runs, struct error *err);
int store_list_attempts(struct store *store, const struct store_attempt_query *query, struct arena *arena,
                        struct store_attempts *ret_attempts, struct error *err);
int store_list_letters(struct store *store, const struct store_letter_query *query, struct arena *arena,
                       struct store_letters *ret_letters, struct error *err);
int store_list_fires(struct store *store, const struct store_fire_query *query, struct arena *arena,
                     struct store_fires *ret_fires, struct error *err);
int store_get_letter_stats(struct store *store, struct store_letter_stats *ret_stats, struct error *err);
/* Any thread, at any time; from the next maintain on. NULL: everything is kept, as before the first call. */
void store_set_retention(struct store *store, const struct store_retention *retention);
void store_get_taken(const struct store *store, struct store_taken *ret_taken);
int store_list_taken(struct store *store, const struct uuid *done, size_t done_count, size_t max, struct arena *arena,
                     struct store_ids *ret_ids, struct error *err);
int store_copy(struct store *store, const char *path, const struct store_copying *copying, struct error *err);
int store_get_status(struct store *store, struct store_status *ret_status, struct error *err);
int store_ping(struct store *store, struct error *err);
int store_check(struct store *store, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                struct error *err);

/* One thing by its id, made of the lists above. */
/* Deleted DAGs too (deleted_ms says so). ERROR_DAG_NOT_FOUND. */
int store_get_dag(struct store *store, struct uuid id, struct arena *arena, struct store_dag *ret_dag,
                  struct error *err);
/* The one live DAG of this name. ERROR_DAG_NOT_FOUND. */
int store_get_dag_by_name(struct store *store, const char *name, struct arena *arena, struct store_dag *ret_dag,
                          struct error *err);
/* With outcomes. ERROR_RUN_NOT_FOUND. */
int store_get_run(struct store *store, struct uuid id, struct arena *arena, struct store_run *ret_run,
                  struct error *err);
/* With outcomes. ERROR_TASK_NOT_FOUND. The task is record_instance_task(ret_run->run.id, instance). */
int store_get_run_by_instance(struct store *store, struct uuid instance, struct arena *arena,
                              struct store_run *ret_run, struct error *err);
/* ERROR_DEAD_LETTER_NOT_FOUND. */
int store_get_letter(struct store *store, struct uuid id, struct arena *arena, struct store_letter *ret_letter,
                     struct error *err);
/* Ids whose text starts or ends with `text`: hexadecimal digits of any case, dashes ignored. Nothing matches what
 * is no such text. */
int store_find_ids(struct store *store, enum store_id_kind kind, const char *text, size_t max, struct arena *arena,
                   struct store_ids *ret_ids, struct error *err);

/* "ok", "low", "none", "away" */
const char *store_room_name(enum store_room room);

#endif
