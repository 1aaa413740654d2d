/* A data directory out of a backup.
 *
 *     is it whole?       backup.json is there
 *     DATA               made or empty of a store, its lock held to the end
 *     logs, tokens, ...  then pawl.db under a name that is none of a store's; sync; pawl.db
 *     fsck               of the whole copy
 *     instants           of schedules since the backup: recorded as missed
 *     runs               that had not ended: canceled by the engine itself, without a single worker
 *
 * Cut short before the last rename it left no store, and can be done again. After that it left one whose runs are still
 * active: fsck and what follows is then repeated by hand with an empty directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cron/cron.h"
#include "server/backup.h"
#include "server/core.h"
#include "store/store.h"
#include "store/store_dir.h"

enum { DEPTH_MAX = 4, INSTANTS_MAX = 10000000 };

struct restore {
    const char *from;
    const char *data_dir;
    const struct server_backup_watch *watch;
    struct server_backup_stats stats;
    struct core *core;
    uint64_t active;            /* runs that have not ended yet */
};

/* ---- files ---- */

static int copy_tree(struct restore *restore, const char *inside, int depth, struct error *err);

static int copy_entry(struct restore *restore, const char *inside, const char *name, int depth, struct error *err)
{
    struct stat status;
    char *below = mem_printf("%s/%s", inside, name);
    char *from = mem_printf("%s/%s", restore->from, below), *to = mem_printf("%s/%s", restore->data_dir, below);
    int code = 0;
    if (lstat(from, &status) != 0) {
        code = error_set(err, ERROR_IO, "%s: %s", from, strerror(errno));
    } else if (S_ISDIR(status.st_mode) && depth < DEPTH_MAX) {
        code = server_backup_make_folder(to, err);
        code = code ? code : copy_tree(restore, below, depth + 1, err);
    } else if (S_ISREG(status.st_mode) && (depth > 0 || server_backup_wants(name))) {
        uint64_t others = 0;
        code = server_backup_copy_file(from, to, true, depth > 0 ? &restore->stats.log_bytes : &others, err);
        restore->stats.log_files += depth > 0;
        code = code ? code : server_backup_tell(restore->watch, "log files", restore->stats.log_files, err);
    }
    mem_free(below);
    mem_free(from);
    mem_free(to);
    return code;
}

