/* The words that people, and programs, rely on: product.md section 2; and how they are shown. */
#include "support/check.h"

#include <string.h>

#include "base/error.h"
#include "reading.h"

#define TASK "- {id: a, type: shell, command: x}\n"

static void test_relied_on(void **state)
{
    (void)state;
    reading_assert("name: [\n", ERROR_PARSE_ERROR,
                   "2:1: error: Invalid YAML: did not find expected node content while parsing a flow node\n");
    reading_assert("tasks:\n" TASK, ERROR_PARSE_ERROR, "1:1: error: Missing required field: name\n");
    reading_assert("name: d\n", ERROR_PARSE_ERROR, "1:1: error: Missing required field: tasks\n");
    reading_assert("name: d\ntasks:\n- {type: shell, command: x}\n", ERROR_PARSE_ERROR,
                   "3:3: error: Missing required field: id [tasks[0]]\n");
    reading_assert("name: d\ntasks:\n- {id: a}\n", ERROR_PARSE_ERROR,
                   "3:3: error: Missing required field: type in task 'a' [tasks[0]]\n");
    reading_assert("name: d\ntasks:\n- {id: a, type: shell}\n- {id: b, type: python}\n- {id: c, type: http}\n",
                   ERROR_PARSE_ERROR,
                   "3:3: error: Missing required field: command in task 'a' [tasks[0]]\n"
                   "4:3: error: Missing required field: script in task 'b' [tasks[1]]\n"
                   "5:3: error: Missing required field: url in task 'c' [tasks[2]]\n");
    reading_assert("name: d\ntasks:\n- {id: a, type: docker}\n", ERROR_PARSE_ERROR,
                   "3:17: error: Invalid task type: docker (expected: shell, http, python) [tasks[0].type]\n");
    reading_assert("name: d\ntasks:\n- {id: a, type: shell, command: x, timeout: soon}\n", ERROR_PARSE_ERROR,
                   "3:45: error: Invalid duration format: soon (expected: 30s, 5m, 1h) [tasks[0].timeout]"
                   " (units are ms, s, m, h and d; or none)\n");
    reading_assert("name: d\ntasks:\n- {id: a, type: shell, command: x, dependencies: [b]}\n"
                   "- {id: b, type: shell, command: x, dependencies: [a]}\n", ERROR_VALIDATION_ERROR,
                   "3:8: error: Cycle detected: a -> b -> a [tasks[0].dependencies] (each depends on the next)\n");
    reading_assert("name: d\ntasks:\n- {id: a, type: shell, command: x, dependencies: [b]}\n", ERROR_VALIDATION_ERROR,
                   "3:51: error: Task 'a' depends on 'b' which does not exist [tasks[0].dependencies[0]]\n");
    reading_assert("name: d\ntasks:\n" TASK TASK, ERROR_VALIDATION_ERROR,
                   "4:8: error: Duplicate task ID: a [tasks[1].id] (the other one is on line 3)\n");
    reading_assert("name: nightly\ntasks: []\n", ERROR_VALIDATION_ERROR,
                   "2:8: error: DAG 'nightly' has no tasks [tasks]\n");
    reading_assert("name: nightly\ntasks:\n", ERROR_VALIDATION_ERROR,
                   "2:7: error: DAG 'nightly' has no tasks [tasks]\n");
    reading_assert("", ERROR_PARSE_ERROR, "1:1: error: The file is empty (it needs at least a name and tasks)\n");
}

