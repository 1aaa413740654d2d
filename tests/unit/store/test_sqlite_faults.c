/* What the disk can do to a commit. Every n-th write, sync and read of a commit fails once, and the store must have
 * all of the batch or nothing of it. */
#include "store/conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "store/fault_vfs.h"
#include "store/scratch.h"

enum { CALLS_MAX = 200 };

static struct store *open_sqlite(const char *dir)
{
    struct store *store = NULL;
    struct error err = {0};
    const struct store_options options = {.path = dir, .mode = STORE_CREATE, .reserve_bytes = 65536};
    if (store_open_sqlite(&options, &store, &err) != 0)
        fail_msg("%s", err.text);
    return store;
}

static struct store *reopen_sqlite(struct store *store, const char *dir)
{
    store_close(store);
    return open_sqlite(dir);
}

static const struct backend backend = {"sqlite", open_sqlite, reopen_sqlite};

static int setup(void **state)
{
    *state = (void *)&backend;
    return suite_setup(state);
}

static void assert_sound(struct suite *suite)
{
    struct buf findings = BUF_INIT;
    uint32_t count = 1;
    assert_int_equal(store_check(suite->store, STORE_CHECK_FULL, &findings, &count, NULL), 0);
    if (count)
        fail_msg("%s", buf_text(&findings));
    buf_fini(&findings);
}

static enum store_room room_of(struct suite *suite)
{
    struct store_status status;
    assert_int_equal(store_get_status(suite->store, &status, NULL), 0);
    assert_int_equal(status.room, suite->store->room);
    return status.room;
}

static enum store_room maintain(struct suite *suite)
{
    int64_t next_ms;
    struct error err = {0};
    if (store_maintain(suite->store, suite_tick(suite), true, &next_ms, &err) != 0)
        fail_msg("%s", err.text);
    return room_of(suite);
}

/* A batch that ends what runs and makes a run; its second part may be refused when room is low. */
struct work {
    struct uuid dag_id, run_id, born_id;
    struct record_attempt claim;        /* ended by the batch */
    struct record_attempt next, last;   /* claimed by it */
    struct batch *batch;
};

static struct work make_work(struct suite *suite)
{
    struct work work = {.dag_id = suite_make_dag(suite, "work")};
    work.run_id = suite_make_run(suite, work.dag_id);
    work.claim = suite_claim(suite, work.run_id, 0, 1);
    work.born_id = suite_id(suite);
    work.batch = suite_batch(suite);
    (void)put_end(suite, work.batch, &work.claim, ATTEMPT_FAILED);
    (void)put_letter(suite, work.batch, suite_id(suite), work.run_id, work.dag_id, 0);
    work.next = put_claim(suite, work.batch, work.run_id, 1, 1)->attempt;
    work.last = put_claim(suite, work.batch, work.run_id, 2, 1)->attempt;
    (void)put_run(suite, work.batch, record_add_group(work.batch), work.born_id, work.dag_id);
    return work;
}

static bool is_written(struct suite *suite, const struct work *work)
{
    const struct store_attempt_query query = {.run_id = work->run_id};
    const struct store_letter_query letters_query = {.page.limit = 10, .run_id = work->run_id};
    struct store_attempts attempts;
    struct store_letters letters;
    assert_int_equal(store_list_attempts(suite->store, &query, &suite->arena, &attempts, NULL), 0);
    assert_int_equal(store_list_letters(suite->store, &letters_query, &suite->arena, &letters, NULL), 0);
    bool written = attempts.count == 3;
    assert_int_equal(attempts.items[0].state, written ? ATTEMPT_FAILED : ATTEMPT_RUNNING);
    assert_int_equal(letters.count, written);
    return written;
}

static bool is_born(struct suite *suite, const struct work *work)
{
    struct store_run run;
    int code = store_get_run(suite->store, work->born_id, &suite->arena, &run, NULL);
    assert_true(code == 0 || code == ERROR_RUN_NOT_FOUND);
    return code == 0;
}

