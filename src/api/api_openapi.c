/* The OpenAPI 3.0.3 document, from the route table. Texts are written as JSON strings, which YAML reads. */
#include <inttypes.h>
#include <string.h>

#include "api/api.h"
#include "api/api_table.h"
#include "base/json.h"

static const char description[] =
    "pawl runs DAGs of tasks on a pool of workers. Times are RFC 3339 in UTC, ids are UUIDs of version 7, so that "
    "their order is the order of creation; what is absent is `null`.\n\n"
    "Every error is an `Error`; its `code` is for programs and its `message` says what to change. Lists are newest "
    "first; go on with `before=<last id>`. HEAD and OPTIONS work on every path. A method that a path does not have "
    "is answered 405 with `Allow`, a path that does not exist 404. Answers carry `X-Request-Id`, the client's own if "
    "it sent one.\n\n"
    "Where tokens are in use a request carries one as `Authorization: Bearer`; `x-role` is the least role it needs: "
    "`viewer` reads, `operator` also runs, `admin` also changes DAGs.";

static void put_line(struct buf *out, int depth, const char *key, const char *text)
{
    struct json json;
    for (int i = 0; i < depth; i++)
        buf_add_text(out, "  ");
    buf_printf(out, "%s: ", key);
    json_init(&json, out);
    json_add_string(&json, text);
    buf_add_char(out, '\n');
}

static void put(struct buf *out, int depth, const char *text)
{
    for (int i = 0; i < depth; i++)
        buf_add_text(out, "  ");
    buf_add_text(out, text);
    buf_add_char(out, '\n');
}

static void put_enum(struct buf *out, int depth, api_names *names, bool nullable)
{
    for (int i = 0; i < depth; i++)
        buf_add_text(out, "  ");
    buf_add_text(out, "enum: [");
    for (unsigned i = 0; names(i); i++)
        buf_printf(out, "%s\"%s\"", i ? ", " : "", names(i));
    buf_add_text(out, nullable ? ", null]\n" : "]\n");
}

static void put_type(struct buf *out, int depth, enum api_type type)
{
    static const char *const types[API_TYPE_COUNT] = {
        [API_STRING] = "string", [API_INTEGER] = "integer", [API_NUMBER] = "number", [API_BOOLEAN] = "boolean",
        [API_UUID] = "string",   [API_TIME] = "string",
    };
    static const char *const formats[API_TYPE_COUNT] = {
        [API_INTEGER] = "int64", [API_NUMBER] = "double", [API_UUID] = "uuid", [API_TIME] = "date-time"};
    if (type == API_INTEGERS) {
        put(out, depth, "type: array");
        put(out, depth, "items: {type: integer}");
    }
    if (types[type])
        put_line(out, depth, "type", types[type]);
    if (formats[type])
        put_line(out, depth, "format", formats[type]);
}

static void put_int(struct buf *out, int depth, const char *key, int64_t value)
{
    for (int i = 0; i < depth; i++)
        buf_add_text(out, "  ");
    buf_printf(out, "%s: %" PRId64 "\n", key, value);
}

/* A parameter's or body member's schema. */
static void put_param_schema(struct buf *out, int depth, const struct api_param *param)
{
    if (param->is_list) {
        put(out, depth, "type: array");
        if (param->max > 0)
            put_int(out, depth, "maxItems", param->max);
        put(out, depth++, "items:");
        put_type(out, depth, param->type);
        if (param->values)
            put_enum(out, depth, param->values, false);
        return;
    }
    if (param->type == API_JSON)
        put(out, depth, "type: object");
    put_type(out, depth, param->type);
    if (param->values)
        put_enum(out, depth, param->values, false);
    if (param->type == API_INTEGER) {
        put_int(out, depth, "minimum", param->min);
        if (param->max < INT64_MAX)
            put_int(out, depth, "maximum", param->max);
        if (param->fallback >= param->min)
            put_int(out, depth, "default", param->fallback);
    } else if (param->type == API_BOOLEAN && param->fallback >= 0) {
        put(out, depth, param->fallback ? "default: true" : "default: false");
    } else if (param->values && param->fallback >= 0) {
        put_line(out, depth, "default", param->values((unsigned)param->fallback));
    } else if (param->type == API_STRING && !param->values) {
        if (param->min > 0)
            put_int(out, depth, "minLength", param->min);
        if (param->max > 0)
            put_int(out, depth, "maxLength", param->max);
    }
}

