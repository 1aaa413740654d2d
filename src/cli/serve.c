/* pawl serve, pawl stop, pawl fsck: the daemon of a data directory. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/server_options.h"
#include "cli/settings.h"
#include "server/address.h"

/* Settings that SIGHUP changes; the others ask for a restart. */
static const enum cli_option_id reloaded[] = {
    CLI_DRAIN,   CLI_KEEP_AGE,          CLI_KEEP_RUNS,       CLI_KEEP_BYTES, CLI_KEEP_LETTERS, CLI_KEEP_LETTERS_AGE,
    CLI_SECRETS, CLI_WAITING_TASKS_MAX, CLI_ACTIVE_RUNS_MAX, CLI_LOG_LEVEL,  CLI_TLS_CERT,     CLI_TLS_KEY};

/* One reading of the settings. The first is that of the command line; each later one has its flags. */
struct reading {
    struct cli cli;
    struct reading *before;
};

struct readings {
    struct cli *first;
    _Atomic(struct reading *) last; /* the engine's thread sets it, the API's read it; NULL: none was read after the
                                     * first */
};

static bool same_value(const struct cli_value *a, const struct cli_value *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

static bool is_reloaded(enum cli_option_id id)
{
    bool found = false;
    for (size_t i = 0; i < sizeof reloaded / sizeof reloaded[0]; i++)
        found = found || reloaded[i] == id;
    return found;
}

static void tell_changes(const struct cli *before, const struct cli *now, const struct cli *first)
{
    for (const enum cli_option_id *id = now->command->options; *id; id++) {
        const char *name = cli_options[*id].name;
        if (is_reloaded(*id) && !same_value(&before->values[*id], &now->values[*id]))
            log_info("%s has changed", name);
        else if (!is_reloaded(*id) && !same_value(&first->values[*id], &now->values[*id]))
            log_warn("%s has changed; that takes a restart", name);
    }
}

static int reload(void *context, struct server_options *ret_options, struct error *err)
{
    struct readings *readings = context;
    struct reading *last = atomic_load(&readings->last);
    const struct cli *first = readings->first, *before = last ? &last->cli : first;
    struct reading *fresh = mem_new(struct reading);
    enum log_level level;
    fresh->cli.command = first->command;
    fresh->cli.interrupt_fd = -1;
    for (int id = 0; id < CLI_OPTION_COUNT; id++)
        if (first->values[id].origin == CLI_ORIGIN_FLAG)
            fresh->cli.values[id] = first->values[id];
    int rc = cli_settings_merge(&fresh->cli, err);
    if (rc == 0)
        rc = cli_server_options(&fresh->cli, ret_options, err);
    fresh->before = last;
    buf_fini(&fresh->cli.hint);
    if (rc) {
        arena_fini(&fresh->cli.arena);
        mem_free(fresh);
        return rc;
    }
    atomic_store(&readings->last, fresh);
    if (log_level_parse(cli_text(&fresh->cli, CLI_LOG_LEVEL), &level))
        log_set_level(level);
    tell_changes(before, &fresh->cli, first);
    return 0;
}

/* What is in use: of the last reading what SIGHUP changes, of the first the others. */
static size_t get_settings(void *context, struct arena *arena, struct api_setting **ret_settings)
{
    struct readings *readings = context;
    struct reading *last = atomic_load(&readings->last);
    struct api_setting *settings = arena_array(arena, CLI_OPTION_COUNT, sizeof *settings);
    size_t count = 0;
    for (const enum cli_option_id *id = readings->first->command->options; *id; id++) {
        bool reloads = is_reloaded(*id);
        if (!cli_options[*id].preset)
            continue;
        cli_settings_view(last && reloads ? &last->cli : readings->first, *id, arena, &settings[count]);
        settings[count++].reloads = reloads;
    }
    *ret_settings = settings;
    return count;
}

int cli_serve(struct cli *cli, struct error *err)
{
    if (cli_flag(cli, CLI_PRINT_CONFIG)) {
        cli_settings_print(cli, &cli->out);
        return 0;
    }
    struct server_options options;
    struct readings readings = {.first = cli};
    int rc = cli_server_options(cli, &options, err);
    if (rc)
        return rc;
    options.reload = reload;
    options.reload_context = &readings;
    options.get_settings = get_settings;
    options.settings_context = &readings;
    cli_log_init(cli, LOG_INFO);
    rc = server_run(&options, err);
    for (struct reading *reading = atomic_load(&readings.last), *before; reading; reading = before) {
        before = reading->before;
        arena_fini(&reading->cli.arena);
        mem_free(reading);
    }
    return rc;
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
    const char *data = cli_text(cli, CLI_DATA), *store = cli_text(cli, CLI_STORE);
    bool is_shared = strcmp(store, "sqlite") != 0;
    const char *what = is_shared ? "the database" : data;
    uint32_t count = 0;
    if (!is_shared && access(data, F_OK) != 0)
        return error_set(err, ERROR_NOT_FOUND, "%s: %s", data, strerror(errno));
    int rc = is_shared ? server_fsck_database(store, &cli->out, &count, err)
                       : server_fsck(data, &cli->out, &count, err);
    if (rc)
        return rc;
    cli->exit_status = count > 0;
    if (count == 0)
        cli_say(cli, "%s is sound", what);
    else
        cli_say(cli, "%u finding%s in %s", count, count == 1 ? "" : "s", what);
    return 0;
}
