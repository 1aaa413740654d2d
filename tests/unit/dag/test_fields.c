/* What a valid file becomes: every field, its default, and where a default comes from. */
#include "support/check.h"

#include <string.h>

#include "base/error.h"
#include "reading.h"

static struct dag *dag_of(const char *source)
{
    struct reading reading = reading_of(source);
    if (reading.code) {
        struct buf text = BUF_INIT;
        reading_list(&reading.problems, &text);
        fail_msg("%s", buf_text(&text));
    }
    dag_problems_fini(&reading.problems);
    return reading.dag;
}

static void assert_retry(const struct dag_retry *retry, uint32_t attempts, enum dag_backoff backoff, int64_t initial,
                         int64_t max, double multiplier, double jitter)
{
    assert_int_equal(retry->max_attempts, attempts);
    assert_int_equal(retry->backoff, backoff);
    assert_int_equal(retry->initial_delay_ms, initial);
    assert_int_equal(retry->max_delay_ms, max);
    assert_true(retry->multiplier == multiplier);
    assert_true(retry->jitter == jitter);
}

/* The file of product.md section 2. */
static const char contract[] =
    "name: data-pipeline\n"
    "description: nightly load            # optional\n"
    "schedule: \"0 2 * * *\"\n"
    "timeout: 2h\n"
    "env: {REGION: eu}\n"
    "secrets: [TOKEN]\n"
    "runAs: etl\n"
    "placement: node\n"
    "defaults: {timeout: 10m, retry: {maxAttempts: 2}}\n"
    "tasks:\n"
    "  - id: extract\n"
    "    name: Extract\n"
    "    type: shell\n"
    "    command: \"curl -fso data.json https://example.org/data\"\n"
    "    workdir: jobs\n"
    "    env: {LEVEL: debug}\n"
    "    timeout: 5m\n"
    "    onLost: retry\n"
    "  - id: transform\n"
    "    type: python\n"
    "    script: transform.py\n"
    "    args: [--fast]\n"
    "    virtualEnv: venvs/etl\n"
    "    dependencies: [extract]\n"
    "    retry: {maxAttempts: 3, backoff: fixed, initialDelay: 2s, maxDelay: 6m, backoffMultiplier: 2.5,"
    " jitter: 0}\n"
    "  - id: load\n"
    "    type: http\n"
    "    method: post\n"
    "    url: \"https://warehouse.example.org/ingest\"\n"
    "    headers: {Authorization: \"Bearer ${env.TOKEN}\"}\n"
    "    body: {source: nightly, n: [1, 0x10, 1.50, true, null, ~]}\n"
    "    follow: 3\n"
    "    onLost: fail\n"
    "    dependencies: [transform]\n";

