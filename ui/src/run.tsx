// One run: timeline and table share a selection, the log is beside them, opened at the earliest failure.
import { useEffect, useMemo, useState } from "preact/hooks";
import { type Dag, type RunStatus, type Task, type Why, get, post, query } from "./api";
import { listen } from "./events";
import { at, between, bytes, duration, now } from "./format";
import { Log } from "./log";
import { go, link, refine, route } from "./route";
import { Commands, Confirm, Id, Problem, Rows, State, Time, attempt, useLoad } from "./parts";

const ROW = 30;

function earliestFailure(tasks: Task[]): Task | undefined {
  let found: Task | undefined;
  for (const task of tasks) {
    if (task.state !== "failed") continue;
    if (!found || (task.completedAt ?? "") < (found.completedAt ?? "")) found = task;
  }
  return found;
}

// Applies the tasks' events to the loaded status, at most once a frame.
function useStatus(runId: string) {
  const load = useLoad(runId, (abort) => get<RunStatus>(`api/v1/runs/${runId}`, abort));
  const [status, setStatus] = useState<RunStatus>();
  useEffect(() => setStatus(load.value), [load.value]);
  useEffect(() => {
    let waiting: Map<string, Task> | null = null;
    const apply = () => {
      const changes = waiting!;
      waiting = null;
      setStatus((before) => {
        if (!before) return before;
        const counts = { ...before.counts };
        const tasks = before.tasks.map((task) => {
          const next = changes.get(task.taskId);
          if (!next) return task;
          counts[task.state]--;
          counts[next.state]++;
          return { ...task, ...next };
        });
        return { ...before, tasks, counts };
      });
    };
    return listen((event) => {
      if (event.name === "reset") load.again();
      if (event.data.runId !== runId) return;
      if (event.name === "run") {
        if (event.data.completedAt) load.again();
        else setStatus((before) => before && { ...before, ...event.data });
      } else if (event.name === "task") {
        if (!waiting) requestAnimationFrame(apply);
        waiting ??= new Map();
        waiting.set(event.data.taskId, event.data);
      }
    });
  }, [runId]);
  return { status, error: load.error, again: load.again };
}

export function RunPage() {
  const runId = route.value.path[1] ?? "";
  const { status, error, again } = useStatus(runId);
  const wanted = route.value.query.get("task");
  const filter = route.value.query.get("state") ?? "";
  const text = (route.value.query.get("q") ?? "").toLowerCase();
  const view = route.value.query.get("view") ?? "timeline";
  const dag = useLoad(status?.dagId ?? "", async (abort) => (status ? get<Dag>(`api/v1/dags/${status.dagId}`, abort) : undefined));
  const tasks = useMemo(
    () => (status?.tasks ?? []).filter((task) =>
      (!filter || task.state === filter) && (!text || task.taskId.toLowerCase().includes(text) || task.name.toLowerCase().includes(text)
        || (task.error ?? "").toLowerCase().includes(text))),
    [status, filter, text]);
  if (error) return <main><Problem error={error} /></main>;
  if (!status) return <main aria-busy="true" />;
  const selected = status.tasks.find((task) => task.taskId === wanted) ?? (wanted ? undefined : earliestFailure(status.tasks));
  const choose = (task: Task) => refine({ task: task.taskId });

  const rerun = (from: string, taskId?: string) =>
    attempt("Started a new run", async () => {
      const run = await post<{ runId: string }>(`api/v1/runs/${runId}/rerun`, taskId ? { from, taskId } : { from });
      go(link(["run", run!.runId]));
    });

  return (
    <main>
      <h1>
        <a href={link(["dag", status.dagId])}>{dag.value?.name ?? status.dagId.slice(-8)}</a> <span class="none">v{status.version}</span>{" "}
        run <code>{runId.slice(-8)}</code> <State state={status.state} />
      </h1>
      <p class="facts">
        by {status.triggeredBy}, <Time time={status.createdAt} />
        {status.startedAt && <>, waited {between(status.createdAt, status.startedAt)}, took {between(status.startedAt, status.completedAt)}</>}
        {status.cancelRequestedAt && <>, cancel asked for <Time time={status.cancelRequestedAt} /></>}
        {status.error && <>: <strong>{status.error}</strong></>}
      </p>
      <div class="bar">
        <Counts counts={status.counts} filter={filter} />
        <input type="search" id="find" placeholder="find a task  ( / )" value={text} aria-label="find a task"
          onInput={(e) => refine({ q: e.currentTarget.value })} />
        <span class="tabs" role="group" aria-label="view">
          {["timeline", "table"].map((v) => <a key={v} class={v === view ? "on" : ""} href={link(["run", runId], { ...Object.fromEntries(route.value.query), view: v })}>{v}</a>)}
        </span>
        {!status.completedAt && <Confirm label="Cancel" question={`Cancel ${status.tasks.length - ended(status)} tasks that have not ended?`}
          act={() => void attempt("Cancel asked for", () => post(`api/v1/runs/${runId}/cancel`)).then(again)} />}
        {status.completedAt && status.state !== "succeeded" && <button onClick={() => void rerun("failed")}>Rerun what failed</button>}
        {status.completedAt && <button onClick={() => void rerun("all")}>Rerun all</button>}
      </div>
      <div class={selected ? "split" : ""}>
        <div>
          {view === "timeline" ? <Timeline status={status} tasks={tasks} selected={selected} choose={choose} />
            : <Table tasks={tasks} selected={selected} choose={choose} />}
        </div>
        {selected && <TaskPane key={selected.taskId} runId={runId} task={selected} ended={!!status.completedAt}
          rerun={() => void rerun("task", selected.taskId)} />}
      </div>
      <Commands cli={`pawl runs show ${runId}`} curl={`api/v1/runs/${runId}`} />
    </main>
  );
}

