/* See store_thread.h. One lock guards both queues. Who sleeps is woken once: the thread by a condition when something
 * comes while it waits, the engine by the eventfd when the queue of finished batches was empty.
 *
 *     submit     waiting += batch, wake the thread if it sleeps
 *     thread     takes all of waiting, commits without the lock, finished += them, eventfd if it was drained
 *     take       finished -= batch; at its end the eventfd is drained
 *
 * Nothing ticks: after a commit the thread looks once more when it has been quiet for a moment (housekeeping), then
 * sleeps until a batch comes or the store asked to be called. */
#include "store/store_thread.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { QUIET_MS = 20, RETRY_MS = 200 };

struct finished {
    struct batch *batch;
    int code;
};

struct store_thread {
    struct store *store;
    pthread_t thread;
    int fd;                     /* eventfd: finished is not empty, or was when take last looked */

    pthread_mutex_t lock;       /* of everything below */
    pthread_cond_t came;        /* monotonic clock */
    struct batch **waiting;     /* submitted, in order */
    size_t waiting_count, waiting_cap;
    struct finished *finished;  /* [finished_first, finished_count): not taken yet */
    size_t finished_first, finished_count, finished_cap;
    bool signaled;              /* the eventfd is readable */
    bool asleep;                /* the thread waits on `came` */
    bool stopping;
    uint64_t last_number;       /* of the last batch submitted */
    int failure;                /* 0, or the code that ended the store */
    struct error failure_text;
    struct store_thread_stats stats;

    /* the thread's own */
    struct batch **taken;       /* being committed */
    size_t taken_count, taken_cap;
    int64_t maintain_ms;        /* boot time at which the store wants to be called; -1: not at all */
    bool full;                  /* the last commit did not fit */
    bool again;                 /* it is to be tried again: full, or the database could not be reached */
};

/* ---- the queues; the lock is held ---- */

static void finish(struct store_thread *thread, struct batch *batch, int code)
{
    if (thread->finished_first == thread->finished_count)
        thread->finished_first = thread->finished_count = 0;
    thread->finished =
        mem_grow(thread->finished, &thread->finished_cap, thread->finished_count + 1, sizeof *thread->finished);
    thread->finished[thread->finished_count++] = (struct finished){batch, code};
    if (thread->signaled)
        return;
    thread->signaled = true;
    uint64_t one = 1;
    ssize_t written = write(thread->fd, &one, sizeof one);
    assert(written == sizeof one);
}

/* Moves all that waits behind what is there already (batches that did not fit). */
static void take_waiting(struct store_thread *thread)
{
    if (!thread->waiting_count)
        return;
    size_t count = thread->taken_count + thread->waiting_count;
    thread->taken = mem_grow(thread->taken, &thread->taken_cap, count, sizeof(struct batch *));
    memcpy(thread->taken + thread->taken_count, thread->waiting, thread->waiting_count * sizeof(struct batch *));
    thread->taken_count = count;
    thread->waiting_count = 0;
}

static void give_back(struct store_thread *thread, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        finish(thread, thread->taken[i], code);
    thread->taken_count -= count;
    memmove(thread->taken, thread->taken + count, thread->taken_count * sizeof(struct batch *));
    thread->stats.waiting -= count;
}

static void fail(struct store_thread *thread, int code, const struct error *err)
{
    if (thread->failure)
        return;
    thread->failure = code;
    thread->failure_text = *err;
    thread->stats.failed = true;
}

static void count_commit(struct store_thread *thread, size_t count, int64_t took_us)
{
    struct store_thread_stats *stats = &thread->stats;
    uint64_t us = took_us > 0 ? (uint64_t)took_us : 0;
    int bucket = 0;
    while (bucket < STORE_THREAD_BUCKETS - 1 && us >> (bucket + 4))
        bucket++;
    stats->buckets[bucket]++;
    stats->commits++;
    stats->commit_us_total += us;
    if (us > stats->commit_us_max)
        stats->commit_us_max = us;
    stats->batches += count;
    for (size_t i = 0; i < count; i++)
        stats->records += thread->taken[i]->count;
}

