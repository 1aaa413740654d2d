/* Completion scripts, made from the table. Words, options and their choices are in the script; names of DAGs and ids of
 * runs are asked of pawl itself when they are needed. */
#include <string.h>

#include "cli/commands.h"
#include "cli/generate.h"
#include "cli/parse.h"

/* Words of the first level: commands without a family, then families. */
static void add_first_words(struct buf *out)
{
    const char *space = "";
    for (size_t i = 0; i < cli_command_count; i++) {
        if (strchr(cli_commands[i].name, ' '))
            continue;
        buf_printf(out, "%s%s", space, cli_commands[i].name);
        space = " ";
    }
    for (size_t i = 0; i < cli_family_count; i++)
        buf_printf(out, " %s", cli_families[i].name);
}

static void add_family_words(struct buf *out, const struct cli_family *family)
{
    const char *space = "";
    for (size_t i = 0; i < cli_command_count; i++) {
        if (!cli_in_family(&cli_commands[i], family))
            continue;
        buf_printf(out, "%s%s", space, cli_commands[i].name + strlen(family->name) + 1);
        space = " ";
    }
}

static void add_choices(struct buf *out, const struct cli_option *option)
{
    for (size_t i = 0; option->choices && option->choices[i]; i++)
        buf_printf(out, "%s%s", i > 0 ? " " : "", option->choices[i]);
}

/* What pawl is asked for: `pawl candidates KIND` prints them one a line. NULL: nothing is. Names are foreign text: the
 * scripts never let the shell expand them. */
static const char *kind_of(enum cli_operand_kind kind)
{
    switch (kind) {
    case CLI_OPERAND_DAG:
        return "dags";
    case CLI_OPERAND_RUN:
        return "runs";
    case CLI_OPERAND_WORKER:
        return "workers";
    case CLI_OPERAND_LETTER:
        return "letters";
    case CLI_OPERAND_FILE:
    case CLI_OPERAND_TASK:
    case CLI_OPERAND_TOKEN:
    case CLI_OPERAND_COMMAND:
    case CLI_OPERAND_SHELL:
    case CLI_OPERAND_PLACE:
        break;
    }
    return NULL;
}

/* ---- bash ---- */

/* The case of one option's value. */
static void bash_option_value(struct buf *out, const struct cli_option *option)
{
    if (option->kind == CLI_FLAG)
        return;
    buf_printf(out, "        --%s", option->name);
    if (option->letter)
        buf_printf(out, "|-%c", option->letter);
    buf_add_text(out, ") ");
    if (option->choices) {
        buf_add_text(out, "COMPREPLY=($(compgen -W '");
        add_choices(out, option);
        buf_add_text(out, "' -- \"$cur\")); return ;;\n");
    } else if (option->kind == CLI_FOLDER) {
        buf_add_text(out, "_pawl_files -d; return ;;\n");
    } else if (option->kind == CLI_PATH) {
        buf_add_text(out, "_pawl_files -f; return ;;\n");
    } else if (option == &cli_options[CLI_BY_DAG]) {
        buf_add_text(out, "_pawl_candidates dags; return ;;\n");
    } else {
        buf_add_text(out, "return ;;\n");
    }
}

static void bash_operand(struct buf *out, const struct cli_command *command)
{
    const struct cli_operand *operand = &command->operands[0];
    const char *kind = operand->name ? kind_of(operand->kind) : NULL;
    if (kind)
        buf_printf(out, "_pawl_candidates %s", kind);
    else if (operand->name && operand->kind == CLI_OPERAND_FILE)
        buf_add_text(out, "_pawl_files -f");
    else if (operand->name && operand->kind == CLI_OPERAND_SHELL)
        buf_add_text(out, "COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\"))");
    else if (operand->name && operand->kind == CLI_OPERAND_COMMAND) {
        buf_add_text(out, "COMPREPLY=($(compgen -W '");
        add_first_words(out);
        buf_add_text(out, "' -- \"$cur\"))");
    } else
        buf_add_text(out, "COMPREPLY=()");
}

static void bash_command(struct buf *out, const struct cli_command *command)
{
    buf_printf(out, "    '%s')\n        case \"$prev\" in\n", command->name);
    for (const enum cli_option_id *id = command->options; id && *id; id++)
        bash_option_value(out, &cli_options[*id]);
    buf_add_text(out, "        esac\n        if [[ $cur == -* ]]; then\n            COMPREPLY=($(compgen -W '--help");
    for (const enum cli_option_id *id = command->options; id && *id; id++)
        buf_printf(out, " --%s", cli_options[*id].name);
    buf_add_text(out, "' -- \"$cur\"))\n        else\n            ");
    bash_operand(out, command);
    buf_add_text(out, "\n        fi\n        ;;\n");
}

