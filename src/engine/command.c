/* Commands: each becomes records in the open batch and is answered when they are durable. Those the store may refuse
 * stand in a group of their own; a run is born only when its group was accepted, so nothing ever has to be undone. */
#include "engine/command.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "engine/model.h"

static void answer(struct command *command, const struct command_result *result)
{
    dag_unref(command->dag);
    command->dag = NULL;
    command->done(command, result);
}

static void refuse(struct command *command, enum error_code code, const char *text)
{
    struct command_result result = {.run_id = command->run_id, .dag_id = command->dag_id};
    (void)error_set(&result.error, code, "%s", text);
    answer(command, &result);
}

struct waiting_command *engine_wait_for_batch(struct engine *engine, struct command *command, uint32_t group)
{
    engine->commands =
        mem_grow(engine->commands, &engine->command_cap, engine->command_count + 1, sizeof *engine->commands);
    struct waiting_command *waiting = &engine->commands[engine->command_count++];
    *waiting = (struct waiting_command){
        .command = command,
        .batch = engine_batch_now(engine),
        .group = group,
    };
    if (command) {
        waiting->result.run_id = command->run_id;
        waiting->result.dag_id = command->dag_id;
    }
    engine->urgent = true;
    return waiting;
}

/* Once all that is recorded until now has its verdict. */
static void try_again_later(struct engine *engine, struct command *command)
{
    struct waiting_command *waiting = engine_wait_for_batch(engine, command, 0);
    waiting->again = true;
    waiting->batch = engine_batch_now(engine);
}

static void change_catalog(struct engine *engine, struct command *command, enum record_kind kind,
                           struct engine_now now)
{
    enum schedule_stand stand = engine_schedule_before(engine, command, now);
    if (stand == SCHEDULE_PENDING) {
        try_again_later(engine, command);
        return;
    }
    if (stand == SCHEDULE_UNDECIDED) {
        refuse(command, engine->draining ? ERROR_STOPPING : engine->holding ? ERROR_STORE_FULL : ERROR_FULL,
               "what the schedule was due to do is not decided yet; try again shortly");
        return;
    }
    uint32_t group = record_add_group(engine->open);
    struct record_dag *row = &engine_record(engine, kind, group)->dag;
    row->id = kind == RECORD_DAG_CREATE ? engine_new_id(engine, now.wall_ms) : command->dag_id;
    row->name = command->name;
    row->version = kind == RECORD_DAG_CREATE ? 1 : command->if_version + 1;
    row->if_version = command->if_version;
    row->source = command->source;
    row->source_len = command->source_len;
    row->dag = command->dag ? dag_ref(command->dag) : NULL;
    row->time_ms = now.wall_ms;
    row->paused = command->paused;
    struct waiting_command *waiting = engine_wait_for_batch(engine, command, group);
    waiting->time_ms = now.wall_ms;
    waiting->result.dag_id = row->id;
    waiting->result.dag_version = row->version;
}

bool engine_has_room(const struct engine *engine, const struct dag *dag, struct error *ret_why)
{
    if (engine->draining)
        (void)error_set(ret_why, ERROR_STOPPING, "the daemon is stopping; try again shortly");
    else if (engine->waiting_tasks + dag->task_count > engine->options.waiting_tasks_max)
        (void)error_set(ret_why, ERROR_FULL, "full: %llu tasks wait and the limit is %u; try again later",
                        (unsigned long long)engine->waiting_tasks, engine->options.waiting_tasks_max);
    else if (engine->births + engine->runs.count >= engine->options.active_runs_max)
        (void)error_set(ret_why, ERROR_FULL, "full: %u runs are active, which is the limit; try again later",
                        engine->options.active_runs_max);
    else
        return true;
    return false;
}

static void record_key(struct engine *engine, const struct command *command, const struct engine_run *run,
                       uint32_t group)
{
    if (!command->idempotency_key)
        return;
    struct record_idempotency *row = &engine_record(engine, RECORD_IDEMPOTENCY, group)->idempotency;
    row->key = engine_keep_text(engine, command->idempotency_key);
    row->dag_id = command->dag_id;
    row->principal = engine_keep_text(engine, command->principal ? command->principal : "");
    row->digest = command->digest;
    row->run_id = run->id;
    row->created_ms = run->created_ms;
}

