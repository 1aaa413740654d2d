/* See cluster.h. */
#include "server/cluster.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "server/cluster_model.h"

enum { TAKE_MAX = 20, AGAIN_MS = 200, BUSY_MS = 200 };

/* ---- the engine's thread ---- */

static void free_arrival(struct cluster_arrival *arrival)
{
    arena_fini(&arrival->arena);
    mem_free(arrival);
}

void server_cluster_kick(struct server_cluster *cluster)
{
    uint64_t one = 1;
    (void)!write(cluster->kick_fd, &one, sizeof one);
}

static void adopt(struct server_cluster *cluster, struct cluster_arrival *arrival)
{
    struct error err = {0};
    char id[UUID_TEXT_LEN + 1];
    uuid_format(arrival->run.id, id);
    if (core_adopt(cluster->core, &arrival->run, arrival->attempts, arrival->attempt_count, &arrival->offers,
                   &err) != 0)
        log_with(LOG_ERROR, log_fields("runId", id), "a run cannot be taken over: %s", err.text);
    else
        log_with(LOG_INFO, log_fields("runId", id), "taken over from another node");
    free_arrival(arrival);
}

/* schedules NULL: this node leads no longer. */
static void lead(struct server_cluster *cluster, bool changed, struct core_schedules *schedules)
{
    bool again = changed && !core_set_leading(cluster->core, schedules);
    (void)pthread_mutex_lock(&cluster->lock);
    cluster->read_again = cluster->read_again || again;
    if ((cluster->busy_changed || changed) && !again)
        core_set_busy_elsewhere(cluster->core, cluster->busy, cluster->busy_count);
    cluster->busy_changed = cluster->busy_changed && again;
    (void)pthread_mutex_unlock(&cluster->lock);
    if (again)
        server_cluster_kick(cluster);
}

static void turn(void *context)
{
    struct server_cluster *cluster = context;
    uint64_t count;
    (void)!read(cluster->wake_fd, &count, sizeof count);
    (void)pthread_mutex_lock(&cluster->lock);
    struct error fenced = cluster->fenced;
    struct cluster_arrival *arrivals = cluster->first;
    cluster->first = NULL;
    cluster->last = &cluster->first;
    struct cluster_hearing *news = fenced.code ? NULL : cluster->hearing;
    if (news) {
        cluster->hearing = NULL;
        cluster->hearing_last = &cluster->hearing;
    }
    bool changed = cluster->lead_changed;
    struct core_schedules *schedules = cluster->schedules;
    cluster->schedules = NULL;
    cluster->lead_changed = false;
    int64_t lease_ms = cluster->lease_ms;
    if (cluster->wanted && !fenced.code && !cluster->released_count)
        cluster->released_count = core_release(cluster->core, cluster->wanted, cluster->released);
    bool released = cluster->released_count > 0;
    cluster->wanted = 0;
    (void)pthread_mutex_unlock(&cluster->lock);
    if (released)
        server_cluster_kick(cluster);
    if (fenced.code) {
        core_fence(cluster->core, &fenced);
    } else {
        if (lease_ms) /* else that of joining lasts */
            core_set_lease(cluster->core, lease_ms);
        lead(cluster, changed, schedules);
    }
    core_free_schedules(schedules);
    for (struct cluster_arrival *next; arrivals; arrivals = next) {
        next = arrivals->next;
        if (fenced.code) {
            dag_unref(arrivals->run.dag);
            free_arrival(arrivals);
        } else {
            adopt(cluster, arrivals);
        }
    }
    if (!fenced.code)
        server_cluster_hear(cluster, news);
}

/* ---- the thread ---- */

void server_cluster_wake_engine(struct server_cluster *cluster)
{
    uint64_t one = 1;
    (void)!write(cluster->wake_fd, &one, sizeof one);
}

static int find_version(struct server_cluster *cluster, const struct store_active *active, struct dag **ret_dag,
                        struct error *err)
{
    for (size_t i = 0; i < cluster->version_count; i++) {
        const struct cluster_version *known = &cluster->versions[i];
        if (known->number == active->run.dag_version && uuid_equal(known->dag_id, active->run.dag_id)) {
            *ret_dag = dag_ref(known->dag);
            return 0;
        }
    }
    int code = core_read_source(active->dag_name, active->source, active->source_len, NULL, ret_dag, err);
    if (code)
        return code;
    cluster->versions = mem_grow(cluster->versions, &cluster->version_cap, cluster->version_count + 1,
                                 sizeof *cluster->versions);
    cluster->versions[cluster->version_count++] =
        (struct cluster_version){active->run.dag_id, active->run.dag_version, dag_ref(*ret_dag)};
    return 0;
}

