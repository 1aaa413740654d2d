/* The server over real sockets. */
#include "client.h"

#include "support/check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <zlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/http.h"
#include "http/http_exchange.h"

enum { BIG = 100000, DEFERRED_MAX = 64 };

/* Deferred requests are completed by this thread. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_request *waiting[DEFERRED_MAX];
    unsigned count;
    unsigned seen;
    bool held; /* do not complete yet */
    bool stop;
    pthread_t thread;
} completer = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct {
    pthread_mutex_t lock;
    struct http_stream *stream;
    char text[64];
    size_t len;
    bool end;
    bool closed;
    pthread_cond_t changed;
} feed = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static atomic_uint done_count, done_unsent;

static void *complete_all(void *cls)
{
    (void)cls;
    pthread_mutex_lock(&completer.lock);
    while (!completer.stop) {
        if (completer.held || completer.count == 0) {
            pthread_cond_wait(&completer.changed, &completer.lock);
            continue;
        }
        struct http_request *request = completer.waiting[--completer.count];
        pthread_mutex_unlock(&completer.lock);
        if (request->method == HTTP_GET) {
            struct buf body = BUF_INIT;
            buf_add_text(&body, "late");
            http_reply(request, 202, "text/plain", &body);
        }
        http_complete(request);
        pthread_mutex_lock(&completer.lock);
    }
    pthread_mutex_unlock(&completer.lock);
    return NULL;
}

static ssize_t feed_read(void *cls, char *out, size_t max)
{
    (void)cls;
    pthread_mutex_lock(&feed.lock);
    ssize_t len = feed.end && feed.len == 0 ? -1 : (ssize_t)(feed.len < max ? feed.len : max);
    if (len > 0) {
        memcpy(out, feed.text, (size_t)len);
        feed.len = 0;
    }
    pthread_mutex_unlock(&feed.lock);
    return len;
}

static void feed_close(void *cls)
{
    (void)cls;
    pthread_mutex_lock(&feed.lock);
    feed.closed = true;
    pthread_cond_broadcast(&feed.changed);
    pthread_mutex_unlock(&feed.lock);
}

static const struct http_stream_ops feed_ops = {feed_read, feed_close};

static void feed_put(const char *text, bool end)
{
    pthread_mutex_lock(&feed.lock);
    feed.len = strlen(text);
    memcpy(feed.text, text, feed.len);
    feed.end = end;
    pthread_mutex_unlock(&feed.lock);
    http_stream_wake(feed.stream);
}

static bool path_is(const struct http_request *request, const char *name)
{
    return request->target.segment_count == 1 && strcmp(request->target.segments[0].text, name) == 0;
}

static void on_head(void *cls, struct http_request *request)
{
    (void)cls;
    if (request->method == HTTP_POST)
        request->body_max = 1000;
    if (path_is(request, "refused"))
        http_reply_error(request, ERROR_NOT_FOUND, "nothing \"here\"");
}

static void defer(struct http_request *request)
{
    http_defer(request);
    pthread_mutex_lock(&completer.lock);
    assert_true(completer.count < DEFERRED_MAX);
    completer.waiting[completer.count++] = request;
    completer.seen++;
    pthread_cond_broadcast(&completer.changed);
    pthread_mutex_unlock(&completer.lock);
}

static void on_request(void *cls, struct http_request *request)
{
    (void)cls;
    struct buf body = BUF_INIT;
    if (path_is(request, "later")) {
        defer(request);
    } else if (path_is(request, "at-once")) {
        http_defer(request);
        http_reply_empty(request, 204);
        http_complete(request);
    } else if (path_is(request, "stream")) {
        feed.stream = http_reply_stream(request, 200, "text/event-stream", &feed_ops, NULL);
    } else if (path_is(request, "file")) {
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        http_reply_file(request, 200, "text/plain", fd, 1, 3);
    } else if (path_is(request, "tag")) {
        if (http_reply_etag(request, "t1"))
            return;
        http_reply_static(request, 200, "text/plain", &(struct http_static){"tagged", 6, "packed-", 7});
    } else if (path_is(request, "big")) {
        memset(buf_extend(&body, BIG), 'x', BIG);
        http_reply(request, 200, "text/plain", &body);
    } else {
        buf_printf(&body, "%s %u %zu:", request->method_name, request->target.segment_count, request->body.len);
        buf_add(&body, request->body.bytes, request->body.len);
        http_reply(request, 200, "text/plain", &body);
    }
}

static void on_resume(void *cls, struct http_request *request)
{
    (void)cls;
    http_reply_static(request, 201, "text/plain", &(struct http_static){.bytes = "resumed", .len = 7});
}

