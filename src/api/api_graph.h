/* A graph that has been laid out, and the forms it is given in. */
#ifndef PAWL_API_API_GRAPH_H
#define PAWL_API_API_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "dag/dag.h"
#include "layout/layout.h"

struct api_graph {
    const struct dag *dag;
    struct uuid dag_id;             /* zero: it is not stored */
    uint32_t version;               /* 0: it is not stored */
    struct uuid run_id;             /* zero: of no run */
    const uint8_t *states;          /* of a run: enum task_state of each task; NULL */
    struct layout_graph graph;
    bool is_summed;                 /* too large to be drawn: `sum` is there, else `layout` */
    struct layout layout;
    struct layout_sum sum;
};

/* Graphviz's language. */
void api_graph_write_dot(const struct api_graph *graph, struct buf *out);
/* A picture that holds no script and asks for nothing. */
void api_graph_write_svg(const struct api_graph *graph, struct buf *out);

#endif
