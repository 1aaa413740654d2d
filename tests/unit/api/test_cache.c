/* Kept answers: bounded in number and bytes, the one used last stays longest. */
#include "api/api_cache.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

static void put(struct api_cache *cache, int key, size_t len)
{
    struct buf body = BUF_INIT;
    char text[16];
    (void)snprintf(text, sizeof text, "%d", key);
    memset(buf_extend(&body, len), 'a' + key % 26, len);
    api_cache_put(cache, text, &body);
    buf_fini(&body);
}

/* How many bytes are kept under the key; 0: nothing. */
static size_t get(struct api_cache *cache, int key)
{
    struct buf body = BUF_INIT;
    char text[16];
    (void)snprintf(text, sizeof text, "%d", key);
    bool found = api_cache_get(cache, text, &body);
    size_t len = body.len;
    assert_int_equal(found, len > 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(body.bytes[i], 'a' + key % 26);
    buf_fini(&body);
    return len;
}

static void test_keeps(void **state)
{
    (void)state;
    struct api_cache *cache = api_cache_new();
    assert_int_equal(get(cache, 1), 0);
    put(cache, 1, API_CACHE_BODY_MIN);
    assert_int_equal(get(cache, 1), API_CACHE_BODY_MIN);
    put(cache, 1, API_CACHE_BODY_MIN + 5); /* the first stays: it never changes */
    assert_int_equal(get(cache, 1), API_CACHE_BODY_MIN);
    put(cache, 2, API_CACHE_BODY_MIN - 1);
    assert_int_equal(get(cache, 2), 0);
    put(cache, 3, API_CACHE_BYTES_MAX / 2 + 1);
    assert_int_equal(get(cache, 3), 0);
    api_cache_free(cache);
}

static void test_entries_max(void **state)
{
    (void)state;
    struct api_cache *cache = api_cache_new();
    for (int i = 0; i < API_CACHE_ENTRIES_MAX; i++)
        put(cache, i, API_CACHE_BODY_MIN);
    assert_true(get(cache, 0) > 0); /* used: 1 is the oldest now */
    put(cache, 100, API_CACHE_BODY_MIN);
    assert_true(get(cache, 0) > 0 && get(cache, 100) > 0);
    assert_int_equal(get(cache, 1), 0);
    assert_true(get(cache, 2) > 0);
    api_cache_free(cache);
}

static void test_bytes_max(void **state)
{
    (void)state;
    struct api_cache *cache = api_cache_new();
    put(cache, 1, API_CACHE_BYTES_MAX / 4);
    put(cache, 2, API_CACHE_BYTES_MAX / 4);
    put(cache, 3, API_CACHE_BYTES_MAX / 2);
    assert_true(get(cache, 1) > 0 && get(cache, 2) > 0 && get(cache, 3) > 0);
    put(cache, 4, API_CACHE_BYTES_MAX / 2);
    assert_int_equal(get(cache, 1), 0);
    assert_int_equal(get(cache, 2), 0);
    assert_true(get(cache, 3) > 0 && get(cache, 4) > 0);
    api_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps),
        cmocka_unit_test(test_entries_max),
        cmocka_unit_test(test_bytes_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
