#include "api/api_dispatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/api_auth.h"
#include "api/api_command.h"
#include "api/api_json.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "dag/dag.h"

static void refuse_path(struct api_call *call, unsigned methods)
{
    char allow[100];
    if (call->request->target.is_asterisk)
        methods = 1u << HTTP_GET | 1u << HTTP_HEAD | 1u << HTTP_POST | 1u << HTTP_PUT | 1u << HTTP_DELETE
                  | 1u << HTTP_OPTIONS;
    http_allow_text(methods, allow, sizeof allow);
    if (!methods) {
        api_fail(call, ERROR_NOT_FOUND, "There is nothing at this path; /docs lists what there is");
        return;
    }
    api_reply_header(call, "Allow", allow);
    if (call->request->method == HTTP_OPTIONS)
        api_reply_empty(call, 204);
    else
        api_fail(call, ERROR_METHOD_NOT_ALLOWED, "%.20s is not a method of this path; it has %s",
                 call->request->method_name, allow);
}

static bool check_path(struct api_call *call, const struct http_match *match)
{
    const char *cursor = call->route->path, *name;
    size_t len;
    for (unsigned i = 0; (len = api_table_next_parameter(&cursor, &name)); i++) {
        const struct http_text *value = &match->values[i];
        if (len == strlen("taskId") && memcmp(name, "taskId", len) == 0) {
            call->task_id = *value;
        } else if (len == strlen("file") && memcmp(name, "file", len) == 0) {
            call->file = *value;
        } else if (!uuid_parse_len(value->text, value->len, &call->id)) {
            api_fail(call, ERROR_BAD_REQUEST, "%.*s must be a UUID, not '%.60s'", (int)len, name, value->text);
            return false;
        }
    }
    return true;
}

/* "a, b or c" */
static void list_names(api_names *names, struct buf *out)
{
    for (unsigned i = 0; names(i); i++) {
        if (i)
            buf_add_text(out, names(i + 1) ? ", " : " or ");
        buf_add_text(out, names(i));
    }
}

static bool refuse_value(struct api_call *call, const struct api_param *param, const char *text, const char *want)
{
    api_fail(call, ERROR_BAD_REQUEST, "%s must be %s, not '%.60s'", param->name, want, text);
    return false;
}

static bool check_integer(struct api_call *call, const struct api_param *param, struct api_value *value)
{
    if (str_parse_int(value->text, param->min, param->max, &value->number))
        return true;
    char want[120];
    if (param->max == INT64_MAX)
        (void)snprintf(want, sizeof want, "a whole number from %" PRId64, param->min);
    else
        (void)snprintf(want, sizeof want, "a whole number from %" PRId64 " to %" PRId64 "%s", param->min, param->max,
                       param == &api_table_queries[API_QUERY_OFFSET] ? " (to go further use before=<id>)" : "");
    return refuse_value(call, param, value->text, want);
}

/* The index of a name into *ret_index; false: answered. */
static bool check_name(struct api_call *call, const struct api_param *param, const char *text, size_t len,
                       unsigned *ret_index)
{
    for (unsigned i = 0; param->values(i); i++) {
        *ret_index = i;
        if (strlen(param->values(i)) == len && memcmp(param->values(i), text, len) == 0)
            return true;
    }
    struct buf want = BUF_INIT;
    list_names(param->values, &want);
    (void)refuse_value(call, param, arena_strndup(api_arena(call), text, len), buf_text(&want));
    buf_fini(&want);
    return false;
}

/* "a,b" as bits. */
static bool check_names(struct api_call *call, const struct api_param *param, struct api_value *value)
{
    const char *at = value->text;
    value->number = 0;
    for (;;) {
        size_t len = strcspn(at, ",");
        unsigned index = 0;
        if (!check_name(call, param, at, len, &index))
            return false;
        value->number |= INT64_C(1) << index;
        if (!at[len])
            return true;
        at += len + 1;
    }
}

static bool check_string(struct api_call *call, const struct api_param *param, struct api_value *value)
{
    unsigned index = 0;
    if (param->values && param->is_list)
        return check_names(call, param, value);
    if (param->values) {
        bool known = check_name(call, param, value->text, value->len, &index);
        value->number = index;
        return known;
    }
    if ((int64_t)value->len >= param->min && (int64_t)value->len <= param->max)
        return true;
    api_fail(call, ERROR_BAD_REQUEST, "%s must be %" PRId64 " to %" PRId64 " bytes long, not %zu", param->name,
             param->min, param->max, value->len);
    return false;
}

