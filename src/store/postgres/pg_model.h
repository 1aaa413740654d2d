/* The store on PostgreSQL. Private to postgres/.
 *
 *     pg_library.c     libpq, by dlopen                   pg_read.c        readers of DAGs, letters, fires, ids, status
 *     pg_connection.c  connections, statements, errors    pg_read_run.c    readers of runs and attempts
 *     pg_values.c      values in and out                  pg_load.c        unfinished runs for recovery
 *     pg_statement.c   the writer's SQL                   pg_check.c       what fsck looks at
 *     pg_migrate.c     the tables, by numbered steps      pg_bulk.c        records that come in thousands
 *     pg_open.c        opening, joining, the pool         pg_write.c       one function per record
 *     pg_commit.c      the transaction and verdicts       pg_cluster.c     leases, runs that change hands (cluster.h)
 *     pg_rows.c        all rows out and in                pg_offers.c      attempts that others run (offers.h)
 *     pg_retain.c      old runs, their rows, their logs   pg_asks.c        what nodes ask of each other (cluster.h)
 *
 * Joining. Whoever opens the store for writing is a node: it gets the next epoch and a row in `nodes` with a lease by
 * the database's clock, and takes over what an earlier life of the same node still owns. A row that was declared dead
 * stays dead; its owner's commits are refused from then on (ERROR_STORE_FENCED).
 *
 * A commit, one transaction:
 *
 *     own row of nodes locked, not dead; (epoch, number) into commits      the fence, and how to know afterwards
 *     each record: judged and written; what comes in thousands is kept     pg_bulk.h
 *     what was kept, as arrays
 *     COMMIT
 *
 * When the connection breaks on the way it is unknown whether the server committed. Before anything else is written,
 * the own row of nodes is locked for update, which waits until the old transaction is over in one way or the other, and
 * (epoch, number) tells which (store_pg_settle). */
#ifndef PAWL_STORE_PG_MODEL_H
#define PAWL_STORE_PG_MODEL_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/map.h"
#include "store/postgres/pg_library.h"
#include "store/store.h"

enum {
    PG_VALUES_MAX = 24,
    PG_READERS = 8,
    PG_CONNECT_MS = 3000,
    PG_LOOK_MS = 200,               /* whoever waits for an answer sees so soon that it is in a hurry now */
    PG_ANSWER_MS = 10000,           /* a statement that has no answer by then has none: the connection is given up */
    PG_FOREVER_MS = 86400000,       /* of statements that may take as long as the store is big */
    PG_READER_WAIT_MS = 5000,       /* for a connection of the pool */
    PG_ATTEMPTS_MAX = 1024,         /* numbers of attempts are below it, as in the other back ends */
    PG_BULK_BYTES_MAX = 16 * 1024 * 1024, /* of logs kept back in one commit */
    PG_RUNS_BLOCK = 1000            /* what the sequence run_serials grows by */
};
static_assert(LIMIT_RETRY_ATTEMPTS_MAX + LIMIT_LOST_RETRIES_MAX < PG_ATTEMPTS_MAX, "every attempt has a number");

/* The writer's statements; the SQL is in pg_statement.c. Readers build theirs from constant pieces. */
enum pg_statement {
    PG_BEGIN, PG_COMMIT, PG_ROLLBACK,
    PG_COMMIT_OPEN, PG_NODE_LOCK, PG_COMMIT_FIND, PG_COMMITS_DROP,
    PG_DAG_SHARE, PG_DAG_LOCK, PG_DAG_LIVE_NAME, PG_DAG_INSERT, PG_DAG_UPDATE, PG_DAG_DELETE, PG_DAG_PAUSE,
    PG_DAG_ACTIVE, PG_VERSION_INSERT,
    PG_FIRE_WAITING, PG_FIRE_INSERT, PG_FIRE_COVER, PG_FIRE_ASKED,
    PG_FIRE_BEFORE, PG_FIRE_QUEUED, PG_FIRE_RELEASE, PG_FIRES_DROP,
    PG_KEY_FIND, PG_KEY_PUT, PG_KEYS_EXPIRE,
    PG_RUN_SERIALS, PG_RUN_ACTIVE, PG_RUN_ENDED, PG_RUNS_INSERT, PG_RUNS_START, PG_RUNS_CANCEL, PG_RUNS_END,
    PG_ATTEMPTS_CLAIM, PG_ATTEMPTS_END, PG_ATTEMPTS_WITHDRAW, PG_ATTEMPTS_BEFORE,
    PG_LETTER_FIND, PG_LETTERS_INSERT, PG_LETTER_RESOLVE, PG_LETTERS_RESOLVE,
    PG_OLD_RUNS, PG_OLD_LISTED, PG_OLD_LETTERS,
    PG_OLD_ATTEMPTS, PG_OLD_FIRES, PG_TAKEN_LOOK, PG_TAKEN_DROP, PG_SWEEP_SAVE,
    PG_LOAD_RUNS, PG_LOAD_ATTEMPTS, PG_LOAD_SOURCE,
    PG_STATEMENT_COUNT
};

