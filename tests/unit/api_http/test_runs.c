/* Runs over HTTP: made, read live and from the store, canceled, made again. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define NOBODY "01890000-0000-7000-8000-000000000000"

/* a and b are free, c needs both, d needs c */
static const char diamond[] = "tasks:\n"
                              "  - {id: a, type: shell, command: 'true'}\n"
                              "  - {id: b, name: Bee, type: shell, command: 'true', timeout: none}\n"
                              "  - {id: c, type: shell, command: 'true', dependencies: [a, b]}\n"
                              "  - {id: d/e, type: shell, command: 'true', dependencies: [c]}\n";
enum { A, B, C, D };

static struct daemon *daemon;
static struct answer answer;
static char dag_id[37], run_id[37];

static int set_up(void **state)
{
    (void)state;
    daemon = daemon_new(NULL);
    daemon_make_dag(daemon, "diamond", diamond, dag_id);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answer_fini(&answer);
    daemon_free(daemon);
    return 0;
}

/* "%s" in the target stands for run_id. */
static void ask(const char *method, const char *target, const char *headers, const char *body)
{
    char text[300];
    const char *mark = strstr(target, "%s");
    (void)snprintf(text, sizeof text, "%.*s%s%s", mark ? (int)(mark - target) : 200, target, mark ? run_id : "",
                   mark ? mark + 2 : "");
    daemon_ask(daemon, method, text, headers, body, &answer);
}

static void expect_member(const char *name, const char *value)
{
    char text[4000];
    answer_member(&answer, name, text, sizeof text);
    assert_string_equal(text, value);
}

/* A member of one task of a RunStatus. */
static void expect_task(size_t index, const char *name, const char *value)
{
    json_t *root = json_loads(answer.body.bytes, 0, NULL);
    json_t *item = json_object_get(json_array_get(json_object_get(root, "tasks"), index), name);
    char *text = json_dumps(item, JSON_ENCODE_ANY);
    assert_non_null(text);
    assert_string_equal(text, value);
    free(text);
    json_decref(root);
}

static void expect_states(const char *const states[4])
{
    char quoted[20];
    ask("GET", "/api/v1/runs/%s", "", NULL);
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", states[i]);
        expect_task(i, "state", quoted);
    }
}

static void test_trigger(void **state)
{
    (void)state;
    char target[100], text[100];
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/runs", dag_id);
    ask("POST", target, "", NULL);
    assert_int_equal(answer.status, 202);
    expect_member("dagId", dag_id);
    expect_member("state", "pending");
    expect_member("triggeredBy", "api");
    expect_member("version", "1");
    expect_member("startedAt", "null");
    answer_member(&answer, "runId", run_id, sizeof run_id);
    (void)snprintf(text, sizeof text, "/api/v1/runs/%s", run_id);
    assert_string_equal(answer_header(&answer, "Location"), text);
    ask("POST", target, "User-Agent: pawl/0.1\r\n", "{}");
    expect_member("triggeredBy", "cli");
    ask("POST", "/api/v1/dags/" NOBODY "/runs", "", NULL);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
}

