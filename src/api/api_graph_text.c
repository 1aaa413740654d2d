/* Graphs for other programs: Graphviz's language and SVG. Names are anybody's text: each is written as the language
 * has it for text, and none of it can end what it stands in. */
#include "api/api_graph.h"

#include "state/state.h"

enum { LABEL_CHARACTERS_MAX = 22, CORNER = 6 };

/* As the UI has them on a light ground; a letter says the same without colour. */
static const struct {
    const char *fill, *line, *letter;
} looks[TASK_STATE_COUNT] = {
    [TASK_PENDING] = {"#f6f8fa", "#8c959f", "P"},   [TASK_QUEUED] = {"#fff8c5", "#9a6700", "Q"},
    [TASK_RUNNING] = {"#ddf4ff", "#0969da", "R"},   [TASK_SUCCEEDED] = {"#dafbe1", "#1a7f37", "S"},
    [TASK_FAILED] = {"#ffebe9", "#cf222e", "F"},    [TASK_SKIPPED] = {"#eaeef2", "#57606a", "K"},
    [TASK_CANCELED] = {"#fbefff", "#8250df", "C"},
};

/* ---- DOT ---- */

static void put_quoted(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_add_char(out, '\\');
        if (*text == '\n')
            buf_add_text(out, "\\n");
        else
            buf_add_char(out, *text);
    }
    buf_add_char(out, '"');
}

static void put_dot_groups(const struct api_graph *graph, struct buf *out)
{
    for (uint32_t i = 0; i < graph->sum.group_count; i++)
        buf_printf(out, "  %u [label=\"layers %u to %u: %u tasks\"];\n", i, graph->sum.groups[i].first_layer,
                   graph->sum.groups[i].last_layer, graph->sum.groups[i].node_count);
    for (uint32_t i = 0; i < graph->sum.link_count; i++)
        buf_printf(out, "  %u -> %u [label=\"%u\"];\n", graph->sum.links[i].from, graph->sum.links[i].to,
                   graph->sum.links[i].edge_count);
}

static void put_dot_nodes(const struct api_graph *graph, struct buf *out)
{
    for (uint32_t i = 0; i < graph->dag->task_count; i++) {
        const struct dag_task *task = &graph->dag->tasks[i];
        buf_add_text(out, "  ");
        put_quoted(out, task->id);
        buf_add_text(out, " [label=");
        put_quoted(out, task->name);
        if (graph->states)
            buf_printf(out, ", style=filled, fillcolor=\"%s\", color=\"%s\", tooltip=\"%s\"",
                       looks[graph->states[i]].fill, looks[graph->states[i]].line,
                       state_task_name((enum task_state)graph->states[i]));
        buf_add_text(out, "];\n");
    }
    for (uint32_t i = 0; i < graph->dag->task_count; i++) {
        for (uint32_t e = graph->graph.edge_start[i]; e < graph->graph.edge_start[i + 1]; e++) {
            buf_add_text(out, "  ");
            put_quoted(out, graph->dag->tasks[graph->graph.edges[e]].id);
            buf_add_text(out, " -> ");
            put_quoted(out, graph->dag->tasks[i].id);
            buf_add_text(out, ";\n");
        }
    }
}

void api_graph_write_dot(const struct api_graph *graph, struct buf *out)
{
    buf_add_text(out, "digraph ");
    put_quoted(out, graph->dag->name);
    buf_add_text(out, " {\n  rankdir=LR;\n  node [shape=box];\n");
    if (graph->is_summed)
        put_dot_groups(graph, out);
    else
        put_dot_nodes(graph, out);
    buf_add_text(out, "}\n");
}

/* ---- SVG ---- */

static bool is_inside_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Text of XML, cut after so many characters; 0: all of it. Control characters, which XML has no way to write, become
 * the sign for an unknown one. */
static void put_escaped(struct buf *out, const char *text, size_t characters_max)
{
    for (size_t count = 0; *text; text++) {
        count += !is_inside_character(*text);
        if (characters_max && count > characters_max) {
            buf_add_text(out, "\xe2\x80\xa6");
            return;
        }
        if (*text == '<')
            buf_add_text(out, "&lt;");
        else if (*text == '>')
            buf_add_text(out, "&gt;");
        else if (*text == '&')
            buf_add_text(out, "&amp;");
        else if (*text == '"')
            buf_add_text(out, "&quot;");
        else if ((unsigned char)*text < 0x20)
            buf_add_text(out, "\xef\xbf\xbd");
        else
            buf_add_char(out, *text);
    }
}

