/* Reads a text/event-stream in pieces of any size (WHATWG HTML, section 9.2.6). No I/O. */
#ifndef PAWL_CLIENT_SSE_H
#define PAWL_CLIENT_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum { CLIENT_SSE_EVENT_MAX = 256 * 1024 * 1024, CLIENT_SSE_NAME_MAX = 64 };

struct client_event {
    const char *name;       /* "message" when the stream gave none */
    const char *data;       /* terminated; lines joined by '\n' */
    size_t len;
    const char *id;         /* the last id seen, also of an earlier event; "" if none */
};

struct client_sse {
    struct buf line;
    struct buf data;
    char name[CLIENT_SSE_NAME_MAX];
    char id[CLIENT_SSE_NAME_MAX];
    bool has_data;
    bool skip_line_feed;    /* the last byte was '\r' */
    bool started;           /* a byte order mark is over */
};

typedef int client_on_event(void *context, const struct client_event *event, struct error *err);

void client_sse_fini(struct client_sse *sse); /* zero-initialised is a new reader */
/* The stream ended or broke, another one comes: of what was read only the last id stays. */
void client_sse_restart(struct client_sse *sse);
/* Calls on_event for each event that is complete. A result other than 0 of on_event stops and is returned. */
int client_sse_feed(struct client_sse *sse, const char *bytes, size_t len, client_on_event *on_event, void *context,
                    struct error *err);

#endif
