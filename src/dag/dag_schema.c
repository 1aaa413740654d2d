#include "dag/dag_schema.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "cron/cron.h"
#include "dag/dag_fields.h"

/* The end of the text: '$' is also in front of a last line break, for some. */
#define END "(?![\\s\\S])"
/* Characters that dag_text_bad_character refuses; the inside of a class. */
#define BAD "\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069"
#define NO_BLANK "[^\\u0000-\\u0020\\u007f]"
#define UNITS "(ms|s|m|h|d)"

static const char id_pattern[] = "^(?!\\.{1,2}" END ")[^" BAD "]+" END;
static const char user_pattern[] = "^[^/: " BAD "]+" END;
static const char name_pattern[] = "^[^" BAD "]*" END;
static const char duration_pattern[] = "^(0*[1-9][0-9]*" UNITS "|none)" END;
static const char delay_pattern[] = "^[0-9]+" UNITS END;
static const char variable_pattern[] = "^(?!PAWL_)[A-Za-z_][A-Za-z0-9_]{0,254}" END;
static const char header_pattern[] = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+" END;
static const char header_value_pattern[] = "^[^\\r\\n]*" END;
static const char method_pattern[] =
    "^(?!([Cc][Oo][Nn][Nn][Ee][Cc][Tt]|[Tt][Rr][Aa][Cc][Ee])" END ")[A-Za-z-]{1,32}" END;
static const char url_pattern[] =
    "^([Hh][Tt][Tt][Pp][Ss]?://(?![/?#])" NO_BLANK "|\\$\\{env\\.)" NO_BLANK "*" END;

static const struct {
    const struct dag_table *table;
    const char *name;
} definitions[] = {
    {&dag_table_defaults, "defaults"}, {&dag_table_keep, "keep"}, {&dag_table_retry, "retry"},
    {&dag_table_schedule, "schedule"},
    {&dag_table_task, "task"}};

static void put_ref(struct json *json, const struct dag_table *table)
{
    char ref[40];
    size_t at = 0;
    while (definitions[at].table != table)
        at++;
    (void)snprintf(ref, sizeof ref, "#/definitions/%s", definitions[at].name);
    json_begin_object(json);
    json_kv_string(json, "$ref", ref);
    json_end_object(json);
}

/* "type": the name, and null for what may be absent. */
static void put_type(struct json *json, const char *type, bool nullable)
{
    json_key(json, "type");
    if (!nullable) {
        json_add_string(json, type);
        return;
    }
    json_begin_array(json);
    json_add_string(json, type);
    json_add_string(json, "null");
    json_end_array(json);
}

/* A single value, which is taken as it is written. */
static void put_scalar_members(struct json *json)
{
    static const char *const types[] = {"string", "number", "boolean", "null"};
    json_key(json, "type");
    json_begin_array(json);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        json_add_string(json, types[i]);
    json_end_array(json);
}

static void put_scalar(struct json *json, const char *pattern)
{
    json_begin_object(json);
    put_scalar_members(json);
    if (pattern)
        json_kv_string(json, "pattern", pattern);
    json_end_object(json);
}

/* Members of a string; sizes are in characters here, and in bytes for the reader. */
static void put_string(struct json *json, const struct dag_field *field, const char *pattern, bool nullable)
{
    put_type(json, "string", nullable);
    if (field->min > 0 || field->kind == DAG_FIELD_ID)
        json_kv_int(json, "minLength", 1);
    if (field->max > 0)
        json_kv_int(json, "maxLength", (int64_t)field->max);
    if (pattern)
        json_kv_string(json, "pattern", pattern);
}

static void put_enum(struct json *json, const struct dag_field *field, bool nullable)
{
    json_key(json, "enum");
    json_begin_array(json);
    for (size_t i = 0; i < field->names_count; i++)
        json_add_string(json, field->names[i]);
    if (nullable)
        json_add_null(json);
    json_end_array(json);
}

static void put_number(struct json *json, const struct dag_field *field, bool nullable)
{
    put_type(json, field->kind == DAG_FIELD_COUNT ? "integer" : "number", nullable);
    json_key(json, "minimum");
    json_add_double(json, field->min);
    json_key(json, "maximum");
    json_add_double(json, field->max);
}

