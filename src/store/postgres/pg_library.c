#include "store/postgres/pg_library.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

/* The name carries the ABI: what the header says holds for every library of that name. */
#define LIBRARY "libpq.so.5"

static const struct {
    const char *name;
    size_t offset;
} functions[] = {
    {"PQconnectStartParams", offsetof(struct pg_library, connect_start)},
    {"PQconnectPoll", offsetof(struct pg_library, connect_poll)},
    {"PQfinish", offsetof(struct pg_library, finish)},
    {"PQstatus", offsetof(struct pg_library, status)},
    {"PQtransactionStatus", offsetof(struct pg_library, transaction_status)},
    {"PQsocket", offsetof(struct pg_library, socket)},
    {"PQerrorMessage", offsetof(struct pg_library, error_message)},
    {"PQserverVersion", offsetof(struct pg_library, server_version)},
    {"PQsetnonblocking", offsetof(struct pg_library, set_nonblocking)},
    {"PQsetNoticeProcessor", offsetof(struct pg_library, set_notice_processor)},
    {"PQsendQuery", offsetof(struct pg_library, send_query)},
    {"PQsendQueryParams", offsetof(struct pg_library, send_params)},
    {"PQsendPrepare", offsetof(struct pg_library, send_prepare)},
    {"PQsendQueryPrepared", offsetof(struct pg_library, send_prepared)},
    {"PQflush", offsetof(struct pg_library, flush)},
    {"PQconsumeInput", offsetof(struct pg_library, consume_input)},
    {"PQisBusy", offsetof(struct pg_library, is_busy)},
    {"PQgetResult", offsetof(struct pg_library, get_result)},
    {"PQnotifies", offsetof(struct pg_library, notifies)},
    {"PQfreemem", offsetof(struct pg_library, free_memory)},
    {"PQresultStatus", offsetof(struct pg_library, result_status)},
    {"PQresultErrorField", offsetof(struct pg_library, result_error_field)},
    {"PQclear", offsetof(struct pg_library, clear)},
    {"PQntuples", offsetof(struct pg_library, rows)},
    {"PQcmdTuples", offsetof(struct pg_library, changed)},
    {"PQgetvalue", offsetof(struct pg_library, value)},
    {"PQgetlength", offsetof(struct pg_library, length)},
    {"PQgetisnull", offsetof(struct pg_library, is_null)},
};

int store_pg_library_open(struct pg_library *library, struct error *err)
{
    *library = (struct pg_library){.library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};
    if (!library->library)
        return error_set(err, ERROR_IO, "a PostgreSQL store needs libpq (Debian: apt install libpq5): %s", dlerror());
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *function = dlsym(library->library, functions[i].name);
        if (!function) {
            int code = error_set(err, ERROR_IO, "a PostgreSQL store needs a newer libpq: %s", dlerror());
            store_pg_library_close(library);
            return code;
        }
        /* POSIX gives functions as object pointers; both have one representation. */
        memcpy((char *)library + functions[i].offset, &function, sizeof function);
    }
    return 0;
}

void store_pg_library_close(struct pg_library *library)
{
    if (library->library)
        (void)dlclose(library->library);
    library->library = NULL;
}
