/* See cluster.h. The thread owns the connection; the engine's thread owns everything else. Between them stands one lock
 * and an eventfd that wakes the engine's loop. */
#include "server/cluster.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "store/cluster.h"

enum { TAKE_MAX = 20, AGAIN_MS = 200 };

/* A run that became this node's, on its way to the engine. */
struct arrival {
    struct arrival *next;
    struct arena arena;
    struct record_run run;              /* .dag: a reference */
    const struct record_attempt *attempts;
    size_t attempt_count;
};

struct known_version {
    struct uuid dag_id;
    uint32_t number;
    struct dag *dag;
};

struct server_cluster {
    struct core *core;
    struct server_cluster_options options;
    struct store_cluster *link;
    pthread_t thread;
    bool started;
    int stop_fd;                        /* eventfd: the thread ends */
    int wake_fd;                        /* eventfd: the engine's thread has something to take */

    /* the thread's own */
    struct known_version *versions;     /* DAGs of the load under way */
    size_t version_count, version_cap;
    bool was_leading;
    uint64_t catalog;                   /* as it was when schedules were last read */
    bool was_away;

    pthread_mutex_t lock;               /* of what follows */
    struct arrival *first, **last;
    int64_t lease_ms;                   /* boot time */
    bool leads;
    bool lead_changed;                  /* schedules are to be read, or forgotten */
    struct error fenced;                /* code 0: not so */
};

/* ---- the engine's thread ---- */

static void free_arrival(struct arrival *arrival)
{
    arena_fini(&arrival->arena);
    mem_free(arrival);
}

static void adopt(struct server_cluster *cluster, struct arrival *arrival)
{
    struct error err = {0};
    char id[UUID_TEXT_LEN + 1];
    uuid_format(arrival->run.id, id);
    if (core_adopt(cluster->core, &arrival->run, arrival->attempts, arrival->attempt_count, &err) != 0)
        log_with(LOG_ERROR, log_fields("runId", id), "a run cannot be taken over: %s", err.text);
    else
        log_with(LOG_INFO, log_fields("runId", id), "taken over from another node");
    free_arrival(arrival);
}

static void turn(void *context)
{
    struct server_cluster *cluster = context;
    uint64_t count;
    struct error err = {0};
    (void)!read(cluster->wake_fd, &count, sizeof count);
    (void)pthread_mutex_lock(&cluster->lock);
    struct arrival *arrivals = cluster->first;
    cluster->first = NULL;
    cluster->last = &cluster->first;
    bool leads = cluster->leads, changed = cluster->lead_changed;
    cluster->lead_changed = false;
    int64_t lease_ms = cluster->lease_ms;
    struct error fenced = cluster->fenced;
    (void)pthread_mutex_unlock(&cluster->lock);
    if (fenced.code) {
        core_fence(cluster->core, &fenced);
    } else {
        core_set_lease(cluster->core, lease_ms);
        if (changed && core_set_leading(cluster->core, leads, &err) != 0) {
            log_warn("schedules cannot be read: %s", err.text);
            (void)pthread_mutex_lock(&cluster->lock);
            cluster->lead_changed = true; /* the next renewal wakes us */
            (void)pthread_mutex_unlock(&cluster->lock);
        }
    }
    for (struct arrival *next; arrivals; arrivals = next) {
        next = arrivals->next;
        if (fenced.code) {
            dag_unref(arrivals->run.dag);
            free_arrival(arrivals);
        } else {
            adopt(cluster, arrivals);
        }
    }
}

/* ---- the thread ---- */

static void wake_engine(struct server_cluster *cluster)
{
    uint64_t one = 1;
    (void)!write(cluster->wake_fd, &one, sizeof one);
}

static int find_version(struct server_cluster *cluster, const struct store_active *active, struct dag **ret_dag,
                        struct error *err)
{
    for (size_t i = 0; i < cluster->version_count; i++) {
        const struct known_version *known = &cluster->versions[i];
        if (known->number == active->run.dag_version && uuid_equal(known->dag_id, active->run.dag_id)) {
            *ret_dag = dag_ref(known->dag);
            return 0;
        }
    }
    int code = core_read_source(active->source, active->source_len, NULL, ret_dag, err);
    if (code)
        return code;
    cluster->versions = mem_grow(cluster->versions, &cluster->version_cap, cluster->version_count + 1,
                                 sizeof *cluster->versions);
    cluster->versions[cluster->version_count++] =
        (struct known_version){active->run.dag_id, active->run.dag_version, dag_ref(*ret_dag)};
    return 0;
}