static void put_box(struct buf *out, struct layout_point corner, const char *fill, const char *line)
{
    buf_printf(out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" fill=\"%s\" stroke=\"%s\"/>\n",
               corner.x, corner.y, LAYOUT_NODE_WIDTH, LAYOUT_NODE_HEIGHT, CORNER, fill, line);
}

static void put_label_start(struct buf *out, struct layout_point corner)
{
    buf_printf(out, "<text x=\"%d\" y=\"%d\">", corner.x + 10, corner.y + LAYOUT_NODE_HEIGHT / 2 + 4);
}

static void put_svg_node(const struct api_graph *graph, uint32_t task, struct buf *out)
{
    struct layout_point corner = graph->layout.nodes[task].corner;
    enum task_state state = graph->states ? (enum task_state)graph->states[task] : TASK_PENDING;
    buf_add_text(out, "<g><title>");
    put_escaped(out, graph->dag->tasks[task].id, 0);
    if (graph->states)
        buf_printf(out, ": %s", state_task_name(state));
    buf_add_text(out, "</title>\n");
    put_box(out, corner, looks[state].fill, looks[state].line);
    put_label_start(out, corner);
    put_escaped(out, graph->dag->tasks[task].name, LABEL_CHARACTERS_MAX - (graph->states ? 2 : 0));
    buf_add_text(out, "</text>\n");
    if (graph->states)
        buf_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" font-weight=\"bold\" fill=\"%s\">%s</text>\n",
                   corner.x + LAYOUT_NODE_WIDTH - 8, corner.y + LAYOUT_NODE_HEIGHT / 2 + 4, looks[state].line,
                   looks[state].letter);
    buf_add_text(out, "</g>\n");
}

static void put_svg_edges(const struct api_graph *graph, struct buf *out)
{
    const struct layout *layout = &graph->layout;
    buf_add_text(out, "<g fill=\"none\" stroke=\"#8c959f\" marker-end=\"url(#end)\">\n");
    for (uint32_t i = 0; i < graph->graph.node_count; i++) {
        for (uint32_t e = graph->graph.edge_start[i]; e < graph->graph.edge_start[i + 1]; e++) {
            struct layout_point from = layout->nodes[graph->graph.edges[e]].corner, to = layout->nodes[i].corner;
            buf_printf(out, "<polyline points=\"%d,%d", from.x + LAYOUT_NODE_WIDTH, from.y + LAYOUT_NODE_HEIGHT / 2);
            for (uint32_t p = layout->bend_start[e]; p < layout->bend_start[e + 1]; p++)
                buf_printf(out, " %d,%d", layout->points[p].x, layout->points[p].y);
            buf_printf(out, " %d,%d\"/>\n", to.x, to.y + LAYOUT_NODE_HEIGHT / 2);
        }
    }
    buf_add_text(out, "</g>\n");
}

static void put_svg_groups(const struct api_graph *graph, struct buf *out)
{
    for (uint32_t i = 0; i < graph->sum.group_count; i++) {
        const struct layout_group *group = &graph->sum.groups[i];
        put_box(out, group->corner, looks[TASK_PENDING].fill, looks[TASK_PENDING].line);
        put_label_start(out, group->corner);
        buf_printf(out, "layers %u to %u: %u tasks</text>\n", group->first_layer, group->last_layer,
                   group->node_count);
    }
}

void api_graph_write_svg(const struct api_graph *graph, struct buf *out)
{
    int32_t width = graph->is_summed ? graph->sum.width : graph->layout.width;
    int32_t height = graph->is_summed ? graph->sum.height : graph->layout.height;
    buf_printf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"-16 -16 %d %d\" "
               "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1b1f24\">\n<title>",
               width + 32, height + 32, width + 32, height + 32);
    put_escaped(out, graph->dag->name, 0);
    buf_add_text(out, "</title>\n<defs><marker id=\"end\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" "
                 "markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"#8c959f\"/></marker></defs>\n"
                 "<rect x=\"-16\" y=\"-16\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
    if (graph->is_summed) {
        put_svg_groups(graph, out);
    } else {
        put_svg_edges(graph, out);
        for (uint32_t i = 0; i < graph->graph.node_count; i++)
            put_svg_node(graph, i, out);
    }
    buf_add_text(out, "</svg>\n");
}
