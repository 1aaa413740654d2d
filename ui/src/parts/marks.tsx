// The last runs of a DAG as marks, oldest first, so that a pattern shows.
import { between } from "../core/format";
import { link } from "../core/route";
import type { LastRun } from "../core/types";
import { StateMark } from "./state";

export function RunMarks({ runs }: { runs: LastRun[] }) {
  return (
    <span class="marks">
      {[...runs].reverse().map((run) => (
        <a key={run.runId} class={`state s-${run.state}`} href={link(["run", run.runId])} title={`${run.state}, ${run.triggeredBy}, ${between(run.startedAt, run.completedAt)}`}
          aria-label={`run ${run.state}`} tabIndex={-1}>
          <StateMark state={run.state} />
        </a>
      ))}
    </span>
  );
}
