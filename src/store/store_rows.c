#include "store/store_rows.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

#define RUN_BEGINS \
    {"id", STORE_ID}, {"dag", STORE_DAG}, {"version", STORE_INT}, {"task_count", STORE_INT}, {"state", STORE_TEXT}, \
    {"triggered_by", STORE_TEXT}, {"created_ms", STORE_INT}, {"started_ms", STORE_INT}, {"cancel_ms", STORE_INT}, \
    {"scheduled_ms", STORE_INT}, {"source", STORE_ID}, {"resolves_source", STORE_BOOL}, {"request_id", STORE_TEXT}, \
    {"changes", STORE_TEXT}, {"trace", STORE_TEXT}, {"outcomes", STORE_BYTES}

static const struct store_column epoch[] = {{"epoch", STORE_INT}};
static const struct store_column dags[] = {
    {"id", STORE_ID}, {"name", STORE_TEXT}, {"version", STORE_INT}, {"task_count", STORE_INT}, {"cron", STORE_TEXT},
    {"timezone", STORE_TEXT}, {"paused", STORE_BOOL}, {"created_ms", STORE_INT}, {"updated_ms", STORE_INT},
    {"deleted_ms", STORE_INT}, {"covered_ms", STORE_INT}, {"keep_age_ms", STORE_INT}, {"keep_runs", STORE_INT},
};
static const struct store_column versions[] = {
    {"dag", STORE_DAG}, {"version", STORE_INT}, {"task_count", STORE_INT}, {"created_ms", STORE_INT},
    {"source", STORE_BYTES},
};
static const struct store_column active_runs[] = {RUN_BEGINS};
static const struct store_column runs[] = {
    RUN_BEGINS, {"completed_ms", STORE_INT}, {"failed_count", STORE_INT}, {"succeeded_count", STORE_INT},
    {"skipped_count", STORE_INT}, {"canceled_count", STORE_INT}, {"error", STORE_TEXT},
};
static const struct store_column attempts[] = {
    {"run", STORE_RUN}, {"task", STORE_INT}, {"number", STORE_INT}, {"state", STORE_TEXT}, {"fence", STORE_INT},
    {"worker", STORE_ID}, {"claimed_ms", STORE_INT}, {"started_ms", STORE_INT}, {"ended_ms", STORE_INT},
    {"retry_ms", STORE_INT}, {"task_state", STORE_TEXT}, {"error_type", STORE_TEXT}, {"error", STORE_TEXT},
    {"exit_code", STORE_INT}, {"signal", STORE_INT}, {"http_status", STORE_INT}, {"cpu_us", STORE_INT},
    {"max_rss_bytes", STORE_INT}, {"log_bytes", STORE_INT}, {"log", STORE_BYTES},
};
static const struct store_column letters[] = {
    {"id", STORE_ID}, {"run_id", STORE_ID}, {"dag_id", STORE_ID}, {"task", STORE_INT}, {"task_id", STORE_TEXT},
    {"task_name", STORE_TEXT}, {"dag_name", STORE_TEXT}, {"error_type", STORE_TEXT}, {"error", STORE_TEXT},
    {"attempts", STORE_INT}, {"created_ms", STORE_INT}, {"resolution", STORE_TEXT}, {"resolved_run", STORE_ID},
    {"resolved_ms", STORE_INT}, {"resolved_by", STORE_TEXT}, {"notes", STORE_TEXT}, {"config", STORE_TEXT},
};
static const struct store_column keys[] = {
    {"dag_id", STORE_ID}, {"principal", STORE_TEXT}, {"key", STORE_BYTES}, {"digest", STORE_INT},
    {"run_id", STORE_ID}, {"created_ms", STORE_INT},
};
static const struct store_column fires[] = {
    {"id", STORE_ID}, {"dag", STORE_DAG}, {"triggered_by", STORE_TEXT}, {"from_ms", STORE_INT}, {"to_ms", STORE_INT},
    {"count", STORE_INT}, {"outcome", STORE_TEXT}, {"reason", STORE_TEXT}, {"run", STORE_ID},
    {"created_ms", STORE_INT}, {"parallel", STORE_INT},
};

