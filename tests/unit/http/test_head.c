#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "http/http_head.h"
#include "http/http_router.h"

/* lines: "Name: value" strings, NULL at the end */
static int check(const char *const *lines, bool is_http_1_0, struct http_head *head)
{
    static char names[16][128];
    struct http_field fields[16];
    size_t count = 0;
    for (; lines[count]; count++) {
        const char *colon = strchr(lines[count], ':');
        size_t len = (size_t)(colon - lines[count]);
        (void)snprintf(names[count], sizeof names[count], "%.*s", (int)len, lines[count]);
        const char *value = colon + 1 + strspn(colon + 1, " ");
        fields[count] = (struct http_field){names[count], len, value, strlen(value)};
    }
    struct error err;
    return http_head_check(fields, count, is_http_1_0, head, &err);
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_framing(void **state)
{
    (void)state;
    struct http_head head;
    assert_int_equal(check(LINES("Host: a", "Content-Length: 12 "), false, &head), 0);
    assert_true(head.has_length && !head.chunked && head.length == 12);
    assert_int_equal(check(LINES("transfer-encoding: Chunked"), false, &head), 0);
    assert_true(head.has_length && head.chunked && head.length == 0);
    assert_int_equal(check(LINES("Host: a"), false, &head), 0);
    assert_false(head.has_length);

    static const char *const refused[][4] = {
        {"Content-Length: 1", "Transfer-Encoding: chunked", NULL},
        {"Transfer-Encoding: chunked", "Content-Length: 1", NULL},
        {"Content-Length: 1", "Content-Length: 1", NULL},
        {"Content-Length: 1", "content-length: 2", NULL},
        {"Transfer-Encoding: chunked", "Transfer-Encoding: chunked", NULL},
        {"Transfer-Encoding: gzip, chunked", NULL},
        {"Transfer-Encoding: identity", NULL},
        {"Transfer-Encoding: chunkedx", NULL},
        {"Transfer-Encoding:", NULL},
        {"Content-Length:", NULL},
        {"Content-Length: +1", NULL},
        {"Content-Length: -1", NULL},
        {"Content-Length: 0x10", NULL},
        {"Content-Length: 1 2", NULL},
        {"Content-Length: 1,1", NULL},
        {"Content-Length: 9999999999999999999", NULL},
        {"Host: a", "Host: b", NULL},
        {"Idempotency-Key: a", "Idempotency-Key: a", NULL},
        {"Foo : x", NULL},
        {" Foo: x", NULL},
        {"Fo\xc3\xb6: x", NULL},
        {": x", NULL},
        {"Foo: a\rb", NULL},
        {"Foo: \x01", NULL},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (check(refused[i], false, &head) != ERROR_BAD_REQUEST)
            fail_msg("not refused: %s", refused[i][0]);
    }
    assert_int_equal(check(LINES("Transfer-Encoding: chunked"), true, &head), ERROR_BAD_REQUEST);
}

static void test_size(void **state)
{
    (void)state;
    struct http_head head;
    char *line = mem_alloc(LIMIT_HEADER_BYTES_MAX + 8);
    memset(line, 'a', LIMIT_HEADER_BYTES_MAX);
    line[1] = ':';
    line[LIMIT_HEADER_BYTES_MAX - 3] = '\0';
    assert_int_equal(check(LINES(line), false, &head), 0);
    line[LIMIT_HEADER_BYTES_MAX - 3] = 'a';
    line[LIMIT_HEADER_BYTES_MAX - 2] = '\0';
    assert_int_equal(check(LINES(line), false, &head), ERROR_HEADERS_TOO_LARGE);
    mem_free(line);
}

static void test_hosts(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
    static const char *const good[] = {"localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]", "[::1]:80", "localhost."};
    static const char *const bad[] = {"", "evil.example", "localhost.evil", "127.0.0.1.nip.io", "localhost:80x",
                                      "localhost/x", "[::1", "::1", "user@localhost", "localhost,evil", "[::1]x",
                                      "localhost\tx"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(http_head_host_allowed(good[i], hosts, 3));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (http_head_host_allowed(bad[i], hosts, 3))
            fail_msg("allowed: '%s'", bad[i]);
    }
}

static void test_values(void **state)
{
    (void)state;
    assert_true(http_head_takes_gzip("gzip"));
    assert_true(http_head_takes_gzip("deflate, GZIP;q=0.5"));
    assert_true(http_head_takes_gzip("*"));
    assert_true(http_head_takes_gzip("br;q=1.0, gzip;q=0.001"));
    assert_false(http_head_takes_gzip("gzip;q=0"));
    assert_false(http_head_takes_gzip("gzip; q=0.000, *"));
    assert_false(http_head_takes_gzip("identity"));
    assert_false(http_head_takes_gzip("*;q=0"));
    assert_false(http_head_takes_gzip("gzipped"));
    assert_false(http_head_takes_gzip(""));

    assert_true(http_head_etag_matches("\"a\"", "a"));
    assert_true(http_head_etag_matches("\"b\", W/\"a\"", "a"));
    assert_true(http_head_etag_matches("*", "a"));
    assert_false(http_head_etag_matches("\"ab\"", "a"));
    assert_false(http_head_etag_matches("a", "a"));
    assert_false(http_head_etag_matches("\"a", "a"));
    assert_false(http_head_etag_matches("", "a"));

    assert_true(http_head_request_id_valid("0b5c-A.z_1:2/3+4=5@6"));
    assert_false(http_head_request_id_valid(""));
    assert_false(http_head_request_id_valid("a b"));
    assert_false(http_head_request_id_valid("a\"b"));
    char id[130];
    memset(id, 'x', sizeof id);
    id[128] = '\0';
    assert_true(http_head_request_id_valid(id));
    id[128] = 'x';
    id[129] = '\0';
    assert_false(http_head_request_id_valid(id));
}

static const void *route(const struct http_router *router, enum http_method method, const char *path,
                         struct http_match *match)
{
    static struct arena arena;
    struct http_target target;
    arena_fini(&arena);
    assert_int_equal(http_target_parse(&arena, path, strlen(path), &target, NULL), 0);
    http_router_find(router, method, &target, match);
    return match->value;
}

static void test_router(void **state)
{
    (void)state;
    static const int root = 0, list = 1, make = 2, one = 3, stats = 4, act = 5, log = 6;
    struct http_router router = {0};
    struct http_match match;
    http_router_add(&router, HTTP_GET, "/", &root);
    http_router_add(&router, HTTP_GET, "/dlq", &list);
    http_router_add(&router, HTTP_POST, "/dlq", &make);
    http_router_add(&router, HTTP_GET, "/dlq/{id}", &one);
    http_router_add(&router, HTTP_DELETE, "/dlq/{id}", &act);
    http_router_add(&router, HTTP_GET, "/dlq/stats", &stats);
    http_router_add(&router, HTTP_GET, "/runs/{run}/tasks/{task}/log", &log);
    assert_ptr_equal(route(&router, HTTP_GET, "/", &match), &root);
    assert_ptr_equal(route(&router, HTTP_HEAD, "/dlq", &match), &list);
    assert_ptr_equal(route(&router, HTTP_POST, "/dlq", &match), &make);
    assert_ptr_equal(route(&router, HTTP_GET, "/dlq/stats", &match), &stats);
    assert_ptr_equal(route(&router, HTTP_GET, "/dlq/stat", &match), &one);
    assert_int_equal(match.value_count, 1);
    assert_string_equal(match.values[0].text, "stat");
    assert_ptr_equal(route(&router, HTTP_GET, "/runs/a/tasks/b%2Fc/log", &match), &log);
    assert_string_equal(match.values[1].text, "b/c");

    char allow[80];
    assert_null(route(&router, HTTP_PUT, "/dlq", &match));
    http_allow_text(match.methods, allow, sizeof allow);
    assert_string_equal(allow, "GET, HEAD, POST, OPTIONS");
    assert_null(route(&router, HTTP_DELETE, "/dlq/stats", &match));
    http_allow_text(match.methods, allow, sizeof allow);
    assert_string_equal(allow, "GET, HEAD, OPTIONS");

    static const char *const nowhere[] = {"/x", "/dlq/", "/dlq/a/b", "//dlq", "/DLQ", "/dlq%2Fstats",
                                          "/runs/a/tasks/b/c/log", "/x/../dlq", "/dlq/."};
    for (size_t i = 0; i + 1 < sizeof nowhere / sizeof *nowhere; i++) {
        assert_null(route(&router, HTTP_GET, nowhere[i], &match));
        assert_int_equal(match.methods, 0);
    }
    assert_ptr_equal(route(&router, HTTP_GET, "/dlq/.", &match), &one); /* a dot is a name like any other */
    assert_null(route(&router, HTTP_GET, "*", &match));
    http_router_fini(&router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing), cmocka_unit_test(test_size),   cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_values),  cmocka_unit_test(test_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
