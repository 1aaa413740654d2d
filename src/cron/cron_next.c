/* The next fire. Time is a row of spans of constant offset; inside one, local time is a plain calendar, which is
 * searched by months, days, then bits. What happens between two spans is the rules of cron.h. */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "cron/cron.h"
#include "cron/cron_tzif.h"

#define LAST_S INT64_C(253402214400) /* 9999-12-31: behind it RFC 3339 has no times, whatever the zone */

enum { MINUTE_S = 60, DAY_MINUTES = 1440, YEARS_MAX = 100, SPECIAL_CHANGE_S = 3 * 3600 };

static const char *const reason_names[] = {"on time", "skipped hour", "repeated hour"};
static_assert(sizeof reason_names / sizeof reason_names[0] == CRON_REPEATED_HOUR + 1, "one name per reason");

const char *cron_reason_name(enum cron_reason reason)
{
    assert(reason <= CRON_REPEATED_HOUR);
    return reason_names[reason];
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b > 0);
}

/* ---- days ---- */

struct day {
    int64_t number;             /* since 1970-01-01 */
    int64_t first;              /* number of the first of its month */
    int64_t year;
    unsigned month, day;
    unsigned last;              /* days of the month */
};

static void set_day(struct day *day, int64_t number)
{
    day->number = number;
    clock_date_from_days(number, &day->year, &day->month, &day->day);
    day->first = number - day->day + 1;
    int64_t next = day->month == 12 ? clock_days_from_date(day->year + 1, 1, 1)
                                    : clock_days_from_date(day->year, day->month + 1, 1);
    day->last = (unsigned)(next - day->first);
}

