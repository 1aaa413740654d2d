/* A daemon without processes: the real engine, live view and API over the store in memory, each command carried
 * through in one go. Tests say what the workers do. One test at a time. */
#ifndef PAWL_TESTS_API_HTTP_DAEMON_H
#define PAWL_TESTS_API_HTTP_DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "base/buf.h"
#include "engine/engine.h"
#include "live/live.h"
#include "store/store.h"

enum { DAEMON_STARTS_MAX = 128 };

struct daemon {
    pthread_mutex_t lock;       /* the engine and the writer's side of the store: the "engine's thread" */
    struct store *store;
    struct engine *engine;
    struct live *live;
    struct api *api;
    struct auth_gate *gate;
    char data_dir[64];          /* made for this daemon, removed with it */
    int64_t now_ms;             /* wall time; grows by 1 ms a turn */
    struct effect starts[DAEMON_STARTS_MAX]; /* attempts that run */
    size_t start_count;
    struct api_status status;   /* what get_status says */
    void (*before_command)(struct daemon *daemon); /* called once, before the next command: somebody was faster */
};

struct daemon_options {
    uint32_t active_runs_max;   /* 0: plenty */
    bool no_store;
    bool token_required;        /* X-Pawl-Owner: owner is the owner either way */
    bool no_engine;             /* read-only: no commands, no status, no workers */
};

struct daemon *daemon_new(const struct daemon_options *options); /* NULL: defaults */
void daemon_free(struct daemon *daemon);
/* A worker joins. */
struct uuid daemon_add_worker(struct daemon *daemon, uint32_t slots);
/* The attempt of this task that runs ends; fails the test when there is none. */
void daemon_end_task(struct daemon *daemon, const char *run_id, uint32_t task, enum attempt_state outcome);
/* Ends attempts as succeeded until nothing runs. */
void daemon_finish(struct daemon *daemon);
size_t daemon_running(const struct daemon *daemon);
/* Time passes; timers that are due fire. */
void daemon_pass(struct daemon *daemon, int64_t ms);

/* An answer over HTTP. */
struct answer {
    int status;
    struct buf head;            /* terminated */
    struct buf body;            /* terminated; not counted in body.len */
};

/* `headers` are whole lines with "\r\n", "" for none. A body is sent as JSON unless headers say otherwise; NULL: no
 * body. The answer is cleared by the next call with it, and checked against the documents (documented.h). */
void daemon_ask(struct daemon *daemon, const char *method, const char *target, const char *headers, const char *body,
                struct answer *answer);
/* The value of a header into a static buffer, NULL when it is absent. */
const char *answer_header(const struct answer *answer, const char *name);
void answer_fini(struct answer *answer);
/* The member of the body's top object as text (strings without quotes, others as JSON) into out. */
void answer_member(const struct answer *answer, const char *name, char *out, size_t size);
/* Fails the test unless the answer is this error. */
void answer_expect_error(const struct answer *answer, int status, const char *code);

/* POSTs that must succeed; the id comes to id[37]. */
void daemon_make_dag(struct daemon *daemon, const char *name, const char *yaml, char *id);
void daemon_trigger(struct daemon *daemon, const char *dag_id, char *run_id);

#endif
