// Runs: the newest first, filtered by the server, followed live.
import { useEffect, useState } from "preact/hooks";
import { type Dag, type Run, get, post, query } from "./api";
import { listen } from "./events";
import { between } from "./format";
import { link, refine, route } from "./route";
import { Commands, Confirm, Empty, Id, Problem, State, Time, attempt, useLoad } from "./parts";

const PAGE = 100;
const states = ["pending", "running", "succeeded", "failed", "canceled"];

export function Runs() {
  const wanted = route.value.query;
  const state = wanted.get("state") ?? "", dagId = wanted.get("dag") ?? "";
  const key = `${state}|${dagId}`;
  const dags = useLoad("dags", (abort) => get<Dag[]>("api/v1/dags?limit=1000", abort));
  const list = useLoad(key, (abort) => get<Run[]>(`api/v1/runs${query({ state, dagId, limit: PAGE })}`, abort));
  const [older, setOlder] = useState<Run[]>([]);
  const [changed, setChanged] = useState<Record<string, Run>>({});
  const [chosen, setChosen] = useState<Set<string>>(new Set());

  useEffect(() => {
    setOlder([]);
    setChanged({});
    setChosen(new Set());
    return listen((event) => {
      if (event.name === "reset") list.again();
      if (event.name !== "run") return;
      const run: Run = event.data;
      if (dagId && run.dagId !== dagId) return;
      setChanged((before) => ({ ...before, [run.runId]: { ...before[run.runId], ...run } }));
    });
  }, [key]);

  const known = [...(list.value ?? []), ...older];
  const fresh = Object.values(changed).filter((run) => !known.some((old) => old.runId === run.runId));
  const runs = [...fresh.sort((a, b) => (a.runId < b.runId ? 1 : -1)), ...known]
    .map((run) => changed[run.runId] ?? run)
    .filter((run) => !state || run.state === state);
  const name = (id: string) => dags.value?.find((dag) => dag.id === id)?.name ?? id.slice(-8);
  const active = [...chosen].filter((id) => runs.some((run) => run.runId === id && !run.completedAt));
  const ended = [...chosen].filter((id) => runs.some((run) => run.runId === id && run.completedAt));

  const more = async () => {
    const last = known[known.length - 1];
    if (last) setOlder([...older, ...(await get<Run[]>(`api/v1/runs${query({ state, dagId, limit: PAGE, before: last.runId })}`))]);
  };
  const each = (ids: string[], what: string, act: (id: string) => Promise<unknown>) =>
    attempt(`${what} ${ids.length} runs`, async () => {
      for (const id of ids) await act(id);
      setChosen(new Set());
    });

  return (
    <main>
      <h1>Runs</h1>
      <div class="bar">
        <label>State{" "}
          <select value={state} onChange={(e) => refine({ state: e.currentTarget.value })}>
            <option value="">any</option>
            {states.map((s) => <option key={s}>{s}</option>)}
          </select>
        </label>
        <label>DAG{" "}
          <select value={dagId} onChange={(e) => refine({ dag: e.currentTarget.value })}>
            <option value="">any</option>
            {dags.value?.map((dag) => <option key={dag.id} value={dag.id}>{dag.name}</option>)}
          </select>
        </label>
        {active.length > 0 && <Confirm label="Cancel" question={`Cancel ${active.length} active runs?`}
          act={() => void each(active, "Canceled", (id) => post(`api/v1/runs/${id}/cancel`))} />}
        {ended.length > 0 && <Confirm label="Rerun" question={`Rerun what failed of ${ended.length} runs?`}
          act={() => void each(ended, "Rerun", (id) => post(`api/v1/runs/${id}/rerun`, { from: "failed" }))} />}
      </div>
      <Problem error={list.error} />
      {list.value && runs.length === 0 && <Empty>No runs{state || dagId ? " like that" : " yet"}. Start one on <a href={link(["dags"])}>DAGs</a>.</Empty>}
      {runs.length > 0 && (
        <table>
          <thead><tr><th><span class="sr">chosen</span></th><th>Run</th><th>DAG</th><th>State</th><th>By</th><th>Started</th><th class="n">Took</th></tr></thead>
          <tbody>
            {runs.map((run) => (
              <tr key={run.runId} class={`r-${run.state}`}>
                <td><input type="checkbox" aria-label={`choose run ${run.runId}`} checked={chosen.has(run.runId)}
                  onChange={() => {
                    const next = new Set(chosen);
                    if (!next.delete(run.runId)) next.add(run.runId);
                    setChosen(next);
                  }} /></td>
                <td><Id id={run.runId} href={link(["run", run.runId])} /></td>
                <td><a href={link(["dag", run.dagId])}>{name(run.dagId)}</a> <span class="none">v{run.version}</span></td>
                <td><State state={run.state} /></td>
                <td>{run.triggeredBy}</td>
                <td><Time time={run.startedAt ?? run.createdAt} /></td>
                <td class="n">{between(run.startedAt, run.completedAt)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {known.length > 0 && known.length % PAGE === 0 && <p><button onClick={() => void more()}>Older</button></p>}
      <Commands cli={`pawl runs list${state ? ` --state ${state}` : ""}`} curl={`api/v1/runs${query({ state, dagId })}`} />
    </main>
  );
}
