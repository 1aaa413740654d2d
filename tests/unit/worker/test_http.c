/* http tasks against a server of ours, in a process of its own, that answers by the path and can tell what it was
 * sent. */
#include "rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static const struct rig_mode mode = {"best effort", WORKER_ISOLATION_BEST_EFFORT, WORKER_SPAWN_AUTO};

static struct {
    pid_t pid;
    int port;
    char url[256];
} server;

static void answer(int fd, const char *status, const char *more, const char *body, size_t len)
{
    char head[512];
    int head_len = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, len, more);
    (void)send(fd, head, (size_t)head_len, MSG_NOSIGNAL | MSG_MORE);
    (void)send(fd, body, len, MSG_NOSIGNAL);
}

/* `request` is whole, terminated. Returns false when nothing more is to be expected on this connection. */
static bool serve_one(int fd, const char *request)
{
    char path[256] = "";
    int number = 0;
    char more[128];
    if (sscanf(request, "%*s %255s", path) != 1)
        return false;
    if (sscanf(path, "/status/%d", &number) == 1) {
        (void)snprintf(more, sizeof more, "%d Some Reason", number);
        answer(fd, more, "", "body\n", 5);
    } else if (sscanf(path, "/redirect/%d", &number) == 1) {
        (void)snprintf(more, sizeof more, number ? "Location: /redirect/%d\r\n" : "Location: /echo\r\n", number - 1);
        answer(fd, "302 Found", more, "not this", 8);
    } else if (strcmp(path, "/see-other") == 0) {
        answer(fd, "303 See Other", "Location: /echo\r\n", "", 0);
    } else if (strcmp(path, "/to-file") == 0) {
        answer(fd, "302 Found", "Location: file:///etc/hostname\r\n", "", 0);
    } else if (strcmp(path, "/big") == 0) {
        char *big = mem_alloc(100000);
        memset(big, 'x', 100000);
        answer(fd, "200 OK", "", big, 100000);
        mem_free(big);
    } else if (strcmp(path, "/never") == 0) {
        return true;
    } else if (strcmp(path, "/cut") == 0) {
        (void)send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf", 43, MSG_NOSIGNAL);
        return false;
    } else {
        answer(fd, "200 OK", "", request, strlen(request));
    }
    return true;
}

/* Bytes of the first request, 0 when it is not whole yet. */
static size_t request_size(struct buf *in)
{
    const char *text = buf_text(in);
    const char *end = strstr(text, "\r\n\r\n");
    if (!end)
        return 0;
    size_t size = (size_t)(end - text) + 4;
    for (const char *line = text; line < end; line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, "Content-Length:", 15) == 0)
            size += strtoul(line + 15, NULL, 10);
    return in->len >= size ? size : 0;
}

static void serve_connection(int *fd, struct buf *in)
{
    char bytes[4096];
    ssize_t len = recv(*fd, bytes, sizeof bytes, 0);
    if (len > 0)
        buf_add(in, bytes, (size_t)len);
    size_t size = request_size(in);
    bool more = len > 0;
    if (size) {
        char *request = mem_strndup(in->bytes, size);
        more = serve_one(*fd, request);
        mem_free(request);
        buf_drop_front(in, size);
    }
    if (!more) {
        (void)close(*fd);
        *fd = -1;
        buf_clear(in);
    }
}

enum { CONNECTIONS_MAX = 32 };

static _Noreturn void serve(int listen_fd)
{
    struct pollfd ready[CONNECTIONS_MAX + 1];
    struct buf in[CONNECTIONS_MAX] = {0};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        ready[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    ready[CONNECTIONS_MAX] = (struct pollfd){.fd = listen_fd, .events = POLLIN};
    for (;;) {
        (void)poll(ready, CONNECTIONS_MAX + 1, -1);
        for (int i = 0; i < CONNECTIONS_MAX; i++) {
            if (ready[i].fd >= 0 && ready[i].revents)
                serve_connection(&ready[i].fd, &in[i]);
            if (ready[i].fd < 0 && ready[CONNECTIONS_MAX].revents) {
                ready[i].fd = accept(listen_fd, NULL, NULL);
                ready[i].revents = 0;
                ready[CONNECTIONS_MAX].revents = 0;
            }
        }
    }
}

static int start_server(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    server.port = ntohs(address.sin_port);
    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0)
        serve(fd);
    (void)close(fd);
    return 0;
}

static int stop_server(void **state)
{
    (void)state;
    (void)kill(server.pid, SIGKILL);
    (void)waitpid(server.pid, NULL, 0);
    return 0;
}

