/* What a daemon reads from a worker and a worker from a daemon: any bytes, several frames. What was understood is
 * written again and must be understood as the same. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "worker/protocol.h"

static size_t walk(const struct job_list *list)
{
    size_t total = 0;
    const char *cursor = list->bytes;
    const char *text;
    while ((text = worker_list_next(list, &cursor)))
        total += strlen(text) + 1;
    return total;
}

static void check_message(const struct message *message)
{
    if (message->type == MESSAGE_NONE)
        return;
    if (message->type == MESSAGE_START) {
        const struct job *job = &message->start;
        assert(walk(&job->env) == job->env.len && walk(&job->argv) == job->argv.len);
        assert(walk(&job->headers) == job->headers.len);
        assert(!job->code || job->code[job->code_len] == '\0');
        assert(!job->body || job->body[job->body_len] == '\0');
    }
    struct buf first = BUF_INIT;
    struct buf second = BUF_INIT;
    struct message again;
    worker_message_write(&first, message);
    assert(worker_message_read(first.bytes, first.len, &again, NULL) == (ssize_t)first.len);
    worker_message_write(&second, &again);
    assert(first.len == second.len && memcmp(first.bytes, second.bytes, first.len) == 0);
    buf_fini(&first);
    buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    const char *at = (const char *)input;
    while (len) {
        struct message message;
        struct error err = {0};
        ssize_t size = worker_message_read(at, len, &message, &err);
        if (size <= 0) {
            assert(size == 0 || err.text[0]);
            break;
        }
        assert((size_t)size <= len && size >= PROTOCOL_HEAD_BYTES);
        check_message(&message);
        at += size;
        len -= (size_t)size;
    }
    return 0;
}
