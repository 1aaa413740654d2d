/* What runs say when they are looked at together or closely: statistics, history, next fires, critical path. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* a, then b and c, then d */
static const char diamond[] = "tasks:\n"
                              "  - {id: a, type: shell, command: x}\n"
                              "  - {id: b, type: shell, command: x, dependencies: [a]}\n"
                              "  - {id: c, type: shell, command: x, dependencies: [a]}\n"
                              "  - {id: d, type: shell, command: x, dependencies: [b, c]}\n";
enum { A, B, C, D };

static struct daemon *daemon;
static struct answer answer;
static char dag_id[37], ids[3][37];
static json_t *root;

/* Run 0 takes 4 s: a 1 s, c 2 s after b. Run 1 fails at a. Run 2 runs a. */
static int set_up(void **state)
{
    (void)state;
    daemon = daemon_new(NULL);
    daemon_make_dag(daemon, "diamond", diamond, dag_id);
    (void)daemon_add_worker(daemon, 2);
    daemon_trigger(daemon, dag_id, ids[0]);
    daemon_pass(daemon, 1000);
    daemon_end_task(daemon, ids[0], A, ATTEMPT_SUCCEEDED);
    daemon_pass(daemon, 500);
    daemon_end_task(daemon, ids[0], B, ATTEMPT_SUCCEEDED);
    daemon_pass(daemon, 2000);
    daemon_end_task(daemon, ids[0], C, ATTEMPT_SUCCEEDED);
    daemon_pass(daemon, 500);
    daemon_end_task(daemon, ids[0], D, ATTEMPT_SUCCEEDED);
    daemon_trigger(daemon, dag_id, ids[1]);
    daemon_end_task(daemon, ids[1], A, ATTEMPT_FAILED);
    daemon_trigger(daemon, dag_id, ids[2]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(root);
    root = NULL;
    answer_fini(&answer);
    daemon_free(daemon);
    return 0;
}

/* The answer's JSON; "%s" in the target is replaced. */
static json_t *get(const char *target, const char *id)
{
    char text[300];
    const char *mark = strstr(target, "%s");
    (void)snprintf(text, sizeof text, "%.*s%s%s", mark ? (int)(mark - target) : 250, target, mark ? id : "",
                   mark ? mark + 2 : "");
    daemon_ask(daemon, "GET", text, "", NULL, &answer);
    json_decref(root);
    root = json_loadb(answer.body.bytes, answer.body.len, 0, NULL);
    assert_non_null(root);
    return root;
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "null";
}

static json_int_t number_of(json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

/* Seconds, or a little more: each command takes a millisecond of this daemon's time. */
static void expect_seconds(double found, double wanted)
{
    if (found < wanted || found > wanted + 0.4)
        fail_msg("%f s are not %f", found, wanted);
}

static void test_stats(void **state)
{
    (void)state;
    assert_null(json_object_get(json_array_get(get("/api/v1/dags", ""), 0), "stats"));
    json_t *stats = json_object_get(json_array_get(get("/api/v1/dags?lastRuns=10", ""), 0), "stats");
    json_t *runs = json_object_get(stats, "lastRuns");
    assert_int_equal(json_array_size(runs), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(text_of(json_array_get(runs, i), "runId"), ids[2 - i]);
    assert_int_equal(number_of(stats, "activeRuns"), 1);
    assert_int_equal(number_of(stats, "succeeded"), 1);
    assert_int_equal(number_of(stats, "failed"), 1);
    assert_int_equal(number_of(stats, "canceled"), 0);
    expect_seconds(json_number_value(json_object_get(stats, "p50Seconds")), 4);
    expect_seconds(json_number_value(json_object_get(stats, "p95Seconds")), 4);
    assert_true(json_is_null(json_object_get(stats, "nextFireAt")));
    stats = json_object_get(get("/api/v1/dags/%s?lastRuns=2", dag_id), "stats");
    assert_int_equal(json_array_size(json_object_get(stats, "lastRuns")), 2);
    assert_true(json_is_null(json_object_get(stats, "p50Seconds"))); /* neither of the two succeeded */
    daemon_ask(daemon, "GET", "/api/v1/dags?lastRuns=101", "", NULL, &answer);
    answer_expect_error(&answer, 400, "BAD_REQUEST");
    char other[37];
    daemon_make_dag(daemon, "Another", diamond, other);
    assert_int_equal(json_array_size(get("/api/v1/dags?nameContains=NOTH", "")), 1);
    assert_int_equal(json_array_size(get("/api/v1/dags?nameContains=xyz", "")), 0);
    assert_int_equal(json_array_size(get("/api/v1/dags?limit=1", "")), 1);
    assert_string_equal(answer_header(&answer, "X-Next-Before"), other);
}

static void expect_row(size_t row, const char *id, const char *const states[3])
{
    json_t *task = json_array_get(json_object_get(root, "tasks"), row);
    assert_string_equal(text_of(task, "taskId"), id);
    for (size_t i = 0; i < 3; i++) {
        json_t *cell = json_array_get(json_object_get(task, "states"), i);
        assert_string_equal(json_is_null(cell) ? "null" : json_string_value(cell), states[i]);
    }
}

static void test_history(void **state)
{
    (void)state;
    (void)get("/api/v1/dags/%s/history", dag_id);
    assert_int_equal(json_array_size(json_object_get(root, "runs")), 3);
    assert_int_equal(number_of(root, "taskCount"), 4);
    expect_row(A, "a", (const char *const[]){"running", "failed", "succeeded"});
    expect_row(D, "d", (const char *const[]){"pending", "skipped", "succeeded"});
    json_t *row = json_array_get(json_object_get(root, "tasks"), C);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "attempts"), 2)), 1);
    assert_true(json_is_number(json_array_get(json_object_get(row, "seconds"), 2)));
    assert_true(json_is_null(json_array_get(json_object_get(row, "seconds"), 0)));
    /* Another version, in another order, with a new task: rows are known by their ids. */
    char target[100], run[37];
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s", dag_id);
    daemon_ask(daemon, "PUT", target, "",
               "{\"yaml\": \"tasks: [{id: d, type: shell, command: x}, {id: new, type: shell, command: x}, "
               "{id: a, type: shell, command: x}]\"}", &answer);
    assert_int_equal(answer.status, 200);
    daemon_trigger(daemon, dag_id, run);
    (void)get("/api/v1/dags/%s/history?limit=3&taskLimit=2", dag_id);
    assert_int_equal(json_array_size(json_object_get(root, "tasks")), 2);
    expect_row(0, "d", (const char *const[]){"running", "pending", "skipped"});
    expect_row(1, "new", (const char *const[]){"queued", "null", "null"});
    assert_string_equal(answer_header(&answer, "X-Next-Before"), ids[1]);
    (void)get("/api/v1/dags/%s/history?taskAfter=new", dag_id);
    assert_int_equal(json_array_size(json_object_get(root, "tasks")), 1);
    daemon_ask(daemon, "GET", "/api/v1/dags/01890000-0000-7000-8000-000000000000/history", "", NULL, &answer);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/history?limit=100&taskLimit=401", dag_id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    answer_expect_error(&answer, 400, "BAD_REQUEST");
    char other[37];
    daemon_make_dag(daemon, "never-run", diamond, other);
    (void)get("/api/v1/dags/%s/history", other);
    assert_int_equal(json_array_size(json_object_get(root, "tasks")), 0);
}

