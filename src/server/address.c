#include "server/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum { ADDRESS_FILE_MAX = 4096 };

/* Reads a small file as text; returns its length without a last line break, or -1 with errno set. */
static ssize_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t got;
    while (len + 1 < size) {
        got = read(fd, text + len, size - 1 - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    text[len] = '\0';
    return (ssize_t)len;
}

/* proc(5): field 22, counted after the last ')' since the second field may hold anything. 0: no such process, or one
 * that is dead and that nobody has waited for. */
static uint64_t start_ticks_of(pid_t pid)
{
    char path[64];
    char text[2048];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_text(path, text, sizeof text) <= 0)
        return 0;
    const char *at = strrchr(text, ')');
    if (at && (strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0))
        return 0;
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at, ' ');
        if (at)
            at++;
    }
    return at ? strtoull(at, NULL, 10) : 0;
}

int server_address_make(struct server_address *ret_address, struct error *err)
{
    struct server_address address = {.pid = getpid()};
    address.start_ticks = start_ticks_of(address.pid);
    if (address.start_ticks == 0)
        return error_set(err, ERROR_IO, "/proc/%d/stat cannot be read", (int)address.pid);
    if (read_text("/proc/sys/kernel/random/boot_id", address.boot_id, sizeof address.boot_id) <= 0)
        return error_set(err, ERROR_IO, "/proc/sys/kernel/random/boot_id cannot be read");
    unsigned char random[SERVER_TOKEN_LEN / 2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(err, ERROR_IO, "no random numbers: %s", strerror(errno));
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(address.token + 2 * i, 3, "%02x", random[i]);
    memcpy(address.url, ret_address->url, sizeof address.url);
    *ret_address = address;
    return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

int server_address_write(const char *data_dir, const struct server_address *address, struct error *err)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "url=%s\npid=%d\nstart=%llu\nboot=%s\ntoken=%s\n", address->url, (int)address->pid,
               (unsigned long long)address->start_ticks, address->boot_id, address->token);
    if (address->pin[0])
        buf_printf(&text, "pin=%s\n", address->pin);
    char *path = mem_printf("%s/address", data_dir);
    char *fresh = mem_printf("%s/address.new", data_dir);
    int rc = 0;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0 && fchmod(fd, 0600) == 0 && write_all(fd, text.bytes, text.len) == 0;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    if (!ok || rename(fresh, path) != 0)
        rc = error_set(err, ERROR_IO, "%s cannot be written: %s", path, strerror(errno));
    mem_free(fresh);
    mem_free(path);
    buf_fini(&text);
    return rc;
}

void server_address_remove(const char *data_dir)
{
    char *path = mem_printf("%s/address", data_dir);
    (void)unlink(path);
    mem_free(path);
}

static void copy_field(char *field, size_t size, const char *text)
{
    if (strlen(text) < size)
        memcpy(field, text, strlen(text) + 1);
}

static void take_line(struct server_address *address, char *line)
{
    char *value = strchr(line, '=');
    if (!value)
        return;
    *value++ = '\0';
    int64_t number = 0;
    if (strcmp(line, "url") == 0)
        copy_field(address->url, sizeof address->url, value);
    else if (strcmp(line, "boot") == 0)
        copy_field(address->boot_id, sizeof address->boot_id, value);
    else if (strcmp(line, "token") == 0)
        copy_field(address->token, sizeof address->token, value);
    else if (strcmp(line, "pin") == 0)
        copy_field(address->pin, sizeof address->pin, value);
    else if (strcmp(line, "pid") == 0 && str_parse_int(value, 1, INT32_MAX, &number))
        address->pid = (pid_t)number;
    else if (strcmp(line, "start") == 0 && str_parse_int(value, 1, INT64_MAX, &number))
        address->start_ticks = (uint64_t)number;
}

int server_address_read(const char *data_dir, struct server_address *ret_address, struct error *err)
{
    char *path = mem_printf("%s/address", data_dir);
    char text[ADDRESS_FILE_MAX];
    int rc = 0;
    struct server_address address = {0};
    if (read_text(path, text, sizeof text) < 0) {
        rc = error_set(err, errno == ENOENT || errno == ENOTDIR ? ERROR_NOT_FOUND : ERROR_IO, "%s: %s", path,
                       strerror(errno));
        goto out;
    }
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
        take_line(&address, line);
    if (!address.url[0] || address.pid == 0 || address.start_ticks == 0 || !address.boot_id[0]) {
        rc = error_set(err, ERROR_BAD_REQUEST, "%s is not an address file of pawl", path);
        goto out;
    }
    *ret_address = address;
out:
    mem_free(path);
    return rc;
}

bool server_address_is_live(const struct server_address *address)
{
    char boot_id[64];
    if (read_text("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id) <= 0)
        return false;
    return strcmp(boot_id, address->boot_id) == 0 && start_ticks_of(address->pid) == address->start_ticks;
}
