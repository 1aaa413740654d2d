// The run's graph with the states of its tasks, live. The table says the same as text.
import { useMemo } from "preact/hooks";
import { get } from "../core/api";
import { count } from "../core/format";
import { useLoad } from "../core/load";
import { go, here, wanted } from "../core/route";
import type { Graph, Run } from "../core/types";
import { GraphBox } from "../graph/box";
import { type Plan, planOf, reach } from "../graph/plan";
import { Problem, Select } from "../parts/parts";
import type { Shown } from "./page";

const relations: [string, string][] = [["", "all tasks"], ["up", "what it needs"], ["down", "what needs it"], ["both", "both"], ["failed", "failed only"]];

export function RunGraph({ model, tasks, selected, critical, choose, head }: Shown & { head: Run }) {
  const graph = useLoad(`${head.dagId}.${head.version}`, (abort) => get<Graph>(`api/v1/dags/${head.dagId}/graph?version=${head.version}`, abort));
  const plan = useMemo(() => graph.value && planOf(graph.value), [graph.value]);
  const changes = useMemo(() => (hear: (indexes: number[]) => void) => model.turn.subscribe(() => hear(model.changed)), [model]);
  if (graph.error) return <Problem error={graph.error} />;
  if (!graph.value || !plan) return <div aria-busy="true" class="empty">laying out…</div>;
  const only = wanted("only");
  const filtered = wanted("q") || wanted("state") ? new Set(tasks.map((task) => task.taskId)) : null;
  const bright = brightOf(plan, only, selected?.taskId, filtered, only === "failed" ? model.tasks.filter((t) => t.state === "failed").map((t) => t.taskId) : []);
  const onPath = new Set([...critical].map((id) => plan.index.get(id)).filter((i): i is number => i !== undefined));
  return (
    <GraphBox plan={plan} selected={selected?.taskId} changes={changes}
      lookKey={`${only}|${bright ? [...bright].join() : ""}|${onPath.size}`}
      look={() => ({ state: (i) => (plan.grouped ? "" : model.tasks[i]?.state ?? ""), bright, critical: onPath })}
      choose={(id) => { const task = model.task(id); if (task) choose(task); }}
      label={`Graph of ${count(graph.value.taskCount, "task")} and ${count(graph.value.edgeCount, "dependency", "dependencies")}. The table shows the same as text.`}>
      <Select label="Show" value={only} options={relations} choose={(value) => go(here({ only: value }))} />
      <span class="soft">{count(graph.value.taskCount, "task")}, {count(graph.value.edgeCount, "dependency", "dependencies")}{plan.grouped ? "; too many for boxes: layers are drawn as groups" : ""}</span>
      <a href={`api/v1/runs/${head.runId}/graph?format=svg`} download={`${head.dagName}.svg`}>SVG</a>
      <a href={`api/v1/runs/${head.runId}/graph?format=dot`} download={`${head.dagName}.dot`}>DOT</a>
    </GraphBox>
  );
}

function brightOf(plan: Plan, only: string, selected: string | undefined, filtered: Set<string> | null, failed: string[]): Set<number> | null {
  const at = (id: string) => plan.index.get(id) ?? -1;
  if (only === "failed") return new Set(failed.map(at));
  const start = selected === undefined ? -1 : at(selected);
  if (only && start >= 0) {
    const up = only !== "down" ? reach(plan.needs, start) : new Set<number>();
    const down = only !== "up" ? reach(plan.feeds, start) : new Set<number>();
    return new Set([...up, ...down]);
  }
  return filtered && new Set([...filtered].map(at));
}
