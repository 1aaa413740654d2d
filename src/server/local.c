/* `pawl run`: one DAG to its end in this process. The store is one of DATA/local/N (local_dir.h), taken for as long as
 * this takes; runs that a killed `pawl run` left in it are canceled first. Workers and tasks die with this process.
 *
 * What callbacks tell is read from durable batches, so that nobody hears of a result that a crash could take back. */
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "server/core.h"
#include "server/local_dir.h"
#include "server/secrets.h"
#include "server/status.h"

struct local_task {
    uint8_t state;              /* enum task_state */
    uint32_t attempt;           /* the latest number */
};

struct local_run {
    const struct server_local *request;
    struct core *core;
    struct command command;     /* one at a time: make the DAG known, then trigger it */
    struct uuid dag_id;
    uint32_t dag_version;
    bool triggered;
    bool ended;
    uint32_t interrupts;
    struct local_task *tasks;
    struct server_local_result result;
    struct error failure;       /* what kept the run from being made */
};

/* ---- making the run ---- */

static void give_up(struct local_run *local, const struct error *why)
{
    local->failure = *why;
    core_finish(local->core);
}

static void on_triggered(struct command *command, const struct command_result *result)
{
    struct local_run *local = command->context;
    if (result->error.code)
        give_up(local, &result->error);
}

static void trigger(struct local_run *local)
{
    local->triggered = true;
    local->command = (struct command){
        .kind = COMMAND_RUN_TRIGGER,
        .done = on_triggered,
        .context = local,
        .dag_id = local->dag_id,
        .dag = dag_ref(local->request->dag),
        .dag_version = local->dag_version,
        .trigger = TRIGGER_CLI,
        .principal = "",
    };
    core_post(local->core, &local->command);
}

static void on_dag_known(struct command *command, const struct command_result *result)
{
    struct local_run *local = command->context;
    if (result->error.code) {
        give_up(local, &result->error);
        return;
    }
    if (command->kind == COMMAND_DAG_CREATE)
        local->dag_id = result->dag_id;
    local->dag_version = result->dag_version;
    trigger(local);
}

/* 0 with dag_id and dag_version set when the store holds this very file; dag_version 0 when it holds another version
 * of it, dag_id zero when none. */
static int find_dag(struct local_run *local, struct error *err)
{
    struct arena arena = {0};
    struct buf source = BUF_INIT;
    struct store_dag dag;
    int code = store_get_dag_by_name(core_store(local->core), local->request->dag->name, &arena, &dag, err);
    if (code == ERROR_DAG_NOT_FOUND) {
        code = 0;
        goto out;
    }
    if (code)
        goto out;
    local->dag_id = dag.id;
    code = store_get_source(core_store(local->core), dag.id, dag.version, &source, err);
    if (!code && source.len == local->request->source_len &&
        memcmp(source.bytes, local->request->source, source.len) == 0)
        local->dag_version = dag.version;
out:
    buf_fini(&source);
    arena_fini(&arena);
    return code;
}

static void make_dag_known(struct local_run *local)
{
    if (local->dag_version) {
        trigger(local);
        return;
    }
    bool is_new = uuid_is_zero(local->dag_id);
    local->command = (struct command){
        .kind = is_new ? COMMAND_DAG_CREATE : COMMAND_DAG_UPDATE,
        .done = on_dag_known,
        .context = local,
        .dag_id = local->dag_id,
        .name = local->request->dag->name,
        .dag = dag_ref(local->request->dag),
        .source = local->request->source,
        .source_len = local->request->source_len,
    };
    core_post(local->core, &local->command);
}

static void on_ready(void *context, const struct engine_recovery *recovery)
{
    struct local_run *local = context;
    if (recovery->runs)
        core_cancel_all(local->core);
    make_dag_known(local);
}

/* ---- telling what happens ---- */

static void tell(struct local_run *local, const struct server_local_change *change)
{
    struct local_task *task = &local->tasks[change->task];
    local->result.counts[task->state]--;
    local->result.counts[change->state]++;
    task->state = (uint8_t)change->state;
    task->attempt = change->attempt;
    if (local->request->on_change)
        local->request->on_change(local->request->context, change, local->result.counts);
}

static void tell_change(struct local_run *local, const struct record_change *record, int64_t now_ms)
{
    const struct local_task *task = &local->tasks[record->task];
    struct server_local_change change = {
        .task = record->task,
        .state = (enum task_state)record->state,
        .attempt = task->attempt,
        .exit_code = -1,
        .completed_ms = state_task_is_terminal((enum task_state)record->state) ? now_ms : 0,
    };
    if (change.state != (enum task_state)task->state)
        tell(local, &change);
}

static void tell_attempt(struct local_run *local, const struct record *record)
{
    const struct record_attempt *row = &record->attempt;
    struct server_local_change change = {
        .task = row->task,
        .attempt = row->number,
        .error_type = row->error_type,
        .error = row->error,
        .exit_code = row->exit_code,
        .signal = row->signal,
        .started_ms = row->started_ms,
        .completed_ms = row->ended_ms,
        .retry_ms = row->retry_ms,
    };
    if (record->kind == RECORD_ATTEMPT_END) {
        change.state = row->task_state;
        tell(local, &change);
    } else if (record->kind == RECORD_ATTEMPT_START) {
        change.state = TASK_RUNNING;
        tell(local, &change);
    }
}

