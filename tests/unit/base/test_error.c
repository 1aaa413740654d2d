#include "support/check.h"

#include <string.h>

#include "base/error.h"

static void test_table(void **state)
{
    (void)state;
    for (int code = 0; code < ERROR_COUNT; code++) {
        assert_int_equal(error_from_name(error_name(code)), code);
        assert_true(strlen(error_default_text(code)) > 0);
        int status = error_http_status(code);
        assert_true(status == 200 || (status >= 400 && status < 600));
        int exit_class = error_exit_class(code);
        assert_true((exit_class >= 0 && exit_class <= 7) || exit_class == 124 || exit_class == 130);
        for (int other = 0; other < code; other++)
            assert_string_not_equal(error_name(other), error_name(code));
    }
    assert_int_equal(error_http_status(ERROR_DAG_EXISTS), 409);
    assert_int_equal(error_exit_class(ERROR_PARSE_ERROR), 3);
    assert_string_equal(error_name(-1), "INTERNAL");
    assert_string_equal(error_name(ERROR_COUNT), "INTERNAL");
    assert_int_equal(error_from_name("NO_SUCH_THING"), ERROR_INTERNAL);
}

static void test_text(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, ERROR_NOT_FOUND, "no %s", "file"), ERROR_NOT_FOUND);
    assert_int_equal(error_add(&err, "cannot read %d", 7), ERROR_NOT_FOUND);
    assert_string_equal(err.text, "cannot read 7: no file");
    assert_int_equal(error_set(NULL, ERROR_FULL, "x"), ERROR_FULL);
}

/* Whatever the lengths, the text stays terminated and inside its room. */
static void test_long_text(void **state)
{
    (void)state;
    for (int text = 0; text <= 1100; text += 25) {
        for (int prefix = 900; prefix <= 1010; prefix++) {
            struct error err = {0};
            (void)error_set(&err, ERROR_IO, "%*d", text, 1);
            (void)error_add(&err, "%*d", prefix, 2);
            assert_true(strnlen(err.text, sizeof err.text) < sizeof err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
