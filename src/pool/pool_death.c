/* How a worker ends, whoever ends it: the kernel says that the process is dead, what it left is killed, and only then
 * does anybody hear that it is gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "pool/pool_model.h"
#include "worker/leftover.h"

static const char not_in_time[] = "it was told to end and did not in time";

static void set_reason(struct pool_link *link, const char *reason)
{
    if (!link->reason[0] && reason)
        (void)snprintf(link->reason, sizeof link->reason, "%s", reason);
}

static void send_kill(struct pool_link *link)
{
    link->killed = true;
    if (link->pid_fd >= 0 && pidfd_send_signal(link->pid_fd, SIGKILL, NULL, 0) != 0 && errno != ESRCH)
        log_debug("cannot kill worker process %d: %s", link->pid, strerror(errno));
}

/* A worker that never said HELLO has no pid yet; its lock shows that it lives. */
static void find_process(struct pool_link *link)
{
    int32_t pid = pool_process_find_worker(link->id);
    if (!pid)
        return;
    int pid_fd = pidfd_open(pid, 0);
    if (pid_fd < 0)
        return;
    if (pool_process_find_worker(link->id) != pid || !pool_watch_fd(link->pool, pid_fd, &link->process_watch)) {
        (void)close(pid_fd);
        return;
    }
    link->pid = pid;
    link->pid_fd = pid_fd;
}

void pool_link_part(struct pool_link *link, const char *reason, int64_t parting_ms, int64_t now_ms)
{
    if (link->phase >= POOL_LEAVING)
        return;
    set_reason(link, reason);
    pool_link_close(link);
    link->phase = POOL_LEAVING;
    if (parting_ms == 0)
        send_kill(link);
    link->give_up_ms = now_ms + parting_ms + POOL_UNKILLABLE_MS;
    pool_link_set_deadline(link, link->pid_fd < 0 ? now_ms : parting_ms ? now_ms + parting_ms : link->give_up_ms);
}

/* ---- the kernel's word ---- */

static void set_end(struct pool_link *link)
{
    siginfo_t end = {0};
    int rc;
    do {
        rc = waitid(P_PIDFD, (id_t)link->pid_fd, &end, WEXITED | WNOHANG);
    } while (rc != 0 && errno == EINTR);
    char text[POOL_REASON_BYTES];
    if (rc != 0 || end.si_pid == 0) /* it was the child of a former daemon */
        (void)snprintf(text, sizeof text, "it ended");
    else if (end.si_code == CLD_EXITED)
        (void)snprintf(text, sizeof text, "it exited with status %d", end.si_status);
    else
        (void)snprintf(text, sizeof text, "it was killed by signal %d (%s)", end.si_status,
                       strsignal(end.si_status));
    link->ended_well = rc == 0 && end.si_code == CLD_EXITED && end.si_status == 0;
    set_reason(link, text);
}

static void close_process(struct pool_link *link)
{
    if (link->pid_fd < 0)
        return;
    (void)epoll_ctl(link->pool->epoll_fd, EPOLL_CTL_DEL, link->pid_fd, NULL);
    (void)close(link->pid_fd);
    link->pid_fd = -1;
}

void pool_link_process_ended(struct pool_link *link, int64_t now_ms)
{
    while (pool_link_read(link, now_ms)) { /* results it still wrote count */
    }
    pool_link_close(link);
    set_end(link);
    close_process(link);
    pool_link_bury(link, now_ms);
}

/* ---- what is left ---- */

static void tell_gone(struct pool_link *link)
{
    struct pool *pool = link->pool;
    link->phase = POOL_GONE;
    pool_link_set_deadline(link, 0);
    if (link->lock_fd >= 0)
        (void)close(link->lock_fd);
    link->lock_fd = -1;
    pool->callbacks.on_worker_gone(pool->callbacks.context, link->id, link->reason);
}

static void add_reason(struct pool_link *link, const char *text)
{
    size_t len = strlen(link->reason);
    (void)snprintf(link->reason + len, sizeof link->reason - len, "%s%s", len ? "; " : "", text);
}

static void begin_burial(struct pool_link *link, int64_t now_ms)
{
    struct pool *pool = link->pool;
    link->phase = POOL_BURYING;
    link->give_up_ms = now_ms + POOL_UNKILLABLE_MS;
    if (link->former || link->quitting)
        return;
    if (link->was_up && now_ms - link->born_ms >= POOL_STEADY_MS)
        pool->early_deaths = 0;
    else
        pool_put_off_refill(pool, now_ms);
}

