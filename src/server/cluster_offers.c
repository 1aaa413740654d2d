/* Attempts that nodes run for each other (store/offers.h).
 *
 *     owner's engine     offer, stop, done  ->  telling  ->  thread  ->  rows            word "offer NODE"
 *     node's thread      takes as many as it has free slots; the engine starts them
 *     node's engine      started, ended     ->  telling  ->  thread  ->  row, log        word "told"
 *     owner's thread     reads the rows of what it offered  ->  hearing  ->  owner's engine
 *
 * Words are hints: each renewal looks again. What is told stays until the store has it, so a database that is away for
 * a moment loses nothing. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "server/cluster_model.h"
#include "state/log_path.h"

enum {
    UNTAKEN_MS = 400,   /* an offer that nobody took for so long is taken back */
    VIEW_MS = 50        /* free slots as they are shown may be from before a guest that is not older */
};

/* ---- the engine's thread: what it tells ---- */

static struct cluster_telling *telling_new(enum cluster_order order, const struct engine_attempt *key)
{
    struct cluster_telling *telling = mem_new(struct cluster_telling);
    telling->order = order;
    telling->offer.attempt = (struct record_attempt){
        .run_id = key->run_id, .task = key->task, .number = key->number, .fence = key->fence, .exit_code = -1};
    return telling;
}

static void tell(struct server_cluster *cluster, struct cluster_telling *telling)
{
    (void)pthread_mutex_lock(&cluster->lock);
    bool first = !cluster->telling;
    *cluster->telling_last = telling;
    cluster->telling_last = &telling->next;
    (void)pthread_mutex_unlock(&cluster->lock);
    if (first)
        server_cluster_kick(cluster);
}

static void on_offer(void *context, uint64_t epoch, const struct engine_attempt *key)
{
    struct cluster_telling *telling = telling_new(ORDER_OFFER, key);
    telling->offer.node = epoch;
    tell(context, telling);
}

static void on_stop(void *context, const struct engine_attempt *key)
{
    tell(context, telling_new(ORDER_STOP, key));
}

static void on_done(void *context, const struct engine_attempt *key)
{
    tell(context, telling_new(ORDER_DONE, key));
}

static void on_guest_started(void *context, struct uuid worker, const struct engine_attempt *attempt)
{
    struct cluster_telling *telling = telling_new(ORDER_REPORT, attempt);
    telling->offer.stage = STORE_OFFER_TAKEN;
    telling->offer.attempt.started_ms = attempt->started_ms;
    telling->offer.attempt.worker = worker;
    tell(context, telling);
}

static void on_guest_ended(void *context, struct uuid worker, const struct engine_attempt *end)
{
    struct cluster_telling *telling = telling_new(ORDER_REPORT, end);
    struct record_attempt row = telling->offer.attempt;
    telling->worker = worker;
    telling->offer.stage = STORE_OFFER_ENDED;
    telling->offer.retryable = end->retryable;
    row.worker = worker;
    row.error_type = end->error_type;
    row.error = end->error ? arena_strdup(&telling->arena, end->error) : NULL;
    row.exit_code = end->exit_code;
    row.signal = end->signal;
    row.http_status = end->http_status;
    row.started_ms = end->started_ms;
    row.ended_ms = end->ended_ms;
    row.cpu_us = end->cpu_us;
    row.max_rss_bytes = end->max_rss_bytes;
    row.log_bytes = end->log_bytes;
    row.log = end->log ? arena_dup(&telling->arena, end->log, end->log_len) : NULL;
    row.log_len = end->log ? end->log_len : 0;
    telling->offer.attempt = row;
    telling->offer.outcome = end->outcome;
    tell(context, telling);
}

static void on_guest_refused(void *context, const struct engine_attempt *key)
{
    struct cluster_telling *telling = telling_new(ORDER_REPORT, key);
    telling->offer.stage = STORE_OFFER_REFUSED;
    tell(context, telling);
}

const struct core_others server_cluster_others = {
    .offer = on_offer,
    .stop = on_stop,
    .done = on_done,
    .guest_started = on_guest_started,
    .guest_ended = on_guest_ended,
    .guest_refused = on_guest_refused,
};

