/* See cron_tzif.h. Everything is bounds-checked: a file may be anything. */
#include "cron/cron_tzif.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { HEADER_LEN = 44, TYPE_LEN = 6, DAY_S = 86400, OFFSET_MAX_S = 26 * 3600, RULE_HOURS_MAX = 167 };

static const int64_t before_all_time = INT64_MIN / 4;

/* Adds a span; one at or before the last replaces it, one without a change is left out. */
static void add_span(struct cron_zone *zone, int64_t start_s, int32_t offset_s)
{
    while (zone->count && zone->spans[zone->count - 1].start_s >= start_s)
        zone->count--;
    if (zone->count && zone->spans[zone->count - 1].offset_s == offset_s)
        return;
    zone->spans = mem_grow(zone->spans, &zone->cap, zone->count + 1, sizeof *zone->spans);
    zone->spans[zone->count++] = (struct cron_span){start_s, offset_s};
}

size_t cron_tzif_find(const struct cron_zone *zone, int64_t time_s)
{
    size_t low = 0, high = zone->count; /* spans[low] starts at or before it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->spans[middle].start_s <= time_s)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- POSIX TZ: std offset [dst [offset],start[/time],end[/time]] ---- */

struct text {
    const char *at;
    const char *end;
};

/* When in a year: the `week`-th `weekday` of `month` (5: the last), or a day of the year. */
struct date {
    enum { BY_WEEK, BY_JULIAN, BY_DAY } kind;
    int month, week, weekday;
    int day;                    /* BY_JULIAN: 1..365, no 29 February; BY_DAY: 0..365 */
    int32_t time_s;
};

struct rule {
    int32_t standard_s, summer_s;
    bool has_summer;
    struct date start, end;     /* of summer, in the local time until then */
};

static bool take(struct text *text, char c)
{
    if (text->at == text->end || *text->at != c)
        return false;
    text->at++;
    return true;
}

static bool read_number(struct text *text, int max, int *ret_value)
{
    const char *start = text->at;
    int value = 0;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && text->at - start < 4)
        value = value * 10 + (*text->at++ - '0');
    *ret_value = value;
    return text->at > start && value <= max;
}

