#include "dag/dag_fields.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/str.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])
#define SHELL (1u << DAG_TASK_SHELL)
#define HTTP (1u << DAG_TASK_HTTP)
#define PYTHON (1u << DAG_TASK_PYTHON)

static const char *const task_types[] = {
    [DAG_TASK_SHELL] = "shell", [DAG_TASK_HTTP] = "http", [DAG_TASK_PYTHON] = "python"};
static const char *const backoffs[] = {[DAG_BACKOFF_EXPONENTIAL] = "exponential", [DAG_BACKOFF_FIXED] = "fixed"};
static const char *const on_losts[] = {[DAG_ON_LOST_RETRY] = "retry", [DAG_ON_LOST_FAIL] = "fail"};
static const char *const placements[] = {[DAG_PLACEMENT_NODE] = "node", [DAG_PLACEMENT_ANY] = "any"};
static const char *const overlaps[] = {
    [DAG_OVERLAP_SKIP] = "skip", [DAG_OVERLAP_QUEUE] = "queue", [DAG_OVERLAP_ALLOW] = "allow"};
static const char *const catchups[] = {
    [DAG_CATCHUP_NONE] = "none", [DAG_CATCHUP_LATEST] = "latest", [DAG_CATCHUP_ALL] = "all"};

static_assert(COUNT_OF(task_types) == DAG_TASK_TYPE_COUNT, "a name per type");
static_assert(COUNT_OF(backoffs) == DAG_BACKOFF_COUNT, "a name per backoff");
static_assert(COUNT_OF(on_losts) == DAG_ON_LOST_COUNT, "a name per onLost");
static_assert(COUNT_OF(placements) == DAG_PLACEMENT_COUNT, "a name per placement");
static_assert(COUNT_OF(overlaps) == DAG_OVERLAP_COUNT, "a name per overlap");
static_assert(COUNT_OF(catchups) == DAG_CATCHUP_COUNT, "a name per catchup");

#define NAMES(array) .names = (array), .names_count = COUNT_OF(array)

const char *dag_task_type_name(enum dag_task_type type)
{
    return task_types[type];
}

const char *dag_backoff_name(enum dag_backoff backoff)
{
    return backoffs[backoff];
}

const char *dag_on_lost_name(enum dag_on_lost on_lost)
{
    return on_losts[on_lost];
}

const char *dag_placement_name(enum dag_placement placement)
{
    return placements[placement];
}

const char *dag_overlap_name(enum dag_overlap overlap)
{
    return overlaps[overlap];
}

const char *dag_catchup_name(enum dag_catchup catchup)
{
    return catchups[catchup];
}

static const struct dag_field retry_fields[] = {
    {.key = "maxAttempts", .kind = DAG_FIELD_COUNT, .offset = offsetof(struct dag_retry, max_attempts),
     .min = 1, .max = LIMIT_RETRY_ATTEMPTS_MAX, .near = "attempts retries limit max count max_attempts maxRetries",
     .about = "Attempts in all, the first one included."},
    {.key = "backoff", .kind = DAG_FIELD_ENUM, .offset = offsetof(struct dag_retry, backoff), NAMES(backoffs),
     .near = "strategy policy", .about = "How the delay between attempts grows."},
    {.key = "initialDelay", .kind = DAG_FIELD_DELAY, .offset = offsetof(struct dag_retry, initial_delay_ms),
     .near = "delay interval wait initial_delay retryDelay intervalSec",
     .about = "The delay before the second attempt."},
    {.key = "maxDelay", .kind = DAG_FIELD_DELAY, .offset = offsetof(struct dag_retry, max_delay_ms),
     .near = "max_delay maxInterval", .about = "No delay is longer, but for the jitter."},
    {.key = "backoffMultiplier", .kind = DAG_FIELD_NUMBER, .offset = offsetof(struct dag_retry, multiplier),
     .min = 1, .max = 100, .near = "multiplier factor backoff_multiplier",
     .about = "How much longer each delay is than the one before (exponential)."},
    {.key = "jitter", .kind = DAG_FIELD_NUMBER, .offset = offsetof(struct dag_retry, jitter),
     .min = 0, .max = 1, .near = "randomize", .about = "Each delay is off by up to this share, at random."},
};

