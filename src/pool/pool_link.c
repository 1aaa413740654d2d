/* Bytes and messages of one worker. A worker that sends what does not fit its place in the protocol is ended: what it
 * says later could not be believed, and what it runs must end before somebody else may run it. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "pool/pool_model.h"

enum { READ_BYTES = 16 * 1024, OUT_KEEP_BYTES = 256 * 1024 };

/* ---- the socket ---- */

/* Neither the worker's fault nor for ever. EAGAIN: the calls of daemons that died wait in its queue still. */
static bool passes(int why)
{
    return why == EAGAIN || why == EINTR || why == EMFILE || why == ENFILE || why == ENOMEM || why == ENOBUFS ||
           why == ENOSPC;
}

static int try_to_connect(struct pool_link *link)
{
    static const int on = 1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int why = pool_socket_address(link->pool, link->id, address.sun_path, sizeof address.sun_path);
    if (why)
        return why;
    link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (link->fd < 0)
        return errno;
    /* SO_PEERCRED would name who called listen(), the daemon; SCM_CREDENTIALS name who sent the bytes. */
    if (setsockopt(link->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        connect(link->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        !pool_watch_fd(link->pool, link->fd, &link->link_watch)) {
        why = errno;
        (void)close(link->fd);
        link->fd = -1;
        return why;
    }
    return 0;
}

int pool_link_connect(struct pool_link *link, int64_t now_ms)
{
    int why = try_to_connect(link);
    if (why) {
        pool_link_set_deadline(link, now_ms + POOL_MEET_MS);
        return passes(why) ? 0 : why;
    }
    if (link->quitting)
        pool_link_send_plain(link, MESSAGE_QUIT);
    pool_link_set_deadline(link, link->silent ? 0 : link->born_ms + link->pool->options.adopt_ms);
    return 0;
}

void pool_link_put_off(struct pool_link *link, int64_t now_ms)
{
    pool_link_close(link);
    link->said_hello = link->watches_out = link->urgent = false;
    pool_link_set_deadline(link, now_ms + POOL_MEET_MS);
}

void pool_link_close(struct pool_link *link)
{
    if (link->fd >= 0) {
        (void)epoll_ctl(link->pool->epoll_fd, EPOLL_CTL_DEL, link->fd, NULL);
        (void)close(link->fd);
    }
    link->fd = -1;
    buf_fini(&link->in);
    buf_fini(&link->out);
    link->out_sent = 0;
    mem_free(link->held);
    link->held = NULL;
    link->held_count = link->held_cap = 0;
    arena_fini(&link->held_texts);
}

static void watch_out(struct pool_link *link, bool out)
{
    if (link->watches_out == out)
        return;
    struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = &link->link_watch};
    if (epoll_ctl(link->pool->epoll_fd, EPOLL_CTL_MOD, link->fd, &event) == 0)
        link->watches_out = out;
}

void pool_link_write(struct pool_link *link)
{
    while (link->fd >= 0 && link->out_sent < link->out.len) {
        ssize_t sent = send(link->fd, link->out.bytes + link->out_sent, link->out.len - link->out_sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            link->out_sent += (size_t)sent;
        } else if (errno == EAGAIN) {
            watch_out(link, true);
            return;
        } else if (errno != EINTR) {
            link->out_sent = link->out.len; /* broken: reading says so, after what it has still sent */
        }
    }
    if (link->fd < 0)
        return;
    link->urgent = false;
    watch_out(link, false);
    if (link->out.cap > OUT_KEEP_BYTES)
        buf_fini(&link->out);
    buf_clear(&link->out);
    link->out_sent = 0;
}

void pool_link_mark_dirty(struct pool_link *link, bool urgent)
{
    struct pool *pool = link->pool;
    link->urgent = link->urgent || urgent || link->out.len > POOL_ACKS_BYTES;
    if (link->dirty)
        return;
    link->dirty = true;
    pool->dirty = mem_grow(pool->dirty, &pool->dirty_cap, pool->dirty_count + 1, sizeof(struct pool_link *));
    pool->dirty[pool->dirty_count++] = link;
}

void pool_link_send_plain(struct pool_link *link, enum message_type type)
{
    if (link->fd < 0)
        return;
    const struct message message = {.type = type};
    worker_message_write(&link->out, &message);
    pool_link_mark_dirty(link, true);
}

void pool_link_send_lease(struct pool_link *link)
{
    const struct message message = {.type = MESSAGE_LEASE, .lease_ms = link->pool->lease_ms};
    if (link->fd < 0 || !message.lease_ms)
        return;
    worker_message_write(&link->out, &message);
    pool_link_mark_dirty(link, true);
}

/* ---- messages ---- */

static void refuse(struct pool_link *link, int64_t now_ms, const char *why)
{
    char text[POOL_REASON_BYTES];
    (void)snprintf(text, sizeof text, "it was ended because %.270s", why);
    pool_link_part(link, text, 0, now_ms);
}

/* An errno value, or 0. */
static int watch_process(struct pool_link *link)
{
    if (link->pid_fd >= 0)
        return 0;
    int pid_fd = pidfd_open(link->pid, 0);
    if (pid_fd < 0)
        return errno;
    if (!pool_watch_fd(link->pool, pid_fd, &link->process_watch)) {
        int why = errno;
        (void)close(pid_fd);
        return why;
    }
    link->pid_fd = pid_fd;
    return 0;
}

/* Why it is not the worker it should be, or NULL. *ret_later: that cannot be seen now. */
static const char *identify(struct pool_link *link, const struct message_hello *hello, bool *ret_later)
{
    uint64_t ticks;
    *ret_later = false;
    if (!uuid_equal(hello->worker_id, link->id))
        return "it has the id of another worker";
    if (!uuid_equal(hello->boot_id, link->pool->boot_id) || hello->pid != link->pid)
        return "it is not the process it says it is";
    int why = watch_process(link);
    *ret_later = why && passes(why);
    if (why)
        return "its process cannot be watched";
    /* after the pidfd was opened: a pid that was used again has another start time */
    if (!pool_process_start_ticks(hello->pid, &ticks) || ticks != hello->start_ticks)
        return "it started at another time than it says";
    return NULL;
}

static void take_hello(struct pool_link *link, const struct message_hello *hello, int64_t now_ms)
{
    char text[POOL_REASON_BYTES];
    if (hello->version != PROTOCOL_VERSION) {
        (void)snprintf(text, sizeof text, "it speaks version %u of the protocol, this daemon %d", hello->version,
                       PROTOCOL_VERSION);
        refuse(link, now_ms, text);
        return;
    }
    bool later;
    const char *fault = identify(link, hello, &later);
    if (fault && later) {
        pool_link_put_off(link, now_ms);
    } else if (fault) {
        refuse(link, now_ms, fault);
    } else {
        link->hello = *hello;
        link->said_hello = true;
    }
}

static void take_held(struct pool_link *link, const struct message *message, int64_t now_ms)
{
    if (link->held_count == POOL_HELD_MAX) {
        refuse(link, now_ms, "it holds more attempts than a worker can");
        return;
    }
    link->held = mem_grow(link->held, &link->held_cap, link->held_count + 1, sizeof *link->held);
    struct pool_held *held = &link->held[link->held_count++];
    *held = (struct pool_held){.ended = message->type == MESSAGE_RESULT};
    if (!held->ended) {
        held->started = message->started;
        return;
    }
    held->result = message->result;
    if (message->result.error)
        held->result.error = arena_strdup(&link->held_texts, message->result.error);
    if (message->result.log)
        held->result.log = arena_dup(&link->held_texts, message->result.log, message->result.log_len);
}

static void take_ready(struct pool_link *link)
{
    static const int off = 0;
    struct pool *pool = link->pool;
    (void)setsockopt(link->fd, SOL_SOCKET, SO_PASSCRED, &off, sizeof off); /* each message has cost a little more */
    pool_link_set_deadline(link, 0);
    link->silent = false;
    link->surplus = pool_is_surplus(pool, link);
    link->phase = POOL_UP;
    link->was_up = true;
    pool_link_send_lease(link);
    if (link->surplus && !link->quitting) {
        link->quitting = true;
        pool_link_send_plain(link, MESSAGE_QUIT);
    }
    const struct pool_worker worker = {
        .id = link->id,
        .pid = link->pid,
        .slots = link->hello.slots,
        .isolation = link->hello.isolation,
        .adopted = link->former,
        .keeps_waiting = link->hello.level >= 3,
        .draining = link->surplus,
        .held = link->held,
        .held_count = link->held_count,
    };
    pool->callbacks.on_worker_up(pool->callbacks.context, &worker);
    mem_free(link->held);
    link->held = NULL;
    link->held_count = link->held_cap = 0;
    arena_fini(&link->held_texts);
}

static void take_while_meeting(struct pool_link *link, const struct message *message, int64_t now_ms)
{
    bool expected = link->said_hello ? message->type == MESSAGE_HELD || message->type == MESSAGE_RESULT ||
                                           message->type == MESSAGE_READY
                                     : message->type == MESSAGE_HELLO;
    if (!expected)
        refuse(link, now_ms, "it sent a message that has no place when a worker is met");
    else if (message->type == MESSAGE_HELLO)
        take_hello(link, &message->hello, now_ms);
    else if (message->type == MESSAGE_READY)
        take_ready(link);
    else
        take_held(link, message, now_ms);
}

static void take(struct pool_link *link, const struct message *message, int64_t now_ms)
{
    const struct pool_callbacks *callbacks = &link->pool->callbacks;
    if (message->type == MESSAGE_NONE)
        return;
    if (link->phase == POOL_MEETING)
        take_while_meeting(link, message, now_ms);
    else if (message->type == MESSAGE_STARTED)
        callbacks->on_started(callbacks->context, link->id, &message->started);
    else if (message->type == MESSAGE_RESULT)
        callbacks->on_result(callbacks->context, link->id, &message->result);
    else if (message->type == MESSAGE_RETURNED)
        callbacks->on_returned(callbacks->context, link->id, &message->waiter);
    else
        refuse(link, now_ms, "it sent a message that only a daemon sends, or sent one twice");
}

static void take_all(struct pool_link *link, int64_t now_ms)
{
    size_t at = 0;
    while (link->phase <= POOL_UP && link->fd >= 0) {
        struct message message;
        struct error err;
        ssize_t size = worker_message_read(link->in.bytes + at, link->in.len - at, &message, &err);
        if (size == 0)
            break;
        if (size < 0) {
            char text[POOL_REASON_BYTES];
            (void)snprintf(text, sizeof text, "it sent bytes that are no message: %.200s", err.text);
            refuse(link, now_ms, text);
            return;
        }
        at += (size_t)size;
        take(link, &message, now_ms);
    }
    if (link->fd >= 0)
        buf_drop_front(&link->in, at);
}

/* ---- reading ---- */

/* Until READY every byte has to come from the process that is known, or becomes known by it, of our own user. */
static bool check_sender(struct pool_link *link, struct msghdr *head)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(head); part; part = CMSG_NXTHDR(head, part)) {
        struct ucred sender;
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&sender, CMSG_DATA(part), sizeof sender);
        if (!link->pid)
            link->pid = sender.pid;
        return sender.uid == geteuid() && sender.pid == link->pid;
    }
    return false;
}

static ssize_t receive(struct pool_link *link, bool *ret_trusted)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec into = {.iov_base = buf_extend(&link->in, READ_BYTES), .iov_len = READ_BYTES};
    struct msghdr head = {.msg_iov = &into, .msg_iovlen = 1};
    bool meeting = link->phase == POOL_MEETING;
    if (meeting) {
        head.msg_control = &control;
        head.msg_controllen = sizeof control;
    }
    ssize_t got;
    do {
        got = recvmsg(link->fd, &head, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    link->in.len -= READ_BYTES - (got > 0 ? (size_t)got : 0);
    *ret_trusted = got <= 0 || !meeting || check_sender(link, &head);
    return got;
}

bool pool_link_read(struct pool_link *link, int64_t now_ms)
{
    bool trusted;
    if (link->fd < 0 || link->phase > POOL_UP)
        return false;
    ssize_t got = receive(link, &trusted);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        pool_link_part(link, NULL, POOL_PARTING_MS, now_ms);
        return false;
    }
    if (!trusted) {
        refuse(link, now_ms, "another process answered for it");
        return false;
    }
    take_all(link, now_ms);
    return link->fd >= 0;
}
