/* A real worker: what comes of tasks, and of a daemon that comes and goes. Each way of starting processes in turn. */
#include "rig.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "worker/cgroup.h"

static const struct rig_mode modes[] = {
    {"auto", WORKER_ISOLATION_AUTO, WORKER_SPAWN_AUTO},
    {"best effort", WORKER_ISOLATION_BEST_EFFORT, WORKER_SPAWN_AUTO},
    {"posix_spawn", WORKER_ISOLATION_BEST_EFFORT, WORKER_SPAWN_POSIX},
};
static const struct rig_mode *mode;

static int set_up(void **state)
{
    struct rig *rig = rig_new(mode);
    *state = rig;
    rig_start(rig);
    assert_int_equal(rig_connect(rig), 0);
    return 0;
}

static int set_up_only(void **state)
{
    *state = rig_new(mode);
    return 0;
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

static void assert_succeeded(struct rig *rig, const char *command, const char *log)
{
    struct job job = rig_command(rig, command);
    struct job_result result = rig_run(rig, &job);
    if (result.outcome != ATTEMPT_SUCCEEDED)
        fail_msg("%s: %s", command, result.error);
    assert_int_equal(result.error_type, FAILURE_NONE);
    assert_int_equal(result.exit_code, 0);
    assert_string_equal(rig_log(rig, rig->log_path), log);
    assert_int_equal(result.log_bytes, strlen(log));
}

static void assert_failed(struct rig *rig, const struct job *job, enum error_type type, const char *error)
{
    struct job_result result = rig_run(rig, job);
    assert_int_equal(result.outcome, ATTEMPT_FAILED);
    assert_string_equal(result.error, error);
    assert_int_equal(result.error_type, type);
    assert_true(result.retryable);
}

static void test_output_keeps_its_order(void **state)
{
    struct rig *rig = *state;
    assert_succeeded(rig, "echo one; echo two >&2; echo three", "one\ntwo\nthree\n");
    assert_succeeded(rig, ":", "");
    assert_int_equal(access(rig->log_path, F_OK), -1);
    rig_quit(rig);
}

static void test_hello_says_who_it_is(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig->hello.pid, rig->pid);
    assert_int_equal(rig->hello.slots, 4);
    assert_true(uuid_equal(rig->hello.worker_id, rig->options.id));
    assert_false(uuid_is_zero(rig->hello.boot_id));
    assert_true(rig->hello.start_ticks > 0);
    if (mode->isolation == WORKER_ISOLATION_BEST_EFFORT)
        assert_int_equal(rig->hello.isolation, ISOLATION_BEST_EFFORT);
}

static void test_every_end_has_its_words(void **state)
{
    struct rig *rig = *state;
    static const char *const missing[] = {"no-such-program", "x", NULL};
    static const char *const no_right[] = {"./plain", NULL};
    static const char *const bad_script[] = {"./script", NULL};
    struct job job = rig_command(rig, "echo x; exit 3");
    assert_failed(rig, &job, FAILURE_EXIT, "exit status 3");
    job = rig_command(rig, "kill -9 $$");
    assert_failed(rig, &job, FAILURE_SIGNAL, "killed by signal 9 (KILL)");
    job = rig_command(rig, "kill -TERM $$");
    assert_failed(rig, &job, FAILURE_SIGNAL, "killed by signal 15 (TERM)");
    job = rig_argv(rig, missing);
    assert_failed(rig, &job, FAILURE_EXEC, "cannot start 'no-such-program': No such file or directory");
    assert_succeeded(rig, "echo '#!/no/such/interpreter' >script; chmod 755 script; echo >plain", "");
    job = rig_argv(rig, no_right);
    assert_failed(rig, &job, FAILURE_EXEC, "cannot start './plain': Permission denied");
    job = rig_argv(rig, bad_script);
    assert_failed(rig, &job, FAILURE_EXEC, "cannot start './script': its interpreter: No such file or directory");
    rig_quit(rig);
}

static void test_a_missing_workdir_is_named(void **state)
{
    struct rig *rig = *state;
    static const char *const argv[] = {"/bin/true", NULL};
    static const char *const relative[] = {"./true", NULL};
    struct job job = rig_argv(rig, argv);
    job.workdir = "/no/such/place";
    assert_failed(rig, &job, FAILURE_EXEC,
                  "cannot start '/bin/true' in workdir '/no/such/place': No such file or directory");
    job = rig_argv(rig, relative);
    job.workdir = "/no/such/place";
    assert_failed(rig, &job, FAILURE_EXEC,
                  "cannot start './true' in workdir '/no/such/place': No such file or directory");
    rig_quit(rig);
}

