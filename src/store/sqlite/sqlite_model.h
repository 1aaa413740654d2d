/* The store on SQLite. Private to sqlite/.
 *
 *     sqlite_open.c       files, connections, the epoch        sqlite_read.c      readers of DAGs, letters, ids, status
 *     sqlite_migrate.c    the tables, by numbered steps        sqlite_read_run.c  readers of runs and attempts
 *     sqlite_statement.c  SQL, values in and out, errors       sqlite_load.c      unfinished runs for recovery
 *     sqlite_commit.c     the transaction and verdicts         sqlite_check.c     what fsck looks at
 *     sqlite_write.c      one function per record              sqlite_maintain.c  checkpoint, room, expired keys
 *     sqlite_copy.c       a copy for a backup                  sqlite_rows.c      all rows out and in
 *     sqlite_fire.c       schedules' instants, both ways       sqlite_retain.c    old runs, their rows, their records
 *     sqlite_known.c      DAGs that were asked for last
 *
 * Keys. A run gets a range of attempt keys when it is born: `base`, then SQLITE_ATTEMPTS_MAX for each task. The key of
 * an attempt is base + task * SQLITE_ATTEMPTS_MAX + number, so that attempts need no index, a run's attempts are one
 * range in order, and a claim mostly appends. Ranges are never used twice: meta.next_base.
 *
 * Files. One connection writes and checkpoints, on the writer's thread. The -wal file is grown once to
 * SQLITE_WAL_BYTES and then written in circles, since a growing file costs a second sync per commit. Nothing here opens
 * pawl.db by itself once SQLite has: closing it would drop SQLite's locks (POSIX locks belong to the process). */
#ifndef PAWL_STORE_SQLITE_MODEL_H
#define PAWL_STORE_SQLITE_MODEL_H

#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "base/map.h"
#include "store/store.h"

enum {
    SQLITE_APPLICATION_ID = 0x7061776c, /* "pawl", in the file's header */
    SQLITE_ATTEMPTS_MAX = 1024,         /* keys of one task; numbers are below it */
    SQLITE_SOURCE_PARTS_MAX = 65536,
    SQLITE_SOURCE_PART_BYTES = 65536,
    SQLITE_WAL_BYTES = 4 * 1024 * 1024,
    SQLITE_WAL_FRAMES = 1000,           /* pages in the -wal file from which on a checkpoint is due; 4120 bytes each */
    SQLITE_RESERVE_BYTES = 4 * 1024 * 1024,
    SQLITE_READERS = 4,
    SQLITE_KNOWN_DAGS = 64,             /* rows of DAGs kept in memory */
    SQLITE_BUSY_MS = 10000              /* another process recovers or opens; never an ordinary wait */
};
static_assert(LIMIT_RETRY_ATTEMPTS_MAX + LIMIT_LOST_RETRIES_MAX < SQLITE_ATTEMPTS_MAX, "every attempt has a key");
static_assert((int64_t)SQLITE_SOURCE_PARTS_MAX *SQLITE_SOURCE_PART_BYTES >= LIMIT_DAG_LOCAL_BYTES_MAX,
              "every source fits");

