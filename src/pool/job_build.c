/* Texts that a job needs are put together in buffers of struct pool_jobs, which keep their memory from job to job;
 * pointers into them are taken only when all are complete. */
#include "pool/job_build.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "pool/job_env.h"
#include "state/log_path.h"
#include "worker/protocol.h"

struct pool_jobs {
    char *data_dir;
    char *base_dir;
    int64_t log_bytes_max;
    bool inherit_env;
    bool http_deny_private;
    struct buf http_networks;
    uint32_t http_network_count;
    struct pool_users *users;
    struct pool_env process;
    struct buf env, argv, headers, body, url, workdir, venv, log_path;
};

struct pool_run_jobs {
    struct pool_jobs *jobs;
    struct dag *dag;
    struct uuid run_id;
    struct origin *origin;
    struct pool_run_env env;
    const char *base_dir;       /* of the job being made */
};

/* ---- once per daemon ---- */

int pool_jobs_new(const struct pool_jobs_options *options, struct pool_jobs **ret_jobs, struct error *err)
{
    struct pool_jobs *jobs = mem_new(struct pool_jobs);
    jobs->data_dir = mem_strdup(options->data_dir);
    jobs->base_dir = options->base_dir ? mem_strdup(options->base_dir) : mem_printf("%s/work", options->data_dir);
    jobs->log_bytes_max = options->log_bytes_max ? options->log_bytes_max : LIMIT_LOG_BYTES_DEFAULT;
    jobs->inherit_env = options->inherit_env;
    jobs->http_deny_private = options->http_deny_private;
    jobs->users = options->users;
    for (uint32_t i = 0; i < options->http_network_count; i++)
        worker_list_add(&jobs->http_networks, &jobs->http_network_count, options->http_networks[i],
                        strlen(options->http_networks[i]));
    if (!options->base_dir && mkdir(jobs->base_dir, 0700) != 0 && errno != EEXIST) {
        int code = error_set(err, ERROR_IO, "cannot make %s: %s", jobs->base_dir, strerror(errno));
        pool_jobs_free(jobs);
        return code;
    }
    pool_env_add_process(&jobs->process, environ, jobs->inherit_env);
    *ret_jobs = jobs;
    return 0;
}

void pool_jobs_free(struct pool_jobs *jobs)
{
    if (!jobs)
        return;
    struct buf *texts[] = {&jobs->env, &jobs->argv, &jobs->headers, &jobs->body,
                           &jobs->url, &jobs->workdir, &jobs->venv, &jobs->log_path, &jobs->http_networks};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        buf_fini(texts[i]);
    pool_env_fini(&jobs->process);
    mem_free(jobs->data_dir);
    mem_free(jobs->base_dir);
    mem_free(jobs);
}

/* ---- once per run ---- */

struct pool_run_jobs *pool_run_jobs_new(struct pool_jobs *jobs, struct dag *dag, const struct pool_run_facts *facts,
                                        const struct dag_expand_source *secrets)
{
    struct pool_run_jobs *run = mem_new(struct pool_run_jobs);
    run->jobs = jobs;
    run->dag = dag_ref(dag);
    run->run_id = facts->run_id;
    run->origin = origin_ref(facts->origin);
    pool_run_env_init(&run->env, &jobs->process, jobs->inherit_env, dag, facts, secrets);
    return run;
}

void pool_run_jobs_free(struct pool_run_jobs *run)
{
    if (!run)
        return;
    pool_run_env_fini(&run->env);
    origin_unref(run->origin);
    dag_unref(run->dag);
    mem_free(run);
}

/* ---- pieces of a job ---- */

static struct job_list list_of(struct buf *bytes, uint32_t count)
{
    return (struct job_list){.bytes = buf_text(bytes), .len = bytes->len, .count = count};
}

/* `path`, or base/path when it is relative. */
static void resolve(struct buf *out, const char *base, const char *path)
{
    buf_clear(out);
    if (path[0] != '/') {
        buf_add_text(out, base);
        buf_add_char(out, '/');
    }
    buf_add_text(out, path);
}

static int expand(struct pool_run_jobs *run, const struct dag_task *task, const char *field, const char *text,
                  struct buf *out, struct error *err)
{
    int code = dag_expand(run->dag, task, &run->env.source, text, strlen(text), out, err);
    if (code)
        (void)error_add(err, "%s", field);
    return code;
}

/* Ends the string that `argv` has grown by since `start`. */
static int end_argument(struct buf *argv, size_t start, uint32_t *count, struct error *err)
{
    size_t len = argv->len - start;
    if (len > POOL_STRING_BYTES_MAX)
        return error_set(err, ERROR_TOO_BIG, "argument %u takes %zu bytes, but at most %d can be passed to a program",
                         *count, len, POOL_STRING_BYTES_MAX);
    buf_add_char(argv, '\0');
    ++*count;
    if (argv->len > LIMIT_COMMAND_BYTES_MAX)
        return error_set(err, ERROR_TOO_BIG, "its arguments take more than %d bytes", LIMIT_COMMAND_BYTES_MAX);
    return 0;
}

