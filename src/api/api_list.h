/* What all lists share. */
#ifndef PAWL_API_API_LIST_H
#define PAWL_API_API_LIST_H

#include <stdbool.h>

#include "api/api_call.h"

/* limit, offset and before of the query; before only where the route has it. */
struct store_page api_list_page(const struct api_call *call);

/* Appends the items of one page of a store's list to json and counts those read; with an id the one item. */
typedef int api_list_fn(struct api_call *call, const struct store_page *page, struct uuid id, struct json *json,
                        size_t *ret_count, struct error *err);
/* Replies with what `fn` finds, by page, or by parts of ids when the query has `id`. */
void api_list_reply(struct api_call *call, enum store_id_kind kind, api_list_fn *fn);

#endif
