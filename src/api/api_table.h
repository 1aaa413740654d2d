/* The route table and what its entries are made of. One entry says all there is to know about an operation: the
 * dispatcher checks requests by it, and the OpenAPI document, docs/api.md and the page /docs are written from it. */
#ifndef PAWL_API_API_TABLE_H
#define PAWL_API_API_TABLE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/http.h"

struct api_call;

enum api_type {
    API_STRING,
    API_INTEGER,
    API_NUMBER,
    API_BOOLEAN,
    API_UUID,
    API_TIME,       /* RFC 3339 */
    API_JSON,       /* any value */
    API_INTEGERS,   /* an array of whole numbers */
    API_REF,        /* another schema */
    API_TYPE_COUNT
};

/* What a caller may do, from less to more. */
enum api_role { API_ROLE_NONE, API_ROLE_VIEWER, API_ROLE_OPERATOR, API_ROLE_ADMIN, API_ROLE_COUNT };

/* The index-th of a set of names, NULL behind the last. */
typedef const char *api_names(unsigned index);

enum api_query {
    API_QUERY_NONE,
    API_QUERY_LIMIT,
    API_QUERY_OFFSET,
    API_QUERY_BEFORE,
    API_QUERY_ID,
    API_QUERY_NAME,
    API_QUERY_VERSION,
    API_QUERY_STATE,
    API_QUERY_DAG_ID,
    API_QUERY_TASK_STATE,
    API_QUERY_TASK_LIMIT,
    API_QUERY_TASK_AFTER,
    API_QUERY_ATTEMPT,
    API_QUERY_LOG_OFFSET,   /* "offset" of a log */
    API_QUERY_LOG_LIMIT,    /* "limit" of a log */
    API_QUERY_FOLLOW,
    API_QUERY_STATUS,
    API_QUERY_EXPR,
    API_QUERY_TZ,
    API_QUERY_FROM,
    API_QUERY_N,
    API_QUERY_OUTCOME,
    API_QUERY_FORMAT,
    API_QUERY_TRIGGERED_BY,
    API_QUERY_CREATED_AFTER,
    API_QUERY_CREATED_BEFORE,
    API_QUERY_ERROR,
    API_QUERY_GROUP,        /* "error" of dead letters */
    API_QUERY_NAME_CONTAINS,
    API_QUERY_LAST_RUNS,
    API_QUERY_COLUMNS,      /* "limit" of a history */
    API_QUERY_ROWS,         /* "taskLimit" of a history */
    API_QUERY_COUNT
};

struct api_body;

struct api_param {
    const char *name;
    enum api_type type;
    int64_t min, max;       /* API_INTEGER: its value; API_STRING: its bytes */
    int64_t fallback;       /* the value when it is absent; below min: there is none */
    api_names *values;      /* NULL: any */
    const char *summary;
    bool is_list;           /* of names: "a,b" in a query; of names or UUIDs: an array in a body, with at most max */
};
extern const struct api_param api_table_queries[API_QUERY_COUNT];

/* Members of request bodies: strings, whole numbers, booleans, lists, an object of such (API_REF), and an object of
 * anything (API_JSON; its value's text is the object, keys in order). */
enum api_field_id {
    API_FIELD_NONE,
    API_FIELD_NAME,
    API_FIELD_YAML,
    API_FIELD_FROM,
    API_FIELD_TASK_ID,
    API_FIELD_VERSION,
    API_FIELD_REASON,
    API_FIELD_NOTES,
    API_FIELD_RESOLVED_BY,
    API_FIELD_ACTION,
    API_FIELD_FILTER,
    API_FIELD_DAG_ID,
    API_FIELD_ERROR,
    API_FIELD_MAX,
    API_FIELD_DRY_RUN,
    API_FIELD_BACKFILL_FROM,    /* "from" of a backfill */
    API_FIELD_TO,
    API_FIELD_BACKFILL_MAX,     /* "max" of a backfill */
    API_FIELD_PARALLEL,
    API_FIELD_AGAIN,
    API_FIELD_TOKEN,
    API_FIELD_RUN_ACTION,       /* "action" of many runs */
    API_FIELD_RUN_FILTER,       /* "filter" of many runs */
    API_FIELD_RUN_FROM,         /* "from" of many runs */
    API_FIELD_STATE,
    API_FIELD_TRIGGERED_BY,
    API_FIELD_CREATED_AFTER,
    API_FIELD_CREATED_BEFORE,
    API_FIELD_ERROR_PART,       /* "error" of runs */
    API_FIELD_RUN_IDS,
    API_FIELD_CHANGES,
    API_FIELD_COUNT
};
extern const struct api_param api_table_fields[API_FIELD_COUNT];
static_assert(API_FIELD_COUNT <= 64, "a bit for each");
/* The members of a field that is an object; NULL of any other. */
const struct api_body *api_table_object(const struct api_param *field);
/* The body must hold the field. */
bool api_table_requires(const struct api_body *body, unsigned field);

