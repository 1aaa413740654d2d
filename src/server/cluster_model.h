/* The fields of a node among others. Private to cluster*.c. The thread owns the connection; the engine's thread owns
 * everything else. Between them stands one lock and an eventfd that wakes the engine's loop. */
#ifndef PAWL_SERVER_CLUSTER_MODEL_H
#define PAWL_SERVER_CLUSTER_MODEL_H

#include <pthread.h>

#include "base/arena.h"
#include "base/map.h"
#include "server/cluster.h"
#include "store/cluster.h"
#include "store/offers.h"

enum { CLUSTER_SHARE_MAX = 64, CLUSTER_NODES_MAX = 256, CLUSTER_VERSIONS_MAX = 16 };

/* What a node said of itself last: a word that every node hears, since a row that changes so often would be many. */
struct cluster_load {
    uint64_t epoch;
    int64_t free;                       /* slots that nothing runs in and nothing waits for */
    int64_t heard_ms;                   /* boot time */
    bool offers;                        /* it knows of store/offers.h */
    bool tells;                         /* it knows of cluster_events.c */
    bool listens;                       /* its clients want to hear of events here */
};

/* Whose events are heard here. */
struct cluster_voice {
    uint64_t epoch;
    uint64_t next;                      /* number of the word that comes next; 0: whichever begins a line */
    int64_t heard_ms;                   /* boot time */
    struct buf rest;                    /* of a line that goes on in the next word */
};

/* Events on their way to other nodes. */
struct cluster_events {
    /* the thread's own */
    bool listens;                       /* as this node said of itself */
    uint64_t connection;                /* on which it listens; words on another may have been missed */
    bool hears_all;                     /* as the API was told */
    struct cluster_voice voices[CLUSTER_NODES_MAX];
    size_t voice_count;
    struct buf heard;                   /* complete lines */
    uint64_t number;                    /* of the last word */
    int64_t next_ms;                    /* boot time before which nothing more is said */
    bool greets;                        /* somebody new listens */
    /* under the lock */
    bool is_told;                       /* somebody listens */
    struct buf out;
    bool missing;                       /* something was dropped */
    int64_t quiet_ms;                   /* boot time until which all is dropped, after too much */
};

/* A run that became this node's, on its way to the engine. */
struct cluster_arrival {
    struct cluster_arrival *next;
    struct arena arena;
    struct record_run run;              /* .dag: a reference */
    const struct record_attempt *attempts;
    size_t attempt_count;
    struct store_offers offers;         /* of its attempts, those that other nodes run */
};

struct cluster_version {
    struct uuid dag_id;
    uint32_t number;
    struct dag *dag;
};

/* What the engine's thread tells the other one. Its texts are in its arena. */
enum cluster_order { ORDER_OFFER, ORDER_STOP, ORDER_DONE, ORDER_REPORT };
struct cluster_telling {
    struct cluster_telling *next;
    struct arena arena;
    enum cluster_order order;
    struct store_offer offer;
    struct uuid worker;                 /* REPORT: that is told when it is durable; zero: none */
};

/* And what it hears from it. */
enum cluster_news {
    NEWS_REFUSED, NEWS_STARTED, NEWS_ENDED,             /* of an attempt that is offered */
    NEWS_GUEST_START, NEWS_GUEST_STOP, NEWS_GUEST_DONE  /* of one that runs here */
};
struct cluster_hearing {
    struct cluster_hearing *next;
    struct arena arena;
    enum cluster_news news;
    uint64_t epoch;                     /* of the node that has an attempt of ours */
    struct engine_attempt attempt;
    struct effect start;                /* GUEST_START; .dag, .origin: references */
    struct uuid worker;                 /* GUEST_DONE */
};

/* A row of offers that this node owns, or a guest. */
struct cluster_offer {
    uint64_t fence;
    struct store_offer offer;           /* as last read; its texts are gone */
    int64_t put_ms;                     /* boot time */
    bool started, told, stopped;        /* what the engine's thread was told */
};

struct server_cluster {
    struct core *core;
    struct server_cluster_options options;
    struct store_cluster *link;
    pthread_t thread;
    bool started;
    int kick_fd;                        /* eventfd: the thread looks what there is */
    int wake_fd;                        /* eventfd: the engine's thread has something to take */

