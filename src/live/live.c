/* See live.h. A snapshot is one allocation: the run's fields, the counts and a pointer per page of chunks, so that one
 * of a million tasks costs 245 pointers. Pages, chunks and error texts are counted, since snapshots share them. The
 * table of newest snapshots has one lock, held for a look-up. */
#include "live/live.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "dag/dag.h"

struct text {
    atomic_uint refs;
    char bytes[];
};

/* What a task needs beyond live_task's fields that can be shared: only the error text is counted. */
struct slot {
    struct live_task task;      /* .error points into text */
    struct text *text;
};

/* The last chunk of a run, and its last page, are only as long as the run: most runs are small. */
struct chunk {
    atomic_uint refs;
    uint32_t count;
    struct slot slots[];
};

enum { PAGE_CHUNKS = 64, PAGE_TASKS = PAGE_CHUNKS * LIVE_CHUNK };

struct page {
    atomic_uint refs;
    uint32_t count;
    struct chunk *chunks[];     /* NULL: untouched */
};

struct live_run {
    atomic_uint refs;
    struct record_run run;
    struct text *request_id;
    struct text *error;         /* of a failed run, once it has ended */
    struct text *changes;
    uint32_t counts[TASK_STATE_COUNT];
    uint32_t page_count;
    struct page *pages[];       /* NULL: untouched */
};

struct live {
    pthread_mutex_t lock;
    struct map by_id;       /* newest snapshot of each active run; a reference each */
    struct map by_upper;    /* the same by the 12 bytes an instance id shares with its run */

    /* the engine's thread only: what the batch at hand changes */
    struct live_run **drafts;
    size_t draft_count, draft_cap;
    struct map drafts_by_id;
    struct live_run **ended; /* with that batch, for live_get_ended */
    size_t ended_count, ended_cap;
};

static struct text *text_new(const char *bytes)
{
    if (!bytes)
        return NULL;
    size_t len = strlen(bytes) + 1;
    struct text *text = mem_alloc(sizeof *text + len);
    atomic_init(&text->refs, 1);
    memcpy(text->bytes, bytes, len);
    return text;
}

static struct text *text_ref(struct text *text)
{
    if (text)
        (void)atomic_fetch_add(&text->refs, 1);
    return text;
}

static void text_unref(struct text *text)
{
    if (text && atomic_fetch_sub(&text->refs, 1) == 1)
        mem_free(text);
}