static const char *keep_text(struct arena *arena, const char *text)
{
    return text ? arena_strdup(arena, text) : NULL;
}

static bool is_posted(const struct server_cluster *cluster, struct uuid run_id)
{
    for (size_t i = 0; i < cluster->posted_count; i++)
        if (uuid_equal(cluster->posted[i], run_id))
            return true;
    return false;
}

static void forget_posted(struct server_cluster *cluster, struct uuid run_id)
{
    for (size_t i = cluster->posted_count; i-- > 0;)
        if (uuid_equal(cluster->posted[i], run_id))
            cluster->posted[i] = cluster->posted[--cluster->posted_count];
}

static int on_active(void *context, const struct store_active *active, struct error *err)
{
    struct server_cluster *cluster = context;
    struct dag *dag;
    if (is_posted(cluster, active->run.id))
        return 0; /* read once more, since an answer was lost; by now it may have ended here, or left */
    int code = find_version(cluster, active, &dag, err);
    if (!code && active->run.changes) {
        dag_unref(dag);
        code = core_read_changed(core_store(cluster->core), &active->run, &dag, err);
    }
    if (code)
        return code;
    struct cluster_arrival *arrival = mem_new(struct cluster_arrival);
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
    code = server_cluster_inherit(cluster, arrival, err);
    if (code) {
        dag_unref(dag);
        free_arrival(arrival);
        return code;
    }
    (void)pthread_mutex_lock(&cluster->lock);
    *cluster->last = arrival;
    cluster->last = &arrival->next;
    (void)pthread_mutex_unlock(&cluster->lock);
    cluster->posted = mem_grow(cluster->posted, &cluster->posted_cap, cluster->posted_count + 1,
                               sizeof *cluster->posted);
    cluster->posted[cluster->posted_count++] = active->run.id;
    return 0;
}

static int load(struct server_cluster *cluster, struct error *err)
{
    int code = store_cluster_load(cluster->link, on_active, cluster, err);
    if (!code)
        cluster->posted_count = 0;
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

int64_t server_cluster_lease(int64_t before_ms, int64_t lease_ms)
{
    return before_ms + lease_ms - lease_ms / 5;
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
        cluster->renewed_ms = before_ms;
        cluster->lease_ms = server_cluster_lease(before_ms, cluster->options.lease_ms);
        (void)pthread_mutex_unlock(&cluster->lock);
    }
    return code;
}

/* Runs of schedules on other nodes, when they are other ones than the engine was told. */
static int read_busy(struct server_cluster *cluster, struct error *err)
{
    struct arena arena = {0};
    struct store_busy *items;
    size_t count;
    int code = store_cluster_busy(cluster->link, &arena, &items, &count, err);
    (void)pthread_mutex_lock(&cluster->lock);
    if (!code && (count != cluster->busy_count || (count && memcmp(items, cluster->busy, count * sizeof *items)))) {
        mem_free(cluster->busy);
        cluster->busy = mem_dup(items, count * sizeof *items);
        cluster->busy_count = count;
        cluster->busy_changed = true;
    }
    (void)pthread_mutex_unlock(&cluster->lock);
    arena_fini(&arena);
    return code;
}

static bool is_read_again(struct server_cluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->lock);
    bool again = cluster->read_again;
    (void)pthread_mutex_unlock(&cluster->lock);
    return again;
}

static bool takes_again(struct server_cluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->lock);
    bool again = cluster->read_again;
    cluster->read_again = false;
    (void)pthread_mutex_unlock(&cluster->lock);
    return again;
}

/* The catalog's mark is from before the reading: what changes meanwhile is read once more. */
static int read_schedules(struct server_cluster *cluster, uint64_t catalog, struct error *err)
{
    struct core_schedules *schedules = NULL;
    int code = core_read_schedules(cluster->core, &schedules, err);
    if (code)
        return code;
    cluster->catalog = catalog;
    (void)pthread_mutex_lock(&cluster->lock);
    core_free_schedules(cluster->schedules);
    cluster->schedules = schedules;
    cluster->lead_changed = true;
    (void)pthread_mutex_unlock(&cluster->lock);
    return 0;
}

static void lead_no_more(struct server_cluster *cluster)
{
    log_info("this node leads no longer");
    (void)store_cluster_say(cluster->link, "lead", NULL);
    cluster->was_leading = false;
    (void)pthread_mutex_lock(&cluster->lock);
    core_free_schedules(cluster->schedules);
    cluster->schedules = NULL;
    cluster->lead_changed = true;
    (void)pthread_mutex_unlock(&cluster->lock);
}