static const struct dag_field schedule_fields[] = {
    {.key = "cron", .kind = DAG_FIELD_CRON, .offset = offsetof(struct dag_schedule, cron), .required = true,
     .near = "expression expr schedule", .about = "When runs start: a cron expression."},
    {.key = "timezone", .kind = DAG_FIELD_TIMEZONE, .offset = offsetof(struct dag_schedule, timezone),
     .near = "tz zone timeZone time_zone", .about = "The zone whose local time the expression means."},
    {.key = "catchup", .kind = DAG_FIELD_ENUM, .offset = offsetof(struct dag_schedule, catchup), NAMES(catchups),
     .near = "catch_up", .about = "What happens to times that passed while pawl was down."},
    {.key = "overlap", .kind = DAG_FIELD_ENUM, .offset = offsetof(struct dag_schedule, overlap), NAMES(overlaps),
     .near = "concurrency concurrencyPolicy", .about = "What happens when the run before is still active."},
};

static const struct dag_field keep_fields[] = {
    {.key = "age", .kind = DAG_FIELD_DURATION, .offset = offsetof(struct dag_keep, age_ms),
     .near = "days time duration keepAge keep-age max_age ttl",
     .about = "How long ended runs are kept, with their attempts and logs; none: however old."},
    {.key = "runs", .kind = DAG_FIELD_COUNT, .offset = offsetof(struct dag_keep, runs), .min = 1, .max = 1000000,
     .near = "count number limit max keepRuns keep-runs", .about = "How many ended runs are kept, the latest."},
};

#define TASK(member) .offset = offsetof(struct dag_task, member)
#define REQUEST(member) .offset = offsetof(struct dag_http, member)

#define FIELD_TIMEOUT                                                                                       \
    {.key = "timeout", .kind = DAG_FIELD_DURATION, TASK(timeout_ms), .near = "time_limit timeoutSec",        \
     .about = "How long one attempt may take."}
#define FIELD_RETRY                                                                                         \
    {.key = "retry", .kind = DAG_FIELD_MAPPING, TASK(retry), .table = &dag_table_retry,                      \
     .near = "retries retryPolicy retry_policy retryStrategy", .about = "What happens after a failed attempt."}
#define FIELD_ON_LOST                                                                                       \
    {.key = "onLost", .kind = DAG_FIELD_ENUM, TASK(on_lost), NAMES(on_losts), .near = "on_lost",             \
     .about = "What happens to an attempt whose outcome is unknown."}
#define FIELD_WORKDIR                                                                                       \
    {.key = "workdir", .kind = DAG_FIELD_TEXT, TASK(workdir), .min = 1, .max = 4095, .types = SHELL | PYTHON, \
     .near = "working_dir workingDir working_directory workingDirectory cwd dir directory",                  \
     .about = "The folder it runs in."}

#define FIELD_WARM                                                                                          \
    {.key = "warm", .kind = DAG_FIELD_BOOL, TASK(warm), .types = PYTHON, .near = "preload prefork forkserver",  \
     .about = "Starts as a fork of an interpreter that has the usual modules loaded."}

static const struct dag_field defaults_fields[] = {FIELD_TIMEOUT, FIELD_RETRY, FIELD_ON_LOST, FIELD_WORKDIR,
                                                   FIELD_WARM};

