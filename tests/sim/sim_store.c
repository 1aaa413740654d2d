/* A real store beside the model: it gets the same batches, must judge them the same and give back the same rows. */
#include "sim.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "dag/dag.h"
#include "store/memory/store_memory.h"
#include "store/store.h"

static void open_sqlite(struct sim *sim)
{
    const struct store_options options = {
        .path = sim->store_path, .mode = STORE_CREATE, .durability = STORE_DURABILITY_RELAXED};
    struct error err;
    if (store_open_sqlite(&options, &sim->store, &err))
        model_broken("the store cannot be opened: %s", err.text);
}

static void commit(struct sim *sim, struct batch *batch)
{
    struct error err;
    if (store_commit(sim->store, &batch, 1, &err))
        model_broken("the store refuses a batch: %s", err.text);
}

void sim_store_open(struct sim *sim)
{
    if (sim->store_kind == SIM_STORE_NONE)
        return;
    if (sim->store_kind == SIM_STORE_MEMORY) {
        sim->store = store_memory_new();
    } else {
        (void)snprintf(sim->store_path, sizeof sim->store_path, "%s/pawl-sim-XXXXXX",
                       getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
        if (!mkdtemp(sim->store_path))
            model_broken("no folder for the store");
        open_sqlite(sim);
    }
    struct batch *batch = record_batch_new(1);
    for (uint32_t i = 0; i < DAGS; i++) {
        struct record_dag *row = &record_add(batch, RECORD_DAG_CREATE, record_add_group(batch))->dag;
        row->id = sim->dag_ids[i];
        row->name = arena_printf(&batch->arena, "dag %u", i);
        row->version = 1;
        row->source = "x";
        row->source_len = 1;
        row->dag = dag_ref(sim->dags[i]);
        row->time_ms = sim->now.wall_ms;
    }
    commit(sim, batch);
    record_batch_free(batch);
}

void sim_store_remove(const struct sim *sim)
{
    const char *path = sim->store_path;
    if (!path[0])
        return;
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char *file = mem_printf("%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            (void)unlink(file);
        mem_free(file);
    }
    if (folder)
        (void)closedir(folder);
    (void)rmdir(path);
}

void sim_store_close(struct sim *sim)
{
    if (!sim->store)
        return;
    store_close(sim->store);
    sim->store = NULL;
    sim_store_remove(sim);
}

/* The batch has been judged by the model; now by the store. */
void sim_store_compare(struct sim *sim, struct batch *batch)
{
    if (!sim->store)
        return;
    size_t size = batch->group_count * sizeof *batch->verdicts;
    struct verdict *said = size ? mem_dup(batch->verdicts, size) : NULL;
    for (uint32_t i = 0; i < batch->group_count; i++)
        batch->verdicts[i] = (struct verdict){.group = i + 1};
    commit(sim, batch);
    for (uint32_t i = 0; i < batch->group_count; i++) {
        const struct verdict *one = &said[i], *two = &batch->verdicts[i];
        if (one->refused != two->refused || one->code != two->code || one->version != two->version ||
            (one->refused && !uuid_equal(one->run_id, two->run_id)))
            model_broken("the store judges a group otherwise: refused %d (%s), expected %d (%s)", two->refused,
                         error_name((int)two->code), one->refused, error_name((int)one->code));
    }
    mem_free(said);
}

static bool same_attempt(const struct record_attempt *a, const struct record_attempt *b)
{
    return a->task == b->task && a->number == b->number && a->fence == b->fence && a->state == b->state &&
           uuid_equal(a->worker, b->worker) && a->error_type == b->error_type && a->exit_code == b->exit_code &&
           a->claimed_ms == b->claimed_ms && a->started_ms == b->started_ms && a->ended_ms == b->ended_ms &&
           a->retry_ms == b->retry_ms && a->signal == b->signal && (a->error == NULL) == (b->error == NULL);
}

static int compare_run(void *context, const struct store_active *active, struct error *err)
{
    (void)err;
    struct sim *sim = context;
    const struct model_run *run = model_find(&sim->model, active->run.id);
    if (!run || run->ended)
        model_broken("the store loads a run that is not active");
    const struct record_run *a = &active->run, *b = &run->run;
    if (a->state != b->state || a->created_ms != b->created_ms || a->started_ms != b->started_ms ||
        a->cancel_ms != b->cancel_ms || a->task_count != b->task_count || !uuid_equal(a->source, b->source) ||
        a->resolves_source != b->resolves_source || a->outcomes_len != b->outcomes_len || a->trigger != b->trigger)
        model_broken("the store loads a run otherwise than it was written");
    if (a->outcomes_len && memcmp(a->outcomes, b->outcomes, a->outcomes_len) != 0)
        model_broken("the store loads another plan than was written");
    size_t count = 0;
    for (size_t i = 0; i < run->row_count; i++)
        count += !run->rows[i].gone;
    if (count != active->attempt_count)
        model_broken("the store loads %zu attempts of %zu", active->attempt_count, count);
    for (size_t i = 0; i < active->attempt_count; i++) {
        const struct record_attempt *row = &active->attempts[i];
        uint32_t at = run->last[row->task];
        while (at != NO_ROW && run->rows[at].attempt.number != row->number)
            at = run->rows[at].before;
        if (at == NO_ROW || !same_attempt(row, &run->rows[at].attempt))
            model_broken("task %u: the store loads another attempt than was written", row->task);
    }
    sim->loaded++;
    return 0;
}

/* The daemon starts again: what the store loads is what was committed. */
void sim_store_reopen(struct sim *sim)
{
    if (!sim->store)
        return;
    if (sim->store_kind == SIM_STORE_MEMORY) {
        store_memory_reopen(sim->store);
    } else if (sim_chance(sim, 30)) {
        store_close(sim->store);
        open_sqlite(sim);
    }
    uint32_t active = 0;
    for (size_t i = 0; i < sim->model.run_count; i++)
        active += !sim->model.runs[i]->ended;
    sim->loaded = 0;
    struct error err;
    if (store_load_active(sim->store, compare_run, sim, &err))
        model_broken("the store cannot load: %s", err.text);
    if (sim->loaded != active)
        model_broken("the store loads %u active runs of %u", sim->loaded, active);
}
