// One DAG: its runs, its graph, the grid of tasks and runs, its versions, its source.
import { useEffect } from "preact/hooks";
import { get, remove } from "../core/api";
import { listen } from "../core/events";
import { between, count, seconds } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { go, link, route, wanted } from "../core/route";
import { may } from "../core/session";
import { quoted } from "../core/shell";

import type { Dag, Run } from "../core/types";
import { type Column, List } from "../parts/list";
import { RunMarks } from "../parts/marks";
import { Commands, Confirm, Empty, Id, Problem, Tabs, Time, Title, attempt } from "../parts/parts";
import { State } from "../parts/state";
import { runNow, setPaused } from "./dags";
import { DagGraph } from "./dag-graph";
import { HistoryGrid } from "./history";
import { Progress } from "./runs";
import { SourcePane } from "./source";
import { Versions } from "./versions";

const tabs: [string, string][] = [["runs", "Runs"], ["graph", "Graph"], ["history", "History"], ["versions", "Versions"], ["source", "Source"]];

export function DagPage() {
  const id = route.value.path[1] ?? "";
  const dag = useLoad(id, (abort) => get<Dag>(`api/v1/dags/${id}?lastRuns=20`, abort));
  const reload = useThrottled(dag.again, 1000);
  useEffect(() => listen((event) => {
    if (event.name === "reset" || (event.name === "run" && event.data.dagId === id)) reload();
  }), []);
  if (!dag.value) return <main class="page" tabIndex={-1} aria-busy={dag.loading}><Title text="DAG" /><Problem error={dag.error} /></main>;
  const tab = wanted("tab") || "runs";
  return (
    <main class="fill" tabIndex={-1}>
      <Title text={dag.value.name} />
      <Heading dag={dag.value} />
      <div class="filters">
        <Tabs name="tab" value={tab} tabs={tabs} />
        <Actions dag={dag.value} again={dag.again} />
      </div>
      <Problem error={dag.error} />
      <Tab dag={dag.value} tab={tab} again={dag.again} />
      <TabCommands dag={dag.value} tab={tab} />
    </main>
  );
}

function TabCommands({ dag, tab }: { dag: Dag; tab: string }) {
  const name = quoted(dag.name), runs = `pawl runs list --dag ${name}`, show = `pawl dags show ${name}`;
  const cli: Record<string, string> = { graph: show, history: runs, versions: show, source: `${show} --source` };
  return <Commands cli={cli[tab] ?? runs} curl={`api/v1/dags/${dag.id}/${tabs.some(([own]) => own === tab) ? tab : "runs"}`} />;
}

function Tab({ dag, tab, again }: { dag: Dag; tab: string; again: () => void }) {
  switch (tab) {
    case "graph": return <DagGraph dag={dag} />;
    case "history": return <HistoryGrid dag={dag} />;
    case "versions": return <Versions dag={dag} />;
    case "source": return <SourcePane dag={dag} saved={again} />;
    default: return <DagRuns dag={dag} />;
  }
}

function Heading({ dag }: { dag: Dag }) {
  const stats = dag.stats;
  return (
    <div class="heading">
      <h1>{dag.name} <span class="soft">v{dag.version}</span> {stats && <RunMarks runs={stats.lastRuns} />}</h1>
      <p class="facts">
        <span>{count(dag.taskCount, "task")}</span>
        {dag.schedule && <span>schedule <code>{dag.schedule}</code>{dag.paused && " (paused)"}</span>}
        {stats?.nextFireAt && !dag.paused && <span>next <Time time={stats.nextFireAt} /></span>}
        {stats?.p50Seconds != null && <span>takes {seconds(stats.p50Seconds)}, p95 {seconds(stats.p95Seconds)}</span>}
        <span>made <Time time={dag.createdAt} /></span>
      </p>
    </div>
  );
}

function Actions({ dag, again }: { dag: Dag; again: () => void }) {
  if (!may("operator")) return null;
  return (
    <span class="actions">
      <button class="primary" onClick={() => void runNow(dag)}>Run now</button>
      {dag.schedule && <button onClick={() => setPaused(dag, !dag.paused, again)}>{dag.paused ? "Resume" : "Pause"}</button>}
      {may("admin") && <Confirm label="Delete" question={`Delete 1 DAG, ${dag.name}? Its runs stay readable.`} act={() => deleteDag(dag)} />}
    </span>
  );
}

function deleteDag(dag: Dag): void {
  void attempt(`Deleted ${dag.name}`, async () => {
    await remove(`api/v1/dags/${dag.id}`);
    go(link(["dags"]));
  });
}

const columns: Column[] = [
  { name: "State", width: "118px" },
  { name: "Run", width: "84px" },
  { name: "Version", width: "60px", minor: true },
  { name: "Progress", width: "130px", minor: true },
  { name: "Trigger", width: "82px", minor: true },
  { name: "Created", width: "112px" },
  { name: "Took", width: "84px", right: true },
  { name: "Cause", width: "minmax(60px, 2fr)", minor: true },
];

function DagRuns({ dag }: { dag: Dag }) {
  const runs = useLoad(dag.id, (abort) => get<Run[]>(`api/v1/dags/${dag.id}/runs?limit=200`, abort));
  const reload = useThrottled(runs.again, 500);
  useEffect(() => listen((event) => {
    if (event.name === "reset" || (event.name === "run" && event.data.dagId === dag.id)) reload();
  }), []);
  if (runs.value?.length === 0) return <Empty>It has not run yet.</Empty>;
  return (
    <>
      <Problem error={runs.error} />
      <List label={`runs of ${dag.name}`} items={runs.value ?? []} id={(run) => run.runId} columns={columns} open={(run) => go(link(["run", run.runId]))}
        row={(run) => [
          <State state={run.state} />, <Id id={run.runId} href={link(["run", run.runId])} />, `v${run.version}`, <Progress run={run} />, run.triggeredBy,
          <Time time={run.createdAt} />, between(run.startedAt, run.completedAt), run.error ? <span class="cause" title={run.error}>{run.error}</span> : "",
        ]} />
      <p class="soft"><a href={link(["runs"], { dag: dag.id })}>All its runs, with filters</a></p>
    </>
  );
}
