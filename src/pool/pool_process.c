/* What /proc says of a process: proc(5). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "pool/pool_model.h"

/* Up to size - 1 bytes, terminated. The count, or -1. */
static ssize_t read_start(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t len = 0;
    ssize_t got;
    while (len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    (void)close(fd);
    text[len] = '\0';
    return (ssize_t)len;
}

bool pool_process_boot_id(struct uuid *ret_boot_id)
{
    char text[64];
    return read_start("/proc/sys/kernel/random/boot_id", text, sizeof text) >= UUID_TEXT_LEN &&
           uuid_parse_len(text, UUID_TEXT_LEN, ret_boot_id);
}

bool pool_process_start_ticks(int32_t pid, uint64_t *ret_ticks)
{
    enum { FIELDS_AFTER_NAME = 20 }; /* start time is field 22; the name, field 2, may hold spaces and brackets */
    char path[64], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_start(path, text, sizeof text) <= 0)
        return false;
    const char *at = strrchr(text, ')');
    for (int i = 0; at && i < FIELDS_AFTER_NAME; i++) {
        at = strchr(at, ' ');
        if (at)
            at++;
    }
    if (!at || *at < '0' || *at > '9')
        return false;
    *ret_ticks = strtoull(at, NULL, 10);
    return true;
}

bool pool_process_same_program(int32_t pid, const char *exe)
{
    char path[64];
    struct stat theirs, ours;
    (void)snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return stat(path, &theirs) != 0 || stat(exe, &ours) != 0 ||
           (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino);
}

/* PROGRAM, worker, ..., --id, <id>, ... */
static bool is_worker(const char *args, size_t len, const char *id)
{
    const char *end = args + len, *before = "";
    int number = 0;
    for (const char *arg = args; arg < end; before = arg, arg += strlen(arg) + 1, number++) {
        if (number == 1 && strcmp(arg, "worker") != 0)
            return false;
        if (number > 1 && strcmp(before, "--id") == 0 && strcmp(arg, id) == 0)
            return true;
    }
    return false;
}

int32_t pool_process_find_worker(struct uuid id)
{
    char id_text[UUID_TEXT_LEN + 1], path[64], args[4096];
    uuid_format(id, id_text);
    DIR *proc = opendir("/proc");
    int32_t found = 0;
    for (const struct dirent *entry; !found && proc && (entry = readdir(proc));) {
        int64_t pid;
        if (!str_parse_int(entry->d_name, 1, INT32_MAX, &pid))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
        ssize_t len = read_start(path, args, sizeof args);
        if (len > 0 && is_worker(args, (size_t)len, id_text))
            found = (int32_t)pid;
    }
    if (proc)
        (void)closedir(proc);
    return found;
}