static void test_trigger_same_key(void **state)
{
    (void)state;
    char target[100], first[37];
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/runs", dag_id);
    ask("POST", target, "Idempotency-Key: k\r\n", NULL);
    answer_member(&answer, "runId", first, sizeof first);
    (void)daemon_add_worker(daemon, 2);
    daemon_finish(daemon);
    ask("POST", target, "Idempotency-Key: k\r\n", "{}");
    assert_int_equal(answer.status, 202);
    expect_member("runId", first);
    expect_member("state", "succeeded"); /* as it is now */
    ask("POST", target, "Idempotency-Key: other\r\n", NULL);
    answer_member(&answer, "runId", run_id, sizeof run_id);
    assert_string_not_equal(run_id, first);
    daemon_finish(daemon);
    ask("POST", "/api/v1/runs/%s/rerun", "Idempotency-Key: k\r\n", "{\"from\": \"all\"}");
    answer_expect_error(&answer, 422, "IDEMPOTENCY_MISMATCH");
    ask("POST", "/api/v1/runs/%s/rerun", "Idempotency-Key: r\r\n", "{\"from\": \"all\"}");
    answer_member(&answer, "runId", first, sizeof first);
    ask("POST", "/api/v1/runs/%s/rerun", "Idempotency-Key: r\r\n", "{\"from\": \"all\"}");
    expect_member("runId", first);
    ask("POST", "/api/v1/runs/%s/rerun", "Idempotency-Key: r\r\n", "{\"from\": \"task\", \"taskId\": \"a\"}");
    answer_expect_error(&answer, 422, "IDEMPOTENCY_MISMATCH");
    daemon_finish(daemon);
    char dag[100];
    (void)snprintf(dag, sizeof dag, "/api/v1/dags/%s", dag_id);
    ask("DELETE", dag, "", NULL);
    assert_int_equal(answer.status, 204);
    ask("POST", "/api/v1/runs/%s/rerun", "Idempotency-Key: r\r\n", "{\"from\": \"all\"}");
    expect_member("runId", first); /* though nothing new can be made */
    ask("POST", target, "Idempotency-Key: other\r\n", NULL);
    expect_member("runId", run_id);
    ask("POST", target, "Idempotency-Key: third\r\n", NULL);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
}

static void test_full_and_stopping(void **state)
{
    (void)state;
    struct daemon *small = daemon_new(&(struct daemon_options){.active_runs_max = 1});
    char id[37], target[100];
    daemon_make_dag(small, "one", diamond, id);
    daemon_trigger(small, id, run_id);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/runs", id);
    daemon_ask(small, "POST", target, "", NULL, &answer);
    answer_expect_error(&answer, 503, "FULL");
    assert_string_equal(answer_header(&answer, "Retry-After"), "1");
    engine_set_draining(small->engine, true);
    daemon_ask(small, "POST", target, "", NULL, &answer);
    answer_expect_error(&answer, 503, "STOPPING");
    daemon_free(small);
}

static void test_status(void **state)
{
    (void)state;
    daemon_trigger(daemon, dag_id, run_id);
    expect_states((const char *const[]){"queued", "queued", "pending", "pending"});
    (void)daemon_add_worker(daemon, 1);
    expect_states((const char *const[]){"running", "queued", "pending", "pending"});
    expect_task(A, "attempt", "1");
    expect_task(B, "attempt", "0");
    expect_task(B, "name", "\"Bee\"");
    expect_task(B, "workerId", "null");
    expect_task(A, "exitCode", "null");
    expect_member("counts", "{\"pending\":2,\"queued\":1,\"running\":1,\"succeeded\":0,\"failed\":0,\"skipped\":0,"
                            "\"canceled\":0}");
    assert_null(answer_header(&answer, "ETag"));
    daemon_end_task(daemon, run_id, A, ATTEMPT_SUCCEEDED);
    ask("GET", "/api/v1/runs/%s", "", NULL);
    expect_task(A, "state", "\"succeeded\"");
    expect_task(A, "exitCode", "0");
    expect_task(A, "cpuSeconds", "0.0015");
    expect_task(A, "maxRssBytes", "4096");
    daemon_end_task(daemon, run_id, B, ATTEMPT_FAILED);
    /* ended: from the store */
    expect_states((const char *const[]){"succeeded", "failed", "skipped", "skipped"});
    expect_member("state", "failed");
    expect_task(B, "error", "\"exit status 3\"");
    expect_task(B, "errorType", "\"exit\"");
    expect_task(B, "exitCode", "3");
    expect_task(C, "attempt", "0");
    expect_task(C, "completedAt", "null");
    char headers[100];
    (void)snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", answer_header(&answer, "ETag"));
    ask("GET", "/api/v1/runs/%s", headers, NULL);
    assert_int_equal(answer.status, 304);
    ask("GET", "/api/v1/runs/%s?taskLimit=1", headers, NULL);
    assert_int_equal(answer.status, 200);
}

