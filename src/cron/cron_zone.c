/* The system's time zones: files of /usr/share/zoneinfo (RFC 8536), read when a schedule needs them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cron/cron.h"
#include "cron/cron_tzif.h"

static const char zone_folder[] = "/usr/share/zoneinfo";
static const char local_file[] = "/etc/localtime";

enum { ZONE_NAME_MAX = 100 };

/* Only what names of zones consist of, so that no name leads out of the folder: no dots, no empty parts. */
static bool name_is_safe(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    size_t len = strlen(name);
    /* right/ counts leap seconds, which cron does not know; the others are no zones of their own */
    return len > 0 && len <= ZONE_NAME_MAX && strspn(name, allowed) == len && name[0] != '/' &&
           name[len - 1] != '/' && !strstr(name, "//") && strncmp(name, "right/", 6) != 0 &&
           strncmp(name, "posix/", 6) != 0 && strcmp(name, "posixrules") != 0 && strcmp(name, "localtime") != 0;
}

static int open_zone(const char *name)
{
    char path[sizeof zone_folder + 1 + ZONE_NAME_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", zone_folder, name);
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

bool cron_zone_exists(const char *name)
{
    if (strcmp(name, "UTC") == 0)
        return true;
    if (!name_is_safe(name))
        return false;
    int fd = open_zone(name);
    if (fd < 0)
        return false;
    char magic[4];
    ssize_t len = read(fd, magic, sizeof magic);
    (void)close(fd);
    return len == (ssize_t)sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0;
}

/* The whole of a small file; fd is closed. */
static bool read_all(int fd, struct buf *bytes)
{
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && bytes->len <= CRON_TZIF_BYTES_MAX) {
        buf_reserve(bytes, 8192);
        got = read(fd, bytes->bytes + bytes->len, 8192);
        if (got > 0)
            bytes->len += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    if (fd >= 0)
        (void)close(fd);
    return got == 0;
}

static bool load_file(int fd, struct cron_zone *zone)
{
    struct buf bytes = BUF_INIT;
    bool read = read_all(fd, &bytes) && cron_tzif_parse((const uint8_t *)bytes.bytes, bytes.len, zone);
    buf_fini(&bytes);
    return read;
}

static bool load_named(const char *name, struct cron_zone *zone)
{
    zone->name = mem_strdup(name);
    if (name_is_safe(name) && load_file(open_zone(name), zone))
        return true;
    zone->count = 0;
    return strcmp(name, "UTC") == 0 && cron_tzif_parse_rule("UTC0", 4, zone); /* known without a tz database */
}

/* TZ may be a name, with or without ':', or a rule such as CET-1CEST,M3.5.0,M10.5.0/3. */
static bool load_by_tz(const char *tz, struct cron_zone *zone)
{
    const char *name = *tz == ':' ? tz + 1 : tz;
    if (!*name)
        name = "UTC";
    if (load_named(name, zone))
        return true;
    zone->count = 0;
    return cron_tzif_parse_rule(tz, strlen(tz), zone);
}

static bool load_local(struct cron_zone *zone)
{
    char target[256];
    ssize_t len = readlink(local_file, target, sizeof target - 1);
    target[len > 0 ? len : 0] = '\0';
    const char *name = strstr(target, "/zoneinfo/");
    name = name ? name + strlen("/zoneinfo/") : "local";
    int fd = open(local_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return load_named("UTC", zone); /* as libc takes it */
    zone->name = mem_strdup(name_is_safe(name) ? name : "local");
    return load_file(fd, zone);
}

int cron_zone_load(const char *name, struct cron_zone **ret_zone, struct error *err)
{
    struct cron_zone *zone = mem_new(struct cron_zone);
    const char *tz = name ? NULL : getenv("TZ");
    bool loaded = name ? load_named(name, zone) : tz ? load_by_tz(tz, zone) : load_local(zone);
    if (!loaded) {
        cron_zone_free(zone);
        return error_set(err, ERROR_BAD_REQUEST, "time zone '%.100s' is not known", name ? name : tz ? tz : local_file);
    }
    *ret_zone = zone;
    return 0;
}

void cron_zone_free(struct cron_zone *zone)
{
    if (!zone)
        return;
    mem_free(zone->name);
    mem_free(zone->spans);
    mem_free(zone);
}

const char *cron_zone_name(const struct cron_zone *zone)
{
    return zone->name;
}

int32_t cron_zone_offset_s(const struct cron_zone *zone, int64_t time_ms)
{
    int64_t time_s = time_ms / 1000 - (time_ms % 1000 < 0);
    return zone->spans[cron_tzif_find(zone, time_s)].offset_s;
}
