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

enum { NAME_CELLS = 18 };

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

static void add_name(struct cli *cli, const char *name, size_t indent)
{
    size_t used = indent;
    for (size_t i = 0; i < indent; i++)
        buf_add_char(&cli->out, ' ');
    for (const char *at = name; *at; at++, used++) {
        if (isupper((unsigned char)*at)) {
            buf_add_char(&cli->out, ' ');
            used++;
        }
        buf_add_char(&cli->out, (char)tolower((unsigned char)*at));
    }
    do
        buf_add_char(&cli->out, ' ');
    while (++used < NAME_CELLS);
}

void cli_show_pair(struct cli *cli, const char *name, const char *value)
{
    add_name(cli, name, 0);
    cli_text_add(&cli->out, value, strlen(value));
    buf_add_char(&cli->out, '\n');
}

static void add_scalar(struct cli *cli, const json_t *value)
{
    int64_t time_ms;
    const char *text = json_string_value(value);
    if (text && strlen(text) >= 20 && clock_parse_rfc3339(text, &time_ms)) {
        buf_add_text(&cli->out, cli_show_time(cli, time_ms));
    } else if (text && strchr(text, '\n')) {
        buf_add_char(&cli->out, '\n'); /* a block, such as the end of a log */
        while (*text) {
            size_t len = strcspn(text, "\n");
            buf_add_text(&cli->out, "  | ");
            cli_text_add(&cli->out, text, len);
            text += len + (text[len] == '\n');
            if (*text)
                buf_add_char(&cli->out, '\n');
        }
    } else if (text) {
        cli_text_add(&cli->out, text, strlen(text));
    } else {
        char *dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
        cli_text_add(&cli->out, dumped ? dumped : "", dumped ? strlen(dumped) : 0);
        free(dumped);
    }
}

/* Iterative: an object in an object is shown one level deeper, below that as JSON. */
static void add_members(struct cli *cli, const json_t *object, size_t indent)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
            continue;
        add_name(cli, key, indent);
        add_scalar(cli, value);
        buf_add_char(&cli->out, '\n');
    }
}

void cli_show_object(struct cli *cli, const json_t *object)
{
    const char *key;
    json_t *value, *item;
    size_t index;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool nested = json_is_object(value) || json_is_object(json_array_get(value, 0));
        if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
            continue;
        add_name(cli, key, 0);
        if (!nested) {
            add_scalar(cli, value);
            buf_add_char(&cli->out, '\n');
            continue;
        }
        buf_add_char(&cli->out, '\n');
        if (json_is_object(value))
            add_members(cli, value, 2);
        json_array_foreach(value, index, item) {
            if (index > 0)
                buf_add_char(&cli->out, '\n');
            add_members(cli, item, 2);
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
