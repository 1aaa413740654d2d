/* Every message there and back; every way in which bytes can be wrong. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "worker/protocol.h"

#define KEY \
    { \
        .run_id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, .fence = 0x1122334455667788u, \
        .task = 70000, .number = 3, \
    }

static const struct job_key key = KEY;

static const struct job job = {
    .key = KEY,
    .kind = JOB_ARGV,
    .timeout_ms = 5000,
    .log_path = "/data/logs/x.log",
    .log_bytes_max = 1000,
    .workdir = "/tmp",
    .env = {"A=1\0B=", 7, 2},
    .argv = {"prog\0\0a b", 10, 3},
    .code = "x\0y",
    .code_len = 3,
    .headers = {0},
    .body = "",
    .body_len = 0,
    .follow = 4,
    .warm = true,
    .may_wait = true,
};

static const struct job_result result = {
    .key = KEY,
    .outcome = ATTEMPT_FAILED,
    .error_type = FAILURE_EXIT,
    .retryable = true,
    .error = "exit status 3",
    .exit_code = 3,
    .signal = 0,
    .http_status = 0,
    .started_ms = 1000,
    .ended_ms = 1001,
    .cpu_us = 7,
    .max_rss_bytes = 8,
    .log_bytes = 9,
    .log = "a\0log...",
    .log_len = 9,
};

static void read_back(const struct message *message, struct buf *bytes, struct message *ret)
{
    struct error err = {0};
    buf_clear(bytes);
    worker_message_write(bytes, message);
    for (size_t len = 0; len < bytes->len; len++)
        assert_int_equal(worker_message_read(bytes->bytes, len, ret, &err), 0);
    assert_int_equal(worker_message_read(bytes->bytes, bytes->len, ret, &err), bytes->len);
    assert_int_equal(ret->type, message->type);
}

static void assert_list(const struct job_list *a, const struct job_list *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->len, b->len);
    if (a->len)
        assert_memory_equal(a->bytes, b->bytes, a->len);
}

static void test_start_comes_back_whole(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct message got;
    read_back(&(struct message){.type = MESSAGE_START, .start = job}, &bytes, &got);
    const struct job *back = &got.start;
    assert_true(job_key_equal(&back->key, &key));
    assert_int_equal(back->kind, JOB_ARGV);
    assert_int_equal(back->timeout_ms, 5000);
    assert_string_equal(back->log_path, job.log_path);
    assert_int_equal(back->log_bytes_max, 1000);
    assert_string_equal(back->workdir, "/tmp");
    assert_list(&back->env, &job.env);
    assert_list(&back->argv, &job.argv);
    assert_list(&back->headers, &job.headers);
    assert_null(back->command);
    assert_null(back->method);
    assert_null(back->url);
    assert_int_equal(back->code_len, 3);
    assert_memory_equal(back->code, "x\0y", 4);
    assert_non_null(back->body);
    assert_int_equal(back->body_len, 0);
    assert_int_equal(back->follow, 4);
    assert_true(back->warm);
    assert_true(back->may_wait);
    buf_fini(&bytes);
}

static void test_the_others_come_back_whole(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct message got;
    read_back(&(struct message){.type = MESSAGE_RESULT, .result = result}, &bytes, &got);
    assert_true(job_key_equal(&got.result.key, &key));
    assert_string_equal(got.result.error, "exit status 3");
    assert_int_equal(got.result.outcome, ATTEMPT_FAILED);
    assert_int_equal(got.result.error_type, FAILURE_EXIT);
    assert_true(got.result.retryable);
    assert_int_equal(got.result.exit_code, 3);
    assert_int_equal(got.result.ended_ms, 1001);
    assert_int_equal(got.result.cpu_us, 7);
    assert_int_equal(got.result.max_rss_bytes, 8);
    assert_int_equal(got.result.log_bytes, 9);
    assert_int_equal(got.result.log_len, 9);
    assert_memory_equal(got.result.log, "a\0log...", 9);

    struct message message = {.type = MESSAGE_HELLO,
                              .hello = {.version = 1, .start_ticks = 99, .pid = 12, .slots = 2,
                                        .worker_id = key.run_id, .isolation = ISOLATION_BEST_EFFORT}};
    read_back(&message, &bytes, &got);
    assert_int_equal(got.hello.start_ticks, 99);
    assert_int_equal(got.hello.pid, 12);
    assert_true(uuid_equal(got.hello.worker_id, key.run_id));
    assert_int_equal(got.hello.isolation, ISOLATION_BEST_EFFORT);

    message = (struct message){.type = MESSAGE_STARTED, .started = {.key = key, .pid = 5, .started_ms = 6}};
    read_back(&message, &bytes, &got);
    assert_int_equal(got.started.pid, 5);
    message.type = MESSAGE_HELD;
    read_back(&message, &bytes, &got);
    assert_int_equal(got.started.started_ms, 6);
    read_back(&(struct message){.type = MESSAGE_RECALL, .waiter = key}, &bytes, &got);
    assert_true(job_key_equal(&got.waiter, &key));
    read_back(&(struct message){.type = MESSAGE_RETURNED, .waiter = key}, &bytes, &got);
    assert_true(job_key_equal(&got.waiter, &key));
    read_back(&(struct message){.type = MESSAGE_ACK, .ack = key}, &bytes, &got);
    assert_true(job_key_equal(&got.ack, &key));
    message = (struct message){.type = MESSAGE_STOP, .stop = {.key = key, .reason = STOP_KILL}};
    read_back(&message, &bytes, &got);
    assert_int_equal(got.stop.reason, STOP_KILL);
    read_back(&(struct message){.type = MESSAGE_LEASE, .lease_ms = 77}, &bytes, &got);
    assert_int_equal(got.lease_ms, 77);
    static const enum message_type bare[] = {MESSAGE_READY, MESSAGE_QUIT, MESSAGE_KILL_ALL};
    for (size_t i = 0; i < 3; i++)
        read_back(&(struct message){.type = bare[i]}, &bytes, &got);
    buf_fini(&bytes);
}

/* Frames that share a read; more fields than known; types that are not known. */
static void test_later_versions_are_read(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct message got;
    worker_message_write(&bytes, &(struct message){.type = MESSAGE_ACK, .ack = key});
    uint32_t length = (uint32_t)bytes.len - 4 + 3;
    memcpy(bytes.bytes, &length, 4);
    buf_add(&bytes, "new", 3);
    size_t first = bytes.len;
    const uint16_t head[4] = {8, 0, 999, 0};
    buf_add(&bytes, head, sizeof head);
    buf_add(&bytes, "what", 4);
    assert_int_equal(worker_message_read(bytes.bytes, bytes.len, &got, NULL), first);
    assert_true(job_key_equal(&got.ack, &key));
    assert_int_equal(worker_message_read(bytes.bytes + first, bytes.len - first, &got, NULL), 12);
    assert_int_equal(got.type, MESSAGE_NONE);
    buf_fini(&bytes);
}

