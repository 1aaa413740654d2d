#include "support/check.h"

#include <ctype.h>
#include <string.h>

#include "base/uuid.h"

static void test_v7(void **state)
{
    (void)state;
    /* RFC 9562, appendix A.6: the same time gives the same first 48 bits */
    const uint64_t random[2] = {0x123456789abcdef0u, UINT64_MAX};
    struct uuid uuid = uuid_make_v7(0x017f22e279b0, random);
    char text[UUID_TEXT_LEN + 1];
    uuid_format(uuid, text);
    text[14] = text[19] = '\0';
    assert_memory_equal(text, "017f22e2-79b0-", 14);
    for (uint64_t bits = 0; bits < 256; bits++) {
        const uint64_t any[2] = {bits * 0x0101010101010101u, bits * 0x0101010101010101u};
        uuid = uuid_make_v7(INT64_MAX, any);
        assert_int_equal(uuid.bytes[6] >> 4, 7);
        assert_int_equal(uuid.bytes[8] >> 6, 2);
    }
}

static void test_sorts_by_time(void **state)
{
    (void)state;
    const uint64_t high[2] = {UINT64_MAX, UINT64_MAX}, low[2] = {0, 0};
    for (int64_t ms = 1; ms < INT64_C(1) << 47; ms *= 2) {
        assert_true(uuid_compare(uuid_make_v7(ms - 1, high), uuid_make_v7(ms, low)) < 0);
        char before[UUID_TEXT_LEN + 1], after[UUID_TEXT_LEN + 1];
        uuid_format(uuid_make_v7(ms - 1, high), before);
        uuid_format(uuid_make_v7(ms, low), after);
        assert_true(strcmp(before, after) < 0);
    }
}

static void test_text(void **state)
{
    (void)state;
    static const char good[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    struct uuid uuid, upper;
    char text[UUID_TEXT_LEN + 1];
    assert_true(uuid_parse(good, &uuid));
    uuid_format(uuid, text);
    assert_string_equal(text, good);
    for (size_t i = 0; i < UUID_TEXT_LEN; i++)
        text[i] = (char)toupper((unsigned char)good[i]);
    assert_true(uuid_parse(text, &upper));
    assert_true(uuid_equal(uuid, upper));
    assert_false(uuid_is_zero(uuid));
    assert_true(uuid_is_zero((struct uuid){{0}}));
    /* every single character wrong, and every other length */
    for (size_t i = 0; i < UUID_TEXT_LEN; i++) {
        memcpy(text, good, sizeof text);
        text[i] = text[i] == '-' ? 'a' : 'g';
        assert_false(uuid_parse(text, &upper));
        assert_false(uuid_parse_len(good, i, &upper));
    }
    assert_false(uuid_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", &upper));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v7),
        cmocka_unit_test(test_sorts_by_time),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
