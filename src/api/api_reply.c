/* Answers, over HTTP or into api_get's buffer. */
#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "api/api_call.h"

static const char json_media_type[] = "application/json";

struct arena *api_arena(struct api_call *call)
{
    return &call->request->arena;
}

void api_reply(struct api_call *call, unsigned status, const char *content_type, struct buf *take_body)
{
    if (!call->offline) {
        http_reply(call->request, status, content_type, take_body);
        return;
    }
    assert(!call->offline_status);
    call->offline_status = (int)status;
    call->offline_body = *take_body;
    *take_body = BUF_INIT;
}

static int add_text(const char *bytes, size_t len, void *context)
{
    buf_add(context, bytes, len);
    return 0;
}

const char *api_json_text(const json_t *value, struct arena *arena)
{
    struct buf text = BUF_INIT;
    int rc = json_dump_callback(value, add_text, &text, JSON_COMPACT | JSON_SORT_KEYS);
    assert(rc == 0); /* what was parsed can be written */
    (void)rc;
    const char *kept = arena_strndup(arena, text.bytes, text.len);
    buf_fini(&text);
    return kept;
}

void api_reply_json(struct api_call *call, unsigned status, struct buf *take_body)
{
    api_reply(call, status, json_media_type, take_body);
}

void api_reply_static(struct api_call *call, unsigned status, const char *content_type,
                      const struct http_static *bytes)
{
    if (!call->offline) {
        http_reply_static(call->request, status, content_type, bytes);
        return;
    }
    struct buf body = BUF_INIT;
    buf_add(&body, bytes->bytes, bytes->len);
    api_reply(call, status, content_type, &body);
}

static int read_whole(int fd, uint64_t offset, uint64_t len, struct buf *out)
{
    while (len > 0) {
        size_t part = len < 65536 ? (size_t)len : 65536;
        ssize_t got = pread(fd, buf_extend(out, part), part, (off_t)offset);
        out->len -= part - (got > 0 ? (size_t)got : 0);
        if (got <= 0)
            return got < 0 ? ERROR_IO : 0; /* it was cut meanwhile */
        offset += (uint64_t)got;
        len -= (uint64_t)got;
    }
    return 0;
}

void api_reply_file(struct api_call *call, unsigned status, const char *content_type, int take_fd, uint64_t offset,
                    uint64_t len)
{
    if (!call->offline) {
        http_reply_file(call->request, status, content_type, take_fd, offset, len);
        return;
    }
    struct buf body = BUF_INIT;
    int rc = read_whole(take_fd, offset, len, &body);
    (void)close(take_fd);
    if (rc)
        api_fail(call, rc, "The file cannot be read");
    else
        api_reply(call, status, content_type, &body);
    buf_fini(&body);
}

void api_reply_empty(struct api_call *call, unsigned status)
{
    if (call->offline)
        call->offline_status = (int)status;
    else
        http_reply_empty(call->request, status);
}

void api_reply_header(struct api_call *call, const char *name, const char *value)
{
    if (!call->offline)
        http_reply_header(call->request, name, value);
}

void api_reply_location(struct api_call *call, const char *path)
{
    const char *base = call->is_below_base ? call->api->config.base_path : "";
    api_reply_header(call, "Location", arena_printf(api_arena(call), "%s%s", base, path));
}

bool api_reply_etag(struct api_call *call, const char *tag)
{
    return !call->offline && http_reply_etag(call->request, tag);
}

static void fail(struct api_call *call, int code, const char *message, const char *details)
{
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "code", error_name(code));
    json_kv_string(&json, "message", message);
    json_kv_string(&json, "details", details);
    json_end_object(&json);
    unsigned status = (unsigned)error_http_status(code);
    if (status == 503)
        api_reply_header(call, "Retry-After", code == ERROR_FULL ? "1" : "5");
    api_reply_json(call, status, &body);
}

void api_fail(struct api_call *call, int code, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    fail(call, code, buf_text(&text), NULL);
    buf_fini(&text);
}

void api_fail_error(struct api_call *call, const struct error *err)
{
    fail(call, (int)err->code, err->text, NULL);
}

void api_fail_details(struct api_call *call, int code, const char *message, const char *details)
{
    fail(call, code, message, details);
}