static bool check_value(struct api_call *call, const struct api_param *param, struct api_value *value)
{
    switch (param->type) {
    case API_INTEGER:
        return check_integer(call, param, value);
    case API_BOOLEAN:
        value->number = strcmp(value->text, "true") == 0;
        return value->number || strcmp(value->text, "false") == 0
               || refuse_value(call, param, value->text, "true or false");
    case API_TIME:
        return clock_parse_rfc3339(value->text, &value->number)
               || refuse_value(call, param, value->text, "a time such as 2026-03-29T02:30:00Z");
    case API_UUID:
        return uuid_parse_len(value->text, value->len, &value->id)
               || refuse_value(call, param, value->text, "a UUID");
    default:
        return check_string(call, param, value);
    }
}

static bool refuse_name(struct api_call *call, const char *what, const char *name, const char *const *words,
                        size_t count)
{
    const char *nearest = str_nearest(name, words, count);
    if (nearest)
        api_fail(call, ERROR_BAD_REQUEST, "Unknown %s '%.60s': did you mean '%s'?", what, name, nearest);
    else
        api_fail(call, ERROR_BAD_REQUEST, "Unknown %s '%.60s'", what, name);
    return false;
}

static bool check_query(struct api_call *call)
{
    const struct http_target *target = &call->request->target;
    const char *words[API_ROUTE_QUERIES_MAX];
    size_t count = 0;
    for (; count < API_ROUTE_QUERIES_MAX && call->route->queries[count]; count++) {
        const struct api_param *param = &api_table_queries[call->route->queries[count]];
        words[count] = param->name;
        call->query[call->route->queries[count]].number = param->fallback;
    }
    for (unsigned i = 0; i < target->query_count; i++) {
        const struct http_pair *pair = &target->query[i];
        size_t at = 0;
        while (at < count && strcmp(words[at], pair->name.text) != 0)
            at++;
        if (at == count)
            return refuse_name(call, "query parameter", pair->name.text, words, count);
        struct api_value *value = &call->query[call->route->queries[at]];
        value->given = true;
        value->text = pair->value.text;
        value->len = pair->value.len;
        if (!check_value(call, &api_table_queries[call->route->queries[at]], value))
            return false;
    }
    return true;
}

