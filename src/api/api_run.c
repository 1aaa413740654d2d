#include "api/api_run.h"

#include <assert.h>

#include "api/api_source.h"
#include "api/api_view.h"

enum { PAGE_MIN = 128, PAGE_MAX = 4096 };

int api_run_find(struct api *api, struct uuid id, struct arena *arena, struct api_run *ret_run, struct error *err)
{
    struct api_run run = {.arena = arena, .store = api->backend.store};
    run.live = api->backend.live ? live_get(api->backend.live, id) : NULL;
    if (run.live) {
        run.run = *live_run_record(run.live);
        run.dag_name = live_run_dag(run.live)->name;
        *ret_run = run;
        return 0;
    }
    if (!run.store)
        return error_set(err, ERROR_RUN_NOT_FOUND, "There is no such run");
    struct store_run row;
    int rc = store_get_run(run.store, id, arena, &row, err);
    if (rc)
        return rc;
    run.run = row.run;
    run.dag_name = row.dag_name;
    *ret_run = run;
    return 0;
}

void api_run_view(const struct api_run *run, struct json *json)
{
    api_view_run(json, &run->run, run->dag_name, run->live ? live_run_counts(run->live) : NULL);
}

void api_run_view_row(struct api *api, const struct store_run *row, struct json *json)
{
    bool active = !state_run_is_terminal(row->run.state);
    struct live_run *live = active && api->backend.live ? live_get(api->backend.live, row->run.id) : NULL;
    /* The snapshot is newer than the row, and its parts are of the same moment. */
    api_view_run(json, live ? live_run_record(live) : &row->run, row->dag_name, live ? live_run_counts(live) : NULL);
    live_unref(live);
}

int api_run_find_instance(struct api *api, struct uuid instance, struct arena *arena, struct api_run *ret_run,
                          uint32_t *ret_task, struct error *err)
{
    struct api_run run = {.arena = arena, .store = api->backend.store};
    run.live = api->backend.live ? live_get_by_instance(api->backend.live, instance) : NULL;
    if (run.live) {
        run.run = *live_run_record(run.live);
        run.dag_name = live_run_dag(run.live)->name;
    } else if (!run.store) {
        return error_set(err, ERROR_TASK_NOT_FOUND, "There is no such task instance");
    } else {
        struct store_run row;
        int rc = store_get_run_by_instance(run.store, instance, arena, &row, err);
        if (rc)
            return rc;
        run.run = row.run;
        run.dag_name = row.dag_name;
    }
    *ret_task = record_instance_task(run.run.id, instance);
    *ret_run = run;
    return 0;
}

/* Attempts from `task` on. */
static int load_page(struct api_run *run, uint32_t task, uint32_t max, struct error *err)
{
    struct store_attempt_query query = {.run_id = run->run.id, .limit = max};
    if (task > 0) {
        query.after = true;
        query.after_task = task - 1;
        query.after_number = UINT32_MAX;
    }
    arena_fini(&run->page_arena);
    run->page_arena = (struct arena){0};
    run->page = (struct store_attempts){0};
    run->page_task = task;
    run->page_max = max;
    run->next = 0;
    return store_list_attempts(run->store, &query, &run->page_arena, &run->page, err);
}

/* The latest attempt of a task into *ret_row, NULL when there is none. */
static int find_latest(struct api_run *run, uint32_t task, const struct record_attempt **ret_row, struct error *err)
{
    const struct record_attempt *rows = run->page.items;
    bool is_before = run->page_max && run->next > 0 && run->next <= run->page.count && rows[run->next - 1].task >= task;
    if (!run->page_max || task < run->page_task || is_before) {
        int rc = load_page(run, task, PAGE_MIN, err);
        if (rc)
            return rc;
    }
    for (;;) {
        rows = run->page.items;
        while (run->next < run->page.count && rows[run->next].task < task)
            run->next++;
        size_t end = run->next;
        while (end < run->page.count && rows[end].task == task)
            end++;
        if (end < run->page.count || run->page.count < run->page_max) {
            *ret_row = end > run->next ? &rows[end - 1] : NULL;
            run->next = end;
            return 0;
        }
        /* The page ends inside the task, or before it. */
        uint32_t max = run->page_max < PAGE_MAX || run->page_task == task ? run->page_max * 2 : PAGE_MAX;
        int rc = load_page(run, task, max, err);
        if (rc)
            return rc;
    }
}

