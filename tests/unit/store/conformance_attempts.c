#include "store/conformance.h"

#include "base/mem.h"

static void assert_attempt(const struct record_attempt *got, const struct record_attempt *wanted)
{
    assert_uuid(got->run_id, wanted->run_id);
    assert_int_equal(got->task, wanted->task);
    assert_int_equal(got->number, wanted->number);
    assert_int_equal(got->fence, wanted->fence);
    assert_uuid(got->worker, wanted->worker);
    assert_int_equal(got->state, wanted->state);
    assert_int_equal(got->error_type, wanted->error_type);
    assert_text(got->error, wanted->error);
    assert_int_equal(got->exit_code, wanted->exit_code);
    assert_int_equal(got->signal, wanted->signal);
    assert_int_equal(got->http_status, wanted->http_status);
    assert_int_equal(got->claimed_ms, wanted->claimed_ms);
    assert_int_equal(got->started_ms, wanted->started_ms);
    assert_int_equal(got->ended_ms, wanted->ended_ms);
    assert_int_equal(got->cpu_us, wanted->cpu_us);
    assert_int_equal(got->max_rss_bytes, wanted->max_rss_bytes);
    assert_int_equal(got->log_bytes, wanted->log_bytes);
    assert_int_equal(got->log_len, wanted->log_len);
    if (wanted->log_len)
        assert_memory_equal(got->log, wanted->log, wanted->log_len);
    assert_int_equal(got->retry_ms, wanted->retry_ms);
}

static struct store_attempts list(struct suite *suite, struct store_attempt_query query)
{
    struct store_attempts attempts;
    assert_int_equal(store_list_attempts(suite->store, &query, &suite->arena, &attempts, NULL), 0);
    return attempts;
}

/* What number n of test_every_field becomes; everything that can be said of an attempt. */
static struct record_attempt end_of(struct suite *suite, const struct record_attempt *claim, size_t n)
{
    struct record_attempt end = *claim;
    end.worker = suite_id(suite);
    end.state = (enum attempt_state)(n % (ATTEMPT_STATE_COUNT - 1) + 1);
    end.error_type = (enum error_type)(n / (ATTEMPT_STATE_COUNT - 1));
    end.error = end.error_type ? "why \xe2\x80\x94 'so'" : NULL;
    end.exit_code = (int32_t)n - 1;
    end.signal = (int32_t)n % 65;
    end.http_status = 100 + (int32_t)n;
    end.started_ms = suite_tick(suite);
    end.ended_ms = suite_tick(suite);
    end.cpu_us = INT64_MAX - (int64_t)n;
    end.max_rss_bytes = (int64_t)n << 40;
    end.log_bytes = (int64_t)n * 1000000007;
    end.log = n % 2 ? "a\0log" : NULL;
    end.log_len = n % 2 ? 5 : 0;
    end.retry_ms = n % 3 ? 0 : suite->now_ms + 5;
    return end;
}

/* Every outcome with every reason, and one that runs. */
static void test_every_field(void **state)
{
    struct suite *suite = *state;
    enum { COUNT = FAILURE_COUNT * (ATTEMPT_STATE_COUNT - 1) + 1 };
    struct record_attempt wanted[COUNT];
    struct uuid run = suite_make_run(suite, suite_make_dag(suite, "a"));
    for (size_t i = 0; i < COUNT; i++) {
        struct batch *batch = suite_batch(suite);
        suite_tick(suite);
        struct record *claim = put_claim(suite, batch, run, (uint32_t)i % SUITE_TASKS, (uint32_t)i / SUITE_TASKS + 1);
        claim->attempt.worker = i % 2 ? suite_id(suite) : (struct uuid){{0}};
        wanted[i] = claim->attempt;
        suite_commit_all(suite, batch);
        if (i == COUNT - 1)
            break;
        batch = suite_batch(suite);
        wanted[i] = end_of(suite, &wanted[i], i);
        record_add(batch, RECORD_ATTEMPT_END, 0)->attempt = wanted[i];
        suite_commit_all(suite, batch);
    }
    for (int life = 0; life < 2; life++) {
        struct store_attempts attempts = list(suite, (struct store_attempt_query){.run_id = run, .with_logs = true});
        assert_int_equal(attempts.count, COUNT);
        size_t place = 0;
        for (uint32_t task = 0; task < SUITE_TASKS; task++)
            for (size_t i = task; i < COUNT; i += SUITE_TASKS)
                assert_attempt(&attempts.items[place++], &wanted[i]);
        suite_reopen(suite);
    }
}

