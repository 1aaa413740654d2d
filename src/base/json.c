#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static void comma(struct json *json)
{
    if (json->needs_comma)
        buf_add_char(json->out, ',');
    json->needs_comma = true;
}

void json_init(struct json *json, struct buf *out)
{
    json->out = out;
    json->needs_comma = false;
}

static void open_with(struct json *json, char c)
{
    comma(json);
    buf_add_char(json->out, c);
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
    comma(json);
    buf_add_char(json->out, '"');
    buf_add_text(json->out, key);
    buf_add(json->out, "\":", 2);
    json->needs_comma = false;
}

void json_add_null(struct json *json)
{
    comma(json);
    buf_add(json->out, "null", 4);
}

void json_add_bool(struct json *json, bool value)
{
    comma(json);
    buf_add_text(json->out, value ? "true" : "false");
}

void json_add_int(struct json *json, int64_t value)
{
    comma(json);
    buf_add_int(json->out, value);
}

void json_add_double(struct json *json, double value)
{
    comma(json);
    char text[400];
    int len = snprintf(text, sizeof text, "%.6f", value);
    while (len > 2 && text[len - 1] == '0' && text[len - 2] != '.')
        len--;
    buf_add(json->out, text, (size_t)len);
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

void json_add_string_len(struct json *json, const char *text, size_t len)
{
    comma(json);
    struct buf *out = json->out;
    buf_reserve(out, len + 2);
    buf_add_char(out, '"');
    size_t plain = 0; /* start of what needs no change */
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            i++;
            continue;
        }
        size_t width = c < 0x80 ? 0 : str_utf8_width(text + i, len - i);
        if (width) {
            i += width;
            continue;
        }
        buf_add(out, text + plain, i - plain);
        if (c < 0x80)
            add_escaped(out, c);
        else
            buf_add(out, "\xef\xbf\xbd", 3);
        plain = ++i;
    }
    buf_add(out, text + plain, len - plain);
    buf_add_char(out, '"');
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
    comma(json);
    char text[UUID_TEXT_LEN + 1];
    uuid_format(uuid, text);
    char *out = buf_extend(json->out, UUID_TEXT_LEN + 2);
    out[0] = out[UUID_TEXT_LEN + 1] = '"';
    memcpy(out + 1, text, UUID_TEXT_LEN);
}

void json_add_time(struct json *json, int64_t time_ms)
{
    if (time_ms == 0) {
        json_add_null(json);
        return;
    }
    char text[CLOCK_TEXT_MAX];
    clock_format_utc(time_ms, text);
    json_add_string(json, text);
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
