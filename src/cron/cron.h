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

/* True when the system's tz database has a zone of this name, or cannot be asked now; UTC is always known. The name is
 * never used as a path unless it consists of [A-Za-z0-9_+-] and single '/' only. Reads at most one small file;
 * thread-safe. */
bool cron_zone_exists(const char *name);

/* The offsets of a time zone, past and (to the year 2200) to come. Immutable, so that threads may share it. */
struct cron_zone;

/* Reads a zone of the system's tz database (RFC 8536); blocks for one small file. name NULL: the system's own zone,
 * that is TZ of the environment, else /etc/localtime, else UTC. ERROR_BAD_REQUEST: there is none of this name;
 * ERROR_IO: it cannot be read now. Caller ends it with cron_zone_free. */
int cron_zone_load(const char *name, struct cron_zone **ret_zone, struct error *err);
void cron_zone_free(struct cron_zone *zone); /* NULL is allowed */
/* As in the tz database; "UTC"; "local" for a zone of the system's own that has no name. */
const char *cron_zone_name(const struct cron_zone *zone);
/* Seconds east of UTC at a wall time. */
int32_t cron_zone_offset_s(const struct cron_zone *zone, int64_t time_ms);

/* Why a schedule fires when it does: what daylight saving does to local times, by crontab(5) and cron(8) of Debian.
 *
 * Changes of the offset of less than three hours: a schedule whose minutes or hours start with '*' follows the wall
 * clock, so what is skipped does not fire and what is repeated fires twice; any other fires once a day for each of its
 * times, right after the gap for those that were skipped, and not again for those that are repeated.
 * Greater changes (a date line moved): the new local time counts, whatever the schedule. */
enum cron_reason {
    CRON_ON_TIME,
    CRON_SKIPPED_HOUR,          /* the clock jumped over its local time; this is the end of the gap */
    CRON_REPEATED_HOUR          /* the clock was set back; this local time comes a second time */
};

struct cron_fire {
    int64_t time_ms;            /* wall time: the start of a local minute */
    int32_t offset_s;           /* of the zone then */
    enum cron_reason reason;
};

/* "on time", "skipped hour", "repeated hour" */
const char *cron_reason_name(enum cron_reason reason);

/* The first fire later than after_ms. False when there is none within 100 years, or before the last day of 9999. Pure,
 * thread-safe. */
bool cron_next(const struct cron *cron, const struct cron_zone *zone, int64_t after_ms, struct cron_fire *ret_fire);

enum { CRON_LOCAL_TEXT_MAX = 40 };

/* RFC 3339 with the offset, seconds without a fraction: 2026-03-29T03:00:00+02:00. */
void cron_format_local(int64_t time_ms, int32_t offset_s, char text[CRON_LOCAL_TEXT_MAX]);

#endif