#define LAYOUT(table, what, columns) [table] = {#columns, what, columns, sizeof columns / sizeof columns[0]}
const struct store_layout store_layouts[STORE_TABLE_COUNT] = {
    LAYOUT(STORE_TABLE_EPOCH, "epochs", epoch),
    LAYOUT(STORE_TABLE_DAGS, "DAGs", dags),
    LAYOUT(STORE_TABLE_VERSIONS, "versions", versions),
    LAYOUT(STORE_TABLE_ACTIVE_RUNS, "active runs", active_runs),
    LAYOUT(STORE_TABLE_RUNS, "ended runs", runs),
    LAYOUT(STORE_TABLE_ATTEMPTS, "attempts", attempts),
    LAYOUT(STORE_TABLE_LETTERS, "dead letters", letters),
    [STORE_TABLE_KEYS] = {"idempotency", "idempotency keys", keys, sizeof keys / sizeof keys[0]},
    LAYOUT(STORE_TABLE_FIRES, "instants of schedules", fires),
};
static_assert(sizeof runs / sizeof runs[0] <= STORE_COLUMNS_MAX, "a row fits");

/* ---- moving ---- */

enum { TELL_ROWS = 256 };

/* Rows of a table, in any order, as one number; equal stores have equal ones. */
struct sums {
    uint64_t rows[STORE_TABLE_COUNT], sums[STORE_TABLE_COUNT];
};

struct move {
    struct store_feed head;
    struct store *from;
    const struct store_copying *copying;
    store_row_fn *put;
    void *context;
    struct sums *sums;
    uint64_t seen;
};

/* FNV-1a, 64 bits. */
static uint64_t hash(uint64_t sum, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ at[i]) * 0x100000001b3ull;
    return sum;
}

static void add_row(struct sums *sums, enum store_table table, const struct store_value *values)
{
    const struct store_layout *layout = &store_layouts[table];
    uint64_t sum = 0xcbf29ce484222325ull;
    for (int i = 0; i < layout->column_count; i++) {
        const struct store_value *value = &values[i];
        bool is_number = layout->columns[i].type <= STORE_BOOL;
        sum = hash(sum, &value->is_null, sizeof value->is_null);
        if (value->is_null)
            continue;
        sum = hash(sum, &value->len, is_number ? 0 : sizeof value->len);
        sum = is_number ? hash(sum, &value->number, sizeof value->number) : hash(sum, value->bytes, value->len);
    }
    sums->rows[table]++;
    sums->sums[table] += sum;
}

static int on_row(void *context, enum store_table table, const struct store_value *values, struct error *err)
{
    struct move *move = context;
    const struct store_copying *copying = move->copying;
    add_row(move->sums, table, values);
    if (++move->seen % TELL_ROWS == 0 && copying && copying->tell && !copying->tell(copying->context))
        return error_set(err, ERROR_INTERRUPTED, "interrupted");
    return move->put ? move->put(move->context, table, values, err) : 0;
}

static int give(struct store_feed *feed, store_row_fn *put, void *context, struct error *err)
{
    struct move *move = (struct move *)feed;
    move->put = put;
    move->context = context;
    return move->from->ops->dump(move->from, on_row, move, err);
}

/* Both as they are now. The target's epoch is its own. */
static int compare(struct move *move, struct store *to, const struct sums *given, struct error *err)
{
    struct sums found = {0};
    move->sums = &found;
    move->put = NULL;
    int code = to->ops->dump(to, on_row, move, err);
    for (int i = STORE_TABLE_EPOCH + 1; i < STORE_TABLE_COUNT && !code; i++) {
        if (given->rows[i] != found.rows[i])
            code = error_set(err, ERROR_INTERNAL, "%llu %s were given, %llu are there",
                             (unsigned long long)given->rows[i], store_layouts[i].what,
                             (unsigned long long)found.rows[i]);
        else if (given->sums[i] != found.sums[i])
            code = error_set(err, ERROR_INTERNAL, "%s are not as they were given", store_layouts[i].what);
    }
    return code ? error_add(err, "everything was moved, but is not known to be the same: drop the target") : 0;
}

int store_move(struct store *from, struct store *to, const struct store_copying *copying,
               struct store_moved *ret_moved, struct error *err)
{
    struct sums given = {0};
    struct move move = {.head = {give}, .from = from, .copying = copying, .sums = &given};
    if (!from->ops->dump || !to->ops->fill)
        return error_set(err, ERROR_USAGE, "a store of kind '%s' cannot be moved to one of kind '%s'", from->ops->kind,
                         to->ops->kind);
    int code = to->ops->fill(to, &move.head, err);
    if (!code)
        code = compare(&move, to, &given, err);
    if (!code)
        memcpy(ret_moved->rows, given.rows, sizeof given.rows);
    return code;
}
