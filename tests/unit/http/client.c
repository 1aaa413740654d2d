#include "client.h"

#include "support/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int client_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    struct timeval patience = {30, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

void client_send(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may close early; what it answered counts */
        text += n;
        len -= (size_t)n;
    }
}

void client_read_until(int fd, const char *stop, struct buf *out)
{
    for (;;) {
        if (stop && strstr(buf_text(out), stop))
            return;
        buf_reserve(out, 65536);
        ssize_t n = recv(fd, out->bytes + out->len, 65536, 0);
        if (n > 0) {
            out->len += (size_t)n;
            continue;
        }
        if (n < 0 && !stop && out->len)
            break; /* a reset after the answer */
        if (stop || n < 0)
            fail_msg("no more bytes, still waiting for %s", stop ? stop : "the end");
        break;
    }
    (void)buf_text(out);
}

void client_ask(uint16_t port, const char *text, struct buf *out)
{
    int fd = client_connect(port);
    client_send(fd, text);
    client_read_until(fd, NULL, out);
    (void)close(fd);
}

int client_status(const struct buf *answer)
{
    int status = 0;
    if (answer->len > 12)
        (void)sscanf(answer->bytes, "HTTP/1.1 %d", &status);
    return status;
}
