/* buf, arena and mem: what they hold after growing, and the edges. */
#include "support/check.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"

static void test_buf_grows(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    assert_string_equal(buf_text(&buf), "");
    for (int i = 0; i < 100000; i++)
        buf_add_char(&buf, (char)('a' + i % 26));
    assert_int_equal(buf.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf.bytes[i], 'a' + i % 26);
    buf_drop_front(&buf, 99998);
    assert_string_equal(buf_text(&buf), "cd");
    buf_drop_front(&buf, 2);
    assert_int_equal(buf.len, 0);
    buf_fini(&buf);
    buf_fini(&buf);
}

static void test_buf_forms(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    buf_add_uint(&buf, 0);
    buf_add_char(&buf, ' ');
    buf_add_uint(&buf, UINT64_MAX);
    buf_add_char(&buf, ' ');
    buf_add_int(&buf, INT64_MIN);
    buf_add(&buf, NULL, 0);
    buf_printf(&buf, " %s", "x");
    assert_string_equal(buf_text(&buf), "0 18446744073709551615 -9223372036854775808 x");
    buf_clear(&buf);
    /* around the size up to which printf needs one pass */
    for (int len = 250; len <= 260; len++) {
        buf_clear(&buf);
        buf_printf(&buf, "%*d", len, 7);
        assert_int_equal(buf.len, len);
        assert_int_equal(buf.bytes[len - 1], '7');
    }
    char *taken = buf_take(&buf);
    assert_int_equal(strlen(taken), 260);
    assert_null(buf.bytes);
    mem_free(taken);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *texts[2000];
    for (size_t i = 0; i < 2000; i++) {
        texts[i] = arena_alloc(&arena, i);
        if (i)
            memset(texts[i], (int)(i & 0xff), i);
        assert_int_equal((uintptr_t)texts[i] % 16, 0);
    }
    for (size_t i = 0; i < 2000; i++)
        for (size_t j = 0; j < i; j++)
            if ((unsigned char)texts[i][j] != (i & 0xff))
                fail_msg("allocation %zu was overwritten", i);
    const int *numbers = arena_array(&arena, 1000, sizeof *numbers);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(numbers[i], 0);
    char *large = arena_zalloc(&arena, 3 << 20);
    assert_int_equal(large[(3 << 20) - 1], 0);
    assert_string_equal(arena_strdup(&arena, "abc"), "abc");
    assert_null(arena_strdup(&arena, NULL));
    assert_string_equal(arena_strndup(&arena, "abc", 2), "ab");
    assert_memory_equal(arena_dup(&arena, "a\0b", 3), "a\0b", 3);
    assert_int_equal(strlen(arena_printf(&arena, "%*d", 255, 1)), 255);
    assert_int_equal(strlen(arena_printf(&arena, "%*d", 256, 1)), 256);
    arena_fini(&arena);
    arena_fini(&arena);
}

static void test_mem(void **state)
{
    (void)state;
    assert_null(mem_strdup(NULL));
    char *text = mem_printf("%s-%d", "a", 5);
    assert_string_equal(text, "a-5");
    mem_free(text);
    text = mem_strndup("abcdef", 3);
    assert_string_equal(text, "abc");
    mem_free(text);
    mem_free(NULL);
    int *list = NULL;
    size_t cap = 0;
    for (size_t i = 0; i < 1000; i++) {
        list = mem_grow(list, &cap, i + 1, sizeof *list);
        list[i] = (int)i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(list[i], i);
    assert_true(cap >= 1000 && cap <= 2000);
    mem_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_grows),
        cmocka_unit_test(test_buf_forms),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_mem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
