/* A task that says when it ran: appends "RUN TASK PID NANOSECONDS" to FILE.
 *
 *     stamp FILE */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    char line[512];
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    const char *run = getenv("PAWL_RUN_ID"), *task = getenv("PAWL_TASK_ID");
    if (argc != 2 || !run || !task)
        return 2;
    int len = snprintf(line, sizeof line, "%s %s %d %lld\n", run, task, (int)getpid(),
                       (long long)now.tv_sec * 1000000000 + now.tv_nsec);
    int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0600);
    return fd >= 0 && write(fd, line, (size_t)len) == len ? 0 : 1;
}
