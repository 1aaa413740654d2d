/* docs/cli/ and docs/configuration.md. */
#include <ctype.h>
#include <string.h>

#include "cli/generate.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/settings.h"

#define NOTE "<!-- made by the build from src/cli/table.c and src/cli/options.c -->\n\n"

static void add_sentence(struct buf *out, const char *text)
{
    buf_add_char(out, (char)toupper((unsigned char)text[0]));
    buf_printf(out, "%s.\n", text + 1);
}

/* A cell of a table: pipes would end it, and <x> would be taken for HTML. */
static void add_cell(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("|<*", *text))
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
}

static void add_options(struct buf *out, const struct cli_command *command)
{
    buf_add_text(out, "\n## Options\n\n| option | |\n|---|---|\n");
    for (const enum cli_option_id *id = command->options;; id++) {
        struct buf left = BUF_INIT, right = BUF_INIT;
        const struct cli_option *option = &cli_options[id && *id ? *id : CLI_HELP];
        cli_help_option(option, &left);
        cli_help_option_text(option, &right);
        buf_printf(out, "| `%s` | ", buf_text(&left));
        add_cell(out, buf_text(&right));
        buf_add_text(out, " |\n");
        buf_fini(&left);
        buf_fini(&right);
        if (!id || !*id)
            break;
    }
}

void cli_docs_command(const struct cli_command *command, struct buf *out)
{
    struct buf synopsis = BUF_INIT;
    cli_help_synopsis(command, &synopsis);
    buf_printf(out, NOTE "# pawl %s\n\n", command->name);
    add_sentence(out, command->summary);
    buf_printf(out, "\n```\n%s\n```\n", buf_text(&synopsis));
    if (command->text)
        buf_printf(out, "\n%s\n", command->text);
    add_options(out, command);
    buf_add_text(out, "\n## Examples\n\n```sh\n");
    for (const struct cli_example *example = command->examples; example->line; example++)
        buf_printf(out, "pawl %s%s%s\n", example->line, example->text ? "    # " : "",
                   example->text ? example->text : "");
    buf_add_text(out, "```\n");
    buf_fini(&synopsis);
}

void cli_docs_overview(struct buf *out)
{
    buf_add_text(out, NOTE "# The command line\n\n| command | |\n|---|---|\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        struct buf page = BUF_INIT;
        cli_page_name("", &cli_commands[i], &page);
        buf_printf(out, "| [pawl %s](%s.md) | ", cli_commands[i].name, buf_text(&page));
        add_cell(out, cli_commands[i].summary);
        buf_add_text(out, " |\n");
        buf_fini(&page);
    }
    buf_add_text(out, "\nIds may be shortened to any unique beginning or end; tables show the last eight characters. "
                      "DAGs are known\nby name too. Data goes to stdout, everything said about it to stderr; `-o json` "
                      "gives data for programs, in\nthe shapes of the REST API. Times in tables are local, in JSON "
                      "UTC. `NO_COLOR` turns colours off.\n\n"
                      "Commands find the daemon by `--server URL` or `PAWL_SERVER`, else by the data directory "
                      "(`--data DIR`,\n`PAWL_DATA`). Without a daemon, `runs list`, `runs show`, `logs`, `why`, "
                      "`dags list` and `dags show` read the\ndata directory itself. "
                      "[Configuration](../configuration.md) says which other settings there are.\n"
                      "\n## Exit status\n\n| status | |\n|---|---|\n");
    for (const struct cli_exit_status *exit = cli_exit_statuses; exit->text; exit++)
        buf_printf(out, "| %d | %s |\n", exit->status, exit->text);
}

void cli_docs_configuration(struct buf *out)
{
    buf_add_text(
        out,
        NOTE "# Configuration\n\n"
             "A setting comes from a flag (`--log-level debug`), else from the environment (`PAWL_LOG_LEVEL=debug`), "
             "else from\nthe config file (`log-level = debug`), else it has its default. `pawl serve --print-config` "
             "shows every setting\nof the daemon and where its value came from, in the form of a config file.\n\n"
             "The config file is `$XDG_CONFIG_HOME/pawl/config`, or `~/.config/pawl/config`; `--config FILE` and "
             "`PAWL_CONFIG`\nname another. It has lines of `name = value`:\n\n"
             "```\n# at the beginning of a line or behind a space, # starts a comment\n"
             "listen = 127.0.0.1:9090\nworkers = 8\ndata = \"/srv/pawl data\"      # quotes keep spaces\n"
             "secret = TOKEN=file:/etc/pawl/warehouse-token\nsecret = KEY=env:WAREHOUSE_KEY\n```\n\n"
             "A setting that may be given several times repeats its line, or its flag; in a variable the values are "
             "separated\nby commas. Unknown names and values out of range are errors, so a slip of the hand does not "
             "go unnoticed.\n\n| setting | default | |\n|---|---|---|\n");
    for (int id = CLI_OPTION_END + 1; id < CLI_OPTION_COUNT; id++) {
        const struct cli_option *option = &cli_options[id];
        if (!option->preset)
            continue;
        buf_printf(out, "| `%s`", option->name);
        if (option->kind != CLI_FLAG)
            buf_printf(out, " %s", option->value);
        buf_printf(out, " | %s%s%s | ", option->preset[0] ? "`" : "", option->preset, option->preset[0] ? "`" : "");
        add_cell(out, option->summary);
        for (size_t i = 0; option->choices && option->choices[i]; i++)
            buf_printf(out, "%s`%s`", i > 0 ? ", " : ": ", option->choices[i]);
        buf_add_text(out, option->list ? "; may be given several times |\n" : " |\n");
    }
    buf_add_text(out, "\n`data` is `$XDG_DATA_HOME/pawl` unless it is set, or `~/.local/share/pawl`. `server` is for "
                      "the commands that\ntalk to a daemon, `output` for those that print data.\n\n"
                      "Durations are `500ms`, `30s`, `5m`, `1h`, `2d`; sizes `4096`, `64KiB`, `10MiB`, `1GiB`.\n\n"
                      "## Secrets\n\n"
                      "A DAG names the secrets it needs (`secrets: [TOKEN]`); `secret` says where their values are: "
                      "in a file, of which\none line break at the end is dropped, or in the daemon's own environment. "
                      "They are read when an attempt starts and\nnever stored.\n");
}
