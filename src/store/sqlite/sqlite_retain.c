/* Retention: old runs go, in slices between commits.
 *
 *     walk      dead letters beyond their own limits, then runs from the oldest (ids are in the order of birth) on to
 *               where the limits are met, then those of each DAG that says what it keeps; the next walk begins minutes
 *               later, or soon when there are more runs than the limit allows
 *     letters   of a run that may go, one by one: while it is there nobody misses those that are resolved
 *     the run   its row moves into the table taken: from here on nobody can read it
 *     attempts  of one taken run at a time, from the last key down, so that what is left keeps its predecessors
 *     logs      by whoever deletes files (slot taken); then the row in taken goes
 *
 * Each slice is one transaction of a few ms, so commits never wait for a big run. A crash at any point leaves either
 * the run, or its row in taken, from which the next life goes on. Pages that become free are used again; the file
 * does not shrink (docs/decisions/0070-retention.md). */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

enum {
    SLICE_US = 3000,            /* a slice ends at the first step after so long */
    BUSY_PAUSE_US = 50000,      /* between slices while commits come */
    SOON_MS = 10,
    WALK_MS = 600000,           /* from the end of a walk to the next */
    WALK_SOON_MS = 10000,       /* the same, when too many runs or bytes are left */
    DONE_MS = 1000,             /* logs are being deleted: look again whose are gone */
    ATTEMPTS_STEP = 256,
    FIRES_STEP = 256
};

struct limits {
    int64_t age_ms, runs_max, bytes_max, letter_age_ms, letters_max;
};

struct old_run {
    struct uuid id;
    int64_t base, created_ms, completed_ms;
    uint32_t task_count;
    bool is_of_keeping_dag;     /* its DAG has an age of its own */
};

static int64_t bound(int64_t value)
{
    return value > 0 ? value : INT64_MAX;
}

static struct limits read_limits(const struct store_sqlite *store)
{
    const struct store_keep *keep = &store->head.keep;
    return (struct limits){bound(keep->age_ms), bound(keep->runs_max), bound(keep->bytes_max),
                           bound(keep->letter_age_ms), bound(keep->letters_max)};
}

static bool any_limit(const struct limits *limits)
{
    return limits->age_ms != INT64_MAX || limits->runs_max != INT64_MAX || limits->bytes_max != INT64_MAX ||
           limits->letter_age_ms != INT64_MAX || limits->letters_max != INT64_MAX;
}

/* A statement of the writer with an id as its first value, run to its end. */
static int run_for(struct store_sqlite *store, enum sqlite_statement which, const struct uuid *id, struct error *err)
{
    sqlite3_stmt *statement = store_sqlite_prepare(&store->writer, which, err);
    if (!statement)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(statement, 1, id);
    return store_sqlite_run(&store->writer, statement, err);
}

/* Steps a statement whose values are bound; *ret_row: it stands on a row and must be reset. */
static int look(struct store_sqlite *store, sqlite3_stmt *statement, bool *ret_row, struct error *err)
{
    *ret_row = false;
    return statement ? store_sqlite_step(&store->writer, statement, ret_row, err) : ERROR_STORE_FAILED;
}

/* ---- attempts of a run that is gone ---- */

static int meet_taken(struct store_sqlite *store, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    bool row;
    sqlite3_stmt *open = store_sqlite_prepare(&store->writer, SQL_TAKEN_OPEN, err);
    int code = look(store, open, &row, err);
    retain->taking = row;
    if (row) {
        retain->taking_id = store_sqlite_uuid(open, 0);
        retain->base = sqlite3_column_int64(open, 1);
        retain->last = store_sqlite_range_end(retain->base, store_sqlite_u32(open, 2));
        (void)sqlite3_reset(open);
    }
    retain->met = !code;
    retain->waiting = true; /* looked for by who deletes logs */
    return code;
}

