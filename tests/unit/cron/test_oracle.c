/* oracle.tsv: what other implementations answer. Rows of our dialect are met; rows of another are not, which keeps
 * the list of differences true. */
#include "support/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cron/cron.h"

enum { FIELDS_MAX = 8, LINE_MAX_BYTES = 1 << 16 };

static const char path[] = "tests/unit/cron/oracle.tsv";

static struct cron_zone *load(const char *name)
{
    struct cron_zone *zone = NULL;
    struct error err = {0};
    if (cron_zone_load(name, &zone, &err) != 0)
        fail_msg("%s", err.text);
    return zone;
}

static int64_t ms_of(const char *text)
{
    int64_t ms = 0;
    assert_true(clock_parse_rfc3339(text, &ms));
    return ms;
}

/* As many fires as the row has, as text; "never" when there is none. */
static void fires(const struct cron *cron, const char *zone_name, const char *start, const char *wanted,
                  struct buf *out)
{
    struct cron_zone *zone = load(zone_name);
    int64_t after_ms = ms_of(start);
    size_t count = 1;
    for (const char *c = wanted; *c; c++)
        count += *c == ' ';
    for (size_t i = 0; i < count; i++) {
        struct cron_fire fire;
        char text[CRON_LOCAL_TEXT_MAX];
        if (!cron_next(cron, zone, after_ms, &fire)) {
            buf_add_text(out, i ? " never" : "never");
            break;
        }
        cron_format_local(fire.time_ms, fire.offset_s, text);
        buf_printf(out, "%s%s", i ? " " : "", text);
        after_ms = fire.time_ms;
    }
    cron_zone_free(zone);
}

static bool fires_at(const struct cron *cron, const char *zone_name, const char *time)
{
    struct cron_zone *zone = load(zone_name);
    struct cron_fire fire;
    int64_t at_ms = ms_of(time);
    bool hit = cron_next(cron, zone, at_ms - 1, &fire) && fire.time_ms == at_ms;
    cron_zone_free(zone);
    return hit;
}

/* Whether we answer as the row does; what we say goes to `said`. */
static bool is_met(char *const *fields, size_t count, struct buf *said)
{
    struct cron cron;
    struct error err = {0};
    int code = cron_parse(fields[1], &cron, &err);
    if (strcmp(fields[0], "invalid") == 0 || strcmp(fields[0], "valid") == 0) {
        assert_int_equal(count, 2);
        buf_add_text(said, code ? err.text : "valid");
        return (code == 0) == (*fields[0] == 'v');
    }
    if (code) {
        buf_add_text(said, err.text);
        return false;
    }
    if (strcmp(fields[0], "next") == 0) {
        assert_int_equal(count, 5);
        fires(&cron, fields[2], fields[3], fields[4], said);
        return strcmp(buf_text(said), fields[4]) == 0;
    }
    assert_int_equal(count, 4);
    assert_true(strcmp(fields[0], "match") == 0 || strcmp(fields[0], "nomatch") == 0);
    bool hit = fires_at(&cron, fields[2], fields[3]);
    buf_add_text(said, hit ? "match" : "nomatch");
    return strcmp(buf_text(said), fields[0]) == 0;
}

static void test_rows(void **state)
{
    (void)state;
    char *line = mem_alloc(LINE_MAX_BYTES);
    int number = 0, met = 0, others = 0, wrong = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be opened", path);
    while (fgets(line, LINE_MAX_BYTES, file)) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        if (*line == '#' || !*line)
            continue;
        char *fields[FIELDS_MAX];
        size_t count = 0;
        for (char *at = line; at && count < FIELDS_MAX; count++) {
            fields[count] = at;
            at = strchr(at, '\t');
            if (at)
                *at++ = '\0';
        }
        bool other = strcmp(fields[0], "other") == 0;
        struct buf said = BUF_INIT;
        bool is = is_met(fields + (other ? 2 : 0), count - (other ? 2 : 0), &said);
        met += is && !other;
        others += other;
        if (is == other) {
            print_error("%s:%d: %s: %s\n", path, number, fields[other ? 3 : 1], buf_text(&said));
            wrong++;
        }
        buf_fini(&said);
    }
    (void)fclose(file);
    mem_free(line);
    assert_int_equal(wrong, 0);
    assert_true(met > 300 && others > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
