/* What is made from the tables: man pages, docs/cli/, docs/configuration.md, completion scripts. The build calls
 *
 *     pawl generate man DIR           pawl.1, pawl-run.1, ...
 *     pawl generate completion DIR    pawl (bash), _pawl (zsh), pawl.fish
 *     pawl generate docs DIR          DIR/configuration.md, DIR/cli/README.md, DIR/cli/run.md, ...
 */
#ifndef PAWL_CLI_GENERATE_H
#define PAWL_CLI_GENERATE_H

#include "cli/command.h"

/* The arguments after `pawl generate`; returns the exit status. */
int cli_generate_command(int argc, char **argv);

/* Man pages (man(7)). */
void cli_man_overview(struct buf *out);
void cli_man_command(const struct cli_command *command, struct buf *out);
/* The file name of a command's page without its ending: "pawl-runs-list", "runs-list". */
void cli_page_name(const char *prefix, const struct cli_command *command, struct buf *out);

void cli_docs_overview(struct buf *out);
void cli_docs_command(const struct cli_command *command, struct buf *out);
void cli_docs_configuration(struct buf *out);

void cli_completion_bash(struct buf *out);
void cli_completion_zsh(struct buf *out);
void cli_completion_fish(struct buf *out);

#endif
