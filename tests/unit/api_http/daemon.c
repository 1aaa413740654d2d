#include "daemon.h"

#include "documented.h"

#include "support/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "auth/auth_gate.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "state/log_path.h"
#include "store/memory/store_memory.h"

static struct engine_now now_of(struct daemon *daemon)
{
    daemon->now_ms++;
    return (struct engine_now){.wall_ms = daemon->now_ms, .boot_ms = daemon->now_ms};
}

static void carry_out(struct daemon *daemon)
{
    struct effect *effects;
    size_t count = engine_take_effects(daemon->engine, &effects);
    for (size_t i = 0; i < count; i++) {
        const struct effect *effect = &effects[i];
        if (effect->kind != EFFECT_START)
            continue;
        assert_true(daemon->start_count < DAEMON_STARTS_MAX);
        daemon->starts[daemon->start_count++] = *effect;
        dag_unref(effect->dag);
        origin_unref(effect->origin);
        const struct engine_attempt started = {.run_id = effect->run_id, .task = effect->task,
                                               .number = effect->number, .fence = effect->fence, .exit_code = -1,
                                               .started_ms = daemon->now_ms};
        engine_attempt_started(daemon->engine, effect->worker, &started, now_of(daemon));
    }
}

/* Turns until nothing is left to do. With the lock. */
static void turn(struct daemon *daemon)
{
    for (;;) {
        engine_dispatch(daemon->engine, now_of(daemon));
        struct batch *batch = engine_take_batch(daemon->engine);
        if (!batch)
            break;
        struct error err;
        int rc = store_commit(daemon->store, &batch, 1, &err);
        assert_int_equal(rc, 0);
        live_apply(daemon->live, batch, daemon->now_ms);
        api_publish(daemon->api, batch, daemon->now_ms);
        engine_committed(daemon->engine, batch, now_of(daemon));
        record_batch_free(batch);
        carry_out(daemon);
    }
    carry_out(daemon);
}

static void submit(void *context, struct command *command)
{
    struct daemon *daemon = context;
    (void)pthread_mutex_lock(&daemon->lock);
    void (*before)(struct daemon *) = daemon->before_command;
    daemon->before_command = NULL;
    if (before)
        before(daemon);
    engine_command(daemon->engine, command, now_of(daemon));
    turn(daemon);
    (void)pthread_mutex_unlock(&daemon->lock);
}

static size_t get_workers(void *context, struct api_worker **ret_workers)
{
    struct daemon *daemon = context;
    struct engine_worker_view views[8];
    (void)pthread_mutex_lock(&daemon->lock);
    size_t count = engine_workers(daemon->engine, views, 8);
    (void)pthread_mutex_unlock(&daemon->lock);
    *ret_workers = mem_new_array(struct api_worker, count + 1);
    for (size_t i = 0; i < count; i++)
        (*ret_workers)[i] = (struct api_worker){.id = views[i].id, .state = views[i].state, .running = views[i].running,
                                                .queued = views[i].queued, .slots = views[i].slots};
    return count;
}

static void get_status(void *context, struct api_status *ret_status)
{
    struct daemon *daemon = context;
    (void)pthread_mutex_lock(&daemon->lock);
    struct engine_counts counts = engine_counts(daemon->engine);
    *ret_status = daemon->status;
    (void)pthread_mutex_unlock(&daemon->lock);
    ret_status->active_runs = counts.active_runs;
    ret_status->waiting_tasks = counts.waiting_tasks;
    ret_status->ready_tasks = counts.ready_tasks;
}

struct daemon *daemon_new(const struct daemon_options *options)
{
    static const struct daemon_options defaults;
    options = options ? options : &defaults;
    struct daemon *daemon = mem_new(struct daemon);
    (void)pthread_mutex_init(&daemon->lock, NULL);
    (void)snprintf(daemon->data_dir, sizeof daemon->data_dir, "/tmp/pawl-api-XXXXXX");
    assert_non_null(mkdtemp(daemon->data_dir));
    daemon->now_ms = 1795600000000;
    daemon->status = (struct api_status){.ready = true, .isolation = "best-effort", .workers_wanted = 1};
    daemon->store = options->no_store ? NULL : store_memory_new();
    daemon->live = live_new();
    const struct engine_options engine = {
        .seed = 7,
        .epoch = 1,
        .waiting_tasks_max = 1000000,
        .active_runs_max = options->active_runs_max ? options->active_runs_max : 1000,
    };
    daemon->engine = engine_new(&engine);
    struct api_backend backend = {.context = daemon, .store = daemon->store};
    if (!options->no_engine) {
        backend.live = daemon->live;
        backend.submit = submit;
        backend.get_workers = get_workers;
        backend.get_status = get_status;
    }
    daemon->gate = auth_gate_new(daemon->data_dir);
    const struct api_config config = {
        .data_dir = daemon->data_dir,
        .node_id = {{1, 2, 3}},
        .node_host = "here",
        .started_ms = daemon->now_ms,
        .owner_token = "owner",
        .gate = daemon->gate,
        .token_required = options->token_required,
        .threads = 1,
    };
    daemon->api = api_new(&config, &backend);
    struct error err;
    assert_int_equal(api_start(daemon->api, &err), 0);
    return daemon;
}

