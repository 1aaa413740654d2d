/* Graphs over HTTP, in each of their forms. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "layout/layout.h"

/* a before b and <c>, both before d, which needs a too */
static const char diamond[] = "tasks:\n"
                              "  - {id: a, type: shell, command: 'false'}\n"
                              "  - {id: b, type: http, url: 'http://localhost/', dependencies: [a]}\n"
                              "  - {id: '\"<c>&\\', name: '<script>alert(\"\\\")</script> and more', type: shell,"
                              " command: 'true', dependencies: [a]}\n"
                              "  - {id: d, type: shell, command: 'true', dependencies: [b, '\"<c>&\\', a]}\n";

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

static void ask(const char *kind, const char *id, const char *rest, const char *headers)
{
    char target[200];
    (void)snprintf(target, sizeof target, "/api/v1/%s/%s/graph%s", kind, id, rest);
    daemon_ask(daemon, "GET", target, headers, NULL, &answer);
}

static json_t *parse(void)
{
    json_t *root = json_loadb(answer.body.bytes, answer.body.len, 0, NULL);
    assert_non_null(root);
    return root;
}

static json_int_t number(json_t *object, const char *name)
{
    assert_true(json_is_integer(json_object_get(object, name)));
    return json_integer_value(json_object_get(object, name));
}

static void check_diamond(json_t *root)
{
    json_t *nodes = json_object_get(root, "nodes"), *edges = json_object_get(root, "edges");
    assert_int_equal(json_array_size(nodes), 4);
    assert_int_equal(json_array_size(edges), 5);
    assert_int_equal(number(root, "layers"), 3);
    assert_true(json_is_false(json_object_get(root, "collapsed")));
    assert_string_equal(json_string_value(json_object_get(json_array_get(nodes, 1), "type")), "http");
    for (size_t i = 0; i < 5; i++) {
        json_t *edge = json_array_get(edges, i);
        size_t from = (size_t)json_integer_value(json_array_get(edge, 0));
        size_t to = (size_t)json_integer_value(json_array_get(edge, 1));
        assert_true(json_array_size(edge) % 2 == 0);
        json_int_t x = number(json_array_get(nodes, from), "x") + LAYOUT_NODE_WIDTH;
        assert_true(x < number(json_array_get(nodes, to), "x"));
        assert_true(json_array_size(edge) == (from == 0 && to == 3 ? 6 : 2));
    }
}

static void test_dag(void **state)
{
    (void)state;
    char headers[100];
    ask("dags", dag_id, "", "");
    assert_int_equal(answer.status, 200);
    json_t *root = parse();
    check_diamond(root);
    assert_int_equal(number(root, "version"), 1);
    assert_null(json_object_get(json_array_get(json_object_get(root, "nodes"), 0), "state"));
    json_decref(root);
    (void)snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", answer_header(&answer, "ETag"));
    ask("dags", dag_id, "?version=1", headers);
    assert_int_equal(answer.status, 304);
    ask("dags", dag_id, "?format=svg", headers);
    assert_int_equal(answer.status, 200);
    ask("dags", dag_id, "?version=2", "");
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    ask("dags", "01890000-0000-7000-8000-000000000000", "", "");
    answer_expect_error(&answer, 404, "DAG_NOT_FOUND");
    ask("dags", dag_id, "?format=png", "");
    answer_expect_error(&answer, 400, "BAD_REQUEST");
}

