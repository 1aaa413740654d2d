/* Small text helpers: UTF-8, near misses, durations, numbers. Pure. */
#ifndef PAWL_BASE_STR_H
#define PAWL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the valid UTF-8 sequence at text (1 to 4), or 0 when there is none (RFC 3629: no surrogates, no
 * overlong forms). */
size_t str_utf8_width(const char *text, size_t len);
bool str_utf8_valid(const char *text, size_t len);
/* Decodes one valid sequence of `width` bytes. */
uint32_t str_utf8_decode(const char *text, size_t width);

/* Damerau-Levenshtein distance (neighbours swapped count one); at most `max` + 1 is computed. */
size_t str_distance(const char *a, const char *b, size_t max);
/* The nearest of `words` (count of them) to `text`, or NULL when none is near enough to be a slip of the hand. */
const char *str_nearest(const char *text, const char *const *words, size_t count);

/* Durations: an integer and ms, s, m, h or d ("500ms 30s 5m 1h 2d"); more than zero, at most ten years. */
bool str_parse_duration(const char *text, int64_t *ret_ms);
/* The shortest exact form in one unit, e.g. 5m, 90s, 1500ms. */
void str_format_duration(int64_t ms, char text[24]);
/* For people: "350ms", "2.5s", "3m 20s", "1h 5m", "2d 3h". */
void str_format_elapsed(int64_t ms, char text[24]);

/* A whole decimal number in [min, max], nothing else around it. */
bool str_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value);

bool str_starts_with(const char *text, const char *prefix);
bool str_ends_with(const char *text, const char *suffix);

#endif