void pool_link_bury(struct pool_link *link, int64_t now_ms)
{
    if (link->phase != POOL_BURYING)
        begin_burial(link, now_ms);
    struct error err;
    uint32_t found = 0;
    int code = worker_leftover_kill(link->pool->dir, link->id, &found, &err);
    if (code) {
        add_reason(link, "what it left cannot be looked for: ");
        add_reason(link, err.text);
    } else if (found && now_ms < link->give_up_ms) {
        pool_link_set_deadline(link, now_ms + POOL_BURY_MS);
        return;
    } else if (found) {
        add_reason(link, "processes that it started cannot be killed"); /* the files stay for the next look */
    }
    if (!found && link->ended_well)
        worker_leftover_remove(link->pool->dir, link->id, false);
    tell_gone(link);
}

void pool_forget_worker(struct pool *pool, struct uuid worker_id)
{
    struct error err;
    uint32_t found = 0;
    if (!uuid_is_zero(worker_id) && worker_leftover_kill(pool->dir, worker_id, &found, &err) == 0 && !found)
        worker_leftover_remove(pool->dir, worker_id, true);
}

/* Without a pid only the lock tells. */
static bool lock_is_free(struct pool_link *link)
{
    char name[UUID_TEXT_LEN + 8];
    uuid_format(link->id, name);
    memcpy(name + UUID_TEXT_LEN, ".lock", sizeof ".lock");
    int fd = openat(link->pool->dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(fd);
        return false;
    }
    link->lock_fd = fd;
    return true;
}

static void wait_for_death(struct pool_link *link, int64_t now_ms)
{
    if (link->pid_fd < 0 && lock_is_free(link)) {
        pool_link_bury(link, now_ms);
        return;
    }
    if (now_ms >= link->give_up_ms) {
        add_reason(link, link->pid_fd < 0 ? "its process cannot be found" : "its process does not die");
        close_process(link);
        tell_gone(link);
        return;
    }
    if (link->pid_fd < 0)
        find_process(link);
    if (link->pid_fd >= 0) {
        set_reason(link, "it closed its connection and did not end");
        send_kill(link);
        pool_link_set_deadline(link, link->give_up_ms);
    } else {
        pool_link_set_deadline(link, now_ms + POOL_LOCK_MS);
    }
}

/* ---- who does not come up ---- */

/* Stopped by a signal, starved, or talking slowly: as long as its process lives, what it runs is neither lost nor ours
 * to end. Once connected the kernel tells when that changes. */
static void fall_silent(struct pool_link *link)
{
    const struct pool_callbacks *callbacks = &link->pool->callbacks;
    if (link->silent)
        return;
    if (link->pid_fd < 0)
        find_process(link);
    link->silent = true;
    callbacks->on_worker_silent(callbacks->context, link->id, link->pid);
}

static void wait_for_words(struct pool_link *link, int64_t now_ms)
{
    int64_t adopt_ms = link->pool->options.adopt_ms;
    char text[POOL_REASON_BYTES];
    if (link->ending) {
        pool_link_part(link, not_in_time, 0, now_ms);
    } else if (!link->former && now_ms >= link->born_ms + adopt_ms) { /* it never got anything */
        (void)snprintf(text, sizeof text, "it did not say within %lld ms what it holds", (long long)adopt_ms);
        pool_link_part(link, text, 0, now_ms);
    } else if (link->fd < 0 && link->pid_fd < 0 && lock_is_free(link)) {
        pool_link_bury(link, now_ms);
    } else {
        if (now_ms >= link->born_ms + adopt_ms)
            fall_silent(link);
        if (link->fd < 0)
            pool_link_meet(link, now_ms);
    }
}

void pool_end_silent(struct pool *pool, struct uuid worker_id)
{
    struct pool_link *link = map_get(&pool->by_id, worker_id.bytes, sizeof worker_id.bytes);
    if (link && link->phase == POOL_MEETING && link->silent)
        pool_link_part(link, "nothing that it may run is of use any more", 0, clock_boot_ms());
}

void pool_link_deadline(struct pool_link *link, int64_t now_ms)
{
    switch (link->phase) {
    case POOL_MEETING:
        wait_for_words(link, now_ms);
        break;
    case POOL_UP:
        pool_link_part(link, not_in_time, 0, now_ms);
        break;
    case POOL_LEAVING:
        wait_for_death(link, now_ms);
        break;
    case POOL_BURYING:
        pool_link_bury(link, now_ms);
        break;
    case POOL_GONE:
        break;
    }
}
