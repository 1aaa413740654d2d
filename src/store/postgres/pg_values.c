/* Values in and out. Everything goes as text but single blobs; arrays are PostgreSQL's array literals. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "store/postgres/pg_model.h"

static const char hex_digits[] = "0123456789abcdef";

/* ---- parameters ---- */

static void add(struct pg_values *values, const char *value, size_t len, int format)
{
    assert(values->count < PG_VALUES_MAX);
    values->values[values->count] = value;
    values->lengths[values->count] = (int)len;
    values->formats[values->count++] = format;
}

void store_pg_add_int(struct pg_values *values, int64_t value)
{
    add(values, arena_printf(values->arena, "%lld", (long long)value), 0, 0);
}

void store_pg_add_bool(struct pg_values *values, bool value)
{
    add(values, value ? "t" : "f", 0, 0);
}

/* The server takes valid UTF-8 only. */
void store_pg_add_text(struct pg_values *values, const char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (text && !str_utf8_valid(text, len)) {
        char *clean = arena_strndup(values->arena, text, len);
        for (size_t i = 0; i < len;) {
            size_t width = str_utf8_width(clean + i, len - i);
            if (!width)
                clean[i] = '?';
            i += width ? width : 1;
        }
        text = clean;
    }
    add(values, text, 0, 0);
}

void store_pg_add_id(struct pg_values *values, const struct uuid *id)
{
    char *text = arena_alloc(values->arena, UUID_TEXT_LEN + 1);
    uuid_format(*id, text);
    add(values, text, 0, 0);
}

void store_pg_add_uuid(struct pg_values *values, const struct uuid *id)
{
    if (uuid_is_zero(*id))
        add(values, NULL, 0, 0);
    else
        store_pg_add_id(values, id);
}

void store_pg_add_bytes(struct pg_values *values, const void *bytes, size_t len)
{
    add(values, bytes, len, 1);
}

void store_pg_add_array(struct pg_values *values, struct buf *column)
{
    buf_add_char(column, column->len ? '}' : '{');
    if (column->len == 1)
        buf_add_char(column, '}');
    add(values, buf_text(column), 0, 0);
}

/* ---- elements of arrays ---- */

static void separate(struct buf *column)
{
    buf_add_char(column, column->len ? ',' : '{');
}

void store_pg_put_int(struct buf *column, int64_t value)
{
    separate(column);
    buf_add_int(column, value);
}

void store_pg_put_text(struct buf *column, const char *text)
{
    separate(column);
    if (!text) {
        buf_add_text(column, "NULL");
        return;
    }
    size_t len = strlen(text);
    buf_add_char(column, '"');
    for (size_t i = 0; i < len;) {
        size_t width = str_utf8_width(text + i, len - i);
        if (!width) {
            buf_add_char(column, '?');
            i++;
            continue;
        }
        if (text[i] == '"' || text[i] == '\\')
            buf_add_char(column, '\\');
        buf_add(column, text + i, width);
        i += width;
    }
    buf_add_char(column, '"');
}

void store_pg_put_uuid(struct buf *column, const struct uuid *id)
{
    separate(column);
    if (uuid_is_zero(*id)) {
        buf_add_text(column, "NULL");
        return;
    }
    char text[UUID_TEXT_LEN + 1];
    uuid_format(*id, text);
    buf_add(column, text, UUID_TEXT_LEN);
}

void store_pg_put_bytes(struct buf *column, const void *bytes, size_t len)
{
    const unsigned char *from = bytes;
    separate(column);
    if (!bytes) {
        buf_add_text(column, "NULL");
        return;
    }
    buf_add_text(column, "\"\\\\x");
    char *to = buf_extend(column, 2 * len);
    for (size_t i = 0; i < len; i++) {
        to[2 * i] = hex_digits[from[i] >> 4];
        to[2 * i + 1] = hex_digits[from[i] & 15];
    }
    buf_add_char(column, '"');
}

/* ---- results ---- */

void store_pg_clear(const struct store_pg *store, PGresult *result)
{
    if (result)
        store->pg.clear(result);
}

int store_pg_rows(const struct store_pg *store, const PGresult *result)
{
    return store->pg.rows(result);
}

int64_t store_pg_changed(const struct store_pg *store, PGresult *result)
{
    return strtoll(store->pg.changed(result), NULL, 10);
}

bool store_pg_is_null(const struct store_pg *store, const PGresult *result, int row, int at)
{
    return store->pg.is_null(result, row, at);
}

int64_t store_pg_int(const struct store_pg *store, const PGresult *result, int row, int at)
{
    return strtoll(store->pg.value(result, row, at), NULL, 10); /* NULL comes as "" */
}

uint32_t store_pg_u32(const struct store_pg *store, const PGresult *result, int row, int at)
{
    return (uint32_t)store_pg_int(store, result, row, at);
}

bool store_pg_bool(const struct store_pg *store, const PGresult *result, int row, int at)
{
    return store->pg.value(result, row, at)[0] == 't';
}

struct uuid store_pg_uuid(const struct store_pg *store, const PGresult *result, int row, int at)
{
    struct uuid id = {{0}};
    (void)uuid_parse(store->pg.value(result, row, at), &id);
    return id;
}

const char *store_pg_text(const struct store_pg *store, const PGresult *result, int row, int at, struct arena *arena)
{
    if (store->pg.is_null(result, row, at))
        return NULL;
    return arena_strndup(arena, store->pg.value(result, row, at), (size_t)store->pg.length(result, row, at));
}

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void *store_pg_bytes(const struct store_pg *store, const PGresult *result, int row, int at, struct arena *arena,
                     size_t *ret_len)
{
    const char *text = store->pg.value(result, row, at);
    size_t len = (size_t)store->pg.length(result, row, at);
    *ret_len = 0;
    if (store->pg.is_null(result, row, at) || len < 2 || text[0] != '\\' || text[1] != 'x')
        return NULL;
    *ret_len = (len - 2) / 2;
    uint8_t *bytes = arena_alloc(arena, *ret_len + 1);
    for (size_t i = 0; i < *ret_len; i++)
        bytes[i] = (uint8_t)(digit(text[2 + 2 * i]) << 4 | digit(text[3 + 2 * i]));
    return bytes;
}

int store_pg_bad_row(const char *what, struct error *err)
{
    return error_set(err, ERROR_STORE_FAILED, "PostgreSQL: a row of %s holds what no pawl writes", what);
}
