/* UUIDs (RFC 9562). Those pawl makes are version 7: they sort by the time they were made. */
#ifndef PAWL_BASE_UUID_H
#define PAWL_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

enum { UUID_TEXT_LEN = 36 };

struct uuid {
    uint8_t bytes[16];
};

/* A version 7 UUID from a wall time in ms and 74 random bits taken from random[2]. Pure. */
struct uuid uuid_make_v7(int64_t now_ms, const uint64_t random[2]);
bool uuid_parse(const char *text, struct uuid *ret_uuid);       /* exactly 36 characters, any case */
bool uuid_parse_len(const char *text, unsigned long len, struct uuid *ret_uuid);
void uuid_format(struct uuid uuid, char text[UUID_TEXT_LEN + 1]); /* lower case, terminated */
int uuid_compare(struct uuid a, struct uuid b);
bool uuid_equal(struct uuid a, struct uuid b);
bool uuid_is_zero(struct uuid uuid);
uint64_t uuid_hash(struct uuid uuid); /* for tables; not for outside input without a seed */

#endif
