#include "http/http_exchange.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include <zlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

static struct http_reply *begin(struct http_request *request, unsigned status, const char *content_type)
{
    struct http_reply *reply = &request->exchange->reply;
    assert(!reply->made);
    reply->made = true;
    reply->status = status;
    reply->content_type = content_type;
    return reply;
}

void http_reply(struct http_request *request, unsigned status, const char *content_type, struct buf *take_body)
{
    struct http_reply *reply = begin(request, status, content_type);
    reply->body = *take_body;
    *take_body = BUF_INIT;
}

void http_reply_static(struct http_request *request, unsigned status, const char *content_type,
                       const struct http_static *body)
{
    struct http_reply *reply = begin(request, status, content_type);
    reply->is_static = true;
    reply->fixed = *body;
}

void http_reply_file(struct http_request *request, unsigned status, const char *content_type, int take_fd,
                     uint64_t offset, uint64_t len)
{
    struct http_reply *reply = begin(request, status, content_type);
    reply->has_file = true;
    reply->file_fd = take_fd;
    reply->file_offset = offset;
    reply->file_len = len;
}

void http_reply_empty(struct http_request *request, unsigned status)
{
    (void)begin(request, status, NULL);
}

void http_reply_error(struct http_request *request, int code, const char *format, ...)
{
    struct buf text = BUF_INIT, body = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "code", error_name(code));
    json_key(&json, "message");
    json_add_string_len(&json, text.bytes, text.len);
    json_kv_null(&json, "details");
    json_end_object(&json);
    buf_fini(&text);
    http_reply(request, (unsigned)error_http_status(code), "application/json", &body);
}

void http_reply_header(struct http_request *request, const char *name, const char *value)
{
    struct http_reply *reply = &request->exchange->reply;
    assert(reply->header_count < HTTP_REPLY_HEADERS_MAX);
    reply->header_names[reply->header_count] = name;
    reply->header_values[reply->header_count++] = arena_strdup(&request->arena, value);
}

bool http_reply_etag(struct http_request *request, const char *tag)
{
    struct http_exchange *exchange = request->exchange;
    exchange->reply.etag = arena_strdup(&request->arena, tag);
    const char *known = exchange->head.if_none_match;
    bool reads = request->method == HTTP_GET || request->method == HTTP_HEAD;
    if (!reads || !known || !http_head_etag_matches(known, tag))
        return false;
    http_reply_empty(request, MHD_HTTP_NOT_MODIFIED);
    return true;
}

bool http_replied(const struct http_request *request)
{
    return request->exchange->reply.made;
}

static bool is_compressible(const char *type)
{
    return type && (strncmp(type, "text/", 5) == 0 || strncmp(type, "application/json", 16) == 0
                    || strncmp(type, "application/yaml", 16) == 0 || strncmp(type, "image/svg+xml", 13) == 0);
}

