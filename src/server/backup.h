/* Files of a backup; private to backup.c and restore.c.
 *
 *     BACKUP/pawl.db      a copy of the store at one moment
 *     BACKUP/logs/        the log files of its runs, as in a data directory
 *     BACKUP/tokens node  ...: what else lies in the data directory and is a plain file
 *     BACKUP/backup.json  written last: without it a backup is not whole */
#ifndef PAWL_SERVER_BACKUP_H
#define PAWL_SERVER_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "server/server.h"

#define SERVER_BACKUP_SEAL "backup.json"

/* Tells the watcher; ERROR_INTERRUPTED when it wants the end. */
int server_backup_tell(const struct server_backup_watch *watch, const char *what, uint64_t done, struct error *err);
/* Copies a file's bytes into a new private one (which `over` may replace). Adds to *bytes. */
int server_backup_copy_file(const char *from, const char *to, bool over, uint64_t *bytes, struct error *err);
/* Makes a private folder that may be there already. */
int server_backup_make_folder(const char *path, struct error *err);
/* Whether a plain file of a data directory belongs into a backup: not locks, not what a start makes anew. */
bool server_backup_wants(const char *name);

#endif
