/* How a run goes, on a terminal or in a pipe: a short block that is redrawn in place, or lines. Makes bytes; whoever
 * owns it writes them. */
#ifndef PAWL_CLI_LIVE_H
#define PAWL_CLI_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "state/state.h"

enum { CLI_LIVE_TASKS_MAX = 5, CLI_LIVE_ROWS_MAX = CLI_LIVE_TASKS_MAX + 4, CLI_LIVE_REDRAW_MS = 100 };

struct cli_live_task {
    const char *id;
    int64_t elapsed_ms;
    uint32_t attempt;
};

struct cli_live_view {
    const char *name;           /* of the DAG */
    const char *run;            /* the run's id as tables show it; "" before there is one */
    const char *note;           /* "canceling ..."; NULL: none */
    uint32_t total;
    uint32_t counts[TASK_STATE_COUNT];
    int64_t elapsed_ms;
    int64_t left_ms;            /* estimate; -1: none */
    const struct cli_live_task *tasks; /* running ones, at most CLI_LIVE_TASKS_MAX */
    uint32_t task_count;
    uint32_t running;           /* all of them */
};

struct cli_live {
    bool color;
    size_t widths[CLI_LIVE_ROWS_MAX]; /* cells of each row drawn last */
    size_t row_count;
};

/* Appends what replaces the block drawn last by this view, on a terminal of so many columns and rows (0: not known). */
void cli_live_draw(struct cli_live *live, const struct cli_live_view *view, unsigned columns, unsigned rows,
                   struct buf *out);
/* Appends what removes the block: the cursor is where it began. */
void cli_live_clear(struct cli_live *live, unsigned columns, struct buf *out);
/* Size of the terminal behind fd; 80 x 24 when it does not say. */
void cli_live_size(int fd, unsigned *ret_columns, unsigned *ret_rows);
/* "12 succeeded, 1 failed": every state with a count, ended ones first. */
void cli_live_add_counts(struct buf *out, const uint32_t counts[TASK_STATE_COUNT], bool color);
/* SGR sequences of a state of a run, task, worker or letter by its name; "" when it has none. */
const char *cli_live_color(const char *name);

#endif
