/* Replies whose bytes come bit by bit. A stream is read on its connection's thread; with nothing to read the
 * connection sleeps, and http_stream_wake ends the sleep from any thread:
 *
 *     RUNNING    the server thread reads or sends
 *     PENDING    the same, and somebody woke it meanwhile: it must read again before it sleeps
 *     SUSPENDED  asleep; whoever moves it to RUNNING resumes the connection
 *     CLOSED     over; waking it does nothing */
#include "http/http_exchange.h"

#include <assert.h>

#include "base/mem.h"

enum { STREAM_RUNNING, STREAM_PENDING, STREAM_SUSPENDED, STREAM_CLOSED };
enum { STREAM_BLOCK = 4096 }; /* only used for HTTP/1.0 clients, which get no chunks */

struct http_stream {
    atomic_uint refs;
    atomic_int state;
    struct http_server *server;
    struct MHD_Connection *connection;
    const struct http_stream_ops *ops;
    void *context;
    struct http_stream *older; /* under server->lock */
    struct http_stream *newer;
};

struct http_stream *http_stream_ref(struct http_stream *stream)
{
    atomic_fetch_add(&stream->refs, 1);
    return stream;
}

void http_stream_unref(struct http_stream *stream)
{
    if (stream && atomic_fetch_sub(&stream->refs, 1) == 1)
        mem_free(stream);
}

void http_stream_wake(struct http_stream *stream)
{
    int state = atomic_load(&stream->state);
    for (;;) {
        if (state == STREAM_PENDING || state == STREAM_CLOSED)
            return;
        int next = state == STREAM_SUSPENDED ? STREAM_RUNNING : STREAM_PENDING;
        if (atomic_compare_exchange_weak(&stream->state, &state, next))
            break;
    }
    if (state == STREAM_SUSPENDED)
        http_resume(stream->server, stream->connection);
}

static ssize_t on_read(void *cls, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct http_stream *stream = cls;
    atomic_store(&stream->state, STREAM_RUNNING);
    if (atomic_load(&stream->server->stopping))
        return MHD_CONTENT_READER_END_WITH_ERROR; /* cut off: nobody takes it for whole */
    ssize_t len = stream->ops->read(stream->context, out, max);
    if (len > 0)
        return len;
    if (len < 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    MHD_suspend_connection(stream->connection);
    int state = STREAM_RUNNING;
    if (!atomic_compare_exchange_strong(&stream->state, &state, STREAM_SUSPENDED)) {
        assert(state == STREAM_PENDING);
        http_loop_resume(stream->server, stream->connection);
    }
    return 0;
}

static void on_free(void *cls)
{
    struct http_stream *stream = cls;
    atomic_store(&stream->state, STREAM_CLOSED);
    struct http_server *server = stream->server;
    pthread_mutex_lock(&server->lock);
    if (stream->newer)
        stream->newer->older = stream->older;
    else
        server->streams = stream->older;
    if (stream->older)
        stream->older->newer = stream->newer;
    pthread_mutex_unlock(&server->lock);
    if (stream->ops->close)
        stream->ops->close(stream->context);
    http_stream_unref(stream);
}

struct http_stream *http_reply_stream(struct http_request *request, unsigned status, const char *content_type,
                                      const struct http_stream_ops *ops, void *context)
{
    struct http_exchange *exchange = request->exchange;
    struct http_stream *stream = mem_new(struct http_stream);
    atomic_store(&stream->refs, 2); /* the reply's and the caller's */
    stream->server = exchange->server;
    stream->connection = exchange->connection;
    stream->ops = ops;
    stream->context = context;
    struct http_reply *reply = &exchange->reply;
    assert(!reply->made);
    reply->made = true;
    reply->status = status;
    reply->content_type = content_type;
    reply->stream = stream;
    struct http_server *server = exchange->server;
    pthread_mutex_lock(&server->lock);
    stream->older = server->streams;
    if (stream->older)
        stream->older->newer = stream;
    server->streams = stream;
    pthread_mutex_unlock(&server->lock);
    return stream;
}

struct MHD_Response *http_stream_response(struct http_stream *stream)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read, stream, on_free);
    if (!response)
        on_free(stream);
    return response;
}

void http_stream_abandon(struct http_stream *stream)
{
    if (stream)
        on_free(stream);
}

void http_stream_wake_all(struct http_server *server)
{
    /* Resuming takes no lock of ours, so it may be done under it. */
    pthread_mutex_lock(&server->lock);
    for (struct http_stream *stream = server->streams; stream; stream = stream->older)
        http_stream_wake(stream);
    pthread_mutex_unlock(&server->lock);
}
