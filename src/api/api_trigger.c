/* What makes runs and ends them: trigger, cancel, rerun, and what is done about dead letters.
 *
 * What can change between looking and doing (the DAG was deleted, the letter resolved) is judged by the store, in
 * the run's own transaction and after the Idempotency-Key: a known key gives its run even when no other could be made.
 */
#include "api/api_trigger.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "api/api_command.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "api/api_source.h"
#include "api/api_view.h"
#include "base/map.h"
#include "dag/dag.h"
#include "engine/rerun.h"

/* 202 and the run as it is now. */
static void reply_run(struct api_call *call)
{
    struct api_run run;
    struct error err;
    struct buf body = BUF_INIT;
    struct json json;
    char id[UUID_TEXT_LEN + 1];
    if (api_run_find(call->api, call->result.run_id, api_arena(call), &run, &err)) {
        api_fail_error(call, &err);
        return;
    }
    uuid_format(run.run.id, id);
    api_reply_location(call, arena_printf(api_arena(call), "/api/v1/runs/%s", id));
    json_init(&json, &body);
    api_run_view(&run, &json);
    api_reply_json(call, 202, &body);
    api_run_fini(&run);
}

/* Of all that the key stands for: the same key with something else asked is an error. */
static uint64_t digest(const struct api_call *call, const char *what, struct uuid id)
{
    char text[UUID_TEXT_LEN + 1];
    struct buf asked = BUF_INIT;
    uuid_format(id, text);
    buf_printf(&asked, "%s %s", what, text);
    for (int i = 0; i < API_FIELD_COUNT; i++) {
        if (!call->body[i].given)
            continue;
        buf_printf(&asked, " %d %zu ", i, call->body[i].len);
        buf_add(&asked, call->body[i].text, call->body[i].len);
    }
    uint64_t hash = map_hash_stable(asked.bytes, asked.len);
    buf_fini(&asked);
    return hash;
}

static enum trigger trigger_of(const struct api_call *call)
{
    const char *agent = http_header(call->request, "User-Agent");
    return agent && strncmp(agent, "pawl/", 5) == 0 ? TRIGGER_CLI : TRIGGER_API;
}

void api_trigger_dag(struct api_call *call)
{
    struct command *command = &call->command;
    struct store_dag dag;
    struct error err;
    int rc = store_get_dag(call->api->backend.store, call->id, api_arena(call), &dag, &err);
    if (!rc)
        rc = api_source_get(call->api, call->id, dag.version, &command->dag, &err);
    if (rc) {
        api_fail_error(call, &err);
        return;
    }
    command->kind = COMMAND_RUN_TRIGGER;
    command->dag_id = call->id;
    command->dag_version = dag.version;
    command->trigger = trigger_of(call);
    command->idempotency_key = call->idempotency_key;
    command->digest = digest(call, "trigger", call->id);
    api_command_post(call, reply_run);
}

void api_cancel_run(struct api_call *call)
{
    struct api_run run;
    struct error err;
    int rc = api_run_find(call->api, call->id, api_arena(call), &run, &err);
    if (!rc) {
        if (state_run_is_terminal(run.run.state))
            rc = error_set(&err, ERROR_RUN_FINISHED, "The run has ended: it %s%s",
                           run.run.state == RUN_CANCELED ? "was " : "", state_run_name(run.run.state));
        api_run_fini(&run);
    }
    if (rc) {
        api_fail_error(call, &err);
        return;
    }
    call->command.kind = COMMAND_RUN_CANCEL;
    call->command.run_id = call->id;
    api_command_post(call, reply_run);
}

/* How each task of an ended run ended, in the arena. */
static int load_states(struct api_run *run, struct arena *arena, const uint8_t **ret_states, struct error *err)
{
    uint32_t count = run->dag->task_count;
    if (!state_run_is_terminal(run->run.state))
        return error_set(err, ERROR_RUN_ACTIVE, "The run is still active; wait for its end or cancel it");
    uint8_t *states = arena_zalloc(arena, count);
    memcpy(states, run->states, count);
    *ret_states = states;
    return 0;
}

