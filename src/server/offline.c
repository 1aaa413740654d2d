/* Answers from a data directory without a daemon: its own store and those of `pawl run` below it (DATA/local/N), read
 * as one. A list is asked of each and merged, newest first; anything else is answered by the first store that has
 * it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "server/local_dir.h"
#include "server/server.h"
#include "server/status.h"
#include "store/store.h"

struct offline_store {
    char *dir;
    struct store *store;
    struct server_status status;
};

struct server_offline {
    struct offline_store *items[1 + SERVER_LOCAL_DIRS_MAX];
    size_t count;
};

/* ---- opening ---- */

static int add_store(struct server_offline *offline, const char *dir, struct error *err)
{
    const struct store_options options = {.path = dir, .mode = STORE_READ};
    struct store *store;
    int code = store_open_sqlite(&options, &store, err);
    if (code)
        return code;
    struct offline_store *item = mem_new(struct offline_store);
    item->dir = mem_strdup(dir);
    item->store = store;
    server_status_init(&item->status, store, item->dir);
    offline->items[offline->count++] = item;
    return 0;
}

int server_offline_open(const char *data_dir, enum server_offline_scope scope, struct server_offline **ret_offline,
                        struct error *err)
{
    struct server_offline *offline = mem_new(struct server_offline);
    int code = scope == SERVER_OFFLINE_LOCAL ? ERROR_NOT_FOUND : add_store(offline, data_dir, err);
    for (int n = 1; n <= SERVER_LOCAL_DIRS_MAX && (!code || code == ERROR_NOT_FOUND); n++) {
        char *dir = server_local_dir_path(data_dir, n);
        code = add_store(offline, dir, err);
        mem_free(dir);
        if (code == ERROR_NOT_FOUND)
            break;
    }
    if (code == ERROR_NOT_FOUND && offline->count > 0)
        code = 0;
    else if (code == ERROR_NOT_FOUND)
        (void)error_set(err, ERROR_NOT_FOUND, "%s holds no pawl store", data_dir);
    if (code) {
        server_offline_close(offline);
        return code;
    }
    *ret_offline = offline;
    return 0;
}

void server_offline_close(struct server_offline *offline)
{
    if (!offline)
        return;
    for (size_t i = 0; i < offline->count; i++) {
        struct offline_store *item = offline->items[i];
        server_status_fini(&item->status);
        store_close(item->store);
        mem_free(item->dir);
        mem_free(item);
    }
    mem_free(offline);
}

/* ---- lists ---- */

/* The value of a whole-number query parameter; `fallback` when it is not there. */
static int64_t query_number(const char *target, const char *name, int64_t fallback)
{
    size_t len = strlen(name);
    const char *at = strchr(target, '?');
    while (at) {
        at++;
        if (strncmp(at, name, len) == 0 && at[len] == '=')
            return strtoll(at + len + 1, NULL, 10);
        at = strchr(at, '&');
    }
    return fallback;
}

/* The target with another limit and no offset. */
static char *with_limit(const char *target, int64_t limit)
{
    struct buf out = BUF_INIT;
    size_t path_len = strcspn(target, "?");
    buf_add(&out, target, path_len);
    buf_printf(&out, "?limit=%lld", (long long)limit);
    const char *at = target + path_len;
    while (*at) {
        at++;
        size_t len = strcspn(at, "&");
        if (len && !str_starts_with(at, "limit=") && !str_starts_with(at, "offset=")) {
            buf_add_char(&out, '&');
            buf_add(&out, at, len);
        }
        at += len;
    }
    return buf_take(&out);
}

static const char *id_of(const json_t *item)
{
    const char *id = json_string_value(json_object_get(item, "runId"));
    if (!id)
        id = json_string_value(json_object_get(item, "id"));
    return id ? id : "";
}

/* Ids are version 7: their order is the order of creation. */
static int newest_first(const void *a, const void *b)
{
    return strcmp(id_of(*(json_t *const *)b), id_of(*(json_t *const *)a));
}

