/* Every bound of DAG files: what reaches it is accepted, one more is an error with its place. What would be much work
 * for a small file is refused too; nothing here measures time, but without the bound it would not end. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "reading.h"

#define TASKS "tasks:\n- {id: t, type: shell, command: x}\n"

static struct buf text;

static void put(const char *piece)
{
    buf_add_text(&text, piece);
}

static void put_many(const char *piece, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_add_text(&text, piece);
}

static void fill(char c, size_t count)
{
    memset(buf_extend(&text, count), c, count);
}

/* What was put is read, and the first problem is the expected one; NULL: there is none. */
static void expect(const char *problem)
{
    struct reading reading = reading_of_bytes(buf_text(&text), text.len);
    struct buf found = BUF_INIT;
    reading_list(&reading.problems, &found);
    char *end = strchr(buf_text(&found), '\n');
    if (end)
        *end = '\0';
    assert_string_equal(found.bytes, problem ? problem : "");
    assert_int_equal(reading.dag != NULL, problem == NULL);
    buf_fini(&found);
    reading_end(&reading);
    buf_fini(&text);
}

static void test_depth(void **state)
{
    (void)state;
    put("name: d\n" TASKS "x-a: "); /* the root is one level */
    put_many("[", LIMIT_YAML_DEPTH_MAX - 1);
    put_many("]", LIMIT_YAML_DEPTH_MAX - 1);
    expect(NULL);
    put("name: d\nx-a: ");
    put_many("[", LIMIT_YAML_DEPTH_MAX);
    put_many("]", LIMIT_YAML_DEPTH_MAX);
    expect("2:261: error: Invalid YAML: more than 256 nested lists and mappings");
    put_many("[", 100000);
    expect("1:257: error: Invalid YAML: more than 256 nested lists and mappings");
    put_many("{a: ", 100000);
    expect("1:1025: error: Invalid YAML: more than 256 nested lists and mappings");
    put_many("- ", 100000);
    expect("1:513: error: Invalid YAML: more than 256 nested lists and mappings");
}

/* Levels that an alias brings count where it is used. */
static void test_depth_by_aliases(void **state)
{
    (void)state;
    put("name: d\n" TASKS "x-0: &a0 x\n");
    for (int i = 1; i <= LIMIT_YAML_DEPTH_MAX; i++)
        buf_printf(&text, "x-%d: &a%d [*a%d]\n", i, i, i - 1);
    expect("260:15: error: Invalid YAML: more than 256 nested lists and mappings");
}

static void test_keys(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        put("name: d\n" TASKS "x-a:\n");
        for (int i = 0; i < LIMIT_YAML_KEYS_MAX + extra; i++)
            buf_printf(&text, " k%d: v\n", i);
        expect(extra ? "10005:2: error: Invalid YAML: more than 10000 keys in one mapping" : NULL);
    }
    put("name: d\nx-a:\n");
    put_many(" ? k\n", 20000);
    expect("10003:4: error: Invalid YAML: more than 10000 keys in one mapping");
}

static void test_anchors(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        put("name: d\n" TASKS "x-a:\n");
        for (int i = 0; i < LIMIT_YAML_ANCHORS_MAX + extra; i++)
            buf_printf(&text, "- &a%d v\n", i);
        expect(extra ? "10005:3: error: Invalid YAML: more than 10000 anchors" : NULL);
    }
}

