/* The JSON Schema (draft 7) of a DAG file, from the tables of its fields: for editors, and for whoever writes such
 * files by program. What a schema cannot say (cycles, unknown dependencies, references to variables, cron expressions,
 * time zones, sizes in bytes) is the reader's alone; everything else it refuses, the schema refuses, and what the
 * reader takes, the schema takes. */
#ifndef PAWL_DAG_DAG_SCHEMA_H
#define PAWL_DAG_DAG_SCHEMA_H

#include "base/buf.h"

void dag_schema(struct buf *out);

#endif