static void test_times_and_cost_are_told(void **state)
{
    struct rig *rig = *state;
    struct job job = rig_command(rig, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
    assert_true(result.started_ms > 1500000000000);
    assert_true(result.cpu_us > 0);
    assert_true(result.max_rss_bytes > 100000);
    rig_quit(rig);
}

/* What a program finds: no descriptor but three, nothing on stdin, no signal blocked or ignored, its own session, the
 * usual scheduler, the workdir. */
static void test_a_task_starts_clean(void **state)
{
    struct rig *rig = *state;
    char text[160];
    assert_succeeded(rig, "ls /proc/self/fd | wc -w", "4\n"); /* and the one that ls reads */
    assert_succeeded(rig, "cat", "");
    /* glibc's posix_spawn ignores the two signals that it uses itself. */
    assert_succeeded(rig, "grep -E 'SigBlk|SigIgn' /proc/self/status",
                     mode->spawn == WORKER_SPAWN_POSIX ? "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n"
                                                       : "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    assert_succeeded(rig, "read a b c d e f g </proc/self/stat; echo $((a - f)) $((a - e))", "0 0\n");
    assert_succeeded(rig, "cut -d' ' -f41 /proc/self/stat", "0\n");
    (void)snprintf(text, sizeof text, "%s\n", rig->workdir);
    assert_succeeded(rig, "/bin/pwd", text);
    rig_quit(rig);
}

static void test_the_log_is_cut_and_says_so(void **state)
{
    struct rig *rig = *state;
    struct job job = rig_command(rig, "yes | head -c 300000");
    job.log_bytes_max = 1000;
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
    const char *log = rig_log(rig, rig->log_path);
    assert_int_equal(result.log_bytes, strlen(log));
    assert_memory_equal(log + 990, "y\ny\ny\ny\ny\n", 10);
    assert_string_equal(log + 1000, "\n[pawl: output beyond 1000 bytes is not kept]\n");
    job = rig_command(rig, "yes | head -c 1000");
    job.log_bytes_max = 1000;
    result = rig_run(rig, &job);
    assert_int_equal(result.log_bytes, 1000);
    rig_quit(rig);
}

static void test_a_log_that_cannot_be_written_does_not_matter(void **state)
{
    struct rig *rig = *state;
    struct job job = rig_command(rig, "yes | head -c 300000");
    job.log_path = "/proc/no/such/file.log";
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
    assert_int_equal(result.log_bytes, 0);
}

static void test_timeout_ends_what_ignores_term(void **state)
{
    struct rig *rig = *state;
    rig->options.grace_ms = 50;
    rig_start(rig);
    (void)rig_connect(rig);
    struct job job = rig_command(rig, "trap '' TERM; sleep 1000; sleep 1000");
    job.timeout_ms = 100;
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.outcome, ATTEMPT_TIMED_OUT);
    assert_int_equal(result.error_type, FAILURE_TIMEOUT);
    assert_string_equal(result.error, "timed out after 100ms");
    assert_int_equal(result.signal, SIGKILL);
    rig_quit(rig);
}

static void test_stop_asks_first(void **state)
{
    struct rig *rig = *state;
    (void)rig_fifo(rig, "other");
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    struct job job = rig_command(rig, "trap 'echo bye; exit 0' TERM; exec 3<>ready 4<>other; echo go >&3; read x <&4");
    rig_begin(rig, &job);
    (void)rig_wait_fifo(rig, fifo);
    rig_send(rig, &(struct message){.type = MESSAGE_STOP, .stop = {job.key, STOP_CANCEL}});
    struct job_result result = rig_result(rig);
    assert_int_equal(result.outcome, ATTEMPT_CANCELED);
    assert_int_equal(result.error_type, FAILURE_NONE);
    assert_string_equal(result.error, "canceled");
    assert_int_equal(result.exit_code, 0);
    assert_string_equal(rig_log(rig, rig->log_path), "bye\n");
    mem_free(fifo);
    rig_quit(rig);
}

/* The whole tree is told, not its first process alone; what is stopped is woken for it. */
static void test_stop_reaches_everybody(void **state)
{
    struct rig *rig = *state;
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    struct job job = rig_command(rig, "exec 3<>ready; setsid sh -c 'trap \"echo deep; exit\" TERM; echo $$ >&3;"
                                      " kill -STOP $$; sleep 1000 & wait' & wait; wait");
    rig_begin(rig, &job);
    pid_t pid = (pid_t)strtol(rig_wait_fifo(rig, fifo), NULL, 10);
    rig_send(rig, &(struct message){.type = MESSAGE_STOP, .stop = {job.key, STOP_CANCEL}});
    struct job_result result = rig_result(rig);
    assert_int_equal(result.outcome, ATTEMPT_CANCELED);
    assert_string_equal(rig_log(rig, rig->log_path), "deep\n");
    assert_false(rig_is_alive(pid));
    mem_free(fifo);
    rig_quit(rig);
}

static void test_stop_by_kill_does_not_wait(void **state)
{
    struct rig *rig = *state;
    struct job job = rig_command(rig, "trap '' TERM; sleep 1000; sleep 1000");
    rig_begin(rig, &job);
    rig_send(rig, &(struct message){.type = MESSAGE_STOP, .stop = {job.key, STOP_CANCEL}});
    rig_send(rig, &(struct message){.type = MESSAGE_STOP, .stop = {job.key, STOP_KILL}});
    struct job_result result = rig_result(rig);
    assert_int_equal(result.outcome, ATTEMPT_CANCELED);
    assert_true(result.signal == SIGKILL || result.signal == SIGTERM);
    rig_quit(rig);
}

static void assert_leaves_nobody(struct rig *rig, const char *command)
{
    struct job job = rig_command(rig, command);
    struct job_result result = rig_run(rig, &job);
    if (result.outcome != ATTEMPT_SUCCEEDED)
        fail_msg("%s: %s", command, result.error);
    char *path = mem_strdup(rig_path(rig, "pid"));
    pid_t pid = (pid_t)strtol(rig_log(rig, path), NULL, 10);
    assert_true(pid > 1);
    assert_false(rig_is_alive(pid));
    mem_free(path);
}

static void test_what_is_left_behind_is_ended(void **state)
{
    struct rig *rig = *state;
    /* holds the pipe */
    assert_leaves_nobody(rig, "sleep 1000 & echo $! >pid");
    /* does not, and has hidden in a session without environment below another parent */
    assert_leaves_nobody(rig, "env -i setsid sh -c 'sleep 1000 >/dev/null 2>&1 & echo $! >pid'");
    /* ignores TERM */
    assert_leaves_nobody(rig, "(trap '' TERM; sleep 1000 >/dev/null 2>&1 & echo $! >pid)");
    rig_quit(rig);
}

/* The same while another attempt runs, which must not feel it. */
static void test_others_are_not_touched(void **state)
{
    struct rig *rig = *state;
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    char *go = mem_strdup(rig_fifo(rig, "go"));
    struct job other = rig_command(rig, "exec 3<>ready 4<>go; env -i setsid sh -c 'read line; echo $line' <&4 & "
                                        "echo go >&3; wait");
    char *log = mem_strdup(rig->log_path);
    rig_begin(rig, &other);
    (void)rig_wait_fifo(rig, fifo);
    for (int i = 0; i < 3; i++)
        assert_leaves_nobody(rig, "sleep 1000 & echo $! >pid");
    FILE *file = fopen(go, "w");
    (void)fputs("untouched\n", file);
    (void)fclose(file);
    struct job_result result = rig_result(rig);
    assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
    assert_string_equal(rig_log(rig, log), "untouched\n");
    mem_free(fifo);
    mem_free(go);
    mem_free(log);
    rig_quit(rig);
}

static void test_results_outlive_connections(void **state)
{
    struct rig *rig = *state;
    struct message message;
    struct job job = rig_command(rig, "exit 7");
    rig_begin(rig, &job);
    rig_disconnect(rig);
    unsigned held = rig_connect(rig);
    assert_int_equal(held, 1);
    /* It may have been HELD; then its RESULT comes now. It is not acknowledged. */
    if (rig->greeted_results == 0) {
        rig_next(rig, &message);
        assert_int_equal(message.type, MESSAGE_RESULT);
    }
    for (int i = 0; i < 2; i++) {
        rig_disconnect(rig);
        assert_int_equal(rig_connect(rig), 1);
        assert_int_equal(rig->greeted_results, 1);
    }
    rig_send(rig, &(struct message){.type = MESSAGE_START, .start = job}); /* held: ignored */
    job = rig_command(rig, "exit 8");
    rig_send(rig, &(struct message){.type = MESSAGE_START, .start = job});
    do
        rig_next(rig, &message);
    while (message.type != MESSAGE_RESULT || message.result.key.fence != job.key.fence);
    assert_int_equal(message.result.exit_code, 8);
    rig_disconnect(rig);
    assert_int_equal(rig_connect(rig), 2);
    job.key.fence--;
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = job.key});
    job.key.fence++;
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = job.key});
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = job.key}); /* no longer held: ignored */
    rig_quit(rig);
}

