#include "cli/parse.h"

#include <string.h>

#include "base/str.h"

enum { WORDS_MAX = 64 };

/* May stand before the command too. */
static const enum cli_option_id common_options[] = {CLI_HELP, CLI_VERSION, CLI_CONFIG, CLI_DATA, CLI_SERVER, CLI_OUTPUT,
                                                    CLI_OPTION_END};

struct scan {
    struct cli *cli;
    int argc;
    char **argv;
    int at;             /* the next word */
    bool literal;       /* behind -- */
    bool help;
    bool version;
};

const struct cli_family *cli_find_family(const char *word, size_t len)
{
    for (size_t i = 0; i < cli_family_count; i++)
        if (strlen(cli_families[i].name) == len && memcmp(cli_families[i].name, word, len) == 0)
            return &cli_families[i];
    return NULL;
}

bool cli_in_family(const struct cli_command *command, const struct cli_family *family)
{
    size_t len = strlen(family->name);
    return strncmp(command->name, family->name, len) == 0 && command->name[len] == ' ';
}

static const struct cli_command *first_of_family(const struct cli_family *family)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (cli_in_family(&cli_commands[i], family))
            return &cli_commands[i];
    return NULL;
}

const struct cli_command *cli_find_command(const char *name)
{
    for (size_t i = 0; i < cli_command_count; i++)
        if (strcmp(cli_commands[i].name, name) == 0)
            return &cli_commands[i];
    const struct cli_family *family = cli_find_family(name, strlen(name));
    return family ? first_of_family(family) : NULL;
}

void cli_value_add(struct cli *cli, enum cli_option_id id, const char *text, enum cli_origin origin)
{
    struct cli_value *value = &cli->values[id];
    size_t count = cli_options[id].list && value->origin == origin ? value->count : 0;
    const char **items = arena_array(&cli->arena, count + 1, sizeof *items);
    if (count > 0)
        memcpy(items, value->items, count * sizeof *items);
    items[count] = text;
    value->items = items;
    value->count = count + 1;
    value->origin = origin;
}

static bool command_has(const struct cli_command *command, enum cli_option_id id)
{
    for (const enum cli_option_id *at = command->options; at && *at; at++)
        if (*at == id)
            return true;
    return false;
}

static const enum cli_option_id *options_of(const struct scan *scan)
{
    return scan->cli->command ? scan->cli->command->options : common_options;
}

/* The option of a name or a letter that the command (or, before it is known, every command) has. */
static enum cli_option_id find_option(const struct scan *scan, const char *name, size_t len, char letter)
{
    for (const enum cli_option_id *id = options_of(scan); id && *id; id++) {
        const struct cli_option *option = &cli_options[*id];
        if (name ? strlen(option->name) == len && memcmp(option->name, name, len) == 0 : option->letter == letter)
            return *id;
    }
    const struct cli_option *help = &cli_options[CLI_HELP];
    if (name ? strlen(help->name) == len && memcmp(help->name, name, len) == 0 : help->letter == letter)
        return CLI_HELP;
    return CLI_OPTION_END;
}

static int unknown_option(struct scan *scan, const char *name, struct error *err)
{
    const char *words[WORDS_MAX];
    size_t count = 0;
    for (const enum cli_option_id *id = options_of(scan); id && *id && count < WORDS_MAX; id++)
        words[count++] = cli_options[*id].name;
    const char *near = str_nearest(name, words, count);
    const struct cli_command *command = scan->cli->command;
    if (near)
        cli_hint(scan->cli, "did you mean '--%s'?", near);
    else if (command)
        cli_hint(scan->cli, "'pawl %s --help' lists its options", command->name);
    return error_set(err, ERROR_USAGE, "unknown option '%s%.100s'%s%s", name[0] && name[1] ? "--" : "-", name,
                     command ? " for pawl " : "", command ? command->name : "");
}

