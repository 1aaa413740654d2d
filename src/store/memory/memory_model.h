/* The rows of the memory store. Private to memory/.
 *
 * Rows and texts live in one arena until the store is closed. A row is changed only after store_memory_save has kept
 * what it was, so that a commit can be undone whole. */
#ifndef PAWL_STORE_MEMORY_MODEL_H
#define PAWL_STORE_MEMORY_MODEL_H

#include <pthread.h>

#include "dag/dag.h"
#include "store/memory/store_memory.h"

/* Pointers to rows in the order of compare. */
struct memory_rows {
    void **items;
    size_t count, cap;
    int (*compare)(const void *row, const void *key);
};

struct memory_version {
    uint32_t version;               /* the key */
    uint32_t task_count;
    int64_t created_ms;
    const char *source;
    size_t source_len;
    const char *cron, *timezone;    /* NULL: none */
    struct dag_keep keep;
    uint64_t given;                 /* the last load_active that gave its source */
};

struct memory_dag {
    struct uuid id;                 /* the key */
    const char *name;
    bool paused;
    int64_t covered_ms;
    int64_t created_ms, deleted_ms;
    struct memory_rows versions;    /* never empty */
};

struct memory_run {
    struct record_run run;          /* its id is the key; outcomes: the plan, then how the tasks ended */
    struct memory_dag *dag;
    struct memory_rows attempts;    /* record_attempt by task and number */
};

struct memory_letter {
    struct store_letter row;        /* letter.id is the key */
};

/* What takes a change back, newest last. */
struct memory_undo {
    enum { UNDO_BYTES, UNDO_INSERT, UNDO_REMOVE } kind;
    struct memory_rows *rows;       /* INSERT, REMOVE */
    void *row;                      /* INSERT, REMOVE: the row; BYTES: where they belong */
    void *saved;                    /* BYTES */
    size_t size;
};

struct store_memory {
    struct store head;
    pthread_mutex_t lock;
    struct arena arena;
    struct memory_rows dags, runs, letters, fires; /* fires: record_fire */
    struct memory_rows keys;        /* record_idempotency by DAG, principal, key */
    struct memory_rows taken;       /* memory_run: gone by retention, logs may be there */
    uint64_t loads;                 /* calls of load_active */
    enum store_room room;           /* as set; head.room is what the last commit met */
    int fault;                      /* what the next commit gives; 0: it works */
    bool failed;
    char why[200];                  /* it failed */
    struct memory_undo *undo;
    size_t undo_count, undo_cap;
    struct arena undo_arena;
};

/* memory_rows.c */
void store_memory_rows_free(struct memory_rows *rows);
/* The first row that is not before key. */
size_t store_memory_lower(const struct memory_rows *rows, const void *key);
void *store_memory_find(const struct memory_rows *rows, const void *key); /* NULL: there is none */
/* The key must not be there yet. */
void store_memory_insert(struct store_memory *store, struct memory_rows *rows, void *row);
void store_memory_remove(struct store_memory *store, struct memory_rows *rows, void *row);
/* Keeps what the bytes are before they are changed. */
void store_memory_save(struct store_memory *store, void *bytes, size_t size);
void store_memory_keep_all(struct store_memory *store);
void store_memory_undo_all(struct store_memory *store);

int store_memory_by_id(const void *row, const void *key); /* rows that start with their id; key: an id */
int store_memory_by_version(const void *row, const void *key);
int store_memory_by_attempt(const void *row, const void *key);
int store_memory_by_idempotency(const void *row, const void *key);

/* memory_write.c */
int store_memory_commit(struct store *store, struct batch *const *batches, size_t count, struct error *err);

/* memory_retain.c */
/* All that may go. The lock is held. */
void store_memory_retain(struct store_memory *store, int64_t now_ms);
int store_memory_taken(struct store *store, const struct uuid *done, size_t done_count, size_t max,
                       struct arena *arena, struct store_ids *ret_ids, struct error *err);

/* memory_read.c */
int store_memory_dags(struct store *store, const struct store_dag_query *query, struct arena *arena,
                      struct store_dags *ret_dags, struct error *err);
int store_memory_versions(struct store *store, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                          struct store_versions *ret_versions, struct error *err);
int store_memory_source(struct store *store, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                        struct error *err);
int store_memory_runs(struct store *store, const struct store_run_query *query, struct arena *arena,
                      struct store_runs *ret_runs, struct error *err);
int store_memory_attempts(struct store *store, const struct store_attempt_query *query, struct arena *arena,
                          struct store_attempts *ret_attempts, struct error *err);
int store_memory_letters(struct store *store, const struct store_letter_query *query, struct arena *arena,
                         struct store_letters *ret_letters, struct error *err);
int store_memory_fires(struct store *store, const struct store_fire_query *query, struct arena *arena,
                       struct store_fires *ret_fires, struct error *err);
int store_memory_letter_stats(struct store *store, struct store_letter_stats *ret_stats, struct error *err);
int store_memory_ids(struct store *store, enum store_id_kind kind, const char *hex, size_t max, struct arena *arena,
                     struct store_ids *ret_ids, struct error *err);

/* Takes the lock; ERROR_STORE_FAILED, without the lock, when the store has failed. */
int store_memory_enter(struct store_memory *store, struct error *err);
void store_memory_leave(struct store_memory *store);

#endif
