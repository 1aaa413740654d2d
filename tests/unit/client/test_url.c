#include "support/check.h"

#include <string.h>

#include "client/client.h"
#include "client/connection.h"

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port, *authority, *prefix;
    } cases[] = {
        {"http://127.0.0.1:8080", "127.0.0.1", "8080", "127.0.0.1:8080", ""},
        {"127.0.0.1:8080", "127.0.0.1", "8080", "127.0.0.1:8080", ""},
        {"http://host/", "host", "80", "host", ""},
        {"https://host/", "host", "443", "host", ""},
        {"https://[::1]:99/x", "::1", "99", "[::1]:99", "/x"},
        {"http://[::1]:99", "::1", "99", "[::1]:99", ""},
        {"http://[::1]", "::1", "80", "[::1]", ""},
        {"http://host:1/pawl/", "host", "1", "host:1", "/pawl"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_url url;
        assert_int_equal(client_url_parse(cases[i].text, &url, NULL), 0);
        assert_string_equal(url.host, cases[i].host);
        assert_string_equal(url.port, cases[i].port);
        assert_string_equal(url.authority, cases[i].authority);
        assert_string_equal(url.prefix, cases[i].prefix);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "http://", "https://", "ftp://host", "http://host:", "http://host:0",
                                      "http://host:65536", "http://host:80x", "http://[::1", "http://[::1]x",
                                      "http://user@host", "http://ho st", "http://host/a?b", "http://host/a b",
                                      "http://host\r\nX: y", "::1"};
    struct client_url url;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (client_url_parse(bad[i], &url, NULL) != ERROR_USAGE)
            fail_msg("accepted: %s", bad[i]);
}

static void test_answer_error(void **state)
{
    (void)state;
    struct error err = {0};
    const char *body = "{\"code\": \"DAG_EXISTS\", \"message\": \"there is one\", \"details\": null}";
    assert_int_equal(client_answer_error(200, "", 0, &err), 0);
    assert_int_equal(client_answer_error(409, body, strlen(body), &err), ERROR_DAG_EXISTS);
    assert_string_equal(err.text, "there is one");
    body = "{\"code\": \"RUN_NOT_FOUND\", \"message\": \"gone\", \"details\": \"since May\"}";
    assert_int_equal(client_answer_error(404, body, strlen(body), &err), ERROR_RUN_NOT_FOUND);
    assert_string_equal(err.text, "gone: since May");
    assert_int_equal(client_answer_error(404, "<html>", 6, &err), ERROR_NOT_FOUND);
    assert_int_equal(client_answer_error(401, "{}", 2, &err), ERROR_UNAUTHORIZED);
    assert_int_equal(client_answer_error(500, "[1]", 3, &err), ERROR_INTERNAL);
    assert_int_equal(client_answer_error(422, "{\"code\": \"NEW_CODE\"}", 20, &err), ERROR_BAD_REQUEST);
    assert_string_equal(err.text, "the server answered with status 422");
}

static void test_encode(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    client_encode(&out, "a-b_c.d~/ %\xc3\xa4?#");
    assert_string_equal(buf_text(&out), "a-b_c.d~%2F%20%25%C3%A4%3F%23");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_answer_error), cmocka_unit_test(test_encode)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
