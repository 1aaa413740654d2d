// DAGs: how the last runs went, when the next one is, how long they take; pause and run.
import { useEffect } from "preact/hooks";
import { get, post, query } from "../core/api";
import { listen } from "../core/events";
import { seconds } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { go, link, refine, wanted } from "../core/route";
import { may } from "../core/session";
import type { Dag, Run } from "../core/types";
import { type Column, List } from "../parts/list";
import { RunMarks } from "../parts/marks";
import { Commands, Empty, Problem, Search, Time, Title, attempt } from "../parts/parts";

const RUNS_SHOWN = 12;
const RELOAD_MS = 1000;

const columns: Column[] = [
  { name: "Name", width: "minmax(130px, 1.4fr)" },
  { name: "Last runs", width: "218px" },
  { name: "p50", width: "70px", right: true, minor: true },
  { name: "p95", width: "70px", right: true, minor: true },
  { name: "Schedule", width: "minmax(90px, 1fr)", minor: true },
  { name: "Next", width: "112px", minor: true },
  { name: "Tasks", width: "64px", right: true, minor: true },
  { name: "actions", width: "170px", hidden: true, minor: true },
];

export function runNow(dag: Dag): Promise<boolean> {
  return attempt(`Started ${dag.name}`, async () => {
    const run = await post<Run>(`api/v1/dags/${dag.id}/runs`);
    go(link(["run", run.runId]));
  });
}

export function setPaused(dag: Dag, paused: boolean, done: () => void): void {
  void attempt(paused ? `The schedule of ${dag.name} is paused` : `The schedule of ${dag.name} goes on`,
    () => post(`api/v1/dags/${dag.id}/${paused ? "pause" : "resume"}`)).then(done);
}

export function Dags() {
  const find = wanted("q");
  const path = `api/v1/dags${query({ limit: 1000, lastRuns: RUNS_SHOWN, nameContains: find })}`;
  const dags = useLoad(path, (abort) => get<Dag[]>(path, abort));
  const reload = useThrottled(dags.again, RELOAD_MS);
  useEffect(() => listen((event) => {
    if (event.name === "run" || event.name === "reset") reload();
  }), []);
  return (
    <main class="fill" tabIndex={-1}>
      <Title text="DAGs" />
      <div class="heading"><h1>DAGs</h1></div>
      <div class="filters">
        <Search label="find a DAG" value={find} change={(q) => refine({ q })} find />
        {may("admin") && <a class="button" href={link(["new"])}>New DAG</a>}
      </div>
      <Problem error={dags.error} />
      {dags.value?.length === 0 ? <Empty>{find ? "No DAG has that in its name." : <>No DAGs yet. {may("admin") && <a href={link(["new"])}>Write one</a>}</>}</Empty> : (
        <List label="DAGs" items={dags.value ?? []} id={(dag) => dag.id} columns={columns} open={(dag) => go(link(["dag", dag.id]))} row={(dag) => cells(dag, dags.again)} />
      )}
      <Commands cli="pawl dags list" curl={`api/v1/dags${query({ lastRuns: RUNS_SHOWN, nameContains: find })}`} />
    </main>
  );
}

function cells(dag: Dag, again: () => void) {
  return [
    <span class="name"><a href={link(["dag", dag.id])}>{dag.name}</a> <span class="soft">v{dag.version}</span></span>,
    dag.stats?.lastRuns.length ? <RunMarks runs={dag.stats.lastRuns} /> : <span class="soft">not yet</span>,
    seconds(dag.stats?.p50Seconds),
    seconds(dag.stats?.p95Seconds),
    dag.schedule ? <code>{dag.schedule}</code> : <span class="soft">none</span>,
    dag.paused && dag.schedule ? <span class="soft">paused</span> : dag.stats?.nextFireAt ? <Time time={dag.stats.nextFireAt} /> : "",
    dag.taskCount,
    may("operator") && (
      <span class="actions">
        <button onClick={() => void runNow(dag)} aria-label={`Run now: ${dag.name}`}>Run now</button>
        {dag.schedule && <button onClick={() => setPaused(dag, !dag.paused, again)} aria-label={`${dag.paused ? "Resume" : "Pause"} ${dag.name}`}>{dag.paused ? "Resume" : "Pause"}</button>}
      </span>
    ),
  ];
}
