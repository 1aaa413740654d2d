/* Tables for people: columns as wide as they need, the widest text column cut where a terminal would break lines. */
#ifndef PAWL_CLI_GRID_H
#define PAWL_CLI_GRID_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"

enum { CLI_GRID_COLUMNS_MAX = 10 };

struct cli_grid {
    size_t columns;
    const char *titles[CLI_GRID_COLUMNS_MAX];   /* literals; those that begin with '>' are right-aligned */
    const char **cells;                         /* row after row; in the arena */
    size_t count, cap;
    struct arena arena;
};

/* titles: ended by NULL. */
void cli_grid_init(struct cli_grid *grid, const char *const *titles);
void cli_grid_fini(struct cli_grid *grid);
/* The next cell, row by row; copied. NULL or "" shows a dash. */
void cli_grid_add(struct cli_grid *grid, const char *text);
void cli_grid_add_number(struct cli_grid *grid, long long number);
/* columns: width of the terminal; 0: do not cut. Cells of columns STATE and STATUS are coloured by what they say. */
void cli_grid_print(const struct cli_grid *grid, unsigned columns, bool color, struct buf *out);

#endif
