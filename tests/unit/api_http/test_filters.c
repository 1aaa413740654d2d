/* Lists of runs by filters, and many runs at once. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"

static const char one[] = "tasks: [{id: a, type: shell, command: x}, {id: b, type: shell, command: x}]\n";

static struct daemon *daemon;
static struct answer answer;
static char dag_id[37], other_dag[37], ids[4][37];

/* Newest last: 0 succeeded, 1 failed, 2 failed of the other DAG, 3 runs. */
static int set_up(void **state)
{
    (void)state;
    daemon = daemon_new(NULL);
    daemon_make_dag(daemon, "one", one, dag_id);
    daemon_make_dag(daemon, "other", one, other_dag);
    (void)daemon_add_worker(daemon, 2);
    daemon_trigger(daemon, dag_id, ids[0]);
    daemon_finish(daemon);
    for (int i = 1; i < 3; i++) {
        daemon_pass(daemon, 1000);
        daemon_trigger(daemon, i == 1 ? dag_id : other_dag, ids[i]);
        daemon_end_task(daemon, ids[i], 0, ATTEMPT_FAILED);
        daemon_finish(daemon);
    }
    daemon_pass(daemon, 1000);
    daemon_trigger(daemon, dag_id, ids[3]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answer_fini(&answer);
    daemon_free(daemon);
    return 0;
}

/* Runs of the answer as digits, "32" is ids[3], ids[2]. */
static void expect_list(const char *digits)
{
    char got[40] = "";
    assert_int_equal(answer.status, 200);
    json_t *root = json_loadb(answer.body.bytes, answer.body.len, 0, NULL);
    for (size_t i = 0; i < json_array_size(root); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(root, i), "runId"));
        for (int k = 0; k < 4; k++)
            if (strcmp(ids[k], id) == 0)
                (void)snprintf(got + i, sizeof got - i, "%d", k);
    }
    json_decref(root);
    assert_string_equal(got, digits);
}

static void list(const char *query, const char *digits)
{
    char target[300];
    (void)snprintf(target, sizeof target, "/api/v1/runs?%s", query);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    expect_list(digits);
}

/* The time of a run as a query has it, plus some. */
static const char *time_of(int run, int64_t plus_ms)
{
    static char text[40];
    struct uuid id;
    int64_t time_ms = 0;
    assert_true(uuid_parse(ids[run], &id));
    for (int i = 0; i < 6; i++)
        time_ms = time_ms << 8 | id.bytes[i];
    clock_format_utc(time_ms + plus_ms, text);
    return text;
}

static void test_filters(void **state)
{
    (void)state;
    char query[200];
    list("", "3210");
    assert_null(answer_header(&answer, "X-Next-Before"));
    list("state=failed", "21");
    list("state=failed,running,pending", "321");
    list("state=succeeded,failed,canceled", "210");
    list("triggeredBy=api", "3210");
    list("triggeredBy=cli,schedule", "");
    list("error=TASK", "21");
    list("error=no%20such%20words", "");
    (void)snprintf(query, sizeof query, "createdAfter=%s", time_of(1, 0));
    list(query, "321");
    (void)snprintf(query, sizeof query, "createdAfter=%s&state=failed,running", time_of(1, 1));
    list(query, "32");
    (void)snprintf(query, sizeof query, "createdBefore=%s", time_of(1, 0));
    list(query, "0");
    (void)snprintf(query, sizeof query, "createdBefore=%s&dagId=%s", time_of(3, 0), dag_id);
    list(query, "10");
    list("createdBefore=1970-01-01T00:00:00Z", "");
    list("limit=2", "32");
    (void)snprintf(query, sizeof query, "limit=2&before=%s", answer_header(&answer, "X-Next-Before"));
    list(query, "10");
    (void)snprintf(query, sizeof query, "limit=1&error=task&before=%s", ids[3]);
    list(query, "2");
    assert_string_equal(answer_header(&answer, "X-Next-Before"), ids[2]);
    (void)snprintf(query, sizeof query, "/api/v1/dags/%s/runs?state=failed&error=task", other_dag);
    daemon_ask(daemon, "GET", query, "", NULL, &answer);
    expect_list("2");
    static const char *const bad[] = {"state=", "state=failed,", "state=failed,x", "triggeredBy=api,,cli", "error=",
                                      "createdAfter=yesterday"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(query, sizeof query, "/api/v1/runs?%s", bad[i]);
        daemon_ask(daemon, "GET", query, "", NULL, &answer);
        answer_expect_error(&answer, 400, "BAD_REQUEST");
    }
}

static void test_shape(void **state)
{
    (void)state;
    list("", "3210");
    json_t *root = json_loadb(answer.body.bytes, answer.body.len, 0, NULL);
    json_t *failed = json_array_get(root, 1), *active = json_array_get(root, 0);
    assert_string_equal(json_string_value(json_object_get(failed, "dagName")), "other");
    assert_non_null(json_string_value(json_object_get(failed, "error")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(failed, "counts"), "failed")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(failed, "counts"), "succeeded")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(active, "counts"), "running")), 2);
    assert_int_equal(json_integer_value(json_object_get(active, "taskCount")), 2);
    json_decref(root);
}

