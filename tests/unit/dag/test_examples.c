/* What examples/ and README.md show is a DAG without an error or a warning. */
#include "support/check.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"

static void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    size_t got;
    do {
        buf_reserve(out, 4096);
        got = fread(out->bytes + out->len, 1, 4096, file);
        out->len += got;
    } while (got > 0);
    assert_int_equal(fclose(file), 0);
}

static void assert_no_problem(const char *name, const char *source, size_t len)
{
    const struct dag_read_options options = {
        .file = name, .tasks_max = LIMIT_DAG_TASKS_MAX, .bytes_max = LIMIT_DAG_BYTES_MAX};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    int rc = dag_read(source, len, &options, &problems, &dag);
    if (rc != 0 || problems.count > 0) {
        struct buf text = BUF_INIT;
        dag_problems_print(&problems, name, source, len, false, &text);
        print_error("%s", buf_text(&text));
        buf_fini(&text);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(problems.count, 0);
    assert_true(dag->task_count > 0);
    dag_unref(dag);
    dag_problems_fini(&problems);
}

static void test_examples(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("examples/*.yaml", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 5);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct buf source = BUF_INIT;
        read_file(found.gl_pathv[i], &source);
        assert_no_problem(found.gl_pathv[i], source.bytes, source.len);
        buf_fini(&source);
    }
    globfree(&found);
}

static void test_readme(void **state)
{
    (void)state;
    struct buf readme = BUF_INIT;
    read_file("README.md", &readme);
    const char *text = buf_text(&readme);
    size_t count = 0;
    while ((text = strstr(text, "```yaml\n"))) {
        text += strlen("```yaml\n");
        const char *end = strstr(text, "```");
        assert_non_null(end);
        assert_no_problem("README.md", text, (size_t)(end - text));
        text = end + 3;
        count++;
    }
    assert_true(count > 0);
    buf_fini(&readme);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_readme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
