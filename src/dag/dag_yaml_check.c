/* Characters first: libyaml would report a bad byte by its offset only. Line and column are counted as libyaml does,
 * in characters, with CR LF, CR and LF as line ends.
 *
 * U+0085, U+2028 and U+2029 end lines in YAML 1.1, hence in libyaml, and are ordinary in 1.2; since a file that holds
 * them would change its meaning silently, they have to be written as escapes. */
#include "dag/dag_yaml_check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Whether the eight bytes at s are printable ASCII, all at once. */
static bool all_printable(const char *s)
{
    uint64_t word;
    memcpy(&word, s, sizeof word);
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t below_space = (word - ones * 0x20) & ~word & tops;
    uint64_t delete = ((word ^ ones * 0x7f) - ones) & ~(word ^ ones * 0x7f) & tops;
    return ((word & tops) | below_space | delete) == 0;
}

static bool is_allowed(uint32_t point)
{
    return point == '\t' || point == '\n' || point == '\r' || (point >= 0x20 && point < 0x7f) ||
           (point >= 0xa0 && point != 0x2028 && point != 0x2029 && point != 0xfffe && point != 0xffff);
}

static void say(struct dag_problems *problems, uint32_t line, uint32_t column, const char *text, const char *hint)
{
    struct dag_problem problem = {.line = line, .column = column, .length = 1, .text = text, .hint = hint};
    dag_problems_add(problems, &problem);
}

static void say_character(struct dag_problems *problems, uint32_t line, uint32_t column, uint32_t point)
{
    char text[100], hint[100];
    (void)snprintf(text, sizeof text, "Invalid YAML: the character U+%04X is not allowed", point);
    (void)snprintf(hint, sizeof hint, "in double quotes it can be written as \\%s%0*X",
                   point < 0x100 ? "x" : "u", point < 0x100 ? 2 : 4, point);
    say(problems, line, column, text, point == 0 ? "a NUL character: is this a text file?" : hint);
}

bool dag_yaml_check(const char *bytes, size_t len, struct dag_problems *problems)
{
    uint32_t line = 1, column = 1;
    for (size_t i = 0; i < len;) {
        if (len - i >= 8 && all_printable(bytes + i)) {
            i += 8;
            column += 8;
            continue;
        }
        size_t width = str_utf8_width(bytes + i, len - i);
        if (width == 0) {
            char text[100];
            (void)snprintf(text, sizeof text, "Invalid YAML: the byte 0x%02X is not valid UTF-8",
                           (unsigned)(unsigned char)bytes[i]);
            say(problems, line, column, text, "a DAG file is written in UTF-8");
            return false;
        }
        uint32_t point = str_utf8_decode(bytes + i, width);
        if (!is_allowed(point)) {
            say_character(problems, line, column, point);
            return false;
        }
        i += width;
        if (point == '\n' || (point == '\r' && (i == len || bytes[i] != '\n'))) {
            line++;
            column = 1;
        } else if (point != '\r') {
            column++;
        }
    }
    return true;
}
