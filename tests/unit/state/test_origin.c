/* Which trace headers are taken (W3C Trace Context, sections 3.2 and 3.3), and what attempts get of them. */
#include "support/check.h"

#include <string.h>

#include "base/mem.h"
#include "state/origin.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define PARENT "00-" TRACE "-" SPAN "-01"

static void test_taken(void **state)
{
    (void)state;
    static const struct {
        const char *parent, *trace_state, *trace;
    } cases[] = {
        {PARENT, NULL, PARENT},
        {PARENT, "a=1,b@c=2", PARENT " a=1,b@c=2"},
        {"00-" TRACE "-" SPAN "-00", NULL, "00-" TRACE "-" SPAN "-00"},
        {"01-" TRACE "-" SPAN "-01", NULL, PARENT},
        {"cc-" TRACE "-" SPAN "-01-what-comes-later", NULL, PARENT},
        {PARENT, "", PARENT},
        {PARENT, "no member", PARENT},
        {PARENT, "a=\x01", PARENT},
        {PARENT, "a=\xc3\xa4", PARENT},
        {PARENT, "a=1,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,", PARENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char trace[ORIGIN_TRACE_MAX + 1];
        assert_true(origin_write_trace(cases[i].parent, cases[i].trace_state, trace));
        assert_string_equal(trace, cases[i].trace);
    }
    char trace[ORIGIN_TRACE_MAX + 1], long_state[ORIGIN_TRACESTATE_MAX + 2];
    memset(long_state, 'x', sizeof long_state);
    long_state[1] = '=';
    long_state[ORIGIN_TRACESTATE_MAX + 1] = '\0';
    assert_true(origin_write_trace(PARENT, long_state, trace));
    assert_string_equal(trace, PARENT);
    long_state[ORIGIN_TRACESTATE_MAX] = '\0';
    assert_true(origin_write_trace(PARENT, long_state, trace));
    assert_int_equal(strlen(trace), ORIGIN_TRACE_MAX);
}

static void test_not_taken(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "00", TRACE, "00-" TRACE "-" SPAN, "00-" TRACE "-" SPAN "-0", "00-" TRACE "-" SPAN "-01-x",
        "cc-" TRACE "-" SPAN "-01.x", "ff-" TRACE "-" SPAN "-01", "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "0g-" TRACE "-" SPAN "-01",
        "00_" TRACE "_" SPAN "_01", "00-" TRACE "-" SPAN "-0x", " " PARENT,
    };
    char trace[ORIGIN_TRACE_MAX + 1];
    assert_false(origin_write_trace(NULL, "a=1", trace));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (origin_write_trace(bad[i], NULL, trace))
            fail_msg("taken: %s", bad[i]);
}

static void test_attempts(void **state)
{
    (void)state;
    const struct uuid run = {{1, 2, 3}}, other = {{1, 2, 4}};
    char first[ORIGIN_TRACEPARENT_LEN + 1], second[ORIGIN_TRACEPARENT_LEN + 1];
    assert_null(origin_new(NULL, NULL));
    assert_false(origin_attempt(NULL, run, 1, first));
    struct origin *origin = origin_new("req", NULL);
    assert_false(origin_attempt(origin, run, 1, first));
    origin_unref(origin);
    origin = origin_new(NULL, PARENT " a=1");
    assert_string_equal(origin->tracestate, "a=1");
    assert_true(origin_attempt(origin_ref(origin), run, 1, first));
    assert_memory_equal(first, "00-" TRACE "-", 36);
    assert_string_equal(first + 52, "-01");
    assert_memory_not_equal(first + 36, SPAN, 16);
    assert_true(origin_attempt(origin, run, 1, second));
    assert_string_equal(first, second);
    assert_true(origin_attempt(origin, run, 2, second));
    assert_string_not_equal(first, second);
    assert_true(origin_attempt(origin, other, 1, second));
    assert_string_not_equal(first, second);
    origin_unref(origin);
    origin_unref(origin);
    origin_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_not_taken),
        cmocka_unit_test(test_attempts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
