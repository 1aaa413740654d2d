/* The pool, its jobs and the real worker together: this program is the worker too. */
#include "support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "dag/dag_problem.h"
#include "harness.h"
#include "pool/job_build.h"
#include "pool/pool_model.h"
#include "worker/worker.h"

static const char source[] =
    "name: d\n"
    "env: {A: from the dag}\n"
    "tasks:\n"
    "  - {id: env, type: shell, command: 'test \"$PAWL_TASK_ID:$A:$B\" = \"env:from the dag:b\"', env: {B: b}}\n"
    "  - {id: argv, type: shell, command: [sh, -c, 'test \"$0\" = \"a b\" && test \"$PWD\" = /', '${env.B}'],"
    " env: {B: a b}, workdir: /}\n"
    "  - {id: code, type: python, script: \"import sys, os\\nsys.exit(len(sys.argv[1]) + 10 * len(os.environ['A']))\","
    " args: [four]}\n"
    "  - {id: nowhere, type: shell, command: 'true', workdir: missing}\n"
    "  - {id: wait, type: shell, command: 'read x < fifo; exit 7'}\n"
    "  - {id: stray, type: shell, command: 'setsid sleep 1000 & echo $! > fifo; wait'}\n";

struct real {
    struct harness h;
    struct pool_jobs *jobs;
    struct dag *dag;
    struct pool_run_jobs *run;
    char fifo[TEXT_MAX + 16];
    uint64_t fence;
};

static const struct pool_options one = {.workers = 1, .slots = 4, .grace_ms = 100};

static void setup(struct real *r)
{
    *r = (struct real){0};
    harness_setup(&r->h);
    const struct dag_read_options options = {.tasks_max = 100, .bytes_max = LIMIT_DAG_BYTES_MAX};
    struct dag_problems problems = {0};
    assert_int_equal(dag_read(source, strlen(source), &options, &problems, &r->dag), 0);
    dag_problems_fini(&problems);
    const struct pool_jobs_options jobs = {.data_dir = r->h.data_dir, .base_dir = r->h.data_dir};
    struct error err;
    assert_int_equal(pool_jobs_new(&jobs, &r->jobs, &err), 0);
    r->run = pool_run_jobs_new(r->jobs, r->dag, &(const struct pool_run_facts){.dag_id = {{1}}, .run_id = {{2}}}, NULL);
    (void)snprintf(r->fifo, sizeof r->fifo, "%s/fifo", r->h.data_dir);
    assert_int_equal(mkfifo(r->fifo, 0600), 0);
    assert_int_equal(harness_open(&r->h, &one), 0);
    harness_until(&r->h, harness_is_up, 1);
}

static void teardown(struct real *r)
{
    pool_run_jobs_free(r->run);
    pool_jobs_free(r->jobs);
    dag_unref(r->dag);
    assert_int_equal(unlink(r->fifo), 0);
    harness_teardown(&r->h);
}

static void start(struct real *r, const char *task)
{
    struct job job;
    struct error err;
    uint32_t index = (uint32_t)dag_find_task(r->dag, task, strlen(task));
    assert_int_equal(pool_job_build(r->run, index, 1, ++r->fence, &job, &err), 0);
    assert_int_equal(pool_send_start(r->h.pool, r->h.up[0].id, &job, &err), 0);
    pool_flush(r->h.pool);
}

/* Runs one to its end. */
static const struct job_result *result_of(struct real *r, const char *task)
{
    size_t before = r->h.results;
    start(r, task);
    harness_until(&r->h, harness_has_results, before + 1);
    assert_int_equal(r->h.last_result.key.fence, r->fence);
    return &r->h.last_result;
}

static void test_results(void **state)
{
    (void)state;
    struct real r;
    setup(&r);
    assert_int_equal(result_of(&r, "env")->outcome, ATTEMPT_SUCCEEDED);
    assert_int_equal(result_of(&r, "argv")->outcome, ATTEMPT_SUCCEEDED);
    const struct job_result *result = result_of(&r, "code");
    assert_int_equal(result->outcome, ATTEMPT_FAILED);
    assert_int_equal(result->exit_code, 4 + 10 * (int)strlen("from the dag"));
    result = result_of(&r, "nowhere");
    assert_int_equal(result->outcome, ATTEMPT_FAILED);
    assert_int_equal(result->error_type, FAILURE_EXEC);
    teardown(&r);
}

