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

/* Of a task's latest attempt; 0: not yet, or there is none. */
struct api_times {
    int64_t started_ms, ended_ms;
};

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
    struct api_times *times;        /* of each task; NULL until api_run_load_times */
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
/* After api_run_load: what the functions that follow need. */
int api_run_load_times(struct api_run *run, struct error *err);
struct api_times api_run_time(const struct api_run *run, uint32_t task);
/* When all that a task needs had ended; 0: it has not, or the task never had to be ready, as one that was skipped. */
int64_t api_run_ready(const struct api_run *run, uint32_t task, const struct live_task *state);
int64_t api_run_ready_live(const struct live_run *live, uint32_t task, const struct live_task *state);
/* The index of a task id, after api_run_load. ERROR_TASK_NOT_FOUND. */
int api_run_find_task(const struct api_run *run, const char *id, size_t len, uint32_t *ret_task, struct error *err);
void api_run_fini(struct api_run *run);

#endif