/* ---- the thread ---- */

/* Sleeps until something comes, the stop, or boot time due_ms (-1: for ever). The lock is held. */
static void sleep_until(struct store_thread *thread, int64_t due_ms)
{
    int64_t wait_ms = due_ms - clock_boot_ms();
    if (due_ms >= 0 && wait_ms <= 0)
        return;
    thread->asleep = true;
    if (due_ms < 0) {
        (void)pthread_cond_wait(&thread->came, &thread->lock);
    } else {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += wait_ms / 1000;
        until.tv_nsec += wait_ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        (void)pthread_cond_timedwait(&thread->came, &thread->lock, &until);
    }
    thread->asleep = false;
}

/* Commits what was taken; a full disk is tried again with the first batch alone, a database that could not be reached
 * with all of it. The lock is held on both sides. */
static void commit(struct store_thread *thread)
{
    struct error err = {0};
    size_t count = thread->full ? 1 : thread->taken_count;
    if (thread->failure) {
        give_back(thread, thread->taken_count, ERROR_STORE_FAILED);
        return;
    }
    (void)pthread_mutex_unlock(&thread->lock);
    int64_t began_us = clock_boot_us();
    int code = store_commit(thread->store, thread->taken, count, &err);
    int64_t took_us = clock_boot_us() - began_us;
    (void)pthread_mutex_lock(&thread->lock);
    thread->full = code == ERROR_STORE_FULL;
    thread->again = thread->full || code == ERROR_STORE_AWAY;
    if (thread->again)
        return;
    if (code)
        fail(thread, code, &err);
    else
        count_commit(thread, count, took_us);
    give_back(thread, count, code);
}

/* The store's housekeeping. The lock is held on both sides. */
static void maintain(struct store_thread *thread, bool idle)
{
    struct error err = {0};
    int64_t next_ms = -1;
    thread->maintain_ms = -1;
    if (thread->failure)
        return;
    (void)pthread_mutex_unlock(&thread->lock);
    int code = store_maintain(thread->store, clock_wall_ms(), idle, &next_ms, &err);
    (void)pthread_mutex_lock(&thread->lock);
    if (code)
        fail(thread, code, &err);
    else if (next_ms >= 0)
        thread->maintain_ms = clock_boot_ms() + next_ms;
}

static bool is_due(int64_t due_ms)
{
    return due_ms >= 0 && clock_boot_ms() >= due_ms;
}

/* Sleeps until there is something to commit or the stop, and keeps house meanwhile. The lock is held. */
static void wait_for_work(struct store_thread *thread, bool after_commit)
{
    int64_t quiet_ms = after_commit ? clock_boot_ms() + QUIET_MS : -1;
    while (!thread->waiting_count && !thread->stopping) {
        bool quiet_first = quiet_ms >= 0 && (thread->maintain_ms < 0 || quiet_ms < thread->maintain_ms);
        int64_t due_ms = quiet_first ? quiet_ms : thread->maintain_ms;
        sleep_until(thread, due_ms);
        if (is_due(due_ms) && !thread->waiting_count && !thread->stopping) {
            quiet_ms = -1;
            maintain(thread, true);
        }
    }
}

/* The disk is full: the housekeeping may find room; else another try a little later, as when the database could not be
 * reached. The lock is held. */
static void wait_for_room(struct store_thread *thread)
{
    int64_t again_ms = clock_boot_ms() + RETRY_MS;
    maintain(thread, false);
    while (!thread->stopping && !is_due(again_ms))
        sleep_until(thread, again_ms);
}

static void *run(void *context)
{
    struct store_thread *thread = context;
    bool committed = true; /* the first quiet moment is for what an earlier life left to do */
    (void)pthread_setname_np(pthread_self(), "store");
    (void)pthread_mutex_lock(&thread->lock);
    for (;;) {
        if (!thread->taken_count)
            wait_for_work(thread, committed);
        take_waiting(thread);
        if (!thread->taken_count)
            break; /* stopping */
        commit(thread);
        committed = true;
        if (!thread->again)
            maintain(thread, false);
        else if (thread->stopping)
            break;
        else
            wait_for_room(thread);
    }
    (void)pthread_mutex_unlock(&thread->lock);
    return NULL;
}

