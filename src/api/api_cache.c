#include "api/api_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

/* Counted, so that bodies are copied without the lock. */
struct entry {
    atomic_uint refs;
    size_t len;
    char *key;
    char bytes[];
};

struct api_cache {
    pthread_mutex_t lock;
    struct entry *entries[API_CACHE_ENTRIES_MAX]; /* the one used last first */
    size_t count;
    size_t bytes;
};

static void unref(struct entry *entry)
{
    if (!entry || atomic_fetch_sub(&entry->refs, 1) != 1)
        return;
    mem_free(entry->key);
    mem_free(entry);
}

struct api_cache *api_cache_new(void)
{
    struct api_cache *cache = mem_new(struct api_cache);
    int rc = pthread_mutex_init(&cache->lock, NULL);
    assert(rc == 0);
    (void)rc;
    return cache;
}

static void drop_last(struct api_cache *cache)
{
    struct entry *entry = cache->entries[--cache->count];
    cache->bytes -= entry->len;
    unref(entry);
}

void api_cache_free(struct api_cache *cache)
{
    if (!cache)
        return;
    while (cache->count)
        drop_last(cache);
    (void)pthread_mutex_destroy(&cache->lock);
    mem_free(cache);
}

/* The entry of a key, moved to the front; NULL: none. With the lock. */
static struct entry *use(struct api_cache *cache, const char *key)
{
    for (size_t i = 0; i < cache->count; i++) {
        struct entry *entry = cache->entries[i];
        if (strcmp(entry->key, key) != 0)
            continue;
        memmove(&cache->entries[1], &cache->entries[0], i * sizeof entry);
        cache->entries[0] = entry;
        return entry;
    }
    return NULL;
}

bool api_cache_get(struct api_cache *cache, const char *key, struct buf *ret_body)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct entry *entry = use(cache, key);
    if (entry)
        (void)atomic_fetch_add(&entry->refs, 1);
    (void)pthread_mutex_unlock(&cache->lock);
    if (entry)
        buf_add(ret_body, entry->bytes, entry->len);
    unref(entry);
    return entry != NULL;
}

void api_cache_put(struct api_cache *cache, const char *key, const struct buf *body)
{
    if (body->len < API_CACHE_BODY_MIN || body->len > API_CACHE_BYTES_MAX / 2)
        return;
    struct entry *entry = mem_alloc(sizeof *entry + body->len);
    atomic_init(&entry->refs, 1);
    entry->len = body->len;
    entry->key = mem_strdup(key);
    memcpy(entry->bytes, body->bytes, body->len);
    (void)pthread_mutex_lock(&cache->lock);
    if (use(cache, key)) {
        unref(entry); /* another thread was first */
    } else {
        while (cache->count == API_CACHE_ENTRIES_MAX
               || (cache->count && cache->bytes + body->len > API_CACHE_BYTES_MAX))
            drop_last(cache);
        memmove(&cache->entries[1], &cache->entries[0], cache->count * sizeof entry);
        cache->entries[0] = entry;
        cache->count++;
        cache->bytes += body->len;
    }
    (void)pthread_mutex_unlock(&cache->lock);
}
