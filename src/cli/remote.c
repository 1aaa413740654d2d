#include "cli/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/address.h"
#include "cli/file.h"
#include "client/connection.h"
#include "server/address.h"

enum { CALL_TIMEOUT_MS = 60000, TOKEN_BYTES_MAX = 4096 };

/* RFC 6750, b64token */
static const char token_characters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";

/* Of --token-file, else PAWL_TOKEN: never an argument, which everybody on the machine could read. */
static int find_token(struct cli *cli, const char **ret_token, struct error *err)
{
    const char *path = cli_text(cli, CLI_TOKEN_FILE), *text = getenv("PAWL_TOKEN");
    struct buf file = BUF_INIT;
    int rc = path ? cli_file_read(path, TOKEN_BYTES_MAX, &file, err) : 0;
    if (rc == 0 && path)
        text = arena_strndup(&cli->arena, buf_text(&file), strcspn(buf_text(&file), "\r\n"));
    buf_fini(&file);
    if (rc == 0 && text && text[strspn(text, token_characters)])
        rc = error_set(err, ERROR_USAGE, "%s holds what cannot be a token", path ? path : "PAWL_TOKEN");
    *ret_token = rc == 0 && text && text[0] ? text : NULL;
    return rc;
}

/* It was said to be a choice where the daemon starts; whoever sends the token may not know. */
static void warn_of_plain(struct cli *cli, const char *text)
{
    struct client_url url;
    if (client_url_parse(text, &url, NULL) == 0 && !url.is_tls && !cli_address_is_loopback(url.host))
        cli_say(cli, "the token goes to %s unencrypted: use https if the server has it", url.authority);
}

/* local: the daemon of the data directory; NULL when it is another. */
static int connect_to(struct cli_remote *remote, const char *url, const struct server_address *local,
                      struct error *err)
{
    const char *owner = local ? local->token : NULL, *pin = local ? local->pin : NULL;
    const char *token;
    int rc = find_token(remote->cli, &token, err);
    if (rc)
        return rc;
    if (token && !local)
        warn_of_plain(remote->cli, url);
    const char *trace = getenv("TRACEPARENT"); /* as tracing tools give it to programs */
    if (trace && trace[strspn(trace, "0123456789abcdef-")])
        trace = NULL;
    const struct client_options options = {
        .url = url,
        .trust = {.ca_file = cli_text(remote->cli, CLI_CA_FILE), .pin = pin && pin[0] ? pin : NULL},
        .owner_token = owner && owner[0] ? owner : NULL,
        .token = token,
        .traceparent = trace && trace[0] ? trace : NULL,
        .timeout_ms = CALL_TIMEOUT_MS,
        .interrupt_fd = remote->cli->interrupt_fd,
    };
    return client_new(&options, &remote->client, err);
}

