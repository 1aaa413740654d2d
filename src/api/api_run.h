/* One run and its tasks, wherever it is known: the live snapshot when it is active here, the store otherwise. */
#ifndef PAWL_API_API_RUN_H
#define PAWL_API_API_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "api/api_core.h"
#include "base/arena.h"
#include "base/json.h"
#include "dag/dag.h"
#include "live/live.h"
#include "store/store.h"

struct api_run {
    struct record_run run;          /* .dag NULL */
    struct dag *dag;                /* a reference of this struct's; NULL until api_run_load */
    struct live_run *live;          /* NULL: from the store */
    const char *dag_name;           /* lives as long as this struct */
    uint32_t counts[TASK_STATE_COUNT]; /* filled by api_run_load */

    /* from the store only */
    struct store *store;
    struct arena *arena;            /* the caller's */
    uint8_t *states;                /* enum task_state of each task */
    struct arena page_arena;
    struct store_attempts page;     /* attempts from page_task on, in order of task and number */
    uint32_t page_task;
    uint32_t page_max;              /* rows asked for; 0: none yet */
    size_t next;                    /* where in the page the last look-up ended */
};

/* The run alone. ERROR_RUN_NOT_FOUND, ERROR_STORE_FAILED. Texts of a stored run lie in arena. */
int api_run_find(struct api *api, struct uuid id, struct arena *arena, struct api_run *ret_run, struct error *err);
/* The run that owns a task instance, and the task's index. ERROR_TASK_NOT_FOUND. */
int api_run_find_instance(struct api *api, struct uuid instance, struct arena *arena, struct api_run *ret_run,
                          uint32_t *ret_task, struct error *err);
/* The run as lists have it. Needs no api_run_load. */
void api_run_view(const struct api_run *run, struct json *json);
/* The same of a row that the store gave. */
void api_run_view_row(struct api *api, const struct store_run *row, struct json *json);
/* Adds what its tasks need: DAG, counts, states. `run` must stay where it is. */
int api_run_load(struct api *api, struct api_run *run, struct error *err);
/* One task, after api_run_load; cheapest in ascending order. Its texts live until the next call. */
int api_run_task(struct api_run *run, uint32_t task, struct live_task *ret_task, struct error *err);
/* The state alone, after api_run_load. */
enum task_state api_run_state(const struct api_run *run, uint32_t task);
/* The index of a task id, after api_run_load. ERROR_TASK_NOT_FOUND. */
int api_run_find_task(const struct api_run *run, const char *id, size_t len, uint32_t *ret_task, struct error *err);
void api_run_fini(struct api_run *run);

#endif
