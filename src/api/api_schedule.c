/* Schedules: when they fire, what became of their instants, and backfill. */
#include "api/api_command.h"
#include "api/api_handlers.h"
#include "api/api_list.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cron/cron.h"
#include "store/cluster.h"

/* The call's DAG, which must be there and have a schedule. */
static int find_scheduled(struct api_call *call, struct uuid id, struct store_dag *ret_dag, struct error *err)
{
    int rc = store_get_dag(call->api->backend.store, id, api_arena(call), ret_dag, err);
    if (!rc && ret_dag->deleted_ms)
        rc = error_set(err, ERROR_DAG_NOT_FOUND, "The DAG was deleted");
    if (!rc && !ret_dag->cron)
        rc = error_set(err, ERROR_NO_SCHEDULE, "The DAG has no schedule");
    return rc;
}

/* ---- preview ---- */

static void add_next(struct json *json, const struct cron *cron, const struct cron_zone *zone, int64_t from_ms,
                     int64_t count)
{
    struct cron_fire fire = {.time_ms = from_ms};
    json_begin_array(json);
    while (count-- > 0 && cron_next(cron, zone, fire.time_ms, &fire)) {
        char local[CRON_LOCAL_TEXT_MAX];
        cron_format_local(fire.time_ms, fire.offset_s, local);
        json_begin_object(json);
        json_kv_string(json, "local", local);
        json_kv_time(json, "utc", fire.time_ms);
        json_kv_string(json, "why", cron_reason_name(fire.reason));
        json_end_object(json);
    }
    json_end_array(json);
}

static int choose_expr(struct api_call *call, const char **ret_expr, const char **ret_zone, struct error *err)
{
    struct store_dag dag;
    bool of_dag = call->query[API_QUERY_DAG_ID].given;
    if (of_dag == call->query[API_QUERY_EXPR].given)
        return error_set(err, ERROR_BAD_REQUEST, "Give expr or dagId, one of the two");
    *ret_expr = call->query[API_QUERY_EXPR].text;
    *ret_zone = NULL;
    int rc = of_dag ? find_scheduled(call, call->query[API_QUERY_DAG_ID].id, &dag, err) : 0;
    if (!rc && of_dag) {
        *ret_expr = dag.cron;
        *ret_zone = dag.timezone;
    }
    if (call->query[API_QUERY_TZ].given)
        *ret_zone = call->query[API_QUERY_TZ].text;
    return rc;
}

void api_preview_schedule(struct api_call *call)
{
    const char *expr = NULL, *zone_name = NULL;
    struct cron cron;
    struct cron_zone *zone = NULL;
    struct error err;
    const struct api_value *from = &call->query[API_QUERY_FROM];
    int rc = choose_expr(call, &expr, &zone_name, &err);
    if (!rc)
        rc = cron_parse(expr, &cron, &err);
    if (!rc)
        rc = cron_zone_load(zone_name, &zone, &err);
    if (rc) {
        api_fail_error(call, &err);
        return;
    }
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_string(&json, "expr", expr);
    json_kv_string(&json, "timezone", cron_zone_name(zone));
    json_key(&json, "next");
    add_next(&json, &cron, zone, from->given ? from->number : clock_wall_ms(), call->query[API_QUERY_N].number);
    json_end_object(&json);
    cron_zone_free(zone);
    api_reply_json(call, 200, &body);
}

/* ---- records ---- */

static void add_fire(struct json *json, const struct record_fire *fire)
{
    json_begin_object(json);
    json_kv_uuid(json, "id", fire->id);
    json_kv_uuid(json, "dagId", fire->dag_id);
    json_kv_string(json, "triggeredBy", state_trigger_name(fire->trigger));
    json_kv_time(json, "from", fire->from_ms);
    json_kv_time(json, "to", fire->to_ms);
    json_kv_int(json, "count", fire->count);
    json_kv_string(json, "outcome", state_fire_name(fire->outcome));
    json_kv_string(json, "reason", state_fire_reason_name(fire->reason));
    json_kv_uuid(json, "runId", fire->run_id);
    if (fire->parallel)
        json_kv_int(json, "parallel", fire->parallel);
    else
        json_kv_null(json, "parallel");
    json_kv_time(json, "createdAt", fire->created_ms);
    json_end_object(json);
}

void api_list_dag_fires(struct api_call *call)
{
    struct store_dag dag;
    struct store_fires fires;
    struct error err;
    const struct api_value *outcome = &call->query[API_QUERY_OUTCOME];
    const struct store_fire_query query = {
        .page = api_list_page(call),
        .dag_id = call->id,
        .by_outcome = outcome->given,
        .outcome = outcome->given ? (enum fire_outcome)outcome->number : FIRE_FIRED,
    };
    int rc = store_get_dag(call->api->backend.store, call->id, api_arena(call), &dag, &err);
    if (!rc)
        rc = store_list_fires(call->api->backend.store, &query, api_arena(call), &fires, &err);
    if (rc) {
        api_fail_error(call, &err);
        return;
    }
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_array(&json);
    for (size_t i = 0; i < fires.count; i++)
        add_fire(&json, &fires.items[i]);
    json_end_array(&json);
    api_reply_json(call, 200, &body);
}

/* ---- backfill ---- */

struct plan {
    int64_t *instants;          /* ascending */
    size_t count;
    size_t fired_before;        /* left out */
    bool more;
};

