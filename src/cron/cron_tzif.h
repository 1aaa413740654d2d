/* Time zones as data: TZif files (RFC 8536) and POSIX TZ texts (their footer). Private to cron/ and its tests. */
#ifndef PAWL_CRON_CRON_TZIF_H
#define PAWL_CRON_CRON_TZIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From start_s (Unix time) to the next span's start the zone is offset_s east of UTC. */
struct cron_span {
    int64_t start_s;
    int32_t offset_s;
};

struct cron_zone {
    char *name;                 /* owned */
    struct cron_span *spans;    /* ascending, neighbours differ; spans[0] starts before all time. Owned */
    size_t count, cap;
};

enum { CRON_TZIF_BYTES_MAX = 1 << 20, CRON_RULE_YEAR_MAX = 2200 };

/* Both fill zone->spans; false when the bytes are no such thing (spans may hold something then). Leap seconds are
 * refused. Times after the last one of the file follow its footer, to CRON_RULE_YEAR_MAX. */
bool cron_tzif_parse(const uint8_t *bytes, size_t len, struct cron_zone *zone);
bool cron_tzif_parse_rule(const char *text, size_t len, struct cron_zone *zone);

/* The span that holds a time: an index. */
size_t cron_tzif_find(const struct cron_zone *zone, int64_t time_s);

#endif
