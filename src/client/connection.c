#include "client/connection.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { RECEIVE_BYTES = 64 * 1024 };

static int bad_url(const char *text, const char *why, struct error *err)
{
    return error_set(err, ERROR_USAGE, "'%s' is no address of a server: %s (expected: http://HOST:PORT, or https:)",
                     text, why);
}

/* Splits HOST[:PORT] or [V6][:PORT]; len is that of the authority. */
static int parse_authority(const char *text, const char *authority, size_t len, struct client_url *url,
                           struct error *err)
{
    const char *host = authority;
    size_t host_len = len;
    const char *port = NULL;
    if (len > 0 && *authority == '[') {
        const char *end = memchr(authority, ']', len);
        if (!end)
            return bad_url(text, "']' is missing", err);
        host = authority + 1;
        host_len = (size_t)(end - host);
        if (end + 1 < authority + len && end[1] != ':')
            return bad_url(text, "only a port may follow ']'", err);
        port = end + 1 < authority + len ? end + 2 : NULL;
    } else if ((port = memchr(authority, ':', len))) {
        host_len = (size_t)(port - authority);
        port++;
    }
    if (host_len == 0 || host_len >= sizeof url->host)
        return bad_url(text, "the host is missing or too long", err);
    for (size_t i = 0; i < host_len; i++)
        if (isspace((unsigned char)host[i]) || iscntrl((unsigned char)host[i]) || host[i] == '@')
            return bad_url(text, "this cannot be a host name", err);
    memcpy(url->host, host, host_len);
    const char *usual = url->is_tls ? "443" : "80";
    size_t port_len = port ? (size_t)(authority + len - port) : strlen(usual);
    if (port_len == 0 || port_len >= sizeof url->port)
        return bad_url(text, "the port is missing or too large", err);
    memcpy(url->port, port ? port : usual, port_len);
    int64_t number;
    if (!str_parse_int(url->port, 1, 65535, &number))
        return bad_url(text, "the port is no number from 1 to 65535", err);
    memcpy(url->authority, authority, len);
    return 0;
}

int client_url_parse(const char *text, struct client_url *ret_url, struct error *err)
{
    struct client_url url = {.port = ""};
    const char *authority = text;
    url.is_tls = str_starts_with(text, "https://");
    if (url.is_tls || str_starts_with(text, "http://"))
        authority += url.is_tls ? 8 : 7;
    else if (strstr(text, "://"))
        return bad_url(text, "the scheme is neither http nor https", err);
    size_t len = strcspn(authority, "/?#");
    if (len >= CLIENT_HOST_MAX)
        return bad_url(text, "it is too long", err);
    int rc = parse_authority(text, authority, len, &url, err);
    if (rc)
        return rc;
    const char *path = authority + len;
    size_t path_len = strlen(path);
    while (path_len > 0 && path[path_len - 1] == '/')
        path_len--;
    if (path_len >= sizeof url.prefix)
        return bad_url(text, "its path is too long", err);
    for (size_t i = 0; i < path_len; i++)
        if ((unsigned char)path[i] <= ' ' || path[i] == '?' || path[i] == '#')
            return bad_url(text, "it may have a path but nothing behind it", err);
    memcpy(url.prefix, path, path_len);
    *ret_url = url;
    return 0;
}

