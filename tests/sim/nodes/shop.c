/* The store that all share: what store/postgres does by conditions on rows, said once more in C. Each call is one
 * statement. Who is cut off reaches nothing; an answer can be lost after the fact. */
#include "nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"

struct store_cluster {
    struct node *node;
};

static int away(struct error *err)
{
    return error_set(err, ERROR_STORE_AWAY, "the store cannot be reached");
}

static bool reaches(const struct node *node)
{
    return node->up && !node->cut && !(sim.faults && sim_chance(1));
}

/* After the fact. */
static int answer(const struct node *node, struct error *err)
{
    (void)node;
    return sim.faults && sim_chance(1) ? away(err) : 0;
}

static struct life *life_of(uint64_t epoch)
{
    return &sim.lives[epoch - 1];
}

bool shop_is_dead(uint64_t epoch)
{
    return life_of(epoch)->dead;
}

/* This life's row, not dead. */
static bool is_mine(const struct node *node)
{
    return !shop_is_dead(node->store.epoch);
}

size_t shop_run(struct uuid id)
{
    for (size_t i = 0; i < sim.model.run_count; i++)
        if (uuid_equal(sim.model.runs[i]->run.id, id))
            return i;
    return SIZE_MAX;
}

struct truth *shop_truth(uint64_t fence)
{
    for (size_t i = sim.truth_count; i-- > 0;)
        if (sim.truths[i].fence == fence)
            return &sim.truths[i];
    return NULL;
}

static bool owns(const struct node *node, struct uuid run_id)
{
    size_t run = shop_run(run_id);
    return run != SIZE_MAX && !sim.model.runs[run]->ended && sim.owners[run].epoch == node->store.epoch;
}

static void notify(const struct node *from, const char *word)
{
    for (int i = 0; i < NODES; i++) {
        struct node *node = &sim.nodes[i];
        if (node == from || !node->up || node->cut || node->word_count == WORDS_MAX || sim_chance(sim.faults ? 10 : 0))
            continue;
        node->words[node->word_count++] = mem_strdup(word);
    }
}

static void notify_node(const struct node *from, uint64_t epoch)
{
    char word[40];
    (void)snprintf(word, sizeof word, "offer %llu", (unsigned long long)epoch);
    notify(from, word);
}

/* ---- lives ---- */

static bool is_running(const struct model_run *run, size_t row)
{
    return !run->rows[row].gone && run->rows[row].attempt.state == ATTEMPT_RUNNING;
}

static bool has_claims(const struct model_run *run)
{
    size_t i = 0;
    while (i < run->row_count && !is_running(run, i))
        i++;
    return i < run->row_count;
}

/* Lives of this node claimed some of it since it came. */
static bool has_own_claims(const struct node *node, const struct model_run *run, uint64_t came_to)
{
    for (size_t i = 0; i < run->row_count; i++) {
        uint64_t epoch = run->rows[i].attempt.fence >> ENGINE_FENCE_BITS;
        if (is_running(run, i) && epoch >= came_to && life_of(epoch)->node == node->index)
            return true;
    }
    return false;
}

void shop_join(struct node *node)
{
    uint64_t before = 0;
    if (sim.epochs == LIVES_MAX)
        model_broken("the simulation cannot remember more lives");
    for (uint64_t epoch = 1; epoch <= sim.epochs; epoch++)
        if (life_of(epoch)->node == node->index && !life_of(epoch)->dead) {
            life_of(epoch)->dead = true;
            before = epoch;
        }
    node->store.epoch = ++sim.epochs;
    *life_of(sim.epochs) = (struct life){.node = node->index, .lease_until_ms = sim.now_ms + LEASE_MS};
    for (size_t i = 0; i < sim.offer_count; i++)
        if (before && sim.offers[i].node == before && sim.offers[i].stage == STORE_OFFER_TAKEN)
            sim.offers[i].node = sim.epochs;
    for (size_t i = 0; i < sim.model.run_count; i++) {
        struct owner *owner = &sim.owners[i];
        if (sim.model.runs[i]->ended || life_of(owner->epoch)->node != node->index)
            continue;
        bool read = has_own_claims(node, sim.model.runs[i], owner->came_to);
        owner->given = (owner->given || has_claims(sim.model.runs[i])) && !read;
        owner->epoch = sim.epochs;
    }
}

static bool is_taken_elsewhere(const struct node *node, uint64_t fence)
{
    for (size_t i = 0; i < sim.offer_count; i++)
        if (sim.offers[i].attempt.fence == fence && sim.offers[i].node != node->store.epoch)
            return true;
    return false;
}

