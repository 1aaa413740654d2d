/* A backup beside a running daemon, or without one.
 *
 *     DATA/backup.lock, shared    from here on retention deletes no log
 *     BACKUP.part/                private; what goes wrong leaves nothing
 *     pawl.db                     one read transaction: all rows of one moment
 *     logs                        of the runs in that copy; final but for those of attempts that run just now
 *     the other plain files, sync, backup.json
 *     BACKUP                      by a rename that replaces nothing
 *
 * This process only reads the data directory: it takes no checkpoint, so the daemon's connection stays the only one
 * that does. */
#include "server/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "server/sweep.h"
#include "store/store.h"

enum { DESCRIPTORS = 16 };

struct backup {
    const char *data_dir;
    char *part;                 /* where it grows */
    const struct server_backup_watch *watch;
    struct server_backup_stats stats;
    struct store *copy;         /* the copied store, for reading */
};

/* ---- the store ---- */

static bool tell_copy(void *context)
{
    const struct backup *backup = context;
    struct stat status;
    char *path = mem_printf("%s/pawl.db", backup->part);
    uint64_t bytes = stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
    mem_free(path);
    return server_backup_tell(backup->watch, "bytes of the store", bytes, NULL) == 0;
}

static int copy_store(struct backup *backup, struct error *err)
{
    const struct store_options options = {.path = backup->data_dir, .mode = STORE_READ};
    const struct store_copying copying = {tell_copy, backup};
    struct store *store = NULL;
    struct stat status;
    char *path = mem_printf("%s/pawl.db", backup->part);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int code = fd < 0 ? error_set(err, ERROR_IO, "%s: %s", path, strerror(errno)) : 0;
    if (fd >= 0)
        (void)close(fd);
    if (!code)
        code = store_open_sqlite(&options, &store, err);
    if (!code)
        code = store_copy(store, path, &copying, err);
    store_close(store);
    if (!code && stat(path, &status) == 0)
        backup->stats.store_bytes = (uint64_t)status.st_size;
    mem_free(path);
    return code;
}

/* Reads the copy as a daemon would. */
static int open_copy(struct backup *backup, struct error *err)
{
    const struct store_options options = {.path = backup->part, .mode = STORE_READ};
    struct buf findings = BUF_INIT;
    uint32_t count = 0;
    int code = store_open_sqlite(&options, &backup->copy, err);
    if (!code)
        code = store_check(backup->copy, STORE_CHECK_QUICK, &findings, &count, err);
    if (!code && count)
        code = error_set(err, ERROR_STORE_FAILED, "the store is damaged: %s", buf_text(&findings));
    buf_fini(&findings);
    return code;
}

/* ---- files ---- */

typedef int entry_fn(struct backup *backup, const char *inside, const char *name, struct error *err);