static void release(const struct real *r)
{
    int fd = open(r->fifo, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x\n", 2), 2);
    (void)close(fd);
}

/* It runs on without a daemon; the next one is given its true exit status. */
static void test_adopted_running(void **state)
{
    (void)state;
    struct real r;
    setup(&r);
    start(&r, "wait");
    harness_until(&r.h, harness_has_started, 1);
    struct uuid id = r.h.up[0].id;
    harness_close(&r.h);
    assert_int_equal(harness_open(&r.h, &one), 0);
    harness_until(&r.h, harness_is_up, 1);
    assert_true(uuid_equal(r.h.up[0].id, id));
    assert_true(r.h.up[0].adopted && !r.h.up[0].draining);
    assert_int_equal(r.h.up[0].running, 1);
    assert_int_equal(r.h.up[0].key.fence, r.fence);
    release(&r);
    harness_until(&r.h, harness_has_results, 1);
    assert_int_equal(r.h.last_result.exit_code, 7);
    teardown(&r);
}

/* A worker brings it, or tells it after it has come. */
static bool knows_the_end(const struct harness *h, size_t count)
{
    size_t brought = 0;
    for (size_t i = 0; i < h->up_count; i++)
        brought += h->up[i].ended;
    return h->results + brought >= count;
}

/* Stopped while a daemon comes that goes on without it: its attempt runs on, ends, and is that daemon's in the end. */
static void test_adopted_after_silence(void **state)
{
    (void)state;
    struct real r;
    setup(&r);
    start(&r, "wait");
    harness_until(&r.h, harness_has_started, 1);
    const struct seen_worker worker = r.h.up[0];
    harness_kill(worker.pid, SIGSTOP);
    harness_close(&r.h);
    struct pool_options brief = one;
    brief.adopt_ms = 1;
    assert_int_equal(harness_open(&r.h, &brief), 0);
    harness_until(&r.h, harness_is_silent, 1);
    assert_int_equal(r.h.silent_pid, worker.pid);
    r.h.pool->options.adopt_ms = 60000; /* for the one that takes its place */
    release(&r);
    harness_kill(worker.pid, SIGCONT);
    harness_until(&r.h, knows_the_end, 1);
    assert_int_equal(r.h.gone_count, 0);
    if (r.h.results)
        assert_int_equal(r.h.last_result.exit_code, 7);
    teardown(&r);
}

static void test_adopted_ended(void **state)
{
    (void)state;
    struct real r;
    setup(&r);
    start(&r, "wait");
    harness_until(&r.h, harness_has_started, 1);
    int32_t pid = r.h.last_pid;
    harness_close(&r.h);
    release(&r);
    harness_wait_dead(pid);
    assert_int_equal(harness_open(&r.h, &one), 0);
    harness_until(&r.h, harness_is_up, 1);
    assert_int_equal(r.h.up[0].running + r.h.up[0].ended, 1);
    assert_int_equal(r.h.up[0].key.fence, r.fence);
    if (r.h.up[0].running) { /* the worker had not looked yet */
        harness_until(&r.h, harness_has_results, 1);
        assert_int_equal(r.h.last_result.exit_code, 7);
    }
    teardown(&r);
}

static int32_t read_pid(const struct real *r)
{
    char text[32] = "";
    FILE *fifo = fopen(r->fifo, "r");
    assert_non_null(fifo);
    assert_non_null(fgets(text, sizeof text, fifo));
    (void)fclose(fifo);
    return (int32_t)strtol(text, NULL, 10);
}

/* A worker that is killed takes all with it, sessions of their own too, before it is said to be gone. */
static void test_nothing_left(void **state)
{
    (void)state;
    for (int while_away = 0; while_away < 2; while_away++) {
        struct real r;
        setup(&r);
        start(&r, "stray");
        int32_t stray = read_pid(&r), worker = r.h.up[0].pid;
        harness_until(&r.h, harness_has_started, 1);
        assert_int_equal(kill(stray, 0), 0);
        if (while_away)
            harness_close(&r.h);
        harness_kill(worker, SIGKILL);
        if (while_away) {
            harness_wait_dead(worker);
            assert_int_equal(harness_open(&r.h, &one), 0);
        }
        harness_until(&r.h, harness_is_gone, 1);
        harness_wait_dead(stray);
        harness_until(&r.h, harness_is_up, while_away ? 1 : 2);
        teardown(&r);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return worker_command(argc - 2, argv + 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_adopted_running),
        cmocka_unit_test(test_adopted_after_silence),
        cmocka_unit_test(test_adopted_ended),
        cmocka_unit_test(test_nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
