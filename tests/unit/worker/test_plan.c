/* Which commands go without a shell, and that nobody can tell: each is also run by `sh -c` and must come to the
 * same. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "worker/plan.h"

static const struct rig_mode mode = {"auto", WORKER_ISOLATION_AUTO, WORKER_SPAWN_AUTO};

static struct job command_job(const char *command, const char *env, size_t env_len, uint32_t env_count)
{
    return (struct job){
        .kind = JOB_COMMAND,
        .command = command,
        .workdir = "/usr",
        .env = {env, env_len, env_count},
    };
}

static const char usual_env[] = "PATH=/nowhere:/usr/bin:/bin\0HOME=/";

static bool is_direct(const struct job *job, struct arena *arena, struct worker_plan *plan)
{
    struct worker_place place = {0};
    assert_int_equal(worker_plan_make(arena, job, NULL, &place, plan, NULL), 0);
    if (!plan->direct) {
        assert_string_equal(plan->program, "/bin/sh");
        assert_string_equal(plan->argv[0], "sh");
        assert_string_equal(plan->argv[1], "-c");
        assert_string_equal(plan->argv[3], job->command);
    }
    worker_place_fini(&place);
    return plan->direct;
}

static bool goes_direct(const char *command)
{
    struct arena arena = {0};
    struct worker_plan plan;
    struct job job = command_job(command, usual_env, sizeof usual_env, 2);
    bool direct = is_direct(&job, &arena, &plan);
    arena_fini(&arena);
    return direct;
}

static void test_plain_words_go_direct(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "/bin/true", "ls", "ls -l /", " ls\t-l  ", "bin/env", "env A=b ls", "date +%s", "head -c1 /dev/null", "seq 1,2",
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!goes_direct(commands[i]))
            fail_msg("%s needs no shell", commands[i]);
}

static void test_whatever_means_something_goes_to_the_shell(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "", " ", "true", "echo x", "[ a ]", "cd /", "exit 3", "time ls", "if ls", "test -f x", "kill 1", "A=b ls",
        "A=b", "no-such-program", "/no/such/program", "ls *", "ls ?", "ls [a]", "ls ~", "ls $HOME", "ls `x`", "ls 'x'",
        "ls \"x\"", "ls \\x", "ls; ls", "ls && ls", "ls | cat", "ls > x", "ls < x", "ls &", "(ls)", "{ ls; }", "! ls",
        "ls # x", "ls\nls", "ls {a,b}", "ls ^x", "ls \xc3\xa9", "/usr", "-x",
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (goes_direct(commands[i]))
            fail_msg("%s needs a shell", commands[i]);
}

/* A wrong order in the table would make words invisible: ask a shell itself what it has. */
static void test_no_word_of_the_shell_goes_direct(void **state)
{
    (void)state;
    char line[256];
    unsigned count = 0;
    FILE *words = popen("bash -c 'compgen -b; compgen -k'", "r");
    assert_non_null(words);
    char folder[] = "/tmp/pawl-plan-XXXXXX";
    assert_non_null(mkdtemp(folder));
    while (fgets(line, sizeof line, words)) {
        char path[300];
        char env[64];
        line[strcspn(line, "\n")] = '\0';
        /* a program of that name, so that only the name keeps it from being found */
        (void)snprintf(path, sizeof path, "%s/%s", folder, line);
        FILE *file = strcmp(line, ".") == 0 ? NULL : fopen(path, "w");
        if (file) {
            (void)fclose(file);
            assert_int_equal(chmod(path, 0755), 0);
        }
        int len = snprintf(env, sizeof env, "PATH=%s", folder);
        struct arena arena = {0};
        struct worker_plan plan;
        struct job job = command_job(line, env, (size_t)len + 1, 1);
        if (is_direct(&job, &arena, &plan))
            fail_msg("%s is the shell's", line);
        arena_fini(&arena);
        (void)unlink(path);
        count++;
    }
    (void)pclose(words);
    (void)rmdir(folder);
    assert_true(count > 70);
}

static void assert_env_needs_shell(const char *env, size_t len, uint32_t count)
{
    struct arena arena = {0};
    struct worker_plan plan;
    struct job job = command_job("ls", env, len, count);
    if (is_direct(&job, &arena, &plan))
        fail_msg("with %s a shell is needed", env);
    arena_fini(&arena);
}

