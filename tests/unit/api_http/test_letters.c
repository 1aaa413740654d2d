/* Dead letters, workers, the cluster, health and metrics over HTTP. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "state/log_path.h"
#include "store/memory/store_memory.h"

#define NOBODY "01890000-0000-7000-8000-000000000000"

/* a and b are free; c needs a, d needs a and b */
static const char branches[] = "tasks:\n"
                               "  - {id: a, type: shell, command: 'echo hi'}\n"
                               "  - {id: b, type: shell, command: 'true'}\n"
                               "  - {id: c, type: shell, command: 'true', dependencies: [a]}\n"
                               "  - {id: d, type: shell, command: 'true', dependencies: [a, b]}\n";

static struct daemon *daemon;
static struct answer answer;
static char dag_id[37], run_id[37], letter_id[37];

static int set_up(void **state)
{
    (void)state;
    daemon = daemon_new(NULL);
    daemon_make_dag(daemon, "branches", branches, dag_id);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answer_fini(&answer);
    daemon_free(daemon);
    return 0;
}

static void expect_member(const char *name, const char *value)
{
    char text[4000];
    answer_member(&answer, name, text, sizeof text);
    assert_string_equal(text, value);
}

static void ask_letter(const char *what, const char *headers, const char *body)
{
    char target[200];
    (void)snprintf(target, sizeof target, "/api/v1/dlq/%s%s", letter_id, what);
    daemon_ask(daemon, *what ? "POST" : "GET", target, headers, body, &answer);
}

/* The id of the newest letter. */
static void find_letter(void)
{
    daemon_ask(daemon, "GET", "/api/v1/dlq?limit=1", "", NULL, &answer);
    json_t *root = json_loads(answer.body.bytes, 0, NULL);
    const char *id = json_string_value(json_object_get(json_array_get(root, 0), "id"));
    assert_non_null(id);
    memcpy(letter_id, id, sizeof letter_id);
    json_decref(root);
}

static void write_log(const char *text)
{
    struct buf path = BUF_INIT;
    char command[400];
    struct uuid id;
    assert_true(uuid_parse(run_id, &id));
    state_log_folder(&path, daemon->data_dir, id);
    (void)snprintf(command, sizeof command, "mkdir -p '%s'", buf_text(&path));
    assert_int_equal(system(command), 0);
    buf_clear(&path);
    state_log_path(&path, daemon->data_dir, id, 0, 1);
    FILE *file = fopen(buf_text(&path), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    buf_fini(&path);
}

/* a fails, b ends as told; the letter of a is letter_id. */
static void fail_a(enum attempt_state b)
{
    daemon_trigger(daemon, dag_id, run_id);
    (void)daemon_add_worker(daemon, 4);
    daemon_end_task(daemon, run_id, 0, ATTEMPT_FAILED);
    find_letter();
    daemon_end_task(daemon, run_id, 1, b);
}

static void test_read(void **state)
{
    (void)state;
    char instance[37], target[200];
    struct uuid id, expected;
    fail_a(ATTEMPT_SUCCEEDED);
    ask_letter("", "", NULL);
    assert_int_equal(answer.status, 200);
    expect_member("runId", run_id);
    expect_member("dagId", dag_id);
    expect_member("taskName", "a");
    expect_member("errorType", "exit");
    expect_member("errorMessage", "exit status 3");
    expect_member("totalAttempts", "1");
    expect_member("resolutionStatus", "pending");
    expect_member("resolvedAt", "null");
    expect_member("logTail", "null");
    assert_non_null(strstr(answer.body.bytes, "\"command\":\"echo hi\""));
    answer_member(&answer, "taskInstanceId", instance, sizeof instance);
    assert_true(uuid_parse(run_id, &id));
    assert_true(uuid_parse(instance, &expected));
    assert_true(uuid_equal(expected, record_instance_id(id, 0)));
    write_log("one\ntwo\n");
    ask_letter("", "", NULL);
    expect_member("logTail", "one\ntwo\n");
    char many[4100];
    memset(many, 'x', sizeof many);
    memcpy(many + 4080, "\nlast line\n", 12);
    many[2500] = '\n';
    write_log(many);
    ask_letter("", "", NULL);
    char tail[4000];
    answer_member(&answer, "logTail", tail, sizeof tail);
    assert_int_equal(strlen(tail), 4091 - 2501); /* whole lines only */
    (void)snprintf(target, sizeof target, "/api/v1/dlq?dagId=%s&status=pending", dag_id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, letter_id));
    daemon_ask(daemon, "GET", "/api/v1/dlq?status=resolved", "", NULL, &answer);
    assert_string_equal(answer.body.bytes, "[]");
    daemon_ask(daemon, "GET", "/api/v1/dlq/" NOBODY, "", NULL, &answer);
    answer_expect_error(&answer, 404, "DEAD_LETTER_NOT_FOUND");
}