static void tell_run(struct local_run *local, const struct record *record)
{
    struct server_local_result *result = &local->result;
    if (record->kind == RECORD_RUN_CREATE) {
        result->run_id = record->run.id;
        result->created_ms = record->run.created_ms;
    } else if (record->kind == RECORD_RUN_START) {
        result->started_ms = record->run.started_ms;
        if (local->request->on_start)
            local->request->on_start(local->request->context, result->run_id, result->started_ms);
    } else if (record->kind == RECORD_RUN_END) {
        result->state = record->run.state;
        result->completed_ms = record->run.completed_ms;
        local->ended = true;
        core_finish(local->core);
    }
}

static bool is_of_attempt(enum record_kind kind)
{
    return kind == RECORD_ATTEMPT_START || kind == RECORD_ATTEMPT_END;
}

static bool is_of_run(enum record_kind kind)
{
    return kind == RECORD_RUN_CREATE || kind == RECORD_RUN_START || kind == RECORD_RUN_END;
}

/* Our run is the only one that is made after on_ready; those that were canceled then are not ours. */
static bool is_ours(const struct local_run *local, const struct record *record)
{
    if (record->kind == RECORD_RUN_CREATE)
        return true;
    struct uuid id = is_of_attempt(record->kind) ? record->attempt.run_id : record->run.id;
    return uuid_equal(id, local->result.run_id);
}

static void on_batch(void *context, const struct batch *batch, int64_t now_ms)
{
    struct local_run *local = context;
    size_t change = 0;
    for (size_t i = 0; i <= batch->count; i++) {
        for (; change < batch->change_count && batch->changes[change].position <= i; change++)
            if (uuid_equal(batch->changes[change].run_id, local->result.run_id))
                tell_change(local, &batch->changes[change], now_ms);
        const struct record *record = i < batch->count ? &batch->records[i] : NULL;
        if (!record || (record->group && batch->verdicts[record->group - 1].refused))
            continue;
        if (is_of_attempt(record->kind) && is_ours(local, record))
            tell_attempt(local, record);
        else if (is_of_run(record->kind) && is_ours(local, record))
            tell_run(local, record);
    }
}

static void on_interrupt(void *context)
{
    struct local_run *local = context;
    uint64_t count = 0;
    ssize_t got = read(local->request->interrupt_fd, &count, sizeof count);
    if (got != (ssize_t)sizeof count)
        return;
    bool again = local->interrupts > 0 || count > 1;
    local->interrupts += (uint32_t)count;
    core_cancel_all(local->core);
    if (again)
        core_kill(local->core);
}

/* ---- the whole life ---- */

static int run_core(struct local_run *local, struct error *err)
{
    int code = core_recover(local->core, err);
    if (!code && local->request->interrupt_fd >= 0)
        code = core_add_fd(local->core, local->request->interrupt_fd, on_interrupt, local, err);
    if (!code)
        code = find_dag(local, err);
    if (!code)
        code = core_run(local->core, err);
    if (!code && local->failure.code) {
        *err = local->failure;
        code = (int)err->code;
    }
    if (!code && !local->ended)
        code = error_set(err, ERROR_INTERRUPTED, "killed before the run could end");
    return code;
}

static int run_in(const char *data_dir, const struct server_options *options, struct local_run *local,
                  struct buf *ret_status, struct error *err)
{
    struct server_secrets secrets = {.items = options->secrets, .count = options->secret_count};
    const struct core_options core = {
        .data_dir = data_dir,
        .durability = options->durability == SERVER_DURABILITY_RELAXED ? STORE_DURABILITY_RELAXED
                                                                       : STORE_DURABILITY_FULL,
        .workers = options->workers,
        .slots = options->slots,
        .waiting_tasks_max = LIMIT_DAG_LOCAL_TASKS_MAX,
        .active_runs_max = LIMIT_ACTIVE_RUNS_MAX,
        .grace_ms = options->grace_ms,
        .drain_ms = options->drain_ms,
        .log_bytes_max = options->log_bytes_max,
        .retention = server_retention(options),
        .die_with_parent = true,
        .base_dir = local->request->base_dir,
        .inherit_env = true,
        .secrets = {.find = server_secrets_find, .context = &secrets},
        .context = local,
        .on_ready = on_ready,
        .on_batch = on_batch,
    };
    int code = core_new(&core, &local->core, err);
    if (!code)
        code = run_core(local, err);
    if (!code && ret_status)
        code = server_status_append(core_store(local->core), data_dir, local->result.run_id, ret_status, err);
    core_free(local->core);
    server_secrets_clear(&secrets);
    return code;
}

int server_run_local(const struct server_options *options, const struct server_local *request,
                     struct server_local_result *ret_result, struct buf *ret_status, struct error *err)
{
    struct store_dir dir;
    int code = server_local_dir_open(options->data_dir, &dir, err);
    if (code)
        return code;
    struct local_run local = {.request = request};
    local.tasks = mem_new_array(struct local_task, request->dag->task_count);
    for (uint32_t i = 0; i < request->dag->task_count; i++)
        local.tasks[i] = (struct local_task){.state = TASK_PENDING};
    local.result.counts[TASK_PENDING] = request->dag->task_count;
    code = run_in(dir.path, options, &local, ret_status, err);
    mem_free(local.tasks);
    store_dir_close(&dir);
    if (!code)
        *ret_result = local.result;
    return code;
}