static enum task_state state_after(const struct record_attempt *row)
{
    switch (row->state) {
    case ATTEMPT_RUNNING:
        return uuid_is_zero(row->worker) ? TASK_QUEUED : TASK_RUNNING;
    case ATTEMPT_SUCCEEDED:
        return TASK_SUCCEEDED;
    case ATTEMPT_CANCELED:
        return TASK_CANCELED;
    default:
        return row->retry_ms ? TASK_PENDING : TASK_FAILED;
    }
}

/* What follows from the states around it for a task without an attempt, as the engine would have it. */
static enum task_state derive(const struct api_run *run, const uint8_t *plan, uint32_t task)
{
    const struct dag_task *definition = &run->dag->tasks[task];
    bool waits = false;
    for (uint32_t i = 0; i < definition->dependency_count; i++) {
        uint32_t dependency = definition->dependencies[i];
        enum task_state state = (enum task_state)run->states[dependency];
        if (state == TASK_FAILED || (state == TASK_SKIPPED && plan[dependency] != RECORD_SKIP))
            return TASK_SKIPPED;
        waits = waits || (state != TASK_SUCCEEDED && state != TASK_SKIPPED);
    }
    if (run->run.cancel_ms)
        return TASK_CANCELED;
    return waits ? TASK_PENDING : TASK_QUEUED;
}

/* A run that is active but not here: another node's, or nobody's while no daemon runs. */
static int derive_states(struct api_run *run, const uint8_t *plan, struct error *err)
{
    uint32_t count = run->run.task_count;
    bool *has_attempt = arena_zalloc(run->arena, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct record_attempt *row;
        int rc = find_latest(run, i, &row, err);
        if (rc)
            return rc;
        has_attempt[i] = row != NULL;
        run->states[i] = (uint8_t)(row                       ? state_after(row)
                                   : plan[i] == RECORD_KEPT ? TASK_SUCCEEDED
                                   : plan[i] == RECORD_SKIP ? TASK_SKIPPED
                                                            : TASK_PENDING);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t task = run->dag->topological[i];
        if (!has_attempt[task] && !plan[task])
            run->states[task] = (uint8_t)derive(run, plan, task);
    }
    return 0;
}

static int load_states(struct api_run *run, struct error *err)
{
    uint32_t count = run->run.task_count;
    uint8_t *outcomes = arena_zalloc(run->arena, count);
    if (run->run.outcomes_len && !record_runs_decode(run->run.outcomes, run->run.outcomes_len, outcomes, count))
        return error_set(err, ERROR_INTERNAL, "The outcomes of the run's tasks cannot be read");
    if (run->dag->task_count != count)
        return error_set(err, ERROR_INTERNAL, "The run has %u tasks and its DAG version %u", count,
                         run->dag->task_count);
    if (state_run_is_terminal(run->run.state)) {
        run->states = outcomes;
        return 0;
    }
    run->states = arena_zalloc(run->arena, count);
    return derive_states(run, outcomes, err);
}

int api_run_load(struct api *api, struct api_run *run, struct error *err)
{
    assert(!run->dag);
    if (run->live) {
        run->dag = dag_ref(live_run_dag(run->live));
        for (int i = 0; i < TASK_STATE_COUNT; i++)
            run->counts[i] = live_run_counts(run->live)[i];
        return 0;
    }
    int rc = api_source_get_of_run(api, &run->run, &run->dag, err);
    if (!rc)
        rc = load_states(run, err);
    for (uint32_t i = 0; !rc && i < run->run.task_count; i++) {
        if (run->states[i] >= TASK_STATE_COUNT)
            rc = error_set(err, ERROR_INTERNAL, "The outcomes of the run's tasks cannot be read");
        else
            run->counts[run->states[i]]++;
    }
    return rc;
}

int api_run_task(struct api_run *run, uint32_t task, struct live_task *ret_task, struct error *err)
{
    assert(run->dag && task < run->dag->task_count);
    if (run->live) {
        live_run_task(run->live, task, ret_task);
        return 0;
    }
    const struct record_attempt *row;
    int rc = find_latest(run, task, &row, err);
    if (rc)
        return rc;
    *ret_task = (struct live_task){.state = (enum task_state)run->states[task], .exit_code = -1};
    if (!row) {
        ret_task->kept = ret_task->state == TASK_SUCCEEDED;
        return 0;
    }
    ret_task->attempt = row->number;
    ret_task->worker = row->worker;
    ret_task->claimed_ms = row->claimed_ms;
    ret_task->started_ms = row->started_ms;
    ret_task->completed_ms = row->ended_ms;
    ret_task->next_attempt_ms = ret_task->state == TASK_PENDING ? row->retry_ms : 0;
    ret_task->since_ms = row->ended_ms ? row->ended_ms : row->started_ms ? row->started_ms : row->claimed_ms;
    ret_task->cpu_us = row->cpu_us;
    ret_task->max_rss_bytes = row->max_rss_bytes;
    ret_task->log_bytes = row->log_bytes;
    ret_task->error = row->error;
    ret_task->error_type = row->error_type;
    ret_task->exit_code = row->exit_code;
    ret_task->signal = row->signal;
    ret_task->http_status = row->http_status;
    return 0;
}

