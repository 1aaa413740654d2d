// Runs: the newest first, filtered by the server, followed live; many at once can be canceled or run again.
import { useState } from "preact/hooks";
import { get, post } from "../core/api";
import { between, byName, count } from "../core/format";
import { useLoad } from "../core/load";
import { go, here, link, refine, route } from "../core/route";
import { may } from "../core/session";
import { type BulkResult, type Dag, type Run, runStates, triggers } from "../core/types";
import { type Column, List } from "../parts/list";
import { Commands, Empty, Id, Problem, Search, Select, Time, Title, attempt } from "../parts/parts";
import { State } from "../parts/state";
import { type RunFilter, apiPath, bulkFilter, cliLine, isEmpty, noFilter, ranges, readFilter } from "../runs/filter";
import { useRuns } from "../runs/load";

const BULK_MAX = 1000;

export const runColumns: Column[] = [
  { name: "chosen", width: "28px", hidden: true },
  { name: "State", width: "118px" },
  { name: "DAG", width: "minmax(110px, 1.2fr)" },
  { name: "Run", width: "84px", minor: true },
  { name: "Progress", width: "110px", minor: true },
  { name: "Trigger", width: "82px", minor: true },
  { name: "Created", width: "112px" },
  { name: "Took", width: "84px", right: true, minor: true },
  { name: "Cause", width: "minmax(60px, 2fr)", minor: true },
];

export function Runs() {
  const key = route.value.query.toString();
  const filter = readFilter(route.value.query);
  const list = useRuns(filter, key);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (run: Run) => {
    const next = new Set(chosen);
    if (!next.delete(run.runId)) next.add(run.runId);
    setChosen(next);
  };
  return (
    <main class="fill" tabIndex={-1}>
      <Title text="Runs" />
      <div class="heading"><h1>Runs</h1></div>
      <Filters filter={filter} />
      {may("operator") && <Bulk filter={filter} runs={list.runs} chosen={chosen} more={list.more} clear={() => setChosen(new Set())} />}
      <Problem error={list.error} />
      {!list.loading && !list.error && list.runs.length === 0 && !list.more ? <None filter={filter} /> : (
        <List label="runs" items={list.runs} id={(run) => run.runId} columns={runColumns} row={(run) => runCells(run, chosen.has(run.runId), toggle)}
          rowClass={(run) => (chosen.has(run.runId) ? "chosen" : "")} open={(run) => go(link(["run", run.runId]))} choose={toggle} nearEnd={list.loadMore} />
      )}
      <Commands cli={cliLine(filter)} curl={apiPath(filter)} />
    </main>
  );
}

function None({ filter }: { filter: RunFilter }) {
  return isEmpty(filter)
    ? <Empty>Nothing has run yet. Start something on <a href={link(["dags"])}>DAGs</a>.</Empty>
    : <Empty>No run is like that. <a href={here(noFilter)}>Show all runs</a></Empty>;
}

export function runCells(run: Run, chosen: boolean, toggle: (run: Run) => void) {
  return [
    <input type="checkbox" tabIndex={-1} aria-label={`choose run ${run.runId}`} checked={chosen} onChange={() => toggle(run)} />,
    <State state={run.state} />,
    <a href={link(["dag", run.dagId])}>{run.dagName}</a>,
    <Id id={run.runId} href={link(["run", run.runId])} />,
    <Progress run={run} />,
    run.triggeredBy,
    <Time time={run.createdAt} />,
    between(run.startedAt, run.completedAt),
    run.error ? <span class="cause" title={run.error}>{run.error}</span> : "",
  ];
}

export function Progress({ run }: { run: Run }) {
  if (!run.counts) return <span class="soft">{run.taskCount}</span>;
  const { succeeded, failed, running, skipped, canceled } = run.counts;
  const total = Math.max(1, run.taskCount);
  const part = (n: number, state: string) => n > 0 && <i class={`s-${state}`} style={{ width: `${(100 * n) / total}%` }} />;
  const done = succeeded + failed + skipped + canceled;
  return (
    <span class="progress" role="img" aria-label={`${done} of ${run.taskCount} tasks ended, ${failed} failed, ${running} running`}
      title={`${succeeded} succeeded, ${failed} failed, ${running} running, ${skipped} skipped, ${canceled} canceled of ${run.taskCount}`}>
      <span class="bar">{part(succeeded, "succeeded")}{part(failed, "failed")}{part(running, "running")}{part(skipped + canceled, "skipped")}</span>
      <span class="soft">{done === run.taskCount ? run.taskCount : `${done}/${run.taskCount}`}</span>
    </span>
  );
}

// ---- the filter ----

