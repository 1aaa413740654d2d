// The shapes of the REST API, as docs/api.md spells them.

export type TaskState = "pending" | "queued" | "running" | "succeeded" | "failed" | "skipped" | "canceled";
export type RunState = "pending" | "running" | "succeeded" | "failed" | "canceled";
export type Role = "viewer" | "operator" | "admin";

export const runStates: RunState[] = ["pending", "running", "succeeded", "failed", "canceled"];
export const taskStates: TaskState[] = ["pending", "queued", "running", "succeeded", "failed", "skipped", "canceled"];
export const triggers = ["api", "cli", "schedule", "backfill", "dlq", "rerun"];

export type Counts = Record<TaskState, number>;

export interface Run {
  runId: string;
  dagId: string;
  dagName: string;
  state: RunState;
  triggeredBy: string;
  createdAt: string;
  startedAt: string | null;
  completedAt: string | null;
  version: number;
  scheduledFor: string | null;
  error: string | null;
  taskCount: number;
  counts: Counts | null;
  source: string | null;
  cancelRequestedAt: string | null;
}

export interface Task {
  taskId: string;
  name: string;
  state: TaskState;
  attempt: number;
  workerId: string | null;
  readyAt: string | null;
  startedAt: string | null;
  completedAt: string | null;
  taskInstanceId: string;
  error: string | null;
  errorType: string | null;
  exitCode: number | null;
  signal: number | null;
  cpuSeconds: number | null;
  maxRssBytes: number | null;
  nextAttemptAt: string | null;
  keptFrom: string | null;
}

export interface RunStatus extends Run {
  counts: Counts;
  tasks: Task[];
}

export interface Attempt {
  attempt: number;
  state: string;
  workerId: string | null;
  startedAt: string | null;
  completedAt: string | null;
  error: string | null;
  exitCode: number | null;
  cpuSeconds: number | null;
  maxRssBytes: number | null;
}

export interface Why {
  state: TaskState;
  waitsFor: string;
  message: string;
  since: string | null;
  until: string | null;
  dependencies: { taskId: string; state: TaskState }[];
  dependencyCount: number;
}

export interface LastRun {
  runId: string;
  state: RunState;
  triggeredBy: string;
  createdAt: string;
  startedAt: string | null;
  completedAt: string | null;
}

export interface Dag {
  id: string;
  name: string;
  taskCount: number;
  schedule: string | null;
  version: number;
  createdAt: string;
  paused: boolean;
  stats?: {
    lastRuns: LastRun[];
    activeRuns: number;
    p50Seconds: number | null;
    p95Seconds: number | null;
    nextFireAt: string | null;
  };
}

export interface DagVersion {
  version: number;
  taskCount: number;
  createdAt: string;
  sourceBytes: number;
}

export interface DagProblem {
  line: number | null;
  column: number | null;
  length: number;
  message: string;
  hint: string | null;
}

export interface Verdict {
  valid: boolean;
  errors: DagProblem[];
  warnings: DagProblem[];
}

export interface GraphNode {
  taskId: string;
  name: string;
  type: string;
  layer: number;
  x: number;
  y: number;
}

export interface Graph {
  taskCount: number;
  edgeCount: number;
  collapsed: boolean;
  width: number;
  height: number;
  nodeWidth: number;
  nodeHeight: number;
  nodes: GraphNode[] | null;
  edges: number[][] | null;
  groups?: GraphGroup[];
  groupEdges?: number[][];
}

export interface GraphGroup {
  layer: number;
  taskCount: number;
  x: number;
  y: number;
  width: number;
  height: number;
  firstTaskId: string;
}

export interface History {
  runs: Run[];
  taskCount: number;
  tasks: { taskId: string; name: string; states: (TaskState | null)[]; attempts: number[]; seconds: (number | null)[] }[];
}

export interface Letter {
  id: string;
  taskInstanceId: string;
  runId: string;
  dagId: string;
  dagName: string;
  taskId: string;
  taskName: string;
  errorType: string;
  errorMessage: string | null;
  logTail: string | null;
  totalAttempts: number;
  cpuSeconds: number | null;
  maxRssBytes: number | null;
  resolutionStatus: "pending" | "retried" | "skipped" | "resolved";
  resolvedAt: string | null;
  resolvedBy: string | null;
  resolutionNotes: string | null;
  resolutionRunId: string | null;
  createdAt: string;
}

export interface LetterGroup {
  error: string;
  errorType: string;
  count: number;
  oldestAt: string;
  newestAt: string;
  newestId: string;
}

export interface BulkResult {
  matched: number;
  done: number;
  skipped: number;
  more?: boolean;
}

export interface Worker {
  id: string;
  status: string;
  runningTasks: number;
  queueDepth: number;
  host: string;
  node: string;
  slots: number;
}

export interface WorkerTask {
  runId: string;
  dagId: string;
  dagName: string;
  taskId: string;
  attempt: number;
  workerId: string;
  startedAt: string;
}

export interface Cluster {
  leaderId: string;
  leaderSince: string;
  nodes: { id: string; host: string; startedAt: string; workers: number; slots: number; runningTasks: number }[];
  workers: number;
  activeRuns: number;
}

export interface Fire {
  dagId: string;
  dagName: string;
  at: string;
  local: string;
  timezone: string;
  why: string;
}

export interface Preview {
  expr: string;
  timezone: string;
  next: { local: string; utc: string; why: string }[];
}

export interface Health {
  status: string;
  version: string;
  host: string;
  startedAt: string;
  uptimeSeconds: number;
  components: Record<string, Record<string, unknown>>;
}

export interface Setting {
  name: string;
  values: string[];
  origin: "default" | "config" | "environment" | "flag";
  place: string;
  reloads: boolean;
  summary: string;
}

export interface Me {
  principal: string | null;
  role: Role | null;
  tokenRequired: boolean;
  version: string;
  host: string;
}
