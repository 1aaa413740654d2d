/* Problems as a good compiler shows them:
 *
 *     nightly.yaml:12:5: error: Unknown field 'depends' in a task
 *        12 |     depends: [extract]
 *           |     ^~~~~~~
 *           = did you mean 'dependencies'?
 *
 * Nothing of the file reaches the terminal unchecked: controls and marks of direction are shown as escapes. Tabs are
 * kept in both lines, so that the caret stands below its character; a long line is cut around the caret. */
#include "dag/dag_problem.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "dag/dag_text.h"

enum {
    BEFORE_MAX = 60,    /* characters shown before the caret */
    AFTER_MAX = 60,     /* and behind it */
};

#define RED "\033[1;31m"
#define MAGENTA "\033[1;35m"
#define GREEN "\033[1;32m"
#define BOLD "\033[1m"
#define RESET "\033[0m"

/* One character of the file: its form on a terminal and the cells that takes. */
struct glyph {
    char text[16];
    size_t len;
    unsigned cells;
    size_t width;       /* bytes in the file */
};

static bool in_ranges(uint32_t point, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (point >= ranges[i][0] && point <= ranges[i][1])
            return true;
    return false;
}

/* Cells of a printable character: the wide ones of East Asia and pictures, and those that combine. */
static unsigned cells_of(uint32_t point)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6},
                                       {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};
    static const uint32_t none[][2] = {{0x300, 0x36f}, {0x483, 0x489}, {0x591, 0x5bd}, {0x64b, 0x65f},
                                       {0x93c, 0x93c}, {0x94d, 0x94d}, {0x200b, 0x200d}, {0x20d0, 0x20ff},
                                       {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}};
    if (in_ranges(point, none, sizeof none / sizeof none[0]))
        return 0;
    return in_ranges(point, wide, sizeof wide / sizeof wide[0]) ? 2 : 1;
}

static struct glyph next_glyph(const char *text, size_t len)
{
    struct glyph glyph = {.width = str_utf8_width(text, len)};
    if (glyph.width == 0) {
        glyph.width = 1;
        glyph.len = (size_t)snprintf(glyph.text, sizeof glyph.text, "<%02X>", (unsigned)(unsigned char)*text);
        glyph.cells = (unsigned)glyph.len;
    } else if (*text != '\t' && dag_text_bad_character(text, glyph.width)) {
        uint32_t point = str_utf8_decode(text, glyph.width);
        glyph.len = (size_t)snprintf(glyph.text, sizeof glyph.text, "<U+%04X>", point);
        glyph.cells = (unsigned)glyph.len;
    } else {
        memcpy(glyph.text, text, glyph.width);
        glyph.len = glyph.width;
        glyph.cells = cells_of(str_utf8_decode(text, glyph.width));
    }
    return glyph;
}

/* A text of ours that may hold what a file says. */
static void add_safe(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len;) {
        struct glyph glyph = next_glyph(text + i, len - i);
        if (text[i] == '\t')
            glyph.text[0] = ' ';
        buf_add(out, glyph.text, glyph.len);
        i += glyph.width;
    }
}

/* A line of the source and how far into the file it is; lines are looked for in ascending order. */
struct cursor {
    const char *bytes;
    size_t len;
    size_t at;          /* start of the line */
    uint32_t line;
};

static size_t line_length(const struct cursor *cursor)
{
    size_t end = cursor->at;
    while (end < cursor->len && cursor->bytes[end] != '\n' && cursor->bytes[end] != '\r')
        end++;
    return end - cursor->at;
}

static bool seek_line(struct cursor *cursor, uint32_t line)
{
    while (cursor->line < line) {
        size_t end = cursor->at + line_length(cursor);
        if (end >= cursor->len)
            return false;
        bool both = cursor->bytes[end] == '\r' && end + 1 < cursor->len && cursor->bytes[end + 1] == '\n';
        cursor->at = end + 1 + both;
        cursor->line++;
    }
    return true;
}