function Filters({ filter }: { filter: RunFilter }) {
  const dags = useLoad("dags", (abort) => get<Dag[]>("api/v1/dags?limit=1000", abort));
  const toggle = (state: string) => {
    const next = filter.states.includes(state) ? filter.states.filter((s) => s !== state) : [...filter.states, state];
    go(here({ state: next.join(",") || undefined }));
  };
  return (
    <div class="filters" role="search" aria-label="filter">
      <span class="chips" role="group" aria-label="state">
        {runStates.map((state) => (
          <button key={state} class="chip" aria-pressed={filter.states.includes(state)} onClick={() => toggle(state)}><State state={state} /></button>
        ))}
      </span>
      <Select label="DAG" value={filter.dagId} choose={(dag) => go(here({ dag }))}
        options={[["", "any"], ...(dags.value ?? []).map((dag): [string, string] => [dag.id, dag.name]).sort((a, b) => byName(a[1], b[1]))]} />
      <Select label="Trigger" value={filter.by} choose={(by) => go(here({ by }))} options={[["", "any"], ...triggers.map((t): [string, string] => [t, t])]} />
      <Select label="Created" value={filter.range} options={ranges} choose={(range) => go(here({ range, after: undefined, before: undefined }))} />
      {filter.range === "own" && <OwnRange filter={filter} />}
      <Search label="text in the error" value={filter.error} change={(q) => refine({ q })} find />
    </div>
  );
}

function localInput(time: string): string {
  if (!time) return "";
  const date = new Date(time);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function OwnRange({ filter }: { filter: RunFilter }) {
  const field = (name: "after" | "before", label: string) => (
    <label class="field"><span>{label}</span>
      <input type="datetime-local" value={localInput(filter[name])}
        onChange={(e) => go(here({ [name]: e.currentTarget.value ? new Date(e.currentTarget.value).toISOString().replace(".000Z", "Z") : undefined }))} />
    </label>
  );
  return <>{field("after", "from")}{field("before", "to")}</>;
}

// ---- many at once ----

type Target = { filter: object; known: number | null; words: string };

// With rows chosen it is about those, else about all that the filter finds, however many pages that are.
function Bulk({ filter, runs, chosen, more, clear }: {
  filter: RunFilter; runs: Run[]; chosen: ReadonlySet<string>; more: boolean; clear: () => void;
}) {
  if (chosen.size === 0 && isEmpty(filter)) return null;
  const target = (active: boolean): Target => {
    const fits = runs.filter((run) => (run.completedAt === null) === active && (chosen.size === 0 || chosen.has(run.runId)));
    if (chosen.size) return { filter: { runIds: fits.map((run) => run.runId) }, known: fits.length, words: "chosen" };
    return { filter: bulkFilter(filter), known: more ? null : fits.length, words: "filtered" };
  };
  const active = target(true), ended = target(false);
  return (
    <div class="bulk">
      {chosen.size > 0 && <span>{chosen.size} chosen <button class="quiet" onClick={clear}>none</button></span>}
      {active.known !== 0 && <BulkAct label="Cancel" what="active run" request={{ action: "cancel" }} target={active} done={clear} />}
      {ended.known !== 0 && <BulkAct label="Rerun what failed" what="ended run" request={{ action: "rerun", from: "failed" }} target={ended} done={clear} />}
    </div>
  );
}

function BulkAct({ label, what, request, target, done }: { label: string; what: string; request: object; target: Target; done: () => void }) {
  const [counted, setCounted] = useState<BulkResult>();
  const body = { ...request, filter: target.filter, max: BULK_MAX };
  // The server counts before anything is done: what is asked is exactly what will be done.
  const ask = () => attempt("", async () => {
    setCounted(await post<BulkResult>("api/v1/runs/bulk", { ...body, dryRun: true }));
    return `Counted by the server`;
  });
  const act = () => attempt("", async () => {
    const result = await post<BulkResult>("api/v1/runs/bulk", body);
    setCounted(undefined);
    done();
    return `${label}: ${result.done} of ${result.matched} done${result.skipped ? `, ${result.skipped} could not be` : ""}`;
  });
  const verb = label.toLowerCase();
  if (!counted) return <button onClick={() => void ask()}>{label}{target.known === null ? ` all ${target.words}` : ` ${target.known} ${target.words}`}…</button>;
  if (counted.matched === 0) return <span>No {what} to {verb}. <button onClick={() => setCounted(undefined)}>OK</button></span>;
  return (
    <span class="confirm" role="group" aria-label={label}>
      <span>{label}: {count(counted.matched, what)}{counted.more ? ` (the newest of more)` : ""}?</span>
      <button class="danger" onClick={() => void act()}>Yes, {verb}</button>
      <button onClick={() => setCounted(undefined)}>No</button>
    </span>
  );
}
