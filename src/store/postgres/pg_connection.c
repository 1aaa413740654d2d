/* Connections: made without blocking for longer than said, statements and their answers, errors in our words. Nothing
 * waits for the server without an end: an answer that does not come closes the connection (a server that is stopped, or
 * cut off, keeps its socket open for minutes). */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/cluster.h"
#include "store/postgres/pg_model.h"

/* search_path: our schema. The server gives up what we would not wait for, and ends a transaction whose node is gone,
 * so that nobody waits for its locks. Plans of the writer are fixed: rows are found by their keys, whatever the
 * statistics say. */
#define SETTINGS \
    "SET search_path TO pawl; SET client_min_messages TO warning; SET statement_timeout TO '8s'; " \
    "SET lock_timeout TO '4s'; SET idle_in_transaction_session_timeout TO '5s'; SET jit TO off; " \
    "SET default_transaction_isolation TO 'read committed'; SET bytea_output TO 'hex'; "
#define WRITER_SETTINGS \
    "SET plan_cache_mode TO force_generic_plan; SET enable_hashjoin TO off; SET enable_mergejoin TO off; " \
    "SET enable_seqscan TO off; "

/* ---- errors ---- */

int store_pg_alive(struct store_pg *store, struct error *err)
{
    if (!store->broken)
        return 0;
    (void)pthread_mutex_lock(&store->lock);
    int code = store->why_code == ERROR_STORE_FENCED ? ERROR_STORE_FENCED : ERROR_STORE_FAILED;
    (void)error_set(err, (enum error_code)code, "the store failed: %s", store->why);
    (void)pthread_mutex_unlock(&store->lock);
    return code;
}

void store_pg_set_broken(struct store_pg *store, int code, const char *why)
{
    (void)pthread_mutex_lock(&store->lock);
    if (!store->broken) {
        store->why_code = code;
        (void)snprintf(store->why, sizeof store->why, "%s", why);
    }
    store->broken = true;
    (void)pthread_mutex_unlock(&store->lock);
}

/* What an SQLSTATE means to us. */
static enum error_code code_of(const char *state)
{
    static const struct {
        const char *state;              /* its beginning */
        enum error_code code;
    } known[] = {
        {"08", ERROR_STORE_AWAY},       /* connection */
        {"25006", ERROR_STORE_AWAY},    /* read-only: a standby that is not promoted yet */
        {"25P03", ERROR_STORE_AWAY},    /* idle in transaction for too long */
        {"40", ERROR_STORE_RETRY},      /* serialization, deadlock */
        {"23505", ERROR_STORE_RETRY},   /* unique: another node was first */
        {"53100", ERROR_STORE_FULL},    /* disk */
        {"53", ERROR_STORE_AWAY},       /* memory, connections */
        {"55P03", ERROR_STORE_AWAY},    /* lock not available */
        {"57", ERROR_STORE_AWAY},       /* canceled, shutting down, starting up */
        {"58", ERROR_STORE_AWAY},       /* its operating system */
        {"XX", ERROR_STORE_AWAY},       /* internal: it restarts or somebody repairs it; we only ask again */
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strncmp(state, known[i].state, strlen(known[i].state)) == 0)
            return known[i].code;
    return ERROR_STORE_FAILED;
}

/* libpq's messages have several lines; the first says it. */
static int lost(struct pg_connection *connection, const char *why, struct error *err)
{
    const char *text = why ? why : connection->store->pg.error_message(connection->pg);
    int code = error_set(err, ERROR_STORE_AWAY, "PostgreSQL: %.*s", (int)strcspn(text, "\n"), text);
    store_pg_disconnect(connection);
    return code;
}

