/* Cron expressions and time zones: an expression, a zero byte, then a TZif file or a POSIX TZ text. What is accepted
 * fires at later and later times, each the start of a local minute. */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cron/cron.h"
#include "cron/cron_tzif.h"

static void follow(const struct cron *cron, const struct cron_zone *zone)
{
    static const int64_t starts_ms[] = {-86400000, 1774745999999, 4102444800000};
    for (size_t i = 0; i < sizeof starts_ms / sizeof starts_ms[0]; i++) {
        int64_t after_ms = starts_ms[i];
        struct cron_fire fire;
        for (int n = 0; n < 4 && cron_next(cron, zone, after_ms, &fire); n++) {
            char text[CRON_LOCAL_TEXT_MAX];
            assert(fire.time_ms > after_ms);
            assert(fire.offset_s == cron_zone_offset_s(zone, fire.time_ms));
            if (fire.reason != CRON_SKIPPED_HOUR)
                assert((fire.time_ms / 1000 + fire.offset_s) % 60 == 0);
            cron_format_local(fire.time_ms, fire.offset_s, text);
            after_ms = fire.time_ms;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    size_t text_len = strnlen((const char *)input, len);
    char *text = mem_strndup((const char *)input, text_len);
    struct cron cron;
    struct error err = {0};
    bool parsed = cron_parse(text, &cron, &err) == 0;
    assert(parsed || *err.text);
    if (text_len < len) {
        size_t zone_len = len - text_len - 1;
        uint8_t *bytes = mem_dup(input + text_len + 1, zone_len);
        struct cron_zone zone = {0};
        bool read = cron_tzif_parse(bytes, zone_len, &zone);
        if (!read) {
            zone.count = 0;
            read = cron_tzif_parse_rule((const char *)bytes, zone_len, &zone);
        }
        if (read && parsed)
            follow(&cron, &zone);
        mem_free(zone.spans);
        mem_free(bytes);
    }
    mem_free(text);
    return 0;
}
