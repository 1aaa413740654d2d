/* Many dead letters at once: groups, and actions on all that fit. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "api/api_bulk.h"

static const char one_task[] = "tasks: [{id: a, type: shell, command: 'x'}]\n";
static struct daemon *daemon;
static struct answer answer;
static char dag_id[37], other_id[37];

static void fail_run(const char *dag)
{
    char run_id[37];
    daemon_trigger(daemon, dag, run_id);
    daemon_end_task(daemon, run_id, 0, ATTEMPT_FAILED);
}

/* Three letters of one DAG, two of another; each says "exit status 3". */
static int set_up(void **state)
{
    (void)state;
    daemon = daemon_new(NULL);
    daemon_make_dag(daemon, "one", one_task, dag_id);
    daemon_make_dag(daemon, "other", one_task, other_id);
    (void)daemon_add_worker(daemon, 8);
    for (int i = 0; i < 5; i++)
        fail_run(i < 3 ? dag_id : other_id);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answer_fini(&answer);
    daemon_free(daemon);
    return 0;
}

static void expect_bulk(const char *body, int matched, int done, int skipped)
{
    char text[40], expected[40];
    const char *const names[] = {"matched", "done", "skipped"};
    const int numbers[] = {matched, done, skipped};
    daemon_ask(daemon, "POST", "/api/v1/dlq/bulk", "", body, &answer);
    if (answer.status != 200)
        fail_msg("%s gave %d: %s", body, answer.status, answer.body.bytes);
    for (int i = 0; i < 3; i++) {
        answer_member(&answer, names[i], text, sizeof text);
        (void)snprintf(expected, sizeof expected, "%d", numbers[i]);
        assert_string_equal(text, expected);
    }
}

static void expect_pending(const char *number)
{
    char text[40];
    daemon_ask(daemon, "GET", "/api/v1/dlq/stats", "", NULL, &answer);
    answer_member(&answer, "pending", text, sizeof text);
    assert_string_equal(text, number);
}

static void test_normalise(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"exit status 3", "exit status N"},
        {"took 1.5s of 20m", "took N.Ns of Nm"},
        {"run 01936000-0000-7000-8000-000000000000 failed", "run ID failed"},
        {"commit deadbeef1 is bad", "commit ID is bad"},
        {"a decade of facade", "a decade of facade"}, /* words, although of hexadecimal digits */
        {"port 12345678", "port N"},
        {"cannot open /srv/data/2026-11-24/x.csv: no such file", "cannot open PATH: no such file"},
        {"'/tmp/a b'", "'PATH b'"},
        {"and/or 3 / 4", "and/or N / N"},
        {"\xc3\xa4 7", "\xc3\xa4 N"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out = BUF_INIT;
        api_bulk_normalise(cases[i].text, &out);
        assert_string_equal(buf_text(&out), cases[i].expected);
        buf_fini(&out);
    }
}

static json_t *groups(const char *query, size_t count)
{
    char target[200];
    (void)snprintf(target, sizeof target, "/api/v1/dlq/groups%s", query);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    json_t *root = json_loads(answer.body.bytes, 0, NULL);
    assert_int_equal(json_array_size(root), count);
    return root;
}

static void test_groups(void **state)
{
    (void)state;
    char query[100];
    json_t *root = groups("", 1);
    const json_t *group = json_array_get(root, 0);
    assert_int_equal(json_integer_value(json_object_get(group, "count")), 5);
    assert_string_equal(json_string_value(json_object_get(group, "error")), "exit status N");
    assert_string_equal(json_string_value(json_object_get(group, "errorType")), "exit");
    json_decref(root);
    (void)snprintf(query, sizeof query, "?dagId=%s&status=pending", other_id);
    root = groups(query, 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(root, 0), "count")), 2);
    json_decref(root);
    json_decref(groups("?status=resolved", 0));
}

static void test_resolve(void **state)
{
    (void)state;
    char body[200];
    expect_bulk("{\"action\": \"resolve\", \"dryRun\": true}", 5, 0, 0);
    expect_pending("5");
    expect_bulk("{\"action\": \"resolve\", \"filter\": {\"error\": \"exit status 3\"}}", 0, 0, 0);
    (void)snprintf(body, sizeof body, "{\"action\": \"resolve\", \"filter\": {\"dagId\": \"%s\"}}", other_id);
    expect_bulk(body, 2, 2, 0);
    expect_pending("3");
    expect_bulk("{\"action\": \"resolve\", \"max\": 1, \"filter\": {\"error\": \"exit status N\"}}", 1, 1, 0);
    expect_bulk("{\"action\": \"resolve\", \"filter\": null}", 2, 2, 0);
    expect_bulk("{\"action\": \"resolve\"}", 0, 0, 0);
    expect_pending("0");
}

static void test_retry_and_skip(void **state)
{
    (void)state;
    char body[200], text[4000];
    expect_bulk("{\"action\": \"retry\", \"max\": 2}", 2, 2, 0);
    assert_int_equal(daemon_running(daemon), 2);
    expect_bulk("{\"action\": \"skip\", \"max\": 1, \"reason\": \"by hand\"}", 1, 1, 0);
    daemon_ask(daemon, "GET", "/api/v1/dlq?status=skipped", "", NULL, &answer);
    (void)snprintf(text, sizeof text, "%s", answer.body.bytes);
    assert_non_null(strstr(text, "by hand"));
    daemon_finish(daemon);
    /* a DAG that is gone: nothing can be made of its letters, and they stay */
    (void)snprintf(body, sizeof body, "/api/v1/dags/%s", dag_id);
    daemon_ask(daemon, "DELETE", body, "", NULL, &answer);
    assert_int_equal(answer.status, 204);
    expect_bulk("{\"action\": \"retry\"}", 2, 0, 2);
    expect_pending("2");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{}",
        "{\"action\": \"delete\"}",
        "{\"action\": 1}",
        "{\"action\": \"retry\", \"max\": 0}",
        "{\"action\": \"retry\", \"max\": 1001}",
        "{\"action\": \"retry\", \"max\": \"5\"}",
        "{\"action\": \"retry\", \"max\": 1.5}",
        "{\"action\": \"retry\", \"dryRun\": \"true\"}",
        "{\"action\": \"retry\", \"filter\": \"x\"}",
        "{\"action\": \"retry\", \"filter\": {\"state\": \"x\"}}",
        "{\"action\": \"retry\", \"filter\": {\"dagId\": \"x\"}}",
        "{\"action\": \"retry\", \"error\": \"x\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        daemon_ask(daemon, "POST", "/api/v1/dlq/bulk", "", bodies[i], &answer);
        answer_expect_error(&answer, 400, "BAD_REQUEST");
    }
    expect_pending("5");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalise), TEST(test_groups), TEST(test_resolve), TEST(test_retry_and_skip),
        TEST(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