function ended(status: RunStatus): number {
  const c = status.counts;
  return c.succeeded + c.failed + c.skipped + c.canceled;
}

function Counts({ counts, filter }: { counts: RunStatus["counts"]; filter: string }) {
  return (
    <span class="counts" role="group" aria-label="tasks by state">
      {Object.entries(counts).filter(([, n]) => n > 0).map(([state, n]) => (
        <button key={state} class={filter === state ? "on" : ""} aria-pressed={filter === state}
          onClick={() => refine({ state: filter === state ? undefined : state })}>
          <State state={state} /> {n}
        </button>
      ))}
    </span>
  );
}

interface Shown {
  tasks: Task[];
  selected: Task | undefined;
  choose: (task: Task) => void;
}

function Timeline({ status, tasks, selected, choose }: Shown & { status: RunStatus }) {
  const start = Date.parse(status.startedAt ?? status.createdAt);
  const end = status.completedAt ? Date.parse(status.completedAt) : now.value;
  const span = Math.max(1, end - start);
  const place = (time: string) => Math.max(0, Math.min(100, ((Date.parse(time) - start) / span) * 100));
  const sorted = useMemo(() => [...tasks].sort((a, b) => ((a.startedAt ?? "~") < (b.startedAt ?? "~") ? -1 : 1)), [tasks]);
  return (
    <>
      <div class="axis" aria-hidden="true">{[0, 0.25, 0.5, 0.75, 1].map((x) => <span key={x} style={{ left: `${x * 100}%` }}>{duration(span * x)}</span>)}</div>
      <Rows items={sorted} height={ROW} row={(task) => (
        <button key={task.taskId} class={`line ${task === selected ? "on" : ""}`} style={{ height: `${ROW}px` }} onClick={() => choose(task)}
          title={`${task.taskId}: ${task.state}${task.error ? `, ${task.error}` : ""}`}>
          <State state={task.state} brief /> <span class="name">{task.name}</span>
          <span class="track">
            {task.startedAt && (
              <span class={`span s-${task.state}`} style={{
                left: `${place(task.startedAt)}%`,
                width: `max(3px, ${place(task.completedAt ?? new Date(end).toISOString()) - place(task.startedAt)}%)`,
              }} />
            )}
          </span>
          <span class="n">{between(task.startedAt, task.completedAt)}</span>
        </button>
      )} />
    </>
  );
}

function Table({ tasks, selected, choose }: Shown) {
  return (
    <>
      <div class="line head" aria-hidden="true"><span class="wide">Task</span><span>State</span><span class="n">Tries</span><span class="n">Took</span><span class="n">CPU</span><span class="n">Memory</span></div>
      <Rows items={tasks} height={ROW} row={(task) => (
        <button key={task.taskId} class={`line ${task === selected ? "on" : ""}`} style={{ height: `${ROW}px` }} onClick={() => choose(task)}>
          <span class="wide name">{task.name}{task.error ? <span class="none"> {task.error}</span> : null}</span>
          <State state={task.state} />
          <span class="n">{task.attempt}</span>
          <span class="n">{between(task.startedAt, task.completedAt)}</span>
          <span class="n">{task.cpuSeconds !== null ? duration(task.cpuSeconds * 1000) : ""}</span>
          <span class="n">{task.maxRssBytes ? bytes(task.maxRssBytes) : ""}</span>
        </button>
      )} />
    </>
  );
}

function TaskPane({ runId, task, ended, rerun }: { runId: string; task: Task; ended: boolean; rerun: () => void }) {
  const path = `api/v1/runs/${runId}/tasks/${encodeURIComponent(task.taskId)}`;
  const waits = ["pending", "queued", "skipped"].includes(task.state);
  const why = useLoad(`${task.taskId}|${task.state}|${task.attempt}`, async (abort) => (waits ? get<Why>(`${path}/why`, abort) : undefined));
  const [number, setNumber] = useState(0);
  const shown = number || task.attempt;
  return (
    <section class="pane" aria-label={`task ${task.taskId}`}>
      <h2>{task.name} <State state={task.state} /> <button onClick={() => refine({ task: undefined })} aria-label="close">×</button></h2>
      <dl>
        {task.name !== task.taskId && <><dt>Id</dt><dd><code>{task.taskId}</code></dd></>}
        {task.error && <><dt>Cause</dt><dd class="cause">{task.error}{task.errorType ? ` (${task.errorType})` : ""}</dd></>}
        {why.value && <><dt>Why</dt><dd>{why.value.message}{why.value.until ? <>, until {at(why.value.until)}</> : null}</dd></>}
        {task.startedAt && <><dt>Ran</dt><dd>{at(task.startedAt)}, {between(task.startedAt, task.completedAt)}</dd></>}
        {task.keptFrom && <><dt>Kept</dt><dd>from run <Id id={task.keptFrom} href={link(["run", task.keptFrom])} /></dd></>}
        {task.attempt > 1 && (
          <><dt>Attempt</dt><dd>
            <select value={shown} aria-label="attempt" onChange={(e) => setNumber(Number(e.currentTarget.value))}>
              {Array.from({ length: task.attempt }, (_, i) => <option key={i} value={i + 1}>{i + 1}</option>)}
            </select>
          </dd></>
        )}
      </dl>
      {ended && <p><button onClick={rerun}>Rerun from here</button></p>}
      {task.attempt > 0
        ? <Log path={`${path}/log${query({ attempt: shown })}`} live={task.state === "running" && shown === task.attempt} />
        : !waits && <p class="empty">It never started, so there is no log.</p>}
    </section>
  );
}
