/* The parser of cron expressions.
 *
 * An expression is split into words, one per field; each word is a list of items, and each item sets bits of the
 * field's mask or, for the day fields, one of the rules that depend on the month (L, W, #). What can never fire, such
 * as the 30th of February, is refused: it is always a slip. Errors name the field and quote the item. */
#include "cron/cron.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum field_index { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELD_COUNT };

struct field {
    const char *name;
    const char *const *names; /* names of values, the first is that of `names_from`; NULL: numbers only */
    int names_count;
    int names_from;
    int min;
    int max;
};

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static const struct field fields[FIELD_COUNT] = {
    [MINUTE] = {.name = "minute", .min = 0, .max = 59},
    [HOUR] = {.name = "hour", .min = 0, .max = 23},
    [DAY] = {.name = "day of month", .min = 1, .max = 31},
    [MONTH] = {.name = "month", .min = 1, .max = 12, .names = month_names, .names_count = 12, .names_from = 1},
    [WEEKDAY] = {.name = "day of week", .min = 0, .max = 7, .names = weekday_names, .names_count = 7},
};

static const struct {
    const char *name;
    const char *meaning;
} macros[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

/* A piece of the expression: not terminated. */
struct span {
    const char *start;
    size_t len;
};

/* What is being read, for messages. */
struct item {
    const struct field *field;
    enum field_index index;
    struct span text;
    struct error *err;
};

__attribute__((format(printf, 2, 3)))
static int fail(const struct item *item, const char *format, ...)
{
    char why[200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    int len = item->text.len > 60 ? 60 : (int)item->text.len;
    return error_set(item->err, ERROR_BAD_REQUEST, "%s: '%.*s' %s", item->field->name, len, item->text.start, why);
}

/* A value at *at: a number or a name. Moves *at behind it. */
static bool read_value(const struct field *field, struct span *at, int *ret_value, bool *ret_is_name)
{
    size_t len = 0;
    int value = 0;
    while (len < at->len && at->start[len] >= '0' && at->start[len] <= '9') {
        value = value < 10000 ? value * 10 + (at->start[len] - '0') : value;
        len++;
    }
    bool is_name = false;
    if (len == 0 && at->len >= 3) {
        for (int i = 0; i < field->names_count && !is_name; i++) {
            if (strncasecmp(at->start, field->names[i], 3) == 0) {
                value = field->names_from + i;
                len = 3;
                is_name = true;
            }
        }
    }
    if (len == 0)
        return false;
    at->start += len;
    at->len -= len;
    *ret_value = value;
    *ret_is_name = is_name;
    return true;
}

static bool take_char(struct span *at, char c)
{
    if (at->len == 0 || tolower((unsigned char)*at->start) != c)
        return false;
    at->start++;
    at->len--;
    return true;
}

/* The forms that depend on the month: L LW nW in the day of month, nL n#m in the day of week; `value` is n, or -1
 * when the item starts with the letter. Returns true when the item is one of them; *ret_rc says whether it is right. */
static bool read_special(const struct item *item, struct cron *cron, struct span *at, int value, int *ret_rc)
{
    *ret_rc = 0;
    if (item->index == DAY && value < 0) {
        if (!take_char(at, 'l'))
            return false;
        if (take_char(at, 'w'))
            cron->last_weekday = true;
        else
            cron->last_day = true;
    } else if (item->index == DAY && take_char(at, 'w')) {
        cron->nearest_weekday |= 1u << value;
    } else if (item->index == WEEKDAY && value >= 0 && take_char(at, 'l')) {
        cron->last_of = (uint8_t)(cron->last_of | 1u << value % 7);
    } else if (item->index == WEEKDAY && value >= 0 && take_char(at, '#')) {
        if (at->len != 1 || *at->start < '1' || *at->start > '5')
            *ret_rc = fail(item, "needs a number from 1 to 5 after '#'");
        else
            cron->nth[value % 7] = (uint8_t)(cron->nth[value % 7] | 1u << (*at->start - '0'));
        return true;
    } else {
        return false;
    }
    if (at->len)
        *ret_rc = fail(item, "cannot be combined with a range or a step");
    return true;
}

static int read_step(const struct item *item, struct span *at, int *ret_step)
{
    bool is_name;
    struct field digits_only = {.name = item->field->name};
    if (!read_value(&digits_only, at, ret_step, &is_name))
        return fail(item, "needs a number after '/'");
    if (*ret_step == 0)
        return fail(item, "has a step of 0");
    return 0;
}

static bool in_range(const struct field *field, int value)
{
    return value >= field->min && value <= field->max;
}

static int say_range(const struct item *item)
{
    return fail(item, "is not in %d-%d", item->field->min, item->field->max);
}

/* One item of a list: '*', a value, a range, each with or without a step, or a special form. */
static int read_item(const struct item *item, struct cron *cron, uint64_t *mask)
{
    const struct field *field = item->field;
    struct span at = item->text;
    int first = field->min, last = field->max, step = 1, rc = 0;
    bool is_name = false, day_field = item->index == DAY || item->index == WEEKDAY;
    if (take_char(&at, '*') || (day_field && take_char(&at, '?'))) {
        last = item->index == WEEKDAY ? 6 : last;
    } else {
        if (read_special(item, cron, &at, -1, &rc))
            return rc;
        if (!read_value(field, &at, &first, &is_name))
            return fail(item, field->names ? "is not a number or a name" : "is not a number");
        if (!in_range(field, first))
            return say_range(item);
        if (is_name && item->index == WEEKDAY && at.len == 1 && tolower((unsigned char)*at.start) == 'l')
            return fail(item, "needs the number of the day before 'L' (%d)", first);
        if (read_special(item, cron, &at, first, &rc))
            return rc;
        if (take_char(&at, '-')) {
            if (!read_value(field, &at, &last, &is_name))
                return fail(item, "is a range without an end");
            if (!in_range(field, last))
                return say_range(item);
            if (item->index == WEEKDAY && is_name && last == 0)
                last = 7; /* mon-sun */
            if (last < first)
                return fail(item, "is a range that runs backwards");
        } else if (at.len == 0) {
            last = first;
        } else {
            last = item->index == WEEKDAY && first < 7 ? 6 : last; /* N/S */
        }
    }
    if (take_char(&at, '/') && (rc = read_step(item, &at, &step)) != 0)
        return rc;
    if (at.len)
        return fail(item, "is not understood at '%.*s'", at.len > 20 ? 20 : (int)at.len, at.start);
    for (int value = first; value <= last; value += step)
        *mask |= 1ull << (item->index == WEEKDAY ? value % 7 : value);
    return 0;
}

static int read_field(enum field_index index, struct span word, struct cron *cron, struct error *err)
{
    uint64_t mask = 0;
    while (true) {
        const char *comma = memchr(word.start, ',', word.len);
        size_t len = comma ? (size_t)(comma - word.start) : word.len;
        struct item item = {.field = &fields[index], .index = index, .text = {word.start, len}, .err = err};
        if (len == 0)
            return error_set(err, ERROR_BAD_REQUEST, "%s: an item of the list is empty", fields[index].name);
        int rc = read_item(&item, cron, &mask);
        if (rc)
            return rc;
        if (!comma)
            break;
        word.start += len + 1;
        word.len -= len + 1;
    }
    switch (index) {
    case MINUTE: cron->minutes = mask; break;
    case HOUR: cron->hours = (uint32_t)mask; break;
    case DAY: cron->days = (uint32_t)mask; break;
    case MONTH: cron->months = (uint16_t)mask; break;
    case WEEKDAY: cron->weekdays = (uint8_t)mask; break;
    case FIELD_COUNT: break;
    }
    return 0;
}

/* A date that no year has, like 30 February, with nothing else that could fire. */
static int check_fires(const struct cron *cron, struct error *err)
{
    static const int days_of[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (cron->last_day || cron->last_weekday || (!cron->days_star && !cron->weekdays_star))
        return 0;
    int longest = 0;
    for (int month = 1; month <= 12; month++)
        if (cron->months & 1u << month && days_of[month] > longest)
            longest = days_of[month];
    uint32_t possible = (uint32_t)((2ull << longest) - 2);
    if ((cron->days | cron->nearest_weekday) & possible)
        return 0;
    return error_set(err, ERROR_BAD_REQUEST, "day of month: never fires, the months chosen have at most %d days",
                     longest);
}

static int refuse_macro(const char *text, struct error *err)
{
    if (strncasecmp(text, "@reboot", 7) == 0)
        return error_set(err, ERROR_BAD_REQUEST, "@reboot has no time; a schedule needs one");
    if (strncasecmp(text, "@every", 6) == 0)
        return error_set(err, ERROR_BAD_REQUEST, "@every is not known; write a step, for example */5 * * * *");
    return error_set(err, ERROR_BAD_REQUEST, "'%.20s' is not known (expected: @hourly, @daily, @midnight, @weekly, "
                     "@monthly, @yearly, @annually)", text);
}

/* Splits text at blanks into at most `max` words; returns how many there are. */
static size_t split_words(const char *text, struct span *words, size_t max)
{
    size_t count = 0;
    while (true) {
        text += strspn(text, " \t");
        size_t len = strcspn(text, " \t");
        if (len == 0)
            return count;
        if (count < max)
            words[count] = (struct span){text, len};
        count++;
        text += len;
    }
}

static bool starts_open(struct span word)
{
    return *word.start == '*' || *word.start == '?';
}

int cron_parse(const char *text, struct cron *ret_cron, struct error *err)
{
    if (strlen(text) > CRON_TEXT_MAX)
        return error_set(err, ERROR_BAD_REQUEST, "longer than %d characters", CRON_TEXT_MAX);
    struct span words[FIELD_COUNT];
    size_t count = split_words(text, words, FIELD_COUNT);
    if (count == 0)
        return error_set(err, ERROR_BAD_REQUEST, "empty");
    if (*words[0].start == '@') {
        const char *meaning = NULL;
        for (size_t i = 0; i < sizeof macros / sizeof macros[0] && count == 1; i++)
            if (strlen(macros[i].name) == words[0].len &&
                strncasecmp(macros[i].name, words[0].start, words[0].len) == 0)
                meaning = macros[i].meaning;
        if (!meaning)
            return refuse_macro(words[0].start, err);
        count = split_words(meaning, words, FIELD_COUNT);
    }
    if (memchr(words[0].start, '=', words[0].len))
        return error_set(err, ERROR_BAD_REQUEST, "'%.*s' does not belong here; the zone goes into timezone",
                         words[0].len > 60 ? 60 : (int)words[0].len, words[0].start);
    if (count != FIELD_COUNT)
        return error_set(err, ERROR_BAD_REQUEST,
                         "%zu field%s, expected 5: minute, hour, day of month, month, day of week%s", count,
                         count == 1 ? "" : "s", count == 6 ? " (there is no field for seconds)" : "");
    struct cron cron = {
        .minutes_star = starts_open(words[MINUTE]),
        .hours_star = starts_open(words[HOUR]),
        .days_star = starts_open(words[DAY]),
        .weekdays_star = starts_open(words[WEEKDAY]),
    };
    for (int i = 0; i < FIELD_COUNT; i++) {
        int rc = read_field((enum field_index)i, words[i], &cron, err);
        if (rc)
            return rc;
    }
    int rc = check_fires(&cron, err);
    if (rc)
        return rc;
    *ret_cron = cron;
    return 0;
}
