#include "store/conformance.h"

#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "store/scratch.h"

enum { START_MS = 1700000000 };

/* ---- the fixture ---- */

int suite_setup(void **state)
{
    struct suite *suite = mem_new(struct suite);
    suite->backend = *state;
    suite->dir = scratch_make();
    suite->store = suite->backend->open(suite->dir);
    suite->now_ms = START_MS * 1000LL;
    suite->dag = suite_read_dag(SUITE_TASKS, NULL);
    *state = suite;
    return 0;
}

int suite_teardown(void **state)
{
    struct suite *suite = *state;
    store_close(suite->store);
    arena_fini(&suite->arena);
    dag_unref(suite->dag);
    scratch_remove(suite->dir);
    mem_free(suite);
    return 0;
}

void suite_reopen(struct suite *suite)
{
    suite->store = suite->backend->reopen(suite->store, suite->dir);
    assert_non_null(suite->store);
}

int64_t suite_tick(struct suite *suite)
{
    return suite->now_ms += 1000;
}

struct uuid suite_id(struct suite *suite)
{
    uint64_t n = ++suite->ids;
    const uint64_t random[2] = {n * 0x9e3779b97f4a7c15u, n * 0xbf58476d1ce4e5b9u + 12345};
    return uuid_make_v7(START_MS * 1000LL + (int64_t)n, random);
}

struct dag *suite_read_dag(uint32_t tasks, const char *schedule)
{
    struct buf text = BUF_INIT;
    buf_add_text(&text, "name: suite\n");
    if (schedule)
        buf_printf(&text, "schedule: %s\n", schedule);
    buf_add_text(&text, "tasks:\n");
    for (uint32_t i = 0; i < tasks; i++)
        buf_printf(&text, "  - {id: t%u, type: shell, command: 'true'}\n", i);
    const struct dag_read_options options = {.tasks_max = 1000, .bytes_max = 1000000};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    assert_int_equal(dag_read(text.bytes, text.len, &options, &problems, &dag), 0);
    dag_problems_fini(&problems);
    buf_fini(&text);
    return dag;
}

struct batch *suite_batch(struct suite *suite)
{
    return record_batch_new(++suite->batches);
}

void suite_commit(struct suite *suite, struct batch *batch)
{
    struct error err = {0};
    if (store_commit(suite->store, &batch, 1, &err) != 0)
        fail_msg("commit: %s: %s", error_name((int)err.code), err.text);
    for (uint32_t i = 0; i < batch->group_count; i++)
        assert_int_equal(batch->verdicts[i].group, i + 1);
}

void suite_commit_all(struct suite *suite, struct batch *batch)
{
    suite_commit(suite, batch);
    for (uint32_t i = 0; i < batch->group_count; i++)
        if (batch->verdicts[i].refused)
            fail_msg("group %u is refused: %s", i + 1, error_name((int)batch->verdicts[i].code));
    record_batch_free(batch);
}

/* ---- records ---- */

struct record *put_dag(struct suite *suite, struct batch *batch, enum record_kind kind, uint32_t group, struct uuid id)
{
    struct record *record = record_add(batch, kind, group);
    record->dag.id = id;
    record->dag.time_ms = suite->now_ms;
    if (kind == RECORD_DAG_CREATE || kind == RECORD_DAG_UPDATE) {
        record->dag.version = 1;
        record->dag.dag = dag_ref(suite->dag);
        record->dag.source = SUITE_SOURCE;
        record->dag.source_len = strlen(SUITE_SOURCE);
    }
    return record;
}

struct record *put_run(struct suite *suite, struct batch *batch, uint32_t group, struct uuid id, struct uuid dag_id)
{
    struct record *record = record_add(batch, RECORD_RUN_CREATE, group);
    record->run.id = id;
    record->run.dag_id = dag_id;
    record->run.dag_version = 1;
    record->run.task_count = SUITE_TASKS;
    record->run.dag = dag_ref(suite->dag);
    record->run.created_ms = suite->now_ms;
    return record;
}

struct record *put_key(struct suite *suite, struct batch *batch, uint32_t group, const char *key, uint64_t digest,
                       struct uuid dag_id, struct uuid run_id)
{
    struct record *record = record_add(batch, RECORD_IDEMPOTENCY, group);
    record->idempotency = (struct record_idempotency){.key = key,
                                                      .dag_id = dag_id,
                                                      .principal = "",
                                                      .digest = digest,
                                                      .run_id = run_id,
                                                      .created_ms = suite->now_ms};
    return record;
}

struct record *put_claim(struct suite *suite, struct batch *batch, struct uuid run_id, uint32_t task, uint32_t number)
{
    struct record *record = record_add(batch, RECORD_ATTEMPT_CLAIM, 0);
    record->attempt = (struct record_attempt){.run_id = run_id,
                                              .task = task,
                                              .number = number,
                                              .fence = suite->store->epoch << 40 | ++suite->fences,
                                              .exit_code = -1,
                                              .claimed_ms = suite->now_ms};
    return record;
}

struct record *put_end(struct suite *suite, struct batch *batch, const struct record_attempt *claim,
                       enum attempt_state state)
{
    struct record *record = record_add(batch, RECORD_ATTEMPT_END, 0);
    record->attempt = *claim;
    record->attempt.state = state;
    record->attempt.exit_code = state == ATTEMPT_SUCCEEDED ? 0 : 1;
    record->attempt.error_type = state == ATTEMPT_SUCCEEDED ? FAILURE_NONE : FAILURE_EXIT;
    record->attempt.started_ms = record->attempt.ended_ms = suite->now_ms;
    record->attempt.task_state = state == ATTEMPT_SUCCEEDED ? TASK_SUCCEEDED : TASK_FAILED;
    return record;
}