/* The billion laughs in 12 lines. */
static void test_alias_bomb(void **state)
{
    (void)state;
    put("name: d\nx-0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for (int i = 1; i < 12; i++)
        buf_printf(&text, "x-%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    expect("7:11: error: Invalid YAML: aliases stand for more than 100000 values");
    put("x-a: &a [*a]\n");
    expect("1:10: error: Invalid YAML: the alias '*a' is inside its own anchor");
}

/* One large mapping merged into many tasks would be 99 million fields. */
static void test_merge_bomb(void **state)
{
    (void)state;
    put("x-a: &a {");
    for (int i = 0; i < 9990; i++)
        buf_printf(&text, "k%d: 1, ", i);
    put("}\ntasks:\n");
    put_many("- <<: *a\n", 9999);
    struct reading reading = reading_of_bytes(buf_text(&text), text.len);
    assert_int_equal(reading.code, ERROR_PARSE_ERROR);
    assert_in_range(reading.problems.error_count, 1, 100000);
    reading_end(&reading);
    buf_fini(&text);
    put("name: d\nx-a: &a {");
    for (int i = 0; i < LIMIT_YAML_KEYS_MAX; i++)
        buf_printf(&text, "k%d: 1, ", i);
    put("}\nx-b:\n  <<: *a\n  k: 1\n" TASKS);
    expect("4:3: error: Invalid YAML: merges (<<) bring in more than 10000 keys");
}

/* Many tasks may share an ordinary mapping. */
static void test_merges(void **state)
{
    (void)state;
    put("name: d\nx-a: &a {type: shell, command: x, timeout: 5s, env: {A: b, C: d}, retry: {maxAttempts: 3}}\n"
        "tasks:\n");
    for (int i = 0; i < 50000; i++)
        buf_printf(&text, "- {<<: *a, id: t%d}\n", i);
    expect(NULL);
}

static void test_nodes(void **state)
{
    (void)state;
    put("name: d\nx-a: [");
    put_many("a,", LIMIT_YAML_NODES_MAX);
    put("]\n");
    expect("2:5999997: error: Invalid YAML: more than 3000000 values");
}

static void test_scalar(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        put("name: d\n" TASKS "x-a: '");
        fill('x', LIMIT_YAML_SCALAR_BYTES_MAX + extra);
        put("'\n");
        expect(extra ? "4:6: error: Invalid YAML: a value of more than 4194304 bytes" : NULL);
    }
    static const char *const long_ones[] = {"name: d\nx-a: '", "name: d\nx-a: ", "name: d\nx-a: |\n ",
                                            "name: d\nx-a: #"};
    for (size_t i = 0; i < 4; i++) {
        put(long_ones[i]);
        fill('x', 10 * 1000 * 1000);
        expect("2:4: error: Invalid YAML: a value, or a comment, of more than 4 MiB starts here");
    }
}

static void test_directives(void **state)
{
    (void)state;
    for (int i = 0; i < 30000; i++)
        buf_printf(&text, "%%TAG !e%d! tag:x,%d:\n", i, i);
    put("---\nname: d\n" TASKS);
    expect("1:1: error: Invalid YAML: too many %TAG directives");
    put("%TAG !e! tag:x,1:\n---\nname: d\n" TASKS);
    expect(NULL);
}

static void test_bytes(void **state)
{
    (void)state;
    static const char source[] = "name: d\n" TASKS;
    struct dag_read_options options = {.tasks_max = 1, .bytes_max = sizeof source - 1};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    assert_int_equal(dag_read(source, sizeof source - 1, &options, &problems, &dag), 0);
    dag_unref(dag);
    options.bytes_max--;
    assert_int_equal(dag_read(source, sizeof source - 1, &options, &problems, &dag), ERROR_PARSE_ERROR);
    assert_string_equal(problems.items[0].text, "The file is 50 bytes long, at most 49 are allowed");
    dag_problems_fini(&problems);
}

static void test_tasks(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        put("name: d\ntasks:\n");
        for (int i = 0; i < LIMIT_DAG_TASKS_MAX + extra; i++)
            buf_printf(&text, "- {id: t%d, type: shell, command: x}\n", i);
        expect(extra ? "100003:3: error: More than 100000 tasks in one DAG" : NULL);
    }
}

