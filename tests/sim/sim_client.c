#include "sim.h"

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"

enum { BACKFILL_MAX = 6, MINUTE_MS = 60000 };

struct request {
    struct command command;         /* first */
    struct sim *sim;
    char key[8];
    uint32_t dag;                   /* DAG_UPDATE: which */
    struct dag *update;             /* DAG_UPDATE: a reference */
    int64_t instants[BACKFILL_MAX];
};

static void acknowledge(struct sim *sim, const struct request *request, const struct command_result *result)
{
    const struct model_run *run = model_find(&sim->model, result->run_id);
    if (!run)
        model_broken("a run was acknowledged and is not durable");
    for (size_t i = 0; request->command.idempotency_key && i < sim->model.key_count; i++) {
        const struct model_key *key = &sim->model.keys[i];
        if (key->key[0] == request->key[0] && uuid_equal(key->dag_id, request->command.dag_id) &&
            key->created_ms + LIMIT_IDEMPOTENCY_MS > sim->now.wall_ms && uuid_equal(key->run_id, result->run_id) &&
            key->digest != request->command.digest)
            model_broken("the same key with another body was answered with a run");
    }
    if (sim->acknowledged_count < RUNS_MAX)
        sim->acknowledged[sim->acknowledged_count++] = result->run_id;
}

/* The letter is closed as asked, and leads to the run that was told. */
static void check_letter(const struct sim *sim, const struct command *command, const struct command_result *result)
{
    static const enum resolution closed[COMMAND_KIND_COUNT] = {[COMMAND_LETTER_RETRY] = RESOLUTION_RETRIED,
                                                               [COMMAND_LETTER_SKIP] = RESOLUTION_SKIPPED,
                                                               [COMMAND_LETTER_RESOLVE] = RESOLUTION_RESOLVED};
    if (closed[command->kind] == RESOLUTION_PENDING || result->error.code != ERROR_OK)
        return;
    for (size_t i = 0; i < sim->model.letter_count; i++) {
        const struct model_letter *letter = &sim->model.letters[i];
        if (uuid_equal(letter->id, command->letter) &&
            (letter->resolution != closed[command->kind] || !uuid_equal(letter->resolved_run, result->run_id)))
            model_broken("a letter is not closed as it was said");
    }
}

static void done(struct command *command, const struct command_result *result)
{
    struct request *request = (struct request *)command;
    struct sim *sim = request->sim;
    sim->unanswered--;
    bool makes_run = command->kind == COMMAND_RUN_TRIGGER || command->kind == COMMAND_RUN_RERUN ||
                     command->kind == COMMAND_LETTER_RETRY || command->kind == COMMAND_LETTER_SKIP;
    sim_say(sim, "command %d answered: %s", (int)command->kind, error_name((int)result->error.code));
    if (makes_run && result->error.code == ERROR_OK)
        acknowledge(sim, request, result);
    if (command->kind == COMMAND_RUN_CANCEL && result->error.code == ERROR_OK) {
        const struct model_run *run = model_find(&sim->model, command->run_id);
        if (!run || (!run->run.cancel_ms && !run->ended))
            model_broken("a cancel was acknowledged and is not durable");
    }
    check_letter(sim, command, result);
    if (request->update && result->error.code == ERROR_OK) {
        dag_unref(sim->dags[request->dag]);
        sim->dags[request->dag] = dag_ref(request->update);
        sim->dag_versions[request->dag] = result->dag_version;
    }
    dag_unref(request->update);
    mem_free((uint8_t *)(uintptr_t)command->plan);
    mem_free(request);
}

static struct request *request_new(struct sim *sim, enum command_kind kind)
{
    struct request *request = mem_new(struct request);
    request->sim = sim;
    request->command.kind = kind;
    request->command.done = done;
    return request;
}

static void post(struct sim *sim, struct request *request)
{
    sim->unanswered++;
    sim_say(sim, "command %d", (int)request->command.kind);
    engine_command(sim->engine, &request->command, sim->now);
}

static void trigger(struct sim *sim)
{
    if (sim->model.run_count + sim->unanswered >= RUNS_MAX / 2)
        return;
    uint32_t dag = sim_below(sim, DAGS);
    struct request *request = request_new(sim, COMMAND_RUN_TRIGGER);
    request->command.dag_id = sim->dag_ids[dag];
    request->command.dag = dag_ref(sim->dags[dag]);
    request->command.dag_version = sim->dag_versions[dag];
    if (sim_chance(sim, 40)) {
        request->key[0] = (char)('a' + sim_below(sim, 3));
        request->command.idempotency_key = request->key;
        request->command.digest = sim_below(sim, 2);
    }
    post(sim, request);
}

static struct model_run *any_run(struct sim *sim, bool ended)
{
    if (!sim->model.run_count)
        return NULL;
    struct model_run *run = sim->model.runs[sim_below(sim, (uint32_t)sim->model.run_count)];
    return run->ended == ended ? run : NULL;
}

static void cancel(struct sim *sim)
{
    const struct model_run *run = any_run(sim, false);
    if (!run)
        return;
    struct request *request = request_new(sim, COMMAND_RUN_CANCEL);
    request->command.run_id = run->run.id;
    post(sim, request);
}