static int add_words(struct pool_run_jobs *run, const struct dag_task *task, const char *field,
                     const struct dag_words *words, uint32_t *count, struct error *err)
{
    struct buf *argv = &run->jobs->argv;
    int code = 0;
    for (uint32_t i = 0; i < words->count && !code; i++) {
        size_t start = argv->len;
        code = expand(run, task, field, words->items[i], argv, err);
        if (!code)
            code = end_argument(argv, start, count, err);
    }
    return code;
}

static int add_path_argument(struct buf *argv, const char *base, const char *path, uint32_t *count, struct error *err)
{
    size_t start = argv->len;
    if (path[0] != '/') {
        buf_add_text(argv, base);
        buf_add_char(argv, '/');
    }
    buf_add_text(argv, path);
    return end_argument(argv, start, count, err);
}

static int build_python(struct pool_run_jobs *run, const struct dag_task *task, struct job *job, struct error *err)
{
    struct pool_jobs *jobs = run->jobs;
    job->kind = JOB_PYTHON;
    job->warm = task->warm;
    if (task->virtual_env) {
        resolve(&jobs->venv, run->base_dir, task->virtual_env);
        buf_add_text(&jobs->argv, buf_text(&jobs->venv));
        buf_add_text(&jobs->argv, "/bin/python");
    } else {
        buf_add_text(&jobs->argv, "python3");
    }
    int code = end_argument(&jobs->argv, 0, &job->argv.count, err);
    if (task->script_is_code) {
        job->code = task->script;
        job->code_len = strlen(task->script);
    } else if (!code) {
        code = add_path_argument(&jobs->argv, job->workdir, task->script, &job->argv.count, err);
    }
    return code ? code : add_words(run, task, "args", &task->args, &job->argv.count, err);
}

/* The DAG's own TRACEPARENT stays. */
static void add_trace(struct pool_run_jobs *run, const struct dag_task *task, struct job *job)
{
    struct buf *env = &run->jobs->env;
    char parent[ORIGIN_TRACEPARENT_LEN + 1];
    if (pool_run_env_user_sets(&run->env, task, "TRACEPARENT") ||
        !origin_attempt(run->origin, run->run_id, job->key.fence, parent))
        return;
    buf_add_text(env, "TRACEPARENT=");
    worker_list_add(env, &job->env.count, parent, ORIGIN_TRACEPARENT_LEN);
    if (!run->origin->tracestate || pool_run_env_user_sets(&run->env, task, "TRACESTATE"))
        return;
    buf_add_text(env, "TRACESTATE=");
    worker_list_add(env, &job->env.count, run->origin->tracestate, strlen(run->origin->tracestate));
}

static int build_process(struct pool_run_jobs *run, const struct dag_task *task, uint32_t number, struct job *job,
                         struct error *err)
{
    struct pool_jobs *jobs = run->jobs;
    int code = pool_users_find(jobs->users, run->dag->run_as, &run->env.user, err);
    if (code)
        return code;
    run->base_dir = run->env.user ? run->env.user->base_dir : jobs->base_dir;
    job->workdir = run->base_dir;
    if (run->env.user)
        job->user = run->env.user->ids;
    if (task->workdir) {
        resolve(&jobs->workdir, run->base_dir, task->workdir);
        job->workdir = buf_text(&jobs->workdir);
    }
    if (task->type == DAG_TASK_PYTHON) {
        code = build_python(run, task, job, err);
    } else if (task->command) {
        job->kind = JOB_COMMAND;
        job->command = task->command;
        if (strlen(task->command) > POOL_STRING_BYTES_MAX)
            code = error_set(err, ERROR_TOO_BIG,
                             "command takes %zu bytes, but at most %d can be passed to a shell: put it into a file",
                             strlen(task->command), POOL_STRING_BYTES_MAX);
    } else {
        job->kind = JOB_ARGV;
        code = add_words(run, task, "command", &task->argv, &job->argv.count, err);
    }
    if (!code)
        code = pool_run_env_build(&run->env, task, number, job->key.fence,
                                  task->virtual_env ? buf_text(&jobs->venv) : NULL, &jobs->env, &job->env.count, err);
    if (!code)
        add_trace(run, task, job);
    size_t bytes = jobs->argv.len + jobs->env.len + (job->command ? strlen(job->command) : 0);
    if (!code && bytes > LIMIT_COMMAND_BYTES_MAX)
        code = error_set(err, ERROR_TOO_BIG, "its arguments and environment take %zu bytes; at most %d are allowed",
                         bytes, LIMIT_COMMAND_BYTES_MAX);
    return code;
}

/* ---- requests ---- */

/* What a variable put into a header or an address could end it there, or start another. */
static bool has_control(const char *text, size_t len, bool spaces_too)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && (c != '\t' || spaces_too)) || c == 0x7f || (c == ' ' && spaces_too))
            return true;
    }
    return false;
}

static void end_header(struct buf *headers, uint32_t *count)
{
    buf_add_char(headers, '\0');
    ++*count;
}

