/* DAGs over HTTP. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "dag/dag.h"
#include "dag/dag_problem.h"

static const char one_task[] = "name: x\ntasks: [{id: a, type: shell, command: 'true'}]\n";
static const char two_tasks[] = "name: y\nschedule: '0 2 * * *'\ntasks:\n"
                                "  - {id: a, type: shell, command: 'true'}\n"
                                "  - {id: b, type: shell, command: 'true', dependencies: [a]}\n";

static void put(struct daemon *daemon, const char *id, const char *headers, const char *yaml, struct answer *answer)
{
    char target[100], body[2000];
    size_t at = 0;
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s", id);
    at += (size_t)snprintf(body, sizeof body, "{\"yaml\": \"");
    for (; *yaml; yaml++)
        at += (size_t)snprintf(body + at, sizeof body - at, *yaml == '\n' ? "\\n" : "%c", *yaml);
    (void)snprintf(body + at, sizeof body - at, "\"}");
    daemon_ask(daemon, "PUT", target, headers, body, answer);
}

static void test_create_and_read(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(NULL);
    struct answer answer = {0};
    char id[37], target[100], text[200];
    daemon_make_dag(daemon, "mine", two_tasks, id);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s", id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "name", text, sizeof text);
    assert_string_equal(text, "mine");
    answer_member(&answer, "taskCount", text, sizeof text);
    assert_string_equal(text, "2");
    answer_member(&answer, "schedule", text, sizeof text);
    assert_string_equal(text, "0 2 * * *");
    answer_member(&answer, "version", text, sizeof text);
    assert_string_equal(text, "1");
    assert_string_equal(answer_header(&answer, "ETag"), "\"1\"");
    daemon_ask(daemon, "GET", target, "If-None-Match: \"1\"\r\n", NULL, &answer);
    assert_int_equal(answer.status, 304);
    daemon_ask(daemon, "HEAD", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.len, 0);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/source", id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_string_equal(answer.body.bytes, two_tasks);
    assert_string_equal(answer_header(&answer, "Content-Type"), "application/yaml");
    answer_fini(&answer);
    daemon_free(daemon);
}

static void test_create_errors(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(NULL);
    struct answer answer = {0};
    char id[37], text[3000];
    daemon_make_dag(daemon, "mine", one_task, id);
    daemon_ask(daemon, "POST", "/api/v1/dags", "",
               "{\"name\": \"mine\", \"yaml\": \"tasks: [{id: a, type: shell, command: x}]\"}", &answer);
    answer_expect_error(&answer, 409, "DAG_EXISTS");
    daemon_ask(daemon, "POST", "/api/v1/dags", "",
               "{\"name\": \"new\", \"yaml\": \"tasks: [{id: a, type: shel, command: x}]\\nmore: 1\"}", &answer);
    answer_expect_error(&answer, 400, "PARSE_ERROR");
    answer_member(&answer, "errors", text, sizeof text);
    assert_non_null(strstr(text, "Invalid task type: shel (expected: shell, http, python)"));
    assert_non_null(strstr(text, "\"line\":2"));
    daemon_ask(daemon, "POST", "/api/v1/dags", "",
               "{\"name\": \"new\", \"yaml\": \"tasks: [{id: a, type: shell, command: x, dependencies: [b]}]\"}",
               &answer);
    answer_expect_error(&answer, 400, "VALIDATION_ERROR");
    answer_member(&answer, "errors", text, sizeof text);
    assert_non_null(strstr(text, "Task 'a' depends on 'b' which does not exist"));
    daemon_ask(daemon, "POST", "/api/v1/dags", "", "{\"name\": \"\", \"yaml\": \"\"}", &answer);
    answer_expect_error(&answer, 400, "BAD_REQUEST");
    answer_fini(&answer);
    daemon_free(daemon);
}

static void test_update(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(NULL);
    struct answer answer = {0};
    char id[37], target[100], text[2000];
    daemon_make_dag(daemon, "mine", one_task, id);
    put(daemon, id, "", one_task, &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "version", text, sizeof text);
    assert_string_equal(text, "1"); /* nothing changed */
    put(daemon, id, "If-Match: \"2\"\r\n", two_tasks, &answer);
    answer_expect_error(&answer, 412, "PRECONDITION_FAILED");
    put(daemon, id, "If-Match: W/\"1\"\r\n", two_tasks, &answer);
    answer_expect_error(&answer, 412, "PRECONDITION_FAILED");
    put(daemon, id, "If-Match: \"7\", \"1\"\r\n", two_tasks, &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "version", text, sizeof text);
    assert_string_equal(text, "2");
    answer_member(&answer, "name", text, sizeof text);
    assert_string_equal(text, "mine"); /* never renames */
    put(daemon, id, "If-Match: *\r\n", one_task, &answer);
    answer_member(&answer, "version", text, sizeof text);
    assert_string_equal(text, "3");
    put(daemon, id, "", "tasks: [", &answer);
    answer_expect_error(&answer, 400, "PARSE_ERROR");
    put(daemon, "01890000-0000-7000-8000-000000000000", "", one_task, &answer);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/source?version=2", id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_string_equal(answer.body.bytes, two_tasks);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/source?version=4", id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/versions", id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(strncmp(answer.body.bytes, "[{\"version\":3,\"taskCount\":1,", 28), 0);
    answer_fini(&answer);
    daemon_free(daemon);
}

