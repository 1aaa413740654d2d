/* Readers of DAGs, dead letters, schedules' instants, ids and the store's own state. */
#include <string.h>

#include "store/postgres/pg_model.h"

/* What every reader of a list is made of. */
struct list {
    struct pg_connection *connection;
    struct arena scratch;
    struct buf sql;
    struct pg_values values;
    PGresult *result;
    int code;
    struct error *err;
};

static void begin(struct list *list, struct pg_connection *connection, const char *sql, struct error *err)
{
    *list = (struct list){.connection = connection, .err = err};
    list->values.arena = &list->scratch;
    buf_add_text(&list->sql, sql);
}

/* " AND id < $n": the value was added just before. */
static void demand(struct list *list, const char *what)
{
    buf_printf(&list->sql, " AND %s $%d", what, list->values.count);
}

static void demand_id(struct list *list, const char *what, const struct uuid *id)
{
    if (uuid_is_zero(*id))
        return;
    store_pg_add_id(&list->values, id);
    demand(list, what);
}

static void add_page(struct list *list, const struct store_page *page)
{
    buf_printf(&list->sql, " LIMIT %u OFFSET %u", page->limit, page->offset);
}

/* The rows it found; 0 when it failed. */
static int ask(struct list *list)
{
    list->code = store_pg_query(list->connection, buf_text(&list->sql), &list->values, &list->result, list->err);
    return list->code ? 0 : store_pg_rows(list->connection->store, list->result);
}

static int end(struct list *list)
{
    store_pg_clear(list->connection->store, list->result);
    buf_fini(&list->sql);
    arena_fini(&list->scratch);
    return list->code;
}

/* ---- DAGs ---- */

struct dag_call {
    const struct store_dag_query *query;
    struct arena *arena;
    struct store_dags *ret_dags;
};

static int read_dags(struct pg_connection *connection, void *context, struct error *err)
{
    const struct dag_call *call = context;
    const struct store_dag_query *query = call->query;
    const struct store_pg *store = connection->store;
    struct list list;
    begin(&list, connection,
          "SELECT id, name, version, task_count, cron, timezone, paused, created_ms, updated_ms, deleted_ms, "
          "covered_ms, greatest((extract(epoch FROM clock_timestamp() - resumed_at) * 1000)::bigint, "
          "CASE WHEN resumed_at IS NOT NULL THEN 1 END) FROM dags WHERE true", err);
    demand_id(&list, "id =", &query->id);
    demand_id(&list, "id <", &query->page.before);
    if (!query->deleted)
        buf_add_text(&list.sql, " AND deleted_ms = 0");
    if (query->name) {
        store_pg_add_text(&list.values, query->name);
        demand(&list, "name =");
    }
    if (query->name_part && *query->name_part) {
        store_pg_add_text(&list.values, query->name_part);
        buf_printf(&list.sql, " AND strpos(lower(name), lower($%d COLLATE \"C\")) > 0", list.values.count);
    }
    buf_add_text(&list.sql, " ORDER BY id DESC");
    add_page(&list, &query->page);
    int rows = ask(&list);
    *call->ret_dags = (struct store_dags){arena_array(call->arena, (size_t)rows, sizeof(struct store_dag)),
                                          (size_t)rows};
    for (int i = 0; i < rows; i++)
        call->ret_dags->items[i] = (struct store_dag){
            .id = store_pg_uuid(store, list.result, i, 0),
            .name = store_pg_text(store, list.result, i, 1, call->arena),
            .version = store_pg_u32(store, list.result, i, 2),
            .task_count = store_pg_u32(store, list.result, i, 3),
            .cron = store_pg_text(store, list.result, i, 4, call->arena),
            .timezone = store_pg_text(store, list.result, i, 5, call->arena),
            .paused = store_pg_bool(store, list.result, i, 6),
            .created_ms = store_pg_int(store, list.result, i, 7),
            .updated_ms = store_pg_int(store, list.result, i, 8),
            .deleted_ms = store_pg_int(store, list.result, i, 9),
            .covered_ms = store_pg_int(store, list.result, i, 10),
            .resumed_ago_ms = store_pg_int(store, list.result, i, 11),
        };
    return end(&list);
}

