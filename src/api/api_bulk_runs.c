/* Many runs at once: canceled, or made again. */
#include "api/api_bulk.h"
#include "api/api_handlers.h"
#include "api/api_runs.h"
#include "api/api_trigger.h"
#include "base/limits.h"
#include "dag/dag.h"
#include "engine/rerun.h"

enum action { ACTION_CANCEL, ACTION_RERUN };

static const unsigned active_states = 1u << RUN_PENDING | 1u << RUN_RUNNING;
static const unsigned ended_states = 1u << RUN_SUCCEEDED | 1u << RUN_FAILED | 1u << RUN_CANCELED;

/* States that the action is for, of those asked for. */
static unsigned states_of(const struct api_call *call, enum action action)
{
    const struct api_value *asked = &call->body[API_FIELD_STATE];
    unsigned states = asked->given ? (unsigned)asked->number : active_states | 1u << RUN_FAILED;
    if (!asked->given && call->body[API_FIELD_RUN_IDS].given)
        states = active_states | ended_states;
    return states & (action == ACTION_CANCEL ? active_states : ended_states);
}

static struct store_run_query query_of(const struct api_call *call, unsigned states, uint32_t limit)
{
    const struct api_value *triggers = &call->body[API_FIELD_TRIGGERED_BY];
    struct store_run_query query = {
        .page.limit = limit,
        .dag_id = call->body[API_FIELD_DAG_ID].id,
        .states = states,
        .triggers = triggers->given ? (unsigned)triggers->number : 0,
        .error_part = call->body[API_FIELD_ERROR_PART].text,
        .scan_max = API_RUNS_SCAN_MAX,
    };
    api_runs_narrow(&query, &call->body[API_FIELD_CREATED_AFTER], &call->body[API_FIELD_CREATED_BEFORE]);
    return query;
}

/* Runs by name, those that fit the rest of the filter; each once. */
static int find_named(struct api_bulk *bulk, struct store_run_query *query, uint32_t max, struct uuid *ids,
                      struct error *err)
{
    const struct api_value *named = &bulk->call->body[API_FIELD_RUN_IDS];
    query->page.limit = 1;
    for (size_t i = 0; i < named->count; i++) {
        struct store_runs runs;
        bool seen = false;
        query->id = named->ids[i];
        for (uint32_t k = 0; k < bulk->matched; k++)
            seen = seen || uuid_equal(ids[k], query->id);
        int rc = store_list_runs(bulk->call->api->backend.store, query, api_arena(bulk->call), &runs, err);
        if (rc)
            return rc;
        if (!runs.count || seen)
            continue;
        bulk->more = bulk->matched == max;
        if (bulk->more)
            return 0;
        ids[bulk->matched++] = query->id;
    }
    return 0;
}

static int find_runs(struct api_bulk *bulk, enum action action, uint32_t max, struct uuid *ids, struct error *err)
{
    struct api_call *call = bulk->call;
    struct store_runs runs;
    unsigned states = states_of(call, action);
    if (!states)
        return 0;
    struct store_run_query query = query_of(call, states, max);
    if (call->body[API_FIELD_RUN_IDS].given)
        return find_named(bulk, &query, max, ids, err);
    int rc = store_list_runs(call->api->backend.store, &query, api_arena(call), &runs, err);
    for (size_t i = 0; !rc && i < runs.count; i++)
        ids[bulk->matched++] = runs.items[i].run.id;
    bulk->more = bulk->matched == max || (!rc && !uuid_is_zero(runs.scanned));
    return rc;
}

/* false: nothing can be asked of this run now. */
static bool fill_command(struct api_bulk *bulk, enum action action, struct uuid run_id, struct command *command)
{
    static const enum engine_rerun_from from[] = {ENGINE_RERUN_FAILED, ENGINE_RERUN_ALL};
    struct api_call *call = bulk->call;
    struct error why; /* one of many: the counts say enough */
    *command = api_bulk_command(bulk);
    if (action == ACTION_CANCEL) {
        command->kind = COMMAND_RUN_CANCEL;
        command->run_id = run_id;
        return true;
    }
    command->kind = COMMAND_RUN_RERUN;
    const struct engine_rerun rerun = {.from = from[call->body[API_FIELD_RUN_FROM].number]};
    uint64_t room = LIMIT_WAITING_TASKS_MAX - bulk->tasks;
    if (api_trigger_fill_rerun(call, run_id, &rerun, room, command, &why))
        return false;
    bulk->tasks += command->dag->task_count;
    return true;
}

static void reply(struct api_call *call, const struct api_bulk *bulk, uint32_t done, uint32_t skipped)
{
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_int(&json, "matched", bulk->matched);
    json_kv_int(&json, "done", done);
    json_kv_int(&json, "skipped", skipped);
    json_kv_bool(&json, "more", bulk->more);
    json_end_object(&json);
    api_reply_json(call, 200, &body);
}

void api_bulk_runs(struct api_call *call)
{
    struct api_bulk *bulk = arena_zalloc(api_arena(call), sizeof *bulk);
    enum action action = (enum action)call->body[API_FIELD_RUN_ACTION].number;
    uint32_t max = (uint32_t)call->body[API_FIELD_MAX].number, ready = 0;
    struct uuid *ids = arena_array(api_arena(call), max, sizeof *ids);
    struct error err;
    bulk->call = call;
    bulk->reply = reply;
    if (find_runs(bulk, action, max, ids, &err)) {
        api_fail_error(call, &err);
    } else if (call->body[API_FIELD_DRY_RUN].number) {
        reply(call, bulk, 0, 0);
    } else if (!call->api->backend.submit) {
        api_fail(call, ERROR_STOPPING, "Nothing runs here that could do this");
    } else {
        bulk->commands = arena_array(api_arena(call), bulk->matched + 1, sizeof *bulk->commands);
        for (uint32_t i = 0; i < bulk->matched; i++)
            ready += fill_command(bulk, action, ids[i], &bulk->commands[ready]);
        api_bulk_post(bulk, ready);
    }
}
