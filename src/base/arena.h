/* Memory with one end: everything allocated from an arena is freed at once. Zero-initialised is valid. */
#ifndef PAWL_BASE_ARENA_H
#define PAWL_BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *next;
    char *end;
    size_t total;               /* bytes taken from the heap */
};

void arena_fini(struct arena *arena);
void arena_take(struct arena *arena, struct arena *from); /* everything of `from` belongs to arena now; from is empty */
void *arena_alloc(struct arena *arena, size_t size); /* aligned for any type, not cleared */
void *arena_zalloc(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size); /* cleared; aborts on overflow */
void *arena_dup(struct arena *arena, const void *bytes, size_t len);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
