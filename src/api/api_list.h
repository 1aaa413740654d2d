/* What all lists share. */
#ifndef PAWL_API_API_LIST_H
#define PAWL_API_API_LIST_H

#include <stdbool.h>

#include "api/api_call.h"

/* limit, offset and before of the query; before only where the route has it. */
struct store_page api_list_page(const struct api_call *call);

/* What a page of a list came to. */
struct api_listed {
    size_t count;
    struct uuid next;       /* the next page is before it; zero: this is the last one */
};

/* Appends the items of one page of a store's list to json; with an id the one item. */
typedef int api_list_fn(struct api_call *call, const struct store_page *page, struct uuid id, struct json *json,
                        struct api_listed *ret_listed, struct error *err);
/* Replies with what `fn` finds, by page, or by parts of ids when the query has `id`. X-Next-Before says where a page
 * ended that may not be the last one. */
void api_list_reply(struct api_call *call, enum store_id_kind kind, api_list_fn *fn);

#endif
