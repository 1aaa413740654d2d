/* The documents over HTTP: OpenAPI, the same as a page, and the web UI. The pages of the documentation hold no
 * script and ask for nothing but their own style sheet. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api_call.h"
#include "api/api_handlers.h"
#include "base/map.h"
#include "dag/dag_schema.h"
#include "web/web.h"

static const char page_policy[] = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
                                  "frame-ancestors 'none'";

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;"
    "background:#fff}\n"
    "code,.path{font:14px/1.4 ui-monospace,monospace}\n"
    "h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}\n"
    "h3{margin-bottom:.25rem}\n"
    ".method{display:inline-block;min-width:4.5rem;font-weight:700}\n"
    "table{border-collapse:collapse;margin:.5rem 0;width:100%}\n"
    "th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-top:1px solid #d0d7de}\n"
    "a{color:#0550ae}\n"
    "@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}a{color:#79c0ff}"
    "h2,th,td{border-color:#30363d}}\n";

/* Text as HTML; `words` in backquotes become code. */
static void put_text(struct buf *out, const char *text)
{
    bool in_code = false;
    for (; *text; text++) {
        if (*text == '`') {
            buf_add_text(out, in_code ? "</code>" : "<code>");
            in_code = !in_code;
        } else if (*text == '<') {
            buf_add_text(out, "&lt;");
        } else if (*text == '>') {
            buf_add_text(out, "&gt;");
        } else if (*text == '&') {
            buf_add_text(out, "&amp;");
        } else {
            buf_add_char(out, *text);
        }
    }
}

static void put_row(struct buf *out, const char *name, const char *where, const char *text)
{
    buf_printf(out, "<tr><td><code>%s</code></td><td>%s</td><td>", name, where);
    put_text(out, text);
    buf_add_text(out, "</td></tr>\n");
}

static void put_limits(struct buf *out, const struct api_param *param)
{
    if (param->values) {
        for (unsigned i = 0; param->values(i); i++)
            buf_printf(out, "%s%s", i ? ", " : ": ", param->values(i));
    } else if (param->type == API_INTEGER && param->max < INT64_MAX) {
        buf_printf(out, "; %" PRId64 " to %" PRId64, param->min, param->max);
    }
    if (param->type == API_INTEGER && param->fallback >= param->min)
        buf_printf(out, "; %" PRId64 " if absent", param->fallback);
}

static void put_param(struct buf *out, const struct api_param *param, const char *where)
{
    struct buf text = BUF_INIT;
    buf_add_text(&text, param->summary);
    put_limits(&text, param);
    put_row(out, param->name, where, buf_text(&text));
    buf_fini(&text);
}

static void put_member(struct buf *out, const struct api_body *body, const struct api_param *param, unsigned field)
{
    put_param(out, param, api_table_requires(body, field) ? "body, required" : "body");
    const struct api_body *object = api_table_object(param);
    for (int i = 0; object && i < API_BODY_FIELDS_MAX && object->fields[i]; i++)
        put_param(out, &api_table_fields[object->fields[i]], "its filter");
}

static void put_inputs(struct buf *out, const struct api_route *route)
{
    const struct api_body *body = route->body;
    if (!route->queries[0] && !route->headers && !(body && body->fields[0]))
        return;
    buf_add_text(out, "<table><tr><th>Takes</th><th>in</th><th></th></tr>\n");
    for (int i = 0; i < API_ROUTE_QUERIES_MAX && route->queries[i]; i++)
        put_param(out, &api_table_queries[route->queries[i]], "query");
    for (unsigned bit = 1; bit < API_HEADER_END; bit <<= 1)
        if (route->headers & bit)
            put_row(out, api_table_header_name((enum api_header)bit), "header",
                    api_table_header_text((enum api_header)bit));
    for (int i = 0; body && i < API_BODY_FIELDS_MAX && body->fields[i]; i++)
        put_member(out, body, &api_table_fields[body->fields[i]], body->fields[i]);
    buf_add_text(out, "</table>\n");
}

static void put_outputs(struct buf *out, const struct api_route *route)
{
    enum error_code codes[ERROR_COUNT];
    size_t count = api_table_errors(route, codes);
    buf_printf(out, "<p>%u", route->status);
    if (route->schema)
        buf_printf(out, route->is_list ? " [<a href=\"#%s\">%s</a>]" : " <a href=\"#%s\">%s</a>", route->schema,
                   route->schema);
    else if (route->content_type)
        buf_printf(out, " <code>%s</code>", route->content_type);
    for (size_t i = 0; route->other_types && route->other_types[i]; i++)
        buf_printf(out, " or <code>%s</code>", route->other_types[i]);
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (api_table_is_common(codes[i]))
            continue;
        buf_printf(out, "%s %d <code>%s</code>", first ? "; errors" : ",", error_http_status((int)codes[i]),
                   error_name((int)codes[i]));
        first = false;
    }
    buf_add_text(out, "</p>\n");
}

static void put_operation(struct buf *out, const struct api_route *route)
{
    buf_printf(out, "<h3 id=\"%s\"><span class=\"method\">%s</span> <span class=\"path\">%s</span></h3>\n<p>",
               route->operation, http_method_name(route->method), route->path);
    put_text(out, route->summary);
    buf_add_text(out, ".");
    if (route->text) {
        buf_add_char(out, ' ');
        put_text(out, route->text);
    }
    if (api_table_role_name(route->role))
        buf_printf(out, " Role: %s.", api_table_role_name(route->role));
    buf_add_text(out, "</p>\n");
    put_inputs(out, route);
    put_outputs(out, route);
}

