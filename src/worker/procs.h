/* The processes of the machine, as /proc tells them: who belongs to an attempt when no cgroup says so.
 *
 * A process belongs to an attempt when it is in the session the attempt's first process opened, when its environment
 * carries the attempt's PAWL_RUN_ID and PAWL_FENCE, or when its parent belongs to it. One that hid all of this and lost
 * its parent is a child of the worker (a subreaper); it belongs to the attempt that is asked about unless another one
 * that still runs may have started it. */
#ifndef PAWL_WORKER_PROCS_H
#define PAWL_WORKER_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"

struct worker_proc {
    int32_t pid;
    int32_t parent;
    int32_t group;
    int32_t session;
    uint64_t start_ticks;      /* since boot: field 22 of /proc/PID/stat */
    bool dead;                 /* a zombie, or nearly */
};

/* Tells an attempt's processes from others. */
struct worker_mark {
    struct uuid run_id;
    uint64_t fence;
    int64_t started_boot_ms;   /* just before its first process began */
    int32_t leader;            /* pid of that process, which is also its session; 0: not known */
};

struct worker_sweep {
    const struct worker_mark *marks;   /* the attempts whose processes are meant */
    size_t mark_count;
    const struct worker_mark *others;  /* attempts that live and must not be touched */
    size_t other_count;
    int32_t subreaper;                 /* the worker, itself never meant; 0: it is dead */
};

/* false when there is no such process. */
bool worker_proc_read(int32_t pid, struct worker_proc *ret_proc);

/* Sends `signal` (0: none) to every living process that is meant; *ret_found is how many these were. *ret_unsure: there
 * are some that belong to one of the marks or of the others and do not say to which; they were left alone. */
int worker_procs_signal(const struct worker_sweep *sweep, int signal, size_t *ret_found, bool *ret_unsure,
                        struct error *err);

/* The pid given out last on this machine; -1 when it cannot be read. */
int32_t worker_procs_last_pid(void);

/* Of this boot of the machine; zero when it cannot be read. */
struct uuid worker_procs_boot_id(void);

/* Reads a small file of /proc or of a cgroup, terminated. Length or -1 with errno. dir_fd as in openat. */
int worker_procs_read_file(int dir_fd, const char *path, char *text, size_t size);

#endif
