/* Attempts that are requests: all of a worker in one libcurl multi handle, driven by the worker's loop. Nothing here
 * waits. libcurl's callbacks only note things; what has ended is looked at when the call into libcurl has returned. */
#include "worker/model.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "worker/curl.h"
#include "worker/network.h"

enum { SPARE_MAX = 64, ACTS_MAX = 100, STATUS_REDIRECT_TO_GET = 303 };

/* A socket that libcurl wants watched. */
struct watched {
    struct worker_watch watch;
    struct watched *next;          /* among those to be freed */
};

struct request {
    struct worker *worker;
    struct worker_attempt *attempt;
    CURL *easy;
    struct curl_slist *headers;
    char problem[CURL_ERROR_SIZE];
    char refused[INET6_ADDRSTRLEN];  /* an address it was kept from; "" */
};

struct worker_http {
    struct worker *worker;
    struct worker_curl curl;
    CURLM *multi;
    CURL *spare[SPARE_MAX];        /* easy handles to be used again */
    size_t spare_count;
    struct watched *unwatched;     /* freed at the end of the turn: an event may still point there */
    int64_t timeout_ms;            /* boot: when libcurl wants to be called; 0: not at all */
    bool due;                      /* that is now */
};

static void collect(struct worker_http *http);

static void on_socket(struct worker *worker, struct worker_watch *watch, uint32_t events)
{
    int what = 0;
    int running;
    if (events & EPOLLIN)
        what |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        what |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        what |= CURL_CSELECT_ERR;
    (void)worker->http->curl.multi_action(worker->http->multi, watch->fd, what, &running);
    collect(worker->http);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *socket_context)
{
    (void)easy;
    struct worker_http *http = context;
    struct watched *watched = socket_context;
    if (what == CURL_POLL_REMOVE) {
        if (watched) {
            worker_watch_remove(http->worker, &watched->watch);
            watched->next = http->unwatched;
            http->unwatched = watched;
            (void)http->curl.multi_assign(http->multi, fd, NULL);
        }
        return 0;
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (watched) {
        worker_watch_change(http->worker, &watched->watch, events);
        return 0;
    }
    watched = mem_new(struct watched);
    watched->watch.on_ready = on_socket;
    (void)worker_watch_add(http->worker, &watched->watch, fd, events);
    (void)http->curl.multi_assign(http->multi, fd, watched);
    return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct worker_http *http = context;
    http->due = timeout_ms == 0;
    http->timeout_ms = timeout_ms > 0 ? clock_boot_ms() + timeout_ms : 0;
    if (timeout_ms > 0)
        worker_wake_at(http->worker, http->timeout_ms);
    return 0;
}

static int open_http(struct worker *worker, struct error *err)
{
    struct worker_http *http = mem_new(struct worker_http);
    http->worker = worker;
    int code = worker_curl_open(&http->curl, err);
    if (code) {
        mem_free(http);
        return code;
    }
    http->multi = http->curl.multi_init();
    assert(http->multi);
    (void)http->curl.multi_set(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    (void)http->curl.multi_set(http->multi, CURLMOPT_SOCKETDATA, http);
    (void)http->curl.multi_set(http->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    (void)http->curl.multi_set(http->multi, CURLMOPT_TIMERDATA, http);
    /* Else four of each request that runs, and between two bursts that is none: all would be closed. */
    (void)http->curl.multi_set(http->multi, CURLMOPT_MAXCONNECTS, (long)worker->options->slots);
    worker->http = http;
    return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct request *request = context;
    worker_attempt_output(request->worker, request->attempt, bytes, size * count);
    return size * count;
}

/* libcurl keeps a method that was set by name over redirects; 303 means that what follows is a GET. */
static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    struct request *request = context;
    const struct worker_curl *curl = &request->worker->http->curl;
    long status = 0;
    if (size * count > 5 && strncasecmp(bytes, "http/", 5) == 0
        && curl->easy_get(request->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK
        && status == STATUS_REDIRECT_TO_GET && strcmp(request->attempt->job.method, "HEAD") != 0)
        (void)curl->easy_set(request->easy, CURLOPT_CUSTOMREQUEST, NULL);
    return size * count;
}

static bool has_header(const struct job *job, const char *name)
{
    size_t len = strlen(name);
    const char *cursor = job->headers.bytes;
    const char *line;
    while ((line = worker_list_next(&job->headers, &cursor)))
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return true;
    return false;
}

static void add_header(const struct worker_curl *curl, struct request *request, const char *line)
{
    request->headers = curl->slist_append(request->headers, line);
    assert(request->headers);
}

static bool has_body(const struct job *job)
{
    return job->body || strcmp(job->method, "POST") == 0;
}

/* Returns false when one of them would be more than one. */
static bool set_headers(const struct worker_curl *curl, struct request *request, const struct job *job)
{
    /* "Name:" takes away what libcurl would add by itself to a body. */
    static const char *const unwanted[] = {"Content-Type", "Expect"};
    size_t unwanted_count = has_body(job) ? sizeof unwanted / sizeof unwanted[0] : 0;
    char line[32];
    const char *cursor = job->headers.bytes;
    const char *text;
    while ((text = worker_list_next(&job->headers, &cursor))) {
        const char *colon = strchr(text, ':');
        if (!colon || strpbrk(text, "\r\n"))
            return false;
        if (colon[1 + strspn(colon + 1, " \t")] == '\0') {
            /* libcurl's way to write a header without a value */
            char *empty = mem_printf("%.*s;", (int)(colon - text), text);
            add_header(curl, request, empty);
            mem_free(empty);
        } else {
            add_header(curl, request, text);
        }
    }
    for (size_t i = 0; i < unwanted_count; i++) {
        if (has_header(job, unwanted[i]))
            continue;
        size_t len = strlen(unwanted[i]);
        memcpy(line, unwanted[i], len);
        memcpy(line + len, ":", 2);
        add_header(curl, request, line);
    }
    (void)curl->easy_set(request->easy, CURLOPT_HTTPHEADER, request->headers);
    return true;
}

static void set_method(const struct worker_curl *curl, CURL *easy, const struct job *job)
{
    bool is_get = strcmp(job->method, "GET") == 0;
    bool is_post = strcmp(job->method, "POST") == 0;
    if (strcmp(job->method, "HEAD") == 0)
        (void)curl->easy_set(easy, CURLOPT_NOBODY, 1L);
    else if (has_body(job)) {
        (void)curl->easy_set(easy, CURLOPT_POST, 1L);
        (void)curl->easy_set(easy, CURLOPT_POSTFIELDS, job->body ? job->body : "");
        (void)curl->easy_set(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)job->body_len);
    }
    if ((!is_get && !is_post) || (is_get && job->body))
        (void)curl->easy_set(easy, CURLOPT_CUSTOMREQUEST, job->method);
}

/* The last thing before a connection: the address is a number here, whatever wrote it and whoever resolved it, and
 * exactly this one is connected to. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct request *request = context;
    const struct sockaddr *to = &address->addr;
    if (!worker_network_is_public(to) && !worker_network_holds(&request->attempt->job.networks, to)) {
        const void *number = to->sa_family == AF_INET6
                                 ? (const void *)&((const struct sockaddr_in6 *)(const void *)to)->sin6_addr
                                 : (const void *)&((const struct sockaddr_in *)(const void *)to)->sin_addr;
        (void)inet_ntop(to->sa_family, number, request->refused, sizeof request->refused);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static bool set_options(const struct worker_curl *curl, struct request *request, const struct job *job)
{
    CURL *easy = request->easy;
    bool known = curl->easy_set(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK
              && curl->easy_set(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK;
    (void)curl->easy_set(easy, CURLOPT_URL, job->url);
    (void)curl->easy_set(easy, CURLOPT_PRIVATE, request);
    (void)curl->easy_set(easy, CURLOPT_ERRORBUFFER, request->problem);
    (void)curl->easy_set(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl->easy_set(easy, CURLOPT_NOPROXY, "*"); /* no environment decides where a request goes */
    (void)curl->easy_set(easy, CURLOPT_USERAGENT, "pawl/" PAWL_VERSION);
    (void)curl->easy_set(easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl->easy_set(easy, CURLOPT_WRITEDATA, request);
    (void)curl->easy_set(easy, CURLOPT_FOLLOWLOCATION, job->follow ? 1L : 0L);
    (void)curl->easy_set(easy, CURLOPT_MAXREDIRS, (long)job->follow);
    if (job->deny_private) {
        (void)curl->easy_set(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        (void)curl->easy_set(easy, CURLOPT_OPENSOCKETDATA, request);
    }
    (void)curl->easy_set(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl->easy_set(easy, CURLOPT_HEADERDATA, request);
    set_method(curl, easy, job);
    return known;
}

static void free_request(struct worker_http *http, struct request *request)
{
    http->curl.slist_free_all(request->headers);
    http->curl.easy_reset(request->easy);
    if (http->spare_count < SPARE_MAX)
        http->spare[http->spare_count++] = request->easy;
    else
        http->curl.easy_cleanup(request->easy);
    request->attempt->request = NULL;
    mem_free(request);
}

static void fail_for_good(struct worker *worker, struct worker_attempt *attempt, const char *text)
{
    worker_attempt_fail(attempt, FAILURE_HTTP, "%s", text);
    attempt->result.retryable = false;
    worker_attempt_finish(worker, attempt);
}

void worker_http_start(struct worker *worker, struct worker_attempt *attempt)
{
    struct error err = {0};
    if (!worker->http && open_http(worker, &err) != 0) {
        worker_attempt_fail(attempt, FAILURE_HTTP, "%s", err.text);
        worker_attempt_finish(worker, attempt);
        return;
    }
    struct worker_http *http = worker->http;
    struct request *request = mem_new(struct request);
    request->worker = worker;
    request->attempt = attempt;
    attempt->request = request;
    request->easy = http->spare_count ? http->spare[--http->spare_count] : http->curl.easy_init();
    assert(request->easy);
    const char *problem = NULL;
    if (!set_options(&http->curl, request, &attempt->job))
        problem = "libcurl is too old to be kept to http and https";
    else if (!set_headers(&http->curl, request, &attempt->job))
        problem = "a header is not one line of the form Name: value";
    else if (http->curl.multi_add(http->multi, request->easy) != CURLM_OK)
        problem = "libcurl does not take the request";
    if (problem) {
        free_request(http, request);
        fail_for_good(worker, attempt, problem);
        return;
    }
    worker_attempt_began(worker, attempt);
}

static bool cannot_help(long status, CURLcode code)
{
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return true;
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

/* libcurl's words name parts of the address, and part of a secret would not be recognised. */
static const char *words_of(const struct worker_curl *curl, const struct request *request, CURLcode code)
{
    bool is_open = request->problem[0] && !worker_attempt_hides(request->attempt, request->attempt->job.url);
    return is_open ? request->problem : curl->easy_strerror(code);
}

static void note_end(const struct worker_curl *curl, const struct request *request, CURLcode code)
{
    struct worker_attempt *attempt = request->attempt;
    long status = 0;
    (void)curl->easy_get(request->easy, CURLINFO_RESPONSE_CODE, &status);
    attempt->result.http_status = (int32_t)status;
    if (code == CURLE_TOO_MANY_REDIRECTS)
        worker_attempt_fail(attempt, FAILURE_HTTP, "HTTP %ld: more than %u redirects", status, attempt->job.follow);
    else if (code == CURLE_COULDNT_CONNECT && request->refused[0])
        worker_attempt_fail(attempt, FAILURE_HTTP, "the address %s is not public, and http-deny-private is set",
                            request->refused);
    else if (code != CURLE_OK)
        worker_attempt_fail(attempt, FAILURE_HTTP, "the request failed: %s",
                            words_of(curl, request, code));
    else if (status < 200 || status > 299)
        worker_attempt_fail(attempt, FAILURE_HTTP, "HTTP %ld", status);
    if (attempt->error && (cannot_help(status, code) || (code == CURLE_COULDNT_CONNECT && request->refused[0])))
        attempt->result.retryable = false;
}

/* What has ended. */
static void collect(struct worker_http *http)
{
    CURLMsg *message;
    int left;
    while ((message = http->curl.multi_read(http->multi, &left))) {
        struct request *request = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        (void)http->curl.easy_get(easy, CURLINFO_PRIVATE, &request);
        struct worker_attempt *attempt = request->attempt;
        note_end(&http->curl, request, code);
        (void)http->curl.multi_remove(http->multi, easy);
        free_request(http, request);
        worker_attempt_finish(http->worker, attempt);
    }
}

void worker_http_stop(struct worker *worker, struct worker_attempt *attempt)
{
    struct request *request = attempt->request;
    (void)worker->http->curl.multi_remove(worker->http->multi, request->easy);
    free_request(worker->http, request);
    worker_attempt_finish(worker, attempt);
}

static void act(struct worker_http *http)
{
    int running;
    http->due = false;
    http->timeout_ms = 0;
    (void)http->curl.multi_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(http);
}

void worker_http_deadlines(struct worker *worker, int64_t now_ms)
{
    struct worker_http *http = worker->http;
    if (http && http->timeout_ms && http->timeout_ms <= now_ms)
        act(http);
    if (http && http->timeout_ms)
        worker_wake_at(worker, http->timeout_ms);
}

static void free_unwatched(struct worker_http *http)
{
    struct watched *next;
    for (struct watched *watched = http->unwatched; watched; watched = next) {
        next = watched->next;
        mem_free(watched);
    }
    http->unwatched = NULL;
}

void worker_http_end_turn(struct worker *worker)
{
    struct worker_http *http = worker->http;
    if (!http)
        return;
    for (int i = 0; http->due && i < ACTS_MAX; i++)
        act(http);
    if (http->due) {
        http->due = false;
        http->timeout_ms = clock_boot_ms();
        worker_wake_at(worker, http->timeout_ms);
    }
    free_unwatched(http);
}

void worker_http_free(struct worker *worker)
{
    struct worker_http *http = worker->http;
    if (!http)
        return;
    for (uint32_t i = 0; i < worker->options->slots; i++)
        if (worker->slots[i].attempt && worker->slots[i].attempt->request)
            worker_http_stop(worker, worker->slots[i].attempt);
    for (size_t i = 0; i < http->spare_count; i++)
        http->curl.easy_cleanup(http->spare[i]);
    (void)http->curl.multi_cleanup(http->multi);
    free_unwatched(http);
    worker_curl_close(&http->curl);
    mem_free(http);
    worker->http = NULL;
}
