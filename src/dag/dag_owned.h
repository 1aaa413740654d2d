/* What stands behind a struct dag: its memory and the count of its references. */
#ifndef PAWL_DAG_DAG_OWNED_H
#define PAWL_DAG_DAG_OWNED_H

#include <stdatomic.h>

#include "base/arena.h"
#include "dag/dag.h"

struct dag_owned {
    struct dag dag;             /* first: a struct dag * is a struct dag_owned * */
    atomic_uint references;
    struct arena arena;         /* all but what follows */
    struct dag_task *tasks;     /* heap; dag.tasks */
    uint32_t *slots;            /* heap; task index + 1 by hash of the id, or 0 */
    size_t slot_count;          /* a power of two, or 0 */
};

struct dag_owned *dag_owned_new(void);              /* one reference */
void dag_owned_free(struct dag_owned *owned);       /* whatever the count; NULL is allowed */

#endif
