/* What is written from the route table: OpenAPI, docs/api.md, the pages. */
#include "daemon.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_table.h"
#include "web/web.h"

static struct answer answer;

/* To write docs/api.md anew:  PAWL_WRITE_DOCS=1 build-check/unit_api_http_test_documents */
static void test_reference_is_current(void **state)
{
    (void)state;
    struct buf now = BUF_INIT, kept = BUF_INIT;
    api_reference(&now);
    if (getenv("PAWL_WRITE_DOCS")) {
        FILE *file = fopen("docs/api.md", "w");
        assert_non_null(file);
        assert_int_equal(fwrite(now.bytes, 1, now.len, file), now.len);
        assert_int_equal(fclose(file), 0);
    }
    FILE *file = fopen("docs/api.md", "r");
    assert_non_null(file);
    for (size_t got = 1; got;) {
        got = fread(buf_extend(&kept, 65536), 1, 65536, file);
        kept.len -= 65536 - got;
    }
    assert_int_equal(fclose(file), 0);
    if (kept.len != now.len || memcmp(kept.bytes, now.bytes, now.len) != 0)
        fail_msg("docs/api.md is not what the route table says; write it anew with PAWL_WRITE_DOCS=1");
    buf_fini(&now);
    buf_fini(&kept);
}

/* The text of one operation in the OpenAPI document. */
static void cut_operation(const char *document, const char *operation, char *out, size_t size)
{
    char key[100];
    (void)snprintf(key, sizeof key, "operationId: \"%s\"\n", operation);
    const char *start = strstr(document, key);
    if (!start)
        fail_msg("%s is not in the document", operation);
    const char *end = strstr(start + strlen(key), "operationId: ");
    size_t len = end ? (size_t)(end - start) : strlen(start);
    assert_true(len < size);
    memcpy(out, start, len);
    out[len] = '\0';
}

static void expect_text(const char *text, const char *operation, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' is not in %s:\n%s", words, operation, text);
}

static void check_operation(const char *document, const struct api_route *route)
{
    static char text[100000];
    char words[200];
    enum error_code codes[ERROR_COUNT];
    cut_operation(document, route->operation, text, sizeof text);
    (void)snprintf(words, sizeof words, "\"%u\":\n", route->status);
    expect_text(text, route->operation, words);
    size_t count = api_table_errors(route, codes);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(words, sizeof words, "\"%d\":\n", error_http_status((int)codes[i]));
        expect_text(text, route->operation, words);
        if ((unsigned)error_http_status((int)codes[i]) == route->also)
            continue;
        (void)snprintf(words, sizeof words, "`%s`", error_name((int)codes[i]));
        expect_text(text, route->operation, words);
    }
    for (int i = 0; i < API_ROUTE_QUERIES_MAX && route->queries[i]; i++) {
        (void)snprintf(words, sizeof words, "- name: \"%s\"\n", api_table_queries[route->queries[i]].name);
        expect_text(text, route->operation, words);
    }
    if (route->etag)
        expect_text(text, route->operation, "\"304\":\n");
    if (route->body)
        expect_text(text, route->operation, "requestBody:");
}

static void test_openapi_is_complete(void **state)
{
    (void)state;
    struct buf document = BUF_INIT;
    api_openapi(&document, NULL);
    (void)buf_text(&document);
    assert_int_equal(strncmp(document.bytes, "openapi: 3.0.3\n", 15), 0);
    for (size_t i = 0; i < api_table_route_count; i++)
        if (!api_table_routes[i].hidden)
            check_operation(document.bytes, &api_table_routes[i]);
    assert_null(strchr(document.bytes, '\t'));
    buf_fini(&document);
}

/* What the table itself must be like. */
static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_table_route_count; i++) {
        const struct api_route *route = &api_table_routes[i];
        bool has_tag = false, has_schema = !route->schema;
        for (size_t k = 0; k < api_table_tag_count; k++)
            has_tag = has_tag || strcmp(api_table_tags[k].name, route->tag) == 0;
        for (size_t k = 0; k < api_table_schema_count; k++)
            has_schema = has_schema || strcmp(api_table_schemas[k].name, route->schema) == 0;
        assert_true(has_tag && has_schema && route->handler && route->summary);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(api_table_routes[k].operation, route->operation);
            assert_false(api_table_routes[k].method == route->method
                         && strcmp(api_table_routes[k].path, route->path) == 0);
        }
        assert_true(route->method == HTTP_GET || route->role >= API_ROLE_VIEWER
                    || strcmp(route->path, "/session") == 0); /* nobody changes anything but who they are */
    }
    for (int i = 1; i < API_QUERY_COUNT; i++)
        assert_non_null(api_table_queries[i].summary);
    for (int i = 1; i < API_FIELD_COUNT; i++)
        assert_non_null(api_table_fields[i].summary);
}