void cli_completion_bash(struct buf *out)
{
    buf_add_text(out, "# bash completion of pawl\n"
                      "_pawl_candidates() {\n"
                      "    local name\n"
                      "    while IFS= read -r name; do\n"
                      "        if [[ $name == \"$cur\"* ]]; then\n"
                      "            COMPREPLY+=(\"$(printf %q \"$name\")\")\n"
                      "        fi\n"
                      "    done < <(pawl candidates \"$1\" 2>/dev/null)\n"
                      "}\n"
                      "_pawl_files() {\n"
                      "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n"
                      "    compopt -o filenames 2>/dev/null\n"
                      "}\n"
                      "_pawl() {\n"
                      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} word= command=\n"
                      "    COMPREPLY=()\n"
                      "    if ((COMP_CWORD > 1)); then\n"
                      "        word=${COMP_WORDS[1]} command=$word\n"
                      "    fi\n"
                      "    case \"$word\" in\n"
                      "    '')\n"
                      "        COMPREPLY=($(compgen -W '");
    add_first_words(out);
    buf_add_text(out, " --help --version' -- \"$cur\"))\n        return\n        ;;\n");
    for (size_t i = 0; i < cli_family_count; i++) {
        buf_printf(out, "    %s)\n        if ((COMP_CWORD == 2)); then\n            COMPREPLY=($(compgen -W '",
                   cli_families[i].name);
        add_family_words(out, &cli_families[i]);
        buf_add_text(out, "' -- \"$cur\"))\n            return\n        fi\n"
                          "        command=\"$word ${COMP_WORDS[2]}\"\n        ;;\n");
    }
    buf_add_text(out, "    esac\n    case \"$command\" in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        bash_command(out, &cli_commands[i]);
    buf_add_text(out, "    esac\n}\ncomplete -F _pawl pawl\n");
}

/* ---- zsh ---- */

