// A new DAG.
import { useState } from "preact/hooks";
import { ApiError, post } from "../core/api";
import { go, link } from "../core/route";
import { may } from "../core/session";
import type { Dag } from "../core/types";
import { EditorBox, useVerdict } from "../editor/box";
import { Commands, Title, attempt } from "../parts/parts";
import { GraphPreview } from "./preview";

const template = `name: hello
# schedule: "0 2 * * *"
tasks:
  - id: first
    type: shell
    command: echo hello
  - id: second
    type: shell
    command: echo world
    dependencies: [first]
`;

function nameIn(yaml: string): string {
  if (yaml.trimStart().startsWith("{")) {
    try {
      return JSON.parse(yaml).name ?? "";
    } catch {
      // YAML's own braces
    }
  }
  return /^name:\s*(?:"([^"]*)"|'([^']*)'|([^\n#]*?))\s*(?:#.*)?$/m.exec(yaml)?.slice(1).find((found) => found !== undefined) ?? "";
}

export function NewDag() {
  const [yaml, setYaml] = useState(template);
  const [verdict, setVerdict] = useVerdict(yaml);
  const create = () => attempt("Created", async () => {
    try {
      const dag = await post<Dag>("api/v1/dags", { name: nameIn(yaml), yaml });
      go(link(["dag", dag.id]));
    } catch (problem) {
      if (problem instanceof ApiError && problem.errors.length) setVerdict({ valid: false, errors: problem.errors, warnings: [] });
      throw problem;
    }
  });
  return (
    <main class="fill" tabIndex={-1}>
      <Title text="New DAG" />
      <div class="heading"><h1>New DAG</h1></div>
      <div class="filters">
        {may("admin") ? <button class="primary" disabled={!verdict?.valid || !nameIn(yaml)} onClick={() => void create()}>Create</button> : <span class="soft">making DAGs needs the role admin</span>}
      </div>
      <div class="split even">
        <section class="main-pane" aria-label="editor"><EditorBox text={template} readOnly={false} verdict={verdict} changed={setYaml} /></section>
        <section class="pane" aria-label="graph"><GraphPreview yaml={yaml} verdict={verdict} /></section>
      </div>
      <Commands cli="pawl dags apply FILE" curl={`-X POST -H 'Content-Type: application/json' -d @dag.json ${new URL("api/v1/dags", document.baseURI).href}`} />
    </main>
  );
}
