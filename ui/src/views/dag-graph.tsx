// The graph of a DAG's latest version, without states.
import { useMemo } from "preact/hooks";
import { get } from "../core/api";
import { count } from "../core/format";
import { useLoad } from "../core/load";
import { go, here, refine, wanted } from "../core/route";
import type { Dag, Graph } from "../core/types";
import { GraphBox } from "../graph/box";
import { type Plan, planOf, reach } from "../graph/plan";
import { Problem, Search, Select } from "../parts/parts";

export function DagGraph({ dag }: { dag: Dag }) {
  const path = `api/v1/dags/${dag.id}/graph`;
  const graph = useLoad(`${dag.id}.${dag.version}`, (abort) => get<Graph>(path, abort));
  if (graph.error) return <Problem error={graph.error} />;
  if (!graph.value) return <p class="empty" aria-busy="true">laying out…</p>;
  return (
    <PlainGraph graph={graph.value}>
      <a href={`${path}?format=svg`} download={`${dag.name}.svg`}>SVG</a>
      <a href={`${path}?format=dot`} download={`${dag.name}.dot`}>DOT</a>
    </PlainGraph>
  );
}

// Found tasks and the relatives of the selected one stand out.
export function PlainGraph({ graph, children }: { graph: Graph; children?: preact.ComponentChildren }) {
  const plan = useMemo(() => planOf(graph), [graph]);
  const text = wanted("q").toLowerCase(), only = wanted("only"), task = wanted("task");
  const bright = useMemo(() => brightOf(plan, text, only, task), [plan, text, only, task]);
  const names = plan.ids.length <= 2000 ? plan.ids.map((_, i) => `${plan.names[i]}${plan.needs[i]!.length ? ` after ${plan.needs[i]!.map((k) => plan.ids[k]).join(", ")}` : ""}`) : [];
  return (
    <>
      <GraphBox plan={plan} selected={task || undefined} choose={(id) => refine({ task: id })} lookKey={`${text}|${only}|${only ? task : ""}`}
        look={() => ({ state: () => "", bright, critical: new Set() })} label={`Graph of ${count(graph.taskCount, "task")} and ${count(graph.edgeCount, "dependency", "dependencies")}. Below it is a list of the same.`}>
        <Search label="find a task" value={wanted("q")} change={(q) => refine({ q })} find />
        <Select label="Show" value={only} choose={(value) => go(here({ only: value }))} options={[["", "all tasks"], ["up", "what it needs"], ["down", "what needs it"], ["both", "both"]]} />
        <span class="soft">{count(graph.taskCount, "task")}, {count(graph.edgeCount, "dependency", "dependencies")}{plan.grouped && "; too many for boxes: layers are drawn as groups"}</span>
        {children}
      </GraphBox>
      {names.length > 0 && <details class="as-text"><summary>The same as text</summary><ol>{names.map((line, i) => <li key={plan.ids[i]}>{line}</li>)}</ol></details>}
    </>
  );
}

function brightOf(plan: Plan, text: string, only: string, task: string): Set<number> | null {
  const start = plan.index.get(task) ?? -1;
  if (only && start >= 0) return new Set([...(only !== "down" ? reach(plan.needs, start) : []), ...(only !== "up" ? reach(plan.feeds, start) : [])]);
  if (!text) return null;
  return new Set(plan.ids.map((_, i) => i).filter((i) => plan.ids[i]!.toLowerCase().includes(text) || plan.names[i]!.toLowerCase().includes(text)));
}
