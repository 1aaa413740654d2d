// When each task was ready (thin) and when it ran (thick), by start; the critical path is marked.
import { duration, now } from "../core/format";
import type { Run, Task } from "../core/types";
import { type Column, List } from "../parts/list";
import { State } from "../parts/state";
import { waitMs, waitWords, runMs } from "./model";
import type { Shown } from "./page";
import { useSorted } from "./sorted";

const columns: Column[] = [
  { name: "state", width: "20px", hidden: true },
  { name: "Task", width: "minmax(90px, 220px)" },
  { name: "When", width: "minmax(120px, 1fr)" },
  { name: "Ran", width: "76px", right: true },
];

interface Scale {
  start: number;
  end: number;
}

function place(scale: Scale, time: number): number {
  return Math.max(0, Math.min(100, (100 * (time - scale.start)) / Math.max(1, scale.end - scale.start)));
}

// The time that the run spans. Tasks that were kept from another run are no part of it.
function scaleOf(head: Run): Scale {
  const start = Date.parse(head.startedAt ?? head.createdAt);
  const end = head.completedAt ? Date.parse(head.completedAt) : Math.max(now.value, start + 1000);
  return { start, end };
}

const order = (task: Task) => task.startedAt ?? task.readyAt ?? "~";

export function Timeline({ tasks, selected, critical, choose, head }: Shown & { head: Run }) {
  const scale = scaleOf(head);
  const sorted = useSorted(tasks, order);
  return (
    <>
      <Axis scale={scale} />
      <List label="timeline" items={sorted} id={(task) => task.taskId} columns={columns} current={selected?.taskId} open={choose} height={28}
        rowClass={(task) => (critical.has(task.taskId) ? "critical" : "")}
        row={(task) => [
          <State state={task.state} brief />,
          <span class="name" title={task.taskId}>{critical.has(task.taskId) && <span class="path" title="on the critical path">▸<span class="sr">on the critical path</span></span>}{task.name}</span>,
          <Bar task={task} scale={scale} />,
          runText(task),
        ]} />
    </>
  );
}

function runText(task: Task): string {
  const ms = task.keptFrom ? null : runMs(task);
  return ms === null ? "" : duration(ms);
}

function Bar({ task, scale }: { task: Task; scale: Scale }) {
  const wait = waitMs(task, scale.end), ran = runMs(task, scale.end);
  if (task.keptFrom) return <span class="track"><span class="kept">kept from another run</span></span>;
  const words = [wait !== null && `waited ${duration(wait)} ${waitWords(task)}`, ran !== null && `ran ${duration(ran)}`].filter(Boolean).join(", ");
  const waits = wait !== null && task.readyAt ? Date.parse(task.readyAt) : null;
  const starts = task.startedAt ? Date.parse(task.startedAt) : null;
  return (
    <span class="track" title={words} aria-label={words || "did not start"} role="img">
      {waits !== null && <i class="wait" style={{ left: `${place(scale, waits)}%`, width: `${place(scale, waits + wait!) - place(scale, waits)}%` }} />}
      {starts !== null && <i class={`ran s-${task.state}`} style={{ left: `min(${place(scale, starts)}%, calc(100% - 3px))`, width: `max(3px, ${place(scale, starts + ran!) - place(scale, starts)}%)` }} />}
    </span>
  );
}

function Axis({ scale }: { scale: Scale }) {
  const span = scale.end - scale.start;
  return (
    <div class="axis" aria-hidden="true">
      <span class="ticks">{[0, 0.25, 0.5, 0.75, 1].map((x) => <span key={x} style={{ left: `${x * 100}%` }}>{x ? duration(span * x) : "0"}</span>)}</span>
    </div>
  );
}
