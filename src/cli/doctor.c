/* pawl doctor: whether this machine and these settings are fit for a daemon. Looks only; what it cannot know it says.
 *
 * Each check adds one finding: ok, warn (it works, but) or fail (it will not work). It looks as the user who calls it:
 * limits and cgroups of a running daemon are told by `pawl health`. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/server_options.h"
#include "cli/show.h"
#include "cron/cron.h"
#include "server/listen.h"
#include "server/secrets.h"
#include "store/store.h"
#include "store/store_dir.h"
#include "worker/cgroup.h"

enum {
    KERNEL_MAJOR = 5, KERNEL_MINOR = 9, /* clone3 with a cgroup, pidfds, close_range */
    FINDINGS_MAX = 40,
    FILES_BESIDE_CONNECTIONS = 256,
    DISK_LOW_MIB = 1024,
    DISK_NONE_MIB = 64,
    INODES_LOW = 10000
};

enum finding_verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };
static const char *const verdict_names[] = {"ok", "warn", "fail"};

struct finding {
    const char *check;
    enum finding_verdict verdict;
    const char *message;
};

struct doctor {
    struct cli *cli;
    const struct server_options *options;
    const char *data;
    bool data_is_there;
    pid_t daemon;               /* that holds the directory; 0: none */
    struct finding findings[FINDINGS_MAX];
    size_t count;
};

#define FIND(doctor, check, verdict, ...) find(doctor, check, verdict, arena_printf(&(doctor)->cli->arena, __VA_ARGS__))

static void find(struct doctor *doctor, const char *check, enum finding_verdict verdict, const char *message)
{
    if (doctor->count < FINDINGS_MAX)
        doctor->findings[doctor->count++] = (struct finding){check, verdict, message};
}

/* ---- the machine ---- */

static void check_kernel(struct doctor *doctor)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
        FIND(doctor, "kernel", VERDICT_WARN, "its version cannot be told");
    else if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
        FIND(doctor, "kernel", VERDICT_WARN, "%s is older than %d.%d: tasks start by slower ways", name.release,
             KERNEL_MAJOR, KERNEL_MINOR);
    else
        FIND(doctor, "kernel", VERDICT_OK, "%s, %ld processors", name.release, sysconf(_SC_NPROCESSORS_ONLN));
}

static void check_user(struct doctor *doctor)
{
    if (geteuid() == 0)
        FIND(doctor, "user", VERDICT_WARN, "root: a daemon of this user runs every task as root");
    else
        FIND(doctor, "user", VERDICT_OK, "uid %u", geteuid());
}

static void check_files(struct doctor *doctor)
{
    struct rlimit limit;
    uint64_t wanted = (uint64_t)doctor->options->connections_max + FILES_BESIDE_CONNECTIONS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        FIND(doctor, "open files", VERDICT_WARN, "%s", strerror(errno));
    else if (limit.rlim_max < wanted)
        FIND(doctor, "open files", VERDICT_WARN, "at most %llu, but connections-max asks for %llu",
             (unsigned long long)limit.rlim_max, (unsigned long long)wanted);
    else
        FIND(doctor, "open files", VERDICT_OK, "up to %llu", (unsigned long long)limit.rlim_max);
}

