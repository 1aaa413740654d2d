#include "support/check.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cron/cron.h"
#include "cron/cron_tzif.h"

static const char folder[] = "/usr/share/zoneinfo/";

static uint64_t seed = 42;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

/* Offsets as libc has them, at random moments from 1900 to 2190 and around each change. */
static void compare_zone(const char *name)
{
    struct cron_zone *zone = NULL;
    if (cron_zone_load(name, &zone, NULL) != 0)
        fail_msg("%s cannot be read", name);
    assert_string_equal(cron_zone_name(zone), name);
    assert_int_equal(setenv("TZ", name, 1), 0);
    tzset();
    for (size_t i = 0; i < 40 + 2 * zone->count; i++) {
        int64_t time_s = (int64_t)draw(UINT64_C(290) * 31556952) - INT64_C(70) * 31556952;
        if (i >= 40 && (i - 40) / 2)
            time_s = zone->spans[(i - 40) / 2].start_s - (int64_t)(i % 2);
        time_t now = (time_t)time_s;
        struct tm tm;
        assert_non_null(localtime_r(&now, &tm));
        if (cron_zone_offset_s(zone, time_s * 1000 + (int64_t)draw(1000)) != tm.tm_gmtoff)
            fail_msg("%s at %lld: %d, libc says %ld", name, (long long)time_s,
                     cron_zone_offset_s(zone, time_s * 1000), tm.tm_gmtoff);
    }
    cron_zone_free(zone);
}

static int zones_seen;

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)place;
    const char *name = path + strlen(folder);
    if (kind == FTW_F && cron_zone_exists(name)) {
        compare_zone(name);
        zones_seen++;
    }
    return 0;
}

static void test_every_zone(void **state)
{
    (void)state;
    assert_int_equal(nftw(folder, visit, 16, 0), 0);
    assert_true(zones_seen > 300);
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

/* Rules without a file, as TZ may hold them; libc reads the same text. */
static void test_rules(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "<+0530>-5:30", "NZST-12NZDT,M9.5.0,M4.1.0/3",
        "IST-1GMT0,M10.5.0,M3.5.0/1", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "AAA3BBB,J60/0,J300/0", "AAA3BBB,59/0,299/0",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", "EET-2EEST,M3.4.4/50,M10.4.4/50",
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct cron_zone *zone = NULL;
        assert_int_equal(setenv("TZ", rules[i], 1), 0);
        tzset();
        assert_int_equal(cron_zone_load(NULL, &zone, NULL), 0);
        for (int n = 0; n < 2000; n++) {
            time_t now = (time_t)draw(UINT64_C(200) * 31556952);
            struct tm tm;
            assert_non_null(localtime_r(&now, &tm));
            if (cron_zone_offset_s(zone, (int64_t)now * 1000) != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, libc says %ld", rules[i], (long long)now,
                         cron_zone_offset_s(zone, (int64_t)now * 1000), tm.tm_gmtoff);
        }
        cron_zone_free(zone);
    }
    static const char *const bad[] = {
        "", "X", "AB1", "UTC", "UTC+", "UTC25", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M1.1.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J5", "CET-1CEST,366,5", "<CET-1",
        "CET-1CEST,M3.5.0/168,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0x", "CET-1:60",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cron_zone zone = {0};
        if (cron_tzif_parse_rule(bad[i], strlen(bad[i]), &zone))
            fail_msg("'%s' is taken as a rule", bad[i]);
        mem_free(zone.spans);
    }
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

static void test_names(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "Nowhere", "europe/berlin/", "/etc/passwd", "../zoneinfo/UTC", "Europe/../UTC", "Europe//Berlin", "Europe",
        "right/UTC", "posix/UTC", "zone.tab", "posixrules", "localtime", "UTC ", "Europe/Berlin\n", ".", "tzdata.zi",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct cron_zone *zone = NULL;
        struct error err = {0};
        assert_false(cron_zone_exists(wrong[i]));
        assert_int_equal(cron_zone_load(wrong[i], &zone, &err), ERROR_BAD_REQUEST);
        assert_non_null(strstr(err.text, "is not known"));
        assert_null(zone);
    }
    char name[300];
    memset(name, 'A', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(cron_zone_exists(name));
    struct cron_zone *zone = NULL;
    assert_int_equal(cron_zone_load("UTC", &zone, NULL), 0);
    assert_int_equal(cron_zone_offset_s(zone, INT64_C(1) << 40), 0);
    cron_zone_free(zone);
    cron_zone_free(NULL);
}

static void test_the_systems_own(void **state)
{
    (void)state;
    struct cron_zone *zone = NULL;
    struct error err = {0};
    assert_int_equal(setenv("TZ", ":Asia/Tokyo", 1), 0);
    assert_int_equal(cron_zone_load(NULL, &zone, NULL), 0);
    assert_string_equal(cron_zone_name(zone), "Asia/Tokyo");
    assert_int_equal(cron_zone_offset_s(zone, 0), 9 * 3600);
    cron_zone_free(zone);
    assert_int_equal(setenv("TZ", "Nowhere", 1), 0);
    assert_int_equal(cron_zone_load(NULL, &zone, &err), ERROR_BAD_REQUEST);
    assert_non_null(strstr(err.text, "Nowhere"));
    assert_int_equal(setenv("TZ", "", 1), 0);
    assert_int_equal(cron_zone_load(NULL, &zone, NULL), 0);
    assert_string_equal(cron_zone_name(zone), "UTC");
    cron_zone_free(zone);
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
    time_t now = 1767225600;
    struct tm tm;
    assert_non_null(localtime_r(&now, &tm));
    assert_int_equal(cron_zone_load(NULL, &zone, NULL), 0);
    assert_int_equal(cron_zone_offset_s(zone, (int64_t)now * 1000), tm.tm_gmtoff);
    cron_zone_free(zone);
}

static void read_file(const char *name, struct buf *bytes)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t got = read(fd, buf_extend(bytes, 8192), 8192);
    assert_true(got > 44);
    bytes->len = (size_t)got;
    (void)close(fd);
}

/* Cut and damaged files: refused or read, never beyond the end (the sanitizer looks). */
static void test_damaged_files(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    read_file("Europe/Berlin", &bytes);
    int refused = 0;
    for (size_t len = 0; len < bytes.len; len++) {
        struct cron_zone zone = {0};
        uint8_t *exact = mem_dup(bytes.bytes, len);
        assert_false(cron_tzif_parse(exact, len, &zone));
        mem_free(exact);
        mem_free(zone.spans);
    }
    for (int round = 0; round < 20000; round++) {
        struct cron_zone zone = {0};
        uint8_t *damaged = mem_dup(bytes.bytes, bytes.len);
        for (uint64_t n = draw(4) + 1; n; n--)
            damaged[draw(round % 2 ? 100 : bytes.len)] = (uint8_t)draw(256);
        refused += !cron_tzif_parse(damaged, bytes.len, &zone);
        for (size_t i = 1; i < zone.count; i++)
            assert_true(zone.spans[i].start_s > zone.spans[i - 1].start_s);
        mem_free(damaged);
        mem_free(zone.spans);
    }
    assert_true(refused > 1000);
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_zone), cmocka_unit_test(test_rules),          cmocka_unit_test(test_names),
        cmocka_unit_test(test_the_systems_own), cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