static void test_characters(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *problem;
    } cases[] = {
        {"name: \0x\n", 9, "1:7: error: Invalid YAML: the character U+0000 is not allowed "
                           "(a NUL character: is this a text file?)"},
        {"name: d\n\xff\xfe", 10, "2:1: error: Invalid YAML: the byte 0xFF is not valid UTF-8 "
                                  "(a DAG file is written in UTF-8)"},
        {"name: \xc3\xa4\xc3", 9, "1:8: error: Invalid YAML: the byte 0xC3 is not valid UTF-8 "
                                  "(a DAG file is written in UTF-8)"},
        {"a: \xed\xa0\x80", 6, "1:4: error: Invalid YAML: the byte 0xED is not valid UTF-8 "
                               "(a DAG file is written in UTF-8)"},
        {"a: \xc0\xaf", 5, "1:4: error: Invalid YAML: the byte 0xC0 is not valid UTF-8 "
                           "(a DAG file is written in UTF-8)"},
        {"a: \x1b[31m", 8, "1:4: error: Invalid YAML: the character U+001B is not allowed "
                           "(in double quotes it can be written as \\x1B)"},
        {"a: x\xe2\x80\xa8y", 8, "1:5: error: Invalid YAML: the character U+2028 is not allowed "
                                 "(in double quotes it can be written as \\u2028)"},
        {"a:\n\tb: c\n", 9, "2:1: error: Invalid YAML: a tab is used for indentation (indent with spaces)"},
        {"\xff\xfe" "a\0", 4, "1:1: error: Invalid YAML: the byte 0xFF is not valid UTF-8 "
                           "(a DAG file is written in UTF-8)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_add(&text, cases[i].bytes, cases[i].len);
        expect(cases[i].problem);
    }
}

/* A NUL that an escape brings in is a character of YAML and of nothing we pass on. */
static void test_escaped_nul(void **state)
{
    (void)state;
    put("name: d\ntasks:\n- {id: \"a\\0b\", type: shell, command: x}\n");
    expect("3:8: error: 'id' holds the character U+0000, which is not allowed [tasks[0].id]");
    put("name: d\ntasks:\n- {id: a, type: \"shell\\0\", command: x}\n");
    expect("3:17: error: Invalid task type: shell (expected: shell, http, python) [tasks[0].type] "
           "(did you mean 'shell'?)");
    put("name: d\ntasks:\n- {id: a, type: shell, command: \"x\\0y\"}\n");
    expect("3:33: error: A value of 'command' holds a NUL character [tasks[0].command]");
    put("name: d\ntasks:\n- {id: a, type: shell, command: x, env: {A: \"x\\0y\"}}\n");
    expect("3:45: error: A value of 'env' holds a NUL character [tasks[0].env.A]");
    put("name: d\ntasks:\n- {id: a, type: shell, command: x, dependencies: [\"a\\0b\"]}\n");
    expect("3:51: error: Task 'a' depends on 'a' which does not exist [tasks[0].dependencies[0]]");
}

/* A hundred errors are told, ten thousand counted; then it stops. */
static void test_errors(void **state)
{
    (void)state;
    static const int counts[] = {150, 20000};
    for (size_t i = 0; i < 2; i++) {
        put("name: d\ntasks:\n");
        for (int n = 0; n < counts[i]; n++)
            buf_printf(&text, "- {id: t%d, type: shell}\n", n);
        struct reading reading = reading_of_bytes(buf_text(&text), text.len);
        assert_int_equal(reading.problems.count, LIMIT_DAG_ERRORS_MAX);
        assert_int_equal(reading.problems.items[99].line, 102);
        assert_int_equal(reading.problems.error_count, i ? LIMIT_DAG_ERRORS_READ_MAX + 1 : counts[0]);
        reading_end(&reading);
        buf_fini(&text);
    }
}

/* Errors of the graph are counted to the end: they are found when all is read. */
static void test_graph_errors(void **state)
{
    (void)state;
    put("name: d\ntasks:\n- {id: a, type: shell, command: x, dependencies: [");
    for (int i = 0; i < 20000; i++)
        buf_printf(&text, "t%d, ", i);
    put("]}\n");
    struct reading reading = reading_of_bytes(buf_text(&text), text.len);
    assert_int_equal(reading.code, ERROR_VALIDATION_ERROR);
    assert_int_equal(reading.problems.error_count, 20000);
    assert_int_equal(reading.problems.count, LIMIT_DAG_ERRORS_MAX);
    reading_end(&reading);
    buf_fini(&text);
}