int store_pg_dags(struct store *head, const struct store_dag_query *query, struct arena *arena,
                  struct store_dags *ret_dags, struct error *err)
{
    struct dag_call call = {query, arena, ret_dags};
    return store_pg_read(head, read_dags, &call, err);
}

struct version_call {
    struct uuid dag_id;
    uint32_t version;
    const struct store_page *page;
    struct arena *arena;
    struct store_versions *ret_versions;
    struct buf *ret_source;
};

static int read_versions(struct pg_connection *connection, void *context, struct error *err)
{
    const struct version_call *call = context;
    struct list list;
    begin(&list, connection,
          "SELECT v.version, v.task_count, v.created_ms, octet_length(v.source) FROM dags d JOIN versions v "
          "ON v.dag = d.dag WHERE true", err);
    store_pg_add_id(&list.values, &call->dag_id);
    demand(&list, "d.id =");
    buf_add_text(&list.sql, " ORDER BY v.version DESC");
    add_page(&list, call->page);
    int rows = ask(&list);
    *call->ret_versions = (struct store_versions){
        arena_array(call->arena, (size_t)rows, sizeof(struct store_version)), (size_t)rows};
    for (int i = 0; i < rows; i++)
        call->ret_versions->items[i] = (struct store_version){
            store_pg_u32(connection->store, list.result, i, 0), store_pg_u32(connection->store, list.result, i, 1),
            store_pg_int(connection->store, list.result, i, 2),
            (uint64_t)store_pg_int(connection->store, list.result, i, 3)};
    return end(&list);
}

int store_pg_versions(struct store *head, struct uuid dag_id, const struct store_page *page, struct arena *arena,
                      struct store_versions *ret_versions, struct error *err)
{
    struct version_call call = {.dag_id = dag_id, .page = page, .arena = arena, .ret_versions = ret_versions};
    return store_pg_read(head, read_versions, &call, err);
}

static int read_source(struct pg_connection *connection, void *context, struct error *err)
{
    const struct version_call *call = context;
    struct list list;
    begin(&list, connection, "SELECT v.source FROM dags d JOIN versions v ON v.dag = d.dag WHERE true", err);
    store_pg_add_id(&list.values, &call->dag_id);
    demand(&list, "d.id =");
    if (call->version)
        buf_printf(&list.sql, " AND v.version = %u", call->version);
    else
        buf_add_text(&list.sql, " AND v.version = d.version");
    if (ask(&list) == 1) {
        size_t len;
        const void *source = store_pg_bytes(connection->store, list.result, 0, 0, &list.scratch, &len);
        buf_add(call->ret_source, source, len);
    } else if (!list.code) {
        list.code = error_set(err, ERROR_DAG_NOT_FOUND, "there is no such DAG or no such version of it");
    }
    return end(&list);
}

int store_pg_source(struct store *head, struct uuid dag_id, uint32_t version, struct buf *ret_source,
                    struct error *err)
{
    struct version_call call = {.dag_id = dag_id, .version = version, .ret_source = ret_source};
    return store_pg_read(head, read_source, &call, err);
}

/* ---- dead letters ---- */

struct letter_call {
    const struct store_letter_query *query;
    struct arena *arena;
    struct store_letters *ret_letters;
    struct store_letter_stats *ret_stats;
};