static void test_status_of_some_tasks(void **state)
{
    (void)state;
    daemon_trigger(daemon, dag_id, run_id);
    for (int ended = 0; ended < 2; ended++) {
        ask("GET", "/api/v1/runs/%s?taskLimit=0", "", NULL);
        expect_member("tasks", "[]");
        ask("GET", "/api/v1/runs/%s?taskLimit=1&taskAfter=b", "", NULL);
        expect_task(0, "taskId", "\"c\"");
        assert_null(strstr(answer.body.bytes, "d/e"));
        ask("GET", "/api/v1/runs/%s?taskAfter=d%2Fe", "", NULL);
        expect_member("tasks", "[]");
        ask("GET", ended ? "/api/v1/runs/%s?taskState=succeeded&taskAfter=a" : "/api/v1/runs/%s?taskState=pending", "",
            NULL);
        expect_task(0, "taskId", ended ? "\"b\"" : "\"c\"");
        ask("GET", "/api/v1/runs/%s?taskState=failed", "", NULL);
        expect_member("tasks", "[]");
        ask("GET", "/api/v1/runs/%s?taskAfter=z", "", NULL);
        answer_expect_error(&answer, 400, "BAD_REQUEST");
        if (!ended)
            (void)daemon_add_worker(daemon, 2);
        daemon_finish(daemon);
    }
    ask("GET", "/api/v1/runs/" NOBODY, "", NULL);
    answer_expect_error(&answer, 404, "RUN_NOT_FOUND");
}

/* What a command line reads when no daemon runs: an active run, from the store alone. */
static void test_status_without_engine(void **state)
{
    (void)state;
    struct buf body = BUF_INIT;
    struct error err;
    char target[100];
    int status = 0;
    daemon_trigger(daemon, dag_id, run_id);
    (void)daemon_add_worker(daemon, 2);
    daemon_end_task(daemon, run_id, A, ATTEMPT_FAILED);
    const struct api_config config = {.data_dir = "/nonexistent"};
    const struct api_backend backend = {.store = daemon->store};
    struct api *api = api_new(&config, &backend);
    (void)snprintf(target, sizeof target, "/api/v1/runs/%s", run_id);
    assert_int_equal(api_get(api, target, &body, &status, &err), 0);
    assert_int_equal(status, 200);
    buf_fini(&answer.body);
    answer.body = body;
    (void)buf_text(&answer.body);
    expect_task(A, "state", "\"failed\"");
    expect_task(B, "state", "\"running\"");
    expect_task(C, "state", "\"skipped\"");
    expect_task(D, "state", "\"skipped\"");
    body = BUF_INIT;
    assert_int_equal(api_get(api, "/api/v1/runs?limit=0", &body, &status, &err), 0);
    assert_int_equal(status, 400);
    buf_clear(&body);
    assert_int_equal(api_get(api, "/api/v1/events", &body, &status, &err), 0);
    assert_int_equal(status, 400);
    buf_fini(&body);
    api_free(api);
}