static int take_attempts(struct store_sqlite *store, uint64_t *count, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    bool row;
    sqlite3_stmt *slice = store_sqlite_prepare(&store->writer, SQL_TAKEN_SLICE, err);
    if (!slice)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(slice, 1, retain->base);
    store_sqlite_bind_int(slice, 2, retain->last);
    store_sqlite_bind_int(slice, 3, ATTEMPTS_STEP);
    int code = look(store, slice, &row, err);
    if (!row)
        return code ? code : ERROR_STORE_FAILED;
    int64_t from = sqlite3_column_int64(slice, 0), found = sqlite3_column_int64(slice, 1);
    int64_t log_bytes = sqlite3_column_int64(slice, 2);
    (void)sqlite3_reset(slice);
    sqlite3_stmt *drop = found ? store_sqlite_prepare(&store->writer, SQL_TAKEN_ATTEMPTS, err) : NULL;
    if (found && !drop)
        return ERROR_STORE_FAILED;
    if (found) {
        store_sqlite_bind_int(drop, 1, from);
        store_sqlite_bind_int(drop, 2, retain->last);
        code = store_sqlite_run(&store->writer, drop, err);
        store->meta.log_bytes -= log_bytes;
        retain->last = from - 1;
        *count += (uint64_t)found;
    }
    if (!code && found < ATTEMPTS_STEP) {
        code = run_for(store, SQL_TAKEN_WHOLE, &retain->taking_id, err);
        retain->taking = false;
        retain->waiting = true;
    }
    return code;
}

/* ---- runs ---- */

static int is_over(struct store_sqlite *store, const struct limits *limits, bool *ret_over, struct error *err)
{
    bool row;
    *ret_over = store->meta.ended_runs > limits->runs_max;
    if (*ret_over || limits->bytes_max == INT64_MAX)
        return 0;
    sqlite3_stmt *pages = store_sqlite_prepare(&store->writer, SQL_USED_PAGES, err);
    int code = look(store, pages, &row, err);
    if (!row)
        return code ? code : ERROR_STORE_FAILED;
    int64_t bytes = sqlite3_column_int64(pages, 0) * sqlite3_column_int64(pages, 1);
    (void)sqlite3_reset(pages);
    *ret_over = bytes + store->meta.log_bytes > limits->bytes_max;
    return 0;
}

/* The row of a statement whose values are bound; next NULL: it could not be prepared. */
static int read_run(struct store_sqlite *store, sqlite3_stmt *next, struct old_run *ret_run, bool *ret_found,
                    struct error *err)
{
    int code = look(store, next, ret_found, err);
    if (*ret_found) {
        *ret_run = (struct old_run){store_sqlite_uuid(next, 0), sqlite3_column_int64(next, 1),
                                    sqlite3_column_int64(next, 3), sqlite3_column_int64(next, 4),
                                    store_sqlite_u32(next, 2), sqlite3_column_int64(next, 5) != 0};
        (void)sqlite3_reset(next);
    }
    return code;
}

static int next_run(struct store_sqlite *store, struct old_run *ret_run, bool *ret_found, struct error *err)
{
    sqlite3_stmt *next = store_sqlite_prepare(&store->writer, SQL_OLD_RUN, err);
    if (next)
        store_sqlite_bind_id(next, 1, &store->retain.cursor);
    return read_run(store, next, ret_run, ret_found, err);
}

/* The same among the ended runs of the DAG at hand: above the cursor or below it. */
static int next_of_dag(struct store_sqlite *store, enum sqlite_statement which, struct old_run *ret_run,
                       bool *ret_found, struct error *err)
{
    sqlite3_stmt *next = store_sqlite_prepare(&store->writer, which, err);
    if (next) {
        store_sqlite_bind_int(next, 1, store->retain.dag);
        store_sqlite_bind_id(next, 2, &store->retain.cursor);
    }
    return read_run(store, next, ret_run, ret_found, err);
}

static int is_needed(struct store_sqlite *store, const struct old_run *run, bool *ret_needed, struct error *err)
{
    bool row;
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_OLD_NEEDED, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, &run->id);
    store_sqlite_bind_int(find, 2, run->created_ms);
    int code = look(store, find, &row, err);
    if (row) {
        *ret_needed = sqlite3_column_int64(find, 0) != 0;
        (void)sqlite3_reset(find);
    }
    return code || row ? code : ERROR_STORE_FAILED;
}

