/* What reaches a worker, as exact tables: environment, arguments, request. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag_problem.h"
#include "pool/job_build.h"
#include "worker/protocol.h"

#define RUN_TEXT "01890a5d-ac96-774b-bcce-b302099a8057"
#define DAG_TEXT "01890a5d-ac96-774b-bcce-b302099a8058"
#define OWN(task) "PAWL_TASK_ID=" task "\nPAWL_ATTEMPT=2\nPAWL_FENCE=4294967297\n"
#define IDS "PAWL_RUN_ID=" RUN_TEXT "\nPAWL_DAG_ID=" DAG_TEXT "\n"

static char *clean_environment[] = {"PATH=/bin", "EDITOR=vi", "HOME=/home/u", "LC_ALL=C", "LC=no", "PAWL_FENCE=7",
                                    "PAWL_SCHEDULED_FOR=now",
                                    "noequals", "=hidden", "PATH=/second", NULL};

struct fixture {
    struct pool_jobs *jobs;
    struct dag *dag;
    struct pool_run_jobs *run;
    struct job job;
    struct error err;
    int64_t scheduled_ms;
};

static struct dag *read_dag(const char *source)
{
    const struct dag_read_options options = {.tasks_max = 100, .bytes_max = LIMIT_DAG_BYTES_MAX};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    if (dag_read(source, strlen(source), &options, &problems, &dag) != 0) {
        struct buf text = BUF_INIT;
        dag_problems_summary(&problems, &text);
        fail_msg("%s", buf_text(&text));
    }
    dag_problems_fini(&problems);
    return dag;
}

/* "TOKEN" is configured, nothing else. */
static const char *find_secret(void *context, const char *name)
{
    const char **value = context;
    return strcmp(name, "TOKEN") == 0 ? *value : NULL;
}

static const char *token = "s3cret";
static const struct dag_expand_source secrets = {.find = find_secret, .context = &token};

static void setup(struct fixture *f, const struct pool_jobs_options *options, const char *source)
{
    *f = (struct fixture){.scheduled_ms = f->scheduled_ms};
    struct pool_run_facts facts = {.scheduled_ms = f->scheduled_ms};
    assert_true(uuid_parse(RUN_TEXT, &facts.run_id));
    assert_true(uuid_parse(DAG_TEXT, &facts.dag_id));
    char **before = environ;
    environ = clean_environment;
    assert_int_equal(pool_jobs_new(options, &f->jobs, &f->err), 0);
    environ = before;
    f->dag = read_dag(source);
    f->run = pool_run_jobs_new(f->jobs, f->dag, &facts, &secrets);
}

static const struct pool_jobs_options base = {.data_dir = "/data", .base_dir = "/base"};

static void teardown(struct fixture *f)
{
    pool_run_jobs_free(f->run);
    pool_jobs_free(f->jobs);
    dag_unref(f->dag);
}

static int build(struct fixture *f, const char *task)
{
    int64_t index = dag_find_task(f->dag, task, strlen(task));
    assert_true(index >= 0);
    return pool_job_build(f->run, (uint32_t)index, 2, 4294967297u, &f->job, &f->err);
}

static void assert_list(const struct job_list *list, const char *lines)
{
    struct buf text = BUF_INIT;
    uint32_t count = 0;
    for (const char *at = list->bytes; at < list->bytes + list->len; at += strlen(at) + 1, count++) {
        buf_add_text(&text, at);
        buf_add_char(&text, '\n');
    }
    assert_string_equal(buf_text(&text), lines);
    assert_int_equal(count, list->count);
    buf_fini(&text);
}

static void assert_env(struct fixture *f, const char *task, const char *lines)
{
    if (build(f, task) != 0)
        fail_msg("%s", f->err.text);
    assert_list(&f->job.env, lines);
}

static void assert_fails(struct fixture *f, const char *task, int code, const char *text)
{
    assert_int_equal(build(f, task), code);
    assert_string_equal(f->err.text, text);
}

