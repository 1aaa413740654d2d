/* What can be done to a data directory that no daemon uses: end the workers one left behind, check the store. */
#include <poll.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pool/pool.h"
#include "server/server.h"
#include "store/store.h"
#include "store/store_dir.h"

enum { KILL_WAIT_MS = 15000, ADOPT_MS = 2000 };

struct left {
    bool adopted;
    uint32_t workers;
};

static void on_worker_up(void *context, const struct pool_worker *worker)
{
    struct left *left = context;
    (void)worker;
    left->workers++;
}

static void on_worker_gone(void *context, struct uuid worker_id, const char *reason)
{
    (void)context;
    (void)worker_id;
    (void)reason;
}

static void on_started(void *context, struct uuid worker_id, const struct message_started *started)
{
    (void)context;
    (void)worker_id;
    (void)started;
}

/* Not acknowledged: the next daemon finds the attempt lost, which is what a kill leaves. */
static void on_result(void *context, struct uuid worker_id, const struct job_result *result)
{
    (void)context;
    (void)worker_id;
    (void)result;
}

static void on_returned(void *context, struct uuid worker_id, const struct job_key *key)
{
    (void)context;
    (void)worker_id;
    (void)key;
}

static void on_worker_silent(void *context, struct uuid worker_id, int32_t pid)
{
    struct left *left = context;
    (void)worker_id;
    (void)pid;
    left->workers++;
}

static void on_adopted(void *context)
{
    struct left *left = context;
    left->adopted = true;
}

static int kill_workers(struct pool *pool, struct left *left, struct error *err)
{
    int code = pool_start(pool, err);
    if (code)
        return code;
    bool killing = false;
    int64_t end_ms = clock_boot_ms() + KILL_WAIT_MS;
    for (;;) {
        pool_turn(pool);
        if (left->adopted && !killing) {
            pool_kill_all(pool);
            killing = true;
        }
        if (killing && pool_live_count(pool) == 0)
            return 0;
        int64_t rest_ms = end_ms - clock_boot_ms();
        if (rest_ms <= 0)
            return error_set(err, ERROR_TIMED_OUT, "%zu workers have not ended", pool_live_count(pool));
        struct pollfd ready = {.fd = pool_fd(pool), .events = POLLIN};
        (void)poll(&ready, 1, (int)rest_ms);
    }
}

int server_kill_left(const char *data_dir, uint32_t *ret_workers, struct error *err)
{
    struct store_dir dir;
    int code = store_dir_open(data_dir, &dir, err);
    if (code)
        return code;
    struct left left = {0};
    const struct pool_options options = {.data_dir = dir.path, .workers = 0, .slots = 1, .adopt_ms = ADOPT_MS};
    const struct pool_callbacks callbacks = {
        .context = &left,
        .on_worker_up = on_worker_up,
        .on_worker_gone = on_worker_gone,
        .on_started = on_started,
        .on_result = on_result,
        .on_returned = on_returned,
        .on_worker_silent = on_worker_silent,
        .on_adopted = on_adopted,
    };
    struct pool *pool = NULL;
    code = pool_new(&options, &callbacks, &pool, err);
    if (!code)
        code = kill_workers(pool, &left, err);
    pool_free(pool);
    store_dir_close(&dir);
    *ret_workers = left.workers;
    return code;
}

int server_fsck(const char *data_dir, struct buf *ret_findings, uint32_t *ret_count, struct error *err)
{
    struct store_dir dir;
    int code = store_dir_open(data_dir, &dir, err);
    if (code)
        return code;
    struct store *store = NULL;
    const struct store_options options = {.path = dir.path, .mode = STORE_WRITE};
    code = store_open_sqlite(&options, &store, err);
    if (!code)
        code = store_check(store, STORE_CHECK_FULL, ret_findings, ret_count, err);
    store_close(store);
    store_dir_close(&dir);
    return code;
}

int server_fsck_database(const char *url, struct buf *ret_findings, uint32_t *ret_count, struct error *err)
{
    struct store *store = NULL;
    const struct store_options options = {.url = url, .mode = STORE_READ, .readers_max = 1};
    int code = store_open_postgres(&options, &store, err);
    if (!code)
        code = store_check(store, STORE_CHECK_FULL, ret_findings, ret_count, err);
    store_close(store);
    return code;
}
