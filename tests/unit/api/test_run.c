/* Tasks of a run that only the store knows, read page by page. */
#include "api/api_run.h"

#include "support/check.h"

#include <stdio.h>

#include "base/mem.h"
#include "dag/dag_problem.h"
#include "store/memory/store_memory.h"

enum { TASKS = 1500, MANY = 700, MANY_ATTEMPTS = 9000 };

static const struct uuid dag_id = {{1, 1}}, run_id = {{1, 2}};

/* How many attempts a task had: one has many, every seventh none. */
static uint32_t attempts_of(uint32_t task)
{
    return task == MANY ? MANY_ATTEMPTS : task % 7 == 3 ? 0 : 1 + task % 3;
}

static void commit(struct store *store, struct batch *batch)
{
    struct error err;
    assert_int_equal(store_commit(store, &batch, 1, &err), 0);
    record_batch_free(batch);
}

static void add_attempts(struct batch *batch, uint32_t task, uint64_t *fence)
{
    for (uint32_t number = 1; number <= attempts_of(task); number++) {
        struct record_attempt row = {.run_id = run_id, .task = task, .number = number, .fence = ++*fence,
                                     .worker = {{7}}, .state = ATTEMPT_RUNNING, .exit_code = -1, .claimed_ms = 1};
        record_add(batch, RECORD_ATTEMPT_CLAIM, 0)->attempt = row;
        bool last = number == attempts_of(task);
        row.state = last ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED;
        row.task_state = last ? TASK_SUCCEEDED : TASK_PENDING;
        row.error_type = last ? FAILURE_NONE : FAILURE_EXIT;
        row.error = last ? NULL : "exit status 1";
        row.retry_ms = last ? 0 : 5;
        row.exit_code = last ? 0 : 1;
        row.ended_ms = 2;
        record_add(batch, RECORD_ATTEMPT_END, 0)->attempt = row;
    }
}

static struct store *make_store(void)
{
    struct store *store = store_memory_new();
    struct buf yaml = BUF_INIT;
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    const struct dag_read_options options = {.tasks_max = TASKS, .bytes_max = 1000000};
    buf_add_text(&yaml, "name: many\ntasks:\n");
    for (int i = 0; i < TASKS; i++)
        buf_printf(&yaml, "  - {id: t%d, type: shell, command: x}\n", i);
    assert_int_equal(dag_read(yaml.bytes, yaml.len, &options, &problems, &dag), 0);
    struct batch *batch = record_batch_new(1);
    struct record *record = record_add(batch, RECORD_DAG_CREATE, record_add_group(batch));
    record->dag = (struct record_dag){.id = dag_id, .name = "many", .version = 1, .source = yaml.bytes,
                                      .source_len = yaml.len, .dag = dag_ref(dag), .time_ms = 1};
    commit(store, batch);
    batch = record_batch_new(2);
    record = record_add(batch, RECORD_RUN_CREATE, record_add_group(batch));
    record->run = (struct record_run){.id = run_id, .dag_id = dag_id, .dag_version = 1, .task_count = TASKS,
                                      .dag = dag, .created_ms = 1};
    commit(store, batch);
    batch = record_batch_new(3);
    uint64_t fence = 0;
    for (uint32_t task = 0; task < TASKS; task++)
        add_attempts(batch, task, &fence);
    commit(store, batch);
    dag_problems_fini(&problems);
    buf_fini(&yaml);
    return store;
}

static void end_run(struct store *store)
{
    struct batch *batch = record_batch_new(4);
    uint8_t states[TASKS];
    for (uint32_t i = 0; i < TASKS; i++)
        states[i] = attempts_of(i) ? TASK_SUCCEEDED : TASK_CANCELED;
    struct record_run *end = &record_add(batch, RECORD_RUN_END, 0)->run;
    *end = (struct record_run){.id = run_id, .dag_id = dag_id, .dag_version = 1, .task_count = TASKS,
                               .state = RUN_CANCELED, .completed_ms = 9};
    record_runs_encode(states, TASKS, &batch->arena, &end->outcomes, &end->outcomes_len);
    commit(store, batch);
}

static void check_task(struct api_run *run, uint32_t task, bool ended)
{
    struct live_task found;
    struct error err;
    assert_int_equal(api_run_task(run, task, &found, &err), 0);
    assert_int_equal(found.attempt, attempts_of(task));
    assert_int_equal(found.state, attempts_of(task) ? TASK_SUCCEEDED : ended ? TASK_CANCELED : TASK_QUEUED);
    assert_int_equal(found.exit_code, attempts_of(task) ? 0 : -1);
    assert_null(found.error);
    assert_false(found.kept);
}

static void check_run(struct api *api, bool ended)
{
    struct arena arena = {0};
    struct api_run run;
    struct error err;
    uint32_t task = 1;
    assert_int_equal(api_run_find(api, run_id, &arena, &run, &err), 0);
    assert_int_equal(api_run_load(api, &run, &err), 0);
    uint32_t without = 0;
    for (uint32_t i = 0; i < TASKS; i++)
        without += attempts_of(i) == 0;
    assert_int_equal(run.counts[TASK_SUCCEEDED], TASKS - without);
    assert_int_equal(run.counts[ended ? TASK_CANCELED : TASK_QUEUED], without);
    for (uint32_t i = 0; i < TASKS; i++)
        check_task(&run, i, ended);
    for (uint32_t i = 0; i < TASKS; i++, task = (task * 7 + 11) % TASKS) /* here and there */
        check_task(&run, task, ended);
    for (uint32_t i = 0; i < 3; i++)
        check_task(&run, MANY, ended);
    api_run_fini(&run);
    arena_fini(&arena);
}

static void test_pages(void **state)
{
    (void)state;
    struct store *store = make_store();
    const struct api_config config = {.data_dir = "/nonexistent"};
    const struct api_backend backend = {.store = store};
    struct api *api = api_new(&config, &backend);
    check_run(api, false);
    end_run(store);
    check_run(api, true);
    api_free(api);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
