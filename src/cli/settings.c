#include "cli/settings.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/file.h"
#include "cli/parse.h"

#define MASK "***"

enum { CONFIG_BYTES_MAX = 1024 * 1024, SETTINGS_MAX = CLI_OPTION_COUNT };

void cli_settings_variable(const struct cli_option *option, char name[64])
{
    size_t len = 5;
    memcpy(name, "PAWL_", 5);
    for (const char *at = option->name; *at && len < 63; at++)
        name[len++] = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
    name[len] = '\0';
}

static int take(struct cli *cli, enum cli_option_id id, const char *text, enum cli_origin origin, struct error *err)
{
    int rc = cli_option_check(&cli_options[id], text, err);
    if (rc == 0)
        cli_value_add(cli, id, text, origin);
    return rc;
}

static int merge_variable(struct cli *cli, enum cli_option_id id, struct error *err)
{
    char name[64];
    cli_settings_variable(&cli_options[id], name);
    const char *text = getenv(name);
    int rc = 0;
    if (!text || !text[0])
        return 0;
    if (!cli_options[id].list) {
        rc = take(cli, id, text, CLI_ORIGIN_ENVIRONMENT, err);
    } else {
        while (rc == 0 && *text) {
            size_t len = strcspn(text, ",");
            if (len > 0)
                rc = take(cli, id, arena_strndup(&cli->arena, text, len), CLI_ORIGIN_ENVIRONMENT, err);
            text += len + (text[len] != '\0');
        }
    }
    return rc ? error_add(err, "%s in the environment", name) : 0;
}

static enum cli_option_id find_setting(struct cli *cli, const char *name)
{
    const char *words[SETTINGS_MAX];
    size_t count = 0;
    for (int id = CLI_OPTION_END + 1; id < CLI_OPTION_COUNT; id++) {
        if (!cli_options[id].preset)
            continue;
        if (strcmp(cli_options[id].name, name) == 0)
            return (enum cli_option_id)id;
        words[count++] = cli_options[id].name;
    }
    const char *near = str_nearest(name, words, count);
    if (near)
        cli_hint(cli, "did you mean '%s'?", near);
    return CLI_OPTION_END;
}

