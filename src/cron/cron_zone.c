/* Which time zones the system knows: files of /usr/share/zoneinfo that start with the TZif magic (RFC 8536). */
#include "cron/cron.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char zone_folder[] = "/usr/share/zoneinfo";

enum { ZONE_NAME_MAX = 100 };

/* Only what names of zones consist of, so that no name leads out of the folder: no dots, no empty parts. */
static bool name_is_safe(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    size_t len = strlen(name);
    return len > 0 && len <= ZONE_NAME_MAX && strspn(name, allowed) == len && name[0] != '/' &&
           name[len - 1] != '/' && !strstr(name, "//");
}

bool cron_zone_exists(const char *name)
{
    if (strcmp(name, "UTC") == 0)
        return true;
    /* right/ counts leap seconds, which cron does not know; the others are no zones of their own */
    if (!name_is_safe(name) || strncmp(name, "right/", 6) == 0 || strncmp(name, "posix/", 6) == 0 ||
        strcmp(name, "posixrules") == 0 || strcmp(name, "localtime") == 0)
        return false;
    char path[sizeof zone_folder + 1 + ZONE_NAME_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", zone_folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    char magic[4];
    ssize_t len = read(fd, magic, sizeof magic);
    (void)close(fd);
    return len == (ssize_t)sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0;
}
