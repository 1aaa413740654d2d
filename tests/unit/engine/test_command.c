/* Commands: limits, keys, letters, the catalog, workers; and what the store refuses. */
#include "support/check.h"

#include "base/mem.h"
#include "rig.h"

static struct rig_answer answer_of(struct rig *rig, const struct command *command)
{
    static struct rig_answer answer;
    rig_command(rig, command, &answer);
    rig_settle(rig);
    assert_true(answer.done);
    return answer;
}

static void test_full(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    engine_free(rig.engine);
    rig.options.waiting_tasks_max = 10;
    rig.options.active_runs_max = 3;
    rig.engine = engine_new(&rig.options);
    struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(11, NULL, 0)};
    struct rig_answer answer = answer_of(&rig, &command);
    assert_int_equal(answer.result.error.code, ERROR_FULL);
    command.dag = graph_new(10, NULL, 0);
    answer = answer_of(&rig, &command);
    assert_int_equal(answer.result.error.code, ERROR_OK);
    command.dag = graph_new(1, NULL, 0);
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_FULL);
    rig_cancel(&rig, answer.result.run_id);
    for (int i = 0; i < 4; i++) {
        command.dag = graph_new(1, NULL, 0);
        assert_int_equal(answer_of(&rig, &command).result.error.code, i < 3 ? ERROR_OK : ERROR_FULL);
    }
    rig_fini(&rig);
}

struct told {
    struct engine *engine;
    uint64_t ready_then;
    bool done;
};

static void told(struct command *command, const struct command_result *result)
{
    struct told *told = command->context;
    assert_int_equal(result->error.code, ERROR_OK);
    told->ready_then = engine_counts(told->engine).ready_tasks;
    told->done = true;
}

/* The answer does not wait until all tasks of a big run stand in the order. */
static void test_answered_before_the_tasks_are_ready(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct told answer = {.engine = rig.engine};
    struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(1000, NULL, 0),
                              .done = told, .context = &answer};
    engine_command(rig.engine, &command, rig.now);
    rig_commit(&rig, rig_take(&rig));
    assert_true(answer.done);
    assert_int_equal(answer.ready_then, 0);
    assert_int_equal(engine_counts(rig.engine).ready_tasks, 1000);
    rig_fini(&rig);
}

static void test_births_count(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    engine_free(rig.engine);
    rig.options.active_runs_max = 1;
    rig.engine = engine_new(&rig.options);
    struct rig_answer first, second;
    struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(1, NULL, 0)};
    rig_command(&rig, &command, &first);
    command.dag = graph_new(1, NULL, 0);
    rig_command(&rig, &command, &second);
    assert_false(first.done);
    assert_int_equal(second.result.error.code, ERROR_FULL);
    assert_int_equal(engine_counts(rig.engine).waiting_tasks, 1);
    rig_settle(&rig);
    rig_fini(&rig);
}

static void test_idempotency(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct command command = {
        .kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .idempotency_key = "one", .digest = 5};
    struct rig_answer first, again;
    command.dag = graph_new(2, NULL, 0);
    rig_command(&rig, &command, &first);
    command.dag = graph_new(2, NULL, 0);
    rig_command(&rig, &command, &again); /* in the same batch */
    rig_settle(&rig);
    assert_int_equal(first.result.error.code, ERROR_OK);
    assert_false(first.result.replayed);
    assert_int_equal(again.result.error.code, ERROR_OK);
    assert_true(again.result.replayed);
    assert_true(uuid_equal(first.result.run_id, again.result.run_id));
    command.dag = graph_new(2, NULL, 0);
    command.digest = 6;
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_IDEMPOTENCY_MISMATCH);
    assert_int_equal(rig.model.run_count, 1);
    assert_int_equal(engine_counts(rig.engine).active_runs, 1);
    assert_int_equal(engine_counts(rig.engine).waiting_tasks, 2);
    rig_fini(&rig);
}

static void test_dag_deleted_meanwhile(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    model_delete_dag(&rig.model, rig.dag_id);
    const struct command command = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(1, NULL, 0)};
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_DAG_NOT_FOUND);
    assert_int_equal(engine_counts(rig.engine).active_runs, 0);
    assert_int_equal(live_count(rig.live), 0);
    rig_fini(&rig);
}

