/* The API's answers without a server: an api over a store alone. */
#ifndef PAWL_SERVER_STATUS_H
#define PAWL_SERVER_STATUS_H

#include "api/api.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/uuid.h"

struct server_status {
    struct api_config config;
    struct api_backend backend;
    struct api *api;            /* answers api_get */
};

/* `status` stays where it is until the fini; store and data_dir (logs are read below it) are borrowed till then. */
void server_status_init(struct server_status *status, struct store *store, const char *data_dir);
void server_status_fini(struct server_status *status);

/* Appends the RunStatus of an ended run, the body of GET /api/v1/runs/{runId}. */
int server_status_append(struct store *store, const char *data_dir, struct uuid run_id, struct buf *out,
                         struct error *err);

#endif
