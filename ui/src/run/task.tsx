// The selected task: why it is as it is, its attempts, what can be done, and its log.
import { get, post } from "../core/api";
import { taskPath } from "../core/api";
import { at, bytes, duration, seconds, short } from "../core/format";
import { type Loaded, useLoad } from "../core/load";
import { go, here, link, refine, wanted } from "../core/route";
import { may } from "../core/session";
import type { Attempt, Run, Task, Why } from "../core/types";
import { Log } from "../log/view";
import { Id, Time, attempt as tell } from "../parts/parts";
import { State } from "../parts/state";
import { runMs, waitMs, waitWords } from "./model";

export function TaskPane({ run, task, critical }: { run: Run; task: Task; critical: boolean }) {
  const path = taskPath(run.runId, task.taskId);
  const key = `${task.taskId}|${task.state}|${task.attempt}`;
  const why = useLoad(key, async (abort) => (task.state === "succeeded" ? undefined : get<Why>(`${path}/why`, abort)));
  const attempts = useLoad(key, async (abort) => (task.attempt > 0 ? get<Attempt[]>(`${path}/attempts`, abort) : []));
  const number = Number(wanted("attempt")) || task.attempt;
  return (
    <section class="pane" aria-label={`task ${task.taskId}`}>
      <div class="pane-head">
        <h2>{task.name} <State state={task.state} /></h2>
        {may("operator") && run.completedAt && <button onClick={() => void rerunFrom(run, task)}>Rerun from here</button>}
        <button class="quiet" onClick={() => refine({ task: "-", attempt: undefined, at: undefined })} aria-label="close the task">×</button>
      </div>
      <Facts task={task} why={why} critical={critical} />
      {task.attempt > 1 && <Attempts attempts={attempts} shown={number} />}
      {task.attempt > 0
        ? <Log key={`${task.taskId}.${number}`} path={`${path}/log?attempt=${number}`} live={task.state === "running" && number === task.attempt} name={`${task.taskId}.${number}.log`} />
        : <p class="empty">{task.keptFrom ? "It did not run here: its success was kept." : "It has not started, so there is no log."}</p>}
    </section>
  );
}

function rerunFrom(run: Run, task: Task): Promise<boolean> {
  return tell(`Runs again from ${task.name}`, async () => {
    const made = await post<Run>(`api/v1/runs/${run.runId}/rerun`, { from: "task", taskId: task.taskId });
    go(link(["run", made.runId]));
  });
}

function Facts({ task, why, critical }: { task: Task; why: Loaded<Why | undefined>; critical: boolean }) {
  const wait = waitMs(task), ran = task.keptFrom ? null : runMs(task);
  return (
    <dl class="pairs">
      {task.name !== task.taskId && <><dt>Id</dt><dd><code>{task.taskId}</code></dd></>}
      {task.error && <><dt>Cause</dt><dd class="cause">{task.error}{task.errorType ? ` (${task.errorType})` : ""}</dd></>}
      {why.value && why.value.message !== task.error && <><dt>Why</dt><dd><WhyText why={why.value} /></dd></>}
      {task.nextAttemptAt && <><dt>Again</dt><dd><Time time={task.nextAttemptAt} /></dd></>}
      {task.startedAt && !task.keptFrom && <><dt>Ran</dt><dd>{ran !== null && <b>{duration(ran)}</b>} <span class="soft">from {at(task.startedAt)}</span></dd></>}
      {wait !== null && <><dt>Waited</dt><dd>{duration(wait)} <span class="soft">{waitWords(task)}</span></dd></>}
      {task.cpuSeconds !== null && <><dt>Used</dt><dd>{seconds(task.cpuSeconds)} CPU{task.maxRssBytes ? `, ${bytes(task.maxRssBytes)} memory` : ""}</dd></>}
      {task.workerId && <><dt>Worker</dt><dd><Id id={task.workerId} href={link(["workers"])} /></dd></>}
      {critical && <><dt>Path</dt><dd><span class="path" aria-hidden="true">▸</span> on the critical path</dd></>}
      {task.keptFrom && <><dt>Kept</dt><dd>from run <a href={link(["run", task.keptFrom], { task: task.taskId })}><code>{short(task.keptFrom)}</code></a></dd></>}
    </dl>
  );
}

function WhyText({ why }: { why: Why }) {
  return (
    <>
      {why.message}{why.until && <>, until {at(why.until)}</>}
      {why.dependencies.length > 0 && (
        <ul class="needs">
          {why.dependencies.slice(0, 8).map((one) => (
            <li key={one.taskId}><State state={one.state} brief /> <a href={here({ task: one.taskId, attempt: undefined, at: undefined })}>{one.taskId}</a></li>
          ))}
          {why.dependencyCount > 8 && <li class="soft">and {why.dependencyCount - 8} more</li>}
        </ul>
      )}
    </>
  );
}

function Attempts({ attempts, shown }: { attempts: Loaded<Attempt[]>; shown: number }) {
  return (
    <div class="attempts" role="group" aria-label="attempts">
      {attempts.value?.map((one) => (
        <a key={one.attempt} class="chip" aria-current={one.attempt === shown ? "true" : undefined} href={here({ attempt: String(one.attempt), at: undefined })}
          title={`${at(one.startedAt)}${one.error ? `: ${one.error}` : ""}`}>
          {one.attempt} <State state={one.state} brief /> {one.startedAt && one.completedAt ? duration(Date.parse(one.completedAt) - Date.parse(one.startedAt)) : ""}
        </a>
      ))}
    </div>
  );
}
