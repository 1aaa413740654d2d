/* Many dead letters at once: what they have in common, and one answer for all of them. */
#include "api/api_bulk.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_handlers.h"
#include "api/api_trigger.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "dag/dag.h"

enum {
    GROUPS_MAX = 1000,
    ID_MIN = 8,
};

/* ---- groups ---- */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || (unsigned char)c >= 0x80;
}

static bool is_id(const char *text, size_t len)
{
    bool digit = false;
    for (size_t i = 0; i < len; i++) {
        if (!isxdigit((unsigned char)text[i]) && text[i] != '-')
            return false;
        digit = digit || isdigit((unsigned char)text[i]);
    }
    return digit && len >= ID_MIN;
}

static bool is_number(const char *text, size_t len)
{
    return strspn(text, "0123456789") >= len;
}

static void add_word(const char *text, size_t len, struct buf *out)
{
    if (is_id(text, len) && !is_number(text, len)) {
        buf_add_text(out, "ID");
        return;
    }
    for (size_t i = 0; i < len;) {
        size_t digits = strspn(text + i, "0123456789");
        if (digits)
            buf_add_char(out, 'N');
        else
            buf_add_char(out, text[i]);
        i += digits ? digits : 1;
    }
}

void api_bulk_normalise(const char *text, struct buf *out)
{
    bool after_word = false;
    for (const char *at = text; *at;) {
        size_t len = 0;
        if (*at == '/' && !after_word && (is_word(at[1]) || at[1] == '.')) {
            len = strcspn(at, " \t\r\n\"'`,;:()[]{}<>");
            buf_add_text(out, "PATH");
        } else if (is_word(*at)) {
            while (is_word(at[len]))
                len++;
            add_word(at, len, out);
        } else {
            len = 1;
            buf_add_char(out, *at);
        }
        after_word = is_word(at[len - 1]);
        at += len;
    }
}

struct group {
    const char *error;
    enum error_type error_type;
    uint64_t count;
    int64_t oldest_ms, newest_ms;
    struct uuid newest;
};

struct groups {
    struct group items[GROUPS_MAX];
    size_t count;
    struct map by_key;      /* "type error" */
    struct arena *arena;
};

static int search_page(struct store *store, const struct api_bulk_search *search, struct uuid *before,
                       size_t *ret_count, bool *ret_enough, struct error *err)
{
    struct arena arena = {0};
    struct buf error = BUF_INIT;
    struct store_letters letters = {0};
    const struct store_letter_query query = {
        .page = {.limit = LIMIT_PAGE_MAX, .before = *before},
        .dag_id = search->dag_id,
        .by_resolution = search->by_resolution,
        .resolution = search->resolution,
    };
    int rc = store_list_letters(store, &query, &arena, &letters, err);
    *ret_count = letters.count;
    for (size_t i = 0; !rc && i < letters.count && !*ret_enough; i++) {
        const struct store_letter *letter = &letters.items[i];
        *before = letter->letter.id;
        if (search->error) {
            buf_clear(&error);
            api_bulk_normalise(letter->letter.error ? letter->letter.error : "", &error);
            if (strcmp(buf_text(&error), search->error) != 0)
                continue;
        }
        *ret_enough = !search->take(search->context, letter);
    }
    buf_fini(&error);
    arena_fini(&arena);
    return rc;
}

int api_bulk_search_letters(struct store *store, const struct api_bulk_search *search, struct uuid *ret_next,
                            struct error *err)
{
    struct uuid before = search->before;
    size_t seen = 0, count = LIMIT_PAGE_MAX;
    bool enough = false;
    int rc = 0;
    while (!rc && !enough && count == LIMIT_PAGE_MAX && seen < API_BULK_LETTERS_MAX) {
        rc = search_page(store, search, &before, &count, &enough, err);
        seen += count;
    }
    bool at_end = !enough && count < LIMIT_PAGE_MAX;
    *ret_next = at_end ? (struct uuid){{0}} : before;
    return rc;
}

