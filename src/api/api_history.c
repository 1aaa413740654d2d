/* A DAG's tasks by its last runs: how each went in each. Cells are bounded; runs are read one after the other. */
#include <stdlib.h>
#include <string.h>

#include "api/api_dag.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "api/api_source.h"
#include "base/limits.h"

enum { CELLS_MAX = 40000, NO_STATE = 255 };

struct cell {
    uint8_t state;              /* enum task_state; NO_STATE: the run has no such task */
    uint32_t attempts;
    int64_t duration_ms;        /* -1: none */
};

struct grid {
    struct api_call *call;
    struct store_runs runs;
    uint32_t *rows;             /* tasks of call->dag, the newest run's version */
    size_t row_count;
    struct cell *cells;         /* row after row */
};

/* A row and where its task is in a run. */
struct place {
    uint32_t task, row;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    return left->task < right->task ? -1 : left->task > right->task;
}

static void set_cell(struct cell *cell, const struct live_task *task)
{
    bool ended = task->attempt && task->started_ms && task->completed_ms;
    *cell = (struct cell){(uint8_t)task->state, task->attempt, ended ? task->completed_ms - task->started_ms : -1};
}

/* Fills one column. Tasks are known by their ids, since versions may differ. */
static int fill_column(struct grid *grid, size_t column, struct error *err)
{
    const struct record_run *row = &grid->runs.items[column].run;
    struct arena arena = {0};
    struct api_run run = {0};
    size_t count = 0;
    int rc = api_run_find(grid->call->api, row->id, &arena, &run, err);
    if (!rc)
        rc = api_run_load(grid->call->api, &run, err);
    if (rc == ERROR_RUN_NOT_FOUND) { /* it went between the two looks */
        arena_fini(&arena);
        return 0;
    }
    struct place *places = arena_array(&arena, grid->row_count, sizeof *places);
    for (size_t i = 0; !rc && i < grid->row_count; i++) {
        const char *id = grid->call->dag->tasks[grid->rows[i]].id;
        int64_t at = run.dag == grid->call->dag ? (int64_t)grid->rows[i] : dag_find_task(run.dag, id, strlen(id));
        if (at >= 0)
            places[count++] = (struct place){(uint32_t)at, (uint32_t)i};
    }
    qsort(places, count, sizeof *places, compare_places); /* attempts lie in this order */
    for (size_t i = 0; !rc && i < count; i++) {
        struct live_task task;
        rc = api_run_task(&run, places[i].task, &task, err);
        if (!rc)
            set_cell(&grid->cells[places[i].row * grid->runs.count + column], &task);
    }
    api_run_fini(&run);
    arena_fini(&arena);
    return rc;
}

static int choose_rows(struct grid *grid, struct error *err)
{
    struct api_call *call = grid->call;
    const struct api_value *after = &call->query[API_QUERY_TASK_AFTER];
    const struct record_run *newest = &grid->runs.items[0].run;
    size_t max = (size_t)call->query[API_QUERY_ROWS].number;
    int64_t first = 0;
    int rc = api_source_get(call->api, newest->dag_id, newest->dag_version, &call->dag, err);
    if (rc)
        return rc;
    if (after->given) {
        first = dag_find_task(call->dag, after->text, after->len) + 1;
        if (first == 0)
            return error_set(err, ERROR_BAD_REQUEST, "taskAfter must be a task of version %u, not '%.100s'",
                             newest->dag_version, after->text);
    }
    size_t left = call->dag->task_count - (size_t)first;
    grid->row_count = left < max ? left : max;
    grid->rows = arena_array(api_arena(call), grid->row_count, sizeof *grid->rows);
    for (size_t i = 0; i < grid->row_count; i++)
        grid->rows[i] = (uint32_t)((size_t)first + i);
    grid->cells = arena_array(api_arena(call), grid->row_count * grid->runs.count, sizeof *grid->cells);
    for (size_t i = 0; i < grid->row_count * grid->runs.count; i++)
        grid->cells[i] = (struct cell){.state = NO_STATE, .duration_ms = -1};
    return 0;
}

static void add_row(struct json *json, const struct grid *grid, size_t row)
{
    const struct dag_task *task = &grid->call->dag->tasks[grid->rows[row]];
    const struct cell *cells = &grid->cells[row * grid->runs.count];
    json_begin_object(json);
    json_kv_string(json, "taskId", task->id);
    json_kv_string(json, "name", task->name);
    json_key(json, "states");
    json_begin_array(json);
    for (size_t i = 0; i < grid->runs.count; i++)
        json_add_string(json, cells[i].state == NO_STATE ? NULL : state_task_name((enum task_state)cells[i].state));
    json_end_array(json);
    json_key(json, "attempts");
    json_begin_array(json);
    for (size_t i = 0; i < grid->runs.count; i++)
        json_add_int(json, cells[i].attempts);
    json_end_array(json);
    json_key(json, "seconds");
    json_begin_array(json);
    for (size_t i = 0; i < grid->runs.count; i++) {
        if (cells[i].duration_ms < 0)
            json_add_null(json);
        else
            json_add_double(json, (double)cells[i].duration_ms / 1e3);
    }
    json_end_array(json);
    json_end_object(json);
}

static void reply(const struct grid *grid)
{
    struct buf body = BUF_INIT;
    struct json json;
    char id[UUID_TEXT_LEN + 1];
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_uuid(&json, "dagId", grid->call->id);
    json_kv_int(&json, "taskCount", grid->call->dag ? grid->call->dag->task_count : 0);
    json_key(&json, "runs");
    json_begin_array(&json);
    for (size_t i = 0; i < grid->runs.count; i++)
        api_run_view_row(grid->call->api, &grid->runs.items[i], &json);
    json_end_array(&json);
    json_key(&json, "tasks");
    json_begin_array(&json);
    for (size_t i = 0; i < grid->row_count; i++)
        add_row(&json, grid, i);
    json_end_array(&json);
    json_end_object(&json);
    if (grid->runs.count == (size_t)grid->call->query[API_QUERY_COLUMNS].number) {
        uuid_format(grid->runs.items[grid->runs.count - 1].run.id, id);
        api_reply_header(grid->call, "X-Next-Before", id);
    }
    api_reply_json(grid->call, 200, &body);
}

void api_get_dag_history(struct api_call *call)
{
    const struct api_value *columns = &call->query[API_QUERY_COLUMNS], *rows = &call->query[API_QUERY_ROWS];
    const struct store_run_query query = {
        .page = {.limit = (uint32_t)columns->number, .before = call->query[API_QUERY_BEFORE].id},
        .dag_id = call->id,
    };
    struct grid grid = {.call = call};
    struct store_dag dag;
    struct error err;
    if (!api_dag_find(call, true, &dag))
        return;
    if (columns->number * rows->number > CELLS_MAX) {
        api_fail(call, ERROR_BAD_REQUEST, "limit times taskLimit must be at most %d", CELLS_MAX);
        return;
    }
    int rc = store_list_runs(call->api->backend.store, &query, api_arena(call), &grid.runs, &err);
    if (!rc && grid.runs.count)
        rc = choose_rows(&grid, &err);
    for (size_t i = 0; !rc && i < grid.runs.count; i++)
        rc = fill_column(&grid, i, &err);
    if (rc)
        api_fail_error(call, &err);
    else
        reply(&grid);
}
