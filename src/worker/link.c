/* The daemon's connection. One at a time: a new one replaces the old, and is told everything that is held. */
#include "worker/model.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    OUT_MAX = 1024 * 1024   /* a daemon that does not take what it is told is not listened to either */
};

bool worker_link_is_up(const struct worker *worker)
{
    return worker->link.watch.fd >= 0;
}

void worker_link_close(struct worker *worker)
{
    worker_watch_close(worker, &worker->link.watch);
    buf_clear(&worker->link.in);
    buf_clear(&worker->link.out);
    worker->link.wants_write = false;
    worker->link.hurry = false;
    worker->link.patient_since_ms = 0;
    worker->quitting = false;
}

static void lose(struct worker *worker)
{
    worker_link_close(worker);
    if (worker->options->die_with_parent)
        worker_end(worker);
}

void worker_link_send(struct worker *worker, const struct message *message)
{
    if (!worker_link_is_up(worker))
        return;
    worker_message_write(&worker->link.out, message);
    if (message->type != MESSAGE_STARTED)
        worker->link.hurry = true;
}

/* Returns false when the messages make no sense. */
static bool handle(struct worker *worker, const struct message *message, const char *frame, size_t size)
{
    switch (message->type) {
    case MESSAGE_START:
        worker_attempt_start(worker, frame, size);
        return true;
    case MESSAGE_ACK:
        worker_attempt_ack(worker, &message->ack);
        return true;
    case MESSAGE_STOP:
        worker_attempt_stop(worker, &message->stop.key, message->stop.reason);
        return true;
    case MESSAGE_RECALL:
        worker_attempt_recall(worker, &message->waiter);
        return true;
    case MESSAGE_QUIT:
        worker->quitting = true;
        return true;
    case MESSAGE_KILL_ALL:
        worker_end(worker);
        return true;
    case MESSAGE_LEASE:
        worker->lease_ms = message->lease_ms;
        return true;
    case MESSAGE_NONE:
        return true;
    case MESSAGE_HELLO:
    case MESSAGE_HELD:
    case MESSAGE_READY:
    case MESSAGE_STARTED:
    case MESSAGE_RESULT:
    case MESSAGE_RETURNED:
    case MESSAGE_TYPE_COUNT:
        break;
    }
    log_error("the daemon sent a message of type %d, which is a worker's; the connection is closed", message->type);
    return false;
}

static bool handle_all(struct worker *worker)
{
    struct buf *in = &worker->link.in;
    size_t done = 0;
    for (;;) {
        struct message message;
        struct error err = {0};
        ssize_t size = worker_message_read(in->bytes + done, in->len - done, &message, &err);
        if (size == 0)
            break;
        if (size < 0) {
            log_error("the daemon sent what cannot be read (%s); the connection is closed", err.text);
            return false;
        }
        if (!handle(worker, &message, in->bytes + done, (size_t)size))
            return false;
        done += (size_t)size;
    }
    buf_drop_front(in, done);
    return true;
}

static void on_link(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return; /* room to write: the end of the turn uses it */
    ssize_t len = recv(watch->fd, worker->read_buffer, sizeof worker->read_buffer, MSG_DONTWAIT);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        lose(worker);
        return;
    }
    buf_add(&worker->link.in, worker->read_buffer, (size_t)len);
    if (!handle_all(worker))
        lose(worker);
}

static void greet(struct worker *worker)
{
    worker_link_send(worker, &(struct message){
                                 .type = MESSAGE_HELLO,
                                 .hello = {
                                     .version = PROTOCOL_VERSION,
                                     .level = PROTOCOL_LEVEL,
                                     .worker_id = worker->options->id,
                                     .boot_id = worker->boot_id,
                                     .start_ticks = worker->start_ticks,
                                     .pid = worker->pid,
                                     .slots = worker->options->slots,
                                     .isolation = worker->cgroup.path ? ISOLATION_CGROUP : ISOLATION_BEST_EFFORT,
                                 },
                             });
    worker_attempt_tell_all(worker);
    worker_link_send(worker, &(struct message){.type = MESSAGE_READY});
}

static bool is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

static void on_listen(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    (void)events;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (!is_ours(fd)) {
        log_warn("somebody else's process wanted to be this worker's daemon");
        (void)close(fd);
        return;
    }
    worker_link_close(worker);
    worker->link.watch.on_ready = on_link;
    if (worker_watch_add(worker, &worker->link.watch, fd, EPOLLIN) != 0)
        return;
    worker->met_daemon = true;
    greet(worker);
}

void worker_link_listen(struct worker *worker)
{
    worker->link.watch.fd = -1;
    worker->listen.on_ready = on_listen;
    (void)worker_watch_add(worker, &worker->listen, worker->options->listen_fd, EPOLLIN);
}

/* A wakeup of the daemon costs more than a task's message: what only says that tasks have started is kept for a
 * moment, and most tasks that end within it are told of in one go. */
static bool may_wait(struct worker_link *link)
{
    if (link->hurry || link->wants_write)
        return false;
    int64_t now_ms = clock_boot_ms();
    if (!link->patient_since_ms)
        link->patient_since_ms = now_ms;
    return now_ms < link->patient_since_ms + WORKER_PATIENCE_MS;
}

void worker_link_flush(struct worker *worker)
{
    struct worker_link *link = &worker->link;
    if (!worker_link_is_up(worker) || (link->out.len == 0 && !link->wants_write) || may_wait(link))
        return;
    link->hurry = false;
    link->patient_since_ms = 0;
    if (link->out.len) {
        ssize_t len = send(link->watch.fd, link->out.bytes, link->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (len < 0 && errno != EAGAIN && errno != EINTR) {
            lose(worker);
            return;
        }
        buf_drop_front(&link->out, len > 0 ? (size_t)len : 0);
    }
    bool wants_write = link->out.len > 0;
    if (wants_write || link->wants_write)
        worker_watch_change(worker, &link->watch,
                            (link->out.len < OUT_MAX ? EPOLLIN : 0u) | (wants_write ? EPOLLOUT : 0u));
    link->wants_write = wants_write;
}
