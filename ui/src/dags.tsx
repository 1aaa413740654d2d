// DAGs, one DAG with its versions and its source, and the editor with the server's own diagnostics.
import { useEffect, useState } from "preact/hooks";
import { ApiError, type Dag, type DagProblem, type Run, get, post, put, text } from "./api";
import { go, link, refine, route } from "./route";
import { listen } from "./events";
import { between } from "./format";
import { Commands, Empty, Id, Problem, State, Time, attempt, useLoad } from "./parts";

export async function runNow(dag: Dag): Promise<void> {
  await attempt(`Started ${dag.name}`, async () => {
    const run = await post<Run>(`api/v1/dags/${dag.id}/runs`);
    go(link(["run", run!.runId]));
  });
}

// The last runs as marks, oldest first, so that a pattern shows.
function Marks({ dagId }: { dagId: string }) {
  const runs = useLoad(dagId, (abort) => get<Run[]>(`api/v1/dags/${dagId}/runs?limit=12`, abort));
  return (
    <span class="marks">
      {[...(runs.value ?? [])].reverse().map((run) => (
        <a key={run.runId} href={link(["run", run.runId])} title={`${run.state}, ${between(run.startedAt, run.completedAt)}`}>
          <State state={run.state} brief />
        </a>
      ))}
    </span>
  );
}