static void put_parameter(struct buf *out, const char *where, const char *name, const char *text, bool required)
{
    put_line(out, 4, "- name", name);
    put_line(out, 5, "in", where);
    put_line(out, 5, "description", text);
    if (required)
        put(out, 5, "required: true");
    put(out, 5, "schema:");
}

static void put_parameters(struct buf *out, const struct api_route *route)
{
    const char *cursor = route->path, *name;
    char text[64];
    size_t len;
    if (!strchr(route->path, '{') && !route->queries[0] && !route->headers)
        return;
    put(out, 3, "parameters:");
    while ((len = api_table_next_parameter(&cursor, &name))) {
        memcpy(text, name, len);
        text[len] = '\0';
        put_parameter(out, "path", text, api_table_parameter_text(name, len), true);
        put_type(out, 6, strcmp(text, "taskId") == 0 ? API_STRING : API_UUID);
    }
    for (int i = 0; i < API_ROUTE_QUERIES_MAX && route->queries[i]; i++) {
        const struct api_param *param = &api_table_queries[route->queries[i]];
        put_parameter(out, "query", param->name, param->summary, false);
        put_param_schema(out, 6, param);
        if (param->is_list) {
            put(out, 5, "style: form");
            put(out, 5, "explode: false");
        }
    }
    for (unsigned bit = 1; bit < API_HEADER_END; bit <<= 1) {
        if (!(route->headers & bit))
            continue;
        put_parameter(out, "header", api_table_header_name((enum api_header)bit),
                      api_table_header_text((enum api_header)bit), false);
        put_type(out, 6, API_STRING);
    }
}

static void put_reference(struct buf *out, int depth, const char *schema)
{
    for (int i = 0; i < depth; i++)
        buf_add_text(out, "  ");
    buf_printf(out, "$ref: '#/components/schemas/%s'\n", schema);
}

static void put_body(struct buf *out, const struct api_body *body)
{
    if (!body)
        return;
    put(out, 3, "requestBody:");
    put_line(out, 4, "description", body->summary);
    if (body->required)
        put(out, 4, "required: true");
    put(out, 4, "content:");
    put(out, 5, "application/json:");
    put(out, 6, "schema:");
    put_reference(out, 7, body->name);
}

static void put_header(struct buf *out, const char *name, enum api_type type, const char *text)
{
    buf_printf(out, "            %s:\n", name);
    put_line(out, 7, "description", text);
    put(out, 7, "schema:");
    put_type(out, 8, type);
}

static void put_success(struct buf *out, const struct api_route *route, unsigned status, const char *text)
{
    bool is_log = route->queries[0] == API_QUERY_ATTEMPT;
    bool makes = route->status == 201 || (route->status == 202 && route->schema);
    buf_printf(out, "        \"%u\":\n", status);
    put_line(out, 5, "description", text);
    if (route->etag || is_log || makes || route->pages)
        put(out, 5, "headers:");
    if (route->etag)
        put_header(out, "ETag", API_STRING, "Names what was sent, for If-None-Match");
    if (route->pages)
        put_header(out, "X-Next-Before", API_STRING, "Where the next page starts, for `before`; absent: there is none");
    if (is_log)
        put_header(out, "X-Log-Size", API_INTEGER, "The log's size in bytes");
    if (makes)
        put_header(out, "Location", API_STRING, "Where it can be read");
    if (!route->schema && !route->content_type)
        return;
    put(out, 5, "content:");
    buf_printf(out, "            \"%s\":\n", route->content_type ? route->content_type : "application/json");
    put(out, 7, "schema:");
    if (!route->schema) {
        put_type(out, 8, API_STRING);
    } else if (route->is_list) {
        put(out, 8, "type: array");
        put(out, 8, "items:");
        put_reference(out, 9, route->schema);
    } else {
        put_reference(out, 8, route->schema);
    }
    for (size_t i = 0; route->other_types && route->other_types[i]; i++) {
        buf_printf(out, "            \"%s\":\n", route->other_types[i]);
        put(out, 7, "schema:");
        put_type(out, 8, API_STRING);
    }
}

