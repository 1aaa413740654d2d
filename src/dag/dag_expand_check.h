/* Whether a value can be expanded at all, before any secret is known (private to src/dag). */
#ifndef PAWL_DAG_DAG_EXPAND_CHECK_H
#define PAWL_DAG_DAG_EXPAND_CHECK_H

#include <stddef.h>

#include "base/error.h"

struct dag;
struct dag_task;

/* As dag_expand with every secret empty, and the result forgotten. task may be NULL: the DAG's env alone. Adds what
 * it costs to *steps: one for each reference followed and for each eight variables among which its name is looked
 * for. Names that are not known are no error here: the variable that holds them is
 * told of by itself. */
int dag_expand_check(const struct dag *dag, const struct dag_task *task, const char *text, size_t len,
                     size_t *steps, struct error *err);

#endif