/* Used by one thread at a time. */
struct pg_connection {
    struct store_pg *store;
    PGconn *pg;                             /* NULL: not connected */
    bool prepared[PG_STATEMENT_COUNT];
    int answer_ms;                          /* how long an answer is waited for; 0: PG_ANSWER_MS */
    bool used;                              /* something worked on it before: a failure may be an old break */
    struct pg_connection *next_free;        /* of readers */
};

/* The parameters of one statement. Texts live in the arena, which the caller ends. */
struct pg_values {
    struct arena *arena;
    const char *values[PG_VALUES_MAX];
    int lengths[PG_VALUES_MAX];
    int formats[PG_VALUES_MAX];             /* 1: bytes as they are */
    int count;
};

/* Rows on their way into arrays, one per column. */
struct pg_columns {
    struct buf columns[PG_VALUES_MAX];
    size_t rows;
};

/* What the writer remembers of an active run. Never more than what the tables say: after a rollback all of it is
 * dropped and read again when needed. */
struct pg_run {
    struct uuid id;
    int64_t run;                            /* its number in the table attempts */
    uint32_t task_count;
    uint32_t running;                       /* attempts without an end */
};

/* Records of the commit under way that are not written yet; written in this order. */
enum pg_bulk {
    BULK_RUNS, BULK_CLAIMS, BULK_ENDS, BULK_AGAIN, BULK_WITHDRAWS, BULK_STARTS, BULK_CANCELS, BULK_RUN_ENDS,
    BULK_LETTERS,
    BULK_COUNT
};

struct pg_dag {
    int64_t dag;                            /* row; 0: there is none */
    uint32_t version;                       /* the latest */
    bool deleted, paused;
    int64_t covered_ms;
};

/* Where retention is. */
/* The parts of a walk of retention, in this order. */
enum pg_walk { PG_WALK_RUNS, PG_WALK_LETTERS, PG_WALK_DAGS };

struct pg_retain {
    struct pg_connection keeper;            /* measures and lists; not connected otherwise */
    bool asking, measured;                  /* asking: the keeper has a question under way */
    enum pg_walk walk;                      /* what a walk is at */
    int64_t ended, bytes;                   /* of runs that have ended; when measured */
    bool walking;                           /* from the oldest run on; cursor: the last one looked at */
    struct uuid cursor;
    int64_t walked_ms, walk_ms;             /* wall time of the last walk's end, and how long until the next */
    int64_t sliced_us;                      /* boot time of the last slice */
    bool taking;                            /* taken runs may have attempts */
    bool waiting;                           /* there are logs to delete that nobody was told of */
    int64_t looked_ms;                      /* wall time of the last look at what was taken */
    int64_t saved_mark;
    /* under the store's lock */
    int64_t mark;                           /* notes up to here are done with on this node */
    struct uuid *done;                      /* and these behind it */
    size_t done_count, done_cap;
};

struct store_pg {
    struct store head;
    struct pg_library pg;
    char *url;
    char *dir;                              /* DATA of this node; NULL: logs are not kept */
    enum store_mode mode;
    enum store_durability durability;
    struct uuid node;
    char *host;
    char *node_url;
    int64_t lease_ms;

