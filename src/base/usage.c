#include "base/usage.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static int64_t time_us(const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000000 + time->tv_usec;
}

/* statm counts pages: size, resident, ... */
static int64_t read_resident(void)
{
    long long pages = -1;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return -1;
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = -1;
    (void)fclose(file);
    return pages < 0 ? -1 : (int64_t)pages * sysconf(_SC_PAGESIZE);
}

/* Entries of a folder of /proc/self; `own`: so many are there because of the look itself. */
static int64_t count_entries(const char *path, int64_t own)
{
    DIR *dir = opendir(path);
    int64_t count = 0;
    if (!dir)
        return -1;
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count - own;
}

void usage_read(struct usage *ret_usage)
{
    struct rusage own = {0};
    struct rlimit files = {RLIM_INFINITY, RLIM_INFINITY};
    (void)getrusage(RUSAGE_SELF, &own);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    *ret_usage = (struct usage){
        .cpu_us = time_us(&own.ru_utime) + time_us(&own.ru_stime),
        .resident_bytes = read_resident(),
        .open_files = count_entries("/proc/self/fd", 1),
        .files_max = files.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)files.rlim_cur,
        .threads = count_entries("/proc/self/task", 0),
    };
}
