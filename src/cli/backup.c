/* pawl backup, pawl restore, pawl migrate. */
#include <poll.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/commands.h"
#include "server/server.h"

enum { TELL_MS = 1000 };

struct watched {
    struct cli *cli;
    int64_t told_ms;
};

/* Says how far it is, on a terminal only, and whether somebody wants the end. */
static bool tell(void *context, const char *what, uint64_t done)
{
    struct watched *watched = context;
    struct pollfd interrupt = {.fd = watched->cli->interrupt_fd, .events = POLLIN};
    int64_t now_ms = clock_boot_ms();
    if (poll(&interrupt, 1, 0) > 0)
        return false;
    if (watched->cli->screen.err_terminal && now_ms - watched->told_ms >= TELL_MS) {
        watched->told_ms = now_ms;
        cli_say(watched->cli, "%llu %s", (unsigned long long)done, what);
    }
    return true;
}

static void show(struct cli *cli, const struct server_backup_stats *stats, const char *path, bool restored)
{
    struct json json;
    if (cli_wants_json(cli)) {
        json_init(&json, &cli->out);
        json_begin_object(&json);
        json_kv_string(&json, "path", path);
        if (!restored)
            json_kv_time(&json, "madeAt", stats->made_ms);
        json_kv_int(&json, "storeBytes", (int64_t)stats->store_bytes);
        json_kv_int(&json, "logFiles", (int64_t)stats->log_files);
        json_kv_int(&json, "logBytes", (int64_t)stats->log_bytes);
        if (restored)
            json_kv_int(&json, "canceledRuns", (int64_t)stats->canceled);
        json_end_object(&json);
        buf_add_char(&cli->out, '\n');
        return;
    }
    buf_printf(&cli->out, "%s\n", path);
    cli_say(cli, "store %llu bytes, %llu log files of %llu bytes", (unsigned long long)stats->store_bytes,
            (unsigned long long)stats->log_files, (unsigned long long)stats->log_bytes);
    if (restored && stats->canceled)
        cli_say(cli, "%llu run%s had not ended when the backup was made: canceled; look at what is to go on, and rerun "
                     "it", (unsigned long long)stats->canceled, stats->canceled == 1 ? "" : "s");
}

static int watched_call(struct cli *cli, bool restores, struct error *err)
{
    struct watched watched = {.cli = cli};
    struct server_backup_stats stats;
    const struct server_backup_watch watch = {tell, &watched};
    const char *path = cli_operand(cli, 0), *data = cli_text(cli, CLI_DATA);
    cli_catch_signals(cli);
    int rc = restores ? server_restore(path, data, &watch, &stats, err)
                      : server_backup(data, path, &watch, &stats, err);
    if (rc == 0)
        show(cli, &stats, restores ? data : path, restores);
    return rc;
}

int cli_backup(struct cli *cli, struct error *err)
{
    return watched_call(cli, false, err);
}

int cli_restore(struct cli *cli, struct error *err)
{
    return watched_call(cli, true, err);
}

static void show_moved(struct cli *cli, const char *place, const struct server_moved *moved, size_t count)
{
    struct json json;
    if (cli_wants_json(cli)) {
        json_init(&json, &cli->out);
        json_begin_object(&json);
        json_key(&json, "moved");
        json_begin_object(&json);
        for (size_t i = 0; i < count; i++)
            json_kv_int(&json, moved[i].what, (int64_t)moved[i].rows);
        json_end_object(&json);
        json_end_object(&json);
        buf_add_char(&cli->out, '\n');
        return;
    }
    for (size_t i = 0; i < count; i++)
        buf_printf(&cli->out, "%12llu %s\n", (unsigned long long)moved[i].rows, moved[i].what);
    cli_say(cli, "everything is in %s, compared and sound; the source is as it was",
            str_starts_with(place, "sqlite://") ? place : "the database");
}

int cli_migrate(struct cli *cli, struct error *err)
{
    struct watched watched = {.cli = cli};
    const struct server_backup_watch watch = {tell, &watched};
    struct server_moved moved[SERVER_MOVED_MAX];
    size_t count;
    cli_catch_signals(cli);
    int rc = server_migrate(cli_operand(cli, 0), cli_operand(cli, 1), &watch, moved, &count, err);
    if (rc == 0)
        show_moved(cli, cli_operand(cli, 1), moved, count);
    return rc;
}
