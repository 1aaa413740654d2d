/* The worker's part of the cgroup v2 tree: <own cgroup>/pawl-<id>/<slot>.<n>, a leaf per slot, made when the slot is
 * first used and used again after it was found empty. After a KILL it is not: kernels that compare a child's birth with
 * the last kill of a cgroup (since 6.14) kill every child that clone3 puts into a cgroup that was killed once.
 * Blocking: files of cgroupfs only. */
#ifndef PAWL_WORKER_CGROUP_H
#define PAWL_WORKER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"

struct worker_cgroup {
    char *path;          /* absolute; NULL: none */
    int fd;
    uint64_t leaves;     /* made so far */
};

struct worker_leaf {
    int fd;              /* of the folder; -1: not made yet. Children are born into it */
    int events_fd;       /* cgroup.events: EPOLLPRI when it becomes empty */
    int memory_fd;       /* memory.events; -1: the memory controller is not there */
    bool killed;         /* as a whole: not to be used again */
};

#define WORKER_LEAF_INIT ((struct worker_leaf){.fd = -1, .events_fd = -1, .memory_fd = -1})

/* The cgroup v2 folder of this process; caller frees with mem_free. NULL: there is none that can be reached. */
char *worker_cgroup_own(void);
/* Where a worker's would be; caller frees with mem_free. NULL with the reason when there is no cgroup v2. */
char *worker_cgroup_path(struct uuid worker_id, struct error *err);
/* Makes the folder, without leaves. ERROR_IO with the reason when it cannot be made. */
int worker_cgroup_open(struct worker_cgroup *cgroup, const char *path, struct error *err);
void worker_cgroup_close(struct worker_cgroup *cgroup);  /* and removes it; what is not empty stays */

/* Makes one, in place of the one that there is. */
int worker_leaf_open(struct worker_cgroup *cgroup, uint32_t slot, struct worker_leaf *leaf, struct error *err);
void worker_leaf_close(struct worker_leaf *leaf); /* the folder stays until the next one is made or all are removed */
bool worker_leaf_populated(const struct worker_leaf *leaf);
/* TERM and the like go to each process that is in the leaf or below; KILL ends all of them in one step where the
 * kernel can, otherwise one by one (then it may have to be called again). */
void worker_leaf_signal(struct worker_leaf *leaf, int signal);
/* How often the kernel killed in it for want of memory; 0 where the memory controller is not there. */
uint64_t worker_leaf_oom_kills(const struct worker_leaf *leaf);

/* A dead worker's: kills everything below and counts it; a cgroup that is gone has 0. */
int worker_cgroup_kill_all(const char *path, uint32_t *ret_found, struct error *err);
void worker_cgroup_remove(const char *path);

/* The value of `name` in a file of "name value" lines; 0 when it is not there. Pure. */
uint64_t worker_cgroup_value(const char *text, const char *name);
/* Where the cgroup v2 of a process is, from its /proc/PID/mountinfo and /proc/PID/cgroup; NULL when it has none that
 * can be reached. Caller frees with mem_free. Pure. */
char *worker_cgroup_locate(const char *mountinfo, const char *membership);

#endif
