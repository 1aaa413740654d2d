#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/scratch.h"
#include "store/store_dir.h"

/* Stands in front of libc's, so that a file system can be a network's. 0: as it is. */
static unsigned long pretended_magic;

int fstatfs(int fd, struct statfs *status)
{
    int failed = (int)syscall(SYS_fstatfs, fd, status);
    if (!failed && pretended_magic)
        status->f_type = (__fsword_t)pretended_magic;
    return failed;
}

static char *below(const char *dir, const char *name)
{
    return mem_printf("%s/%s", dir, name);
}

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void refused(const char *path, enum error_code code, const char *word)
{
    struct store_dir dir = {0};
    struct error err = {0};
    assert_int_equal(store_dir_open(path, &dir, &err), code);
    assert_int_equal(err.code, code);
    if (!strstr(err.text, word))
        fail_msg("'%s' does not say '%s'", err.text, word);
    assert_null(dir.path);
}

static void opened(const char *path, struct store_dir *ret_dir)
{
    struct error err = {0};
    if (store_dir_open(path, ret_dir, &err) != 0)
        fail_msg("%s", err.text);
}

static void test_makes_what_is_missing(void **state)
{
    (void)state;
    char *base = scratch_make(), *path = below(base, "a/b//c/"), *made = below(base, "a/b/c");
    struct store_dir dir;
    mode_t before = umask(0);
    opened(path, &dir);
    (void)umask(before);
    assert_string_equal(dir.path, made);
    assert_int_equal(mode_of(made), 0700);
    static const char *const folders[] = {"a", "a/b", "a/b/c/logs", "a/b/c/work", "a/b/c/workers"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *folder = below(base, folders[i]);
        assert_int_equal(mode_of(folder), 0700);
        mem_free(folder);
    }
    assert_true(fcntl(dir.lock_fd, F_GETFD) & FD_CLOEXEC);
    char text[32] = {0}, pid[32];
    assert_true(pread(dir.lock_fd, text, sizeof text - 1, 0) > 0);
    (void)snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    assert_string_equal(text, pid);
    store_dir_close(&dir);
    assert_null(dir.path);
    opened(path, &dir); /* again, all there */
    store_dir_close(&dir);
    mem_free(path);
    mem_free(made);
    scratch_remove(base);
}

static void test_relative_and_linked_paths(void **state)
{
    (void)state;
    char *base = scratch_make(), *link = below(base, "link"), *made = below(base, "real/data");
    struct store_dir dir;
    int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(before >= 0);
    assert_int_equal(chdir(base), 0);
    opened("real/./x/../data", &dir);
    assert_string_equal(dir.path, made);
    store_dir_close(&dir);
    assert_int_equal(symlink("real", link), 0);
    opened("link/data", &dir);
    assert_string_equal(dir.path, made);
    store_dir_close(&dir);
    assert_int_equal(fchdir(before), 0);
    (void)close(before);
    refused("", ERROR_IO, "no name");
    mem_free(link);
    mem_free(made);
    scratch_remove(base);
}

static void test_one_holder_at_a_time(void **state)
{
    (void)state;
    char *path = scratch_make();
    struct store_dir dir;
    char pid[32];
    assert_int_equal(store_dir_holder(path), 0);
    opened(path, &dir);
    (void)snprintf(pid, sizeof pid, "process %d", (int)getpid());
    refused(path, ERROR_STORE_LOCKED, pid);
    assert_int_equal(store_dir_holder(path), getpid());
    refused(path, ERROR_STORE_LOCKED, pid); /* asking has not taken it away */
    store_dir_close(&dir);
    assert_int_equal(store_dir_holder(path), 0);
    opened(path, &dir);
    store_dir_close(&dir);
    scratch_remove(path);
}

/* A holder that is killed leaves its pid in the file and no lock. */
static void test_holder_that_dies(void **state)
{
    (void)state;
    char *path = scratch_make();
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct store_dir held;
        (void)close(ready[0]);
        char ok = store_dir_open(path, &held, NULL) == 0;
        if (write(ready[1], &ok, 1) == 1)
            for (;;)
                (void)pause();
        _exit(1);
    }
    (void)close(ready[1]);
    char ok = 0;
    assert_int_equal(read(ready[0], &ok, 1), 1);
    (void)close(ready[0]);
    assert_true(ok);
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %d", (int)child);
    refused(path, ERROR_STORE_LOCKED, pid);
    assert_int_equal(store_dir_holder(path), child);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(store_dir_holder(path), 0);
    struct store_dir dir;
    opened(path, &dir);
    assert_int_equal(store_dir_holder(path), getpid());
    store_dir_close(&dir);
    scratch_remove(path);
}

static void *open_in_thread(void *path)
{
    struct store_dir dir;
    opened(path, &dir);
    store_dir_close(&dir);
    return NULL;
}

