#include "cli/help.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/parse.h"

enum { WIDTH = 80, INDENT = 2, COLUMN_MAX = 30 };

const struct cli_exit_status cli_exit_statuses[] = {
    {0, "ok"},
    {1, "the run failed, or something is not well"},
    {2, "wrong usage"},
    {3, "a DAG file or the configuration is not valid"},
    {4, "not found"},
    {5, "conflict with the present state"},
    {6, "not allowed"},
    {7, "the daemon cannot be reached, or cannot work"},
    {124, "waiting timed out"},
    {130, "interrupted"},
    {0, NULL},
};

static void add_title(struct buf *out, bool color, const char *title)
{
    buf_printf(out, "\n%s%s%s\n", color ? "\033[1m" : "", title, color ? "\033[0m" : "");
}

/* Text broken at spaces; line breaks in it stay. The first line goes on at `column`. */
static void add_wrapped(struct buf *out, const char *text, size_t column, size_t indent)
{
    while (*text) {
        size_t len = strcspn(text, " \n");
        if (column > indent && column + len > WIDTH) {
            buf_add_char(out, '\n');
            for (column = 0; column < indent; column++)
                buf_add_char(out, ' ');
        }
        buf_add(out, text, len);
        column += len;
        text += len;
        if (*text == '\n') {
            buf_add_char(out, '\n');
            text++;
            for (column = 0; column < indent && *text != '\n'; column++)
                buf_add_char(out, ' ');
        } else if (*text == ' ') {
            text++;
            if (column + 1 + strcspn(text, " \n") <= WIDTH) {
                buf_add_char(out, ' ');
                column++;
            } else {
                column = WIDTH;
            }
        }
    }
    buf_add_char(out, '\n');
}

static void add_row(struct buf *out, const char *left, const char *right, size_t column)
{
    size_t start = out->len;
    buf_printf(out, "  %s", left);
    size_t used = out->len - start;
    if (used + 2 > column) {
        buf_add_char(out, '\n');
        used = 0;
    }
    for (; used < column; used++)
        buf_add_char(out, ' ');
    add_wrapped(out, right, column, column);
}

void cli_help_synopsis(const struct cli_command *command, struct buf *out)
{
    buf_printf(out, "pawl %s", command->name);
    for (const struct cli_operand *operand = command->operands; operand->name; operand++)
        buf_printf(out, operand->optional ? " [%s%s]" : " %s%s", operand->name, operand->list ? "..." : "");
    if (command->options)
        buf_add_text(out, " [OPTIONS]");
}

void cli_help_option(const struct cli_option *option, struct buf *out)
{
    if (option->letter)
        buf_printf(out, "-%c, ", option->letter);
    buf_printf(out, "--%s", option->name);
    if (option->kind != CLI_FLAG)
        buf_printf(out, " %s", option->value);
}

void cli_help_option_text(const struct cli_option *option, struct buf *out)
{
    buf_add_text(out, option->summary);
    if (option->choices) {
        buf_add_text(out, ": ");
        for (size_t i = 0; option->choices[i]; i++)
            buf_printf(out, "%s%s", i > 0 ? ", " : "", option->choices[i]);
    }
    if (option->kind != CLI_FLAG && option->preset && option->preset[0])
        buf_printf(out, " (default: %s)", option->preset);
    else if (option == &cli_options[CLI_DATA])
        buf_add_text(out, " (default: $XDG_DATA_HOME/pawl or ~/.local/share/pawl)");
}

