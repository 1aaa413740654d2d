/* Records that come in thousands, kept as arrays until the commit is complete or something has to see them. One
 * statement a kind, in the order of enum pg_bulk; each must have changed as many rows as it was given, else a record
 * could not be true. */
#include "base/mem.h"
#include "store/postgres/pg_model.h"

static const struct {
    enum pg_statement statement;
    int columns;
    enum { EACH_ONE, NONE, ANY } counts; /* rows that must be changed, or found */
    const char *broken;     /* what it means when one row was left out */
} kinds[BULK_COUNT] = {
    [BULK_RUNS] = {PG_RUNS_INSERT, 14, EACH_ONE, "a second run of this id"},
    [BULK_CLAIMS] = {PG_ATTEMPTS_CLAIM, 6, EACH_ONE, "an attempt is claimed already"},
    [BULK_ENDS] = {PG_ATTEMPTS_END, 20, EACH_ONE, "an attempt that ends is not running under its fence"},
    [BULK_AGAIN] = {PG_ATTEMPTS_BEFORE, 3, NONE, "the attempt before a repeated one is missing or running"},
    [BULK_WITHDRAWS] = {PG_ATTEMPTS_WITHDRAW, 4, EACH_ONE, "a claim that is taken back is not running under its fence"},
    [BULK_STARTS] = {PG_RUNS_START, 2, EACH_ONE, "a run has started already"},
    [BULK_CANCELS] = {PG_RUNS_CANCEL, 2, ANY, NULL},
    [BULK_RUN_ENDS] = {PG_RUNS_END, 9, EACH_ONE, "there is no such active run"},
    [BULK_LETTERS] = {PG_LETTERS_INSERT, 12, EACH_ONE, "a second dead letter of this id"},
};

static void clear(struct pg_columns *rows, int columns)
{
    for (int i = 0; i < columns; i++) {
        if (rows->columns[i].cap > 1024u * 1024u)
            buf_fini(&rows->columns[i]); /* what a burst needed is not kept */
        else
            buf_clear(&rows->columns[i]);
    }
    rows->rows = 0;
}

void store_pg_drop_bulk(struct store_pg *store)
{
    for (int i = 0; i < BULK_COUNT; i++)
        clear(&store->bulk[i], kinds[i].columns);
}

struct buf *store_pg_bulk_column(struct store_pg *store, enum pg_bulk bulk, int column)
{
    struct pg_columns *rows = &store->bulk[bulk];
    assert(column < kinds[bulk].columns);
    if (column == kinds[bulk].columns - 1)
        rows->rows++;
    return &rows->columns[column];
}

bool store_pg_bulk_is_empty(const struct store_pg *store, enum pg_bulk bulk)
{
    return store->bulk[bulk].rows == 0;
}

static int flush_one(struct store_pg *store, enum pg_bulk bulk, struct error *err)
{
    struct pg_columns *rows = &store->bulk[bulk];
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    PGresult *result;
    if (bulk == BULK_RUNS)
        store_pg_add_int(&values, (int64_t)store->head.epoch);
    for (int i = 0; i < kinds[bulk].columns; i++)
        store_pg_add_array(&values, &rows->columns[i]);
    int code = store_pg_run(&store->writer, kinds[bulk].statement, &values, &result, err);
    if (!code) {
        int64_t count = store_pg_changed(store, result);
        if (kinds[bulk].counts != ANY && count != (kinds[bulk].counts == NONE ? 0 : (int64_t)rows->rows))
            code = error_set(err, ERROR_INTERNAL, "%s", kinds[bulk].broken);
    }
    store_pg_clear(store, result);
    clear(rows, kinds[bulk].columns);
    arena_fini(&arena);
    return code;
}

int store_pg_flush(struct store_pg *store, struct error *err)
{
    int code = 0;
    for (int i = 0; i < BULK_COUNT && !code; i++)
        if (store->bulk[i].rows)
            code = flush_one(store, (enum pg_bulk)i, err);
    return code;
}
