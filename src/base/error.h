/* Error codes and error texts.
 *
 * A function that can fail returns 0 or one of these codes and, where it takes a `struct error *`, writes words
 * for a person there. Codes are not errno values and never carry a scheduling verdict. `struct error` may be
 * NULL wherever one is taken. */
#ifndef PAWL_BASE_ERROR_H
#define PAWL_BASE_ERROR_H

/* code, HTTP status, exit class (product.md section 7), text when no better one is known */
#define ERROR_LIST(X)                                                                                       \
    X(OK, 200, 0, "no error")                                                                               \
    X(BAD_REQUEST, 400, 2, "the request is not valid")                                                      \
    X(PARSE_ERROR, 400, 3, "the DAG file cannot be read")                                                   \
    X(VALIDATION_ERROR, 400, 3, "the DAG is not valid")                                                     \
    X(UNAUTHORIZED, 401, 6, "a valid token is needed")                                                      \
    X(FORBIDDEN, 403, 6, "not allowed")                                                                     \
    X(NOT_FOUND, 404, 4, "not found")                                                                       \
    X(DAG_NOT_FOUND, 404, 4, "DAG not found")                                                               \
    X(RUN_NOT_FOUND, 404, 4, "run not found")                                                               \
    X(TASK_NOT_FOUND, 404, 4, "task not found")                                                             \
    X(WORKER_NOT_FOUND, 404, 4, "worker not found")                                                         \
    X(DEAD_LETTER_NOT_FOUND, 404, 4, "dead letter not found")                                               \
    X(METHOD_NOT_ALLOWED, 405, 2, "method not allowed")                                                     \
    X(DAG_EXISTS, 409, 5, "a DAG of this name exists")                                                      \
    X(DAG_HAS_ACTIVE_RUNS, 409, 5, "the DAG has active runs")                                               \
    X(RUN_FINISHED, 409, 5, "the run has finished")                                                         \
    X(RUN_ACTIVE, 409, 5, "the run is still active")                                                        \
    X(NOTHING_TO_RERUN, 409, 5, "every task of the run succeeded")                                          \
    X(ALREADY_RESOLVED, 409, 5, "the dead letter is resolved already")                                      \
    X(ALREADY_FIRED, 409, 5, "this instant of the schedule is covered already")                             \
    X(NO_SCHEDULE, 409, 5, "the DAG has no schedule")                                                       \
    X(LENGTH_REQUIRED, 411, 2, "a Content-Length is needed")                                                \
    X(PRECONDITION_FAILED, 412, 5, "changed in the meantime")                                               \
    X(PAYLOAD_TOO_LARGE, 413, 2, "the request body is too large")                                           \
    X(URI_TOO_LONG, 414, 2, "the request target is too long")                                               \
    X(UNSUPPORTED_MEDIA_TYPE, 415, 2, "the media type is not supported")                                    \
    X(IDEMPOTENCY_MISMATCH, 422, 5, "this Idempotency-Key was used with another body")                      \
    X(TOO_MANY_REQUESTS, 429, 6, "too many wrong tokens")                                                   \
    X(HEADERS_TOO_LARGE, 431, 2, "the request head is too large")                                           \
    X(INTERNAL, 500, 1, "an error inside pawl")                                                             \
    X(OUT_OF_MEMORY, 503, 1, "there is not enough memory")                                                  \
    X(FULL, 503, 5, "full")                                                                                 \
    X(STOPPING, 503, 7, "the daemon is stopping")                                                           \
    X(STORE_FAILED, 503, 7, "the store failed")                                                             \
    X(STORE_FULL, 503, 7, "no room in the store")                                                           \
    X(STORE_AWAY, 503, 7, "the store cannot be reached")                                                    \
    X(STORE_FENCED, 503, 7, "other nodes have taken over from this one")                                    \
    X(STORE_RETRY, 503, 7, "others were in the way")                                                        \
    X(STORE_NEWER, 500, 3, "the store was written by a newer pawl")                                         \
    X(STORE_LOCKED, 500, 5, "the data directory is in use")                                                 \
    X(UNREACHABLE, 502, 7, "the server cannot be reached")                                                  \
    X(USAGE, 400, 2, "wrong usage")                                                                         \
    X(IO, 503, 1, "input or output failed")                                                                 \
    X(TOO_BIG, 413, 2, "a limit was reached")                                                               \
    X(TIMED_OUT, 504, 124, "timed out")                                                                     \
    X(INTERRUPTED, 500, 130, "interrupted")

enum error_code {
#define X(code, status, exit_class, text) ERROR_##code,
    ERROR_LIST(X)
#undef X
        ERROR_COUNT
};

struct error {
    enum error_code code;
    char text[1000];
};

/* Writes code and text (printf) and returns code. err may be NULL. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before the text; each layer does so at most once. Returns the code held. */
int error_add(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *error_name(int code);       /* "DAG_NOT_FOUND"; "INTERNAL" for what is no code */
const char *error_default_text(int code);
int error_http_status(int code);
int error_exit_class(int code);
int error_from_name(const char *name);  /* the code of a name; ERROR_INTERNAL when unknown */

#endif
