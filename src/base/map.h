/* Hash tables. Open addressing, linear probing, at most three quarters full. Values are borrowed pointers. */
#ifndef PAWL_BASE_MAP_H
#define PAWL_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"

/* SipHash-1-3 (Aumasson, Bernstein) with a key of the process, so that hostile keys cannot collide on purpose. */
uint64_t map_hash_bytes(const void *bytes, size_t len);
/* The same function with a fixed key: stable over restarts, for ETags and stored digests. */
uint64_t map_hash_stable(const void *bytes, size_t len);

/* bytes -> pointer; the key's bytes are borrowed and must outlive the entry */
struct map_slot {
    const char *key;
    size_t len;
    uint64_t hash;
    void *value; /* NULL: empty; MAP tombstones are internal */
};

struct map {
    struct map_slot *slots;
    size_t cap;
    size_t count;
    size_t used; /* with tombstones */
};

void map_fini(struct map *map);
void *map_get(const struct map *map, const void *key, size_t len);              /* NULL when absent */
/* Sets key to value (not NULL). Returns what was there before, or NULL. */
void *map_set(struct map *map, const void *key, size_t len, void *value);
void *map_remove(struct map *map, const void *key, size_t len);                 /* what was there, or NULL */
/* Calls for each entry: for (size_t i = 0; (slot = map_next(map, &i));) ... No changes meanwhile. */
struct map_slot *map_next(const struct map *map, size_t *cursor);

#endif