/* Slips of the hand and the words of other tools. */
static void test_suggestions(void **state)
{
    (void)state;
    static const struct {
        const char *field, *meant;
    } fields[] = {
        {"dependecies", "dependencies"}, {"depends_on", "dependencies"}, {"needs", "dependencies"},
        {"Dependencies", "dependencies"}, {"comand", "command"},          {"cmd", "command"},
        {"timeuot", "timeout"},          {"retries", "retry"},            {"environment", "env"},
        {"on_lost", "onLost"},           {"cwd", "workdir"},              {"working_directory", "workdir"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct buf source = BUF_INIT, expected = BUF_INIT;
        buf_printf(&source, "name: d\ntasks:\n- id: a\n  type: shell\n  command: x\n  %s: y\n", fields[i].field);
        buf_printf(&expected, "6:3: error: Unknown field '%s' in a task [tasks[0].%s] (did you mean '%s'?)\n",
                   fields[i].field, fields[i].field, fields[i].meant);
        reading_assert(buf_text(&source), ERROR_PARSE_ERROR, buf_text(&expected));
        buf_fini(&source);
        buf_fini(&expected);
    }
    reading_assert("name: d\nwhatever: 1\ntask:\n" TASK, ERROR_PARSE_ERROR,
                   "1:1: error: Missing required field: tasks\n"
                   "2:1: error: Unknown field 'whatever' in a DAG file [whatever]\n"
                   "3:1: error: Unknown field 'task' in a DAG file [task] (did you mean 'tasks'?)\n");
    reading_assert("name: d\ncommand: x\ntasks:\n- {id: a, type: shell, command: x, schedule: '@daily'}\n",
                   ERROR_PARSE_ERROR,
                   "2:1: error: Unknown field 'command' in a DAG file [command] ('command' belongs into a task)\n"
                   "4:36: error: Unknown field 'schedule' in a task [tasks[0].schedule]"
                   " ('schedule' belongs at the top of the file)\n");
    reading_assert("name: d\ntasks:\n- {id: a, type: Shell, command: x}\n- {id: b, type: shell, command: x, url: h}\n",
                   ERROR_PARSE_ERROR,
                   "3:17: error: Invalid task type: Shell (expected: shell, http, python) [tasks[0].type]"
                   " (did you mean 'shell'?)\n"
                   "4:36: error: 'url' is a field of http tasks, but the type is shell in task 'b' [tasks[1].url]\n");
    reading_assert("name: d\ntasks:\n- {id: extract, type: shell, command: x}\n"
                   "- {id: b, type: shell, command: x, dependencies: [extarct]}\n", ERROR_VALIDATION_ERROR,
                   "4:51: error: Task 'b' depends on 'extarct' which does not exist [tasks[1].dependencies[0]]"
                   " (did you mean 'extract'?)\n");
    reading_assert("name: d\nenv: {REGION: eu}\ntasks:\n"
                   "- {id: a, type: shell, command: [x, '${env.REGOIN}']}\n", ERROR_PARSE_ERROR,
                   "4:37: error: ${env.REGOIN} is not known: it is in none of the task's env, the DAG's env and"
                   " secrets [tasks[0].command[1]] (did you mean 'REGION'?)\n");
}

static void test_wrong_kinds(void **state)
{
    (void)state;
    reading_assert("name: 12\ntasks: {a: b}\n", ERROR_PARSE_ERROR,
                   "1:7: error: 'name' must be a string, found the integer 12 [name] (put it in quotes: \"12\")\n"
                   "2:8: error: 'tasks' must be a list, found a mapping [tasks]\n");
    reading_assert("- a\n", ERROR_PARSE_ERROR,
                   "1:1: error: A DAG file must be a mapping, found a list (it starts with 'name: ...')\n");
    reading_assert("name: d\ntasks: [a, " "{id: b, type: shell, command: x, dependencies: a, retry: 3, timeout: 5}]\n",
                   ERROR_PARSE_ERROR,
                   "2:9: error: A task must be a mapping, found the string 'a' [tasks[0]]\n"
                   "2:59: error: 'dependencies' must be a list of task ids, found the string 'a'"
                   " [tasks[1].dependencies] (did you mean [a]?)\n"
                   "2:69: error: 'retry' must be a mapping, found the integer 3 [tasks[1].retry]"
                   " (did you mean {maxAttempts: 3}?)\n"
                   "2:81: error: Invalid duration format: 5 (expected: 30s, 5m, 1h) [tasks[1].timeout]"
                   " (did you mean '5s'?)\n");
}

/* All in one pass, in the order of the file. */
static void test_one_pass(void **state)
{
    (void)state;
    reading_assert("name: d\nschedule: 'every day'\nenv: {1A: x}\nplacement: nod\ntasks:\n"
                   "- {id: a, type: shell, command: '', timeout: 5x, retry: {maxAttempts: 0, jitter: 2}}\n"
                   "- {id: .., type: http, url: ftp://h, method: G T}\n"
                   "- {id: c, type: shell, command: x, dependencies: [zzz, c]}\n",
                   ERROR_PARSE_ERROR,
                   "2:11: error: Invalid cron expression: every day (2 fields, expected 5: minute, hour, day of month,"
                   " month, day of week) [schedule]\n"
                   "3:7: error: '1A' is no name of an environment variable [env.1A]"
                   " (letters, digits and _, not starting with a digit)\n"
                   "4:12: error: Invalid placement: nod (expected: node, any) [placement] (did you mean 'node'?)\n"
                   "6:33: error: 'command' must not be empty [tasks[0].command]\n"
                   "6:46: error: Invalid duration format: 5x (expected: 30s, 5m, 1h) [tasks[0].timeout]"
                   " (units are ms, s, m, h and d; or none)\n"
                   "6:71: error: 'maxAttempts' must be a whole number from 1 to 1000, found the integer 0"
                   " [tasks[0].retry.maxAttempts]\n"
                   "6:82: error: 'jitter' must be a number from 0 to 1, found the integer 2"
                   " [tasks[0].retry.jitter]\n"
                   "7:8: error: 'id' is not allowed, since paths give it another meaning [tasks[1].id]\n"
                   "7:29: error: Invalid URL: ftp://h (expected: http:// or https:// in front) [tasks[1].url]\n"
                   "7:46: error: Invalid method: G T (expected: GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS)"
                   " [tasks[1].method]\n"
                   "8:51: error: Task 'c' depends on 'zzz' which does not exist [tasks[2].dependencies[0]]\n"
                   "8:56: error: Cycle detected: c -> c [tasks[2].dependencies[1]]"
                   " (a task cannot depend on itself)\n");
}

static void test_yaml_mistakes(void **state)
{
    (void)state;
    reading_assert("name: d\nname: e\ntasks:\n" TASK, ERROR_PARSE_ERROR,
                   "2:1: error: Invalid YAML: duplicate key 'name' (it is on line 1 already)\n");
    reading_assert("name: d\ntasks:\n\t- a\n", ERROR_PARSE_ERROR,
                   "3:1: error: Invalid YAML: a tab is used for indentation (indent with spaces)\n");
    reading_assert("name: a: b\n", ERROR_PARSE_ERROR,
                   "1:8: error: Invalid YAML: a ':' is not expected here"
                   " (check the indentation; a value that holds ': ' needs quotes)\n");
    reading_assert("name: 'd\n", ERROR_PARSE_ERROR,
                   "2:1: error: Invalid YAML: the file ends inside a quoted value (a closing quote is missing)\n");
    reading_assert("name: @d\n", ERROR_PARSE_ERROR,
                   "1:7: error: Invalid YAML: a value cannot start with '@' (put the value in quotes)\n");
    reading_assert("name: *d\n", ERROR_PARSE_ERROR,
                   "1:7: error: Invalid YAML: the alias '*d' has no anchor '&d' before it\n");
    reading_assert("name: d\ntasks:\n" TASK "---\nname: e\n", ERROR_PARSE_ERROR,
                   "4:1: error: Invalid YAML: a second document starts here; a DAG file holds one\n");
    reading_assert("name: !!int d\ntasks:\n" TASK, ERROR_PARSE_ERROR,
                   "1:7: error: Invalid YAML: the tag 'int' does not fit here\n"
                   "1:7: error: 'name' must be a string, found the integer d [name] (put it in quotes: \"d\")\n");
}

/* Not by name alone: what refers to a secret holds it. Headers, bodies and environments are no warning. */
static void test_secrets_in_the_open(void **state)
{
    (void)state;
    reading_assert("name: d\nsecrets: [TOKEN, KEY]\nenv: {HEADER: 'Bearer ${env.TOKEN}', PLAIN: x}\ntasks:\n"
                   "- {id: a, type: shell, command: [curl, -H, '${env.HEADER}', '${env.PLAIN}']}\n"
                   "- {id: b, type: python, script: x.py, args: [--key, '${env.KEY}', '$${env.KEY}']}\n"
                   "- {id: c, type: http, url: 'https://h/?t=${env.TOKEN}', headers: {A: '${env.HEADER}'},\n"
                   "   body: '${env.KEY}'}\n"
                   "- {id: d, type: shell, command: [env], env: {OWN: '${env.KEY}', KEY2: '${env.KEY}'}}\n"
                   "- {id: e, type: shell, command: [x, '${env.TOKEN}'], env: {TOKEN: none}}\n",
                   0,
                   "5:44: warning: The secret 'TOKEN' gets into a command line, which others on the machine can read "
                   "[tasks[0].command[2]] (let the program take $TOKEN from its environment)\n"
                   "6:53: warning: The secret 'KEY' gets into a command line, which others on the machine can read "
                   "[tasks[1].args[1]] (let the program take $KEY from its environment)\n"
                   "7:28: warning: The secret 'TOKEN' gets into an address, which servers and proxies write into their "
                   "logs [tasks[2].url] (send ${env.TOKEN} in a header)\n");
}

/* The shell does it: a warning, and the DAG is valid. */
static void test_warnings(void **state)
{
    (void)state;
    reading_assert("name: d\nenv: {A: a}\ntasks:\n- {id: a, type: shell, command: 'echo ${env.A} ${A}'}\n"
                   "- {id: b, type: python, script: 'p ${env.A}'}\n"
                   "- {id: c, type: shell, workdir: '${env.A}', command: 'echo $${env.A}'}\n", 0,
                   "4:33: warning: ${env.A} is not replaced in 'command' [tasks[0].command] (write $A)\n"
                   "5:33: warning: ${env.A} is not replaced in 'script' [tasks[1].script]"
                   " (write os.environ[\"A\"]; in a shell command $A does it)\n"
                   "6:33: warning: ${env.A} is not replaced in 'workdir' [tasks[2].workdir]"
                   " (it is understood in env, args, argv lists, url, headers and body)\n");
    reading_assert("name: d\ntasks:\n" TASK "- {id: b, type: shell, command: x, dependencies: [a, a]}\n", 0,
                   "4:54: warning: Task 'b' lists the dependency 'a' twice [tasks[1].dependencies[1]]\n");
}

static void assert_shown(const char *source, size_t len, bool color, const char *expected)
{
    struct reading reading = reading_of_bytes(source, len);
    struct buf text = BUF_INIT;
    dag_problems_print(&reading.problems, "f.yaml", source, len, color, &text);
    assert_string_equal(buf_text(&text), expected);
    buf_fini(&text);
    reading_end(&reading);
}

#define SHOWN(source, expected) assert_shown(source, sizeof(source) - 1, false, expected)

static void test_carets(void **state)
{
    (void)state;
    SHOWN("name: d\ntasks:\n- id: a\n  type: shell\n  command: x\n  depends: [b]\n",
          "f.yaml:6:3: error: Unknown field 'depends' in a task\n"
          "    6 |   depends: [b]\n"
          "      |   ^~~~~~~\n"
          "      = did you mean 'dependencies'?\n");
    SHOWN("name: d\ntasks:\n- {id: \xe6\x97\xa5\xc3\xa9, type: shell, command: x, foo: 1}\r\n",
          "f.yaml:3:37: error: Unknown field 'foo' in a task\n"
          "    3 | - {id: \xe6\x97\xa5\xc3\xa9, type: shell, command: x, foo: 1}\n"
          "      |                                      ^~~\n");
    SHOWN("name: d\ntasks:\n- {id: a,\ttype: shell, foo: x}\n",
          "f.yaml:3:3: error: Missing required field: command in task 'a'\n"
          "    3 | - {id: a,\ttype: shell, foo: x}\n"
          "      |   ^\n"
          "f.yaml:3:24: error: Unknown field 'foo' in a task\n"
          "    3 | - {id: a,\ttype: shell, foo: x}\n"
          "      |          \t             ^~~\n"
          "2 errors\n");
    SHOWN("\xef\xbb\xbfnam: d\ntasks: []\n",
          "f.yaml:1:1: error: Unknown field 'nam' in a DAG file\n"
          "    1 | nam: d\n"
          "      | ^~~\n"
          "      = did you mean 'name'?\n"
          "f.yaml:1:1: error: Missing required field: name\n"
          "    1 | nam: d\n"
          "      | ^\n"
          "f.yaml:2:8: error: DAG '' has no tasks\n"
          "    2 | tasks: []\n"
          "      |        ^\n"
          "3 errors\n");
}

/* What a file says cannot drive the terminal. */
static void test_terminal(void **state)
{
    (void)state;
    SHOWN("name: d\ntasks: \"\\e[31m\\u202e\"\n",
          "f.yaml:2:8: error: 'tasks' must be a list, found the string '<U+001B>[31m<U+202E>'\n"
          "    2 | tasks: \"\\e[31m\\u202e\"\n"
          "      |        ^~~~~~~~~~~~~~\n");
    SHOWN("name: \xe2\x80\xae" "d\ntasks:\n" TASK,
          "f.yaml:1:7: error: 'name' holds the character U+202E, which is not allowed\n"
          "    1 | name: <U+202E>d\n"
          "      |       ^~~~~~~~~\n");
    static const char colored[] = "name: d\ntasks: 1\n";
    assert_shown(colored, sizeof colored - 1, true,
                 "\033[1mf.yaml:2:8: \033[1;31merror: \033[0m"
                 "\033[1m'tasks' must be a list, found the integer 1\033[0m\n"
                 "    2 | tasks: 1\n"
                 "      | \033[1;32m       ^\033[0m\n");
}

/* A long line is cut around the caret. */
static void test_long_line(void **state)
{
    (void)state;
    struct buf source = BUF_INIT, text = BUF_INIT;
    buf_add_text(&source, "name: d\ntasks:\n- {id: a, type: shell, command: '");
    memset(buf_extend(&source, 500), 'x', 500);
    buf_add_text(&source, "', foo: '");
    memset(buf_extend(&source, 500), 'y', 500);
    buf_add_text(&source, "'}\n");
    struct reading reading = reading_of_bytes(source.bytes, source.len);
    dag_problems_print(&reading.problems, NULL, source.bytes, source.len, false, &text);
    const char *line = strstr(buf_text(&text), "\n");
    assert_non_null(line);
    assert_memory_equal(line, "\n    3 | ...xxx", 14);
    assert_non_null(strstr(line, "x', foo: 'yyy"));
    assert_in_range(strcspn(line + 1, "\n"), 120, 150);
    reading_end(&reading);
    buf_fini(&source);
    buf_fini(&text);
}

static void test_summary(void **state)
{
    (void)state;
    struct reading reading = reading_of("nam: d\ntasks: []\n");
    struct buf text = BUF_INIT;
    dag_problems_summary(&reading.problems, &text);
    assert_string_equal(buf_text(&text), "line 1, column 1: Unknown field 'nam' in a DAG file (and 2 more errors)");
    buf_fini(&text);
    reading_end(&reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relied_on),  cmocka_unit_test(test_suggestions), cmocka_unit_test(test_wrong_kinds),
        cmocka_unit_test(test_one_pass),   cmocka_unit_test(test_yaml_mistakes), cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_carets),     cmocka_unit_test(test_terminal),    cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_summary),    cmocka_unit_test(test_secrets_in_the_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
