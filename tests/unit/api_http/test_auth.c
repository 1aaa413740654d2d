/* Every route with every kind of caller. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_table.h"
#include "auth/auth_gate.h"
#include "daemon.h"
#include "http/http_router.h"

static struct daemon *daemon;
static struct answer answer;
static char tokens[API_ROLE_COUNT][AUTH_TEXT_LEN + 1];

static int set_up(void **state)
{
    (void)state;
    struct auth_token token;
    struct error err;
    daemon = daemon_new(&(struct daemon_options){.token_required = true});
    for (int role = API_ROLE_VIEWER; role < API_ROLE_COUNT; role++)
        assert_int_equal(auth_token_create(daemon->data_dir, (enum auth_role)role, NULL, 0, &token, tokens[role], &err),
                         0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    answer_fini(&answer);
    daemon_free(daemon);
    return 0;
}

/* The route's path with ids of nothing that exists, so that who gets through finds nothing and harms nothing. */
static void target_of(const struct api_route *route, char *out, size_t size)
{
    size_t len = 0;
    for (const char *at = route->path; *at; at++) {
        if (*at != '{') {
            out[len++] = *at;
            continue;
        }
        len += (size_t)snprintf(out + len, size - len, "%s",
                                strncmp(at, "{taskId}", 8) == 0 ? "t" : "01936000-0000-7000-8000-000000000000");
        at = strchr(at, '}');
    }
    out[len] = '\0';
}

static void ask(const struct api_route *route, const char *headers)
{
    char target[200];
    target_of(route, target, sizeof target);
    daemon_ask(daemon, http_method_name(route->method), target, headers, route->body ? "{}" : NULL, &answer);
}

static void expect_challenge(const char *error)
{
    const char *challenge = answer_header(&answer, "WWW-Authenticate");
    assert_non_null(challenge);
    assert_non_null(strstr(challenge, "Bearer realm=\"pawl\""));
    assert_true(error ? strstr(challenge, error) != NULL : strstr(challenge, "error") == NULL);
}

static void expect_allowed(const struct api_route *route, const char *who)
{
    if (answer.status == 401 || answer.status == 403 || answer.status == 429)
        fail_msg("%s is refused %s: %d", who, route->operation, answer.status);
}

/* A stream that is let in has no end to wait for: of the one without an id only the refusals are seen here. */
static void test_matrix(void **state)
{
    (void)state;
    char header[200];
    size_t protected_count = 0;
    for (size_t i = 0; i < api_table_route_count; i++) {
        const struct api_route *route = &api_table_routes[i];
        bool ends = !route->stream || strchr(route->path, '{');
        ask(route, route->role == API_ROLE_NONE ? "Authorization: Bearer pawl_wrong\r\n" : "");
        if (route->role == API_ROLE_NONE) {
            expect_allowed(route, "everybody");
            continue;
        }
        protected_count++;
        answer_expect_error(&answer, 401, "UNAUTHORIZED");
        expect_challenge(NULL);
        for (enum api_role role = API_ROLE_VIEWER; role < API_ROLE_COUNT; role++) {
            (void)snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", tokens[role]);
            if (role >= route->role && !ends)
                continue;
            ask(route, header);
            if (role >= route->role) {
                expect_allowed(route, api_table_role_name(role));
            } else {
                answer_expect_error(&answer, 403, "FORBIDDEN");
                expect_challenge("insufficient_scope");
                assert_non_null(strstr(answer.body.bytes, api_table_role_name(route->role)));
            }
        }
        if (ends) {
            ask(route, "X-Pawl-Owner: owner\r\n");
            expect_allowed(route, "the owner");
        }
        ask(route, "X-Pawl-Owner: 0wner\r\n");
        answer_expect_error(&answer, 401, "UNAUTHORIZED");
    }
    assert_true(protected_count > 25);
}