static const struct dag_field task_fields[] = {
    {.key = "id", .kind = DAG_FIELD_ID, TASK(id), .required = true, .max = LIMIT_TASK_ID_BYTES_MAX, .near = "task_id",
     .about = "What other tasks, the API and the command line call it."},
    {.key = "name", .kind = DAG_FIELD_TEXT, TASK(name), .min = 1, .max = LIMIT_NAME_BYTES_MAX, .refs = DAG_REFS_FREE,
     .near = "title label", .about = "What people call it; the id when absent."},
    {.key = "type", .kind = DAG_FIELD_ENUM, TASK(type), .required = true, NAMES(task_types),
     .near = "executor operator kind", .about = "What kind of task it is."},
    {.key = "command", .kind = DAG_FIELD_COMMAND, .types = SHELL, .required = true, .refs = DAG_REFS_EXPANDED,
     .min = 1, .max = LIMIT_COMMAND_BYTES_MAX, .near = "cmd run bash bash_command shell exec commands",
     .about = "A string means what sh -c means; a list is a program and its arguments, without a shell."},
    {.key = "script", .kind = DAG_FIELD_SCRIPT, .types = PYTHON, .required = true, .refs = DAG_REFS_SHELL, .min = 1,
     .near = "code file program python", .about = "A path, or code when it has a line break."},
    {.key = "args", .kind = DAG_FIELD_WORDS, TASK(args), .types = PYTHON, .refs = DAG_REFS_EXPANDED,
     .near = "arguments argv params", .about = "The script's arguments."},
    {.key = "virtualEnv", .kind = DAG_FIELD_TEXT, TASK(virtual_env), .types = PYTHON, .min = 1, .max = 4095,
     .near = "venv virtualenv virtual_env", .about = "A virtual environment, whose bin/python is used."},
    FIELD_WARM,
    {.key = "method", .kind = DAG_FIELD_METHOD, REQUEST(method), .types = HTTP, .near = "verb",
     .about = "The request's method; GET when absent."},
    {.key = "url", .kind = DAG_FIELD_URL, REQUEST(url), .types = HTTP, .required = true, .refs = DAG_REFS_EXPANDED,
     .min = 1, .max = LIMIT_URL_BYTES_MAX, .near = "uri endpoint address", .about = "Where the request goes."},
    {.key = "headers", .kind = DAG_FIELD_HEADERS, REQUEST(headers), .types = HTTP, .refs = DAG_REFS_EXPANDED,
     .near = "header", .about = "The request's headers."},
    {.key = "body", .kind = DAG_FIELD_BODY, .types = HTTP, .refs = DAG_REFS_EXPANDED, .near = "data payload json",
     .about = "The request's body: a string is sent as it is, anything else as JSON."},
    {.key = "follow", .kind = DAG_FIELD_COUNT, REQUEST(follow), .types = HTTP, .min = 0, .max = 50,
     .near = "redirects maxRedirects followRedirects", .about = "How many redirects are followed."},
    FIELD_WORKDIR,
    {.key = "env", .kind = DAG_FIELD_ENV, TASK(env), .refs = DAG_REFS_EXPANDED,
     .near = "environment envs variables vars", .about = "Environment variables, on top of the DAG's."},
    FIELD_TIMEOUT,
    FIELD_ON_LOST,
    {.key = "dependencies", .kind = DAG_FIELD_DEPENDENCIES,
     .near = "depends depends_on dependsOn depend needs requires upstream after deps dependency",
     .about = "The tasks that have to succeed before it starts."},
    FIELD_RETRY,
};

#define FILE(member) .offset = offsetof(struct dag, member)

