/* What the parts of the worker process share. One thread, one epoll loop:
 *
 *   worker.c    the loop, signals, the timer, when to exit
 *   link.c      the daemon's connection: messages in and out
 *   attempt.c   what is held, from START to ACK, whatever executes it
 *   process.c   attempts that are processes: start, stop, exit, what they left behind
 *   warm.c      the interpreter that forks for python tasks
 *   http.c      attempts that are requests
 *
 * Order within a turn: descriptors, then ended children, then deadlines, then one write to the daemon. What an event
 * may still point to is freed at the end of the turn. */
#ifndef PAWL_WORKER_MODEL_H
#define PAWL_WORKER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "worker/cgroup.h"
#include "worker/job.h"
#include "worker/mask.h"
#include "worker/output.h"
#include "worker/plan.h"
#include "worker/protocol.h"
#include "worker/record.h"
#include "worker/spawn.h"
#include "worker/worker.h"

enum { WORKER_READ_BYTES = 64 * 1024 };

struct worker;
struct worker_attempt;
struct worker_http;
struct worker_warm;

/* A descriptor that the loop watches. */
struct worker_watch {
    int fd;              /* -1: not watched; an event that comes late finds that */
    void (*on_ready)(struct worker *worker, struct worker_watch *watch, uint32_t events);
};

enum worker_phase {
    PHASE_WAITING,       /* for a slot: nothing of it has begun */
    PHASE_RUNNING,       /* its process or request lives */
    PHASE_STARTING,      /* the warm interpreter has been asked for its process */
    PHASE_LEAVING,       /* its first process has ended; the rest and the output have not */
    PHASE_ENDED          /* the result waits for its ACK */
};

enum worker_end { END_BY_ITSELF, END_BY_TIMEOUT, END_BY_CANCEL };

struct worker_slot {
    struct worker_attempt *attempt;   /* NULL: free */
    struct worker_spawn_area area;
    struct worker_leaf leaf;
};

struct worker_attempt {
    struct worker_attempt *older;     /* all that is held, in the order it came */
    struct worker_attempt *newer;
    char *frame;                      /* the START; the job points into it */
    struct job job;
    struct arena arena;
    enum worker_phase phase;
    enum worker_end end;              /* why it is being ended, once it is */
    struct worker_slot *slot;         /* until PHASE_ENDED; NULL when it never had one */
    struct worker_mask *mask;         /* made when something is said first; NULL: nothing to hide */
    struct worker_output output;
    int64_t started_ms;               /* wall; 0: nothing was started */
    int64_t started_boot_ms;
    int64_t deadline_ms;              /* boot: the timeout, then the next step of ending it; 0: none */
    struct job_result result;         /* filled as things become known; complete in PHASE_ENDED */
    char *error;                      /* result.error */

    /* processes */
    struct worker_plan plan;
    char *code_path;                  /* a file that is removed at the end; NULL: none */
    struct worker_spawn_user user;    /* of the job, when it names one */
    int32_t pid;                      /* 0: none, or reaped */
    struct worker_watch pipe;         /* its output; fd -1: none, or its end was seen */
    bool young;                       /* its output is not watched yet: most tasks are over before it has to be */
    struct worker_watch gate;         /* in PHASE_STARTING: see warm.h */
    struct worker_watch leaf;         /* watched in PHASE_LEAVING while the leaf is not empty */
    int64_t linger_until_ms;          /* boot: from then on what was left behind is killed */
    int64_t drain_until_ms;           /* boot: nothing is left, but somebody holds the pipe; 0: not yet so */
    uint64_t oom_kills;               /* of the leaf, before it began */

    /* http */
    void *request;                    /* of http.c */
};

struct worker_link {
    struct worker_watch watch;
    struct buf in;
    struct buf out;
    bool wants_write;                 /* EPOLLOUT is watched: the daemon does not keep up */
    bool hurry;                       /* out holds what the daemon waits for; else STARTED alone, which can wait for
                                         the results of short tasks */
    int64_t patient_since_ms;         /* boot: out holds bytes in no hurry since then; 0: not so */
};

/* What is not worth a wakeup or a system call when the task is over at once can wait so long. */
enum { WORKER_PATIENCE_MS = 5 };

/* A start that has waited so long for a slot is given back: whoever has one may begin it. */
enum { WORKER_WAIT_MS = 20 };

