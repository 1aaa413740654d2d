#include "http/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/http_exchange.h"
#include "http/http_router.h"

enum { CONNECTION_MEMORY = 32 * 1024, LISTEN_BACKLOG = 1024, SPARE_FDS = 64 };

/* GnuTLS: what its maintainers hold for sound, without the versions before TLS 1.2. */
static const char tls_priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";

static_assert(LIMIT_HEADER_BYTES_MAX + LIMIT_URL_BYTES_MAX < CONNECTION_MEMORY, "a head must fit");

static void log_library(void *cls, const char *format, va_list args)
{
    (void)cls;
    if (!log_enabled(LOG_DEBUG))
        return;
    char text[300];
    int len = vsnprintf(text, sizeof text, format, args);
    if (len > 0 && (size_t)len < sizeof text && text[len - 1] == '\n')
        text[len - 1] = '\0';
    log_debug("http: %s", text);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    log_error("http: libmicrohttpd stops the program: %s (%s:%u)", reason ? reason : "?", file, line);
    abort();
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&address)->sin_port);
}

static int listen_on(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

static int open_listener(const struct http_config *config, int *ret_fd, struct error *err)
{
    const char *address = config->address ? config->address : "127.0.0.1";
    char port[8];
    (void)snprintf(port, sizeof port, "%u", config->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int rc = getaddrinfo(address, port, &hints, &list);
    if (rc != 0)
        return error_set(err, ERROR_IO, "cannot listen on %s: %s", address, gai_strerror(rc));
    int fd = -1;
    for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
        fd = listen_on(at);
    int saved = errno;
    freeaddrinfo(list);
    if (fd < 0)
        return error_set(err, ERROR_IO, "cannot listen on %s port %s: %s", address, port, strerror(saved));
    *ret_fd = fd;
    return 0;
}

static void copy_hosts(struct http_server *server)
{
    const struct http_config *config = &server->config;
    server->hosts = mem_new_array(char *, config->host_count + 1);
    for (size_t i = 0; i < config->host_count; i++)
        server->hosts[server->host_count++] = mem_strdup(config->hosts[i]);
    server->hosts[server->host_count++] = mem_strdup(config->address ? config->address : "127.0.0.1");
}

static unsigned connections_max(const struct http_config *config)
{
    unsigned wanted = config->connections_max ? config->connections_max : LIMIT_CONNECTIONS_MAX;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return wanted;
    rlim_t room = files.rlim_cur > 2 * SPARE_FDS ? files.rlim_cur - SPARE_FDS : SPARE_FDS;
    return room < wanted ? (unsigned)room : wanted;
}

static unsigned thread_count(const struct http_config *config)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return config->threads ? config->threads : processors > 4 ? 4 : processors < 2 ? 2 : (unsigned)processors;
}

struct MHD_Daemon *http_open_library(struct http_server *server, int listen_fd, unsigned connections_max)
{
    const struct http_config *config = &server->config;
    MHD_set_panic_func(on_panic, NULL);
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)log_library, NULL},
        {MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)connections_max, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)((config->idle_ms + 999) / 1000), NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)http_access_on_uri, server},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)http_access_on_done, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)http_sweep_on_connection, server},
        {config->tls_cert ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END, 0, (void *)(uintptr_t)http_tls_choose},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    if (config->tls_cert)
        flags |= MHD_USE_TLS;
    return MHD_start_daemon(flags, 0, NULL, NULL, http_access_on_request, server, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

static void free_server(struct http_server *server)
{
    for (size_t i = 0; i < server->host_count; i++)
        mem_free(server->hosts[i]);
    mem_free(server->hosts);
    http_tls_fini(server);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    mem_free(server);
}

static struct http_server *new_server(const struct http_config *config)
{
    struct http_server *server = mem_new(struct http_server);
    server->config = *config;
    server->config.request_ms = config->request_ms ? config->request_ms : HTTP_REQUEST_MS;
    server->config.idle_ms = config->idle_ms ? config->idle_ms : HTTP_IDLE_MS;
    server->checks_layout = MHD_get_version()[0] == '0';
    if (getrandom(&server->id_seed, sizeof server->id_seed, 0) != (ssize_t)sizeof server->id_seed)
        server->id_seed = (uintptr_t)server ^ (uint64_t)getpid() << 32;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &clock);
    pthread_condattr_destroy(&clock);
    copy_hosts(server);
    return server;
}

int http_start(const struct http_config *config, struct http_server **ret_server, struct error *err)
{
    int fd = -1;
    int rc = open_listener(config, &fd, err);
    if (rc)
        return rc;
    struct http_server *server = new_server(config);
    if (config->tls_cert && (rc = http_set_tls(server, config->tls_cert, config->tls_key, err))) {
        (void)close(fd);
        free_server(server);
        return rc;
    }
    server->port = bound_port(fd);
    /* Signals are the main thread's business. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = http_loops_start(server, fd, thread_count(config), connections_max(config));
    if (!failed)
        failed = pthread_create(&server->sweeper, NULL, http_sweep_run, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(fd); /* each loop has its own */
    server->config.tls_cert = server->config.tls_key = NULL;
    if (!failed) {
        *ret_server = server;
        return 0;
    }
    http_loops_stop(server);
    free_server(server);
    return error_set(err, ERROR_IO, "the HTTP server cannot start: %s", strerror(failed));
}

uint16_t http_port(const struct http_server *server)
{
    return server->port;
}

unsigned http_connections(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    unsigned count = server->connection_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

/* Waits for every request in flight; after HTTP_STOP_MS only for deferred ones, which hold a suspended connection
 * that libmicrohttpd must not meet when it stops. */
static void wait_for_requests(struct http_server *server)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += HTTP_STOP_MS / 1000;
    bool patient = true;
    pthread_mutex_lock(&server->lock);
    while (atomic_load(&server->active) > 0 && (patient || atomic_load(&server->deferred) > 0)) {
        if (pthread_cond_timedwait(&server->changed, &server->lock, &until) == ETIMEDOUT) {
            patient = false;
            (void)clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += 1;
        }
    }
    pthread_mutex_unlock(&server->lock);
    while (atomic_load(&server->resuming) > 0)
        (void)sched_yield();
}

void http_stop(struct http_server *server)
{
    if (!server)
        return;
    pthread_mutex_lock(&server->lock);
    atomic_store(&server->stopping, true);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    http_loops_wake(server);
    http_stream_wake_all(server);
    wait_for_requests(server);
    http_loops_stop(server);
    pthread_join(server->sweeper, NULL);
    free_server(server);
}
