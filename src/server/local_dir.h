/* Where `pawl run` keeps its stores: DATA/local/N, each a data directory of its own. */
#ifndef PAWL_SERVER_LOCAL_DIR_H
#define PAWL_SERVER_LOCAL_DIR_H

#include "base/error.h"
#include "store/store_dir.h"

enum { SERVER_LOCAL_DIRS_MAX = 64 };

/* Takes the first directory whose lock is free. ERROR_STORE_LOCKED when SERVER_LOCAL_DIRS_MAX runs are under way. */
int server_local_dir_open(const char *data_dir, struct store_dir *ret_dir, struct error *err);
/* The path of the n-th one (from 1); caller frees with mem_free. */
char *server_local_dir_path(const char *data_dir, int n);

#endif