static int fault(struct pg_connection *connection, const PGresult *result, struct error *err)
{
    const struct pg_library *pg = &connection->store->pg;
    const char *state = pg->result_error_field(result, PG_DIAG_SQLSTATE);
    const char *text = pg->result_error_field(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = pg->result_error_field(result, PG_DIAG_MESSAGE_DETAIL);
    bool over = !state || strncmp(state, "57P", 3) == 0 || strncmp(state, "25P03", 5) == 0; /* the last it will say */
    if (over || pg->status(connection->pg) == CONNECTION_BAD)
        return lost(connection, text, err);
    return error_set(err, code_of(state), "PostgreSQL: %s%s%s (%s)", text ? text : "failed", detail ? ": " : "",
                     detail ? detail : "", state);
}

/* ---- connecting ---- */

static void ignore_notice(void *context, const char *text)
{
    (void)context;
    (void)text;
}

void store_cluster_hurry(struct store *head, int64_t wait_ms)
{
    struct store_pg *store = (struct store_pg *)head;
    assert(store_is_shared(head));
    store->hurry_ms = clock_boot_ms() + wait_ms;
}

static bool poll_socket(struct pg_connection *connection, short events, int64_t until_ms)
{
    struct store_pg *store = connection->store;
    struct pollfd poll_fd = {.fd = store->pg.socket(connection->pg), .events = events};
    for (;;) {
        int64_t hurry_ms = store->hurry_ms;
        bool hurries = hurry_ms && hurry_ms < until_ms;
        int64_t left_ms = (hurries ? hurry_ms : until_ms) - clock_boot_ms();
        if (left_ms <= 0 && hurries && !atomic_exchange(&store->hurried, true))
            log_warn("the database is waited for no longer");
        if (left_ms <= 0 || poll_fd.fd < 0)
            return false;
        int count = poll(&poll_fd, 1, (int)(left_ms < PG_LOOK_MS ? left_ms : PG_LOOK_MS));
        if (count > 0)
            return true;
        if (count < 0 && errno != EINTR)
            return false;
    }
}

static int connect_until(struct pg_connection *connection, int64_t until_ms, struct error *err)
{
    const struct pg_library *pg = &connection->store->pg;
    const char *const names[] = {"dbname",          "fallback_application_name", "client_encoding", "keepalives_idle",
                                 "keepalives_interval", "keepalives_count",          "tcp_user_timeout", NULL};
    const char *const values[] = {connection->store->url, "pawl", "UTF8", "5", "2", "3", "8000", NULL};
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    connection->pg = pg->connect_start(names, values, 1);
    if (!connection->pg)
        return error_set(err, ERROR_STORE_AWAY, "PostgreSQL: no memory for a connection");
    while (pg->status(connection->pg) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        if (next == PGRES_POLLING_FAILED ||
            !poll_socket(connection, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms))
            return lost(connection, next == PGRES_POLLING_FAILED ? NULL : "it does not answer", err);
        next = pg->connect_poll(connection->pg);
    }
    if (pg->status(connection->pg) == CONNECTION_BAD)
        return lost(connection, NULL, err);
    return 0;
}

int store_pg_connect(struct pg_connection *connection, struct error *err)
{
    struct store_pg *store = connection->store;
    if (connection->pg && store->pg.status(connection->pg) == CONNECTION_OK)
        return 0;
    store_pg_disconnect(connection);
    if (connection == &store->writer)
        store->next_run = store->runs_end = 0; /* a server that crashed may give the same numbers again */
    int code = connect_until(connection, clock_boot_ms() + PG_CONNECT_MS, err);
    if (code)
        return code;
    (void)store->pg.set_nonblocking(connection->pg, 1);
    (void)store->pg.set_notice_processor(connection->pg, ignore_notice, NULL);
    code = store_pg_query(connection, connection == &store->writer ? SETTINGS WRITER_SETTINGS : SETTINGS, NULL, NULL,
                          err);
    if (!code && store->durability == STORE_DURABILITY_RELAXED)
        code = store_pg_query(connection, "SET synchronous_commit TO off", NULL, NULL, err);
    if (code)
        store_pg_disconnect(connection);
    connection->used = false;
    return code;
}

void store_pg_disconnect(struct pg_connection *connection)
{
    if (connection->pg)
        connection->store->pg.finish(connection->pg);
    connection->pg = NULL;
    memset(connection->prepared, 0, sizeof connection->prepared);
}

/* ---- statements ---- */

/* Sends what is left to send, taking in what comes meanwhile. */
static int send_rest(struct pg_connection *connection, int64_t until_ms, struct error *err)
{
    const struct pg_library *pg = &connection->store->pg;
    for (int left; (left = pg->flush(connection->pg)) != 0;) {
        if (left < 0)
            return lost(connection, NULL, err);
        if (!poll_socket(connection, POLLIN | POLLOUT, until_ms))
            return lost(connection, "it takes nothing any more", err);
        if (!pg->consume_input(connection->pg))
            return lost(connection, NULL, err);
    }
    return 0;
}

/* All results of what was sent; the last is given, or the first that is an error decides. */
static int take_results(struct pg_connection *connection, PGresult **ret_result, struct error *err)
{
    const struct pg_library *pg = &connection->store->pg;
    int64_t until_ms = clock_boot_ms() + (connection->answer_ms ? connection->answer_ms : PG_ANSWER_MS);
    PGresult *last = NULL;
    int code = send_rest(connection, until_ms, err);
    while (!code) {
        while (!code && pg->is_busy(connection->pg)) {
            if (!poll_socket(connection, POLLIN, until_ms))
                code = lost(connection, "it does not answer", err);
            else if (!pg->consume_input(connection->pg))
                code = lost(connection, NULL, err);
        }
        PGresult *result = code ? NULL : pg->get_result(connection->pg);
        if (!result)
            break;
        store_pg_clear(connection->store, last);
        last = result;
        ExecStatusType status = pg->result_status(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
            code = fault(connection, result, err);
            while (connection->pg && (result = pg->get_result(connection->pg)))
                pg->clear(result);
        }
    }
    if (code || !ret_result) {
        store_pg_clear(connection->store, last);
        last = NULL;
    }
    if (!code)
        connection->used = true;
    if (ret_result)
        *ret_result = last;
    return code;
}

static int prepare(struct pg_connection *connection, enum pg_statement statement, struct error *err)
{
    char name[16];
    (void)snprintf(name, sizeof name, "s%d", (int)statement);
    if (!connection->store->pg.send_prepare(connection->pg, name, store_pg_sql[statement], 0, NULL))
        return lost(connection, NULL, err);
    int code = take_results(connection, NULL, err);
    connection->prepared[statement] = !code;
    return code;
}

int store_pg_run(struct pg_connection *connection, enum pg_statement statement, const struct pg_values *values,
                 PGresult **ret_result, struct error *err)
{
    static const struct pg_values none = {0};
    char name[16];
    if (ret_result)
        *ret_result = NULL;
    if (!connection->pg)
        return error_set(err, ERROR_STORE_AWAY, "PostgreSQL: the connection is gone");
    int code = connection->prepared[statement] ? 0 : prepare(connection, statement, err);
    if (code)
        return code;
    values = values ? values : &none;
    (void)snprintf(name, sizeof name, "s%d", (int)statement);
    if (!connection->store->pg.send_prepared(connection->pg, name, values->count, values->values, values->lengths,
                                             values->formats, 0))
        return lost(connection, NULL, err);
    return take_results(connection, ret_result, err);
}

int store_pg_query(struct pg_connection *connection, const char *sql, const struct pg_values *values,
                   PGresult **ret_result, struct error *err)
{
    const struct pg_library *pg = &connection->store->pg;
    if (ret_result)
        *ret_result = NULL;
    if (!connection->pg)
        return error_set(err, ERROR_STORE_AWAY, "PostgreSQL: the connection is gone");
    int sent = values ? pg->send_params(connection->pg, sql, values->count, NULL, values->values, values->lengths,
                                        values->formats, 0)
                      : pg->send_query(connection->pg, sql);
    return sent ? take_results(connection, ret_result, err) : lost(connection, NULL, err);
}

int store_pg_send(struct pg_connection *connection, const char *sql, struct error *err)
{
    if (!connection->pg)
        return error_set(err, ERROR_STORE_AWAY, "PostgreSQL: the connection is gone");
    return connection->store->pg.send_query(connection->pg, sql) ? 0 : lost(connection, NULL, err);
}

bool store_pg_is_done(struct pg_connection *connection, int64_t wait_ms)
{
    const struct pg_library *pg = &connection->store->pg;
    int64_t until_ms = clock_boot_ms() + wait_ms;
    while (connection->pg && pg->flush(connection->pg) >= 0 && pg->is_busy(connection->pg)) {
        struct pollfd poll_fd = {.fd = pg->socket(connection->pg), .events = POLLIN};
        int64_t left_ms = until_ms - clock_boot_ms();
        if (poll(&poll_fd, 1, left_ms > 0 ? (int)left_ms : 0) <= 0)
            return false;
        if (!pg->consume_input(connection->pg))
            break;
    }
    return true;
}

int store_pg_finish(struct pg_connection *connection, PGresult **ret_result, struct error *err)
{
    *ret_result = NULL;
    if (!connection->pg)
        return error_set(err, ERROR_STORE_AWAY, "PostgreSQL: the connection is gone");
    return take_results(connection, ret_result, err);
}

void store_pg_wait(struct pg_connection *connection, int fd, int64_t wait_ms)
{
    const struct pg_library *pg = &connection->store->pg;
    struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    if (connection->pg)
        fds[1].fd = pg->socket(connection->pg);
    if (poll(fds, 2, (int)wait_ms) <= 0 || !fds[1].revents)
        return;
    if (!pg->consume_input(connection->pg))
        store_pg_disconnect(connection);
}

/* ---- the readers' pool ---- */

static int enter(struct store_pg *store, struct pg_connection **ret_connection, struct error *err)
{
    struct timespec until;
    int waited = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PG_READER_WAIT_MS / 1000;
    (void)pthread_mutex_lock(&store->lock);
    while (!store->free_readers && waited == 0)
        waited = pthread_cond_timedwait(&store->given_back, &store->lock, &until);
    struct pg_connection *connection = store->free_readers;
    if (connection)
        store->free_readers = connection->next_free;
    (void)pthread_mutex_unlock(&store->lock);
    if (!connection)
        return error_set(err, ERROR_STORE_AWAY, "PostgreSQL: all connections for reading are busy");
    *ret_connection = connection;
    return 0;
}

static void leave(struct store_pg *store, struct pg_connection *connection)
{
    (void)pthread_mutex_lock(&store->lock);
    connection->next_free = store->free_readers;
    store->free_readers = connection;
    (void)pthread_cond_signal(&store->given_back);
    (void)pthread_mutex_unlock(&store->lock);
}

int store_pg_read(struct store *head, pg_reader_fn *fn, void *context, struct error *err)
{
    struct store_pg *store = (struct store_pg *)head;
    struct pg_connection *connection = NULL;
    int code = enter(store, &connection, err);
    if (code)
        return code;
    bool is_old = connection->pg && connection->used;
    code = store_pg_connect(connection, err);
    if (!code)
        code = fn(connection, context, err);
    if (code == ERROR_STORE_AWAY && is_old && !connection->pg) {
        code = store_pg_connect(connection, err);
        if (!code)
            code = fn(connection, context, err);
    }
    leave(store, connection);
    return code == ERROR_STORE_RETRY ? error_set(err, ERROR_STORE_AWAY, "PostgreSQL: others were in the way") : code;
}