static void add_color(struct buf *out, bool color, const char *code)
{
    if (color)
        buf_add_text(out, code);
}

/* The part of the line around the caret, and the caret line below it. */
static void add_source(struct buf *out, const struct cursor *cursor, const struct dag_problem *problem, bool color)
{
    struct buf marks = BUF_INIT;
    const char *text = cursor->bytes + cursor->at;
    size_t len = line_length(cursor);
    uint32_t column = 1, first = problem->column > BEFORE_MAX ? problem->column - BEFORE_MAX : 1;
    uint32_t end = problem->column + problem->length, last = problem->column + AFTER_MAX;
    buf_printf(out, "%5u | %s", problem->line, first > 1 ? "..." : "");
    buf_printf(&marks, "      | %s", first > 1 ? "   " : "");
    add_color(&marks, color, GREEN);
    size_t i = 0;
    if (cursor->line == 1 && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        i = 3;
    for (; i < len && column <= last; column++) {
        struct glyph glyph = next_glyph(text + i, len - i);
        i += glyph.width;
        if (column < first)
            continue;
        buf_add(out, glyph.text, glyph.len);
        char mark = column < problem->column || column >= end ? ' ' : column == problem->column ? '^' : '~';
        if (glyph.text[0] == '\t' && mark == ' ')
            buf_add_char(&marks, '\t');
        else
            for (unsigned n = 0; n < (mark == '^' && glyph.cells == 0 ? 1 : glyph.cells); n++)
                buf_add_char(&marks, n && mark == '^' ? '~' : mark);
    }
    if (i < len)
        buf_add_text(out, "...");
    if (column <= problem->column)
        buf_add_char(&marks, '^'); /* behind the line's end */
    while (marks.len && (marks.bytes[marks.len - 1] == ' ' || marks.bytes[marks.len - 1] == '\t'))
        marks.len--;
    add_color(&marks, color, RESET);
    buf_add_char(out, '\n');
    buf_add(out, marks.bytes, marks.len);
    buf_add_char(out, '\n');
    buf_fini(&marks);
}

static void add_problem(struct buf *out, const struct dag_problem *problem, const char *file, struct cursor *cursor,
                        bool color)
{
    bool error = problem->severity == DAG_SEVERITY_ERROR;
    add_color(out, color, BOLD);
    add_safe(out, file ? file : "dag");
    if (problem->line)
        buf_printf(out, ":%u:%u", problem->line, problem->column);
    buf_add_text(out, ": ");
    add_color(out, color, error ? RED : MAGENTA);
    buf_add_text(out, error ? "error: " : "warning: ");
    add_color(out, color, RESET);
    add_color(out, color, BOLD);
    add_safe(out, problem->text);
    add_color(out, color, RESET);
    buf_add_char(out, '\n');
    bool shown = problem->line && cursor->bytes && seek_line(cursor, problem->line);
    if (shown)
        add_source(out, cursor, problem, color);
    if (problem->hint) {
        buf_add_text(out, "      = ");
        add_safe(out, problem->hint);
        buf_add_char(out, '\n');
    }
}

static void add_count(struct buf *out, size_t count, const char *word)
{
    buf_printf(out, "%zu %s%s", count, word, count == 1 ? "" : "s");
}

void dag_problems_print(const struct dag_problems *problems, const char *file, const char *source, size_t len,
                        bool color, struct buf *out)
{
    struct cursor cursor = {.bytes = source, .len = len, .line = 1};
    for (size_t i = 0; i < problems->count; i++)
        add_problem(out, &problems->items[i], file, &cursor, color);
    size_t all = problems->error_count + problems->warning_count;
    if (all < 2)
        return;
    if (problems->error_count)
        add_count(out, problems->error_count, "error");
    if (problems->error_count && problems->warning_count)
        buf_add_text(out, ", ");
    if (problems->warning_count)
        add_count(out, problems->warning_count, "warning");
    if (problems->count < all)
        buf_printf(out, " (the first %zu are shown)", problems->count);
    buf_add_char(out, '\n');
}