static struct job http_job(struct rig *rig, const char *method, const char *path)
{
    struct job job = rig_command(rig, NULL);
    (void)snprintf(server.url, sizeof server.url, "http://127.0.0.1:%d%s", server.port, path);
    job.kind = JOB_HTTP;
    job.workdir = NULL;
    job.method = method;
    job.url = server.url;
    return job;
}

static struct job_result run(struct rig *rig, const char *method, const char *path)
{
    struct job job = http_job(rig, method, path);
    return rig_run(rig, &job);
}

static void test_success_is_2xx_and_the_body_is_the_log(void **state)
{
    struct rig *rig = *state;
    struct job_result result = run(rig, "GET", "/status/200");
    assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
    assert_int_equal(result.http_status, 200);
    assert_int_equal(result.exit_code, -1);
    assert_int_equal(result.log_bytes, 5);
    assert_string_equal(rig_log(rig, rig->log_path), "body\n");
    result = run(rig, "GET", "/status/299");
    assert_int_equal(result.outcome, ATTEMPT_SUCCEEDED);
    rig_quit(rig);
}

static void test_other_answers_fail_with_their_status(void **state)
{
    struct rig *rig = *state;
    static const struct {
        const char *path;
        const char *error;
        bool retryable;
    } cases[] = {
        {"/status/503", "HTTP 503", true},  {"/status/500", "HTTP 500", true},  {"/status/404", "HTTP 404", false},
        {"/status/400", "HTTP 400", false}, {"/status/408", "HTTP 408", true},  {"/status/429", "HTTP 429", true},
        {"/status/300", "HTTP 300", true},  {"/redirect/0", "HTTP 302", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct job_result result = run(rig, "GET", cases[i].path);
        assert_int_equal(result.outcome, ATTEMPT_FAILED);
        assert_int_equal(result.error_type, FAILURE_HTTP);
        assert_string_equal(result.error, cases[i].error);
        assert_int_equal(result.retryable, cases[i].retryable);
    }
    rig_quit(rig);
}

/* What the server got, method to body: ours and nothing that libcurl adds for forms. */
static void test_what_is_sent(void **state)
{
    struct rig *rig = *state;
    static const char headers[] = "X-One: 1\0Idempotency-Key: run/task\0X-Empty:";
    struct job job = http_job(rig, "PUT", "/echo?a=b");
    job.headers = (struct job_list){headers, sizeof headers, 3};
    job.body = "{\"a\": 1}";
    job.body_len = 8;
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_SUCCEEDED);
    const char *log = rig_log(rig, rig->log_path);
    assert_true(str_starts_with(log, "PUT /echo?a=b HTTP/1.1\r\n"));
    assert_non_null(strstr(log, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(log, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(log, "\r\nIdempotency-Key: run/task\r\n"));
    assert_non_null(strstr(log, "\r\nContent-Length: 8\r\n"));
    assert_non_null(strstr(log, "\r\n\r\n{\"a\": 1}"));
    assert_null(strstr(log, "x-www-form-urlencoded"));
    assert_null(strstr(log, "Expect"));
    static const char *const methods[] = {"GET", "POST", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        assert_int_equal(run(rig, methods[i], "/echo").outcome, ATTEMPT_SUCCEEDED);
        assert_true(str_starts_with(rig_log(rig, rig->log_path), methods[i]));
        assert_null(strstr(rig_log(rig, rig->log_path), "Content-Type"));
        assert_null(strstr(rig_log(rig, rig->log_path), "Expect"));
    }
    assert_int_equal(run(rig, "HEAD", "/status/204").outcome, ATTEMPT_SUCCEEDED);
    rig_quit(rig);
}

static void test_a_header_cannot_smuggle_another(void **state)
{
    struct rig *rig = *state;
    static const char headers[] = "X-One: 1\r\nX-Two: 2";
    struct job job = http_job(rig, "GET", "/echo");
    job.headers = (struct job_list){headers, sizeof headers, 1};
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.error_type, FAILURE_HTTP);
    assert_false(result.retryable);
    rig_quit(rig);
}

static void test_redirects_as_many_as_asked_for(void **state)
{
    struct rig *rig = *state;
    struct job job = http_job(rig, "GET", "/redirect/2");
    job.follow = 3;
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_SUCCEEDED);
    assert_true(str_starts_with(rig_log(rig, rig->log_path), "GET /echo"));
    job = http_job(rig, "GET", "/redirect/2");
    job.follow = 2;
    struct job_result result = rig_run(rig, &job);
    assert_string_equal(result.error, "HTTP 302: more than 2 redirects");
    job = http_job(rig, "PUT", "/see-other");
    job.follow = 1;
    job.body = "x";
    job.body_len = 1;
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_SUCCEEDED);
    assert_true(str_starts_with(rig_log(rig, rig->log_path), "GET /echo"));
    rig_quit(rig);
}

