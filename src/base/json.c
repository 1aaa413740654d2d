#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

enum { SECOND_LEN = 19 /* 2026-11-24T08:15:30 */, TIME_LEN = SECOND_LEN + 5 };

/* `len` bytes to be filled, behind a comma where one is due. */
static char *value(struct json *json, size_t len)
{
    char *at = buf_extend(json->out, len + json->needs_comma);
    if (json->needs_comma)
        *at++ = ',';
    json->needs_comma = true;
    return at;
}

static void comma(struct json *json)
{
    (void)value(json, 0);
}

void json_init(struct json *json, struct buf *out)
{
    json->out = out;
    json->needs_comma = false;
    json->second = -1;
}

static void open_with(struct json *json, char c)
{
    *value(json, 1) = c;
    json->needs_comma = false;
}

static void close_with(struct json *json, char c)
{
    buf_add_char(json->out, c);
    json->needs_comma = true;
}

void json_begin_object(struct json *json)
{
    open_with(json, '{');
}

void json_end_object(struct json *json)
{
    close_with(json, '}');
}

void json_begin_array(struct json *json)
{
    open_with(json, '[');
}

void json_end_array(struct json *json)
{
    close_with(json, ']');
}

void json_key(struct json *json, const char *key)
{
    size_t len = strlen(key);
    char *at = value(json, len + 3);
    at[0] = '"';
    memcpy(at + 1, key, len);
    memcpy(at + 1 + len, "\":", 2);
    json->needs_comma = false;
}

void json_add_null(struct json *json)
{
    memcpy(value(json, 4), "null", 4);
}

void json_add_bool(struct json *json, bool truth)
{
    comma(json);
    buf_add_text(json->out, truth ? "true" : "false");
}

void json_add_int(struct json *json, int64_t number)
{
    comma(json);
    buf_add_int(json->out, number);
}

void json_add_double(struct json *json, double number)
{
    char text[400];
    int len;
    if (number >= 0 && number < 1e9) { /* nearly all; several times faster than printf */
        uint64_t millionths = (uint64_t)(number * 1e6 + 0.5);
        char digits[32];
        int n = sizeof digits;
        for (int i = 0; i < 6 || millionths; i++) {
            digits[--n] = (char)('0' + millionths % 10);
            millionths /= 10;
            if (i == 5)
                digits[--n] = '.';
        }
        if (digits[n] == '.')
            digits[--n] = '0';
        len = (int)sizeof digits - n;
        memcpy(text, digits + n, (size_t)len);
    } else {
        len = snprintf(text, sizeof text, "%.6f", number);
    }
    while (len > 2 && text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    memcpy(value(json, (size_t)len), text, (size_t)len);
}

static void add_escaped(struct buf *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *known = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\r' ? "\\r"
                      : c == '\t' ? "\\t" : NULL;
    if (known) {
        buf_add(out, known, 2);
    } else {
        char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        buf_add(out, text, sizeof text);
    }
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* What is not plain from `plain` on. */
static void add_checked(struct buf *out, const char *text, size_t plain, size_t len)
{
    size_t from = 0; /* start of what needs no change */
    for (size_t i = plain; i < len;) {
        unsigned char c = (unsigned char)text[i];
        size_t width = is_plain(c) ? 1 : c < 0x80 ? 0 : str_utf8_width(text + i, len - i);
        if (width) {
            i += width;
            continue;
        }
        buf_add(out, text + from, i - from);
        if (c < 0x80)
            add_escaped(out, c);
        else
            buf_add(out, "\xef\xbf\xbd", 3);
        from = ++i;
    }
    buf_add(out, text + from, len - from);
}

void json_add_string_len(struct json *json, const char *text, size_t len)
{
    size_t plain = 0;
    while (plain < len && is_plain((unsigned char)text[plain]))
        plain++;
    if (plain == len) {
        char *at = value(json, len + 2);
        at[0] = '"';
        if (len)
            memcpy(at + 1, text, len);
        at[len + 1] = '"';
        return;
    }
    comma(json);
    buf_reserve(json->out, len + 2);
    buf_add_char(json->out, '"');
    add_checked(json->out, text, plain, len);
    buf_add_char(json->out, '"');
}

void json_add_string(struct json *json, const char *text)
{
    if (text)
        json_add_string_len(json, text, strlen(text));
    else
        json_add_null(json);
}

void json_add_uuid(struct json *json, struct uuid uuid)
{
    if (uuid_is_zero(uuid)) {
        json_add_null(json);
        return;
    }
    char text[UUID_TEXT_LEN + 1];
    uuid_format(uuid, text);
    char *at = value(json, UUID_TEXT_LEN + 2);
    at[0] = at[UUID_TEXT_LEN + 1] = '"';
    memcpy(at + 1, text, UUID_TEXT_LEN);
}

void json_add_time(struct json *json, int64_t time_ms)
{
    if (time_ms <= 0) {
        char text[CLOCK_TEXT_MAX];
        clock_format_utc(time_ms, text);
        json_add_string(json, time_ms ? text : NULL);
        return;
    }
    unsigned ms = (unsigned)(time_ms % 1000);
    if (time_ms / 1000 != json->second) {
        char text[CLOCK_TEXT_MAX];
        json->second = time_ms / 1000;
        clock_format_utc(time_ms, text);
        memcpy(json->second_text, text, SECOND_LEN);
    }
    char *at = value(json, TIME_LEN + 2);
    at[0] = at[TIME_LEN + 1] = '"';
    memcpy(at + 1, json->second_text, SECOND_LEN);
    const char rest[] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z'};
    memcpy(at + 1 + SECOND_LEN, rest, sizeof rest);
}

void json_add_raw(struct json *json, const char *text, size_t len)
{
    comma(json);
    buf_add(json->out, text, len);
}

void json_kv_string(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_add_string(json, text);
}

void json_kv_int(struct json *json, const char *key, int64_t value)
{
    json_key(json, key);
    json_add_int(json, value);
}

void json_kv_bool(struct json *json, const char *key, bool value)
{
    json_key(json, key);
    json_add_bool(json, value);
}

void json_kv_uuid(struct json *json, const char *key, struct uuid uuid)
{
    json_key(json, key);
    json_add_uuid(json, uuid);
}

void json_kv_time(struct json *json, const char *key, int64_t time_ms)
{
    json_key(json, key);
    json_add_time(json, time_ms);
}

void json_kv_null(struct json *json, const char *key)
{
    json_key(json, key);
    json_add_null(json);
}
