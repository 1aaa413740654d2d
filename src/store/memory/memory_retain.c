/* Retention without a disk: all that may go goes at once. The rows' memory is the arena's until the store closes. */
#include "base/mem.h"
#include "store/memory/memory_model.h"

static bool is_needed(const struct store_memory *store, const struct memory_run *run)
{
    for (size_t i = 0; i < store->letters.count; i++) {
        const struct memory_letter *letter = store->letters.items[i];
        if (letter->row.resolution == RESOLUTION_PENDING && uuid_equal(letter->row.letter.run_id, run->run.id))
            return true;
    }
    for (size_t i = 0; i < store->runs.count; i++) {
        const struct record_run *other = &((const struct memory_run *)store->runs.items[i])->run;
        if (!state_run_is_terminal(other->state) && uuid_equal(other->source, run->run.id))
            return true;
    }
    for (size_t i = 0; i < store->keys.count; i++)
        if (uuid_equal(((const struct record_idempotency *)store->keys.items[i])->run_id, run->run.id))
            return true;
    return false;
}

static int64_t bytes_of(const struct store_memory *store)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < store->runs.count; i++) {
        const struct memory_run *run = store->runs.items[i];
        bytes += (int64_t)sizeof *run;
        for (size_t k = 0; k < run->attempts.count; k++) {
            const struct record_attempt *attempt = run->attempts.items[k];
            bytes += (int64_t)sizeof *attempt + (attempt->log ? (int64_t)attempt->log_len : attempt->log_bytes);
        }
    }
    return bytes;
}

static size_t count_ended(const struct store_memory *store)
{
    size_t count = 0;
    for (size_t i = 0; i < store->runs.count; i++)
        count += state_run_is_terminal(((const struct memory_run *)store->runs.items[i])->run.state);
    return count;
}

static const struct dag_keep *keep_of(const struct memory_run *run)
{
    const struct memory_rows *versions = &run->dag->versions;
    return &((const struct memory_version *)versions->items[versions->count - 1])->keep;
}

/* Whether the DAG has as many later ended runs as it wants to keep. */
static bool is_beyond(const struct store_memory *store, const struct memory_run *run)
{
    uint32_t later = 0, wanted = keep_of(run)->runs;
    for (size_t i = store_memory_lower(&store->runs, &run->run.id) + 1; i < store->runs.count && later < wanted; i++) {
        const struct memory_run *other = store->runs.items[i];
        later += other->dag == run->dag && state_run_is_terminal(other->run.state);
    }
    return wanted && later == wanted;
}

static bool is_old(const struct memory_run *run, const struct store_keep *keep, int64_t now_ms)
{
    int64_t own_ms = keep_of(run)->age_ms, age_ms = own_ms ? own_ms : keep->age_ms;
    return age_ms && age_ms < now_ms && run->run.completed_ms < now_ms - age_ms;
}

static const struct memory_letter *oldest_letter(const struct store_memory *store, bool pending)
{
    for (size_t i = 0; i < store->letters.count; i++) {
        const struct memory_letter *letter = store->letters.items[i];
        if ((letter->row.resolution == RESOLUTION_PENDING) == pending)
            return letter;
    }
    return NULL;
}

static void take_letters(struct store_memory *store, int64_t now_ms)
{
    struct store_keep *keep = &store->head.keep;
    int64_t old_ms = keep->letter_age_ms ? now_ms - keep->letter_age_ms : INT64_MIN;
    for (int pending = 0; pending < 2; pending++) {
        const struct memory_letter *oldest;
        while ((oldest = oldest_letter(store, pending)) &&
               ((keep->letters_max && (int64_t)store->letters.count > keep->letters_max) ||
                oldest->row.letter.created_ms < old_ms)) {
            size_t at = store_memory_lower(&store->letters, &oldest->row.letter.id);
            for (size_t i = at + 1; i < store->letters.count; i++)
                store->letters.items[i - 1] = store->letters.items[i];
            store->letters.count--;
            keep->letters++;
            keep->pending += (uint64_t)pending;
        }
    }
}