/* Every statement there is; the SQL is in sqlite_statement.c. */
enum sqlite_statement {
    SQL_BEGIN, SQL_BEGIN_WRITE, SQL_COMMIT, SQL_ROLLBACK,
    SQL_META, SQL_META_UPDATE, SQL_EPOCH_NEXT,
    /* writer */
    SQL_DAG_FIND, SQL_DAG_LIVE_NAME, SQL_DAG_ACTIVE, SQL_VERSION_INSERT, SQL_SOURCE_INSERT,
    /* these change rows of the table dags, and no other statement of a store that is read does (sqlite_known.c) */
    SQL_DAG_INSERT, SQL_DAG_UPDATE, SQL_DAG_DELETE, SQL_DAG_PAUSE, SQL_FIRE_COVER,
    SQL_FIRE_INSERT, SQL_FIRE_BEFORE, SQL_FIRE_QUEUED, SQL_FIRE_RELEASE, SQL_FIRES_DROP,
    SQL_KEY_FIND, SQL_KEY_PUT, SQL_KEY_EXPIRE, SQL_KEY_OLDEST,
    SQL_RUN_ACTIVE, SQL_RUN_ENDED, SQL_RUN_INSERT, SQL_RUN_START, SQL_RUN_CANCEL, SQL_RUN_END, SQL_RUN_LEAVE,
    SQL_ATTEMPTS_RUNNING, SQL_ATTEMPT_STATE, SQL_ATTEMPT_CLAIM, SQL_ATTEMPT_END, SQL_ATTEMPT_WITHDRAW,
    SQL_LETTER_FIND, SQL_LETTER_INSERT, SQL_LETTER_RESOLVE, SQL_LETTERS_RESOLVE,
    /* retention */
    SQL_OLD_RUN, SQL_KEEPING_DAG, SQL_KEEPING_BELOW, SQL_KEEPING_ABOVE, SQL_LETTER_FIRST,
    SQL_OLD_NEEDED, SQL_OLD_LETTER, SQL_OLD_LETTER_DROP, SQL_OLD_RUN_DROP, SQL_OLD_FIRES, SQL_USED_PAGES,
    SQL_TAKEN_INSERT, SQL_TAKEN_OPEN, SQL_TAKEN_SLICE, SQL_TAKEN_ATTEMPTS, SQL_TAKEN_WHOLE, SQL_TAKEN_DONE,
    SQL_TAKEN_LIST,
    /* lists of ids, newest first: ?1 and ?2 are the smallest and the largest id */
    SQL_IDS_DAG, SQL_IDS_DAG_NAME, SQL_IDS_DAG_LIVE,
    SQL_IDS_ACTIVE, SQL_IDS_ENDED,
    /* of these there is one for each state, with the same SQL */
    SQL_IDS_ENDED_STATE, SQL_IDS_ENDED_STATE_LAST = SQL_IDS_ENDED_STATE + RUN_STATE_COUNT - 1,
    SQL_IDS_ENDED_DAG, SQL_IDS_ENDED_DAG_LAST = SQL_IDS_ENDED_DAG + RUN_STATE_COUNT - 1,
    SQL_IDS_FIRE, SQL_IDS_FIRE_QUEUED, SQL_IDS_FIRE_DAG, SQL_IDS_FIRE_RANGE,
    SQL_IDS_LETTER, SQL_IDS_LETTER_RUN, SQL_IDS_LETTER_STATE,
    SQL_IDS_LETTER_DAG, SQL_IDS_LETTER_DAG_LAST = SQL_IDS_LETTER_DAG + RESOLUTION_COUNT - 1, /* the same SQL */
    /* rows */
    SQL_DAG, SQL_FIRE, SQL_VERSIONS, SQL_VERSION, SQL_SOURCE, SQL_RUN, SQL_RUN_FILTER, SQL_RUN_RANGE,
    SQL_ATTEMPTS, SQL_LETTER,
    SQL_LETTER_OLDEST, SQL_ACTIVE,
    SQL_COUNT
};

/* Used by one thread at a time. Statements are prepared when first asked for. */
struct sqlite_connection {
    struct store_sqlite *store;
    sqlite3 *db;                            /* NULL: not open */
    sqlite3_stmt *statements[SQL_COUNT];
    struct sqlite_connection *next_free;    /* of readers */
};

/* The one row of the table meta, kept exact by every commit. */
struct sqlite_meta {
    int64_t next_base;
    int64_t dags;                           /* that are not deleted */
    int64_t active_runs;
    int64_t letters[RESOLUTION_COUNT];
    int64_t ended_runs;
    int64_t log_bytes;                      /* in files, of attempts that have ended */
};

/* What the writer remembers of an active run. Never more than what the tables say: after a rollback all of it is
 * dropped and read again when needed. */
struct sqlite_run {
    struct uuid id;
    int64_t base;
    uint32_t task_count;
    uint32_t running;                       /* attempts without an end */
};

/* The DAGs that were asked for last; any thread. See sqlite_known.c. */
struct sqlite_known {
    _Atomic uint64_t generation;            /* odd: a commit changes DAGs, or another process may */
    pthread_mutex_t lock;
    struct known_dag *slots[SQLITE_KNOWN_DAGS];
};

/* The parts of a walk of retention, in this order. */
enum sqlite_walk { WALK_LETTERS, WALK_RUNS, WALK_DAGS };

