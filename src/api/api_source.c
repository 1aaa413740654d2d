#include "api/api_source.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "api/api_core.h"
#include "base/limits.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "state/record.h"

/* The one used last stays whatever its size, since a run of it is likely to follow. */
enum { KEPT_MAX = 64, KEPT_TASKS_MAX = 200000 };

struct kept {
    struct uuid id;
    uint32_t version;
    struct dag *dag;
};

struct api_dags {
    pthread_mutex_t lock;
    struct kept items[KEPT_MAX];    /* the one used last first */
    size_t count;
    uint64_t tasks;
};

struct api_dags *api_source_new(void)
{
    struct api_dags *dags = mem_new(struct api_dags);
    int rc = pthread_mutex_init(&dags->lock, NULL);
    assert(rc == 0);
    (void)rc;
    return dags;
}

void api_source_free(struct api_dags *dags)
{
    if (!dags)
        return;
    for (size_t i = 0; i < dags->count; i++)
        dag_unref(dags->items[i].dag);
    (void)pthread_mutex_destroy(&dags->lock);
    mem_free(dags);
}

/* Moves an item to the front and returns a reference, or NULL. With the lock. */
static struct dag *use(struct api_dags *dags, struct uuid id, uint32_t version)
{
    for (size_t i = 0; i < dags->count; i++) {
        struct kept item = dags->items[i];
        if (item.version != version || !uuid_equal(item.id, id))
            continue;
        memmove(&dags->items[1], &dags->items[0], i * sizeof item);
        dags->items[0] = item;
        return dag_ref(item.dag);
    }
    return NULL;
}

static void drop_last(struct api_dags *dags)
{
    struct kept *last = &dags->items[--dags->count];
    dags->tasks -= last->dag->task_count;
    dag_unref(last->dag);
}

void api_source_put(struct api *api, struct uuid dag_id, uint32_t version, struct dag *dag)
{
    struct api_dags *dags = api->dags;
    (void)pthread_mutex_lock(&dags->lock);
    struct dag *known = use(dags, dag_id, version);
    if (!known) {
        if (dags->count == KEPT_MAX)
            drop_last(dags);
        memmove(&dags->items[1], &dags->items[0], dags->count * sizeof dags->items[0]);
        dags->items[0] = (struct kept){dag_id, version, dag_ref(dag)};
        dags->count++;
        dags->tasks += dag->task_count;
        while (dags->count > 1 && dags->tasks > KEPT_TASKS_MAX)
            drop_last(dags);
    }
    (void)pthread_mutex_unlock(&dags->lock);
    dag_unref(known);
}

/* changes NULL: the version as it is. */
static int read_version(struct api *api, struct uuid dag_id, uint32_t version, const char *changes,
                        struct dag **ret_dag, struct error *err)
{
    struct buf source = BUF_INIT;
    struct buf summary = BUF_INIT;
    struct dag_problems problems = {0};
    struct arena arena = {0};
    struct store_dag row;
    struct dag_read_options options = {.tasks_max = LIMIT_DAG_LOCAL_TASKS_MAX, .bytes_max = LIMIT_DAG_LOCAL_BYTES_MAX};
    int rc = store_get_dag(api->backend.store, dag_id, &arena, &row, err);
    if (!rc)
        rc = store_get_source(api->backend.store, dag_id, version, &source, err);
    if (rc)
        goto out;
    options.name = row.name;
    options.changes = changes;
    options.changes_len = changes ? strlen(changes) : 0;
    rc = dag_read(source.bytes, source.len, &options, &problems, ret_dag);
    if (rc == ERROR_OUT_OF_MEMORY) {
        rc = error_set(err, ERROR_OUT_OF_MEMORY, "there is not enough memory to read the DAG");
    } else if (rc && changes) {
        dag_problems_summary(&problems, &summary);
        rc = error_set(err, ERROR_BAD_REQUEST, "changes: %s", buf_text(&summary));
    } else if (rc) {
        dag_problems_summary(&problems, &summary);
        rc = error_set(err, ERROR_INTERNAL, "version %u of the DAG, which was valid when it was stored, is not: %s",
                       version, buf_text(&summary));
    }
out:
    dag_problems_fini(&problems);
    buf_fini(&summary);
    buf_fini(&source);
    arena_fini(&arena);
    return rc;
}

int api_source_get(struct api *api, struct uuid dag_id, uint32_t version, struct dag **ret_dag, struct error *err)
{
    struct api_dags *dags = api->dags;
    (void)pthread_mutex_lock(&dags->lock);
    struct dag *dag = use(dags, dag_id, version);
    (void)pthread_mutex_unlock(&dags->lock);
    int rc = 0;
    if (!dag) {
        rc = read_version(api, dag_id, version, NULL, &dag, err);
        if (!rc)
            api_source_put(api, dag_id, version, dag);
    }
    if (!rc)
        *ret_dag = dag;
    return rc;
}

int api_source_get_of_run(struct api *api, const struct record_run *run, struct dag **ret_dag, struct error *err)
{
    return run->changes ? read_version(api, run->dag_id, run->dag_version, run->changes, ret_dag, err)
                        : api_source_get(api, run->dag_id, run->dag_version, ret_dag, err);
}