static int follow_leading(struct server_cluster *cluster, bool leads, struct error *err)
{
    uint64_t catalog = 0;
    if (!leads && cluster->was_leading)
        lead_no_more(cluster);
    if (!leads)
        return 0;
    int code = store_cluster_catalog(cluster->link, &catalog, err);
    if (!code)
        code = read_busy(cluster, err);
    if (!code && (takes_again(cluster) || !cluster->was_leading || catalog != cluster->catalog))
        code = read_schedules(cluster, catalog, err);
    if (code)
        cluster->catalog = ~catalog; /* what was to be read is still to be read */
    if (!code && !cluster->was_leading) {
        log_info("this node leads: it fires schedules");
        cluster->was_leading = true;
    }
    return code;
}

/* ---- sharing work ---- */

struct cluster_load *server_cluster_load(struct server_cluster *cluster, uint64_t epoch)
{
    for (size_t i = 0; i < cluster->load_count; i++)
        if (cluster->loads[i].epoch == epoch)
            return &cluster->loads[i];
    return NULL;
}

static void hear(void *context, const char *word)
{
    struct server_cluster *cluster = context;
    unsigned long long epoch;
    long long free_slots;
    int draining, offers = 0, listens = -1;
    if (sscanf(word, "load %llu %lld %d %d %d", &epoch, &free_slots, &draining, &offers, &listens) < 3 ||
        epoch == core_store(cluster->core)->epoch)
        return;
    struct cluster_load *load = server_cluster_load(cluster, epoch);
    cluster->events.greets = cluster->events.greets || (listens > 0 && !(load && load->listens));
    if (!load)
        cluster->said_free = -1; /* it has heard nothing of this one either */
    if (!load && cluster->load_count < CLUSTER_NODES_MAX)
        load = &cluster->loads[cluster->load_count++];
    for (size_t i = 0; i < cluster->load_count && !load; i++)
        if (clock_boot_ms() - cluster->loads[i].heard_ms > cluster->options.lease_ms)
            load = &cluster->loads[i]; /* that life is over, or says nothing */
    if (!load)
        return;
    *load = (struct cluster_load){epoch,        draining ? 0 : free_slots, clock_boot_ms(),
                                  offers != 0,  listens >= 0,              listens > 0};
}

/* The least loaded node that was heard of within a lease; NULL: none has anything free. */
static struct cluster_load *find_free(struct server_cluster *cluster)
{
    struct cluster_load *best = NULL;
    int64_t since_ms = clock_boot_ms() - cluster->options.lease_ms;
    for (size_t i = 0; i < cluster->load_count; i++) {
        struct cluster_load *load = &cluster->loads[i];
        if (load->heard_ms >= since_ms && load->free > 0 && (!best || load->free > best->free))
            best = load;
    }
    return best;
}

/* Tells the others when it is another number than they know, or when they may have forgotten. */
static int tell_load(struct server_cluster *cluster, bool renewed, struct core_snapshot *ret_shown, struct error *err)
{
    struct engine_worker_view *views;
    char word[80];
    int64_t slots = 0, running = 0;
    core_get_snapshot(cluster->core, ret_shown);
    size_t count = core_get_workers(cluster->core, &views);
    for (size_t i = 0; i < count; i++) {
        slots += views[i].state == WORKER_DRAINING ? 0 : views[i].slots;
        running += views[i].running;
    }
    mem_free(views);
    int64_t free_slots = slots - running - (int64_t)ret_shown->counts.ready_tasks;
    free_slots = free_slots > 0 && ret_shown->ready ? free_slots : 0;
    cluster->free_slots = ret_shown->draining ? 0 : free_slots;
    if (!renewed && free_slots == cluster->said_free && ret_shown->draining == cluster->said_draining)
        return 0;
    (void)snprintf(word, sizeof word, "load %llu %lld %d 1 %d", (unsigned long long)core_store(cluster->core)->epoch,
                   (long long)free_slots, ret_shown->draining, cluster->events.listens);
    int code = store_cluster_say(cluster->link, word, err);
    if (!code && ret_shown->draining != cluster->said_draining)
        cluster->renewed_ms = 0; /* what it leads is another's at once */
    if (!code) {
        cluster->said_free = free_slots;
        cluster->said_draining = ret_shown->draining;
    }
    return code;
}

