/* The HTTP calls the commands make: one server, one connection kept open between calls, streams on connections of
 * their own. No thread of its own; not thread-safe. */
#ifndef PAWL_CLIENT_CLIENT_H
#define PAWL_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "client/tls.h"

struct client_options {
    const char *url;            /* http[s]://HOST:PORT[/PREFIX] */
    struct client_trust trust;  /* of https; copied */
    const char *owner_token;    /* sent as X-Pawl-Owner (server/address.h); NULL: none */
    const char *token;          /* sent as Authorization: Bearer; NULL: none */
    const char *traceparent;    /* sent with every POST; NULL: none */
    int64_t timeout_ms;         /* of each wait for the server, not of a whole call */
    int interrupt_fd;           /* readable: calls end with ERROR_INTERRUPTED; -1: never. Borrowed */
};

struct client_request {
    const char *method;         /* GET when NULL */
    const char *target;         /* "/api/v1/runs?limit=5": encoded already */
    const char *const *headers; /* name, value, ..., NULL; NULL: none besides the usual */
    const char *body;           /* NULL: none. JSON */
    size_t body_len;
};

struct client_answer {
    int status;
    struct buf body;
    char etag[128];             /* "" when absent */
    int64_t log_size;           /* X-Log-Size; -1 when absent */
    int64_t retry_after_s;      /* -1 when absent */
};

struct client;
/* Connects with the first call. ERROR_USAGE for an address that is none. */
int client_new(const struct client_options *options, struct client **ret_client, struct error *err);
void client_free(struct client *client);
const char *client_url(const struct client *client);
void client_set_interrupt(struct client *client, int interrupt_fd);

/* One call. 0 whenever the server answered, whatever the status; *ret_answer is then the caller's to clear with
 * client_answer_fini. ERROR_UNREACHABLE, ERROR_INTERRUPTED, ERROR_TOO_BIG otherwise. A GET is sent once more when the
 * kept connection turns out to be closed. */
int client_send(struct client *client, const struct client_request *request, struct client_answer *ret_answer,
                struct error *err);
void client_answer_fini(struct client_answer *answer);
/* 0 for a status below 400, else the code the body names (or the status stands for) with its message, details and
 * errors as text. */
int client_answer_error(int status, const char *body, size_t len, struct error *err);

/* An answer that is read while it grows: events, logs. */
struct client_stream;
/* Sends and reads the head. An error status is read to its end and returned as client_answer_error does. */
int client_stream_open(struct client *client, const struct client_request *request, struct client_stream **ret_stream,
                       struct error *err);
void client_stream_close(struct client_stream *stream); /* NULL is allowed */
int client_stream_fd(const struct client_stream *stream);
/* Appends what there is of the body. wait: until there is something or the end; else only looks. *ret_end: no more
 * will come. ERROR_UNREACHABLE when the connection broke before the proper end. */
int client_stream_read(struct client_stream *stream, bool wait, struct buf *into, bool *ret_end, struct error *err);

/* Something of it was read already, or its end: no descriptor tells of that. */
bool client_stream_is_ready(const struct client_stream *stream);

/* Appends text with everything but unreserved characters percent-encoded: one path segment or query value. */
void client_encode(struct buf *out, const char *text);

#endif