static void record_resolution(struct engine *engine, const struct command *command, const struct engine_run *run,
                              uint32_t group, struct engine_now now)
{
    static const enum resolution resolutions[COMMAND_KIND_COUNT] = {
        [COMMAND_LETTER_RETRY] = RESOLUTION_RETRIED,
        [COMMAND_LETTER_SKIP] = RESOLUTION_SKIPPED,
        [COMMAND_LETTER_RESOLVE] = RESOLUTION_RESOLVED,
    };
    if (resolutions[command->kind] == RESOLUTION_PENDING)
        return;
    struct record_letter_resolve *row = &engine_record(engine, RECORD_LETTER_RESOLVE, group)->letter_resolve;
    row->id = command->letter;
    row->resolution = resolutions[command->kind];
    row->run_id = run ? run->id : (struct uuid){{0}};
    row->by = engine_keep_text(engine, command->by);
    row->notes = engine_keep_text(engine, command->notes);
    row->time_ms = now.wall_ms;
}

void engine_record_birth(struct engine *engine, const struct command *command, const struct engine_run *run,
                         uint32_t group)
{
    struct record_run *row = &engine_record(engine, RECORD_RUN_CREATE, group)->run;
    row->id = run->id;
    row->dag_id = run->dag_id;
    row->dag_version = run->dag_version;
    row->task_count = run->dag->task_count;
    row->dag = dag_ref(run->dag);
    row->trigger = run->trigger;
    row->created_ms = run->created_ms;
    row->scheduled_ms = run->scheduled_ms;
    row->source = run->source;
    row->resolves_source = run->resolves_source;
    if (command) {
        row->request_id = engine_keep_text(engine, command->request_id);
        row->changes = engine_keep_text(engine, command->changes);
        row->trace = engine_keep_text(engine, command->trace);
    }
    if (command && command->plan)
        record_runs_encode(command->plan, run->dag->task_count, &engine->open->arena, &row->outcomes,
                           &row->outcomes_len);
}

/* A run for a trigger, or a rerun with a plan of what is kept and skipped. */
static void make_run(struct engine *engine, struct command *command, struct engine_now now)
{
    struct error why;
    if (!engine_has_room(engine, command->dag, &why)) {
        refuse(command, why.code, why.text);
        return;
    }
    struct engine_run *run = engine_run_new(engine, engine_new_id(engine, now.wall_ms), dag_ref(command->dag));
    run->dag_id = command->dag_id;
    run->dag_version = command->dag_version;
    run->trigger = command->trigger;
    run->created_ms = now.wall_ms;
    run->origin = origin_new(command->request_id, command->trace);
    if (command->kind != COMMAND_RUN_TRIGGER) {
        run->source = command->run_id;
        run->resolves_source = command->resolves_source;
    }
    if (command->plan)
        engine_run_apply_plan(engine, run, command->plan);
    engine->births++;
    uint32_t group = record_add_group(engine->open);
    record_key(engine, command, run, group);
    record_resolution(engine, command, run, group, now);
    engine_record_birth(engine, command, run, group);
    struct waiting_command *waiting = engine_wait_for_batch(engine, command, group);
    waiting->birth = run;
    waiting->result.run_id = run->id;
}

static void cancel_run(struct engine *engine, struct command *command, struct engine_now now)
{
    struct engine_run *run = engine_find_run(engine, command->run_id);
    if (!run) {
        refuse(command, ERROR_RUN_FINISHED, "the run has finished");
        return;
    }
    engine_run_cancel(engine, run, now);
    struct waiting_command *waiting = engine_wait_for_batch(engine, command, 0);
    if (waiting->batch > engine->committed)
        return;
    /* canceled before, and that is durable: no batch may come for long */
    engine->command_count--;
    const struct command_result result = waiting->result;
    answer(command, &result);
}

static void resolve_letter(struct engine *engine, struct command *command, struct engine_now now)
{
    uint32_t group = record_add_group(engine->open);
    record_resolution(engine, command, NULL, group, now);
    struct waiting_command *waiting = engine_wait_for_batch(engine, command, group);
    waiting->result.run_id = (struct uuid){{0}};
}

static void backfill(struct engine *engine, struct command *command, struct engine_now now)
{
    struct schedule *schedule = engine_find_schedule(engine, command->dag_id);
    bool known = engine->options.fires_schedules && schedule && (schedule->ticks || schedule->awaits_zone);
    char text[200];
    if (engine->draining) {
        refuse(command, ERROR_STOPPING, "the daemon is stopping; try again shortly");
    } else if (!known && !engine->options.shares_schedules) {
        refuse(command, ERROR_NO_SCHEDULE, error_default_text(ERROR_NO_SCHEDULE));
    } else if (known && schedule->backfill.count + command->instant_count > LIMIT_BACKFILL_MAX) {
        (void)snprintf(text, sizeof text, "full: %zu instants of the DAG wait as a backfill and the limit is %d",
                       schedule->backfill.count, LIMIT_BACKFILL_MAX);
        refuse(command, ERROR_FULL, text);
    } else {
        engine_fire_backfill(engine, known ? schedule : NULL, command, now);
        struct waiting_command *waiting = engine_wait_for_batch(engine, command, 0);
        if (waiting->batch > engine->committed)
            return;
        /* nothing was asked for, and all before it is durable */
        engine->command_count--;
        const struct command_result result = waiting->result;
        answer(command, &result);
    }
}

