/* The pool as its user sees it, and its turn. Links are freed only at the end of a turn, so that an event that is
 * handled later in the same turn, or a callback, never meets a freed one. */
#include "pool/pool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "pool/pool_model.h"

enum { EVENTS_PER_TURN = 64, IDLE_EXIT_MS = 600000, ADOPT_MS = 5000 };

/* ---- birth and end ---- */

bool pool_watch_fd(struct pool *pool, int fd, struct pool_watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = watch};
    return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static int open_all(struct pool *pool, struct error *err)
{
    if (mkdir(pool->dir, 0700) != 0 && errno != EEXIST)
        return error_set(err, ERROR_IO, "cannot make %s: %s", pool->dir, strerror(errno));
    pool->dir_fd = open(pool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pool->dir_fd < 0)
        return error_set(err, ERROR_IO, "cannot open %s: %s", pool->dir, strerror(errno));
    pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    pool->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (pool->epoll_fd < 0 || pool->timer_fd < 0 || !pool_watch_fd(pool, pool->timer_fd, &pool->timer_watch))
        return error_set(err, ERROR_IO, "cannot make event descriptors: %s", strerror(errno));
    if (!pool_process_boot_id(&pool->boot_id))
        return error_set(err, ERROR_IO, "cannot read /proc/sys/kernel/random/boot_id");
    return 0;
}

int pool_new(const struct pool_options *options, const struct pool_callbacks *callbacks, struct pool **ret_pool,
             struct error *err)
{
    struct pool *pool = mem_new(struct pool);
    pool->options = *options;
    pool->callbacks = *callbacks;
    if (!pool->options.grace_ms)
        pool->options.grace_ms = LIMIT_GRACE_MS;
    if (!pool->options.idle_exit_ms)
        pool->options.idle_exit_ms = IDLE_EXIT_MS;
    if (!pool->options.adopt_ms)
        pool->options.adopt_ms = ADOPT_MS;
    pool->dir = mem_printf("%s/workers", options->data_dir);
    pool->exe = mem_strdup(options->exe ? options->exe : "/proc/self/exe");
    pool->options.data_dir = NULL;
    pool->options.exe = NULL;
    pool->dir_fd = pool->epoll_fd = pool->timer_fd = -1;
    pool->timer_watch = (struct pool_watch){.kind = POOL_WATCH_TIMER};
    int code = open_all(pool, err);
    if (code) {
        pool_free(pool);
        return code;
    }
    *ret_pool = pool;
    return 0;
}

struct pool_link *pool_link_new(struct pool *pool, struct uuid id)
{
    struct pool_link *link = mem_new(struct pool_link);
    link->pool = pool;
    link->id = id;
    link->fd = link->pid_fd = link->lock_fd = -1;
    link->link_watch = (struct pool_watch){.kind = POOL_WATCH_LINK, .link = link};
    link->process_watch = (struct pool_watch){.kind = POOL_WATCH_PROCESS, .link = link};
    pool->links = mem_grow(pool->links, &pool->link_cap, pool->link_count + 1, sizeof(struct pool_link *));
    pool->links[pool->link_count++] = link;
    (void)map_set(&pool->by_id, link->id.bytes, sizeof link->id.bytes, link);
    return link;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

static void free_link(struct pool_link *link)
{
    struct pool *pool = link->pool;
    for (size_t i = 0; i < pool->dirty_count; i++)
        if (pool->dirty[i] == link)
            pool->dirty[i] = pool->dirty[--pool->dirty_count];
    (void)map_remove(&pool->by_id, link->id.bytes, sizeof link->id.bytes);
    pool_link_close(link);
    if (link->pid_fd >= 0)
        (void)epoll_ctl(pool->epoll_fd, EPOLL_CTL_DEL, link->pid_fd, NULL);
    close_fd(link->pid_fd);
    close_fd(link->lock_fd);
    mem_free(link);
}

static void free_links(struct pool *pool)
{
    for (size_t i = 0; i < pool->link_count; i++)
        free_link(pool->links[i]);
    pool->link_count = 0;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    free_links(pool);
    map_fini(&pool->by_id);
    mem_free(pool->links);
    mem_free(pool->dirty);
    close_fd(pool->timer_fd);
    close_fd(pool->epoll_fd);
    close_fd(pool->dir_fd);
    mem_free(pool->dir);
    mem_free(pool->exe);
    mem_free(pool);
}

/* ---- times ---- */

void pool_link_set_deadline(struct pool_link *link, int64_t deadline_ms)
{
    link->deadline_ms = deadline_ms;
    link->pool->check_times = true;
}

void pool_put_off_refill(struct pool *pool, int64_t now_ms)
{
    if (pool->early_deaths++ == 0)
        return;
    int64_t delay_ms = POOL_BACKOFF_MS;
    for (uint32_t i = 2; i < pool->early_deaths && delay_ms < POOL_BACKOFF_MAX_MS; i++)
        delay_ms *= 2;
    pool->refill_ms = now_ms + (delay_ms < POOL_BACKOFF_MAX_MS ? delay_ms : POOL_BACKOFF_MAX_MS);
    pool->check_times = true;
}

static void arm_timer(struct pool *pool, int64_t due_ms)
{
    if (pool->armed_ms == due_ms)
        return;
    struct itimerspec at = {.it_value = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000}};
    (void)timerfd_settime(pool->timer_fd, TFD_TIMER_ABSTIME, &at, NULL); /* 0 disarms */
    pool->armed_ms = due_ms;
}