/* Text inside '...' that _arguments reads: quotes, brackets and colons are its own. */
static void zsh_text(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else if (strchr("[]:\\", *text))
            buf_printf(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

static void zsh_option(struct buf *out, const struct cli_option *option)
{
    buf_add_text(out, " \\\n            ");
    if (option->list)
        buf_add_char(out, '*');
    else if (option->letter)
        buf_printf(out, "'(-%c --%s)'", option->letter, option->name);
    if (option->letter)
        buf_printf(out, "{-%c,--%s}", option->letter, option->name);
    else
        buf_printf(out, "--%s", option->name);
    buf_add_text(out, option->kind == CLI_FLAG ? "'[" : option->letter ? "'[" : "'=[");
    zsh_text(out, option->summary);
    buf_add_char(out, ']');
    if (option->kind != CLI_FLAG) {
        buf_printf(out, ":%s:", option->value);
        if (option->choices) {
            buf_add_char(out, '(');
            add_choices(out, option);
            buf_add_char(out, ')');
        } else if (option->kind == CLI_PATH || option->kind == CLI_FOLDER) {
            buf_add_text(out, option->kind == CLI_PATH ? "_files" : "_files -/");
        }
    }
    buf_add_char(out, '\'');
}

static void zsh_operand(struct buf *out, const struct cli_operand *operand, size_t number)
{
    const char *kind = kind_of(operand->kind);
    buf_add_text(out, " \\\n            ");
    if (operand->list)
        buf_printf(out, "'*:%s:", operand->name);
    else
        buf_printf(out, "'%zu:%s:", number, operand->name);
    if (kind) {
        buf_printf(out, "{ local -a found; found=(${(f)\"$(pawl candidates %s 2>/dev/null)\"}); compadd -a found }",
                   kind);
    } else if (operand->kind == CLI_OPERAND_FILE) {
        buf_add_text(out, "_files");
    } else if (operand->kind == CLI_OPERAND_SHELL) {
        buf_add_text(out, "(bash zsh fish)");
    } else if (operand->kind == CLI_OPERAND_COMMAND) {
        buf_add_char(out, '(');
        add_first_words(out);
        buf_add_char(out, ')');
    }
    buf_add_char(out, '\'');
}

static void zsh_command(struct buf *out, const struct cli_command *command)
{
    size_t number = 1;
    buf_printf(out, "        (%s%s%s)\n        _arguments -s -S", strchr(command->name, ' ') ? "'" : "", command->name,
               strchr(command->name, ' ') ? "'" : "");
    zsh_option(out, &cli_options[CLI_HELP]);
    for (const enum cli_option_id *id = command->options; id && *id; id++)
        zsh_option(out, &cli_options[*id]);
    for (const struct cli_operand *operand = command->operands; operand->name; operand++)
        zsh_operand(out, operand, number++);
    buf_add_text(out, "\n        ;;\n");
}

static void zsh_words(struct buf *out, const struct cli_family *family)
{
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *name = cli_commands[i].name;
        if (family ? !cli_in_family(&cli_commands[i], family) : strchr(name, ' ') != NULL)
            continue;
        buf_printf(out, "            '%s:", family ? name + strlen(family->name) + 1 : name);
        zsh_text(out, cli_commands[i].summary);
        buf_add_text(out, "'\n");
    }
    for (size_t i = 0; !family && i < cli_family_count; i++) {
        buf_printf(out, "            '%s:", cli_families[i].name);
        zsh_text(out, cli_families[i].summary);
        buf_add_text(out, "'\n");
    }
}

void cli_completion_zsh(struct buf *out)
{
    buf_add_text(out, "#compdef pawl\n# zsh completion of pawl\n_pawl() {\n    local -a commands\n"
                      "    local command=$words[2]\n    if ((CURRENT == 2)); then\n        commands=(\n");
    zsh_words(out, NULL);
    buf_add_text(out, "        )\n        _describe command commands\n        return\n    fi\n"
                      "    shift words\n    ((CURRENT--))\n    case $command in\n");
    for (size_t i = 0; i < cli_family_count; i++) {
        buf_printf(out, "    (%s)\n        if ((CURRENT == 2)); then\n        commands=(\n", cli_families[i].name);
        zsh_words(out, &cli_families[i]);
        buf_add_text(out, "        )\n            _describe command commands\n            return\n        fi\n"
                          "        command=\"$command $words[2]\"\n        shift words\n        ((CURRENT--))\n"
                          "        ;;\n");
    }
    buf_add_text(out, "    esac\n    case $command in\n");
    for (size_t i = 0; i < cli_command_count; i++)
        zsh_command(out, &cli_commands[i]);
    buf_add_text(out, "    esac\n}\n"
                      "if [[ $funcstack[1] == _pawl ]]; then\n    _pawl \"$@\"\nelse\n    compdef _pawl pawl\nfi\n");
}

/* ---- fish ---- */

static void fish_text(struct buf *out, const char *text)
{
    buf_add_char(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
    buf_add_char(out, '\'');
}

static void fish_option(struct buf *out, const char *condition, const struct cli_option *option)
{
    buf_printf(out, "complete -c pawl -n \"%s\" -l %s", condition, option->name);
    if (option->letter)
        buf_printf(out, " -s %c", option->letter);
    if (option->choices) {
        buf_add_text(out, " -x -a '");
        add_choices(out, option);
        buf_add_char(out, '\'');
    } else if (option->kind == CLI_PATH || option->kind == CLI_FOLDER) {
        buf_add_text(out, " -r -F");
    } else if (option->kind != CLI_FLAG) {
        buf_add_text(out, " -x");
    }
    buf_add_text(out, " -d ");
    fish_text(out, option->summary);
    buf_add_char(out, '\n');
}

static void fish_operand(struct buf *out, const char *condition, const struct cli_operand *operand)
{
    const char *kind = kind_of(operand->kind);
    if (operand->kind == CLI_OPERAND_FILE)
        buf_printf(out, "complete -c pawl -n \"%s\" -F\n", condition);
    else if (operand->kind == CLI_OPERAND_SHELL)
        buf_printf(out, "complete -c pawl -n \"%s\" -a 'bash zsh fish'\n", condition);
    else if (kind)
        buf_printf(out, "complete -c pawl -n \"%s\" -a '(pawl candidates %s 2>/dev/null)'\n", condition, kind);
}

static void fish_command(struct buf *out, const struct cli_command *command)
{
    struct buf condition = BUF_INIT;
    const struct cli_family *family = cli_find_family(command->name, strcspn(command->name, " "));
    const char *word = family ? command->name + strlen(family->name) + 1 : command->name;
    if (family) {
        buf_printf(out, "complete -c pawl -n \"__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from ",
                   family->name);
        add_family_words(out, family);
        buf_printf(out, "\" -a %s -d ", word);
        buf_printf(&condition, "__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s", family->name,
                   word);
    } else {
        buf_printf(out, "complete -c pawl -n __fish_use_subcommand -a %s -d ", word);
        buf_printf(&condition, "__fish_seen_subcommand_from %s", word);
    }
    fish_text(out, command->summary);
    buf_add_char(out, '\n');
    for (const enum cli_option_id *id = command->options; id && *id; id++)
        fish_option(out, buf_text(&condition), &cli_options[*id]);
    if (command->operands[0].name)
        fish_operand(out, buf_text(&condition), &command->operands[0]);
    buf_fini(&condition);
}

void cli_completion_fish(struct buf *out)
{
    buf_add_text(out, "# fish completion of pawl\ncomplete -c pawl -f\ncomplete -c pawl -l help -s h -d ");
    fish_text(out, cli_options[CLI_HELP].summary);
    buf_add_char(out, '\n');
    for (size_t i = 0; i < cli_family_count; i++) {
        buf_printf(out, "complete -c pawl -n __fish_use_subcommand -a %s -d ", cli_families[i].name);
        fish_text(out, cli_families[i].summary);
        buf_add_char(out, '\n');
    }
    for (size_t i = 0; i < cli_command_count; i++)
        fish_command(out, &cli_commands[i]);
}

int cli_completion(struct cli *cli, struct error *err)
{
    static const struct {
        const char *name;
        void (*print)(struct buf *out);
    } shells[] = {{"bash", cli_completion_bash}, {"zsh", cli_completion_zsh}, {"fish", cli_completion_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, cli_operand(cli, 0)) == 0) {
            shells[i].print(&cli->out);
            return 0;
        }
    }
    return error_set(err, ERROR_USAGE, "no completion for '%.100s': bash, zsh or fish", cli_operand(cli, 0));
}