static int add_header(struct pool_run_jobs *run, const struct dag_task *task, const struct dag_var *header,
                      uint32_t *count, struct error *err)
{
    struct buf *out = &run->jobs->headers;
    buf_add_text(out, header->name);
    buf_add_text(out, ": ");
    size_t start = out->len;
    int code = expand(run, task, "headers", header->value, out, err);
    if (!code && has_control(out->bytes + start, out->len - start, false))
        code = error_set(err, ERROR_BAD_REQUEST, "headers: the value of '%.100s' has a control character in it",
                         header->name);
    if (!code)
        end_header(out, count);
    return code;
}

static bool has_header(const struct dag_vars *headers, const char *name)
{
    for (uint32_t i = 0; i < headers->count; i++)
        if (strcasecmp(headers->items[i].name, name) == 0)
            return true;
    return false;
}

static void add_trace_headers(struct pool_run_jobs *run, const struct dag_http *http, uint64_t fence, uint32_t *count)
{
    struct buf *out = &run->jobs->headers;
    char parent[ORIGIN_TRACEPARENT_LEN + 1];
    if (has_header(&http->headers, "traceparent") || !origin_attempt(run->origin, run->run_id, fence, parent))
        return;
    buf_add_text(out, "traceparent: ");
    worker_list_add(out, count, parent, ORIGIN_TRACEPARENT_LEN);
    if (!run->origin->tracestate || has_header(&http->headers, "tracestate"))
        return;
    buf_add_text(out, "tracestate: ");
    worker_list_add(out, count, run->origin->tracestate, strlen(run->origin->tracestate));
}

static int build_headers(struct pool_run_jobs *run, const struct dag_task *task, uint32_t *count, struct error *err)
{
    const struct dag_http *http = task->http;
    struct buf *out = &run->jobs->headers;
    int code = 0;
    for (uint32_t i = 0; i < http->headers.count && !code; i++)
        code = add_header(run, task, &http->headers.items[i], count, err);
    if (http->body && http->body_is_json && !has_header(&http->headers, "Content-Type")) {
        buf_add_text(out, "Content-Type: application/json");
        end_header(out, count);
    }
    if (!has_header(&http->headers, "Idempotency-Key")) {
        char run_id[UUID_TEXT_LEN + 1];
        uuid_format(run->run_id, run_id);
        buf_add_text(out, "Idempotency-Key: ");
        buf_add(out, run_id, UUID_TEXT_LEN);
        buf_add_char(out, '/');
        buf_add_text(out, task->id);
        end_header(out, count);
    }
    return code;
}

static int build_request(struct pool_run_jobs *run, const struct dag_task *task, struct job *job, struct error *err)
{
    struct pool_jobs *jobs = run->jobs;
    job->kind = JOB_HTTP;
    job->method = task->http->method;
    job->follow = task->http->follow;
    job->deny_private = jobs->http_deny_private;
    if (job->deny_private)
        job->networks = list_of(&jobs->http_networks, jobs->http_network_count);
    int code = expand(run, task, "url", task->http->url, &jobs->url, err);
    if (!code && has_control(jobs->url.bytes, jobs->url.len, true))
        code = error_set(err, ERROR_BAD_REQUEST, "url: has a space or a control character in it");
    if (!code)
        code = build_headers(run, task, &job->headers.count, err);
    if (!code)
        add_trace_headers(run, task->http, job->key.fence, &job->headers.count);
    if (!code && task->http->body) {
        code = dag_expand_body(run->dag, task, &run->env.source, &jobs->body, err);
        if (code)
            (void)error_add(err, "body");
    }
    if (code)
        return code;
    job->url = buf_text(&jobs->url);
    if (task->http->body) {
        job->body = buf_text(&jobs->body);
        job->body_len = jobs->body.len;
    }
    return 0;
}

/* ---- the whole ---- */

int pool_job_build(struct pool_run_jobs *run, uint32_t task_index, uint32_t number, uint64_t fence,
                   struct job *ret_job, struct error *err)
{
    assert(task_index < run->dag->task_count);
    struct pool_jobs *jobs = run->jobs;
    const struct dag_task *task = &run->dag->tasks[task_index];
    struct buf *texts[] = {&jobs->env, &jobs->argv, &jobs->headers, &jobs->body, &jobs->url, &jobs->log_path};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        buf_clear(texts[i]);
    struct job job = {
        .key = {.run_id = run->run_id, .fence = fence, .task = task_index, .number = number},
        .timeout_ms = task->timeout_ms,
        .log_bytes_max = jobs->log_bytes_max,
        .workdir = jobs->base_dir,
    };
    state_log_path(&jobs->log_path, jobs->data_dir, run->run_id, task_index, number);
    job.log_path = buf_text(&jobs->log_path);
    int code = pool_run_env_load_secrets(&run->env, err);
    if (!code)
        code = task->type == DAG_TASK_HTTP ? build_request(run, task, &job, err)
                                           : build_process(run, task, number, &job, err);
    if (code)
        return code;
    job.secrets = list_of(&run->env.secret_values, run->env.secret_count);
    job.env = list_of(&jobs->env, job.env.count);
    job.argv = list_of(&jobs->argv, job.argv.count);
    job.headers = list_of(&jobs->headers, job.headers.count);
    *ret_job = job;
    return 0;
}
