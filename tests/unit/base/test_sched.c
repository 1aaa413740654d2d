#include "support/check.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sched.h"

/* linux/sched/types.h */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static struct attributes attributes_now(void)
{
    struct attributes now = {0};
    assert_int_equal(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0), 0);
    return now;
}

static void *be_prompt(void *context)
{
    struct attributes before = attributes_now();
    sched_be_prompt();
    struct attributes after = attributes_now();
    bool same = after.policy == before.policy && after.nice == before.nice && after.runtime <= 100000;
    *(bool *)context = same && after.flags == (before.flags | 1);
    return NULL;
}

/* Short slices, the same policy and priority; only of that thread. */
static void test_the_calling_thread_is_prompt(void **state)
{
    (void)state;
    struct attributes before = attributes_now();
    bool as_meant = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, be_prompt, &as_meant), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(as_meant);
    assert_int_equal(attributes_now().runtime, before.runtime);
}

static void test_children_are_not(void **state)
{
    (void)state;
    struct attributes before = attributes_now();
    pid_t pid = fork();
    if (pid == 0) {
        sched_be_prompt();
        pid = fork();
        if (pid == 0) {
            struct attributes now = attributes_now();
            _exit(now.runtime == before.runtime && now.flags == before.flags && now.nice == before.nice ? 0 : 1);
        }
        int status = -1;
        (void)waitpid(pid, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 2);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_calling_thread_is_prompt),
        cmocka_unit_test(test_children_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
