#include "state/record.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"

struct batch *record_batch_new(uint64_t number)
{
    struct batch *batch = mem_new(struct batch);
    batch->number = number;
    return batch;
}

void record_batch_free(struct batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->count; i++) {
        const struct record *record = &batch->records[i];
        if (record->kind <= RECORD_DAG_PAUSE)
            dag_unref(record->dag.dag);
        else if (record->kind == RECORD_RUN_CREATE)
            dag_unref(record->run.dag);
    }
    mem_free(batch->records);
    mem_free(batch->changes);
    mem_free(batch->verdicts);
    arena_fini(&batch->arena);
    mem_free(batch);
}

bool record_fire_is_paused(const struct record_fire *fire)
{
    return fire->trigger == TRIGGER_SCHEDULE && fire->reason != FIRE_PAUSED;
}

bool record_batch_changes_schedules(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count && batch->group_count; i++)
        if (batch->records[i].kind <= RECORD_FIRE_RELEASE)
            return true;
    return false;
}

struct record *record_add(struct batch *batch, enum record_kind kind, uint32_t group)
{
    assert(group <= batch->group_count);
    batch->records = mem_grow(batch->records, &batch->cap, batch->count + 1, sizeof *batch->records);
    struct record *record = &batch->records[batch->count++];
    memset(record, 0, sizeof *record);
    record->kind = kind;
    record->group = group;
    return record;
}

void record_add_change(struct batch *batch, struct uuid run_id, uint32_t task, enum task_state state, bool kept)
{
    batch->changes =
        mem_grow(batch->changes, &batch->change_cap, batch->change_count + 1, sizeof *batch->changes);
    batch->changes[batch->change_count++] =
        (struct record_change){run_id, task, (uint32_t)batch->count, (uint8_t)state, kept};
}

uint32_t record_add_group(struct batch *batch)
{
    batch->verdicts = mem_realloc_array(batch->verdicts, batch->group_count + 1, sizeof *batch->verdicts);
    batch->verdicts[batch->group_count] = (struct verdict){.group = batch->group_count + 1};
    return ++batch->group_count;
}

/* first byte: value in the high half, the length's low 3 bits, bit 3 set when more follow; then 7 bits a byte */
static size_t put_run(uint8_t *out, uint8_t value, uint32_t length)
{
    size_t n = 0;
    uint32_t rest = length >> 3;
    out[n++] = (uint8_t)((uint32_t)value << 4 | (rest ? 8u : 0u) | (length & 7u));
    while (rest) {
        uint32_t low = rest & 0x7f;
        rest >>= 7;
        out[n++] = (uint8_t)(low | (rest ? 0x80u : 0u));
    }
    return n;
}

void record_runs_encode(const uint8_t *values, uint32_t count, struct arena *arena, const uint8_t **ret_bytes,
                        size_t *ret_len)
{
    size_t runs = count ? 1 : 0;
    for (uint32_t i = 1; i < count; i++)
        runs += values[i] != values[i - 1];
    uint8_t *out = arena_alloc(arena, runs * 6 + 1);
    size_t len = 0;
    for (uint32_t start = 0, i = 1; start < count; i++) {
        if (i == count || values[i] != values[start]) {
            assert(values[start] < 16);
            len += put_run(out + len, values[start], i - start);
            start = i;
        }
    }
    *ret_bytes = out;
    *ret_len = len;
}

bool record_runs_decode(const uint8_t *bytes, size_t len, uint8_t *values, uint32_t count)
{
    uint32_t done = 0;
    for (size_t i = 0; i < len;) {
        uint8_t first = bytes[i++];
        uint64_t length = first & 7;
        bool more = (first & 8) != 0;
        for (unsigned shift = 3; more; shift += 7) {
            if (i == len || shift > 31)
                return false;
            length |= (uint64_t)(bytes[i] & 0x7f) << shift;
            more = (bytes[i++] & 0x80) != 0;
        }
        if (length > count - done)
            return false;
        memset(values + done, first >> 4, (size_t)length);
        done += (uint32_t)length;
    }
    return done == count;
}

static uint32_t low_bits(struct uuid id)
{
    const uint8_t *b = id.bytes + 12;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static struct uuid with_low_bits(struct uuid id, uint32_t low)
{
    for (int i = 0; i < 4; i++)
        id.bytes[12 + i] = (uint8_t)(low >> (24 - 8 * i));
    return id;
}

struct uuid record_instance_id(struct uuid run_id, uint32_t task)
{
    return with_low_bits(run_id, low_bits(run_id) + task + 1);
}

uint32_t record_instance_task(struct uuid run_id, struct uuid instance_id)
{
    return low_bits(instance_id) - low_bits(run_id) - 1;
}

void record_instance_range(struct uuid instance_id, struct uuid *ret_low, struct uuid *ret_high)
{
    *ret_low = with_low_bits(instance_id, 0);
    *ret_high = with_low_bits(instance_id, UINT32_MAX);
}
