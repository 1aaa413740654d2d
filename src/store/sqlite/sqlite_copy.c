/* A copy while the store is in use: VACUUM INTO, one read transaction, so the copy is what was committed at its start.
 * Only used pages are written, and every row is read on the way. Meanwhile the -wal file cannot be started over and
 * grows. The connection is read-only and never checkpoints, so it may belong to another process than the writer. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/sqlite/sqlite_model.h"

enum { STEPS_PER_LOOK = 20000 }; /* of SQLite's machine: some milliseconds */

static int look(void *context)
{
    const struct store_copying *copying = context;
    return !copying->tell(copying->context);
}

/* What failed is the copy. */
static int fault(sqlite3 *db, int result, const char *path, struct error *err)
{
    int system = sqlite3_system_errno(db);
    if ((result & 0xff) == SQLITE_INTERRUPT)
        return error_set(err, ERROR_INTERRUPTED, "interrupted");
    if ((result & 0xff) == SQLITE_FULL || (result == SQLITE_IOERR_WRITE && (system == ENOSPC || system == EDQUOT)))
        return error_set(err, ERROR_STORE_FULL, "no room for %s", path);
    return error_set(err, ERROR_IO, "%s: %s (%d%s%s)", path, sqlite3_errmsg(db), result, system ? ", " : "",
                     system ? strerror(system) : "");
}

static int sync_file(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        (void)close(fd);
    if (failed == ENOSPC || failed == EDQUOT)
        return error_set(err, ERROR_STORE_FULL, "no room for %s", path);
    return failed ? error_set(err, ERROR_IO, "%s: %s", path, strerror(failed)) : 0;
}

int store_sqlite_copy(struct store *head, const char *path, const struct store_copying *copying, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    struct sqlite_connection connection = {0};
    sqlite3_stmt *statement = NULL;
    int code = store_sqlite_alive(store, false, err);
    if (!code)
        code = store_sqlite_open_copier(store, &connection, err);
    if (code)
        return code;
    if (copying && copying->tell)
        sqlite3_progress_handler(connection.db, STEPS_PER_LOOK, look, (void *)copying);
    int result = sqlite3_prepare_v2(connection.db, "VACUUM INTO ?1", -1, &statement, NULL);
    if (result == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
        result = sqlite3_step(statement);
    }
    if (result != SQLITE_DONE)
        code = fault(connection.db, sqlite3_extended_errcode(connection.db), path, err);
    (void)sqlite3_finalize(statement);
    store_sqlite_close(&connection);
    return code ? code : sync_file(path, err);
}
