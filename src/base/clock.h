/* Clocks and the text form of times. Wall times are milliseconds since 1970 UTC; 0 means "no time". */
#ifndef PAWL_BASE_CLOCK_H
#define PAWL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_TEXT_MAX = 32 };

int64_t clock_wall_ms(void);
int64_t clock_boot_ms(void);  /* CLOCK_BOOTTIME: goes on while the machine sleeps, never steps */
int64_t clock_boot_us(void);
/* RFC 3339, UTC, milliseconds: 2026-11-24T08:15:30.123Z */
void clock_format_utc(int64_t time_ms, char text[CLOCK_TEXT_MAX]);
/* RFC 3339 with Z or an offset, seconds with or without a fraction. */
bool clock_parse_rfc3339(const char *text, int64_t *ret_ms);
/* Days since 1970-01-01 of a proleptic Gregorian date, and back (Howard Hinnant's "days from civil" relations). */
int64_t clock_days_from_date(int64_t year, unsigned month, unsigned day);
void clock_date_from_days(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

#endif
