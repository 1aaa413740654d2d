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
    return error_set(err, ERROR_USAGE, "'%s' is no address of a server: %s (expected: http://HOST:PORT)", text, why);
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
    size_t port_len = port ? (size_t)(authority + len - port) : 2;
    if (port_len == 0 || port_len >= sizeof url->port)
        return bad_url(text, "the port is missing or too large", err);
    memcpy(url->port, port ? port : "80", port_len);
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
    if (str_starts_with(text, "http://"))
        authority += 7;
    else if (str_starts_with(text, "https://"))
        return bad_url(text, "this pawl speaks plain http only; use a tunnel or a local proxy for TLS", err);
    else if (strstr(text, "://"))
        return bad_url(text, "the scheme is not http", err);
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

int client_connection_open(struct client_connection *connection, const struct client_url *url, int64_t timeout_ms,
                           struct error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    struct error why = {0};
    int64_t until_ms = clock_boot_ms() + timeout_ms;
    int problem = getaddrinfo(url->host, url->port, &hints, &addresses);
    if (problem)
        return error_set(err, ERROR_UNREACHABLE, "no server at http://%s%s: %s", url->authority, url->prefix,
                         problem == EAI_SYSTEM ? strerror(errno) : gai_strerror(problem));
    int rc = ERROR_UNREACHABLE;
    for (const struct addrinfo *address = addresses; address; address = address->ai_next) {
        rc = connect_one(connection, address, until_ms, &why);
        if (rc == 0)
            break;
        client_connection_close(connection);
        if (rc == ERROR_INTERRUPTED)
            break;
    }
    freeaddrinfo(addresses);
    if (rc == ERROR_UNREACHABLE)
        return error_set(err, ERROR_UNREACHABLE, "no server at http://%s%s: %s", url->authority, url->prefix, why.text);
    return rc ? error_set(err, (enum error_code)rc, "%s", why.text) : 0;
}

void client_connection_close(struct client_connection *connection)
{
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
}

bool client_connection_is_stale(const struct client_connection *connection)
{
    struct pollfd fd = {.fd = connection->fd, .events = POLLIN};
    return connection->fd < 0 || poll(&fd, 1, 0) != 0;
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
        if (events & (POLLIN | POLLHUP)) {
            *ret_early = true;
            return 0;
        }
        ssize_t done = send(connection->fd, bytes, len, MSG_NOSIGNAL);
        if (done < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (done < 0) { /* an answer may still lie there, e.g. 413 */
            *ret_early = true;
            return 0;
        }
        bytes += done;
        len -= (size_t)done;
    }
    return 0;
}

int client_connection_receive(struct client_connection *connection, int64_t timeout_ms, struct buf *into,
                              size_t *ret_len, bool *ret_end, struct error *err)
{
    int64_t until_ms = timeout_ms < 0 ? -1 : clock_boot_ms() + timeout_ms;
    for (;;) {
        short events;
        int rc = wait_for(connection, POLLIN, until_ms, &events, err);
        if (rc)
            return rc;
        *ret_len = 0;
        *ret_end = false;
        if (events == 0 && timeout_ms == 0)
            return 0;
        if (events == 0)
            return error_set(err, ERROR_UNREACHABLE, "no answer from the server within %lld s",
                             (long long)(timeout_ms / 1000));
        buf_reserve(into, RECEIVE_BYTES);
        ssize_t got = recv(connection->fd, into->bytes + into->len, RECEIVE_BYTES, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got < 0)
            return error_set(err, ERROR_UNREACHABLE, "the connection to the server broke: %s", strerror(errno));
        into->len += (size_t)got;
        *ret_len = (size_t)got;
        *ret_end = got == 0;
        return 0;
    }
}
