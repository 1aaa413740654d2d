/* What became of schedules' instants. dags.covered_ms is the end of what is covered: a record of the schedule must lie
 * behind it and moves it, with the DAG's row locked, so that no instant is covered twice whoever asks; and it must
 * reach to what the record was decided behind, so that none is left out (G9). */
#include "store/postgres/pg_model.h"

static int exists(struct store_pg *store, enum pg_statement statement, const struct pg_values *values, bool *ret_row,
                  struct error *err)
{
    PGresult *result;
    int code = store_pg_run(&store->writer, statement, values, &result, err);
    *ret_row = !code && store_pg_rows(store, result) > 0;
    store_pg_clear(store, result);
    return code;
}

static int was_fired(struct store_pg *store, int64_t dag, const struct record_fire *fire, bool *ret_fired,
                     struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    store_pg_add_int(&values, dag);
    store_pg_add_int(&values, fire->from_ms);
    store_pg_add_bool(&values, fire->again);
    int code = exists(store, PG_FIRE_BEFORE, &values, ret_fired, err);
    arena_fini(&arena);
    return code;
}

static int is_queued(struct store_pg *store, const struct record_fire *fire, bool *ret_queued, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    store_pg_add_id(&values, &fire->id);
    int code = exists(store, PG_FIRE_QUEUED, &values, ret_queued, err);
    arena_fini(&arena);
    return code;
}

/* Of a backfill: the node that leads knows how many of a DAG wait, the others only what they ask for themselves. All
 * instants of a request are in one transaction, which has the DAG's row: there is room for all of them or for none. */
static int judge_room(struct store_pg *store, int64_t dag, const struct record_fire *fire, struct verdict *verdict,
                      struct error *err)
{
    int code = 0;
    if (!uuid_equal(store->asked_dag_id, fire->dag_id)) {
        struct arena arena = {0};
        struct pg_values values = {.arena = &arena};
        PGresult *result;
        store_pg_add_int(&values, dag);
        code = store_pg_run(&store->writer, PG_FIRE_WAITING, &values, &result, err);
        store->asked_count = code ? 0 : store_pg_int(store, result, 0, 0);
        store->asked_dag_id = code ? (struct uuid){{0}} : fire->dag_id;
        store_pg_clear(store, result);
        arena_fini(&arena);
    }
    bool refused = !uuid_is_zero(fire->request) && uuid_equal(store->refused_request, fire->request);
    if (!code && (refused || store->asked_count + (fire->rest ? fire->rest : 1) > LIMIT_BACKFILL_MAX)) {
        store->refused_request = fire->request;
        verdict->refused = true;
        verdict->code = ERROR_FULL;
    }
    store->asked_count += !code && !verdict->refused;
    return code;
}

int store_pg_judge_fire(struct store_pg *store, const struct record *record, struct verdict *verdict,
                        struct error *err)
{
    const struct record_fire *fire = &record->fire;
    struct pg_dag dag;
    bool covered = false;
    int code = store_pg_find_dag(store, &fire->dag_id, true, &dag, err);
    if (code)
        return code;
    if (!dag.dag || dag.deleted) {
        verdict->refused = true;
        verdict->code = ERROR_DAG_NOT_FOUND;
        return 0;
    }
    if (record->kind == RECORD_FIRE_RELEASE) {
        code = is_queued(store, fire, &covered, err);
        covered = !covered;
    } else if (fire->trigger == TRIGGER_SCHEDULE) {
        covered = fire->from_ms <= dag.covered_ms || dag.covered_ms < fire->behind_ms;
        verdict->covered_ms = dag.covered_ms;
    } else {
        code = was_fired(store, dag.dag, fire, &covered, err);
    }
    if (!code && covered) {
        verdict->refused = true;
        verdict->code = ERROR_ALREADY_FIRED;
    } else if (!code && dag.paused && record_fire_is_paused(fire)) {
        verdict->refused = true;
        verdict->code = ERROR_PRECONDITION_FAILED;
    } else if (!code && record->kind == RECORD_FIRE && fire->trigger == TRIGGER_BACKFILL) {
        code = judge_room(store, dag.dag, fire, verdict, err);
    }
    return code;
}

static int write_new(struct store_pg *store, const struct record_fire *fire, struct pg_values *values,
                     struct error *err)
{
    struct pg_dag dag;
    int code = store_pg_find_dag(store, &fire->dag_id, true, &dag, err);
    if (code)
        return code;
    if (fire->to_ms < fire->from_ms)
        return error_set(err, ERROR_INTERNAL, "a fire that ends before it begins");
    store_pg_add_id(values, &fire->id);
    store_pg_add_int(values, dag.dag);
    store_pg_add_text(values, state_trigger_name(fire->trigger));
    store_pg_add_int(values, fire->from_ms);
    store_pg_add_int(values, fire->to_ms);
    store_pg_add_int(values, fire->count);
    store_pg_add_text(values, state_fire_name(fire->outcome));
    store_pg_add_text(values, state_fire_reason_name(fire->reason));
    store_pg_add_uuid(values, &fire->run_id);
    store_pg_add_int(values, fire->created_ms);
    store_pg_add_int(values, fire->parallel);
    code = store_pg_run(&store->writer, PG_FIRE_INSERT, values, NULL, err);
    if (code)
        return code;
    values->count = 0;
    store_pg_add_int(values, dag.dag);
    if (fire->trigger != TRIGGER_SCHEDULE)
        return store_pg_run(&store->writer, PG_FIRE_ASKED, values, NULL, err);
    store_pg_add_int(values, fire->to_ms);
    return store_pg_run(&store->writer, PG_FIRE_COVER, values, NULL, err);
}

int store_pg_write_fire(struct store_pg *store, const struct record *record, struct error *err)
{
    struct arena arena = {0};
    struct pg_values values = {.arena = &arena};
    int code;
    if (record->kind == RECORD_FIRE) {
        code = write_new(store, &record->fire, &values, err);
    } else {
        store_pg_add_id(&values, &record->fire.id);
        store_pg_add_id(&values, &record->fire.run_id);
        code = store_pg_run(&store->writer, PG_FIRE_RELEASE, &values, NULL, err);
    }
    arena_fini(&arena);
    return code;
}
