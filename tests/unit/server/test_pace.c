/* What the core learns from results: whether attempts are so brief that claims ahead of free slots pay. */
#include "support/check.h"

#include "server/core_model.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "engine/model.h"

enum { SLOT = 1, TASKS = 9, AHEAD = 4 };

static const struct uuid worker_id = {{1}};

static void open_core(struct core *core)
{
    const struct engine_options options = {.claim_ahead_max = AHEAD, .waiting_tasks_max = LIMIT_WAITING_TASKS_MAX,
                                           .active_runs_max = LIMIT_ACTIVE_RUNS_MAX, .epoch = 1, .seed = 1};
    *core = (struct core){.now = {1700000000000, 5000}, .engine = engine_new(&options)};
    engine_worker_joined(core->engine, worker_id, SLOT, NULL, 0, core->now);
}

/* An attempt of no run that is known ended: only its length matters. started_ms 0: it never began. */
static void end_one(struct core *core, int64_t started_ms, int64_t ended_ms)
{
    const struct job_result result = {.key = {.run_id = {{9}}, .number = 1, .fence = 1},
                                      .outcome = started_ms ? ATTEMPT_SUCCEEDED : ATTEMPT_CANCELED,
                                      .exit_code = -1,
                                      .started_ms = started_ms,
                                      .ended_ms = ended_ms};
    core_pool_callbacks.on_result(core, worker_id, &result);
}

static void end_many(struct core *core, int count, int64_t length_ms)
{
    for (int i = 0; i < count; i++)
        end_one(core, core->now.wall_ms - length_ms, core->now.wall_ms);
}

static struct dag *read_flat(void)
{
    struct buf yaml = BUF_INIT;
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    buf_add_text(&yaml, "name: flat\ntasks:\n");
    for (int i = 0; i < TASKS; i++)
        buf_printf(&yaml, "- {id: t%d, type: shell, command: x}\n", i);
    const struct dag_read_options options = {.tasks_max = TASKS, .bytes_max = 10000};
    assert_int_equal(dag_read(yaml.bytes, yaml.len, &options, &problems, &dag), 0);
    dag_problems_fini(&problems);
    buf_fini(&yaml);
    return dag;
}

static void done(struct command *command, const struct command_result *result)
{
    assert_int_equal(result->error.code, ERROR_OK);
    mem_free(command);
}

static void settle(struct core *core)
{
    struct batch *batch;
    struct effect *effects;
    engine_dispatch(core->engine, core->now);
    while ((batch = engine_take_batch(core->engine))) {
        engine_committed(core->engine, batch, core->now);
        record_batch_free(batch);
        engine_dispatch(core->engine, core->now);
    }
    size_t count = engine_take_effects(core->engine, &effects);
    for (size_t i = 0; i < count; i++) {
        dag_unref(effects[i].dag);
        origin_unref(effects[i].origin);
    }
}

/* How many of the tasks of a run are claimed while the only slot is taken. */
static uint32_t claims_ahead(struct core *core)
{
    const struct command command = {
        .kind = COMMAND_RUN_TRIGGER, .dag_id = {{2}}, .dag = read_flat(), .dag_version = 1, .done = done};
    engine_command(core->engine, mem_dup(&command, sizeof command), core->now);
    settle(core);
    return core->engine->ahead_count;
}

static void test_brief_attempts(void **state)
{
    (void)state;
    struct core core;
    open_core(&core);
    end_many(&core, 100, 3);
    assert_int_equal(claims_ahead(&core), AHEAD);
    engine_free(core.engine);
}

static void test_one_long_attempt_among_brief_ones(void **state)
{
    (void)state;
    struct core core;
    open_core(&core);
    end_many(&core, 100, 3);
    end_many(&core, 1, 2000);
    end_many(&core, 30, 3);
    assert_int_equal(claims_ahead(&core), 0);
    engine_free(core.engine);
}

/* It has an end and no start: that is no length. */
static void test_canceled_before_it_began(void **state)
{
    (void)state;
    struct core core;
    open_core(&core);
    end_many(&core, 100, 3);
    end_one(&core, 0, core.now.wall_ms);
    assert_int_equal(claims_ahead(&core), AHEAD);
    engine_free(core.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brief_attempts),
        cmocka_unit_test(test_one_long_attempt_among_brief_ones),
        cmocka_unit_test(test_canceled_before_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