static void expect_states(const char *run, const char *const states[4])
{
    char target[100];
    (void)snprintf(target, sizeof target, "/api/v1/runs/%s", run);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    json_t *root = json_loads(answer.body.bytes, 0, NULL);
    for (size_t i = 0; i < 4; i++) {
        json_t *task = json_array_get(json_object_get(root, "tasks"), i);
        assert_string_equal(json_string_value(json_object_get(task, "state")), states[i]);
    }
    json_decref(root);
}

static void test_retry(void **state)
{
    (void)state;
    char made[37];
    fail_a(ATTEMPT_FAILED); /* so d cannot run with a alone */
    ask_letter("/retry", "Idempotency-Key: r\r\n", "{}");
    assert_int_equal(answer.status, 202);
    expect_member("triggeredBy", "dlq");
    answer_member(&answer, "runId", made, sizeof made);
    expect_states(made, (const char *const[]){"running", "skipped", "pending", "skipped"});
    ask_letter("/retry", "", NULL);
    answer_expect_error(&answer, 409, "ALREADY_RESOLVED");
    expect_member("details", made);
    ask_letter("/skip", "", NULL);
    answer_expect_error(&answer, 409, "ALREADY_RESOLVED");
    ask_letter("/resolve", "", NULL);
    answer_expect_error(&answer, 409, "ALREADY_RESOLVED");
    ask_letter("/retry", "Idempotency-Key: r\r\n", "{}"); /* the same request, sent again */
    assert_int_equal(answer.status, 202);
    expect_member("runId", made);
    ask_letter("", "", NULL);
    expect_member("resolutionStatus", "retried");
    expect_member("resolutionRunId", made);
    daemon_finish(daemon);
    daemon_ask(daemon, "GET", "/api/v1/dlq/stats", "", NULL, &answer);
    expect_member("retried", "1");
    expect_member("pending", "1"); /* b's letter is nobody else's to settle */
    expect_member("total", "2");
}

static void test_skip(void **state)
{
    (void)state;
    char made[37];
    fail_a(ATTEMPT_SUCCEEDED);
    ask_letter("/skip", "", "{\"reason\": \"known\"}");
    assert_int_equal(answer.status, 202);
    answer_member(&answer, "runId", made, sizeof made);
    expect_states(made, (const char *const[]){"skipped", "succeeded", "running", "running"});
    char target[100];
    (void)snprintf(target, sizeof target, "/api/v1/runs/%s/tasks/a/why", made);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    expect_member("message", "It was skipped on purpose");
    ask_letter("", "", NULL);
    expect_member("resolutionStatus", "skipped");
    expect_member("resolutionNotes", "known");
}

static void test_resolve(void **state)
{
    (void)state;
    daemon_trigger(daemon, dag_id, run_id);
    (void)daemon_add_worker(daemon, 4);
    daemon_end_task(daemon, run_id, 0, ATTEMPT_FAILED);
    find_letter();
    ask_letter("/retry", "", NULL); /* b still runs */
    answer_expect_error(&answer, 409, "RUN_ACTIVE");
    ask_letter("/resolve", "", "{\"notes\": \"by hand\", \"resolvedBy\": \"ops\"}");
    assert_int_equal(answer.status, 204);
    ask_letter("", "", NULL);
    expect_member("resolutionStatus", "resolved");
    expect_member("resolvedBy", "ops");
    expect_member("resolutionNotes", "by hand");
    expect_member("resolutionRunId", "null");
    ask_letter("/resolve", "", NULL);
    answer_expect_error(&answer, 409, "ALREADY_RESOLVED");
    expect_member("details", "null");
    memcpy(letter_id, NOBODY, sizeof letter_id);
    ask_letter("/resolve", "", NULL);
    answer_expect_error(&answer, 404, "DEAD_LETTER_NOT_FOUND");
    ask_letter("/retry", "", NULL);
    answer_expect_error(&answer, 404, "DEAD_LETTER_NOT_FOUND");
    daemon_ask(daemon, "GET", "/api/v1/dlq/stats", "", NULL, &answer);
    expect_member("oldestPendingAt", "null");
}

