/* Ring and readers, with streams that only remember that they were woken. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "api/api_event_ring.h"
#include "base/buf.h"
#include "base/mem.h"

enum { KEPT = 8 };

/* Stands in for http/'s: the ring asks nothing else of it. */
struct http_stream {
    unsigned refs;
    unsigned wakes;
    const struct http_stream_ops *ops;
    void *context;
};

static struct http_stream *last_stream;

struct http_stream *http_reply_stream(struct http_request *request, unsigned status, const char *content_type,
                                      const struct http_stream_ops *ops, void *context)
{
    (void)request;
    assert_int_equal(status, 200);
    assert_string_equal(content_type, "text/event-stream");
    struct http_stream *stream = mem_new(struct http_stream);
    *stream = (struct http_stream){.refs = 2, .ops = ops, .context = context};
    last_stream = stream;
    return stream;
}

struct http_stream *http_stream_ref(struct http_stream *stream)
{
    stream->refs++;
    return stream;
}

void http_stream_unref(struct http_stream *stream)
{
    if (stream && --stream->refs == 0)
        mem_free(stream);
}

void http_stream_wake(struct http_stream *stream)
{
    stream->wakes++;
}

static struct api_event_ring *ring;

static int setup(void **state)
{
    (void)state;
    ring = api_event_ring_new(777, KEPT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    api_event_ring_free(ring);
    return 0;
}

static struct uuid run_of(uint8_t n)
{
    return (struct uuid){{n}};
}

static struct http_stream *open_stream(const struct uuid *run_id, const char *last_id, enum api_event_start *ret_start)
{
    struct api_event_reader *reader = api_event_reader_new(ring, run_id, last_id, ret_start);
    api_event_reader_attach(reader, NULL);
    return last_stream;
}

static void close_stream(struct http_stream *stream)
{
    stream->ops->close(stream->context);
    http_stream_unref(stream);
}

/* All there is to read, in pieces of `piece`; *ret_ends as the stream said last. */
static char *drain(struct http_stream *stream, size_t piece, bool *ret_ends)
{
    struct buf text = BUF_INIT;
    char out[4096];
    ssize_t len;
    while ((len = stream->ops->read(stream->context, out, piece)) > 0)
        buf_add(&text, out, (size_t)len);
    if (ret_ends)
        *ret_ends = len < 0;
    return buf_take(&text);
}

static void expect(struct http_stream *stream, const char *wanted, bool wants_end)
{
    bool ends;
    char *text = drain(stream, sizeof(char[4096]), &ends);
    assert_string_equal(text, wanted);
    assert_int_equal(ends, wants_end);
    mem_free(text);
}

static void read_away(struct http_stream *stream)
{
    mem_free(drain(stream, 4096, NULL));
}

static void add(uint8_t run, const char *data)
{
    api_event_ring_add(ring, "task", run_of(run), false, data, strlen(data));
}

static void reader_of_all_gets_all(void **state)
{
    (void)state;
    enum api_event_start start;
    struct http_stream *stream = open_stream(NULL, NULL, &start);
    assert_int_equal(start, API_EVENT_FRESH);
    expect(stream, "retry: 2000\nid: 777-0\n\n", false);
    add(1, "{\"a\":1}");
    add(2, "{\"b\":2}");
    assert_int_equal(stream->wakes, 0);
    api_event_ring_wake(ring);
    api_event_ring_wake(ring);
    assert_int_equal(stream->wakes, 1);
    expect(stream,
           "event: task\nid: 777-1\ndata: {\"a\":1}\n\n"
           "event: task\nid: 777-2\ndata: {\"b\":2}\n\n",
           false);
    close_stream(stream);
}

/* It read one of two events while they were being added and went to sleep: the second must wake it. */
static void reader_that_slept_between_two_is_woken(void **state)
{
    (void)state;
    enum api_event_start start;
    struct http_stream *stream = open_stream(NULL, NULL, &start);
    read_away(stream);
    add(1, "1");
    read_away(stream);
    add(1, "2");
    api_event_ring_wake(ring);
    assert_int_equal(stream->wakes, 1);
    expect(stream, "event: task\nid: 777-2\ndata: 2\n\n", false);
    close_stream(stream);
}

static void reader_of_a_run_gets_only_that(void **state)
{
    (void)state;
    enum api_event_start start;
    struct uuid one = run_of(1), two = run_of(2);
    struct http_stream *first = open_stream(&one, NULL, &start), *second = open_stream(&two, NULL, &start);
    read_away(first);
    read_away(second);
    add(1, "1");
    add(3, "3");
    add(1, "11");
    api_event_ring_wake(ring);
    assert_int_equal(first->wakes, 1);
    assert_int_equal(second->wakes, 0);
    expect(first, "event: task\nid: 777-1\ndata: 1\n\nevent: task\nid: 777-3\ndata: 11\n\n", false);
    expect(second, "", false);
    api_event_ring_add(ring, "run", one, true, "end", 3);
    api_event_ring_wake(ring);
    assert_int_equal(first->wakes, 2);
    expect(first, "event: run\nid: 777-4\ndata: end\n\n", true);
    close_stream(first);
    close_stream(second);
}

/* Its run's last event is long gone from the ring when the next one comes: nothing was missed. */
static void reader_of_a_quiet_run_survives_noise(void **state)
{
    (void)state;
    enum api_event_start start;
    struct uuid one = run_of(1);
    struct http_stream *stream = open_stream(&one, NULL, &start);
    read_away(stream);
    add(1, "1");
    read_away(stream);
    for (int i = 0; i < 3 * KEPT; i++)
        add(2, "noise");
    add(1, "2");
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "event: task\nid: 777-%d\ndata: 2\n\n", 3 * KEPT + 2);
    expect(stream, wanted, false);
    close_stream(stream);
}

