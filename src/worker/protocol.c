/* The codec of the messages. Writing appends and sets the length at the end. Reading walks a bounded cursor that goes
 * bad once and for all at the first thing that does not fit, so that each reader below is a list of its fields and
 * one question at the end. */
#include "worker/protocol.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"

enum { LENGTH_BYTES = 4 };

/* Instead of the length of a text that is NULL; nothing follows it. */
#define TEXT_NULL UINT32_MAX


static void put(struct buf *out, const void *value, size_t len)
{
    buf_add(out, value, len);
}

static void put_u32(struct buf *out, uint32_t value)
{
    put(out, &value, sizeof value);
}

static void put_i32(struct buf *out, int32_t value)
{
    put(out, &value, sizeof value);
}

static void put_u64(struct buf *out, uint64_t value)
{
    put(out, &value, sizeof value);
}

static void put_i64(struct buf *out, int64_t value)
{
    put(out, &value, sizeof value);
}

static void put_bytes(struct buf *out, const char *bytes, size_t len)
{
    if (!bytes) {
        put_u32(out, TEXT_NULL);
        return;
    }
    put_u32(out, (uint32_t)len);
    put(out, bytes, len);
    buf_add_char(out, '\0');
}

static void put_text(struct buf *out, const char *text)
{
    put_bytes(out, text, text ? strlen(text) : 0);
}

static void put_list(struct buf *out, const struct job_list *list)
{
    put_u32(out, list->count);
    put_u32(out, (uint32_t)list->len);
    put(out, list->bytes, list->len);
}

static void put_key(struct buf *out, const struct job_key *key)
{
    put(out, key->run_id.bytes, sizeof key->run_id.bytes);
    put_u64(out, key->fence);
    put_u32(out, key->task);
    put_u32(out, key->number);
}

static void put_user(struct buf *out, const struct job_user *user)
{
    put_u32(out, user->other);
    if (!user->other)
        return;
    put_u32(out, user->uid);
    put_u32(out, user->gid);
    put_bytes(out, user->groups, user->group_count * sizeof(uint32_t));
}

static void put_job(struct buf *out, const struct job *job)
{
    put_key(out, &job->key);
    put_u32(out, (uint32_t)job->kind);
    put_i64(out, job->timeout_ms);
    put_text(out, job->log_path);
    put_i64(out, job->log_bytes_max);
    put_text(out, job->workdir);
    put_list(out, &job->env);
    put_text(out, job->command);
    put_list(out, &job->argv);
    put_bytes(out, job->code, job->code_len);
    put_text(out, job->method);
    put_text(out, job->url);
    put_list(out, &job->headers);
    put_bytes(out, job->body, job->body_len);
    put_u32(out, job->follow);
    put_list(out, &job->secrets);
    put_u32(out, job->deny_private);
    put_list(out, &job->networks);
    put_u32(out, job->warm);
    put_user(out, &job->user);
    put_u32(out, job->may_wait);
}

static void put_result(struct buf *out, const struct job_result *result)
{
    put_key(out, &result->key);
    put_u32(out, (uint32_t)result->outcome);
    put_u32(out, (uint32_t)result->error_type);
    put_u32(out, result->retryable);
    put_text(out, result->error);
    put_i32(out, result->exit_code);
    put_i32(out, result->signal);
    put_i32(out, result->http_status);
    put_i64(out, result->started_ms);
    put_i64(out, result->ended_ms);
    put_i64(out, result->cpu_us);
    put_i64(out, result->max_rss_bytes);
    put_i64(out, result->log_bytes);
    put_bytes(out, result->log, result->log_len);
}

static void put_hello(struct buf *out, const struct message_hello *hello)
{
    put_u32(out, hello->version);
    put(out, hello->worker_id.bytes, sizeof hello->worker_id.bytes);
    put(out, hello->boot_id.bytes, sizeof hello->boot_id.bytes);
    put_u64(out, hello->start_ticks);
    put_i32(out, hello->pid);
    put_u32(out, hello->slots);
    put_u32(out, (uint32_t)hello->isolation);
    put_u32(out, hello->level);
}

static size_t begin_frame(struct buf *out, enum message_type type)
{
    const uint16_t words[2] = {(uint16_t)type, 0};
    size_t start = out->len;
    put_u32(out, 0);
    put(out, words, sizeof words);
    return start;
}

static void end_frame(struct buf *out, size_t start)
{
    size_t size = out->len - start;
    assert(size <= LIMIT_MESSAGE_BYTES_MAX);
    uint32_t length = (uint32_t)(size - LENGTH_BYTES);
    memcpy(out->bytes + start, &length, sizeof length);
}

