/* Next fires against brute force: every minute of a stretch of years, libc's local time, and cron's rules carried
 * out as cron(8) of Debian words them, with a virtual clock. Nothing of src/cron is in the answer it is held against:
 * expressions are predicates written by hand.
 *
 * `make check` looks at some weeks around known changes; PAWL_CRON_YEARS=30 at so many years, whole. */
#include "support/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cron/cron.h"

typedef bool predicate(const struct tm *tm);

static int last_day(const struct tm *tm)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = tm->tm_year + 1900;
    return days[tm->tm_mon] + (tm->tm_mon == 1 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

static bool at(const struct tm *tm, int hour, int minute)
{
    return tm->tm_hour == hour && tm->tm_min == minute;
}

static int weekday_of(const struct tm *tm, int day)
{
    return ((tm->tm_wday + day - tm->tm_mday) % 7 + 7) % 7;
}

/* By walking away from the day, as people say it. */
static bool is_nearest_weekday(const struct tm *tm, int day)
{
    static const int steps[] = {0, -1, 1, -2, 2};
    if (day > last_day(tm))
        return false;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int candidate = day + steps[i], weekday = weekday_of(tm, candidate);
        if (candidate >= 1 && candidate <= last_day(tm) && weekday >= 1 && weekday <= 5)
            return tm->tm_mday == candidate;
    }
    return false;
}

static bool every_minute(const struct tm *tm) { return tm->tm_min >= 0; }
static bool quarter_hours(const struct tm *tm) { return tm->tm_min % 15 == 0; }
static bool hourly(const struct tm *tm) { return tm->tm_min == 0; }
static bool every_second_hour(const struct tm *tm) { return tm->tm_min == 30 && tm->tm_hour % 2 == 0; }
static bool minutes_of_some_hours(const struct tm *tm) { return tm->tm_hour >= 1 && tm->tm_hour <= 3; }
static bool at_2_30(const struct tm *tm) { return at(tm, 2, 30); }
static bool at_0_0(const struct tm *tm) { return at(tm, 0, 0); }
static bool at_1_15(const struct tm *tm) { return at(tm, 1, 15); }
static bool hours_1_to_5(const struct tm *tm) { return tm->tm_min == 0 && tm->tm_hour >= 1 && tm->tm_hour <= 5; }
static bool thrice(const struct tm *tm) { return tm->tm_hour == 2 && (tm->tm_min % 20 == 0); }
static bool late(const struct tm *tm) { return at(tm, 23, 59); }
static bool last(const struct tm *tm) { return at(tm, 2, 0) && tm->tm_mday == last_day(tm); }
static bool last_friday(const struct tm *tm)
{
    return at(tm, 2, 0) && tm->tm_wday == 5 && tm->tm_mday + 7 > last_day(tm);
}
static bool second_sunday(const struct tm *tm)
{
    return at(tm, 2, 45) && tm->tm_wday == 0 && tm->tm_mday > 7 && tm->tm_mday <= 14;
}
static bool last_weekday(const struct tm *tm)
{
    return at(tm, 6, 0) && is_nearest_weekday(tm, last_day(tm));
}
static bool near_15_and_1(const struct tm *tm)
{
    return at(tm, 6, 0) && (is_nearest_weekday(tm, 15) || is_nearest_weekday(tm, 1) || is_nearest_weekday(tm, 31));
}
static bool either_day(const struct tm *tm)
{
    return at(tm, 3, 30) && (tm->tm_mday == 13 || tm->tm_wday == 5);
}
static bool both_days(const struct tm *tm)
{
    return at(tm, 3, 30) && tm->tm_mday % 2 == 1 && tm->tm_wday == 1;
}
static bool months(const struct tm *tm)
{
    return at(tm, 2, 5) && (tm->tm_mon == 2 || tm->tm_mon == 9 || tm->tm_mon == 11);
}
static bool odd_mix(const struct tm *tm)
{
    return (tm->tm_min == 7 || (tm->tm_min >= 40 && tm->tm_min <= 50 && tm->tm_min % 5 == 0)) &&
           (tm->tm_hour < 4 || tm->tm_hour == 23) && tm->tm_wday != 3;
}
static bool leap_days(const struct tm *tm) { return at(tm, 0, 0) && tm->tm_mon == 1 && tm->tm_mday == 29; }

