/* The pool against workers that behave and workers that do not. */
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "fake_worker.h"
#include "harness.h"
#include "pool/pool_model.h"

static const struct pool_options two = {.workers = 2, .slots = 3};
static const struct pool_options one = {.workers = 1, .slots = 3};

static void set_mode(const char *mode)
{
    assert_int_equal(setenv("PAWL_FAKE", mode, 1), 0);
}

static void assert_reaped(int32_t pid)
{
    siginfo_t end;
    errno = 0;
    assert_int_equal(waitid(P_PID, (id_t)pid, &end, WEXITED | WNOHANG | WNOWAIT), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_work(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &two), 0);
    assert_int_equal(h.adopted, 1); /* nobody had to be waited for */
    assert_int_equal(h.up_count, 0);
    harness_until(&h, harness_is_up, 2);
    assert_int_equal(pool_live_count(h.pool), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_false(h.up[i].adopted || h.up[i].draining);
        assert_int_equal(h.up[i].slots, 3);
        assert_int_equal(h.up[i].running + h.up[i].ended, 0);
    }
    harness_send(&h, h.up[0].id, 5, "hold");
    harness_until(&h, harness_has_started, 1);
    assert_int_equal(h.last_key.fence, 5);
    assert_int_equal(pool_stop_attempt(h.pool, h.up[0].id, &h.last_key, STOP_CANCEL), 0);
    pool_flush(h.pool);
    harness_until(&h, harness_has_results, 1);
    harness_send(&h, h.up[1].id, 6, "end");
    harness_until(&h, harness_has_results, 2);
    assert_int_equal(h.last_key.fence, 6);
    struct error err;
    const struct job job = {.kind = JOB_COMMAND};
    assert_int_equal(pool_send_start(h.pool, (struct uuid){{1}}, &job, &err), ERROR_WORKER_NOT_FOUND);
    assert_int_equal(pool_ack(h.pool, (struct uuid){{1}}, &h.last_key), ERROR_WORKER_NOT_FOUND);
    assert_int_equal(pool_quit_worker(h.pool, (struct uuid){{1}}), ERROR_WORKER_NOT_FOUND);
    harness_teardown(&h);
    assert_int_equal(h.gone_count, 2);
    assert_string_equal(h.gone[0].reason, "it exited with status 0");
    assert_reaped(h.up[0].pid);
}

/* Acknowledgements wake nobody up: they go with the next start, or when all is flushed. The fake worker quits once it
 * holds nothing, so its end tells when it heard. */
static void test_acknowledgements_wait(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &two), 0);
    harness_until(&h, harness_is_up, 2);
    for (size_t i = 0; i < 2; i++) {
        harness_send(&h, h.up[i].id, 7 + i, "end");
        assert_int_equal(pool_quit_worker(h.pool, h.up[i].id), 0);
    }
    pool_flush(h.pool);
    while (h.results < 2) {
        struct pollfd ready = {.fd = pool_fd(h.pool), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 60000), 1);
        pool_turn(h.pool);
    }
    pool_flush_urgent(h.pool);
    assert_int_equal(h.gone_count, 0);
    assert_int_equal(h.pool->dirty_count, 2);
    pool_flush(h.pool);
    assert_int_equal(h.pool->dirty_count, 0);
    harness_until(&h, harness_is_gone, 2);
    harness_teardown(&h);
}

/* What fits no message is not sent, and what was sent before and after it is. */
static void test_too_big(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    enum { SIZE = 5 * 1024 * 1024 };
    char *command = mem_alloc(SIZE + 1);
    memset(command, 'x', SIZE);
    command[SIZE] = '\0';
    const struct job job = {
        .kind = JOB_COMMAND, .log_path = "/l", .workdir = "/", .command = command, .key = {.fence = 9}};
    struct error err;
    harness_send(&h, h.up[0].id, 1, "end");
    assert_int_equal(pool_send_start(h.pool, h.up[0].id, &job, &err), ERROR_TOO_BIG);
    harness_send(&h, h.up[0].id, 2, "end");
    harness_until(&h, harness_has_results, 2);
    assert_int_equal(h.started, 2);
    assert_int_equal(h.last_key.fence, 2);
    mem_free(command);
    harness_teardown(&h);
}

