#include "store/store.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"

static const char *const room_names[] = {"ok", "low", "none", "away"};
static_assert(sizeof room_names / sizeof room_names[0] == STORE_ROOM_COUNT, "one name per room");

const char *store_room_name(enum store_room room)
{
    assert(room < STORE_ROOM_COUNT);
    return room_names[room];
}

static void check_page(const struct store_page *page)
{
    assert(page->limit >= 1 && page->limit <= LIMIT_PAGE_MAX);
    assert(page->offset <= LIMIT_OFFSET_MAX);
}

void store_close(struct store *store)
{
    if (store)
        store->ops->close(store);
}

int store_commit(struct store *store, struct batch *const *batches, size_t count, struct error *err)
{
    assert(count > 0);
    for (size_t i = 1; i < count; i++)
        assert(batches[i]->number > batches[i - 1]->number);
    return store->ops->commit(store, batches, count, err);
}

int store_maintain(struct store *store, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err)
{
    return store->ops->maintain(store, now_ms, idle, ret_next_ms, err);
}

int store_load_active(struct store *store, store_active_fn *fn, void *context, struct error *err)
{
    return store->ops->load_active(store, fn, context, err);
}

int store_list_dags(struct store *store, const struct store_dag_query *query, struct arena *arena,
                    struct store_dags *ret_dags, struct error *err)
{
    check_page(&query->page);
    return store->ops->dags(store, query, arena, ret_dags, err);
}

int store_list_versions(struct store *store, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                        struct store_versions *ret_versions, struct error *err)
{
    check_page(page);
    return store->ops->versions(store, dag_id, page, arena, ret_versions, err);
}

int store_get_source(struct store *store, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                     struct error *err)
{
    return store->ops->source(store, dag_id, version, ret_source, err);
}

int store_list_runs(struct store *store, const struct store_run_query *query, struct arena *arena,
                    struct store_runs *ret_runs, struct error *err)
{
    check_page(&query->page);
    return store->ops->runs(store, query, arena, ret_runs, err);
}

int store_list_attempts(struct store *store, const struct store_attempt_query *query, struct arena *arena,
                        struct store_attempts *ret_attempts, struct error *err)
{
    return store->ops->attempts(store, query, arena, ret_attempts, err);
}

int store_list_letters(struct store *store, const struct store_letter_query *query, struct arena *arena,
                       struct store_letters *ret_letters, struct error *err)
{
    check_page(&query->page);
    return store->ops->letters(store, query, arena, ret_letters, err);
}

int store_list_fires(struct store *store, const struct store_fire_query *query, struct arena *arena,
                     struct store_fires *ret_fires, struct error *err)
{
    check_page(&query->page);
    assert(!query->to_ms || !uuid_is_zero(query->dag_id));
    return store->ops->fires(store, query, arena, ret_fires, err);
}

int store_get_letter_stats(struct store *store, struct store_letter_stats *ret_stats, struct error *err)
{
    return store->ops->letter_stats(store, ret_stats, err);
}

void store_set_retention(struct store *store, const struct store_retention *retention)
{
    static const struct store_retention all;
    const struct store_retention *limits = retention ? retention : &all;
    store->keep.age_ms = limits->age_ms;
    store->keep.runs_max = limits->runs_max;
    store->keep.bytes_max = limits->bytes_max;
    store->keep.letter_age_ms = limits->letter_age_ms;
    store->keep.letters_max = limits->letters_max;
}

void store_get_taken(const struct store *store, struct store_taken *ret_taken)
{
    *ret_taken = (struct store_taken){store->keep.runs, store->keep.attempts, store->keep.letters, store->keep.fires,
                                      store->keep.keys, store->keep.pending};
}

int store_list_taken(struct store *store, const struct uuid *done, size_t done_count, size_t max, struct arena *arena,
                     struct store_ids *ret_ids, struct error *err)
{
    assert(max > 0);
    *ret_ids = (struct store_ids){0};
    if (!store->ops->taken)
        return 0;
    return store->ops->taken(store, done, done_count, max, arena, ret_ids, err);
}

int store_copy(struct store *store, const char *path, const struct store_copying *copying, struct error *err)
{
    if (!store->ops->copy)
        return error_set(err, ERROR_USAGE, "a store of kind '%s' is copied by its own tools", store->ops->kind);
    return store->ops->copy(store, path, copying, err);
}

int store_get_status(struct store *store, struct store_status *ret_status, struct error *err)
{
    return store->ops->status(store, ret_status, err);
}

