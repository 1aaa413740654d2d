/* Readers of DAGs, dead letters, ids and the store's own state. */
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

/* ---- DAGs ---- */

static int find_dag(struct sqlite_connection *connection, const struct uuid *id, struct arena *arena,
                    struct store_dag *ret_dag, bool *ret_found, struct error *err)
{
    sqlite3_stmt *get = store_sqlite_prepare(connection, SQL_DAG, err);
    if (!get)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(get, 1, id);
    int code = store_sqlite_step(connection, get, ret_found, err);
    if (!*ret_found)
        return code;
    *ret_dag = (struct store_dag){
        .id = store_sqlite_uuid(get, 0),
        .name = store_sqlite_text(get, 1, arena),
        .version = store_sqlite_u32(get, 2),
        .task_count = store_sqlite_u32(get, 3),
        .cron = store_sqlite_text(get, 4, arena),
        .timezone = store_sqlite_text(get, 5, arena),
        .paused = sqlite3_column_int(get, 6) != 0,
        .created_ms = sqlite3_column_int64(get, 7),
        .updated_ms = sqlite3_column_int64(get, 8),
        .deleted_ms = sqlite3_column_int64(get, 9),
        .covered_ms = sqlite3_column_int64(get, 10),
    };
    (void)sqlite3_reset(get);
    return 0;
}

static int fetch_dag(struct sqlite_connection *connection, const struct uuid *id, struct arena *arena,
                     struct store_dag *ret_dag, struct error *err)
{
    bool found = false;
    int code = find_dag(connection, id, arena, ret_dag, &found, err);
    return code || found ? code : store_sqlite_bad_row(connection, "dags", err);
}

/* What most requests begin with: no list of ids is needed for it, and what is known no statement. */
static bool asks_for_one(const struct store_dag_query *query)
{
    return !uuid_is_zero(query->id) && uuid_is_zero(query->page.before) && query->page.offset == 0
        && query->page.limit && query->deleted && !query->name && !query->name_part;
}

static int read_one(struct store *head, struct uuid id, struct arena *arena, struct store_dags *ret_dags,
                    struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    struct sqlite_connection *connection;
    bool found = false;
    *ret_dags = (struct store_dags){.items = arena_array(arena, 1, sizeof(struct store_dag))};
    int code = store_sqlite_alive(store, false, err);
    if (code)
        return code;
    ret_dags->count = store_sqlite_known_get(&store->known, id, arena, &ret_dags->items[0]);
    if (ret_dags->count)
        return 0;
    uint64_t generation = store_sqlite_known_generation(&store->known);
    code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    code = store_sqlite_leave(connection, find_dag(connection, &id, arena, &ret_dags->items[0], &found, err));
    if (!code && found)
        store_sqlite_known_put(&store->known, generation, &ret_dags->items[0]);
    ret_dags->count = found;
    return code;
}

static int read_dags(struct sqlite_connection *connection, const struct store_dag_query *query, struct arena *arena,
                     struct store_dags *ret_dags, struct error *err)
{
    struct store_ids ids;
    const struct sqlite_range range = store_sqlite_range(query->page.before, query->id);
    sqlite3_stmt *list = store_sqlite_prepare(connection, query->name ? SQL_IDS_DAG_NAME : SQL_IDS_DAG, err);
    if (!list)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(list, 3, query->deleted);
    store_sqlite_bind_text(list, 4, query->name_part && *query->name_part ? query->name_part : NULL);
    if (query->name)
        store_sqlite_bind_text(list, 5, query->name);
    int code = store_sqlite_page(connection, &list, 1, &range, query->page.offset, query->page.limit, arena, &ids, err);
    if (code)
        return code;
    *ret_dags = (struct store_dags){arena_array(arena, ids.count, sizeof(struct store_dag)), ids.count};
    for (size_t i = 0; i < ids.count && !code; i++)
        code = fetch_dag(connection, &ids.items[i], arena, &ret_dags->items[i], err);
    return code;
}

