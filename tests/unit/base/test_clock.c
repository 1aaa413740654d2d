#include "support/check.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

/* Every day of years 0 to 9999, against the C library. */
static void test_every_day(void **state)
{
    (void)state;
    const int64_t first = clock_days_from_date(0, 1, 1), last = clock_days_from_date(9999, 12, 31);
    assert_int_equal(clock_days_from_date(1970, 1, 1), 0);
    assert_int_equal(last - first, 3652424);
    for (int64_t day = first; day <= last; day++) {
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;
        assert_non_null(gmtime_r(&seconds, &tm));
        int64_t year;
        unsigned month, day_of_month;
        clock_date_from_days(day, &year, &month, &day_of_month);
        if (year != tm.tm_year + 1900 || (int)month != tm.tm_mon + 1 || (int)day_of_month != tm.tm_mday ||
            clock_days_from_date(year, month, day_of_month) != day)
            fail_msg("day %lld is %lld-%u-%u", (long long)day, (long long)year, month, day_of_month);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    static const int64_t times[] = {-62167219200000, -1, 1, 951782400000, 1795508130123, 253402300799999};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[CLOCK_TEXT_MAX];
        int64_t back;
        clock_format_utc(times[i], text);
        assert_int_equal(strlen(text), 24);
        assert_true(clock_parse_rfc3339(text, &back));
        assert_int_equal(back, times[i]);
    }
    char text[CLOCK_TEXT_MAX];
    clock_format_utc(1795508130123, text);
    assert_string_equal(text, "2026-11-24T08:15:30.123Z");
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"1970-01-01T00:00:00Z", 0},
                {"1970-01-01t00:00:00z", 0},
                {"1970-01-01 00:00:00+00:00", 0},
                {"1970-01-01T01:00:00+01:00", 0},
                {"1969-12-31T18:30:00-05:30", 0},
                {"1970-01-01T00:00:00.5Z", 500},
                {"1970-01-01T00:00:00.123456789Z", 123},
                {"2000-02-29T00:00:00Z", 951782400000},
                {"2016-12-31T23:59:60Z", 1483228800000}};
    int64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(clock_parse_rfc3339(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    static const char *const bad[] = {"", "2026-11-24", "2026-11-24T08:15:30", "2026-11-24T08:15Z",
                                      "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-11-24T24:00:00Z",
                                      "2026-11-24T08:60:00Z", "2026-11-24T08:15:61Z", "2026-11-24T08:15:30.Z",
                                      "2026-11-24T08:15:30+0100", "2026-11-24T08:15:30+24:00",
                                      "2026-11-24T08:15:30Zx", " 2026-11-24T08:15:30Z", "26-11-24T08:15:30Z"};
    ms = -7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (clock_parse_rfc3339(bad[i], &ms))
            fail_msg("'%s' was read", bad[i]);
    assert_int_equal(ms, -7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
