// The list of runs and what happened since.
import type { Run } from "../core/types";

// Run ids grow with time, so that the newest first is the greatest first.
export function merge(known: Run[], changed: Map<string, Run>, keep: (run: Run) => boolean): Run[] {
  const left = new Map(changed);
  const kept = known.map((run) => {
    const next = left.get(run.runId);
    left.delete(run.runId);
    return next ? { ...run, ...next } : run;
  }).filter((run) => !changed.has(run.runId) || keep(run));
  const oldest = known[known.length - 1]?.runId ?? "";
  const fresh = [...left.values()].filter((run) => keep(run) && run.runId > oldest);
  return [...fresh, ...kept].sort((a, b) => (a.runId < b.runId ? 1 : -1));
}