static int list_instants(struct api_call *call, const struct store_dag *dag, struct plan *plan, struct error *err)
{
    int64_t from_ms = call->body[API_FIELD_BACKFILL_FROM].number, to_ms = call->body[API_FIELD_TO].number;
    size_t max = (size_t)call->body[API_FIELD_BACKFILL_MAX].number;
    struct cron cron;
    struct cron_zone *zone = NULL;
    struct cron_fire fire = {.time_ms = from_ms - 1};
    if (to_ms < from_ms)
        return error_set(err, ERROR_BAD_REQUEST, "to is before from");
    if (to_ms > clock_wall_ms())
        return error_set(err, ERROR_BAD_REQUEST, "to is in the future; a backfill is about what has passed");
    int rc = cron_parse(dag->cron, &cron, err);
    if (!rc)
        rc = cron_zone_load(dag->timezone, &zone, err);
    if (rc)
        return rc;
    plan->instants = arena_array(api_arena(call), max, sizeof *plan->instants);
    while (cron_next(&cron, zone, fire.time_ms, &fire) && fire.time_ms <= to_ms) {
        plan->more = plan->count == max;
        if (plan->more)
            break;
        plan->instants[plan->count++] = fire.time_ms;
    }
    cron_zone_free(zone);
    return 0;
}

static void leave_out(struct plan *plan, int64_t time_ms)
{
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->instants[i] != time_ms)
            continue;
        for (plan->count--; i < plan->count; i++)
            plan->instants[i] = plan->instants[i + 1];
        plan->fired_before++;
    }
}

/* Leaves out what was fired, or waits to be. */
static int leave_out_fired(struct api_call *call, struct plan *plan, struct error *err)
{
    struct store_fires fires = {.count = LIMIT_PAGE_MAX};
    bool again = call->body[API_FIELD_AGAIN].number == 1;
    if (!plan->count)
        return 0;
    struct store_fire_query query = {
        .page.limit = LIMIT_PAGE_MAX, .dag_id = call->id,
        .from_ms = plan->instants[0], .to_ms = plan->instants[plan->count - 1]};
    int rc = 0;
    while (!rc && fires.count == LIMIT_PAGE_MAX) {
        rc = store_list_fires(call->api->backend.store, &query, api_arena(call), &fires, err);
        for (size_t i = 0; !rc && i < fires.count; i++) {
            const struct record_fire *fire = &fires.items[i];
            query.page.before = fire->id;
            if (fire->outcome == FIRE_QUEUED || (fire->outcome == FIRE_FIRED && !again))
                leave_out(plan, fire->from_ms);
        }
    }
    return rc;
}

/* Of several nodes only the one that leads has the queue in memory. The store refuses what is too much all the same, an
 * instant at a time: this refuses all of it at once. */
static int find_room(struct api_call *call, const struct plan *plan, struct error *err)
{
    struct store_fires fires = {.count = LIMIT_PAGE_MAX};
    struct store_fire_query query = {
        .page.limit = LIMIT_PAGE_MAX, .dag_id = call->id, .by_outcome = true, .outcome = FIRE_QUEUED};
    size_t waiting = 0;
    int rc = 0;
    while (!rc && fires.count == LIMIT_PAGE_MAX && store_is_shared(call->api->backend.store)) {
        rc = store_list_fires(call->api->backend.store, &query, api_arena(call), &fires, err);
        for (size_t i = 0; !rc && i < fires.count; i++) {
            query.page.before = fires.items[i].id;
            waiting += fires.items[i].trigger == TRIGGER_BACKFILL;
        }
    }
    if (!rc && waiting && waiting + plan->count > LIMIT_BACKFILL_MAX)
        rc = error_set(err, ERROR_FULL, "full: %zu instants of the DAG wait as a backfill and the limit is %d", waiting,
                       LIMIT_BACKFILL_MAX);
    return rc;
}

static void reply_plan(struct api_call *call, unsigned status, const int64_t *instants, size_t count,
                       size_t fired_before, bool more)
{
    struct buf body = BUF_INIT;
    struct json json;
    json_init(&json, &body);
    json_begin_object(&json);
    json_kv_bool(&json, "dryRun", status == 200);
    json_key(&json, "instants");
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++)
        json_add_time(&json, instants[i]);
    json_end_array(&json);
    json_kv_int(&json, "accepted", status == 200 ? 0 : call->result.accepted);
    json_kv_int(&json, "firedBefore", (int64_t)fired_before);
    json_kv_bool(&json, "more", more);
    json_end_object(&json);
    api_reply_json(call, status, &body);
}

/* What the store refused meanwhile somebody else was asking for too. */
static void reply_backfill(struct api_call *call)
{
    const struct plan *plan = call->backfill;
    reply_plan(call, 202, plan->instants, plan->count, plan->fired_before + plan->count - call->result.accepted,
               plan->more);
}

void api_backfill_dag(struct api_call *call)
{
    struct store_dag dag;
    struct plan *plan = arena_zalloc(api_arena(call), sizeof *plan);
    struct error err;
    int rc = find_scheduled(call, call->id, &dag, &err);
    if (!rc)
        rc = list_instants(call, &dag, plan, &err);
    if (!rc)
        rc = leave_out_fired(call, plan, &err);
    if (!rc && call->body[API_FIELD_DRY_RUN].number != 1)
        rc = find_room(call, plan, &err);
    if (rc) {
        api_fail_error(call, &err);
    } else if (call->body[API_FIELD_DRY_RUN].number == 1) {
        reply_plan(call, 200, plan->instants, plan->count, plan->fired_before, plan->more);
    } else {
        call->command.kind = COMMAND_BACKFILL;
        call->command.dag_id = call->id;
        call->command.instants = plan->instants;
        call->command.instant_count = plan->count;
        if (call->body[API_FIELD_PARALLEL].given)
            call->command.parallel = (uint32_t)call->body[API_FIELD_PARALLEL].number;
        call->command.again = call->body[API_FIELD_AGAIN].number == 1;
        call->backfill = plan;
        api_command_post(call, reply_backfill);
    }
}
