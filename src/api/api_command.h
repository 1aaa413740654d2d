/* Commands to the engine: the request sleeps until what was asked is durable. */
#ifndef PAWL_API_API_COMMAND_H
#define PAWL_API_API_COMMAND_H

#include "api/api_call.h"

/* Posts call->command, which the caller has filled but for done, context and request_id; takes over command.dag.
 * `resume` answers when it was done; errors are answered before it. The caller touches nothing afterwards. */
void api_command_post(struct api_call *call, api_resume_fn *resume);
/* The trace the request says it is part of, for a command that makes runs; NULL. In the arena. */
const char *api_command_trace(struct api_call *call);
/* The command is done: answers. */
void api_command_resume(struct api_call *call);
/* A resume function: 204. */
void api_command_reply_empty(struct api_call *call);

#endif