static void test_contract(void **state)
{
    (void)state;
    struct dag *dag = dag_of(contract);
    assert_string_equal(dag->name, "data-pipeline");
    assert_string_equal(dag->description, "nightly load");
    assert_string_equal(dag->schedule.cron, "0 2 * * *");
    assert_null(dag->schedule.timezone);
    assert_int_equal(dag->timeout_ms, 2 * 3600 * 1000);
    assert_int_equal(dag->env.count, 1);
    assert_string_equal(dag->env.items[0].name, "REGION");
    assert_string_equal(dag->env.items[0].value, "eu");
    assert_int_equal(dag->secrets.count, 1);
    assert_string_equal(dag->secrets.items[0], "TOKEN");
    assert_string_equal(dag->run_as, "etl");
    assert_int_equal(dag->placement, DAG_PLACEMENT_NODE);
    assert_int_equal(dag->task_count, 3);
    const struct dag_task *task = &dag->tasks[0];
    assert_string_equal(task->name, "Extract");
    assert_string_equal(task->command, "curl -fso data.json https://example.org/data");
    assert_string_equal(task->workdir, "jobs");
    assert_string_equal(task->env.items[0].name, "LEVEL");
    assert_int_equal(task->timeout_ms, 5 * 60 * 1000);
    assert_int_equal(task->line, 11);
    assert_retry(&task->retry, 2, DAG_BACKOFF_EXPONENTIAL, 1000, 300000, 2.0, 0.1);
    task = &dag->tasks[1];
    assert_string_equal(task->name, "transform");
    assert_int_equal(task->type, DAG_TASK_PYTHON);
    assert_string_equal(task->script, "transform.py");
    assert_false(task->script_is_code);
    assert_string_equal(task->args.items[0], "--fast");
    assert_string_equal(task->virtual_env, "venvs/etl");
    assert_int_equal(task->timeout_ms, 10 * 60 * 1000);
    assert_int_equal(task->dependency_count, 1);
    assert_int_equal(task->dependencies[0], 0);
    assert_retry(&task->retry, 3, DAG_BACKOFF_FIXED, 2000, 360000, 2.5, 0);
    task = &dag->tasks[2];
    assert_int_equal(task->on_lost, DAG_ON_LOST_FAIL);
    assert_string_equal(task->http->method, "POST");
    assert_string_equal(task->http->url, "https://warehouse.example.org/ingest");
    assert_string_equal(task->http->headers.items[0].value, "Bearer ${env.TOKEN}");
    assert_string_equal(task->http->body, "{\"source\":\"nightly\",\"n\":[1,16,1.50,true,null,null]}");
    assert_true(task->http->body_is_json);
    assert_int_equal(task->http->follow, 3);
    assert_int_equal(dag_find_task(dag, "load", 4), 2);
    assert_int_equal(dag_find_task(dag, "loa", 3), -1);
    assert_int_equal(dag_find_task(dag, "", 0), -1);
    dag_unref(dag);
}

static void test_warm_is_for_python_tasks_that_say_so(void **state)
{
    (void)state;
    struct dag *dag = dag_of("name: d\ndefaults: {warm: true}\ntasks:\n- {id: a, type: shell, command: x}\n"
                             "- {id: b, type: python, script: b.py}\n"
                             "- {id: c, type: python, script: c.py, warm: false}\n");
    assert_false(dag->tasks[0].warm);
    assert_true(dag->tasks[1].warm);
    assert_false(dag->tasks[2].warm);
    dag_unref(dag);
    dag = dag_of("name: d\ntasks:\n- {id: a, type: python, script: a.py}\n"
                 "- {id: b, type: python, script: b, warm: True}\n");
    assert_false(dag->tasks[0].warm);
    assert_true(dag->tasks[1].warm);
    dag_unref(dag);
}

static void test_defaults(void **state)
{
    (void)state;
    struct dag *dag = dag_of("tasks:\n- {id: a, type: shell, command: [x, '', '1', 2]}\n"
                             "- {id: b, type: http, url: http://h, timeout: none, retry: {}}\n"
                             "- {id: c, type: http, url: http://h, body: ' as is '}\n"
                             "- {id: d, type: python, script: \"a\\nb\"}\nname: d\n");
    const struct dag_task *task = &dag->tasks[0];
    assert_null(task->command);
    assert_int_equal(task->argv.count, 4);
    assert_string_equal(task->argv.items[1], "");
    assert_string_equal(task->argv.items[3], "2");
    assert_string_equal(task->name, "a");
    assert_int_equal(task->timeout_ms, 30 * 60 * 1000);
    assert_int_equal(task->on_lost, DAG_ON_LOST_RETRY);
    assert_null(task->workdir);
    assert_null(task->http);
    assert_retry(&task->retry, 1, DAG_BACKOFF_EXPONENTIAL, 1000, 300000, 2.0, 0.1);
    task = &dag->tasks[1];
    assert_int_equal(task->timeout_ms, 0);
    assert_string_equal(task->http->method, "GET");
    assert_null(task->http->body);
    assert_int_equal(task->http->follow, 0);
    assert_retry(&task->retry, 3, DAG_BACKOFF_EXPONENTIAL, 1000, 300000, 2.0, 0.1);
    assert_string_equal(dag->tasks[2].http->body, " as is ");
    assert_false(dag->tasks[2].http->body_is_json);
    assert_true(dag->tasks[3].script_is_code);
    assert_null(dag->description);
    assert_null(dag->schedule.cron);
    assert_int_equal(dag->timeout_ms, 0);
    dag_unref(dag);
}