static bool take_letter(const struct store_pg *store, const PGresult *result, int row, struct arena *arena,
                        struct store_letter *ret_letter)
{
    const char *error_type = store_pg_text(store, result, row, 7, arena);
    const char *resolution = store_pg_text(store, result, row, 11, arena);
    *ret_letter = (struct store_letter){
        .letter =
            {
                .id = store_pg_uuid(store, result, row, 0),
                .run_id = store_pg_uuid(store, result, row, 1),
                .dag_id = store_pg_uuid(store, result, row, 2),
                .task = store_pg_u32(store, result, row, 3),
                .task_id = store_pg_text(store, result, row, 4, arena),
                .task_name = store_pg_text(store, result, row, 5, arena),
                .dag_name = store_pg_text(store, result, row, 6, arena),
                .error = store_pg_text(store, result, row, 8, arena),
                .attempts = store_pg_u32(store, result, row, 9),
                .created_ms = store_pg_int(store, result, row, 10),
                .config = store_pg_text(store, result, row, 16, arena),
            },
        .resolved_run_id = store_pg_uuid(store, result, row, 12),
        .resolved_ms = store_pg_int(store, result, row, 13),
        .resolved_by = store_pg_text(store, result, row, 14, arena),
        .notes = store_pg_text(store, result, row, 15, arena),
    };
    return (!error_type || state_failure_parse(error_type, &ret_letter->letter.error_type)) && resolution &&
           state_resolution_parse(resolution, &ret_letter->resolution);
}

static int read_letters(struct pg_connection *connection, void *context, struct error *err)
{
    const struct letter_call *call = context;
    const struct store_letter_query *query = call->query;
    struct list list;
    begin(&list, connection,
          "SELECT id, run_id, dag_id, task, task_id, task_name, dag_name, error_type, error, attempts, created_ms, "
          "resolution, resolved_run, resolved_ms, resolved_by, notes, config FROM letters WHERE true", err);
    demand_id(&list, "id =", &query->id);
    demand_id(&list, "id <", &query->page.before);
    demand_id(&list, "run_id =", &query->run_id);
    demand_id(&list, "dag_id =", &query->dag_id);
    if (query->by_resolution)
        buf_printf(&list.sql, " AND resolution = '%s'", state_resolution_name(query->resolution));
    buf_add_text(&list.sql, " ORDER BY id DESC");
    add_page(&list, &query->page);
    int rows = ask(&list);
    *call->ret_letters = (struct store_letters){
        arena_array(call->arena, (size_t)rows, sizeof(struct store_letter)), (size_t)rows};
    for (int i = 0; i < rows && !list.code; i++)
        if (!take_letter(connection->store, list.result, i, call->arena, &call->ret_letters->items[i]))
            list.code = store_pg_bad_row("letters", err);
    return end(&list);
}

int store_pg_letters(struct store *head, const struct store_letter_query *query, struct arena *arena,
                     struct store_letters *ret_letters, struct error *err)
{
    struct letter_call call = {.query = query, .arena = arena, .ret_letters = ret_letters};
    return store_pg_read(head, read_letters, &call, err);
}

static int read_stats(struct pg_connection *connection, void *context, struct error *err)
{
    const struct letter_call *call = context;
    const struct store_pg *store = connection->store;
    struct list list;
    begin(&list, connection,
          "SELECT resolution, count(*), (SELECT created_ms FROM letters WHERE resolution = 'pending' ORDER BY id "
          "LIMIT 1) FROM letters GROUP BY resolution", err);
    int rows = ask(&list);
    *call->ret_stats = (struct store_letter_stats){0};
    for (int i = 0; i < rows && !list.code; i++) {
        enum resolution resolution;
        const char *name = store_pg_text(store, list.result, i, 0, &list.scratch);
        if (!state_resolution_parse(name, &resolution)) {
            list.code = store_pg_bad_row("letters", err);
            break;
        }
        call->ret_stats->counts[resolution] = (uint64_t)store_pg_int(store, list.result, i, 1);
        call->ret_stats->oldest_pending_ms = store_pg_int(store, list.result, i, 2);
    }
    return end(&list);
}

int store_pg_letter_stats(struct store *head, struct store_letter_stats *ret_stats, struct error *err)
{
    struct letter_call call = {.ret_stats = ret_stats};
    return store_pg_read(head, read_stats, &call, err);
}

/* ---- instants of schedules ---- */

struct fire_call {
    const struct store_fire_query *query;
    struct arena *arena;
    struct store_fires *ret_fires;
};

