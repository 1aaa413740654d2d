#include "api/api_far.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine.h"

enum { FAR_WAIT_MS = 2000, FAR_ANY_MS = 500 };

static bool is_own(const struct api *api, struct uuid worker)
{
    struct api_worker *workers = NULL;
    size_t count = api->backend.get_workers ? api->backend.get_workers(api->backend.context, &workers) : 0;
    bool own = false;
    for (size_t i = 0; i < count; i++)
        own = own || uuid_equal(workers[i].id, worker);
    mem_free(workers);
    return own;
}

bool api_far_has(struct api *api, struct uuid worker)
{
    return api->backend.store && store_is_shared(api->backend.store) && !uuid_is_zero(worker) && !is_own(api, worker);
}

/* The life that has the worker; 0: it did not tell of it yet, so whichever node has the log is asked. */
static uint64_t node_of(struct api *api, struct uuid worker, struct arena *arena)
{
    struct store_cluster_nodes nodes = {0};
    uint64_t epoch = 0;
    if (engine_is_node(worker, &epoch))
        return epoch;
    if (store_cluster_list(api->backend.store, arena, &nodes, NULL) != 0)
        return 0;
    const struct store_cluster_node *node = store_cluster_find_worker(&nodes, worker);
    return node ? node->epoch : 0;
}

int api_far_read(struct api *api, struct uuid worker, struct store_cluster_piece *piece, struct arena *arena,
                 struct error *err)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(err, ERROR_IO, "no random numbers: %s", strerror(errno));
    piece->id = uuid_make_v7(clock_wall_ms(), random);
    uint64_t node = node_of(api, worker, arena);
    int code = store_cluster_ask_log(api->backend.store, node, piece, node ? FAR_WAIT_MS : FAR_ANY_MS, arena, err);
    if (code == ERROR_TIMED_OUT && !node)
        code = 0; /* none of them has a file of it: nothing is written yet */
    return code == ERROR_TIMED_OUT
               ? error_set(err, ERROR_STORE_AWAY, "the node that runs this attempt does not answer; try again")
               : code;
}
