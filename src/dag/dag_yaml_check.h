/* The look at a file's characters before it is parsed as YAML. */
#ifndef PAWL_DAG_DAG_YAML_CHECK_H
#define PAWL_DAG_DAG_YAML_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "dag/dag_problem.h"

/* True when the bytes are UTF-8 and hold only characters that YAML 1.2 allows. Otherwise adds one error with the
 * place of the first that is not. */
bool dag_yaml_check(const char *bytes, size_t len, struct dag_problems *problems);

#endif