/* More tasks than are sent in one piece: live and ended, the stream is what one piece would be. */
static void test_status_of_many_tasks(void **state)
{
    (void)state;
    struct buf yaml = BUF_INIT, body = BUF_INIT;
    struct error err;
    char id[37], target[100];
    int status = 0;
    buf_add_text(&yaml, "tasks:\n  - {id: first, type: shell, command: x}\n");
    for (int i = 0; i < 20500; i++)
        buf_printf(&yaml, "  - {id: t%d, type: shell, command: x, dependencies: [first]}\n", i);
    daemon_make_dag(daemon, "many", buf_text(&yaml), id);
    daemon_trigger(daemon, id, run_id);
    (void)daemon_add_worker(daemon, 1);
    (void)snprintf(target, sizeof target, "/api/v1/runs/%s", run_id);
    for (int ended = 0; ended < 2; ended++) {
        daemon_ask(daemon, "GET", target, "", NULL, &answer);
        assert_int_equal(answer.status, 200);
        assert_non_null(answer_header(&answer, "Transfer-Encoding"));
        assert_int_equal(api_get(daemon->api, target, &body, &status, &err), 0);
        assert_int_equal(body.len, answer.body.len);
        assert_memory_equal(body.bytes, answer.body.bytes, body.len);
        expect_member("state", ended ? "failed" : "running");
        expect_task(20500, "state", ended ? "\"skipped\"" : "\"pending\"");
        buf_clear(&body);
        daemon_ask(daemon, "HEAD", target, "", NULL, &answer);
        assert_int_equal(answer.status, 200);
        if (!ended)
            daemon_end_task(daemon, run_id, 0, ATTEMPT_FAILED);
    }
    buf_fini(&yaml);
    buf_fini(&body);
}

/* An ended run that was read before: the same bytes, for each way of asking its own. */
static void test_status_again(void **state)
{
    (void)state;
    struct buf yaml = BUF_INIT, first = BUF_INIT;
    char id[37];
    buf_add_text(&yaml, "tasks:\n");
    for (int i = 0; i < 90; i++)
        buf_printf(&yaml, "  - {id: t%d, type: shell, command: x}\n", i);
    daemon_make_dag(daemon, "wide", buf_text(&yaml), id);
    daemon_trigger(daemon, id, run_id);
    (void)daemon_add_worker(daemon, 100);
    for (uint32_t i = 0; i < 90; i++) {
        ask("GET", "/api/v1/runs/%s", "", NULL);
        expect_task(i, "state", "\"running\"");
        daemon_end_task(daemon, run_id, i, i % 2 ? ATTEMPT_FAILED : ATTEMPT_SUCCEEDED);
    }
    ask("GET", "/api/v1/runs/%s", "", NULL);
    buf_add(&first, answer.body.bytes, answer.body.len);
    assert_true(first.len >= 32 * 1024);
    ask("GET", "/api/v1/runs/%s", "", NULL);
    assert_int_equal(answer.body.len, first.len);
    assert_memory_equal(answer.body.bytes, first.bytes, first.len);
    ask("GET", "/api/v1/runs/%s?taskState=failed", "", NULL);
    expect_task(0, "taskId", "\"t1\"");
    ask("GET", "/api/v1/runs/%s?taskState=succeeded", "", NULL);
    expect_task(0, "taskId", "\"t0\"");
    ask("GET", "/api/v1/runs/%s?taskAfter=t4", "", NULL);
    expect_task(0, "taskId", "\"t5\"");
    buf_fini(&yaml);
    buf_fini(&first);
}

static void test_lists(void **state)
{
    (void)state;
    char other[37], second[37], target[200];
    daemon_make_dag(daemon, "other", diamond, other);
    daemon_trigger(daemon, dag_id, run_id);
    (void)daemon_add_worker(daemon, 4);
    daemon_finish(daemon);
    daemon_trigger(daemon, other, second);
    ask("GET", "/api/v1/runs", "", NULL);
    assert_true(strstr(answer.body.bytes, second) < strstr(answer.body.bytes, run_id));
    (void)snprintf(target, sizeof target, "/api/v1/runs?dagId=%s", dag_id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_null(strstr(answer.body.bytes, second));
    assert_non_null(strstr(answer.body.bytes, run_id));
    ask("GET", "/api/v1/runs?state=running", "", NULL);
    assert_null(strstr(answer.body.bytes, run_id));
    assert_non_null(strstr(answer.body.bytes, second));
    (void)snprintf(target, sizeof target, "/api/v1/runs?before=%s", second);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_null(strstr(answer.body.bytes, second));
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/runs?state=running", other);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, second));
    (void)snprintf(target, sizeof target, "/api/v1/runs?id=%s", run_id + 28);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, run_id));
    assert_null(strstr(answer.body.bytes, second));
    (void)snprintf(target, sizeof target, "/api/v1/runs?id=%s&state=running", run_id + 28);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_string_equal(answer.body.bytes, "[]");
    ask("GET", "/api/v1/dags/" NOBODY "/runs", "", NULL);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
}

