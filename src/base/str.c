#include "base/str.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

size_t str_utf8_width(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    if (len == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    size_t width = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (len < width)
        return 0;
    for (size_t i = 1; i < width; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
               (s[0] == 0xf4 && s[1] > 0x8f);
    return bad ? 0 : width;
}

bool str_utf8_valid(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t width = str_utf8_width(text + i, len - i);
        if (!width)
            return false;
        i += width;
    }
    return true;
}

uint32_t str_utf8_decode(const char *text, size_t width)
{
    const unsigned char *s = (const unsigned char *)text;
    static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = s[0] & lead[width];
    for (size_t i = 1; i < width; i++)
        point = point << 6 | (s[i] & 0x3fu);
    return point;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

enum { DISTANCE_LEN_MAX = 64 };

size_t str_distance(const char *a, const char *b, size_t max)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    size_t gap = a_len > b_len ? a_len - b_len : b_len - a_len;
    if (gap > max || a_len > DISTANCE_LEN_MAX || b_len > DISTANCE_LEN_MAX)
        return strcmp(a, b) == 0 ? 0 : max + 1;
    size_t rows[3][DISTANCE_LEN_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *now = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return least(rows[a_len % 3][b_len], max + 1);
}

const char *str_nearest(const char *text, const char *const *words, size_t count)
{
    size_t len = strlen(text);
    size_t max = len <= 3 ? 1 : len <= 6 ? 2 : 3;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t distance = str_distance(text, words[i], max);
        if (distance <= max && distance < len) {
            best = words[i];
            if (distance == 0)
                break;
            max = distance - 1;
        }
    }
    return best;
}

static const struct {
    const char *unit;
    int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { UNIT_COUNT = sizeof units / sizeof units[0] };

bool str_parse_duration(const char *text, int64_t *ret_ms)
{
    const int64_t most = 3653LL * 86400000;
    int64_t number = 0;
    const char *s = text;
    for (; *s >= '0' && *s <= '9'; s++) {
        number = number * 10 + (*s - '0');
        if (number > most)
            return false;
    }
    if (s == text || number == 0)
        return false;
    for (int i = 0; i < UNIT_COUNT; i++) {
        if (strcmp(s, units[i].unit) == 0) {
            if (number > most / units[i].ms)
                return false;
            *ret_ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

void str_format_duration(int64_t ms, char text[24])
{
    int i = 0;
    while (i < UNIT_COUNT - 1 && (ms == 0 || ms % units[i].ms))
        i++;
    (void)snprintf(text, 24, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

void str_format_elapsed(int64_t ms, char text[24])
{
    long long v = ms < 0 ? 0 : ms;
    if (v < 1000)
        (void)snprintf(text, 24, "%lldms", v);
    else if (v < 60000)
        (void)snprintf(text, 24, "%lld.%llds", v / 1000, v % 1000 / 100);
    else if (v < 3600000)
        (void)snprintf(text, 24, "%lldm %llds", v / 60000, v % 60000 / 1000);
    else if (v < 86400000)
        (void)snprintf(text, 24, "%lldh %lldm", v / 3600000, v % 3600000 / 60000);
    else
        (void)snprintf(text, 24, "%lldd %lldh", v / 86400000, v % 86400000 / 3600000);
}

bool str_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    const char *s = text;
    bool negative = *s == '-';
    s += negative;
    if (*s < '0' || *s > '9')
        return false;
    int64_t value = 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        int digit = *s - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value))
            return false;
    }
    if (*s || value < min || value > max)
        return false;
    *ret_value = value;
    return true;
}

bool str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), tail = strlen(suffix);
    return len >= tail && memcmp(text + len - tail, suffix, tail) == 0;
}