/* One of the run's letters. *ret_more false: it has none. */
static int take_letter(struct store_sqlite *store, const struct uuid *run_id, bool *ret_more, struct error *err)
{
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_OLD_LETTER, err);
    if (find)
        store_sqlite_bind_id(find, 1, run_id);
    int code = look(store, find, ret_more, err);
    if (!*ret_more)
        return code;
    struct uuid id = store_sqlite_uuid(find, 0);
    enum resolution resolution = RESOLUTION_PENDING;
    bool known = state_resolution_parse((const char *)sqlite3_column_text(find, 1), &resolution);
    (void)sqlite3_reset(find);
    if (!known || resolution == RESOLUTION_PENDING)
        return store_sqlite_bad_row(&store->writer, "letters", err);
    store->meta.letters[resolution]--;
    return run_for(store, SQL_OLD_LETTER_DROP, &id, err);
}

static int take_run(struct store_sqlite *store, const struct old_run *run, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    sqlite3_stmt *insert = store_sqlite_prepare(&store->writer, SQL_TAKEN_INSERT, err);
    if (!insert)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(insert, 1, &run->id);
    store_sqlite_bind_int(insert, 2, run->base);
    store_sqlite_bind_int(insert, 3, run->task_count);
    int code = store_sqlite_run(&store->writer, insert, err);
    if (!code)
        code = run_for(store, SQL_OLD_RUN_DROP, &run->id, err);
    store->meta.ended_runs--;
    retain->taking = true;
    retain->taking_id = run->id;
    retain->base = run->base;
    retain->last = store_sqlite_range_end(run->base, run->task_count);
    return code;
}

/* ---- a slice ---- */

struct slice {
    struct limits limits;
    int64_t now_ms;
    struct store_taken taken;
};

/* Wall time before which things are older than `age_ms`. */
static int64_t since(const struct slice *slice, int64_t age_ms)
{
    return age_ms < slice->now_ms ? slice->now_ms - age_ms : 0;
}

static int64_t horizon(const struct slice *slice)
{
    return since(slice, slice->limits.age_ms);
}

/* A run that the limits let go, goes, unless somebody needs it; the cursor moves on when it is decided. */
static int let_go(struct store_sqlite *store, struct slice *slice, const struct old_run *run, struct error *err)
{
    bool needed = true, more = false;
    int code = is_needed(store, run, &needed, err);
    if (!code && !needed)
        code = take_letter(store, &run->id, &more, err);
    if (code || more) {
        slice->taken.letters += !code;
        return code;
    }
    store->retain.cursor = run->id;
    if (needed)
        return 0;
    slice->taken.runs++;
    return take_run(store, run, err);
}

/* Looks at the run behind the cursor. */
static int walk_runs(struct store_sqlite *store, struct slice *slice, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    struct old_run run;
    bool found, over;
    int code = is_over(store, &slice->limits, &over, err);
    if (!code)
        code = next_run(store, &run, &found, err);
    if (code)
        return code;
    if (!found || (!over && run.created_ms >= horizon(slice))) {
        retain->walk = WALK_DAGS;
        retain->dag = 0;
        retain->has_dag = retain->any_dag = false;
        return 0;
    }
    if (over || (run.completed_ms < horizon(slice) && !run.is_of_keeping_dag))
        return let_go(store, slice, &run, err);
    retain->cursor = run.id;
    return 0;
}

/* ---- what DAGs say of their own ---- */

