// Requests to the REST API. Addresses are relative to the page, so that a path prefix needs no setting.
import type { DagProblem } from "./types";

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly errors: DagProblem[]) {
    super(message);
  }
}

// What has to be known of every answer; session.ts listens for 401.
export const onRefused: { listener: (status: number) => void } = { listener: () => undefined };

async function failure(answer: Response): Promise<ApiError> {
  onRefused.listener(answer.status);
  try {
    const body = await answer.json();
    return new ApiError(answer.status, body.code, body.message, body.errors ?? []);
  } catch {
    return new ApiError(answer.status, "", `The server answers ${answer.status} ${answer.statusText}`, []);
  }
}

// What the first view will ask for, asked for before it is made. Whoever gets it first has the answer.
const ahead = new Map<string, Promise<Response>>();

export function askAhead(path: string): void {
  const answer = send("GET", path);
  answer.catch(() => undefined); // told to who takes it
  ahead.set(path, answer);
}

export async function send(method: string, path: string, body?: unknown, init: RequestInit = {}): Promise<Response> {
  const known = method === "GET" ? ahead.get(path) : undefined;
  if (known) {
    ahead.delete(path);
    return known;
  }
  let answer: Response;
  try {
    answer = await fetch(path, {
      ...init,
      method,
      headers: { ...(init.headers as Record<string, string>), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
  } catch (problem) {
    if ((problem as Error).name === "AbortError") throw problem;
    throw new ApiError(0, "", "The server cannot be reached", []);
  }
  if (!answer.ok) throw await failure(answer);
  return answer;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await send("GET", path, undefined, { signal: signal ?? null })).json();
}

export interface Page<T> {
  items: T[];
  next: string | null; // what `before` goes on from; null at the end
}

export async function getPage<T>(path: string, signal?: AbortSignal): Promise<Page<T>> {
  const answer = await send("GET", path, undefined, { signal: signal ?? null });
  return { items: await answer.json(), next: answer.headers.get("X-Next-Before") };
}

export async function post<T>(path: string, body: unknown = {}): Promise<T> {
  const answer = await send("POST", path, body);
  return answer.status === 204 ? (null as T) : answer.json();
}

export async function put<T>(path: string, body: unknown): Promise<T> {
  return (await send("PUT", path, body)).json();
}

export async function remove(path: string): Promise<void> {
  await send("DELETE", path);
}

export async function text(path: string, signal?: AbortSignal): Promise<string> {
  return (await send("GET", path, undefined, { signal: signal ?? null })).text();
}

export function query(values: Record<string, string | number | boolean | undefined | null>): string {
  const used = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) used.set(name, String(value));
  }
  const out = used.toString();
  return out ? `?${out}` : "";
}

export function taskPath(runId: string, taskId: string): string {
  return `api/v1/runs/${runId}/tasks/${encodeURIComponent(taskId)}`;
}
