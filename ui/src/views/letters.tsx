// Dead letters: what failed and waits for a person. Grouped by error, so that a hundred of one cause are one decision.
import { useEffect, useState } from "preact/hooks";
import { get, getPage, post, query } from "../core/api";
import { listen } from "../core/events";
import { bytes, count, seconds } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { go, here, link, wanted } from "../core/route";
import { may } from "../core/session";
import type { BulkResult, Dag, Letter, LetterGroup } from "../core/types";
import { type Column, List } from "../parts/list";
import { Commands, Empty, Id, Problem, Select, Time, Title, attempt } from "../parts/parts";
import { State } from "../parts/state";

const BULK_MAX = 1000;
const PAGE = 500;

interface Filter {
  status: string;
  dagId: string;
  error: string; // of a group
}

interface Stats {
  pending: number;
  retried: number;
  skipped: number;
  resolved: number;
  oldestPendingAt: string | null;
}

export function Letters() {
  const filter: Filter = { status: wanted("status") || "pending", dagId: wanted("dag"), error: wanted("group") };
  const key = `${filter.status}|${filter.dagId}`;
  const groups = useLoad(key, (abort) => get<LetterGroup[]>(`api/v1/dlq/groups${query({ status: filter.status, dagId: filter.dagId, limit: 100 })}`, abort));
  const letters = useLoad(`${key}|${filter.error}`, (abort) => getPage<Letter>(`api/v1/dlq${query({ status: filter.status, dagId: filter.dagId, error: filter.error, limit: PAGE })}`, abort));
  const stats = useLoad("", (abort) => get<Stats>("api/v1/dlq/stats", abort));
  const again = () => { groups.again(); letters.again(); stats.again(); };
  const reload = useThrottled(again, 1000);
  useEffect(() => listen((event) => {
    if (event.name === "reset" || (event.name === "run" && event.data.completedAt)) reload();
  }), []);
  const shown = letters.value?.items ?? [];
  const selected = shown.find((letter) => letter.id === wanted("letter"));
  return (
    <main class="fill" tabIndex={-1}>
      <Title text="Dead letters" />
      <div class="heading">
        <h1>Dead letters</h1>
        <p class="facts">{stats.value && <><span>{count(stats.value.pending, "pending", "pending")}</span>{stats.value.oldestPendingAt && <span>the oldest <Time time={stats.value.oldestPendingAt} /></span>}</>}</p>
      </div>
      <Filters filter={filter} />
      <Groups groups={groups.value ?? []} chosen={filter.error} />
      {may("operator") && filter.status === "pending" && shown.length > 0 && <Bulk filter={filter} done={again} />}
      <Problem error={letters.error} />
      {letters.value && shown.length === 0 ? <Empty>{filter.status === "pending" ? "None. Nothing waits for you here." : "None."}</Empty> : (
        <div class={selected ? "split" : "split one"}>
          <section class="main-pane" aria-label="letters"><LetterList letters={shown} current={selected?.id} /></section>
          {selected && <LetterPane key={selected.id} letter={selected} done={again} />}
        </div>
      )}
      {selected
        ? <Commands cli={`pawl dlq show ${selected.id}`} curl={`api/v1/dlq/${selected.id}`} />
        : <Commands cli={`pawl dlq list --status ${filter.status}${filter.dagId ? ` --dag ${filter.dagId}` : ""}`} curl={`api/v1/dlq${query({ status: filter.status, dagId: filter.dagId, error: filter.error })}`} />}
    </main>
  );
}

function Filters({ filter }: { filter: Filter }) {
  const dags = useLoad("dags", (abort) => get<Dag[]>("api/v1/dags?limit=1000", abort));
  const fresh = { group: undefined, letter: undefined };
  return (
    <div class="filters">
      <Select label="Status" value={filter.status} choose={(status) => go(here({ ...fresh, status }))}
        options={["pending", "retried", "skipped", "resolved"].map((s): [string, string] => [s, s])} />
      <Select label="DAG" value={filter.dagId} choose={(dag) => go(here({ ...fresh, dag }))} options={[["", "any"], ...(dags.value ?? []).map((dag): [string, string] => [dag.id, dag.name])]} />
    </div>
  );
}

