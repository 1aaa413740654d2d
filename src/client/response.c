#include "client/response.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

void client_response_init(struct client_response *response, bool head_request)
{
    *response = (struct client_response){.head_request = head_request};
}

void client_response_fini(struct client_response *response)
{
    buf_fini(&response->head);
    buf_fini(&response->line);
}

static int bad(struct error *err, const char *what)
{
    return error_set(err, ERROR_UNREACHABLE, "the server's answer is not HTTP: %s", what);
}

int client_response_header(const struct client_response *response, const char *name, const char **ret_value)
{
    size_t name_len = strlen(name);
    const char *at = response->head.bytes;
    const char *end = at + response->head.len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            break;
        size_t len = (size_t)(stop - at);
        if (len > name_len && at[name_len] == ':' && strncasecmp(at, name, name_len) == 0) {
            const char *value = at + name_len + 1;
            while (value < stop && (*value == ' ' || *value == '\t'))
                value++;
            while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t'))
                stop--;
            *ret_value = value;
            return (int)(stop - value);
        }
        at = stop + 1;
    }
    return -1;
}

static size_t count_header(const struct client_response *response, const char *name)
{
    size_t count = 0;
    size_t name_len = strlen(name);
    const char *at = response->head.bytes;
    const char *end = at + response->head.len;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            break;
        if ((size_t)(stop - at) > name_len && at[name_len] == ':' && strncasecmp(at, name, name_len) == 0)
            count++;
        at = stop + 1;
    }
    return count;
}

/* RFC 9110 5.6.2 */
static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static int check_status_line(struct client_response *response, const char *line, size_t len, struct error *err)
{
    bool ok = len >= 12 && memcmp(line, "HTTP/1.", 7) == 0 && (line[7] == '0' || line[7] == '1') && line[8] == ' ' &&
              isdigit((unsigned char)line[9]) && isdigit((unsigned char)line[10]) &&
              isdigit((unsigned char)line[11]) && (len == 12 || line[12] == ' ');
    if (!ok)
        return bad(err, "no status line");
    response->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    response->keep_alive = line[7] == '1';
    return response->status < 100 ? bad(err, "an impossible status") : 0;
}

static int check_header_line(const char *line, size_t len, struct error *err)
{
    size_t name = 0;
    while (name < len && is_token_char(line[name]))
        name++;
    if (name == 0 || name == len || line[name] != ':')
        return bad(err, "a header line without a name");
    for (size_t i = name; i < len; i++)
        if (line[i] == '\r' || line[i] == '\0')
            return bad(err, "a control character in a header");
    return 0;
}

static bool value_is(const char *value, int len, const char *word)
{
    return len >= 0 && (size_t)len == strlen(word) && strncasecmp(value, word, (size_t)len) == 0;
}

static int parse_length(const char *value, int len, uint64_t *ret_length)
{
    uint64_t length = 0;
    if (len <= 0 || len > 18)
        return -1;
    for (int i = 0; i < len; i++) {
        if (!isdigit((unsigned char)value[i]))
            return -1;
        length = length * 10 + (uint64_t)(value[i] - '0');
    }
    *ret_length = length;
    return 0;
}

/* RFC 9112 6.3: how long the body is. */
static int choose_body(struct client_response *response, struct error *err)
{
    const char *value = NULL;
    int len = client_response_header(response, "Connection", &value);
    if (value_is(value, len, "close"))
        response->keep_alive = false;
    bool empty = response->head_request || response->status == 204 || response->status == 304;
    int coding_len = client_response_header(response, "Transfer-Encoding", &value);
    const char *length_text = NULL;
    int length_len = client_response_header(response, "Content-Length", &length_text);
    if (coding_len >= 0 && length_len >= 0)
        return bad(err, "both Content-Length and Transfer-Encoding");
    if (count_header(response, "Content-Length") > 1 || count_header(response, "Transfer-Encoding") > 1)
        return bad(err, "a length given twice");
    if (length_len >= 0 && parse_length(length_text, length_len, &response->left) != 0)
        return bad(err, "Content-Length is no number");
    if (coding_len >= 0 && !value_is(value, coding_len, "chunked"))
        return bad(err, "an unknown Transfer-Encoding");
    if (empty) {
        response->phase = CLIENT_DONE;
    } else if (coding_len >= 0) {
        response->phase = CLIENT_CHUNK_SIZE;
    } else if (length_len >= 0) {
        response->phase = response->left > 0 ? CLIENT_BODY_LENGTH : CLIENT_DONE;
    } else {
        response->phase = CLIENT_BODY_TO_CLOSE;
        response->keep_alive = false;
    }
    return 0;
}

