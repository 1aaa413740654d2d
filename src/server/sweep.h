/* Deletes the log folders of runs that retention has taken, in a thread of its own: deleting files may wait for the
 * disk, and the threads a task's way leads through must not. Sleeps until the store has something new.
 *
 * A backup that is being made holds DATA/backup.lock shared; as long as it does nothing is deleted, so that the rows it
 * copied find their logs. */
#ifndef PAWL_SERVER_SWEEP_H
#define PAWL_SERVER_SWEEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"
#include "store/store.h"

struct server_sweep;

/* Becomes the store's keep.on_taken. Before the store's thread starts; store and data_dir are borrowed. ERROR_IO: no
 * thread. */
int server_sweep_start(struct store *store, const char *data_dir, struct server_sweep **ret_sweep, struct error *err);
/* After the store's thread has ended. What is left is for the next life. NULL allowed. */
void server_sweep_stop(struct server_sweep *sweep);

/* Deletes a run's log folder. False: something of it is still there. *stop ends it early; NULL: nothing does. */
bool server_sweep_folder(const char *data_dir, struct uuid run_id, const atomic_bool *stop);
/* Opens DATA/backup.lock and takes it shared (a backup; waits for the few folders that are going) or alone (deleting;
 * does not wait). -1 with errno. Caller closes it. */
int server_sweep_lock(const char *data_dir, bool shared);

#endif