static void test_the_environment_decides_too(void **state)
{
    (void)state;
    static const char no_path[] = "HOME=/";
    static const char odd_name[] = "BASH_FUNC_x%%=() { :; }\0PATH=/bin";
    static const char ifs[] = "IFS=x\0PATH=/bin";
    static const char lineno[] = "PATH=/bin\0LINENO=3";
    assert_env_needs_shell(no_path, sizeof no_path, 1);
    assert_env_needs_shell(odd_name, sizeof odd_name, 2);
    assert_env_needs_shell(ifs, sizeof ifs, 2);
    assert_env_needs_shell(lineno, sizeof lineno, 2);
}

static void test_pwd_is_what_a_shell_makes_of_it(void **state)
{
    (void)state;
    static const char wrong[] = "PATH=/bin\0PWD=/tmp";
    static const char same[] = "PATH=/bin\0PWD=/usr/../usr";
    struct arena arena = {0};
    struct worker_plan plan;
    struct job job = command_job("ls", wrong, sizeof wrong, 2);
    assert_true(is_direct(&job, &arena, &plan));
    assert_string_equal(plan.envp[1], "PWD=/usr");
    job = command_job("ls", same, sizeof same, 2);
    assert_true(is_direct(&job, &arena, &plan));
    assert_string_equal(plan.envp[1], "PWD=/usr/../usr");
    assert_null(plan.envp[2]);
    job = command_job("ls", usual_env, sizeof usual_env, 2);
    assert_true(is_direct(&job, &arena, &plan));
    assert_string_equal(plan.envp[2], "PWD=/usr");
    assert_null(plan.envp[3]);
    arena_fini(&arena);
}

static void assert_same_as_shell(struct rig *rig, const char *command)
{
    const char *const argv[] = {"sh", "-c", "--", command, NULL};
    struct job job = rig_argv(rig, argv);
    char *log_path = mem_strdup(rig->log_path);
    struct job_result shell = rig_run(rig, &job);
    enum attempt_state outcome = shell.outcome;
    int32_t exit_code = shell.exit_code;
    int32_t signal_number = shell.signal;
    char *log = mem_strdup(rig_log(rig, log_path));
    job = rig_command(rig, command);
    struct job_result ours = rig_run(rig, &job);
    assert_int_equal(ours.outcome, outcome);
    assert_int_equal(ours.exit_code, exit_code);
    assert_int_equal(ours.signal, signal_number);
    assert_string_equal(rig_log(rig, rig->log_path), log);
    mem_free(log);
    mem_free(log_path);
}

static void write_script(struct rig *rig, const char *name, const char *text, mode_t rights)
{
    const char *path = rig_path(rig, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    assert_int_equal(chmod(path, rights), 0);
}

static void test_nobody_can_tell(void **state)
{
    struct rig *rig = *state;
    static const char *const commands[] = {
        "./script a b", "./no-first-line a", "./bad-interpreter", "./no-right", "./missing", "missing",
        "/bin/pwd", "printenv PATH", "printenv PWD", "expr 1 + 1", "-v", "sleep x", "/", "./",
    };
    write_script(rig, "script", "#!/bin/sh\necho \"$0\" \"$@\"\nexit 5\n", 0755);
    write_script(rig, "no-first-line", "echo plain \"$@\"\nexit 6\n", 0755);
    write_script(rig, "bad-interpreter", "#!/no/such/thing\n", 0755);
    write_script(rig, "no-right", "#!/bin/sh\n", 0644);
    write_script(rig, "suicide", "#!/bin/sh\nkill -KILL $$\n", 0755);
    rig_start(rig);
    (void)rig_connect(rig);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        assert_same_as_shell(rig, commands[i]);
    /* The one thing that is told better without: a shell that waits says 128 + 9. */
    struct job job = rig_command(rig, "./suicide");
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.signal, 9);
    assert_string_equal(rig_log(rig, rig->log_path), "");
    rig_quit(rig);
}

static int set_up(void **state)
{
    *state = rig_new(&mode);
    return 0;
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_words_go_direct),
        cmocka_unit_test(test_whatever_means_something_goes_to_the_shell),
        cmocka_unit_test(test_no_word_of_the_shell_goes_direct),
        cmocka_unit_test(test_the_environment_decides_too),
        cmocka_unit_test(test_pwd_is_what_a_shell_makes_of_it),
        cmocka_unit_test_setup_teardown(test_nobody_can_tell, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