    /* the thread's own */
    struct cluster_version *versions;     /* DAGs of the load under way */
    struct uuid *posted;                /* runs that the engine has; the store may not know that they were read */
    size_t posted_count, posted_cap;
    size_t version_count, version_cap;
    bool was_leading;
    uint64_t catalog;                   /* as it was when schedules were last read */
    bool was_away;
    int64_t renewed_ms;                 /* boot time of the last renewal */
    struct cluster_load loads[CLUSTER_NODES_MAX];
    size_t load_count;
    int64_t said_free;                  /* what was said of this one */
    bool said_draining;
    struct uuid giving[CLUSTER_SHARE_MAX];      /* runs that left the engine and go to giving_to */
    size_t giving_count;
    uint64_t giving_to;

    struct cluster_telling *sending, **sending_last; /* taken, not yet in the store */
    struct map offered;                 /* fence -> struct cluster_offer: attempts that other nodes run */
    struct map guests;                  /* the same of guests whose end is not reported */
    bool recovered;                     /* offers from before this life's start are known */
    int64_t free_slots;                 /* of this node, now */
    uint32_t taken;                     /* guests taken at taken_ms, which free_slots may not show yet */
    int64_t taken_ms;
    struct cluster_version guest_versions[CLUSTER_VERSIONS_MAX]; /* DAGs of guests, the newest last */
    size_t guest_version_count;

    struct cluster_events events;

    pthread_mutex_t lock;               /* of what follows */
    struct cluster_telling *telling, **telling_last;
    struct cluster_hearing *hearing, **hearing_last;
    struct { uint64_t epoch; uint32_t free; } nodes[CLUSTER_NODES_MAX]; /* how many attempts each may still get */
    size_t node_count;
    struct cluster_arrival *first, **last;
    int64_t lease_ms;                   /* boot time */
    struct core_schedules *schedules;   /* read for the engine; NULL: none, or nothing new */
    bool lead_changed;                  /* the engine takes schedules, or forgets them */
    bool read_again;                    /* they changed while they were read */
    struct store_busy *busy;            /* runs of schedules elsewhere; owned */
    size_t busy_count;
    bool busy_changed;
    struct error fenced;                /* code 0: not so */
    size_t wanted;                      /* runs that another node could begin at once */
    struct uuid released[CLUSTER_SHARE_MAX];    /* that the engine let go of */
    size_t released_count;
    bool stopping;
};

/* cluster.c */
void server_cluster_wake_engine(struct server_cluster *cluster);
/* The thread: what the node said last; NULL: nothing yet. */
struct cluster_load *server_cluster_load(struct server_cluster *cluster, uint64_t epoch);

/* cluster_offers.c. The engine's thread: */
extern const struct core_others server_cluster_others;              /* context is to be set */
/* What the thread has told, after the runs that it told of before. Takes the list. */
void server_cluster_hear(struct server_cluster *cluster, struct cluster_hearing *first);
/* The thread. `due`: with each renewal; `dead`: a node was declared so; `asked`: a word concerned offers. Sets
 * *ret_soon when there is more to do at once. */
int server_cluster_offers(struct server_cluster *cluster, bool due, bool dead, bool asked, bool *ret_soon,
                          struct error *err);
/* Of a run that became this node's. */
int server_cluster_inherit(struct server_cluster *cluster, struct cluster_arrival *arrival, struct error *err);
/* At the end: what is still to be told is tried once more, then everything is freed. */
void server_cluster_offers_end(struct server_cluster *cluster);

/* cluster_asks.c: somebody asked for logs, or ordered something of this node's workers. */
int server_cluster_asks(struct server_cluster *cluster, bool logs, bool workers, struct error *err);

/* cluster_events.c; the thread. Events of this node go out, those of others to the API; *wait_ms becomes less when
 * some wait. */
int server_cluster_events(struct server_cluster *cluster, int64_t *wait_ms, struct error *err);
/* A word of another node: false when it is none of events. */
bool server_cluster_hear_event(struct server_cluster *cluster, const char *word);
/* What was heard goes to the API. */
void server_cluster_pass_events(struct server_cluster *cluster);
void server_cluster_events_fini(struct server_cluster *cluster);

#endif