static void put_error(struct buf *out, int status, const enum error_code *codes, size_t count)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < count; i++)
        buf_printf(&text, "%s`%s`: %s", i ? "; " : "", error_name((int)codes[i]),
                   error_default_text((int)codes[i]));
    buf_printf(out, "        \"%d\":\n", status);
    put_line(out, 5, "description", buf_text(&text));
    buf_fini(&text);
    if (status == 401) {
        put(out, 5, "headers:");
        put_header(out, "WWW-Authenticate", API_STRING, "What is asked for, and why a token was refused (RFC 6750)");
    }
    if (status == 503 || status == 429) {
        put(out, 5, "headers:");
        put_header(out, "Retry-After", API_INTEGER, "Seconds after which it may be tried again");
    }
    put(out, 5, "content:");
    put(out, 6, "application/json:");
    put(out, 7, "schema:");
    put_reference(out, 8, "Error");
}

static void put_responses(struct buf *out, const struct api_route *route)
{
    enum error_code codes[ERROR_COUNT];
    size_t count = api_table_errors(route, codes);
    put(out, 3, "responses:");
    put_success(out, route, route->status,
                route->status == 204   ? "Done"
                : route->status == 202 ? "Accepted and durable"
                : route->status == 201 ? "Made and durable"
                                       : "What was asked for");
    if (route->etag) {
        put(out, 4, "\"304\":");
        put_line(out, 5, "description", "The client has it already");
    }
    if (route->also)
        put_success(out, route, route->also, "The same, of what is not well");
    for (size_t i = 0; i < count;) {
        int status = error_http_status((int)codes[i]);
        size_t end = i;
        while (end < count && error_http_status((int)codes[end]) == status)
            end++;
        if ((unsigned)status != route->also)
            put_error(out, status, codes + i, end - i);
        i = end;
    }
}

static void put_operation(struct buf *out, const struct api_route *route)
{
    static const char *const methods[] = {
        [HTTP_GET] = "    get:\n", [HTTP_POST] = "    post:\n", [HTTP_PUT] = "    put:\n",
        [HTTP_DELETE] = "    delete:\n"};
    buf_add_text(out, methods[route->method]);
    put_line(out, 3, "operationId", route->operation);
    buf_printf(out, "      tags: [\"%s\"]\n", route->tag);
    put_line(out, 3, "summary", route->summary);
    put_line(out, 3, "description", route->text ? route->text : route->summary);
    put_line(out, 3, "x-role", api_table_role_name(route->role) ? api_table_role_name(route->role) : "none");
    put(out, 3, route->role == API_ROLE_NONE ? "security: []" : "security: [{token: []}]");
    put_parameters(out, route);
    put_body(out, route->body);
    put_responses(out, route);
}

static void put_paths(struct buf *out)
{
    put(out, 0, "paths:");
    for (size_t i = 0; i < api_table_route_count; i++) {
        const char *path = api_table_routes[i].path;
        bool seen = api_table_routes[i].hidden;
        for (size_t k = 0; k < i && !seen; k++)
            seen = strcmp(api_table_routes[k].path, path) == 0;
        if (seen)
            continue;
        buf_printf(out, "  \"%s\":\n", path);
        for (size_t k = i; k < api_table_route_count; k++)
            if (strcmp(api_table_routes[k].path, path) == 0)
                put_operation(out, &api_table_routes[k]);
    }
}

static void put_field(struct buf *out, const struct api_field *field)
{
    int depth = field->is_list ? 6 : 5;
    buf_printf(out, "        %s:\n", field->name);
    if (field->type == API_REF && !field->is_list && !field->nullable) {
        put_reference(out, 5, field->ref); /* nothing may stand beside a reference */
        return;
    }
    put_line(out, 5, "description", field->summary);
    if (field->nullable || field->type == API_JSON)
        put(out, 5, "nullable: true");
    if (field->is_list) {
        put(out, 5, "type: array");
        put(out, 5, "items:");
        if (field->items_nullable)
            put(out, 6, "nullable: true");
    }
    if (field->type == API_REF && !field->is_list) {
        put(out, depth, "allOf:");
        buf_printf(out, "            - $ref: '#/components/schemas/%s'\n", field->ref);
    } else if (field->type == API_REF)
        put_reference(out, depth, field->ref);
    else if (field->type == API_JSON)
        put(out, depth, "type: object");
    else
        put_type(out, depth, field->type);
    if (field->values)
        put_enum(out, depth, field->values, field->is_list ? field->items_nullable : field->nullable);
}