static int give(struct server_cluster *cluster, struct error *err)
{
    if (!cluster->giving_count) {
        (void)pthread_mutex_lock(&cluster->lock);
        cluster->giving_count = cluster->released_count;
        memcpy(cluster->giving, cluster->released, cluster->released_count * sizeof cluster->released[0]);
        cluster->released_count = 0;
        (void)pthread_mutex_unlock(&cluster->lock);
    }
    if (!cluster->giving_count)
        return 0;
    int code = store_cluster_give(cluster->link, cluster->giving, cluster->giving_count, cluster->giving_to, err);
    struct cluster_load *load = server_cluster_load(cluster, cluster->giving_to);
    if (!code && load)
        load->free -= (int64_t)cluster->giving_count; /* until it says otherwise */
    for (size_t i = 0; i < cluster->giving_count && !code; i++)
        forget_posted(cluster, cluster->giving[i]);
    if (!code)
        cluster->giving_count = 0;
    return code;
}

static int share(struct server_cluster *cluster, bool renewed, struct error *err)
{
    struct core_snapshot shown;
    int code = tell_load(cluster, renewed, &shown, err);
    struct cluster_load *to = code || cluster->giving_count ? NULL : find_free(cluster);
    if (!to || !(shown.counts.ready_tasks || shown.draining))
        return code;
    size_t wanted = to->free < CLUSTER_SHARE_MAX ? (size_t)to->free : CLUSTER_SHARE_MAX;
    if (!shown.draining && wanted > shown.counts.ready_tasks)
        wanted = (size_t)shown.counts.ready_tasks;
    (void)pthread_mutex_lock(&cluster->lock);
    bool under_way = cluster->wanted || cluster->released_count;
    if (!under_way)
        cluster->wanted = wanted;
    (void)pthread_mutex_unlock(&cluster->lock);
    if (!under_way)
        cluster->giving_to = to->epoch;
    server_cluster_wake_engine(cluster);
    return 0;
}

/* ---- the beat ---- */

static int renew_and_sweep(struct server_cluster *cluster, struct error *err)
{
    bool leads = false;
    uint32_t dead = 0;
    int code = renew(cluster, &leads, err);
    if (!code)
        code = store_cluster_sweep(cluster->link, &dead, err);
    if (dead)
        log_warn("%u node%s said nothing for a lease and count%s as dead", dead, dead == 1 ? "" : "s",
                 dead == 1 ? "s" : "");
    if (!code)
        code = follow_leading(cluster, leads, err);
    server_cluster_wake_engine(cluster);
    return code;
}

/* What other nodes said since the last beat. */
struct words {
    struct server_cluster *cluster;
    bool asks;                          /* runs may have come, or cancels */
    bool offers;                        /* of this node */
    bool logs, workers;                 /* of this node; logs of any, too */
    bool dead;
    bool any;                           /* other than events */
};

/* *ret_wait_ms: how long there is nothing to do. */
static int beat(struct server_cluster *cluster, const struct words *words, int64_t *ret_wait_ms, struct error *err)
{
    uint32_t taken = 0;
    bool soon = false, heard = words->asks;
    int64_t every_ms = cluster->options.lease_ms / 5;
    bool due = clock_boot_ms() - cluster->renewed_ms >= every_ms || !cluster->renewed_ms;
    int code = due ? renew_and_sweep(cluster, err) : 0;
    if (!due && is_read_again(cluster))
        code = follow_leading(cluster, cluster->was_leading, err);
    if (!code) /* before a run is loaded that came back: whoever gives it once more gives what it drives */
        code = give(cluster, err);
    if (!code && (due || heard))
        code = store_cluster_take(cluster->link, TAKE_MAX, &taken, err);
    if (!code && (due || heard))
        code = load(cluster, err);
    if (!code && (due || heard))
        code = take_cancels(cluster, err);
    if (!code)
        code = share(cluster, due, err);
    if (!code)
        code = server_cluster_offers(cluster, due, words->dead, words->offers, &soon, err);
    if (!code)
        code = server_cluster_asks(cluster, words->logs, due || words->workers, err);
    if (due || heard)
        server_cluster_wake_engine(cluster);
    struct core_snapshot shown;
    core_get_snapshot(cluster->core, &shown);
    *ret_wait_ms = shown.counts.active_runs && every_ms > BUSY_MS ? BUSY_MS : every_ms;
    if (!code)
        code = server_cluster_events(cluster, ret_wait_ms, err);
    if (taken == TAKE_MAX || soon)
        *ret_wait_ms = 0; /* more of them may be left */
    if (code && *ret_wait_ms > AGAIN_MS)
        *ret_wait_ms = AGAIN_MS;
    return code;
}

static void say(struct server_cluster *cluster, int code, const struct error *err)
{
    if (code && !cluster->was_away)
        log_warn("the lease cannot be renewed: %s", err->text);
    else if (!code && cluster->was_away)
        log_info("the lease is renewed again");
    cluster->was_away = code != 0;
}

