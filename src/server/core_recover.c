/* Recovery, from the store's side: every unfinished run with its DAG into the engine and the live view. */
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "server/core_model.h"

/* DAG versions read during the load; runs of one version come with its source only once. */
struct version {
    struct uuid dag_id;
    uint32_t number;
    struct dag *dag;
};

struct load {
    struct core *core;
    struct version *versions;
    size_t count, cap;
};

static struct dag *known_version(const struct load *load, const struct record_run *run)
{
    for (size_t i = load->count; i-- > 0;)
        if (load->versions[i].number == run->dag_version && uuid_equal(load->versions[i].dag_id, run->dag_id))
            return load->versions[i].dag;
    return NULL;
}

int core_read_source(const char *name, const char *source, size_t len, const char *changes, struct dag **ret_dag,
                     struct error *err)
{
    const struct dag_read_options options = {.name = name,
                                             .tasks_max = LIMIT_DAG_LOCAL_TASKS_MAX,
                                             .bytes_max = LIMIT_DAG_LOCAL_BYTES_MAX,
                                             .changes = changes,
                                             .changes_len = changes ? strlen(changes) : 0};
    struct dag_problems problems = {0};
    int code = source ? dag_read(source, len, &options, &problems, ret_dag) : ERROR_INTERNAL;
    if (code == ERROR_OUT_OF_MEMORY) {
        code = error_set(err, ERROR_OUT_OF_MEMORY, "there is not enough memory to read a stored DAG");
    } else if (code) {
        struct buf text = BUF_INIT;
        dag_problems_summary(&problems, &text);
        code = error_set(err, ERROR_INTERNAL, "a stored DAG cannot be read any more: %s", buf_text(&text));
        buf_fini(&text);
    }
    dag_problems_fini(&problems);
    return code;
}

static void keep_version(struct load *load, struct uuid dag_id, uint32_t number, struct dag *dag)
{
    load->versions = mem_grow(load->versions, &load->cap, load->count + 1, sizeof *load->versions);
    load->versions[load->count++] = (struct version){dag_id, number, dag};
}

int core_read_changed(struct store *store, const struct record_run *run, struct dag **ret_dag, struct error *err)
{
    struct arena arena = {0};
    struct buf source = BUF_INIT;
    struct store_dag row;
    int code = store_get_dag(store, run->dag_id, &arena, &row, err);
    if (!code)
        code = store_get_source(store, run->dag_id, run->dag_version, &source, err);
    if (!code)
        code = core_read_source(row.name, buf_text(&source), source.len, run->changes, ret_dag, err);
    buf_fini(&source);
    arena_fini(&arena);
    return code;
}

static int read_version(struct load *load, const struct store_active *active, struct dag **ret_dag,
                        struct error *err)
{
    *ret_dag = known_version(load, &active->run);
    if (*ret_dag)
        return 0;
    int code = core_read_source(active->dag_name, active->source, active->source_len, NULL, ret_dag, err);
    if (!code)
        keep_version(load, active->run.dag_id, active->run.dag_version, *ret_dag);
    return code;
}

static int restore(void *context, const struct store_active *active, struct error *err)
{
    struct load *load = context;
    struct dag *dag;
    int code = read_version(load, active, &dag, err);
    if (!code && active->run.changes)
        code = core_read_changed(load->core->store, &active->run, &dag, err);
    else if (!code)
        (void)dag_ref(dag);
    if (code)
        return code;
    struct record_run run = active->run;
    run.dag = dag;
    live_restore(load->core->live, &run, active->attempts, active->attempt_count);
    code = engine_restore_run(load->core->engine, &run, active->attempts, active->attempt_count, load->core->now, err);
    if (code)
        (void)error_add(err, "recovery");
    return code;
}

static void drop_versions(struct load *load)
{
    for (size_t i = 0; i < load->count; i++)
        dag_unref(load->versions[i].dag);
    mem_free(load->versions);
}

/* The cheap form of fsck. What contradicts itself is not gone on with: that would bury what happened. A database that
 * is too busy to be looked at in time is no reason to stay away; one that is not there is met by the load. */
static int check_store(struct store *store, struct error *err)
{
    struct buf findings = BUF_INIT;
    uint32_t count = 0;
    int code = store_check(store, STORE_CHECK_QUICK, &findings, &count, err);
    if (!code && count) {
        log_error("the store contradicts itself:\n%s", buf_text(&findings));
        code = error_set(err, ERROR_STORE_FAILED,
                         "the store contradicts itself (%u finding%s, see the log); 'pawl fsck' looks at all of it, "
                         "and a backup can be put in its place", count, count == 1 ? "" : "s");
    }
    if (code == ERROR_STORE_AWAY) {
        log_warn("the store was not looked at (%s); 'pawl fsck' does", err->text);
        code = 0;
    }
    buf_fini(&findings);
    return code;
}

int core_load(struct core *core, struct error *err)
{
    struct load load = {.core = core};
    int code = check_store(core->store, err);
    if (!code)
        code = store_load_active(core->store, restore, &load, err);
    if (!code && store_is_shared(core->store))
        code = core_load_offers(core, err);
    drop_versions(&load);
    if (!code && core->options.fires_schedules)
        code = core_load_schedules(core, err);
    return code;
}

/* ---- nodes of a cluster ---- */

int core_adopt(struct core *core, const struct record_run *run, const struct record_attempt *attempts,
               size_t attempt_count, const struct store_offers *offers, struct error *err)
{
    struct live_run *known = live_get(core->live, run->id);
    if (known) {
        live_unref(known);
        dag_unref(run->dag);
        return 0;
    }
    live_restore(core->live, run, attempts, attempt_count);
    int code = engine_restore_run(core->engine, run, attempts, attempt_count, core->now, err);
    if (!code) {
        core_offers_joined(core, offers->items, offers->count);
        engine_adopt_run(core->engine, run->id, core->now);
    }
    return code;
}

size_t core_release(struct core *core, size_t max, struct uuid *ret_ids)
{
    size_t count = engine_release_pending(core->engine, max, ret_ids);
    for (size_t i = 0; i < count; i++) {
        live_forget(core->live, ret_ids[i]);
        core->options.on_left(core->options.context, ret_ids[i]);
    }
    return count;
}

void core_set_lease(struct core *core, int64_t lease_ms)
{
    core->lease_ms = lease_ms;
    pool_set_lease(core->pool, lease_ms);
}

void core_fence(struct core *core, const struct error *why)
{
    if (core->failure)
        return;
    core->failure = ERROR_STORE_FENCED;
    core->failure_text = *why;
}
