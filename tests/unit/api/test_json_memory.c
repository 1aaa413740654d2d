/* A body that there is no memory for is not called wrong, nor read as something else. The sanitizer refuses what is
 * larger than a megabyte; jansson by itself would drop bytes of the long string and say that all is well. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "api/api_json.h"

const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:max_allocation_size_mb=1";
}

enum { LONG_BYTES = (1 << 20) + 20 };

static char text[LONG_BYTES + 100];

static size_t write_body(size_t len)
{
    int before = snprintf(text, sizeof text, "{\"name\": \"x\", \"yaml\": \"");
    memset(text + before, 'y', len);
    memcpy(text + before + len, "\"}", 2);
    return (size_t)before + len + 2;
}

static void test_starved(void **state)
{
    (void)state;
    json_error_t problem;
    bool starved = false;
    api_json_init();
    assert_null(api_json_read(text, write_body(LONG_BYTES), &problem, &starved));
    assert_true(starved);
    json_t *root = api_json_read(text, write_body(1000), &problem, &starved);
    assert_false(starved);
    assert_int_equal(json_string_length(json_object_get(root, "yaml")), 1000);
    json_decref(root);
    assert_null(api_json_read("{\"a\": 1, \"a\": 2}", 16, &problem, &starved));
    assert_false(starved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_starved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
