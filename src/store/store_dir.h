/* The data directory: made with mode 0700, on a local file system, held by one process at a time.
 *
 *     DATA/lock       an open file description's write lock (fcntl(2)) on its first PID bytes, PID being the holder's:
 *                     so whoever asks the kernel for the lock learns the pid with it. The pid as text inside.
 *     DATA/pawl.db    the store, with -wal and -shm beside it
 *     DATA/reserve    bytes to give up when the disk is full
 *     DATA/logs/ work/ workers/ */
#ifndef PAWL_STORE_STORE_DIR_H
#define PAWL_STORE_STORE_DIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct store_dir {
    char *path;     /* absolute */
    int lock_fd;    /* CLOEXEC; the lock ends with it */
};

/* Makes the directory and its subfolders when they are missing (parents too), refuses a network file system, a
 * directory of another user or one that others may write to, and takes the lock. A directory that others may only
 * read is closed to them when it is empty or already pawl's, else refused. ERROR_STORE_LOCKED names the holder's
 * pid; ERROR_IO. Caller ends it with store_dir_close. */
int store_dir_open(const char *path, struct store_dir *ret_dir, struct error *err);
void store_dir_close(struct store_dir *dir);
/* The pid that holds the directory's lock; 0 when nobody does. Takes no lock itself. */
pid_t store_dir_holder(const char *path);
/* The name of a network file system by its magic number (statfs(2) f_type); NULL for any other, FUSE too, of which it
 * cannot be told. */
const char *store_dir_network_name(unsigned long magic);

#endif
