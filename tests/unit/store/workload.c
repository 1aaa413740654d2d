#include "store/workload.h"

#include <string.h>

#include "base/limits.h"
#include "dag/dag.h"

enum { NO_RUN = 1000, NO_DAG = 1000, BIRTHS_MAX = 32 };

uint64_t workload_draw(struct workload *workload, uint64_t below)
{
    workload->seed ^= workload->seed << 13;
    workload->seed ^= workload->seed >> 7;
    workload->seed ^= workload->seed << 17;
    return workload->seed % below;
}

static bool chance(struct workload *workload, uint64_t percent)
{
    return workload_draw(workload, 100) < percent;
}

static void expect(struct workload *workload, uint32_t group, size_t run, struct uuid dag, size_t updated)
{
    assert_true(workload->birth_count < BIRTHS_MAX);
    workload->births[workload->birth_count].group = group;
    workload->births[workload->birth_count].run = run;
    workload->births[workload->birth_count].dag = dag;
    workload->births[workload->birth_count++].updated = updated;
}

/* ---- the catalog ---- */

static void change_catalog(struct workload *workload, struct batch *batch)
{
    static const char *const names[] = {"a", "b", "load", "Load", "load_2", "100%", "caf\xc3\xa9", "it's", "z", "y"};
    struct suite *suite = workload->suite;
    size_t place = workload->dag_count ? workload_draw(workload, workload->dag_count) : 0;
    uint32_t group = record_add_group(batch);
    if (!workload->dag_count || chance(workload, 40)) {
        struct uuid id = suite_id(suite);
        struct record *record = put_dag(suite, batch, RECORD_DAG_CREATE, group, id);
        record->dag.name = names[workload_draw(workload, 10)];
        record->dag.paused = chance(workload, 20);
        expect(workload, group, NO_RUN, id, NO_DAG);
        return;
    }
    struct uuid id = workload->dags[place];
    switch (workload_draw(workload, 3)) {
    case 0: {
        struct record *record = put_dag(suite, batch, RECORD_DAG_UPDATE, group, id);
        record->dag.if_version = chance(workload, 50) ? 0 : (uint32_t)workload_draw(workload, 4);
        record->dag.source = "v2\n";
        record->dag.source_len = 3;
        expect(workload, group, NO_RUN, id, place);
        return;
    }
    case 1:
        put_dag(suite, batch, RECORD_DAG_PAUSE, group, id)->dag.paused = chance(workload, 50);
        return;
    default:
        (void)put_dag(suite, batch, RECORD_DAG_DELETE, group, id);
    }
}

/* ---- runs ---- */

static void begin_run(struct workload *workload, struct batch *batch)
{
    static const char *const keys[] = {"k1", "k2", "k3", "k4"};
    struct suite *suite = workload->suite;
    if (!workload->dag_count || workload->run_count + workload->birth_count >= WORKLOAD_RUNS_MAX)
        return;
    size_t place = workload_draw(workload, workload->dag_count), birth = workload->birth_count;
    uint32_t group = record_add_group(batch);
    struct workload_run *run = &workload->born[birth];
    *run = (struct workload_run){.id = suite_id(suite), .dag = workload->dags[place]};
    if (chance(workload, 30))
        (void)put_key(suite, batch, group, keys[workload_draw(workload, 4)], workload_draw(workload, 2), run->dag,
                      run->id);
    if (workload->letter_count && chance(workload, 20))
        (void)put_resolve(suite, batch, group, workload->letters[workload_draw(workload, workload->letter_count)],
                          chance(workload, 50) ? RESOLUTION_RETRIED : RESOLUTION_SKIPPED, run->id);
    struct record_run *row = &put_run(suite, batch, group, run->id, run->dag)->run;
    row->dag_version = (uint32_t)workload_draw(workload, workload->versions[place]) + 1;
    row->trigger = (enum trigger)workload_draw(workload, TRIGGER_COUNT);
    row->request_id = chance(workload, 50) ? "req" : NULL;
    row->changes = chance(workload, 20) ? "{}" : NULL;
    row->trace = chance(workload, 50) ? "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" : NULL;
    if (workload->run_count && chance(workload, 30)) {
        static const uint8_t plan[SUITE_TASKS] = {RECORD_KEPT, RECORD_KEPT, 0, 0, RECORD_SKIP};
        run->source = workload->runs[workload_draw(workload, workload->run_count)].id;
        row->source = run->source;
        row->resolves_source = true;
        record_runs_encode(plan, SUITE_TASKS, &batch->arena, &row->outcomes, &row->outcomes_len);
    }
    expect(workload, group, birth, run->dag, NO_DAG);
}

static void end_run(struct workload *workload, struct batch *batch, struct workload_run *run)
{
    for (int i = 0; i < SUITE_TASKS; i++)
        if (run->tasks[i].running)
            return;
    enum run_state state = (enum run_state)(RUN_SUCCEEDED + workload_draw(workload, 3));
    struct record_run *row = &put_run_end(workload->suite, batch, run->id, run->dag, state)->run;
    row->error = state == RUN_FAILED ? "task 't' failed" : NULL;
    row->source = run->source;
    row->resolves_source = state == RUN_SUCCEEDED && !uuid_is_zero(run->source);
    run->ended = true;
}

