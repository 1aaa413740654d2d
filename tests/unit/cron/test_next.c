#include "support/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cron/cron.h"

static struct cron parse(const char *text)
{
    struct cron cron;
    struct error err = {0};
    if (cron_parse(text, &cron, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return cron;
}

static int64_t ms_of(const char *text)
{
    int64_t ms = 0;
    assert_true(clock_parse_rfc3339(text, &ms));
    return ms;
}

/* text: the local time of the fire and its reason, "2026-03-29T03:00:00+02:00 skipped hour" */
static void assert_fires(const char *expr, const char *zone_name, const char *start, const char *const *wanted)
{
    struct cron cron = parse(expr);
    struct cron_zone *zone = NULL;
    int64_t after_ms = ms_of(start);
    assert_int_equal(cron_zone_load(zone_name, &zone, NULL), 0);
    for (; *wanted; wanted++) {
        struct cron_fire fire;
        char local[CRON_LOCAL_TEXT_MAX], text[80];
        if (!cron_next(&cron, zone, after_ms, &fire))
            fail_msg("%s never fires, wanted %s", expr, *wanted);
        cron_format_local(fire.time_ms, fire.offset_s, local);
        (void)snprintf(text, sizeof text, "%s %s", local, cron_reason_name(fire.reason));
        assert_string_equal(text, *wanted);
        assert_int_equal(ms_of(local), fire.time_ms);
        assert_int_equal(cron_zone_offset_s(zone, fire.time_ms), fire.offset_s);
        assert_true(fire.time_ms > after_ms);
        after_ms = fire.time_ms;
    }
    cron_zone_free(zone);
}

#define FIRES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_reasons(void **state)
{
    (void)state;
    assert_fires("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
                 FIRES("2026-03-29T03:00:00+02:00 skipped hour", "2026-03-30T02:30:00+02:00 on time"));
    assert_fires("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
                 FIRES("2026-03-29T03:00:00+02:00 on time", "2026-03-29T03:30:00+02:00 on time"));
    assert_fires("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
                 FIRES("2026-03-30T02:00:00+02:00 on time")); /* follows the clock: that hour was not */
    assert_fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
                 FIRES("2026-10-25T02:30:00+02:00 on time", "2026-10-26T02:30:00+01:00 on time"));
    assert_fires("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
                 FIRES("2026-10-25T02:00:00+02:00 on time", "2026-10-25T02:30:00+02:00 on time",
                       "2026-10-25T02:00:00+01:00 repeated hour", "2026-10-25T02:30:00+01:00 repeated hour",
                       "2026-10-26T02:00:00+01:00 on time"));
    assert_fires("@hourly", "Europe/Berlin", "2026-10-24T23:30:00Z",
                 FIRES("2026-10-25T02:00:00+02:00 on time", "2026-10-25T02:00:00+01:00 repeated hour",
                       "2026-10-25T03:00:00+01:00 on time"));
    /* asked in the middle of the repeated hour, before and after the change */
    assert_fires("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", FIRES("2026-10-26T02:30:00+01:00 on time"));
    assert_fires("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", FIRES("2026-10-26T02:30:00+01:00 on time"));
    assert_fires("59 2 * * *", "Europe/Berlin", "2026-10-25T00:58:59.999Z", FIRES("2026-10-25T02:59:00+02:00 on time"));
    /* at the very end of the gap */
    assert_fires("30 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59.999Z",
                 FIRES("2026-03-29T03:00:00+02:00 skipped hour"));
    assert_fires("30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", FIRES("2026-03-30T02:30:00+02:00 on time"));
    /* half an hour */
    assert_fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
                 FIRES("2026-10-04T02:30:00+11:00 skipped hour"));
    assert_fires("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z",
                 FIRES("2026-04-05T01:45:00+11:00 on time", "2026-04-06T01:45:00+10:30 on time"));
    /* a day that was not is no daylight saving: nothing is made up for */
    assert_fires("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00-10:00",
                 FIRES("2011-12-29T12:00:00-10:00 on time", "2011-12-31T12:00:00+14:00 on time"));
}