static const struct {
    const char *text;
    predicate *matches;
    bool follows_clock;
} cases[] = {
    {"* * * * *", every_minute, true},
    {"*/15 * * * *", quarter_hours, true},
    {"@hourly", hourly, true},
    {"30 */2 * * *", every_second_hour, true},
    {"* 1-3 * * *", minutes_of_some_hours, true},
    {"30 2 * * *", at_2_30, false},
    {"@daily", at_0_0, false},
    {"15 1 * * *", at_1_15, false},
    {"0 1-5 * * *", hours_1_to_5, false},
    {"0/20 2 * * *", thrice, false},
    {"59 23 * * *", late, false},
    {"0 2 L * *", last, false},
    {"0 2 * * 5L", last_friday, false},
    {"45 2 * * 0#2", second_sunday, false},
    {"0 6 LW * *", last_weekday, false},
    {"0 6 15W,1W,31W * *", near_15_and_1, false},
    {"30 3 13 * fri", either_day, false},
    {"30 3 */2 * mon", both_days, false},
    {"5 2 * mar,oct,dec *", months, false},
    {"7,40-50/5 0-3,23 * * 0-2,4-7", odd_mix, false},
    {"0 0 29 2 *", leap_days, false},
};

enum { CASES = sizeof cases / sizeof cases[0], SPECIAL_MIN = 180, WINDOW_DAYS = 24 };

/* Months in which the zone did something, for the short form. */
static const struct {
    const char *name;
    const char *windows[5];
} zones[] = {
    {"UTC", {"2024-02"}},
    {"Europe/Berlin", {"2026-03", "2026-10", "2045-03"}},
    {"Europe/London", {"2026-03", "2026-10"}},
    {"Europe/Dublin", {"2026-03", "2026-10", "2060-10"}}, /* its winter is the exception */
    {"Europe/Riga", {"2021-03", "2021-10"}},
    {"America/New_York", {"2026-03", "2026-11", "2007-11"}},
    {"America/St_Johns", {"2011-03", "2011-11", "2007-03"}}, /* changed at one minute past midnight */
    {"America/Sao_Paulo", {"2018-02", "2018-11"}},           /* at midnight */
    {"America/Santiago", {"2026-04", "2026-09"}},
    {"America/Caracas", {"2007-12", "2016-05"}},             /* half an hour for good */
    {"Africa/Casablanca", {"2026-02", "2026-03"}},           /* back for Ramadan */
    {"Africa/Cairo", {"2026-04", "2026-10"}},
    {"Asia/Kolkata", {"2026-03"}},
    {"Asia/Kathmandu", {"2026-03"}},
    {"Asia/Pyongyang", {"2015-08", "2018-05"}},
    {"Asia/Gaza", {"2011-08", "2026-03", "2027-10"}},
    {"Australia/Lord_Howe", {"2026-04", "2026-10"}},         /* half an hour */
    {"Pacific/Apia", {"2011-12", "2012-04", "2020-09"}},     /* a day that was not */
    {"Antarctica/Troll", {"2026-03", "2026-10"}},            /* two hours */
    {"Antarctica/Casey", {"2010-03", "2018-03", "2023-03"}}, /* three hours */
};

static int64_t minute_of(const struct tm *tm)
{
    return clock_days_from_date(tm->tm_year + 1900, (unsigned)tm->tm_mon + 1, (unsigned)tm->tm_mday) * 1440 +
           tm->tm_hour * 60 + tm->tm_min;
}

static void tm_of(int64_t minute, struct tm *ret_tm)
{
    int64_t days = minute / 1440, year;
    unsigned month, day;
    clock_date_from_days(days, &year, &month, &day);
    *ret_tm = (struct tm){.tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day};
    ret_tm->tm_hour = (int)(minute % 1440 / 60);
    ret_tm->tm_min = (int)(minute % 60);
    ret_tm->tm_wday = (int)((days + 4) % 7);
}