struct merge {
    json_t *lists[1 + SERVER_LOCAL_DIRS_MAX];
    size_t list_count;
    json_t **items; /* borrowed from the lists */
    size_t count, cap;
};

static void merge_fini(struct merge *merge)
{
    for (size_t i = 0; i < merge->list_count; i++)
        json_decref(merge->lists[i]);
    mem_free(merge->items);
}

static int merge_add(struct merge *merge, const struct buf *body, struct error *err)
{
    json_t *list = json_loadb(body->bytes, body->len, 0, NULL);
    if (!json_is_array(list)) {
        json_decref(list);
        return error_set(err, ERROR_INTERNAL, "a list was expected from the store");
    }
    merge->lists[merge->list_count++] = list;
    for (size_t i = 0; i < json_array_size(list); i++) {
        merge->items = mem_grow(merge->items, &merge->cap, merge->count + 1, sizeof(json_t *));
        merge->items[merge->count++] = json_array_get(list, i);
    }
    return 0;
}

static void merge_write(struct merge *merge, int64_t offset, int64_t limit, struct buf *out)
{
    if (merge->count)
        qsort(merge->items, merge->count, sizeof *merge->items, newest_first);
    buf_add_char(out, '[');
    for (size_t i = (size_t)offset; i < merge->count && i < (size_t)(offset + limit); i++) {
        char *text = json_dumps(merge->items[i], JSON_COMPACT);
        if (i > (size_t)offset)
            buf_add_char(out, ',');
        buf_add_text(out, text ? text : "null");
        free(text);
    }
    buf_add_char(out, ']');
}

static int get_list(struct server_offline *offline, const char *target, struct buf *out, int *ret_status,
                    struct error *err)
{
    int64_t limit = query_number(target, "limit", LIMIT_PAGE_DEFAULT);
    int64_t offset = query_number(target, "offset", 0);
    if (limit < 1 || offset < 0 || limit + offset > LIMIT_PAGE_MAX)
        return error_set(err, ERROR_BAD_REQUEST, "limit and offset together may be at most %d here", LIMIT_PAGE_MAX);
    char *wider = with_limit(target, limit + offset);
    struct merge merge = {0};
    struct buf body = BUF_INIT;
    int code = 0;
    for (size_t i = 0; i < offline->count && !code; i++) {
        buf_clear(&body);
        code = api_get(offline->items[i]->status.api, wider, &body, ret_status, err);
        if (!code && *ret_status != 200)
            break;
        if (!code)
            code = merge_add(&merge, &body, err);
    }
    if (!code && *ret_status == 200)
        merge_write(&merge, offset, limit, out);
    else if (!code)
        buf_add(out, body.bytes, body.len);
    merge_fini(&merge);
    buf_fini(&body);
    mem_free(wider);
    return code;
}

/* ---- anything ---- */

static bool is_list(const char *target)
{
    static const char *const lists[] = {"/api/v1/dags", "/api/v1/runs", "/api/v1/dlq"};
    size_t len = strcspn(target, "?");
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (strlen(lists[i]) == len && strncmp(lists[i], target, len) == 0)
            return true;
    return str_starts_with(target, "/api/v1/dags/") && len > 5 && strncmp(target + len - 5, "/runs", 5) == 0;
}

int server_offline_get(struct server_offline *offline, const char *target, struct buf *ret_body, int *ret_status,
                       struct error *err)
{
    if (offline->count > 1 && is_list(target))
        return get_list(offline, target, ret_body, ret_status, err);
    struct buf body = BUF_INIT;
    int code = 0;
    for (size_t i = 0; i < offline->count && !code; i++) {
        buf_clear(&body);
        code = api_get(offline->items[i]->status.api, target, &body, ret_status, err);
        if (!code && *ret_status != 404)
            break;
    }
    if (!code)
        buf_add(ret_body, body.bytes, body.len);
    buf_fini(&body);
    return code;
}
