/* A node among others on one store (store/cluster.h): a thread that keeps the lease, declares the dead dead, takes over
 * their runs, and hears what other nodes ask. What concerns the engine goes to its thread.
 *
 *     every fifth of the lease, and when another node sent a word:
 *         renew       the workers are told until when what they run is ours: a fifth of a lease before it ends
 *         sweep       whose lease ran out is dead; all are told
 *         take        runs of the dead, a few at a time, as long as there are some
 *         load        them and what was given to this node; the engine adopts them
 *         asked       cancels
 *         share       runs that have not begun go to nodes that have free slots when this one has not; all of them
 *                     when it drains
 *         leading     schedules fire on one node; when it becomes this one, or their DAGs change, they are read anew
 *         events      are told to nodes whose clients want to hear of them (cluster_events.c) */
#ifndef PAWL_SERVER_CLUSTER_H
#define PAWL_SERVER_CLUSTER_H

#include "base/error.h"
#include "server/core.h"

struct server_cluster;

/* Streams of events of this node's API; the cluster's thread calls them. */
struct server_cluster_events {
    bool (*wants_others)(void *context);                    /* some want to hear of other nodes */
    void (*hear)(void *context, struct buf *take_lines);    /* see api_hear */
    void (*set_hears_all)(void *context, bool hears_all);   /* all nodes that are heard of tell their events */
    void (*set_told)(void *context, bool others_listen);    /* other nodes want to hear of this one */
};

struct server_cluster_options {
    struct uuid node_id;
    const char *host;
    const char *url;            /* where other nodes reach this one's API */
    const char *data_dir;
    int64_t lease_ms;
    const struct server_cluster_events *events;
    void *events_context;
    int64_t joined_ms;          /* boot time, not after it joined: its lease counts from then until it is renewed */
};

/* Boot time at which what runs here is killed, when the lease was asked for at before_ms: it counts from before the
 * question was sent, and ends a fifth early. */
int64_t server_cluster_lease(int64_t before_ms, int64_t lease_ms);

/* Before core_run. Options' texts are borrowed for its life. */
int server_cluster_start(struct core *core, const struct server_cluster_options *options,
                         struct server_cluster **ret_cluster, struct error *err);
/* Any thread: the thread looks what there is. */
void server_cluster_kick(struct server_cluster *cluster);
/* Any thread: an event for streams of other nodes, dropped when none listens; see api_backend.tell. */
void server_cluster_tell_event(struct server_cluster *cluster, const char *name, struct uuid run_id, bool ends_run,
                               const char *data, size_t len);
/* Ends the thread; the core must still be there. NULL is allowed. */
void server_cluster_stop(struct server_cluster *cluster);

#endif
