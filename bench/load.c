/* Closed-loop HTTP load: CLIENTS connections, each with one request in flight, until COUNT answers are there. One line
 * of JSON: rate, latencies, answers by status class. The request is read from a file: head and body as sent; where it
 * has ######## each one gets another number.
 *
 *     load PORT CLIENTS COUNT REQUEST_FILE [RATE]
 *
 * With RATE the loop is open: requests are due that often a second whatever the answers do, and a latency counts from
 * when its request was due. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd;
    int64_t sent_us;
    size_t head_len;            /* of the answer; 0: not complete */
    size_t want;                /* bytes of the whole answer; known with the head */
    size_t got;                 /* bytes of the answer so far */
    char head[4096];
};

static char request[1 << 20];
static size_t request_len;
static size_t sent, answered, count;
static size_t classes[6];
static float *latencies;        /* us */
static char *number_at;         /* where the request has its number; NULL: nowhere */
static double rate;             /* 0: closed loop */
static int64_t began_us;
static struct client **idle;    /* open loop: who may send */
static size_t idle_count;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t due_us(size_t number)
{
    return began_us + (int64_t)((double)number / rate * 1e6);
}

static void send_next(struct client *client)
{
    if (sent == count)
        return;
    client->got = client->want = client->head_len = 0;
    client->sent_us = rate > 0 ? due_us(sent) : now_us();
    if (number_at) {
        char digits[16];
        snprintf(digits, sizeof digits, "%08zu", (sent + (size_t)began_us) % 100000000);
        memcpy(number_at, digits, 8);
    }
    sent++;
    for (size_t done = 0; done < request_len;) {
        ssize_t n = write(client->fd, request + done, request_len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail("write");
        done += (size_t)n;
    }
}

static void connect_client(struct client *client, int epoll_fd, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    int on = 1;
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0)
        fail("epoll_ctl");
}

static void parse_head(struct client *client)
{
    client->head[client->got < sizeof client->head - 1 ? client->got : sizeof client->head - 1] = '\0';
    const char *end = strstr(client->head, "\r\n\r\n");
    if (!end)
        return;
    client->head_len = (size_t)(end - client->head) + 4;
    const char *length = strcasestr(client->head, "\r\nContent-Length:");
    client->want = client->head_len + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    int status = (int)strtol(client->head + 9, NULL, 10) / 100;
    classes[status >= 1 && status <= 5 ? status : 0]++;
}

static void on_readable(struct client *client)
{
    static char sink[1 << 18];
    char *into = client->head_len ? sink : client->head + client->got;
    size_t room = client->head_len ? sizeof sink : sizeof client->head - 1 - client->got;
    ssize_t n = read(client->fd, into, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fprintf(stderr, "load: the server closed a connection\n");
        exit(1);
    }
    client->got += (size_t)n;
    if (!client->head_len)
        parse_head(client);
    if (client->head_len && client->got >= client->want) {
        latencies[answered++] = (float)(now_us() - client->sent_us);
        if (rate > 0)
            idle[idle_count++] = client;
        else
            send_next(client);
    }
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Sends what is due; returns how long to wait for what is not, ms. */
static int send_due(void)
{
    while (sent < count && idle_count) {
        int64_t wait_us = due_us(sent) - now_us();
        if (wait_us > 0)
            return (int)(wait_us / 1000) + 1;
        send_next(idle[--idle_count]);
    }
    return 30000;
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: load PORT CLIENTS COUNT REQUEST_FILE [RATE]\n");
        return 2;
    }
    rate = argc > 5 ? strtod(argv[5], NULL) : 0;
    int port = (int)strtol(argv[1], NULL, 10);
    size_t clients = strtoul(argv[2], NULL, 10);
    count = strtoul(argv[3], NULL, 10);
    FILE *file = fopen(argv[4], "rb");
    if (!file || clients == 0 || count == 0)
        return 2;
    request_len = fread(request, 1, sizeof request, file);
    fclose(file);
    number_at = memmem(request, request_len, "########", 8);
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    latencies = calloc(count, sizeof *latencies);
    struct client *all = calloc(clients, sizeof *all);
    idle = calloc(clients, sizeof *idle);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!latencies || !all || !idle || epoll_fd < 0)
        return 1;
    for (size_t i = 0; i < clients; i++)
        connect_client(&all[i], epoll_fd, port);
    began_us = now_us();
    for (size_t i = 0; i < clients; i++) {
        if (rate > 0)
            idle[idle_count++] = &all[i];
        else
            send_next(&all[i]);
    }
    while (answered < count) {
        struct epoll_event events[256];
        int wait_ms = rate > 0 ? send_due() : 30000;
        int ready = epoll_wait(epoll_fd, events, 256, wait_ms);
        if (ready == 0 && wait_ms == 30000) {
            fprintf(stderr, "load: no answer for 30 s\n");
            return 1;
        }
        for (int i = 0; i < ready; i++)
            on_readable(events[i].data.ptr);
    }
    double seconds = (double)(now_us() - began_us) / 1e6;
    qsort(latencies, count, sizeof *latencies, by_value);
    printf("{\"count\": %zu, \"clients\": %zu, \"seconds\": %.4f, \"rate\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"max_ms\": %.3f, \"ok\": %zu, \"client_errors\": %zu, \"server_errors\": %zu}\n",
           count, clients, seconds, (double)count / seconds, (double)latencies[count / 2] / 1e3,
           (double)latencies[count * 99 / 100] / 1e3, (double)latencies[count - 1] / 1e3, classes[2], classes[4],
           classes[5]);
    return 0;
}
