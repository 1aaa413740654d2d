/* Sorted rows, and the log that takes changes back. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "store/memory/memory_model.h"

/* ---- orders ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int store_memory_by_id(const void *row, const void *key)
{
    return uuid_compare(*(const struct uuid *)row, *(const struct uuid *)key);
}

int store_memory_by_version(const void *row, const void *key)
{
    const struct memory_version *a = row, *b = key;
    return compare_numbers(a->version, b->version);
}

int store_memory_by_attempt(const void *row, const void *key)
{
    const struct record_attempt *a = row, *b = key;
    int order = compare_numbers(a->task, b->task);
    return order ? order : compare_numbers(a->number, b->number);
}

int store_memory_by_idempotency(const void *row, const void *key)
{
    const struct record_idempotency *a = row, *b = key;
    int order = uuid_compare(a->dag_id, b->dag_id);
    order = order ? order : strcmp(a->principal, b->principal);
    return order ? order : strcmp(a->key, b->key);
}

/* ---- rows ---- */

void store_memory_rows_free(struct memory_rows *rows)
{
    mem_free(rows->items);
    rows->items = NULL;
    rows->count = rows->cap = 0;
}

size_t store_memory_lower(const struct memory_rows *rows, const void *key)
{
    size_t low = 0, high = rows->count;
    if (high && rows->compare(rows->items[high - 1], key) < 0)
        return high; /* what comes is mostly newer than all there is */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows->compare(rows->items[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void *store_memory_find(const struct memory_rows *rows, const void *key)
{
    size_t place = store_memory_lower(rows, key);
    return place < rows->count && rows->compare(rows->items[place], key) == 0 ? rows->items[place] : NULL;
}

static void put(struct memory_rows *rows, void *row)
{
    size_t place = store_memory_lower(rows, row);
    assert(place == rows->count || rows->compare(rows->items[place], row) != 0);
    rows->items = mem_grow(rows->items, &rows->cap, rows->count + 1, sizeof(void *));
    memmove(rows->items + place + 1, rows->items + place, (rows->count - place) * sizeof(void *));
    rows->items[place] = row;
    rows->count++;
}

static void drop(struct memory_rows *rows, const void *row)
{
    size_t place = store_memory_lower(rows, row);
    assert(place < rows->count && rows->items[place] == row);
    rows->count--;
    memmove(rows->items + place, rows->items + place + 1, (rows->count - place) * sizeof(void *));
}

/* The rows may be those of a DAG or run that is taken back next. */
static void drop_new(struct memory_rows *rows, const void *row)
{
    drop(rows, row);
    if (!rows->count)
        store_memory_rows_free(rows);
}

/* ---- undo ---- */

static void remember(struct store_memory *store, struct memory_undo undo)
{
    store->undo = mem_grow(store->undo, &store->undo_cap, store->undo_count + 1, sizeof *store->undo);
    store->undo[store->undo_count++] = undo;
}

void store_memory_insert(struct store_memory *store, struct memory_rows *rows, void *row)
{
    put(rows, row);
    remember(store, (struct memory_undo){.kind = UNDO_INSERT, .rows = rows, .row = row});
}

void store_memory_remove(struct store_memory *store, struct memory_rows *rows, void *row)
{
    drop(rows, row);
    remember(store, (struct memory_undo){.kind = UNDO_REMOVE, .rows = rows, .row = row});
}

void store_memory_save(struct store_memory *store, void *bytes, size_t size)
{
    void *saved = arena_dup(&store->undo_arena, bytes, size);
    remember(store, (struct memory_undo){.kind = UNDO_BYTES, .row = bytes, .saved = saved, .size = size});
}

void store_memory_keep_all(struct store_memory *store)
{
    store->undo_count = 0;
    arena_fini(&store->undo_arena);
}

void store_memory_undo_all(struct store_memory *store)
{
    for (size_t i = store->undo_count; i-- > 0;) {
        const struct memory_undo *undo = &store->undo[i];
        if (undo->kind == UNDO_BYTES)
            memcpy(undo->row, undo->saved, undo->size);
        else if (undo->kind == UNDO_INSERT)
            drop_new(undo->rows, undo->row);
        else
            put(undo->rows, undo->row);
    }
    store_memory_keep_all(store);
}
