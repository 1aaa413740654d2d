#include "dag/dag_text.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { REFERENCE_NAME_MAX = 256 }; /* bytes, the brace included: bounds the search for it */

static bool is_bad(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ||       /* controls */
           point == 0x61c || point == 0x200e || point == 0x200f ||  /* direction marks */
           (point >= 0x2028 && point <= 0x202e) ||                  /* separators, embeddings, overrides */
           (point >= 0x2066 && point <= 0x2069);                    /* isolates */
}

uint32_t dag_text_bad_character(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t width = str_utf8_width(text + i, len - i);
        uint32_t point = width ? str_utf8_decode(text + i, width) : 0xfffd;
        if (point == 0)
            return 0x110000;
        if (is_bad(point))
            return point;
        i += width ? width : 1;
    }
    return 0;
}

const char *dag_text_id_fault(const char *text, size_t len, size_t bytes_max, char buf[100])
{
    if (len == 0)
        return "is empty";
    if (len > bytes_max) {
        (void)snprintf(buf, 100, "is %zu bytes long, at most %zu are allowed", len, bytes_max);
        return buf;
    }
    if ((len == 1 && text[0] == '.') || (len == 2 && text[0] == '.' && text[1] == '.'))
        return "is not allowed, since paths give it another meaning";
    if (!str_utf8_valid(text, len))
        return "is not valid UTF-8";
    uint32_t bad = dag_text_bad_character(text, len);
    if (bad) {
        (void)snprintf(buf, 100, "holds the character U+%04X, which is not allowed", bad == 0x110000 ? 0 : bad);
        return buf;
    }
    return NULL;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool dag_text_is_variable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_letter(text[i]) && text[i] != '_' && (i == 0 || !is_digit(text[i])))
            return false;
    return len > 0;
}

bool dag_text_is_header(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!is_letter(text[i]) && !is_digit(text[i]) && (!text[i] || !strchr("!#$%&'*+-.^_`|~", text[i])))
            return false;
    return len > 0;
}

int dag_text_cut(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return (int)len;
    size_t cut = max;
    while (cut > 0 && (text[cut] & 0xc0) == 0x80)
        cut--;
    return (int)cut;
}

bool dag_text_next_reference(const char *text, size_t len, size_t *at, struct dag_text_reference *ret_reference)
{
    static const char opening[] = "${env.";
    const size_t opening_len = sizeof opening - 1;
    for (size_t i = *at; i < len;) {
        const char *dollar = memchr(text + i, '$', len - i);
        if (!dollar)
            break;
        size_t start = (size_t)(dollar - text);
        i = start + 1;
        if (len - start < opening_len || memcmp(dollar, opening, opening_len) != 0)
            continue;
        const char *name = dollar + opening_len;
        size_t rest = len - start - opening_len;
        const char *brace = memchr(name, '}', rest < REFERENCE_NAME_MAX ? rest : REFERENCE_NAME_MAX);
        size_t name_len = brace ? (size_t)(brace - name) : 0;
        bool escaped = start > *at && dollar[-1] == '$';
        *ret_reference = (struct dag_text_reference){
            .start = start - escaped,
            .end = brace ? start + opening_len + name_len + 1 : start + opening_len,
            .name = name,
            .name_len = name_len,
            .escaped = escaped,
            .valid = brace && dag_text_is_variable(name, name_len),
        };
        *at = ret_reference->end;
        return true;
    }
    *at = len;
    return false;
}
