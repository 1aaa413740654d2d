/* The parser on the real table: every command, every option, and what people get wrong. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/parse.h"

struct parsed {
    struct cli cli;
    enum cli_asked asked;
    const struct cli_family *family;
    struct error err;
    int rc;
};

/* Words separated by one space; "_" is an empty word. */
static struct parsed parse(const char *line)
{
    static char words[2000];
    char *argv[32] = {words};
    int argc = 1;
    struct parsed parsed = {.rc = 0};
    assert_true(strlen(line) + 6 < sizeof words);
    memcpy(words, "pawl", 5);
    char *at = words + 5;
    memcpy(at, line, strlen(line) + 1);
    for (char *word = strsep(&at, " "); word && word[0]; word = strsep(&at, " "))
        argv[argc++] = strcmp(word, "_") == 0 ? (char *)(uintptr_t)"" : word;
    parsed.rc = cli_parse(&parsed.cli, argc, argv, &parsed.asked, &parsed.family, &parsed.err);
    return parsed;
}

static void done(struct parsed *parsed)
{
    buf_fini(&parsed->cli.hint);
    buf_fini(&parsed->cli.out);
    arena_fini(&parsed->cli.arena);
}

static void assert_value(const char *line, enum cli_option_id id, const char *expected)
{
    struct parsed parsed = parse(line);
    assert_int_equal(parsed.rc, 0);
    assert_true(cli_given(&parsed.cli, id));
    assert_string_equal(cli_text(&parsed.cli, id), expected);
    assert_int_equal(parsed.cli.values[id].origin, CLI_ORIGIN_FLAG);
    done(&parsed);
}

static void assert_refused(const char *line, const char *text, const char *hint)
{
    struct parsed parsed = parse(line);
    assert_int_equal(parsed.rc, ERROR_USAGE);
    if (!strstr(parsed.err.text, text))
        fail_msg("'%s' gave: %s", line, parsed.err.text);
    if (hint && !strstr(buf_text(&parsed.cli.hint), hint))
        fail_msg("'%s' hinted: %s", line, buf_text(&parsed.cli.hint));
    done(&parsed);
}

static void every_command_is_found_by_its_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        char line[200];
        snprintf(line, sizeof line, "%s --help", cli_commands[i].name);
        struct parsed parsed = parse(line);
        assert_int_equal(parsed.rc, 0);
        assert_int_equal(parsed.asked, CLI_ASKED_HELP);
        assert_ptr_equal(parsed.cli.command, &cli_commands[i]);
        done(&parsed);
    }
}

/* What generators and the parser rely on. */
static void the_table_is_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        assert_non_null(command->run);
        assert_non_null(command->summary);
        assert_non_null(command->examples[0].line);
        for (const struct cli_example *example = command->examples; example->line; example++)
            assert_true(str_starts_with(example->line, command->name) ||
                        cli_find_family(example->line, strcspn(example->line, " ")));
        bool optional = false;
        for (const struct cli_operand *operand = command->operands; operand->name; operand++) {
            assert_false(optional && !operand->optional);
            assert_false(operand->list && operand[1].name);
            optional = operand->optional;
        }
        for (const enum cli_option_id *id = command->options; id && *id; id++) {
            assert_non_null(cli_options[*id].name);
            assert_true((cli_options[*id].kind == CLI_FLAG) == !cli_options[*id].value);
            for (const enum cli_option_id *other = command->options; other != id; other++) {
                assert_string_not_equal(cli_options[*id].name, cli_options[*other].name);
                assert_false(cli_options[*id].letter && cli_options[*id].letter == cli_options[*other].letter);
            }
        }
    }
    struct error err;
    for (int id = CLI_OPTION_END + 1; id < CLI_OPTION_COUNT; id++) {
        assert_non_null(cli_options[id].summary);
        if (cli_options[id].preset && cli_options[id].preset[0])
            assert_int_equal(cli_option_check(&cli_options[id], cli_options[id].preset, &err), 0);
    }
}