/* What is wrong is refused on every route, until there has been too much of it; then what is right still goes. */
static void test_wrong_tokens(void **state)
{
    (void)state;
    char header[200], seconds[20];
    unsigned refused = 0, limited = 0;
    for (size_t i = 0; i < api_table_route_count; i++) {
        const struct api_route *route = &api_table_routes[i];
        if (route->role == API_ROLE_NONE)
            continue;
        ask(route, "Authorization: Bearer pawl_0123456789\r\n");
        refused += answer.status == 401;
        limited += answer.status == 429;
        if (answer.status == 401) {
            answer_expect_error(&answer, 401, "UNAUTHORIZED");
            expect_challenge("invalid_token");
            continue;
        }
        answer_expect_error(&answer, 429, "TOO_MANY_REQUESTS");
        (void)snprintf(seconds, sizeof seconds, "%s", answer_header(&answer, "Retry-After"));
        assert_true(strtol(seconds, NULL, 10) >= 1 && strtol(seconds, NULL, 10) <= AUTH_LIMIT_MS / 1000);
    }
    assert_true(refused >= AUTH_LIMIT_BURST && limited > 0);
    (void)snprintf(header, sizeof header, "Authorization: bearer  %s\r\n", tokens[API_ROLE_VIEWER]);
    daemon_ask(daemon, "GET", "/api/v1/runs", header, NULL, &answer);
    assert_int_equal(answer.status, 200);
}

static void test_expired_and_revoked(void **state)
{
    (void)state;
    struct auth_token token;
    struct error err;
    char text[AUTH_TEXT_LEN + 1], header[200];
    assert_int_equal(auth_token_create(daemon->data_dir, AUTH_ROLE_ADMIN, "short", 1, &token, text, &err), 0);
    (void)snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", text);
    do /* a millisecond is over at once */
        daemon_ask(daemon, "GET", "/api/v1/runs", header, NULL, &answer);
    while (answer.status == 200);
    answer_expect_error(&answer, 401, "UNAUTHORIZED");
    assert_non_null(strstr(answer.body.bytes, "expired"));
    assert_int_equal(auth_token_create(daemon->data_dir, AUTH_ROLE_ADMIN, "gone", 0, &token, text, &err), 0);
    assert_int_equal(auth_token_revoke(daemon->data_dir, "gone", &token, &err), 0);
    (void)snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", text);
    daemon_ask(daemon, "GET", "/api/v1/runs", header, NULL, &answer);
    answer_expect_error(&answer, 401, "UNAUTHORIZED");
}

/* The key of one caller is not the key of another. */
static void test_principals(void **state)
{
    (void)state;
    char dag[40], target[100], header[300], first[40], second[40], again[40];
    daemon_ask(daemon, "POST", "/api/v1/dags", "X-Pawl-Owner: owner\r\n",
               "{\"name\": \"d\", \"yaml\": \"name: d\\ntasks: [{id: t, type: shell, command: x}]\"}", &answer);
    assert_int_equal(answer.status, 201);
    answer_member(&answer, "id", dag, sizeof dag);
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/runs", dag);
    for (int i = 0; i < 3; i++) {
        char *out = i == 0 ? first : i == 1 ? second : again;
        (void)snprintf(header, sizeof header, "Idempotency-Key: k\r\nAuthorization: Bearer %s\r\n",
                       tokens[i == 1 ? API_ROLE_ADMIN : API_ROLE_OPERATOR]);
        daemon_ask(daemon, "POST", target, header, NULL, &answer);
        assert_int_equal(answer.status, 202);
        answer_member(&answer, "runId", out, 40);
    }
    assert_string_not_equal(first, second);
    assert_string_equal(first, again);
}

/* On loopback by hand none is needed; one that is sent counts. */
static void test_not_required(void **state)
{
    (void)state;
    char header[200];
    struct auth_token token;
    struct error err;
    struct daemon *open = daemon_new(NULL);
    assert_int_equal(auth_token_create(open->data_dir, AUTH_ROLE_VIEWER, "v", 0, &token, tokens[0], &err), 0);
    daemon_ask(open, "POST", "/api/v1/dags/validate", "", "{\"yaml\": \"\"}", &answer);
    assert_int_equal(answer.status, 200);
    daemon_ask(open, "GET", "/api/v1/runs", "Authorization: Basic dXNlcjpwYXNz\r\n", NULL, &answer);
    assert_int_equal(answer.status, 200);
    daemon_ask(open, "GET", "/api/v1/runs", "Authorization: Bearer nonsense\r\n", NULL, &answer);
    answer_expect_error(&answer, 401, "UNAUTHORIZED");
    (void)snprintf(header, sizeof header, "Authorization: Bearer %s\r\n", tokens[0]);
    daemon_ask(open, "DELETE", "/api/v1/dags/01936000-0000-7000-8000-000000000000", header, NULL, &answer);
    answer_expect_error(&answer, 403, "FORBIDDEN");
    daemon_free(open);
}