static int take_value(struct scan *scan, enum cli_option_id id, const char *text, struct error *err)
{
    if (id == CLI_HELP || id == CLI_VERSION) {
        scan->help = scan->help || id == CLI_HELP;
        scan->version = scan->version || id == CLI_VERSION;
        return 0;
    }
    int rc = cli_option_check(&cli_options[id], text, err);
    if (rc == 0)
        cli_value_add(scan->cli, id, text, CLI_ORIGIN_FLAG);
    else if (cli_options[id].kind == CLI_CHOICE) {
        size_t count = 0;
        while (cli_options[id].choices[count])
            count++;
        const char *near = str_nearest(text, cli_options[id].choices, count);
        if (near)
            cli_hint(scan->cli, "did you mean '%s'?", near);
    }
    return rc ? error_add(err, "--%s", cli_options[id].name) : 0;
}

static int take_long(struct scan *scan, const char *word, struct error *err)
{
    size_t len = strcspn(word, "=");
    const char *text = word[len] ? word + len + 1 : NULL;
    enum cli_option_id id = find_option(scan, word, len, 0);
    if (id == CLI_OPTION_END)
        return unknown_option(scan, arena_strndup(&scan->cli->arena, word, len), err);
    if (cli_options[id].kind == CLI_FLAG) {
        if (text)
            return error_set(err, ERROR_USAGE, "--%s takes no value", cli_options[id].name);
        return take_value(scan, id, "true", err);
    }
    if (!text && scan->at < scan->argc)
        text = scan->argv[scan->at++];
    if (!text)
        return error_set(err, ERROR_USAGE, "--%s needs a value: %s", cli_options[id].name, cli_options[id].value);
    return take_value(scan, id, text, err);
}

static int take_letters(struct scan *scan, const char *letters, struct error *err)
{
    int rc = 0;
    while (rc == 0 && *letters) {
        const char name[2] = {*letters, '\0'};
        enum cli_option_id id = find_option(scan, NULL, 0, *letters++);
        if (id == CLI_OPTION_END)
            return unknown_option(scan, name, err);
        if (cli_options[id].kind == CLI_FLAG) {
            rc = take_value(scan, id, "true", err);
            continue;
        }
        const char *text = *letters ? letters : scan->at < scan->argc ? scan->argv[scan->at++] : NULL;
        if (!text)
            return error_set(err, ERROR_USAGE, "-%s needs a value: %s", name, cli_options[id].value);
        return take_value(scan, id, text + (*letters == '=' && text == letters), err);
    }
    return rc;
}

/* Reads options up to the next word that is none; NULL at the end. */
static int next_word(struct scan *scan, const char **ret_word, struct error *err)
{
    int rc = 0;
    *ret_word = NULL;
    while (rc == 0 && scan->at < scan->argc) {
        const char *word = scan->argv[scan->at++];
        if (scan->literal || word[0] != '-' || word[1] == '\0') {
            *ret_word = word;
            return 0;
        }
        if (strcmp(word, "--") == 0)
            scan->literal = true;
        else if (word[1] == '-')
            rc = take_long(scan, word + 2, err);
        else
            rc = take_letters(scan, word + 1, err);
    }
    return rc;
}

static int unknown_command(struct cli *cli, const struct cli_family *family, const char *word, struct error *err)
{
    const char *words[WORDS_MAX] = {0};
    size_t count = 0, skip = family ? strlen(family->name) + 1 : 0;
    for (size_t i = 0; !family && i < cli_family_count && count < WORDS_MAX; i++)
        words[count++] = cli_families[i].name;
    for (size_t i = 0; i < cli_command_count && count < WORDS_MAX; i++)
        if (family ? cli_in_family(&cli_commands[i], family) : !strchr(cli_commands[i].name, ' '))
            words[count++] = cli_commands[i].name + skip;
    const char *near = str_nearest(word, words, count);
    if (near)
        cli_hint(cli, "did you mean 'pawl %s%s%s'?", family ? family->name : "", family ? " " : "", near);
    else
        cli_hint(cli, "'pawl help%s%s' lists the commands", family ? " " : "", family ? family->name : "");
    return error_set(err, ERROR_USAGE, "unknown command '%s%s%.100s'", family ? family->name : "", family ? " " : "",
                     word);
}

