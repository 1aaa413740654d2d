/* Answers of the API, shown to people. */
#ifndef PAWL_CLI_SHOW_H
#define PAWL_CLI_SHOW_H

#include <jansson.h>

#include "cli/command.h"
#include "cli/grid.h"

/* Appends a table, cut to the terminal if stdout is one. */
void cli_show_grid(struct cli *cli, const struct cli_grid *grid);
/* Appends `name  value` lines of an object; what is nested is indented. Names are the keys as words. */
void cli_show_object(struct cli *cli, const json_t *object);
/* One line of the same form. */
void cli_show_pair(struct cli *cli, const char *name, const char *value);
/* Appends JSON on one line. */
void cli_show_json(struct cli *cli, const json_t *json);
/* Appends a body as it came. */
void cli_show_body(struct cli *cli, const struct buf *body);

/* Text forms in the arena: local time, how long something took or takes ("-" when it has not begun). */
const char *cli_show_time(struct cli *cli, int64_t time_ms);
const char *cli_show_elapsed(struct cli *cli, int64_t start_ms, int64_t end_ms);

#endif