void shop_leave(struct node *node)
{
    bool runs = false;
    for (size_t i = 0; i < sim.model.run_count; i++)
        for (size_t r = 0; sim.owners[i].epoch == node->store.epoch && r < sim.model.runs[i]->row_count; r++) {
            const struct model_row *row = &sim.model.runs[i]->rows[r];
            runs |= !row->gone && row->attempt.state == ATTEMPT_RUNNING &&
                    !is_taken_elsewhere(node, row->attempt.fence);
        }
    for (size_t i = 0; i < sim.offer_count; i++)
        runs |= sim.offers[i].node == node->store.epoch && sim.offers[i].stage == STORE_OFFER_TAKEN;
    if (!node->cut && !runs)
        life_of(node->store.epoch)->dead = true;
}

/* ---- commits ---- */

static void check_owner(const struct node *node, const struct record *record)
{
    struct uuid run_id = record->run.id;
    if (record->kind < RECORD_RUN_START || record->kind > RECORD_LETTER)
        return;
    if (record->kind >= RECORD_ATTEMPT_CLAIM && record->kind <= RECORD_ATTEMPT_WITHDRAW)
        run_id = record->attempt.run_id;
    if (record->kind == RECORD_LETTER)
        run_id = record->letter.run_id;
    if (!owns(node, run_id))
        model_broken("node %u writes of a run that is another's: record %d", node->index + 1, (int)record->kind);
}

static void check_attempt(struct node *node, const struct record *record)
{
    const struct record_attempt *row = &record->attempt;
    struct life *life = life_of(node->store.epoch);
    struct truth *truth = shop_truth(row->fence);
    if (record->kind == RECORD_ATTEMPT_CLAIM) {
        if (row->fence >> ENGINE_FENCE_BITS != node->store.epoch || row->fence <= life->last_fence)
            model_broken("task %u: a fence that is not its life's, or does not grow", row->task);
        life->last_fence = row->fence;
        watch_claim(row);
    } else if (record->kind == RECORD_ATTEMPT_WITHDRAW && truth) {
        model_broken("task %u: an attempt that was started is withdrawn, by node %u", row->task, node->index + 1);
    } else if (record->kind == RECORD_ATTEMPT_END && row->state != ATTEMPT_LOST &&
               (!truth || !truth->ended || truth->outcome != row->state)) {
        model_broken("task %u: an invented result", row->task);
    } else if (record->kind == RECORD_ATTEMPT_END && row->state == ATTEMPT_LOST) {
        watch_lost(row);
    }
}

/* G9: the first instant of a record that was taken is the one behind what was covered: none is left out. */
static void check_fires(const struct batch *batch, int64_t covered_ms[DAGS])
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct record_fire *fire = &batch->records[i].fire;
        if (batch->records[i].kind != RECORD_FIRE || fire->trigger != TRIGGER_SCHEDULE)
            continue;
        if (batch->verdicts[batch->records[i].group - 1].refused) {
            sim.totals.unfired++;
            continue;
        }
        int d = 0;
        while (!uuid_equal(sim.dag_ids[d], fire->dag_id))
            d++;
        if (fire->from_ms != (covered_ms[d] / 60000 + 1) * 60000)
            model_broken("an instant of a schedule is left out");
        covered_ms[d] = fire->to_ms;
        sim.totals.fires++;
    }
}

int shop_commit(struct node *node, struct batch *batch)
{
    struct life *life = life_of(node->store.epoch);
    if (!node->up || node->cut || (sim.faults && sim_chance(2)))
        return ERROR_STORE_AWAY;
    if (life->dead)
        return ERROR_STORE_FENCED;
    if (batch->number > life->durable_batch) {
        for (size_t i = 0; i < batch->count; i++) {
            check_owner(node, &batch->records[i]);
            check_attempt(node, &batch->records[i]);
            if (batch->records[i].kind == RECORD_RUN_END)
                watch_run_end(node, batch, &batch->records[i].run);
        }
        int64_t covered_ms[DAGS];
        for (int d = 0; d < DAGS; d++)
            covered_ms[d] = sim.model.dags[d].covered_ms;
        size_t before = sim.model.run_count;
        sim.model.fence_max = 0; /* fences of several lives grow beside each other */
        model_commit(&sim.model, batch);
        check_fires(batch, covered_ms);
        if (sim.model.run_count > RUNS_MAX)
            model_broken("the simulation cannot remember more runs");
        for (size_t i = before; i < sim.model.run_count; i++)
            sim.owners[i] = (struct owner){.epoch = node->store.epoch};
        life->durable_batch = batch->number;
    }
    return sim.faults && sim_chance(2) ? ERROR_STORE_AWAY : 0;
}