static void put_vars(struct json *json, const char *name_of, const char *value_of, bool nullable)
{
    put_type(json, "object", nullable);
    json_kv_int(json, "maxProperties", LIMIT_ENV_VARS_MAX);
    json_key(json, "propertyNames");
    json_begin_object(json);
    json_kv_string(json, "pattern", name_of);
    json_end_object(json);
    json_key(json, "additionalProperties");
    put_scalar(json, value_of);
}

/* A list of strings, or of single values. */
static void put_list(struct json *json, const char *pattern, bool strings, bool nullable)
{
    put_type(json, "array", nullable);
    json_key(json, "items");
    if (!strings) {
        put_scalar(json, NULL);
        return;
    }
    json_begin_object(json);
    put_type(json, "string", false);
    json_kv_int(json, "minLength", 1);
    if (pattern)
        json_kv_string(json, "pattern", pattern);
    json_end_object(json);
}

/* A string for a shell, or a program and its arguments. */
static void put_command(struct json *json, const struct dag_field *field)
{
    json_key(json, "anyOf");
    json_begin_array(json);
    json_begin_object(json);
    put_string(json, field, NULL, false);
    json_end_object(json);
    json_begin_object(json);
    put_type(json, "array", false);
    json_kv_int(json, "minItems", 1);
    json_key(json, "items");
    json_begin_array(json);
    json_begin_object(json);
    put_scalar_members(json);
    json_kv_int(json, "minLength", 1);
    json_end_object(json);
    json_end_array(json);
    json_key(json, "additionalItems");
    put_scalar(json, NULL);
    json_end_object(json);
    json_end_array(json);
}

/* What `table` says, or a cron expression, or nothing. */
static void put_choice(struct json *json, const struct dag_field *field)
{
    json_key(json, "anyOf");
    json_begin_array(json);
    if (field->kind == DAG_FIELD_SCHEDULE) {
        json_begin_object(json);
        put_type(json, "string", false);
        json_kv_int(json, "minLength", 1);
        json_kv_int(json, "maxLength", CRON_TEXT_MAX);
        json_end_object(json);
    }
    put_ref(json, field->table);
    json_begin_object(json);
    put_type(json, "null", false);
    json_end_object(json);
    json_end_array(json);
}

static void put_tasks(struct json *json, const struct dag_field *field)
{
    put_type(json, "array", false);
    json_kv_int(json, "minItems", 1);
    json_kv_int(json, "maxItems", LIMIT_DAG_LOCAL_TASKS_MAX);
    json_key(json, "items");
    put_ref(json, field->table);
}

static void put_value(struct json *json, const struct dag_field *field)
{
    bool nullable = !field->required; /* nothing behind the key is as if it were not there */
    switch (field->kind) {
    case DAG_FIELD_TEXT:
        put_string(json, field, strcmp(field->key, "name") == 0 ? name_pattern : NULL, nullable);
        return;
    case DAG_FIELD_ID: put_string(json, field, id_pattern, nullable); return;
    case DAG_FIELD_ENUM: put_enum(json, field, nullable); return;
    case DAG_FIELD_DURATION: put_string(json, field, duration_pattern, nullable); return;
    case DAG_FIELD_DELAY: put_string(json, field, delay_pattern, nullable); return;
    case DAG_FIELD_COUNT:
    case DAG_FIELD_NUMBER: put_number(json, field, nullable); return;
    case DAG_FIELD_BOOL: put_type(json, "boolean", nullable); return;
    case DAG_FIELD_WORDS: put_list(json, NULL, false, nullable); return;
    case DAG_FIELD_COMMAND: put_command(json, field); return;
    case DAG_FIELD_USER: put_string(json, field, user_pattern, nullable); return;
    case DAG_FIELD_SCRIPT:
    case DAG_FIELD_TIMEZONE: put_string(json, field, NULL, nullable); return;
    case DAG_FIELD_CRON: put_string(json, field, NULL, nullable); return;
    case DAG_FIELD_ENV: put_vars(json, variable_pattern, NULL, nullable); return;
    case DAG_FIELD_HEADERS: put_vars(json, header_pattern, header_value_pattern, nullable); return;
    case DAG_FIELD_NAMES:
        put_list(json, variable_pattern, true, nullable);
        json_kv_bool(json, "uniqueItems", true);
        json_kv_int(json, "maxItems", LIMIT_ENV_VARS_MAX);
        return;
    case DAG_FIELD_METHOD: put_string(json, field, method_pattern, nullable); return;
    case DAG_FIELD_URL: put_string(json, field, url_pattern, nullable); return;
    case DAG_FIELD_BODY: return; /* anything */
    case DAG_FIELD_DEPENDENCIES: put_list(json, NULL, true, nullable); return;
    case DAG_FIELD_SCHEDULE:
    case DAG_FIELD_MAPPING: put_choice(json, field); return;
    case DAG_FIELD_TASKS: put_tasks(json, field); return;
    }
    assert(false);
}