/* ---- callers ---- */

static void end(struct store_thread *thread)
{
    (void)pthread_cond_destroy(&thread->came);
    (void)pthread_mutex_destroy(&thread->lock);
    if (thread->fd >= 0)
        (void)close(thread->fd);
    mem_free(thread);
}

int store_thread_start(struct store *store, struct store_thread **ret_thread, struct error *err)
{
    struct store_thread *thread = mem_new(struct store_thread);
    pthread_condattr_t attributes;
    sigset_t all, before;
    thread->store = store;
    thread->maintain_ms = -1;
    thread->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int failed = thread->fd < 0 ? errno : 0;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&thread->came, &attributes); /* neither of these can fail on Linux */
    (void)pthread_mutex_init(&thread->lock, NULL);
    (void)pthread_condattr_destroy(&attributes);
    /* signals are the main thread's */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!failed)
        failed = pthread_create(&thread->thread, NULL, run, thread);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) {
        *ret_thread = thread;
        return 0;
    }
    end(thread);
    return error_set(err, ERROR_IO, "cannot start the store's thread: %s", strerror(failed));
}

void store_thread_stop(struct store_thread *thread)
{
    if (!thread)
        return;
    (void)pthread_mutex_lock(&thread->lock);
    thread->stopping = true;
    (void)pthread_cond_signal(&thread->came);
    (void)pthread_mutex_unlock(&thread->lock);
    (void)pthread_join(thread->thread, NULL);
    for (size_t i = thread->finished_first; i < thread->finished_count; i++)
        record_batch_free(thread->finished[i].batch);
    for (size_t i = 0; i < thread->taken_count; i++)
        record_batch_free(thread->taken[i]);
    for (size_t i = 0; i < thread->waiting_count; i++)
        record_batch_free(thread->waiting[i]);
    mem_free(thread->finished);
    mem_free(thread->taken);
    mem_free(thread->waiting);
    end(thread);
}

int store_thread_fd(const struct store_thread *thread)
{
    return thread->fd;
}

void store_thread_submit(struct store_thread *thread, struct batch *take_batch)
{
    (void)pthread_mutex_lock(&thread->lock);
    assert(take_batch->number > thread->last_number);
    thread->last_number = take_batch->number;
    thread->waiting =
        mem_grow(thread->waiting, &thread->waiting_cap, thread->waiting_count + 1, sizeof(struct batch *));
    thread->waiting[thread->waiting_count++] = take_batch;
    thread->stats.waiting++;
    bool wake = thread->asleep;
    thread->asleep = false;
    (void)pthread_mutex_unlock(&thread->lock);
    if (wake)
        (void)pthread_cond_signal(&thread->came);
}

struct batch *store_thread_take(struct store_thread *thread, int *ret_code, struct error *err)
{
    struct batch *batch = NULL;
    (void)pthread_mutex_lock(&thread->lock);
    if (thread->finished_first < thread->finished_count) {
        struct finished *next = &thread->finished[thread->finished_first++];
        batch = next->batch;
        *ret_code = next->code;
        if (next->code)
            (void)error_set(err, (enum error_code)next->code, "%s", thread->failure_text.text);
    } else if (thread->signaled) {
        uint64_t count;
        ssize_t got = read(thread->fd, &count, sizeof count);
        assert(got == sizeof count);
        thread->signaled = false;
    }
    (void)pthread_mutex_unlock(&thread->lock);
    return batch;
}

void store_thread_get_stats(struct store_thread *thread, struct store_thread_stats *ret_stats)
{
    (void)pthread_mutex_lock(&thread->lock);
    *ret_stats = thread->stats;
    (void)pthread_mutex_unlock(&thread->lock);
    ret_stats->room = store_thread_room(thread);
}

enum store_room store_thread_room(const struct store_thread *thread)
{
    return thread->store->room;
}