static void drain_worker(struct engine *engine, struct command *command)
{
    struct command_result result = {0};
    if (!engine_set_worker_draining(engine, command->worker, command->draining))
        (void)error_set(&result.error, ERROR_WORKER_NOT_FOUND, "worker not found");
    answer(command, &result);
}

void engine_command(struct engine *engine, struct command *command, struct engine_now now)
{
    switch (command->kind) {
    case COMMAND_DAG_CREATE:
        change_catalog(engine, command, RECORD_DAG_CREATE, now);
        return;
    case COMMAND_DAG_UPDATE:
        change_catalog(engine, command, RECORD_DAG_UPDATE, now);
        return;
    case COMMAND_DAG_DELETE:
        change_catalog(engine, command, RECORD_DAG_DELETE, now);
        return;
    case COMMAND_DAG_PAUSE:
        change_catalog(engine, command, RECORD_DAG_PAUSE, now);
        return;
    case COMMAND_RUN_TRIGGER:
    case COMMAND_RUN_RERUN:
    case COMMAND_LETTER_RETRY:
    case COMMAND_LETTER_SKIP:
        make_run(engine, command, now);
        return;
    case COMMAND_RUN_CANCEL:
        cancel_run(engine, command, now);
        return;
    case COMMAND_LETTER_RESOLVE:
        resolve_letter(engine, command, now);
        return;
    case COMMAND_BACKFILL:
        backfill(engine, command, now);
        return;
    case COMMAND_WORKER_DRAIN:
        drain_worker(engine, command);
        return;
    case COMMAND_KIND_COUNT:
        break;
    }
    assert(false && "a command of no kind");
}

static void begin(struct engine *engine, struct engine_run *birth, struct engine_now now)
{
    struct uuid id = birth->id;
    bool cancel = birth->cancel_at_birth;
    engine_run_link(engine, birth);
    engine_run_begin(engine, birth, now);
    struct engine_run *run = engine_find_run(engine, id); /* NULL: nothing to do, ended */
    if (cancel && run)
        engine_run_cancel(engine, run, now);
}

/* What an accepted command leaves, before it is answered. */
static void finish(struct engine *engine, struct waiting_command *waiting, const struct verdict *verdict)
{
    const struct command *command = waiting->command;
    if (command->kind != COMMAND_BACKFILL) {
        engine_schedule_changed(engine, command, &waiting->result, waiting->time_ms, verdict->covered_ms);
        return;
    }
    waiting->result.accepted = command->accepted;
    if (command->refusal)
        (void)error_set(&waiting->result.error, command->refusal, "%s", error_default_text((int)command->refusal));
}

void engine_command_committed(struct engine *engine, struct waiting_command *waiting, const struct verdict *verdict,
                              struct engine_now now)
{
    struct command_result *result = &waiting->result;
    struct engine_run *birth = waiting->birth;
    if (waiting->again) {
        engine_command(engine, waiting->command, now);
        return;
    }
    if (birth)
        engine->births--;
    if (waiting->is_fire)
        engine_fire_committed(engine, &waiting->fire, verdict, now);
    if (verdict->refused) {
        result->run_id = verdict->run_id;
        result->replayed = verdict->code == ERROR_OK;
        if (verdict->code != ERROR_OK)
            (void)error_set(&result->error, verdict->code, "%s", error_default_text((int)verdict->code));
        if (birth)
            engine_run_free(engine, birth);
        birth = NULL;
    } else if (verdict->version) {
        result->dag_version = verdict->version;
    }
    if (waiting->command) {
        if (!verdict->refused)
            finish(engine, waiting, verdict);
        engine_schedule_settled(engine, waiting->command);
        answer(waiting->command, result);
    }
    if (birth)
        begin(engine, birth, now); /* after the answer: 38 ms for a million tasks that are all ready at once */
}

void engine_refuse_waiting(struct engine *engine, enum error_code code, const char *text)
{
    for (size_t i = 0; i < engine->command_count; i++) {
        if (engine->commands[i].birth) {
            engine->births--;
            engine_run_free(engine, engine->commands[i].birth);
        }
        if (engine->commands[i].command)
            refuse(engine->commands[i].command, code, text);
    }
    engine->command_count = 0;
}
