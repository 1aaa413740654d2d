/* `pawl serve`: a data directory, the engine's thread (this one), the API in front of it, signals.
 *
 *     start     directory and its lock -> store, recovery from it -> API listens (/ready says 503) -> workers of the
 *               last daemon are met -> DATA/address, the line on stdout
 *     SIGTERM   drain: no new starts, /ready 503, reads still served -> hand-over -> API ends -> store closes
 *     again     everything is ended
 *
 *     fenced    the others of a cluster declared this node dead: what runs is killed, and all of it begins anew
 *
 * The API ends after the engine's loop: commands in flight have been answered by then, and later ones are refused by
 * the closed mailbox. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/api.h"
#include "auth/auth_audit.h"
#include "auth/auth_gate.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pool/pool_users.h"
#include "server/address.h"
#include "server/cluster.h"
#include "server/core_model.h"
#include "server/listen.h"
#include "server/node.h"
#include "server/notify.h"
#include "server/secrets.h"
#include "server/server.h"
#include "store/cluster.h"
#include "store/store_dir.h"

enum {
    FILES_BESIDE_CONNECTIONS = 256,
    REJOIN_MS = 500,
    HURRY_MS = 2000             /* for words of parting to a database that others hold up */
};

struct daemon {
    const struct server_options *options;
    struct store_dir dir;
    struct core *core;
    struct api *api;
    struct api_config api_config;
    struct api_backend api_backend;
    struct server_secrets secrets;
    struct pool_users *users;
    struct server_listen listen;
    struct auth_gate *gate;
    struct auth_audit *audit;
    struct server_address address;
    char host[256];
    int signal_fd;
    bool ending;                /* one signal has come */
    struct uuid node_id;
    struct server_cluster *cluster; /* NULL: the store is this node's alone */
    _Atomic(struct server_cluster *) events;    /* the same, for the API's threads */
    uint64_t files_max;         /* open files that workers may have */
    uint16_t port;              /* that was listened on; 0: none yet */
    bool said;                  /* the line on stdout */
    bool was_fenced;            /* the life before was declared dead by other nodes */
};

/* ---- what the API asks ---- */

/* The life that has a worker which is none of this node's; 0: nobody told of such a worker, or it is ours. */
static int find_node_of(struct daemon *daemon, struct uuid worker, uint64_t *ret_epoch, struct error *err)
{
    struct arena arena = {0};
    struct store_cluster_nodes nodes;
    int code = store_cluster_list(core_store(daemon->core), &arena, &nodes, err);
    const struct store_cluster_node *node = code ? NULL : store_cluster_find_worker(&nodes, worker);
    *ret_epoch = node && !uuid_equal(node->id, daemon->node_id) ? node->epoch : 0;
    arena_fini(&arena);
    return code;
}

/* A worker of another node is drained by it, within moments: what is asked is durable first. False: it is ours. */
static bool ask_node_of(struct daemon *daemon, struct command *command)
{
    struct command_result result = {0};
    uint64_t epoch = 0;
    if (command->kind != COMMAND_WORKER_DRAIN || !daemon->cluster)
        return false;
    int code = find_node_of(daemon, command->worker, &epoch, &result.error);
    if (!code && !epoch)
        return false;
    if (!code)
        (void)store_cluster_ask_worker(core_store(daemon->core), epoch, command->worker, command->draining,
                                       &result.error);
    command->done(command, &result);
    return true;
}

/* A run that another node drives is canceled by it: what is asked is durable first. */
static bool is_elsewhere(struct daemon *daemon, const struct command *command)
{
    struct live_run *run;
    if (command->kind != COMMAND_RUN_CANCEL || !daemon->cluster)
        return false;
    run = live_get(core_live(daemon->core), command->run_id);
    live_unref(run);
    return !run;
}

static void submit(void *context, struct command *command)
{
    struct daemon *daemon = context;
    if (ask_node_of(daemon, command))
        return;
    if (!is_elsewhere(daemon, command)) {
        core_post(daemon->core, command);
        return;
    }
    struct command_result result = {.run_id = command->run_id};
    if (store_cluster_ask_cancel(core_store(daemon->core), command->run_id, clock_wall_ms(), &result.error) ==
        ERROR_RUN_NOT_FOUND)
        (void)error_set(&result.error, ERROR_RUN_FINISHED, "the run has finished");
    command->done(command, &result);
}