void daemon_free(struct daemon *daemon)
{
    char command[100];
    api_stop(daemon->api);
    api_free(daemon->api);
    auth_gate_free(daemon->gate);
    live_free(daemon->live);
    engine_free(daemon->engine);
    store_close(daemon->store);
    (void)pthread_mutex_destroy(&daemon->lock);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", daemon->data_dir);
    assert_int_equal(system(command), 0);
    mem_free(daemon);
}

struct uuid daemon_add_worker(struct daemon *daemon, uint32_t slots)
{
    struct uuid id = {{9}};
    (void)pthread_mutex_lock(&daemon->lock);
    id.bytes[15] = (uint8_t)(1 + engine_workers(daemon->engine, NULL, 0));
    engine_worker_joined(daemon->engine, id, slots, NULL, 0, now_of(daemon));
    turn(daemon);
    (void)pthread_mutex_unlock(&daemon->lock);
    return id;
}

static void end_start(struct daemon *daemon, size_t at, enum attempt_state outcome)
{
    struct effect start = daemon->starts[at];
    daemon->starts[at] = daemon->starts[--daemon->start_count];
    struct engine_attempt end = {
        .run_id = start.run_id,
        .task = start.task,
        .number = start.number,
        .fence = start.fence,
        .ended = true,
        .retryable = true,
        .outcome = outcome,
        .error_type = outcome == ATTEMPT_FAILED ? FAILURE_EXIT : FAILURE_NONE,
        .error = outcome == ATTEMPT_FAILED ? "exit status 3" : NULL,
        .exit_code = outcome == ATTEMPT_FAILED ? 3 : outcome == ATTEMPT_SUCCEEDED ? 0 : -1,
        .signal = outcome == ATTEMPT_CANCELED ? 15 : 0,
        .started_ms = daemon->now_ms,
        .ended_ms = daemon->now_ms + 5,
        .cpu_us = 1500,
        .max_rss_bytes = 4096,
    };
    daemon->now_ms += 5;
    engine_attempt_ended(daemon->engine, start.worker, &end, now_of(daemon));
    turn(daemon);
}

void daemon_end_task(struct daemon *daemon, const char *run_id, uint32_t task, enum attempt_state outcome)
{
    struct uuid id;
    assert_true(uuid_parse(run_id, &id));
    (void)pthread_mutex_lock(&daemon->lock);
    size_t at = 0;
    while (at < daemon->start_count
           && !(daemon->starts[at].task == task && uuid_equal(daemon->starts[at].run_id, id)))
        at++;
    assert_true(at < daemon->start_count);
    end_start(daemon, at, outcome);
    (void)pthread_mutex_unlock(&daemon->lock);
}

void daemon_finish(struct daemon *daemon)
{
    (void)pthread_mutex_lock(&daemon->lock);
    while (daemon->start_count)
        end_start(daemon, 0, ATTEMPT_SUCCEEDED);
    (void)pthread_mutex_unlock(&daemon->lock);
}

size_t daemon_running(const struct daemon *daemon)
{
    return daemon->start_count;
}

void daemon_pass(struct daemon *daemon, int64_t ms)
{
    (void)pthread_mutex_lock(&daemon->lock);
    daemon->now_ms += ms;
    engine_tick(daemon->engine, now_of(daemon));
    turn(daemon);
    (void)pthread_mutex_unlock(&daemon->lock);
}

static void send_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        bytes += sent;
        len -= (size_t)sent;
    }
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval patience = {.tv_sec = 60};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void undo_chunks(struct buf *body)
{
    struct buf whole = BUF_INIT;
    const char *at = body->bytes, *end = body->bytes + body->len;
    for (;;) {
        char *rest;
        unsigned long len = strtoul(at, &rest, 16);
        if (!len)
            break;
        at = rest + 2;
        assert_true((unsigned long)(end - at) >= len);
        buf_add(&whole, at, len);
        at += len + 2;
    }
    buf_fini(body);
    *body = whole;
}