static void test_cancel(void **state)
{
    (void)state;
    daemon_trigger(daemon, dag_id, run_id);
    (void)daemon_add_worker(daemon, 1);
    for (int i = 0; i < 2; i++) { /* again is no error */
        ask("POST", "/api/v1/runs/%s/cancel", "", NULL);
        assert_int_equal(answer.status, 202);
        expect_member("state", "running");
    }
    ask("GET", "/api/v1/runs/%s", "", NULL);
    expect_task(A, "state", "\"running\"");
    daemon_end_task(daemon, run_id, A, ATTEMPT_CANCELED);
    ask("POST", "/api/v1/runs/%s/cancel", "", NULL);
    answer_expect_error(&answer, 409, "RUN_FINISHED");
    ask("GET", "/api/v1/runs/%s", "", NULL);
    expect_member("state", "canceled");
    ask("POST", "/api/v1/runs/" NOBODY "/cancel", "", NULL);
    answer_expect_error(&answer, 404, "RUN_NOT_FOUND");
}

static void fail_b(void)
{
    daemon_trigger(daemon, dag_id, run_id);
    (void)daemon_add_worker(daemon, 2);
    daemon_end_task(daemon, run_id, B, ATTEMPT_FAILED);
    daemon_end_task(daemon, run_id, A, ATTEMPT_SUCCEEDED);
}

static void test_rerun(void **state)
{
    (void)state;
    char source[41];
    fail_b();
    (void)snprintf(source, sizeof source, "\"%s\"", run_id);
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"failed\"}");
    assert_int_equal(answer.status, 202);
    expect_member("triggeredBy", "rerun");
    answer_member(&answer, "runId", run_id, sizeof run_id);
    expect_states((const char *const[]){"succeeded", "running", "pending", "pending"});
    expect_task(A, "keptFrom", source);
    expect_task(A, "attempt", "0");
    expect_task(B, "keptFrom", "null");
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"failed\"}");
    answer_expect_error(&answer, 409, "RUN_ACTIVE");
    daemon_finish(daemon);
    expect_states((const char *const[]){"succeeded", "succeeded", "succeeded", "succeeded"});
    expect_task(A, "keptFrom", source); /* from the store too */
    expect_task(B, "keptFrom", "null");
    ask("GET", "/api/v1/dlq?status=retried", "", NULL);
    assert_string_not_equal(answer.body.bytes, "[]"); /* the source's letter is settled */
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"failed\"}");
    answer_expect_error(&answer, 409, "NOTHING_TO_RERUN");
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"task\"}");
    answer_expect_error(&answer, 400, "BAD_REQUEST");
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"all\", \"taskId\": \"a\"}");
    answer_expect_error(&answer, 400, "BAD_REQUEST");
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"task\", \"taskId\": \"zz\"}");
    answer_expect_error(&answer, 404, "TASK_NOT_FOUND");
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"task\", \"taskId\": \"c\"}");
    answer_member(&answer, "runId", run_id, sizeof run_id);
    expect_states((const char *const[]){"succeeded", "succeeded", "running", "pending"});
}

static void test_rerun_latest(void **state)
{
    (void)state;
    char target[100];
    fail_b();
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s", dag_id);
    daemon_ask(daemon, "PUT", target, "", "{\"yaml\": \"tasks:\\n- {id: b, type: shell, command: fixed}\\n"
               "- {id: a, type: shell, command: 'true'}\\n- {id: n, type: shell, command: 'true'}\\n\"}", &answer);
    assert_int_equal(answer.status, 200);
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"failed\", \"version\": \"latest\"}");
    assert_int_equal(answer.status, 202);
    expect_member("version", "2");
    answer_member(&answer, "runId", run_id, sizeof run_id);
    ask("GET", "/api/v1/runs/%s", "", NULL);
    expect_task(0, "state", "\"running\"");
    expect_task(1, "state", "\"succeeded\""); /* a, kept under its id */
    expect_task(2, "state", "\"running\"");
    daemon_finish(daemon);
    daemon_ask(daemon, "DELETE", target, "", NULL, &answer);
    assert_int_equal(answer.status, 204);
    ask("POST", "/api/v1/runs/%s/rerun", "", "{\"from\": \"all\"}");
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
}