static const char *keep_text(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

static int on_active(void *context, const struct store_active *active, struct error *err)
{
    struct server_cluster *cluster = context;
    struct dag *dag;
    int code = find_version(cluster, active, &dag, err);
    if (!code && active->run.changes) {
        dag_unref(dag);
        code = core_read_changed(core_store(cluster->core), &active->run, &dag, err);
    }
    if (code)
        return code;
    struct arrival *arrival = mem_new(struct arrival);
    arrival->run = active->run;
    arrival->run.dag = dag;
    arrival->run.request_id = keep_text(&arrival->arena, active->run.request_id);
    arrival->run.changes = keep_text(&arrival->arena, active->run.changes);
    arrival->run.outcomes = arena_dup(&arrival->arena, active->run.outcomes, active->run.outcomes_len);
    struct record_attempt *attempts =
        arena_dup(&arrival->arena, active->attempts, active->attempt_count * sizeof *attempts);
    for (size_t i = 0; i < active->attempt_count; i++)
        attempts[i].error = keep_text(&arrival->arena, attempts[i].error);
    arrival->attempts = attempts;
    arrival->attempt_count = active->attempt_count;
    (void)pthread_mutex_lock(&cluster->lock);
    *cluster->last = arrival;
    cluster->last = &arrival->next;
    (void)pthread_mutex_unlock(&cluster->lock);
    return 0;
}

static int load(struct server_cluster *cluster, struct error *err)
{
    int code = store_cluster_load(cluster->link, on_active, cluster, err);
    while (cluster->version_count)
        dag_unref(cluster->versions[--cluster->version_count].dag);
    return code;
}

static void on_canceled(struct command *command, const struct command_result *result)
{
    (void)result;
    mem_free(command);
}

static int take_cancels(struct server_cluster *cluster, struct error *err)
{
    struct arena arena = {0};
    struct store_ids runs;
    int code = store_cluster_asked(cluster->link, &arena, &runs, err);
    for (size_t i = 0; i < runs.count && !code; i++) {
        struct command *command = mem_new(struct command);
        command->kind = COMMAND_RUN_CANCEL;
        command->run_id = runs.items[i];
        command->done = on_canceled;
        command->principal = "";
        core_post(cluster->core, command);
    }
    arena_fini(&arena);
    return code;
}

static void describe_workers(struct server_cluster *cluster, struct buf *out, struct store_cluster_beat *beat)
{
    struct engine_worker_view *views;
    struct json json;
    size_t count = core_get_workers(cluster->core, &views);
    json_init(&json, out);
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(&json);
        json_kv_uuid(&json, "id", views[i].id);
        json_kv_string(&json, "status", state_worker_name(views[i].state));
        json_kv_int(&json, "runningTasks", views[i].running);
        json_kv_int(&json, "queueDepth", views[i].queued);
        json_kv_string(&json, "host", cluster->options.host);
        json_kv_uuid(&json, "node", cluster->options.node_id);
        json_kv_int(&json, "slots", views[i].slots);
        json_end_object(&json);
        beat->slots += views[i].slots;
        beat->running += views[i].running;
    }
    json_end_array(&json);
    mem_free(views);
}

/* The lease counts from before the renewal was sent, and ends a fifth early: by then what runs here is dead. */
static int renew(struct server_cluster *cluster, bool *ret_leads, struct error *err)
{
    struct buf workers = BUF_INIT;
    struct core_snapshot shown;
    struct store_cluster_beat beat = {.url = cluster->options.url};
    int64_t before_ms = clock_boot_ms();
    core_get_snapshot(cluster->core, &shown);
    describe_workers(cluster, &workers, &beat);
    beat.workers = buf_text(&workers);
    beat.active_runs = shown.counts.active_runs;
    beat.ready = shown.counts.ready_tasks;
    beat.draining = shown.draining;
    int code = store_cluster_renew(cluster->link, &beat, ret_leads, err);
    buf_fini(&workers);
    if (!code) {
        (void)pthread_mutex_lock(&cluster->lock);
        cluster->lease_ms = before_ms + cluster->options.lease_ms - cluster->options.lease_ms / 5;
        (void)pthread_mutex_unlock(&cluster->lock);
    }
    return code;
}

static int follow_leading(struct server_cluster *cluster, bool leads, struct error *err)
{
    uint64_t catalog = cluster->catalog;
    int code = leads ? store_cluster_catalog(cluster->link, &catalog, err) : 0;
    if (code || (leads == cluster->was_leading && catalog == cluster->catalog))
        return code;
    if (leads != cluster->was_leading)
        log_info(leads ? "this node leads: it fires schedules" : "this node leads no longer");
    cluster->was_leading = leads;
    cluster->catalog = catalog;
    (void)pthread_mutex_lock(&cluster->lock);
    cluster->leads = leads;
    cluster->lead_changed = true;
    (void)pthread_mutex_unlock(&cluster->lock);
    return 0;
}