static void slow_readers_are_dropped(void **state)
{
    (void)state;
    enum api_event_start start;
    struct uuid one = run_of(1);
    struct http_stream *all = open_stream(NULL, NULL, &start), *of_run = open_stream(&one, NULL, &start);
    read_away(all);
    read_away(of_run);
    add(1, "lost");
    for (int i = 0; i < KEPT; i++)
        add(2, "x");
    expect(all, "", true);
    expect(of_run, "", true);
    close_stream(all);
    close_stream(of_run);
    all = open_stream(NULL, "777-0", &start);
    assert_int_equal(start, API_EVENT_MISSED);
    expect(all, "retry: 2000\nid: 777-9\n\nevent: reset\ndata: {}\n\n", false);
    close_stream(all);
}

static void ids_resume(void **state)
{
    (void)state;
    static const char *const wrong[] = {"776-1", "777-4", "777-", "777", "-1", "777--1", "", "x",
                                        "777-99999999999999999999", "777-1 "};
    enum api_event_start start;
    struct uuid two = run_of(2);
    add(1, "1");
    add(2, "2");
    add(1, "3");
    struct http_stream *stream = open_stream(NULL, "777-1", &start);
    assert_int_equal(start, API_EVENT_RESUMED);
    expect(stream, "retry: 2000\nid: 777-1\n\nevent: task\nid: 777-2\ndata: 2\n\nevent: task\nid: 777-3\ndata: 3\n\n",
           false);
    close_stream(stream);
    stream = open_stream(NULL, "777-3", &start);
    assert_int_equal(start, API_EVENT_RESUMED);
    close_stream(stream);
    stream = open_stream(&two, "777-0", &start);
    assert_int_equal(start, API_EVENT_RESUMED);
    expect(stream, "retry: 2000\nid: 777-0\n\nevent: task\nid: 777-2\ndata: 2\n\n", false);
    close_stream(stream);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        stream = open_stream(NULL, wrong[i], &start);
        assert_int_equal(start, API_EVENT_MISSED);
        close_stream(stream);
    }
}

static void reset_tells_everybody(void **state)
{
    (void)state;
    enum api_event_start start;
    struct uuid one = run_of(1);
    add(1, "1");
    struct http_stream *all = open_stream(NULL, NULL, &start), *of_run = open_stream(&one, NULL, &start);
    struct http_stream *behind = open_stream(NULL, "777-0", &start);
    read_away(all);
    read_away(of_run);
    api_event_ring_add_reset(ring);
    api_event_ring_wake(ring);
    assert_int_equal(all->wakes, 1);
    assert_true(of_run->wakes >= 1);
    expect(all, "event: reset\nid: 777-3\ndata: {}\n\n", false);
    expect(of_run, "", true);
    expect(behind, "retry: 2000\nid: 777-0\n\n", true);
    close_stream(all);
    close_stream(of_run);
    close_stream(behind);
    all = open_stream(NULL, "777-1", &start);
    assert_int_equal(start, API_EVENT_MISSED);
    close_stream(all);
}