static void on_done(void *cls, struct http_request *request, unsigned status, uint64_t sent)
{
    (void)cls;
    (void)request;
    (void)sent;
    atomic_fetch_add(&done_count, 1);
    if (status == 0)
        atomic_fetch_add(&done_unsent, 1);
}

static struct http_server *start(void)
{
    static const char *const hosts[] = {"localhost"};
    struct http_config config = {
        .hosts = hosts, .host_count = 1, .on_head = on_head, .on_request = on_request, .on_resume = on_resume,
        .on_done = on_done,
    };
    struct http_server *server = NULL;
    struct error err = {0};
    if (http_start(&config, &server, &err) != 0)
        fail_msg("%s", err.text);
    assert_true(http_port(server) != 0);
    return server;
}

static int setup(void **state)
{
    completer.stop = completer.held = false;
    completer.seen = 0;
    assert_int_equal(pthread_create(&completer.thread, NULL, complete_all, NULL), 0);
    *state = start();
    return 0;
}

static int teardown(void **state)
{
    http_stop(*state);
    pthread_mutex_lock(&completer.lock);
    completer.stop = true;
    pthread_cond_broadcast(&completer.changed);
    pthread_mutex_unlock(&completer.lock);
    pthread_join(completer.thread, NULL);
    return 0;
}

#define HEAD "Host: localhost\r\nConnection: close\r\n"

static void expect(struct http_server *server, const char *request, int status, const char *part)
{
    struct buf answer = BUF_INIT;
    client_ask(http_port(server), request, &answer);
    if (client_status(&answer) != status || (part && !strstr(answer.bytes, part)))
        fail_msg("asked: %.300s\nwanted %d %s\ngot: %.600s", request, status, part ? part : "", buf_text(&answer));
    buf_fini(&answer);
}

static void test_plain(void **state)
{
    struct http_server *server = *state;
    expect(server, "GET /x HTTP/1.1\r\n" HEAD "\r\n", 200, "GET 1 0:");
    expect(server, "GET /x HTTP/1.0\r\n\r\n", 200, "GET 1 0:");
    expect(server, "GET http://localhost/a/b HTTP/1.1\r\n" HEAD "\r\n", 200, "GET 2 0:");
    expect(server, "\r\nGET /x HTTP/1.1\r\n" HEAD "\r\n", 200, "GET 1");
    expect(server, "POST /x HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n\r\nabc", 200, "POST 1 3:abc");
    expect(server, "POST /x HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200,
           "POST 1 3:abc");
    expect(server, "POST /x HTTP/1.1\r\n" HEAD "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", 100,
           "POST 1 3:abc");
    expect(server, "GET /x HTTP/1.1\r\n" HEAD "X-Request-Id: mine-1\r\n\r\n", 200, "X-Request-Id: mine-1\r\n");
    expect(server, "GET /x HTTP/1.1\r\n" HEAD "X-Request-Id: not mine\r\n\r\n", 200, "X-Request-Id: ");
    expect(server, "GET /refused HTTP/1.1\r\n" HEAD "\r\n", 404,
           "{\"code\":\"NOT_FOUND\",\"message\":\"nothing \\\"here\\\"\",\"details\":null}");
    expect(server, "GET /file HTTP/1.1\r\n" HEAD "\r\n", 200, "\r\n\r\nELF");
    expect(server, "GET /tag HTTP/1.1\r\n" HEAD "\r\n", 200, "ETag: \"t1\"\r\n");
    expect(server, "GET /tag HTTP/1.1\r\n" HEAD "If-None-Match: \"t0\", W/\"t1\"\r\n\r\n", 304, "ETag: \"t1\"\r\n");
}