static void test_fences(void **state)
{
    struct suite *suite = *state;
    struct uuid run = suite_make_run(suite, suite_make_dag(suite, "a"));
    static const uint64_t fences[] = {1, UINT64_C(1) << 40 | 1, UINT64_C(0x7fffff) << 40 | 0xffffffffff};
    for (uint32_t i = 0; i < 3; i++) {
        struct batch *batch = suite_batch(suite);
        put_claim(suite, batch, run, i, 1)->attempt.fence = fences[i];
        suite_commit_all(suite, batch);
    }
    struct store_attempts attempts = list(suite, (struct store_attempt_query){.run_id = run});
    assert_int_equal(attempts.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(attempts.items[i].fence, fences[i]);
        struct batch *batch = suite_batch(suite);
        (void)put_end(suite, batch, &attempts.items[i], ATTEMPT_SUCCEEDED);
        suite_commit_all(suite, batch);
    }
}

static void test_withdraw(void **state)
{
    struct suite *suite = *state;
    struct uuid run = suite_make_run(suite, suite_make_dag(suite, "a"));
    struct record_attempt claim = suite_claim(suite, run, 2, 1);
    (void)suite_claim(suite, run, 1, 1);
    struct batch *batch = suite_batch(suite);
    record_add(batch, RECORD_ATTEMPT_WITHDRAW, 0)->attempt = claim;
    suite_commit_all(suite, batch);
    suite_reopen(suite);
    assert_int_equal(suite_count_attempts(suite, run), 1);
    struct record_attempt again = suite_claim(suite, run, 2, 1); /* it never was: its number is free */
    assert_int_not_equal(again.fence, claim.fence);
    batch = suite_batch(suite);
    record_add(batch, RECORD_ATTEMPT_WITHDRAW, 0)->attempt = again;
    claim = put_claim(suite, batch, run, 2, 1)->attempt; /* all in one commit */
    (void)put_end(suite, batch, &claim, ATTEMPT_LOST);
    again = put_claim(suite, batch, run, 2, 2)->attempt;
    (void)put_end(suite, batch, &again, ATTEMPT_SUCCEEDED);
    suite_commit_all(suite, batch);
    const struct store_attempt_query of_task = {.run_id = run, .by_task = true, .task = 2};
    struct store_attempts attempts = list(suite, of_task);
    assert_int_equal(attempts.count, 2);
    assert_int_equal(attempts.items[0].state, ATTEMPT_LOST);
    assert_int_equal(attempts.items[1].state, ATTEMPT_SUCCEEDED);
}

static void assert_places(struct suite *suite, struct store_attempt_query query, size_t count,
                          const uint32_t places[][2])
{
    struct store_attempts attempts = list(suite, query);
    assert_int_equal(attempts.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(attempts.items[i].task, places[i][0]);
        assert_int_equal(attempts.items[i].number, places[i][1]);
    }
}

static void try_task(struct suite *suite, struct uuid run, uint32_t task, uint32_t number)
{
    struct record_attempt claim = suite_claim(suite, run, task, number);
    struct batch *batch = suite_batch(suite);
    (void)put_end(suite, batch, &claim, ATTEMPT_FAILED);
    suite_commit_all(suite, batch);
}

