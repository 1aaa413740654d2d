/* See api_follow.h. A follower belongs to its stream; the thread borrows it by a reference while it looks at the file,
 * so that neither a slow disk nor a waking connection is waited for under the lock.
 *
 *     read: `ended` is loaded before the file is read. Whoever set it did so after the last byte was written, so an
 *     end of file that follows is the end of the log. */
#include "api/api_follow.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/api_far.h"
#include "api/api_kept.h"
#include "base/limits.h"
#include "base/mem.h"

enum { FOLLOW_CHECK_MS = 200, FAR_PIECE_BYTES = 256 * 1024 };

struct api_follower {
    atomic_uint refs;
    struct api_follow *follow;
    struct http_stream *stream;     /* a reference; under follow->lock */
    struct uuid run_id;
    uint32_t task;
    uint32_t number;
    char *path;
    int fd;                         /* -1: not there yet; the stream's thread only */
    atomic_ullong offset;           /* next byte to send */
    uint64_t left;                  /* bytes it may still send; the stream's thread only */
    atomic_bool ended;
    bool is_far;                    /* another node has the file: worker */
    struct uuid worker;
    bool cut;                       /* reads behind the beginning that the row keeps; the stream's thread only */
    uint64_t asked;                 /* next byte to ask for; the thread only */
    struct buf pieces;              /* that came from there and are not sent; under follow->lock */
    struct api_follower *older;     /* list, under follow->lock */
    struct api_follower *newer;
};

struct api_follow {
    struct api *api;                /* logs that became no file are read from its store */
    pthread_mutex_t lock;
    pthread_cond_t changed;         /* CLOCK_MONOTONIC */
    pthread_t thread;
    bool started;
    bool stopped;
    bool look_now;                  /* an attempt ended */
    atomic_uint count;
    struct api_follower *followers;
};

struct api_follow *api_follow_new(struct api *api)
{
    struct api_follow *follow = mem_new(struct api_follow);
    follow->api = api;
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    rc = rc ? rc : pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = rc ? rc : pthread_cond_init(&follow->changed, &attr);
    rc = rc ? rc : pthread_mutex_init(&follow->lock, NULL);
    assert(rc == 0);
    (void)rc;
    (void)pthread_condattr_destroy(&attr);
    return follow;
}

static void unref(struct api_follower *follower)
{
    if (atomic_fetch_sub(&follower->refs, 1) != 1)
        return;
    http_stream_unref(follower->stream);
    buf_fini(&follower->pieces);
    mem_free(follower->path);
    mem_free(follower);
}

/* ---- ends, from the engine's thread ---- */

static void end_matching(struct api_follow *follow, struct uuid run_id, const uint32_t *task, uint32_t number)
{
    for (struct api_follower *follower = follow->followers; follower; follower = follower->older) {
        if (!uuid_equal(follower->run_id, run_id) || (task && follower->task != *task)
            || (number && follower->number > number))
            continue;
        atomic_store(&follower->ended, true);
        follow->look_now = true;
    }
}

void api_follow_publish(struct api_follow *follow, const struct batch *batch)
{
    if (!atomic_load(&follow->count))
        return;
    (void)pthread_mutex_lock(&follow->lock);
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->kind == RECORD_ATTEMPT_END)
            end_matching(follow, record->attempt.run_id, &record->attempt.task,
                         state_task_is_terminal(record->attempt.task_state) ? 0 : record->attempt.number);
        else if (record->kind == RECORD_RUN_END)
            end_matching(follow, record->run.id, NULL, 0);
    }
    for (size_t i = 0; i < batch->change_count; i++) {
        const struct record_change *change = &batch->changes[i];
        if (state_task_is_terminal((enum task_state)change->state))
            end_matching(follow, change->run_id, &change->task, 0);
    }
    if (follow->look_now)
        (void)pthread_cond_signal(&follow->changed);
    (void)pthread_mutex_unlock(&follow->lock);
}

/* ---- the thread ---- */

/* Whether the attempt's row says that it runs. */
static bool still_runs(const struct api_follower *follower)
{
    const struct store_attempt_query query = {.run_id = follower->run_id, .by_task = true, .task = follower->task};
    struct arena arena = {0};
    struct store_attempts found = {0};
    struct store *store = follower->follow->api->backend.store;
    bool runs = false, known = store_list_attempts(store, &query, &arena, &found, NULL) == 0;
    for (size_t i = 0; i < found.count; i++)
        runs = runs || (found.items[i].number == follower->number && !state_attempt_is_terminal(found.items[i].state));
    arena_fini(&arena);
    return runs || !known;
}

