/* Dead letters, read. What is done about them is in api_trigger.c. */
#include "api/api_bulk.h"
#include "api/api_handlers.h"
#include "api/api_list.h"
#include "api/api_view.h"
#include "base/clock.h"

/* A page of those whose error is of one group: found one by one. */
struct of_group {
    struct api_call *call;
    struct json *json;
    uint32_t skip, left;
    size_t count;
};

static bool take_into_page(void *context, const struct store_letter *letter)
{
    struct of_group *page = context;
    if (page->skip) {
        page->skip--;
        return true;
    }
    api_view_letter(page->json, page->call->api, letter);
    page->count++;
    return --page->left > 0;
}

static int list_group(struct api_call *call, const struct store_letter_query *query, struct json *json,
                      struct api_listed *ret_listed, struct error *err)
{
    struct of_group page = {call, json, query->page.offset, query->page.limit, 0};
    const struct api_bulk_search search = {
        .dag_id = query->dag_id,
        .by_resolution = query->by_resolution,
        .resolution = query->resolution,
        .error = call->query[API_QUERY_GROUP].text,
        .before = query->page.before,
        .take = take_into_page,
        .context = &page,
    };
    int rc = api_bulk_search_letters(call->api->backend.store, &search, &ret_listed->next, err);
    ret_listed->count = page.count;
    return rc;
}

static int list_letters(struct api_call *call, const struct store_page *page, struct uuid id, struct json *json,
                        struct api_listed *ret_listed, struct error *err)
{
    const struct api_value *status = &call->query[API_QUERY_STATUS];
    struct store_letter_query query = {
        .page = *page,
        .id = id,
        .dag_id = call->query[API_QUERY_DAG_ID].id,
        .by_resolution = status->given,
        .resolution = status->given ? (enum resolution)status->number : RESOLUTION_PENDING,
    };
    if (call->query[API_QUERY_GROUP].given && uuid_is_zero(id))
        return list_group(call, &query, json, ret_listed, err);
    struct store_letters letters;
    int rc = store_list_letters(call->api->backend.store, &query, api_arena(call), &letters, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < letters.count; i++)
        api_view_letter(json, call->api, &letters.items[i]);
    ret_listed->count = letters.count;
    if (letters.count == page->limit)
        ret_listed->next = letters.items[letters.count - 1].letter.id;
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
