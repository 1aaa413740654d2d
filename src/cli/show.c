#include "cli/show.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/live.h"
#include "cli/text.h"

enum { NAME_CELLS = 18, NAME_CELLS_MAX = 30, INDENT = 2 };

const char *cli_show_time(struct cli *cli, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm local;
    char text[40];
    if (time_ms == 0 || !localtime_r(&seconds, &local) || strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local) == 0)
        return "-";
    return arena_strdup(&cli->arena, text);
}

const char *cli_show_elapsed(struct cli *cli, int64_t start_ms, int64_t end_ms)
{
    char text[24];
    int64_t elapsed_ms = (end_ms ? end_ms : clock_wall_ms()) - start_ms;
    if (start_ms == 0)
        return "-";
    str_format_elapsed(elapsed_ms > 0 ? elapsed_ms : 0, text);
    return arena_strdup(&cli->arena, text);
}

void cli_show_grid(struct cli *cli, const struct cli_grid *grid)
{
    unsigned columns = 0, rows;
    if (cli->screen.out_terminal)
        cli_live_size(STDOUT_FILENO, &columns, &rows);
    cli_grid_print(grid, columns, cli->screen.out_color, &cli->out);
}

/* A key as words: "startedAt" is "started at". */
static void add_words(struct buf *out, const char *key)
{
    for (; *key; key++) {
        if (isupper((unsigned char)*key))
            buf_add_char(out, ' ');
        buf_add_char(out, (char)tolower((unsigned char)*key));
    }
}

static void add_name(struct cli *cli, const char *key, size_t indent, size_t cells)
{
    size_t start = cli->out.len;
    while (indent-- > 0)
        buf_add_char(&cli->out, ' ');
    add_words(&cli->out, key);
    if (cells == 0)
        return;
    do
        buf_add_char(&cli->out, ' ');
    while (cli->out.len - start < cells);
}

void cli_show_pair(struct cli *cli, const char *name, const char *value)
{
    add_name(cli, name, 0, NAME_CELLS);
    cli_text_add(&cli->out, value, strlen(value));
    buf_add_char(&cli->out, '\n');
}

static bool is_block(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strchr(text, '\n');
}

/* What has several lines, such as the end of a log, stands below its name. */
static void add_block(struct cli *cli, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        buf_add_text(&cli->out, "\n  | ");
        cli_text_add(&cli->out, text, len);
        text += len + (text[len] == '\n');
    }
}

static void add_value(struct cli *cli, const json_t *value)
{
    int64_t time_ms;
    const char *text = json_string_value(value);
    if (text && strlen(text) >= 20 && clock_parse_rfc3339(text, &time_ms)) {
        buf_add_text(&cli->out, cli_show_time(cli, time_ms));
    } else if (is_block(value)) {
        add_block(cli, text);
    } else if (text) {
        cli_text_add(&cli->out, text, strlen(text));
    } else if (json_is_boolean(value)) {
        buf_add_text(&cli->out, json_is_true(value) ? "yes" : "no");
    } else {
        char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        cli_text_add(&cli->out, dumped ? dumped : "", dumped ? strlen(dumped) : 0);
        free(dumped);
    }
}

static bool is_nothing(const json_t *value)
{
    return json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* An object on one line: "status ok, slots 8". */
static void add_inline(struct cli *cli, const json_t *object)
{
    const char *key, *comma = "";
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (is_nothing(value))
            continue;
        buf_add_text(&cli->out, comma);
        add_words(&cli->out, key);
        buf_add_char(&cli->out, ' ');
        add_value(cli, value);
        comma = ", ";
    }
}

static void add_members(struct cli *cli, const json_t *object, size_t cells)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (is_nothing(value))
            continue;
        add_name(cli, key, INDENT, is_block(value) ? 0 : cells);
        if (json_is_object(value))
            add_inline(cli, value);
        else
            add_value(cli, value);
        buf_add_char(&cli->out, '\n');
    }
}

/* Cells of the widest name of an object, and of the gap behind it. */
static size_t name_cells(const json_t *object)
{
    const char *key;
    json_t *value;
    size_t most = NAME_CELLS;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        size_t cells = strlen(key) + 2;
        for (const char *at = key; *at; at++)
            cells += isupper((unsigned char)*at) != 0;
        most = cells > most && cells <= NAME_CELLS_MAX ? cells : most;
    }
    return most;
}

void cli_show_object(struct cli *cli, const json_t *object)
{
    const char *key;
    json_t *value, *item;
    size_t index, cells = name_cells(object);
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (is_nothing(value))
            continue;
        if (!json_is_object(value) && !json_is_object(json_array_get(value, 0))) {
            add_name(cli, key, 0, is_block(value) ? 0 : cells);
            add_value(cli, value);
            buf_add_char(&cli->out, '\n');
            continue;
        }
        add_words(&cli->out, key);
        buf_add_char(&cli->out, '\n');
        if (json_is_object(value))
            add_members(cli, value, cells);
        json_array_foreach(value, index, item) {
            if (index > 0)
                buf_add_char(&cli->out, '\n');
            add_members(cli, item, cells);
        }
    }
}

void cli_show_json(struct cli *cli, const json_t *json)
{
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (text)
        buf_add_text(&cli->out, text);
    buf_add_char(&cli->out, '\n');
    free(text);
}

void cli_show_body(struct cli *cli, const struct buf *body)
{
    buf_add(&cli->out, body->bytes, body->len);
    if (body->len > 0 && body->bytes[body->len - 1] != '\n')
        buf_add_char(&cli->out, '\n');
}
