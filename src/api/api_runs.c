/* Lists of runs. */
#include "api/api_runs.h"

#include "api/api_dag.h"
#include "api/api_handlers.h"
#include "api/api_list.h"
#include "api/api_run.h"

struct uuid api_runs_first_id(int64_t time_ms)
{
    struct uuid id = {{0}};
    for (int i = 0; i < 6 && time_ms > 0; i++)
        id.bytes[i] = (uint8_t)((uint64_t)time_ms >> (40 - 8 * i));
    return id;
}

/* Ids are in the order of time: the times are a stretch of ids. */
void api_runs_narrow(struct store_run_query *query, const struct api_value *after, const struct api_value *before)
{
    if (after->given)
        query->since = api_runs_first_id(after->number);
    if (!before->given)
        return;
    struct uuid end = api_runs_first_id(before->number > 0 ? before->number : 1);
    if (uuid_is_zero(query->page.before) || uuid_compare(end, query->page.before) < 0)
        query->page.before = end;
}

static int list_runs(struct api_call *call, const struct store_page *page, struct uuid id, struct json *json,
                     struct api_listed *ret_listed, struct error *err)
{
    const struct api_value *query = call->query, *states = &query[API_QUERY_STATE];
    const struct api_value *triggers = &query[API_QUERY_TRIGGERED_BY];
    struct store_run_query wanted = {
        .page = *page,
        .id = id,
        .dag_id = query[API_QUERY_DAG_ID].id,
        .states = states->given ? (unsigned)states->number : 0,
        .triggers = triggers->given ? (unsigned)triggers->number : 0,
        .error_part = query[API_QUERY_ERROR].text,
        .scan_max = API_RUNS_SCAN_MAX,
    };
    struct store_runs runs;
    api_runs_narrow(&wanted, &query[API_QUERY_CREATED_AFTER], &query[API_QUERY_CREATED_BEFORE]);
    int rc = store_list_runs(call->api->backend.store, &wanted, api_arena(call), &runs, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < runs.count; i++)
        api_run_view_row(call->api, &runs.items[i], json);
    ret_listed->count = runs.count;
    ret_listed->next = runs.count == page->limit ? runs.items[runs.count - 1].run.id : runs.scanned;
    return 0;
}

void api_list_runs(struct api_call *call)
{
    api_list_reply(call, STORE_ID_RUN, list_runs);
}

void api_list_dag_runs(struct api_call *call)
{
    struct store_dag dag;
    if (!api_dag_find(call, true, &dag))
        return;
    call->query[API_QUERY_DAG_ID].id = call->id;
    api_list_reply(call, STORE_ID_RUN, list_runs);
}