static void check_times(struct pool *pool, int64_t now_ms)
{
    if (!pool->check_times)
        return;
    pool->check_times = false;
    int64_t due_ms = pool->refilling && pool->refill_ms > now_ms ? pool->refill_ms : 0;
    for (size_t i = 0; i < pool->link_count; i++) {
        int64_t at_ms = pool->links[i]->deadline_ms;
        if (at_ms && (!due_ms || at_ms < due_ms))
            due_ms = at_ms;
    }
    arm_timer(pool, due_ms);
}

static void meet_deadlines(struct pool *pool, int64_t now_ms)
{
    uint64_t times;
    (void)!read(pool->timer_fd, &times, sizeof times);
    pool->armed_ms = 0;
    pool->check_times = true;
    for (size_t i = 0; i < pool->link_count; i++) {
        struct pool_link *link = pool->links[i];
        if (link->deadline_ms && link->deadline_ms <= now_ms) {
            link->deadline_ms = 0;
            pool_link_deadline(link, now_ms);
        }
    }
}

/* ---- how many there are ---- */

static uint32_t count_wanted(const struct pool *pool)
{
    uint32_t count = 0;
    for (size_t i = 0; i < pool->link_count; i++)
        count += pool->links[i]->phase != POOL_GONE && !pool->links[i]->surplus && !pool->links[i]->silent;
    return count;
}

bool pool_is_surplus(const struct pool *pool, const struct pool_link *link)
{
    if (!link->former)
        return false;
    uint32_t up = 0;
    for (size_t i = 0; i < pool->link_count; i++)
        up += pool->links[i]->phase == POOL_UP && !pool->links[i]->surplus;
    return up >= pool->options.workers || link->hello.slots != pool->options.slots ||
           !pool_process_same_program(link->pid, pool->exe);
}

static void refill(struct pool *pool, int64_t now_ms)
{
    while (pool->refilling && now_ms >= pool->refill_ms && count_wanted(pool) < pool->options.workers) {
        struct error err;
        int code = pool_spawn(pool, now_ms, &err);
        if (!code)
            continue;
        char text[POOL_REASON_BYTES];
        (void)snprintf(text, sizeof text, "it could not be started: %.250s", err.text);
        pool_put_off_refill(pool, now_ms);
        pool->callbacks.on_worker_gone(pool->callbacks.context, (struct uuid){0}, text);
    }
}

static bool all_settled(const struct pool *pool)
{
    for (size_t i = 0; i < pool->link_count; i++) {
        const struct pool_link *link = pool->links[i];
        if (link->former && !link->was_up && !link->silent && link->phase != POOL_GONE)
            return false;
    }
    return true;
}

static void sweep(struct pool *pool)
{
    size_t kept = 0;
    for (size_t i = 0; i < pool->link_count; i++) {
        if (pool->links[i]->phase == POOL_GONE)
            free_link(pool->links[i]);
        else
            pool->links[kept++] = pool->links[i];
    }
    pool->link_count = kept;
}

static void finish_turn(struct pool *pool, int64_t now_ms)
{
    if (pool->started && !pool->adopted && all_settled(pool)) {
        pool->adopted = true;
        pool->callbacks.on_adopted(pool->callbacks.context);
    }
    sweep(pool);
    if (pool->adopted)
        refill(pool, now_ms);
    check_times(pool, now_ms);
    pool_flush_urgent(pool);
}

/* ---- the life of it ---- */

int pool_start(struct pool *pool, struct error *err)
{
    int64_t now_ms = clock_boot_ms();
    int code = pool_scan(pool, now_ms, err);
    if (code)
        return code;
    pool->started = true;
    pool->refilling = true;
    finish_turn(pool, now_ms);
    return 0;
}

int pool_fd(const struct pool *pool)
{
    return pool->epoll_fd;
}

static void handle(struct pool *pool, const struct epoll_event *event, int64_t now_ms)
{
    const struct pool_watch *watch = event->data.ptr;
    struct pool_link *link = watch->link;
    if (watch->kind == POOL_WATCH_TIMER) {
        meet_deadlines(pool, now_ms);
    } else if (watch->kind == POOL_WATCH_PROCESS) {
        if (link->pid_fd >= 0)
            pool_link_process_ended(link, now_ms);
    } else {
        if (event->events & EPOLLOUT)
            pool_link_write(link);
        if (event->events & ~(uint32_t)EPOLLOUT)
            (void)pool_link_read(link, now_ms);
    }
}

