#include "support/check.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

static void test_shapes(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    struct json json;
    json_init(&json, &out);
    json_begin_object(&json);
    json_kv_string(&json, "text", "a");
    json_kv_string(&json, "none", NULL);
    json_kv_int(&json, "least", INT64_MIN);
    json_kv_bool(&json, "yes", true);
    json_kv_null(&json, "absent");
    json_kv_uuid(&json, "zero", (struct uuid){{0}});
    json_kv_time(&json, "never", 0);
    json_kv_time(&json, "when", 1);
    json_key(&json, "list");
    json_begin_array(&json);
    json_add_int(&json, 1);
    json_begin_array(&json);
    json_end_array(&json);
    json_begin_object(&json);
    json_end_object(&json);
    json_add_bool(&json, false);
    json_add_raw(&json, "{\"raw\":1}", 9);
    json_add_double(&json, 0.5);
    json_add_double(&json, 2);
    json_add_double(&json, -1.0 / 3);
    json_end_array(&json);
    json_end_object(&json);
    assert_string_equal(buf_text(&out),
                        "{\"text\":\"a\",\"none\":null,\"least\":-9223372036854775808,\"yes\":true,"
                        "\"absent\":null,\"zero\":null,\"never\":null,\"when\":\"1970-01-01T00:00:00.001Z\","
                        "\"list\":[1,[],{},false,{\"raw\":1},0.5,2.0,-0.333333]}");
    buf_fini(&out);
}

/* The short ways of writing numbers and times give what printf and the clock give. */
static void test_numbers_and_times(void **state)
{
    (void)state;
    static const double numbers[] = {0,        0.0000004,  0.0000006, 0.000001, 0.1,      0.999999,      0.9999996,
                                     1.000001, 9.9999999,  10,        12.5,     123456.7, 999999999.999, 1e9,
                                     1e15,     -0.0000006, -12.25,    0.5,      100,      1000000.000001};
    static const int64_t times[] = {1, 999, 1000, 1001, 1795600000123, 1795600000999, 1795600001000, 1795600000000,
                                    253402300799999, -1, -86400001};
    struct buf out = BUF_INIT;
    struct json json;
    char text[64];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        buf_clear(&out);
        json_init(&json, &out);
        json_add_double(&json, numbers[i]);
        int len = snprintf(text, sizeof text, "%.6f", numbers[i]);
        while (text[len - 1] == '0' && text[len - 2] != '.')
            text[--len] = '\0';
        assert_string_equal(buf_text(&out), text);
    }
    json_init(&json, &out);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) { /* one writer, so that seconds are kept and changed */
        buf_clear(&out);
        json.needs_comma = false;
        json_add_time(&json, times[i]);
        text[0] = '"';
        clock_format_utc(times[i], text + 1);
        memcpy(text + strlen(text), "\"", 2);
        assert_string_equal(buf_text(&out), text);
    }
    buf_fini(&out);
}

/* Writes bytes as a JSON string and reads them back with a parser that is not ours. */
static void assert_reads_back(const char *bytes, size_t len, const char *expected, size_t expected_len)
{
    struct buf out = BUF_INIT;
    struct json json;
    json_init(&json, &out);
    json_add_string_len(&json, bytes, len);
    json_error_t error;
    json_t *value = json_loadb(out.bytes, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value)
        fail_msg("%.*s: %s", (int)out.len, out.bytes, error.text);
    assert_int_equal(json_string_length(value), expected_len);
    assert_memory_equal(json_string_value(value), expected, expected_len);
    json_decref(value);
    buf_fini(&out);
}

static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[3] = {'<', (char)c, '>'};
        if (c < 0x80)
            assert_reads_back(text, 3, text, 3);
        else
            assert_reads_back(text, 3, "<\xef\xbf\xbd>", 5);
    }
}

static void test_utf8(void **state)
{
    (void)state;
    static const char good[] = "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9f \"q\" back\\slash";
    assert_reads_back(good, sizeof good - 1, good, sizeof good - 1);
    assert_reads_back("\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd", 6);
    assert_reads_back("\xed\xa0\x80x", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx", 10);
    assert_reads_back("", 0, "", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_numbers_and_times),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