static bool take_into_group(void *context, const struct store_letter *letter)
{
    struct groups *groups = context;
    struct buf key = BUF_INIT;
    buf_printf(&key, "%d ", (int)letter->letter.error_type);
    size_t prefix = key.len;
    api_bulk_normalise(letter->letter.error ? letter->letter.error : "", &key);
    struct group *group = map_get(&groups->by_key, key.bytes, key.len);
    if (!group && groups->count < GROUPS_MAX) {
        char *text = arena_strndup(groups->arena, key.bytes, key.len);
        group = &groups->items[groups->count++];
        *group = (struct group){.error = text + prefix,
                                .error_type = letter->letter.error_type,
                                .newest_ms = letter->letter.created_ms,
                                .newest = letter->letter.id};
        (void)map_set(&groups->by_key, text, key.len, group);
    }
    if (group) {
        group->count++;
        group->oldest_ms = letter->letter.created_ms;
    }
    buf_fini(&key);
    return true;
}

/* Most letters first; the newer first of two that have as many. */
static int compare_groups(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    if (left->count != right->count)
        return left->count > right->count ? -1 : 1;
    return uuid_compare(right->newest, left->newest);
}

static void view_group(struct json *json, const struct group *group)
{
    json_begin_object(json);
    json_kv_string(json, "error", group->error);
    json_kv_string(json, "errorType", state_failure_name(group->error_type));
    json_kv_int(json, "count", (int64_t)group->count);
    json_kv_time(json, "oldestAt", group->oldest_ms);
    json_kv_time(json, "newestAt", group->newest_ms);
    json_kv_uuid(json, "newestId", group->newest);
    json_end_object(json);
}

void api_get_letter_groups(struct api_call *call)
{
    const struct api_value *status = &call->query[API_QUERY_STATUS];
    struct groups *groups = mem_new(struct groups);
    groups->arena = api_arena(call);
    const struct api_bulk_search search = {
        .dag_id = call->query[API_QUERY_DAG_ID].id,
        .by_resolution = true,
        .resolution = status->given ? (enum resolution)status->number : RESOLUTION_PENDING,
        .take = take_into_group,
        .context = groups,
    };
    struct buf body = BUF_INIT;
    struct json json;
    struct error err;
    struct uuid next;
    int rc = api_bulk_search_letters(call->api->backend.store, &search, &next, &err);
    qsort(groups->items, groups->count, sizeof *groups->items, compare_groups);
    json_init(&json, &body);
    json_begin_array(&json);
    for (size_t i = 0; i < groups->count && i < (size_t)call->query[API_QUERY_LIMIT].number; i++)
        view_group(&json, &groups->items[i]);
    json_end_array(&json);
    if (rc)
        api_fail_error(call, &err);
    else
        api_reply_json(call, 200, &body);
    buf_fini(&body);
    map_fini(&groups->by_key);
    mem_free(groups);
}

/* ---- bulk ---- */

enum action { ACTION_RETRY, ACTION_SKIP, ACTION_RESOLVE };

