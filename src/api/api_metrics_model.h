/* The counters. Private to api_metrics*.c. All are atomic and only grow. */
#ifndef PAWL_API_API_METRICS_MODEL_H
#define PAWL_API_API_METRICS_MODEL_H

#include <stdatomic.h>

#include "api/api_histogram.h"
#include "api/api_metrics.h"
#include "dag/dag.h"
#include "state/state.h"

enum { API_METRICS_CLASSES = 6 }; /* the first digit of the status; 0: the client left */

struct api_route_counts {
    atomic_ullong requests[API_METRICS_CLASSES];
    atomic_ullong took_us;
};

struct api_metrics {
    atomic_ullong runs_created;
    atomic_ullong runs[RUN_STATE_COUNT];
    atomic_ullong tasks[DAG_TASK_TYPE_COUNT][TASK_STATE_COUNT]; /* that reached a terminal state; kept ones not */
    atomic_ullong attempts[ATTEMPT_STATE_COUNT];
    atomic_ullong retries;
    atomic_ullong attempt_cpu_us;
    struct api_histogram attempt_durations[DAG_TASK_TYPE_COUNT];
    struct api_histogram run_durations;
    atomic_ullong letters;
    atomic_ullong fired;        /* instants of schedules */
    atomic_ullong skipped[FIRE_REASON_COUNT];
    atomic_ullong lag_ms;       /* of the last that fired in time: from its instant to its record */
    struct api_route_counts routes[]; /* of api_table_routes; the last: no route */
};

#endif
