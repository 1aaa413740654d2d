/* What the pool knows of each worker. Private to src/pool.
 *
 *     MEETING   connected, or about to be; HELLO, HELD, RESULT ... are coming. One of a former daemon stays here as
 *               long as its process lives: its lock says that, and the kernel ends the link when it does not
 *        | READY
 *     UP        on_worker_up was called; work goes to it
 *        | the link or the process ended, or it has to be ended
 *     LEAVING   waiting for the kernel's word that the process is dead; KILL at its deadline
 *        | dead
 *     BURYING   what it left behind is being ended
 *        | nothing is left
 *     GONE      on_worker_gone was called; freed at the end of the turn
 *
 * A worker of a former daemon that is found dead starts at BURYING. */
#ifndef PAWL_POOL_POOL_MODEL_H
#define PAWL_POOL_POOL_MODEL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "pool/pool.h"

enum {
    POOL_PARTING_MS = 1000,      /* between the end of a link and the end of its process */
    POOL_KILL_ALL_MS = 2000,     /* for a worker to end everything by itself */
    POOL_UNKILLABLE_MS = 5000,   /* then it is given up: the kernel does not let it die */
    POOL_BURY_MS = 5,            /* between two looks at what a dead worker left */
    POOL_LOCK_MS = 50,           /* between two looks at the lock of a worker that has no pid */
    POOL_MEET_MS = 200,          /* until a worker is called again that could take no connection */
    POOL_STEADY_MS = 5000,       /* a worker that lived so long did not die of its start */
    POOL_BACKOFF_MS = 100,       /* doubled by each early death */
    POOL_BACKOFF_MAX_MS = 30000,
    POOL_HELD_MAX = 65536,       /* attempts that one worker may hold */
    POOL_REASON_BYTES = 300,
    POOL_ACKS_BYTES = 8192,      /* more than that of acknowledgements is urgent, too */
};

enum pool_phase { POOL_MEETING, POOL_UP, POOL_LEAVING, POOL_BURYING, POOL_GONE };

enum pool_watch_kind { POOL_WATCH_TIMER, POOL_WATCH_LINK, POOL_WATCH_PROCESS };

struct pool_link;

/* What an epoll event points to. */
struct pool_watch {
    enum pool_watch_kind kind;
    struct pool_link *link;
};

struct pool_link {
    struct pool *pool;
    struct uuid id;
    enum pool_phase phase;
    bool former;                 /* found, not started, by this daemon */
    bool surplus;                /* beyond what is wanted: does not count, is told to quit when it is up */
    bool quitting;               /* QUIT was sent, or will be at READY */
    bool silent;                 /* on_worker_silent was called */
    bool ending;                 /* KILL_ALL was sent */
    bool killed;                 /* KILL was sent: by KILL_ALL's deadline, or because it cannot be talked to */
    bool said_hello;
    bool was_up;                 /* on_worker_up was called */
    bool dirty;                  /* in pool->dirty */
    bool urgent;                 /* out holds more than acknowledgements, or many of those */
    bool watches_out;
    bool ended_well;             /* exit status 0 */

    int fd;                      /* the socket; -1: none */
    int pid_fd;                  /* -1: not known yet */
    int lock_fd;                 /* held while burying a worker that was found dead; -1: none */
    int32_t pid;                 /* 0: not known yet */
    struct pool_watch link_watch, process_watch;

    struct buf in;
    struct buf out;
    size_t out_sent;             /* bytes of out that are written */

    struct message_hello hello;
    struct pool_held *held;      /* until READY */
    size_t held_count, held_cap;
    struct arena held_texts;

    int64_t born_ms;             /* boot time of its start, or of its discovery */
    int64_t deadline_ms;         /* boot time; 0: none */
    int64_t give_up_ms;          /* LEAVING, BURYING: nothing waits longer */
    char reason[POOL_REASON_BYTES]; /* why it is leaving; empty: ask the kernel */
};

struct pool {
    struct pool_options options;
    struct pool_callbacks callbacks;
    char *dir;                   /* DATA/workers */
    char *exe;
    int dir_fd;
    int epoll_fd;
    int timer_fd;
    struct pool_watch timer_watch;
    struct uuid boot_id;

    struct pool_link **links;
    size_t link_count, link_cap;
    struct map by_id;
    struct pool_link **dirty;    /* have something to write */
    size_t dirty_count, dirty_cap;

    bool started;
    bool adopted;                /* on_adopted was called */
    bool refilling;              /* missing workers are started */
    bool check_times;            /* a deadline changed */
    int64_t armed_ms;            /* what the timer is set to; 0: nothing */
    int64_t lease_ms;            /* boot time told to workers; 0: none */
    uint32_t early_deaths;       /* one after the other */
    int64_t refill_ms;           /* not before */
};

/* pool.c */
struct pool_link *pool_link_new(struct pool *pool, struct uuid id);
void pool_link_set_deadline(struct pool_link *link, int64_t deadline_ms);
bool pool_watch_fd(struct pool *pool, int fd, struct pool_watch *watch);
/* A worker died of its start: the next one starts later, the more so the more did. */
void pool_put_off_refill(struct pool *pool, int64_t now_ms);
/* Whether a worker that is up now, with these slots, is more than is wanted. */
bool pool_is_surplus(const struct pool *pool, const struct pool_link *link);

/* pool_link.c: bytes and messages */
/* Connects to <id>.sock and waits for HELLO; calls again later when this process or the worker's queue has no room now.
 * An errno value when there is nobody to talk to, or 0. */
int pool_link_connect(struct pool_link *link, int64_t now_ms);
/* MEETING: breaks off and calls again later. */
void pool_link_put_off(struct pool_link *link, int64_t now_ms);
void pool_link_close(struct pool_link *link);
/* What one recv gives. False when there was nothing, or the link has ended. */
bool pool_link_read(struct pool_link *link, int64_t now_ms);
void pool_link_write(struct pool_link *link);
void pool_link_mark_dirty(struct pool_link *link, bool urgent);
void pool_link_send_lease(struct pool_link *link); /* nothing when there is none */
void pool_link_send_plain(struct pool_link *link, enum message_type type);

/* pool_death.c */
/* The worker is to go: the process is ended after `parting_ms` unless it ends before. `reason` may be NULL: then the
 * kernel's word is. */
void pool_link_part(struct pool_link *link, const char *reason, int64_t parting_ms, int64_t now_ms);
void pool_link_process_ended(struct pool_link *link, int64_t now_ms);
void pool_link_bury(struct pool_link *link, int64_t now_ms);
void pool_link_deadline(struct pool_link *link, int64_t now_ms);

/* pool_spawn.c */
int pool_spawn(struct pool *pool, int64_t now_ms, struct error *err);
/* Relative to DATA/workers, through /proc: a socket's address has room for 107 bytes only. */
int pool_socket_address(const struct pool *pool, struct uuid id, char *path, size_t size);

/* pool_scan.c */
/* Calls the worker; parts with it when there is nobody to talk to. */
void pool_link_meet(struct pool_link *link, int64_t now_ms);
int pool_scan(struct pool *pool, int64_t now_ms, struct error *err);

/* pool_process.c: who a process is */
bool pool_process_boot_id(struct uuid *ret_boot_id);
bool pool_process_start_ticks(int32_t pid, uint64_t *ret_ticks);
/* Both processes run the same file. True when that cannot be seen. */
bool pool_process_same_program(int32_t pid, const char *exe);
/* The process that was started as worker `id`; 0: none. */
int32_t pool_process_find_worker(struct uuid id);

#endif