/* Where retention is. */
struct sqlite_retain {
    bool met;                               /* what an earlier life left half taken was looked for */
    bool walking;
    enum sqlite_walk walk;                  /* what is being looked at */
    struct uuid cursor;                     /* the last run looked at */
    bool has_dag;                           /* in WALK_DAGS: what follows is of one DAG that says what it keeps */
    int64_t dag;                            /* the last one looked at; 0: none yet */
    int64_t dag_age_ms;                     /* as in struct dag_keep */
    uint32_t dag_skip;                      /* of its latest runs, so many more may stay */
    bool dag_bound;                         /* from `dag_last` down it has more runs than it wants */
    struct uuid dag_last;
    bool any_dag;                           /* the last walk met such a DAG */
    bool dropped;                           /* pending letters went and nobody was told */
    int64_t walked_ms;                      /* wall time of the last walk's end; 0: none yet */
    int64_t sliced_us;                      /* boot time of the last slice */
    bool taking;                            /* a run that is gone still has attempts in [base, last] */
    struct uuid taking_id;
    int64_t base, last;
    bool waiting;                           /* runs whose logs may still be there: in the table taken */
};

struct store_sqlite {
    struct store head;
    char *dir;
    char *path;                             /* DATA/pawl.db */
    enum store_mode mode;
    enum store_durability durability;
    int64_t reserve_bytes;

    /* the writer's thread */
    struct sqlite_connection writer;        /* not open when mode is STORE_READ */
    struct sqlite_meta meta;
    struct map runs;                        /* id -> struct sqlite_run */
    struct sqlite_run *last_run;            /* the one asked for last; NULL */
    bool dags_written;                      /* by the transaction under way */
    int frames;                             /* pages in the -wal file */
    int64_t swept_ms;                       /* wall time when expired keys were last looked for */
    struct sqlite_retain retain;

    struct sqlite_known known;

    /* readers */
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    struct sqlite_connection *readers;      /* readers_max of them */
    uint32_t readers_max;
    struct sqlite_connection *free_readers;
    struct uuid *done;                      /* taken runs whose logs are gone, for the next maintain to forget */
    size_t done_count, done_cap;

    atomic_bool failed;                     /* an I/O error: every call but status is refused */
    atomic_bool broken;                     /* a record that cannot be true came: commits are refused */
    char why[1000];                         /* under lock; one of the two above is set */
};

/* ---- sqlite_statement.c ---- */

/* The statement, ready for values. NULL with words in err when the store failed. */
sqlite3_stmt *store_sqlite_prepare(struct sqlite_connection *connection, enum sqlite_statement statement,
                                   struct error *err);
/* One step. *ret_row false: it is done, and was reset. */
int store_sqlite_step(struct sqlite_connection *connection, sqlite3_stmt *statement, bool *ret_row,
                      struct error *err);
/* Runs it to its end and resets it. */
int store_sqlite_run(struct sqlite_connection *connection, sqlite3_stmt *statement, struct error *err);
/* One without values. */
int store_sqlite_run_plain(struct sqlite_connection *connection, enum sqlite_statement statement, struct error *err);
/* What an SQLite result code means to us, with words: ERROR_STORE_FULL, ERROR_INTERNAL (a constraint),
 * ERROR_STORE_FAILED. All but a full disk, a constraint and a busy file end the store. */
int store_sqlite_fault(struct store_sqlite *store, sqlite3 *db, int result, struct error *err);
/* 0, or ERROR_STORE_FAILED once it has failed (or is broken, for writers). */
int store_sqlite_alive(struct store_sqlite *store, bool writes, struct error *err);
void store_sqlite_set_broken(struct store_sqlite *store, const char *why);

/* Values; bytes must live until the statement has run. */
void store_sqlite_bind_uuid(sqlite3_stmt *statement, int at, const struct uuid *id); /* zero: NULL */
void store_sqlite_bind_id(sqlite3_stmt *statement, int at, const struct uuid *id);   /* zero is a value */
void store_sqlite_bind_text(sqlite3_stmt *statement, int at, const char *text);
void store_sqlite_bind_blob(sqlite3_stmt *statement, int at, const void *bytes, size_t len); /* NULL: NULL */
void store_sqlite_bind_int(sqlite3_stmt *statement, int at, int64_t value);
struct uuid store_sqlite_uuid(sqlite3_stmt *statement, int at);                     /* NULL: zero */
const char *store_sqlite_text(sqlite3_stmt *statement, int at, struct arena *arena); /* a copy; NULL stays NULL */
uint32_t store_sqlite_u32(sqlite3_stmt *statement, int at);