    /* the writer's thread */
    struct pg_connection writer;
    struct map runs;                        /* id -> struct pg_run */
    struct pg_run *last_run;                /* the one asked for last; NULL */
    atomic_bool runs_came;                  /* from other nodes: what is remembered of them is from before */
    int64_t next_run, runs_end;             /* numbers this node may give to new runs, on this connection */
    uint64_t commit_number;                 /* of the last transaction begun */
    bool unsettled;                         /* nobody knows whether it was committed */
    uint64_t unsettled_batch;               /* the last batch in it */
    uint64_t durable_batch;                 /* every batch up to here is committed */
    uint64_t commits_dropped;               /* up to this number the rows of `commits` are gone */
    int64_t swept_ms;                       /* wall time when expired keys were last looked for */
    struct pg_retain retain;
    struct pg_columns bulk[BULK_COUNT];
    struct uuid known_dag_id;               /* the DAG whose row was last shared in this transaction; zero: none */
    struct pg_dag known_dag;
    struct uuid asked_dag_id;               /* the DAG whose backfill was last looked at in it; zero: none */
    struct uuid refused_request;            /* the last one in it for which there was no room; zero: none */
    int64_t asked_count;                    /* its instants that wait, those of this transaction too */

    /* readers */
    pthread_mutex_t lock;
    pthread_cond_t given_back;              /* monotonic clock */
    struct pg_connection *readers;
    uint32_t readers_max;
    struct pg_connection *free_readers;

    _Atomic int64_t hurry_ms;               /* boot time after which nothing is waited for; 0: no such */
    atomic_bool hurried;                    /* something had no answer by then */
    atomic_bool broken;                     /* a record that cannot be true came, or it was fenced: no more commits */
    int why_code;                           /* under lock, as why */
    char why[1000];
};

/* A node's connection for what concerns the others; one thread. */
struct store_cluster {
    struct pg_connection connection;
    bool listens;                           /* on this connection */
    bool hears_events, wants_events;        /* on this connection; on each */
    uint64_t connections;                   /* how many there were */
};

/* ---- pg_connection.c ---- */

/* Connects when it is not. ERROR_STORE_AWAY, ERROR_STORE_FAILED (what waiting does not mend). */
int store_pg_connect(struct pg_connection *connection, struct error *err);
void store_pg_disconnect(struct pg_connection *connection);
/* Prepares it on first use. *ret_result, which may be NULL, is the caller's (store_pg_clear). ERROR_STORE_AWAY: the
 * connection is gone, or the server could not now; ERROR_STORE_RETRY: others were in the way, the same transaction may
 * be tried again; ERROR_STORE_FULL; ERROR_STORE_FAILED. */
int store_pg_run(struct pg_connection *connection, enum pg_statement statement, const struct pg_values *values,
                 PGresult **ret_result, struct error *err);
/* The same for SQL of constant pieces; values NULL: several statements may stand in it. */
int store_pg_query(struct pg_connection *connection, const char *sql, const struct pg_values *values,
                   PGresult **ret_result, struct error *err);
/* A statement without values whose answer is waited for later: is_done, true when finish will not wait. */
int store_pg_send(struct pg_connection *connection, const char *sql, struct error *err);
bool store_pg_is_done(struct pg_connection *connection, int64_t wait_ms);
int store_pg_finish(struct pg_connection *connection, PGresult **ret_result, struct error *err);
/* Waits until the server has sent something, `fd` (-1: none) is readable or the time is over. */
void store_pg_wait(struct pg_connection *connection, int fd, int64_t wait_ms);
void store_pg_clear(const struct store_pg *store, PGresult *result);
/* 0, or why commits are refused. */
int store_pg_alive(struct store_pg *store, struct error *err);
void store_pg_set_broken(struct store_pg *store, int code, const char *why);
extern const char *const store_pg_sql[PG_STATEMENT_COUNT];

