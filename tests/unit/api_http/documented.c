#include "documented.h"

#include "support/check.h"

#include <string.h>

#include <jansson.h>

#include "api/api_table.h"
#include "base/clock.h"
#include "http/http_router.h"

static const struct api_schema *find_schema(const char *name)
{
    for (size_t i = 0; i < api_table_schema_count; i++)
        if (strcmp(api_table_schemas[i].name, name) == 0)
            return &api_table_schemas[i];
    fail_msg("no schema %s", name);
    return NULL;
}

static void check_object(json_t *value, const struct api_schema *schema);

static void check_text(json_t *value, const struct api_field *field)
{
    struct uuid id;
    int64_t time_ms;
    assert_true(json_is_string(value));
    const char *text = json_string_value(value);
    if (field->type == API_UUID)
        assert_true(uuid_parse(text, &id));
    if (field->type == API_TIME)
        assert_true(clock_parse_rfc3339(text, &time_ms));
    bool known = !field->values;
    for (unsigned i = 0; !known && field->values(i); i++)
        known = strcmp(field->values(i), text) == 0;
    if (!known)
        fail_msg("%s has '%s', which is not documented", field->name, text);
}

static void check_value(json_t *value, const struct api_field *field)
{
    if (json_is_null(value)) {
        if (!field->nullable && field->type != API_JSON)
            fail_msg("%s is null", field->name);
        return;
    }
    switch (field->type) {
    case API_INTEGER:
        assert_true(json_is_integer(value));
        return;
    case API_NUMBER:
        assert_true(json_is_number(value));
        return;
    case API_BOOLEAN:
        assert_true(json_is_boolean(value));
        return;
    case API_JSON:
        return;
    case API_INTEGERS:
        for (size_t i = 0; i < json_array_size(value); i++)
            assert_true(json_is_integer(json_array_get(value, i)));
        assert_true(json_is_array(value));
        return;
    case API_REF:
        check_object(value, find_schema(field->ref));
        return;
    default:
        check_text(value, field);
    }
}

static void check_object(json_t *value, const struct api_schema *schema)
{
    const char *key;
    json_t *item;
    size_t known = 0;
    if (!json_is_object(value))
        fail_msg("a %s is no object", schema->name);
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct api_field *field = &schema->fields[i];
        item = json_object_get(value, field->name);
        if (!item && field->optional)
            continue;
        if (!item)
            fail_msg("%s has no %s", schema->name, field->name);
        known++;
        if (!field->is_list) {
            check_value(item, field);
            continue;
        }
        if (json_is_null(item) && field->nullable)
            continue;
        assert_true(json_is_array(item));
        for (size_t k = 0; k < json_array_size(item); k++)
            if (!field->items_nullable || !json_is_null(json_array_get(item, k)))
                check_value(json_array_get(item, k), field);
    }
    if (json_object_size(value) == known)
        return;
    json_object_foreach (value, key, item) {
        bool found = false;
        for (size_t i = 0; i < schema->field_count; i++)
            found = found || strcmp(schema->fields[i].name, key) == 0;
        if (!found)
            fail_msg("%s has %s, which is not documented", schema->name, key);
    }
}

static json_t *parse(const struct answer *answer)
{
    json_t *root = json_loadb(answer->body.bytes, answer->body.len, JSON_REJECT_DUPLICATES, NULL);
    if (!root)
        fail_msg("no JSON: %s", answer->body.bytes);
    return root;
}

static void check_success(const struct api_route *route, const struct answer *answer)
{
    const char *type = answer_header(answer, "Content-Type");
    if (!route->schema) {
        if (route->content_type)
            assert_string_equal(type, route->content_type);
        else
            assert_int_equal(answer->body.len, 0);
        return;
    }
    for (size_t i = 0; route->other_types && route->other_types[i]; i++)
        if (strcmp(type, route->other_types[i]) == 0)
            return;
    assert_string_equal(type, "application/json");
    json_t *root = parse(answer);
    const struct api_schema *schema = find_schema(route->schema);
    if (route->is_list) {
        assert_true(json_is_array(root));
        for (size_t i = 0; i < json_array_size(root); i++)
            check_object(json_array_get(root, i), schema);
    } else {
        check_object(root, schema);
    }
    json_decref(root);
}

static void check_error(const struct api_route *route, const struct answer *answer)
{
    enum error_code codes[ERROR_COUNT];
    json_t *root = parse(answer);
    check_object(root, find_schema("Error"));
    int code = error_from_name(json_string_value(json_object_get(root, "code")));
    assert_int_equal(error_http_status(code), answer->status);
    if (answer->status == 503)
        assert_non_null(answer_header(answer, "Retry-After"));
    if (route) {
        size_t count = api_table_errors(route, codes), at = 0;
        while (at < count && (int)codes[at] != code)
            at++;
        if (at == count)
            fail_msg("%s does not document %s", route->operation, error_name(code));
    }
    json_decref(root);
}

void documented_check(const char *method, const char *target, const struct answer *answer)
{
    struct http_router router = {0};
    struct http_match match = {0};
    struct http_target parsed;
    struct arena arena = {0};
    enum http_method known = http_method_from_name(method);
    for (size_t i = 0; i < api_table_route_count; i++)
        http_router_add(&router, api_table_routes[i].method, api_table_routes[i].path, &api_table_routes[i]);
    if (http_target_parse(&arena, target, strlen(target), &parsed, NULL) == 0)
        http_router_find(&router, known, &parsed, &match);
    const struct api_route *route = match.value;
    assert_non_null(answer_header(answer, "X-Request-Id"));
    bool same = route && ((unsigned)answer->status == route->status || (unsigned)answer->status == route->also);
    if (known == HTTP_HEAD || known == HTTP_OPTIONS || answer->status == 304)
        assert_int_equal(answer->body.len, 0);
    else if (same && route->hidden)
        assert_null(route->schema); /* files of any kind */
    else if (same)
        check_success(route, answer);
    else
        check_error(route, answer);
    if (answer->status == 304)
        assert_true(route && route->etag);
    bool changes = strstr(target, "lastRuns=") != NULL;
    if (answer->status == 200 && route && route->etag && !changes
        && route->status == 200 && strncmp(route->operation, "getRun", 6))
        assert_non_null(answer_header(answer, "ETag"));
    http_router_fini(&router);
    arena_fini(&arena);
}
