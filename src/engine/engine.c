/* The engine as a whole: the open batch, effects held until their batch is durable, ids, counts. See engine.h. */
#include "engine/engine.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

struct engine *engine_new(const struct engine_options *options)
{
    struct engine *engine = mem_new(struct engine);
    engine->options = *options;
    engine->random[0] = options->seed;
    engine->ahead = mem_new_array(struct ahead, options->claim_ahead_max);
    engine->open = record_batch_new(1);
    engine->schedule_wall_ms = engine->schedule_boot_ms = INT64_MAX;
    return engine;
}

void engine_set_limits(struct engine *engine, uint32_t waiting_tasks_max, uint32_t active_runs_max)
{
    engine->options.waiting_tasks_max = waiting_tasks_max;
    engine->options.active_runs_max = active_runs_max;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    for (size_t i = 0; i < engine->command_count; i++)
        if (engine->commands[i].birth)
            engine_run_free(engine, engine->commands[i].birth);
    while (engine->first_run)
        engine_run_free(engine, engine->first_run);
    engine_schedules_free(engine);
    for (size_t i = 0; i < engine->held_count; i++) {
        dag_unref(engine->held[i].effect.dag);
        origin_unref(engine->held[i].effect.origin);
    }
    for (size_t i = 0; i < engine->released_count; i++) {
        dag_unref(engine->released[i].dag);
        origin_unref(engine->released[i].origin);
    }
    record_batch_free(engine->open);
    map_fini(&engine->runs);
    mem_free(engine->order);
    mem_free(engine->ahead);
    mem_free(engine->workers);
    mem_free(engine->guests);
    mem_free(engine->timers);
    mem_free(engine->commands);
    mem_free(engine->held);
    mem_free(engine->released);
    mem_free(engine);
}

/* SplitMix64 (Steele, Lea, Flood): every number of the engine comes from its one seed. */
uint64_t engine_random(struct engine *engine)
{
    uint64_t z = engine->random[0] += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Ids of one engine grow strictly: within a millisecond the 12 bits after the time count up (RFC 9562, 6.2). */
struct uuid engine_new_id(struct engine *engine, int64_t wall_ms)
{
    if (wall_ms > engine->last_id_ms) {
        engine->last_id_ms = wall_ms;
        engine->last_id_step = 0;
    } else if (++engine->last_id_step == 1u << 12) {
        engine->last_id_ms++;
        engine->last_id_step = 0;
    }
    uint64_t step = (engine->last_id_step >> 8) | (uint64_t)(engine->last_id_step & 0xff) << 8;
    const uint64_t random[2] = {step, engine_random(engine)};
    return uuid_make_v7(engine->last_id_ms, random);
}

struct engine_run *engine_find_run(const struct engine *engine, struct uuid id)
{
    return map_get(&engine->runs, id.bytes, sizeof id.bytes);
}

struct record *engine_record(struct engine *engine, enum record_kind kind, uint32_t group)
{
    return record_add(engine->open, kind, group);
}

const char *engine_keep_text(struct engine *engine, const char *text)
{
    return arena_strdup(&engine->open->arena, text);
}

const char *engine_keep_bytes(struct engine *engine, const char *bytes, size_t len)
{
    return arena_dup(&engine->open->arena, bytes, len);
}

bool engine_batch_is_empty(const struct engine *engine)
{
    return !engine->open->count && !engine->open->change_count;
}

bool engine_batch_is_urgent(const struct engine *engine)
{
    return engine->urgent || engine->slots_waiting;
}

uint32_t engine_batch_slots(const struct engine *engine)
{
    return engine->urgent ? 0 : engine->slots_waiting;
}

bool engine_batch_changes_schedules(const struct engine *engine)
{
    return record_batch_changes_schedules(engine->open);
}

uint64_t engine_batch_now(const struct engine *engine)
{
    return engine_batch_is_empty(engine) ? engine->open->number - 1 : engine->open->number;
}

struct batch *engine_take_batch(struct engine *engine)
{
    if (engine_batch_is_empty(engine))
        return NULL;
    struct batch *batch = engine->open;
    engine->open = record_batch_new(batch->number + 1);
    engine->urgent = false;
    engine->slots_waiting = 0;
    return batch;
}

void engine_effect(struct engine *engine, const struct effect *effect, uint64_t batch)
{
    engine->held = mem_grow(engine->held, &engine->held_cap, engine->held_count + 1, sizeof *engine->held);
    engine->held[engine->held_count++] = (struct held_effect){*effect, batch};
}

/* Order is kept among those that are released; an effect of a durable batch does not wait for an earlier one of an
 * open batch, since they never concern the same attempt in that order. */
size_t engine_take_effects(struct engine *engine, struct effect **ret_effects)
{
    size_t kept = 0;
    engine->released_count = 0;
    for (size_t i = 0; i < engine->held_count; i++) {
        if (engine->held[i].batch > engine->committed) {
            engine->held[kept++] = engine->held[i];
            continue;
        }
        engine->released = mem_grow(engine->released, &engine->released_cap, engine->released_count + 1,
                                    sizeof *engine->released);
        engine->released[engine->released_count++] = engine->held[i].effect;
    }
    engine->held_count = kept;
    *ret_effects = engine->released;
    size_t count = engine->released_count;
    engine->released_count = 0; /* the caller owns the references now */
    return count;
}

void engine_committed(struct engine *engine, const struct batch *batch, struct engine_now now)
{
    assert(batch->number == engine->committed + 1);
    engine->committed = batch->number;
    size_t done = 0;
    while (done < engine->command_count && engine->commands[done].batch <= batch->number)
        done++;
    if (!done)
        return;
    /* answering may add commands; take those that are done off first */
    struct waiting_command *ready = mem_dup(engine->commands, done * sizeof *ready);
    engine->command_count -= done;
    memmove(engine->commands, engine->commands + done, engine->command_count * sizeof *engine->commands);
    for (size_t i = 0; i < done; i++) {
        static const struct verdict accepted = {0};
        uint32_t group = ready[i].group;
        engine_command_committed(engine, &ready[i], group ? &batch->verdicts[group - 1] : &accepted, now);
    }
    mem_free(ready);
}

struct engine_counts engine_counts(const struct engine *engine)
{
    struct engine_counts counts = {
        .waiting_tasks = engine->waiting_tasks,
        .ready_tasks = engine->ready_tasks + engine->ahead_count,
        .running_attempts = engine->running_attempts,
        .sent_attempts = engine->sent,
        .active_runs = engine->births + (uint32_t)engine->runs.count,
    };
    for (size_t i = 0; i < engine->worker_count; i++)
        counts.workers += engine->workers[i].up && !engine->workers[i].elsewhere;
    return counts;
}
