#include "base/uuid.h"

#include <string.h>

struct uuid uuid_make_v7(int64_t now_ms, const uint64_t random[2])
{
    struct uuid uuid;
    uint64_t time = (uint64_t)now_ms;
    for (int i = 0; i < 6; i++)
        uuid.bytes[i] = (uint8_t)(time >> (40 - 8 * i));
    for (int i = 0; i < 2; i++)
        uuid.bytes[6 + i] = (uint8_t)(random[0] >> (8 * i));
    for (int i = 0; i < 8; i++)
        uuid.bytes[8 + i] = (uint8_t)(random[1] >> (8 * i));
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x70);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    return uuid;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool uuid_parse_len(const char *text, unsigned long len, struct uuid *ret_uuid)
{
    if (len != UUID_TEXT_LEN)
        return false;
    struct uuid uuid;
    int digit = 0;
    for (int i = 0; i < UUID_TEXT_LEN; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text[i] != '-')
                return false;
            continue;
        }
        int value = hex_value(text[i]);
        if (value < 0)
            return false;
        if (digit % 2 == 0)
            uuid.bytes[digit / 2] = (uint8_t)(value << 4);
        else
            uuid.bytes[digit / 2] |= (uint8_t)value;
        digit++;
    }
    *ret_uuid = uuid;
    return true;
}

bool uuid_parse(const char *text, struct uuid *ret_uuid)
{
    return uuid_parse_len(text, strlen(text), ret_uuid);
}

void uuid_format(struct uuid uuid, char text[UUID_TEXT_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    char *out = text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[uuid.bytes[i] >> 4];
        *out++ = digits[uuid.bytes[i] & 15];
    }
    *out = '\0';
}

int uuid_compare(struct uuid a, struct uuid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes);
}

bool uuid_equal(struct uuid a, struct uuid b)
{
    return uuid_compare(a, b) == 0;
}

bool uuid_is_zero(struct uuid uuid)
{
    return uuid_equal(uuid, (struct uuid){{0}});
}

uint64_t uuid_hash(struct uuid uuid)
{
    uint64_t a, b;
    memcpy(&a, uuid.bytes, 8);
    memcpy(&b, uuid.bytes + 8, 8);
    uint64_t h = (a ^ (b * 0x9e3779b97f4a7c15u)) * 0xff51afd7ed558ccdu;
    return h ^ (h >> 32);
}
