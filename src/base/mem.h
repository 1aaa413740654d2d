/* Allocation that does not fail. A failure writes one line to stderr and aborts: the store survives a crash by
 * design and restart recovers. Allocations sized by input are limited first and use mem_try_alloc. */
#ifndef PAWL_BASE_MEM_H
#define PAWL_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size);                       /* not cleared; never NULL; caller frees with mem_free */
void *mem_zalloc(size_t size);                      /* cleared */
void *mem_calloc(size_t count, size_t size);        /* cleared; aborts on overflow too */
void *mem_realloc(void *old, size_t size);
void *mem_realloc_array(void *old, size_t count, size_t size);
void *mem_dup(const void *bytes, size_t len);
char *mem_strdup(const char *text);                 /* NULL gives NULL */
char *mem_strndup(const char *text, size_t len);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *mem_try_alloc(size_t size);                   /* NULL when there is no memory */
void *mem_try_realloc(void *old, size_t size);      /* the same; then old is as it was */
void mem_free(void *ptr);

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))
#define mem_new_array(type, count) ((type *)mem_calloc((count), sizeof(type)))

/* Doubles *array (of elements of `size`) so that it holds at least `need`; *cap is in elements. */
void *mem_grow(void *array, size_t *cap, size_t need, size_t size);

#endif
