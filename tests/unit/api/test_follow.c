/* Followed logs: real files and the real thread, streams that say when they were woken. */
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/api_core.h"
#include "api/api_follow.h"
#include "base/buf.h"
#include "base/mem.h"

enum { PATIENCE_S = 60 };

struct http_stream {
    atomic_uint refs;
    const struct http_stream_ops *ops;
    void *context;
};

static struct http_stream *last_stream;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static unsigned wakes;

struct http_stream *http_reply_stream(struct http_request *request, unsigned status, const char *content_type,
                                      const struct http_stream_ops *ops, void *context)
{
    (void)request;
    assert_int_equal(status, 200);
    assert_string_equal(content_type, "text/plain");
    struct http_stream *stream = mem_new(struct http_stream);
    atomic_init(&stream->refs, 2);
    stream->ops = ops;
    stream->context = context;
    last_stream = stream;
    return stream;
}

struct http_stream *http_stream_ref(struct http_stream *stream)
{
    (void)atomic_fetch_add(&stream->refs, 1);
    return stream;
}

void http_stream_unref(struct http_stream *stream)
{
    if (stream && atomic_fetch_sub(&stream->refs, 1) == 1)
        mem_free(stream);
}

void http_stream_wake(struct http_stream *stream)
{
    (void)stream;
    (void)pthread_mutex_lock(&lock);
    wakes++;
    (void)pthread_cond_signal(&woken);
    (void)pthread_mutex_unlock(&lock);
}

static struct {
    char folder[64];
    char path[128];
    struct api_follow *follow;
    struct record_attempt attempt;
} test;

static struct api no_store;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(test.folder, sizeof test.folder, "/tmp/pawl-follow-XXXXXX");
    assert_non_null(mkdtemp(test.folder));
    (void)snprintf(test.path, sizeof test.path, "%s/3.2.log", test.folder);
    test.follow = api_follow_new(&no_store);
    test.attempt = (struct record_attempt){.run_id = {{1}}, .task = 3, .number = 2};
    wakes = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    api_follow_free(test.follow);
    (void)unlink(test.path);
    assert_int_equal(rmdir(test.folder), 0);
    return 0;
}

static void append(const char *text)
{
    int fd = open(test.path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static struct http_stream *open_stream(uint64_t offset, uint64_t max)
{
    struct api_follower *follower;
    struct error err;
    assert_int_equal(
        api_follower_new(test.follow, &test.attempt, mem_strdup(test.path), offset, max, &follower, &err), 0);
    api_follower_attach(follower, NULL, "text/plain");
    return last_stream;
}

static void close_stream(struct http_stream *stream)
{
    stream->ops->close(stream->context);
    http_stream_unref(stream);
}

static void expect(struct http_stream *stream, const char *wanted, bool wants_end)
{
    struct buf text = BUF_INIT;
    char out[64];
    ssize_t len;
    while ((len = stream->ops->read(stream->context, out, sizeof out)) > 0)
        buf_add(&text, out, (size_t)len);
    assert_string_equal(buf_text(&text), wanted);
    assert_int_equal(len < 0, wants_end);
    buf_fini(&text);
}

static void wait_for_wake(void)
{
    struct timespec until;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += PATIENCE_S;
    (void)pthread_mutex_lock(&lock);
    while (!wakes)
        assert_int_equal(pthread_cond_timedwait(&woken, &lock, &until), 0);
    wakes = 0;
    (void)pthread_mutex_unlock(&lock);
}

static void publish(enum record_kind kind, uint32_t task, uint32_t number, enum task_state task_state)
{
    struct batch *batch = record_batch_new(1);
    struct record *record = record_add(batch, kind, 0);
    if (kind == RECORD_RUN_END)
        record->run.id = test.attempt.run_id;
    else
        record->attempt = (struct record_attempt){
            .run_id = test.attempt.run_id, .task = task, .number = number, .task_state = task_state};
    api_follow_publish(test.follow, batch);
    record_batch_free(batch);
}

static void follows_growth_to_the_end(void **state)
{
    (void)state;
    struct http_stream *stream = open_stream(0, UINT64_MAX);
    expect(stream, "", false);
    append("one\n");
    wait_for_wake();
    expect(stream, "one\n", false);
    append("two\n");
    wait_for_wake();
    expect(stream, "two\n", false);
    append("last\n");
    publish(RECORD_ATTEMPT_END, 3, 2, TASK_SUCCEEDED);
    expect(stream, "last\n", true);
    api_follow_stop(test.follow);
    close_stream(stream);
}

/* The end alone wakes: there may be nothing more to read. */
static void end_wakes(void **state)
{
    (void)state;
    struct http_stream *stream = open_stream(0, UINT64_MAX);
    expect(stream, "", false);
    publish(RECORD_ATTEMPT_END, 3, 2, TASK_PENDING);
    wait_for_wake();
    expect(stream, "", true);
    api_follow_stop(test.follow);
    close_stream(stream);
}

static void only_its_own_end_counts(void **state)
{
    (void)state;
    struct http_stream *stream = open_stream(0, UINT64_MAX);
    publish(RECORD_ATTEMPT_END, 4, 2, TASK_SUCCEEDED);
    publish(RECORD_ATTEMPT_END, 3, 1, TASK_PENDING);
    publish(RECORD_ATTEMPT_START, 3, 2, TASK_RUNNING);
    expect(stream, "", false);
    /* the task is over without the attempt that was waited for */
    publish(RECORD_ATTEMPT_END, 3, 1, TASK_CANCELED);
    expect(stream, "", true);
    api_follow_stop(test.follow);
    close_stream(stream);
}

static void run_and_skip_end_it(void **state)
{
    (void)state;
    struct http_stream *stream = open_stream(0, UINT64_MAX);
    publish(RECORD_RUN_END, 0, 0, TASK_PENDING);
    expect(stream, "", true);
    close_stream(stream);
    stream = open_stream(0, UINT64_MAX);
    struct batch *batch = record_batch_new(1);
    record_add_change(batch, test.attempt.run_id, 3, TASK_SKIPPED, false);
    api_follow_publish(test.follow, batch);
    record_batch_free(batch);
    expect(stream, "", true);
    api_follow_stop(test.follow);
    close_stream(stream);
}

static void range_is_kept(void **state)
{
    (void)state;
    append("0123456789");
    struct http_stream *stream = open_stream(3, 4);
    expect(stream, "3456", true);
    api_follow_stop(test.follow);
    close_stream(stream);
}

static void refused_when_stopped(void **state)
{
    (void)state;
    struct api_follower *follower;
    struct error err;
    api_follow_stop(test.follow);
    assert_int_equal(api_follower_new(test.follow, &test.attempt, mem_strdup("x"), 0, 1, &follower, &err),
                     ERROR_STOPPING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(follows_growth_to_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(end_wakes, setup, teardown),
        cmocka_unit_test_setup_teardown(only_its_own_end_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(run_and_skip_end_it, setup, teardown),
        cmocka_unit_test_setup_teardown(range_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_when_stopped, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