/* A new daemon meets both, with what they hold, and starts none. */
static void test_adoption(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &two), 0);
    harness_until(&h, harness_is_up, 2);
    const struct seen_worker first = h.up[0], second = h.up[1];
    harness_send(&h, first.id, 11, "hold");
    harness_send(&h, second.id, 12, "hold");
    harness_until(&h, harness_has_started, 2);
    struct job_key key = {.fence = 12, .number = 1};
    assert_int_equal(pool_stop_attempt(h.pool, second.id, &key, STOP_KILL), 0); /* its end is told to nobody yet */
    harness_close(&h);

    assert_int_equal(harness_open(&h, &two), 0);
    assert_int_equal(h.adopted, 0);
    harness_until(&h, harness_is_adopted, 1);
    assert_int_equal(h.up_count, 2);
    assert_int_equal(h.gone_count, 0);
    for (size_t i = 0; i < 2; i++) {
        const struct seen_worker *up = &h.up[i];
        assert_true(up->adopted);
        assert_false(up->draining);
        if (uuid_equal(up->id, first.id)) {
            assert_int_equal(up->pid, first.pid);
            assert_int_equal(up->running, 1);
            assert_int_equal(up->ended, 0);
            assert_int_equal(up->key.fence, 11);
        } else {
            assert_true(uuid_equal(up->id, second.id));
            assert_int_equal(up->running, 0);
            assert_int_equal(up->ended, 1);
            assert_int_equal(up->key.fence, 12);
            assert_string_equal(up->error, "stopped as it was told");
        }
    }
    harness_send(&h, first.id, 13, "end");
    harness_until(&h, harness_has_results, 1);
    assert_int_equal(pool_live_count(h.pool), 2);
    harness_teardown(&h);
}

/* One died meanwhile: that is said before the adoption is complete, and it is replaced. */
static void test_found_dead(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &two), 0);
    harness_until(&h, harness_is_up, 2);
    const struct seen_worker dead = h.up[0];
    harness_close(&h);
    harness_kill(dead.pid, SIGKILL);
    harness_wait_dead(dead.pid);

    assert_int_equal(harness_open(&h, &two), 0);
    assert_int_equal(h.gone_count, 1);
    assert_true(uuid_equal(h.gone[0].id, dead.id));
    assert_int_equal(h.gone[0].adopted_before, 0);
    assert_string_equal(h.gone[0].reason, "it died while there was no daemon");
    harness_until(&h, harness_is_up, 2);
    assert_int_equal(h.adopted, 1);
    assert_int_equal(h.up[0].adopted + h.up[1].adopted, 1);
    harness_teardown(&h);
}

static void test_death(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    harness_kill(h.up[0].pid, SIGKILL);
    harness_until(&h, harness_is_gone, 1);
    assert_true(uuid_equal(h.gone[0].id, h.up[0].id));
    assert_string_equal(h.gone[0].reason, "it was killed by signal 9 (Killed)");
    assert_reaped(h.up[0].pid);
    harness_until(&h, harness_is_up, 2);
    assert_false(uuid_equal(h.up[0].id, h.up[1].id));
    harness_teardown(&h);
}

/* What a worker wrote before it died is its word all the same, and comes before the news of its death. */
static void test_last_words(void **state)
{
    (void)state;
    enum { MANY = 150 };
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    int32_t pid = h.up[0].pid;
    for (uint64_t i = 1; i < MANY; i++)
        harness_send(&h, h.up[0].id, i, "end");
    harness_send(&h, h.up[0].id, MANY, "crash");
    siginfo_t end; /* its words and its death are there at once, the words more than one read takes */
    assert_int_equal(waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT), 0);
    harness_until(&h, harness_is_gone, 1);
    assert_int_equal(h.results_before_gone, MANY);
    assert_string_equal(h.gone[0].reason, "it exited with status 9");
    harness_teardown(&h);
}

