#include "server/status.h"

#include <stdio.h>

void server_status_init(struct server_status *status, struct store *store, const char *data_dir)
{
    status->config = (struct api_config){.data_dir = data_dir, .node_host = "", .listen_host = "127.0.0.1"};
    status->backend = (struct api_backend){.store = store};
    status->api = api_new(&status->config, &status->backend);
}

void server_status_fini(struct server_status *status)
{
    api_free(status->api);
}

int server_status_append(struct store *store, const char *data_dir, struct uuid run_id, struct buf *out,
                         struct error *err)
{
    char id[UUID_TEXT_LEN + 1];
    char target[64 + UUID_TEXT_LEN];
    uuid_format(run_id, id);
    (void)snprintf(target, sizeof target, "/api/v1/runs/%s", id);
    struct server_status status;
    server_status_init(&status, store, data_dir);
    int http = 0;
    int code = api_get(status.api, target, out, &http, err);
    if (!code && http != 200)
        code = error_set(err, ERROR_INTERNAL, "the run's status cannot be read back (%d)", http);
    server_status_fini(&status);
    return code;
}
