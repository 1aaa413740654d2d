#include "base/map.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

static char tombstone; /* its address marks a removed slot */

static uint64_t process_key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    if (getrandom(process_key, sizeof process_key, GRND_NONBLOCK) != (ssize_t)sizeof process_key)
        process_key[0] = (uint64_t)(uintptr_t)&tombstone; /* early boot: the load address is random too */
}

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = ROTATE(v[1], 13) ^ v[0];
    v[0] = ROTATE(v[0], 32);
    v[2] += v[3];
    v[3] = ROTATE(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = ROTATE(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = ROTATE(v[1], 17) ^ v[2];
    v[2] = ROTATE(v[2], 32);
}

static uint64_t sip13(const uint64_t key[2], const unsigned char *in, size_t len)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    uint64_t word;
    size_t left = len;
    for (; left >= 8; in += 8, left -= 8) {
        memcpy(&word, in, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++)
        word |= (uint64_t)in[i] << (8 * i);
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t map_hash_bytes(const void *bytes, size_t len)
{
    (void)pthread_once(&key_once, make_key);
    return sip13(process_key, bytes, len);
}

uint64_t map_hash_stable(const void *bytes, size_t len)
{
    static const uint64_t key[2] = {0x7061776c2d737461u, 0x626c652d6b657921u};
    return sip13(key, bytes, len);
}

void map_fini(struct map *map)
{
    mem_free(map->slots);
    *map = (struct map){0};
}

static struct map_slot *find(const struct map *map, const void *key, size_t len, uint64_t hash)
{
    if (!map->cap)
        return NULL;
    for (size_t i = hash & (map->cap - 1);; i = (i + 1) & (map->cap - 1)) {
        struct map_slot *slot = &map->slots[i];
        if (!slot->value)
            return NULL;
        if (slot->value != &tombstone && slot->hash == hash && slot->len == len &&
            (len == 0 || memcmp(slot->key, key, len) == 0))
            return slot;
    }
}

static void insert(struct map *map, struct map_slot entry)
{
    size_t i = entry.hash & (map->cap - 1);
    while (map->slots[i].value)
        i = (i + 1) & (map->cap - 1);
    map->slots[i] = entry;
}

static void grow(struct map *map)
{
    if (map->used * 4 < map->cap * 3)
        return;
    struct map old = *map;
    size_t cap = 16;
    while (cap < map->count * 2 + 2)
        cap *= 2;
    map->slots = mem_new_array(struct map_slot, cap);
    map->cap = cap;
    map->used = map->count;
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].value && old.slots[i].value != &tombstone)
            insert(map, old.slots[i]);
    mem_free(old.slots);
}

void *map_get(const struct map *map, const void *key, size_t len)
{
    if (!map->count)
        return NULL;
    struct map_slot *slot = find(map, key, len, map_hash_bytes(key, len));
    return slot ? slot->value : NULL;
}

void *map_set(struct map *map, const void *key, size_t len, void *value)
{
    uint64_t hash = map_hash_bytes(key, len);
    struct map_slot *slot = find(map, key, len, hash);
    if (slot) {
        void *before = slot->value;
        slot->key = key;
        slot->value = value;
        return before;
    }
    grow(map);
    insert(map, (struct map_slot){key, len, hash, value});
    map->count++;
    map->used++;
    return NULL;
}

void *map_remove(struct map *map, const void *key, size_t len)
{
    if (!map->count)
        return NULL;
    struct map_slot *slot = find(map, key, len, map_hash_bytes(key, len));
    if (!slot)
        return NULL;
    void *before = slot->value;
    slot->value = &tombstone;
    map->count--;
    return before;
}

struct map_slot *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->cap) {
        struct map_slot *slot = &map->slots[(*cursor)++];
        if (slot->value && slot->value != &tombstone)
            return slot;
    }
    return NULL;
}