/* The next DAG that says what it keeps; with none the walk ends. */
static int next_dag(struct store_sqlite *store, const struct slice *slice, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    bool row;
    sqlite3_stmt *next = store_sqlite_prepare(&store->writer, SQL_KEEPING_DAG, err);
    if (next)
        store_sqlite_bind_int(next, 1, retain->dag);
    int code = look(store, next, &row, err);
    retain->has_dag = row;
    if (row) {
        retain->dag = sqlite3_column_int64(next, 0);
        retain->dag_age_ms = sqlite3_column_int64(next, 1);
        retain->dag_skip = store_sqlite_u32(next, 2);
        retain->dag_bound = retain->dag_skip == 0;
        retain->dag_last = (struct uuid){{0}};
        memset(retain->cursor.bytes, retain->dag_bound ? 0 : 0xff, sizeof retain->cursor.bytes);
        retain->any_dag = true;
        (void)sqlite3_reset(next);
    } else if (!code) {
        retain->walking = false;
        retain->walked_ms = slice->now_ms;
    }
    return code;
}

/* From the latest run down, past those that the DAG wants to keep. */
static int find_bound(struct store_sqlite *store, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    struct old_run run;
    bool found;
    int code = next_of_dag(store, SQL_KEEPING_BELOW, &run, &found, err);
    if (code)
        return code;
    if (found && retain->dag_skip > 0) {
        retain->dag_skip--;
        retain->cursor = run.id;
        return 0;
    }
    if (found)
        retain->dag_last = run.id;
    retain->dag_bound = true;
    retain->cursor = (struct uuid){{0}};
    return 0;
}

static int walk_dag(struct store_sqlite *store, struct slice *slice, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    struct old_run run;
    bool found;
    if (!retain->has_dag)
        return next_dag(store, slice, err);
    if (!retain->dag_bound)
        return find_bound(store, err);
    int code = next_of_dag(store, SQL_KEEPING_ABOVE, &run, &found, err);
    if (code)
        return code;
    int64_t old_ms = retain->dag_age_ms ? since(slice, retain->dag_age_ms) : 0;
    bool over = found && uuid_compare(run.id, retain->dag_last) <= 0;
    if (!found || (!over && run.created_ms >= old_ms)) {
        retain->has_dag = false;
        return 0;
    }
    if (over || run.completed_ms < old_ms)
        return let_go(store, slice, &run, err);
    retain->cursor = run.id;
    return 0;
}

/* ---- dead letters by limits of their own ---- */

struct old_letter {
    struct uuid id;
    int64_t created_ms;
    bool found;
};

static int oldest_letter(struct store_sqlite *store, enum resolution resolution, struct old_letter *ret_letter,
                         struct error *err)
{
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_LETTER_FIRST, err);
    if (find)
        store_sqlite_bind_text(find, 1, state_resolution_name(resolution));
    int code = look(store, find, &ret_letter->found, err);
    if (ret_letter->found) {
        ret_letter->id = store_sqlite_uuid(find, 0);
        ret_letter->created_ms = sqlite3_column_int64(find, 1);
        (void)sqlite3_reset(find);
    }
    return code;
}

/* The oldest that is settled, else the oldest that is pending: which goes, or the walk of letters ends. */
static int walk_letters(struct store_sqlite *store, struct slice *slice, struct error *err)
{
    static const enum resolution order[] = {RESOLUTION_RETRIED, RESOLUTION_SKIPPED, RESOLUTION_RESOLVED,
                                            RESOLUTION_PENDING};
    struct sqlite_retain *retain = &store->retain;
    struct old_letter oldest = {0};
    enum resolution resolution = RESOLUTION_PENDING;
    int64_t count = 0, old_ms = since(slice, slice->limits.letter_age_ms);
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        count += store->meta.letters[i];
    bool over = count > slice->limits.letters_max;
    for (size_t i = 0; i < RESOLUTION_COUNT; i++) {
        struct old_letter letter;
        bool settled = order[i] != RESOLUTION_PENDING;
        if (!settled && oldest.found && (over || oldest.created_ms < old_ms))
            break;
        int code = oldest_letter(store, order[i], &letter, err);
        if (code)
            return code;
        if (letter.found && (!settled || !oldest.found || uuid_compare(letter.id, oldest.id) < 0)) {
            oldest = letter;
            resolution = order[i];
        }
    }
    if (!oldest.found || !(over || oldest.created_ms < old_ms)) {
        retain->walk = WALK_RUNS;
        retain->cursor = (struct uuid){{0}};
        return 0;
    }
    store->meta.letters[resolution]--;
    slice->taken.letters++;
    slice->taken.pending += resolution == RESOLUTION_PENDING;
    retain->dropped = retain->dropped || resolution == RESOLUTION_PENDING;
    return run_for(store, SQL_OLD_LETTER_DROP, &oldest.id, err);
}

