#include "client/client.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "client/connection.h"
#include "client/response.h"

enum { CONNECT_TIMEOUT_MS = 5000 };
static const size_t answer_bytes_max = (size_t)2 << 30;

struct client {
    struct client_url url;
    char *url_text;
    char *owner_token;
    char *token;
    char *traceparent;
    char *ca_file;
    char *pin;
    struct client_trust trust;
    int64_t timeout_ms;
    struct client_connection connection;
};

struct client_stream {
    struct client_connection connection;
    struct client_response response;
    struct buf received;    /* scratch */
    struct buf body;        /* decoded, not handed out yet: came with the head */
};

int client_new(const struct client_options *options, struct client **ret_client, struct error *err)
{
    struct client_url url;
    int rc = client_url_parse(options->url, &url, err);
    if (rc)
        return rc;
    struct client *client = mem_new(struct client);
    client->url = url;
    client->url_text = mem_strdup(options->url);
    client->owner_token = mem_strdup(options->owner_token);
    client->token = mem_strdup(options->token);
    client->traceparent = mem_strdup(options->traceparent);
    client->timeout_ms = options->timeout_ms;
    client->ca_file = mem_strdup(options->trust.ca_file);
    client->pin = mem_strdup(options->trust.pin);
    client->trust = (struct client_trust){.ca_file = client->ca_file, .pin = client->pin};
    client->connection = (struct client_connection){
        .fd = -1, .interrupt_fd = options->interrupt_fd, .trust = &client->trust};
    *ret_client = client;
    return 0;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    client_connection_close(&client->connection);
    mem_free(client->url_text);
    mem_free(client->ca_file);
    mem_free(client->pin);
    mem_free(client->owner_token);
    mem_free(client->token);
    mem_free(client->traceparent);
    mem_free(client);
}

const char *client_url(const struct client *client)
{
    return client->url_text;
}

void client_set_interrupt(struct client *client, int interrupt_fd)
{
    client->connection.interrupt_fd = interrupt_fd;
}

void client_answer_fini(struct client_answer *answer)
{
    buf_fini(&answer->body);
}

static const char *method_of(const struct client_request *request)
{
    return request->method ? request->method : "GET";
}