/* ---- sqlite_migrate.c ---- */

int store_sqlite_version(void); /* of the tables this program writes */
/* Brings the tables to that version. `version` is the file's. */
int store_sqlite_migrate(struct sqlite_connection *connection, int version, struct error *err);

/* ---- sqlite_open.c ---- */

/* A connection of its own, which only reads but may write files beside the store. Closed by store_sqlite_close. */
int store_sqlite_open_copier(struct store_sqlite *store, struct sqlite_connection *ret_connection, struct error *err);
void store_sqlite_close(struct sqlite_connection *connection);
/* A connection from the pool, inside a transaction; given back by leave, which passes `code` on. */
int store_sqlite_enter(struct store *head, struct sqlite_connection **ret_connection, struct error *err);
int store_sqlite_leave(struct sqlite_connection *connection, int code);

/* ---- sqlite_commit.c, sqlite_write.c ---- */

int store_sqlite_commit(struct store *head, struct batch *const *batches, size_t count, struct error *err);
int store_sqlite_rollback(struct store_sqlite *store, int code, struct error *err); /* passes `code` on */
int store_sqlite_write_meta(struct store_sqlite *store, struct error *err);
/* Writes one record that nothing refused. verdict: NULL outside groups. */
int store_sqlite_write(struct store_sqlite *store, const struct record *record, struct verdict *verdict,
                       struct error *err);
/* Of the version row inserted last. */
int store_sqlite_write_source(struct store_sqlite *store, const char *source, size_t source_len, struct error *err);
void store_sqlite_forget_runs(struct store_sqlite *store);

struct sqlite_dag {
    int64_t dag;            /* row; 0: there is none */
    uint32_t version;       /* the latest */
    bool deleted, paused;
    int64_t covered_ms;
};
int store_sqlite_find_dag(struct store_sqlite *store, const struct uuid *id, struct sqlite_dag *ret_dag,
                          struct error *err);

/* ---- sqlite_known.c ---- */

void store_sqlite_known_init(struct sqlite_known *known, bool alone); /* alone: nobody else writes the store */
void store_sqlite_known_fini(struct sqlite_known *known);
/* Around a commit that has changed DAGs, whether it succeeds or not. */
void store_sqlite_known_changes(struct sqlite_known *known);
void store_sqlite_known_changed(struct sqlite_known *known);
/* To be read before the transaction that reads what is put. */
uint64_t store_sqlite_known_generation(const struct sqlite_known *known);
bool store_sqlite_known_get(struct sqlite_known *known, struct uuid id, struct arena *arena, struct store_dag *ret_dag);
void store_sqlite_known_put(struct sqlite_known *known, uint64_t generation, const struct store_dag *dag);

/* ---- sqlite_fire.c ---- */

/* What a RECORD_FIRE or RECORD_FIRE_RELEASE demands. */
int store_sqlite_judge_fire(struct store_sqlite *store, const struct record *record, struct verdict *verdict,
                            struct error *err);
int store_sqlite_write_fire(struct store_sqlite *store, const struct record *record, struct error *err);
/* The DAG goes: what was queued will not be fired. */
int store_sqlite_drop_fires(struct store_sqlite *store, int64_t dag, struct error *err);
int store_sqlite_fires(struct store *head, const struct store_fire_query *query, struct arena *arena,
                       struct store_fires *ret_fires, struct error *err);

/* ---- sqlite_maintain.c ---- */

int store_sqlite_maintain(struct store *head, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err);
/* Makes the file DATA/reserve when it is missing; false when there is no room for it. */
bool store_sqlite_make_reserve(const struct store_sqlite *store);
void store_sqlite_give_reserve(const struct store_sqlite *store);
/* Writes zeros behind the -wal file until it has SQLITE_WAL_BYTES. Best effort. */
void store_sqlite_grow_wal(const struct store_sqlite *store);