const char *api_names_bulk_actions(unsigned index)
{
    static const char *const names[] = {"retry", "skip", "resolve"};
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

struct bulk {
    struct api_bulk shared;
    enum action action;
    uint32_t max;
    struct store_letter *letters;   /* only the members that tell which run and task */
};

static bool take_into_bulk(void *context, const struct store_letter *letter)
{
    struct bulk *bulk = context;
    if (bulk->shared.matched == bulk->max)
        return false;
    bulk->letters[bulk->shared.matched++].letter = (struct record_letter){
        .id = letter->letter.id, .run_id = letter->letter.run_id, .task = letter->letter.task};
    return true;
}

static void reply_bulk(struct api_call *call, const struct api_bulk *bulk, uint32_t done, uint32_t skipped)
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

static void resume_bulk(struct api_call *call)
{
    const struct api_bulk *bulk = call->command.context;
    uint32_t done = atomic_load(&bulk->done);
    bulk->reply(call, bulk, done, bulk->matched - done);
}

static void one_less(struct api_bulk *bulk)
{
    if (atomic_fetch_sub(&bulk->left, 1) == 1)
        http_complete(bulk->call->request); /* bulk may be gone after this */
}

/* The engine's thread. */
static void on_done(struct command *command, const struct command_result *result)
{
    struct api_bulk *bulk = command->context;
    if (!result->error.code)
        atomic_fetch_add(&bulk->done, 1);
    one_less(bulk);
}

struct command api_bulk_command(struct api_bulk *bulk)
{
    return (struct command){
        .done = on_done,
        .context = bulk,
        .principal = bulk->call->principal,
        .request_id = bulk->call->request->id,
        .trace = bulk->call->command.trace,
    };
}

void api_bulk_post(struct api_bulk *bulk, uint32_t ready)
{
    struct api_call *call = bulk->call;
    struct api *api = call->api;
    call->command.context = bulk;
    call->result = (struct command_result){0};
    call->resume = resume_bulk;
    atomic_store(&bulk->left, ready + 1);
    http_defer(call->request);
    for (uint32_t i = 0; i < ready; i++)
        api->backend.submit(api->backend.context, &bulk->commands[i]);
    one_less(bulk);
}

/* false: nothing can be asked of this letter now. */
static bool fill_command(struct bulk *bulk, const struct store_letter *letter, struct command *command)
{
    struct api_call *call = bulk->shared.call;
    *command = api_bulk_command(&bulk->shared);
    command->letter = letter->letter.id;
    if (bulk->action == ACTION_RESOLVE) {
        command->kind = COMMAND_LETTER_RESOLVE;
        command->by = call->body[API_FIELD_RESOLVED_BY].text;
        command->notes = call->body[API_FIELD_NOTES].text;
        return true;
    }
    bool skips = bulk->action == ACTION_SKIP;
    command->kind = skips ? COMMAND_LETTER_SKIP : COMMAND_LETTER_RETRY;
    command->notes = call->body[API_FIELD_REASON].text;
    uint64_t room = LIMIT_WAITING_TASKS_MAX - bulk->shared.tasks;
    struct error why; /* one of many: the counts say enough */
    if (api_trigger_fill_letter(call, letter, skips, room, command, &why))
        return false;
    bulk->shared.tasks += command->dag->task_count;
    return true;
}

static void post_bulk(struct bulk *bulk)
{
    struct api_bulk *shared = &bulk->shared;
    uint32_t ready = 0;
    shared->commands = arena_array(api_arena(shared->call), shared->matched + 1, sizeof *shared->commands);
    for (uint32_t i = 0; i < shared->matched; i++)
        ready += fill_command(bulk, &bulk->letters[i], &shared->commands[ready]);
    api_bulk_post(shared, ready);
}

void api_bulk_letters(struct api_call *call)
{
    struct bulk *bulk = arena_zalloc(api_arena(call), sizeof *bulk);
    const struct api_value *dry_run = &call->body[API_FIELD_DRY_RUN];
    struct uuid next;
    struct error err;
    bulk->shared.call = call;
    bulk->shared.reply = reply_bulk;
    bulk->action = (enum action)call->body[API_FIELD_ACTION].number;
    bulk->max = (uint32_t)call->body[API_FIELD_MAX].number;
    bulk->letters = arena_array(api_arena(call), bulk->max, sizeof *bulk->letters);
    const struct api_bulk_search search = {
        .dag_id = call->body[API_FIELD_DAG_ID].id,
        .by_resolution = true,
        .resolution = RESOLUTION_PENDING,
        .error = call->body[API_FIELD_ERROR].text,
        .take = take_into_bulk,
        .context = bulk,
    };
    int rc = api_bulk_search_letters(call->api->backend.store, &search, &next, &err);
    bulk->shared.more = !uuid_is_zero(next);
    if (rc)
        api_fail_error(call, &err);
    else if (dry_run->number)
        reply_bulk(call, &bulk->shared, 0, 0);
    else if (!call->api->backend.submit)
        api_fail(call, ERROR_STOPPING, "Nothing runs here that could do this");
    else
        post_bulk(bulk);
}