struct record *put_run_end(struct suite *suite, struct batch *batch, struct uuid run_id, struct uuid dag_id,
                           enum run_state state)
{
    static const uint8_t tasks[SUITE_TASKS] = {TASK_SUCCEEDED, TASK_SUCCEEDED, TASK_FAILED, TASK_SKIPPED,
                                               TASK_CANCELED};
    struct record *record = record_add(batch, RECORD_RUN_END, 0);
    record->run = (struct record_run){.id = run_id,
                                      .dag_id = dag_id,
                                      .dag_version = 1,
                                      .task_count = SUITE_TASKS,
                                      .completed_ms = suite->now_ms,
                                      .succeeded_count = 2,
                                      .failed_count = 1,
                                      .skipped_count = 1,
                                      .canceled_count = 1};
    record->run.state = state;
    record_runs_encode(tasks, SUITE_TASKS, &batch->arena, &record->run.outcomes, &record->run.outcomes_len);
    return record;
}

struct record *put_letter(struct suite *suite, struct batch *batch, struct uuid id, struct uuid run_id,
                          struct uuid dag_id, uint32_t task)
{
    struct record *record = record_add(batch, RECORD_LETTER, 0);
    record->letter = (struct record_letter){.id = id,
                                            .run_id = run_id,
                                            .dag_id = dag_id,
                                            .task = task,
                                            .task_id = "t",
                                            .task_name = "The task",
                                            .dag_name = "the-dag",
                                            .error_type = FAILURE_EXIT,
                                            .error = "exit status 1",
                                            .attempts = 2,
                                            .config = "{\"id\":\"t\"}",
                                            .created_ms = suite->now_ms};
    return record;
}

struct record *put_resolve(struct suite *suite, struct batch *batch, uint32_t group, struct uuid id,
                           enum resolution resolution, struct uuid run_id)
{
    struct record *record = record_add(batch, RECORD_LETTER_RESOLVE, group);
    record->letter_resolve = (struct record_letter_resolve){
        .id = id, .resolution = resolution, .run_id = run_id, .time_ms = suite->now_ms};
    return record;
}

/* ---- commits ---- */

struct uuid suite_make_dag(struct suite *suite, const char *name)
{
    struct batch *batch = suite_batch(suite);
    struct uuid id = suite_id(suite);
    put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), id)->dag.name = name;
    suite_commit_all(suite, batch);
    return id;
}

struct uuid suite_make_run(struct suite *suite, struct uuid dag_id)
{
    struct batch *batch = suite_batch(suite);
    struct uuid id = suite_id(suite);
    (void)put_run(suite, batch, record_add_group(batch), id, dag_id);
    suite_commit_all(suite, batch);
    return id;
}

struct record_attempt suite_claim(struct suite *suite, struct uuid run_id, uint32_t task, uint32_t number)
{
    struct batch *batch = suite_batch(suite);
    struct record_attempt claim = put_claim(suite, batch, run_id, task, number)->attempt;
    suite_commit_all(suite, batch);
    return claim;
}

void suite_end_run(struct suite *suite, struct uuid run_id, struct uuid dag_id, enum run_state state)
{
    struct batch *batch = suite_batch(suite);
    (void)put_run_end(suite, batch, run_id, dag_id, state);
    suite_commit_all(suite, batch);
}

struct uuid suite_make_letter(struct suite *suite, struct uuid run_id, struct uuid dag_id, uint32_t task)
{
    struct batch *batch = suite_batch(suite);
    struct uuid id = suite_id(suite);
    (void)put_letter(suite, batch, id, run_id, dag_id, task);
    suite_commit_all(suite, batch);
    return id;
}

/* ---- reading ---- */

struct store_run suite_run(struct suite *suite, struct uuid id)
{
    struct store_run run;
    struct error err = {0};
    if (store_get_run(suite->store, id, &suite->arena, &run, &err) != 0)
        fail_msg("%s", err.text);
    assert_uuid(run.run.id, id);
    return run;
}

struct store_dag suite_dag(struct suite *suite, struct uuid id)
{
    struct store_dag dag;
    struct error err = {0};
    if (store_get_dag(suite->store, id, &suite->arena, &dag, &err) != 0)
        fail_msg("%s", err.text);
    assert_uuid(dag.id, id);
    return dag;
}

struct store_letter suite_letter(struct suite *suite, struct uuid id)
{
    struct store_letter letter;
    struct error err = {0};
    if (store_get_letter(suite->store, id, &suite->arena, &letter, &err) != 0)
        fail_msg("%s", err.text);
    assert_uuid(letter.letter.id, id);
    return letter;
}

size_t suite_count_attempts(struct suite *suite, struct uuid run_id)
{
    const struct store_attempt_query query = {.run_id = run_id};
    struct store_attempts attempts;
    assert_int_equal(store_list_attempts(suite->store, &query, &suite->arena, &attempts, NULL), 0);
    return attempts.count;
}

void assert_uuid(struct uuid got, struct uuid wanted)
{
    char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];
    uuid_format(got, a);
    uuid_format(wanted, b);
    assert_string_equal(a, b);
}

void assert_text(const char *got, const char *wanted)
{
    if (!got || !wanted)
        assert_ptr_equal(got, wanted);
    else
        assert_string_equal(got, wanted);
}