/* Between fork and exec a child has its parent's descriptors, and so its lock: a holder that is dead is waited for. */
static void test_holder_that_dies_while_it_starts_a_child(void **state)
{
    (void)state;
    char *path = scratch_make();
    int hold[2], told[2];
    assert_int_equal(pipe(hold), 0);
    assert_int_equal(pipe(told), 0);
    pid_t holder = fork();
    assert_true(holder >= 0);
    if (holder == 0) {
        struct store_dir dir;
        struct error err;
        char c;
        (void)close(hold[1]);
        if (store_dir_open(path, &dir, &err) != 0)
            _exit(1);
        if (fork() == 0) {
            (void)!write(told[1], "x", 1);
            (void)!read(hold[0], &c, 1); /* until the test closes its end */
        }
        _exit(0);
    }
    char c;
    assert_int_equal(read(told[0], &c, 1), 1);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_in_thread, path), 0);
    for (int i = 0; i < 2; i++) {
        (void)close(hold[i]);
        (void)close(told[i]);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    scratch_remove(path);
}

static void test_modes(void **state)
{
    (void)state;
    char *path = scratch_make(), *foreign = below(path, "notes.txt"), *lock = below(path, "lock");
    static const unsigned writable[] = {0770, 0720, 0702, 0777, 01777, 0722};
    struct store_dir dir;
    for (size_t i = 0; i < sizeof writable / sizeof writable[0]; i++) {
        assert_int_equal(chmod(path, writable[i]), 0);
        refused(path, ERROR_IO, "others may write");
        assert_int_equal(mode_of(path), writable[i]);
    }
    assert_int_equal(chmod(path, 0755), 0); /* as mkdir makes it: empty, so it is closed */
    opened(path, &dir);
    store_dir_close(&dir);
    assert_int_equal(mode_of(path), 0700);
    touch(foreign);
    assert_int_equal(chmod(path, 0750), 0); /* not empty, but it was pawl's before */
    opened(path, &dir);
    store_dir_close(&dir);
    assert_int_equal(mode_of(path), 0700);
    scratch_remove(path);

    path = scratch_make();
    mem_free(foreign);
    foreign = below(path, "notes.txt");
    touch(foreign);
    assert_int_equal(chmod(path, 0755), 0); /* somebody's home */
    refused(path, ERROR_IO, "chmod 700");
    assert_int_equal(mode_of(path), 0755);
    assert_false(exists(lock));
    assert_int_equal(chmod(path, 0700), 0); /* said on purpose */
    opened(path, &dir);
    store_dir_close(&dir);
    mem_free(foreign);
    mem_free(lock);
    scratch_remove(path);
}

static void test_another_users(void **state)
{
    (void)state;
    char *path = scratch_make();
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 1, 1), 0);
        refused(path, ERROR_IO, "another user");
    } else {
        refused("/", ERROR_IO, "another user");
    }
    scratch_remove(path);
}

static void test_what_is_no_directory(void **state)
{
    (void)state;
    char *path = scratch_make(), *file = below(path, "file"), *through = below(file, "data"),
         *work = below(path, "data/work"), *data = below(path, "data");
    char name[400];
    touch(file);
    refused(file, ERROR_IO, "Not a directory");
    refused(through, ERROR_IO, "Not a directory");
    assert_int_equal(mkdir(data, 0700), 0);
    touch(work);
    refused(data, ERROR_IO, "no directory");
    assert_int_equal(store_dir_holder(data), 0); /* a refusal leaves no lock */
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    refused(name, ERROR_IO, "too long");
    mem_free(file);
    mem_free(through);
    mem_free(work);
    mem_free(data);
    scratch_remove(path);
}

static void test_network_file_systems(void **state)
{
    (void)state;
    static const struct {
        unsigned long magic;
        const char *name;
    } cases[] = {
        {0x6969, "NFS"},         {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"}, {0x517b, "SMB"},
        {0x01021997, "9P"},      {0x00c36400, "Ceph"},   {0x0bd00bd0, "Lustre"}, {0x5346414f, "AFS"},
        {0xffffffffff534d42, "CIFS"}, /* as a signed f_type gives it */
    };
    char *path = scratch_make(), *missing = below(path, "missing/data"), *first = below(path, "missing");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pretended_magic = cases[i].magic;
        refused(path, ERROR_IO, cases[i].name);
        refused(missing, ERROR_IO, cases[i].name);
        assert_false(exists(first)); /* nothing is made there first */
    }
    /* ext4, btrfs, xfs, tmpfs, overlayfs, zfs; FUSE, of which it cannot be told */
    static const unsigned long local[] = {0xef53,     0x9123683e, 0x58465342, 0x01021994,
                                          0x794c7630, 0x2fc12fc1, 0x65735546};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        struct store_dir dir;
        pretended_magic = local[i];
        opened(path, &dir);
        store_dir_close(&dir);
    }
    pretended_magic = 0;
    mem_free(missing);
    mem_free(first);
    scratch_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_makes_what_is_missing), cmocka_unit_test(test_relative_and_linked_paths),
        cmocka_unit_test(test_one_holder_at_a_time),  cmocka_unit_test(test_holder_that_dies),
        cmocka_unit_test(test_modes),                 cmocka_unit_test(test_another_users),
        cmocka_unit_test(test_what_is_no_directory),  cmocka_unit_test(test_network_file_systems),
        cmocka_unit_test(test_holder_that_dies_while_it_starts_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
