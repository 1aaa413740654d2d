#include "cli/generate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/file.h"

static int make_folder(const char *path, struct error *err)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return 0;
    return error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
}

static int write_page(const char *dir, const char *name, const char *ending, struct buf *text, struct error *err)
{
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s%s", dir, name, ending);
    int rc = cli_file_write(buf_text(&path), text, err);
    buf_fini(&path);
    buf_clear(text);
    return rc;
}

/* One page for each command. */
static int write_commands(const char *dir, const char *prefix, const char *ending,
                          void (*make)(const struct cli_command *command, struct buf *out), struct error *err)
{
    struct buf text = BUF_INIT, name = BUF_INIT;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cli_command_count; i++) {
        buf_clear(&name);
        cli_page_name(prefix, &cli_commands[i], &name);
        make(&cli_commands[i], &text);
        rc = write_page(dir, buf_text(&name), ending, &text, err);
    }
    buf_fini(&text);
    buf_fini(&name);
    return rc;
}

static int generate_man(const char *dir, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = make_folder(dir, err);
    cli_man_overview(&text);
    if (rc == 0)
        rc = write_page(dir, "pawl", ".1", &text, err);
    if (rc == 0)
        rc = write_commands(dir, "pawl-", ".1", cli_man_command, err);
    buf_fini(&text);
    return rc;
}

static int generate_docs(const char *dir, struct error *err)
{
    struct buf text = BUF_INIT, cli_dir = BUF_INIT;
    buf_printf(&cli_dir, "%s/cli", dir);
    int rc = make_folder(dir, err);
    if (rc == 0)
        rc = make_folder(buf_text(&cli_dir), err);
    cli_docs_configuration(&text);
    if (rc == 0)
        rc = write_page(dir, "configuration", ".md", &text, err);
    cli_docs_overview(&text);
    if (rc == 0)
        rc = write_page(buf_text(&cli_dir), "README", ".md", &text, err);
    if (rc == 0)
        rc = write_commands(buf_text(&cli_dir), "", ".md", cli_docs_command, err);
    buf_fini(&text);
    buf_fini(&cli_dir);
    return rc;
}

static int generate_completion(const char *dir, struct error *err)
{
    struct buf text = BUF_INIT;
    int rc = make_folder(dir, err);
    cli_completion_bash(&text);
    if (rc == 0)
        rc = write_page(dir, "pawl", "", &text, err);
    cli_completion_zsh(&text);
    if (rc == 0)
        rc = write_page(dir, "_pawl", "", &text, err);
    cli_completion_fish(&text);
    if (rc == 0)
        rc = write_page(dir, "pawl", ".fish", &text, err);
    buf_fini(&text);
    return rc;
}

int cli_generate_command(int argc, char **argv)
{
    struct error err = {0};
    int rc;
    if (argc == 2 && strcmp(argv[0], "man") == 0)
        rc = generate_man(argv[1], &err);
    else if (argc == 2 && strcmp(argv[0], "docs") == 0)
        rc = generate_docs(argv[1], &err);
    else if (argc == 2 && strcmp(argv[0], "completion") == 0)
        rc = generate_completion(argv[1], &err);
    else
        rc = error_set(&err, ERROR_USAGE, "usage: pawl generate man|docs|completion DIR");
    if (rc)
        fprintf(stderr, "pawl: %s\n", err.text);
    return error_exit_class(rc);
}
