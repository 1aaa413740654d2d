/* Random workloads: every back end must give the same verdicts and show the same as the store in memory.
 * PAWL_STORE_SEEDS=N runs so many seeds; a failure names its seed, PAWL_STORE_SEED=N repeats it. */
#include "store/backends.h"
#include "store/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dag/dag.h"
#include "store/scratch.h"

enum { SEEDS = 4, ROUNDS = 150, LOOK_EVERY = 10 };

/* ---- what a store shows, as text ---- */

static void put_id(struct buf *out, struct uuid id)
{
    char text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    buf_printf(out, " %s", text);
}

static void put_int(struct buf *out, int64_t value)
{
    buf_add_char(out, ' ');
    buf_add_int(out, value);
}

static void put_text(struct buf *out, const char *text)
{
    buf_printf(out, text ? " '%s'" : " -", text);
}

static void put_bytes(struct buf *out, const uint8_t *bytes, size_t len)
{
    buf_add_char(out, ' ');
    for (size_t i = 0; i < len; i++)
        buf_printf(out, "%02x", bytes[i]);
}

static void show_run(struct buf *out, const struct record_run *run)
{
    buf_add_text(out, "run");
    put_id(out, run->id);
    put_id(out, run->dag_id);
    put_id(out, run->source);
    const int64_t numbers[] = {run->dag_version,  run->task_count,      run->state,         run->trigger,
                               run->created_ms,   run->started_ms,      run->completed_ms,  run->cancel_ms,
                               run->failed_count, run->succeeded_count, run->skipped_count, run->canceled_count};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        put_int(out, numbers[i]);
    put_text(out, run->error);
    put_text(out, run->request_id);
    put_text(out, run->changes);
    put_text(out, run->trace);
    put_bytes(out, run->outcomes, run->outcomes_len);
}

static void show_attempt(struct buf *out, const struct record_attempt *row)
{
    buf_add_text(out, "  attempt");
    put_id(out, row->run_id);
    put_id(out, row->worker);
    const int64_t numbers[] = {row->task,       row->number,    (int64_t)row->fence, row->state,
                               row->error_type, row->exit_code, row->signal,         row->http_status,
                               row->claimed_ms, row->started_ms, row->ended_ms,      row->cpu_us,
                               row->max_rss_bytes, row->log_bytes, row->retry_ms};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        put_int(out, numbers[i]);
    put_text(out, row->error);
    buf_add_char(out, '\n');
}

static void show_dags(struct store *store, const struct store_dag_query *query, struct arena *arena, struct buf *out)
{
    struct store_dags dags;
    const struct store_page page = {.limit = 3, .offset = 1};
    assert_int_equal(store_list_dags(store, query, arena, &dags, NULL), 0);
    for (size_t i = 0; i < dags.count; i++) {
        const struct store_dag *dag = &dags.items[i];
        const int64_t numbers[] = {dag->version,    dag->task_count, dag->paused,
                                   dag->created_ms, dag->updated_ms, dag->deleted_ms};
        struct store_versions versions;
        buf_add_text(out, "dag");
        put_id(out, dag->id);
        put_text(out, dag->name);
        put_text(out, dag->cron);
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++)
            put_int(out, numbers[k]);
        assert_int_equal(store_list_versions(store, dag->id, &page, arena, &versions, NULL), 0);
        for (size_t k = 0; k < versions.count; k++)
            buf_printf(out, " v%u:%lld:%llu", versions.items[k].version, (long long)versions.items[k].created_ms,
                       (unsigned long long)versions.items[k].source_len);
        buf_add_text(out, " source ");
        assert_int_equal(store_get_source(store, dag->id, 0, out, NULL), 0);
        buf_add_char(out, '\n');
    }
}

static void show_runs(struct store *store, const struct store_run_query *query, struct arena *arena, struct buf *out)
{
    struct store_runs runs;
    assert_int_equal(store_list_runs(store, query, arena, &runs, NULL), 0);
    for (size_t i = 0; i < runs.count; i++) {
        const struct store_attempt_query of_run = {.run_id = runs.items[i].run.id};
        struct store_attempts attempts;
        show_run(out, &runs.items[i].run);
        put_text(out, runs.items[i].dag_name);
        buf_add_char(out, '\n');
        put_id(out, runs.scanned);
        assert_int_equal(store_list_attempts(store, &of_run, arena, &attempts, NULL), 0);
        for (size_t k = 0; k < attempts.count; k++)
            show_attempt(out, &attempts.items[k]);
    }
}

