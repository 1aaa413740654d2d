/* Request targets: split first, decode after, so that an encoded slash or dot never changes the path. Pure. */
#ifndef PAWL_HTTP_HTTP_TARGET_H
#define PAWL_HTTP_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"

enum { HTTP_SEGMENTS_MAX = 12, HTTP_QUERY_MAX = 32 };

/* Decoded text: valid UTF-8 without NUL, terminated. */
struct http_text {
    const char *text;
    size_t len;
};

struct http_pair {
    struct http_text name;
    struct http_text value;
};

struct http_target {
    struct http_text segments[HTTP_SEGMENTS_MAX]; /* "/" has none, "/a/" has "a" and "" */
    unsigned segment_count;
    struct http_pair query[HTTP_QUERY_MAX];       /* names are unique */
    unsigned query_count;
    bool is_asterisk;                             /* OPTIONS * */
    const char *authority;                        /* of the absolute form, for the Host check; NULL */
};

/* Parses origin form ("/a?b=c"), absolute form ("http://host/a") and "*". Everything in *ret_target is from arena.
 * Errors: ERROR_BAD_REQUEST (a character that may not be there, a bad percent-encoding, %00, bytes that are not
 * UTF-8, a parameter given twice, too many), ERROR_NOT_FOUND (deeper than any path served). */
int http_target_parse(struct arena *arena, const char *raw, size_t len, struct http_target *ret_target,
                      struct error *err);

#endif
