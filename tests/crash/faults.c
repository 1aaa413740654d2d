/* Preloaded into the daemon and its workers: kills the process at one exact call into a library, or makes that call
 * fail. The program needs no hooks for it: every durable or visible step is a call.
 *
 *     PAWL_FAULT=WHO:FUNCTION:N:WHAT,...    serve:fdatasync:3:kill-after,worker:waitid:2:kill-before
 *     PAWL_FAULT=count                      nothing happens; what is called is counted
 *
 * WHO is the process's first argument (serve, run, worker); of several, the first that names it counts. N counts that
 * process's calls of FUNCTION from 1; N+ means that call and all later ones. @N counts places instead: the first call
 * from the N-th place in the program (by the stack of callers) that calls FUNCTION at all. WHAT is kill-before,
 * kill-after (SIGKILL around the call), or the number of an errno (of an SQLite result for sqlite3_*): the call then
 * does nothing and fails with it.
 *
 * Calls that differ in form only have one name: open is openat too, pwrite is pwrite64. epoll_ctl is EPOLL_CTL_ADD
 * alone, since the others need nothing that could be missing; send on a Unix socket is tell. clone3 is a system call
 * without a function: a thread watches it (seccomp_unotify(2)).
 *
 * MARK.WHO.PID with FUNCTION:WHAT is made when the point is met (PAWL_FAULT_MARK=MARK). When counting it is made at
 * once, and says of each function how often it was called and from how many places; it is kept up to date, so a kill
 * loses none. */
#include "faults.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LINE_BYTES = 64,            /* of the file of counts: name, calls, places */
    PLACES_MAX = 1 << 15,       /* a power of two */
    FRAMES = 10,                /* of the callers that make a place */
    OWN_FRAMES = 3              /* meet, and what called it */
};

static char wanted_function[32];
static enum fault_what what;
static int failure;
static long target;
static bool onwards, counting, by_place;
static atomic_long calls[FAULT_NAMES_MAX], places[FAULT_NAMES_MAX];
static _Atomic uint64_t known[PLACES_MAX];
static char *lines;             /* the file of counts, mapped */
static char mark_path[320];
static char met_text[80];       /* FUNCTION:WHAT */
static __thread bool inside;

static const char *const names[] = {
#define X(name) #name,
    FAULT_NAMES(X)
#undef X
};

int fault_errno(void)
{
    return failure;
}

bool fault_kills(void)
{
    return what == FAULT_KILL_BEFORE || what == FAULT_KILL_AFTER;
}

static void mark(void)
{
    long fd = mark_path[0] ? syscall(SYS_openat, AT_FDCWD, mark_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    (void)syscall(SYS_write, fd, met_text, strlen(met_text));
    (void)syscall(SYS_close, fd);
}

_Noreturn void fault_end_here(void)
{
    mark();
    (void)syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;)
        (void)syscall(SYS_pause);
}

/* Whether this is the first call from this place. */
static bool is_new_place(enum fault_name name)
{
    void *frames[FRAMES + OWN_FRAMES];
    inside = true;
    int count = backtrace(frames, FRAMES + OWN_FRAMES);
    inside = false;
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)name;
    for (int i = OWN_FRAMES; i < count; i++)
        hash = (hash ^ (uint64_t)(uintptr_t)frames[i]) * 0x100000001b3u;
    hash |= 1;
    for (size_t i = 0; i < PLACES_MAX; i++) {
        _Atomic uint64_t *slot = &known[(hash + i) % PLACES_MAX];
        uint64_t free_slot = 0;
        if (atomic_load(slot) == hash)
            return false;
        if (atomic_compare_exchange_strong(slot, &free_slot, hash))
            return true;
        if (free_slot == hash)
            return false;
    }
    return false;
}

static void count_line(enum fault_name name)
{
    char line[LINE_BYTES + 1];
    int len = snprintf(line, sizeof line, "%-28s %12ld %12ld", names[name], atomic_load(&calls[name]),
                       atomic_load(&places[name]));
    memset(line + len, ' ', (size_t)(LINE_BYTES - 1 - len));
    line[LINE_BYTES - 1] = '\n';
    memcpy(lines + (size_t)name * LINE_BYTES, line, LINE_BYTES);
}

static bool is_met(enum fault_name name)
{
    long number = atomic_fetch_add(&calls[name], 1) + 1;
    if (by_place && !(onwards && atomic_load(&places[name]) >= target)) {
        if (!is_new_place(name))
            return false;
        number = atomic_fetch_add(&places[name], 1) + 1;
    } else if (by_place) {
        return true;
    }
    return number == target || (onwards && number > target);
}

