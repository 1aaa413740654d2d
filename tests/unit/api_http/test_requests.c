/* What every request is checked for, by the route table. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "api/api_table.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/http_router.h"

#define NOBODY "01890000-0000-7000-8000-000000000000"

static struct daemon *daemon;
static struct answer answer;

static int set_up(void **state)
{
    (void)state;
    daemon = daemon_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answer_fini(&answer);
    daemon_free(daemon);
    return 0;
}

static void expect(const char *method, const char *target, const char *headers, const char *body, int status,
                   const char *code, const char *words)
{
    daemon_ask(daemon, method, target, headers, body, &answer);
    answer_expect_error(&answer, status, code);
    if (words && !strstr(answer.body.bytes, words))
        fail_msg("'%s' is not in %s", words, answer.body.bytes);
}

static void test_paths(void **state)
{
    (void)state;
    expect("GET", "/api/v1/nothing", "", NULL, 404, "NOT_FOUND", NULL);
    expect("GET", "/api/v1/dags/", "", NULL, 404, "NOT_FOUND", NULL);
    expect("GET", "/api/v1/runs/7", "", NULL, 400, "BAD_REQUEST", "runId must be a UUID, not '7'");
    expect("GET", "/api/v1/dlq/x", "", NULL, 400, "BAD_REQUEST", "id must be a UUID");
    expect("POST", "/api/v1/workers/x/drain", "", NULL, 400, "BAD_REQUEST", "workerId must be a UUID");
    expect("GET", "/api/v1/runs/" NOBODY "/tasks/a%2Fb/why", "", NULL, 404, "RUN_NOT_FOUND", NULL);
    expect("GET", "/api/v1/runs/%00", "", NULL, 400, "BAD_REQUEST", NULL);
}

static void test_methods(void **state)
{
    (void)state;
    expect("PUT", "/api/v1/dags", "", "{}", 405, "METHOD_NOT_ALLOWED", "GET, HEAD, POST, OPTIONS");
    assert_string_equal(answer_header(&answer, "Allow"), "GET, HEAD, POST, OPTIONS");
    expect("PATCH", "/api/v1/runs", "", NULL, 405, "METHOD_NOT_ALLOWED", "PATCH");
    expect("GET", "/api/v1/dags/validate", "", NULL, 405, "METHOD_NOT_ALLOWED", NULL);
    daemon_ask(daemon, "OPTIONS", "/api/v1/dags/" NOBODY, "", NULL, &answer);
    assert_int_equal(answer.status, 204);
    assert_string_equal(answer_header(&answer, "Allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
    daemon_ask(daemon, "HEAD", "/api/v1/dags", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
}

/* Every parameter of every route, from its limits. */
static void check_integer(const char *path, const struct api_param *param)
{
    char target[1000];
    const int64_t bad[] = {param->min - 1, param->max};
    for (int i = 0; i < 2; i++) {
        if (i == 1 && param->max == INT64_MAX)
            continue;
        (void)snprintf(target, sizeof target, "%s?%s=%lld", path, param->name, (long long)(bad[i] + i));
        expect("GET", target, "", NULL, 400, "BAD_REQUEST", param->name);
    }
    (void)snprintf(target, sizeof target, "%s?%s=1x", path, param->name);
    expect("GET", target, "", NULL, 400, "BAD_REQUEST", param->name);
    (void)snprintf(target, sizeof target, "%s?%s=", path, param->name);
    expect("GET", target, "", NULL, 400, "BAD_REQUEST", param->name);
}

static void check_parameter(const char *path, const struct api_param *param)
{
    char target[1500], longer[1100];
    if (param->type == API_INTEGER) {
        check_integer(path, param);
        return;
    }
    if (param->type == API_UUID || param->type == API_BOOLEAN || param->type == API_TIME || param->values) {
        (void)snprintf(target, sizeof target, "%s?%s=perhaps", path, param->name);
        expect("GET", target, "", NULL, 400, "BAD_REQUEST", "perhaps");
    } else {
        assert_true((size_t)param->max + 2 <= sizeof longer);
        memset(longer, 'a', sizeof longer - 1);
        longer[param->max + 1] = '\0';
        (void)snprintf(target, sizeof target, "%s?%s=%s", path, param->name, longer);
        expect("GET", target, "", NULL, 400, "BAD_REQUEST", "bytes long");
    }
    (void)snprintf(target, sizeof target, "%s?%s=1&%s=1", path, param->name, param->name);
    expect("GET", target, "", NULL, 400, "BAD_REQUEST", NULL);
}