/* What a task says, then what defaults say, then what pawl says; field by field in retry. */
static void test_layers(void **state)
{
    (void)state;
    struct dag *dag = dag_of("name: d\ntasks:\n"
                             "- {id: a, type: shell, command: x}\n"
                             "- {id: b, type: shell, command: x, workdir: own, timeout: 1s, onLost: retry,"
                             " retry: {initialDelay: 10m}}\n"
                             "- {id: c, type: http, url: http://h, retry: {maxAttempts: 1}}\n"
                             "defaults: {workdir: all, timeout: none, onLost: fail, retry: {maxAttempts: 7,"
                             " jitter: 0.5, maxDelay: 2m}}\n");
    assert_string_equal(dag->tasks[0].workdir, "all");
    assert_int_equal(dag->tasks[0].timeout_ms, 0);
    assert_int_equal(dag->tasks[0].on_lost, DAG_ON_LOST_FAIL);
    assert_retry(&dag->tasks[0].retry, 7, DAG_BACKOFF_EXPONENTIAL, 1000, 120000, 2.0, 0.5);
    assert_string_equal(dag->tasks[1].workdir, "own");
    assert_int_equal(dag->tasks[1].timeout_ms, 1000);
    assert_int_equal(dag->tasks[1].on_lost, DAG_ON_LOST_RETRY);
    assert_retry(&dag->tasks[1].retry, 7, DAG_BACKOFF_EXPONENTIAL, 600000, 600000, 2.0, 0.5);
    assert_null(dag->tasks[2].workdir);
    assert_int_equal(dag->tasks[2].retry.max_attempts, 1);
    dag_unref(dag);
}

static void test_schedule(void **state)
{
    (void)state;
    struct dag *dag = dag_of("name: d\nplacement: any\ntasks: [{id: a, type: shell, command: x}]\n"
                             "schedule: {cron: '@daily', timezone: UTC, catchup: latest, overlap: queue}\n");
    assert_string_equal(dag->schedule.cron, "@daily");
    assert_string_equal(dag->schedule.timezone, "UTC");
    assert_int_equal(dag->schedule.catchup, DAG_CATCHUP_LATEST);
    assert_int_equal(dag->schedule.overlap, DAG_OVERLAP_QUEUE);
    assert_int_equal(dag->placement, DAG_PLACEMENT_ANY);
    dag_unref(dag);
    reading_assert("name: d\ntasks: [{id: a, type: shell, command: x}]\nschedule: {timezone: Nowhere/At_all}\n",
                   ERROR_PARSE_ERROR,
                   "3:11: error: Missing required field: cron [schedule]\n"
                   "3:22: error: Unknown time zone: Nowhere/At_all [schedule.timezone]"
                   " (a name of the system's tz database, such as Europe/Berlin or UTC)\n");
}

