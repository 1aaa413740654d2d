/* Recovery, from the store's side: every unfinished run with its DAG into the engine and the live view. */
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

static int read_version(struct load *load, const struct store_active *active, struct dag **ret_dag,
                        struct error *err)
{
    *ret_dag = known_version(load, &active->run);
    if (*ret_dag)
        return 0;
    const struct dag_read_options options = {.tasks_max = LIMIT_DAG_LOCAL_TASKS_MAX,
                                             .bytes_max = LIMIT_DAG_LOCAL_BYTES_MAX};
    struct dag_problems problems = {0};
    int code = active->source ? dag_read(active->source, active->source_len, &options, &problems, ret_dag)
                              : ERROR_INTERNAL;
    if (code) {
        struct buf text = BUF_INIT;
        dag_problems_summary(&problems, &text);
        (void)error_set(err, ERROR_INTERNAL, "a stored DAG cannot be read any more: %s", buf_text(&text));
        buf_fini(&text);
        dag_problems_fini(&problems);
        return ERROR_INTERNAL;
    }
    dag_problems_fini(&problems);
    load->versions = mem_grow(load->versions, &load->cap, load->count + 1, sizeof *load->versions);
    load->versions[load->count++] = (struct version){active->run.dag_id, active->run.dag_version, *ret_dag};
    return 0;
}

static int restore(void *context, const struct store_active *active, struct error *err)
{
    struct load *load = context;
    struct dag *dag;
    int code = read_version(load, active, &dag, err);
    if (code)
        return code;
    struct record_run run = active->run;
    run.dag = dag;
    live_restore(load->core->live, &run, active->attempts, active->attempt_count);
    run.dag = dag_ref(dag);
    code = engine_restore_run(load->core->engine, &run, active->attempts, active->attempt_count, load->core->now, err);
    if (code)
        (void)error_add(err, "recovery");
    return code;
}

int core_load(struct core *core, struct error *err)
{
    struct load load = {.core = core};
    int code = store_load_active(core->store, restore, &load, err);
    for (size_t i = 0; i < load.count; i++)
        dag_unref(load.versions[i].dag);
    mem_free(load.versions);
    return code;
}
