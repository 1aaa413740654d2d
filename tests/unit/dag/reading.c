#include "reading.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"

struct reading reading_of_bytes(const char *bytes, size_t len)
{
    const struct dag_read_options options = {.tasks_max = LIMIT_DAG_TASKS_MAX, .bytes_max = LIMIT_DAG_BYTES_MAX};
    struct reading reading = {0};
    reading.code = dag_read(bytes, len, &options, &reading.problems, &reading.dag);
    return reading;
}

struct reading reading_of(const char *source)
{
    return reading_of_bytes(source, strlen(source));
}

void reading_end(struct reading *reading)
{
    dag_unref(reading->dag);
    dag_problems_fini(&reading->problems);
}

void reading_list(const struct dag_problems *problems, struct buf *out)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct dag_problem *problem = &problems->items[i];
        buf_printf(out, "%u:%u: %s: %s", problem->line, problem->column,
                   problem->severity == DAG_SEVERITY_ERROR ? "error" : "warning", problem->text);
        if (problem->field)
            buf_printf(out, " [%s]", problem->field);
        if (problem->hint)
            buf_printf(out, " (%s)", problem->hint);
        buf_add_char(out, '\n');
    }
}

void reading_assert(const char *source, int code, const char *problems)
{
    struct reading reading = reading_of(source);
    struct buf found = BUF_INIT;
    reading_list(&reading.problems, &found);
    assert_string_equal(buf_text(&found), problems);
    assert_int_equal(reading.code, code);
    assert_int_equal(reading.dag != NULL, code == 0);
    buf_fini(&found);
    reading_end(&reading);
}

void reading_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("cannot open %s", path);
    size_t got;
    do {
        buf_reserve(out, 65536);
        got = fread(out->bytes + out->len, 1, 65536, file);
        out->len += got;
    } while (got > 0);
    assert_int_equal(fclose(file), 0);
}