/* ---- runs ---- */

static int by_task(const void *a, const void *b)
{
    const struct record_attempt *left = a, *right = b;
    if (left->task != right->task)
        return left->task < right->task ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

static int load_run(struct model_run *run, store_active_fn *fn, void *context)
{
    struct record_attempt *rows = mem_new_array(struct record_attempt, run->row_count + 1);
    struct error err = {0};
    size_t count = 0;
    for (size_t n = 0; n < run->row_count; n++)
        if (!run->rows[n].gone)
            rows[count++] = run->rows[n].attempt;
    qsort(rows, count, sizeof *rows, by_task);
    struct store_active active = {.run = run->run, .attempts = rows, .attempt_count = count};
    active.source = (const char *)&run->run.dag; /* core_read_source knows */
    active.source_len = sizeof run->run.dag;
    active.run.dag = NULL;
    int code = fn(context, &active, &err);
    mem_free(rows);
    return code;
}

void shop_load(struct node *node, store_active_fn *fn, void *context)
{
    for (size_t i = 0; i < sim.model.run_count; i++)
        if (owns(node, sim.model.runs[i]->run.id) && !sim.owners[i].given)
            (void)load_run(sim.model.runs[i], fn, context);
}

struct store_cluster *store_cluster_open(struct store *store)
{
    struct store_cluster *cluster = mem_new(struct store_cluster);
    (void)store;
    cluster->node = current;
    return cluster;
}

void store_cluster_close(struct store_cluster *cluster)
{
    mem_free(cluster);
}

bool store_is_shared(const struct store *store)
{
    (void)store;
    return true;
}

int store_cluster_renew(struct store_cluster *cluster, const struct store_cluster_beat *beat, bool *ret_leads,
                        struct error *err)
{
    struct node *node = cluster->node;
    struct life *life = life_of(node->store.epoch);
    if (!reaches(node))
        return away(err);
    if (life->dead)
        return error_set(err, ERROR_STORE_FENCED, "declared dead");
    life->lease_until_ms = sim.now_ms + LEASE_MS;
    life->draining = beat->draining;
    if (beat->draining && sim.leader == node->store.epoch)
        sim.leader = 0;
    else if (!beat->draining && (!sim.leader || shop_is_dead(sim.leader)))
        sim.leader = node->store.epoch;
    *ret_leads = sim.leader == node->store.epoch;
    return answer(node, err);
}

/* G14: by then nothing of it runs. */
static void check_death(const struct life *life)
{
    const struct node *node = &sim.nodes[life->node];
    for (size_t i = 0; i < node->held_count; i++)
        if (!node->held[i].attempt.ended)
            model_broken("node %u is declared dead while its tasks run", node->index + 1);
}

int store_cluster_sweep(struct store_cluster *cluster, uint32_t *ret_dead, struct error *err)
{
    *ret_dead = 0;
    if (!reaches(cluster->node))
        return away(err);
    for (uint64_t epoch = 1; epoch <= sim.epochs; epoch++) {
        struct life *life = life_of(epoch);
        if (life->dead || life->lease_until_ms >= sim.now_ms)
            continue;
        sim_say("the life %llu of node %u is over", (unsigned long long)epoch, life->node + 1);
        check_death(life);
        life->dead = true;
        sim.totals.deaths++;
        ++*ret_dead;
        notify(NULL, "dead");
    }
    return answer(cluster->node, err);
}

int store_cluster_take(struct store_cluster *cluster, uint32_t max, uint32_t *ret_taken, struct error *err)
{
    struct node *node = cluster->node;
    const struct life *life = life_of(node->store.epoch);
    *ret_taken = 0;
    if (!reaches(node))
        return away(err);
    for (size_t i = 0; i < sim.model.run_count && *ret_taken < max && !life->dead && !life->draining; i++) {
        if (sim.model.runs[i]->ended || !shop_is_dead(sim.owners[i].epoch))
            continue;
        sim_say("node %u takes over %02x%02x", node->index + 1, sim.model.runs[i]->run.id.bytes[14],
                sim.model.runs[i]->run.id.bytes[15]);
        sim.owners[i].epoch = sim.owners[i].came_to = node->store.epoch;
        sim.owners[i].given = true;
        sim.totals.takeovers++;
        ++*ret_taken;
    }
    return answer(node, err);
}

int store_cluster_load(struct store_cluster *cluster, store_active_fn *fn, void *context, struct error *err)
{
    struct node *node = cluster->node;
    int code = reaches(node) ? 0 : away(err);
    for (size_t i = 0; i < sim.model.run_count && !code; i++)
        if (sim.owners[i].given && owns(node, sim.model.runs[i]->run.id))
            code = load_run(sim.model.runs[i], fn, context);
    if (!code)
        code = sim.faults && sim_chance(10) ? away(err) : answer(node, err); /* all of it is loaded again then */
    for (size_t i = 0; i < sim.model.run_count && !code; i++)
        sim.owners[i].given &= sim.owners[i].epoch != node->store.epoch;
    return code;
}

int store_cluster_give(struct store_cluster *cluster, const struct uuid *runs, size_t count, uint64_t epoch,
                       struct error *err)
{
    struct node *node = cluster->node;
    if (!reaches(node))
        return away(err);
    for (size_t i = 0; i < count && is_mine(node); i++) {
        if (!owns(node, runs[i]))
            continue;
        struct owner *owner = &sim.owners[shop_run(runs[i])];
        owner->given = true;
        owner->came_to = 0; /* nothing of it is claimed */
        if (epoch && !life_of(epoch)->dead && !life_of(epoch)->draining)
            owner->epoch = epoch;
        sim_say("node %u gives %02x%02x to life %llu", node->index + 1, runs[i].bytes[14], runs[i].bytes[15],
                (unsigned long long)owner->epoch);
    }
    notify(node, "given");
    return answer(node, err);
}

int store_cluster_asked(struct store_cluster *cluster, struct arena *arena, struct store_ids *ret_runs,
                        struct error *err)
{
    *ret_runs = (struct store_ids){arena_array(arena, RUNS_MAX, sizeof(struct uuid)), 0};
    if (!reaches(cluster->node))
        return away(err);
    for (size_t i = 0; i < sim.model.run_count; i++)
        if (sim.owners[i].asked_ms && !sim.owners[i].given && !sim.model.runs[i]->run.cancel_ms &&
            owns(cluster->node, sim.model.runs[i]->run.id)) {
            ret_runs->items[ret_runs->count++] = sim.model.runs[i]->run.id;
            watch_asked(cluster->node, &sim.owners[i]);
        }
    return 0;
}

int store_cluster_busy(struct store_cluster *cluster, struct arena *arena, struct store_busy **ret_items,
                       size_t *ret_count, struct error *err)
{
    struct store_busy *items = arena_array(arena, DAGS, sizeof *items);
    *ret_items = items;
    *ret_count = 0;
    if (!reaches(cluster->node))
        return away(err);
    for (int d = 0; d < DAGS; d++) {
        struct store_busy busy = {.dag_id = sim.dag_ids[d]};
        for (size_t i = 0; i < sim.model.run_count; i++) {
            const struct model_run *run = sim.model.runs[i];
            if (run->ended || run->run.trigger != TRIGGER_SCHEDULE || !uuid_equal(run->run.dag_id, sim.dag_ids[d]) ||
                owns(cluster->node, run->run.id))
                continue;
            if (!busy.runs++)
                busy.run_id = run->run.id;
        }
        if (busy.runs)
            items[(*ret_count)++] = busy;
    }
    return 0;
}

int store_cluster_catalog(struct store_cluster *cluster, uint64_t *ret_mark, struct error *err)
{
    *ret_mark = 1;
    return reaches(cluster->node) ? 0 : away(err);
}

int store_cluster_say(struct store_cluster *cluster, const char *word, struct error *err)
{
    if (!reaches(cluster->node))
        return away(err);
    notify(cluster->node, word);
    return 0;
}

void store_cluster_wait(struct store_cluster *cluster, int fd, int64_t wait_ms, store_cluster_word_fn *fn,
                        void *context)
{
    struct node *node = cluster->node;
    (void)fd;
    (void)wait_ms;
    sim_thread_wait();
    for (size_t i = 0; i < node->word_count; i++) {
        if (!node->cut)
            fn(context, node->words[i]);
        mem_free(node->words[i]);
    }
    node->word_count = 0;
}

/* ---- offers ---- */

static struct store_offer *offer_of(uint64_t fence)
{
    for (size_t i = 0; i < sim.offer_count; i++)
        if (sim.offers[i].attempt.fence == fence)
            return &sim.offers[i];
    return NULL;
}

static void drop(struct store_offer *offer)
{
    if (offer)
        *offer = sim.offers[--sim.offer_count];
}

static bool is_unbegun(const struct store_offer *offer)
{
    return offer->stage == STORE_OFFER_OFFERED || offer->stage == STORE_OFFER_REFUSED;
}

int store_offers_put(struct store_cluster *cluster, const struct store_offer *offers, size_t count, struct error *err)
{
    struct node *node = cluster->node;
    if (!reaches(node))
        return away(err);
    for (size_t i = 0; i < count && is_mine(node); i++) {
        if (offer_of(offers[i].attempt.fence) || !owns(node, offers[i].attempt.run_id))
            continue;
        if (sim.offer_count == OFFERS_MAX)
            model_broken("the simulation cannot remember more offers");
        const struct life *life = life_of(offers[i].node);
        struct store_offer *row = &sim.offers[sim.offer_count++];
        *row = offers[i];
        row->stage = life->dead || life->draining ? STORE_OFFER_REFUSED : STORE_OFFER_OFFERED;
        sim.totals.offers++;
        notify_node(node, offers[i].node);
    }
    return answer(node, err);
}

int store_offers_withdraw(struct store_cluster *cluster, const uint64_t *fences, size_t count, bool stop,
                          struct error *err)
{
    struct node *node = cluster->node;
    watch_not_withdrawn(fences, count); /* unless an answer says so */
    if (!reaches(node))
        return away(err);
    for (size_t i = 0; i < count && is_mine(node); i++) {
        struct store_offer *row = offer_of(fences[i]);
        if (!row || row->stage > STORE_OFFER_TAKEN)
            continue;
        row->stop |= stop;
        if (row->stage == STORE_OFFER_OFFERED)
            row->stage = STORE_OFFER_REFUSED;
        if (stop)
            notify_node(node, row->node);
    }
    return answer(node, err);
}

int store_offers_done(struct store_cluster *cluster, const uint64_t *fences, size_t count, struct error *err)
{
    if (!reaches(cluster->node))
        return away(err);
    for (size_t i = 0; i < count && is_mine(cluster->node); i++)
        drop(offer_of(fences[i]));
    return answer(cluster->node, err);
}

int store_offers_settle(struct store_cluster *cluster, struct error *err)
{
    if (!reaches(cluster->node))
        return away(err);
    for (size_t i = 0; i < sim.offer_count; i++)
        if (sim.offers[i].stage <= STORE_OFFER_TAKEN && shop_is_dead(sim.offers[i].node))
            sim.offers[i].stage = is_unbegun(&sim.offers[i]) ? STORE_OFFER_REFUSED : STORE_OFFER_LOST;
    return answer(cluster->node, err);
}

int store_offers_sweep(struct store_cluster *cluster, struct error *err)
{
    if (!reaches(cluster->node))
        return away(err);
    for (size_t i = sim.offer_count; i-- > 0;) {
        const struct record_attempt *key = &sim.offers[i].attempt;
        const struct model_run *run = model_find(&sim.model, key->run_id);
        const struct record_attempt *last = run->ended ? NULL : model_last(run, key->task);
        if (!last || last->fence != key->fence || last->state != ATTEMPT_RUNNING)
            drop(&sim.offers[i]);
    }
    return answer(cluster->node, err);
}

static void give(struct store_offers *offers, struct arena *arena, const struct store_offer *row, bool is_guest)
{
    if (!offers->items)
        offers->items = arena_array(arena, 2 * OFFERS_MAX, sizeof *offers->items);
    offers->items[offers->count] = *row;
    offers->items[offers->count].attempt.error =
        row->attempt.error ? arena_strdup(arena, row->attempt.error) : NULL;
    offers->items[offers->count++].is_guest = is_guest;
}

int store_offers_read(struct store_cluster *cluster, const uint64_t *fences, size_t count, struct arena *arena,
                      struct store_offers *ret_offers, struct error *err)
{
    *ret_offers = (struct store_offers){0};
    if (!reaches(cluster->node))
        return away(err);
    for (size_t i = 0; i < count; i++)
        if (offer_of(fences[i])) {
            watch_read(cluster->node, offer_of(fences[i]));
            give(ret_offers, arena, offer_of(fences[i]), false);
        }
    return 0;
}

int store_offers_inherit(struct store_cluster *cluster, struct uuid run_id, struct arena *arena,
                         struct store_offers *ret_offers, struct error *err)
{
    *ret_offers = (struct store_offers){0};
    if (!reaches(cluster->node))
        return away(err);
    for (size_t i = sim.offer_count; i-- > 0;)
        if (uuid_equal(sim.offers[i].attempt.run_id, run_id) && is_unbegun(&sim.offers[i]) && is_mine(cluster->node) &&
            owns(cluster->node, run_id))
            drop(&sim.offers[i]);
    for (size_t i = 0; i < sim.offer_count; i++)
        if (uuid_equal(sim.offers[i].attempt.run_id, run_id))
            give(ret_offers, arena, &sim.offers[i], false);
    return 0;
}

int store_offers_take(struct store_cluster *cluster, uint32_t max, uint32_t *ret_taken, struct error *err)
{
    struct node *node = cluster->node;
    *ret_taken = 0;
    if (!reaches(node))
        return away(err);
    for (size_t i = 0; i < sim.offer_count && *ret_taken < max; i++) {
        struct store_offer *row = &sim.offers[i];
        if (row->node != node->store.epoch || row->stage != STORE_OFFER_OFFERED || !is_mine(node) ||
            life_of(node->store.epoch)->draining)
            continue;
        row->stage = STORE_OFFER_TAKEN;
        watch_take(row->attempt.fence);
        sim.totals.guests++;
        ++*ret_taken;
    }
    return answer(node, err);
}

int store_offers_held(struct store_cluster *cluster, struct arena *arena, struct store_offers *ret_offers,
                      struct error *err)
{
    *ret_offers = (struct store_offers){0};
    if (!reaches(cluster->node))
        return away(err);
    for (size_t i = 0; i < sim.offer_count; i++) {
        const struct store_offer *row = &sim.offers[i];
        const struct model_run *run = model_find(&sim.model, row->attempt.run_id);
        if (row->node != cluster->node->store.epoch || row->stage != STORE_OFFER_TAKEN || run->ended)
            continue;
        give(ret_offers, arena, row, true);
        struct record_run *facts = &ret_offers->items[ret_offers->count - 1].run;
        *facts = (struct record_run){.id = run->run.id, .dag_id = run->run.dag_id, .dag_version = run->run.dag_version};
    }
    return 0;
}

int store_offers_report(struct store_cluster *cluster, const struct store_offer *offer, bool *ret_kept,
                        struct error *err)
{
    struct node *node = cluster->node;
    if (!reaches(node))
        return away(err);
    struct store_offer *row = offer_of(offer->attempt.fence);
    *ret_kept = row && is_mine(node) && row->node == node->store.epoch &&
                (row->stage == STORE_OFFER_TAKEN || row->stage == offer->stage);
    if (*ret_kept) {
        const struct store_offer before = *row;
        *row = *offer;
        row->node = before.node;
        row->stop = before.stop;
        row->attempt.error = offer->attempt.error ? "it failed" : NULL; /* the other's text ends with the report */
        row->attempt.log = NULL;
        notify(node, "told");
    } else {
        sim.totals.refused++;
    }
    return answer(node, err);
}

/* It is its, and was read. */
static bool drives(const struct node *node, struct uuid run_id)
{
    return owns(node, run_id) && !sim.owners[shop_run(run_id)].given;
}

int store_offers_recover(struct store *store, struct arena *arena, struct store_offers *ret_offers, struct error *err)
{
    *ret_offers = (struct store_offers){0};
    (void)store;
    if (current->cut)
        return away(err);
    for (size_t i = sim.offer_count; i-- > 0;)
        if (drives(current, sim.offers[i].attempt.run_id) && is_unbegun(&sim.offers[i]))
            drop(&sim.offers[i]);
    for (size_t i = 0; i < sim.offer_count; i++)
        if (sim.offers[i].stage == STORE_OFFER_TAKEN && shop_is_dead(sim.offers[i].node))
            sim.offers[i].stage = STORE_OFFER_LOST;
    for (size_t i = 0; i < sim.offer_count; i++)
        if (drives(current, sim.offers[i].attempt.run_id))
            give(ret_offers, arena, &sim.offers[i], false);
    for (size_t i = 0; i < sim.offer_count; i++)
        if (sim.offers[i].node == current->store.epoch && sim.offers[i].stage == STORE_OFFER_TAKEN)
            give(ret_offers, arena, &sim.offers[i], true);
    return 0;
}
