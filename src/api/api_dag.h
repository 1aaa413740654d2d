/* DAGs that a request names or brings along. */
#ifndef PAWL_API_API_DAG_H
#define PAWL_API_API_DAG_H

#include <stdbool.h>

#include "api/api_call.h"
#include "store/store.h"

/* The DAG of call->id, one that was deleted only if `deleted`; false: answered. */
bool api_dag_find(struct api_call *call, bool deleted, struct store_dag *ret_dag);
/* Reads the body's YAML into call->dag, under this name (NULL: the file's, "" if it has none); false: answered. */
bool api_dag_take_yaml(struct api_call *call, const char *name);

#endif
