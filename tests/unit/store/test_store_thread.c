#include "support/check.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "store/store_thread.h"

enum { SEEN_MAX = 64, MANY = 20000, PATIENCE_MS = 60000 };

/* A store that can be held at its gate, says what it is told to, and keeps what it saw. */
struct fake {
    struct store store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gate_closed;
    int codes[SEEN_MAX];            /* of the first commits; then 0 */
    int always;                     /* the code of every commit when not 0 */
    int commits;                    /* tried */
    size_t counts[SEEN_MAX];        /* batches of each */
    uint64_t last_number;           /* committed */
    int maintains, idle_maintains;
    int maintain_code;
    int maintains_wanted;           /* so often next_ms is 0 */
    bool signals_open;
};

static int fake_commit(struct store *store, struct batch *const *batches, size_t count, struct error *err)
{
    struct fake *fake = (struct fake *)store;
    sigset_t mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    (void)pthread_mutex_lock(&fake->lock);
    fake->signals_open = fake->signals_open || !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGCHLD);
    int commit = fake->commits++;
    int code = fake->always;
    if (commit < SEEN_MAX) {
        fake->counts[commit] = count;
        code = code ? code : fake->codes[commit];
    }
    (void)pthread_cond_broadcast(&fake->changed);
    while (fake->gate_closed)
        (void)pthread_cond_wait(&fake->changed, &fake->lock);
    for (size_t i = 0; !code && i < count; i++) {
        if (batches[i]->number != fake->last_number + 1)
            abort();
        fake->last_number++;
    }
    store->room = code == ERROR_STORE_FULL ? STORE_ROOM_NONE : STORE_ROOM_OK;
    (void)pthread_mutex_unlock(&fake->lock);
    return code ? error_set(err, (enum error_code)code, "the fake says %d", commit) : 0;
}

static int fake_maintain(struct store *store, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err)
{
    struct fake *fake = (struct fake *)store;
    if (now_ms < 1000000)
        abort();
    (void)pthread_mutex_lock(&fake->lock);
    fake->maintains++;
    fake->idle_maintains += idle;
    int code = fake->maintain_code;
    *ret_next_ms = fake->idle_maintains && fake->idle_maintains < fake->maintains_wanted ? 0 : -1;
    (void)pthread_cond_broadcast(&fake->changed);
    (void)pthread_mutex_unlock(&fake->lock);
    return code ? error_set(err, (enum error_code)code, "housekeeping failed") : 0;
}

static const struct store_ops fake_ops = {.kind = "fake", .commit = fake_commit, .maintain = fake_maintain};

static void fake_init(struct fake *fake)
{
    *fake = (struct fake){.store.ops = &fake_ops};
    assert_int_equal(pthread_mutex_init(&fake->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&fake->changed, NULL), 0);
}

static void fake_fini(struct fake *fake)
{
    (void)pthread_cond_destroy(&fake->changed);
    (void)pthread_mutex_destroy(&fake->lock);
}

static void set_gate(struct fake *fake, bool closed)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->gate_closed = closed;
    (void)pthread_cond_broadcast(&fake->changed);
    (void)pthread_mutex_unlock(&fake->lock);
}

/* Waits until *counter is at least `least`. */
static void await_count(struct fake *fake, const int *counter, int least)
{
    struct timespec until;
    int rc = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    (void)pthread_mutex_lock(&fake->lock);
    while (*counter < least && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&fake->changed, &fake->lock, &until);
    int seen = *counter;
    (void)pthread_mutex_unlock(&fake->lock);
    if (seen < least)
        fail_msg("%d of %d came", seen, least);
}

static struct batch *batch_of(uint64_t number, int records)
{
    struct batch *batch = record_batch_new(number);
    for (int i = 0; i < records; i++)
        (void)record_add(batch, RECORD_RUN_START, 0);
    return batch;
}

static bool is_readable(const struct store_thread *thread, int timeout_ms)
{
    struct pollfd ready = {.fd = store_thread_fd(thread), .events = POLLIN};
    return poll(&ready, 1, timeout_ms) == 1;
}

/* The next batch, waiting for it. */
static int next(struct store_thread *thread, uint64_t number, struct error *err)
{
    int code = -1;
    struct batch *batch;
    while (!(batch = store_thread_take(thread, &code, err)))
        assert_true(is_readable(thread, PATIENCE_MS));
    assert_int_equal(batch->number, number);
    record_batch_free(batch);
    return code;
}