static void take_run(struct store_memory *store, struct memory_run *run)
{
    struct store_keep *keep = &store->head.keep;
    size_t kept = 0;
    for (size_t i = 0; i < store->letters.count; i++) {
        const struct memory_letter *letter = store->letters.items[i];
        if (!uuid_equal(letter->row.letter.run_id, run->run.id))
            store->letters.items[kept++] = store->letters.items[i];
    }
    keep->letters += store->letters.count - kept;
    store->letters.count = kept;
    keep->attempts += run->attempts.count;
    keep->runs++;
    store_memory_rows_free(&run->attempts);
    size_t at = store_memory_lower(&store->runs, &run->run.id);
    for (size_t i = at + 1; i < store->runs.count; i++)
        store->runs.items[i - 1] = store->runs.items[i];
    store->runs.count--;
    store->taken.items = mem_grow(store->taken.items, &store->taken.cap, store->taken.count + 1, sizeof(void *));
    store->taken.items[store->taken.count++] = run;
}

static bool waits(const struct store_memory *store, const struct record_fire *fire)
{
    const struct memory_run *run = store_memory_find(&store->runs, &fire->run_id);
    return fire->outcome == FIRE_QUEUED || (run && !state_run_is_terminal(run->run.state));
}

static void take_fires(struct store_memory *store, int64_t horizon_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < store->fires.count; i++) {
        const struct record_fire *fire = store->fires.items[i];
        if (fire->created_ms >= horizon_ms || waits(store, fire))
            store->fires.items[kept++] = store->fires.items[i];
    }
    store->head.keep.fires += store->fires.count - kept;
    store->fires.count = kept;
}

void store_memory_retain(struct store_memory *store, int64_t now_ms)
{
    const struct store_keep *keep = &store->head.keep;
    int64_t horizon_ms = keep->age_ms ? now_ms - keep->age_ms : INT64_MIN;
    size_t before = store->taken.count;
    uint64_t pending = keep->pending;
    take_letters(store, now_ms);
    for (size_t i = 0; i < store->runs.count;) {
        struct memory_run *run = store->runs.items[i];
        bool over = (keep->runs_max && (int64_t)count_ended(store) > keep->runs_max) ||
                    (keep->bytes_max && bytes_of(store) > keep->bytes_max);
        if (state_run_is_terminal(run->run.state) && (over || is_old(run, keep, now_ms) || is_beyond(store, run)) &&
            !is_needed(store, run))
            take_run(store, run);
        else
            i++;
    }
    if (keep->age_ms)
        take_fires(store, horizon_ms);
    if ((store->taken.count > before || keep->pending > pending) && keep->on_taken)
        keep->on_taken(keep->context);
}

int store_memory_taken(struct store *head, const struct uuid *done, size_t done_count, size_t max,
                       struct arena *arena, struct store_ids *ret_ids, struct error *err)
{
    struct store_memory *store = (struct store_memory *)head;
    int code = store_memory_enter(store, err);
    if (code)
        return code;
    size_t kept = 0;
    for (size_t i = 0; i < store->taken.count; i++) {
        const struct memory_run *run = store->taken.items[i];
        bool is_done = false;
        for (size_t k = 0; k < done_count && !is_done; k++)
            is_done = uuid_equal(done[k], run->run.id);
        if (!is_done)
            store->taken.items[kept++] = store->taken.items[i];
    }
    store->taken.count = kept;
    *ret_ids = (struct store_ids){.items = arena_array(arena, max, sizeof(struct uuid))};
    for (; ret_ids->count < max && ret_ids->count < kept; ret_ids->count++)
        ret_ids->items[ret_ids->count] = ((const struct memory_run *)store->taken.items[ret_ids->count])->run.id;
    store_memory_leave(store);
    return 0;
}
