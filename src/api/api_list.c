#include "api/api_list.h"

#include "base/limits.h"

struct store_page api_list_page(const struct api_call *call)
{
    return (struct store_page){
        .limit = (uint32_t)call->query[API_QUERY_LIMIT].number,
        .offset = (uint32_t)call->query[API_QUERY_OFFSET].number,
        .before = call->query[API_QUERY_BEFORE].id,
    };
}

/* Ids by a part of them: few, each looked up with the query's other conditions. */
static int list_by_part(struct api_call *call, enum store_id_kind kind, const struct store_page *page,
                        api_list_fn *fn, struct json *json, struct error *err)
{
    struct store_ids ids;
    int rc = store_find_ids(call->api->backend.store, kind, call->query[API_QUERY_ID].text, LIMIT_PAGE_MAX,
                            api_arena(call), &ids, err);
    const struct store_page one = {.limit = 1, .before = page->before};
    struct buf passed_over = BUF_INIT;
    uint32_t skipped = 0, given = 0;
    for (size_t i = 0; !rc && i < ids.count && given < page->limit; i++) {
        struct api_listed listed = {0};
        bool skip = skipped < page->offset;
        struct json nowhere;
        json_init(&nowhere, &passed_over);
        rc = fn(call, &one, ids.items[i], skip ? &nowhere : json, &listed, err);
        if (skip)
            skipped += (uint32_t)listed.count;
        else
            given += (uint32_t)listed.count;
    }
    buf_fini(&passed_over);
    return rc;
}

void api_list_reply(struct api_call *call, enum store_id_kind kind, api_list_fn *fn)
{
    struct store_page page = api_list_page(call);
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    struct api_listed listed = {0};
    char id[UUID_TEXT_LEN + 1];
    json_init(&json, &body);
    json_begin_array(&json);
    int rc = call->query[API_QUERY_ID].given ? list_by_part(call, kind, &page, fn, &json, &err)
                                             : fn(call, &page, (struct uuid){{0}}, &json, &listed, &err);
    json_end_array(&json);
    if (!rc && !uuid_is_zero(listed.next)) {
        uuid_format(listed.next, id);
        api_reply_header(call, "X-Next-Before", id);
    }
    if (rc)
        api_fail_error(call, &err);
    else
        api_reply_json(call, 200, &body);
    buf_fini(&body);
}
