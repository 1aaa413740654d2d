// Workers and nodes: slots, what runs in them, drain.
import { useEffect } from "preact/hooks";
import { get, post } from "../core/api";
import { listen } from "../core/events";
import { between, count } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { go, link } from "../core/route";
import { may } from "../core/session";
import type { Cluster, Worker, WorkerTask } from "../core/types";
import { type Column, List } from "../parts/list";
import { Commands, Confirm, Empty, Id, Problem, Time, Title, attempt } from "../parts/parts";
import { State } from "../parts/state";

const RELOAD_MS = 500;

export function Workers() {
  const workers = useLoad("", (abort) => get<Worker[]>("api/v1/workers", abort));
  const cluster = useLoad("", (abort) => get<Cluster>("api/v1/cluster", abort));
  const tasks = useLoad("", (abort) => get<WorkerTask[]>("api/v1/workers/tasks?limit=1000", abort));
  const again = () => { workers.again(); cluster.again(); tasks.again(); };
  const reload = useThrottled(again, RELOAD_MS);
  useEffect(() => listen((event) => {
    if (event.name !== "task") reload();
  }), []);
  return (
    <main class="fill" tabIndex={-1}>
      <Title text="Workers" />
      <div class="heading">
        <h1>Workers</h1>
        <p class="facts">{cluster.value && <><span>{count(cluster.value.nodes.length, "node")}</span><span>{count(cluster.value.workers, "worker")}</span><span>{count(cluster.value.activeRuns, "active run")}</span></>}</p>
      </div>
      <Problem error={workers.error} />
      <div class="split even">
        <section class="main-pane scroll" aria-label="nodes" tabIndex={0}>
          {cluster.value?.nodes.map((node) => (
            <section key={node.id} class="node" aria-label={`node ${node.host}`}>
              <h2>{node.host} <Id id={node.id} /> {node.id === cluster.value!.leaderId && <span class="tag" title="fires schedules">leader</span>}</h2>
              <p class="facts"><span>{node.runningTasks} of {count(node.slots, "slot")} busy</span><span>started <Time time={node.startedAt} /></span></p>
              <WorkerTable workers={(workers.value ?? []).filter((worker) => worker.node === node.id || cluster.value!.nodes.length === 1)} again={again} />
            </section>
          ))}
        </section>
        <section class="pane" aria-label="what runs now">
          <h2>What runs now</h2>
          <Problem error={tasks.error} />
          {tasks.value?.length === 0 ? <Empty>Nothing runs.</Empty> : <Running tasks={tasks.value ?? []} />}
        </section>
      </div>
      <Commands cli="pawl workers" curl="api/v1/workers" />
    </main>
  );
}

function WorkerTable({ workers, again }: { workers: Worker[]; again: () => void }) {
  const act = (worker: Worker, what: string, said: string) => void attempt(said, () => post(`api/v1/workers/${worker.id}/${what}`)).then(again);
  return (
    <table class="plain">
      <thead><tr><th>Worker</th><th>Status</th><th>Slots</th><th class="n">Queue</th><th><span class="sr">actions</span></th></tr></thead>
      <tbody>
        {workers.map((worker) => (
          <tr key={worker.id}>
            <td><Id id={worker.id} /></td>
            <td><State state={worker.status} /></td>
            <td><Slots worker={worker} /></td>
            <td class="n">{worker.queueDepth}</td>
            <td>
              {may("operator") && (worker.status === "draining"
                ? <button onClick={() => act(worker, "resume", "Takes work again")}>Resume</button>
                : worker.status !== "stopped" && <Confirm label="Drain" question={`Drain 1 worker? Its ${count(worker.runningTasks, "running task")} go on to the end.`} act={() => act(worker, "drain", "Takes nothing new")} />)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Slots({ worker }: { worker: Worker }) {
  return (
    <span class="slots">
      <span role="img" aria-label={`${worker.runningTasks} of ${worker.slots} busy`}>
        {Array.from({ length: Math.min(worker.slots, 32) }, (_, i) => <i key={i} class={i < worker.runningTasks ? "on" : ""} />)}
      </span> {worker.runningTasks}/{worker.slots}
    </span>
  );
}

const columns: Column[] = [
  { name: "Task", width: "minmax(100px, 1.4fr)" },
  { name: "DAG", width: "minmax(90px, 1fr)" },
  { name: "For", width: "76px", right: true },
  { name: "Worker", width: "84px", minor: true },
];

function Running({ tasks }: { tasks: WorkerTask[] }) {
  return (
    <List label="what runs now" items={tasks} id={(task) => `${task.runId}${task.taskId}`} columns={columns} open={(task) => go(link(["run", task.runId], { task: task.taskId }))}
      row={(task) => [
        <a href={link(["run", task.runId], { task: task.taskId })}>{task.taskId}</a>, task.dagName, between(task.startedAt, null), <Id id={task.workerId} />,
      ]} />
  );
}
