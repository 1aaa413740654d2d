/* What a request's head says, checked. Pure, so that tests and fuzzing reach it without sockets. */
#ifndef PAWL_HTTP_HTTP_HEAD_H
#define PAWL_HTTP_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct http_field {
    const char *name;   /* terminated, as is value */
    size_t name_len;
    const char *value;
    size_t value_len;
};

struct http_head {
    const char *host;           /* these are borrowed from the fields; NULL if absent */
    const char *origin;
    const char *request_id;
    const char *if_none_match;
    const char *fetch_site;
    bool has_length;            /* Content-Length or chunks */
    bool chunked;
    bool expects_continue;
    bool accepts_gzip;
    uint64_t length;            /* Content-Length; 0 without */
    size_t bytes;               /* of all fields as sent, about */
};

/* Refuses (ERROR_BAD_REQUEST) names that are no tokens, control characters in values, Content-Length beside
 * Transfer-Encoding, either of them twice or malformed (RFC 9112, section 6.3), codings other than chunked, chunks
 * in HTTP/1.0, and a second value for a header that has one; ERROR_HEADERS_TOO_LARGE over LIMIT_HEADER_BYTES_MAX. */
int http_head_check(const struct http_field *fields, size_t count, bool is_http_1_0, struct http_head *ret_head,
                    struct error *err);

/* The host of "host", "host:port", "[v6]:port" into out (lower case, no brackets, no final dot).
 * false: malformed or too long. */
bool http_head_host(const char *authority, char *out, size_t out_size);

/* Whether the host in `authority` is an IPv4 or IPv6 address as text. */
bool http_head_host_is_address(const char *authority);

/* Whether the host in `authority` is one of hosts. */
bool http_head_host_allowed(const char *authority, const char *const *hosts, size_t count);

/* Whether an Accept-Encoding value takes gzip (RFC 9110, section 12.5.3). */
bool http_head_takes_gzip(const char *value);

/* Whether an If-None-Match value holds the tag (weak comparison) or "*". `tag` is without quotes. */
bool http_head_etag_matches(const char *value, const char *tag);

/* Whether text may be used as a request id: 1 to 128 of A-Z a-z 0-9 . _ : / + = @ - */
bool http_head_request_id_valid(const char *text);

#endif
