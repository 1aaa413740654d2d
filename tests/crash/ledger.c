/* What the tasks of a campaign run: writes to a ledger of its own what happened, so that pawl's word can be checked
 * against it.
 *
 *     ledger LEDGER_DIR MS EXIT [LINES]
 *
 * Appends one line at the start and one at the end to LEDGER_DIR/ledger (each one write, O_APPEND), holds a lock on
 * the task instance's file meanwhile (a second live attempt finds it taken and writes so), prints LINES lines for
 * the log, takes MS milliseconds, exits with EXIT. */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static int ledger_fd;
static const char *run, *task, *attempt, *fence;

static void note(const char *what, int code)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    char line[512];
    int len = snprintf(line, sizeof line, "%s %s %s %s %s %d %d %lld\n", what, run, task, attempt, fence, (int)getpid(),
                       code, (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(ledger_fd, line, (size_t)len) != len)
        _exit(99);
}

int main(int argc, char **argv)
{
    run = getenv("PAWL_RUN_ID");
    task = getenv("PAWL_TASK_ID");
    attempt = getenv("PAWL_ATTEMPT");
    fence = getenv("PAWL_FENCE");
    if (argc < 4 || !run || !task || !attempt || !fence)
        return 98;
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/ledger", argv[1]);
    ledger_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    (void)snprintf(path, sizeof path, "%s/lock-%s-%s", argv[1], run, task);
    int lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ledger_fd < 0 || lock_fd < 0)
        return 97;
    int taken = flock(lock_fd, LOCK_EX | LOCK_NB);
    note(taken == 0 ? "start" : "overlap", 0);
    long lines = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    for (long i = 0; i < lines; i++)
        printf("%s %s %ld\n", task, attempt, i);
    (void)fflush(stdout);
    (void)poll(NULL, 0, (int)strtol(argv[2], NULL, 10));
    int code = (int)strtol(argv[3], NULL, 10);
    note("end", code);
    return code;
}
