/* What is wrong in a DAG file: a list of places and texts, and how they are shown. */
#ifndef PAWL_DAG_DAG_PROBLEM_H
#define PAWL_DAG_DAG_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"

enum dag_severity { DAG_SEVERITY_ERROR, DAG_SEVERITY_WARNING };

struct dag_problem {
    enum dag_severity severity;
    bool of_graph;              /* found by the validator of the graph, not by the reader */
    uint32_t line;              /* from 1; 0: the file as a whole */
    uint32_t column;            /* in characters, from 1 */
    uint32_t length;            /* characters to underline; at least 1 */
    const char *field;          /* e.g. "tasks[3].retry.maxAttempts"; NULL if none */
    const char *text;           /* one sentence; the relied-on texts of product.md section 2 come first in it */
    const char *hint;           /* "did you mean 'dependencies'?"; NULL if none */
};

/* Zero-initialised is empty and valid. Items are ordered by place; at most LIMIT_DAG_ERRORS_MAX errors and as many
 * warnings are kept, those that come first in the file. */
struct dag_problems {
    struct dag_problem *items;  /* in arena */
    size_t count;
    size_t cap;
    size_t error_count;         /* all that were found, also those beyond LIMIT_DAG_ERRORS_MAX */
    size_t warning_count;
    size_t read_error_count;    /* of error_count, those that are not of the graph */
    bool out_of_memory;         /* the reading ended for want of it: nothing is known of the file */
    struct arena arena;
};

void dag_problems_fini(struct dag_problems *problems);

/* Adds a copy of `problem` at its place. The same text at the same place is kept and counted once. When there are too
 * many to look at, it is only counted. */
void dag_problems_add(struct dag_problems *problems, const struct dag_problem *problem);

/* More than LIMIT_DAG_ERRORS_READ_MAX were found: nobody needs the words of another. */
bool dag_problems_are_full(const struct dag_problems *problems, enum dag_severity severity);

/* `file:line:column: error: text` with the source line, a caret line and the hint below it; colours on request.
 * `source` is the file's bytes (NULL: no source lines). Ends with a count line when there was more than one. */
void dag_problems_print(const struct dag_problems *problems, const char *file, const char *source, size_t len,
                        bool color, struct buf *out);

/* One line that names the first error and how many there are: for API messages. */
void dag_problems_summary(const struct dag_problems *problems, struct buf *out);

#endif