static void on_word(void *context, const char *word)
{
    struct words *words = context;
    if (server_cluster_hear_event(words->cluster, word))
        return;
    words->any = true;
    hear(words->cluster, word);
    if (strncmp(word, "load ", 5) == 0)
        return;
    unsigned long long epoch;
    if (sscanf(word, "log %llu", &epoch) == 1)
        words->logs = words->logs || !epoch || epoch == core_store(words->cluster->core)->epoch;
    else if (sscanf(word, "worker %llu", &epoch) == 1)
        words->workers = words->workers || epoch == core_store(words->cluster->core)->epoch;
    else if (sscanf(word, "offer %llu", &epoch) == 1)
        words->offers = words->offers || epoch == core_store(words->cluster->core)->epoch;
    else if (strcmp(word, "told") != 0) /* what was offered is looked at after each word */
        words->asks = true;
    words->dead = words->dead || strcmp(word, "dead") == 0;
    if (strcmp(word, "lead") == 0)
        words->cluster->renewed_ms = 0; /* whoever comes first leads */
}

static bool is_stopping(struct server_cluster *cluster)
{
    uint64_t count;
    (void)!read(cluster->kick_fd, &count, sizeof count);
    (void)pthread_mutex_lock(&cluster->lock);
    bool stopping = cluster->stopping;
    (void)pthread_mutex_unlock(&cluster->lock);
    return stopping;
}

/* Until there is something to do: what others tell of events only passes through. */
static void wait_for(struct server_cluster *cluster, struct words *words, int64_t wait_ms)
{
    int64_t until_ms = clock_boot_ms() + wait_ms;
    bool passed;
    words->asks = words->offers = words->logs = words->workers = words->dead = words->any = false;
    do {
        store_cluster_wait(cluster->link, cluster->kick_fd, wait_ms, on_word, words);
        passed = cluster->events.heard.len > 0;
        server_cluster_pass_events(cluster);
        wait_ms = until_ms - clock_boot_ms();
    } while (passed && !words->any && wait_ms > 0);
}

static void *run(void *context)
{
    struct server_cluster *cluster = context;
    struct words words = {.cluster = cluster};
    (void)pthread_setname_np(pthread_self(), "cluster");
    while (!is_stopping(cluster)) {
        struct error err = {0};
        int64_t wait_ms = 0;
        int code = beat(cluster, &words, &wait_ms, &err);
        say(cluster, code, &err);
        if (code == ERROR_STORE_FENCED) {
            (void)pthread_mutex_lock(&cluster->lock);
            cluster->fenced = err;
            (void)pthread_mutex_unlock(&cluster->lock);
            server_cluster_wake_engine(cluster);
            break;
        }
        wait_for(cluster, &words, wait_ms);
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
    cluster->telling_last = &cluster->telling;
    cluster->sending_last = &cluster->sending;
    cluster->hearing_last = &cluster->hearing;
    (void)pthread_mutex_init(&cluster->lock, NULL);
    cluster->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cluster->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cluster->link = store_cluster_open(core_store(core));
    int code = cluster->kick_fd < 0 || cluster->wake_fd < 0
                   ? error_set(err, ERROR_IO, "cannot make event descriptors: %s", strerror(errno))
                   : core_add_fd(core, cluster->wake_fd, turn, cluster, err);
    struct core_others others = server_cluster_others;
    others.context = cluster;
    core_set_others(core, &others);
    cluster->lease_ms = server_cluster_lease(options->joined_ms, options->lease_ms);
    core_set_lease(core, cluster->lease_ms);
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
    if (!cluster)
        return;
    if (cluster->started) {
        (void)pthread_mutex_lock(&cluster->lock);
        cluster->stopping = true;
        (void)pthread_mutex_unlock(&cluster->lock);
        server_cluster_kick(cluster);
        (void)pthread_join(cluster->thread, NULL);
    }
    for (struct cluster_arrival *next; cluster->first; cluster->first = next) {
        next = cluster->first->next;
        dag_unref(cluster->first->run.dag);
        free_arrival(cluster->first);
    }
    server_cluster_offers_end(cluster);
    server_cluster_events_fini(cluster);
    store_cluster_close(cluster->link);
    core_free_schedules(cluster->schedules);
    mem_free(cluster->busy);
    mem_free(cluster->posted);
    mem_free(cluster->versions);
    if (cluster->kick_fd >= 0)
        (void)close(cluster->kick_fd);
    if (cluster->wake_fd >= 0)
        (void)close(cluster->wake_fd);
    (void)pthread_mutex_destroy(&cluster->lock);
    mem_free(cluster);
}