static void put_required(struct json *json, const struct dag_table *table, unsigned types)
{
    json_key(json, "required");
    json_begin_array(json);
    for (size_t i = 0; i < table->count; i++)
        if (table->fields[i].required && table->fields[i].types == types)
            json_add_string(json, table->fields[i].key);
    json_end_array(json);
}

/* What a type of task needs and what it must not have. */
static void put_task_type(struct json *json, unsigned type)
{
    json_begin_object(json);
    json_key(json, "if");
    json_begin_object(json);
    json_key(json, "required");
    json_begin_array(json);
    json_add_string(json, "type");
    json_end_array(json);
    json_key(json, "properties");
    json_begin_object(json);
    json_key(json, "type");
    json_begin_object(json);
    json_kv_string(json, "const", dag_task_type_name((enum dag_task_type)type));
    json_end_object(json);
    json_end_object(json);
    json_end_object(json);
    json_key(json, "then");
    json_begin_object(json);
    put_required(json, &dag_table_task, 1u << type);
    json_key(json, "properties");
    json_begin_object(json);
    for (size_t i = 0; i < dag_table_task.count; i++) {
        const struct dag_field *field = &dag_table_task.fields[i];
        if (field->types && !(field->types & 1u << type))
            json_kv_bool(json, field->key, false);
    }
    json_end_object(json);
    json_end_object(json);
    json_end_object(json);
}

static void put_table(struct json *json, const struct dag_table *table)
{
    json_kv_string(json, "type", "object");
    json_kv_bool(json, "additionalProperties", false);
    put_required(json, table, 0);
    json_key(json, "properties");
    json_begin_object(json);
    for (size_t i = 0; i < table->count; i++) {
        json_key(json, table->fields[i].key);
        json_begin_object(json);
        json_kv_string(json, "description", table->fields[i].about);
        put_value(json, &table->fields[i]);
        json_end_object(json);
    }
    json_end_object(json);
    if (table != &dag_table_task)
        return;
    json_key(json, "allOf");
    json_begin_array(json);
    for (unsigned type = 0; type < DAG_TASK_TYPE_COUNT; type++)
        put_task_type(json, type);
    json_end_array(json);
}

void dag_schema(struct buf *out)
{
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_kv_string(&json, "$schema", "http://json-schema.org/draft-07/schema#");
    json_kv_string(&json, "title", "pawl DAG file");
    json_kv_string(&json, "description", "Tasks and their dependencies, in YAML 1.2 or JSON");
    put_table(&json, &dag_table_file);
    json_key(&json, "patternProperties");
    json_begin_object(&json);
    json_key(&json, "^x-[\\\\s\\\\S]");
    json_begin_object(&json);
    json_kv_string(&json, "description", "A place for anchors and notes; pawl passes it over.");
    json_end_object(&json);
    json_end_object(&json);
    json_key(&json, "definitions");
    json_begin_object(&json);
    for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++) {
        json_key(&json, definitions[i].name);
        json_begin_object(&json);
        put_table(&json, definitions[i].table);
        json_end_object(&json);
    }
    json_end_object(&json);
    json_end_object(&json);
    buf_add_char(out, '\n');
}
