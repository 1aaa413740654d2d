/* Time limits that libmicrohttpd has not: it closes silent connections, but a byte now and then keeps one alive.
 * Each connection has a deadline for what it is doing; a thread, asleep while there are no connections, shuts
 * down the sockets that are past theirs, and libmicrohttpd cleans up. */
#include "http/http_exchange.h"

#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

static void add_connection(struct http_server *server, struct MHD_Connection *mhd, void **socket_context)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct http_connection *connection = mem_new(struct http_connection);
    connection->server = server;
    connection->fd = info ? info->connect_fd : -1;
    atomic_store(&connection->deadline_ms, clock_boot_ms() + server->config.idle_ms + HTTP_LINE_MS);
    pthread_mutex_lock(&server->lock);
    connection->older = server->connections;
    if (connection->older)
        connection->older->newer = connection;
    server->connections = connection;
    if (server->connection_count++ == 0)
        pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    *socket_context = connection;
}

static void remove_connection(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    pthread_mutex_lock(&server->lock);
    if (connection->newer)
        connection->newer->older = connection->older;
    else
        server->connections = connection->older;
    if (connection->older)
        connection->older->newer = connection->newer;
    server->connection_count--;
    pthread_mutex_unlock(&server->lock);
    mem_free(connection);
}

void http_sweep_on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                              enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        add_connection(cls, mhd, socket_context);
    } else if (*socket_context) {
        remove_connection(*socket_context);
        *socket_context = NULL;
    }
}

void http_sweep_set(struct MHD_Connection *mhd, int64_t deadline_ms)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info && info->socket_context) {
        struct http_connection *connection = info->socket_context;
        atomic_store_explicit(&connection->deadline_ms, deadline_ms, memory_order_relaxed);
    }
}

void http_sweep_set_idle(struct http_server *server, struct MHD_Connection *mhd)
{
    http_sweep_set(mhd, clock_boot_ms() + server->config.idle_ms + HTTP_LINE_MS);
}

unsigned http_sweep_expired(struct http_server *server, int64_t now_ms)
{
    unsigned count = 0;
    pthread_mutex_lock(&server->lock);
    for (struct http_connection *at = server->connections; at; at = at->older) {
        int64_t deadline_ms = atomic_load_explicit(&at->deadline_ms, memory_order_relaxed);
        if (deadline_ms && deadline_ms < now_ms && at->fd >= 0) {
            (void)shutdown(at->fd, SHUT_RDWR);
            count++;
        }
    }
    pthread_mutex_unlock(&server->lock);
    return count;
}

void *http_sweep_run(void *cls)
{
    struct http_server *server = cls;
    pthread_mutex_lock(&server->lock);
    while (!atomic_load(&server->stopping)) {
        if (server->connection_count == 0) {
            pthread_cond_wait(&server->changed, &server->lock);
            continue;
        }
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += HTTP_SWEEP_MS / 1000;
        (void)pthread_cond_timedwait(&server->changed, &server->lock, &until);
        pthread_mutex_unlock(&server->lock);
        (void)http_sweep_expired(server, clock_boot_ms());
        pthread_mutex_lock(&server->lock);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}
