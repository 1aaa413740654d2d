/* Flags beat the environment, which beats the config file, which beats defaults. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/address.h"
#include "cli/parse.h"
#include "cli/server_options.h"
#include "cli/settings.h"

static char config[] = "/tmp/pawl-test-settings-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(config);
    if (fd < 0)
        return -1;
    close(fd);
    unsetenv("PAWL_WORKERS");
    unsetenv("PAWL_LISTEN");
    setenv("PAWL_CONFIG", config, 1);
    setenv("XDG_DATA_HOME", "/data home", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return unlink(config);
}

static void write_config(const char *text)
{
    FILE *file = fopen(config, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static struct cli of_serve(void)
{
    return (struct cli){.command = cli_find_command("serve"), .interrupt_fd = -1};
}

static void done(struct cli *cli)
{
    buf_fini(&cli->hint);
    buf_fini(&cli->out);
    arena_fini(&cli->arena);
}

static void assert_config_refused(const char *text, const char *place, const char *words)
{
    struct cli cli = of_serve();
    struct error err;
    write_config(text);
    assert_int_equal(cli_settings_merge(&cli, &err), ERROR_VALIDATION_ERROR);
    if (!strstr(err.text, place) || !strstr(err.text, words))
        fail_msg("'%s' gave: %s", text, err.text);
    done(&cli);
}

static void each_source_beats_the_next(void **state)
{
    (void)state;
    struct error err;
    struct cli cli = of_serve();
    write_config("");
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli_number(&cli, CLI_WORKERS), 4);
    assert_int_equal(cli.values[CLI_WORKERS].origin, CLI_ORIGIN_DEFAULT);
    done(&cli);

    write_config("# a comment\n\n  workers = 5   # five\nlisten = \"[::1]:0\"\n");
    cli = of_serve();
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli_number(&cli, CLI_WORKERS), 5);
    assert_int_equal(cli.values[CLI_WORKERS].origin, CLI_ORIGIN_CONFIG);
    assert_int_equal(cli.values[CLI_WORKERS].line, 3);
    assert_string_equal(cli_text(&cli, CLI_LISTEN), "[::1]:0");
    done(&cli);

    setenv("PAWL_WORKERS", "6", 1);
    cli = of_serve();
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli_number(&cli, CLI_WORKERS), 6);
    done(&cli);

    cli = of_serve();
    cli_value_add(&cli, CLI_WORKERS, "7", CLI_ORIGIN_FLAG);
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli_number(&cli, CLI_WORKERS), 7);
    assert_int_equal(cli.values[CLI_WORKERS].origin, CLI_ORIGIN_FLAG);
    done(&cli);
    unsetenv("PAWL_WORKERS");
}

static void lists_come_whole_from_one_source(void **state)
{
    (void)state;
    struct error err;
    write_config("allowed-host = a.example\nallowed-host = b.example\n");
    struct cli cli = of_serve();
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli.values[CLI_ALLOWED_HOSTS].count, 2);
    done(&cli);
    setenv("PAWL_ALLOWED_HOST", "c.example,,d.example,e.example", 1);
    cli = of_serve();
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli.values[CLI_ALLOWED_HOSTS].count, 3);
    assert_string_equal(cli.values[CLI_ALLOWED_HOSTS].items[2], "e.example");
    done(&cli);
    unsetenv("PAWL_ALLOWED_HOST");
}

static void a_wrong_config_file_says_where(void **state)
{
    (void)state;
    assert_config_refused("workers = 5\nwokers = 6\n", ":2: ", "unknown setting 'wokers'");
    assert_config_refused("workers 5\n", ":1: ", "expected 'name = value'");
    assert_config_refused("workers = lots\n", ":1: ", "'lots' is not a whole number");
    assert_config_refused("workers =\n", ":1: ", "is not a whole number");
    assert_config_refused("workers = 1\nworkers = 2\n", ":2: ", "set in line 1 already");
    assert_config_refused("data = \"x\n", ":1: ", "quotes");
    assert_config_refused("data = \"x\" y\n", ":1: ", "quotes");
    assert_config_refused("= 1\n", ":1: ", "expected 'name = value'");
    struct cli cli = of_serve();
    struct error err;
    setenv("PAWL_CONFIG", "/nonexistent/pawl", 1);
    assert_int_equal(cli_settings_merge(&cli, &err), ERROR_VALIDATION_ERROR);
    setenv("PAWL_CONFIG", config, 1);
    done(&cli);
}

static void a_wrong_variable_says_which(void **state)
{
    (void)state;
    struct cli cli = of_serve();
    struct error err;
    write_config("");
    setenv("PAWL_GRACE", "soon", 1);
    assert_int_equal(cli_settings_merge(&cli, &err), ERROR_USAGE);
    assert_non_null(strstr(err.text, "PAWL_GRACE"));
    unsetenv("PAWL_GRACE");
    done(&cli);
}

/* Variables that another command has must not get in its way. */
static void only_the_commands_own_settings_count(void **state)
{
    (void)state;
    struct cli cli = {.command = cli_find_command("runs list"), .interrupt_fd = -1};
    struct error err;
    write_config("workers = 5\n");
    setenv("PAWL_GRACE", "soon", 1);
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    unsetenv("PAWL_GRACE");
    done(&cli);
}

static void the_data_directory_is_absolute(void **state)
{
    (void)state;
    struct cli cli = of_serve();
    struct error err;
    write_config("");
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_string_equal(cli_text(&cli, CLI_DATA), "/data home/pawl");
    done(&cli);
    cli = of_serve();
    cli_value_add(&cli, CLI_DATA, "here", CLI_ORIGIN_FLAG);
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli_text(&cli, CLI_DATA)[0], '/');
    assert_string_equal(strrchr(cli_text(&cli, CLI_DATA), '/'), "/here");
    done(&cli);
}

