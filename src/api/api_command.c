#include "api/api_command.h"

#include "base/mem.h"
#include "dag/dag.h"
#include "state/origin.h"

/* The engine's thread: nothing but handing the result over. */
static void on_done(struct command *command, const struct command_result *result)
{
    struct api_call *call = command->context;
    call->result = *result;
    http_complete(call->request); /* the call may be gone after this */
}

const char *api_command_trace(struct api_call *call)
{
    char trace[ORIGIN_TRACE_MAX + 1];
    if (!origin_write_trace(http_header(call->request, "traceparent"), http_header(call->request, "tracestate"), trace))
        return NULL;
    return arena_strdup(api_arena(call), trace);
}

void api_command_post(struct api_call *call, api_resume_fn *resume)
{
    struct api *api = call->api;
    struct command *command = &call->command;
    if (!api->backend.submit) {
        dag_unref(command->dag);
        command->dag = NULL;
        api_fail(call, ERROR_STOPPING, "Nothing runs here that could do this");
        return;
    }
    command->done = on_done;
    command->context = call;
    command->principal = call->principal;
    command->request_id = call->request->id;
    call->resume = resume;
    http_defer(call->request);
    api->backend.submit(api->backend.context, command);
}

void api_command_resume(struct api_call *call)
{
    const struct error *err = &call->result.error;
    char id[UUID_TEXT_LEN + 1];
    if (!err->code) {
        call->resume(call);
    } else if (err->code == ERROR_ALREADY_RESOLVED && !uuid_is_zero(call->result.run_id)) {
        uuid_format(call->result.run_id, id);
        api_fail_details(call, (int)err->code, err->text, id);
    } else {
        api_fail_error(call, err);
    }
}

void api_command_reply_empty(struct api_call *call)
{
    api_reply_empty(call, 204);
}