/* The first early death is replaced at once, then the delay doubles up to its end. */
static void test_backoff(void **state)
{
    (void)state;
    struct pool pool = {0};
    int64_t now_ms = 1000000, delays[12];
    for (int i = 0; i < 12; i++) {
        pool_put_off_refill(&pool, now_ms);
        delays[i] = pool.refill_ms > now_ms ? pool.refill_ms - now_ms : 0;
    }
    static const int64_t expected[] = {0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    assert_memory_equal(delays, expected, sizeof expected);
}

static void test_dies_at_once(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    set_mode("die");
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_gone, 4);
    assert_int_equal(h.up_count, 0);
    assert_string_equal(h.gone[3].reason, "it exited with status 3");
    assert_int_equal(h.pool->early_deaths, 4);
    set_mode("good"); /* it recovers by itself */
    harness_until(&h, harness_is_up, 1);
    harness_teardown(&h);
}

static void test_cannot_start(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    const struct pool_options missing = {.workers = 1, .slots = 1, .exe = "/nonexistent/pawl"};
    assert_int_equal(harness_open(&h, &missing), 0);
    harness_until(&h, harness_is_gone, 3);
    assert_true(uuid_is_zero(h.gone[2].id));
    assert_string_equal(h.gone[2].reason, "it could not be started: cannot execute /nonexistent/pawl: No such file or "
                                          "directory");
    assert_int_equal(harness_file_count(&h), 0);
    harness_teardown(&h);
}

struct bad_peer {
    const char *mode;
    const char *reason; /* its beginning */
    bool was_up;
};

static const struct bad_peer bad_peers[] = {
    {"mute", "it did not say within 300 ms what it holds", false},
    {"deaf", "it did not say within 300 ms what it holds", false},
    {"version", "it was ended because it speaks version 99 of the protocol, this daemon 1", false},
    {"boot", "it was ended because it is not the process it says it is", false},
    {"ticks", "it was ended because it started at another time than it says", false},
    {"id", "it was ended because it has the id of another worker", false},
    {"slots", "it was ended because it sent bytes that are no message: ", false},
    {"proxy", "it was ended because another process answered for it", false},
    {"early", "it was ended because it sent a message that has no place when a worker is met", false},
    {"garbage", "it was ended because it sent bytes that are no message: ", false},
    {"twice", "it was ended because it sent a message that only a daemon sends, or sent one twice", true},
    {"daemon", "it was ended because it sent a message that only a daemon sends, or sent one twice", true},
    {"close", "it closed its connection and did not end", true},
};

/* Each is ended, for good, before anybody hears that it is gone. */
static void test_bad_peers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_peers / sizeof bad_peers[0]; i++) {
        const struct bad_peer *peer = &bad_peers[i];
        struct harness h;
        harness_setup(&h);
        struct pool_options options = one;
        options.adopt_ms = 300;
        set_mode(peer->mode);
        assert_int_equal(harness_open(&h, &options), 0);
        int32_t pid = h.pool->links[0]->pid;
        set_mode("good");
        harness_until(&h, harness_is_gone, 1);
        if (strncmp(h.gone[0].reason, peer->reason, strlen(peer->reason)) != 0)
            fail_msg("%s: %s", peer->mode, h.gone[0].reason);
        assert_int_equal(h.gone[0].up_before, peer->was_up);
        assert_reaped(pid);
        options.adopt_ms = 0;
        harness_until(&h, harness_is_up, peer->was_up + 1u);
        harness_teardown(&h);
    }
}

/* A worker that holds an attempt and is stopped; its daemon is gone. */
static struct seen_worker leave_stopped(struct harness *h)
{
    harness_setup(h);
    assert_int_equal(harness_open(h, &one), 0);
    harness_until(h, harness_is_up, 1);
    const struct seen_worker worker = h->up[0];
    harness_send(h, worker.id, 21, "hold");
    harness_until(h, harness_has_started, 1);
    harness_kill(worker.pid, SIGSTOP);
    harness_close(h);
    return worker;
}

static const struct pool_options brief = {.workers = 1, .slots = 3, .adopt_ms = 1};

