/* The files of a worker in DATA/workers. */
#ifndef PAWL_WORKER_FILES_H
#define PAWL_WORKER_FILES_H

#include <stdbool.h>

#include "base/uuid.h"

/* <dir>/<id>.<ending>; caller frees with mem_free. */
char *worker_file(const char *dir, struct uuid id, const char *ending);
/* All of them, the lock last; a log that is not empty stays when keep_log. */
void worker_files_remove(const char *dir, struct uuid id, bool keep_log);

#endif
