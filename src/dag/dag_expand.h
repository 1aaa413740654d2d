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

/* Appends `text` with every ${env.NAME} replaced to out. Returns ERROR_BAD_REQUEST and names the variable when one
 * is unknown. Values are expanded once; a variable that refers to itself is an error, not a hang. */
int dag_expand(const struct dag *dag, const struct dag_task *task, const struct dag_expand_source *more,
               const char *text, size_t len, struct buf *out, struct error *err);

#endif