/* Fills a command with a run made of `run` by a plan. */
static int fill_rerun(struct api_call *call, struct api_run *run, struct dag *dag, uint32_t version,
                      struct engine_rerun *rerun, struct command *command, struct error *err)
{
    uint8_t *plan = arena_zalloc(api_arena(call), dag->task_count);
    rerun->source = run->dag;
    rerun->dag = dag;
    int rc = load_states(run, api_arena(call), &rerun->states, err);
    if (!rc)
        rc = engine_rerun_plan(rerun, plan, &command->resolves_source, err);
    if (rc)
        return rc;
    command->plan = plan;
    if (version == run->run.dag_version && !command->changes)
        command->changes = arena_strdup(api_arena(call), run->run.changes); /* dag has them */
    command->dag = dag_ref(dag);
    command->dag_id = run->run.dag_id;
    command->dag_version = version;
    command->run_id = run->run.id;
    return 0;
}

/* The same for the call's own command, which is posted. */
static int post_rerun(struct api_call *call, struct api_run *run, struct dag *dag, uint32_t version,
                      struct engine_rerun *rerun, struct error *err)
{
    int rc = fill_rerun(call, run, dag, version, rerun, &call->command, err);
    if (rc)
        return rc;
    call->command.idempotency_key = call->idempotency_key;
    api_command_post(call, reply_run);
    return 0;
}

static int check_rerun_task(const struct api_call *call, const struct engine_rerun *rerun, struct error *err)
{
    bool given = call->body[API_FIELD_TASK_ID].given;
    if (rerun->from == ENGINE_RERUN_TASK && !given)
        return error_set(err, ERROR_BAD_REQUEST, "Missing required field: taskId (from is 'task')");
    if (rerun->from != ENGINE_RERUN_TASK && given)
        return error_set(err, ERROR_BAD_REQUEST, "taskId belongs to from 'task' only");
    return 0;
}

/* The version to run into *ret_dag, a reference, and *ret_version. */
static int find_version(struct api_call *call, const struct api_run *run, struct dag **ret_dag, uint32_t *ret_version,
                        struct error *err)
{
    bool latest = strcmp(api_names_rerun_version((unsigned)call->body[API_FIELD_VERSION].number), "latest") == 0;
    struct store_dag dag;
    int rc = store_get_dag(call->api->backend.store, run->run.dag_id, api_arena(call), &dag, err);
    if (rc)
        return rc;
    if (!latest || dag.version == run->run.dag_version) {
        *ret_version = run->run.dag_version;
        *ret_dag = dag_ref(run->dag);
        return 0;
    }
    *ret_version = dag.version;
    return api_source_get(call->api, run->run.dag_id, dag.version, ret_dag, err);
}

void api_rerun_run(struct api_call *call)
{
    static const enum engine_rerun_from from[] = {ENGINE_RERUN_FAILED, ENGINE_RERUN_ALL, ENGINE_RERUN_TASK};
    struct engine_rerun rerun = {.from = from[call->body[API_FIELD_FROM].number]};
    const struct api_value *task_id = &call->body[API_FIELD_TASK_ID];
    struct api_run run = {0};
    struct dag *dag = NULL;
    uint32_t version = 0;
    struct error err;
    int rc = check_rerun_task(call, &rerun, &err);
    if (!rc)
        rc = api_run_find(call->api, call->id, api_arena(call), &run, &err);
    if (!rc)
        rc = api_run_load(call->api, &run, &err);
    if (!rc)
        rc = find_version(call, &run, &dag, &version, &err);
    if (!rc && task_id->given) {
        int64_t task = dag_find_task(dag, task_id->text, task_id->len);
        rerun.task = (uint32_t)task;
        if (task < 0)
            rc = error_set(&err, ERROR_TASK_NOT_FOUND, "Version %u of the DAG has no task '%.100s'", version,
                           task_id->text);
    }
    call->command.kind = COMMAND_RUN_RERUN;
    call->command.trigger = TRIGGER_RERUN;
    call->command.digest = digest(call, "rerun", call->id);
    if (!rc)
        rc = post_rerun(call, &run, dag, version, &rerun, &err);
    if (rc)
        api_fail_error(call, &err);
    dag_unref(dag);
    api_run_fini(&run);
}