static void check_processes(struct doctor *doctor)
{
    struct rlimit limit;
    uint64_t wanted = (uint64_t)doctor->options->workers * (1 + doctor->options->slots) + 64;
    if (getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur < wanted)
        FIND(doctor, "processes", VERDICT_FAIL, "at most %llu of this user, but %llu are needed for all slots",
             (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
    else
        FIND(doctor, "processes", VERDICT_OK, "%u workers with %u slots each", doctor->options->workers,
             doctor->options->slots);
}

/* Whether groups can be made where this process is in the cgroup v2 tree, wherever that is mounted. */
static void check_cgroup(struct doctor *doctor)
{
    char *path = worker_cgroup_own();
    if (!path)
        FIND(doctor, "cgroup", VERDICT_WARN, "no cgroup v2 is mounted: what a task leaves behind is found with best "
             "effort only");
    else if (access(path, W_OK) == 0)
        FIND(doctor, "cgroup", VERDICT_OK, "%s can be written: what a task leaves behind is ended for certain", path);
    else
        FIND(doctor, "cgroup", VERDICT_WARN, "%s cannot be written (%s): best effort only; a systemd unit with "
             "Delegate=yes can", path, strerror(errno));
    mem_free(path);
}

static void check_clock(struct doctor *doctor)
{
    struct timex now = {0};
    int state = adjtimex(&now);
    if (clock_wall_ms() < INT64_C(1700000000000))
        FIND(doctor, "clock", VERDICT_FAIL, "it stands before 2023: schedules would fire what is long over");
    else if (state < 0 || (now.status & STA_UNSYNC))
        FIND(doctor, "clock", VERDICT_WARN, "it is not synchronised, as far as the kernel knows; schedules follow it");
    else
        FIND(doctor, "clock", VERDICT_OK, "synchronised");
}

static void check_zones(struct doctor *doctor)
{
    struct cron_zone *zone;
    struct error err = {0};
    if (cron_zone_load(NULL, &zone, &err)) {
        FIND(doctor, "time zones", VERDICT_FAIL, "%s", err.text);
        return;
    }
    if (!cron_zone_exists("Europe/Berlin"))
        FIND(doctor, "time zones", VERDICT_WARN, "there is no tz database (package tzdata): schedules know UTC only");
    else
        FIND(doctor, "time zones", VERDICT_OK, "schedules without a timezone follow %s", cron_zone_name(zone));
    cron_zone_free(zone);
}

static bool is_in_path(struct cli *cli, const char *name, const char **ret_path)
{
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/local/bin:/usr/bin:/bin"; *at;) {
        size_t len = strcspn(at, ":");
        *ret_path = arena_printf(&cli->arena, "%.*s/%s", (int)len, at, name);
        if (len && access(*ret_path, X_OK) == 0)
            return true;
        at += len + (at[len] != '\0');
    }
    return false;
}

static void check_programs(struct doctor *doctor)
{
    const char *path;
    void *curl = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (access("/bin/sh", X_OK) != 0)
        FIND(doctor, "shell", VERDICT_FAIL, "/bin/sh: %s", strerror(errno));
    else
        FIND(doctor, "shell", VERDICT_OK, "/bin/sh");
    if (is_in_path(doctor->cli, "python3", &path))
        FIND(doctor, "python", VERDICT_OK, "%s", path);
    else
        FIND(doctor, "python", VERDICT_WARN, "no python3 in PATH: python tasks without a virtualEnv fail");
    if (curl)
        FIND(doctor, "libcurl", VERDICT_OK, "libcurl.so.4");
    else
        FIND(doctor, "libcurl", VERDICT_WARN, "libcurl.so.4 cannot be opened (package libcurl4): http tasks fail");
    if (curl)
        (void)dlclose(curl);
}

/* ---- the data directory ---- */

static void check_directory(struct doctor *doctor)
{
    struct stat status;
    if (stat(doctor->data, &status) != 0) {
        FIND(doctor, "data directory", errno == ENOENT ? VERDICT_OK : VERDICT_FAIL, "%s: %s", doctor->data,
             errno == ENOENT ? "not there yet; the first start makes it" : strerror(errno));
        return;
    }
    doctor->data_is_there = true;
    struct statfs fs;
    const char *network =
        statfs(doctor->data, &fs) == 0 ? store_dir_network_name((unsigned long)fs.f_type) : NULL;
    if (network)
        FIND(doctor, "data directory", VERDICT_FAIL, "%s is on a network file system (%s)", doctor->data, network);
    else if (status.st_uid != geteuid())
        FIND(doctor, "data directory", VERDICT_FAIL, "%s belongs to uid %u, not to this user: run as its owner",
             doctor->data, status.st_uid);
    else if (status.st_mode & 077)
        FIND(doctor, "data directory", VERDICT_FAIL, "%s has mode %o: others may use it; chmod 700 it", doctor->data,
             status.st_mode & 07777);
    else
        FIND(doctor, "data directory", VERDICT_OK, "%s", doctor->data);
    doctor->daemon = store_dir_holder(doctor->data);
    if (doctor->daemon)
        FIND(doctor, "daemon", VERDICT_OK, "pid %d uses the directory; 'pawl health' says how it is",
             (int)doctor->daemon);
    else
        FIND(doctor, "daemon", VERDICT_OK, "none uses the directory");
}

/* The directory's file system, or that of its nearest folder above. */
static void check_disk(struct doctor *doctor)
{
    struct statvfs space;
    char *path = mem_strdup(doctor->data);
    while (statvfs(path, &space) != 0 && path[1]) {
        char *slash = strrchr(path, '/');
        slash[slash == path] = '\0';
    }
    mem_free(path);
    unsigned long long mib = (unsigned long long)space.f_bavail * space.f_frsize / 1048576;
    if (mib < DISK_NONE_MIB)
        FIND(doctor, "disk", VERDICT_FAIL, "%llu MiB free: nothing new would start", mib);
    else if (mib < DISK_LOW_MIB)
        FIND(doctor, "disk", VERDICT_WARN, "%llu MiB free", mib);
    else if (space.f_files && space.f_favail < INODES_LOW)
        FIND(doctor, "disk", VERDICT_WARN, "%llu files can be made, then it is full",
             (unsigned long long)space.f_favail);
    else
        FIND(doctor, "disk", VERDICT_OK, "%llu MiB free", mib);
}

static void check_store(struct doctor *doctor)
{
    const struct store_options options = {.path = doctor->data, .mode = STORE_READ};
    struct store *store = NULL;
    struct error err = {0};
    struct store_status status;
    struct buf findings = BUF_INIT;
    uint32_t count = 0;
    int rc = store_open_sqlite(&options, &store, &err);
    if (rc == ERROR_NOT_FOUND) {
        FIND(doctor, "store", VERDICT_OK, "not there yet");
        return;
    }
    if (!rc)
        rc = store_check(store, STORE_CHECK_QUICK, &findings, &count, &err);
    if (!rc)
        rc = store_get_status(store, &status, &err);
    if (rc)
        FIND(doctor, "store", VERDICT_FAIL, "%s", err.text);
    else if (count)
        FIND(doctor, "store", VERDICT_FAIL, "%s", buf_text(&findings));
    else
        FIND(doctor, "store", VERDICT_OK, "%llu DAGs, %llu active runs, %llu pending dead letters",
             (unsigned long long)status.dags, (unsigned long long)status.active_runs,
             (unsigned long long)status.letters_pending);
    buf_fini(&findings);
    store_close(store);
}

/* ---- the settings ---- */

static void check_port(struct doctor *doctor)
{
    const struct server_options *options = doctor->options;
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", options->listen_port);
    int rc = getaddrinfo(options->listen_host, port, &hints, &list);
    if (rc) {
        FIND(doctor, "address", VERDICT_FAIL, "%s: %s", options->listen_host, gai_strerror(rc));
        return;
    }
    int one = 1, fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool taken = fd < 0 || bind(fd, list->ai_addr, list->ai_addrlen) != 0;
    if (taken && !(errno == EADDRINUSE && doctor->daemon))
        FIND(doctor, "address", VERDICT_FAIL, "%s port %s: %s", options->listen_host, port, strerror(errno));
    else
        FIND(doctor, "address", VERDICT_OK, "%s port %s%s", options->listen_host, port,
             taken ? ", in use, by the daemon as it seems" : "");
    if (fd >= 0)
        (void)close(fd);
    freeaddrinfo(list);
}

static void check_access(struct doctor *doctor)
{
    struct server_listen listen = {0};
    struct auth_tokens tokens = {0};
    struct error err = {0};
    if (server_listen_check(doctor->options, &listen, &err)) {
        FIND(doctor, "access", VERDICT_FAIL, "%s", err.text);
        return;
    }
    int rc = doctor->data_is_there ? auth_tokens_read(doctor->data, &tokens, &err) : 0;
    if (rc)
        FIND(doctor, "access", VERDICT_FAIL, "%s", err.text);
    else if (listen.token_required && !tokens.count)
        FIND(doctor, "access", VERDICT_WARN, "a token is asked for and there is none: 'pawl token create'");
    else if (!listen.token_required)
        FIND(doctor, "access", listen.is_loopback ? VERDICT_OK : VERDICT_WARN, "%s may do everything without a token",
             listen.is_loopback ? "whoever is on this machine" : "whoever can connect");
    else
        FIND(doctor, "access", VERDICT_OK, "by token, of which there are %zu; %s", tokens.count,
             listen.tls_cert ? "TLS" : "plain HTTP");
    auth_tokens_fini(&tokens);
    server_listen_fini(&listen);
}

static void check_secrets(struct doctor *doctor)
{
    for (uint32_t i = 0; i < doctor->options->secret_count; i++) {
        const struct server_secret *secret = &doctor->options->secrets[i];
        struct stat status;
        if (secret->variable && !getenv(secret->variable))
            FIND(doctor, "secret", VERDICT_WARN, "%s: the variable %s is not set here", secret->name,
                 secret->variable);
        else if (secret->file && (access(secret->file, R_OK) != 0 || stat(secret->file, &status) != 0))
            FIND(doctor, "secret", VERDICT_FAIL, "%s: %s: %s", secret->name, secret->file, strerror(errno));
        else if (secret->file && (status.st_mode & 007))
            FIND(doctor, "secret", VERDICT_WARN, "%s: everybody may use %s; chmod 640 it", secret->name, secret->file);
    }
}

/* ---- the whole ---- */

static void show(struct doctor *doctor, enum finding_verdict worst)
{
    static const char *const titles[] = {"CHECK", "STATUS", "WHAT", NULL};
    struct cli *cli = doctor->cli;
    struct cli_grid grid;
    struct json json;
    if (!cli_wants_json(cli)) {
        cli_grid_init(&grid, titles);
        for (size_t i = 0; i < doctor->count; i++) {
            cli_grid_add(&grid, doctor->findings[i].check);
            cli_grid_add(&grid, verdict_names[doctor->findings[i].verdict]);
            cli_grid_add(&grid, doctor->findings[i].message);
        }
        cli_grid_print(&grid, 0, cli->screen.out_color, &cli->out);
        cli_grid_fini(&grid);
        return;
    }
    json_init(&json, &cli->out);
    json_begin_object(&json);
    json_kv_string(&json, "status", verdict_names[worst]);
    json_key(&json, "checks");
    json_begin_array(&json);
    for (size_t i = 0; i < doctor->count; i++) {
        json_begin_object(&json);
        json_kv_string(&json, "check", doctor->findings[i].check);
        json_kv_string(&json, "status", verdict_names[doctor->findings[i].verdict]);
        json_kv_string(&json, "message", doctor->findings[i].message);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_end_object(&json);
    buf_add_char(&cli->out, '\n');
}

int cli_doctor(struct cli *cli, struct error *err)
{
    static void (*const checks[])(struct doctor *) = {
        check_kernel, check_user, check_files, check_processes, check_cgroup, check_clock, check_zones, check_programs,
        check_directory, check_disk, check_store, check_port, check_access, check_secrets};
    struct server_options options;
    struct doctor doctor = {.cli = cli, .options = &options, .data = cli_text(cli, CLI_DATA)};
    enum finding_verdict worst = VERDICT_OK;
    int rc = cli_server_options(cli, &options, err);
    if (rc)
        return rc;
    FIND(&doctor, "pawl", VERDICT_OK, "%s", PAWL_VERSION);
    FIND(&doctor, "config", VERDICT_OK, "%s", cli->config_path ? cli->config_path : "no file");
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        checks[i](&doctor);
    for (size_t i = 0; i < doctor.count; i++)
        worst = doctor.findings[i].verdict > worst ? doctor.findings[i].verdict : worst;
    show(&doctor, worst);
    cli->exit_status = worst == VERDICT_FAIL;
    return 0;
}