static void test_reference_bombs(void **state)
{
    (void)state;
    put("name: d\nenv:\n v0: x\n");
    for (int i = 1; i < 14; i++)
        buf_printf(&text, " v%d: '${env.v%d}${env.v%d}'\n", i, i - 1, i - 1);
    put(TASKS);
    expect("16:7: error: more than 10000 references to variables in one value [env.v13]");
    put("name: d\nenv:\n h: '");
    put_many("${env.z}", 9900);
    put("'\n z: x\n");
    for (int i = 0; i < 100; i++)
        buf_printf(&text, " v%d: '${env.h}'\n", i);
    put(TASKS);
    expect("11:6: error: the references to variables in one task multiply beyond what is allowed [env.v6] "
           "(let fewer variables refer to each other)");
    put("name: d\nenv:\n h: '");
    put_many("${env.z}", 9900);
    put("'\n z: x\ntasks:\n");
    for (int i = 0; i < 3000; i++)
        buf_printf(&text, "- {id: t%d, type: shell, command: x, env: {A: '${env.h}'}}\n", i);
    expect("2025:49: error: the references to variables in one DAG multiply beyond what is allowed "
           "[tasks[2019].env.A] (let fewer variables refer to each other)");
}

static void test_circles(void **state)
{
    (void)state;
    reading_assert("name: d\nenv: {A: '${env.B}', B: '${env.A}', C: '${env.C}'}\n" TASKS, ERROR_PARSE_ERROR,
                   "2:10: error: the variable 'A' refers to itself, through 'B' [env.A]\n"
                   "2:25: error: the variable 'B' refers to itself, through 'A' [env.B]\n"
                   "2:40: error: the variable 'C' refers to itself [env.C]\n");
    put("name: d\nenv:\n v0: x\n");
    for (int i = 1; i <= LIMIT_EXPAND_DEPTH_MAX; i++)
        buf_printf(&text, " v%d: '${env.v%d}'\n", i, i - 1);
    put(TASKS);
    expect("35:7: error: more than 32 variables that refer to each other [env.v32]");
}

/* 400,000 unknown names among a thousand known ones: each "did you mean" looks at them all. */
static void test_unknown_references(void **state)
{
    (void)state;
    put("name: d\nenv:\n");
    for (int i = 0; i < LIMIT_ENV_VARS_MAX; i++)
        buf_printf(&text, " variable%d: x\n", i);
    put("tasks:\n- {id: a, type: http, url: 'http://h', body: '");
    put_many("${env.variabel}", 200000);
    put("'}\n");
    expect("1004:46: error: ${env.variabel} is not known: it is in none of the task's env, the DAG's env and secrets "
           "[tasks[0].body] (did you mean 'variable0'?)");
}

static void test_env_count(void **state)
{
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        put("name: d\nenv: {A: a}\ntasks:\n- id: t\n  type: shell\n  command: x\n  env:\n");
        for (int i = 1; i < LIMIT_ENV_VARS_MAX + extra; i++)
            buf_printf(&text, "    V%d: x\n", i);
        expect(extra ? "4:7: error: Task 't' has 1001 environment variables with the DAG's, at most 1000 are allowed"
                     : NULL);
    }
}

static void test_id_length(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        put("name: d\ntasks:\n- {type: shell, command: x, id: ");
        fill('i', LIMIT_TASK_ID_BYTES_MAX + extra);
        put("}\n");
        expect(extra ? "3:33: error: 'id' is 251 bytes long, at most 250 are allowed [tasks[0].id]" : NULL);
    }
}

static int begin(void **state)
{
    (void)state;
    buf_clear(&text); /* a test that failed may have left something */
    return 0;
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_depth),         TEST(test_depth_by_aliases),
        TEST(test_keys),          TEST(test_anchors),
        TEST(test_alias_bomb),    TEST(test_merge_bomb),
        TEST(test_merges),        TEST(test_nodes),
        TEST(test_scalar),        TEST(test_directives),
        TEST(test_bytes),         TEST(test_tasks),
        TEST(test_characters),    TEST(test_escaped_nul),
        TEST(test_errors),        TEST(test_graph_errors),
        TEST(test_reference_bombs), TEST(test_circles),
        TEST(test_unknown_references), TEST(test_env_count),
        TEST(test_id_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