enum { API_BODY_FIELDS_MAX = 8, API_ROUTE_QUERIES_MAX = 12, API_ROUTE_ERRORS_MAX = 8 };

struct api_body {
    const char *name;       /* of its schema */
    const char *summary;
    uint8_t fields[API_BODY_FIELDS_MAX];    /* enum api_field_id; ends with API_FIELD_NONE */
    uint64_t required;      /* bit 1 << enum api_field_id; 0: the body may be absent */
    bool is_large;          /* holds a DAG file */
};

/* A member of a reply's schema. */
struct api_field {
    const char *name;
    enum api_type type;
    bool nullable;
    bool is_list;
    bool optional;          /* may be left out */
    bool items_nullable;    /* of a list: its items may be null */
    const char *ref;        /* API_REF: the schema's name */
    api_names *values;      /* NULL: any */
    const char *summary;
};

struct api_schema {
    const char *name;
    const char *summary;
    const struct api_field *fields;
    size_t field_count;
};
/* In order of name. */
extern const struct api_schema api_table_schemas[];
extern const size_t api_table_schema_count;

enum api_header {
    API_HEADER_IF_MATCH = 1,
    API_HEADER_IDEMPOTENCY_KEY = 2,
    API_HEADER_LAST_EVENT_ID = 4,
    API_HEADER_TRACEPARENT = 8,
    API_HEADER_TRACESTATE = 16,
    API_HEADER_END = 32
};

struct api_route {
    enum http_method method;
    const char *path;
    const char *operation;
    const char *tag;
    const char *summary;            /* one line */
    const char *text;               /* more, as Markdown; NULL: nothing to add */
    enum api_role role;
    uint8_t queries[API_ROUTE_QUERIES_MAX];     /* enum api_query; ends with API_QUERY_NONE */
    unsigned headers;               /* enum api_header */
    const struct api_body *body;    /* NULL: none */
    unsigned status;                /* of success */
    const char *schema;             /* of the reply; NULL: none */
    bool is_list;                   /* an array of schema */
    bool pages;                     /* X-Next-Before says where the next page starts */
    const char *content_type;       /* NULL: JSON, or no body without a schema */
    const char *const *other_types; /* content types it may also have, ended by NULL; NULL: none */
    bool reads;                     /* changes nothing, though it is no GET */
    bool etag;                      /* has ETag and answers If-None-Match */
    bool hidden;                    /* in no document */
    bool stream;
    bool needs_store;
    unsigned also;                  /* a second status that carries the same schema; 0: none */
    uint8_t errors[API_ROUTE_ERRORS_MAX];       /* enum error_code of its own; ends with ERROR_OK */
    void (*handler)(struct api_call *call);
};
extern const struct api_route api_table_routes[];
extern const size_t api_table_route_count;

struct api_tag {
    const char *name;
    const char *summary;
};
extern const struct api_tag api_table_tags[];
extern const size_t api_table_tag_count;

const char *api_table_role_name(enum api_role role);    /* "viewer"; NULL for none */
const char *api_table_header_name(enum api_header header);
const char *api_table_header_text(enum api_header header);
/* The {name} of a path from *cursor on, as a length and a start in *ret_name; 0 behind the last. */
size_t api_table_next_parameter(const char **cursor, const char **ret_name);
const char *api_table_parameter_text(const char *name, size_t len);
/* Every operation can meet it, whatever it is. */
bool api_table_is_common(enum error_code code);
/* All errors an operation can meet, ascending by status; `codes` has ERROR_COUNT places. */
size_t api_table_errors(const struct api_route *route, enum error_code *codes);

/* Sets of names */
api_names api_names_run_states, api_names_task_states, api_names_attempt_states, api_names_worker_states,
    api_names_failures, api_names_triggers, api_names_resolutions, api_names_errors, api_names_rerun_from,
    api_names_rerun_version, api_names_bulk_actions, api_names_health, api_names_waits, api_names_rooms,
    api_names_fires, api_names_fire_reasons, api_names_fire_whys, api_names_graph_formats, api_names_task_types,
    api_names_roles, api_names_run_actions, api_names_bulk_from, api_names_origins;

#endif
