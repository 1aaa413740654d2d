/* Housekeeping between commits: the checkpoint, the reserve, expired keys; retention is sqlite_retain.c.
 *
 * The checkpoint is RESTART without waiting: it copies what no reader holds back and, when that is everything, the next
 * commit starts at the front of the -wal file again. When a reader is in the way the rest is done a little later. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/sqlite/sqlite_model.h"

enum { AGAIN_MS = 1000, SWEEP_MS = 60000, SOON_MS = 10 };

/* ---- room ---- */

static char *reserve_path(const struct store_sqlite *store)
{
    return mem_printf("%s/reserve", store->dir);
}

bool store_sqlite_make_reserve(const struct store_sqlite *store)
{
    struct stat status;
    char *path = reserve_path(store);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool made = fd >= 0 && fstat(fd, &status) == 0;
    if (made && status.st_size < store->reserve_bytes)
        made = posix_fallocate(fd, 0, store->reserve_bytes) == 0;
    if (fd >= 0)
        (void)close(fd);
    if (!made)
        (void)unlink(path);
    mem_free(path);
    return made;
}

void store_sqlite_give_reserve(const struct store_sqlite *store)
{
    char *path = reserve_path(store);
    (void)unlink(path);
    mem_free(path);
}

/* Room for the reserve and as much again, so that it is not given up at once when it was made. */
static bool has_room(const struct store_sqlite *store)
{
    struct statvfs space;
    return statvfs(store->dir, &space) == 0 &&
           (int64_t)(space.f_bavail * space.f_frsize) >= 2 * store->reserve_bytes;
}

void store_sqlite_grow_wal(const struct store_sqlite *store)
{
    static const char zeros[65536];
    struct stat status;
    char *path = mem_printf("%s-wal", store->path);
    int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    off_t size = fd >= 0 && fstat(fd, &status) == 0 ? status.st_size : SQLITE_WAL_BYTES;
    while (size < SQLITE_WAL_BYTES) {
        off_t left = SQLITE_WAL_BYTES - size;
        ssize_t written = pwrite(fd, zeros, left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros, size);
        if (written <= 0 && errno != EINTR)
            break;
        size += written > 0 ? written : 0;
    }
    if (fd >= 0)
        (void)close(fd);
    mem_free(path);
}

/* ---- the checkpoint ---- */

static int checkpoint(struct store_sqlite *store, struct error *err)
{
    sqlite3 *db = store->writer.db;
    (void)sqlite3_busy_timeout(db, 0);
    int result = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    (void)sqlite3_busy_timeout(db, SQLITE_BUSY_MS);
    if (result == SQLITE_OK) {
        store->frames = 0;
        return 0;
    }
    return (result & 0xff) == SQLITE_BUSY ? 0 : store_sqlite_fault(store, db, result, err);
}

/* A full disk here loses nothing, but nothing gets better before the reserve is given up. */
static int checkpoint_somehow(struct store_sqlite *store, struct error *err)
{
    int code = checkpoint(store, err);
    if (code == ERROR_STORE_FULL && store->head.room == STORE_ROOM_OK) {
        store_sqlite_give_reserve(store);
        store->head.room = STORE_ROOM_LOW;
        code = checkpoint(store, err);
    }
    return code == ERROR_STORE_FULL ? 0 : code;
}

/* ---- expired keys ---- */

static int oldest_key(struct store_sqlite *store, int64_t *ret_ms, struct error *err)
{
    bool row = false;
    sqlite3_stmt *find = store_sqlite_prepare(&store->writer, SQL_KEY_OLDEST, err);
    int code = find ? store_sqlite_step(&store->writer, find, &row, err) : ERROR_STORE_FAILED;
    if (!row)
        return code;
    *ret_ms = sqlite3_column_type(find, 0) == SQLITE_NULL ? INT64_MAX : sqlite3_column_int64(find, 0);
    (void)sqlite3_reset(find);
    return 0;
}

/* Drops some expired keys. *ret_next_ms: until the next are; -1: there is no key. */
static int sweep(struct store_sqlite *store, int64_t now_ms, int64_t *ret_next_ms, struct error *err)
{
    int64_t oldest = INT64_MAX, expired = now_ms - LIMIT_IDEMPOTENCY_MS;
    int code = oldest_key(store, &oldest, err);
    if (!code && oldest < expired) {
        sqlite3_stmt *expire = store_sqlite_prepare(&store->writer, SQL_KEY_EXPIRE, err);
        if (!expire)
            return ERROR_STORE_FAILED;
        store_sqlite_bind_int(expire, 1, expired);
        code = store_sqlite_run(&store->writer, expire, err);
        if (code == ERROR_STORE_FULL) {
            *ret_next_ms = SWEEP_MS;
            return store_sqlite_rollback(store, 0, err);
        }
        store->head.keep.keys += code ? 0 : (uint64_t)sqlite3_changes64(store->writer.db);
        if (!code)
            code = oldest_key(store, &oldest, err);
    }
    if (!code)
        *ret_next_ms = oldest == INT64_MAX ? -1 : oldest < expired ? SOON_MS : oldest - expired + 1;
    return code;
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < 0 || (b_ms >= 0 && b_ms < a_ms) ? b_ms : a_ms;
}

int store_sqlite_maintain(struct store *head, int64_t now_ms, bool idle, int64_t *ret_next_ms, struct error *err)
{
    struct store_sqlite *store = (struct store_sqlite *)head;
    int64_t next_ms = -1, retain_ms = -1;
    assert(store->mode != STORE_READ);
    int code = store_sqlite_alive(store, true, err);
    if (!code && head->room != STORE_ROOM_OK && has_room(store) && store_sqlite_make_reserve(store))
        head->room = STORE_ROOM_OK;
    bool due = idle || now_ms - store->swept_ms >= SWEEP_MS || now_ms < store->swept_ms;
    if (!code && due) {
        code = sweep(store, now_ms, &next_ms, err);
        store->swept_ms = now_ms;
    }
    if (!code)
        code = store_sqlite_retain(store, now_ms, idle, &retain_ms, err);
    next_ms = sooner(next_ms, retain_ms);
    if (!code && (store->frames >= SQLITE_WAL_FRAMES || (idle && store->frames > 0)))
        code = checkpoint_somehow(store, err);
    if (idle)
        (void)sqlite3_db_release_memory(store->writer.db);
    if (head->room != STORE_ROOM_OK || (idle && store->frames > 0))
        next_ms = sooner(next_ms, AGAIN_MS);
    if (!code)
        *ret_next_ms = next_ms;
    return code;
}
