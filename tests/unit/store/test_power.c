/* Power loss (G1, G7): a workload is committed on a disk that keeps a diary; then, for every moment of the diary, the
 * disk is made as a power loss there would have left it, opened, checked, compared with what had been acknowledged,
 * and continued. PAWL_POWER_SEEDS: losses tried at each moment (1). */
#include "store/conformance.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/power_vfs.h"
#include "store/scratch.h"

enum { RUNS = 6, ACKS_MAX = 400 };

/* What the store had said was durable once the diary had `moment` entries. */
struct ack {
    size_t moment;
    struct uuid run_id;
    bool ended;                     /* the run */
    uint32_t attempts;              /* rows of the run */
    uint32_t attempts_ended;        /* of those */
};

struct workload {
    struct suite *suite;
    struct uuid dag_id;
    struct ack acks[ACKS_MAX];
    size_t ack_count;
};

static void acknowledge(struct workload *workload, struct uuid run_id, bool ended, uint32_t attempts, uint32_t done)
{
    assert_true(workload->ack_count < ACKS_MAX);
    workload->acks[workload->ack_count++] = (struct ack){power_now(), run_id, ended, attempts, done};
}

static void run_once(struct workload *workload, uint32_t n)
{
    struct suite *suite = workload->suite;
    int64_t next_ms;
    struct uuid run_id = suite_make_run(suite, workload->dag_id);
    acknowledge(workload, run_id, false, 0, 0);
    for (uint32_t task = 0; task < SUITE_TASKS; task++) {
        struct record_attempt claim = suite_claim(suite, run_id, task, 1);
        acknowledge(workload, run_id, false, task + 1, task);
        struct batch *batch = suite_batch(suite);
        (void)put_end(suite, batch, &claim, task == n % SUITE_TASKS ? ATTEMPT_FAILED : ATTEMPT_SUCCEEDED);
        suite_commit_all(suite, batch);
        acknowledge(workload, run_id, false, task + 1, task + 1);
    }
    (void)suite_make_letter(suite, run_id, workload->dag_id, n % SUITE_TASKS);
    suite_end_run(suite, run_id, workload->dag_id, RUN_FAILED);
    acknowledge(workload, run_id, true, SUITE_TASKS, SUITE_TASKS);
    struct error err = {0};
    assert_int_equal(store_maintain(suite->store, suite_tick(suite), true, &next_ms, &err), 0);
}

static void check_ack(struct suite *suite, const struct ack *ack)
{
    struct store_run run = suite_run(suite, ack->run_id);
    if (ack->ended)
        assert_int_equal(run.run.state, RUN_FAILED);
    const struct store_attempt_query query = {.run_id = ack->run_id};
    struct store_attempts attempts;
    assert_int_equal(store_list_attempts(suite->store, &query, &suite->arena, &attempts, NULL), 0);
    assert_true(attempts.count >= ack->attempts);
    uint32_t ended = 0;
    for (size_t i = 0; i < attempts.count; i++)
        ended += attempts.items[i].state != ATTEMPT_RUNNING;
    assert_true(ended >= ack->attempts_ended);
}

static void check_disk(struct workload *workload, size_t moment, uint64_t seed)
{
    char *dir = scratch_make();
    power_lose(moment, seed, dir);
    struct suite after = *workload->suite;
    after.dir = dir;
    after.arena = (struct arena){0};
    const struct store_options options = {.path = dir, .mode = STORE_CREATE};
    struct error err = {0};
    if (store_open_sqlite(&options, &after.store, &err) != 0)
        fail_msg("moment %zu, seed %llu: %s", moment, (unsigned long long)seed, err.text);
    struct buf findings = BUF_INIT;
    uint32_t count = 0;
    assert_int_equal(store_check(after.store, STORE_CHECK_FULL, &findings, &count, &err), 0);
    if (count)
        fail_msg("moment %zu, seed %llu: %s", moment, (unsigned long long)seed, buf_text(&findings));
    for (size_t i = 0; i < workload->ack_count && workload->acks[i].moment <= moment; i++)
        check_ack(&after, &workload->acks[i]);
    (void)suite_make_dag(&after, "after-the-loss");
    store_close(after.store);
    arena_fini(&after.arena);
    buf_fini(&findings);
    scratch_remove(dir);
}

static struct store *open_sqlite(const char *dir)
{
    struct store *store = NULL;
    struct error err = {0};
    const struct store_options options = {.path = dir, .mode = STORE_CREATE};
    power_start(dir);
    if (store_open_sqlite(&options, &store, &err) != 0)
        fail_msg("%s", err.text);
    return store;
}

static void test_every_moment(void **state)
{
    (void)state;
    static const struct backend backend = {.name = "sqlite", .open = open_sqlite};
    void *fixture = (void *)&backend;
    assert_int_equal(suite_setup(&fixture), 0);
    struct workload *workload = mem_new(struct workload);
    workload->suite = fixture;
    size_t made = power_now();
    workload->dag_id = suite_make_dag(workload->suite, "work");
    for (uint32_t n = 0; n < RUNS; n++)
        run_once(workload, n);
    size_t moments = power_now();
    power_stop();
    int64_t seeds = 1;
    const char *wanted = getenv("PAWL_POWER_SEEDS");
    if (wanted)
        assert_true(str_parse_int(wanted, 1, 1000000, &seeds));
    for (size_t moment = made; moment <= moments; moment++)
        for (int64_t seed = 0; seed < seeds; seed++)
            check_disk(workload, moment, (uint64_t)(seed * 1000003) + moment);
    print_message("%zu moments, %lld losses at each\n", moments - made + 1, (long long)seeds);
    mem_free(workload);
    (void)suite_teardown(&fixture); /* closing the store still writes the diary */
    power_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_moment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
