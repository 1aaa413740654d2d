#include "cli/text.h"

#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/str.h"
#include "dag/dag_text.h"

enum { SEQUENCE_MAX = 64 };

struct glyph {
    char text[16];
    size_t len;
    size_t cells;
    size_t width;   /* bytes of the source */
};

void cli_text_init(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* without it every character counts one cell */
}

static struct glyph next_glyph(const char *text, size_t len)
{
    struct glyph glyph = {.width = str_utf8_width(text, len)};
    int done = 0;
    if (glyph.width == 0) {
        glyph.width = 1;
        done = snprintf(glyph.text, sizeof glyph.text, "\\x%02x", (unsigned)(unsigned char)*text);
    } else if (*text == '\n') {
        done = snprintf(glyph.text, sizeof glyph.text, "\\n");
    } else if (*text == '\t') {
        done = snprintf(glyph.text, sizeof glyph.text, "\\t");
    } else if (dag_text_bad_character(text, glyph.width)) {
        uint32_t point = str_utf8_decode(text, glyph.width);
        done = snprintf(glyph.text, sizeof glyph.text, point < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)point);
    } else {
        int cells = wcwidth((wchar_t)str_utf8_decode(text, glyph.width));
        memcpy(glyph.text, text, glyph.width);
        glyph.len = glyph.width;
        glyph.cells = cells < 0 ? 1 : (size_t)cells;
        return glyph;
    }
    glyph.len = glyph.cells = (size_t)done;
    return glyph;
}

void cli_text_add(struct buf *out, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        struct glyph glyph = next_glyph(text + at, len - at);
        buf_add(out, glyph.text, glyph.len);
        at += glyph.width;
    }
}

size_t cli_text_width(const char *text, size_t len)
{
    size_t cells = 0;
    for (size_t at = 0; at < len;) {
        struct glyph glyph = next_glyph(text + at, len - at);
        cells += glyph.cells;
        at += glyph.width;
    }
    return cells;
}

size_t cli_text_add_cut(struct buf *out, const char *text, size_t len, size_t cells)
{
    size_t used = 0, fit_len = out->len, fit_used = 0; /* what is there when one cell is left for the mark */
    for (size_t at = 0; at < len;) {
        struct glyph glyph = next_glyph(text + at, len - at);
        if (used + glyph.cells > cells) {
            out->len = fit_len;
            if (cells > 0)
                buf_add_text(out, "…");
            return cells > 0 ? fit_used + 1 : 0;
        }
        buf_add(out, glyph.text, glyph.len);
        used += glyph.cells;
        at += glyph.width;
        if (used + 1 <= cells) {
            fit_len = out->len;
            fit_used = used;
        }
    }
    return used;
}

/* The length of a colour sequence (ECMA-48 SGR: ESC [ digits ; : m) at `bytes`; 0: none; SIZE_MAX: not all is here. */
static size_t color_sequence(const char *bytes, size_t len)
{
    if (bytes[0] != '\033')
        return 0;
    if (len > 1 && bytes[1] != '[')
        return 0;
    for (size_t at = 2; at < len && at < SEQUENCE_MAX; at++) {
        if (bytes[at] == 'm')
            return at + 1;
        if (!strchr("0123456789;:", bytes[at]) || bytes[at] == '\0')
            return 0;
    }
    return len < SEQUENCE_MAX ? SIZE_MAX : 0;
}

/* Whether the bytes may be the beginning of a character. */
static bool is_cut_character(const char *bytes, size_t len)
{
    unsigned char first = (unsigned char)bytes[0];
    size_t need = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
    if (first < 0xc2 || first >= 0xf8 || len >= need)
        return false;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)bytes[i] & 0xc0) != 0x80)
            return false;
    return true;
}

void cli_text_add_log(struct buf *out, const char *bytes, size_t len, bool color, struct buf *held, bool end)
{
    buf_add(held, bytes, len);
    size_t at = 0;
    while (at < held->len) {
        const char *here = held->bytes + at;
        size_t left = held->len - at;
        size_t sequence = color_sequence(here, left);
        if (!end && (sequence == SIZE_MAX || is_cut_character(here, left) || (*here == '\r' && left == 1)))
            break;
        if (sequence > 0 && sequence != SIZE_MAX) {
            if (color)
                buf_add(out, here, sequence);
            at += sequence;
        } else if (*here == '\n' || *here == '\t') {
            buf_add_char(out, *here);
            at++;
        } else if (*here == '\r' && left > 1 && here[1] == '\n') {
            at++;
        } else {
            struct glyph glyph = next_glyph(here, left);
            buf_add(out, glyph.text, glyph.len);
            at += glyph.width;
        }
    }
    buf_drop_front(held, at);
}
