#include "support/check.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "state/record.h"

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

/* Encodes, looks at the size, decodes, compares; then every damaged form must be refused or say something else. */
static void round_trip(const uint8_t *values, uint32_t count, size_t len_max)
{
    struct arena arena = {0};
    const uint8_t *bytes;
    size_t len;
    uint8_t *back = mem_alloc(count + 1);
    record_runs_encode(values, count, &arena, &bytes, &len);
    assert_true(len <= len_max);
    memset(back, 0xee, count + 1);
    assert_true(record_runs_decode(bytes, len, back, count));
    if (count)
        assert_memory_equal(back, values, count);
    assert_int_equal(back[count], 0xee);
    assert_false(record_runs_decode(bytes, len, back, count + 1));
    if (count)
        assert_false(record_runs_decode(bytes, len, back, count - 1));
    for (size_t cut = 0; cut < len && cut < 64; cut++)
        assert_false(record_runs_decode(bytes, cut, back, count));
    mem_free(back);
    arena_fini(&arena);
}

/* Lengths around every step of the encoding's width: 3 bits, then 7 more each. */
static void test_lengths(void **state)
{
    (void)state;
    static const uint32_t steps[] = {1u << 3, 1u << 10, 1u << 17, 1000000};
    uint8_t *values = mem_alloc(1000002);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        for (uint32_t count = steps[i] - 2; count <= steps[i] + 1; count++) {
            for (uint8_t value = 0; value < 16; value += 5) {
                memset(values, value, count);
                round_trip(values, count, 5); /* a million equal tasks are a few bytes */
            }
        }
    }
    round_trip(values, 0, 0);
    mem_free(values);
}

static void test_random_values(void **state)
{
    (void)state;
    enum { ROUNDS = 2000, COUNT_MAX = 3000 };
    uint8_t values[COUNT_MAX];
    seed = 20261124;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t count = (uint32_t)draw(round % 10 ? 60 : COUNT_MAX) + 1;
        uint64_t stretch = draw(40) + 1;
        uint8_t value = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (draw(stretch) == 0)
                value = (uint8_t)draw(16);
            values[i] = value;
        }
        round_trip(values, count, count);
    }
}

/* Any bytes: never a write outside, and true only when exactly `count` values are said. */
static void test_foreign_bytes(void **state)
{
    (void)state;
    uint8_t bytes[12], values[41];
    seed = 77;
    for (int round = 0; round < 200000; round++) {
        size_t len = draw(sizeof bytes + 1);
        uint32_t count = (uint32_t)draw(40);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)draw(round % 2 ? 256 : 24);
        values[count] = 0xee;
        if (record_runs_decode(bytes, len, values, count)) {
            struct arena arena = {0};
            const uint8_t *again;
            size_t again_len;
            record_runs_encode(values, count, &arena, &again, &again_len);
            assert_true(again_len <= len); /* ours is the shortest */
            arena_fini(&arena);
        }
        assert_int_equal(values[count], 0xee);
    }
    static const uint8_t endless[] = {0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    assert_false(record_runs_decode(endless, sizeof endless, values, 40));
    static const uint8_t huge[] = {0x0f, 0xff, 0xff, 0xff, 0xff, 0x7f};
    assert_false(record_runs_decode(huge, sizeof huge, values, 40));
}

static struct uuid id_of(const char *text)
{
    struct uuid id;
    assert_true(uuid_parse(text, &id));
    return id;
}

static void test_instance_ids(void **state)
{
    (void)state;
    static const char *const runs[] = {"018f0000-0001-7000-8000-000000000000", "018f0000-0001-7000-8000-0000ffffffff",
                                       "018f0000-0001-7000-8000-ffffffffffff", "018f0000-0001-7000-8000-0000fff0bdc0"};
    static const uint32_t tasks[] = {0, 1, 255, 256, 65535, 999999};
    for (size_t r = 0; r < sizeof runs / sizeof runs[0]; r++) {
        struct uuid run = id_of(runs[r]), low, high;
        for (size_t t = 0; t < sizeof tasks / sizeof tasks[0]; t++) {
            struct uuid instance = record_instance_id(run, tasks[t]);
            assert_false(uuid_equal(instance, run));
            assert_memory_equal(instance.bytes, run.bytes, 12);
            assert_int_equal(record_instance_task(run, instance), tasks[t]);
            record_instance_range(instance, &low, &high);
            assert_true(uuid_compare(low, run) <= 0 && uuid_compare(run, high) <= 0);
        }
    }
    struct uuid wrapped = record_instance_id(id_of(runs[1]), 0);
    assert_true(uuid_equal(wrapped, id_of(runs[0])));
}

static void test_batch(void **state)
{
    (void)state;
    static const char text[] = "name: a\ntasks:\n  - {id: t, type: shell, command: 'true'}\n";
    const struct dag_read_options options = {.tasks_max = 10, .bytes_max = 1000};
    struct dag_problems problems = {0};
    struct dag *dag = NULL;
    assert_int_equal(dag_read(text, strlen(text), &options, &problems, &dag), 0);
    dag_problems_fini(&problems);
    struct batch *batch = record_batch_new(7);
    assert_int_equal(batch->number, 7);
    for (uint32_t i = 1; i <= 100; i++) {
        assert_int_equal(record_add_group(batch), i);
        struct record *record = record_add(batch, i % 2 ? RECORD_DAG_UPDATE : RECORD_RUN_CREATE, i);
        if (i % 2)
            record->dag.dag = dag_ref(dag); /* the leak checker sees whether the batch drops them */
        else
            record->run.dag = dag_ref(dag);
        record_add_change(batch, (struct uuid){{1}}, i, TASK_SKIPPED, i % 3 == 0);
        assert_int_equal(batch->verdicts[i - 1].group, i);
    }
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(batch->records[i].group, i + 1);
        assert_int_equal(batch->changes[i].position, i + 1);
        assert_int_equal(batch->changes[i].task, i + 1);
        assert_int_equal(batch->changes[i].state, TASK_SKIPPED);
        assert_int_equal(batch->changes[i].kept, (i + 1) % 3 == 0);
    }
    record_batch_free(batch);
    record_batch_free(NULL);
    dag_unref(dag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths),      cmocka_unit_test(test_random_values),
        cmocka_unit_test(test_foreign_bytes), cmocka_unit_test(test_instance_ids),
        cmocka_unit_test(test_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