static int beat(struct server_cluster *cluster, struct error *err)
{
    bool leads = false;
    uint32_t dead = 0, taken = 0;
    int code = renew(cluster, &leads, err);
    if (!code)
        code = store_cluster_sweep(cluster->link, &dead, err);
    if (dead)
        log_warn("%u node%s said nothing for a lease and count%s as dead", dead, dead == 1 ? "" : "s",
                 dead == 1 ? "s" : "");
    if (!code)
        code = store_cluster_take(cluster->link, TAKE_MAX, &taken, err);
    if (!code)
        code = load(cluster, err);
    if (!code)
        code = take_cancels(cluster, err);
    if (!code)
        code = follow_leading(cluster, leads, err);
    wake_engine(cluster);
    if (!code && taken == TAKE_MAX)
        return ERROR_STORE_RETRY; /* more of them may be left: again at once */
    return code;
}

static void say(struct server_cluster *cluster, int code, const struct error *err)
{
    bool away = code != 0 && code != ERROR_STORE_RETRY;
    if (away && !cluster->was_away)
        log_warn("the lease cannot be renewed: %s", err->text);
    else if (!away && cluster->was_away)
        log_info("the lease is renewed again");
    cluster->was_away = away;
}

static void *run(void *context)
{
    struct server_cluster *cluster = context;
    struct pollfd stop = {.fd = cluster->stop_fd, .events = POLLIN};
    (void)pthread_setname_np(pthread_self(), "cluster");
    while (poll(&stop, 1, 0) == 0) {
        struct error err = {0};
        int code = beat(cluster, &err);
        say(cluster, code, &err);
        if (code == ERROR_STORE_FENCED) {
            (void)pthread_mutex_lock(&cluster->lock);
            cluster->fenced = err;
            (void)pthread_mutex_unlock(&cluster->lock);
            wake_engine(cluster);
            break;
        }
        int64_t wait_ms = cluster->options.lease_ms / 5;
        store_cluster_wait(cluster->link, cluster->stop_fd,
                           code == ERROR_STORE_RETRY ? 0 : code && wait_ms > AGAIN_MS ? AGAIN_MS : wait_ms);
    }
    return NULL;
}

/* ---- birth and end ---- */

int server_cluster_start(struct core *core, const struct server_cluster_options *options,
                         struct server_cluster **ret_cluster, struct error *err)
{
    sigset_t all, before;
    struct server_cluster *cluster = mem_new(struct server_cluster);
    cluster->core = core;
    cluster->options = *options;
    cluster->last = &cluster->first;
    (void)pthread_mutex_init(&cluster->lock, NULL);
    cluster->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cluster->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cluster->link = store_cluster_open(core_store(core));
    int code = cluster->stop_fd < 0 || cluster->wake_fd < 0
                   ? error_set(err, ERROR_IO, "cannot make event descriptors: %s", strerror(errno))
                   : core_add_fd(core, cluster->wake_fd, turn, cluster, err);
    if (!code) {
        /* signals are the main thread's */
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        int failed = pthread_create(&cluster->thread, NULL, run, cluster);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        cluster->started = !failed;
        if (failed)
            code = error_set(err, ERROR_IO, "cannot start a thread: %s", strerror(failed));
    }
    if (code)
        server_cluster_stop(cluster);
    else
        *ret_cluster = cluster;
    return code;
}

void server_cluster_stop(struct server_cluster *cluster)
{
    uint64_t one = 1;
    if (!cluster)
        return;
    if (cluster->started) {
        (void)!write(cluster->stop_fd, &one, sizeof one);
        (void)pthread_join(cluster->thread, NULL);
    }
    for (struct arrival *next; cluster->first; cluster->first = next) {
        next = cluster->first->next;
        dag_unref(cluster->first->run.dag);
        free_arrival(cluster->first);
    }
    store_cluster_close(cluster->link);
    mem_free(cluster->versions);
    if (cluster->stop_fd >= 0)
        (void)close(cluster->stop_fd);
    if (cluster->wake_fd >= 0)
        (void)close(cluster->wake_fd);
    (void)pthread_mutex_destroy(&cluster->lock);
    mem_free(cluster);
}

bool server_cluster_leads(struct server_cluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->lock);
    bool leads = cluster->leads;
    (void)pthread_mutex_unlock(&cluster->lock);
    return leads;
}
