/* Retention: old runs go, in steps of a few ms between commits, by the node that leads.
 *
 *     measure   how many runs have ended and how many bytes they are, on a connection of its own and only when a limit
 *               asks: it reads all there is, and nobody waits for it
 *     walk      from the oldest run on: those that may go leave `runs` and are noted in `taken`, with their letters
 *     letters   dead letters beyond their own limits, and then the runs of DAGs that say what they keep: both are
 *               listed by the connection that measures, since that may read much, and taken by the writer
 *     attempts  of taken runs, from the last key down, so that what is left keeps its predecessors
 *     logs      each node deletes the files it has (slot taken); `sweeps` says how far it is. Notes go after a week
 *
 * A step is one statement that looks at the lease first: a node that was declared dead, or that does not lead, takes
 * nothing. A crash at any point leaves the run, or its row in `taken`, from which whoever leads then goes on. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/postgres/pg_model.h"

enum {
    SLICE_US = 3000,            /* steps follow one another for so long when nobody waits */
    BUSY_PAUSE_US = 50000,      /* between steps while commits come */
    SOON_MS = 10,
    WALK_MS = 600000,           /* from the end of a walk to the next */
    ASK_MS = 60000,             /* until a node that does not lead asks again, and until it looks for new notes */
    DONE_MS = 1000,             /* logs are being deleted: look again how far that is */
    MEASURE_WAIT_MS = 20,
    RUNS_STEP = 100,
    ATTEMPTS_STEP = 512,
    FIRES_STEP = 256,
    LISTED_STEP = 100,
    LIST_SQL_MAX = 2048,
    RUN_BYTES = 400,            /* what a row and its places in indexes take; an attempt without its log */
    ATTEMPT_BYTES = 300
};
static const int64_t NOTE_MS = INT64_C(7) * 24 * 3600 * 1000;

struct limits {
    int64_t age_ms, runs_max, bytes_max, letter_age_ms, letters_max;
};

static int64_t bound(int64_t value)
{
    return value > 0 ? value : INT64_MAX;
}

static struct limits read_limits(const struct store_pg *store)
{
    const struct store_keep *keep = &store->head.keep;
    return (struct limits){bound(keep->age_ms), bound(keep->runs_max), bound(keep->bytes_max),
                           bound(keep->letter_age_ms), bound(keep->letters_max)};
}

static bool counts(const struct limits *limits)
{
    return limits->runs_max != INT64_MAX || limits->bytes_max != INT64_MAX;
}

static int64_t since(int64_t now_ms, int64_t age_ms)
{
    return age_ms < now_ms ? now_ms - age_ms : 0;
}

static int64_t horizon(const struct limits *limits, int64_t now_ms)
{
    return since(now_ms, limits->age_ms);
}

static bool is_over(const struct pg_retain *retain, const struct limits *limits)
{
    return retain->ended > limits->runs_max || retain->bytes > limits->bytes_max;
}

/* ---- measuring ---- */

/* Asks the keeper, who answers later: *ret_result NULL until then. */
static int ask(struct store_pg *store, const char *sql, bool idle, PGresult **ret_result, struct error *err)
{
    struct pg_retain *retain = &store->retain;
    struct pg_connection *keeper = &retain->keeper;
    int code = 0;
    keeper->store = store;
    *ret_result = NULL;
    if (!retain->asking) {
        code = store_pg_connect(keeper, err);
        if (!code)
            code = store_pg_query(keeper, "SET statement_timeout TO '1h'", NULL, NULL, err);
        if (!code)
            code = store_pg_send(keeper, sql, err);
        retain->asking = !code;
    }
    if (code || !store_pg_is_done(keeper, idle ? MEASURE_WAIT_MS : 0))
        return code;
    retain->asking = false;
    return store_pg_finish(keeper, ret_result, err);
}

