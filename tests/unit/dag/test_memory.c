/* No memory for libyaml is no fault of the file. Its own allocator is replaced here: the n-th call finds none, for
 * every n until one reading meets no such call. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"

#define IN_FRONT __attribute__((visibility("default")))

IN_FRONT void *yaml_malloc(size_t size);
IN_FRONT void *yaml_realloc(void *old, size_t size);
IN_FRONT unsigned char *yaml_strdup(const unsigned char *text);

static long countdown; /* 0: never */

static bool is_refused(void)
{
    return countdown > 0 && --countdown == 0;
}

void *yaml_malloc(size_t size)
{
    return is_refused() ? NULL : malloc(size ? size : 1);
}

void *yaml_realloc(void *old, size_t size)
{
    return is_refused() ? NULL : realloc(old, size ? size : 1);
}

unsigned char *yaml_strdup(const unsigned char *text)
{
    return !text || is_refused() ? NULL : (unsigned char *)strdup((const char *)text);
}

static int read_once(const char *text)
{
    const struct dag_read_options options = {.tasks_max = LIMIT_DAG_TASKS_MAX, .bytes_max = LIMIT_DAG_BYTES_MAX};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    int code = dag_read(text, strlen(text), &options, &problems, &dag);
    assert_true((code == 0) == (dag != NULL));
    dag_unref(dag);
    dag_problems_fini(&problems);
    return code;
}

static void test_each_allocation(void **state)
{
    (void)state;
    static const char text[] = "# every kind of thing\nname: &n \"d\"\nenv: {A: *n, B: !!str 1}\ntasks:\n"
                               "  - {id: a, type: shell, command: |\n      one\n      two\n    }\n"
                               "  - id: b\n    type: shell\n    command: ['x', \"y\"]\n    dependencies: [a]\n";
    static const char good[] = "name: &n \"d\"\nenv: {A: *n, B: !!str 1}\ntasks:\n"
                               "  - id: a\n    type: shell\n    command: |\n      one\n      two\n"
                               "  - id: b\n    type: shell\n    command: ['x', \"y\"]\n    dependencies: [a]\n";
    countdown = 0;
    assert_int_equal(read_once(good), 0);
    int codes[2] = {0, ERROR_PARSE_ERROR};
    const char *const texts[2] = {good, text};
    for (int i = 0; i < 2; i++) {
        long n = 1;
        for (bool met = true; met; n++) {
            countdown = n;
            int code = read_once(texts[i]);
            met = countdown == 0;
            assert_int_equal(code, met ? ERROR_OUT_OF_MEMORY : codes[i]);
        }
        assert_true(n > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
