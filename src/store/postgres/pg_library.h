/* libpq, opened when a PostgreSQL store is: a daemon without one never loads it (design.md section 6). */
#ifndef PAWL_STORE_PG_LIBRARY_H
#define PAWL_STORE_PG_LIBRARY_H

#include <libpq-fe.h>

#include "base/error.h"

/* The functions used, by their names without PQ. */
struct pg_library {
    void *library;                  /* NULL: not open */
    __typeof__(PQconnectStartParams) *connect_start;
    __typeof__(PQconnectPoll) *connect_poll;
    __typeof__(PQfinish) *finish;
    __typeof__(PQstatus) *status;
    __typeof__(PQtransactionStatus) *transaction_status;
    __typeof__(PQsocket) *socket;
    __typeof__(PQerrorMessage) *error_message;
    __typeof__(PQserverVersion) *server_version;
    __typeof__(PQsetnonblocking) *set_nonblocking;
    __typeof__(PQsetNoticeProcessor) *set_notice_processor;
    __typeof__(PQsendQuery) *send_query;
    __typeof__(PQsendQueryParams) *send_params;
    __typeof__(PQsendPrepare) *send_prepare;
    __typeof__(PQsendQueryPrepared) *send_prepared;
    __typeof__(PQflush) *flush;
    __typeof__(PQconsumeInput) *consume_input;
    __typeof__(PQisBusy) *is_busy;
    __typeof__(PQgetResult) *get_result;
    __typeof__(PQnotifies) *notifies;
    __typeof__(PQfreemem) *free_memory;
    __typeof__(PQresultStatus) *result_status;
    __typeof__(PQresultErrorField) *result_error_field;
    __typeof__(PQclear) *clear;
    __typeof__(PQntuples) *rows;
    __typeof__(PQcmdTuples) *changed;
    __typeof__(PQgetvalue) *value;
    __typeof__(PQgetlength) *length;
    __typeof__(PQgetisnull) *is_null;
};

/* ERROR_IO with what to install when it is not there. */
int store_pg_library_open(struct pg_library *library, struct error *err);
void store_pg_library_close(struct pg_library *library);

#endif