int store_sqlite_dags(struct store *head, const struct store_dag_query *query, struct arena *arena,
                      struct store_dags *ret_dags, struct error *err)
{
    struct sqlite_connection *connection;
    if (asks_for_one(query))
        return read_one(head, query->id, arena, ret_dags, err);
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_dags(connection, query, arena, ret_dags, err));
}

static int read_versions(struct sqlite_connection *connection, const struct uuid *dag_id,
                         const struct store_page *page, struct arena *arena, struct store_versions *ret_versions,
                         struct error *err)
{
    bool row = true;
    int code = 0;
    sqlite3_stmt *list = store_sqlite_prepare(connection, SQL_VERSIONS, err);
    if (!list)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(list, 1, dag_id);
    store_sqlite_bind_int(list, 2, page->limit);
    store_sqlite_bind_int(list, 3, page->offset);
    *ret_versions = (struct store_versions){.items = arena_array(arena, page->limit, sizeof(struct store_version))};
    while (!code && (code = store_sqlite_step(connection, list, &row, err)) == 0 && row)
        ret_versions->items[ret_versions->count++] =
            (struct store_version){store_sqlite_u32(list, 0), store_sqlite_u32(list, 1), sqlite3_column_int64(list, 2),
                                   (uint64_t)sqlite3_column_int64(list, 3)};
    return code;
}

int store_sqlite_versions(struct store *head, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                          struct store_versions *ret_versions, struct error *err)
{
    struct sqlite_connection *connection;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_versions(connection, &dag_id, page, arena, ret_versions, err));
}

int store_sqlite_read_source(struct sqlite_connection *connection, int64_t version_row, uint64_t bytes,
                             struct buf *ret_source, struct error *err)
{
    bool row = true;
    int code = 0;
    size_t before = ret_source->len;
    sqlite3_stmt *list = store_sqlite_prepare(connection, SQL_SOURCE, err);
    if (!list)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_int(list, 1, version_row * SQLITE_SOURCE_PARTS_MAX);
    store_sqlite_bind_int(list, 2, (version_row + 1) * SQLITE_SOURCE_PARTS_MAX - 1);
    while (!code && (code = store_sqlite_step(connection, list, &row, err)) == 0 && row) {
        const void *part = sqlite3_column_blob(list, 0);
        buf_add(ret_source, part, (size_t)sqlite3_column_bytes(list, 0));
    }
    if (!code && ret_source->len - before != bytes)
        code = store_sqlite_bad_row(connection, "sources", err);
    return code;
}

static int read_version(struct sqlite_connection *connection, const struct uuid *dag_id, uint32_t version,
                        struct buf *ret_source, struct error *err)
{
    bool row = false;
    sqlite3_stmt *find = store_sqlite_prepare(connection, SQL_VERSION, err);
    if (!find)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(find, 1, dag_id);
    store_sqlite_bind_int(find, 2, version);
    int code = store_sqlite_step(connection, find, &row, err);
    if (code)
        return code;
    if (!row)
        return error_set(err, ERROR_DAG_NOT_FOUND, "there is no such DAG or no such version of it");
    int64_t version_row = sqlite3_column_int64(find, 0);
    uint64_t bytes = (uint64_t)sqlite3_column_int64(find, 1);
    (void)sqlite3_reset(find);
    return store_sqlite_read_source(connection, version_row, bytes, ret_source, err);
}

int store_sqlite_source(struct store *head, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                        struct error *err)
{
    struct sqlite_connection *connection;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_version(connection, &dag_id, version, ret_source, err));
}

/* ---- dead letters ---- */

