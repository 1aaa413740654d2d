/* The store's writer as a thread: takes batches in order, commits everything that waits as one transaction with one
 * sync, and hands the batches back in order. Between commits it does the store's housekeeping.
 *
 *     engine's thread                          store thread
 *     store_thread_submit(batch) ------------> commit all that wait
 *     poll store_thread_fd()     <------------ eventfd
 *     store_thread_take() until NULL           durable: verdicts are filled
 *
 * When the disk is full even without the reserve, the batches stay here and are tried again until they fit; nothing
 * submitted is dropped before the stop. When the store fails, the batches of that commit come back with its code and
 * every later one with ERROR_STORE_FAILED: none of them may be acknowledged. */
#ifndef PAWL_STORE_STORE_THREAD_H
#define PAWL_STORE_STORE_THREAD_H

#include <stdint.h>

#include "base/error.h"
#include "state/record.h"
#include "store/store.h"

struct store_thread;

enum { STORE_THREAD_BUCKETS = 24 };

struct store_thread_stats {
    uint64_t commits;                       /* transactions */
    uint64_t batches;
    uint64_t records;
    uint64_t waiting;                       /* batches submitted and not durable yet */
    uint64_t commit_us_total;
    uint64_t commit_us_max;
    uint64_t buckets[STORE_THREAD_BUCKETS]; /* [i]: commits that took less than 2^(i + 4) us and not less than half */
    enum store_room room;                   /* after the last commit */
    bool failed;
};

/* Starts the thread. The store stays the caller's; its writer's slots belong to the thread until the stop. ERROR_IO:
 * no descriptor, no thread. */
int store_thread_start(struct store *store, struct store_thread **ret_thread, struct error *err);
/* Commits what was submitted, ends the thread and frees it. Batches nobody has taken are freed too; so are those that
 * do not fit on a full disk even at a last try: nobody was told of them. NULL allowed. */
void store_thread_stop(struct store_thread *thread);

/* Readable when store_thread_take has something (level triggered until it returned NULL). */
int store_thread_fd(const struct store_thread *thread);
/* Hands a batch over; never blocks on the disk. Batches come in order of their numbers. */
void store_thread_submit(struct store_thread *thread, struct batch *take_batch);
/* The next finished batch, in order, or NULL. The caller owns it. *ret_code: 0, or ERROR_STORE_FAILED, ERROR_INTERNAL
 * with words in err: nothing of the batch may be told to anybody. */
struct batch *store_thread_take(struct store_thread *thread, int *ret_code, struct error *err);
/* Any thread. */
void store_thread_get_stats(struct store_thread *thread, struct store_thread_stats *ret_stats);
/* Any thread, one atomic read: what the door and the dispatcher ask before they take on new work. */
enum store_room store_thread_room(const struct store_thread *thread);

#endif
