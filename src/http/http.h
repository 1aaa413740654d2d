/* A thin seam over libmicrohttpd: requests in, replies out, nothing of pawl's own words.
 *
 * Threads. A small pool polls all connections. The three callbacks of `struct http_config` run on those threads;
 * one request's callbacks never overlap. A request that cannot be answered at once is deferred: the connection
 * sleeps without a thread until any other thread calls http_complete. Streams (events, a growing log) work the
 * same way: a stream that has nothing to give sleeps until http_stream_wake.
 *
 * What a request meets before on_request sees it, and the answers that come from here: a head that another HTTP
 * program could read differently (folded lines, bare line feeds, both or doubled lengths, unknown codings) 400;
 * a target over LIMIT_URL_BYTES_MAX 414; a head over LIMIT_HEADER_BYTES_MAX 431; a body that is too large 413; and 403
 * for a foreign Host (DNS rebinding), for a foreign Origin whatever the method, and for a page of another site
 * (Sec-Fetch-Site) that would change something (CSRF). A link from elsewhere has no Origin and may be followed.
 * libmicrohttpd answers in its own words (plain text, connection closed) what it cannot parse at all: 400, 413, 414,
 * 431, 505.
 *
 * A head, a body and a silence each have a time limit; a connection that exceeds one is closed. */
#ifndef PAWL_HTTP_HTTP_H
#define PAWL_HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "http/http_target.h"

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_METHOD_OTHER };

enum { HTTP_REQUEST_ID_MAX = 128, HTTP_REPLY_HEADERS_MAX = 8 };

struct http_server;
struct http_exchange; /* http's own part of a request */
struct http_stream;

/* One request. Handlers read it; memory that must live as long comes from `arena`. Freed after on_done. */
struct http_request {
    enum http_method method;
    const char *method_name;        /* as sent */
    struct http_target target;      /* path and query, decoded */
    const char *raw_target;         /* as sent, for logs */
    char id[HTTP_REQUEST_ID_MAX + 1]; /* X-Request-Id: the client's if it is well formed, else ours */
    bool has_body;                  /* the head announces one: a length that is not 0, or chunks */
    bool has_length;                /* the head says how long the body is, 0 too, or that chunks follow */
    size_t body_max;                /* on_head sets it; 0 (the default): a body is refused */
    struct buf body;                /* complete in on_request */
    int64_t started_us;             /* clock_boot_us() when the request line was there */
    struct arena arena;
    void *context;                  /* the handler's own */
    struct http_exchange *exchange;
};

struct http_config {
    const char *address;            /* an IPv4 or IPv6 address, or a name; NULL: 127.0.0.1 */
    uint16_t port;                  /* 0: a free one */
    unsigned threads;               /* 0: as many as processors, 2 to 4 */
    unsigned connections_max;       /* 0: LIMIT_CONNECTIONS_MAX; lowered to what file descriptors allow */
    int64_t request_ms;             /* a request must be complete after so long; 0: 30 s */
    int64_t idle_ms;                /* a connection without a request is closed after so long; 0: 60 s */
    const char *const *hosts;       /* host names (no port) that Host and Origin may hold; `address` always may */
    size_t host_count;
    bool any_host;                  /* no Host and Origin checks */
    bool any_literal;               /* a Host that is an IP address is none of a rebound name: accepted, and as Origin
                                     * where the Host says the same */
    const char *tls_cert;           /* PEM, the server's first; NULL: plain HTTP */
    const char *tls_key;            /* PEM; both borrowed until http_start returns */
    void *context;
    /* The head is complete and valid: route it, set body_max, or reply with an error. */
    void (*on_head)(void *context, struct http_request *request);
    /* The request is complete: reply or defer. Not called when on_head replied. */
    void (*on_request)(void *context, struct http_request *request);
    /* A deferred request was completed without a reply: make it now, without deferring again. */
    void (*on_resume)(void *context, struct http_request *request);
    /* The reply was sent or the client is gone: log, free request->context. status 0: there was no reply. */
    void (*on_done)(void *context, struct http_request *request, unsigned status, uint64_t sent_bytes);
};