static void expect_why(const char *task, const char *waits, const char *words)
{
    char target[200], text[1000];
    (void)snprintf(target, sizeof target, "/api/v1/runs/%s/tasks/%s/why", run_id, task);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    expect_member("waitsFor", waits);
    answer_member(&answer, "message", text, sizeof text);
    if (!strstr(text, words))
        fail_msg("'%s' is not in '%s'", words, text);
}

static void test_why(void **state)
{
    (void)state;
    daemon_trigger(daemon, dag_id, run_id);
    expect_why("a", "slot", "there is none");
    struct uuid worker = daemon_add_worker(daemon, 1);
    expect_why("a", "running", "its timeout ends it");
    expect_why("b", "slot", "1 of 1 are taken and 1 task is ready");
    expect_why("c", "dependencies", "2 of its 2 dependencies, first of all for 'a', which is running");
    expect_member("dependencyCount", "2");
    expect_why("d%2Fe", "dependencies", "'c', which is pending");
    daemon_end_task(daemon, run_id, A, ATTEMPT_SUCCEEDED);
    expect_why("a", "ended", "It succeeded");
    expect_why("b", "running", "no timeout");
    expect_member("until", "null");
    expect_why("c", "dependencies", "1 of its 2");
    daemon_end_task(daemon, run_id, B, ATTEMPT_FAILED);
    expect_why("b", "ended", "It failed in attempt 1: exit status 3");
    expect_why("d%2Fe", "ended", "because 'b', which it needs, failed");
    expect_member("dependencies", "[{\"taskId\":\"b\",\"state\":\"failed\"}]");
    ask("GET", "/api/v1/runs/%s/tasks/zz/why", "", NULL);
    answer_expect_error(&answer, 404, "TASK_NOT_FOUND");
    (void)engine_set_worker_draining(daemon->engine, worker, true);
    daemon_trigger(daemon, dag_id, run_id);
    expect_why("a", "slot", "all of them are draining");
    daemon->status.draining = true;
    expect_why("a", "slot", "starts nothing new");
    ask("POST", "/api/v1/runs/%s/cancel", "", NULL);
    expect_why("a", "ended", "The run was canceled");
}

static void test_why_retry(void **state)
{
    (void)state;
    char id[37];
    daemon_make_dag(daemon, "again",
                    "tasks: [{id: a, type: shell, command: x, retry: {initialDelay: 1h, maxDelay: 1h}}]", id);
    daemon_trigger(daemon, id, run_id);
    (void)daemon_add_worker(daemon, 1);
    daemon_end_task(daemon, run_id, A, ATTEMPT_FAILED);
    expect_why("a", "retry", "after attempt 1: exit status 3");
    char until[100];
    answer_member(&answer, "until", until, sizeof until);
    ask("GET", "/api/v1/runs/%s", "", NULL);
    expect_task(A, "state", "\"pending\"");
    char quoted[110];
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", until);
    expect_task(A, "nextAttemptAt", quoted);
    daemon_pass(daemon, 2 * 3600 * 1000);
    ask("GET", "/api/v1/runs/%s", "", NULL);
    expect_task(A, "attempt", "2");
    expect_task(A, "nextAttemptAt", "null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trigger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trigger_same_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_and_stopping, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_status_of_some_tasks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_status_without_engine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_status_of_many_tasks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_status_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rerun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rerun_latest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_why_retry, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
