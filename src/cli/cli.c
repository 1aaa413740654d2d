#include "cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/generate.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/settings.h"
#include "cli/text.h"
#include "worker/worker.h"

enum { WRITE_MAX = 4096 }; /* PIPE_BUF: a pipe that poll calls writable takes so much without blocking */

static bool wants_color(int fd)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no_color && no_color[0]) && !(term && strcmp(term, "dumb") == 0);
}

static void init(struct cli *cli)
{
    cli->interrupt_fd = -1;
    cli->screen.out_terminal = isatty(STDOUT_FILENO);
    cli->screen.err_terminal = isatty(STDERR_FILENO);
    cli->screen.out_color = wants_color(STDOUT_FILENO);
    cli->screen.err_color = wants_color(STDERR_FILENO);
}

static void fini(struct cli *cli)
{
    if (cli->interrupt_fd >= 0)
        close(cli->interrupt_fd);
    buf_fini(&cli->out);
    buf_fini(&cli->hint);
    arena_fini(&cli->arena);
}

/* Stderr is best effort: there is nowhere to complain about it. */
void cli_write_err(const struct buf *line)
{
    size_t at = 0;
    while (at < line->len) {
        ssize_t done = write(STDERR_FILENO, line->bytes + at, line->len - at);
        if (done < 0 && errno != EINTR)
            break;
        at += done > 0 ? (size_t)done : 0;
    }
}

void cli_say(struct cli *cli, const char *format, ...)
{
    struct buf text = BUF_INIT, line = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    (void)cli;
    buf_add_text(&line, "pawl: ");
    cli_text_add(&line, text.bytes, text.len);
    buf_add_char(&line, '\n');
    cli_write_err(&line);
    buf_fini(&text);
    buf_fini(&line);
}

void cli_hint(struct cli *cli, const char *format, ...)
{
    struct buf text = BUF_INIT;
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    buf_add_text(&cli->hint, "  ");
    cli_text_add(&cli->hint, text.bytes, text.len);
    buf_add_char(&cli->hint, '\n');
    buf_fini(&text);
}

void cli_catch_signals(struct cli *cli)
{
    if (cli->interrupt_fd >= 0)
        return;
    sigset_t caught;
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGHUP);
    cli->interrupt_fd = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
    if (cli->interrupt_fd >= 0)
        sigprocmask(SIG_BLOCK, &caught, NULL);
}

/* Waits until stdout takes something, or an interrupt comes. */
static int wait_writable(const struct cli *cli, struct error *err)
{
    struct pollfd ready[2] = {{.fd = STDOUT_FILENO, .events = POLLOUT}, {.fd = cli->interrupt_fd, .events = POLLIN}};
    for (;;) {
        int count = poll(ready, 2, -1);
        if (count < 0 && errno != EINTR)
            return 0;
        if (count > 0 && ready[0].revents)
            return 0;
        if (count > 0 && ready[1].revents)
            return error_set(err, ERROR_INTERRUPTED, "interrupted");
    }
}

int cli_flush(struct cli *cli, struct error *err)
{
    int rc = 0;
    size_t at = 0;
    while (rc == 0 && at < cli->out.len && !cli->out_broken) {
        size_t len = cli->out.len - at;
        if (cli->interrupt_fd >= 0) {
            rc = wait_writable(cli, err);
            len = len < WRITE_MAX ? len : WRITE_MAX;
        }
        ssize_t done = rc == 0 ? write(STDOUT_FILENO, cli->out.bytes + at, len) : 0;
        if (done >= 0)
            at += (size_t)done;
        else if (errno == EPIPE)
            cli->out_broken = true;
        else if (errno != EINTR && errno != EAGAIN)
            rc = error_set(err, ERROR_IO, "the output cannot be written: %s", strerror(errno));
    }
    buf_clear(&cli->out);
    return rc;
}

static void report(struct cli *cli, const struct error *err)
{
    struct buf line = BUF_INIT;
    if (err->text[0]) {
        buf_printf(&line, "%spawl:%s ", cli->screen.err_color ? "\033[1;31m" : "",
                   cli->screen.err_color ? "\033[0m" : "");
        cli_text_add(&line, err->text, strlen(err->text));
        buf_add_char(&line, '\n');
    }
    buf_add(&line, cli->hint.bytes, cli->hint.len);
    cli_write_err(&line);
    buf_fini(&line);
}

static int dispatch(struct cli *cli, int argc, char **argv, struct error *err)
{
    if (argc == 3 && strcmp(argv[1], "candidates") == 0)
        return cli_candidates(cli, argv[2], err);
    enum cli_asked asked;
    const struct cli_family *family;
    int rc = cli_parse(cli, argc, argv, &asked, &family, err);
    if (rc)
        return rc;
    if (asked == CLI_ASKED_HELP) {
        cli_help(cli->command, family, cli->screen.out_color, &cli->out);
        return 0;
    }
    if (asked == CLI_ASKED_VERSION) {
        buf_add_text(&cli->out, "pawl " PAWL_VERSION "\n");
        return 0;
    }
    rc = cli_settings_merge(cli, err);
    return rc ? rc : cli->command->run(cli, err);
}

/* What is opened must not get the number of a standard descriptor that the caller has closed. Opened the wrong way
 * round, so that using it fails as before. */
static void fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int filled = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest free number: fd */
        assert(filled == fd || filled < 0);
        (void)filled;
    }
}

int cli_main(int argc, char **argv)
{
    /* The pool's way to start workers; it knows no options of people. */
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return worker_command(argc - 2, argv + 2);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a limit of file sizes then looks like a full disk */
    fill_standard();
    cli_text_init();
    if (argc > 1 && strcmp(argv[1], "generate") == 0)
        return cli_generate_command(argc - 2, argv + 2);
    struct cli cli = {0};
    struct error err = {0};
    init(&cli);
    int rc = dispatch(&cli, argc, argv, &err);
    struct error flush_err = {0};
    int flush_rc = cli_flush(&cli, &flush_err);
    if (rc)
        report(&cli, &err);
    else if (flush_rc)
        report(&cli, &flush_err);
    int status = rc ? error_exit_class(rc) : flush_rc ? error_exit_class(flush_rc) : cli.exit_status;
    fini(&cli);
    return status;
}