static void test_served(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(&(struct daemon_options){.no_store = true, .no_engine = true});
    struct buf document = BUF_INIT;
    char headers[100], operation[100];
    api_openapi(&document, NULL);
    daemon_ask(daemon, "GET", "/docs/openapi.yaml", "", NULL, &answer);
    assert_int_equal(answer.body.len, document.len);
    assert_memory_equal(answer.body.bytes, document.bytes, document.len);
    (void)snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", answer_header(&answer, "ETag"));
    daemon_ask(daemon, "GET", "/docs/openapi.yaml", headers, NULL, &answer);
    assert_int_equal(answer.status, 304);
    daemon_ask(daemon, "GET", "/docs/openapi.yaml", "Accept-Encoding: gzip\r\n", NULL, &answer);
    assert_string_equal(answer_header(&answer, "Content-Encoding"), "gzip");
    daemon_ask(daemon, "GET", "/docs", "", NULL, &answer);
    assert_non_null(strstr(answer_header(&answer, "Content-Security-Policy"), "default-src 'none'"));
    assert_null(strstr(answer.body.bytes, "<script"));
    assert_null(strstr(answer.body.bytes, " style="));
    assert_null(strstr(answer.body.bytes, "//")); /* nothing from elsewhere */
    for (size_t i = 0; i < api_table_route_count; i++) {
        (void)snprintf(operation, sizeof operation, "id=\"%s\"", api_table_routes[i].operation);
        assert_true(api_table_routes[i].hidden || strstr(answer.body.bytes, operation));
    }
    daemon_ask(daemon, "GET", "/docs/style.css", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    answer_fini(&answer);
    buf_fini(&document);
    daemon_free(daemon);
}

static void expect_header(const char *name, const char *value)
{
    const char *found = answer_header(&answer, name);
    if (!found || strcmp(found, value) != 0)
        fail_msg("%s is %s, not %s", name, found ? found : "absent", value);
}

static void check_file(struct daemon *daemon, const struct web_file *file)
{
    char target[200], headers[100];
    bool is_page = strcmp(file->name, "index.html") == 0;
    (void)snprintf(target, sizeof target, is_page ? "/" : "/ui/%s", file->name);
    daemon_ask(daemon, "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.len, file->len);
    assert_memory_equal(answer.body.bytes, file->bytes, file->len);
    expect_header("Content-Type", file->content_type);
    expect_header("Cache-Control", file->is_hashed ? "public, max-age=31536000, immutable" : "no-cache");
    assert_null(answer_header(&answer, "Content-Encoding"));
    if (!file->packed)
        return;
    expect_header("Vary", "Accept-Encoding");
    daemon_ask(daemon, "GET", target, "Accept-Encoding: gzip\r\n", NULL, &answer);
    expect_header("Content-Encoding", "gzip");
    assert_int_equal(answer.body.len, file->packed_len);
    assert_memory_equal(answer.body.bytes, file->packed, file->packed_len);
    (void)snprintf(headers, sizeof headers, "If-None-Match: %s\r\n", answer_header(&answer, "ETag"));
    daemon_ask(daemon, "GET", target, headers, NULL, &answer);
    assert_int_equal(answer.status, 304);
    expect_header("Cache-Control", file->is_hashed ? "public, max-age=31536000, immutable" : "no-cache");
}

static void test_ui(void **state)
{
    (void)state;
    struct daemon *daemon = daemon_new(&(struct daemon_options){.no_store = true, .no_engine = true});
    assert_true(web_file_count >= 3);
    for (size_t i = 0; i < web_file_count; i++)
        check_file(daemon, &web_files[i]);
    daemon_ask(daemon, "GET", "/", "", NULL, &answer);
    assert_non_null(strstr(answer.body.bytes, "src=\"ui/")); /* relative: a path prefix needs no setting */
    assert_null(strstr(answer.body.bytes, "=\"/"));
    assert_null(strstr(answer.body.bytes, "//"));
    assert_non_null(strstr(answer_header(&answer, "Content-Security-Policy"), "require-trusted-types-for 'script'"));
    daemon_ask(daemon, "GET", "/ui/no-such-file.js", "", NULL, &answer);
    answer_expect_error(&answer, 404, "NOT_FOUND");
    daemon_ask(daemon, "GET", "/ui/..%2findex.html", "", NULL, &answer);
    answer_expect_error(&answer, 404, "NOT_FOUND");
    answer_fini(&answer);
    daemon_free(daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_is_current), cmocka_unit_test(test_openapi_is_complete),
        cmocka_unit_test(test_table), cmocka_unit_test(test_served), cmocka_unit_test(test_ui),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
