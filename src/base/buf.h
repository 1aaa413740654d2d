/* A growing byte buffer. Owned by whoever initialised it. Zero-initialised is empty and valid. */
#ifndef PAWL_BASE_BUF_H
#define PAWL_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *bytes; /* not terminated; see buf_text */
    size_t len;
    size_t cap;
};

#define BUF_INIT ((struct buf){0})

void buf_fini(struct buf *buf);
void buf_clear(struct buf *buf);                              /* keeps the memory */
void buf_reserve(struct buf *buf, size_t extra);
char *buf_extend(struct buf *buf, size_t len);                /* len more bytes, not cleared; pointer to the first */
void buf_add(struct buf *buf, const void *bytes, size_t len);
/* For what input makes large. False when there is no memory: then buf is as it was. */
bool buf_try_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_add_uint(struct buf *buf, uint64_t value);           /* decimal */
void buf_add_int(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
void buf_drop_front(struct buf *buf, size_t len);             /* removes the first len bytes */
char *buf_text(struct buf *buf);                              /* terminated; valid until the next change */
char *buf_take(struct buf *buf);                              /* terminated; caller frees with mem_free; buf is empty */

#endif
