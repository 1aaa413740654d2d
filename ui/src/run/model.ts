// One run as it changes. Tasks keep their place in the DAG file; what the event stream tells is gathered and applied
// once a frame, in place, and `turn` says that something is new. So 5,000 tasks that change ten times a second cost a
// few assignments each, and only what is in view is drawn. Words and lists follow `tick`, which comes ten times a second
// at most: nobody reads faster.
import { type Signal, signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { get } from "../core/api";
import { listen } from "../core/events";
import type { Counts, Run, RunStatus, Task } from "../core/types";

const TICK_MS = 100;

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

  constructor(readonly runId: string) {}

  async load(): Promise<void> {
    this.loading?.abort();
    const abort = (this.loading = new AbortController());
    try {
      const status = await get<RunStatus>(`api/v1/runs/${this.runId}`, abort.signal);
      this.take(status);
      this.error.value = null;
    } catch (error) {
      if (!abort.signal.aborted) this.error.value = error as Error;
    }
  }

  take({ tasks, ...head }: RunStatus): void {
    this.tasks = tasks;
    this.counts = { ...head.counts };
    this.places = new Map(tasks.map((task, i) => [task.taskId, i]));
    this.head.value = head;
    this.apply(); // what was told while this was on its way
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
      if (event.name === "reset") void this.load();
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
  useEffect(() => model.start(), [model]);
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

// How long it was ready before it started; null while that is not known.
export function waitMs(task: Task, now: number): number | null {
  if (!task.readyAt || task.keptFrom) return null;
  const until = task.startedAt ? Date.parse(task.startedAt) : hasEnded(task) ? NaN : now;
  return Number.isNaN(until) ? null : Math.max(0, until - Date.parse(task.readyAt));
}

export function runMs(task: Task, now: number): number | null {
  if (!task.startedAt) return null;
  return Math.max(0, (task.completedAt ? Date.parse(task.completedAt) : now) - Date.parse(task.startedAt));
}