static void bulk(const char *body, int matched, int done, int skipped)
{
    char text[20];
    daemon_ask(daemon, "POST", "/api/v1/runs/bulk", "", body, &answer);
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "matched", text, sizeof text);
    assert_int_equal(strtol(text, NULL, 10), matched);
    answer_member(&answer, "done", text, sizeof text);
    assert_int_equal(strtol(text, NULL, 10), done);
    answer_member(&answer, "skipped", text, sizeof text);
    assert_int_equal(strtol(text, NULL, 10), skipped);
}

static void test_bulk_cancel(void **state)
{
    (void)state;
    char body[300];
    bulk("{\"action\": \"cancel\", \"dryRun\": true}", 1, 0, 0);
    (void)snprintf(body, sizeof body, "{\"action\": \"cancel\", \"filter\": {\"dagId\": \"%s\"}}", other_dag);
    bulk(body, 0, 0, 0);
    bulk("{\"action\": \"cancel\", \"filter\": {\"state\": [\"failed\"]}}", 0, 0, 0); /* ended: nothing to cancel */
    bulk("{\"action\": \"cancel\"}", 1, 1, 0);
    daemon_ask(daemon, "GET", "/api/v1/runs?limit=1", "", NULL, &answer);
    assert_null(strstr(answer.body.bytes, "\"cancelRequestedAt\":null"));
}

static void test_bulk_rerun(void **state)
{
    (void)state;
    char body[300], text[20];
    bulk("{\"action\": \"rerun\", \"dryRun\": true}", 2, 0, 0); /* the failed ones */
    bulk("{\"action\": \"rerun\", \"dryRun\": true, \"max\": 1}", 1, 0, 0);
    answer_member(&answer, "more", text, sizeof text);
    assert_string_equal(text, "true");
    bulk("{\"action\": \"rerun\", \"filter\": {\"error\": \"no such\"}}", 0, 0, 0);
    bulk("{\"action\": \"rerun\", \"filter\": {\"triggeredBy\": [\"cli\"]}}", 0, 0, 0);
    bulk("{\"action\": \"rerun\", \"filter\": {\"state\": [\"succeeded\"]}}", 1, 0, 1); /* nothing of it failed */
    bulk("{\"action\": \"rerun\", \"filter\": {\"state\": [\"succeeded\"]}, \"from\": \"all\"}", 1, 1, 0);
    static const char by_name[] = "{\"action\": \"rerun\", \"filter\": {\"runIds\": [\"%s\", \"%s\", \"%s\", \"%s\"]}}";
    (void)snprintf(body, sizeof body, by_name, ids[1], ids[2], ids[1], ids[3]);
    bulk(body, 2, 2, 0);
    daemon_ask(daemon, "GET", "/api/v1/runs?triggeredBy=rerun", "", NULL, &answer);
    json_t *root = json_loadb(answer.body.bytes, answer.body.len, 0, NULL);
    assert_int_equal(json_array_size(root), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(root, 1), "source")), ids[1]);
    json_decref(root);
}

static void test_bulk_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}", "{\"action\": \"explode\"}", "{\"action\": \"rerun\", \"from\": \"task\"}",
        "{\"action\": \"rerun\", \"filter\": {\"state\": \"failed\"}}",
        "{\"action\": \"rerun\", \"filter\": {\"state\": [\"x\"]}}",
        "{\"action\": \"rerun\", \"filter\": {\"state\": [1]}}",
        "{\"action\": \"rerun\", \"filter\": {\"runIds\": [\"x\"]}}",
        "{\"action\": \"rerun\", \"filter\": {\"runIds\": {}}}", "{\"action\": \"rerun\", \"max\": 1001}",
        "{\"action\": \"rerun\", \"filter\": {\"createdAfter\": \"x\"}}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        daemon_ask(daemon, "POST", "/api/v1/runs/bulk", "", bad[i], &answer);
        answer_expect_error(&answer, 400, "BAD_REQUEST");
    }
}

/* The one dead letter on a page of those of a group. */
static void expect_letter(const char *error, const char *before, const char *run_id)
{
    char target[400];
    (void)snprintf(target, sizeof target, "/api/v1/dlq?limit=1&error=%s%s%s", error, *before ? "&before=" : "", before);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    json_t *root = json_loadb(answer.body.bytes, answer.body.len, 0, NULL);
    assert_int_equal(json_array_size(root), *run_id ? 1 : 0);
    if (*run_id)
        assert_string_equal(json_string_value(json_object_get(json_array_get(root, 0), "runId")), run_id);
    json_decref(root);
}

static void test_letters_of_a_group(void **state)
{
    (void)state;
    char error[300], before[40];
    daemon_ask(daemon, "GET", "/api/v1/dlq/groups", "", NULL, &answer);
    json_t *root = json_loadb(answer.body.bytes, answer.body.len, 0, NULL);
    assert_int_equal(json_array_size(root), 1);
    const char *group = json_string_value(json_object_get(json_array_get(root, 0), "error"));
    for (size_t len = 0; *group && len + 4 < sizeof error; group++)
        len += (size_t)snprintf(error + len, sizeof error - len, "%%%02x", (unsigned char)*group);
    json_decref(root);
    expect_letter(error, "", ids[2]);
    (void)snprintf(before, sizeof before, "%s", answer_header(&answer, "X-Next-Before"));
    expect_letter(error, before, ids[1]);
    (void)snprintf(before, sizeof before, "%s", answer_header(&answer, "X-Next-Before"));
    expect_letter(error, before, "");
    assert_null(answer_header(&answer, "X-Next-Before"));
    expect_letter("another%20error", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_filters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shape, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bulk_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bulk_rerun, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bulk_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_letters_of_a_group, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