/* An upper bound of the frame's size, so that nothing large is copied for nothing. */
static size_t job_size(const struct job *job)
{
    const char *const texts[] = {job->log_path, job->workdir, job->command, job->method, job->url};
    size_t size = PROTOCOL_HEAD_BYTES + 256 + job->code_len + job->body_len;
    size += job->user.group_count * sizeof(uint32_t);
    size += job->env.len + job->argv.len + job->headers.len + job->secrets.len + job->networks.len;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        size += texts[i] ? strlen(texts[i]) : 0;
    return size;
}

int worker_message_write_start(struct buf *out, const struct job *job, struct error *err)
{
    size_t size = job_size(job);
    if (size > LIMIT_MESSAGE_BYTES_MAX)
        return error_set(err, ERROR_TOO_BIG, "the task needs %zu bytes to start; the limit is %d", size,
                         LIMIT_MESSAGE_BYTES_MAX);
    size_t start = begin_frame(out, MESSAGE_START);
    put_job(out, job);
    end_frame(out, start);
    return 0;
}

void worker_message_write(struct buf *out, const struct message *message)
{
    assert(message->type > MESSAGE_NONE && message->type < MESSAGE_TYPE_COUNT);
    size_t start = begin_frame(out, message->type);
    switch (message->type) {
    case MESSAGE_HELLO:
        put_hello(out, &message->hello);
        break;
    case MESSAGE_HELD:
    case MESSAGE_STARTED:
        put_key(out, &message->started.key);
        put_i32(out, message->started.pid);
        put_i64(out, message->started.started_ms);
        break;
    case MESSAGE_RESULT:
        put_result(out, &message->result);
        break;
    case MESSAGE_START:
        put_job(out, &message->start);
        break;
    case MESSAGE_ACK:
        put_key(out, &message->ack);
        break;
    case MESSAGE_RECALL:
    case MESSAGE_RETURNED:
        put_key(out, &message->waiter);
        break;
    case MESSAGE_STOP:
        put_key(out, &message->stop.key);
        put_u32(out, (uint32_t)message->stop.reason);
        break;
    case MESSAGE_LEASE:
        put_i64(out, message->lease_ms);
        break;
    case MESSAGE_READY:
    case MESSAGE_QUIT:
    case MESSAGE_KILL_ALL:
        break;
    case MESSAGE_NONE:
    case MESSAGE_TYPE_COUNT:
        break;
    }
    end_frame(out, start);
}


struct cursor {
    const char *at;
    size_t left;
    const char *problem; /* the first one; nothing after it is read */
};

static void fail(struct cursor *in, const char *problem)
{
    if (!in->problem)
        in->problem = problem;
    in->left = 0;
}

static const char *take(struct cursor *in, size_t len)
{
    if (in->problem || len > in->left) {
        fail(in, "it ends in the middle of a field");
        return NULL;
    }
    const char *at = in->at;
    in->at += len;
    in->left -= len;
    return at;
}

static void get(struct cursor *in, void *ret_value, size_t len)
{
    const char *at = take(in, len);
    if (at)
        memcpy(ret_value, at, len);
    else
        memset(ret_value, 0, len);
}

static uint32_t get_u32(struct cursor *in)
{
    uint32_t value;
    get(in, &value, sizeof value);
    return value;
}

static int32_t get_i32(struct cursor *in)
{
    int32_t value;
    get(in, &value, sizeof value);
    return value;
}

static uint64_t get_u64(struct cursor *in)
{
    uint64_t value;
    get(in, &value, sizeof value);
    return value;
}

/* Times, sizes and amounts: never negative. */
static int64_t get_amount(struct cursor *in)
{
    int64_t value;
    get(in, &value, sizeof value);
    if (value < 0)
        fail(in, "an amount is negative");
    return value;
}

static unsigned get_enum(struct cursor *in, unsigned count)
{
    uint32_t value = get_u32(in);
    if (value >= count)
        fail(in, "a value is out of its range");
    return in->problem ? 0 : value;
}

static const char *get_bytes(struct cursor *in, size_t *ret_len)
{
    uint32_t len = get_u32(in);
    *ret_len = 0;
    if (in->problem || len == TEXT_NULL)
        return NULL;
    const char *bytes = take(in, (size_t)len + 1);
    if (!bytes)
        return NULL;
    if (bytes[len] != '\0') {
        fail(in, "a text has no end");
        return NULL;
    }
    *ret_len = len;
    return bytes;
}