/* What the writer remembers of the run is what is written: the run can be brought to its end. */
static void finish(struct suite *suite, const struct work *work)
{
    struct batch *batch = suite_batch(suite);
    (void)put_end(suite, batch, &work->next, ATTEMPT_SUCCEEDED);
    (void)put_end(suite, batch, &work->last, ATTEMPT_SUCCEEDED);
    (void)put_run_end(suite, batch, work->run_id, work->dag_id, RUN_FAILED);
    suite_commit_all(suite, batch);
    assert_int_equal(suite_run(suite, work->run_id).run.state, RUN_FAILED);
}

/* One write finds no room: the reserve is given up and the batch goes through, but for the birth. */
static bool full_once(uint64_t n)
{
    void *state;
    assert_int_equal(setup(&state), 0);
    struct suite *suite = state;
    struct work work = make_work(suite);
    char *reserve = mem_printf("%s/reserve", suite->dir);
    assert_int_equal(access(reserve, F_OK), 0);
    fault_set(FAULT_FULL, n, false);
    suite_commit(suite, work.batch);
    bool hit = fault_clear();
    assert_true(is_written(suite, &work));
    assert_int_equal(is_born(suite, &work), !hit);
    assert_int_equal(room_of(suite), hit ? STORE_ROOM_LOW : STORE_ROOM_OK);
    assert_int_equal(work.batch->verdicts[0].refused, hit);
    assert_int_equal(work.batch->verdicts[0].code, hit ? ERROR_STORE_FULL : ERROR_OK);
    assert_int_equal(access(reserve, F_OK), hit ? -1 : 0);
    assert_int_equal(maintain(suite), STORE_ROOM_OK);
    assert_int_equal(access(reserve, F_OK), 0);
    finish(suite, &work);
    (void)suite_make_run(suite, work.dag_id);
    assert_sound(suite);
    mem_free(reserve);
    record_batch_free(work.batch);
    assert_int_equal(suite_teardown(&state), 0);
    return hit;
}

/* No write finds room from the n-th on: nothing is changed, and the same batch goes through once there is room. */
static bool full_for_good(uint64_t n)
{
    void *state;
    assert_int_equal(setup(&state), 0);
    struct suite *suite = state;
    struct work work = make_work(suite);
    struct error err = {0};
    fault_set(FAULT_FULL, n, true);
    int code = store_commit(suite->store, &work.batch, 1, &err);
    int again = code ? store_commit(suite->store, &work.batch, 1, &err) : 0;
    bool hit = fault_clear();
    assert_int_equal(code, hit ? ERROR_STORE_FULL : 0);
    if (hit) {
        assert_int_equal(again, ERROR_STORE_FULL);
        assert_int_equal(err.code, ERROR_STORE_FULL);
        assert_int_equal(room_of(suite), STORE_ROOM_NONE);
        assert_false(is_written(suite, &work) || is_born(suite, &work));
        suite_commit(suite, work.batch);
        assert_int_equal(room_of(suite), STORE_ROOM_LOW);
        assert_true(work.batch->verdicts[0].refused);
    }
    assert_true(is_written(suite, &work));
    assert_int_equal(maintain(suite), STORE_ROOM_OK);
    finish(suite, &work);
    assert_sound(suite);
    record_batch_free(work.batch);
    assert_int_equal(suite_teardown(&state), 0);
    return hit;
}

