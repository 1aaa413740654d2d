/* Reads an HTTP/1.1 answer as it comes in, in pieces of any size (RFC 9112). Strict where an answer could be taken for
 * another one: both lengths, two lengths, folded lines and bad chunks are errors, never guesses. No I/O. */
#ifndef PAWL_CLIENT_RESPONSE_H
#define PAWL_CLIENT_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

enum client_phase {
    CLIENT_HEAD,            /* the status line and the header lines */
    CLIENT_BODY_LENGTH,     /* `left` bytes to come */
    CLIENT_BODY_TO_CLOSE,   /* until the peer closes */
    CLIENT_CHUNK_SIZE,
    CLIENT_CHUNK,           /* `left` bytes of this chunk to come */
    CLIENT_CHUNK_END,       /* the line break behind a chunk */
    CLIENT_TRAILER,
    CLIENT_DONE,
};

enum { CLIENT_HEAD_MAX = 64 * 1024 };

struct client_response {
    enum client_phase phase;
    bool head_request;      /* the answer has no body whatever its head says; set before the first byte */
    int status;             /* final (not 1xx), valid from the end of the head on */
    bool keep_alive;        /* the connection can carry another request once phase is CLIENT_DONE */
    uint64_t left;
    struct buf head;        /* status line and header lines, each ended by '\n' */
    struct buf line;        /* a chunk size or trailer line, so far */
};

void client_response_init(struct client_response *response, bool head_request);
void client_response_fini(struct client_response *response);
/* Takes len bytes, appends what they hold of the body to body. ERROR_UNREACHABLE when they are no proper answer; bytes
 * behind the end of the answer are such an error too, since only one request is out at a time. */
int client_response_feed(struct client_response *response, const char *bytes, size_t len, struct buf *body,
                         struct error *err);
/* The peer closed: an error unless that ends the answer. */
int client_response_close(struct client_response *response, struct error *err);
/* The first header of that name (any case): its length and, in *ret_value, where it starts; -1 when absent. */
int client_response_header(const struct client_response *response, const char *name, const char **ret_value);

#endif
