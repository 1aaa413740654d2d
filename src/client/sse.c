#include "client/sse.h"

#include <string.h>

void client_sse_fini(struct client_sse *sse)
{
    buf_fini(&sse->line);
    buf_fini(&sse->data);
}

void client_sse_restart(struct client_sse *sse)
{
    struct client_sse fresh = {0};
    memcpy(fresh.id, sse->id, sizeof fresh.id);
    client_sse_fini(sse);
    *sse = fresh;
}

static void copy_name(char *name, const char *text, size_t len)
{
    if (len >= CLIENT_SSE_NAME_MAX)
        len = CLIENT_SSE_NAME_MAX - 1;
    memcpy(name, text, len);
    name[len] = '\0';
}

static void take_field(struct client_sse *sse, const char *field, size_t field_len, const char *value, size_t len)
{
    if (field_len == 4 && memcmp(field, "data", 4) == 0) {
        if (sse->has_data)
            buf_add_char(&sse->data, '\n');
        buf_add(&sse->data, value, len);
        sse->has_data = true;
    } else if (field_len == 5 && memcmp(field, "event", 5) == 0) {
        copy_name(sse->name, value, len);
    } else if (field_len == 2 && memcmp(field, "id", 2) == 0 && !memchr(value, '\0', len)) {
        copy_name(sse->id, value, len);
    }
}

static void take_line(struct client_sse *sse)
{
    const char *line = sse->line.bytes;
    size_t len = sse->line.len;
    const char *colon = memchr(line, ':', len);
    if (colon == line)
        return; /* a comment */
    size_t field_len = colon ? (size_t)(colon - line) : len;
    const char *value = colon ? colon + 1 : line + len;
    size_t value_len = colon ? len - field_len - 1 : 0;
    if (value_len > 0 && *value == ' ') {
        value++;
        value_len--;
    }
    take_field(sse, line, field_len, value, value_len);
}

static int end_line(struct client_sse *sse, client_on_event *on_event, void *context, struct error *err)
{
    int rc = 0;
    if (!sse->started && sse->line.len >= 3 && memcmp(sse->line.bytes, "\xef\xbb\xbf", 3) == 0)
        buf_drop_front(&sse->line, 3);
    sse->started = true;
    if (sse->line.len > 0) {
        take_line(sse);
    } else {
        if (sse->has_data) {
            struct client_event event = {.name = sse->name[0] ? sse->name : "message",
                                         .data = buf_text(&sse->data),
                                         .len = sse->data.len,
                                         .id = sse->id};
            rc = on_event(context, &event, err);
        }
        buf_clear(&sse->data);
        sse->has_data = false;
        sse->name[0] = '\0';
    }
    buf_clear(&sse->line);
    return rc;
}

int client_sse_feed(struct client_sse *sse, const char *bytes, size_t len, client_on_event *on_event, void *context,
                    struct error *err)
{
    size_t at = 0;
    while (at < len) {
        if (sse->skip_line_feed && bytes[at] == '\n') {
            sse->skip_line_feed = false;
            at++;
            continue;
        }
        sse->skip_line_feed = false;
        size_t start = at;
        while (at < len && bytes[at] != '\n' && bytes[at] != '\r')
            at++;
        if (sse->line.len + sse->data.len + (at - start) > CLIENT_SSE_EVENT_MAX)
            return error_set(err, ERROR_TOO_BIG, "an event of the server is larger than %d MiB",
                             CLIENT_SSE_EVENT_MAX / (1024 * 1024));
        buf_add(&sse->line, bytes + start, at - start);
        if (at == len)
            break;
        sse->skip_line_feed = bytes[at] == '\r';
        at++;
        int rc = end_line(sse, on_event, context, err);
        if (rc)
            return rc;
    }
    return 0;
}
