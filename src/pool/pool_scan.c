/* Who is left of a former daemon: every worker has a lock that is free when it is dead. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"
#include "pool/pool_model.h"
#include "worker/leftover.h"

struct ids {
    struct uuid *items;
    size_t count, cap;
};

static int compare(const void *a, const void *b)
{
    return uuid_compare(*(const struct uuid *)a, *(const struct uuid *)b);
}

/* The worker of each file called <id>.<something>. */
static int list_ids(const struct pool *pool, struct ids *ids, struct error *err)
{
    DIR *dir = opendir(pool->dir);
    if (!dir)
        return error_set(err, ERROR_IO, "cannot read %s: %s", pool->dir, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(dir));) {
        struct uuid id;
        if (strlen(entry->d_name) <= UUID_TEXT_LEN || entry->d_name[UUID_TEXT_LEN] != '.' ||
            !uuid_parse_len(entry->d_name, UUID_TEXT_LEN, &id))
            continue;
        ids->items = mem_grow(ids->items, &ids->cap, ids->count + 1, sizeof *ids->items);
        ids->items[ids->count++] = id;
    }
    (void)closedir(dir);
    if (ids->count)
        qsort(ids->items, ids->count, sizeof *ids->items, compare);
    return 0;
}

void pool_link_meet(struct pool_link *link, int64_t now_ms)
{
    int why = pool_link_connect(link, now_ms);
    if (!why)
        return;
    char reason[POOL_REASON_BYTES];
    (void)snprintf(reason, sizeof reason, "it takes no connection: %s", strerror(why));
    pool_link_part(link, reason, 0, now_ms);
}

static void look_at(struct pool *pool, struct uuid id, int64_t now_ms)
{
    char name[UUID_TEXT_LEN + 8];
    uuid_format(id, name);
    memcpy(name + UUID_TEXT_LEN, ".lock", sizeof ".lock");
    int lock_fd = openat(pool->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock_fd < 0 && errno == ENOENT) { /* it ended in order; a log may have been kept until now */
        worker_leftover_remove(pool->dir, id, false);
        return;
    }
    struct pool_link *link = pool_link_new(pool, id);
    link->former = true;
    link->born_ms = now_ms;
    if (lock_fd >= 0 && flock(lock_fd, LOCK_EX | LOCK_NB) == 0) {
        link->lock_fd = lock_fd;
        (void)snprintf(link->reason, sizeof link->reason, "it died while there was no daemon");
        pool_link_bury(link, now_ms);
        return;
    }
    if (lock_fd >= 0)
        (void)close(lock_fd);
    pool_link_meet(link, now_ms);
}

int pool_scan(struct pool *pool, int64_t now_ms, struct error *err)
{
    struct ids ids = {0};
    int code = list_ids(pool, &ids, err);
    for (size_t i = 0; i < ids.count; i++)
        if (i == 0 || uuid_compare(ids.items[i - 1], ids.items[i]) != 0)
            look_at(pool, ids.items[i], now_ms);
    mem_free(ids.items);
    return code;
}
