#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "http/http_target.h"

static int parse(struct arena *arena, const char *raw, struct http_target *target)
{
    struct error err;
    memset(target, 0xee, sizeof *target);
    return http_target_parse(arena, raw, strlen(raw), target, &err);
}

static void test_segments(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        unsigned count;
        const char *segments[4];
    } cases[] = {
        {"/", 0, {NULL}},
        {"/a", 1, {"a"}},
        {"/a/", 2, {"a", ""}},
        {"//", 2, {"", ""}},
        {"/a//b", 3, {"a", "", "b"}},
        {"/a%2Fb/c", 2, {"a/b", "c"}},
        {"/../..", 2, {"..", ".."}},
        {"/%2e%2E/x", 2, {"..", "x"}},
        {"/a+b", 1, {"a+b"}},
        {"/%C3%A9", 1, {"\xc3\xa9"}},
        {"/a%25", 1, {"a%"}},
        {"http://host:1/a/b", 2, {"a", "b"}},
        {"HTTPS://host", 0, {NULL}},
        {"http://host?x=1", 0, {NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct http_target target;
        assert_int_equal(parse(&arena, cases[i].raw, &target), 0);
        assert_int_equal(target.segment_count, cases[i].count);
        for (unsigned k = 0; k < target.segment_count; k++) {
            assert_string_equal(target.segments[k].text, cases[i].segments[k]);
            assert_int_equal(target.segments[k].len, strlen(cases[i].segments[k]));
        }
        arena_fini(&arena);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "", "a", "*x", "a/b", "/%", "/%4", "/%zz", "/%4g", "/%00", "/a%00b", "/%ff", "/%c3", "/%ed%a0%80", "/a b",
        "/\x01", "/\x7f", "/\xc3\xa9", "/a#b", "/a\\b", "/{a}", "http://", "http:///a", "ftp://a/b", "/?a=%00",
        "/?%00=1", "/?a=%f", "/?a=%ff", "/?a=1&a=2", "/?a&a", "/?a=1&%61=2",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena = {0};
        struct http_target target;
        if (parse(&arena, cases[i], &target) != ERROR_BAD_REQUEST)
            fail_msg("not refused: '%s'", cases[i]);
        arena_fini(&arena);
    }
}

static void test_query(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct http_target target;
    assert_int_equal(parse(&arena, "/x?a=1&&b=%26+%3d&c&d==&=e&%C3%A9=%E2%82%AC", &target), 0);
    static const char *const expected[][2] = {
        {"a", "1"}, {"b", "& ="}, {"c", ""}, {"d", "="}, {"", "e"}, {"\xc3\xa9", "\xe2\x82\xac"},
    };
    assert_int_equal(target.query_count, 6);
    for (unsigned i = 0; i < target.query_count; i++) {
        assert_string_equal(target.query[i].name.text, expected[i][0]);
        assert_string_equal(target.query[i].value.text, expected[i][1]);
    }
    assert_int_equal(parse(&arena, "*", &target), 0);
    assert_true(target.is_asterisk);
    assert_int_equal(parse(&arena, "http://Example.org:80/x", &target), 0);
    assert_string_equal(target.authority, "Example.org:80");
    arena_fini(&arena);
}

static void test_limits(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct http_target target;
    char raw[600] = "";
    for (int i = 0; i < HTTP_SEGMENTS_MAX; i++)
        strncat(raw, "/a", 3);
    assert_int_equal(parse(&arena, raw, &target), 0);
    strncat(raw, "/a", 3);
    assert_int_equal(parse(&arena, raw, &target), ERROR_NOT_FOUND);

    char *at = raw;
    *at++ = '/';
    *at++ = '?';
    for (int i = 0; i < HTTP_QUERY_MAX; i++)
        at += snprintf(at, 10, "p%d=1&", i);
    assert_int_equal(parse(&arena, raw, &target), 0);
    (void)snprintf(at, 10, "last=1");
    assert_int_equal(parse(&arena, raw, &target), ERROR_BAD_REQUEST);
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
