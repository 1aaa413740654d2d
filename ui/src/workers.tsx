// Workers and what the daemon says of its own health.
import { useEffect } from "preact/hooks";
import { type Worker, get, post } from "./api";
import { listen } from "./events";
import { Commands, Id, Problem, State, attempt, useLoad } from "./parts";

interface Health {
  status: string;
  components: Record<string, Record<string, unknown>>;
}

export function Workers() {
  const workers = useLoad("", (abort) => get<Worker[]>("api/v1/workers", abort));
  const health = useLoad("", (abort) => get<Health>("health", abort));
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = listen((event) => {
      if (event.name !== "worker" && event.name !== "reset") return;
      timer ??= setTimeout(() => { timer = undefined; workers.again(); }, 500);
    });
    return () => { clearTimeout(timer); stop(); };
  }, []);
  return (
    <main>
      <h1>Workers</h1>
      <Problem error={workers.error} />
      <table>
        <thead><tr><th>Worker</th><th>Status</th><th>Slots</th><th class="n">Queue</th><th>Host</th><th><span class="sr">actions</span></th></tr></thead>
        <tbody>
          {workers.value?.map((worker) => (
            <tr key={worker.id}>
              <td><Id id={worker.id} /></td>
              <td><State state={worker.status} /></td>
              <td><span class="slots" role="img" aria-label={`${worker.runningTasks} of ${worker.slots} busy`}>
                {Array.from({ length: Math.min(worker.slots, 32) }, (_, i) => <i key={i} class={i < worker.runningTasks ? "on" : ""} />)}
              </span> {worker.runningTasks}/{worker.slots}</td>
              <td class="n">{worker.queueDepth}</td>
              <td>{worker.host}</td>
              <td><button onClick={() => void attempt(worker.status === "draining" ? "Resumed" : "Draining",
                () => post(`api/v1/workers/${worker.id}/${worker.status === "draining" ? "resume" : "drain"}`)).then(workers.again)}>
                {worker.status === "draining" ? "Resume" : "Drain"}</button></td>
            </tr>
          ))}
        </tbody>
      </table>
      <h2>Health {health.value && <span class={`health ${health.value.status}`}>{health.value.status}</span>}</h2>
      <Problem error={health.error} />
      {health.value && (
        <dl>
          {Object.entries(health.value.components).map(([name, facts]) => (
            <><dt>{name}</dt><dd>{Object.entries(facts).map(([key, value]) => `${key} ${String(value)}`).join(", ")}</dd></>
          ))}
        </dl>
      )}
      <p><a href="docs">API reference</a> · <a href="docs/openapi.yaml">OpenAPI</a> · <a href="metrics">metrics</a></p>
      <Commands cli="pawl workers" curl="api/v1/workers" />
    </main>
  );
}
