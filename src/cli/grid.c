#include "cli/grid.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "cli/live.h"
#include "cli/text.h"

enum { GAP = 2, CUT_MIN = 12 };

void cli_grid_init(struct cli_grid *grid, const char *const *titles)
{
    *grid = (struct cli_grid){0};
    while (titles[grid->columns]) {
        assert(grid->columns < CLI_GRID_COLUMNS_MAX);
        grid->titles[grid->columns] = titles[grid->columns];
        grid->columns++;
    }
}

void cli_grid_fini(struct cli_grid *grid)
{
    mem_free(grid->cells);
    arena_fini(&grid->arena);
}

void cli_grid_add(struct cli_grid *grid, const char *text)
{
    grid->cells = mem_grow(grid->cells, &grid->cap, grid->count + 1, sizeof *grid->cells);
    grid->cells[grid->count++] = text && text[0] ? arena_strdup(&grid->arena, text) : "-";
}

void cli_grid_add_number(struct cli_grid *grid, long long number)
{
    cli_grid_add(grid, arena_printf(&grid->arena, "%lld", number));
}

static const char *title_of(const struct cli_grid *grid, size_t column)
{
    return grid->titles[column] + (grid->titles[column][0] == '>');
}

static size_t width_of(const char *text)
{
    return cli_text_width(text, strlen(text));
}

static void measure(const struct cli_grid *grid, unsigned columns, size_t widths[CLI_GRID_COLUMNS_MAX])
{
    size_t total = 0, widest = 0;
    for (size_t i = 0; i < grid->columns; i++)
        widths[i] = width_of(title_of(grid, i));
    for (size_t i = 0; i < grid->count; i++) {
        size_t width = width_of(grid->cells[i]);
        if (width > widths[i % grid->columns])
            widths[i % grid->columns] = width;
    }
    for (size_t i = 0; i < grid->columns; i++)
        total += widths[i] + (i > 0 ? GAP : 0);
    while (columns > 0 && total > columns) {
        for (size_t i = 0; i < grid->columns; i++)
            widest = i == 0 || widths[i] > widths[widest] ? i : widest;
        if (widths[widest] <= CUT_MIN)
            return;
        size_t excess = total - columns, room = widths[widest] - CUT_MIN;
        size_t cut = excess < room ? excess : room;
        widths[widest] -= cut;
        total -= cut;
    }
}

static void add_spaces(struct buf *out, size_t count)
{
    while (count-- > 0)
        buf_add_char(out, ' ');
}

static void add_cell(const struct cli_grid *grid, size_t column, const char *text, const char *style, size_t width,
                     struct buf *out)
{
    struct buf cell = BUF_INIT;
    size_t used = cli_text_add_cut(&cell, text, strlen(text), width);
    bool last = column + 1 == grid->columns;
    if (grid->titles[column][0] == '>')
        add_spaces(out, width - used);
    buf_add_text(out, style);
    buf_add(out, cell.bytes, cell.len);
    if (style[0])
        buf_add_text(out, "\033[0m");
    if (grid->titles[column][0] != '>' && !last)
        add_spaces(out, width - used);
    if (!last)
        add_spaces(out, GAP);
    buf_fini(&cell);
}

void cli_grid_print(const struct cli_grid *grid, unsigned columns, bool color, struct buf *out)
{
    size_t widths[CLI_GRID_COLUMNS_MAX];
    measure(grid, columns, widths);
    for (size_t i = 0; i < grid->columns; i++)
        add_cell(grid, i, title_of(grid, i), color ? "\033[1m" : "", widths[i], out);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < grid->count; i++) {
        size_t column = i % grid->columns;
        const char *title = title_of(grid, column);
        bool is_state = strcmp(title, "STATE") == 0 || strcmp(title, "STATUS") == 0;
        add_cell(grid, column, grid->cells[i], color && is_state ? cli_live_color(grid->cells[i]) : "", widths[column],
                 out);
        if (column + 1 == grid->columns)
            buf_add_char(out, '\n');
    }
}