function Groups({ groups, chosen }: { groups: LetterGroup[]; chosen: string }) {
  if (groups.length < 2 && !chosen) return null;
  return (
    <ul class="groups" aria-label="by error">
      {groups.map((group) => (
        <li key={`${group.errorType}${group.error}`}>
          <a class="chip" href={here({ group: group.error === chosen ? undefined : group.error, letter: undefined })} aria-current={group.error === chosen ? "true" : undefined} title={group.error}>
            <b>{group.count}</b> × <span class="cause">{group.error}</span> <span class="soft">{group.errorType}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

// ---- many at once, counted by the server first ----

const actions: [action: string, label: string, words: string][] = [
  ["retry", "Retry", "Run again"], ["skip", "Skip", "Skip and go on without"], ["resolve", "Resolve", "Mark as resolved"],
];

function Bulk({ filter, done }: { filter: Filter; done: () => void }) {
  const [asked, setAsked] = useState<{ action: string; words: string; matched: number }>();
  const body = (action: string) => ({
    action, max: BULK_MAX, filter: { ...(filter.dagId ? { dagId: filter.dagId } : {}), ...(filter.error ? { error: filter.error } : {}) },
    ...(action === "skip" ? { reason: "from the web UI" } : action === "resolve" ? { notes: "from the web UI" } : {}),
  });
  const ask = (action: string, words: string) => attempt("Counted by the server", async () => {
    const { matched } = await post<BulkResult>("api/v1/dlq/bulk", { ...body(action), dryRun: true });
    setAsked({ action, words, matched });
  });
  const act = (action: string, words: string) => attempt("", async () => {
    const result = await post<BulkResult>("api/v1/dlq/bulk", body(action));
    setAsked(undefined);
    done();
    return `${words}: ${result.done} of ${result.matched} done${result.skipped ? `, ${result.skipped} could not be` : ""}`;
  });
  return (
    <div class="bulk">
      {asked ? (
        <span class="confirm" role="group" aria-label={asked.words}>
          <span>{asked.words}: {count(asked.matched, "dead letter")}{asked.matched === BULK_MAX && " (the newest)"}?</span>
          <button class="danger" onClick={() => void act(asked.action, asked.words)}>Yes, {asked.action}</button>
          <button onClick={() => setAsked(undefined)}>No</button>
        </span>
      ) : (
        <>
          <span>{filter.error ? "All of this error:" : "All pending:"}</span>
          {actions.map(([action, label, words]) => <button key={action} onClick={() => void ask(action, words)}>{label} all…</button>)}
        </>
      )}
    </div>
  );
}

// ---- one by one ----

const columns: Column[] = [
  { name: "DAG", width: "minmax(84px, 0.7fr)", minor: true },
  { name: "Task", width: "minmax(110px, 1fr)" },
  { name: "Cause", width: "minmax(110px, 2fr)" },
  { name: "Tries", width: "50px", right: true, minor: true },
  { name: "Failed", width: "112px" },
  { name: "Run", width: "84px", minor: true },
];

function LetterList({ letters, current }: { letters: Letter[]; current: string | undefined }) {
  return (
    <List label="dead letters" items={letters} id={(letter) => letter.id} columns={columns} current={current} open={(letter) => go(here({ letter: letter.id }))}
      row={(letter) => [
        <span class="soft" title={letter.dagName}>{letter.dagName}</span>,
        <span class="name">{letter.taskName}</span>,
        <span class="cause" title={letter.errorMessage ?? ""}>{letter.errorMessage ?? letter.errorType}</span>,
        letter.totalAttempts,
        <Time time={letter.createdAt} />,
        <Id id={letter.runId} href={link(["run", letter.runId], { task: letter.taskId })} />,
      ]} />
  );
}

function LetterPane({ letter, done }: { letter: Letter; done: () => void }) {
  const act = (what: string, body: object, said: string) => attempt(said, () => post(`api/v1/dlq/${letter.id}/${what}`, body)).then(done);
  return (
    <section class="pane" aria-label={`dead letter ${letter.taskName}`}>
      <div class="pane-head"><h2>{letter.taskName} <State state={letter.resolutionStatus} /></h2><a class="button quiet" href={here({ letter: undefined })} aria-label="close">×</a></div>
      <dl class="pairs">
        <dt>Cause</dt><dd class="cause">{letter.errorMessage} ({letter.errorType}) after {count(letter.totalAttempts, "attempt")}</dd>
        {letter.cpuSeconds !== null && <><dt>Used</dt><dd>{seconds(letter.cpuSeconds)} CPU{letter.maxRssBytes ? `, ${bytes(letter.maxRssBytes)} memory` : ""}</dd></>}
        <dt>DAG</dt><dd><a href={link(["dag", letter.dagId])}>{letter.dagName}</a></dd>
        <dt>Run</dt><dd><Id id={letter.runId} href={link(["run", letter.runId], { task: letter.taskId })} /> <span class="soft">with the whole log</span></dd>
        {letter.resolvedAt && <><dt>Resolved</dt><dd><Time time={letter.resolvedAt} /> {letter.resolvedBy && `by ${letter.resolvedBy}`} {letter.resolutionNotes}</dd></>}
        {letter.resolutionRunId && <><dt>By run</dt><dd><Id id={letter.resolutionRunId} href={link(["run", letter.resolutionRunId])} /></dd></>}
      </dl>
      {letter.resolutionStatus === "pending" && may("operator") && (
        <p class="actions">
          <button class="primary" onClick={() => void act("retry", {}, "Runs again")}>Retry</button>
          <button onClick={() => void act("skip", { reason: "from the web UI" }, "Skipped; what needs it runs")}>Skip</button>
          <button onClick={() => void act("resolve", { notes: "from the web UI" }, "Resolved")}>Resolve</button>
        </p>
      )}
      {letter.logTail ? <pre class="tail" tabIndex={0} aria-label="end of the log">{letter.logTail}</pre> : <p class="empty">It wrote nothing.</p>}
    </section>
  );
}
