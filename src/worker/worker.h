/* The worker process: a few slots in which it executes attempts for whichever daemon is connected.
 *
 * The pool starts it as `pawl worker OPTIONS` with a listening socket and a locked file, both inherited. It
 * outlives its daemon: without a connection it goes on with what runs and keeps the results. */
#ifndef PAWL_WORKER_WORKER_H
#define PAWL_WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"

enum worker_isolation { WORKER_ISOLATION_AUTO, WORKER_ISOLATION_BEST_EFFORT };
enum worker_spawn { WORKER_SPAWN_AUTO, WORKER_SPAWN_POSIX };

struct worker_options {
    struct uuid id;
    const char *dir;                 /* DATA/workers, absolute: <id>.sock .lock .log .run .tmp are its; removed when
                                        it ends by itself, but for a log that is not empty */
    int listen_fd;                   /* bound to <dir>/<id>.sock and listening */
    int lock_fd;                     /* <dir>/<id>.lock, flock()ed: proves that the worker lives */
    uint32_t slots;
    int64_t grace_ms;                /* between TERM and KILL */
    int64_t idle_exit_ms;            /* without a daemon and with nothing held, exit after this; 0: at once */
    bool die_with_parent;            /* kill all and exit when the daemon goes, or on SIGTERM */
    enum worker_isolation isolation;
    enum worker_spawn spawn;
};

/* Runs until the worker ends; returns the process's exit status. Takes over signals, stdin and stdout of the process;
 * the calling process must have one thread. */
int worker_main(const struct worker_options *options);

/* The same from the arguments after `pawl worker`, as the pool writes them: argv[0] is the first option. */
int worker_command(int argc, char **argv);

#endif
