/* What one run has other than its DAG version. */
#include "support/check.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "reading.h"

static const char source[] = "name: d\nenv: {ALL: '1'}\nsecrets: [TOKEN]\ndefaults: {timeout: 5m}\ntasks:\n"
                             "- {id: a, type: shell, command: 'old', env: {KEEP: k, SWAP: s},\n"
                             "   retry: {maxAttempts: 4}}\n"
                             "- {id: b, type: shell, command: [x, y], dependencies: [a]}\n"
                             "- {id: c, type: http, url: 'http://h/', headers: {X: '1'}, dependencies: [a]}\n";

static struct reading read_with(const char *changes, size_t len)
{
    const struct dag_read_options options = {.tasks_max = LIMIT_DAG_TASKS_MAX, .bytes_max = LIMIT_BODY_BYTES_MAX,
                                             .changes = changes, .changes_len = len};
    struct reading reading = {0};
    reading.code = dag_read(source, strlen(source), &options, &reading.problems, &reading.dag);
    return reading;
}

static void expect_problems(const char *changes, const char *expected)
{
    struct reading reading = read_with(changes, strlen(changes));
    struct buf list = BUF_INIT;
    reading_list(&reading.problems, &list);
    assert_string_equal(buf_text(&list), expected);
    assert_int_equal(reading.code, ERROR_PARSE_ERROR);
    buf_fini(&list);
    reading_end(&reading);
}

static void test_fields_are_replaced(void **state)
{
    (void)state;
    const char changes[] = "{\"a\": {\"command\": [\"new\", \"${env.TOKEN}\"], \"env\": {\"SWAP\": \"t\", "
                           "\"ADD\": \"${env.KEEP}\"}, \"timeout\": \"1s\"}, \"b\": {\"command\": \"now a text\"}, "
                           "\"c\": {\"url\": \"http://i/\"}}";
    struct reading reading = read_with(changes, strlen(changes));
    assert_int_equal(reading.code, 0);
    const struct dag_task *a = &reading.dag->tasks[0], *b = &reading.dag->tasks[1], *c = &reading.dag->tasks[2];
    assert_null(a->command);
    assert_string_equal(a->argv.items[0], "new");
    assert_int_equal(a->timeout_ms, 1000);
    assert_int_equal(a->retry.max_attempts, 4);
    assert_int_equal(a->env.count, 3);
    assert_string_equal(a->env.items[0].name, "KEEP");
    assert_string_equal(a->env.items[1].name, "SWAP");
    assert_string_equal(a->env.items[1].value, "t");
    assert_string_equal(a->env.items[2].value, "${env.KEEP}");
    assert_string_equal(b->command, "now a text");
    assert_int_equal(b->argv.count, 0);
    assert_int_equal(b->timeout_ms, 5 * 60 * 1000);
    assert_int_equal(b->dependency_count, 1);
    assert_string_equal(c->http->url, "http://i/");
    assert_string_equal(c->http->headers.items[0].value, "1");
    reading_end(&reading);
}

static void test_what_does_not_fit(void **state)
{
    (void)state;
    expect_problems("[1]", "1:1: error: Changes must be a mapping of task ids, found a list [changes]\n");
    expect_problems("{\"z\": {}}", "1:2: error: There is no task 'z' to be changed [changes.z]\n");
    expect_problems("{\"a\": 1}", "1:7: error: What changes must be a mapping, found the integer 1 [changes.a]\n");
    expect_problems("{\"a\": {\"dependencies\": [\"b\"]}}",
                    "1:24: error: 'dependencies' of a task cannot be changed [changes.a]\n");
    expect_problems("{\"a\": {\"comand\": \"x\"}}", "1:8: error: Unknown field 'comand' in a task [changes.a.comand] "
                                                   "(did you mean 'command'?)\n");
    expect_problems("{\"a\": {\"url\": \"http://h\"}}",
                    "1:8: error: 'url' is a field of http tasks, but the type is shell in task 'a' [changes.a.url]\n");
    expect_problems("{\"a\": {\"env\": {\"X\": \"${env.NOBODY}\"}}}",
                    "1:21: error: ${env.NOBODY} is not known: it is in none of the task's env, the DAG's env and "
                    "secrets [changes.a.env.X]\n");
}

static void test_too_long(void **state)
{
    (void)state;
    char *changes = mem_zalloc(LIMIT_CHANGES_BYTES_MAX + 2);
    memset(changes, ' ', LIMIT_CHANGES_BYTES_MAX + 1);
    memcpy(changes, "{}", 2);
    struct reading reading = read_with(changes, LIMIT_CHANGES_BYTES_MAX);
    assert_int_equal(reading.code, 0);
    reading_end(&reading);
    reading = read_with(changes, LIMIT_CHANGES_BYTES_MAX + 1);
    assert_int_equal(reading.code, ERROR_PARSE_ERROR);
    reading_end(&reading);
    mem_free(changes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_replaced),
        cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
