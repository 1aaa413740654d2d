#include "cli/live.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/str.h"
#include "cli/text.h"

enum { BAR_CELLS = 24, COLUMNS_MIN = 20 };

#define RESET "\033[0m"

void cli_live_size(int fd, unsigned *ret_columns, unsigned *ret_rows)
{
    struct winsize size = {0};
    bool known = ioctl(fd, TIOCGWINSZ, &size) == 0;
    *ret_columns = known && size.ws_col > 0 ? size.ws_col : 80;
    *ret_rows = known && size.ws_row > 0 ? size.ws_row : 24;
}

const char *cli_live_color(const char *name)
{
    static const struct {
        const char *name, *color;
    } colors[] = {
        {"succeeded", "\033[32m"}, {"failed", "\033[31m"},   {"running", "\033[36m"},  {"canceled", "\033[33m"},
        {"skipped", "\033[33m"},   {"draining", "\033[33m"}, {"timed_out", "\033[31m"}, {"lost", "\033[31m"},
        {"stopped", "\033[2m"},    {"idle", "\033[2m"},      {"pending", "\033[2m"},    {"queued", "\033[2m"},
        {"retried", "\033[32m"},   {"resolved", "\033[32m"}, {"ok", "\033[32m"},
    };
    for (size_t i = 0; name && i < sizeof colors / sizeof colors[0]; i++)
        if (strcmp(colors[i].name, name) == 0)
            return colors[i].color;
    return "";
}

void cli_live_add_counts(struct buf *out, const uint32_t counts[TASK_STATE_COUNT], bool color)
{
    static const enum task_state order[] = {TASK_SUCCEEDED, TASK_FAILED, TASK_SKIPPED, TASK_CANCELED,
                                            TASK_RUNNING,   TASK_QUEUED, TASK_PENDING};
    const char *comma = "";
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const char *name = state_task_name(order[i]);
        if (counts[order[i]] == 0)
            continue;
        buf_printf(out, "%s%s%u %s%s", comma, color ? cli_live_color(name) : "", counts[order[i]], name,
                   color ? RESET : "");
        comma = ", ";
    }
}

/* Rows of the terminal that the block takes now: after a resize lines may have been broken. */
static size_t rows_taken(const struct cli_live *live, unsigned columns)
{
    size_t rows = 0;
    for (size_t i = 0; i < live->row_count; i++)
        rows += live->widths[i] == 0 ? 1 : (live->widths[i] + columns - 1) / columns;
    return rows;
}

void cli_live_clear(struct cli_live *live, unsigned columns, struct buf *out)
{
    size_t rows = rows_taken(live, columns);
    if (live->row_count == 0)
        return;
    if (rows > 1)
        buf_printf(out, "\033[%zuA", rows - 1);
    buf_add_text(out, "\r\033[J");
    live->row_count = 0;
}

/* A row being made: never wider than the terminal less one, where some wrap early. */
struct row {
    struct buf *out;
    size_t left;
    size_t used;
};

static void row_add(struct row *row, const char *text)
{
    size_t used = cli_text_add_cut(row->out, text, strlen(text), row->left);
    row->left -= used;
    row->used += used;
}

static void row_style(struct row *row, const struct cli_live *live, const char *style)
{
    if (live->color)
        buf_add_text(row->out, style);
}

static struct row row_begin(struct cli_live *live, unsigned columns, struct buf *out)
{
    if (live->row_count > 0)
        buf_add_text(out, "\r\n");
    return (struct row){.out = out, .left = columns - 1};
}

static void row_end(struct cli_live *live, const struct row *row)
{
    live->widths[live->row_count++] = row->used;
}

/* Whole seconds: fractions would only flicker. */
static const char *seconds_of(int64_t ms, char text[24])
{
    if (ms < 60000)
        snprintf(text, 24, "%llds", (long long)(ms / 1000));
    else
        str_format_elapsed(ms / 1000 * 1000, text);
    return text;
}

