/* The binary messages between a daemon and its workers, over a Unix stream socket of one machine.
 *
 *     frame = u32 length of what follows, u16 type, u16 zero, fields
 *
 * in the machine's own byte order; texts are u32 length, bytes, NUL. Several frames may share a write or a read.
 * Fields are only ever added at the end of a message and a reader ignores what follows the fields it knows, so that a
 * daemon can take over workers of its predecessor. The reader trusts nothing: whatever the bytes are, it
 * answers a message, "more", or an error.
 *
 *     worker                                       daemon
 *     HELLO HELD* RESULT* READY      ->            (on every new connection: all it holds)
 *                                    <-            START
 *     STARTED                        ->            (may_wait: once a slot is free, or RETURNED)
 *     RESULT                         ->            (kept by the worker, over reconnects, until)
 *                                    <-            ACK
 *                                    <-            STOP, RECALL, QUIT, KILL_ALL, LEASE
 *
 * A second START with a key the worker holds is ignored; so are ACK, STOP and RECALL with a key it does not hold. */
#ifndef PAWL_WORKER_PROTOCOL_H
#define PAWL_WORKER_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "worker/job.h"

/* PROTOCOL_LEVEL grows when a worker learns what a job may not do without: a worker of a lower one gets no such job. */
enum { PROTOCOL_VERSION = 1, PROTOCOL_LEVEL = 3, PROTOCOL_HEAD_BYTES = 8 };

enum message_type {
    MESSAGE_NONE,
    MESSAGE_HELLO,
    MESSAGE_HELD,      /* a running attempt, as STARTED */
    MESSAGE_READY,     /* everything held was told */
    MESSAGE_STARTED,
    MESSAGE_RESULT,
    MESSAGE_START,
    MESSAGE_ACK,       /* the result is durable: forget it */
    MESSAGE_STOP,
    MESSAGE_QUIT,      /* exit as soon as nothing is held */
    MESSAGE_KILL_ALL,  /* end everything by KILL, then exit; results are not reported */
    MESSAGE_LEASE,     /* of a cluster's node: what runs at that time is ended by KILL, daemon or not, and the worker
                          with it, since others may start it again from then on. A later one replaces it */
    MESSAGE_RECALL,    /* of a START that may wait: if it has not begun, give it back */
    MESSAGE_RETURNED,  /* it has not begun, was forgotten and never will: recalled, or no slot was free for too long */
    MESSAGE_TYPE_COUNT
};

enum stop_reason { STOP_CANCEL /* TERM, grace, KILL */, STOP_KILL /* KILL */, STOP_REASON_COUNT };

/* How sure the worker is that an attempt leaves nothing behind. */
enum isolation { ISOLATION_CGROUP, ISOLATION_BEST_EFFORT, ISOLATION_COUNT };

struct message_hello {
    uint32_t version;
    struct uuid worker_id;
    struct uuid boot_id;         /* of the machine */
    uint64_t start_ticks;        /* field 22 of /proc/PID/stat: with pid and boot id the identity of the process */
    int32_t pid;
    uint32_t slots;
    enum isolation isolation;
    uint32_t level;              /* 1: it hides secrets and refuses addresses; 2: it changes users; 3: starts may wait
                                    in it for a slot */
};

struct message_started {
    struct job_key key;
    int32_t pid;                 /* 0: no process (http) */
    int64_t started_ms;          /* wall */
};

struct message_stop {
    struct job_key key;
    enum stop_reason reason;
};

struct message {
    enum message_type type;
    union {
        struct message_hello hello;
        struct message_started started; /* STARTED and HELD */
        struct job_result result;
        struct job start;
        struct job_key ack;
        struct job_key waiter;       /* RECALL and RETURNED */
        struct message_stop stop;
        int64_t lease_ms;            /* LEASE: boot time */
    };
};

/* Appends one frame. */
void worker_message_write(struct buf *out, const struct message *message);
/* The same for a START, without copying the job into a message first. Returns ERROR_TOO_BIG and appends nothing when
 * the frame would be larger than LIMIT_MESSAGE_BYTES_MAX; 0 otherwise. */
int worker_message_write_start(struct buf *out, const struct job *job, struct error *err);

/* Reads the first frame of `bytes`. Returns its size and fills *ret_message, whose pointers point into `bytes`; 0 when
 * the frame is not complete yet; -1 and words in err when no valid message begins there. A type that this version
 * does not know is skipped: its size is returned with type MESSAGE_NONE. */
ssize_t worker_message_read(const char *bytes, size_t len, struct message *ret_message, struct error *err);

/* Walks a list: *cursor starts at list->bytes; returns the next string or NULL after the last. */
const char *worker_list_next(const struct job_list *list, const char **cursor);
/* Appends one string to what becomes a list, and counts it. */
void worker_list_add(struct buf *bytes, uint32_t *count, const char *text, size_t len);

#endif
