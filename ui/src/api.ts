// The REST API as the pages use it. Addresses are relative to the page, so that a path prefix needs no setting.

export type TaskState = "pending" | "queued" | "running" | "succeeded" | "failed" | "skipped" | "canceled";
export type RunState = "pending" | "running" | "succeeded" | "failed" | "canceled";

export interface Run {
  runId: string;
  dagId: string;
  state: RunState;
  triggeredBy: string;
  createdAt: string;
  startedAt: string | null;
  completedAt: string | null;
  version: number;
}

export interface Task {
  taskId: string;
  name: string;
  state: TaskState;
  attempt: number;
  workerId: string | null;
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
  error: string | null;
  cancelRequestedAt: string | null;
  counts: Record<TaskState, number>;
  tasks: Task[];
}

export interface Dag {
  id: string;
  name: string;
  taskCount: number;
  schedule: string | null;
  version: number;
  createdAt: string;
  paused: boolean;
}

export interface Worker {
  id: string;
  status: string;
  runningTasks: number;
  queueDepth: number;
  host: string;
  slots: number;
}

export interface Letter {
  id: string;
  taskInstanceId: string;
  runId: string;
  dagId: string;
  taskName: string;
  errorType: string;
  errorMessage: string | null;
  logTail: string | null;
  totalAttempts: number;
  resolutionStatus: "pending" | "retried" | "skipped" | "resolved";
  createdAt: string;
}

export interface Why {
  state: TaskState;
  waitsFor: string | null;
  message: string;
  since: string | null;
  until: string | null;
}

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly errors: DagProblem[]) {
    super(message);
  }
}

export interface DagProblem {
  line: number;
  column: number;
  message: string;
}

async function failure(answer: Response): Promise<ApiError> {
  try {
    const body = await answer.json();
    return new ApiError(answer.status, body.code, body.message, body.errors ?? []);
  } catch {
    return new ApiError(answer.status, "", `${answer.status} ${answer.statusText}`, []);
  }
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const answer = await fetch(path, {
    method,
    signal: signal ?? null,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? null : JSON.stringify(body),
  });
  if (!answer.ok) throw await failure(answer);
  return answer;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await send("GET", path, undefined, signal)).json();
}

export async function post<T>(path: string, body: unknown = {}): Promise<T | null> {
  const answer = await send("POST", path, body);
  return answer.status === 204 ? null : answer.json();
}

export async function put<T>(path: string, body: unknown): Promise<T> {
  return (await send("PUT", path, body)).json();
}

export async function text(path: string): Promise<string> {
  return (await send("GET", path)).text();
}

// A piece of a log and the size of the whole.
export async function logPiece(path: string, offset: number, limit: number): Promise<{ text: Uint8Array; size: number }> {
  const answer = await send("GET", `${path}${path.includes("?") ? "&" : "?"}offset=${offset}&limit=${limit}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return { text: bytes, size: Number(answer.headers.get("X-Log-Size") ?? offset + bytes.length) };
}

export function query(values: Record<string, string | number | undefined | null>): string {
  const used = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") used.set(name, String(value));
  }
  const out = used.toString();
  return out ? `?${out}` : "";
}