static const char *get_text(struct cursor *in)
{
    size_t len;
    const char *text = get_bytes(in, &len);
    if (text && memchr(text, '\0', len)) {
        fail(in, "a text holds a NUL");
        return NULL;
    }
    return text;
}

static struct job_list get_list(struct cursor *in)
{
    struct job_list list = {.count = get_u32(in)};
    uint32_t len = get_u32(in);
    const char *bytes = take(in, len);
    if (!bytes)
        return (struct job_list){0};
    uint32_t count = 0;
    for (const char *at = bytes; at < bytes + len; count++) {
        const char *end = memchr(at, '\0', (size_t)(bytes + len - at));
        if (!end) {
            fail(in, "a list has no end");
            return (struct job_list){0};
        }
        at = end + 1;
    }
    if (count != list.count) {
        fail(in, "a list has another length than it says");
        return (struct job_list){0};
    }
    list.bytes = bytes;
    list.len = len;
    return list;
}

static void get_key(struct cursor *in, struct job_key *ret_key)
{
    get(in, ret_key->run_id.bytes, sizeof ret_key->run_id.bytes);
    ret_key->fence = get_u64(in);
    ret_key->task = get_u32(in);
    ret_key->number = get_u32(in);
}

static bool is_absolute(const char *path)
{
    return path && path[0] == '/';
}

/* What each kind cannot do without. */
static void check_job(struct cursor *in, const struct job *job)
{
    if (!is_absolute(job->log_path))
        fail(in, "the log has no absolute path");
    if (job->kind == JOB_HTTP) {
        if (!job->method || !job->method[0] || !job->url)
            fail(in, "a request has no method or no URL");
        return;
    }
    if (!is_absolute(job->workdir))
        fail(in, "the workdir has no absolute path");
    if (job->kind == JOB_COMMAND && !job->command)
        fail(in, "the command is missing");
    if (job->kind == JOB_ARGV && job->argv.count == 0)
        fail(in, "the program is missing");
    if (job->kind == JOB_PYTHON && job->argv.count < (job->code ? 1u : 2u))
        fail(in, "the interpreter or the script is missing");
}

static void get_user(struct cursor *in, struct job_user *user)
{
    size_t len;
    user->other = get_enum(in, 2);
    if (!user->other)
        return;
    user->uid = get_u32(in);
    user->gid = get_u32(in);
    user->groups = get_bytes(in, &len);
    user->group_count = (uint32_t)(len / sizeof(uint32_t));
    if (user->uid == UINT32_MAX || user->gid == UINT32_MAX)
        fail(in, "a user means no change"); /* to setresuid(2) */
    if (len % sizeof(uint32_t) || len > LIMIT_USER_GROUPS_MAX * sizeof(uint32_t))
        fail(in, "the groups of a user are none");
}

static void get_job(struct cursor *in, struct job *job)
{
    get_key(in, &job->key);
    job->kind = (enum job_kind)get_enum(in, JOB_KIND_COUNT);
    job->timeout_ms = get_amount(in);
    job->log_path = get_text(in);
    job->log_bytes_max = get_amount(in);
    job->workdir = get_text(in);
    job->env = get_list(in);
    job->command = get_text(in);
    job->argv = get_list(in);
    job->code = get_bytes(in, &job->code_len);
    job->method = get_text(in);
    job->url = get_text(in);
    job->headers = get_list(in);
    job->body = get_bytes(in, &job->body_len);
    job->follow = get_u32(in);
    job->secrets = get_list(in);
    job->deny_private = get_enum(in, 2);
    job->networks = get_list(in);
    job->warm = in->left > 0 && get_u32(in) != 0; /* of a daemon that knows it */
    if (in->left > 0)
        get_user(in, &job->user); /* the same */
    job->may_wait = in->left > 0 && get_u32(in) != 0;
    check_job(in, job);
}

static void get_result(struct cursor *in, struct job_result *result)
{
    get_key(in, &result->key);
    result->outcome = (enum attempt_state)get_enum(in, ATTEMPT_STATE_COUNT);
    result->error_type = (enum error_type)get_enum(in, FAILURE_COUNT);
    result->retryable = get_enum(in, 2);
    result->error = get_text(in);
    result->exit_code = get_i32(in);
    result->signal = get_i32(in);
    result->http_status = get_i32(in);
    result->started_ms = get_amount(in);
    result->ended_ms = get_amount(in);
    result->cpu_us = get_amount(in);
    result->max_rss_bytes = get_amount(in);
    result->log_bytes = get_amount(in);
    if (in->left) /* a worker of an earlier version keeps every log in a file */
        result->log = get_bytes(in, &result->log_len);
    if (result->log_len > LIMIT_LOG_INLINE_BYTES_MAX)
        fail(in, "a log is too long for a result");
    if (!state_attempt_is_terminal(result->outcome))
        fail(in, "a result is no end");
    if ((result->outcome == ATTEMPT_SUCCEEDED) != !result->error)
        fail(in, "a result's error does not fit its outcome");
    if (result->ended_ms < result->started_ms)
        fail(in, "a result ends before it started");
}