static struct uuid raced;

/* Another client's update, between the check of If-Match and the command. */
static void update_first(struct daemon *daemon)
{
    struct dag_problems problems = {0};
    struct error err;
    const struct dag_read_options options = {.name = "mine", .tasks_max = 10, .bytes_max = 10000};
    struct batch *batch = record_batch_new(1000000);
    struct record_dag *row = &record_add(batch, RECORD_DAG_UPDATE, record_add_group(batch))->dag;
    *row = (struct record_dag){.id = raced, .name = "mine", .source = two_tasks, .source_len = strlen(two_tasks),
                               .time_ms = daemon->now_ms};
    assert_int_equal(dag_read(two_tasks, strlen(two_tasks), &options, &problems, &row->dag), 0);
    assert_int_equal(store_commit(daemon->store, &batch, 1, &err), 0);
    dag_problems_fini(&problems);
    record_batch_free(batch);
}

static void test_update_race(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(NULL);
    struct answer answer = {0};
    char id[37], text[100];
    daemon_make_dag(daemon, "mine", one_task, id);
    assert_true(uuid_parse(id, &raced));
    daemon->before_command = update_first;
    put(daemon, id, "If-Match: \"1\"\r\n", "tasks: [{id: z, type: shell, command: z}]", &answer);
    answer_expect_error(&answer, 412, "PRECONDITION_FAILED");
    daemon->before_command = update_first;
    put(daemon, id, "", "tasks: [{id: z, type: shell, command: z}]", &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "version", text, sizeof text);
    assert_string_equal(text, "4"); /* 3 was somebody else's */
    answer_fini(&answer);
    daemon_free(daemon);
}

static void test_pause(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(NULL);
    struct answer answer = {0};
    char id[37], target[100], text[200];
    daemon_make_dag(daemon, "mine", two_tasks, id);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/pause", id);
    daemon_ask(daemon, "POST", target, "", NULL, &answer);
    assert_int_equal(answer.status, 204);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s", id);
    daemon_ask(daemon, "GET", target, "If-None-Match: \"1\"\r\n", NULL, &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "paused", text, sizeof text);
    assert_string_equal(text, "true");
    assert_string_equal(answer_header(&answer, "ETag"), "\"1-paused\"");
    put(daemon, id, "If-Match: \"1-paused\"\r\n", one_task, &answer);
    assert_int_equal(answer.status, 200);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/resume", id);
    daemon_ask(daemon, "POST", target, "", "{}", &answer);
    assert_int_equal(answer.status, 204);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/resume", "01890000-0000-7000-8000-000000000000");
    daemon_ask(daemon, "POST", target, "", NULL, &answer);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    answer_fini(&answer);
    daemon_free(daemon);
}

