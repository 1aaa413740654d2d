/* Settings: flags beat PAWL_* variables beat the config file beats defaults.
 *
 * The config file has lines of `name = value`; # starts a comment at the beginning of a line or after white space;
 * a value may stand in double quotes. Lists repeat their line; in a variable their items are separated by commas. */
#ifndef PAWL_CLI_SETTINGS_H
#define PAWL_CLI_SETTINGS_H

#include "api/api.h"
#include "cli/command.h"

/* Fills in the command's settings that no flag gave. ERROR_USAGE for a variable,
 * ERROR_VALIDATION_ERROR for the config file. */
int cli_settings_merge(struct cli *cli, struct error *err);

/* Every setting of `pawl serve` with where its value came from, as a config file. */
void cli_settings_print(const struct cli *cli, struct buf *out);

/* One of them, in memory of the arena or as long lived as the cli; `reloads` is the caller's. */
void cli_settings_view(const struct cli *cli, enum cli_option_id id, struct arena *arena, struct api_setting *ret_view);

/* A URL with *** for each password in it; libpq takes them before the @ and as parameters, whose names may be
 * percent-encoded. The URL itself when there is nothing to mask. */
const char *cli_settings_mask(const char *url, struct arena *arena);

/* The variable of a setting: PAWL_LOG_LEVEL. */
void cli_settings_variable(const struct cli_option *option, char name[64]);

#endif