/* ---- the engine's thread: what it hears ---- */

static void free_hearing(struct cluster_hearing *hearing)
{
    dag_unref(hearing->start.dag);
    origin_unref(hearing->start.origin);
    arena_fini(&hearing->arena);
    mem_free(hearing);
}

static void hear_one(struct server_cluster *cluster, struct cluster_hearing *hearing)
{
    struct core *core = cluster->core;
    switch (hearing->news) {
    case NEWS_REFUSED:
        core_offer_refused(core, &hearing->attempt);
        break;
    case NEWS_STARTED:
        core_offer_started(core, hearing->epoch, &hearing->attempt);
        break;
    case NEWS_ENDED:
        core_offer_ended(core, hearing->epoch, &hearing->attempt);
        break;
    case NEWS_GUEST_START:
        if (!core_guest_start(core, &hearing->start))
            on_guest_refused(cluster, &hearing->attempt);
        break;
    case NEWS_GUEST_STOP:
        core_guest_stop(core, &hearing->attempt);
        break;
    case NEWS_GUEST_DONE:
        core_guest_done(core, hearing->worker, &hearing->attempt);
        break;
    }
    free_hearing(hearing);
}

void server_cluster_hear(struct server_cluster *cluster, struct cluster_hearing *first)
{
    for (struct cluster_hearing *next; first; first = next) {
        next = first->next;
        hear_one(cluster, first);
    }
    (void)pthread_mutex_lock(&cluster->lock);
    for (size_t i = 0; i < cluster->node_count; i++)
        core_set_node(cluster->core, cluster->nodes[i].epoch, cluster->nodes[i].free);
    (void)pthread_mutex_unlock(&cluster->lock);
}

/* ---- the thread ---- */

static struct engine_attempt key_of(const struct record_attempt *row)
{
    return (struct engine_attempt){.run_id = row->run_id,
                                   .task = row->task,
                                   .number = row->number,
                                   .fence = row->fence,
                                   .exit_code = -1};
}

static struct cluster_hearing *hearing_new(enum cluster_news news, const struct record_attempt *key)
{
    struct cluster_hearing *hearing = mem_new(struct cluster_hearing);
    hearing->news = news;
    hearing->attempt = key_of(key);
    return hearing;
}

static void say(struct server_cluster *cluster, struct cluster_hearing *hearing)
{
    (void)pthread_mutex_lock(&cluster->lock);
    *cluster->hearing_last = hearing;
    cluster->hearing_last = &hearing->next;
    (void)pthread_mutex_unlock(&cluster->lock);
    server_cluster_wake_engine(cluster);
}

static struct cluster_offer *find(const struct map *map, uint64_t fence)
{
    return map_get(map, &fence, sizeof fence);
}

static struct cluster_offer *add(struct map *map, const struct store_offer *offer)
{
    struct cluster_offer *known = find(map, offer->attempt.fence);
    if (known)
        return known;
    known = mem_new(struct cluster_offer);
    known->fence = offer->attempt.fence;
    known->offer = *offer;
    known->offer.attempt.error = NULL;
    known->put_ms = clock_boot_ms();
    (void)map_set(map, &known->fence, sizeof known->fence, known);
    return known;
}

static void forget(struct map *map, uint64_t fence)
{
    mem_free(map_remove(map, &fence, sizeof fence));
}

static void take_telling(struct server_cluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->lock);
    if (cluster->telling) {
        *cluster->sending_last = cluster->telling;
        cluster->sending_last = cluster->telling_last;
        cluster->telling = NULL;
        cluster->telling_last = &cluster->telling;
    }
    (void)pthread_mutex_unlock(&cluster->lock);
}

static void free_telling(struct cluster_telling *telling)
{
    arena_fini(&telling->arena);
    mem_free(telling);
}