static void test_run(void **state)
{
    (void)state;
    static const char *const ended[] = {"failed", "skipped", "skipped", "skipped"};
    (void)daemon_add_worker(daemon, 2);
    daemon_trigger(daemon, dag_id, run_id);
    ask("runs", run_id, "", "");
    json_t *root = parse();
    check_diamond(root);
    json_t *nodes = json_object_get(root, "nodes");
    assert_string_equal(json_string_value(json_object_get(json_array_get(nodes, 3), "state")), "pending");
    json_decref(root);
    assert_null(answer_header(&answer, "ETag")); /* it changes */
    daemon_end_task(daemon, run_id, 0, ATTEMPT_FAILED);
    ask("runs", run_id, "", "");
    root = parse();
    nodes = json_object_get(root, "nodes");
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(nodes, i), "state")), ended[i]);
    json_decref(root);
    assert_non_null(answer_header(&answer, "ETag"));
    ask("runs", run_id, "?format=dot", "");
    assert_non_null(strstr(answer.body.bytes, "tooltip=\"failed\""));
    ask("runs", dag_id, "", "");
    answer_expect_error(&answer, 404, "RUN_NOT_FOUND");
}

/* Names that want to be markup. */
static void test_pictures(void **state)
{
    (void)state;
    ask("dags", dag_id, "?format=svg", "");
    assert_string_equal(answer_header(&answer, "Content-Type"), "image/svg+xml");
    assert_non_null(strstr(answer_header(&answer, "Content-Security-Policy"), "default-src 'none'"));
    assert_non_null(strstr(answer_header(&answer, "Content-Disposition"), "inline; filename=\"graph-"));
    assert_null(strstr(answer.body.bytes, "<script"));
    assert_non_null(strstr(answer.body.bytes, "<title>&quot;&lt;c&gt;&amp;\\</title>"));
    assert_non_null(strstr(answer.body.bytes, "&lt;script&gt;alert(&quot;\\&quot;"));
    ask("dags", dag_id, "?format=dot", "");
    assert_string_equal(answer_header(&answer, "Content-Type"), "text/vnd.graphviz");
    assert_non_null(strstr(answer.body.bytes, "\"a\" -> \"\\\"<c>&\\\\\";\n"));
    assert_non_null(strstr(answer.body.bytes, "label=\"<script>alert(\\\"\\\\\\\")</script> and more\""));
}

static void test_draw(void **state)
{
    (void)state;
    daemon_ask(daemon, "POST", "/api/v1/dags/graph", "",
               "{\"yaml\": \"name: x\\ntasks: [{id: a, type: shell, command: b}]\"}", &answer);
    assert_int_equal(answer.status, 200);
    json_t *root = parse();
    assert_int_equal(number(root, "taskCount"), 1);
    assert_true(json_is_null(json_object_get(root, "dagId")));
    json_decref(root);
    daemon_ask(daemon, "POST", "/api/v1/dags/graph", "", "{\"yaml\": \"name: x\\ntasks: []\"}", &answer);
    assert_int_equal(answer.status, 400);
    assert_non_null(strstr(answer.body.bytes, "\"errors\":[{"));
}

/* More tasks than are drawn. */
static void test_collapsed(void **state)
{
    (void)state;
    struct buf yaml = BUF_INIT, body = BUF_INIT;
    struct json json;
    buf_add_text(&yaml, "name: big\ntasks:\n");
    for (int i = 0; i <= LAYOUT_NODES_MAX; i++) {
        buf_printf(&yaml, "- {id: t%d, type: shell, command: x", i);
        if (i >= 10000)
            buf_printf(&yaml, ", dependencies: [t%d]", i - 10000);
        buf_add_text(&yaml, "}\n");
    }
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "yaml", buf_text(&yaml));
    json_end_object(&json);
    daemon_ask(daemon, "POST", "/api/v1/dags/graph", "", buf_text(&body), &answer);
    assert_int_equal(answer.status, 200);
    json_t *root = parse();
    assert_true(json_is_true(json_object_get(root, "collapsed")));
    assert_true(json_is_null(json_object_get(root, "nodes")));
    assert_int_equal(json_array_size(json_object_get(root, "groups")), 3);
    json_t *link = json_array_get(json_object_get(root, "groupEdges"), 0);
    assert_int_equal(json_integer_value(json_array_get(link, 2)), 10000);
    json_decref(root);
    buf_fini(&yaml);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dag, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pictures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_draw, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_collapsed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
