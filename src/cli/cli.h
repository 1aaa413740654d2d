/* The command line, from argv to the exit status.
 *
 *     command.h   what a command and an option are; table.c and options.c are the lists: parser, help, completion,
 *                 man pages and docs/cli/ come from them
 *     parse.h     argv -> struct cli        settings.h   flags, environment, config file, defaults
 *     serve.c, run.c, ...                   one file per command or family of commands
 *
 * Data goes to stdout, everything said about it to stderr. */
#ifndef PAWL_CLI_CLI_H
#define PAWL_CLI_CLI_H

/* Returns the process's exit status (product.md section 7). */
int cli_main(int argc, char **argv);

#endif