static void test_days(void **state)
{
    (void)state;
    assert_fires("0 0 L * *", "UTC", "2027-12-31T00:00:00Z",
                 FIRES("2028-01-31T00:00:00+00:00 on time", "2028-02-29T00:00:00+00:00 on time",
                       "2028-03-31T00:00:00+00:00 on time"));
    assert_fires("0 0 LW * *", "UTC", "2026-01-01T00:00:00Z",
                 FIRES("2026-01-30T00:00:00+00:00 on time", "2026-02-27T00:00:00+00:00 on time",
                       "2026-03-31T00:00:00+00:00 on time"));
    /* the 1st is a Saturday: Monday the 3rd; the 15th a Saturday: the 14th; the 31st a Sunday: the 29th */
    assert_fires("0 0 1W * *", "UTC", "2026-07-31T00:00:00Z", FIRES("2026-08-03T00:00:00+00:00 on time"));
    assert_fires("0 0 15W * *", "UTC", "2026-07-31T00:00:00Z", FIRES("2026-08-14T00:00:00+00:00 on time"));
    assert_fires("0 0 31W 5 *", "UTC", "2026-05-01T00:00:00Z", FIRES("2026-05-29T00:00:00+00:00 on time"));
    assert_fires("0 0 31W * *", "UTC", "2026-06-01T00:00:00Z", FIRES("2026-07-31T00:00:00+00:00 on time"));
    assert_fires("0 0 * * 1#5", "UTC", "2026-01-01T00:00:00Z",
                 FIRES("2026-03-30T00:00:00+00:00 on time", "2026-06-29T00:00:00+00:00 on time"));
    assert_fires("0 0 * * fri,1#1,0L", "UTC", "2026-08-30T00:00:00Z",
                 FIRES("2026-09-04T00:00:00+00:00 on time", "2026-09-07T00:00:00+00:00 on time",
                       "2026-09-11T00:00:00+00:00 on time", "2026-09-18T00:00:00+00:00 on time",
                       "2026-09-25T00:00:00+00:00 on time", "2026-09-27T00:00:00+00:00 on time"));
    /* either day field, when neither starts with '*'; both when one does */
    assert_fires("0 0 13 * 5", "UTC", "2026-02-07T00:00:00Z",
                 FIRES("2026-02-13T00:00:00+00:00 on time", "2026-02-20T00:00:00+00:00 on time"));
    assert_fires("0 0 13 * */5", "UTC", "2026-02-07T00:00:00Z",
                 FIRES("2026-02-13T00:00:00+00:00 on time", "2026-03-13T00:00:00+00:00 on time",
                       "2026-09-13T00:00:00+00:00 on time"));
    assert_fires("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", FIRES("2104-02-29T00:00:00+00:00 on time"));
    assert_fires("0 0 29 2 */7", "UTC", "2096-03-01T00:00:00Z", FIRES("2128-02-29T00:00:00+00:00 on time"));
    assert_fires("59 23 31 12 *", "UTC", "2026-12-31T23:58:59Z", FIRES("2026-12-31T23:59:00+00:00 on time"));
    assert_fires("0 0 1 1 *", "UTC", "1960-05-05T00:00:30.5Z",
                 FIRES("1961-01-01T00:00:00+00:00 on time", "1962-01-01T00:00:00+00:00 on time"));
}

static void test_what_never_fires(void **state)
{
    (void)state;
    struct cron_zone *zone = NULL;
    struct cron_fire fire;
    struct error err = {0};
    struct cron cron = parse("0 0 */100 * 1#4"); /* the 1st is never a fourth Monday */
    assert_int_equal(cron_zone_load("Europe/Berlin", &zone, NULL), 0);
    assert_false(cron_next(&cron, zone, ms_of("2026-01-01T00:00:00Z"), &fire));
    cron_zone_free(zone);
    static const char *const refused[] = {"0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(cron_parse(refused[i], &cron, &err), ERROR_BAD_REQUEST);
        assert_non_null(strstr(err.text, "never fires"));
    }
    (void)parse("0 0 30 2 mon"); /* Mondays do */
}

