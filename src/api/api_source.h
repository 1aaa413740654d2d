/* DAG versions, read once and kept for those that are used again: triggers, reruns and ended runs need the tasks of a
 * version, which the store keeps as YAML. Bounded; thread-safe. */
#ifndef PAWL_API_API_SOURCE_H
#define PAWL_API_API_SOURCE_H

#include <stdint.h>

#include "base/error.h"
#include "base/uuid.h"

struct api;
struct api_dags;
struct dag;
struct record_run;

struct api_dags *api_source_new(void);
void api_source_free(struct api_dags *dags); /* NULL is allowed */

/* A reference to a version's definition, read from the store when it is not kept. ERROR_DAG_NOT_FOUND,
 * ERROR_STORE_FAILED; ERROR_INTERNAL when what the store holds cannot be read any more. */
int api_source_get(struct api *api, struct uuid dag_id, uint32_t version, struct dag **ret_dag, struct error *err);
/* The same of a run, with what it has other than its version. What does not fit is ERROR_BAD_REQUEST. */
int api_source_get_of_run(struct api *api, const struct record_run *run, struct dag **ret_dag, struct error *err);
/* Keeps a version that was just made; takes no reference from the caller. */
void api_source_put(struct api *api, struct uuid dag_id, uint32_t version, struct dag *dag);

#endif
