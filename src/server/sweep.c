#include "server/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "state/log_path.h"

enum {
    IDS_MAX = 64,
    NICE_LAST = 19,
    IO_IDLE = 3 << 13,          /* ioprio_set(2): the disk when nobody else wants it */
    IO_WHO_PROCESS = 1,
    LOCKED_MS = 5000            /* a backup is being made: look again */
};

struct server_sweep {
    struct store *store;
    char *data_dir;
    pthread_t thread;
    pthread_mutex_t lock;       /* of what follows */
    pthread_cond_t came;        /* monotonic clock */
    bool woken;
    atomic_bool stopping;
    bool warned;                /* the thread's: something could not be deleted and was told */
    uint64_t pending_told;      /* the thread's: dropped letters that were told of */
};

/* ---- files ---- */

static bool remove_files(int folder, const atomic_bool *stop)
{
    DIR *dir = fdopendir(folder);
    bool gone = dir != NULL;
    if (!dir) {
        (void)close(folder);
        return false;
    }
    for (const struct dirent *entry; gone && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
            gone = false;
        gone = gone && !(stop && *stop);
    }
    (void)closedir(dir);
    return gone;
}

bool server_sweep_folder(const char *data_dir, struct uuid run_id, const atomic_bool *stop)
{
    struct buf path = BUF_INIT;
    state_log_folder(&path, data_dir, run_id);
    int folder = open(buf_text(&path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool gone = folder < 0 ? errno == ENOENT : remove_files(folder, stop) && rmdir(buf_text(&path)) == 0;
    buf_fini(&path);
    return gone;
}

int server_sweep_lock(const char *data_dir, bool shared)
{
    char *path = mem_printf("%s/backup.lock", data_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    mem_free(path);
    struct flock range = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    if (fd >= 0 && fcntl(fd, shared ? F_OFD_SETLKW : F_OFD_SETLK, &range) != 0) {
        int failure = errno;
        (void)close(fd);
        errno = failure;
        fd = -1;
    }
    return fd;
}

/* ---- the thread ---- */

/* wait_ms -1: until it is woken. False: the end. */
static bool sleep_until_woken(struct server_sweep *sweep, int64_t wait_ms)
{
    struct timespec until;
    int late = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    (void)pthread_mutex_lock(&sweep->lock);
    while (!sweep->stopping && late == 0 && (wait_ms >= 0 || !sweep->woken)) {
        if (wait_ms < 0)
            (void)pthread_cond_wait(&sweep->came, &sweep->lock);
        else
            late = pthread_cond_timedwait(&sweep->came, &sweep->lock, &until);
    }
    sweep->woken = false;
    bool goes_on = !sweep->stopping;
    (void)pthread_mutex_unlock(&sweep->lock);
    return goes_on;
}

/* One list of runs. *count: how many folders went; 0: nothing is left that could go. */
static void sweep_some(struct server_sweep *sweep, struct uuid done[IDS_MAX], size_t *count)
{
    struct arena arena = {0};
    struct store_ids ids = {0};
    struct error err = {0};
    if (store_list_taken(sweep->store, done, *count, IDS_MAX, &arena, &ids, &err))
        ids.count = 0; /* the store failed: everybody will hear of it */
    *count = 0;
    for (size_t i = 0; i < ids.count && !sweep->stopping; i++) {
        if (server_sweep_folder(sweep->data_dir, ids.items[i], &sweep->stopping)) {
            done[(*count)++] = ids.items[i];
        } else if (!sweep->warned && !sweep->stopping) {
            char id[UUID_TEXT_LEN + 1];
            uuid_format(ids.items[i], id);
            log_warn("the logs of run %s, which retention took, cannot be deleted: %s; the next start tries again", id,
                     strerror(errno));
            sweep->warned = true;
        }
    }
    arena_fini(&arena);
}

/* Nobody had looked at them: that is not to go unseen. */
static void tell_of_letters(struct server_sweep *sweep)
{
    struct store_taken taken;
    store_get_taken(sweep->store, &taken);
    if (taken.pending == sweep->pending_told)
        return;
    uint64_t count = taken.pending - sweep->pending_told;
    log_warn("%llu pending dead letter%s went, beyond keep-letters or keep-letters-age", (unsigned long long)count,
             count == 1 ? "" : "s");
    sweep->pending_told = taken.pending;
}

static void *run(void *context)
{
    struct server_sweep *sweep = context;
    struct uuid done[IDS_MAX];
    bool again = false; /* a backup was in the way */
    (void)pthread_setname_np(pthread_self(), "sweep");
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE_LAST);
    (void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_IDLE);
    while (sleep_until_woken(sweep, again ? LOCKED_MS : -1)) {
        size_t count = 0;
        tell_of_letters(sweep);
        do { /* the lock is given up in between, for a backup that waits */
            int lock = server_sweep_lock(sweep->data_dir, false);
            again = lock < 0 && (errno == EAGAIN || errno == EACCES);
            if (lock < 0)
                break;
            sweep_some(sweep, done, &count);
            (void)close(lock);
        } while (count > 0);
    }
    return NULL;
}

static void wake(void *context)
{
    struct server_sweep *sweep = context;
    (void)pthread_mutex_lock(&sweep->lock);
    sweep->woken = true;
    (void)pthread_cond_signal(&sweep->came);
    (void)pthread_mutex_unlock(&sweep->lock);
}

static void end(struct server_sweep *sweep)
{
    (void)pthread_cond_destroy(&sweep->came);
    (void)pthread_mutex_destroy(&sweep->lock);
    mem_free(sweep->data_dir);
    mem_free(sweep);
}

int server_sweep_start(struct store *store, const char *data_dir, struct server_sweep **ret_sweep, struct error *err)
{
    struct server_sweep *sweep = mem_new(struct server_sweep);
    pthread_condattr_t attributes;
    sigset_t all, before;
    sweep->store = store;
    sweep->data_dir = mem_strdup(data_dir);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sweep->came, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&sweep->lock, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&sweep->thread, NULL, run, sweep);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        end(sweep);
        return error_set(err, ERROR_IO, "cannot start a thread: %s", strerror(failed));
    }
    store->keep.context = sweep;
    store->keep.on_taken = wake;
    *ret_sweep = sweep;
    return 0;
}

void server_sweep_stop(struct server_sweep *sweep)
{
    if (!sweep)
        return;
    (void)pthread_mutex_lock(&sweep->lock);
    sweep->stopping = true;
    (void)pthread_cond_signal(&sweep->came);
    (void)pthread_mutex_unlock(&sweep->lock);
    (void)pthread_join(sweep->thread, NULL);
    sweep->store->keep.on_taken = NULL;
    end(sweep);
}