static int fetch_letter(struct sqlite_connection *connection, const struct uuid *id, struct arena *arena,
                        struct store_letter *ret_letter, struct error *err)
{
    bool row = false;
    sqlite3_stmt *get = store_sqlite_prepare(connection, SQL_LETTER, err);
    if (!get)
        return ERROR_STORE_FAILED;
    store_sqlite_bind_id(get, 1, id);
    int code = store_sqlite_step(connection, get, &row, err);
    if (!row)
        return code ? code : store_sqlite_bad_row(connection, "letters", err);
    const char *error_type = store_sqlite_text(get, 7, arena), *resolution = store_sqlite_text(get, 11, arena);
    *ret_letter = (struct store_letter){
        .letter =
            {
                .id = store_sqlite_uuid(get, 0),
                .run_id = store_sqlite_uuid(get, 1),
                .dag_id = store_sqlite_uuid(get, 2),
                .task = store_sqlite_u32(get, 3),
                .task_id = store_sqlite_text(get, 4, arena),
                .task_name = store_sqlite_text(get, 5, arena),
                .dag_name = store_sqlite_text(get, 6, arena),
                .error = store_sqlite_text(get, 8, arena),
                .attempts = store_sqlite_u32(get, 9),
                .created_ms = sqlite3_column_int64(get, 10),
                .config = store_sqlite_text(get, 16, arena),
            },
        .resolved_run_id = store_sqlite_uuid(get, 12),
        .resolved_ms = sqlite3_column_int64(get, 13),
        .resolved_by = store_sqlite_text(get, 14, arena),
        .notes = store_sqlite_text(get, 15, arena),
    };
    if ((error_type && !state_failure_parse(error_type, &ret_letter->letter.error_type)) || !resolution ||
        !state_resolution_parse(resolution, &ret_letter->resolution))
        code = store_sqlite_bad_row(connection, "letters", err);
    (void)sqlite3_reset(get);
    return code;
}

static sqlite3_stmt *letter_list(struct sqlite_connection *connection, enum sqlite_statement which,
                                 const struct store_letter_query *query, const char *resolution, struct error *err)
{
    sqlite3_stmt *list = store_sqlite_prepare(connection, which, err);
    if (!list)
        return NULL;
    if (which == SQL_IDS_LETTER_RUN)
        store_sqlite_bind_id(list, 3, &query->run_id);
    if (which != SQL_IDS_LETTER) {
        store_sqlite_bind_uuid(list, 4, &query->dag_id);
        store_sqlite_bind_text(list, 5, resolution);
    }
    return list;
}

/* The lists to merge; see sqlite_read_run.c. */
static int choose_letters(struct sqlite_connection *connection, const struct store_letter_query *query,
                          sqlite3_stmt **statements, size_t *ret_count, struct error *err)
{
    const char *resolution = query->by_resolution ? state_resolution_name(query->resolution) : NULL;
    bool of_run = !uuid_is_zero(query->run_id), of_dag = !uuid_is_zero(query->dag_id);
    size_t count = 1;
    if (of_run) {
        statements[0] = letter_list(connection, SQL_IDS_LETTER_RUN, query, resolution, err);
    } else if (of_dag && !resolution) {
        for (count = 0; count < RESOLUTION_COUNT; count++) {
            statements[count] =
                letter_list(connection, (enum sqlite_statement)(SQL_IDS_LETTER_DAG + count), query,
                            state_resolution_name((enum resolution)count), err);
            if (!statements[count])
                return ERROR_STORE_FAILED;
        }
    } else {
        enum sqlite_statement one = of_dag ? SQL_IDS_LETTER_DAG : resolution ? SQL_IDS_LETTER_STATE : SQL_IDS_LETTER;
        statements[0] = letter_list(connection, one, query, resolution, err);
    }
    *ret_count = count;
    return statements[0] ? 0 : ERROR_STORE_FAILED;
}

static int read_letters(struct sqlite_connection *connection, const struct store_letter_query *query,
                        struct arena *arena, struct store_letters *ret_letters, struct error *err)
{
    sqlite3_stmt *statements[RESOLUTION_COUNT];
    size_t count;
    struct store_ids ids;
    const struct sqlite_range range = store_sqlite_range(query->page.before, query->id);
    int code = choose_letters(connection, query, statements, &count, err);
    if (!code)
        code = store_sqlite_page(connection, statements, count, &range, query->page.offset, query->page.limit, arena,
                                 &ids, err);
    if (code)
        return code;
    *ret_letters = (struct store_letters){arena_array(arena, ids.count, sizeof(struct store_letter)), ids.count};
    for (size_t i = 0; i < ids.count && !code; i++)
        code = fetch_letter(connection, &ids.items[i], arena, &ret_letters->items[i], err);
    return code;
}

