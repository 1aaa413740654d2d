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
 *         leading     schedules fire on one node; when it becomes this one, or their DAGs change, they are read anew */
#ifndef PAWL_SERVER_CLUSTER_H
#define PAWL_SERVER_CLUSTER_H

#include "base/error.h"
#include "server/core.h"

struct server_cluster;

struct server_cluster_options {
    struct uuid node_id;
    const char *host;
    const char *url;            /* where other nodes reach this one's API */
    const char *data_dir;
    int64_t lease_ms;
    int64_t joined_ms;          /* boot time, not after it joined: its lease counts from then until it is renewed */
};

/* Boot time at which what runs here is killed, when the lease was asked for at before_ms: it counts from before the
 * question was sent, and ends a fifth early. */
int64_t server_cluster_lease(int64_t before_ms, int64_t lease_ms);

/* Before core_run. Options' texts are borrowed for its life. */
int server_cluster_start(struct core *core, const struct server_cluster_options *options,
                         struct server_cluster **ret_cluster, struct error *err);
/* Ends the thread; the core must still be there. NULL is allowed. */
void server_cluster_stop(struct server_cluster *cluster);

#endif
