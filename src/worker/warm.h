/* The warm interpreter: a Python process of the worker that has the usual modules loaded and forks for each task that
 * asks for it (`warm: true`). What runs in it is embed/warm.py.
 *
 *     start    the first such task; it gets only the variables that shape an interpreter, and those are its key: a task
 *              whose interpreter, PYTHON*, locale, PATH, HOME or the like are others starts cold
 *     task     descriptors by the socket: a gate, the output, a file (program, arguments, environment), the cgroup
 *     gate     the interpreter tells the pid of a child that does nothing yet; it is recorded, then told to go on. So
 *              it is a task like any other, our own child, from before it executes anything of the user's
 *     in doubt the attempt starts cold: no answer in time, the interpreter died, the child was not there any more
 *     end      after a minute without tasks, after half an hour, with the worker
 *
 * One a worker. Its memory is that of one interpreter; it never reads what a task consists of. */
#ifndef PAWL_WORKER_WARM_H
#define PAWL_WORKER_WARM_H

#include "worker/model.h"

/* Hands a planned attempt to the interpreter, started when there is none: PHASE_STARTING from now on. False: it is to
 * be started cold; nothing has been done. */
bool worker_warm_start(struct worker *worker, struct worker_attempt *attempt);
/* The attempt is not wanted any more; what may have been made for it ends by itself. */
void worker_warm_drop(struct worker *worker, struct worker_attempt *attempt);
/* The attempt has waited too long: the interpreter is ended, and whatever waits for it starts cold. */
void worker_warm_late(struct worker *worker);
/* False: it was not the interpreter's. The process has been reaped. */
bool worker_warm_reaped(struct worker *worker, int32_t pid);
/* Pid of the interpreter, which is also the session of its children until they are tasks; 0: there is none. */
int32_t worker_warm_pid(const struct worker *worker);
/* The same as a mark, for sweeps that must not touch it. */
struct worker_mark worker_warm_mark(const struct worker *worker);
void worker_warm_deadlines(struct worker *worker, int64_t now_ms);
void worker_warm_free(struct worker *worker);

#endif
