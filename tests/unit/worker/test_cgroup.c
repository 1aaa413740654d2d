/* Where the cgroup v2 of a process is, in the trees that there are; and a leaf of a real one, where we may make it. */
#include "rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/cgroup.h"
#include "worker/spawn.h"

static void assert_located(const char *mountinfo, const char *membership, const char *path)
{
    char *found = worker_cgroup_locate(mountinfo, membership);
    if (path)
        assert_string_equal(found, path);
    else
        assert_null(found);
    mem_free(found);
}

static void test_locate(void **state)
{
    (void)state;
    static const char unified[] = "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
                                  "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    static const char hybrid[] = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
                                 "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                 "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    static const char container[] = "30 22 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
    static const char blank[] = "30 22 0:26 / /mnt/a\\040b rw - cgroup2 cgroup rw\n";
    assert_located(unified, "0::/\n", "/sys/fs/cgroup");
    assert_located(unified, "0::/user.slice/x.scope\n", "/sys/fs/cgroup/user.slice/x.scope");
    assert_located(hybrid, "4:memory:/a\n0::/\n", "/sys/fs/cgroup/unified");
    assert_located(hybrid, "4:memory:/a\n0::/b", "/sys/fs/cgroup/unified/b");
    assert_located(container, "0::/docker/abc\n", "/sys/fs/cgroup");
    assert_located(container, "0::/docker/abc/d\n", "/sys/fs/cgroup/d");
    assert_located(container, "0::/docker/abcd\n", NULL);
    assert_located(blank, "0::/x\n", "/mnt/a b/x");
    assert_located(unified, "0::/../x\n", NULL);
    assert_located(unified, "4:memory:/a\n", NULL);
    assert_located("22 1 8:1 / / rw - ext4 /dev/sda rw\n", "0::/\n", NULL);
    assert_located("", "", NULL);
    assert_located(" - cgroup2 \n", "0::/\n", NULL);
}

static void test_value(void **state)
{
    (void)state;
    assert_int_equal(worker_cgroup_value("low 0\noom 3\noom_kill 12\n", "oom_kill"), 12);
    assert_int_equal(worker_cgroup_value("low 0\noom 3\noom_kill 12\n", "oom"), 3);
    assert_int_equal(worker_cgroup_value("populated 1\nfrozen 0\n", "populated"), 1);
    assert_int_equal(worker_cgroup_value("", "oom"), 0);
    assert_int_equal(worker_cgroup_value("oom", "oom"), 0);
}

/* Returns when the program runs. */
static int32_t start_sleeper(struct worker_spawn_area *area, const struct worker_leaf *leaf)
{
    int ends[2];
    char byte;
    static char *const argv[] = {"sh", "-c", "echo; exec sleep 1000", NULL};
    static char *const envp[] = {NULL};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const struct worker_spawn_request request = {
        .program = "/bin/sh",
        .argv = argv,
        .envp = envp,
        .workdir = "/",
        .out_fd = ends[1],
        .cgroup_fd = leaf->fd,
    };
    struct worker_spawn_failure failure = {0};
    int32_t pid = worker_spawn(area, &request, &failure);
    assert_true(pid > 0);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return pid;
}

/* What a task made below its leaf is killed and removed with it; a leaf is fresh after a KILL. */
static void test_leaf(void **state)
{
    (void)state;
    const struct uuid id = {{9, 9, 9, (uint8_t)getpid(), (uint8_t)(getpid() >> 8), 1}};
    struct worker_cgroup cgroup;
    struct worker_leaf leaf = WORKER_LEAF_INIT;
    struct worker_spawn_area area = {0};
    char *path = worker_cgroup_path(id, NULL);
    if (!path || worker_cgroup_open(&cgroup, path, NULL) != 0) {
        mem_free(path);
        skip(); /* not ours to write */
    }
    for (int round = 0; round < 3; round++) {
        int status = 0;
        assert_int_equal(worker_leaf_open(&cgroup, 0, &leaf, NULL), 0);
        assert_false(worker_leaf_populated(&leaf));
        assert_int_equal(mkdirat(leaf.fd, "inner", 0755), 0);
        int32_t pid = start_sleeper(&area, &leaf);
        assert_true(worker_leaf_populated(&leaf));
        worker_leaf_signal(&leaf, round == 2 ? SIGTERM : SIGKILL);
        assert_int_equal(leaf.killed, round != 2);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), round == 2 ? SIGTERM : SIGKILL);
    }
    worker_leaf_close(&leaf);
    worker_spawn_fini(&area);
    worker_cgroup_close(&cgroup);
    assert_int_equal(access(path, F_OK), -1);
    uint32_t found = 7;
    assert_int_equal(worker_cgroup_kill_all(path, &found, NULL), 0);
    assert_int_equal(found, 0);
    mem_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locate),
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_leaf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
