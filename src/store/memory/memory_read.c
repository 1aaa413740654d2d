/* Readers: each under the lock, each copies what it found into the caller's arena. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/memory/memory_model.h"

/* ---- pages ---- */

typedef bool match_fn(const void *row, const void *query);

/* The rows of one page, newest first, in an array of the arena. Rows [low, high) are looked at. */
static size_t take_page(const struct memory_rows *rows, size_t low, size_t high, const struct store_page *page,
                        match_fn *match, const void *query, struct arena *arena, const void ***ret_found)
{
    size_t found = 0;
    uint32_t skip = page->offset;
    if (!uuid_is_zero(page->before)) {
        size_t end = store_memory_lower(rows, &page->before);
        high = end < high ? end : high;
    }
    *ret_found = arena_array(arena, page->limit, sizeof(void *));
    while (high > low && found < page->limit) {
        const void *row = rows->items[--high];
        if (!match(row, query))
            continue;
        if (skip)
            skip--;
        else
            (*ret_found)[found++] = row;
    }
    return found;
}

/* The rows whose id lies in [from, to]. */
static void narrow(const struct memory_rows *rows, struct uuid from, struct uuid to, size_t *low, size_t *high)
{
    size_t first = store_memory_lower(rows, &from), end = store_memory_lower(rows, &to);
    if (end < rows->count && store_memory_by_id(rows->items[end], &to) == 0)
        end++;
    *low = first > *low ? first : *low;
    *high = end < *high ? end : *high;
}

static bool is_or_any(struct uuid wanted, struct uuid id)
{
    return uuid_is_zero(wanted) || uuid_equal(wanted, id);
}

/* ---- DAGs ---- */

static const struct memory_version *latest(const struct memory_dag *dag)
{
    return dag->versions.items[dag->versions.count - 1];
}

static bool match_dag(const void *row, const void *context)
{
    const struct memory_dag *dag = row;
    const struct store_dag_query *query = context;
    return (query->deleted || !dag->deleted_ms) && is_or_any(query->id, dag->id) &&
           (!query->name || strcmp(dag->name, query->name) == 0) &&
           (!query->name_part || strcasestr(dag->name, query->name_part));
}

int store_memory_dags(struct store *head, const struct store_dag_query *query, struct arena *arena,
                      struct store_dags *ret_dags, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const void **found;
    size_t low = 0, high = store->dags.count;
    if (!uuid_is_zero(query->id))
        narrow(&store->dags, query->id, query->id, &low, &high);
    size_t count = take_page(&store->dags, low, high, &query->page, match_dag, query, arena, &found);
    struct store_dag *items = arena_array(arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const struct memory_dag *dag = found[i];
        const struct memory_version *version = latest(dag);
        items[i] = (struct store_dag){
            .id = dag->id,
            .name = arena_strdup(arena, dag->name),
            .version = version->version,
            .task_count = version->task_count,
            .cron = arena_strdup(arena, version->cron),
            .timezone = arena_strdup(arena, version->timezone),
            .paused = dag->paused,
            .covered_ms = dag->covered_ms,
            .created_ms = dag->created_ms,
            .updated_ms = version->created_ms,
            .deleted_ms = dag->deleted_ms,
        };
    }
    *ret_dags = (struct store_dags){items, count};
    store_memory_leave(store);
    return 0;
}

int store_memory_versions(struct store *head, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                          struct store_versions *ret_versions, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const struct memory_dag *dag = store_memory_find(&store->dags, &dag_id);
    size_t have = dag ? dag->versions.count : 0;
    size_t left = have > page->offset ? have - page->offset : 0;
    size_t count = left < page->limit ? left : page->limit;
    struct store_version *items = arena_array(arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const struct memory_version *version = dag->versions.items[left - 1 - i];
        items[i] = (struct store_version){version->version, version->task_count, version->created_ms,
                                          version->source_len};
    }
    *ret_versions = (struct store_versions){items, count};
    store_memory_leave(store);
    return 0;
}

int store_memory_source(struct store *head, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                        struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const struct memory_version key = {.version = version};
    const struct memory_dag *dag = store_memory_find(&store->dags, &dag_id);
    const struct memory_version *found = NULL;
    if (dag)
        found = version ? store_memory_find(&dag->versions, &key) : latest(dag);
    if (found)
        buf_add(ret_source, found->source, found->source_len);
    else
        code = error_set(err, ERROR_DAG_NOT_FOUND, dag ? "the DAG has no version %u" : "DAG not found", version);
    store_memory_leave(store);
    return code;
}

/* ---- runs ---- */