/* Takes out what is of this kind: it is in the store, or concerns nobody any more. */
static void drop_sent(struct server_cluster *cluster, enum cluster_order order)
{
    struct cluster_telling **place = &cluster->sending;
    for (struct cluster_telling *telling; (telling = *place);) {
        if (telling->order == order) {
            *place = telling->next;
            free_telling(telling);
        } else {
            place = &telling->next;
        }
    }
    cluster->sending_last = place;
}

static int send_offers(struct server_cluster *cluster, struct error *err)
{
    struct store_offer *offers = NULL;
    size_t count = 0, cap = 0;
    for (const struct cluster_telling *telling = cluster->sending; telling; telling = telling->next) {
        if (telling->order != ORDER_OFFER)
            continue;
        offers = mem_grow(offers, &cap, count + 1, sizeof *offers);
        offers[count++] = telling->offer;
        (void)add(&cluster->offered, &telling->offer);
    }
    int code = count ? store_offers_put(cluster->link, offers, count, err) : 0;
    mem_free(offers);
    if (!code)
        drop_sent(cluster, ORDER_OFFER);
    return code;
}

static int send_fences(struct server_cluster *cluster, enum cluster_order order, struct error *err)
{
    uint64_t *fences = NULL;
    size_t count = 0, cap = 0;
    for (const struct cluster_telling *telling = cluster->sending; telling; telling = telling->next) {
        if (telling->order != order)
            continue;
        fences = mem_grow(fences, &cap, count + 1, sizeof *fences);
        fences[count++] = telling->offer.attempt.fence;
    }
    int code = 0;
    if (count && order == ORDER_STOP)
        code = store_offers_withdraw(cluster->link, fences, count, true, err);
    else if (count)
        code = store_offers_done(cluster->link, fences, count, err);
    for (size_t i = 0; i < count && !code && order == ORDER_DONE; i++)
        forget(&cluster->offered, fences[i]);
    mem_free(fences);
    if (!code)
        drop_sent(cluster, order);
    return code;
}

/* What a guest left in a file is in the store now, and nobody looks for it here. */
static void remove_log(struct server_cluster *cluster, const struct record_attempt *row)
{
    struct buf path = BUF_INIT;
    state_log_path(&path, cluster->options.data_dir, row->run_id, row->task, row->number);
    (void)unlink(buf_text(&path));
    buf_clear(&path);
    state_log_folder(&path, cluster->options.data_dir, row->run_id);
    (void)rmdir(buf_text(&path)); /* when it was the last */
    buf_fini(&path);
}

static void reported(struct server_cluster *cluster, const struct cluster_telling *telling, bool kept)
{
    const struct store_offer *offer = &telling->offer;
    char run[UUID_TEXT_LEN + 1];
    uuid_format(offer->attempt.run_id, run);
    if (!kept)
        log_with(LOG_WARN, log_fields("runId", run),
                 "attempt %" PRIu32 " of task %" PRIu32 ", run here for another node, is not its business any more: %s",
                 offer->attempt.number, offer->attempt.task,
                 offer->stage == STORE_OFFER_ENDED ? "its result is refused" : "it is stopped");
    if (offer->stage == STORE_OFFER_TAKEN) {
        if (!kept)
            say(cluster, hearing_new(NEWS_GUEST_STOP, &offer->attempt));
        return;
    }
    struct cluster_hearing *hearing = hearing_new(NEWS_GUEST_DONE, &offer->attempt);
    hearing->worker = telling->worker;
    forget(&cluster->guests, offer->attempt.fence);
    if (offer->attempt.log_bytes && !offer->attempt.log)
        remove_log(cluster, &offer->attempt);
    say(cluster, hearing);
}

static int send_reports(struct server_cluster *cluster, struct error *err)
{
    struct cluster_telling **place = &cluster->sending;
    int code = 0;
    for (struct cluster_telling *telling; (telling = *place) && !code;) {
        bool kept;
        if (telling->order != ORDER_REPORT) {
            place = &telling->next;
            continue;
        }
        code = store_offers_report(cluster->link, &telling->offer, &kept, err);
        if (code)
            break;
        reported(cluster, telling, kept);
        *place = telling->next;
        if (!*place)
            cluster->sending_last = place;
        free_telling(telling);
    }
    return code;
}