static bool has_far_news(struct api_follower *follower)
{
    struct api_follow *follow = follower->follow;
    struct arena arena = {0};
    struct store_cluster_piece piece = {.run_id = follower->run_id, .task = follower->task, .number = follower->number,
                                        .offset = follower->asked, .limit = FAR_PIECE_BYTES};
    (void)pthread_mutex_lock(&follow->lock);
    bool waits = follower->pieces.len > FAR_PIECE_BYTES;
    (void)pthread_mutex_unlock(&follow->lock);
    if (!waits && api_far_read(follow->api, follower->worker, &piece, &arena, NULL) == 0 && piece.len) {
        (void)pthread_mutex_lock(&follow->lock);
        buf_add(&follower->pieces, piece.bytes, piece.len);
        (void)pthread_mutex_unlock(&follow->lock);
        follower->asked += piece.len;
        waits = true;
    } else if (!waits && !still_runs(follower)) {
        atomic_store(&follower->ended, true);
        waits = true;
    }
    arena_fini(&arena);
    return waits;
}

static bool has_news(struct api_follower *follower)
{
    struct stat file;
    if (atomic_load(&follower->ended))
        return true;
    if (follower->is_far)
        return has_far_news(follower);
    return stat(follower->path, &file) == 0 && (uint64_t)file.st_size > atomic_load(&follower->offset);
}

/* Called with the lock held, which it gives up while it looks. */
static void look_at_all(struct api_follow *follow, struct api_follower ***batch, size_t *cap)
{
    size_t count = 0;
    for (struct api_follower *follower = follow->followers; follower; follower = follower->older) {
        if (!follower->stream)
            continue;
        *batch = mem_grow(*batch, cap, count + 1, sizeof(struct api_follower *));
        (void)atomic_fetch_add(&follower->refs, 1);
        (*batch)[count++] = follower;
    }
    (void)pthread_mutex_unlock(&follow->lock);
    for (size_t i = 0; i < count; i++) {
        if (has_news((*batch)[i]))
            http_stream_wake((*batch)[i]->stream);
        unref((*batch)[i]);
    }
    (void)pthread_mutex_lock(&follow->lock);
}

static void *run_thread(void *context)
{
    struct api_follow *follow = context;
    struct api_follower **batch = NULL;
    size_t cap = 0;
    (void)pthread_mutex_lock(&follow->lock);
    while (!follow->stopped) {
        if (!follow->followers) {
            (void)pthread_cond_wait(&follow->changed, &follow->lock);
            continue;
        }
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += FOLLOW_CHECK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        int rc = 0;
        while (!follow->stopped && !follow->look_now && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&follow->changed, &follow->lock, &until);
        follow->look_now = false;
        if (!follow->stopped)
            look_at_all(follow, &batch, &cap);
    }
    (void)pthread_mutex_unlock(&follow->lock);
    mem_free(batch);
    return NULL;
}

void api_follow_stop(struct api_follow *follow)
{
    (void)pthread_mutex_lock(&follow->lock);
    follow->stopped = true;
    (void)pthread_cond_signal(&follow->changed);
    (void)pthread_mutex_unlock(&follow->lock);
    if (follow->started)
        (void)pthread_join(follow->thread, NULL);
    follow->started = false;
}

void api_follow_free(struct api_follow *follow)
{
    if (!follow)
        return;
    assert(!follow->started && !follow->followers);
    (void)pthread_cond_destroy(&follow->changed);
    (void)pthread_mutex_destroy(&follow->lock);
    mem_free(follow);
}

/* ---- a follower ---- */

static int start_thread(struct api_follow *follow, struct error *err)
{
    if (follow->stopped)
        return error_set(err, ERROR_STOPPING, "the daemon is stopping");
    if (follow->started)
        return 0;
    int failure = pthread_create(&follow->thread, NULL, run_thread, follow);
    if (failure)
        return error_set(err, ERROR_FULL, "no thread to follow logs: %s", strerror(failure));
    follow->started = true;
    return 0;
}

int api_follower_new(struct api_follow *follow, const struct record_attempt *attempt, char *take_path, uint64_t offset,
                     uint64_t max, struct api_follower **ret_follower, struct error *err)
{
    struct api_follower *follower = mem_new(struct api_follower);
    atomic_init(&follower->refs, 1);
    follower->follow = follow;
    follower->run_id = attempt->run_id;
    follower->task = attempt->task;
    follower->number = attempt->number;
    follower->path = take_path;
    follower->fd = -1;
    atomic_init(&follower->offset, offset);
    follower->left = max;
    (void)pthread_mutex_lock(&follow->lock);
    int rc = start_thread(follow, err);
    if (!rc) {
        follower->older = follow->followers;
        if (follower->older)
            follower->older->newer = follower;
        follow->followers = follower;
        (void)atomic_fetch_add(&follow->count, 1);
        (void)pthread_cond_signal(&follow->changed);
        *ret_follower = follower;
    }
    (void)pthread_mutex_unlock(&follow->lock);
    if (rc)
        unref(follower);
    return rc;
}

