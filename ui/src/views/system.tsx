// The daemon itself: its health, and where its API is described.
import { useEffect } from "preact/hooks";
import { listen, live } from "../core/events";
import { duration } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { me } from "../core/session";
import type { Health } from "../core/types";
import { Commands, Problem, Time, Title } from "../parts/parts";

// A daemon that is not well answers 503, with the same body.
async function health(abort: AbortSignal): Promise<Health> {
  return (await fetch("health", { signal: abort })).json();
}

export function System() {
  const state = useLoad("", health);
  const reload = useThrottled(state.again, 2000);
  useEffect(() => listen((event) => {
    if (event.name !== "task") reload();
  }), []);
  useEffect(() => reload(), [live.value]);
  return (
    <main class="page" tabIndex={-1}>
      <Title text="System" />
      <div class="heading"><h1>System</h1></div>
      <Problem error={state.error} />
      {state.value && <HealthOf health={state.value} />}
      <section aria-label="API">
        <h2>API</h2>
        <ul class="links">
          <li><a href="docs">Reference</a> <span class="soft">every request, as a page</span></li>
          <li><a href="docs/openapi.yaml">openapi.yaml</a> <span class="soft">the same for programs</span></li>
          <li><a href="docs/dag.schema.json">dag.schema.json</a> <span class="soft">what a DAG file may hold, for editors</span></li>
          <li><a href="metrics">Metrics</a> <span class="soft">for Prometheus</span></li>
          <li><code>pawl serve --print-config</code> <span class="soft">each setting and where its value comes from</span></li>
          <li><a href="health">health</a>, <a href="ready">ready</a>, <a href="live">live</a> <span class="soft">for probes</span></li>
        </ul>
      </section>
      <Commands cli="pawl health" curl="health" />
    </main>
  );
}

const text = (value: unknown): string => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

function HealthOf({ health }: { health: Health }) {
  return (
    <section aria-label="health">
      <h2>Health <span class={`tag health-${health.status}`}>{health.status}</span></h2>
      <p class="facts">
        <span>pawl {health.version}</span><span>on {health.host}</span><span>up {duration(health.uptimeSeconds * 1000)}, since <Time time={health.startedAt} /></span>
        {me.value?.principal && <span>you are {me.value.principal}</span>}
      </p>
      <div class="cards">
        {Object.entries(health.components).map(([name, facts]) => (
          <article key={name} class="card">
            <h3>{name} <span class={`tag health-${facts["status"]}`}>{text(facts["status"])}</span></h3>
            {facts["message"] ? <p class="cause">{text(facts["message"])}</p> : null}
            <dl class="pairs">{Object.entries(facts).filter(([key]) => key !== "status" && key !== "message").map(([key, value]) => <><dt>{key}</dt><dd>{text(value)}</dd></>)}</dl>
          </article>
        ))}
      </div>
    </section>
  );
}
