/* What libyaml says about a file, in words for the person who wrote it. */
#ifndef PAWL_DAG_DAG_YAML_ERROR_H
#define PAWL_DAG_DAG_YAML_ERROR_H

#include <stddef.h>
#include <yaml.h>

#include "dag/dag_problem.h"

/* Adds the error that ended `parser`, which was reading `bytes`. */
void dag_yaml_error_add(const yaml_parser_t *parser, const char *bytes, size_t len, struct dag_problems *problems);

#endif
