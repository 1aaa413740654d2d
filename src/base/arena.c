#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20, ALIGN = 16 };

struct arena_block {
    struct arena_block *older;
    _Alignas(16) char bytes[];
};

static void add_block(struct arena *arena, size_t at_least)
{
    size_t size = arena->total < FIRST_BLOCK ? FIRST_BLOCK : arena->total;
    size = size < LARGEST_BLOCK ? size : LARGEST_BLOCK;
    size = size < at_least ? at_least : size;
    size_t whole;
    if (__builtin_add_overflow(size, sizeof(struct arena_block), &whole))
        whole = SIZE_MAX; /* mem_alloc refuses it */
    struct arena_block *block = mem_alloc(whole);
    block->older = arena->blocks;
    arena->blocks = block;
    arena->next = block->bytes;
    arena->end = block->bytes + size;
    arena->total += size;
}

void arena_fini(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks, *older; block; block = older) {
        older = block->older;
        mem_free(block);
    }
    *arena = (struct arena){0};
}

void arena_take(struct arena *arena, struct arena *from)
{
    struct arena_block *oldest = from->blocks;
    if (!oldest)
        return;
    while (oldest->older)
        oldest = oldest->older;
    if (arena->blocks) {
        /* behind the newest, so that its free rest goes on being used */
        oldest->older = arena->blocks->older;
        arena->blocks->older = from->blocks;
        arena->total += from->total;
        *from = (struct arena){0};
    } else {
        *arena = *from;
        *from = (struct arena){0};
    }
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = ((size ? size : 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (rounded < size)
        rounded = SIZE_MAX; /* add_block refuses it */
    if ((size_t)(arena->end - arena->next) < rounded)
        add_block(arena, rounded);
    void *start = arena->next;
    arena->next += rounded;
    return start;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    void *start = arena_alloc(arena, size);
    if (size)
        memset(start, 0, size);
    return start;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        total = SIZE_MAX - ALIGN;
    return arena_zalloc(arena, total);
}

void *arena_dup(struct arena *arena, const void *bytes, size_t len)
{
    void *copy = arena_alloc(arena, len);
    if (len)
        memcpy(copy, bytes, len);
    return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    char *text;
    if (len < 0) {
        text = arena_strdup(arena, "");
    } else if ((size_t)len < sizeof small) {
        text = arena_strndup(arena, small, (size_t)len);
    } else {
        text = arena_alloc(arena, (size_t)len + 1);
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text;
}