static void help_command(const struct cli_command *command, bool color, struct buf *out)
{
    buf_add_text(out, "Usage: ");
    cli_help_synopsis(command, out);
    buf_add_text(out, "\n\n");
    if (command->text) {
        add_wrapped(out, command->text, 0, 0);
    } else {
        size_t start = out->len;
        add_wrapped(out, command->summary, 0, 0);
        if (out->bytes[start] >= 'a' && out->bytes[start] <= 'z')
            out->bytes[start] = (char)(out->bytes[start] - 'a' + 'A');
        out->bytes[out->len - 1] = '.';
        buf_add_char(out, '\n');
    }
    add_title(out, color, "Options");
    for (const enum cli_option_id *id = command->options;; id++) {
        struct buf left = BUF_INIT, right = BUF_INIT;
        const struct cli_option *option = &cli_options[id && *id ? *id : CLI_HELP];
        cli_help_option(option, &left);
        cli_help_option_text(option, &right);
        add_row(out, buf_text(&left), buf_text(&right), COLUMN_MAX);
        buf_fini(&left);
        buf_fini(&right);
        if (!id || !*id)
            break;
    }
    if (command->examples[0].line)
        add_title(out, color, "Examples");
    for (const struct cli_example *example = command->examples; example->line; example++)
        buf_printf(out, "  pawl %s%s%s\n", example->line, example->text ? "\n      " : "",
                   example->text ? example->text : "");
}

static void help_family(const struct cli_family *family, bool color, struct buf *out)
{
    buf_printf(out, "Usage: pawl %s COMMAND\n\n%s\n", family->name, family->summary);
    add_title(out, color, "Commands");
    for (size_t i = 0; i < cli_command_count; i++)
        if (cli_in_family(&cli_commands[i], family)) {
            struct buf left = BUF_INIT;
            cli_help_synopsis(&cli_commands[i], &left);
            left.len -= strlen(" [OPTIONS]");
            buf_drop_front(&left, strlen("pawl "));
            add_row(out, buf_text(&left), cli_commands[i].summary, 24);
            buf_fini(&left);
        }
    buf_printf(out, "\n'pawl %s' alone is the first of them. 'pawl help %s COMMAND' says more.\n", family->name,
               family->name);
}

static void help_everything(bool color, struct buf *out)
{
    buf_add_text(out, "Usage: pawl COMMAND [ARGUMENTS] [OPTIONS]\n\npawl runs workflows of tasks, in parallel and in "
                      "order, and never loses or\ninvents a result.\n");
    add_title(out, color, "Commands");
    const struct cli_family *last = NULL;
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i].name;
        const struct cli_family *family = cli_find_family(name, strcspn(name, " "));
        if (!family)
            add_row(out, name, cli_commands[i].summary, 15);
        else if (family != last)
            add_row(out, family->name, family->summary, 15);
        last = family;
    }
    add_title(out, color, "Exit status");
    for (const struct cli_exit_status *exit = cli_exit_statuses; exit->text; exit++)
        buf_printf(out, "  %-3d  %s\n", exit->status, exit->text);
    buf_add_text(out, "\n'pawl help COMMAND' and 'pawl COMMAND --help' say more. Ids may be shortened to any unique\n"
                      "beginning or end, DAGs are known by name too. Settings come from flags, then PAWL_*\n"
                      "variables, then ~/.config/pawl/config.\n");
}

void cli_help(const struct cli_command *command, const struct cli_family *family, bool color, struct buf *out)
{
    if (family)
        help_family(family, color, out);
    else if (command)
        help_command(command, color, out);
    else
        help_everything(color, out);
}

int cli_help_command(struct cli *cli, struct error *err)
{
    const struct cli_command *command = NULL;
    const struct cli_family *family = NULL;
    const char *first = cli_operand(cli, 0), *second = cli_operand(cli, 1);
    if (first && !cli_find_family(first, strlen(first)))
        second = NULL;
    int rc = first ? cli_parse_name(cli, first, second, &command, &family, err) : 0;
    if (rc)
        return rc;
    cli_help(command, family, cli->screen.out_color, &cli->out);
    return 0;
}

int cli_version(struct cli *cli, struct error *err)
{
    (void)err;
    buf_add_text(&cli->out, "pawl " PAWL_VERSION "\n");
    return 0;
}
