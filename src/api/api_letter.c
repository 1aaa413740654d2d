/* Dead letters, read. What is done about them is in api_trigger.c. */
#include "api/api_handlers.h"
#include "api/api_list.h"
#include "api/api_view.h"
#include "base/clock.h"

static int list_letters(struct api_call *call, const struct store_page *page, struct uuid id, struct json *json,
                        size_t *ret_count, struct error *err)
{
    const struct api_value *status = &call->query[API_QUERY_STATUS];
    struct store_letter_query query = {
        .page = *page,
        .id = id,
        .dag_id = call->query[API_QUERY_DAG_ID].id,
        .by_resolution = status->given,
        .resolution = status->given ? (enum resolution)status->number : RESOLUTION_PENDING,
    };
    struct store_letters letters;
    int rc = store_list_letters(call->api->backend.store, &query, api_arena(call), &letters, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < letters.count; i++)
        api_view_letter(json, call->api, &letters.items[i]);
    *ret_count = letters.count;
    return 0;
}

void api_list_letters(struct api_call *call)
{
    api_list_reply(call, STORE_ID_LETTER, list_letters);
}

void api_get_letter(struct api_call *call)
{
    struct store_letter letter;
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    if (store_get_letter(call->api->backend.store, call->id, api_arena(call), &letter, &err)) {
        api_fail_error(call, &err);
        return;
    }
    json_init(&json, &body);
    api_view_letter(&json, call->api, &letter);
    api_reply_json(call, 200, &body);
}

void api_get_letter_stats(struct api_call *call)
{
    struct store_letter_stats stats;
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    if (store_get_letter_stats(call->api->backend.store, &stats, &err)) {
        api_fail_error(call, &err);
        return;
    }
    uint64_t total = 0;
    json_init(&json, &body);
    json_begin_object(&json);
    for (int i = 0; i < RESOLUTION_COUNT; i++) {
        total += stats.counts[i];
        json_kv_int(&json, state_resolution_name((enum resolution)i), (int64_t)stats.counts[i]);
    }
    json_kv_int(&json, "total", (int64_t)total);
    json_kv_time(&json, "oldestPendingAt", stats.oldest_pending_ms);
    json_key(&json, "oldestPendingAgeSeconds");
    int64_t age_ms = clock_wall_ms() - stats.oldest_pending_ms;
    if (stats.oldest_pending_ms)
        json_add_double(&json, age_ms > 0 ? (double)age_ms / 1000 : 0);
    else
        json_add_null(&json);
    json_end_object(&json);
    api_reply_json(call, 200, &body);
}
