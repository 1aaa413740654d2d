/* The REST API. One table of routes (api_table.c) dispatches, checks what comes in and yields the OpenAPI document.
 *
 * Reads are answered from published snapshots (live/) for active runs and from the store for everything else, on
 * the HTTP threads, without asking the engine. Writes become commands; the request sleeps until the engine says
 * that what was asked is durable. The API needs no knowledge of how the daemon is put together: whoever starts it
 * fills a `struct api_backend`. */
#ifndef PAWL_API_API_H
#define PAWL_API_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/uuid.h"
#include "state/state.h"

struct api;
struct arena;
struct auth_audit;
struct auth_gate;
struct batch;
struct command;
struct live;
struct store;
struct store_thread_stats;

struct api_worker {
    struct uuid id;
    enum worker_state state;
    uint32_t running;
    uint32_t queued;
    uint32_t slots;
    bool awaited;               /* it lives and has not said since the start what it runs */
};

struct api_status {
    bool ready;                 /* recovery is complete */
    bool draining;
    bool leads;                 /* schedules fire here: of several nodes on one of them */
    uint32_t active_runs;
    uint64_t waiting_tasks;     /* that have not ended */
    uint64_t ready_tasks;       /* of those: wait for a slot */
    uint32_t workers_wanted;
    const char *isolation;      /* how tasks are kept together: "cgroup", "best-effort"; a literal */
    int64_t turn_age_ms;        /* since the engine's thread finished a turn, when work waits; 0: it is up to date */
    int64_t turn_us_max;        /* its longest turn lately */
};

enum api_setting_origin { API_SETTING_DEFAULT, API_SETTING_CONFIG, API_SETTING_ENVIRONMENT, API_SETTING_FLAG };

/* A setting in use. Nothing in it is secret. */
struct api_setting {
    const char *name;
    const char *const *values;  /* of a list all */
    size_t value_count;         /* 0: it is not set */
    enum api_setting_origin origin;
    const char *place;          /* in words: "flag --listen", "/etc/pawl/config:3" */
    bool reloads;               /* read again at SIGHUP; the others take a restart */
    const char *summary;
};

/* All slots are called on HTTP threads, several at a time. */
struct api_backend {
    void *context;
    struct store *store;        /* NULL: only what needs none (documents, probes) is answered */
    struct live *live;          /* NULL: no run is active */
    /* Posts a command (engine/command.h); its `done` is called once, on any thread. NULL: read-only. */
    void (*submit)(void *context, struct command *command);
    /* All workers; the array is freed by the caller with mem_free. NULL: none. */
    size_t (*get_workers)(void *context, struct api_worker **ret_workers);
    void (*get_status)(void *context, struct api_status *ret_status); /* NULL: not running */
    /* What the store's writer has done. NULL: there is none. */
    void (*get_commits)(void *context, struct store_thread_stats *ret_stats);
    /* Whether DAGs may name this user (dag_read_options). NULL: any. */
    bool (*may_run_as)(void *context, const char *user, char *text, size_t size);
    /* All settings, in memory of the arena or longer lived; how many. NULL: nobody knows them. */
    size_t (*get_settings)(void *settings_context, struct arena *arena, struct api_setting **ret_settings);
    void *settings_context;
    /* With other nodes on the store, else NULL: streams want to hear of them (api_wants_others). */
    void (*listen)(void *context);
    /* The events' thread: what is told to streams here, for those of other nodes; data without line breaks. name NULL:
     * something is missing. */
    void (*tell)(void *context, const char *name, struct uuid run_id, bool ends_run, const char *data, size_t len);
};

/* Borrowed for the life of the api, texts too. */
struct api_config {
    const char *data_dir;           /* DATA, absolute: logs are read below it */
    struct uuid node_id;
    const char *node_host;          /* the machine's name */
    int64_t started_ms;             /* wall time */
    const char *owner_token;        /* whoever sends it as X-Pawl-Owner is admin and has the local limits for DAG
                                     * files; NULL: nobody */
    struct auth_gate *gate;         /* tokens; NULL: there are none */
    struct auth_audit *audit;       /* NULL: none */
    bool token_required;            /* else who sends none is admin */
    /* listening; see http/http.h */
    const char *listen_host;
    uint16_t listen_port;
    unsigned threads;
    unsigned connections_max;
    int64_t request_ms;
    int64_t idle_ms;
    const char *const *allowed_hosts; /* besides loopback names and listen_host; "*": any */
    size_t allowed_host_count;
    const char *base_path;          /* "/a/b" that a proxy leaves in front of paths; NULL: none */
    bool any_literal;               /* see http/http.h */
    const char *tls_cert;           /* PEM, borrowed until api_start returns; NULL: plain HTTP */
    const char *tls_key;
};

/* Nothing listens yet; api_get and api_publish work. */
struct api *api_new(const struct api_config *config, const struct api_backend *backend);
/* ERROR_IO. */
int api_start(struct api *api, struct error *err);
uint16_t api_port(const struct api *api);
/* Another certificate for connections from now on; see http_set_tls. */
int api_set_tls(struct api *api, const char *cert, const char *key, struct error *err);
/* Ends streams, waits for requests in flight: commands posted are waited for, so the engine must still answer. */
void api_stop(struct api *api);
void api_free(struct api *api); /* after api_stop, if it was started; NULL is allowed */

/* The engine's thread, after each durable batch, when the live view shows it: feeds event streams and followed logs.
 * Cheap when nobody listens. */
void api_publish(struct api *api, const struct batch *batch, int64_t now_ms);
/* The engine's thread or any other: a worker came, went or changes. */
void api_publish_worker(struct api *api, const struct api_worker *worker);

/* The engine's thread: another node drives the run from now on. */
void api_publish_left(struct api *api, struct uuid run_id);

/* Events of other nodes; any thread. Whether somebody here wants to hear of them; */
bool api_wants_others(struct api *api);
/* that all which live tell; whether some of them listen, so that backend.tell is called; */
void api_set_hears_all(struct api *api, bool hears_all);
void api_set_told(struct api *api, bool others_listen);
/* and what they tell, in order: lines NAME RUN ENDS DATA, as of backend.tell, and `reset` where something is
 * missing. */
void api_hear(struct api *api, struct buf *take_lines);

/* Answers a GET without HTTP: the same targets, the same bodies. Appends the body; *ret_status is the HTTP status.
 * Streams are refused. Any thread. Returns 0 when there is an answer, whatever its status. */
int api_get(struct api *api, const char *target, struct buf *ret_body, int *ret_status, struct error *err);

/* The OpenAPI 3.0.3 document as YAML, and docs/api.md. base_path: below which the paths are, "/a/b"; NULL, "": none. */
void api_openapi(struct buf *out, const char *base_path);
void api_reference(struct buf *out);

#endif
