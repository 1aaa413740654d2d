#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void buf_fini(struct buf *buf)
{
    mem_free(buf->bytes);
    *buf = BUF_INIT;
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

static size_t cap_for(const struct buf *buf, size_t need)
{
    size_t cap = buf->cap ? buf->cap : 64;
    while (cap < need)
        cap += cap < (1u << 24) ? cap : cap / 2;
    return cap;
}

static void grow(struct buf *buf, size_t need)
{
    size_t cap = cap_for(buf, need);
    buf->bytes = mem_realloc(buf->bytes, cap);
    buf->cap = cap;
}

void buf_reserve(struct buf *buf, size_t extra)
{
    if (buf->len + extra > buf->cap)
        grow(buf, buf->len + extra);
}

char *buf_extend(struct buf *buf, size_t len)
{
    if (buf->len + len >= buf->cap) /* also when nothing is asked of an empty one: NULL + 0 is undefined */
        grow(buf, buf->len + len + 1);
    char *start = buf->bytes + buf->len;
    buf->len += len;
    return start;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (len)
        memcpy(buf_extend(buf, len), bytes, len);
}

bool buf_try_add(struct buf *buf, const void *bytes, size_t len)
{
    if (buf->len + len >= buf->cap) {
        size_t cap = cap_for(buf, buf->len + len + 1);
        char *grown = mem_try_realloc(buf->bytes, cap);
        if (!grown)
            return false;
        buf->bytes = grown;
        buf->cap = cap;
    }
    buf_add(buf, bytes, len);
    return true;
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    *buf_extend(buf, 1) = c;
}

void buf_add_uint(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t n = sizeof digits;
    do
        digits[--n] = (char)('0' + value % 10);
    while (value /= 10);
    buf_add(buf, digits + n, sizeof digits - n);
}

void buf_add_int(struct buf *buf, int64_t value)
{
    if (value < 0)
        buf_add_char(buf, '-');
    buf_add_uint(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    char small[256];
    int len = vsnprintf(small, sizeof small, format, args);
    assert(len >= 0);
    if ((size_t)len < sizeof small) {
        buf_add(buf, small, (size_t)len);
    } else {
        buf_reserve(buf, (size_t)len + 1);
        (void)vsnprintf(buf->bytes + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_drop_front(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->len -= len;
    if (buf->len)
        memmove(buf->bytes, buf->bytes + len, buf->len);
}

char *buf_text(struct buf *buf)
{
    buf_reserve(buf, 1);
    buf->bytes[buf->len] = '\0';
    return buf->bytes;
}

char *buf_take(struct buf *buf)
{
    char *text = buf_text(buf);
    *buf = BUF_INIT;
    return text;
}