void daemon_ask(struct daemon *daemon, const char *method, const char *target, const char *headers, const char *body,
                struct answer *answer)
{
    struct buf request = BUF_INIT;
    answer_fini(answer);
    const char *host = strncmp(headers, "Host:", 5) == 0 ? "" : "Host: localhost\r\n";
    buf_printf(&request, "%s %s HTTP/1.1\r\n%sConnection: close\r\n%s", method, target, host, headers);
    if (body) {
        if (!strcasestr(headers, "Content-Type:"))
            buf_add_text(&request, "Content-Type: application/json\r\n");
        if (!strcasestr(headers, "Transfer-Encoding:"))
            buf_printf(&request, "Content-Length: %zu\r\n", strlen(body));
    }
    buf_add_text(&request, "\r\n");
    if (body)
        buf_add_text(&request, body);
    int fd = connect_to(api_port(daemon->api));
    send_all(fd, request.bytes, request.len);
    buf_fini(&request);
    ssize_t got;
    do {
        size_t len = answer->head.len;
        got = recv(fd, buf_extend(&answer->head, 65536), 65536, 0);
        assert_true(got >= 0);
        answer->head.len = len + (size_t)got;
    } while (got > 0);
    (void)close(fd);
    char *gap = strstr(buf_text(&answer->head), "\r\n\r\n");
    assert_non_null(gap);
    size_t head_len = (size_t)(gap - answer->head.bytes) + 2;
    buf_add(&answer->body, answer->head.bytes + head_len + 2, answer->head.len - head_len - 2);
    answer->head.len = head_len;
    (void)buf_text(&answer->head);
    assert_int_equal(sscanf(answer->head.bytes, "HTTP/1.1 %d", &answer->status), 1);
    if (answer_header(answer, "Transfer-Encoding"))
        undo_chunks(&answer->body);
    (void)buf_text(&answer->body);
    documented_check(method, target, answer);
}

const char *answer_header(const struct answer *answer, const char *name)
{
    static char value[400];
    char key[100];
    (void)snprintf(key, sizeof key, "\r\n%s: ", name);
    const char *at = strcasestr(answer->head.bytes, key);
    if (!at)
        return NULL;
    at += strlen(key);
    size_t len = strcspn(at, "\r");
    assert_true(len < sizeof value);
    memcpy(value, at, len);
    value[len] = '\0';
    return value;
}

void answer_fini(struct answer *answer)
{
    buf_fini(&answer->head);
    buf_fini(&answer->body);
    *answer = (struct answer){0};
}

void answer_member(const struct answer *answer, const char *name, char *out, size_t size)
{
    json_t *root = json_loads(buf_text((struct buf *)&answer->body), JSON_REJECT_DUPLICATES, NULL);
    if (!root)
        fail_msg("no JSON: %s", answer->body.bytes);
    json_t *item = json_object_get(root, name);
    if (!item)
        fail_msg("no member %s: %s", name, answer->body.bytes);
    if (json_is_string(item)) {
        assert_true(json_string_length(item) < size);
        memcpy(out, json_string_value(item), json_string_length(item) + 1);
    } else {
        char *text = json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
        assert_true(strlen(text) < size);
        memcpy(out, text, strlen(text) + 1);
        free(text);
    }
    json_decref(root);
}

void answer_expect_error(const struct answer *answer, int status, const char *code)
{
    char text[2000];
    if (answer->status != status)
        fail_msg("status %d, not %d: %s", answer->status, status, answer->body.len ? answer->body.bytes : "");
    answer_member(answer, "code", text, sizeof text);
    assert_string_equal(text, code);
    answer_member(answer, "message", text, sizeof text);
    assert_true(strlen(text) > 5);
    answer_member(answer, "details", text, sizeof text);
    assert_string_equal(answer_header(answer, "Content-Type"), "application/json");
}

void daemon_make_dag(struct daemon *daemon, const char *name, const char *yaml, char *id)
{
    struct answer answer = {0};
    json_t *body = json_pack("{s:s, s:s}", "name", name, "yaml", yaml);
    char *text = json_dumps(body, JSON_COMPACT);
    daemon_ask(daemon, "POST", "/api/v1/dags", "", text, &answer);
    if (answer.status != 201)
        fail_msg("%s", answer.body.bytes);
    answer_member(&answer, "id", id, UUID_TEXT_LEN + 1);
    free(text);
    json_decref(body);
    answer_fini(&answer);
}

void daemon_trigger(struct daemon *daemon, const char *dag_id, char *run_id)
{
    struct answer answer = {0};
    char target[100];
    (void)snprintf(target, sizeof target, "/api/v1/dags/%s/runs", dag_id);
    daemon_ask(daemon, "POST", target, "", NULL, &answer);
    if (answer.status != 202)
        fail_msg("%s", answer.body.bytes);
    answer_member(&answer, "runId", run_id, UUID_TEXT_LEN + 1);
    answer_fini(&answer);
}
