/* clone3 with CLONE_VM and without CLONE_VFORK: the child runs in our memory, on its own stack, beside us, until it
 * executes its program. So nothing is copied and nothing waits, and:
 *  - the child has our thread's errno, so it calls the kernel by itself and touches no libc;
 *  - a step that fails is written into the slot's area, which we read after the reap;
 *  - no signal handler exists here (worker_main resets them all), so none can run in it.
 *
 * A child that becomes another user does not share our memory: the kernel makes memory undumpable when one of those in
 * it changes its ids, and until it executes its program that user could be let at what all the others' secrets are in.
 * It gets a copy, as by fork, which costs a few hundred microseconds and is gone with the exec. */
#include "worker/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

enum { STACK_BYTES = 32 * 1024, EXIT_NOT_STARTED = 127 };

void worker_spawn_fini(struct worker_spawn_area *area)
{
    mem_free(area->stack);
    if (area->told)
        (void)munmap((void *)(uintptr_t)area->told, sizeof *area->told);
    *area = (struct worker_spawn_area){0};
}

#if defined(__x86_64__) || defined(__aarch64__)

/* linux/sched.h has it too, but not in every version that we compile with. */
struct clone_request {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

#define REQUEST_CLONE_VM 0x100u
#define REQUEST_CLONE_INTO_CGROUP 0x200000000u

/* No instrumentation in what the child executes: it has another stack and runs at the same time. */
#define CHILD_CODE __attribute__((no_sanitize("address", "undefined")))

static inline CHILD_CODE long call_kernel(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
    return x0;
#endif
}

/* clone3; in the child, calls entry(context) on the new stack, which never returns. */
static long call_clone(struct clone_request *request, void (*entry)(void *), void *context)
{
#if defined(__x86_64__)
    long result;
    register void (*r8)(void *) __asm__("r8") = entry;
    register void *r9 __asm__("r9") = context;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "call *%%r8\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(request), "S"(sizeof *request), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
#else
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)request;
    register long x1 __asm__("x1") = (long)sizeof *request;
    register void (*x9)(void *) __asm__("x9") = entry;
    register void *x10 __asm__("x10") = context;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x10\n\t"
                     "blr x9\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x9), "r"(x10)
                     : "memory", "cc");
    return x0;
#endif
}

static CHILD_CODE _Noreturn void give_up(struct worker_spawn_area *area, enum worker_spawn_step step, long result)
{
    volatile struct worker_spawn_failure *failure = area->is_copy ? area->told : &area->failure;
    failure->step = step;
    failure->error = (int)-result;
    for (;;)
        (void)call_kernel(SYS_exit_group, EXIT_NOT_STARTED, 0, 0, 0);
}

/* Groups before ids, which may not be changed any more afterwards. What is ours and not the ids': capabilities (those
 * of a daemon that is not root stay with it over setresuid) and the session's keys. */
static CHILD_CODE long become(const struct worker_spawn_user *user)
{
    const struct {
        uint32_t version;
        int32_t pid;
    } self = {0x20080522 /* _LINUX_CAPABILITY_VERSION_3 */, 0};
    const uint32_t none[6] = {0};
    enum { JOIN_SESSION_KEYRING = 1 };
    long result = call_kernel(SYS_setgroups, user->group_count, (long)user->groups, 0, 0);
    if (result == 0)
        result = call_kernel(SYS_setresgid, user->gid, user->gid, user->gid, 0);
    if (result == 0)
        result = call_kernel(SYS_setresuid, user->uid, user->uid, user->uid, 0);
    if (result == 0 && user->uid != 0)
        result = call_kernel(SYS_capset, (long)&self, (long)none, 0, 0);
    if (result)
        return result;
    result = call_kernel(SYS_keyctl, JOIN_SESSION_KEYRING, 0, 0, 0);
    return result == -ENOSYS || result == -EPERM || result > 0 ? 0 : result; /* there are none, or nobody may */
}

static CHILD_CODE void child_main(void *context)
{
    struct worker_spawn_area *area = context;
    const struct worker_spawn_request *request = &area->request;
    const uint64_t no_signals = 0;
    if (!request->program)
        give_up(area, SPAWN_STEP_NONE, 0);
    long result = call_kernel(SYS_setsid, 0, 0, 0, 0);
    if (result < 0)
        give_up(area, SPAWN_STEP_SESSION, result);
    if (request->user && (result = become(request->user)) < 0)
        give_up(area, SPAWN_STEP_USER, result);
    /* A change of ids has cleared it, so it comes after. */
    (void)call_kernel(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
    /* It may have died before it could be told. */
    if (call_kernel(SYS_getppid, 0, 0, 0, 0) != area->parent)
        give_up(area, SPAWN_STEP_START, -ESRCH);
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        result = call_kernel(SYS_dup3, request->out_fd, fd, 0, 0);
        if (result < 0)
            give_up(area, SPAWN_STEP_OUTPUT, result);
    }
    (void)call_kernel(SYS_close_range, STDERR_FILENO + 1, UINT_MAX, 0, 0);
    result = call_kernel(SYS_chdir, (long)request->workdir, 0, 0, 0);
    if (result < 0)
        give_up(area, SPAWN_STEP_WORKDIR, result);
    (void)call_kernel(SYS_rt_sigprocmask, SIG_SETMASK, (long)&no_signals, 0, sizeof no_signals);
    result = call_kernel(SYS_execve, (long)request->program, (long)request->argv, (long)request->envp, 0);
    for (const char *const *next = request->further; result == -EACCES && next && *next; next++) {
        long other = call_kernel(SYS_execve, (long)*next, (long)request->argv, (long)request->envp, 0);
        result = other == -ENOENT || other == -ENOTDIR ? result : other;
    }
    give_up(area, SPAWN_STEP_EXEC, result);
}