void api_follower_set_far(struct api_follower *follower, struct uuid worker)
{
    follower->is_far = true;
    follower->worker = worker;
    follower->asked = atomic_load(&follower->offset);
}

void api_follower_end(struct api_follower *follower)
{
    atomic_store(&follower->ended, true);
}

static void open_log(struct api_follower *follower)
{
    if (follower->fd < 0)
        follower->fd = open(follower->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* The attempt has ended and there is no file. */
static ssize_t read_kept(struct api_follower *follower, char *out, size_t max)
{
    struct arena arena = {0};
    const char *log = NULL;
    size_t size = 0;
    uint64_t offset = atomic_load(&follower->offset);
    ssize_t len = -1;
    int rc = api_kept_log(follower->follow->api, follower->run_id, follower->task, follower->number, &arena, &log,
                          &size, NULL);
    bool is_cut = follower->is_far && size > LIMIT_LOG_KEPT_BYTES_MAX;
    if (is_cut && offset > LIMIT_LOG_KEPT_BYTES_MAX / 2 && !follower->cut) {
        offset = LIMIT_LOG_KEPT_BYTES_MAX / 2; /* only beginning and end are kept: goes on where that is said */
        follower->cut = true;
    }
    if (!rc && offset < size) {
        size_t rest = size - (size_t)offset;
        len = (ssize_t)(rest < max ? rest : max);
        len = (uint64_t)len < follower->left ? len : (ssize_t)follower->left;
        memcpy(out, log + offset, (size_t)len);
        follower->left -= (uint64_t)len;
        atomic_store(&follower->offset, offset + (uint64_t)len);
    }
    arena_fini(&arena);
    return len;
}

/* What came from the node that runs the attempt, and once that has ended the rest from its row. */
static ssize_t read_far(struct api_follower *follower, char *out, size_t max)
{
    bool ended = atomic_load(&follower->ended);
    (void)pthread_mutex_lock(&follower->follow->lock);
    size_t len = follower->pieces.len < max ? follower->pieces.len : max;
    len = len < follower->left ? len : (size_t)follower->left;
    if (len) {
        memcpy(out, follower->pieces.bytes, len);
        buf_drop_front(&follower->pieces, len);
    }
    (void)pthread_mutex_unlock(&follower->follow->lock);
    follower->left -= len;
    (void)atomic_fetch_add(&follower->offset, len);
    return len ? (ssize_t)len : ended ? read_kept(follower, out, max) : 0;
}

static ssize_t read_log(void *context, char *out, size_t max)
{
    struct api_follower *follower = context;
    bool ended = atomic_load(&follower->ended);
    uint64_t offset = atomic_load(&follower->offset);
    if (!follower->left)
        return -1;
    if (follower->is_far)
        return read_far(follower, out, max);
    open_log(follower);
    if (follower->fd < 0 && ended && errno == ENOENT)
        return read_kept(follower, out, max);
    if (follower->fd < 0)
        return errno != ENOENT ? -1 : 0;
    ssize_t len;
    do
        len = pread(follower->fd, out, max < follower->left ? max : (size_t)follower->left, (off_t)offset);
    while (len < 0 && errno == EINTR);
    if (len <= 0)
        return len < 0 || ended ? -1 : 0;
    follower->left -= (uint64_t)len;
    atomic_store(&follower->offset, offset + (uint64_t)len);
    return len;
}

static void close_log(void *context)
{
    struct api_follower *follower = context;
    struct api_follow *follow = follower->follow;
    (void)pthread_mutex_lock(&follow->lock);
    if (follower->newer)
        follower->newer->older = follower->older;
    else
        follow->followers = follower->older;
    if (follower->older)
        follower->older->newer = follower->newer;
    (void)atomic_fetch_sub(&follow->count, 1);
    (void)pthread_mutex_unlock(&follow->lock);
    if (follower->fd >= 0)
        (void)close(follower->fd);
    unref(follower);
}

void api_follower_attach(struct api_follower *take_follower, struct http_request *request, const char *content_type)
{
    static const struct http_stream_ops ops = {.read = read_log, .close = close_log};
    struct http_stream *stream = http_reply_stream(request, 200, content_type, &ops, take_follower);
    (void)pthread_mutex_lock(&take_follower->follow->lock);
    take_follower->stream = stream;
    (void)pthread_mutex_unlock(&take_follower->follow->lock);
}