static bool same_url(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    a_len -= a_len > 0 && a[a_len - 1] == '/';
    b_len -= b_len > 0 && b[b_len - 1] == '/';
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static int no_daemon(struct cli *cli, struct error *err)
{
    cli_hint(cli, "start one with 'pawl serve', or name one with --server URL");
    return error_set(err, ERROR_UNREACHABLE, "no daemon runs on %s", cli_text(cli, CLI_DATA));
}

/* The daemon, if there is one. Who owns its directory sends the token, which lifts the network's limits. */
static int find_daemon(struct cli_remote *remote, struct error *err)
{
    struct cli *cli = remote->cli;
    const char *url = cli_text(cli, CLI_SERVER);
    struct server_address address;
    struct error why;
    bool live = server_address_read(cli_text(cli, CLI_DATA), &address, &why) == 0 && server_address_is_live(&address);
    if (url)
        return connect_to(remote, url, live && same_url(url, address.url) ? &address : NULL, err);
    return live ? connect_to(remote, address.url, &address, err) : 0;
}

int cli_remote_open(struct cli *cli, enum cli_need need, struct cli_remote *ret_remote, struct error *err)
{
    struct cli_remote remote = {.cli = cli};
    const char *data = cli_text(cli, CLI_DATA);
    cli_catch_signals(cli);
    int rc = need == CLI_NEED_LOCAL ? 0 : find_daemon(&remote, err);
    if (rc)
        return rc;
    bool elsewhere = cli_text(cli, CLI_SERVER) != NULL && need != CLI_NEED_LOCAL;
    bool alone = !remote.client && need != CLI_NEED_LOCAL;
    if (need != CLI_NEED_DAEMON && !elsewhere && (need != CLI_NEED_CATALOG || alone)) {
        rc = server_offline_open(data, alone ? SERVER_OFFLINE_ALL : SERVER_OFFLINE_LOCAL, &remote.offline, err);
        if (rc == ERROR_NOT_FOUND)
            rc = 0;
    }
    if (rc == 0 && !remote.client && !remote.offline)
        rc = no_daemon(cli, err);
    if (rc)
        cli_remote_close(&remote);
    else
        *ret_remote = remote;
    return rc;
}

void cli_remote_close(struct cli_remote *remote)
{
    client_free(remote->client);
    server_offline_close(remote->offline);
    *remote = (struct cli_remote){0};
}

int cli_remote_send(struct cli_remote *remote, const struct client_request *request, struct client_answer *ret_answer,
                    struct error *err)
{
    if (!remote->client)
        return no_daemon(remote->cli, err);
    int rc = client_send(remote->client, request, ret_answer, err);
    if (rc == ERROR_UNREACHABLE)
        cli_hint(remote->cli, "is 'pawl serve' running there?");
    return rc;
}

int cli_remote_call(struct cli_remote *remote, const char *method, const char *target, const char *const *headers,
                    const struct buf *body, struct buf *ret_body, struct error *err)
{
    const struct client_request request = {
        .method = method,
        .target = target,
        .headers = headers,
        .body = body ? body->bytes : NULL,
        .body_len = body ? body->len : 0,
    };
    struct client_answer answer = {0};
    int rc = cli_remote_send(remote, &request, &answer, err);
    if (rc)
        return rc;
    rc = client_answer_error(answer.status, answer.body.bytes, answer.body.len, err);
    if (answer.status == 503 && answer.retry_after_s >= 0)
        cli_hint(remote->cli, "try again in %lld s", (long long)answer.retry_after_s);
    if (rc == 0 && ret_body)
        buf_add(ret_body, answer.body.bytes, answer.body.len);
    client_answer_fini(&answer);
    return rc;
}

static int get_offline(struct cli_remote *remote, const char *target, struct buf *ret_body, struct error *err)
{
    struct buf body = BUF_INIT;
    int status = 0;
    int rc = server_offline_get(remote->offline, target, &body, &status, err);
    if (rc == 0)
        rc = client_answer_error(status, body.bytes, body.len, err);
    if (rc == 0)
        buf_add(ret_body, body.bytes, body.len);
    buf_fini(&body);
    return rc;
}

int cli_remote_get(struct cli_remote *remote, const char *target, struct buf *ret_body, struct error *err)
{
    int rc = remote->client ? cli_remote_call(remote, "GET", target, NULL, NULL, ret_body, err)
                            : error_set(err, ERROR_NOT_FOUND, "nothing is stored");
    if (rc && remote->offline && error_exit_class(rc) == error_exit_class(ERROR_NOT_FOUND)) {
        struct error why;
        int offline_rc = get_offline(remote, target, ret_body, &why);
        if (offline_rc == 0 || !remote->client) {
            rc = offline_rc;
            if (rc && err)
                *err = why;
        }
    }
    return rc;
}

int cli_remote_parse(const struct buf *body, json_t **ret_json, struct error *err)
{
    json_error_t why;
    json_t *json = json_loadb(body->bytes ? body->bytes : "", body->len, JSON_DECODE_ANY, &why);
    if (!json)
        return error_set(err, ERROR_INTERNAL, "the server's answer is not JSON: %s", why.text);
    *ret_json = json;
    return 0;
}

int cli_remote_get_json(struct cli_remote *remote, const char *target, json_t **ret_json, struct error *err)
{
    struct buf body = BUF_INIT;
    int rc = cli_remote_get(remote, target, &body, err);
    if (rc == 0)
        rc = cli_remote_parse(&body, ret_json, err);
    buf_fini(&body);
    return rc;
}

/* One page of one source. */
static int get_page(struct cli_remote *remote, bool offline, const char *query, const char *before, size_t limit,
                    json_t **ret_page, struct error *err)
{
    struct buf target = BUF_INIT, body = BUF_INIT;
    buf_printf(&target, "%s%climit=%zu", query, strchr(query, '?') ? '&' : '?', limit);
    if (before)
        buf_printf(&target, "&before=%s", before);
    int rc = offline ? get_offline(remote, buf_text(&target), &body, err)
                     : cli_remote_call(remote, "GET", buf_text(&target), NULL, NULL, &body, err);
    if (rc == 0)
        rc = cli_remote_parse(&body, ret_page, err);
    buf_fini(&target);
    buf_fini(&body);
    return rc;
}

static const char *id_of(const json_t *item, const char *id_key)
{
    const char *id = json_string_value(json_object_get(item, id_key));
    return id ? id : "";
}

static int get_pages(struct cli_remote *remote, bool offline, const char *query, const char *id_key, size_t limit,
                     json_t *list, struct error *err)
{
    size_t got = 0;
    int rc = 0;
    while (rc == 0 && got < limit) {
        size_t want = limit - got < LIMIT_PAGE_MAX ? limit - got : LIMIT_PAGE_MAX;
        const json_t *last = got > 0 ? json_array_get(list, json_array_size(list) - 1) : NULL;
        json_t *page = NULL;
        rc = get_page(remote, offline, query, last ? id_of(last, id_key) : NULL, want, &page, err);
        size_t count = json_array_size(page);
        (void)json_array_extend(list, page);
        json_decref(page);
        got += count;
        if (count < want)
            break;
    }
    return rc;
}

/* Newest first, each id once: the ids are version 7, so their order is that of time. */
static json_t *merge(json_t *a, json_t *b, const char *id_key, size_t limit)
{
    json_t *list = json_array();
    size_t i = 0, k = 0;
    while (json_array_size(list) < limit && (i < json_array_size(a) || k < json_array_size(b))) {
        json_t *first = json_array_get(a, i), *second = json_array_get(b, k);
        int order = !first ? -1 : !second ? 1 : strcmp(id_of(first, id_key), id_of(second, id_key));
        json_array_append(list, order >= 0 ? first : second);
        i += order >= 0;
        k += order <= 0;
    }
    return list;
}

int cli_remote_list(struct cli_remote *remote, const char *query, const char *id_key, size_t limit, json_t **ret_list,
                    struct error *err)
{
    json_t *live = json_array(), *stored = json_array();
    int rc = remote->client ? get_pages(remote, false, query, id_key, limit, live, err) : 0;
    if (rc == 0 && remote->offline)
        rc = get_pages(remote, true, query, id_key, limit, stored, err);
    if (rc == 0)
        *ret_list = merge(live, stored, id_key, limit);
    json_decref(live);
    json_decref(stored);
    return rc;
}

void cli_remote_task_target(struct buf *out, const char *run_id, const char *task_id, const char *what)
{
    buf_printf(out, "/api/v1/runs/%s/tasks/", run_id);
    client_encode(out, task_id);
    buf_printf(out, "/%s", what);
}

/* Asks the daemon for the log's size first: -1 when it is not the daemon that has it. */
static int64_t log_size(struct cli_remote *remote, const char *target)
{
    struct buf first = BUF_INIT;
    struct client_answer answer = {0};
    int64_t size = -1;
    buf_printf(&first, "%s?limit=1", target);
    const struct client_request request = {.target = buf_text(&first)};
    if (remote->client && client_send(remote->client, &request, &answer, NULL) == 0) {
        size = answer.status == 200 ? answer.log_size : -1;
        client_answer_fini(&answer);
    }
    buf_fini(&first);
    return size;
}

int cli_remote_log_tail(struct cli_remote *remote, const char *run_id, const char *task_id, size_t max,
                        struct buf *ret_tail, struct error *err)
{
    struct buf base = BUF_INIT, target = BUF_INIT, page = BUF_INIT;
    int rc = 0;
    cli_remote_task_target(&base, run_id, task_id, "log");
    int64_t size = log_size(remote, buf_text(&base));
    int64_t offset = size > (int64_t)max ? size - (int64_t)max : 0;
    do {
        buf_clear(&page);
        buf_clear(&target);
        buf_printf(&target, "%s?offset=%lld", buf_text(&base), (long long)offset);
        rc = cli_remote_get(remote, buf_text(&target), &page, err);
        offset += (int64_t)page.len;
        buf_add(ret_tail, page.bytes, page.len);
        if (ret_tail->len > max)
            buf_drop_front(ret_tail, ret_tail->len - max);
    } while (rc == 0 && page.len > 0 && size < 0);
    buf_fini(&base);
    buf_fini(&target);
    buf_fini(&page);
    return rc;
}
