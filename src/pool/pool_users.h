/* As whom shell and python tasks run: the daemon's own user, `run-as` of its configuration, or the one that a DAG names
 * (`runAs`) where the configuration lists it. Never root unless listed. Users are looked up by their names in the
 * system's user database (NSS), and again when what is known of one is a minute old. */
#ifndef PAWL_POOL_POOL_USERS_H
#define PAWL_POOL_POOL_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "worker/job.h"

struct pool_users;

struct pool_users_options {
    const char *by_default;         /* of DAGs that name none; NULL: the daemon's own */
    const char *const *allowed;     /* besides by_default */
    uint32_t allowed_count;
    const char *work_dir;           /* relative paths start at its folder of the user's name; NULL: at home */
};

/* What a start needs; borrowed until the next pool_users_find. */
struct pool_user {
    const char *name;
    const char *home;
    const char *shell;
    const char *base_dir;           /* where relative paths start */
    struct job_user ids;
};

/* Options are copied. ERROR_VALIDATION_ERROR with words that say what to change: this process may not become somebody
 * else, there is no such user, work_dir could be changed by others. */
int pool_users_new(const struct pool_users_options *options, struct pool_users **ret_users, struct error *err);
void pool_users_free(struct pool_users *users); /* NULL is allowed */

/* Whether tasks may run as `name`; ERROR_VALIDATION_ERROR and why not. users NULL: nobody but who we are.
 * Thread-safe. */
int pool_users_check(const struct pool_users *users, const char *name, struct error *err);

/* Checks, and finds whom tasks of a DAG run as. run_as NULL: it names nobody. *ret_user NULL: our own user. Makes the
 * user's folder in work_dir. ERROR_BAD_REQUEST. One thread. May block as long as the user database does. */
int pool_users_find(struct pool_users *users, const char *run_as, const struct pool_user **ret_user,
                    struct error *err);

#endif
