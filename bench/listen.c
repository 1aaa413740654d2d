/* Readers of an event stream: CLIENTS connections ask for PATH; "ready" on stdout once all have their answer's head;
 * then reads until each has seen TEXT COUNT times, or end of input on stdin. One line of JSON.
 *
 *     listen PORT CLIENTS PATH TEXT COUNT */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KEEP = 256 };

struct reader {
    int fd;
    int open;
    size_t seen;                /* how often TEXT */
    size_t kept;                /* bytes in tail: what may be the beginning of another TEXT */
    double done_s;              /* when it had seen all; 0: not yet */
    char tail[KEEP];
};

static const char *text;
static size_t text_len, wanted, heads, done, closed, bytes;

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void connect_reader(struct reader *reader, int epoll_fd, int port, const char *path)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[512];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, port);
    reader->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = reader};
    if (reader->fd < 0 || connect(reader->fd, (struct sockaddr *)&address, sizeof address) != 0
        || write(reader->fd, request, (size_t)len) != len || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, reader->fd, &event) != 0) {
        perror("connect");
        exit(1);
    }
}

static void search(struct reader *reader, const char *from, size_t len)
{
    const char *end = from + len, *at = from;
    while ((at = memmem(at, (size_t)(end - at), text, text_len))) {
        reader->seen++;
        at += text_len;
    }
    if (reader->seen >= wanted && reader->done_s == 0) {
        reader->done_s = now_s();
        done++;
    }
}

static void on_readable(struct reader *reader)
{
    static char buffer[KEEP + (1 << 16)];
    memcpy(buffer, reader->tail, reader->kept);
    ssize_t n = read(reader->fd, buffer + reader->kept, sizeof buffer - KEEP);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close(reader->fd);
        closed++;
        return;
    }
    bytes += (size_t)n;
    if (!reader->open) {
        reader->open = 1;
        heads++;
    }
    size_t len = reader->kept + (size_t)n;
    search(reader, buffer, len);
    /* what was counted cannot be in a tail that is shorter than the text */
    reader->kept = len < text_len - 1 ? len : text_len - 1;
    memcpy(reader->tail, buffer + len - reader->kept, reader->kept);
}

int main(int argc, char **argv)
{
    if (argc != 6 || strlen(argv[4]) > KEEP) {
        fprintf(stderr, "usage: listen PORT CLIENTS PATH TEXT COUNT\n");
        return 2;
    }
    int port = (int)strtol(argv[1], NULL, 10), said = 0;
    size_t clients = strtoul(argv[2], NULL, 10);
    text = argv[4];
    text_len = strlen(text);
    wanted = strtoul(argv[5], NULL, 10);
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct reader *readers = calloc(clients, sizeof *readers);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!readers || epoll_fd < 0)
        return 1;
    for (size_t i = 0; i < clients; i++)
        connect_reader(&readers[i], epoll_fd, port, argv[3]);
    while (done + closed < clients) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll_fd, events, 256, 60000);
        if (ready == 0)
            break;
        for (int i = 0; i < ready; i++)
            on_readable(events[i].data.ptr);
        if (!said && heads == clients) {
            said = 1;
            printf("ready\n");
            fflush(stdout);
        }
    }
    double first = 0, last = 0;
    for (size_t i = 0; i < clients; i++) {
        if (readers[i].done_s == 0)
            continue;
        first = first == 0 || readers[i].done_s < first ? readers[i].done_s : first;
        last = readers[i].done_s > last ? readers[i].done_s : last;
    }
    printf("{\"clients\": %zu, \"done\": %zu, \"closed\": %zu, \"bytes\": %zu, \"spread_ms\": %.2f, \"last_s\": %.6f}\n",
           clients, done, closed, bytes, (last - first) * 1e3, last);
    return 0;
}