static int send_all(struct server_cluster *cluster, struct error *err)
{
    take_telling(cluster);
    int code = send_offers(cluster, err);
    if (!code)
        code = send_fences(cluster, ORDER_STOP, err);
    if (!code)
        code = send_reports(cluster, err);
    return code ? code : send_fences(cluster, ORDER_DONE, err);
}

/* ---- the owner ---- */

/* The row as it is now; *ret_untaken: it is to be taken back. */
static void follow(struct server_cluster *cluster, struct cluster_offer *known, const struct store_offer *row,
                   bool *ret_untaken)
{
    struct cluster_load *load = server_cluster_load(cluster, row->node);
    enum store_offer_stage before = known->offer.stage;
    struct cluster_hearing *hearing = NULL;
    *ret_untaken = row->stage == STORE_OFFER_OFFERED && clock_boot_ms() - known->put_ms >= UNTAKEN_MS;
    known->offer = *row;
    known->offer.attempt.error = NULL;
    if (before == STORE_OFFER_OFFERED && row->stage == STORE_OFFER_TAKEN && load)
        load->free--; /* until it says otherwise */
    if (row->stage == STORE_OFFER_TAKEN && row->attempt.started_ms && !known->started) {
        known->started = true;
        hearing = hearing_new(NEWS_STARTED, &row->attempt);
    } else if (row->stage == STORE_OFFER_REFUSED && !known->told) {
        known->told = true;
        hearing = hearing_new(NEWS_REFUSED, &row->attempt);
        on_done(cluster, &hearing->attempt);
    } else if ((row->stage == STORE_OFFER_ENDED || row->stage == STORE_OFFER_LOST) && !known->told) {
        known->told = true;
        hearing = hearing_new(NEWS_ENDED, &row->attempt);
        if (load && row->stage == STORE_OFFER_ENDED)
            load->free++;
    }
    if (!hearing)
        return;
    hearing->epoch = row->node;
    hearing->attempt = core_attempt_of_offer(row);
    hearing->attempt.error =
        hearing->attempt.error ? arena_strdup(&hearing->arena, hearing->attempt.error) : NULL;
    say(cluster, hearing);
}

static uint64_t *list_fences(const struct map *map)
{
    uint64_t *fences = mem_new_array(uint64_t, map->count + 1);
    size_t cursor = 0, count = 0;
    for (const struct map_slot *slot; (slot = map_next(map, &cursor));)
        fences[count++] = ((const struct cluster_offer *)slot->value)->fence;
    return fences;
}

static int read_offered(struct server_cluster *cluster, bool *ret_soon, struct error *err)
{
    struct arena arena = {0};
    struct store_offers rows;
    uint64_t *fences = list_fences(&cluster->offered);
    size_t untaken = 0;
    int code = store_offers_read(cluster->link, fences, cluster->offered.count, &arena, &rows, err);
    for (size_t i = 0; i < rows.count && !code; i++) {
        bool is_untaken = false;
        struct cluster_offer *known = find(&cluster->offered, rows.items[i].attempt.fence);
        if (known)
            follow(cluster, known, &rows.items[i], &is_untaken);
        if (is_untaken)
            fences[untaken++] = rows.items[i].attempt.fence;
    }
    if (!code && untaken)
        code = store_offers_withdraw(cluster->link, fences, untaken, false, err);
    *ret_soon = *ret_soon || untaken;
    mem_free(fences);
    arena_fini(&arena);
    return code;
}

/* How many attempts each node may still get. While one is there that knows nothing of offers, none: it would call them
 * lost, should it take over their runs. */