static void test_a_start_is_done_once(void **state)
{
    struct rig *rig = *state;
    struct message message;
    struct job job = rig_command(rig, "echo x >>count");
    for (int i = 0; i < 3; i++)
        rig_send(rig, &(struct message){.type = MESSAGE_START, .start = job});
    rig_next(rig, &message);
    assert_int_equal(message.type, MESSAGE_STARTED);
    rig_next(rig, &message);
    assert_int_equal(message.type, MESSAGE_RESULT);
    rig_send(rig, &(struct message){.type = MESSAGE_START, .start = job});
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = job.key});
    rig_quit(rig);
    char *path = mem_strdup(rig_path(rig, "count"));
    assert_string_equal(rig_log(rig, path), "x\n");
    mem_free(path);
}

static void test_more_than_the_slots_is_refused(void **state)
{
    struct rig *rig = *state;
    struct job job;
    for (int i = 0; i < 4; i++) {
        job = rig_command(rig, "sleep 1000");
        rig_begin(rig, &job);
    }
    job = rig_command(rig, "true");
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.error_type, FAILURE_INTERNAL);
    assert_int_equal(result.started_ms, 0);
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
}

/* Four tasks that take every slot; the first ends once its line is read from the FIFO, if there is one. */
static void fill_slots(struct rig *rig)
{
    for (int i = 0; i < 4; i++) {
        const struct job job = rig_command(rig, i ? "sleep 1000" : "test -p ready || sleep 1000; echo $$ >ready");
        rig_begin(rig, &job);
    }
}