/* Anchors, merges, block scalars, forward references, keys in any order; JSON too. */
static void test_yaml_forms(void **state)
{
    (void)state;
    struct dag *dag = dag_of("x-base: &base {type: shell, timeout: 5s, env: &env {A: a}}\n"
                             "tasks:\n"
                             "- dependencies: [b]\n"
                             "  command: |\n"
                             "    one\n"
                             "    two\n"
                             "  <<: *base\n"
                             "  id: a\n"
                             "- <<: [{timeout: 7s}, *base]\n"
                             "  id: b\n"
                             "  env: *env\n"
                             "  command: >-\n"
                             "    folded\n"
                             "    line\n"
                             "name: &n d\n"
                             "description: *n\n");
    assert_string_equal(dag->tasks[0].command, "one\ntwo\n");
    assert_int_equal(dag->tasks[0].timeout_ms, 5000);
    assert_string_equal(dag->tasks[0].env.items[0].value, "a");
    assert_int_equal(dag->tasks[0].dependencies[0], 1);
    assert_int_equal(dag->tasks[1].timeout_ms, 7000);
    assert_string_equal(dag->tasks[1].command, "folded line");
    assert_string_equal(dag->description, "d");
    dag_unref(dag);
    dag = dag_of("{\"tasks\": [{\"id\": \"a\\u00e4\", \"type\": \"shell\", \"command\": \"x\\n\"}], \"name\": \"j\"}");
    assert_string_equal(dag->tasks[0].id, "a\xc3\xa4");
    assert_string_equal(dag->tasks[0].command, "x\n");
    dag_unref(dag);
}

/* YAML 1.2, not 1.1: the country of Norway is no boolean, a time is no number of seconds. */
static void test_core_schema(void **state)
{
    (void)state;
    struct dag *dag = dag_of("name: no\ntasks: [{id: yes, type: shell, command: on, env: {A: 012, B: 12:30, C: 1e3,"
                             " D: 0x1F, E: ~, F: true, G: 1_000}}]\n");
    assert_string_equal(dag->name, "no");
    assert_string_equal(dag->tasks[0].id, "yes");
    static const char *const values[] = {"012", "12:30", "1e3", "0x1F", "~", "true", "1_000"};
    for (uint32_t i = 0; i < dag->tasks[0].env.count; i++)
        assert_string_equal(dag->tasks[0].env.items[i].value, values[i]); /* taken as written */
    dag_unref(dag);
}

static void test_given_name(void **state)
{
    (void)state;
    static const char source[] = "name: file\ntasks: [{id: a, type: shell, command: x}]\n";
    struct dag_read_options options = {.name = "given", .tasks_max = 1, .bytes_max = 1000};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    assert_int_equal(dag_read(source, strlen(source), &options, &problems, &dag), 0);
    assert_string_equal(dag->name, "given");
    dag_unref(dag);
    static const char nameless[] = "tasks: [{id: a, type: shell, command: x}]\n";
    assert_int_equal(dag_read(nameless, strlen(nameless), &options, &problems, &dag), 0);
    assert_string_equal(dag->name, "given");
    struct dag *again = dag_ref(dag);
    assert_ptr_equal(again, dag);
    dag_unref(dag);
    assert_string_equal(again->tasks[0].id, "a");
    dag_unref(again);
    options = (struct dag_read_options){.name_may_lack = true, .tasks_max = 1, .bytes_max = 1000};
    assert_int_equal(dag_read(nameless, strlen(nameless), &options, &problems, &dag), 0);
    assert_string_equal(dag->name, "");
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.items[0].severity, DAG_SEVERITY_WARNING);
    assert_string_equal(problems.items[0].text, "The file has no name: it is for a request that names the DAG");
    dag_unref(dag);
    assert_int_equal(dag_read(source, strlen(source), &options, &problems, &dag), 0);
    assert_string_equal(dag->name, "file");
    assert_int_equal(problems.count, 1);
    dag_unref(dag);
    dag_problems_fini(&problems);
    options.name = "a\nb";
    assert_int_not_equal(dag_read(source, strlen(source), &options, &problems, &dag), 0);
    assert_string_equal(problems.items[0].text, "The name of the DAG holds the character U+000A, which is not allowed");
    dag_problems_fini(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warm_is_for_python_tasks_that_say_so),
        cmocka_unit_test(test_contract),   cmocka_unit_test(test_defaults),    cmocka_unit_test(test_layers),
        cmocka_unit_test(test_schedule),   cmocka_unit_test(test_yaml_forms),  cmocka_unit_test(test_core_schema),
        cmocka_unit_test(test_given_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