/* The same before and after the run has ended and its rows have become history. */
static void test_lists(void **state)
{
    struct suite *suite = *state;
    struct uuid dag = suite_make_dag(suite, "a"), run = suite_make_run(suite, dag), other = suite_make_run(suite, dag);
    static const uint32_t all[][2] = {{0, 1}, {2, 1}, {2, 2}, {2, 3}, {4, 1}, {4, 2}};
    static const int born[] = {4, 1, 0, 5, 2, 3}; /* the order they came in */
    try_task(suite, other, 2, 1);
    for (int i = 0; i < 6; i++)
        try_task(suite, run, all[born[i]][0], all[born[i]][1]);
    for (int ended = 0; ended < 2; ended++) {
        const struct store_attempt_query any = {.run_id = run};
        struct store_attempt_query query = any;
        assert_places(suite, query, 6, all);
        query.limit = 4;
        assert_places(suite, query, 4, all);
        query = any;
        query.by_task = true;
        query.task = 2;
        assert_places(suite, query, 3, all + 1);
        query.after = true;
        query.after_task = 2;
        query.after_number = 1;
        query.limit = 1;
        assert_places(suite, query, 1, all + 2);
        query.after_task = 4;
        assert_places(suite, query, 0, NULL);
        query.after_task = 0;
        query.limit = 0;
        assert_places(suite, query, 3, all + 1);
        query.task = 3;
        assert_places(suite, query, 0, NULL);
        query = any;
        query.after = true;
        assert_places(suite, query, 6, all);
        query.after_task = 2;
        query.after_number = 2;
        assert_places(suite, query, 3, all + 3);
        query.after_task = 3; /* which has none */
        query.after_number = 9;
        assert_places(suite, query, 2, all + 4);
        query.after_task = 4;
        query.after_number = 2;
        assert_places(suite, query, 0, NULL);
        assert_int_equal(suite_count_attempts(suite, other), 1);
        assert_int_equal(suite_count_attempts(suite, suite_id(suite)), 0);
        if (!ended) {
            suite_end_run(suite, run, dag, RUN_FAILED);
            suite_reopen(suite);
        }
    }
}

/* ---- what cannot be true ---- */

struct scene {
    struct uuid dag, pending, running, ended, letter;
    struct record_attempt claim, done, other, ahead; /* of `running`: tasks 1, 2, 3, 0 */
};

static void set_scene(struct suite *suite, struct scene *scene)
{
    scene->dag = suite_make_dag(suite, "scene");
    scene->pending = suite_make_run(suite, scene->dag);
    scene->running = suite_make_run(suite, scene->dag);
    scene->ended = suite_make_run(suite, scene->dag);
    struct batch *batch = suite_batch(suite);
    record_add(batch, RECORD_RUN_START, 0)->run =
        (struct record_run){.id = scene->running, .started_ms = suite->now_ms};
    scene->claim = put_claim(suite, batch, scene->running, 1, 1)->attempt;
    scene->done = put_claim(suite, batch, scene->running, 2, 1)->attempt;
    (void)put_end(suite, batch, &scene->done, ATTEMPT_FAILED);
    scene->other = put_claim(suite, batch, scene->running, 3, 1)->attempt;
    scene->ahead = put_claim(suite, batch, scene->running, 0, 1)->attempt;
    (void)put_run_end(suite, batch, scene->ended, scene->dag, RUN_SUCCEEDED);
    suite_commit_all(suite, batch);
    scene->letter = suite_make_letter(suite, scene->running, scene->dag, 2);
}

static void second_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_run(suite, batch, record_add_group(batch), scene->pending, scene->dag);
}

static void second_run_of_an_ended_one(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_run(suite, batch, record_add_group(batch), scene->ended, scene->dag);
}

static void start_of_no_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)scene;
    record_add(batch, RECORD_RUN_START, 0)->run =
        (struct record_run){.id = suite_id(suite), .started_ms = suite->now_ms};
}

static void second_start(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    record_add(batch, RECORD_RUN_START, 0)->run =
        (struct record_run){.id = scene->running, .started_ms = suite->now_ms};
}

static void start_of_an_ended_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    record_add(batch, RECORD_RUN_START, 0)->run =
        (struct record_run){.id = scene->ended, .started_ms = suite->now_ms};
}

static void cancel_of_an_ended_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    record_add(batch, RECORD_RUN_CANCEL, 0)->run =
        (struct record_run){.id = scene->ended, .cancel_ms = suite->now_ms};
}

static void end_of_no_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_run_end(suite, batch, suite_id(suite), scene->dag, RUN_FAILED);
}

static void second_end_of_a_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_run_end(suite, batch, scene->ended, scene->dag, RUN_FAILED);
}

static void end_of_a_run_with_a_running_attempt(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_run_end(suite, batch, scene->running, scene->dag, RUN_FAILED);
}

static void second_claim(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_claim(suite, batch, scene->running, 1, 1);
}

