#include "dag/dag_ids.h"

#include <assert.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

void dag_ids_fini(struct dag_ids *ids)
{
    mem_free(ids->items);
    mem_free(ids->slots);
    *ids = (struct dag_ids){0};
}

static void grow_slots(struct dag_ids *ids)
{
    size_t count = ids->slot_count ? ids->slot_count * 2 : 64;
    uint32_t *slots = mem_new_array(uint32_t, count);
    for (size_t symbol = 0; symbol < ids->count; symbol++) {
        size_t i = ids->items[symbol].hash & (count - 1);
        while (slots[i])
            i = (i + 1) & (count - 1);
        slots[i] = (uint32_t)symbol + 1;
    }
    mem_free(ids->slots);
    ids->slots = slots;
    ids->slot_count = count;
}

uint32_t dag_ids_intern(struct dag_ids *ids, const char *text, size_t len)
{
    if ((ids->count + 1) * 2 > ids->slot_count)
        grow_slots(ids);
    uint32_t hash = (uint32_t)map_hash_bytes(text, len);
    size_t i = hash & (ids->slot_count - 1);
    for (; ids->slots[i]; i = (i + 1) & (ids->slot_count - 1)) {
        const struct dag_id *id = &ids->items[ids->slots[i] - 1];
        if (id->hash == hash && id->len == len && memcmp(id->text, text, len) == 0)
            return ids->slots[i] - 1;
    }
    ids->items = mem_grow(ids->items, &ids->cap, ids->count + 1, sizeof *ids->items);
    ids->items[ids->count] = (struct dag_id){
        .text = dag_pool_add(ids->pool, text, len), .len = (uint32_t)len, .hash = hash, .task = DAG_ID_UNDEFINED};
    ids->slots[i] = (uint32_t)ids->count + 1;
    return (uint32_t)ids->count++;
}

uint32_t *dag_ids_take_slots(struct dag_ids *ids, size_t *ret_count)
{
    for (size_t i = 0; i < ids->slot_count; i++) {
        if (!ids->slots[i])
            continue;
        uint32_t task = ids->items[ids->slots[i] - 1].task;
        assert(task != DAG_ID_UNDEFINED);
        ids->slots[i] = task + 1;
    }
    uint32_t *slots = ids->slots;
    *ret_count = ids->slot_count;
    ids->slots = NULL;
    ids->slot_count = 0;
    return slots;
}
