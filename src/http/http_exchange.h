/* The inside of http/: what the server, a connection and a request carry for libmicrohttpd's sake.
 *
 * Who touches an exchange: the server thread of its connection, until on_request returns with the exchange
 * deferred; then whoever completes it; after http_complete the server thread again. `turn` hands it over:
 *
 *     server thread                          completer
 *     TURN_SERVER
 *     http_defer: TURN_DEFERRED
 *     MHD_suspend_connection                 reply; exchange with TURN_COMPLETED
 *     TURN_DEFERRED -> TURN_SUSPENDED          it was DEFERRED: nothing more, the server thread will see it
 *       or, completed already: resume          it was SUSPENDED: MHD_resume_connection
 *     called again by MHD: queue the reply
 *
 * A suspended connection is not closed by MHD, so its pointer stays good until it is resumed. */
#ifndef PAWL_HTTP_HTTP_EXCHANGE_H
#define PAWL_HTTP_HTTP_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>

#include <gnutls/abstract.h>
#include <microhttpd.h>

#include "http/http.h"
#include "http/http_head.h"

enum {
    HTTP_REQUEST_MS = 30 * 1000,    /* from the request line to the end of the body */
    HTTP_IDLE_MS = 60 * 1000,       /* no byte either way: libmicrohttpd closes */
    HTTP_LINE_MS = 15 * 1000,       /* idle_ms and so much more is given until a request line is complete */
    HTTP_READ_RATE = 64,            /* bytes a ms: an answer has so much time beyond request_ms */
    HTTP_SWEEP_MS = 5 * 1000,
    HTTP_STOP_MS = 5 * 1000,        /* what slow clients are given at the end */
    HTTP_GZIP_MIN = 16 * 1024,
    HTTP_FIELDS_MAX = 200,
};

enum http_turn { TURN_SERVER, TURN_DEFERRED, TURN_SUSPENDED, TURN_COMPLETED };

struct http_tls;
struct http_loop;

struct http_connection {
    struct http_server *server;
    int fd;
    atomic_llong deadline_ms;       /* clock_boot_ms; 0: none */
    struct http_connection *older;  /* list, under server->lock */
    struct http_connection *newer;
};

struct http_server {
    struct http_config config;
    struct http_loop *loops;
    unsigned loop_count;
    char **hosts;
    size_t host_count;
    _Atomic(struct http_tls *) tls;  /* what handshakes use from now on, older ones behind it; NULL: plain HTTP */
    uint16_t port;
    bool checks_layout;             /* see http_access.c */
    uint64_t id_seed;
    atomic_ullong id_count;
    atomic_bool stopping;           /* no longer listens; what is in flight is answered */
    atomic_bool ending;             /* its threads end */
    atomic_uint active;             /* requests between their first line and on_done */
    atomic_uint deferred;           /* of those: asleep until completed */
    atomic_uint resuming;           /* other threads inside MHD_resume_connection */
    pthread_mutex_t lock;
    pthread_cond_t changed;         /* stopping, idle, first connection; CLOCK_MONOTONIC */
    struct http_connection *connections;
    unsigned connection_count;
    struct http_stream *streams;
    pthread_t sweeper;
};

struct http_reply {
    bool made;
    bool sent;
    bool is_static;
    unsigned status;
    const char *content_type;
    struct buf body;
    struct http_static fixed;       /* when is_static */
    int file_fd;                    /* when has_file */
    bool has_file;
    uint64_t file_offset;
    uint64_t file_len;
    const char *etag;
    struct http_stream *stream;
    const char *header_names[HTTP_REPLY_HEADERS_MAX];
    const char *header_values[HTTP_REPLY_HEADERS_MAX];
    unsigned header_count;
};

struct http_exchange {
    struct http_request request;
    struct http_server *server;
    struct MHD_Connection *connection;
    const char *raw_uri;            /* libmicrohttpd's own copy: only its address is looked at */
    size_t raw_uri_len;
    struct http_head head;
    struct http_reply reply;
    uint64_t received;              /* bytes of the body, those thrown away too */
    uint64_t sent_bytes;
    _Atomic(enum http_turn) turn;
    bool head_seen;
    bool sleeps;                    /* counted in server->deferred */
};

/* http_server.c: one of libmicrohttpd's, not yet driven; takes listen_fd. NULL: errno, or no memory */
struct MHD_Daemon *http_open_library(struct http_server *server, int listen_fd, unsigned connections_max);

/* http_loop.c. start: each has a copy of listen_fd; errors are errno's. stop: when nothing is in flight any more */
int http_loops_start(struct http_server *server, int listen_fd, unsigned count, unsigned connections_max);
void http_loop_resume(struct http_server *server, struct MHD_Connection *connection);
void http_loops_wake(struct http_server *server); /* they look whether the server stops */
void http_loops_stop(struct http_server *server);

/* http_access.c: the callbacks that libmicrohttpd calls */
void *http_access_on_uri(void *cls, const char *uri, struct MHD_Connection *connection);
enum MHD_Result http_access_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                       const char *method, const char *version, const char *upload,
                                       size_t *upload_len, void **req_cls);
void http_access_on_done(void *cls, struct MHD_Connection *connection, void **req_cls,
                         enum MHD_RequestTerminationCode why);
void http_resume(struct http_server *server, struct MHD_Connection *connection);

/* http_reply.c: hands the reply to libmicrohttpd */
enum MHD_Result http_reply_send(struct http_exchange *exchange);

/* http_stream.c */
struct MHD_Response *http_stream_response(struct http_stream *stream);
void http_stream_abandon(struct http_stream *stream); /* a reply that was never sent; NULL is allowed */
void http_stream_wake_all(struct http_server *server);

/* http_tls.c: a gnutls_certificate_retrieve_function2; and the end of all certificates */
int http_tls_choose(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **ret_chain,
                    unsigned *ret_count, gnutls_privkey_t *ret_key);
void http_tls_fini(struct http_server *server);

/* http_sweep.c: time limits */
void http_sweep_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode what);
/* Between requests: idle_ms and a little, since a line that comes byte by byte is not silence. */
void http_sweep_set_idle(struct http_server *server, struct MHD_Connection *connection);
void http_sweep_set(struct MHD_Connection *connection, int64_t deadline_ms);
/* Shuts down the sockets whose deadline is before now_ms; how many. */
unsigned http_sweep_expired(struct http_server *server, int64_t now_ms);
void *http_sweep_run(void *server);

#endif
