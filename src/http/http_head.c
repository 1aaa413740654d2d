#include "http/http_head.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"

static bool is_token(const char *text, size_t len)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!isalnum(c) && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return true;
}

static bool is_clean(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static size_t trimmed(const struct http_field *field)
{
    size_t len = field->value_len;
    while (len && (field->value[len - 1] == ' ' || field->value[len - 1] == '\t'))
        len--;
    return len;
}

static bool parse_length(const struct http_field *field, uint64_t *ret_length)
{
    size_t len = trimmed(field);
    if (len == 0 || len > 18)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (field->value[i] < '0' || field->value[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(field->value[i] - '0');
    }
    *ret_length = value;
    return true;
}

/* Headers that have one value: a second one is an error, since programs differ in which they take. */
static const char *const singles[] = {
    "Host", "Content-Length", "Transfer-Encoding", "Content-Type", "Origin", "Authorization", "Idempotency-Key",
    "If-Match", "If-None-Match", "X-Request-Id", "Last-Event-ID", "Expect", "Sec-Fetch-Site",
};
enum { SINGLE_COUNT = sizeof singles / sizeof *singles };

static bool is_named(const struct http_field *field, const char *name)
{
    return field->name_len == strlen(name) && strncasecmp(field->name, name, field->name_len) == 0;
}

static int check_singles(const struct http_field *fields, size_t count, struct error *err)
{
    bool seen[SINGLE_COUNT] = {false};
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < SINGLE_COUNT; k++) {
            if (!is_named(&fields[i], singles[k]))
                continue;
            if (seen[k])
                return error_set(err, ERROR_BAD_REQUEST, "The header %s is given twice; give it once", singles[k]);
            seen[k] = true;
        }
    }
    return 0;
}

static int check_syntax(const struct http_field *fields, size_t count, size_t *ret_bytes, struct error *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct http_field *field = &fields[i];
        if (!is_token(field->name, field->name_len))
            return error_set(err, ERROR_BAD_REQUEST, "A header name holds a character that may not be there");
        if (!is_clean(field->value, field->value_len))
            return error_set(err, ERROR_BAD_REQUEST, "The header %.60s holds a control character", field->name);
        bytes += field->name_len + field->value_len + 4;
    }
    if (bytes > LIMIT_HEADER_BYTES_MAX)
        return error_set(err, ERROR_HEADERS_TOO_LARGE, "The request's headers are over %d bytes",
                         LIMIT_HEADER_BYTES_MAX);
    *ret_bytes = bytes;
    return 0;
}