static bool is_json_type(const char *type)
{
    static const char json[] = "application/json";
    if (!type || strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    const char *rest = type + sizeof json - 1 + strspn(type + sizeof json - 1, " \t");
    return *rest == '\0' || *rest == ';';
}

static bool check_body_head(struct api_call *call)
{
    struct http_request *request = call->request;
    const struct api_body *body = call->route->body;
    if (!body)
        return true;
    request->body_max = !body->is_large  ? (size_t)LIMIT_SMALL_BODY_BYTES_MAX
                        : call->is_local ? (size_t)LIMIT_DAG_LOCAL_BYTES_MAX / 8 * 9 /* JSON escapes line breaks */
                                         : (size_t)LIMIT_BODY_BYTES_MAX;
    if (!body->required)
        return true;
    if (!request->has_length)
        api_fail(call, ERROR_LENGTH_REQUIRED, "A body and its Content-Length are needed");
    else if (!request->has_body)
        api_fail(call, ERROR_BAD_REQUEST, "A body is needed: a JSON object (%s)", body->name);
    else if (!is_json_type(http_header(request, "Content-Type")))
        api_fail(call, ERROR_UNSUPPORTED_MEDIA_TYPE, "The body must be JSON: send Content-Type: application/json");
    else
        return true;
    return false;
}

static bool check_headers(struct api_call *call)
{
    if (call->offline)
        return true;
    struct http_request *request = call->request;
    const struct api_route *route = call->route;
    if (route->headers & API_HEADER_IF_MATCH)
        call->if_match = http_header(request, "If-Match");
    if (route->headers & API_HEADER_LAST_EVENT_ID)
        call->last_event_id = http_header(request, "Last-Event-ID");
    if (route->headers & API_HEADER_IDEMPOTENCY_KEY)
        call->idempotency_key = http_header(request, "Idempotency-Key");
    size_t len = call->idempotency_key ? strlen(call->idempotency_key) : 1;
    if (len < 1 || len > LIMIT_IDEMPOTENCY_KEY_BYTES_MAX) {
        api_fail(call, ERROR_BAD_REQUEST, "Idempotency-Key must be 1 to %d bytes long",
                 LIMIT_IDEMPOTENCY_KEY_BYTES_MAX);
        return false;
    }
    if (request->method == HTTP_POST)
        call->command.trace = api_command_trace(call);
    return check_body_head(call);
}

/* How many segments the path begins with that are the base path's; 0: it is not below it. */
static unsigned count_base(const struct http_target *target, const char *base)
{
    unsigned count = 0;
    for (size_t len; base && *base; base += len + 1, count++) {
        len = strcspn(base + 1, "/");
        const struct http_text *segment = &target->segments[count];
        if (count == target->segment_count || segment->len != len || memcmp(segment->text, base + 1, len) != 0)
            return 0;
    }
    return count;
}

/* Takes off what a proxy left in front of the path. Without it the answers are the same: commands on this machine,
 * probes and proxies that take it off need not know it. True: the base path itself was asked for without the slash
 * that relative addresses need, and the answer names it. */
static bool take_off_base(struct api_call *call)
{
    struct http_target *target = &call->request->target;
    unsigned base = count_base(target, call->api->config.base_path);
    unsigned rest = target->segment_count - base;
    if (!base)
        return false;
    call->is_below_base = true;
    if (rest == 0) {
        api_reply_location(call, "/");
        api_reply_empty(call, 308);
        return true;
    }
    memmove(target->segments, target->segments + base, rest * sizeof *target->segments);
    target->segment_count = rest == 1 && target->segments[0].len == 0 ? 0 : rest;
    return false;
}

void api_dispatch_head(struct api_call *call)
{
    struct http_match match;
    if (take_off_base(call))
        return;
    http_router_find(&call->api->router, call->request->method, &call->request->target, &match);
    call->route = match.value;
    if (!call->route || call->request->method == HTTP_OPTIONS) {
        refuse_path(call, match.methods);
        return;
    }
    if (!api_auth_check(call) || !check_path(call, &match) || !check_query(call) || !check_headers(call))
        return;
    if (call->offline && (call->route->stream || call->query[API_QUERY_FOLLOW].number == 1))
        api_fail(call, ERROR_BAD_REQUEST, "This answer has no end");
    else if (call->route->needs_store && !call->api->backend.store)
        api_fail(call, ERROR_STORE_FAILED, "The store is not open");
}

static bool parse_object(struct api_call *call, const struct api_body *body, json_t *object);

/* A member that is no text: true when it was taken, else *ret_want is what it must be. */
static bool take_plain(const struct api_param *param, json_t *item, struct api_value *value, const char **ret_want)
{
    switch (param->type) {
    case API_INTEGER:
        *ret_want = "a whole number";
        value->number = json_is_integer(item) ? json_integer_value(item) : 0;
        return json_is_integer(item);
    case API_BOOLEAN:
        *ret_want = "true or false";
        value->number = json_is_true(item);
        return json_is_boolean(item);
    default:
        *ret_want = "a string";
        value->text = json_string_value(item);
        value->len = json_string_length(item);
        return json_is_string(item);
    }
}

static bool refuse_item(struct api_call *call, const struct api_param *param, const char *want)
{
    api_fail(call, ERROR_BAD_REQUEST, "%s must be a list of %s", param->name, want);
    return false;
}

static bool parse_list(struct api_call *call, const struct api_param *param, json_t *list, struct api_value *value)
{
    size_t count = json_array_size(list);
    const char *want = param->type == API_UUID ? "UUIDs" : "names";
    if (!json_is_array(list))
        return refuse_item(call, param, want);
    if (count > (size_t)param->max) {
        api_fail(call, ERROR_BAD_REQUEST, "%s must have at most %" PRId64 " items", param->name, param->max);
        return false;
    }
    struct uuid *ids = arena_array(api_arena(call), param->type == API_UUID ? count : 0, sizeof *ids);
    value->number = 0;
    value->ids = ids;
    value->count = count;
    for (size_t i = 0; i < count; i++) {
        json_t *item = json_array_get(list, i);
        unsigned index = 0;
        if (!json_is_string(item))
            return refuse_item(call, param, want);
        if (param->type != API_UUID
            && !check_name(call, param, json_string_value(item), json_string_length(item), &index))
            return false;
        if (param->type == API_UUID && !uuid_parse_len(json_string_value(item), json_string_length(item), &ids[i]))
            return refuse_value(call, param, json_string_value(item), "a list of UUIDs");
        value->number |= INT64_C(1) << index;
    }
    return true;
}

static bool take_json(struct api_call *call, const struct api_param *param, json_t *item, struct api_value *value)
{
    if (!json_is_object(item)) {
        api_fail(call, ERROR_BAD_REQUEST, "%s must be an object", param->name);
        return false;
    }
    value->text = api_json_text(item, api_arena(call));
    value->len = strlen(value->text);
    if ((int64_t)value->len <= param->max)
        return true;
    api_fail(call, ERROR_BAD_REQUEST, "%s must be at most %" PRId64 " bytes long, not %zu", param->name, param->max,
             value->len);
    return false;
}

static bool parse_field(struct api_call *call, const struct api_body *body, const char *key, json_t *item)
{
    const char *words[API_BODY_FIELDS_MAX], *want;
    size_t count = 0, at = API_BODY_FIELDS_MAX;
    for (; count < API_BODY_FIELDS_MAX && body->fields[count]; count++) {
        words[count] = api_table_fields[body->fields[count]].name;
        if (strcmp(words[count], key) == 0)
            at = count;
    }
    if (at == API_BODY_FIELDS_MAX)
        return refuse_name(call, "field", key, words, count);
    const struct api_param *param = &api_table_fields[body->fields[at]];
    struct api_value *value = &call->body[body->fields[at]];
    if (json_is_null(item))
        return true;
    value->given = true;
    if (param->type == API_JSON)
        return take_json(call, param, item, value);
    const struct api_body *object = api_table_object(param);
    if (object && json_is_object(item))
        return parse_object(call, object, item);
    if (param->is_list)
        return parse_list(call, param, item, value);
    if (object || !take_plain(param, item, value, &want)) {
        api_fail(call, ERROR_BAD_REQUEST, "%s must be %s", param->name, object ? "an object" : want);
        return false;
    }
    if (param->type == API_INTEGER && (value->number < param->min || value->number > param->max)) {
        api_fail(call, ERROR_BAD_REQUEST, "%s must be from %" PRId64 " to %" PRId64, param->name, param->min,
                 param->max);
        return false;
    }
    return param->type == API_INTEGER || param->type == API_BOOLEAN || check_value(call, param, value);
}

static bool parse_object(struct api_call *call, const struct api_body *body, json_t *object)
{
    const char *key;
    json_t *item;
    json_object_foreach (object, key, item)
        if (!parse_field(call, body, key, item))
            return false;
    for (int i = 0; i < API_BODY_FIELDS_MAX && body->fields[i]; i++) {
        if (api_table_requires(body, body->fields[i]) && !call->body[body->fields[i]].given) {
            api_fail(call, ERROR_BAD_REQUEST, "Missing required field: %s", api_table_fields[body->fields[i]].name);
            return false;
        }
    }
    return true;
}

bool api_dispatch_body(struct api_call *call)
{
    struct buf *bytes = &call->request->body;
    const struct api_body *body = call->route->body;
    if (!body)
        return true;
    for (int i = 0; i < API_BODY_FIELDS_MAX && body->fields[i]; i++)
        call->body[body->fields[i]].number = api_table_fields[body->fields[i]].fallback;
    if (!bytes->len) {
        if (!body->required)
            return true;
        api_fail(call, ERROR_BAD_REQUEST, "A body is needed: a JSON object (%s)", body->name);
        return false;
    }
    json_error_t problem;
    bool starved;
    call->root = api_json_read(bytes->bytes, bytes->len, &problem, &starved);
    buf_fini(bytes);
    if (starved) {
        api_fail(call, ERROR_OUT_OF_MEMORY, "There is not enough memory to read the body");
        return false;
    }
    if (!call->root) {
        api_fail(call, ERROR_BAD_REQUEST, "The body is not valid JSON: line %d, column %d: %s", problem.line,
                 problem.column, problem.text);
        return false;
    }
    if (!json_is_object(call->root)) {
        api_fail(call, ERROR_BAD_REQUEST, "The body must be a JSON object");
        return false;
    }
    return parse_object(call, body, call->root);
}

void api_dispatch_run(struct api_call *call)
{
    if (api_dispatch_body(call))
        call->route->handler(call);
}

void api_dispatch_fini(struct api_call *call)
{
    json_decref(call->root);
    call->root = NULL;
    dag_unref(call->dag);
    call->dag = NULL;
}