static void assert_refused(struct buf *bytes)
{
    struct message got;
    struct error err = {0};
    assert_int_equal(worker_message_read(bytes->bytes, bytes->len, &got, &err), -1);
    assert_true(err.text[0] != '\0');
    buf_clear(bytes);
}

static void test_bad_heads_are_refused(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    static const uint32_t lengths[] = {0, 3, LIMIT_MESSAGE_BYTES_MAX - 3, UINT32_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        buf_add(&bytes, &lengths[i], 4);
        assert_refused(&bytes);
    }
    static const uint16_t words[][4] = {{4, 0, MESSAGE_NONE, 0}, {4, 0, MESSAGE_READY, 1}};
    for (size_t i = 0; i < 2; i++) {
        buf_add(&bytes, words[i], 8);
        assert_refused(&bytes);
    }
    buf_fini(&bytes);
}

static void test_a_user_comes_back(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct message got;
    const uint32_t groups[] = {7, 100000, 0};
    for (uint32_t count = 0; count <= 3; count++) {
        struct message message = {.type = MESSAGE_START, .start = job};
        message.start.user = (struct job_user){true, 65534, 12, (const char *)groups, count};
        read_back(&message, &bytes, &got);
        const struct job_user *user = &got.start.user;
        assert_true(user->other);
        assert_int_equal(user->uid, 65534);
        assert_int_equal(user->gid, 12);
        assert_int_equal(user->group_count, count);
        if (count)
            assert_memory_equal(user->groups, groups, count * sizeof *groups);
    }
    /* -1 is no user for setresuid(2): it would leave the worker's. */
    const struct job_user none[] = {{true, UINT32_MAX, 1, NULL, 0}, {true, 1, UINT32_MAX, NULL, 0}};
    for (size_t i = 0; i < 2; i++) {
        struct message message = {.type = MESSAGE_START, .start = job};
        message.start.user = none[i];
        buf_clear(&bytes);
        worker_message_write(&bytes, &message);
        assert_int_equal(worker_message_read(bytes.bytes, bytes.len, &got, NULL), -1);
    }
    buf_fini(&bytes);
}

/* A message cut anywhere, with a length that says so: never accepted, never read beyond (ASan watches). */
static void test_short_messages_are_refused(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    worker_message_write(&bytes, &(struct message){.type = MESSAGE_START, .start = job});
    for (size_t len = PROTOCOL_HEAD_BYTES; len < bytes.len; len++) {
        char *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, bytes.bytes, len);
        uint32_t length = (uint32_t)len - 4;
        memcpy(copy, &length, 4);
        struct message got;
        /* What daemons send that do not know the last fields: `warm`, then `user`, then `may_wait`. */
        size_t missing = bytes.len - len;
        bool older = missing % sizeof(uint32_t) == 0 && missing / sizeof(uint32_t) <= 3;
        assert_int_equal(worker_message_read(copy, len, &got, NULL), older ? (ssize_t)len : -1);
        assert_true(!older || got.start.warm == (missing <= 2 * sizeof(uint32_t)));
        assert_true(!older || (!got.start.user.other && !got.start.may_wait));
        free(copy);
    }
    buf_fini(&bytes);
}