/* The value of a line from behind the '=': quotes and a comment are taken off. NULL: something follows the quotes. */
static char *line_value(char *text)
{
    text += strspn(text, " \t");
    if (text[0] == '"') {
        char *end = strchr(text + 1, '"');
        const char *rest = end ? end + 1 + strspn(end + 1, " \t") : NULL;
        if (!rest || (*rest && *rest != '#'))
            return NULL;
        *end = '\0';
        return text + 1;
    }
    for (char *at = text; *at; at++)
        if (*at == '#' && (at == text || at[-1] == ' ' || at[-1] == '\t'))
            *at = '\0';
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static int take_line(struct cli *cli, char *line, uint32_t number, struct error *err)
{
    line += strspn(line, " \t");
    if (line[0] == '\0' || line[0] == '#' || line[0] == '\r')
        return 0;
    size_t len = strcspn(line, "= \t");
    char *equals = line + len + strspn(line + len, " \t");
    if (len == 0 || *equals != '=')
        return error_set(err, ERROR_VALIDATION_ERROR, "expected 'name = value'");
    char *value = line_value(equals + 1);
    line[len] = '\0';
    enum cli_option_id id = find_setting(cli, line);
    if (id == CLI_OPTION_END)
        return error_set(err, ERROR_VALIDATION_ERROR, "unknown setting '%.100s'", line);
    if (!value)
        return error_set(err, ERROR_VALIDATION_ERROR, "%s: the quotes are not closed at the end of the value", line);
    struct error why;
    if (cli_option_check(&cli_options[id], value, &why))
        return error_set(err, ERROR_VALIDATION_ERROR, "%s: %s", line, why.text);
    struct cli_value *old = &cli->values[id];
    if (old->origin >= CLI_ORIGIN_ENVIRONMENT)
        return 0;
    if (old->origin == CLI_ORIGIN_CONFIG && !cli_options[id].list)
        return error_set(err, ERROR_VALIDATION_ERROR, "%s was set in line %u already", line, old->line);
    cli_value_add(cli, id, value, CLI_ORIGIN_CONFIG);
    old->line = number;
    return 0;
}

/* The file that --config or PAWL_CONFIG names must be there; the one in the usual place need not. */
static const char *config_path(struct cli *cli, bool *ret_must)
{
    const char *path = cli_text(cli, CLI_CONFIG);
    if (!path)
        path = getenv("PAWL_CONFIG");
    *ret_must = path && path[0];
    if (*ret_must)
        return path;
    const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (folder && folder[0] == '/')
        return arena_printf(&cli->arena, "%s/pawl/config", folder);
    return home && home[0] == '/' ? arena_printf(&cli->arena, "%s/.config/pawl/config", home) : NULL;
}

static int merge_config(struct cli *cli, struct error *err)
{
    bool must;
    const char *path = config_path(cli, &must);
    struct buf text = BUF_INIT;
    if (!path)
        return 0;
    int rc = cli_file_read(path, CONFIG_BYTES_MAX, &text, err);
    if (rc == ERROR_NOT_FOUND && !must)
        rc = 0;
    else if (rc)
        err->code = rc == ERROR_NOT_FOUND ? ERROR_VALIDATION_ERROR : (enum error_code)rc;
    else
        cli->config_path = path;
    char *rest = arena_strndup(&cli->arena, buf_text(&text), text.len);
    uint32_t number = 1;
    for (char *line = strsep(&rest, "\n"); rc == 0 && line; line = strsep(&rest, "\n"), number++) {
        rc = take_line(cli, line, number, err);
        if (rc)
            error_add(err, "%s:%u", path, number);
    }
    buf_fini(&text);
    return rc ? (int)err->code : 0;
}

/* $XDG_DATA_HOME/pawl, else ~/.local/share/pawl. */
static const char *default_data_dir(struct cli *cli)
{
    const char *folder = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (folder && folder[0] == '/')
        return arena_printf(&cli->arena, "%s/pawl", folder);
    return home && home[0] == '/' ? arena_printf(&cli->arena, "%s/.local/share/pawl", home) : NULL;
}

/* A relative one starts at the current folder. */
static int absolute_data_dir(struct cli *cli, struct error *err)
{
    struct cli_value *value = &cli->values[CLI_DATA];
    if (value->count == 0)
        return error_set(err, ERROR_USAGE, "no data directory: give --data DIR, or set HOME");
    if (value->items[0][0] == '/')
        return 0;
    char *here = getcwd(NULL, 0);
    if (!here)
        return error_set(err, ERROR_IO, "the current folder cannot be found: %s", strerror(errno));
    value->items[0] = arena_printf(&cli->arena, "%s/%s", here, value->items[0]);
    free(here);
    return 0;
}

int cli_settings_merge(struct cli *cli, struct error *err)
{
    const enum cli_option_id *ids = cli->command->options;
    int rc = 0;
    bool any = false;
    for (const enum cli_option_id *id = ids; rc == 0 && id && *id; id++) {
        if (cli_options[*id].preset && cli->values[*id].count == 0)
            rc = merge_variable(cli, *id, err);
        any = any || cli_options[*id].preset;
    }
    if (rc == 0 && any)
        rc = merge_config(cli, err);
    for (const enum cli_option_id *id = ids; rc == 0 && id && *id; id++) {
        const char *preset = *id == CLI_DATA ? default_data_dir(cli) : cli_options[*id].preset;
        if (preset && preset[0] && cli->values[*id].count == 0)
            cli_value_add(cli, *id, preset, CLI_ORIGIN_DEFAULT);
        if (*id == CLI_DATA)
            rc = absolute_data_dir(cli, err);
    }
    return rc;
}

/* Adds a part of a URL's query; what follows the name of a password, or a name in disguise, is masked. */
static void add_parameter(struct buf *out, const char *part, size_t len)
{
    const char *equals = memchr(part, '=', len);
    size_t name = equals ? (size_t)(equals - part) : len;
    bool hides = memmem(part, name, "password", strlen("password")) || memchr(part, '%', name);
    buf_add(out, part, hides && equals ? name + 1 : len);
    if (hides && equals)
        buf_add_text(out, MASK);
}

const char *cli_settings_mask(const char *url, struct arena *arena)
{
    const char *host = strstr(url, "://");
    if (!host)
        return url;
    host += strlen("://");
    size_t len = strcspn(host, "/?");
    const char *at = memrchr(host, '@', len), *colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
    const char *query = host + strcspn(host, "?");
    struct buf out = BUF_INIT;
    buf_add(&out, url, (size_t)((colon ? colon + 1 : host) - url));
    if (colon)
        buf_add_text(&out, MASK);
    const char *rest = colon ? at : host;
    buf_add(&out, rest, (size_t)(query - rest));
    while (*query) {
        buf_add_char(&out, *query++);
        len = strcspn(query, "&");
        add_parameter(&out, query, len);
        query += len;
    }
    const char *masked = arena_strndup(arena, buf_text(&out), out.len);
    buf_fini(&out);
    return masked;
}

static const char *shown(enum cli_option_id id, const char *text, struct arena *arena)
{
    return cli_options[id].kind == CLI_STORE_URL ? cli_settings_mask(text, arena) : text;
}

static void print_origin(const struct cli *cli, enum cli_option_id id, struct buf *out)
{
    const struct cli_value *value = &cli->values[id];
    char name[64];
    cli_settings_variable(&cli_options[id], name);
    switch (value->origin) {
    case CLI_ORIGIN_FLAG:
        buf_printf(out, "flag --%s", cli_options[id].name);
        break;
    case CLI_ORIGIN_ENVIRONMENT:
        buf_printf(out, "environment %s", name);
        break;
    case CLI_ORIGIN_CONFIG:
        buf_printf(out, "%s:%u", cli->config_path, value->line);
        break;
    case CLI_ORIGIN_NONE:
    case CLI_ORIGIN_DEFAULT:
        buf_add_text(out, "default");
        break;
    }
}

static bool needs_quotes(const char *text)
{
    size_t len = strlen(text);
    return len == 0 || text[0] == '#' || isspace((unsigned char)text[0]) || isspace((unsigned char)text[len - 1]) ||
           strstr(text, " #") || strstr(text, "\t#");
}

void cli_settings_view(const struct cli *cli, enum cli_option_id id, struct arena *arena, struct api_setting *ret_view)
{
    static const enum api_setting_origin origins[] = {
        [CLI_ORIGIN_NONE] = API_SETTING_DEFAULT,
        [CLI_ORIGIN_DEFAULT] = API_SETTING_DEFAULT,
        [CLI_ORIGIN_CONFIG] = API_SETTING_CONFIG,
        [CLI_ORIGIN_ENVIRONMENT] = API_SETTING_ENVIRONMENT,
        [CLI_ORIGIN_FLAG] = API_SETTING_FLAG,
    };
    const struct cli_value *value = &cli->values[id];
    const char **values = arena_array(arena, value->count, sizeof *values);
    struct buf place = BUF_INIT;
    for (size_t i = 0; i < value->count; i++)
        values[i] = shown(id, value->items[i], arena);
    print_origin(cli, id, &place);
    *ret_view = (struct api_setting){
        .name = cli_options[id].name,
        .values = values,
        .value_count = value->count,
        .origin = origins[value->origin],
        .place = arena_strndup(arena, buf_text(&place), place.len),
        .summary = cli_options[id].summary,
    };
    buf_fini(&place);
}

void cli_settings_print(const struct cli *cli, struct buf *out)
{
    struct arena arena = {0};
    for (const enum cli_option_id *id = cli->command->options; *id; id++) {
        if (!cli_options[*id].preset)
            continue;
        const struct cli_value *value = &cli->values[*id];
        for (size_t i = 0; i < value->count; i++) {
            const char *text = shown(*id, value->items[i], &arena);
            const char *quote = needs_quotes(text) ? "\"" : "";
            size_t start = out->len;
            buf_printf(out, "%s = %s%s%s", cli_options[*id].name, quote, text, quote);
            do
                buf_add_char(out, ' ');
            while (out->len - start < 40);
            buf_add_text(out, "# ");
            print_origin(cli, *id, out);
            buf_add_char(out, '\n');
        }
        if (value->count == 0)
            buf_printf(out, "# %s is not set\n", cli_options[*id].name);
    }
    arena_fini(&arena);
}
