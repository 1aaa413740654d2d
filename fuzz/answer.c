/* Answers of a server, HTTP and events: the first byte says in how many pieces they come. */
#include <string.h>

#include "client/response.h"
#include "client/sse.h"
#include "fuzz.h"

static int ignore(void *context, const struct client_event *event, struct error *err)
{
    (void)context;
    (void)err;
    return strlen(event->name) > CLIENT_SSE_NAME_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    size_t step = (size_t)bytes[0] + 1;
    const char *text = (const char *)bytes + 1;
    size--;
    struct client_response response;
    struct client_sse sse = {0};
    struct buf body = BUF_INIT;
    client_response_init(&response, false);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < size; at += step)
        rc = client_response_feed(&response, text + at, size - at < step ? size - at : step, &body, NULL);
    if (rc == 0)
        (void)client_response_close(&response, NULL);
    (void)client_sse_feed(&sse, body.bytes, body.len, ignore, NULL, NULL);
    client_response_fini(&response);
    client_sse_fini(&sse);
    buf_fini(&body);
    return 0;
}