/* Options given before the command must be options of the command. */
static int check_early(const struct cli *cli, struct error *err)
{
    for (int id = CLI_OPTION_END + 1; id < CLI_OPTION_COUNT; id++)
        if (cli->values[id].count > 0 && !command_has(cli->command, (enum cli_option_id)id))
            return error_set(err, ERROR_USAGE, "pawl %s has no option '--%s'", cli->command->name,
                             cli_options[id].name);
    return 0;
}

int cli_parse_name(struct cli *cli, const char *first, const char *second, const struct cli_command **ret_command,
                   const struct cli_family **ret_family, struct error *err)
{
    const struct cli_family *family = cli_find_family(first, strlen(first));
    const struct cli_command *command;
    if (!family)
        command = cli_find_command(first);
    else if (second)
        command = cli_find_command(arena_printf(&cli->arena, "%s %s", first, second));
    else
        command = first_of_family(family);
    if (!command)
        return unknown_command(cli, family, family ? second : first, err);
    *ret_command = command;
    *ret_family = second ? NULL : family;
    return 0;
}

static int find_words(struct scan *scan, const struct cli_family **ret_family, struct error *err)
{
    struct cli *cli = scan->cli;
    const char *word, *second = NULL;
    int rc = next_word(scan, &word, err);
    if (rc || !word)
        return rc;
    if (cli_find_family(word, strlen(word)) && scan->at < scan->argc && scan->argv[scan->at][0] != '-')
        second = scan->argv[scan->at++];
    rc = cli_parse_name(cli, word, second, &cli->command, ret_family, err);
    return rc ? rc : check_early(cli, err);
}

static int check_operands(struct cli *cli, struct error *err)
{
    const struct cli_operand *operand = cli->command->operands;
    size_t least = 0, most = 0;
    for (; operand->name; operand++) {
        least += !operand->optional;
        most = operand->list ? SIZE_MAX : most + 1;
    }
    if (cli->operand_count >= least && cli->operand_count <= most)
        return 0;
    cli_hint(cli, "'pawl %s --help' shows how it is used", cli->command->name);
    if (cli->operand_count < least)
        return error_set(err, ERROR_USAGE, "pawl %s needs %s", cli->command->name,
                         cli->command->operands[cli->operand_count].name);
    return error_set(err, ERROR_USAGE, "pawl %s: '%.100s' is one argument too many", cli->command->name,
                     cli->operands[most]);
}

int cli_parse(struct cli *cli, int argc, char **argv, enum cli_asked *ret_asked, const struct cli_family **ret_family,
              struct error *err)
{
    struct scan scan = {.cli = cli, .argc = argc, .argv = argv, .at = 1};
    *ret_asked = CLI_ASKED_COMMAND;
    *ret_family = NULL;
    cli->operands = arena_array(&cli->arena, (size_t)(argc > 0 ? argc : 1), sizeof *cli->operands);
    int rc = find_words(&scan, ret_family, err);
    const char *word = NULL;
    while (rc == 0 && cli->command) {
        rc = next_word(&scan, &word, err);
        if (!word)
            break;
        cli->operands[cli->operand_count++] = word;
    }
    if (scan.help) {
        *ret_asked = CLI_ASKED_HELP;
        return 0;
    }
    if (rc)
        return rc;
    if (scan.version && !cli->command) {
        *ret_asked = CLI_ASKED_VERSION;
        return 0;
    }
    if (!cli->command) {
        cli_hint(cli, "'pawl help' lists the commands");
        return error_set(err, ERROR_USAGE, "a command is needed");
    }
    return check_operands(cli, err);
}