int store_ping(struct store *store, struct error *err)
{
    return store->ops->ping(store, err);
}

int store_check(struct store *store, enum store_check_depth depth, struct buf *findings, uint32_t *ret_count,
                struct error *err)
{
    return store->ops->check(store, depth, findings, ret_count, err);
}

static int get_one_dag(struct store *store, const struct store_dag_query *query, const char *what,
                       struct arena *arena, struct store_dag *ret_dag, struct error *err)
{
    struct store_dags dags;
    int code = store_list_dags(store, query, arena, &dags, err);
    if (code)
        return code;
    if (dags.count == 0)
        return error_set(err, ERROR_DAG_NOT_FOUND, "there is no DAG %s", what);
    *ret_dag = dags.items[0];
    return 0;
}

int store_get_dag(struct store *store, struct uuid id, struct arena *arena, struct store_dag *ret_dag,
                  struct error *err)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    if (uuid_is_zero(id))
        return error_set(err, ERROR_DAG_NOT_FOUND, "there is no DAG %s", text);
    const struct store_dag_query query = {.page.limit = 1, .id = id, .deleted = true};
    return get_one_dag(store, &query, text, arena, ret_dag, err);
}

int store_get_dag_by_name(struct store *store, const char *name, struct arena *arena, struct store_dag *ret_dag,
                          struct error *err)
{
    const struct store_dag_query query = {.page.limit = 1, .name = name};
    return get_one_dag(store, &query, name, arena, ret_dag, err);
}

int store_get_run(struct store *store, struct uuid id, struct arena *arena, struct store_run *ret_run,
                  struct error *err)
{
    const struct store_run_query query = {.page.limit = 1, .id = id, .with_outcomes = true};
    struct store_runs runs = {0};
    int code = uuid_is_zero(id) ? 0 : store_list_runs(store, &query, arena, &runs, err);
    if (code)
        return code;
    if (runs.count == 0) {
        char text[UUID_TEXT_LEN + 1];
        uuid_format(id, text);
        return error_set(err, ERROR_RUN_NOT_FOUND, "there is no run %s", text);
    }
    *ret_run = runs.items[0];
    return 0;
}

int store_get_run_by_instance(struct store *store, struct uuid instance, struct arena *arena,
                              struct store_run *ret_run, struct error *err)
{
    const struct store_run_query query = {
        .page.limit = LIMIT_PAGE_MAX, .instance = instance, .with_outcomes = true};
    struct store_runs runs = {0};
    int code = uuid_is_zero(instance) ? 0 : store_list_runs(store, &query, arena, &runs, err);
    if (code)
        return code;
    for (size_t i = 0; i < runs.count; i++) {
        if (record_instance_task(runs.items[i].run.id, instance) < runs.items[i].run.task_count) {
            *ret_run = runs.items[i];
            return 0;
        }
    }
    char text[UUID_TEXT_LEN + 1];
    uuid_format(instance, text);
    return error_set(err, ERROR_TASK_NOT_FOUND, "there is no task instance %s", text);
}

int store_get_letter(struct store *store, struct uuid id, struct arena *arena, struct store_letter *ret_letter,
                     struct error *err)
{
    const struct store_letter_query query = {.page.limit = 1, .id = id};
    struct store_letters letters = {0};
    int code = uuid_is_zero(id) ? 0 : store_list_letters(store, &query, arena, &letters, err);
    if (code)
        return code;
    if (letters.count == 0) {
        char text[UUID_TEXT_LEN + 1];
        uuid_format(id, text);
        return error_set(err, ERROR_DEAD_LETTER_NOT_FOUND, "there is no dead letter %s", text);
    }
    *ret_letter = letters.items[0];
    return 0;
}

int store_find_ids(struct store *store, enum store_id_kind kind, const char *text, size_t max, struct arena *arena,
                   struct store_ids *ret_ids, struct error *err)
{
    char hex[33];
    size_t len = 0;
    bool valid = true;
    for (const char *c = text; *c && valid; c++) {
        if (*c == '-')
            continue;
        char lower = *c >= 'A' && *c <= 'F' ? (char)(*c - 'A' + 'a') : *c;
        valid = len < 32 && ((lower >= '0' && lower <= '9') || (lower >= 'a' && lower <= 'f'));
        if (valid)
            hex[len++] = lower;
    }
    hex[len] = '\0';
    if (!valid || len == 0 || max == 0) {
        *ret_ids = (struct store_ids){0};
        return 0;
    }
    return store->ops->ids(store, kind, hex, max, arena, ret_ids, err);
}
