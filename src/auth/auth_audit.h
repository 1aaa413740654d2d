/* DATA/audit.log: who did what, or tried to. One JSON object a line, mode 0600; docs/logging.md has the fields.
 *
 * Whoever adds never waits: lines go to a thread of the audit's own. What it cannot write in time is counted, and the
 * count is a line of its own. At AUTH_AUDIT_BYTES_MAX the file becomes audit.log.1, and so on to
 * AUTH_AUDIT_FILES_MAX, the oldest of which goes. Lines are not synced: a power loss may take the last ones. */
#ifndef PAWL_AUTH_AUTH_AUDIT_H
#define PAWL_AUTH_AUTH_AUDIT_H

#include <stddef.h>

#include "base/error.h"

enum {
    AUTH_AUDIT_BYTES_MAX = 16 * 1024 * 1024,
    AUTH_AUDIT_FILES_MAX = 8,               /* kept besides the one that is written */
    AUTH_AUDIT_QUEUE_BYTES_MAX = 4 * 1024 * 1024
};

/* NULL leaves a field out. */
struct auth_audit_entry {
    const char *action;         /* the operation: "triggerDag", "token.create" */
    const char *principal;      /* the token's name, "owner", "anonymous" */
    const char *role;           /* that counted */
    const char *peer;
    const char *method;
    const char *target;         /* as it was sent */
    const char *outcome;        /* "done", "refused" (who asked may not), "failed" */
    int status;                 /* HTTP; 0: none */
    const char *request_id;
    const char *run_id;         /* that came of it */
    const char *details;
};

struct auth_audit;
/* bytes_max 0: AUTH_AUDIT_BYTES_MAX. ERROR_IO. */
int auth_audit_open(const char *data_dir, size_t bytes_max, struct auth_audit **ret_audit, struct error *err);
void auth_audit_close(struct auth_audit *audit); /* writes what waits; NULL is allowed */
void auth_audit_add(struct auth_audit *audit, const struct auth_audit_entry *entry); /* any thread; NULL is allowed */

/* One entry, by a command beside a daemon or without one. ERROR_IO. */
int auth_audit_append(const char *data_dir, const struct auth_audit_entry *entry, struct error *err);

#endif