/* ---- sqlite_retain.c ---- */

/* A slice of retention. *ret_next_ms: until the next is due; -1: there is nothing to come. */
int store_sqlite_retain(struct store_sqlite *store, int64_t now_ms, bool idle, int64_t *ret_next_ms,
                        struct error *err);
int store_sqlite_taken(struct store *head, const struct uuid *done, size_t done_count, size_t max, struct arena *arena,
                       struct store_ids *ret_ids, struct error *err);

/* ---- sqlite_copy.c ---- */

int store_sqlite_copy(struct store *head, const char *path, const struct store_copying *copying, struct error *err);

/* ---- sqlite_rows.c ---- */

int store_sqlite_dump(struct store *head, store_row_fn *fn, void *context, struct error *err);
int store_sqlite_fill(struct store *head, struct store_feed *feed, struct error *err);

/* ---- readers ---- */

int store_sqlite_load_active(struct store *head, store_active_fn *fn, void *context, struct error *err);
int store_sqlite_dags(struct store *head, const struct store_dag_query *query, struct arena *arena,
                      struct store_dags *ret_dags, struct error *err);
int store_sqlite_versions(struct store *head, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                          struct store_versions *ret_versions, struct error *err);
int store_sqlite_source(struct store *head, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                        struct error *err);
int store_sqlite_runs(struct store *head, const struct store_run_query *query, struct arena *arena,
                      struct store_runs *ret_runs, struct error *err);
int store_sqlite_attempts(struct store *head, const struct store_attempt_query *query, struct arena *arena,
                          struct store_attempts *ret_attempts, struct error *err);
int store_sqlite_letters(struct store *head, const struct store_letter_query *query, struct arena *arena,
                         struct store_letters *ret_letters, struct error *err);
int store_sqlite_letter_stats(struct store *head, struct store_letter_stats *ret_stats, struct error *err);
int store_sqlite_ids(struct store *head, enum store_id_kind kind, const char *hex, size_t max, struct arena *arena,
                     struct store_ids *ret_ids, struct error *err);
int store_sqlite_status(struct store *head, struct store_status *ret_status, struct error *err);
int store_sqlite_ping(struct store *head, struct error *err);
int store_sqlite_check(struct store *head, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                       struct error *err);

/* sqlite_page.c: one list out of several sorted ones */
struct sqlite_range {
    struct uuid low, high;      /* both belong to it; low > high: empty */
};
/* Ids older than `before` (zero: all), equal to `id` (zero: any). */
struct sqlite_range store_sqlite_range(struct uuid before, struct uuid id);
/* The page's ids, newest first. cursors: statements with all values but the range bound; they are reset. */
int store_sqlite_page(struct sqlite_connection *connection, sqlite3_stmt *const *cursors, size_t count,
                      const struct sqlite_range *range, uint32_t offset, size_t limit, struct arena *arena,
                      struct store_ids *ret_ids, struct error *err);

/* sqlite_read_run.c: rows of SQL_ATTEMPTS and SQL_RUN */
bool store_sqlite_read_attempt(sqlite3_stmt *row, struct uuid run_id, int64_t base, struct arena *arena,
                               struct record_attempt *ret_attempt);
bool store_sqlite_read_run(sqlite3_stmt *row, struct arena *arena, struct store_run *ret_run, int64_t *ret_base);
/* The row of a DAG's id in the table; 0: there is none. */
int store_sqlite_find_dag_row(struct sqlite_connection *connection, const struct uuid *id, int64_t *ret_dag,
                              struct error *err);
/* ERROR_STORE_FAILED: the row holds what no pawl writes. */
int store_sqlite_bad_row(struct sqlite_connection *connection, const char *what, struct error *err);
/* Appends the source of a version row. */
int store_sqlite_read_source(struct sqlite_connection *connection, int64_t version_row, uint64_t bytes,
                             struct buf *ret_source, struct error *err);
/* The last key of a run's range. */
static inline int64_t store_sqlite_range_end(int64_t base, uint32_t task_count)
{
    return base + (int64_t)(task_count ? task_count : 1) * SQLITE_ATTEMPTS_MAX - 1;
}

#endif
