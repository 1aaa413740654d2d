/* DATA/address: how commands on the same machine find the daemon of a data directory.
 *
 * Written atomically, mode 0600, when the daemon is ready, and removed when it ends; a file left by a killed daemon is
 * told by its pid, start time and boot id. Lines of `key=value`. The token is 32 random bytes in hex, made anew at
 * each start: who can read it owns the directory, and may send it as `X-Pawl-Owner` to be admin without a token of
 * the API and to have the local limits for DAG files (LIMIT_DAG_LOCAL_*) instead of those for the network. */
#ifndef PAWL_SERVER_ADDRESS_H
#define PAWL_SERVER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { SERVER_URL_MAX = 300, SERVER_TOKEN_LEN = 64, SERVER_PIN_LEN = 64 };

struct server_address {
    char url[SERVER_URL_MAX];           /* http://HOST:PORT, or https: */
    pid_t pid;
    uint64_t start_ticks;               /* field 22 of /proc/PID/stat */
    char boot_id[64];                   /* /proc/sys/kernel/random/boot_id */
    char token[SERVER_TOKEN_LEN + 1];
    char pin[SERVER_PIN_LEN + 1];       /* SHA-256 of the certificate in hex, so that commands on this machine know it
                                           whatever name it has; "" without TLS */
};

/* Fills pid, start time and boot id of this process and makes a token; url is the caller's. */
int server_address_make(struct server_address *ret_address, struct error *err);
int server_address_write(const char *data_dir, const struct server_address *address, struct error *err);
void server_address_remove(const char *data_dir);
/* ERROR_NOT_FOUND when there is none; ERROR_BAD_REQUEST when it cannot be understood. */
int server_address_read(const char *data_dir, struct server_address *ret_address, struct error *err);
/* Whether the process the address tells of still runs: same boot, same pid, same start time. */
bool server_address_is_live(const struct server_address *address);

#endif
