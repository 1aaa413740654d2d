/* What a dead worker may have left behind: processes, a cgroup, files. For whoever holds <dir>/<id>.lock, which proves
 * that the worker is dead; nothing here looks at a living one.
 *
 * Every process that a worker starts is told by the kernel to die with it; this is for the ones further down. A worker
 * writes what it runs into <id>.run, which outlives it. Where it had a cgroup all of them are found; otherwise those of
 * the sessions it started, those with the environment of its attempts, and their descendants.
 *
 * Blocking: reads /proc or a cgroup, waits for nothing. Any thread. */
#ifndef PAWL_WORKER_LEFTOVER_H
#define PAWL_WORKER_LEFTOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"

/* Sends KILL to all that is found and says how many processes were found. They need a moment to die: everything is gone
 * when a call finds 0, so call it again (a few ms apart) until it does. ERROR_IO when /proc or the cgroup cannot be
 * read; a missing <id>.run means that nothing was started. */
int worker_leftover_kill(const char *dir, struct uuid id, uint32_t *ret_found, struct error *err);

/* Removes the cgroup and the files <id>.sock .run .tmp .log .lock; a log that is not empty stays when keep_log. After
 * worker_leftover_kill found 0. */
void worker_leftover_remove(const char *dir, struct uuid id, bool keep_log);

#endif