/* Starts listening. Errors: ERROR_IO (address in use, no such address), in words. */
int http_start(const struct http_config *config, struct http_server **ret_server, struct error *err);
uint16_t http_port(const struct http_server *server);
/* Connections from now on are greeted with this certificate (PEM, both copied); those that are open go on. Of a server
 * that was started with one. One thread at a time. ERROR_VALIDATION_ERROR: it cannot be read, the former one stays. */
int http_set_tls(struct http_server *server, const char *cert, const char *key, struct error *err);
/* Accepts nothing new, ends streams, waits for requests in flight and frees the server. Every deferred request must
 * still be completed by its owner: this call waits for them without limit, for slow clients a few seconds. */
void http_stop(struct http_server *server);
/* Connections that are open now; thread-safe. */
unsigned http_connections(struct http_server *server);

enum { HTTP_PEER_LEN = 16, HTTP_PEER_TEXT_MAX = 46 };
/* Who is at the other end of the connection: an IPv6 address, IPv4 mapped, and the same as text without a port. On the
 * request's own thread, until on_done. */
void http_peer(const struct http_request *request, unsigned char address[HTTP_PEER_LEN],
               char text[HTTP_PEER_TEXT_MAX]);
/* The first value of a header, NULL if absent; borrowed from the request. On the request's own thread only. */
const char *http_header(const struct http_request *request, const char *name);
/* A query parameter's decoded value, NULL if absent. */
const char *http_query(const struct http_request *request, const char *name);

/* Replies. One of these once per request. Bodies over a few KiB are compressed when the client takes gzip. */
void http_reply(struct http_request *request, unsigned status, const char *content_type, struct buf *take_body);
/* Bytes that live as long as the process. */
struct http_static {
    const void *bytes;
    size_t len;
    const void *packed;             /* the same as gzip; NULL: not there, and not worth while */
    size_t packed_len;
};
void http_reply_static(struct http_request *request, unsigned status, const char *content_type,
                       const struct http_static *body);
/* `len` bytes of a file from `offset`, sent without being read into memory; the descriptor becomes the reply's. */
void http_reply_file(struct http_request *request, unsigned status, const char *content_type, int take_fd,
                     uint64_t offset, uint64_t len);
void http_reply_empty(struct http_request *request, unsigned status);
/* {"code", "message", "details": null} with the code's status. */
void http_reply_error(struct http_request *request, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds a header to the reply; before or after the reply was made, copied. name is a literal. */
void http_reply_header(struct http_request *request, const char *name, const char *value);
/* Sets ETag (quotes are added) and answers 304 by itself when If-None-Match holds it: then returns true and the
 * handler is done. Call before the reply. */
bool http_reply_etag(struct http_request *request, const char *tag);
bool http_replied(const struct http_request *request);

/* The request sleeps until http_complete. From http_defer to http_complete the request belongs to whoever will
 * complete it: who replies first, or leaves that to on_resume. The client may be gone meanwhile, which changes
 * nothing. */
void http_defer(struct http_request *request);
void http_complete(struct http_request *request); /* any thread, once */

struct http_stream_ops {
    /* Up to max bytes to out: their number, 0: nothing now (sleep until woken), -1: the end. On a server thread. */
    ssize_t (*read)(void *context, char *out, size_t max);
    /* The stream is over, whoever ended it. Called once, on a server thread; frees context. */
    void (*close)(void *context);
};
/* A reply of unknown length. The returned stream is a reference of the caller's: http_stream_unref. */
struct http_stream *http_reply_stream(struct http_request *request, unsigned status, const char *content_type,
                                      const struct http_stream_ops *ops, void *context);
struct http_stream *http_stream_ref(struct http_stream *stream);
void http_stream_unref(struct http_stream *stream); /* NULL is allowed */
/* There may be something to read now. Any thread, any time while a reference is held. */
void http_stream_wake(struct http_stream *stream);

#endif
