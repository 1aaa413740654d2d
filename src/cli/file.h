/* Files that are named on the command line. */
#ifndef PAWL_CLI_FILE_H
#define PAWL_CLI_FILE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/* Appends a file's bytes; "-" is stdin. ERROR_NOT_FOUND, ERROR_TOO_BIG beyond bytes_max, ERROR_IO. */
int cli_file_read(const char *path, size_t bytes_max, struct buf *into, struct error *err);
/* Replaces a file's content. */
int cli_file_write(const char *path, const struct buf *text, struct error *err);

#endif