/* RFC 3339 ends with 9999, and so do all times that are shown. */
static void test_the_last_years(void **state)
{
    (void)state;
    struct cron cron = parse("0 12 * * *");
    struct cron_zone *zone = NULL;
    struct cron_fire fire;
    assert_int_equal(cron_zone_load("Pacific/Kiritimati", &zone, NULL), 0);
    assert_true(cron_next(&cron, zone, ms_of("9999-12-29T00:00:00Z"), &fire));
    assert_int_equal(fire.time_ms, ms_of("9999-12-30T12:00:00+14:00"));
    assert_true(cron_next(&cron, zone, fire.time_ms, &fire));
    assert_int_equal(fire.time_ms, ms_of("9999-12-31T12:00:00+14:00"));
    assert_false(cron_next(&cron, zone, fire.time_ms, &fire));
    assert_false(cron_next(&cron, zone, ms_of("9999-12-31T23:59:59Z"), &fire));
    cron_zone_free(zone);
}

static void test_macros_and_names(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"@yearly", "0 0 1 1 *"},      {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
        {"@weekly", "0 0 * * 0"},      {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
        {"@hourly", "0 * * * *"},      {" @Hourly ", "0 * * * *"}, {"0 0 * jan-MAR,Dec *", "0 0 * 1-3,12 *"},
        {"0 0 * * Sun", "0 0 * * 0"},  {"0 0 * * 7", "0 0 * * 0"}, {"0 0 * * 5-7", "0 0 * * 5,6,0"},
        {"0 0 * * fri-sun", "0 0 * * 5,6,0"}, {"3/20 * * * *", "3,23,43 * * * *"}, {"\t0  0\t1 1 *", "0 0 1 1 *"},
        {"00 08 01 01 *", "0 8 1 1 *"}, {"0-0/5 0 * * *", "0 0 * * *"}, {"0 0 * * 1/2", "0 0 * * 1,3,5"},
    };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        struct cron a = parse(same[i][0]), b = parse(same[i][1]);
        assert_int_equal(a.minutes, b.minutes);
        assert_int_equal(a.hours, b.hours);
        assert_int_equal(a.days, b.days);
        assert_int_equal(a.months, b.months);
        assert_int_equal(a.weekdays, b.weekdays);
    }
    static const char *const refused[][2] = {
        {"@reboot", "no time"},       {"@every 5m", "step"},      {"@dayly", "@daily"},
        {"* * * * * *", "seconds"},   {"* * * *", "expected 5"},  {"", "empty"},
        {"TZ=UTC 0 0 * * *", "timezone"}, {"60 * * * *", "minute: '60' is not in 0-59"},
        {"* 24 * * *", "hour"},       {"* * 0 * *", "day of month"}, {"* * * 13 *", "month"},
        {"* * * * 8", "day of week"}, {"5-1 * * * *", "backwards"}, {"1,,2 * * * *", "empty"},
        {"*/0 * * * *", "step of 0"}, {"* * * * fril", "number of the day"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct cron cron;
        struct error err = {0};
        assert_int_equal(cron_parse(refused[i][0], &cron, &err), ERROR_BAD_REQUEST);
        if (!strstr(err.text, refused[i][1]))
            fail_msg("%s: '%s' does not say '%s'", refused[i][0], err.text, refused[i][1]);
    }
    char longest[CRON_TEXT_MAX + 2];
    struct cron cron;
    memset(longest, ' ', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(cron_parse(longest, &cron, NULL), ERROR_BAD_REQUEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_what_never_fires), cmocka_unit_test(test_the_last_years),
        cmocka_unit_test(test_macros_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
