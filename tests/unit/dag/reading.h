/* DAG files read by tests. */
#ifndef PAWL_TESTS_DAG_READING_H
#define PAWL_TESTS_DAG_READING_H

#include "base/buf.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"

struct reading {
    int code;
    struct dag *dag;                /* NULL when there were errors */
    struct dag_problems problems;
};

struct reading reading_of_bytes(const char *bytes, size_t len);
struct reading reading_of(const char *source);
void reading_end(struct reading *reading);

/* Every problem, one a line: "3:5: error: text [field] (hint)"; the field and the hint only when there are any. */
void reading_list(const struct dag_problems *problems, struct buf *out);
/* The file has exactly these problems. */
void reading_assert(const char *source, int code, const char *problems);

void reading_file(const char *path, struct buf *out);

#endif