static int copy_tree(struct restore *restore, const char *inside, int depth, struct error *err)
{
    char *path = mem_printf("%s/%s", restore->from, inside);
    DIR *dir = opendir(path);
    int code = dir ? 0 : error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
    for (const struct dirent *entry; !code && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            code = copy_entry(restore, inside, entry->d_name, depth, err);
    if (dir)
        (void)closedir(dir);
    mem_free(path);
    return code;
}

static int copy_store(struct restore *restore, struct error *err)
{
    char *from = mem_printf("%s/pawl.db", restore->from), *part = mem_printf("%s/pawl.db.part", restore->data_dir);
    char *to = mem_printf("%s/pawl.db", restore->data_dir);
    int code = server_backup_copy_file(from, part, true, &restore->stats.store_bytes, err);
    int folder = code ? -1 : open(restore->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!code && (folder < 0 || syncfs(folder) != 0 || renameat2(AT_FDCWD, part, AT_FDCWD, to, RENAME_NOREPLACE) != 0 ||
                  fsync(folder) != 0))
        code = error_set(err, errno == EEXIST ? ERROR_USAGE : ERROR_IO, "%s: %s", to, strerror(errno));
    if (folder >= 0)
        (void)close(folder);
    mem_free(from);
    mem_free(part);
    mem_free(to);
    return code;
}

/* ---- schedules ---- */

/* Adds the record that covers a schedule up to now. A schedule that cannot be read any more fires nothing either. */
static void cover(struct batch *batch, const struct store_dag *dag, int64_t now_ms)
{
    struct cron cron;
    struct cron_zone *zone;
    struct cron_fire fire;
    if (cron_parse(dag->cron, &cron, NULL) || cron_zone_load(dag->timezone, &zone, NULL))
        return;
    int64_t first_ms = 0, last_ms = dag->covered_ms;
    uint32_t count = 0;
    for (; count < INSTANTS_MAX && cron_next(&cron, zone, last_ms, &fire) && fire.time_ms <= now_ms; count++) {
        first_ms = count ? first_ms : fire.time_ms;
        last_ms = fire.time_ms;
    }
    cron_zone_free(zone);
    if (!count)
        return;
    const uint64_t random[2] = {uuid_hash(dag->id), (uint64_t)batch->count};
    record_add(batch, RECORD_FIRE, record_add_group(batch))->fire = (struct record_fire){
        .id = uuid_make_v7(now_ms, random), .dag_id = dag->id, .trigger = TRIGGER_SCHEDULE, .from_ms = first_ms,
        .to_ms = last_ms, .count = count, .outcome = FIRE_SKIPPED, .reason = FIRE_MISSED, .created_ms = now_ms};
}

static int cover_all(struct store *store, struct error *err)
{
    struct store_dag_query query = {.page.limit = LIMIT_PAGE_MAX};
    struct store_dags dags = {.count = LIMIT_PAGE_MAX};
    struct batch *batch = record_batch_new(1);
    int64_t now_ms = clock_wall_ms();
    int code = 0;
    while (!code && dags.count == LIMIT_PAGE_MAX) {
        struct arena arena = {0};
        code = store_list_dags(store, &query, &arena, &dags, err);
        for (size_t i = 0; i < dags.count && !code; i++) {
            if (dags.items[i].cron)
                cover(batch, &dags.items[i], now_ms);
            query.page.before = dags.items[i].id;
        }
        arena_fini(&arena);
    }
    if (!code && batch->count)
        code = store_commit(store, &batch, 1, err);
    record_batch_free(batch);
    return code;
}

static int check_and_cover(const struct restore *restore, struct error *err)
{
    const struct store_options options = {.path = restore->data_dir, .mode = STORE_WRITE};
    struct store *store = NULL;
    struct buf findings = BUF_INIT;
    uint32_t count = 0;
    int code = store_open_sqlite(&options, &store, err);
    if (!code)
        code = store_check(store, STORE_CHECK_FULL, &findings, &count, err);
    if (!code && count)
        code = error_set(err, ERROR_STORE_FAILED, "the restored store is damaged: %s", buf_text(&findings));
    if (!code)
        code = cover_all(store, err);
    store_close(store);
    buf_fini(&findings);
    return code;
}

/* ---- runs that had not ended ---- */

static void on_ready(void *context, const struct engine_recovery *recovery)
{
    struct restore *restore = context;
    (void)recovery;
    if (restore->active)
        core_cancel_all(restore->core);
    else
        core_finish(restore->core);
}

static void on_batch(void *context, const struct batch *batch, int64_t now_ms)
{
    struct restore *restore = context;
    (void)now_ms;
    for (size_t i = 0; i < batch->count && restore->active; i++) {
        if (batch->records[i].kind != RECORD_RUN_END)
            continue;
        restore->stats.canceled++;
        if (--restore->active == 0)
            core_finish(restore->core);
    }
}

static int cancel_active(struct restore *restore, struct error *err)
{
    struct store_status status;
    const struct core_options options = {
        .data_dir = restore->data_dir,
        .slots = 1,
        .waiting_tasks_max = LIMIT_WAITING_TASKS_MAX,
        .active_runs_max = LIMIT_ACTIVE_RUNS_MAX,
        .grace_ms = LIMIT_GRACE_MS,
        .context = restore,
        .on_ready = on_ready,
        .on_batch = on_batch,
    };
    int code = core_new(&options, &restore->core, err);
    if (!code)
        code = store_get_status(core_store(restore->core), &status, err);
    if (!code) {
        restore->active = status.active_runs;
        code = core_recover(restore->core, err);
    }
    if (!code)
        code = core_run(restore->core, err);
    core_free(restore->core);
    return code;
}

/* ---- the whole ---- */

static int check_places(const struct restore *restore, struct error *err)
{
    struct stat status;
    char *seal = mem_printf("%s/" SERVER_BACKUP_SEAL, restore->from);
    char *store = mem_printf("%s/pawl.db", restore->data_dir);
    int code = 0;
    if (lstat(seal, &status) != 0)
        code = error_set(err, ERROR_USAGE, "%s is no whole backup: %s: %s", restore->from, seal, strerror(errno));
    else if (lstat(store, &status) == 0)
        code = error_set(err, ERROR_USAGE, "%s holds a store already; restore into an empty directory",
                         restore->data_dir);
    mem_free(seal);
    mem_free(store);
    return code;
}

int server_restore(const char *path, const char *data_dir, const struct server_backup_watch *watch,
                   struct server_backup_stats *ret_stats, struct error *err)
{
    struct restore restore = {.from = path, .data_dir = data_dir, .watch = watch};
    struct store_dir dir;
    int code = check_places(&restore, err);
    if (!code)
        code = store_dir_open(data_dir, &dir, err);
    if (code)
        return code;
    restore.data_dir = dir.path;
    code = copy_tree(&restore, ".", 0, err);
    if (!code)
        code = copy_store(&restore, err);
    if (!code)
        code = check_and_cover(&restore, err);
    if (!code)
        code = cancel_active(&restore, err);
    store_dir_close(&dir);
    if (!code)
        *ret_stats = restore.stats;
    return code;
}