/* Level 1: on a fast network more costs longer than it saves. */
static bool compress_body(const void *bytes, size_t len, struct buf *ret_body)
{
    z_stream stream = {0};
    if (len > UINT32_MAX / 2 || deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    struct buf out = BUF_INIT;
    size_t bound = deflateBound(&stream, len);
    stream.next_out = (Bytef *)buf_extend(&out, bound);
    stream.avail_out = (uInt)bound;
    stream.next_in = (z_const Bytef *)bytes;
    stream.avail_in = (uInt)len;
    bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    out.len = bound - stream.avail_out;
    (void)deflateEnd(&stream);
    if (done && out.len < len) {
        *ret_body = out;
        return true;
    }
    buf_fini(&out);
    return false;
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    enum MHD_Result rc = MHD_add_response_header(response, name, value);
    assert(rc == MHD_YES); /* ours: no line breaks in it */
    (void)rc;
}

static void add_headers(struct http_exchange *exchange, struct MHD_Response *response, bool may_compress,
                        bool compressed)
{
    const struct http_reply *reply = &exchange->reply;
    if (reply->content_type)
        add_header(response, "Content-Type", reply->content_type);
    add_header(response, "X-Request-Id", exchange->request.id);
    add_header(response, "X-Content-Type-Options", "nosniff");
    bool cache_said = false;
    for (unsigned i = 0; i < reply->header_count; i++) {
        add_header(response, reply->header_names[i], reply->header_values[i]);
        cache_said = cache_said || strcmp(reply->header_names[i], "Cache-Control") == 0;
    }
    if (!cache_said)
        add_header(response, "Cache-Control", reply->etag ? "no-cache" : "no-store");
    if (reply->etag) {
        /* The compressed form has other bytes, so it may only be said to be equivalent. */
        char *quoted = arena_printf(&exchange->request.arena, "%s\"%s\"", compressed ? "W/" : "", reply->etag);
        add_header(response, "ETag", quoted);
    }
    if (compressed)
        add_header(response, "Content-Encoding", "gzip");
    if ((is_compressible(reply->content_type) && may_compress) || reply->fixed.packed)
        add_header(response, "Vary", "Accept-Encoding");
    if (atomic_load(&exchange->server->stopping))
        add_header(response, "Connection", "close");
}

static struct MHD_Response *static_response(struct http_exchange *exchange, bool *ret_compressed)
{
    const struct http_static *fixed = &exchange->reply.fixed;
    *ret_compressed = fixed->packed && exchange->head.accepts_gzip;
    const void *bytes = *ret_compressed ? fixed->packed : fixed->bytes;
    size_t len = *ret_compressed ? fixed->packed_len : fixed->len;
    exchange->sent_bytes = len;
    return MHD_create_response_from_buffer(len, len ? (void *)(uintptr_t)bytes : NULL, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *body_response(struct http_exchange *exchange, bool *ret_compressed)
{
    struct http_reply *reply = &exchange->reply;
    const void *bytes = reply->body.bytes;
    size_t len = reply->body.len;
    struct buf packed = BUF_INIT;
    if (len >= HTTP_GZIP_MIN && exchange->head.accepts_gzip && is_compressible(reply->content_type)
        && compress_body(bytes, len, &packed)) {
        *ret_compressed = true;
        buf_fini(&reply->body);
        reply->body = packed;
        bytes = packed.bytes;
        len = packed.len;
    }
    exchange->sent_bytes = len;
    if (len == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(len, reply->body.bytes, mem_free);
    if (response)
        reply->body = BUF_INIT; /* the response frees it */
    return response;
}

static void set_patience(const struct http_exchange *exchange)
{
    int64_t patience_ms = exchange->server->config.request_ms + (int64_t)(exchange->sent_bytes / HTTP_READ_RATE);
    http_sweep_set(exchange->connection, clock_boot_ms() + patience_ms);
}

enum MHD_Result http_reply_send(struct http_exchange *exchange)
{
    struct http_reply *reply = &exchange->reply;
    assert(reply->made && !reply->sent);
    bool compressed = false, is_stream = reply->stream != NULL, is_file = reply->has_file;
    struct MHD_Response *response;
    if (is_file) {
        exchange->sent_bytes = reply->file_len;
        response = MHD_create_response_from_fd_at_offset64(reply->file_len, reply->file_fd, reply->file_offset);
        reply->has_file = !response; /* the response closes it */
        set_patience(exchange);
    } else if (is_stream) {
        response = http_stream_response(reply->stream);
        reply->stream = NULL; /* the response's now, also when it could not be made */
    } else {
        response = reply->is_static ? static_response(exchange, &compressed) : body_response(exchange, &compressed);
        set_patience(exchange);
    }
    if (!response)
        return MHD_NO;
    add_headers(exchange, response, !is_stream && !is_file, compressed);
    enum MHD_Result rc = MHD_queue_response(exchange->connection, reply->status, response);
    MHD_destroy_response(response);
    reply->sent = rc == MHD_YES;
    return rc;
}
