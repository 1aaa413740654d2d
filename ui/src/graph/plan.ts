// A graph as the daemon laid it out, made ready for drawing and walking: plain arrays, indexes in the order of the DAG
// file. A graph too big for boxes comes as groups, which are drawn as boxes too.
import type { Graph } from "../core/types";

export interface Plan {
  ids: string[];
  names: string[];
  x: Float64Array;
  y: Float64Array;
  w: Float64Array;
  h: Float64Array;
  edges: Edge[];
  needs: number[][]; // dependencies of a node
  feeds: number[][]; // its dependents
  width: number;
  height: number;
  grouped: boolean;
  index: Map<string, number>;
}

export interface Edge {
  from: number;
  to: number;
  points: number[]; // x, y of start, bends and end
  left: number; right: number; top: number; bottom: number;
}

interface Box {
  id: string;
  name: string;
  x: number; y: number; w: number; h: number;
}

function boxesOf(graph: Graph): Box[] {
  if (graph.nodes) {
    return graph.nodes.map((node) => ({ id: node.taskId, name: node.name, x: node.x, y: node.y, w: graph.nodeWidth, h: graph.nodeHeight }));
  }
  return (graph.groups ?? []).map((group) => ({
    id: group.firstTaskId, name: group.taskCount === 1 ? group.firstTaskId : `${group.taskCount} tasks`, x: group.x, y: group.y, w: group.width, h: group.height,
  }));
}

function edgeOf(boxes: Box[], flat: number[], grouped: boolean): Edge {
  const from = flat[0]!, to = flat[1]!, a = boxes[from]!, b = boxes[to]!;
  const bends = grouped ? [] : flat.slice(2);
  const points = [a.x + a.w, a.y + a.h / 2, ...bends, b.x, b.y + b.h / 2];
  const xs = points.filter((_, i) => i % 2 === 0), ys = points.filter((_, i) => i % 2 === 1);
  return { from, to, points, left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

export function planOf(graph: Graph): Plan {
  const boxes = boxesOf(graph);
  const column = (field: "x" | "y" | "w" | "h") => Float64Array.from(boxes, (box) => box[field]);
  const edges = (graph.edges ?? graph.groupEdges ?? []).map((flat) => edgeOf(boxes, flat, graph.collapsed));
  const needs: number[][] = boxes.map(() => []), feeds: number[][] = boxes.map(() => []);
  for (const { from, to } of edges) {
    feeds[from]!.push(to);
    needs[to]!.push(from);
  }
  return {
    ids: boxes.map((box) => box.id), names: boxes.map((box) => box.name), x: column("x"), y: column("y"), w: column("w"), h: column("h"),
    edges, needs, feeds, width: graph.width, height: graph.height, grouped: graph.collapsed, index: new Map(boxes.map((box, i) => [box.id, i])),
  };
}

// All that can be reached by `next`, the start included.
export function reach(next: number[][], start: number): Set<number> {
  const seen = new Set([start]);
  const open = [start];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const other of next[at]!) {
      if (seen.has(other)) continue;
      seen.add(other);
      open.push(other);
    }
  }
  return seen;
}