/* What an index would know. */
static bool match_run_keys(const void *row, const void *context)
{
    const struct record_run *run = &((const struct memory_run *)row)->run;
    const struct store_run_query *query = context;
    return is_or_any(query->id, run->id) && is_or_any(query->dag_id, run->dag_id) &&
           (!query->states || (query->states & 1u << run->state)) &&
           (uuid_is_zero(query->instance) || record_instance_task(run->id, query->instance) < run->task_count);
}

static bool match_run(const void *row, const void *context)
{
    const struct record_run *run = &((const struct memory_run *)row)->run;
    const struct store_run_query *query = context;
    return match_run_keys(row, context) && (!query->triggers || (query->triggers & 1u << run->trigger)) &&
           (!query->error_part || (run->error && strcasestr(run->error, query->error_part)));
}

/* The oldest run that is looked at, into *low, when scan_max ends the search; its id, or zero. */
static struct uuid end_scan(const struct memory_rows *rows, const struct store_run_query *query, size_t *low,
                            size_t high)
{
    uint32_t left = query->triggers || query->error_part ? query->scan_max : 0;
    if (!uuid_is_zero(query->page.before)) {
        size_t end = store_memory_lower(rows, &query->page.before);
        high = end < high ? end : high;
    }
    while (left && high > *low) {
        if (!match_run_keys(rows->items[--high], query) || --left)
            continue;
        *low = high;
        return ((const struct memory_run *)rows->items[high])->run.id;
    }
    return (struct uuid){{0}};
}

static struct store_run copy_run(const struct memory_run *row, bool with_outcomes, struct arena *arena)
{
    struct store_run copy = {.run = row->run, .dag_name = arena_strdup(arena, row->dag->name)};
    copy.run.error = arena_strdup(arena, row->run.error);
    copy.run.request_id = arena_strdup(arena, row->run.request_id);
    copy.run.changes = arena_strdup(arena, row->run.changes);
    copy.run.trace = arena_strdup(arena, row->run.trace);
    copy.run.outcomes = NULL;
    if (with_outcomes && row->run.outcomes)
        copy.run.outcomes = arena_dup(arena, row->run.outcomes, row->run.outcomes_len);
    if (!copy.run.outcomes)
        copy.run.outcomes_len = 0;
    return copy;
}