static bool skip_name(struct text *text)
{
    const char *start = text->at;
    if (take(text, '<')) {
        while (text->at < text->end && *text->at != '>')
            text->at++;
        return take(text, '>');
    }
    while (text->at < text->end && ((*text->at | 0x20) >= 'a' && (*text->at | 0x20) <= 'z'))
        text->at++;
    return text->at - start >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(struct text *text, int hours_max, int32_t *ret_seconds)
{
    bool minus = take(text, '-');
    if (!minus)
        (void)take(text, '+');
    int hours, minutes = 0, seconds = 0;
    if (!read_number(text, hours_max, &hours))
        return false;
    if (take(text, ':') && !read_number(text, 59, &minutes))
        return false;
    if (take(text, ':') && !read_number(text, 59, &seconds))
        return false;
    int32_t all = hours * 3600 + minutes * 60 + seconds;
    *ret_seconds = minus ? -all : all;
    return true;
}

static bool read_date(struct text *text, struct date *date)
{
    *date = (struct date){.time_s = 2 * 3600};
    bool right;
    if (take(text, 'M')) {
        right = read_number(text, 12, &date->month) && date->month && take(text, '.') &&
                read_number(text, 5, &date->week) && date->week && take(text, '.') &&
                read_number(text, 6, &date->weekday);
    } else if (take(text, 'J')) {
        date->kind = BY_JULIAN;
        right = read_number(text, 365, &date->day) && date->day;
    } else {
        date->kind = BY_DAY;
        right = read_number(text, 365, &date->day);
    }
    return right && (!take(text, '/') || read_time(text, RULE_HOURS_MAX, &date->time_s));
}

static bool read_rule(struct text *text, struct rule *rule)
{
    *rule = (struct rule){0};
    if (!skip_name(text) || !read_time(text, 24, &rule->standard_s))
        return false;
    rule->standard_s = -rule->standard_s; /* POSIX counts west */
    if (text->at == text->end)
        return true;
    rule->has_summer = true;
    rule->summer_s = rule->standard_s + 3600;
    if (!skip_name(text))
        return false;
    if (text->at < text->end && *text->at != ',') {
        if (!read_time(text, 24, &rule->summer_s))
            return false;
        rule->summer_s = -rule->summer_s;
    }
    return take(text, ',') && read_date(text, &rule->start) && take(text, ',') && read_date(text, &rule->end) &&
           text->at == text->end;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local seconds since 1970 at which a date's time of a year comes. */
static int64_t date_in(const struct date *date, int64_t year)
{
    int64_t day = clock_days_from_date(year, 1, 1);
    if (date->kind == BY_JULIAN) {
        day += date->day - 1 + (is_leap(year) && date->day >= 60);
    } else if (date->kind == BY_DAY) {
        day += date->day;
    } else {
        int64_t first = clock_days_from_date(year, (unsigned)date->month, 1);
        int64_t next = date->month == 12 ? clock_days_from_date(year + 1, 1, 1)
                                         : clock_days_from_date(year, (unsigned)date->month + 1, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        day = first + (date->weekday - weekday + 7) % 7 + 7 * (date->week - 1);
        if (day >= next)
            day -= 7;
    }
    return day * DAY_S + date->time_s;
}

/* Goes on by the rule after last_s. Without summer time that is what the last span says already. */
static void follow_rule(struct cron_zone *zone, const struct rule *rule, int64_t last_s)
{
    int64_t year = 1969;
    if (!zone->count)
        add_span(zone, before_all_time, rule->standard_s);
    if (!rule->has_summer)
        return;
    if (last_s > 0) {
        unsigned month, day;
        clock_date_from_days(last_s / DAY_S, &year, &month, &day);
    }
    for (; year <= CRON_RULE_YEAR_MAX; year++) {
        struct cron_span events[2] = {
            {date_in(&rule->start, year) - rule->standard_s, rule->summer_s},
            {date_in(&rule->end, year) - rule->summer_s, rule->standard_s},
        };
        bool swapped = events[1].start_s < events[0].start_s;
        for (int i = 0; i < 2; i++)
            if (events[swapped ? 1 - i : i].start_s > last_s)
                add_span(zone, events[swapped ? 1 - i : i].start_s, events[swapped ? 1 - i : i].offset_s);
    }
}

static bool parse_rule(const char *text, size_t len, int64_t last_s, struct cron_zone *zone)
{
    struct text all = {text, text + len};
    struct rule rule;
    if (!read_rule(&all, &rule))
        return false;
    follow_rule(zone, &rule, last_s);
    return true;
}

bool cron_tzif_parse_rule(const char *text, size_t len, struct cron_zone *zone)
{
    return parse_rule(text, len, before_all_time, zone);
}

/* ---- TZif ---- */

struct header {
    uint8_t version;
    size_t isut, isstd, leaps, times, types, chars;
};

static uint32_t big32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t big_signed(const uint8_t *bytes, size_t size)
{
    if (size == 4)
        return (int32_t)big32(bytes);
    return (int64_t)((uint64_t)big32(bytes) << 32 | big32(bytes + 4));
}

static bool read_header(const uint8_t *bytes, size_t len, struct header *header)
{
    if (len < HEADER_LEN || memcmp(bytes, "TZif", 4) != 0)
        return false;
    size_t *const counts[] = {&header->isut, &header->isstd, &header->leaps,
                              &header->times, &header->types, &header->chars};
    header->version = bytes[4];
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = big32(bytes + 20 + 4 * i);
        if (*counts[i] > CRON_TZIF_BYTES_MAX)
            return false;
    }
    return true;
}

static size_t block_len(const struct header *header, size_t time_size)
{
    return header->times * (time_size + 1) + header->types * TYPE_LEN + header->chars +
           header->leaps * (time_size + 4) + header->isstd + header->isut;
}

/* The data behind a header. */
static bool read_block(const uint8_t *bytes, const struct header *header, size_t time_size, struct cron_zone *zone,
                       int64_t *ret_last_s)
{
    *ret_last_s = before_all_time;
    const uint8_t *indexes = bytes + header->times * time_size, *types = indexes + header->times;
    if (header->types == 0 || header->leaps)
        return false;
    add_span(zone, before_all_time, (int32_t)big32(types)); /* RFC 8536 3.2: before the first it is type 0 */
    for (size_t i = 0; i < header->times; i++) {
        if (indexes[i] >= header->types)
            return false;
        int64_t start_s = big_signed(bytes + i * time_size, time_size);
        int32_t offset_s = (int32_t)big32(types + (size_t)indexes[i] * TYPE_LEN);
        if (offset_s > OFFSET_MAX_S || offset_s < -OFFSET_MAX_S)
            return false;
        if (start_s <= *ret_last_s && i)
            return false; /* they ascend */
        if (start_s > before_all_time)
            add_span(zone, start_s, offset_s);
        *ret_last_s = start_s;
    }
    return zone->spans[0].offset_s <= OFFSET_MAX_S && zone->spans[0].offset_s >= -OFFSET_MAX_S;
}

bool cron_tzif_parse(const uint8_t *bytes, size_t len, struct cron_zone *zone)
{
    struct header header;
    if (len > CRON_TZIF_BYTES_MAX || !read_header(bytes, len, &header))
        return false;
    size_t at = HEADER_LEN, time_size = 4;
    if (header.version >= '2') { /* the first block is for readers that know no 64-bit times */
        at += block_len(&header, 4);
        if (at > len || !read_header(bytes + at, len - at, &header))
            return false;
        at += HEADER_LEN;
        time_size = 8;
    }
    int64_t last_s;
    size_t data_len = block_len(&header, time_size);
    if (data_len > len - at || !read_block(bytes + at, &header, time_size, zone, &last_s))
        return false;
    at += data_len;
    if (time_size == 4)
        return true;
    const char *footer = (const char *)bytes + at;
    if (at == len || *footer != '\n')
        return false;
    const char *end = memchr(footer + 1, '\n', len - at - 1);
    if (!end)
        return false;
    return end == footer + 1 || parse_rule(footer + 1, (size_t)(end - footer) - 1, last_s, zone);
}
