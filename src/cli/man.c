/* Man pages in man(7): pawl(1), and one for each command. */
#include <string.h>

#include "cli/generate.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/settings.h"

/* Text for roff: backslashes and dashes escaped, no line that begins with a dot or quote. */
static void add_text(struct buf *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        bool line_start = at == text || at[-1] == '\n';
        if (line_start && (*at == '.' || *at == '\''))
            buf_add_text(out, "\\&");
        if (*at == '\\')
            buf_add_text(out, "\\e");
        else if (*at == '-')
            buf_add_text(out, "\\-");
        else if (*at == '~')
            buf_add_text(out, "\\(ti");
        else if (*at == '\'')
            buf_add_text(out, "\\(aq");
        else
            buf_add_char(out, *at);
    }
}

static void add_paragraphs(struct buf *out, const char *text)
{
    while (*text) {
        const char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end - text) : strlen(text);
        struct buf part = BUF_INIT;
        buf_add(&part, text, len);
        buf_add_text(out, ".PP\n");
        add_text(out, buf_text(&part));
        buf_add_char(out, '\n');
        buf_fini(&part);
        text += len + (end ? 2 : 0);
    }
}

static void add_head(struct buf *out, const char *page, const char *summary)
{
    buf_printf(out, ".TH %s 1 \"\" \"pawl %s\" \"pawl\"\n.SH NAME\n", page, PAWL_VERSION);
    add_text(out, page);
    buf_add_text(out, " \\- ");
    add_text(out, summary);
    buf_add_char(out, '\n');
}

static void add_option(struct buf *out, const struct cli_option *option)
{
    struct buf left = BUF_INIT, right = BUF_INIT;
    cli_help_option(option, &left);
    cli_help_option_text(option, &right);
    buf_add_text(out, ".TP\n.B ");
    add_text(out, buf_text(&left));
    buf_add_char(out, '\n');
    add_text(out, buf_text(&right));
    buf_add_text(out, ".\n");
    if (option->preset) {
        char name[64];
        cli_settings_variable(option, name);
        buf_printf(out, "Also\n.B %s\nin the environment.\n", name);
    }
    buf_fini(&left);
    buf_fini(&right);
}

static void add_exit_statuses(struct buf *out)
{
    buf_add_text(out, ".SH EXIT STATUS\n");
    for (const struct cli_exit_status *exit = cli_exit_statuses; exit->text; exit++) {
        buf_printf(out, ".TP\n.B %d\n", exit->status);
        add_text(out, exit->text);
        buf_add_text(out, ".\n");
    }
}

void cli_page_name(const char *prefix, const struct cli_command *command, struct buf *out)
{
    buf_add_text(out, prefix);
    for (const char *at = command->name; *at; at++)
        buf_add_char(out, *at == ' ' ? '-' : *at);
}

void cli_man_command(const struct cli_command *command, struct buf *out)
{
    struct buf page = BUF_INIT, synopsis = BUF_INIT;
    cli_page_name("pawl-", command, &page);
    cli_help_synopsis(command, &synopsis);
    add_head(out, buf_text(&page), command->summary);
    buf_add_text(out, ".SH SYNOPSIS\n.B ");
    add_text(out, buf_text(&synopsis));
    buf_add_text(out, "\n.SH DESCRIPTION\n");
    if (command->text) {
        add_paragraphs(out, command->text);
    } else {
        size_t start = out->len;
        add_text(out, command->summary);
        if (out->bytes[start] >= 'a' && out->bytes[start] <= 'z')
            out->bytes[start] = (char)(out->bytes[start] - 'a' + 'A');
        buf_add_text(out, ".\n");
    }
    buf_add_text(out, ".SH OPTIONS\n");
    for (const enum cli_option_id *id = command->options; id && *id; id++)
        add_option(out, &cli_options[*id]);
    add_option(out, &cli_options[CLI_HELP]);
    buf_add_text(out, ".SH EXAMPLES\n");
    for (const struct cli_example *example = command->examples; example->line; example++) {
        buf_add_text(out, ".TP\n.B pawl ");
        add_text(out, example->line);
        buf_add_char(out, '\n');
        if (example->text)
            add_text(out, example->text);
        buf_add_char(out, '\n');
    }
    buf_add_text(out, ".SH SEE ALSO\n.BR pawl (1),\nwhich lists the exit statuses.\n");
    buf_fini(&page);
    buf_fini(&synopsis);
}

void cli_man_overview(struct buf *out)
{
    add_head(out, "pawl", "run workflows of tasks");
    buf_add_text(out, ".SH SYNOPSIS\n.B pawl\n.I COMMAND\n.RI [ ARGUMENTS ]\n.RI [ OPTIONS ]\n.SH DESCRIPTION\n");
    add_paragraphs(out, "pawl runs workflows of tasks, in parallel and in dependency order, and never loses or invents "
                        "a result. A workflow is a DAG of tasks in a YAML file.\n\n"
                        "Ids may be shortened to any unique beginning or end; tables show the last eight characters. "
                        "DAGs are known by name too. Data goes to stdout, everything said about it to stderr.");
    buf_add_text(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < cli_command_count; i++) {
        struct buf page = BUF_INIT;
        cli_page_name("pawl-", &cli_commands[i], &page);
        buf_add_text(out, ".TP\n.BR ");
        add_text(out, buf_text(&page));
        buf_add_text(out, " (1)\n");
        add_text(out, cli_commands[i].summary);
        buf_add_text(out, ".\n");
        buf_fini(&page);
    }
    buf_add_text(out, ".SH SETTINGS\n");
    add_paragraphs(out, "Options that are settings may also be given by the environment and by the config file. Flags "
                        "beat the environment, which beats the file, which beats the defaults. The file has lines of "
                        "'name = value', with the names of the options; 'pawl serve --print-config' prints one.");
    buf_add_text(out, ".SH FILES\n.TP\n.I $XDG_CONFIG_HOME/pawl/config\nor\n.IR \\(ti/.config/pawl/config :\n"
                      "the config file, unless\n.B \\-\\-config\nor\n.B PAWL_CONFIG\nnames another.\n"
                      ".TP\n.I $XDG_DATA_HOME/pawl\nor\n.IR \\(ti/.local/share/pawl :\nthe data directory, unless\n"
                      ".B \\-\\-data\nnames another.\n.SH ENVIRONMENT\n.TP\n.B NO_COLOR\n"
                      "Not empty: no colours.\n.TP\n.B PAWL_*\nSettings, by the names of the options in capitals.\n");
    add_exit_statuses(out);
}
