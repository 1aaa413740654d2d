#include "dag/dag.h"

#include <assert.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "dag/dag_owned.h"

struct dag_owned *dag_owned_new(void)
{
    struct dag_owned *owned = mem_new(struct dag_owned);
    atomic_init(&owned->references, 1);
    return owned;
}

void dag_owned_free(struct dag_owned *owned)
{
    if (!owned)
        return;
    arena_fini(&owned->arena);
    mem_free(owned->tasks);
    mem_free(owned->slots);
    mem_free(owned);
}

struct dag *dag_ref(struct dag *dag)
{
    struct dag_owned *owned = (struct dag_owned *)dag;
    unsigned before = atomic_fetch_add_explicit(&owned->references, 1, memory_order_relaxed);
    assert(before > 0);
    return dag;
}

void dag_unref(struct dag *dag)
{
    if (!dag)
        return;
    struct dag_owned *owned = (struct dag_owned *)dag;
    unsigned before = atomic_fetch_sub_explicit(&owned->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        dag_owned_free(owned);
}

int64_t dag_find_task(const struct dag *dag, const char *id, size_t len)
{
    const struct dag_owned *owned = (const struct dag_owned *)dag;
    if (!owned->slot_count)
        return -1;
    for (size_t i = (uint32_t)map_hash_bytes(id, len) & (owned->slot_count - 1); owned->slots[i];
         i = (i + 1) & (owned->slot_count - 1)) {
        uint32_t index = owned->slots[i] - 1;
        if (strlen(dag->tasks[index].id) == len && memcmp(dag->tasks[index].id, id, len) == 0)
            return index;
    }
    return -1;
}
