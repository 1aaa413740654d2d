// The source of a DAG: edited beside its graph, looked at as a difference before it is saved.
import { useState } from "preact/hooks";
import { ApiError, send } from "../core/api";
import { useLoad } from "../core/load";
import { go, here, wanted } from "../core/route";
import { may } from "../core/session";
import type { Dag, Verdict } from "../core/types";
import { EditorBox, useVerdict } from "../editor/box";
import { Diff } from "../parts/diff";
import { Problem, attempt } from "../parts/parts";
import { GraphPreview } from "./preview";

interface Source {
  yaml: string;
  tag: string; // of the version it was: saving over another one is refused
}

async function load(dag: Dag, abort: AbortSignal): Promise<Source> {
  const head = await send("GET", `api/v1/dags/${dag.id}`, undefined, { signal: abort });
  const version = (await head.json() as Dag).version;
  const source = await send("GET", `api/v1/dags/${dag.id}/source?version=${version}`, undefined, { signal: abort });
  return { yaml: await source.text(), tag: head.headers.get("ETag") ?? "*" };
}

export function SourcePane({ dag, saved }: { dag: Dag; saved: () => void }) {
  const [opened, setOpened] = useState(0);
  const source = useLoad(`${dag.id} ${opened}`, (abort) => load(dag, abort));
  if (!source.value) return <><Problem error={source.error} /><p class="empty" aria-busy={source.loading}>loading…</p></>;
  const again = () => {
    setOpened(opened + 1);
    saved();
  };
  return <Editing key={opened} dag={dag} source={source.value} again={again} />;
}

function Editing({ dag, source, again }: { dag: Dag; source: Source; again: () => void }) {
  const [yaml, setYaml] = useState(source.yaml);
  const [start, setStart] = useState(source.yaml); // what the editor begins with
  const [verdict, setVerdict] = useVerdict(yaml, dag.name);
  const changed = yaml !== source.yaml;
  const review = wanted("review") === "yes" && changed;
  const save = () => attempt("Saved", async () => {
    const made = await put(dag, yaml, source.tag, setVerdict);
    go(here({ review: undefined }));
    again();
    return `Saved as v${made.version}`;
  });
  return (
    <>
      <div class="filters">
        {!may("admin") && <span class="soft">read only: changing DAGs needs the role admin</span>}
        {changed && !review && <button class="primary" disabled={!verdict?.valid} onClick={() => { setStart(yaml); go(here({ review: "yes" })); }}>Review the change…</button>}
        {review && <button class="primary" onClick={() => void save()}>Save as v{dag.version + 1}</button>}
        {review && <button onClick={() => go(here({ review: undefined }))}>Back to the editor</button>}
        {changed && <button onClick={() => { setYaml(source.yaml); setStart(source.yaml); go(here({ review: undefined })); again(); }}>Discard the change</button>}
      </div>
      {review ? <Diff before={source.yaml} after={yaml} label={`v${dag.version} to what will be v${dag.version + 1}`} /> : (
        <div class="split even">
          <section class="main-pane" aria-label="editor"><EditorBox text={start} readOnly={!may("admin")} verdict={verdict} changed={setYaml} /></section>
          <section class="pane" aria-label="graph"><GraphPreview yaml={yaml} verdict={verdict} /></section>
        </div>
      )}
    </>
  );
}

async function put(dag: Dag, yaml: string, tag: string, setVerdict: (verdict: Verdict) => void): Promise<Dag> {
  try {
    return await (await send("PUT", `api/v1/dags/${dag.id}`, { yaml }, { headers: { "If-Match": tag } })).json();
  } catch (problem) {
    if (problem instanceof ApiError && problem.errors.length) setVerdict({ valid: false, errors: problem.errors, warnings: [] });
    if (problem instanceof ApiError && problem.status === 412) throw new Error("Somebody saved another version meanwhile. Copy your text, reload the page and put it in again.");
    throw problem;
  }
}
