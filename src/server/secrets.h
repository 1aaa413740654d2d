/* Values of secrets, read from their file or the daemon's environment when an attempt needs them; never kept. */
#ifndef PAWL_SERVER_SECRETS_H
#define PAWL_SERVER_SECRETS_H

#include "server/server.h"

struct server_secrets {
    const struct server_secret *items; /* borrowed */
    uint32_t count;
    char *value;                       /* of the last find; server_secrets_clear wipes it */
};

/* A dag_expand_source.find: context is a struct server_secrets. The value lives until the next find or clear. NULL: no
 * such secret, or its file cannot be read (logged by name). One thread. */
const char *server_secrets_find(void *context, const char *name);
void server_secrets_clear(struct server_secrets *secrets);

#endif