static void show_nodes(struct server_cluster *cluster)
{
    int64_t since_ms = clock_boot_ms() - cluster->options.lease_ms;
    bool all_know = true, changed = false;
    for (size_t i = 0; i < cluster->load_count; i++)
        all_know = all_know && (cluster->loads[i].offers || cluster->loads[i].heard_ms < since_ms);
    (void)pthread_mutex_lock(&cluster->lock);
    for (size_t i = 0; i < cluster->load_count; i++) {
        const struct cluster_load *load = &cluster->loads[i];
        int64_t left = all_know && load->heard_ms >= since_ms ? load->free : 0;
        size_t cursor = 0;
        for (const struct map_slot *slot; (slot = map_next(&cluster->offered, &cursor));) {
            const struct cluster_offer *known = slot->value;
            left -= known->offer.node == load->epoch && known->offer.stage == STORE_OFFER_OFFERED;
        }
        uint32_t free_slots = left > 0 ? (uint32_t)left : 0;
        changed = changed || i >= cluster->node_count || cluster->nodes[i].free != free_slots;
        cluster->nodes[i].epoch = load->epoch;
        cluster->nodes[i].free = free_slots;
    }
    cluster->node_count = cluster->load_count;
    (void)pthread_mutex_unlock(&cluster->lock);
    if (changed)
        server_cluster_wake_engine(cluster);
}

int server_cluster_inherit(struct server_cluster *cluster, struct cluster_arrival *arrival, struct error *err)
{
    int code = store_offers_inherit(cluster->link, arrival->run.id, &arrival->arena, &arrival->offers, err);
    for (size_t i = 0; i < arrival->offers.count && !code; i++) {
        struct cluster_offer *known = add(&cluster->offered, &arrival->offers.items[i]);
        known->told = arrival->offers.items[i].stage != STORE_OFFER_TAKEN;
    }
    return code;
}

/* ---- the node that runs them ---- */

static int find_dag(struct server_cluster *cluster, const struct record_run *run, struct dag **ret_dag,
                    struct error *err)
{
    for (size_t i = 0; i < cluster->guest_version_count && !run->changes; i++) {
        const struct cluster_version *version = &cluster->guest_versions[i];
        if (version->number == run->dag_version && uuid_equal(version->dag_id, run->dag_id)) {
            *ret_dag = dag_ref(version->dag);
            return 0;
        }
    }
    int code = core_read_changed(core_store(cluster->core), run, ret_dag, err);
    if (code || run->changes)
        return code;
    if (cluster->guest_version_count == CLUSTER_VERSIONS_MAX) {
        dag_unref(cluster->guest_versions[0].dag);
        memmove(cluster->guest_versions, cluster->guest_versions + 1,
                --cluster->guest_version_count * sizeof cluster->guest_versions[0]);
    }
    cluster->guest_versions[cluster->guest_version_count++] =
        (struct cluster_version){run->dag_id, run->dag_version, dag_ref(*ret_dag)};
    return 0;
}

static int begin_guest(struct server_cluster *cluster, const struct store_offer *row, struct error *err)
{
    struct dag *dag;
    int code = find_dag(cluster, &row->run, &dag, err);
    if (code == ERROR_STORE_AWAY)
        return code;
    if (!code && row->attempt.task >= dag->task_count) {
        code = error_set(err, ERROR_INTERNAL, "the DAG has no such task");
        dag_unref(dag);
    }
    (void)add(&cluster->guests, row);
    if (code) {
        const struct engine_attempt key = key_of(&row->attempt);
        log_error("an attempt of another node's run cannot be started here: %s", err->text);
        on_guest_refused(cluster, &key);
        return 0;
    }
    struct cluster_hearing *hearing = hearing_new(NEWS_GUEST_START, &row->attempt);
    hearing->start = (struct effect){
        .kind = EFFECT_START,
        .task = row->attempt.task,
        .number = row->attempt.number,
        .fence = row->attempt.fence,
        .run_id = row->attempt.run_id,
        .dag_id = row->run.dag_id,
        .scheduled_ms = row->run.scheduled_ms,
        .dag = dag,
        .origin = origin_new(row->run.request_id, row->run.trace),
    };
    say(cluster, hearing);
    return 0;
}

static void stop_guest(struct server_cluster *cluster, struct cluster_offer *known)
{
    if (!known->stopped)
        say(cluster, hearing_new(NEWS_GUEST_STOP, &known->offer.attempt));
    known->stopped = true;
}

