/* Cycles among tasks (private to src/dag). */
#ifndef PAWL_DAG_DAG_CYCLE_H
#define PAWL_DAG_DAG_CYCLE_H

#include <stdint.h>

struct dag_reader;

/* Tasks by index: the dependencies of task i are items[starts[i] .. starts[i + 1]). */
struct dag_graph {
    uint32_t count;
    const uint32_t *items;
    const uint32_t *starts;
    const uint32_t *dependents;
    const uint32_t *dependent_starts;
};

/* Reports a short cycle of each knot of tasks (strongly connected component). `order` holds the `sorted` tasks that
 * are in no cycle and do not depend on one. */
void dag_cycle_report(struct dag_reader *r, const struct dag_graph *graph, const uint32_t *order, uint32_t sorted);

#endif