static size_t get_workers(void *context, struct api_worker **ret_workers)
{
    struct daemon *daemon = context;
    struct engine_worker_view *views;
    size_t count = core_get_workers(daemon->core, &views);
    struct api_worker *workers = mem_new_array(struct api_worker, count);
    for (size_t i = 0; i < count; i++)
        workers[i] = (struct api_worker){.id = views[i].id,
                                         .state = views[i].state,
                                         .running = views[i].running,
                                         .queued = views[i].queued,
                                         .slots = views[i].slots,
                                         .awaited = views[i].awaited};
    mem_free(views);
    *ret_workers = workers;
    return count;
}

static void get_status(void *context, struct api_status *ret_status)
{
    struct daemon *daemon = context;
    struct core_snapshot shown;
    core_get_snapshot(daemon->core, &shown);
    int64_t busy_ms = shown.busy_since_ms ? clock_boot_ms() - shown.busy_since_ms : 0;
    *ret_status = (struct api_status){
        .ready = shown.ready,
        .draining = shown.draining,
        .leads = shown.leads,
        .active_runs = shown.counts.active_runs,
        .waiting_tasks = shown.counts.waiting_tasks,
        .ready_tasks = shown.counts.ready_tasks,
        .workers_wanted = daemon->options->workers,
        .isolation = shown.isolation == ISOLATION_CGROUP ? "cgroup" : "best-effort",
        .turn_age_ms = busy_ms,
        .turn_us_max = shown.turn_us_max,
    };
}

static bool may_run_as(void *context, const char *user, char *text, size_t size)
{
    struct daemon *daemon = context;
    struct error err;
    if (pool_users_check(daemon->users, user, &err) == 0)
        return true;
    (void)snprintf(text, size, "%s", err.text);
    return false;
}

static void get_commits(void *context, struct store_thread_stats *ret_stats)
{
    struct daemon *daemon = context;
    store_thread_get_stats(core_store_thread(daemon->core), ret_stats);
}

/* ---- events of several nodes, between the API and the cluster's thread ---- */

static void listen_to_others(void *context)
{
    struct daemon *daemon = context;
    struct server_cluster *cluster = atomic_load(&daemon->events);
    if (cluster) /* else it looks when it starts */
        server_cluster_kick(cluster);
}

static void tell_others(void *context, const char *name, struct uuid run_id, bool ends_run, const char *data,
                        size_t len)
{
    struct daemon *daemon = context;
    struct server_cluster *cluster = atomic_load(&daemon->events);
    if (cluster)
        server_cluster_tell_event(cluster, name, run_id, ends_run, data, len);
}

static bool wants_others(void *context)
{
    return api_wants_others(((struct daemon *)context)->api);
}

static void hear_others(void *context, struct buf *take_lines)
{
    api_hear(((struct daemon *)context)->api, take_lines);
}

static void set_hears_all(void *context, bool hears_all)
{
    api_set_hears_all(((struct daemon *)context)->api, hears_all);
}

static void set_told(void *context, bool others_listen)
{
    api_set_told(((struct daemon *)context)->api, others_listen);
}

static const struct server_cluster_events cluster_events = {wants_others, hear_others, set_hears_all, set_told};

/* ---- what the core tells ---- */

static void on_batch(void *context, const struct batch *batch, int64_t now_ms)
{
    struct daemon *daemon = context;
    api_publish(daemon->api, batch, now_ms);
}

static void on_left(void *context, struct uuid run_id)
{
    struct daemon *daemon = context;
    api_publish_left(daemon->api, run_id);
}

static void on_worker(void *context, const struct engine_worker_view *view)
{
    struct daemon *daemon = context;
    const struct api_worker worker = {
        .id = view->id,
        .state = view->state,
        .running = view->running,
        .queued = view->queued,
        .slots = view->slots,
    };
    api_publish_worker(daemon->api, &worker);
}

static void on_ready(void *context, const struct engine_recovery *recovery)
{
    struct daemon *daemon = context;
    (void)recovery;
    struct error err;
    if (server_address_write(daemon->dir.path, &daemon->address, &err) != 0)
        log_warn("commands on this machine will not find this daemon by themselves: %s", err.text);
    if (daemon->said)
        return;
    daemon->said = true;
    (void)printf("listening on %s\n", daemon->address.url);
    (void)fflush(stdout);
    server_notify("READY=1");
}