static bool take_fire(const struct store_pg *store, const PGresult *result, int row, struct arena *arena,
                      struct record_fire *ret_fire)
{
    const char *trigger = store_pg_text(store, result, row, 2, arena);
    const char *outcome = store_pg_text(store, result, row, 6, arena);
    const char *reason = store_pg_text(store, result, row, 7, arena);
    *ret_fire = (struct record_fire){
        .id = store_pg_uuid(store, result, row, 0),
        .dag_id = store_pg_uuid(store, result, row, 1),
        .from_ms = store_pg_int(store, result, row, 3),
        .to_ms = store_pg_int(store, result, row, 4),
        .count = store_pg_u32(store, result, row, 5),
        .run_id = store_pg_uuid(store, result, row, 8),
        .created_ms = store_pg_int(store, result, row, 9),
        .parallel = store_pg_u32(store, result, row, 10),
    };
    return trigger && state_trigger_parse(trigger, &ret_fire->trigger) && outcome &&
           state_fire_parse(outcome, &ret_fire->outcome) &&
           (!reason || state_fire_reason_parse(reason, &ret_fire->reason));
}

static int read_fires(struct pg_connection *connection, void *context, struct error *err)
{
    const struct fire_call *call = context;
    const struct store_fire_query *query = call->query;
    struct list list;
    begin(&list, connection,
          "SELECT f.id, d.id, f.triggered_by, f.from_ms, f.to_ms, f.count, f.outcome, f.reason, f.run, f.created_ms, "
          "f.parallel FROM fires f JOIN dags d ON d.dag = f.dag WHERE true", err);
    demand_id(&list, "f.id <", &query->page.before);
    if (!uuid_is_zero(query->dag_id)) {
        store_pg_add_id(&list.values, &query->dag_id);
        buf_printf(&list.sql, " AND f.dag = (SELECT dag FROM dags WHERE id = $%d)", list.values.count);
    }
    if (query->by_outcome)
        buf_printf(&list.sql, " AND f.outcome = '%s'", state_fire_name(query->outcome));
    if (query->to_ms)
        buf_printf(&list.sql, " AND f.from_ms BETWEEN %lld AND %lld", (long long)query->from_ms,
                   (long long)query->to_ms);
    buf_add_text(&list.sql, " ORDER BY f.id DESC");
    add_page(&list, &query->page);
    int rows = ask(&list);
    *call->ret_fires = (struct store_fires){arena_array(call->arena, (size_t)rows, sizeof(struct record_fire)),
                                            (size_t)rows};
    for (int i = 0; i < rows && !list.code; i++)
        if (!take_fire(connection->store, list.result, i, call->arena, &call->ret_fires->items[i]))
            list.code = store_pg_bad_row("fires", err);
    return end(&list);
}

int store_pg_fires(struct store *head, const struct store_fire_query *query, struct arena *arena,
                   struct store_fires *ret_fires, struct error *err)
{
    struct fire_call call = {query, arena, ret_fires};
    return store_pg_read(head, read_fires, &call, err);
}

/* ---- ids ---- */

struct id_call {
    enum store_id_kind kind;
    const char *hex;
    size_t max;
    struct arena *arena;
    struct store_ids *ret_ids;
};

/* The smallest and the largest id that start with the digits. */
static void add_prefix_range(struct pg_values *values, const char *hex)
{
    char text[2][33];
    size_t len = strlen(hex);
    for (int high = 0; high < 2; high++) {
        memset(text[high], high ? 'f' : '0', 32);
        memcpy(text[high], hex, len < 32 ? len : 32);
        text[high][32] = '\0';
        store_pg_add_text(values, arena_strdup(values->arena, text[high])); /* the server reads it without dashes too */
    }
}