struct clock_state {
    int64_t virtual;            /* local minutes done for fixed times */
};

/* Which cases fire at a local minute, by the rules; bit i: case i. */
static uint32_t fires_now(struct clock_state *clock, const struct tm *tm)
{
    int64_t local = minute_of(tm), passed = local - clock->virtual;
    uint32_t fires = 0;
    bool forward = passed > 1 && passed <= SPECIAL_MIN, back = passed < 1 && passed > 1 - SPECIAL_MIN;
    for (int i = 0; i < CASES; i++)
        if ((cases[i].follows_clock || !back) && cases[i].matches(tm))
            fires |= 1u << i;
    for (int64_t minute = clock->virtual + 1; forward && minute < local; minute++) {
        struct tm skipped;
        tm_of(minute, &skipped);
        for (int i = 0; i < CASES; i++)
            if (!cases[i].follows_clock && cases[i].matches(&skipped))
                fires |= 1u << i;
    }
    if (!back)
        clock->virtual = local;
    return fires;
}

static void compare(const char *zone_name, int64_t from_s, int64_t end_s)
{
    struct cron_zone *zone = NULL;
    struct cron cron[CASES];
    struct cron_fire next[CASES];
    struct clock_state clock = {0};
    struct tm tm;
    assert_int_equal(cron_zone_load(zone_name, &zone, NULL), 0);
    time_t before = (time_t)(from_s - 60);
    assert_non_null(localtime_r(&before, &tm));
    clock.virtual = minute_of(&tm);
    for (int i = 0; i < CASES; i++) {
        assert_int_equal(cron_parse(cases[i].text, &cron[i], NULL), 0);
        assert_true(cron_next(&cron[i], zone, from_s * 1000 - 1, &next[i]));
    }
    for (int64_t now_s = from_s; now_s < end_s; now_s += 60) {
        time_t now = (time_t)now_s;
        assert_non_null(localtime_r(&now, &tm));
        uint32_t fires = fires_now(&clock, &tm);
        for (int i = 0; i < CASES; i++) {
            bool due = next[i].time_ms == now_s * 1000;
            if (due != ((fires >> i & 1) != 0) || next[i].time_ms < now_s * 1000)
                fail_msg("%s, '%s': %04d-%02d-%02d %02d:%02d (%lld): %s", zone_name, cases[i].text, tm.tm_year + 1900,
                         tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, (long long)now_s,
                         due ? "fires and should not" : "does not fire and should");
            if (!due)
                continue;
            assert_int_equal(next[i].offset_s, tm.tm_gmtoff);
            assert_true(cron_next(&cron[i], zone, next[i].time_ms, &next[i]));
        }
    }
    cron_zone_free(zone);
}

static int64_t start_of(const char *month)
{
    int64_t ms;
    char text[40];
    (void)snprintf(text, sizeof text, "%s-01T00:00:00Z", month);
    assert_true(clock_parse_rfc3339(text, &ms));
    return ms / 1000;
}

static void test_brute_force(void **state)
{
    (void)state;
    const char *years_text = getenv("PAWL_CRON_YEARS");
    int64_t years = 0;
    if (years_text && !str_parse_int(years_text, 1, 100, &years))
        fail_msg("PAWL_CRON_YEARS=%s is no number of years", years_text);
    for (size_t z = 0; z < sizeof zones / sizeof zones[0]; z++) {
        assert_int_equal(setenv("TZ", zones[z].name, 1), 0);
        tzset();
        if (years) {
            int64_t from_s = start_of("2007-01");
            compare(zones[z].name, from_s, from_s + years * INT64_C(31556952) / 60 * 60);
            continue;
        }
        for (size_t w = 0; w < 5 && zones[z].windows[w]; w++) {
            /* the last days of the month before, since some changes come with the first */
            int64_t from_s = start_of(zones[z].windows[w]) - 2 * 86400;
            compare(zones[z].name, from_s, from_s + (WINDOW_DAYS + 9) * 86400);
        }
    }
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_brute_force)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
