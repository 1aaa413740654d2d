/* A real worker in a child process, and the test as its daemon. Every wait has a bound that is far beyond what it
 * takes; reaching it fails the test. */
#ifndef PAWL_TESTS_WORKER_RIG_H
#define PAWL_TESTS_WORKER_RIG_H

#include "support/check.h"

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "worker/leftover.h"
#include "worker/protocol.h"
#include "worker/worker.h"

struct rig {
    struct worker_options options;
    char root[64];            /* a temporary folder: workers/, logs/, work/ */
    char dir[80];             /* root/workers */
    char workdir[80];
    char log_path[160];       /* of the job made last */
    pid_t pid;                /* of the worker; 0: it has ended */
    int fd;                   /* the connection; -1: none */
    struct message_hello hello;
    unsigned greeted_results; /* how many of the greeting were RESULTs */
    uint64_t fence;           /* of the job made last */
    struct buf in;
    size_t taken;             /* of `in`, by the message returned last */
    struct buf env;
    uint32_t env_count;
    struct buf log;
    struct buf kept;            /* the log that came with the last result, when it became no file */
};

/* mode: how workers are started in this group of tests. */
struct rig_mode {
    const char *name;
    enum worker_isolation isolation;
    enum worker_spawn spawn;
};

/* Prepares everything, starts nothing. */
struct rig *rig_new(const struct rig_mode *mode);
/* Ends what still runs by pid and removes the folder. */
void rig_free(struct rig *rig);

void rig_start(struct rig *rig);
/* Connects and takes the greeting; returns how many HELD and RESULT messages it had. */
unsigned rig_connect(struct rig *rig);
void rig_disconnect(struct rig *rig);
/* The next message; what it points to is valid until the next call. */
void rig_next(struct rig *rig, struct message *ret_message);
void rig_send(struct rig *rig, const struct message *message);
void rig_send_bare(struct rig *rig, enum message_type type);

/* A job of a new fence with its own log. Valid until the next one is made. */
struct job rig_command(struct rig *rig, const char *command);
struct job rig_argv(struct rig *rig, const char *const *argv);
void rig_begin(struct rig *rig, const struct job *job);      /* START, until STARTED */
struct job_result rig_result(struct rig *rig);               /* waits for RESULT; acknowledged */
struct job_result rig_run(struct rig *rig, const struct job *job);
const char *rig_log(struct rig *rig, const char *path);      /* the whole file; "" when there is none */

/* QUIT; the worker ends with status 0 and leaves no file. */
void rig_quit(struct rig *rig);
void rig_expect_end(struct rig *rig);
/* It ends with status 1 and leaves its record, so that any daemon takes it for one that died. */
void rig_expect_death(struct rig *rig);

/* A file in the workdir. */
const char *rig_path(struct rig *rig, const char *name);
/* Blocks until a process has written a line to the FIFO and returns it; made by rig_fifo. */
const char *rig_fifo(struct rig *rig, const char *name);
const char *rig_wait_fifo(struct rig *rig, const char *path);
/* Waits until the process has ended (it may still be a zombie of somebody). */
void rig_expect_gone(pid_t pid);
bool rig_is_alive(pid_t pid);

#endif
