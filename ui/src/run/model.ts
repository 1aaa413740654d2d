// One run as it changes. Tasks keep their place in the DAG file; what the event stream tells is gathered and applied
// once a frame, in place, and `turn` says that something is new. So 5,000 tasks that change ten times a second cost a
// few assignments each, and only what is in view is drawn. Words and lists follow `tick`, which comes ten times a second
// at most: nobody reads faster.
import { type Signal, signal } from "@preact/signals";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { get } from "../core/api";
import { listen } from "../core/events";
import { now } from "../core/format";
import type { Counts, Run, RunStatus, Task } from "../core/types";

const TICK_MS = 100;

export function statusPath(runId: string): string {
  return `api/v1/runs/${runId}`;
}

export class RunModel {
  readonly head = signal<Run | null>(null); // all but the tasks
  readonly error = signal<Error | null>(null);
  readonly turn: Signal<number> = signal(0);
  readonly tick: Signal<number> = signal(0);
  tasks: Task[] = [];
  counts: Counts = emptyCounts();
  changed: number[] = []; // indexes that changed in this turn
  private places = new Map<string, number>();
  private waiting = new Map<string, Task>();
  private frame = 0;
  private ticking: ReturnType<typeof setTimeout> | undefined;
  private loading: AbortController | null = null;
  private isBehind = false; // what is on its way may lack what happened since it was asked for
  private isFinal = false;  // the run has ended and this is its end: nothing is to come

  constructor(readonly runId: string) {}

  async load(): Promise<void> {
    this.loading?.abort();
    const abort = (this.loading = new AbortController());
    this.isBehind = false;
    try {
      const status = await get<RunStatus>(statusPath(this.runId), abort.signal);
      if (abort.signal.aborted) return;
      this.take(status);
      this.error.value = null;
    } catch (error) {
      if (!abort.signal.aborted) this.error.value = error as Error;
    }
    if (this.loading !== abort) return;
    this.loading = null;
    if (this.isBehind) this.hearReset();
  }

  // Something happened that was not told. What is on its way is used all the same: it is nearly right and soon here.
  hearReset(): void {
    if (this.loading) this.isBehind = true;
    else if (!this.isFinal) void this.load();
  }

  take({ tasks, ...head }: RunStatus): void {
    this.tasks = tasks;
    this.counts = { ...head.counts };
    this.places = new Map(tasks.map((task, i) => [task.taskId, i]));
    this.isFinal = head.completedAt !== null;
    this.head.value = head;
    if (this.waiting.size) this.apply(); // what was told while this was on its way
    this.changed = tasks.map((_, i) => i);
    this.turn.value++;
    this.tick.value++;
  }

  placeOf(taskId: string): number | undefined {
    return this.places.get(taskId);
  }

  task(taskId: string): Task | undefined {
    const at = this.places.get(taskId);
    return at === undefined ? undefined : this.tasks[at];
  }

  // States that came and went at once are not told one by one: the end is read anew.
  hearRun(run: Run): void {
    const ends = run.completedAt !== null && !this.head.peek()?.completedAt;
    this.head.value = { ...this.head.value, ...run };
    if (ends) void this.load();
  }

  hearTask(task: Task): void {
    this.waiting.set(task.taskId, task);
    this.frame ||= requestAnimationFrame(() => this.apply());
  }

  private apply(): void {
    this.frame = 0;
    this.changed = [];
    for (const next of this.waiting.values()) {
      const at = this.places.get(next.taskId);
      if (at === undefined) continue;
      const task = this.tasks[at]!;
      if (isOlder(next, task)) continue;
      this.counts[task.state]--;
      this.counts[next.state]++;
      Object.assign(task, next);
      this.changed.push(at);
    }
    this.waiting.clear();
    this.turn.value++;
    this.ticking ??= setTimeout(() => {
      this.ticking = undefined;
      this.tick.value++;
    }, TICK_MS);
  }

  start(): () => void {
    void this.load();
    const stop = listen((event) => {
      if (event.name === "reset") this.hearReset();
      else if (event.name === "task") this.hearTask(event.data);
      else if (event.name === "run" && event.data.runId === this.runId) this.hearRun(event.data);
    }, this.runId);
    return () => {
      stop();
      this.loading?.abort();
      cancelAnimationFrame(this.frame);
      clearTimeout(this.ticking);
    };
  }
}

const order: Record<string, number> = { pending: 0, queued: 1, running: 2 };

// Within an attempt a task only goes on; told and read states may cross on their way.
function isOlder(one: Task, other: Task): boolean {
  if (one.attempt !== other.attempt) return one.attempt < other.attempt;
  return (order[one.state] ?? 3) < (order[other.state] ?? 3) && !(one.state === "pending" && one.nextAttemptAt);
}

function emptyCounts(): Counts {
  return { pending: 0, queued: 0, running: 0, succeeded: 0, failed: 0, skipped: 0, canceled: 0 };
}

export function useRun(runId: string): RunModel {
  const model = useMemo(() => new RunModel(runId), [runId]);
  useLayoutEffect(() => model.start(), [model]);
  return model;
}

// ---- facts about tasks ----

export function earliestFailure(tasks: Task[]): Task | undefined {
  let found: Task | undefined;
  for (const task of tasks) {
    if (task.state === "failed" && (!found || (task.completedAt ?? "~") < (found.completedAt ?? "~"))) found = task;
  }
  return found;
}

export function hasEnded(task: Task): boolean {
  return ["succeeded", "failed", "skipped", "canceled"].includes(task.state);
}

export function notEnded(counts: Counts): number {
  return counts.pending + counts.queued + counts.running;
}

// How long it was ready before it started; null while that is not known. The present is only looked at where it
// matters, so that what has ended is not drawn again each second.
export function waitMs(task: Task, present?: number): number | null {
  if (!task.readyAt || task.keptFrom) return null;
  const until = task.startedAt ? Date.parse(task.startedAt) : hasEnded(task) ? NaN : present ?? now.value;
  return Number.isNaN(until) ? null : Math.max(0, until - Date.parse(task.readyAt));
}

// What it waited for. Of several attempts the last one's start is known, so that the earlier ones are in it.
export function waitWords(task: Task): string {
  return task.attempt > 1 ? "from when it was ready to this attempt" : "for a slot";
}

export function runMs(task: Task, present?: number): number | null {
  if (!task.startedAt) return null;
  return Math.max(0, (task.completedAt ? Date.parse(task.completedAt) : present ?? now.value) - Date.parse(task.startedAt));
}