static void claim_of_what_has_ended(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_claim(suite, batch, scene->running, 2, 1);
}

static void claim_in_no_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)scene;
    (void)put_claim(suite, batch, suite_id(suite), 0, 1);
}

static void claim_in_an_ended_run(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_claim(suite, batch, scene->ended, 0, 1);
}

static void end_of_no_attempt(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    put_end(suite, batch, &scene->claim, ATTEMPT_SUCCEEDED)->attempt.task = 4;
}

static void end_under_another_fence(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    put_end(suite, batch, &scene->claim, ATTEMPT_SUCCEEDED)->attempt.fence--;
}

static void end_under_the_fence_of_an_older_life(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    put_end(suite, batch, &scene->claim, ATTEMPT_SUCCEEDED)->attempt.fence -= UINT64_C(1) << 40;
}

static void second_end(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_end(suite, batch, &scene->done, ATTEMPT_SUCCEEDED);
}

static void withdrawal_under_another_fence(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)suite;
    struct record_attempt *row = &record_add(batch, RECORD_ATTEMPT_WITHDRAW, 0)->attempt;
    *row = scene->claim;
    row->fence++;
}

static void withdrawal_of_what_has_ended(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)suite;
    record_add(batch, RECORD_ATTEMPT_WITHDRAW, 0)->attempt = scene->done;
}

static void second_letter(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    (void)put_letter(suite, batch, scene->letter, scene->running, scene->dag, 2);
}

static void second_dag_of_one_id(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    put_dag(suite, batch, RECORD_DAG_CREATE, record_add_group(batch), scene->dag)->dag.name = "another";
}

typedef void break_fn(struct suite *suite, const struct scene *scene, struct batch *batch);

static const struct {
    const char *name;
    break_fn *run;
} breaks[] = {
    {"a second run of one id", second_run},
    {"a second run of an ended one's id", second_run_of_an_ended_one},
    {"the start of no run", start_of_no_run},
    {"a second start", second_start},
    {"the start of an ended run", start_of_an_ended_run},
    {"the cancel of an ended run", cancel_of_an_ended_run},
    {"the end of no run", end_of_no_run},
    {"a second end of a run", second_end_of_a_run},
    {"the end of a run with a running attempt", end_of_a_run_with_a_running_attempt},
    {"a second claim", second_claim},
    {"a claim of what has ended", claim_of_what_has_ended},
    {"a claim in no run", claim_in_no_run},
    {"a claim in an ended run", claim_in_an_ended_run},
    {"the end of no attempt", end_of_no_attempt},
    {"an end under another fence", end_under_another_fence},
    {"an end under the fence of an older life", end_under_the_fence_of_an_older_life},
    {"a second end", second_end},
    {"a withdrawal under another fence", withdrawal_under_another_fence},
    {"a withdrawal of what has ended", withdrawal_of_what_has_ended},
    {"a second letter of one id", second_letter},
    {"a second DAG of one id", second_dag_of_one_id},
};

/* One of everything that can be true. */
static void put_everything(struct suite *suite, const struct scene *scene, struct batch *batch)
{
    struct uuid dag = suite_id(suite), run = suite_id(suite);
    uint32_t group = record_add_group(batch);
    put_dag(suite, batch, RECORD_DAG_CREATE, group, dag)->dag.name = "new";
    (void)put_dag(suite, batch, RECORD_DAG_UPDATE, record_add_group(batch), scene->dag);
    put_dag(suite, batch, RECORD_DAG_PAUSE, record_add_group(batch), scene->dag)->dag.paused = true;
    (void)put_dag(suite, batch, RECORD_DAG_DELETE, record_add_group(batch), dag);
    group = record_add_group(batch);
    (void)put_key(suite, batch, group, "key", 1, scene->dag, run);
    (void)put_resolve(suite, batch, group, scene->letter, RESOLUTION_RETRIED, run);
    (void)put_run(suite, batch, group, run, scene->dag);
    record_add(batch, RECORD_RUN_START, 0)->run = (struct record_run){.id = run, .started_ms = suite->now_ms};
    record_add(batch, RECORD_RUN_CANCEL, 0)->run =
        (struct record_run){.id = scene->pending, .cancel_ms = suite->now_ms};
    (void)put_run_end(suite, batch, run, scene->dag, RUN_CANCELED);
    (void)put_claim(suite, batch, scene->running, 2, 2);
    (void)put_end(suite, batch, &scene->other, ATTEMPT_SUCCEEDED);
    record_add(batch, RECORD_ATTEMPT_WITHDRAW, 0)->attempt = scene->ahead;
    (void)put_letter(suite, batch, suite_id(suite), scene->running, scene->dag, 2);
}

