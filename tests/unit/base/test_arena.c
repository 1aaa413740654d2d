#include "support/check.h"

#include <string.h>

#include "base/arena.h"

/* No bytes are memory too: an address of their own, so that no caller computes with a null pointer. */
static void test_nothing(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *first = arena_alloc(&arena, 0), *second = arena_dup(&arena, NULL, 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    arena_fini(&arena);
}

static void test_sizes(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *blocks[300];
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = arena_alloc(&arena, i * 97);
        assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
        memset(blocks[i], (int)i & 0x7f, i * 97);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i * 97; k += 31)
            assert_int_equal(blocks[i][k], i & 0x7f);
    struct arena other = {0};
    char *text = arena_printf(&other, "%d-%s", 7, "x");
    arena_take(&other, &arena);
    assert_string_equal(text, "7-x");
    assert_int_equal(blocks[200][0], 200 & 0x7f);
    assert_int_equal(arena.total, 0);
    arena_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing), cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