export function Dags() {
  const find = route.value.query.get("q") ?? "";
  const dags = useLoad("", (abort) => get<Dag[]>("api/v1/dags?limit=1000", abort));
  const shown = dags.value?.filter((dag) => dag.name.toLowerCase().includes(find.toLowerCase()));
  return (
    <main>
      <h1>DAGs</h1>
      <div class="bar">
        <input type="search" id="find" placeholder="find a DAG  ( / )" aria-label="find a DAG" value={find} onInput={(e) => refine({ q: e.currentTarget.value })} />
        <a class="button" href={link(["new"])}>New</a>
      </div>
      <Problem error={dags.error} />
      {shown?.length === 0 && <Empty>{find ? "No DAG of that name." : "No DAGs yet."}</Empty>}
      {shown && shown.length > 0 && (
        <table>
          <thead><tr><th>Name</th><th>Last runs</th><th>Schedule</th><th class="n">Tasks</th><th>Changed</th><th><span class="sr">actions</span></th></tr></thead>
          <tbody>
            {shown.map((dag) => (
              <tr key={dag.id}>
                <td><a href={link(["dag", dag.id])}>{dag.name}</a> <span class="none">v{dag.version}</span></td>
                <td><Marks dagId={dag.id} /></td>
                <td>{dag.schedule ? <code>{dag.schedule}</code> : <span class="none">none</span>}{dag.paused ? " (paused)" : ""}</td>
                <td class="n">{dag.taskCount}</td>
                <td><Time time={dag.createdAt} /></td>
                <td><button onClick={() => void runNow(dag)}>Run now</button></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <Commands cli="pawl dags list" curl="api/v1/dags" />
    </main>
  );
}

export function DagPage() {
  const id = route.value.path[1] ?? "";
  const dag = useLoad(id, (abort) => get<Dag>(`api/v1/dags/${id}`, abort));
  const runs = useLoad(id, (abort) => get<Run[]>(`api/v1/dags/${id}/runs?limit=50`, abort));
  useEffect(() => listen((event) => {
    if (event.name === "reset" || (event.name === "run" && event.data.dagId === id)) runs.again();
  }), [id]);
  if (dag.error) return <main><Problem error={dag.error} /></main>;
  if (!dag.value) return <main aria-busy="true" />;
  const shown = dag.value;
  return (
    <main>
      <h1>{shown.name} <span class="none">v{shown.version}</span></h1>
      <p class="facts">{shown.taskCount} tasks{shown.schedule && <>, schedule <code>{shown.schedule}</code></>}{shown.paused && ", paused"}</p>
      <div class="bar">
        <button onClick={() => void runNow(shown)}>Run now</button>
        {shown.schedule && (
          <button onClick={() => void attempt(shown.paused ? "Resumed" : "Paused", () => post(`api/v1/dags/${id}/${shown.paused ? "resume" : "pause"}`)).then(dag.again)}>
            {shown.paused ? "Resume" : "Pause"}
          </button>
        )}
      </div>
      <div class="split">
        <div>
          <h2>Runs</h2>
          {runs.value?.length === 0 && <Empty>It has not run yet.</Empty>}
          <table>
            <tbody>
              {runs.value?.map((run) => (
                <tr key={run.runId}>
                  <td><Id id={run.runId} href={link(["run", run.runId])} /></td>
                  <td><State state={run.state} /></td>
                  <td>v{run.version}</td>
                  <td>{run.triggeredBy}</td>
                  <td><Time time={run.createdAt} /></td>
                  <td class="n">{between(run.startedAt, run.completedAt)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <section class="pane"><h2>Source</h2><Editor dag={shown} saved={dag.again} /></section>
      </div>
      <Commands cli={`pawl dags show ${shown.name}`} curl={`api/v1/dags/${id}`} />
    </main>
  );
}

interface Verdict {
  valid: boolean;
  errors: DagProblem[];
  warnings: DagProblem[];
}

function Editor({ dag, saved }: { dag?: Dag; saved: () => void }) {
  const source = useLoad(dag ? `${dag.id}.${dag.version}` : "", async () => (dag ? text(`api/v1/dags/${dag.id}/source`) : TEMPLATE));
  const [edited, setEdited] = useState<string>();
  const [verdict, setVerdict] = useState<Verdict>();
  const yaml = edited ?? source.value ?? "";
  const changed = edited !== undefined && edited !== source.value;
  useEffect(() => {
    if (!yaml) return;
    const timer = setTimeout(() => {
      post<Verdict>("api/v1/dags/validate", { yaml }).then((v) => setVerdict(v!), () => setVerdict(undefined));
    }, 250);
    return () => clearTimeout(timer);
  }, [yaml]);
  const save = () => attempt("Saved", async () => {
    try {
      if (dag) await put(`api/v1/dags/${dag.id}`, { yaml });
      else {
        const name = /^name:\s*["']?([^"'\n#]+?)["']?\s*(#.*)?$/m.exec(yaml)?.[1] ?? "";
        const made = await post<Dag>("api/v1/dags", { name, yaml });
        go(link(["dag", made!.id]));
      }
      setEdited(undefined);
      saved();
    } catch (problem) {
      if (problem instanceof ApiError && problem.errors.length) setVerdict({ valid: false, errors: problem.errors, warnings: [] });
      throw problem;
    }
  });
  const problems = [...(verdict?.errors ?? []), ...(verdict?.warnings ?? [])];
  return (
    <div class="editor">
      <div class="source">
        <div class="gutter" aria-hidden="true">
          {yaml.split("\n").map((_, i) => <div key={i} class={problems.some((p) => p.line === i + 1) ? "bad" : ""}>{i + 1}</div>)}
        </div>
        <textarea value={yaml} spellcheck={false} aria-label="source of the DAG" rows={Math.min(40, Math.max(12, yaml.split("\n").length + 1))}
          onInput={(e) => setEdited(e.currentTarget.value)} />
      </div>
      <ul class="problems" aria-live="polite">
        {verdict?.errors.map((p, i) => <li key={i} class="problem">{p.line}:{p.column} {p.message}</li>)}
        {verdict?.warnings.map((p, i) => <li key={`w${i}`}>{p.line}:{p.column} warning: {p.message}</li>)}
        {verdict?.valid && <li class="none">valid</li>}
      </ul>
      <button disabled={(!changed && !!dag) || verdict?.valid === false} onClick={() => void save()}>{dag ? "Save as a new version" : "Create"}</button>
      {changed && <button onClick={() => setEdited(undefined)}>Discard</button>}
    </div>
  );
}

const TEMPLATE = `name: hello
tasks:
  - id: first
    type: shell
    command: echo hello
  - id: second
    type: shell
    command: echo world
    dependencies: [first]
`;

export function NewDag() {
  return <main><h1>New DAG</h1><Editor saved={() => undefined} /></main>;
}