enum task_state api_run_state(const struct api_run *run, uint32_t task)
{
    struct live_task state;
    if (!run->live)
        return (enum task_state)run->states[task];
    live_run_task(run->live, task, &state);
    return state.state;
}

enum { TIMES_PAGE = 4096 };

int api_run_load_times(struct api_run *run, struct error *err)
{
    struct store_attempt_query query = {.run_id = run->run.id, .limit = TIMES_PAGE};
    size_t count = TIMES_PAGE;
    int rc = 0;
    if (run->live || run->times)
        return 0;
    run->times = arena_zalloc(run->arena, (run->run.task_count + 1) * sizeof *run->times);
    while (!rc && count == TIMES_PAGE) {
        struct arena arena = {0};
        struct store_attempts page = {0};
        rc = store_list_attempts(run->store, &query, &arena, &page, err);
        count = page.count;
        for (size_t i = 0; !rc && i < count; i++) /* a task's latest comes last */
            if (page.items[i].task < run->run.task_count)
                run->times[page.items[i].task] = (struct api_times){page.items[i].started_ms, page.items[i].ended_ms};
        if (count) {
            query.after = true;
            query.after_task = page.items[count - 1].task;
            query.after_number = page.items[count - 1].number;
        }
        arena_fini(&arena);
    }
    return rc;
}

struct api_times api_run_time(const struct api_run *run, uint32_t task)
{
    struct live_task state;
    if (!run->live)
        return run->times[task];
    live_run_task(run->live, task, &state);
    return (struct api_times){state.attempt ? state.started_ms : 0, state.attempt ? state.completed_ms : 0};
}

static bool had_to_be_ready(const struct live_task *state)
{
    return state->attempt || !state_task_is_terminal(state->state);
}

int64_t api_run_ready(const struct api_run *run, uint32_t task, const struct live_task *state)
{
    const struct dag_task *definition = &run->dag->tasks[task];
    int64_t ready_ms = run->run.created_ms;
    if (run->live)
        return api_run_ready_live(run->live, task, state);
    if (!had_to_be_ready(state))
        return 0;
    for (uint32_t i = 0; i < definition->dependency_count; i++) {
        uint32_t needed = definition->dependencies[i];
        if (!state_task_is_terminal((enum task_state)run->states[needed]))
            return 0;
        ready_ms = run->times[needed].ended_ms > ready_ms ? run->times[needed].ended_ms : ready_ms;
    }
    return ready_ms;
}

int64_t api_run_ready_live(const struct live_run *live, uint32_t task, const struct live_task *state)
{
    const struct dag_task *definition = &live_run_dag(live)->tasks[task];
    int64_t ready_ms = live_run_record(live)->created_ms;
    if (!had_to_be_ready(state))
        return 0;
    for (uint32_t i = 0; i < definition->dependency_count; i++) {
        struct live_task needed;
        live_run_task(live, definition->dependencies[i], &needed);
        if (!state_task_is_terminal(needed.state))
            return 0;
        ready_ms = needed.completed_ms > ready_ms ? needed.completed_ms : ready_ms;
    }
    return ready_ms;
}

int api_run_find_task(const struct api_run *run, const char *id, size_t len, uint32_t *ret_task, struct error *err)
{
    int64_t at = dag_find_task(run->dag, id, len);
    if (at < 0)
        return error_set(err, ERROR_TASK_NOT_FOUND, "The run has no task '%.100s'", id);
    *ret_task = (uint32_t)at;
    return 0;
}

void api_run_fini(struct api_run *run)
{
    dag_unref(run->dag);
    live_unref(run->live);
    arena_fini(&run->page_arena);
    run->dag = NULL;
    run->live = NULL;
    run->page_arena = (struct arena){0};
}
