// The editor in a page: loads it, checks the text with the server while it is typed, shows what is wrong at its place
// and as a list.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, post } from "../core/api";
import { count } from "../core/format";
import type { DagProblem, Verdict } from "../core/types";
import type { Schema } from "./complete";
import type { Editor } from "./editor";

const CHECK_MS = 250;

// Of a DAG that has its name already, or of a file that has to give it.
export function useVerdict(yaml: string, name?: string): [Verdict | undefined, (verdict: Verdict) => void] {
  const [verdict, setVerdict] = useState<Verdict>();
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      post<Verdict>("api/v1/dags/validate", { name, yaml }).then((found) => current && setVerdict(found), () => undefined);
    }, CHECK_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [yaml, name]);
  return [verdict, setVerdict];
}

export function EditorBox({ text, readOnly, verdict, changed }: {
  text: string; readOnly: boolean; verdict: Verdict | undefined; changed: (text: string) => void;
}) {
  const host = useRef<HTMLDivElement>(null);
  const [editor, setEditor] = useState<Editor>();
  const [problem, setProblem] = useState("");
  const latest = useRef(changed);
  latest.current = changed;
  useEffect(() => {
    let gone = false, own: Editor | undefined;
    const schema = get<Schema>("docs/dag.schema.json").catch(() => null);
    Promise.all([import("./editor"), schema]).then(([{ open }, known]) => {
      if (gone) return;
      own = open(host.current!, { text, readOnly, label: "source of the DAG", schema: known, changed: (value) => latest.current(value) });
      setEditor(own);
    }, () => setProblem("The editor could not be loaded."));
    return () => {
      gone = true;
      own?.close();
    };
  }, [text, readOnly]);
  useEffect(() => editor?.setProblems(verdict?.errors ?? [], verdict?.warnings ?? []), [editor, verdict]);
  return (
    <div class="editor">
      <div class="editor-host" ref={host} />
      {problem && <p class="problem">{problem}</p>}
      <Problems verdict={verdict} goTo={(one) => editor?.goTo(one.line ?? 1, one.column ?? 1)} />
    </div>
  );
}

function Problems({ verdict, goTo }: { verdict: Verdict | undefined; goTo: (problem: DagProblem) => void }) {
  if (!verdict) return null;
  const item = (problem: DagProblem, kind: string) => (
    <li key={`${kind}${problem.line}.${problem.column}.${problem.message}`} class={kind}>
      <button class="quiet" onClick={() => goTo(problem)}>{problem.line ?? "–"}:{problem.column ?? "–"}</button>
      <span>{kind === "warning" && "warning: "}{problem.message}{problem.hint && <span class="soft"> {problem.hint}</span>}</span>
    </li>
  );
  return (
    <div class="problems" role="status">
      <p class={verdict.valid ? "soft" : "problem"}>
        {verdict.valid ? "Valid" : count(verdict.errors.length, "error")}{verdict.warnings.length > 0 && `, ${count(verdict.warnings.length, "warning")}`}
      </p>
      <ul>{verdict.errors.map((one) => item(one, "error"))}{verdict.warnings.map((one) => item(one, "warning"))}</ul>
    </div>
  );
}
