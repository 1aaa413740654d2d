/* One connection to a server, TCP or TLS on it, with a limit on each wait and a way to interrupt it.
 * Single-threaded. */
#ifndef PAWL_CLIENT_CONNECTION_H
#define PAWL_CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "client/tls.h"

enum { CLIENT_HOST_MAX = 256, CLIENT_PREFIX_MAX = 256 };

struct client_url {
    bool is_tls;                        /* https */
    char host[CLIENT_HOST_MAX];         /* without brackets */
    char port[6];
    char authority[CLIENT_HOST_MAX + 8]; /* for the Host header */
    char prefix[CLIENT_PREFIX_MAX];     /* path in front of every target: "" or "/x" */
};

/* http[s]://HOST[:PORT][/PREFIX]; "HOST:PORT" alone is http. ERROR_USAGE with words otherwise. */
int client_url_parse(const char *text, struct client_url *ret_url, struct error *err);

struct client_connection {
    int fd;                 /* -1: not connected; non-blocking, close-on-exec */
    int interrupt_fd;       /* readable: give up with ERROR_INTERRUPTED; -1: never */
    const struct client_trust *trust; /* of https; borrowed */
    struct client_tls *tls; /* NULL: plain */
    struct buf ahead;       /* received while sending */
};

/* Tries every address of the host for at most timeout_ms together, and shakes hands where it is https.
 * ERROR_UNREACHABLE says why. */
int client_connection_open(struct client_connection *connection, const struct client_url *url, int64_t timeout_ms,
                           struct error *err);
void client_connection_close(struct client_connection *connection);
/* The peer has closed, or sent what nobody asked for: not fit for another request. */
bool client_connection_is_stale(struct client_connection *connection);
/* Sends everything unless an answer begins first; then *ret_early is true and the rest was not sent. */
int client_connection_send(struct client_connection *connection, const char *bytes, size_t len, int64_t timeout_ms,
                           bool *ret_early, struct error *err);
/* Waits until something is there (timeout_ms -1: for ever; 0: looks only) and appends it. *ret_len is 0 and *ret_end
 * true at the end of the stream; 0 and false when timeout_ms was 0 and nothing was there. */
int client_connection_receive(struct client_connection *connection, int64_t timeout_ms, struct buf *into,
                              size_t *ret_len, bool *ret_end, struct error *err);

#endif
