/* Writes JSON by appending to a buf. Commas are put by the writer; nesting is the caller's to balance.
 * Strings are UTF-8; bytes that are not become U+FFFD, so that the output always is valid JSON.
 * Names keep clear of jansson's, which reads JSON and may be included beside this: it has json_object(),
 * json_array(), json_string() and json_null(). */
#ifndef PAWL_BASE_JSON_H
#define PAWL_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"

struct json {
    struct buf *out;   /* borrowed */
    bool needs_comma;
    int64_t second;    /* the last time written, without its milliseconds: most that follow are in the same second */
    char second_text[20];
};

void json_init(struct json *json, struct buf *out);
void json_begin_object(struct json *json);                           /* { */
void json_end_object(struct json *json);                             /* } */
void json_begin_array(struct json *json);                            /* [ */
void json_end_array(struct json *json);                              /* ] */
void json_key(struct json *json, const char *key);                   /* key: a C identifier, written as it is */
void json_add_null(struct json *json);
void json_add_bool(struct json *json, bool value);
void json_add_int(struct json *json, int64_t value);
void json_add_double(struct json *json, double value);               /* finite; at most 6 decimals */
void json_add_string(struct json *json, const char *text);           /* NULL gives null */
void json_add_string_len(struct json *json, const char *text, size_t len);
void json_add_uuid(struct json *json, struct uuid uuid);             /* all zero gives null */
void json_add_time(struct json *json, int64_t time_ms);              /* RFC 3339 UTC; 0 gives null */
void json_add_raw(struct json *json, const char *text, size_t len);  /* a value that is JSON already */

/* key and value in one call */
void json_kv_string(struct json *json, const char *key, const char *text);
void json_kv_int(struct json *json, const char *key, int64_t value);
void json_kv_bool(struct json *json, const char *key, bool value);
void json_kv_uuid(struct json *json, const char *key, struct uuid uuid);
void json_kv_time(struct json *json, const char *key, int64_t time_ms);
void json_kv_null(struct json *json, const char *key);

#endif