static unsigned weekday_of(int64_t number)
{
    return (unsigned)(((number + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

/* The Monday to Friday nearest to a day of the month, inside the month. */
static unsigned nearest_weekday(const struct day *day, unsigned wanted)
{
    unsigned weekday = weekday_of(day->first + wanted - 1);
    if (weekday == 6)
        return wanted > 1 ? wanted - 1 : wanted + 2;
    if (weekday == 0)
        return wanted < day->last ? wanted + 1 : wanted - 2;
    return wanted;
}

static bool day_of_month_matches(const struct cron *cron, const struct day *day)
{
    if (cron->days & 1u << day->day || (cron->last_day && day->day == day->last))
        return true;
    if (cron->last_weekday && day->day == nearest_weekday(day, day->last))
        return true;
    for (unsigned wanted = 1; cron->nearest_weekday && wanted <= day->last; wanted++)
        if (cron->nearest_weekday & 1u << wanted && day->day == nearest_weekday(day, wanted))
            return true;
    return false;
}

static bool day_of_week_matches(const struct cron *cron, const struct day *day)
{
    unsigned weekday = weekday_of(day->number);
    return cron->weekdays & 1u << weekday || (cron->last_of & 1u << weekday && day->day + 7 > day->last) ||
           cron->nth[weekday] & 1u << ((day->day - 1) / 7 + 1);
}

static bool day_matches(const struct cron *cron, const struct day *day)
{
    bool of_month = day_of_month_matches(cron, day), of_week = day_of_week_matches(cron, day);
    return cron->days_star || cron->weekdays_star ? of_month && of_week : of_month || of_week;
}

/* The first minute of a matching day that fires, at or after `from` (0..1439), or -1. */
static int find_in_day(const struct cron *cron, int from)
{
    for (int hour = from / 60; hour < 24; hour++) {
        if (!(cron->hours & 1u << hour))
            continue;
        uint64_t left = hour == from / 60 ? cron->minutes >> (from % 60) << (from % 60) : cron->minutes;
        if (left)
            return hour * 60 + __builtin_ctzll(left);
    }
    return -1;
}

/* The first local minute (since 1970) in [from, end) that fires. */
static bool find_minute(const struct cron *cron, int64_t from, int64_t end, int64_t *ret_minute)
{
    struct day day;
    int64_t number = floor_div(from, DAY_MINUTES);
    while (number * DAY_MINUTES < end) {
        set_day(&day, number);
        if (!(cron->months & 1u << day.month)) {
            number = day.first + day.last;
            continue;
        }
        int64_t midnight = number * DAY_MINUTES;
        int found = day_matches(cron, &day) ? find_in_day(cron, from > midnight ? (int)(from - midnight) : 0) : -1;
        if (found >= 0) {
            *ret_minute = midnight + found;
            return midnight + found < end;
        }
        number++;
    }
    return false;
}

/* ---- spans ---- */

/* What a fixed-time schedule lost in the gap before a span fires at its start. */
static bool find_gap(const struct cron *cron, int64_t start_s, int32_t before_s, int32_t offset_s,
                     struct cron_fire *ret_fire)
{
    int64_t from = ceil_div(start_s + before_s, MINUTE_S), end = ceil_div(start_s + offset_s, MINUTE_S), minute;
    if (!find_minute(cron, from, end, &minute))
        return false;
    bool due = (start_s + offset_s) % MINUTE_S == 0 && find_minute(cron, end, end + 1, &minute);
    *ret_fire = (struct cron_fire){start_s * 1000, offset_s, due ? CRON_ON_TIME : CRON_SKIPPED_HOUR};
    return true;
}

/* Looks at one span for a fire in [from_s, end_s). */
static bool find_in_span(const struct cron *cron, const struct cron_zone *zone, size_t place, int64_t from_s,
                         int64_t end_s, struct cron_fire *ret_fire)
{
    const struct cron_span *span = &zone->spans[place];
    int32_t before_s = place ? span[-1].offset_s : span->offset_s, change_s = span->offset_s - before_s;
    bool follows_clock = cron->minutes_star || cron->hours_star;
    bool special = change_s > -SPECIAL_CHANGE_S && change_s < SPECIAL_CHANGE_S;
    int64_t passed = INT64_MIN, minute; /* local minutes before it came in the span before already */
    if (change_s > 0 && special && !follows_clock && from_s <= span->start_s &&
        find_gap(cron, span->start_s, before_s, span->offset_s, ret_fire))
        return true;
    from_s = place && from_s < span->start_s ? span->start_s : from_s;
    int64_t from = ceil_div(from_s + span->offset_s, MINUTE_S);
    if (change_s < 0)
        passed = ceil_div(span->start_s + before_s, MINUTE_S);
    if (special && !follows_clock && from < passed)
        from = passed;
    if (!find_minute(cron, from, ceil_div(end_s + span->offset_s, MINUTE_S), &minute))
        return false;
    *ret_fire = (struct cron_fire){(minute * MINUTE_S - span->offset_s) * 1000, span->offset_s,
                                   minute < passed ? CRON_REPEATED_HOUR : CRON_ON_TIME};
    return true;
}

bool cron_next(const struct cron *cron, const struct cron_zone *zone, int64_t after_ms, struct cron_fire *ret_fire)
{
    int64_t from_s = floor_div(after_ms, 1000) + 1; /* fires are at whole seconds */
    int64_t limit_s = from_s + YEARS_MAX * INT64_C(31556952);
    limit_s = limit_s < LAST_S ? limit_s : LAST_S;
    for (size_t i = cron_tzif_find(zone, from_s); i < zone->count; i++) {
        int64_t end_s = i + 1 < zone->count ? zone->spans[i + 1].start_s : limit_s;
        if (find_in_span(cron, zone, i, from_s, end_s < limit_s ? end_s : limit_s, ret_fire))
            return true;
        if (end_s >= limit_s)
            break;
    }
    return false;
}

void cron_format_local(int64_t time_ms, int32_t offset_s, char text[CRON_LOCAL_TEXT_MAX])
{
    int64_t local_s = floor_div(time_ms, 1000) + offset_s, year;
    unsigned month, day, seconds = (unsigned)(local_s - floor_div(local_s, 86400) * 86400);
    unsigned minutes = (unsigned)(offset_s < 0 ? -offset_s : offset_s) / MINUTE_S;
    clock_date_from_days(floor_div(local_s, 86400), &year, &month, &day);
    (void)snprintf(text, CRON_LOCAL_TEXT_MAX, "%04lld-%02u-%02uT%02u:%02u:%02u%c%02u:%02u", (long long)year, month,
                   day, seconds / 3600, seconds / 60 % 60, seconds % 60, offset_s < 0 ? '-' : '+', minutes / 60,
                   minutes % 60);
}
