/* Which handler serves a path. A template is literal segments and {name} segments; literals win. */
#ifndef PAWL_HTTP_HTTP_ROUTER_H
#define PAWL_HTTP_HTTP_ROUTER_H

#include <stddef.h>

#include "http/http.h"
#include "http/http_target.h"

struct http_router {
    struct http_route *routes;
    size_t count;
    size_t cap;
};

struct http_match {
    const void *value;                             /* NULL: the path has no route for this method */
    unsigned methods;                              /* bit 1 << enum http_method for each the path has; 0: no path */
    struct http_text values[HTTP_SEGMENTS_MAX];    /* of the {name} segments, in order */
    unsigned value_count;
};

void http_router_fini(struct http_router *router);
/* `path` is borrowed for the router's life; "/a/{id}/b". Aborts on one that is malformed: it is our own table. */
void http_router_add(struct http_router *router, enum http_method method, const char *path, const void *value);
/* HEAD is served by GET's route. Empty segments match nothing. */
void http_router_find(const struct http_router *router, enum http_method method, const struct http_target *target,
                      struct http_match *ret_match);

const char *http_method_name(enum http_method method);
enum http_method http_method_from_name(const char *name);
/* "GET, HEAD, OPTIONS" for an Allow header */
void http_allow_text(unsigned methods, char *out, size_t out_size);

#endif
