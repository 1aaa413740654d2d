/* What libmicrohttpd calls, in this order for each request:
 *
 *     http_access_on_uri       the request line is there; the exchange is made
 *     http_access_on_request   the head is complete: checks, on_head
 *                              again for each piece of a body
 *                              again at the end: on_request, or the reply that on_head made
 *                              again after http_complete
 *     http_access_on_done      sent, or the client is gone; the exchange is freed
 *
 * A reply made early waits until the body has been read, so that a client which first writes and then reads meets
 * an answer and not a reset; unless it asked first (Expect) or has more to send than any request may. */
#include "http/http_exchange.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "http/http_router.h"

enum { DRAIN_MAX = LIMIT_BODY_BYTES_MAX };

struct fields {
    struct http_field items[HTTP_FIELDS_MAX];
    size_t count;
    bool overflow;
};

static void make_id(struct http_server *server, char *out, size_t size)
{
    unsigned long long count = atomic_fetch_add_explicit(&server->id_count, 1, memory_order_relaxed);
    uint64_t words[2] = {server->id_seed, count};
    (void)snprintf(out, size, "%016llx", (unsigned long long)map_hash_stable(words, sizeof words));
}

void *http_access_on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http_server *server = cls;
    struct http_exchange *exchange = mem_new(struct http_exchange);
    struct http_request *request = &exchange->request;
    exchange->server = server;
    exchange->connection = connection;
    exchange->raw_uri = uri;
    exchange->raw_uri_len = uri ? strlen(uri) : 0;
    request->exchange = exchange;
    request->started_us = clock_boot_us();
    /* A copy: libmicrohttpd decodes its own in place. */
    request->raw_target = arena_strndup(&request->arena, uri ? uri : "", exchange->raw_uri_len);
    make_id(server, request->id, sizeof request->id);
    atomic_fetch_add(&server->active, 1);
    http_sweep_set(connection, request->started_us / 1000 + server->config.request_ms);
    return exchange;
}

static enum MHD_Result add_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                 const char *value, size_t value_len)
{
    (void)kind;
    struct fields *fields = cls;
    if (fields->count == HTTP_FIELDS_MAX) {
        fields->overflow = true;
        return MHD_NO;
    }
    fields->items[fields->count++] = (struct http_field){name, name_len, value ? value : "", value_len};
    return MHD_YES;
}

/* libmicrohttpd before 1.0 joins folded lines (to the name, of all places), takes a bare LF for a line end, hides
 * what follows a NUL and skips extra blanks, and tells nobody. But it leaves names and values where it read them,
 * so a head that is as it should be lies in memory without gaps, each CR and LF turned to NUL:
 *     METHOD 0 TARGET 0 VERSION 0 0 name 0 blanks value 0 0 name ... value 0 0 0 0
 * Anything else is one of those, and refused. Versions from 1.0 on refuse them themselves in strict mode. */
static bool layout_is_plain(const struct http_exchange *exchange, const char *method, const char *version,
                            const struct fields *fields)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!info || exchange->raw_uri != method + strlen(method) + 1
        || version != exchange->raw_uri + exchange->raw_uri_len + 1)
        return false;
    const char *at = version + strlen(version) + 2;
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->items[i];
        if (field->name != at)
            return false;
        at += field->name_len + 1;
        while (at < field->value && (*at == ' ' || *at == '\t'))
            at++;
        if (field->value != at)
            return false;
        at += field->value_len + 2;
    }
    return at + 2 == method + info->header_size;
}

static int check_host(const struct http_exchange *exchange, bool is_http_1_0, struct error *err)
{
    const struct http_server *server = exchange->server;
    const struct http_head *head = &exchange->head;
    const char *const *hosts = (const char *const *)server->hosts;
    if (server->config.any_host)
        return 0;
    const char *authority = exchange->request.target.authority ? exchange->request.target.authority : head->host;
    if (!authority)
        return is_http_1_0 ? 0 : error_set(err, ERROR_BAD_REQUEST, "The header Host is missing");
    bool literal = server->config.any_literal && http_head_host_is_address(authority);
    if (!literal && !http_head_host_allowed(authority, hosts, server->host_count))
        return error_set(err, ERROR_FORBIDDEN, "The host '%.100s' is not one this server answers to", authority);
    if (head->origin) {
        const char *slashes = strstr(head->origin, "://");
        bool same = literal && slashes && strcasecmp(slashes + 3, authority) == 0;
        if (!slashes || (!same && !http_head_host_allowed(slashes + 3, hosts, server->host_count)))
            return error_set(err, ERROR_FORBIDDEN, "A page of another origin has no business here");
    }
    enum http_method method = exchange->request.method;
    if (method == HTTP_GET || method == HTTP_HEAD || method == HTTP_OPTIONS)
        return 0;
    if (head->fetch_site && strcasecmp(head->fetch_site, "cross-site") == 0)
        return error_set(err, ERROR_FORBIDDEN, "A page of another site may not change anything here");
    return 0;
}