static void test_plain(void **state)
{
    (void)state;
    struct fixture f = {0};
    setup(&f, &base, "name: d\ntasks:\n  - {id: a, type: shell, command: 'echo ${HOME}', timeout: none}\n"
                     "  - {id: b, type: shell, command: x, workdir: sub, timeout: 5s}\n"
                     "  - {id: c, type: shell, command: x, workdir: /abs}\n");
    assert_env(&f, "a", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\n" IDS OWN("a"));
    assert_int_equal(f.job.kind, JOB_COMMAND);
    assert_string_equal(f.job.command, "echo ${HOME}");
    assert_int_equal(f.job.argv.count, 0);
    assert_string_equal(f.job.workdir, "/base");
    assert_int_equal(f.job.timeout_ms, 0);
    assert_int_equal(f.job.log_bytes_max, LIMIT_LOG_BYTES_DEFAULT);
    assert_string_equal(f.job.log_path, "/data/logs/57/" RUN_TEXT "/0.2.log");
    assert_int_equal(f.job.key.fence, 4294967297u);
    assert_int_equal(f.job.key.task, 0);
    assert_int_equal(f.job.key.number, 2);
    assert_int_equal(build(&f, "b"), 0);
    assert_string_equal(f.job.workdir, "/base/sub");
    assert_int_equal(f.job.timeout_ms, 5000);
    assert_string_equal(f.job.log_path, "/data/logs/57/" RUN_TEXT "/1.2.log");
    assert_int_equal(build(&f, "c"), 0);
    assert_string_equal(f.job.workdir, "/abs");
    teardown(&f);
}

/* The instant of a schedule; and one of the process's own is not passed on. */
static void test_scheduled_for(void **state)
{
    (void)state;
    struct fixture f = {.scheduled_ms = 1774749600000};
    setup(&f, &base, "name: d\ntasks:\n  - {id: a, type: shell, command: x}\n");
    assert_env(&f, "a",
               "PATH=/bin\nHOME=/home/u\nLC_ALL=C\n" IDS "PAWL_SCHEDULED_FOR=2026-03-29T02:00:00.000Z\n" OWN("a"));
    teardown(&f);
    f.scheduled_ms = 0;
    setup(&f, &base, "name: d\ntasks:\n  - {id: a, type: shell, command: x}\n");
    assert_env(&f, "a", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\n" IDS OWN("a"));
    teardown(&f);
}

/* Each name once, the task's over the DAG's over the process's; a PAWL_FENCE of the process's is not passed on. */
static void test_layers(void **state)
{
    (void)state;
    struct fixture f = {0};
    setup(&f, &base,
          "name: d\nenv: {HOME: /dag, A: dag, B: '${env.A}-b'}\ntasks:\n"
          "  - {id: a, type: shell, command: x, env: {A: 'task ${env.A}', C: '${env.B}', PATH: /p}}\n"
          "  - {id: b, type: shell, command: x}\n");
    assert_env(&f, "a",
               "HOME=/dag\nLC_ALL=C\nB=dag-b\n" IDS "A=task dag\nC=dag-b\nPATH=/p\n" OWN("a"));
    assert_env(&f, "b", "PATH=/bin\nHOME=/dag\nLC_ALL=C\nA=dag\nB=dag-b\n" IDS OWN("b"));
    assert_env(&f, "a",
               "HOME=/dag\nLC_ALL=C\nB=dag-b\n" IDS "A=task dag\nC=dag-b\nPATH=/p\n" OWN("a"));
    teardown(&f);
}

static void test_secrets(void **state)
{
    (void)state;
    struct fixture f = {0};
    setup(&f, &base,
          "name: d\nsecrets: [TOKEN]\nenv: {AUTH: 'Bearer ${env.TOKEN}', PLAIN: x}\ntasks:\n"
          "  - {id: a, type: shell, command: x}\n"
          "  - {id: b, type: shell, command: x, env: {TOKEN: over, AUTH: none}}\n"
          "  - {id: c, type: shell, command: [run, '${env.AUTH}', '$${env.AUTH}', '']}\n");
    assert_env(&f, "a", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\nPLAIN=x\n" IDS
                        "TOKEN=s3cret\nAUTH=Bearer s3cret\n" OWN("a"));
    assert_env(&f, "b", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\nPLAIN=x\n" IDS "TOKEN=over\nAUTH=none\n" OWN("b"));
    assert_int_equal(build(&f, "c"), 0);
    assert_int_equal(f.job.kind, JOB_ARGV);
    assert_list(&f.job.argv, "run\nBearer s3cret\n${env.AUTH}\n\n");
    token = "changed"; /* read when an attempt needs it */
    assert_env(&f, "a", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\nPLAIN=x\n" IDS
                        "TOKEN=changed\nAUTH=Bearer changed\n" OWN("a"));
    token = "s3cret";
    teardown(&f);
}

static void test_secret_missing(void **state)
{
    (void)state;
    static const char source[] = "name: d\nsecrets: [HOME]\ntasks:\n  - {id: a, type: shell, command: x}\n"
                                 "  - {id: h, type: http, url: 'http://h/${env.HOME}'}\n";
    struct fixture f = {0};
    setup(&f, &base, source);
    assert_fails(&f, "a", ERROR_BAD_REQUEST, "the secret 'HOME' is not configured");
    assert_fails(&f, "h", ERROR_BAD_REQUEST, "url: the secret 'HOME' is not configured");
    teardown(&f);
    struct pool_jobs_options inherit = base; /* `pawl run`: the caller's environment has it */
    inherit.inherit_env = true;
    setup(&f, &inherit, source);
    assert_int_equal(build(&f, "h"), 0);
    assert_string_equal(f.job.url, "http://h//home/u");
    teardown(&f);
}

static void test_inherited(void **state)
{
    (void)state;
    struct pool_jobs_options inherit = base;
    inherit.inherit_env = true;
    inherit.log_bytes_max = 5;
    struct fixture f = {0};
    setup(&f, &inherit, "name: d\nenv: {EDITOR: ed}\ntasks:\n  - {id: a, type: shell, command: x}\n");
    assert_env(&f, "a", "PATH=/bin\nEDITOR=ed\nHOME=/home/u\nLC_ALL=C\nLC=no\n" IDS OWN("a"));
    assert_int_equal(f.job.log_bytes_max, 5);
    teardown(&f);
}

static void test_python(void **state)
{
    (void)state;
    struct fixture f = {0};
    setup(&f, &base,
          "name: d\ntasks:\n"
          "  - {id: a, type: python, script: t.py, args: [--fast, '${env.X}'], env: {X: y z}, virtualEnv: v/e}\n"
          "  - {id: b, type: python, script: \"import os\\nprint(1)\", args: [q], workdir: w}\n"
          "  - {id: c, type: python, script: -c, workdir: w, env: {PYTHONUNBUFFERED: ''}, virtualEnv: /v}\n");
    assert_env(&f, "a", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\n" IDS
                        "PYTHONUNBUFFERED=1\nVIRTUAL_ENV=/base/v/e\nX=y z\n" OWN("a"));
    assert_int_equal(f.job.kind, JOB_PYTHON);
    assert_list(&f.job.argv, "/base/v/e/bin/python\n/base/t.py\n--fast\ny z\n");
    assert_null(f.job.code);
    assert_env(&f, "b", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\n" IDS "PYTHONUNBUFFERED=1\n" OWN("b"));
    assert_list(&f.job.argv, "python3\nq\n");
    assert_string_equal(f.job.code, "import os\nprint(1)");
    assert_int_equal(f.job.code_len, strlen("import os\nprint(1)"));
    assert_env(&f, "c", "PATH=/bin\nHOME=/home/u\nLC_ALL=C\n" IDS
                        "VIRTUAL_ENV=/v\nPYTHONUNBUFFERED=\n" OWN("c"));
    assert_list(&f.job.argv, "/v/bin/python\n/base/w/-c\n");
    teardown(&f);
}

static void test_http(void **state)
{
    (void)state;
    struct fixture f = {0};
    setup(&f, &base,
          "name: d\nsecrets: [TOKEN]\nenv: {HOST: h.example, Q: 'a\"b', NL: \"a\\nb\"}\ntasks:\n"
          "  - {id: get, type: http, url: 'http://${env.HOST}/x', timeout: 3s, follow: 2}\n"
          "  - {id: post, type: http, method: post, url: 'http://h/', headers: {Auth: 'B ${env.TOKEN}'},"
          " body: {k: '${env.Q}'}}\n"
          "  - {id: text, type: http, method: PUT, url: 'http://h/', headers: {content-type: a/b,"
          " idempotency-key: mine}, body: 'x${env.Q}'}\n"
          "  - {id: own, type: http, method: PUT, url: 'http://h/', headers: {CONTENT-TYPE: a/b}, body: {}}\n"
          "  - {id: bad, type: http, url: 'http://h/', headers: {A: '${env.NL}'}}\n"
          "  - {id: bad2, type: http, url: 'http://h/${env.NL}'}\n");
    assert_env(&f, "get", "");
    assert_int_equal(f.job.kind, JOB_HTTP);
    assert_string_equal(f.job.method, "GET");
    assert_string_equal(f.job.url, "http://h.example/x");
    assert_int_equal(f.job.follow, 2);
    assert_int_equal(f.job.timeout_ms, 3000);
    assert_null(f.job.body);
    assert_list(&f.job.headers, "Idempotency-Key: " RUN_TEXT "/get\n");
    assert_int_equal(build(&f, "post"), 0);
    assert_string_equal(f.job.method, "POST");
    assert_list(&f.job.headers,
                "Auth: B s3cret\nContent-Type: application/json\nIdempotency-Key: " RUN_TEXT "/post\n");
    assert_string_equal(f.job.body, "{\"k\":\"a\\\"b\"}");
    assert_int_equal(f.job.body_len, strlen(f.job.body));
    assert_int_equal(build(&f, "text"), 0);
    assert_list(&f.job.headers, "content-type: a/b\nidempotency-key: mine\n");
    assert_string_equal(f.job.body, "xa\"b");
    assert_int_equal(build(&f, "own"), 0);
    assert_list(&f.job.headers, "CONTENT-TYPE: a/b\nIdempotency-Key: " RUN_TEXT "/own\n");
    assert_fails(&f, "bad", ERROR_BAD_REQUEST, "headers: the value of 'A' has a control character in it");
    assert_fails(&f, "bad2", ERROR_BAD_REQUEST, "url: has a space or a control character in it");
    teardown(&f);
}

/* `count` copies of c, in quotes. */
static void add_quoted(struct buf *out, char c, size_t count)
{
    buf_add_char(out, '"');
    memset(buf_extend(out, count), c, count);
    buf_add_char(out, '"');
}

static void test_limits(void **state)
{
    (void)state;
    enum { MOST = 128 * 1024 - 1 };
    struct buf source = BUF_INIT;
    buf_add_text(&source, "name: d\nenv: {BIG: ");
    add_quoted(&source, 'b', MOST - strlen("BIG=x"));
    buf_add_text(&source, "}\ntasks:\n  - {id: most, type: shell, command: [");
    add_quoted(&source, 'a', MOST);
    buf_add_text(&source, "]}\n  - {id: arg, type: shell, command: [x, ");
    add_quoted(&source, 'a', MOST + 1);
    buf_add_text(&source, "]}\n  - {id: cmd, type: shell, command: ");
    add_quoted(&source, 'a', MOST + 1);
    buf_add_text(&source, "}\n  - {id: var, type: shell, command: x, env: {V: '${env.BIG}${env.BIG}'}}\n");
    buf_add_text(&source, "  - {id: all, type: shell, command: [");
    for (int i = 0; i < 9; i++)
        buf_add_text(&source, "'${env.BIG}', ");
    buf_add_text(&source, "x]}\n  - {id: both, type: shell, command: [");
    for (int i = 0; i < 7; i++)
        buf_add_text(&source, "'${env.BIG}', ");
    buf_add_text(&source, "x]}\n  - {id: vars, type: shell, command: x, env: {");
    for (int i = 0; i < 9; i++)
        buf_printf(&source, "V%d: 'x${env.BIG}', ", i);
    buf_add_text(&source, "Z: z}}\n");
    struct fixture f = {0};
    setup(&f, &base, buf_text(&source));
    assert_int_equal(build(&f, "most"), 0);
    assert_int_equal(f.job.argv.len, MOST + 1);
    assert_fails(&f, "arg", ERROR_TOO_BIG,
                 "argument 1 takes 131072 bytes, but at most 131071 can be passed to a program");
    assert_fails(&f, "cmd", ERROR_TOO_BIG,
                 "command takes 131072 bytes, but at most 131071 can be passed to a shell: put it into a file");
    assert_fails(&f, "var", ERROR_TOO_BIG,
                 "env: the variable 'V' takes 262134 bytes, but at most 131071 can be passed to a program");
    assert_fails(&f, "vars", ERROR_TOO_BIG, "its environment takes more than 1048576 bytes");
    assert_fails(&f, "all", ERROR_TOO_BIG, "its arguments take more than 1048576 bytes");
    assert_int_equal(build(&f, "both"), ERROR_TOO_BIG);
    assert_non_null(strstr(f.err.text, "its arguments and environment take "));
    assert_int_equal(build(&f, "most"), 0); /* a failure leaves nothing behind */
    teardown(&f);
    buf_fini(&source);
}

static void test_no_path(void **state)
{
    (void)state;
    static char *empty[] = {NULL};
    char **before = environ;
    struct pool_jobs *jobs;
    struct error err;
    environ = empty;
    assert_int_equal(pool_jobs_new(&base, &jobs, &err), 0);
    environ = before;
    struct dag *dag = read_dag("name: d\ntasks:\n  - {id: a, type: shell, command: x}\n");
    struct pool_run_jobs *run = pool_run_jobs_new(jobs, dag, &(const struct pool_run_facts){0}, NULL);
    struct job job;
    assert_int_equal(pool_job_build(run, 0, 1, 1, &job, &err), 0);
    assert_non_null(strstr(job.env.bytes, "PATH=/usr/local/sbin:"));
    assert_int_equal(job.env.count, 6);
    pool_run_jobs_free(run);
    pool_jobs_free(jobs);
    dag_unref(dag);
}

static void test_work_folder(void **state)
{
    (void)state;
    char dir[] = "/tmp/pawl-test-XXXXXX", missing[64], work[64];
    assert_non_null(mkdtemp(dir));
    (void)snprintf(work, sizeof work, "%s/work", dir);
    (void)snprintf(missing, sizeof missing, "%s/none", dir);
    struct pool_jobs *jobs;
    struct error err;
    struct pool_jobs_options options = {.data_dir = dir};
    assert_int_equal(pool_jobs_new(&options, &jobs, &err), 0);
    pool_jobs_free(jobs);
    struct stat seen;
    assert_int_equal(stat(work, &seen), 0);
    assert_int_equal(seen.st_mode & 07777, 0700);
    options.data_dir = missing;
    assert_int_equal(pool_jobs_new(&options, &jobs, &err), ERROR_IO);
    assert_int_equal(rmdir(work), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scheduled_for),
        cmocka_unit_test(test_plain),     cmocka_unit_test(test_layers),   cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_secret_missing), cmocka_unit_test(test_inherited), cmocka_unit_test(test_python),
        cmocka_unit_test(test_http),      cmocka_unit_test(test_limits),   cmocka_unit_test(test_no_path),
        cmocka_unit_test(test_work_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
