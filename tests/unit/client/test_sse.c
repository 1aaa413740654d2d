#include "support/check.h"

#include <string.h>

#include "client/sse.h"

static int note(void *context, const struct client_event *event, struct error *err)
{
    struct buf *seen = context;
    assert_int_equal(strlen(event->data), event->len);
    buf_printf(seen, "[%s|%s|%s]", event->name, event->data, event->id);
    return strcmp(event->name, "stop") == 0 ? error_set(err, ERROR_IO, "stopped") : 0;
}

static void test_streams(void **state)
{
    (void)state;
    static const struct {
        const char *text, *events;
    } cases[] = {
        {"data: a\n\n", "[message|a|]"},
        {"data:a\r\n\r\n", "[message|a|]"},
        {"data: a\r\rdata: b\r\r", "[message|a|][message|b|]"},
        {"\xef\xbb\xbf" "data: a\n\n", "[message|a|]"},
        {": comment\n\nevent: task\nid: 7\ndata: {}\n\ndata: x\n\n", "[task|{}|7][message|x|7]"},
        {"data: a\ndata:  b\ndata\n\n", "[message|a\n b\n|]"},
        {"event: lost\n\ndata: kept\n\n", "[message|kept|]"},
        {"data: a: b\nretry: 10\nother: x\n\n", "[message|a: b|]"},
        {"id\nevent: x\ndata: 1\n\n", "[x|1|]"},
        {"data: unfinished\n", ""},
        {"\n\n\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step < 20; step++) {
            struct client_sse sse = {0};
            struct buf seen = BUF_INIT;
            size_t len = strlen(cases[i].text);
            for (size_t at = 0; at < len; at += step) {
                size_t piece = len - at < step ? len - at : step;
                assert_int_equal(client_sse_feed(&sse, cases[i].text + at, piece, note, &seen, NULL), 0);
            }
            assert_string_equal(buf_text(&seen), cases[i].events);
            buf_fini(&seen);
            client_sse_fini(&sse);
        }
}

static void test_stop(void **state)
{
    (void)state;
    struct client_sse sse = {0};
    struct buf seen = BUF_INIT;
    struct error err = {0};
    const char *text = "event: stop\ndata: 1\n\ndata: 2\n\n";
    assert_int_equal(client_sse_feed(&sse, text, strlen(text), note, &seen, &err), ERROR_IO);
    assert_string_equal(buf_text(&seen), "[stop|1|]");
    buf_fini(&seen);
    client_sse_fini(&sse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_streams), cmocka_unit_test(test_stop)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