static int check_head(struct http_exchange *exchange, const char *method, const char *version, struct error *err)
{
    struct http_request *request = &exchange->request;
    bool is_http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    struct fields fields;
    fields.count = 0;
    fields.overflow = false;
    (void)MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, add_field, &fields);
    if (fields.overflow)
        return error_set(err, ERROR_HEADERS_TOO_LARGE, "The request has more than %d headers", HTTP_FIELDS_MAX);
    if (strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_") != strlen(method))
        return error_set(err, ERROR_BAD_REQUEST, "The request method is malformed");
    int rc = http_head_check(fields.items, fields.count, is_http_1_0, &exchange->head, err);
    if (rc)
        return rc;
    if (exchange->head.request_id && http_head_request_id_valid(exchange->head.request_id))
        (void)snprintf(request->id, sizeof request->id, "%s", exchange->head.request_id);
    if (exchange->server->checks_layout && !layout_is_plain(exchange, method, version, &fields))
        return error_set(err, ERROR_BAD_REQUEST, "The request head has folded lines, bare line feeds, NUL bytes or "
                         "extra blanks");
    if (exchange->raw_uri_len > LIMIT_URL_BYTES_MAX)
        return error_set(err, ERROR_URI_TOO_LONG, "The request target is over %d bytes", LIMIT_URL_BYTES_MAX);
    rc = http_target_parse(&request->arena, request->raw_target, exchange->raw_uri_len, &request->target, err);
    if (!rc)
        rc = check_host(exchange, is_http_1_0, err);
    return rc;
}

static void check_body_wanted(struct http_exchange *exchange)
{
    struct http_request *request = &exchange->request;
    if (http_replied(request) || !request->has_body)
        return;
    if (request->body_max == 0)
        http_reply_error(request, ERROR_BAD_REQUEST, "This request takes no body");
    else if (exchange->head.length > request->body_max)
        http_reply_error(request, ERROR_PAYLOAD_TOO_LARGE, "The request body is over %zu bytes", request->body_max);
}

static enum MHD_Result on_head(struct http_exchange *exchange, const char *method, const char *version)
{
    struct http_request *request = &exchange->request;
    struct error err;
    exchange->head_seen = true;
    request->method_name = arena_strdup(&request->arena, method);
    request->method = http_method_from_name(method);
    int rc = check_head(exchange, method, version, &err);
    request->has_length = exchange->head.has_length;
    request->has_body = exchange->head.chunked || exchange->head.length > 0;
    if (rc) {
        http_reply_error(request, rc, "%s", err.text);
        return http_reply_send(exchange); /* at once: how the body is framed may be unknown */
    }
    exchange->server->config.on_head(exchange->server->config.context, request);
    check_body_wanted(exchange);
    if (http_replied(request) && request->has_body
        && (exchange->head.expects_continue || exchange->head.length > DRAIN_MAX))
        return http_reply_send(exchange);
    return MHD_YES;
}

static enum MHD_Result on_body(struct http_exchange *exchange, const char *bytes, size_t *len)
{
    struct http_request *request = &exchange->request;
    exchange->received += *len;
    if (!http_replied(request)) {
        if (request->body.len == 0 && exchange->head.length)
            buf_reserve(&request->body, exchange->head.length < 65536 ? exchange->head.length : 65536);
        if (*len > request->body_max - request->body.len) {
            buf_fini(&request->body);
            http_reply_error(request, ERROR_PAYLOAD_TOO_LARGE, "The request body is over %zu bytes",
                             request->body_max);
        } else if (!buf_try_add(&request->body, bytes, *len)) {
            buf_fini(&request->body);
            http_reply_error(request, ERROR_OUT_OF_MEMORY, "There is not enough memory for the request body");
        }
    }
    *len = 0;
    return http_replied(request) && exchange->received > DRAIN_MAX ? MHD_NO : MHD_YES;
}

static void wake_up(struct http_exchange *exchange)
{
    if (exchange->sleeps)
        atomic_fetch_sub(&exchange->server->deferred, 1);
    exchange->sleeps = false;
}

