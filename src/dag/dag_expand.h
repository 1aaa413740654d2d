/* ${env.NAME}: task env, then DAG env, then secrets. Understood in env, args, argv lists, url, headers and body. */
#ifndef PAWL_DAG_DAG_EXPAND_H
#define PAWL_DAG_DAG_EXPAND_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct dag;
struct dag_task;

/* A resolver of names that the DAG's own env does not hold (secrets); NULL result: unknown. */
struct dag_expand_source {
    const char *(*find)(void *context, const char *name);
    void *context;
};

/* Appends `text` with every ${env.NAME} replaced to out, which is as before when it fails; $${env.NAME} gives the
 * characters ${env.NAME}. Returns ERROR_BAD_REQUEST and names the variable when one is unknown, refers to itself, or
 * the variables add more than LIMIT_COMMAND_BYTES_MAX. What a secret holds is not looked into. A variable's value has
 * to be given as dag_var.value itself (the pointer): there its own name means the variable further out (a task's
 * PATH may refer to the DAG's PATH). `task` may be NULL: the DAG's env alone. Thread-safe. */
int dag_expand(const struct dag *dag, const struct dag_task *task, const struct dag_expand_source *more,
               const char *text, size_t len, struct buf *out, struct error *err);

/* The same for the body of an http task; in a JSON body what is put in is escaped as JSON asks. */
int dag_expand_body(const struct dag *dag, const struct dag_task *task, const struct dag_expand_source *more,
                    struct buf *out, struct error *err);

#endif