static void get_hello(struct cursor *in, struct message_hello *hello)
{
    hello->version = get_u32(in);
    get(in, hello->worker_id.bytes, sizeof hello->worker_id.bytes);
    get(in, hello->boot_id.bytes, sizeof hello->boot_id.bytes);
    hello->start_ticks = get_u64(in);
    hello->pid = get_i32(in);
    hello->slots = get_u32(in);
    hello->isolation = (enum isolation)get_enum(in, ISOLATION_COUNT);
    hello->level = in->left ? get_u32(in) : 0;
    if (hello->pid <= 0 || hello->slots == 0 || hello->slots > LIMIT_SLOTS_MAX)
        fail(in, "a worker has no pid or no slots");
}

static void get_fields(struct cursor *in, struct message *message)
{
    switch (message->type) {
    case MESSAGE_HELLO:
        get_hello(in, &message->hello);
        break;
    case MESSAGE_HELD:
    case MESSAGE_STARTED:
        get_key(in, &message->started.key);
        message->started.pid = get_i32(in);
        message->started.started_ms = get_amount(in);
        if (message->started.pid < 0)
            fail(in, "a pid is negative");
        break;
    case MESSAGE_RESULT:
        get_result(in, &message->result);
        break;
    case MESSAGE_START:
        get_job(in, &message->start);
        break;
    case MESSAGE_ACK:
        get_key(in, &message->ack);
        break;
    case MESSAGE_RECALL:
    case MESSAGE_RETURNED:
        get_key(in, &message->waiter);
        break;
    case MESSAGE_STOP:
        get_key(in, &message->stop.key);
        message->stop.reason = (enum stop_reason)get_enum(in, STOP_REASON_COUNT);
        break;
    case MESSAGE_LEASE:
        message->lease_ms = get_amount(in);
        break;
    case MESSAGE_NONE:
    case MESSAGE_READY:
    case MESSAGE_QUIT:
    case MESSAGE_KILL_ALL:
    case MESSAGE_TYPE_COUNT:
        break;
    }
}

ssize_t worker_message_read(const char *bytes, size_t len, struct message *ret_message, struct error *err)
{
    uint32_t length;
    uint16_t words[2];
    if (len >= sizeof length) {
        memcpy(&length, bytes, sizeof length);
        if (length < sizeof words || length > LIMIT_MESSAGE_BYTES_MAX - LENGTH_BYTES) {
            error_set(err, ERROR_BAD_REQUEST, "no message: a length of %u", length);
            return -1;
        }
    }
    if (len < PROTOCOL_HEAD_BYTES)
        return 0;
    memcpy(words, bytes + LENGTH_BYTES, sizeof words);
    if (words[0] == MESSAGE_NONE || words[1] != 0) {
        error_set(err, ERROR_BAD_REQUEST, "no message: a type of %u and %u", words[0], words[1]);
        return -1;
    }
    size_t size = LENGTH_BYTES + (size_t)length;
    if (len < size)
        return 0;
    memset(ret_message, 0, sizeof *ret_message);
    ret_message->type = words[0] < MESSAGE_TYPE_COUNT ? (enum message_type)words[0] : MESSAGE_NONE;
    struct cursor in = {.at = bytes + PROTOCOL_HEAD_BYTES, .left = size - PROTOCOL_HEAD_BYTES};
    get_fields(&in, ret_message);
    if (in.problem) {
        error_set(err, ERROR_BAD_REQUEST, "no message of type %u: %s", words[0], in.problem);
        return -1;
    }
    return (ssize_t)size;
}


const char *worker_list_next(const struct job_list *list, const char **cursor)
{
    const char *text = *cursor;
    if (!text || text >= list->bytes + list->len)
        return NULL;
    *cursor = text + strlen(text) + 1;
    return text;
}

void worker_list_add(struct buf *bytes, uint32_t *count, const char *text, size_t len)
{
    buf_add(bytes, text, len);
    buf_add_char(bytes, '\0');
    ++*count;
}
