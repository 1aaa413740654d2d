/* Graphs of DAGs and runs, laid out here so that a browser need not do it. */
#include "api/api_graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api_cache.h"
#include "api/api_call.h"
#include "api/api_dag.h"
#include "api/api_handlers.h"
#include "api/api_run.h"
#include "api/api_source.h"
#include "base/json.h"
#include "base/map.h"
#include "state/state.h"

enum format { FORMAT_JSON, FORMAT_DOT, FORMAT_SVG };

static const char *const media_types[] = {"application/json", "text/vnd.graphviz", "image/svg+xml"};
static const char *const extensions[] = {"json", "gv", "svg"};

/* What keeps a picture that is opened by itself from doing anything. */
static const char picture_policy[] = "default-src 'none'; sandbox; frame-ancestors 'none'";

const char *api_names_graph_formats(unsigned index)
{
    static const char *const names[] = {"json", "dot", "svg"};
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

static void lay_out(struct api_graph *graph, struct arena *arena)
{
    const struct dag *dag = graph->dag;
    uint32_t *start = arena_alloc(arena, (dag->task_count + 1) * sizeof *start);
    uint32_t *edges = arena_alloc(arena, (dag->edge_count + 1) * sizeof *edges), count = 0;
    for (uint32_t i = 0; i < dag->task_count; i++) {
        start[i] = count;
        for (uint32_t k = 0; k < dag->tasks[i].dependency_count; k++)
            edges[count++] = dag->tasks[i].dependencies[k];
    }
    start[dag->task_count] = count;
    graph->graph = (struct layout_graph){dag->task_count, start, edges};
    graph->is_summed = dag->task_count > LAYOUT_NODES_MAX || count > LAYOUT_EDGES_MAX;
    if (graph->is_summed)
        layout_sum_up(&graph->graph, arena, &graph->sum);
    else
        layout_make(&graph->graph, arena, &graph->layout);
}

/* ---- JSON ---- */

static void add_corner(struct json *json, struct layout_point corner)
{
    json_kv_int(json, "x", corner.x);
    json_kv_int(json, "y", corner.y);
}

static void add_nodes(struct json *json, const struct api_graph *graph)
{
    json_key(json, "nodes");
    json_begin_array(json);
    for (uint32_t i = 0; i < graph->graph.node_count; i++) {
        const struct dag_task *task = &graph->dag->tasks[i];
        json_begin_object(json);
        json_kv_string(json, "taskId", task->id);
        json_kv_string(json, "name", task->name);
        json_kv_string(json, "type", dag_task_type_name(task->type));
        json_kv_int(json, "layer", graph->layout.nodes[i].layer);
        add_corner(json, graph->layout.nodes[i].corner);
        if (graph->states)
            json_kv_string(json, "state", state_task_name((enum task_state)graph->states[i]));
        json_end_object(json);
    }
    json_end_array(json);
}

static void add_edges(struct json *json, const struct api_graph *graph)
{
    const struct layout *layout = &graph->layout;
    json_key(json, "edges");
    json_begin_array(json);
    for (uint32_t i = 0; i < graph->graph.node_count; i++) {
        for (uint32_t e = graph->graph.edge_start[i]; e < graph->graph.edge_start[i + 1]; e++) {
            json_begin_array(json);
            json_add_int(json, graph->graph.edges[e]);
            json_add_int(json, i);
            for (uint32_t p = layout->bend_start[e]; p < layout->bend_start[e + 1]; p++) {
                json_add_int(json, layout->points[p].x);
                json_add_int(json, layout->points[p].y);
            }
            json_end_array(json);
        }
    }
    json_end_array(json);
}

static void add_groups(struct json *json, const struct api_graph *graph)
{
    const struct layout_sum *sum = &graph->sum;
    json_key(json, "groups");
    json_begin_array(json);
    for (uint32_t i = 0; i < sum->group_count; i++) {
        const struct layout_group *group = &sum->groups[i];
        json_begin_object(json);
        json_kv_int(json, "layer", group->first_layer);
        json_kv_int(json, "lastLayer", group->last_layer);
        json_kv_int(json, "taskCount", group->node_count);
        json_kv_string(json, "firstTaskId", graph->dag->tasks[group->first_node].id);
        add_corner(json, group->corner);
        json_end_object(json);
    }
    json_end_array(json);
    json_key(json, "groupEdges");
    json_begin_array(json);
    for (uint32_t i = 0; i < sum->link_count; i++) {
        json_begin_array(json);
        json_add_int(json, sum->links[i].from);
        json_add_int(json, sum->links[i].to);
        json_add_int(json, sum->links[i].edge_count);
        json_end_array(json);
    }
    json_end_array(json);
}

static void write_json(const struct api_graph *graph, struct buf *out)
{
    bool is_summed = graph->is_summed;
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_kv_uuid(&json, "dagId", graph->dag_id);
    json_kv_string(&json, "dagName", graph->dag->name);
    if (graph->version)
        json_kv_int(&json, "version", graph->version);
    else
        json_kv_null(&json, "version");
    json_kv_uuid(&json, "runId", graph->run_id);
    json_kv_int(&json, "taskCount", graph->dag->task_count);
    json_kv_int(&json, "edgeCount", graph->dag->edge_count);
    json_kv_bool(&json, "collapsed", is_summed);
    json_kv_int(&json, "layers", is_summed ? graph->sum.layer_count : graph->layout.layer_count);
    json_kv_int(&json, "width", is_summed ? graph->sum.width : graph->layout.width);
    json_kv_int(&json, "height", is_summed ? graph->sum.height : graph->layout.height);
    json_kv_int(&json, "nodeWidth", LAYOUT_NODE_WIDTH);
    json_kv_int(&json, "nodeHeight", LAYOUT_NODE_HEIGHT);
    if (is_summed) {
        json_kv_null(&json, "nodes");
        json_kv_null(&json, "edges");
        add_groups(&json, graph);
    } else {
        add_nodes(&json, graph);
        add_edges(&json, graph);
        json_kv_null(&json, "groups");
        json_kv_null(&json, "groupEdges");
    }
    json_end_object(&json);
}

/* ---- answers ---- */

static void write_graph(const struct api_graph *graph, enum format format, struct buf *out)
{
    if (format == FORMAT_JSON)
        write_json(graph, out);
    else if (format == FORMAT_DOT)
        api_graph_write_dot(graph, out);
    else
        api_graph_write_svg(graph, out);
}

static void reply(struct api_call *call, enum format format, const struct api_graph *graph, struct buf *take_body)
{
    char id[UUID_TEXT_LEN + 1];
    if (format != FORMAT_JSON) {
        uuid_format(uuid_is_zero(graph->run_id) ? graph->dag_id : graph->run_id, id);
        api_reply_header(call, "Content-Disposition",
                         arena_printf(api_arena(call), "inline; filename=\"graph-%s.%s\"", id, extensions[format]));
        api_reply_header(call, "Content-Security-Policy", picture_policy);
    }
    api_reply(call, 200, media_types[format], take_body);
}

/* `name` is of an answer that never changes: pawl's own version may change how it is drawn. NULL: it may change. The
 * graph is made only where nobody has it. */
static void reply_graph(struct api_call *call, struct api_graph *graph, const char *name)
{
    char tag[20];
    struct buf body = BUF_INIT;
    enum format format = (enum format)call->query[API_QUERY_FORMAT].number;
    if (name) {
        name = arena_printf(api_arena(call), "graph %s %s %d", PAWL_VERSION, name, (int)format);
        (void)snprintf(tag, sizeof tag, "%016" PRIx64, map_hash_stable(name, strlen(name)));
        if (api_reply_etag(call, tag))
            return;
    }
    if (!name || !api_cache_get(call->api->cache, name, &body)) {
        lay_out(graph, api_arena(call));
        write_graph(graph, format, &body);
        if (name)
            api_cache_put(call->api->cache, name, &body);
    }
    reply(call, format, graph, &body);
    buf_fini(&body);
}

void api_get_dag_graph(struct api_call *call)
{
    struct store_dag dag;
    struct error err;
    char id[UUID_TEXT_LEN + 1];
    if (!api_dag_find(call, true, &dag))
        return;
    const struct api_value *wanted = &call->query[API_QUERY_VERSION];
    uint32_t version = wanted->given ? (uint32_t)wanted->number : dag.version;
    if (version > dag.version) {
        api_fail(call, ERROR_DAG_NOT_FOUND, "The DAG has no version %u; the latest is %u", version, dag.version);
        return;
    }
    if (api_source_get(call->api, dag.id, version, &call->dag, &err)) {
        api_fail_error(call, &err);
        return;
    }
    struct api_graph graph = {.dag = call->dag, .dag_id = dag.id, .version = version};
    uuid_format(dag.id, id);
    reply_graph(call, &graph, arena_printf(api_arena(call), "%s %u", id, version));
}

/* The state of each task, in the arena. */
static int load_states(struct api_call *call, struct api_run *run, uint8_t **ret_states, struct error *err)
{
    uint8_t *states = arena_alloc(api_arena(call), run->run.task_count + 1);
    int rc = api_run_load(call->api, run, err);
    for (uint32_t i = 0; !rc && i < run->run.task_count; i++)
        states[i] = (uint8_t)api_run_state(run, i);
    *ret_states = states;
    return rc;
}

void api_get_run_graph(struct api_call *call)
{
    struct api_run run;
    struct error err;
    char id[UUID_TEXT_LEN + 1];
    uint8_t *states;
    if (api_run_find(call->api, call->id, api_arena(call), &run, &err)) {
        api_fail_error(call, &err);
        return;
    }
    if (load_states(call, &run, &states, &err)) {
        api_fail_error(call, &err);
    } else {
        struct api_graph graph = {.dag = run.dag,
                                  .dag_id = run.run.dag_id,
                                  .version = run.run.dag_version,
                                  .run_id = run.run.id,
                                  .states = states};
        uuid_format(run.run.id, id);
        reply_graph(call, &graph, state_run_is_terminal(run.run.state) ? arena_strdup(api_arena(call), id) : NULL);
    }
    api_run_fini(&run);
}

void api_draw_dag(struct api_call *call)
{
    if (!api_dag_take_yaml(call, NULL))
        return;
    struct api_graph graph = {.dag = call->dag};
    reply_graph(call, &graph, NULL);
}