int store_memory_runs(struct store *head, const struct store_run_query *query, struct arena *arena,
                      struct store_runs *ret_runs, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const void **found;
    size_t low = 0, high = store->runs.count;
    if (!uuid_is_zero(query->id))
        narrow(&store->runs, query->id, query->id, &low, &high);
    if (!uuid_is_zero(query->instance)) {
        struct uuid from, to;
        record_instance_range(query->instance, &from, &to);
        narrow(&store->runs, from, to, &low, &high);
    }
    if (!uuid_is_zero(query->since)) {
        size_t first = store_memory_lower(&store->runs, &query->since);
        low = first > low ? first : low;
    }
    struct uuid scanned = end_scan(&store->runs, query, &low, high);
    size_t count = take_page(&store->runs, low, high, &query->page, match_run, query, arena, &found);
    struct store_run *items = arena_array(arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = copy_run(found[i], query->with_outcomes, arena);
    *ret_runs = (struct store_runs){items, count, count < query->page.limit ? scanned : (struct uuid){{0}}};
    store_memory_leave(store);
    return 0;
}

int store_memory_attempts(struct store *head, const struct store_attempt_query *query, struct arena *arena,
                          struct store_attempts *ret_attempts, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const struct memory_run *run = store_memory_find(&store->runs, &query->run_id);
    const struct memory_rows none = {0};
    const struct memory_rows *rows = run ? &run->attempts : &none;
    size_t first = 0, end = rows->count;
    if (query->by_task) {
        const struct record_attempt from = {.task = query->task}, to = {.task = query->task, .number = UINT32_MAX};
        first = run ? store_memory_lower(rows, &from) : 0;
        end = run ? store_memory_lower(rows, &to) : 0;
    }
    if (query->after && run) {
        const struct record_attempt after = {.task = query->after_task, .number = query->after_number};
        size_t place = store_memory_lower(rows, &after);
        if (place < rows->count && store_memory_by_attempt(rows->items[place], &after) == 0)
            place++;
        first = place > first ? place : first;
    }
    size_t count = end > first ? end - first : 0;
    if (query->limit && count > query->limit)
        count = query->limit;
    struct record_attempt *items = arena_array(arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        items[i] = *(const struct record_attempt *)rows->items[first + i];
        items[i].error = arena_strdup(arena, items[i].error);
        items[i].log = query->with_logs && items[i].log ? arena_dup(arena, items[i].log, items[i].log_len) : NULL;
        items[i].log_len = items[i].log ? items[i].log_len : 0;
    }
    *ret_attempts = (struct store_attempts){items, count};
    store_memory_leave(store);
    return 0;
}

/* ---- dead letters ---- */

static bool match_letter(const void *row, const void *context)
{
    const struct store_letter *letter = &((const struct memory_letter *)row)->row;
    const struct store_letter_query *query = context;
    return is_or_any(query->id, letter->letter.id) && is_or_any(query->run_id, letter->letter.run_id) &&
           is_or_any(query->dag_id, letter->letter.dag_id) &&
           (!query->by_resolution || letter->resolution == query->resolution);
}

static struct store_letter copy_letter(const struct store_letter *row, struct arena *arena)
{
    struct store_letter copy = *row;
    copy.letter.task_id = arena_strdup(arena, row->letter.task_id);
    copy.letter.task_name = arena_strdup(arena, row->letter.task_name);
    copy.letter.dag_name = arena_strdup(arena, row->letter.dag_name);
    copy.letter.error = arena_strdup(arena, row->letter.error);
    copy.letter.config = arena_strdup(arena, row->letter.config);
    copy.resolved_by = arena_strdup(arena, row->resolved_by);
    copy.notes = arena_strdup(arena, row->notes);
    return copy;
}

int store_memory_letters(struct store *head, const struct store_letter_query *query, struct arena *arena,
                         struct store_letters *ret_letters, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const void **found;
    size_t low = 0, high = store->letters.count;
    if (!uuid_is_zero(query->id))
        narrow(&store->letters, query->id, query->id, &low, &high);
    size_t count = take_page(&store->letters, low, high, &query->page, match_letter, query, arena, &found);
    struct store_letter *items = arena_array(arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = copy_letter(&((const struct memory_letter *)found[i])->row, arena);
    *ret_letters = (struct store_letters){items, count};
    store_memory_leave(store);
    return 0;
}

int store_memory_letter_stats(struct store *head, struct store_letter_stats *ret_stats, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    struct store_letter_stats stats = {0};
    for (size_t i = 0; i < store->letters.count; i++) {
        const struct store_letter *letter = &((const struct memory_letter *)store->letters.items[i])->row;
        stats.counts[letter->resolution]++;
        if (letter->resolution == RESOLUTION_PENDING &&
            (!stats.oldest_pending_ms || letter->letter.created_ms < stats.oldest_pending_ms))
            stats.oldest_pending_ms = letter->letter.created_ms;
    }
    *ret_stats = stats;
    store_memory_leave(store);
    return 0;
}

/* ---- fires ---- */

static bool match_fire(const void *row, const void *context)
{
    const struct record_fire *fire = row;
    const struct store_fire_query *query = context;
    return is_or_any(query->dag_id, fire->dag_id) && (!query->by_outcome || fire->outcome == query->outcome) &&
           (!query->to_ms || (fire->from_ms >= query->from_ms && fire->from_ms <= query->to_ms));
}

int store_memory_fires(struct store *head, const struct store_fire_query *query, struct arena *arena,
                       struct store_fires *ret_fires, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const void **found;
    size_t count = take_page(&store->fires, 0, store->fires.count, &query->page, match_fire, query, arena, &found);
    struct record_fire *items = arena_array(arena, count, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = *(const struct record_fire *)found[i];
    *ret_fires = (struct store_fires){items, count};
    store_memory_leave(store);
    return 0;
}

/* ---- ids ---- */

static void format_hex(struct uuid id, char text[33])
{
    for (int i = 0; i < 16; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id.bytes[i]);
}

int store_memory_ids(struct store *head, enum store_id_kind kind, const char *hex, size_t max, struct arena *arena,
                     struct store_ids *ret_ids, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    const struct memory_rows *const all[STORE_ID_KIND_COUNT] = {
        [STORE_ID_DAG] = &store->dags, [STORE_ID_RUN] = &store->runs, [STORE_ID_LETTER] = &store->letters};
    const struct memory_rows *rows = all[kind];
    size_t len = strlen(hex), looked = 0;
    *ret_ids = (struct store_ids){.items = arena_array(arena, max, sizeof(struct uuid))};
    for (size_t i = rows->count; i-- > 0 && ret_ids->count < max;) {
        if (kind == STORE_ID_DAG && ((const struct memory_dag *)rows->items[i])->deleted_ms)
            continue;
        char text[33];
        struct uuid id = *(const struct uuid *)rows->items[i];
        format_hex(id, text);
        bool ends = looked++ < STORE_SUFFIX_SEARCH_MAX && strcmp(text + 32 - len, hex) == 0;
        if (ends || strncmp(text, hex, len) == 0)
            ret_ids->items[ret_ids->count++] = id;
    }
    store_memory_leave(store);
    return 0;
}