static void chunk_unref(struct chunk *chunk)
{
    if (!chunk || atomic_fetch_sub(&chunk->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < chunk->count; i++)
        text_unref(chunk->slots[i].text);
    mem_free(chunk);
}

static void page_unref(struct page *page)
{
    if (!page || atomic_fetch_sub(&page->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < page->count; i++)
        chunk_unref(page->chunks[i]);
    mem_free(page);
}

static struct live_run *run_alloc(uint32_t page_count)
{
    struct live_run *run = mem_zalloc(sizeof *run + page_count * sizeof(struct page *));
    atomic_init(&run->refs, 1);
    run->page_count = page_count;
    return run;
}

static struct live_run *run_copy(const struct live_run *old)
{
    struct live_run *run = run_alloc(old->page_count);
    run->run = old->run;
    (void)dag_ref(run->run.dag);
    run->request_id = text_ref(old->request_id);
    run->changes = text_ref(old->changes);
    run->error = text_ref(old->error);
    memcpy(run->counts, old->counts, sizeof run->counts);
    memcpy(run->pages, old->pages, old->page_count * sizeof(struct page *));
    for (uint32_t i = 0; i < run->page_count; i++)
        if (run->pages[i])
            (void)atomic_fetch_add(&run->pages[i]->refs, 1);
    return run;
}

void live_unref(struct live_run *run)
{
    if (!run || atomic_fetch_sub(&run->refs, 1) != 1)
        return;
    for (uint32_t i = 0; i < run->page_count; i++)
        page_unref(run->pages[i]);
    text_unref(run->request_id);
    text_unref(run->error);
    text_unref(run->changes);
    dag_unref(run->run.dag);
    mem_free(run);
}

struct live *live_new(void)
{
    struct live *live = mem_new(struct live);
    int rc = pthread_mutex_init(&live->lock, NULL);
    assert(rc == 0);
    (void)rc;
    return live;
}

void live_free(struct live *live)
{
    if (!live)
        return;
    size_t cursor = 0;
    for (struct map_slot *slot; (slot = map_next(&live->by_id, &cursor));)
        live_unref(slot->value);
    map_fini(&live->by_id);
    map_fini(&live->by_upper);
    live_drop_ended(live);
    mem_free(live->ended);
    mem_free(live->drafts);
    map_fini(&live->drafts_by_id);
    (void)pthread_mutex_destroy(&live->lock);
    mem_free(live);
}

enum { UPPER_LEN = 12 };

/* Puts `next` in the place of what was published of its run. Called with the lock held. */
static void publish(struct live *live, struct live_run *next)
{
    const char *key = (const char *)next->run.id.bytes;
    struct live_run *before = map_set(&live->by_id, key, sizeof next->run.id.bytes, next);
    (void)map_set(&live->by_upper, key, UPPER_LEN, next);
    live_unref(before);
}

static void withdraw(struct live *live, struct live_run *run)
{
    struct live_run *before = map_remove(&live->by_id, run->run.id.bytes, sizeof run->run.id.bytes);
    (void)map_remove(&live->by_upper, run->run.id.bytes, UPPER_LEN);
    live_unref(before);
}

static void add_draft(struct live *live, struct live_run *run)
{
    live->drafts = mem_grow(live->drafts, &live->draft_cap, live->draft_count + 1, sizeof(struct live_run *));
    live->drafts[live->draft_count++] = run;
    (void)map_set(&live->drafts_by_id, run->run.id.bytes, sizeof run->run.id.bytes, run);
}

/* The snapshot being made of a run, or NULL when the run is not active. */
static struct live_run *draft_of(struct live *live, struct uuid id)
{
    if (live->draft_count && uuid_equal(live->drafts[live->draft_count - 1]->run.id, id))
        return live->drafts[live->draft_count - 1];
    struct live_run *draft = map_get(&live->drafts_by_id, id.bytes, sizeof id.bytes);
    struct live_run *now = draft ? NULL : map_get(&live->by_id, id.bytes, sizeof id.bytes);
    if (now) {
        draft = run_copy(now);
        add_draft(live, draft);
    }
    return draft;
}

static const struct live_task untouched = {.state = TASK_PENDING, .exit_code = -1};

static uint32_t at_most(uint32_t count, uint32_t max)
{
    return count < max ? count : max;
}

/* The page of a task, which only the draft has. */
static struct page *draft_page(struct live_run *run, uint32_t task)
{
    struct page **place = &run->pages[task / PAGE_TASKS], *old = *place;
    if (old && atomic_load(&old->refs) == 1)
        return old;
    uint32_t chunks = (run->run.task_count + LIVE_CHUNK - 1) / LIVE_CHUNK;
    uint32_t count = at_most(chunks - task / PAGE_TASKS * PAGE_CHUNKS, PAGE_CHUNKS);
    struct page *page = mem_zalloc(sizeof *page + count * sizeof page->chunks[0]);
    atomic_init(&page->refs, 1);
    page->count = count;
    for (uint32_t i = 0; old && i < count; i++) {
        page->chunks[i] = old->chunks[i];
        if (page->chunks[i])
            (void)atomic_fetch_add(&page->chunks[i]->refs, 1);
    }
    page_unref(old);
    *place = page;
    return page;
}

/* The slot of a task, which only the draft has. */
static struct slot *draft_slot(struct live_run *run, uint32_t task)
{
    struct chunk **place = &draft_page(run, task)->chunks[task / LIVE_CHUNK % PAGE_CHUNKS], *old = *place;
    if (old && atomic_load(&old->refs) == 1)
        return &old->slots[task % LIVE_CHUNK];
    uint32_t count = at_most(run->run.task_count - task / LIVE_CHUNK * LIVE_CHUNK, LIVE_CHUNK);
    struct chunk *chunk = mem_alloc(sizeof *chunk + count * sizeof chunk->slots[0]);
    atomic_init(&chunk->refs, 1);
    chunk->count = count;
    for (uint32_t i = 0; i < count; i++) {
        chunk->slots[i] = old ? old->slots[i] : (struct slot){.task = untouched};
        if (chunk->slots[i].text)
            (void)atomic_fetch_add(&chunk->slots[i].text->refs, 1);
    }
    chunk_unref(old);
    *place = chunk;
    return &chunk->slots[task % LIVE_CHUNK];
}

static struct live_task *draft_task(struct live_run *run, uint32_t task, struct text ***ret_text)
{
    struct slot *slot = draft_slot(run, task);
    if (ret_text)
        *ret_text = &slot->text;
    return &slot->task;
}

static void put_state(struct live_run *run, struct live_task *task, enum task_state to, int64_t now_ms)
{
    if (task->state == to)
        return;
    run->counts[task->state]--;
    run->counts[to]++;
    task->state = to; /* tidy: a copy of what the engine decided, not a move */
    task->since_ms = now_ms;
    if (state_task_is_terminal(to) && !task->completed_ms)
        task->completed_ms = now_ms;
}

static struct live_run *make_run(const struct record_run *row)
{
    struct live_run *run = run_alloc((row->task_count + PAGE_TASKS - 1) / PAGE_TASKS);
    run->run = *row;
    (void)dag_ref(row->dag);
    run->request_id = text_new(row->request_id);
    run->run.request_id = run->request_id ? run->request_id->bytes : NULL;
    run->changes = text_new(row->changes);
    run->run.changes = run->changes ? run->changes->bytes : NULL;
    run->run.error = NULL;
    run->run.trace = NULL; /* nobody asks for it here */
    run->run.outcomes = NULL;
    run->run.outcomes_len = 0;
    run->counts[TASK_PENDING] = row->task_count;
    if (!row->outcomes_len)
        return run;
    uint8_t *plan = mem_zalloc(row->task_count);
    bool fits = record_runs_decode(row->outcomes, row->outcomes_len, plan, row->task_count);
    assert(fits);
    (void)fits;
    for (uint32_t i = 0; i < row->task_count; i++) {
        if (!plan[i])
            continue;
        struct live_task *task = draft_task(run, i, NULL);
        put_state(run, task, plan[i] == RECORD_KEPT ? TASK_SUCCEEDED : TASK_SKIPPED, row->created_ms);
        task->kept = plan[i] == RECORD_KEPT;
    }
    mem_free(plan);
    return run;
}

static void apply_attempt(struct live_run *run, const struct record *record, int64_t now_ms)
{
    const struct record_attempt *row = &record->attempt;
    struct text **text;
    struct live_task *task = draft_task(run, row->task, &text);
    if (record->kind == RECORD_ATTEMPT_WITHDRAW) {
        task->attempt = row->number - 1;
        task->worker = (struct uuid){{0}};
        task->claimed_ms = task->started_ms = 0;
        return;
    }
    task->attempt = row->number;
    task->worker = row->worker;
    task->claimed_ms = row->claimed_ms;
    task->started_ms = row->started_ms;
    task->completed_ms = row->ended_ms;
    task->next_attempt_ms = row->retry_ms;
    task->cpu_us = row->cpu_us;
    task->max_rss_bytes = row->max_rss_bytes;
    task->log_bytes = row->log_bytes;
    task->error_type = row->error_type;
    task->exit_code = row->exit_code;
    task->signal = row->signal;
    task->http_status = row->http_status;
    text_unref(*text);
    *text = text_new(row->error);
    task->error = *text ? (*text)->bytes : NULL;
    if (record->kind == RECORD_ATTEMPT_END)
        put_state(run, task, row->task_state, now_ms);
    else if (!uuid_is_zero(row->worker))
        put_state(run, task, TASK_RUNNING, now_ms);
}

static void apply_change(struct live *live, const struct record_change *change, int64_t now_ms)
{
    struct live_run *run = draft_of(live, change->run_id);
    if (!run)
        return;
    struct live_task *task = draft_task(run, change->task, NULL);
    put_state(run, task, (enum task_state)change->state, now_ms);
    if (change->state == TASK_QUEUED)
        task->next_attempt_ms = 0;
}

static void apply_record(struct live *live, const struct record *record, int64_t now_ms)
{
    struct live_run *run;
    switch (record->kind) {
    case RECORD_RUN_CREATE:
        add_draft(live, make_run(&record->run));
        return;
    case RECORD_RUN_START:
        if ((run = draft_of(live, record->run.id))) {
            run->run.state = RUN_RUNNING;
            run->run.started_ms = record->run.started_ms;
        }
        return;
    case RECORD_RUN_CANCEL:
        if ((run = draft_of(live, record->run.id)))
            run->run.cancel_ms = record->run.cancel_ms;
        return;
    case RECORD_RUN_END:
        if ((run = draft_of(live, record->run.id))) {
            run->run.state = record->run.state;
            run->run.completed_ms = record->run.completed_ms;
            run->error = text_new(record->run.error);
            run->run.error = run->error ? run->error->bytes : NULL;
        }
        return;
    case RECORD_ATTEMPT_CLAIM:
    case RECORD_ATTEMPT_START:
    case RECORD_ATTEMPT_END:
    case RECORD_ATTEMPT_WITHDRAW:
        if ((run = draft_of(live, record->attempt.run_id)))
            apply_attempt(run, record, now_ms);
        return;
    default:
        return;
    }
}

static void publish_drafts(struct live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    for (size_t i = 0; i < live->draft_count; i++) {
        struct live_run *run = live->drafts[i];
        (void)map_remove(&live->drafts_by_id, run->run.id.bytes, sizeof run->run.id.bytes);
        if (state_run_is_terminal(run->run.state)) {
            withdraw(live, run);
            live->ended = mem_grow(live->ended, &live->ended_cap, live->ended_count + 1, sizeof(struct live_run *));
            live->ended[live->ended_count++] = run;
        } else {
            publish(live, run);
        }
    }
    (void)pthread_mutex_unlock(&live->lock);
    live->draft_count = 0;
}

void live_drop_ended(struct live *live)
{
    for (size_t i = 0; i < live->ended_count; i++)
        live_unref(live->ended[i]);
    live->ended_count = 0;
}

struct live_run *live_get_ended(struct live *live, struct uuid run_id)
{
    for (size_t i = 0; i < live->ended_count; i++)
        if (uuid_equal(live->ended[i]->run.id, run_id)) {
            (void)atomic_fetch_add(&live->ended[i]->refs, 1);
            return live->ended[i];
        }
    return NULL;
}

void live_apply(struct live *live, const struct batch *batch, int64_t now_ms)
{
    live_drop_ended(live);
    size_t change = 0;
    for (size_t i = 0; i <= batch->count; i++) {
        for (; change < batch->change_count && batch->changes[change].position <= i; change++)
            apply_change(live, &batch->changes[change], now_ms);
        if (i == batch->count)
            break;
        const struct record *record = &batch->records[i];
        if (!record->group || !batch->verdicts[record->group - 1].refused)
            apply_record(live, record, now_ms);
    }
    publish_drafts(live);
}

void live_restore(struct live *live, const struct record_run *row, const struct record_attempt *attempts, size_t count)
{
    struct live_run *run = make_run(row);
    for (size_t i = 0; i < count; i++) {
        struct record record = {.kind = RECORD_ATTEMPT_END, .attempt = attempts[i]};
        const struct record_attempt *last = &attempts[i];
        if (last->state == ATTEMPT_RUNNING)
            record.kind = RECORD_ATTEMPT_CLAIM;
        else if (last->retry_ms)
            record.attempt.task_state = TASK_PENDING;
        else
            record.attempt.task_state = last->state == ATTEMPT_SUCCEEDED  ? TASK_SUCCEEDED
                                        : last->state == ATTEMPT_CANCELED ? TASK_CANCELED
                                                                          : TASK_FAILED;
        apply_attempt(run, &record, last->ended_ms ? last->ended_ms : last->claimed_ms);
    }
    add_draft(live, run);
    publish_drafts(live);
}

void live_forget(struct live *live, struct uuid run_id)
{
    (void)pthread_mutex_lock(&live->lock);
    struct live_run *run = map_get(&live->by_id, run_id.bytes, sizeof run_id.bytes);
    if (run)
        withdraw(live, run);
    (void)pthread_mutex_unlock(&live->lock);
}

static struct live_run *get(struct live *live, const struct map *map, const void *key, size_t len)
{
    (void)pthread_mutex_lock(&live->lock);
    struct live_run *run = map_get(map, key, len);
    if (run)
        (void)atomic_fetch_add(&run->refs, 1);
    (void)pthread_mutex_unlock(&live->lock);
    return run;
}

struct live_run *live_get(struct live *live, struct uuid run_id)
{
    return get(live, &live->by_id, run_id.bytes, sizeof run_id.bytes);
}

struct live_run *live_get_by_instance(struct live *live, struct uuid instance_id)
{
    struct live_run *run = get(live, &live->by_upper, instance_id.bytes, UPPER_LEN);
    if (run && record_instance_task(run->run.id, instance_id) >= run->run.task_count) {
        live_unref(run);
        run = NULL;
    }
    return run;
}

uint32_t live_count(struct live *live)
{
    (void)pthread_mutex_lock(&live->lock);
    uint32_t count = (uint32_t)live->by_id.count;
    (void)pthread_mutex_unlock(&live->lock);
    return count;
}

size_t live_list_running(struct live *live, size_t max, struct live_run **ret_runs)
{
    size_t cursor = 0, count = 0;
    (void)pthread_mutex_lock(&live->lock);
    for (struct map_slot *slot; count < max && (slot = map_next(&live->by_id, &cursor));) {
        struct live_run *run = slot->value;
        if (!run->counts[TASK_RUNNING])
            continue;
        (void)atomic_fetch_add(&run->refs, 1);
        ret_runs[count++] = run;
    }
    (void)pthread_mutex_unlock(&live->lock);
    return count;
}

bool live_run_find(const struct live_run *run, enum task_state state, uint32_t *task)
{
    assert(state != TASK_PENDING);
    for (uint32_t at = *task; at < run->run.task_count;) {
        const struct page *page = run->pages[at / PAGE_TASKS];
        const struct chunk *chunk = page ? page->chunks[at / LIVE_CHUNK % PAGE_CHUNKS] : NULL;
        if (chunk && chunk->slots[at % LIVE_CHUNK].task.state == state) {
            *task = at;
            return true;
        }
        at = !page ? (at / PAGE_TASKS + 1) * PAGE_TASKS : !chunk ? (at / LIVE_CHUNK + 1) * LIVE_CHUNK : at + 1;
    }
    return false;
}

const struct record_run *live_run_record(const struct live_run *run)
{
    return &run->run;
}

struct dag *live_run_dag(const struct live_run *run)
{
    return run->run.dag;
}

void live_run_task(const struct live_run *run, uint32_t task, struct live_task *ret_task)
{
    assert(task < run->run.task_count);
    const struct page *page = run->pages[task / PAGE_TASKS];
    const struct chunk *chunk = page ? page->chunks[task / LIVE_CHUNK % PAGE_CHUNKS] : NULL;
    *ret_task = chunk ? chunk->slots[task % LIVE_CHUNK].task : untouched;
}

const uint32_t *live_run_counts(const struct live_run *run)
{
    return run->counts;
}
