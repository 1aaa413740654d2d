/* DAGs for tests, made without YAML: `count` shell tasks, edges from a dependency to its dependent. */
#ifndef PAWL_TESTS_GRAPH_H
#define PAWL_TESTS_GRAPH_H

#include <stddef.h>

#include "dag/dag.h"

struct graph_edge {
    uint32_t from, to; /* from < to */
};

/* One reference, the caller's. No retries, no timeouts. */
struct dag *graph_new(uint32_t count, const struct graph_edge *edges, size_t edge_count);
/* To be changed before the DAG is used. */
struct dag_task *graph_task(struct dag *dag, uint32_t task);

#endif
