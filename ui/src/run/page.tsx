// One run: timeline, graph and table share one selection; the selected task and its log are beside them. Nothing
// selected means the earliest failure.
import { useEffect, useMemo } from "preact/hooks";
import { get, post, taskPath } from "../core/api";
import { at, between, count, duration, local } from "../core/format";
import { addKeys } from "../core/keys";
import { useLoad } from "../core/load";
import { go, here, link, refine, route, wanted } from "../core/route";
import { may } from "../core/session";
import { quoted } from "../core/shell";
import type { Run, Task } from "../core/types";
import { Commands, Confirm, Id, Problem, Search, Tabs, Time, Title, attempt } from "../parts/parts";
import { State } from "../parts/state";
import { RunGraph } from "./graph";
import { type RunModel, earliestFailure, notEnded, useRun } from "./model";
import { TaskTable } from "./table";
import { TaskPane } from "./task";
import { Timeline } from "./timeline";

// What the three views are given.
export interface Shown {
  model: RunModel;
  tasks: Task[];         // what the filter leaves
  selected: Task | undefined;
  critical: ReadonlySet<string>;
  choose: (task: Task) => void;
}

export function RunPage() {
  const runId = route.value.path[1] ?? "";
  const model = useRun(runId);
  const head = model.head.value;
  if (!head) return <main class="page" tabIndex={-1} aria-busy={!model.error.value}><Title text="Run" /><Problem error={model.error.value ?? undefined} /></main>;
  return <Loaded model={model} head={head} />;
}

function useFiltered(model: RunModel): Task[] {
  const state = wanted("state"), text = wanted("q").toLowerCase();
  const tick = model.tick.value;
  return useMemo(() => {
    if (!state && !text) return [...model.tasks];
    const has = (field: string | null) => (field ?? "").toLowerCase().includes(text);
    return model.tasks.filter((task) => (!state || task.state === state) && (!text || has(task.taskId) || has(task.name) || has(task.error)));
  }, [tick, state, text]);
}

interface CriticalPath {
  waitSeconds: number;
  runSeconds: number;
  tasks: { taskId: string }[];
}

function Loaded({ model, head }: { model: RunModel; head: Run }) {
  const view = wanted("view") || "timeline";
  const tasks = useFiltered(model);
  const critical = useLoad(`${head.runId}.${head.state}`, (abort) => get<CriticalPath>(`api/v1/runs/${head.runId}/critical-path`, abort));
  const onPath = useMemo(() => new Set(critical.value?.tasks.map((task) => task.taskId)), [critical.value]);
  const name = wanted("task");
  const selected = name === "-" ? undefined : model.task(name) ?? (name ? undefined : earliestFailure(model.tasks));
  const choose = (task: Task) => refine({ task: task.taskId, attempt: undefined, at: undefined });
  useEffect(() => addKeys([
    { key: "t", says: "timeline", act: () => go(here({ view: undefined })) },
    { key: "v", says: "graph", act: () => go(here({ view: "graph" })) },
    { key: "b", says: "table", act: () => go(here({ view: "table" })) },
    { key: "e", says: "the earliest failure", act: () => { const task = earliestFailure(model.tasks); if (task) choose(task); } },
  ]), []);
  const shown: Shown = { model, tasks, selected, critical: onPath, choose };
  return (
    <main class="fill" tabIndex={-1}>
      <Title text={`${head.dagName} ${head.state}`} />
      <Heading model={model} head={head} path={critical.value} />
      <div class="filters">
        <Tabs name="view" value={view} tabs={[["timeline", "Timeline"], ["graph", "Graph"], ["table", "Table"]]} />
        <Counts model={model} />
        <Search label="find a task" value={wanted("q")} change={(q) => refine({ q })} find />
        {may("operator") && <Actions model={model} head={head} />}
      </div>
      <div class={selected ? "split" : "split one"}>
        <section class="main-pane" aria-label={view}>
          {view === "graph" ? <RunGraph {...shown} head={head} /> : view === "table" ? <TaskTable {...shown} /> : <Timeline {...shown} head={head} />}
        </section>
        {selected && <TaskPane key={selected.taskId} run={head} task={selected} critical={onPath.has(selected.taskId)} />}
      </div>
      {selected
        ? <Commands cli={`pawl logs ${head.runId} ${quoted(selected.taskId)}`} curl={`${taskPath(head.runId, selected.taskId)}/log`} />
        : <Commands cli={`pawl runs show ${head.runId}`} curl={`api/v1/runs/${head.runId}`} />}
    </main>
  );
}

function Heading({ model, head, path }: { model: RunModel; head: Run; path: CriticalPath | undefined }) {
  const error = model.error.value;
  return (
    <div class="heading">
      <h1><a href={link(["dag", head.dagId])}>{head.dagName}</a> <span class="soft">v{head.version}</span> <Id id={head.runId} /> <State state={head.state} /></h1>
      <p class="facts">
        <span>by {head.triggeredBy} <Time time={head.createdAt} />, {local(head.createdAt)}</span>
        {head.scheduledFor && <span>for {at(head.scheduledFor)}</span>}
        {head.source && <span>again of <Id id={head.source} href={link(["run", head.source])} /></span>}
        {head.startedAt && <span>{head.completedAt ? "took" : "runs for"} {between(head.startedAt, head.completedAt)}</span>}
        {path && path.tasks.length > 0 && <span title="the tasks that made the run as long as it was">critical path: {count(path.tasks.length, "task")}, ran {duration(path.runSeconds * 1000)}, waited {duration(path.waitSeconds * 1000)}</span>}
        {head.cancelRequestedAt && <span>cancel asked for <Time time={head.cancelRequestedAt} /></span>}
        {head.error && <strong class="cause">{head.error}</strong>}
      </p>
      {error && <Problem error={error} />}
    </div>
  );
}

function Counts({ model }: { model: RunModel }) {
  void model.tick.value;
  const filter = wanted("state");
  return (
    <span class="chips" role="group" aria-label="tasks by state">
      {Object.entries(model.counts).filter(([state, n]) => n > 0 || state === filter).map(([state, n]) => (
        <button key={state} class="chip" aria-pressed={filter === state} onClick={() => go(here({ state: filter === state ? undefined : state }))}>
          <State state={state} /> <b>{n}</b>
        </button>
      ))}
    </span>
  );
}

function Actions({ model, head }: { model: RunModel; head: Run }) {
  void model.tick.value;
  const rerun = (from: string) => attempt("Started a new run", async () => {
    const run = await post<Run>(`api/v1/runs/${head.runId}/rerun`, { from });
    go(link(["run", run.runId]));
  });
  if (!head.completedAt) {
    const left = notEnded(model.counts);
    return (
      <span class="actions">
        <Confirm label="Cancel" question={`Cancel ${count(left, "task")} of this run?`}
          act={() => void attempt("Cancel asked for", () => post(`api/v1/runs/${head.runId}/cancel`))} />
      </span>
    );
  }
  const again = model.tasks.length - model.counts.succeeded;
  return (
    <span class="actions">
      {again > 0 && <button onClick={() => void rerun("failed")}>Rerun {count(again, "task")} that did not succeed</button>}
      <Confirm label="Rerun all" question={`Run all ${count(model.tasks.length, "task")} again?`} act={() => void rerun("all")} />
    </span>
  );
}