static int walk(struct store_sqlite *store, struct slice *slice, struct error *err)
{
    switch (store->retain.walk) {
    case WALK_LETTERS: return walk_letters(store, slice, err);
    case WALK_RUNS: return walk_runs(store, slice, err);
    case WALK_DAGS: return walk_dag(store, slice, err);
    }
    assert(false);
    return ERROR_INTERNAL;
}

/* ---- steps ---- */

static int take_fires(struct store_sqlite *store, struct slice *slice, struct error *err)
{
    static const uint64_t zeros[2];
    struct uuid below = uuid_make_v7(horizon(slice), zeros);
    sqlite3_stmt *drop = store_sqlite_prepare(&store->writer, SQL_OLD_FIRES, err);
    if (!drop)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(drop, 1, &below);
    store_sqlite_bind_int(drop, 2, horizon(slice));
    store_sqlite_bind_int(drop, 3, FIRES_STEP);
    int code = store_sqlite_run(&store->writer, drop, err);
    slice->taken.fires += code ? 0 : (uint64_t)sqlite3_changes64(store->writer.db);
    return code;
}

static int forget_done(struct store_sqlite *store, size_t count, struct error *err)
{
    int code = 0;
    for (size_t i = 0; i < count && !code; i++) {
        (void)pthread_mutex_lock(&store->lock);
        struct uuid id = store->done[i];
        (void)pthread_mutex_unlock(&store->lock);
        code = run_for(store, SQL_TAKEN_DONE, &id, err);
    }
    return code;
}

static int steps(struct store_sqlite *store, struct slice *slice, size_t done, struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    int64_t end_us = clock_boot_us() + SLICE_US;
    bool walked = retain->walking;
    int code = forget_done(store, done, err);
    while (!code && (retain->taking || retain->walking) && clock_boot_us() < end_us)
        code = retain->taking ? take_attempts(store, &slice->taken.attempts, err) : walk(store, slice, err);
    if (!code && walked && slice->limits.age_ms != INT64_MAX)
        code = take_fires(store, slice, err);
    return code;
}

static void count(struct store_keep *keep, const struct store_taken *taken)
{
    keep->runs += taken->runs;
    keep->attempts += taken->attempts;
    keep->letters += taken->letters;
    keep->fires += taken->fires;
    keep->pending += taken->pending;
}

static int transact(struct store_sqlite *store, struct slice *slice, struct error *err)
{
    const struct sqlite_meta before = store->meta;
    const struct sqlite_retain was = store->retain;
    (void)pthread_mutex_lock(&store->lock);
    size_t done = store->done_count;
    (void)pthread_mutex_unlock(&store->lock);
    int code = store_sqlite_run_plain(&store->writer, SQL_BEGIN_WRITE, err);
    if (!code)
        code = steps(store, slice, done, err);
    if (!code && memcmp(&before, &store->meta, sizeof before) != 0)
        code = store_sqlite_write_meta(store, err);
    if (!code)
        code = store_sqlite_run_plain(&store->writer, SQL_COMMIT, err);
    if (code) {
        store->meta = before;
        store->retain = was;
        return store_sqlite_rollback(store, code, err);
    }
    (void)pthread_mutex_lock(&store->lock);
    store->done_count -= done;
    if (done)
        memmove(store->done, store->done + done, store->done_count * sizeof *store->done);
    (void)pthread_mutex_unlock(&store->lock);
    count(&store->head.keep, &slice->taken);
    return 0;
}

