/* Cron expressions: five fields (minute, hour, day of month, month, day of week) or a macro such as @daily.
 *
 * The dialect is Debian cron's (crontab(5)): names, ranges, lists, steps, 0 and 7 are Sunday, and a day has to match
 * both day fields when one of them starts with '*', else either of them. Added: N/S means N-last/S, '?' is '*' in a
 * day field, and L (last day), LW (last weekday), 15W (weekday nearest to the 15th), 5L (last Friday) and
 * 1#2 (second Monday). Not understood: a seconds field, @reboot, @every. */
#ifndef PAWL_CRON_CRON_H
#define PAWL_CRON_CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { CRON_TEXT_MAX = 1000 }; /* bytes of an expression */

/* When an expression fires. In every mask bit n stands for the value n. A minute fires when minute, hour and month
 * match and the day does. The day of month matches by `days`, `last_day`, `last_weekday` or `nearest_weekday`; the day
 * of week by `weekdays`, `last_of` or `nth`. */
struct cron {
    uint64_t minutes;           /* 0..59 */
    uint32_t hours;             /* 0..23 */
    uint32_t days;              /* 1..31 */
    uint32_t nearest_weekday;   /* 1..31: Monday to Friday nearest to that day, within the month */
    uint16_t months;            /* 1..12 */
    uint8_t weekdays;           /* 0..6, 0 is Sunday */
    uint8_t last_of;            /* 0..6: the last such weekday of the month */
    uint8_t nth[7];             /* by weekday: bits 1..5, the n-th such weekday of the month */
    bool last_day;              /* the last day of the month */
    bool last_weekday;          /* the last Monday to Friday of the month */

    /* The field starts with '*' (or '?'). For days: the other field decides alone, that is, both must match; when
     * neither starts with one, either is enough. For minutes and hours: a job of the wall clock, which is what Debian
     * cron's rules for skipped and repeated local times ask for. */
    bool minutes_star;
    bool hours_star;
    bool days_star;
    bool weekdays_star;
};

/* Parses an expression. Returns 0 or ERROR_BAD_REQUEST with a text that names the field. Pure, thread-safe. */
int cron_parse(const char *text, struct cron *ret_cron, struct error *err);

/* True when the system's tz database has a zone of this name; UTC is always known. The name is never used as a path
 * unless it consists of [A-Za-z0-9_+-] and single '/' only. Reads at most one small file; thread-safe. */
bool cron_zone_exists(const char *name);

#endif
