// Which runs are shown. The filter lives in the address; the server applies it, and the page applies it once more to
// what the event stream tells.
import { query } from "../core/api";
import type { Values } from "../core/route";
import { quoted } from "../core/shell";
import type { Run } from "../core/types";

export interface RunFilter {
  states: string[];
  dagId: string;
  by: string;
  range: string;  // "", "1h", "24h", "7d"
  after: string;  // RFC 3339; what range leaves open
  before: string;
  error: string;
}

const rangeMs: Record<string, number> = { "1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000 };

export const ranges: [string, string][] = [["", "any time"], ["1h", "last hour"], ["24h", "last 24 hours"], ["7d", "last 7 days"], ["own", "from … to …"]];

export function readFilter(search: URLSearchParams): RunFilter {
  const value = (name: string) => search.get(name) ?? "";
  return {
    states: value("state").split(",").filter(Boolean),
    dagId: value("dag"), by: value("by"), range: value("range"), after: value("after"), before: value("before"), error: value("q"),
  };
}

export function isEmpty(filter: RunFilter): boolean {
  return !filter.states.length && !filter.dagId && !filter.by && !filter.range && !filter.after && !filter.before && !filter.error;
}

export const noFilter: Values = { state: undefined, dag: undefined, by: undefined, range: undefined, after: undefined, before: undefined, q: undefined };

// A range is counted from the minute, so that the same view asks the same question.
function bounds(filter: RunFilter, now: number): { after: string; before: string } {
  const span = rangeMs[filter.range];
  if (span) return { after: new Date(Math.floor(now / 60_000) * 60_000 - span).toISOString().replace(".000Z", "Z"), before: "" };
  return filter.range === "own" ? { after: filter.after, before: filter.before } : { after: "", before: "" };
}

// The same names as in the query of GET; what may be several is a list.
export function bulkFilter(filter: RunFilter): Record<string, string | string[]> {
  const { state, triggeredBy, ...rest } = apiFilter(filter);
  return { ...rest, ...(state ? { state: filter.states } : {}), ...(triggeredBy ? { triggeredBy: [filter.by] } : {}) };
}

export function apiFilter(filter: RunFilter, now = Date.now()): Record<string, string> {
  const { after, before } = bounds(filter, now);
  const all = {
    state: filter.states.join(","), dagId: filter.dagId, triggeredBy: filter.by, createdAfter: after, createdBefore: before, error: filter.error,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value));
}

export function apiPath(filter: RunFilter, more: { limit?: number; before?: string } = {}): string {
  return `api/v1/runs${query({ ...apiFilter(filter), ...more })}`;
}

export function cliLine(filter: RunFilter): string {
  const { dagId, triggeredBy, createdAfter, createdBefore, error } = apiFilter(filter);
  const options: [string, string | undefined][] = [
    ...filter.states.map((state): [string, string] => ["state", state]),
    ["dag", dagId], ["by", triggeredBy], ["after", createdAfter], ["before", createdBefore], ["error", error],
  ];
  return ["pawl runs list", ...options.flatMap(([name, value]) => (value ? [`--${name} ${quoted(value)}`] : []))].join(" ");
}

export function matches(filter: RunFilter, run: Run, now = Date.now()): boolean {
  const { after, before } = bounds(filter, now);
  return (!filter.states.length || filter.states.includes(run.state))
    && (!filter.dagId || run.dagId === filter.dagId)
    && (!filter.by || run.triggeredBy === filter.by)
    && (!after || Date.parse(run.createdAt) >= Date.parse(after))
    && (!before || Date.parse(run.createdAt) < Date.parse(before))
    && (!filter.error || (run.error ?? "").toLowerCase().includes(filter.error.toLowerCase()));
}