/* A certificate that cannot be used leaves the former one in its place. */
static void renew_certificate(struct daemon *daemon, const struct server_options *fresh)
{
    struct error err = {0};
    struct server_listen listen = {0};
    bool changed = false;
    int rc = server_listen_renew(fresh, &daemon->listen, &listen, &changed, &err);
    if (!rc && changed)
        rc = api_set_tls(daemon->api, listen.tls_cert, listen.tls_key, &err);
    if (rc)
        log_error("the certificate stays as it was: %s", err.text);
    if (rc || !changed) {
        server_listen_fini(&listen);
        return;
    }
    server_listen_fini(&daemon->listen);
    daemon->listen = listen;
    memcpy(daemon->address.pin, daemon->listen.pin, sizeof daemon->address.pin);
    log_info("new connections are greeted with another certificate, SHA-256 %s", daemon->address.pin);
    if (daemon->said && server_address_write(daemon->dir.path, &daemon->address, &err) != 0)
        log_error("commands on this machine will not know the new certificate: %s", err.text);
}

/* A mistake in the file changes nothing. */
static void reload(struct daemon *daemon)
{
    struct server_options fresh;
    struct error err = {0};
    if (daemon->options->reload(daemon->options->reload_context, &fresh, &err)) {
        log_error("the settings stay as they were: %s", err.text);
        return;
    }
    const struct core_limits limits = {
        .waiting_tasks_max = fresh.waiting_tasks_max,
        .active_runs_max = fresh.active_runs_max,
        .drain_ms = fresh.drain_ms,
        .retention = server_retention(&fresh),
    };
    core_set_limits(daemon->core, &limits);
    daemon->secrets.items = fresh.secrets;
    daemon->secrets.count = fresh.secret_count;
    renew_certificate(daemon, &fresh);
    log_info("the settings were read again");
}

static void on_signal(void *context)
{
    struct daemon *daemon = context;
    struct signalfd_siginfo signal;
    while (read(daemon->signal_fd, &signal, sizeof signal) == (ssize_t)sizeof signal) {
        if (signal.ssi_signo == SIGHUP && daemon->options->reload) {
            if (!daemon->ending)
                reload(daemon);
            continue;
        }
        if (!daemon->ending)
            server_notify("STOPPING=1");
        if (daemon->ending || signal.ssi_signo == SIGQUIT) {
            log_info("stopping at once: running tasks are ended");
            core_kill(daemon->core);
        } else {
            core_drain(daemon->core);
        }
        daemon->ending = true;
    }
}

/* ---- starting ---- */

static int take_signals(struct daemon *daemon, struct error *err)
{
    sigset_t mine;
    (void)sigemptyset(&mine);
    (void)sigaddset(&mine, SIGTERM);
    (void)sigaddset(&mine, SIGINT);
    (void)sigaddset(&mine, SIGHUP);
    (void)sigaddset(&mine, SIGQUIT);
    (void)pthread_sigmask(SIG_BLOCK, &mine, NULL);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL); /* a limit of file sizes then looks like a full disk */
    daemon->signal_fd = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
    if (daemon->signal_fd < 0)
        return error_set(err, ERROR_IO, "cannot take signals: %s", strerror(errno));
    return 0;
}

static int follow_parent(struct error *err)
{
    pid_t parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0)
        return error_set(err, ERROR_IO, "cannot watch the parent: %s", strerror(errno));
    if (getppid() != parent || parent == 1)
        return error_set(err, ERROR_INTERRUPTED, "the process that started this one has ended");
    return 0;
}

/* Room for the connections; what is started from here gets the former limit back (pool_options.files_max). */
static rlim_t raise_files(uint32_t connections_max)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    rlim_t before = limit.rlim_cur;
    rlim_t wanted = (rlim_t)connections_max + FILES_BESIDE_CONNECTIONS;
    if (wanted > limit.rlim_max)
        wanted = limit.rlim_max;
    if (wanted > limit.rlim_cur) {
        limit.rlim_cur = wanted;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            log_warn("the limit of open files stays at %llu: %s", (unsigned long long)before, strerror(errno));
    }
    return before;
}

static int start_core(struct daemon *daemon, struct error *err)
{
    const struct server_options *options = daemon->options;
    const struct core_options core = {
        .data_dir = daemon->dir.path,
        .durability = options->durability == SERVER_DURABILITY_RELAXED ? STORE_DURABILITY_RELAXED
                                                                       : STORE_DURABILITY_FULL,
        .workers = options->workers,
        .slots = options->slots,
        .waiting_tasks_max = options->waiting_tasks_max,
        .active_runs_max = options->active_runs_max,
        .grace_ms = options->grace_ms,
        .drain_ms = options->drain_ms,
        .log_bytes_max = options->log_bytes_max,
        .retention = server_retention(options),
        .http_deny_private = options->http_deny_private,
        .http_networks = options->http_networks,
        .http_network_count = options->http_network_count,
        .users = daemon->users,
        .files_max = daemon->files_max,
        .die_with_parent = options->die_with_parent,
        .was_fenced = daemon->was_fenced,
        .fires_schedules = !options->store_url, /* of a cluster's nodes one does: server/cluster.h */
        .store_url = options->store_url,
        .node = {.id = daemon->node_id, .host = daemon->host, .lease_ms = options->lease_ms},
        .secrets = {.find = server_secrets_find, .context = &daemon->secrets},
        .context = daemon,
        .on_ready = on_ready,
        .on_batch = on_batch,
        .on_left = on_left,
        .on_worker = on_worker,
    };
    int64_t before_ms = clock_boot_ms();
    int code = core_new(&core, &daemon->core, err);
    if (!code && options->store_url) /* joining gave the first lease */
        core_set_lease(daemon->core, server_cluster_lease(before_ms, options->lease_ms));
    return code ? code : core_add_fd(daemon->core, daemon->signal_fd, on_signal, daemon, err);
}