static void send_start(struct rig *rig, struct job *job)
{
    job->may_wait = true;
    rig_send(rig, &(struct message){.type = MESSAGE_START, .start = *job});
}

/* Returns false when the worker gave it back. */
static bool was_begun(struct rig *rig, const struct job *job)
{
    for (;;) {
        struct message message;
        rig_next(rig, &message);
        if (message.type == MESSAGE_RETURNED && message.waiter.fence == job->key.fence)
            return false;
        assert_int_not_equal(message.type, MESSAGE_RETURNED);
        if (message.type == MESSAGE_RESULT && message.result.key.fence == job->key.fence) {
            assert_int_equal(message.result.exit_code, 7);
            return true;
        }
    }
}

/* How long that takes is not known here, so one that was given back is sent again. */
static void test_a_start_waits_for_a_slot(void **state)
{
    struct rig *rig = *state;
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    fill_slots(rig);
    struct job job = rig_command(rig, "echo x >>count; exit 7");
    send_start(rig, &job);
    (void)rig_wait_fifo(rig, fifo);
    while (!was_begun(rig, &job))
        send_start(rig, &job);
    char *path = mem_strdup(rig_path(rig, "count"));
    assert_string_equal(rig_log(rig, path), "x\n");
    mem_free(path);
    mem_free(fifo);
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
}

static void test_what_waits_for_long_is_given_back(void **state)
{
    struct rig *rig = *state;
    struct message message;
    fill_slots(rig);
    struct job first = rig_command(rig, "echo x >count"), second = first;
    second.key.fence++;
    send_start(rig, &first);
    send_start(rig, &first); /* held: ignored */
    send_start(rig, &second);
    for (uint64_t i = 0; i < 2; i++) {
        rig_next(rig, &message);
        assert_int_equal(message.type, MESSAGE_RETURNED);
        assert_true(message.waiter.fence == first.key.fence + i);
    }
    rig_disconnect(rig);
    assert_int_equal(rig_connect(rig), 4); /* it holds the others only */
    send_start(rig, &first); /* it has been forgotten: the same key may come again */
    rig_next(rig, &message);
    assert_int_equal(message.type, MESSAGE_RETURNED);
    assert_int_not_equal(access(rig_path(rig, "count"), F_OK), 0);
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
}