static void test_workers(void **state)
{
    (void)state;
    char id[37], target[100];
    daemon_ask(daemon, "GET", "/api/v1/workers", "", NULL, &answer);
    assert_string_equal(answer.body.bytes, "[]");
    uuid_format(daemon_add_worker(daemon, 2), id);
    (void)snprintf(target, sizeof target, "/api/v1/workers/%s/drain", id);
    daemon_ask(daemon, "POST", target, "", NULL, &answer);
    assert_int_equal(answer.status, 204);
    daemon_ask(daemon, "GET", "/api/v1/workers", "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, "\"status\":\"draining\""));
    assert_non_null(strstr(answer.body.bytes, "\"host\":\"here\""));
    (void)snprintf(target, sizeof target, "/api/v1/workers/%s/resume", id);
    daemon_ask(daemon, "POST", target, "", "{}", &answer);
    assert_int_equal(answer.status, 204);
    daemon_ask(daemon, "GET", "/api/v1/workers", "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, "\"status\":\"idle\""));
    daemon_ask(daemon, "POST", "/api/v1/workers/" NOBODY "/drain", "", NULL, &answer);
    answer_expect_error(&answer, 404, "WORKER_NOT_FOUND");
    daemon_trigger(daemon, dag_id, run_id);
    daemon_ask(daemon, "GET", "/api/v1/cluster", "", NULL, &answer);
    expect_member("activeRuns", "1");
    expect_member("workers", "1");
    assert_non_null(strstr(answer.body.bytes, "\"runningTasks\":2"));
}

static void expect_health(int status, const char *overall, const char *words)
{
    daemon_ask(daemon, "GET", "/health", "", NULL, &answer);
    assert_int_equal(answer.status, status);
    expect_member("status", overall);
    if (words && !strstr(answer.body.bytes, words))
        fail_msg("'%s' is not in %s", words, answer.body.bytes);
}

static void expect_probe(const char *target, int status, const char *words)
{
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, status);
    if (!strstr(answer.body.bytes, words))
        fail_msg("'%s' is not in %s", words, answer.body.bytes);
}

static void test_health(void **state)
{
    (void)state;
    expect_health(503, "failed", "there is none");
    (void)daemon_add_worker(daemon, 1);
    expect_health(200, "ok", "\"kind\":\"best-effort\"");
    expect_probe("/ready", 200, "\"ok\"");
    expect_probe("/live", 200, "\"ok\"");
    daemon->status.ready = false;
    expect_health(200, "degraded", "recovery");
    expect_probe("/ready", 503, "recovery");
    expect_probe("/live", 200, "\"ok\"");
    daemon->status.ready = true;
    daemon->status.draining = true;
    expect_probe("/ready", 503, "stopping");
    daemon->status.draining = false;
    daemon->status.turn_age_ms = 6000;
    expect_health(200, "degraded", "6000 ms");
    expect_probe("/live", 200, "\"ok\"");
    daemon->status.turn_age_ms = 61000;
    expect_health(503, "failed", "61000 ms");
    expect_probe("/live", 503, "61000 ms");
    daemon->status.turn_age_ms = 0;
    daemon->status.workers_wanted = 2;
    expect_health(200, "degraded", "1 of 2");
    daemon->status.workers_wanted = 1;
    store_memory_set_room(daemon->store, STORE_ROOM_LOW);
    expect_health(200, "degraded", "the disk is full");
    expect_probe("/ready", 503, "the disk is full");
    store_memory_set_room(daemon->store, STORE_ROOM_NONE);
    expect_health(503, "failed", "the disk is full");
}