int store_sqlite_letters(struct store *head, const struct store_letter_query *query, struct arena *arena,
                         struct store_letters *ret_letters, struct error *err)
{
    struct sqlite_connection *connection;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_letters(connection, query, arena, ret_letters, err));
}

/* Reads one row of a statement without values; the row must be reset. */
static int first_row(struct sqlite_connection *connection, enum sqlite_statement which, sqlite3_stmt **ret_row,
                     bool *ret_has, struct error *err)
{
    *ret_has = false;
    *ret_row = store_sqlite_prepare(connection, which, err);
    return *ret_row ? store_sqlite_step(connection, *ret_row, ret_has, err) : ERROR_STORE_FAILED;
}

static int read_meta(struct sqlite_connection *connection, uint64_t *ret_epoch, struct sqlite_meta *ret_meta,
                     struct error *err)
{
    sqlite3_stmt *row;
    bool has;
    int code = first_row(connection, SQL_META, &row, &has, err);
    if (!has)
        return code ? code : store_sqlite_bad_row(connection, "meta", err);
    *ret_epoch = (uint64_t)sqlite3_column_int64(row, 0);
    *ret_meta = (struct sqlite_meta){.next_base = sqlite3_column_int64(row, 1),
                                     .dags = sqlite3_column_int64(row, 2),
                                     .active_runs = sqlite3_column_int64(row, 3)};
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        ret_meta->letters[i] = sqlite3_column_int64(row, 4 + i);
    (void)sqlite3_reset(row);
    return 0;
}

int store_sqlite_letter_stats(struct store *head, struct store_letter_stats *ret_stats, struct error *err)
{
    struct sqlite_connection *connection;
    struct sqlite_meta meta;
    uint64_t epoch;
    sqlite3_stmt *oldest = NULL;
    bool has = false;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    code = read_meta(connection, &epoch, &meta, err);
    if (!code)
        code = first_row(connection, SQL_LETTER_OLDEST, &oldest, &has, err);
    if (!code) {
        for (int i = 0; i < RESOLUTION_COUNT; i++)
            ret_stats->counts[i] = (uint64_t)meta.letters[i];
        ret_stats->oldest_pending_ms = has ? sqlite3_column_int64(oldest, 0) : 0;
    }
    if (has)
        (void)sqlite3_reset(oldest);
    return store_sqlite_leave(connection, code);
}

/* ---- ids ---- */

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* All ids that start with the digits. */
static struct sqlite_range prefix_range(const char *hex, size_t len)
{
    struct sqlite_range range = {.high = store_sqlite_range((struct uuid){{0}}, (struct uuid){{0}}).high};
    for (size_t i = 0; i < len; i++) {
        unsigned shift = i % 2 ? 0 : 4;
        unsigned digit = (unsigned)hex_digit(hex[i]) << shift, mask = 0xfu << shift;
        range.low.bytes[i / 2] = (uint8_t)(range.low.bytes[i / 2] | digit);
        range.high.bytes[i / 2] = (uint8_t)((range.high.bytes[i / 2] & ~mask) | digit);
    }
    return range;
}

static bool has_suffix(const struct uuid *id, const char *hex, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        size_t place = 32 - len + i;
        int digit = place % 2 ? id->bytes[place / 2] & 15 : id->bytes[place / 2] >> 4;
        if (digit != hex_digit(hex[i]))
            return false;
    }
    return true;
}

static int list_ids(struct sqlite_connection *connection, enum store_id_kind kind, const struct sqlite_range *range,
                    size_t limit, struct arena *arena, struct store_ids *ret_ids, struct error *err)
{
    static const enum sqlite_statement of_kind[STORE_ID_KIND_COUNT] = {
        [STORE_ID_DAG] = SQL_IDS_DAG_LIVE, [STORE_ID_RUN] = SQL_IDS_ENDED, [STORE_ID_LETTER] = SQL_IDS_LETTER};
    sqlite3_stmt *statements[2] = {store_sqlite_prepare(connection, of_kind[kind], err), NULL};
    size_t count = 1;
    if (kind == STORE_ID_RUN) {
        statements[1] = store_sqlite_prepare(connection, SQL_IDS_ACTIVE, err);
        if (!statements[1])
            return ERROR_STORE_FAILED;
        (void)sqlite3_bind_null(statements[1], 3);
        (void)sqlite3_bind_null(statements[1], 4);
        count = 2;
    }
    if (!statements[0])
        return ERROR_STORE_FAILED;
    return store_sqlite_page(connection, statements, count, range, 0, limit, arena, ret_ids, err);
}