/* Recalled or told to end: nothing of it has begun, and nothing will. */
static void test_what_waits_can_be_called_back(void **state)
{
    struct rig *rig = *state;
    struct message message;
    fill_slots(rig);
    struct job job = rig_command(rig, "echo x >count");
    send_start(rig, &job);
    rig_send(rig, &(struct message){.type = MESSAGE_RECALL, .waiter = job.key});
    rig_send(rig, &(struct message){.type = MESSAGE_RECALL, .waiter = job.key}); /* not held: ignored */
    rig_next(rig, &message);
    assert_int_equal(message.type, MESSAGE_RETURNED);
    do { /* it may be given back before the word comes */
        job.key.fence++;
        send_start(rig, &job);
        rig_send(rig, &(struct message){.type = MESSAGE_STOP, .stop = {job.key, STOP_CANCEL}});
        rig_next(rig, &message);
    } while (message.type == MESSAGE_RETURNED);
    assert_int_equal(message.type, MESSAGE_RESULT);
    assert_int_equal(message.result.outcome, ATTEMPT_CANCELED);
    assert_int_equal(message.result.started_ms, 0);
    assert_int_not_equal(access(rig_path(rig, "count"), F_OK), 0);
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
}

/* What has begun is not given back. */
static void test_what_has_begun_cannot_be_called_back(void **state)
{
    struct rig *rig = *state;
    struct job job = rig_command(rig, "exit 7");
    send_start(rig, &job);
    rig_send(rig, &(struct message){.type = MESSAGE_RECALL, .waiter = job.key});
    assert_true(was_begun(rig, &job));
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = job.key});
    rig_quit(rig);
}

static void test_kill_all_ends_everything(void **state)
{
    struct rig *rig = *state;
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    struct job job = rig_command(rig, "trap '' TERM; exec 3<>ready; setsid sleep 1000 & echo $! >&3; wait");
    rig_begin(rig, &job);
    pid_t pid = (pid_t)strtol(rig_wait_fifo(rig, fifo), NULL, 10);
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
    assert_false(rig_is_alive(pid));
    mem_free(fifo);
}

/* What runs when the lease ends is killed, whether anybody says so or not; later leases take the place of earlier ones,
 * and a worker that runs nothing stays. */
static void test_the_lease_ends(void **state)
{
    struct rig *rig = *state;
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    rig_send(rig, &(struct message){.type = MESSAGE_LEASE, .lease_ms = 1});
    struct job job = rig_command(rig, "true");
    rig_send(rig, &(struct message){.type = MESSAGE_LEASE, .lease_ms = clock_boot_ms() + 3600000});
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
    job = rig_command(rig, "trap '' TERM; exec 3<>ready; setsid sleep 1000 & echo $! >&3; wait");
    rig_begin(rig, &job);
    pid_t pid = (pid_t)strtol(rig_wait_fifo(rig, fifo), NULL, 10);
    rig_send(rig, &(struct message){.type = MESSAGE_LEASE, .lease_ms = clock_boot_ms() + 20});
    rig_expect_death(rig);
    assert_false(rig_is_alive(pid));
    mem_free(fifo);
}

static void test_quit_waits_for_what_is_held(void **state)
{
    struct rig *rig = *state;
    struct message message;
    char *fifo = mem_strdup(rig_fifo(rig, "go"));
    struct job job = rig_command(rig, "read line <go; echo $line");
    rig_begin(rig, &job);
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = job.key}); /* there is no result yet: ignored */
    rig_send_bare(rig, MESSAGE_QUIT);
    FILE *file = fopen(fifo, "w");
    (void)fputs("on\n", file);
    (void)fclose(file);
    rig_next(rig, &message);
    assert_int_equal(message.type, MESSAGE_RESULT);
    assert_int_equal(message.result.outcome, ATTEMPT_SUCCEEDED);
    rig_send(rig, &(struct message){.type = MESSAGE_ACK, .ack = job.key});
    rig_expect_end(rig);
    mem_free(fifo);
}

