#include "support/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"

enum { KEYS = 5000 };

/* Random changes, held against a plain array that says what must be there. */
static void test_against_array(void **state)
{
    (void)state;
    static char keys[KEYS][16];
    static int values[KEYS];
    static bool present[KEYS];
    struct map map = {0};
    size_t count = 0;
    uint64_t seed = 42;
    for (int i = 0; i < KEYS; i++)
        (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
    for (int turn = 0; turn < 200000; turn++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t i = (size_t)(seed >> 33) % KEYS;
        size_t len = strlen(keys[i]);
        void *before = present[i] ? &values[i] : NULL;
        assert_ptr_equal(map_get(&map, keys[i], len), before);
        /* grows for a while, then shrinks, then grows again */
        bool set = (seed >> 20 & 7) < (turn / 40000 % 2 == 0 ? 6u : 2u);
        void *was = set ? map_set(&map, keys[i], len, &values[i]) : map_remove(&map, keys[i], len);
        assert_ptr_equal(was, before);
        count += (size_t)set - (size_t)present[i];
        present[i] = set;
        assert_int_equal(map.count, count);
    }
    size_t seen = 0, cursor = 0;
    for (struct map_slot *slot; (slot = map_next(&map, &cursor)); seen++) {
        size_t i = (size_t)((int *)slot->value - values);
        assert_true(present[i]);
        assert_string_equal(slot->key, keys[i]);
    }
    assert_int_equal(seen, count);
    map_fini(&map);
}

static void test_edges(void **state)
{
    (void)state;
    struct map map = {0};
    int a, b;
    size_t cursor = 0;
    assert_null(map_get(&map, "x", 1));
    assert_null(map_remove(&map, "x", 1));
    assert_null(map_next(&map, &cursor));
    assert_null(map_set(&map, "", 0, &a));
    assert_null(map_set(&map, "a\0b", 3, &b));
    assert_ptr_equal(map_get(&map, "", 0), &a);
    assert_ptr_equal(map_get(&map, "a\0b", 3), &b);
    assert_null(map_get(&map, "a\0c", 3));
    assert_null(map_get(&map, "a", 1));
    assert_ptr_equal(map_set(&map, "", 0, &b), &a);
    assert_int_equal(map.count, 2);
    map_fini(&map);
    map_fini(&map);
}

static void test_hash(void **state)
{
    (void)state;
    assert_true(map_hash_bytes("abc", 3) == map_hash_bytes("abc", 3));
    assert_true(map_hash_bytes("abc", 3) != map_hash_bytes("abd", 3));
    assert_true(map_hash_bytes("a\0", 2) != map_hash_bytes("a", 1));
    assert_true(map_hash_stable("abc", 3) != map_hash_bytes("abc", 3));
    /* Stored and sent as ETags, so it may never change: SipHash-1-3, computed by another program. */
    assert_true(map_hash_stable("pawl", 4) == 0xef0124be557737b7u);
    assert_true(map_hash_stable("0123456789abcdefXYZ", 19) == 0x3f2dc4a8542edf8du);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