/* A whole line of the head is at the end of response->head, from `start` on, without its line break. */
static int take_head_line(struct client_response *response, size_t start, struct error *err)
{
    const char *line = buf_text(&response->head) + start; /* an empty first line: nothing is kept yet */
    size_t len = response->head.len - start;
    if (start == 0)
        return check_status_line(response, line, len, err);
    if (len > 0)
        return check_header_line(line, len, err);
    if (response->status < 200) { /* an interim answer; the real one follows */
        buf_clear(&response->head);
        return 0;
    }
    return choose_body(response, err);
}

static int feed_head(struct client_response *response, const char **at, const char *end, struct error *err)
{
    while (*at < end && response->phase == CLIENT_HEAD) {
        const char *stop = memchr(*at, '\n', (size_t)(end - *at));
        size_t len = (size_t)((stop ? stop : end) - *at);
        if (response->head.len + len > CLIENT_HEAD_MAX)
            return bad(err, "its head is too long");
        buf_add(&response->head, *at, len);
        *at += len;
        if (!stop)
            break;
        (*at)++;
        size_t start = response->head.len;
        while (start > 0 && response->head.bytes[start - 1] != '\n')
            start--;
        if (response->head.len > start && response->head.bytes[response->head.len - 1] == '\r')
            response->head.len--;
        int rc = take_head_line(response, start, err);
        if (rc)
            return rc;
        if (response->head.len > start)
            buf_add_char(&response->head, '\n');
    }
    return 0;
}

static int take_chunk_size(struct client_response *response, struct error *err)
{
    uint64_t size = 0;
    size_t digits = 0;
    const struct buf *line = &response->line;
    while (digits < line->len && isxdigit((unsigned char)line->bytes[digits])) {
        char c = (char)tolower((unsigned char)line->bytes[digits++]);
        size = size * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        if (digits > 15)
            return bad(err, "a chunk size beyond all measure");
    }
    if (digits == 0 || (digits < line->len && !strchr("; \t", line->bytes[digits])))
        return bad(err, "a chunk size that is no number");
    response->left = size;
    response->phase = size > 0 ? CLIENT_CHUNK : CLIENT_TRAILER;
    return 0;
}

/* Lines between and behind chunks. */
static int feed_line(struct client_response *response, const char **at, const char *end, struct error *err)
{
    const char *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t len = (size_t)((stop ? stop : end) - *at);
    if (response->line.len + len > CLIENT_HEAD_MAX)
        return bad(err, "a chunk line is too long");
    buf_add(&response->line, *at, len);
    *at += len;
    if (!stop)
        return 0;
    (*at)++;
    if (response->line.len > 0 && response->line.bytes[response->line.len - 1] == '\r')
        response->line.len--;
    int rc = 0;
    if (response->phase == CLIENT_CHUNK_SIZE)
        rc = take_chunk_size(response, err);
    else if (response->phase == CLIENT_CHUNK_END && response->line.len > 0)
        rc = bad(err, "a chunk longer than its size");
    else if (response->phase == CLIENT_CHUNK_END)
        response->phase = CLIENT_CHUNK_SIZE;
    else if (response->line.len == 0)
        response->phase = CLIENT_DONE;
    buf_clear(&response->line);
    return rc;
}

static void feed_body(struct client_response *response, const char **at, const char *end, struct buf *body)
{
    size_t len = (size_t)(end - *at);
    if (response->phase != CLIENT_BODY_TO_CLOSE) {
        if (len > response->left)
            len = (size_t)response->left;
        response->left -= len;
        if (response->left == 0)
            response->phase = response->phase == CLIENT_CHUNK ? CLIENT_CHUNK_END : CLIENT_DONE;
    }
    buf_add(body, *at, len);
    *at += len;
}

int client_response_feed(struct client_response *response, const char *bytes, size_t len, struct buf *body,
                         struct error *err)
{
    const char *at = bytes;
    const char *end = bytes + len;
    int rc = 0;
    while (rc == 0 && at < end) {
        switch (response->phase) {
        case CLIENT_HEAD:
            rc = feed_head(response, &at, end, err);
            break;
        case CLIENT_CHUNK_SIZE:
        case CLIENT_CHUNK_END:
        case CLIENT_TRAILER:
            rc = feed_line(response, &at, end, err);
            break;
        case CLIENT_BODY_LENGTH:
        case CLIENT_BODY_TO_CLOSE:
        case CLIENT_CHUNK:
            feed_body(response, &at, end, body);
            break;
        case CLIENT_DONE:
            rc = bad(err, "more bytes than it announced");
            break;
        }
    }
    return rc;
}

int client_response_close(struct client_response *response, struct error *err)
{
    response->keep_alive = false;
    if (response->phase == CLIENT_BODY_TO_CLOSE)
        response->phase = CLIENT_DONE;
    if (response->phase == CLIENT_DONE)
        return 0;
    return error_set(err, ERROR_UNREACHABLE, "the server closed the connection in the middle of its answer");
}
