/* The threads that poll. Each has a daemon of libmicrohttpd of its own, which it drives from outside: driven from
 * inside, the library takes 128 events, and when it got exactly so many it waits for more before it answers any, until
 * another comes or a connection is silent for too long. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/http_exchange.h"

struct http_loop {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    int wake_fd;
    pthread_t thread;
};

static int wait_ms(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(daemon, &ms) != MHD_YES)
        return -1;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Here, not by who stops the server: MHD_run takes the listening socket out of its epoll and back. */
static void stop_listening(struct MHD_Daemon *daemon)
{
    MHD_socket fd = MHD_quiesce_daemon(daemon);
    if (fd != MHD_INVALID_SOCKET)
        (void)close(fd);
}

static unsigned connections(struct MHD_Daemon *daemon)
{
    return MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* What left made room, and the library begins to listen again at the begin of a turn, not at its end. */
static void turn(struct MHD_Daemon *daemon)
{
    unsigned before = connections(daemon);
    (void)MHD_run(daemon);
    if (connections(daemon) < before)
        (void)MHD_run(daemon);
}

static void *run(void *cls)
{
    struct http_loop *loop = cls;
    struct http_server *server = loop->server;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[] = {{.fd = info->epoll_fd, .events = POLLIN}, {.fd = loop->wake_fd, .events = POLLIN}};
    uint64_t woken;
    for (bool listens = true; !atomic_load(&server->ending);) {
        int ms = wait_ms(loop->daemon);
        if (ms != 0 && poll(fds, 2, ms) > 0 && fds[1].revents)
            (void)!read(loop->wake_fd, &woken, sizeof woken);
        if (listens && atomic_load(&server->stopping)) {
            stop_listening(loop->daemon);
            listens = false;
        }
        turn(loop->daemon);
    }
    return NULL;
}

static void wake(const struct http_loop *loop)
{
    const uint64_t one = 1;
    (void)!write(loop->wake_fd, &one, sizeof one);
}

void http_loop_resume(struct http_server *server, struct MHD_Connection *connection)
{
    const struct MHD_Daemon *daemon = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_DAEMON)->daemon;
    unsigned i = 0;
    while (server->loops[i].daemon != daemon)
        i++;
    MHD_resume_connection(connection); /* which may be gone now */
    wake(&server->loops[i]);
}

void http_loops_wake(struct http_server *server)
{
    for (unsigned i = 0; i < server->loop_count; i++)
        wake(&server->loops[i]);
}

static int start(struct http_server *server, struct http_loop *loop, int fd, unsigned connections_max)
{
    int listen_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    *loop = (struct http_loop){.server = server, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (listen_fd >= 0 && loop->wake_fd >= 0)
        loop->daemon = http_open_library(server, listen_fd, connections_max);
    int failed = loop->daemon ? pthread_create(&loop->thread, NULL, run, loop) : errno ? errno : ENOMEM;
    if (!failed)
        return 0;
    if (loop->daemon)
        MHD_stop_daemon(loop->daemon); /* closes the socket */
    else if (listen_fd >= 0)
        (void)close(listen_fd);
    if (loop->wake_fd >= 0)
        (void)close(loop->wake_fd);
    return failed;
}

int http_loops_start(struct http_server *server, int listen_fd, unsigned count, unsigned connections_max)
{
    int failed = 0;
    server->loops = mem_new_array(struct http_loop, count);
    while (server->loop_count < count && !failed) {
        failed = start(server, &server->loops[server->loop_count], listen_fd, (connections_max + count - 1) / count);
        server->loop_count += !failed;
    }
    return failed;
}

void http_loops_stop(struct http_server *server)
{
    atomic_store(&server->ending, true);
    http_loops_wake(server);
    for (unsigned i = 0; i < server->loop_count; i++) {
        (void)pthread_join(server->loops[i].thread, NULL);
        MHD_stop_daemon(server->loops[i].daemon);
        (void)close(server->loops[i].wake_fd);
    }
    mem_free(server->loops);
    server->loop_count = 0;
}