static void show_letters(struct store *store, const struct store_letter_query *query, struct arena *arena,
                         struct buf *out)
{
    struct store_letters letters;
    assert_int_equal(store_list_letters(store, query, arena, &letters, NULL), 0);
    for (size_t i = 0; i < letters.count; i++) {
        const struct store_letter *letter = &letters.items[i];
        buf_add_text(out, "letter");
        put_id(out, letter->letter.id);
        put_id(out, letter->letter.run_id);
        put_id(out, letter->letter.dag_id);
        put_id(out, letter->resolved_run_id);
        buf_printf(out, " %d %d %lld", letter->letter.error_type, letter->resolution, (long long)letter->resolved_ms);
        put_text(out, letter->letter.error);
        put_text(out, letter->resolved_by);
        put_text(out, letter->notes);
        buf_add_char(out, '\n');
    }
}

static int show_active(void *context, const struct store_active *active, struct error *err)
{
    struct buf *out = context;
    (void)err;
    buf_add_text(out, "active ");
    show_run(out, &active->run);
    put_text(out, active->dag_name);
    buf_printf(out, " source %zu\n", active->source ? active->source_len : 0);
    for (size_t i = 0; i < active->attempt_count; i++)
        show_attempt(out, &active->attempts[i]);
    return 0;
}

/* Everything, then some random questions. */
static void show(struct store *store, struct workload *workload, struct arena *arena, struct buf *out)
{
    struct store_letter_stats stats;
    struct store_status status;
    struct uuid some_run = {{0}}, some_dag = {{0}};
    if (workload->run_count)
        some_run = workload->runs[workload_draw(workload, workload->run_count)].id;
    if (workload->dag_count)
        some_dag = workload->dags[workload_draw(workload, workload->dag_count)];
    show_dags(store, &(struct store_dag_query){.page.limit = 1000, .deleted = true}, arena, out);
    show_dags(store, &(struct store_dag_query){.page.limit = 3, .page.before = some_dag, .name_part = "L"}, arena, out);
    show_runs(store, &(struct store_run_query){.page.limit = 1000, .with_outcomes = true}, arena, out);
    struct store_run_query query = {.page = {.limit = 7, .offset = (uint32_t)workload_draw(workload, 4)}};
    query.page.before = some_run;
    query.dag_id = workload_draw(workload, 2) ? some_dag : (struct uuid){{0}};
    query.states = workload_draw(workload, 2) ? (unsigned)workload_draw(workload, 1u << RUN_STATE_COUNT) : 0;
    query.triggers = workload_draw(workload, 2) ? (unsigned)workload_draw(workload, 1u << TRIGGER_COUNT) : 0;
    query.error_part = workload_draw(workload, 4) ? NULL : "E";
    query.scan_max = (uint32_t)workload_draw(workload, 30);
    query.since = workload_draw(workload, 3) ? (struct uuid){{0}} : some_run;
    show_runs(store, &query, arena, out);
    show_letters(store, &(struct store_letter_query){.page.limit = 1000}, arena, out);
    struct store_letter_query letters = {.page.limit = 4, .dag_id = some_dag, .by_resolution = true};
    letters.resolution = (enum resolution)workload_draw(workload, RESOLUTION_COUNT);
    show_letters(store, &letters, arena, out);
    assert_int_equal(store_load_active(store, show_active, out, NULL), 0);
    assert_int_equal(store_get_letter_stats(store, &stats, NULL), 0);
    for (int i = 0; i < RESOLUTION_COUNT; i++)
        put_int(out, (int64_t)stats.counts[i]);
    put_int(out, stats.oldest_pending_ms);
    assert_int_equal(store_get_status(store, &status, NULL), 0);
    put_int(out, (int64_t)status.dags);
    put_int(out, (int64_t)status.active_runs);
    put_int(out, (int64_t)status.letters_pending);
}

/* ---- comparing ---- */

static void compare_text(const struct backend *backend, uint64_t seed, int round, struct buf *wanted, struct buf *got)
{
    const char *a = buf_text(wanted), *b = buf_text(got);
    size_t line = 0;
    if (strcmp(a, b) == 0)
        return;
    for (size_t i = 0; a[i] == b[i]; i++)
        if (a[i] == '\n')
            line = i + 1;
    fail_msg("seed %llu, round %d\nmemory: %.*s\n%s: %.*s", (unsigned long long)seed, round,
             (int)strcspn(a + line, "\n"), a + line, backend->name, (int)strcspn(b + line, "\n"), b + line);
}