/* A reader's work on a connection of the pool; called a second time when the first found an old connection broken. */
typedef int pg_reader_fn(struct pg_connection *connection, void *context, struct error *err);
int store_pg_read(struct store *head, pg_reader_fn *fn, void *context, struct error *err);

/* ---- pg_values.c ---- */

void store_pg_add_int(struct pg_values *values, int64_t value);
void store_pg_add_bool(struct pg_values *values, bool value);
void store_pg_add_text(struct pg_values *values, const char *text);         /* NULL: NULL; bytes that are no UTF-8: ? */
void store_pg_add_uuid(struct pg_values *values, const struct uuid *id);    /* zero: NULL */
void store_pg_add_id(struct pg_values *values, const struct uuid *id);      /* zero is a value */
void store_pg_add_bytes(struct pg_values *values, const void *bytes, size_t len); /* NULL: NULL; borrowed */
void store_pg_add_array(struct pg_values *values, struct buf *column);      /* closes it; borrowed */
/* One more element of a column. */
void store_pg_put_int(struct buf *column, int64_t value);
void store_pg_put_text(struct buf *column, const char *text);
void store_pg_put_uuid(struct buf *column, const struct uuid *id);
void store_pg_put_bytes(struct buf *column, const void *bytes, size_t len);

int store_pg_rows(const struct store_pg *store, const PGresult *result);
int64_t store_pg_changed(const struct store_pg *store, PGresult *result);
bool store_pg_is_null(const struct store_pg *store, const PGresult *result, int row, int at);
int64_t store_pg_int(const struct store_pg *store, const PGresult *result, int row, int at);  /* NULL: 0 */
uint32_t store_pg_u32(const struct store_pg *store, const PGresult *result, int row, int at);
bool store_pg_bool(const struct store_pg *store, const PGresult *result, int row, int at);
struct uuid store_pg_uuid(const struct store_pg *store, const PGresult *result, int row, int at); /* NULL: zero */
/* A copy; NULL stays NULL. */
const char *store_pg_text(const struct store_pg *store, const PGresult *result, int row, int at, struct arena *arena);
void *store_pg_bytes(const struct store_pg *store, const PGresult *result, int row, int at, struct arena *arena,
                     size_t *ret_len);
int store_pg_bad_row(const char *what, struct error *err);

/* ---- pg_migrate.c ---- */

/* Of the tables, as far as this program knows them. */
int store_pg_version(void);
/* Brings the tables to it, one process at a time. ERROR_STORE_NEWER; ERROR_STORE_LOCKED: older nodes live that cannot
 * live with them. */
int store_pg_migrate(struct pg_connection *connection, bool create, struct error *err);

/* ---- pg_commit.c, pg_write.c, pg_fire.c, pg_bulk.c ---- */

int store_pg_commit(struct store *head, struct batch *const *batches, size_t count, struct error *err);
int store_pg_judge(struct store_pg *store, const struct record *record, struct verdict *verdict, struct error *err);
int store_pg_judge_fire(struct store_pg *store, const struct record *record, struct verdict *verdict,
                        struct error *err);
int store_pg_write(struct store_pg *store, const struct record *record, struct verdict *verdict, struct error *err);
int store_pg_write_fire(struct store_pg *store, const struct record *record, struct error *err);
/* lock: others can neither change it nor make runs of it until the commit is over. */
int store_pg_find_dag(struct store_pg *store, const struct uuid *id, bool lock, struct pg_dag *ret_dag,
                      struct error *err);
void store_pg_forget_runs(struct store_pg *store);
int store_pg_flush(struct store_pg *store, struct error *err);
void store_pg_drop_bulk(struct store_pg *store);
/* One value of the next row of a bulk; the row counts once its last column was put. */
struct buf *store_pg_bulk_column(struct store_pg *store, enum pg_bulk bulk, int column);
bool store_pg_bulk_is_empty(const struct store_pg *store, enum pg_bulk bulk);
int store_pg_broken(struct error *err, const struct uuid *id, const char *what);

/* ---- pg_retain.c ---- */

