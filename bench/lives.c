/* What the kernel says of processes: a line "exec PID PARENT NANOSECONDS" when one has begun its program, "exit ..." when
 * one has ended, on CLOCK_MONOTONIC, as the process connector tells whoever may listen (root). A line "ready" first;
 * ends when stdin does. It looks every 20 ms, so that those that are watched do not pay for its wakeups. PARENT is 0
 * for who was there before.
 *
 *     lives < PIPE */
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVE_BYTES = 64 << 20, LOOK_MS = 20, PID_MAX = 1 << 22 };

static int subscribe(void)
{
    int fd = socket(PF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
    const struct sockaddr_nl self = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    int bytes = RECEIVE_BYTES;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&self, sizeof self) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
        return -1;
    struct {
        struct nlmsghdr head;
        struct cn_msg message;
        enum proc_cn_mcast_op what;
    } __attribute__((packed)) ask = {
        .head = {.nlmsg_len = sizeof ask, .nlmsg_type = NLMSG_DONE},
        .message = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .len = sizeof ask.what},
        .what = PROC_CN_MCAST_LISTEN,
    };
    return send(fd, &ask, sizeof ask, 0) == (ssize_t)sizeof ask ? fd : -1;
}

static int parents[PID_MAX];    /* of the process that had the pid last */

static void tell(const struct proc_event *event)
{
    unsigned long long at_ns = event->timestamp_ns;
    if (event->what == PROC_EVENT_FORK) {
        int pid = event->event_data.fork.child_pid;
        if (pid == event->event_data.fork.child_tgid && pid < PID_MAX)
            parents[pid] = event->event_data.fork.parent_tgid;
    } else if (event->what == PROC_EVENT_EXEC) {
        int pid = event->event_data.exec.process_tgid;
        printf("exec %d %d %llu\n", pid, parents[pid % PID_MAX], at_ns);
    } else if (event->what == PROC_EVENT_EXIT) {
        int pid = event->event_data.exit.process_tgid;
        if (pid == event->event_data.exit.process_pid)
            printf("exit %d %d %llu\n", pid, parents[pid % PID_MAX], at_ns);
    }
}

/* 0 once nothing more is there; -1: something was lost. */
static int take(int fd)
{
    static char bytes[65536];
    for (;;) {
        ssize_t len = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (len < 0)
            return errno == EAGAIN ? 0 : -1;
        struct proc_event event;
        size_t at = NLMSG_LENGTH(sizeof(struct cn_msg));
        if ((size_t)len < at)
            continue;
        size_t got = (size_t)len - at;
        memset(&event, 0, sizeof event);
        memcpy(&event, bytes + at, got < sizeof event ? got : sizeof event);
        tell(&event);
    }
}

int main(void)
{
    int fd = subscribe();
    if (fd < 0) {
        perror("the process connector");
        return 1;
    }
    printf("ready\n");
    (void)fflush(stdout);
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
    for (struct pollfd input = {STDIN_FILENO, POLLIN, 0}; poll(&input, 1, 0) == 0; nanosleep(&pause, NULL))
        if (take(fd) != 0) {
            perror("the process connector");
            return 1;
        }
    return take(fd) == 0 ? 0 : 1;
}
