/* Bookkeeping of tasks in PostgreSQL by the store's own code, and nothing else: no engine, no workers, no processes.
 *
 *     store_pg URL NODES SECONDS TASKS
 *
 * So many threads, each a node with a store of its own, write for so long what a node writes for tasks that do nothing:
 * a run of 1,000 tasks, and in each commit the ends of TASKS attempts and the claims of the next. One line of JSON:
 * tasks a second of all, also of each tenth of the time; commits a second; a commit's median and 99th percentile. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dag/dag.h"
#include "dag/dag_problem.h"
#include "store/store.h"

enum { RUN_TASKS = 1000, SLICES = 10, NODES_MAX = 16, BUCKETS = 4000, BUCKET_US = 25 };

struct node {
    pthread_t thread;
    const char *url;
    struct store *store;
    struct dag *dag;
    uint64_t number, ids, fences;       /* made so far */
    uint32_t index, tasks;
    struct uuid dag_id, run_id;
    int64_t begin_us, end_us;
    uint64_t slices[SLICES], commits, buckets[BUCKETS];
};

static void check(int code, const struct error *err)
{
    if (!code)
        return;
    (void)fprintf(stderr, "store_pg: %s\n", err->text);
    exit(1);
}

static struct uuid make_id(struct node *node)
{
    const uint64_t random[2] = {(uint64_t)clock_boot_us() * 1000003u + node->index, ++node->ids};
    return uuid_make_v7(clock_wall_ms(), random);
}

static void commit(struct node *node, struct batch *batch)
{
    struct error err = {0};
    int64_t began_us = clock_boot_us();
    check(store_commit(node->store, &batch, 1, &err), &err);
    int64_t took_us = clock_boot_us() - began_us;
    size_t bucket = (size_t)(took_us / BUCKET_US);
    node->buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    node->commits++;
    record_batch_free(batch);
}

static struct dag *make_dag(void)
{
    struct buf yaml = BUF_INIT;
    struct dag *dag = NULL;
    buf_add_text(&yaml, "name: bench\ntasks:\n");
    for (int i = 0; i < RUN_TASKS; i++)
        buf_printf(&yaml, "  - {id: t%d, type: shell, command: 'true'}\n", i);
    const struct dag_read_options options = {.tasks_max = RUN_TASKS, .bytes_max = 1000000};
    struct dag_problems problems = {0};
    if (dag_read(yaml.bytes, yaml.len, &options, &problems, &dag) != 0)
        exit(1);
    dag_problems_fini(&problems);
    buf_fini(&yaml);
    return dag;
}

static void create_dag(struct node *node)
{
    struct batch *batch = record_batch_new(++node->number);
    char name[32];
    (void)snprintf(name, sizeof name, "bench-%lld-%u", (long long)clock_wall_ms(), node->index);
    node->dag_id = make_id(node);
    struct record_dag *row = &record_add(batch, RECORD_DAG_CREATE, record_add_group(batch))->dag;
    row->id = node->dag_id;
    row->name = name;
    row->version = 1;
    row->dag = dag_ref(node->dag);
    row->source = "x";
    row->source_len = 1;
    row->time_ms = clock_wall_ms();
    commit(node, batch);
}

static void put_attempt(struct node *node, struct batch *batch, enum record_kind kind, uint32_t task, uint64_t fence)
{
    struct record_attempt *row = &record_add(batch, kind, 0)->attempt;
    int64_t now_ms = clock_wall_ms();
    *row = (struct record_attempt){.run_id = node->run_id, .task = task, .number = 1, .fence = fence,
                                   .state = ATTEMPT_RUNNING, .claimed_ms = now_ms, .exit_code = -1};
    if (kind != RECORD_ATTEMPT_END)
        return;
    row->state = ATTEMPT_SUCCEEDED;
    row->task_state = TASK_SUCCEEDED;
    row->worker = node->dag_id;
    row->started_ms = row->ended_ms = now_ms;
    row->exit_code = 0;
    row->cpu_us = 700;
    row->max_rss_bytes = 1 << 20;
}

static void begin_run(struct node *node, struct batch *batch)
{
    node->run_id = make_id(node);
    struct record_run *row = &record_add(batch, RECORD_RUN_CREATE, record_add_group(batch))->run;
    row->id = node->run_id;
    row->dag_id = node->dag_id;
    row->dag_version = 1;
    row->task_count = RUN_TASKS;
    row->trigger = TRIGGER_API;
    row->created_ms = clock_wall_ms();
    struct record_run *start = &record_add(batch, RECORD_RUN_START, 0)->run;
    start->id = node->run_id;
    start->dag_id = node->dag_id;
    start->started_ms = clock_wall_ms();
}