int api_trigger_fill_rerun(struct api_call *call, struct uuid run_id, const struct engine_rerun *rerun,
                           uint64_t tasks_max, struct command *command, struct error *err)
{
    struct engine_rerun asked = {.from = rerun->from};
    struct api_run run = {0};
    struct dag *dag = NULL;
    uint32_t version = 0;
    int rc = api_run_find(call->api, run_id, api_arena(call), &run, err);
    if (!rc)
        rc = api_run_load(call->api, &run, err);
    if (!rc)
        rc = find_version(call, &run, &dag, &version, err);
    if (!rc && dag->task_count > tasks_max)
        rc = error_set(err, ERROR_FULL, "The runs asked for at once have too many tasks");
    command->trigger = TRIGGER_RERUN;
    if (!rc)
        rc = fill_rerun(call, &run, dag, version, &asked, command, err);
    dag_unref(dag);
    api_run_fini(&run);
    return rc;
}

/* What the source run has other than its version, and on top of it what the call asks of the letter's task. */
static const char *merge_changes(struct api_call *call, const struct api_run *run, uint32_t task)
{
    json_t *all = run->run.changes ? json_loads(run->run.changes, JSON_REJECT_DUPLICATES, NULL) : json_object();
    json_t *asked = json_pack("{s: O}", run->dag->tasks[task].id, json_object_get(call->root, "changes"));
    int rc = json_object_update_recursive(all, asked);
    assert(rc == 0);
    (void)rc;
    const char *text = api_json_text(all, api_arena(call));
    json_decref(all);
    json_decref(asked);
    return text;
}

/* run->dag becomes what the call makes of it. */
static int change_dag(struct api_call *call, struct api_run *run, uint32_t task, struct command *command,
                      struct error *err)
{
    struct record_run changed = run->run;
    struct dag *dag;
    if (call->role < API_ROLE_ADMIN)
        return error_set(err, ERROR_FORBIDDEN, "Changes say what is run: that needs the role admin");
    changed.changes = merge_changes(call, run, task);
    int rc = api_source_get_of_run(call->api, &changed, &dag, err);
    if (rc)
        return rc;
    dag_unref(run->dag);
    run->dag = dag;
    command->changes = changed.changes;
    return 0;
}

int api_trigger_fill_letter(struct api_call *call, const struct store_letter *letter, bool skips, uint64_t tasks_max,
                            struct command *command, struct error *err)
{
    struct engine_rerun rerun = {.from = skips ? ENGINE_RERUN_LETTER_SKIP : ENGINE_RERUN_LETTER,
                                 .task = letter->letter.task};
    struct api_run run = {0};
    int rc = api_run_find(call->api, letter->letter.run_id, api_arena(call), &run, err);
    if (!rc)
        rc = api_run_load(call->api, &run, err);
    if (!rc && run.dag->task_count > tasks_max)
        rc = error_set(err, ERROR_FULL, "The runs asked for at once have too many tasks");
    command->trigger = TRIGGER_DLQ;
    if (!rc && call->body[API_FIELD_CHANGES].given)
        rc = change_dag(call, &run, letter->letter.task, command, err);
    if (!rc)
        rc = fill_rerun(call, &run, run.dag, run.run.dag_version, &rerun, command, err);
    api_run_fini(&run);
    return rc;
}

/* Whether the letter is resolved already is the store's to say, in the same transaction. */
static void rerun_letter(struct api_call *call, enum command_kind kind, bool skips, const char *what)
{
    struct command *command = &call->command;
    struct store_letter letter;
    struct error err;
    command->kind = kind;
    command->letter = call->id;
    command->notes = call->body[API_FIELD_REASON].text;
    command->digest = digest(call, what, call->id);
    int rc = store_get_letter(call->api->backend.store, call->id, api_arena(call), &letter, &err);
    if (!rc)
        rc = api_trigger_fill_letter(call, &letter, skips, UINT64_MAX, command, &err);
    if (rc) {
        api_fail_error(call, &err);
        return;
    }
    command->idempotency_key = call->idempotency_key;
    api_command_post(call, reply_run);
}

void api_retry_letter(struct api_call *call)
{
    rerun_letter(call, COMMAND_LETTER_RETRY, false, "retry");
}

void api_skip_letter(struct api_call *call)
{
    rerun_letter(call, COMMAND_LETTER_SKIP, true, "skip");
}

void api_resolve_letter(struct api_call *call)
{
    call->command.kind = COMMAND_LETTER_RESOLVE;
    call->command.letter = call->id;
    call->command.by = call->body[API_FIELD_RESOLVED_BY].text;
    call->command.notes = call->body[API_FIELD_NOTES].text;
    api_command_post(call, api_command_reply_empty);
}