/* An option written in any of its forms, before and behind operands. */
static void options_are_read_in_every_form(void **state)
{
    (void)state;
    assert_value("runs list --state failed", CLI_RUN_STATE, "failed");
    assert_value("runs list --state=failed", CLI_RUN_STATE, "failed");
    assert_value("runs list -o json", CLI_OUTPUT, "json");
    assert_value("runs list -ojson", CLI_OUTPUT, "json");
    assert_value("runs list -o=json", CLI_OUTPUT, "json");
    assert_value("runs list -n5", CLI_LIMIT, "5");
    assert_value("runs -n 5", CLI_LIMIT, "5");
    assert_value("-o json runs list", CLI_OUTPUT, "json");
    assert_value("--data /x runs show abc", CLI_DATA, "/x");
    assert_value("trigger --idempotency-key=a=b nightly", CLI_IDEMPOTENCY_KEY, "a=b");
    assert_value("logs abc -f load", CLI_FOLLOW, "true");
    assert_value("trigger nightly -wo json", CLI_WAIT, "true");
    assert_value("trigger nightly -wo json", CLI_OUTPUT, "json");
    assert_value("serve --grace 0", CLI_GRACE, "0");
}

static void the_last_value_counts_and_lists_grow(void **state)
{
    (void)state;
    assert_value("serve --workers 2 --workers 3", CLI_WORKERS, "3");
    struct parsed parsed = parse("serve --allowed-host a --allowed-host=b");
    assert_int_equal(parsed.rc, 0);
    assert_int_equal(parsed.cli.values[CLI_ALLOWED_HOSTS].count, 2);
    assert_string_equal(parsed.cli.values[CLI_ALLOWED_HOSTS].items[1], "b");
    done(&parsed);
}