static void test_letters(void **state)
{
    (void)state;
    static const struct graph_edge edge[] = {{0, 1}};
    struct rig rig;
    rig_init(&rig, 0);
    (void)rig_worker(&rig, 2);
    struct dag *dag = graph_new(2, edge, 1);
    struct uuid source = rig_trigger(&rig, dag_ref(dag));
    rig_end(&rig, source, 0, ATTEMPT_FAILED);
    struct model_letter *letter = model_find_letter(&rig.model, source, 0);
    assert_non_null(letter);
    struct command command = {.kind = COMMAND_LETTER_SKIP, .dag_id = rig.dag_id, .run_id = source,
                              .letter = letter->id, .dag = dag_ref(dag), .dag_version = 1, .trigger = TRIGGER_DLQ,
                              .plan = (const uint8_t[]){RECORD_SKIP, 0}, .notes = "not needed"};
    struct rig_answer answer = answer_of(&rig, &command);
    assert_int_equal(answer.result.error.code, ERROR_OK);
    assert_int_equal(letter->resolution, RESOLUTION_SKIPPED);
    assert_true(uuid_equal(letter->resolved_run, answer.result.run_id));
    assert_non_null(rig_start_of(&rig, answer.result.run_id, 1));
    /* the second time leads to the first run, whatever is asked */
    command.kind = COMMAND_LETTER_RETRY;
    command.dag = dag;
    command.plan = NULL;
    struct rig_answer again = answer_of(&rig, &command);
    assert_int_equal(again.result.error.code, ERROR_ALREADY_RESOLVED);
    assert_true(uuid_equal(again.result.run_id, answer.result.run_id));
    struct command resolve = {.kind = COMMAND_LETTER_RESOLVE, .letter = letter->id, .by = "ann"};
    assert_int_equal(answer_of(&rig, &resolve).result.error.code, ERROR_ALREADY_RESOLVED);
    letter->resolution = RESOLUTION_PENDING;
    assert_int_equal(answer_of(&rig, &resolve).result.error.code, ERROR_OK);
    assert_int_equal(letter->resolution, RESOLUTION_RESOLVED);
    resolve.letter = (struct uuid){{77}};
    assert_int_equal(answer_of(&rig, &resolve).result.error.code, ERROR_DEAD_LETTER_NOT_FOUND);
    rig_fini(&rig);
}

static void test_catalog(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct command command = {.kind = COMMAND_DAG_CREATE, .name = "new", .source = "x", .source_len = 1,
                              .dag = graph_new(1, NULL, 0)};
    struct rig_answer answer = answer_of(&rig, &command);
    assert_int_equal(answer.result.error.code, ERROR_OK);
    assert_int_equal(answer.result.dag_version, 1);
    struct uuid id = answer.result.dag_id;
    command = (struct command){.kind = COMMAND_DAG_UPDATE, .dag_id = id, .if_version = 4, .source = "y",
                               .source_len = 1, .dag = graph_new(1, NULL, 0)};
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_PRECONDITION_FAILED);
    command.dag = graph_new(1, NULL, 0);
    command.if_version = 0;
    assert_int_equal(answer_of(&rig, &command).result.dag_version, 2);
    command = (struct command){.kind = COMMAND_DAG_PAUSE, .dag_id = id, .paused = true};
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_OK);
    command.kind = COMMAND_DAG_DELETE;
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_OK);
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_DAG_NOT_FOUND);
    (void)rig_trigger(&rig, graph_new(1, NULL, 0));
    command.dag_id = rig.dag_id;
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_DAG_HAS_ACTIVE_RUNS);
    rig_fini(&rig);
}

static void test_drain_a_worker(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid worker = rig_worker(&rig, 1);
    struct command command = {.kind = COMMAND_WORKER_DRAIN, .worker = worker, .draining = true};
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_OK);
    struct uuid run = rig_trigger(&rig, graph_new(1, NULL, 0));
    assert_null(rig_start_of(&rig, run, 0));
    struct engine_worker_view view;
    assert_int_equal(engine_workers(rig.engine, &view, 1), 1);
    assert_int_equal(view.state, WORKER_DRAINING);
    command.draining = false;
    (void)answer_of(&rig, &command);
    assert_non_null(rig_start_of(&rig, run, 0));
    command.worker = (struct uuid){{5}};
    assert_int_equal(answer_of(&rig, &command).result.error.code, ERROR_WORKER_NOT_FOUND);
    rig_fini(&rig);
}

/* The store has failed: everyone who waits is told, nothing leaks. */
static void test_refuse_waiting(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid run = rig_trigger(&rig, graph_new(2, NULL, 0));
    struct rig_answer birth, cancel;
    const struct command trigger = {.kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(3, NULL, 0)};
    const struct command stop = {.kind = COMMAND_RUN_CANCEL, .run_id = run};
    rig_command(&rig, &trigger, &birth);
    rig_command(&rig, &stop, &cancel);
    engine_refuse_waiting(rig.engine, ERROR_STORE_FAILED, "no");
    assert_int_equal(birth.result.error.code, ERROR_STORE_FAILED);
    assert_int_equal(cancel.result.error.code, ERROR_STORE_FAILED);
    assert_int_equal(engine_counts(rig.engine).waiting_tasks, 0);
    rig_fini(&rig);
}

/* Ids of one engine grow, also when the clock stands still or is set back. */
static void test_ids_grow(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 0);
    struct uuid last = {{0}};
    for (int i = 0; i < 5000; i++) {
        if (i == 4500)
            rig.now.wall_ms -= 100000;
        struct rig_answer answer;
        const struct command command = {
            .kind = COMMAND_RUN_TRIGGER, .dag_id = rig.dag_id, .dag = graph_new(1, NULL, 0)};
        rig_command(&rig, &command, &answer);
        rig_commit(&rig, rig_take(&rig));
        assert_true(uuid_compare(answer.result.run_id, last) > 0);
        last = answer.result.run_id;
        engine_cancel_all(rig.engine, rig.now);
        rig_commit(&rig, rig_take(&rig));
    }
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_answered_before_the_tasks_are_ready),
        cmocka_unit_test(test_births_count),
        cmocka_unit_test(test_idempotency),
        cmocka_unit_test(test_dag_deleted_meanwhile),
        cmocka_unit_test(test_letters),
        cmocka_unit_test(test_catalog),
        cmocka_unit_test(test_drain_a_worker),
        cmocka_unit_test(test_refuse_waiting),
        cmocka_unit_test(test_ids_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
