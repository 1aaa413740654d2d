/* Instants of schedules (G9): the store is the judge of what is covered. */
#include "store/conformance.h"

#include "base/mem.h"
#include "dag/dag.h"

enum { MINUTE = 60000 };

static struct record_fire *put_fire(struct suite *suite, struct batch *batch, uint32_t group, struct uuid dag,
                                    int64_t from_ms, enum fire_outcome outcome)
{
    struct record_fire *row = &record_add(batch, RECORD_FIRE, group)->fire;
    *row = (struct record_fire){.id = suite_id(suite), .dag_id = dag, .trigger = TRIGGER_SCHEDULE,
                                .from_ms = from_ms, .to_ms = from_ms, .count = 1, .outcome = outcome,
                                .created_ms = suite->now_ms};
    return row;
}

static struct verdict commit_one(struct suite *suite, struct batch *batch)
{
    suite_commit(suite, batch);
    struct verdict verdict = batch->verdicts[batch->group_count - 1];
    record_batch_free(batch);
    return verdict;
}

/* A fire and its run, in one group. */
static struct verdict fire(struct suite *suite, struct uuid dag, int64_t time_ms, struct uuid run)
{
    struct batch *batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    put_fire(suite, batch, group, dag, time_ms, FIRE_FIRED)->run_id = run;
    put_run(suite, batch, group, run, dag)->run.scheduled_ms = time_ms;
    return commit_one(suite, batch);
}

static void assert_refused(struct verdict verdict, enum error_code code)
{
    assert_true(verdict.refused);
    assert_int_equal(verdict.code, code);
}

static struct store_fires list(struct suite *suite, struct store_fire_query query)
{
    struct store_fires fires;
    query.page.limit = query.page.limit ? query.page.limit : 100;
    assert_int_equal(store_list_fires(suite->store, &query, &suite->arena, &fires, NULL), 0);
    return fires;
}

static void test_once(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), other = suite_make_dag(suite, "b");
    int64_t first = suite_dag(suite, dag).covered_ms + MINUTE;
    assert_int_equal(suite_dag(suite, dag).covered_ms, suite_dag(suite, dag).created_ms);
    struct uuid run = suite_id(suite), second = suite_id(suite);
    struct store_run found;
    assert_false(fire(suite, dag, first, run).refused);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(suite_dag(suite, dag).covered_ms, first);
        assert_int_equal(suite_run(suite, run).run.scheduled_ms, first);
        assert_refused(fire(suite, dag, first, second), ERROR_ALREADY_FIRED);
        assert_refused(fire(suite, dag, first - 1, second), ERROR_ALREADY_FIRED);
        assert_int_equal(store_get_run(suite->store, second, &suite->arena, &found, NULL), ERROR_RUN_NOT_FOUND);
        suite_reopen(suite);
    }
    assert_false(fire(suite, other, first, suite_id(suite)).refused);
    assert_false(fire(suite, dag, first + 1, second).refused);
    suite_end_run(suite, run, dag, RUN_SUCCEEDED);
    assert_int_equal(suite_run(suite, run).run.scheduled_ms, first);
    assert_refused(fire(suite, suite_id(suite), first, suite_id(suite)), ERROR_DAG_NOT_FOUND);
}

/* The second of two in one batch meets what the first has written. */
static void test_once_in_a_batch(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a");
    int64_t first = suite_dag(suite, dag).covered_ms + MINUTE;
    struct batch *batch = suite_batch(suite);
    for (int i = 0; i < 2; i++) {
        struct record_fire *row = put_fire(suite, batch, record_add_group(batch), dag, first + i, FIRE_SKIPPED);
        row->to_ms = first + 5;
        row->count = 3;
        row->reason = FIRE_MISSED;
    }
    suite_commit(suite, batch);
    assert_false(batch->verdicts[0].refused);
    assert_refused(batch->verdicts[1], ERROR_ALREADY_FIRED);
    record_batch_free(batch);
    assert_int_equal(suite_dag(suite, dag).covered_ms, first + 5);
}

