/* Logs of attempts that other nodes run, asked for through the store that nodes share (store/cluster.h). */
#ifndef PAWL_API_API_FAR_H
#define PAWL_API_API_FAR_H

#include <stdbool.h>

#include "api/api_core.h"
#include "store/cluster.h"

/* Whether a worker is another node's. */
bool api_far_has(struct api *api, struct uuid worker);
/* Fills what comes back; piece->bytes is in the arena. Waits for the node, FAR_WAIT_MS at most: then
 * ERROR_STORE_AWAY. */
int api_far_read(struct api *api, struct uuid worker, struct store_cluster_piece *piece, struct arena *arena,
                 struct error *err);

#endif