static int start_api(struct daemon *daemon, struct error *err)
{
    const struct server_options *options = daemon->options;
    daemon->gate = auth_gate_new(daemon->dir.path);
    int problem = auth_audit_open(daemon->dir.path, 0, &daemon->audit, err);
    if (problem)
        return problem;
    auth_audit_add(daemon->audit, &(const struct auth_audit_entry){.action = "daemon.start", .outcome = "done"});
    daemon->api_config = (struct api_config){
        .data_dir = daemon->dir.path,
        .node_host = daemon->host,
        .started_ms = clock_wall_ms(),
        .owner_token = daemon->address.token,
        .gate = daemon->gate,
        .audit = daemon->audit,
        .token_required = daemon->listen.token_required,
        .listen_host = options->listen_host,
        .listen_port = daemon->port ? daemon->port : options->listen_port,
        .threads = options->http_threads,
        .connections_max = options->connections_max,
        .request_ms = options->request_timeout_ms,
        .idle_ms = options->idle_timeout_ms,
        .allowed_hosts = options->allowed_hosts,
        .allowed_host_count = options->allowed_host_count,
        .base_path = options->base_path,
        .any_literal = !daemon->listen.is_loopback,
        .tls_cert = daemon->listen.tls_cert,
        .tls_key = daemon->listen.tls_key,
    };
    daemon->api_backend = (struct api_backend){
        .context = daemon,
        .store = core_store(daemon->core),
        .live = core_live(daemon->core),
        .submit = submit,
        .get_workers = get_workers,
        .get_status = get_status,
        .get_commits = get_commits,
        .may_run_as = may_run_as,
        .get_settings = options->get_settings,
        .settings_context = options->settings_context,
        .listen = options->store_url ? listen_to_others : NULL,
        .tell = options->store_url ? tell_others : NULL,
    };
    daemon->api_config.node_id = daemon->node_id;
    daemon->api = api_new(&daemon->api_config, &daemon->api_backend);
    int code = api_start(daemon->api, err);
    if (code)
        return code;
    daemon->port = api_port(daemon->api);
    bool is_ipv6 = strchr(options->listen_host, ':') != NULL;
    (void)snprintf(daemon->address.url, sizeof daemon->address.url, "%s://%s%s%s:%u",
                   daemon->listen.tls_cert ? "https" : "http", is_ipv6 ? "[" : "", options->listen_host,
                   is_ipv6 ? "]" : "", api_port(daemon->api));
    memcpy(daemon->address.pin, daemon->listen.pin, sizeof daemon->address.pin);
    server_listen_log(&daemon->listen, daemon->address.url, auth_gate_count(daemon->gate));
    return 0;
}

static int start_cluster(struct daemon *daemon, int64_t joined_ms, struct error *err)
{
    const struct server_cluster_options options = {
        .node_id = daemon->node_id,
        .host = daemon->host,
        .url = daemon->address.url,
        .data_dir = daemon->dir.path,
        .lease_ms = daemon->options->lease_ms,
        .joined_ms = joined_ms,
        .events = &cluster_events,
        .events_context = daemon,
    };
    int code = daemon->options->store_url ? server_cluster_start(daemon->core, &options, &daemon->cluster, err) : 0;
    atomic_store(&daemon->events, daemon->cluster);
    return code;
}

/* From the store's opening to its end. */
static int live_once(struct daemon *daemon, struct error *err)
{
    int64_t joined_ms = clock_boot_ms();
    int code = start_core(daemon, err);
    if (!code)
        code = core_recover(daemon->core, err);
    if (!code)
        code = start_api(daemon, err);
    if (!code)
        code = start_cluster(daemon, joined_ms, err);
    return code ? code : core_run(daemon->core, err);
}

/* What the store did not take in time: nobody decides it any more, its clients would wait for ever, and the API for
 * them. */
