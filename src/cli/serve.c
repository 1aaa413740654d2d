/* pawl serve, pawl stop, pawl fsck: the daemon of a data directory. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/server_options.h"
#include "cli/settings.h"
#include "server/address.h"

int cli_serve(struct cli *cli, struct error *err)
{
    if (cli_flag(cli, CLI_PRINT_CONFIG)) {
        cli_settings_print(cli, &cli->out);
        return 0;
    }
    struct server_options options;
    int rc = cli_server_options(cli, &options, err);
    if (rc)
        return rc;
    cli_log_init(cli, LOG_INFO);
    return server_run(&options, err);
}

/* Waits for the end of the process behind a pidfd. */
static int wait_end(struct cli *cli, int pidfd, struct error *err)
{
    struct pollfd ready[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = cli->interrupt_fd, .events = POLLIN}};
    for (;;) {
        int count = poll(ready, 2, -1);
        if (count < 0 && errno != EINTR)
            return error_set(err, ERROR_IO, "waiting for the daemon failed: %s", strerror(errno));
        if (count > 0 && ready[0].revents)
            return 0;
        if (count > 0 && ready[1].revents)
            return error_set(err, ERROR_INTERRUPTED, "interrupted; the daemon goes on stopping");
    }
}

/* The pidfd is opened before the identity is checked, so that the signal cannot reach a successor of the pid. */
static int stop_daemon(struct cli *cli, const struct server_address *address, int signal_number, bool *ret_live,
                       struct error *err)
{
    int rc = 0;
    int pidfd = (int)syscall(SYS_pidfd_open, address->pid, 0);
    *ret_live = pidfd >= 0 && server_address_is_live(address);
    if (!*ret_live)
        goto out;
    if (syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) != 0) {
        rc = error_set(err, errno == EPERM ? ERROR_FORBIDDEN : ERROR_IO,
                       "the daemon (pid %d) cannot be told to stop: %s", (int)address->pid, strerror(errno));
        goto out;
    }
    cli_catch_signals(cli);
    cli_say(cli, "the daemon (pid %d) is stopping%s", (int)address->pid,
            signal_number == SIGTERM ? "; running tasks have its drain time" : "");
    rc = wait_end(cli, pidfd, err);
    if (rc == 0)
        cli_say(cli, "stopped");
out:
    if (pidfd >= 0)
        close(pidfd);
    return rc;
}

int cli_stop(struct cli *cli, struct error *err)
{
    const char *data = cli_text(cli, CLI_DATA);
    bool kill_tasks = cli_flag(cli, CLI_KILL), live = false;
    struct server_address address;
    int rc = server_address_read(data, &address, err);
    if (rc && rc != ERROR_NOT_FOUND)
        return rc;
    if (rc == 0)
        rc = stop_daemon(cli, &address, kill_tasks ? SIGQUIT : SIGTERM, &live, err);
    else
        rc = 0;
    if (rc || live)
        return rc;
    if (!kill_tasks)
        return error_set(err, ERROR_UNREACHABLE, "no daemon runs on %s", data);
    uint32_t workers = 0;
    if (access(data, F_OK) != 0)
        return error_set(err, ERROR_NOT_FOUND, "%s: %s", data, strerror(errno));
    rc = server_kill_left(data, &workers, err);
    if (rc == 0)
        cli_say(cli, "no daemon runs on %s; %u worker%s ended", data, workers, workers == 1 ? " was" : "s were");
    return rc;
}

int cli_fsck(struct cli *cli, struct error *err)
{
    const char *data = cli_text(cli, CLI_DATA);
    uint32_t count = 0;
    if (access(data, F_OK) != 0)
        return error_set(err, ERROR_NOT_FOUND, "%s: %s", data, strerror(errno));
    int rc = server_fsck(data, &cli->out, &count, err);
    if (rc)
        return rc;
    cli->exit_status = count > 0;
    if (count == 0)
        cli_say(cli, "%s is sound", data);
    else
        cli_say(cli, "%u finding%s in %s", count, count == 1 ? "" : "s", data);
    return 0;
}
