/* A store from one place to another (store/store_rows.h).
 *
 *     source     its lock, or no living node and the table of nodes locked: nobody writes meanwhile
 *     target     the same, and empty
 *     rows       in one transaction of the target: cut short, there is nothing
 *     compare    what the target gives with what the source gave
 *     fsck       of the whole target */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "server/backup.h"
#include "server/server.h"
#include "store/store_dir.h"
#include "store/store_rows.h"

static_assert((int)STORE_TABLE_COUNT <= (int)SERVER_MOVED_MAX, "every table has an entry");

/* One end of a move. */
struct place {
    const char *url;
    const char *dir;            /* of sqlite://DIR; NULL: a database */
    struct store_dir held;
    struct store *store;
};

static int read_place(const char *url, struct place *ret_place, struct error *err)
{
    static const char sqlite[] = "sqlite://";
    *ret_place = (struct place){.url = url, .held.lock_fd = -1};
    if (str_starts_with(url, sqlite) && url[sizeof sqlite - 1])
        ret_place->dir = url + sizeof sqlite - 1;
    else if (!str_starts_with(url, "postgresql://") && !str_starts_with(url, "postgres://"))
        return error_set(err, ERROR_USAGE, "'%.100s' is no place of a store (expected: sqlite://DIR or "
                         "postgresql://USER@HOST/DATABASE)", url);
    return 0;
}

static int open_directory(struct place *place, enum store_mode mode, struct error *err)
{
    struct store_options options = {.mode = mode};
    struct stat status;
    char *file = mem_printf("%s/pawl.db", place->dir);
    int code = 0;
    if (mode == STORE_READ && lstat(file, &status) != 0)
        code = error_set(err, ERROR_NOT_FOUND, "%s: %s", file, strerror(errno));
    mem_free(file);
    if (!code)
        code = store_dir_open(place->dir, &place->held, err);
    if (code)
        return code;
    options.path = place->held.path;
    return store_open_sqlite(&options, &place->store, err);
}

static int open_database(struct place *place, enum store_mode mode, struct error *err)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_set(err, ERROR_IO, "no random numbers: %s", strerror(errno));
    const struct store_options options = {
        .url = place->url,
        .mode = mode,
        .readers_max = 1,
        .node = {.id = uuid_make_v7(clock_wall_ms(), random), .host = "pawl migrate"},
    };
    return store_open_postgres(&options, &place->store, err);
}

static int open_place(struct place *place, enum store_mode mode, struct error *err)
{
    return place->dir ? open_directory(place, mode, err) : open_database(place, mode, err);
}

static void close_place(struct place *place)
{
    store_close(place->store);
    if (place->held.path)
        store_dir_close(&place->held);
}

struct progress {
    const struct server_backup_watch *watch;
    uint64_t told;
};

static bool tell(void *context)
{
    struct progress *progress = context;
    return server_backup_tell(progress->watch, "steps", ++progress->told, NULL) == 0;
}

static int check(const struct place *place, struct error *err)
{
    struct buf findings = BUF_INIT;
    uint32_t count = 0;
    int code = store_check(place->store, STORE_CHECK_FULL, &findings, &count, err);
    if (!code && count)
        code = error_set(err, ERROR_STORE_FAILED, "everything was moved, but fsck finds: %.800s", buf_text(&findings));
    buf_fini(&findings);
    return code;
}

int server_migrate(const char *from, const char *to, const struct server_backup_watch *watch,
                   struct server_moved ret_moved[SERVER_MOVED_MAX], size_t *ret_count, struct error *err)
{
    struct place source, target = {.held.lock_fd = -1};
    struct progress progress = {.watch = watch};
    const struct store_copying copying = {tell, &progress};
    struct store_moved moved;
    int code = read_place(from, &source, err);
    if (!code)
        code = read_place(to, &target, err);
    if (!code)
        code = open_place(&source, STORE_READ, err);
    if (!code)
        code = open_place(&target, STORE_CREATE, err);
    if (!code)
        code = store_move(source.store, target.store, &copying, &moved, err);
    if (!code)
        code = check(&target, err);
    close_place(&target);
    close_place(&source);
    *ret_count = 0;
    for (int i = STORE_TABLE_EPOCH + 1; i < STORE_TABLE_COUNT && !code; i++)
        ret_moved[(*ret_count)++] = (struct server_moved){store_layouts[i].what, moved.rows[i]};
    return code;
}
