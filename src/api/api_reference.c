/* docs/api.md, from the route table. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "api/api_table.h"
#include "http/http_router.h"

/* Table cells: a bar would end them. */
static void put_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
}

static void put_param(struct buf *out, const struct api_param *param, const char *where)
{
    buf_printf(out, "| `%s` | %s | ", param->name, where);
    put_cell(out, param->summary);
    if (param->values)
        for (unsigned i = 0; param->values(i); i++)
            buf_printf(out, "%s`%s`", i ? ", " : ": ", param->values(i));
    else if (param->type == API_INTEGER && param->max < INT64_MAX)
        buf_printf(out, "; %" PRId64 " to %" PRId64, param->min, param->max);
    if (param->type == API_INTEGER && param->fallback >= param->min)
        buf_printf(out, "; default %" PRId64, param->fallback);
    else if (param->values && param->fallback >= 0)
        buf_printf(out, "; default `%s`", param->values((unsigned)param->fallback));
    buf_add_text(out, " |\n");
}

static void put_member(struct buf *out, const struct api_body *body, const struct api_param *param, unsigned field)
{
    put_param(out, param, api_table_requires(body, field) ? "body, required" : "body");
    const struct api_body *object = api_table_object(param);
    for (int i = 0; object && i < API_BODY_FIELDS_MAX && object->fields[i]; i++)
        put_param(out, &api_table_fields[object->fields[i]], "its `filter`");
}

static void put_inputs(struct buf *out, const struct api_route *route)
{
    const struct api_body *body = route->body;
    if (!route->queries[0] && !route->headers && !(body && body->fields[0]))
        return;
    buf_add_text(out, "\n| takes | in | |\n|---|---|---|\n");
    for (int i = 0; i < API_ROUTE_QUERIES_MAX && route->queries[i]; i++)
        put_param(out, &api_table_queries[route->queries[i]], "query");
    for (unsigned bit = 1; bit < API_HEADER_END; bit <<= 1)
        if (route->headers & bit)
            buf_printf(out, "| `%s` | header | %s |\n", api_table_header_name((enum api_header)bit),
                       api_table_header_text((enum api_header)bit));
    for (int i = 0; body && i < API_BODY_FIELDS_MAX && body->fields[i]; i++)
        put_member(out, body, &api_table_fields[body->fields[i]], body->fields[i]);
}

static void put_outputs(struct buf *out, const struct api_route *route)
{
    enum error_code codes[ERROR_COUNT];
    size_t count = api_table_errors(route, codes);
    buf_printf(out, "\nGives %u", route->status);
    if (route->schema)
        buf_printf(out, route->is_list ? " [%s]" : " %s", route->schema);
    else if (route->content_type)
        buf_printf(out, " `%s`", route->content_type);
    for (size_t i = 0; route->other_types && route->other_types[i]; i++)
        buf_printf(out, " or `%s`", route->other_types[i]);
    if (route->also)
        buf_printf(out, ", %u with the same", route->also);
    if (route->etag)
        buf_add_text(out, ", 304");
    if (route->pages)
        buf_add_text(out, ", with `X-Next-Before` unless it is the last page");
    buf_add_text(out, ".\n");
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        if (api_table_is_common(codes[i]) || codes[i] == ERROR_UNAUTHORIZED || codes[i] == ERROR_TOO_MANY_REQUESTS)
            continue;
        buf_add_text(out, status ? ", " : "Refuses with ");
        if (error_http_status((int)codes[i]) != status)
            buf_printf(out, "%d ", error_http_status((int)codes[i]));
        status = error_http_status((int)codes[i]);
        buf_printf(out, "`%s`", error_name((int)codes[i]));
    }
    if (status)
        buf_add_text(out, ".\n");
}

static void put_operation(struct buf *out, const struct api_route *route)
{
    const char *role = api_table_role_name(route->role);
    buf_printf(out, "\n### %s %s\n\n%s.", http_method_name(route->method), route->path, route->summary);
    if (route->text)
        buf_printf(out, " %s", route->text);
    if (role)
        buf_printf(out, " Role: %s.", role);
    buf_add_char(out, '\n');
    put_inputs(out, route);
    put_outputs(out, route);
}

static void put_field(struct buf *out, const struct api_field *field)
{
    static const char *const types[API_TYPE_COUNT] = {"string", "integer", "number", "boolean",
                                                      "UUID",   "time",    "any",    "[integer]", NULL};
    buf_printf(out, "| `%s` | %s%s%s%s%s | ", field->name, field->is_list ? "[" : "",
               field->type == API_REF ? field->ref : types[field->type], field->is_list ? "]" : "",
               field->nullable ? " or null" : "", field->optional ? ", optional" : "");
    put_cell(out, field->summary);
    for (unsigned i = 0; field->values && field->values(i); i++)
        buf_printf(out, "%s`%s`", i ? ", " : ": ", field->values(i));
    buf_add_text(out, " |\n");
}

void api_reference(struct buf *out)
{
    buf_add_text(out,
                 "# REST API\n\n"
                 "Written by the program from its own table of routes, as are `/docs` and `/docs/openapi.yaml`.\n\n"
                 "JSON in camelCase, times in RFC 3339 and UTC, ids are UUIDs of version 7, what is absent is `null`.\n"
                 "Every error is an `Error`. Any request can be refused with 400 `BAD_REQUEST`, which says what\n"
                 "to change (an unknown query parameter or field, too), 403 `FORBIDDEN` (a foreign Host or\n"
                 "Origin), 414 `URI_TOO_LONG`, 431 `HEADERS_TOO_LARGE` or 500 `INTERNAL`; what an operation adds\n"
                 "to these stands with it. HEAD and OPTIONS work on every path; a method that a path does not\n"
                 "have is answered 405 with `Allow`. Lists are newest first: go on with `before=<last id>`.\n"
                 "Answers carry `X-Request-Id`. Text and JSON of more than 16 KiB are compressed for clients that\n"
                 "take gzip.\n\n"
                 "Where tokens are in use a request carries `Authorization: Bearer TOKEN`. An operation names the\n"
                 "least role that will do: `viewer` reads, `operator` also runs, `admin` also changes DAGs. Without\n"
                 "a valid token the answer is 401 `UNAUTHORIZED` with `WWW-Authenticate`, with too small a role\n"
                 "403 `FORBIDDEN`, after too many wrong tokens from one address 429 `TOO_MANY_REQUESTS` with\n"
                 "`Retry-After`. Operations without a role need no token.\n");
    for (size_t i = 0; i < api_table_tag_count; i++) {
        buf_printf(out, "\n## %s\n", api_table_tags[i].summary);
        for (size_t k = 0; k < api_table_route_count; k++)
            if (!api_table_routes[k].hidden && strcmp(api_table_routes[k].tag, api_table_tags[i].name) == 0)
                put_operation(out, &api_table_routes[k]);
    }
    buf_add_text(out, "\n## Shapes\n");
    for (size_t i = 0; i < api_table_schema_count; i++) {
        const struct api_schema *schema = &api_table_schemas[i];
        buf_printf(out, "\n### %s\n\n%s.\n\n| member | type | |\n|---|---|---|\n", schema->name, schema->summary);
        for (size_t k = 0; k < schema->field_count; k++)
            put_field(out, &schema->fields[k]);
    }
}
