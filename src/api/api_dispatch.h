/* From a request to its handler, in two steps, as HTTP brings them: the head, then the body. */
#ifndef PAWL_API_API_DISPATCH_H
#define PAWL_API_API_DISPATCH_H

#include "api/api_call.h"

/* Finds the route, checks who asks, then path, query and headers; answers when something is wrong. Sets
 * request->body_max. */
void api_dispatch_head(struct api_call *call);
/* Checks the body and calls the handler. Not when the head was answered. */
void api_dispatch_run(struct api_call *call);
/* Parses the body against the route's fields into call->body; false: answered. */
bool api_dispatch_body(struct api_call *call);
/* Memory that is not the request's arena. */
void api_dispatch_fini(struct api_call *call);

#endif
