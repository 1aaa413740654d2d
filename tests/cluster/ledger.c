/* What the tasks of the cluster's campaign run: they write down themselves what happened, so that the word of the nodes
 * can be checked against it.
 *
 *     ledger LEDGER_DIR MS EXIT LINES
 *
 * Appends lines to LEDGER_DIR/ledger, each one write: start, a beat every 20 ms for as long as anything of the attempt
 * is alive, end. The beats are those of a child in a session of its own, which nobody ends but whoever ends the whole
 * attempt. Both hold a lock on the task instance's file: a second live attempt finds it taken and writes overlap.
 * Prints LINES lines for the log, takes MS milliseconds, exits with EXIT. The node is told by its working directory. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BEAT_MS = 20, BEATS_MAX = 3000 };

static int ledger_fd;
static const char *run, *task, *attempt, *fence, *node;

static void note(const char *what, int code)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    char line[512];
    int len = snprintf(line, sizeof line, "%s %s %s %s %s %s %d %d %lld\n", what, run, task, attempt, fence, node,
                       (int)getpid(), code, (long long)now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(ledger_fd, line, (size_t)len) != len)
        _exit(99);
}

static _Noreturn void beat(int leave_fd)
{
    struct pollfd leave = {.fd = leave_fd, .events = POLLIN};
    (void)setsid();
    for (int i = 0; i < BEATS_MAX; i++) {
        char word;
        note("beat", 0);
        /* the end of the pipe alone is no word: then the parent was killed and this one was not */
        if (poll(&leave, 1, BEAT_MS) == 1) {
            if (read(leave_fd, &word, 1) == 1)
                break;
            leave.fd = -1;
        }
    }
    _exit(0);
}

static const char *find_node(void)
{
    static char path[4096];
    char *at = getcwd(path, sizeof path) ? strstr(path, "/node") : NULL;
    if (!at)
        return "?";
    at += 5;
    at[strcspn(at, "/")] = '\0';
    return at;
}

int main(int argc, char **argv)
{
    char path[4096];
    int leave[2];
    run = getenv("PAWL_RUN_ID");
    task = getenv("PAWL_TASK_ID");
    attempt = getenv("PAWL_ATTEMPT");
    fence = getenv("PAWL_FENCE");
    node = find_node();
    if (argc < 5 || !run || !task || !attempt || !fence)
        return 98;
    (void)snprintf(path, sizeof path, "%s/ledger", argv[1]);
    ledger_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    (void)snprintf(path, sizeof path, "%s/lock-%s-%s", argv[1], run, task);
    int lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ledger_fd < 0 || lock_fd < 0 || pipe(leave) != 0)
        return 97;
    note(flock(lock_fd, LOCK_EX | LOCK_NB) == 0 ? "start" : "overlap", 0);
    pid_t child = fork();
    if (child == 0) {
        (void)close(leave[1]);
        beat(leave[0]);
    }
    for (long i = 0, lines = strtol(argv[4], NULL, 10); i < lines; i++)
        printf("%s %s %ld\n", task, attempt, i);
    (void)fflush(stdout);
    (void)poll(NULL, 0, (int)strtol(argv[2], NULL, 10));
    if (child < 0 || write(leave[1], "x", 1) != 1)
        return 96;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
    int code = (int)strtol(argv[3], NULL, 10);
    note("end", code);
    return code;
}