/* Found alive, but it says nothing: all goes on without it, and it is not given up. */
static void test_former_silent(void **state)
{
    (void)state;
    struct harness h;
    const struct seen_worker stopped = leave_stopped(&h);
    assert_int_equal(harness_open(&h, &brief), 0);
    assert_int_equal(h.adopted, 0);
    harness_until(&h, harness_is_silent, 1);
    assert_true(uuid_equal(h.silent_id, stopped.id));
    assert_int_equal(h.silent_pid, stopped.pid);
    harness_until(&h, harness_is_adopted, 1);
    h.pool->options.adopt_ms = 60000; /* for the one that takes its place */
    harness_until(&h, harness_is_up, 1);
    assert_false(uuid_equal(h.up[0].id, stopped.id));
    assert_int_equal(pool_stop_attempt(h.pool, stopped.id, &stopped.key, STOP_CANCEL), ERROR_WORKER_NOT_FOUND);
    assert_int_equal(pool_live_count(h.pool), 2);
    harness_kill(stopped.pid, SIGCONT);
    harness_until(&h, harness_is_up, 2);
    assert_true(uuid_equal(h.up[1].id, stopped.id) && h.up[1].adopted);
    assert_true(h.up[1].draining); /* another one has its place */
    assert_int_equal(h.up[1].running, 1);
    assert_int_equal(h.up[1].key.fence, 21);
    assert_int_equal(h.gone_count, 0);
    assert_int_equal(pool_stop_attempt(h.pool, stopped.id, &h.up[1].key, STOP_CANCEL), 0);
    pool_flush(h.pool);
    harness_until(&h, harness_is_gone, 1);
    assert_int_equal(h.results_before_gone, 1);
    harness_teardown(&h);
}

static void test_silent_dies(void **state)
{
    (void)state;
    struct harness h;
    const struct seen_worker stopped = leave_stopped(&h);
    assert_int_equal(harness_open(&h, &brief), 0);
    harness_until(&h, harness_is_silent, 1);
    h.pool->options.adopt_ms = 60000;
    harness_kill(stopped.pid, SIGKILL);
    harness_until(&h, harness_is_gone, 1);
    assert_true(uuid_equal(h.gone[0].id, stopped.id));
    assert_string_equal(h.gone[0].reason, "it was killed by signal 9 (Killed)");
    harness_teardown(&h);
}

/* Each daemon that died has left a call in its queue; in the end there is no room for another. */
static void test_silent_is_called_again(void **state)
{
    (void)state;
    enum { MORE_THAN_ITS_QUEUE = 12 };
    struct harness h;
    const struct seen_worker stopped = leave_stopped(&h);
    for (int i = 0; i < MORE_THAN_ITS_QUEUE; i++) {
        assert_int_equal(harness_open(&h, &one), 0);
        assert_int_equal(pool_live_count(h.pool), 1);
        harness_close(&h);
    }
    const struct pool_options patient = {.workers = 1, .slots = 3, .adopt_ms = 60000};
    assert_int_equal(harness_open(&h, &patient), 0);
    assert_int_equal(h.pool->links[0]->fd, -1);
    harness_kill(stopped.pid, SIGCONT);
    harness_until(&h, harness_is_adopted, 1);
    assert_int_equal(h.gone_count + h.silent, 0);
    assert_int_equal(h.up[0].running, 1);
    assert_false(h.up[0].draining);
    harness_teardown(&h);
}

/* Nothing that it may run matters: it is ended, as it is when everything is. */
static void test_silent_is_ended(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct harness h;
        const struct seen_worker stopped = leave_stopped(&h);
        assert_int_equal(harness_open(&h, &brief), 0);
        harness_until(&h, harness_is_silent, 1);
        h.pool->options.adopt_ms = 60000;
        if (all)
            pool_kill_all(h.pool);
        else
            pool_end_silent(h.pool, stopped.id);
        harness_until(&h, harness_is_gone, all ? 2 : 1); /* and the one that took its place */
        harness_wait_dead(stopped.pid);
        harness_teardown(&h);
    }
}

/* A worker of another version is ended: its attempts are lost, not run twice. */
static void test_former_version(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    set_mode("version");
    assert_int_equal(harness_open(&h, &one), 0);
    harness_close(&h);
    set_mode("good");
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_adopted, 1);
    assert_int_equal(h.gone_count, 1);
    assert_int_equal(h.gone[0].adopted_before, 0);
    assert_string_equal(h.gone[0].reason,
                        "it was ended because it speaks version 99 of the protocol, this daemon 1");
    harness_until(&h, harness_is_up, 1);
    harness_teardown(&h);
}