struct worker {
    const struct worker_options *options;
    struct uuid boot_id;
    uint64_t start_ticks;
    int32_t pid;
    int epoll_fd;
    struct worker_watch listen;
    struct worker_watch signals;
    struct worker_watch timer;
    int64_t timer_ms;                 /* boot: when the timer fires; 0: not set */
    bool timer_fired;                 /* since the last look at deadlines */
    bool children_ended;              /* since the last look */
    bool met_daemon;                  /* at least once */
    bool quitting;                    /* exit when nothing is held */
    bool ending;                      /* exit when nothing runs; results are not kept */
    bool untold;                      /* it was ended while it held what had begun, which a daemon may not know of */
    bool unsure;                      /* a process was left alone whose attempt is not known */
    bool posix_spawn;
    int64_t lease_ms;                 /* boot: what runs then is ended; 0: never */
    int64_t idle_since_ms;            /* boot: without a daemon and with nothing held; 0: not so */
    struct worker_link link;
    struct worker_slot *slots;
    uint32_t *free_slots;             /* a stack of indexes */
    uint32_t free_count;
    uint32_t young_count;             /* attempts that are young */
    int64_t young_due_ms;             /* boot: not after the first of them has to be watched */
    uint32_t waiting_count;           /* attempts in PHASE_WAITING */
    int64_t waiting_due_ms;           /* boot: not after the first of them has to be given back */
    struct worker_attempt *oldest;
    struct worker_attempt *newest;
    struct worker_attempt *gone;      /* freed at the end of the turn, linked by newer */
    struct worker_cgroup cgroup;      /* path NULL: best effort */
    struct worker_record *record;
    struct worker_http *http;         /* NULL until the first request */
    struct worker_warm *warm;         /* NULL until the first task that wants it */
    struct worker_place place;        /* the workdir of the last command */
    char read_buffer[WORKER_READ_BYTES];
};

/* worker.c */
int worker_watch_add(struct worker *worker, struct worker_watch *watch, int fd, uint32_t events);
void worker_watch_change(struct worker *worker, struct worker_watch *watch, uint32_t events);
/* Stops watching, then closes: a child that is about to execute its program may hold the same file, and would keep
 * events coming. */
void worker_watch_close(struct worker *worker, struct worker_watch *watch);
void worker_watch_remove(struct worker *worker, struct worker_watch *watch); /* leaves the descriptor open */
/* The loop wakes at that time (boot) at the latest and looks at all deadlines. */
void worker_wake_at(struct worker *worker, int64_t time_ms);
/* Ends everything by KILL; the loop ends when nothing runs. */
void worker_end(struct worker *worker);

/* link.c */
void worker_link_listen(struct worker *worker);
bool worker_link_is_up(const struct worker *worker);
void worker_link_send(struct worker *worker, const struct message *message); /* dropped without a connection */
void worker_link_flush(struct worker *worker);
void worker_link_close(struct worker *worker);

/* attempt.c */
/* `frame` holds the START and nothing else; copied. */
void worker_attempt_start(struct worker *worker, const char *frame, size_t len);
void worker_attempt_stop(struct worker *worker, const struct job_key *key, enum stop_reason reason);
void worker_attempt_ack(struct worker *worker, const struct job_key *key);
void worker_attempt_recall(struct worker *worker, const struct job_key *key);
/* Those that wait: begins what there are slots for, gives back what has waited for too long. */
void worker_attempt_serve_waiting(struct worker *worker);
void worker_attempt_tell_all(struct worker *worker);   /* HELD and RESULT of everything held */
void worker_attempt_kill_all(struct worker *worker);
void worker_attempt_output(struct worker *worker, struct worker_attempt *attempt, const char *bytes, size_t len);
void worker_attempt_deadlines(struct worker *worker, int64_t now_ms);
void worker_attempt_free_gone(struct worker *worker);
bool worker_attempt_any_began(const struct worker *worker); /* of those that are held */
bool worker_attempt_any_runs(const struct worker *worker);
/* It began: tells the daemon and arms its timeout. */
void worker_attempt_began(struct worker *worker, struct worker_attempt *attempt);
/* Notes a failure's words in the result; the first one stays. */
void worker_attempt_fail(struct worker_attempt *attempt, enum error_type type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whether there is a secret in the text. */
bool worker_attempt_hides(struct worker_attempt *attempt, const char *text);
/* Nothing of it is left: completes the result, gives back the slot, tells the daemon. */
void worker_attempt_finish(struct worker *worker, struct worker_attempt *attempt);

/* process.c */
void worker_process_start(struct worker *worker, struct worker_attempt *attempt);
/* The parts of a start, for warm.c: by the worker's own hand; the record and a pipe that is watched (returns the end to
 * write to, which the caller closes, or -1); somebody else has made the process, which is our child. */
void worker_process_start_cold(struct worker *worker, struct worker_attempt *attempt);
int worker_process_open_output(struct worker *worker, struct worker_attempt *attempt);
void worker_process_adopt(struct worker *worker, struct worker_attempt *attempt, int32_t pid);
void worker_process_stop(struct worker *worker, struct worker_attempt *attempt, bool at_once);
void worker_process_deadline(struct worker *worker, struct worker_attempt *attempt);
void worker_process_reap(struct worker *worker);       /* all children that have ended, ours and strangers */
void worker_process_look(struct worker *worker);       /* at attempts in PHASE_LEAVING, after strangers ended */
void worker_process_watch_young(struct worker *worker); /* those that are not young any more */

/* http.c */
void worker_http_start(struct worker *worker, struct worker_attempt *attempt);
void worker_http_stop(struct worker *worker, struct worker_attempt *attempt);
void worker_http_deadlines(struct worker *worker, int64_t now_ms);
void worker_http_end_turn(struct worker *worker);
void worker_http_free(struct worker *worker);

#endif