static void forgotten_ids_are_too_old(void **state)
{
    (void)state;
    enum api_event_start start;
    add(1, "1");
    api_event_ring_forget(ring);
    struct http_stream *stream = open_stream(NULL, "777-1", &start);
    assert_int_equal(start, API_EVENT_MISSED);
    close_stream(stream);
}

static void long_events_and_small_reads(void **state)
{
    (void)state;
    enum api_event_start start;
    char data[3000], wanted[6400];
    memset(data, 'x', sizeof data);
    struct http_stream *stream = open_stream(NULL, NULL, &start);
    read_away(stream);
    api_event_ring_add(ring, "run", run_of(1), false, data, sizeof data);
    add(1, "y");
    bool ends;
    char *text = drain(stream, 7, &ends);
    (void)snprintf(wanted, sizeof wanted, "event: run\nid: 777-1\ndata: %.*s\n\nevent: task\nid: 777-2\ndata: y\n\n",
                   (int)sizeof data, data);
    assert_string_equal(text, wanted);
    assert_false(ends);
    mem_free(text);
    close_stream(stream);
}

static void beats_only_fill_silence(void **state)
{
    (void)state;
    enum api_event_start start;
    struct uuid one = run_of(1);
    struct http_stream *all = open_stream(NULL, NULL, &start), *of_run = open_stream(&one, NULL, &start);
    read_away(all);
    read_away(of_run);
    api_event_ring_beat(ring);
    assert_int_equal(all->wakes, 1);
    assert_int_equal(of_run->wakes, 1);
    expect(all, ":\n\n", false);
    expect(of_run, ":\n\n", false);
    api_event_ring_beat(ring);
    add(1, "1");
    expect(all, "event: task\nid: 777-1\ndata: 1\n\n", false);
    close_stream(all);
    close_stream(of_run);
}

static void own_event_comes_first(void **state)
{
    (void)state;
    enum api_event_start start;
    struct uuid one = run_of(1);
    struct api_event_reader *reader = api_event_reader_new(ring, &one, NULL, &start);
    add(1, "later");
    api_event_reader_put(reader, "run", "now", 3, false);
    assert_true(api_event_reader_has_more(reader));
    api_event_reader_attach(reader, NULL);
    expect(last_stream,
           "retry: 2000\nid: 777-0\n\nevent: run\ndata: now\n\nevent: task\nid: 777-1\ndata: later\n\n", false);
    close_stream(last_stream);
    reader = api_event_reader_new(ring, &one, NULL, &start);
    api_event_reader_put(reader, "run", "over", 4, true);
    api_event_reader_attach(reader, NULL);
    expect(last_stream, "retry: 2000\nid: 777-1\n\nevent: run\ndata: over\n\n", true);
    close_stream(last_stream);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    enum api_event_start start;
    size_t len = API_EVENT_RING_BYTES_MAX / 3;
    char *data = mem_alloc(len);
    memset(data, 'x', len);
    for (int i = 0; i < 4; i++)
        api_event_ring_add(ring, "task", run_of(1), false, data, len);
    mem_free(data);
    struct http_stream *stream = open_stream(NULL, "777-1", &start);
    assert_int_equal(start, API_EVENT_MISSED);
    close_stream(stream);
    stream = open_stream(NULL, "777-2", &start);
    assert_int_equal(start, API_EVENT_RESUMED);
    close_stream(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reader_of_all_gets_all, setup, teardown),
        cmocka_unit_test_setup_teardown(reader_that_slept_between_two_is_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(reader_of_a_run_gets_only_that, setup, teardown),
        cmocka_unit_test_setup_teardown(reader_of_a_quiet_run_survives_noise, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_readers_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_tells_everybody, setup, teardown),
        cmocka_unit_test_setup_teardown(forgotten_ids_are_too_old, setup, teardown),
        cmocka_unit_test_setup_teardown(long_events_and_small_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(beats_only_fill_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(own_event_comes_first, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_are_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
