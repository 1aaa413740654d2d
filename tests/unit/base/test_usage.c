#include "support/check.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/usage.h"

static void test_it_counts_what_we_do(void **state)
{
    (void)state;
    struct usage before, after;
    usage_read(&before);
    assert_true(before.cpu_us >= 0 && before.resident_bytes > 0 && before.threads >= 1);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    usage_read(&after);
    assert_int_equal(after.open_files, before.open_files + 1);
    assert_true(after.cpu_us >= before.cpu_us);
    (void)close(fd);
    usage_read(&after);
    assert_int_equal(after.open_files, before.open_files);
}

static void test_the_limit_of_files(void **state)
{
    (void)state;
    struct rlimit limit;
    struct usage usage;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 77;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    usage_read(&usage);
    assert_int_equal(usage.files_max, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_counts_what_we_do),
        cmocka_unit_test(test_the_limit_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
