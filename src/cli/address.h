/* HOST:PORT of --listen. */
#ifndef PAWL_CLI_ADDRESS_H
#define PAWL_CLI_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct cli_address {
    char host[256]; /* "::1" without brackets */
    uint16_t port;
};

/* "127.0.0.1:8080", "localhost:0", "[::1]:8080". ERROR_USAGE otherwise. */
int cli_address_parse(const char *text, struct cli_address *ret_address, struct error *err);
/* 127.0.0.0/8, ::1 or localhost: only this machine gets there. */
bool cli_address_is_loopback(const char *host);

#endif
