// Tasks x runs: which task fails when, at a glance. Newest run at the right; a cell leads to the task in that run.
import { useEffect } from "preact/hooks";
import { get, query } from "../core/api";
import { listen } from "../core/events";
import { at, brief, seconds } from "../core/format";
import { useLoad, useThrottled } from "../core/load";
import { here, link, wanted } from "../core/route";
import type { Dag, History } from "../core/types";
import { Empty, Problem } from "../parts/parts";
import { State, StateMark } from "../parts/state";

const RUNS = 25;
const TASKS = 100;

export function HistoryGrid({ dag }: { dag: Dag }) {
  const path = `api/v1/dags/${dag.id}/history${query({ limit: RUNS, before: wanted("before"), taskLimit: TASKS, taskAfter: wanted("after") })}`;
  const history = useLoad(path, (abort) => get<History>(path, abort));
  const reload = useThrottled(history.again, 1000);
  useEffect(() => listen((event) => {
    if (event.name === "reset" || (event.name === "run" && event.data.dagId === dag.id)) reload();
  }), []);
  if (history.error && !history.value) return <Problem error={history.error} />;
  if (!history.value) return <p class="empty" aria-busy="true">loading…</p>;
  if (!history.value.runs.length) return <Empty>It has not run yet.</Empty>;
  return <Grid history={history.value} />;
}

function Grid({ history }: { history: History }) {
  const runs = history.runs.map((run, i) => ({ run, i })).reverse();
  const last = history.tasks[history.tasks.length - 1];
  return (
    <>
      <div class="grid-box" tabIndex={0} role="region" aria-label="history">
        <table class="history">
          <thead>
            <tr>
              <th scope="col">Task</th>
              {runs.map(({ run }) => (
                <th key={run.runId} scope="col" class="run" title={`${run.state}, ${at(run.createdAt)}`}>
                  <a href={link(["run", run.runId])}><span class="when">{brief(run.createdAt)}</span> <State state={run.state} brief /></a>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {history.tasks.map((task) => (
              <tr key={task.taskId}>
                <th scope="row" title={task.taskId}>{task.name}</th>
                {runs.map(({ run, i }) => <Cell key={run.runId} runId={run.runId} taskId={task.taskId} state={task.states[i] ?? null} tries={task.attempts[i] ?? 0} took={task.seconds[i] ?? null} />)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="facts">
        {history.runs.length === RUNS && <a href={here({ before: history.runs[RUNS - 1]!.runId })}>Older runs</a>}
        {wanted("before") && <a href={here({ before: undefined })}>Newest runs</a>}
        {history.tasks.length === TASKS && last && <a href={here({ after: last.taskId })}>More tasks ({history.taskCount} in all)</a>}
        {wanted("after") && <a href={here({ after: undefined })}>First tasks</a>}
      </p>
    </>
  );
}

function Cell({ runId, taskId, state, tries, took }: { runId: string; taskId: string; state: string | null; tries: number; took: number | null }) {
  if (!state) return <td class="absent" title="not in that version"><span class="sr">not there</span></td>;
  const words = `${state}${tries > 1 ? ` after ${tries} attempts` : ""}${took !== null ? `, ${seconds(took)}` : ""}`;
  return (
    <td class={`state s-${state}`}>
      <a href={link(["run", runId], { task: taskId })} title={words} aria-label={words} {...(tries > 1 ? { "data-tries": tries } : {})}><StateMark state={state} /></a>
    </td>
  );
}