static int read_ids(struct pg_connection *connection, void *context, struct error *err)
{
    static const struct {
        const char *starts, *newest;
    } from[STORE_ID_KIND_COUNT] = {
        [STORE_ID_DAG] = {"SELECT id FROM dags WHERE deleted_ms = 0 AND id BETWEEN $1 AND $2",
                          "SELECT id FROM dags WHERE deleted_ms = 0"},
        [STORE_ID_RUN] = {"SELECT id FROM active_runs WHERE id BETWEEN $1 AND $2 UNION ALL SELECT id FROM runs "
                          "WHERE id BETWEEN $1 AND $2",
                          "SELECT id FROM active_runs UNION ALL SELECT id FROM runs"},
        [STORE_ID_LETTER] = {"SELECT id FROM letters WHERE id BETWEEN $1 AND $2", "SELECT id FROM letters"},
    };
    const struct id_call *call = context;
    struct list list;
    begin(&list, connection, "", err);
    add_prefix_range(&list.values, call->hex);
    store_pg_add_text(&list.values, call->hex);
    buf_printf(&list.sql,
               "SELECT DISTINCT id FROM ((SELECT id FROM (%s) p ORDER BY id DESC LIMIT %zu) UNION ALL "
               "(SELECT id FROM (SELECT id FROM (%s) a ORDER BY id DESC LIMIT %d) n "
               "WHERE right(replace(id::text, '-', ''), length($3::text)) = $3)) u ORDER BY id DESC LIMIT %zu",
               from[call->kind].starts, call->max, from[call->kind].newest, (int)STORE_SUFFIX_SEARCH_MAX, call->max);
    int rows = ask(&list);
    *call->ret_ids = (struct store_ids){arena_array(call->arena, (size_t)rows, sizeof(struct uuid)), (size_t)rows};
    for (int i = 0; i < rows; i++)
        call->ret_ids->items[i] = store_pg_uuid(connection->store, list.result, i, 0);
    return end(&list);
}

int store_pg_ids(struct store *head, enum store_id_kind kind, const char *hex, size_t max, struct arena *arena,
                 struct store_ids *ret_ids, struct error *err)
{
    struct id_call call = {kind, hex, max, arena, ret_ids};
    return store_pg_read(head, read_ids, &call, err);
}

/* ---- the store itself ---- */

static int read_status(struct pg_connection *connection, void *context, struct error *err)
{
    struct store_status *status = context;
    struct list list;
    begin(&list, connection,
          "SELECT (SELECT count(*) FROM dags WHERE deleted_ms = 0), (SELECT count(*) FROM active_runs), "
          "(SELECT count(*) FROM letters WHERE resolution = 'pending'), pg_database_size(current_database())", err);
    if (ask(&list) == 1) {
        status->dags = (uint64_t)store_pg_int(connection->store, list.result, 0, 0);
        status->active_runs = (uint64_t)store_pg_int(connection->store, list.result, 0, 1);
        status->letters_pending = (uint64_t)store_pg_int(connection->store, list.result, 0, 2);
        status->store_bytes = store_pg_int(connection->store, list.result, 0, 3);
    }
    return end(&list);
}

/* Answers without a connection too: then the numbers are zero and the room says so. */
int store_pg_status(struct store *head, struct store_status *ret_status, struct error *err)
{
    struct store_pg *store = (struct store_pg *)head;
    struct error why = {0};
    *ret_status = (struct store_status){
        .kind = "postgresql",
        .failed = store->broken,
        .durability = store->durability,
        .epoch = head->epoch,
        .free_bytes = -1,
    };
    int code = store_pg_read(head, read_status, ret_status, &why);
    ret_status->room = code == ERROR_STORE_AWAY ? STORE_ROOM_AWAY : head->room;
    if (code && code != ERROR_STORE_AWAY && err)
        *err = why;
    return code == ERROR_STORE_AWAY ? 0 : code;
}

static int read_nothing(struct pg_connection *connection, void *context, struct error *err)
{
    (void)context;
    return store_pg_query(connection, "SELECT 1", NULL, NULL, err);
}

int store_pg_ping(struct store *head, struct error *err)
{
    return store_pg_read(head, read_nothing, NULL, err);
}