static int read_ids(struct sqlite_connection *connection, enum store_id_kind kind, const char *hex, size_t max,
                    struct arena *arena, struct store_ids *ret_ids, struct error *err)
{
    size_t len = strlen(hex), a = 0, b = 0;
    const struct sqlite_range of_prefix = prefix_range(hex, len), all = prefix_range("", 0);
    struct store_ids starts, newest = {0};
    struct arena scratch = {0};
    *ret_ids = (struct store_ids){0};
    int code = list_ids(connection, kind, &of_prefix, max, arena, &starts, err);
    if (!code)
        code = list_ids(connection, kind, &all, STORE_SUFFIX_SEARCH_MAX, &scratch, &newest, err);
    if (!code)
        ret_ids->items = arena_array(arena, max < starts.count + newest.count ? max : starts.count + newest.count,
                                     sizeof(struct uuid));
    while (!code && ret_ids->count < max) {
        while (b < newest.count && !has_suffix(&newest.items[b], hex, len))
            b++;
        if (a == starts.count && b == newest.count)
            break;
        int order = a == starts.count   ? -1
                    : b == newest.count ? 1
                                        : uuid_compare(starts.items[a], newest.items[b]);
        ret_ids->items[ret_ids->count++] = order >= 0 ? starts.items[a] : newest.items[b];
        a += order >= 0;
        b += order <= 0;
    }
    arena_fini(&scratch);
    return code;
}

int store_sqlite_ids(struct store *head, enum store_id_kind kind, const char *hex, size_t max, struct arena *arena,
                     struct store_ids *ret_ids, struct error *err)
{
    struct sqlite_connection *connection;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_ids(connection, kind, hex, max, arena, ret_ids, err));
}

/* ---- the store itself ---- */

static int64_t count_bytes(const struct store_sqlite *store)
{
    static const char *const names[] = {"pawl.db", "pawl.db-wal", "pawl.db-shm", "reserve"};
    int64_t bytes = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct stat status;
        char *path = mem_printf("%s/%s", store->dir, names[i]);
        if (stat(path, &status) == 0)
            bytes += status.st_size;
        mem_free(path);
    }
    return bytes;
}

/* Answers when the store has failed too: then the numbers are zero. */
int store_sqlite_status(struct store *head, struct store_status *ret_status, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    struct sqlite_connection *connection;
    struct sqlite_meta meta = {0};
    struct statvfs space;
    uint64_t epoch = head->epoch;
    int code = 0;
    if (!store->failed) {
        code = store_sqlite_enter(head, &connection, err);
        if (!code)
            code = store_sqlite_leave(connection, read_meta(connection, &epoch, &meta, err));
        if (code && !store->failed)
            return code;
    }
    *ret_status = (struct store_status){
        .kind = "sqlite",
        .room = head->room,
        .failed = store->failed || store->broken,
        .durability = store->durability,
        .epoch = epoch,
        .dags = (uint64_t)meta.dags,
        .active_runs = (uint64_t)meta.active_runs,
        .letters_pending = (uint64_t)meta.letters[RESOLUTION_PENDING],
        .store_bytes = count_bytes(store),
        .free_bytes = -1,
    };
    if (statvfs(store->dir, &space) == 0)
        ret_status->free_bytes = (int64_t)(space.f_bavail * space.f_frsize);
    return 0;
}

int store_sqlite_ping(struct store *head, struct error *err)
{
    struct sqlite_connection *connection;
    struct sqlite_meta meta;
    uint64_t epoch;
    int code = store_sqlite_enter(head, &connection, err);
    if (code)
        return code;
    return store_sqlite_leave(connection, read_meta(connection, &epoch, &meta, err));
}
