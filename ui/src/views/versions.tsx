// The versions of a DAG and what each changed.
import { get, text } from "../core/api";
import { bytes, count } from "../core/format";
import { useLoad } from "../core/load";
import { go, here, wanted } from "../core/route";
import type { Dag, DagVersion } from "../core/types";
import { Diff } from "../parts/diff";
import { Problem, Select, Time } from "../parts/parts";

export function Versions({ dag }: { dag: Dag }) {
  const versions = useLoad(`${dag.id}.${dag.version}`, (abort) => get<DagVersion[]>(`api/v1/dags/${dag.id}/versions?limit=1000`, abort));
  const to = Number(wanted("to")) || dag.version;
  const from = Number(wanted("from")) || Math.max(1, to - 1);
  const source = (version: number, abort: AbortSignal) => text(`api/v1/dags/${dag.id}/source?version=${version}`, abort);
  const both = useLoad(`${dag.id} ${from} ${to}`, (abort) => Promise.all([source(from, abort), source(to, abort)]));
  const options = (versions.value ?? []).map((one): [string, string] => [String(one.version), `v${one.version}`]);
  return (
    <div class="split">
      <section class="main-pane scroll" aria-label="versions" tabIndex={0}>
        <Problem error={versions.error} />
        <table class="plain">
          <thead><tr><th>Version</th><th class="n">Tasks</th><th class="n">Size</th><th>Made</th></tr></thead>
          <tbody>
            {versions.value?.map((one) => (
              <tr key={one.version} class={one.version === to ? "on" : ""}>
                <td><a href={here({ to: String(one.version), from: undefined })}>v{one.version}</a></td>
                <td class="n">{one.taskCount}</td><td class="n">{bytes(one.sourceBytes)}</td><td><Time time={one.createdAt} /></td>
              </tr>
            ))}
          </tbody>
        </table>
        {versions.value && <p class="soft">{count(versions.value.length, "version")}. Runs keep the version they started with.</p>}
      </section>
      <section class="pane" aria-label="difference">
        <div class="above">
          <Select label="From" value={String(from)} options={options} choose={(value) => go(here({ from: value, to: String(to) }))} />
          <Select label="to" value={String(to)} options={options} choose={(value) => go(here({ to: value, from: String(from) }))} />
        </div>
        <Problem error={both.error} />
        {both.value && <Diff before={both.value[0]} after={both.value[1]} label={`v${from} to v${to}`} />}
      </section>
    </div>
  );
}
