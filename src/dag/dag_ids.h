/* Task ids while a file is read: each distinct id gets a symbol, a small number, whether its task comes first or a
 * dependency on it does. Lookups hash with the process's key, so that hostile ids cannot collide on purpose. */
#ifndef PAWL_DAG_DAG_IDS_H
#define PAWL_DAG_DAG_IDS_H

#include <stddef.h>
#include <stdint.h>

#include "dag/dag_pool.h"

#define DAG_ID_UNDEFINED UINT32_MAX

struct dag_id {
    const char *text;   /* in the pool */
    uint32_t len;
    uint32_t hash;
    uint32_t task;      /* index of the first task of this id, or DAG_ID_UNDEFINED */
};

struct dag_ids {
    struct dag_pool *pool;  /* borrowed */
    struct dag_id *items;   /* by symbol */
    size_t count, cap;
    uint32_t *slots;        /* symbol + 1, or 0; a power of two of them */
    size_t slot_count;
};

void dag_ids_fini(struct dag_ids *ids);
uint32_t dag_ids_intern(struct dag_ids *ids, const char *text, size_t len);

/* Turns the table of symbols into one of task indexes, for dag_find_task; every symbol must be defined. The caller owns
 * the slots afterwards (mem_free). */
uint32_t *dag_ids_take_slots(struct dag_ids *ids, size_t *ret_count);

#endif