/* A stretch that is skipped and an instant behind it, decided behind behind_ms, in one batch. */
static struct batch *put_stretch(struct suite *suite, struct uuid dag, int64_t behind_ms, int64_t from_ms)
{
    struct batch *batch = suite_batch(suite);
    struct record_fire *row = put_fire(suite, batch, record_add_group(batch), dag, from_ms, FIRE_SKIPPED);
    row->behind_ms = behind_ms;
    row->to_ms = from_ms + 3 * MINUTE;
    row->count = 4;
    row->reason = FIRE_MISSED;
    row = put_fire(suite, batch, record_add_group(batch), dag, from_ms + 4 * MINUTE, FIRE_QUEUED);
    row->behind_ms = from_ms + 3 * MINUTE;
    suite_commit(suite, batch);
    return batch;
}

/* The first of the stretch is covered already: what comes behind the stretch would leave the others out. */
static void test_none_is_left_out(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a");
    int64_t first = suite_dag(suite, dag).covered_ms + MINUTE;
    assert_false(fire(suite, dag, first, suite_id(suite)).refused);
    struct batch *batch = put_stretch(suite, dag, first - MINUTE, first);
    assert_refused(batch->verdicts[0], ERROR_ALREADY_FIRED);
    assert_refused(batch->verdicts[1], ERROR_ALREADY_FIRED);
    assert_int_equal(batch->verdicts[0].covered_ms, first);
    assert_int_equal(batch->verdicts[1].covered_ms, first);
    record_batch_free(batch);
    assert_int_equal(suite_dag(suite, dag).covered_ms, first);
    batch = put_stretch(suite, dag, first - MINUTE, first + MINUTE); /* more is covered, but nothing twice */
    assert_false(batch->verdicts[0].refused || batch->verdicts[1].refused);
    record_batch_free(batch);
    assert_int_equal(suite_dag(suite, dag).covered_ms, first + 5 * MINUTE);
}

static void test_fields_and_lists(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), other = suite_make_dag(suite, "b"), ids[FIRE_REASON_COUNT];
    int64_t first = suite_dag(suite, other).covered_ms + MINUTE;
    struct uuid run = suite_id(suite);
    for (int reason = FIRE_MISSED; reason < FIRE_REASON_COUNT; reason++) {
        struct batch *batch = suite_batch(suite);
        struct record_fire *row =
            put_fire(suite, batch, record_add_group(batch), dag, first + reason * 10 * MINUTE, FIRE_SKIPPED);
        row->to_ms += 5 * MINUTE;
        row->count = 6;
        row->reason = (enum fire_reason)reason;
        row->run_id = reason == FIRE_OVERLAP ? run : (struct uuid){{0}};
        ids[reason] = row->id;
        assert_false(commit_one(suite, batch).refused);
    }
    assert_false(fire(suite, other, first, run).refused);
    for (int life = 0; life < 2; life++) {
        struct store_fires fires = list(suite, (struct store_fire_query){.dag_id = dag});
        assert_int_equal(fires.count, FIRE_REASON_COUNT - 1);
        for (int i = 0; i < FIRE_REASON_COUNT - 1; i++) {
            int reason = FIRE_REASON_COUNT - 1 - i;
            const struct record_fire *row = &fires.items[i];
            assert_uuid(row->id, ids[reason]);
            assert_uuid(row->dag_id, dag);
            assert_int_equal(row->trigger, TRIGGER_SCHEDULE);
            assert_int_equal(row->from_ms, first + reason * 10 * MINUTE);
            assert_int_equal(row->to_ms, row->from_ms + 5 * MINUTE);
            assert_int_equal(row->count, 6);
            assert_int_equal(row->outcome, FIRE_SKIPPED);
            assert_int_equal(row->reason, reason);
            assert_int_equal(row->parallel, 0);
            assert_int_equal(uuid_is_zero(row->run_id), reason != FIRE_OVERLAP);
            assert_int_equal(row->created_ms, suite->now_ms);
        }
        fires = list(suite, (struct store_fire_query){.by_outcome = true, .outcome = FIRE_FIRED});
        assert_int_equal(fires.count, 1);
        assert_uuid(fires.items[0].run_id, run);
        fires = list(suite, (struct store_fire_query){.dag_id = dag, .page = {.limit = 2, .offset = 1}});
        assert_int_equal(fires.count, 2);
        assert_uuid(fires.items[0].id, ids[FIRE_REASON_COUNT - 2]);
        fires = list(suite, (struct store_fire_query){.dag_id = dag, .page.before = ids[FIRE_PAUSED]});
        assert_int_equal(fires.count, 1);
        fires = list(suite, (struct store_fire_query){.dag_id = dag,
                                                      .from_ms = first + FIRE_PAUSED * 10 * MINUTE,
                                                      .to_ms = first + FIRE_OVERLAP * 10 * MINUTE});
        assert_int_equal(fires.count, 2);
        assert_uuid(fires.items[1].id, ids[FIRE_PAUSED]);
        assert_int_equal(list(suite, (struct store_fire_query){.dag_id = suite_id(suite)}).count, 0);
        suite_reopen(suite);
    }
}