static void a_base_path_is_a_plain_folder(void **state)
{
    static const char *const good[] = {"/pawl", "/a/b/c/d", "/~me/pawl-1.0_x", "/docs2", "/x/api"};
    static const char *const bad[] = {"", "/", "pawl", "/pawl/", "//pawl", "/a//b", "/a b", "/a%20b", "/a?b", "/..",
                                      "/a/./b", "/api", "/docs/x", "/ui", "/health", "/a/b/c/d/e", "/\xc3\xa4"};
    (void)state;
    struct error err;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(cli_option_check(&cli_options[CLI_BASE_PATH], good[i], &err), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (cli_option_check(&cli_options[CLI_BASE_PATH], bad[i], &err) == 0)
            fail_msg("'%s' was accepted", bad[i]);
}

static void operands_keep_their_order(void **state)
{
    (void)state;
    struct parsed parsed = parse("logs --attempt 2 abc -- -f");
    assert_int_equal(parsed.rc, 0);
    assert_int_equal(parsed.cli.operand_count, 2);
    assert_string_equal(cli_operand(&parsed.cli, 0), "abc");
    assert_string_equal(cli_operand(&parsed.cli, 1), "-f");
    assert_null(cli_operand(&parsed.cli, 2));
    assert_false(cli_given(&parsed.cli, CLI_FOLLOW));
    done(&parsed);
    parsed = parse("validate - a b");
    assert_int_equal(parsed.rc, 0);
    assert_int_equal(parsed.cli.operand_count, 3);
    done(&parsed);
}

static void families_mean_their_first_command(void **state)
{
    (void)state;
    struct parsed parsed = parse("workers");
    assert_int_equal(parsed.rc, 0);
    assert_string_equal(parsed.cli.command->name, "workers list");
    done(&parsed);
    parsed = parse("dlq --help");
    assert_int_equal(parsed.asked, CLI_ASKED_HELP);
    assert_string_equal(parsed.family->name, "dlq");
    done(&parsed);
}

static void help_and_version_need_no_command(void **state)
{
    (void)state;
    struct parsed parsed = parse("--help");
    assert_int_equal(parsed.asked, CLI_ASKED_HELP);
    assert_null(parsed.cli.command);
    done(&parsed);
    parsed = parse("--version");
    assert_int_equal(parsed.rc, 0);
    assert_int_equal(parsed.asked, CLI_ASKED_VERSION);
    done(&parsed);
}

static void mistakes_are_named_with_what_was_meant(void **state)
{
    (void)state;
    assert_refused("", "a command is needed", "pawl help");
    assert_refused("rusn", "unknown command 'rusn'", "'pawl runs'");
    assert_refused("valdiate x", "unknown command 'valdiate'", "'pawl validate'");
    assert_refused("runs lits", "unknown command 'runs lits'", "'pawl runs list'");
    assert_refused("frobnicate", "unknown command 'frobnicate'", "'pawl help'");
    assert_refused("serve --lisen x", "unknown option '--lisen'", "'--listen'");
    assert_refused("serve -x", "unknown option '-x' for pawl serve", NULL);
    assert_refused("runs list --state faild", "'faild' is not one of: pending, running", "'failed'");
    assert_refused("serve --workers 0", "out of range: 1 to", NULL);
    assert_refused("serve --workers many", "'many' is not a whole number", NULL);
    assert_refused("serve --grace 5 m", "'5' is not a duration", NULL);
    assert_refused("serve --log-bytes-max 10mb", "is not a size", NULL);
    assert_refused("serve --listen 8080", "is not HOST:PORT", NULL);
    assert_refused("serve --listen ::1:80", "is not HOST:PORT", NULL);
    assert_refused("serve --secret TOKEN", "NAME=file:PATH", NULL);
    assert_refused("serve --secret TOKEN=file:relative", "absolute path", NULL);
    assert_refused("serve --secret 1X=env:Y", "NAME=file:PATH", NULL);
    assert_refused("serve --data", "--data needs a value", NULL);
    assert_refused("serve --data=", "the value is empty", NULL);
    assert_refused("runs list -n", "-n needs a value", NULL);
    assert_refused("trigger nightly --wait=yes", "--wait takes no value", NULL);
    assert_refused("run", "pawl run needs FILE", "--help");
    assert_refused("why abc", "pawl why needs TASK", NULL);
    assert_refused("run a b", "'b' is one argument too many", NULL);
    assert_refused("-o json stop", "has no option '--output'", NULL);
}

static void names_resolve_for_help(void **state)
{
    (void)state;
    struct cli cli = {0};
    struct error err;
    const struct cli_command *command;
    const struct cli_family *family;
    assert_int_equal(cli_parse_name(&cli, "runs", "watch", &command, &family, &err), 0);
    assert_string_equal(command->name, "runs watch");
    assert_null(family);
    assert_int_equal(cli_parse_name(&cli, "runs", NULL, &command, &family, &err), 0);
    assert_non_null(family);
    assert_int_equal(cli_parse_name(&cli, "runs", "wach", &command, &family, &err), ERROR_USAGE);
    assert_non_null(strstr(buf_text(&cli.hint), "'pawl runs watch'"));
    buf_fini(&cli.hint);
    arena_fini(&cli.arena);
}

static void numbers_mean_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(cli_option_number(&cli_options[CLI_LOG_BYTES_MAX], "10MiB"), 10 << 20);
    assert_int_equal(cli_option_number(&cli_options[CLI_LOG_BYTES_MAX], "4096"), 4096);
    assert_int_equal(cli_option_number(&cli_options[CLI_LOG_BYTES_MAX], "1GiB"), 1 << 30);
    assert_int_equal(cli_option_number(&cli_options[CLI_DRAIN], "5m"), 300000);
    assert_int_equal(cli_option_number(&cli_options[CLI_DRAIN], "0s"), 0);
    assert_int_equal(cli_option_number(&cli_options[CLI_WAITING_TASKS_MAX], "7"), 7);
    assert_int_equal(cli_option_number(&cli_options[CLI_DIE_WITH_PARENT], "yes"), 1);
    assert_int_equal(cli_option_number(&cli_options[CLI_DIE_WITH_PARENT], "off"), 0);
    struct error err;
    assert_int_equal(cli_option_check(&cli_options[CLI_LOG_BYTES_MAX], "99999999999999999999GiB", &err), ERROR_USAGE);
    assert_int_equal(cli_option_check(&cli_options[CLI_LOG_BYTES_MAX], "9223372036854775807KiB", &err), ERROR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_found_by_its_name),
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(options_are_read_in_every_form),
        cmocka_unit_test(the_last_value_counts_and_lists_grow),
        cmocka_unit_test(a_base_path_is_a_plain_folder),
        cmocka_unit_test(operands_keep_their_order),
        cmocka_unit_test(families_mean_their_first_command),
        cmocka_unit_test(help_and_version_need_no_command),
        cmocka_unit_test(mistakes_are_named_with_what_was_meant),
        cmocka_unit_test(names_resolve_for_help),
        cmocka_unit_test(numbers_mean_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