static const struct dag_field file_fields[] = {
    {.key = "name", .kind = DAG_FIELD_ID, FILE(name), .required = true, .max = LIMIT_DAG_NAME_BYTES_MAX,
     .near = "dag dag_id id", .about = "The DAG's name, unique on a server."},
    {.key = "description", .kind = DAG_FIELD_TEXT, FILE(description), .max = LIMIT_DESCRIPTION_BYTES_MAX,
     .refs = DAG_REFS_FREE, .near = "desc doc summary", .about = "What it is for."},
    {.key = "schedule", .kind = DAG_FIELD_SCHEDULE, FILE(schedule), .table = &dag_table_schedule,
     .near = "cron schedules schedule_interval", .about = "When runs start by themselves."},
    {.key = "timeout", .kind = DAG_FIELD_DURATION, FILE(timeout_ms), .near = "time_limit timeoutSec",
     .about = "How long a run may take."},
    {.key = "keep", .kind = DAG_FIELD_MAPPING, FILE(keep), .table = &dag_table_keep,
     .near = "retention history historyLimit hist_retention_days histRetentionDays ttl",
     .about = "What is kept of its ended runs, where the server's limits are not meant."},
    {.key = "env", .kind = DAG_FIELD_ENV, FILE(env), .refs = DAG_REFS_EXPANDED,
     .near = "environment envs variables vars", .about = "Environment variables of every task."},
    {.key = "secrets", .kind = DAG_FIELD_NAMES, FILE(secrets), .near = "secret",
     .about = "Names that the server's configuration maps to secret values."},
    {.key = "runAs", .kind = DAG_FIELD_USER, FILE(run_as), .min = 1, .max = LIMIT_USER_NAME_BYTES_MAX,
     .near = "run_as user owner uid become become_user",
     .about = "The system user that shell and python tasks run as; the server's configuration says who may be named."},
    {.key = "placement", .kind = DAG_FIELD_ENUM, FILE(placement), NAMES(placements), .near = "affinity",
     .about = "Whether a run's shell and python tasks stay on one node."},
    {.key = "defaults", .kind = DAG_FIELD_MAPPING, .table = &dag_table_defaults, .near = "default default_args",
     .about = "What tasks have that do not say otherwise."},
    {.key = "tasks", .kind = DAG_FIELD_TASKS, .required = true, .table = &dag_table_task,
     .near = "steps jobs task nodes", .about = "The tasks, in any order."},
};

#define TABLE(text, array) {.what = (text), .fields = (array), .count = COUNT_OF(array)}
const struct dag_table dag_table_file = TABLE("a DAG file", file_fields);
const struct dag_table dag_table_task = TABLE("a task", task_fields);
const struct dag_table dag_table_retry = TABLE("retry", retry_fields);
const struct dag_table dag_table_schedule = TABLE("schedule", schedule_fields);
const struct dag_table dag_table_keep = TABLE("keep", keep_fields);
const struct dag_table dag_table_defaults = TABLE("defaults", defaults_fields);

static_assert(COUNT_OF(task_fields) <= 24, "the masks of tasks have room for so many; see dag_reader.h");
static_assert(COUNT_OF(retry_fields) <= 8, "the masks of tasks have room for so many; see dag_reader.h");

const struct dag_field *dag_table_find(const struct dag_table *table, const char *key, size_t len, size_t *ret_index)
{
    for (size_t i = 0; i < table->count; i++) {
        const char *name = table->fields[i].key;
        if (name[0] == key[0] && strlen(name) == len && memcmp(name, key, len) == 0) {
            *ret_index = i;
            return &table->fields[i];
        }
    }
    return NULL;
}

uint32_t dag_table_bit(const struct dag_table *table, const char *key)
{
    size_t index = 0;
    const struct dag_field *field = dag_table_find(table, key, strlen(key), &index);
    assert(field);
    return 1u << index;
}

/* Whether `words`, separated by blanks, holds `key`; case does not matter. */
static bool has_word(const char *words, const char *key)
{
    size_t len = strlen(key);
    for (const char *word = words; word && *word;) {
        size_t word_len = strcspn(word, " ");
        if (word_len == len && strncasecmp(word, key, len) == 0)
            return true;
        word += word_len;
        word += strspn(word, " ");
    }
    return false;
}

const char *dag_table_nearest(const struct dag_table *table, const char *key)
{
    const char *keys[32];
    for (size_t i = 0; i < table->count; i++) {
        if (strcasecmp(table->fields[i].key, key) == 0 || has_word(table->fields[i].near, key))
            return table->fields[i].key;
        keys[i] = table->fields[i].key;
    }
    return str_nearest(key, keys, table->count);
}