static void test_metrics(void **state)
{
    (void)state;
    fail_a(ATTEMPT_SUCCEEDED);
    daemon_ask(daemon, "GET", "/api/v1/nothing", "", NULL, &answer);
    daemon_ask(daemon, "GET", "/metrics", "", NULL, &answer);
    static const char *const lines[] = {
        "\nscheduler_runs_created_total 1\n",
        "\nscheduler_runs_total{state=\"failed\"} 1\n",
        "\nscheduler_attempts_total{state=\"failed\"} 1\n",
        "\nscheduler_attempts_total{state=\"succeeded\"} 1\n",
        "\nscheduler_attempt_cpu_seconds_total 0.003000\n",
        "\nscheduler_tasks_total{type=\"shell\",outcome=\"succeeded\"} 1\n",
        "\nscheduler_tasks_total{type=\"shell\",outcome=\"failed\"} 1\n",
        "\nscheduler_tasks_total{type=\"python\",outcome=\"failed\"} 0\n",
        "\nscheduler_attempt_duration_seconds_count{type=\"shell\"} 2\n",
        "\nscheduler_run_duration_seconds_count 1\n",
        "\nscheduler_run_duration_seconds_bucket{le=\"+Inf\"} 1\n",
        "\nscheduler_retries_total 0\n",
        "\nscheduler_worker_queue_depth{worker=\"1\"} 0\n",
        "\nscheduler_worker_running_tasks{worker=\"1\"} 0\n",
        "\nscheduler_slot_utilisation_ratio 0.0000\n",
        "\nscheduler_http_request_duration_seconds_count{operation=\"createDag\"} 1\n",
        "\nscheduler_dead_letters{status=\"pending\"} 1\n",
        "\nscheduler_dags 1\n",
        "\nscheduler_workers{state=\"idle\"} 1\n",
        "\nscheduler_store_up 1\n",
        "\nscheduler_http_requests_total{operation=\"createDag\",status=\"2xx\"} 1\n",
        "\nscheduler_http_requests_total{operation=\"none\",status=\"4xx\"} 1\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(answer.body.bytes, lines[i]))
            fail_msg("no line%sin:\n%s", lines[i], answer.body.bytes);
    /* every line is a comment or one of ours */
    for (const char *line = answer.body.bytes; *line; line = strchr(line, '\n') + 1)
        assert_true(strncmp(line, "# HELP scheduler_", 17) == 0 || strncmp(line, "# TYPE scheduler_", 17) == 0
                    || strncmp(line, "scheduler_", 10) == 0);
}

static void test_without_store(void **state)
{
    (void)state;
    struct daemon *bare = daemon_new(&(struct daemon_options){.no_store = true, .no_engine = true});
    daemon_ask(bare, "GET", "/api/v1/runs", "", NULL, &answer);
    answer_expect_error(&answer, 503, "STORE_FAILED");
    daemon_ask(bare, "GET", "/health", "", NULL, &answer);
    assert_int_equal(answer.status, 503);
    daemon_ask(bare, "POST", "/api/v1/workers/" NOBODY "/drain", "", NULL, &answer);
    answer_expect_error(&answer, 503, "STOPPING");
    daemon_free(bare);
}

static void test_store_failed(void **state)
{
    (void)state;
    store_memory_fail_next(daemon->store, ERROR_STORE_FAILED);
    struct batch *batch = record_batch_new(1000000);
    assert_int_equal(store_commit(daemon->store, &batch, 1, NULL), ERROR_STORE_FAILED);
    record_batch_free(batch);
    static const char *const targets[] = {"/api/v1/dags", "/api/v1/runs", "/api/v1/dlq", "/api/v1/runs/" NOBODY,
                                          "/api/v1/dags/" NOBODY "/source", "/api/v1/dlq/stats"};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        daemon_ask(daemon, "GET", targets[i], "", NULL, &answer);
        answer_expect_error(&answer, 503, "STORE_FAILED");
    }
    expect_health(503, "failed", NULL);
    expect_probe("/ready", 503, "status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_retry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_skip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resolve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_workers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_health, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_metrics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_failed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