/* ret_done false: it is under way. */
static int measure(struct store_pg *store, const struct limits *limits, bool idle, bool *ret_done, struct error *err)
{
    struct pg_retain *retain = &store->retain;
    PGresult *result;
    *ret_done = false;
    int code = ask(store, limits->bytes_max != INT64_MAX
                   ? "SELECT (SELECT count(*) FROM runs), count(*), coalesce(sum(log_bytes), 0)::bigint "
                     "FROM attempts WHERE state <> 'running'"
                   : "SELECT count(*), 0, 0 FROM runs", idle, &result, err);
    if (result) {
        retain->ended = store_pg_int(store, result, 0, 0);
        retain->bytes = store_pg_int(store, result, 0, 1) * ATTEMPT_BYTES + store_pg_int(store, result, 0, 2) +
                        retain->ended * RUN_BYTES;
        retain->measured = *ret_done = true;
    }
    if (result || code) {
        store_pg_clear(store, result);
        store_pg_disconnect(&retain->keeper);
    }
    return code;
}

/* ---- steps ---- */

static int take_attempts(struct store_pg *store, struct error *err)
{
    struct pg_retain *retain = &store->retain;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    store_pg_add_int(&values, ATTEMPTS_STEP);
    int code = store_pg_run(&store->writer, PG_OLD_ATTEMPTS, &values, &result, err);
    if (!code) {
        int64_t count = store_pg_int(store, result, 0, 0), whole = store_pg_int(store, result, 0, 2);
        store->head.keep.attempts += (uint64_t)count;
        retain->bytes -= count * ATTEMPT_BYTES + store_pg_int(store, result, 0, 1);
        retain->taking = count > 0 || whole > 0;
        retain->waiting = retain->waiting || whole > 0;
    }
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

static int walk(struct store_pg *store, const struct limits *limits, int64_t now_ms, struct error *err)
{
    struct pg_retain *retain = &store->retain;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    bool by_bytes = retain->bytes > limits->bytes_max;
    int64_t over = by_bytes ? 1 : retain->ended > limits->runs_max ? retain->ended - limits->runs_max : 0;
    int64_t most = by_bytes ? 1 : RUNS_STEP;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    store_pg_add_id(&values, &retain->cursor);
    store_pg_add_int(&values, most);
    store_pg_add_int(&values, horizon(limits, now_ms));
    store_pg_add_int(&values, over);
    store_pg_add_int(&values, now_ms);
    int code = store_pg_run(&store->writer, PG_OLD_RUNS, &values, &result, err);
    if (!code) {
        int64_t leads = store_pg_int(store, result, 0, 0), looked = store_pg_int(store, result, 0, 1);
        int64_t gone = store_pg_int(store, result, 0, 4), attempts = store_pg_int(store, result, 0, 6);
        bool is_young = store_pg_int(store, result, 0, 3) >= horizon(limits, now_ms);
        retain->cursor = store_pg_uuid(store, result, 0, 2);
        store->head.keep.runs += (uint64_t)gone;
        store->head.keep.letters += (uint64_t)store_pg_int(store, result, 0, 5);
        store->head.keep.attempts += (uint64_t)attempts;
        retain->ended -= gone;
        retain->bytes -= gone * RUN_BYTES + attempts * ATTEMPT_BYTES + store_pg_int(store, result, 0, 7);
        retain->taking = gone > 0;
        retain->waiting = retain->waiting || gone > 0;
        retain->walking = leads && looked == most && (is_over(retain, limits) || !is_young);
        retain->walk_ms = leads ? WALK_MS : ASK_MS;
        if (!retain->walking)
            retain->walked_ms = now_ms;
        if (!retain->walking && leads) {
            retain->walking = true;
            retain->walk = PG_WALK_LETTERS;
        }
    }
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

/* The next part of the walk, or its end. */
static void next_part(struct pg_retain *retain, int64_t now_ms)
{
    retain->walking = retain->walk == PG_WALK_LETTERS;
    retain->walk = PG_WALK_DAGS;
    retain->walked_ms = now_ms;
}

/* What the keeper finds is taken by the writer. `sql` gives a number and so many ids as the text of an array; when
 * nothing of it goes, somebody else's it is. */
static int take_listed(struct store_pg *store, const char *sql, enum pg_statement which, int64_t now_ms, bool idle,
                       struct error *err)
{
    struct pg_retain *retain = &store->retain;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *listed, *result = NULL;
    int code = ask(store, sql, idle, &listed, err);
    if (code)
        store_pg_disconnect(&retain->keeper);
    if (code || !listed)
        return code;
    int64_t found = store_pg_int(store, listed, 0, 0), gone = 0;
    if (found > 0) {
        bool runs = which == PG_OLD_LISTED;
        store_pg_add_int(&values, (int64_t)store->head.epoch);
        store_pg_add_text(&values, store_pg_text(store, listed, 0, 1, &arena));
        if (runs)
            store_pg_add_int(&values, now_ms);
        code = store_pg_run(&store->writer, which, &values, &result, err);
        gone = code ? 0 : store_pg_int(store, result, 0, 0);
        int64_t more = code ? 0 : store_pg_int(store, result, 0, 1);
        store->head.keep.runs += runs ? (uint64_t)gone : 0;
        store->head.keep.letters += (uint64_t)(runs ? more : gone);
        store->head.keep.pending += runs ? 0 : (uint64_t)more;
        retain->taking = retain->taking || (runs && gone > 0);
        retain->waiting = retain->waiting || (!runs && more > 0);
        store_pg_clear(store, result);
    }
    if (!code && (gone == 0 || found < LISTED_STEP))
        next_part(retain, now_ms);
    store_pg_clear(store, listed);
    store_pg_disconnect(&retain->keeper);
    arena_fini(&arena);
    return code;
}

#define LISTED(inner) "SELECT count(*), '{' || coalesce(string_agg(id::text, ','), '') || '}' FROM (" inner ") listed"

/* Those that are settled first; the oldest. */
static int walk_letters(struct store_pg *store, const struct limits *limits, int64_t now_ms, bool idle,
                        struct error *err)
{
    char sql[LIST_SQL_MAX];
    if (limits->letters_max == INT64_MAX && limits->letter_age_ms == INT64_MAX) {
        next_part(&store->retain, now_ms);
        return 0;
    }
    (void)snprintf(sql, sizeof sql,
                   LISTED("(SELECT id FROM letters ORDER BY resolution = 'pending', id LIMIT greatest(0, (SELECT "
                          "count(*) FROM letters) - %" PRId64 ")) UNION (SELECT id FROM letters WHERE created_ms < "
                          "%" PRId64 ") LIMIT %d"),
                   limits->letters_max, since(now_ms, limits->letter_age_ms), LISTED_STEP);
    return take_listed(store, sql, PG_OLD_LETTERS, now_ms, idle, err);
}

static int walk_dags(struct store_pg *store, int64_t now_ms, bool idle, struct error *err)
{
    char sql[LIST_SQL_MAX];
    (void)snprintf(sql, sizeof sql,
                   "WITH keeping AS MATERIALIZED (SELECT d.dag, d.keep_age_ms, CASE WHEN d.keep_runs > 0 THEN (SELECT "
                   "r.id FROM runs r WHERE r.dag = d.dag ORDER BY r.id DESC OFFSET d.keep_runs LIMIT 1) END AS last "
                   "FROM dags d WHERE d.keep_age_ms <> 0 OR d.keep_runs <> 0) "
                   LISTED("SELECT r.id FROM keeping k JOIN runs r ON r.dag = k.dag WHERE (r.id <= k.last OR "
                          "(k.keep_age_ms BETWEEN 1 AND %" PRId64 " AND r.completed_ms < %" PRId64 " - k.keep_age_ms)) "
                          "AND NOT EXISTS (SELECT 1 FROM letters l WHERE l.run_id = r.id AND l.resolution = 'pending') "
                          "AND NOT EXISTS (SELECT 1 FROM active_runs a WHERE a.source = r.id) "
                          "AND NOT EXISTS (SELECT 1 FROM idempotency i WHERE i.created_ms = r.created_ms "
                          "AND i.run_id = r.id) LIMIT %d"), now_ms, now_ms, LISTED_STEP);
    return take_listed(store, sql, PG_OLD_LISTED, now_ms, idle, err);
}

static int take_fires(struct store_pg *store, const struct limits *limits, int64_t now_ms, struct error *err)
{
    static const uint64_t zeros[2];
    struct uuid below = uuid_make_v7(horizon(limits, now_ms), zeros);
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    store_pg_add_int(&values, (int64_t)store->head.epoch);
    store_pg_add_id(&values, &below);
    store_pg_add_int(&values, horizon(limits, now_ms));
    store_pg_add_int(&values, FIRES_STEP);
    int code = store_pg_run(&store->writer, PG_OLD_FIRES, &values, &result, err);
    if (!code)
        store->head.keep.fires += (uint64_t)store_pg_changed(store, result);
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

static int drop_notes(struct store_pg *store, int64_t now_ms, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    store_pg_add_int(&values, now_ms - NOTE_MS);
    int code = store_pg_run(&store->writer, PG_TAKEN_DROP, &values, NULL, err);
    arena_fini(&arena);
    return code;
}

/* One step of what is to do; *ret_more false: nothing is. */
static int step(struct store_pg *store, const struct limits *limits, int64_t now_ms, bool idle, bool *ret_more,
                struct error *err)
{
    struct pg_retain *retain = &store->retain;
    bool measured = true;
    *ret_more = true;
    if (retain->taking)
        return take_attempts(store, err);
    if (!retain->walking) {
        *ret_more = false;
        return 0;
    }
    if (retain->walk == PG_WALK_LETTERS || retain->walk == PG_WALK_DAGS) {
        int code = retain->walk == PG_WALK_LETTERS ? walk_letters(store, limits, now_ms, idle, err)
                                                   : walk_dags(store, now_ms, idle, err);
        *ret_more = !retain->asking;
        return code;
    }
    if (counts(limits) && !retain->measured) {
        int code = measure(store, limits, idle, &measured, err);
        *ret_more = measured;
        return code;
    }
    int code = walk(store, limits, now_ms, err);
    if (!code && retain->walk != PG_WALK_RUNS && limits->age_ms != INT64_MAX)
        code = take_fires(store, limits, now_ms, err);
    if (!code && retain->walk != PG_WALK_RUNS)
        code = drop_notes(store, now_ms, err);
    return code;
}

/* ---- logs ---- */

/* How far this node has deleted logs, over its lives; the first look of a life also tells whether there is something
 * to delete, and later ones tell what the leader has taken meanwhile. */
static int look_at_notes(struct store_pg *store, struct error *err)
{
    struct pg_retain *retain = &store->retain;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    (void)pthread_mutex_lock(&store->lock);
    int64_t mark = retain->mark;
    (void)pthread_mutex_unlock(&store->lock);
    store_pg_add_id(&values, &store->node);
    store_pg_add_int(&values, mark);
    int code = store_pg_run(&store->writer, PG_TAKEN_LOOK, &values, &result, err);
    if (!code) {
        int64_t saved = store_pg_int(store, result, 0, 0);
        (void)pthread_mutex_lock(&store->lock);
        retain->mark = saved > retain->mark ? saved : retain->mark;
        (void)pthread_mutex_unlock(&store->lock);
        retain->saved_mark = saved;
        retain->waiting = retain->waiting || store_pg_bool(store, result, 0, 1);
        retain->taking = retain->taking || store_pg_bool(store, result, 0, 2);
    }
    store_pg_clear(store, result);
    arena_fini(&arena);
    return code;
}

static int save_mark(struct store_pg *store, struct error *err)
{
    struct pg_retain *retain = &store->retain;
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    (void)pthread_mutex_lock(&store->lock);
    int64_t mark = retain->mark;
    (void)pthread_mutex_unlock(&store->lock);
    if (mark == retain->saved_mark)
        return 0;
    store_pg_add_id(&values, &store->node);
    store_pg_add_int(&values, mark);
    int code = store_pg_run(&store->writer, PG_SWEEP_SAVE, &values, NULL, err);
    retain->saved_mark = code ? retain->saved_mark : mark;
    arena_fini(&arena);
    return code;
}

struct taken_call {
    struct arena *arena;
    size_t max;
    struct store_ids *ret_ids;
};

static bool is_done(const struct pg_retain *retain, struct uuid id, size_t *ret_at)
{
    for (size_t i = 0; i < retain->done_count; i++) {
        if (uuid_equal(retain->done[i], id)) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

/* Notes behind the mark that are not done; the mark moves over those that are. The lock is held. */
static void take_notes(struct store_pg *store, const PGresult *result, const struct taken_call *call)
{
    struct pg_retain *retain = &store->retain;
    bool all_done = true;
    for (int i = 0; i < store_pg_rows(store, result) && call->ret_ids->count < call->max; i++) {
        struct uuid id = store_pg_uuid(store, result, i, 1);
        size_t at;
        bool done = is_done(retain, id, &at);
        all_done = all_done && done;
        if (all_done) {
            retain->mark = store_pg_int(store, result, i, 0);
            retain->done[at] = retain->done[--retain->done_count];
        } else if (!done) {
            call->ret_ids->items[call->ret_ids->count++] = id;
        }
    }
}

static int read_taken(struct pg_connection *connection, void *context, struct error *err)
{
    const struct taken_call *call = context;
    struct store_pg *store = connection->store;
    struct pg_values values = {.arena = call->arena};
    PGresult *result;
    store_pg_add_id(&values, &store->node);
    (void)pthread_mutex_lock(&store->lock);
    store_pg_add_int(&values, store->retain.mark);
    store_pg_add_int(&values, (int64_t)(call->max + store->retain.done_count));
    (void)pthread_mutex_unlock(&store->lock);
    int code = store_pg_query(connection,
                              "SELECT serial, id FROM taken WHERE NOT has_attempts AND serial > greatest($2, (SELECT "
                              "serial FROM sweeps WHERE node = $1)) ORDER BY serial LIMIT $3", &values, &result, err);
    if (!code) {
        (void)pthread_mutex_lock(&store->lock);
        take_notes(store, result, call);
        (void)pthread_mutex_unlock(&store->lock);
    }
    store_pg_clear(store, result);
    return code;
}

int store_pg_taken(struct store *head, const struct uuid *done, size_t done_count, size_t max, struct arena *arena,
                   struct store_ids *ret_ids, struct error *err)
{
    struct store_pg *store = (struct store_pg *)head;
    struct pg_retain *retain = &store->retain;
    struct taken_call call = {arena, max, ret_ids};
    assert(store->mode != STORE_READ);
    (void)pthread_mutex_lock(&store->lock);
    retain->done = mem_grow(retain->done, &retain->done_cap, retain->done_count + done_count + 1, sizeof *retain->done);
    for (size_t i = 0; i < done_count; i++)
        retain->done[retain->done_count++] = done[i];
    (void)pthread_mutex_unlock(&store->lock);
    *ret_ids = (struct store_ids){.items = arena_array(arena, max, sizeof(struct uuid))};
    return store_pg_read(head, read_taken, &call, err);
}

/* ---- a slice ---- */

static int steps(struct store_pg *store, const struct limits *limits, int64_t now_ms, bool idle, struct error *err)
{
    int64_t end_us = clock_boot_us() + SLICE_US;
    bool more = true;
    int code = 0;
    while (!code && more) {
        bool walks = store->retain.walking;
        code = step(store, limits, now_ms, idle, &more, err);
        if (clock_boot_us() >= end_us && walks == store->retain.walking)
            break;
    }
    return code;
}

static void begin_walk(struct store_pg *store, int64_t now_ms)
{
    struct pg_retain *retain = &store->retain;
    int64_t since_ms = now_ms - retain->walked_ms;
    if (retain->walking || (retain->walked_ms && since_ms >= 0 && since_ms < retain->walk_ms))
        return;
    retain->walking = true;
    retain->walk = PG_WALK_RUNS;
    retain->measured = false;
    retain->ended = retain->bytes = 0;
    retain->cursor = (struct uuid){{0}};
}

int store_pg_retain(struct store_pg *store, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err)
{
    struct pg_retain *retain = &store->retain;
    const struct limits limits = read_limits(store);
    bool looks = !retain->looked_ms || now_ms - retain->looked_ms >= ASK_MS || now_ms < retain->looked_ms;
    int code = 0;
    if (looks)
        code = look_at_notes(store, err);
    if (looks && !code)
        retain->looked_ms = now_ms;
    begin_walk(store, now_ms);
    bool works = retain->taking || retain->walking;
    if (!code && works && (idle || clock_boot_us() - retain->sliced_us >= BUSY_PAUSE_US)) {
        code = steps(store, &limits, now_ms, idle, err);
        retain->sliced_us = clock_boot_us();
    }
    if (!code)
        code = save_mark(store, err);
    bool tells = retain->waiting && !retain->taking && !code && store->head.keep.on_taken;
    *ret_next_ms = code ? DONE_MS : retain->taking || retain->walking ? SOON_MS : tells ? DONE_MS : ASK_MS;
    if (tells) {
        retain->waiting = false;
        store->head.keep.on_taken(store->head.keep.context);
    }
    return code;
}

void store_pg_retain_fini(struct store_pg *store)
{
    store->retain.keeper.store = store;
    store_pg_disconnect(&store->retain.keeper);
    mem_free(store->retain.done);
}