static void expect_me(const char *role, const char *principal)
{
    char value[100];
    assert_int_equal(answer.status, 200);
    answer_member(&answer, "role", value, sizeof value);
    assert_string_equal(value, role);
    answer_member(&answer, "principal", value, sizeof value);
    assert_string_equal(value, principal);
}

/* The web UI's sessions: the cookie is the token, scripts cannot read it, and it ends. */
static void test_sessions(void **state)
{
    (void)state;
    char body[200], headers[300], cookie[200];
    daemon_ask(daemon, "GET", "/api/v1/me", "", NULL, &answer);
    expect_me("null", "null");
    daemon_ask(daemon, "POST", "/session", "", "{\"token\": \"pawl_wrong\"}", &answer);
    answer_expect_error(&answer, 401, "UNAUTHORIZED");
    assert_null(answer_header(&answer, "Set-Cookie"));
    (void)snprintf(body, sizeof body, "{\"token\": \"%s\"}", tokens[API_ROLE_OPERATOR]);
    daemon_ask(daemon, "POST", "/session", "Host: localhost:8123\r\n", body, &answer);
    assert_int_equal(answer.status, 200);
    const char *set = answer_header(&answer, "Set-Cookie");
    assert_non_null(set);
    assert_non_null(strstr(set, "; HttpOnly; SameSite=Strict"));
    assert_memory_equal(set, "pawl-8123=pawl_", 15);
    (void)snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(set, ";"), set);
    (void)snprintf(headers, sizeof headers, "Host: localhost:8123\r\nCookie: a=b; %s; pawl-81=pawl_x\r\n", cookie);
    daemon_ask(daemon, "GET", "/api/v1/runs", headers, NULL, &answer);
    assert_int_equal(answer.status, 200);
    daemon_ask(daemon, "DELETE", "/api/v1/dags/01936000-0000-7000-8000-000000000000", headers, NULL, &answer);
    answer_expect_error(&answer, 403, "FORBIDDEN");
    (void)snprintf(headers, sizeof headers, "Host: localhost:8124\r\nCookie: %s\r\n", cookie);
    daemon_ask(daemon, "GET", "/api/v1/runs", headers, NULL, &answer);
    answer_expect_error(&answer, 401, "UNAUTHORIZED"); /* another daemon's session */
    daemon_ask(daemon, "GET", "/api/v1/me", "Cookie: pawl-0=pawl_wrong\r\n", NULL, &answer);
    expect_me("null", "null");
    daemon_ask(daemon, "DELETE", "/session", headers, NULL, &answer);
    assert_int_equal(answer.status, 204);
    assert_non_null(strstr(answer_header(&answer, "Set-Cookie"), "pawl-8124=; HttpOnly; SameSite=Strict; Max-Age=0"));
}

/* A page of somebody else has no use of the session. */
static void test_session_and_foreign_pages(void **state)
{
    (void)state;
    char headers[300];
    (void)snprintf(headers, sizeof headers, "Host: localhost:8123\r\nOrigin: http://evil.example\r\n"
                   "Cookie: pawl-8123=%s\r\n", tokens[API_ROLE_ADMIN]);
    daemon_ask(daemon, "DELETE", "/api/v1/dags/01936000-0000-7000-8000-000000000000", headers, NULL, &answer);
    answer_expect_error(&answer, 403, "FORBIDDEN");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_matrix),     TEST(test_expired_and_revoked), TEST(test_wrong_tokens),
        TEST(test_principals), TEST(test_not_required),
        TEST(test_sessions),   TEST(test_session_and_foreign_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