static void write_request(const struct client *client, const struct client_request *request, struct buf *out)
{
    buf_printf(out, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: pawl/%s\r\nAccept: */*\r\n", method_of(request),
               client->url.prefix, request->target, client->url.authority, PAWL_VERSION);
    if (client->owner_token)
        buf_printf(out, "X-Pawl-Owner: %s\r\n", client->owner_token);
    if (client->token)
        buf_printf(out, "Authorization: Bearer %s\r\n", client->token);
    if (client->traceparent && strcmp(method_of(request), "POST") == 0)
        buf_printf(out, "traceparent: %s\r\n", client->traceparent);
    for (const char *const *header = request->headers; header && header[0]; header += 2)
        buf_printf(out, "%s: %s\r\n", header[0], header[1]);
    if (request->body)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", request->body_len);
    else if (strcmp(method_of(request), "GET") != 0)
        buf_add_text(out, "Content-Length: 0\r\n");
    buf_add_text(out, "\r\n");
}

/* A value with a line break would be another header: such a request is never sent. */
static int check_request(const struct client_request *request, struct error *err)
{
    for (const char *at = request->target; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return error_set(err, ERROR_USAGE, "a space or control character in a request's target");
    for (const char *const *header = request->headers; header && header[0]; header++)
        for (const char *at = *header; *at; at++)
            if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
                return error_set(err, ERROR_USAGE, "a control character in '%.100s'", header[0]);
    return 0;
}

static int send_request(const struct client *client, struct client_connection *connection,
                        const struct client_request *request, struct error *err)
{
    struct buf head = BUF_INIT;
    bool early = false;
    write_request(client, request, &head);
    int rc = client_connection_send(connection, head.bytes, head.len, client->timeout_ms, &early, err);
    if (rc == 0 && !early && request->body_len > 0)
        rc = client_connection_send(connection, request->body, request->body_len, client->timeout_ms, &early, err);
    buf_fini(&head);
    return rc;
}

/* Reads until the head (to_head) or the whole answer is there. *ret_any: at least one byte came. */
static int receive(struct client_connection *connection, struct client_response *response, bool to_head,
                   int64_t timeout_ms, struct buf *body, bool *ret_any, struct error *err)
{
    struct buf received = BUF_INIT;
    int rc = 0;
    *ret_any = false;
    while (rc == 0 && response->phase != CLIENT_DONE && !(to_head && response->phase != CLIENT_HEAD)) {
        size_t len;
        bool end;
        buf_clear(&received);
        rc = client_connection_receive(connection, timeout_ms, &received, &len, &end, err);
        if (rc)
            break;
        *ret_any = *ret_any || len > 0;
        rc = end ? client_response_close(response, err)
                 : client_response_feed(response, received.bytes, received.len, body, err);
        if (rc == 0 && body->len > answer_bytes_max)
            rc = error_set(err, ERROR_TOO_BIG, "the answer is larger than %zu MiB", answer_bytes_max >> 20);
    }
    buf_fini(&received);
    return rc;
}

static int64_t number_header(const struct client_response *response, const char *name)
{
    const char *value;
    int len = client_response_header(response, name, &value);
    if (len <= 0 || len > 18)
        return -1;
    int64_t number = 0;
    for (int i = 0; i < len; i++) {
        if (!isdigit((unsigned char)value[i]))
            return -1;
        number = number * 10 + (value[i] - '0');
    }
    return number;
}

static void fill_answer(const struct client_response *response, struct client_answer *answer)
{
    answer->status = response->status;
    answer->log_size = number_header(response, "X-Log-Size");
    answer->retry_after_s = number_header(response, "Retry-After");
    const char *value;
    int len = client_response_header(response, "ETag", &value);
    answer->etag[0] = '\0';
    if (len > 0 && (size_t)len < sizeof answer->etag) {
        memcpy(answer->etag, value, (size_t)len);
        answer->etag[len] = '\0';
    }
}

static int call_once(struct client *client, const struct client_request *request, struct client_answer *answer,
                     bool *ret_any, struct error *err)
{
    struct client_response response;
    client_response_init(&response, strcmp(method_of(request), "HEAD") == 0);
    *ret_any = false;
    int rc = send_request(client, &client->connection, request, err);
    if (rc == 0)
        rc = receive(&client->connection, &response, false, client->timeout_ms, &answer->body, ret_any, err);
    if (rc == 0)
        fill_answer(&response, answer);
    if (rc || !response.keep_alive)
        client_connection_close(&client->connection);
    client_response_fini(&response);
    return rc;
}

int client_send(struct client *client, const struct client_request *request, struct client_answer *ret_answer,
                struct error *err)
{
    struct client_answer answer = {0};
    int rc = check_request(request, err);
    if (rc)
        return rc;
    for (int round = 0;; round++) {
        bool any = false;
        bool kept = client->connection.fd >= 0 && !client_connection_is_stale(&client->connection);
        if (!kept) {
            client_connection_close(&client->connection);
            rc = client_connection_open(&client->connection, &client->url, CONNECT_TIMEOUT_MS, err);
        }
        if (rc == 0)
            rc = call_once(client, request, &answer, &any, err);
        bool again = rc == ERROR_UNREACHABLE && kept && !any && round == 0 && strcmp(method_of(request), "GET") == 0;
        if (!again)
            break;
        buf_clear(&answer.body);
        rc = 0;
    }
    if (rc)
        client_answer_fini(&answer);
    else
        *ret_answer = answer;
    return rc;
}

static int code_of_status(int status)
{
    static const struct {
        int status, code;
    } codes[] = {{401, ERROR_UNAUTHORIZED}, {403, ERROR_FORBIDDEN}, {404, ERROR_NOT_FOUND},
                 {405, ERROR_METHOD_NOT_ALLOWED}, {409, ERROR_RUN_ACTIVE}, {412, ERROR_PRECONDITION_FAILED},
                 {413, ERROR_PAYLOAD_TOO_LARGE}, {502, ERROR_UNREACHABLE}, {503, ERROR_STOPPING},
                 {504, ERROR_UNREACHABLE}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].status == status)
            return codes[i].code;
    return status >= 500 ? ERROR_INTERNAL : ERROR_BAD_REQUEST;
}

int client_answer_error(int status, const char *body, size_t len, struct error *err)
{
    if (status < 400)
        return 0;
    json_t *root = len > 0 ? json_loadb(body, len, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(root, "code"));
    const char *message = json_string_value(json_object_get(root, "message"));
    const char *details = json_string_value(json_object_get(root, "details"));
    enum error_code code = (enum error_code)code_of_status(status);
    if (name && strcmp(error_name(error_from_name(name)), name) == 0)
        code = (enum error_code)error_from_name(name);
    if (message)
        error_set(err, code, "%s%s%s", message, details ? ": " : "", details ? details : "");
    else
        error_set(err, code, "the server answered with status %d", status);
    json_decref(root);
    return (int)code;
}

int client_stream_open(struct client *client, const struct client_request *request, struct client_stream **ret_stream,
                       struct error *err)
{
    int rc = check_request(request, err);
    if (rc)
        return rc;
    struct client_stream *stream = mem_new(struct client_stream);
    stream->connection = (struct client_connection){
        .fd = -1, .interrupt_fd = client->connection.interrupt_fd, .trust = &client->trust};
    client_response_init(&stream->response, false);
    bool any;
    rc = client_connection_open(&stream->connection, &client->url, CONNECT_TIMEOUT_MS, err);
    if (rc == 0)
        rc = send_request(client, &stream->connection, request, err);
    if (rc == 0)
        rc = receive(&stream->connection, &stream->response, true, client->timeout_ms, &stream->body, &any, err);
    if (rc == 0 && stream->response.status >= 400) {
        rc = receive(&stream->connection, &stream->response, false, client->timeout_ms, &stream->body, &any, err);
        if (rc == 0)
            rc = client_answer_error(stream->response.status, stream->body.bytes, stream->body.len, err);
    }
    if (rc)
        client_stream_close(stream);
    else
        *ret_stream = stream;
    return rc;
}

void client_stream_close(struct client_stream *stream)
{
    if (!stream)
        return;
    client_connection_close(&stream->connection);
    client_response_fini(&stream->response);
    buf_fini(&stream->received);
    buf_fini(&stream->body);
    mem_free(stream);
}

int client_stream_fd(const struct client_stream *stream)
{
    return stream->connection.fd;
}

int client_stream_read(struct client_stream *stream, bool wait, struct buf *into, bool *ret_end, struct error *err)
{
    int rc = 0;
    size_t before = into->len;
    if (stream->body.len > 0) {
        buf_add(into, stream->body.bytes, stream->body.len);
        buf_clear(&stream->body);
    }
    while (rc == 0 && into->len == before && stream->response.phase != CLIENT_DONE) {
        size_t len;
        bool end;
        buf_clear(&stream->received);
        rc = client_connection_receive(&stream->connection, wait ? -1 : 0, &stream->received, &len, &end, err);
        if (rc == 0 && end)
            rc = client_response_close(&stream->response, err);
        else if (rc == 0 && len > 0)
            rc = client_response_feed(&stream->response, stream->received.bytes, len, into, err);
        if (rc == 0 && len == 0 && !wait)
            break;
    }
    *ret_end = stream->response.phase == CLIENT_DONE;
    return rc;
}

bool client_stream_is_ready(const struct client_stream *stream)
{
    return stream->body.len > 0 || stream->response.phase == CLIENT_DONE;
}

void client_encode(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c))
            buf_add_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}