/* Calls fn for each entry of the folder DATA/inside (inside "": DATA). No such folder: nothing. */
static int each(struct backup *backup, const char *inside, entry_fn *fn, struct error *err)
{
    char *path = mem_printf("%s/%s", backup->data_dir, inside);
    DIR *dir = opendir(path);
    int code = dir || errno == ENOENT ? 0 : error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
    for (const struct dirent *entry; !code && dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            code = fn(backup, inside, entry->d_name, err);
    if (dir)
        (void)closedir(dir);
    mem_free(path);
    return code;
}

static int copy_plain(struct backup *backup, const char *inside, const char *name, uint64_t *bytes, struct error *err)
{
    struct stat status;
    char *from = mem_printf("%s/%s/%s", backup->data_dir, inside, name);
    char *to = mem_printf("%s/%s/%s", backup->part, inside, name);
    int code = 0;
    if (lstat(from, &status) == 0 && S_ISREG(status.st_mode))
        code = server_backup_copy_file(from, to, false, bytes, err);
    mem_free(from);
    mem_free(to);
    return code;
}

static int copy_log(struct backup *backup, const char *inside, const char *name, struct error *err)
{
    int code = copy_plain(backup, inside, name, &backup->stats.log_bytes, err);
    backup->stats.log_files++;
    return code ? code : server_backup_tell(backup->watch, "log files", backup->stats.log_files, err);
}

/* Makes BACKUP/inside and does the same with what is in DATA/inside. */
static int enter(struct backup *backup, const char *inside, const char *name, entry_fn *fn, struct error *err)
{
    char *below = mem_printf("%s/%s", inside, name), *path = mem_printf("%s/%s", backup->part, below);
    int code = server_backup_make_folder(path, err);
    if (!code)
        code = each(backup, below, fn, err);
    mem_free(below);
    mem_free(path);
    return code;
}

static int copy_run(struct backup *backup, const char *inside, const char *name, struct error *err)
{
    struct uuid id;
    struct store_run run;
    struct arena arena = {0};
    if (!uuid_parse(name, &id))
        return 0;
    int code = store_get_run(backup->copy, id, &arena, &run, err);
    arena_fini(&arena);
    if (code == ERROR_RUN_NOT_FOUND) /* born after the copy, or taken before it */
        return 0;
    return code ? code : enter(backup, inside, name, copy_log, err);
}

static int copy_group(struct backup *backup, const char *inside, const char *name, struct error *err)
{
    return enter(backup, inside, name, copy_run, err);
}

static int copy_other(struct backup *backup, const char *inside, const char *name, struct error *err)
{
    uint64_t bytes = 0;
    return server_backup_wants(name) ? copy_plain(backup, inside, name, &bytes, err) : 0;
}

static int copy_logs(struct backup *backup, struct error *err)
{
    char *path = mem_printf("%s/logs", backup->part);
    int code = server_backup_make_folder(path, err);
    mem_free(path);
    return code ? code : each(backup, "logs", copy_group, err);
}

/* ---- the whole ---- */

static int seal(struct backup *backup, struct error *err)
{
    struct buf text = BUF_INIT;
    struct json json;
    char *path = mem_printf("%s/" SERVER_BACKUP_SEAL, backup->part);
    json_init(&json, &text);
    json_begin_object(&json);
    json_kv_string(&json, "pawl", PAWL_VERSION);
    json_kv_time(&json, "madeAt", backup->stats.made_ms);
    json_kv_int(&json, "storeBytes", (int64_t)backup->stats.store_bytes);
    json_kv_int(&json, "logFiles", (int64_t)backup->stats.log_files);
    json_kv_int(&json, "logBytes", (int64_t)backup->stats.log_bytes);
    json_end_object(&json);
    buf_add_char(&text, '\n');
    int folder = open(backup->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = folder < 0 || syncfs(folder) != 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool done = fd >= 0 && write(fd, text.bytes, text.len) == (ssize_t)text.len && fsync(fd) == 0 &&
                fsync(folder) == 0;
    int failure = errno;
    if (fd >= 0)
        (void)close(fd);
    if (folder >= 0)
        (void)close(folder);
    int code = done ? 0
                    : error_set(err, failure == ENOSPC || failure == EDQUOT ? ERROR_STORE_FULL : ERROR_IO, "%s: %s",
                                path, strerror(failure));
    buf_fini(&text);
    mem_free(path);
    return code;
}

static int fill(struct backup *backup, struct error *err)
{
    int lock = server_sweep_lock(backup->data_dir, true);
    if (lock < 0)
        return error_set(err, ERROR_IO, "%s/backup.lock: %s", backup->data_dir, strerror(errno));
    backup->stats.made_ms = clock_wall_ms();
    int code = copy_store(backup, err);
    if (!code)
        code = open_copy(backup, err);
    if (!code)
        code = copy_logs(backup, err);
    if (!code)
        code = each(backup, ".", copy_other, err);
    store_close(backup->copy);
    (void)close(lock);
    return code ? code : seal(backup, err);
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    (void)remove(path);
    return 0;
}

int server_backup(const char *data_dir, const char *path, const struct server_backup_watch *watch,
                  struct server_backup_stats *ret_stats, struct error *err)
{
    struct backup backup = {.data_dir = data_dir, .watch = watch};
    struct stat status;
    if (lstat(path, &status) == 0)
        return error_set(err, ERROR_USAGE, "%s is there already; a backup replaces nothing", path);
    backup.part = mem_printf("%s.part", path);
    int code = 0;
    if (mkdir(backup.part, 0700) != 0)
        code = error_set(err, ERROR_IO, "%s cannot be made: %s%s", backup.part, strerror(errno),
                         errno == EEXIST ? "; is it a backup that was cut short? Then remove it" : "");
    if (!code) {
        code = fill(&backup, err);
        if (!code && renameat2(AT_FDCWD, backup.part, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
            code = error_set(err, ERROR_IO, "%s cannot take its name: %s", backup.part, strerror(errno));
        if (code)
            (void)nftw(backup.part, remove_entry, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    }
    mem_free(backup.part);
    if (!code)
        *ret_stats = backup.stats;
    return code;
}
