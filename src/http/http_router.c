#include "http/http_router.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct http_route {
    enum http_method method;
    unsigned count;
    uint32_t literal;                              /* bit 31 - i: segment i is literal; larger is more special */
    struct http_text segments[HTTP_SEGMENTS_MAX];  /* borrowed from the template; not terminated */
    const void *value;
};

static const char *const method_names[] = {
    [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD", [HTTP_POST] = "POST", [HTTP_PUT] = "PUT",
    [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS", [HTTP_METHOD_OTHER] = "OTHER",
};
static_assert(sizeof method_names / sizeof *method_names == HTTP_METHOD_OTHER + 1, "a name for each method");

const char *http_method_name(enum http_method method)
{
    return method_names[method];
}

enum http_method http_method_from_name(const char *name)
{
    for (int i = HTTP_GET; i < HTTP_METHOD_OTHER; i++) {
        if (strcmp(name, method_names[i]) == 0)
            return (enum http_method)i;
    }
    return HTTP_METHOD_OTHER;
}

void http_allow_text(unsigned methods, char *out, size_t out_size)
{
    size_t len = 0;
    out[0] = '\0';
    for (int i = HTTP_GET; i < HTTP_METHOD_OTHER; i++) {
        if (!(methods & 1u << i))
            continue;
        int n = snprintf(out + len, out_size - len, "%s%s", len ? ", " : "", method_names[i]);
        if (n < 0 || (size_t)n >= out_size - len)
            return;
        len += (size_t)n;
    }
}

void http_router_fini(struct http_router *router)
{
    mem_free(router->routes);
    *router = (struct http_router){0};
}

void http_router_add(struct http_router *router, enum http_method method, const char *path, const void *value)
{
    assert(path[0] == '/' && value);
    struct http_route route = {.method = method, .value = value};
    const char *at = path + 1;
    while (*at) {
        size_t len = strcspn(at, "/");
        assert(len > 0 && route.count < HTTP_SEGMENTS_MAX);
        bool is_value = at[0] == '{';
        assert(!is_value || (len > 2 && at[len - 1] == '}'));
        route.segments[route.count] = (struct http_text){at, len};
        if (!is_value)
            route.literal |= UINT32_C(1) << (31 - route.count);
        route.count++;
        at += len;
        at += *at == '/';
    }
    router->routes = mem_grow(router->routes, &router->cap, router->count + 1, sizeof *router->routes);
    router->routes[router->count++] = route;
}

static bool route_matches(const struct http_route *route, const struct http_target *target)
{
    if (route->count != target->segment_count)
        return false;
    for (unsigned i = 0; i < route->count; i++) {
        const struct http_text *have = &target->segments[i], *want = &route->segments[i];
        bool is_literal = route->literal >> (31 - i) & 1;
        if (is_literal ? have->len != want->len || memcmp(have->text, want->text, want->len) != 0 : have->len == 0)
            return false;
    }
    return true;
}

void http_router_find(const struct http_router *router, enum http_method method, const struct http_target *target,
                      struct http_match *ret_match)
{
    *ret_match = (struct http_match){0};
    if (target->is_asterisk)
        return;
    uint32_t best = 0;
    const struct http_route *found = NULL;
    if (method == HTTP_HEAD)
        method = HTTP_GET;
    for (size_t i = 0; i < router->count; i++) {
        const struct http_route *route = &router->routes[i];
        if (!route_matches(route, target) || (ret_match->methods && route->literal < best))
            continue;
        if (route->literal > best) { /* a more special path hides the general one, whatever its methods */
            ret_match->methods = 0;
            found = NULL;
            best = route->literal;
        }
        ret_match->methods |= 1u << route->method;
        if (route->method == HTTP_GET)
            ret_match->methods |= 1u << HTTP_HEAD;
        if (route->method == method)
            found = route;
    }
    if (ret_match->methods)
        ret_match->methods |= 1u << HTTP_OPTIONS;
    if (!found)
        return;
    ret_match->value = found->value;
    for (unsigned i = 0; i < found->count; i++) {
        if (!(found->literal >> (31 - i) & 1))
            ret_match->values[ret_match->value_count++] = target->segments[i];
    }
}