static struct verdict release(struct suite *suite, struct uuid id, struct uuid dag, struct uuid run,
                              enum trigger trigger)
{
    struct batch *batch = suite_batch(suite);
    uint32_t group = record_add_group(batch);
    struct record_fire *row = &record_add(batch, RECORD_FIRE_RELEASE, group)->fire;
    row->id = id;
    row->dag_id = dag;
    row->trigger = trigger;
    row->run_id = run;
    (void)put_run(suite, batch, group, run, dag);
    return commit_one(suite, batch);
}

static void test_queue(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), run = suite_id(suite), ids[2];
    int64_t first = suite_dag(suite, dag).covered_ms + MINUTE;
    const struct store_fire_query queued = {.by_outcome = true, .outcome = FIRE_QUEUED};
    for (int i = 0; i < 2; i++) {
        struct batch *batch = suite_batch(suite);
        ids[i] = put_fire(suite, batch, record_add_group(batch), dag, first + i * MINUTE, FIRE_QUEUED)->id;
        assert_false(commit_one(suite, batch).refused);
    }
    suite_reopen(suite);
    assert_int_equal(list(suite, queued).count, 2);
    assert_false(release(suite, ids[0], dag, run, TRIGGER_SCHEDULE).refused);
    assert_refused(release(suite, ids[0], dag, suite_id(suite), TRIGGER_SCHEDULE), ERROR_ALREADY_FIRED);
    assert_refused(release(suite, suite_id(suite), dag, suite_id(suite), TRIGGER_SCHEDULE), ERROR_ALREADY_FIRED);
    struct store_fires fires = list(suite, queued);
    assert_int_equal(fires.count, 1);
    assert_uuid(fires.items[0].id, ids[1]);
    fires = list(suite, (struct store_fire_query){.dag_id = dag, .by_outcome = true, .outcome = FIRE_FIRED});
    assert_int_equal(fires.count, 1);
    assert_uuid(fires.items[0].run_id, run);

    /* the DAG goes: what waits will not be fired */
    suite_end_run(suite, run, dag, RUN_SUCCEEDED);
    struct batch *batch = suite_batch(suite);
    (void)put_dag(suite, batch, RECORD_DAG_DELETE, record_add_group(batch), dag);
    assert_false(commit_one(suite, batch).refused);
    assert_int_equal(list(suite, queued).count, 0);
    fires = list(suite, (struct store_fire_query){.dag_id = dag});
    assert_int_equal(fires.items[0].outcome, FIRE_SKIPPED);
    assert_int_equal(fires.items[0].reason, FIRE_DAG_DELETED);
    assert_int_equal(fires.items[1].outcome, FIRE_FIRED);
    assert_refused(release(suite, ids[1], dag, suite_id(suite), TRIGGER_SCHEDULE), ERROR_DAG_NOT_FOUND);
}

enum { PARALLEL = 7 };

static struct verdict backfill(struct suite *suite, struct uuid dag, int64_t time_ms, bool again)
{
    struct batch *batch = suite_batch(suite);
    struct record_fire *row = put_fire(suite, batch, record_add_group(batch), dag, time_ms, FIRE_QUEUED);
    row->trigger = TRIGGER_BACKFILL;
    row->again = again;
    row->parallel = PARALLEL;
    return commit_one(suite, batch);
}