static void test_upcoming(void **state)
{
    (void)state;
    static const char *const names[] = {"hourly", "daily", "hourly", "hourly"};
    char id[37];
    daemon_make_dag(daemon, "hourly", "schedule: {cron: '0 * * * *', timezone: UTC}\n"
                    "tasks: [{id: a, type: shell, command: x}]\n", id);
    daemon_make_dag(daemon, "daily", "schedule: {cron: '30 14 * * *', timezone: Europe/Berlin}\n"
                    "tasks: [{id: a, type: shell, command: x}]\n", id);
    (void)get("/api/v1/schedule/next?limit=4&from=2026-01-05T12:59:59Z", "");
    assert_int_equal(number_of(root, "dagCount"), 2);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(text_of(json_array_get(json_object_get(root, "fires"), i), "dagName"), names[i]);
    json_t *fire = json_array_get(json_object_get(root, "fires"), 1);
    assert_string_equal(text_of(fire, "at"), "2026-01-05T13:30:00.000Z");
    assert_string_equal(text_of(fire, "local"), "2026-01-05T14:30:00+01:00");
    assert_string_equal(text_of(fire, "timezone"), "Europe/Berlin");
    char target[100];
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/pause", id);
    daemon_ask(daemon, "POST", target, "", NULL, &answer);
    assert_int_equal(number_of(get("/api/v1/schedule/next", ""), "dagCount"), 1);
    json_t *dag = get("/api/v1/dags/%s?lastRuns=1", id);
    assert_true(json_is_null(json_object_get(json_object_get(dag, "stats"), "nextFireAt"))); /* paused */
}