static void test_nonsense_closes_the_connection_only(void **state)
{
    struct rig *rig = *state;
    struct job job = rig_command(rig, "sleep 1000");
    char end;
    rig_begin(rig, &job);
    assert_int_equal(send(rig->fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, MSG_NOSIGNAL), 8);
    assert_true(recv(rig->fd, &end, 1, 0) <= 0);
    assert_int_equal(rig_connect(rig), 1);
    rig_send(rig, &(struct message){.type = MESSAGE_READY}); /* a worker's word, not a daemon's */
    assert_true(recv(rig->fd, &end, 1, 0) <= 0);
    assert_int_equal(rig_connect(rig), 1);
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
}

static void test_a_new_daemon_replaces_the_old(void **state)
{
    struct rig *rig = *state;
    int old = rig->fd;
    char end;
    rig->fd = -1;
    assert_int_equal(rig_connect(rig), 0);
    assert_int_equal(recv(old, &end, 1, 0), 0);
    (void)close(old);
    assert_succeeded(rig, "echo still", "still\n");
    rig_quit(rig);
}

static void test_it_goes_when_it_is_alone(void **state)
{
    struct rig *rig = *state;
    rig->options.idle_exit_ms = 0;
    rig_start(rig);
    (void)rig_connect(rig);
    assert_succeeded(rig, "true", "");
    rig_disconnect(rig);
    rig_expect_end(rig);
}

static void test_it_dies_with_its_parent(void **state)
{
    struct rig *rig = *state;
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    rig->options.die_with_parent = true;
    rig_start(rig);
    (void)rig_connect(rig);
    struct job job = rig_command(rig, "exec 3<>ready; setsid sleep 1000 & echo $! >&3; wait");
    rig_begin(rig, &job);
    pid_t pid = (pid_t)strtol(rig_wait_fifo(rig, fifo), NULL, 10);
    rig_disconnect(rig);
    rig_expect_end(rig);
    assert_false(rig_is_alive(pid));
    mem_free(fifo);
}

static void test_term_ends_it(void **state)
{
    struct rig *rig = *state;
    struct job job = rig_command(rig, "sleep 1000");
    rig_begin(rig, &job);
    assert_int_equal(kill(rig->pid, SIGTERM), 0);
    rig_expect_death(rig);
}

/* kill -9 of the worker: what it ran is found and ended from outside. */
static void test_a_dead_worker_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    char *fifo = mem_strdup(rig_fifo(rig, "ready"));
    struct job job = rig_command(rig, "exec 3<>ready; trap '' HUP; setsid sleep 1000 & sleep 1000 & "
                                      "echo $$ $! >&3; wait");
    rig_begin(rig, &job);
    char *text = mem_strdup(rig_wait_fifo(rig, fifo));
    char *rest;
    pid_t first = (pid_t)strtol(text, &rest, 10);
    pid_t second = (pid_t)strtol(rest, NULL, 10);
    (void)kill(rig->pid, SIGKILL);
    (void)waitpid(rig->pid, NULL, 0);
    rig->pid = 0;
    /* The kernel ends the first one; those below it are not told. */
    if (mode->spawn != WORKER_SPAWN_POSIX)
        rig_expect_gone(first);
    assert_true(rig_is_alive(second));
    uint32_t found = 1;
    uint32_t total = 0;
    while (found) {
        assert_int_equal(worker_leftover_kill(rig->dir, rig->options.id, &found, NULL), 0);
        total += found;
    }
    assert_true(total >= 1);
    rig_expect_gone(first);
    rig_expect_gone(second);
    worker_leftover_remove(rig->dir, rig->options.id, false);
    assert_int_equal(rmdir(rig->dir), 0);
    mem_free(text);
    mem_free(fifo);
}

/* Killed at whatever moment of its start, the one at which its cgroup appears above all: what it had made by then is
 * found. */