/* How the body is framed. */
static int check_framing(const struct http_field *fields, size_t count, bool is_http_1_0, struct http_head *head,
                         struct error *err)
{
    bool has_length = false;
    for (size_t i = 0; i < count; i++) {
        if (is_named(&fields[i], "Content-Length")) {
            has_length = true;
            if (!parse_length(&fields[i], &head->length))
                return error_set(err, ERROR_BAD_REQUEST, "Content-Length is not a decimal number");
        } else if (is_named(&fields[i], "Transfer-Encoding")) {
            if (trimmed(&fields[i]) != 7 || strncasecmp(fields[i].value, "chunked", 7) != 0)
                return error_set(err, ERROR_BAD_REQUEST, "Transfer-Encoding must be 'chunked' or absent");
            head->chunked = true;
        }
    }
    if (head->chunked && has_length)
        return error_set(err, ERROR_BAD_REQUEST, "Content-Length and Transfer-Encoding must not be used together");
    if (head->chunked && is_http_1_0)
        return error_set(err, ERROR_BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding; send a Content-Length");
    head->has_length = has_length || head->chunked;
    return 0;
}

static void take_values(const struct http_field *fields, size_t count, struct http_head *head)
{
    for (size_t i = 0; i < count; i++) {
        const struct http_field *field = &fields[i];
        if (is_named(field, "Host"))
            head->host = field->value;
        else if (is_named(field, "Origin"))
            head->origin = field->value;
        else if (is_named(field, "X-Request-Id"))
            head->request_id = field->value;
        else if (is_named(field, "If-None-Match"))
            head->if_none_match = field->value;
        else if (is_named(field, "Sec-Fetch-Site"))
            head->fetch_site = field->value;
        else if (is_named(field, "Expect"))
            head->expects_continue = strncasecmp(field->value, "100-continue", 12) == 0;
        else if (is_named(field, "Accept-Encoding"))
            head->accepts_gzip = head->accepts_gzip || http_head_takes_gzip(field->value);
    }
}

int http_head_check(const struct http_field *fields, size_t count, bool is_http_1_0, struct http_head *ret_head,
                    struct error *err)
{
    struct http_head head = {0};
    int rc = check_syntax(fields, count, &head.bytes, err);
    if (!rc)
        rc = check_singles(fields, count, err);
    if (!rc)
        rc = check_framing(fields, count, is_http_1_0, &head, err);
    if (rc)
        return rc;
    take_values(fields, count, &head);
    *ret_head = head;
    return 0;
}

bool http_head_host(const char *authority, char *out, size_t out_size)
{
    size_t len;
    const char *rest;
    if (*authority == '[') {
        const char *close = strchr(++authority, ']');
        if (!close)
            return false;
        len = (size_t)(close - authority);
        rest = close + 1;
        if (strspn(authority, "0123456789abcdefABCDEF:.%") < len)
            return false;
    } else {
        len = strcspn(authority, ": \t");
        rest = authority + len;
        if (strspn(authority, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") < len)
            return false;
        if (len > 1 && authority[len - 1] == '.')
            len--;
    }
    if (*rest == ':')
        rest += 1 + strspn(rest + 1, "0123456789");
    rest += strspn(rest, " \t");
    if (*rest || len == 0 || len >= out_size)
        return false;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)tolower((unsigned char)authority[i]);
    out[len] = '\0';
    return true;
}

bool http_head_host_is_address(const char *authority)
{
    char host[256];
    unsigned char address[sizeof(struct in6_addr)];
    return http_head_host(authority, host, sizeof host)
           && (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1);
}

bool http_head_host_allowed(const char *authority, const char *const *hosts, size_t count)
{
    char host[256];
    if (!http_head_host(authority, host, sizeof host))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(host, hosts[i]) == 0)
            return true;
    }
    return false;
}

bool http_head_takes_gzip(const char *value)
{
    bool any = false, any_said = false;
    while (*value) {
        value += strspn(value, " \t,");
        size_t len = strcspn(value, ",");
        size_t name = strcspn(value, " \t;,");
        bool is_gzip = (name == 4 && strncasecmp(value, "gzip", 4) == 0)
                    || (name == 6 && strncasecmp(value, "x-gzip", 6) == 0);
        bool is_any = name == 1 && *value == '*';
        if (is_gzip || is_any) {
            const char *q = value + name;
            q += strspn(q, " \t;");
            /* q=0, q=0.0, ... refuse; anything else takes */
            bool taken = true;
            if ((*q == 'q' || *q == 'Q') && q[1] == '=')
                taken = q[2 + strspn(q + 2, "0.")] >= '1' && q[2 + strspn(q + 2, "0.")] <= '9';
            if (is_gzip)
                return taken;
            any_said = true;
            any = taken;
        }
        value += len;
    }
    return any_said && any;
}

bool http_head_etag_matches(const char *value, const char *tag)
{
    size_t tag_len = strlen(tag);
    value += strspn(value, " \t");
    if (*value == '*')
        return true;
    while (*value) {
        value += strspn(value, " \t,");
        if (value[0] == 'W' && value[1] == '/')
            value += 2;
        if (*value != '"')
            return false;
        const char *close = strchr(++value, '"');
        if (!close)
            return false;
        if ((size_t)(close - value) == tag_len && memcmp(value, tag, tag_len) == 0)
            return true;
        value = close + 1;
    }
    return false;
}

bool http_head_request_id_valid(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && len <= 128
        && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/+=@-") == len;
}
