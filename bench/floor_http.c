/* The floor of every HTTP row: a libmicrohttpd server, set up as pawl's is, that answers 200 with three bytes to
 * everything. Prints its port; ends when stdin does. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **context)
{
    static int seen;
    (void)cls, (void)url, (void)method, (void)version, (void)upload;
    if (!*context) {
        *context = &seen;
        return MHD_YES;
    }
    if (*upload_len) {
        *upload_len = 0;
        return MHD_YES;
    }
    static char body[] = "{}\n";
    struct MHD_Response *response = MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

static void *drive(void *cls)
{
    struct MHD_Daemon *daemon = cls;
    struct pollfd fd = {.fd = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN};
    for (MHD_UNSIGNED_LONG_LONG wait;;) {
        int wait_ms = MHD_get_timeout(daemon, &wait) == MHD_YES ? (int)wait : -1;
        if (wait_ms)
            (void)!poll(&fd, 1, wait_ms);
        MHD_run(daemon);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 1;
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        struct MHD_Daemon *daemon =
            MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET, dup(fd),
                             MHD_OPTION_CONNECTION_LIMIT, 4000u, MHD_OPTION_END);
        if (!daemon || pthread_create(&thread, NULL, drive, daemon) != 0)
            return 1;
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    char c;
    while (read(0, &c, 1) > 0)
        ;
    return 0;
}
