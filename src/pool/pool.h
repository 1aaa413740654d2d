/* The daemon's side of its workers: starts them, meets those that a former daemon left, carries messages both ways,
 * buries the dead. Knows attempts only by their key; what runs where is the engine's business.
 *
 * Everything here belongs to one thread (the engine's), callbacks included; they are called from pool_start and
 * pool_turn only, so that no pool_* call re-enters the caller. They may call what sends and ends, but not pool_start,
 * pool_turn, pool_disconnect and pool_free. Nothing blocks: messages wait in a buffer per worker.
 *
 *     pool_new -> pool_start -> (pool_fd readable -> pool_turn; pool_send_*, pool_flush)* -> pool_disconnect or
 *     pool_kill_all -> pool_free */
#ifndef PAWL_POOL_POOL_H
#define PAWL_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "worker/job.h"
#include "worker/protocol.h"

struct pool;

/* An attempt that a worker held when it connected. */
struct pool_held {
    bool ended;                      /* then result is set, else started */
    struct message_started started;
    struct job_result result;
};

struct pool_worker {
    struct uuid id;
    int32_t pid;
    uint32_t slots;
    enum isolation isolation;
    bool adopted;                    /* it was there before this daemon */
    bool keeps_waiting;              /* starts may be sent to it before a slot is free */
    bool draining;                   /* surplus: give it nothing; it quits when it holds nothing */
    const struct pool_held *held;    /* borrowed for the call */
    size_t held_count;
};

struct pool_callbacks {
    void *context;
    /* A worker is ready for work. Attempts recorded as running on it but not in `held` are unknown to it: it never
     * started them, or it reported their result and was told ACK. */
    void (*on_worker_up)(void *context, const struct pool_worker *worker);
    /* It is dead and so is everything it had started. `reason` is a sentence. Also called, with no up before, for
     * each worker of a former daemon that is found dead, and for one that could not be started (id all zero) or died
     * before it was up; those that follow are then started later and later, up to 30 s apart. Answer with
     * pool_forget_worker once what was lost with it is durable: until then its files tell the next daemon that a
     * worker died. */
    void (*on_worker_gone)(void *context, struct uuid worker_id, const char *reason);
    void (*on_started)(void *context, struct uuid worker_id, const struct message_started *started);
    /* Texts are borrowed for the call. Answer with pool_ack once it is durable. The same result can come again. */
    void (*on_result)(void *context, struct uuid worker_id, const struct job_result *result);
    /* A start that may wait was not begun, and the worker has forgotten it. */
    void (*on_returned)(void *context, struct uuid worker_id, const struct job_key *key);
    /* A worker of a former daemon lives and has not said within adopt_ms what it holds: slow is not dead, and
     * whatever it runs goes on. on_worker_up or on_worker_gone follows, whenever that is. pid: 0 when not known. */
    void (*on_worker_silent)(void *context, struct uuid worker_id, int32_t pid);
    /* The scan of pool_start is complete: every worker of a former daemon was up, gone or silent. */
    void (*on_adopted)(void *context);
};

struct pool_options {
    const char *data_dir;            /* DATA; workers live in DATA/workers */
    uint32_t workers;                /* how many to have */
    uint32_t slots;                  /* of each */
    const char *exe;                 /* NULL: /proc/self/exe; called as `exe worker ...` */
    uint64_t files_max;              /* soft limit of open files of a worker and its tasks; 0: as this process */
    bool die_with_parent;            /* `pawl run`: nothing outlives this process */
    bool best_effort;                /* do not use cgroups */
    bool posix_spawn;                /* the worker's fallback spawn, for tests */
    int64_t grace_ms;                /* TERM to KILL; 0: LIMIT_GRACE_MS */
    int64_t idle_exit_ms;            /* a worker without a daemon; 0: ten minutes */
    int64_t adopt_ms;                /* how long a worker may take to say what it holds until it is silent, or, when it
                                        was started here and can hold nothing, is ended; 0: 5 s */
};

/* Options are copied; callbacks too. ERROR_IO when DATA/workers cannot be made or opened. */
int pool_new(const struct pool_options *options, const struct pool_callbacks *callbacks, struct pool **ret_pool,
             struct error *err);
void pool_free(struct pool *pool);   /* NULL is allowed; workers stay as they are (see pool_disconnect) */

/* Looks for workers in DATA/workers and starts those that are missing once the living ones are known. */
int pool_start(struct pool *pool, struct error *err);

int pool_fd(const struct pool *pool); /* readable when pool_turn has something to do; an epoll descriptor */
void pool_turn(struct pool *pool);    /* does it, without waiting; flushes what is urgent */
void pool_flush(struct pool *pool);   /* writes what the sends below have buffered */
/* The same, but acknowledgements alone stay: they go with the next start, or with pool_flush, so that they wake nobody
 * up. The caller sees to it that they do not wait for long; a worker keeps what is not acknowledged. */
void pool_flush_urgent(struct pool *pool);

/* Sends to a worker that is up. ERROR_WORKER_NOT_FOUND when it is not (its on_worker_gone came or comes);
 * ERROR_TOO_BIG when the job fits no message: then nothing was sent. */
int pool_send_start(struct pool *pool, struct uuid worker_id, const struct job *job, struct error *err);
int pool_stop_attempt(struct pool *pool, struct uuid worker_id, const struct job_key *key, enum stop_reason reason);
int pool_recall(struct pool *pool, struct uuid worker_id, const struct job_key *key); /* see MESSAGE_RECALL */
int pool_ack(struct pool *pool, struct uuid worker_id, const struct job_key *key);
/* What runs at that boot time is killed by the workers themselves, and they with it (MESSAGE_LEASE); told to those that
 * are up and to each that comes. */
void pool_set_lease(struct pool *pool, int64_t lease_ms);
/* Removes the files of a worker that is gone. */
void pool_forget_worker(struct pool *pool, struct uuid worker_id);
/* Ends a silent worker, and all that it runs, since nothing there matters any more. */
void pool_end_silent(struct pool *pool, struct uuid worker_id);
/* It ends when it holds nothing and is not replaced while it lives. */
int pool_quit_worker(struct pool *pool, struct uuid worker_id);

/* No more workers are started. Those that hold nothing end, now or when they have been acknowledged. */
void pool_quit_idle(struct pool *pool);
/* No more workers are started; all end everything by KILL and exit. on_worker_gone tells when each has. */
void pool_kill_all(struct pool *pool);
/* Hand-over: flushes what can be written without waiting and closes the links. Workers and what they run go on. */
void pool_disconnect(struct pool *pool);

/* Workers that are up or on their way: 0 after pool_kill_all means that all are gone. */
size_t pool_live_count(const struct pool *pool);

#endif