static void compare_verdicts(const struct backend *backend, uint64_t seed, int round, const struct verdict *wanted,
                             const struct batch *batch)
{
    for (uint32_t i = 0; i < batch->group_count; i++) {
        const struct verdict *a = &wanted[i], *b = &batch->verdicts[i];
        bool same = a->refused == b->refused && a->code == b->code && a->version == b->version;
        if (!same || (a->refused && a->code != ERROR_IDEMPOTENCY_MISMATCH && !uuid_equal(a->run_id, b->run_id)))
            fail_msg("seed %llu, round %d, group %u: memory: %d %s v%u, %s: %d %s v%u", (unsigned long long)seed, round,
                     i + 1, a->refused, error_name((int)a->code), a->version, backend->name, b->refused,
                     error_name((int)b->code), b->version);
    }
}

struct pair {
    const struct backend *backend;
    struct store *memory, *other;
    char *dir;
};

static void look(struct pair *pair, struct workload *workload, uint64_t seed, int round)
{
    struct arena arena = {0};
    struct buf wanted = BUF_INIT, got = BUF_INIT;
    uint64_t draws = workload->seed;
    show(pair->memory, workload, &arena, &wanted);
    workload->seed = draws; /* the same questions again */
    show(pair->other, workload, &arena, &got);
    compare_text(pair->backend, seed, round, &wanted, &got);
    buf_fini(&wanted);
    buf_fini(&got);
    arena_fini(&arena);
}

static void commit_to_both(struct pair *pair, struct workload *workload, uint64_t seed, int round)
{
    struct error err = {0};
    struct batch *batch = workload_next(workload);
    if (store_commit(pair->memory, &batch, 1, &err) != 0)
        fail_msg("seed %llu, round %d: memory: %s", (unsigned long long)seed, round, err.text);
    struct verdict *verdicts = mem_dup(batch->verdicts, batch->group_count * sizeof *verdicts);
    if (store_commit(pair->other, &batch, 1, &err) != 0)
        fail_msg("seed %llu, round %d: %s: %s", (unsigned long long)seed, round, pair->backend->name, err.text);
    compare_verdicts(pair->backend, seed, round, verdicts, batch);
    workload_take(workload, batch);
    mem_free(verdicts);
    record_batch_free(batch);
}

static void run_seed(const struct backend *backend, uint64_t seed)
{
    struct pair pair = {.backend = backend, .dir = scratch_make()};
    struct suite suite = {.now_ms = INT64_C(1700000000000), .dag = suite_read_dag(SUITE_TASKS, NULL)};
    struct workload *workload = mem_new(struct workload);
    workload->suite = &suite;
    workload->seed = seed * 0x9e3779b97f4a7c15u + 1;
    pair.memory = backends[0].open(pair.dir);
    pair.other = backend->open(pair.dir);
    suite.store = pair.memory;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t next_ms;
        commit_to_both(&pair, workload, seed, round);
        if (workload_draw(workload, 20) == 0) {
            pair.memory = backends[0].reopen(pair.memory, pair.dir);
            pair.other = backend->reopen(pair.other, pair.dir);
            suite.store = pair.memory;
        } else if (workload_draw(workload, 5) == 0) {
            bool idle = workload_draw(workload, 2) != 0;
            assert_int_equal(store_maintain(pair.memory, suite.now_ms, idle, &next_ms, NULL), 0);
            assert_int_equal(store_maintain(pair.other, suite.now_ms, idle, &next_ms, NULL), 0);
        }
        if (round % LOOK_EVERY == 0 || round == ROUNDS - 1)
            look(&pair, workload, seed, round);
    }
    struct buf findings = BUF_INIT;
    uint32_t count;
    assert_int_equal(store_check(pair.other, STORE_CHECK_FULL, &findings, &count, NULL), 0);
    if (count)
        fail_msg("seed %llu: %s", (unsigned long long)seed, buf_text(&findings));
    buf_fini(&findings);
    store_close(pair.memory);
    store_close(pair.other);
    scratch_remove(pair.dir);
    dag_unref(suite.dag);
    mem_free(workload);
}

static int64_t from_environment(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);
    int64_t value = otherwise;
    if (text && !str_parse_int(text, 0, 1000000000, &value))
        fail_msg("%s=%s is no number", name, text);
    return value;
}

static void test_compare(void **state)
{
    (void)state;
    int64_t one = from_environment("PAWL_STORE_SEED", -1), count = from_environment("PAWL_STORE_SEEDS", SEEDS);
    for (size_t b = 1; b < backends_count; b++) {
        for (int64_t seed = one >= 0 ? one : 0; seed < (one >= 0 ? one + 1 : count); seed++)
            run_seed(&backends[b], (uint64_t)seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compare)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
