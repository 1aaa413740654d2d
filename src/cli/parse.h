/* argv -> command, options, operands. GNU's ways: options anywhere, --name=value, -oVALUE, -fw, -- ends them. */
#ifndef PAWL_CLI_PARSE_H
#define PAWL_CLI_PARSE_H

#include "cli/command.h"

/* What argv asked for when it is not a command to run. */
enum cli_asked { CLI_ASKED_COMMAND, CLI_ASKED_HELP, CLI_ASKED_VERSION };

/* Fills command, values and operands of a zero-initialised cli; texts are borrowed from argv. ERROR_USAGE says what is
 * wrong, with near misses in cli->hint. With CLI_ASKED_HELP cli->command may be NULL (help of everything); a family
 * asked for help is in *ret_family. */
int cli_parse(struct cli *cli, int argc, char **argv, enum cli_asked *ret_asked, const struct cli_family **ret_family,
              struct error *err);

/* The command of one or two words. *ret_family is set when a family was named alone: the command is its first then.
 * ERROR_USAGE with near misses in cli->hint. */
int cli_parse_name(struct cli *cli, const char *first, const char *second, const struct cli_command **ret_command,
                   const struct cli_family **ret_family, struct error *err);
/* NULL when there is no such command. "runs" alone is its first command. */
const struct cli_command *cli_find_command(const char *name);
const struct cli_family *cli_find_family(const char *word, size_t len);
/* Whether the command is "FAMILY something". */
bool cli_in_family(const struct cli_command *command, const struct cli_family *family);

/* Sets or, for a list, adds a value. */
void cli_value_add(struct cli *cli, enum cli_option_id id, const char *text, enum cli_origin origin);

#endif