/* A path with something in the place of its parameters. */
static void fill_path(const char *path, char *out, size_t size)
{
    size_t len = 0;
    for (; *path; path++) {
        if (*path != '{') {
            out[len++] = *path;
            continue;
        }
        bool is_task = strncmp(path, "{taskId}", 8) == 0;
        len += (size_t)snprintf(out + len, size - len, "%s", is_task ? "a" : NOBODY);
        path = strchr(path, '}');
    }
    out[len] = '\0';
}

static void test_parameters(void **state)
{
    (void)state;
    char path[300], target[1000];
    for (size_t i = 0; i < api_table_route_count; i++) {
        const struct api_route *route = &api_table_routes[i];
        fill_path(route->path, path, sizeof path);
        for (int k = 0; k < API_ROUTE_QUERIES_MAX && route->queries[k]; k++)
            check_parameter(path, &api_table_queries[route->queries[k]]);
        (void)snprintf(target, sizeof target, "%s?nothing=1", path);
        expect(http_method_name(route->method), target, "", NULL, 400, "BAD_REQUEST", "Unknown query parameter");
    }
    expect("GET", "/api/v1/dags?limt=3", "", NULL, 400, "BAD_REQUEST", "did you mean 'limit'?");
    expect("GET", "/api/v1/dags?offset=10001", "", NULL, 400, "BAD_REQUEST", "before=<id>");
    expect("GET", "/api/v1/runs?state=done", "", NULL, 400, "BAD_REQUEST",
           "pending, running, succeeded, failed or canceled");
    daemon_ask(daemon, "GET", "/api/v1/runs?limit=1000&offset=10000", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    daemon_ask(daemon, "GET", "/api/v1/runs?limit=1&offset=0&state=failed&dagId=" NOBODY, "", NULL, &answer);
    assert_string_equal(answer.body.bytes, "[]");
}

static void test_bodies(void **state)
{
    (void)state;
    const char *const dags = "/api/v1/dags";
    expect("POST", dags, "", NULL, 411, "LENGTH_REQUIRED", NULL);
    expect("POST", dags, "", "", 400, "BAD_REQUEST", "A body is needed");
    expect("POST", dags, "Content-Type: text/yaml\r\n", "{}", 415, "UNSUPPORTED_MEDIA_TYPE", "application/json");
    expect("POST", dags, "Content-Type: application/jsonx\r\n", "{}", 415, "UNSUPPORTED_MEDIA_TYPE", NULL);
    expect("POST", dags, "Content-Type: application/json; charset=utf-8\r\n", "{}", 400, "BAD_REQUEST", "Missing");
    expect("POST", dags, "", "{\"name\": \"x\"", 400, "BAD_REQUEST", "not valid JSON");
    expect("POST", dags, "", "[]", 400, "BAD_REQUEST", "must be a JSON object");
    expect("POST", dags, "", "7", 400, "BAD_REQUEST", "must be a JSON object");
    expect("POST", dags, "", "{\"name\": \"x\"}", 400, "BAD_REQUEST", "Missing required field: yaml");
    expect("POST", dags, "", "{\"name\": null, \"yaml\": \"\"}", 400, "BAD_REQUEST", "Missing required field: name");
    expect("POST", dags, "", "{\"name\": 7, \"yaml\": \"\"}", 400, "BAD_REQUEST", "name must be a string");
    expect("POST", dags, "", "{\"nam\": \"x\", \"yaml\": \"\"}", 400, "BAD_REQUEST", "did you mean 'name'?");
    expect("POST", dags, "", "{\"name\": \"x\", \"name\": \"y\", \"yaml\": \"\"}", 400, "BAD_REQUEST", NULL);
    expect("POST", dags, "", "{\"name\": \"a\\u0000b\", \"yaml\": \"\"}", 400, "BAD_REQUEST", NULL);
    expect("POST", dags, "", "{\"name\": \"\xff\", \"yaml\": \"\"}", 400, "BAD_REQUEST", NULL);
    expect("POST", "/api/v1/runs/" NOBODY "/rerun", "", "{\"from\": \"some\"}", 400, "BAD_REQUEST",
           "failed, all or task");
    expect("GET", dags, "", "{}", 400, "BAD_REQUEST", "takes no body");
    expect("POST", "/api/v1/runs/" NOBODY "/cancel", "", "{\"force\": true}", 400, "BAD_REQUEST", "Unknown field");
    /* where the body may be absent its type does not matter */
    expect("POST", "/api/v1/runs/" NOBODY "/cancel", "Content-Type: text/plain\r\n", "{}", 404, "RUN_NOT_FOUND", NULL);
    expect("POST", "/api/v1/runs/" NOBODY "/cancel", "", NULL, 404, "RUN_NOT_FOUND", NULL);
}

static void test_sizes(void **state)
{
    (void)state;
    struct buf body = BUF_INIT;
    buf_add_text(&body, "{\"reason\": \"");
    memset(buf_extend(&body, LIMIT_SMALL_BODY_BYTES_MAX), 'a', LIMIT_SMALL_BODY_BYTES_MAX);
    buf_add_text(&body, "\"}");
    expect("POST", "/api/v1/dlq/" NOBODY "/skip", "", buf_text(&body), 413, "PAYLOAD_TOO_LARGE", NULL);
    buf_fini(&body);
    buf_add_text(&body, "{\"reason\": \"");
    memset(buf_extend(&body, LIMIT_DESCRIPTION_BYTES_MAX + 1), 'a', LIMIT_DESCRIPTION_BYTES_MAX + 1);
    buf_add_text(&body, "\"}");
    expect("POST", "/api/v1/dlq/" NOBODY "/skip", "", buf_text(&body), 400, "BAD_REQUEST", "bytes long");
    buf_fini(&body);
    buf_add_text(&body, "/api/v1/dags?name=");
    memset(buf_extend(&body, LIMIT_URL_BYTES_MAX), 'a', LIMIT_URL_BYTES_MAX);
    expect("GET", buf_text(&body), "", NULL, 414, "URI_TOO_LONG", NULL);
    buf_fini(&body);
    buf_add_text(&body, "Idempotency-Key: ");
    memset(buf_extend(&body, LIMIT_IDEMPOTENCY_KEY_BYTES_MAX + 1), 'k', LIMIT_IDEMPOTENCY_KEY_BYTES_MAX + 1);
    buf_add_text(&body, "\r\n");
    expect("POST", "/api/v1/dags/" NOBODY "/runs", buf_text(&body), NULL, 400, "BAD_REQUEST", "Idempotency-Key");
    buf_fini(&body);
    expect("POST", "/api/v1/dags/" NOBODY "/runs", "Idempotency-Key:\r\n", NULL, 400, "BAD_REQUEST", "Idempotency-Key");
}

/* A DAG of so many tasks is for the daemon's owner only. */
static void test_local_limits(void **state)
{
    (void)state;
    struct buf body = BUF_INIT;
    char id[200];
    buf_add_text(&body, "{\"yaml\": \"name: x\\ntasks:\\n");
    for (int i = 0; i <= LIMIT_DAG_TASKS_MAX; i++)
        buf_printf(&body, "- {id: t%d, type: shell, command: x}\\n", i);
    buf_add_text(&body, "\"}");
    daemon_ask(daemon, "POST", "/api/v1/dags/validate", "", buf_text(&body), &answer);
    answer_member(&answer, "valid", id, sizeof id);
    assert_string_equal(id, "false");
    daemon_ask(daemon, "POST", "/api/v1/dags/validate", "X-Pawl-Owner: 0wner\r\n", buf_text(&body), &answer);
    answer_member(&answer, "valid", id, sizeof id);
    assert_string_equal(id, "false");
    daemon_ask(daemon, "POST", "/api/v1/dags/validate", "X-Pawl-Owner: owner\r\n", buf_text(&body), &answer);
    answer_member(&answer, "valid", id, sizeof id);
    assert_string_equal(id, "true");
    buf_fini(&body);
}

static void test_request_id(void **state)
{
    (void)state;
    daemon_ask(daemon, "GET", "/live", "X-Request-Id: mine-7\r\n", NULL, &answer);
    assert_string_equal(answer_header(&answer, "X-Request-Id"), "mine-7");
    expect("POST", "/api/v1/dags/validate", "Origin: http://evil.example\r\n", "{\"yaml\": \"\"}", 403, "FORBIDDEN",
           NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),  cmocka_unit_test(test_methods),      cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_bodies), cmocka_unit_test(test_sizes),        cmocka_unit_test(test_local_limits),
        cmocka_unit_test(test_request_id),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
