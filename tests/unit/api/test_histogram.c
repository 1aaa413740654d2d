#include "support/check.h"

#include <string.h>

#include "api/api_histogram.h"

static struct buf out;

static void expect_line(const char *line)
{
    if (!strstr(buf_text(&out), line))
        fail_msg("no line %sin:\n%s", line, buf_text(&out));
}

/* Bounds include what is exactly as long; each line counts all below it. */
static void test_counts_are_cumulative(void **state)
{
    (void)state;
    struct api_histogram histogram = {0};
    const int64_t durations_ms[] = {-5, 0, 1, 2, 5, 1000, 1001, 86400000, 86400001};
    for (size_t i = 0; i < sizeof durations_ms / sizeof durations_ms[0]; i++)
        api_histogram_add(&histogram, durations_ms[i]);
    buf_clear(&out);
    api_histogram_put(&out, &histogram, "x_seconds", "a=\"b\"");
    expect_line("scheduler_x_seconds_bucket{a=\"b\",le=\"0.001\"} 3\n");
    expect_line("scheduler_x_seconds_bucket{a=\"b\",le=\"0.005\"} 5\n");
    expect_line("scheduler_x_seconds_bucket{a=\"b\",le=\"1\"} 6\n");
    expect_line("scheduler_x_seconds_bucket{a=\"b\",le=\"5\"} 7\n");
    expect_line("scheduler_x_seconds_bucket{a=\"b\",le=\"86400\"} 8\n");
    expect_line("scheduler_x_seconds_bucket{a=\"b\",le=\"+Inf\"} 9\n");
    expect_line("scheduler_x_seconds_sum{a=\"b\"} 172802.010\n");
    expect_line("scheduler_x_seconds_count{a=\"b\"} 9\n");
}

static void test_empty_ones(void **state)
{
    (void)state;
    struct api_histogram histogram = {0};
    buf_clear(&out);
    api_histogram_put(&out, &histogram, "x_seconds", "a=\"b\"");
    assert_int_equal(out.len, 0);
    api_histogram_put(&out, &histogram, "x_seconds", "");
    expect_line("scheduler_x_seconds_bucket{le=\"+Inf\"} 0\n");
    expect_line("scheduler_x_seconds_count 0\n");
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_cumulative),
        cmocka_unit_test(test_empty_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
