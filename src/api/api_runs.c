/* Lists of runs. */
#include "api/api_handlers.h"
#include "api/api_list.h"
#include "api/api_view.h"

static int list_runs(struct api_call *call, const struct store_page *page, struct uuid id, struct json *json,
                     size_t *ret_count, struct error *err)
{
    const struct api_value *state = &call->query[API_QUERY_STATE];
    struct store_run_query query = {
        .page = *page,
        .id = id,
        .dag_id = call->query[API_QUERY_DAG_ID].id,
        .by_state = state->given,
        .state = state->given ? (enum run_state)state->number : RUN_PENDING,
    };
    struct store_runs runs;
    int rc = store_list_runs(call->api->backend.store, &query, api_arena(call), &runs, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < runs.count; i++)
        api_view_run(json, &runs.items[i].run);
    *ret_count = runs.count;
    return 0;
}

void api_list_runs(struct api_call *call)
{
    api_list_reply(call, STORE_ID_RUN, list_runs);
}

void api_list_dag_runs(struct api_call *call)
{
    struct store_dag dag;
    struct error err;
    if (store_get_dag(call->api->backend.store, call->id, api_arena(call), &dag, &err)) {
        api_fail_error(call, &err);
        return;
    }
    call->query[API_QUERY_DAG_ID].id = call->id;
    api_list_reply(call, STORE_ID_RUN, list_runs);
}
