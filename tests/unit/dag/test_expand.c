/* ${env.NAME}: whose value it is, and what it cannot be. */
#include "support/check.h"

#include <string.h>

#include "base/limits.h"
#include "dag/dag_expand.h"
#include "reading.h"

static const char *find(void *context, const char *name)
{
    (void)context;
    return strcmp(name, "TOKEN") == 0 ? "s\"${env.DAG}" : NULL;
}

static const struct dag_expand_source secrets = {.find = find};

static const char source[] = "name: d\nsecrets: [TOKEN, MISSING]\n"
                             "env: {DAG: dag, BOTH: outer, PATH: /bin, LATER: '<${env.DAG}>', S: '${env.TOKEN}'}\n"
                             "tasks:\n- id: a\n  type: http\n  url: http://h\n\n"
                             "  body: {k: '${env.S}', '${env.DAG}': 1}\n"
                             "  env: {TASK: '${env.LATER}', BOTH: 'inner+${env.BOTH}', PATH: '/x:${env.PATH}'}\n";

struct expected {
    const char *text, *result;
};

static void test_replaced(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"", ""},
        {"plain $DAG ${DAG} ${env.}", "plain $DAG ${DAG} ${env.}"},
        {"${env.DAG}", "dag"},
        {"a${env.DAG}b${env.DAG}", "adagbdag"},
        {"$${env.DAG} $$${env.DAG}", "${env.DAG} $${env.DAG}"},
        {"${env.BOTH}", "inner+outer"},
        {"${env.PATH}", "/x:/bin"},
        {"${env.TASK}", "<dag>"},
        {"${env.TOKEN}", "s\"${env.DAG}"}, /* what a secret holds is not looked into */
        {"${env.S}", "s\"${env.DAG}"},
        {"${env.DAG", "${env.DAG"},
        {"${env.9} ${env.a b}", "${env.9} ${env.a b}"},
    };
    struct reading reading = reading_of(source);
    assert_int_equal(reading.code, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT;
        struct error err = {0};
        int code = dag_expand(reading.dag, &reading.dag->tasks[0], &secrets, cases[i].text, strlen(cases[i].text), &out,
                              &err);
        if (code)
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_string_equal(buf_text(&out), cases[i].result);
        buf_fini(&out);
    }
    reading_end(&reading);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"x ${env.NONE}", "${env.NONE} is not known: it is neither in env nor in secrets"},
        {"x ${env.MISSING}", "the secret 'MISSING' is not configured"},
    };
    struct reading reading = reading_of(source);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT;
        struct error err = {0};
        buf_add_text(&out, "before");
        assert_int_equal(dag_expand(reading.dag, &reading.dag->tasks[0], &secrets, cases[i].text,
                                    strlen(cases[i].text), &out, &err), ERROR_BAD_REQUEST);
        assert_string_equal(err.text, cases[i].result);
        assert_string_equal(buf_text(&out), "before");
        buf_fini(&out);
    }
    struct buf out = BUF_INIT;
    struct error err = {0};
    assert_int_equal(dag_expand(reading.dag, NULL, &secrets, "${env.TASK}", 11, &out, &err), ERROR_BAD_REQUEST);
    assert_int_equal(dag_expand(reading.dag, NULL, &secrets, "${env.BOTH}", 11, &out, &err), 0);
    assert_string_equal(buf_text(&out), "outer");
    assert_int_equal(dag_expand(reading.dag, NULL, NULL, "${env.TOKEN}", 12, &out, &err), ERROR_BAD_REQUEST);
    buf_fini(&out);
    reading_end(&reading);
}

/* Values go into JSON as JSON asks. */
static void test_body(void **state)
{
    (void)state;
    struct reading reading = reading_of(source);
    struct buf out = BUF_INIT;
    struct error err = {0};
    assert_int_equal(dag_expand_body(reading.dag, &reading.dag->tasks[0], &secrets, &out, &err), 0);
    assert_string_equal(buf_text(&out), "{\"k\":\"s\\\"${env.DAG}\",\"dag\":1}");
    buf_fini(&out);
    reading_end(&reading);
}

/* Ten variables that each double the one before, of 4 KiB. */
static void test_too_much(void **state)
{
    (void)state;
    struct buf text = BUF_INIT, out = BUF_INIT;
    struct error err = {0};
    buf_add_text(&text, "name: d\nenv:\n v0: '");
    memset(buf_extend(&text, 4096), 'x', 4096);
    buf_add_text(&text, "'\n");
    for (int i = 1; i <= 10; i++)
        buf_printf(&text, " v%d: '${env.v%d}${env.v%d}'\n", i, i - 1, i - 1);
    buf_add_text(&text, "tasks: [{id: a, type: shell, command: x}]\n");
    struct reading reading = reading_of(buf_text(&text));
    assert_int_equal(reading.code, 0);
    assert_int_equal(dag_expand(reading.dag, NULL, NULL, "${env.v8}", 9, &out, &err), 0);
    assert_int_equal(out.len, LIMIT_COMMAND_BYTES_MAX);
    assert_int_equal(dag_expand(reading.dag, NULL, NULL, "${env.v9}", 9, &out, &err), ERROR_BAD_REQUEST);
    assert_string_equal(err.text, "its variables add more than 1048576 bytes");
    assert_int_equal(out.len, LIMIT_COMMAND_BYTES_MAX);
    buf_fini(&out);
    buf_fini(&text);
    reading_end(&reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_replaced), cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_body), cmocka_unit_test(test_too_much)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