/* Of a run as the store has it and of one that is active. */
static void test_critical_path(void **state)
{
    (void)state;
    static const char *const path[] = {"a", "c", "d"};
    (void)get("/api/v1/runs/%s/critical-path", ids[0]);
    json_t *tasks = json_object_get(root, "tasks");
    assert_int_equal(json_array_size(tasks), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(text_of(json_array_get(tasks, i), "taskId"), path[i]);
    assert_string_equal(text_of(json_array_get(tasks, 1), "readyAt"), text_of(json_array_get(tasks, 0), "completedAt"));
    json_t *slowest = json_array_get(tasks, 1); /* a worker of this test tells of a start with the end */
    expect_seconds(json_number_value(json_object_get(slowest, "waitSeconds"))
                       + json_number_value(json_object_get(slowest, "runSeconds")), 2.5);
    expect_seconds(json_number_value(json_object_get(root, "seconds")), 4);
    (void)get("/api/v1/runs/%s/critical-path", ids[2]);
    tasks = json_object_get(root, "tasks");
    assert_int_equal(json_array_size(tasks), 1);
    assert_string_equal(text_of(json_array_get(tasks, 0), "state"), "running");
}

static json_t *task_of(size_t index)
{
    return json_array_get(json_object_get(root, "tasks"), index);
}

static void test_ready(void **state)
{
    (void)state;
    (void)get("/api/v1/runs/%s", ids[0]);
    assert_string_equal(text_of(root, "dagName"), "diamond");
    assert_string_equal(text_of(task_of(A), "readyAt"), text_of(root, "createdAt"));
    assert_string_equal(text_of(task_of(B), "readyAt"), text_of(task_of(A), "completedAt"));
    assert_string_equal(text_of(task_of(D), "readyAt"), text_of(task_of(C), "completedAt"));
    (void)get("/api/v1/runs/%s", ids[1]);
    assert_string_equal(text_of(task_of(D), "readyAt"), "null"); /* skipped */
    (void)get("/api/v1/runs/%s", ids[2]);
    assert_string_equal(text_of(task_of(A), "readyAt"), text_of(root, "createdAt"));
    assert_string_equal(text_of(task_of(B), "readyAt"), "null"); /* waits for a */
    daemon_end_task(daemon, ids[2], A, ATTEMPT_SUCCEEDED);
    (void)get("/api/v1/runs/%s", ids[2]);
    assert_string_equal(text_of(task_of(B), "readyAt"), text_of(task_of(A), "completedAt"));
}

static void test_attempts(void **state)
{
    (void)state;
    char worker[37];
    (void)get("/api/v1/runs/%s/tasks/a/attempts", ids[1]);
    assert_int_equal(json_array_size(root), 1);
    assert_string_equal(text_of(json_array_get(root, 0), "state"), "failed");
    assert_string_not_equal(text_of(json_array_get(root, 0), "completedAt"), "null");
    (void)get("/api/v1/runs/%s/tasks/a/attempts", ids[2]);
    assert_string_equal(text_of(json_array_get(root, 0), "state"), "running");
    assert_string_not_equal(text_of(json_array_get(root, 0), "startedAt"), "null"); /* which only the live view knows */
    (void)snprintf(worker, sizeof worker, "%s", text_of(json_array_get(root, 0), "workerId"));
    assert_int_equal(json_array_size(get("/api/v1/runs/%s/tasks/d/attempts", ids[2])), 0);
    (void)get("/api/v1/workers/tasks", "");
    assert_int_equal(json_array_size(root), 1);
    assert_string_equal(text_of(json_array_get(root, 0), "runId"), ids[2]);
    assert_string_equal(text_of(json_array_get(root, 0), "taskId"), "a");
    assert_string_equal(text_of(json_array_get(root, 0), "workerId"), worker);
    daemon_finish(daemon);
    assert_int_equal(json_array_size(get("/api/v1/workers/tasks", "")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_history, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_upcoming, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_critical_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ready, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attempts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