static size_t count_draining(const struct harness *h)
{
    size_t count = 0;
    for (size_t i = 0; i < h->up_count; i++)
        count += h->up[i].draining;
    return count;
}

static void test_surplus(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    const struct pool_options three = {.workers = 3, .slots = 3};
    assert_int_equal(harness_open(&h, &three), 0);
    harness_until(&h, harness_is_up, 3);
    for (size_t i = 0; i < 3; i++)
        harness_send(&h, h.up[i].id, i + 1, "hold");
    harness_until(&h, harness_has_started, 3);
    harness_close(&h);

    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 3);
    assert_int_equal(count_draining(&h), 2);
    assert_int_equal(h.gone_count, 0); /* each has something to finish */
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pool_stop_attempt(h.pool, h.up[i].id, &h.up[i].key, STOP_CANCEL), 0);
    pool_flush(h.pool);
    harness_until(&h, harness_is_gone, 2);
    assert_int_equal(pool_live_count(h.pool), 1);
    assert_int_equal(h.up_count, 3);
    harness_teardown(&h);
}

/* Workers with other slots finish what they have; others take their place at once. */
static void test_other_slots(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    harness_send(&h, h.up[0].id, 1, "hold");
    harness_until(&h, harness_has_started, 1);
    harness_close(&h);
    const struct pool_options wider = {.workers = 1, .slots = 5};
    assert_int_equal(harness_open(&h, &wider), 0);
    harness_until(&h, harness_is_up, 2);
    assert_true(h.up[0].adopted && h.up[0].draining);
    assert_false(h.up[1].adopted || h.up[1].draining);
    assert_int_equal(h.up[1].slots, 5);
    harness_teardown(&h);
}

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    assert_true(in >= 0 && out >= 0);
    ssize_t got;
    while ((got = read(in, bytes, sizeof bytes)) > 0)
        assert_int_equal(write(out, bytes, (size_t)got), got);
    (void)close(in);
    (void)close(out);
}

/* After an upgrade the old program's workers leave as they become idle. */
static void test_other_program(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    struct uuid old = h.up[0].id;
    harness_close(&h);
    char exe[TEXT_MAX + 8];
    (void)snprintf(exe, sizeof exe, "%s/pawl", h.root);
    copy_file("/proc/self/exe", exe);
    struct pool_options upgraded = one;
    upgraded.exe = exe;
    assert_int_equal(harness_open(&h, &upgraded), 0);
    harness_until(&h, harness_is_up, 2);
    assert_true(uuid_equal(h.up[0].id, old) && h.up[0].draining);
    assert_false(h.up[1].draining);
    harness_until(&h, harness_is_gone, 1);
    assert_true(uuid_equal(h.gone[0].id, old));
    assert_int_equal(unlink(exe), 0);
    harness_teardown(&h);
}

/* A worker that does not read holds up nobody, and gets everything once it does. */
static void test_slow_peer(void **state)
{
    (void)state;
    enum { MANY = 4000 };
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &two), 0);
    harness_until(&h, harness_is_up, 2);
    harness_kill(h.up[0].pid, SIGSTOP);
    for (uint64_t i = 1; i <= MANY; i++)
        harness_send(&h, h.up[0].id, i, "hold"); /* no answer that would make us write again */
    harness_send(&h, h.up[1].id, MANY + 1, "end");
    harness_until(&h, harness_has_results, 1);
    assert_int_equal(h.last_key.fence, MANY + 1);
    assert_true(h.pool->links[0]->out.len + h.pool->links[1]->out.len > 0);
    harness_kill(h.up[0].pid, SIGCONT);
    harness_until(&h, harness_has_started, MANY + 1);
    assert_int_equal(h.last_key.fence, MANY);
    assert_int_equal(h.pool->links[0]->out.len + h.pool->links[1]->out.len, 0);
    harness_teardown(&h);
}

static bool one_lives(const struct harness *h, size_t count)
{
    return pool_live_count(h->pool) == count;
}