static int remaining_ms(int64_t until_ms)
{
    if (until_ms < 0)
        return -1;
    int64_t left = until_ms - clock_boot_ms();
    return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* Waits for events on the connection or the interrupt. 0 and *ret_events, 0 events after until_ms (boot time). */
static int wait_for(const struct client_connection *connection, short events, int64_t until_ms, short *ret_events,
                    struct error *err)
{
    struct pollfd fds[2] = {{.fd = connection->fd, .events = events},
                            {.fd = connection->interrupt_fd, .events = POLLIN}};
    for (;;) {
        int count = poll(fds, 2, remaining_ms(until_ms));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set(err, ERROR_IO, "poll: %s", strerror(errno));
        if (fds[1].revents)
            return error_set(err, ERROR_INTERRUPTED, "interrupted");
        *ret_events = fds[0].revents;
        return 0;
    }
}

static int connect_one(struct client_connection *connection, const struct addrinfo *address, int64_t until_ms,
                       struct error *err)
{
    connection->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->fd < 0)
        return error_set(err, ERROR_UNREACHABLE, "%s", strerror(errno));
    int one = 1;
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    (void)setsockopt(connection->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    int problem = connect(connection->fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (problem == EINPROGRESS) {
        short events;
        int rc = wait_for(connection, POLLOUT, until_ms, &events, err);
        if (rc)
            return rc;
        socklen_t size = sizeof problem;
        if (events == 0)
            problem = ETIMEDOUT;
        else if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
            problem = errno;
    }
    return problem ? error_set(err, ERROR_UNREACHABLE, "%s", strerror(problem)) : 0;
}

static int shake_hands(struct client_connection *connection, const struct client_url *url, int64_t until_ms,
                       struct error *err)
{
    int rc = client_tls_new(connection->fd, url->host, connection->trust, &connection->tls, err);
    while (!rc) {
        enum client_tls_step step = client_tls_shake_hands(connection->tls, err);
        if (step == CLIENT_TLS_DONE)
            return 0;
        if (step == CLIENT_TLS_FAILED)
            return ERROR_UNREACHABLE;
        short events;
        rc = wait_for(connection, step == CLIENT_TLS_WANTS_WRITE ? POLLOUT : POLLIN, until_ms, &events, err);
        if (!rc && events == 0)
            rc = error_set(err, ERROR_UNREACHABLE, "TLS is not agreed on in time");
    }
    return rc;
}

int client_connection_open(struct client_connection *connection, const struct client_url *url, int64_t timeout_ms,
                           struct error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    struct error why = {0};
    int64_t until_ms = clock_boot_ms() + timeout_ms;
    int problem = getaddrinfo(url->host, url->port, &hints, &addresses);
    const char *scheme = url->is_tls ? "https" : "http";
    if (problem)
        return error_set(err, ERROR_UNREACHABLE, "no server at %s://%s%s: %s", scheme, url->authority, url->prefix,
                         problem == EAI_SYSTEM ? strerror(errno) : gai_strerror(problem));
    int rc = ERROR_UNREACHABLE;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
        rc = connect_one(connection, address, until_ms, &why);
        if (rc == 0 && url->is_tls)
            rc = shake_hands(connection, url, until_ms, &why);
        if (rc == 0)
            break;
        client_connection_close(connection);
        if (rc != ERROR_UNREACHABLE)
            break;
    }
    freeaddrinfo(addresses);
    if (rc == ERROR_UNREACHABLE)
        return error_set(err, ERROR_UNREACHABLE, "no server at %s://%s%s: %s", scheme, url->authority, url->prefix,
                         why.text);
    return rc ? error_set(err, (enum error_code)rc, "%s", why.text) : 0;
}

void client_connection_close(struct client_connection *connection)
{
    client_tls_free(connection->tls);
    connection->tls = NULL;
    buf_fini(&connection->ahead);
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

/* What TLS has to say beside data (tickets for later sessions) looks like data from outside. True: data, the end or an
 * error; data is kept. */
static bool look_ahead(struct client_connection *connection)
{
    enum client_tls_step step = CLIENT_TLS_FAILED;
    char *into = buf_extend(&connection->ahead, RECEIVE_BYTES);
    ssize_t got = client_tls_receive(connection->tls, into, RECEIVE_BYTES, &step, NULL);
    connection->ahead.len -= RECEIVE_BYTES - (got > 0 ? (size_t)got : 0);
    return got >= 0 || step == CLIENT_TLS_FAILED;
}

bool client_connection_is_stale(struct client_connection *connection)
{
    struct pollfd fd = {.fd = connection->fd, .events = POLLIN};
    if (connection->fd < 0)
        return true;
    bool any = poll(&fd, 1, 0) != 0;
    return connection->ahead.len > 0 || (any && (!connection->tls || look_ahead(connection)));
}

/* Bytes sent, 0: not now, -1: broken. */
static ssize_t send_some(struct client_connection *connection, const char *bytes, size_t len)
{
    if (!connection->tls) {
        ssize_t done = send(connection->fd, bytes, len, MSG_NOSIGNAL);
        return done < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : done;
    }
    enum client_tls_step step;
    ssize_t done = client_tls_send(connection->tls, bytes, len, &step, NULL);
    return done < 0 && step != CLIENT_TLS_FAILED ? 0 : done;
}

int client_connection_send(struct client_connection *connection, const char *bytes, size_t len, int64_t timeout_ms,
                           bool *ret_early, struct error *err)
{
    *ret_early = false;
    while (len > 0) {
        short events;
        int rc = wait_for(connection, POLLOUT | POLLIN, clock_boot_ms() + timeout_ms, &events, err);
        if (rc)
            return rc;
        if (events == 0)
            return error_set(err, ERROR_UNREACHABLE, "the server has not taken the request in time");
        if (events & (POLLIN | POLLHUP) && (!connection->tls || look_ahead(connection))) {
            *ret_early = true;
            return 0;
        }
        if (!(events & POLLOUT))
            continue;
        ssize_t done = send_some(connection, bytes, len);
        if (done < 0) { /* an answer may still lie there, e.g. 413 */
            *ret_early = true;
            return 0;
        }
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

/* Bytes received, 0 with *ret_end at the end, 0 without: nothing now. */
static int receive_some(struct client_connection *connection, char *bytes, size_t *ret_len, bool *ret_end,
                        struct error *err)
{
    enum client_tls_step step = CLIENT_TLS_FAILED;
    ssize_t got;
    if (connection->tls) {
        got = client_tls_receive(connection->tls, bytes, RECEIVE_BYTES, &step, err);
        if (got < 0 && step == CLIENT_TLS_FAILED)
            return ERROR_UNREACHABLE;
    } else {
        got = recv(connection->fd, bytes, RECEIVE_BYTES, 0);
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return error_set(err, ERROR_UNREACHABLE, "the connection to the server broke: %s", strerror(errno));
    }
    *ret_len = got > 0 ? (size_t)got : 0;
    *ret_end = got == 0;
    return 0;
}

static bool take_ahead(struct client_connection *connection, struct buf *into, size_t *ret_len)
{
    *ret_len = connection->ahead.len;
    buf_add(into, connection->ahead.bytes, connection->ahead.len);
    buf_clear(&connection->ahead);
    return *ret_len > 0;
}

int client_connection_receive(struct client_connection *connection, int64_t timeout_ms, struct buf *into,
                              size_t *ret_len, bool *ret_end, struct error *err)
{
    int64_t until_ms = timeout_ms < 0 ? -1 : clock_boot_ms() + timeout_ms;
    *ret_end = false;
    if (take_ahead(connection, into, ret_len))
        return 0;
    for (;;) {
        short events = POLLIN;
        bool has_more = connection->tls && client_tls_has_more(connection->tls);
        int rc = has_more ? 0 : wait_for(connection, POLLIN, until_ms, &events, err);
        if (rc)
            return rc;
        *ret_len = 0;
        if (events == 0 && timeout_ms == 0)
            return 0;
        if (events == 0)
            return error_set(err, ERROR_UNREACHABLE, "no answer from the server within %lld s",
                             (long long)(timeout_ms / 1000));
        buf_reserve(into, RECEIVE_BYTES);
        rc = receive_some(connection, into->bytes + into->len, ret_len, ret_end, err);
        into->len += *ret_len;
        if (rc || *ret_len > 0 || *ret_end)
            return rc;
    }
}
