#include "store/power_vfs.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/str.h"

enum { FILES_MAX = 16, SECTOR = 512 };

enum entry_kind { ENTRY_WRITE, ENTRY_TRUNCATE, ENTRY_SYNC, ENTRY_DELETE };

struct entry {
    enum entry_kind kind;
    int file;
    int64_t offset;             /* TRUNCATE: the new size */
    size_t len;
    char *bytes;
};

struct power_file {
    sqlite3_file base;
    int index;                  /* of its path; -1: not ours */
    sqlite3_file *real;         /* right behind this */
};

static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    char *dir;
    char *paths[FILES_MAX];
    int path_count;
    struct entry *entries;
    size_t count, cap;
} power;

/* ---- the diary ---- */

static int index_of(const char *path)
{
    if (!path || !power.dir || !str_starts_with(path, power.dir))
        return -1;
    for (int i = 0; i < power.path_count; i++)
        if (strcmp(power.paths[i], path) == 0)
            return i;
    if (power.path_count == FILES_MAX)
        return -1;
    power.paths[power.path_count] = mem_strdup(path);
    return power.path_count++;
}

static void note(int file, enum entry_kind kind, int64_t offset, const void *bytes, size_t len)
{
    if (file < 0)
        return;
    power.entries = mem_grow(power.entries, &power.cap, power.count + 1, sizeof *power.entries);
    power.entries[power.count++] =
        (struct entry){kind, file, offset, len, bytes ? mem_dup(bytes, len) : NULL};
}

/* ---- a file ---- */

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct power_file *)file)->real;
}

static int on_close(sqlite3_file *file)
{
    return real_of(file)->pMethods->xClose(real_of(file));
}

static int on_read(sqlite3_file *file, void *bytes, int len, sqlite3_int64 offset)
{
    return real_of(file)->pMethods->xRead(real_of(file), bytes, len, offset);
}

static int on_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    note(((struct power_file *)file)->index, ENTRY_WRITE, offset, bytes, (size_t)len);
    return real_of(file)->pMethods->xWrite(real_of(file), bytes, len, offset);
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    note(((struct power_file *)file)->index, ENTRY_TRUNCATE, size, NULL, 0);
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

static int on_sync(sqlite3_file *file, int flags)
{
    int code = real_of(file)->pMethods->xSync(real_of(file), flags);
    note(((struct power_file *)file)->index, ENTRY_SYNC, 0, NULL, 0);
    return code;
}

static int on_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int on_lock(sqlite3_file *file, int lock)
{
    return real_of(file)->pMethods->xLock(real_of(file), lock);
}

static int on_unlock(sqlite3_file *file, int lock)
{
    return real_of(file)->pMethods->xUnlock(real_of(file), lock);
}

static int on_check(sqlite3_file *file, int *held)
{
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), held);
}

static int on_control(sqlite3_file *file, int op, void *argument)
{
    return real_of(file)->pMethods->xFileControl(real_of(file), op, argument);
}

/* The least a disk promises: no write is whole beyond a sector, none is in order. */
static int on_sector(sqlite3_file *file)
{
    (void)file;
    return SECTOR;
}

static int on_characteristics(sqlite3_file *file)
{
    (void)file;
    return 0;
}

static int on_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, memory);
}

static int on_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, n, flags);
}

static void on_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int on_shm_unmap(sqlite3_file *file, int remove)
{
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_check,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_characteristics,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

/* ---- the VFS ---- */

static int on_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    struct power_file *ours = (struct power_file *)file;
    ours->real = (sqlite3_file *)(ours + 1);
    ours->index = flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL) ? index_of(path) : -1;
    int code = power.real->xOpen(power.real, path, ours->real, flags, ret_flags);
    ours->base.pMethods = ours->real->pMethods ? &methods : NULL;
    return code;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    (void)vfs;
    int code = power.real->xDelete(power.real, path, sync_dir);
    if (code == SQLITE_OK)
        note(index_of(path), ENTRY_DELETE, 0, NULL, 0);
    return code;
}

void power_start(const char *dir)
{
    power.real = sqlite3_vfs_find(NULL);
    power.dir = mem_strdup(dir);
    power.vfs = *power.real;
    power.vfs.zName = "power";
    power.vfs.szOsFile = (int)sizeof(struct power_file) + power.real->szOsFile;
    power.vfs.pNext = NULL;
    power.vfs.xOpen = on_open;
    power.vfs.xDelete = on_delete;
    (void)sqlite3_vfs_register(&power.vfs, 1);
}

void power_stop(void)
{
    (void)sqlite3_vfs_register(power.real, 1);
    (void)sqlite3_vfs_unregister(&power.vfs);
}

size_t power_now(void)
{
    return power.count;
}

void power_forget(void)
{
    for (size_t i = 0; i < power.count; i++)
        mem_free(power.entries[i].bytes);
    for (int i = 0; i < power.path_count; i++)
        mem_free(power.paths[i]);
    mem_free(power.entries);
    mem_free(power.dir);
    power.entries = NULL;
    power.dir = NULL;
    power.count = power.cap = 0;
    power.path_count = 0;
}

/* ---- the loss ---- */

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t next(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void put(int fd, const struct entry *entry, size_t from, size_t len)
{
    if (pwrite(fd, entry->bytes + from, len, entry->offset + (int64_t)from) != (ssize_t)len)
        perror("power: pwrite");
}

/* Sector by sector, each there or not. */
static void put_torn(int fd, const struct entry *entry, uint64_t *seed)
{
    for (size_t from = 0; from < entry->len; from += SECTOR) {
        size_t len = entry->len - from < SECTOR ? entry->len - from : SECTOR;
        if (next(seed) & 1)
            put(fd, entry, from, len);
    }
}

static void replay(int fd, const struct entry *entry, bool durable, uint64_t *seed)
{
    uint64_t fate = durable ? 0 : next(seed) % 4;
    if (entry->kind == ENTRY_WRITE && fate <= 1)
        put(fd, entry, 0, entry->len);
    else if (entry->kind == ENTRY_WRITE && fate == 2)
        put_torn(fd, entry, seed);
    else if (entry->kind == ENTRY_TRUNCATE && fate <= 1 && ftruncate(fd, entry->offset) != 0)
        perror("power: ftruncate");
}

static void lose_file(int file, size_t moment, uint64_t *seed, const char *into)
{
    size_t born = 0, synced = 0;
    bool there = false;
    for (size_t i = 0; i < moment; i++) {
        const struct entry *entry = &power.entries[i];
        if (entry->file != file)
            continue;
        there = entry->kind != ENTRY_DELETE;
        if (entry->kind == ENTRY_DELETE)
            born = i + 1;
        else if (entry->kind == ENTRY_SYNC)
            synced = i;
    }
    if (!there)
        return;
    char *path = mem_printf("%s/%s", into, strrchr(power.paths[file], '/') + 1);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        perror("power: open");
    for (size_t i = born; fd >= 0 && i < moment; i++)
        if (power.entries[i].file == file)
            replay(fd, &power.entries[i], i < synced, seed);
    if (fd >= 0)
        (void)close(fd);
    mem_free(path);
}

void power_lose(size_t moment, uint64_t seed, const char *into)
{
    for (int file = 0; file < power.path_count; file++)
        lose_file(file, moment, &seed, into);
}