enum fault_what fault_meet(enum fault_name name)
{
    if (what == FAULT_NOTHING || inside)
        return FAULT_NOTHING;
    if (counting) {
        (void)atomic_fetch_add(&calls[name], 1);
        if (is_new_place(name))
            (void)atomic_fetch_add(&places[name], 1);
        inside = true;
        count_line(name);
        inside = false;
        return FAULT_NOTHING;
    }
    if (strcmp(names[name], wanted_function) != 0 || !is_met(name))
        return FAULT_NOTHING;
    if (what == FAULT_KILL_BEFORE)
        fault_end_here();
    if (what == FAULT_FAIL)
        mark();
    return what;
}

/* ---- clone3 ---- */

static int listener = -1;
static atomic_int watching;     /* 1: listener is there; -1: there will be none */

static void answer(const struct seccomp_notif *call)
{
    struct seccomp_notif_resp say = {.id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    enum fault_what here = (pid_t)call->pid == getpid() ? fault_meet(FAULT_clone3) : FAULT_NOTHING;
    if (here == FAULT_FAIL) {
        say.flags = 0;
        say.error = -failure;
    }
    (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &say);
    if (here == FAULT_KILL_AFTER)
        fault_end_here();
}

static void *watch(void *context)
{
    (void)context;
    while (!atomic_load(&watching))
        (void)sched_yield();
    while (listener >= 0) {
        struct seccomp_notif call = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0)
            answer(&call);
    }
    return NULL;
}

/* The watching thread is there before the filter, so that it is not watched itself; it takes no signals. */
static void watch_clone3(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {sizeof program / sizeof program[0], program};
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, watch, NULL) == 0) {
        (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
        atomic_store(&watching, listener >= 0 ? 1 : -1);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- setting up ---- */

static void read_process(char *ret_who, size_t size)
{
    char line[4096] = {0};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    ssize_t len = fd < 0 ? -1 : (ssize_t)syscall(SYS_read, fd, line, sizeof line - 1);
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
    size_t first = len > 0 ? strlen(line) : 0;
    ret_who[0] = '\0';
    if (len > (ssize_t)first + 1)
        (void)snprintf(ret_who, size, "%s", line + first + 1);
}

static void open_counts(void)
{
    size_t size = (size_t)FAULT_NAMES_MAX * LINE_BYTES;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, mark_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, size) != 0)
        return;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)syscall(SYS_close, fd);
    if (map == MAP_FAILED)
        return;
    lines = map;
    for (int i = 0; i < FAULT_NAMES_MAX; i++)
        count_line((enum fault_name)i);
    counting = true;
    what = FAULT_FAIL;
}

__attribute__((constructor)) static void setup(void)
{
    const char *text = getenv("PAWL_FAULT"), *path = getenv("PAWL_FAULT_MARK");
    char process[32], who[16], name[32], number[24], wanted[24];
    void *frames[FRAMES];
    if (!text)
        return;
    read_process(process, sizeof process);
    if (strcmp(process, "serve") != 0 && strcmp(process, "worker") != 0 && strcmp(process, "run") != 0)
        return;
    if (path)
        (void)snprintf(mark_path, sizeof mark_path, "%s.%s.%d", path, process, (int)getpid());
    (void)backtrace(frames, FRAMES); /* it loads what it needs the first time */
    if (strcmp(text, "count") == 0) {
        open_counts();
        if (counting && strcmp(process, "worker") == 0)
            watch_clone3();
        return;
    }
    do {
        if (sscanf(text, "%15[^:]:%31[^:]:%23[^:]:%23[^,]", who, name, number, wanted) != 4)
            return;
        text = strchr(text, ',');
    } while (strcmp(who, process) != 0 && text++);
    if (strcmp(who, process) != 0)
        return;
    by_place = number[0] == '@';
    target = strtol(number + by_place, NULL, 10);
    onwards = strchr(number, '+') != NULL;
    failure = (int)strtol(wanted, NULL, 10);
    memcpy(wanted_function, name, sizeof wanted_function);
    (void)snprintf(met_text, sizeof met_text, "%s:%s", name, wanted);
    if (strcmp(name, "clone3") == 0)
        watch_clone3();
    what = strcmp(wanted, "kill-before") == 0  ? FAULT_KILL_BEFORE
           : strcmp(wanted, "kill-after") == 0 ? FAULT_KILL_AFTER
                                               : FAULT_FAIL;
}