static void test_refused(void **state)
{
    struct http_server *server = *state;
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n", 400},                       /* no Host */
        {"GET /x HTTP/1.1\r\n" HEAD "Host: localhost\r\n\r\n", 400},
        {"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403},
        {"GET http://evil.example/ HTTP/1.1\r\n" HEAD "\r\n", 403},
        {"POST /x HTTP/1.1\r\n" HEAD "Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n", 403},
        {"POST /x HTTP/1.1\r\n" HEAD "Origin: null\r\nContent-Length: 0\r\n\r\n", 403},
        {"GET /x HTTP/1.1\r\n" HEAD "Origin: http://evil.example\r\n\r\n", 403},
        {"OPTIONS /x HTTP/1.1\r\n" HEAD "Origin: http://evil.example\r\n\r\n", 403}, /* CORS asks first */
        {"GET /x HTTP/1.1\r\n" HEAD "Origin: http://localhost.evil.example\r\n\r\n", 403},
        {"GET /x HTTP/1.1\r\n" HEAD "Origin: http://localhost@evil.example\r\n\r\n", 403},
        {"GET /x HTTP/1.1\r\nConnection: close\r\nHost: 192.0.2.1\r\n\r\n", 403},
        {"POST /x HTTP/1.1\r\n" HEAD "Sec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n", 403},
        {"GET /x HTTP/1.1\r\n" HEAD "A: b\r\n c\r\n\r\n", 400},                       /* folded */
        {"GET /x HTTP/1.1\r\n" HEAD "A: b\r\n\tc\r\nD: e\r\n\r\n", 400},
        {"POST /x HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n x\r\n\r\nabc", 400},
        {"POST /x HTTP/1.1\r\n" HEAD "Transfer-Encod: chunked\r\n ing\r\n\r\n0\r\n\r\n", 400},
        {"GET /x HTTP/1.1\nHost: localhost\n\n", 400},                               /* bare LF */
        {"GET /x HTTP/1.1\r\nHost: localhost\nA: b\r\n\r\n", 400},
        {"GET  /x HTTP/1.1\r\n" HEAD "\r\n", 400},
        {"GET /x  HTTP/1.1\r\n" HEAD "\r\n", 0},                                     /* closed without a word */
        {"GET /x HTTP/1.1\r\n" HEAD "A : b\r\n\r\n", 400},
        {"POST /x HTTP/1.1\r\n" HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST /x HTTP/1.1\r\n" HEAD "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
        {"POST /x HTTP/1.1\r\n" HEAD "Content-Length: 3x\r\n\r\nabc", 400},
        {"POST /x HTTP/1.1\r\n" HEAD "Transfer-Encoding: gzip\r\n\r\nabc", 400},
        {"GET /x HTTP/1.1\r\n" HEAD "Content-Length: 3\r\n\r\nabc", 400},             /* a body nobody wants */
        {"POST /x HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"GET /%00 HTTP/1.1\r\n" HEAD "\r\n", 400},
        {"GET /%zz HTTP/1.1\r\n" HEAD "\r\n", 400},
        {"GET x HTTP/1.1\r\n" HEAD "\r\n", 400},
        {"GET /x HTTP/1.1\r\n" HEAD "no colon\r\n\r\n", 400},
        {"GET /x HTTP/2.0\r\n" HEAD "\r\n", 505},
        {"GET /x FTP/1.1\r\n" HEAD "\r\n", 400},
        {"G(T /x HTTP/1.1\r\n" HEAD "\r\n", 400},
        {"POST /x HTTP/1.1\r\n" HEAD "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n", 413},
        {"POST /x HTTP/1.1\r\n" HEAD "Content-Length: 99999999999\r\n\r\n", 413},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(server, cases[i].request, cases[i].status, NULL);
    expect(server, "GET /x HTTP/1.1\r\n" HEAD "\r\n", 200, "GET 1 0:");
    expect(server, "GET /x HTTP/1.1\r\n" HEAD "Sec-Fetch-Site: cross-site\r\n\r\n", 200, NULL); /* a link */
    expect(server, "GET /x HTTP/1.1\r\n" HEAD "Origin: http://localhost:3\r\n\r\n", 200, NULL);
}

static void test_nul_in_head(void **state)
{
    struct http_server *server = *state;
    static const char request[] = "GET /x HTTP/1.1\r\n" HEAD "A: b\0c\r\nD: e\r\n\r\n";
    struct buf answer = BUF_INIT;
    int fd = client_connect(http_port(server));
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    client_read_until(fd, NULL, &answer);
    assert_int_equal(client_status(&answer), 400);
    (void)close(fd);
    buf_fini(&answer);
}

static void test_sizes(void **state)
{
    struct http_server *server = *state;
    static const struct {
        size_t path;
        size_t header;
        size_t body;
        int status;
    } cases[] = {
        {LIMIT_URL_BYTES_MAX, 1, 0, 200},
        {LIMIT_URL_BYTES_MAX + 1, 1, 0, 414},
        {64 * 1024, 1, 0, 414},
        {10, LIMIT_HEADER_BYTES_MAX - 200, 0, 200},
        {10, LIMIT_HEADER_BYTES_MAX + 1, 0, 431},
        {10, 256 * 1024, 0, 431},
        {10, 1, 1000, 200},
        {10, 1, 1001, 413},
        {10, 1, 3000000, 413},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf request = BUF_INIT;
        buf_printf(&request, "%s /", cases[i].body ? "POST" : "GET");
        memset(buf_extend(&request, cases[i].path - 1), 'p', cases[i].path - 1);
        buf_add_text(&request, " HTTP/1.1\r\n" HEAD "A: ");
        memset(buf_extend(&request, cases[i].header), 'h', cases[i].header);
        if (cases[i].body)
            buf_printf(&request, "\r\nContent-Length: %zu", cases[i].body);
        buf_add_text(&request, "\r\n\r\n");
        memset(buf_extend(&request, cases[i].body), 'b', cases[i].body);
        expect(server, buf_text(&request), cases[i].status, NULL);
        buf_fini(&request);
    }
}

static void test_keep_alive(void **state)
{
    struct http_server *server = *state;
    struct buf answer = BUF_INIT;
    int fd = client_connect(http_port(server));
    for (int i = 0; i < 3; i++) {
        buf_clear(&answer);
        client_send(fd, "POST /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
        client_read_until(fd, "POST 1 2:hi", &answer);
        buf_clear(&answer);
        client_send(fd, "POST /one HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n");
        for (int k = 0; k < 7; k++)
            client_send(fd, "0123456789012345678901234567890123456789012345678901234567890123456789"
                            "0123456789012345678901234567890123456789012345678901234567890123456789012");
        client_read_until(fd, "\"details\":null}", &answer);
        assert_int_equal(client_status(&answer), 413);
    }
    /* pipelined, in order */
    buf_clear(&answer);
    client_send(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\nGET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    "GET /at-once HTTP/1.1\r\nHost: localhost\r\n\r\nGET /y HTTP/1.1\r\n" HEAD "\r\n");
    client_read_until(fd, NULL, &answer);
    char *late = strstr(answer.bytes, "late"), *plain = strstr(answer.bytes, "GET 1 0:");
    assert_true(late && plain && late < plain);
    assert_non_null(strstr(plain, "HTTP/1.1 204"));
    (void)close(fd);
    buf_fini(&answer);
}

static void test_head_and_gzip(void **state)
{
    struct http_server *server = *state;
    struct buf answer = BUF_INIT;
    client_ask(http_port(server), "HEAD /big HTTP/1.1\r\n" HEAD "\r\n", &answer);
    assert_non_null(strstr(answer.bytes, "Content-Length: 100000"));
    assert_true(answer.len < 1000);
    buf_clear(&answer);
    client_ask(http_port(server), "GET /big HTTP/1.1\r\n" HEAD "Accept-Encoding: gzip\r\n\r\n", &answer);
    assert_non_null(strstr(answer.bytes, "Content-Encoding: gzip\r\n"));
    assert_non_null(strstr(answer.bytes, "Vary: Accept-Encoding\r\n"));
    char *body = strstr(answer.bytes, "\r\n\r\n") + 4;
    static char plain[BIG + 1];
    z_stream stream = {0};
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (Bytef *)body;
    stream.avail_in = (uInt)(answer.len - (size_t)(body - answer.bytes));
    stream.next_out = (Bytef *)plain;
    stream.avail_out = sizeof plain;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.total_out, BIG);
    assert_int_equal(strspn(plain, "x"), BIG);
    (void)inflateEnd(&stream);
    buf_fini(&answer);
}

static void test_deferred(void **state)
{
    struct http_server *server = *state;
    for (int i = 0; i < 200; i++) { /* both orders of complete and suspend come up */
        expect(server, "GET /later HTTP/1.1\r\n" HEAD "\r\n", 202, "late");
        expect(server, "POST /later HTTP/1.1\r\n" HEAD "Content-Length: 0\r\n\r\n", 201, "resumed");
        expect(server, "GET /at-once HTTP/1.1\r\n" HEAD "\r\n", 204, NULL);
    }
}

static void hold(bool held)
{
    pthread_mutex_lock(&completer.lock);
    completer.held = held;
    pthread_cond_broadcast(&completer.changed);
    pthread_mutex_unlock(&completer.lock);
}

static void wait_deferred(unsigned count)
{
    pthread_mutex_lock(&completer.lock);
    while (completer.seen < count)
        pthread_cond_wait(&completer.changed, &completer.lock);
    pthread_mutex_unlock(&completer.lock);
}

static void test_client_gone(void **state)
{
    struct http_server *server = *state;
    unsigned unsent = atomic_load(&done_unsent);
    hold(true);
    for (unsigned i = 0; i < 20; i++) {
        int fd = client_connect(http_port(server));
        client_send(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wait_deferred(i + 1);
        struct linger reset = {1, 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        (void)close(fd);
    }
    hold(false);
    expect(server, "GET /later HTTP/1.1\r\n" HEAD "\r\n", 202, "late");
    assert_true(atomic_load(&done_unsent) >= unsent);
}

static void test_stop_waits(void **state)
{
    struct http_server *server = start();
    hold(true);
    int fd = client_connect(http_port(server));
    unsigned seen = completer.seen;
    client_send(fd, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_deferred(seen + 1);
    hold(false);
    http_stop(server); /* returns only when the deferred one was answered */
    struct buf answer = BUF_INIT;
    client_read_until(fd, NULL, &answer);
    assert_int_equal(client_status(&answer), 202);
    (void)close(fd);
    buf_fini(&answer);
    (void)state;
}

static int open_stream(struct http_server *server, struct buf *answer)
{
    feed.len = 0;
    feed.end = feed.closed = false;
    int fd = client_connect(http_port(server));
    client_send(fd, "GET /stream HTTP/1.1\r\n" HEAD "\r\n");
    client_read_until(fd, "\r\n\r\n", answer); /* the head comes before there is anything to say */
    return fd;
}

static void wait_closed(void)
{
    pthread_mutex_lock(&feed.lock);
    while (!feed.closed)
        pthread_cond_wait(&feed.changed, &feed.lock);
    pthread_mutex_unlock(&feed.lock);
    http_stream_wake(feed.stream); /* does nothing now, and no harm */
    http_stream_unref(feed.stream);
}

static void test_stream(void **state)
{
    struct http_server *server = *state;
    struct buf answer = BUF_INIT;
    int fd = open_stream(server, &answer);
    for (int i = 0; i < 100; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "event-%d.", i);
        feed_put(text, false);
        client_read_until(fd, text, &answer);
    }
    feed_put("last", true);
    client_read_until(fd, NULL, &answer);
    assert_non_null(strstr(answer.bytes, "last"));
    wait_closed();
    (void)close(fd);
    buf_fini(&answer);
}

static void test_stream_client_gone(void **state)
{
    struct http_server *server = *state;
    struct buf answer = BUF_INIT;
    int fd = open_stream(server, &answer);
    struct linger reset = {1, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    (void)close(fd);
    feed_put("nobody hears", false);
    feed_put("this", false);
    wait_closed();
    buf_fini(&answer);
}

static void test_stop_ends_streams(void **state)
{
    (void)state;
    struct http_server *server = start();
    struct buf answer = BUF_INIT;
    int fd = open_stream(server, &answer);
    http_stop(server);
    wait_closed();
    client_read_until(fd, NULL, &answer);
    (void)close(fd);
    buf_fini(&answer);
}

/* A connection that dawdles is shut down when its deadline is past; one that waits for an answer is not. */
static void test_deadlines(void **state)
{
    struct http_server *server = *state;
    struct buf answer = BUF_INIT;
    int slow = client_connect(http_port(server));
    client_send(slow, "GET /x HTT");
    int head = client_connect(http_port(server));
    client_send(head, "POST /x HTTP/1.1\r\nHost: loc");
    int patient = client_connect(http_port(server));
    hold(true);
    unsigned seen = completer.seen;
    client_send(patient, "GET /later HTTP/1.1\r\n" HEAD "\r\n");
    wait_deferred(seen + 1);
    assert_int_equal(http_sweep_expired(server, clock_boot_ms()), 0);
    assert_true(http_sweep_expired(server, clock_boot_ms() + 1000000) >= 2);
    client_read_until(slow, NULL, &answer);
    client_read_until(head, NULL, &answer);
    assert_int_equal(answer.len, 0);
    hold(false);
    client_read_until(patient, NULL, &answer);
    assert_int_equal(client_status(&answer), 202);
    (void)close(slow);
    (void)close(head);
    (void)close(patient);
    buf_fini(&answer);
}

static void test_address_in_use(void **state)
{
    struct http_server *server = *state, *second = NULL;
    struct http_config config = {.port = http_port(server)};
    struct error err = {0};
    assert_int_equal(http_start(&config, &second, &err), ERROR_IO);
    assert_non_null(strstr(err.text, "Address already in use"));
    config.address = "no such address";
    assert_int_equal(http_start(&config, &second, &err), ERROR_IO);
    assert_null(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_plain), TEST(test_refused), TEST(test_nul_in_head), TEST(test_sizes), TEST(test_keep_alive),
        TEST(test_head_and_gzip), TEST(test_deferred), TEST(test_client_gone), TEST(test_stop_waits),
        TEST(test_stream), TEST(test_stream_client_gone), TEST(test_stop_ends_streams), TEST(test_deadlines),
        TEST(test_address_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
