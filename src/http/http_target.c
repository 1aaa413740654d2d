#include "http/http_target.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Percent-decoding. what: "path" or "query", for the message. */
static int decode(struct arena *arena, const char *raw, size_t len, bool plus_is_space, const char *what,
                  struct http_text *ret_text, struct error *err)
{
    char *out = arena_alloc(arena, len + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = raw[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_digit(raw[i + 1]) : -1;
            int low = len - i > 2 ? hex_digit(raw[i + 2]) : -1;
            if (high < 0 || low < 0)
                return error_set(err, ERROR_BAD_REQUEST,
                                 "The %s of the request has a '%%' that two hexadecimal digits do not follow", what);
            c = (char)(high << 4 | low);
            if (c == '\0')
                return error_set(err, ERROR_BAD_REQUEST, "The %s of the request holds %%00", what);
            i += 2;
        } else if (plus_is_space && c == '+') {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    if (!str_utf8_valid(out, n))
        return error_set(err, ERROR_BAD_REQUEST, "The %s of the request is not UTF-8", what);
    *ret_text = (struct http_text){out, n};
    return 0;
}

static int check_characters(const char *raw, size_t len, struct error *err)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)raw[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"#<>\\^`{|}", c))
            return error_set(err, ERROR_BAD_REQUEST,
                             "The request target holds a character (0x%02x) that must be percent-encoded", c);
    }
    return 0;
}

static int parse_path(struct arena *arena, const char *raw, size_t len, struct http_target *target,
                      struct error *err)
{
    const char *end = raw + len;
    if (len == 1)
        return 0;
    for (const char *at = raw + 1;; at++) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash ? slash : end;
        if (target->segment_count == HTTP_SEGMENTS_MAX)
            return error_set(err, ERROR_NOT_FOUND, "There is nothing at this path");
        int rc = decode(arena, at, (size_t)(stop - at), false, "path", &target->segments[target->segment_count], err);
        if (rc)
            return rc;
        target->segment_count++;
        if (!slash)
            return 0;
        at = slash;
    }
}

static int parse_pair(struct arena *arena, const char *raw, size_t len, struct http_target *target,
                      struct error *err)
{
    const char *equals = memchr(raw, '=', len);
    size_t name_len = equals ? (size_t)(equals - raw) : len;
    struct http_pair pair = {{"", 0}, {"", 0}};
    int rc = decode(arena, raw, name_len, true, "query", &pair.name, err);
    if (!rc && equals)
        rc = decode(arena, equals + 1, len - name_len - 1, true, "query", &pair.value, err);
    if (rc)
        return rc;
    for (unsigned i = 0; i < target->query_count; i++) {
        const struct http_text *known = &target->query[i].name;
        if (known->len == pair.name.len && memcmp(known->text, pair.name.text, pair.name.len) == 0)
            return error_set(err, ERROR_BAD_REQUEST, "The query parameter '%.100s' is given twice; give it once",
                             pair.name.text);
    }
    if (target->query_count == HTTP_QUERY_MAX)
        return error_set(err, ERROR_BAD_REQUEST, "More than %d query parameters", HTTP_QUERY_MAX);
    target->query[target->query_count++] = pair;
    return 0;
}

static int parse_query(struct arena *arena, const char *raw, size_t len, struct http_target *target,
                       struct error *err)
{
    const char *end = raw + len;
    while (raw < end) {
        const char *amp = memchr(raw, '&', (size_t)(end - raw));
        const char *stop = amp ? amp : end;
        int rc = stop > raw ? parse_pair(arena, raw, (size_t)(stop - raw), target, err) : 0;
        if (rc)
            return rc;
        raw = amp ? amp + 1 : end;
    }
    return 0;
}

/* http://authority/path: sets authority and moves *raw to the path. */
static int take_authority(struct arena *arena, const char **raw, size_t *len, struct http_target *target,
                          struct error *err)
{
    size_t scheme = *len > 7 && strncasecmp(*raw, "http://", 7) == 0 ? 7
                  : *len > 8 && strncasecmp(*raw, "https://", 8) == 0 ? 8 : 0;
    if (!scheme)
        return error_set(err, ERROR_BAD_REQUEST, "The request target must begin with '/'");
    const char *start = *raw + scheme;
    size_t rest = *len - scheme;
    size_t authority = 0;
    while (authority < rest && start[authority] != '/' && start[authority] != '?')
        authority++;
    if (authority == 0)
        return error_set(err, ERROR_BAD_REQUEST, "The request target names no host");
    target->authority = arena_strndup(arena, start, authority);
    *raw = start + authority;
    *len = rest - authority;
    return 0;
}

int http_target_parse(struct arena *arena, const char *raw, size_t len, struct http_target *ret_target,
                      struct error *err)
{
    struct http_target target = {0};
    int rc = check_characters(raw, len, err);
    if (rc)
        return rc;
    if (len == 1 && raw[0] == '*') {
        target.is_asterisk = true;
        *ret_target = target;
        return 0;
    }
    if (len == 0 || raw[0] != '/')
        rc = take_authority(arena, &raw, &len, &target, err);
    if (rc)
        return rc;
    const char *question = memchr(raw, '?', len);
    size_t path_len = question ? (size_t)(question - raw) : len;
    if (path_len > 0)
        rc = parse_path(arena, raw, path_len, &target, err);
    if (!rc && question)
        rc = parse_query(arena, question + 1, len - path_len - 1, &target, err);
    if (!rc)
        *ret_target = target;
    return rc;
}