/* One commit of three batches, the middle one of which cannot be true. */
static void commit_broken(struct suite *suite, const struct scene *scene, size_t which)
{
    struct batch *batches[3];
    for (int i = 0; i < 3; i++)
        batches[i] = suite_batch(suite);
    put_everything(suite, scene, batches[0]);
    breaks[which].run(suite, scene, batches[1]);
    (void)put_claim(suite, batches[2], scene->pending, 3, 1);
    struct error err = {0};
    int code = store_commit(suite->store, batches, 3, &err);
    if (code != ERROR_INTERNAL || err.code != ERROR_INTERNAL || !*err.text)
        fail_msg("%s: %s: %s", breaks[which].name, error_name(code), err.text);
    code = store_commit(suite->store, &batches[2], 1, &err);
    if (code != ERROR_STORE_FAILED)
        fail_msg("%s, then: %s", breaks[which].name, error_name(code));
    for (int i = 0; i < 3; i++)
        record_batch_free(batches[i]);
}

static void assert_untouched(struct suite *suite, const struct scene *scene)
{
    const struct store_run_query all = {.page.limit = 100};
    const struct store_dag_query dag_named = {.page.limit = 100, .deleted = true};
    struct store_runs runs;
    struct store_dags dags;
    struct store_letter_stats stats;
    assert_int_equal(store_list_runs(suite->store, &all, &suite->arena, &runs, NULL), 0);
    assert_int_equal(runs.count, 3);
    assert_int_equal(store_list_dags(suite->store, &dag_named, &suite->arena, &dags, NULL), 0);
    assert_int_equal(dags.count, 1);
    assert_int_equal(dags.items[0].version, 1);
    assert_false(dags.items[0].paused);
    assert_int_equal(store_get_letter_stats(suite->store, &stats, NULL), 0);
    assert_int_equal(stats.counts[RESOLUTION_PENDING], 1);
    assert_int_equal(stats.counts[RESOLUTION_RETRIED], 0);
    assert_int_equal(suite_run(suite, scene->pending).run.cancel_ms, 0);
    assert_int_equal(suite_run(suite, scene->ended).run.state, RUN_SUCCEEDED);
    assert_int_equal(suite_run(suite, scene->running).run.state, RUN_RUNNING);
    assert_int_equal(suite_count_attempts(suite, scene->pending), 0);
    struct store_attempts attempts = list(suite, (struct store_attempt_query){.run_id = scene->running});
    assert_int_equal(attempts.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(attempts.items[i].state, i == 2 ? ATTEMPT_FAILED : ATTEMPT_RUNNING);
}

static void test_what_cannot_be_true(void **state)
{
    struct suite *suite = *state;
    struct scene scene;
    set_scene(suite, &scene);
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        commit_broken(suite, &scene, i);
        suite_reopen(suite);
        assert_untouched(suite, &scene);
    }
    struct batch *batch = suite_batch(suite); /* all as it was: what is true can be written */
    put_everything(suite, &scene, batch);
    (void)put_end(suite, batch, &scene.claim, ATTEMPT_SUCCEEDED);
    const struct record_attempt again = {.run_id = scene.running, .task = 2, .number = 2};
    put_end(suite, batch, &again, ATTEMPT_FAILED)->attempt.fence =
        suite->store->epoch << 40 | suite->fences; /* the last claim made */
    (void)put_run_end(suite, batch, scene.running, scene.dag, RUN_FAILED);
    suite_commit_all(suite, batch);
}

const struct conformance_test conformance_attempts[] = {
    {"every field of an attempt", test_every_field},
    {"fences", test_fences},
    {"withdrawn claims", test_withdraw},
    {"lists of attempts", test_lists},
    {"what cannot be true", test_what_cannot_be_true},
    {NULL, NULL},
};