static void write_letter(struct workload *workload, struct batch *batch, const struct workload_run *run, uint32_t task)
{
    if (workload->letter_count == WORKLOAD_LETTERS_MAX)
        return;
    struct uuid id = suite_id(workload->suite);
    struct record_letter *row = &put_letter(workload->suite, batch, id, run->id, run->dag, task)->letter;
    row->error_type = (enum error_type)(1 + workload_draw(workload, FAILURE_COUNT - 1));
    workload->letters[workload->letter_count++] = id;
}

static void move_task(struct workload *workload, struct batch *batch, struct workload_run *run, uint32_t index)
{
    struct workload_task *task = &run->tasks[index];
    struct suite *suite = workload->suite;
    if (task->done)
        return;
    if (!task->running) {
        struct record_attempt *row = &put_claim(suite, batch, run->id, index, ++task->number)->attempt;
        row->worker = chance(workload, 50) ? suite_id(suite) : (struct uuid){{0}};
        task->claim = *row;
        task->running = true;
        return;
    }
    task->running = false;
    if (chance(workload, 15)) {
        record_add(batch, RECORD_ATTEMPT_WITHDRAW, 0)->attempt = task->claim;
        task->number--;
        return;
    }
    enum attempt_state state = (enum attempt_state)(1 + workload_draw(workload, ATTEMPT_STATE_COUNT - 1));
    bool again = state != ATTEMPT_SUCCEEDED && chance(workload, 40);
    struct record_attempt *row = &put_end(suite, batch, &task->claim, state)->attempt;
    row->error = state == ATTEMPT_SUCCEEDED ? NULL : "exit status 1";
    row->retry_ms = again ? suite->now_ms + 10 : 0;
    row->log_bytes = (int64_t)workload_draw(workload, 100000);
    row->cpu_us = (int64_t)workload_draw(workload, UINT64_C(1) << 40);
    task->done = !again;
    if (state == ATTEMPT_FAILED && task->done)
        write_letter(workload, batch, run, index);
}

static void move_run(struct workload *workload, struct batch *batch)
{
    if (!workload->run_count)
        return;
    struct workload_run *run = &workload->runs[workload_draw(workload, workload->run_count)];
    struct suite *suite = workload->suite;
    if (run->ended)
        return;
    if (chance(workload, 8)) {
        end_run(workload, batch, run);
    } else if (!run->started) {
        record_add(batch, RECORD_RUN_START, 0)->run = (struct record_run){.id = run->id, .started_ms = suite->now_ms};
        run->started = true;
    } else if (chance(workload, 10)) {
        record_add(batch, RECORD_RUN_CANCEL, 0)->run = (struct record_run){.id = run->id, .cancel_ms = suite->now_ms};
    } else {
        move_task(workload, batch, run, (uint32_t)workload_draw(workload, SUITE_TASKS));
    }
}

static void resolve_letter(struct workload *workload, struct batch *batch)
{
    if (!workload->letter_count)
        return;
    struct uuid id = workload->letters[workload_draw(workload, workload->letter_count)];
    struct record_letter_resolve *row = &put_resolve(workload->suite, batch, record_add_group(batch), id,
                                                     RESOLUTION_RESOLVED, (struct uuid){{0}})->letter_resolve;
    row->by = chance(workload, 50) ? "ann" : NULL;
    row->notes = chance(workload, 50) ? "by hand" : NULL;
}

struct batch *workload_next(struct workload *workload)
{
    struct batch *batch = suite_batch(workload->suite);
    workload->birth_count = 0;
    workload->suite->now_ms += chance(workload, 2) ? LIMIT_IDEMPOTENCY_MS / 2 : 1000;
    for (uint64_t n = workload_draw(workload, 14); n; n--) {
        uint64_t what = workload_draw(workload, 100);
        if (what < 6)
            change_catalog(workload, batch);
        else if (what < 18)
            begin_run(workload, batch);
        else if (what < 21)
            resolve_letter(workload, batch);
        else
            move_run(workload, batch);
    }
    return batch;
}

void workload_take(struct workload *workload, const struct batch *batch)
{
    for (size_t i = 0; i < workload->birth_count; i++) {
        const struct verdict *verdict = &batch->verdicts[workload->births[i].group - 1];
        if (verdict->refused)
            continue;
        if (workload->births[i].run != NO_RUN) {
            workload->runs[workload->run_count++] = workload->born[workload->births[i].run];
        } else if (workload->births[i].updated != NO_DAG) {
            workload->versions[workload->births[i].updated] = verdict->version;
        } else if (workload->dag_count < WORKLOAD_DAGS_MAX) {
            workload->dags[workload->dag_count] = workload->births[i].dag;
            workload->versions[workload->dag_count++] = 1;
        }
    }
}
