/* docs/states.md is generated from the tables of src/state: this test writes the page and compares. With
 * PAWL_WRITE_STATES=1 in the environment it puts the page there instead. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "state/state.h"

static const char page_path[] = "docs/states.md";

struct machine {
    const char *title;
    const char *about;
    int count;
    const char *const *meanings;
    const char *(*name)(int state);
    bool (*may_follow)(int from, int to);
};

#define WRAP(machine, type)                                                                                            \
    static const char *machine##_name(int state)                                                                       \
    {                                                                                                                  \
        return state_##machine##_name((enum type)state);                                                               \
    }                                                                                                                  \
    static bool machine##_may_follow(int from, int to)                                                                 \
    {                                                                                                                  \
        return state_##machine##_may_follow((enum type)from, (enum type)to);                                           \
    }
WRAP(task, task_state)
WRAP(run, run_state)
WRAP(attempt, attempt_state)

static const char *const task_meanings[TASK_STATE_COUNT] = {
    [TASK_PENDING] = "waits for what it depends on, or for a retry (then `nextAttemptAt` says until when)",
    [TASK_QUEUED] = "ready, waits for a slot",
    [TASK_RUNNING] = "an attempt has a slot",
    [TASK_SUCCEEDED] = "its last attempt succeeded, or the run it was rerun from had it succeed",
    [TASK_FAILED] = "its last attempt failed, timed out or was lost, and there is none left",
    [TASK_SKIPPED] = "something it depends on failed, or a person skipped it",
    [TASK_CANCELED] = "its run was canceled or timed out first",
};

static const char *const run_meanings[RUN_STATE_COUNT] = {
    [RUN_PENDING] = "nothing of it has been started yet",
    [RUN_RUNNING] = "its first attempt has been claimed",
    [RUN_SUCCEEDED] = "no task failed",
    [RUN_FAILED] = "a task failed, or the run's timeout passed",
    [RUN_CANCELED] = "it was canceled before all its tasks had ended",
};

static const char *const attempt_meanings[ATTEMPT_STATE_COUNT] = {
    [ATTEMPT_RUNNING] = "claimed: its row is on disk before it is started",
    [ATTEMPT_SUCCEEDED] = "exit status 0, or HTTP 2xx",
    [ATTEMPT_FAILED] = "any other exit, a signal, an exec error, out of memory, another HTTP status",
    [ATTEMPT_TIMED_OUT] = "the task's timeout passed; it was ended",
    [ATTEMPT_CANCELED] = "it was ended because its run was canceled or timed out",
    [ATTEMPT_LOST] = "what became of it is unknown; this is never counted as success",
};

static const struct machine machines[] = {
    {"Task", "A task of one run.", TASK_STATE_COUNT, task_meanings, task_name, task_may_follow},
    {"Run", "One execution of one version of a DAG.", RUN_STATE_COUNT, run_meanings, run_name, run_may_follow},
    {"Attempt", "One try of a task. Attempts are numbered from 1; at most the last one of a task runs.",
     ATTEMPT_STATE_COUNT, attempt_meanings, attempt_name, attempt_may_follow},
};

static const char *const worker_meanings[WORKER_STATE_COUNT] = {
    [WORKER_IDLE] = "nothing runs on it",
    [WORKER_RUNNING] = "at least one attempt runs on it",
    [WORKER_DRAINING] = "it gets nothing new; what runs may end",
    [WORKER_STOPPED] = "its process has ended",
};

static const char *const resolution_meanings[RESOLUTION_COUNT] = {
    [RESOLUTION_PENDING] = "nobody has dealt with it",
    [RESOLUTION_RETRIED] = "a new run tried the task again, or a rerun of its run succeeded",
    [RESOLUTION_SKIPPED] = "a new run went on without the task",
    [RESOLUTION_RESOLVED] = "a person said that it is dealt with",
};

static void put_machine(struct buf *page, const struct machine *machine)
{
    buf_printf(page, "\n## %s\n\n%s\n\n", machine->title, machine->about);
    buf_add_text(page, "| state | meaning | may become |\n|---|---|---|\n");
    for (int from = 0; from < machine->count; from++) {
        const char *separator = "";
        assert_non_null(machine->meanings[from]);
        buf_printf(page, "| `%s` | %s | ", machine->name(from), machine->meanings[from]);
        for (int to = 0; to < machine->count; to++) {
            if (machine->may_follow(from, to)) {
                buf_printf(page, "%s`%s`", separator, machine->name(to));
                separator = ", ";
            }
        }
        buf_add_text(page, *separator ? " |\n" : "nothing: terminal |\n");
    }
}

static void put_words(struct buf *page)
{
    buf_add_text(page, "\n## Worker\n\nFollows from what the worker does; any may become any other, `stopped` "
                       "excepted.\n\n| state | meaning |\n|---|---|\n");
    for (int i = 0; i < WORKER_STATE_COUNT; i++)
        buf_printf(page, "| `%s` | %s |\n", state_worker_name((enum worker_state)i), worker_meanings[i]);
    buf_add_text(page, "\n## Dead letter\n\nEvery failed task makes one. It is `pending` until it becomes one of the "
                       "others, once.\n\n| resolution | meaning |\n|---|---|\n");
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        buf_printf(page, "| `%s` | %s |\n", state_resolution_name((enum resolution)i), resolution_meanings[i]);
    buf_add_text(page, "\n## Other words\n\n- `errorType`:");
    for (int i = FAILURE_NONE + 1; i < FAILURE_COUNT; i++)
        buf_printf(page, " `%s`", state_failure_name((enum error_type)i));
    buf_add_text(page, "\n- `triggeredBy`:");
    for (int i = 0; i < TRIGGER_COUNT; i++)
        buf_printf(page, " `%s`", state_trigger_name((enum trigger)i));
    buf_add_text(page, "\n");
}

static void make_page(struct buf *page)
{
    buf_add_text(page, "# States\n\nWhat the API, the command line and the store call the states of things, and which "
                       "state may follow which.\nA terminal state never changes; going on after a failure is always a "
                       "new run.\n\nThis page is generated from the tables in `src/state/state.c`. After a change "
                       "there:\n`PAWL_WRITE_STATES=1 build-check/unit_state_test_states_page`.\n");
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++)
        put_machine(page, &machines[i]);
    put_words(page);
}

static void test_page(void **state)
{
    (void)state;
    struct buf page = BUF_INIT, there = BUF_INIT;
    bool writes = getenv("PAWL_WRITE_STATES") != NULL;
    make_page(&page);
    FILE *file = fopen(page_path, writes ? "w" : "r");
    if (!file)
        fail_msg("%s cannot be opened", page_path);
    if (writes) {
        assert_int_equal(fwrite(page.bytes, 1, page.len, file), page.len);
        assert_int_equal(fclose(file), 0);
    } else {
        char part[4096];
        for (size_t len; (len = fread(part, 1, sizeof part, file)) > 0;)
            buf_add(&there, part, len);
        (void)fclose(file);
        if (strcmp(buf_text(&there), buf_text(&page)) != 0)
            fail_msg("%s is not what the tables say: PAWL_WRITE_STATES=1 writes it anew", page_path);
    }
    buf_fini(&page);
    buf_fini(&there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
