/* Reading JSON where memory may be short. jansson drops the bytes that it has no memory for and goes on: what it then
 * gives is another text than the one that came. So its allocations are watched. */
#ifndef PAWL_API_API_JSON_H
#define PAWL_API_API_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* From now on jansson's memory comes from here. Before the first thread reads; again is harmless. */
void api_json_init(void);
/* A JSON value, duplicate keys refused, the caller's; NULL: ret_problem says why, unless *ret_starved: there was not
 * enough memory, which says nothing of the text. */
json_t *api_json_read(const char *bytes, size_t len, json_error_t *ret_problem, bool *ret_starved);

#endif