static void test_quit(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &two), 0);
    harness_until(&h, harness_is_up, 2);
    assert_int_equal(pool_quit_worker(h.pool, h.up[0].id), 0);
    pool_flush(h.pool);
    harness_until(&h, harness_is_up, 3); /* replaced once it has ended, and not before */
    assert_int_equal(h.gone_count, 1);
    harness_send(&h, h.up[1].id, 1, "hold");
    harness_until(&h, harness_has_started, 1);
    pool_quit_idle(h.pool);
    harness_until(&h, one_lives, 1);
    assert_int_equal(pool_stop_attempt(h.pool, h.up[1].id, &h.last_key, STOP_CANCEL), 0);
    pool_flush(h.pool);
    harness_until(&h, one_lives, 0);
    assert_int_equal(h.up_count, 3);
    harness_teardown(&h);
}

/* A worker that does not end by itself is ended. */
static void test_kill_all_stopped(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    harness_kill(h.up[0].pid, SIGSTOP);
    pool_kill_all(h.pool);
    harness_until(&h, one_lives, 0);
    assert_string_equal(h.gone[0].reason, "it was told to end and did not in time");
    assert_reaped(h.up[0].pid);
    harness_teardown(&h);
}

static void test_kill_all_at_birth(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    assert_int_equal(harness_open(&h, &two), 0);
    harness_teardown(&h); /* no worker has said anything yet */
    assert_int_equal(h.gone_count, 2);
}

static void make_file(const struct harness *h, const char *name)
{
    char path[2 * TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s/workers/%s", h->data_dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

/* What crashes at any step of a start may leave; what is not a worker's stays. */
static void test_stray_files(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    char path[2 * TEXT_MAX];
    (void)snprintf(path, sizeof path, "%s/workers", h.data_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    make_file(&h, "01890a5d-ac96-774b-bcce-b302099a8057.lock");
    make_file(&h, "01890a5d-ac96-774b-bcce-b302099a8057.sock");
    make_file(&h, "01890a5d-ac96-774b-bcce-b302099a8058.log");
    make_file(&h, "README");
    const struct pool_options none = {.workers = 0, .slots = 1};
    assert_int_equal(harness_open(&h, &none), 0);
    assert_int_equal(h.adopted, 1);
    assert_int_equal(h.gone_count, 1);
    assert_int_equal(h.gone[0].id.bytes[15], 0x57);
    assert_int_equal(harness_file_count(&h), 1);
    (void)snprintf(path, sizeof path, "%s/workers/README", h.data_dir);
    assert_int_equal(unlink(path), 0);
    harness_teardown(&h);
}

/* A socket's address is short; a data directory need not be. */
static void test_long_path(void **state)
{
    (void)state;
    struct harness h;
    harness_setup(&h);
    size_t len = strlen(h.data_dir);
    h.data_dir[len] = '/';
    memset(h.data_dir + len + 1, 'd', 200);
    h.data_dir[len + 201] = '\0';
    assert_int_equal(mkdir(h.data_dir, 0700), 0);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    harness_close(&h);
    assert_int_equal(harness_open(&h, &one), 0);
    harness_until(&h, harness_is_up, 1);
    assert_true(h.up[0].adopted);
    harness_teardown(&h);
}

static void test_no_directory(void **state)
{
    (void)state;
    const struct pool_callbacks callbacks = {0};
    const struct pool_options options = {.data_dir = "/nonexistent/data", .workers = 1, .slots = 1};
    struct pool *pool;
    struct error err;
    assert_int_equal(pool_new(&options, &callbacks, &pool, &err), ERROR_IO);
    pool_free(NULL);
}

static int reset_mode(void **state)
{
    (void)state;
    set_mode("good");
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, reset_mode)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return fake_worker(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(test_acknowledgements_wait),
        TEST(test_work),           TEST(test_too_big),        TEST(test_adoption),       TEST(test_found_dead),
        TEST(test_death),          TEST(test_last_words),     TEST(test_backoff),        TEST(test_dies_at_once),
        TEST(test_cannot_start),   TEST(test_bad_peers),      TEST(test_former_silent),  TEST(test_former_version),
        TEST(test_silent_dies),    TEST(test_silent_is_called_again), TEST(test_silent_is_ended),
        TEST(test_surplus),        TEST(test_other_slots),    TEST(test_other_program),  TEST(test_slow_peer),
        TEST(test_quit),           TEST(test_kill_all_stopped), TEST(test_kill_all_at_birth),
        TEST(test_stray_files),    TEST(test_long_path),      TEST(test_no_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
