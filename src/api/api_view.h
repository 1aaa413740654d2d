/* The JSON shapes of product.md section 3. Each writes one value; members are those of the schema of its name in
 * api_schema.c. */
#ifndef PAWL_API_API_VIEW_H
#define PAWL_API_API_VIEW_H

#include <stdbool.h>

#include "api/api.h"
#include "base/json.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "live/live.h"
#include "store/store.h"

/* Opens the object of a DAG and ends before "stats". */
void api_view_dag_begin(struct json *json, const struct store_dag *dag);
void api_view_dag(struct json *json, const struct store_dag *dag);
void api_view_version(struct json *json, const struct store_version *version);
/* .dag and .outcomes are not looked at. counts: of an active run; NULL: they are not known. */
void api_view_run(struct json *json, const struct record_run *run, const char *dag_name, const uint32_t *counts);
/* RunStatus without its tasks: opens the object and ends before "tasks". */
void api_view_status_begin(struct json *json, const struct record_run *run, const char *dag_name,
                           const uint32_t counts[TASK_STATE_COUNT]);
/* One task of a RunStatus. `run_id` and `source` (zero: none) are the run's; ready_ms: 0 while it waits. */
void api_view_task(struct json *json, struct uuid run_id, struct uuid source, const struct dag_task *definition,
                   uint32_t index, const struct live_task *task, int64_t ready_ms);
/* One attempt. */
void api_view_attempt(struct json *json, const struct record_attempt *attempt);
void api_view_worker(struct json *json, const struct api *api, const struct api_worker *worker);
/* logTail is read from the last attempt's log. */
void api_view_letter(struct json *json, struct api *api, const struct store_letter *letter);
/* The problems of one severity as an array. */
void api_view_problems(struct json *json, const struct dag_problems *problems, enum dag_severity severity);

#endif
