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

/* What a failure says: there is no such zone, or it cannot be looked at now (no descriptor, a bad disk). */
static int fault(void)
{
    bool absent = errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EISDIR || errno == ENAMETOOLONG;
    return absent ? ERROR_BAD_REQUEST : ERROR_IO;
}

bool cron_zone_exists(const char *name)
{
    if (strcmp(name, "UTC") == 0)
        return true;
    if (!name_is_safe(name))
        return false;
    int fd = open_zone(name);
    if (fd < 0)
        return fault() == ERROR_IO;
    char magic[4];
    ssize_t len = read(fd, magic, sizeof magic);
    bool unknown = len < 0 && fault() == ERROR_IO;
    (void)close(fd);
    return unknown || (len == (ssize_t)sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0);
}

/* The whole of a small file; fd is closed. 0, ERROR_BAD_REQUEST, ERROR_IO. */
static int read_all(int fd, struct buf *bytes)
{
    ssize_t got = 1;
    if (fd < 0)
        return fault();
    while (got > 0 && bytes->len <= CRON_TZIF_BYTES_MAX) {
        buf_reserve(bytes, 8192);
        got = read(fd, bytes->bytes + bytes->len, 8192);
        if (got > 0)
            bytes->len += (size_t)got;
        else if (got < 0 && errno == EINTR)
            got = 1;
    }
    int code = got < 0 ? fault() : got > 0 ? ERROR_BAD_REQUEST : 0;
    (void)close(fd);
    return code;
}

static int load_file(int fd, struct cron_zone *zone)
{
    struct buf bytes = BUF_INIT;
    int code = read_all(fd, &bytes);
    if (!code && !cron_tzif_parse((const uint8_t *)bytes.bytes, bytes.len, zone))
        code = ERROR_BAD_REQUEST;
    buf_fini(&bytes);
    return code;
}

static int load_named(const char *name, struct cron_zone *zone)
{
    zone->name = mem_strdup(name);
    int code = name_is_safe(name) ? load_file(open_zone(name), zone) : ERROR_BAD_REQUEST;
    if (!code)
        return 0;
    zone->count = 0;
    /* known without a tz database */
    return strcmp(name, "UTC") == 0 && cron_tzif_parse_rule("UTC0", 4, zone) ? 0 : code;
}

/* TZ may be a name, with or without ':', or a rule such as CET-1CEST,M3.5.0,M10.5.0/3. */
static int load_by_tz(const char *tz, struct cron_zone *zone)
{
    const char *name = *tz == ':' ? tz + 1 : tz;
    int code = load_named(*name ? name : "UTC", zone);
    if (code != ERROR_BAD_REQUEST)
        return code;
    zone->count = 0;
    return cron_tzif_parse_rule(tz, strlen(tz), zone) ? 0 : code;
}

static int load_local(struct cron_zone *zone)
{
    char target[256];
    ssize_t len = readlink(local_file, target, sizeof target - 1);
    target[len > 0 ? len : 0] = '\0';
    const char *name = strstr(target, "/zoneinfo/");
    name = name ? name + strlen("/zoneinfo/") : "local";
    int fd = open(local_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && fault() == ERROR_BAD_REQUEST)
        return load_named("UTC", zone); /* as libc takes it */
    zone->name = mem_strdup(name_is_safe(name) ? name : "local");
    return load_file(fd, zone);
}

int cron_zone_load(const char *name, struct cron_zone **ret_zone, struct error *err)
{
    struct cron_zone *zone = mem_new(struct cron_zone);
    const char *tz = name ? NULL : getenv("TZ");
    int code = name ? load_named(name, zone) : tz ? load_by_tz(tz, zone) : load_local(zone);
    if (!code) {
        *ret_zone = zone;
        return 0;
    }
    cron_zone_free(zone);
    return error_set(err, (enum error_code)code,
                     code == ERROR_IO ? "time zone '%.100s' cannot be read now" : "time zone '%.100s' is not known",
                     name ? name : tz ? tz : local_file);
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