/* What succeeded is mostly kept; one task may be skipped; now and then any plan at all. */
static uint8_t *make_plan(struct sim *sim, const struct model_run *run, uint32_t skip)
{
    uint8_t *plan = mem_zalloc(run->run.task_count);
    bool wild = sim_chance(sim, 10);
    for (uint32_t i = 0; i < run->run.task_count; i++)
        plan[i] = wild ? (uint8_t)sim_below(sim, 3)
                       : run->outcomes[i] == TASK_SUCCEEDED && sim_chance(sim, 80) ? RECORD_KEPT : 0;
    if (skip < run->run.task_count)
        plan[skip] = RECORD_SKIP;
    return plan;
}

static void rerun(struct sim *sim, enum command_kind kind, const struct model_run *run, struct uuid letter,
                  uint32_t skip)
{
    if (sim->model.run_count + sim->unanswered >= RUNS_MAX)
        return;
    struct request *request = request_new(sim, kind);
    request->command.dag_id = run->run.dag_id;
    request->command.run_id = run->run.id;
    request->command.letter = letter;
    request->command.dag = dag_ref(run->run.dag);
    request->command.dag_version = run->run.dag_version;
    request->command.trigger = kind == COMMAND_RUN_RERUN ? TRIGGER_RERUN : TRIGGER_DLQ;
    request->command.plan = make_plan(sim, run, skip);
    request->command.resolves_source = sim_chance(sim, 70);
    post(sim, request);
}

static void treat_letter(struct sim *sim)
{
    if (!sim->model.letter_count)
        return;
    const struct model_letter *letter = &sim->model.letters[sim_below(sim, (uint32_t)sim->model.letter_count)];
    const struct model_run *run = model_find(&sim->model, letter->run_id);
    if (sim_chance(sim, 30)) {
        struct request *request = request_new(sim, COMMAND_LETTER_RESOLVE);
        request->command.letter = letter->id;
        post(sim, request);
    } else if (run->ended) {
        bool skip = sim_chance(sim, 50);
        rerun(sim, skip ? COMMAND_LETTER_SKIP : COMMAND_LETTER_RETRY, run, letter->id,
              skip ? letter->task : UINT32_MAX);
    }
}

static void change_catalog(struct sim *sim)
{
    uint32_t dag = sim_below(sim, DAGS);
    bool delete = sim_chance(sim, 15);
    struct request *request = request_new(sim, delete ? COMMAND_DAG_DELETE : COMMAND_DAG_UPDATE);
    request->command.dag_id = sim->dag_ids[dag];
    if (!delete) {
        request->dag = dag;
        request->update = sim_chance(sim, 50) ? sim_make_dag(sim) : dag_ref(sim->dags[dag]);
        request->command.dag = dag_ref(request->update);
        request->command.source = "x";
        request->command.source_len = 1;
    }
    request->command.if_version = sim_below(sim, 3);
    post(sim, request);
}

static void pause_dag(struct sim *sim)
{
    struct request *request = request_new(sim, COMMAND_DAG_PAUSE);
    request->command.dag_id = sim->dag_ids[sim_below(sim, DAGS)];
    request->command.paused = sim_chance(sim, 50);
    post(sim, request);
}

/* Of minutes that need not be instants of the schedule: who asks decides. */
static void backfill(struct sim *sim)
{
    struct request *request = request_new(sim, COMMAND_BACKFILL);
    int64_t minute_ms = sim->now.wall_ms / MINUTE_MS * MINUTE_MS;
    request->command.dag_id = sim->dag_ids[sim_below(sim, DAGS)];
    request->command.instants = request->instants;
    request->command.again = sim_chance(sim, 20);
    request->command.parallel = (uint32_t)sim_below(sim, 4);
    for (size_t n = 1 + sim_below(sim, BACKFILL_MAX); request->command.instant_count < n;) {
        minute_ms -= MINUTE_MS * (1 + sim_below(sim, 2));
        request->instants[request->command.instant_count++] = minute_ms;
    }
    post(sim, request);
}

static void drain_worker(struct sim *sim)
{
    if (!sim->worker_count)
        return;
    struct request *request = request_new(sim, COMMAND_WORKER_DRAIN);
    request->command.worker = sim->workers[sim_below(sim, sim->worker_count)].id;
    request->command.draining = sim_chance(sim, 40);
    post(sim, request);
}

void sim_client_act(struct sim *sim)
{
    uint32_t dice = sim_below(sim, 100);
    const struct model_run *run;
    if (dice < 45) {
        trigger(sim);
    } else if (dice < 60) {
        cancel(sim);
    } else if (dice < 72) {
        if ((run = any_run(sim, true)))
            rerun(sim, COMMAND_RUN_RERUN, run, (struct uuid){{0}}, UINT32_MAX);
    } else if (dice < 84) {
        treat_letter(sim);
    } else if (dice < 90) {
        change_catalog(sim);
    } else if (sim->has_schedules && dice < 94) {
        pause_dag(sim);
    } else if (sim->has_schedules && dice < 96) {
        backfill(sim);
    } else if (dice < 99) {
        drain_worker(sim);
    } else {
        sim_say(sim, "cancel everything");
        engine_cancel_all(sim->engine, sim->now);
    }
}
