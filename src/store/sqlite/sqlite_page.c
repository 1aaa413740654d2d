/* A page of a list. Rows of one list lie in several places (active and ended runs, one stretch of an index per state);
 * each place gives its ids newest first, and the page takes the newest of them one after the other. Only ids are read
 * on the way, so what an offset passes over costs little. */
#include <string.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

static const struct uuid nothing_above = {
    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/* The id before it; it is not zero. */
static struct uuid predecessor(struct uuid id)
{
    for (int i = 15; i >= 0 && id.bytes[i]-- == 0; i--)
        ;
    return id;
}

struct sqlite_range store_sqlite_range(struct uuid before, struct uuid id)
{
    struct sqlite_range range = {.high = nothing_above};
    if (!uuid_is_zero(id))
        range = (struct sqlite_range){id, id};
    if (!uuid_is_zero(before)) {
        struct uuid last = predecessor(before);
        range.high = uuid_compare(last, range.high) < 0 ? last : range.high;
    }
    return range;
}

/* One of the lists that are merged. */
struct cursor {
    sqlite3_stmt *statement;
    bool has;
    struct uuid id;
};

static int advance(struct sqlite_connection *connection, struct cursor *cursor, struct error *err)
{
    int code = store_sqlite_step(connection, cursor->statement, &cursor->has, err);
    if (cursor->has)
        cursor->id = store_sqlite_uuid(cursor->statement, 0);
    return code;
}

static struct cursor *newest(struct cursor *cursors, size_t count)
{
    struct cursor *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (cursors[i].has && (!found || uuid_compare(cursors[i].id, found->id) > 0))
            found = &cursors[i];
    return found;
}

int store_sqlite_page(struct sqlite_connection *connection, sqlite3_stmt *const *statements, size_t count,
                      const struct sqlite_range *range, uint32_t offset, size_t limit, struct arena *arena,
                      struct store_ids *ret_ids, struct error *err)
{
    struct cursor cursors[RUN_STATE_COUNT + RESOLUTION_COUNT];
    struct buf ids = BUF_INIT;
    size_t left = limit;
    int code = 0;
    if (uuid_compare(range->low, range->high) > 0)
        count = 0;
    for (size_t i = 0; i < count; i++)
        cursors[i] = (struct cursor){.statement = statements[i]};
    for (size_t i = 0; i < count && !code; i++) {
        store_sqlite_bind_id(statements[i], 1, &range->low);
        store_sqlite_bind_id(statements[i], 2, &range->high);
        code = advance(connection, &cursors[i], err);
    }
    for (struct cursor *next; !code && left && (next = newest(cursors, count));) {
        if (offset) {
            offset--;
        } else {
            buf_add(&ids, next->id.bytes, sizeof next->id.bytes);
            left--;
        }
        code = advance(connection, next, err);
    }
    for (size_t i = 0; i < count; i++)
        (void)sqlite3_reset(statements[i]);
    if (!code)
        *ret_ids = (struct store_ids){arena_dup(arena, ids.bytes, ids.len), limit - left};
    buf_fini(&ids);
    return code;
}