static void test_other_schemes_are_refused(void **state)
{
    struct rig *rig = *state;
    static const char *const urls[] = {"file:///etc/hostname", "ftp://127.0.0.1/x", "no url at all", "http://"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct job job = http_job(rig, "GET", "/");
        job.url = urls[i];
        struct job_result result = rig_run(rig, &job);
        assert_int_equal(result.outcome, ATTEMPT_FAILED);
        assert_int_equal(result.error_type, FAILURE_HTTP);
        assert_string_equal(rig_log(rig, rig->log_path), "");
    }
    struct job job = http_job(rig, "GET", "/to-file");
    job.follow = 5;
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_FAILED);
    assert_string_equal(rig_log(rig, rig->log_path), "");
    rig_quit(rig);
}

static void test_broken_connections_say_why(void **state)
{
    struct rig *rig = *state;
    struct job_result result = run(rig, "GET", "/cut");
    assert_int_equal(result.outcome, ATTEMPT_FAILED);
    assert_true(str_starts_with(result.error, "the request failed: "));
    assert_true(result.retryable);
    struct job job = http_job(rig, "GET", "/");
    job.url = "http://127.0.0.1:1/";
    result = rig_run(rig, &job);
    assert_int_equal(result.error_type, FAILURE_HTTP);
    assert_int_equal(result.http_status, 0);
    assert_true(str_starts_with(result.error, "the request failed: "));
    rig_quit(rig);
}

static void test_the_body_is_capped(void **state)
{
    struct rig *rig = *state;
    struct job job = http_job(rig, "GET", "/big");
    job.log_bytes_max = 10;
    assert_int_equal(rig_run(rig, &job).outcome, ATTEMPT_SUCCEEDED);
    assert_string_equal(rig_log(rig, rig->log_path), "xxxxxxxxxx\n[pawl: output beyond 10 bytes is not kept]\n");
    rig_quit(rig);
}

static void test_timeout_and_cancel(void **state)
{
    struct rig *rig = *state;
    struct job job = http_job(rig, "GET", "/never");
    job.timeout_ms = 100;
    struct job_result result = rig_run(rig, &job);
    assert_int_equal(result.outcome, ATTEMPT_TIMED_OUT);
    assert_int_equal(result.error_type, FAILURE_TIMEOUT);
    assert_string_equal(result.error, "timed out after 100ms");
    job = http_job(rig, "GET", "/never");
    rig_begin(rig, &job);
    rig_send(rig, &(struct message){.type = MESSAGE_STOP, .stop = {job.key, STOP_CANCEL}});
    result = rig_result(rig);
    assert_int_equal(result.outcome, ATTEMPT_CANCELED);
    job = http_job(rig, "GET", "/never");
    rig_begin(rig, &job);
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
}

/* libcurl's sockets are no business of a program started meanwhile. */
static void test_sockets_stay_here(void **state)
{
    struct rig *rig = *state;
    struct job request = http_job(rig, "GET", "/never");
    rig_begin(rig, &request);
    struct job job = rig_command(rig, "ls -l /proc/self/fd | grep -c socket");
    assert_int_equal(rig_run(rig, &job).exit_code, 1);
    assert_string_equal(rig_log(rig, rig->log_path), "0\n");
    rig_send_bare(rig, MESSAGE_KILL_ALL);
    rig_expect_death(rig);
}

/* Many after each other and beside each other, on connections that are used again. */
static void test_many(void **state)
{
    struct rig *rig = *state;
    unsigned answered = 0;
    for (int i = 0; i < 50; i++) {
        for (int k = 0; k < 4; k++) {
            struct job job = http_job(rig, "POST", k % 2 ? "/echo" : "/big");
            rig_send(rig, &(struct message){.type = MESSAGE_START, .start = job});
        }
        for (int k = 0; k < 4; k++)
            answered += rig_result(rig).outcome == ATTEMPT_SUCCEEDED;
    }
    assert_int_equal(answered, 200);
    rig_quit(rig);
}

static int set_up(void **state)
{
    struct rig *rig = rig_new(&mode);
    *state = rig;
    rig_start(rig);
    (void)rig_connect(rig);
    return 0;
}

static int tear_down(void **state)
{
    rig_free(*state);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_success_is_2xx_and_the_body_is_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_answers_fail_with_their_status, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_header_cannot_smuggle_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_redirects_as_many_as_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_schemes_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broken_connections_say_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_body_is_capped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_timeout_and_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sockets_stay_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
