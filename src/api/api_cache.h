/* Answers that never change and cost much to write: large ended runs, as they were last sent. Bounded; the one used
 * last stays longest. Thread-safe. */
#ifndef PAWL_API_API_CACHE_H
#define PAWL_API_API_CACHE_H

#include <stdbool.h>

#include "base/buf.h"

enum {
    API_CACHE_ENTRIES_MAX = 16,
    API_CACHE_BYTES_MAX = 16 * 1024 * 1024, /* of all bodies */
    API_CACHE_BODY_MIN = 32 * 1024,         /* smaller ones are as quickly written anew */
};

struct api_cache;

struct api_cache *api_cache_new(void);
void api_cache_free(struct api_cache *cache); /* NULL is allowed */
/* Appends a copy of what was put under the key; false: there is nothing. */
bool api_cache_get(struct api_cache *cache, const char *key, struct buf *ret_body);
/* Keeps a copy, unless it is too small or too large. */
void api_cache_put(struct api_cache *cache, const char *key, const struct buf *body);

#endif