static void put_schema(struct buf *out, const struct api_schema *schema)
{
    buf_printf(out, "    %s:\n", schema->name);
    put(out, 3, "type: object");
    put_line(out, 3, "description", schema->summary);
    buf_add_text(out, "      required: [");
    bool first = true;
    for (size_t i = 0; i < schema->field_count; i++) {
        if (schema->fields[i].optional)
            continue;
        buf_printf(out, "%s%s", first ? "" : ", ", schema->fields[i].name);
        first = false;
    }
    buf_add_text(out, "]\n");
    put(out, 3, "properties:");
    for (size_t i = 0; i < schema->field_count; i++)
        put_field(out, &schema->fields[i]);
}

static void put_body_schema(struct buf *out, const struct api_body *body)
{
    buf_printf(out, "    %s:\n", body->name);
    put(out, 3, "type: object");
    put_line(out, 3, "description", body->summary);
    put(out, 3, "additionalProperties: false");
    if (body->required) {
        bool first = true;
        buf_add_text(out, "      required: [");
        for (int i = 0; i < API_BODY_FIELDS_MAX && body->fields[i]; i++) {
            if (!api_table_requires(body, body->fields[i]))
                continue;
            buf_printf(out, "%s%s", first ? "" : ", ", api_table_fields[body->fields[i]].name);
            first = false;
        }
        buf_add_text(out, "]\n");
    }
    if (body->fields[0])
        put(out, 3, "properties:");
    for (int i = 0; i < API_BODY_FIELDS_MAX && body->fields[i]; i++) {
        const struct api_param *param = &api_table_fields[body->fields[i]];
        buf_printf(out, "        %s:\n", param->name);
        if (api_table_object(param)) {
            put_reference(out, 5, api_table_object(param)->name); /* nothing may stand beside a reference */
            continue;
        }
        put_line(out, 5, "description", param->summary);
        if (!api_table_requires(body, body->fields[i]) && !param->values)
            put(out, 5, "nullable: true");
        put_param_schema(out, 5, param);
    }
}

static void put_components(struct buf *out)
{
    put(out, 0, "components:");
    put(out, 1, "securitySchemes:");
    put(out, 2, "token:");
    put(out, 3, "type: http");
    put(out, 3, "scheme: bearer");
    put_line(out, 3, "description", "A token made by `pawl token create`");
    put(out, 1, "schemas:");
    for (size_t i = 0; i < api_table_schema_count; i++)
        put_schema(out, &api_table_schemas[i]);
    for (size_t i = 0; i < api_table_route_count; i++) {
        const struct api_body *body = api_table_routes[i].body;
        bool seen = !body;
        for (size_t k = 0; k < i && !seen; k++)
            seen = api_table_routes[k].body == body;
        if (seen)
            continue;
        put_body_schema(out, body);
        for (int k = 0; k < API_BODY_FIELDS_MAX && body->fields[k]; k++)
            if (api_table_object(&api_table_fields[body->fields[k]]))
                put_body_schema(out, api_table_object(&api_table_fields[body->fields[k]]));
    }
}

void api_openapi(struct buf *out, const char *base_path)
{
    put(out, 0, "openapi: 3.0.3");
    put(out, 0, "info:");
    put(out, 1, "title: pawl");
    put_line(out, 1, "version", PAWL_VERSION);
    put_line(out, 1, "description", description);
    put(out, 1, "contact: {name: pawl}");
    put(out, 1, "license: {name: MIT, url: \"https://opensource.org/license/mit\"}");
    put(out, 0, "servers:");
    put_line(out, 1, "- url", base_path && base_path[0] ? base_path : "/");
    put_line(out, 2, "description", "The daemon that serves this document");
    put(out, 0, "tags:");
    for (size_t i = 0; i < api_table_tag_count; i++) {
        put_line(out, 1, "- name", api_table_tags[i].name);
        put_line(out, 2, "description", api_table_tags[i].summary);
    }
    put_paths(out);
    put_components(out);
}
