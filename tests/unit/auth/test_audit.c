/* The audit's file: lines in order, a new file at the size, the oldest goes, and nobody waits. */
#include "support/check.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/auth_audit.h"
#include "base/mem.h"

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static size_t count_lines(const char *dir, const char *name, const char *word)
{
    char path[300], line[4096];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        count += strstr(line, word) != NULL;
    if (file)
        (void)fclose(file);
    return count;
}

static void test_all_are_written(void **state)
{
    (void)state;
    char dir[] = "/tmp/pawl-audit-XXXXXX";
    struct auth_audit *audit;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(auth_audit_open(dir, 0, &audit, NULL), 0);
    for (int i = 0; i < 5000; i++)
        auth_audit_add(audit, &(const struct auth_audit_entry){.action = "x", .principal = "a\nb\"", .status = 200});
    assert_int_equal(auth_audit_append(dir, &(const struct auth_audit_entry){.action = "beside"}, NULL), 0);
    auth_audit_close(audit);
    assert_int_equal(count_lines(dir, "audit.log", "\"action\":\"x\",\"principal\":\"a\\nb\\\"\""), 5000);
    assert_int_equal(count_lines(dir, "audit.log", "beside"), 1);
    (void)nftw(dir, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static void test_files_are_turned_over(void **state)
{
    (void)state;
    char dir[] = "/tmp/pawl-audit-XXXXXX", name[32];
    struct auth_audit *audit;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < AUTH_AUDIT_FILES_MAX + 4; i++) { /* each opening finds the file at its size */
        (void)snprintf(name, sizeof name, "entry-%d", i);
        assert_int_equal(auth_audit_open(dir, 1, &audit, NULL), 0);
        auth_audit_add(audit, &(const struct auth_audit_entry){.action = name});
        auth_audit_close(audit);
    }
    for (int i = 0; i <= AUTH_AUDIT_FILES_MAX; i++) {
        char file[32];
        (void)snprintf(file, sizeof file, i ? "audit.log.%d" : "audit.log", i);
        (void)snprintf(name, sizeof name, "\"entry-%d\"", AUTH_AUDIT_FILES_MAX + 3 - i);
        assert_int_equal(count_lines(dir, file, name), 1);
    }
    (void)snprintf(name, sizeof name, "audit.log.%d", AUTH_AUDIT_FILES_MAX + 1);
    assert_int_equal(count_lines(dir, name, "entry"), 0);
    (void)nftw(dir, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static void test_it_says_why_not(void **state)
{
    (void)state;
    struct auth_audit *audit;
    struct error err = {0};
    assert_int_equal(auth_audit_open("/nonexistent", 0, &audit, &err), ERROR_IO);
    assert_non_null(strstr(err.text, "/nonexistent/audit.log"));
    auth_audit_add(NULL, NULL);
    auth_audit_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_written),
        cmocka_unit_test(test_files_are_turned_over),
        cmocka_unit_test(test_it_says_why_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
