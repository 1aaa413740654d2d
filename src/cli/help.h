/* What `--help` and `pawl help` show. */
#ifndef PAWL_CLI_HELP_H
#define PAWL_CLI_HELP_H

#include "cli/command.h"

/* Of a family if one is given, else of a command, else of everything. */
void cli_help(const struct cli_command *command, const struct cli_family *family, bool color, struct buf *out);

/* "pawl logs RUN [TASK] [OPTIONS]"; man and Markdown use the same words. */
void cli_help_synopsis(const struct cli_command *command, struct buf *out);
/* "-o, --output FORMAT" */
void cli_help_option(const struct cli_option *option, struct buf *out);
/* The summary with choices and default behind it. */
void cli_help_option_text(const struct cli_option *option, struct buf *out);

/* Exit statuses: number and meaning, ended by a NULL text. */
struct cli_exit_status {
    int status;
    const char *text;
};
extern const struct cli_exit_status cli_exit_statuses[];

#endif
