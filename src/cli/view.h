/* What `pawl run` knows of its run while it goes, and the thread that shows it.
 *
 *     thread      does
 *     caller      blocks in server_run_local
 *     engine      cli_view callbacks: notes the change, never writes
 *     view        waits for changes, time and signals; draws, writes, passes interrupts on
 *
 * One lock guards what the engine and the view share. Lines wait in a buffer; when the reader is slower than the
 * run, the engine waits once the buffer is full, as any program does behind a slow pipe. */
#ifndef PAWL_CLI_VIEW_H
#define PAWL_CLI_VIEW_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/live.h"
#include "dag/dag.h"
#include "server/server.h"

struct cli_view_task {
    uint32_t task;
    uint32_t attempt;
    int64_t started_ms;         /* boot clock */
};

struct cli_view {
    /* fixed while the thread runs */
    const struct dag *dag;
    uint32_t slots;
    int fd;                     /* where it is shown */
    bool terminal;              /* a block that is redrawn, not lines */
    bool color;
    int interrupt_fd;           /* eventfd for server_run_local */
    int wake_fd;                /* eventfd: something is new */
    int signal_fd;              /* SIGINT SIGTERM SIGHUP SIGWINCH, blocked in every thread */
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t room;        /* lines became fewer */
    struct buf lines;           /* not written yet */
    uint32_t counts[TASK_STATE_COUNT];
    uint8_t *states;            /* enum task_state of each task */
    uint32_t *left_by_rank;     /* tasks that have not ended, by the length of the chain they begin */
    uint32_t rank_max;          /* the longest chain that has not ended */
    struct cli_view_task *running;
    size_t running_count, running_cap;
    uint32_t ended;             /* that ran */
    int64_t busy_ms;
    int64_t started_ms;         /* boot clock */
    char run[9];                /* the run's id as tables show it */
    unsigned interrupts;
    bool changed;
    bool stopping;

    /* the thread's own */
    struct cli_live live;
    struct buf writing;
    bool broken;                /* nobody reads any more */
    int64_t drawn_ms;           /* boot clock */
};

/* Starts the thread. Blocks the signals in the caller: call before any other thread exists. ERROR_IO. */
int cli_view_start(struct cli_view *view, const struct dag *dag, uint32_t slots, int fd, bool terminal, bool color,
                   struct error *err);
/* Writes what is left, removes the block, ends the thread. The number of interrupts stays readable. */
void cli_view_stop(struct cli_view *view);

/* Callbacks of struct server_local; context is the view. */
void cli_view_on_start(void *context, struct uuid run_id, int64_t started_ms);
void cli_view_on_change(void *context, const struct server_local_change *change,
                        const uint32_t counts[TASK_STATE_COUNT]);

#endif
