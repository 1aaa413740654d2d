// The daemon itself: its health, where its API is described, and for admins its settings.
import { useEffect } from "preact/hooks";
import { get } from "../core/api";
import { listen, live } from "../core/events";
import { bytes, duration, local } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { refine, wanted } from "../core/route";
import { may, me } from "../core/session";
import type { Health, Setting } from "../core/types";
import { Commands, Empty, Problem, Search, Select, Tabs, Title } from "../parts/parts";

// A daemon that is not well answers 503, with the same body.
async function health(abort: AbortSignal): Promise<Health> {
  return (await fetch("health", { signal: abort })).json();
}

export function System() {
  const settings = wanted("tab") === "settings" && may("admin");
  return (
    <main class="page" tabIndex={-1}>
      <Title text={settings ? "Settings" : "System"} />
      <div class="heading"><h1>System</h1></div>
      {may("admin") && <div class="filters"><Tabs name="tab" value={settings ? "settings" : "health"} tabs={[["health", "Health and API"], ["settings", "Settings"]]} /></div>}
      {settings ? <Settings /> : <HealthAndApi />}
    </main>
  );
}

function HealthAndApi() {
  const state = useLoad("", health);
  const reload = useThrottled(state.again, 2000);
  useEffect(() => listen((event) => {
    if (event.name !== "task") reload();
  }), []);
  useEffect(() => reload(), [live.value]);
  return (
    <>
      <Problem error={state.error} />
      {state.value && <HealthOf health={state.value} />}
      <section aria-label="API">
        <h2>API</h2>
        <ul class="links">
          <li><a href="docs">Reference</a> <span class="soft">every request, as a page</span></li>
          <li><a href="docs/openapi.yaml">openapi.yaml</a> <span class="soft">the same for programs</span></li>
          <li><a href="docs/dag.schema.json">dag.schema.json</a> <span class="soft">what a DAG file may hold, for editors</span></li>
          <li><a href="metrics">Metrics</a> <span class="soft">for Prometheus</span></li>
          <li><a href="health">health</a>, <a href="ready">ready</a>, <a href="live">live</a> <span class="soft">for probes</span></li>
        </ul>
      </section>
      <Commands cli="pawl health" curl="health" />
    </>
  );
}

const units: [RegExp, (value: number) => string][] = [
  [/bytes$/i, bytes], [/Seconds$/, (s) => duration(s * 1000)], [/Ms$/, duration], [/Us$/, (us) => (us < 1000 ? `${us} µs` : duration(us / 1000))],
];

// A fact of /health as people say it: { turnMaxUs: 12554 } is "turn max 13 ms".
export function fact(key: string, value: unknown): [name: string, text: string] {
  const unit = typeof value === "number" ? units.find(([end]) => end.test(key)) : undefined;
  const name = (unit && !/bytes/i.test(key) ? key.replace(unit[0], "") : key).replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return [name, unit ? unit[1](value as number) : typeof value === "boolean" ? (value ? "yes" : "no") : plain(value)];
}

const plain = (value: unknown): string => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

function HealthOf({ health }: { health: Health }) {
  return (
    <section aria-label="health">
      <h2>Health <span class={`tag health-${health.status}`}>{health.status}</span></h2>
      <p class="facts">
        <span>pawl {health.version}</span><span>on {health.host}</span><span>up {duration(health.uptimeSeconds * 1000)}, since {local(health.startedAt)}</span>
        {me.value?.principal && <span>you are {me.value.principal}</span>}
      </p>
      <div class="cards">
        {Object.entries(health.components).map(([name, facts]) => (
          <article key={name} class="card">
            <h3>{name} <span class={`tag health-${facts["status"]}`}>{plain(facts["status"])}</span></h3>
            {facts["message"] ? <p class="cause">{plain(facts["message"])}</p> : null}
            <dl class="pairs">{Object.entries(facts).filter(([key]) => key !== "status" && key !== "message").map(([key, value]) => <Fact key={key} name={key} value={value} />)}</dl>
          </article>
        ))}
      </div>
    </section>
  );
}

function Fact({ name, value }: { name: string; value: unknown }) {
  const [words, text] = fact(name, value);
  return <><dt title={name}>{words}</dt><dd>{text}</dd></>;
}

// ---- settings ----

const origins: [string, string][] = [["", "all"], ["set", "set by somebody"], ["flag", "flags"], ["environment", "environment"], ["config", "config file"], ["default", "defaults"]];

function isWanted(setting: Setting, origin: string, text: string): boolean {
  const has = (part: string) => part.toLowerCase().includes(text);
  return (!origin || (origin === "set" ? setting.origin !== "default" : setting.origin === origin))
    && (!text || has(setting.name) || has(setting.summary) || setting.values.some(has));
}

function Settings() {
  const settings = useLoad("", (abort) => get<Setting[]>("api/v1/config", abort));
  useEffect(() => listen((event) => { if (event.name === "reset") settings.again(); }), []);
  const text = wanted("q"), origin = wanted("origin");
  const shown = (settings.value ?? []).filter((setting) => isWanted(setting, origin, text.toLowerCase()));
  return (
    <section aria-label="settings">
      <div class="above">
        <Search label="find a setting" value={text} change={(q) => refine({ q })} find />
        <Select label="From" value={origin} options={origins} choose={(value) => refine({ origin: value })} />
      </div>
      <p class="soft">The values that this node uses. A flag beats a variable, which beats the config file, which beats the default.</p>
      <Problem error={settings.error} />
      {settings.value && shown.length === 0 && <Empty>No setting is like that.</Empty>}
      {shown.length > 0 && (
        <table class="plain settings">
          <thead><tr><th>Setting</th><th>Value</th><th>From</th><th>Changed by</th></tr></thead>
          <tbody>{shown.map((setting) => <SettingRow key={setting.name} setting={setting} />)}</tbody>
        </table>
      )}
      <Commands cli="pawl serve --print-config" curl="api/v1/config" />
    </section>
  );
}

function SettingRow({ setting }: { setting: Setting }) {
  return (
    <tr class={setting.origin === "default" ? "" : "on"}>
      <th scope="row"><code>{setting.name}</code> <span class="soft says">{setting.summary}</span></th>
      <td>{setting.values.length === 0 ? <span class="soft">not set</span> : setting.values.map((value) => <code key={value}>{value}</code>)}</td>
      <td>{setting.origin === "default" ? <span class="soft">default</span> : setting.place}</td>
      <td class="soft how">{setting.reloads ? "SIGHUP" : "restart"}</td>
    </tr>
  );
}