static void test_delete(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(NULL);
    struct answer answer = {0};
    char id[37], run[37], other[37], target[100];
    (void)daemon_add_worker(daemon, 1);
    daemon_make_dag(daemon, "mine", one_task, id);
    daemon_trigger(daemon, id, run);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s", id);
    daemon_ask(daemon, "DELETE", target, "", NULL, &answer);
    answer_expect_error(&answer, 409, "DAG_HAS_ACTIVE_RUNS");
    daemon_finish(daemon);
    daemon_ask(daemon, "DELETE", target, "", NULL, &answer);
    assert_int_equal(answer.status, 204);
    daemon_ask(daemon, "DELETE", target, "", NULL, &answer);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    daemon_make_dag(daemon, "mine", one_task, other);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/runs", id);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body.bytes, run));
    daemon_ask(daemon, "POST", target, "", NULL, &answer);
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    (void)snprintf(target, sizeof target, "/api/v1/runs/%s", run);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    daemon_free(daemon);
}

static void test_list(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(NULL);
    struct answer answer = {0};
    char ids[3][37], target[100];
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        daemon_make_dag(daemon, name, one_task, ids[i]);
    }
    daemon_ask(daemon, "GET", "/api/v1/dags?limit=2", "", NULL, &answer);
    assert_true(strstr(answer.body.bytes, "\"d2\"") < strstr(answer.body.bytes, "\"d1\""));
    assert_null(strstr(answer.body.bytes, "\"d0\""));
    daemon_ask(daemon, "GET", "/api/v1/dags?offset=2", "", NULL, &answer);
    assert_null(strstr(answer.body.bytes, "\"d1\""));
    assert_non_null(strstr(answer.body.bytes, "\"d0\""));
    (void)snprintf(target, sizeof target, "/api/v1/dags?before=%s", ids[1]);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_null(strstr(answer.body.bytes, "\"d1\""));
    assert_non_null(strstr(answer.body.bytes, "\"d0\""));
    daemon_ask(daemon, "GET", "/api/v1/dags?name=d1", "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, ids[1]));
    assert_null(strstr(answer.body.bytes, ids[0]));
    (void)snprintf(target, sizeof target, "/api/v1/dags?id=%s", ids[1] + 28);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, ids[1]));
    assert_null(strstr(answer.body.bytes, ids[0]));
    daemon_ask(daemon, "GET", "/api/v1/dags?id=zz", "", NULL, &answer);
    assert_string_equal(answer.body.bytes, "[]");
    answer_fini(&answer);
    daemon_free(daemon);
}

static void test_validate(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(&(struct daemon_options){.no_store = true, .no_engine = true});
    struct answer answer = {0};
    char text[2000];
    daemon_ask(daemon, "POST", "/api/v1/dags/validate", "",
               "{\"yaml\": \"name: x\\ntasks: [{id: a, type: shell, command: 'true'}]\"}", &answer);
    assert_string_equal(answer.body.bytes, "{\"valid\":true,\"errors\":[],\"warnings\":[]}");
    daemon_ask(daemon, "POST", "/api/v1/dags/validate", "",
               "{\"yaml\": \"name: x\\ntasks: [{id: a, type: shell, command: 'echo ${env.X}'}]\"}", &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "warnings", text, sizeof text);
    assert_string_not_equal(text, "[]");
    daemon_ask(daemon, "POST", "/api/v1/dags/validate", "", "{\"yaml\": \"\"}", &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "valid", text, sizeof text);
    assert_string_equal(text, "false");
    answer_member(&answer, "errors", text, sizeof text);
    assert_non_null(strstr(text, "\"line\":"));
    answer_fini(&answer);
    daemon_free(daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_read), cmocka_unit_test(test_create_errors), cmocka_unit_test(test_update),
        cmocka_unit_test(test_pause),           cmocka_unit_test(test_delete),        cmocka_unit_test(test_list),
        cmocka_unit_test(test_validate),        cmocka_unit_test(test_update_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
