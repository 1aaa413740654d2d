/* The small parsers of base: what they accept they must write back, and the JSON writer always writes JSON. */
#include "fuzz.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/uuid.h"

static void check_parsers(const char *text, size_t len)
{
    int64_t value, again;
    if (str_parse_duration(text, &value)) {
        char back[24];
        str_format_duration(value, back);
        assert(value > 0 && str_parse_duration(back, &again) && again == value);
    }
    if (clock_parse_rfc3339(text, &value) && value >= -62167219200000 && value <= 253402300799999) {
        char back[CLOCK_TEXT_MAX];
        clock_format_utc(value, back);
        assert(clock_parse_rfc3339(back, &again) && again == value);
    }
    struct uuid uuid, other;
    if (uuid_parse_len(text, len, &uuid)) {
        char back[UUID_TEXT_LEN + 1];
        uuid_format(uuid, back);
        assert(uuid_parse(back, &other) && uuid_equal(uuid, other));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    char *text = malloc(len + 1);
    assert(text);
    if (len)
        memcpy(text, input, len);
    text[len] = '\0';
    check_parsers(text, len);

    struct buf out = BUF_INIT;
    struct json json;
    json_init(&json, &out);
    json_add_string_len(&json, text, len);
    json_t *value = json_loadb(out.bytes, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert(value && json_is_string(value));
    if (str_utf8_valid(text, len))
        assert(json_string_length(value) == len && memcmp(json_string_value(value), text, len) == 0);
    json_decref(value);
    buf_fini(&out);
    free(text);
    return 0;
}