/* Whether a walk is due; the limits may have changed since the last. */
static bool starts_walk(const struct store_sqlite *store, const struct limits *limits, int64_t now_ms)
{
    const struct sqlite_retain *retain = &store->retain;
    int64_t since_ms = now_ms - retain->walked_ms;
    if (retain->walking)
        return false;
    if (!any_limit(limits) && !retain->any_dag)
        return retain->walked_ms == 0; /* to see whether there are DAGs that say what they keep */
    return retain->walked_ms == 0 || since_ms < 0 || since_ms >= WALK_MS ||
           (since_ms >= WALK_SOON_MS && store->meta.ended_runs > limits->runs_max);
}

static int64_t next_due(const struct store_sqlite *store, const struct limits *limits, int64_t now_ms, bool has_done)
{
    const struct sqlite_retain *retain = &store->retain;
    if (retain->taking || retain->walking)
        return SOON_MS;
    if (has_done)
        return DONE_MS;
    if (!any_limit(limits) && !retain->any_dag)
        return -1;
    int64_t pause_ms = store->meta.ended_runs > limits->runs_max ? WALK_SOON_MS : WALK_MS;
    int64_t left_ms = retain->walked_ms + pause_ms - now_ms;
    return left_ms > SOON_MS ? left_ms : SOON_MS;
}

int store_sqlite_retain(struct store_sqlite *store, int64_t now_ms, bool idle, int64_t *ret_next_ms,
                        struct error *err)
{
    struct sqlite_retain *retain = &store->retain;
    struct slice slice = {.limits = read_limits(store), .now_ms = now_ms};
    int64_t now_us = clock_boot_us();
    int code = retain->met ? 0 : meet_taken(store, err);
    if (code)
        return code;
    if (starts_walk(store, &slice.limits, now_ms)) {
        retain->walking = true;
        retain->walk = WALK_LETTERS;
    }
    (void)pthread_mutex_lock(&store->lock);
    bool has_done = store->done_count > 0;
    (void)pthread_mutex_unlock(&store->lock);
    bool works = retain->taking || retain->walking || has_done;
    if (works && (idle || now_us - retain->sliced_us >= BUSY_PAUSE_US)) {
        code = transact(store, &slice, err);
        retain->sliced_us = clock_boot_us();
        if (code == ERROR_STORE_FULL) { /* room is somebody else's to make: once a second is often enough */
            *ret_next_ms = DONE_MS;
            return 0;
        }
    }
    bool tells = (retain->waiting || retain->dropped) && !code && store->head.keep.on_taken;
    *ret_next_ms = next_due(store, &slice.limits, now_ms, tells);
    if (tells) {
        retain->waiting = retain->dropped = false;
        store->head.keep.on_taken(store->head.keep.context);
    }
    return code;
}

/* ---- whose logs may go ---- */

int store_sqlite_taken(struct store *head, const struct uuid *done, size_t done_count, size_t max, struct arena *arena,
                       struct store_ids *ret_ids, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    struct sqlite_connection *connection;
    bool row = false;
    assert(store->mode != STORE_READ);
    (void)pthread_mutex_lock(&store->lock);
    store->done = mem_grow(store->done, &store->done_cap, store->done_count + done_count, sizeof *store->done);
    for (size_t i = 0; i < done_count; i++)
        store->done[store->done_count++] = done[i];
    size_t skip = store->done_count;
    struct uuid *known = arena_dup(arena, store->done, skip * sizeof *known);
    (void)pthread_mutex_unlock(&store->lock);
    *ret_ids = (struct store_ids){.items = arena_array(arena, max, sizeof(struct uuid))};
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    sqlite3_stmt *list = store_sqlite_prepare(connection, SQL_TAKEN_LIST, err);
    if (!list)
        return store_sqlite_leave(connection, ERROR_STORE_FAILED);
    store_sqlite_bind_int(list, 1, (int64_t)(max + skip));
    while (!(code = store_sqlite_step(connection, list, &row, err)) && row && ret_ids->count < max) {
        struct uuid id = store_sqlite_uuid(list, 0);
        bool is_done = false;
        for (size_t i = 0; i < skip && !is_done; i++)
            is_done = uuid_equal(known[i], id);
        if (!is_done)
            ret_ids->items[ret_ids->count++] = id;
    }
    (void)sqlite3_reset(list);
    return store_sqlite_leave(connection, code);
}