static enum MHD_Result on_end(struct http_exchange *exchange)
{
    struct http_request *request = &exchange->request;
    struct http_server *server = exchange->server;
    enum http_turn turn = atomic_load(&exchange->turn);
    wake_up(exchange);
    if (turn == TURN_COMPLETED && !http_replied(request))
        server->config.on_resume(server->config.context, request);
    if (http_replied(request))
        return http_reply_send(exchange);
    assert(turn == TURN_SERVER);
    http_sweep_set(exchange->connection, 0);
    server->config.on_request(server->config.context, request);
    if (atomic_load(&exchange->turn) == TURN_SERVER) {
        assert(http_replied(request));
        return http_reply_send(exchange);
    }
    exchange->sleeps = true;
    atomic_fetch_add(&server->deferred, 1);
    MHD_suspend_connection(exchange->connection);
    enum http_turn expected = TURN_DEFERRED;
    if (!atomic_compare_exchange_strong(&exchange->turn, &expected, TURN_SUSPENDED)) {
        assert(expected == TURN_COMPLETED);
        http_loop_resume(server, exchange->connection);
    }
    return MHD_YES;
}

enum MHD_Result http_access_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                       const char *method, const char *version, const char *upload,
                                       size_t *upload_len, void **req_cls)
{
    (void)cls;
    (void)connection;
    (void)url; /* decoded already: never looked at */
    struct http_exchange *exchange = *req_cls;
    if (!exchange || exchange->reply.sent)
        return MHD_NO;
    if (!exchange->head_seen)
        return on_head(exchange, method, version);
    if (*upload_len)
        return on_body(exchange, upload, upload_len);
    return on_end(exchange);
}

void http_access_on_done(void *cls, struct MHD_Connection *connection, void **req_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)why;
    struct http_server *server = cls;
    struct http_exchange *exchange = *req_cls;
    if (!exchange)
        return;
    *req_cls = NULL;
    struct http_request *request = &exchange->request;
    struct http_reply *reply = &exchange->reply;
    wake_up(exchange); /* the client left while it waited */
    if (exchange->head_seen)
        server->config.on_done(server->config.context, request, reply->sent ? reply->status : 0,
                               exchange->sent_bytes);
    http_stream_abandon(reply->stream);
    if (reply->has_file)
        (void)close(reply->file_fd);
    buf_fini(&reply->body);
    buf_fini(&request->body);
    arena_fini(&request->arena);
    mem_free(exchange);
    http_sweep_set_idle(server, connection);
    if (atomic_fetch_sub(&server->active, 1) == 1 && atomic_load(&server->stopping)) {
        pthread_mutex_lock(&server->lock);
        pthread_cond_broadcast(&server->changed);
        pthread_mutex_unlock(&server->lock);
    }
}

void http_resume(struct http_server *server, struct MHD_Connection *connection)
{
    atomic_fetch_add(&server->resuming, 1);
    http_loop_resume(server, connection);
    atomic_fetch_sub(&server->resuming, 1);
}

void http_defer(struct http_request *request)
{
    atomic_store(&request->exchange->turn, TURN_DEFERRED);
}

void http_complete(struct http_request *request)
{
    struct http_exchange *exchange = request->exchange;
    struct http_server *server = exchange->server;
    struct MHD_Connection *connection = exchange->connection;
    /* Not ours after this, unless it is suspended, which only we can end. */
    atomic_fetch_add(&server->resuming, 1);
    enum http_turn was = atomic_exchange(&exchange->turn, TURN_COMPLETED);
    assert(was == TURN_DEFERRED || was == TURN_SUSPENDED);
    if (was == TURN_SUSPENDED)
        http_loop_resume(server, connection);
    atomic_fetch_sub(&server->resuming, 1);
}

void http_peer(const struct http_request *request, unsigned char address[HTTP_PEER_LEN],
               char text[HTTP_PEER_TEXT_MAX])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *peer = info ? info->client_addr : NULL;
    memset(address, 0, HTTP_PEER_LEN);
    (void)snprintf(text, HTTP_PEER_TEXT_MAX, "unknown");
    if (peer && peer->sa_family == AF_INET) {
        const struct in_addr *four = &((const struct sockaddr_in *)(const void *)peer)->sin_addr;
        address[10] = address[11] = 0xff;
        memcpy(address + 12, four, sizeof *four);
        (void)inet_ntop(AF_INET, four, text, HTTP_PEER_TEXT_MAX);
    } else if (peer && peer->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
        memcpy(address, six, HTTP_PEER_LEN);
        (void)inet_ntop(AF_INET6, six, text, HTTP_PEER_TEXT_MAX);
    }
}

const char *http_header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->exchange->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_request *request, const char *name)
{
    for (unsigned i = 0; i < request->target.query_count; i++) {
        if (strcmp(request->target.query[i].name.text, name) == 0)
            return request->target.query[i].value.text;
    }
    return NULL;
}
