/* What examples/, README.md and docs/ show is a DAG without an error or a warning, and docs/dag-files.md has a row
 * for every field there is. */
#include "support/check.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "dag/dag.h"
#include "dag/dag_fields.h"
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

static void assert_blocks_are_dags(const char *path)
{
    struct buf page = BUF_INIT;
    read_file(path, &page);
    const char *text = buf_text(&page);
    size_t count = 0;
    while ((text = strstr(text, "```yaml\n"))) {
        text += strlen("```yaml\n");
        const char *end = strstr(text, "```");
        assert_non_null(end);
        assert_no_problem(path, text, (size_t)(end - text));
        text = end + 3;
        count++;
    }
    assert_true(count > 0);
    buf_fini(&page);
}

static void test_pages(void **state)
{
    (void)state;
    assert_blocks_are_dags("README.md");
    assert_blocks_are_dags("docs/dag-files.md");
}

/* The rows between two headings name every field of the table. */
static void assert_documented(const char *page, const char *heading, const char *end_heading,
                              const struct dag_table *table)
{
    const char *start = strstr(page, heading), *end = start ? strstr(start, end_heading) : NULL;
    if (!end)
        fail_msg("no '%s' before '%s'", heading, end_heading);
    for (size_t i = 0; i < table->count; i++) {
        char row[100];
        (void)snprintf(row, sizeof row, "\n| `%s` |%s", table->fields[i].key,
                       table->fields[i].required ? " required |" : "");
        const char *found = strstr(start, row);
        if (!found || found > end)
            fail_msg("'%s' has no row below '%s'", table->fields[i].key, heading);
    }
}

static void test_reference(void **state)
{
    (void)state;
    struct buf page = BUF_INIT;
    read_file("docs/dag-files.md", &page);
    const char *text = buf_text(&page);
    assert_documented(text, "\n## The file\n", "\n## Every task\n", &dag_table_file);
    assert_documented(text, "\n## Every task\n", "\n## Retry\n", &dag_table_task);
    assert_documented(text, "\n## Retry\n", "\n## Schedule\n", &dag_table_retry);
    assert_documented(text, "\n## Schedule\n", "\n## Values and variables\n", &dag_table_schedule);
    for (size_t i = 0; i < dag_table_defaults.count; i++) {
        char name[100];
        (void)snprintf(name, sizeof name, "`%s`", dag_table_defaults.fields[i].key);
        const char *row = strstr(text, "\n| `defaults` |");
        assert_non_null(row);
        const char *found = strstr(row, name);
        assert_true(found && found < strchr(row + 1, '\n'));
    }
    buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
