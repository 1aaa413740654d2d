/* Where answers come from: the daemon, and without one the data directory itself. Runs of `pawl run` are always read
 * from the directory. */
#ifndef PAWL_CLI_REMOTE_H
#define PAWL_CLI_REMOTE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/uuid.h"
#include "cli/command.h"
#include "client/client.h"
#include "server/server.h"

enum cli_need {
    CLI_NEED_DAEMON,        /* ERROR_UNREACHABLE without one */
    CLI_NEED_CATALOG,       /* the data directory will do; beside a daemon runs of `pawl run` are left out */
    CLI_NEED_ANSWERS,       /* the data directory will do */
    CLI_NEED_LOCAL,         /* only runs of `pawl run` */
};

struct cli_remote {
    struct cli *cli;
    struct client *client;              /* NULL: no daemon */
    struct server_offline *offline;     /* NULL: nothing stored, or a daemon elsewhere */
};

/* Finds the daemon: --server, else DATA/address. From here on signals interrupt calls (cli_catch_signals). */
int cli_remote_open(struct cli *cli, enum cli_need need, struct cli_remote *ret_remote, struct error *err);
void cli_remote_close(struct cli_remote *remote);

/* One request to the daemon, whatever it answers (client_send). */
int cli_remote_send(struct cli_remote *remote, const struct client_request *request, struct client_answer *ret_answer,
                    struct error *err);
/* A call to the daemon. headers: name, value, ..., NULL; or NULL. body: JSON or NULL. An error status becomes an error.
 * The answer's body is appended to *ret_body. */
int cli_remote_call(struct cli_remote *remote, const char *method, const char *target, const char *const *headers,
                    const struct buf *body, struct buf *ret_body, struct error *err);
/* A GET, of whoever has it: the daemon first, then the directory. */
int cli_remote_get(struct cli_remote *remote, const char *target, struct buf *ret_body, struct error *err);
int cli_remote_get_json(struct cli_remote *remote, const char *target, json_t **ret_json, struct error *err);
/* The newest `limit` items of a list of both; query without limit: "/api/v1/runs?state=failed" or without any '?'.
 * id_key: "runId" or "id". */
int cli_remote_list(struct cli_remote *remote, const char *query, const char *id_key, size_t limit, json_t **ret_list,
                    struct error *err);
/* At most `max` bytes from the end of a task's log. */
int cli_remote_log_tail(struct cli_remote *remote, const char *run_id, const char *task_id, size_t max,
                        struct buf *ret_tail, struct error *err);
/* "/api/v1/runs/RUN/tasks/TASK/what" */
void cli_remote_task_target(struct buf *out, const char *run_id, const char *task_id, const char *what);
/* The text of a body as JSON; ERROR_INTERNAL when it is none. */
int cli_remote_parse(const struct buf *body, json_t **ret_json, struct error *err);

/* Ids by any unique beginning or end, DAGs by name too. Errors name near misses or all that fit (in hints). */
int cli_resolve_run(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err);
int cli_resolve_dag(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err);
int cli_resolve_letter(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err);
int cli_resolve_worker(struct cli_remote *remote, const char *text, char ret_id[UUID_TEXT_LEN + 1], struct error *err);

/* After ERROR_TASK_NOT_FOUND: suggests a task of the run with a similar id. */
void cli_hint_tasks(struct cli_remote *remote, const char *run_id, const char *text);

/* Whether `text`, digits without regard to dashes and case, begins or ends the id. */
bool cli_resolve_fits(const char *id, const char *text);
/* The part of an id that tables show: the last 8 characters. */
const char *cli_short_id(const char *id);

#endif