/* A failed write, sync or read ends the store. After the next start the batch is there whole, or not at all. */
static bool fail_once(enum fault_kind kind, uint64_t n)
{
    void *state;
    assert_int_equal(setup(&state), 0);
    struct suite *suite = state;
    struct work work = make_work(suite);
    struct error err = {0};
    struct store_status status;
    int64_t next_ms;
    suite_reopen(suite); /* nothing is cached */
    fault_set(kind, n, false);
    int code = store_commit(suite->store, &work.batch, 1, &err);
    bool hit = fault_clear();
    assert_int_equal(code, hit ? ERROR_STORE_FAILED : 0);
    if (hit) {
        assert_int_equal(err.code, ERROR_STORE_FAILED);
        assert_int_equal(store_commit(suite->store, &work.batch, 1, NULL), ERROR_STORE_FAILED);
        assert_int_equal(store_maintain(suite->store, suite->now_ms, true, &next_ms, NULL), ERROR_STORE_FAILED);
        assert_int_equal(store_ping(suite->store, &err), ERROR_STORE_FAILED);
        assert_int_equal(store_get_status(suite->store, &status, NULL), 0);
        assert_true(status.failed);
    }
    suite_reopen(suite);
    assert_int_equal(is_written(suite, &work), is_born(suite, &work));
    assert_true(hit || is_written(suite, &work));
    assert_sound(suite);
    (void)suite_make_run(suite, work.dag_id);
    record_batch_free(work.batch);
    assert_int_equal(suite_teardown(&state), 0);
    return hit;
}

/* Opening a new store is interrupted; the next start makes it whole. */
static bool open_once(enum fault_kind kind, uint64_t n)
{
    struct error err = {0};
    struct store *store = NULL;
    char *dir = scratch_make();
    const struct store_options options = {.path = dir, .mode = STORE_CREATE, .reserve_bytes = 65536};
    fault_set(kind, n, false);
    int code = store_open_sqlite(&options, &store, &err);
    bool hit = fault_clear();
    assert_int_equal(code, hit && kind != FAULT_FULL ? ERROR_STORE_FAILED : 0);
    store_close(code ? NULL : store);
    struct suite suite = {.backend = &backend, .dir = dir, .store = open_sqlite(dir)};
    assert_sound(&suite);
    store_close(suite.store);
    scratch_remove(dir);
    return hit;
}

static void test_full(void **state)
{
    (void)state;
    uint64_t once = 1, for_good = 1;
    while (full_once(once))
        assert_true(++once < CALLS_MAX);
    while (full_for_good(for_good))
        assert_true(++for_good < CALLS_MAX);
    assert_true(once > 1 && for_good > 1);
}

static void test_failures(void **state)
{
    (void)state;
    static const enum fault_kind kinds[] = {FAULT_WRITE, FAULT_SYNC, FAULT_READ};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint64_t n = 1;
        while (fail_once(kinds[i], n))
            assert_true(++n < CALLS_MAX);
        assert_true(n > 1);
    }
}

static void test_interrupted_births(void **state)
{
    (void)state;
    for (enum fault_kind kind = FAULT_FULL; kind < FAULT_READ; kind++) {
        uint64_t n = 1;
        while (open_once(kind, n))
            assert_true(++n < CALLS_MAX);
        assert_true(n > 1);
    }
}

/* A checkpoint that finds no room loses nothing and is done when there is some. */
static void test_full_checkpoint(void **state)
{
    struct suite *suite = *state;
    struct work work = make_work(suite);
    suite_commit(suite, work.batch);
    fault_set(FAULT_FULL, 1, true);
    assert_int_equal(maintain(suite), STORE_ROOM_LOW);
    assert_true(fault_clear());
    assert_true(is_written(suite, &work) && is_born(suite, &work));
    assert_int_equal(maintain(suite), STORE_ROOM_OK);
    assert_sound(suite);
    record_batch_free(work.batch);
}

/* A sync that fails in a checkpoint ends the store too. */
static void test_failed_checkpoint(void **state)
{
    struct suite *suite = *state;
    struct work work = make_work(suite);
    int64_t next_ms;
    suite_commit(suite, work.batch);
    fault_set(FAULT_SYNC, 1, true);
    assert_int_equal(store_maintain(suite->store, suite->now_ms, true, &next_ms, NULL), ERROR_STORE_FAILED);
    assert_true(fault_clear());
    suite_reopen(suite);
    assert_true(is_written(suite, &work) && is_born(suite, &work));
    assert_sound(suite);
    record_batch_free(work.batch);
}

