#include "support/check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "state/log_path.h"
#include "state/state.h"

/* Row: from, column: to, in the order of the enum. Written by hand, not taken from the table. */
static const char *const task_moves[TASK_STATE_COUNT] = {
    /*               p  q  r  s  f  k  c */
    /* pending   */ ".q.sfkc",
    /* queued    */ "..r...c",
    /* running   */ "pq.sf.c",
    /* succeeded */ ".......",
    /* failed    */ ".......",
    /* skipped   */ ".......",
    /* canceled  */ ".......",
};

static const char *const run_moves[RUN_STATE_COUNT] = {
    /* pending   */ ".rsfc",
    /* running   */ "..sfc",
    /* succeeded */ ".....",
    /* failed    */ ".....",
    /* canceled  */ ".....",
};

static const char *const attempt_moves[ATTEMPT_STATE_COUNT] = {
    /* running   */ ".sftcl",
    /* succeeded */ "......",
    /* failed    */ "......",
    /* timed out */ "......",
    /* canceled  */ "......",
    /* lost      */ "......",
};

static void compare(const char *what, int from, int to, bool is, char wanted)
{
    if (is != (wanted != '.'))
        fail_msg("%s %d -> %d is %s", what, from, to, is ? "allowed" : "refused");
}

static void test_every_pair(void **state)
{
    (void)state;
    for (int from = 0; from < TASK_STATE_COUNT; from++)
        for (int to = 0; to < TASK_STATE_COUNT; to++)
            compare("task", from, to, state_task_may_follow((enum task_state)from, (enum task_state)to),
                    task_moves[from][to]);
    for (int from = 0; from < RUN_STATE_COUNT; from++)
        for (int to = 0; to < RUN_STATE_COUNT; to++)
            compare("run", from, to, state_run_may_follow((enum run_state)from, (enum run_state)to),
                    run_moves[from][to]);
    for (int from = 0; from < ATTEMPT_STATE_COUNT; from++)
        for (int to = 0; to < ATTEMPT_STATE_COUNT; to++)
            compare("attempt", from, to, state_attempt_may_follow((enum attempt_state)from, (enum attempt_state)to),
                    attempt_moves[from][to]);
}

static void test_terminal(void **state)
{
    (void)state;
    for (int i = 0; i < TASK_STATE_COUNT; i++)
        assert_int_equal(state_task_is_terminal((enum task_state)i), i >= TASK_SUCCEEDED);
    for (int i = 0; i < RUN_STATE_COUNT; i++)
        assert_int_equal(state_run_is_terminal((enum run_state)i), i >= RUN_SUCCEEDED);
    for (int i = 0; i < ATTEMPT_STATE_COUNT; i++)
        assert_int_equal(state_attempt_is_terminal((enum attempt_state)i), i != ATTEMPT_RUNNING);
}

/* The words of the product's contract, in the order of the enums. */
static void test_names(void **state)
{
    (void)state;
    static const char *const tasks[] = {"pending", "queued", "running", "succeeded", "failed", "skipped", "canceled"};
    static const char *const runs[] = {"pending", "running", "succeeded", "failed", "canceled"};
    static const char *const attempts[] = {"running", "succeeded", "failed", "timed_out", "canceled", "lost"};
    static const char *const workers[] = {"idle", "running", "draining", "stopped"};
    static const char *const failures[] = {NULL,  "exit", "signal", "timeout",    "lost",    "exec",
                                           "oom", "http", "output", "dependency", "internal"};
    static const char *const triggers[] = {"api", "cli", "schedule", "backfill", "dlq", "rerun"};
    static const char *const resolutions[] = {"pending", "retried", "skipped", "resolved"};
#define EACH(list, type, name, parse)                                                                                  \
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {                                                        \
        enum type value = (enum type)(i ? 0 : 1);                                                                      \
        if (!list[i]) {                                                                                                \
            assert_null(name((enum type)i));                                                                           \
            continue;                                                                                                  \
        }                                                                                                              \
        assert_string_equal(name((enum type)i), list[i]);                                                              \
        assert_true(parse(list[i], &value));                                                                           \
        assert_int_equal(value, i);                                                                                    \
        assert_false(parse("", &value) || parse("Pending", &value) || parse("pend", &value));                          \
        assert_false(parse("canceled ", &value) || parse("exi", &value));                                              \
        assert_int_equal(value, i);                                                                                    \
    }
    EACH(tasks, task_state, state_task_name, state_task_parse)
    EACH(runs, run_state, state_run_name, state_run_parse)
    EACH(attempts, attempt_state, state_attempt_name, state_attempt_parse)
    EACH(failures, error_type, state_failure_name, state_failure_parse)
    EACH(triggers, trigger, state_trigger_name, state_trigger_parse)
    EACH(resolutions, resolution, state_resolution_name, state_resolution_parse)
#undef EACH
    for (int i = 0; i < WORKER_STATE_COUNT; i++)
        assert_string_equal(state_worker_name((enum worker_state)i), workers[i]);
}

static void test_log_path(void **state)
{
    (void)state;
    struct uuid run;
    struct buf path = BUF_INIT;
    assert_true(uuid_parse("018f0000-0001-7000-8000-000000abcde7", &run));
    buf_add_text(&path, "+");
    state_log_path(&path, "/var/lib/pawl", run, 999999, 12);
    assert_string_equal(buf_text(&path), "+/var/lib/pawl/logs/e7/018f0000-0001-7000-8000-000000abcde7/999999.12.log");
    buf_clear(&path);
    state_log_folder(&path, "/d", run);
    assert_string_equal(buf_text(&path), "/d/logs/e7/018f0000-0001-7000-8000-000000abcde7");
    buf_fini(&path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_log_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
