#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Every code point there is, encoded by the definition of RFC 3629, and every surrogate refused. */
static void test_utf8_all_points(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x110010; point++) {
        unsigned char s[4] = {0};
        size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = len; i-- > 1;)
            s[i] = (unsigned char)(0x80 | (point >> 6 * (len - 1 - i) & 0x3f));
        s[0] = (unsigned char)(lead[len] | point >> 6 * (len - 1));
        bool legal = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
        size_t width = str_utf8_width((const char *)s, len);
        if (width != (legal ? len : 0))
            fail_msg("U+%04X has width %zu", point, width);
        if (legal && str_utf8_decode((const char *)s, len) != point)
            fail_msg("U+%04X decodes to U+%04X", point, str_utf8_decode((const char *)s, len));
        if (legal && len > 1)
            assert_int_equal(str_utf8_width((const char *)s, len - 1), 0);
    }
}

static void test_utf8_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
                                      "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf5\x80\x80\x80", "\xff",
                                      "\xc3(", "\xe2\x82(", "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(str_utf8_width(bad[i], strlen(bad[i])), 0);
        assert_false(str_utf8_valid(bad[i], strlen(bad[i])));
    }
    assert_int_equal(str_utf8_width("", 0), 0);
    assert_true(str_utf8_valid("", 0));
    assert_true(str_utf8_valid("a\0b", 3));
    assert_true(str_utf8_valid("na\xc3\xafve \xf0\x9f\x90\x9f", 11));
}

static void test_distance(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1},
                 {"abc", "axc", 1}, {"kitten", "sitting", 3}, {"dependencies", "dependancies", 1},
                 {"dpeendencies", "dependencies", 1}, {"abcdef", "badcfe", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(str_distance(cases[i].a, cases[i].b, 10), cases[i].distance);
        assert_int_equal(str_distance(cases[i].b, cases[i].a, 10), cases[i].distance);
    }
    assert_int_equal(str_distance("kitten", "sitting", 2), 3);
    char longest[66], other[66];
    memset(longest, 'a', 65);
    longest[65] = '\0';
    memcpy(other, longest, sizeof other);
    assert_int_equal(str_distance(longest, other, 3), 0);
    other[3] = 'b';
    assert_int_equal(str_distance(longest, other, 3), 4);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"dependencies", "id", "type", "timeout", "retry", "name", "env"};
    const size_t count = sizeof words / sizeof words[0];
    assert_string_equal(str_nearest("dependecies", words, count), "dependencies");
    assert_string_equal(str_nearest("tiemout", words, count), "timeout");
    assert_string_equal(str_nearest("nmae", words, count), "name");
    assert_string_equal(str_nearest("env", words, count), "env");
    assert_null(str_nearest("x", words, count));
    assert_null(str_nearest("description", words, count));
    assert_null(str_nearest("type", words, 0));
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"500ms", 500}, {"30s", 30000}, {"5m", 300000}, {"1h", 3600000}, {"2d", 172800000},
                {"1ms", 1}, {"0005s", 5000}, {"3653d", 315619200000}};
    int64_t ms = -7;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(str_parse_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"", "5", "m", "0s", "-5s", "+5s", "5 m", " 5m", "5m ", "1.5h", "5M",
                                      "5min", "1h30m", "3654d", "99999999999999999999s", "5mss", "1w"};
    ms = -7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(str_parse_duration(bad[i], &ms));
    assert_int_equal(ms, -7);
}

static void test_duration_text(void **state)
{
    (void)state;
    static const int64_t values[] = {1, 999, 1000, 1500, 60000, 90000, 3600000, 5400000, 86400000, 172800000};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[24];
        int64_t ms;
        str_format_duration(values[i], text);
        assert_true(str_parse_duration(text, &ms));
        assert_int_equal(ms, values[i]);
    }
    char text[24];
    str_format_duration(5400000, text);
    assert_string_equal(text, "90m");
    static const struct {
        int64_t ms;
        const char *text;
    } elapsed[] = {{-5, "0ms"}, {0, "0ms"}, {999, "999ms"}, {2500, "2.5s"}, {59999, "59.9s"},
                   {200000, "3m 20s"}, {3900000, "1h 5m"}, {183600000, "2d 3h"}};
    for (size_t i = 0; i < sizeof elapsed / sizeof elapsed[0]; i++) {
        str_format_elapsed(elapsed[i].ms, text);
        assert_string_equal(text, elapsed[i].text);
    }
}

static void test_int(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_true(str_parse_int("0", 0, 10, &value) && value == 0);
    assert_true(str_parse_int("-5", -5, 10, &value) && value == -5);
    assert_true(str_parse_int("9223372036854775807", INT64_MIN, INT64_MAX, &value) && value == INT64_MAX);
    assert_true(str_parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &value) && value == INT64_MIN);
    value = 77;
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1x", "0x1", "11", "-1", "9223372036854775808"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(str_parse_int(bad[i], 0, 10, &value));
    assert_false(str_parse_int("9223372036854775808", INT64_MIN, INT64_MAX, &value));
    assert_false(str_parse_int("-9223372036854775809", INT64_MIN, INT64_MAX, &value));
    assert_int_equal(value, 77);
}

static void test_ends(void **state)
{
    (void)state;
    assert_true(str_starts_with("pawl", "pa") && str_starts_with("pawl", "") && str_ends_with("pawl", "wl"));
    assert_true(str_ends_with("pawl", "pawl") && str_ends_with("", ""));
    assert_false(str_starts_with("pa", "pawl") || str_ends_with("wl", "pawl") || str_ends_with("pawl", "pa"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_all_points), cmocka_unit_test(test_utf8_malformed),
        cmocka_unit_test(test_distance),        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_duration),        cmocka_unit_test(test_duration_text),
        cmocka_unit_test(test_int),             cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