int store_pg_retain(struct store_pg *store, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err);
void store_pg_retain_fini(struct store_pg *store);
int store_pg_taken(struct store *head, const struct uuid *done, size_t done_count, size_t max, struct arena *arena,
                   struct store_ids *ret_ids, struct error *err);

/* ---- pg_rows.c ---- */

int store_pg_dump(struct store *head, store_row_fn *fn, void *context, struct error *err);
int store_pg_fill(struct store *head, struct store_feed *feed, struct error *err);

/* One more element of a column: the attempt's log, or what this node's file has of it. */
void store_pg_put_log(struct store_pg *store, struct buf *column, const struct record_attempt *row);

/* pg_cluster.c: one statement; *ret_count: rows found or changed. ret_result may be NULL. */
int store_pg_ask(struct store_cluster *cluster, const char *sql, struct pg_values *values, PGresult **ret_result,
                 int64_t *ret_count, struct error *err);

/* ---- readers ---- */

/* This node's active runs; ids: an array literal of those wanted, NULL: all. */
int store_pg_load(struct pg_connection *connection, const char *ids, store_active_fn *fn, void *context,
                  struct error *err);
int store_pg_load_active(struct store *head, store_active_fn *fn, void *context, struct error *err);
int store_pg_maintain(struct store *head, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err);
int store_pg_dags(struct store *head, const struct store_dag_query *query, struct arena *arena,
                  struct store_dags *ret_dags, struct error *err);
int store_pg_versions(struct store *head, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                      struct store_versions *ret_versions, struct error *err);
int store_pg_source(struct store *head, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                    struct error *err);
int store_pg_runs(struct store *head, const struct store_run_query *query, struct arena *arena,
                  struct store_runs *ret_runs, struct error *err);
int store_pg_attempts(struct store *head, const struct store_attempt_query *query, struct arena *arena,
                      struct store_attempts *ret_attempts, struct error *err);
int store_pg_letters(struct store *head, const struct store_letter_query *query, struct arena *arena,
                     struct store_letters *ret_letters, struct error *err);
int store_pg_fires(struct store *head, const struct store_fire_query *query, struct arena *arena,
                   struct store_fires *ret_fires, struct error *err);
int store_pg_letter_stats(struct store *head, struct store_letter_stats *ret_stats, struct error *err);
int store_pg_ids(struct store *head, enum store_id_kind kind, const char *hex, size_t max, struct arena *arena,
                 struct store_ids *ret_ids, struct error *err);
int store_pg_status(struct store *head, struct store_status *ret_status, struct error *err);
int store_pg_ping(struct store *head, struct error *err);
int store_pg_check(struct store *head, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                   struct error *err);

/* pg_read_run.c */

/* The columns of PG_ATTEMPT_COLUMNS and PG_RUN_COLUMNS, in order. */
#define PG_ATTEMPT_COLUMNS \
    "a.task, a.number, a.state, a.fence, a.worker, a.claimed_ms, a.started_ms, a.ended_ms, a.retry_ms, a.task_state, " \
    "a.error_type, a.error, a.exit_code, a.signal, a.http_status, a.cpu_us, a.max_rss_bytes, a.log_bytes"
#define PG_RUN_COLUMNS_SHARED \
    "r.id, r.run, d.id, d.name, r.version, r.task_count, r.state, r.triggered_by, r.created_ms, r.started_ms, " \
    "r.cancel_ms, r.source, r.resolves_source, r.request_id, r.scheduled_ms, r.changes, "
#define PG_LIVE_COLUMNS PG_RUN_COLUMNS_SHARED "0::bigint, 0, 0, 0, 0, NULL::text, "
#define PG_ENDED_COLUMNS \
    PG_RUN_COLUMNS_SHARED "r.completed_ms, r.failed_count, r.succeeded_count, r.skipped_count, r.canceled_count, " \
    "r.error, "
bool store_pg_read_attempt(const struct store_pg *store, const PGresult *result, int row, struct uuid run_id,
                           struct arena *arena, struct record_attempt *ret_attempt);
bool store_pg_read_run(const struct store_pg *store, const PGresult *result, int row, struct arena *arena,
                       struct store_run *ret_run, int64_t *ret_run_number);

#endif
