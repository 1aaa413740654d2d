/* The floor of every row that starts processes: start, await, reap, and nothing else. One line of JSON on stdout.
 *
 *     floor_spawn [-p PROCESSES] [-c CONCURRENCY] COUNT PROGRAM [ARG...]
 *
 * Children share our memory until they exec (clone with CLONE_VM, each on a stack of its own) but do not stop us
 * meanwhile: no CLONE_VFORK. With two processes each starts half, so that the starts themselves run in parallel. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK_BYTES = 64 * 1024, CONCURRENCY_MAX = 1024 };

struct slot {
    pid_t pid;                  /* 0: free */
    char *stack;
    char **argv;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int child(void *context)
{
    struct slot *slot = context;
    execve(slot->argv[0], slot->argv, environ);
    _exit(127);
}

static void start(struct slot *slot)
{
    slot->pid = clone(child, slot->stack + STACK_BYTES, CLONE_VM | SIGCHLD, slot);
    if (slot->pid < 0)
        fail("clone");
}

static void run(long count, int concurrency, char **argv)
{
    static struct slot slots[CONCURRENCY_MAX];
    for (int i = 0; i < concurrency; i++) {
        slots[i].argv = argv;
        slots[i].stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (slots[i].stack == MAP_FAILED)
            fail("mmap");
    }
    long started = 0;
    for (int i = 0; i < concurrency && started < count; i++, started++)
        start(&slots[i]);
    for (long ended = 0; ended < count;) {
        int status;
        pid_t pid = wait4(-1, &status, 0, NULL);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            fail("wait4");
        if (status != 0) {
            fprintf(stderr, "floor_spawn: status %d\n", status);
            exit(1);
        }
        ended++;
        int i = 0;
        while (slots[i].pid != pid)
            i++;
        if (started < count) {
            start(&slots[i]);
            started++;
        }
    }
}

static void run_parts(int processes, long count, int concurrency, char **argv)
{
    pid_t parts[64];
    for (int i = 0; i < processes; i++) {
        parts[i] = fork();
        if (parts[i] < 0)
            fail("fork");
        if (parts[i] == 0) {
            run(count / processes + (i < count % processes), concurrency / processes, argv);
            _exit(0);
        }
    }
    for (int i = 0; i < processes; i++) {
        int status;
        if (waitpid(parts[i], &status, 0) < 0 || status != 0)
            fail("part");
    }
}

int main(int argc, char **argv)
{
    int processes = 1, concurrency = 8;
    for (int option; (option = getopt(argc, argv, "+p:c:")) != -1;) {
        if (option == 'p')
            processes = (int)strtol(optarg, NULL, 10);
        else if (option == 'c')
            concurrency = (int)strtol(optarg, NULL, 10);
        else
            return 2;
    }
    if (argc - optind < 2 || processes < 1 || processes > 64 || concurrency < processes || concurrency > CONCURRENCY_MAX) {
        fprintf(stderr, "usage: floor_spawn [-p PROCESSES] [-c CONCURRENCY] COUNT PROGRAM [ARG...]\n");
        return 2;
    }
    long count = strtol(argv[optind], NULL, 10);
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (processes == 1)
        run(count, concurrency, argv + optind + 1);
    else
        run_parts(processes, count, concurrency, argv + optind + 1);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
    printf("{\"count\": %ld, \"seconds\": %.6f, \"rate\": %.1f}\n", count, seconds, (double)count / seconds);
    return 0;
}