static void put_field(struct buf *out, const struct api_field *field)
{
    static const char *const types[API_TYPE_COUNT] = {"string", "integer", "number", "boolean",
                                                      "UUID",   "time",    "any",    "[integer]", NULL};
    const char *open = field->is_list ? "[" : "", *close = field->is_list ? "]" : "";
    buf_printf(out, "<tr><td><code>%s</code></td><td>%s", field->name, open);
    if (field->type == API_REF)
        buf_printf(out, "<a href=\"#%s\">%s</a>", field->ref, field->ref);
    else
        buf_add_text(out, types[field->type]);
    buf_printf(out, "%s%s%s</td><td>", close, field->nullable ? " or null" : "", field->optional ? ", optional" : "");
    put_text(out, field->summary);
    for (unsigned i = 0; field->values && field->values(i); i++)
        buf_printf(out, "%s<code>%s</code>", i ? ", " : ": ", field->values(i));
    buf_add_text(out, "</td></tr>\n");
}

static void put_page_head(struct buf *out, const char *title)
{
    buf_printf(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"
               "<meta name=\"viewport\" content=\"width=device-width\">"
               "<link rel=\"stylesheet\" href=\"docs/style.css\"></head><body>\n<h1>%s</h1>\n", title, title);
}

static void put_docs(struct buf *out)
{
    put_page_head(out, "pawl " PAWL_VERSION ": REST API");
    buf_add_text(out, "<p>The same for programs: <a href=\"docs/openapi.yaml\">openapi.yaml</a>. Any request can be "
                 "refused with 400, 403, 414, 431 or 500; what an operation adds to these stands with it.</p>\n");
    for (size_t i = 0; i < api_table_tag_count; i++) {
        buf_printf(out, "<h2 id=\"tag-%s\">%s</h2>\n", api_table_tags[i].name, api_table_tags[i].summary);
        for (size_t k = 0; k < api_table_route_count; k++)
            if (!api_table_routes[k].hidden && strcmp(api_table_routes[k].tag, api_table_tags[i].name) == 0)
                put_operation(out, &api_table_routes[k]);
    }
    buf_add_text(out, "<h2 id=\"shapes\">Shapes</h2>\n");
    for (size_t i = 0; i < api_table_schema_count; i++) {
        const struct api_schema *schema = &api_table_schemas[i];
        buf_printf(out, "<h3 id=\"%s\">%s</h3>\n<p>", schema->name, schema->name);
        put_text(out, schema->summary);
        buf_add_text(out, "</p>\n<table>\n");
        for (size_t k = 0; k < schema->field_count; k++)
            put_field(out, &schema->fields[k]);
        buf_add_text(out, "</table>\n");
    }
    buf_add_text(out, "</body></html>\n");
}

/* Bytes that are made of the program alone: their hash is their tag. */
static void reply_document(struct api_call *call, struct buf *take_body)
{
    char tag[20];
    (void)snprintf(tag, sizeof tag, "%016" PRIx64, map_hash_stable(take_body->bytes, take_body->len));
    if (!api_reply_etag(call, tag)) {
        if (strncmp(call->route->content_type, "text/html", 9) == 0)
            api_reply_header(call, "Content-Security-Policy", page_policy);
        api_reply(call, 200, call->route->content_type, take_body);
    }
    buf_fini(take_body);
}

void api_get_openapi(struct api_call *call)
{
    struct buf body = BUF_INIT;
    api_openapi(&body, call->is_below_base ? call->api->config.base_path : NULL);
    reply_document(call, &body);
}

void api_get_dag_schema(struct api_call *call)
{
    struct buf body = BUF_INIT;
    dag_schema(&body);
    reply_document(call, &body);
}

void api_get_docs(struct api_call *call)
{
    struct buf body = BUF_INIT;
    put_docs(&body);
    reply_document(call, &body);
}

void api_get_docs_style(struct api_call *call)
{
    struct buf body = BUF_INIT;
    buf_add_text(&body, style);
    reply_document(call, &body);
}

/* The UI's page may load its own files and talk to this server, nothing else; strings never become markup. */
static const char ui_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

static void reply_ui(struct api_call *call, const char *name)
{
    const struct web_file *file = web_find(name);
    if (!file) {
        api_fail(call, ERROR_NOT_FOUND, "The web UI has no file of this name");
        return;
    }
    if (file->is_hashed)
        api_reply_header(call, "Cache-Control", "public, max-age=31536000, immutable");
    if (api_reply_etag(call, file->tag))
        return;
    if (strncmp(file->content_type, "text/html", 9) == 0)
        api_reply_header(call, "Content-Security-Policy", ui_policy);
    api_reply_static(call, 200, file->content_type,
                     &(struct http_static){file->bytes, file->len, file->packed, file->packed_len});
}

void api_get_ui_page(struct api_call *call)
{
    reply_ui(call, "index.html");
}

void api_get_ui_file(struct api_call *call)
{
    reply_ui(call, call->file.text);
}