static void add_head(struct cli_live *live, const struct cli_live_view *view, unsigned columns, struct buf *out)
{
    char text[24];
    struct row row = row_begin(live, columns, out);
    row_style(&row, live, "\033[1m");
    row_add(&row, view->name);
    row_style(&row, live, RESET);
    row_add(&row, "  ");
    row_add(&row, view->run);
    row_add(&row, "  ");
    row_add(&row, seconds_of(view->elapsed_ms, text));
    if (view->left_ms >= 1000 && !view->note) {
        row_add(&row, ", about ");
        row_add(&row, seconds_of(view->left_ms, text));
        row_add(&row, " left");
    }
    if (view->note) {
        row_add(&row, "  ");
        row_add(&row, view->note);
    }
    row_end(live, &row);
}

static void add_count(struct row *row, const struct cli_live *live, const char *name, uint32_t count)
{
    struct buf text = BUF_INIT;
    buf_printf(&text, "%u %s", count, name);
    row_add(row, "  ");
    row_style(row, live, cli_live_color(name));
    row_add(row, buf_text(&text));
    row_style(row, live, RESET);
    buf_fini(&text);
}

static void add_bar(struct cli_live *live, const struct cli_live_view *view, unsigned columns, struct buf *out)
{
    const uint32_t *counts = view->counts;
    uint32_t done = counts[TASK_SUCCEEDED] + counts[TASK_FAILED] + counts[TASK_SKIPPED] + counts[TASK_CANCELED];
    struct row row = row_begin(live, columns, out);
    struct buf text = BUF_INIT;
    if (columns > BAR_CELLS + 30) {
        unsigned full = view->total ? (unsigned)((uint64_t)done * BAR_CELLS / view->total) : 0;
        buf_add_char(&text, '[');
        for (unsigned i = 0; i < BAR_CELLS; i++)
            buf_add_char(&text, i < full ? '#' : '.');
        buf_add_text(&text, "] ");
    }
    buf_printf(&text, "%u/%u done", done, view->total);
    row_add(&row, buf_text(&text));
    if (counts[TASK_RUNNING] > 0)
        add_count(&row, live, "running", counts[TASK_RUNNING]);
    if (counts[TASK_FAILED] > 0)
        add_count(&row, live, "failed", counts[TASK_FAILED]);
    if (counts[TASK_SKIPPED] > 0)
        add_count(&row, live, "skipped", counts[TASK_SKIPPED]);
    if (counts[TASK_CANCELED] > 0)
        add_count(&row, live, "canceled", counts[TASK_CANCELED]);
    row_end(live, &row);
    buf_fini(&text);
}

static void add_task(struct cli_live *live, const struct cli_live_task *task, unsigned columns, struct buf *out)
{
    char elapsed[24];
    struct row row = row_begin(live, columns, out);
    struct buf text = BUF_INIT;
    buf_printf(&text, "  %6s  ", seconds_of(task->elapsed_ms, elapsed));
    row_add(&row, buf_text(&text));
    row_add(&row, task->id);
    buf_clear(&text);
    if (task->attempt > 1)
        buf_printf(&text, "  attempt %u", task->attempt);
    row_add(&row, buf_text(&text));
    row_end(live, &row);
    buf_fini(&text);
}

void cli_live_draw(struct cli_live *live, const struct cli_live_view *view, unsigned columns, unsigned rows,
                   struct buf *out)
{
    cli_live_clear(live, columns > 0 ? columns : 80, out);
    if (columns < COLUMNS_MIN || rows < 4)
        return;
    add_head(live, view, columns, out);
    add_bar(live, view, columns, out);
    uint32_t shown = view->task_count < rows - 3 ? view->task_count : rows - 3;
    for (uint32_t i = 0; i < shown; i++)
        add_task(live, &view->tasks[i], columns, out);
    if (view->running > shown) {
        struct buf text = BUF_INIT;
        struct row row = row_begin(live, columns, out);
        buf_printf(&text, "          and %u more", view->running - shown);
        row_add(&row, buf_text(&text));
        row_end(live, &row);
        buf_fini(&text);
    }
}
