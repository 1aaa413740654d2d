/* The parts of a request's head that are parsed by us. The first line is a target, the others are headers. */
#include "fuzz.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "http/http_head.h"
#include "http/http_router.h"

enum { FIELDS_MAX = 64 };

static void check_target(const char *line, size_t len)
{
    static const int value = 1;
    struct arena arena = {0};
    struct http_target target;
    struct http_router router = {0};
    http_router_add(&router, HTTP_GET, "/api/v1/runs/{runId}/tasks/{taskId}/log", &value);
    http_router_add(&router, HTTP_GET, "/api/v1/runs/{runId}", &value);
    http_router_add(&router, HTTP_POST, "/api/v1/runs", &value);
    http_router_add(&router, HTTP_GET, "/", &value);
    struct error err = {0};
    if (http_target_parse(&arena, line, len, &target, &err) == 0) {
        for (unsigned i = 0; i < target.segment_count; i++) {
            assert(strlen(target.segments[i].text) == target.segments[i].len);
            assert(str_utf8_valid(target.segments[i].text, target.segments[i].len));
        }
        for (unsigned i = 0; i < target.query_count; i++)
            assert(strlen(target.query[i].value.text) == target.query[i].value.len);
        struct http_match match;
        http_router_find(&router, HTTP_GET, &target, &match);
        assert(!match.value || match.methods);
    } else {
        assert(err.code != ERROR_OK && err.text[0]);
    }
    http_router_fini(&router);
    arena_fini(&arena);
}

static void check_fields(const struct http_field *fields, size_t count)
{
    struct http_head head;
    for (size_t i = 0; i < count; i++) {
        char host[64];
        (void)http_head_takes_gzip(fields[i].value);
        (void)http_head_etag_matches(fields[i].value, "tag");
        (void)http_head_request_id_valid(fields[i].value);
        if (http_head_host(fields[i].value, host, sizeof host))
            assert(host[0] && strlen(host) < sizeof host && !strpbrk(host, " \t/@\\,[]"));
    }
    if (http_head_check(fields, count, false, &head, NULL) == 0)
        assert(!head.chunked || head.length == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    char *text = malloc(len + 1);
    assert(text);
    if (len)
        memcpy(text, input, len);
    text[len] = '\0';
    size_t line = strcspn(text, "\n");
    check_target(text, line);

    struct http_field fields[FIELDS_MAX];
    size_t count = 0;
    for (char *at = text + line; *at && count < FIELDS_MAX;) {
        at++;
        char *next = at + strcspn(at, "\n");
        bool more = *next;
        *next = '\0';
        char *colon = strchr(at, ':');
        if (colon) {
            *colon = '\0';
            char *value = colon + 1 + strspn(colon + 1, " ");
            fields[count++] = (struct http_field){at, (size_t)(colon - at), value, strlen(value)};
        }
        at = next;
        if (!more)
            break;
    }
    check_fields(fields, count);
    free(text);
    return 0;
}