/* What is printed can be read back and gives the same. */
static void printed_settings_are_a_config_file(void **state)
{
    (void)state;
    struct error err;
    struct buf first = BUF_INIT, second = BUF_INIT;
    write_config("data = \"/with # mark\"\nallowed-host = a\nallowed-host = b\nsecret = T=env:U\n");
    struct cli cli = of_serve();
    cli_value_add(&cli, CLI_WORKERS, "9", CLI_ORIGIN_FLAG);
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    cli_settings_print(&cli, &first);
    assert_non_null(strstr(buf_text(&first), "# flag --workers"));
    assert_non_null(strstr(buf_text(&first), ":1\n"));
    done(&cli);

    write_config(buf_text(&first));
    cli = of_serve();
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli_number(&cli, CLI_WORKERS), 9);
    assert_string_equal(cli_text(&cli, CLI_DATA), "/with # mark");
    assert_int_equal(cli.values[CLI_ALLOWED_HOSTS].count, 2);
    done(&cli);
    buf_fini(&first);
    buf_fini(&second);
}

static void a_setting_is_viewed_without_its_passwords(void **state)
{
    static const char *const pairs[][2] = {
        {"sqlite", "sqlite"},
        {"postgresql://h/d?sslmode=require", "postgresql://h/d?sslmode=require"},
        {"postgresql://u@h:1/d", "postgresql://u@h:1/d"},
        {"postgresql://u:p@h:1/d", "postgresql://u:***@h:1/d"},
        {"postgresql://u:p:q@r@h/d", "postgresql://u:***@h/d"},
        {"postgresql:///d?a=1&password=p&b=2", "postgresql:///d?a=1&password=***&b=2"},
        {"postgresql:///d?sslpassword=p@x:y", "postgresql:///d?sslpassword=***"},
        {"postgresql:///d?p%61ssword=p&x", "postgresql:///d?p%61ssword=***&x"},
    };
    (void)state;
    struct error err;
    struct api_setting setting;
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_string_equal(cli_settings_mask(pairs[i][0], &arena), pairs[i][1]);
    write_config("\nallowed-host = a\nallowed-host = b\nstore = postgresql:///d?pass%77ord=p\n");
    struct cli cli = of_serve();
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    cli_settings_view(&cli, CLI_STORE, &arena, &setting);
    assert_string_equal(setting.values[0], "postgresql:///d?pass%77ord=***");
    assert_int_equal(setting.origin, API_SETTING_CONFIG);
    assert_non_null(strstr(setting.place, ":4"));
    cli_settings_view(&cli, CLI_ALLOWED_HOSTS, &arena, &setting);
    assert_int_equal(setting.value_count, 2);
    assert_string_equal(setting.values[1], "b");
    cli_settings_view(&cli, CLI_TLS_KEY, &arena, &setting);
    assert_int_equal(setting.value_count, 0);
    assert_int_equal(setting.origin, API_SETTING_DEFAULT);
    struct buf printed = BUF_INIT;
    cli_settings_print(&cli, &printed);
    assert_null(strstr(buf_text(&printed), "=p "));
    buf_fini(&printed);
    done(&cli);
    arena_fini(&arena);
}

static void options_of_the_server_follow(void **state)
{
    (void)state;
    struct error err;
    struct server_options options;
    write_config("listen = [::1]:9\ndurability = relaxed\ndrain = 5s\nsecret = A=file:/s/a\nsecret = B=env:C\n"
                 "log-bytes-max = 1MiB\ndie-with-parent = yes\n");
    struct cli cli = of_serve();
    assert_int_equal(cli_settings_merge(&cli, &err), 0);
    assert_int_equal(cli_server_options(&cli, &options, &err), 0);
    assert_string_equal(options.listen_host, "::1");
    assert_int_equal(options.listen_port, 9);
    assert_int_equal(options.durability, SERVER_DURABILITY_RELAXED);
    assert_int_equal(options.drain_ms, 5000);
    assert_int_equal(options.grace_ms, 10000);
    assert_int_equal(options.log_bytes_max, 1 << 20);
    assert_true(options.die_with_parent);
    assert_int_equal(options.secret_count, 2);
    assert_string_equal(options.secrets[0].name, "A");
    assert_string_equal(options.secrets[0].file, "/s/a");
    assert_null(options.secrets[0].variable);
    assert_string_equal(options.secrets[1].variable, "C");
    done(&cli);
}

static void only_loopback_is_this_machine(void **state)
{
    (void)state;
    assert_true(cli_address_is_loopback("127.0.0.1"));
    assert_true(cli_address_is_loopback("127.8.9.1"));
    assert_true(cli_address_is_loopback("::1"));
    assert_true(cli_address_is_loopback("localhost"));
    assert_false(cli_address_is_loopback("0.0.0.0"));
    assert_false(cli_address_is_loopback("::"));
    assert_false(cli_address_is_loopback("127.0.0.1.example.org"));
    assert_false(cli_address_is_loopback("10.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_source_beats_the_next),
        cmocka_unit_test(lists_come_whole_from_one_source),
        cmocka_unit_test(a_wrong_config_file_says_where),
        cmocka_unit_test(a_wrong_variable_says_which),
        cmocka_unit_test(only_the_commands_own_settings_count),
        cmocka_unit_test(the_data_directory_is_absolute),
        cmocka_unit_test(printed_settings_are_a_config_file),
        cmocka_unit_test(a_setting_is_viewed_without_its_passwords),
        cmocka_unit_test(options_of_the_server_follow),
        cmocka_unit_test(only_loopback_is_this_machine),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