static struct store_thread *start(struct store *store)
{
    struct store_thread *thread = NULL;
    assert_int_equal(store_thread_start(store, &thread, NULL), 0);
    return thread;
}

static void test_all_that_waits_is_one_commit(void **state)
{
    (void)state;
    struct fake fake;
    int code;
    fake_init(&fake);
    set_gate(&fake, true);
    struct store_thread *thread = start(&fake.store);
    assert_false(is_readable(thread, 0));
    assert_null(store_thread_take(thread, &code, NULL));
    store_thread_submit(thread, batch_of(1, 1));
    await_count(&fake, &fake.commits, 1);
    for (uint64_t number = 2; number <= 5; number++)
        store_thread_submit(thread, batch_of(number, 2));
    assert_false(is_readable(thread, 0));
    assert_null(store_thread_take(thread, &code, NULL)); /* nothing is durable yet */
    struct store_thread_stats stats;
    store_thread_get_stats(thread, &stats);
    assert_int_equal(stats.waiting, 5);
    set_gate(&fake, false);
    for (uint64_t number = 1; number <= 5; number++) {
        assert_int_equal(next(thread, number, NULL), 0);
        assert_true(is_readable(thread, 0)); /* until take has returned NULL */
    }
    assert_null(store_thread_take(thread, &code, NULL));
    assert_false(is_readable(thread, 0));
    assert_int_equal(fake.commits, 2);
    assert_int_equal(fake.counts[0], 1);
    assert_int_equal(fake.counts[1], 4);
    store_thread_get_stats(thread, &stats);
    assert_int_equal(stats.commits, 2);
    assert_int_equal(stats.batches, 5);
    assert_int_equal(stats.records, 9);
    assert_int_equal(stats.waiting, 0);
    assert_true(stats.commit_us_max <= stats.commit_us_total);
    uint64_t sum = 0;
    for (int i = 0; i < STORE_THREAD_BUCKETS; i++)
        sum += stats.buckets[i];
    assert_int_equal(sum, 2);
    assert_false(stats.failed);
    assert_false(fake.signals_open);
    store_thread_stop(thread);
    fake_fini(&fake);
}

static int commits_tried(struct fake *fake)
{
    (void)pthread_mutex_lock(&fake->lock);
    int count = fake->commits;
    (void)pthread_mutex_unlock(&fake->lock);
    return count;
}

static void set_always(struct fake *fake, int code)
{
    (void)pthread_mutex_lock(&fake->lock);
    fake->always = code;
    (void)pthread_mutex_unlock(&fake->lock);
}

/* Nothing is dropped or told before it fits; the first batch is tried alone, then all. */
static void test_full_disk(void **state)
{
    (void)state;
    struct fake fake;
    int code;
    fake_init(&fake);
    set_gate(&fake, true);
    struct store_thread *thread = start(&fake.store);
    for (uint64_t number = 1; number <= 4; number++) {
        store_thread_submit(thread, batch_of(number, 1));
        if (number == 1)
            await_count(&fake, &fake.commits, 1);
    }
    fake.codes[1] = ERROR_STORE_FULL;
    set_gate(&fake, false);
    assert_int_equal(next(thread, 1, NULL), 0);
    assert_null(store_thread_take(thread, &code, NULL));
    set_always(&fake, ERROR_STORE_FULL);
    while (commits_tried(&fake) < 4)
        assert_false(is_readable(thread, 10)); /* what did not fit is neither told nor dropped */
    assert_int_equal(store_thread_room(thread), STORE_ROOM_NONE);
    set_always(&fake, 0);
    for (uint64_t number = 2; number <= 4; number++)
        assert_int_equal(next(thread, number, NULL), 0);
    struct store_thread_stats stats;
    store_thread_get_stats(thread, &stats);
    assert_int_equal(stats.room, STORE_ROOM_OK);
    assert_int_equal(stats.commits, 3);
    assert_int_equal(fake.counts[1], 3);
    for (int i = 2; i < fake.commits - 1; i++)
        assert_int_equal(fake.counts[i], 1);
    assert_int_equal(fake.counts[fake.commits - 1], 2);
    store_thread_stop(thread);
    fake_fini(&fake);
}