static void test_a_worker_that_never_began_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    char *cgroup = worker_cgroup_path(rig->options.id, NULL);
    rig_start(rig);
    (void)rig_connect(rig);
    bool has_cgroup = rig->hello.isolation == ISOLATION_CGROUP;
    rig_quit(rig);
    for (int i = 0; i < 60; i++) {
        rig_start(rig);
        for (int k = 0; k < i * 10; k++)
            (void)sched_yield();
        while (has_cgroup && i < 40 && access(cgroup, F_OK) != 0)
            ;
        (void)kill(rig->pid, SIGKILL);
        (void)waitpid(rig->pid, NULL, 0);
        rig->pid = 0;
        uint32_t found = 1;
        while (found)
            assert_int_equal(worker_leftover_kill(rig->dir, rig->options.id, &found, NULL), 0);
        worker_leftover_remove(rig->dir, rig->options.id, false);
        if (cgroup)
            assert_int_equal(access(cgroup, F_OK), -1);
    }
    assert_int_equal(rmdir(rig->dir), 0);
    mem_free(cgroup);
}

static unsigned count_entries(const char *format, pid_t pid)
{
    char command[160];
    char line[32] = "";
    (void)snprintf(command, sizeof command, format, pid);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(line, sizeof line, pipe));
    (void)pclose(pipe);
    return (unsigned)strtoul(line, NULL, 10);
}

static void test_nothing_leaks(void **state)
{
    struct rig *rig = *state;
    unsigned before = 0;
    for (int i = 0; i < 200; i++) {
        struct job job = rig_command(rig, i % 2 ? "/bin/true" : "(:) & echo x");
        struct job_result result = rig_run(rig, &job);
        assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
        if (i == 3)
            before = count_entries("ls /proc/%d/fd | wc -l", rig->pid);
    }
    /* The answer to this one comes after whatever the last exit brought was dealt with. */
    assert_succeeded(rig, "true", "");
    assert_int_equal(count_entries("ls /proc/%d/fd | wc -l", rig->pid), before);
    assert_int_equal(count_entries("ps -o pid= --ppid %d | wc -l", rig->pid), 0);
    rig_quit(rig);
}

static struct job python_job(struct rig *rig, const char *const *argv, const char *code)
{
    struct job job = rig_argv(rig, argv);
    job.kind = JOB_PYTHON;
    job.code = code;
    job.code_len = code ? strlen(code) : 0;
    return job;
}

static void test_python_runs_scripts_and_code(void **state)
{
    struct rig *rig = *state;
    static const char *const script[] = {"python3", "hello.py", "a b", NULL};
    static const char *const args[] = {"python3", "a b", NULL};
    static const char tail[] = "\nimport sys\nprint(sys.argv[1:], __name__)\n";
    assert_succeeded(rig, "echo 'import sys; print(sys.argv)' >hello.py", "");
    struct job job = python_job(rig, script, NULL);
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_SUCCEEDED);
    assert_string_equal(rig_log(rig, rig->log_path), "['hello.py', 'a b']\n");
    job = python_job(rig, args, tail);
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_SUCCEEDED);
    assert_string_equal(rig_log(rig, rig->log_path), "['a b'] __main__\n");

    struct buf code = BUF_INIT;
    while (code.len < 200000)
        buf_add_text(&code, "# a comment that is there for its length only\n");
    buf_add_text(&code, tail);
    job = python_job(rig, args, buf_text(&code));
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_SUCCEEDED);
    assert_string_equal(rig_log(rig, rig->log_path), "['a b'] __main__\n");
    buf_fini(&code);
    rig_quit(rig);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_output_keeps_its_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hello_says_who_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_end_has_its_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_missing_workdir_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times_and_cost_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_task_starts_clean, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_log_is_cut_and_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_log_that_cannot_be_written_does_not_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeout_ends_what_ignores_term, set_up_only, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_asks_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_reaches_everybody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_by_kill_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_left_behind_is_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_others_are_not_touched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_results_outlive_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_start_is_done_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_the_slots_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_start_waits_for_a_slot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_for_long_is_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_can_be_called_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_begun_cannot_be_called_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kill_all_ends_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_lease_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_quit_waits_for_what_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nonsense_closes_the_connection_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_daemon_replaces_the_old, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_it_goes_when_it_is_alone, set_up_only, tear_down),
        cmocka_unit_test_setup_teardown(test_it_dies_with_its_parent, set_up_only, tear_down),
        cmocka_unit_test_setup_teardown(test_term_ends_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_dead_worker_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_worker_that_never_began_leaves_nothing, set_up_only, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_leaks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_python_runs_scripts_and_code, set_up, tear_down),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        mode = &modes[i];
        printf("mode: %s\n", mode->name);
        failed += cmocka_run_group_tests_name(mode->name, tests, NULL, NULL);
    }
    return failed;
}
