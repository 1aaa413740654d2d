/* What a DAG file may hold, as data: a table per mapping, an entry per field. The reader, its messages and the JSON
 * Schema of a DAG file all come from these tables. */
#ifndef PAWL_DAG_DAG_FIELDS_H
#define PAWL_DAG_DAG_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dag/dag.h"

enum dag_field_kind {
    DAG_FIELD_TEXT,         /* a string -> const char * */
    DAG_FIELD_ID,           /* a string fit for an id (dag_text_id_fault) -> const char * */
    DAG_FIELD_ENUM,         /* one of `names` -> int, its index */
    DAG_FIELD_DURATION,     /* 500ms 30s 5m 1h 2d or none -> int64_t ms, 0 for none */
    DAG_FIELD_DELAY,        /* the same without none; 0s is allowed -> int64_t ms */
    DAG_FIELD_COUNT,        /* a whole number in min..max -> uint32_t */
    DAG_FIELD_BOOL,         /* true or false -> bool */
    DAG_FIELD_NUMBER,       /* a number in min..max -> double */
    DAG_FIELD_WORDS,        /* a list of single values, as written -> struct dag_words */
    DAG_FIELD_COMMAND,      /* a string, or a list as WORDS: struct dag_task.command and .argv */
    DAG_FIELD_SCRIPT,       /* a string: struct dag_task.script and .script_is_code */
    DAG_FIELD_ENV,          /* names of variables to single values, as written -> struct dag_vars */
    DAG_FIELD_HEADERS,      /* names of HTTP headers to single values, as written -> struct dag_vars */
    DAG_FIELD_NAMES,        /* a list of names of variables, each once -> struct dag_words */
    DAG_FIELD_USER,         /* a name of a user, who is asked for -> const char * */
    DAG_FIELD_METHOD,       /* an HTTP method -> const char *, upper case */
    DAG_FIELD_URL,          /* http:// or https://, or a reference in front -> const char * */
    DAG_FIELD_BODY,         /* anything: struct dag_http.body, .body_len, .body_is_json */
    DAG_FIELD_DEPENDENCIES, /* a list of task ids */
    DAG_FIELD_CRON,         /* a cron expression -> const char * */
    DAG_FIELD_TIMEZONE,     /* a name of the tz database -> const char * */
    DAG_FIELD_SCHEDULE,     /* a cron expression or a mapping: `table` */
    DAG_FIELD_MAPPING,      /* a mapping: `table` */
    DAG_FIELD_TASKS,        /* a list of mappings: `table` */
};

/* Where ${env.NAME} stands in a value of the field. */
enum dag_field_refs {
    DAG_REFS_NONE,          /* not understood: a warning */
    DAG_REFS_EXPANDED,      /* replaced when an attempt starts; the name has to be known */
    DAG_REFS_SHELL,         /* a shell's text: a warning that $NAME does it */
    DAG_REFS_FREE,          /* prose: means nothing, no warning */
};

struct dag_table;

struct dag_field {
    const char *key;
    enum dag_field_kind kind;
    uint16_t offset;                /* in the table's target; see `table->target` */
    uint8_t types;                  /* bit 1 << enum dag_task_type for each type it belongs to; 0: all */
    bool required;
    enum dag_field_refs refs;
    double min, max;                /* COUNT, NUMBER: inclusive; texts: bytes, 0 for max: LIMIT_YAML_SCALAR_BYTES_MAX */
    const char *const *names;       /* ENUM */
    size_t names_count;
    const struct dag_table *table;  /* MAPPING, SCHEDULE, TASKS */
    const char *near;               /* words of other tools that mean this field, separated by blanks */
    const char *about;              /* one sentence for people */
};

struct dag_table {
    const char *what;               /* "a task", for messages */
    const struct dag_field *fields;
    size_t count;                   /* at most 32 */
};

extern const struct dag_table dag_table_file;       /* the whole file: struct dag */
extern const struct dag_table dag_table_task;       /* struct dag_task; http fields: struct dag_http */
extern const struct dag_table dag_table_retry;      /* struct dag_retry */
extern const struct dag_table dag_table_schedule;   /* struct dag_schedule */
extern const struct dag_table dag_table_keep;       /* struct dag_keep */
extern const struct dag_table dag_table_defaults;   /* struct dag_task */

/* The field of a key, or NULL; *ret_index is its index in the table. */
const struct dag_field *dag_table_find(const struct dag_table *table, const char *key, size_t len, size_t *ret_index);
/* The key that a mistyped or foreign one most likely means, or NULL. */
const char *dag_table_nearest(const struct dag_table *table, const char *key);
/* The bit of a key, which must be in the table, in the masks of fields that were given. */
uint32_t dag_table_bit(const struct dag_table *table, const char *key);

#endif
