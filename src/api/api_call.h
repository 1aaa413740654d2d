/* A request on its way through the API, and how handlers answer it.
 *
 * The dispatcher (api_dispatch.c) finds the route, checks path, query, headers and body against the route table and
 * calls the handler with parsed values. A handler answers with exactly one api_reply_* or api_fail_*, or posts a
 * command (api_command.h) and answers in its resume function.
 *
 * Handlers serve HTTP and api_get alike: in api_get there is no connection, so they never call http_reply* on their
 * own, except routes with `stream`, which api_get refuses. */
#ifndef PAWL_API_API_CALL_H
#define PAWL_API_API_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "api/api_core.h"
#include "api/api_table.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/uuid.h"
#include "engine/command.h"
#include "http/http.h"

/* A query parameter or a member of the body. */
struct api_value {
    bool given;             /* the client sent it; else number is the default */
    int64_t number;         /* API_INTEGER, API_BOOLEAN (0, 1); the index of an enumerated value; of a list of such:
                               bits 1 << index, 0: none was given */
    const char *text;       /* as given, decoded; NULL when it was not */
    size_t len;
    struct uuid id;         /* API_UUID */
    const struct uuid *ids; /* a list of API_UUID */
    size_t count;           /* of ids */
};

struct api_call;
/* Answers when a command was done. */
typedef void api_resume_fn(struct api_call *call);

struct api_call {
    struct api *api;
    struct http_request *request;   /* in api_get only method, target, id and arena are filled */
    const struct api_route *route;  /* NULL when no route was found */
    struct uuid id;                 /* the one UUID of the path: {dagId}, {runId}, {workerId}, {id} */
    struct http_text task_id;       /* {taskId}, decoded; .text NULL without */
    struct http_text file;          /* {file}, decoded; .text NULL without */
    struct api_value query[API_QUERY_COUNT];
    struct api_value body[API_FIELD_COUNT];
    const char *idempotency_key;    /* NULL: none */
    const char *if_match;           /* NULL: none */
    const char *last_event_id;      /* NULL: none */
    const char *principal;          /* the token's name, "owner"; "" without either */
    enum api_role role;             /* what the caller may do */
    bool is_below_base;             /* the client asked below the base path */
    bool is_local;                  /* the daemon's owner on its machine: local limits for DAG files */

    json_t *root;                   /* owner of the body's texts */
    struct dag *dag;                /* a reference that ends with the call; NULL */
    struct command command;
    api_resume_fn *resume;
    const void *backfill;           /* api_schedule.c: what was planned, in the arena */

    bool offline;                   /* api_get */
    struct buf offline_body;
    int offline_status;             /* 0: not answered */

    struct command_result result;   /* of the command, in resume; the last member, since it is large and not cleared */
};

/* Memory until the request is done. */
struct arena *api_arena(struct api_call *call);

/* A value of a body as text, keys in order. */
const char *api_json_text(const json_t *value, struct arena *arena);
/* JSON. `take_body` becomes the reply's. */
void api_reply_json(struct api_call *call, unsigned status, struct buf *take_body);
void api_reply(struct api_call *call, unsigned status, const char *content_type, struct buf *take_body);
/* `len` bytes of a file from `offset`; the descriptor becomes the reply's. */
void api_reply_file(struct api_call *call, unsigned status, const char *content_type, int take_fd, uint64_t offset,
                    uint64_t len);
/* Bytes that live as long as the process. */
void api_reply_static(struct api_call *call, unsigned status, const char *content_type,
                      const struct http_static *bytes);
void api_reply_empty(struct api_call *call, unsigned status);
void api_reply_header(struct api_call *call, const char *name, const char *value); /* name is a literal */
/* Location, of a path that the route table has, where the client sees it. */
void api_reply_location(struct api_call *call, const char *path);
/* Sets ETag (quotes are added); true: the client has it, 304 was answered and the handler is done. */
bool api_reply_etag(struct api_call *call, const char *tag);

/* {"code", "message", "details"} with the code's status; Retry-After beside 503. */
void api_fail(struct api_call *call, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
void api_fail_error(struct api_call *call, const struct error *err);
void api_fail_details(struct api_call *call, int code, const char *message, const char *details);

#endif