static void refuse_waiting(struct core *core)
{
    engine_refuse_waiting(core->engine, ERROR_STORE_AWAY,
                          "the daemon stopped before it knew whether this is stored; ask again, with the same "
                          "Idempotency-Key if there was one");
}

static void end_life(struct daemon *daemon)
{
    struct store *store = daemon->core ? core_store(daemon->core) : NULL;
    if (store && store_is_shared(store))
        store_cluster_hurry(store, HURRY_MS);
    if (daemon->core)
        refuse_waiting(daemon->core);
    if (daemon->api)
        api_stop(daemon->api);
    atomic_store(&daemon->events, NULL); /* nobody uses it: the API's threads have ended */
    server_cluster_stop(daemon->cluster);
    api_free(daemon->api);
    core_free(daemon->core);
    auth_audit_add(daemon->audit, &(const struct auth_audit_entry){.action = "daemon.stop", .outcome = "done"});
    auth_audit_close(daemon->audit);
    auth_gate_free(daemon->gate);
    daemon->api = NULL;
    daemon->cluster = NULL;
    daemon->core = NULL;
    daemon->gate = NULL;
    daemon->audit = NULL;
}

/* Between two lives. A word to stop ends the wait, and the daemon: it runs nothing. */
static void wait_for_store(struct daemon *daemon)
{
    struct pollfd waiting = {.fd = daemon->signal_fd, .events = POLLIN};
    struct signalfd_siginfo signal;
    (void)poll(&waiting, 1, REJOIN_MS);
    while (read(daemon->signal_fd, &signal, sizeof signal) == (ssize_t)sizeof signal)
        daemon->ending = daemon->ending || signal.ssi_signo != SIGHUP;
}

/* A node that the others declared dead has killed what it ran and begins a new life: what it had is theirs now. When
 * it was about to stop, that is all. */
static int live_again(struct daemon *daemon, struct error *err)
{
    daemon->was_fenced = true;
    for (;;) {
        end_life(daemon);
        if (daemon->ending)
            return 0;
        log_info("joining the cluster anew");
        int code = live_once(daemon, err);
        if (code == ERROR_STORE_AWAY)
            wait_for_store(daemon);
        else if (code != ERROR_STORE_FENCED)
            return code;
    }
}

static int make_users(struct daemon *daemon, struct error *err)
{
    const struct server_options *options = daemon->options;
    const struct pool_users_options users = {
        .by_default = options->run_as,
        .allowed = options->run_as_allowed,
        .allowed_count = options->run_as_allowed_count,
        .work_dir = options->run_as_work,
    };
    return pool_users_new(&users, &daemon->users, err);
}

static int live(struct daemon *daemon, struct error *err)
{
    const struct server_options *options = daemon->options;
    int code = options->die_with_parent ? follow_parent(err) : 0;
    if (gethostname(daemon->host, sizeof daemon->host) != 0)
        (void)snprintf(daemon->host, sizeof daemon->host, "localhost");
    daemon->host[sizeof daemon->host - 1] = '\0';
    daemon->files_max = (uint64_t)raise_files(options->connections_max);
    if (!code)
        code = server_listen_check(options, &daemon->listen, err);
    if (!code)
        code = make_users(daemon, err);
    if (!code)
        code = take_signals(daemon, err);
    if (!code)
        code = store_dir_open(options->data_dir, &daemon->dir, err);
    if (!code)
        code = server_node_id(daemon->dir.path, &daemon->node_id, err);
    if (!code)
        code = server_address_make(&daemon->address, err);
    if (!code && options->durability == SERVER_DURABILITY_RELAXED)
        log_warn("durability is relaxed: a power loss can take the last moments of what was acknowledged");
    if (!code)
        code = live_once(daemon, err);
    return code == ERROR_STORE_FENCED ? live_again(daemon, err) : code;
}

int server_run(const struct server_options *options, struct error *err)
{
    struct daemon daemon = {
        .options = options,
        .dir = {.lock_fd = -1},
        .secrets = {.items = options->secrets, .count = options->secret_count},
        .signal_fd = -1,
    };
    int code = live(&daemon, err);
    if (daemon.dir.path)
        server_address_remove(daemon.dir.path);
    end_life(&daemon);
    server_listen_fini(&daemon.listen);
    pool_users_free(daemon.users);
    server_secrets_clear(&daemon.secrets);
    if (daemon.signal_fd >= 0)
        (void)close(daemon.signal_fd);
    if (daemon.dir.path)
        store_dir_close(&daemon.dir);
    if (!code)
        log_info("stopped");
    return code;
}