/* What is held is what is known, but for what came since, what is to be stopped, and what is somebody else's by now. */
static int compare_held(struct server_cluster *cluster, struct error *err)
{
    struct arena arena = {0};
    struct store_offers rows;
    size_t cursor = 0;
    int code = store_offers_held(cluster->link, &arena, &rows, err);
    for (const struct map_slot *slot; !code && (slot = map_next(&cluster->guests, &cursor));)
        ((struct cluster_offer *)slot->value)->told = false;
    for (size_t i = 0; i < rows.count && !code; i++) {
        const struct store_offer *row = &rows.items[i];
        struct cluster_offer *known = find(&cluster->guests, row->attempt.fence);
        if (!known)
            code = begin_guest(cluster, row, err);
        known = code ? NULL : find(&cluster->guests, row->attempt.fence);
        if (known)
            known->told = true;
        if (known && row->stop)
            stop_guest(cluster, known);
    }
    cursor = 0;
    for (const struct map_slot *slot; !code && (slot = map_next(&cluster->guests, &cursor));) {
        struct cluster_offer *known = slot->value;
        if (!known->told)
            stop_guest(cluster, known);
    }
    arena_fini(&arena);
    return code;
}

static int be_host(struct server_cluster *cluster, bool asked, struct error *err)
{
    uint32_t taken = 0;
    int64_t now_ms = clock_boot_ms();
    int64_t left = cluster->free_slots - (now_ms - cluster->taken_ms < VIEW_MS ? cluster->taken : 0);
    int code = 0;
    if (left > 0)
        code = store_offers_take(cluster->link, (uint32_t)left, &taken, err);
    if (taken) {
        cluster->taken = taken + (now_ms - cluster->taken_ms < VIEW_MS ? cluster->taken : 0);
        cluster->taken_ms = now_ms;
    }
    return !code && (taken || asked || cluster->guests.count) ? compare_held(cluster, err) : code;
}

/* ---- both ---- */

/* What this life began with: the engine knows of it, here it is learned again. */
static int recover(struct server_cluster *cluster, struct error *err)
{
    struct arena arena = {0};
    struct store_offers rows;
    int code = store_offers_recover(core_store(cluster->core), &arena, &rows, err);
    for (size_t i = 0; i < rows.count && !code; i++)
        if (!rows.items[i].is_guest)
            (void)add(&cluster->offered, &rows.items[i]);
    cluster->recovered = !code;
    arena_fini(&arena);
    return code;
}

int server_cluster_offers(struct server_cluster *cluster, bool due, bool dead, bool asked, bool *ret_soon,
                          struct error *err)
{
    int code = cluster->recovered ? 0 : recover(cluster, err);
    if (!code)
        code = send_all(cluster, err);
    if (!code && (due || dead))
        code = store_offers_settle(cluster->link, err);
    if (!code && due && cluster->was_leading)
        code = store_offers_sweep(cluster->link, err);
    if (!code && cluster->offered.count)
        code = read_offered(cluster, ret_soon, err);
    if (!code && (due || asked))
        code = be_host(cluster, due || asked, err);
    show_nodes(cluster);
    return code;
}

static void free_known(struct map *map)
{
    size_t cursor = 0;
    for (const struct map_slot *slot; (slot = map_next(map, &cursor));)
        mem_free(slot->value);
    map_fini(map);
}

void server_cluster_offers_end(struct server_cluster *cluster)
{
    if (cluster->started && !cluster->fenced.code)
        (void)send_all(cluster, NULL);
    else
        take_telling(cluster);
    for (struct cluster_telling *next; cluster->sending; cluster->sending = next) {
        next = cluster->sending->next;
        free_telling(cluster->sending);
    }
    for (struct cluster_hearing *next; cluster->hearing; cluster->hearing = next) {
        next = cluster->hearing->next;
        free_hearing(cluster->hearing);
    }
    while (cluster->guest_version_count)
        dag_unref(cluster->guest_versions[--cluster->guest_version_count].dag);
    free_known(&cluster->offered);
    free_known(&cluster->guests);
}
