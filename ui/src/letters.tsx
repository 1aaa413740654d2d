// Dead letters: what failed and waits for a person. Grouped by error, so that a hundred of one cause are one decision.
import { useMemo } from "preact/hooks";
import { type Letter, get, post, query } from "./api";
import { link, refine, route } from "./route";
import { Commands, Confirm, Empty, Id, Problem, State, Time, attempt, useLoad } from "./parts";

function cause(letter: Letter): string {
  return (letter.errorMessage ?? letter.errorType).replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "ID").replace(/\d+/g, "N");
}

export function Letters() {
  const status = route.value.query.get("status") ?? "pending";
  const group = route.value.query.get("group");
  const letters = useLoad(status, (abort) => get<Letter[]>(`api/v1/dlq${query({ status, limit: 1000 })}`, abort));
  const groups = useMemo(() => {
    const found = new Map<string, Letter[]>();
    for (const letter of letters.value ?? []) found.set(cause(letter), [...(found.get(cause(letter)) ?? []), letter]);
    return [...found].sort((a, b) => b[1].length - a[1].length);
  }, [letters.value]);
  const shown = group ? groups.find(([name]) => name === group)?.[1] ?? [] : letters.value ?? [];
  const all = (what: string, body: unknown) =>
    attempt(`${what}: ${shown.length} dead letters`, async () => {
      for (const letter of shown) await post(`api/v1/dlq/${letter.id}/${what}`, body);
    }).then(letters.again);
  return (
    <main>
      <h1>Dead letters</h1>
      <div class="bar">
        <label>Status{" "}
          <select value={status} onChange={(e) => refine({ status: e.currentTarget.value, group: undefined })}>
            {["pending", "retried", "skipped", "resolved"].map((s) => <option key={s}>{s}</option>)}
          </select>
        </label>
        {status === "pending" && shown.length > 0 && (
          <>
            <Confirm label="Retry" question={`Retry ${shown.length} tasks?`} act={() => void all("retry", {})} />
            <Confirm label="Skip" question={`Skip ${shown.length} tasks and go on without them?`} act={() => void all("skip", { reason: "from the web UI" })} />
            <Confirm label="Resolve" question={`Mark ${shown.length} as resolved?`} act={() => void all("resolve", { notes: "from the web UI", resolvedBy: null })} />
          </>
        )}
      </div>
      <Problem error={letters.error} />
      {letters.value?.length === 0 && <Empty>None. Nothing waits for you here.</Empty>}
      {groups.length > 1 && (
        <ul class="groups">
          {groups.map(([name, items]) => (
            <li key={name}><button class={name === group ? "on" : ""} onClick={() => refine({ group: name === group ? undefined : name })}>{items.length} × {name}</button></li>
          ))}
        </ul>
      )}
      {shown.map((letter) => (
        <article key={letter.id} class="letter">
          <h2><a href={link(["run", letter.runId], { task: undefined })}>{letter.taskName}</a> <State state={letter.resolutionStatus} /></h2>
          <p class="cause">{letter.errorMessage} <span class="none">({letter.errorType}, {letter.totalAttempts} attempts)</span></p>
          <p class="facts">run <Id id={letter.runId} href={link(["run", letter.runId])} />, <Time time={letter.createdAt} /></p>
          {letter.logTail && <pre class="wrap tail">{letter.logTail}</pre>}
          {letter.resolutionStatus === "pending" && (
            <p>
              <button onClick={() => void attempt("Retried", () => post(`api/v1/dlq/${letter.id}/retry`)).then(letters.again)}>Retry</button>{" "}
              <button onClick={() => void attempt("Skipped", () => post(`api/v1/dlq/${letter.id}/skip`, { reason: "from the web UI" })).then(letters.again)}>Skip</button>
            </p>
          )}
        </article>
      ))}
      <Commands cli={`pawl dlq list --status ${status}`} curl={`api/v1/dlq${query({ status })}`} />
    </main>
  );
}
