/* From settings to what the server module takes. */
#ifndef PAWL_CLI_SERVER_OPTIONS_H
#define PAWL_CLI_SERVER_OPTIONS_H

#include "base/log.h"
#include "cli/command.h"
#include "server/server.h"

/* Texts live as long as cli. Settings that the command does not have keep their defaults. */
int cli_server_options(struct cli *cli, struct server_options *ret_options, struct error *err);
/* least: unless something says another level. */
void cli_log_init(const struct cli *cli, enum log_level least);

#endif