static bool make_page(struct worker_spawn_area *area)
{
    if (!area->told) {
        void *page = mmap(NULL, sizeof *area->told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        area->told = page == MAP_FAILED ? NULL : page;
    }
    if (area->told)
        area->told->step = SPAWN_STEP_NONE;
    return area->told;
}

int32_t worker_spawn(struct worker_spawn_area *area, const struct worker_spawn_request *request,
                     struct worker_spawn_failure *ret_failure)
{
    assert(!request->program || request->out_fd > STDERR_FILENO);
    if (!area->stack) {
        area->stack = mem_alloc(STACK_BYTES);
        area->parent = getpid();
    }
    area->request = *request;
    area->failure.step = SPAWN_STEP_NONE;
    area->failure.error = 0;
    area->is_copy = request->user;
    if (area->is_copy && !make_page(area)) {
        *ret_failure = (struct worker_spawn_failure){SPAWN_STEP_START, errno};
        return -1;
    }
    struct clone_request clone = {
        .flags = area->is_copy ? 0 : REQUEST_CLONE_VM,
        .exit_signal = SIGCHLD,
        .stack = (uint64_t)(uintptr_t)area->stack,
        .stack_size = STACK_BYTES,
    };
    if (request->cgroup_fd >= 0) {
        clone.flags |= REQUEST_CLONE_INTO_CGROUP;
        clone.cgroup = (uint64_t)request->cgroup_fd;
    }
    long pid = call_clone(&clone, child_main, area);
    if (pid > 0)
        return (int32_t)pid;
    *ret_failure = (struct worker_spawn_failure){SPAWN_STEP_START, (int)-pid};
    return -1;
}

#else

int32_t worker_spawn(struct worker_spawn_area *area, const struct worker_spawn_request *request,
                     struct worker_spawn_failure *ret_failure)
{
    (void)area;
    (void)request;
    *ret_failure = (struct worker_spawn_failure){SPAWN_STEP_START, ENOSYS};
    return -1;
}

#endif

void worker_spawn_settle(struct worker_spawn_area *area)
{
    if (!area->is_copy)
        return;
    area->failure.error = area->told->error;
    area->failure.step = area->told->step;
    area->is_copy = false;
}

int worker_spawn_probe(int cgroup_fd)
{
    struct worker_spawn_area area = {0};
    struct worker_spawn_failure failure = {0};
    const struct worker_spawn_request request = {.cgroup_fd = cgroup_fd};
    int32_t pid = worker_spawn(&area, &request, &failure);
    if (pid > 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    worker_spawn_fini(&area);
    return pid > 0 ? 0 : failure.error;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawnattr_setsigmask(attributes, &none);
    if (!code)
        code = posix_spawnattr_setsigdefault(attributes, &all);
    if (!code)
        code = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK
                                                        | POSIX_SPAWN_SETSIGDEF);
    return code;
}

static int set_actions(posix_spawn_file_actions_t *actions, int out_fd, int workdir_fd)
{
    int code = posix_spawn_file_actions_adddup2(actions, out_fd, STDOUT_FILENO);
    if (!code)
        code = posix_spawn_file_actions_adddup2(actions, out_fd, STDERR_FILENO);
    if (!code)
        code = posix_spawn_file_actions_addfchdir_np(actions, workdir_fd);
    if (!code)
        code = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
    return code;
}

int32_t worker_spawn_posix(struct worker_spawn_area *area, const struct worker_spawn_request *request,
                           struct worker_spawn_failure *ret_failure)
{
    area->failure.step = SPAWN_STEP_NONE;
    if (request->user) {
        *ret_failure = (struct worker_spawn_failure){SPAWN_STEP_USER, ENOSYS};
        return -1;
    }
    /* Opened here, so that its failure is told from that of the program. */
    int workdir_fd = open(request->workdir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (workdir_fd < 0) {
        *ret_failure = (struct worker_spawn_failure){SPAWN_STEP_WORKDIR, errno};
        return -1;
    }
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    *ret_failure = (struct worker_spawn_failure){SPAWN_STEP_START, posix_spawnattr_init(&attributes)};
    if (ret_failure->error)
        goto out_fd;
    ret_failure->error = posix_spawn_file_actions_init(&actions);
    if (ret_failure->error)
        goto out_attributes;
    ret_failure->error = set_attributes(&attributes);
    if (!ret_failure->error)
        ret_failure->error = set_actions(&actions, request->out_fd, workdir_fd);
    if (!ret_failure->error) {
        ret_failure->step = SPAWN_STEP_EXEC;
        ret_failure->error =
            posix_spawn(&pid, request->program, &actions, &attributes, request->argv, request->envp);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
out_attributes:
    (void)posix_spawnattr_destroy(&attributes);
out_fd:
    (void)close(workdir_fd);
    return ret_failure->error ? -1 : pid;
}
