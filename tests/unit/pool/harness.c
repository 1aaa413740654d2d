#include "harness.h"

#include "support/check.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { PATIENCE_MS = 60000 };

static void on_worker_up(void *context, const struct pool_worker *worker)
{
    struct harness *h = context;
    assert_true(h->up_count < SEEN_MAX);
    struct seen_worker *seen = &h->up[h->up_count++];
    *seen = (struct seen_worker){.id = worker->id,
                                 .pid = worker->pid,
                                 .slots = worker->slots,
                                 .adopted = worker->adopted,
                                 .draining = worker->draining};
    for (size_t i = 0; i < worker->held_count; i++) {
        const struct pool_held *held = &worker->held[i];
        seen->running += !held->ended;
        seen->ended += held->ended;
        seen->key = held->ended ? held->result.key : held->started.key;
        if (held->ended && held->result.error)
            (void)snprintf(seen->error, sizeof seen->error, "%s", held->result.error);
    }
}

static void on_worker_gone(void *context, struct uuid worker_id, const char *reason)
{
    struct harness *h = context;
    assert_true(h->gone_count < SEEN_MAX);
    struct seen_death *seen = &h->gone[h->gone_count++];
    *seen = (struct seen_death){.id = worker_id, .up_before = h->up_count, .adopted_before = h->adopted};
    (void)snprintf(seen->reason, sizeof seen->reason, "%s", reason);
    h->results_before_gone = h->results;
    pool_forget_worker(h->pool, worker_id);
}

static void on_started(void *context, struct uuid worker_id, const struct message_started *started)
{
    struct harness *h = context;
    (void)worker_id;
    h->started++;
    h->last_pid = started->pid;
    h->last_key = started->key;
}

static void on_result(void *context, struct uuid worker_id, const struct job_result *result)
{
    struct harness *h = context;
    h->results++;
    h->last_result = *result;
    h->last_key = result->key;
    assert_int_equal(pool_ack(h->pool, worker_id, &result->key), 0);
}

static void on_returned(void *context, struct uuid worker_id, const struct job_key *key)
{
    (void)worker_id;
    struct harness *h = context;
    h->returned++;
    h->last_key = *key;
}

static void on_worker_silent(void *context, struct uuid worker_id, int32_t pid)
{
    struct harness *h = context;
    h->silent++;
    h->silent_id = worker_id;
    h->silent_pid = pid;
}

static void on_adopted(void *context)
{
    struct harness *h = context;
    h->adopted++;
}

void harness_setup(struct harness *h)
{
    *h = (struct harness){.root = "/tmp/pawl-pool-XXXXXX"};
    assert_non_null(mkdtemp(h->root));
    (void)snprintf(h->data_dir, sizeof h->data_dir, "%s", h->root);
}

static char *workers_dir(const struct harness *h, char path[TEXT_MAX])
{
    (void)snprintf(path, TEXT_MAX, "%.280s/workers", h->data_dir);
    return path;
}

size_t harness_file_count(const struct harness *h)
{
    char path[TEXT_MAX];
    DIR *dir = opendir(workers_dir(h, path));
    size_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

int harness_open(struct harness *h, const struct pool_options *options)
{
    const struct pool_callbacks callbacks = {
        .context = h,
        .on_worker_up = on_worker_up,
        .on_worker_gone = on_worker_gone,
        .on_started = on_started,
        .on_result = on_result,
        .on_returned = on_returned,
        .on_worker_silent = on_worker_silent,
        .on_adopted = on_adopted,
    };
    struct pool_options mine = *options;
    struct error err;
    h->up_count = h->gone_count = h->adopted = h->started = h->results = h->silent = 0;
    mine.data_dir = h->data_dir;
    int code = pool_new(&mine, &callbacks, &h->pool, &err);
    if (!code)
        code = pool_start(h->pool, &err);
    return code;
}

void harness_close(struct harness *h)
{
    pool_disconnect(h->pool);
    assert_int_equal(pool_live_count(h->pool), 0);
    pool_free(h->pool);
    h->pool = NULL;
}

void harness_until(struct harness *h, harness_condition *condition, size_t count)
{
    int64_t until_ms = clock_boot_ms() + PATIENCE_MS; /* of all of it: something else may happen for ever */
    while (!condition(h, count)) {
        struct pollfd ready = {.fd = pool_fd(h->pool), .events = POLLIN};
        int64_t left_ms = until_ms - clock_boot_ms();
        if (left_ms <= 0 || poll(&ready, 1, (int)left_ms) != 1)
            fail_msg("it does not come: %zu up, %zu gone (%s), %zu started, %zu results", h->up_count, h->gone_count,
                     h->gone_count ? h->gone[h->gone_count - 1].reason : "", h->started, h->results);
        pool_turn(h->pool);
        pool_flush(h->pool);
    }
}

static bool nothing_lives(const struct harness *h, size_t count)
{
    return pool_live_count(h->pool) == count;
}

/* Files are left only of a worker that ended badly and had something to say. */
void harness_teardown(struct harness *h)
{
    char path[TEXT_MAX];
    if (h->pool) {
        pool_kill_all(h->pool);
        harness_until(h, nothing_lives, 0);
        pool_free(h->pool);
        h->pool = NULL;
        assert_int_equal(harness_file_count(h), 0);
        assert_int_equal(rmdir(workers_dir(h, path)), 0);
    }
    if (strcmp(h->data_dir, h->root) != 0)
        assert_int_equal(rmdir(h->data_dir), 0);
    assert_int_equal(rmdir(h->root), 0);
}

bool harness_is_up(const struct harness *h, size_t count)
{
    return h->up_count >= count;
}

bool harness_is_gone(const struct harness *h, size_t count)
{
    return h->gone_count >= count;
}

bool harness_is_silent(const struct harness *h, size_t count)
{
    return h->silent >= count;
}

bool harness_is_adopted(const struct harness *h, size_t count)
{
    return h->adopted >= count;
}

bool harness_has_results(const struct harness *h, size_t count)
{
    return h->results >= count;
}

bool harness_has_started(const struct harness *h, size_t count)
{
    return h->started >= count;
}

void harness_send(struct harness *h, struct uuid worker, uint64_t fence, const char *command)
{
    const struct job job = {
        .key = {.fence = fence, .number = 1},
        .kind = JOB_COMMAND,
        .log_path = "/nowhere/log",
        .workdir = "/",
        .command = command,
    };
    struct error err;
    assert_int_equal(pool_send_start(h->pool, worker, &job, &err), 0);
    pool_flush(h->pool);
}

void harness_kill(int32_t pid, int signal_number)
{
    assert_int_equal(kill(pid, signal_number), 0);
}

void harness_wait_dead(int32_t pid)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0) {
        assert_int_equal(errno, ESRCH);
        return;
    }
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 60000), 1);
    (void)close(fd);
    siginfo_t end;
    (void)waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG);
}
