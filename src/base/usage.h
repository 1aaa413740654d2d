/* What this process uses, as the kernel counts it. */
#ifndef PAWL_BASE_USAGE_H
#define PAWL_BASE_USAGE_H

#include <stdint.h>

struct usage {
    int64_t cpu_us;         /* user and system time of all threads; not of children */
    int64_t resident_bytes; /* proc(5) statm; -1: unknown */
    int64_t open_files;     /* -1: unknown */
    int64_t files_max;      /* RLIMIT_NOFILE; -1: no limit */
    int64_t threads;        /* -1: unknown */
};

/* Blocks for some system calls. Any thread. */
void usage_read(struct usage *ret_usage);

#endif