static void test_store_that_fails(void **state)
{
    (void)state;
    static const int codes[] = {ERROR_STORE_FAILED, ERROR_INTERNAL};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct fake fake;
        struct error err = {0};
        fake_init(&fake);
        fake.codes[1] = codes[i];
        struct store_thread *thread = start(&fake.store);
        store_thread_submit(thread, batch_of(1, 1));
        assert_int_equal(next(thread, 1, &err), 0);
        store_thread_submit(thread, batch_of(2, 1));
        assert_int_equal(next(thread, 2, &err), codes[i]);
        assert_string_equal(err.text, "the fake says 1");
        assert_int_equal(err.code, codes[i]);
        for (uint64_t number = 3; number <= 5; number++) {
            store_thread_submit(thread, batch_of(number, 1));
            assert_int_equal(next(thread, number, &err), ERROR_STORE_FAILED);
            assert_string_equal(err.text, "the fake says 1");
        }
        assert_int_equal(fake.commits, 2); /* the store is left alone */
        struct store_thread_stats stats;
        store_thread_get_stats(thread, &stats);
        assert_true(stats.failed);
        assert_int_equal(stats.commits, 1);
        assert_int_equal(stats.waiting, 0);
        store_thread_stop(thread);
        fake_fini(&fake);
    }
}

static void test_housekeeping(void **state)
{
    (void)state;
    struct fake fake;
    struct error err = {0};
    fake_init(&fake);
    fake.maintains_wanted = 3;
    struct store_thread *thread = start(&fake.store);
    await_count(&fake, &fake.idle_maintains, 3); /* asked for again at once, twice */
    store_thread_submit(thread, batch_of(1, 1));
    assert_int_equal(next(thread, 1, &err), 0);
    await_count(&fake, &fake.idle_maintains, 4); /* and when it is quiet after a commit */
    (void)pthread_mutex_lock(&fake.lock);
    assert_int_equal(fake.maintains, 5); /* one of them between commits */
    fake.maintain_code = ERROR_STORE_FAILED;
    (void)pthread_mutex_unlock(&fake.lock);
    store_thread_submit(thread, batch_of(2, 1));
    assert_int_equal(next(thread, 2, &err), 0);
    await_count(&fake, &fake.maintains, 6);
    store_thread_submit(thread, batch_of(3, 1));
    assert_int_equal(next(thread, 3, &err), ERROR_STORE_FAILED);
    assert_string_equal(err.text, "housekeeping failed");
    store_thread_stop(thread);
    fake_fini(&fake);
}

static void test_stop_commits_what_waits(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    struct store_thread *thread = start(&fake.store);
    for (uint64_t number = 1; number <= 100; number++)
        store_thread_submit(thread, batch_of(number, 1));
    store_thread_stop(thread);
    assert_int_equal(fake.last_number, 100);
    store_thread_stop(NULL);
    fake_fini(&fake);
}

static void test_stop_on_a_full_disk_ends(void **state)
{
    (void)state;
    struct fake fake;
    fake_init(&fake);
    fake.always = ERROR_STORE_FULL;
    struct store_thread *thread = start(&fake.store);
    store_thread_submit(thread, batch_of(1, 1));
    store_thread_submit(thread, batch_of(2, 1));
    await_count(&fake, &fake.commits, 1);
    store_thread_stop(thread);
    assert_int_equal(fake.last_number, 0);
    fake_fini(&fake);
}

/* Whatever the interleaving, no wake-up is lost and the order is kept. */
static void test_many_batches(void **state)
{
    (void)state;
    struct fake fake;
    uint64_t submitted = 0, taken = 0;
    fake_init(&fake);
    struct store_thread *thread = start(&fake.store);
    while (taken < MANY) {
        for (uint64_t n = submitted % 7; n <= 7 && submitted < MANY && submitted - taken < 50; n++)
            store_thread_submit(thread, batch_of(++submitted, 1));
        assert_true(is_readable(thread, PATIENCE_MS));
        int code;
        for (struct batch *batch; (batch = store_thread_take(thread, &code, NULL)); record_batch_free(batch)) {
            assert_int_equal(code, 0);
            assert_int_equal(batch->number, ++taken);
        }
    }
    struct store_thread_stats stats;
    store_thread_get_stats(thread, &stats);
    assert_int_equal(stats.batches, MANY);
    assert_int_equal(stats.records, MANY);
    store_thread_stop(thread);
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_that_waits_is_one_commit), cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_store_that_fails),             cmocka_unit_test(test_housekeeping),
        cmocka_unit_test(test_stop_commits_what_waits),      cmocka_unit_test(test_stop_on_a_full_disk_ends),
        cmocka_unit_test(test_many_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