static void end_run(struct node *node, struct batch *batch)
{
    struct record_run *row = &record_add(batch, RECORD_RUN_END, 0)->run;
    row->id = node->run_id;
    row->dag_id = node->dag_id;
    row->task_count = RUN_TASKS;
    row->state = RUN_SUCCEEDED;
    row->completed_ms = clock_wall_ms();
    row->succeeded_count = RUN_TASKS;
}

/* One run: claims, then ends beside the next claims, as slots become free. */
static void do_run(struct node *node)
{
    uint64_t base = node->store->epoch << 40 | (node->fences + 1);
    node->fences += RUN_TASKS;
    struct batch *batch = record_batch_new(++node->number);
    begin_run(node, batch);
    uint32_t claimed = 0, ended = 0;
    while (ended < RUN_TASKS && clock_boot_us() < node->end_us) {
        uint32_t ends = claimed, done = ends - ended;
        for (; ended < ends; ended++)
            put_attempt(node, batch, RECORD_ATTEMPT_END, ended, base + ended);
        for (uint32_t i = 0; i < node->tasks && claimed < RUN_TASKS; i++, claimed++)
            put_attempt(node, batch, RECORD_ATTEMPT_CLAIM, claimed, base + claimed);
        if (ended == RUN_TASKS)
            end_run(node, batch);
        commit(node, batch);
        int64_t slice = (clock_boot_us() - node->begin_us) * SLICES / (node->end_us - node->begin_us);
        if (slice >= 0 && slice < SLICES)
            node->slices[slice] += done;
        batch = ended < RUN_TASKS ? record_batch_new(++node->number) : NULL;
    }
    if (batch)
        record_batch_free(batch);
}

static void *work(void *context)
{
    struct node *node = context;
    while (clock_boot_us() < node->end_us) {
        int64_t next_ms;
        struct error err = {0};
        do_run(node);
        check(store_maintain(node->store, clock_wall_ms(), false, &next_ms, &err), &err);
    }
    return NULL;
}

static void open_node(struct node *node)
{
    struct error err = {0};
    const struct store_options options = {
        .url = node->url,
        .mode = STORE_CREATE,
        .durability = STORE_DURABILITY_FULL,
        .node = {.id = make_id(node), .host = "bench", .lease_ms = 3600000},
    };
    check(store_open_postgres(&options, &node->store, &err), &err);
    create_dag(node);
}

static double percentile(const struct node *nodes, int count, double part)
{
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < count; i++)
        all += nodes[i].commits;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        for (int i = 0; i < count; i++)
            seen += nodes[i].buckets[bucket];
        if ((double)seen >= part * (double)all)
            return (bucket + 1) * BUCKET_US / 1000.0;
    }
    return BUCKETS * BUCKET_US / 1000.0;
}

static void report(const struct node *nodes, int count, double seconds)
{
    uint64_t tasks = 0, commits = 0;
    for (int i = 0; i < count; i++) {
        commits += nodes[i].commits;
        for (int slice = 0; slice < SLICES; slice++)
            tasks += nodes[i].slices[slice];
    }
    (void)printf("{\"tasks\": %llu, \"rate\": %.1f, \"commits\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"slices\": [",
                 (unsigned long long)tasks, (double)tasks / seconds, (double)commits / seconds,
                 percentile(nodes, count, 0.5), percentile(nodes, count, 0.99));
    for (int slice = 0; slice < SLICES; slice++) {
        uint64_t sum = 0;
        for (int i = 0; i < count; i++)
            sum += nodes[i].slices[slice];
        (void)printf("%s%.1f", slice ? ", " : "", (double)sum * SLICES / seconds);
    }
    (void)printf("]}\n");
}

int main(int argc, char **argv)
{
    static struct node nodes[NODES_MAX];
    int count = argc == 5 ? (int)strtol(argv[2], NULL, 10) : 0;
    double seconds = argc == 5 ? strtod(argv[3], NULL) : 0;
    if (count < 1 || count > NODES_MAX || seconds <= 0) {
        (void)fprintf(stderr, "usage: store_pg URL NODES SECONDS TASKS\n");
        return 2;
    }
    struct dag *dag = make_dag();
    for (int i = 0; i < count; i++) {
        nodes[i] = (struct node){.url = argv[1], .index = (uint32_t)i, .dag = dag,
                                 .tasks = (uint32_t)strtoul(argv[4], NULL, 10)};
        open_node(&nodes[i]);
    }
    int64_t begin_us = clock_boot_us();
    for (int i = 0; i < count; i++) {
        nodes[i].begin_us = begin_us;
        nodes[i].end_us = begin_us + (int64_t)(seconds * 1e6);
        if (pthread_create(&nodes[i].thread, NULL, work, &nodes[i]) != 0)
            return 1;
    }
    for (int i = 0; i < count; i++)
        (void)pthread_join(nodes[i].thread, NULL);
    report(nodes, count, seconds);
    for (int i = 0; i < count; i++)
        store_close(nodes[i].store);
    dag_unref(dag);
    return 0;
}