/* ---- a real file system without room ---- */

/* Writes until nothing more fits. */
static void fill(const char *path)
{
    static const char zeros[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    assert_int_equal(errno, ENOSPC);
    (void)close(fd);
}

/* Claims and ends attempts of one run, a commit each, until the store says `code`; each of them is checked to have
 * left exactly what it should. */
static uint32_t commit_until(struct suite *suite, struct uuid run_id, uint32_t *count, enum store_room room)
{
    int code = 0;
    while (!code && room_of(suite) != room) {
        struct batch *batch = suite_batch(suite);
        char *text = arena_zalloc(&batch->arena, 3001);
        memset(text, 'x', 3000);
        struct record_attempt claim = put_claim(suite, batch, run_id, *count / 1000, *count % 1000 + 1)->attempt;
        put_end(suite, batch, &claim, ATTEMPT_FAILED)->attempt.error = text;
        code = store_commit(suite->store, &batch, 1, NULL);
        assert_int_equal(code, room_of(suite) == STORE_ROOM_NONE ? ERROR_STORE_FULL : 0);
        *count += code == 0;
        record_batch_free(batch);
        assert_true(*count < 1000 * SUITE_TASKS);
    }
    assert_int_equal(room_of(suite), room);
    assert_int_equal(suite_count_attempts(suite, run_id), *count);
    return *count;
}

static void test_full_disk(void **state)
{
    (void)state;
    char *dir = scratch_make(), *filler = mem_printf("%s/filler", dir);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0700") != 0) {
        print_message("no full disk without the right to mount: %s\n", strerror(errno));
        mem_free(filler);
        scratch_remove(dir);
        skip();
    }
    struct suite suite = {.backend = &backend, .dir = dir, .dag = suite_read_dag(SUITE_TASKS, NULL), .now_ms = 1};
    uint32_t count = 0;
    suite.store = open_sqlite(dir);
    struct uuid dag_id = suite_make_dag(&suite, "work"), run_id = suite_make_run(&suite, dag_id);
    fill(filler);
    uint32_t low = commit_until(&suite, run_id, &count, STORE_ROOM_LOW);
    uint32_t none = commit_until(&suite, run_id, &count, STORE_ROOM_NONE);
    assert_true(low > 0 && none > low); /* the reserve was worth something */
    assert_int_equal(maintain(&suite), STORE_ROOM_NONE);
    store_close(suite.store);
    suite.store = NULL;
    fill(filler); /* what closing has given back */
    const struct store_options options = {.path = dir, .mode = STORE_WRITE, .reserve_bytes = 65536};
    int code = 0;
    for (int i = 0; i < 100 && !code; i++) { /* an epoch may fit where a bigger commit did not */
        code = store_open_sqlite(&options, &suite.store, NULL);
        store_close(suite.store);
        suite.store = NULL;
    }
    assert_int_equal(code, ERROR_STORE_FULL);
    assert_int_equal(truncate(filler, 0), 0);
    suite.store = open_sqlite(dir);
    assert_int_equal(suite_count_attempts(&suite, run_id), none);
    assert_int_equal(unlink(filler), 0);
    assert_int_equal(maintain(&suite), STORE_ROOM_OK);
    (void)suite_make_run(&suite, dag_id);
    assert_sound(&suite);
    store_close(suite.store);
    arena_fini(&suite.arena);
    dag_unref(suite.dag);
    assert_int_equal(umount(dir), 0);
    mem_free(filler);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_interrupted_births),
        cmocka_unit_test_setup_teardown(test_full_checkpoint, setup, suite_teardown),
        cmocka_unit_test_setup_teardown(test_failed_checkpoint, setup, suite_teardown),
        cmocka_unit_test(test_full_disk),
    };
    fault_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fault_stop();
    return failed;
}
