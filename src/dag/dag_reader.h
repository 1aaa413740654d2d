/* The reader of DAG files, shared by its parts (private to src/dag):
 *
 *     dag_read.c         the whole: bytes -> tree -> fields -> defaults -> graph
 *     dag_read_table.c   a mapping by its table of fields
 *     dag_read_value.c   one value by its kind
 *     dag_read_task.c    a task
 *     dag_change.c       what one run changes of its tasks
 *     dag_report.c       problems with their place
 *
 * Tasks are read while the file still is, one by one; what needs the whole file (defaults, known names of variables,
 * dependencies) is noted and settled at the end. */
#ifndef PAWL_DAG_DAG_READER_H
#define PAWL_DAG_DAG_READER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "dag/dag.h"
#include "dag/dag_fields.h"
#include "dag/dag_ids.h"
#include "dag/dag_owned.h"
#include "dag/dag_pool.h"
#include "dag/dag_problem.h"
#include "dag/dag_yaml.h"

/* Where in the file's structure we are, for messages; lives on the stack. */
struct dag_path {
    const struct dag_path *up;  /* NULL at the root */
    const char *key;            /* NULL: an item of a list */
    size_t index;
};

/* A place in the file, for what is found out later. */
struct dag_place {
    uint32_t line;
    uint32_t column;
};

/* What is kept of a task until the end. */
struct dag_task_note {
    struct dag_place place;     /* of its id */
    uint32_t given;             /* bits 0..23: fields of dag_table_task; 24..31: of dag_table_retry */
    uint32_t first_edge;
    uint32_t symbol;            /* of its id, or DAG_ID_UNDEFINED */
};

enum { DAG_GIVEN_RETRY_SHIFT = 24 };

/* A dependency as written. */
struct dag_edge_note {
    uint32_t symbol;
    struct dag_place place;
};

/* A text with references to variables. */
struct dag_refs_note {
    int64_t task;               /* index; -1: the DAG's env */
    const char *text;           /* in the DAG */
    size_t len;
    const char *field;          /* rendered path, in `scratch` */
    struct dag_place place;
    uint32_t length;
    enum dag_field_kind kind;   /* of the field it stands in: a value of ENV may refer in circles */
};

struct dag_reader {
    const struct dag_read_options *options;
    struct dag_problems *problems;
    struct dag_owned *owned;            /* the DAG in the making */
    struct dag_pool pool;               /* its texts */
    struct arena scratch;               /* ends with the reader */

    struct dag_ids ids;
    struct dag_task_note *notes;        /* by task; owned->tasks has the same capacity */
    size_t task_count, task_cap, note_cap;
    struct dag_edge_note *edges;        /* by task, in file order */
    size_t edge_count, edge_cap;
    struct dag_refs_note *refs;
    size_t refs_count, refs_cap;

    struct dag_task *task;              /* the task being read, or the defaults; NULL outside */
    struct dag_http *http;              /* its request, or NULL */
    const char *task_label;             /* its id, for messages; NULL if it has none */
    uint32_t retry_given;               /* fields of dag_table_retry given in the mapping read last */

    struct dag_task defaults;
    uint32_t defaults_given;            /* bits of dag_table_defaults */
    uint32_t defaults_retry_given;

    bool id_missing;                    /* a task has no usable id: what depends on it would seem to dangle */
    bool too_many;                      /* a limit of tasks or dependencies ended the reading */
};

/* Problems. `path` and `hint` may be NULL. `at` may be an alias: the place is where it is used. */
void dag_report(struct dag_reader *r, const struct dag_node *at, const struct dag_path *path, const char *hint,
                const char *format, ...) __attribute__((format(printf, 5, 6)));
void dag_report_warning(struct dag_reader *r, const struct dag_node *at, const struct dag_path *path,
                        const char *hint, const char *format, ...) __attribute__((format(printf, 5, 6)));
void dag_report_graph(struct dag_reader *r, enum dag_severity severity, struct dag_place place, uint32_t length,
                      const char *field, const char *hint, const char *format, ...)
    __attribute__((format(printf, 7, 8)));
void dag_report_refs(struct dag_reader *r, const struct dag_refs_note *note, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "tasks[3].retry.maxAttempts" in arena. */
const char *dag_path_render(const struct dag_path *path, struct arena *arena);
/* "the integer 12", "a list": what was found, for messages; cut to fit. */
const char *dag_describe(const struct dag_node *node, char buf[100]);
/* Characters of a text, for underlining. */
uint32_t dag_text_width(const char *text, size_t len);

/* Reads the fields of a mapping into target. Returns the bits of those given with a value (not null). `type` says
 * which fields belong; -1: all. */
uint32_t dag_read_table(struct dag_reader *r, const struct dag_table *table, const struct dag_node *mapping, int type,
                        void *target, const struct dag_path *path);
/* The same, and none has to be there. */
uint32_t dag_read_fields(struct dag_reader *r, const struct dag_table *table, const struct dag_node *mapping,
                         int type, void *target, const struct dag_path *path);
/* Reads one value into target (the struct that the field's offset counts from). False when it is not valid; why has
 * been said. */
bool dag_read_value(struct dag_reader *r, const struct dag_field *field, const struct dag_node *value, void *target,
                    const struct dag_path *path);
/* Reads a task and adds it. False when there are too many. */
bool dag_read_task(struct dag_reader *r, const struct dag_node *item, size_t index);
/* Reads every task of a list. */
bool dag_read_tasks(struct dag_reader *r, const struct dag_node *list);
/* Puts what the options change on top of the tasks. */
void dag_change_tasks(struct dag_reader *r);
/* Notes or warns about the references in a text that is in the DAG. */
void dag_read_refs(struct dag_reader *r, const struct dag_field *field, const struct dag_node *at, const char *text,
                   size_t len, const struct dag_path *path);
/* After the whole file: unknown names and circles among variables. */
void dag_check_refs(struct dag_reader *r);

/* The graph: resolves dependencies, finds what is wrong with them, and fills the graph's arrays of the DAG. True when
 * nothing was wrong. */
bool dag_graph_build(struct dag_reader *r);

/* What a retry policy is before a file says anything; max_attempts is 1. */
extern const struct dag_retry dag_retry_none;

#endif
