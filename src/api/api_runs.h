/* What lists of runs and bulk actions on them share. */
#ifndef PAWL_API_API_RUNS_H
#define PAWL_API_API_RUNS_H

#include <stdint.h>

#include "api/api_call.h"
#include "store/store.h"

/* Runs looked at for what no index knows. */
enum { API_RUNS_SCAN_MAX = 10000 };

/* Every id made at this wall time or later is not before it. */
struct uuid api_runs_first_id(int64_t time_ms);
/* Narrows a query to the times given (API_TIME): from `after` on, and before `before`. */
void api_runs_narrow(struct store_run_query *query, const struct api_value *after, const struct api_value *before);

#endif