/* A backfill fires what was skipped, and what was fired only when it is told to. */
static void test_backfill(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a");
    int64_t covered = suite_dag(suite, dag).covered_ms, past = covered - 100LL * MINUTE;
    assert_false(backfill(suite, dag, past, false).refused);
    assert_int_equal(suite_dag(suite, dag).covered_ms, covered);
    suite_reopen(suite);
    assert_refused(backfill(suite, dag, past, false), ERROR_ALREADY_FIRED);
    assert_refused(backfill(suite, dag, past, true), ERROR_ALREADY_FIRED); /* it waits */
    struct record_fire row = list(suite, (struct store_fire_query){.dag_id = dag}).items[0];
    assert_int_equal(row.parallel, PARALLEL);
    assert_false(release(suite, row.id, dag, suite_id(suite), TRIGGER_BACKFILL).refused);
    assert_refused(backfill(suite, dag, past, false), ERROR_ALREADY_FIRED);
    assert_false(backfill(suite, dag, past, true).refused);
    assert_false(fire(suite, dag, covered + MINUTE, suite_id(suite)).refused);
    assert_refused(backfill(suite, dag, covered + MINUTE, false), ERROR_ALREADY_FIRED);
}

/* A schedule that is new begins with its version; another text of the DAG changes nothing. */
static void test_covered_by_versions(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a");
    int64_t covered = suite_dag(suite, dag).covered_ms;
    static const char *const schedules[] = {"'0 1 * * *'", "{cron: '0 1 * * *', catchup: all}",
                                            "{cron: '0 1 * * *', timezone: Europe/Berlin}", NULL};
    static const bool begins[] = {true, false, true, true};
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        int64_t now_ms = suite_tick(suite);
        struct dag *version = suite_read_dag(1, schedules[i]);
        struct batch *batch = suite_batch(suite);
        struct record_dag *row = &put_dag(suite, batch, RECORD_DAG_UPDATE, record_add_group(batch), dag)->dag;
        dag_unref(row->dag);
        row->dag = version;
        assert_false(commit_one(suite, batch).refused);
        covered = begins[i] ? now_ms : covered;
        assert_int_equal(suite_dag(suite, dag).covered_ms, covered);
    }
}

static void pause_dag(struct suite *suite, struct uuid dag, bool paused)
{
    struct batch *batch = suite_batch(suite);
    put_dag(suite, batch, RECORD_DAG_PAUSE, record_add_group(batch), dag)->dag.paused = paused;
    assert_false(commit_one(suite, batch).refused);
}

static struct verdict skip_one(struct suite *suite, struct uuid dag, int64_t time_ms, enum fire_reason reason)
{
    struct batch *batch = suite_batch(suite);
    put_fire(suite, batch, record_add_group(batch), dag, time_ms, FIRE_SKIPPED)->reason = reason;
    return commit_one(suite, batch);
}

/* While a DAG is paused its schedule decides nothing but that; backfills go on. */
static void test_paused(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), other = suite_make_dag(suite, "b");
    int64_t first = suite_dag(suite, dag).covered_ms + MINUTE;
    struct batch *batch = suite_batch(suite);
    struct uuid id = put_fire(suite, batch, record_add_group(batch), dag, first, FIRE_QUEUED)->id;
    assert_false(commit_one(suite, batch).refused);
    pause_dag(suite, dag, true);
    for (int life = 0; life < 2; life++) {
        assert_refused(fire(suite, dag, first + MINUTE, suite_id(suite)), ERROR_PRECONDITION_FAILED);
        assert_refused(skip_one(suite, dag, first + MINUTE, FIRE_OVERLAP), ERROR_PRECONDITION_FAILED);
        assert_refused(release(suite, id, dag, suite_id(suite), TRIGGER_SCHEDULE), ERROR_PRECONDITION_FAILED);
        assert_int_equal(suite_dag(suite, dag).covered_ms, first);
        suite_reopen(suite);
    }
    assert_false(fire(suite, other, first + MINUTE, suite_id(suite)).refused);
    assert_false(backfill(suite, dag, first - 100LL * MINUTE, false).refused);
    assert_false(skip_one(suite, dag, first + MINUTE, FIRE_PAUSED).refused);
    pause_dag(suite, dag, false);
    assert_false(release(suite, id, dag, suite_id(suite), TRIGGER_SCHEDULE).refused);
    assert_false(fire(suite, dag, first + 2LL * MINUTE, suite_id(suite)).refused);
}

const struct conformance_test conformance_fires[] = {
    {"once", test_once},
    {"once_in_a_batch", test_once_in_a_batch},
    {"none_is_left_out", test_none_is_left_out},
    {"fields_and_lists", test_fields_and_lists},
    {"queue", test_queue},
    {"backfill", test_backfill},
    {"covered_by_versions", test_covered_by_versions},
    {"paused", test_paused},
    {NULL, NULL},
};