static void refuse_job(void (*spoil)(struct job *))
{
    struct job bad = job;
    struct buf bytes = BUF_INIT;
    spoil(&bad);
    worker_message_write(&bytes, &(struct message){.type = MESSAGE_START, .start = bad});
    assert_refused(&bytes);
    buf_fini(&bytes);
}

static void no_log(struct job *bad) { bad->log_path = NULL; }
static void relative_log(struct job *bad) { bad->log_path = "x.log"; }
static void no_workdir(struct job *bad) { bad->workdir = NULL; }
static void no_program(struct job *bad) { bad->argv = (struct job_list){0}; }
static void no_command(struct job *bad) { bad->kind = JOB_COMMAND; }
static void no_url(struct job *bad) { bad->kind = JOB_HTTP; }
static void bad_kind(struct job *bad) { bad->kind = JOB_KIND_COUNT; }
static void negative(struct job *bad) { bad->timeout_ms = -1; }
static void wrong_count(struct job *bad) { bad->env.count = 3; }
static void open_list(struct job *bad) { bad->env.len = 6; bad->env.bytes = "A=1\0B="; bad->env.count = 2; }
static void no_script(struct job *bad)
{
    bad->kind = JOB_PYTHON;
    bad->code = NULL;
    bad->argv = (struct job_list){"python3", 8, 1};
}

static void test_incomplete_jobs_are_refused(void **state)
{
    (void)state;
    static void (*const spoils[])(struct job *) = {no_log, relative_log, no_workdir, no_program, no_command, no_url,
                                                   bad_kind, negative, wrong_count, open_list, no_script};
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++)
        refuse_job(spoils[i]);
}

static void test_contradictory_results_are_refused(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct job_result bad[4] = {result, result, result, result};
    bad[0].outcome = ATTEMPT_RUNNING;
    bad[1].outcome = ATTEMPT_SUCCEEDED;
    bad[2].error = NULL;
    bad[3].ended_ms = 999;
    for (size_t i = 0; i < 4; i++) {
        worker_message_write(&bytes, &(struct message){.type = MESSAGE_RESULT, .result = bad[i]});
        assert_refused(&bytes);
    }
    buf_fini(&bytes);
}

static void test_a_job_beyond_the_limit_is_not_written(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct error err = {0};
    struct job big = job;
    big.body_len = LIMIT_MESSAGE_BYTES_MAX - 100;
    char *body = mem_zalloc(big.body_len + 1);
    big.body = body;
    assert_int_equal(worker_message_write_start(&bytes, &big, &err), ERROR_TOO_BIG);
    assert_int_equal(bytes.len, 0);
    big.body_len = LIMIT_MESSAGE_BYTES_MAX - 1000;
    assert_int_equal(worker_message_write_start(&bytes, &big, &err), 0);
    struct message got;
    assert_int_equal(worker_message_read(bytes.bytes, bytes.len, &got, NULL), bytes.len);
    assert_int_equal(got.start.body_len, big.body_len);
    mem_free(body);
    buf_fini(&bytes);
}

static void test_lists_are_built_and_walked(void **state)
{
    (void)state;
    struct buf bytes = BUF_INIT;
    struct job_list list = {0};
    worker_list_add(&bytes, &list.count, "one", 3);
    worker_list_add(&bytes, &list.count, "", 0);
    worker_list_add(&bytes, &list.count, "two", 3);
    list.bytes = bytes.bytes;
    list.len = bytes.len;
    const char *cursor = list.bytes;
    assert_string_equal(worker_list_next(&list, &cursor), "one");
    assert_string_equal(worker_list_next(&list, &cursor), "");
    assert_string_equal(worker_list_next(&list, &cursor), "two");
    assert_null(worker_list_next(&list, &cursor));
    buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_comes_back_whole),
        cmocka_unit_test(test_a_user_comes_back),
        cmocka_unit_test(test_the_others_come_back_whole),
        cmocka_unit_test(test_later_versions_are_read),
        cmocka_unit_test(test_bad_heads_are_refused),
        cmocka_unit_test(test_short_messages_are_refused),
        cmocka_unit_test(test_incomplete_jobs_are_refused),
        cmocka_unit_test(test_contradictory_results_are_refused),
        cmocka_unit_test(test_a_job_beyond_the_limit_is_not_written),
        cmocka_unit_test(test_lists_are_built_and_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