void pool_turn(struct pool *pool)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(pool->epoll_fd, events, EVENTS_PER_TURN, 0);
    int64_t now_ms = clock_boot_ms();
    for (int i = 0; i < count; i++)
        handle(pool, &events[i], now_ms);
    finish_turn(pool, now_ms);
}

static void flush(struct pool *pool, bool urgent_only)
{
    size_t kept = 0;
    for (size_t i = 0; i < pool->dirty_count; i++) {
        struct pool_link *link = pool->dirty[i];
        if (urgent_only && !link->urgent) {
            pool->dirty[kept++] = link;
            continue;
        }
        link->dirty = false;
        pool_link_write(link);
    }
    pool->dirty_count = kept;
}

void pool_flush(struct pool *pool)
{
    flush(pool, false);
}

void pool_flush_urgent(struct pool *pool)
{
    flush(pool, true);
}

/* ---- sending ---- */

static struct pool_link *find_up(const struct pool *pool, struct uuid id)
{
    struct pool_link *link = map_get(&pool->by_id, id.bytes, sizeof id.bytes);
    return link && link->phase == POOL_UP ? link : NULL;
}

int pool_send_start(struct pool *pool, struct uuid worker_id, const struct job *job, struct error *err)
{
    struct pool_link *link = find_up(pool, worker_id);
    if (!link)
        return error_set(err, ERROR_WORKER_NOT_FOUND, "the worker is gone");
    if (link->hello.level < (job->user.other ? 2u : job->secrets.count || job->deny_private ? 1u : 0u))
        return error_set(err, ERROR_IO, "the worker is of an earlier version, which cannot keep this task's rules");
    int code = worker_message_write_start(&link->out, job, err);
    if (!code)
        pool_link_mark_dirty(link, true);
    return code;
}

static int send_message(struct pool *pool, struct uuid worker_id, const struct message *message)
{
    struct pool_link *link = find_up(pool, worker_id);
    if (!link)
        return ERROR_WORKER_NOT_FOUND;
    worker_message_write(&link->out, message);
    pool_link_mark_dirty(link, message->type != MESSAGE_ACK);
    return 0;
}

int pool_stop_attempt(struct pool *pool, struct uuid worker_id, const struct job_key *key, enum stop_reason reason)
{
    const struct message message = {.type = MESSAGE_STOP, .stop = {.key = *key, .reason = reason}};
    return send_message(pool, worker_id, &message);
}

int pool_recall(struct pool *pool, struct uuid worker_id, const struct job_key *key)
{
    const struct message message = {.type = MESSAGE_RECALL, .waiter = *key};
    return send_message(pool, worker_id, &message);
}

int pool_ack(struct pool *pool, struct uuid worker_id, const struct job_key *key)
{
    const struct message message = {.type = MESSAGE_ACK, .ack = *key};
    return send_message(pool, worker_id, &message);
}

void pool_set_lease(struct pool *pool, int64_t lease_ms)
{
    pool->lease_ms = lease_ms;
    for (size_t i = 0; i < pool->link_count; i++)
        if (pool->links[i]->phase == POOL_UP)
            pool_link_send_lease(pool->links[i]);
    pool_flush(pool);
}

static void quit(struct pool_link *link)
{
    if (link->phase > POOL_UP || link->quitting)
        return;
    link->quitting = true;
    pool_link_send_plain(link, MESSAGE_QUIT);
}

int pool_quit_worker(struct pool *pool, struct uuid worker_id)
{
    struct pool_link *link = find_up(pool, worker_id);
    if (!link)
        return ERROR_WORKER_NOT_FOUND;
    quit(link);
    return 0;
}

/* ---- ending ---- */

void pool_quit_idle(struct pool *pool)
{
    pool->refilling = false;
    for (size_t i = 0; i < pool->link_count; i++)
        quit(pool->links[i]);
    pool_flush(pool);
}

void pool_kill_all(struct pool *pool)
{
    int64_t now_ms = clock_boot_ms();
    pool->refilling = false;
    for (size_t i = 0; i < pool->link_count; i++) {
        struct pool_link *link = pool->links[i];
        if (link->phase > POOL_UP)
            continue;
        link->quitting = link->ending = true;
        pool_link_send_plain(link, MESSAGE_KILL_ALL);
        pool_link_set_deadline(link, now_ms + POOL_KILL_ALL_MS);
    }
    check_times(pool, now_ms);
    pool_flush(pool);
}

void pool_disconnect(struct pool *pool)
{
    pool->refilling = false;
    pool_flush(pool);
    free_links(pool);
    arm_timer(pool, 0);
}

size_t pool_live_count(const struct pool *pool)
{
    size_t count = 0;
    for (size_t i = 0; i < pool->link_count; i++)
        count += pool->links[i]->phase != POOL_GONE;
    return count;
}
