#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "client/response.h"

/* Feeds text in pieces of `step` bytes and says what became of it: 0 done, 1 not finished, 2 refused. */
static int feed(const char *text, size_t len, size_t step, bool head_request, struct client_response *response,
                struct buf *body)
{
    struct error err;
    client_response_init(response, head_request);
    buf_clear(body);
    for (size_t at = 0; at < len; at += step) {
        size_t piece = len - at < step ? len - at : step;
        if (client_response_feed(response, text + at, piece, body, &err) != 0)
            return 2;
    }
    return response->phase == CLIENT_DONE ? 0 : 1;
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body;
        int status;
        bool keep;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true},
        {"HTTP/1.1 200 OK\nContent-Length:5\n\nhello", "hello", 200, true},
        {"HTTP/1.1 200\r\nCONTENT-length:   3  \r\nConnection: close\r\n\r\nabc", "abc", 200, false},
        {"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n", "", 404, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", "", 304, true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok", "ok", 201, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
         "abc0123456789", 200, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n000\r\nTrailer: y\r\n\r\n", "x", 200, true},
    };
    struct client_response response;
    struct buf body = BUF_INIT;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].text);
        for (size_t step = 1; step <= len; step++) {
            assert_int_equal(feed(cases[i].text, len, step, false, &response, &body), 0);
            assert_int_equal(response.status, cases[i].status);
            assert_int_equal(response.keep_alive, cases[i].keep);
            assert_string_equal(buf_text(&body), cases[i].body);
            client_response_fini(&response);
        }
        for (size_t cut = 0; cut < len; cut++) {
            assert_int_equal(feed(cases[i].text, cut, 7, false, &response, &body), 1);
            assert_int_not_equal(client_response_close(&response, NULL), 0);
            client_response_fini(&response);
        }
    }
    buf_fini(&body);
}

static void test_until_close(void **state)
{
    (void)state;
    const char *text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall there is";
    struct client_response response;
    struct buf body = BUF_INIT;
    assert_int_equal(feed(text, strlen(text), 5, false, &response, &body), 1);
    assert_int_equal(client_response_close(&response, NULL), 0);
    assert_int_equal(response.phase, CLIENT_DONE);
    assert_false(response.keep_alive);
    assert_string_equal(buf_text(&body), "all there is");
    client_response_fini(&response);
    text = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    assert_int_equal(feed(text, strlen(text), 9, true, &response, &body), 0);
    client_response_fini(&response);
    buf_fini(&body);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        "HTTP/1.1 204 OK\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    };
    struct client_response response;
    struct buf body = BUF_INIT;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (size_t step = 1; step <= strlen(bad[i]); step += 6) {
            if (feed(bad[i], strlen(bad[i]), step, false, &response, &body) != 2)
                fail_msg("accepted by %zu bytes: %s", step, bad[i]);
            client_response_fini(&response);
        }
    buf_fini(&body);
}

static void test_head_limit(void **state)
{
    (void)state;
    struct client_response response;
    struct buf body = BUF_INIT;
    struct buf text = BUF_INIT;
    buf_add_text(&text, "HTTP/1.1 200 OK\r\nX: ");
    while (text.len <= CLIENT_HEAD_MAX)
        buf_add_text(&text, "0123456789abcdef");
    assert_int_equal(feed(text.bytes, text.len, 1000, false, &response, &body), 2);
    client_response_fini(&response);
    buf_fini(&text);
    buf_fini(&body);
}

static void test_header(void **state)
{
    (void)state;
    const char *text = "HTTP/1.1 200 OK\r\nETag: \"3\"\r\nX-Empty:\r\nx-log-size: 42 \r\nContent-Length: 0\r\n\r\n";
    struct client_response response;
    struct buf body = BUF_INIT;
    const char *value = NULL;
    assert_int_equal(feed(text, strlen(text), 3, false, &response, &body), 0);
    assert_int_equal(client_response_header(&response, "etag", &value), 3);
    assert_memory_equal(value, "\"3\"", 3);
    assert_int_equal(client_response_header(&response, "X-Log-Size", &value), 2);
    assert_memory_equal(value, "42", 2);
    assert_int_equal(client_response_header(&response, "X-Empty", &value), 0);
    assert_int_equal(client_response_header(&response, "X-Log", &value), -1);
    client_response_fini(&response);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_until_close), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_head_limit), cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
