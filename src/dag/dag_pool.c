#include "dag/dag_pool.h"

#include <string.h>

enum { FIRST_CHUNK = 256, LARGEST_CHUNK = 65536 };

const char *dag_pool_add(struct dag_pool *pool, const char *text, size_t len)
{
    if (len == 0)
        return "";
    if (len >= LARGEST_CHUNK / 4)
        return arena_strndup(pool->arena, text, len);
    if (pool->left <= len) {
        size_t size = pool->arena->total < LARGEST_CHUNK ? pool->arena->total : LARGEST_CHUNK;
        size = size < FIRST_CHUNK ? FIRST_CHUNK : size;
        size = size <= len ? len + 1 : size;
        pool->next = arena_alloc(pool->arena, size);
        pool->left = size;
    }
    char *copy = pool->next;
    memcpy(copy, text, len);
    copy[len] = '\0';
    pool->next += len + 1;
    pool->left -= len + 1;
    return copy;
}
