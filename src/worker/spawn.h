/* The only place where processes are started.
 *
 * A child has its own session, stdin from this process's stdin (which worker_main makes /dev/null), stdout and stderr
 * on out_fd, no other descriptor, no blocked signal, its workdir, and dies with the thread that started it.
 *
 * As another user it also has that user's ids and groups and nothing else of them, no capability and no key of ours. */
#ifndef PAWL_WORKER_SPAWN_H
#define PAWL_WORKER_SPAWN_H

#include <stdbool.h>
#include <stdint.h>

/* What a child was doing when it could not go on. */
enum worker_spawn_step {
    SPAWN_STEP_NONE,
    SPAWN_STEP_START,    /* the process itself could not be made */
    SPAWN_STEP_SESSION,
    SPAWN_STEP_OUTPUT,
    SPAWN_STEP_USER,
    SPAWN_STEP_WORKDIR,
    SPAWN_STEP_EXEC
};

/* The user that a child becomes before it enters its workdir. */
struct worker_spawn_user {
    uint32_t uid, gid;
    const uint32_t *groups;    /* supplementary */
    uint32_t group_count;
};

struct worker_spawn_request {
    const char *program;       /* absolute, or relative to workdir */
    const char *const *further; /* tried after it, in this order, where a user may not execute one; NULL: none */
    char *const *argv;
    char *const *envp;
    const char *workdir;
    int out_fd;                /* above 2 */
    const struct worker_spawn_user *user; /* NULL: as this process */
    int cgroup_fd;             /* born into it; -1: where this process is */
};

struct worker_spawn_failure {
    enum worker_spawn_step step;
    int error;                 /* errno */
};

/* A slot's memory for the child that it starts, which shares ours until it executes its program: nothing that the
 * request points to may change or go before that child is reaped. A child that becomes another user has a copy of it
 * instead, and tells of its failure on a page that both see. Zero-initialised is valid. */
struct worker_spawn_area {
    void *stack;
    struct worker_spawn_request request;
    int32_t parent;
    volatile struct worker_spawn_failure failure; /* valid once the child is reaped and settled */
    volatile struct worker_spawn_failure *told;   /* the page; NULL: none yet */
    bool is_copy;              /* the child, not settled yet, has a copy of our memory */
};

void worker_spawn_fini(struct worker_spawn_area *area);

/* Returns the pid; the caller reaps it, settles and looks at area->failure then. -1 with *ret_failure when there is
 * none. */
int32_t worker_spawn(struct worker_spawn_area *area, const struct worker_spawn_request *request,
                     struct worker_spawn_failure *ret_failure);

/* After the reap, once. */
void worker_spawn_settle(struct worker_spawn_area *area);

/* By posix_spawn. Lacks: birth in a cgroup, death with the parent, other users, and the parent waits until the child
 * has executed its program. Failures are all in *ret_failure; area->failure stays empty. */
int32_t worker_spawn_posix(struct worker_spawn_area *area, const struct worker_spawn_request *request,
                           struct worker_spawn_failure *ret_failure);

/* Whether worker_spawn works here, and into that cgroup (-1: none): starts a child that exits at once and reaps it. 0
 * or errno. */
int worker_spawn_probe(int cgroup_fd);

#endif
